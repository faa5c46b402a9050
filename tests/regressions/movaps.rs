//! The #GP of a misaligned SSE operand comes before the #SS of an address that is not canonical.

use super::Bench;
use encore86::Vendor;
use encore86::cpu::registers::gpr::RBP;

#[test]
fn alignment_before_canonical_form() {
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.gpr[RBP] = 0x8000_0000_0001;
    assert_eq!(bench.fault(&[0x0f, 0x28, 0x45, 0x00]).vector, 13); // movaps xmm0, [rbp]
    bench.cpu.gpr[RBP] = 0x8000_0000_0000;
    assert_eq!(bench.fault(&[0x0f, 0x28, 0x45, 0x00]).vector, 12);
}
