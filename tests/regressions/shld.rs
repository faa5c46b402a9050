//! SHLD and SHRD of 16 bits by more than 16, and BSWAP of 16 bits: undefined, and what processors do.

use super::Bench;
use encore86::Vendor;
use encore86::cpu::registers::gpr::{RAX, RCX};
use encore86::cpu::registers::rflags::CF;

#[test]
fn counts_beyond_the_operand() {
    let mut bench = Bench::new(Vendor::Amd);
    for (opcode, count, value) in
        [(0xa4, 16, 0xabcd), (0xa4, 17, 0x579b), (0xa4, 31, 0xd5e6), (0xac, 17, 0xd5e6), (0xac, 24, 0xcdab)]
    {
        (bench.cpu.gpr[RAX], bench.cpu.gpr[RCX]) = (0x1234, 0xabcd);
        bench.run(&[0x66, 0x0f, opcode, 0xc8, count]);
        assert_eq!((bench.cpu.gpr[RAX], bench.cpu.rflags() & CF), (value, 0), "{opcode:#x} {count}");
    }
}

#[test]
fn bswap_of_16_bits_clears_them() {
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.gpr[RCX] = 0x1122_3344_5566_7788;
    bench.run(&[0x66, 0x0f, 0xc9]); // bswap cx
    assert_eq!(bench.cpu.gpr[RCX], 0x1122_3344_5566_0000);
}
