//! The instruction set as data: a row is one opcode line of the manual, one file an opcode map or family.
//!
//! Rows are sorted by opcode within a table; the tables are indexed and checked at build time.

pub mod feature;
#[macro_use]
mod join;
mod ace;
mod amx;
mod apx;
mod bits;
mod crypto;
mod dot;
mod evex;
mod f16c;
mod fma;
mod fma4;
mod legacy;
mod memory;
mod mmx;
mod mpx;
mod ne_convert;
mod notation;
mod now3d;
mod old;
mod padlock;
pub(crate) mod plan;
mod platform;
pub mod row;
mod security;
mod segments;
mod sse;
mod sse4a;
mod system;
pub mod tables;
mod vex;
mod virtualization;
mod x87;
mod xop;

pub use feature::{Feature, FeatureSet};
pub use row::{Exec, Row};
