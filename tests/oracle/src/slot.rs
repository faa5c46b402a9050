//! The memory of one oracle: a slot of 1 MiB below 2 GiB, mostly holes, and the bookkeeping of slots.

use core::sync::atomic::{AtomicU64, Ordering};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use crate::trampoline::{Context, STUB_TO_CONTEXT};

/// The size of a page.
pub const PAGE: usize = 0x1000;
/// The size of the code area.
pub const CODE_LEN: usize = 3 * PAGE;
/// The size of the data area.
pub const DATA_LEN: usize = 4 * PAGE;

/// Offsets in a slot. Between any two areas lie unmapped pages.
pub const CODE: usize = 0x1_0000;
pub const STUB: usize = 0x2_0000;
const CONTEXT: usize = STUB + STUB_TO_CONTEXT;
const SIGNAL_STACK: usize = 0x4_0000;
const SIGNAL_STACK_LEN: usize = 0x2_0000;
pub const DATA: usize = 0x8_0000;
pub const EDGE: usize = 0x8_8000;

/// The same pages in the memory file, and so in the writable alias.
const FILE_STUB: usize = CODE_LEN;
const FILE_READ_ONLY: usize = FILE_STUB + PAGE;
const FILE_LEN: usize = FILE_READ_ONLY + PAGE;

const LEN: usize = 0x10_0000;
const LOWEST: usize = 0x2000_0000;
const COUNT: usize = 1024;

/// One bit a slot, set while it is mapped whole: the signal handler trusts nothing else.
static LIVE: [AtomicU64; COUNT / 64] = [const { AtomicU64::new(0) }; COUNT / 64];

/// The slot's index if `address` lies in a live one.
fn live_index(address: usize) -> Option<usize> {
    let index = address.checked_sub(LOWEST)? / LEN;
    (LIVE.get(index / 64)?.load(Ordering::Acquire) >> (index % 64) & 1 == 1).then_some(index)
}

/// The context of the live slot whose memory `address` points into.
pub fn context_around(address: usize) -> Option<*mut Context> {
    live_index(address).map(|index| ptr::with_exposed_provenance_mut(LOWEST + index * LEN + CONTEXT))
}

/// The mapped memory; unmapped on drop.
pub struct Slot {
    base: NonNull<u8>,
    alias: NonNull<u8>,
}

impl Slot {
    /// Maps a slot at the lowest free place.
    pub fn new() -> io::Result<Slot> {
        let file = memory_file(FILE_LEN)?;
        let alias = map(None, FILE_LEN, libc::PROT_READ | libc::PROT_WRITE, Some((&file, 0)))?;
        let base = match reserve() {
            Ok(base) => base,
            Err(error) => {
                unmap(alias, FILE_LEN);
                return Err(error);
            }
        };
        let slot = Slot { base, alias }; // from here on, an error unmaps all
        let (r, rw, rx) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE, libc::PROT_READ | libc::PROT_EXEC);
        map(Some(slot.at(CODE)), CODE_LEN, rx, Some((&file, 0)))?;
        map(Some(slot.at(STUB)), PAGE, rx, Some((&file, FILE_STUB)))?;
        map(Some(slot.at(CONTEXT)), size_of::<Context>().next_multiple_of(PAGE), rw, None)?;
        map(Some(slot.at(SIGNAL_STACK)), SIGNAL_STACK_LEN, rw, None)?;
        map(Some(slot.at(DATA)), DATA_LEN, rw, None)?;
        map(Some(slot.at(EDGE)), PAGE, rw, None)?;
        map(Some(slot.at(EDGE + PAGE)), PAGE, r, Some((&file, FILE_READ_ONLY)))?;
        let index = slot.index();
        LIVE[index / 64].fetch_or(1 << (index % 64), Ordering::Release);
        Ok(slot)
    }

    /// Which slot of the process this is.
    pub fn index(&self) -> usize {
        (self.base.addr().get() - LOWEST) / LEN
    }

    /// The address of an offset.
    pub fn address(&self, offset: usize) -> u64 {
        (self.base.addr().get() + offset) as u64
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: all offsets used in this module lie inside the slot.
        unsafe { self.base.add(offset) }
    }

    /// The context; zeroed by the mapping.
    pub fn context(&self) -> NonNull<Context> {
        self.at(CONTEXT).cast()
    }

    /// The code area, to be written.
    pub fn code(&mut self) -> &mut [u8] {
        // SAFETY: the first pages of the alias, mapped read-write, and only `self` knows of it. While guest code runs,
        // which only reads there, no such slice is alive.
        unsafe { core::slice::from_raw_parts_mut(self.alias.as_ptr(), CODE_LEN) }
    }

    /// The page of the exit stub, to be written.
    pub fn stub(&mut self) -> &mut [u8] {
        // SAFETY: as for `code`.
        unsafe { core::slice::from_raw_parts_mut(self.alias.add(FILE_STUB).as_ptr(), PAGE) }
    }

    /// The page that guest code finds read-only, to be written.
    pub fn read_only_page(&mut self) -> &mut [u8] {
        // SAFETY: as for `code`.
        unsafe { core::slice::from_raw_parts_mut(self.alias.add(FILE_READ_ONLY).as_ptr(), PAGE) }
    }

    /// The data area.
    pub fn data(&mut self) -> &mut [u8] {
        // SAFETY: mapped read-write for as long as `self` lives; guest code runs only while no such slice is alive,
        // because running takes `&mut self` too.
        unsafe { core::slice::from_raw_parts_mut(self.at(DATA).as_ptr(), DATA_LEN) }
    }

    /// The writable page before the read-only one.
    pub fn edge_page(&mut self) -> &mut [u8] {
        // SAFETY: as for `data`.
        unsafe { core::slice::from_raw_parts_mut(self.at(EDGE).as_ptr(), PAGE) }
    }

    /// The signal stack: address and length.
    pub fn signal_stack(&self) -> libc::stack_t {
        libc::stack_t { ss_sp: self.at(SIGNAL_STACK).as_ptr().cast(), ss_flags: 0, ss_size: SIGNAL_STACK_LEN }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let index = self.index();
        LIVE[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Release);
        unmap(self.base, LEN);
        unmap(self.alias, FILE_LEN);
    }
}

/// Takes the lowest free place for a slot, with no access at all.
fn reserve() -> io::Result<NonNull<u8>> {
    for index in 0..COUNT {
        let place = ptr::without_provenance_mut(LOWEST + index * LEN);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: NOREPLACE touches no mapping that exists.
        let got = unsafe { libc::mmap(place, LEN, libc::PROT_NONE, flags, -1, 0) };
        if got == place {
            got.expose_provenance();
            return Ok(NonNull::new(got.cast()).expect("above LOWEST"));
        }
        if got != libc::MAP_FAILED {
            // A kernel before 4.17 takes the address for a hint.
            unmap(NonNull::new(got.cast()).expect("mmap does not give page 0"), LEN);
        }
    }
    Err(io::Error::new(io::ErrorKind::OutOfMemory, "no free MiB between 512 MiB and 1.5 GiB for an oracle"))
}

fn memory_file(len: usize) -> io::Result<OwnedFd> {
    const MFD_EXEC: u32 = 0x10;
    for flags in [MFD_EXEC, 0] {
        // SAFETY: the name is a C string; a new descriptor harms nobody.
        let fd = unsafe { libc::memfd_create(c"encore86-oracle".as_ptr(), libc::MFD_CLOEXEC | flags) };
        if fd >= 0 {
            // SAFETY: just opened, and owned by nobody else.
            let file = unsafe { OwnedFd::from_raw_fd(fd) };
            // SAFETY: a plain call on a descriptor that is open.
            return match unsafe { libc::ftruncate(file.as_raw_fd(), len as i64) } {
                0 => Ok(file),
                _ => Err(io::Error::last_os_error()),
            };
        }
    }
    Err(io::Error::last_os_error())
}

/// Maps `len` bytes of a file (from an offset) or of zeros: at `place`, which must lie inside a reserved slot, or anywhere.
fn map(
    place: Option<NonNull<u8>>,
    len: usize,
    access: i32,
    file: Option<(&OwnedFd, usize)>,
) -> io::Result<NonNull<u8>> {
    // Populated, so that the error code of a page fault says whether the page is mapped, not whether it was touched.
    let flags = libc::MAP_POPULATE | if place.is_some() { libc::MAP_FIXED } else { 0 };
    let (source, fd, offset) = match file {
        Some((file, offset)) => (libc::MAP_SHARED, file.as_raw_fd(), offset),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
    };
    let place = place.map_or(ptr::null_mut(), NonNull::as_ptr);
    // SAFETY: MAP_FIXED replaces only pages of a slot that this module reserved and that nobody uses yet.
    let got = unsafe { libc::mmap(place.cast(), len, access, flags | source, fd, offset as i64) };
    if got == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(got.cast()).expect("mmap does not give page 0"))
}

fn unmap(place: NonNull<u8>, len: usize) {
    // SAFETY: called with a mapping that this module made, by its last user. Fails only on bad arguments.
    unsafe { libc::munmap(place.as_ptr().cast(), len) };
}
