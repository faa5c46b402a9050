//! Guests written in assembly for tests and for the demo, assembled by rustc.

pub mod fault_matrix;
pub mod gallery;
pub mod legacy_paging;
pub mod picture;
pub mod transfers;
