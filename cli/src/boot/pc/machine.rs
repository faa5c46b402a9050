//! A PC without a bus for cards: RAM from 0 on, and behind ports what a kernel cannot do without.
//!
//! | port | what | interrupt |
//! |---|---|---|
//! | 0x20, 0x21, 0xA0, 0xA1 | 8259A interrupt controllers | |
//! | 0x40 to 0x43, 0x61 | 8254 timer | 0 |
//! | 0x60, 0x64 | i8042 keyboard controller | |
//! | 0x70, 0x71 | clock and its memory | |
//! | 0x3F8 to 0x3FF | 16550 serial port | 4 |
//!
//! Elsewhere nobody answers: reads give all ones, writes are lost.

use super::clock::Clock;
use super::cmos::Cmos;
use super::keyboard::Keyboard;
use super::msr::{self, Msrs};
use super::pic::Pic;
use super::pit::Pit;
use super::serial::Serial;
use crate::boot::memory::Ram;
use encore86::bus::CacheOp;
use encore86::cpu::registers::rflags;
use encore86::host::{CodePage, HostRam};
use encore86::{Access, Bus, Cpu, CpuidResult, Platform, Stop};
use std::io;

/// Interrupt inputs.
const TIMER: u8 = 0;
const SERIAL: u8 = 4;

/// The serial port's first register.
const COM1: u16 = 0x3f8;

/// 2026-01-01: what the clock shows first where a boot is to repeat exactly.
const COUNTED_START: u64 = 20_454 * 86_400;

/// RAM and devices.
#[derive(Debug)]
pub struct Pc {
    /// The RAM.
    pub ram: Ram,
    /// The guest's time.
    pub clock: Clock,
    /// The interrupt controllers.
    pub pic: Pic,
    /// The serial port.
    pub serial: Serial,
    pit: Pit,
    cmos: Cmos,
    keyboard: Keyboard,
    msrs: Msrs,
    random: Random,
    /// RFLAGS.IF.
    interruptible: bool,
}

/// Where RDRAND's numbers come from.
#[derive(Debug)]
enum Random {
    Host,
    /// A SplitMix64 sequence, the same in each boot.
    Sequence(u64),
}

impl Pc {
    /// A machine with `size` bytes of RAM.
    ///
    /// # Errors
    /// What the host says when it has no memory.
    pub fn new(size: u64, clock: Clock) -> io::Result<Pc> {
        let ram = Ram::new(usize::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?)?;
        let counted = clock.is_counted();
        let since_1970 = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
        Ok(Pc {
            ram,
            clock,
            pic: Pic::default(),
            serial: Serial::default(),
            pit: Pit::default(),
            cmos: Cmos::new(if counted { COUNTED_START } else { since_1970 }),
            keyboard: Keyboard::default(),
            msrs: Msrs::default(),
            random: if counted { Random::Sequence(0) } else { Random::Host },
            interruptible: false,
        })
    }

    /// Lets the devices know the time: interrupts that have come up meanwhile are raised.
    pub fn tick(&mut self) {
        let now = self.clock.now();
        if self.pit.has_risen(now) {
            self.pic.raise(TIMER);
        }
        self.poll();
    }

    /// When a device will have something to do.
    pub fn deadline(&self) -> Option<u64> {
        self.pit.next()
    }

    /// Has the guest asked for a reset?
    pub fn is_reset(&self) -> bool {
        self.keyboard.is_reset()
    }

    /// Input for the serial port.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.serial.receive(bytes);
        self.poll();
    }

    fn poll(&mut self) {
        if self.serial.has_risen() {
            self.pic.raise(SERIAL);
        }
    }

    /// The name of the device at a port.
    pub fn device_at(port: u16) -> &'static str {
        match port {
            0x20 | 0x21 | 0xa0 | 0xa1 => "8259",
            0x40..=0x43 | 0x61 => "8254",
            0x60 | 0x64 => "i8042",
            0x70 | 0x71 => "cmos",
            COM1..=0x3ff => "serial",
            _ => "nothing",
        }
    }

    fn read_port(&mut self, port: u16) -> u8 {
        match port {
            0x20 | 0x21 | 0xa0 | 0xa1 => self.pic.read(port),
            0x40..=0x43 => self.pit.read(port, self.clock.now()),
            0x61 => self.pit.read_speaker(self.clock.now()),
            0x60 | 0x64 => self.keyboard.read(port),
            0x70 | 0x71 => self.cmos.read(port, self.clock.now()),
            COM1..=0x3ff => self.serial.read((port - COM1) as u8),
            _ => 0xff,
        }
    }

    fn write_port(&mut self, port: u16, value: u8) {
        match port {
            0x20 | 0x21 | 0xa0 | 0xa1 => self.pic.write(port, value),
            0x40..=0x43 => self.pit.write(port, value, self.clock.now()),
            0x61 => self.pit.write_speaker(value, self.clock.now()),
            0x60 | 0x64 => self.keyboard.write(port, value),
            0x70 | 0x71 => self.cmos.write(port, value),
            COM1..=0x3ff => self.serial.write((port - COM1) as u8, value),
            _ => {}
        }
    }
}

impl Bus for Pc {
    #[inline]
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], _access: &Access) -> Result<usize, Stop> {
        if self.ram.load(at, buf) {
            return Ok(15);
        }
        let count = self.ram.size().saturating_sub(at).min(15) as usize;
        self.ram.load(at, &mut buf[..count]);
        buf[count..].fill(0xff);
        Ok(15)
    }

    #[inline]
    fn read(&mut self, at: u64, buf: &mut [u8], _access: &Access) -> Result<(), Stop> {
        if !self.ram.load(at, buf) {
            buf.fill(0xff);
        }
        Ok(())
    }

    #[inline]
    fn write(&mut self, at: u64, buf: &[u8], _access: &Access) -> Result<(), Stop> {
        self.ram.store(at, buf);
        Ok(())
    }

    fn probe(&mut self, _at: u64, _len: usize, _access: &Access) -> Result<(), Stop> {
        Ok(())
    }

    #[inline]
    fn ram(&mut self, at: u64, len: usize, _access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        Ok(self.ram.grant(at, len))
    }

    #[inline]
    fn takes_blocks(&mut self, at: u64, len: usize, _access: &Access) -> bool {
        self.ram.grant(at, len).is_some()
    }

    #[inline]
    fn code(&mut self, at: u64, _access: &Access) -> Result<Option<CodePage>, Stop> {
        Ok(self.ram.code(at))
    }

    fn follow(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        self.interruptible = cpu.rflags() & rflags::IF != 0;
        Ok(())
    }
}

impl Platform for Pc {
    fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        for (i, byte) in buf.iter_mut().enumerate() {
            *byte = self.read_port(port.wrapping_add(i as u16));
        }
        self.poll();
        Ok(())
    }

    fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Stop> {
        for (i, &byte) in data.iter().enumerate() {
            self.write_port(port.wrapping_add(i as u16), byte);
        }
        self.poll();
        Ok(())
    }

    /// There is one processor, and no hypervisor to be spoken to.
    fn cpuid(&mut self, leaf: u32, _subleaf: u32, mut answer: CpuidResult) -> Result<CpuidResult, Stop> {
        const HYPERVISOR: u32 = 1 << 31;
        match leaf {
            1 => {
                answer.ebx = answer.ebx & 0xff00 | 1 << 16;
                answer.ecx &= !HYPERVISOR;
            }
            0xb | 0x1f => answer = CpuidResult::default(),
            0x4000_0000..=0x4fff_ffff => answer = CpuidResult::default(),
            0x8000_0008 => answer.ecx = 0,
            _ => {}
        }
        Ok(answer)
    }

    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        if index == msr::TSC {
            return self.time();
        }
        Ok(self.msrs.read(index)?)
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        Ok(self.msrs.write(index, value)?)
    }

    /// A counter of nanoseconds.
    fn time(&mut self) -> Result<u64, Stop> {
        Ok(self.clock.now())
    }

    fn random(&mut self) -> Result<Option<u64>, Stop> {
        match &mut self.random {
            Random::Sequence(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                Ok(Some(mixed ^ mixed >> 31))
            }
            Random::Host => {
                let mut bytes = [0; 8];
                let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
                Ok((drawn == Ok(8)).then_some(u64::from_ne_bytes(bytes)))
            }
        }
    }

    /// There are no caches.
    fn cache(&mut self, _op: CacheOp, _linear: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn progress(&mut self, completed: u64) {
        self.clock.progress(completed);
    }

    #[inline]
    fn interrupt_pending(&mut self) -> bool {
        self.interruptible && self.pic.is_pending()
    }
}
