//! SSE to SSE4.2 on XMM registers, and what belongs to them, in the legacy encoding.

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::{M0f as P0F, M0f3a as P0F3A, M0f38 as P0F38};

/// `pxxx xmm, xmm/m128` under 66.
const fn int(name: &'static str, opcode: u8) -> Row {
    sse(name, P0F, P66, opcode, &[RW(Vdq), R(Wdq)])
}

/// The same, of the lower halves.
const fn low(name: &'static str, opcode: u8) -> Row {
    int(name, opcode).low_half()
}

/// The same in map 0F38.
const fn int38(name: &'static str, opcode: u8, feature: super::Feature) -> Row {
    sse(name, P0F38, P66, opcode, &[RW(Vdq), R(Wdq)]).cpuid(feature)
}

/// Widening moves read only the narrow source.
const fn widen(name: &'static str, opcode: u8, source: Spec) -> Row {
    sse(name, P0F38, P66, opcode, &[W(Vdq), R(source)]).cpuid(Sse41).free()
}

/// PS, PD, SS and SD lines of one floating-point opcode.
macro_rules! float {
    ($op:literal, $ps:literal, $pd:literal, $ss:literal, $sd:literal, $dst:ident, $low:ident) => {
        [
            sse($ps, P0F, NP, $op, &[$dst(Vdq), R(Wdq)]).cpuid(Sse).fp(),
            sse($pd, P0F, P66, $op, &[$dst(Vdq), R(Wdq)]).fp(),
            sse($ss, P0F, F3, $op, &[$low(Vd), R(Wd)]).cpuid(Sse).free().fp(),
            sse($sd, P0F, F2, $op, &[$low(Vq), R(Wq)]).free().fp(),
        ]
    };
}

/// The lengths of explicit strings: rAX and rDX.
pub(super) const LENGTHS: Spec = Spec::fixed(Loc::GprSet, Width::Y, 0b101).hidden();

/// A comparison of strings.
const fn text(name: &'static str, opcode: u8, operands: &[Spec]) -> Row {
    sse(name, P0F3A, P66, opcode, operands).cpuid(Sse42).free().flags(MATCHED)
}

pub(in crate::isa) const COMPARED: FlagEffect =
    FlagEffect::of(0, flag::CF | flag::PF | flag::ZF, 0).clears(flag::AF | flag::SF | flag::OF);
/// PTEST: ZF and CF.
const TESTED: FlagEffect = FlagEffect::of(0, flag::CF | flag::ZF, 0).clears(flag::PF | flag::AF | flag::SF | flag::OF);
const MATCHED: FlagEffect = FlagEffect::of(0, flag::ARITH, 0).clears(flag::AF | flag::PF);

const SQRT: [Row; 4] = float!(0x51, "sqrtps", "sqrtpd", "sqrtss", "sqrtsd", W, RW);
const ADD: [Row; 4] = float!(0x58, "addps", "addpd", "addss", "addsd", RW, RW);
const MUL: [Row; 4] = float!(0x59, "mulps", "mulpd", "mulss", "mulsd", RW, RW);
const SUB: [Row; 4] = float!(0x5c, "subps", "subpd", "subss", "subsd", RW, RW);
const MIN: [Row; 4] = float!(0x5d, "minps", "minpd", "minss", "minsd", RW, RW);
const DIV: [Row; 4] = float!(0x5e, "divps", "divpd", "divss", "divsd", RW, RW);
const MAX: [Row; 4] = float!(0x5f, "maxps", "maxpd", "maxss", "maxsd", RW, RW);

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F: &[Row] = rows![
    SQRT, ADD, MUL, SUB, MIN, DIV, MAX,
    [
        sse("movups", P0F, NP, 0x10, &[W(Vdq), R(Wdq)]).cpuid(Sse).free().copies(),
        sse("movupd", P0F, P66, 0x10, &[W(Vdq), R(Wdq)]).free().copies(),
        sse("movss", P0F, F3, 0x10, &[W(Vdq), R(Md)]).cpuid(Sse).free().copies(),
        sse("movss", P0F, F3, 0x10, &[RW(Vd), R(Ud)]).cpuid(Sse),
        sse("movsd", P0F, F2, 0x10, &[W(Vdq), R(Mq)]).free().copies(),
        sse("movsd", P0F, F2, 0x10, &[RW(Vq), R(Uq)]),
        sse("movups", P0F, NP, 0x11, &[W(Wdq), R(Vdq)]).cpuid(Sse).free().copies(),
        sse("movupd", P0F, P66, 0x11, &[W(Wdq), R(Vdq)]).free().copies(),
        sse("movss", P0F, F3, 0x11, &[W(Md), R(Vd)]).cpuid(Sse).free().copies(),
        sse("movss", P0F, F3, 0x11, &[RW(Ud), R(Vd)]).cpuid(Sse),
        sse("movsd", P0F, F2, 0x11, &[W(Mq), R(Vq)]).free().copies(),
        sse("movsd", P0F, F2, 0x11, &[RW(Uq), R(Vq)]),
        sse("movhlps", P0F, NP, 0x12, &[RW(Vdq), R(Udq)]).cpuid(Sse),
        sse("movlps", P0F, NP, 0x12, &[RW(Vq), R(Mq)]).cpuid(Sse).free(),
        sse("movlpd", P0F, P66, 0x12, &[RW(Vq), R(Mq)]).free(),
        sse("movsldup", P0F, F3, 0x12, &[W(Vdq), R(Wdq)]).cpuid(Sse3),
        sse("movddup", P0F, F2, 0x12, &[W(Vdq), R(Wq)]).cpuid(Sse3).free(),
        sse("movlps", P0F, NP, 0x13, &[W(Mq), R(Vq)]).cpuid(Sse).free(),
        sse("movlpd", P0F, P66, 0x13, &[W(Mq), R(Vq)]).free(),
        sse("unpcklps", P0F, NP, 0x14, &[RW(Vdq), R(Wdq)]).cpuid(Sse).low_half(),
        sse("unpcklpd", P0F, P66, 0x14, &[RW(Vdq), R(Wdq)]).low_half(),
        sse("unpckhps", P0F, NP, 0x15, &[RW(Vdq), R(Wdq)]).cpuid(Sse),
        sse("unpckhpd", P0F, P66, 0x15, &[RW(Vdq), R(Wdq)]),
        sse("movlhps", P0F, NP, 0x16, &[RW(Vdq), R(Udq)]).cpuid(Sse),
        sse("movhps", P0F, NP, 0x16, &[RW(Vdq), R(Mq)]).cpuid(Sse).free(),
        sse("movhpd", P0F, P66, 0x16, &[RW(Vdq), R(Mq)]).free(),
        sse("movshdup", P0F, F3, 0x16, &[W(Vdq), R(Wdq)]).cpuid(Sse3),
        sse("movhps", P0F, NP, 0x17, &[W(Mq), R(Vdq)]).cpuid(Sse).free(),
        sse("movhpd", P0F, P66, 0x17, &[W(Mq), R(Vdq)]).free(),
        sse("movaps", P0F, NP, 0x28, &[W(Vdq), R(Wdq)]).cpuid(Sse).aligned().copies(),
        sse("movapd", P0F, P66, 0x28, &[W(Vdq), R(Wdq)]).aligned().copies(),
        sse("movaps", P0F, NP, 0x29, &[W(Wdq), R(Vdq)]).cpuid(Sse).aligned().copies(),
        sse("movapd", P0F, P66, 0x29, &[W(Wdq), R(Vdq)]).aligned().copies(),
        sse("cvtsi2ss", P0F, F3, 0x2a, &[RW(Vd), R(Ey)]).cpuid(Sse).free().fp(),
        sse("cvtsi2sd", P0F, F2, 0x2a, &[RW(Vq), R(Ey)]).free().fp(),
        sse("movntps", P0F, NP, 0x2b, &[W(Mdq), R(Vdq)]).cpuid(Sse).aligned().replayed_as(0x29).copies(),
        sse("movntpd", P0F, P66, 0x2b, &[W(Mdq), R(Vdq)]).aligned().replayed_as(0x29).copies(),
        sse("cvttss2si", P0F, F3, 0x2c, &[W(Gy), R(Wd)]).cpuid(Sse).free().fp(),
        sse("cvttsd2si", P0F, F2, 0x2c, &[W(Gy), R(Wq)]).free().fp(),
        sse("cvtss2si", P0F, F3, 0x2d, &[W(Gy), R(Wd)]).cpuid(Sse).free().fp(),
        sse("cvtsd2si", P0F, F2, 0x2d, &[W(Gy), R(Wq)]).free().fp(),
        sse("ucomiss", P0F, NP, 0x2e, &[R(Vd), R(Wd)]).cpuid(Sse).free().fp().flags(COMPARED),
        sse("ucomisd", P0F, P66, 0x2e, &[R(Vq), R(Wq)]).free().fp().flags(COMPARED),
        sse("comiss", P0F, NP, 0x2f, &[R(Vd), R(Wd)]).cpuid(Sse).free().fp().flags(COMPARED),
        sse("comisd", P0F, P66, 0x2f, &[R(Vq), R(Wq)]).free().fp().flags(COMPARED),
        sse("movmskps", P0F, NP, 0x50, &[W(Gd), R(Udq)]).cpuid(Sse),
        sse("movmskpd", P0F, P66, 0x50, &[W(Gd), R(Udq)]),
        sse("rsqrtps", P0F, NP, 0x52, &[W(Vdq), R(Wdq)]).cpuid(Sse),
        sse("rsqrtss", P0F, F3, 0x52, &[RW(Vd), R(Wd)]).cpuid(Sse).free(),
        sse("rcpps", P0F, NP, 0x53, &[W(Vdq), R(Wdq)]).cpuid(Sse),
        sse("rcpss", P0F, F3, 0x53, &[RW(Vd), R(Wd)]).cpuid(Sse).free(),
        sse("andps", P0F, NP, 0x54, &[RW(Vdq), R(Wdq)]).cpuid(Sse),
        sse("andpd", P0F, P66, 0x54, &[RW(Vdq), R(Wdq)]),
        sse("andnps", P0F, NP, 0x55, &[RW(Vdq), R(Wdq)]).cpuid(Sse),
        sse("andnpd", P0F, P66, 0x55, &[RW(Vdq), R(Wdq)]),
        sse("orps", P0F, NP, 0x56, &[RW(Vdq), R(Wdq)]).cpuid(Sse),
        sse("orpd", P0F, P66, 0x56, &[RW(Vdq), R(Wdq)]),
        sse("xorps", P0F, NP, 0x57, &[RW(Vdq), R(Wdq)]).cpuid(Sse),
        sse("xorpd", P0F, P66, 0x57, &[RW(Vdq), R(Wdq)]),
        sse("cvtps2pd", P0F, NP, 0x5a, &[W(Vdq), R(Wq)]).free().fp(),
        sse("cvtpd2ps", P0F, P66, 0x5a, &[W(Vdq), R(Wdq)]).fp(),
        sse("cvtss2sd", P0F, F3, 0x5a, &[RW(Vq), R(Wd)]).free().fp(),
        sse("cvtsd2ss", P0F, F2, 0x5a, &[RW(Vd), R(Wq)]).free().fp(),
        sse("cvtdq2ps", P0F, NP, 0x5b, &[W(Vdq), R(Wdq)]).fp(),
        sse("cvtps2dq", P0F, P66, 0x5b, &[W(Vdq), R(Wdq)]).fp(),
        sse("cvttps2dq", P0F, F3, 0x5b, &[W(Vdq), R(Wdq)]).fp(),
        low("punpcklbw", 0x60), low("punpcklwd", 0x61), low("punpckldq", 0x62), int("packsswb", 0x63),
        int("pcmpgtb", 0x64), int("pcmpgtw", 0x65), int("pcmpgtd", 0x66), int("packuswb", 0x67),
        int("punpckhbw", 0x68), int("punpckhwd", 0x69), int("punpckhdq", 0x6a), int("packssdw", 0x6b),
        low("punpcklqdq", 0x6c), int("punpckhqdq", 0x6d),
        sse("movq", P0F, P66, 0x6e, &[W(Vdq), R(Eq)]).w1().only64().free().copies(),
        sse("movd", P0F, P66, 0x6e, &[W(Vdq), R(Ed)]).free().copies(),
        sse("movdqa", P0F, P66, 0x6f, &[W(Vdq), R(Wdq)]).aligned().copies(),
        sse("movdqu", P0F, F3, 0x6f, &[W(Vdq), R(Wdq)]).free().copies(),
        sse("pshufd", P0F, P66, 0x70, &[W(Vdq), R(Wdq), R(Ib)]),
        sse("pshufhw", P0F, F3, 0x70, &[W(Vdq), R(Wdq), R(Ib)]),
        sse("pshuflw", P0F, F2, 0x70, &[W(Vdq), R(Wdq), R(Ib)]),
        sse("psrlw", P0F, P66, 0x71, &[RW(Udq), R(Ib)]).digit(2),
        sse("psraw", P0F, P66, 0x71, &[RW(Udq), R(Ib)]).digit(4),
        sse("psllw", P0F, P66, 0x71, &[RW(Udq), R(Ib)]).digit(6),
        sse("psrld", P0F, P66, 0x72, &[RW(Udq), R(Ib)]).digit(2),
        sse("psrad", P0F, P66, 0x72, &[RW(Udq), R(Ib)]).digit(4),
        sse("pslld", P0F, P66, 0x72, &[RW(Udq), R(Ib)]).digit(6),
        sse("psrlq", P0F, P66, 0x73, &[RW(Udq), R(Ib)]).digit(2),
        sse("psrldq", P0F, P66, 0x73, &[RW(Udq), R(Ib)]).digit(3),
        sse("psllq", P0F, P66, 0x73, &[RW(Udq), R(Ib)]).digit(6),
        sse("pslldq", P0F, P66, 0x73, &[RW(Udq), R(Ib)]).digit(7),
        int("pcmpeqb", 0x74), int("pcmpeqw", 0x75), int("pcmpeqd", 0x76),
        sse("haddpd", P0F, P66, 0x7c, &[RW(Vdq), R(Wdq)]).cpuid(Sse3).fp(),
        sse("haddps", P0F, F2, 0x7c, &[RW(Vdq), R(Wdq)]).cpuid(Sse3).fp(),
        sse("hsubpd", P0F, P66, 0x7d, &[RW(Vdq), R(Wdq)]).cpuid(Sse3).fp(),
        sse("hsubps", P0F, F2, 0x7d, &[RW(Vdq), R(Wdq)]).cpuid(Sse3).fp(),
        sse("movq", P0F, P66, 0x7e, &[W(Eq), R(Vdq)]).w1().only64().free().copies(),
        sse("movd", P0F, P66, 0x7e, &[W(Ed), R(Vdq)]).free().copies(),
        sse("movq", P0F, F3, 0x7e, &[W(Vdq), R(Wq)]).free().copies(),
        sse("movdqa", P0F, P66, 0x7f, &[W(Wdq), R(Vdq)]).aligned().copies(),
        sse("movdqu", P0F, F3, 0x7f, &[W(Wdq), R(Vdq)]).free().copies(),
        sse("cmpps", P0F, NP, 0xc2, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Sse).fp(),
        sse("cmppd", P0F, P66, 0xc2, &[RW(Vdq), R(Wdq), R(Ib)]).fp(),
        sse("cmpss", P0F, F3, 0xc2, &[RW(Vd), R(Wd), R(Ib)]).cpuid(Sse).free().fp(),
        sse("cmpsd", P0F, F2, 0xc2, &[RW(Vq), R(Wq), R(Ib)]).free().fp(),
        sse("pinsrw", P0F, P66, 0xc4, &[RW(Vdq), R(Mw), R(Ib)]).free(),
        sse("pinsrw", P0F, P66, 0xc4, &[RW(Vdq), R(Rd), R(Ib)]),
        sse("pextrw", P0F, P66, 0xc5, &[W(Gd), R(Udq), R(Ib)]),
        sse("shufps", P0F, NP, 0xc6, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Sse),
        sse("shufpd", P0F, P66, 0xc6, &[RW(Vdq), R(Wdq), R(Ib)]),
        sse("addsubpd", P0F, P66, 0xd0, &[RW(Vdq), R(Wdq)]).cpuid(Sse3).fp(),
        sse("addsubps", P0F, F2, 0xd0, &[RW(Vdq), R(Wdq)]).cpuid(Sse3).fp(),
        low("psrlw", 0xd1), low("psrld", 0xd2), low("psrlq", 0xd3), int("paddq", 0xd4), int("pmullw", 0xd5),
        sse("movq", P0F, P66, 0xd6, &[W(Mq), R(Vdq)]).free().copies(),
        sse("movq", P0F, P66, 0xd6, &[W(Udq), R(Vdq)]),
        sse("pmovmskb", P0F, P66, 0xd7, &[W(Gd), R(Udq)]),
        int("psubusb", 0xd8), int("psubusw", 0xd9), int("pminub", 0xda), int("pand", 0xdb),
        int("paddusb", 0xdc), int("paddusw", 0xdd), int("pmaxub", 0xde), int("pandn", 0xdf),
        int("pavgb", 0xe0), low("psraw", 0xe1), low("psrad", 0xe2), int("pavgw", 0xe3), int("pmulhuw", 0xe4), int("pmulhw", 0xe5),
        sse("cvttpd2dq", P0F, P66, 0xe6, &[W(Vdq), R(Wdq)]).fp(),
        sse("cvtdq2pd", P0F, F3, 0xe6, &[W(Vdq), R(Wq)]).free(),
        sse("cvtpd2dq", P0F, F2, 0xe6, &[W(Vdq), R(Wdq)]).fp(),
        sse("movntdq", P0F, P66, 0xe7, &[W(Mdq), R(Vdq)]).aligned().replayed_as(0x7f).copies(),
        int("psubsb", 0xe8), int("psubsw", 0xe9), int("pminsw", 0xea), int("por", 0xeb),
        int("paddsb", 0xec), int("paddsw", 0xed), int("pmaxsw", 0xee), int("pxor", 0xef),
        sse("lddqu", P0F, F2, 0xf0, &[W(Vdq), R(Mdq)]).cpuid(Sse3).free().copies(),
        low("psllw", 0xf1), low("pslld", 0xf2), low("psllq", 0xf3), int("pmuludq", 0xf4), int("pmaddwd", 0xf5), int("psadbw", 0xf6),
        sse("maskmovdqu", P0F, P66, 0xf7, &[R(Vdq), R(Udq)]).element(1).free().shape(Shape::ByteMask),
        int("psubb", 0xf8), int("psubw", 0xf9), int("psubd", 0xfa), int("psubq", 0xfb),
        int("paddb", 0xfc), int("paddw", 0xfd), int("paddd", 0xfe),
    ],
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F38: &[Row] = rows![
    [
        int38("pshufb", 0x00, Ssse3), int38("phaddw", 0x01, Ssse3), int38("phaddd", 0x02, Ssse3), int38("phaddsw", 0x03, Ssse3),
        int38("pmaddubsw", 0x04, Ssse3), int38("phsubw", 0x05, Ssse3), int38("phsubd", 0x06, Ssse3), int38("phsubsw", 0x07, Ssse3),
        int38("psignb", 0x08, Ssse3), int38("psignw", 0x09, Ssse3), int38("psignd", 0x0a, Ssse3), int38("pmulhrsw", 0x0b, Ssse3),
        sse("pblendvb", P0F38, P66, 0x10, &[RW(Vdq), R(Wdq), R(XMM0)]).cpuid(Sse41),
        sse("blendvps", P0F38, P66, 0x14, &[RW(Vdq), R(Wdq), R(XMM0)]).cpuid(Sse41),
        sse("blendvpd", P0F38, P66, 0x15, &[RW(Vdq), R(Wdq), R(XMM0)]).cpuid(Sse41),
        int38("ptest", 0x17, Sse41).uses_first(Use::Read).flags(TESTED),
        int38("pabsb", 0x1c, Ssse3).uses_first(Use::Write), int38("pabsw", 0x1d, Ssse3).uses_first(Use::Write),
        int38("pabsd", 0x1e, Ssse3).uses_first(Use::Write),
        widen("pmovsxbw", 0x20, Wq), widen("pmovsxbd", 0x21, Wd), widen("pmovsxbq", 0x22, Ww),
        widen("pmovsxwd", 0x23, Wq), widen("pmovsxwq", 0x24, Wd), widen("pmovsxdq", 0x25, Wq),
        int38("pmuldq", 0x28, Sse41), int38("pcmpeqq", 0x29, Sse41),
        sse("movntdqa", P0F38, P66, 0x2a, &[W(Vdq), R(Mdq)]).cpuid(Sse41).aligned().copies(),
        int38("packusdw", 0x2b, Sse41),
        widen("pmovzxbw", 0x30, Wq), widen("pmovzxbd", 0x31, Wd), widen("pmovzxbq", 0x32, Ww),
        widen("pmovzxwd", 0x33, Wq), widen("pmovzxwq", 0x34, Wd), widen("pmovzxdq", 0x35, Wq),
        int38("pcmpgtq", 0x37, Sse42), int38("pminsb", 0x38, Sse41), int38("pminsd", 0x39, Sse41), int38("pminuw", 0x3a, Sse41),
        int38("pminud", 0x3b, Sse41), int38("pmaxsb", 0x3c, Sse41), int38("pmaxsd", 0x3d, Sse41), int38("pmaxuw", 0x3e, Sse41),
        int38("pmaxud", 0x3f, Sse41), int38("pmulld", 0x40, Sse41),
        int38("phminposuw", 0x41, Sse41).uses_first(Use::Write),
        int38("aesimc", 0xdb, Aes).uses_first(Use::Write), int38("aesenc", 0xdc, Aes), int38("aesenclast", 0xdd, Aes),
        int38("aesdec", 0xde, Aes), int38("aesdeclast", 0xdf, Aes),
    ],
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F3A: &[Row] = rows![
    super::crypto::M0F3A,
    super::mmx::M0F3A,
    super::system::M0F3A,
    [
        sse("roundps", P0F3A, P66, 0x08, &[W(Vdq), R(Wdq), R(Ib)]).cpuid(Sse41).fp(),
        sse("roundpd", P0F3A, P66, 0x09, &[W(Vdq), R(Wdq), R(Ib)]).cpuid(Sse41).fp(),
        sse("roundss", P0F3A, P66, 0x0a, &[RW(Vd), R(Wd), R(Ib)]).cpuid(Sse41).free().fp(),
        sse("roundsd", P0F3A, P66, 0x0b, &[RW(Vq), R(Wq), R(Ib)]).cpuid(Sse41).free().fp(),
        sse("blendps", P0F3A, P66, 0x0c, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Sse41),
        sse("blendpd", P0F3A, P66, 0x0d, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Sse41),
        sse("pblendw", P0F3A, P66, 0x0e, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Sse41),
        sse("palignr", P0F3A, P66, 0x0f, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Ssse3),
        sse("pextrb", P0F3A, P66, 0x14, &[W(Mb), R(Vdq), R(Ib)]).cpuid(Sse41).free(),
        sse("pextrb", P0F3A, P66, 0x14, &[W(Rd), R(Vdq), R(Ib)]).cpuid(Sse41),
        sse("pextrw", P0F3A, P66, 0x15, &[W(Mw), R(Vdq), R(Ib)]).cpuid(Sse41).free(),
        sse("pextrw", P0F3A, P66, 0x15, &[W(Rd), R(Vdq), R(Ib)]).cpuid(Sse41),
        sse("pextrq", P0F3A, P66, 0x16, &[W(Eq), R(Vdq), R(Ib)]).w1().only64().cpuid(Sse41).free(),
        sse("pextrd", P0F3A, P66, 0x16, &[W(Ed), R(Vdq), R(Ib)]).cpuid(Sse41).free(),
        sse("extractps", P0F3A, P66, 0x17, &[W(Ed), R(Vdq), R(Ib)]).cpuid(Sse41).free(),
        sse("pinsrb", P0F3A, P66, 0x20, &[RW(Vdq), R(Mb), R(Ib)]).cpuid(Sse41).free(),
        sse("pinsrb", P0F3A, P66, 0x20, &[RW(Vdq), R(Rd), R(Ib)]).cpuid(Sse41),
        sse("insertps", P0F3A, P66, 0x21, &[RW(Vdq), R(Md), R(Ib)]).cpuid(Sse41).free(),
        sse("insertps", P0F3A, P66, 0x21, &[RW(Vdq), R(Udq), R(Ib)]).cpuid(Sse41),
        sse("pinsrq", P0F3A, P66, 0x22, &[RW(Vdq), R(Eq), R(Ib)]).w1().only64().cpuid(Sse41).free(),
        sse("pinsrd", P0F3A, P66, 0x22, &[RW(Vdq), R(Ed), R(Ib)]).cpuid(Sse41).free(),
        sse("dpps", P0F3A, P66, 0x40, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Sse41).fp().attr(attr::STAGED),
        sse("dppd", P0F3A, P66, 0x41, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Sse41).fp().attr(attr::STAGED),
        sse("mpsadbw", P0F3A, P66, 0x42, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Sse41),
        sse("pclmulqdq", P0F3A, P66, 0x44, &[RW(Vdq), R(Wdq), R(Ib)]).cpuid(Pclmulqdq),
        text("pcmpestrm", 0x60, &[R(Vdq), R(Wdq), R(Ib), R(LENGTHS), W(XMM0.hidden())]),
        text("pcmpestri", 0x61, &[R(Vdq), R(Wdq), R(Ib), R(LENGTHS), W(rCXy.hidden())]),
        text("pcmpistrm", 0x62, &[R(Vdq), R(Wdq), R(Ib), W(XMM0.hidden())]),
        text("pcmpistri", 0x63, &[R(Vdq), R(Wdq), R(Ib), W(rCXy.hidden())]),
        sse("aeskeygenassist", P0F3A, P66, 0xdf, &[W(Vdq), R(Wdq), R(Ib)]).cpuid(Aes),
    ],
];
