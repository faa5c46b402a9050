//! VMX, SVM, TDX and SEV-SNP.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::*, *};
use super::segments::LOADED;
use Map::{M0f, M0f38 as P0F38};

/// CF and ZF say how it went, the other arithmetic flags are clear.
const ANSWER: FlagEffect = FlagEffect::of(0, ARITH, 0).clears(ARITH & !(CF | ZF));
/// SEV-SNP's answer: EAX, and the arithmetic flags by it.
const BY_EAX: FlagEffect = FlagEffect::of(0, ARITH & !CF, 0);

const fn vmx(name: &'static str, map: Map, opcode: u8, operands: &[Spec], pp: Pp) -> Row {
    legacy(name, map, opcode, operands).pp(pp).protected().cpuid(Vmx).gate(Gate::Virtual).flags(ANSWER)
}

/// A line of VMX in 0F 01.
const fn group7(name: &'static str, digit: u32, rm: u32, operands: &[Spec]) -> Row {
    legacy(name, M0f, 0x01, operands).digit(digit).rm(rm).pp(NP).cpuid(Vmx).gate(Gate::Virtual)
}

const fn svm(name: &'static str, rm: u32, operands: &[Spec]) -> Row {
    legacy(name, M0f, 0x01, operands).digit(3).rm(rm).protected().cpuid(Svm).gate(Gate::Virtual)
}

/// A call between the layers of TDX.
const fn tdx(name: &'static str, rm: u32, operands: &[Spec]) -> Row {
    legacy(name, M0f, 0x01, operands).digit(1).rm(rm).pp(P66).attr(attr::BRANCH).gate(Gate::Virtual)
}

/// A line on the reverse map table.
const fn rmp(name: &'static str, rm: u32, operands: &[Spec]) -> Row {
    legacy(name, M0f, 0x01, operands).digit(7).rm(rm).cpuid(Snp).gate(Gate::Cpl0).flags(BY_EAX)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    group7("vmcall", 0, 1, &[]).attr(attr::BRANCH).flags(ANSWER).implies(Implied::Elsewhere),
    group7("vmlaunch", 0, 2, &[]).protected().attr(attr::BRANCH).flags(LOADED).implies(Implied::Elsewhere),
    group7("vmresume", 0, 3, &[]).protected().attr(attr::BRANCH).flags(LOADED).implies(Implied::Elsewhere),
    group7("vmxoff", 0, 4, &[]).protected().flags(ANSWER),
    tdx("tdcall", 4, &[R(rCXm.hidden())]).implies(Implied::Elsewhere),
    tdx("seamret", 5, &[]).only64().cpuid(Vmx).flags(ANSWER).implies(Implied::Elsewhere),
    tdx("seamops", 6, &[RW(RAX.hidden())]).only64().cpuid(Vmx).flags(ANSWER).implies(Implied::Elsewhere),
    tdx("seamcall", 7, &[RW(RAX.hidden())]).only64().cpuid(Vmx).flags(ANSWER).implies(Implied::Elsewhere),
    // Outside a guest it is #UD whatever the CPL.
    group7("vmfunc", 2, 4, &[R(EAX.hidden()), R(ECX.hidden())]).implies(Implied::Elsewhere),
    svm("vmrun", 0, &[R(rAXa)]).attr(attr::BRANCH).implies(Implied::Elsewhere),
    // Any mode may ask the host for something.
    legacy("vmmcall", M0f, 0x01, &[]).digit(3).rm(1).attr(attr::BRANCH).cpuid(Svm).gate(Gate::Virtual).implies(Implied::Elsewhere),
    svm("vmload", 2, &[R(rAXa)]).implies(Implied::Elsewhere),
    svm("vmsave", 3, &[R(rAXa)]).implies(Implied::Elsewhere),
    svm("stgi", 4, &[]),
    svm("clgi", 5, &[]),
    // SKINIT needs no SVM where it has a bit of its own.
    svm("skinit", 6, &[R(EAX)]).attr(attr::BRANCH).cpuid(Skinit).implies(Implied::Elsewhere),
    svm("invlpga", 7, &[R(rAXa), R(ECX)]),
    rmp("rmpupdate", 6, &[RW(RAX), R(RCX)]).f2().only64().implies(Implied::Elsewhere),
    rmp("rmpadjust", 6, &[RW(RAX), R(RCX), R(RDX)]).f3().only64().implies(Implied::Elsewhere),
    rmp("pvalidate", 7, &[RW(rAXm), R(ECX), R(EDX)]).f2().flags(FlagEffect::of(0, ARITH, 0)).implies(Implied::Elsewhere),
    rmp("psmash", 7, &[RW(RAX)]).f3().only64().implies(Implied::Elsewhere),
    vmx("vmread", M0f, 0x78, &[W(Em), R(Gm)], NP).implies(Implied::Controlled),
    vmx("vmwrite", M0f, 0x79, &[R(Gm), R(Em)], NP).implies(Implied::Controlled),
    vmx("vmptrld", M0f, 0xc7, &[R(Mq)], NP).digit(6).implies(Implied::Controlled),
    vmx("vmclear", M0f, 0xc7, &[R(Mq)], P66).digit(6).implies(Implied::Controlled),
    vmx("vmxon", M0f, 0xc7, &[R(Mq)], F3).digit(6).implies(Implied::Controlled),
    vmx("vmptrst", M0f, 0xc7, &[W(Mq)], NP).digit(7).implies(Implied::Controlled),
];

pub(super) const M0F38: &[Row] =
    &[vmx("invept", P0F38, 0x80, &[R(Gm), R(Mdq)], P66), vmx("invvpid", P0F38, 0x81, &[R(Gm), R(Mdq)], P66)];
