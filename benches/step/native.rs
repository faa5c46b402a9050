//! The bare instructions of the table, run by the host: what a step cannot be faster than.

use std::arch::asm;

/// Runs the row's instruction on the memory that it is given, 512 bytes at least, aligned to 64; `None` where the host lacks it, or
/// where it would prove nothing.
pub fn of(name: &str) -> Option<fn(*mut u8)> {
    let (avx, avx2) = (std::is_x86_feature_detected!("avx"), std::is_x86_feature_detected!("avx2"));
    let avx512 = std::is_x86_feature_detected!("avx512f");
    macro_rules! run {
        ($has:expr, $($text:literal),+) => {
            $has.then_some((|place| {
                // SAFETY: the host has the instruction; it touches 512 bytes at most, which the caller gives; the registers
                // that it writes are declared, the x87 stack is left empty.
                unsafe {
                    asm!($($text),+, in(reg) place, out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("st(0)") _, options(nostack));
                }
            }) as fn(*mut u8))
        };
    }
    match name {
        "movdqu [m],xmm0" => run!(true, "movdqu [{0}], xmm0"),
        "movdqu xmm0,[m]" => run!(true, "movdqu xmm0, [{0}]"),
        "paddd xmm1,[m]" => run!(true, "paddd xmm1, [{0}]"),
        "vpaddd ymm1,ymm0,[m]" => run!(avx2, "vpaddd ymm1, ymm0, [{0}]"),
        "vmovdqu64 [m],zmm0" => run!(avx512, "vmovdqu64 [{0}], zmm0"),
        "vpaddd zmm1{k1}{z},zmm0,[m]{1to16}" => {
            run!(avx512, "vpaddd zmm1 {{k1}} {{z}}, zmm0, dword ptr [{0}]{{1to16}}")
        }
        "vpgatherdd ymm1,[m+ymm2*4],ymm3" => {
            run!(avx2, "vpxor xmm2, xmm2, xmm2", "vpcmpeqd ymm3, ymm3, ymm3", "vpgatherdd ymm1, [{0} + ymm2*4], ymm3")
        }
        "vaddps ymm1,ymm0,[m]" => run!(avx, "vaddps ymm1, ymm0, [{0}]"),
        "vaddps zmm1,zmm0,[m]" => run!(avx512, "vaddps zmm1, zmm0, [{0}]"),
        "fld m64" => run!(true, "fld qword ptr [{0}]", "fstp st(0)"),
        "fstp m64" => run!(true, "fldz", "fstp qword ptr [{0}]"),
        "fadd m64" => run!(true, "fldz", "fadd qword ptr [{0}]", "fstp st(0)"),
        "fxsave m512" => run!(true, "fxsave64 [{0}]"),
        _ => None,
    }
}
