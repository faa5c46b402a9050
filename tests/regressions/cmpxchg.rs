//! CMPXCHG with a 32-bit register that is unequal: the register keeps its upper half, RAX loses its own.

use super::Bench;
use encore86::Vendor;
use encore86::cpu::registers::gpr::{RAX, RBX, RCX};

#[test]
fn an_unequal_register_is_not_written() {
    let mut bench = Bench::new(Vendor::Amd);
    (bench.cpu.gpr[RAX], bench.cpu.gpr[RCX], bench.cpu.gpr[RBX]) = (0x1_0000_0001, 0x4_0000_0002, 0x5);
    bench.run(&[0x0f, 0xb1, 0xd9]); // cmpxchg ecx, ebx
    assert_eq!((bench.cpu.gpr[RAX], bench.cpu.gpr[RCX]), (2, 0x4_0000_0002));
    bench.run(&[0x0f, 0xb1, 0xd9]);
    assert_eq!((bench.cpu.gpr[RAX], bench.cpu.gpr[RCX]), (2, 5));
}
