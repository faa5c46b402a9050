//! Adaptors for looking at an instruction's accesses, and for standing between them and memory.
//!
//! Each wraps a [`Bus`](crate::Bus) or [`Vmm`](crate::Vmm) and is one itself, so that they can be stacked:
//! `Record::new(Overlay::new(Discard::new(vmm), …))` lists accesses as the instruction sees them, and neither shows it
//! certain bytes of memory nor lets it change any.
//!
//! [`Discard`] and [`Overlay`] leave *implicit* accesses (descriptors, TSS) and instruction fetches as they are: those
//! are the processor's own, and a monitor that feigns data must not change what a selector means. To run other
//! instruction bytes than memory's, there is [`Engine::step_bytes`](crate::Engine::step_bytes).

mod discard;
mod overlay;
mod record;
#[cfg(test)]
mod tests;

pub use discard::Discard;
pub use overlay::Overlay;
pub use record::{Clock, Record, Recorded, What};
