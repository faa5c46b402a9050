//! What transfers to other code have in common: all or nothing, frames on the stack, the stacks of a TSS, the new CS.

use super::descriptor::{self, Descriptor, is_null, long, read_own};
use super::fred;
use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear, replace, stack_offset, stack_width};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::efer;
use crate::cpu::registers::gpr::RSP;
use crate::cpu::segment::{Seg, Segment, rights};
use crate::cpu::{Cpu, Mode};
use crate::event::Event;

/// The most entries of a frame: a call gate's parameters with SS, rSP, CS and rIP.
const ENTRIES: usize = 35;

/// Runs `transfer`; if it fails, segments, control registers, general-purpose registers, RIP and RFLAGS are as before.
pub(super) fn whole<T>(
    cpu: &mut Cpu,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    transfer: impl FnOnce(&mut Cpu, &mut Mem<'_, dyn Vmm + '_>) -> Result<T, Halt>,
) -> Result<T, Halt> {
    let system = cpu.system().clone();
    let (gpr, rip, flags, blocking) = (cpu.gpr, cpu.rip, cpu.rflags(), cpu.blocking());
    let result = transfer(cpu, mem);
    if result.is_err() {
        (cpu.gpr, cpu.rip) = (gpr, rip);
        cpu.update(|s| *s = system);
        cpu.set_rflags(flags);
        cpu.set_blocking(blocking);
        mem.follow(cpu);
    }
    result
}

/// Entries to push, the first one first.
pub(super) struct Frame {
    entries: [u64; ENTRIES],
    count: usize,
    size: u8,
}

impl Frame {
    pub(super) fn new(size: u8) -> Frame {
        Frame { entries: [0; ENTRIES], count: 0, size }
    }

    pub(super) fn add(&mut self, value: u64) {
        self.entries[self.count] = value;
        self.count += 1;
    }

    /// Has the stack room for it, and may it be written? #SS has `selector` as its error code.
    pub(super) fn probe(&self, cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, selector: u16) -> Result<(), Halt> {
        for i in 0..self.count {
            let (at, access) = self.place(cpu, mem, i, selector)?;
            mem.probe(at, usize::from(self.size), &access)?;
        }
        Ok(())
    }

    /// Pushes all entries.
    pub(super) fn push(&self, cpu: &mut Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, selector: u16) -> Result<(), Halt> {
        self.probe(cpu, mem, selector)?;
        for (i, value) in self.entries[..self.count].iter().enumerate() {
            let (at, access) = self.place(cpu, mem, i, selector)?;
            mem.write(at, &value.to_le_bytes()[..usize::from(self.size)], &access)?;
        }
        set_stack(cpu, self.offset(cpu, self.count));
        Ok(())
    }

    /// Offset of the stack pointer once `count` entries are pushed.
    fn offset(&self, cpu: &Cpu, count: usize) -> u64 {
        stack_offset(cpu, -(count as i64 * i64::from(self.size)))
    }

    fn place(&self, cpu: &Cpu, mem: &Mem<'_, dyn Vmm + '_>, i: usize, selector: u16) -> Result<(u64, Access), Halt> {
        let offset = self.offset(cpu, i + 1);
        let at = linear(cpu, Seg::Ss, offset, u64::from(self.size), Intent::Write).map_err(|e| e.on(selector))?;
        Ok((at, mem.access(AccessKind::Write, u16::from(self.size))))
    }
}

/// Sets as much of rSP as the stack is wide.
pub(super) fn set_stack(cpu: &mut Cpu, offset: u64) {
    cpu.gpr[RSP] = replace(cpu.gpr[RSP], offset, stack_width(cpu));
}

/// Entry `i` of `size` bytes above `skipped` bytes of the stack.
pub(super) fn entry(cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, size: u8, i: i64, skipped: i64) -> Result<u64, Halt> {
    crate::integer::load_stack_at(cpu, mem, stack_offset(cpu, i * i64::from(size) + skipped), size)
}

/// Sets CS to a code segment, for privilege `cpl`; SS still has the old one.
pub(super) fn enter(
    cpu: &mut Cpu,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    code: &mut Descriptor,
    cpl: u8,
) -> Result<(), Halt> {
    code.access(mem)?;
    let segment = Segment { selector: code.selector & !3 | u16::from(cpl), ..code.segment() };
    cpu.update(|s| s.seg[Seg::Cs as usize] = segment);
    mem.follow(cpu);
    Ok(())
}

/// Sets RIP in the CS that is loaded.
///
/// # Errors
/// #GP(0) beyond its limit or where the address is not canonical.
pub(super) fn set_rip(cpu: &mut Cpu, offset: u64) -> Result<(), Event> {
    let offset = if cpu.mode() == Mode::Long64 { offset } else { offset & 0xffff_ffff };
    crate::integer::check_target(cpu, offset)?;
    cpu.rip = offset;
    Ok(())
}

/// Will `offset` do in that code segment?
///
/// # Errors
/// As for [`set_rip`].
pub(super) fn reaches(cpu: &Cpu, code: &Descriptor, offset: u64) -> Result<(), Event> {
    let inside = match long(cpu) && code.has(rights::L) {
        true => address::canonical(cpu, offset),
        false => offset & 0xffff_ffff <= u64::from(code.limit()),
    };
    if inside { Ok(()) } else { Err(Event::gp0("the target of the transfer lies beyond the limit of CS")) }
}

/// Do L and D fit each other? In IA-32e mode L excludes D, and under FRED ring 0 is of 64 bits.
pub(super) fn check_width(cpu: &Cpu, code: &Descriptor) -> Result<(), Event> {
    if long(cpu) && code.has(rights::L | rights::DB) {
        return Err(code.refuse("the code segment has both L and D set"));
    }
    if cpu.cpl() == 0 && fred::is_active(cpu) && !code.has(rights::L) {
        return Err(code.refuse("compatibility mode at CPL 0 under FRED"));
    }
    Ok(())
}

/// A code segment's descriptor.
///
/// # Errors
/// #GP(0) for a null selector, else #GP with the selector.
pub(super) fn code(cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, selector: u16) -> Result<Descriptor, Halt> {
    if is_null(selector) {
        return Err(Event::gp0("CS with a null selector").into());
    }
    match Descriptor::find(cpu, mem, selector)? {
        None => Err(Event::gp0("the selector lies beyond its table").on(selector).into()),
        Some(found) if !found.is_code() => Err(found.refuse("the segment holds no code").into()),
        Some(found) => Ok(found),
    }
}

/// Switches to the stack that the TSS has for privilege `cpl` or, in IA-32e mode, to entry `ist` of its interrupt stack table. CS is the
/// new one already. Gives the selector that #SS on the new stack has.
///
/// # Errors
/// #TS and #SS, and what the bus answers.
pub(super) fn switch(cpu: &mut Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, cpl: u8, ist: u8) -> Result<u16, Halt> {
    let tr = cpu.system().tr;
    let wide = tr.attr & 8 != 0;
    let level = u64::from(cpl);
    let (offset, size) = match (long(cpu), wide, ist) {
        (true, _, 0) => (4 + 8 * level, 8),
        (true, _, ist) => (28 + 8 * u64::from(ist), 8),
        (false, true, _) => (4 + 8 * level, 6),
        (false, false, _) => (2 + 4 * level, 4),
    };
    if offset + size - 1 > u64::from(tr.limit) {
        return Err(Event::ts0("the TSS ends before the stack pointer").on(tr.selector).into());
    }
    let wrap = if long(cpu) { u64::MAX } else { 0xffff_ffff };
    let at = |offset| tr.base.wrapping_add(offset) & wrap;
    if long(cpu) {
        let rsp = read_own(mem, at(offset), 8)?;
        if !address::canonical(cpu, rsp) {
            return Err(Event::ss0("the new RSP is not canonical").into());
        }
        if ist == 0 || cpl != cpu.cpl() {
            cpu.update(|s| s.seg[Seg::Ss as usize] = descriptor::null(u16::from(cpl), cpl));
        }
        cpu.gpr[RSP] = rsp;
        mem.follow(cpu);
        return Ok(0);
    }
    let (pointer, selector) = if wide { (4, 4) } else { (2, 2) };
    let rsp = read_own(mem, at(offset), pointer)?;
    let selector = read_own(mem, at(offset + selector), 2)? as u16;
    let segment = descriptor::load_stack(cpu, mem, selector, cpl, Event::ts0)?;
    cpu.update(|s| s.seg[Seg::Ss as usize] = segment);
    set_stack(cpu, rsp);
    mem.follow(cpu);
    Ok(selector)
}

/// Are SYSCALL and SYSRET enabled (EFER.SCE)?
pub(super) fn has_system_calls(cpu: &Cpu) -> bool {
    cpu.system().efer & efer::SCE != 0
}

/// Makes the TSS of `selector`, which TR had, available again.
pub(super) fn mark_available(cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, selector: u16) -> Result<(), Halt> {
    match Descriptor::find(cpu, mem, selector)? {
        Some(found) => found.release(mem),
        None => Ok(()),
    }
}
