//! Stubs: small host functions around one already rewritten instruction.
//!
//! The crate lies below every room of `encore86`. It knows bytes and host registers, not x86
//! instructions: a caller hands it a [`Recipe`] (the instruction's bytes, which registers to load
//! before and to store after it, which status words to look at) under a [`Key`], and gets a
//! [`StubRef`] that can be called for as long as its generation lasts.
//!
//! ```text
//! Recipe ──▶ assemble (into the writable alias) ──▶ StubCache ──▶ call (through the executable alias) ──▶ Exit
//! ```
//!
//! | room | holds |
//! |---|---|
//! | `recipe` | what a caller and a stub say to each other: [`Recipe`], [`Scratch`], [`Exit`] |
//! | `memory` | [`CodeMemory`]: executable memory behind two aliases |
//! | `host::dual_map` | [`DualMap`]: one memory file under two mappings, never writable and executable in one |
//! | `host::encode` | moves between registers and the state |
//! | `host::sink` | where the assembler's bytes go: the writable alias |
//! | `host::assemble` | the frame around the instruction |
//! | `host::thread` | who runs, and the serialising instruction after a change of code |
//! | `host::cache` | [`StubCache`]: index, generations, the call |
//! | `host::traps` | [`FloatSignals`]: SIGFPE of a stub's instruction, for those who ask for it |
//!
//! Nothing here makes a system call after construction, but for [`StubCache::call_unmasked`], and nothing allocates after construction.
//! The processor must be x86-64 with LAHF and SAHF in 64-bit mode, and the system Linux; elsewhere
//! construction returns [`MapError::NotSupported`].

mod error;
mod memory;
mod recipe;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod host {
    #[allow(clippy::useless_conversion)] // what dynasm! makes of register numbers
    pub(crate) mod assemble;
    pub(crate) mod cache;
    pub(crate) mod dual_map;
    pub(crate) mod encode;
    pub(crate) mod sink;
    pub(crate) mod thread;
    mod traps;
    pub use assemble::code;
    pub use cache::{Ready, StubCache, StubRef};
    pub use dual_map::DualMap;
    pub use traps::FloatSignals;
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
#[path = "elsewhere.rs"]
mod host;

pub use error::{MapError, StubError};
pub use host::{DualMap, FloatSignals, Ready, StubCache, StubRef, code};
pub use memory::CodeMemory;
pub use recipe::{Body, Exit, Key, Move, MoveKind, Moves, Recipe, Scratch, X87};
