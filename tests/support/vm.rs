//! A monitor for tests: memory that may be a device, a log of what was performed, and answers that go wrong on demand.

use encore86::bus::Modify;
use encore86::{Access, AccessKind, Bus, Event, Platform, Stop};
use std::collections::{HashMap, HashSet};

/// An access that was performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Read(u64, Vec<u8>),
    Write(u64, Vec<u8>),
    /// Address, old, new.
    Rmw(u64, Vec<u8>, Vec<u8>),
    In(u16, Vec<u8>),
    Out(u16, Vec<u8>),
}

/// What is asked of the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    Fetch,
    Read,
    Write,
    Probe,
    Rmw,
    Ram,
    In,
    Out,
    Other,
}

/// Which answers are spoilt.
#[derive(Clone, Debug, Default)]
pub enum Spoil {
    #[default]
    Nothing,
    /// The call with this number, from 1.
    Nth(usize, Stop),
    /// Every access answers `Retry` when it is asked for the first time.
    EachOnce,
}

/// The monitor. Memory that nobody wrote holds [`background`] bytes.
#[derive(Clone, Debug, Default)]
pub struct Vm {
    pub memory: HashMap<u64, u8>,
    /// How often each byte was read: a device's registers change with each read.
    pub reads: HashMap<u64, u8>,
    /// Instruction bytes, apart from data so that the log holds data accesses only.
    pub code: HashMap<u64, u8>,
    pub log: Vec<Done>,
    /// Calls so far, spoilt ones too.
    pub calls: usize,
    pub spoil: Spoil,
    pub asked: HashSet<(Ask, u64, usize, usize)>,
    /// Greatest width that memory takes at once.
    pub width: Option<u8>,
    /// Do reads change what the next read of the byte gives?
    pub fifo: bool,
    /// Does `rmw` work?
    pub atomic: bool,
    /// Are blocks of elements taken?
    pub blocks: bool,
    /// Is an interrupt always pending?
    pub interrupt: bool,
    /// Are there no random numbers?
    pub dry: bool,
    /// Page numbers that are not there, and that can't be written.
    pub absent: Vec<u64>,
    pub readonly: Vec<u64>,
    /// Bytes that one fetch gives at most.
    pub fetch_limit: Option<usize>,
    /// What the platform was told.
    pub told: Vec<String>,
    /// Every access, as it was described.
    pub accesses: Vec<(u64, usize, Access)>,
}

/// The byte at an address that nobody wrote: high, so that divisions by it do not overflow.
pub fn background(at: u64) -> u8 {
    0x80 | (at as u8).wrapping_mul(7) >> 1
}

impl Vm {
    pub fn with_code(at: u64, bytes: &[u8]) -> Vm {
        let mut vm = Vm::default();
        vm.put_code(at, bytes);
        vm
    }

    pub fn put_code(&mut self, at: u64, bytes: &[u8]) {
        for (i, &b) in bytes.iter().enumerate() {
            self.code.insert(at.wrapping_add(i as u64), b);
        }
    }

    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        for (i, &b) in bytes.iter().enumerate() {
            self.memory.insert(at.wrapping_add(i as u64), b);
        }
    }

    pub fn byte(&self, at: u64) -> u8 {
        self.memory.get(&at).copied().unwrap_or_else(|| background(at))
    }

    pub fn get(&self, at: u64, len: usize) -> Vec<u8> {
        (0..len as u64).map(|i| self.byte(at.wrapping_add(i))).collect()
    }

    /// All bytes that were written, in order.
    pub fn written(&self) -> Vec<(u64, u8)> {
        let mut all: Vec<_> = self.memory.iter().map(|(&a, &b)| (a, b)).collect();
        all.sort_unstable();
        all
    }

    fn ask(&mut self, ask: Ask, at: u64, len: usize) -> Result<(), Stop> {
        self.calls += 1;
        match self.spoil {
            Spoil::Nth(n, stop) if n == self.calls => Err(stop),
            Spoil::EachOnce if self.asked.insert((ask, at, len, self.log.len())) => Err(Stop::Retry),
            _ => Ok(()),
        }
    }

    fn page(&self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        assert!(at % 4096 + len as u64 <= 4096, "an access of {len} bytes at {at:#x} crosses a page");
        let page = at / 4096;
        let write = access.writes();
        let user = u32::from(access.cpl == 3) << 2;
        if self.absent.contains(&page) {
            return Err(Event::pf(user | u32::from(write) << 1, at, "no such page").into());
        }
        if write && self.readonly.contains(&page) {
            return Err(Event::pf(user | 3, at, "a page that can't be written").into());
        }
        Ok(())
    }

    fn narrow(&self, len: usize, access: &Access) -> Result<(), Stop> {
        let block = usize::from(access.element) < len;
        match self.width {
            Some(width) if len > usize::from(width) && !(block && self.blocks) => Err(Stop::TooWide(width)),
            _ => Ok(()),
        }
    }

    fn take(&mut self, at: u64) -> u8 {
        let value = self.byte(at);
        if !self.fifo {
            return value;
        }
        let count = self.reads.entry(at).or_default();
        *count = count.wrapping_add(1);
        value ^ (*count - 1) & 0x7f
    }
}

impl Bus for Vm {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.ask(Ask::Fetch, linear, 15)?;
        self.page(linear, 1, access)?;
        let room = (4096 - linear % 4096).min(self.fetch_limit.unwrap_or(15) as u64).min(15) as usize;
        for (i, byte) in buf[..room].iter_mut().enumerate() {
            *byte = self.code.get(&(linear + i as u64)).copied().unwrap_or(0);
        }
        Ok(room)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.ask(Ask::Read, linear, buf.len())?;
        self.page(linear, buf.len(), access)?;
        self.narrow(buf.len(), access)?;
        self.accesses.push((linear, buf.len(), *access));
        for (i, byte) in buf.iter_mut().enumerate() {
            *byte = self.take(linear + i as u64);
        }
        self.log.push(Done::Read(linear, buf.to_vec()));
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.ask(Ask::Write, linear, buf.len())?;
        self.page(linear, buf.len(), access)?;
        self.narrow(buf.len(), access)?;
        self.accesses.push((linear, buf.len(), *access));
        self.put(linear, buf);
        self.log.push(Done::Write(linear, buf.to_vec()));
        Ok(())
    }

    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.ask(Ask::Probe, linear, len)?;
        self.page(linear, len, access)
    }

    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        assert_eq!(access.kind, AccessKind::Rmw);
        self.ask(Ask::Rmw, linear, old.len())?;
        if !self.atomic {
            return Ok(false);
        }
        self.page(linear, old.len(), access)?;
        self.narrow(old.len(), access)?;
        self.accesses.push((linear, old.len(), *access));
        for (i, byte) in old.iter_mut().enumerate() {
            *byte = self.take(linear + i as u64);
        }
        let mut new = [0; 16];
        modify(old, &mut new[..old.len()]);
        self.put(linear, &new[..old.len()]);
        self.log.push(Done::Rmw(linear, old.to_vec(), new[..old.len()].to_vec()));
        Ok(true)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<encore86::host::HostRam<'_>>, Stop> {
        self.ask(Ask::Ram, linear, len)?;
        self.page(linear, len, access)?;
        Ok(None)
    }

    /// Takes every command.
    fn enqueue(&mut self, linear: u64, command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        self.ask(Ask::Write, linear, 64)?;
        self.page(linear, 64, access)?;
        self.accesses.push((linear, 64, *access));
        self.put(linear, command);
        self.log.push(Done::Write(linear, command.to_vec()));
        Ok(true)
    }

    /// As `take`, but nobody notices.
    fn peek(&mut self, linear: u64, buf: &mut [u8]) -> bool {
        for (i, byte) in buf.iter_mut().enumerate() {
            let at = linear.wrapping_add(i as u64);
            let reads = if self.fifo { self.reads.get(&at).copied().unwrap_or(0) } else { 0 };
            *byte = self.byte(at) ^ reads & 0x7f;
        }
        true
    }

    fn takes_blocks(&mut self, _: u64, _: usize, _: &Access) -> bool {
        self.blocks
    }
}

impl Platform for Vm {
    fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        self.ask(Ask::In, u64::from(port), buf.len())?;
        let n = self.log.len() as u8;
        for (i, byte) in buf.iter_mut().enumerate() {
            *byte = 0x50 + n + i as u8;
        }
        self.log.push(Done::In(port, buf.to_vec()));
        Ok(())
    }

    fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Stop> {
        self.ask(Ask::Out, u64::from(port), data.len())?;
        self.log.push(Done::Out(port, data.to_vec()));
        Ok(())
    }

    fn cpuid(&mut self, _: u32, _: u32, answer: encore86::CpuidResult) -> Result<encore86::CpuidResult, Stop> {
        self.ask(Ask::Other, 0, 0)?;
        Ok(answer)
    }

    fn time(&mut self) -> Result<u64, Stop> {
        self.ask(Ask::Other, 1, 0)?;
        Ok(0x1122_3344_5566_7788)
    }

    fn random(&mut self) -> Result<Option<u64>, Stop> {
        self.ask(Ask::Other, 2, 0)?;
        Ok((!self.dry).then_some(0x1122_3344_5566_7788))
    }

    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        self.ask(Ask::Other, 3, 0)?;
        match index {
            // PASID: valid.
            0xd93 => Ok(0x8000_0042),
            0xc000_0103 => Ok(0xffff_0000_0000_0005),
            // CET: shadow stacks at CPL 3 alone.
            0x6a0 => Ok(1),
            0x6a2 => Ok(0),
            // System calls.
            0xc000_0081 => Ok(0x0023_0010_0000_1000),
            0xc000_0082 | 0xc000_0083 | 0x175 | 0x176 => Ok(0x4000),
            0xc000_0084 => Ok(0x200),
            0x174 => Ok(0x10),
            _ => Ok(0x0807_0605_0403_0201),
        }
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        self.ask(Ask::Other, 4, 0)?;
        self.told.push(format!("msr {index:#x} = {value:#x}"));
        Ok(())
    }

    fn read_counter(&mut self, index: u32) -> Result<u64, Stop> {
        self.ask(Ask::Other, 5, 0)?;
        Ok(0x1_0000_0000 | u64::from(index))
    }

    fn invalidate(&mut self, what: encore86::bus::Invalidation) -> Result<(), Stop> {
        self.ask(Ask::Other, 6, 0)?;
        self.told.push(format!("{what:?}"));
        Ok(())
    }

    fn cache(&mut self, _: encore86::bus::CacheOp, linear: u64) -> Result<(), Stop> {
        self.ask(Ask::Other, linear, 0)
    }

    fn interrupt_pending(&mut self) -> bool {
        self.interrupt
    }
}
