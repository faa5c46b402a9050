//! Holds the real locked instructions of other engines off while one engine emulates a split lock.
//!
//! Both sides announce themselves and then look for the other, as in Dekker's algorithm: an engine marks its slot as busy,
//! looks whether somebody is alone, and only then issues its locked instruction; who wants to be alone says so, and waits for
//! all slots. Each side's announcement has to be seen before its look. On the frequent side that would cost a fence, as much
//! as the locked instruction itself; so the rare side pays for both by `membarrier(2)`, which makes every running thread of
//! the process execute one. A process that forgoes that system call, or that has none, pays with the fence.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, compiler_fence, fence};

/// Somebody is alone, or waits for it.
const HELD: u32 = 1;
/// Announcements are made with a fence.
const FENCED: u32 = 2;

/// There were more engines than slots.
const CROWDED: u32 = 4;

/// What an engine looks at before a locked instruction; zero almost always.
static GATE: AtomicU32 = AtomicU32::new(FENCED);

/// One engine's slot, on a pair of lines of its own: some processors fetch lines by pairs.
#[repr(align(128))]
struct Slot {
    busy: AtomicBool,
    taken: AtomicBool,
}

/// Engines that have a slot at most. Those beyond it run each locked instruction alone.
const SLOTS: usize = 512;
static SEATS: [Slot; SLOTS] = [const { Slot { busy: AtomicBool::new(false), taken: AtomicBool::new(false) } }; SLOTS];
static SPARE: Slot = Slot { busy: AtomicBool::new(false), taken: AtomicBool::new(true) };
/// Slots from here on were never taken.
static HIGH: AtomicUsize = AtomicUsize::new(0);
/// The thread that is alone.
static HOLDER: AtomicUsize = AtomicUsize::new(0);
/// Engines that there are, and others that pass just now.
static ENGINES: AtomicUsize = AtomicUsize::new(0);

/// How announcements are ordered, decided once: 0 not yet, 1 by `membarrier`, 2 by fences.
static ORDER: AtomicU8 = AtomicU8::new(0);
const BY_MEMBARRIER: u8 = 1;
const BY_FENCES: u8 = 2;

/// Makes emulated split locks do without `membarrier(2)`, for processes that are not allowed that system call once they run.
/// Each locked operation then costs a fence, some 2 ns. Call it before the first engine is made; says whether it holds.
pub fn forgo_membarrier() -> bool {
    ORDER.compare_exchange(0, BY_FENCES, AcqRel, Acquire).unwrap_or_else(|order| order) != BY_MEMBARRIER
}

fn decide() {
    if ORDER.load(Acquire) != 0 {
        return;
    }
    let order = if membarrier(REGISTER_PRIVATE_EXPEDITED) { BY_MEMBARRIER } else { BY_FENCES };
    if ORDER.compare_exchange(0, order, AcqRel, Acquire).is_ok() && order == BY_MEMBARRIER {
        GATE.fetch_and(!FENCED, SeqCst);
    }
}

/// What an engine goes through for each locked instruction.
#[derive(Debug)]
pub(crate) struct Seat {
    slot: Option<&'static Slot>,
    /// The same, or a spare one: while an engine has no slot of its own, the gate is never clear.
    short: &'static Slot,
}

impl core::fmt::Debug for Slot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slot").field("busy", &self.busy).finish_non_exhaustive()
    }
}

impl Seat {
    pub(crate) fn take() -> Seat {
        decide();
        let free = |slot: &Slot| slot.taken.compare_exchange(false, true, SeqCst, Relaxed).is_ok();
        let at = SEATS.iter().position(free);
        if let Some(at) = at {
            HIGH.fetch_max(at + 1, SeqCst);
        }
        ENGINES.fetch_add(1, SeqCst);
        let slot = at.map(|at| &SEATS[at]);
        if slot.is_none() {
            GATE.fetch_or(CROWDED, SeqCst);
        }
        Seat { slot, short: slot.unwrap_or(&SPARE) }
    }

    /// The short way through: says whether it is clear, and then keeps it so until [`Seat::leave`]. Where it is not,
    /// [`Seat::enter`] waits.
    #[inline(always)]
    pub(crate) fn announce(&self) -> bool {
        self.short.busy.store(true, Relaxed);
        compiler_fence(SeqCst);
        if GATE.load(Acquire) != 0 {
            self.short.busy.store(false, Release);
            return false;
        }
        true
    }

    /// Behind the locked instruction that followed [`Seat::announce`].
    #[inline(always)]
    pub(crate) fn leave(&self) {
        self.short.busy.store(false, Release);
    }

    /// Waits until nobody is alone, and keeps it so until the guard is dropped. Nothing but the locked instruction may lie
    /// in between.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Passage {
        let Some(slot) = self.slot else { return Passage { slot: None, alone: Alone::by_force() } };
        slot.busy.store(true, Relaxed);
        compiler_fence(SeqCst);
        if GATE.load(Acquire) != 0 {
            slowly(slot);
        }
        Passage { slot: Some(slot), alone: None }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        ENGINES.fetch_sub(1, SeqCst);
        if let Some(slot) = self.slot {
            slot.taken.store(false, SeqCst);
        }
    }
}

#[cold]
#[inline(never)]
fn slowly(slot: &Slot) {
    loop {
        fence(SeqCst);
        if GATE.load(SeqCst) & HELD == 0 {
            return;
        }
        slot.busy.store(false, Release);
        while GATE.load(Acquire) & HELD != 0 {
            core::hint::spin_loop();
        }
        slot.busy.store(true, Relaxed);
    }
}

/// Runs a locked instruction for somebody who is no engine, as a page walk, while no engine is alone; but at once if the thread's
/// own engine is, whose bus this is then called by.
pub(crate) fn among_others<T>(issue: impl FnOnce() -> T) -> T {
    let me = thread();
    if me == 0 || HOLDER.load(Relaxed) == me {
        return issue();
    }
    let free =
        |slot: &&Slot| !slot.taken.load(Relaxed) && slot.taken.compare_exchange(false, true, SeqCst, Relaxed).is_ok();
    let Some((at, slot)) = SEATS.iter().enumerate().find(|(_, slot)| free(slot)) else {
        let _alone = Alone::wait();
        return issue();
    };
    HIGH.fetch_max(at + 1, SeqCst);
    ENGINES.fetch_add(1, SeqCst);
    slot.busy.store(true, SeqCst);
    slowly(slot);
    let out = issue();
    slot.busy.store(false, Release);
    ENGINES.fetch_sub(1, SeqCst);
    slot.taken.store(false, SeqCst);
    out
}

/// Tells the running thread from others; 0 where that is not known.
fn thread() -> usize {
    #[cfg(all(target_arch = "x86_64", target_os = "linux", not(encore86_portable)))]
    {
        let base: usize;
        // SAFETY: the first word of a thread's control block is its own address (x86-64 ELF TLS); it is only read.
        unsafe {
            core::arch::asm!("mov {}, fs:[0]", out(reg) base, options(nostack, preserves_flags, readonly, pure));
        }
        base
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(encore86_portable))))]
    0
}

/// A locked instruction is under way.
pub(crate) struct Passage {
    slot: Option<&'static Slot>,
    #[allow(dead_code, reason = "held until it is dropped")]
    alone: Option<Alone>,
}

impl Drop for Passage {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.busy.store(false, Release);
        }
    }
}

/// No other engine issues a locked instruction or emulates one.
pub(crate) struct Alone(());

impl Alone {
    /// `None` where the system refuses `membarrier`.
    pub(crate) fn wait() -> Option<Alone> {
        while GATE.fetch_or(HELD, SeqCst) & HELD != 0 {
            core::hint::spin_loop();
        }
        HOLDER.store(thread(), Relaxed);
        let alone = Alone(());
        // An engine that is made from now on finds the gate held.
        if ENGINES.load(SeqCst) > 1 {
            if GATE.load(SeqCst) & FENCED == 0 && !membarrier(PRIVATE_EXPEDITED) {
                return None;
            }
            for slot in &SEATS[..HIGH.load(SeqCst)] {
                while slot.busy.load(SeqCst) {
                    core::hint::spin_loop();
                }
            }
        }
        Some(alone)
    }

    /// The same for an engine without a slot, which has no other way.
    #[cold]
    fn by_force() -> Option<Alone> {
        Alone::wait()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        HOLDER.store(0, Relaxed);
        GATE.fetch_and(!HELD, SeqCst);
    }
}

const PRIVATE_EXPEDITED: usize = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: usize = 1 << 4;

/// `membarrier(2)`; says whether the kernel did it.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(encore86_portable)))]
fn membarrier(command: usize) -> bool {
    const MEMBARRIER: usize = 324;
    let result: isize;
    // SAFETY: the system call reads and writes no memory of ours.
    unsafe {
        core::arch::asm!(
            "syscall", inlateout("rax") MEMBARRIER => result, in("rdi") command, in("rsi") 0, in("rdx") 0,
            lateout("rcx") _, lateout("r11") _, options(nostack)
        );
    }
    result == 0
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(encore86_portable))))]
fn membarrier(_command: usize) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::UnsafeCell;

    /// Two halves that are equal whenever nobody is between them.
    struct Pair(UnsafeCell<[u64; 2]>);
    // SAFETY: what the test shows is that no two threads are inside at once.
    unsafe impl Sync for Pair {}

    #[test]
    fn nobody_passes_while_somebody_is_alone() {
        pass_beside_one_who_is_alone(false);
    }

    #[test]
    fn nor_do_visitors() {
        pass_beside_one_who_is_alone(true);
    }

    fn pass_beside_one_who_is_alone(visits: bool) {
        let pair = &Pair(UnsafeCell::new([0; 2]));
        let rounds = 20_000;
        std::thread::scope(|scope| {
            for alone in [false, true] {
                scope.spawn(move || {
                    let seat = (alone || !visits).then(Seat::take);
                    let change = || {
                        let halves = pair.0.get();
                        // SAFETY: one thread passes and the other is alone, never both.
                        unsafe {
                            let value = (*halves)[0];
                            assert_eq!((&raw const (*halves)[1]).read_volatile(), value);
                            (&raw mut (*halves)[0]).write_volatile(value + 1);
                            (&raw mut (*halves)[1]).write_volatile(value + 1);
                        }
                    };
                    for _ in 0..rounds {
                        match &seat {
                            Some(_) if alone => {
                                let _alone = Alone::wait().expect("membarrier");
                                // Its own visits do not wait for it.
                                among_others(change);
                            }
                            Some(seat) => {
                                let _passage = seat.enter();
                                change();
                            }
                            None => among_others(change),
                        }
                    }
                });
            }
        });
        // SAFETY: both threads have ended.
        assert_eq!(unsafe { *pair.0.get() }, [2 * rounds; 2]);
    }
}
