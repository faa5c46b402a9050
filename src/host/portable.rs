//! The twin of `locked` for other processors: Rust's atomic operations, and flags in plain arithmetic. An operand that is not
//! aligned to its width, and one of 16 bytes, has no such operation here; the engine then reads and writes.

use super::{HostRam, Locked, LockedOp};
use crate::cpu::registers::rflags::{AF, CF, OF, PF, SF, ZF};
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// The bits that an operand of `len` bytes has.
const fn mask(len: usize) -> u64 {
    u64::MAX >> (64 - 8 * len)
}

/// The carries into and out of each bit of a sum.
pub(super) struct Sum {
    value: u64,
    carries: u64,
    into: u64,
}

/// Flags of a result, and those of a sum that it came from.
pub(super) fn flags(value: u64, len: usize, sum: Option<&Sum>) -> u64 {
    let top = 8 * len as u32 - 1;
    let bit = |word: u64, n: u32, flag: u64| if word >> n & 1 != 0 { flag } else { 0 };
    let even = (value as u8).count_ones().is_multiple_of(2);
    let result = bit(value, top, SF) | if value == 0 { ZF } else { 0 } | if even { PF } else { 0 };
    let of_sum = sum.map_or(0, |s| {
        let out = bit(s.carries, top, CF) | bit(s.carries, 3, AF);
        out | if (s.carries >> top ^ s.into >> top) & 1 != 0 { OF } else { 0 }
    });
    result | of_sum
}

pub(super) fn add(a: u64, b: u64, carry: u64, len: usize) -> (u64, u64) {
    let value = a.wrapping_add(b).wrapping_add(carry) & mask(len);
    // By bits: into each comes what differs from the sum without carries, out of each what two of three have.
    let into = a ^ b ^ value;
    let sum = Sum { value, carries: a & b | into & (a | b), into };
    (sum.value, flags(value, len, Some(&sum)))
}

pub(super) fn sub(a: u64, b: u64, borrow: u64, len: usize) -> (u64, u64) {
    let value = a.wrapping_sub(b).wrapping_sub(borrow) & mask(len);
    let into = a ^ b ^ value;
    let sum = Sum { value, carries: !a & b | into & (!a | b), into };
    (sum.value, flags(value, len, Some(&sum)))
}

/// The new value, if there is one, and the flags. What the manual leaves undefined is clear.
fn compute(op: LockedOp, old: u64, source: u64, accumulator: u64, carry: u64, len: usize) -> (Option<u64>, u64) {
    let bit = 1 << (source & (8 * len as u64 - 1));
    let logic = |value: u64| (value, flags(value, len, None));
    let with_carry = |(value, flags): (u64, u64)| (value, flags & !CF | carry);
    let of_bit = |value: u64| (value, if old & bit != 0 { CF } else { 0 });
    let (value, flags) = match op {
        LockedOp::Add | LockedOp::Xadd => add(old, source, 0, len),
        LockedOp::Adc => add(old, source, carry, len),
        LockedOp::Sub => sub(old, source, 0, len),
        LockedOp::Sbb => sub(old, source, carry, len),
        LockedOp::And => logic(old & source),
        LockedOp::Or => logic(old | source),
        LockedOp::Xor => logic(old ^ source),
        LockedOp::Inc => with_carry(add(old, 1, 0, len)),
        LockedOp::Dec => with_carry(sub(old, 1, 0, len)),
        LockedOp::Not => (!old & mask(len), carry),
        LockedOp::Neg => sub(0, old, 0, len),
        LockedOp::Bts => of_bit(old | bit),
        LockedOp::Btr => of_bit(old & !bit),
        LockedOp::Btc => of_bit(old ^ bit),
        LockedOp::Xchg => (source, carry),
        LockedOp::Cmpxchg => {
            let (difference, flags) = sub(accumulator, old, 0, len);
            return ((difference == 0).then_some(source), flags);
        }
    };
    (Some(value), flags)
}

/// Stores what `compute` gives for the old value, which is given back; `None` where the range is none of an atomic type.
fn update(ram: &HostRam<'_>, mut compute: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
    macro_rules! by {
        ($atomic:ty, $t:ty) => {{
            // SAFETY: the range is mapped and writable for its length, is aligned to it, and is shared by atomic and volatile
            // accesses alone (promise of `HostRam::new`).
            let cell = unsafe { <$atomic>::from_ptr(ram.address() as *mut $t) };
            let change = |old: $t| Some(compute(old.into()).map_or(old, |new| new as $t));
            // A failed compare writes the old value back, as processors do.
            cell.fetch_update(SeqCst, SeqCst, change).ok().map(u64::from)
        }};
    }
    match ram.len() {
        1 => by!(AtomicU8, u8),
        2 if ram.is_aligned() => by!(AtomicU16, u16),
        4 if ram.is_aligned() => by!(AtomicU32, u32),
        8 if ram.is_aligned() => by!(AtomicU64, u64),
        _ => None,
    }
}

/// [`HostRam::locked`].
pub(super) fn locked(ram: &HostRam<'_>, op: LockedOp, source: u64, accumulator: u64, carry: bool) -> Option<Locked> {
    let len = ram.len();
    if !matches!(len, 1 | 2 | 4 | 8) || len == 1 && matches!(op, LockedOp::Bts | LockedOp::Btr | LockedOp::Btc) {
        return None;
    }
    let (source, accumulator) = (source & mask(len), accumulator & mask(len));
    let mut flags = 0;
    let old = update(ram, |old| {
        let (new, after) = compute(op, old, source, accumulator, carry.into(), len);
        flags = after;
        new
    })?;
    let old = match op {
        LockedOp::Xchg | LockedOp::Xadd | LockedOp::Cmpxchg => old,
        LockedOp::Inc | LockedOp::Dec | LockedOp::Not | LockedOp::Neg => 0,
        LockedOp::Bts | LockedOp::Btr | LockedOp::Btc => 0,
        _ => source,
    };
    Some(Locked { old, flags })
}

/// [`HostRam::compare_exchange_pair`] of 8 bytes.
pub(super) fn compare_exchange_pair(ram: &HostRam<'_>, expected: u128, new: u128) -> Option<(u128, bool)> {
    if ram.len() != 8 {
        return None;
    }
    let expected = expected as u64;
    let old = update(ram, |old| (old == expected).then_some(new as u64))?;
    Some((old.into(), old == expected))
}

#[cfg(all(test, target_arch = "x86_64", not(encore86_portable)))]
mod tests {
    use super::*;
    use core::ptr::NonNull;

    const OPS: [LockedOp; 17] = [
        LockedOp::Add,
        LockedOp::Or,
        LockedOp::Adc,
        LockedOp::Sbb,
        LockedOp::And,
        LockedOp::Sub,
        LockedOp::Xor,
        LockedOp::Inc,
        LockedOp::Dec,
        LockedOp::Not,
        LockedOp::Neg,
        LockedOp::Bts,
        LockedOp::Btr,
        LockedOp::Btc,
        LockedOp::Xchg,
        LockedOp::Xadd,
        LockedOp::Cmpxchg,
    ];

    /// Flags that the manual defines.
    fn defined(op: LockedOp) -> u64 {
        match op {
            LockedOp::And | LockedOp::Or | LockedOp::Xor => CF | PF | ZF | SF | OF,
            LockedOp::Bts | LockedOp::Btr | LockedOp::Btc => CF,
            LockedOp::Not | LockedOp::Xchg => 0,
            _ => CF | PF | AF | ZF | SF | OF,
        }
    }

    fn values() -> Vec<u64> {
        let edges = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let any = (0..12).map(move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
        edges.into_iter().chain([1 << 63, u64::MAX >> 1, u64::MAX]).chain(any).collect()
    }

    #[test]
    fn the_twin_does_what_the_processor_does() {
        let mut cell = 0u64;
        let place = NonNull::from(&mut cell).cast::<u8>();
        let mut cases = 0;
        for (len, op) in [1, 2, 4, 8].into_iter().flat_map(|len| OPS.map(|op| (len, op))) {
            for (before, source) in values().into_iter().flat_map(|a| values().into_iter().map(move |b| (a, b))) {
                for (accumulator, carry) in [(before, false), (source ^ 1, true), (0, true)] {
                    let run = |twin: bool| {
                        // SAFETY: the cell is aligned, has eight bytes, and is used by nobody else meanwhile.
                        let ram = unsafe { HostRam::new(place, len) };
                        // SAFETY: the same.
                        unsafe { place.cast::<u64>().write_volatile(before) };
                        let done = if twin {
                            locked(&ram, op, source, accumulator, carry)
                        } else {
                            ram.locked(op, source, accumulator, carry)
                        };
                        // SAFETY: the same.
                        let after = unsafe { place.cast::<u64>().read_volatile() };
                        (done.map(|done| (done.old, done.flags & defined(op))), after)
                    };
                    let (theirs, ours) = (run(false), run(true));
                    let what = format!("{op:?} of {len} bytes: {before:x}, {source:x}, {accumulator:x}, {carry}");
                    assert_eq!(ours, theirs, "{what}");
                    cases += 1;
                }
            }
        }
        assert!(cases > 100_000, "{cases}");
    }

    #[test]
    fn pairs_are_compared_and_exchanged() {
        let mut cell = 5u64;
        // SAFETY: aligned, eight bytes, used by nobody else meanwhile.
        let ram = unsafe { HostRam::new(NonNull::from(&mut cell).cast(), 8) };
        assert_eq!(compare_exchange_pair(&ram, 4, 9), Some((5, false)));
        assert_eq!(compare_exchange_pair(&ram, 5, 9), Some((5, true)));
        assert_eq!(compare_exchange_pair(&ram, 9, 1), Some((9, true)));
    }

    #[test]
    fn what_is_not_aligned_is_nobodys() {
        let mut cells = [0u64; 3];
        let place = NonNull::from(&mut cells[0]).cast::<u8>();
        for (at, len) in [(1, 2), (2, 4), (4, 8), (0, 16), (0, 3)] {
            // SAFETY: within the cells.
            let ram = unsafe { HostRam::new(place.add(at), len) };
            assert_eq!(locked(&ram, LockedOp::Add, 1, 0, false), None, "{at}, {len}");
            assert_eq!(compare_exchange_pair(&ram, 0, 1), None, "{at}, {len}");
        }
    }
}
