//! The EVEX encoding.

mod crypto;
mod fma;
mod gate;
mod gather;
