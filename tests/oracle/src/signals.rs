//! Exceptions arrive as signals. Those of a run are noted in its context and sent into the exit stub; all others go to
//! whoever handled them before.

use core::cell::Cell;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use libc::{c_int, c_void, sigaction, siginfo_t, stack_t, ucontext_t};

use crate::slot;
use crate::trampoline::{self, Caught};

const SIGNALS: [c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// In [`Caught::trap`]: no exception, but a system call that a seccomp filter stopped.
pub const SYSTEM_CALL: u64 = 0x100;

/// What handled `SIGNALS` before; filled before our handlers stand.
static BEFORE: OnceLock<[sigaction; SIGNALS.len()]> = OnceLock::new();

thread_local! {
    /// The signal stack that this thread had before, while it has ours; and which one it has of ours.
    static STACK: Cell<Option<(usize, stack_t)>> = const { Cell::new(None) };
}

/// Installs the handlers, once a process.
pub fn install() -> io::Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    let mut before = [blank(); SIGNALS.len()];
    for (signal, before) in SIGNALS.into_iter().zip(&mut before) {
        // SAFETY: asks only; `before` is a place for the answer.
        check(unsafe { libc::sigaction(signal, core::ptr::null(), before) })?;
    }
    BEFORE.get_or_init(|| before);
    let mut action = blank();
    action.sa_sigaction = trampoline::signal_entry as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    for signal in SIGNALS {
        // SAFETY: the handler is async-signal-safe, and `BEFORE` is filled for it to chain to.
        check(unsafe { libc::sigaction(signal, &action, core::ptr::null_mut()) })?;
    }
    *installed = true;
    Ok(())
}

/// Makes `stack` the signal stack of this thread. Costs a system call only when another one was.
pub fn use_stack(stack: stack_t) -> io::Result<()> {
    let place = stack.ss_sp.addr();
    STACK.with(|current| {
        if current.get().is_some_and(|(ours, _)| ours == place) {
            return Ok(());
        }
        let mut old = stack_t { ss_sp: core::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        // SAFETY: `stack` is mapped until `leave_stack` is called for it.
        check(unsafe { libc::sigaltstack(&stack, &mut old) })?;
        let first = current.get().map_or(old, |(_, first)| first);
        current.set(Some((place, first)));
        Ok(())
    })
}

/// Gives the thread back the signal stack that it had before, if it has `stack` now.
pub fn leave_stack(stack: stack_t) {
    STACK.with(|current| {
        if let Some((ours, first)) = current.get()
            && ours == stack.ss_sp.addr()
        {
            // SAFETY: the thread had `first` before; its owner gives it back no earlier than at the end of the thread.
            unsafe { libc::sigaltstack(&first, core::ptr::null_mut()) };
            current.set(None);
        }
    });
}

/// The handler. It runs with the guest's FS base if the signal is of a run: no thread-local storage before that is known.
pub unsafe extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the frame that it pushed.
    let frame = unsafe { &mut *context.cast::<ucontext_t>() };
    // The frame lies on the signal stack, and that in the slot of the oracle that is running.
    if !catch(signal, frame, context.addr()) {
        chain(signal, info, context);
    }
}

/// Notes the exception and redirects the frame, if it belongs to a run.
fn catch(signal: c_int, frame: &mut ucontext_t, place: usize) -> bool {
    const TF: i64 = 1 << 8;
    const RF: i64 = 1 << 16;
    let registers = &mut frame.uc_mcontext.gregs;
    let register = |index: c_int| registers[index as usize] as u64;
    let rip = register(libc::REG_RIP);
    let Some(run) = slot::context_around(place) else {
        return false;
    };
    // SAFETY: a live slot holds an initialised context, and this thread, interrupted, is the only one that uses it.
    let run = unsafe { &mut *run };
    if run.active == 0 || trampoline::contains(rip) {
        return false;
    }
    run.caught = Caught {
        trap: if signal == libc::SIGSYS { SYSTEM_CALL } else { register(libc::REG_TRAPNO) },
        error: register(libc::REG_ERR),
        cr2: register(libc::REG_CR2),
        rip,
        rflags: register(libc::REG_EFL) & !(RF as u64),
    };
    run.is_caught = 1;
    // Four selectors in one: CS, GS, FS, SS.
    let others = registers[libc::REG_CSGSFS as usize] & 0x0000_ffff_ffff_0000;
    registers[libc::REG_CSGSFS as usize] = others | i64::from(run.host_cs) | i64::from(run.host_ss) << 48;
    registers[libc::REG_RIP as usize] = run.stub as i64;
    registers[libc::REG_EFL as usize] &= !(TF | RF);
    true
}

/// Hands a signal that is not ours to its former handler.
fn chain(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    let Some(before) = SIGNALS.iter().position(|&ours| ours == signal).map(|index| &before[index]) else {
        return;
    };
    match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // The kernel does not let a fault be ignored either: die of it.
            let mut action = blank();
            action.sa_sigaction = libc::SIG_DFL;
            // SAFETY: both are async-signal-safe; the signal is not blocked, so it kills here.
            unsafe {
                libc::sigaction(signal, &action, core::ptr::null_mut());
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

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
