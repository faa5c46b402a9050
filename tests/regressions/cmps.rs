//! CMPS reads ES:rDI first, but for REPE CMPSB from Zen 4 on, which reads the source first; after a fault in the middle of REPE, AMD's processors keep the flags of the last comparison, Intel's
//! those from before.

use super::Bench;
use encore86::cpu::registers::gpr::{RCX, RDI, RSI};
use encore86::cpu::registers::rflags::{ARITH, CF, PF, ZF};
use encore86::{Profile, Signature, Vendor};

#[test]
fn the_destination_is_read_first() {
    let mut bench = Bench::new(Vendor::Amd);
    let (source, target) = (bench.cpu.gpr[RSI], bench.cpu.gpr[RDI]);
    bench.vm.absent.extend([source / 4096, target / 4096]);
    assert_eq!(bench.fault(&[0xa6]).cr2, Some(target));
}

#[test]
fn repe_cmpsb_is_the_processor_s() {
    // Zen 3 (Milan), Zen 4 (Genoa), Zen 5 (Turin), and Intel's Sapphire Rapids.
    let processors = [
        (Vendor::Amd, Signature::new(0x19, 0x01, 1), false),
        (Vendor::Amd, Signature::new(0x19, 0x11, 1), true),
        (Vendor::Amd, Signature::new(0x1a, 0x02, 1), true),
        (Vendor::Intel, Signature::new(6, 0x8f, 8), false),
    ];
    for (vendor, signature, source_first) in processors {
        let profile = Profile::host().with_vendor(vendor).with_signature(signature);
        let mut bench = Bench::with(profile);
        let (source, target) = (bench.cpu.gpr[RSI], bench.cpu.gpr[RDI]);
        bench.vm.absent.extend([source / 4096, target / 4096]);
        bench.cpu.gpr[RCX] = 5;
        let first = if source_first { source } else { target };
        assert_eq!(bench.fault(&[0xf3, 0xa6]).cr2, Some(first), "{signature:?}: repe cmpsb");
        for others in [&[0xf2, 0xa6][..], &[0xf3, 0xa7], &[0xa6]] {
            assert_eq!(bench.fault(others).cr2, Some(target), "{signature:?}: {others:02x?}");
        }
    }
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
