//! The guest's time, in nanoseconds since it was started.

use std::time::Instant;

/// Where it comes from.
#[derive(Debug)]
pub enum Clock {
    /// The host.
    Real {
        /// Its beginning.
        started: Instant,
    },
    /// The guest's own instructions, so that a boot repeats exactly.
    Counted {
        /// Nanoseconds an instruction.
        each: u64,
        /// Instructions up to the last run.
        before: u64,
        /// Instructions of this run.
        now: u64,
        /// Time that the guest has slept.
        slept: u64,
    },
}

impl Clock {
    /// By the host's clock, or with so many nanoseconds an instruction.
    pub fn new(each: Option<u64>) -> Clock {
        match each {
            None => Clock::Real { started: Instant::now() },
            Some(each) => Clock::Counted { each, before: 0, now: 0, slept: 0 },
        }
    }

    /// The time.
    pub fn now(&self) -> u64 {
        match *self {
            Clock::Real { started } => started.elapsed().as_nanos() as u64,
            Clock::Counted { each, before, now, slept } => {
                before.wrapping_add(now).wrapping_mul(each).wrapping_add(slept)
            }
        }
    }

    /// Is it the same in each boot?
    pub fn is_counted(&self) -> bool {
        matches!(self, Clock::Counted { .. })
    }

    /// This many instructions of the present run are done.
    pub fn progress(&mut self, completed: u64) {
        if let Clock::Counted { now, .. } = self {
            *now = completed;
        }
    }

    /// A run has ended.
    pub fn ran(&mut self, completed: u64) {
        if let Clock::Counted { before, now, .. } = self {
            *before += completed;
            *now = 0;
        }
    }

    /// How many instructions there are until `deadline`, at least one. `None` by the host's clock.
    pub fn until(&self, deadline: u64) -> Option<u64> {
        match *self {
            Clock::Real { .. } => None,
            Clock::Counted { each, .. } => Some(deadline.saturating_sub(self.now()).div_ceil(each).max(1)),
        }
    }

    /// The guest sleeps until `deadline`; by the host's clock that has happened by itself.
    pub fn sleep(&mut self, deadline: u64) {
        let ahead = deadline.saturating_sub(self.now());
        if let Clock::Counted { slept, .. } = self {
            *slept += ahead;
        }
    }
}
