//! The simplest bus that a monitor could have: an array behind callbacks.

use encore86::Stop;
use encore86::bus::{Access, Bus, Platform};
use encore86::host::HostRam;
use std::ptr::NonNull;

pub const SIZE: usize = 0x10000;

/// RAM and a device that look the same: `ram` decides whether blocks and host addresses are granted.
pub struct Machine {
    pub bytes: Box<[u8; SIZE]>,
    ram: bool,
}

impl Machine {
    pub fn new(ram: bool) -> Machine {
        Machine { bytes: Box::new([0; SIZE]), ram }
    }

    pub fn place(&mut self, at: u64, code: &[u8]) {
        self.bytes[at as usize..at as usize + code.len()].copy_from_slice(code);
    }
}

impl Bus for Machine {
    #[inline]
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        let at = linear as usize & (SIZE - 1);
        match self.bytes.get(at..at + 15) {
            Some(bytes) => buf.copy_from_slice(bytes),
            None => return Err(Stop::Caller(1)),
        }
        Ok(15)
    }

    #[inline]
    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        let at = linear as usize & (SIZE - 1);
        match self.bytes.get(at..at + buf.len()) {
            Some(bytes) => buf.copy_from_slice(bytes),
            None => return Err(Stop::Caller(1)),
        }
        Ok(())
    }

    #[inline]
    fn write(&mut self, linear: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        let at = linear as usize & (SIZE - 1);
        match self.bytes.get_mut(at..at + buf.len()) {
            Some(bytes) => bytes.copy_from_slice(buf),
            None => return Err(Stop::Caller(1)),
        }
        Ok(())
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }

    fn ram(&mut self, linear: u64, len: usize, _: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        let at = linear as usize & (SIZE - 1);
        if !self.ram || at + len > SIZE {
            return Ok(None);
        }
        let ptr = NonNull::from(&mut self.bytes[at]);
        // SAFETY: `len` bytes from `at` on lie within the array, which is borrowed for as long as the grant lives.
        Ok(Some(unsafe { HostRam::new(ptr, len) }))
    }

    fn takes_blocks(&mut self, _: u64, _: usize, _: &Access) -> bool {
        self.ram
    }
}

impl Platform for Machine {}
