//! Waits for a store, an interrupt or a time: MONITOR, MWAIT and their kin.
//!
//! No line is watched. Each wait ends at once, as the architecture lets it (a false wake-up), and the program looks again for
//! what it waits for. A processor that slept would need a VMM that sees every store to the line.

use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::registers::gpr::{RAX, RCX};
use crate::cpu::registers::rflags::ARITH;
use crate::cpu::{Cpu, Mode, obstacle};
use crate::decode::Insn;
use crate::event::Event;
use crate::integer::read_slot;
use crate::isa::row::Implied;
use crate::profile::{Profile, Vendor};

/// MONITOR, MONITORX and UMONITOR: the address is checked as the load of a byte.
pub(super) fn monitor(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, profile: &Profile) -> Result<(), Halt> {
    let base = if insn.row().implied == Implied::UserMonitor {
        cpu.gpr[usize::from(insn.slot(0).reg) & 31]
    } else {
        // AMD's processors look at ECX alone (seen on Zen 4).
        let whole = cpu.mode() == Mode::Long64 && profile.vendor() != Vendor::Amd;
        if extensions(cpu, whole) != 0 {
            return Err(Event::gp0("MONITOR with an extension that does not exist").into());
        }
        cpu.gpr[RAX]
    };
    let at = linear(cpu, insn.segment(), address::truncate(base, insn.asize()), 1, Intent::Read)?;
    let access = mem.access(AccessKind::Read, 1);
    mem.probe(at, 1, &access)
}

/// RCX or ECX.
fn extensions(cpu: &Cpu, whole: bool) -> u64 {
    cpu.gpr[RCX] & if whole { u64::MAX } else { 0xffff_ffff }
}

/// MWAIT: bit 0 of ECX, interrupts that are masked end the wait, is what CPUID leaf 5 may offer.
pub(super) fn mwait(cpu: &Cpu, profile: &Profile) -> Result<(), Halt> {
    const INTERRUPT_BREAK: u32 = 1 << 1;
    let offered = profile.cpuid(5, 0, cpu.system()).ecx & INTERRUPT_BREAK != 0;
    wait(cpu, u64::from(offered))
}

/// MWAITX: the same, and bit 1, a time in EBX.
pub(super) fn mwaitx(cpu: &Cpu) -> Result<(), Halt> {
    wait(cpu, 3)
}

fn wait(cpu: &Cpu, allowed: u64) -> Result<(), Halt> {
    if extensions(cpu, cpu.mode() == Mode::Long64) & !allowed != 0 {
        return Err(Event::gp0("MWAIT with an extension that does not exist").into());
    }
    Ok(())
}

/// UMWAIT and TPAUSE. CF would say that the operating system's time limit ended the wait.
pub(super) fn until(cpu: &mut Cpu, insn: &Insn) -> Result<(), Halt> {
    if cpu.word().bits & obstacle::TSD != 0 {
        return Err(Event::gp0("CR4.TSD is set outside CPL 0").into());
    }
    if read_slot(cpu, insn, insn.slot(0)) & 0xffff_fffe != 0 {
        return Err(Event::gp0("a reserved bit of the state to wait in").into());
    }
    cpu.merge_flags(ARITH, 0);
    Ok(())
}
