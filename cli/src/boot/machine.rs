//! The machine around the processor: RAM, the devices, and where they are.
//!
//! | guest-physical | port | what |
//! |---|---|---|
//! | 0 to the size of RAM | | RAM |
//! | 0xD0000000, 4 KiB | | device registers |
//! | 0xD00013F8, 8 bytes | 0x3F8 | serial port |
//! | 0xD00020F4, 4 bytes | 0xF4 | exit port |
//! | 0xE0000000, 3 MiB | | framebuffer |
//!
//! Its processor walks page tables if paging is on. An access that is not wholly in one of these places ends the boot.

use super::devices::{Device, Exit, Framebuffer, Registers, Serial};
use super::memory::Ram;
use encore86::host::HostRam;
use encore86::paging::Paging;
use encore86::{Access, Bus, Platform, Stop};
use encore86_asm::gallery;
use std::fmt;
use std::io;
use std::time::Instant;

/// RAM ends below the first device.
pub const RAM_LIMIT: u64 = gallery::REGISTERS;

/// A device's place in memory or among the ports.
struct Window {
    at: u64,
    size: u64,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Framebuffer,
    Registers,
    Serial,
    Exit,
}

const MEMORY: [Window; 4] = [
    Window { at: gallery::FRAMEBUFFER, size: gallery::FRAMEBUFFER_SIZE, unit: Unit::Framebuffer },
    Window { at: gallery::REGISTERS, size: Registers::SIZE, unit: Unit::Registers },
    Window { at: gallery::SERIAL, size: Serial::SIZE, unit: Unit::Serial },
    Window { at: gallery::EXIT, size: Exit::SIZE, unit: Unit::Exit },
];

const PORTS: [Window; 2] = [
    Window { at: 0x3f8, size: Serial::SIZE, unit: Unit::Serial },
    Window { at: 0xf4, size: Exit::SIZE, unit: Unit::Exit },
];

/// The window that holds all of `len` bytes at `at`, and the offset in it.
fn window(windows: &[Window], at: u64, len: usize) -> Option<(Unit, u64)> {
    let inside = |w: &&Window| at >= w.at && at - w.at < w.size && len as u64 <= w.size - (at - w.at);
    windows.iter().find(inside).map(|w| (w.unit, at - w.at))
}

/// What reached devices, through memory or through ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls of a device's `read` or `write`.
    pub accesses: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// An access to a place where there is nothing.
#[derive(Clone, Copy, Debug)]
pub struct Stray {
    does: Does,
    len: usize,
    at: u64,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Fetch,
    Read,
    Write,
    In,
    Out,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stray { does, len, at } = self;
        let (verb, port) = match does {
            Does::Fetch => return write!(f, "fetches an instruction at {at:#x}, where there is no RAM"),
            Does::Read => ("reads", ""),
            Does::Write => ("writes", ""),
            Does::In => ("reads", "port "),
            Does::Out => ("writes", "port "),
        };
        let (bytes, nothing) = match (len, port) {
            (1, "") => ("byte", "where there is neither RAM nor a device"),
            (1, _) => ("byte", "where there is no device"),
            (_, "") => ("bytes", "which are not all in RAM or in one device"),
            (..) => ("bytes", "which do not all belong to one device"),
        };
        write!(f, "{verb} {len} {bytes} at {port}{at:#x}, {nothing}")
    }
}

/// The code of [`Stop::Caller`] for a stray access; [`Machine::stray`] has the details.
const STRAY: u64 = 1;

/// RAM and devices; the engine's `Bus` and `Platform`.
#[derive(Debug)]
pub struct Machine {
    ram: Ram,
    /// The serial port.
    pub serial: Serial,
    /// The exit port.
    pub exit: Exit,
    /// The page of registers.
    pub registers: Registers,
    /// The framebuffer.
    pub framebuffer: Framebuffer,
    tally: Tally,
    stray: Option<Stray>,
    started: Instant,
}

impl Machine {
    /// A machine with `size` bytes of RAM, of which `image` lies at `load`.
    ///
    /// # Errors
    /// What the host says when it has no memory; `InvalidInput` when the image is not inside the RAM.
    pub fn new(size: u64, image: &[u8], load: u64) -> io::Result<Machine> {
        let mut ram = Ram::new(usize::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?)?;
        if !ram.store(load, image) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Machine {
            ram,
            serial: Serial::default(),
            exit: Exit::default(),
            registers: Registers::default(),
            framebuffer: Framebuffer::default(),
            tally: Tally::default(),
            stray: None,
            started: Instant::now(),
        })
    }

    /// The RAM.
    #[cfg(feature = "kvm")]
    pub fn guest_ram(&self) -> &Ram {
        &self.ram
    }

    /// What reached devices since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// The access that ended the last step, if one did.
    pub fn stray(&self) -> Option<Stray> {
        self.stray
    }

    /// The device that holds all of `len` bytes at `at`, by name.
    pub fn device_at(&mut self, at: u64, len: usize, port: bool) -> Option<&'static str> {
        let (unit, _) = window(if port { &PORTS } else { &MEMORY }, at, len)?;
        Some(self.device(unit).name())
    }

    fn device(&mut self, unit: Unit) -> &mut dyn Device {
        match unit {
            Unit::Framebuffer => &mut self.framebuffer,
            Unit::Registers => &mut self.registers,
            Unit::Serial => &mut self.serial,
            Unit::Exit => &mut self.exit,
        }
    }

    fn read_device(&mut self, windows: &[Window], at: u64, buf: &mut [u8]) -> Option<()> {
        let (unit, offset) = window(windows, at, buf.len())?;
        self.tally.accesses += 1;
        self.tally.bytes += buf.len() as u64;
        self.device(unit).read(offset, buf);
        Some(())
    }

    fn write_device(&mut self, windows: &[Window], at: u64, data: &[u8]) -> Option<()> {
        let (unit, offset) = window(windows, at, data.len())?;
        self.tally.accesses += 1;
        self.tally.bytes += data.len() as u64;
        self.device(unit).write(offset, data);
        Some(())
    }

    #[cold]
    fn strayed(&mut self, does: Does, at: u64, len: usize) -> Stop {
        self.stray = Some(Stray { does, len, at });
        Stop::Caller(STRAY)
    }
}

/// Up to 15 instruction bytes at a linear address, without a fetch: those that are in RAM.
pub fn code(memory: &mut Paging<Machine>, linear: u64) -> ([u8; 15], usize) {
    let mut bytes = [0; 15];
    let mut count = 0;
    while count < bytes.len() {
        let at = linear.wrapping_add(count as u64);
        let Some(at) = physical(memory, at) else { break };
        if !memory.inner().ram.load(at, &mut bytes[count..=count]) {
            break;
        }
        count += 1;
    }
    (bytes, count)
}

/// Where a linear address is, if it is anywhere.
pub fn physical(memory: &mut Paging<Machine>, linear: u64) -> Option<u64> {
    memory.look_up(linear).ok().map(|page| page.physical | linear & 0xfff)
}

impl Bus for Machine {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], _access: &Access) -> Result<usize, Stop> {
        let count = self.ram.size().saturating_sub(at).min(15) as usize;
        if count == 0 {
            return Err(self.strayed(Does::Fetch, at, 1));
        }
        self.ram.load(at, &mut buf[..count]);
        Ok(count)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], _access: &Access) -> Result<(), Stop> {
        if self.ram.load(at, buf) || self.read_device(&MEMORY, at, buf).is_some() {
            return Ok(());
        }
        Err(self.strayed(Does::Read, at, buf.len()))
    }

    fn write(&mut self, at: u64, buf: &[u8], _access: &Access) -> Result<(), Stop> {
        if self.ram.store(at, buf) || self.write_device(&MEMORY, at, buf).is_some() {
            return Ok(());
        }
        Err(self.strayed(Does::Write, at, buf.len()))
    }

    fn probe(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        if self.ram.grant(at, len).is_some() || window(&MEMORY, at, len).is_some() {
            return Ok(());
        }
        Err(self.strayed(if access.writes() { Does::Write } else { Does::Read }, at, len))
    }

    fn ram(&mut self, at: u64, len: usize, _access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        Ok(self.ram.grant(at, len))
    }

    fn takes_blocks(&mut self, at: u64, len: usize, _access: &Access) -> bool {
        self.ram.grant(at, len).is_some()
    }
}

impl Platform for Machine {
    fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        match self.read_device(&PORTS, port.into(), buf) {
            Some(()) => Ok(()),
            None => Err(self.strayed(Does::In, port.into(), buf.len())),
        }
    }

    fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Stop> {
        match self.write_device(&PORTS, port.into(), data) {
            Some(()) => Ok(()),
            None => Err(self.strayed(Does::Out, port.into(), data.len())),
        }
    }

    /// A counter of nanoseconds.
    fn time(&mut self) -> Result<u64, Stop> {
        Ok(self.started.elapsed().as_nanos() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encore86::AccessKind;

    fn machine() -> Machine {
        Machine::new(0x2000, &[0x90; 4], 0x1ffc).unwrap()
    }

    #[test]
    fn accesses_over_the_end_of_ram_or_a_device_are_stray() {
        let mut m = machine();
        let last = gallery::FRAMEBUFFER + gallery::FRAMEBUFFER_SIZE;
        for (at, len) in [(0x1ffd, 4), (0x2000, 1), (last - 2, 4), (last, 1), (gallery::EXIT, 8), (u64::MAX, 1)] {
            let mut buf = vec![0; len];
            let access = Access::read(len as u16, 0);
            assert_eq!(m.read(at, &mut buf, &access), Err(Stop::Caller(STRAY)), "read {len} at {at:#x}");
            let access = Access::write(len as u16, 0);
            assert_eq!(m.write(at, &buf, &access), Err(Stop::Caller(STRAY)), "write {len} at {at:#x}");
            assert_eq!(m.probe(at, len, &access), Err(Stop::Caller(STRAY)), "probe {len} at {at:#x}");
            assert!(m.ram(at, len, &access).unwrap().is_none(), "grant {len} at {at:#x}");
        }
        assert_eq!(m.take_tally(), Tally::default(), "no device was reached");
        assert_eq!(m.port_out(0x3ff, &[1, 2]), Err(Stop::Caller(STRAY)));
        assert_eq!(
            m.stray().map(|s| s.to_string()).as_deref(),
            Some("writes 2 bytes at port 0x3ff, which do not all belong to one device")
        );
    }

    #[test]
    fn the_framebuffer_has_no_host_address() {
        let mut m = machine();
        let access = Access::new(AccessKind::Rmw, 4, 0);
        assert!(m.ram(gallery::FRAMEBUFFER, 4, &access).unwrap().is_none());
        assert!(!m.takes_blocks(gallery::FRAMEBUFFER, 64, &access));
        assert!(m.takes_blocks(0x1000, 64, &access));
    }

    #[test]
    fn devices_answer_at_their_port_and_at_their_alias() {
        let mut m = machine();
        let access = Access::write(1, 0);
        m.port_out(0x3f8, b"a").unwrap();
        m.write(gallery::SERIAL, b"b", &access).unwrap();
        m.write(gallery::SERIAL + 1, b"c", &access).unwrap();
        assert_eq!(m.serial.sent(), b"ab", "only the first register transmits");
        let mut status = [0];
        m.port_in(0x3fd, &mut status).unwrap();
        assert_eq!(status, [0x60]);
        m.port_out(0xf5, &[1]).unwrap();
        assert_eq!(m.exit.code(), Some(0x100));
        m.write(gallery::EXIT, &7u32.to_le_bytes(), &access).unwrap();
        assert_eq!(m.exit.code(), Some(7));
        assert_eq!(m.take_tally(), Tally { accesses: 6, bytes: 9 });
    }

    #[test]
    fn a_fetch_at_the_end_of_ram_is_short() {
        let mut m = machine();
        let mut buf = [0; 15];
        let access = Access::new(AccessKind::Fetch, 1, 0);
        assert_eq!(m.fetch(0x1ffc, &mut buf, &access), Ok(4));
        assert_eq!(buf[..5], [0x90, 0x90, 0x90, 0x90, 0]);
        assert_eq!(m.fetch(0x2000, &mut buf, &access), Err(Stop::Caller(STRAY)));
        assert_eq!(m.fetch(gallery::FRAMEBUFFER, &mut buf, &access), Err(Stop::Caller(STRAY)));
    }
}
