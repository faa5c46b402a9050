//! Guest-physical memory by the byte: RAM and device memory, and what a run changed in it.

use super::ram::HostBlock;
use crate::number::{Bytes, Number};
use encore86::host::HostRam;
use serde::Serialize;
use std::collections::BTreeMap;

/// All memory of a case together.
const LARGEST: u64 = 1 << 30;
const PAGE: u64 = 4096;

/// A region as a case gives it.
#[derive(Clone, Debug)]
pub struct Region {
    /// Address of the first byte.
    pub at: u64,
    /// Length in bytes.
    pub len: u64,
    /// Its first bytes; the rest is zero.
    pub bytes: Vec<u8>,
    /// `None`: RAM. Else device memory, and how many accesses it answers "later".
    pub retry: Option<u64>,
}

impl Region {
    fn last(&self) -> u64 {
        self.at + (self.len - 1)
    }
}

/// Bytes side by side.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    at: Number,
    hex: Bytes,
}

#[derive(Debug)]
struct Block {
    start: u64,
    host: HostBlock,
    /// Accesses that device memory still answers "later"; `None` for RAM.
    retry: Option<u64>,
    /// What chunks of a page's length held before they were first written, by offset.
    saved: BTreeMap<usize, Vec<u8>>,
}

impl Block {
    fn load(&self, offset: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.host.grant(offset, len).load(&mut bytes);
        bytes
    }

    /// Keeps what the range held at the start.
    fn save(&mut self, offset: usize, len: usize) {
        let chunk = PAGE as usize;
        let mut at = offset - offset % chunk;
        while at < offset + len {
            if !self.saved.contains_key(&at) {
                let held = self.load(at, chunk.min(self.host.len() - at));
                self.saved.insert(at, held);
            }
            at += chunk;
        }
    }
}

/// All memory of a case.
#[derive(Debug)]
pub struct Memory {
    /// By address, none overlapping.
    blocks: Vec<Block>,
}

impl Memory {
    /// Lays out `regions`, then pieces of code, none over a page's end unless they are one: what no region covers of their
    /// pages becomes zeroed RAM.
    ///
    /// # Errors
    /// A sentence that names the regions that overlap, run past the end, or are too much.
    pub fn new(regions: Vec<Region>, code: &[(u64, &[u8])]) -> Result<Memory, String> {
        let mut regions: Vec<Region> = regions.into_iter().filter(|r| r.len > 0).collect();
        if let Some(r) = regions.iter().find(|r| r.at.checked_add(r.len - 1).is_none()) {
            return Err(format!("the region at {:#x} runs past the end of the address space; make it shorter", r.at));
        }
        regions.sort_by_key(|r| r.at);
        if let Some([a, b]) = regions.array_windows().find(|[a, b]| a.last() >= b.at) {
            let (a, b) = (a.at, b.at);
            return Err(format!("the regions at {a:#x} and {b:#x} overlap; give each byte to one of them"));
        }
        for (at, bytes) in code {
            fill_pages(&mut regions, *at, bytes.len() as u64);
        }
        let total = regions.iter().try_fold(0u64, |sum, r| sum.checked_add(r.len)).unwrap_or(u64::MAX);
        if total > LARGEST {
            return Err(format!("{total:#x} bytes of memory; a case has at most {LARGEST:#x}"));
        }
        let mut memory = Memory { blocks: Vec::new() };
        for together in regions.chunk_by(|a, b| a.retry.is_none() && b.retry.is_none() && a.last() + 1 == b.at) {
            memory.blocks.push(lay(together)?);
        }
        for (at, bytes) in code {
            memory.store(*at, bytes);
        }
        Ok(memory)
    }

    fn find(&self, at: u64) -> Option<usize> {
        let i = self.blocks.partition_point(|b| b.start <= at).checked_sub(1)?;
        let block = &self.blocks[i];
        (at - block.start < block.host.len() as u64).then_some(i)
    }

    /// The parts of a range by block: index, offset in the block, length. Ends before the first byte that is in none.
    fn parts(&self, at: u64, len: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<'_> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let here = at.wrapping_add(done as u64);
            let i = if done < len { self.find(here)? } else { return None };
            let offset = (here - self.blocks[i].start) as usize;
            let n = (self.blocks[i].host.len() - offset).min(len - done);
            done += n;
            Some((i, offset, n))
        })
    }

    /// How many bytes from `at` on are there, `len` at most.
    pub fn covered(&self, at: u64, len: usize) -> usize {
        self.parts(at, len).map(|(.., n)| n).sum()
    }

    /// How many bytes from `at` on are RAM, `len` at most.
    pub fn ram_from(&self, at: u64, len: usize) -> usize {
        self.parts(at, len).take_while(|(i, ..)| self.blocks[*i].retry.is_none()).map(|(.., n)| n).sum()
    }

    /// Does the range answer now? A device that does not counts this as one of its accesses.
    pub fn answers(&mut self, at: u64, len: usize) -> bool {
        let parts: Vec<_> = self.parts(at, len).collect();
        for (i, ..) in parts {
            if let Some(left @ 1..) = &mut self.blocks[i].retry {
                *left -= 1;
                return false;
            }
        }
        true
    }

    /// Reads a range that is there as a whole.
    pub fn load(&self, at: u64, buf: &mut [u8]) {
        let mut rest = buf;
        for (i, offset, n) in self.parts(at, rest.len()) {
            let (now, behind) = rest.split_at_mut(n);
            self.blocks[i].host.grant(offset, n).load(now);
            rest = behind;
        }
    }

    /// Reads a range of which bytes that are not there are all ones.
    pub fn load_or_ones(&self, at: u64, buf: &mut [u8]) {
        let mut done = 0;
        while done < buf.len() {
            let here = at.wrapping_add(done as u64);
            match self.covered(here, buf.len() - done) {
                0 => {
                    buf[done] = 0xff;
                    done += 1;
                }
                n => {
                    self.load(here, &mut buf[done..done + n]);
                    done += n;
                }
            }
        }
    }

    /// Writes what is there of a range.
    pub fn write_or_drop(&mut self, at: u64, buf: &[u8]) {
        let mut done = 0;
        while done < buf.len() {
            let here = at.wrapping_add(done as u64);
            let n = self.covered(here, buf.len() - done);
            self.write(here, &buf[done..done + n]);
            done += n.max(1);
        }
    }

    /// Writes a range that is there as a whole, and remembers what it held.
    pub fn write(&mut self, at: u64, buf: &[u8]) {
        let parts: Vec<_> = self.parts(at, buf.len()).collect();
        for (i, offset, n) in parts {
            self.blocks[i].save(offset, n);
        }
        self.store(at, buf);
    }

    fn store(&self, at: u64, buf: &[u8]) {
        let mut rest = buf;
        for (i, offset, n) in self.parts(at, rest.len()) {
            let (now, behind) = rest.split_at(n);
            self.blocks[i].host.grant(offset, n).store(now);
            rest = behind;
        }
    }

    /// The host's view of a range that is RAM and has one; `writes` remembers what it held.
    pub fn grant(&mut self, at: u64, len: usize, writes: bool) -> Option<HostRam<'_>> {
        let (i, offset, n) = self.parts(at, len).next()?;
        let block = &mut self.blocks[i];
        if n < len || block.retry.is_some() {
            return None;
        }
        if writes {
            block.save(offset, len);
        }
        Some(block.host.grant(offset, len))
    }

    /// Bytes that differ from what they were at the start.
    pub fn changes(&self) -> Vec<Run> {
        let mut runs = Runs::default();
        for block in &self.blocks {
            for (&offset, was) in &block.saved {
                let is = block.load(offset, was.len());
                for (i, (was, is)) in was.iter().zip(is).enumerate() {
                    if *was != is {
                        runs.push(block.start + (offset + i) as u64, &[is]);
                    }
                }
            }
        }
        runs.0
    }

    /// All bytes.
    pub fn contents(&self) -> Vec<Run> {
        let mut runs = Runs::default();
        for block in &self.blocks {
            runs.push(block.start, &block.load(0, block.host.len()));
        }
        runs.0
    }
}

#[derive(Default)]
struct Runs(Vec<Run>);

impl Runs {
    fn push(&mut self, at: u64, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(run) if run.at.0.wrapping_add(run.hex.0.len() as u64) == at => run.hex.0.extend_from_slice(bytes),
            _ => self.0.push(Run { at: Number(at), hex: Bytes(bytes.to_vec()) }),
        }
    }
}

/// The code, cut where addresses wrap (all ones, or 32 bits).
pub fn pieces(at: u64, code: &[u8], wrap: u64) -> Vec<(u64, &[u8])> {
    let at = at & wrap;
    let room = usize::try_from(wrap - at).unwrap_or(usize::MAX).saturating_add(1);
    let (here, behind) = code.split_at(code.len().min(room));
    [(at, here), (0, behind)].into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect()
}

/// Adds zeroed RAM where no region covers the pages of a range. Regions are sorted before and after.
fn fill_pages(regions: &mut Vec<Region>, at: u64, len: u64) {
    let (first, last) = (at & !(PAGE - 1), (at + (len - 1)) | (PAGE - 1));
    let mut gaps = Vec::new();
    let mut next = Some(first);
    for region in regions.iter().skip(regions.partition_point(|r| r.last() < first)) {
        let Some(from) = next.filter(|from| *from <= last) else { break };
        if region.at > from {
            gaps.push((from, last.min(region.at - 1)));
        }
        next = region.last().checked_add(1);
    }
    if let Some(from) = next.filter(|from| *from <= last) {
        gaps.push((from, last));
    }
    let ram = |(from, to): (u64, u64)| Region { at: from, len: to - from + 1, bytes: Vec::new(), retry: None };
    regions.extend(gaps.into_iter().map(ram));
    regions.sort_by_key(|r| r.at);
}

/// One block of RAM regions that touch, or of one device.
fn lay(regions: &[Region]) -> Result<Block, String> {
    let start = regions[0].at;
    let len = regions.iter().map(|r| r.len as usize).sum();
    let host = HostBlock::new(start, len).ok_or_else(|| format!("the host has not {len:#x} bytes left"))?;
    for region in regions {
        host.grant((region.at - start) as usize, region.bytes.len()).store(&region.bytes);
    }
    Ok(Block { start, host, retry: regions[0].retry, saved: BTreeMap::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ram(at: u64, bytes: &[u8]) -> Region {
        Region { at, len: bytes.len() as u64, bytes: bytes.to_vec(), retry: None }
    }

    fn run(at: u64, bytes: &[u8]) -> Run {
        Run { at: Number(at), hex: Bytes(bytes.to_vec()) }
    }

    #[test]
    fn code_fills_its_pages_around_the_regions() {
        let regions = vec![ram(0x1ff0, &[7; 8]), Region { retry: Some(0), ..ram(0x2010, &[8; 16]) }];
        let memory = Memory::new(regions, &[(0x1ff6, &[1; 12])]).unwrap();
        let contents = memory.contents();
        assert_eq!(contents.len(), 1);
        let mut expected = vec![0; 0x2000];
        expected[0xff0..0xff8].fill(7);
        expected[0x1010..0x1020].fill(8);
        expected[0xff6..0x1002].fill(1);
        assert_eq!(contents[0], run(0x1000, &expected));
        assert_eq!(memory.covered(0xfff, 4), 0);
        assert_eq!(memory.covered(0x2ffe, 4), 2);
        assert_eq!(memory.ram_from(0x200c, 8), 4);
        assert_eq!(memory.changes(), []);
    }

    #[test]
    fn code_wraps_with_the_address_space() {
        for wrap in [u64::MAX, 0xffff_ffff] {
            let memory = Memory::new(Vec::new(), &pieces(wrap - 1, &[1, 2, 3], wrap)).unwrap();
            let mut bytes = [0; 3];
            memory.load(wrap - 1, &mut bytes[..2]);
            memory.load(0, &mut bytes[2..]);
            assert_eq!(bytes, [1, 2, 3]);
            assert_eq!(memory.covered(0, 8192), 4096);
        }
    }

    #[test]
    fn equal_bytes_split_runs_and_touching_regions_do_not() {
        let device = Region { retry: Some(0), ..ram(0x104, &[0; 4]) };
        let mut memory = Memory::new(vec![ram(0x100, &[0; 4]), device], &[]).unwrap();
        memory.write(0x101, &[1, 0, 1, 1, 1]);
        assert_eq!(memory.changes(), [run(0x101, &[1]), run(0x103, &[1, 1, 1])]);
        memory.write(0x101, &[0; 5]);
        assert_eq!(memory.changes(), []);
        memory.grant(0x100, 4, true).unwrap().store(&[9; 4]);
        assert_eq!(memory.changes(), [run(0x100, &[9; 4])]);
        assert!(memory.grant(0x102, 4, true).is_none() && memory.grant(0x104, 4, true).is_none());
    }

    #[test]
    fn what_cannot_be_laid_out_is_said() {
        let new = |regions| Memory::new(regions, &[]).unwrap_err();
        assert!(new(vec![ram(0x10, &[0; 4]), ram(0x13, &[0; 4])]).contains("0x10 and 0x13 overlap"));
        assert!(new(vec![ram(u64::MAX, &[0; 2])]).contains("past the end"));
        let zero = |at, len| Region { at, len, bytes: Vec::new(), retry: None };
        assert!(new(vec![zero(0, LARGEST), zero(LARGEST, 1)]).contains("at most"));
        assert!(Memory::new(vec![zero(u64::MAX, 1)], &[(u64::MAX, &[1])]).is_ok());
    }

    #[test]
    fn a_device_answers_after_its_retries() {
        let device = Region { retry: Some(2), ..ram(0x104, &[0; 4]) };
        let mut memory = Memory::new(vec![ram(0x100, &[0; 4]), device], &[]).unwrap();
        assert!(memory.answers(0x100, 4));
        assert!(!memory.answers(0x102, 4) && !memory.answers(0x104, 1) && memory.answers(0x104, 1));
    }
}
