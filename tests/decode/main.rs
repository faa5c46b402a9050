//! The decoder: its limits as a table, a comparison with iced-x86, bytes that mean nothing.

#[path = "../support/mod.rs"]
mod support;

mod iced;
mod limits;
mod noise;
