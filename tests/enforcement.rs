//! Control-flow enforcement at far transfers, IRET, events, system calls and task switches: each fault that the manual's pages name for
//! CET has a line here (SDM volume 1, chapter 17; volume 2, CALL, JMP, RET, IRET, INT n, SYSCALL, SYSENTER, UIRET; volume 3, chapter 8).
//!
//! No processor at hand has CET, so that all expected values are written by hand from the pseudocode of these pages. The guest `transfers`
//! (`guest.rs`) shows the same ways to bochs.

#[path = "enforcement/guarded.rs"]
mod guarded;
#[path = "enforcement/paged.rs"]
mod paged;
#[path = "support/ram.rs"]
mod ram;
#[path = "enforcement/tasks.rs"]
mod tasks;
#[allow(dead_code)] // `transfer` uses the rest
#[path = "transfer/world.rs"]
mod world;

use encore86::cpu::registers::{cr4, rflags};
use encore86::cpu::segment::Seg;
use encore86::isa::Feature;
use encore86::{AccessKind, Cpu, Event, Mode, Outcome, Profile, Vendor};
use guarded::*;
use world::Kind::{Compat32, Long64, Prot32, V86};
use world::{CODE, GDT, IST1, Kind, STACK, STACK0, TARGET, TSS, sel};

const GP: (u8, Option<u32>) = (13, Some(0));
const FAR_RET: (u8, Option<u32>) = (21, Some(2));
const ENDBRANCH: (u8, Option<u32>) = (21, Some(3));
/// A page fault of a shadow-stack access of the kernel: read or write, in a page that is there.
const PF_READ: (u8, Option<u32>) = (14, Some(0x41));
const PF_WRITE: (u8, Option<u32>) = (14, Some(0x43));

/// Where the far pointer of an indirect transfer lies.
const POINTER: u64 = 0x6800;

fn far(opcode: u8, selector: u16) -> Act {
    Act::Step([&[opcode][..], &(TARGET as u32).to_le_bytes(), &selector.to_le_bytes()].concat())
}

fn jmp(selector: u16) -> Act {
    far(0xea, selector)
}

fn call(selector: u16) -> Act {
    far(0x9a, selector)
}

/// JMP or CALL through a far pointer of 64 bits at [`POINTER`], for 64-bit mode.
fn through_pointer(modrm: u8) -> Act {
    Act::Step(vec![0x48, 0xff, modrm])
}

fn jmp64() -> Act {
    through_pointer(0x2b)
}

fn call64() -> Act {
    through_pointer(0x1b)
}

fn ret() -> Act {
    Act::Step(vec![0xcb])
}

fn retq() -> Act {
    Act::Step(vec![0x48, 0xcb])
}

fn iret() -> Act {
    Act::Step(vec![0xcf])
}

fn iretq() -> Act {
    Act::Step(vec![0x48, 0xcf])
}

fn bytes(code: &[u8]) -> Act {
    Act::Step(code.to_vec())
}

/// What a case changes before it begins.
type Change = fn(&mut Cpu, &mut Machine);

fn nothing(_: &mut Cpu, _: &mut Machine) {}

fn point(cpu: &mut Cpu, machine: &mut Machine, selector: u16) {
    cpu.gpr[3] = POINTER;
    machine.set(POINTER, TARGET);
    machine.store(POINTER + 8, selector.into(), 2);
}

fn ssp(cpu: &mut Cpu, value: u64) {
    cpu.update(|s| s.ssp = value);
}

/// What the manual says, where, at which CPL, what is run, and the exception.
type Fault = (&'static str, Kind, u8, Act, Change, (u8, Option<u32>));

/// Each ends in its fault, with all as before; tokens too.
fn refuse(cases: Vec<Fault>) {
    let mut wrong = Vec::new();
    for (why, kind, cpl, act, change, expected) in cases {
        let (mut cpu, mut machine) = prepare(kind, cpl);
        change(&mut cpu, &mut machine);
        let (before, tokens) = (cpu.clone(), [TOKEN, IST_TOKEN].map(|at| machine.word(at)));
        let outcome = run(&mut cpu, &mut machine, Profile::all(), &act);
        cpu.update(|s| s.cr2 = before.system().cr2);
        let same = before.gpr == cpu.gpr
            && before.rip == cpu.rip
            && before.rflags() == cpu.rflags()
            && before.system() == cpu.system()
            && tokens == [TOKEN, IST_TOKEN].map(|at| machine.word(at));
        if exception(outcome) != Some(expected) || !same {
            wrong.push(format!("{why}: {outcome:?}, wanted {expected:x?}; all as before: {same}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn done(kind: Kind, cpl: u8, act: Act, change: impl FnOnce(&mut Cpu, &mut Machine)) -> (Cpu, Machine) {
    done_by(Profile::all(), kind, cpl, act, change)
}

fn done_by(
    profile: Profile,
    kind: Kind,
    cpl: u8,
    act: Act,
    change: impl FnOnce(&mut Cpu, &mut Machine),
) -> (Cpu, Machine) {
    let (mut cpu, mut machine) = prepare(kind, cpl);
    change(&mut cpu, &mut machine);
    let outcome = run(&mut cpu, &mut machine, profile, &act);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    (cpu, machine)
}

/// A segment of code or data with privilege 1 in the place of two that are not used here.
const CODE1: u16 = sel::SMALL_CODE | 1;
const DATA1: u16 = sel::READ_ONLY | 1;

/// What runs has CPL 1.
fn ring1(cpu: &mut Cpu, machine: &mut Machine, long: bool) {
    machine.set(GDT + u64::from(CODE1 & !7), if long { 0x00af_bb00_0000_ffff } else { 0x00cf_bb00_0000_ffff });
    machine.set(GDT + u64::from(DATA1 & !7), 0x00cf_b300_0000_ffff);
    cpu.update(|s| {
        s.seg[Seg::Cs as usize].selector = CODE1;
        s.seg[Seg::Ss as usize].selector = DATA1;
    });
}

#[test]
fn far_calls_push_cs_lip_and_ssp() {
    let waits = BOTH | WAITS;
    // At the same privilege, in each mode. The frame is read from its lowest entry on.
    let (cpu, machine) = done(Prot32, 0, call(sel::CODE0), |_, m| m.msrs.extend([(S_CET, BOTH | SUPPRESS)]));
    assert_eq!(machine.framed(SSP0 - 24), [SSP0, CODE + 7, sel::CODE0.into()]);
    assert_eq!((cpu.rip, cpu.system().ssp, machine.msrs[&S_CET]), (TARGET, SSP0 - 24, waits));
    assert!(machine.seen.iter().all(|seen| seen.cpl == 0 && seen.kind == AccessKind::Write), "{:?}", machine.seen);
    let (cpu, machine) = done(Compat32, 3, call(sel::CODE3), nothing);
    assert_eq!(machine.framed(SSP3 - 24), [SSP3, CODE + 7, sel::CODE3.into()]);
    assert_eq!((cpu.system().ssp, machine.msrs[&U_CET], machine.msrs[&S_CET]), (SSP3 - 24, waits, BOTH));
    assert!(machine.seen.iter().all(|seen| seen.cpl == 3));
    let (cpu, machine) = done(Long64, 0, call64(), |c, m| point(c, m, sel::CODE0));
    assert_eq!(machine.framed(cpu.system().ssp), [SSP0, CODE + 3, sel::CODE0.into()]);
    // LIP is linear: the base of CS counts outside 64-bit mode, and the sum has 32 bits.
    let (_, machine) = done(Prot32, 0, call(sel::CODE0), |cpu, _| {
        cpu.rip = CODE + 0x1000;
        cpu.update(|s| s.seg[Seg::Cs as usize].base = 0xffff_f000);
    });
    assert_eq!(machine.framed(SSP0 - 24)[1], CODE + 7);
    // An SSP that is aligned to 4 bytes alone: zeros fill up, and SSP is pushed as it was.
    let (cpu, machine) = done(Compat32, 3, call(sel::CODE3), |cpu, m| {
        ssp(cpu, SSP3 - 4);
        m.set(SSP3 - 8, u64::MAX);
    });
    assert_eq!(cpu.system().ssp, SSP3 - 32);
    assert_eq!(machine.framed(SSP3 - 32), [SSP3 - 4, CODE + 7, sel::CODE3.into()]);
    assert_eq!(machine.word(SSP3 - 8), 0xffff_ffff_0000_0000);
    // Through a gate without a change of privilege.
    let (cpu, machine) = done(Prot32, 0, call(sel::GATE_DPL0), nothing);
    assert_eq!(machine.framed(cpu.system().ssp), [SSP0, CODE + 7, sel::CODE0.into()]);
    // Without tracking, and without shadow stacks.
    let (_, machine) = done(Prot32, 0, call(sel::CODE0), |_, m| m.msrs.extend([(S_CET, SH_STK_EN)]));
    assert_eq!(machine.msrs[&S_CET], SH_STK_EN);
    let (cpu, machine) = done(Prot32, 0, call(sel::CODE0), |_, m| m.msrs.extend([(S_CET, ENDBR_EN)]));
    assert_eq!((cpu.system().ssp, machine.seen.len(), machine.msrs[&S_CET]), (SSP0, 0, ENDBR_EN | WAITS));
}

#[test]
fn calls_to_more_privilege_take_a_token() {
    // From CPL 3: IA32_PL3_SSP keeps the old SSP, nothing is pushed.
    for kind in [Prot32, Compat32] {
        let (cpu, machine) = done(kind, 3, call(sel::GATE), nothing);
        assert_eq!((cpu.cpl(), cpu.system().ssp, machine.word(TOKEN)), (0, TOKEN, TOKEN | BUSY));
        assert_eq!((machine.msrs[&PL3_SSP], machine.msrs[&U_CET], machine.msrs[&S_CET]), (SSP3, BOTH, BOTH | WAITS));
        assert_eq!(machine.exchanges(), [(TOKEN, 0)], "one locked exchange, as supervisor");
    }
    // An address that the width of linear addresses has made another one.
    let (_, machine) = done(Compat32, 3, call(sel::GATE), |cpu, _| ssp(cpu, 1 << 56));
    assert_eq!(machine.msrs[&PL3_SSP], 0xff00_0000_0000_0000);
    // From CPL 1: CS, LIP and SSP go below the token.
    let (cpu, machine) = done(Prot32, 1, call(sel::GATE), |c, m| ring1(c, m, false));
    assert_eq!((cpu.cpl(), cpu.system().ssp, machine.word(TOKEN)), (0, TOKEN - 24, TOKEN | BUSY));
    assert_eq!(machine.framed(TOKEN - 24), [SSP0, CODE + 7, CODE1.into()]);
    assert_eq!(machine.msrs[&PL3_SSP], SSP3 - 0x100);
    // Programs without a shadow stack, and a kernel without one.
    let (cpu, machine) = done(Prot32, 3, call(sel::GATE), |_, m| m.msrs.extend([(U_CET, 0)]));
    assert_eq!((cpu.system().ssp, machine.msrs[&PL3_SSP]), (TOKEN, SSP3 - 0x100));
    let (cpu, machine) = done(Prot32, 3, call(sel::GATE), |_, m| m.msrs.extend([(S_CET, 0)]));
    assert_eq!((cpu.system().ssp, machine.msrs[&PL3_SSP], machine.word(TOKEN)), (SSP3, SSP3, TOKEN));
    assert_eq!(machine.msrs[&S_CET], 0);
}

#[rustfmt::skip] // one check a line
#[test]
fn faults_of_far_calls_and_jumps() {
    refuse(vec![
        ("CALL: SSP above 4 GiB for a compatibility segment", Long64, 3, call64(), |c, m| { point(c, m, sel::CODE3); ssp(c, 1 << 32 | SSP3) }, GP),
        ("CALL: no shadow stack at SSP", Prot32, 0, call(sel::CODE0), |c, _| ssp(c, 0x7000), PF_WRITE),
        ("CALL: a program's shadow stack for the kernel", Prot32, 0, call(sel::CODE0), |c, _| ssp(c, SSP3), PF_WRITE),
        ("CALL to more privilege: IA32_PL0_SSP is not aligned", Prot32, 3, call(sel::GATE), |_, m| { m.msrs.insert(PL0_SSP, TOKEN + 4); }, GP),
        ("CALL to more privilege: token and frame are not in 32 bytes", Prot32, 3, call(sel::GATE), |_, m| { m.msrs.insert(PL0_SSP, TOKEN - 8); m.set(TOKEN - 8, TOKEN - 8) }, GP),
        ("CALL to more privilege: IA32_PL0_SSP is above 4 GiB", Prot32, 3, call(sel::GATE), |_, m| { m.msrs.insert(PL0_SSP, 1 << 32 | TOKEN); }, GP),
        ("CALL to more privilege: the token is busy", Prot32, 3, call(sel::GATE), |_, m| m.set(TOKEN, TOKEN | BUSY), GP),
        ("CALL to more privilege: the token is another stack's", Compat32, 3, call(sel::GATE), |_, m| m.set(TOKEN, IST_TOKEN), GP),
        ("CALL to more privilege: the token has an upper bit", Compat32, 3, call(sel::GATE), |_, m| m.set(TOKEN, 1 << 63 | TOKEN), GP),
        ("CALL to more privilege: no shadow stack at IA32_PL0_SSP", Prot32, 3, call(sel::GATE), |_, m| { m.msrs.insert(PL0_SSP, 0x7018); }, PF_WRITE),
        ("CALL to more privilege: a program's shadow stack", Prot32, 3, call(sel::GATE), |_, m| { m.msrs.insert(PL0_SSP, SSP3 + 0x18); m.set(SSP3 + 0x18, SSP3 + 0x18) }, PF_WRITE),
        ("JMP: SSP above 4 GiB for a compatibility segment", Long64, 3, jmp64(), |c, m| { point(c, m, sel::CODE3); ssp(c, 1 << 32 | SSP3) }, GP),
    ]);
    // CR2 is the token's address, and the tracker waits for nothing where the token was refused.
    let (mut cpu, mut machine) = prepare(Prot32, 3);
    machine.msrs.insert(PL0_SSP, 0x7018);
    let _ = run(&mut cpu, &mut machine, Profile::all(), &call(sel::GATE));
    assert_eq!(cpu.system().cr2, 0x7018);
    let (mut cpu, mut machine) = prepare(Prot32, 3);
    machine.set(TOKEN, 0);
    let _ = run(&mut cpu, &mut machine, Profile::all(), &call(sel::GATE));
    assert_eq!(machine.msrs[&S_CET], BOTH);
    // AMD's manual does not ask for the 32 bytes.
    let (cpu, _) = done_by(Profile::all().with_vendor(Vendor::Amd), Prot32, 3, call(sel::GATE), |_, m| {
        m.msrs.insert(PL0_SSP, TOKEN - 8);
        m.set(TOKEN - 8, TOKEN - 8);
    });
    assert_eq!(cpu.system().ssp, TOKEN - 8);
}

#[test]
fn far_jumps_are_tracked() {
    let (cpu, machine) = done(Prot32, 0, jmp(sel::CODE0), |_, m| m.msrs.extend([(S_CET, BOTH | SUPPRESS)]));
    assert_eq!((cpu.system().ssp, machine.msrs[&S_CET], machine.seen.len()), (SSP0, BOTH | WAITS, 0));
    let (_, machine) = done(Long64, 3, jmp64(), |c, m| point(c, m, sel::CODE64_3));
    assert_eq!((machine.msrs[&U_CET], machine.msrs[&S_CET]), (BOTH | WAITS, BOTH));
    // To 64-bit code SSP may be anything.
    let (cpu, _) = done(Long64, 3, jmp64(), |c, m| {
        point(c, m, sel::CODE64_3);
        ssp(c, 1 << 40);
    });
    assert_eq!(cpu.system().ssp, 1 << 40);
    // A DS prefix does not opt out: that is for near branches.
    let (_, machine) = done(Long64, 3, bytes(&[0x3e, 0x48, 0xff, 0x2b]), |c, m| {
        point(c, m, sel::CODE64_3);
        m.msrs.insert(U_CET, BOTH | 1 << 4);
    });
    assert_ne!(machine.msrs[&U_CET] & WAITS, 0);
}

/// The stack and the shadow stack of a return to [`TARGET`] at the same privilege.
fn same(machine: &mut Machine, size: usize, cs: u16, frame: [u64; 3]) {
    machine.stack(size, &[TARGET, cs.into(), 2, STACK + 0x100, sel::DATA0.into()]);
    machine.frame(SSP0, frame);
}

fn same32(_: &mut Cpu, machine: &mut Machine) {
    same(machine, 4, sel::CODE0, [SSP0 + 24, TARGET, sel::CODE0.into()]);
}

fn same64(_: &mut Cpu, machine: &mut Machine) {
    same(machine, 8, sel::CODE0, [SSP0 + 24, TARGET, sel::CODE0.into()]);
}

/// The same to CPL 1: far RET finds rSP and SS behind CS, IRET behind the flags.
fn to_ring1(cpu: &mut Cpu, machine: &mut Machine, flags: bool) {
    ring1(cpu, machine, false);
    cpu.update(|s| {
        s.seg[Seg::Cs as usize].selector = sel::CODE0;
        s.seg[Seg::Ss as usize].selector = sel::DATA0;
    });
    let flags = if flags { &[2][..] } else { &[] };
    machine.stack(4, &[&[TARGET, CODE1.into()], flags, &[STACK + 0x100, DATA1.into()]].concat());
    ssp(cpu, TOKEN - 24);
    machine.frame(TOKEN - 24, [SSP0, TARGET, CODE1.into()]);
    machine.set(TOKEN, TOKEN | BUSY);
}

/// The same to CPL 3.
fn to_user(cpu: &mut Cpu, machine: &mut Machine, size: usize, cs: u16, flags: bool) {
    let flags = if flags { &[2][..] } else { &[] };
    machine.stack(size, &[&[TARGET, cs.into()], flags, &[STACK + 0x100, sel::DATA3.into()]].concat());
    ssp(cpu, TOKEN);
    machine.set(TOKEN, TOKEN | BUSY);
}

#[rustfmt::skip] // one check a line
#[test]
fn faults_of_far_returns() {
    refuse(vec![
        ("RET: SSP is not aligned", Prot32, 0, ret(), |c, m| { same32(c, m); ssp(c, SSP0 + 4) }, FAR_RET),
        ("RET: another CS", Prot32, 0, ret(), |c, m| { same32(c, m); m.set(SSP0 + 16, sel::CONFORMING.into()) }, FAR_RET),
        ("RET: a bit of CS beyond 15", Prot32, 0, ret(), |c, m| { same32(c, m); m.set(SSP0 + 16, 1 << 16 | u64::from(sel::CODE0)) }, FAR_RET),
        ("RET: another LIP", Prot32, 0, ret(), |c, m| { same32(c, m); m.set(SSP0 + 8, TARGET + 1) }, FAR_RET),
        ("RET: a bit of LIP beyond 31", Prot32, 0, ret(), |c, m| { same32(c, m); m.set(SSP0 + 8, 1 << 32 | TARGET) }, FAR_RET),
        ("RET: the previous SSP is not aligned", Prot32, 0, ret(), |c, m| { same32(c, m); m.set(SSP0, SSP0 + 26) }, FAR_RET),
        ("RET: the previous SSP is above 4 GiB", Prot32, 0, ret(), |c, m| { same32(c, m); m.set(SSP0, 1 << 32) }, GP),
        ("RET: no shadow stack at SSP", Prot32, 0, ret(), |c, m| { same32(c, m); ssp(c, 0x7000) }, PF_READ),
        ("RETQ: another LIP", Long64, 0, retq(), |c, m| { same64(c, m); m.set(SSP0 + 8, 0) }, FAR_RET),
        ("RET to less privilege: SSP is not aligned", Prot32, 0, ret(), |c, m| { to_ring1(c, m, false); ssp(c, TOKEN - 20) }, FAR_RET),
        ("RET to less privilege: another CS", Prot32, 0, ret(), |c, m| { to_ring1(c, m, false); m.set(TOKEN - 8, sel::CODE0.into()) }, FAR_RET),
        ("RET to less privilege: another LIP", Prot32, 0, ret(), |c, m| { to_ring1(c, m, false); m.set(TOKEN - 16, 0) }, FAR_RET),
        ("RET to less privilege: the previous SSP is not aligned", Prot32, 0, ret(), |c, m| { to_ring1(c, m, false); m.set(TOKEN - 24, SSP0 | 1) }, FAR_RET),
        ("RET to less privilege: the previous SSP is above 4 GiB", Prot32, 0, ret(), |c, m| { to_ring1(c, m, false); m.set(TOKEN - 24, 1 << 32) }, GP),
        ("RET to CPL 3: SSP is not aligned", Prot32, 0, ret(), |c, m| { to_user(c, m, 4, sel::CODE3, false); ssp(c, TOKEN + 4) }, FAR_RET),
        ("RET to CPL 3: IA32_PL3_SSP is above 4 GiB", Long64, 0, retq(), |c, m| { to_user(c, m, 8, sel::CODE3, false); m.msrs.insert(PL3_SSP, 1 << 32); }, GP),
        ("RET to CPL 3: no shadow stack where the token would be", Prot32, 0, ret(), |c, m| { to_user(c, m, 4, sel::CODE3, false); ssp(c, 0x7000) }, PF_WRITE),
        ("IRET: SSP is not aligned", Prot32, 0, iret(), |c, m| { same32(c, m); ssp(c, SSP0 + 4) }, FAR_RET),
        ("IRET: another CS", Prot32, 0, iret(), |c, m| { same32(c, m); m.set(SSP0 + 16, 0) }, FAR_RET),
        ("IRET: another LIP", Prot32, 0, iret(), |c, m| { same32(c, m); m.set(SSP0 + 8, 0) }, FAR_RET),
        ("IRET: the previous SSP is not aligned", Prot32, 0, iret(), |c, m| { same32(c, m); m.set(SSP0, SSP0 + 25) }, FAR_RET),
        ("IRET: the previous SSP is above 4 GiB", Prot32, 0, iret(), |c, m| { same32(c, m); m.set(SSP0, 1 << 32) }, GP),
        ("IRETQ: another LIP", Long64, 0, iretq(), |c, m| { same64(c, m); m.set(SSP0 + 8, 1 << 63 | TARGET) }, FAR_RET),
        ("IRETQ: SSP is not aligned", Long64, 0, iretq(), |c, m| { same64(c, m); ssp(c, SSP0 + 4) }, FAR_RET),
        ("IRET to less privilege: another CS", Prot32, 0, iret(), |c, m| { to_ring1(c, m, true); m.set(TOKEN - 8, 0) }, FAR_RET),
        ("IRET to less privilege: another LIP", Prot32, 0, iret(), |c, m| { to_ring1(c, m, true); m.set(TOKEN - 16, 0) }, FAR_RET),
        ("IRET to less privilege: the previous SSP is not aligned", Prot32, 0, iret(), |c, m| { to_ring1(c, m, true); m.set(TOKEN - 24, SSP0 | 2) }, FAR_RET),
        ("IRET to CPL 3: SSP is not aligned", Prot32, 0, iret(), |c, m| { to_user(c, m, 4, sel::CODE3, true); ssp(c, TOKEN + 4) }, FAR_RET),
        ("IRETQ to compatibility mode: IA32_PL3_SSP is above 4 GiB", Long64, 0, iretq(), |c, m| { to_user(c, m, 8, sel::CODE3, true); m.msrs.insert(PL3_SSP, 1 << 32); }, GP),
        ("IRET to virtual-8086 mode: shadow stacks for programs", Prot32, 0, iret(), |_, m| { m.stack(4, &[TARGET, 0, rflags::VM, 0, 0, 0, 0, 0, 0]); m.msrs.insert(U_CET, SH_STK_EN); }, GP),
        ("IRET to virtual-8086 mode: tracking for programs", Prot32, 0, iret(), |_, m| { m.stack(4, &[TARGET, 0, rflags::VM, 0, 0, 0, 0, 0, 0]); m.msrs.insert(U_CET, ENDBR_EN); }, GP),
        ("UIRET: another RIP", Long64, 3, bytes(&[0xf3, 0x0f, 0x01, 0xec]), |c, m| { c.update(|s| s.cr4 |= cr4::UINTR); m.stack(8, &[TARGET, 2, STACK]); m.set(SSP3, TARGET + 1) }, FAR_RET),
    ]);
}

#[test]
fn far_returns_take_ssp_back() {
    for (act, kind, change) in [
        (ret(), Prot32, same32 as Change),
        (retq(), Long64, same64),
        (iret(), Prot32, same32),
        (iretq(), Long64, same64),
    ] {
        let (cpu, machine) = done(kind, 0, act, change);
        assert_eq!((cpu.rip, cpu.system().ssp), (TARGET, SSP0 + 24));
        assert_eq!(machine.exchanges(), [], "the same stack has no token there");
        assert_eq!((machine.msrs[&S_CET], machine.msrs[&U_CET]), (BOTH, BOTH), "returns are not tracked");
    }
    // Any stack: what is popped is not looked at but for its alignment.
    let (cpu, machine) = done(Prot32, 0, ret(), |c, m| {
        same32(c, m);
        m.set(SSP0, 0x4444);
        m.set(SSP0 + 24, (SSP0 + 24) | BUSY);
    });
    assert_eq!((cpu.system().ssp, machine.exchanges().len()), (0x4444, 0), "far RET frees no token at its privilege");
    // To CPL 1: the frame, then the token above it.
    for (act, flags) in [(ret(), false), (iret(), true)] {
        let (mut cpu, mut machine) = prepare(Prot32, 0);
        to_ring1(&mut cpu, &mut machine, flags);
        let outcome = run(&mut cpu, &mut machine, Profile::all(), &act);
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
        assert_eq!((cpu.cpl(), cpu.system().ssp, machine.word(TOKEN)), (1, SSP0, TOKEN));
        assert_eq!(machine.exchanges(), [(TOKEN, 0)], "with the privilege that is left");
    }
    // To CPL 3: IA32_PL3_SSP, and the token where SSP is.
    for (act, kind, size, cs, flags) in [
        (ret(), Prot32, 4, sel::CODE3, false),
        (retq(), Long64, 8, sel::CODE64_3, false),
        (retq(), Long64, 8, sel::CODE3, false),
        (iret(), Prot32, 4, sel::CODE3, true),
        (iretq(), Long64, 8, sel::CODE64_3, true),
        (iretq(), Long64, 8, sel::CODE3, true),
    ] {
        let (mut cpu, mut machine) = prepare(kind, 0);
        to_user(&mut cpu, &mut machine, size, cs, flags);
        machine.msrs.insert(U_CET, BOTH | WAITS);
        let outcome = run(&mut cpu, &mut machine, Profile::all(), &act);
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
        assert_eq!((cpu.cpl(), cpu.system().ssp, machine.word(TOKEN)), (3, SSP3 - 0x100, TOKEN));
        assert_eq!(machine.exchanges(), [(TOKEN, 0)]);
        assert_eq!(machine.msrs[&U_CET], BOTH | WAITS, "a program's tracker waits through its kernel");
        // A token of somebody else's stays as it is.
        let (mut cpu, mut machine) = prepare(kind, 0);
        to_user(&mut cpu, &mut machine, size, cs, flags);
        machine.set(TOKEN, TOKEN);
        let _ = run(&mut cpu, &mut machine, Profile::all(), &act);
        assert_eq!((cpu.cpl(), machine.word(TOKEN)), (3, TOKEN));
        // Programs have none: SSP is left where it was, and the token is free all the same.
        let (mut cpu, mut machine) = prepare(kind, 0);
        to_user(&mut cpu, &mut machine, size, cs, flags);
        machine.msrs.insert(U_CET, 0);
        let _ = run(&mut cpu, &mut machine, Profile::all(), &act);
        assert_eq!((cpu.cpl(), cpu.system().ssp, machine.word(TOKEN)), (3, TOKEN, TOKEN));
        // The kernel has none.
        let (mut cpu, mut machine) = prepare(kind, 0);
        to_user(&mut cpu, &mut machine, size, cs, flags);
        machine.msrs.insert(S_CET, 0);
        let _ = run(&mut cpu, &mut machine, Profile::all(), &act);
        assert_eq!((cpu.system().ssp, machine.word(TOKEN)), (SSP3 - 0x100, TOKEN | BUSY));
    }
}

#[test]
fn iret_leaves_a_stack_of_the_interrupt_table() {
    let leaves = |cpu: &mut Cpu, machine: &mut Machine| {
        same64(cpu, machine);
        ssp(cpu, IST_TOKEN - 24);
        machine.frame(IST_TOKEN - 24, [SSP0, TARGET, sel::CODE0.into()]);
        machine.set(IST_TOKEN, IST_TOKEN | BUSY);
    };
    let (cpu, machine) = done(Long64, 0, iretq(), leaves);
    assert_eq!((cpu.system().ssp, machine.word(IST_TOKEN)), (SSP0, IST_TOKEN));
    assert_eq!(machine.exchanges(), [(IST_TOKEN, 0)]);
    // RET does not.
    let (_, machine) = done(Long64, 0, retq(), leaves);
    assert_eq!(machine.word(IST_TOKEN), IST_TOKEN | BUSY);
    // To virtual-8086 mode the token is where SSP is.
    let (cpu, machine) = done(Prot32, 0, iret(), |c, m| {
        m.stack(4, &[TARGET, 0x1234, rflags::VM, 0x7000, 0, 0, 0, 0, 0]);
        m.msrs.insert(U_CET, 0);
        ssp(c, TOKEN);
        m.set(TOKEN, TOKEN | BUSY);
    });
    assert_eq!((cpu.mode(), machine.word(TOKEN), machine.exchanges()), (Mode::V86, TOKEN, vec![(TOKEN, 0)]));
    // UIRET pops an address and nothing else.
    let (cpu, _) = done(Long64, 3, bytes(&[0xf3, 0x0f, 0x01, 0xec]), |c, m| {
        c.update(|s| s.cr4 |= cr4::UINTR);
        m.stack(8, &[TARGET, 2, STACK]);
        m.set(SSP3, TARGET);
    });
    assert_eq!((cpu.rip, cpu.system().ssp), (TARGET, SSP3 + 8));
}

#[test]
fn events_push_cs_lip_and_ssp() {
    let interrupt = || Act::Deliver(Event::interrupt(32));
    let waits = BOTH | WAITS;
    // At the same privilege.
    for kind in [Prot32, Long64] {
        let (cpu, machine) = done(kind, 0, interrupt(), |_, m| m.msrs.extend([(S_CET, waits | SUPPRESS)]));
        assert_eq!((cpu.rip, cpu.system().ssp, machine.msrs[&S_CET]), (TARGET, SSP0 - 24, waits));
        assert_eq!(machine.framed(SSP0 - 24), [SSP0, CODE, sel::CODE0.into()]);
    }
    // A fault of the instruction, and INT n, whose frame leads behind it.
    let gp = Event { length: 0, ..Event::gp0("a test") };
    let (_, machine) = done(Long64, 0, Act::Deliver(gp), nothing);
    assert_eq!(machine.framed(SSP0 - 24), [SSP0, CODE, sel::CODE0.into()]);
    // From CPL 3.
    for (kind, user) in [(Prot32, BOTH), (Compat32, BOTH), (Long64, BOTH | WAITS)] {
        let (mut cpu, mut machine) = prepare(kind, 3);
        machine.msrs.insert(U_CET, user);
        let outcome = run(&mut cpu, &mut machine, Profile::all(), &interrupt());
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
        assert_eq!((cpu.cpl(), cpu.system().ssp, machine.word(TOKEN)), (0, TOKEN, TOKEN | BUSY));
        assert_eq!((machine.msrs[&PL3_SSP], machine.msrs[&U_CET], machine.msrs[&S_CET]), (SSP3, user, waits));
        assert_eq!(machine.exchanges(), [(TOKEN, 0)]);
    }
    // From CPL 1, and from virtual-8086 mode, which has no shadow stack whatever is enabled.
    let (cpu, machine) = done(Long64, 1, interrupt(), |c, m| ring1(c, m, true));
    assert_eq!(machine.framed(cpu.system().ssp), [SSP0, CODE, CODE1.into()]);
    assert_eq!(cpu.system().ssp, TOKEN - 24);
    let (cpu, machine) = done(V86, 3, interrupt(), nothing);
    assert_eq!((cpu.mode(), cpu.system().ssp, machine.word(TOKEN)), (Mode::Prot32, TOKEN, TOKEN | BUSY));
    assert_eq!((machine.msrs[&PL3_SSP], machine.msrs[&S_CET]), (SSP3 - 0x100, waits));
    // A conforming handler keeps CPL, and the program's shadow stack.
    let (cpu, machine) = done(Prot32, 3, Act::Deliver(Event::software(38, "INT n")), nothing);
    assert_eq!((cpu.cpl(), machine.msrs[&U_CET], machine.msrs[&S_CET]), (3, waits, BOTH));
    assert_eq!(machine.framed(cpu.system().ssp), [SSP3, CODE, sel::CODE3.into()]);
    // An IST: the interrupt SSP table has its stack, with a frame from CPL 0 and none from CPL 3.
    let nested = || Act::Deliver(Event::interrupt(33));
    let (cpu, machine) = done(Long64, 0, nested(), nothing);
    assert_eq!((cpu.gpr[4], cpu.system().ssp, machine.word(IST_TOKEN)), (IST1 - 40, IST_TOKEN - 24, IST_TOKEN | BUSY));
    assert_eq!(machine.framed(IST_TOKEN - 24), [SSP0, CODE, sel::CODE0.into()]);
    let (cpu, machine) = done(Long64, 3, nested(), nothing);
    assert_eq!((cpu.system().ssp, machine.word(IST_TOKEN), machine.word(TOKEN)), (IST_TOKEN, IST_TOKEN | BUSY, TOKEN));
    // The kernel has no shadow stack: the table is not looked at.
    let (cpu, machine) = done(Long64, 0, nested(), |_, m| {
        m.msrs.insert(S_CET, 0);
        m.msrs.remove(&SSP_TABLE);
    });
    assert_eq!((cpu.system().ssp, machine.seen.len()), (SSP0, 0));
    // The control protection exception itself, with its error code on the handler's stack.
    let (cpu, machine) = done(Long64, 3, Act::Deliver(Event::cp(2, "a test")), |_, m| m.gate(true, 21, TARGET, 0));
    assert_eq!((cpu.gpr[4], machine.word(cpu.gpr[4])), (STACK0 - 48, 2));
}

/// The exception that comes in place of an event whose shadow stack is refused. #GP's handler, and that of page faults, lie elsewhere.
#[test]
fn faults_of_deliveries() {
    const GP_HANDLER: u64 = 0x5800;
    const PF_HANDLER: u64 = 0x5900;
    const ON_IST: Event = Event::interrupt(33);
    type Case = (&'static str, u8, Event, Change, u64, u64);
    // EXT is set in the error code of what an interrupt meets, and not for INT n.
    let cases: [Case; 9] = [
        ("the SSP of the table is not aligned", 0, ON_IST, |_, m| m.set(TABLE + 8, IST_TOKEN + 4), GP_HANDLER, 1),
        (
            "token and frame are not in 32 bytes",
            0,
            ON_IST,
            |_, m| {
                m.set(TABLE + 8, IST_TOKEN + 8);
                m.set(IST_TOKEN + 8, IST_TOKEN + 8);
            },
            GP_HANDLER,
            1,
        ),
        ("the token is busy", 0, ON_IST, |_, m| m.set(IST_TOKEN, IST_TOKEN | BUSY), GP_HANDLER, 1),
        ("the token is another's", 0, ON_IST, |_, m| m.set(IST_TOKEN, TOKEN), GP_HANDLER, 1),
        ("INT n: the token is busy", 0, Event::software(33, "INT n"), |_, m| m.set(IST_TOKEN, 0), GP_HANDLER, 0),
        ("no shadow stack there", 0, ON_IST, |_, m| m.set(TABLE + 8, 0x7018), PF_HANDLER, 0x43),
        ("no shadow stack at SSP", 0, Event::interrupt(32), |c, _| ssp(c, 0x7000), PF_HANDLER, 0x43),
        ("from CPL 3: the token is busy", 3, Event::interrupt(32), |_, m| m.set(TOKEN, TOKEN | BUSY), GP_HANDLER, 1),
        (
            "from CPL 3: IA32_PL0_SSP is not aligned",
            3,
            Event::interrupt(32),
            |_, m| m.msrs.extend([(PL0_SSP, TOKEN + 4)]),
            GP_HANDLER,
            1,
        ),
    ];
    for (why, cpl, event, change, handler, error) in cases {
        let (mut cpu, mut machine) = prepare(Long64, cpl);
        // Where the kernel's only stack is refused, and where SSP itself is none, the handler has one of the table.
        machine.set(TABLE + 16, IST_TOKEN + 0x20);
        machine.set(IST_TOKEN + 0x20, IST_TOKEN + 0x20);
        machine.set(TSS + 0x2c, IST1 - 0x400);
        machine.gate(true, 13, GP_HANDLER, 2);
        machine.gate(true, 14, PF_HANDLER, 2);
        change(&mut cpu, &mut machine);
        let old = cpu.system().ssp;
        let outcome = run(&mut cpu, &mut machine, Profile::all(), &Act::Deliver(event));
        assert!(matches!(outcome, Outcome::Completed(_)), "{why}: {outcome:?}");
        assert_eq!((cpu.rip, machine.word(cpu.gpr[4])), (handler, error), "{why}");
        assert_eq!(machine.word(IST_TOKEN + 0x20), (IST_TOKEN + 0x20) | BUSY, "{why}");
        // SSP was not moved on the way.
        if cpl == 0 {
            assert_eq!(machine.framed(cpu.system().ssp)[0], old, "{why}");
        } else {
            assert_eq!(machine.msrs[&PL3_SSP], old, "{why}");
        }
    }
    // The handlers of #GP and #DF have the same stack: the end.
    let (mut cpu, mut machine) = prepare(Long64, 3);
    machine.set(TOKEN, TOKEN | BUSY);
    let outcome = run(&mut cpu, &mut machine, Profile::all(), &Act::Deliver(Event::interrupt(32)));
    assert_eq!(outcome, Outcome::Shutdown);
    // #CP is contributory: two make a double fault.
    let (cpu, machine) = done(Long64, 0, Act::Deliver(Event::cp(3, "a test")), |c, m| {
        m.gate(true, 21, TARGET, 1);
        m.gate(true, 8, GP_HANDLER, 0);
        m.set(IST_TOKEN, 0);
        ssp(c, SSP0);
    });
    assert_eq!((cpu.rip, machine.word(cpu.gpr[4])), (GP_HANDLER, 0));
}

#[test]
fn system_calls_keep_ssp() {
    let waits = BOTH | WAITS;
    for (kind, code) in [(Long64, [0x0f, 0x05]), (Prot32, [0x0f, 0x34]), (Long64, [0x0f, 0x34])] {
        let (cpu, machine) = done(kind, 3, bytes(&code), |_, m| m.msrs.extend([(S_CET, BOTH | SUPPRESS)]));
        assert_eq!((cpu.cpl(), cpu.rip, cpu.system().ssp), (0, TARGET, 0), "{code:x?}");
        assert_eq!((machine.msrs[&PL3_SSP], machine.msrs[&S_CET], machine.msrs[&U_CET]), (SSP3, waits, BOTH));
        assert!(machine.seen.is_empty());
        // The upper bits repeat the highest of the 57.
        let (_, machine) = done(kind, 3, bytes(&code), |cpu, _| ssp(cpu, 1 << 56));
        assert_eq!(machine.msrs[&PL3_SSP], 0xff00_0000_0000_0000);
        // Only programs, and only the kernel.
        let (cpu, machine) = done(kind, 3, bytes(&code), |_, m| m.msrs.extend([(S_CET, 0)]));
        assert_eq!((cpu.system().ssp, machine.msrs[&PL3_SSP], machine.msrs[&S_CET]), (SSP3, SSP3, 0));
        let (cpu, machine) = done(kind, 3, bytes(&code), |_, m| m.msrs.extend([(U_CET, 0)]));
        assert_eq!((cpu.system().ssp, machine.msrs[&PL3_SSP]), (0, SSP3 - 0x100));
    }
    for (kind, code) in [
        (Long64, &[0x48, 0x0f, 0x07][..]),
        (Long64, &[0x0f, 0x07]),
        (Prot32, &[0x0f, 0x35]),
        (Long64, &[0x48, 0x0f, 0x35]),
    ] {
        let (cpu, machine) = done(kind, 0, bytes(code), nothing);
        assert_eq!((cpu.cpl(), cpu.system().ssp), (3, SSP3 - 0x100), "{code:x?}");
        assert_eq!((machine.msrs[&U_CET], machine.msrs[&S_CET]), (BOTH, BOTH), "returns are not tracked");
        let (cpu, _) = done(kind, 0, bytes(code), |_, m| m.msrs.extend([(U_CET, 0)]));
        assert_eq!(cpu.system().ssp, SSP0);
    }
}

const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
const ENDBR32: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfb];

/// The page of [`TARGET`] in a legacy code page bitmap at 0x7000.
const BITMAP: u64 = 0x7000;

/// The tracker waits, and `code` stands at [`CODE`].
fn arrives(kind: Kind, cpl: u8, code: &[u8], more: u64, change: Change) -> (Outcome, u64, Machine) {
    let (mut cpu, mut machine) = prepare(kind, cpl);
    let register = if cpl == 3 { U_CET } else { S_CET };
    machine.msrs.insert(register, ENDBR_EN | WAITS | more);
    change(&mut cpu, &mut machine);
    let outcome = run(&mut cpu, &mut machine, Profile::all(), &bytes(code));
    (outcome, machine.msrs[&register], machine)
}

#[test]
fn a_tracker_that_waits_wants_an_endbranch() {
    for (kind, good, bad) in [(Long64, ENDBR64, ENDBR32), (Prot32, ENDBR32, ENDBR64), (Compat32, ENDBR32, ENDBR64)] {
        for cpl in [0, 3] {
            let (outcome, after, _) = arrives(kind, cpl, good, SUPPRESS, nothing);
            assert!(matches!(outcome, Outcome::Completed(_)));
            assert_eq!(after, ENDBR_EN, "{kind:?} at {cpl}: neither waiting nor suppressed");
            // The other mode's is none.
            let (outcome, after, _) = arrives(kind, cpl, bad, 0, nothing);
            assert_eq!((exception(outcome), after), (Some(ENDBRANCH), ENDBR_EN | WAITS));
        }
    }
    // It comes before all that decoding, privilege and the instruction itself may raise.
    for (why, code) in [
        ("no instruction", &[0x0f, 0x0b][..]),
        ("bytes that are none", &[0x06]),
        ("too long", &[0x66; 15]),
        ("a privileged one", &[0xf4]),
        ("a page fault", &[0x8b, 0x04, 0x25, 0, 0, 0, 0x40]),
        ("a call, whose shadow stack is none", &[0xff, 0xd0]),
    ] {
        let (outcome, ..) = arrives(Long64, 3, code, 0, |c, _| ssp(c, 0));
        assert_eq!(exception(outcome), Some(ENDBRANCH), "{why}");
    }
    // INT3 and INT1 may stand there.
    for (code, vector) in [(0xcc, 3), (0xf1, 1)] {
        let (outcome, after, _) = arrives(Long64, 3, &[code], 0, nothing);
        assert_eq!((exception(outcome), after), (Some((vector, None)), ENDBR_EN | WAITS));
    }
    // Not enabled: a bit that stays is nobody's.
    let (outcome, ..) = arrives(Long64, 3, &[0x90], 0, |_, m| m.msrs.extend([(U_CET, SH_STK_EN | WAITS)]));
    assert!(matches!(outcome, Outcome::Completed(_)));
    // And what is waited for behind a far jump, a handler's entry and SYSCALL is the same.
    let deliver = Act::Deliver(Event::interrupt(32));
    for (kind, cpl, act) in [(Prot32, 0, jmp(sel::CODE0)), (Long64, 3, deliver), (Long64, 3, bytes(&[0x0f, 0x05]))] {
        for (code, expected) in [(if kind == Prot32 { ENDBR32 } else { ENDBR64 }, None), (&[0x90], Some(ENDBRANCH))] {
            let (mut cpu, mut machine) = done(kind, cpl, act.clone(), nothing);
            machine.ram[TARGET as usize..TARGET as usize + code.len()].copy_from_slice(code);
            let outcome = encore86::Engine::integer_only(Profile::all()).step(&mut cpu, &mut machine);
            assert_eq!(exception(outcome), expected, "{kind:?}");
        }
    }
}

#[test]
fn legacy_code_has_a_bit_in_the_bitmap() {
    let page = CODE >> 12;
    assert_eq!((page / 8, page % 8), (2, 0));
    let legacy: Change = |_, m| m.store(BITMAP + 2, 1, 1);
    for (kind, cpl) in [(Long64, 3), (Long64, 0), (Compat32, 3), (Prot32, 0)] {
        // The tracker is idle and suppressed, and the instruction runs.
        let (outcome, after, _) = arrives(kind, cpl, &[0x90], LEG_IW_EN | BITMAP, legacy);
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
        assert_eq!(after, ENDBR_EN | LEG_IW_EN | BITMAP | SUPPRESS, "{kind:?} at {cpl}");
        let (_, after, _) = arrives(kind, cpl, &[0x90], LEG_IW_EN | SUPPRESS_DIS | BITMAP, legacy);
        assert_eq!(after, ENDBR_EN | LEG_IW_EN | SUPPRESS_DIS | BITMAP);
        // Another page's bit, and no bitmap.
        let (outcome, after, _) = arrives(kind, cpl, &[0x90], LEG_IW_EN | BITMAP, |_, m| m.store(BITMAP + 2, 0xfe, 1));
        assert_eq!((exception(outcome), after), (Some(ENDBRANCH), ENDBR_EN | LEG_IW_EN | WAITS | BITMAP));
        let (outcome, ..) = arrives(kind, cpl, &[0x90], BITMAP, legacy);
        assert_eq!(exception(outcome), Some(ENDBRANCH));
        // A bitmap that is not there: a page fault of a data read at CPL, and the tracker still waits.
        let (outcome, after, _) = arrives(kind, cpl, &[0x90], LEG_IW_EN | 0x40_0000, nothing);
        assert_eq!((exception(outcome), after & WAITS), (Some((14, Some(0))), WAITS));
        // What legacy code raises is its own.
        let (outcome, after, _) = arrives(kind, cpl, &[0x0f, 0x0b], LEG_IW_EN | BITMAP, legacy);
        assert_eq!((exception(outcome), after & (WAITS | SUPPRESS)), (Some((6, None)), SUPPRESS));
        let (outcome, ..) = arrives(kind, cpl, &[0x0f, 0xff], LEG_IW_EN | BITMAP, legacy);
        assert_eq!(exception(outcome), Some((6, None)));
        // An indirect call of legacy code is not tracked, one of other code is.
        let (_, after, _) = arrives(kind, cpl, &[0xff, 0xe0], LEG_IW_EN | BITMAP, legacy);
        assert_eq!(after & (WAITS | SUPPRESS), SUPPRESS);
        let (_, after, _) = arrives(kind, cpl, &[0xff, 0xe0], LEG_IW_EN | SUPPRESS_DIS | BITMAP, legacy);
        assert_eq!(after & (WAITS | SUPPRESS), WAITS);
    }
    // A bitmap beyond the linear addresses.
    let (outcome, ..) = arrives(Long64, 3, &[0x90], LEG_IW_EN | 1 << 47, nothing);
    assert_eq!(exception(outcome), Some(GP));
    // ENDBRANCH ends the suppression even where the tracker does not wait.
    let (mut cpu, mut machine) = prepare(Long64, 3);
    machine.msrs.insert(U_CET, ENDBR_EN | SUPPRESS);
    let _ = run(&mut cpu, &mut machine, Profile::all(), &bytes(ENDBR64));
    assert_eq!(machine.msrs[&U_CET], ENDBR_EN);
    // A far transfer ends it too.
    let (_, machine) = done(Prot32, 0, jmp(sel::CODE0), |_, m| m.msrs.extend([(S_CET, ENDBR_EN | SUPPRESS)]));
    assert_eq!(machine.msrs[&S_CET], ENDBR_EN | WAITS);
}

#[test]
fn what_the_profile_lacks_is_not_enabled() {
    let without = |feature: Feature| {
        let mut features = *Profile::all().features();
        features.remove(feature);
        Profile::from_features(Vendor::Amd, features)
    };
    // AMD's processors have shadow stacks and no tracking.
    let (cpu, machine) = done_by(without(Feature::Ibt), Prot32, 3, call(sel::GATE), nothing);
    assert_eq!((cpu.system().ssp, machine.msrs[&S_CET]), (TOKEN, BOTH));
    let (_, machine) = done_by(without(Feature::Ibt), Long64, 3, bytes(&[0x90]), |_, m| {
        m.msrs.insert(U_CET, ENDBR_EN | WAITS);
    });
    assert_eq!(machine.msrs[&U_CET], ENDBR_EN | WAITS);
    let (cpu, machine) = done_by(without(Feature::Shstk), Prot32, 0, call(sel::CODE0), nothing);
    assert_eq!((cpu.system().ssp, machine.seen.len(), machine.msrs[&S_CET]), (SSP0, 0, BOTH | WAITS));
}

#[test]
fn registers_refuse_what_they_cannot_hold() {
    let all = Profile::all;
    let only = |feature: Feature| {
        let mut features = *all().features();
        features.remove(feature);
        Profile::from_features(Vendor::Intel, features)
    };
    let write = |profile: Profile, index: u32, value: u64| {
        let (mut cpu, mut machine) = prepare(Long64, 0);
        (cpu.gpr[0], cpu.gpr[1], cpu.gpr[2]) = (value & 0xffff_ffff, index.into(), value >> 32);
        let outcome = run(&mut cpu, &mut machine, profile, &bytes(&[0x0f, 0x30]));
        (exception(outcome), machine.msrs[&index] == value)
    };
    for index in [U_CET, S_CET] {
        for bit in 6..10 {
            assert_eq!(write(all(), index, 1 << bit).0, Some(GP), "bit {bit} is reserved");
        }
        assert_eq!(write(all(), index, SUPPRESS | WAITS).0, Some(GP), "suppressed and waiting");
        assert_eq!(write(all(), index, 1 << 47).0, Some(GP), "the bitmap's address is not canonical");
        assert_eq!(write(all(), index, 0xffff_8000_0000_0c3f & !SUPPRESS), (None, true));
        assert_eq!(write(only(Feature::Ibt), index, 3), (None, true));
        assert_eq!(write(only(Feature::Ibt), index, ENDBR_EN).0, Some(GP), "no tracking");
        assert_eq!(write(only(Feature::Shstk), index, SH_STK_EN).0, Some(GP), "no shadow stacks");
        assert_eq!(write(only(Feature::Shstk), index, ENDBR_EN | WAITS), (None, true));
    }
    for index in PL0_SSP..=PL3_SSP {
        assert_eq!(write(all(), index, SSP0 + 4), (None, true));
        assert_eq!(write(all(), index, SSP0 + 2).0, Some(GP), "not aligned to 4 bytes");
        assert_eq!(write(all(), index, 1 << 47).0, Some(GP), "not canonical");
    }
    assert_eq!(write(all(), SSP_TABLE, 1 << 47).0, Some(GP), "not canonical");
    assert_eq!(write(all(), SSP_TABLE, TABLE + 0x1001), (None, true));
}
