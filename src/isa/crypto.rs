//! Cryptography and Galois fields beyond AES-NI and PCLMULQDQ: VAES, VPCLMULQDQ, GFNI, SHA, SHA512, SM3, SM4.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{Tuple::*, *};
use Map::{M0f3a as P0F3A, M0f38 as P0F38};

/// A SHA instruction, which has no mandatory prefix. AMD's processors (Zen 4) want no alignment of it.
const fn sha(name: &'static str, map: Map, opcode: u8, ops: &[Spec]) -> Row {
    sse(name, map, NP, opcode, ops).cpuid(Sha).class(Class::AlignedIntel)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: [Row; 7] = [
    sha("sha1nexte", P0F38, 0xc8, &[RW(Vdq), R(Wdq)]),
    sha("sha1msg1", P0F38, 0xc9, &[RW(Vdq), R(Wdq)]),
    sha("sha1msg2", P0F38, 0xca, &[RW(Vdq), R(Wdq)]),
    sha("sha256rnds2", P0F38, 0xcb, &[RW(Vdq), R(Wdq), R(XMM0.hidden())]),
    sha("sha256msg1", P0F38, 0xcc, &[RW(Vdq), R(Wdq)]),
    sha("sha256msg2", P0F38, 0xcd, &[RW(Vdq), R(Wdq)]),
    sse("gf2p8mulb", P0F38, P66, 0xcf, &[RW(Vdq), R(Wdq)]).cpuid(Gfni),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F3A: [Row; 3] = [
    sha("sha1rnds4", P0F3A, 0xcc, &[RW(Vdq), R(Wdq), R(Ib)]),
    sse("gf2p8affineqb", P0F3A, P66, 0xce, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Gfni),
    sse("gf2p8affineinvqb", P0F3A, P66, 0xcf, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Gfni),
];

/// An AES round: AES and AVX at 128 bits, VAES at 256.
macro_rules! vaes {
    ($name:literal, $op:literal) => {
        [
            vex($name, P0F38, P66, $op, &[W(Vdq), R(Hdq), R(Wdq)]).l0().cpuid(Aes).and(Avx),
            vex($name, P0F38, P66, $op, &[W(Vqq), R(Hqq), R(Wqq)]).l1().cpuid(Vaes).and(Avx),
        ]
    };
}

#[rustfmt::skip] // one form a line: the columns are the point
const SHA512: [Row; 3] = [
    vex("vsha512rnds2", P0F38, F2, 0xcb, &[RW(Vqq), R(Hqq), R(Udq)]).l1().w0().cpuid(Sha512).and(Avx),
    vex("vsha512msg1", P0F38, F2, 0xcc, &[RW(Vqq), R(Udq)]).l1().w0().cpuid(Sha512).and(Avx),
    vex("vsha512msg2", P0F38, F2, 0xcd, &[RW(Vqq), R(Uqq)]).l1().w0().cpuid(Sha512).and(Avx),
];

#[rustfmt::skip] // one form a line: the columns are the point
const SM: [Row; 4] = [
    vex("vsm3msg1", P0F38, NP, 0xda, &[RW(Vdq), R(Hdq), R(Wdq)]).l0().w0().cpuid(Sm3).and(Avx),
    vex("vsm3msg2", P0F38, P66, 0xda, &[RW(Vdq), R(Hdq), R(Wdq)]).l0().w0().cpuid(Sm3).and(Avx),
    vex("vsm4key4", P0F38, F3, 0xda, &[W(Vx), R(Hx), R(Wx)]).w0().cpuid(Sm4).and(Avx),
    vex("vsm4rnds4", P0F38, F2, 0xda, &[W(Vx), R(Hx), R(Wx)]).w0().cpuid(Sm4).and(Avx),
];

pub(super) const VEX_M0F38: &[Row] = rows![
    [vex("vgf2p8mulb", P0F38, P66, 0xcf, &[W(Vx), R(Hx), R(Wx)]).w0().cpuid(Gfni).and(Avx)],
    [vex("vaesimc", P0F38, P66, 0xdb, &[W(Vdq), R(Wdq)]).l0().cpuid(Aes).and(Avx)],
    SHA512,
    SM,
    vaes!("vaesenc", 0xdc),
    vaes!("vaesenclast", 0xdd),
    vaes!("vaesdec", 0xde),
    vaes!("vaesdeclast", 0xdf),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const VEX_M0F3A: [Row; 6] = [
    vex("vpclmulqdq", P0F3A, P66, 0x44, &[W(Vdq), R(Hdq), R(Wdq), R(Ib)]).l0().cpuid(Pclmulqdq).and(Avx),
    vex("vpclmulqdq", P0F3A, P66, 0x44, &[W(Vqq), R(Hqq), R(Wqq), R(Ib)]).l1().cpuid(Vpclmulqdq).and(Avx),
    vex("vgf2p8affineqb", P0F3A, P66, 0xce, &[W(Vx), R(Hx), R(Wx), R(Ib)]).w1().cpuid(Gfni).and(Avx),
    vex("vgf2p8affineinvqb", P0F3A, P66, 0xcf, &[W(Vx), R(Hx), R(Wx), R(Ib)]).w1().cpuid(Gfni).and(Avx),
    vex("vsm3rnds2", P0F3A, P66, 0xde, &[RW(Vdq), R(Hdq), R(Wdq), R(Ib)]).l0().w0().cpuid(Sm3).and(Avx),
    vex("vaeskeygenassist", P0F3A, P66, 0xdf, &[W(Vdq), R(Wdq), R(Ib)]).l0().cpuid(Aes).and(Avx),
];

/// An AES round in each 128-bit lane, which no opmask can leave out.
const fn aes(name: &'static str, opcode: u8) -> Row {
    let r = evex(name, P0F38, P66, opcode, &[W(Vx), R(Hx), R(Wx)]).tuple(FullMem, 16).nf();
    r.cpuid(Vaes).and(Avx512f)
}

/// An affine map of bytes by matrices of 8 bytes: the opmask is by bytes, the broadcast by matrices.
const fn affine(name: &'static str, opcode: u8) -> Row {
    let r = evex(name, P0F3A, P66, opcode, &[W(Vx), R(Hx), R(Wx), R(Ib)]).w1().tuple(Full, 8).bcst().kz().nf();
    r.cpuid(Gfni).and(Avx512f)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const EVEX_M0F38: [Row; 5] = [
    evex("vgf2p8mulb", P0F38, P66, 0xcf, &[W(Vx), R(Hx), R(Wx)]).w0().tuple(FullMem, 1).kz().cpuid(Gfni).and(Avx512f),
    aes("vaesenc", 0xdc), aes("vaesenclast", 0xdd), aes("vaesdec", 0xde), aes("vaesdeclast", 0xdf),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const EVEX_M0F3A: [Row; 3] = [
    evex("vpclmulqdq", P0F3A, P66, 0x44, &[W(Vx), R(Hx), R(Wx), R(Ib)]).tuple(FullMem, 8).nf().cpuid(Vpclmulqdq).and(Avx512f),
    affine("vgf2p8affineqb", 0xce),
    affine("vgf2p8affineinvqb", 0xcf),
];
