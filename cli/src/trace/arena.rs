//! The program's memory: the engine's `Bus` and `Platform`.
//!
//! It is an arena of its own from address 0 on, and a table of what each page permits. An address of the program's is an index
//! in the arena, never an address of this process; and the engine gets no host address of it, so that every access comes
//! through [`Bus::read`] and [`Bus::write`], as those of a device do.

use encore86::bus::Access;
use encore86::{AccessKind, Bus, Event, Platform, Stop};
use memmap2::{MmapMut, MmapOptions};
use std::io;
use std::ops::Range;
use std::time::Instant;

/// Bytes of a page.
pub const PAGE: u64 = 0x1000;

/// What a page permits, and what it has been.
pub mod page {
    /// It may be read.
    pub const READ: u8 = 1;
    /// It may be written.
    pub const WRITE: u8 = 2;
    /// It may be executed.
    pub const EXECUTE: u8 = 4;
    /// It is mapped, if only for nothing.
    pub const MAPPED: u8 = 8;
    /// It was mapped before, and may have bytes other than 0.
    pub const USED: u8 = 16;
}

/// What instructions did to memory. One access of an instruction counts once, however it is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Loads.
    pub reads: u64,
    /// Their bytes.
    pub read_bytes: u64,
    /// Stores.
    pub writes: u64,
    /// Their bytes.
    pub written_bytes: u64,
}

/// How the memory answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// As RAM does: repeated string instructions may come by the block.
    Ram,
    /// As a device does that takes at most so many bytes at once, and each access for itself.
    Device(u8),
}

/// The memory of one program.
#[derive(Debug)]
pub struct Arena {
    bytes: MmapMut,
    pages: Vec<u8>,
    widest: usize,
    nature: Nature,
    tally: Tally,
    started: Instant,
}

impl Arena {
    /// `size` bytes, a multiple of [`PAGE`], none of them mapped. Host memory is taken as the program touches it.
    ///
    /// # Errors
    /// What the host says when it has no such range.
    pub fn new(size: u64, nature: Nature) -> io::Result<Arena> {
        let len = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let bytes = MmapOptions::new().len(len).no_reserve_swap().map_anon()?;
        let pages = vec![0; len / PAGE as usize];
        let widest = if let Nature::Device(width) = nature { width.into() } else { usize::MAX };
        Ok(Arena { bytes, pages, widest, nature, tally: Tally::default(), started: Instant::now() })
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// What instructions did to it.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The pages of `len` bytes from `at` on, which begins a page; `None` if they are not all in the arena.
    pub fn range(&self, at: u64, len: u64) -> Option<Range<usize>> {
        let end = at.checked_add(len)?.checked_next_multiple_of(PAGE)?;
        let inside = at.is_multiple_of(PAGE) && end <= self.size();
        inside.then_some((at / PAGE) as usize..(end / PAGE) as usize)
    }

    /// Maps pages anew, with zeroes in them.
    pub fn map(&mut self, pages: Range<usize>, permits: u8) {
        self.clear(pages.clone());
        self.pages[pages].fill(normal(permits) | page::MAPPED | page::USED);
    }

    /// Takes pages away.
    pub fn unmap(&mut self, pages: Range<usize>) {
        self.pages[pages].iter_mut().for_each(|page| *page &= page::USED);
    }

    /// Changes what pages permit; false, and nothing done, unless all of them are mapped.
    pub fn protect(&mut self, pages: Range<usize>, permits: u8) -> bool {
        let pages = &mut self.pages[pages];
        let mapped = pages.iter().all(|page| page & page::MAPPED != 0);
        if mapped {
            pages.fill(normal(permits) | page::MAPPED | page::USED);
        }
        mapped
    }

    /// Makes pages that have been used zero again.
    pub fn clear(&mut self, pages: Range<usize>) {
        for number in pages.filter(|&number| self.pages[number] & page::USED != 0) {
            self.bytes[number * PAGE as usize..][..PAGE as usize].fill(0);
        }
    }

    /// Copies mapped pages over others that do not overlap them.
    pub fn copy_pages(&mut self, from: Range<usize>, to: usize) {
        let size = PAGE as usize;
        self.bytes.copy_within(from.start * size..from.end * size, to * size);
    }

    /// What each page is.
    pub fn pages(&self) -> &[u8] {
        &self.pages
    }

    /// The highest run of `count` pages within `room` that are not mapped.
    pub fn gap(&self, room: Range<usize>, count: usize) -> Option<Range<usize>> {
        let mut free = 0;
        for number in room.rev() {
            free = if self.pages[number] & page::MAPPED == 0 { free + 1 } else { 0 };
            if free == count {
                return Some(number..number + count);
            }
        }
        None
    }

    /// Bytes that the program lets be read.
    pub fn readable(&self, at: u64, len: u64) -> Option<&[u8]> {
        let range = self.permitted(at, len, page::READ)?;
        Some(&self.bytes[range])
    }

    /// Bytes that the program lets be written.
    pub fn writable(&mut self, at: u64, len: u64) -> Option<&mut [u8]> {
        let range = self.permitted(at, len, page::WRITE)?;
        Some(&mut self.bytes[range])
    }

    /// Bytes whatever their pages permit, to load an image.
    pub fn raw(&mut self, at: u64, len: u64) -> Option<&mut [u8]> {
        let end = at.checked_add(len).filter(|&end| end <= self.size())?;
        Some(&mut self.bytes[at as usize..end as usize])
    }

    fn permitted(&self, at: u64, len: u64, need: u8) -> Option<Range<usize>> {
        let end = at.checked_add(len).filter(|&end| end <= self.size())?;
        let pages = (at / PAGE) as usize..end.div_ceil(PAGE) as usize;
        let permitted = len == 0 || self.pages[pages].iter().all(|page| page & need != 0);
        permitted.then_some(at as usize..end as usize)
    }

    #[inline]
    fn permits(&self, linear: u64, need: u8) -> bool {
        self.pages.get((linear / PAGE) as usize).is_some_and(|page| page & need != 0)
    }

    #[cold]
    fn fault(&self, linear: u64, access: &Access) -> Stop {
        let page = self.pages.get((linear / PAGE) as usize).copied().unwrap_or(0);
        let present = page & (page::READ | page::WRITE | page::EXECUTE) != 0;
        let fetch = access.kind == AccessKind::Fetch;
        let code = u32::from(present) | u32::from(access.writes()) << 1 | 1 << 2 | u32::from(fetch) << 4;
        let cause = if present { "the page does not permit it" } else { "nothing is mapped there" };
        Event::pf(code, linear, cause).into()
    }

    /// The place of an access that does not cross a page.
    #[inline]
    fn place(&self, linear: u64, len: usize, need: u8, access: &Access) -> Result<Range<usize>, Stop> {
        if !self.permits(linear, need) {
            return Err(self.fault(linear, access));
        }
        if len > self.widest {
            return Err(Stop::TooWide(self.widest as u8));
        }
        Ok(linear as usize..linear as usize + len)
    }
}

/// What can be written or executed can be read, as page tables have it.
fn normal(permits: u8) -> u8 {
    let permits = permits & (page::READ | page::WRITE | page::EXECUTE);
    if permits == 0 { 0 } else { permits | page::READ }
}

/// How many accesses of instructions this call begins.
#[inline]
fn begun(len: usize, access: &Access) -> u64 {
    let element = usize::from(access.element);
    match access.offset {
        0 if len <= element => 1,
        0 => (len / element.max(1)) as u64,
        _ => 0,
    }
}

impl Bus for Arena {
    #[inline]
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        if !self.permits(linear, page::EXECUTE) {
            return Err(self.fault(linear, access));
        }
        let at = linear as usize;
        if linear % PAGE <= PAGE - 15
            && let Some(bytes) = self.bytes[at..].first_chunk()
        {
            *buf = *bytes;
            return Ok(15);
        }
        let next = linear / PAGE * PAGE + PAGE;
        let count = if self.permits(next, page::EXECUTE) { 15 } else { (next - linear).min(15) as usize };
        buf[..count].copy_from_slice(&self.bytes[at..at + count]);
        Ok(count)
    }

    #[inline]
    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        let need = if access.writes() { page::WRITE } else { page::READ };
        let place = self.place(linear, buf.len(), need, access)?;
        buf.copy_from_slice(&self.bytes[place]);
        self.tally.reads += begun(buf.len(), access);
        self.tally.read_bytes += buf.len() as u64;
        Ok(())
    }

    #[inline]
    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        let place = self.place(linear, buf.len(), page::WRITE, access)?;
        self.bytes[place].copy_from_slice(buf);
        self.tally.writes += begun(buf.len(), access);
        self.tally.written_bytes += buf.len() as u64;
        Ok(())
    }

    fn probe(&mut self, linear: u64, _len: usize, access: &Access) -> Result<(), Stop> {
        let need = if access.writes() { page::WRITE } else { page::READ };
        if self.permits(linear, need) { Ok(()) } else { Err(self.fault(linear, access)) }
    }

    fn peek(&mut self, linear: u64, buf: &mut [u8]) -> bool {
        let bytes = self.raw(linear, buf.len() as u64);
        bytes.map(|bytes| buf.copy_from_slice(bytes)).is_some()
    }

    fn takes_blocks(&mut self, _linear: u64, _len: usize, _access: &Access) -> bool {
        self.nature == Nature::Ram
    }
}

impl Platform for Arena {
    /// IA32_TSC_AUX, which RDTSCP and RDPID show: processor 0 of node 0.
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        const TSC_AUX: u32 = 0xc000_0103;
        if index == TSC_AUX { Ok(0) } else { Err(Stop::NotProvided("model-specific registers")) }
    }

    /// A counter of nanoseconds.
    fn time(&mut self) -> Result<u64, Stop> {
        Ok(self.started.elapsed().as_nanos() as u64)
    }

    fn random(&mut self) -> Result<Option<u64>, Stop> {
        let mut bytes = [0; 8];
        let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        Ok((drawn == Ok(bytes.len())).then(|| u64::from_le_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena() -> Arena {
        let mut arena = Arena::new(0x4000, Nature::Ram).unwrap();
        arena.map(1..2, page::READ | page::WRITE);
        arena.map(2..3, page::READ);
        arena
    }

    #[test]
    fn every_byte_of_a_pointer_is_checked() {
        let mut arena = arena();
        assert!(arena.writable(0x1000, 0x1000).is_some());
        assert!(arena.writable(0x1fff, 2).is_none(), "the second page is for reading");
        assert!(arena.readable(0x1fff, 0x1001).is_some());
        assert!(arena.readable(0x1fff, 0x1002).is_none(), "one byte of a page that is not mapped");
        assert!(arena.readable(0xfff, 2).is_none());
        assert!(arena.readable(0x4000, 1).is_none(), "beyond the arena");
        assert!(arena.readable(u64::MAX, 2).is_none(), "the sum wraps");
        assert!(arena.range(0x1000, u64::MAX - 0x1000).is_none());
        assert!(arena.range(0x1001, 1).is_none(), "it begins no page");
    }

    #[test]
    fn faults_say_what_page_tables_would() {
        let mut arena = arena();
        let fault = |stop| match stop {
            Err(Stop::Fault(event)) => (event.error_code, event.cr2),
            other => panic!("{other:?}"),
        };
        let mut buf = [0; 4];
        assert_eq!(arena.read(0x1ffc, &mut buf, &Access::read(4, 3)), Ok(()));
        assert_eq!(fault(arena.read(0x3000, &mut buf, &Access::read(4, 3))), (Some(4), Some(0x3000)));
        assert_eq!(fault(arena.read(0x7fff_0000, &mut buf, &Access::read(4, 3))), (Some(4), Some(0x7fff_0000)));
        assert_eq!(fault(arena.write(0x2004, &buf, &Access::write(4, 3))), (Some(7), Some(0x2004)));
        let fetch = Access::new(AccessKind::Fetch, 1, 3);
        assert_eq!(fault(arena.fetch(0x1000, &mut [0; 15], &fetch).map(|_| ())), (Some(0x15), Some(0x1000)));
        let first = Access::new(AccessKind::ReadForWrite, 4, 3);
        assert_eq!(fault(arena.read(0x2004, &mut buf, &first)), (Some(7), Some(0x2004)));
        assert_eq!(arena.tally(), Tally { reads: 1, read_bytes: 4, writes: 0, written_bytes: 0 });
    }

    #[test]
    fn a_fetch_ends_where_no_more_may_be_executed() {
        let mut arena = arena();
        arena.protect(1..2, page::EXECUTE);
        let fetch = Access::new(AccessKind::Fetch, 1, 3);
        assert_eq!(arena.fetch(0x1ff1, &mut [0; 15], &fetch), Ok(15));
        assert_eq!(arena.fetch(0x1ff2, &mut [0; 15], &fetch), Ok(14));
        arena.protect(2..3, page::EXECUTE);
        assert_eq!(arena.fetch(0x1ff2, &mut [0; 15], &fetch), Ok(15));
    }

    #[test]
    fn a_page_that_is_mapped_again_is_zero() {
        let mut arena = arena();
        arena.writable(0x1000, 1).unwrap()[0] = 7;
        arena.unmap(1..2);
        assert!(arena.readable(0x1000, 1).is_none());
        arena.map(1..2, page::READ);
        assert_eq!(arena.readable(0x1000, 1), Some(&[0][..]));
        assert_eq!(arena.gap(0..4, 1), Some(3..4));
        assert_eq!(arena.gap(0..4, 2), None);
        assert!(!arena.protect(2..4, page::READ), "the last page is not mapped");
    }

    #[test]
    fn a_device_takes_what_its_width_allows() {
        let mut arena = Arena::new(0x2000, Nature::Device(8)).unwrap();
        arena.map(1..2, page::WRITE);
        let mut buf = [0; 16];
        assert_eq!(arena.read(0x1000, &mut buf, &Access::read(16, 3)), Err(Stop::TooWide(8)));
        assert!(!arena.takes_blocks(0x1000, 64, &Access::read(8, 3)));
        assert!(arena.ram(0x1000, 8, &Access::read(8, 3)).unwrap().is_none());
        let second = Access { offset: 8, ..Access::read(16, 3) };
        assert_eq!(arena.read(0x1000, &mut buf[..8], &Access::read(16, 3)), Ok(()));
        assert_eq!(arena.read(0x1008, &mut buf[8..], &second), Ok(()));
        assert_eq!(arena.tally(), Tally { reads: 1, read_bytes: 16, writes: 0, written_bytes: 0 });
    }
}
