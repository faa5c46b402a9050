//! Locked operations on memory that other threads change at the same time, some of them by engines, some natively.
//!
//! In a normal run the threads make some ten million operations; `ENCORE86_LONG=n` makes n times as many.

#[path = "locked/arena.rs"]
mod arena;
#[path = "locked/device.rs"]
mod device;
#[path = "locked/forms.rs"]
mod forms;
#[path = "locked/hammer.rs"]
mod hammer;
#[path = "locked/litmus.rs"]
mod litmus;
#[path = "locked/native.rs"]
mod native;
#[path = "locked/split.rs"]
mod split;
#[path = "locked/structures.rs"]
mod structures;
#[path = "support/vm.rs"]
#[allow(dead_code)] // each suite uses its own part
mod vm;

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Prints past the test harness, which swallows what a passing test prints.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// How many times the normal number of operations is made.
fn scale() -> u64 {
    std::env::var("ENCORE86_LONG").map_or(1, |text| text.parse().expect("ENCORE86_LONG is a number"))
}

/// Threads that wait for each other need the processors for themselves: the tests of this suite run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
