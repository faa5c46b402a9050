//! Instructions by opcode map, as tables of what goes in and what must come out. Expected values are worked out by hand
//! from the manual's operation sections.

#[path = "../support/mod.rs"]
mod support;
mod table;

mod apx;
mod evex;
mod families;
mod map_0f;
mod one_byte;
mod vex;
mod x87;
mod xop;
