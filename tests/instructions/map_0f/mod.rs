//! Opcode map 0F.

mod bits;
mod compare_exchange;
mod crypto;
mod direct;
mod mmx;
mod platform;
mod registers;
mod remote;
mod sse;
mod transaction;
