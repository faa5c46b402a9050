//! The platform of a case: its memory, ports, model-specific registers, and a clock that repeats.

use super::layers::Layer;

use super::memory::Memory;
use encore86::bus::{CacheOp, Modify};
use encore86::host::HostRam;
use encore86::introspect::{Clock, Record, Recorded, What};
use encore86::{Access, AccessKind, Bus, Cpu, Event, Platform, Stop};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Bits of a page fault's error code.
mod error {
    pub const WRITE: u32 = 1 << 1;
    pub const USER: u32 = 1 << 2;
    pub const FETCH: u32 = 1 << 4;
    pub const SHADOW_STACK: u32 = 1 << 6;
}

/// What a case's processor finds around it, at physical addresses. Without paging, linear addresses are physical.
#[derive(Debug)]
pub struct Machine<'a> {
    pub memory: Memory,
    /// Page tables are walked: memory that is in no region reads all ones and drops writes, in place of a page fault.
    pub paging: bool,
    /// What the page walks did, numbered by `clock`.
    pub walks: Vec<Recorded>,
    pub clock: Clock,
    /// Values that port reads return; others read all ones.
    pub ports: BTreeMap<u16, u32>,
    /// Model-specific registers that exist, without those that `Cpu` keeps.
    pub msr: BTreeMap<u32, u64>,
    /// Do page faults tell fetches from reads (EFER.NXE with CR4.PAE, or CR4.SMEP)?
    pub fetch_bit: &'a Cell<bool>,
    /// State of the generator of time and random numbers.
    pub seed: u64,
    pub time: u64,
}

impl Machine<'_> {
    /// The fault of the lowest byte that no region covers.
    fn check(&self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        let covered = self.memory.covered(linear, len);
        if covered == len || self.paging {
            return Ok(());
        }
        let mut code = 0;
        let mut set = |condition, bit| code |= if condition { bit } else { 0 };
        set(access.writes(), error::WRITE);
        set(access.cpl == 3 && !access.implicit, error::USER);
        set(access.kind == AccessKind::Fetch && self.fetch_bit.get(), error::FETCH);
        set(access.shadow_stack, error::SHADOW_STACK);
        let cr2 = linear.wrapping_add(covered as u64);
        Err(Event::pf(code, cr2, "no region of the case covers the address").into())
    }

    fn ready(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.check(linear, len, access)?;
        if self.memory.answers(linear, len) { Ok(()) } else { Err(Stop::Retry) }
    }

    fn load(&self, at: u64, buf: &mut [u8]) {
        if self.paging { self.memory.load_or_ones(at, buf) } else { self.memory.load(at, buf) }
    }

    fn store(&mut self, at: u64, buf: &[u8]) {
        if self.paging { self.memory.write_or_drop(at, buf) } else { self.memory.write(at, buf) }
    }

    /// Lists an access of a page walk, of which there is an end too.
    fn walked(&mut self, at: u64, what: What, access: &Access) -> Result<(), Stop> {
        if self.walks.len() >= Record::<()>::LIMIT {
            return Err(Stop::Caller(Record::<()>::FULL));
        }
        let Access { locked, implicit, walk, .. } = *access;
        self.walks.push(Recorded { at, what, locked, implicit, walk, order: self.clock.tick() });
        Ok(())
    }

    /// The next of a sequence that the seed decides (splitmix64).
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.seed ^ self.seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

impl Bus for Machine<'_> {
    /// Ends with the page, and where RAM gives way to a device, so that no device sees a fetch of bytes that are not
    /// needed.
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        let page = (4096 - linear % 4096).min(buf.len() as u64) as usize;
        let n = match self.memory.ram_from(linear, page) {
            0 => self.memory.covered(linear, page).max(1),
            n => n,
        };
        self.ready(linear, n, access)?;
        self.load(linear, &mut buf[..n]);
        Ok(n)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.ready(linear, buf.len(), access)?;
        self.load(linear, buf);
        if access.walk {
            self.walked(linear, What::Read(buf.to_vec()), access)?;
        }
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.ready(linear, buf.len(), access)?;
        self.store(linear, buf);
        Ok(())
    }

    /// Only page walks have their accessed and dirty bits set so: they are listed here, where both values are known.
    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        if !access.walk {
            return Ok(false);
        }
        self.ready(linear, old.len(), access)?;
        self.load(linear, old);
        let mut new = old.to_vec();
        modify(old, &mut new);
        self.store(linear, &new);
        self.walked(linear, What::Rmw { old: old.to_vec(), new }, access)?;
        Ok(true)
    }

    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.check(linear, len, access)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.check(linear, len, access)?;
        if access.walk {
            return Ok(None);
        }
        Ok(self.memory.grant(linear, len, access.writes()))
    }

    fn takes_blocks(&mut self, linear: u64, len: usize, _access: &Access) -> bool {
        self.memory.ram_from(linear, len) == len
    }
}

impl Layer for Machine<'_> {
    fn prepare(&mut self, _cpu: &Cpu) -> Result<(), Stop> {
        Ok(())
    }
}

impl Platform for Machine<'_> {
    fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        let value = self.ports.get(&port).copied().unwrap_or(u32::MAX).to_le_bytes();
        buf.iter_mut().zip(value).for_each(|(to, from)| *to = from);
        Ok(())
    }

    fn port_out(&mut self, _port: u16, _data: &[u8]) -> Result<(), Stop> {
        Ok(())
    }

    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        let value = self.msr.get(&index).copied();
        value.ok_or(Stop::Fault(Event::gp0("the case has no such model-specific register")))
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        match self.msr.get_mut(&index) {
            Some(register) => *register = value,
            None => return Err(Event::gp0("the case has no such model-specific register").into()),
        }
        Ok(())
    }

    fn time(&mut self) -> Result<u64, Stop> {
        self.time = self.time.wrapping_add(1 + self.next() % 1024);
        Ok(self.time)
    }

    fn random(&mut self) -> Result<Option<u64>, Stop> {
        Ok(Some(self.next()))
    }

    fn cache(&mut self, _op: CacheOp, _linear: u64) -> Result<(), Stop> {
        Ok(())
    }
}
