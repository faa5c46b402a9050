//! One-byte opcodes.

mod arithmetic;
mod branch;
mod decimal;
mod flags;
mod frame;
mod modes;
mod mov;
mod ports;
mod segments;
mod stack;
mod string;
mod system;
