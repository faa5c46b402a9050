//! Opcode map 0F.

mod bits;
mod compare_exchange;
mod crypto;
mod mmx;
mod platform;
mod sse;
