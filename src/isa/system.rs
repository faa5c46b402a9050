//! Control and debug registers, model-specific registers, TLB and caches, system calls, waiting for memory, saved states,
//! protection keys, user interrupts, FRED, and the lines that are #UD by definition.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::*, *};
use super::segments::LOADED;
use Map::{M0f, M0f3a as P0F3A, M0f38 as P0F38, Primary};

/// CF says how it went, the other arithmetic flags are clear.
const CARRIES: FlagEffect = FlagEffect::of(0, ARITH, 0).clears(ARITH & !CF);

/// A line of 0F 01 with a register form, whose ModRM byte is part of the opcode.
const fn group7(name: &'static str, digit: u32, rm: u32, operands: &[Spec]) -> Row {
    legacy(name, M0f, 0x01, operands).digit(digit).rm(rm)
}

/// An instruction that needs CPL 0.
const fn privileged(name: &'static str, opcode: u8, operands: &[Spec]) -> Row {
    legacy(name, M0f, opcode, operands).gate(Gate::Cpl0)
}

/// A wait for a store to the line at DS:rAX, and the wait itself.
macro_rules! monitor {
    ($monitor:literal, $mwait:literal, $digit:literal, $rm:literal, $feature:ident, $gate:expr, $wait:ident, [$($timeout:expr),*]) => {
        [
            group7($monitor, $digit, $rm, &[R(rAXa.hidden()), R(ECX.hidden()), R(EDX.hidden())]).pp(NP).cpuid($feature).gate($gate).implies(Implied::Monitor).system(SysOp::Monitor),
            group7($mwait, $digit, $rm + 1, &[R(EAX.hidden()), R(ECX.hidden()), $($timeout),*]).pp(NP).cpuid($feature).gate($gate).system(SysOp::$wait),
        ]
    };
}

/// A move to or from a control or debug register, whose ModRM.mod counts for nothing.
const fn control(opcode: u8, operands: &[Spec]) -> Row {
    privileged("mov", opcode, operands).any_mod()
}

/// An instruction that saves or restores processor state by the mask in EDX:EAX.
macro_rules! state {
    ($name:literal, $wide:literal, $op:literal, $digit:literal, $uses:ident, $feature:ident, $gate:expr, $implied:ident, $does:ident) => {
        [
            state($name, $op, $digit, $uses(M), SysOp::$does)
                .w0()
                .cpuid($feature)
                .gate($gate)
                .implies(Implied::$implied),
            state($wide, $op, $digit, $uses(M), SysOp::$does)
                .w1()
                .cpuid($feature)
                .gate($gate)
                .implies(Implied::$implied),
        ]
    };
}

const fn state(name: &'static str, opcode: u8, digit: u32, area: Spec, op: SysOp) -> Row {
    legacy(name, M0f, opcode, &[area, R(EAX.hidden()), R(EDX.hidden())]).digit(digit).pp(NP).no_rex2().system(op)
}

/// A wait until a time in EDX:EAX.
const fn wait(name: &'static str, pp: Pp) -> Row {
    let r = legacy(name, M0f, 0xae, &[R(Rd), R(EAX.hidden()), R(EDX.hidden())]).digit(6).pp(pp);
    r.cpuid(Waitpkg).flags(CARRIES).system(SysOp::Wait)
}

const MONITOR: [Row; 2] = monitor!("monitor", "mwait", 1, 0, Monitor, Gate::Cpl0Ud, Mwait, []);
const MONITORX: [Row; 2] = monitor!("monitorx", "mwaitx", 7, 2, Monitorx, Gate::Free, Mwaitx, [R(EBX.hidden())]);

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const PRIMARY: &[Row] = &[
    legacy("udb", Primary, 0xd6, &[]).only64().system(SysOp::Ud),
    legacy("int1", Primary, 0xf1, &[]).attr(attr::BRANCH).implies(Implied::Interrupt).system(SysOp::Int),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = rows![
    MONITOR, MONITORX,
    [
        group7("pbndkb", 0, 7, &[W(RAX.hidden()), R(RBX.hidden()), R(RCX.hidden())]).pp(NP).only64().cpuid(Pbndkb).gate(Gate::Cpl0).flags(FlagEffect::of(0, ARITH, 0).clears(ARITH & !ZF)).implies(Implied::Elsewhere),
        group7("rdmsrlist", 0, 6, &[RW(RCX.hidden()), R(RSI.hidden()), R(RDI.hidden())]).f2().only64().cpuid(Msrlist).gate(Gate::Cpl0).implies(Implied::ReadMsrs).system(SysOp::ReadMsrList),
        group7("wrmsrlist", 0, 6, &[RW(RCX.hidden()), R(RSI.hidden()), R(RDI.hidden())]).f3().only64().cpuid(Msrlist).gate(Gate::Cpl0).implies(Implied::WriteMsrs).system(SysOp::WriteMsrList),
        group7("wrmsrns", 0, 6, &[R(EAX.hidden()), R(EDX.hidden()), R(ECX.hidden())]).pp(NP).cpuid(Wrmsrns).gate(Gate::Cpl0).privileged(PrivOp::Wrmsr),
        group7("clac", 1, 2, &[]).pp(NP).cpuid(Smap).gate(Gate::Cpl0Ud).flags(FlagEffect::NONE.clears(AC)).privileged(PrivOp::Clac),
        group7("eretu", 1, 2, &[]).f3().only64().d64().attr(attr::BRANCH).cpuid(Fred).gate(Gate::Cpl0).flags(LOADED).implies(Implied::EventReturn).far(FarOp::Eretu),
        group7("erets", 1, 2, &[]).f2().only64().d64().attr(attr::BRANCH).cpuid(Fred).gate(Gate::Cpl0).flags(LOADED).implies(Implied::EventReturn).far(FarOp::Erets),
        group7("stac", 1, 3, &[]).pp(NP).cpuid(Smap).gate(Gate::Cpl0Ud).flags(FlagEffect::NONE.sets(AC)).privileged(PrivOp::Stac),
        group7("xsetbv", 2, 1, &[R(ECX.hidden()), R(EAX.hidden()), R(EDX.hidden())]).pp(NP).cpuid(Xsave).gate(Gate::Xsetbv).privileged(PrivOp::Xsetbv),
        legacy("smsw", M0f, 0x01, &[W(Mw)]).digit(4).gate(Gate::Umip).privileged(PrivOp::Smsw),
        legacy("smsw", M0f, 0x01, &[W(Rv)]).digit(4).gate(Gate::Umip).privileged(PrivOp::Smsw),
        group7("uiret", 5, 4, &[]).f3().only64().attr(attr::BRANCH).cpuid(Uintr).flags(FlagEffect::of(0, ARITH | DF | NT | AC, 0)).implies(Implied::UserReturn).system(SysOp::Uiret),
        group7("testui", 5, 5, &[]).f3().only64().cpuid(Uintr).flags(CARRIES).implies(Implied::TestInterruptFlag).system(SysOp::Testui),
        group7("clui", 5, 6, &[]).f3().only64().cpuid(Uintr).implies(Implied::InterruptFlag).system(SysOp::Clui),
        group7("rdpkru", 5, 6, &[W(EAX.hidden()), W(EDX.hidden()), R(ECX.hidden())]).pp(NP).cpuid(Pku).gate(Gate::Pke).implies(Implied::ReadKeys).privileged(PrivOp::Rdpkru),
        group7("stui", 5, 7, &[]).f3().only64().cpuid(Uintr).implies(Implied::InterruptFlag).system(SysOp::Stui),
        group7("wrpkru", 5, 7, &[R(EAX.hidden()), R(EDX.hidden()), R(ECX.hidden())]).pp(NP).cpuid(Pku).gate(Gate::Pke).implies(Implied::WriteKeys).privileged(PrivOp::Wrpkru),
        legacy("lmsw", M0f, 0x01, &[R(Ew)]).digit(6).gate(Gate::Cpl0).privileged(PrivOp::Lmsw),
        legacy("invlpg", M0f, 0x01, &[N(Mb)]).digit(7).gate(Gate::Cpl0).privileged(PrivOp::Invlpg),
        group7("swapgs", 7, 0, &[]).only64().gate(Gate::Cpl0).privileged(PrivOp::Swapgs),
        group7("mcommit", 7, 2, &[]).f3().cpuid(Mcommit).flags(CARRIES).system(SysOp::Mcommit),
        group7("rdpru", 7, 5, &[W(EAX.hidden()), W(EDX.hidden()), R(ECX.hidden())]).no_rep().cpuid(Rdpru).flags(CARRIES).system(SysOp::Rdpru),
        group7("invlpgb", 7, 6, &[R(rAXa.hidden()), R(EDX.hidden()), R(ECX.hidden())]).pp(NP).cpuid(Invlpgb).gate(Gate::Cpl0),
        group7("tlbsync", 7, 7, &[]).pp(NP).cpuid(Invlpgb).gate(Gate::Cpl0),
        // Intel's processors have it in 64-bit mode alone.
        legacy("syscall", M0f, 0x05, &[W(ECX.hidden())]).not64().amd().attr(attr::BRANCH).cpuid(Syscall).flags(LOADED).implies(Implied::SystemCall).far(FarOp::Syscall),
        privileged("clts", 0x06, &[]).privileged(PrivOp::Clts),
        privileged("sysret", 0x07, &[R(RCX.hidden()), R(R11.hidden())]).only64().w1().attr(attr::BRANCH).cpuid(Syscall).flags(LOADED).implies(Implied::SystemReturn).far(FarOp::Sysret),
        privileged("sysret", 0x07, &[R(ECX.hidden()), R(R11.hidden())]).only64().attr(attr::BRANCH).cpuid(Syscall).flags(LOADED).implies(Implied::SystemReturn).far(FarOp::Sysret),
        privileged("sysret", 0x07, &[R(ECX.hidden())]).not64().amd().attr(attr::BRANCH).cpuid(Syscall).flags(FlagEffect::NONE.sets(IF)).implies(Implied::SystemReturn).far(FarOp::Sysret),
        privileged("invd", 0x08, &[]).privileged(PrivOp::Invd),
        privileged("wbnoinvd", 0x09, &[]).f3().cpuid(Wbnoinvd).privileged(PrivOp::Wbnoinvd),
        privileged("wbinvd", 0x09, &[]).privileged(PrivOp::Wbinvd),
        control(0x20, &[W(Rm), R(Cm)]).privileged(PrivOp::ReadControl),
        control(0x21, &[W(Rm), R(Dm)]).privileged(PrivOp::ReadDebug),
        control(0x22, &[W(Cm), R(Rm)]).privileged(PrivOp::WriteControl),
        control(0x23, &[W(Dm), R(Rm)]).privileged(PrivOp::WriteDebug),
        privileged("wrmsr", 0x30, &[R(EAX.hidden()), R(EDX.hidden()), R(ECX.hidden())]).cpuid(Msr).privileged(PrivOp::Wrmsr),
        privileged("rdmsr", 0x32, &[W(EAX.hidden()), W(EDX.hidden()), R(ECX.hidden())]).cpuid(Msr).privileged(PrivOp::Rdmsr),
        legacy("rdpmc", M0f, 0x33, &[W(EAX.hidden()), W(EDX.hidden()), R(ECX.hidden())]).gate(Gate::Pce).privileged(PrivOp::Rdpmc),
        legacy("sysenter", M0f, 0x34, &[]).not64().attr(attr::BRANCH).cpuid(Sep).flags(FlagEffect::NONE.clears(IF)).implies(Implied::SystemEnter).far(FarOp::Sysenter),
        // AMD's processors have neither in long mode.
        legacy("sysenter", M0f, 0x34, &[]).only64().intel().attr(attr::BRANCH).cpuid(Sep).flags(FlagEffect::NONE.clears(IF)).implies(Implied::SystemEnter).far(FarOp::Sysenter),
        privileged("sysexit", 0x35, &[R(rCXm.hidden()), R(rDXm.hidden())]).not64().attr(attr::BRANCH).cpuid(Sep).implies(Implied::SystemExit).far(FarOp::Sysexit),
        privileged("sysexit", 0x35, &[R(rCXm.hidden()), R(rDXm.hidden())]).only64().intel().attr(attr::BRANCH).cpuid(Sep).implies(Implied::SystemExit).far(FarOp::Sysexit),
        legacy("rsm", M0f, 0xaa, &[]).attr(attr::BRANCH).flags(LOADED).implies(Implied::Resume),
        legacy("umonitor", M0f, 0xae, &[R(RA)]).digit(6).pp(F3).cpuid(Waitpkg).implies(Implied::UserMonitor).system(SysOp::Monitor),
        wait("tpause", P66),
        wait("umwait", F2),
        // AMD's processors take no ModRM byte of UD0 and UD1 (seen on Zen 4 at the end of a page).
        legacy("ud1", M0f, 0xb9, &[]).amd().system(SysOp::Ud),
        legacy("ud1", M0f, 0xb9, &[N(Gd), N(Ed)]).attr(attr::LATE_MODRM).system(SysOp::Ud),
        legacy("senduipi", M0f, 0xc7, &[R(Rq)]).digit(6).pp(F3).only64().d64().cpuid(Uintr).implies(Implied::SendInterrupt).system(SysOp::Senduipi),
        legacy("ud0", M0f, 0xff, &[]).amd().system(SysOp::Ud),
        legacy("ud0", M0f, 0xff, &[N(Gd), N(Ed)]).attr(attr::LATE_MODRM).system(SysOp::Ud),
    ],
    state!("xsave", "xsave64", 0xae, 4, RW, Xsave, Gate::Xsave, Save, Xsave),
    state!("xrstor", "xrstor64", 0xae, 5, R, Xsave, Gate::Xsave, Restore, Xrstor),
    state!("xsaveopt", "xsaveopt64", 0xae, 6, RW, Xsaveopt, Gate::Xsave, SaveChanged, Xsave),
    state!("xrstors", "xrstors64", 0xc7, 3, R, Xsaves, Gate::Xsaves, RestoreSupervisor, Xrstor),
    state!("xsavec", "xsavec64", 0xc7, 4, W, Xsavec, Gate::Xsave, SaveCompacted, Xsave),
    state!("xsaves", "xsaves64", 0xc7, 5, W, Xsaves, Gate::Xsaves, SaveSupervisor, Xsave),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    legacy("invpcid", P0F38, 0x82, &[R(Gm), R(Mdq)]).pp(P66).cpuid(Invpcid).gate(Gate::Cpl0).privileged(PrivOp::Invpcid),
    legacy("urdmsr", P0F38, 0xf8, &[W(Rq), R(Gq)]).pp(F2).only64().cpuid(UserMsr).implies(Implied::UserMsr).system(SysOp::UserReadMsr),
    legacy("uwrmsr", P0F38, 0xf8, &[R(Gq), R(Rq)]).pp(F3).only64().cpuid(UserMsr).implies(Implied::UserMsr).system(SysOp::UserWriteMsr),
];

pub(super) const M0F3A: &[Row] = &[legacy("hreset", P0F3A, 0xf0, &[R(Ib), R(EAX.hidden())])
    .digit(0)
    .rm(0)
    .f3()
    .cpuid(Hreset)
    .gate(Gate::Cpl0)
    .privileged(PrivOp::Hreset)];
