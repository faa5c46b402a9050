//! MMX, and what SSE to SSSE3 added on MMX registers.

use super::Feature;
use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::{M0f as P0F, M0f3a as P0F3A, M0f38 as P0F38};

/// A row on MMX registers alone: no prefix, MMX's gate, no alignment.
const fn mm(name: &'static str, map: Map, opcode: u8, operands: &[Spec]) -> Row {
    legacy(name, map, opcode, operands).pp(NP).gate(Gate::Mmx).class(Class::Free).cpuid(Mmx).shape(Shape::Mmx)
}

/// `pxxx mm, mm/m64`.
const fn int(name: &'static str, opcode: u8) -> Row {
    mm(name, P0F, opcode, &[RW(Pq), R(Qq)])
}

/// The same, of the lower halves: 32 bits in memory.
const fn low(name: &'static str, opcode: u8) -> Row {
    mm(name, P0F, opcode, &[RW(Pq), R(Qd)])
}

/// Shifts by an immediate.
const fn shift(name: &'static str, opcode: u8, digit: u32) -> Row {
    mm(name, P0F, opcode, &[RW(Nq), R(Ib)]).digit(digit)
}

/// The same in map 0F38.
const fn int38(name: &'static str, opcode: u8) -> Row {
    mm(name, P0F38, opcode, &[RW(Pq), R(Qq)]).cpuid(Ssse3)
}

/// Between MMX and XMM registers: SSE's gate.
const fn both(name: &'static str, pp: Pp, opcode: u8, operands: &[Spec], feature: Feature) -> Row {
    sse(name, P0F, pp, opcode, operands).cpuid(feature).shape(Shape::Mmx)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    both("cvtpi2ps", NP, 0x2a, &[RW(Vq), R(Qq)], Sse).free().fp(),
    // Memory in place of an MMX register leaves the x87 state alone.
    sse("cvtpi2pd", P0F, P66, 0x2a, &[W(Vdq), R(Mq)]).free().fp(),
    both("cvtpi2pd", P66, 0x2a, &[W(Vdq), R(Nq)], Sse2).fp(),
    both("cvttps2pi", NP, 0x2c, &[W(Pq), R(Wq)], Sse).free().fp(),
    both("cvttpd2pi", P66, 0x2c, &[W(Pq), R(Wdq)], Sse2).fp(),
    both("cvtps2pi", NP, 0x2d, &[W(Pq), R(Wq)], Sse).free().fp(),
    both("cvtpd2pi", P66, 0x2d, &[W(Pq), R(Wdq)], Sse2).fp(),
    low("punpcklbw", 0x60), low("punpcklwd", 0x61), low("punpckldq", 0x62), int("packsswb", 0x63),
    int("pcmpgtb", 0x64), int("pcmpgtw", 0x65), int("pcmpgtd", 0x66), int("packuswb", 0x67),
    int("punpckhbw", 0x68), int("punpckhwd", 0x69), int("punpckhdq", 0x6a), int("packssdw", 0x6b),
    mm("movq", P0F, 0x6e, &[W(Pq), R(Eq)]).w1().only64(),
    mm("movd", P0F, 0x6e, &[W(Pq), R(Ed)]),
    mm("movq", P0F, 0x6f, &[W(Pq), R(Qq)]),
    mm("pshufw", P0F, 0x70, &[W(Pq), R(Qq), R(Ib)]).cpuid(Sse),
    shift("psrlw", 0x71, 2), shift("psraw", 0x71, 4), shift("psllw", 0x71, 6),
    shift("psrld", 0x72, 2), shift("psrad", 0x72, 4), shift("pslld", 0x72, 6),
    shift("psrlq", 0x73, 2), shift("psllq", 0x73, 6),
    int("pcmpeqb", 0x74), int("pcmpeqw", 0x75), int("pcmpeqd", 0x76),
    mm("emms", P0F, 0x77, &[]).attr(attr::WAITING).exec(Exec::X87(X87Op::Empty)),
    mm("movq", P0F, 0x7e, &[W(Eq), R(Pq)]).w1().only64(),
    mm("movd", P0F, 0x7e, &[W(Ed), R(Pq)]),
    mm("movq", P0F, 0x7f, &[W(Qq), R(Pq)]),
    mm("pinsrw", P0F, 0xc4, &[RW(Pq), R(Mw), R(Ib)]).cpuid(Sse),
    mm("pinsrw", P0F, 0xc4, &[RW(Pq), R(Rd), R(Ib)]).cpuid(Sse),
    mm("pextrw", P0F, 0xc5, &[W(Gd), R(Nq), R(Ib)]).cpuid(Sse),
    int("psrlw", 0xd1), int("psrld", 0xd2), int("psrlq", 0xd3), int("paddq", 0xd4).cpuid(Sse2), int("pmullw", 0xd5),
    both("movq2dq", F3, 0xd6, &[W(Vdq), R(Nq)], Sse2),
    both("movdq2q", F2, 0xd6, &[W(Pq), R(Uq)], Sse2),
    mm("pmovmskb", P0F, 0xd7, &[W(Gd), R(Nq)]).cpuid(Sse),
    int("psubusb", 0xd8), int("psubusw", 0xd9), int("pminub", 0xda).cpuid(Sse), int("pand", 0xdb),
    int("paddusb", 0xdc), int("paddusw", 0xdd), int("pmaxub", 0xde).cpuid(Sse), int("pandn", 0xdf),
    int("pavgb", 0xe0).cpuid(Sse), int("psraw", 0xe1), int("psrad", 0xe2), int("pavgw", 0xe3).cpuid(Sse),
    int("pmulhuw", 0xe4).cpuid(Sse), int("pmulhw", 0xe5),
    mm("movntq", P0F, 0xe7, &[W(Mq), R(Pq)]).cpuid(Sse).replayed_as(0x7f),
    int("psubsb", 0xe8), int("psubsw", 0xe9), int("pminsw", 0xea).cpuid(Sse), int("por", 0xeb),
    int("paddsb", 0xec), int("paddsw", 0xed), int("pmaxsw", 0xee).cpuid(Sse), int("pxor", 0xef),
    int("psllw", 0xf1), int("pslld", 0xf2), int("psllq", 0xf3), int("pmuludq", 0xf4).cpuid(Sse2), int("pmaddwd", 0xf5),
    int("psadbw", 0xf6).cpuid(Sse),
    mm("maskmovq", P0F, 0xf7, &[R(Pq), R(Nq)]).cpuid(Sse).element(1).shape(Shape::ByteMask),
    int("psubb", 0xf8), int("psubw", 0xf9), int("psubd", 0xfa), int("psubq", 0xfb).cpuid(Sse2),
    int("paddb", 0xfc), int("paddw", 0xfd), int("paddd", 0xfe),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    int38("pshufb", 0x00), int38("phaddw", 0x01), int38("phaddd", 0x02), int38("phaddsw", 0x03),
    int38("pmaddubsw", 0x04), int38("phsubw", 0x05), int38("phsubd", 0x06), int38("phsubsw", 0x07),
    int38("psignb", 0x08), int38("psignw", 0x09), int38("psignd", 0x0a), int38("pmulhrsw", 0x0b),
    int38("pabsb", 0x1c).uses_first(Use::Write), int38("pabsw", 0x1d).uses_first(Use::Write),
    int38("pabsd", 0x1e).uses_first(Use::Write),
];

pub(super) const M0F3A: &[Row] = &[mm("palignr", P0F3A, 0x0f, &[RW(Pq), R(Qq), R(Ib)]).cpuid(Ssse3)];
