//! The same through a page walk, over RAM that grants its host address: a token is taken by one real locked instruction.

use super::*;
use encore86::cpu::registers::{cr0, efer};
use encore86::host::HostRam;
use encore86::paging::{Limits, Paging};
use encore86::{Access, Bus, Engine, Platform, Stop};
use std::ptr::NonNull;

/// Physical memory.
struct Granting {
    machine: Machine,
    /// Locked operations on RAM.
    granted: Vec<u64>,
    /// A store to this address has to wait, once.
    waits: Option<u64>,
}

impl Bus for Granting {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.machine.fetch(at, buf, access)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.machine.read(at, buf, access)
    }

    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        assert!(!access.locked, "there is an address for it");
        if self.waits.take_if(|place| *place == at).is_some() {
            return Err(Stop::Retry);
        }
        self.machine.write(at, buf, access)
    }

    fn probe(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.machine.probe(at, len, access)
    }

    fn ram(&mut self, at: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if !access.locked {
            return Ok(None);
        }
        self.machine.probe(at, len, access)?;
        self.granted.push(at);
        let place = NonNull::from(&mut self.machine.ram[at as usize..at as usize + len]).cast();
        // SAFETY: the bytes are there until the next call on this bus, and nobody else has them.
        Ok(Some(unsafe { HostRam::new(place, len) }))
    }
}

impl Platform for Granting {
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        self.machine.read_msr(index)
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        self.machine.write_msr(index, value)
    }
}

/// Page tables of the first 2 MiB.
const TABLES: u64 = 0x1c000;

/// Every address is its own; the shadow-stack pages are read-only and dirty, those of the kernel are the supervisor's.
fn paged(cpl: u8) -> (Cpu, Paging<Granting>) {
    let (mut cpu, mut machine) = prepare(Long64, cpl);
    for level in 0..3 {
        machine.set(TABLES + level * 0x1000, (TABLES + (level + 1) * 0x1000) | 0x67);
    }
    for page in 0..0x20 {
        let bits = match page {
            0x18 => 0x65,
            0x19 | 0x1a => 0x61,
            _ => 0x67,
        };
        machine.set(TABLES + 0x3000 + 8 * page, page << 12 | bits);
    }
    cpu.update(|s| {
        s.cr0 |= cr0::PG | cr0::WP;
        s.cr3 = TABLES;
        s.cr4 |= cr4::PAE;
        s.efer |= efer::NXE;
    });
    let mut bus = Paging::new(Granting { machine, granted: Vec::new(), waits: None }, Limits::new(&Profile::all()));
    bus.load(&cpu).unwrap();
    (cpu, bus)
}

#[test]
fn an_interrupt_and_back_by_locked_instructions() {
    let (mut cpu, mut bus) = paged(3);
    let mut engine = Engine::integer_only(Profile::all());
    let outcome = engine.deliver(&mut cpu, &mut bus, Event::interrupt(32));
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let memory = bus.inner();
    assert_eq!(
        (cpu.system().ssp, memory.machine.word(TOKEN), memory.machine.msrs[&PL3_SSP]),
        (TOKEN, TOKEN | BUSY, SSP3)
    );
    assert_eq!(memory.granted.iter().filter(|&&at| at == TOKEN).count(), 1);
    // ENDBR64, IRETQ.
    let code = [ENDBR64, &[0x48, 0xcf]].concat();
    memory.machine.ram[TARGET as usize..TARGET as usize + code.len()].copy_from_slice(&code);
    for _ in 0..2 {
        bus.load(&cpu).unwrap();
        let outcome = engine.step(&mut cpu, &mut bus);
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    }
    let memory = bus.inner();
    assert_eq!((cpu.cpl(), cpu.rip, cpu.system().ssp, memory.machine.word(TOKEN)), (3, CODE, SSP3, TOKEN));
    assert_eq!(memory.granted.iter().filter(|&&at| at == TOKEN).count(), 2);
    assert_eq!(memory.machine.msrs[&S_CET], BOTH);
}

#[test]
fn tokens_lie_in_shadow_stack_pages_of_the_supervisor() {
    // CALL through a gate: the page is a plain one, a program's shadow stack, or not there.
    for (page, code) in [(0x67, 0x43), (0x61 & !0x40, 0x43), (0x65, 0x43), (0, 0x42)] {
        let (mut cpu, mut bus) = paged(3);
        point(&mut cpu, &mut bus.inner().machine, sel::GATE);
        bus.inner().machine.set(TABLES + 0x3000 + 8 * 0x19, if page == 0 { 0 } else { 0x19000 | page });
        bus.inner().machine.ram[CODE as usize..CODE as usize + 3].copy_from_slice(&[0x48, 0xff, 0x1b]);
        let outcome = Engine::integer_only(Profile::all()).step(&mut cpu, &mut bus);
        assert_eq!(exception(outcome), Some((14, Some(code))), "{page:x}");
        assert_eq!((cpu.system().cr2, cpu.cpl(), cpu.system().ssp), (TOKEN, 3, SSP3), "{page:x}");
    }
}

#[test]
fn a_token_is_taken_once_whatever_waits_behind_it() {
    // CALL from CPL 1: the frame below the token cannot be written yet.
    let (mut cpu, mut bus) = paged(1);
    let memory = bus.inner();
    ring1(&mut cpu, &mut memory.machine, true);
    point(&mut cpu, &mut memory.machine, sel::GATE);
    memory.machine.ram[CODE as usize..CODE as usize + 3].copy_from_slice(&[0x48, 0xff, 0x1b]);
    memory.waits = Some(TOKEN - 16);
    let mut engine = Engine::integer_only(Profile::all());
    assert_eq!(engine.step(&mut cpu, &mut bus), Outcome::Retry);
    assert_eq!((cpu.cpl(), cpu.system().ssp, bus.inner().machine.word(TOKEN)), (1, SSP0, TOKEN | BUSY));
    let outcome = engine.step(&mut cpu, &mut bus);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let memory = bus.inner();
    assert_eq!((cpu.cpl(), cpu.system().ssp), (0, TOKEN - 24));
    assert_eq!(memory.machine.framed(TOKEN - 24), [SSP0, CODE + 3, CODE1.into()]);
    assert_eq!(memory.granted.iter().filter(|&&at| at == TOKEN).count(), 1);
}

#[test]
fn a_delivery_that_starts_anew_finds_the_token_free() {
    let (mut cpu, mut bus) = paged(0);
    bus.inner().waits = Some(IST_TOKEN - 16);
    let mut engine = Engine::integer_only(Profile::all());
    assert_eq!(engine.deliver(&mut cpu, &mut bus, Event::interrupt(33)), Outcome::Retry);
    assert_eq!((cpu.rip, cpu.system().ssp, bus.inner().machine.word(IST_TOKEN)), (CODE, SSP0, IST_TOKEN));
    let outcome = engine.deliver(&mut cpu, &mut bus, Event::interrupt(33));
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let memory = bus.inner();
    assert_eq!((cpu.system().ssp, memory.machine.word(IST_TOKEN)), (IST_TOKEN - 24, IST_TOKEN | BUSY));
}

#[test]
fn instructions_on_tokens_are_locked_too() {
    // SETSSBSY; RSTORSSP [RBX]; CLRSSBSY [RBX].
    let place = 0x19100;
    for (code, before, after) in [
        (&[0xf3, 0x0f, 0x01, 0xe8][..], TOKEN, TOKEN | BUSY),
        (&[0xf3, 0x0f, 0x01, 0x2b], (place + 8) | 1, SSP0 | 3),
        (&[0xf3, 0x0f, 0xae, 0x33], place | BUSY, place),
    ] {
        let (mut cpu, mut bus) = paged(0);
        let memory = bus.inner();
        let at = if code[3] == 0xe8 { TOKEN } else { place };
        memory.machine.set(at, before);
        memory.machine.ram[CODE as usize..CODE as usize + code.len()].copy_from_slice(code);
        cpu.gpr[3] = place;
        let outcome = Engine::integer_only(Profile::all()).step(&mut cpu, &mut bus);
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
        let memory = bus.inner();
        assert_eq!(memory.machine.word(at), after, "{code:x?}");
        assert!(memory.granted.contains(&at));
    }
}
