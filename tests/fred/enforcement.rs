//! Shadow stacks and branch tracking under FRED.

use crate::machine::*;
use encore86::cpu::registers::cr4;
use encore86::{Cpu, Event, Outcome};

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
