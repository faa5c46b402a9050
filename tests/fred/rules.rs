//! CR4.FRED, the registers, and what is refused while it is in force.

use crate::machine::*;
use encore86::cpu::registers::{cr4, efer};
use encore86::cpu::segment::Seg;
use encore86::isa::Feature;
use encore86::{Event, Outcome, Profile};

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
