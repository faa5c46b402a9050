//! The decode cache: instructions found again by their bytes.
//!
//! The slot is picked by RIP, the hit is decided by the bytes and the mode, so that code that modifies itself is right by
//! construction.

use super::lane::Way;
use crate::cpu::{Cpu, Mode};
use crate::decode::{DecodeError, Insn, decode};
use crate::profile::Profile;
use crate::replay::StubRef;

/// Entries that an engine begins with.
const ENTRIES: usize = 256;

/// A decoded instruction with what is known of running it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    bytes: Words,
    mask: Words,
    pub(super) insn: Insn,
    pub(super) stub: Option<StubRef>,
    pub(super) way: Way,
}

impl Entry {
    pub(super) fn new(bytes: &[u8; 16], insn: Insn) -> Entry {
        let mut mask = [0; 16];
        mask[..insn.length()].fill(0xff);
        let (bytes, mask) = (words(bytes), words(&mask));
        let bytes = Words(bytes.0 & mask.0, bytes.1 & mask.1, bytes.2 & mask.2);
        Entry { bytes, mask, way: Way::of(&insn), insn, stub: None }
    }

    /// The instruction's own bytes.
    pub(super) fn bytes(&self) -> u128 {
        u128::from(self.bytes.0) | u128::from(self.bytes.1) << 56 | u128::from(self.bytes.2) << 64
    }

    /// Is this the instruction that begins with `bytes`? Bytes behind the `count` that could be fetched are zero, and an
    /// entry that is longer does not match.
    #[inline(always)]
    pub(super) fn matches(&self, bytes: &[u8; 16], count: usize, mode: Mode) -> bool {
        let len = usize::from(self.insn.len());
        first_seven(bytes) & self.mask.0 == self.bytes.0
            && self.insn.mode == mode
            && len <= count
            && (len <= 7 || self.matches_behind(bytes))
    }

    /// The same for bytes that are two words in memory, 15 of them at least.
    #[inline(always)]
    pub(super) fn matches_words(&self, (low, high): (u64, u64), mode: Mode) -> bool {
        low & self.mask.0 == self.bytes.0
            && self.insn.mode == mode
            && (self.insn.len() <= 7
                || (low >> 56) as u8 & self.mask.1 == self.bytes.1 && high & self.mask.2 == self.bytes.2)
    }

    /// Do the bytes behind the first seven match?
    #[inline]
    fn matches_behind(&self, bytes: &[u8; 16]) -> bool {
        let bytes = words(bytes);
        bytes.1 & self.mask.1 == self.bytes.1 && bytes.2 & self.mask.2 == self.bytes.2
    }
}

/// Bytes 0 to 6, byte 7, and bytes 8 to 14 of an instruction.
///
/// A bus copies its 15 bytes by two moves of eight, at 0 and at 7, in either order. A load that lies within one of them gets
/// its bytes from the store buffer; one that needs byte 7 with its neighbours may span both, and would wait for the stores
/// to retire, some 5 ns.
#[derive(Clone, Copy, Debug)]
struct Words(u64, u8, u64);

#[inline(always)]
fn words(b: &[u8; 16]) -> Words {
    Words(seven(b, 0), b[7], seven(b, 8))
}

/// Bytes 0 to 6: more than most instructions have.
#[inline(always)]
fn first_seven(b: &[u8; 16]) -> u64 {
    seven(b, 0)
}

#[inline(always)]
fn seven(b: &[u8; 16], at: usize) -> u64 {
    let four = |at: usize| u64::from(u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]));
    four(at) | four(at + 3) << 24
}

/// The entries.
#[derive(Debug)]
pub(super) struct Cache {
    /// A power of two of them.
    #[cfg(feature = "std")]
    entries: Box<[Option<Entry>]>,
    #[cfg(not(feature = "std"))]
    entries: [Option<Entry>; ENTRIES],
    /// The slot used last.
    last: Option<u32>,
}

impl Cache {
    pub(super) fn new() -> Cache {
        #[cfg(feature = "std")]
        return Cache::with_entries(ENTRIES);
        #[cfg(not(feature = "std"))]
        Cache { entries: [const { None }; ENTRIES], last: None }
    }

    /// As many entries as the next power of two.
    #[cfg(feature = "std")]
    pub(super) fn with_entries(entries: usize) -> Cache {
        let entries = core::iter::repeat_with(|| None).take(entries.clamp(1, 1 << 24).next_power_of_two());
        Cache { entries: entries.collect(), last: None }
    }

    #[inline(always)]
    fn slot(&self, rip: u64) -> usize {
        (rip ^ rip >> 8) as usize & (self.entries.len() - 1)
    }

    /// The entry at this RIP, whatever instruction it holds. It becomes the last one.
    #[inline(always)]
    pub(super) fn at(&mut self, rip: u64) -> &mut Option<Entry> {
        let slot = self.slot(rip);
        self.last = Some(slot as u32);
        &mut self.entries[slot]
    }

    /// The entry of the instruction in `bytes` at CS:RIP, decoded if it is not there.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub(super) fn of_bytes(&mut self, cpu: &Cpu, bytes: &[u8], profile: &Profile) -> Result<&mut Entry, DecodeError> {
        let mut padded = [0; 16];
        let count = bytes.len().min(15);
        padded[..count].copy_from_slice(&bytes[..count]);
        let slot = self.at(cpu.rip);
        let known = slot.take().filter(|entry| entry.matches(&padded, count, cpu.mode()));
        Ok(match known {
            Some(entry) => slot.insert(entry),
            None => slot.insert(Entry::new(&padded, decode(&padded[..count], cpu.mode(), profile)?)),
        })
    }

    /// Nothing was decoded last.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// The last entry.
    pub(super) fn last(&self) -> Option<&Entry> {
        self.entries.get(self.last? as usize)?.as_ref()
    }
}
