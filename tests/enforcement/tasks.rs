//! Task switches between tasks with shadow stacks (SDM volume 3, chapter 8; volume 1, "Shadow Stack Usage on Task Switch").

use super::*;
use encore86::cpu::segment::rights;

/// The state of the task that [`sel::TSS`] and [`sel::TASK_GATE`] lead to, and what its shadow stack is.
const NEW: u64 = 0x3400;
const TASK_TOKEN: u64 = 0x19a00;
const SELECTOR: u32 = sel::TSS as u32;

/// Two tasks of CPL 0, the new one with a TSS of 108 bytes.
fn tasks(cpu: &mut Cpu, machine: &mut Machine) {
    describe(machine, NEW, 0x6b, 0xe9);
    let fields = [(0x20, TARGET), (0x24, 2), (0x38, 0x7000), (0x68, TASK_TOKEN), (0x4c, sel::CODE0.into())];
    let segments = [0x48, 0x50, 0x54, 0x58, 0x5c].map(|at| (at, sel::DATA0.into()));
    for (at, value) in fields.into_iter().chain(segments) {
        machine.store(NEW + at, value, 4);
    }
    machine.set(TASK_TOKEN, TASK_TOKEN);
    cpu.update(|s| s.tr.limit = 0x67);
}

fn describe(machine: &mut Machine, base: u64, limit: u64, access: u64) {
    machine.set(GDT + u64::from(sel::TSS), limit | base << 16 | access << 40);
}

/// The old task is nested in the new one: IRET goes back, by a frame of the shadow stack.
fn nested(cpu: &mut Cpu, machine: &mut Machine) {
    tasks(cpu, machine);
    describe(machine, NEW, 0x6b, 0xeb);
    machine.store(TSS, sel::TSS.into(), 2);
    cpu.set_rflags(cpu.rflags() | rflags::NT);
    ssp(cpu, TOKEN - 24);
    machine.frame(TOKEN - 24, [SSP0, TARGET, sel::CODE0.into()]);
    machine.set(TOKEN, TOKEN | BUSY);
}

#[test]
fn tasks_have_shadow_stacks() {
    let waits = BOTH | WAITS;
    // JMP: the SSP of the TSS, whose token becomes busy.
    let (cpu, machine) = done(Prot32, 0, jmp(sel::TSS), tasks);
    assert_eq!((cpu.rip, cpu.system().ssp, machine.word(TASK_TOKEN)), (TARGET, TASK_TOKEN, TASK_TOKEN | BUSY));
    assert_eq!((machine.exchanges(), machine.msrs[&S_CET]), (vec![(TASK_TOKEN, 0)], waits));
    // CALL and an interrupt: the old task's CS, LIP and SSP go there.
    for (act, back) in [(call(sel::TASK_GATE), CODE + 7), (Act::Deliver(Event::interrupt(39)), CODE)] {
        let (cpu, machine) = done(Prot32, 0, act, tasks);
        assert_eq!((cpu.system().ssp, machine.word(TASK_TOKEN)), (TASK_TOKEN - 24, TASK_TOKEN | BUSY));
        assert_eq!(machine.framed(TASK_TOKEN - 24), [SSP0, back, sel::CODE0.into()]);
        assert_eq!(machine.msrs[&S_CET], waits);
    }
    // From a program, whose SSP goes there too, and IA32_PL3_SSP stays.
    let (cpu, machine) = done(Prot32, 3, call(sel::TASK_GATE), tasks);
    assert_eq!((cpu.cpl(), machine.msrs[&PL3_SSP]), (0, SSP3 - 0x100));
    assert_eq!(machine.framed(cpu.system().ssp), [SSP3, CODE + 7, sel::CODE3.into()]);
    // From one without a shadow stack.
    let (cpu, _) = done(Prot32, 3, call(sel::TASK_GATE), |c, m| {
        tasks(c, m);
        m.msrs.insert(U_CET, 0);
    });
    assert_eq!(cpu.system().ssp, TASK_TOKEN);
    // IRET: SSP comes back, and the token of the nested task is free.
    let (cpu, machine) = done(Prot32, 0, iret(), nested);
    assert_eq!(
        (cpu.rip, cpu.system().ssp, machine.word(TOKEN), machine.word(TASK_TOKEN)),
        (TARGET, SSP0, TOKEN, TASK_TOKEN)
    );
    assert_eq!((machine.exchanges(), machine.msrs[&S_CET]), (vec![(TOKEN, 0)], BOTH), "IRET is not tracked");
    // Nothing enabled: a TSS of 108 bytes all the same, and SSP is nobody's.
    let (cpu, machine) = done(Prot32, 0, jmp(sel::TSS), |c, m| {
        tasks(c, m);
        m.msrs.insert(S_CET, 0);
    });
    assert_eq!((cpu.system().ssp, machine.seen.len()), (SSP0, 0));
}

#[rustfmt::skip] // one check a line
#[test]
fn faults_of_task_switches() {
    let ts = |selector: u32| (10, Some(selector));
    refuse(vec![
        ("a TSS without an SSP", Prot32, 0, jmp(sel::TSS), |c, m| { tasks(c, m); describe(m, NEW, 0x6a, 0xe9) }, ts(SELECTOR)),
        ("a TSS of 16 bits", Prot32, 0, jmp(sel::TSS), |c, m| { tasks(c, m); describe(m, NEW, 0x6b, 0xe1) }, ts(SELECTOR)),
        ("virtual-8086 mode with CET for programs", Prot32, 0, jmp(sel::TSS), |c, m| { tasks(c, m); m.store(NEW + 0x24, rflags::VM, 4) }, ts(SELECTOR)),
        ("IRET: SSP is not aligned", Prot32, 0, iret(), |c, m| { nested(c, m); ssp(c, TOKEN - 20) }, ts(sel::BUSY_TSS.into())),
        ("IRET: no shadow stack at SSP", Prot32, 0, iret(), |c, m| { nested(c, m); ssp(c, 0x7000) }, PF_READ),
    ]);
    // Behind the commit the switch stays, and the exception is the new task's.
    type Case = (&'static str, Act, Change, (u8, Option<u32>));
    let cases: [Case; 8] = [
        ("the new SSP is not aligned", jmp(sel::TSS), |c, m| { tasks(c, m); m.store(NEW + 0x68, TASK_TOKEN + 4, 4) }, ts(SELECTOR)),
        ("the new token is busy", jmp(sel::TSS), |c, m| { tasks(c, m); m.set(TASK_TOKEN, TASK_TOKEN | BUSY) }, GP),
        ("the new token is another's", call(sel::TSS), |c, m| { tasks(c, m); m.set(TASK_TOKEN, TOKEN) }, GP),
        ("no shadow stack there", call(sel::TSS), |c, m| { tasks(c, m); m.store(NEW + 0x68, 0x7000, 4) }, PF_WRITE),
        ("IRET: another CS", iret(), |c, m| { nested(c, m); m.set(TOKEN - 8, 0) }, FAR_RET),
        ("IRET: another LIP", iret(), |c, m| { nested(c, m); m.set(TOKEN - 16, 0) }, FAR_RET),
        ("IRET: the previous SSP is not aligned", iret(), |c, m| { nested(c, m); m.set(TOKEN - 24, SSP0 | 1) }, FAR_RET),
        ("IRET: the previous SSP is above 4 GiB", iret(), |c, m| { nested(c, m); m.set(TOKEN - 24, 1 << 32) }, GP),
    ];
    for (why, act, change, expected) in cases {
        let (mut cpu, mut machine) = prepare(Prot32, 0);
        change(&mut cpu, &mut machine);
        let outcome = run(&mut cpu, &mut machine, Profile::all(), &act);
        assert_eq!(exception(outcome), Some(expected), "{why}");
        assert_eq!((cpu.rip, cpu.system().tr.selector), (TARGET, sel::TSS), "{why}");
    }
    // A token is taken before the new task's own first fault.
    let (mut cpu, mut machine) = prepare(Prot32, 0);
    tasks(&mut cpu, &mut machine);
    machine.store(NEW + 0x4c, sel::CODE3.into(), 4);
    for at in [0x48, 0x50, 0x54, 0x58, 0x5c] {
        machine.store(NEW + at, sel::DATA3.into(), 4);
    }
    machine.msrs.insert(U_CET, 0);
    let outcome = run(&mut cpu, &mut machine, Profile::all(), &jmp(sel::TSS));
    assert!(matches!(outcome, Outcome::Completed(_)) && cpu.seg(Seg::Cs).has(rights::P));
    assert_eq!(machine.word(TASK_TOKEN), TASK_TOKEN, "a task of CPL 3 without shadow stacks takes none");
}
