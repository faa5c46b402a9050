//! What becomes of events: frames, stacks, exceptions on the way.

use crate::machine::*;
use encore86::cpu::registers::{efer, rflags};
use encore86::cpu::segment::{Seg, Segment};
use encore86::cpu::{Blocking, Mode};
use encore86::{Event, EventKind, Outcome};

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
