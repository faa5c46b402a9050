//! What `Finisher` does with one exit.

use crate::machine;
use crate::support::kvm::{Board, CODE, DATA, DATA_LEN, DEVICE, Ended, Machine, Out, registers};
use encore86::adapt::kvm::{By, Capabilities, End, Finished, Finisher, Ioctls, Refusal, regs};
use encore86::cpu::registers::rflags;
use encore86::introspect::{Preview, Verdict};
use encore86::paging::{Limits, Paging};
use encore86::{Access, Bus, Cpu, Engine, Event, Platform, Profile, Stop};
use kvm_ioctls::VcpuExit;

const POPCNT: &[u8] = &[0xf3, 0x0f, 0xb8, 0x03]; // popcnt eax, [rbx]
const PADDD: &[u8] = &[0x66, 0x0f, 0xfe, 0x03]; // paddd xmm0, [rbx]
// Forms that no kernel's emulator has, unlike the plain moves.
const STORE: &[u8] = &[0xc4, 0xe3, 0x7d, 0x19, 0x03, 0x01]; // vextractf128 [rbx], ymm0, 1
const LOAD: &[u8] = &[0xc5, 0xff, 0xf0, 0x03]; // vlddqu ymm0, [rbx]
const CMPXCHG16B: &[u8] = &[0xf0, 0x48, 0x0f, 0xc7, 0x0b]; // lock cmpxchg16b [rbx]
const MOVBE: &[u8] = &[0x0f, 0x38, 0xf0, 0x03]; // movbe eax, [rbx]
const MOV_LOAD: &[u8] = &[0x8b, 0x03]; // mov eax, [rbx]

fn finisher(machine: &mut Machine) -> Finisher {
    with(machine, machine.capabilities)
}

fn with(machine: &mut Machine, capabilities: Capabilities) -> Finisher {
    let engine = Engine::new(Profile::host()).expect("the host grants executable memory");
    let finisher = Finisher::new(engine, capabilities).expect("the host's layout");
    finisher.arm(&mut machine.vcpu);
    finisher
}

/// Runs up to the first exit that `finish` has something to do with, and finishes it.
fn until_finished(machine: &mut Machine, finisher: &mut Finisher) -> Finished {
    let mut last = None;
    let out = machine.run(|vcpu, board| {
        last = Some(finisher.finish(vcpu, board).expect("no ioctl fails"));
        false
    });
    match (out, last) {
        (Out::Exit(_), Some(Finished { end: End::Exit, .. })) => answer(machine, finisher),
        (Out::Exit(_), Some(finished)) => finished,
        (Out::Exit(what), None) if what.contains("Internal") => {
            finisher.finish(&mut machine.vcpu, &mut machine.board).expect("no ioctl fails")
        }
        other => panic!("{other:?}"),
    }
}

/// Answers the read that stands in `kvm_run`.
fn answer(machine: &mut Machine, finisher: &mut Finisher) -> Finished {
    let Machine { vcpu, board, .. } = machine;
    crate::support::kvm::answer(vcpu, board);
    finisher.finish(vcpu, board).expect("no ioctl fails")
}

fn run_to_end(machine: &mut Machine) -> Ended {
    match machine.run(|_, _| true) {
        Out::Ended(ended) => ended,
        Out::Exit(what) => panic!("{what}"),
    }
}

fn filled() -> Cpu {
    let mut cpu = registers();
    for (i, zmm) in cpu.vector.zmm.iter_mut().enumerate() {
        zmm.0.fill(i as u8 + 1);
    }
    cpu
}

#[test]
fn what_each_instruction_costs_in_ioctls() {
    let Some(mut machine) = machine("kvm finish: ioctls", 5) else { return };
    let mut finisher = finisher(&mut machine);
    let none = Ioctls { get_debug_regs: 1, ..Ioctls::default() };
    let xsave = Ioctls { get_xsave: 1, ..none };
    let cases = [
        ("popcnt", POPCNT, none),
        ("paddd xmm", PADDD, Ioctls { set_xsave: 1, ..xsave }),
        ("vextractf128", STORE, Ioctls { get_xcrs: 1, ..xsave }),
        ("vlddqu", LOAD, Ioctls { get_xcrs: 1, set_xsave: 1, ..xsave }),
        // One KVM_RUN for each of the kernel's reads, and one translation to know them again.
        ("cmpxchg16b", CMPXCHG16B, Ioctls { translate: 1, run: 1, ..none }),
    ];
    let synced = machine.capabilities.sync_regs == 7;
    for (name, code, expected) in cases {
        machine.prepare(code, &filled(), true);
        let finished = until_finished(&mut machine, &mut finisher);
        assert!(matches!(finished.end, End::Completed(_)), "{name}: {finished:?}");
        assert_eq!(finished.by, By::Engine, "{name}");
        let made = finished.ioctls;
        let extended = |i: Ioctls| (i.get_xsave, i.set_xsave, i.get_xcrs);
        assert_eq!(extended(made), extended(expected), "{name}");
        if synced {
            assert_eq!((made, made.total()), (expected, expected.total()), "{name}");
        }
        assert_eq!(run_to_end(&mut machine), Ended::Retired, "{name}");
    }
}

#[test]
fn without_synced_registers_each_group_is_fetched_and_what_changed_is_set() {
    let Some(mut machine) = machine("kvm finish: without KVM_CAP_SYNC_REGS", 1) else { return };
    let capabilities = Capabilities { sync_regs: 0, ..machine.capabilities };
    let mut finisher = with(&mut machine, capabilities);
    machine.prepare(POPCNT, &registers(), true);
    let finished = until_finished(&mut machine, &mut finisher);
    let expected =
        Ioctls { get_regs: 1, get_sregs: 1, get_events: 1, get_debug_regs: 1, set_regs: 1, ..Ioctls::default() };
    assert_eq!(finished.ioctls, expected);
    assert_eq!(machine.vcpu.get_regs().unwrap().rip, CODE + POPCNT.len() as u64, "set at once");
    assert_eq!(run_to_end(&mut machine), Ended::Retired);
}

#[test]
fn the_larger_xsave_structure_works_alike() {
    let Some(mut machine) = machine("kvm finish: KVM_GET_XSAVE2", 2) else { return };
    if machine.capabilities.xsave2 == 0 {
        return encore86_oracle::Skips::new("kvm finish").skip("KVM_GET_XSAVE2", "the kernel has it not", 2);
    }
    let capabilities = Capabilities { xsave2: machine.capabilities.xsave2.max(4096) + 64, ..machine.capabilities };
    let mut finisher = with(&mut machine, capabilities);
    for (name, code) in [("vlddqu", LOAD), ("paddd", PADDD)] {
        machine.prepare(code, &filled(), true);
        machine.board.device[0x100..0x120].fill(0x40);
        assert!(matches!(until_finished(&mut machine, &mut finisher).end, End::Completed(_)), "{name}");
        assert_eq!(run_to_end(&mut machine), Ended::Retired);
        let after = machine.state(Ended::Retired);
        let expected = if code == PADDD { 0x41 } else { 0x40 };
        assert_eq!(after.vector.zmm[0].0[..16], [expected; 16], "{name}");
        assert_eq!(after.vector.zmm[31].0, [32; 64], "{name}: other registers stay");
    }
}

#[test]
fn reads_that_the_kernel_has_made_are_not_made_again() {
    let Some(mut machine) = machine("kvm finish: kept reads", 2) else { return };
    let mut finisher = finisher(&mut machine);
    let mut cpu = registers();
    cpu.gpr[0] = 0x0101_0101_0101_0101;
    cpu.gpr[2] = 0x0202_0202_0202_0202;
    cpu.gpr[1] = 7;
    machine.board.device[0x100..0x108].fill(1);
    machine.board.device[0x108..0x110].fill(2);
    machine.prepare(CMPXCHG16B, &cpu, true);
    let finished = until_finished(&mut machine, &mut finisher);
    assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
    let reads: Vec<_> = machine.board.log.iter().filter(|(.., write)| !write).collect();
    let bytes: usize = reads.iter().map(|(_, len, _)| len).sum();
    assert_eq!(bytes, 16, "{:x?}", machine.board.log);
    assert_eq!(run_to_end(&mut machine), Ended::Retired);
    assert_eq!(machine.board.device[0x100..0x108], (DATA + 0x100).to_le_bytes(), "RBX was stored");
    assert_eq!(machine.board.device[0x108..0x110], 7u64.to_le_bytes(), "RCX was stored");

    // MOVBE: some kernels read and then raise #UD. Whoever ran it, the device is read once and the result is right.
    machine.board.device[0x100..0x104].copy_from_slice(&[0x11, 0x22, 0x33, 0x44]);
    machine.prepare(MOVBE, &registers(), true);
    let finished = until_finished(&mut machine, &mut finisher);
    assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
    assert_eq!(run_to_end(&mut machine), Ended::Retired);
    assert_eq!(machine.state(Ended::Retired).gpr[0], 0x1122_3344);
    assert_eq!(machine.board.log, [(0x100, 4, false)]);
}

#[test]
fn an_access_that_the_kernel_had_begun_is_completed_without_entering_the_guest() {
    let Some(mut machine) = machine("kvm finish: completion", 2) else { return };
    let mut finisher = finisher(&mut machine);
    machine.board.device[0x100..0x104].copy_from_slice(&[4, 3, 2, 1]);
    machine.prepare(MOV_LOAD, &registers(), true);
    let finished = until_finished(&mut machine, &mut finisher);
    assert_eq!((finished.end, finished.by), (End::Completed(Default::default()), By::Kernel));
    assert_eq!(finished.ioctls.run, 1);
    let now = machine.vcpu.get_regs().unwrap();
    assert_eq!((now.rax, machine.board.log.len()), (0x0102_0304, 1));
}

#[test]
fn a_fault_reaches_the_guest_with_its_code_and_address() {
    for enable in [true, false] {
        let Ok(mut machine) = Machine::new(enable) else {
            return drop(crate::machine("kvm finish: injection", 2));
        };
        let synced = enable && machine.capabilities.sync_regs == 7;
        if !enable {
            // Without the payload, CR2 is set at once; the exit has to come all the same.
            machine.capabilities = Capabilities::enable(&machine.vm).expect("KVM_ENABLE_CAP");
            machine.capabilities.exception_payload = false;
            machine.capabilities.sync_regs = 0;
        }
        let mut finisher = finisher(&mut machine);
        let mut cpu = registers();
        cpu.gpr[3] = DATA + 0x100;
        machine.prepare(STORE, &cpu, true);
        let fault = Event::pf(7, DATA + 0x110, "the test's own");
        machine.board.answers = vec![Some(fault.into())];
        let finished = until_finished(&mut machine, &mut finisher);
        assert_eq!(finished.end, End::Injected(fault));
        assert!(!synced || finished.ioctls.set_events == 0, "{finished:?}");
        let ended = run_to_end(&mut machine);
        assert_eq!(ended, Ended::Exception { vector: 14, error: Some(7), cr2: Some(DATA + 0x110) });
        let state = machine.state(ended);
        assert_eq!(state.rip, CODE, "a fault leaves RIP at the instruction");
        assert_eq!(state.rflags() & rflags::RF, rflags::RF);
        assert!(machine.board.log.is_empty());
    }
}

#[test]
fn single_stepping_ends_in_a_debug_exception_behind_the_instruction() {
    let Some(mut machine) = machine("kvm finish: TF", 1) else { return };
    let mut finisher = finisher(&mut machine);
    let mut cpu = registers();
    machine.prepare(STORE, &cpu, true);
    assert!(matches!(machine.run(|_, _| true), Out::Exit(_)));
    // From here, so that the flag is the engine's to see and not the kernel's.
    cpu.set_rflags(rflags::TF | rflags::RF);
    machine.vcpu.set_regs(&kvm_bindings::kvm_regs { rip: CODE, ..regs(&cpu) }).unwrap();
    machine.vcpu.get_kvm_run().kvm_valid_regs = 0;
    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
    assert!(matches!(finished.end, End::Completed(retired) if retired.singlestep), "{finished:?}");
    let ended = run_to_end(&mut machine);
    assert_eq!(ended, Ended::Exception { vector: 1, error: None, cr2: None });
    let state = machine.state(ended);
    assert_eq!(state.rip, CODE + STORE.len() as u64);
    assert_eq!(machine.vcpu.get_debug_regs().unwrap().dr6 & 1 << 14, 1 << 14, "DR6.BS");
}

/// DR0 to DR3 and DR7 from here, so that they are the engine's to see and not the processor's.
fn breakpoints(machine: &Machine, db: [u64; 4], dr7: u64) {
    let registers = kvm_bindings::kvm_debugregs { db, dr6: 0xffff_0ff0, dr7, ..Default::default() };
    machine.vcpu.set_debug_regs(&registers).unwrap();
}

fn flags(machine: &Machine, rflags: u64) {
    let regs = machine.vcpu.get_regs().unwrap();
    machine.vcpu.set_regs(&kvm_bindings::kvm_regs { rflags, ..regs }).unwrap();
}

/// The guest takes a #DB at `rip`; gives DR6.
fn debug_exception(machine: &mut Machine, rip: u64) -> u64 {
    let ended = run_to_end(machine);
    assert_eq!(ended, Ended::Exception { vector: 1, error: None, cr2: None });
    let state = machine.state(ended);
    assert_eq!((state.rip, state.rflags() & rflags::RF), (rip, 0));
    machine.vcpu.get_debug_regs().unwrap().dr6 & 0xe00f
}

#[test]
fn breakpoints_of_the_guest_are_met() {
    for payload in [true, false] {
        let Some(mut machine) = machine("kvm finish: breakpoints", 3) else { return };
        machine.capabilities.exception_payload &= payload;
        if !payload {
            let off =
                kvm_bindings::kvm_enable_cap { cap: kvm_bindings::KVM_CAP_EXCEPTION_PAYLOAD, ..Default::default() };
            machine.vm.enable_cap(&off).unwrap();
        }
        let mut finisher = finisher(&mut machine);
        // On the instruction: it has not run, and RF, as it is pushed, is clear.
        refused(&mut machine, STORE);
        breakpoints(&machine, [0, 0, CODE, 0], 0x410);
        // The processor may have set RF for the exit, behind its own look at breakpoints.
        flags(&machine, 2);
        let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
        assert!(matches!(finished.end, End::Injected(Event { vector: 1, data: 4, .. })), "{finished:?}");
        assert_eq!(finished.ioctls.get_debug_regs, if payload { 1 } else { 2 });
        assert_eq!(debug_exception(&mut machine, CODE), 4);
        assert!(machine.board.log.is_empty());
        // RF holds it back.
        refused(&mut machine, STORE);
        breakpoints(&machine, [0, 0, CODE, 0], 0x410);
        flags(&machine, 0x1_0002);
        let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
        assert!(matches!(finished.end, End::Completed(retired) if retired.debug().is_none()), "{finished:?}");
        assert_eq!(run_to_end(&mut machine), Ended::Retired);
        // On the last of the bytes that it stores: behind it.
        refused(&mut machine, STORE);
        breakpoints(&machine, [0, DATA + 0x10f, 0, 0], 0x0010_0404);
        let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
        assert!(matches!(finished.end, End::Completed(retired) if retired.breakpoints == 2), "{finished:?}");
        assert_eq!(debug_exception(&mut machine, CODE + STORE.len() as u64), 2);
    }
}

#[test]
fn breakpoints_that_are_not_looked_for_cost_nothing() {
    let Some(mut machine) = machine("kvm finish: no breakpoints", 1) else { return };
    let mut finisher = finisher(&mut machine);
    finisher.set_breakpoints(false);
    refused(&mut machine, STORE);
    breakpoints(&machine, [0, DATA + 0x10f, 0, 0], 0x0010_0404);
    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
    assert!(matches!(finished.end, End::Completed(retired) if retired.debug().is_none()), "{finished:?}");
    assert_eq!((finished.ioctls.get_debug_regs, finished.ioctls.set_debug_regs), (0, 0));
    assert_eq!(run_to_end(&mut machine), Ended::Retired);
}

#[test]
fn a_debug_exception_that_mov_ss_holds_back_comes_behind_the_next_instruction() {
    const MOV_SS: &[u8] = &[0x8e, 0x13, 0x90]; // mov ss, [rbx]; nop
    let Some(mut machine) = machine("kvm finish: MOV SS", 1) else { return };
    let mut finisher = finisher(&mut machine);
    machine.prepare(MOV_SS, &registers(), true);
    let ss = machine.vcpu.get_sregs().unwrap().ss.selector;
    machine.board.device[0x100..0x102].copy_from_slice(&ss.to_le_bytes());
    breakpoints(&machine, [DATA + 0x100, 0, 0, 0], 0x0003_0401);
    machine.vcpu.get_kvm_run().kvm_valid_regs = 0;
    let finished = finisher.emulate(&mut machine.vcpu, &mut machine.board, |_, _| Ok(())).unwrap();
    assert!(matches!(finished.end, End::Completed(retired) if retired.breakpoints == 1), "{finished:?}");
    assert_eq!(machine.vcpu.get_vcpu_events().unwrap().interrupt.shadow, 0);
    assert_eq!(debug_exception(&mut machine, CODE + 3), 1);
}

#[test]
fn debug_registers_are_read_and_written() {
    // MOV DR7, RAX at CPL 0, as no kernel leaves it to a monitor: emulated by the monitor's wish.
    const MOV_DR7: &[u8] = &[0x0f, 0x23, 0xf8];
    let Some(mut machine) = machine("kvm finish: MOV DR", 1) else { return };
    let mut finisher = finisher(&mut machine);
    finisher.set_breakpoints(false);
    let mut cpu = registers();
    cpu.gpr[0] = 0x0010_0404;
    machine.prepare(MOV_DR7, &cpu, true);
    let mut sregs = machine.vcpu.get_sregs().unwrap();
    (sregs.cs.dpl, sregs.ss.dpl) = (0, 0);
    (sregs.cs.selector, sregs.ss.selector) = (sregs.cs.selector & !3, sregs.ss.selector & !3);
    machine.vcpu.set_sregs(&sregs).unwrap();
    machine.vcpu.get_kvm_run().kvm_valid_regs = 0;
    breakpoints(&machine, [1, 2, 3, 4], 0x400);
    let finished = finisher.emulate(&mut machine.vcpu, &mut machine.board, |_, _| Ok(())).unwrap();
    assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
    let now = machine.vcpu.get_debug_regs().unwrap();
    assert_eq!((now.db, now.dr7), ([1, 2, 3, 4], 0x0010_0404));
}

/// Stops at the kernel's refusal of `code` with registers that do not come with the exit, so that a test may change them.
fn refused(machine: &mut Machine, code: &[u8]) {
    machine.vcpu.get_kvm_run().kvm_valid_regs = 0;
    machine.prepare(code, &registers(), true);
    let out = machine.run(|_, _| true);
    assert!(matches!(&out, Out::Exit(what) if what.contains("Internal")), "{out:?}");
}

#[test]
fn the_interrupt_shadow_ends_with_the_instruction() {
    let Some(mut machine) = machine("kvm finish: shadow", 1) else { return };
    let mut finisher = finisher(&mut machine);
    refused(&mut machine, STORE);
    let mut events = machine.vcpu.get_vcpu_events().unwrap();
    events.interrupt.shadow = 2;
    events.flags = 4;
    machine.vcpu.set_vcpu_events(&events).unwrap();
    assert_eq!(machine.vcpu.get_vcpu_events().unwrap().interrupt.shadow, 2);
    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
    assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
    assert_eq!(finished.ioctls.set_events, 1);
    assert_eq!(machine.vcpu.get_vcpu_events().unwrap().interrupt.shadow, 0);
}

#[test]
fn an_injected_event_comes_first_and_the_kernels_own_refusal_is_taken_back() {
    let Some(mut machine) = machine("kvm finish: events", 2) else { return };
    let mut finisher = finisher(&mut machine);
    refused(&mut machine, STORE);
    let mut events = machine.vcpu.get_vcpu_events().unwrap();
    (events.exception.injected, events.exception.nr, events.exception.has_error_code) = (1, 13, 1);
    events.flags = 0;
    machine.vcpu.set_vcpu_events(&events).unwrap();
    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
    assert_eq!(finished.end, End::Refused(Refusal::EventFirst(13)));
    assert!(machine.board.log.is_empty(), "nothing was run");
    assert_eq!(machine.vcpu.get_regs().unwrap().rip, CODE);

    // A #UD together with this exit is how a kernel without KVM_CAP_EXIT_ON_EMULATION_FAILURE says that it gave up.
    refused(&mut machine, STORE);
    let mut events = machine.vcpu.get_vcpu_events().unwrap();
    (events.exception.injected, events.exception.nr, events.exception.has_error_code) = (1, 6, 0);
    events.flags = 0;
    machine.vcpu.set_vcpu_events(&events).unwrap();
    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
    assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
    assert_eq!(run_to_end(&mut machine), Ended::Retired);
}

#[test]
fn a_device_that_answers_later_sees_each_access_once() {
    let Some(mut machine) = machine("kvm finish: retry", 2) else { return };
    let mut finisher = finisher(&mut machine);
    // A locked exchange of 16 bytes: read by the kernel, stored by the engine, which has to come again.
    let mut cpu = registers();
    cpu.gpr[1] = 9;
    for code in [CMPXCHG16B, STORE] {
        machine.board.device[0x100..0x120].fill(0);
        machine.prepare(code, &cpu, true);
        machine.board.answers = vec![Some(Stop::Retry)];
        let first = until_finished(&mut machine, &mut finisher);
        assert_eq!(first.end, End::Retry);
        let second = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
        assert!(matches!(second.end, End::Completed(_)), "{second:?}");
        let writes: Vec<_> = machine.board.log.iter().filter(|(.., write)| *write).collect();
        assert_eq!(writes.len(), 1, "{:x?}", machine.board.log);
        let read: usize = machine.board.log.iter().filter(|(.., write)| !write).map(|(_, len, _)| len).sum();
        assert_eq!(read, if code == CMPXCHG16B { 16 } else { 0 });
        assert_eq!(run_to_end(&mut machine), Ended::Retired);
    }
}

#[test]
fn bytes_are_fetched_where_the_exit_has_none() {
    let Some(mut machine) = machine("kvm finish: bytes", 1) else { return };
    let mut finisher = finisher(&mut machine);
    machine.prepare(STORE, &filled(), true);
    assert!(matches!(machine.run(|_, _| true), Out::Exit(_)));
    machine.vcpu.get_kvm_run().__bindgen_anon_1.emulation_failure.ndata = 0;
    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
    assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
    assert_eq!(machine.board.device[0x100..0x110], [1; 16]);
}

#[test]
fn exits_about_no_instruction_are_refused_by_their_reason() {
    let Some(mut machine) = machine("kvm finish: other exits", 1) else { return };
    let mut finisher = finisher(&mut machine);
    machine.prepare(&[0xf4], &registers(), true);
    machine.vcpu.get_kvm_run().exit_reason = kvm_bindings::KVM_EXIT_HLT;
    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
    assert_eq!(finished.end, End::Refused(Refusal::Reason(kvm_bindings::KVM_EXIT_HLT)));
}

#[test]
fn a_port_access_is_completed_and_its_answer_arrives() {
    let Some(mut machine) = machine("kvm finish: ports", 1) else { return };
    let mut finisher = finisher(&mut machine);
    // in al, 0x10: IOPL 3 lets CPL 3 do it.
    let mut cpu = registers();
    cpu.set_rflags(cpu.rflags() | rflags::IOPL);
    machine.prepare(&[0xe4, 0x10], &cpu, true);
    match machine.vcpu.run() {
        Ok(VcpuExit::IoIn(0x10, data)) => data.fill(0xa5),
        other => panic!("{other:?}"),
    }
    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).unwrap();
    assert_eq!((finished.end, finished.by), (End::Completed(Default::default()), By::Kernel));
    let now = machine.vcpu.get_regs().unwrap();
    assert_eq!((now.rax & 0xff, now.rip), (0xa5, CODE + 2));
    assert_eq!(run_to_end(&mut machine), Ended::Retired);
}

/// The board at guest-physical addresses, for a page walker above it.
struct Physical<'a>(&'a mut Board);

impl Physical<'_> {
    /// The linear address that the board knows a device byte by.
    fn device(at: u64, len: usize) -> Option<u64> {
        let offset = at.checked_sub(DEVICE)?;
        (offset as usize + len <= DATA_LEN).then_some(DATA + offset)
    }
}

impl Bus for Physical<'_> {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.0.fetch(at, buf, access)
    }
    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.0.read(Self::device(at, buf.len()).unwrap_or(at), buf, access)
    }
    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.0.write(Self::device(at, buf.len()).unwrap_or(at), buf, access)
    }
    fn probe(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.0.probe(Self::device(at, len).unwrap_or(at), len, access)
    }
}

impl Platform for Physical<'_> {}

#[test]
fn the_guests_page_tables_are_walked_with_the_exits_registers() {
    let Some(mut machine) = machine("kvm finish: page tables", 3) else { return };
    let mut finisher = finisher(&mut machine);
    let limits = Limits::new(finisher.engine().profile());
    let end = DATA + DATA_LEN as u64;
    // Inside the window; over its end, where the second page is not there; and inside the last page.
    for (at, fault) in [(DATA + 0x100, None), (end - 8, Some(end)), (end - 16, None)] {
        let mut cpu = filled();
        cpu.gpr[3] = at;
        machine.board.device.fill(0);
        machine.prepare(STORE, &cpu, true);
        let ended = match machine.run(|_, _| true) {
            Out::Exit(what) if what.contains("Internal") => {
                let mut memory = Paging::new(Physical(&mut machine.board), limits);
                let walk = |memory: &mut Paging<Physical<'_>>, cpu: &Cpu| {
                    memory.flush();
                    memory.load(cpu)
                };
                let finished = finisher.finish_with(&mut machine.vcpu, &mut memory, walk).unwrap();
                let injected = matches!(finished.end, End::Injected(_));
                assert_eq!((finished.by, injected), (By::Engine, fault.is_some()), "{finished:?}");
                run_to_end(&mut machine)
            }
            // A processor may find the second page missing before it finds the device.
            Out::Ended(ended) if fault.is_some() => ended,
            other => panic!("{other:?}"),
        };
        match fault {
            None => {
                let offset = (at - DATA) as usize;
                assert_eq!((ended, &machine.board.device[offset..offset + 16]), (Ended::Retired, &[1; 16][..]));
            }
            Some(cr2) => {
                assert_eq!(ended, Ended::Exception { vector: 14, error: Some(6), cr2: Some(cr2) });
                assert_eq!(machine.board.device, [0; DATA_LEN], "no half of the store is left");
            }
        }
    }
}

#[test]
fn a_filter_may_skip_or_refuse_what_the_engine_would_run() {
    let Some(mut machine) = machine("kvm finish: filters", 3) else { return };
    let mut finisher = finisher(&mut machine);
    for verdict in [Verdict::Refuse, Verdict::Skip, Verdict::Allow] {
        machine.board.device.fill(0);
        machine.prepare(STORE, &filled(), true);
        assert!(matches!(machine.run(|_, _| true), Out::Exit(_)));
        let mut seen = None;
        let mut filter = |_: &Cpu, preview: &Preview<'_>| {
            seen = Some((preview.insn.to_string(), preview.accesses[0].at, preview.accesses[0].len));
            verdict
        };
        let Machine { vcpu, board, .. } = &mut machine;
        let finished = finisher.finish_filtered(vcpu, board, |_, _| Ok(()), &mut filter).unwrap();
        assert_eq!(seen, Some(("vextractf128 xmmword ptr [rbx], ymm0, 0x1".to_owned(), DATA + 0x100, 16)));
        assert_eq!(machine.board.device[0x100], u8::from(verdict == Verdict::Allow), "{verdict:?}");
        if verdict == Verdict::Refuse {
            assert_eq!(finished.end, End::Refused(Refusal::Filtered));
            assert_eq!(machine.vcpu.get_regs().unwrap().rip, CODE);
        } else {
            assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
            assert_eq!(run_to_end(&mut machine), Ended::Retired);
        }
    }
}
