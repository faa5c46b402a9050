//! Adaptors for looking at an instruction's accesses, and for standing between them and memory.
//!
//! Each wraps a [`Bus`](crate::Bus) or [`Vmm`](crate::Vmm) and is one itself, so that they can be stacked:
//! `Record::new(Overlay::new(Discard::new(vmm), …))` lists accesses as the instruction sees them, and neither shows it
//! certain bytes of memory nor lets it change any.
//!
//! A [`Filter`] sees each instruction with its coming accesses before it runs, and lets it run, skips or refuses it
//! ([`Engine::step_filtered`](crate::Engine::step_filtered)). [`Protect`] keeps pages from the guest, and one instruction can
//! be run with that lifted for it alone ([`Engine::step_lifted`](crate::Engine::step_lifted)). Both cover implicit accesses
//! only if they are told to.
//!
//! [`Discard`] and [`Overlay`] leave *implicit* accesses (descriptors, TSS) and instruction fetches as they are: those
//! are the processor's own, and a monitor that feigns data must not change what a selector means. To run other
//! instruction bytes than memory's, there is [`Engine::step_bytes`](crate::Engine::step_bytes).

mod discard;
pub(crate) mod filter;
mod overlay;
mod protect;
mod record;
#[cfg(test)]
mod tests;

pub use discard::Discard;
pub use filter::{Coming, Filter, Preview, Verdict, Way};
pub use overlay::Overlay;
pub use protect::{Denied, Forbids, Protect};
pub use record::{Clock, Record, Recorded, What};
