//! FST whose overflow is unmasked stores nothing, and so rounds nothing: PE stays clear. Of 80 bits in memory, the last 16
//! wrap to the segment's beginning.

use super::Bench;
use crate::support::machine::{self, CODE, DATA};
use crate::support::vm::Done;
use encore86::{Mode, Outcome, Vendor};

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

#[test]
fn the_last_two_of_ten_bytes_wrap() {
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu = machine::cpu(Mode::Prot16);
    bench.cpu.x87.regs[0] = [1, 2, 3, 4, 5, 6, 7, 0x88, 9, 10];
    bench.cpu.x87.ftw = 1;
    bench.vm.put_code(CODE + 0x100, &[0xdb, 0x3f, 0xdb, 0x3f]); // fstp tbyte ptr [bx], twice
    bench.cpu.gpr[3] = 0xfff8;
    let outcome = bench.engine.step(&mut bench.cpu, &mut bench.vm);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let written = [Done::Write(DATA + 0xfff8, vec![1, 2, 3, 4, 5, 6, 7, 0x88]), Done::Write(DATA, vec![9, 10])];
    assert_eq!(bench.vm.log, written);
    // One byte less, and the two are cut themselves.
    bench.cpu.gpr[3] = 0xfff7;
    let outcome = bench.engine.step(&mut bench.cpu, &mut bench.vm);
    assert!(matches!(outcome, Outcome::Exception(event) if event.vector == 13), "{outcome:?}");
}
