//! BMI1, BMI2, ADX and CRC32: general-purpose registers, in the legacy and the VEX encoding.

use super::Feature;
use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::*, *};
use IntOp::*;
use Map::{M0f3a as P0F3A, M0f38 as P0F38};

/// SF and ZF of the result, OF clear.
pub(super) const RESULT: FlagEffect = FlagEffect::of(0, ARITH, AF | PF).clears(OF);
pub(super) const EXTRACTED: FlagEffect = FlagEffect::of(0, ARITH, AF | SF | PF).clears(CF | OF);

/// One flag carries in and out.
pub(super) const fn chain(flag: u16) -> FlagEffect {
    FlagEffect::of(flag, flag, 0)
}

/// A VEX row of general-purpose registers: no gate, VEX.L clear.
pub(super) const fn gpr(
    name: &'static str,
    map: Map,
    pp: Pp,
    opcode: u8,
    operands: &[Spec],
    feature: Feature,
    op: IntOp,
) -> Row {
    vex(name, map, pp, opcode, operands).lz().gate(Gate::Free).class(Class::None).cpuid(feature).does(op)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    legacy("crc32", P0F38, 0xf0, &[RW(Gy), R(Eb)]).sel(sel::REP, 2 << sel::REP_SHIFT).attr(attr::MANDATORY).cpuid(Sse42).does(IntOp::Crc32),
    legacy("crc32", P0F38, 0xf1, &[RW(Gy), R(Ev)]).sel(sel::REP, 2 << sel::REP_SHIFT).attr(attr::MANDATORY).cpuid(Sse42).does(IntOp::Crc32),
    legacy("adcx", P0F38, 0xf6, &[RW(Gy), R(Ey)]).pp(P66).cpuid(Adx).flags(chain(CF)).does(Adcx),
    legacy("adox", P0F38, 0xf6, &[RW(Gy), R(Ey)]).pp(F3).cpuid(Adx).flags(chain(OF)).does(Adox),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const VEX_M0F38: &[Row] = &[
    vex("cmp*xadd", P0F38, P66, 0xe0, &[RW(My), RW(Gy), R(By)]).l0().only64().gate(Gate::Free)
        .attr(attr::CONDITION).aligned().cpuid(Feature::Cmpccxadd).flags(FlagEffect::of(0, ARITH, 0)).attr(attr::LOCKED).extends(IntOp::Cmpccxadd),
    gpr("andn", P0F38, NP, 0xf2, &[W(Gy), R(By), R(Ey)], Bmi1, Andn).flags(RESULT.clears(CF)),
    gpr("blsr", P0F38, NP, 0xf3, &[W(By), R(Ey)], Bmi1, Blsr).digit(1).flags(RESULT),
    gpr("blsmsk", P0F38, NP, 0xf3, &[W(By), R(Ey)], Bmi1, Blsmsk).digit(2).flags(RESULT.clears(ZF)),
    gpr("blsi", P0F38, NP, 0xf3, &[W(By), R(Ey)], Bmi1, Blsi).digit(3).flags(RESULT),
    gpr("bzhi", P0F38, NP, 0xf5, &[W(Gy), R(Ey), R(By)], Bmi2, Bzhi).flags(RESULT),
    gpr("pext", P0F38, F3, 0xf5, &[W(Gy), R(By), R(Ey)], Bmi2, Pext),
    gpr("pdep", P0F38, F2, 0xf5, &[W(Gy), R(By), R(Ey)], Bmi2, Pdep),
    gpr("mulx", P0F38, F2, 0xf6, &[W(Gy), W(By), R(Ey), R(rDXy.hidden())], Bmi2, Mulx),
    gpr("bextr", P0F38, NP, 0xf7, &[W(Gy), R(Ey), R(By)], Bmi1, Bextr).flags(EXTRACTED),
    gpr("shlx", P0F38, P66, 0xf7, &[W(Gy), R(Ey), R(By)], Bmi2, Shlx),
    gpr("sarx", P0F38, F3, 0xf7, &[W(Gy), R(Ey), R(By)], Bmi2, Sarx),
    gpr("shrx", P0F38, F2, 0xf7, &[W(Gy), R(Ey), R(By)], Bmi2, Shrx),
];

pub(super) const VEX_M0F3A: &[Row] = &[gpr("rorx", P0F3A, F2, 0xf0, &[W(Gy), R(Ey), R(Ib)], Bmi2, Rorx)];
