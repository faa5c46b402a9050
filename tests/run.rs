//! `Engine::run` steps until the monitor has something to do, and does what single steps do.

mod support;

use encore86::cpu::registers::rflags;
use encore86::{Cpu, Engine, Mode, Outcome, Profile, Retired};
use support::machine::{cpu, differences};
use support::vm::Vm;

/// inc eax; add [rbx], eax; cmp eax, ecx; jne to the first; hlt
const LOOP: &[u8] = &[0xff, 0xc0, 0x01, 0x03, 0x39, 0xc8, 0x75, 0xf8, 0xf4];

fn engine() -> Engine {
    Engine::integer_only(Profile::all())
}

fn start(code: &[u8]) -> (Cpu, Vm) {
    let mut cpu = cpu(Mode::Long64);
    (cpu.gpr[0], cpu.gpr[1]) = (0, 100);
    let vm = Vm::with_code(cpu.rip, code);
    (cpu, vm)
}

fn completed(retired: Retired) -> Outcome {
    Outcome::Completed(retired)
}

#[test]
fn it_ends_where_single_steps_end() {
    let (mut engine, (mut one, mut other)) = (engine(), start(LOOP));
    let run = engine.run(&mut one, &mut other, 1_000);
    assert_eq!(run.outcome, completed(Retired { hlt: true, ..Retired::default() }));
    assert_eq!(run.completed, 401);
    let (mut two, mut vm) = start(LOOP);
    for _ in 0..401 {
        assert!(matches!(engine.step(&mut two, &mut vm), Outcome::Completed(_)));
    }
    assert_eq!(differences(&one, &two), Vec::<String>::new());
    assert_eq!(other.written(), vm.written());
    // The sum of 1 to 100, twice over what memory held.
    assert_eq!(one.gpr[0], 100);
}

#[test]
fn the_limit_ends_it() {
    for limit in [0, 1, 31, 32, 33, 64, 100] {
        let (mut engine, (mut cpu, mut vm)) = (engine(), start(LOOP));
        let run = engine.run(&mut cpu, &mut vm, limit);
        assert_eq!((run.completed, run.outcome), (limit, completed(Retired::default())));
        assert_eq!(cpu.gpr[0], limit.div_ceil(4));
    }
}

#[test]
fn an_interrupt_ends_it() {
    let (mut engine, (mut cpu, vm)) = (engine(), start(LOOP));
    let mut vm = Vm { interrupt: true, ..vm };
    let run = engine.run(&mut cpu, &mut vm, 1_000);
    assert_eq!((run.completed, run.outcome), (32, completed(Retired::default())));
}

#[test]
fn what_is_to_be_known_ends_it() {
    let unfinished = Retired { rep_unfinished: true, ..Retired::default() };
    let cases: [(&[u8], u64, Outcome); 4] = [
        // nop; sti; nop
        (&[0x90, 0xfb, 0x90], 2, completed(Retired { sti: true, ..Retired::default() })),
        // nop; rep movsb with 100 to do and an interrupt pending
        (&[0x90, 0xf3, 0xa4], 1, completed(unfinished)),
        // nop; rep scasb
        (&[0x90, 0xf3, 0xae], 1, completed(unfinished)),
        // nop; nop; hlt
        (&[0x90, 0x90, 0xf4], 3, completed(Retired { hlt: true, ..Retired::default() })),
    ];
    let mut engine = engine();
    for (code, count, outcome) in cases {
        let (mut cpu, vm) = start(code);
        // SCASB goes on as long as it finds AL.
        let mut vm = Vm { interrupt: true, ..vm };
        vm.put(cpu.gpr[7], &[0; 100]);
        let run = engine.run(&mut cpu, &mut vm, 10);
        assert_eq!((run.completed, run.outcome), (count, outcome), "{code:02x?}");
    }
    // What an earlier step left does not end the next run.
    let (mut cpu, mut vm) = start(&[0x90, 0x90, 0xf4]);
    assert_eq!(engine.run(&mut cpu, &mut vm, 2).completed, 2);
}

#[test]
fn a_trap_or_an_exception_ends_it() {
    let mut engine = engine();
    let (mut cpu, mut vm) = start(LOOP);
    cpu.set_rflags(cpu.rflags() | rflags::TF);
    let run = engine.run(&mut cpu, &mut vm, 10);
    assert_eq!((run.completed, run.outcome), (1, completed(Retired { singlestep: true, ..Retired::default() })));
    // nop; ud2
    let (mut cpu, mut vm) = start(&[0x90, 0x0f, 0x0b]);
    let run = engine.run(&mut cpu, &mut vm, 10);
    assert_eq!(run.completed, 1);
    assert!(matches!(run.outcome, Outcome::Exception(event) if event.vector == 6), "{:?}", run.outcome);
}
