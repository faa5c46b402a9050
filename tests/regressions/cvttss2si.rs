//! A stub moves the guest's general-purpose registers, so that one of another guest register is another stub.

use super::Bench;
use encore86::Vendor;
use encore86::cpu::registers::gpr::{RCX, RDX};

#[test]
fn each_register_has_its_own_stub() {
    let mut bench = Bench::new(Vendor::Amd);
    bench.set_single(1, 7.0);
    bench.run(&[0xf3, 0x0f, 0x2c, 0xc9]); // cvttss2si ecx, xmm1
    bench.set_single(1, 9.0);
    bench.run(&[0xf3, 0x0f, 0x2c, 0xd1]); // cvttss2si edx, xmm1
    assert_eq!((bench.cpu.gpr[RCX], bench.cpu.gpr[RDX]), (7, 9));
}
