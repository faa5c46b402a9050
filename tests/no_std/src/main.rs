//! Steps an engine without `std` and without an allocator: were either used, this would not link.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use core::ptr::NonNull;
use encore86::host::HostRam;
use encore86::isa::FeatureSet;
use encore86::{Access, Bus, Cpu, Engine, Mode, Outcome, Platform, Profile, Retired, Stop, Vendor, decode};

// Entry, memcpy and memset are the C library's; an allocator is asked for by nobody.
#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}

/// What the unwinder of a linked C library would ask for.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[repr(align(8))]
struct Ram {
    bytes: [u8; 256],
    granted: u32,
}

impl Ram {
    fn at(&mut self, at: u64, len: usize) -> Result<&mut [u8], Stop> {
        self.bytes.get_mut(at as usize..at as usize + len).ok_or(Stop::Caller(1))
    }
}

impl Bus for Ram {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        buf.copy_from_slice(self.at(linear, 15)?);
        Ok(15)
    }
    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        buf.copy_from_slice(self.at(linear, buf.len())?);
        Ok(())
    }
    fn write(&mut self, linear: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        self.at(linear, buf.len())?.copy_from_slice(buf);
        Ok(())
    }
    fn probe(&mut self, linear: u64, len: usize, _: &Access) -> Result<(), Stop> {
        self.at(linear, len).map(drop)
    }
    fn ram(&mut self, linear: u64, len: usize, _: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.granted += 1;
        let place = NonNull::from(self.at(linear, len)?).cast();
        // SAFETY: the range is borrowed with `self` for as long as the grant lives.
        Ok(Some(unsafe { HostRam::new(place, len) }))
    }
}

impl Platform for Ram {}

/// lock add [rbx], rcx; dec ecx; jnz to the first; hlt
const CODE: [u8; 9] = [0xf0, 0x48, 0x01, 0x0b, 0xff, 0xc9, 0x75, 0xf8, 0xf4];

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let profile = Profile::from_features(Vendor::Amd, FeatureSet::all());
    let Ok(insn) = decode(&CODE, Mode::Long64, &profile) else { return 1 };
    if insn.length() != 4 {
        return 2;
    }
    let (mut engine, mut cpu, mut ram) =
        (Engine::integer_only(profile), Cpu::new(), Ram { bytes: [0; 256], granted: 0 });
    ram.bytes[..CODE.len()].copy_from_slice(&CODE);
    (cpu.gpr[1], cpu.gpr[3]) = (10, 0x80);
    let run = engine.run(&mut cpu, &mut ram, 1000);
    match run.outcome {
        Outcome::Completed(Retired { hlt: true, .. })
            if ram.bytes[0x80] == 55 && ram.granted == 10 && run.completed == 31 =>
        {
            0
        }
        _ => 3,
    }
}
