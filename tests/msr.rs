//! Model-specific registers by list, by immediate and for programs, CPUID faulting, user interrupts, and page-directory-pointer-table
//! entries, after the manual's pages.

#[path = "support/ram.rs"]
mod ram;

use encore86::bus::Invalidation;
use encore86::cpu::System;
use encore86::cpu::registers::{cr0, cr4, efer, rflags};
use encore86::cpu::segment::{Seg, rights};
use encore86::paging::{Limits, Paging};
use encore86::profile::CpuidResult;
use encore86::{Access, Cpu, Engine, Event, Outcome, Platform, Profile, Retired, Stop, Vendor};
use std::collections::BTreeMap;

const CODE: u64 = 0x1000;
const STACK: u64 = 0x8000;
/// Tables of RDMSRLIST.
const NAMES: u64 = 0x2000;
const VALUES: u64 = 0x3000;
const GP0: (u8, Option<u32>) = (13, Some(0));

#[derive(Default)]
struct Machine {
    ram: Vec<u8>,
    msrs: BTreeMap<u32, u64>,
    written: Vec<(u32, u64)>,
    interrupt: bool,
    later: Option<u32>,
}

impl Machine {
    fn new(code: &[u8]) -> Machine {
        let mut machine = Machine { ram: vec![0; 0x10000], ..Machine::default() };
        machine.ram[CODE as usize..CODE as usize + code.len()].copy_from_slice(code);
        machine
    }

    fn allows(&self, _: u64, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

ram::bus_over_ram!(Machine);

impl Platform for Machine {
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        if self.later == Some(index) {
            return Err(Stop::Retry);
        }
        self.msrs.get(&index).copied().ok_or(Event::gp0("no such register").into())
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        if self.later == Some(index) {
            return Err(Stop::Retry);
        }
        self.written.push((index, value));
        Ok(())
    }

    fn cpuid(&mut self, _: u32, _: u32, answer: CpuidResult) -> Result<CpuidResult, Stop> {
        Ok(answer)
    }

    fn invalidate(&mut self, _: Invalidation) -> Result<(), Stop> {
        Ok(())
    }

    fn interrupt_pending(&mut self) -> bool {
        self.interrupt
    }
}

/// 64-bit mode at `cpl`.
fn cpu(cpl: u32) -> Cpu {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr4 |= cr4::UINTR;
        for seg in [Seg::Cs, Seg::Ss] {
            s.seg[seg as usize].attr |= cpl << rights::DPL_SHIFT;
        }
    });
    (cpu.rip, cpu.gpr[4]) = (CODE, STACK);
    cpu
}

fn step(cpu: &mut Cpu, machine: &mut Machine) -> Outcome {
    Engine::integer_only(Profile::all()).step(cpu, machine)
}

fn done(outcome: Outcome) -> Retired {
    let Outcome::Completed(retired) = outcome else { panic!("{outcome:?}") };
    retired
}

fn fault(outcome: Outcome) -> (u8, Option<u32>) {
    let Outcome::Exception(event) = outcome else { panic!("{outcome:?}") };
    (event.vector, event.error_code)
}

const RDMSRLIST: &[u8] = &[0xf2, 0x0f, 0x01, 0xc6];
const WRMSRLIST: &[u8] = &[0xf3, 0x0f, 0x01, 0xc6];

fn listed(code: &[u8], mask: u64) -> (Cpu, Machine) {
    let (mut cpu, mut machine) = (cpu(0), Machine::new(code));
    (cpu.gpr[1], cpu.gpr[6], cpu.gpr[7]) = (mask, NAMES, VALUES);
    for i in 0..64 {
        machine.put(NAMES + 8 * i, 0x100 + i);
        machine.put(VALUES + 8 * i, 0xdead_0000 + i);
        machine.msrs.insert(0x100 + i as u32, 0x1111_2222_0000_0000 + i);
    }
    (cpu, machine)
}

#[test]
fn registers_by_list() {
    let mask = 1 | 1 << 5 | 1 << 63;
    let (mut cpu, mut machine) = listed(RDMSRLIST, mask);
    assert_eq!(done(step(&mut cpu, &mut machine)), Retired::default());
    assert_eq!((cpu.gpr[1], cpu.rip), (0, CODE + 4));
    let values = [0, 1, 5, 63].map(|i| machine.get(VALUES + 8 * i));
    assert_eq!(values, [0x1111_2222_0000_0000, 0xdead_0001, 0x1111_2222_0000_0005, 0x1111_2222_0000_003f]);

    let (mut cpu, mut machine) = listed(WRMSRLIST, mask);
    assert_eq!(done(step(&mut cpu, &mut machine)), Retired::default());
    assert_eq!(machine.written, [(0x100, 0xdead_0000), (0x105, 0xdead_0005), (0x13f, 0xdead_003f)]);

    // No bit: nothing is touched.
    let (mut cpu, mut machine) = listed(WRMSRLIST, 0);
    done(step(&mut cpu, &mut machine));
    assert!(machine.written.is_empty());

    // An interrupt between two, and a register that is not there: what was done stays done.
    let (mut cpu, mut machine) = listed(WRMSRLIST, mask);
    machine.interrupt = true;
    assert!(done(step(&mut cpu, &mut machine)).rep_unfinished);
    assert_eq!((cpu.gpr[1], cpu.rip, machine.written.len()), (mask & !1, CODE, 1));
    let (mut cpu, mut machine) = listed(RDMSRLIST, mask);
    machine.msrs.remove(&0x105);
    assert!(done(step(&mut cpu, &mut machine)).rep_unfinished);
    assert_eq!(fault(step(&mut cpu, &mut machine)), GP0);
    assert_eq!((cpu.gpr[1], cpu.rip), (mask & !1, CODE));

    // A register that answers later.
    let (mut cpu, mut machine) = listed(WRMSRLIST, mask);
    machine.later = Some(0x100);
    let mut engine = Engine::integer_only(Profile::all());
    assert_eq!(engine.step(&mut cpu, &mut machine), Outcome::Retry);
    machine.later = None;
    done(engine.step(&mut cpu, &mut machine));
    assert_eq!(machine.written.len(), 3);
}

#[test]
fn registers_by_list_refuse() {
    for (why, change) in [
        ("RSI is not aligned", (|cpu, _| cpu.gpr[6] += 4) as fn(&mut Cpu, &mut Machine)),
        ("RDI is not aligned", |cpu, _| cpu.gpr[7] += 1),
        ("an address has more than 32 bits", |_, machine| machine.put(NAMES, 1 << 32)),
        ("there is no such register", |_, machine| machine.put(NAMES, 0x9999)),
        ("the table of addresses is not canonical", |cpu, _| cpu.gpr[6] = 1 << 47),
        ("the table of values is not canonical", |cpu, _| cpu.gpr[7] = 1 << 47),
    ] {
        let (mut cpu, mut machine) = listed(RDMSRLIST, 1);
        change(&mut cpu, &mut machine);
        assert_eq!(fault(step(&mut cpu, &mut machine)), GP0, "{why}");
        assert_eq!((cpu.gpr[1], machine.get(VALUES)), (1, 0xdead_0000), "{why}");
    }
    let (_, mut machine) = listed(RDMSRLIST, 1);
    assert_eq!(fault(step(&mut cpu(3), &mut machine)), GP0, "CPL is not 0");
}

#[test]
fn registers_by_immediate() {
    // RDMSR RCX, 0x10a and WRMSRNS 0x10a, RCX.
    let (mut cpu, mut machine) = listed(&[0xc4, 0xe7, 0x7b, 0xf6, 0xc1, 0x0a, 0x01, 0, 0], 7);
    done(step(&mut cpu, &mut machine));
    assert_eq!((cpu.gpr[1], cpu.rip), (0x1111_2222_0000_000a, CODE + 9));
    let (mut cpu, mut machine) = listed(&[0xc4, 0xe7, 0x7a, 0xf6, 0xc1, 0x0a, 0x01, 0, 0], 7);
    done(step(&mut cpu, &mut machine));
    assert_eq!(machine.written, [(0x10a, 7)]);
}

#[test]
fn registers_that_programs_may_have() {
    const BITMAP: u64 = 0x5000;
    // URDMSR RAX, RCX; UWRMSR RCX, RAX.
    let read: &[u8] = &[0xf2, 0x0f, 0x38, 0xf8, 0xc8];
    let write: &[u8] = &[0xf3, 0x0f, 0x38, 0xf8, 0xc8];
    let prepare = |code: &[u8], index: u64| {
        let (mut cpu, mut machine) = (cpu(3), Machine::new(code));
        (cpu.gpr[0], cpu.gpr[1]) = (0x77, index);
        machine.msrs.insert(0x1c, BITMAP | 1);
        machine.msrs.insert(0x1b00, 0x1234);
        machine.ram[(BITMAP + 0x1b00 / 8) as usize] = 1;
        machine.ram[(BITMAP + 0x800 + 0x1b01 / 8) as usize] = 2;
        (cpu, machine)
    };
    let (mut cpu, mut machine) = prepare(read, 0x1b00);
    done(step(&mut cpu, &mut machine));
    assert_eq!(cpu.gpr[0], 0x1234);
    let (mut cpu, mut machine) = prepare(write, 0x1b01);
    done(step(&mut cpu, &mut machine));
    assert_eq!(machine.written, [(0x1b01, 0x77)]);
    for (code, index) in [(read, 0x1b01), (write, 0x1b00), (read, 0x4000), (read, 0x1_0000_1b00)] {
        let (mut cpu, mut machine) = prepare(code, index);
        assert_eq!(fault(step(&mut cpu, &mut machine)), GP0, "{index:x}");
    }
    let (mut cpu, mut machine) = prepare(read, 0x1b00);
    machine.msrs.insert(0x1c, BITMAP);
    assert_eq!(fault(step(&mut cpu, &mut machine)), (6, None));
    // With an immediate: URDMSR RAX, 0x1b00.
    let (mut cpu, mut machine) = prepare(&[0xc4, 0xe7, 0x7b, 0xf8, 0xc0, 0x00, 0x1b, 0, 0], 0);
    done(step(&mut cpu, &mut machine));
    assert_eq!(cpu.gpr[0], 0x1234);
}

#[test]
fn cpuid_faults_above_cpl_0() {
    for (profile, index, bit) in
        [(Profile::all(), 0x140, 1), (Profile::all().with_vendor(Vendor::Amd), 0xc001_0015, 1 << 35)]
    {
        let run = |cpl, value: Option<u64>| {
            let mut machine = Machine::new(&[0x0f, 0xa2]);
            machine.msrs.extend(value.map(|value| (index, value)));
            Engine::integer_only(profile.clone()).step(&mut cpu(cpl), &mut machine)
        };
        assert_eq!(fault(run(3, Some(bit))), GP0);
        done(run(0, Some(bit)));
        done(run(3, Some(0)));
        done(run(3, None));
    }
}

#[test]
fn user_interrupts_have_a_flag_and_a_return() {
    let run = |code: &[u8], uif: bool| {
        let (mut cpu, mut machine) = (cpu(3), Machine::new(code));
        cpu.update(|s| s.uif = uif);
        for (i, value) in [0x1234, 0xffff_ffff, 0x7000].into_iter().enumerate() {
            machine.put(STACK + 8 * i as u64, value);
        }
        let outcome = step(&mut cpu, &mut machine);
        (outcome, cpu)
    };
    let op = |last: u8| [0xf3, 0x0f, 0x01, last];
    assert!(!run(&op(0xee), true).1.system().uif, "CLUI");
    assert!(run(&op(0xef), false).1.system().uif, "STUI");
    for uif in [false, true] {
        let (outcome, cpu) = run(&op(0xed), uif);
        done(outcome);
        assert_eq!(cpu.rflags() & rflags::ARITH, if uif { rflags::CF } else { 0 }, "TESTUI");
    }
    let (outcome, back) = run(&op(0xec), false);
    done(outcome);
    let changed = rflags::ARITH | rflags::TF | rflags::DF | rflags::NT | rflags::RF | rflags::AC | rflags::ID;
    assert_eq!((back.rip, back.gpr[4], back.rflags()), (0x1234, 0x7000, changed | rflags::FIXED));
    assert!(back.system().uif, "UIRET");
    // Without CR4.UINTR there are none.
    for last in 0xec..=0xef {
        let (mut cpu, mut machine) = (Cpu::new(), Machine::new(&op(last)));
        cpu.rip = CODE;
        assert_eq!(fault(step(&mut cpu, &mut machine)), (6, None));
    }
    let (mut cpu, mut machine) = (cpu(3), Machine::new(&op(0xec)));
    machine.put(STACK, 1 << 47);
    assert_eq!(fault(step(&mut cpu, &mut machine)), GP0, "UIRET to an address that is not canonical");
}

const TARGETS: u64 = 0x6000;
const POSTED: u64 = 0x6100;

/// SENDUIPI RAX, with entry 2 valid: vector 5, an idle descriptor of APIC 9 and vector 0xec.
fn sender() -> (Cpu, Machine) {
    let (mut cpu, mut machine) = (cpu(3), Machine::new(&[0xf3, 0x0f, 0xc7, 0xf0]));
    cpu.gpr[0] = 2;
    machine.msrs.extend([(0x988, 3), (0x98a, TARGETS | 1)]);
    machine.put(TARGETS + 0x20, 1 | 5 << 8);
    machine.put(TARGETS + 0x28, POSTED);
    machine.put(POSTED, 9 << 32 | 0xec << 16);
    (cpu, machine)
}

#[test]
fn senduipi_posts_and_notifies() {
    const NOTIFICATION: (u32, u64) = (0x830, 9 << 32 | 0xec);
    let (mut cpu, mut machine) = sender();
    done(step(&mut cpu, &mut machine));
    assert_eq!(
        (machine.get(POSTED) & 3, machine.get(POSTED + 8), &machine.written[..]),
        (1, 1 << 5, &[NOTIFICATION][..])
    );
    // Outstanding or suppressed: posted and no more.
    for bit in [1, 2] {
        let (mut cpu, mut machine) = sender();
        machine.ram[POSTED as usize] |= bit;
        done(step(&mut cpu, &mut machine));
        assert_eq!((machine.get(POSTED) & 3, machine.get(POSTED + 8)), (bit.into(), 1 << 5));
        assert!(machine.written.is_empty());
    }
    // An interrupt controller that is not ready: once, in the end.
    let (mut cpu, mut machine) = sender();
    machine.later = Some(0x830);
    let mut engine = Engine::integer_only(Profile::all());
    assert_eq!(engine.step(&mut cpu, &mut machine), Outcome::Retry);
    machine.later = None;
    done(engine.step(&mut cpu, &mut machine));
    assert_eq!((machine.get(POSTED) & 3, &machine.written[..]), (1, &[NOTIFICATION][..]));
}

#[test]
fn senduipi_refuses() {
    for (why, change, expected) in [
        (
            "CR4.UINTR is clear",
            (|cpu, _| cpu.update(|s| s.cr4 &= !cr4::UINTR)) as fn(&mut Cpu, &mut Machine),
            (6, None),
        ),
        ("IA32_UINTR_TT does not enable it", |_, m| m.msrs.extend([(0x98a, TARGETS)]), (6, None)),
        ("beyond the table", |cpu, _| cpu.gpr[0] = 4, GP0),
        ("V is clear", |_, m| m.put(TARGETS + 0x20, 5 << 8), GP0),
        ("a reserved bit", |_, m| m.put(TARGETS + 0x20, 3 | 5 << 8), GP0),
        ("a vector above 63", |_, m| m.put(TARGETS + 0x20, 1 | 64 << 8), GP0),
        ("a descriptor that is not aligned", |_, m| m.put(TARGETS + 0x28, POSTED + 8), GP0),
        ("a descriptor that is not canonical", |_, m| m.put(TARGETS + 0x28, 1 << 47), GP0),
        ("a reserved bit of the descriptor", |_, m| m.put(POSTED, 4), GP0),
    ] {
        let (mut cpu, mut machine) = sender();
        change(&mut cpu, &mut machine);
        let before = machine.ram.clone();
        assert_eq!(fault(step(&mut cpu, &mut machine)), expected, "{why}");
        assert!(machine.ram == before && machine.written.is_empty(), "{why}");
    }
}

/// A processor in PAE paging is about to load CR3 with a table whose second entry is `entry`.
fn pae(code: &[u8], entry: u64, change: fn(&mut System)) -> (Cpu, Paging<Machine>) {
    const PDPT: u64 = 0x4000;
    let mut machine = Machine::new(code);
    // An identity map of 2 MiB: the first entry, a directory at 0x7000.
    machine.put(PDPT, 0x7001);
    machine.put(PDPT + 8, entry);
    machine.put(0x7000, 0x83);
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.efer = efer::NXE;
        s.cr0 = cr0::PE | cr0::PG | cr0::ET;
        s.cr4 = cr4::PAE;
        s.cr3 = 0x9000;
        s.seg[Seg::Cs as usize].attr = 0xc09b;
    });
    // Where CR3 points now is another such table, whose entries are valid.
    machine.put(0x9000, 0x7001);
    cpu.update(change);
    (cpu.rip, cpu.gpr[0]) = (CODE, PDPT);
    let mut bus = Paging::new(machine, Limits::new(&Profile::all()));
    bus.load(&cpu).unwrap();
    (cpu, bus)
}

#[test]
fn page_directory_pointers_with_reserved_bits_are_refused() {
    let mov_cr3: &[u8] = &[0x0f, 0x22, 0xd8];
    for (entry, refused) in
        [(0, false), (0x7001, false), (0x7002, false), (0x7003, true), (1 | 1 << 63, true), (1 << 63, false)]
    {
        let (mut cpu, mut bus) = pae(mov_cr3, entry, |_| {});
        let outcome = Engine::integer_only(Profile::all()).step(&mut cpu, &mut bus);
        if refused {
            assert_eq!((fault(outcome), cpu.system().cr3, cpu.rip), (GP0, 0x9000, CODE), "{entry:x}");
        } else {
            done(outcome);
            assert_eq!((cpu.system().cr3, cpu.rip), (0x4000, CODE + 3), "{entry:x}");
        }
        // Either way the next instruction is translated.
        assert!(bus.load(&cpu).is_ok() && bus.look_up(CODE).is_ok());
    }
    // MOV CR0 that turns paging on, and MOV CR4 that turns PAE on, read them too.
    let paging_off = |s: &mut System| (s.cr0, s.cr3) = (cr0::PE | cr0::ET, 0x4000);
    let (mut cpu, mut bus) = pae(&[0x0f, 0x22, 0xc1], 0x7003, paging_off);
    cpu.gpr[1] = cr0::PE | cr0::PG | cr0::ET;
    assert_eq!(fault(Engine::integer_only(Profile::all()).step(&mut cpu, &mut bus)), GP0);
    assert_eq!(cpu.system().cr0 & cr0::PG, 0);
    let (mut cpu, mut bus) = pae(&[0x0f, 0x22, 0xe1], 0x7003, |s| s.cr3 = 0x9000);
    bus.inner().put(0x9008, 0x7003);
    cpu.gpr[1] = cr4::PAE | cr4::PGE;
    assert_eq!(fault(Engine::integer_only(Profile::all()).step(&mut cpu, &mut bus)), GP0);
    assert_eq!(cpu.system().cr4 & cr4::PGE, 0);
}
