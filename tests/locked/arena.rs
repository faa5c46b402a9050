//! Memory that engines and native threads share, at the same addresses for both, and a guest on it.

use encore86::host::HostRam;
use encore86::{Access, Bus, Cpu, Engine, Event, Outcome, Platform, Profile, Stop};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Where a guest function returns to.
pub const END: u64 = 0x7ead_0000;
/// Where single instructions stand.
pub const CODE: u64 = 0x10_0000;

/// Zeroed memory that starts at a page. It is reached by raw pointers only.
pub struct Arena {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: all accesses are volatile, atomic or assembly.
unsafe impl Send for Arena {}
// SAFETY: the same.
unsafe impl Sync for Arena {}

impl Arena {
    pub fn new(len: usize) -> Arena {
        let layout = Layout::from_size_align(len, 4096).expect("a layout");
        // SAFETY: the length is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        Arena { start, layout }
    }

    /// The address of a byte, for guest and host.
    pub fn at(&self, offset: usize) -> u64 {
        assert!(offset < self.layout.size());
        self.start.as_ptr() as u64 + offset as u64
    }

    /// Where `len` bytes at an address are.
    fn place(&self, at: u64, len: usize) -> Result<NonNull<u8>, Stop> {
        let offset = at.wrapping_sub(self.start.as_ptr() as u64);
        if offset.checked_add(len as u64).is_none_or(|end| end > self.layout.size() as u64) {
            return Err(Event::pf(0, at, "outside the arena").into());
        }
        // SAFETY: the bytes lie within the allocation.
        Ok(unsafe { self.start.add(offset as usize) })
    }

    /// The bytes at an offset, read when no thread runs.
    pub fn get(&self, offset: usize, len: usize) -> Vec<u8> {
        let place = self.place(self.at(offset), len).expect("inside");
        // SAFETY: no thread runs, and the bytes lie within the allocation.
        (0..len).map(|i| unsafe { place.add(i).as_ptr().read_volatile() }).collect()
    }

    pub fn put(&self, offset: usize, bytes: &[u8]) {
        let place = self.place(self.at(offset), bytes.len()).expect("inside");
        for (i, &byte) in bytes.iter().enumerate() {
            // SAFETY: as in `get`.
            unsafe { place.add(i).as_ptr().write_volatile(byte) };
        }
    }

    pub fn word(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.get(offset, 8).try_into().expect("8 bytes"))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; borrows of the arena have ended.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// The machine around one virtual processor: the arena, and instruction bytes that are its own.
pub struct Machine<'a> {
    arena: &'a Arena,
    code: Vec<u8>,
    code_at: u64,
    /// Are host addresses granted?
    pub grants: bool,
    /// How often a grant across a page was asked for.
    pub crossed: u64,
    /// `Platform::stop_others` calls this with true, `resume_others` with false.
    pub stop: Option<&'a (dyn Fn(bool) + Sync)>,
}

impl Bus for Machine<'_> {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        let skipped = linear.wrapping_sub(self.code_at) as usize;
        let rest = self.code.get(skipped..).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or(Event::pf(0x14, linear, "no code"))?;
        let count = rest.len().min(15);
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        let place = self.arena.place(linear, buf.len())?;
        // SAFETY: the range lies in the arena, which nobody reaches by a reference.
        unsafe { HostRam::new(place, buf.len()) }.load(buf);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        let place = self.arena.place(linear, buf.len())?;
        // SAFETY: the same.
        unsafe { HostRam::new(place, buf.len()) }.store(buf);
        Ok(())
    }

    fn probe(&mut self, linear: u64, len: usize, _: &Access) -> Result<(), Stop> {
        self.arena.place(linear, len).map(drop)
    }

    fn ram(&mut self, linear: u64, len: usize, _: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if !self.grants {
            return Ok(None);
        }
        let place = self.arena.place(linear, len)?;
        // SAFETY: the same; the arena outlives the machine.
        Ok(Some(unsafe { HostRam::new(place, len) }))
    }

    /// The arena is one mapping.
    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.crossed += 1;
        self.ram(linear, len, access)
    }
}

impl Platform for Machine<'_> {
    fn stop_others(&mut self) -> Result<(), Stop> {
        let stop = self.stop.ok_or(Stop::NotProvided("stopping"))?;
        stop(true);
        Ok(())
    }

    fn resume_others(&mut self) {
        if let Some(stop) = self.stop {
            stop(false);
        }
    }
}

/// A virtual processor.
pub struct Guest<'a> {
    pub engine: Engine,
    pub cpu: Cpu,
    pub machine: Machine<'a>,
}

impl<'a> Guest<'a> {
    /// One whose profile has everything, APX too.
    pub fn new(arena: &'a Arena) -> Guest<'a> {
        let mut cpu = Cpu::new();
        cpu.update(|system| system.xcr0 |= 1 << 19);
        let engine = Engine::new(Profile::all()).expect("executable memory for stubs");
        let machine = Machine { arena, code: Vec::new(), code_at: CODE, grants: true, crossed: 0, stop: None };
        Guest { engine, cpu, machine }
    }

    /// Lays one instruction.
    pub fn lay(&mut self, bytes: &[u8]) {
        self.machine.code = bytes.to_vec();
        self.machine.code_at = CODE;
    }

    /// Runs the instruction that was laid.
    pub fn step(&mut self) -> Outcome {
        self.cpu.rip = CODE;
        self.engine.step(&mut self.cpu, &mut self.machine)
    }

    /// The same, and it must complete.
    pub fn run(&mut self) {
        let outcome = self.step();
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}: {:x?}", self.machine.code);
    }

    /// Calls a function of assembly, of which `code` are the bytes, with up to six arguments, and gives RAX. Its stack is at
    /// `stack` in the arena.
    pub fn call(&mut self, code: &[u8], stack: usize, arguments: &[u64]) -> u64 {
        const REGISTERS: [usize; 6] = [7, 6, 2, 1, 8, 9];
        self.machine.code = code.to_vec();
        self.machine.code_at = CODE;
        self.machine.arena.put(stack, &END.to_le_bytes());
        self.cpu.gpr[4] = self.machine.arena.at(stack);
        for (&register, &argument) in REGISTERS.iter().zip(arguments) {
            self.cpu.gpr[register] = argument;
        }
        self.cpu.rip = CODE;
        for steps in 1_u64.. {
            let outcome = self.engine.step(&mut self.cpu, &mut self.machine);
            assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?} at {:#x}", self.cpu.rip - CODE);
            if self.cpu.rip == END {
                break;
            }
            if steps.is_multiple_of(4096) {
                // Whoever is waited for may need this processor.
                std::thread::yield_now();
            }
        }
        self.cpu.gpr[0]
    }
}
