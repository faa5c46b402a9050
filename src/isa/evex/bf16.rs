//! AVX10.2's arithmetic on BF16. It rounds to nearest, takes and makes denormals as zeros, and knows neither MXCSR nor
//! exceptions.

use super::*;

const ONE_SOURCE: &[Spec] = &[W(Vx), R(Wx)];
const ONE_IMM: &[Spec] = &[W(Vx), R(Wx), R(Ib)];
const TWO_SOURCES: &[Spec] = &[W(Vx), R(Hx), R(Wx)];

/// A full vector of BF16.
const fn bf(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).w0().cpuid(Avx10V2).and(Avx10).tuple(Full, 2).bcst().kz()
}

/// A fused multiply-add.
const fn fused(name: &'static str, opcode: u8) -> Row {
    bf(name, P6, NP, opcode, &[RW(Vx), R(Hx), R(Wx)])
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F3A: [Row; 6] = [
    bf("vrndscalebf16", P0F3A, F2, 0x08, ONE_IMM),
    bf("vgetmantbf16", P0F3A, F2, 0x26, ONE_IMM),
    bf("vminmaxbf16", P0F3A, F2, 0x52, &[W(Vx), R(Hx), R(Wx), R(Ib)]),
    bf("vreducebf16", P0F3A, F2, 0x56, ONE_IMM),
    bf("vfpclassbf16", P0F3A, F2, 0x66, &[W(KGq), R(Wx), R(Ib)]).k(),
    bf("vcmpbf16", P0F3A, F2, 0xc2, &[W(KGq), R(Hx), R(Wx), R(Ib)]).k(),
];

const COMPARED: FlagEffect = FlagEffect::of(0, flag::ARITH, 0).clears(flag::OF | flag::SF | flag::AF);

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M5: [Row; 8] = [
    evex("vcomisbf16", P5, P66, 0x2f, &[R(Vw), R(Ww)]).w0().lig().cpuid(Avx10V2).and(Avx10).tuple(Scalar, 2).flags(COMPARED),
    bf("vsqrtbf16", P5, P66, 0x51, ONE_SOURCE),
    bf("vaddbf16", P5, P66, 0x58, TWO_SOURCES), bf("vmulbf16", P5, P66, 0x59, TWO_SOURCES), bf("vsubbf16", P5, P66, 0x5c, TWO_SOURCES),
    bf("vminbf16", P5, P66, 0x5d, TWO_SOURCES), bf("vdivbf16", P5, P66, 0x5e, TWO_SOURCES), bf("vmaxbf16", P5, P66, 0x5f, TWO_SOURCES),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M6: [Row; 16] = [
    bf("vscalefbf16", P6, NP, 0x2c, TWO_SOURCES), bf("vgetexpbf16", P6, NP, 0x42, ONE_SOURCE),
    bf("vrcpbf16", P6, NP, 0x4c, ONE_SOURCE), bf("vrsqrtbf16", P6, NP, 0x4e, ONE_SOURCE),
    fused("vfmadd132bf16", 0x98), fused("vfmsub132bf16", 0x9a), fused("vfnmadd132bf16", 0x9c), fused("vfnmsub132bf16", 0x9e),
    fused("vfmadd213bf16", 0xa8), fused("vfmsub213bf16", 0xaa), fused("vfnmadd213bf16", 0xac), fused("vfnmsub213bf16", 0xae),
    fused("vfmadd231bf16", 0xb8), fused("vfmsub231bf16", 0xba), fused("vfnmadd231bf16", 0xbc), fused("vfnmsub231bf16", 0xbe),
];
