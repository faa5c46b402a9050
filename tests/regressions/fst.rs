//! FST whose overflow is unmasked stores nothing, and so rounds nothing: PE stays clear.

use super::Bench;
use encore86::Vendor;

#[test]
fn an_unmasked_overflow_is_not_inexact() {
    let mut bench = Bench::new(Vendor::Amd);
    // 2^1000 and a bit, too much for 32 bits.
    bench.cpu.x87.regs[0] = [1, 0, 0, 0, 0, 0, 0, 0x80, 0xe7, 0x43];
    bench.cpu.x87.ftw = 1;
    bench.cpu.x87.fcw = 0x37f & !8;
    bench.run(&[0xd9, 0x13]); // fst dword ptr [rbx]
    assert_eq!(bench.cpu.x87.fsw & 0x7f, 8);
    assert!(bench.vm.log.is_empty());
}
