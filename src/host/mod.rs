//! Guest RAM at its host address: untorn copies and real locked instructions.
//!
//! Guest RAM is never a Rust reference: other virtual processors and devices change it at any time. It is touched only
//! by assembly and volatile accesses.

mod locked;

pub use locked::{Locked, LockedOp};

use crate::cpu::registers::component;
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

    /// Copies out. Aligned accesses of 2, 4 and 8 bytes are one load each.
    ///
    /// # Panics
    /// If `buf` is not as long as the range.
    pub fn load(&self, buf: &mut [u8]) {
        assert_eq!(buf.len(), self.len, "the grant is for another length");
        let p = self.ptr.as_ptr();
        // SAFETY: the range is mapped and readable for `len` bytes (promise of `new`), the lengths are equal, and each
        // typed access is made only at its alignment.
        unsafe {
            match (buf.len(), p as usize) {
                (8, a) if a.is_multiple_of(8) => buf.copy_from_slice(&p.cast::<u64>().read_volatile().to_ne_bytes()),
                (4, a) if a.is_multiple_of(4) => buf.copy_from_slice(&p.cast::<u32>().read_volatile().to_ne_bytes()),
                (2, a) if a.is_multiple_of(2) => buf.copy_from_slice(&p.cast::<u16>().read_volatile().to_ne_bytes()),
                _ => copy_in(p, buf),
            }
        }
    }

    /// Copies in, as [`HostRam::load`] copies out.
    ///
    /// # Panics
    /// If `buf` is not as long as the range.
    pub fn store(&self, buf: &[u8]) {
        assert_eq!(buf.len(), self.len, "the grant is for another length");
        let p = self.ptr.as_ptr();
        // SAFETY: as in `load`; the bus granted the range for writing.
        unsafe {
            match *buf {
                [a, b, c, d, e, f, g, h] if (p as usize).is_multiple_of(8) => {
                    p.cast::<u64>().write_volatile(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
                }
                [a, b, c, d] if (p as usize).is_multiple_of(4) => {
                    p.cast::<u32>().write_volatile(u32::from_ne_bytes([a, b, c, d]));
                }
                [a, b] if (p as usize).is_multiple_of(2) => p.cast::<u16>().write_volatile(u16::from_ne_bytes([a, b])),
                _ => copy_out(p, buf),
            }
        }
    }
}

/// The host's XCR0: which vector state its operating system has switched on. 1 without XSAVE.
pub(crate) fn xcr0() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let osxsave = core::arch::x86_64::__cpuid(1).ecx >> 27 & 1 != 0;
        if osxsave {
            let (lo, hi): (u32, u32);
            // SAFETY: CPUID says that XGETBV is there and enabled; it only reads XCR0 into EDX:EAX.
            unsafe {
                core::arch::asm!("xgetbv", in("ecx") 0, out("eax") lo, out("edx") hi, options(nomem, nostack));
            }
            return lo as u64 | (hi as u64) << 32;
        }
    }
    component::X87
}

/// A full fence: earlier loads and stores of this thread before later ones.
pub(crate) fn fence() {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
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
