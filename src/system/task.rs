//! Task switches (SDM volume 3, chapter 8, "Task Management"): JMP, CALL, INT n, exceptions, interrupts and IRET through task
//! states of 16 and 32 bits. IA-32e mode has none.

use super::cet::{Enforcement, Link};
use super::descriptor::{self, Descriptor, is_null, kind, own, read_own, rpl};
use super::frame::{self, Frame};
use crate::access::{Halt, Mem};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::registers::{cr0, cr4, rflags};
use crate::cpu::segment::{Seg, Segment, rights};
use crate::cpu::{Cpu, Mode};
use crate::event::{DR6_BT, Event, Stop};

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// What asks for a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// JMP.
    Jump,
    /// CALL, INT n, an exception or an interrupt: the new task is linked to the old one.
    Nests,
    /// IRET.
    Returns,
}

/// Where a task state of 32 bits, and one of 16 bits, has what is saved and loaded.
struct Layout {
    /// The least limit that its segment may have.
    limit: u32,
    cr3: Option<u8>,
    /// rIP, with the flags and the general-purpose registers behind it.
    rip: u8,
    /// Bytes of each.
    size: u8,
    /// ES, with the other segment registers behind it, in places of `size` bytes.
    segments: u8,
    /// How many of them there are.
    count: u8,
    ldt: u8,
    trap: Option<u8>,
}

const WIDE: Layout =
    Layout { limit: 0x67, cr3: Some(0x1c), rip: 0x20, size: 4, segments: 0x48, count: 6, ldt: 0x60, trap: Some(0x64) };
const NARROW: Layout =
    Layout { limit: 0x2b, cr3: None, rip: 0x0e, size: 2, segments: 0x22, count: 4, ldt: 0x2a, trap: None };

/// Where a task state of 32 bits has SSP, and its last byte.
const SSP: u8 = 0x68;
const SSP_END: u32 = SSP as u32 + 3;

fn layout(segment: &Segment) -> &'static Layout {
    if segment.attr & 8 != 0 { &WIDE } else { &NARROW }
}

/// The TSS that a selector names, in a task gate, a far pointer or a link; `fault` says what is wrong with it.
///
/// # Errors
/// `fault` and #NP with the selector, and what the bus answers.
pub(super) fn find(
    cpu: &Cpu,
    mem: &mut Memory<'_, '_>,
    selector: u16,
    asks: Asks,
    fault: fn(&'static str) -> Event,
) -> Result<Descriptor, Halt> {
    let refuse = |cause| fault(cause).on(selector);
    if is_null(selector) || selector & 4 != 0 {
        return Err(refuse("the selector of a TSS is null or names the LDT").into());
    }
    let Some(found) = Descriptor::find(cpu, mem, selector)? else {
        return Err(refuse("the selector of a TSS lies beyond the GDT").into());
    };
    let fits = match asks {
        Asks::Returns => matches!(found.kind(), kind::BUSY | kind::BUSY16),
        _ => matches!(found.kind(), kind::TSS | kind::TSS16),
    };
    if !found.is_system() || !fits {
        return Err(refuse("no TSS, or one that is busy, or on return not busy").into());
    }
    found.present()?;
    Ok(found)
}

/// A linear address in a task state.
fn at(segment: &Segment, offset: u64) -> u64 {
    segment.base.wrapping_add(offset) & 0xffff_ffff
}

/// Switches to the task of `tss`, in a closure of [`frame::whole`]. `rip` and `flags` are what the old task goes on with, `error` is
/// pushed onto the new one's stack. Gives the fault that the new task has begun with.
///
/// # Errors
/// What is met before the switch is committed.
pub(super) fn switch(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    mut tss: Descriptor,
    asks: Asks,
    (rip, flags): (u64, u64),
    error: Option<u32>,
) -> Result<Option<Event>, Halt> {
    let (old, mut new) = (cpu.system().tr, tss.segment());
    let (from, to) = (layout(&old), layout(&new));
    if new.limit < to.limit {
        return Err(Event::ts0("the new TSS is too small").on(tss.selector).into());
    }
    if old.limit < from.limit {
        return Err(Event::ts0("the old TSS is too small").on(old.selector).into());
    }
    let cpl = cpu.cpl();
    if asks == Asks::Returns && cet.has_stack(cpl) && cpu.system().ssp & 7 != 0 {
        return Err(Event::ts0("IRET to a task with an SSP that is not aligned").on(old.selector).into());
    }
    let enforced = cpu.system().cr4 & cr4::CET != 0;
    let end = if enforced { SSP_END } else { to.limit };
    if new.limit < end || enforced && to.size != WIDE.size {
        return Err(Event::ts0("CR4.CET asks for a TSS with an SSP").on(tss.selector).into());
    }
    // All that is read and written before the switch is committed.
    let whole = end as usize + 1;
    mem.probe(at(&new, 0), whole, &own(AccessKind::Read, whole as u16))?;
    if asks == Asks::Nests {
        mem.probe(at(&new, 0), 2, &own(AccessKind::Write, 2))?;
    }
    let words = 10 * usize::from(from.size);
    let place = at(&old, from.rip.into());
    mem.probe(place, words, &own(AccessKind::Write, words as u16))?;
    let selectors = (0..from.count).map(|i| at(&old, u64::from(from.segments + i * from.size)));
    for place in selectors.clone() {
        mem.probe(place, 2, &own(AccessKind::Write, 2))?;
    }
    let shadow = match enforced {
        true => Some(leave_shadow_stack(cpu, mem, cet, &new, asks, rip)?),
        false => None,
    };

    // The old task's state.
    let nested = if asks == Asks::Returns { rflags::NT } else { 0 };
    let mut image = [0; 40];
    let registers = cpu.gpr[..8].iter().copied();
    for (part, value) in image.chunks_mut(from.size.into()).zip([rip, flags & !nested].into_iter().chain(registers)) {
        part.copy_from_slice(&value.to_le_bytes()[..part.len()]);
    }
    mem.write(place, &image[..words], &own(AccessKind::Write, from.size.into()))?;
    for (place, segment) in selectors.zip(cpu.system().seg) {
        mem.write(place, &segment.selector.to_le_bytes(), &own(AccessKind::Write, 2))?;
    }
    if asks != Asks::Nests {
        frame::mark_available(cpu, mem, old.selector)?;
    } else {
        mem.write(at(&new, 0), &old.selector.to_le_bytes(), &own(AccessKind::Write, 2))?;
    }
    if asks != Asks::Returns {
        tss.mark(mem, kind::MAKES_BUSY)?;
    }
    new.attr |= u32::from(kind::MAKES_BUSY);

    // The new one's.
    let loaded = State::read(mem, &new, to)?;
    let shadow = match shadow {
        Some(link) => {
            let ssp = read_own(mem, at(&new, SSP.into()), 4)?;
            link.free(mem)?;
            Some((link, ssp))
        }
        None => None,
    };
    let paging = cpu.system().cr0 & cr0::PG != 0;
    let mut next = cpu.system().clone();
    next.tr = new;
    next.cr0 |= cr0::TS;
    if let (Some(cr3), true) = (loaded.cr3, paging) {
        next.cr3 = cr3;
        if cr3 != cpu.system().cr3 {
            mem.vmm.paging(&next, false)?;
        }
    }
    next.ldtr = descriptor::null(loaded.ldt, 0);
    let v86 = loaded.flags & rflags::VM != 0;
    let cpl = if v86 { 3 } else { rpl(loaded.segments[Seg::Cs as usize]) };
    for (segment, selector) in next.seg.iter_mut().zip(loaded.segments) {
        *segment = match v86 {
            true => Segment { selector, attr: 0xf3, limit: 0xffff, base: u64::from(selector) << 4 },
            false => descriptor::null(selector, cpl),
        };
    }
    cpu.update(|s| *s = next);
    let nests = if asks == Asks::Nests { rflags::NT } else { 0 };
    cpu.set_rflags(loaded.flags | nests);
    cpu.gpr[..8].copy_from_slice(&loaded.registers);
    cpu.rip = loaded.rip;
    mem.follow(cpu);

    // From here on faults are the new task's.
    let qualified = qualify(cpu, mem, &loaded, cpl).and_then(|()| {
        let begun = begin(cpu, mem, to.size, error);
        if let (Some((link, ssp)), true) = (&shadow, begun.as_ref().err().is_none_or(is_fault)) {
            // Before that by the manual; but a token can be taken only once, and not before a retry.
            let refusal = Event::ts0("the new task's SSP is not aligned").on(tss.selector);
            cet.enter_task(cpu, mem, link, asks, (*ssp, refusal))?;
        }
        begun
    });
    match qualified {
        Ok(()) => {
            // DR7's local enables belong to the old task.
            cpu.update(|s| s.dr[7] &= !0x155);
            if loaded.traps {
                cpu.set_pending_debug(cpu.pending_debug() | DR6_BT);
            }
            Ok(None)
        }
        Err(Halt::Stop(Stop::Fault(event))) => Ok(Some(event)),
        Err(halt) => Err(halt),
    }
}

/// What a task state says.
struct State {
    cr3: Option<u64>,
    rip: u64,
    flags: u64,
    registers: [u64; 8],
    /// ES, CS, SS, DS, FS, GS.
    segments: [u16; 6],
    ldt: u16,
    /// T.
    traps: bool,
}

impl State {
    fn read(mem: &mut Memory<'_, '_>, tss: &Segment, layout: &Layout) -> Result<State, Halt> {
        let mut image = [0; 0x68];
        let len = layout.limit as usize + 1;
        mem.read_image(at(tss, 0), &mut image[..len], &own(AccessKind::Read, layout.size.into()))?;
        let size = usize::from(layout.size);
        let word = |at: usize, size: usize| {
            let mut bytes = [0; 8];
            bytes[..size].copy_from_slice(&image[at..at + size]);
            u64::from_le_bytes(bytes)
        };
        // A task of 16 bits begins with the upper halves of its registers set.
        let upper = if size == 2 { 0xffff_0000 } else { 0 };
        let entry = |i: usize| word(usize::from(layout.rip) + i * size, size);
        let mut segments = [0; 6];
        for (i, selector) in segments.iter_mut().take(layout.count.into()).enumerate() {
            *selector = word(usize::from(layout.segments) + i * size, 2) as u16;
        }
        Ok(State {
            cr3: layout.cr3.map(|at| word(at.into(), 4)),
            rip: entry(0),
            flags: entry(1),
            registers: core::array::from_fn(|i| entry(2 + i) | upper),
            segments,
            ldt: word(layout.ldt.into(), 2) as u16,
            traps: layout.trap.is_some_and(|at| word(at.into(), 2) & 1 != 0),
        })
    }
}

/// What the old task's shadow stack has for the new one. The manual wants no task of virtual-8086 mode with CET for programs.
fn leave_shadow_stack(
    cpu: &Cpu,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    new: &Segment,
    asks: Asks,
    rip: u64,
) -> Result<Link, Halt> {
    let flags = read_own(mem, at(new, u64::from(WIDE.rip + WIDE.size)), 4)?;
    let cs = read_own(mem, at(new, u64::from(WIDE.segments + WIDE.size)), 2)? as u16;
    let v86 = flags & rflags::VM != 0;
    if v86 && cet.has_user() {
        return Err(Event::ts0("a task of virtual-8086 mode with CET enabled for programs").on(new.selector).into());
    }
    cet.leave_task(cpu, mem, asks, rip, if v86 { 3 } else { rpl(cs) })
}

fn is_fault(halt: &Halt) -> bool {
    matches!(halt, Halt::Stop(Stop::Fault(_)))
}

/// Loads the descriptors of the new task.
fn qualify(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, loaded: &State, cpl: u8) -> Result<(), Halt> {
    if !is_null(loaded.ldt) {
        let refuse = |cause| Event::ts0(cause).on(loaded.ldt);
        let found = if loaded.ldt & 4 != 0 { None } else { Descriptor::find(cpu, mem, loaded.ldt)? };
        match found {
            Some(found) if found.is_system() && found.kind() == kind::LDT && found.has(rights::P) => {
                cpu.update(|s| s.ldtr = found.segment());
            }
            _ => return Err(refuse("the LDT of the new task is none, or not present").into()),
        }
    }
    if cpu.mode() != Mode::V86 {
        let mut code = code(cpu, mem, loaded.segments[Seg::Cs as usize])?;
        let stack = descriptor::load_stack(cpu, mem, loaded.segments[Seg::Ss as usize], cpl, Event::ts0)?;
        cpu.update(|s| s.seg[Seg::Ss as usize] = stack);
        frame::enter(cpu, mem, &mut code, cpl)?;
        for seg in [Seg::Es, Seg::Ds, Seg::Fs, Seg::Gs] {
            let segment = descriptor::load_data(cpu, mem, loaded.segments[seg as usize], Event::ts0)?;
            cpu.update(|s| s.seg[seg as usize] = segment);
        }
    }
    Ok(())
}

/// Pushes an error code, of `size` bytes, and checks RIP.
fn begin(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, size: u8, error: Option<u32>) -> Result<(), Halt> {
    if let Some(error) = error {
        let mut frame = Frame::new(size);
        frame.add(error.into());
        frame.push(cpu, mem, 0)?;
    }
    crate::integer::check_target(cpu, cpu.rip)?;
    Ok(())
}

/// The code segment of a task.
fn code(cpu: &Cpu, mem: &mut Memory<'_, '_>, selector: u16) -> Result<Descriptor, Halt> {
    let refuse = |cause| Event::ts0(cause).on(selector);
    let found = if is_null(selector) { None } else { Descriptor::find(cpu, mem, selector)? };
    let Some(code) = found.filter(Descriptor::is_code) else {
        return Err(refuse("the code segment of the new task is none").into());
    };
    let allowed = if code.is_conforming() { code.dpl() <= rpl(selector) } else { code.dpl() == rpl(selector) };
    if !allowed {
        return Err(refuse("the DPL of the new task's code segment does not fit its RPL").into());
    }
    code.present()?;
    Ok(code)
}

/// IRET with NT set: to the task that the link of this one's TSS names.
///
/// # Errors
/// #TS and #NP with the link's selector, and what the bus answers.
pub(super) fn return_to(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    rip: u64,
) -> Result<Option<Event>, Halt> {
    let tr = cpu.system().tr;
    let link = read_own(mem, at(&tr, 0), 2)? as u16;
    let tss = find(cpu, mem, link, Asks::Returns, Event::ts0)?;
    let flags = cpu.rflags();
    switch(cpu, mem, cet, tss, Asks::Returns, (rip, flags), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_end_where_the_manual_says() {
        for layout in [&WIDE, &NARROW] {
            assert_eq!(u32::from(layout.segments + layout.count * layout.size), u32::from(layout.ldt));
            assert_eq!(layout.rip + 10 * layout.size, layout.segments);
            assert!(u32::from(layout.ldt) < layout.limit && layout.limit < 0x68);
        }
    }
}
