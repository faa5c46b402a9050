//! Segment loads, far transfers, IRET and the delivery of events, against what the manual's pages say: each fault that they
//! name has a line here, and each way through has its frame checked, entry by entry.

#[path = "transfer/world.rs"]
mod world;

use encore86::cpu::registers::rflags;
use encore86::cpu::segment::{Seg, rights};
use encore86::{Cpu, Event, EventKind, Mode, Outcome, Profile, Stop};
use world::Kind::{Compat32, Long64, Prot32, Real, V86};
use world::{CODE, GDT, IST1, Kind, STACK, STACK0, TARGET, TSS, World, cpu, deliver, sel, step};

const GP: u8 = 13;
const NP: u8 = 11;
const SS: u8 = 12;
const TS: u8 = 10;
const UD: u8 = 6;

/// A far pointer behind an opcode: 32-bit offset and selector.
fn far(opcode: u8, offset: u64, selector: u16) -> Vec<u8> {
    let mut code = vec![opcode];
    code.extend(&(offset as u32).to_le_bytes());
    code.extend(selector.to_le_bytes());
    code
}

fn jmp(selector: u16) -> Vec<u8> {
    far(0xea, TARGET, selector)
}

fn call(selector: u16) -> Vec<u8> {
    far(0x9a, TARGET, selector)
}

/// MOV to a segment register from AX, which the case sets.
fn mov(seg: Seg) -> Vec<u8> {
    vec![0x8e, 0xc0 | (seg as u8) << 3]
}

/// What a case changes before its step.
type Change = fn(&mut Cpu, &mut World);

fn nothing(_: &mut Cpu, _: &mut World) {}

/// Puts entries on the stack, the lowest first.
macro_rules! stack {
    ($size:literal: $($value:expr),*) => {
        |_: &mut Cpu, world: &mut World| {
            for (i, value) in [$($value as u64),*].into_iter().enumerate() {
                world.put(STACK + i as u64 * $size, value, $size);
            }
        }
    };
}

macro_rules! ax {
    ($value:expr) => {
        |cpu: &mut Cpu, _: &mut World| cpu.gpr[0] = $value as u64
    };
}

struct Fault {
    /// What the manual says.
    why: &'static str,
    kind: Kind,
    cpl: u8,
    code: Vec<u8>,
    change: Change,
    vector: u8,
    error: u16,
}

fn fault(why: &'static str, kind: Kind, cpl: u8, code: Vec<u8>, change: Change, vector: u8, error: u16) -> Fault {
    Fault { why, kind, cpl, code, change, vector, error }
}

fn check(cases: Vec<Fault>) {
    let mut wrong = Vec::new();
    for case in &cases {
        let (mut cpu, mut world) = (cpu(case.kind, case.cpl), World::new(matches!(case.kind, Long64 | Compat32)));
        (case.change)(&mut cpu, &mut world);
        let before = cpu.clone();
        let outcome = step(&mut cpu, &mut world, Profile::all(), &case.code);
        let expected = (case.vector, Some(u32::from(case.error)).filter(|_| case.vector != UD));
        let met = match outcome {
            Outcome::Exception(event) => Some((event.vector, event.error_code)),
            _ => None,
        };
        let same = before.gpr == cpu.gpr
            && before.rip == cpu.rip
            && before.rflags() == cpu.rflags()
            && before.system() == cpu.system();
        if met != Some(expected) || !same {
            wrong.push(format!("{}: {outcome:?}, wanted {expected:x?}; all as before: {same}", case.why));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn faults_of_segment_loads() {
    use Seg::{Ds, Ss};
    let pop_ds = || vec![0x1f];
    check(vec![
        fault("MOV SS: null selector", Prot32, 0, mov(Ss), ax!(3), GP, 0),
        fault("MOV SS: null selector at CPL 3 of 64-bit mode", Long64, 3, mov(Ss), ax!(3), GP, 0),
        fault("MOV SS: null selector in compatibility mode", Compat32, 3, mov(Ss), ax!(0), GP, 0),
        fault("MOV SS: null selector whose RPL is not CPL", Long64, 0, mov(Ss), ax!(1), GP, 0),
        fault("MOV SS: beyond the table", Prot32, 0, mov(Ss), ax!(0x1000), GP, 0x1000),
        fault("MOV SS: RPL is not CPL", Prot32, 0, mov(Ss), ax!(sel::DATA0 | 3), GP, sel::DATA0),
        fault("MOV SS: not writable", Prot32, 0, mov(Ss), ax!(sel::READ_ONLY), GP, sel::READ_ONLY),
        fault("MOV SS: code", Prot32, 0, mov(Ss), ax!(sel::CODE0), GP, sel::CODE0),
        fault("MOV SS: DPL is not CPL", Prot32, 3, mov(Ss), ax!(sel::DATA0 | 3), GP, sel::DATA0),
        fault("MOV SS: not present", Prot32, 0, mov(Ss), ax!(sel::ABSENT_DATA), SS, sel::ABSENT_DATA),
        fault("MOV DS: beyond the table", Prot32, 0, mov(Ds), ax!(0x1000), GP, 0x1000),
        fault("MOV DS: beyond the LDT", Prot32, 3, mov(Ds), ax!(0x17), GP, 0x14),
        fault(
            "MOV DS: neither data nor readable code",
            Prot32,
            0,
            mov(Ds),
            ax!(sel::EXECUTE_ONLY),
            GP,
            sel::EXECUTE_ONLY,
        ),
        fault("MOV DS: a system segment", Prot32, 0, mov(Ds), ax!(sel::TSS), GP, sel::TSS),
        fault("MOV DS: CPL above DPL", Prot32, 3, mov(Ds), ax!(sel::DATA0), GP, sel::DATA0),
        fault("MOV DS: RPL above DPL", Prot32, 0, mov(Ds), ax!(sel::DATA0 | 3), GP, sel::DATA0),
        fault("MOV DS: not present", Prot32, 0, mov(Ds), ax!(sel::ABSENT_DATA), NP, sel::ABSENT_DATA),
        fault("POP DS: not present", Prot32, 0, pop_ds(), stack!(4: sel::ABSENT_DATA), NP, sel::ABSENT_DATA),
        fault("LLDT: CPL is not 0", Prot32, 3, vec![0x0f, 0x00, 0xd0], ax!(sel::LDT), GP, 0),
        fault("LLDT: the selector names the LDT", Prot32, 0, vec![0x0f, 0x00, 0xd0], ax!(0xc), GP, 0xc),
        fault("LLDT: beyond the table", Prot32, 0, vec![0x0f, 0x00, 0xd0], ax!(0x1000), GP, 0x1000),
        fault("LLDT: no LDT", Prot32, 0, vec![0x0f, 0x00, 0xd0], ax!(sel::TSS), GP, sel::TSS),
        fault("LLDT: not present", Prot32, 0, vec![0x0f, 0x00, 0xd0], ax!(sel::ABSENT_LDT), NP, sel::ABSENT_LDT),
        fault(
            "LLDT: a base that is not canonical",
            Long64,
            0,
            vec![0x0f, 0x00, 0xd0],
            ax!(sel::NOT_CANONICAL_LDT),
            GP,
            sel::NOT_CANONICAL_LDT,
        ),
        fault("LLDT: virtual-8086 mode", V86, 3, vec![0x0f, 0x00, 0xd0], nothing, UD, 0),
        fault("LTR: null selector", Prot32, 0, vec![0x0f, 0x00, 0xd8], ax!(0), GP, 0),
        fault("LTR: busy", Prot32, 0, vec![0x0f, 0x00, 0xd8], ax!(sel::BUSY_TSS), GP, sel::BUSY_TSS),
        fault("LTR: no TSS", Prot32, 0, vec![0x0f, 0x00, 0xd8], ax!(sel::LDT), GP, sel::LDT),
    ]);
}

#[test]
fn faults_of_far_jumps_and_calls() {
    let indirect = || vec![0x48, 0xff, 0x2b];
    check(vec![
        fault("JMP: null selector", Prot32, 0, jmp(3), nothing, GP, 0),
        fault("JMP: beyond the table", Prot32, 0, jmp(0x1000), nothing, GP, 0x1000),
        fault("JMP: data", Prot32, 0, jmp(sel::DATA0), nothing, GP, sel::DATA0),
        fault("JMP: an LDT", Prot32, 0, jmp(sel::LDT), nothing, GP, sel::LDT),
        fault("JMP: conforming, DPL above CPL", Prot32, 0, jmp(sel::CONFORMING3), nothing, GP, sel::CONFORMING3),
        fault("JMP: not conforming, RPL above CPL", Prot32, 0, jmp(sel::CODE0 | 3), nothing, GP, sel::CODE0),
        fault("JMP: not conforming, DPL is not CPL", Prot32, 3, jmp(sel::CODE0), nothing, GP, sel::CODE0),
        fault("JMP: not present", Prot32, 0, jmp(sel::ABSENT_CODE), nothing, NP, sel::ABSENT_CODE),
        fault("JMP: beyond the limit", Prot32, 0, jmp(sel::SMALL_CODE), nothing, GP, 0),
        fault("JMP: L and D", Compat32, 0, jmp(sel::BOTH_L_AND_D), nothing, GP, sel::BOTH_L_AND_D),
        fault(
            "JMP: to an address that is not canonical",
            Long64,
            0,
            indirect(),
            |cpu, world| {
                cpu.gpr[3] = 0x6000;
                world.put(0x6000, 1 << 47, 8);
                world.put(0x6008, u64::from(sel::CODE0), 2);
            },
            GP,
            0,
        ),
        fault("JMP: a task gate in IA-32e mode", Compat32, 0, jmp(sel::TASK_GATE), nothing, GP, sel::TASK_GATE),
        fault("JMP: a TSS in IA-32e mode", Compat32, 0, jmp(sel::TSS), nothing, GP, sel::TSS),
        fault("JMP: a 16-bit gate in IA-32e mode", Compat32, 3, jmp(sel::GATE16), nothing, GP, sel::GATE16),
        fault("JMP: a gate to inner code that is not conforming", Prot32, 3, jmp(sel::GATE), nothing, GP, sel::CODE0),
        fault("CALL: null selector", Prot32, 0, call(0), nothing, GP, 0),
        fault("CALL: beyond the table", Prot32, 0, call(0x1000), nothing, GP, 0x1000),
        fault("CALL: not present", Prot32, 0, call(sel::ABSENT_CODE), nothing, NP, sel::ABSENT_CODE),
        fault(
            "CALL: no room on the stack",
            Prot32,
            0,
            call(sel::CODE0),
            |cpu, _| {
                cpu.update(|s| s.seg[Seg::Ss as usize].limit = 0x7ffb);
            },
            SS,
            0,
        ),
        fault("CALL: beyond the limit", Prot32, 0, call(sel::SMALL_CODE), nothing, GP, 0),
        fault("CALL: the gate's DPL below CPL", Prot32, 3, call(sel::GATE_DPL0), nothing, GP, sel::GATE_DPL0),
        fault("CALL: the gate's DPL below RPL", Prot32, 0, call(sel::GATE_DPL0 | 3), nothing, GP, sel::GATE_DPL0),
        fault("CALL: the gate is not present", Prot32, 3, call(sel::ABSENT_GATE), nothing, NP, sel::ABSENT_GATE),
        fault("CALL: the gate's selector is null", Prot32, 3, call(sel::GATE_TO_NULL), nothing, GP, 0),
        fault("CALL: the gate's selector is beyond the table", Prot32, 3, call(sel::GATE_BEYOND), nothing, GP, 0x1008),
        fault("CALL: the gate leads to data", Prot32, 3, call(sel::GATE_TO_DATA), nothing, GP, sel::DATA0),
        fault(
            "CALL: the gate's code is not present",
            Prot32,
            3,
            call(sel::GATE_TO_ABSENT),
            nothing,
            NP,
            sel::ABSENT_CODE,
        ),
        fault(
            "CALL: the gate's code is no 64-bit code",
            Compat32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(GDT + u64::from(sel::GATE) + 2, u64::from(sel::EXECUTE_ONLY), 2);
            },
            GP,
            sel::EXECUTE_ONLY,
        ),
        fault(
            "CALL: the gate's second half has a type",
            Compat32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(GDT + u64::from(sel::GATE) + 13, 1, 1);
            },
            GP,
            sel::GATE,
        ),
        fault(
            "CALL: the TSS ends before the stack",
            Prot32,
            3,
            call(sel::GATE),
            |cpu, _| {
                cpu.update(|s| s.tr.limit = 8);
            },
            TS,
            sel::BUSY_TSS,
        ),
        fault("CALL: the new SS is null", Prot32, 3, call(sel::GATE), |_, world| world.put(TSS + 8, 0, 4), TS, 0),
        fault(
            "CALL: the new SS is beyond the table",
            Prot32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(TSS + 8, 0x1000, 4);
            },
            TS,
            0x1000,
        ),
        fault(
            "CALL: RPL of the new SS is not the new CPL",
            Prot32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(TSS + 8, u64::from(sel::DATA0 | 3), 4);
            },
            TS,
            sel::DATA0,
        ),
        fault(
            "CALL: DPL of the new SS is not the new CPL",
            Prot32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(TSS + 8, u64::from(sel::DATA3 & !3), 4);
            },
            TS,
            sel::DATA3 & !3,
        ),
        fault(
            "CALL: the new SS is not writable",
            Prot32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(TSS + 8, u64::from(sel::READ_ONLY), 4);
            },
            TS,
            sel::READ_ONLY,
        ),
        fault(
            "CALL: the new SS is not present",
            Prot32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(TSS + 8, u64::from(sel::ABSENT_DATA), 4);
            },
            SS,
            sel::ABSENT_DATA,
        ),
        fault(
            "CALL: no room on the new stack",
            Prot32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(TSS + 8, u64::from(sel::LOW_STACK), 4);
            },
            SS,
            sel::LOW_STACK,
        ),
        fault(
            "CALL: the new RSP is not canonical",
            Compat32,
            3,
            call(sel::GATE),
            |_, world| {
                world.put(TSS + 4, 1 << 47, 8);
            },
            SS,
            0,
        ),
        fault("JMP in real mode: beyond the limit", Real, 0, vec![0x66, 0xea, 0, 0, 1, 0, 0, 0], nothing, GP, 0),
    ]);
}

#[test]
fn faults_of_far_returns() {
    let retf = || vec![0xcb];
    check(vec![
        fault("RET: null selector", Prot32, 0, retf(), stack!(4: TARGET, 0), GP, 0),
        fault("RET: beyond the table", Prot32, 0, retf(), stack!(4: TARGET, 0x1000), GP, 0x1000),
        fault("RET: no code", Prot32, 0, retf(), stack!(4: TARGET, sel::DATA0), GP, sel::DATA0),
        fault("RET: to more privilege", Prot32, 3, retf(), stack!(4: TARGET, sel::CODE0), GP, sel::CODE0),
        fault(
            "RET: conforming, DPL above RPL",
            Prot32,
            0,
            retf(),
            stack!(4: TARGET, sel::CONFORMING3),
            GP,
            sel::CONFORMING3,
        ),
        fault(
            "RET: not conforming, DPL is not RPL",
            Prot32,
            0,
            retf(),
            stack!(4: TARGET, sel::CODE0 | 3),
            GP,
            sel::CODE0,
        ),
        fault("RET: not present", Prot32, 0, retf(), stack!(4: TARGET, sel::ABSENT_CODE), NP, sel::ABSENT_CODE),
        fault("RET: beyond the limit", Prot32, 0, retf(), stack!(4: TARGET, sel::SMALL_CODE), GP, 0),
        fault("RET: the stack ends", Prot32, 0, retf(), |cpu, _| cpu.gpr[4] = 0xffff_fffe, SS, 0),
        fault("RET out: SS is null", Prot32, 0, retf(), stack!(4: TARGET, sel::CODE3, 0x7000, 0), GP, 0),
        fault(
            "RET out: SS is beyond the table",
            Prot32,
            0,
            retf(),
            stack!(4: TARGET, sel::CODE3, 0x7000, 0x1003),
            GP,
            0x1000,
        ),
        fault(
            "RET out: RPL of SS",
            Prot32,
            0,
            retf(),
            stack!(4: TARGET, sel::CODE3, 0x7000, sel::DATA3 & !3),
            GP,
            sel::DATA3 & !3,
        ),
        fault(
            "RET out: SS is not writable",
            Prot32,
            0,
            retf(),
            stack!(4: TARGET, sel::CODE3, 0x7000, sel::CODE3),
            GP,
            sel::CODE3 & !3,
        ),
        fault(
            "RET out: DPL of SS",
            Prot32,
            0,
            retf(),
            stack!(4: TARGET, sel::CODE3, 0x7000, sel::DATA0 | 3),
            GP,
            sel::DATA0,
        ),
        fault("RET: not canonical", Long64, 0, vec![0x48, 0xcb], stack!(8: 1u64 << 47, sel::CODE0), GP, 0),
        fault("RET: L and D", Long64, 0, vec![0x48, 0xcb], stack!(8: TARGET, sel::BOTH_L_AND_D), GP, sel::BOTH_L_AND_D),
        fault(
            "RET out in 64-bit mode: SS is null at CPL 3",
            Long64,
            0,
            vec![0x48, 0xcb],
            stack!(8: TARGET, sel::CODE64_3, 0x7000, 3),
            GP,
            0,
        ),
    ]);
}

#[test]
fn faults_of_iret() {
    let iretq = || vec![0x48, 0xcf];
    check(vec![
        fault("IRET: null selector", Prot32, 0, vec![0xcf], stack!(4: TARGET, 0, 2), GP, 0),
        fault("IRET: beyond the table", Prot32, 0, vec![0xcf], stack!(4: TARGET, 0x1000, 2), GP, 0x1000),
        fault("IRET: no code", Prot32, 0, vec![0xcf], stack!(4: TARGET, sel::DATA0, 2), GP, sel::DATA0),
        fault("IRET: to more privilege", Prot32, 3, vec![0xcf], stack!(4: TARGET, sel::CODE0, 2), GP, sel::CODE0),
        fault(
            "IRET: conforming, DPL above RPL",
            Prot32,
            0,
            vec![0xcf],
            stack!(4: TARGET, sel::CONFORMING3, 2),
            GP,
            sel::CONFORMING3,
        ),
        fault("IRET: not present", Prot32, 0, vec![0xcf], stack!(4: TARGET, sel::ABSENT_CODE, 2), NP, sel::ABSENT_CODE),
        fault("IRET: beyond the limit", Prot32, 0, vec![0xcf], stack!(4: TARGET, sel::SMALL_CODE, 2), GP, 0),
        fault("IRET out: SS is null", Prot32, 0, vec![0xcf], stack!(4: TARGET, sel::CODE3, 2, 0x7000, 0), GP, 0),
        fault(
            "IRET out: RPL of SS",
            Prot32,
            0,
            vec![0xcf],
            stack!(4: TARGET, sel::CODE3, 2, 0x7000, sel::DATA0),
            GP,
            sel::DATA0,
        ),
        fault("IRET: NT in IA-32e mode", Long64, 0, iretq(), |cpu, _| cpu.set_rflags(rflags::NT), GP, 0),
        fault("IRETQ: SS is null at CPL 3", Long64, 3, iretq(), stack!(8: TARGET, sel::CODE64_3, 2, 0x7000, 3), GP, 0),
        fault(
            "IRETQ: null SS for 32-bit code",
            Long64,
            0,
            iretq(),
            stack!(8: TARGET, sel::SMALL_CODE, 2, 0x7000, 3),
            GP,
            0,
        ),
        fault(
            "IRETQ: not canonical",
            Long64,
            0,
            iretq(),
            stack!(8: 1u64 << 47, sel::CODE0, 2, 0x7000, sel::DATA0),
            GP,
            0,
        ),
        fault(
            "IRET to virtual-8086 mode: beyond 64 KiB",
            Prot32,
            0,
            vec![0xcf],
            stack!(4: 0x10000, 0, rflags::VM, 0, 0, 0, 0, 0, 0),
            GP,
            0,
        ),
        fault("IRET in virtual-8086 mode: IOPL below 3", V86, 3, vec![0xcf], nothing, GP, 0),
    ]);
}

/// Runs one step that has to complete.
fn done(kind: Kind, cpl: u8, code: &[u8], change: Change) -> (Cpu, World, Cpu) {
    let (mut cpu, mut world) = (cpu(kind, cpl), World::new(matches!(kind, Long64 | Compat32)));
    change(&mut cpu, &mut world);
    let before = cpu.clone();
    let outcome = step(&mut cpu, &mut world, Profile::all(), code);
    assert!(matches!(outcome, Outcome::Completed(_)), "{code:02x?} in {kind:?}: {outcome:?}");
    (cpu, world, before)
}

#[test]
fn segments_are_loaded() {
    let (cpu, world, _) = done(Prot32, 0, &mov(Seg::Es), |cpu, world| {
        cpu.gpr[0] = u64::from(sel::DATA3);
        world.put(GDT + u64::from(sel::DATA3 & !7) + 5, 0xf2, 1);
    });
    let es = cpu.seg(Seg::Es);
    assert_eq!((es.selector, es.attr, es.limit, es.base), (sel::DATA3, 0xc0f3, u32::MAX, 0));
    assert_eq!(world.get(GDT + u64::from(sel::DATA3 & !7) + 5, 1), 0xf3, "the accessed bit is set in memory");

    let (cpu, ..) = done(Prot32, 3, &mov(Seg::Fs), ax!(0xf));
    assert_eq!(cpu.seg(Seg::Fs).selector, 0xf, "the second entry of the LDT");
    let (cpu, ..) = done(Prot32, 3, &mov(Seg::Ds), ax!(2));
    assert!(cpu.seg(Seg::Ds).has(rights::UNUSABLE), "a null selector loads, and serves for nothing");
    let (cpu, ..) = done(Real, 0, &mov(Seg::Ds), ax!(0x1234));
    assert_eq!((cpu.seg(Seg::Ds).selector, cpu.seg(Seg::Ds).base), (0x1234, 0x12340));
    let (cpu, ..) = done(Long64, 0, &mov(Seg::Ss), ax!(0));
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Ss).has(rights::UNUSABLE)), (0, true));

    let (cpu, _, before) = done(Long64, 0, &[0xf2, 0x0f, 0x00, 0xf0], |cpu, world| {
        // lkgs ax: the base is 0x00123400
        cpu.gpr[0] = u64::from(sel::DATA3);
        world.put(GDT + u64::from(sel::DATA3 & !7) + 2, 0x3400, 2);
        world.put(GDT + u64::from(sel::DATA3 & !7) + 4, 0x12, 1);
        cpu.update(|s| s.seg[Seg::Gs as usize].base = 0x7777);
    });
    assert_eq!((cpu.seg(Seg::Gs).selector, cpu.seg(Seg::Gs).base), (sel::DATA3, 0x7777));
    assert_eq!((cpu.system().kernel_gs_base, before.system().kernel_gs_base), (0x12_3400, 0));
    let (cpu, world, _) = done(Prot32, 0, &[0x0f, 0x00, 0xd8], ax!(sel::TSS)); // ltr ax
    assert_eq!((cpu.system().tr.base, cpu.system().tr.attr & 0xf), (TSS, 0xb));
    assert_eq!(world.get(GDT + u64::from(sel::TSS) + 5, 1), 0x8b, "the TSS is busy");
    let (cpu, ..) = done(Long64, 0, &[0x0f, 0x00, 0xd0], ax!(sel::LDT)); // lldt ax
    assert_eq!((cpu.system().ldtr.selector, cpu.system().ldtr.limit), (sel::LDT, 15));
    let (cpu, ..) = done(Prot32, 0, &[0xc5, 0x03], |cpu, world| {
        // lds eax, [ebx]
        cpu.gpr[3] = 0x6000;
        world.put(0x6000, 0x1234_5678, 4);
        world.put(0x6004, u64::from(sel::DATA0), 2);
    });
    assert_eq!((cpu.gpr[0], cpu.seg(Seg::Ds).selector), (0x1234_5678, sel::DATA0));
}

#[test]
fn descriptors_answer_questions() {
    // Opcode, selector, CPL: ZF, and EAX if it changes. LAR 02, LSL 03, VERR 00 /4, VERW 00 /5 with ECX.
    type Question = (&'static str, Kind, u8, u16, bool, Option<u64>);
    let cases: &[Question] = &[
        ("lar", Prot32, 0, sel::DATA0, true, Some(0x00cf_9300)),
        ("lar", Prot32, 0, 0, false, None),
        ("lar", Prot32, 3, sel::DATA0, false, None),
        ("lar", Prot32, 3, sel::CONFORMING, true, Some(0x00cf_9f00)),
        ("lar", Prot32, 0, sel::GATE_DPL0, true, Some(0x8c00)),
        ("lar", Prot32, 0, sel::TASK_GATE, true, Some(0xe500)),
        ("lar", Compat32, 0, sel::TASK_GATE, false, None),
        ("lar", Compat32, 0, sel::GATE16, false, None),
        ("lar", Compat32, 0, sel::LDT, true, Some(0x8200)),
        ("lar", Prot32, 0, 0x1000, false, None),
        ("lsl", Prot32, 0, sel::DATA0, true, Some(0xffff_ffff)),
        ("lsl", Prot32, 0, sel::SMALL_CODE, true, Some(0xfff)),
        ("lsl", Prot32, 0, sel::TSS, true, Some(0x67)),
        ("lsl", Prot32, 0, sel::GATE_DPL0, false, None),
        ("lsl", Prot32, 3, sel::DATA0, false, None),
        ("verr", Prot32, 0, sel::CODE0, true, None),
        ("verr", Prot32, 0, sel::EXECUTE_ONLY, false, None),
        ("verr", Prot32, 3, sel::CONFORMING, true, None),
        ("verr", Prot32, 0, sel::DATA0 | 3, false, None),
        ("verw", Prot32, 0, sel::DATA0, true, None),
        ("verw", Prot32, 0, sel::READ_ONLY, false, None),
        ("verw", Prot32, 0, sel::CODE0, false, None),
    ];
    for &(name, kind, cpl, selector, zf, value) in cases {
        let code: &[u8] = match name {
            "lar" => &[0x0f, 0x02, 0xc1],
            "lsl" => &[0x0f, 0x03, 0xc1],
            "verr" => &[0x0f, 0x00, 0xe1],
            _ => &[0x0f, 0x00, 0xe9],
        };
        let (mut cpu, mut world) = (cpu(kind, cpl), World::new(kind == Compat32));
        (cpu.gpr[0], cpu.gpr[1]) = (0x7777, u64::from(selector));
        let outcome = step(&mut cpu, &mut world, Profile::all(), code);
        assert!(matches!(outcome, Outcome::Completed(_)), "{name} {selector:#x}: {outcome:?}");
        let met = (cpu.rflags() & rflags::ZF != 0, cpu.gpr[0]);
        assert_eq!(met, (zf, value.unwrap_or(0x7777)), "{name} {selector:#x} at CPL {cpl} in {kind:?}");
    }
}

#[test]
fn far_jumps_calls_and_returns() {
    let (cpu, ..) = done(Prot32, 0, &jmp(sel::CODE0), nothing);
    assert_eq!((cpu.rip, cpu.seg(Seg::Cs).selector), (TARGET, sel::CODE0));
    let (cpu, ..) = done(Prot32, 3, &jmp(sel::CONFORMING), nothing);
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Cs).selector), (3, sel::CONFORMING | 3), "conforming code keeps CPL");
    let (cpu, ..) = done(Compat32, 0, &jmp(sel::CODE64), nothing);
    assert_eq!((cpu.mode(), cpu.rip), (Mode::Long64, TARGET));

    let (cpu, world, _) = done(Prot32, 0, &call(sel::CODE0), nothing);
    assert_eq!((cpu.rip, cpu.gpr[4]), (TARGET, STACK - 8));
    assert_eq!(world.entries(STACK - 8, 4, 2), [CODE + 7, u64::from(sel::CODE0)]);
    let (cpu, world, _) = done(Real, 0, &[0x9a, 0x00, 0x50, 0x34, 0x12], nothing);
    assert_eq!((cpu.rip, cpu.seg(Seg::Cs).base, cpu.gpr[4]), (0x5000, 0x12340, STACK - 4));
    assert_eq!(world.entries(STACK - 4, 2, 2), [5, CODE >> 4]);

    // Through a gate with two parameters to CPL 0: SS, ESP, the parameters, CS, EIP on the stack of the TSS.
    let (cpu, world, _) = done(Prot32, 3, &call(sel::GATE), stack!(4: 0x1111, 0x2222));
    assert_eq!((cpu.cpl(), cpu.rip, cpu.gpr[4]), (0, TARGET, STACK0 - 24));
    let (cs, ss) = (u64::from(sel::CODE3), u64::from(sel::DATA3));
    assert_eq!(world.entries(STACK0 - 24, 4, 6), [CODE + 7, cs, 0x1111, 0x2222, STACK, ss]);
    assert_eq!((cpu.seg(Seg::Cs).selector, cpu.seg(Seg::Ss).selector), (sel::CODE0, sel::DATA0));
    let (cpu, world, _) = done(Prot32, 3, &call(sel::GATE16), stack!(2: 0x1111));
    assert_eq!(cpu.gpr[4], STACK0 - 10);
    assert_eq!(world.entries(STACK0 - 10, 2, 5), [(CODE + 7) & 0xffff, cs, 0x1111, STACK, ss]);
    let (cpu, world, _) = done(Compat32, 3, &call(sel::GATE), nothing);
    assert_eq!((cpu.mode(), cpu.cpl(), cpu.gpr[4]), (Mode::Long64, 0, STACK0 - 32));
    assert_eq!(world.entries(STACK0 - 32, 8, 4), [CODE + 7, cs, STACK, ss]);
    assert!(cpu.seg(Seg::Ss).has(rights::UNUSABLE), "64-bit mode's inner SS is null");
    // Through a gate without a change of privilege.
    let (cpu, world, _) = done(Prot32, 0, &call(sel::GATE_DPL0), nothing);
    assert_eq!(world.entries(cpu.gpr[4], 4, 2), [CODE + 7, u64::from(sel::CODE0)]);

    let (cpu, ..) = done(Prot32, 0, &[0xca, 4, 0], stack!(4: TARGET, sel::CODE0));
    assert_eq!((cpu.rip, cpu.gpr[4]), (TARGET, STACK + 12));
    // Out to CPL 3: 4 bytes are released on both stacks, and data segments that are out of reach become null.
    let (cpu, ..) = done(Prot32, 0, &[0xca, 4, 0], stack!(4: TARGET, sel::CODE3, 0x99, 0x7000, sel::DATA3));
    assert_eq!((cpu.cpl(), cpu.rip, cpu.gpr[4]), (3, TARGET, 0x7004));
    assert!(cpu.seg(Seg::Ds).has(rights::UNUSABLE) && cpu.seg(Seg::Es).has(rights::UNUSABLE));
    let (cpu, ..) = done(Long64, 0, &[0x48, 0xcb], stack!(8: TARGET, sel::CODE3, 0x7000, sel::DATA3));
    assert_eq!((cpu.mode(), cpu.cpl(), cpu.gpr[4]), (Mode::Compat32, 3, 0x7000));
}

#[test]
fn iret_comes_back() {
    let (cpu, ..) = done(Real, 0, &[0xcf], stack!(2: 0x5000, 0x1234, 0xffff));
    assert_eq!((cpu.rip, cpu.seg(Seg::Cs).base, cpu.gpr[4]), (0x5000, 0x12340, STACK + 6));
    assert_eq!(cpu.rflags(), 0x7fd7, "all of the lower 16 but bits 15, 5 and 3");
    let (cpu, ..) = done(Prot32, 3, &[0xcf], stack!(4: TARGET, sel::CODE3, 0xffff_ffff_u32));
    let kept = rflags::IOPL | rflags::VM | rflags::VIF | rflags::VIP;
    assert_eq!(cpu.rflags(), rflags::DEFINED & !kept & !rflags::IF | rflags::IF, "CPL 3 changes neither IF nor IOPL");
    let (cpu, ..) = done(Prot32, 3, &[0xcf], stack!(4: TARGET, sel::CODE3, 0));
    assert_ne!(cpu.rflags() & rflags::IF, 0);
    let (cpu, ..) = done(Prot32, 0, &[0xcf], stack!(4: TARGET, sel::CODE3, 0x3002, 0x7000, sel::DATA3));
    assert_eq!((cpu.cpl(), cpu.gpr[4], cpu.rflags()), (3, 0x7000, 0x3002));
    let (cpu, ..) = done(Long64, 0, &[0x48, 0xcf], stack!(8: TARGET, sel::CODE0, 2, 0x7000, sel::DATA0));
    assert_eq!((cpu.cpl(), cpu.gpr[4], cpu.rip), (0, 0x7000, TARGET), "64-bit mode pops SS and RSP always");
    let (cpu, ..) = done(Long64, 0, &[0x48, 0xcf], stack!(8: TARGET, sel::CODE0, 2, 0x7000, 0));
    assert!(cpu.seg(Seg::Ss).has(rights::UNUSABLE), "a null SS serves CPL 0");
    let (cpu, ..) = done(Long64, 0, &[0xcf], stack!(4: TARGET, sel::CODE3, 2, 0x7000, sel::DATA3));
    assert_eq!((cpu.mode(), cpu.cpl()), (Mode::Compat32, 3));
    // To virtual-8086 mode.
    let (cpu, ..) = done(Prot32, 0, &[0xcf], stack!(4: 0x5000, 0x1234, rflags::VM | 0x202, 0x7000, 1, 2, 3, 4, 5));
    assert_eq!((cpu.mode(), cpu.cpl(), cpu.rip, cpu.gpr[4]), (Mode::V86, 3, 0x5000, 0x7000));
    let bases = Seg::ALL.map(|seg| cpu.seg(seg).base);
    assert_eq!(bases, [0x20, 0x12340, 0x10, 0x30, 0x40, 0x50]);
    // NMIs come again.
    let (mut cpu, mut world) = (world::cpu(Long64, 0), World::new(true));
    cpu.set_blocking(encore86::cpu::Blocking { nmi: true, ..Default::default() });
    stack!(8: TARGET, sel::CODE0, 2, 0x7000, sel::DATA0)(&mut cpu, &mut world);
    let Outcome::Completed(retired) = step(&mut cpu, &mut world, Profile::all(), &[0x48, 0xcf]) else { panic!() };
    assert!(retired.nmi_unblocked && !cpu.blocking().nmi);
}

fn exception(vector: u8, error_code: Option<u32>) -> Event {
    Event { error_code, kind: EventKind::Fault, ..Event::software(vector, "a test") }
}

/// Delivers where that has to end in a handler.
fn delivered(kind: Kind, cpl: u8, event: Event, change: Change) -> (Cpu, World) {
    let (mut cpu, mut world) = (cpu(kind, cpl), World::new(matches!(kind, Long64 | Compat32)));
    change(&mut cpu, &mut world);
    let outcome = deliver(&mut cpu, &mut world, event);
    assert!(matches!(outcome, Outcome::Completed(_)), "{event:?} in {kind:?}: {outcome:?}");
    assert_eq!(cpu.rip, TARGET);
    (cpu, world)
}

#[test]
fn events_reach_their_handlers() {
    let (rf, on) = (rflags::RF | rflags::IF | 2, rflags::IF | 2);
    let (cs, ss) = (u64::from(sel::CODE3), u64::from(sel::DATA3));
    // At the same privilege: EFLAGS, CS, EIP, error code.
    let (cpu, world) = delivered(Prot32, 0, exception(GP, Some(0x18)), nothing);
    assert_eq!(world.entries(cpu.gpr[4], 4, 4), [0x18, CODE, u64::from(sel::CODE0), rf]);
    assert_eq!((cpu.gpr[4], cpu.rflags()), (STACK - 16, 2), "an interrupt gate clears IF");
    // From CPL 3.
    let (cpu, world) = delivered(Prot32, 3, exception(GP, Some(0)), nothing);
    assert_eq!(world.entries(STACK0 - 24, 4, 6), [0, CODE, cs, rf, STACK, ss]);
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Ss).selector), (0, sel::DATA0));
    // INTO through a trap gate leaves IF.
    let (cpu, _) = delivered(Prot32, 3, Event::software(4, "INTO"), nothing);
    assert_eq!(cpu.rflags(), on);
    // From virtual-8086 mode: the data segments are pushed, and null.
    let (cpu, world) = delivered(V86, 3, Event::interrupt(32), |cpu, _| {
        cpu.update(|s| (0..6).for_each(|i| s.seg[i].selector = i as u16 + 0x10));
    });
    let v86 = rflags::VM | on;
    assert_eq!(world.entries(STACK0 - 36, 4, 9), [0, 0x11, v86, STACK, 0x12, 0x10, 0x13, 0x14, 0x15]);
    assert_eq!((cpu.mode(), cpu.seg(Seg::Ds).has(rights::UNUSABLE)), (Mode::Prot32, true));
    // 64-bit mode: SS and RSP always, RSP aligned to 16.
    let (cpu, world) = delivered(Long64, 0, Event::interrupt(32), |cpu, _| cpu.gpr[4] = STACK + 5);
    assert_eq!(world.entries(STACK - 40, 8, 5), [CODE, u64::from(sel::CODE0), on, STACK + 5, u64::from(sel::DATA0)]);
    assert_eq!(cpu.gpr[4], STACK - 40);
    let (cpu, world) = delivered(Long64, 3, exception(14, Some(4)), nothing);
    let user = u64::from(sel::CODE64_3);
    assert_eq!(world.entries(STACK0 - 48, 8, 6), [4, CODE, user, rf, STACK, ss]);
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Ss).selector), (0, 0));
    let (cpu, _) = delivered(Long64, 3, Event::interrupt(33), nothing);
    assert_eq!(cpu.gpr[4], IST1 - 40, "on the stack of the interrupt stack table");
    let (cpu, _) = delivered(Long64, 0, Event::interrupt(33), nothing);
    assert_eq!((cpu.gpr[4], cpu.seg(Seg::Ss).selector), (IST1 - 40, sel::DATA0), "SS stays without a change of CPL");
    let (cpu, _) = delivered(Compat32, 3, Event::interrupt(32), nothing);
    assert_eq!((cpu.mode(), cpu.gpr[4]), (Mode::Long64, STACK0 - 40));
    // A conforming handler keeps CPL.
    let (cpu, _) = delivered(Prot32, 3, Event::software(38, "INT n"), nothing);
    assert_eq!((cpu.cpl(), cpu.gpr[4]), (3, STACK - 12));
    // Real mode: FLAGS, CS, IP, and no error code.
    let (cpu, world) = delivered(Real, 0, exception(GP, Some(0)), |_, world| world.put(4 * 13, 0x1234_5000, 4));
    assert_eq!(world.entries(STACK - 6, 2, 3), [0, CODE >> 4, on]);
    assert_eq!((cpu.seg(Seg::Cs).base, cpu.gpr[4]), (0x12340, STACK - 6));
    // An NMI blocks others.
    let (cpu, _) = delivered(Prot32, 0, Event::nmi(), |_, world| world.vector(false, 2, sel::CODE0, 0, 0x8e));
    assert!(cpu.blocking().nmi);
}

/// The exception that is delivered in place of `event`: which vector's handler ran, by the error code on its stack.
#[test]
fn faults_of_deliveries() {
    // Vector n has its handler at n * 16, so that RIP tells who came.
    type Delivery = (&'static str, Kind, u8, Event, u8, Option<u32>);
    let cases: &[Delivery] = &[
        ("beyond the IDT", Prot32, 0, Event::interrupt(200), GP, Some(200 * 8 + 3)),
        ("INT n beyond the IDT", Prot32, 0, Event::software(200, "INT n"), GP, Some(200 * 8 + 2)),
        ("no gate", Prot32, 0, Event::interrupt(37), GP, Some(37 * 8 + 3)),
        ("the gate's DPL is below CPL for INT n", Prot32, 3, Event::software(32, "INT n"), GP, Some(32 * 8 + 2)),
        ("the gate is not present", Prot32, 0, Event::interrupt(34), NP, Some(34 * 8 + 3)),
        ("the gate leads to data", Prot32, 0, Event::interrupt(35), GP, Some(u32::from(sel::DATA0) + 1)),
        ("the handler has less privilege", Prot32, 0, Event::interrupt(36), GP, Some(u32::from(sel::CODE3 & !3) + 1)),
        (
            "the handler is no 64-bit code",
            Long64,
            3,
            Event::software(40, "INT n"),
            GP,
            Some(u32::from(sel::EXECUTE_ONLY)),
        ),
        ("#DE, then #GP: a double fault", Prot32, 0, exception(0, None), 8, Some(0)),
        ("#PF, then #NP: a double fault", Prot32, 0, exception(14, Some(0)), 8, Some(0)),
        ("#UD, then #GP: #GP", Prot32, 0, exception(UD, None), GP, Some(6 * 8 + 3)),
    ];
    for &(why, kind, cpl, event, vector, error) in cases {
        let long = kind == Long64;
        let (mut cpu, mut world) = (cpu(kind, cpl), World::new(long));
        let size = if long { 16 } else { 8 };
        for vector in [8_u64, 11, 12, 13] {
            world.vector(long, vector, sel::CODE0, 0, 0x8e);
            world.put(world::IDT + vector * size, vector * 16, 2);
        }
        world.vector(long, 40, sel::EXECUTE_ONLY, 0, 0xee);
        match event.vector {
            0 => world.vector(long, 0, sel::CODE0, 0, 0x8c),
            14 => world.vector(long, 14, sel::CODE0, 0, 0x0e),
            6 => world.vector(long, 6, sel::CODE0, 0, 0x8c),
            _ => {}
        }
        if long {
            cpu.update(|s| s.idtr.limit = 16 * 41 - 1);
        }
        let outcome = deliver(&mut cpu, &mut world, event);
        assert!(matches!(outcome, Outcome::Completed(_)), "{why}: {outcome:?}");
        assert_eq!(cpu.rip, u64::from(vector) * 16, "{why}: another handler");
        assert_eq!(Some(world.get(cpu.gpr[4], size as usize / 2) as u32), error, "{why}: the error code");
    }
    // The double fault's own gate is no gate: the end.
    let (mut cpu, mut world) = (cpu(Prot32, 0), World::new(false));
    world.vector(false, 13, sel::CODE0, 0, 0x8c);
    world.vector(false, 8, sel::CODE0, 0, 0x8c);
    assert_eq!(deliver(&mut cpu, &mut world, exception(GP, Some(0))), Outcome::Shutdown);
}

/// A bus whose every answer is an exception of the benign kind, which makes no double fault.
struct Endless;

impl encore86::Bus for Endless {
    fn fetch(&mut self, _: u64, _: &mut [u8; 15], _: &encore86::Access) -> Result<usize, Stop> {
        Err(Event::mf("a test").into())
    }

    fn read(&mut self, _: u64, _: &mut [u8], _: &encore86::Access) -> Result<(), Stop> {
        Err(Event::mf("a test").into())
    }

    fn write(&mut self, _: u64, _: &[u8], _: &encore86::Access) -> Result<(), Stop> {
        Err(Event::mf("a test").into())
    }

    fn probe(&mut self, _: u64, _: usize, _: &encore86::Access) -> Result<(), Stop> {
        Err(Event::mf("a test").into())
    }
}

impl encore86::Platform for Endless {}

#[test]
fn a_delivery_that_meets_exceptions_for_ever_comes_to_an_end() {
    let mut engine = encore86::Engine::integer_only(Profile::all());
    for kind in [Real, Prot32, Long64] {
        assert_eq!(engine.deliver(&mut cpu(kind, 0), &mut Endless, Event::interrupt(32)), Outcome::Shutdown);
    }
}

#[test]
fn system_calls() {
    let msr = |index| {
        Some(match index {
            0xc000_0081 => 0x0023_0008_0000_4444,
            0xc000_0082 => 0xffff_8000_0000_1000,
            0xc000_0083 => 0xffff_8000_0000_2000,
            0xc000_0084 => rflags::IF | rflags::DF,
            0x174 => 8,
            0x175 => 0x9000,
            0x176 => 0x6000,
            _ => return None,
        })
    };
    let run = |kind, cpl, profile: Profile, code: &[u8], change: Change| {
        let (mut cpu, mut world) = (cpu(kind, cpl), World::new(matches!(kind, Long64 | Compat32)));
        world.msr = msr;
        change(&mut cpu, &mut world);
        let outcome = step(&mut cpu, &mut world, profile, code);
        assert!(matches!(outcome, Outcome::Completed(_)), "{code:02x?}: {outcome:?}");
        cpu
    };
    let cpu =
        run(Long64, 3, Profile::all(), &[0x0f, 0x05], |cpu, _| cpu.set_rflags(rflags::IF | rflags::DF | rflags::CF));
    assert_eq!((cpu.rip, cpu.cpl(), cpu.gpr[1], cpu.rflags()), (0xffff_8000_0000_1000, 0, CODE + 2, 3));
    assert_eq!((cpu.gpr[11], cpu.seg(Seg::Cs).selector, cpu.seg(Seg::Ss).selector), (0x603, 8, 16));
    let amd = Profile::all().with_vendor(encore86::Vendor::Amd);
    let cpu = run(Compat32, 3, amd, &[0x0f, 0x05], nothing);
    assert_eq!((cpu.rip, cpu.mode()), (0xffff_8000_0000_2000, Mode::Long64));
    let back = |cpu: &mut Cpu, _: &mut World| (cpu.gpr[1], cpu.gpr[11]) = (0x1_2345_6789, 0x246);
    let cpu = run(Long64, 0, Profile::all(), &[0x48, 0x0f, 0x07], back);
    assert_eq!((cpu.rip, cpu.cpl(), cpu.mode(), cpu.rflags()), (0x1_2345_6789, 3, Mode::Long64, 0x246));
    assert_eq!((cpu.seg(Seg::Cs).selector, cpu.seg(Seg::Ss).selector), (0x33, 0x2b));
    let cpu = run(Long64, 0, Profile::all(), &[0x0f, 0x07], back);
    assert_eq!((cpu.rip, cpu.mode(), cpu.seg(Seg::Cs).selector), (0x2345_6789, Mode::Compat32, 0x23));
    let cpu = run(Prot32, 3, Profile::all(), &[0x0f, 0x34], nothing);
    assert_eq!((cpu.rip, cpu.gpr[4], cpu.cpl(), cpu.rflags()), (0x6000, 0x9000, 0, 2));
    assert_eq!((cpu.seg(Seg::Cs).selector, cpu.seg(Seg::Ss).selector), (8, 16));
    let cpu = run(Prot32, 0, Profile::all(), &[0x0f, 0x35], |cpu, _| (cpu.gpr[1], cpu.gpr[2]) = (0x7000, 0x5000));
    assert_eq!((cpu.rip, cpu.gpr[4], cpu.cpl()), (0x5000, 0x7000, 3));
    assert_eq!((cpu.seg(Seg::Cs).selector, cpu.seg(Seg::Ss).selector), (0x1b, 0x23));
    check(vec![
        fault("SYSCALL: EFER.SCE is clear", Long64, 3, vec![0x0f, 0x05], |cpu, _| cpu.update(|s| s.efer &= !1), UD, 0),
        fault("SYSRET: CPL is not 0", Long64, 3, vec![0x48, 0x0f, 0x07], nothing, GP, 0),
        fault(
            "SYSRET: RCX is not canonical",
            Long64,
            0,
            vec![0x48, 0x0f, 0x07],
            |cpu, world| {
                world.msr = |_| Some(0);
                cpu.gpr[1] = 1 << 47;
            },
            GP,
            0,
        ),
        fault(
            "SYSENTER: IA32_SYSENTER_CS is null",
            Prot32,
            3,
            vec![0x0f, 0x34],
            |_, world| world.msr = |_| Some(3),
            GP,
            0,
        ),
        fault("SYSENTER: real mode", Real, 0, vec![0x0f, 0x34], nothing, GP, 0),
        fault("SYSEXIT: CPL is not 0", Prot32, 3, vec![0x0f, 0x35], nothing, GP, 0),
    ]);
}
