//! The singles that `alu` adds in integers, against the host's own.
#![cfg(target_arch = "x86_64")]

use crate::alu::fused::multiply_add;

const SIGN: u32 = 1 << 31;
const FRACTION: u32 = 23;

/// Against the host's VFMADD231SS under DAZ and FTZ, where it has that.
#[test]
fn singles_as_the_host_adds_them() {
    if !std::arch::is_x86_feature_detected!("fma") {
        println!("SKIPPED: the host lacks FMA; a million cases");
        return;
    }
    let flush = 0x9fc0u32;
    let host = |a: u32, b: u32, mut c: u32| {
        let mut saved = 0u32;
        // SAFETY: MXCSR masks all exceptions while it is another's, and is restored.
        unsafe {
            core::arch::asm!(
                "stmxcsr [{saved}]",
                "ldmxcsr [{flush}]",
                "vmovd xmm0, {c:e}",
                "vmovd xmm1, {a:e}",
                "vmovd xmm2, {b:e}",
                "vfmadd231ss xmm0, xmm1, xmm2",
                "vmovd {c:e}, xmm0",
                "ldmxcsr [{saved}]",
                saved = in(reg) &raw mut saved, flush = in(reg) &raw const flush,
                a = in(reg) a, b = in(reg) b, c = inout(reg) c,
                out("xmm0") _, out("xmm1") _, out("xmm2") _,
            );
        }
        c
    };
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..1_000_000 {
        let [mut a, mut b, mut c] = [word() as u32, word() as u32, word() as u32];
        let how = word();
        if how & 1 != 0 {
            // Few bits, or all.
            let few = 0xffff_ffff << (how >> 8 & 0xf) << 8;
            (a, b, c) = (a & few, b & few, c & few);
        }
        if how & 6 == 0 {
            // An addend near the product, of the same sign or the opposite one.
            let product = f32::from_bits(a) * f32::from_bits(b);
            c = (product.to_bits() ^ (how as u32 & SIGN)).wrapping_add((how >> 40 & 3) as u32);
        } else if how & 6 == 2 {
            // A product near the least normal number.
            b = ((128 - ((a & !SIGN) >> FRACTION)) & 0xff) << FRACTION | b & 0x807f_ffff;
        }
        if [a, b, c].into_iter().filter(|&x| f32::from_bits(x).is_nan()).count() > 1 {
            // Which of them is given differs between makers.
            continue;
        }
        assert_eq!(multiply_add(a, b, c), host(a, b, c), "{a:08x} * {b:08x} + {c:08x}");
    }
}
