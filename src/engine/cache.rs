//! The decode cache: instructions found again by their bytes.
//!
//! The slot is picked by RIP, the hit is decided by the bytes and the mode, so that code that modifies itself is right by
//! construction.

use super::lane::Way;
use crate::address;
use crate::cpu::{Cpu, Mode, obstacle};
use crate::decode::{DecodeError, Insn, decode_into};
use crate::host;
use crate::profile::Profile;
use crate::replay::StubRef;

/// Entries that an engine begins with.
const ENTRIES: usize = 256;

/// No slot: there are fewer.
const NONE: u32 = u32::MAX;

/// A decoded instruction with what is known of running it. Two lines of the host's cache, of which the first decides the hit: a large
/// cache of instructions does not fit into the host's first level, and each line that is touched is waited for.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Entry {
    /// RIP where it was found last. Under the mode word that [`Way`] has, this is canonical.
    at: u64,
    /// Bytes 0 to 6, and 8 to 14 with byte 7 above. Those behind the instruction are zero.
    low: u64,
    high: u64,
    /// Which bits of its first eight bytes are the instruction's.
    mask: u64,
    pub(super) stub: Option<StubRef>,
    pub(super) way: Way,
    pub(super) insn: Insn,
}

const _: () = assert!(size_of::<Entry>() == 128, "two lines");

/// Masks by the length of an instruction: of bytes 0 to 7, of bytes 8 to 14.
static LOW: [u64; 16] = masks(0);
static HIGH: [u64; 16] = masks(8);

const fn masks(from: usize) -> [u64; 16] {
    let mut masks = [0; 16];
    let mut len = from + 1;
    while len < 16 {
        let bytes = if len - from < 8 { len - from } else { 8 };
        masks[len] = u64::MAX >> (64 - 8 * bytes);
        len += 1;
    }
    masks
}

/// The bits of bytes 0 to 6.
const BELOW_7: u64 = u64::MAX >> 8;

impl Entry {
    /// No instruction: of no length, and under no mode word.
    const EMPTY: Entry =
        Entry { at: 0, low: 0, high: 0, mask: u64::MAX, stub: None, way: Way::NONE, insn: Insn::EMPTY };

    /// Makes this the entry of the instruction that the first `count` of `bytes` begin with, if they are one; else there is none here.
    /// It is decoded where it stays: it is written in small pieces, for which a copy would wait.
    #[inline(always)]
    pub(super) fn decode(
        &mut self,
        bytes: &[u8; 16],
        count: usize,
        mode: Mode,
        profile: &Profile,
    ) -> Result<(), DecodeError> {
        if let Err(error) = decode_into(&bytes[..count.min(15)], mode, profile, &mut self.insn) {
            *self = Entry::EMPTY;
            return Err(error);
        }
        let bytes = u128::from_le_bytes(*bytes);
        let len = self.insn.length() & 15;
        let (low, high) = (bytes as u64 & LOW[len], (bytes >> 64) as u64 & HIGH[len]);
        (self.low, self.high) = (low & BELOW_7, high | low & !BELOW_7);
        (self.at, self.mask, self.stub) = (0, LOW[len], None);
        self.way = Way::of(&self.insn);
        Ok(())
    }

    /// Notes where the instruction was found, if nothing keeps it from its lane now; says whether that is so.
    #[inline]
    pub(super) fn settle(&mut self, cpu: &Cpu) -> bool {
        let word = cpu.word();
        let obstacles = self.insn.gate | obstacle::ATTENTION | obstacle::ALIGNMENT;
        let fits = word.flat && word.bits & obstacles == 0 && address::canonical(cpu, cpu.rip);
        if fits {
            (self.at, self.way.word) = (cpu.rip, word.bits);
        }
        fits
    }

    /// The instruction's own bytes.
    pub(super) fn bytes(&self) -> u128 {
        u128::from(self.low | self.high & !BELOW_7) | u128::from(self.high & BELOW_7) << 64
    }

    /// Is this the instruction that begins with `bytes`, if the mode is its own?
    ///
    /// A bus copies its 15 bytes by two moves of eight, at 0 and at 7, in either order. A load that lies within one of them gets
    /// its bytes from the store buffer; one that needs byte 7 with its neighbours may span both, and would wait for the stores
    /// to retire, some 5 ns. So they are looked at as bytes 0 to 6, more than most instructions have, byte 7, and bytes 8 to 14.
    #[inline(always)]
    pub(super) fn matches(&self, bytes: &[u8; 16]) -> bool {
        (seven(bytes, 0) ^ self.low) & self.mask == 0 && (self.is_short() || self.matches_behind(bytes))
    }

    /// The same where only `count` bytes could be fetched and those behind are zero, and in this mode: an entry that is longer
    /// does not match.
    #[inline]
    pub(super) fn matches_some(&self, bytes: &[u8; 16], count: usize, mode: Mode) -> bool {
        (1..=count).contains(&self.insn.length()) && self.matches(bytes) && self.insn.mode == mode
    }

    /// Do the bytes behind the first seven match?
    #[inline]
    fn matches_behind(&self, bytes: &[u8; 16]) -> bool {
        let len = self.insn.length() & 15;
        bytes[7] == (self.high >> 56) as u8 && (seven(bytes, 8) ^ self.high) & HIGH[len] == 0
    }

    /// The same for bytes that are two words in memory, 15 of them at least.
    #[inline(always)]
    fn matches_words(&self, (low, high): (u64, u64)) -> bool {
        let rest = || {
            let behind = (high ^ self.high) & HIGH[self.insn.length() & 15];
            behind | (low ^ self.high) & !BELOW_7 == 0
        };
        (low ^ self.low) & self.mask & BELOW_7 == 0 && (self.is_short() || rest())
    }

    /// Has it seven bytes at most?
    #[inline(always)]
    fn is_short(&self) -> bool {
        self.mask & !BELOW_7 == 0
    }
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
    entries: Box<[Entry]>,
    #[cfg(not(feature = "std"))]
    entries: [Entry; ENTRIES],
    /// One less than there are.
    mask: usize,
    /// The slot used last, or [`NONE`].
    last: u32,
}

impl Cache {
    pub(super) fn new() -> Cache {
        #[cfg(feature = "std")]
        return Cache::with_entries(ENTRIES);
        #[cfg(not(feature = "std"))]
        Cache { entries: [const { Entry::EMPTY }; ENTRIES], mask: ENTRIES - 1, last: NONE }
    }

    /// As many entries as the next power of two.
    #[cfg(feature = "std")]
    pub(super) fn with_entries(entries: usize) -> Cache {
        let count = entries.clamp(1, 1 << 24).next_power_of_two();
        Cache { entries: vec![Entry::EMPTY; count].into(), mask: count - 1, last: NONE }
    }

    #[inline(always)]
    fn slot(&self, rip: u64) -> usize {
        (rip ^ rip >> 8) as usize & self.mask
    }

    /// The entry at this RIP, whatever instruction it holds. It becomes the last one.
    #[inline(always)]
    pub(super) fn at(&mut self, rip: u64) -> &mut Entry {
        let slot = self.slot(rip);
        self.last = slot as u32;
        &mut self.entries[slot]
    }

    /// The entry of the instruction that was found at CS:RIP under this mode word; its bytes are still to be compared.
    #[inline(always)]
    pub(super) fn settled(&mut self, cpu: &Cpu) -> Option<&mut Entry> {
        let entry = self.at(cpu.rip);
        (entry.at == cpu.rip && entry.way.word == cpu.word().bits).then_some(entry)
    }

    /// The entry of the instruction at this RIP, which begins with these two words in memory, if it is here and nothing keeps it
    /// from its lane under this mode word.
    #[inline(always)]
    pub(super) fn find(&mut self, rip: u64, words: (u64, u64), word: u32) -> Option<&mut Entry> {
        let slot = self.slot(rip);
        let entry = &self.entries[slot];
        if !entry.matches_words(words) || entry.way.word != word {
            return None;
        }
        // The one behind it is likely to be wanted next.
        let next = self.slot(rip.wrapping_add(entry.insn.length() as u64));
        host::prefetch(&self.entries[next]);
        self.last = slot as u32;
        Some(&mut self.entries[slot])
    }

    /// The entry of the instruction in `bytes` at CS:RIP, decoded if it is not there.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub(super) fn of_bytes(&mut self, cpu: &Cpu, bytes: &[u8], profile: &Profile) -> Result<&mut Entry, DecodeError> {
        let mut padded = [0; 16];
        let count = bytes.len().min(15);
        padded[..count].copy_from_slice(&bytes[..count]);
        let entry = self.at(cpu.rip);
        if !entry.matches_some(&padded, count, cpu.mode()) {
            entry.decode(&padded, count, cpu.mode(), profile)?;
        }
        Ok(entry)
    }

    /// Nothing was decoded last.
    pub(super) fn forget_last(&mut self) {
        self.last = NONE;
    }

    /// The last entry.
    pub(super) fn last(&self) -> Option<&Entry> {
        self.entries.get(self.last as usize)
    }
}
