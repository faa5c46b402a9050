//! Stubs whose instruction raises SIGFPE, and signals that are none of theirs.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use encore86_stubs::{Body, Exit, FloatSignals, Key, Move, MoveKind, Recipe, Scratch, StubCache, StubError};
use std::alloc::{GlobalAlloc, Layout, System};
use std::arch::asm;
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: all work is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

const IE: u32 = 1;
const DE: u32 = 2;
const ZE: u32 = 4;
const PE: u32 = 32;
const ALL_MASKED: u32 = 0x1f80;

/// divps xmm0, xmm1
const DIVIDE: [u8; 3] = [0x0f, 0x5e, 0xc1];

#[repr(C, align(16))]
#[derive(Clone, Copy, PartialEq, Debug)]
struct State([[f32; 4]; 2]);

fn divide() -> Recipe {
    let mut recipe = Recipe::new(Body::new(&DIVIDE).unwrap());
    recipe.loads.push(Move::new(MoveKind::Xmm, 0, 0)).unwrap();
    recipe.loads.push(Move::new(MoveKind::Xmm, 1, 16)).unwrap();
    recipe.stores.push(Move::new(MoveKind::Xmm, 0, 0)).unwrap();
    recipe.mxcsr = true;
    recipe
}

/// `a / b` with these exceptions unmasked.
fn run(cache: &mut StubCache, a: [f32; 4], b: [f32; 4], unmasked: u32) -> (Result<Exit, StubError>, [f32; 4]) {
    let signals = FloatSignals::install().unwrap();
    let stub = cache.get::<StubError>(Key(1), || Ok(divide())).unwrap();
    let mut state = State([a, b]);
    let mut scratch = Scratch { mxcsr_run: ALL_MASKED & !(unmasked << 7), mxcsr_fatal: unmasked, ..Scratch::new() };
    let at = (&raw mut state).cast();
    // SAFETY: the stub moves the 32 bytes of `state`, and all of the host's MXCSR but for what it unmasks is the default.
    let exit = unsafe { cache.call_unmasked(signals, stub, DIVIDE.len(), (at, at, &raw mut scratch)) };
    (exit, state.0[0])
}

fn mxcsr() -> u32 {
    let mut out = 0;
    // SAFETY: stores four bytes.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut out) };
    out
}

static HEARD: AtomicU32 = AtomicU32::new(0);
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// The handler that was there first: steps over `div ecx`.
extern "C" fn first(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    HEARD.fetch_add(1, SeqCst);
    SIGNAL.store(signal, SeqCst);
    // SAFETY: the kernel's frame.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    if registers[libc::REG_TRAPNO as usize] == 0 {
        registers[libc::REG_RIP as usize] += 2;
    }
}

fn handle(handler: usize, flags: i32) {
    // SAFETY: a C structure of integers; `first` is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGFPE, &raw const action, std::ptr::null_mut()), 0);
    }
}

fn divide_by_zero() {
    // SAFETY: #DE, which whoever handles SIGFPE steps over; it is two bytes long.
    unsafe { asm!("div ecx", inout("eax") 1 => _, inout("edx") 0 => _, in("ecx") 0) };
}

/// What becomes of a child that does `work`: its exit status, or the signal that killed it.
fn child(work: fn()) -> Result<i32, i32> {
    // SAFETY: the child runs on its one thread and leaves by `_exit`.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            work();
            libc::_exit(7);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        if libc::WIFEXITED(status) { Ok(libc::WEXITSTATUS(status)) } else { Err(libc::WTERMSIG(status)) }
    }
}

/// In one test, because a process has one handler: what was there before it, then stubs, then signals from elsewhere.
#[test]
fn exceptions_come_as_signals() {
    let send = || {
        // SAFETY: a signal to this thread.
        unsafe { libc::raise(libc::SIGFPE) };
    };
    // Nobody handled it: the process dies of it as it would have, and one that was sent is ignored where it was.
    type Work = fn();
    let cases: [(usize, Work, Result<i32, i32>); 4] = [
        (libc::SIG_DFL, divide_by_zero, Err(libc::SIGFPE)),
        (libc::SIG_DFL, send, Err(libc::SIGFPE)),
        (libc::SIG_IGN, divide_by_zero, Err(libc::SIGFPE)),
        (libc::SIG_IGN, send, Ok(7)),
    ];
    for (i, (before, work, expected)) in cases.into_iter().enumerate() {
        handle(before, 0);
        let plain = child(work);
        INSTALL.with(|cell| cell.set(Some(work)));
        let with = child(|| {
            FloatSignals::install().unwrap();
            INSTALL.with(|cell| cell.get().unwrap())();
        });
        assert_eq!((plain, with), (expected, expected), "case {i}");
    }

    handle(first as *const () as usize, libc::SA_SIGINFO);
    FloatSignals::install().unwrap();
    let mut cache = StubCache::with_len(64 << 10).unwrap();
    let ones = [1.0; 4];
    let _ = run(&mut cache, ones, ones, ZE);
    let (host, before) = (mxcsr(), ALLOCATIONS.get());
    // By zero, zero by zero, a denormal, inexact: the first with what is wrong, as the manual orders them.
    let tiny = f32::from_bits(1);
    #[rustfmt::skip]
    let cases = [
        ([1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], ZE, ZE, true),
        ([1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], IE, ZE, false),
        ([1.0, 0.0, tiny, 1.0], [3.0, 0.0, 1.0, 0.0], IE, IE | DE | ZE, true),
        ([1.0, 1.0, 1.0, 1.0], [3.0, 1.0, 1.0, 1.0], PE, PE, true),
        ([1.0, 1.0, 1.0, 1.0], [4.0, 1.0, 1.0, 1.0], PE, 0, false),
    ];
    for (a, b, unmasked, flags, faults) in cases {
        let (exit, left) = run(&mut cache, a, b, unmasked);
        // Before a denormal is compared, which raises a flag.
        let (clean, quiet) = (mxcsr() == host, ALLOCATIONS.get() == before);
        let exit = exit.unwrap();
        let kept = left.map(f32::to_bits) == a.map(f32::to_bits);
        let right = (exit.mxcsr_flags(), exit.is_fault(), kept) == (flags, faults, faults);
        assert!(
            right && clean && quiet,
            "{a:?} / {b:?}: {exit:x?} {left:?}, MXCSR as it was {clean}, nothing allocated {quiet}"
        );
    }
    assert_eq!(HEARD.load(SeqCst), 0, "all of them were stubs'");

    divide_by_zero();
    send();
    assert_eq!((HEARD.load(SeqCst), SIGNAL.load(SeqCst)), (2, libc::SIGFPE), "the first handler hears of all others");

    // SAFETY: blocks and unblocks a signal of this thread.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, libc::SIGFPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        let (exit, left) = run(&mut cache, ones, [0.0; 4], ZE);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        assert_eq!((exit, left), (Err(StubError::SignalBlocked), ones));
    }
}

thread_local! {
    /// What the next child does once the handler is installed.
    static INSTALL: Cell<Option<fn()>> = const { Cell::new(None) };
}
