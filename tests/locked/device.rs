//! Locked operations where there is no host address: one atomic call on a device that can, else a read and a write in order;
//! pages of different kinds; faults and retries before anything has changed.

use crate::forms::{self, Law};
use crate::vm::{Done, Spoil, Vm};
use encore86::cpu::registers::component;
use encore86::{AccessKind, Cpu, Engine, Outcome, Profile, SplitLock, Stop};

const CODE: u64 = 0x1000;
const DATA: u64 = 0x8040;

fn run(vm: &mut Vm, engine: &mut Engine, cpu: &mut Cpu) -> Outcome {
    cpu.rip = CODE;
    engine.step(cpu, vm)
}

fn ready(at: u64) -> (Engine, Cpu) {
    let mut cpu = Cpu::new();
    cpu.update(|system| system.xcr0 |= component::APX);
    cpu.gpr[3] = at;
    cpu.gpr[7] = at;
    (Engine::integer_only(Profile::all()), cpu)
}

/// The forms, with memory at [RDI] where RBX is an operand.
fn all() -> Vec<forms::Form> {
    let mut all = forms::all();
    for form in &mut all {
        if let (Law::ComparesPair, Some(last)) = (form.law, form.bytes.last_mut()) {
            *last = 1 << 3 | 7;
        }
    }
    all
}

#[test]
fn a_device_that_can_is_asked_once() {
    for form in all() {
        let mut vm = Vm { atomic: true, ..Vm::with_code(CODE, &form.bytes) };
        let (mut engine, mut cpu) = ready(DATA);
        let outcome = run(&mut vm, &mut engine, &mut cpu);
        assert!(matches!(outcome, Outcome::Completed(_)), "{}: {outcome:?}", form.name);
        let [Done::Rmw(DATA, old, new)] = &vm.log[..] else { panic!("{}: {:?}", form.name, vm.log) };
        assert_eq!((old.len(), new.len()), (form.width, form.width), "{}", form.name);
        let [(DATA, len, access)] = &vm.accesses[..] else { panic!("{}: {:?}", form.name, vm.accesses) };
        assert_eq!(*len, form.width, "{}", form.name);
        assert_eq!((access.kind, access.locked), (AccessKind::Rmw, true), "{}", form.name);
        assert_eq!(usize::from(access.element), form.width, "{}", form.name);
    }
}

#[test]
fn another_is_read_and_then_written() {
    for form in all() {
        let mut vm = Vm::with_code(CODE, &form.bytes);
        let (mut engine, mut cpu) = ready(DATA);
        let outcome = run(&mut vm, &mut engine, &mut cpu);
        assert!(matches!(outcome, Outcome::Completed(_)), "{}: {outcome:?}", form.name);
        assert!(matches!(&vm.log[..], [Done::Read(DATA, _), Done::Write(DATA, _)]), "{}: {:?}", form.name, vm.log);
        let kinds: Vec<_> = vm.accesses.iter().map(|(_, _, access)| (access.kind, access.locked)).collect();
        assert_eq!(kinds, [(AccessKind::ReadForWrite, true), (AccessKind::Write, true)], "{}", form.name);
    }
}

/// A compare that fails writes the old value back, and needs the right to.
#[test]
fn a_compare_that_fails_writes_the_old_value() {
    for form in all().iter().filter(|form| matches!(form.law, Law::Compares | Law::ComparesPair)) {
        for atomic in [false, true] {
            let mut vm = Vm { atomic, ..Vm::with_code(CODE, &form.bytes) };
            vm.put(DATA, &[0x5a; 16]);
            let (mut engine, mut cpu) = ready(DATA);
            let before = cpu.gpr;
            let outcome = run(&mut vm, &mut engine, &mut cpu);
            assert!(matches!(outcome, Outcome::Completed(_)), "{}: {outcome:?}", form.name);
            assert_eq!(vm.get(DATA, 16), [0x5a; 16], "{}", form.name);
            let written = match &vm.log[..] {
                [Done::Rmw(_, _, new)] => new,
                [Done::Read(..), Done::Write(_, new)] => new,
                log => panic!("{}: {log:?}", form.name),
            };
            assert_eq!(written[..], vec![0x5a; form.width][..], "{}", form.name);
            assert_eq!(cpu.rflags() & 1 << 6, 0, "{}: ZF", form.name);
            let half = if form.law == Law::ComparesPair { form.width / 2 } else { form.width };
            let found = 0x5a5a_5a5a_5a5a_5a5a_u64 >> (64 - half * 8);
            assert_eq!(cpu.gpr[0], found, "{}: rAX", form.name);
            assert_eq!(cpu.gpr[2], if form.law == Law::ComparesPair { found } else { before[2] }, "{}: rDX", form.name);

            // The same where nothing can be written.
            let mut vm = Vm { atomic, readonly: vec![DATA / 4096], ..Vm::with_code(CODE, &form.bytes) };
            let (mut engine, mut cpu) = ready(DATA);
            let outcome = run(&mut vm, &mut engine, &mut cpu);
            let Outcome::Exception(event) = outcome else { panic!("{}: {outcome:?}", form.name) };
            assert_eq!((event.vector, event.error_code, event.cr2), (14, Some(3), Some(DATA)), "{}", form.name);
            assert_eq!((cpu.gpr, vm.log.len()), (before, 0), "{}", form.name);
        }
    }
}

/// Nothing is changed by a fault or a wait, whichever call it comes from, and a wait ends as if it had not been.
#[test]
fn faults_and_waits_change_nothing() {
    for form in all() {
        let (mut engine, mut cpu) = ready(DATA);
        let mut smooth = Vm { atomic: false, ..Vm::with_code(CODE, &form.bytes) };
        assert!(matches!(run(&mut smooth, &mut engine, &mut cpu), Outcome::Completed(_)));
        let after = (cpu.gpr, cpu.rflags(), smooth.written());
        for call in 1..=smooth.calls {
            let mut vm = Vm { spoil: Spoil::Nth(call, Stop::Retry), ..Vm::with_code(CODE, &form.bytes) };
            let (mut engine, mut cpu) = ready(DATA);
            let (gpr, flags) = (cpu.gpr, cpu.rflags());
            assert_eq!(run(&mut vm, &mut engine, &mut cpu), Outcome::Retry, "{} call {call}", form.name);
            assert_eq!((cpu.gpr, cpu.rflags(), vm.written()), (gpr, flags, vec![]), "{} call {call}", form.name);
            assert!(matches!(run(&mut vm, &mut engine, &mut cpu), Outcome::Completed(_)), "{}", form.name);
            assert_eq!((cpu.gpr, cpu.rflags(), vm.written()), after, "{} call {call}", form.name);
            assert_eq!(vm.log, smooth.log, "{}: nothing is read or written twice", form.name);
        }
    }
}

/// Across a page: if either side cannot be written, neither is read or written.
#[test]
fn both_pages_are_checked_first() {
    const EDGE: u64 = 0x9000;
    for form in all().iter().filter(|form| (2..=8).contains(&form.width) && !needs_alignment(form)) {
        for inside in 1..form.width as u64 {
            let at = EDGE - inside;
            for (page, readonly) in [(8, false), (8, true), (9, false), (9, true)] {
                for split in [SplitLock::Emulate, SplitLock::Native] {
                    let mut vm = Vm::with_code(CODE, &form.bytes);
                    if readonly {
                        vm.readonly.push(page)
                    } else {
                        vm.absent.push(page)
                    }
                    let (mut engine, mut cpu) = ready(at);
                    engine.set_split_lock(split);
                    let before = (cpu.gpr, cpu.rflags());
                    let outcome = run(&mut vm, &mut engine, &mut cpu);
                    let Outcome::Exception(event) = outcome else { panic!("{}: {outcome:?}", form.name) };
                    let first = if page == 8 { at } else { EDGE };
                    let error = if readonly { 3 } else { 2 };
                    assert_eq!(
                        (event.vector, event.error_code, event.cr2),
                        (14, Some(error), Some(first)),
                        "{}",
                        form.name
                    );
                    assert_eq!((cpu.gpr, cpu.rflags()), before, "{}", form.name);
                    assert_eq!(vm.log, [], "{}: a device was touched", form.name);
                }
            }
        }
    }
}

fn needs_alignment(form: &forms::Form) -> bool {
    form.width == 16 || form.law == Law::ComparesAndAdds || form.bytes.contains(&0x38)
}

/// MOVDIR64B is one store of 64 bytes; ENQCMD puts the PASID into the command and says in ZF whether it was taken.
#[test]
fn stores_of_a_line() {
    let line: Vec<u8> = (0..64).map(|i| 0xc0 ^ i).collect();
    // movdir64b rcx, [rbx]; enqcmd; enqcmds
    for (prefix, first) in [(0x66, &line[..4]), (0xf2, &[0x42, 0, 0, 0][..]), (0xf3, &[0xc0, 0xc1, 0x02, 0x80][..])] {
        let mut vm = Vm::with_code(CODE, &[prefix, 0x0f, 0x38, 0xf8, 0x0b]);
        vm.put(DATA + 3, &line);
        if prefix == 0xf3 {
            vm.put(DATA + 3, &[0xc0, 0xc1, 0x12, 0xf3]);
        }
        let (mut engine, mut cpu) = ready(DATA + 3);
        cpu.gpr[1] = 0xa080;
        assert_eq!(run(&mut vm, &mut engine, &mut cpu), run_again(), "{prefix:x}: misaligned is #GP, aligned is not");
        let expected = [first, &line[4..]].concat();
        assert_eq!(vm.log.last(), Some(&Done::Write(0xa080, expected)), "{prefix:x}");
        assert_eq!(cpu.rflags() & 1 << 6, 0);
        cpu.gpr[1] = 0xa081;
        let Outcome::Exception(event) = run(&mut vm, &mut engine, &mut cpu) else { panic!("{prefix:x}") };
        assert_eq!((event.vector, event.error_code), (13, Some(0)), "{prefix:x}");
    }
}

fn run_again() -> Outcome {
    Outcome::Completed(encore86::Retired::default())
}
