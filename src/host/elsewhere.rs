//! The host's memory, fences and locked operations on other processors than x86-64.

use super::{Fence, HostRam, Locked, LockedOp, RemoteOp, copy_in, copy_out, portable};
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::fence as atomic_fence;

/// Names a locked instruction of one width: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Issue;

impl Issue {
    pub(crate) const NONE: Issue = Issue;

    /// Finds none, so that the general way is taken.
    pub(crate) fn of(_: LockedOp, _: usize) -> Issue {
        Issue
    }
}

const NOTHING: Locked = Locked { old: 0, flags: 0 };

/// Flags are left to the formula.
pub(crate) fn sum(_: u64, _: u64, _: u16) -> Option<(u64, u64)> {
    None
}

/// The same.
pub(crate) fn difference(_: u64, _: u64, _: u16) -> Option<(u64, u64)> {
    None
}

/// The same.
pub(crate) fn of_result(_: u64, _: u16) -> Option<u64> {
    None
}

/// [`HostRam::load`].
///
/// # Safety
/// `buf.len()` bytes at `p` are mapped and readable.
pub(super) unsafe fn load(p: *mut u8, buf: &mut [u8]) {
    // SAFETY: the caller's promise; the wide reads are aligned.
    unsafe {
        match buf.len() {
            4 if p.addr().is_multiple_of(4) => buf.copy_from_slice(&p.cast::<u32>().read_volatile().to_ne_bytes()),
            2 if p.addr().is_multiple_of(2) => buf.copy_from_slice(&p.cast::<u16>().read_volatile().to_ne_bytes()),
            _ => copy_in(p, buf),
        }
    }
}

/// [`HostRam::store`].
///
/// # Safety
/// `buf.len()` bytes at `p` are mapped and writable.
pub(super) unsafe fn store(p: *mut u8, buf: &[u8]) {
    // SAFETY: the caller's promise; the wide writes are aligned.
    unsafe {
        if let (Ok(bytes), true) = (<[u8; 4]>::try_from(buf), p.addr().is_multiple_of(4)) {
            p.cast::<u32>().write_volatile(u32::from_ne_bytes(bytes));
        } else if let (Ok(bytes), true) = (<[u8; 2]>::try_from(buf), p.addr().is_multiple_of(2)) {
            p.cast::<u16>().write_volatile(u16::from_ne_bytes(bytes));
        } else {
            copy_out(p, buf);
        }
    }
}

/// MOVDIR64B: there is none.
///
/// # Safety
/// None.
pub(super) unsafe fn store_line(_: *mut u8, _: &[u8; 64]) -> bool {
    false
}

/// No hint.
pub(super) fn prefetch(_: *const u8) {}

/// Eight bytes, aligned or not.
///
/// # Safety
/// Eight bytes at `p` are mapped and readable.
pub(super) unsafe fn word(p: *const u8) -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the caller's promise.
    unsafe { copy_in(p.cast_mut(), &mut bytes) };
    u64::from_le_bytes(bytes)
}

/// All fences are full ones.
pub(super) fn fence(_: Fence) {
    atomic_fence(SeqCst);
}

/// There is no XCR0.
pub(super) fn xcr0() -> u64 {
    crate::cpu::registers::component::X87
}

impl HostRam<'_> {
    /// Runs the operation on the range as one atomic operation, if it is 1, 2, 4 or 8 bytes long and aligned to that. `source` is
    /// the register operand, `accumulator` CMPXCHG's rAX, `carry` the input CF.
    pub fn locked(&self, op: LockedOp, source: u64, accumulator: u64, carry: bool) -> Option<Locked> {
        portable::locked(self, op, source, accumulator, carry)
    }

    /// CMPXCHG8B on an aligned range of 8 bytes.
    pub fn compare_exchange_pair(&self, expected: u128, new: u128) -> Option<(u128, bool)> {
        portable::compare_exchange_pair(self, expected, new)
    }

    /// What the short lines call, which are not taken here: [`LANES`](super::LANES).
    ///
    /// # Safety
    /// None.
    pub(crate) unsafe fn issue(&self, _: Issue, _: u64, _: u64, _: u64) -> Option<Locked> {
        None
    }

    pub(crate) fn exchange_add(&self, addend: u64) -> Locked {
        self.locked(LockedOp::Xadd, addend, 0, false).unwrap_or(NOTHING)
    }

    pub(crate) fn compare_exchange_word(&self, source: u64, accumulator: u64) -> Locked {
        self.locked(LockedOp::Cmpxchg, source, accumulator, false).unwrap_or(NOTHING)
    }

    #[allow(dead_code)]
    pub(crate) fn change_bit(&self, op: LockedOp, bit: u64) -> Locked {
        self.locked(op, bit, 0, false).unwrap_or(NOTHING)
    }

    pub(crate) fn can_exchange(&self) -> bool {
        matches!(self.len(), 1 | 2 | 4 | 8) && self.is_aligned()
    }

    pub(crate) fn compare_exchange(&self, expected: u128, new: u128) -> Option<(u128, bool)> {
        let done = self.locked(LockedOp::Cmpxchg, new as u64, expected as u64, false)?;
        Some((u128::from(done.old), done.flags & 1 << 6 != 0))
    }

    pub(crate) fn compare_add(&self, _: u8, _: u64, _: u64) -> Option<Locked> {
        None
    }

    pub(crate) fn remote(&self, _: RemoteOp, _: u64) -> bool {
        false
    }
}
