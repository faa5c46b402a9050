//! User interrupts (SDM volume 3, "User Interrupts"): the flag, the return, sending one, and what comes at the boundaries of
//! instructions: notifications and delivery, for which the monitor calls. Their registers are the platform's model-specific ones; UIF is
//! in [`System`](crate::cpu::System).

use super::cet::{self, Enforcement};
use super::descriptor::{long, own, read_own};
use super::frame::{self, Frame};
use crate::access::{Halt, Mem};
use crate::address;
use crate::bus::{AccessKind, Vmm};
use crate::cpu::registers::cr4;
use crate::cpu::registers::gpr::RSP;
use crate::cpu::registers::rflags::{self, ARITH};
use crate::cpu::{Cpu, Mode};
use crate::decode::Insn;
use crate::event::{Event, Stop};
use crate::integer::read_slot;
use crate::profile::Profile;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

mod msr {
    /// The user-interrupt request register, UIRR.
    pub(super) const RR: u32 = 0x985;
    pub(super) const HANDLER: u32 = 0x986;
    pub(super) const STACKADJUST: u32 = 0x987;
    /// The size of the target table, and in bits 39:32 the notification vector, UINV.
    pub(super) const MISC: u32 = 0x988;
    /// The address of the posted-interrupt descriptor, UPID.
    pub(super) const PD: u32 = 0x989;
    pub(super) const TT: u32 = 0x98a;
    /// The interrupt command register of x2APIC mode.
    pub(super) const X2APIC_ICR: u32 = 0x830;
}

/// The bit of a posted-interrupt descriptor that says that a notification is on its way.
const OUTSTANDING: u8 = 1;
/// Where its requests stand, one bit a vector.
const REQUESTS: u64 = 8;

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
    mem.change_bits(descriptor + REQUESTS + vector / 8, 1 << (vector % 8), 0, byte)?;
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

/// Can a user interrupt be delivered here, if one is pending? UIF is set, and it is a program in 64-bit mode, not in the shadow of
/// MOV SS.
pub(crate) fn accepts(cpu: &Cpu) -> bool {
    let s = cpu.system();
    s.cr4 & cr4::UINTR != 0 && s.uif && cpu.cpl() == 3 && cpu.mode() == Mode::Long64 && !cpu.blocking().mov_ss
}

/// Delivers the pending user interrupt with the greatest vector, if there is one; `repeating` if it comes between the iterations of a
/// string instruction.
///
/// # Errors
/// #GP(0) for a handler that is not canonical, what the stack's pages say; what the platform answers. Nothing is changed.
pub(crate) fn deliver(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
    repeating: bool,
) -> Result<bool, Halt> {
    let requests = mem.vmm.read_msr(msr::RR)?;
    if requests == 0 {
        return Ok(false);
    }
    let vector = u64::from(requests.ilog2());
    let handler = mem.vmm.read_msr(msr::HANDLER)?;
    if !address::canonical(cpu, handler) {
        return Err(Event::gp0("the handler of user interrupts is not canonical").into());
    }
    let adjust = mem.vmm.read_msr(msr::STACKADJUST)?;
    let cet = Enforcement::of(cpu, mem, profile)?;
    frame::whole(cpu, mem, |cpu, mem| {
        let (rsp, flags) = (cpu.gpr[RSP], cpu.rflags());
        // Bit 0: it is a stack of its own, else bytes to leave alone.
        let stack = if adjust & 1 != 0 { adjust } else { rsp.wrapping_sub(adjust) };
        cpu.gpr[RSP] = stack & !0xf;
        let mut back = Frame::new(8);
        [rsp, flags | if repeating { rflags::RF } else { 0 }, cpu.rip, vector].into_iter().for_each(|v| back.add(v));
        // The address alone goes onto the shadow stack.
        let ssp = cpu.system().ssp;
        let shadow = if cet.has_stack(3) { ssp.wrapping_sub(8) } else { ssp };
        if shadow != ssp {
            cet::probe(mem, shadow, 8, 3)?;
        }
        let tracked = cet.jump(cpu)?;
        back.push(cpu, mem, 0)?;
        if shadow != ssp {
            cet::write(mem, shadow, cpu.rip, 8, 3)?;
        }
        tracked.commit(cpu, mem)?;
        if let Err(stop) = mem.vmm.write_msr(msr::RR, requests & !(1 << vector)) {
            cet.take_back(mem, 3)?;
            return Err(stop.into());
        }
        cpu.rip = handler;
        cpu.set_rflags(flags & !(rflags::TF | rflags::RF));
        cpu.update(|s| (s.uif, s.ssp) = (false, shadow));
        Ok(())
    })?;
    Ok(true)
}

/// User-interrupt notification: an interrupt of `vector` that is UINV says that requests wait in the posted-interrupt descriptor. They
/// become pending. Says no if it is an interrupt like others.
///
/// # Errors
/// What the descriptor's page says, what the platform answers; no request is lost.
pub(crate) fn notify(cpu: &Cpu, mem: &mut Memory<'_, '_>, vector: u8) -> Result<bool, Halt> {
    if cpu.system().cr4 & cr4::UINTR == 0 || !long(cpu) {
        return Ok(false);
    }
    if (mem.vmm.read_msr(msr::MISC)? >> 32) as u8 != vector {
        return Ok(false);
    }
    let pending = mem.vmm.read_msr(msr::RR)?;
    let descriptor = mem.vmm.read_msr(msr::PD)? & !0x3f;
    if !address::canonical(cpu, descriptor) {
        return Err(Event::gp0("the posted-interrupt descriptor's address is not canonical").into());
    }
    let byte = &own(AccessKind::Rmw, 1);
    mem.probe(descriptor, 16, &own(AccessKind::Rmw, 16))?;
    mem.change_bits(descriptor, 0, OUTSTANDING, byte)?;
    let posted = mem.take(descriptor + REQUESTS, &own(AccessKind::Rmw, 8))?;
    if posted != 0
        && let Err(stop) = mem.vmm.write_msr(msr::RR, pending | posted)
    {
        for (i, bits) in (0..).zip(posted.to_le_bytes()) {
            if bits != 0 {
                mem.change_bits(descriptor + REQUESTS + i, bits, 0, byte)?;
            }
        }
        return Err(stop.into());
    }
    Ok(true)
}
