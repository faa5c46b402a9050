//! Other crates' interfaces, each behind a feature of its name.

#[cfg(feature = "kvm")]
pub mod kvm;
#[cfg(feature = "vm-memory")]
pub mod vm_memory;
