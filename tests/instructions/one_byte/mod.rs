//! One-byte opcodes.

mod arithmetic;
mod branch;
mod mov;
mod ports;
mod segments;
mod stack;
mod string;
mod system;
