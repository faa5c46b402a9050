//! The short lines: what most instructions that reach a device are, in 64-bit mode.
//!
//! A lane is chosen when an instruction is decoded. It stands for conditions that would be tested at each step: 64-bit
//! mode and addresses, a base register, no FS or GS, operands of 4 or 8 bytes in whole registers, or one whole vector
//! operand without an opmask. Everything that is not so, and everything that does not go well, takes the general line.

use super::cache::Entry;
use super::{SplitLock, value};
use crate::access::{Halt, Mem, crosses};
use crate::alu::mask;
use crate::atomic;
use crate::bus::{AccessKind, Vmm};
use crate::cpu::segment::Seg;
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, NO_REG, RIP, SlotKind};
use crate::integer;
use crate::isa::Exec;
use crate::isa::row::{Class, IntOp, Shape, Use, attr};
use crate::profile::Profile;
use crate::replay::{self, Replayer};

/// Which short line an instruction takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// None: the general line.
    General,
    /// MOV from a register to memory.
    Store,
    /// MOV from memory to a register.
    Load,
    /// An arithmetic instruction on a register with a source in memory.
    LoadOperate(IntOp),
    /// An unlocked arithmetic read-modify-write of memory.
    Modify(IntOp),
    /// A locked read-modify-write of memory.
    Locked(IntOp),
    /// A replayed instruction with one whole operand in memory.
    Vector,
}

impl Lane {
    /// The lane of a decoded instruction.
    pub(super) fn of(insn: &Insn) -> Lane {
        let addressed = insn.mode == Mode::Long64
            && insn.asize == 8
            && !matches!(insn.seg, Seg::Fs | Seg::Gs)
            && insn.base < RIP
            && insn.mem != NO_REG;
        if addressed && insn.row.exec == Exec::Replay(Shape::Plain) && insn.aaa == 0 {
            return if insn.mem < 4 && insn.slots[insn.mem as usize].size.is_power_of_two() {
                Lane::Vector
            } else {
                Lane::General
            };
        }
        let Exec::Value(op) = insn.row.exec else { return Lane::General };
        let [dst, src, ..] = insn.slots;
        let whole = matches!(dst.size, 4 | 8) && (src.size == dst.size || src.kind == SlotKind::None);
        let registers = |kind| matches!(kind, SlotKind::Gpr | SlotKind::Memory | SlotKind::Imm | SlotKind::None);
        if !addressed || insn.mem > 1 || !whole || !registers(dst.kind) || !registers(src.kind) {
            return Lane::General;
        }
        let locked = insn.mem == 0 && (insn.locked() || insn.row.is(attr::LOCKED));
        if locked && (op.is_plain() || matches!(op, IntOp::Xadd | IntOp::Xchg | IntOp::Cmpxchg)) {
            return Lane::Locked(op);
        }
        if locked || !op.is_plain() {
            return Lane::General;
        }
        match (insn.mem, insn.row.operands[0].uses) {
            (0, Use::Write) => Lane::Store,
            (0, Use::ReadWrite) => Lane::Modify(op),
            (1, Use::Write) if op == IntOp::Mov => Lane::Load,
            (1, Use::ReadWrite | Use::Read) => Lane::LoadOperate(op),
            _ => Lane::General,
        }
    }
}

/// Runs the short line. `None`: nothing was done, take the general line.
///
/// # Errors
/// What the bus answers; nothing is changed.
#[inline(always)]
pub(super) fn run<V: Vmm>(
    entry: &mut Entry,
    cpu: &mut Cpu,
    mem: &mut Mem<'_, V>,
    replayer: &mut Replayer,
    profile: &Profile,
    split: SplitLock,
) -> Option<Result<(), Halt>> {
    let (lane, insn) = (entry.lane, &entry.insn);
    let index = if insn.index == NO_REG { 0 } else { cpu.gpr[insn.index as usize & 31] << insn.scale };
    let linear = cpu.gpr[insn.base as usize & 31].wrapping_add(index).wrapping_add(insn.disp as u64);
    let dst = insn.slots[0];
    let word = cpu.word();
    let canonical = linear.wrapping_add(word.data_half) < 2 * word.data_half;
    let size = insn.slots[insn.mem as usize & 3].size;
    if !canonical || crosses(linear, usize::from(size)) || word.alignment_check {
        return None;
    }
    let wide = dst.size == 8;
    let done = match lane {
        Lane::Store => put(mem, linear, wide, source(cpu, insn)),
        Lane::Load => get(mem, linear, wide, AccessKind::Read).map(|value| cpu.gpr[dst.reg as usize & 31] = value),
        Lane::LoadOperate(op) => get(mem, linear, wide, AccessKind::Read).map(|b| {
            let a = cpu.gpr[dst.reg as usize & 31] & mask(dst.size);
            let r = integer::plain(op, a, b, dst.size, cpu.rflags());
            if insn.row.operands[0].uses == Use::ReadWrite {
                cpu.gpr[dst.reg as usize & 31] = r.value;
            }
            cpu.merge_flags(u64::from(insn.row.flags.written), r.flags);
        }),
        Lane::Modify(op) => match get(mem, linear, wide, AccessKind::ReadForWrite) {
            Ok(old) => {
                let r = integer::plain(op, old, source(cpu, insn), dst.size, cpu.rflags());
                let stored = put(mem, linear, wide, r.value);
                match stored {
                    Ok(()) => cpu.merge_flags(u64::from(insn.row.flags.written), r.flags),
                    Err(_) => mem.remember(linear, &old.to_le_bytes()[..usize::from(dst.size)]),
                }
                stored
            }
            Err(halt) => Err(halt),
        },
        Lane::Locked(op) => {
            let issued = atomic::issue(op, cpu, insn, mem, linear, source(cpu, insn), split);
            match issued {
                Ok(Some(done)) => {
                    // Commits RIP too.
                    value::commit_locked(op, cpu, insn, &done);
                    return Some(Ok(()));
                }
                Ok(None) => return None,
                Err(halt) => Err(halt),
            }
        }
        Lane::Vector => {
            let aligned = matches!(insn.row.class, Class::Aligned | Class::AlignedLegacy);
            if aligned && linear & (u64::from(size) - 1) != 0 || !replay::has_state(cpu) {
                return None;
            }
            replayer.whole(cpu, insn, mem, linear, profile, &mut entry.stub)
        }
        Lane::General => return None,
    };
    if done.is_ok() {
        cpu.rip = cpu.rip.wrapping_add(u64::from(insn.len));
    }
    Some(done)
}

/// The value of operand 1.
#[inline(always)]
fn source(cpu: &Cpu, insn: &Insn) -> u64 {
    let src = insn.slots[1];
    let value = if src.kind == SlotKind::Gpr { cpu.gpr[src.reg as usize & 31] } else { insn.imm };
    value & mask(insn.slots[0].size)
}

#[inline(always)]
fn get<V: Vmm>(mem: &mut Mem<'_, V>, linear: u64, wide: bool, kind: AccessKind) -> Result<u64, Halt> {
    if wide {
        let mut b = [0; 8];
        let access = mem.access(kind, 8);
        mem.read_within(linear, &mut b, &access)?;
        Ok(u64::from_le_bytes(b))
    } else {
        let mut b = [0; 4];
        let access = mem.access(kind, 4);
        mem.read_within(linear, &mut b, &access)?;
        Ok(u64::from(u32::from_le_bytes(b)))
    }
}

#[inline(always)]
fn put<V: Vmm>(mem: &mut Mem<'_, V>, linear: u64, wide: bool, value: u64) -> Result<(), Halt> {
    if wide {
        let access = mem.access(AccessKind::Write, 8);
        mem.write_within(linear, &value.to_le_bytes(), &access)
    } else {
        let access = mem.access(AccessKind::Write, 4);
        mem.write_within(linear, &(value as u32).to_le_bytes(), &access)
    }
}
