//! Mapping, unmapping, protecting; the heap.

use super::{Done, Errno};
use crate::trace::arena::{Arena, PAGE, page};
use std::ops::Range;

/// The lowest page that a program may map (vm.mmap_min_addr).
const LEAST: u64 = 0x1_0000;

/// Where things are.
#[derive(Debug)]
pub struct Memory {
    heap: u64,
    heap_end: u64,
    /// Where mappings end, and the stack begins.
    top: u64,
}

/// What a protection permits.
fn permits(protection: u64) -> Result<u8, Errno> {
    const KINDS: [(i32, u8); 3] =
        [(libc::PROT_READ, page::READ), (libc::PROT_WRITE, page::WRITE), (libc::PROT_EXEC, page::EXECUTE)];
    if protection & !7 != 0 {
        return Err(Errno::INVAL);
    }
    let given = KINDS.iter().filter(|(bit, _)| protection & *bit as u64 != 0);
    Ok(given.fold(0, |all, (_, bit)| all | bit))
}

impl Memory {
    /// A heap at `heap`, mappings below `top`.
    pub fn new(heap: u64, top: u64) -> Memory {
        Memory { heap, heap_end: heap, top }
    }

    /// brk: the end of the heap, moved if it can be.
    pub fn heap(&mut self, arena: &mut Arena, end: u64) -> u64 {
        if (self.heap..=self.top).contains(&end) {
            let old = self.heap_end.next_multiple_of(PAGE);
            let new = end.next_multiple_of(PAGE);
            if new <= old {
                arena.unmap((new / PAGE) as usize..(old / PAGE) as usize);
                self.heap_end = end;
            } else if let Some(pages) = arena.range(old, new - old)
                && new <= self.top
                && is_free(arena, &pages)
            {
                arena.map(pages, page::READ | page::WRITE);
                self.heap_end = end;
            }
        }
        self.heap_end
    }

    /// mmap of zeroes. For a file's bytes it can be written for now.
    pub fn map(&mut self, arena: &mut Arena, hint: u64, len: u64, protection: u64, flags: u64) -> Done {
        let anonymous = flags & libc::MAP_ANONYMOUS as u64 != 0;
        let shared = flags & libc::MAP_PRIVATE as u64 == 0;
        if len == 0 || flags & (libc::MAP_PRIVATE | libc::MAP_SHARED) as u64 == 0 {
            return Err(Errno::INVAL.into());
        }
        // What it writes would have to reach the file.
        if shared && !anonymous && protection & libc::PROT_WRITE as u64 != 0 {
            return Err(Errno::NODEV.into());
        }
        let permits = if anonymous { permits(protection)? } else { page::READ | page::WRITE };
        let fixed = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) as u64 != 0;
        let pages = if fixed {
            let pages = self.fixed(arena, hint, len)?;
            if flags & libc::MAP_FIXED_NOREPLACE as u64 != 0 && !is_free(arena, &pages) {
                return Err(Errno::EXIST.into());
            }
            pages
        } else {
            let wanted = arena.range(hint, len).filter(|_| hint >= LEAST && self.within(hint, len));
            let wanted = wanted.filter(|pages| is_free(arena, pages));
            wanted.or_else(|| self.place(arena, len)).ok_or(Errno::NOMEM)?
        };
        let at = pages.start as u64 * PAGE;
        arena.map(pages, permits);
        Ok(at)
    }

    fn within(&self, at: u64, len: u64) -> bool {
        at.checked_add(len).is_some_and(|end| end <= self.top)
    }

    fn fixed(&self, arena: &Arena, at: u64, len: u64) -> Result<Range<usize>, Errno> {
        if !at.is_multiple_of(PAGE) {
            return Err(Errno::INVAL);
        }
        if at < LEAST {
            return Err(Errno::PERM);
        }
        arena.range(at, len).ok_or(Errno::NOMEM)
    }

    /// Room for `len` bytes, as high as there is; a page more stays free, so that mappings do not run into each other.
    fn place(&self, arena: &Arena, len: u64) -> Option<Range<usize>> {
        let count = usize::try_from(len.div_ceil(PAGE)).ok()?;
        arena.gap((LEAST / PAGE) as usize..(self.top / PAGE) as usize - 1, count)
    }

    /// munmap.
    pub fn unmap(&self, arena: &mut Arena, at: u64, len: u64) -> Done {
        if len == 0 || !at.is_multiple_of(PAGE) {
            return Err(Errno::INVAL.into());
        }
        arena.unmap(arena.range(at, len).ok_or(Errno::INVAL)?);
        Ok(0)
    }

    /// mprotect.
    pub fn protect(&self, arena: &mut Arena, at: u64, len: u64, protection: u64) -> Done {
        if !at.is_multiple_of(PAGE) {
            return Err(Errno::INVAL.into());
        }
        let permits = permits(protection)?;
        let pages = arena.range(at, len).ok_or(Errno::NOMEM)?;
        if arena.protect(pages, permits) { Ok(0) } else { Err(Errno::NOMEM.into()) }
    }

    /// madvise: only MADV_DONTNEED has an effect that a program sees.
    pub fn advise(&self, arena: &mut Arena, at: u64, len: u64, advice: u64) -> Done {
        if !at.is_multiple_of(PAGE) {
            return Err(Errno::INVAL.into());
        }
        let pages = arena.range(at, len).ok_or(Errno::NOMEM)?;
        if arena.pages()[pages.clone()].iter().any(|page| page & page::MAPPED == 0) {
            return Err(Errno::NOMEM.into());
        }
        if advice as i32 == libc::MADV_DONTNEED {
            arena.clear(pages);
        }
        Ok(0)
    }

    /// mremap, of pages that all permit the same.
    pub fn remap(&self, arena: &mut Arena, at: u64, old: u64, new: u64, flags: u64) -> Done {
        if !at.is_multiple_of(PAGE) || old == 0 || new == 0 || flags & !(libc::MREMAP_MAYMOVE as u64) != 0 {
            return Err(Errno::INVAL.into());
        }
        let from = arena.range(at, old).ok_or(Errno::FAULT)?;
        let state = arena.pages()[from.start];
        if state & page::MAPPED == 0 || arena.pages()[from.clone()].iter().any(|&page| page != state) {
            return Err(Errno::FAULT.into());
        }
        let count = usize::try_from(new.div_ceil(PAGE)).map_err(|_| Errno::NOMEM)?;
        if count <= from.len() {
            arena.unmap(from.start + count..from.end);
            return Ok(at);
        }
        let end = from.start.checked_add(count).filter(|&end| end as u64 <= self.top / PAGE);
        if let Some(behind) = end.map(|end| from.end..end)
            && is_free(arena, &behind)
        {
            arena.map(behind, state);
            return Ok(at);
        }
        if flags & libc::MREMAP_MAYMOVE as u64 == 0 {
            return Err(Errno::NOMEM.into());
        }
        let to = self.place(arena, new).ok_or(Errno::NOMEM)?;
        arena.map(to.clone(), state);
        arena.copy_pages(from.clone(), to.start);
        arena.unmap(from);
        Ok(to.start as u64 * PAGE)
    }
}

fn is_free(arena: &Arena, pages: &Range<usize>) -> bool {
    arena.pages()[pages.clone()].iter().all(|page| page & page::MAPPED == 0)
}
