//! The host processor as the oracle: one instruction's bytes are run natively in this process, with every user-mode
//! register and the memory operand given, and the state after it comes back, or the exception that it raised.
//!
//! ```
//! use encore86_oracle::{Ended, Oracle, State, state::RAX};
//!
//! // SAFETY: the only bytes run below touch registers alone.
//! let mut oracle = unsafe { Oracle::new() }.unwrap();
//! let mut state = State::default();
//! state.gpr[RAX] = 41;
//! let (ended, after) = oracle.run(&[0x48, 0xff, 0xc0], &state); // inc rax
//! assert_eq!(ended, Ended::Retired);
//! assert_eq!(after.gpr[RAX], 42);
//! ```
//!
//! The way of a run: [`Oracle::run`] lays the bytes into a code area (only if they differ from the last ones) and calls
//! `trampoline`, which loads all registers and enters the code by IRETQ. Behind the bytes stands a jump back to the
//! trampoline. It saves all registers without using one, by RIP-relative stores. An exception becomes a signal;
//! `signals` notes what it was and lets the signal return into the very same saving path.

pub mod features;
mod oracle;
pub mod random;
mod segments;
mod signals;
pub mod skip;
mod slot;
pub mod state;
mod trampoline;

pub use features::Features;
pub use oracle::{Error, Mode, Oracle, Setup};
pub use random::Random;
pub use segments::{Segment, Segments};
pub use skip::Skips;
pub use slot::{CODE_LEN, DATA_LEN, PAGE};
pub use state::{Ended, State, X87};
