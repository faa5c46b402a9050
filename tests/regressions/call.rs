//! A fault of the stack comes before the #GP of a target that is not canonical.

use super::Bench;
use encore86::Vendor;
use encore86::cpu::registers::gpr::RSP;

#[test]
fn the_stack_is_looked_at_before_the_target() {
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.gpr[11] = 1 << 63;
    let stack = bench.cpu.gpr[RSP] - 8;
    bench.vm.absent.push(stack / 4096);
    let event = bench.fault(&[0x41, 0xff, 0xd3]); // call r11
    assert_eq!((event.vector, event.cr2), (14, Some(stack)));
    bench.vm.absent.clear();
    assert_eq!(bench.fault(&[0x41, 0xff, 0xd3]).vector, 13);
    assert!(bench.vm.log.is_empty());
}
