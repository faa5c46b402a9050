//! Executable memory as the cache sees it.

use core::sync::atomic::AtomicU64;

/// Executable memory behind two aliases. [`DualMap`](crate::DualMap) is the usual one; a hypervisor can bring its own.
///
/// # Safety
/// For as long as `self` lives, and in every process in which [`generation`](Self::generation) does not read zero after
/// the cache has written it:
/// - `rw` and `rx` name `len` bytes each, at addresses that never change and are multiples of 64;
/// - both show the same bytes; what is written through `rw` can be executed through `rx`;
/// - no mapping is writable and executable at once;
/// - nobody else writes through `rw`.
#[allow(clippy::len_without_is_empty)] // never empty
pub unsafe trait CodeMemory: Send {
    /// The writable alias.
    fn rw(&self) -> *mut u8;

    /// The executable alias.
    fn rx(&self) -> *const u8;

    /// Bytes in each alias: 4 KiB to 4 MiB, whole 64-byte lines.
    fn len(&self) -> usize;

    /// A word that belongs to this memory alone, zero at first. The cache keeps its generation here, never zero, and
    /// looks at it before every call: where a forked child does not inherit the aliases, this word must read zero in
    /// the child, so that one compare finds stubs that are gone with their generation or with their process.
    fn generation(&self) -> &AtomicU64;
}
