//! IRET (SDM volume 2, its page): real, virtual-8086, protected, compatibility and 64-bit mode.

use super::cet::{self, Enforcement};
use super::descriptor::{self, long, rpl};
use super::{frame, task, transfer};
use crate::access::{Halt, Mem};
use crate::address::stack_offset;
use crate::bus::Vmm;
use crate::cpu::registers::{cr4, rflags};
use crate::cpu::segment::{Seg, Segment};
use crate::cpu::{Blocking, Cpu, Mode};
use crate::decode::Insn;
use crate::event::{Event, Retired};
use crate::integer::next_rip;
use crate::profile::Profile;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// IRET, IRETD, IRETQ.
pub(super) fn iret(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
    retired: &mut Retired,
) -> Result<(), Halt> {
    let size = insn.osize();
    let blocking = cpu.blocking();
    let next = next_rip(cpu, insn);
    let cet = Enforcement::of(cpu, mem, profile)?;
    let begun_with = frame::whole(cpu, mem, |cpu, mem| {
        let mut begun_with = None;
        match cpu.mode() {
            Mode::Real16 => from_real(cpu, mem, size, cpu.cpl())?,
            Mode::V86 => from_v86(cpu, mem, size)?,
            _ if cpu.rflags() & rflags::NT != 0 && long(cpu) => return Err(Event::gp0("IRET with NT set").into()),
            _ if cpu.rflags() & rflags::NT != 0 => begun_with = task::return_to(cpu, mem, &cet, next)?,
            _ => from_protected(cpu, mem, &cet, size)?,
        }
        cpu.set_blocking(Blocking { nmi: false, ..cpu.blocking() });
        Ok(begun_with)
    })?;
    retired.nmi_unblocked = blocking.nmi;
    begun_with.map_or(Ok(()), |event| Err(event.into()))
}

/// Flags that IRET may change at privilege `cpl`.
fn changeable(cpu: &Cpu, size: u8, cpl: u8) -> u64 {
    let mut bits = rflags::ARITH | rflags::TF | rflags::DF | rflags::NT;
    if size > 2 {
        bits |= rflags::RF | rflags::AC | rflags::ID;
    }
    if u64::from(cpl) <= cpu.rflags() >> 12 & 3 {
        bits |= rflags::IF;
    }
    if cpl == 0 {
        bits |= rflags::IOPL | if size > 2 { rflags::VIF | rflags::VIP } else { 0 };
    }
    bits
}

fn set_flags(cpu: &mut Cpu, value: u64, changeable: u64) {
    cpu.set_rflags(cpu.rflags() & !changeable | value & changeable);
}

/// rIP, CS and flags, of which the last is read first (seen on Zen 4: CR2 of a page that holds none of them).
fn popped(cpu: &Cpu, mem: &mut Memory<'_, '_>, size: u8) -> Result<[u64; 3], Halt> {
    let mut values = [0; 3];
    for i in [2, 1, 0] {
        values[i] = frame::entry(cpu, mem, size, i as i64, 0)?;
    }
    Ok(values)
}

fn from_real(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, size: u8, cpl: u8) -> Result<(), Halt> {
    let [rip, cs, flags] = popped(cpu, mem, size)?;
    let cs = cs as u16;
    let after = stack_offset(cpu, 3 * i64::from(size));
    let segment = descriptor::real(cpu, Seg::Cs, cs);
    let changeable = changeable(cpu, size, cpl);
    frame::set_stack(cpu, after);
    cpu.update(|s| s.seg[Seg::Cs as usize] = segment);
    frame::set_rip(cpu, rip)?;
    set_flags(cpu, flags, changeable);
    Ok(())
}

/// With IOPL 3 as in real mode, but for IOPL itself; below, CR4.VME lends VIF for IF.
fn from_v86(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, size: u8) -> Result<(), Halt> {
    if cpu.rflags() & rflags::IOPL == rflags::IOPL {
        return from_real(cpu, mem, size, 3);
    }
    if size != 2 || cpu.system().cr4 & cr4::VME == 0 {
        return Err(Event::gp0("IRET in virtual-8086 mode with IOPL below 3").into());
    }
    let flags = frame::entry(cpu, mem, size, 2, 0)?;
    let pending = flags & rflags::IF != 0 && cpu.rflags() & rflags::VIP != 0;
    if pending || flags & rflags::TF != 0 {
        return Err(Event::gp0("a virtual interrupt is pending, or TF would be set").into());
    }
    from_real(cpu, mem, size, 3)?;
    let virtual_flag = if flags & rflags::IF != 0 { rflags::VIF } else { 0 };
    set_flags(cpu, virtual_flag, rflags::VIF);
    Ok(())
}

fn from_protected(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, cet: &Enforcement, size: u8) -> Result<(), Halt> {
    let [rip, selector, flags] = popped(cpu, mem, size)?;
    let selector = selector as u16;
    let cpl = cpu.cpl();
    let changeable = changeable(cpu, size, cpl);
    if flags & rflags::VM != 0 && cpl == 0 && size == 4 && !long(cpu) {
        return to_v86(cpu, mem, cet, (rip, selector, flags));
    }
    let mut code = transfer::returned_code(cpu, mem, selector)?;
    // 64-bit mode pops SS and RSP whatever the privilege.
    if rpl(selector) > cpl || cpu.mode() == Mode::Long64 {
        let rsp = frame::entry(cpu, mem, size, 3, 0)?;
        let stack = frame::entry(cpu, mem, size, 4, 0)? as u16;
        transfer::leave(cpu, mem, code, (stack, rsp), rip)?;
    } else {
        let after = stack_offset(cpu, 3 * i64::from(size));
        frame::set_stack(cpu, after);
        frame::enter(cpu, mem, &mut code, cpl)?;
        frame::set_rip(cpu, rip)?;
    }
    set_flags(cpu, flags, changeable);
    cet.far_return(cpu, mem, cpl, true)
}

/// From CPL 0 to virtual-8086 mode: all segments are popped.
fn to_v86(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    (rip, cs, flags): (u64, u16, u64),
) -> Result<(), Halt> {
    let mut values = [0; 6];
    for (i, value) in values.iter_mut().enumerate() {
        *value = frame::entry(cpu, mem, 4, 3 + i as i64, 0)?;
    }
    let [rsp, ss, es, ds, fs, gs] = values;
    if rip > 0xffff {
        return Err(Event::gp0("a return to virtual-8086 mode beyond 64 KiB").into());
    }
    let token = cet.leave_for_v86(cpu)?;
    let segment = |selector: u64| {
        let selector = selector as u16;
        Segment { selector, attr: 0xf3, limit: 0xffff, base: u64::from(selector) << 4 }
    };
    cpu.update(|s| s.seg = [segment(es), segment(u64::from(cs)), segment(ss), segment(ds), segment(fs), segment(gs)]);
    cpu.set_rflags(flags & rflags::DEFINED);
    mem.follow(cpu);
    cpu.gpr[crate::cpu::registers::gpr::RSP] = rsp;
    cpu.rip = rip;
    cet::release(mem, token)
}
