//! The decoder: its limits as a table, other decoders' opinions, bytes that mean nothing.

#[path = "../support/mod.rs"]
mod support;

mod encoder;
mod iced;
mod limits;
mod llvm;
mod noise;
mod overlap;
mod rules;
mod second;
mod yaxpeax;
