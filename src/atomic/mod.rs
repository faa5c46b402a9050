//! Locked operations: one real locked instruction where the bus grants a host address, else one atomic call or a marked
//! read and write.

use crate::access::{Halt, Mem, crosses};
use crate::alu;
use crate::bus::{Access, AccessKind, Modify, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RAX, RBX, RCX, RDX};
use crate::cpu::registers::rflags::{CF, ZF};
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::{Event, Stop, Unsupported};
use crate::host::{Alone, HostRam, Locked, LockedOp, RemoteOp, Seat};
use crate::isa::row::IntOp;

/// What to do with a locked operation that crosses a cache line.
///
/// The processor would lock the bus for it. All but `Native` leave other processors' *native* accesses out of account in one
/// way or another; `docs/locked.md` has the guarantees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SplitLock {
    /// Read and write, marked `locked`, while no other engine of this process runs a locked operation. Virtual processors that
    /// run natively are not stopped. Where there is more than one engine it makes one system call, `membarrier(2)`;
    /// [`forgo_membarrier`](crate::host::forgo_membarrier) is for processes that may not.
    #[default]
    Emulate,
    /// Issue it where the bus grants a host address: about a microsecond, and some hosts kill the process for it. Across a
    /// page, whose halves may lie anywhere, where [`Bus::ram_across`](crate::Bus::ram_across) grants one, else as `Emulate`.
    Native,
    /// Read and write, marked `locked`, between [`Platform::stop_others`](crate::Platform::stop_others) and
    /// [`Platform::resume_others`](crate::Platform::resume_others).
    Exclusive,
    /// #AC(0), as split-lock detection would.
    Fault,
}

/// How an engine runs locked operations.
#[derive(Debug)]
pub(crate) struct Locks {
    pub(crate) split: SplitLock,
    pub(crate) seat: Seat,
}

impl Locks {
    pub(crate) fn new() -> Locks {
        Locks { split: SplitLock::default(), seat: Seat::take() }
    }
}

/// Compare-exchanges that may fail before other engines are held off, and again before the operation is given up.
const TRIES: u32 = 4096;

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
/// lock; [`modify`] instead.
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
    locks: &Locks,
) -> Result<Option<Locked>, Halt> {
    let Some(locked) = locked_op(op) else { return Ok(None) };
    let size = insn.slot(0).size;
    let Some(ram) = grant(mem, linear, size, locks.split)? else { return Ok(None) };
    let flags = cpu.rflags();
    let accumulator = cpu.gpr[RAX] & alu::mask(size);
    let _passage = locks.seat.enter();
    Ok(ram.locked(locked, source, accumulator, flags & CF != 0))
}

/// Runs CMPccXADD or a remote atomic operation as the real instruction, where the host has it and the bus grants RAM. Gives
/// CMPccXADD's old value and flags.
///
/// # Errors
/// What the bus answers, #AC(0) for a split lock by choice.
pub(crate) fn issue_new<V: Vmm + ?Sized>(
    op: IntOp,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    linear: u64,
    [_, first, second]: [u64; 3],
    locks: &Locks,
) -> Result<Option<Locked>, Halt> {
    let remote = match op {
        IntOp::Cmpccxadd => None,
        IntOp::Add => Some(RemoteOp::Add),
        IntOp::And => Some(RemoteOp::And),
        IntOp::Or => Some(RemoteOp::Or),
        IntOp::Xor => Some(RemoteOp::Xor),
        _ => return Ok(None),
    };
    let Some(ram) = grant(mem, linear, insn.slot(0).size, locks.split)? else { return Ok(None) };
    let _passage = locks.seat.enter();
    Ok(match remote {
        None => ram.compare_add(insn.condition(), first, second),
        Some(remote) => ram.remote(remote, first).then_some(Locked { old: 0, flags: 0 }),
    })
}

/// The host's view of the operand for a real locked instruction, if the bus grants one and it may be issued.
fn grant<'m, V: Vmm + ?Sized>(
    mem: &'m mut Mem<'_, V>,
    linear: u64,
    size: u16,
    split: SplitLock,
) -> Result<Option<HostRam<'m>>, Halt> {
    let len = usize::from(size);
    if splits(linear, len) {
        match split {
            SplitLock::Native => {}
            SplitLock::Fault => return Err(Event::ac0("a locked access crosses a cache line").into()),
            SplitLock::Emulate | SplitLock::Exclusive => return Ok(None),
        }
    }
    if !mem.journal.is_empty() {
        return Ok(None);
    }
    let access = Access { locked: true, ..mem.access(AccessKind::Rmw, size) };
    let granted = match crosses(linear, len) {
        false => mem.vmm.ram(linear, len, &access),
        // Anything but `Native` has left by now.
        true if mem.wraps(linear, len) => return Ok(None),
        true => mem.vmm.ram_across(linear, len, &access),
    };
    match granted {
        Ok(Some(ram)) if ram.len() != len => {
            Err(Unsupported::Platform("a host address for the length that was asked for").into())
        }
        Ok(ram) => Ok(ram),
        Err(Stop::TooWide(_)) => Ok(None),
        Err(stop) => Err(stop.into()),
    }
}

/// CMPXCHG8B and CMPXCHG16B: compares with rDX:rAX, stores rCX:rBX. Commits rDX, rAX and ZF.
///
/// # Errors
/// What the bus answers; nothing is changed. `linear` is aligned for CMPXCHG16B.
pub(crate) fn compare_exchange_pair<V: Vmm + ?Sized>(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    linear: u64,
    locks: &Locks,
) -> Result<(), Halt> {
    let len = usize::from(insn.slot(0).size);
    let half = len as u32 * 4;
    let part = |register: usize| u128::from(cpu.gpr[register] & alu::mask(len as u16 / 2));
    let expected = part(RAX) | part(RDX) << half;
    let new = part(RBX) | part(RCX) << half;
    let mut done = None;
    if insn.locked()
        && let Some(ram) = grant(mem, linear, len as u16, locks.split)?
    {
        let _passage = locks.seat.enter();
        done = ram.compare_exchange_pair(expected, new);
    }
    let (old, equal) = match done {
        Some(done) => done,
        None => {
            let mut old = [0; 16];
            let mut compute = |old: &[u8], out: &mut [u8]| {
                let mut wide = [0; 16];
                wide[..old.len()].copy_from_slice(old);
                // A failed compare writes the old value back.
                let value = if u128::from_le_bytes(wide) == expected { new } else { u128::from_le_bytes(wide) };
                out.copy_from_slice(&value.to_le_bytes()[..old.len()]);
            };
            if insn.locked() {
                modify(mem, linear, &mut old[..len], locks, &mut compute)?;
            } else {
                by_bus(mem, linear, &mut old[..len], false, &mut compute)?;
            }
            let old = u128::from_le_bytes(old);
            (old, old == expected)
        }
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

/// A locked read-modify-write for which there is no real instruction: a compare-exchange on the host address that the bus
/// grants, else one call or a read and a write by the bus. Fills `old`; `compute` gives the new value of an old one, and is
/// asked again if memory has changed meanwhile.
///
/// # Errors
/// What the bus answers; the write's fault comes before a device is read.
pub(crate) fn modify<V: Vmm + ?Sized>(
    mem: &mut Mem<'_, V>,
    linear: u64,
    old: &mut [u8],
    locks: &Locks,
    compute: &mut Modify<'_>,
) -> Result<(), Halt> {
    if let Some(ram) = grant(mem, linear, old.len() as u16, locks.split)?
        && ram.can_exchange()
    {
        return exchange(&ram, old, locks, compute);
    }
    if !splits(linear, old.len()) {
        return by_bus(mem, linear, old, true, compute);
    }
    if locks.split == SplitLock::Exclusive {
        mem.vmm.stop_others()?;
        let done = by_bus(mem, linear, old, true, compute);
        mem.vmm.resume_others();
        return done;
    }
    let _alone = alone()?;
    by_bus(mem, linear, old, true, compute)
}

fn alone() -> Result<Alone, Halt> {
    Alone::wait().ok_or_else(|| Unsupported::Platform("membarrier(2), by which an emulated split lock waits").into())
}

/// Compare-exchanges until one succeeds. Each failure means that somebody else's store succeeded; after many of them the other
/// engines are held off.
fn exchange(ram: &HostRam<'_>, old: &mut [u8], locks: &Locks, compute: &mut Modify<'_>) -> Result<(), Halt> {
    let mut attempt = |old: &mut [u8]| {
        let mut new = [0; 16];
        compute(old, &mut new[..old.len()]);
        let mut expected = [0; 16];
        expected[..old.len()].copy_from_slice(old);
        let (found, equal) = ram.compare_exchange(u128::from_le_bytes(expected), u128::from_le_bytes(new))?;
        old.copy_from_slice(&found.to_le_bytes()[..old.len()]);
        Some(equal)
    };
    ram.load(old);
    for _ in 0..TRIES {
        let _passage = locks.seat.enter();
        if attempt(old) == Some(true) {
            return Ok(());
        }
    }
    let _alone = alone()?;
    for _ in 0..TRIES {
        if attempt(old) == Some(true) {
            return Ok(());
        }
    }
    Err(Unsupported::Platform("memory that stays the same between a load and a compare-exchange").into())
}

/// A read-modify-write by the bus: one atomic call where the device can, else a read and a write. Fills `old`.
///
/// # Errors
/// What the bus answers; the write's fault comes before the device is read.
fn by_bus<V: Vmm + ?Sized>(
    mem: &mut Mem<'_, V>,
    linear: u64,
    old: &mut [u8],
    locked: bool,
    compute: &mut Modify<'_>,
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
