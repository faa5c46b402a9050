//! DR0 to DR3, TF, RF and the shadow of MOV SS, by the manual's chapter on debug exceptions (SDM volume 3, 18.2 and 18.3).

#[path = "support/vm.rs"]
#[allow(dead_code)] // each suite uses its own part
mod vm;

use encore86::cpu::registers::{cr0, cr4, rflags};
use encore86::cpu::segment::Seg;
use encore86::cpu::{Blocking, System};
use encore86::{Cpu, Engine, Event, EventKind, Outcome, Profile, Retired, Stop};
use vm::{Spoil, Vm};

const CODE: u64 = 0x1000;
const DATA: u64 = 0x8000;
const BS: u64 = 1 << 14;

/// R/W fields of DR7.
const EXECUTE: u64 = 0;
const WRITE: u64 = 1;
const PORT: u64 = 2;
const ACCESS: u64 = 3;
/// LEN fields.
const ONE: u64 = 0;
const TWO: u64 = 1;
const EIGHT: u64 = 2;
const FOUR: u64 = 3;

/// 64-bit mode at CPL 0 with breakpoint `n` at `at`.
fn with(n: usize, at: u64, rw: u64, len: u64) -> Cpu {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr0 |= cr0::PG;
        s.dr[n] = at;
        s.dr[7] = 0x400 | 1 << (2 * n) | (rw | len << 2) << (16 + 4 * n);
    });
    cpu.gpr[3] = DATA;
    cpu.rip = CODE;
    cpu
}

fn step(cpu: &mut Cpu, vm: &mut Vm, code: &[u8]) -> Outcome {
    vm.put_code(cpu.rip, code);
    Engine::integer_only(Profile::all()).step(cpu, vm)
}

#[track_caller]
fn retired(cpu: &mut Cpu, code: &[u8]) -> Retired {
    let outcome = step(cpu, &mut Vm::default(), code);
    let Outcome::Completed(retired) = outcome else { panic!("{code:02x?}: {outcome:?}") };
    retired
}

fn is_fault(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Exception(Event { vector: 1, kind: EventKind::Breakpoint, error_code: None, .. }))
}

#[test]
fn breakpoints_on_instructions_are_faults() {
    for n in 0..4 {
        let mut cpu = with(n, CODE, EXECUTE, ONE);
        let dr6 = cpu.system().dr[6];
        assert!(is_fault(step(&mut cpu, &mut Vm::default(), &[0x90])));
        assert_eq!((cpu.rip, cpu.system().dr[6]), (CODE, dr6 | 1 << n));
        // RF lets one instruction pass, and is gone.
        cpu.set_rflags(cpu.rflags() | rflags::RF);
        assert_eq!(retired(&mut cpu, &[0x90]), Retired::default());
        assert_eq!((cpu.rip, cpu.rflags() & rflags::RF), (CODE + 1, 0));
    }
    // Before every other fault of the instruction: of its decoding, of its fetch.
    assert!(is_fault(step(&mut with(0, CODE, EXECUTE, ONE), &mut Vm::default(), &[0x0f, 0x0b])));
    assert!(is_fault(step(&mut with(0, CODE, EXECUTE, ONE), &mut Vm::default(), &[0x0f, 0x04])));
    let mut absent = Vm { absent: vec![CODE >> 12], ..Vm::default() };
    assert!(is_fault(step(&mut with(0, CODE, EXECUTE, ONE), &mut absent, &[0x90])));
    // The first byte counts, of the linear address.
    assert_eq!(retired(&mut with(0, CODE + 1, EXECUTE, ONE), &[0x66, 0x90]), Retired::default());
    let mut cpu = with(0, 0x2000, EXECUTE, ONE);
    cpu.update(|s| {
        (s.cr0, s.efer) = (s.cr0 & !(cr0::PG | cr0::PE), 0);
        s.seg[Seg::Cs as usize].base = 0x1000;
    });
    let mut vm = Vm::with_code(0x2000, &[0x90]);
    assert!(is_fault(Engine::integer_only(Profile::all()).step(&mut cpu, &mut vm)));
    // Neither enabled nor of this kind.
    for change in [|s: &mut System| s.dr[7] &= !0xff, |s: &mut System| s.dr[7] |= ACCESS << 16] {
        let mut cpu = with(0, CODE, EXECUTE, ONE);
        cpu.update(change);
        assert_eq!(retired(&mut cpu, &[0x90]), Retired::default());
    }
}

#[test]
fn breakpoints_on_data_are_traps() {
    const LOAD: &[u8] = &[0x8b, 0x03]; // mov eax, [rbx]
    const STORE: &[u8] = &[0x89, 0x03];
    const ADD: &[u8] = &[0x01, 0x03];
    const LOCK_ADD: &[u8] = &[0xf0, 0x01, 0x03];
    const CMP: &[u8] = &[0x39, 0x03];
    const PUSH: &[u8] = &[0x50];
    // Address, R/W, LEN, code: is it met?
    let cases: [(u64, u64, u64, &[u8], bool); 18] = [
        (DATA, WRITE, ONE, STORE, true),
        (DATA, WRITE, ONE, LOAD, false),
        (DATA, ACCESS, ONE, LOAD, true),
        (DATA, ACCESS, ONE, STORE, true),
        (DATA, WRITE, ONE, ADD, true),
        (DATA, WRITE, ONE, LOCK_ADD, true),
        (DATA, WRITE, ONE, CMP, false),
        (DATA, ACCESS, ONE, CMP, true),
        (DATA, EXECUTE, ONE, STORE, false),
        // The last byte of the access, and the one behind it.
        (DATA + 3, WRITE, ONE, STORE, true),
        (DATA + 4, WRITE, ONE, STORE, false),
        (DATA - 1, WRITE, ONE, STORE, false),
        // The breakpoint's bytes are aligned: the low bits of the address do not count.
        (DATA - 1, WRITE, TWO, STORE, false),
        (DATA + 5, WRITE, EIGHT, STORE, true),
        (DATA + 5, WRITE, FOUR, STORE, false),
        (DATA - 4, WRITE, FOUR, STORE, false),
        (DATA - 8, WRITE, EIGHT, PUSH, true),
        (DATA - 9, WRITE, ONE, PUSH, false),
    ];
    for (at, rw, len, code, met) in cases {
        let mut cpu = with(2, at, rw, len);
        cpu.gpr[4] = DATA;
        let dr6 = cpu.system().dr[6];
        let retired = retired(&mut cpu, code);
        assert_eq!(retired.breakpoints, if met { 1 << 2 } else { 0 }, "{at:#x} {rw} {len} {code:02x?}");
        assert_eq!(retired.debug().map(|event| (event.vector, event.kind)), met.then_some((1, EventKind::Trap)));
        assert_eq!((cpu.rip, cpu.system().dr[6]), (CODE + code.len() as u64, dr6), "DR6 is for who delivers");
    }
}

#[test]
fn breakpoints_on_ports() {
    let (input, output): (&[u8], &[u8]) = (&[0xe4, 0x42], &[0xe7, 0x40]); // in al, 0x42; out 0x40, eax
    for code in [input, output] {
        assert_eq!(retired(&mut with(1, 0x42, PORT, ONE), code).dr6(), 2, "{code:02x?}");
        assert_eq!(retired(&mut with(1, 0x44, PORT, ONE), code).dr6(), 0);
        assert_eq!(retired(&mut with(1, 0x42, ACCESS, ONE), code).dr6(), 0);
        let mut cpu = with(1, 0x42, PORT, ONE);
        cpu.update(|s| s.cr4 &= !cr4::DE);
        assert_eq!(retired(&mut cpu, code).dr6(), 0, "without CR4.DE there are none");
    }
}

/// A repeated string instruction traps behind the repetition that meets a breakpoint, and under TF behind each.
#[test]
fn repetitions_pause() {
    const REP_STOSB: &[u8] = &[0xf3, 0xaa];
    let mut cpu = with(0, DATA + 2, WRITE, ONE);
    (cpu.gpr[1], cpu.gpr[7]) = (10, DATA);
    let first = retired(&mut cpu, REP_STOSB);
    assert_eq!((first.breakpoints, first.rep_unfinished, cpu.gpr[1], cpu.rip), (1, true, 7, CODE));
    let rest = retired(&mut cpu, REP_STOSB);
    assert_eq!((rest, cpu.gpr[1]), (Retired::default(), 0));

    let mut cpu = with(0, 0, WRITE, ONE);
    (cpu.gpr[1], cpu.gpr[7]) = (2, DATA);
    cpu.set_rflags(cpu.rflags() | rflags::TF);
    let first = retired(&mut cpu, REP_STOSB);
    assert_eq!((first.dr6(), first.rep_unfinished, cpu.gpr[1]), (BS, true, 1));
    let last = retired(&mut cpu, REP_STOSB);
    assert_eq!((last.dr6(), last.rep_unfinished, cpu.gpr[1]), (BS, false, 0));
}

/// What was met before a retry is not forgotten: the access is not made again.
#[test]
fn a_retry_keeps_what_was_met() {
    let mut cpu = with(0, DATA, ACCESS, ONE);
    cpu.gpr[6] = DATA;
    cpu.gpr[7] = 0x9000;
    let mut vm = Vm { spoil: Spoil::Nth(3, Stop::Retry), ..Vm::with_code(CODE, &[0xa4]) }; // movsb
    let mut engine = Engine::integer_only(Profile::all());
    assert_eq!(engine.step(&mut cpu, &mut vm), Outcome::Retry);
    let outcome = engine.step(&mut cpu, &mut vm);
    assert_eq!(outcome, Outcome::Completed(Retired { breakpoints: 1, ..Retired::default() }));
    // And not taken for the next instruction's.
    vm.put_code(cpu.rip, &[0x90]);
    assert_eq!(engine.step(&mut cpu, &mut vm), Outcome::Completed(Retired::default()));
}

/// MOV SS delays every #DB by one instruction, and hides a breakpoint on that instruction.
#[test]
fn the_shadow_of_mov_ss() {
    const MOV_SS: &[u8] = &[0x8e, 0x17]; // mov ss, [bx]
    let start = || {
        let mut cpu = with(3, DATA, ACCESS, TWO);
        cpu.update(|s| {
            // Real mode: no descriptors.
            (s.cr0, s.efer) = (s.cr0 & !(cr0::PG | cr0::PE), 0);
            (s.dr[0], s.dr[7]) = (CODE + 2, s.dr[7] | 1);
        });
        cpu.gpr[3] = DATA;
        cpu
    };
    let mut cpu = start();
    cpu.set_rflags(cpu.rflags() | rflags::TF);
    let first = retired(&mut cpu, MOV_SS);
    assert_eq!(first, Retired { mov_ss: true, ..Retired::default() }, "nothing is due yet");
    assert_eq!(cpu.pending_debug(), 8, "its single-step trap is suppressed");
    let second = retired(&mut cpu, &[0x90]);
    assert_eq!((second.dr6(), cpu.pending_debug()), (BS | 8, 0));
    // Without the shadow the breakpoint on the second instruction is met.
    let mut cpu = start();
    cpu.rip += 2;
    assert!(is_fault(step(&mut cpu, &mut Vm::default(), &[0x90])));
    cpu.set_blocking(Blocking { mov_ss: true, ..Blocking::default() });
    assert_eq!(retired(&mut cpu, &[0x90]), Retired::default());
}
