//! AVX10.2 and its auxiliary sets beside BF16: comparisons, minimum and maximum, conversions that saturate, numbers of 8, 6
//! and 4 bits, dot products, moves of one word or doubleword; MOVRS and SM4 in EVEX.

use super::*;

const ONE_SOURCE: &[Spec] = &[W(Vx), R(Wx)];
const TWO_SOURCES: &[Spec] = &[W(Vx), R(Hx), R(Wx)];
const TWO_IMM: &[Spec] = &[W(Vx), R(Hx), R(Wx), R(Ib)];
/// Doublewords in memory, quadwords in the register.
const WIDEN: &[Spec] = &[W(Vx), R(Wxh)];
/// The result is half as wide as the source.
const NARROW: &[Spec] = &[W(Vxh), R(Wx)];
/// The same, rounded by a bias.
const BIASED: &[Spec] = &[W(Vxh), R(Hx), R(Wx)];

const fn v2(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).cpuid(Avx10V2).and(Avx10)
}

/// Elements of 2, 4 or 8 bytes.
const fn packed(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec], element: u8) -> Row {
    let r = v2(name, map, pp, opcode, ops).tuple(Full, element).bcst().kz();
    if element == 8 { r.w1() } else { r.w0() }
}

const COMPARED: FlagEffect = FlagEffect::of(0, flag::ARITH, 0).clears(flag::AF);

/// A comparison after which conditions of signed numbers can be asked.
const fn comx(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec], element: u8) -> Row {
    let r = v2(name, map, pp, opcode, ops).lig().tuple(Scalar, element).sae().fp().flags(COMPARED);
    if element == 8 { r.w1() } else { r.w0() }
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: [Row; 6] = [
    comx("vucomxss", P0F, F3, 0x2e, &[R(Vd), R(Wd)], 4), comx("vucomxsd", P0F, F2, 0x2e, &[R(Vq), R(Wq)], 8),
    comx("vcomxss", P0F, F3, 0x2f, &[R(Vd), R(Wd)], 4), comx("vcomxsd", P0F, F2, 0x2f, &[R(Vq), R(Wq)], 8),
    v2("vmovd", P0F, F3, 0x7e, &[W(Vdq), R(Wd)]).l0().w0().tuple(Scalar, 4),
    v2("vmovd", P0F, P66, 0xd6, &[W(Wd), R(Vd)]).l0().w0().tuple(Scalar, 4),
];

/// What AVX10.2 includes and AVX10.1 may have.
const fn aux1(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).cpuid(Avx10V1Aux)
}

/// Products of small integers are added to the destination.
const fn dot(name: &'static str, pp: Pp, opcode: u8) -> Row {
    aux1(name, P0F38, pp, opcode, &[RW(Vx), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().kz()
}

/// A conversion of halves to bytes.
const fn bytes(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    aux1(name, map, pp, opcode, ops).w0().tuple(Full, 2).bcst().kz().nf()
}

/// A round of SM4 in each 128-bit lane.
const fn sm4(name: &'static str, pp: Pp) -> Row {
    evex(name, P0F38, pp, 0xda, TWO_SOURCES).w0().tuple(FullMem, 4).cpuid(Sm4).and(Avx10)
}

const fn aux2(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).cpuid(Avx10V2Aux).and(Avx10)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: [Row; 20] = [
    aux2("vpmovssdb", P0F38, F3, 0x41, &[W(Wxq), R(Vx)]).w0().tuple(QuarterMem, 1).kz(),
    dot("vpdpbuud", NP, 0x50), dot("vpdpbsud", F3, 0x50), dot("vpdpbssd", F2, 0x50),
    dot("vpdpbuuds", NP, 0x51), dot("vpdpbsuds", F3, 0x51), dot("vpdpbssds", F2, 0x51),
    // It rounds to nearest, flushes denormals and raises nothing.
    v2("vdpphps", P0F38, NP, 0x52, &[RW(Vx), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().kz(),
    // Halves overflow and underflow.
    aux1("vcvt2ps2phx", P0F38, P66, 0x67, TWO_SOURCES).w0().tuple(Full, 4).bcst().kz().nf().er().fp().attr(attr::MASKED_EXTREMES),
    bytes("vcvtbiasph2bf8", P0F38, NP, 0x74, BIASED), bytes("vcvtph2bf8", P0F38, F3, 0x74, NARROW), bytes("vcvt2ph2bf8", P0F38, F2, 0x74, TWO_SOURCES),
    dot("vpdpwuud", NP, 0xd2), dot("vpdpwusd", P66, 0xd2), dot("vpdpwsud", F3, 0xd2),
    dot("vpdpwuuds", NP, 0xd3), dot("vpdpwusds", P66, 0xd3), dot("vpdpwsuds", F3, 0xd3),
    sm4("vsm4key4", F3), sm4("vsm4rnds4", F2),
];

/// Minimum or maximum, by an immediate.
const fn minmax(name: &'static str, pp: Pp, element: u8) -> Row {
    packed(name, P0F3A, pp, 0x52, TWO_IMM, element).sae().fp()
}

const fn minmax_scalar(name: &'static str, pp: Pp, src: Spec, element: u8) -> Row {
    let r = v2(name, P0F3A, pp, 0x53, &[W(Vdq), R(Hdq), R(src), R(Ib)]).lig().tuple(Scalar, element).kz().sae().fp();
    if element == 8 { r.w1() } else { r.w0() }
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F3A: [Row; 8] = [
    aux2("vunpackb", P0F3A, NP, 0x3d, &[W(Vx), R(Wx), R(Ib)]).w0().tuple(FullMem, 1).kz().nf(),
    v2("vmpsadbw", P0F3A, F3, 0x42, TWO_IMM).w0().tuple(FullMem, 2).kz().nf(),
    minmax("vminmaxph", NP, 2), minmax("vminmaxps", P66, 4), minmax("vminmaxpd", P66, 8),
    minmax_scalar("vminmaxsh", NP, Ww, 2), minmax_scalar("vminmaxss", P66, Wd, 4), minmax_scalar("vminmaxsd", P66, Wq, 8),
];

/// A conversion to bytes in elements of 2 or 4 bytes.
const fn to_bytes(name: &'static str, pp: Pp, opcode: u8, element: u8) -> Row {
    packed(name, P5, pp, opcode, ONE_SOURCE, element)
}

/// Singles to quadwords.
const fn widen(name: &'static str, opcode: u8) -> Row {
    v2(name, P5, P66, opcode, WIDEN).w0().tuple(Half, 4).bcst().kz().sae().fp()
}

/// A scalar to a general-purpose register, of 64 bits and of 32.
macro_rules! to_gpr {
    ($op:literal, $pp:ident, $name:literal, $src:ident, $element:literal) => {
        [
            v2($name, P5, $pp, $op, &[W(Gq), R($src)]).w1().only64().lig().tuple(Scalar, $element).sae().fp(),
            v2($name, P5, $pp, $op, &[W(Gd), R($src)]).w_gpr().lig().tuple(Scalar, $element).sae().fp(),
        ]
    };
}

/// A load with the hint that the line will be shared for reading.
const fn movrs(name: &'static str, pp: Pp, element: u8) -> Row {
    let r = evex(name, P5, pp, 0x6f, &[W(Vx), R(Mx)]).only64().tuple(FullMem, element).kz();
    r.cpuid(Movrs).and(Avx10)
}

/// Singles to bytes.
const fn to8(name: &'static str, pp: Pp, opcode: u8) -> Row {
    let r = match pp {
        NP => aux2(name, P5, pp, opcode, &[W(Vxq), R(Hx), R(Wx)]),
        _ => aux2(name, P5, pp, opcode, &[W(Vxq), R(Wx)]),
    };
    r.w0().tuple(Full, 4).bcst().kz()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M5: &[Row] = rows![
    to_gpr!(0x6c, F3, "vcvttss2usis", Wd, 4), to_gpr!(0x6c, F2, "vcvttsd2usis", Wq, 8),
    to_gpr!(0x6d, F3, "vcvttss2sis", Wd, 4), to_gpr!(0x6d, F2, "vcvttsd2sis", Wq, 8),
    [
        bytes("vcvtbiasph2hf8", P5, NP, 0x18, BIASED), bytes("vcvtph2hf8", P5, F3, 0x18, NARROW), bytes("vcvt2ph2hf8", P5, F2, 0x18, TWO_SOURCES),
        bytes("vcvtbiasph2hf8s", P5, NP, 0x1b, BIASED), bytes("vcvtph2hf8s", P5, F3, 0x1b, NARROW), bytes("vcvt2ph2hf8s", P5, F2, 0x1b, TWO_SOURCES),
        aux1("vcvthf82ph", P5, F2, 0x1e, WIDEN).w0().tuple(HalfMem, 1).kz(),
        comx("vucomxsh", P5, F3, 0x2e, &[R(Vw), R(Ww)], 2), comx("vcomxsh", P5, F3, 0x2f, &[R(Vw), R(Ww)], 2),
        aux2("vcvthf82ps", P5, NP, 0x36, &[W(Vx), R(Wxq)]).w0().tuple(QuarterMem, 1).kz(),
        aux2("vcvtbf82ps", P5, NP, 0x36, &[W(Vx), R(Wxq)]).w1().tuple(QuarterMem, 1).kz(),
        aux2("vcvtbf42hf8", P5, NP, 0x37, WIDEN).w0().tuple(HalfMem, 1).kz().nf(),
        aux2("vcvthf62hf8", P5, P66, 0x37, &[W(Vx), R(Ux)]).w0().element(1).kz(),
        aux2("vcvtbf62hf8", P5, P66, 0x37, &[W(Vx), R(Ux)]).w1().element(1).kz(),
        to8("vcvtbiasps2hf8", NP, 0x38), to8("vcvtrops2hf8", P66, 0x38), to8("vcvtps2hf8", F3, 0x38),
        to8("vcvtbiasps2bf8", NP, 0x39), to8("vcvtps2bf8", F3, 0x39),
        to8("vcvtbiasps2hf8s", NP, 0x3a), to8("vcvtrops2hf8s", P66, 0x3a), to8("vcvtps2hf8s", F3, 0x3a),
        to8("vcvtbiasps2bf8s", NP, 0x3b), to8("vcvtps2bf8s", F3, 0x3b),
        aux2("vcvthf82hf6s", P5, F3, 0x3c, &[W(Ux), R(Vx)]).w0(),
        aux2("vcvthf82bf4s", P5, F3, 0x3d, &[W(Wxh), R(Vx)]).w0().tuple(HalfMem, 1).nf(),
        aux2("vcvtbf82bf4s", P5, F3, 0x3d, &[W(Wxh), R(Vx)]).w1().tuple(HalfMem, 1).nf(),
        aux2("vcvtbf82bf6s", P5, F3, 0x3e, &[W(Ux), R(Vx)]).w1(),
        to_bytes("vcvttph2ibs", NP, 0x68, 2).sae().fp(), to_bytes("vcvttps2ibs", P66, 0x68, 4).sae().fp(), to_bytes("vcvttbf162ibs", F2, 0x68, 2).sae(),
        to_bytes("vcvtph2ibs", NP, 0x69, 2).er().fp(), to_bytes("vcvtps2ibs", P66, 0x69, 4).er().fp(), to_bytes("vcvtbf162ibs", F2, 0x69, 2),
        to_bytes("vcvttph2iubs", NP, 0x6a, 2).sae().fp(), to_bytes("vcvttps2iubs", P66, 0x6a, 4).sae().fp(), to_bytes("vcvttbf162iubs", F2, 0x6a, 2).sae(),
        to_bytes("vcvtph2iubs", NP, 0x6b, 2).er().fp(), to_bytes("vcvtps2iubs", P66, 0x6b, 4).er().fp(), to_bytes("vcvtbf162iubs", F2, 0x6b, 2),
        packed("vcvttps2udqs", P5, NP, 0x6c, ONE_SOURCE, 4).sae().fp(), packed("vcvttpd2udqs", P5, NP, 0x6c, NARROW, 8).sae().fp(),
        widen("vcvttps2uqqs", 0x6c), packed("vcvttpd2uqqs", P5, P66, 0x6c, ONE_SOURCE, 8).sae().fp(),
        packed("vcvttps2dqs", P5, NP, 0x6d, ONE_SOURCE, 4).sae().fp(), packed("vcvttpd2dqs", P5, NP, 0x6d, NARROW, 8).sae().fp(),
        widen("vcvttps2qqs", 0x6d), packed("vcvttpd2qqs", P5, P66, 0x6d, ONE_SOURCE, 8).sae().fp(),
        v2("vmovw", P5, F3, 0x6e, &[W(Vdq), R(Ww)]).l0().w0().tuple(Scalar, 2),
        movrs("vmovrsd", F3, 4).w0(), movrs("vmovrsq", F3, 8).w1(), movrs("vmovrsb", F2, 1).w0(), movrs("vmovrsw", F2, 2).w1(),
        bytes("vcvtbiasph2bf8s", P5, NP, 0x74, BIASED), bytes("vcvtph2bf8s", P5, F3, 0x74, NARROW), bytes("vcvt2ph2bf8s", P5, F2, 0x74, TWO_SOURCES),
        v2("vmovw", P5, F3, 0x7e, &[W(Ww), R(Vw)]).l0().w0().tuple(Scalar, 2),
    ],
];
