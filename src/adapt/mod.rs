//! Other crates' interfaces, each behind a feature of its name.

#[cfg(feature = "kvm")]
pub mod kvm;
