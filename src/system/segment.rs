//! Loads of segment registers, LDTR and TR, and the questions about descriptors: LAR, LSL, VERR, VERW.

use super::descriptor::{self, Descriptor, is_null, kind, long, rpl};
use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::rflags;
use crate::cpu::segment::{Seg, Segment, rights};
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::{Event, Retired};
use crate::integer::{self, write_slot};
use crate::isa::row::FarOp;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// A selector in a register or in memory.
fn selector(cpu: &Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, i: usize) -> Result<u16, Halt> {
    let slot = insn.slot(i);
    if slot.kind != SlotKind::Memory {
        return Ok(integer::read_slot(cpu, insn, Slot { size: 2, ..slot }) as u16);
    }
    let at = linear(cpu, insn.seg, address::effective(cpu, insn), 2, Intent::Read)?;
    integer::aligned(cpu, at, 2)?;
    let mut buf = [0; 2];
    let access = mem.access(AccessKind::Read, 2);
    mem.read(at, &mut buf, &access)?;
    Ok(u16::from_le_bytes(buf))
}

/// Reads an offset and the selector behind it.
pub(super) fn far_pointer(cpu: &Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(u16, u64), Halt> {
    let size = far_size(insn);
    let offset = address::effective(cpu, insn);
    let low = part(cpu, insn, mem, offset, size)?;
    let selector = part(cpu, insn, mem, address::truncate(offset.wrapping_add(u64::from(size)), insn.asize()), 2)?;
    Ok((selector as u16, low))
}

/// A part of a far pointer; each wraps by itself (seen on Zen 4).
fn part(cpu: &Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, offset: u64, size: u8) -> Result<u64, Halt> {
    let at = linear(cpu, insn.seg, offset, u64::from(size), Intent::Read)?;
    integer::aligned(cpu, at, u16::from(size))?;
    let mut buf = [0; 8];
    let access = mem.access(AccessKind::Read, u16::from(size));
    mem.read(at, &mut buf[..usize::from(size)], &access)?;
    Ok(u64::from_le_bytes(buf))
}

/// Bytes of the offset in a far pointer: the operand size, but that AMD's processors have none of 64 bits.
pub(super) fn far_size(insn: &Insn) -> u8 {
    insn.memory().map_or(insn.osize(), |(slot, _)| slot.size as u8 - 2)
}

fn segment_register(reg: u8) -> Seg {
    Seg::ALL[usize::from(reg) % 6]
}

/// MOV to a segment register.
pub(super) fn load(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, retired: &mut Retired) -> Result<(), Halt> {
    let seg = segment_register(insn.slot(0).reg);
    if seg == Seg::Cs {
        return Err(Event::ud("MOV to CS").into());
    }
    let selector = selector(cpu, insn, mem, 1)?;
    let segment = descriptor::load(cpu, mem, seg, selector)?;
    cpu.update(|s| s.seg[seg as usize] = segment);
    retired.mov_ss = seg == Seg::Ss;
    Ok(())
}

/// LKGS: as MOV to GS, but the base goes to IA32_KERNEL_GS_BASE.
pub(super) fn load_kernel_gs(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let selector = selector(cpu, insn, mem, 0)?;
    let segment = descriptor::load(cpu, mem, Seg::Gs, selector)?;
    cpu.update(|s| {
        let gs = &mut s.seg[Seg::Gs as usize];
        *gs = Segment { base: gs.base, ..segment };
        s.kernel_gs_base = segment.base;
    });
    Ok(())
}

/// POP of a segment register: an entry of the operand size, of which the lower two bytes count.
pub(super) fn pop(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, retired: &mut Retired) -> Result<(), Halt> {
    let seg = segment_register(insn.slot(0).reg);
    let value = integer::load_stack_at(cpu, mem, address::stack_offset(cpu, 0), insn.osize())?;
    let segment = descriptor::load(cpu, mem, seg, value as u16)?;
    // The stack that was popped from counts, not the one that is loaded.
    integer::set_stack(cpu, address::stack_offset(cpu, i64::from(insn.osize())));
    cpu.update(|s| s.seg[seg as usize] = segment);
    retired.mov_ss = seg == Seg::Ss;
    Ok(())
}

/// LDS, LES, LFS, LGS, LSS.
pub(super) fn load_far(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let seg = segment_register(insn.slot(2).reg);
    let (selector, offset) = far_pointer(cpu, insn, mem)?;
    let segment = descriptor::load(cpu, mem, seg, selector)?;
    cpu.update(|s| s.seg[seg as usize] = segment);
    write_slot(cpu, insn.slot(0), offset);
    Ok(())
}

/// LLDT.
pub(super) fn load_table(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let selector = selector(cpu, insn, mem, 0)?;
    if is_null(selector) {
        cpu.update(|s| s.ldtr = descriptor::null(selector, 0));
        return Ok(());
    }
    let found = system_segment(cpu, mem, selector, |kind| kind == kind::LDT)?;
    cpu.update(|s| s.ldtr = found.segment());
    Ok(())
}

/// LTR: the TSS becomes busy.
pub(super) fn load_task(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let selector = selector(cpu, insn, mem, 0)?;
    if is_null(selector) {
        return Err(Event::gp0("LTR with a null selector").into());
    }
    let long = long(cpu);
    let available = |kind| kind == kind::TSS || kind == kind::TSS16 && !long;
    let mut found = system_segment(cpu, mem, selector, available)?;
    found.mark(mem, kind::MAKES_BUSY)?;
    cpu.update(|s| s.tr = found.segment());
    Ok(())
}

/// A system segment of the GDT, with all of its base.
fn system_segment(
    cpu: &Cpu,
    mem: &mut Memory<'_, '_>,
    selector: u16,
    fits: impl Fn(u8) -> bool,
) -> Result<Descriptor, Halt> {
    let refuse = |cause| Event::gp0(cause).on(selector);
    if selector & 4 != 0 {
        return Err(refuse("the selector names the LDT").into());
    }
    let Some(mut found) = Descriptor::find(cpu, mem, selector)? else {
        return Err(refuse("the selector lies beyond its table").into());
    };
    if !found.is_system() || !fits(found.kind()) {
        return Err(refuse("the descriptor is of another type").into());
    }
    found.present()?;
    found.widen(cpu, mem)?;
    if !address::canonical(cpu, found.segment().base) {
        return Err(refuse("the segment's base is not canonical").into());
    }
    Ok(found)
}

/// LAR, LSL, VERR, VERW: ZF says whether the descriptor may be looked at so.
pub(super) fn question(op: FarOp, cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let verifies = matches!(op, FarOp::VerifyRead | FarOp::VerifyWrite);
    let selector = selector(cpu, insn, mem, if verifies { 0 } else { 1 })?;
    let found = if is_null(selector) { None } else { Descriptor::find(cpu, mem, selector)? };
    let answered = found.filter(|found| answers(op, cpu, found, selector));
    if let Some(found) = answered {
        match op {
            FarOp::Lar => write_slot(cpu, insn.slot(0), found.rights()),
            FarOp::Lsl => write_slot(cpu, insn.slot(0), u64::from(found.limit())),
            _ => {}
        }
    }
    cpu.merge_flags(rflags::ZF, if answered.is_some() { rflags::ZF } else { 0 });
    Ok(())
}

fn answers(op: FarOp, cpu: &Cpu, found: &Descriptor, selector: u16) -> bool {
    use kind::*;
    let long = long(cpu);
    let reached = found.is_conforming() || found.dpl() >= cpu.cpl().max(rpl(selector));
    let fits = match (op, found.is_system(), found.kind()) {
        (FarOp::VerifyRead, system, _) => !system && (!found.is_code() || found.has(rights::WRITABLE)),
        (FarOp::VerifyWrite, system, _) => !system && !found.is_code() && found.has(rights::WRITABLE),
        (_, false, _) => true,
        (_, _, LDT | TSS | BUSY) => true,
        (_, _, TSS16 | BUSY16) => !long,
        (FarOp::Lar, _, CALL) => true,
        (FarOp::Lar, _, CALL16 | TASK) => !long,
        _ => false,
    };
    reached && fits
}
