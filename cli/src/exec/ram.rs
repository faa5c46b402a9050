//! Memory that the engine may run real locked instructions on: allocated by hand, never a Rust reference.

use encore86::host::HostRam;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Host and guest addresses agree modulo this, so that what crosses a cache line there crosses one here.
const ALIGN: usize = 64;

/// Zeroed bytes with a host address.
#[derive(Debug)]
pub struct HostBlock {
    ptr: NonNull<u8>,
    layout: Layout,
    /// Where the first byte lies in the allocation.
    skew: usize,
    len: usize,
}

impl HostBlock {
    /// `len` bytes for guest address `at`; `None` when the host has not that much.
    pub fn new(at: u64, len: usize) -> Option<HostBlock> {
        let skew = (at % ALIGN as u64) as usize;
        let layout = Layout::from_size_align(len.checked_add(skew)?.max(1), ALIGN).ok()?;
        // SAFETY: the layout is not empty.
        let ptr = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(HostBlock { ptr, layout, skew, len })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The host's view of a range.
    ///
    /// # Panics
    /// If the range is not within the block.
    pub fn grant(&self, offset: usize, len: usize) -> HostRam<'_> {
        assert!(offset <= self.len && len <= self.len - offset, "the grant leaves its block");
        // SAFETY: `skew + offset + len` is within the allocation, which lives as long as `self`; no Rust reference to its
        // bytes is ever made, all access is by grants, and the block is not `Sync`.
        unsafe { HostRam::new(self.ptr.add(self.skew + offset), len) }
    }
}

impl Drop for HostBlock {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and grants do not outlive `self`.
        unsafe { dealloc(self.ptr.as_ptr(), self.layout) }
    }
}
