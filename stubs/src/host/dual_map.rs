//! One memory file under two mappings: written through one, executed through the other.

use crate::{CodeMemory, MapError};
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libc::c_int;

/// Executable memory from the kernel: one sealed-size memory file, mapped readable and writable at one address and
/// readable and executable at another. No mapping is ever both writable and executable. A forked child inherits neither.
#[derive(Debug)]
pub struct DualMap {
    /// Writable, executable. Taken away by `Drop`.
    views: ManuallyDrop<[Mapping; 2]>,
    /// Wiped in a forked child: the generation, and `HERE` in the word after it.
    page: Mapping,
}

/// Says that this process has the views. A process number would not do: inside namespaces two can be the same.
const HERE: u64 = 1;

/// Some kernels and policies grant execution only under one of these: 5.x knows no flag, 6.3 and up may be set to
/// demand one, and a strict policy takes only the first. `MFD_NOEXEC_SEAL` seals the file's *mode*; mapping it for
/// execution stays possible.
const FLAGS: [libc::c_uint; 3] = [libc::MFD_NOEXEC_SEAL, libc::MFD_EXEC, 0];

const PAGE: usize = 4096;

impl DualMap {
    /// The least length of stub memory, in bytes.
    pub const MIN_LEN: usize = 4096;
    /// The greatest length of stub memory, in bytes.
    pub const MAX_LEN: usize = 1 << 22;

    /// Maps `len` bytes twice: `MIN_LEN` to `MAX_LEN`, whole 64-byte lines. 64 KiB to 128 KiB suit an engine.
    ///
    /// # Errors
    /// [`MapError`], of the last way that was tried. Nothing stays open or mapped.
    pub fn new(len: usize) -> Result<Self, MapError> {
        if !(Self::MIN_LEN..=Self::MAX_LEN).contains(&len) || !len.is_multiple_of(64) {
            return Err(MapError::Length(len));
        }
        let mut last = MapError::NotSupported;
        for flags in FLAGS {
            match Self::with_flags(len, flags) {
                Ok(map) => return Ok(map),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn with_flags(len: usize, flags: libc::c_uint) -> Result<Self, MapError> {
        let file = File::new(len, flags).map_err(MapError::File)?;
        let shared = libc::MAP_SHARED;
        let rw = Mapping::new(len, libc::PROT_READ | libc::PROT_WRITE, shared, file.0).map_err(MapError::Map)?;
        let rx =
            Mapping::new(len, libc::PROT_READ | libc::PROT_EXEC, shared, file.0).map_err(MapError::ExecutionDenied)?;
        rw.advise(libc::MADV_DONTFORK).map_err(MapError::Advice)?;
        rx.advise(libc::MADV_DONTFORK).map_err(MapError::Advice)?;
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = Mapping::new(PAGE, libc::PROT_READ | libc::PROT_WRITE, private, -1).map_err(MapError::Map)?;
        page.advise(libc::MADV_WIPEONFORK).map_err(MapError::Advice)?;
        let map = Self { views: ManuallyDrop::new([rw, rx]), page };
        map.words()[1].store(HERE, Relaxed);
        Ok(map)
    }

    #[inline]
    fn words(&self) -> &[AtomicU64; 2] {
        // SAFETY: the page is private, zero at first, aligned, readable and writable for as long as `self` lives.
        unsafe { self.page.at.cast().as_ref() }
    }
}

impl Drop for DualMap {
    fn drop(&mut self) {
        // In a forked child something else may lie where the parent has the views.
        if self.words()[1].load(Relaxed) == HERE {
            // SAFETY: this process has the views, and they are not used again.
            unsafe { ManuallyDrop::drop(&mut self.views) };
        }
    }
}

// SAFETY: both views are shared mappings of one file, page-aligned, of `len` bytes, one without PROT_EXEC and the other
// without PROT_WRITE, and stay until `self` is dropped. They are not inherited by a forked child, in which the
// kernel wipes the page that holds the generation. `rw` is given out by this method alone.
unsafe impl CodeMemory for DualMap {
    #[inline]
    fn rw(&self) -> *mut u8 {
        self.views[0].at.as_ptr()
    }

    #[inline]
    fn rx(&self) -> *const u8 {
        self.views[1].at.as_ptr()
    }

    #[inline]
    fn len(&self) -> usize {
        self.views[0].len
    }

    #[inline]
    fn generation(&self) -> &AtomicU64 {
        &self.words()[0]
    }
}

/// A memory file, closed when dropped; mappings outlive it.
struct File(c_int);

impl File {
    fn new(len: usize, flags: libc::c_uint) -> Result<Self, c_int> {
        // SAFETY: the name is a terminated string; the call touches nothing else.
        let fd = unsafe { libc::memfd_create(c"encore86-stubs".as_ptr(), flags | libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(errno());
        }
        let file = Self(fd);
        // SAFETY: the descriptor is open and ours; `len` is at most 4 MiB.
        if unsafe { libc::ftruncate(file.0, len as libc::off_t) } != 0 {
            return Err(errno());
        }
        Ok(file)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open, ours, and not used again.
        unsafe { libc::close(self.0) };
    }
}

/// A mapping, taken away when dropped.
#[derive(Debug)]
struct Mapping {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and `Mapping` itself only gives out its address.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(len: usize, prot: c_int, flags: c_int, fd: c_int) -> Result<Self, c_int> {
        // SAFETY: without MAP_FIXED the kernel picks an address that is free.
        let at = unsafe { libc::mmap(ptr::null_mut(), len, prot, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(errno());
        }
        let at = NonNull::new(at.cast()).ok_or(libc::ENOMEM)?;
        Ok(Self { at, len })
    }

    fn advise(&self, advice: c_int) -> Result<(), c_int> {
        // SAFETY: the range is a mapping of ours, and the two kinds of advice used here change nothing in this process.
        match unsafe { libc::madvise(self.at.as_ptr().cast(), self.len, advice) } {
            0 => Ok(()),
            _ => Err(errno()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this process has the mapping, and nothing that points into it outlives `self`.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}

fn errno() -> c_int {
    // SAFETY: the C library gives a valid pointer to this thread's errno.
    unsafe { *libc::__errno_location() }
}
