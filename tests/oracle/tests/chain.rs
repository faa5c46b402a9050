//! Signals that are not the oracle's go to whoever handled them before. A process of its own, for the handlers are the
//! process's.

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering};

use encore86_oracle::{Oracle, State};

static SEEN: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: c_int) {
    SEEN.store(signal, Ordering::Relaxed);
}

#[test]
fn a_signal_of_someone_else_reaches_its_former_handler() {
    // SAFETY: the handler does no more than store to an atomic.
    unsafe { libc::signal(libc::SIGFPE, note as *const () as libc::sighandler_t) };
    // SAFETY: the code below touches no memory.
    let mut oracle = unsafe { Oracle::new() }.unwrap();

    let (ended, _) = oracle.run(&[0xf7, 0xf1], &State::default()); // div ecx
    assert_eq!(ended.trap(), Some(0));
    assert_eq!(SEEN.load(Ordering::Relaxed), 0);

    // SAFETY: the handler above takes it.
    unsafe { libc::raise(libc::SIGFPE) };
    assert_eq!(SEEN.load(Ordering::Relaxed), libc::SIGFPE);
}
