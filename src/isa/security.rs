//! CET, SGX, SMX, Key Locker, memory encryption by key.

use super::Feature;
use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::*, *};
use Map::{M0f, M0f38 as P0F38};

/// CF says whether a token was found, the other arithmetic flags are clear.
const TOKEN: FlagEffect = FlagEffect::of(0, ARITH, 0).clears(ARITH & !CF);
/// ZF says whether it failed, the other arithmetic flags are clear.
const FAILED: FlagEffect = FlagEffect::of(0, ARITH, 0).clears(ARITH & !ZF);

/// Nothing fails.
const CLEARED: FlagEffect = FlagEffect::NONE.clears(ARITH);

/// A line of shadow stacks.
const fn cet(name: &'static str, map: Map, opcode: u8, operands: &[Spec]) -> Row {
    legacy(name, map, opcode, operands).protected().cpuid(Shstk).gate(Gate::Cet)
}

/// A leaf function in EAX, with what it needs in rBX, rCX and rDX.
const fn leaf(name: &'static str, digit: u32, rm: u32, feature: Feature, gate: Gate) -> Row {
    let (b, c, d) = (RCW(rBXm.hidden()), RCW(rCXm.hidden()), RCW(rDXm.hidden()));
    legacy(name, M0f, 0x01, &[RW(EAX.hidden()), b, c, d]).digit(digit).rm(rm).pp(NP).cpuid(feature).gate(gate)
}

/// A line of Key Locker. CR4.KL enables it.
const fn key(name: &'static str, opcode: u8, operands: &[Spec]) -> Row {
    let r = legacy(name, P0F38, opcode, operands).pp(F3).gate(Gate::Sse).class(Class::Free);
    r.cpuid(Keylocker).and(KeylockerAes).flags(FAILED)
}

/// XMM registers that a row implies, one a bit.
const fn xmms(set: u8) -> Spec {
    Spec::fixed(Loc::VecSet, Width::Dq, set).hidden()
}

/// Eight blocks, XMM0 to XMM7.
const fn wide(name: &'static str, digit: u32, handle: Spec) -> Row {
    key(name, 0xd8, &[handle, RW(xmms(0xff))]).digit(digit).and(KeylockerWide)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    leaf("enclv", 0, 0, SgxEnclv, Gate::Cpl0Ud).protected().implies(Implied::Elsewhere),
    leaf("pconfig", 0, 5, Pconfig, Gate::Cpl0).flags(FAILED).implies(Implied::Elsewhere),
    leaf("encls", 1, 7, Sgx, Gate::Cpl0Ud).protected().implies(Implied::Elsewhere),
    leaf("enclu", 2, 7, Sgx, Gate::Free).protected().implies(Implied::Elsewhere),
    cet("setssbsy", M0f, 0x01, &[]).digit(5).rm(0).f3().gate(Gate::Cpl0).implies(Implied::OtherToken).system(SysOp::Shadow(ShadowOp::SetBusy)),
    cet("saveprevssp", M0f, 0x01, &[]).digit(5).rm(2).f3().implies(Implied::OtherToken).system(SysOp::Shadow(ShadowOp::SavePrevious)),
    cet("rstorssp", M0f, 0x01, &[RW(Mq)]).digit(5).f3().aligned().flags(TOKEN).implies(Implied::ShadowToken).system(SysOp::Shadow(ShadowOp::Restore)),
    legacy("getsec", M0f, 0x37, &[RCW(EAX.hidden()), R(EBX.hidden()), RCW(ECX.hidden())]).pp(NP).protected().cpuid(Smx).implies(Implied::Elsewhere),
    cet("incsspq", M0f, 0xae, &[R(Rq)]).digit(5).f3().only64().w1().implies(Implied::SkipShadow).system(SysOp::Shadow(ShadowOp::Increment)),
    cet("incsspd", M0f, 0xae, &[R(Rd)]).digit(5).f3().implies(Implied::SkipShadow).system(SysOp::Shadow(ShadowOp::Increment)),
    cet("clrssbsy", M0f, 0xae, &[RW(Mq)]).digit(6).f3().gate(Gate::Cpl0).aligned().flags(TOKEN).implies(Implied::ShadowToken).system(SysOp::Shadow(ShadowOp::ClearBusy)),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    wide("aesencwide128kl", 0, R(Mkl)),
    wide("aesdecwide128kl", 1, R(Mkl)),
    wide("aesencwide256kl", 2, R(Moq)),
    wide("aesdecwide256kl", 3, R(Moq)),
    key("aesenc128kl", 0xdc, &[RW(Vdq), R(Mkl)]),
    key("loadiwkey", 0xdc, &[R(Vdq), R(Udq), R(EAX.hidden()), R(XMM0.hidden())]).cpuid(Keylocker).gate(Gate::Cpl0),
    key("aesdec128kl", 0xdd, &[RW(Vdq), R(Mkl)]),
    key("aesenc256kl", 0xde, &[RW(Vdq), R(Moq)]),
    key("aesdec256kl", 0xdf, &[RW(Vdq), R(Moq)]),
    cet("wrussq", P0F38, 0xf5, &[W(Mq), R(Gq)]).pp(P66).only64().w1().gate(Gate::Cpl0).aligned().implies(Implied::WriteShadow).system(SysOp::Shadow(ShadowOp::WriteUser)),
    cet("wrussd", P0F38, 0xf5, &[W(Md), R(Gd)]).pp(P66).gate(Gate::Cpl0).aligned().implies(Implied::WriteShadow).system(SysOp::Shadow(ShadowOp::WriteUser)),
    cet("wrssq", P0F38, 0xf6, &[W(Mq), R(Gq)]).pp(NP).only64().w1().aligned().implies(Implied::WriteShadow).system(SysOp::Shadow(ShadowOp::Write)),
    cet("wrssd", P0F38, 0xf6, &[W(Md), R(Gd)]).pp(NP).aligned().implies(Implied::WriteShadow).system(SysOp::Shadow(ShadowOp::Write)),
    key("encodekey128", 0xfa, &[W(Gd), R(Rd), RW(xmms(0b1)), W(xmms(0b111_0110))]).flags(CLEARED),
    key("encodekey256", 0xfb, &[W(Gd), R(Rd), RW(xmms(0b11)), W(xmms(0b111_1100))]).flags(CLEARED),
];
