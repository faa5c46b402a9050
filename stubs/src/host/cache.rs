//! Stubs by key: index, generations, the call.

use super::assemble::{self, LINE, MAX_STUB};
use super::sink::Sink;
use super::thread;
use super::traps::FloatSignals;
use crate::{CodeMemory, DualMap, Exit, Key, MapError, Recipe, Scratch, StubError};
use core::cell::Cell;
use core::fmt;
use core::mem;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Names an installed stub: its generation in the upper 48 bits, the number of its first line in the lower 16.
/// Keep it wherever it is handy; it turns stale by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubRef(NonZeroU64);

/// The step from one generation to the next.
const GENERATION: u64 = 1 << 16;

/// Generations are never used twice in a process, so that no stub of one cache passes for another's. 2^48 of them last
/// for years even if every install flips one.
static NEXT_GENERATION: AtomicU64 = AtomicU64::new(GENERATION);

/// How far from its home slot an entry may lie. A guest that makes keys collide pays for this many compares.
const PROBES: usize = 8;

/// Stubs of one engine: executable memory, filled line by line, and an index over it. When the memory is full the
/// generation flips: all of it is free again, and every earlier [`StubRef`] is stale. Nothing allocates and nothing
/// calls the system after construction.
pub struct StubCache {
    memory: Box<dyn CodeMemory>,
    /// `memory.generation()`: the [`StubRef`] of line 0 in the current generation, 0 in a forked child.
    generation: *const AtomicU64,
    rw: *mut u8,
    rx: *const u8,
    lines: usize,
    /// The first line that is free.
    free: usize,
    /// The thread that ran the last stub, if no stub was installed since; else 0.
    ran_on: Cell<usize>,
    serialising: thread::Serialising,
    /// Twice as many entries as lines. Entries of other generations count as empty.
    index: Box<[Entry]>,
}

#[derive(Clone, Copy)]
struct Entry {
    key: u128,
    stub: u64,
}

/// In no generation: the last one is never given out. In a forked child, generation 0, there are no lines either.
const EMPTY: Entry = Entry { key: 0, stub: u64::MAX };

/// State, local operand and scratch to what [`Exit`] says.
type Run = unsafe extern "sysv64" fn(*mut u8, *mut u8, *mut Scratch) -> u64;

/// A stub of a cache that nothing is installed in meanwhile, so that it can be called without another look. Not across a fork.
#[derive(Clone, Copy)]
pub struct Ready<'a> {
    cache: &'a StubCache,
    run: Run,
}

impl Ready<'_> {
    /// Runs the stub.
    ///
    /// # Safety
    /// As for [`StubCache::call`].
    #[inline(always)]
    pub unsafe fn call(self, state: *mut u8, operand: *mut u8, scratch: *mut Scratch) -> Exit {
        let thread = thread::identity();
        if thread != self.cache.ran_on.get() {
            thread::serialise(self.cache.serialising);
            self.cache.ran_on.set(thread);
        }
        // SAFETY: the caller answers for the pointers and the instruction.
        Exit(unsafe { (self.run)(state, operand, scratch) })
    }
}

impl fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

// SAFETY: the pointers lead into `memory`, which is `Send` and moves along. The cache is not `Sync` (`Cell`).
unsafe impl Send for StubCache {}

impl StubCache {
    /// A cache over memory of the caller's. The index is made here, 32 bytes for each 32 bytes of code.
    ///
    /// # Errors
    /// [`MapError::Length`] if the memory is not 4 KiB to 4 MiB in whole lines; [`MapError::NotSupported`] if the processor is too old.
    pub fn new(memory: Box<dyn CodeMemory>) -> Result<Self, MapError> {
        let len = memory.len();
        if !(DualMap::MIN_LEN..=DualMap::MAX_LEN).contains(&len) || !len.is_multiple_of(LINE) {
            return Err(MapError::Length(len));
        }
        if !thread::has_lahf() {
            return Err(MapError::NotSupported);
        }
        let lines = len / LINE;
        let mut cache = Self {
            generation: memory.generation(),
            rw: memory.rw(),
            rx: memory.rx(),
            lines,
            free: 0,
            ran_on: Cell::new(0),
            serialising: thread::Serialising::detect(),
            index: vec![EMPTY; 2 * lines].into_boxed_slice(),
            memory,
        };
        cache.flip(&NEXT_GENERATION).map_err(|_| MapError::NotSupported)?;
        Ok(cache)
    }

    /// A cache over a [`DualMap`] of `len` bytes.
    ///
    /// # Errors
    /// See [`DualMap::new`] and [`StubCache::new`].
    pub fn with_len(len: usize) -> Result<Self, MapError> {
        Self::new(Box::new(DualMap::new(len)?))
    }

    /// Finds the stub of `key`, or installs what `make` returns. `make` is asked only if there is none.
    ///
    /// # Errors
    /// What `make` returns, or [`StubError`] as from [`install`](Self::install).
    #[inline]
    pub fn get<E: From<StubError>>(
        &mut self,
        key: Key,
        make: impl FnOnce() -> Result<Recipe, E>,
    ) -> Result<StubRef, E> {
        match self.lookup(key) {
            Some(stub) => Ok(stub),
            None => Ok(self.install(key, &make()?)?),
        }
    }

    /// The stub of `key`, if it is installed in the current generation.
    #[inline]
    pub fn lookup(&self, key: Key) -> Option<StubRef> {
        let base = self.base();
        for slot in self.slots(key) {
            let entry = &self.index[slot];
            if !in_generation(entry.stub, base) {
                return None;
            }
            if entry.key == key.0 {
                return NonZeroU64::new(entry.stub).map(StubRef);
            }
        }
        None
    }

    /// Assembles a stub and enters it under `key`, in place of an earlier one. Flips the generation first if fewer than
    /// four lines are free.
    ///
    /// # Errors
    /// [`StubError::BadRecipe`] and [`StubError::TooLong`] say what is wrong with the recipe; [`StubError::ForkedChild`]
    /// and [`StubError::GenerationsSpent`] that this cache is of no more use. Nothing is installed.
    pub fn install(&mut self, key: Key, recipe: &Recipe) -> Result<StubRef, StubError> {
        if self.base() == 0 {
            return Err(StubError::ForkedChild);
        }
        if self.lines - self.free < MAX_STUB / LINE {
            self.flip(&NEXT_GENERATION)?;
        }
        // SAFETY: lines from `free` on hold no stub of this generation, at least MAX_STUB bytes of them are left,
        // the memory is there (this is not a forked child), and only this cache writes to it.
        let sink = unsafe { Sink::new(self.rw.add(self.free * LINE), MAX_STUB) };
        let lines = assemble::stub(sink, recipe)?;
        self.ran_on.set(0);
        let stub = NonZeroU64::new(self.base() + self.free as u64).ok_or(StubError::ForkedChild)?;
        self.free += lines;
        self.enter(key, stub.get());
        Ok(StubRef(stub))
    }

    /// `stub` can be called: it is of this cache, its generation and this process.
    #[inline]
    pub fn is_current(&self, stub: StubRef) -> bool {
        in_generation(stub.0.get(), self.base())
    }

    /// Runs a stub.
    ///
    /// # Errors
    /// [`StubError::Stale`] or [`StubError::ForkedChild`]; nothing has run.
    ///
    /// # Safety
    /// - `state` plus the offset of each move of the stub's recipe is valid for that move, and `operand` for what the
    ///   instruction does with its memory operand, alignment included.
    /// - `scratch` is valid for reads and writes, and masks all exceptions in `mxcsr_run` and `fcw`.
    /// - The host has the instruction and the registers that the recipe moves, and the instruction does not fault and
    ///   keeps to the registers that [`Body`](crate::Body) names.
    /// - The x87 stack is empty, and no MMX state is in use.
    #[inline]
    pub unsafe fn call(
        &self,
        stub: StubRef,
        state: *mut u8,
        operand: *mut u8,
        scratch: *mut Scratch,
    ) -> Result<Exit, StubError> {
        let Some(ready) = self.ready(stub) else { return Err(self.why_not()) };
        // SAFETY: the caller's promise.
        Ok(unsafe { ready.call(state, operand, scratch) })
    }

    /// The stub, to be called while the cache is borrowed; `None` for a stale one, and in a forked child.
    #[inline(always)]
    pub fn ready(&self, stub: StubRef) -> Option<Ready<'_>> {
        let line = stub.0.get().wrapping_sub(self.base());
        if line >= GENERATION {
            return None;
        }
        // SAFETY: generations are unique, so this cache made `stub`; in its generation a complete sysv64 function stands
        // at that line, and `rx` is mapped for execution.
        let run = unsafe { mem::transmute::<*const u8, Run>(self.rx.add(line as usize * LINE)) };
        Some(Ready { cache: self, run })
    }

    /// Runs a stub whose instruction has `body` bytes with the exceptions unmasked that `scratch` leaves unmasked in `mxcsr_run`;
    /// `mxcsr_fatal` names them. One that is raised ends in [`Exit::is_fault`], with the flags that the processor has set. Asks the
    /// system which signals the thread blocks, and returns from a signal by the system.
    ///
    /// # Errors
    /// As [`StubCache::call`], and [`StubError::SignalBlocked`]; nothing has run.
    ///
    /// # Safety
    /// As for [`StubCache::call`], but for MXCSR's masks. The handler of SIGFPE is that of [`FloatSignals::install`], or one that
    /// hands on to it what is not its own.
    #[cold]
    pub unsafe fn call_unmasked(
        &self,
        signals: FloatSignals,
        stub: StubRef,
        body: usize,
        (state, operand, scratch): (*mut u8, *mut u8, *mut Scratch),
    ) -> Result<Exit, StubError> {
        if !signals.reach_this_thread() {
            return Err(StubError::SignalBlocked);
        }
        signals.watch(self.rx.addr(), self.lines * LINE, body, || {
            // SAFETY: the caller answers for all but exceptions, which go on behind the instruction.
            unsafe { self.call(stub, state, operand, scratch) }
        })
    }

    /// Why a stub is not ready: [`StubError::Stale`] or [`StubError::ForkedChild`].
    #[cold]
    pub fn why_not(&self) -> StubError {
        if self.base() == 0 { StubError::ForkedChild } else { StubError::Stale }
    }

    #[inline(always)]
    fn base(&self) -> u64 {
        // SAFETY: the word lives as long as `memory`, which `self` owns.
        unsafe { (*self.generation).load(Relaxed) }
    }

    fn flip(&mut self, next: &AtomicU64) -> Result<(), StubError> {
        let spent = |base: u64| base.checked_add(GENERATION);
        let base = next.fetch_update(Relaxed, Relaxed, spent).map_err(|_| StubError::GenerationsSpent)?;
        self.memory.generation().store(base, Relaxed);
        self.free = 0;
        Ok(())
    }

    #[inline]
    fn slots(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        // Bits of a factor move up in a product, never down: the top ones depend on all.
        let folded = key.0 as u64 ^ (key.0 >> 64) as u64;
        let top = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let home = top.wrapping_mul(self.index.len() as u64) >> 32;
        let len = self.index.len();
        (0..PROBES).map(move |step| (home as usize + step) % len)
    }

    /// Takes the entry of `key`, else the first empty one, else the home slot, whose stub is then found no more.
    fn enter(&mut self, key: Key, stub: u64) {
        let base = self.base();
        let fits = |slot: &usize| {
            let entry = &self.index[*slot];
            !in_generation(entry.stub, base) || entry.key == key.0
        };
        let slot = self.slots(key).find(fits).or_else(|| self.slots(key).next());
        if let Some(slot) = slot {
            self.index[slot] = Entry { key: key.0, stub };
        }
    }
}

impl fmt::Debug for StubCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubCache").field("lines", &self.lines).field("free", &self.free).finish_non_exhaustive()
    }
}

/// `base` is that of a generation, or 0 in a forked child, where nothing is current: stubs start
/// at `GENERATION`.
#[inline(always)]
fn in_generation(stub: u64, base: u64) -> bool {
    stub.wrapping_sub(base) < GENERATION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_generation_is_never_given_out() {
        let mut cache = StubCache::with_len(DualMap::MIN_LEN).unwrap();
        let next = AtomicU64::new(u64::MAX - 2 * GENERATION + 1);
        assert_eq!(cache.flip(&next), Ok(()));
        let last = cache.base();
        assert_eq!(cache.flip(&next), Err(StubError::GenerationsSpent));
        assert_eq!(cache.flip(&next), Err(StubError::GenerationsSpent), "for good");
        assert_eq!(cache.base(), last, "what is installed stays");
        assert!(!in_generation(EMPTY.stub, last));
        assert_eq!(cache.lookup(Key(EMPTY.key)), None);
    }
}
