//! Opcode map 0F.

mod bits;
mod compare_exchange;
mod platform;
mod sse;
