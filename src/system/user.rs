//! User interrupts (SDM volume 3, "User Interrupts"): the flag, the return, and sending one. Their registers are the platform's
//! model-specific ones; UIF is in [`System`](crate::cpu::System). Recognising and delivering them is the monitor's.

use super::cet::Enforcement;
use super::descriptor::{own, read_own};
use super::frame;
use crate::access::{Halt, Mem};
use crate::address;
use crate::bus::{AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::cr4;
use crate::cpu::registers::gpr::RSP;
use crate::cpu::registers::rflags::{self, ARITH};
use crate::decode::Insn;
use crate::event::{Event, Stop};
use crate::integer::read_slot;
use crate::profile::Profile;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

mod msr {
    pub(super) const MISC: u32 = 0x988;
    pub(super) const TT: u32 = 0x98a;
    /// The interrupt command register of x2APIC mode.
    pub(super) const X2APIC_ICR: u32 = 0x830;
}

fn enabled(cpu: &Cpu) -> Result<(), Event> {
    if cpu.system().cr4 & cr4::UINTR == 0 { Err(Event::ud("CR4.UINTR is clear")) } else { Ok(()) }
}

/// CLUI and STUI.
pub(super) fn set_flag(cpu: &mut Cpu, value: bool) -> Result<(), Halt> {
    enabled(cpu)?;
    cpu.update(|s| s.uif = value);
    Ok(())
}

/// TESTUI: CF says what UIF is.
pub(super) fn test_flag(cpu: &mut Cpu) -> Result<(), Halt> {
    enabled(cpu)?;
    let value = if cpu.system().uif { rflags::CF } else { 0 };
    cpu.merge_flags(ARITH, value);
    Ok(())
}

/// UIRET: RIP, RFLAGS and RSP from the stack, and UIF is set.
pub(super) fn user_return(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, profile: &Profile) -> Result<(), Halt> {
    const CHANGED: u64 = 0x25_4dd5;
    enabled(cpu)?;
    let cet = Enforcement::of(cpu, mem, profile)?;
    frame::whole(cpu, mem, |cpu, mem| {
        let mut values = [0; 3];
        for (i, value) in values.iter_mut().enumerate() {
            *value = frame::entry(cpu, mem, 8, i as i64, 0)?;
        }
        let [rip, flags, rsp] = values;
        if !address::canonical(cpu, rip) {
            return Err(Event::gp0("UIRET to an address that is not canonical").into());
        }
        cet.user_return(cpu, mem, rip)?;
        (cpu.rip, cpu.gpr[RSP]) = (rip, rsp);
        cpu.set_rflags(cpu.rflags() & !CHANGED | flags & CHANGED);
        cpu.update(|s| s.uif = true);
        Ok(())
    })
}

/// SENDUIPI: posts a user interrupt by the target table's entry that the register names, and notifies the processor that is to
/// receive it by an interprocessor interrupt: a write of x2APIC's interrupt command register.
pub(super) fn send(cpu: &Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    const OUTSTANDING: u8 = 1;
    const SUPPRESSED: u64 = 2;
    enabled(cpu)?;
    let table = mem.vmm.read_msr(msr::TT)?;
    if table & 1 == 0 {
        return Err(Event::ud("IA32_UINTR_TT does not enable SENDUIPI").into());
    }
    let refuse = |cause| Err(Event::gp0(cause).into());
    let index = read_slot(cpu, insn, insn.slot(0));
    if index > mem.vmm.read_msr(msr::MISC)? & 0xffff_ffff {
        return refuse("SENDUIPI beyond the target table");
    }
    let entry = (table & !0xf).wrapping_add(16 * index);
    let (low, descriptor) = (read_own(mem, entry, 8)?, read_own(mem, entry.wrapping_add(8), 8)?);
    let vector = low >> 8 & 0xff;
    if low & 1 == 0 || low & !0xff01 != 0 || vector > 63 || descriptor & 0x3f != 0 {
        return refuse("the target table's entry is not valid, or has a reserved bit set");
    }
    if !address::canonical(cpu, descriptor) {
        return refuse("the posted-interrupt descriptor's address is not canonical");
    }
    mem.probe(descriptor, 16, &own(AccessKind::Rmw, 16))?;
    let control = read_own(mem, descriptor, 8)?;
    if control & 0xff00_fffc != 0 {
        return refuse("a reserved bit of the posted-interrupt descriptor");
    }
    let byte = &own(AccessKind::Rmw, 1);
    mem.change_bits(descriptor + 8 + vector / 8, 1 << (vector % 8), 0, byte)?;
    if control & (SUPPRESSED | u64::from(OUTSTANDING)) == 0 {
        mem.change_bits(descriptor, OUTSTANDING, 0, byte)?;
        let command = control >> 16 & 0xff | control >> 32 << 32;
        if let Err(stop) = mem.vmm.write_msr(msr::X2APIC_ICR, command) {
            // Nobody was notified, and nobody will be unless the instruction comes again.
            if stop != Stop::Retry {
                mem.change_bits(descriptor, 0, OUTSTANDING, byte)?;
            }
            return Err(stop.into());
        }
    }
    Ok(())
}
