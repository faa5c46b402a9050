//! encore86 takes one x86 instruction that a virtual machine monitor could not let the processor run by itself, and runs
//! it: exactly as the processor would have, with every memory access, port access and privileged action handed to the
//! caller.

#![cfg_attr(not(any(feature = "std", test)), no_std)]
// Without `std` some of what replay, foresight and introspection use stands idle.
#![cfg_attr(not(feature = "std"), allow(dead_code, unused_imports))]

mod access;
#[cfg(any(feature = "kvm", feature = "vm-memory"))]
pub mod adapt;
mod address;
mod alu;
mod atomic;
pub mod bus;
pub mod cpu;
pub mod decode;
mod engine;
mod event;
#[cfg(feature = "std")]
pub mod foresight;
pub mod host;
mod integer;
#[cfg(feature = "std")]
pub mod introspect;
pub mod isa;
pub mod profile;
#[cfg(feature = "std")]
pub mod replay;
#[cfg(not(feature = "std"))]
#[path = "replay/absent.rs"]
mod replay;
mod room;
mod system;

pub use address::paging;
pub use bus::{Access, AccessKind, Bus, Platform, Vmm};
pub use cpu::{Cpu, Mode};
pub use decode::{DecodeError, Insn, decode, decode_into};
#[cfg(feature = "std")]
pub use engine::{CodeMemory, MapError};
pub use engine::{Engine, Run, SplitLock, paravirtual};
pub use event::{Event, EventKind, Outcome, Retired, Stop, Unsupported};
pub use profile::{CpuidResult, Profile, Signature, Vendor};
#[cfg(feature = "std")]
pub use replay::{FloatSignals, FloatTraps};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
