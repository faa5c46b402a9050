//! The decode cache: instructions found again by their bytes.
//!
//! The slot is picked by RIP, the hit is decided by the bytes and the mode, so that code that modifies itself is right by
//! construction.

use super::lane::Lane;
use crate::cpu::Mode;
use crate::decode::Insn;
use encore86_stubs::StubRef;

const ENTRIES: usize = 256;

/// A decoded instruction with what is known of running it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    bytes: [u64; 2],
    mask: [u64; 2],
    pub(super) insn: Insn,
    pub(super) stub: Option<StubRef>,
    pub(super) lane: Lane,
}

impl Entry {
    pub(super) fn new(bytes: &[u8; 16], insn: Insn) -> Entry {
        let mut mask = [0; 16];
        mask[..insn.length()].fill(0xff);
        let (bytes, mask) = (words(bytes), words(&mask));
        Entry { bytes: [bytes[0] & mask[0], bytes[1] & mask[1]], mask, lane: Lane::of(&insn), insn, stub: None }
    }

    /// The instruction's own bytes.
    pub(super) fn bytes(&self) -> u128 {
        u128::from(self.bytes[0]) | u128::from(self.bytes[1]) << 56
    }

    /// Is this the instruction that begins with `bytes`? Bytes behind the `count` that could be fetched are zero, and an
    /// entry that is longer does not match.
    #[inline(always)]
    pub(super) fn matches(&self, bytes: &[u8; 16], count: usize, mode: Mode) -> bool {
        let bytes = words(bytes);
        let differ = bytes[0] & self.mask[0] ^ self.bytes[0] | bytes[1] & self.mask[1] ^ self.bytes[1];
        differ == 0 && self.insn.mode == mode && usize::from(self.insn.len) <= count
    }
}

/// Bytes 0 to 6 and 7 to 14 as two words.
///
/// A bus copies its 15 bytes by two moves of eight, the second from byte 7 on. Loads that lie within one of the two get
/// their bytes from the store buffer; one that spans both would wait for the stores to retire, some 12 ns.
#[inline(always)]
fn words(b: &[u8; 16]) -> [u64; 2] {
    let low = u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let middle = u64::from(u16::from_le_bytes([b[4], b[5]])) << 32 | u64::from(b[6]) << 48;
    [low | middle, u64::from_le_bytes([b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14]])]
}

/// 256 entries.
#[derive(Debug)]
pub(super) struct Cache {
    entries: Box<[Option<Entry>; ENTRIES]>,
    last: Option<u8>,
}

impl Cache {
    pub(super) fn new() -> Cache {
        Cache { entries: Box::new([const { None }; ENTRIES]), last: None }
    }

    #[inline(always)]
    fn slot(rip: u64) -> usize {
        (rip ^ rip >> 8) as usize % ENTRIES
    }

    /// The entry at this RIP, whatever instruction it holds. It becomes the last one.
    #[inline(always)]
    pub(super) fn at(&mut self, rip: u64) -> &mut Option<Entry> {
        let slot = Cache::slot(rip);
        self.last = Some(slot as u8);
        &mut self.entries[slot]
    }

    /// Nothing was decoded last.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// The last entry.
    pub(super) fn last(&self) -> Option<&Entry> {
        self.entries[self.last? as usize].as_ref()
    }
}
