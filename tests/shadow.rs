//! Shadow stacks and indirect-branch tracking, after the manual's pages (SDM volume 1, chapter 17; volume 2).

#[path = "support/ram.rs"]
mod ram;

use encore86::cpu::registers::{cr4, rflags};
use encore86::cpu::segment::{Seg, rights};
use encore86::{Access, AccessKind, Cpu, Engine, Event, Outcome, Platform, Profile, Stop};
use std::collections::BTreeMap;

const CODE: u64 = 0x1000;
const STACK: u64 = 0x8000;
const SHADOW: u64 = 0x9000;
const U_CET: u32 = 0x6a0;
const S_CET: u32 = 0x6a2;
const PL0_SSP: u32 = 0x6a4;
const SH_STK_EN: u64 = 1;
const WR_SHSTK_EN: u64 = 2;
const ENDBR_EN: u64 = 4;
const NO_TRACK_EN: u64 = 16;
const SUPPRESS: u64 = 1 << 10;
const TRACKER: u64 = 1 << 11;
const UD: (u8, Option<u32>) = (6, None);
const GP: (u8, Option<u32>) = (13, Some(0));
const NEAR_RET: (u8, Option<u32>) = (21, Some(1));
const ENDBRANCH: (u8, Option<u32>) = (21, Some(3));
const RSTORSSP: (u8, Option<u32>) = (21, Some(4));
const SETSSBSY: (u8, Option<u32>) = (21, Some(5));

/// The pages from [`SHADOW`] on are shadow stacks: other stores to them, and such stores to others, fault.
struct Machine {
    ram: Vec<u8>,
    msrs: BTreeMap<u32, u64>,
    /// CPL of the last access to a shadow stack.
    cpl: u8,
}

impl Machine {
    fn allows(&mut self, at: u64, access: &Access) -> Result<(), Stop> {
        let shadow = (SHADOW..SHADOW + 0x1000).contains(&at);
        let allowed = access.shadow_stack == shadow || access.kind == AccessKind::Read && !access.shadow_stack;
        if access.shadow_stack {
            self.cpl = access.cpl;
        }
        if allowed { Ok(()) } else { Err(Event::pf(0x42, at, "no page for that").into()) }
    }
}

ram::bus_over_ram!(Machine);

impl Platform for Machine {
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        self.msrs.get(&index).copied().ok_or(Event::gp0("no such register").into())
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        self.msrs.insert(index, value);
        Ok(())
    }
}

/// 64-bit mode, or compatibility mode, at `cpl`, with these enables for it.
fn prepare(code: &[u8], cpl: u8, wide: bool, enables: u64) -> (Cpu, Machine) {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr4 |= cr4::CET;
        s.ssp = SHADOW + 0x800;
        for seg in [Seg::Cs, Seg::Ss, Seg::Ds] {
            s.seg[seg as usize].attr |= u32::from(cpl) << rights::DPL_SHIFT;
        }
        if !wide {
            s.seg[Seg::Cs as usize].attr = s.seg[Seg::Cs as usize].attr & !rights::L | rights::DB;
            s.seg[Seg::Ss as usize].attr |= rights::DB;
        }
    });
    (cpu.rip, cpu.gpr[4]) = (CODE, STACK);
    (cpu.gpr[0], cpu.gpr[3]) = (0x2000, SHADOW + 0x100);
    let (mine, other) = if cpl == 3 { (U_CET, S_CET) } else { (S_CET, U_CET) };
    let mut machine = Machine { ram: vec![0; 0x10000], msrs: BTreeMap::from([(mine, enables), (other, 0)]), cpl: 9 };
    machine.ram[CODE as usize..CODE as usize + code.len()].copy_from_slice(code);
    (cpu, machine)
}

fn step(cpu: &mut Cpu, machine: &mut Machine) -> Result<(), (u8, Option<u32>)> {
    match Engine::integer_only(Profile::all()).step(cpu, machine) {
        Outcome::Completed(_) => Ok(()),
        Outcome::Exception(event) => Err((event.vector, event.error_code)),
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn near_calls_and_returns() {
    for (wide, size) in [(true, 8), (false, 4)] {
        // CALL 0x1105, CALL RAX.
        for (code, target, back) in
            [(&[0xe8, 0x00, 0x01, 0, 0][..], CODE + 0x105, CODE + 5), (&[0xff, 0xd0], 0x2000, CODE + 2)]
        {
            let (mut cpu, mut machine) = prepare(code, 3, wide, SH_STK_EN);
            step(&mut cpu, &mut machine).unwrap();
            assert_eq!((cpu.rip, cpu.system().ssp, machine.cpl), (target, SHADOW + 0x800 - size, 3));
            assert_eq!(machine.get(cpu.system().ssp) & (u64::MAX >> (64 - 8 * size)), back);
            // And back.
            machine.ram[target as usize] = 0xc3;
            step(&mut cpu, &mut machine).unwrap();
            assert_eq!((cpu.rip, cpu.gpr[4], cpu.system().ssp), (back, STACK, SHADOW + 0x800));
        }
    }
    // A call of the next instruction pushes nothing there.
    let (mut cpu, mut machine) = prepare(&[0xe8, 0, 0, 0, 0], 3, true, SH_STK_EN);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!((cpu.rip, cpu.system().ssp), (CODE + 5, SHADOW + 0x800));
    // Another address than the shadow stack's: nothing is changed.
    for code in [&[0xc3][..], &[0xc2, 0x10, 0]] {
        let (mut cpu, mut machine) = prepare(code, 0, true, SH_STK_EN);
        machine.put(STACK, 0x3000);
        machine.put(SHADOW + 0x800, 0x3001);
        let flags = cpu.rflags();
        assert_eq!(step(&mut cpu, &mut machine), Err(NEAR_RET));
        assert_eq!((cpu.rip, cpu.gpr[4], cpu.rflags(), cpu.system().ssp), (CODE, STACK, flags, SHADOW + 0x800));
        assert_eq!(machine.cpl, 0);
        machine.put(SHADOW + 0x800, 0x3000);
        step(&mut cpu, &mut machine).unwrap();
        assert_eq!((cpu.rip, cpu.system().ssp), (0x3000, SHADOW + 0x808));
    }
    // No shadow stack there: the call has pushed nothing either.
    let (mut cpu, mut machine) = prepare(&[0xff, 0xd0], 3, true, SH_STK_EN);
    cpu.update(|s| s.ssp = 0x7000);
    assert_eq!(step(&mut cpu, &mut machine), Err((14, Some(0x42))));
    assert_eq!((cpu.rip, cpu.gpr[4], machine.get(STACK - 8)), (CODE, STACK, 0));
    // Enabled for the other privilege alone.
    let (mut cpu, mut machine) = prepare(&[0xff, 0xd0], 3, true, 0);
    machine.msrs.insert(S_CET, SH_STK_EN);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!(cpu.system().ssp, SHADOW + 0x800);
}

#[test]
fn indirect_branches_are_tracked() {
    const ENDBR64: u32 = 0xfa1e_0ff3;
    const ENDBR32: u32 = 0xfb1e_0ff3;
    let tracker = |machine: &Machine| machine.msrs[&U_CET] & TRACKER != 0;
    // JMP RAX, CALL RAX, and with a prefix; JMP 0x1102 and RET are not tracked.
    for (code, enables, tracked) in [
        (&[0xff, 0xe0][..], ENDBR_EN, true),
        (&[0xff, 0xd0], ENDBR_EN, true),
        (&[0x3e, 0xff, 0xe0], ENDBR_EN | NO_TRACK_EN, false),
        (&[0x3e, 0xff, 0xe0], ENDBR_EN, true),
        (&[0xff, 0xe0], ENDBR_EN | NO_TRACK_EN, true),
        (&[0xff, 0xe0], ENDBR_EN | SUPPRESS, false),
        (&[0xff, 0xe0], SH_STK_EN, false),
        (&[0xe9, 0xfb, 0x0f, 0, 0], ENDBR_EN, false),
        (&[0xc3], ENDBR_EN, false),
    ] {
        for wide in [true, false] {
            let (mut cpu, mut machine) = prepare(code, 3, wide, enables);
            machine.put(STACK, 0x2000);
            step(&mut cpu, &mut machine).unwrap();
            assert_eq!((cpu.rip, tracker(&machine)), (0x2000, tracked), "{code:x?} {enables:x}");
            if !tracked {
                continue;
            }
            // Anything else than the mode's ENDBRANCH is refused at its place.
            let other = if wide { ENDBR32 } else { ENDBR64 };
            for bytes in [0x9090_9090, other] {
                machine.put(0x2000, bytes.into());
                assert_eq!(step(&mut cpu, &mut machine), Err(ENDBRANCH), "{code:x?}");
                assert_eq!((cpu.rip, tracker(&machine)), (0x2000, true));
            }
            machine.put(0x2000, if wide { ENDBR64 } else { ENDBR32 }.into());
            step(&mut cpu, &mut machine).unwrap();
            assert_eq!((cpu.rip, tracker(&machine)), (0x2004, false));
        }
    }
}

#[test]
fn the_pointer_and_what_lies_there() {
    // INCSSPQ RCX, with 3 and with 0.
    let incssp = &[0xf3, 0x48, 0x0f, 0xae, 0xe9];
    for (count, after) in [(3, 0x818), (0, 0x800), (0x102, 0x810)] {
        let (mut cpu, mut machine) = prepare(incssp, 3, true, SH_STK_EN);
        cpu.gpr[1] = count;
        step(&mut cpu, &mut machine).unwrap();
        assert_eq!(cpu.system().ssp, SHADOW + after);
    }
    // The last entry that is passed over has to be there.
    let (mut cpu, mut machine) = prepare(incssp, 3, true, SH_STK_EN);
    (cpu.gpr[1], cpu.rip) = (0xff, CODE);
    cpu.update(|s| s.ssp = SHADOW + 0xff8);
    assert_eq!(step(&mut cpu, &mut machine), Err((14, Some(0x42))));
    // INCSSPD in compatibility mode.
    let (mut cpu, mut machine) = prepare(&[0xf3, 0x0f, 0xae, 0xe9], 3, false, SH_STK_EN);
    cpu.gpr[1] = 3;
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!(cpu.system().ssp, SHADOW + 0x80c);
    // RDSSPQ RCX.
    let (mut cpu, mut machine) = prepare(&[0xf3, 0x48, 0x0f, 0x1e, 0xc9], 3, true, SH_STK_EN);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!(cpu.gpr[1], SHADOW + 0x800);
    // WRSSQ [RBX], RAX at CPL 0; WRUSSQ writes as the user.
    let both = SH_STK_EN | WR_SHSTK_EN;
    let (mut cpu, mut machine) = prepare(&[0x48, 0x0f, 0x38, 0xf6, 0x03], 0, true, both);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!((machine.get(SHADOW + 0x100), machine.cpl), (0x2000, 0));
    let (mut cpu, mut machine) = prepare(&[0x66, 0x48, 0x0f, 0x38, 0xf5, 0x03], 0, true, 0);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!((machine.get(SHADOW + 0x100), machine.cpl), (0x2000, 3));
    let (mut cpu, mut machine) = prepare(&[0x48, 0x0f, 0x38, 0xf6, 0x03], 0, true, both);
    cpu.gpr[3] += 4;
    assert_eq!(step(&mut cpu, &mut machine), Err(GP), "not aligned");
}

#[test]
fn stacks_are_switched_by_tokens() {
    // RSTORSSP [RBX], SAVEPREVSSP.
    let code = &[0xf3, 0x0f, 0x01, 0x2b, 0xf3, 0x0f, 0x01, 0xea];
    let place = SHADOW + 0x100;
    let (mut cpu, mut machine) = prepare(code, 3, true, SH_STK_EN);
    machine.put(place, (place + 8) | 1);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!((cpu.system().ssp, machine.get(place)), (place, (SHADOW + 0x800) | 3));
    assert_eq!(cpu.rflags() & rflags::ARITH, 0);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!((cpu.system().ssp, machine.get(SHADOW + 0x7f8)), (place + 8, (SHADOW + 0x800) | 1));
    // A token whose stack was aligned to 4 bytes.
    let (mut cpu, mut machine) = prepare(code, 3, false, SH_STK_EN);
    machine.put(place, place + 12);
    cpu.update(|s| s.ssp = SHADOW + 0x804);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!((cpu.system().ssp, machine.get(place), cpu.rflags() & rflags::CF), (place, (SHADOW + 0x804) | 2, 1));
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!((cpu.system().ssp, machine.get(SHADOW + 0x7f8)), (place + 12, SHADOW + 0x804));

    for (why, token) in [
        ("none", 0),
        ("of the other mode", place + 8),
        ("of a stack that was left", (place + 8) | 3),
        ("of another place", (place + 16) | 1),
    ] {
        let (mut cpu, mut machine) = prepare(code, 3, true, SH_STK_EN);
        machine.put(place, token);
        assert_eq!(step(&mut cpu, &mut machine), Err(RSTORSSP), "{why}");
        assert_eq!((cpu.system().ssp, machine.get(place)), (SHADOW + 0x800, token), "{why}");
    }
    let (mut cpu, mut machine) = prepare(&code[4..], 3, true, SH_STK_EN);
    assert_eq!(step(&mut cpu, &mut machine), Err(GP), "SAVEPREVSSP without a token");
    machine.put(SHADOW + 0x800, SHADOW + 0x403);
    cpu.set_rflags(rflags::CF);
    assert_eq!(step(&mut cpu, &mut machine), Err(GP), "SAVEPREVSSP with CF in 64-bit mode");
    cpu.update(|s| s.ssp += 4);
    assert_eq!(step(&mut cpu, &mut machine), Err(GP), "SAVEPREVSSP that is not aligned");
}

#[test]
fn supervisor_stacks_are_busy_or_free() {
    let place = SHADOW + 0x100;
    let set = &[0xf3, 0x0f, 0x01, 0xe8];
    let (mut cpu, mut machine) = prepare(set, 0, true, SH_STK_EN);
    machine.msrs.insert(PL0_SSP, place);
    machine.put(place, place);
    step(&mut cpu, &mut machine).unwrap();
    assert_eq!((cpu.system().ssp, machine.get(place)), (place, place | 1));
    cpu.rip = CODE;
    assert_eq!(step(&mut cpu, &mut machine), Err(SETSSBSY), "it is busy");
    machine.msrs.insert(PL0_SSP, place + 4);
    assert_eq!(step(&mut cpu, &mut machine), Err(GP), "it is not aligned");
    // CLRSSBSY [RBX].
    for (token, carry, after) in [(place | 1, 0, place), (place, 1, place), (0x1234, 1, 0x1234)] {
        let (mut cpu, mut machine) = prepare(&[0xf3, 0x0f, 0xae, 0x33], 0, true, SH_STK_EN);
        machine.put(place, token);
        step(&mut cpu, &mut machine).unwrap();
        assert_eq!((cpu.system().ssp, cpu.rflags() & rflags::ARITH, machine.get(place)), (0, carry, after));
    }
}

#[test]
fn what_is_not_enabled_is_not_there() {
    for code in [
        &[0xf3, 0x48, 0x0f, 0xae, 0xe9][..],
        &[0xf3, 0x0f, 0x01, 0x2b],
        &[0xf3, 0x0f, 0x01, 0xea],
        &[0xf3, 0x0f, 0x01, 0xe8],
        &[0xf3, 0x0f, 0xae, 0x33],
        &[0x48, 0x0f, 0x38, 0xf6, 0x03],
    ] {
        let (mut cpu, mut machine) = prepare(code, 0, true, 0);
        assert_eq!(step(&mut cpu, &mut machine), Err(UD), "{code:x?}");
        let (mut cpu, mut machine) = prepare(code, 0, true, SH_STK_EN | WR_SHSTK_EN);
        cpu.update(|s| s.cr4 &= !cr4::CET);
        assert_eq!(step(&mut cpu, &mut machine), Err(UD), "{code:x?}");
    }
}
