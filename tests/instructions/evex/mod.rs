//! The EVEX encoding.

mod gate;
mod gather;
