//! After a fault, the mask of a VEX gather is zero below the element that failed and else as it was, signs and all.

use super::Bench;
use crate::support::machine::DATA;
use encore86::{Profile, Vendor, isa::Feature};

#[test]
fn the_mask_after_a_fault() {
    if !Profile::host().has(Feature::Avx2) {
        eprintln!("SKIPPED: the host lacks avx2");
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.gpr[3] = DATA;
    bench.vm.absent.push((DATA + 0x1000) / 4096);
    let lanes = |values: [u32; 4]| {
        let mut out = [0; 64];
        values.iter().zip(out.chunks_mut(4)).for_each(|(v, lane)| lane.copy_from_slice(&v.to_le_bytes()));
        out
    };
    bench.cpu.vector.zmm[1].0 = lanes([0, 4, 0x1000, 8]);
    bench.cpu.vector.zmm[2].0 = lanes([0x8000_0001, 0x7fff_0000, 0xfff5_cd0f, 0x8123_4567]);
    let event = bench.fault(&[0xc4, 0xe2, 0x69, 0x90, 0x04, 0x0b]); // vpgatherdd xmm0, [rbx+xmm1], xmm2
    assert_eq!(event.cr2, Some(DATA + 0x1000));
    assert_eq!(bench.cpu.vector.zmm[2].0, lanes([0, 0, 0xfff5_cd0f, 0x8123_4567]));
}
