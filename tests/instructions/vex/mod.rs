//! The VEX encoding.

mod bits;
mod gather;
mod masked;
mod moves;
