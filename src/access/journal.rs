//! The journal of an instruction that waits for its retry.
//!
//! When the bus answers `Retry`, accesses already performed are kept here. When the instruction is stepped again, they
//! are answered from here, in order, so that no device is read or written twice.

use super::Halt;
use crate::event::Unsupported;

/// What was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    /// One atomic read-modify-write of a device.
    Rmw,
    PortIn,
    PortOut,
}

/// What the journal knows of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Nothing: it is to be performed now.
    New,
    /// It was performed before the retry.
    Answered,
    /// It was taken in narrower pieces, the first of this length: the device is not asked again for the whole.
    Pieces(usize),
}

/// Accesses of one kind and length side by side, as a narrow device makes many of: the first one's address, the length of each.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: Kind,
    at: u64,
    len: u16,
    count: u16,
    /// Where the data of reads lie.
    data: u16,
}

/// Which instruction a journal belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) rip: u64,
    pub(crate) cs_base: u64,
    pub(crate) bytes: u128,
}

/// A task switch makes some sixty accesses that do not lie side by side.
const ENTRIES: usize = 256;
/// An XSAVE area without tiles has 2.7 KiB, of which only what is read is kept.
const DATA: usize = 8192;

/// Accesses of the current instruction.
pub(crate) struct Journal {
    /// Set while an instruction waits for its retry.
    owner: Option<Owner>,
    count: usize,
    cursor: usize,
    /// Accesses of the entry at the cursor that were answered.
    answered: u16,
    used: usize,
    overflow: bool,
    /// An access is remembered or an instruction waits: what each step asks.
    busy: bool,
    entries: [Entry; ENTRIES],
    data: [u8; DATA],
}

impl core::fmt::Debug for Journal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Journal").field("owner", &self.owner).field("accesses", &self.count).finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn new() -> Journal {
        Journal {
            owner: None,
            count: 0,
            cursor: 0,
            answered: 0,
            used: 0,
            overflow: false,
            busy: false,
            entries: [Entry { kind: Kind::Read, at: 0, len: 0, count: 0, data: 0 }; ENTRIES],
            data: [0; DATA],
        }
    }

    /// No access is remembered.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Is the next access a new one, not one to be answered from here?
    #[inline]
    pub(crate) fn at_end(&self) -> bool {
        self.cursor == self.count
    }

    /// Length of the access that is answered next.
    #[inline]
    pub(crate) fn next_len(&self) -> Option<usize> {
        (!self.at_end()).then(|| usize::from(self.entries[self.cursor].len))
    }

    /// Nothing is remembered and nothing waits.
    #[inline(always)]
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy
    }

    /// Does an instruction wait for its retry?
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.owner.is_some()
    }

    /// Is the waiting instruction at this place?
    pub(crate) fn waits_at(&self, rip: u64, cs_base: u64) -> bool {
        self.owner.is_some_and(|owner| owner.rip == rip && owner.cs_base == cs_base)
    }

    /// Begins an instruction while a journal is open.
    ///
    /// # Errors
    /// `JournalMismatch` when the journal belongs to another one.
    pub(crate) fn resume(&mut self, owner: Owner) -> Result<(), Halt> {
        if self.owner != Some(owner) {
            return Err(Unsupported::JournalMismatch.into());
        }
        (self.cursor, self.answered) = (0, 0);
        Ok(())
    }

    /// Keeps what is recorded for the retry of `owner`.
    ///
    /// # Errors
    /// `Journal` when there were more accesses than it holds.
    pub(crate) fn suspend(&mut self, owner: Owner) -> Result<(), Halt> {
        if self.overflow {
            self.clear();
            return Err(Unsupported::Journal.into());
        }
        self.owner = Some(owner);
        self.busy = true;
        Ok(())
    }

    /// What was done so far is committed (a repetition of a string instruction): it need not be remembered.
    pub(crate) fn checkpoint(&mut self) {
        self.busy = self.owner.is_some();
        self.count = 0;
        self.cursor = 0;
        self.answered = 0;
        self.used = 0;
        self.overflow = false;
    }

    /// Forgets everything.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.owner = None;
        self.busy = false;
        self.count = 0;
        self.cursor = 0;
        self.answered = 0;
        self.used = 0;
        self.overflow = false;
    }

    /// Answers an access that was performed before the retry.
    ///
    /// # Errors
    /// `JournalMismatch` when another access was performed in its place.
    #[inline]
    pub(crate) fn replay(&mut self, kind: Kind, at: u64, len: usize, out: Option<&mut [u8]>) -> Result<Replay, Halt> {
        if self.at_end() {
            return Ok(Replay::New);
        }
        let entry = self.entries[self.cursor];
        let entry_len = usize::from(entry.len);
        let passed = usize::from(self.answered) * entry_len;
        if entry.kind != kind || entry.at.wrapping_add(passed as u64) != at || entry_len > len {
            return Err(Unsupported::JournalMismatch.into());
        }
        if entry_len < len {
            return Ok(Replay::Pieces(entry_len));
        }
        if let Some(out) = out {
            out.copy_from_slice(&self.data[usize::from(entry.data) + passed..][..len]);
        }
        self.answered += 1;
        if self.answered == entry.count {
            (self.cursor, self.answered) = (self.cursor + 1, 0);
        }
        Ok(Replay::Answered)
    }

    /// Is the access that is answered next of this kind and at this place?
    pub(crate) fn next_is(&self, kind: Kind, at: u64) -> bool {
        let entry = &self.entries[self.cursor.min(ENTRIES - 1)];
        let passed = u64::from(self.answered) * u64::from(entry.len);
        !self.at_end() && entry.kind == kind && entry.at.wrapping_add(passed) == at
    }

    /// Remembers an access that was performed before all others, unless it is there already.
    pub(crate) fn record_first(&mut self, kind: Kind, at: u64, data: &[u8]) {
        if self.count != 0 && self.entries[0].kind == kind && self.entries[0].at == at {
            return;
        }
        if self.push(kind, at, data) {
            self.entries[..self.count].rotate_right(1);
        }
    }

    /// Remembers an access that was performed.
    #[inline]
    pub(crate) fn record(&mut self, kind: Kind, at: u64, data: &[u8]) {
        debug_assert!(self.at_end(), "a new access while old ones wait to be answered");
        let kept = if keeps(kind) { data.len() } else { 0 };
        if let Some(last) = self.count.checked_sub(1).and_then(|last| self.entries.get_mut(last)) {
            let end = last.at.wrapping_add(u64::from(last.len) * u64::from(last.count));
            let beside = last.kind == kind && usize::from(last.len) == data.len() && end == at;
            // Data lie side by side too: those of the last entry are the last ones, unless it was entered as the first.
            let follows = kept == 0 || usize::from(last.data) + kept * usize::from(last.count) == self.used;
            if beside && follows && self.used + kept <= DATA && last.count < u16::MAX {
                last.count += 1;
                self.data[self.used..self.used + kept].copy_from_slice(&data[..kept]);
                self.used += kept;
                return;
            }
        }
        self.push(kind, at, data);
    }

    /// Makes an entry behind the others; says whether there was room.
    fn push(&mut self, kind: Kind, at: u64, data: &[u8]) -> bool {
        let kept = if keeps(kind) { data.len() } else { 0 };
        if self.count == ENTRIES || self.used + kept > DATA {
            self.overflow = true;
            return false;
        }
        self.entries[self.count] = Entry { kind, at, len: data.len() as u16, count: 1, data: self.used as u16 };
        self.data[self.used..self.used + kept].copy_from_slice(&data[..kept]);
        self.used += kept;
        self.count += 1;
        self.busy = true;
        (self.cursor, self.answered) = (self.count, 0);
        true
    }
}

/// Is what was accessed needed for an answer?
const fn keeps(kind: Kind) -> bool {
    matches!(kind, Kind::Read | Kind::PortIn)
}
