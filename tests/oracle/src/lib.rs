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
//!
//! # What a run does not show
//! - Linux, not the processor, answers for a few instructions in user mode: SGDT, SIDT, SMSW, SLDT and STR retire with
//!   made-up values where UMIP is on; a #PF on a kernel address always has bit 0 of its error code set; what touches the
//!   vsyscall page is emulated.
//! - Under a hypervisor, INT1 (F1) may report its own address in place of the next one.
//! - A split lock works, but slowly, or raises #AC where the kernel asks for that.
//! - Selectors are not part of [`State`]: 64-bit mode runs with those of the host, the compatibility modes with
//!   [`Oracle::segments`]; what an instruction loads into DS, ES, FS or GS is dropped after the run.
//! - PKRU, CET, AMX tiles and debug registers are left as they are. XINUSE is that of a process that uses all vectors.
//! - Upper halves of general-purpose registers are undefined in the compatibility modes.
//! - RSP must not point into the oracle's own memory other than its data, code and edge: signals are taken there.

pub mod features;
mod oracle;
pub mod random;
pub mod sandbox;
mod segments;
mod signals;
pub mod skip;
mod slot;
pub mod state;
mod trampoline;

pub use features::Features;
pub use oracle::{Error, Mode, Oracle, Setup};
pub use random::Random;
pub use sandbox::Sandbox;
pub use segments::{Segment, Segments};
pub use skip::Skips;
pub use slot::{CODE_LEN, DATA_LEN, PAGE};
pub use state::{Ended, State, X87};
