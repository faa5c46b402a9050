//! A list of what instructions did to memory and ports.

use crate::bus::{Access, AccessKind, Bus, Modify, Platform, forward_bus, forward_platform};
use crate::event::{EventKind, Outcome, Stop};
use crate::host::{CodePage, HostRam};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One architectural access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Linear address of the first byte, or the port.
    pub at: u64,
    /// What was done, with the bytes in memory order.
    pub what: What,
    /// Part of a locked operation.
    pub locked: bool,
    /// Made by the processor itself (descriptors, TSS, page tables).
    pub implicit: bool,
    /// To an entry of the page tables: seen below [`Paging`](crate::paging::Paging).
    pub walk: bool,
    /// Its place in the order of all accesses that go by the same [`Clock`].
    pub order: u64,
}

/// Numbers accesses. Records on both sides of [`Paging`](crate::paging::Paging) that share one can be merged: a page walk
/// comes before the access that it serves.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// The next number, from 0 on.
    pub fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// What an access did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A load, with what was read.
    Read(Vec<u8>),
    /// A store, with what was written.
    Write(Vec<u8>),
    /// A read-modify-write.
    Rmw {
        /// What was read.
        old: Vec<u8>,
        /// What was written.
        new: Vec<u8>,
    },
    /// A port read.
    In(Vec<u8>),
    /// A port write.
    Out(Vec<u8>),
    /// An instruction fetch.
    Fetch(Vec<u8>),
}

/// Lists each architectural access once, in order, however the engine makes it: pieces at pages and device widths
/// are put together, blocks are taken apart, a load for writing and its store become one read-modify-write, and a real
/// locked instruction on host memory is seen by what it left behind.
///
/// Call [`Record::settle`] after every step. An access that faults or is answered with [`Stop::Retry`] is not listed; it
/// is when it succeeds in a later step. The list has a limit: an access beyond it ends the step with
/// [`Record::FULL`].
#[derive(Debug)]
pub struct Record<B> {
    inner: B,
    log: Log,
}

impl<B> Record<B> {
    /// The code of [`Stop::Caller`] when the list is full.
    pub const FULL: u64 = u64::from_le_bytes(*b"listfull");

    /// Accesses that are listed unless [`Record::limit`] says otherwise.
    pub const LIMIT: usize = 1 << 22;

    /// Records what goes to `inner`; no fetches.
    pub fn new(inner: B) -> Record<B> {
        Record { inner, log: Log { limit: Self::LIMIT, ..Log::default() } }
    }

    /// Lists at most `limit` accesses.
    pub fn limit(mut self, limit: usize) -> Record<B> {
        self.log.limit = limit;
        self
    }

    /// Numbers accesses by this clock, in place of one of its own.
    pub fn clock(mut self, clock: Clock) -> Record<B> {
        self.log.clock = clock;
        self
    }

    /// Lists instruction fetches too?
    pub fn fetches(mut self, on: bool) -> Record<B> {
        self.log.fetches = on;
        self
    }

    /// The bus underneath.
    pub fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The instruction bytes that the step has fetched; empty if fetches are not listed, or if it went on with an
    /// instruction that was fetched before.
    pub fn fetched(&self) -> &[u8] {
        match self.log.fetch.and_then(|i| self.log.entries.get(i)) {
            Some(Entry { old, .. }) => old,
            None => &[],
        }
    }

    /// Takes the complete accesses out of the list. Those that wait for a retry are forgotten.
    pub fn take(&mut self) -> Vec<Recorded> {
        (self.log.fetch, self.log.current) = (None, 0);
        self.log.entries.drain(..).filter(Entry::complete).map(Entry::finish).collect()
    }
}

impl<B: Bus> Record<B> {
    /// Closes the list of one step. `length` is the instruction's, where it is known: of the bytes fetched, only those
    /// are listed.
    pub fn settle(&mut self, outcome: &Outcome, length: Option<usize>) {
        let done = match outcome {
            Outcome::Completed(_) => true,
            Outcome::Exception(event) => !matches!(event.kind, EventKind::Fault | EventKind::Breakpoint),
            _ => false,
        };
        let current = self.log.current;
        for entry in self.log.entries[current..].iter_mut().filter(|e| e.granted) {
            entry.granted = false;
            // A walk is done even where the instruction is not.
            if done || entry.access.walk {
                entry.new = after_grant(&mut self.inner, entry);
            } else {
                entry.old.clear();
            }
        }
        self.log.settle(outcome, done, length);
    }
}

/// What a locked instruction left in memory that it was granted.
fn after_grant<B: Bus>(inner: &mut B, entry: &Entry) -> Vec<u8> {
    let mut new = entry.old.clone();
    let access = Access { kind: AccessKind::Read, ..entry.access };
    if let Ok(Some(ram)) = inner.ram(entry.at, new.len(), &access)
        && ram.len() == new.len()
    {
        ram.load(&mut new);
    }
    new
}

/// How far back an access may have begun whose next piece comes now: the engine has few of them open at once.
const RECENT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Rmw,
    In,
    Out,
    Fetch,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    at: u64,
    /// Length of the whole access.
    len: usize,
    /// What was read, or the only bytes there are.
    old: Vec<u8>,
    /// What a read-modify-write has written so far.
    new: Vec<u8>,
    access: Access,
    order: u64,
    /// The engine holds the host address and has not said what it does there.
    granted: bool,
}

impl Entry {
    fn complete(&self) -> bool {
        self.old.len() == self.len && (self.kind != Kind::Rmw || self.new.len() == self.len)
    }

    /// Does byte `offset` of this access lie at `at`? Addresses may wrap at 32 bits.
    fn meets(&self, offset: usize, at: u64) -> bool {
        let next = self.at.wrapping_add(offset as u64);
        next == at || next as u32 as u64 == at
    }

    fn finish(self) -> Recorded {
        let what = match self.kind {
            Kind::Read => What::Read(self.old),
            Kind::Write => What::Write(self.old),
            Kind::Rmw => What::Rmw { old: self.old, new: self.new },
            Kind::In => What::In(self.old),
            Kind::Out => What::Out(self.old),
            Kind::Fetch => What::Fetch(self.old),
        };
        let Access { locked, implicit, walk, .. } = self.access;
        Recorded { at: self.at, what, locked, implicit, walk, order: self.order }
    }
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    limit: usize,
    clock: Clock,
    fetches: bool,
    /// This step's fetch.
    fetch: Option<usize>,
    /// The next step goes on with an instruction that has been fetched.
    resumed: bool,
    /// Entries before this one belong to instructions that are over.
    current: usize,
}

impl Log {
    fn room(&self) -> Result<(), Stop> {
        if self.entries.len() < self.limit { Ok(()) } else { Err(Stop::Caller(Record::<()>::FULL)) }
    }

    /// An access of one or several elements, or a piece of one.
    fn note(&mut self, kind: Kind, linear: u64, bytes: &[u8], access: &Access) {
        let len = match access.element {
            0 => bytes.len(),
            element => usize::from(element),
        };
        let (mut at, mut rest) = (linear, bytes);
        let mut offset = usize::from(access.offset) % len.max(1);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(len - offset));
            self.piece(kind, at, piece, offset, len, access);
            at = at.wrapping_add(piece.len() as u64);
            rest = behind;
            offset = 0;
        }
    }

    fn piece(&mut self, kind: Kind, at: u64, bytes: &[u8], offset: usize, len: usize, access: &Access) {
        let current = self.entries[self.current..].iter_mut().rev().take(RECENT);
        let mut open = current.filter(|e| e.len == len && e.meets(offset, at) && !e.granted);
        let beginning = open.find_map(|e| match (e.kind, kind) {
            (Kind::Rmw, Kind::Write) => (e.old.len() == len && e.new.len() == offset).then_some(&mut e.new),
            (has, wants) if has == wants => (offset > 0 && e.old.len() == offset).then_some(&mut e.old),
            _ => None,
        });
        if let Some(beginning) = beginning {
            beginning.extend_from_slice(bytes);
            return;
        }
        if kind == Kind::Rmw {
            self.ungrant(at);
        }
        self.push(kind, at, len, bytes.to_vec(), access);
    }

    fn push(&mut self, kind: Kind, at: u64, len: usize, old: Vec<u8>, access: &Access) {
        let order = self.clock.tick();
        self.entries.push(Entry { kind, at, len, old, new: Vec::new(), access: *access, order, granted: false });
    }

    /// The engine did not use its grant of these bytes and comes another way.
    fn ungrant(&mut self, at: u64) {
        let _ = self.entries.pop_if(|e| e.granted && e.at == at);
    }

    /// What a page walk left of an entry that it is granted again, which it does once more in the same instruction.
    fn granted_again(&mut self, at: u64, now: &[u8], access: &Access) {
        let before = self.entries[self.current..].iter_mut().rev().find(|e| e.granted && e.at == at);
        if let Some(entry) = before.filter(|e| access.walk && e.access.walk && e.len == now.len()) {
            entry.granted = false;
            entry.new = now.to_vec();
        }
    }

    fn rmw(&mut self, at: u64, old: &[u8], new: Vec<u8>, access: &Access) {
        self.ungrant(at);
        self.push(Kind::Rmw, at, old.len(), old.to_vec(), access);
        if let Some(entry) = self.entries.last_mut() {
            entry.new = new;
        }
    }

    fn port(&mut self, kind: Kind, port: u16, bytes: &[u8]) {
        let access = Access::read(bytes.len() as u16, 0);
        self.push(kind, u64::from(port), bytes.len(), bytes.to_vec(), &access);
    }

    fn fetched(&mut self, linear: u64, bytes: &[u8], access: &Access) {
        if !self.fetches || self.resumed {
            return;
        }
        match self.fetch.and_then(|i| self.entries.get_mut(i)) {
            Some(e) if e.meets(e.old.len(), linear) => {
                e.old.extend_from_slice(bytes);
                e.len = e.old.len();
            }
            _ => {
                self.fetch = Some(self.entries.len());
                self.push(Kind::Fetch, linear, bytes.len(), bytes.to_vec(), access);
            }
        }
    }

    fn settle(&mut self, outcome: &Outcome, done: bool, length: Option<usize>) {
        if let (Some(e), Some(length)) = (self.fetch.take().and_then(|i| self.entries.get_mut(i)), length) {
            e.old.truncate(length);
            e.len = e.old.len();
        }
        let unfinished = matches!(outcome, Outcome::Completed(retired) if retired.rep_unfinished);
        self.resumed = unfinished || *outcome == Outcome::Retry;
        // Pieces stay open while the instruction waits for the rest of them.
        let waits = *outcome == Outcome::Retry;
        let mut step = self.entries.split_off(self.current);
        step.retain_mut(|e| {
            if done {
                e.len = e.old.len();
                if e.kind == Kind::Rmw && e.new.len() < e.len {
                    e.new = e.old.clone();
                }
            }
            !e.old.is_empty() && (waits || e.complete())
        });
        self.entries.append(&mut step);
        if !waits {
            self.current = self.entries.len();
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Bus> Bus for Record<B> {
    forward_bus!(this => this.inner; probe, generation, follow, peek);

    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.log.room()?;
        let n = self.inner.fetch(linear, buf, access)?;
        self.log.fetched(linear, &buf[..n.min(buf.len())], access);
        Ok(n)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.log.room()?;
        self.inner.read(linear, buf, access)?;
        let kind = if access.kind == AccessKind::ReadForWrite { Kind::Rmw } else { Kind::Read };
        self.log.note(kind, linear, buf, access);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.log.room()?;
        self.inner.write(linear, buf, access)?;
        self.log.note(Kind::Write, linear, buf, access);
        Ok(())
    }

    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        self.log.room()?;
        let mut new = Vec::new();
        let mut watched = |before: &[u8], after: &mut [u8]| {
            modify(before, after);
            new = after.to_vec();
        };
        let done = self.inner.rmw(linear, old, &mut watched, access)?;
        if done {
            self.log.rmw(linear, old, new, access);
        }
        Ok(done)
    }

    /// None: each fetch is seen.
    fn code(&mut self, _linear: u64, _access: &Access) -> Result<Option<CodePage>, Stop> {
        Ok(None)
    }

    /// Only for locked operations: everything else has to come by [`Bus::read`] and [`Bus::write`] to be seen.
    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if access.kind != AccessKind::Rmw {
            return Ok(None);
        }
        self.log.room()?;
        let Some(grant) = self.inner.ram(linear, len, access)? else { return Ok(None) };
        let mut old = vec![0; grant.len()];
        grant.load(&mut old);
        self.log.granted_again(linear, &old, access);
        self.log.push(Kind::Rmw, linear, old.len(), old, access);
        if let Some(entry) = self.log.entries.last_mut() {
            entry.granted = true;
        }
        Ok(Some(grant))
    }

    /// In two parts each of them is seen.
    fn ram_across(&mut self, _linear: u64, _len: usize, _access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        Ok(None)
    }

    fn enqueue(&mut self, linear: u64, command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        self.log.room()?;
        let taken = self.inner.enqueue(linear, command, access)?;
        self.log.push(Kind::Write, linear, command.len(), command.to_vec(), access);
        Ok(taken)
    }

    /// Never: a block may read more than the instruction does (REPNE SCASB ends at its match), and reads and writes of
    /// a string instruction alternate.
    fn takes_blocks(&mut self, _linear: u64, _len: usize, _access: &Access) -> bool {
        false
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Platform> Platform for Record<B> {
    forward_platform!(
        this => this.inner;
        cpuid, read_msr, write_msr, time, random, read_counter, invalidate, paging, cache, ferr, stop_others, resume_others,
        progress, interrupt_pending, load_state, host_fpu_begin, host_fpu_end,
    );

    fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        self.log.room()?;
        self.inner.port_in(port, buf)?;
        self.log.port(Kind::In, port, buf);
        Ok(())
    }

    fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Stop> {
        self.log.room()?;
        self.inner.port_out(port, data)?;
        self.log.port(Kind::Out, port, data);
        Ok(())
    }
}
