//! Instructions that read or write several places, stack frames above all: PUSHA, POPA, ENTER, PUSH2, POP2, MOVDIR64B; and BOUND.

use super::sequence::{load_stack_at, push_place_at, set_stack};
use super::{read_slot, write_slot};
use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear, stack_offset, stack_width, truncate};
use crate::alu::sign_extend;
use crate::bus::{AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RBP, RSP};
use crate::cpu::segment::Seg;
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::{Event, Stop};
use crate::profile::{Profile, Vendor};

/// A general-purpose register of a width.
const fn gpr(reg: usize, size: u8) -> Slot {
    Slot { kind: SlotKind::Gpr, reg: reg as u8, size: size as u16 }
}

/// The entry that a push writes when `before` others have been pushed.
fn entry(cpu: &Cpu, before: i64, size: u8) -> u64 {
    stack_offset(cpu, -(before + 1) * i64::from(size))
}

/// Probes an entry of the stack for its store.
fn probe_entry<V: Vmm + ?Sized>(cpu: &Cpu, mem: &mut Mem<'_, V>, offset: u64, size: u8) -> Result<(), Halt> {
    let (at, access) = push_place_at(cpu, mem, offset, size)?;
    mem.probe(at, usize::from(size), &access)
}

/// Stores an entry of the stack.
fn store_entry<V: Vmm + ?Sized>(
    cpu: &Cpu,
    mem: &mut Mem<'_, V>,
    offset: u64,
    size: u8,
    value: u64,
) -> Result<(), Halt> {
    let (at, access) = push_place_at(cpu, mem, offset, size)?;
    mem.write(at, &value.to_le_bytes()[..usize::from(size)], &access)
}

/// Do entries stay that were moved before one that faults? AMD's processors (Zen 4) go through them one by one; for others
/// nothing is done by halves.
fn goes_by_entry(profile: &Profile) -> bool {
    profile.vendor() == Vendor::Amd
}

/// PUSHA: rAX, rCX, rDX, rBX, the old rSP, rBP, rSI, rDI.
pub(super) fn push_all<V: Vmm + ?Sized>(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    profile: &Profile,
) -> Result<(), Halt> {
    let size = insn.osize();
    if !goes_by_entry(profile) {
        (0..8).try_for_each(|i| probe_entry(cpu, mem, entry(cpu, i, size), size))?;
    }
    for i in 0..8 {
        store_entry(cpu, mem, entry(cpu, i, size), size, cpu.gpr[i as usize & 7])?;
    }
    set_stack(cpu, entry(cpu, 7, size));
    Ok(())
}

/// POPA: the image of rSP is passed over; AMD's processors (Zen 4) read it.
pub(super) fn pop_all<V: Vmm + ?Sized>(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    profile: &Profile,
) -> Result<(), Halt> {
    let size = insn.osize();
    let (mut values, mut done, mut result) = ([0; 8], 0, Ok(()));
    for (i, value) in values.iter_mut().enumerate() {
        if i != 7 - RSP || goes_by_entry(profile) {
            match load_stack_at(cpu, mem, stack_offset(cpu, i as i64 * i64::from(size)), size) {
                Ok(loaded) => *value = loaded,
                Err(halt) => {
                    result = Err(halt);
                    break;
                }
            }
        }
        done = i + 1;
    }
    match result {
        Ok(()) => {}
        Err(Halt::Stop(Stop::Fault(_))) if goes_by_entry(profile) => {}
        Err(halt) => return Err(halt),
    }
    let after = stack_offset(cpu, 8 * i64::from(size));
    for (i, value) in values.into_iter().enumerate().take(done).filter(|(i, _)| 7 - i != RSP) {
        write_slot(cpu, gpr(7 - i, size), value);
    }
    result?;
    set_stack(cpu, after);
    Ok(())
}

/// ENTER: the frame pointer, those of the enclosing levels, and room.
pub(super) fn enter<V: Vmm + ?Sized>(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    profile: &Profile,
) -> Result<(), Halt> {
    let (size, width) = (insn.osize(), stack_width(cpu));
    let (room, level) = ((insn.imm & 0xffff) as i64, (insn.imm >> 16) as i64 & 31);
    let frame = entry(cpu, 0, size);
    // The place to which the stack pointer will point must be writable too (SDM volume 2, ENTER).
    let top = truncate(entry(cpu, level, size).wrapping_sub(room as u64), width);
    if !goes_by_entry(profile) {
        (0..=level).try_for_each(|i| probe_entry(cpu, mem, entry(cpu, i, size), size))?;
        probe_entry(cpu, mem, top, size)?;
    }
    store_entry(cpu, mem, frame, size, cpu.gpr[RBP])?;
    for i in 1..level {
        let enclosing = truncate(cpu.gpr[RBP].wrapping_sub((i * i64::from(size)) as u64), width);
        let value = load_stack_at(cpu, mem, enclosing, size)?;
        store_entry(cpu, mem, entry(cpu, i, size), size, value)?;
    }
    let pointer = address::replace(cpu.gpr[RSP], frame, width);
    if level != 0 {
        store_entry(cpu, mem, entry(cpu, level, size), size, pointer)?;
    }
    probe_entry(cpu, mem, top, size)?;
    write_slot(cpu, gpr(RBP, size), pointer);
    set_stack(cpu, top);
    Ok(())
}

/// BOUND: an index that lies outside the bounds in memory, two numbers with signs, raises #BR.
pub(super) fn bound<V: Vmm + ?Sized>(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    let size = u16::from(insn.osize());
    let index = sign_extend(read_slot(cpu, insn, insn.slot(0)), size) as i64;
    let first = address::effective(cpu, insn);
    let access = mem.access(AccessKind::Read, size);
    let mut bounds = [0; 2];
    for (i, bound) in bounds.iter_mut().enumerate() {
        let offset = truncate(first.wrapping_add(i as u64 * u64::from(size)), insn.asize());
        let at = linear(cpu, insn.seg, offset, u64::from(size), Intent::Read)?;
        super::aligned(cpu, at, size)?;
        let mut bytes = [0; 8];
        mem.read(at, &mut bytes[..usize::from(size).min(8)], &access)?;
        *bound = sign_extend(u64::from_le_bytes(bytes), size) as i64;
    }
    if index < bounds[0] || index > bounds[1] {
        return Err(Event::br("an index out of the bounds of BOUND").into());
    }
    Ok(())
}

/// PUSH2: the first operand, then the second, as one store of 16 aligned bytes.
pub(super) fn push_pair<V: Vmm + ?Sized>(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    let offset = pair_at(cpu, -16)?;
    let at = linear(cpu, Seg::Ss, offset, 16, Intent::Write)?;
    let value = |i: usize| u128::from(cpu.gpr[usize::from(insn.slot(i).reg) & 31]);
    let access = mem.access(AccessKind::Write, 16);
    mem.write_last(at, &(value(0) << 64 | value(1)).to_le_bytes(), &access)?;
    set_stack(cpu, offset);
    Ok(())
}

/// POP2: the first operand, then the second.
pub(super) fn pop_pair<V: Vmm + ?Sized>(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    let at = linear(cpu, Seg::Ss, pair_at(cpu, 0)?, 16, Intent::Read)?;
    let (mut bytes, access) = ([0; 16], mem.access(AccessKind::Read, 16));
    mem.read_last(at, &mut bytes, &access)?;
    let value = u128::from_le_bytes(bytes);
    set_stack(cpu, stack_offset(cpu, 16));
    write_slot(cpu, insn.slot(0), value as u64);
    write_slot(cpu, insn.slot(1), (value >> 64) as u64);
    Ok(())
}

/// Where a pair on the stack is; it must be aligned.
fn pair_at(cpu: &Cpu, delta: i64) -> Result<u64, Event> {
    let offset = stack_offset(cpu, delta);
    if offset.is_multiple_of(16) { Ok(offset) } else { Err(Event::gp0("PUSH2 or POP2 on a misaligned stack")) }
}
