//! Stores past the caches, remote atomics, hints, transactions, traces.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::*, *};
use Map::{M0f, M0f38 as P0F38, Primary};

/// ZF says whether the device has taken it, the other arithmetic flags are clear.
const TAKEN: FlagEffect = FlagEffect::of(0, ARITH, 0).clears(ARITH & !ZF);

/// ZF is clear inside a transaction, the other arithmetic flags are clear.
const INSIDE: FlagEffect = TAKEN;

/// An atomic operation without a result, on an aligned operand.
const fn remote(name: &'static str, pp: Pp, op: IntOp) -> Row {
    legacy(name, P0F38, 0xfc, &[RW(My), R(Gy)]).pp(pp).cpuid(RaoInt).aligned().attr(attr::LOCKED).extends(op)
}

/// A line of transactions in 0F 01.
const fn tsx(name: &'static str, digit: u32, rm: u32) -> Row {
    legacy(name, M0f, 0x01, &[]).digit(digit).rm(rm)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const PRIMARY: &[Row] = &[
    legacy("xabort", Primary, 0xc6, &[R(Ib), RCW(EAX.hidden())]).digit(7).rm(0).attr(attr::BRANCH).cpuid(Rtm).does(IntOp::Nop),
    legacy("xbegin", Primary, 0xc7, &[R(Jz), CW(EAX.hidden())]).digit(7).rm(0).attr(attr::BRANCH).cpuid(Rtm).does(IntOp::Xbegin),
];

/// These take the place of NOPs, so that they stand before them.
#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const HINTS: &[Row] = &[
    legacy("prefetchrst2", M0f, 0x18, &[N(Mb)]).digit(4).cpuid(Movrs).does(IntOp::Nop).implies(Implied::Hint),
    legacy("prefetchit1", M0f, 0x18, &[N(Mb)]).digit(6).cpuid(Prefetchi).does(IntOp::Nop).implies(Implied::Hint),
    legacy("prefetchit0", M0f, 0x18, &[N(Mb)]).digit(7).cpuid(Prefetchi).does(IntOp::Nop).implies(Implied::Hint),
    legacy("cldemote", M0f, 0x1c, &[N(Mb)]).digit(0).pp(NP).cpuid(Cldemote).does(IntOp::Nop).implies(Implied::Hint),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    tsx("xend", 2, 5).pp(NP).attr(attr::BRANCH).cpuid(Rtm).does(IntOp::Xend),
    tsx("xtest", 2, 6).pp(NP).cpuid(Rtm).flags(INSIDE).does(IntOp::Xtest),
    tsx("xsusldtrk", 5, 0).f2().cpuid(Tsxldtrk).does(IntOp::Nop),
    tsx("xresldtrk", 5, 1).f2().cpuid(Tsxldtrk).does(IntOp::Nop),
    legacy("ptwrite", M0f, 0xae, &[R(Ey)]).digit(4).pp(F3).sel(sel::P66, 0).cpuid(Ptwrite).and(IntelPt).does(IntOp::Nop),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    legacy("movrs", P0F38, 0x8a, &[W(Gb), R(Mb)]).no_rep().only64().cpuid(Movrs).does(IntOp::Mov),
    legacy("movrs", P0F38, 0x8b, &[W(Gv), R(Mv)]).no_rep().only64().cpuid(Movrs).does(IntOp::Mov),
    // All three store to the 64 bytes at ES:ModRM.reg.
    legacy("movdir64b", P0F38, 0xf8, &[R(GA), R(Moq)]).pp(P66).cpuid(Movdir64b).system(SysOp::CopyLine).implies(Implied::CopyLine),
    legacy("enqcmds", P0F38, 0xf8, &[R(GA), R(Moq)]).pp(F3).cpuid(Enqcmd).gate(Gate::Cpl0).flags(TAKEN).system(SysOp::Enqueue).implies(Implied::SystemCommand),
    legacy("enqcmd", P0F38, 0xf8, &[R(GA), R(Moq)]).pp(F2).cpuid(Enqcmd).flags(TAKEN).system(SysOp::Enqueue).implies(Implied::Command),
    legacy("movdiri", P0F38, 0xf9, &[W(My), R(Gy)]).pp(NP).cpuid(Movdiri).does(IntOp::Mov),
    remote("aadd", NP, IntOp::Add),
    remote("aand", P66, IntOp::And),
    remote("axor", F3, IntOp::Xor),
    remote("aor", F2, IntOp::Or),
];
