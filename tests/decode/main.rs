//! The decoder: its limits as a table, and other decoders' opinions.

#[path = "../support/mod.rs"]
mod support;

mod encoder;
mod iced;
mod limits;
mod llvm;
mod overlap;
mod rules;
mod second;
mod yaxpeax;
