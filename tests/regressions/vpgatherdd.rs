//! After a fault, the mask of a VEX gather is zero below the element that failed and else as it was, signs and all.

use super::{Bench, lacks};
use crate::support::machine::DATA;
use encore86::{Vendor, isa::Feature};

#[test]
fn the_mask_after_a_fault() {
    if lacks(Feature::Avx2) {
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

/// The EVEX form clears what lies above its vector with the first element, though a later one fails.
#[test]
fn the_destination_after_a_fault() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    const BYTES: [u8; 7] = [0x62, 0xf2, 0x7d, 0x09, 0x90, 0x04, 0x0b]; // vpgatherdd xmm0{k1}, [rbx+xmm1]
    // The element that fails, what is left of the mask, what of the destination.
    for (failing, k1, elements) in [(0, 0xff3, None), (1, 0xff2, Some([1, 2, 3, 4]))] {
        let mut bench = Bench::new(Vendor::Amd);
        bench.cpu.gpr[3] = DATA;
        bench.vm.absent.push((DATA + 0x1000) / 4096);
        bench.vm.put(DATA, &[1, 2, 3, 4]);
        bench.cpu.vector.zmm[1].0[4 * failing..][..4].copy_from_slice(&0x1000u32.to_le_bytes());
        bench.cpu.vector.zmm[0].0.fill(0xaa);
        bench.cpu.vector.k[1] = 0xff3;
        assert_eq!(bench.fault(&BYTES).cr2, Some(DATA + 0x1000));
        let mut expected = [0xaa; 64];
        if let Some(first) = elements {
            expected[..4].copy_from_slice(&first);
            expected[16..].fill(0);
        }
        assert_eq!((bench.cpu.vector.k[1], bench.cpu.vector.zmm[0].0), (k1, expected), "{failing}");
    }
}
