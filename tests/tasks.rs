//! Task switches against the manual's chapter (SDM volume 3, chapter 8): each check of its table of exceptions by name, what is saved
//! and loaded, and that nothing has happened where a check fails before the switch is committed. The guest `transfers` (`guest.rs`)
//! shows the same to other emulators.

#[allow(dead_code)] // `transfer` uses the rest
#[path = "transfer/world.rs"]
mod world;

use encore86::cpu::registers::{cr0, rflags};
use encore86::cpu::segment::Seg;
use encore86::{Cpu, Event, Outcome, Profile, Retired};
use world::Kind::Prot32;
use world::{CODE, GDT, STACK, STACK0, TARGET, TSS, World, cpu, deliver, sel, step};

const GP: u8 = 13;
const NP: u8 = 11;
const SS: u8 = 12;
const TS: u8 = 10;

/// The new task's state, of 32 bits; its descriptor is [`sel::TSS`]'s.
const NEW: u64 = 0x3400;
/// One of 16 bits.
const NARROW: u64 = 0x3600;
/// Selectors that stand in places of the GDT which other tests use otherwise.
const NEW16: u16 = sel::GATE16;
const FLAGS: u64 = 0x24;

fn descriptor(world: &mut World, selector: u16, base: u64, limit: u64, access: u64) {
    world.put(GDT + u64::from(selector & !7), limit | base << 16 | access << 40, 8);
}

/// Two tasks of CPL 0; [`sel::TASK_GATE`] leads to the new one.
fn prepare(cpl: u8) -> (Cpu, World) {
    let (mut cpu, mut world) = (cpu(Prot32, cpl), World::new(false));
    descriptor(&mut world, sel::TSS, NEW, 0x67, 0xe9);
    descriptor(&mut world, NEW16, NARROW, 0x2b, 0xe1);
    let fields = [(4, STACK0), (8, sel::DATA0.into()), (0x1c, 0x1234_5000), (0x20, TARGET), (FLAGS, 2)];
    let registers = (0..8).map(|i| (0x28 + 4 * i, if i == 4 { 0x7000 } else { 0x100 + i }));
    let segments = [0x48, 0x50, 0x54, 0x58, 0x5c].map(|at| (at, sel::DATA0.into()));
    for (at, value) in fields.into_iter().chain(registers).chain(segments).chain([(0x4c, sel::CODE0.into())]) {
        world.put(NEW + at, value, 4);
    }
    let narrow = [(0x0e, TARGET), (0x10, 2), (0x1a, 0x7000), (0x12, 0x1111)];
    let segments = [(0x22, sel::DATA0), (0x24, sel::CODE0), (0x26, sel::DATA0), (0x28, sel::DATA0)];
    for (at, value) in narrow.into_iter().chain(segments.map(|(at, selector)| (at, selector.into()))) {
        world.put(NARROW + at, value, 2);
    }
    for i in 0..8 {
        cpu.gpr[i] = if i == 4 { STACK } else { 0x0f0f_0000 + i as u64 };
    }
    (cpu, world)
}

fn far(opcode: u8, selector: u16) -> Vec<u8> {
    [&[opcode][..], &[0; 4], &selector.to_le_bytes()].concat()
}

fn jmp(selector: u16) -> Vec<u8> {
    far(0xea, selector)
}

fn call(selector: u16) -> Vec<u8> {
    far(0x9a, selector)
}

fn iret() -> Vec<u8> {
    vec![0xcf]
}

type Change = fn(&mut Cpu, &mut World);

/// What is wrong, at which CPL, what is run, what is changed before, and the exception.
type Fault = (&'static str, u8, Vec<u8>, Change, u8, u16);

fn nothing(_: &mut Cpu, _: &mut World) {}

/// IRET finds `selector` as the link.
macro_rules! linked {
    ($selector:expr) => {
        |cpu, world| {
            cpu.set_rflags(cpu.rflags() | rflags::NT);
            world.put(TSS, u64::from($selector), 2);
        }
    };
}

/// The new task's state has this word there.
macro_rules! with {
    ($at:literal: $value:expr) => {
        |_, world| world.put(NEW + $at, u64::from($value), 2)
    };
}

/// Steps `code`, or brings INT 39 through its task gate.
fn run((cpu, world): (&mut Cpu, &mut World), code: Option<&[u8]>) -> Outcome {
    match code {
        Some(code) => step(cpu, world, Profile::all(), code),
        None => deliver(cpu, world, Event { length: 2, ..Event::software(39, "INT n") }),
    }
}

#[rustfmt::skip] // one check a line
#[test]
fn checks_before_the_switch_leave_everything_as_it_was() {
    let cases: Vec<Fault> = vec![
        ("JMP: the TSS's DPL is below CPL", 3, jmp(sel::TSS), |_, w| descriptor(w, sel::TSS, NEW, 0x67, 0x89), GP, sel::TSS),
        ("JMP: the TSS's DPL is below RPL", 0, jmp(sel::TSS | 3), |_, w| descriptor(w, sel::TSS, NEW, 0x67, 0x89), GP, sel::TSS),
        ("JMP: the TSS is busy", 0, jmp(sel::BUSY_TSS), nothing, GP, sel::BUSY_TSS),
        ("JMP: the TSS is not present", 0, jmp(sel::TSS), |_, w| descriptor(w, sel::TSS, NEW, 0x67, 0x69), NP, sel::TSS),
        ("JMP: the TSS is too small", 0, jmp(sel::TSS), |_, w| descriptor(w, sel::TSS, NEW, 0x66, 0xe9), TS, sel::TSS),
        ("JMP: the 16-bit TSS is too small", 0, jmp(NEW16), |_, w| descriptor(w, NEW16, NARROW, 0x2a, 0xe1), TS, NEW16),
        ("JMP: the old TSS is too small", 0, jmp(sel::TSS), |c, _| c.update(|s| s.tr.limit = 0x66), TS, sel::BUSY_TSS),
        ("CALL: the TSS is busy", 0, call(sel::BUSY_TSS), nothing, GP, sel::BUSY_TSS),
        ("CALL: the gate's DPL is below CPL", 3, call(sel::TASK_GATE), |_, w| w.put(GDT + u64::from(sel::TASK_GATE) + 5, 0x85, 1), GP, sel::TASK_GATE),
        ("CALL: the gate is not present", 0, call(sel::TASK_GATE), |_, w| w.put(GDT + u64::from(sel::TASK_GATE) + 5, 0x65, 1), NP, sel::TASK_GATE),
        ("CALL: the gate names null", 0, call(sel::TASK_GATE), |_, w| w.put(GDT + u64::from(sel::TASK_GATE) + 2, 0, 2), GP, 0),
        ("CALL: the gate names the LDT", 0, call(sel::TASK_GATE), |_, w| w.put(GDT + u64::from(sel::TASK_GATE) + 2, 0xc, 2), GP, 0xc),
        ("CALL: the gate leads beyond the GDT", 0, call(sel::TASK_GATE), |_, w| w.put(GDT + u64::from(sel::TASK_GATE) + 2, 0x1000, 2), GP, 0x1000),
        ("CALL: the gate names no TSS", 0, call(sel::TASK_GATE), |_, w| w.put(GDT + u64::from(sel::TASK_GATE) + 2, sel::DATA0.into(), 2), GP, sel::DATA0),
        ("CALL: the gate's TSS is busy", 0, call(sel::TASK_GATE), |_, w| w.put(GDT + u64::from(sel::TASK_GATE) + 2, sel::BUSY_TSS.into(), 2), GP, sel::BUSY_TSS),
        ("CALL: the gate's TSS is not present", 0, call(sel::TASK_GATE), |_, w| descriptor(w, sel::TSS, NEW, 0x67, 0x69), NP, sel::TSS),
        ("IRET: the link is null", 0, iret(), linked!(0_u16), TS, 0),
        ("IRET: the link names the LDT", 0, iret(), linked!(0xc_u16), TS, 0xc),
        ("IRET: the link leads beyond the GDT", 0, iret(), linked!(0x1000_u16), TS, 0x1000),
        ("IRET: the link names no TSS", 0, iret(), linked!(sel::DATA0), TS, sel::DATA0),
        ("IRET: the link's TSS is not busy", 0, iret(), linked!(sel::TSS), TS, sel::TSS),
        ("IRET: the link's TSS is not present", 0, iret(), |c, w| {
            descriptor(w, sel::TSS, NEW, 0x67, 0x6b);
            c.set_rflags(c.rflags() | rflags::NT);
            w.put(TSS, sel::TSS.into(), 2);
        }, NP, sel::TSS),
    ];
    for (why, cpl, code, change, vector, error) in cases {
        let (mut cpu, mut world) = prepare(cpl);
        change(&mut cpu, &mut world);
        world.ram[CODE as usize..CODE as usize + code.len()].copy_from_slice(&code);
        let (before, memory) = (cpu.clone(), world.ram.clone());
        let outcome = run((&mut cpu, &mut world), Some(&code));
        let met = if let Outcome::Exception(event) = outcome { Some((event.vector, event.error_code)) } else { None };
        assert_eq!(met, Some((vector, Some(error.into()))), "{why}: {outcome:?}");
        let same = cpu.gpr == before.gpr && cpu.rip == before.rip && cpu.rflags() == before.rflags();
        assert!(same && cpu.system() == before.system() && world.ram == memory, "{why}: something has changed");
    }
}

#[test]
fn a_new_task_faults_in_its_own_context() {
    let cases: Vec<(&str, Change, u8, u16)> = vec![
        ("the LDT is data", with!(0x60: sel::DATA0), TS, sel::DATA0),
        ("the LDT lies in the LDT", with!(0x60: 0xc_u16), TS, 0xc),
        ("the LDT lies beyond the GDT", with!(0x60: 0x1000_u16), TS, 0x1000),
        ("the LDT is not present", with!(0x60: sel::ABSENT_LDT), TS, sel::ABSENT_LDT),
        ("CS is null", with!(0x4c: 0_u16), TS, 0),
        ("CS lies beyond its table", with!(0x4c: 0x1000_u16), TS, 0x1000),
        ("CS is data", with!(0x4c: sel::DATA0), TS, sel::DATA0),
        ("CS's DPL is not its RPL", with!(0x4c: sel::CODE0 | 3), TS, sel::CODE0),
        ("CS is conforming with a DPL above its RPL", with!(0x4c: sel::CONFORMING3), TS, sel::CONFORMING3),
        ("CS is not present", with!(0x4c: sel::ABSENT_CODE), NP, sel::ABSENT_CODE),
        ("SS is null", with!(0x50: 0_u16), TS, 0),
        ("SS lies beyond its table", with!(0x50: 0x1000_u16), TS, 0x1000),
        ("SS's RPL is not CPL", with!(0x50: sel::DATA0 | 3), TS, sel::DATA0),
        ("SS's DPL is not CPL", with!(0x50: sel::DATA3 & !3), TS, sel::DATA3 & !3),
        ("SS is not writable", with!(0x50: sel::READ_ONLY), TS, sel::READ_ONLY),
        ("SS is code", with!(0x50: sel::CODE0), TS, sel::CODE0),
        ("SS is not present", with!(0x50: sel::ABSENT_DATA), SS, sel::ABSENT_DATA),
        ("DS lies beyond its table", with!(0x54: 0x1000_u16), TS, 0x1000),
        ("DS cannot be read", with!(0x54: sel::EXECUTE_ONLY), TS, sel::EXECUTE_ONLY),
        ("DS's DPL is below its RPL", with!(0x54: sel::DATA0 | 3), TS, sel::DATA0),
        ("ES is a system segment", with!(0x48: sel::TSS), TS, sel::TSS),
        ("FS is not present", with!(0x58: sel::ABSENT_DATA), NP, sel::ABSENT_DATA),
        ("EIP lies beyond the limit of CS", with!(0x4c: sel::SMALL_CODE), GP, 0),
    ];
    for (why, change, vector, error) in cases {
        let (mut cpu, mut world) = prepare(0);
        change(&mut cpu, &mut world);
        let outcome = run((&mut cpu, &mut world), Some(&jmp(sel::TSS)));
        let Outcome::Exception(event) = outcome else { panic!("{why}: {outcome:?}") };
        assert_eq!((event.vector, event.error_code), (vector, Some(error.into())), "{why}");
        assert_eq!((cpu.rip, cpu.gpr[4], cpu.gpr[0]), (TARGET, 0x7000, 0x100), "{why}: the new task has begun");
        assert_eq!(cpu.system().tr.selector, sel::TSS, "{why}");
        // The old one can go on behind its JMP.
        assert_eq!(world.get(TSS + 0x20, 4), CODE + 7, "{why}");
        assert_eq!(world.get(GDT + u64::from(sel::BUSY_TSS) + 5, 1), 0x89, "{why}: it is available");
    }
}

/// What the old task's state holds: EIP, flags, registers, ES, CS, SS, DS.
fn saved(world: &World) -> Vec<u64> {
    let mut all = world.entries(TSS + 0x20, 4, 10);
    all.extend([0x48, 0x4c, 0x50, 0x54].map(|at| world.get(TSS + at, 2)));
    all
}

fn old(rip: u64, flags: u64) -> Vec<u64> {
    let mut all = vec![rip, flags];
    all.extend((0..8).map(|i| if i == 4 { STACK } else { 0x0f0f_0000 + i }));
    all.extend([sel::DATA0, sel::CODE0, sel::DATA0, sel::DATA0].map(u64::from));
    all
}

#[test]
fn jmp_call_int_and_iret_differ_in_busy_bits_link_and_nt() {
    const IF: u64 = rflags::IF | rflags::FIXED;
    let nt = rflags::NT;
    // What runs, how far behind CODE the old task goes on, whether it stays busy, whether the new task is linked.
    let cases: [(Option<Vec<u8>>, u64, bool, bool); 5] = [
        (Some(jmp(sel::TSS)), 7, false, false),
        (Some(jmp(sel::TASK_GATE)), 7, false, false),
        (Some(call(sel::TSS)), 7, true, true),
        (Some(call(sel::TASK_GATE)), 7, true, true),
        (None, 0, true, true),
    ];
    for (code, behind, busy, linked) in cases {
        let (mut cpu, mut world) = prepare(0);
        cpu.update(|s| s.dr[7] = 0x7ff);
        cpu.set_rflags(IF | nt);
        world.put(NEW, 0xdead, 2);
        let outcome = run((&mut cpu, &mut world), code.as_deref());
        assert!(matches!(outcome, Outcome::Completed(_)), "{code:x?}: {outcome:?}");
        assert_eq!(saved(&world), old(CODE + behind, IF | nt), "{code:x?}");
        let access = |selector: u16| world.get(GDT + u64::from(selector) + 5, 1);
        assert_eq!((access(sel::BUSY_TSS), access(sel::TSS)), (if busy { 0x8b } else { 0x89 }, 0xeb), "{code:x?}");
        let link = if linked { sel::BUSY_TSS } else { 0xdead };
        assert_eq!(world.get(NEW, 2), u64::from(link), "{code:x?}");
        assert_eq!(cpu.rflags(), rflags::FIXED | if linked { nt } else { 0 }, "{code:x?}");
        let system = cpu.system();
        assert_eq!((system.tr.selector, system.tr.base, system.tr.attr & 0xf), (sel::TSS, NEW, 0xb));
        assert!(system.cr0 & cr0::TS != 0 && system.dr[7] == 0x6aa, "{:x}", system.dr[7]);
        assert_eq!(system.cr3, 0, "paging is off");
        assert_eq!((cpu.rip, cpu.gpr[4], cpu.gpr[7]), (TARGET, 0x7000, 0x107));
    }
    let (mut cpu, mut world) = prepare(0);
    descriptor(&mut world, sel::TSS, NEW, 0x67, 0xeb);
    world.put(TSS, sel::TSS.into(), 2);
    cpu.set_rflags(IF | nt);
    let outcome = run((&mut cpu, &mut world), Some(&iret()));
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!(saved(&world), old(CODE + 1, IF), "NT of the task that returns is cleared");
    let access = |selector: u16| world.get(GDT + u64::from(selector) + 5, 1);
    assert_eq!((access(sel::BUSY_TSS), access(sel::TSS), cpu.rip), (0x89, 0xeb, TARGET));
}

#[test]
fn a_task_of_16_bits_has_halves_of_registers() {
    let (mut cpu, mut world) = prepare(0);
    let outcome = run((&mut cpu, &mut world), Some(&jmp(NEW16)));
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!((cpu.rip, cpu.gpr[0], cpu.gpr[4]), (TARGET, 0xffff_1111, 0xffff_7000));
    assert_eq!((cpu.seg(Seg::Fs).selector, cpu.seg(Seg::Gs).selector), (0, 0));
    // And back: 16 bits of each are saved.
    world.put(GDT + u64::from(sel::BUSY_TSS) + 5, 0x89, 1);
    for (at, selector) in [(0x4c, sel::CODE0), (0x48, sel::DATA0), (0x50, sel::DATA0), (0x54, sel::DATA0)] {
        world.put(TSS + at, selector.into(), 2);
    }
    cpu.gpr[0] = 0xabcd_1234;
    cpu.rip = CODE;
    let outcome = run((&mut cpu, &mut world), Some(&jmp(sel::BUSY_TSS)));
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!((world.get(NARROW + 0x0e, 2), world.get(NARROW + 0x12, 4)), ((CODE + 7) & 0xffff, 0x1234));
}

#[test]
fn an_exception_brings_its_error_code_and_t_its_trap() {
    let (mut cpu, mut world) = prepare(3);
    world.put(world::IDT + 13 * 8 + 2, sel::TSS.into(), 2);
    world.put(world::IDT + 13 * 8 + 5, 0x85, 1);
    world.put(NEW + 0x64, 1, 2);
    let event = Event { error_code: Some(0x1230), ..Event::gp0("a test") };
    let outcome = deliver(&mut cpu, &mut world, event);
    assert_eq!(outcome, Outcome::Completed(Retired { task_switch: true, ..Retired::default() }));
    assert_eq!(Retired { task_switch: true, ..Retired::default() }.dr6(), 1 << 15);
    assert_eq!((cpu.gpr[4], world.get(0x7000 - 4, 4)), (0x7000 - 4, 0x1230));
    assert_eq!(world.get(TSS + FLAGS, 4) & rflags::RF, rflags::RF, "a fault");
    assert_eq!(cpu.cpl(), 0);
    // JMP too.
    let (mut cpu, mut world) = prepare(0);
    world.put(NEW + 0x64, 1, 2);
    let outcome = run((&mut cpu, &mut world), Some(&jmp(sel::TSS)));
    assert_eq!(outcome, Outcome::Completed(Retired { task_switch: true, ..Retired::default() }));
    assert_eq!(cpu.pending_debug(), 0);
}
