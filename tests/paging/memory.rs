//! A few pages of physical memory wherever they are wanted, and a bus over them that notes where data accesses go.

use encore86::bus::Modify;
use encore86::host::HostRam;
use encore86::{Access, AccessKind, Bus, Platform, Stop};
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const CELLS: usize = 512;

/// Pages by their physical address. What is in none of them reads all ones and drops writes.
pub struct Memory {
    frames: Vec<u64>,
    cells: Box<[AtomicU64]>,
}

impl fmt::Debug for Memory {
    /// What is not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.frames.iter().flat_map(|frame| (0..CELLS as u64).map(move |i| frame + 8 * i));
        let entries = at.zip(&self.cells).map(|(at, cell)| (at, cell.load(SeqCst)));
        f.debug_map().entries(entries.filter(|(_, value)| *value != 0)).finish()
    }
}

impl Clone for Memory {
    fn clone(&self) -> Memory {
        let cells = self.cells.iter().map(|c| AtomicU64::new(c.load(SeqCst))).collect();
        Memory { frames: self.frames.clone(), cells }
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Memory) -> bool {
        self.frames == other.frames
            && self.cells.iter().zip(&other.cells).all(|(a, b)| a.load(SeqCst) == b.load(SeqCst))
    }
}

impl Memory {
    /// Zeroed pages at these addresses.
    pub fn new(frames: &[u64]) -> Memory {
        assert!(frames.iter().all(|f| f % 4096 == 0));
        Memory { frames: frames.to_vec(), cells: (0..frames.len() * CELLS).map(|_| AtomicU64::new(0)).collect() }
    }

    fn cell(&self, at: u64) -> Option<&AtomicU64> {
        let frame = self.frames.iter().position(|&f| f == at & !0xfff)?;
        Some(&self.cells[frame * CELLS + (at as usize & 0xfff) / 8])
    }

    pub fn get64(&self, at: u64) -> u64 {
        assert_eq!(at % 8, 0);
        self.cell(at).map_or(u64::MAX, |cell| cell.load(SeqCst))
    }

    pub fn get32(&self, at: u64) -> u64 {
        assert_eq!(at % 4, 0);
        let whole = self.get64(at & !7);
        if at & 4 == 0 { whole & 0xffff_ffff } else { whole >> 32 }
    }

    /// Writes an entry of 4 or 8 bytes.
    pub fn set(&self, at: u64, value: u64, width: u32) {
        let Some(cell) = self.cell(at) else { return };
        if width == 8 {
            return cell.store(value, SeqCst);
        }
        let shift = (at & 4) * 8;
        let others = cell.load(SeqCst) & !(0xffff_ffff << shift);
        cell.store(others | (value & 0xffff_ffff) << shift, SeqCst);
    }

    /// Sets bits of an entry, atomically.
    pub fn or(&self, at: u64, bits: u64) {
        self.cell(at).unwrap().fetch_or(bits, SeqCst);
    }
}

/// How the bus lets entries be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// It grants host addresses.
    HostAddress,
    /// It has an atomic read-modify-write of its own.
    Rmw,
    /// Only reads and writes.
    Plain,
}

/// A bus over a memory. Page walks reach it; of other accesses only the address is noted.
#[derive(Debug)]
pub struct Walked<'a> {
    pub memory: &'a Memory,
    pub ways: Ways,
    /// Physical address of the last access that was no walk.
    pub last: Option<u64>,
    /// Entries read.
    pub reads: u32,
    /// Answers to the next accesses of walks.
    pub stop: Option<(u32, Stop)>,
    /// Called before an entry is exchanged.
    pub race: Option<&'a Cell<u32>>,
}

impl<'a> Walked<'a> {
    pub fn new(memory: &'a Memory, ways: Ways) -> Walked<'a> {
        Walked { memory, ways, last: None, reads: 0, stop: None, race: None }
    }

    fn walk(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        assert!(access.implicit && access.cpl == 0 && usize::from(access.element) == len, "{access:?}");
        assert_eq!(at % len as u64, 0, "an entry lies at a multiple of its width");
        if let Some((left, stop)) = &mut self.stop {
            if *left == 0 {
                let stop = *stop;
                self.stop = None;
                return Err(stop);
            }
            *left -= 1;
        }
        Ok(())
    }

    fn is_raced(&self) -> bool {
        let Some(left) = self.race.filter(|left| left.get() > 0) else { return false };
        left.set(left.get() - 1);
        true
    }
}

impl Bus for Walked<'_> {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        assert!(!access.walk);
        self.last = Some(at);
        buf.fill(0x90);
        Ok(15)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        if !access.walk {
            self.last = Some(at);
            return Ok(());
        }
        self.walk(at, buf.len(), access)?;
        self.reads += 1;
        match buf.len() {
            4 => buf.copy_from_slice(&(self.memory.get32(at) as u32).to_le_bytes()),
            _ => buf.copy_from_slice(&self.memory.get64(at).to_le_bytes()),
        }
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        if !access.walk {
            self.last = Some(at);
            return Ok(());
        }
        assert!(self.ways == Ways::Plain && access.locked);
        self.walk(at, buf.len(), access)?;
        let mut value = [0; 8];
        value[..buf.len()].copy_from_slice(buf);
        self.memory.set(at, u64::from_le_bytes(value), buf.len() as u32);
        Ok(())
    }

    fn probe(&mut self, at: u64, _: usize, access: &Access) -> Result<(), Stop> {
        assert!(!access.walk);
        self.last = Some(at);
        Ok(())
    }

    fn rmw(&mut self, at: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        if !access.walk {
            self.last = Some(at);
            return Ok(true);
        }
        self.walk(at, old.len(), access)?;
        if self.ways != Ways::Rmw || self.memory.cell(at).is_none() {
            return Ok(false);
        }
        let len = old.len();
        if self.is_raced() {
            self.memory.set(
                at,
                if len == 4 { self.memory.get32(at) } else { self.memory.get64(at) } ^ 1 << 9,
                len as u32,
            );
        }
        let value = if len == 4 { self.memory.get32(at) } else { self.memory.get64(at) };
        old.copy_from_slice(&value.to_le_bytes()[..len]);
        let mut new = [0; 8];
        modify(old, &mut new[..len]);
        self.memory.set(at, u64::from_le_bytes(new), len as u32);
        Ok(true)
    }

    fn ram(&mut self, at: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if !access.walk {
            self.last = Some(at);
            return Ok(None);
        }
        assert!(access.kind == AccessKind::Rmw && access.locked);
        self.walk(at, len, access)?;
        if self.ways != Ways::HostAddress {
            return Ok(None);
        }
        let Some(cell) = self.memory.cell(at) else { return Ok(None) };
        let ptr = NonNull::from(cell).cast::<u8>();
        // SAFETY: 4 or 8 aligned bytes of an atomic, which lives as long as `self.memory`; all others reach it by atomic
        // operations.
        Ok(Some(unsafe { HostRam::new(ptr.add(at as usize % 8), len) }))
    }

    fn ram_across(&mut self, at: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        assert!(!access.walk && at % 4096 + len as u64 > 4096);
        self.last = Some(at);
        Ok(None)
    }
}

impl Platform for Walked<'_> {}
