//! One-byte opcodes.

mod arithmetic;
mod branch;
mod decimal;
mod flags;
mod frame;
mod mov;
mod ports;
mod segments;
mod stack;
mod string;
mod system;
