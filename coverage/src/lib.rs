//! What the instruction table covers, counted from its rows: for `encore86 coverage` and the tests that check its tables.
//!
//! A *line* is a row of the table, one opcode line of the manual. A *form* is a line with registers or with memory, at one
//! vector length, with or without rounding control, and so on ([`expand`]).

pub mod checked;
pub mod count;
pub mod expand;
pub mod list;
pub mod manual;
pub mod pages;
