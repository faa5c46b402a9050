//! AVX-512 in the EVEX encoding: moves, masked sequences of elements, and the joined tables; further families have files
//! of their own.

mod avx10;
mod bf16;
mod float;
mod fp16;
mod integer;
mod knights;
mod shuffle;

use super::feature::Feature::*;
use super::notation::*;
use super::row::{Tuple::*, *};
use super::{ace, amx, apx, crypto, f16c, fma};
use Map::{M0f as P0F, M0f3a as P0F3A, M0f38 as P0F38, M5 as P5, M6 as P6};

/// `vpxxx x{k}{z}, x, x/m` of bytes or words (BW, no broadcast).
const fn bw(name: &'static str, opcode: u8, element: u8) -> Row {
    evex(name, P0F, P66, opcode, &[W(Vx), R(Hx), R(Wx)]).cpuid(Avx512bw).tuple(FullMem, element).kz()
}

/// The same without fault suppression (results mix elements).
const fn bw_nf(name: &'static str, opcode: u8, element: u8) -> Row {
    bw(name, opcode, element).nf()
}

/// `vpxxxd x{k}{z}, x, x/m/m32{1to…}`.
const fn d(name: &'static str, map: Map, opcode: u8) -> Row {
    evex(name, map, P66, opcode, &[W(Vx), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().kz()
}

/// `vpxxxq x{k}{z}, x, x/m/m64{1to…}`.
const fn q(name: &'static str, map: Map, opcode: u8) -> Row {
    evex(name, map, P66, opcode, &[W(Vx), R(Hx), R(Wx)]).w1().tuple(Full, 8).bcst().kz()
}

/// PS, PD, SS and SD lines of one floating-point opcode with two sources and embedded rounding.
macro_rules! float {
    ($op:literal, $round:ident, $ps:literal, $pd:literal, $ss:literal, $sd:literal) => {
        [
            evex($ps, P0F, NP, $op, &[W(Vx), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().kz().$round().fp(),
            evex($pd, P0F, P66, $op, &[W(Vx), R(Hx), R(Wx)]).w1().tuple(Full, 8).bcst().kz().$round().fp(),
            evex($ss, P0F, F3, $op, &[W(Vdq), R(Hdq), R(Wd)]).w0().lig().tuple(Scalar, 4).kz().$round().fp(),
            evex($sd, P0F, F2, $op, &[W(Vdq), R(Hdq), R(Wq)]).w1().lig().tuple(Scalar, 8).kz().$round().fp(),
        ]
    };
}

const ADD: [Row; 4] = float!(0x58, er, "vaddps", "vaddpd", "vaddss", "vaddsd");
const MUL: [Row; 4] = float!(0x59, er, "vmulps", "vmulpd", "vmulss", "vmulsd");
const SUB: [Row; 4] = float!(0x5c, er, "vsubps", "vsubpd", "vsubss", "vsubsd");
const MIN: [Row; 4] = float!(0x5d, sae, "vminps", "vminpd", "vminss", "vminsd");
const DIV: [Row; 4] = float!(0x5e, er, "vdivps", "vdivpd", "vdivss", "vdivsd");
const MAX: [Row; 4] = float!(0x5f, sae, "vmaxps", "vmaxpd", "vmaxss", "vmaxsd");

/// A masked move in both directions.
const fn load(name: &'static str, pp: Pp, opcode: u8, element: u8) -> Row {
    evex(name, P0F, pp, opcode, &[W(Vx), R(Wx)]).tuple(FullMem, element).kz()
}

/// A masked store: memory takes merging only, a register both.
const fn store(name: &'static str, pp: Pp, opcode: u8, element: u8) -> Row {
    evex(name, P0F, pp, opcode, &[W(Wx), R(Vx)]).tuple(FullMem, element).kz()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F: &[Row] = rows![
    ADD, MUL, SUB, MIN, DIV, MAX, float::M0F, integer::M0F, shuffle::M0F, avx10::M0F, apx::M0F,
    [
        load("vmovups", NP, 0x10, 4).w0().copies(), load("vmovupd", P66, 0x10, 8).w1().copies(),
        store("vmovups", NP, 0x11, 4).w0().copies(), store("vmovupd", P66, 0x11, 8).w1().copies(),
        evex("vmovlps", P0F, NP, 0x12, &[W(Vdq), R(Hdq), R(Mq)]).l0().w0().tuple(T2, 4),
        evex("vmovlpd", P0F, P66, 0x12, &[W(Vdq), R(Hdq), R(Mq)]).l0().w1().tuple(Scalar, 8),
        evex("vmovlps", P0F, NP, 0x13, &[W(Mq), R(Vq)]).l0().w0().tuple(T2, 4),
        evex("vmovlpd", P0F, P66, 0x13, &[W(Mq), R(Vq)]).l0().w1().tuple(Scalar, 8),
        evex("vmovhps", P0F, NP, 0x16, &[W(Vdq), R(Hdq), R(Mq)]).l0().w0().tuple(T2, 4),
        evex("vmovhpd", P0F, P66, 0x16, &[W(Vdq), R(Hdq), R(Mq)]).l0().w1().tuple(Scalar, 8),
        evex("vmovhps", P0F, NP, 0x17, &[W(Mq), R(Vdq)]).l0().w0().tuple(T2, 4),
        evex("vmovhpd", P0F, P66, 0x17, &[W(Mq), R(Vdq)]).l0().w1().tuple(Scalar, 8),
        load("vmovaps", NP, 0x28, 4).w0().aligned().copies(), load("vmovapd", P66, 0x28, 8).w1().aligned().copies(),
        store("vmovaps", NP, 0x29, 4).w0().aligned().copies(), store("vmovapd", P66, 0x29, 8).w1().aligned().copies(),
        evex("vmovntps", P0F, NP, 0x2b, &[W(Mx), R(Vx)]).w0().tuple(FullMem, 4).aligned().replayed_as(0x29).copies(),
        evex("vmovntpd", P0F, P66, 0x2b, &[W(Mx), R(Vx)]).w1().tuple(FullMem, 8).aligned().replayed_as(0x29).copies(),
        evex("vcvtdq2ps", P0F, NP, 0x5b, &[W(Vx), R(Wx)]).w0().tuple(Full, 4).bcst().kz().er().fp(),
        d("vpunpckldq", P0F, 0x62).nf(),
        evex("vmovq", P0F, P66, 0x6e, &[W(Vdq), R(Eq)]).l0().w1().only64().tuple(Scalar, 8).copies(),
        evex("vmovd", P0F, P66, 0x6e, &[W(Vdq), R(Ed)]).l0().w_gpr().tuple(Scalar, 4).copies(),
        load("vmovdqa32", P66, 0x6f, 4).w0().aligned().copies(), load("vmovdqa64", P66, 0x6f, 8).w1().aligned().copies(),
        load("vmovdqu32", F3, 0x6f, 4).w0().copies(), load("vmovdqu64", F3, 0x6f, 8).w1().copies(),
        load("vmovdqu8", F2, 0x6f, 1).w0().cpuid(Avx512bw).copies(), load("vmovdqu16", F2, 0x6f, 2).w1().cpuid(Avx512bw).copies(),
        evex("vpshufd", P0F, P66, 0x70, &[W(Vx), R(Wx), R(Ib)]).w0().tuple(Full, 4).bcst().kz().nf(),
        evex("vpsrld", P0F, P66, 0x72, &[W(Hx), R(Wx), R(Ib)]).digit(2).w0().tuple(Full, 4).bcst().kz(),
        evex("vpsrad", P0F, P66, 0x72, &[W(Hx), R(Wx), R(Ib)]).digit(4).w0().tuple(Full, 4).bcst().kz(),
        evex("vpslld", P0F, P66, 0x72, &[W(Hx), R(Wx), R(Ib)]).digit(6).w0().tuple(Full, 4).bcst().kz(),
        evex("vpcmpeqd", P0F, P66, 0x76, &[W(KGq), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().k(),
        evex("vmovq", P0F, P66, 0x7e, &[W(Eq), R(Vdq)]).l0().w1().only64().tuple(Scalar, 8).copies(),
        evex("vmovd", P0F, P66, 0x7e, &[W(Ed), R(Vdq)]).l0().w_gpr().tuple(Scalar, 4).copies(),
        evex("vmovq", P0F, F3, 0x7e, &[W(Vdq), R(Wq)]).l0().w1().tuple(Scalar, 8).copies(),
        store("vmovdqa32", P66, 0x7f, 4).w0().aligned().copies(), store("vmovdqa64", P66, 0x7f, 8).w1().aligned().copies(),
        store("vmovdqu32", F3, 0x7f, 4).w0().copies(), store("vmovdqu64", F3, 0x7f, 8).w1().copies(),
        store("vmovdqu8", F2, 0x7f, 1).w0().cpuid(Avx512bw).copies(), store("vmovdqu16", F2, 0x7f, 2).w1().cpuid(Avx512bw).copies(),
        q("vpaddq", P0F, 0xd4), bw("vpmullw", 0xd5, 2),
        evex("vmovq", P0F, P66, 0xd6, &[W(Wq), R(Vq)]).l0().w1().tuple(Scalar, 8).copies(),
        bw("vpsubusb", 0xd8, 1), bw("vpsubusw", 0xd9, 2), bw("vpminub", 0xda, 1),
        d("vpandd", P0F, 0xdb), q("vpandq", P0F, 0xdb),
        bw("vpaddusb", 0xdc, 1), bw("vpaddusw", 0xdd, 2), bw("vpmaxub", 0xde, 1),
        d("vpandnd", P0F, 0xdf), q("vpandnq", P0F, 0xdf),
        bw("vpavgb", 0xe0, 1), bw("vpavgw", 0xe3, 2), bw("vpmulhuw", 0xe4, 2), bw("vpmulhw", 0xe5, 2),
        evex("vmovntdq", P0F, P66, 0xe7, &[W(Mx), R(Vx)]).w0().tuple(FullMem, 4).aligned().replayed_as(0x7f).copies(),
        bw("vpsubsb", 0xe8, 1), bw("vpsubsw", 0xe9, 2), bw("vpminsw", 0xea, 2),
        d("vpord", P0F, 0xeb), q("vporq", P0F, 0xeb),
        bw("vpaddsb", 0xec, 1), bw("vpaddsw", 0xed, 2), bw("vpmaxsw", 0xee, 2),
        d("vpxord", P0F, 0xef), q("vpxorq", P0F, 0xef),
        q("vpmuludq", P0F, 0xf4),
        bw_nf("vpmaddwd", 0xf5, 4),
        bw("vpsubb", 0xf8, 1), bw("vpsubw", 0xf9, 2), d("vpsubd", P0F, 0xfa), q("vpsubq", P0F, 0xfb),
        bw("vpaddb", 0xfc, 1), bw("vpaddw", 0xfd, 2), d("vpaddd", P0F, 0xfe),
    ],
];

/// Narrowing moves: the destination is the narrow one, in memory or a register.
const fn narrow(name: &'static str, opcode: u8, dst: Spec, tuple: Tuple, element: u8) -> Row {
    evex(name, P0F38, F3, opcode, &[W(dst), R(Vx)]).w0().tuple(tuple, element).kz()
}

const fn gather(name: &'static str, opcode: u8, dst: Spec, mem: Spec) -> Row {
    let element = if matches!(mem.width, Width::D) { 4 } else { 8 };
    evex(name, P0F38, P66, opcode, &[RW(dst), R(mem)]).tuple(Scalar, element).k_operand().shape(Shape::Gather)
}

const fn scatter(name: &'static str, opcode: u8, mem: Spec, src: Spec) -> Row {
    let element = if matches!(mem.width, Width::D) { 4 } else { 8 };
    evex(name, P0F38, P66, opcode, &[CW(mem), R(src)]).tuple(Scalar, element).k_operand().shape(Shape::Scatter)
}

const fn expand(name: &'static str, opcode: u8, element: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[W(Vx), R(Wx)]).tuple(Scalar, element).kz().shape(Shape::Expand)
}

const fn compress(name: &'static str, opcode: u8, element: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[W(Wx), R(Vx)]).tuple(Scalar, element).kz().shape(Shape::Compress)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F38: &[Row] = rows![
    crypto::EVEX_M0F38, f16c::EVEX_M0F38, fma::EVEX_M0F38, amx::EVEX_M0F38, ace::EVEX_M0F38,
    float::M0F38, integer::M0F38, shuffle::M0F38, knights::M0F38, avx10::M0F38, apx::M0F38,
    [
        evex("vpshufb", P0F38, P66, 0x00, &[W(Vx), R(Hx), R(Wx)]).cpuid(Avx512bw).tuple(FullMem, 1).kz().nf(),
        evex("vbroadcastss", P0F38, P66, 0x18, &[W(Vx), R(Wd)]).w0().tuple(Scalar, 4).kz(),
        evex("vbroadcastsd", P0F38, P66, 0x19, &[W(Vx), R(Wq)]).w1().wide().tuple(Scalar, 8).kz(),
        evex("vpabsd", P0F38, P66, 0x1e, &[W(Vx), R(Wx)]).w0().tuple(Full, 4).bcst().kz(),
        evex("vpmovsxbd", P0F38, P66, 0x21, &[W(Vx), R(Wxq)]).tuple(QuarterMem, 1).kz(),
        evex("vpmovsxwd", P0F38, P66, 0x23, &[W(Vx), R(Wxh)]).tuple(HalfMem, 2).kz(),
        q("vpmuldq", P0F38, 0x28),
        evex("vmovntdqa", P0F38, P66, 0x2a, &[W(Vx), R(Mx)]).w0().tuple(FullMem, 4).aligned().copies(),
        evex("vpmovzxbw", P0F38, P66, 0x30, &[W(Vx), R(Wxh)]).cpuid(Avx512bw).tuple(HalfMem, 1).kz(),
        narrow("vpmovwb", 0x30, Wxh, HalfMem, 1).cpuid(Avx512bw),
        evex("vpmovzxbd", P0F38, P66, 0x31, &[W(Vx), R(Wxq)]).tuple(QuarterMem, 1).kz(),
        narrow("vpmovdb", 0x31, Wxq, QuarterMem, 1),
        evex("vpmovzxbq", P0F38, P66, 0x32, &[W(Vx), R(Wxe)]).tuple(EighthMem, 1).kz(),
        narrow("vpmovqb", 0x32, Wxe, EighthMem, 1),
        evex("vpmovzxwd", P0F38, P66, 0x33, &[W(Vx), R(Wxh)]).tuple(HalfMem, 2).kz(),
        narrow("vpmovdw", 0x33, Wxh, HalfMem, 2),
        evex("vpmovzxwq", P0F38, P66, 0x34, &[W(Vx), R(Wxq)]).tuple(QuarterMem, 2).kz(),
        narrow("vpmovqw", 0x34, Wxq, QuarterMem, 2),
        evex("vpmovzxdq", P0F38, P66, 0x35, &[W(Vx), R(Wxh)]).w0().tuple(HalfMem, 4).kz(),
        narrow("vpmovqd", 0x35, Wxh, HalfMem, 4),
        d("vpermd", P0F38, 0x36).wide().nf(),
        d("vpminsd", P0F38, 0x39), d("vpminud", P0F38, 0x3b), d("vpmaxsd", P0F38, 0x3d), d("vpmaxud", P0F38, 0x3f),
        d("vpmulld", P0F38, 0x40),
        d("vpsrlvd", P0F38, 0x45), q("vpsrlvq", P0F38, 0x45), d("vpsravd", P0F38, 0x46), q("vpsravq", P0F38, 0x46),
        d("vpsllvd", P0F38, 0x47), q("vpsllvq", P0F38, 0x47),
        evex("vpbroadcastd", P0F38, P66, 0x58, &[W(Vx), R(Wd)]).w0().tuple(Scalar, 4).kz(),
        evex("vpbroadcastq", P0F38, P66, 0x59, &[W(Vx), R(Wq)]).w1().tuple(Scalar, 8).kz(),
        expand("vpexpandb", 0x62, 1).w0().cpuid(Avx512vbmi2), expand("vpexpandw", 0x62, 2).w1().cpuid(Avx512vbmi2),
        compress("vpcompressb", 0x63, 1).w0().cpuid(Avx512vbmi2), compress("vpcompressw", 0x63, 2).w1().cpuid(Avx512vbmi2),
        evex("vpbroadcastb", P0F38, P66, 0x78, &[W(Vx), R(Wb)]).w0().cpuid(Avx512bw).tuple(Scalar, 1).kz(),
        evex("vpbroadcastw", P0F38, P66, 0x79, &[W(Vx), R(Ww)]).w0().cpuid(Avx512bw).tuple(Scalar, 2).kz(),
        evex("vpbroadcastb", P0F38, P66, 0x7a, &[W(Vx), R(Rd)]).w0().cpuid(Avx512bw).element(1).kz(),
        evex("vpbroadcastw", P0F38, P66, 0x7b, &[W(Vx), R(Rd)]).w0().cpuid(Avx512bw).element(2).kz(),
        evex("vpbroadcastq", P0F38, P66, 0x7c, &[W(Vx), R(Rq)]).w1().only64().element(8).kz(),
        evex("vpbroadcastd", P0F38, P66, 0x7c, &[W(Vx), R(Rd)]).w_gpr().element(4).kz(),
        expand("vexpandps", 0x88, 4).w0(), expand("vexpandpd", 0x88, 8).w1(),
        expand("vpexpandd", 0x89, 4).w0(), expand("vpexpandq", 0x89, 8).w1(),
        compress("vcompressps", 0x8a, 4).w0(), compress("vcompresspd", 0x8a, 8).w1(),
        compress("vpcompressd", 0x8b, 4).w0(), compress("vpcompressq", 0x8b, 8).w1(),
        gather("vpgatherdd", 0x90, Vx, VMd).w0(), gather("vpgatherdq", 0x90, Vx, VMq).w1(),
        gather("vpgatherqd", 0x91, Vxh, VMd).w0(), gather("vpgatherqq", 0x91, Vx, VMq).w1(),
        gather("vgatherdps", 0x92, Vx, VMd).w0(), gather("vgatherdpd", 0x92, Vx, VMq).w1(),
        gather("vgatherqps", 0x93, Vxh, VMd).w0(), gather("vgatherqpd", 0x93, Vx, VMq).w1(),
        scatter("vpscatterdd", 0xa0, VMd, Vx).w0(), scatter("vpscatterdq", 0xa0, VMq, Vx).w1(),
        scatter("vpscatterqd", 0xa1, VMd, Vxh).w0(), scatter("vpscatterqq", 0xa1, VMq, Vx).w1(),
        scatter("vscatterdps", 0xa2, VMd, Vx).w0(), scatter("vscatterdpd", 0xa2, VMq, Vx).w1(),
        scatter("vscatterqps", 0xa3, VMd, Vxh).w0(), scatter("vscatterqpd", 0xa3, VMq, Vx).w1(),
    ],
];

const fn compare(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F3A, P66, opcode, &[W(KGq), R(Hx), R(Wx), R(Ib)]).k()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F3A: &[Row] = rows![
    crypto::EVEX_M0F3A, f16c::EVEX_M0F3A, amx::EVEX_M0F3A, ace::EVEX_M0F3A,
    float::M0F3A, integer::M0F3A, shuffle::M0F3A, fp16::M0F3A, bf16::M0F3A, avx10::M0F3A, apx::M0F3A,
    [
        evex("vextractf32x4", P0F3A, P66, 0x19, &[W(Wdq), R(Vx), R(Ib)]).wide().w0().tuple(T4, 4).kz().nf(),
        compare("vpcmpud", 0x1e).w0().tuple(Full, 4).bcst(), compare("vpcmpuq", 0x1e).w1().tuple(Full, 8).bcst(),
        compare("vpcmpd", 0x1f).w0().tuple(Full, 4).bcst(), compare("vpcmpq", 0x1f).w1().tuple(Full, 8).bcst(),
        evex("vpternlogd", P0F3A, P66, 0x25, &[RW(Vx), R(Hx), R(Wx), R(Ib)]).w0().tuple(Full, 4).bcst().kz(),
        evex("vpternlogq", P0F3A, P66, 0x25, &[RW(Vx), R(Hx), R(Wx), R(Ib)]).w1().tuple(Full, 8).bcst().kz(),
        evex("vextracti32x4", P0F3A, P66, 0x39, &[W(Wdq), R(Vx), R(Ib)]).wide().w0().tuple(T4, 4).kz().nf(),
        compare("vpcmpub", 0x3e).w0().cpuid(Avx512bw).tuple(FullMem, 1), compare("vpcmpuw", 0x3e).w1().cpuid(Avx512bw).tuple(FullMem, 2),
        compare("vpcmpb", 0x3f).w0().cpuid(Avx512bw).tuple(FullMem, 1), compare("vpcmpw", 0x3f).w1().cpuid(Avx512bw).tuple(FullMem, 2),
    ],
];

pub(super) static M5: &[Row] = rows![fp16::M5, bf16::M5, avx10::M5];
pub(super) static M6: &[Row] = rows![fp16::M6, bf16::M6, ace::EVEX_M6];
