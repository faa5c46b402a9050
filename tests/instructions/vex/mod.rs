//! The VEX encoding.

mod gather;
mod masked;
mod moves;
