//! The hot line of integer instructions: operands in, a function of values, the store, commit.

use crate::access::{Halt, Mem};
use crate::address::{self, Intent};
use crate::alu::mask;
use crate::atomic::{self, Locks};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::RAX;
use crate::cpu::registers::rflags::{ARITH, CF, DF, ZF};
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::Event;
use crate::host::Locked;
use crate::integer::{self, Effects, Single, execute, read_slot, write_slot};
use crate::isa::row::{IntOp, Use, attr};

/// Runs an instruction that is a function of values with one memory operand at most.
///
/// # Errors
/// Nothing is changed when it fails, but for accesses that the journal holds.
#[inline(always)]
pub(super) fn run<V: Vmm + ?Sized>(
    op: IntOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    locks: &Locks,
) -> Result<(), Halt> {
    if op.is_plain() {
        return run_plain(op, cpu, insn, mem, locks);
    }
    run_effects(op, cpu, insn, mem, locks)
}

/// One result, the row's flags, no other register: what most instructions are.
#[inline(always)]
fn run_plain<V: Vmm + ?Sized>(
    op: IntOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    locks: &Locks,
) -> Result<(), Halt> {
    let [dst, src, ..] = insn.all_slots();
    let uses = insn.row.operands[0].uses;
    let result = match insn.mem() {
        0 => {
            let intent = if uses.writes() { Intent::Write } else { Intent::Read };
            let linear = address::linear(cpu, insn.seg, address::effective(cpu, insn), u64::from(dst.size), intent)?;
            integer::aligned(cpu, linear, dst.size)?;
            let b = read_slot(cpu, insn, src);
            match uses {
                Use::Write => {
                    store(mem, linear, dst.size, b)?;
                    integer::plain(op, 0, b, dst.size, 0)
                }
                Use::Read => integer::plain(op, load(mem, linear, dst.size)?, b, dst.size, cpu.rflags()),
                _ if insn.locked() => return modify(op, cpu, insn, mem, linear, locks),
                _ => {
                    let a = load_for_write(mem, linear, dst.size)?;
                    let r = integer::plain(op, a, b, dst.size, cpu.rflags());
                    store_after_read(mem, linear, dst.size, r.value, a)?;
                    r
                }
            }
        }
        1 => {
            let linear =
                address::linear(cpu, insn.seg, address::effective(cpu, insn), u64::from(src.size), Intent::Read)?;
            integer::aligned(cpu, linear, src.size)?;
            let b = load(mem, linear, src.size)?;
            let r = integer::plain(op, read_slot(cpu, insn, dst), b, dst.size, cpu.rflags());
            if uses.writes() {
                write_slot(cpu, dst, r.value);
            }
            r
        }
        _ => {
            let (a, b) = (read_slot(cpu, insn, dst), read_slot(cpu, insn, src));
            let r = integer::plain(op, a, b, dst.size, cpu.rflags());
            if uses.writes() {
                write_slot(cpu, dst, r.value);
            }
            r
        }
    };
    if op != IntOp::Mov {
        cpu.merge_flags(u64::from(insn.row.flags.written), result.flags);
    }
    cpu.rip = integer::next_rip(cpu, insn);
    Ok(())
}

/// The rest: [`Effects`] say what is committed.
#[inline(never)]
fn run_effects<V: Vmm + ?Sized>(
    op: IntOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    locks: &Locks,
) -> Result<(), Halt> {
    let at = insn.mem() as usize;
    let uses = if at < 3 { insn.row.operands[at].uses } else { Use::None };
    if uses == Use::None {
        let v = values(cpu, insn, usize::MAX, 0);
        if let Some(Single { value, flag_mask, flags }) = integer::single(op, cpu, insn, v) {
            write_slot(cpu, insn.slot(0), value);
            cpu.merge_flags(flag_mask, flags);
            cpu.rip = integer::next_rip(cpu, insn);
            return Ok(());
        }
        let effects = execute(op, cpu, insn, v)?;
        commit(cpu, insn, &effects);
        return Ok(());
    }
    let size = insn.slot(at).size;
    if op == IntOp::Arpl {
        return adjust(cpu, insn, mem, size);
    }
    let intent = if uses.writes() { Intent::Write } else { Intent::Read };
    let offset = integer::operand_offset(op, cpu, insn);
    if size == 16 && !address::unchecked(cpu, insn.seg, offset).is_multiple_of(16) {
        // It comes before all else that may be wrong with the address.
        return Err(Event::gp0("CMPXCHG16B on a misaligned address").into());
    }
    let linear = address::linear(cpu, insn.seg, offset, u64::from(size), intent)?;
    integer::aligned(cpu, linear, size)?;
    if !uses.writes() {
        let value = load(mem, linear, size)?;
        let effects = execute(op, cpu, insn, values(cpu, insn, at, value))?;
        commit(cpu, insn, &effects);
        return Ok(());
    }
    if !uses.reads() {
        let effects = execute(op, cpu, insn, values(cpu, insn, at, 0))?;
        store(mem, linear, size, effects.value)?;
        commit(cpu, insn, &effects);
        return Ok(());
    }
    modify(op, cpu, insn, mem, linear, locks)
}

/// ARPL on memory: a load, and a store only where the RPL changes.
#[cold]
fn adjust<V: Vmm + ?Sized>(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, V>, size: u16) -> Result<(), Halt> {
    let offset = address::effective(cpu, insn);
    let linear = address::linear(cpu, insn.seg, offset, u64::from(size), Intent::Read)?;
    integer::aligned(cpu, linear, size)?;
    let mut old = [0; 2];
    let access = mem.access(AccessKind::Read, size);
    mem.read(linear, &mut old, &access)?;
    let effects = execute(IntOp::Arpl, cpu, insn, values(cpu, insn, 0, u64::from(u16::from_le_bytes(old))))?;
    if effects.writes {
        let linear = address::linear(cpu, insn.seg, offset, u64::from(size), Intent::Write)?;
        store(mem, linear, size, effects.value)?;
    }
    commit(cpu, insn, &effects);
    Ok(())
}

/// Values of the first three operands; operand `at` is in memory and has `value`.
#[inline]
pub(super) fn values(cpu: &Cpu, insn: &Insn, at: usize, value: u64) -> [u64; 3] {
    let operand = |i: usize| if i == at { value } else { read_slot(cpu, insn, insn.slot(i)) };
    [operand(0), operand(1), operand(2)]
}

/// The read of an unlocked read-modify-write.
#[inline(always)]
pub(super) fn load_for_write<V: Vmm + ?Sized>(mem: &mut Mem<'_, V>, linear: u64, size: u16) -> Result<u64, Halt> {
    let access = mem.access(AccessKind::ReadForWrite, size);
    let mut b = [0; 8];
    match size {
        1 => mem.read_before_write(linear, &mut b[..1], &access)?,
        2 => mem.read_before_write(linear, &mut b[..2], &access)?,
        4 => mem.read_before_write(linear, &mut b[..4], &access)?,
        _ => mem.read_before_write(linear, &mut b, &access)?,
    }
    Ok(u64::from_le_bytes(b))
}

/// The store of an unlocked read-modify-write that read `old`.
#[inline(always)]
pub(super) fn store_after_read<V: Vmm + ?Sized>(
    mem: &mut Mem<'_, V>,
    linear: u64,
    size: u16,
    value: u64,
    old: u64,
) -> Result<(), Halt> {
    let stored = store(mem, linear, size, value);
    if stored.is_err() {
        mem.remember(linear, &old.to_le_bytes()[..usize::from(size).min(8)]);
    }
    stored
}

#[inline(always)]
pub(super) fn load<V: Vmm + ?Sized>(mem: &mut Mem<'_, V>, linear: u64, size: u16) -> Result<u64, Halt> {
    let access = mem.access(AccessKind::Read, size);
    // A fixed length each, so that the bus's copy is one move.
    Ok(match size {
        1 => {
            let mut b = [0; 1];
            mem.read_last(linear, &mut b, &access)?;
            u64::from(b[0])
        }
        2 => {
            let mut b = [0; 2];
            mem.read_last(linear, &mut b, &access)?;
            u64::from(u16::from_le_bytes(b))
        }
        4 => {
            let mut b = [0; 4];
            mem.read_last(linear, &mut b, &access)?;
            u64::from(u32::from_le_bytes(b))
        }
        _ => {
            let mut b = [0; 8];
            mem.read_last(linear, &mut b, &access)?;
            u64::from_le_bytes(b)
        }
    })
}

#[inline(always)]
pub(super) fn store<V: Vmm + ?Sized>(mem: &mut Mem<'_, V>, linear: u64, size: u16, value: u64) -> Result<(), Halt> {
    let access = mem.access(AccessKind::Write, size);
    let bytes = value.to_le_bytes();
    match size {
        1 => mem.write_last(linear, &bytes[..1], &access),
        2 => mem.write_last(linear, &bytes[..2], &access),
        4 => mem.write_last(linear, &bytes[..4], &access),
        _ => mem.write_last(linear, &bytes, &access),
    }
}

/// Read-modify-write of memory, locked or not.
#[inline(never)]
fn modify<V: Vmm + ?Sized>(
    op: IntOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    linear: u64,
    locks: &Locks,
) -> Result<(), Halt> {
    if op == IntOp::CmpxchgPair {
        atomic::compare_exchange_pair(cpu, insn, mem, linear, locks)?;
        cpu.rip = integer::next_rip(cpu, insn);
        return Ok(());
    }
    let at = insn.mem() as usize;
    let size = insn.slot(at).size;
    let locked = insn.locked() || insn.row.is(attr::LOCKED);
    if locked {
        let source = read_slot(cpu, insn, insn.slot(1));
        if let Some(done) = atomic::issue(op, cpu, insn, mem, linear, source, locks)? {
            commit_locked(op, cpu, insn, &done);
            return Ok(());
        }
    }
    if !locked {
        let old = load_for_write(mem, linear, size)?;
        let effects = execute(op, cpu, insn, values(cpu, insn, at, old))?;
        store_after_read(mem, linear, size, effects.value, old)?;
        commit(cpu, insn, &effects);
        return Ok(());
    }
    let mut old = [0; 8];
    let mut result = None;
    atomic::modify(mem, linear, &mut old[..usize::from(size).min(8)], locks, &mut |old, new| {
        let mut wide = [0; 8];
        wide[..old.len()].copy_from_slice(old);
        let effects = execute(op, cpu, insn, values(cpu, insn, at, u64::from_le_bytes(wide)));
        let value = effects.as_ref().map_or(u64::from_le_bytes(wide), |e| e.value);
        new.copy_from_slice(&value.to_le_bytes()[..new.len()]);
        result = Some(effects);
    })?;
    let effects = match result {
        Some(effects) => effects?,
        None => return Err(crate::Unsupported::Platform("Bus::rmw that calls its modify function").into()),
    };
    commit(cpu, insn, &effects);
    Ok(())
}

/// What a real locked instruction left: the old value where the instruction keeps it, flags, RIP.
fn commit_locked(op: IntOp, cpu: &mut Cpu, insn: &Insn, done: &Locked) {
    let size = insn.slot(0).size;
    let old = done.old & mask(size);
    match op {
        IntOp::Xchg | IntOp::Xadd => write_slot(cpu, insn.slot(1), old),
        IntOp::Cmpxchg if done.flags & ZF == 0 => {
            write_slot(cpu, Slot { kind: SlotKind::Gpr, reg: RAX as u8, size }, old);
        }
        _ => {}
    }
    let written = match op {
        IntOp::Bts | IntOp::Btr | IntOp::Btc => CF,
        _ => u64::from(insn.row.flags.written) & ARITH,
    };
    cpu.merge_flags(written, done.flags);
    cpu.rip = integer::next_rip(cpu, insn);
}

/// Registers, flags and RIP, after the store has succeeded.
#[inline]
fn commit(cpu: &mut Cpu, insn: &Insn, effects: &Effects) {
    if let Some((slot, value)) = effects.second {
        write_slot(cpu, slot, value);
    }
    if let Some((slot, value)) = effects.third {
        write_slot(cpu, slot, value);
    }
    if effects.writes && insn.mem() != 0 {
        write_slot(cpu, insn.slot(0), effects.value);
    }
    cpu.merge_flags(effects.flag_mask & (ARITH | DF), effects.flags);
    cpu.rip = match effects.target {
        Some(target) => target,
        None => integer::next_rip(cpu, insn),
    };
}
