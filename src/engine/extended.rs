//! Functions of values with what later extensions add to them: a new destination, flags that stay, zeroed upper halves (APX),
//! faults that a condition suppresses, operands that must be aligned, and operations that are locked without a prefix.

use super::value::{load, load_for_write, store, store_after_read, values};
use crate::access::{Halt, Mem};
use crate::address::{self, Intent};
use crate::atomic::{self, Locks};
use crate::bus::Vmm;
use crate::cpu::Cpu;
use crate::cpu::registers::rflags::ARITH;
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::{Event, Unsupported};
use crate::integer::{self, Effects, execute, write_slot};
use crate::isa::row::{Class, IntOp, Use, attr, sel};

/// Runs an instruction of [`Exec::Extended`](crate::isa::Exec::Extended).
///
/// # Errors
/// Nothing is changed when it fails, but for accesses that the journal holds.
#[inline(never)]
pub(super) fn run<V: Vmm + ?Sized>(
    op: IntOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    locks: &Locks,
) -> Result<(), Halt> {
    // The work is that of the line without ND; where the result goes is decided when it is committed.
    let new = insn.row.has_new_destination();
    let old = if new { insn.without_destination() } else { *insn };
    let at = old.mem() as usize;
    let uses = insn.row.operands.get(insn.mem() as usize).map_or(Use::None, |spec| spec.uses);
    let suppressed = matches!(op, IntOp::Ccmp | IntOp::Ctest | IntOp::Cfcmov) && !integer::is_met(cpu, insn);
    if uses == Use::None || suppressed {
        let effects = execute(op, cpu, &old, values(cpu, &old, at, 0))?;
        commit(op, cpu, insn, &effects);
        return Ok(());
    }
    let size = insn.slot(insn.mem() as usize).size;
    let offset = address::effective(cpu, insn);
    if insn.row.class == Class::Aligned && !address::unchecked(cpu, insn.seg, offset).is_multiple_of(size.into()) {
        return Err(Event::gp0("a misaligned operand of an instruction that needs an aligned one").into());
    }
    let intent = if uses.writes() { Intent::Write } else { Intent::Read };
    let linear = address::linear(cpu, insn.seg, offset, u64::from(size), intent)?;
    integer::aligned(cpu, linear, size)?;
    let effects = match (uses.reads(), uses.writes()) {
        (true, false) => {
            let value = load(mem, linear, size)?;
            execute(op, cpu, &old, values(cpu, &old, at, value))?
        }
        (false, _) => {
            let effects = execute(op, cpu, &old, values(cpu, &old, at, 0))?;
            store(mem, linear, size, effects.value)?;
            effects
        }
        (true, true) if insn.row.is(attr::LOCKED) => locked(op, cpu, &old, mem, linear, locks)?,
        (true, true) => {
            let before = load_for_write(mem, linear, size)?;
            let effects = execute(op, cpu, &old, values(cpu, &old, at, before))?;
            store_after_read(mem, linear, size, effects.value, before)?;
            effects
        }
    };
    commit(op, cpu, insn, &effects);
    Ok(())
}

/// A read-modify-write that is locked without a prefix (CMPccXADD, RAO-INT).
fn locked<V: Vmm + ?Sized>(
    op: IntOp,
    cpu: &Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    linear: u64,
    locks: &Locks,
) -> Result<Effects, Halt> {
    let operands = values(cpu, insn, usize::MAX, 0);
    if let Some(done) = atomic::issue_new(op, insn, mem, linear, operands, locks)? {
        let (second, flag_mask) =
            if op == IntOp::Cmpccxadd { (Some((insn.slot(1), done.old)), ARITH) } else { (None, 0) };
        return Ok(Effects { second, flag_mask, flags: done.flags, ..Effects::NONE });
    }
    let size = insn.slot(0).size;
    let (mut before, mut result) = ([0; 8], None);
    atomic::modify(mem, linear, &mut before[..usize::from(size).min(8)], locks, &mut |old, new| {
        let mut wide = [0; 8];
        wide[..old.len()].copy_from_slice(old);
        let value = u64::from_le_bytes(wide);
        let effects = execute(op, cpu, insn, values(cpu, insn, insn.mem() as usize, value));
        let value = effects.as_ref().map_or(value, |effects| effects.value);
        new.copy_from_slice(&value.to_le_bytes()[..new.len()]);
        result = Some(effects);
    })?;
    match result {
        Some(effects) => Ok(effects?),
        None => Err(Unsupported::Platform("Bus::rmw that calls its modify function").into()),
    }
}

/// Registers, flags and RIP, after the store has succeeded.
fn commit(op: IntOp, cpu: &mut Cpu, insn: &Insn, effects: &Effects) {
    for (slot, value) in [effects.second, effects.third].into_iter().flatten() {
        write_slot(cpu, slot, value);
    }
    let destination = insn.slot(0);
    if effects.writes && destination.kind == SlotKind::Gpr {
        // A new destination, SETcc.zu, IMUL.zu and CFCMOV clear what lies above their result.
        let whole = insn.row.select.value & sel::B != 0 || op == IntOp::Cfcmov;
        let size = if whole { 8 } else { destination.size };
        write_slot(cpu, Slot { size, ..destination }, effects.value);
    }
    if !insn.keeps_flags() {
        cpu.merge_flags(effects.flag_mask & ARITH, effects.flags);
    }
    cpu.rip = integer::next_rip(cpu, insn);
}
