//! Exits of /dev/kvm, finished. Without a usable /dev/kvm all of it is skipped, loudly.

#[path = "../support/mod.rs"]
mod support;

mod finish;
mod forms;
mod real;

use encore86_oracle::Skips;
use support::kvm::Machine;

/// A machine, or a printed reason why `cases` cases are skipped.
fn machine(suite: &'static str, cases: u64) -> Option<Machine> {
    match Machine::new(true) {
        Ok(machine) => Some(machine),
        Err(why) => {
            Skips::new(suite).skip("all", &why, cases);
            None
        }
    }
}
