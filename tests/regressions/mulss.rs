//! With underflow unmasked, PE says whether the result is inexact at any exponent, not whether it is as a denormal.

use super::Bench;
use encore86::Vendor;

#[test]
fn a_tiny_product_that_is_exact_but_for_its_exponent() {
    let mut bench = Bench::new(Vendor::Amd);
    for (factor, flags) in [(f32::from_bits(0x3f00_0000), 0x10), (1.0 / 3.0, 0x30)] {
        bench.set_single(0, f32::from_bits(0x0080_0001));
        bench.set_single(1, factor);
        bench.cpu.vector.mxcsr = 0x1f80 & !0x800;
        assert_eq!(bench.fault(&[0xf3, 0x0f, 0x59, 0xc1]).vector, 19); // mulss xmm0, xmm1
        assert_eq!(bench.cpu.vector.mxcsr & 0x3f, flags, "{factor}");
    }
}
