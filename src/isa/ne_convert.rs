//! AVX-NE-CONVERT: conversions of halves and BF16 that know no exceptions and do not ask MXCSR.

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::M0f38 as P0F38;

const fn convert(name: &'static str, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    vex(name, P0F38, pp, opcode, ops).w0().cpuid(AvxNeConvert).and(Avx)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const VEX_M0F38: [Row; 7] = [
    convert("vcvtneps2bf16", F3, 0x72, &[W(Vxh), R(Wx)]),
    convert("vcvtneoph2ps", NP, 0xb0, &[W(Vx), R(Mx)]),
    convert("vcvtneeph2ps", P66, 0xb0, &[W(Vx), R(Mx)]),
    convert("vcvtneebf162ps", F3, 0xb0, &[W(Vx), R(Mx)]),
    convert("vcvtneobf162ps", F2, 0xb0, &[W(Vx), R(Mx)]),
    convert("vbcstnesh2ps", P66, 0xb1, &[W(Vx), R(Mw)]).free(),
    convert("vbcstnebf162ps", F3, 0xb1, &[W(Vx), R(Mw)]).free(),
];
