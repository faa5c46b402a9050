//! Instructions whose work is a sequence of accesses: the stack, calls, XLAT.

use super::{flags, frame, read_slot, value::check_target, write_slot};
use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear, replace, stack_offset, stack_width};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RAX, RBP, RBX, RSP};
use crate::cpu::segment::Seg;
use crate::decode::{Insn, Slot, SlotKind};
use crate::isa::row::SeqOp;
use crate::profile::{Profile, Vendor};

/// Runs `op`; RIP is already past the instruction when this returns without an error.
///
/// # Errors
/// Nothing but memory is changed when it fails, and memory only by stores that the journal holds.
pub(crate) fn sequence<V: Vmm + ?Sized>(
    op: SeqOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    profile: &Profile,
) -> Result<(), Halt> {
    let next = super::next_rip(cpu, insn);
    match op {
        SeqOp::Push if insn.slot(0).kind == SlotKind::Segment => push_selector(cpu, insn, mem, profile)?,
        SeqOp::Push => {
            let value = read_operand(cpu, insn, mem, insn.slot(0))?;
            push(cpu, mem, insn.osize(), value)?;
        }
        SeqOp::Pop => return pop_operand(cpu, insn, mem),
        SeqOp::Pushf => {
            let value = flags::pushed(cpu, insn.osize())?;
            push(cpu, mem, insn.osize(), value)?;
        }
        SeqOp::Popf => {
            // Virtual-8086 mode is refused before the stack is looked at.
            flags::pushed(cpu, insn.osize())?;
            let value = load_stack(cpu, mem, 0, insn.osize())?;
            let flags = flags::popped(cpu, insn.osize(), value)?;
            set_stack(cpu, stack_offset(cpu, i64::from(insn.osize())));
            cpu.set_rflags(flags);
        }
        SeqOp::Call => {
            let target = match insn.slot(0).kind {
                SlotKind::Rel => insn.branch_target(cpu.rip),
                _ => read_operand(cpu, insn, mem, insn.slot(0))?,
            };
            if let Err(event) = check_target(cpu, target) {
                // A fault of the stack comes first.
                let (at, access) = push_place(cpu, mem, insn.osize())?;
                mem.probe(at, usize::from(insn.osize()), &access)?;
                return Err(event.into());
            }
            push(cpu, mem, insn.osize(), next)?;
            cpu.rip = target;
            return Ok(());
        }
        SeqOp::Ret => {
            let target = load_stack(cpu, mem, 0, insn.osize())?;
            check_target(cpu, target)?;
            let release = i64::from(insn.osize()) + insn.imm as i64;
            set_stack(cpu, stack_offset(cpu, release));
            cpu.rip = target;
            return Ok(());
        }
        SeqOp::Leave => {
            let width = stack_width(cpu);
            let frame = address::truncate(cpu.gpr[RBP], width);
            let value = load_stack_at(cpu, mem, frame, insn.osize())?;
            set_stack(cpu, address::truncate(frame.wrapping_add(u64::from(insn.osize())), width));
            write_slot(cpu, Slot { kind: SlotKind::Gpr, reg: RBP as u8, size: u16::from(insn.osize()) }, value);
        }
        SeqOp::Xlat => {
            let offset = address::truncate(cpu.gpr[RBX].wrapping_add(cpu.gpr[RAX] & 0xff), insn.asize());
            let at = linear(cpu, insn.seg, offset, 1, Intent::Read)?;
            let mut byte = [0];
            let access = mem.access(AccessKind::Read, 1);
            mem.read_last(at, &mut byte, &access)?;
            cpu.gpr[RAX] = cpu.gpr[RAX] & !0xff | u64::from(byte[0]);
        }
        SeqOp::Pusha => frame::push_all(cpu, insn, mem, profile)?,
        SeqOp::Popa => frame::pop_all(cpu, insn, mem, profile)?,
        SeqOp::Enter => frame::enter(cpu, insn, mem, profile)?,
        SeqOp::Push2 => frame::push_pair(cpu, insn, mem)?,
        SeqOp::Pop2 => frame::pop_pair(cpu, insn, mem)?,
        SeqOp::Bound => frame::bound(cpu, insn, mem)?,
    }
    cpu.rip = next;
    Ok(())
}

fn read_operand<V: Vmm + ?Sized>(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, V>, slot: Slot) -> Result<u64, Halt> {
    if slot.kind != SlotKind::Memory {
        return Ok(read_slot(cpu, insn, slot));
    }
    let at = linear(cpu, insn.seg, address::effective(cpu, insn), u64::from(slot.size), Intent::Read)?;
    super::aligned(cpu, at, slot.size)?;
    let mut buf = [0; 8];
    let access = mem.access(AccessKind::Read, slot.size);
    mem.read(at, &mut buf[..slot.size as usize], &access)?;
    Ok(u64::from_le_bytes(buf))
}

/// POP to a register or memory. The address of a memory operand counts RSP after the pop.
fn pop_operand<V: Vmm + ?Sized>(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    let slot = insn.slot(0);
    let size = insn.osize();
    let next = super::next_rip(cpu, insn);
    let after = stack_offset(cpu, i64::from(size));
    if slot.kind != SlotKind::Memory {
        let value = load_stack(cpu, mem, 0, size)?;
        set_stack(cpu, after);
        write_slot(cpu, slot, value);
        cpu.rip = next;
        return Ok(());
    }
    let old = cpu.gpr[RSP];
    set_stack(cpu, after);
    let offset = address::effective(cpu, insn);
    let result = pop_to_memory(cpu, insn, mem, old, offset);
    if result.is_err() {
        cpu.gpr[RSP] = old;
    } else {
        cpu.rip = next;
    }
    result
}

fn pop_to_memory<V: Vmm + ?Sized>(
    cpu: &Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    old_rsp: u64,
    offset: u64,
) -> Result<(), Halt> {
    let size = insn.osize();
    let source = address::truncate(old_rsp, stack_width(cpu));
    let value = load_stack_at(cpu, mem, source, size)?;
    let at = linear(cpu, insn.seg, offset, u64::from(size), Intent::Write)?;
    super::aligned(cpu, at, u16::from(size))?;
    let access = mem.access(AccessKind::Write, u16::from(size));
    mem.write(at, &value.to_le_bytes()[..size as usize], &access)
}

/// Pushes `size` bytes; RSP is changed when the store has succeeded.
pub(crate) fn push<V: Vmm + ?Sized>(cpu: &mut Cpu, mem: &mut Mem<'_, V>, size: u8, value: u64) -> Result<(), Halt> {
    let (at, access) = push_place(cpu, mem, size)?;
    mem.write_last(at, &value.to_le_bytes()[..size as usize], &access)?;
    set_stack(cpu, stack_offset(cpu, -i64::from(size)));
    Ok(())
}

/// PUSH of a segment register. Intel's processors store the selector alone where the entry has four bytes and leave the rest.
fn push_selector<V: Vmm + ?Sized>(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    profile: &Profile,
) -> Result<(), Halt> {
    let (size, value) = (insn.osize(), read_slot(cpu, insn, insn.slot(0)));
    if size != 4 || profile.vendor() != Vendor::Intel {
        return push(cpu, mem, size, value);
    }
    let offset = stack_offset(cpu, -i64::from(size));
    let (at, access) = push_place_at(cpu, mem, offset, 2)?;
    mem.write_last(at, &value.to_le_bytes()[..2], &access)?;
    set_stack(cpu, offset);
    Ok(())
}

/// Where a push of `size` bytes goes: its linear address.
fn push_place<V: Vmm + ?Sized>(cpu: &Cpu, mem: &Mem<'_, V>, size: u8) -> Result<(u64, Access), Halt> {
    push_place_at(cpu, mem, stack_offset(cpu, -i64::from(size)), size)
}

/// The linear address of an entry that is written, by its offset in the stack segment.
pub(super) fn push_place_at<V: Vmm + ?Sized>(
    cpu: &Cpu,
    mem: &Mem<'_, V>,
    offset: u64,
    size: u8,
) -> Result<(u64, Access), Halt> {
    let at = linear(cpu, Seg::Ss, offset, u64::from(size), Intent::Write)?;
    super::aligned(cpu, at, u16::from(size))?;
    Ok((at, mem.access(AccessKind::Write, u16::from(size))))
}

fn load_stack<V: Vmm + ?Sized>(cpu: &Cpu, mem: &mut Mem<'_, V>, delta: i64, size: u8) -> Result<u64, Halt> {
    load_stack_at(cpu, mem, stack_offset(cpu, delta), size)
}

pub(crate) fn load_stack_at<V: Vmm + ?Sized>(
    cpu: &Cpu,
    mem: &mut Mem<'_, V>,
    offset: u64,
    size: u8,
) -> Result<u64, Halt> {
    let at = linear(cpu, Seg::Ss, offset, u64::from(size), Intent::Read)?;
    super::aligned(cpu, at, u16::from(size))?;
    let mut buf = [0; 8];
    let access = mem.access(AccessKind::Read, u16::from(size));
    mem.read(at, &mut buf[..size as usize], &access)?;
    Ok(u64::from_le_bytes(buf))
}

pub(crate) fn set_stack(cpu: &mut Cpu, offset: u64) {
    cpu.gpr[RSP] = replace(cpu.gpr[RSP], offset, stack_width(cpu));
}
