//! UE of a tiny exact sum is reported although another sum of the instruction raises an unmasked exception of its own.

use super::Bench;
use encore86::Vendor;

#[test]
fn a_tiny_sum_beside_an_inexact_one() {
    let mut bench = Bench::new(Vendor::Amd);
    let double = |bench: &mut Bench, lane: usize, value: f64| {
        bench.cpu.vector.zmm[0].0[lane * 8..][..8].copy_from_slice(&value.to_le_bytes());
    };
    // The difference of two normal numbers is tiny and exact; 1 and a tiny part is inexact.
    double(&mut bench, 0, f64::MIN_POSITIVE * 1.5);
    double(&mut bench, 1, -f64::MIN_POSITIVE);
    bench.cpu.vector.zmm[1].0[..8].copy_from_slice(&1f64.to_le_bytes());
    bench.cpu.vector.zmm[1].0[8..16].copy_from_slice(&1e-30f64.to_le_bytes());
    bench.cpu.vector.mxcsr = 0x1f80 & !0x1800;
    let before = bench.cpu.vector.zmm[0];
    assert_eq!(bench.fault(&[0x66, 0x0f, 0x7c, 0xc1]).vector, 19); // haddpd xmm0, xmm1
    assert_eq!(bench.cpu.vector.mxcsr & 0x3f, 0x30);
    assert_eq!(bench.cpu.vector.zmm[0], before);
}
