//! Lines of map 0F that ask the platform: random numbers, time, segment bases, cache lines.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::*, *};
use Map::M0f;

/// CF says whether there was a number, the others are clear.
const DRAWN: FlagEffect = FlagEffect::of(0, CF, 0).clears(ARITH & !CF);

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    legacy("serialize", M0f, 0x01, &[]).digit(5).rm(0).pp(NP).cpuid(Serialize).system(SysOp::Fence),
    legacy("rdtscp", M0f, 0x01, &[W(EAX.hidden()), W(EDX.hidden()), W(ECX.hidden())]).digit(7).rm(1).gate(Gate::Tsd).cpuid(Rdtscp).system(SysOp::Rdtscp),
    legacy("clzero", M0f, 0x01, &[]).digit(7).rm(4).cpuid(Clzero).system(SysOp::Clzero).implies(Implied::ClearLine),
    legacy("rdfsbase", M0f, 0xae, &[W(Ry)]).digit(0).pp(F3).only64().gate(Gate::Fsgsbase).cpuid(Fsgsbase).system(SysOp::ReadBase),
    legacy("rdgsbase", M0f, 0xae, &[W(Ry)]).digit(1).pp(F3).only64().gate(Gate::Fsgsbase).cpuid(Fsgsbase).system(SysOp::ReadBase),
    legacy("wrfsbase", M0f, 0xae, &[R(Ry)]).digit(2).pp(F3).only64().gate(Gate::Fsgsbase).cpuid(Fsgsbase).system(SysOp::WriteBase),
    legacy("wrgsbase", M0f, 0xae, &[R(Ry)]).digit(3).pp(F3).only64().gate(Gate::Fsgsbase).cpuid(Fsgsbase).system(SysOp::WriteBase),
    legacy("clwb", M0f, 0xae, &[R(Mb)]).digit(6).pp(P66).cpuid(Clwb).system(SysOp::Flush).implies(Implied::Hint),
    legacy("clflush", M0f, 0xae, &[R(Mb)]).digit(7).pp(NP).cpuid(Clflush).system(SysOp::Flush).implies(Implied::Hint),
    legacy("clflushopt", M0f, 0xae, &[R(Mb)]).digit(7).pp(P66).cpuid(Clflushopt).system(SysOp::Flush).implies(Implied::Hint),
    legacy("rdrand", M0f, 0xc7, &[W(Rv)]).digit(6).sel(sel::REP, 0).cpuid(Rdrand).flags(DRAWN).system(SysOp::Random),
    legacy("rdpid", M0f, 0xc7, &[W(Rm)]).digit(7).pp(F3).cpuid(Rdpid).system(SysOp::Rdpid),
    legacy("rdseed", M0f, 0xc7, &[W(Rv)]).digit(7).sel(sel::REP, 0).cpuid(Rdseed).flags(DRAWN).system(SysOp::Random),
];
