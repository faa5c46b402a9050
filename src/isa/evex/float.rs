//! Floating point: what is not in the lines of two sources, comparisons, conversions, and what takes numbers apart.

use super::*;
use crate::isa::sse::COMPARED;

const ONE_SOURCE: &[Spec] = &[W(Vx), R(Wx)];
const TWO_SOURCES: &[Spec] = &[W(Vx), R(Hx), R(Wx)];
const ONE_IMM: &[Spec] = &[W(Vx), R(Wx), R(Ib)];
const TWO_IMM: &[Spec] = &[W(Vx), R(Hx), R(Wx), R(Ib)];
const SINGLE: &[Spec] = &[W(Vdq), R(Hdq), R(Wd)];
const SINGLE_IMM: &[Spec] = &[W(Vdq), R(Hdq), R(Wd), R(Ib)];
const DOUBLE: &[Spec] = &[W(Vdq), R(Hdq), R(Wq)];
const DOUBLE_IMM: &[Spec] = &[W(Vdq), R(Hdq), R(Wq), R(Ib)];
/// Doublewords in memory, quadwords in the register.
const WIDEN: &[Spec] = &[W(Vx), R(Wxh)];
/// Quadwords in memory, doublewords in the register.
const NARROW: &[Spec] = &[W(Vxh), R(Wx)];

/// Elements of 4 bytes.
const fn ps(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).w0().tuple(Full, 4).bcst().kz()
}

/// Elements of 8 bytes.
const fn pd(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).w1().tuple(Full, 8).bcst().kz()
}

const fn ss(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).w0().lig().tuple(Scalar, 4).kz()
}

const fn sd(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).w1().lig().tuple(Scalar, 8).kz()
}

/// Conversions from 4 to 8 bytes an element.
const fn widen(name: &'static str, pp: Pp, opcode: u8) -> Row {
    evex(name, P0F, pp, opcode, WIDEN).w0().tuple(Half, 4).bcst().kz()
}

/// A scalar of `element` bytes without an opmask.
const fn scalar(name: &'static str, pp: Pp, opcode: u8, ops: &[Spec], element: u8) -> Row {
    evex(name, P0F, pp, opcode, ops).lig().tuple(Scalar, element)
}

/// COMISS and its like.
const fn comi(name: &'static str, pp: Pp, opcode: u8, ops: &[Spec], element: u8) -> Row {
    scalar(name, pp, opcode, ops, element).sae().fp().flags(COMPARED)
}

/// A scalar to a general-purpose register, and the same to 64 bits.
macro_rules! to_gpr {
    ($name:literal, $pp:ident, $op:literal, $src:ident, $element:literal, $round:ident) => {
        [
            scalar($name, $pp, $op, &[W(Gq), R($src)], $element).w1().only64().$round().fp(),
            scalar($name, $pp, $op, &[W(Gd), R($src)], $element).w_gpr().$round().fp(),
        ]
    };
}

const CVTTSS2SI: [Row; 2] = to_gpr!("vcvttss2si", F3, 0x2c, Wd, 4, sae);
const CVTTSD2SI: [Row; 2] = to_gpr!("vcvttsd2si", F2, 0x2c, Wq, 8, sae);
const CVTSS2SI: [Row; 2] = to_gpr!("vcvtss2si", F3, 0x2d, Wd, 4, er);
const CVTSD2SI: [Row; 2] = to_gpr!("vcvtsd2si", F2, 0x2d, Wq, 8, er);
const CVTTSS2USI: [Row; 2] = to_gpr!("vcvttss2usi", F3, 0x78, Wd, 4, sae);
const CVTTSD2USI: [Row; 2] = to_gpr!("vcvttsd2usi", F2, 0x78, Wq, 8, sae);
const CVTSS2USI: [Row; 2] = to_gpr!("vcvtss2usi", F3, 0x79, Wd, 4, er);
const CVTSD2USI: [Row; 2] = to_gpr!("vcvtsd2usi", F2, 0x79, Wq, 8, er);

/// A general-purpose register to a scalar. What 32 bits hold is exact in a double: MXCSR means nothing there, and embedded
/// rounding can be encoded all the same.
macro_rules! from_gpr {
    ($ss:literal, $sd:literal, $op:literal) => {
        [
            scalar($ss, F3, $op, &[W(Vdq), R(Hdq), R(Eq)], 8).w1().only64().er().fp(),
            scalar($ss, F3, $op, &[W(Vdq), R(Hdq), R(Ed)], 4).w_gpr().er().fp(),
            scalar($sd, F2, $op, &[W(Vdq), R(Hdq), R(Eq)], 8).w1().only64().er().fp(),
            scalar($sd, F2, $op, &[W(Vdq), R(Hdq), R(Ed)], 4).w_gpr().er(),
        ]
    };
}

const CVTSI: [Row; 4] = from_gpr!("vcvtsi2ss", "vcvtsi2sd", 0x2a);
const CVTUSI: [Row; 4] = from_gpr!("vcvtusi2ss", "vcvtusi2sd", 0x7b);

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = rows![
    CVTSI, CVTTSS2SI, CVTTSD2SI, CVTSS2SI, CVTSD2SI, CVTTSS2USI, CVTTSD2USI, CVTSS2USI, CVTSD2USI, CVTUSI,
    [
        comi("vucomiss", NP, 0x2e, &[R(Vd), R(Wd)], 4).w0(), comi("vucomisd", P66, 0x2e, &[R(Vq), R(Wq)], 8).w1(),
        comi("vcomiss", NP, 0x2f, &[R(Vd), R(Wd)], 4).w0(), comi("vcomisd", P66, 0x2f, &[R(Vq), R(Wq)], 8).w1(),
        ps("vsqrtps", P0F, NP, 0x51, ONE_SOURCE).er().fp(), pd("vsqrtpd", P0F, P66, 0x51, ONE_SOURCE).er().fp(),
        ss("vsqrtss", P0F, F3, 0x51, SINGLE).er().fp(), sd("vsqrtsd", P0F, F2, 0x51, DOUBLE).er().fp(),
        ps("vandps", P0F, NP, 0x54, TWO_SOURCES).cpuid(Avx512dq), pd("vandpd", P0F, P66, 0x54, TWO_SOURCES).cpuid(Avx512dq),
        ps("vandnps", P0F, NP, 0x55, TWO_SOURCES).cpuid(Avx512dq), pd("vandnpd", P0F, P66, 0x55, TWO_SOURCES).cpuid(Avx512dq),
        ps("vorps", P0F, NP, 0x56, TWO_SOURCES).cpuid(Avx512dq), pd("vorpd", P0F, P66, 0x56, TWO_SOURCES).cpuid(Avx512dq),
        ps("vxorps", P0F, NP, 0x57, TWO_SOURCES).cpuid(Avx512dq), pd("vxorpd", P0F, P66, 0x57, TWO_SOURCES).cpuid(Avx512dq),
        widen("vcvtps2pd", NP, 0x5a).sae().fp(), pd("vcvtpd2ps", P0F, P66, 0x5a, NARROW).er().fp(),
        ss("vcvtss2sd", P0F, F3, 0x5a, SINGLE).sae().fp(), sd("vcvtsd2ss", P0F, F2, 0x5a, DOUBLE).er().fp(),
        pd("vcvtqq2ps", P0F, NP, 0x5b, NARROW).cpuid(Avx512dq).er().fp(),
        ps("vcvtps2dq", P0F, P66, 0x5b, ONE_SOURCE).er().fp(), ps("vcvttps2dq", P0F, F3, 0x5b, ONE_SOURCE).sae().fp(),
        ps("vcvttps2udq", P0F, NP, 0x78, ONE_SOURCE).sae().fp(), pd("vcvttpd2udq", P0F, NP, 0x78, NARROW).sae().fp(),
        widen("vcvttps2uqq", P66, 0x78).cpuid(Avx512dq).sae().fp(), pd("vcvttpd2uqq", P0F, P66, 0x78, ONE_SOURCE).cpuid(Avx512dq).sae().fp(),
        ps("vcvtps2udq", P0F, NP, 0x79, ONE_SOURCE).er().fp(), pd("vcvtpd2udq", P0F, NP, 0x79, NARROW).er().fp(),
        widen("vcvtps2uqq", P66, 0x79).cpuid(Avx512dq).er().fp(), pd("vcvtpd2uqq", P0F, P66, 0x79, ONE_SOURCE).cpuid(Avx512dq).er().fp(),
        widen("vcvttps2qq", P66, 0x7a).cpuid(Avx512dq).sae().fp(), pd("vcvttpd2qq", P0F, P66, 0x7a, ONE_SOURCE).cpuid(Avx512dq).sae().fp(),
        widen("vcvtudq2pd", F3, 0x7a).er(), pd("vcvtuqq2pd", P0F, F3, 0x7a, ONE_SOURCE).cpuid(Avx512dq).er().fp(),
        ps("vcvtudq2ps", P0F, F2, 0x7a, ONE_SOURCE).er().fp(), pd("vcvtuqq2ps", P0F, F2, 0x7a, NARROW).cpuid(Avx512dq).er().fp(),
        widen("vcvtps2qq", P66, 0x7b).cpuid(Avx512dq).er().fp(), pd("vcvtpd2qq", P0F, P66, 0x7b, ONE_SOURCE).cpuid(Avx512dq).er().fp(),
        ps("vcmpps", P0F, NP, 0xc2, &[W(KGq), R(Hx), R(Wx), R(Ib)]).k().sae().fp(),
        pd("vcmppd", P0F, P66, 0xc2, &[W(KGq), R(Hx), R(Wx), R(Ib)]).k().sae().fp(),
        ss("vcmpss", P0F, F3, 0xc2, &[W(KGq), R(Hdq), R(Wd), R(Ib)]).k().sae().fp(),
        sd("vcmpsd", P0F, F2, 0xc2, &[W(KGq), R(Hdq), R(Wq), R(Ib)]).k().sae().fp(),
        pd("vcvttpd2dq", P0F, P66, 0xe6, NARROW).sae().fp(), pd("vcvtpd2dq", P0F, F2, 0xe6, NARROW).er().fp(),
        widen("vcvtdq2pd", F3, 0xe6).er(), pd("vcvtqq2pd", P0F, F3, 0xe6, ONE_SOURCE).cpuid(Avx512dq).er().fp(),
    ],
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    ps("vscalefps", P0F38, P66, 0x2c, TWO_SOURCES).er().fp(), pd("vscalefpd", P0F38, P66, 0x2c, TWO_SOURCES).er().fp(),
    ss("vscalefss", P0F38, P66, 0x2d, SINGLE).er().fp(), sd("vscalefsd", P0F38, P66, 0x2d, DOUBLE).er().fp(),
    ps("vgetexpps", P0F38, P66, 0x42, ONE_SOURCE).sae().fp(), pd("vgetexppd", P0F38, P66, 0x42, ONE_SOURCE).sae().fp(),
    ss("vgetexpss", P0F38, P66, 0x43, SINGLE).sae().fp(), sd("vgetexpsd", P0F38, P66, 0x43, DOUBLE).sae().fp(),
    ps("vrcp14ps", P0F38, P66, 0x4c, ONE_SOURCE).fp_quiet(), pd("vrcp14pd", P0F38, P66, 0x4c, ONE_SOURCE).fp_quiet(),
    ss("vrcp14ss", P0F38, P66, 0x4d, SINGLE).fp_quiet(), sd("vrcp14sd", P0F38, P66, 0x4d, DOUBLE).fp_quiet(),
    ps("vrsqrt14ps", P0F38, P66, 0x4e, ONE_SOURCE).fp_quiet(), pd("vrsqrt14pd", P0F38, P66, 0x4e, ONE_SOURCE).fp_quiet(),
    ss("vrsqrt14ss", P0F38, P66, 0x4f, SINGLE).fp_quiet(), sd("vrsqrt14sd", P0F38, P66, 0x4f, DOUBLE).fp_quiet(),
    // These three round to nearest, flush denormals and raise nothing, whatever MXCSR says.
    ps("vdpbf16ps", P0F38, F3, 0x52, &[RW(Vx), R(Hx), R(Wx)]).cpuid(Avx512bf16),
    ps("vcvtneps2bf16", P0F38, F3, 0x72, NARROW).cpuid(Avx512bf16),
    ps("vcvtne2ps2bf16", P0F38, F2, 0x72, TWO_SOURCES).cpuid(Avx512bf16).nf(),
];

/// VFPCLASS: DAZ of MXCSR makes denormals zeros.
const fn class(r: Row) -> Row {
    r.cpuid(Avx512dq).k().fp_quiet()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F3A: &[Row] = &[
    ps("vrndscaleps", P0F3A, P66, 0x08, ONE_IMM).sae().fp(), pd("vrndscalepd", P0F3A, P66, 0x09, ONE_IMM).sae().fp(),
    ss("vrndscaless", P0F3A, P66, 0x0a, SINGLE_IMM).sae().fp(), sd("vrndscalesd", P0F3A, P66, 0x0b, DOUBLE_IMM).sae().fp(),
    ps("vgetmantps", P0F3A, P66, 0x26, ONE_IMM).sae().fp(), pd("vgetmantpd", P0F3A, P66, 0x26, ONE_IMM).sae().fp(),
    ss("vgetmantss", P0F3A, P66, 0x27, SINGLE_IMM).sae().fp(), sd("vgetmantsd", P0F3A, P66, 0x27, DOUBLE_IMM).sae().fp(),
    ps("vrangeps", P0F3A, P66, 0x50, TWO_IMM).cpuid(Avx512dq).sae().fp(), pd("vrangepd", P0F3A, P66, 0x50, TWO_IMM).cpuid(Avx512dq).sae().fp(),
    ss("vrangess", P0F3A, P66, 0x51, SINGLE_IMM).cpuid(Avx512dq).sae().fp(), sd("vrangesd", P0F3A, P66, 0x51, DOUBLE_IMM).cpuid(Avx512dq).sae().fp(),
    ps("vfixupimmps", P0F3A, P66, 0x54, &[RW(Vx), R(Hx), R(Wx), R(Ib)]).sae().fp(),
    pd("vfixupimmpd", P0F3A, P66, 0x54, &[RW(Vx), R(Hx), R(Wx), R(Ib)]).sae().fp(),
    ss("vfixupimmss", P0F3A, P66, 0x55, &[RW(Vdq), R(Hdq), R(Wd), R(Ib)]).sae().fp(),
    sd("vfixupimmsd", P0F3A, P66, 0x55, &[RW(Vdq), R(Hdq), R(Wq), R(Ib)]).sae().fp(),
    ps("vreduceps", P0F3A, P66, 0x56, ONE_IMM).cpuid(Avx512dq).sae().fp_no_underflow(), pd("vreducepd", P0F3A, P66, 0x56, ONE_IMM).cpuid(Avx512dq).sae().fp_no_underflow(),
    ss("vreducess", P0F3A, P66, 0x57, SINGLE_IMM).cpuid(Avx512dq).sae().fp_no_underflow(), sd("vreducesd", P0F3A, P66, 0x57, DOUBLE_IMM).cpuid(Avx512dq).sae().fp_no_underflow(),
    class(ps("vfpclassps", P0F3A, P66, 0x66, &[W(KGq), R(Wx), R(Ib)])), class(pd("vfpclasspd", P0F3A, P66, 0x66, &[W(KGq), R(Wx), R(Ib)])),
    class(ss("vfpclassss", P0F3A, P66, 0x67, &[W(KGq), R(Wd), R(Ib)])), class(sd("vfpclasssd", P0F3A, P66, 0x67, &[W(KGq), R(Wq), R(Ib)])),
];
