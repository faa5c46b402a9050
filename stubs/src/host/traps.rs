//! Floating-point exceptions as signals, for those who ask for them.
//!
//! A stub may run its instruction under the guest's own masks. An exception that they leave unmasked then arrives as SIGFPE: the
//! handler masks all exceptions, so that the rest of the stub runs on, and goes on behind the instruction. The flags that the
//! processor has set are in MXCSR, where the stub looks for them.

use crate::MapError;
use core::cell::Cell;
use core::sync::atomic::{Ordering, compiler_fence};
use libc::{c_int, c_void, sigaction, siginfo_t, ucontext_t};
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

/// MXCSR with every exception masked.
const ALL_MASKED: u32 = 0x1f80;

/// The right to run stubs whose instruction raises SIGFPE: this process has a handler for it. Signals that are none of a stub's
/// go to the handler that there was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatSignals(());

/// What handled SIGFPE before; filled before our handler stands.
static BEFORE: OnceLock<sigaction> = OnceLock::new();

/// The instruction of the stub that this thread runs.
#[derive(Clone, Copy)]
struct Watched {
    /// First byte and length of the stub's lines; no length: none runs.
    from: usize,
    len: usize,
    /// Length of the instruction.
    body: usize,
}

thread_local! {
    static WATCHED: Cell<Watched> = const { Cell::new(Watched { from: 0, len: 0, body: 0 }) };
}

impl FloatSignals {
    /// Installs the handler, once a process. It allocates nothing, takes no lock, and runs on the thread's signal stack, if it
    /// has one. Whoever replaces it later must hand on what is not theirs.
    ///
    /// # Errors
    /// [`MapError::Handler`] with what the system says.
    pub fn install() -> Result<Self, MapError> {
        static INSTALLED: Mutex<bool> = Mutex::new(false);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if !*installed {
            let mut before = blank();
            // SAFETY: asks only; `before` is a place for the answer.
            check(unsafe { libc::sigaction(libc::SIGFPE, core::ptr::null(), &raw mut before) })?;
            BEFORE.get_or_init(|| before);
            // What it blocks and restarts stays as it was.
            let kept = before.sa_flags & (libc::SA_NODEFER | libc::SA_RESTART);
            let mut action = sigaction { sa_flags: libc::SA_SIGINFO | libc::SA_ONSTACK | kept, ..before };
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_restorer = None;
            // SAFETY: the handler is async-signal-safe, and `BEFORE` is filled for it to hand on to.
            check(unsafe { libc::sigaction(libc::SIGFPE, &raw const action, core::ptr::null_mut()) })?;
            *installed = true;
        }
        Ok(Self(()))
    }

    /// Does this thread let the signal through? The kernel kills a process that blocks one of its own exceptions.
    pub(super) fn reach_this_thread(self) -> bool {
        // SAFETY: a C structure of integers, for which zeros are valid.
        let mut blocked: libc::sigset_t = unsafe { core::mem::zeroed() };
        // SAFETY: asks only; the set is a place for the answer.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, core::ptr::null(), &raw mut blocked) == 0
                && libc::sigismember(&raw const blocked, libc::SIGFPE) == 0
        }
    }

    /// Runs `stub`, in which an instruction of `body` bytes may raise the signal; the stub is one of the `len` bytes at `from`.
    pub(super) fn watch<T>(self, from: usize, len: usize, body: usize, stub: impl FnOnce() -> T) -> T {
        WATCHED.set(Watched { from, len, body });
        compiler_fence(Ordering::SeqCst);
        let out = stub();
        compiler_fence(Ordering::SeqCst);
        WATCHED.set(Watched { from: 0, len: 0, body: 0 });
        out
    }
}

unsafe extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the frame that it pushed.
    if !unsafe { passes(&mut *context.cast::<ucontext_t>()) } {
        hand_on(signal, info, context);
    }
}

/// Sends the frame behind the instruction, if it is a stub's.
///
/// # Safety
/// The frame is one that the kernel has pushed.
unsafe fn passes(frame: &mut ucontext_t) -> bool {
    /// The vector of #XM.
    const XM: i64 = 19;
    let watched = WATCHED.get();
    let registers = &mut frame.uc_mcontext.gregs;
    let place = (registers[libc::REG_RIP as usize] as usize).wrapping_sub(watched.from);
    if registers[libc::REG_TRAPNO as usize] != XM || place >= watched.len {
        return false;
    }
    registers[libc::REG_RIP as usize] += watched.body as i64;
    // SAFETY: the frame of a thread that has run SSE code has its state.
    unsafe { (*frame.uc_mcontext.fpregs).mxcsr |= ALL_MASKED };
    true
}

/// Hands a signal that is not ours to its former handler.
fn hand_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    // SAFETY: the kernel passes what it knows of the signal.
    let sent = unsafe { (*info).si_code } <= 0;
    match before.sa_sigaction {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // The kernel does not let an exception be ignored either: die of it.
            let mut action = blank();
            action.sa_sigaction = libc::SIG_DFL;
            // SAFETY: both are async-signal-safe.
            unsafe {
                libc::sigaction(signal, &raw const action, core::ptr::null_mut());
                libc::raise(signal);
            }
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: it was installed as such a handler.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = unsafe { core::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: it was installed as such a handler.
            let handler: extern "C" fn(c_int) = unsafe { core::mem::transmute(handler) };
            handler(signal);
        }
    }
}

fn blank() -> sigaction {
    // SAFETY: a C structure of integers, for which zeros are valid (and mean: nothing).
    unsafe { core::mem::zeroed() }
}

fn check(result: c_int) -> Result<(), MapError> {
    if result == 0 {
        return Ok(());
    }
    Err(MapError::Handler(io::Error::last_os_error().raw_os_error().unwrap_or(0)))
}
