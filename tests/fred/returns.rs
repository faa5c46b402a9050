//! ERETS and ERETU.

use crate::machine::*;
use encore86::cpu::registers::rflags;
use encore86::cpu::segment::{Seg, Segment, rights};
use encore86::cpu::{Blocking, Mode};
use encore86::{Event, Retired};

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
