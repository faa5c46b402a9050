//! Guest RAM at its host address: untorn copies and real locked instructions.
//!
//! Guest RAM is never a Rust reference: other virtual processors and devices change it at any time. It is touched only
//! by assembly and volatile accesses.

mod operation;
#[cfg(any(test, encore86_portable, not(target_arch = "x86_64")))]
mod portable;
#[cfg(test)]
mod singles;
mod turnstile;

// `--cfg encore86_portable` builds for x86-64 what other processors get, so that it is known to build.
#[cfg(any(encore86_portable, not(target_arch = "x86_64")))]
mod elsewhere;
#[cfg(all(target_arch = "x86_64", not(encore86_portable)))]
mod features;
#[cfg(all(target_arch = "x86_64", not(encore86_portable)))]
mod flags;
#[cfg(all(target_arch = "x86_64", not(encore86_portable)))]
mod locked;
#[cfg(all(target_arch = "x86_64", not(encore86_portable)))]
mod x86;

#[cfg(any(encore86_portable, not(target_arch = "x86_64")))]
use elsewhere as machine;
#[cfg(all(target_arch = "x86_64", not(encore86_portable)))]
use x86 as machine;

#[cfg(any(encore86_portable, not(target_arch = "x86_64")))]
pub(crate) use elsewhere::{Issue, difference, of_result, sum};
#[cfg(all(target_arch = "x86_64", not(encore86_portable)))]
pub(crate) use flags::{difference, of_result, sum};
#[cfg(all(target_arch = "x86_64", not(encore86_portable)))]
pub(crate) use locked::Issue;
pub use operation::{Locked, LockedOp, RemoteOp};

/// Are locked operations single instructions, so that an engine may have short lines for them?
pub(crate) const LANES: bool = cfg!(all(target_arch = "x86_64", not(encore86_portable)));
pub use turnstile::forgo_membarrier;
pub(crate) use turnstile::{Alone, Seat, among_others};

use core::marker::PhantomData;
use core::ptr::NonNull;

/// A range of guest RAM at its host address, granted by [`Bus::ram`](crate::bus::Bus::ram) until the next bus call.
#[derive(Debug)]
pub struct HostRam<'a> {
    ptr: NonNull<u8>,
    len: usize,
    grant: PhantomData<&'a mut ()>,
}

impl<'a> HostRam<'a> {
    /// Grants `len` bytes at `ptr`.
    ///
    /// # Safety
    /// For the whole of `'a` the range is mapped, readable (and writable, if the access asked for writes), and nobody in
    /// this process holds a Rust reference to it or accesses it other than by volatile or atomic operations.
    pub unsafe fn new(ptr: NonNull<u8>, len: usize) -> HostRam<'a> {
        HostRam { ptr, len, grant: PhantomData }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Does the range begin at a multiple of its length?
    pub(crate) fn is_aligned(&self) -> bool {
        self.address().is_multiple_of(self.len)
    }

    /// Where the range begins.
    pub(crate) fn address(&self) -> usize {
        self.ptr.as_ptr() as usize
    }

    /// Copies out. 2, 4, 8 and 16 bytes are one load each, with what the processor guarantees of it: no tearing within 8
    /// aligned bytes (of misaligned ones too on Intel's processors, within a cache line), nor within 16 aligned bytes where
    /// it has AVX.
    ///
    /// # Panics
    /// If `buf` is not as long as the range.
    #[inline]
    pub fn load(&self, buf: &mut [u8]) {
        assert_eq!(buf.len(), self.len, "the grant is for another length");
        // SAFETY: the range is mapped and readable for `len` bytes (promise of `new`), and the lengths are equal.
        unsafe { machine::load(self.ptr.as_ptr(), buf) }
    }

    /// Copies in, as [`HostRam::load`] copies out.
    ///
    /// # Panics
    /// If `buf` is not as long as the range.
    #[inline]
    pub fn store(&self, buf: &[u8]) {
        assert_eq!(buf.len(), self.len, "the grant is for another length");
        // SAFETY: as in `load`; the bus granted the range for writing.
        unsafe { machine::store(self.ptr.as_ptr(), buf) }
    }

    /// Stores 64 bytes as MOVDIR64B does where the host has it: all at once, past the caches. Elsewhere by eight stores of
    /// eight bytes, ascending, each of which is whole.
    ///
    /// # Panics
    /// If the range is not 64 bytes long or not aligned to 64.
    pub fn store_line(&self, line: &[u8; 64]) {
        assert!(self.len == 64 && self.is_aligned(), "a line of 64 bytes");
        let p = self.ptr.as_ptr();
        // SAFETY: 64 aligned bytes that were granted.
        if unsafe { machine::store_line(p, line) } {
            return;
        }
        for (i, piece) in line.as_chunks::<8>().0.iter().enumerate() {
            // SAFETY: eight aligned bytes within the range.
            unsafe { p.add(i * 8).cast::<u64>().write_volatile(u64::from_ne_bytes(*piece)) };
        }
    }
}

/// The value is going to be read: brings its lines into the cache.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    let start = core::ptr::from_ref(value).cast::<u8>();
    for line in (0..size_of::<T>()).step_by(64) {
        machine::prefetch(start.wrapping_add(line));
    }
}

/// A page of guest code at its host address. Unlike a [`HostRam`] it is kept over further calls of the bus.
#[derive(Clone, Copy, Debug)]
pub struct CodePage {
    ptr: NonNull<u8>,
}

impl CodePage {
    /// Bytes of a page.
    pub const SIZE: usize = 4096;

    /// Grants the [`CodePage::SIZE`] bytes at `ptr`.
    ///
    /// # Safety
    /// For as long as [`Bus::generation`](crate::Bus::generation) of the bus that hands it out gives the same number, and that bus is
    /// there, the bytes are mapped and readable, and nobody in this process holds a Rust reference to them or accesses them other
    /// than by volatile or atomic operations.
    pub unsafe fn new(ptr: NonNull<u8>) -> CodePage {
        CodePage { ptr }
    }

    /// Eight bytes from `at` on.
    ///
    /// # Safety
    /// The promise of [`CodePage::new`] still holds.
    #[inline(always)]
    pub(crate) unsafe fn word(&self, at: usize) -> u64 {
        assert!(at <= CodePage::SIZE - 8, "within the page");
        // SAFETY: eight bytes within the page, which is readable by the promise.
        unsafe { machine::word(self.ptr.as_ptr().add(at)) }
    }
}

/// The host's XCR0: which vector state its operating system has switched on. 1 without XSAVE.
pub(crate) fn xcr0() -> u64 {
    machine::xcr0()
}

/// A fence of the guest's, as the host's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    Load,
    Store,
    Full,
    /// SERIALIZE. A host without it executes LFENCE and MFENCE: what it has fetched already is not fetched again, which does
    /// not matter here, since the guest's next instruction is fetched anew.
    Serialize,
}

/// Issues the fence.
pub(crate) fn fence(fence: Fence) {
    machine::fence(fence);
}

/// Volatile copy out of guest RAM, by eight bytes where the guest side is aligned.
///
/// # Safety
/// `from` is readable for `buf.len()` bytes.
unsafe fn copy_in(from: *mut u8, buf: &mut [u8]) {
    let head = from.align_offset(8).min(buf.len());
    // SAFETY: every access lies within `buf.len()` bytes from `from`; the wide ones are aligned by construction.
    unsafe {
        for (i, byte) in buf[..head].iter_mut().enumerate() {
            *byte = from.add(i).read_volatile();
        }
        let mut at = head;
        while at + 8 <= buf.len() {
            buf[at..at + 8].copy_from_slice(&from.add(at).cast::<u64>().read_volatile().to_ne_bytes());
            at += 8;
        }
        for (i, byte) in buf.iter_mut().enumerate().skip(at) {
            *byte = from.add(i).read_volatile();
        }
    }
}

/// Volatile copy into guest RAM.
///
/// # Safety
/// `to` is writable for `buf.len()` bytes.
unsafe fn copy_out(to: *mut u8, buf: &[u8]) {
    let head = to.align_offset(8).min(buf.len());
    // SAFETY: as in `copy_in`.
    unsafe {
        for (i, byte) in buf[..head].iter().enumerate() {
            to.add(i).write_volatile(*byte);
        }
        let mut at = head;
        while at + 8 <= buf.len() {
            let mut wide = [0; 8];
            wide.copy_from_slice(&buf[at..at + 8]);
            to.add(at).cast::<u64>().write_volatile(u64::from_ne_bytes(wide));
            at += 8;
        }
        for (i, byte) in buf.iter().enumerate().skip(at) {
            to.add(i).write_volatile(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_match_at_every_alignment_and_length() {
        let mut ram: Vec<u8> = (0..96).map(|i| i as u8 ^ 0x5a).collect();
        let base = ram.as_mut_ptr();
        for at in 0..16 {
            for len in 0..72 {
                let expected: Vec<u8> = (at..at + len).map(|i| i as u8 ^ 0x5a).collect();
                // SAFETY: `at + len` is within the 96 bytes of `ram`, which nothing else touches meanwhile.
                let grant = unsafe { HostRam::new(NonNull::new(base.add(at)).unwrap(), len) };
                let mut out = vec![0; len];
                grant.load(&mut out);
                assert_eq!(out, expected, "load {len} at {at}");
                let inverted: Vec<u8> = expected.iter().map(|b| !b).collect();
                grant.store(&inverted);
                grant.load(&mut out);
                assert_eq!(out, inverted, "store {len} at {at}");
                grant.store(&expected);
            }
        }
        assert!(ram.iter().enumerate().all(|(i, &b)| b == i as u8 ^ 0x5a));
    }
}
