//! Locked operations: one real locked instruction where the bus grants a host address, else one atomic call or a marked
//! read and write.

use crate::access::{Halt, Mem, crosses};
use crate::alu;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RAX, RBX, RCX, RDX};
use crate::cpu::registers::rflags::{CF, ZF};
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::{Event, Stop, Unsupported};
use crate::host::{HostRam, Locked, LockedOp};
use crate::isa::row::IntOp;

/// What to do with a locked operation that crosses a cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SplitLock {
    /// Read and write, marked `locked`, without a bus lock.
    #[default]
    Emulate,
    /// Issue it: about a microsecond, and some hosts kill the process for it.
    Native,
    /// The platform stops the other virtual processors around it.
    Exclusive,
    /// #AC(0), as split-lock detection would.
    Fault,
}

/// The locked instruction that does `op`, if it is lockable.
#[inline]
pub(crate) fn locked_op(op: IntOp) -> Option<LockedOp> {
    Some(match op {
        IntOp::Add => LockedOp::Add,
        IntOp::Or => LockedOp::Or,
        IntOp::Adc => LockedOp::Adc,
        IntOp::Sbb => LockedOp::Sbb,
        IntOp::And => LockedOp::And,
        IntOp::Sub => LockedOp::Sub,
        IntOp::Xor => LockedOp::Xor,
        IntOp::Inc => LockedOp::Inc,
        IntOp::Dec => LockedOp::Dec,
        IntOp::Not => LockedOp::Not,
        IntOp::Neg => LockedOp::Neg,
        IntOp::Bts => LockedOp::Bts,
        IntOp::Btr => LockedOp::Btr,
        IntOp::Btc => LockedOp::Btc,
        IntOp::Xchg => LockedOp::Xchg,
        IntOp::Xadd => LockedOp::Xadd,
        IntOp::Cmpxchg => LockedOp::Cmpxchg,
        _ => return None,
    })
}

/// Does an access of `len` bytes leave its cache line?
#[inline]
pub(crate) fn splits(linear: u64, len: usize) -> bool {
    (linear % 64) as usize + len > 64
}

/// Runs `op` as a real locked instruction where the bus grants RAM. `None`: no host address, or one that would need a split
/// lock; read and write instead.
///
/// # Errors
/// What the bus answers, #AC(0) for a split lock by choice.
pub(crate) fn issue<V: Vmm + ?Sized>(
    op: IntOp,
    cpu: &Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    linear: u64,
    source: u64,
    split: SplitLock,
) -> Result<Option<Locked>, Halt> {
    let Some(locked) = locked_op(op) else { return Ok(None) };
    let size = insn.slot(0).size;
    let len = usize::from(size);
    if !may_issue(linear, len, split)? || crosses(linear, len) || !mem.journal.is_empty() {
        return Ok(None);
    }
    let access = locked_access(mem, size);
    let Some(ram) = granted(mem, linear, len, &access)? else { return Ok(None) };
    let flags = cpu.rflags();
    let accumulator = cpu.gpr[RAX] & alu::mask(size);
    Ok(ram.locked(locked, source, accumulator, flags & CF != 0))
}

/// The host's view of the operand, if the bus grants one.
fn granted<'m, V: Vmm + ?Sized>(
    mem: &'m mut Mem<'_, V>,
    linear: u64,
    len: usize,
    access: &Access,
) -> Result<Option<HostRam<'m>>, Halt> {
    match mem.vmm.ram(linear, len, access) {
        Ok(Some(ram)) if ram.len() != len => {
            Err(Unsupported::Platform("a host address for the length that was asked for").into())
        }
        Ok(ram) => Ok(ram),
        Err(Stop::TooWide(_)) => Ok(None),
        Err(stop) => Err(stop.into()),
    }
}

fn locked_access<V: Vmm + ?Sized>(mem: &Mem<'_, V>, size: u16) -> Access {
    Access { locked: true, ..mem.access(AccessKind::Rmw, size) }
}

/// May a real locked instruction be issued at this address?
fn may_issue(linear: u64, len: usize, split: SplitLock) -> Result<bool, Halt> {
    if !splits(linear, len) {
        return Ok(true);
    }
    match split {
        SplitLock::Native => Ok(true),
        SplitLock::Fault => Err(Event::ac0("a locked access crosses a cache line").into()),
        SplitLock::Emulate | SplitLock::Exclusive => Ok(false),
    }
}

/// CMPXCHG8B and CMPXCHG16B: compares with rDX:rAX, stores rCX:rBX. Returns the flags to commit after rAX and rDX.
///
/// # Errors
/// What the bus answers; nothing is changed. `linear` is aligned for CMPXCHG16B.
pub(crate) fn compare_exchange_pair<V: Vmm + ?Sized>(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    linear: u64,
    split: SplitLock,
) -> Result<(), Halt> {
    let len = usize::from(insn.slot(0).size);
    let half = len as u32 * 4;
    let part = |register: usize| u128::from(cpu.gpr[register] & alu::mask(len as u16 / 2));
    let expected = part(RAX) | part(RDX) << half;
    let new = part(RBX) | part(RCX) << half;
    let (old, equal) = match exchange_pair_in_ram(insn, mem, linear, len, expected, new, split)? {
        Some(result) => result,
        None => exchange_pair_by_bus(insn, mem, linear, len, expected, new)?,
    };
    if !equal {
        let size = len as u16 / 2;
        let slot = |reg: usize| Slot { kind: SlotKind::Gpr, reg: reg as u8, size };
        crate::integer::write_slot(cpu, slot(RAX), old as u64 & alu::mask(size));
        crate::integer::write_slot(cpu, slot(RDX), (old >> half) as u64 & alu::mask(size));
    }
    cpu.merge_flags(ZF, if equal { ZF } else { 0 });
    Ok(())
}

fn exchange_pair_in_ram<V: Vmm + ?Sized>(
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    linear: u64,
    len: usize,
    expected: u128,
    new: u128,
    split: SplitLock,
) -> Result<Option<(u128, bool)>, Halt> {
    if !insn.locked() || !mem.journal.is_empty() || !may_issue(linear, len, split)? || crosses(linear, len) {
        return Ok(None);
    }
    let access = locked_access(mem, len as u16);
    let Some(ram) = granted(mem, linear, len, &access)? else { return Ok(None) };
    Ok(ram.compare_exchange_pair(expected, new))
}

fn exchange_pair_by_bus<V: Vmm + ?Sized>(
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    linear: u64,
    len: usize,
    expected: u128,
    new: u128,
) -> Result<(u128, bool), Halt> {
    let mut old = [0; 16];
    modify(mem, linear, &mut old[..len], insn.locked(), &mut |old, out| {
        let mut wide = [0; 16];
        wide[..old.len()].copy_from_slice(old);
        let value = if u128::from_le_bytes(wide) == expected { new } else { u128::from_le_bytes(wide) };
        out.copy_from_slice(&value.to_le_bytes()[..old.len()]);
    })?;
    let old = u128::from_le_bytes(old);
    Ok((old, old == expected))
}

/// A read-modify-write by the bus: one atomic call where the device can, else a read and a write. Fills `old`.
///
/// # Errors
/// What the bus answers; the write's fault comes before the device is read.
pub(crate) fn modify<V: Vmm + ?Sized>(
    mem: &mut Mem<'_, V>,
    linear: u64,
    old: &mut [u8],
    locked: bool,
    compute: &mut dyn FnMut(&[u8], &mut [u8]),
) -> Result<(), Halt> {
    let size = old.len() as u16;
    let access = |mem: &Mem<'_, V>, kind| Access { locked, ..mem.access(kind, size) };
    if locked && !crosses(linear, old.len()) && mem.journal.is_empty() {
        let atomic = access(mem, AccessKind::Rmw);
        let mut called = false;
        let len = old.len();
        let mut checked = |old: &[u8], new: &mut [u8]| {
            if old.len() == len && new.len() == len {
                called = true;
                compute(old, new);
            }
        };
        match mem.vmm.rmw(linear, old, &mut checked, &atomic) {
            Ok(true) if called => return Ok(()),
            Ok(true) => return Err(Unsupported::Platform("Bus::rmw that calls its modify function").into()),
            // In pieces it cannot be atomic.
            Ok(false) | Err(Stop::TooWide(_)) => {}
            Err(stop) => return Err(stop.into()),
        }
    }
    let read = access(mem, AccessKind::ReadForWrite);
    mem.read(linear, old, &read)?;
    let mut new = [0; 16];
    compute(old, &mut new[..old.len()]);
    let write = access(mem, AccessKind::Write);
    mem.write_last(linear, &new[..old.len()], &write)
}
