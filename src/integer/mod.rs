//! General-purpose instructions.
//!
//! Most are functions of values (`value`): operands are read, a pure function gives [`Effects`], and the effects are
//! committed after the store has succeeded. Those whose work is a sequence of accesses have rooms of their own.

mod bits;
mod decimal;
mod flags;
mod frame;
mod sequence;
mod string;
mod value;

pub(crate) use sequence::{load_stack_at, sequence, set_stack};
pub(crate) use string::{BATCH, BLOCK, Progress, element_size, string, uses_destination, uses_source};
pub(crate) use value::{Effects, Single, check_target, execute, is_met, plain, single};

use crate::address;
use crate::alu;
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::Event;
use crate::isa::row::IntOp;

/// The value of a register or immediate operand, zero-extended from its width.
#[inline(always)]
pub(crate) fn read_slot(cpu: &Cpu, insn: &Insn, slot: Slot) -> u64 {
    match slot.kind {
        SlotKind::Gpr => cpu.gpr[slot.reg as usize & 31] & alu::mask(slot.size),
        SlotKind::GprHigh => cpu.gpr[slot.reg as usize & 3] >> 8 & 0xff,
        SlotKind::Imm => insn.imm & alu::mask(slot.size),
        SlotKind::Rel => insn.imm,
        SlotKind::One => 1,
        SlotKind::Segment => u64::from(cpu.system().seg[slot.reg as usize % 6].selector),
        _ => 0,
    }
}

/// Writes a general-purpose register: 32 bits zero-extend, narrower writes keep the rest.
#[inline(always)]
pub(crate) fn write_slot(cpu: &mut Cpu, slot: Slot, value: u64) {
    let register = &mut cpu.gpr[slot.reg as usize & 31];
    match (slot.kind, slot.size) {
        (SlotKind::GprHigh, _) => *register = *register & !0xff00 | (value & 0xff) << 8,
        (_, 1) => *register = *register & !0xff | value & 0xff,
        (_, 2) => *register = *register & !0xffff | value & 0xffff,
        (_, 4) => *register = value & 0xffff_ffff,
        _ => *register = value,
    }
}

/// The effective address; a bit offset in a register reaches beyond the operand that ModRM names.
#[inline]
pub(crate) fn operand_offset(op: IntOp, cpu: &Cpu, insn: &Insn) -> u64 {
    let offset = address::effective(cpu, insn);
    if matches!(op, IntOp::Bt | IntOp::Bts | IntOp::Btr | IntOp::Btc) && insn.slot(1).kind == SlotKind::Gpr {
        let size = insn.slot(0).size;
        let bit = alu::sign_extend(read_slot(cpu, insn, insn.slot(1)), size) as i64;
        let units = bit >> (size.trailing_zeros() + 3);
        return address::truncate(offset.wrapping_add((units * i64::from(size)) as u64), insn.asize());
    }
    offset
}

/// RIP behind the instruction. Code of 16 bits too runs on beyond 64 KiB, if its segment does.
#[inline(always)]
pub(crate) fn next_rip(cpu: &Cpu, insn: &Insn) -> u64 {
    let next = cpu.rip.wrapping_add(u64::from(insn.len()));
    match insn.mode {
        Mode::Long64 => next,
        _ => next & 0xffff_ffff,
    }
}

/// #AC(0) for a misaligned access where alignment checking is on.
#[inline(always)]
pub(crate) fn aligned(cpu: &Cpu, linear: u64, size: u16) -> Result<(), Event> {
    if cpu.word().alignment_check() && linear & (u64::from(size) - 1) != 0 {
        return Err(Event::ac0("a misaligned access with alignment checking on"));
    }
    Ok(())
}
