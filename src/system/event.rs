//! Delivery of exceptions and interrupts through the interrupt vector table or the IDT (SDM volume 3, chapter 6).

use super::cet::{Enforcement, Origin, Stack};
use super::descriptor::{kind, long, read_own};
use super::frame::{self, Frame};
use super::fred;
use super::task::{self, Asks};
use crate::access::{Halt, Mem};
use crate::bus::Vmm;
use crate::cpu::registers::gpr::RSP;
use crate::cpu::registers::{cr4, rflags};
use crate::cpu::segment::{Seg, rights};
use crate::cpu::{Blocking, Cpu, Mode};
use crate::event::{Event, EventKind, Stop};
use crate::profile::Profile;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// What became of a delivery.
pub(crate) enum Delivered {
    /// RIP is at a handler: of the event, or of the exception or double fault that its delivery met.
    Handler,
    /// Triple fault.
    Shutdown,
}

/// Delivers `event`, which comes between the iterations of a string instruction or not; an exception on the way is delivered in its place, or makes a double fault (SDM volume 3, table 6-5).
///
/// # Errors
/// What the bus answers but for faults; nothing is changed then.
pub(crate) fn deliver(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    event: Event,
    repeating: bool,
    profile: &Profile,
) -> Result<Delivered, Halt> {
    /// Exceptions in place of one another at most. By table 6-5 the third is the end; a bus can answer with others for ever.
    const MOST: usize = 4;
    let (mut event, rip) = (event, cpu.rip);
    for _ in 0..MOST {
        let second = match frame::whole(cpu, mem, |cpu, mem| once(cpu, mem, event, repeating, profile)) {
            Ok(None) => return Ok(Delivered::Handler),
            // Another task has begun with it.
            Ok(Some(second)) => second,
            Err(Halt::Stop(Stop::Fault(second))) => {
                // A fault of the instruction that asked, whose RIP the handler gets.
                cpu.rip = cpu.rip.wrapping_sub(u64::from(event.length)) & cpu.word().wrap;
                second
            }
            Err(halt) => {
                cpu.rip = rip;
                return Err(halt);
            }
        };
        // What the processor does by itself is no fault of the program's.
        let second = Event { nested: true, ..external(event, second) };
        if let Some(cr2) = second.cr2 {
            cpu.update(|s| s.cr2 = cr2);
        }
        event = match (class(event), class(second)) {
            (Class::Double, Class::Contributory | Class::Page) => return Ok(Delivered::Shutdown),
            (Class::Contributory, Class::Contributory) | (Class::Page, Class::Contributory | Class::Page) => {
                Event::df("an exception while another was delivered")
            }
            _ => second,
        };
    }
    Ok(Delivered::Shutdown)
}

/// Sets EXT in the error code of an exception that the delivery of `first` met, unless a program asked for it.
fn external(first: Event, second: Event) -> Event {
    let asked = first.kind.is_software();
    match second.error_code {
        Some(code) if !asked && (10..=13).contains(&second.vector) => Event { error_code: Some(code | 1), ..second },
        _ => second,
    }
}

#[derive(PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    Page,
    Double,
}

fn class(event: Event) -> Class {
    match (event.kind, event.vector) {
        (EventKind::Interrupt | EventKind::Nmi, _) => Class::Benign,
        (kind, _) if kind.is_software() => Class::Benign,
        (_, 8) => Class::Double,
        (_, 14 | 20) => Class::Page,
        (_, 0 | 10..=13 | 21) => Class::Contributory,
        _ => Class::Benign,
    }
}

fn once(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    event: Event,
    repeating: bool,
    profile: &Profile,
) -> Result<Option<Event>, Halt> {
    if event.vector == 1 && !event.kind.is_software() {
        // DR7.GD ends with the exception that it raises.
        cpu.update(|s| s.dr[7] &= !(1 << 13));
    }
    let mut begun_with = None;
    let redirected =
        cpu.mode() == Mode::V86 && event.kind == EventKind::Software && through_vector_table(cpu, mem, event)?;
    if fred::is_active(cpu) {
        let flags = pushed_flags(cpu, event, repeating);
        fred::deliver(cpu, mem, event, flags, profile)?;
    } else if cpu.mode() == Mode::Real16 || redirected {
        real(cpu, mem, event)?;
    } else {
        let cet = &Enforcement::of(cpu, mem, profile)?.restarting();
        match gate(cpu, mem, event)? {
            Route::Code(gate) => protected(cpu, mem, cet, event, &gate, repeating)?,
            Route::Task(selector) => {
                let tss = task::find(cpu, mem, selector, Asks::Nests, Event::gp0)?;
                let back = (cpu.rip, pushed_flags(cpu, event, repeating));
                let switched = task::switch(cpu, mem, cet, tss, Asks::Nests, back, event.error_code);
                if matches!(switched, Err(ref halt) if !matches!(halt, Halt::Stop(Stop::Fault(_)))) {
                    // The delivery starts anew, and must not find the task busy with itself.
                    tss.release(mem)?;
                }
                begun_with = switched?;
            }
        }
    }
    let nmi = cpu.blocking().nmi || event.kind == EventKind::Nmi;
    cpu.set_blocking(Blocking { mov_ss: false, sti: false, nmi });
    Ok(begun_with)
}

/// RFLAGS as they are pushed (SDM volume 3, 18.3.1.1). A fault comes back to its instruction, and so does what interrupts one that
/// is repeated: its breakpoints are not to match again.
fn pushed_flags(cpu: &Cpu, event: Event, repeating: bool) -> u64 {
    let between = matches!(event.kind, EventKind::Interrupt | EventKind::Nmi | EventKind::Trap) && repeating;
    cpu.rflags() | if event.kind == EventKind::Fault || between { rflags::RF } else { 0 }
}

/// INT n in virtual-8086 mode (INT3 and INTO are not asked about): does the TSS's bitmap (CR4.VME) send it through the vector table?
///
/// # Errors
/// #GP(0) for INT n with IOPL below 3 that it does not.
fn through_vector_table(cpu: &Cpu, mem: &mut Memory<'_, '_>, event: Event) -> Result<bool, Halt> {
    if cpu.system().cr4 & cr4::VME != 0 {
        let tr = cpu.system().tr;
        let at = |offset: u64| tr.base.wrapping_add(offset) & 0xffff_ffff;
        // The 32 bytes below the permission bitmap of the ports.
        let map = read_own(mem, at(0x66), 2)?;
        let byte = map.wrapping_sub(32).wrapping_add(u64::from(event.vector) / 8) & 0xffff;
        if byte > u64::from(tr.limit) {
            return Err(Event::gp0("the TSS ends before the redirection bitmap").into());
        }
        if read_own(mem, at(byte), 1)? >> (event.vector & 7) & 1 == 0 {
            return Ok(true);
        }
    }
    match cpu.rflags() & rflags::IOPL == rflags::IOPL {
        true => Ok(false),
        false => Err(Event::gp0("INT n in virtual-8086 mode with IOPL below 3").into()),
    }
}

/// Through a table of offsets and segments; the flags of virtual-8086 mode show IOPL 3, and IF where VIF is meant.
fn real(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, event: Event) -> Result<(), Halt> {
    let vector = u64::from(event.vector);
    let v86 = cpu.mode() == Mode::V86;
    let (base, limit) = if v86 { (0, 0x3ff) } else { (cpu.system().idtr.base, u64::from(cpu.system().idtr.limit)) };
    if 4 * vector + 3 > limit {
        return Err(at_vector(event, Event::gp0("the vector lies beyond the limit of IDTR")).into());
    }
    let entry = read_own(mem, base.wrapping_add(4 * vector) & 0xffff_ffff, 4)?;
    let mut flags = cpu.rflags();
    let virtual_if = v86 && flags & rflags::IOPL != rflags::IOPL;
    if virtual_if {
        let shown = if flags & rflags::VIF != 0 { rflags::IF } else { 0 };
        flags = flags & !rflags::IF | shown | rflags::IOPL;
    }
    let mut back = Frame::new(2);
    back.add(flags);
    back.add(u64::from(cpu.seg(Seg::Cs).selector));
    back.add(cpu.rip);
    back.push(cpu, mem, 0)?;
    let segment = super::descriptor::real(cpu, Seg::Cs, (entry >> 16) as u16);
    cpu.update(|s| s.seg[Seg::Cs as usize] = segment);
    let cleared = if virtual_if { rflags::VIF } else { rflags::IF } | rflags::TF | rflags::AC | rflags::RF;
    cpu.set_rflags(cpu.rflags() & !cleared);
    Ok(frame::set_rip(cpu, entry & 0xffff)?)
}

/// The fault with the event's entry of the IDT as its error code, which bit 1 tells from a selector.
fn at_vector(event: Event, fault: Event) -> Event {
    Event { error_code: Some(u32::from(event.vector) << 3 | 2), ..fault }
}

/// A gate of the IDT.
struct Gate {
    selector: u16,
    offset: u64,
    /// Bytes of an entry that it pushes.
    size: u8,
    ist: u8,
    clears_if: bool,
}

/// Where a gate leads.
enum Route {
    Code(Gate),
    /// To the task with this selector.
    Task(u16),
}

/// Types of gates.
const INTERRUPT16: u8 = 6;
const TRAP16: u8 = 7;
const INTERRUPT: u8 = 14;
const TRAP: u8 = 15;

fn gate(cpu: &Cpu, mem: &mut Memory<'_, '_>, event: Event) -> Result<Route, Halt> {
    let is_long = long(cpu);
    let idtr = cpu.system().idtr;
    let vector = u64::from(event.vector);
    let at_vector = |fault| at_vector(event, fault);
    let length = if is_long { 16 } else { 8 };
    if vector * length + length - 1 > u64::from(idtr.limit) {
        return Err(at_vector(Event::gp0("the vector lies beyond the limit of the IDT")).into());
    }
    let at = idtr.base.wrapping_add(vector * length);
    let wrap = if is_long { u64::MAX } else { 0xffff_ffff };
    let low = read_own(mem, at & wrap, 8)?;
    let high = if is_long { read_own(mem, at.wrapping_add(8), 8)? } else { 0 };
    let (size, narrow) = match (low >> 40) as u8 & 0x1f {
        INTERRUPT | TRAP if is_long => (8, false),
        INTERRUPT | TRAP => (4, false),
        INTERRUPT16 | TRAP16 if !is_long => (2, true),
        kind::TASK if !is_long => (0, false),
        _ => return Err(at_vector(Event::gp0("the entry of the IDT is no gate")).into()),
    };
    if event.kind.is_software() && (low >> 45) as u8 & 3 < cpu.cpl() {
        return Err(at_vector(Event::gp0("the gate's DPL is below CPL")).into());
    }
    if low >> 47 & 1 == 0 {
        return Err(at_vector(Event::np0("the gate is not present")).into());
    }
    if size == 0 {
        return Ok(Route::Task((low >> 16) as u16));
    }
    let offset = low & 0xffff | if narrow { 0 } else { low >> 32 & 0xffff_0000 } | (high & 0xffff_ffff) << 32;
    Ok(Route::Code(Gate {
        selector: (low >> 16) as u16,
        offset,
        size,
        ist: if is_long { (low >> 32) as u8 & 7 } else { 0 },
        clears_if: low >> 40 & 1 == 0,
    }))
}

fn protected(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    event: Event,
    gate: &Gate,
    repeating: bool,
) -> Result<(), Halt> {
    let mut code = frame::code(cpu, mem, gate.selector)?;
    let (cpl, v86, is_long) = (cpu.cpl(), cpu.mode() == Mode::V86, long(cpu));
    if code.dpl() > cpl {
        return Err(code.refuse("the handler has less privilege").into());
    }
    if is_long && (!code.has(rights::L) || code.has(rights::DB)) {
        return Err(code.refuse("the handler's segment is not of 64 bits").into());
    }
    code.present()?;
    let inner = !code.is_conforming() && code.dpl() < cpl;
    let target = if inner { code.dpl() } else { cpl };
    if v86 && target != 0 {
        return Err(code.refuse("the handler of virtual-8086 mode has not CPL 0").into());
    }
    let (rip, rsp, flags) = (cpu.rip, cpu.gpr[RSP], pushed_flags(cpu, event, repeating));
    let origin = Origin::new(cpu, rip);
    let selectors = cpu.system().seg.map(|segment| u64::from(segment.selector));
    let [es, cs, ss, ds, fs, gs] = selectors;
    let mut back = Frame::new(gate.size);
    if v86 {
        [gs, fs, ds, es].into_iter().for_each(|selector| back.add(selector));
    }
    if inner || is_long {
        back.add(ss);
        back.add(rsp);
    }
    [flags, cs, rip].into_iter().for_each(|value| back.add(value));
    if let Some(code) = event.error_code {
        back.add(u64::from(code));
    }
    if v86 {
        cpu.set_rflags(cpu.rflags() & !rflags::VM);
    }
    frame::enter(cpu, mem, &mut code, target)?;
    let mut selector = 0;
    if inner || gate.ist != 0 {
        selector = frame::switch(cpu, mem, target, gate.ist)?;
    }
    if is_long {
        cpu.gpr[RSP] &= !0xf;
    }
    back.probe(cpu, mem, selector)?;
    frame::set_rip(cpu, gate.offset)?;
    let stack = match (inner, gate.ist) {
        (false, 0) => Stack::Same,
        (true, 0) => Stack::OfPrivilege,
        (_, entry) => Stack::OfTable(entry),
    };
    let shadow = cet.call(cpu, mem, origin, (target, is_long), stack)?;
    back.push(cpu, mem, selector)?;
    if v86 {
        let null = super::descriptor::null(0, 0);
        cpu.update(|s| [Seg::Es, Seg::Ds, Seg::Fs, Seg::Gs].into_iter().for_each(|seg| s.seg[seg as usize] = null));
    }
    let cleared = rflags::TF | rflags::VM | rflags::RF | rflags::NT | if gate.clears_if { rflags::IF } else { 0 };
    cpu.set_rflags(cpu.rflags() & !cleared);
    shadow.commit(cpu, mem)
}
