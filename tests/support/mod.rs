//! What the suites share: a small machine with devices, processors in every mode, and encodings made from the table.

#![allow(dead_code, missing_docs)] // each suite uses its own part

pub mod encode;
pub mod fuzz;
#[cfg(feature = "kvm")]
pub mod kvm;
pub mod machine;
pub mod newer;
pub mod vm;
