//! CMPS reads ES:rDI first; after a fault in the middle of REPE, AMD's processors keep the flags of the last comparison, Intel's
//! those from before.

use super::Bench;
use encore86::Vendor;
use encore86::cpu::registers::gpr::{RCX, RDI, RSI};
use encore86::cpu::registers::rflags::{ARITH, CF, PF, ZF};

#[test]
fn the_destination_is_read_first() {
    let mut bench = Bench::new(Vendor::Amd);
    let (source, target) = (bench.cpu.gpr[RSI], bench.cpu.gpr[RDI]);
    bench.vm.absent.extend([source / 4096, target / 4096]);
    assert_eq!(bench.fault(&[0xa6]).cr2, Some(target));
}

#[test]
fn flags_after_a_fault_are_the_vendor_s() {
    for (vendor, flags) in [(Vendor::Amd, ZF | PF), (Vendor::Intel, CF)] {
        let mut bench = Bench::new(vendor);
        let (source, target) = (bench.cpu.gpr[RSI], bench.cpu.gpr[RDI] + 0xffe);
        bench.cpu.gpr[RDI] = target;
        bench.vm.put(source, &[1, 2, 3]);
        bench.vm.put(target, &[1, 2, 3]);
        bench.vm.absent.push(target / 4096 + 1);
        bench.cpu.gpr[RCX] = 5;
        bench.cpu.set_rflags(CF);
        assert_eq!(bench.fault(&[0xf3, 0xa6]).cr2, Some(target + 2));
        assert_eq!((bench.cpu.gpr[RCX], bench.cpu.rflags() & ARITH), (3, flags), "{vendor:?}");
    }
}
