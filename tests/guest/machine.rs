//! A machine for the guest `transfers`: 1 MiB of RAM with the firmware at its end, a port for the log, a port for the end.

use encore86::cpu::registers::{cr0, efer};
use encore86::cpu::segment::{DescriptorTable, Segment};
use encore86::host::HostRam;
use encore86::paging::{Limits, Paging};
use encore86::{Access, Bus, Cpu, Engine, Outcome, Platform, Profile, Retired, Stop};
use encore86_asm::transfers::{EXIT, LOG, ROM};
use std::collections::BTreeMap;
use std::mem::take;
use std::ptr::NonNull;

const RAM: usize = 0x10_0000;
/// More instructions than the cases need: an image that has not ended by then has gone astray.
const PATIENCE: u64 = 50_000_000;
/// What ends the run.
const DONE: u64 = 1;

struct Memory(Box<[u64]>);

pub struct Machine {
    ram: Memory,
    pub log: String,
    msrs: BTreeMap<u32, u64>,
}

impl Machine {
    fn new(image: &[u8]) -> Machine {
        let mut machine = Machine { ram: Memory(vec![0; RAM / 8].into()), log: String::new(), msrs: BTreeMap::new() };
        let access = Access::write(8, 0);
        for (i, part) in image.chunks(8).enumerate() {
            let done = machine.write(ROM + 8 * i as u64, part, &access);
            done.expect("the firmware fits");
        }
        machine
    }

    fn view(&mut self, at: u64, len: usize) -> Option<HostRam<'_>> {
        let inside = at.checked_add(len as u64).is_some_and(|end| end <= RAM as u64);
        let bytes = NonNull::new(self.ram.0.as_mut_ptr().cast::<u8>())?;
        // SAFETY: `len` bytes at `at` lie in the box, which nothing else borrows.
        inside.then(|| unsafe { HostRam::new(bytes.add(at as usize), len) })
    }
}

impl Bus for Machine {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        let len = (4096 - at % 4096).min(15) as usize;
        self.read(at, &mut buf[..len], access).map(|()| len)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        match self.view(at, buf.len()) {
            Some(ram) => ram.load(buf),
            None => buf.fill(0xff),
        }
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        if let Some(ram) = self.view(at, buf.len()) {
            ram.store(buf);
        }
        Ok(())
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }

    fn ram(&mut self, at: u64, len: usize, _: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        Ok(self.view(at, len))
    }
}

impl Platform for Machine {
    fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Stop> {
        match port {
            LOG => self.log.push(char::from(data[0])),
            EXIT => return Err(Stop::Caller(DONE)),
            _ => {}
        }
        Ok(())
    }

    fn port_in(&mut self, _: u16, buf: &mut [u8]) -> Result<(), Stop> {
        buf.fill(0xff);
        Ok(())
    }

    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        Ok(self.msrs.get(&index).copied().unwrap_or(0))
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        self.msrs.insert(index, value);
        Ok(())
    }

    fn invalidate(&mut self, _: encore86::bus::Invalidation) -> Result<(), Stop> {
        Ok(())
    }
}

/// A processor at reset, but that its code segment is already where the firmware is mirrored.
fn at_reset() -> Cpu {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        let data = Segment { selector: 0, attr: 0x93, limit: 0xffff, base: 0 };
        s.seg = [data; 6];
        s.seg[1] = Segment { selector: 0xf000, attr: 0x9b, limit: 0xffff, base: ROM };
        s.ldtr = Segment { selector: 0, attr: 0x82, limit: 0xffff, base: 0 };
        s.tr = Segment { selector: 0, attr: 0x8b, limit: 0xffff, base: 0 };
        s.gdtr = DescriptorTable { base: 0, limit: 0xffff };
        s.idtr = s.gdtr;
        (s.cr0, s.cr4, s.efer) = (cr0::ET | cr0::NW | cr0::CD, 0, 0);
    });
    cpu.rip = 0xfff0;
    assert_eq!(cpu.system().efer & efer::LMA, 0);
    cpu
}

/// Runs an image to its end; gives the log.
///
/// # Errors
/// The log so far, and what the engine could not do.
pub fn run(image: &[u8], profile: &Profile) -> Result<String, (String, String)> {
    let mut cpu = at_reset();
    let mut bus = Paging::new(Machine::new(image), Limits::new(profile));
    let mut engine = Engine::integer_only(profile.clone());
    for _ in 0..PATIENCE {
        if let Err(stop) = bus.load(&cpu) {
            return Err((take(&mut bus.inner().log), format!("{stop:?}")));
        }
        let mut outcome = engine.step(&mut cpu, &mut bus);
        // A delivery can end in a #DB that waited for it.
        for _ in 0..4 {
            let event = match outcome {
                Outcome::Exception(event) => event,
                Outcome::Completed(retired) => match retired.debug() {
                    Some(event) => {
                        cpu.update(|s| s.dr[6] |= retired.dr6());
                        event
                    }
                    None => break,
                },
                _ => break,
            };
            if bus.load(&cpu).is_err() {
                break;
            }
            outcome = engine.deliver(&mut cpu, &mut bus, event);
        }
        match outcome {
            Outcome::Completed(Retired { hlt: false, .. }) => {}
            Outcome::Stopped(DONE) => return Ok(take(&mut bus.inner().log)),
            outcome => {
                let at = (cpu.seg(encore86::cpu::segment::Seg::Cs).selector, cpu.rip);
                return Err((take(&mut bus.inner().log), format!("{outcome:?} at {at:x?}")));
            }
        }
    }
    Err((take(&mut bus.inner().log), format!("no end at {:x}", cpu.rip)))
}
