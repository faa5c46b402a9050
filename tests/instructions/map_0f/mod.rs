//! Opcode map 0F.

mod bits;
mod compare_exchange;
mod crypto;
mod platform;
mod sse;
