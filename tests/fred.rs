//! FRED (Intel's document 346446; SDM volume 3): frames, stack levels, returns, and what is refused while it is in force. No
//! processor at hand has it: every expected value is worked out by hand from the specification's text.

use encore86::cpu::registers::{cr4, efer, rflags};
use encore86::cpu::segment::{DescriptorTable, Seg, Segment, rights};
use encore86::cpu::{Blocking, Mode};
use encore86::isa::Feature;
use encore86::{Access, Bus, Cpu, Engine, Event, EventKind, Outcome, Platform, Profile, Retired, Stop};
use std::collections::BTreeMap;

const CODE: u64 = 0x1_0000;
const GDT: u64 = 0x1000;
const STACK: u64 = 0x8000;
/// Stacks of the four levels.
const LEVELS: [u64; 4] = [0x9000, 0xa000, 0xb000, 0xc000];
/// The page of the entry points, and that of ring 0.
const ENTRY3: u64 = 0x5000;
const ENTRY0: u64 = 0x5100;

const RSP0: u32 = 0x1cc;
const STKLVLS: u32 = 0x1d0;
const CONFIG: u32 = 0x1d4;
const STAR: u32 = 0xc000_0081;

/// Segments that IA32_STAR names: ring 0, and in ring 3 code of 32 bits, data, code of 64 bits.
const CS0: u64 = 0x08;
const SS0: u64 = 0x10;
const CS3_32: u64 = 0x23;
const SS3: u64 = 0x2b;
const CS3: u64 = 0x33;
/// Others, which the GDT has.
const OTHER_CS3: u16 = 0x43;
const OTHER_SS3: u16 = 0x4b;
const OTHER_CS3_32: u16 = 0x53;
const ABSENT_CS3: u16 = 0x5b;
const BOTH_L_AND_D: u16 = 0x63;
const OTHER_CS0: u16 = 0x68;
const CONFORMING_CS0: u16 = 0x70;
const READ_ONLY3: u16 = 0x7b;
const ABSENT_SS3: u16 = 0x83;
const GATE: u16 = 0x88;
const CS0_32: u16 = 0x98;
const SAME_GATE: u16 = 0xa0;
const END: u16 = 0xb0;

const GP: (u8, Option<u32>) = (13, Some(0));
const UD: (u8, Option<u32>) = (6, None);

/// Bits of the frame's SS: types of events, and 64-bit mode.
const LONG: u64 = 1 << 57;
const NESTED: u64 = 1 << 58;
const INTERRUPT: u64 = 0;
const NMI: u64 = 2 << 48;
const EXCEPTION: u64 = 3 << 48;
const SOFTWARE_INTERRUPT: u64 = 4 << 48;
const PRIVILEGED_SOFTWARE: u64 = 5 << 48;
const SOFTWARE_EXCEPTION: u64 = 6 << 48;
const OTHER: u64 = 7 << 48;
const STI_BIT: u64 = 1 << 16;
const SOFTWARE_BIT: u64 = 1 << 17;
const NMI_BIT: u64 = 1 << 18;

const fn vector(n: u64) -> u64 {
    n << 32
}

const fn length(n: u64) -> u64 {
    n << 60
}

struct Machine {
    ram: Vec<u8>,
    msrs: BTreeMap<u32, u64>,
    /// Reads of it, or writes, answer "later".
    later: Option<u32>,
    later_on_write: bool,
}

impl Machine {
    fn new() -> Machine {
        let mut machine = Machine { ram: vec![0; 0x2_0000], msrs: BTreeMap::new(), later: None, later_on_write: false };
        let flat = |access: u64| 0xffff | (access & 0xff) << 40 | 0xf << 48 | (access >> 12 & 0xf) << 52;
        let segments = [
            (OTHER_CS3, 0xa0fa),
            (OTHER_SS3, 0xc0f2),
            (OTHER_CS3_32, 0xc0fa),
            (ABSENT_CS3, 0xa07a),
            (BOTH_L_AND_D, 0xe0fa),
            (OTHER_CS0, 0xa09a),
            (CONFORMING_CS0, 0xa09e),
            (READ_ONLY3, 0xc0f0),
            (ABSENT_SS3, 0xc072),
            (CS0_32, 0xc09a),
            (CS0 as u16, 0xa09a),
            (SS0 as u16, 0xc092),
        ];
        for (selector, access) in segments {
            machine.put(GDT + u64::from(selector & !7), flat(access));
        }
        for (gate, target) in [(GATE, OTHER_CS0), (SAME_GATE, CONFORMING_CS0)] {
            machine.put(GDT + u64::from(gate), 0x6000 | u64::from(target) << 16 | 0xec << 40);
        }
        let registers = [
            (CONFIG, ENTRY3),
            (STKLVLS, 0),
            // Bits 1:0 of ring 0's selector are not used.
            (STAR, 0x0020_000b_0000_0000),
            // IA32_U_CET and IA32_S_CET enable nothing.
            (0x6a0, 0),
            (0x6a2, 0),
        ];
        machine.msrs.extend(registers);
        machine.msrs.extend((RSP0..).zip(LEVELS));
        machine
    }

    fn put(&mut self, at: u64, value: u64) {
        self.ram[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn get(&self, at: u64) -> u64 {
        u64::from_le_bytes(*self.ram[at as usize..].first_chunk().unwrap())
    }

    /// Error code, RIP, CS, RFLAGS, RSP, SS, event data, and what is reserved.
    fn frame(&self, at: u64) -> [u64; 8] {
        std::array::from_fn(|i| self.get(at + 8 * i as u64))
    }

    /// A frame for ERETS or ERETU at [`STACK`], whose first entry counts for nothing.
    fn returning(&mut self, [rip, cs, flags, rsp, ss]: [u64; 5]) {
        for (i, value) in [0xdead, rip, cs, flags, rsp, ss].into_iter().enumerate() {
            self.put(STACK + 8 * i as u64, value);
        }
    }
}

impl Bus for Machine {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.read(at, buf, access).map(|()| 15)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.probe(at, buf.len(), access)?;
        buf.copy_from_slice(&self.ram[at as usize..at as usize + buf.len()]);
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.probe(at, buf.len(), access)?;
        self.ram[at as usize..at as usize + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        match at.checked_add(len as u64) {
            Some(end) if end <= self.ram.len() as u64 => Ok(()),
            _ => {
                let user = if access.implicit || access.cpl < 3 { 0 } else { 4 };
                Err(Event::pf(user, at, "no memory").into())
            }
        }
    }
}

impl Platform for Machine {
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        if self.later == Some(index) && !self.later_on_write {
            return Err(Stop::Retry);
        }
        self.msrs.get(&index).copied().ok_or(Event::gp0("no such register").into())
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        if self.later == Some(index) {
            return Err(Stop::Retry);
        }
        self.msrs.insert(index, value);
        Ok(())
    }
}

/// A processor under FRED in ring 0 or 3, RSP at [`STACK`], in the segments of IA32_STAR.
fn cpu(cpl: u8) -> Cpu {
    let mut cpu = Cpu::new();
    let dpl = u32::from(cpl) << rights::DPL_SHIFT;
    let (cs, ss) = if cpl == 0 { (CS0, SS0) } else { (CS3, SS3) };
    cpu.update(|s| {
        s.cr4 |= cr4::FRED;
        s.gdtr = DescriptorTable { base: GDT, limit: END - 1 };
        s.seg[Seg::Cs as usize] = Segment { selector: cs as u16, attr: 0xa09b | dpl, limit: u32::MAX, base: 0 };
        s.seg[Seg::Ss as usize] = Segment { selector: ss as u16, attr: 0xc093 | dpl, limit: u32::MAX, base: 0 };
        s.seg[Seg::Gs as usize].base = 0x1111;
        s.kernel_gs_base = 0x2222;
    });
    cpu.set_rflags(rflags::IF);
    (cpu.rip, cpu.gpr[4]) = (CODE, STACK);
    cpu
}

/// Ring 3 in compatibility mode.
fn compatibility() -> Cpu {
    let mut cpu = cpu(3);
    cpu.update(|s| s.seg[Seg::Cs as usize].attr = 0xc0fb);
    cpu.update(|s| s.seg[Seg::Cs as usize].selector = CS3_32 as u16);
    assert_eq!(cpu.mode(), Mode::Compat32);
    cpu
}

fn step(cpu: &mut Cpu, machine: &mut Machine, code: &[u8]) -> Outcome {
    step_as(cpu, machine, Profile::all(), code)
}

fn step_as(cpu: &mut Cpu, machine: &mut Machine, profile: Profile, code: &[u8]) -> Outcome {
    let at = cpu.rip as usize;
    machine.ram[at..at + code.len()].copy_from_slice(code);
    Engine::integer_only(profile).step(cpu, machine)
}

fn deliver(cpu: &mut Cpu, machine: &mut Machine, event: Event) -> Outcome {
    Engine::integer_only(Profile::all()).deliver(cpu, machine, event)
}

fn done(outcome: Outcome) -> Retired {
    let Outcome::Completed(retired) = outcome else { panic!("{outcome:?}") };
    retired
}

fn fault(outcome: Outcome) -> (u8, Option<u32>) {
    let Outcome::Exception(event) = outcome else { panic!("{outcome:?}") };
    (event.vector, event.error_code)
}

/// What a step reports is delivered, as a monitor does; gives the handler's frame.
fn instruction(cpu: &mut Cpu, machine: &mut Machine, code: &[u8]) -> [u64; 8] {
    match step(cpu, machine, code) {
        Outcome::Exception(event) => done(deliver(cpu, machine, event)),
        outcome => done(outcome),
    };
    machine.frame(cpu.gpr[4])
}

const SYSCALL: &[u8] = &[0x0f, 0x05];
const SYSENTER: &[u8] = &[0x0f, 0x34];
const ERETU: &[u8] = &[0xf3, 0x0f, 0x01, 0xca];
const ERETS: &[u8] = &[0xf2, 0x0f, 0x01, 0xca];
const SWAPGS: &[u8] = &[0x0f, 0x01, 0xf8];
const SYSRET: &[u8] = &[0x48, 0x0f, 0x07];
const SYSEXIT: &[u8] = &[0x0f, 0x35];

#[test]
fn cr4_fred() {
    // MOV CR4, RAX.
    let code = &[0x0f, 0x22, 0xe0];
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    cpu.update(|s| s.cr4 &= !cr4::FRED);
    cpu.gpr[0] = cpu.system().cr4 | cr4::FRED;
    let (mut without, profile) = (cpu.clone(), Profile::all().without(Feature::Fred));
    let outcome = step_as(&mut without, &mut machine, profile, code);
    assert_eq!(fault(outcome), GP, "a reserved bit where CPUID does not have FRED");
    done(step(&mut cpu, &mut machine, code));
    assert!(cpu.system().cr4 & cr4::FRED != 0);
    // It takes effect at once: the next event goes to the entry point.
    done(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)));
    assert_eq!(cpu.rip, ENTRY0);
    // And can be cleared again, when the IDT counts, whose limit is 0 here.
    cpu.gpr[0] = cpu.system().cr4 & !cr4::FRED;
    (cpu.rip, cpu.gpr[4]) = (CODE, STACK);
    done(step(&mut cpu, &mut machine, code));
    assert_eq!(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)), Outcome::Shutdown);
    // Outside IA-32e mode the bit does nothing.
    cpu.update(|s| {
        s.cr4 |= cr4::FRED;
        s.efer &= !(efer::LMA | efer::LME);
        s.seg[Seg::Cs as usize].attr = 0xc09b;
    });
    assert_eq!(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)), Outcome::Shutdown);
}

#[test]
fn writes_of_model_specific_registers() {
    const NOT_CANONICAL: u64 = 1 << 47;
    let write = |index: u32, value: u64, profile: Profile| {
        let (mut cpu, mut machine) = (cpu(0), Machine::new());
        machine.msrs.insert(index, 0x77);
        (cpu.gpr[1], cpu.gpr[0], cpu.gpr[2]) = (index.into(), value & 0xffff_ffff, value >> 32);
        let outcome = step_as(&mut cpu, &mut machine, profile, &[0x0f, 0x30]);
        let written = machine.msrs[&index];
        match outcome {
            Outcome::Completed(_) => assert_eq!(written, value),
            outcome => assert_eq!((fault(outcome), written), (GP, 0x77)),
        }
        matches!(outcome, Outcome::Completed(_))
    };
    let all = |index, value| write(index, value, Profile::all());
    for index in 0x1cc..=0x1cf {
        assert!(all(index, 0xffff_8000_0000_0fc0), "IA32_FRED_RSP: a canonical address of a line");
        assert!((0..6).all(|bit| !all(index, 1 << bit)), "IA32_FRED_RSP: bits 5:0");
        assert!(!all(index, NOT_CANONICAL), "IA32_FRED_RSP: canonical");
    }
    assert!(all(STKLVLS, u64::MAX), "IA32_FRED_STKLVLS: any value");
    for index in 0x1d1..=0x1d3 {
        assert!(all(index, 0xffff_8000_0000_0ff8), "IA32_FRED_SSP: a canonical address of eight bytes");
        assert!((0..3).all(|bit| !all(index, 1 << bit)), "IA32_FRED_SSP: bits 2:0");
        assert!(!all(index, NOT_CANONICAL), "IA32_FRED_SSP: canonical");
    }
    // Level, red zones of both stacks, the level of interrupts and the page.
    assert!(all(CONFIG, 0xffff_8000_0000_07cb), "IA32_FRED_CONFIG: all bits that there are");
    for bit in [2, 4, 5, 11] {
        assert!(!all(CONFIG, 1 << bit), "IA32_FRED_CONFIG: bit {bit} is reserved");
    }
    assert!(!all(CONFIG, NOT_CANONICAL), "IA32_FRED_CONFIG: canonical");
    let without = || Profile::all().without(Feature::Fred);
    assert!(write(CONFIG, 4, without()), "without FRED they are the platform's own");
}

#[test]
fn an_event_of_ring_3() {
    let (mut cpu, mut machine) = (cpu(3), Machine::new());
    cpu.set_rflags(rflags::IF | rflags::AC | rflags::CF | rflags::DF | rflags::NT | rflags::ID);
    let flags = cpu.rflags();
    let (r11, ds) = (cpu.gpr[11], *cpu.seg(Seg::Ds));
    done(deliver(&mut cpu, &mut machine, Event::pf(6, 0xffff_1234_5678, "a test")));
    let frame = [6, CODE, CS3, flags | rflags::RF, STACK, SS3 | vector(14) | EXCEPTION | LONG, 0xffff_1234_5678, 0];
    assert_eq!(machine.frame(LEVELS[0] - 64), frame, "a fault's RF is set");
    assert_eq!((cpu.rip, cpu.gpr[4], cpu.rflags()), (ENTRY3, LEVELS[0] - 64, 2));
    assert_eq!((cpu.cpl(), cpu.mode(), cpu.system().cr2), (0, Mode::Long64, 0xffff_1234_5678));
    let flat = |selector, attr| Segment { selector, attr, limit: u32::MAX, base: 0 };
    assert_eq!(*cpu.seg(Seg::Cs), flat(CS0 as u16, 0xa09b));
    assert_eq!(*cpu.seg(Seg::Ss), flat(SS0 as u16, 0xc093));
    assert_eq!((*cpu.seg(Seg::Ds), cpu.gpr[11]), (ds, r11));
    assert_eq!((cpu.seg(Seg::Gs).base, cpu.system().kernel_gs_base), (0x2222, 0x1111), "GS is swapped");
    assert_eq!(machine.msrs[&CONFIG], ENTRY3);
}

#[test]
fn an_event_of_ring_0() {
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    // Other segments than those of IA32_STAR stay.
    cpu.update(|s| s.seg[Seg::Cs as usize].selector = OTHER_CS0);
    cpu.gpr[4] = STACK + 0x25;
    done(deliver(&mut cpu, &mut machine, Event { error_code: Some(0x123), ..Event::gp0("a test") }));
    let flags = rflags::IF | rflags::RF | 2;
    let frame = [0x123, CODE, u64::from(OTHER_CS0), flags, STACK + 0x25, SS0 | vector(13) | EXCEPTION | LONG, 0, 0];
    assert_eq!(machine.frame(STACK - 64), frame, "RSP is aligned to 64 bytes");
    assert_eq!((cpu.rip, cpu.gpr[4], cpu.rflags()), (ENTRY0, STACK - 64, 2));
    assert_eq!((cpu.seg(Seg::Gs).base, cpu.system().kernel_gs_base), (0x1111, 0x2222), "GS is not swapped");
    assert_eq!(cpu.seg(Seg::Cs).selector, OTHER_CS0);
}

/// What the frame tells of each kind of event, at RSP0 - 64 from ring 3.
#[test]
fn what_a_frame_tells() {
    let user = SS3 | LONG;
    let db = |kind, data| Event { data, ..Event::db(kind, "a test") };
    let fault =
        |n, code: Option<u32>| Event { error_code: code, kind: EventKind::Fault, ..Event::software(n, "a test") };
    let cases = [
        (Event::interrupt(0x81), user | vector(0x81) | INTERRUPT, 0),
        (Event::interrupt(14), user | vector(14) | INTERRUPT, 0),
        (Event::nmi(), user | vector(2) | NMI | NMI_BIT, 0),
        (fault(0, None), user | EXCEPTION, 0),
        (fault(18, None), user | vector(18) | EXCEPTION, 0),
        (fault(17, Some(0)), user | vector(17) | EXCEPTION, 0),
        (fault(7, None), user | vector(7) | EXCEPTION, 0),
        // IA32_XFD_ERR, if IA32_XFD was the reason.
        (Event { data: 0x4_0000, ..fault(7, None) }, user | vector(7) | EXCEPTION, 0x4_0000),
        // The bits of DR6, whose sticky ones of before are not told.
        (db(EventKind::Trap, 0x4002), user | vector(1) | EXCEPTION, 0x4002),
        (db(EventKind::Breakpoint, 1), user | vector(1) | EXCEPTION, 1),
        (db(EventKind::Fault, 1 << 13), user | vector(1) | EXCEPTION, 1 << 13),
        (Event::db(EventKind::Trap, "not told"), user | vector(1) | EXCEPTION, 8),
        (
            Event { length: 3, ..Event::software(0x80, "INT n") },
            user | vector(0x80) | SOFTWARE_INTERRUPT | SOFTWARE_BIT | length(3),
            0,
        ),
    ];
    for (event, ss, data) in cases {
        let (mut cpu, mut machine) = (cpu(3), Machine::new());
        cpu.update(|s| s.dr[6] = 0xffff_0ff8);
        done(deliver(&mut cpu, &mut machine, event));
        let frame = machine.frame(LEVELS[0] - 64);
        assert_eq!((frame[5], frame[6]), (ss, data), "{event:?}");
        assert_eq!(frame[0], u64::from(event.error_code.unwrap_or(0)));
        assert_eq!(frame[3] & rflags::RF != 0, event.kind == EventKind::Fault, "{event:?}");
        assert_eq!(cpu.blocking().nmi, event.kind == EventKind::Nmi);
    }
}

#[test]
fn instructions_that_are_events() {
    let cases: &[(&[u8], u64)] = &[
        (&[0xcd, 0x21], vector(0x21) | SOFTWARE_INTERRUPT | SOFTWARE_BIT | length(2)),
        (&[0x66, 0xcd, 0x03], vector(3) | SOFTWARE_INTERRUPT | SOFTWARE_BIT | length(3)),
        (&[0xcc], vector(3) | SOFTWARE_EXCEPTION | length(1)),
        (&[0xf1], vector(1) | PRIVILEGED_SOFTWARE | length(1)),
        (SYSCALL, vector(1) | OTHER | SOFTWARE_BIT | length(2)),
        (&[0x2e, 0x0f, 0x05], vector(1) | OTHER | SOFTWARE_BIT | length(3)),
        (SYSENTER, vector(2) | OTHER | SOFTWARE_BIT | length(2)),
    ];
    for &(code, info) in cases {
        for cpl in [3, 0] {
            let (mut cpu, mut machine) = (cpu(cpl), Machine::new());
            cpu.update(|s| s.dr[6] = 0xffff_4ff1);
            (cpu.gpr[1], cpu.gpr[11]) = (0xcccc, 0xbbbb);
            // Neither RF nor what STI has blocked outlives the instruction.
            cpu.set_rflags(rflags::IF | rflags::RF);
            cpu.set_blocking(Blocking { sti: true, ..Blocking::default() });
            let next = CODE + code.len() as u64;
            let frame = instruction(&mut cpu, &mut machine, code);
            let (cs, ss) = if cpl == 3 { (CS3, SS3) } else { (CS0, SS0) };
            assert_eq!(frame, [0, next, cs, rflags::IF | 2, STACK, ss | info | LONG, 0, 0], "{code:x?} in ring {cpl}");
            let (rip, rsp) = if cpl == 3 { (ENTRY3, LEVELS[0]) } else { (ENTRY0, STACK) };
            assert_eq!((cpu.rip, cpu.gpr[4], cpu.rflags(), cpu.blocking()), (rip, rsp - 64, 2, Blocking::default()));
            assert_eq!((cpu.gpr[1], cpu.gpr[11]), (0xcccc, 0xbbbb), "SYSCALL changes neither RCX nor R11");
        }
    }
    // INTO and SYSENTER in compatibility mode, where bit 57 is clear.
    for (code, info) in [
        (&[0xce][..], vector(4) | SOFTWARE_EXCEPTION | length(1)),
        (SYSENTER, vector(2) | OTHER | SOFTWARE_BIT | length(2)),
    ] {
        let (mut cpu, mut machine) = (compatibility(), Machine::new());
        cpu.set_rflags(rflags::OF);
        let frame = instruction(&mut cpu, &mut machine, code);
        assert_eq!(frame[1..6], [CODE + code.len() as u64, CS3_32, rflags::OF | 2, STACK, SS3 | info]);
        assert_eq!((cpu.mode(), cpu.cpl(), cpu.rip), (Mode::Long64, 0, ENTRY3));
    }
    // SYSCALL without EFER.SCE. SYSENTER asks for nothing: IA32_SYSENTER_CS does not exist here.
    let (mut cpu, mut machine) = (cpu(3), Machine::new());
    cpu.update(|s| s.efer &= !efer::SCE);
    assert_eq!(fault(step(&mut cpu, &mut machine, SYSCALL)), UD);
}

#[test]
fn tf_comes_to_no_trap_behind_a_system_call() {
    for code in [SYSCALL, SYSENTER] {
        let (mut cpu, mut machine) = (cpu(3), Machine::new());
        cpu.set_rflags(rflags::TF);
        let retired = done(step(&mut cpu, &mut machine, code));
        assert!(!retired.singlestep);
        assert_eq!(machine.frame(cpu.gpr[4])[3], rflags::TF | 2, "the frame has it");
    }
}

#[test]
fn blocking_by_sti_is_told() {
    let blocked = Blocking { sti: true, ..Blocking::default() };
    for (event, told) in [(Event::ud("a test"), true), (Event::nmi(), true), (Event::software(3, "INT n"), false)] {
        let (mut cpu, mut machine) = (cpu(0), Machine::new());
        cpu.set_blocking(blocked);
        done(deliver(&mut cpu, &mut machine, event));
        assert_eq!(machine.frame(STACK - 64)[5] & STI_BIT != 0, told, "{event:?}");
        assert!(!cpu.blocking().sti);
    }
}

#[test]
fn the_red_zone() {
    // RSP - 64 * bits 8:6, then aligned.
    for (lines, rsp, frame) in [(0, STACK, STACK - 64), (1, STACK, STACK - 128), (7, STACK + 63, STACK - 512)] {
        let (mut cpu, mut machine) = (cpu(0), Machine::new());
        machine.msrs.insert(CONFIG, ENTRY3 | lines << 6);
        cpu.gpr[4] = rsp;
        done(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)));
        assert_eq!(cpu.gpr[4], frame, "{lines} lines below {rsp:#x}");
    }
    // A stack that is changed has none.
    let (mut cpu, mut machine) = (cpu(3), Machine::new());
    machine.msrs.insert(CONFIG, ENTRY3 | 7 << 6);
    done(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)));
    assert_eq!(cpu.gpr[4], LEVELS[0] - 64);
}

#[test]
fn stack_levels() {
    // Vector 2 has level 3, 14 level 2, 8 level 3, 1 level 1; interrupts have level 1.
    let levels = 3 << 4 | 2 << 28 | 3 << 16 | 1 << 2;
    let nested = |event| Event { nested: true, ..event };
    let pf = || Event::pf(0, 0, "a test");
    let int1 = Event { length: 1, ..Event::db(EventKind::Trap, "INT1") };
    // Ring, current level, event, level.
    let cases = [
        (0, 0, Event::nmi(), 3),
        (0, 0, pf(), 2),
        (0, 1, pf(), 2),
        (0, 2, pf(), 2),
        (0, 3, pf(), 3),
        (0, 0, Event::interrupt(14), 1),
        (0, 2, Event::interrupt(0x80), 2),
        (0, 0, Event::ud("a test"), 0),
        (0, 0, Event::db(EventKind::Trap, "a test"), 1),
        (0, 0, int1, 1),
        (0, 0, Event::software(14, "INT n"), 0),
        (0, 1, Event::software(14, "INT n"), 1),
        (0, 0, Event::df("a test"), 3),
        // From ring 3 it is 0, but for what a delivery has met.
        (3, 0, Event::nmi(), 0),
        (3, 0, pf(), 0),
        (3, 0, Event::interrupt(0x80), 0),
        (3, 0, nested(pf()), 2),
        (3, 0, Event::df("a test"), 3),
        (3, 0, Event::software(8, "INT n"), 0),
    ];
    for (cpl, current, event, level) in cases {
        let (mut cpu, mut machine) = (cpu(cpl), Machine::new());
        machine.msrs.insert(STKLVLS, levels);
        let config = ENTRY3 | 1 << 9;
        machine.msrs.insert(CONFIG, config | current);
        done(deliver(&mut cpu, &mut machine, event));
        assert_eq!(machine.msrs[&CONFIG], config | level, "{event:?} in ring {cpl}, level {current}");
        let stack = if cpl == 3 || level > current { LEVELS[level as usize] } else { STACK };
        assert_eq!(cpu.gpr[4], stack - 64, "{event:?} in ring {cpl}, level {current}");
        let told = machine.frame(cpu.gpr[4])[2] >> 16;
        assert_eq!(told, if cpl == 0 { current } else { 0 }, "the frame has the level of before");
    }
}

#[test]
fn exceptions_on_the_way() {
    const NOWHERE: u64 = 0x7000_0000;
    const WILD: u64 = 0x8000_0000_1000;
    let levels = 2 << 28 | 3 << 16;
    // #UD of ring 3 finds no stack 0: #PF, nested, on its own stack.
    let (mut cpu, mut machine) = (cpu(3), Machine::new());
    machine.msrs.extend([(STKLVLS, levels), (RSP0, NOWHERE)]);
    done(deliver(&mut cpu, &mut machine, Event::ud("a test")));
    let flags = rflags::IF | rflags::RF | 2;
    let info = SS3 | vector(14) | EXCEPTION | LONG | NESTED;
    // The frame is probed from its top.
    let frame = [0, CODE, CS3, flags, STACK, info, NOWHERE - 8, 0];
    assert_eq!(machine.frame(LEVELS[2] - 64), frame, "of the program that was interrupted");
    assert_eq!((cpu.system().cr2, machine.msrs[&CONFIG]), (NOWHERE - 8, ENTRY3 | 2));
    assert_eq!((cpu.seg(Seg::Gs).base, cpu.system().kernel_gs_base), (0x2222, 0x1111), "swapped once");

    // INT n: RIP is the instruction's again, and its length is not told.
    let (mut cpu, mut machine) = (self::cpu(3), Machine::new());
    machine.msrs.extend([(STKLVLS, levels), (RSP0, NOWHERE)]);
    let frame = instruction(&mut cpu, &mut machine, &[0xcd, 0x80]);
    assert_eq!((frame[1], frame[5]), (CODE, info));
    // So it is with SYSCALL, which a step reports.
    let (mut cpu, mut machine) = (self::cpu(3), Machine::new());
    machine.msrs.extend([(STKLVLS, levels), (RSP0, NOWHERE)]);
    let before = cpu.clone();
    let Outcome::Exception(event) = step(&mut cpu, &mut machine, SYSCALL) else { panic!() };
    assert_eq!((event.vector, event.error_code, event.cr2), (14, Some(0), Some(NOWHERE - 8)), "a supervisor's access");
    assert_eq!((cpu.gpr, cpu.rip, cpu.rflags()), (before.gpr, before.rip, before.rflags()));
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Gs).base), (3, 0x1111));
    done(deliver(&mut cpu, &mut machine, event));
    let frame = machine.frame(LEVELS[2] - 64);
    assert_eq!((frame[1], frame[5]), (CODE, info));

    // Two page faults: a double fault, which is not told to be nested.
    let (mut cpu, mut machine) = (self::cpu(3), Machine::new());
    machine.msrs.extend([(STKLVLS, levels), (RSP0, NOWHERE)]);
    done(deliver(&mut cpu, &mut machine, Event::pf(4, 0, "a test")));
    assert_eq!(machine.frame(LEVELS[3] - 64)[5], SS3 | vector(8) | EXCEPTION | LONG);
    // In ring 0 as well; an RSP that is not canonical is #SS(0), a contributory exception.
    let (mut cpu, mut machine) = (self::cpu(0), Machine::new());
    machine.msrs.insert(STKLVLS, levels);
    cpu.gpr[4] = WILD;
    done(deliver(&mut cpu, &mut machine, Event::ts0("a test")));
    assert_eq!(machine.frame(LEVELS[3] - 64)[4..6], [WILD, SS0 | vector(8) | EXCEPTION | LONG]);
    let (mut cpu, mut machine) = (self::cpu(0), Machine::new());
    machine.msrs.insert(STKLVLS, 1 << 24);
    cpu.gpr[4] = WILD;
    done(deliver(&mut cpu, &mut machine, Event::software(0x80, "INT n")));
    let frame = machine.frame(LEVELS[1] - 64);
    assert_eq!((frame[0], frame[5]), (0, SS0 | vector(12) | EXCEPTION | LONG | NESTED));
    // And the third is the end.
    let (mut cpu, mut machine) = (self::cpu(3), Machine::new());
    machine.msrs.insert(RSP0, NOWHERE);
    assert_eq!(deliver(&mut cpu, &mut machine, Event::gp0("a test")), Outcome::Shutdown);
}

#[test]
fn a_platform_that_answers_later_is_asked_again() {
    for (index, retried) in [(CONFIG, true), (STAR, true), (RSP0, true), (0x1cf, false)] {
        let (mut cpu, mut machine) = (cpu(3), Machine::new());
        machine.later = Some(index);
        let before = cpu.clone();
        let outcome = deliver(&mut cpu, &mut machine, Event::ud("a test"));
        if retried {
            assert_eq!(outcome, Outcome::Retry);
            assert_eq!((cpu.gpr, cpu.rip, cpu.system()), (before.gpr, before.rip, before.system()));
            machine.later = None;
            done(deliver(&mut cpu, &mut machine, Event::ud("a test")));
        }
        assert_eq!(cpu.rip, ENTRY3);
    }
}

#[test]
fn erets_goes_back() {
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    machine.msrs.insert(CONFIG, ENTRY3 | 2);
    cpu.set_blocking(Blocking { nmi: true, ..Blocking::default() });
    let flags = rflags::IF | rflags::RF | rflags::IOPL | rflags::ID | rflags::NT | 0x8d5 | 2;
    // What the frame tells of the event counts for nothing.
    machine.returning([
        0x1_2000,
        CS0 | 1 << 16,
        flags,
        0x7008,
        SS0 | vector(14) | EXCEPTION | LONG | NESTED | length(5),
    ]);
    let retired = done(step(&mut cpu, &mut machine, ERETS));
    assert_eq!((cpu.rip, cpu.gpr[4], cpu.rflags()), (0x1_2000, 0x7008, flags));
    assert_eq!(machine.msrs[&CONFIG], ENTRY3 | 1, "the stack level of the frame");
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Gs).base, retired), (0, 0x1111, Retired::default()));
    assert!(cpu.blocking().nmi, "NMIs stay blocked");
}

/// Before a program has run, ring 0 may have a null SS; its events leave SS alone, and ERETS finds the same.
#[test]
fn a_null_ss_of_ring_0_stays() {
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    cpu.update(|s| s.seg[Seg::Ss as usize] = Segment { selector: 0, attr: rights::UNUSABLE, limit: 0, base: 0 });
    let before = cpu.clone();
    done(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)));
    assert_eq!(machine.frame(STACK - 64)[5], vector(0x80) | INTERRUPT | LONG);
    assert_eq!(cpu.seg(Seg::Ss), before.seg(Seg::Ss));
    done(step(&mut cpu, &mut machine, ERETS));
    assert_eq!(
        (cpu.gpr, cpu.rip, cpu.rflags(), cpu.system()),
        (before.gpr, before.rip, before.rflags(), before.system())
    );
}

#[test]
fn faults_of_erets() {
    let good = [0x1_2000, CS0, 2, 0x7000, SS0];
    let with = |i: usize, value: u64| {
        let mut frame = good;
        frame[i] = value;
        frame
    };
    let mut cases = vec![
        ("RIP is not canonical", with(0, 1 << 47)),
        ("another CS", with(1, u64::from(OTHER_CS0))),
        ("CS of ring 3", with(1, CS3)),
        ("another SS", with(4, SS3)),
        ("a null SS", with(4, 0)),
        ("a greater stack level", with(1, CS0 | 2 << 16)),
        ("bit 1 of RFLAGS is clear", with(2, 0)),
        ("RFLAGS.VM", with(2, 2 | rflags::VM)),
    ];
    cases.extend([3, 5, 15, 22, 63].map(|bit| ("a reserved bit of RFLAGS", with(2, 2 | 1 << bit))));
    for (why, frame) in cases {
        let (mut cpu, mut machine) = (cpu(0), Machine::new());
        machine.msrs.insert(CONFIG, ENTRY3 | 1);
        machine.returning(frame);
        refused(&mut cpu, &mut machine, ERETS, GP, why);
        assert_eq!(machine.msrs[&CONFIG], ENTRY3 | 1);
    }
    // The stack itself.
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    cpu.gpr[4] = 1 << 47;
    refused(&mut cpu, &mut machine, ERETS, (12, Some(0)), "RSP is not canonical");
    cpu.gpr[4] = 0x7000_0000;
    refused(&mut cpu, &mut machine, ERETS, (14, Some(0)), "no page");
}

/// The fault, and nothing changed.
fn refused(cpu: &mut Cpu, machine: &mut Machine, code: &[u8], with: (u8, Option<u32>), why: &str) {
    let before = cpu.clone();
    assert_eq!(fault(step(cpu, machine, code)), with, "{why}");
    // CR2 is the fault's own.
    cpu.update(|s| s.cr2 = before.system().cr2);
    let same = (cpu.gpr, cpu.rip, cpu.rflags(), cpu.blocking())
        == (before.gpr, before.rip, before.rflags(), before.blocking());
    assert!(same && cpu.system() == before.system(), "{why}");
}

#[test]
fn eretu_goes_to_ring_3() {
    let flags = rflags::IF | rflags::RF | rflags::AC | 2;
    let user = |selector: u64, attr| Segment { selector: selector as u16, attr, limit: u32::MAX, base: 0 };
    // The segments of IA32_STAR are flat whatever the descriptors say: here there are none.
    for (cs, attr, mode) in [(CS3, 0xa0fb, Mode::Long64), (CS3_32, 0xc0fb, Mode::Compat32)] {
        let (mut cpu, mut machine) = (cpu(0), Machine::new());
        machine.returning([0x1_2000, cs | 3 << 16, flags, 0x7008, SS3 | vector(1) | OTHER | length(2)]);
        let ds = *cpu.seg(Seg::Ds);
        done(step(&mut cpu, &mut machine, ERETU));
        assert_eq!((*cpu.seg(Seg::Cs), *cpu.seg(Seg::Ss)), (user(cs, attr), user(SS3, 0xc0f3)));
        assert_eq!((cpu.mode(), cpu.cpl(), cpu.rip, cpu.gpr[4], cpu.rflags()), (mode, 3, 0x1_2000, 0x7008, flags));
        assert_eq!((cpu.seg(Seg::Gs).base, cpu.system().kernel_gs_base), (0x2222, 0x1111), "GS is swapped");
        assert_eq!(*cpu.seg(Seg::Ds), ds);
    }
    // Others come from the descriptor tables, and are marked as accessed.
    for (cs, attr, mode) in [(OTHER_CS3, 0xa0fb, Mode::Long64), (OTHER_CS3_32, 0xc0fb, Mode::Compat32)] {
        let (mut cpu, mut machine) = (cpu(0), Machine::new());
        machine.returning([0x1_2000, cs.into(), flags, 0x7008, OTHER_SS3.into()]);
        done(step(&mut cpu, &mut machine, ERETU));
        assert_eq!((*cpu.seg(Seg::Cs), *cpu.seg(Seg::Ss)), (user(cs.into(), attr), user(OTHER_SS3.into(), 0xc0f3)));
        assert_eq!((cpu.mode(), cpu.cpl(), cpu.rip, cpu.gpr[4]), (mode, 3, 0x1_2000, 0x7008));
        assert_eq!(machine.get(GDT + u64::from(cs & !7)) >> 40 & 1, 1);
        assert_eq!(machine.get(GDT + u64::from(OTHER_SS3 & !7)) >> 40 & 1, 1);
    }
    // Only together are they IA32_STAR's: this SS is looked up, and is not there.
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    machine.returning([0x1_2000, CS3, flags, 0x7008, OTHER_SS3.into()]);
    refused(&mut cpu, &mut machine, ERETU, (13, Some(0x30)), "CS of IA32_STAR with another SS");
}

#[test]
fn faults_of_eretu() {
    let good = [0x1_2000, CS3, 2, 0x7000, SS3];
    let with = |i: usize, value: u64| {
        let mut frame = good;
        frame[i] = value;
        frame
    };
    let other = |cs: u16, ss: u16| [0x1_2000, cs.into(), 2, 0x7000, ss.into()];
    let gp = |selector: u16| (13, Some(u32::from(selector & !3)));
    let mut cases = vec![
        ("RIP is not canonical in 64-bit mode", with(0, 1 << 47), GP),
        ("bit 1 of RFLAGS is clear", with(2, 0), GP),
        ("RFLAGS.VM", with(2, 2 | rflags::VM), GP),
        ("IOPL", with(2, 2 | 1 << 12), GP),
        ("a null CS", other(0, OTHER_SS3), GP),
        ("CS beyond its table", other(0x1003, OTHER_SS3), gp(0x1000)),
        ("CS of ring 0", other(OTHER_CS0, OTHER_SS3), gp(OTHER_CS0)),
        ("RPL is not 3", other(OTHER_CS3 & !3 | 1, OTHER_SS3), gp(OTHER_CS3)),
        ("CS is data", other(OTHER_SS3, OTHER_SS3), gp(OTHER_SS3)),
        ("DPL is not 3", other(OTHER_CS0 | 3, OTHER_SS3), gp(OTHER_CS0)),
        ("both L and D", other(BOTH_L_AND_D, OTHER_SS3), gp(BOTH_L_AND_D)),
        ("CS is not present", other(ABSENT_CS3, OTHER_SS3), (11, Some(u32::from(ABSENT_CS3 & !3)))),
        ("a null SS", other(OTHER_CS3, 0), GP),
        ("a null SS with RPL 3", other(OTHER_CS3, 3), GP),
        ("RPL of SS", other(OTHER_CS3, OTHER_SS3 & !3), gp(OTHER_SS3)),
        ("DPL of SS", other(OTHER_CS3, SS0 as u16 | 3), gp(SS0 as u16)),
        ("SS is read-only", other(OTHER_CS3, READ_ONLY3), gp(READ_ONLY3)),
        ("SS is code", other(OTHER_CS3, OTHER_CS3), gp(OTHER_CS3)),
        ("SS is not present", other(OTHER_CS3, ABSENT_SS3), (12, Some(u32::from(ABSENT_SS3 & !3)))),
    ];
    cases.extend([3, 5, 15, 22, 63].map(|bit| ("a reserved bit of RFLAGS", with(2, 2 | 1 << bit), GP)));
    for (why, frame, expected) in cases {
        let (mut cpu, mut machine) = (cpu(0), Machine::new());
        machine.returning(frame);
        refused(&mut cpu, &mut machine, ERETU, expected, why);
    }
    // A conforming segment keeps its DPL of 0.
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    machine.returning(other(CONFORMING_CS0 | 3, OTHER_SS3));
    done(step(&mut cpu, &mut machine, ERETU));
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Cs).selector), (3, CONFORMING_CS0 | 3));
    for level in 1..4 {
        let (mut cpu, mut machine) = (self::cpu(0), Machine::new());
        machine.msrs.insert(CONFIG, ENTRY3 | level);
        machine.returning(good);
        refused(&mut cpu, &mut machine, ERETU, GP, "the stack level is not 0");
    }
}

#[test]
fn what_a_return_ends_and_begins() {
    for (code, cs, ss) in [(ERETS, CS0, SS0), (ERETU, CS3, SS3)] {
        let run = |flags: u64, info: u64, blocked: bool| {
            let (mut cpu, mut machine) = (cpu(0), Machine::new());
            cpu.set_blocking(Blocking { nmi: blocked, ..Blocking::default() });
            machine.returning([0x1_2000, cs, flags | 2, 0x7000, ss | info]);
            let retired = done(step(&mut cpu, &mut machine, code));
            assert_eq!(cpu.rip, 0x1_2000);
            (retired, cpu.blocking(), cpu.pending_debug())
        };
        // NMIs come again by bit 18 alone.
        let (retired, blocking, _) = run(0, NMI_BIT, true);
        assert!(retired.nmi_unblocked && !blocking.nmi);
        let (retired, blocking, _) = run(0, !(NMI_BIT | 0xffff), true);
        assert!(!retired.nmi_unblocked && blocking.nmi);
        assert!(!run(0, NMI_BIT, false).0.nmi_unblocked);
        // TF traps before the next instruction by bit 17, else behind it.
        let (retired, _, pending) = run(rflags::TF, SOFTWARE_BIT, false);
        assert!(retired.singlestep && retired.dr6() == 1 << 14 && pending == 0);
        assert!(!run(0, SOFTWARE_BIT, false).0.singlestep);
        assert!(!run(rflags::TF, 0, false).0.singlestep);
        // STI goes on to block by bit 16, if IF is set, in ring 0.
        let (retired, blocking, _) = run(rflags::IF, STI_BIT, false);
        assert_eq!((retired.sti, blocking.sti), (code == ERETS, code == ERETS));
        assert!(!run(0, STI_BIT, false).1.sti);
        assert!(!run(rflags::IF, 0, false).1.sti);
    }
}

#[test]
fn a_return_that_faults_leaves_nmis_blocked() {
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    cpu.set_blocking(Blocking { nmi: true, ..Blocking::default() });
    machine.returning([1 << 47, CS3, 2, 0x7000, SS3 | NMI_BIT]);
    refused(&mut cpu, &mut machine, ERETU, GP, "RIP is not canonical");
}

#[test]
fn there_and_back() {
    // A fault of ring 3, an interrupt in its handler on the next stack, and both returns: all is as before.
    let (mut cpu, mut machine) = (cpu(3), Machine::new());
    machine.msrs.insert(CONFIG, ENTRY3 | 1 << 9);
    cpu.set_rflags(rflags::IF | rflags::ZF);
    let before = cpu.clone();
    done(deliver(&mut cpu, &mut machine, Event::ud("a test")));
    let handler = cpu.clone();
    done(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)));
    assert_eq!((cpu.gpr[4], machine.msrs[&CONFIG]), (LEVELS[1] - 64, ENTRY3 | 1 << 9 | 1));
    done(step(&mut cpu, &mut machine, ERETS));
    assert_eq!(
        (cpu.gpr, cpu.rip, cpu.rflags(), cpu.system()),
        (handler.gpr, handler.rip, handler.rflags(), handler.system())
    );
    assert_eq!(machine.msrs[&CONFIG], ENTRY3 | 1 << 9);
    done(step(&mut cpu, &mut machine, ERETU));
    assert_eq!((cpu.gpr, cpu.rip, cpu.rflags()), (before.gpr, before.rip, before.rflags() | rflags::RF));
    assert_eq!(cpu.system().seg, before.system().seg);
}

#[test]
fn instructions_that_are_not_recognised() {
    // SETSSBSY, CLRSSBSY [RAX].
    let shadow: [&[u8]; 2] = [&[0xf3, 0x0f, 0x01, 0xe8], &[0xf3, 0x0f, 0xae, 0x30]];
    for code in [SWAPGS, SYSRET, SYSEXIT, shadow[0], shadow[1]] {
        for cpl in [0, 3] {
            let (mut cpu, mut machine) = (cpu(cpl), Machine::new());
            cpu.update(|s| s.cr4 |= cr4::CET);
            refused(&mut cpu, &mut machine, code, UD, &format!("{code:x?} at CPL {cpl}"));
        }
    }
    // Without FRED SWAPGS is what it was, and the returns are not recognised.
    for (code, cpl, expected) in [(ERETS, 0, UD), (ERETU, 0, UD), (ERETS, 3, UD), (SWAPGS, 3, GP)] {
        let (mut cpu, mut machine) = (cpu(cpl), Machine::new());
        cpu.update(|s| s.cr4 &= !cr4::FRED);
        refused(&mut cpu, &mut machine, code, expected, "without FRED");
    }
    for code in [ERETS, ERETU] {
        let (mut cpu, mut machine) = (cpu(3), Machine::new());
        refused(&mut cpu, &mut machine, code, GP, "ERETS and ERETU at CPL 3");
        let (mut cpu, mut machine) = (compatibility(), Machine::new());
        refused(&mut cpu, &mut machine, code, UD, "ERETS and ERETU outside 64-bit mode");
    }
    // LKGS, which takes SWAPGS's place.
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    cpu.gpr[0] = OTHER_SS3.into();
    done(step(&mut cpu, &mut machine, &[0xf2, 0x0f, 0x00, 0xf0]));
    assert_eq!((cpu.seg(Seg::Gs).selector, cpu.seg(Seg::Gs).base, cpu.system().kernel_gs_base), (OTHER_SS3, 0x1111, 0));
}

#[test]
fn far_transfers_keep_the_ring() {
    // RETF and IRETQ from ring 0 to ring 3.
    for (code, entries) in [
        (&[0x48, 0xcb][..], vec![0x1_2000, u64::from(OTHER_CS3), 0x7000, u64::from(OTHER_SS3)]),
        (&[0x48, 0xcf], vec![0x1_2000, u64::from(OTHER_CS3), 2, 0x7000, u64::from(OTHER_SS3)]),
    ] {
        let (mut cpu, mut machine) = (cpu(0), Machine::new());
        for (i, value) in entries.into_iter().enumerate() {
            machine.put(STACK + 8 * i as u64, value);
        }
        refused(&mut cpu, &mut machine, code, (13, Some(u32::from(OTHER_CS3 & !3))), "a return to ring 3");
        cpu.update(|s| s.cr4 &= !cr4::FRED);
        done(step(&mut cpu, &mut machine, code));
        assert_eq!(cpu.cpl(), 3, "which goes without FRED");
    }
    // Within a ring they work, in 64-bit mode; ring 0 has no other.
    for (selector, expected) in [(OTHER_CS0, None), (CS0_32, Some((13, Some(u32::from(CS0_32)))))] {
        for (code, entries) in [
            (&[0x48, 0xcb][..], vec![0x1_2000, selector.into()]),
            (&[0x48, 0xcf], vec![0x1_2000, selector.into(), 2, 0x7000, SS0]),
            // JMP [RAX].
            (&[0x48, 0xff, 0x28], vec![0x1_2000, selector.into()]),
        ] {
            let (mut cpu, mut machine) = (cpu(0), Machine::new());
            for (i, value) in entries.into_iter().enumerate() {
                machine.put(STACK + 8 * i as u64, value);
            }
            cpu.gpr[0] = STACK;
            match expected {
                Some(fault) => refused(&mut cpu, &mut machine, code, fault, "to compatibility mode at CPL 0"),
                None => {
                    done(step(&mut cpu, &mut machine, code));
                    assert_eq!((cpu.rip, cpu.seg(Seg::Cs).selector), (0x1_2000, selector));
                }
            }
        }
    }
    // CALL through a gate: not to more privilege.
    let call = |selector: u16| {
        let (mut cpu, mut machine) = (cpu(3), Machine::new());
        machine.put(STACK + 0x100, u64::from(selector) << 32);
        cpu.gpr[0] = STACK + 0x100;
        (cpu, machine)
    };
    let (mut cpu, mut machine) = call(GATE);
    refused(&mut cpu, &mut machine, &[0xff, 0x18], (13, Some(u32::from(OTHER_CS0))), "a call to ring 0");
    let (mut cpu, mut machine) = call(SAME_GATE);
    done(step(&mut cpu, &mut machine, &[0xff, 0x18]));
    assert_eq!((cpu.rip, cpu.cpl(), cpu.seg(Seg::Cs).selector), (0x6000, 3, CONFORMING_CS0 | 3));
}

#[test]
fn states_that_fred_has_not_are_named() {
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    cpu.update(|s| s.seg[Seg::Cs as usize].attr = 0xc09b);
    assert!(matches!(deliver(&mut cpu, &mut machine, Event::ud("a test")), Outcome::Unsupported(_)));
    let (mut cpu, mut machine) = (self::cpu(1), Machine::new());
    assert!(matches!(deliver(&mut cpu, &mut machine, Event::ud("a test")), Outcome::Unsupported(_)));
}

#[test]
fn debug_exceptions_tell_their_own_bits() {
    // DR0 on the instruction, with a bit of DR6 from before.
    let (mut cpu, mut machine) = (cpu(0), Machine::new());
    cpu.update(|s| (s.dr[0], s.dr[6], s.dr[7]) = (CODE, 0xffff_0ff8, 0x402));
    let frame = instruction(&mut cpu, &mut machine, &[0x90]);
    assert_eq!((frame[1], frame[6], cpu.system().dr[6]), (CODE, 1, 0xffff_0ff9));
    // DR7.GD, which the exception clears.
    let (mut cpu, mut machine) = (self::cpu(0), Machine::new());
    cpu.update(|s| s.dr[7] = 0x2400);
    let frame = instruction(&mut cpu, &mut machine, &[0x0f, 0x21, 0xc0]);
    assert_eq!((frame[6], cpu.system().dr[7]), (1 << 13, 0x400));
    // TF and a breakpoint on data.
    let (mut cpu, mut machine) = (self::cpu(0), Machine::new());
    cpu.update(|s| (s.dr[1], s.dr[7]) = (0x6000, 0x0010_0404));
    cpu.set_rflags(rflags::TF);
    cpu.gpr[0] = 0x6000;
    let event = done(step(&mut cpu, &mut machine, &[0x88, 0x00])).debug().unwrap();
    done(deliver(&mut cpu, &mut machine, event));
    let frame = machine.frame(cpu.gpr[4]);
    assert_eq!((frame[1], frame[3], frame[6]), (CODE + 2, rflags::TF | 2, 0x4002));
}

const U_CET: u32 = 0x6a0;
const S_CET: u32 = 0x6a2;
const PL3_SSP: u32 = 0x6a7;
const SH_STK_EN: u64 = 1;
const ENDBR_EN: u64 = 4;
const SUPPRESS: u64 = 1 << 10;
const TRACKER: u64 = 1 << 11;
/// In the frame's CS: the tracker waits for an ENDBRANCH.
const WAITS: u64 = 1 << 18;

/// The same under CR4.CET.
fn enforced(cpl: u8) -> Cpu {
    let mut cpu = cpu(cpl);
    cpu.update(|s| s.cr4 |= cr4::CET);
    cpu
}

#[test]
fn the_shadow_stack_of_a_program_is_kept() {
    for code in [&[0x0f, 0x0b][..], SYSCALL, SYSENTER] {
        let (mut cpu, mut machine) = (enforced(3), Machine::new());
        machine.msrs.extend([(U_CET, SH_STK_EN), (PL3_SSP, 0)]);
        cpu.update(|s| s.ssp = 0x7010);
        instruction(&mut cpu, &mut machine, code);
        assert_eq!((machine.msrs[&PL3_SSP], cpu.rip), (0x7010, ENTRY3));
        machine.msrs.insert(PL3_SSP, 0x7020);
        done(step(&mut cpu, &mut machine, ERETU));
        assert_eq!((cpu.cpl(), cpu.system().ssp), (3, 0x7020));
    }
    // Compatibility mode has none above 4 GiB.
    let (mut cpu, mut machine) = (enforced(0), Machine::new());
    machine.msrs.extend([(U_CET, SH_STK_EN), (PL3_SSP, 1 << 32)]);
    machine.returning([0x1_2000, CS3_32, 2, 0x7000, SS3]);
    refused(&mut cpu, &mut machine, ERETU, GP, "SSP above 4 GiB in compatibility mode");
}

#[test]
fn the_supervisors_tracker_waits_and_goes_on() {
    // At the entry point it waits, from either ring; in ring 0 the frame has what it was.
    for (cpl, before, told) in [
        (3, ENDBR_EN, 0),
        (3, ENDBR_EN | TRACKER, 0),
        (0, ENDBR_EN, 0),
        (0, ENDBR_EN | SUPPRESS, 0),
        (0, ENDBR_EN | TRACKER, WAITS),
    ] {
        let (mut cpu, mut machine) = (enforced(cpl), Machine::new());
        machine.msrs.insert(S_CET, before);
        done(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)));
        assert_eq!(machine.msrs[&S_CET], ENDBR_EN | TRACKER);
        assert_eq!(machine.frame(cpu.gpr[4])[2] & WAITS, told, "ring {cpl}, {before:#x}");
    }
    // ERETS has it wait again, or not.
    for (waits, after) in [(WAITS, ENDBR_EN | TRACKER), (0, ENDBR_EN)] {
        let (mut cpu, mut machine) = (enforced(0), Machine::new());
        machine.msrs.insert(S_CET, ENDBR_EN);
        machine.returning([0x1_2000, CS0 | waits, 2, 0x7000, SS0]);
        done(step(&mut cpu, &mut machine, ERETS));
        assert_eq!((machine.msrs[&S_CET], cpu.rip), (after, 0x1_2000));
    }
    // Where nothing is tracked, nothing waits.
    let (mut cpu, mut machine) = (enforced(0), Machine::new());
    machine.msrs.insert(S_CET, TRACKER);
    done(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)));
    assert_eq!((machine.msrs[&S_CET], machine.frame(cpu.gpr[4])[2]), (TRACKER, CS0));
    // A platform that cannot write the stack level yet: the tracker is what it was, for the next try.
    let (mut cpu, mut machine) = (enforced(0), Machine::new());
    machine.msrs.extend([(S_CET, ENDBR_EN), (CONFIG, ENTRY3 | 1 << 9)]);
    (machine.later, machine.later_on_write) = (Some(CONFIG), true);
    assert_eq!(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)), Outcome::Retry);
    assert_eq!(machine.msrs[&S_CET], ENDBR_EN);
    machine.later = None;
    done(deliver(&mut cpu, &mut machine, Event::interrupt(0x80)));
    assert_eq!((machine.frame(cpu.gpr[4])[2], machine.msrs[&CONFIG]), (CS0, ENTRY3 | 1 << 9 | 1));
}

/// Their tokens and frames are not done, and nothing is done by halves.
#[test]
fn shadow_stacks_of_the_supervisor_are_named() {
    for code in [SYSCALL, ERETS, ERETU] {
        let (mut cpu, mut machine) = (enforced(0), Machine::new());
        machine.msrs.insert(S_CET, SH_STK_EN);
        let before = cpu.clone();
        let outcome = step(&mut cpu, &mut machine, code);
        assert!(matches!(outcome, Outcome::Unsupported(_)), "{outcome:?}");
        assert_eq!((cpu.gpr, cpu.rip, cpu.system()), (before.gpr, before.rip, before.system()));
        let outcome = deliver(&mut cpu, &mut machine, Event::ud("a test"));
        assert!(matches!(outcome, Outcome::Unsupported(_)), "{outcome:?}");
    }
}
