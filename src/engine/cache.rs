//! The decode cache: instructions found again by their bytes.
//!
//! The slot is picked by RIP, the hit is decided by the bytes and the mode, so that code that modifies itself is right by
//! construction.

use crate::cpu::Mode;
use crate::decode::Insn;
use encore86_stubs::StubRef;

const ENTRIES: usize = 256;

/// A decoded instruction with what is known of running it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    bytes: u128,
    mask: u128,
    mode: Mode,
    pub(super) insn: Insn,
    pub(super) stub: Option<StubRef>,
}

impl Entry {
    pub(super) fn new(bytes: u128, insn: Insn) -> Entry {
        let mask = u128::MAX >> (128 - insn.length() as u32 * 8);
        Entry { bytes: bytes & mask, mask, mode: insn.mode(), insn, stub: None }
    }

    /// The instruction's own bytes.
    pub(super) fn bytes(&self) -> u128 {
        self.bytes
    }
}

/// 256 entries.
#[derive(Debug)]
pub(super) struct Cache {
    entries: Box<[Option<Entry>; ENTRIES]>,
}

impl Cache {
    pub(super) fn new() -> Cache {
        Cache { entries: Box::new([const { None }; ENTRIES]) }
    }

    #[inline]
    fn slot(rip: u64) -> usize {
        (rip ^ rip >> 8) as usize % ENTRIES
    }

    /// The entry for these bytes at this RIP. Bytes behind those that could be fetched are zero in `bytes`; an entry that
    /// is longer than `count` does not match.
    #[inline]
    pub(super) fn find(&mut self, rip: u64, bytes: u128, count: usize, mode: Mode) -> Option<&mut Entry> {
        let entry = self.entries[Cache::slot(rip)].as_mut()?;
        (bytes & entry.mask == entry.bytes && entry.mode == mode && entry.insn.length() <= count).then_some(entry)
    }

    /// Enters a decoded instruction.
    pub(super) fn insert(&mut self, rip: u64, entry: Entry) -> &mut Entry {
        self.entries[Cache::slot(rip)].insert(entry)
    }
}
