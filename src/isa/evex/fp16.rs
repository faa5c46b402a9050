//! AVX512-FP16: arithmetic and conversions of half-precision numbers, maps 5 and 6.
//!
//! Halves obey no DAZ and no FTZ, so that FTZ does not show a tiny result: what can overflow or underflow is replayed only
//! while these exceptions are masked.

use super::*;

const ONE_SOURCE: &[Spec] = &[W(Vx), R(Wx)];
const TWO_SOURCES: &[Spec] = &[W(Vx), R(Hx), R(Wx)];
const FUSED: &[Spec] = &[RW(Vx), R(Hx), R(Wx)];
const SCALARS: &[Spec] = &[W(Vdq), R(Hdq), R(Ww)];
const SCALARS_IMM: &[Spec] = &[W(Vdq), R(Hdq), R(Ww), R(Ib)];
const SCALARS_FUSED: &[Spec] = &[RW(Vdq), R(Hw), R(Ww)];

const fn fp16(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).cpuid(Avx512fp16)
}

/// A full vector of halves.
const fn ph(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    fp16(name, map, pp, opcode, ops).w0().tuple(Full, 2).bcst().kz()
}

/// One half.
const fn sh(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    fp16(name, map, pp, opcode, ops).w0().lig().tuple(Scalar, 2).kz()
}

/// Overflow and underflow are possible.
const fn extreme(row: Row) -> Row {
    row.fp().attr(attr::MASKED_EXTREMES)
}

/// PH and SH lines of one opcode with two sources.
macro_rules! float {
    ($op:literal, $round:ident, $ph:literal, $sh:literal) => {
        [extreme(ph($ph, P5, NP, $op, TWO_SOURCES).$round()), extreme(sh($sh, P5, F3, $op, SCALARS).$round())]
    };
}

const ADD: [Row; 2] = float!(0x58, er, "vaddph", "vaddsh");
const MUL: [Row; 2] = float!(0x59, er, "vmulph", "vmulsh");
const SUB: [Row; 2] = float!(0x5c, er, "vsubph", "vsubsh");
const DIV: [Row; 2] = float!(0x5e, er, "vdivph", "vdivsh");

/// From halves to elements of 4 bytes.
const fn to4(name: &'static str, map: Map, pp: Pp, opcode: u8) -> Row {
    fp16(name, map, pp, opcode, &[W(Vx), R(Wxh)]).w0().tuple(Half, 2).bcst().kz().fp()
}

/// From halves to elements of 8 bytes.
const fn to8(name: &'static str, pp: Pp, opcode: u8) -> Row {
    fp16(name, P5, pp, opcode, &[W(Vx), R(Wxq)]).w0().tuple(Quarter, 2).bcst().kz().fp()
}

/// From elements of 4 bytes to halves.
const fn from4(name: &'static str, pp: Pp, opcode: u8) -> Row {
    extreme(fp16(name, P5, pp, opcode, &[W(Vxh), R(Wx)]).w0().tuple(Full, 4).bcst().kz().er())
}

/// From elements of 8 bytes to halves.
const fn from8(name: &'static str, pp: Pp, opcode: u8) -> Row {
    extreme(fp16(name, P5, pp, opcode, &[W(Vxq), R(Wx)]).w1().tuple(Full, 8).bcst().kz().er())
}

const COMPARED: FlagEffect = FlagEffect::of(0, flag::ARITH, 0).clears(flag::OF | flag::SF | flag::AF);

/// VCOMISH and its like.
const fn comi(name: &'static str, opcode: u8) -> Row {
    fp16(name, P5, NP, opcode, &[R(Vw), R(Ww)]).w0().lig().tuple(Scalar, 2).sae().fp().flags(COMPARED)
}

/// A half to a general-purpose register, of 64 bits and of 32.
macro_rules! to_gpr {
    ($op:literal, $name:literal, $round:ident) => {
        [
            fp16($name, P5, F3, $op, &[W(Gq), R(Ww)]).w1().only64().lig().tuple(Scalar, 2).$round().fp(),
            fp16($name, P5, F3, $op, &[W(Gd), R(Ww)]).w_gpr().lig().tuple(Scalar, 2).$round().fp(),
        ]
    };
}

/// A general-purpose register to a half.
macro_rules! from_gpr {
    ($op:literal, $name:literal) => {
        [
            extreme(fp16($name, P5, F3, $op, &[W(Vdq), R(Hdq), R(Eq)]).w1().only64().lig().tuple(Scalar, 8).er()),
            extreme(fp16($name, P5, F3, $op, &[W(Vdq), R(Hdq), R(Ed)]).w_gpr().lig().tuple(Scalar, 4).er()),
        ]
    };
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F3A: &[Row] = &[
    ph("vrndscaleph", P0F3A, NP, 0x08, &[W(Vx), R(Wx), R(Ib)]).sae().fp(),
    sh("vrndscalesh", P0F3A, NP, 0x0a, SCALARS_IMM).sae().fp(),
    ph("vgetmantph", P0F3A, NP, 0x26, &[W(Vx), R(Wx), R(Ib)]).sae().fp(),
    sh("vgetmantsh", P0F3A, NP, 0x27, SCALARS_IMM).sae().fp(),
    extreme(ph("vreduceph", P0F3A, NP, 0x56, &[W(Vx), R(Wx), R(Ib)]).sae()),
    extreme(sh("vreducesh", P0F3A, NP, 0x57, SCALARS_IMM).sae()),
    ph("vfpclassph", P0F3A, NP, 0x66, &[W(KGq), R(Wx), R(Ib)]).k(),
    sh("vfpclasssh", P0F3A, NP, 0x67, &[W(KGq), R(Ww), R(Ib)]).k(),
    ph("vcmpph", P0F3A, NP, 0xc2, &[W(KGq), R(Hx), R(Wx), R(Ib)]).k().sae().fp(),
    sh("vcmpsh", P0F3A, F3, 0xc2, &[W(KGq), R(Hdq), R(Ww), R(Ib)]).k().sae().fp(),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M5: &[Row] = rows![
    [
        sh("vmovsh", P5, F3, 0x10, &[W(Vdq), R(Mw)]),
        fp16("vmovsh", P5, F3, 0x10, &[W(Vdq), R(Hdq), R(Uw)]).w0().lig().element(2).kz(),
        sh("vmovsh", P5, F3, 0x11, &[W(Mw), R(Vw)]).k(),
        fp16("vmovsh", P5, F3, 0x11, &[W(Udq), R(Hdq), R(Vw)]).w0().lig().element(2).kz(),
        extreme(fp16("vcvtss2sh", P5, NP, 0x1d, &[W(Vdq), R(Hdq), R(Wd)]).w0().lig().tuple(Scalar, 4).kz().er()),
        from4("vcvtps2phx", P66, 0x1d),
        comi("vucomish", 0x2e), comi("vcomish", 0x2f),
        ph("vsqrtph", P5, NP, 0x51, ONE_SOURCE).er().fp(), sh("vsqrtsh", P5, F3, 0x51, SCALARS).er().fp(),
        to8("vcvtph2pd", NP, 0x5a).sae(), from8("vcvtpd2ph", P66, 0x5a),
        sh("vcvtsh2sd", P5, F3, 0x5a, SCALARS).sae().fp(),
        extreme(fp16("vcvtsd2sh", P5, F2, 0x5a, &[W(Vdq), R(Hdq), R(Wq)]).w1().lig().tuple(Scalar, 8).kz().er()),
        from4("vcvtdq2ph", NP, 0x5b), from8("vcvtqq2ph", NP, 0x5b),
        to4("vcvtph2dq", P5, P66, 0x5b).er(), to4("vcvttph2dq", P5, F3, 0x5b).sae(),
        ph("vminph", P5, NP, 0x5d, TWO_SOURCES).sae().fp(), sh("vminsh", P5, F3, 0x5d, SCALARS).sae().fp(),
        ph("vmaxph", P5, NP, 0x5f, TWO_SOURCES).sae().fp(), sh("vmaxsh", P5, F3, 0x5f, SCALARS).sae().fp(),
        fp16("vmovw", P5, P66, 0x6e, &[W(Vdq), R(Mw)]).l0().tuple(Scalar, 2), fp16("vmovw", P5, P66, 0x6e, &[W(Vdq), R(Rd)]).l0(),
        to4("vcvttph2udq", P5, NP, 0x78).sae(), to8("vcvttph2uqq", P66, 0x78).sae(),
        to4("vcvtph2udq", P5, NP, 0x79).er(), to8("vcvtph2uqq", P66, 0x79).er(),
        to8("vcvttph2qq", P66, 0x7a).sae(), from4("vcvtudq2ph", F2, 0x7a), from8("vcvtuqq2ph", F2, 0x7a),
        to8("vcvtph2qq", P66, 0x7b).er(),
        ph("vcvttph2uw", P5, NP, 0x7c, ONE_SOURCE).sae().fp(), ph("vcvttph2w", P5, P66, 0x7c, ONE_SOURCE).sae().fp(),
        ph("vcvtph2uw", P5, NP, 0x7d, ONE_SOURCE).er().fp(), ph("vcvtph2w", P5, P66, 0x7d, ONE_SOURCE).er().fp(),
        ph("vcvtw2ph", P5, F3, 0x7d, ONE_SOURCE).er().fp(), extreme(ph("vcvtuw2ph", P5, F2, 0x7d, ONE_SOURCE).er()),
        fp16("vmovw", P5, P66, 0x7e, &[W(Mw), R(Vw)]).l0().tuple(Scalar, 2), fp16("vmovw", P5, P66, 0x7e, &[W(Rd), R(Vw)]).l0(),
    ],
    ADD, MUL, SUB, DIV,
    from_gpr!(0x2a, "vcvtsi2sh"),
    to_gpr!(0x2c, "vcvttsh2si", sae),
    to_gpr!(0x2d, "vcvtsh2si", er),
    to_gpr!(0x78, "vcvttsh2usi", sae),
    to_gpr!(0x79, "vcvtsh2usi", er),
    from_gpr!(0x7b, "vcvtusi2sh"),
];

/// PH lines of one fused multiply-add.
macro_rules! packed {
    ($op:literal, $name:literal) => {
        [extreme(ph($name, P6, P66, $op, FUSED).er())]
    };
}

/// The SH line.
macro_rules! scalar {
    ($op:literal, $name:literal) => {
        [extreme(sh($name, P6, P66, $op, SCALARS_FUSED).er())]
    };
}

/// Complex numbers, pairs of halves. The destination is none of the sources.
macro_rules! complex {
    ($pp:ident, $op:literal, $use:ident, $packed:literal, $scalar:literal) => {
        [
            extreme(fp16($packed, P6, $pp, $op, &[$use(Vx), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().kz().er())
                .attr(attr::DISTINCT),
            extreme(fp16($scalar, P6, $pp, $op + 1, &[$use(Vdq), R(Hd), R(Wd)]).w0().lig().tuple(Scalar, 4).kz().er())
                .attr(attr::DISTINCT),
        ]
    };
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M6: &[Row] = rows![
    [
        sh("vcvtsh2ss", P6, NP, 0x13, SCALARS).sae().fp(), to4("vcvtph2psx", P6, P66, 0x13).sae(),
        extreme(ph("vscalefph", P6, P66, 0x2c, TWO_SOURCES).er()), extreme(sh("vscalefsh", P6, P66, 0x2d, SCALARS).er()),
        ph("vgetexpph", P6, P66, 0x42, ONE_SOURCE).sae().fp(), sh("vgetexpsh", P6, P66, 0x43, SCALARS).sae().fp(),
        ph("vrcpph", P6, P66, 0x4c, ONE_SOURCE), sh("vrcpsh", P6, P66, 0x4d, SCALARS),
        ph("vrsqrtph", P6, P66, 0x4e, ONE_SOURCE), sh("vrsqrtsh", P6, P66, 0x4f, SCALARS),
    ],
    complex!(F3, 0x56, RW, "vfmaddcph", "vfmaddcsh"),
    complex!(F2, 0x56, RW, "vfcmaddcph", "vfcmaddcsh"),
    complex!(F3, 0xd6, W, "vfmulcph", "vfmulcsh"),
    complex!(F2, 0xd6, W, "vfcmulcph", "vfcmulcsh"),
    packed!(0x96, "vfmaddsub132ph"), packed!(0x97, "vfmsubadd132ph"),
    packed!(0x98, "vfmadd132ph"), scalar!(0x99, "vfmadd132sh"), packed!(0x9a, "vfmsub132ph"), scalar!(0x9b, "vfmsub132sh"),
    packed!(0x9c, "vfnmadd132ph"), scalar!(0x9d, "vfnmadd132sh"), packed!(0x9e, "vfnmsub132ph"), scalar!(0x9f, "vfnmsub132sh"),
    packed!(0xa6, "vfmaddsub213ph"), packed!(0xa7, "vfmsubadd213ph"),
    packed!(0xa8, "vfmadd213ph"), scalar!(0xa9, "vfmadd213sh"), packed!(0xaa, "vfmsub213ph"), scalar!(0xab, "vfmsub213sh"),
    packed!(0xac, "vfnmadd213ph"), scalar!(0xad, "vfnmadd213sh"), packed!(0xae, "vfnmsub213ph"), scalar!(0xaf, "vfnmsub213sh"),
    packed!(0xb6, "vfmaddsub231ph"), packed!(0xb7, "vfmsubadd231ph"),
    packed!(0xb8, "vfmadd231ph"), scalar!(0xb9, "vfmadd231sh"), packed!(0xba, "vfmsub231ph"), scalar!(0xbb, "vfmsub231sh"),
    packed!(0xbc, "vfnmadd231ph"), scalar!(0xbd, "vfnmadd231sh"), packed!(0xbe, "vfnmsub231ph"), scalar!(0xbf, "vfnmsub231sh"),
];
