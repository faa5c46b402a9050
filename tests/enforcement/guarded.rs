//! The world of `transfer` with shadow-stack pages, supervisor tokens and the registers of CET.

use crate::ram::bus_over_ram;
use crate::world::{self, Kind, World};
use encore86::cpu::registers::cr4;
use encore86::{Access, AccessKind, Cpu, Engine, Event, Outcome, Platform, Profile, Stop};
use std::collections::BTreeMap;

pub const U_CET: u32 = 0x6a0;
pub const S_CET: u32 = 0x6a2;
pub const PL0_SSP: u32 = 0x6a4;
pub const PL3_SSP: u32 = 0x6a7;
pub const SSP_TABLE: u32 = 0x6a8;

pub const SH_STK_EN: u64 = 1;
pub const ENDBR_EN: u64 = 4;
pub const LEG_IW_EN: u64 = 8;
pub const SUPPRESS_DIS: u64 = 1 << 5;
pub const SUPPRESS: u64 = 1 << 10;
pub const WAITS: u64 = 1 << 11;
pub const BUSY: u64 = 1;
/// What is enabled, for programs and for the kernel.
pub const BOTH: u64 = SH_STK_EN | ENDBR_EN;

/// Pages that are shadow stacks: one of programs, two of the kernel.
const USER: core::ops::Range<u64> = 0x18000..0x19000;
const KERNEL: core::ops::Range<u64> = 0x19000..0x1b000;
/// SSP of what runs.
pub const SSP3: u64 = 0x18800;
pub const SSP0: u64 = 0x19800;
/// Tokens: of IA32_PL0_SSP to IA32_PL2_SSP, and of entry 1 of the interrupt SSP table. Each ends a block of 32 bytes.
pub const TOKEN: u64 = 0x19418;
pub const IST_TOKEN: u64 = 0x19618;
/// The interrupt SSP table.
pub const TABLE: u64 = 0x6000;

/// How a shadow stack was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub at: u64,
    pub kind: AccessKind,
    pub cpl: u8,
    pub locked: bool,
}

pub struct Machine {
    pub ram: Vec<u8>,
    pub msrs: BTreeMap<u32, u64>,
    pub seen: Vec<Seen>,
}

bus_over_ram!(Machine);

impl Machine {
    /// As a page walk would: a shadow-stack access needs such a page of its own privilege, and no other store may reach one.
    fn allows(&mut self, at: u64, access: &Access) -> Result<(), Stop> {
        let (user, writes) = (access.cpl == 3 && !access.implicit, access.writes());
        let allowed = match access.shadow_stack {
            true => if user { USER } else { KERNEL }.contains(&at),
            false => !writes || !(USER.contains(&at) || KERNEL.contains(&at)),
        };
        if access.shadow_stack {
            self.seen.push(Seen { at, kind: access.kind, cpl: access.cpl, locked: access.locked });
        }
        let code = 1 | u32::from(writes) << 1 | u32::from(user) << 2 | u32::from(access.shadow_stack) << 6;
        if allowed { Ok(()) } else { Err(Event::pf(code, at, "no page for that").into()) }
    }

    /// Puts `size` bytes.
    pub fn store(&mut self, at: u64, value: u64, size: usize) {
        self.ram[at as usize..at as usize + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }

    /// Puts 8 bytes.
    pub fn set(&mut self, at: u64, value: u64) {
        self.put(at, value);
    }

    /// The 8 bytes there.
    pub fn word(&self, at: u64) -> u64 {
        self.get(at)
    }

    /// A gate of the IDT, to the kernel's code at `offset`.
    pub fn gate(&mut self, long: bool, vector: u64, offset: u64, entry: u64) {
        let size = if long { 16 } else { 8 };
        let low = offset | u64::from(world::sel::CODE0) << 16 | entry << 32 | 0xee << 40;
        self.set(world::IDT + vector * size, low);
    }

    /// Puts entries of the stack, the lowest first.
    pub fn stack(&mut self, size: usize, entries: &[u64]) {
        for (i, &value) in entries.iter().enumerate() {
            self.store(world::STACK + (i * size) as u64, value, size);
        }
    }

    /// Puts SSP, LIP and CS on a shadow stack.
    pub fn frame(&mut self, at: u64, values: [u64; 3]) {
        for (i, value) in values.into_iter().enumerate() {
            self.set(at + 8 * i as u64, value);
        }
    }

    /// SSP, LIP and CS there.
    pub fn framed(&self, at: u64) -> [u64; 3] {
        [0, 8, 16].map(|i| self.get(at + i))
    }

    /// The locked exchanges of tokens: where, and as which privilege.
    pub fn exchanges(&self) -> Vec<(u64, u8)> {
        let locked = self.seen.iter().filter(|seen| seen.locked && seen.kind == AccessKind::Write);
        locked.map(|seen| (seen.at, seen.cpl)).collect()
    }
}

impl Platform for Machine {
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        self.msrs.get(&index).copied().ok_or(Event::gp0("no such register").into())
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        self.msrs.insert(index, value);
        Ok(())
    }
}

/// A processor at `cpl` with shadow stacks and tracking on at every privilege, and nothing waiting.
pub fn prepare(kind: Kind, cpl: u8) -> (Cpu, Machine) {
    let (mut cpu, world) = (world::cpu(kind, cpl), World::new(matches!(kind, Kind::Long64 | Kind::Compat32)));
    cpu.update(|s| {
        s.cr4 |= cr4::CET;
        s.ssp = if cpl == 3 { SSP3 } else { SSP0 };
    });
    let registers = [(U_CET, BOTH), (S_CET, BOTH), (PL3_SSP, SSP3 - 0x100), (SSP_TABLE, TABLE)];
    let stacks = (PL0_SSP..PL3_SSP).map(|index| (index, TOKEN));
    let calls = [(0xc000_0081, 0x0023_0008_0000_4444), (0xc000_0082, world::TARGET), (0xc000_0083, world::TARGET)];
    let enters = [(0xc000_0084, 0), (0x174, 8), (0x175, 0x9000), (0x176, world::TARGET)];
    let msrs = registers.into_iter().chain(stacks).chain(calls).chain(enters).collect();
    let mut machine = Machine { ram: world.ram, msrs, seen: Vec::new() };
    machine.set(TOKEN, TOKEN);
    machine.set(IST_TOKEN, IST_TOKEN);
    machine.set(TABLE + 8, IST_TOKEN);
    (cpu, machine)
}

/// What happens.
#[derive(Clone)]
pub enum Act {
    Step(Vec<u8>),
    Deliver(Event),
}

pub fn run(cpu: &mut Cpu, machine: &mut Machine, profile: Profile, act: &Act) -> Outcome {
    let mut engine = Engine::integer_only(profile);
    match act {
        Act::Step(code) => {
            let at = world::CODE as usize;
            machine.ram[at..at + code.len()].copy_from_slice(code);
            engine.step(cpu, machine)
        }
        Act::Deliver(event) => engine.deliver(cpu, machine, *event),
    }
}

/// The exception that a step has ended in.
pub fn exception(outcome: Outcome) -> Option<(u8, Option<u32>)> {
    match outcome {
        Outcome::Exception(event) => Some((event.vector, event.error_code)),
        _ => None,
    }
}
