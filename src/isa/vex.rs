//! AVX, AVX2 and opmask instructions in the VEX encoding.

mod float;

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use super::{amx, crypto, dot, f16c, fma, fma4, ne_convert};
use Map::{M0f as P0F, M0f3a as P0F3A, M0f38 as P0F38};

/// `vpxxx x, x, x/m` under 66: AVX at 128 bits, AVX2 at 256.
const fn int(name: &'static str, opcode: u8) -> Row {
    vex(name, P0F, P66, opcode, &[W(Vx), R(Hx), R(Wx)]).avx2_256()
}

/// The same in map 0F38.
const fn int38(name: &'static str, opcode: u8) -> Row {
    vex(name, P0F38, P66, opcode, &[W(Vx), R(Hx), R(Wx)]).avx2_256()
}

/// Shifts by a count in an XMM register or 16 bytes of memory.
const fn shift(name: &'static str, opcode: u8) -> Row {
    vex(name, P0F, P66, opcode, &[W(Vx), R(Hx), R(Wdq)]).avx2_256()
}

/// Shifts by an immediate; the destination is VEX.vvvv.
const fn shift_imm(name: &'static str, opcode: u8, digit: u32) -> Row {
    vex(name, P0F, P66, opcode, &[W(Hx), R(Ux), R(Ib)]).digit(digit).avx2_256()
}

/// PS, PD, SS and SD lines of one floating-point opcode with two sources.
macro_rules! float {
    ($op:literal, $ps:literal, $pd:literal, $ss:literal, $sd:literal) => {
        [
            vex($ps, P0F, NP, $op, &[W(Vx), R(Hx), R(Wx)]).fp(),
            vex($pd, P0F, P66, $op, &[W(Vx), R(Hx), R(Wx)]).fp(),
            vex($ss, P0F, F3, $op, &[W(Vdq), R(Hdq), R(Wd)]).lig().free().fp(),
            vex($sd, P0F, F2, $op, &[W(Vdq), R(Hdq), R(Wq)]).lig().free().fp(),
        ]
    };
}

const ADD: [Row; 4] = float!(0x58, "vaddps", "vaddpd", "vaddss", "vaddsd");
const MUL: [Row; 4] = float!(0x59, "vmulps", "vmulpd", "vmulss", "vmulsd");
const SUB: [Row; 4] = float!(0x5c, "vsubps", "vsubpd", "vsubss", "vsubsd");
const MIN: [Row; 4] = float!(0x5d, "vminps", "vminpd", "vminss", "vminsd");
const DIV: [Row; 4] = float!(0x5e, "vdivps", "vdivpd", "vdivss", "vdivsd");
const MAX: [Row; 4] = float!(0x5f, "vmaxps", "vmaxpd", "vmaxss", "vmaxsd");

/// KMOV of one width: from opmask or memory, to memory, from and to a general-purpose register.
const fn kmask(r: Row, feature: super::Feature) -> Row {
    r.l0().gate(Gate::Avx512).cpuid(feature).free()
}

/// An opmask instruction with two sources (VEX.L1).
const fn k3(name: &'static str, pp: Pp, opcode: u8, ops: &[Spec], feature: super::Feature) -> Row {
    vex(name, P0F, pp, opcode, ops).l1().gate(Gate::Avx512).cpuid(feature).reg()
}

const TESTED: FlagEffect = FlagEffect::of(0, flag::CF | flag::ZF, 0).clears(flag::PF | flag::AF | flag::SF | flag::OF);

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F: &[Row] = rows![
    ADD, MUL, SUB, MIN, DIV, MAX, float::M0F,
    [
        vex("vmovups", P0F, NP, 0x10, &[W(Vx), R(Wx)]).free().copies(),
        vex("vmovupd", P0F, P66, 0x10, &[W(Vx), R(Wx)]).free().copies(),
        vex("vmovss", P0F, F3, 0x10, &[W(Vdq), R(Md)]).lig().free().copies(),
        vex("vmovss", P0F, F3, 0x10, &[W(Vdq), R(Hdq), R(Ud)]).lig(),
        vex("vmovsd", P0F, F2, 0x10, &[W(Vdq), R(Mq)]).lig().free().copies(),
        vex("vmovsd", P0F, F2, 0x10, &[W(Vdq), R(Hdq), R(Uq)]).lig(),
        vex("vmovups", P0F, NP, 0x11, &[W(Wx), R(Vx)]).free().copies(),
        vex("vmovupd", P0F, P66, 0x11, &[W(Wx), R(Vx)]).free().copies(),
        vex("vmovss", P0F, F3, 0x11, &[W(Md), R(Vd)]).lig().free().copies(),
        vex("vmovss", P0F, F3, 0x11, &[W(Udq), R(Hdq), R(Vd)]).lig(),
        vex("vmovsd", P0F, F2, 0x11, &[W(Mq), R(Vq)]).lig().free().copies(),
        vex("vmovsd", P0F, F2, 0x11, &[W(Udq), R(Hdq), R(Vq)]).lig(),
        vex("vmovhlps", P0F, NP, 0x12, &[W(Vdq), R(Hdq), R(Udq)]).l0(),
        vex("vmovlps", P0F, NP, 0x12, &[W(Vdq), R(Hdq), R(Mq)]).l0().free(),
        vex("vmovlpd", P0F, P66, 0x12, &[W(Vdq), R(Hdq), R(Mq)]).l0().free(),
        vex("vmovsldup", P0F, F3, 0x12, &[W(Vx), R(Wx)]),
        vex("vmovddup", P0F, F2, 0x12, &[W(Vx), R(Wxdup)]).free(),
        vex("vmovlps", P0F, NP, 0x13, &[W(Mq), R(Vq)]).l0().free(),
        vex("vmovlpd", P0F, P66, 0x13, &[W(Mq), R(Vq)]).l0().free(),
        vex("vunpcklps", P0F, NP, 0x14, &[W(Vx), R(Hx), R(Wx)]),
        vex("vunpcklpd", P0F, P66, 0x14, &[W(Vx), R(Hx), R(Wx)]),
        vex("vunpckhps", P0F, NP, 0x15, &[W(Vx), R(Hx), R(Wx)]),
        vex("vunpckhpd", P0F, P66, 0x15, &[W(Vx), R(Hx), R(Wx)]),
        vex("vmovlhps", P0F, NP, 0x16, &[W(Vdq), R(Hdq), R(Udq)]).l0(),
        vex("vmovhps", P0F, NP, 0x16, &[W(Vdq), R(Hdq), R(Mq)]).l0().free(),
        vex("vmovhpd", P0F, P66, 0x16, &[W(Vdq), R(Hdq), R(Mq)]).l0().free(),
        vex("vmovshdup", P0F, F3, 0x16, &[W(Vx), R(Wx)]),
        vex("vmovhps", P0F, NP, 0x17, &[W(Mq), R(Vdq)]).l0().free(),
        vex("vmovhpd", P0F, P66, 0x17, &[W(Mq), R(Vdq)]).l0().free(),
        vex("vmovaps", P0F, NP, 0x28, &[W(Vx), R(Wx)]).aligned().copies(),
        vex("vmovapd", P0F, P66, 0x28, &[W(Vx), R(Wx)]).aligned().copies(),
        vex("vmovaps", P0F, NP, 0x29, &[W(Wx), R(Vx)]).aligned().copies(),
        vex("vmovapd", P0F, P66, 0x29, &[W(Wx), R(Vx)]).aligned().copies(),
        vex("vmovntps", P0F, NP, 0x2b, &[W(Mx), R(Vx)]).aligned().replayed_as(0x29).copies(),
        vex("vmovntpd", P0F, P66, 0x2b, &[W(Mx), R(Vx)]).aligned().replayed_as(0x29).copies(),
        k3("kandw", NP, 0x41, &[W(KGw), R(KHw), R(KRw)], Avx512f).w0(),
        k3("kandb", P66, 0x41, &[W(KGb), R(KHb), R(KRb)], Avx512dq).w0(),
        k3("kandq", NP, 0x41, &[W(KGq), R(KHq), R(KRq)], Avx512bw).w1(),
        k3("kandd", P66, 0x41, &[W(KGd), R(KHd), R(KRd)], Avx512bw).w1(),
        k3("kandnw", NP, 0x42, &[W(KGw), R(KHw), R(KRw)], Avx512f).w0(),
        k3("kandnb", P66, 0x42, &[W(KGb), R(KHb), R(KRb)], Avx512dq).w0(),
        k3("kandnq", NP, 0x42, &[W(KGq), R(KHq), R(KRq)], Avx512bw).w1(),
        k3("kandnd", P66, 0x42, &[W(KGd), R(KHd), R(KRd)], Avx512bw).w1(),
        kmask(vex("knotw", P0F, NP, 0x44, &[W(KGw), R(KRw)]), Avx512f).w0(),
        kmask(vex("knotb", P0F, P66, 0x44, &[W(KGb), R(KRb)]), Avx512dq).w0(),
        kmask(vex("knotq", P0F, NP, 0x44, &[W(KGq), R(KRq)]), Avx512bw).w1(),
        kmask(vex("knotd", P0F, P66, 0x44, &[W(KGd), R(KRd)]), Avx512bw).w1(),
        k3("korw", NP, 0x45, &[W(KGw), R(KHw), R(KRw)], Avx512f).w0(),
        k3("korb", P66, 0x45, &[W(KGb), R(KHb), R(KRb)], Avx512dq).w0(),
        k3("korq", NP, 0x45, &[W(KGq), R(KHq), R(KRq)], Avx512bw).w1(),
        k3("kord", P66, 0x45, &[W(KGd), R(KHd), R(KRd)], Avx512bw).w1(),
        k3("kxnorw", NP, 0x46, &[W(KGw), R(KHw), R(KRw)], Avx512f).w0(),
        k3("kxnorb", P66, 0x46, &[W(KGb), R(KHb), R(KRb)], Avx512dq).w0(),
        k3("kxnorq", NP, 0x46, &[W(KGq), R(KHq), R(KRq)], Avx512bw).w1(),
        k3("kxnord", P66, 0x46, &[W(KGd), R(KHd), R(KRd)], Avx512bw).w1(),
        k3("kxorw", NP, 0x47, &[W(KGw), R(KHw), R(KRw)], Avx512f).w0(),
        k3("kxorb", P66, 0x47, &[W(KGb), R(KHb), R(KRb)], Avx512dq).w0(),
        k3("kxorq", NP, 0x47, &[W(KGq), R(KHq), R(KRq)], Avx512bw).w1(),
        k3("kxord", P66, 0x47, &[W(KGd), R(KHd), R(KRd)], Avx512bw).w1(),
        k3("kaddw", NP, 0x4a, &[W(KGw), R(KHw), R(KRw)], Avx512dq).w0(),
        k3("kaddb", P66, 0x4a, &[W(KGb), R(KHb), R(KRb)], Avx512dq).w0(),
        k3("kaddq", NP, 0x4a, &[W(KGq), R(KHq), R(KRq)], Avx512bw).w1(),
        k3("kaddd", P66, 0x4a, &[W(KGd), R(KHd), R(KRd)], Avx512bw).w1(),
        k3("kunpckbw", P66, 0x4b, &[W(KGw), R(KHb), R(KRb)], Avx512f).w0(),
        k3("kunpckwd", NP, 0x4b, &[W(KGd), R(KHw), R(KRw)], Avx512bw).w0(),
        k3("kunpckdq", NP, 0x4b, &[W(KGq), R(KHd), R(KRd)], Avx512bw).w1(),
        vex("vandps", P0F, NP, 0x54, &[W(Vx), R(Hx), R(Wx)]),
        vex("vandpd", P0F, P66, 0x54, &[W(Vx), R(Hx), R(Wx)]),
        vex("vandnps", P0F, NP, 0x55, &[W(Vx), R(Hx), R(Wx)]),
        vex("vandnpd", P0F, P66, 0x55, &[W(Vx), R(Hx), R(Wx)]),
        vex("vorps", P0F, NP, 0x56, &[W(Vx), R(Hx), R(Wx)]),
        vex("vorpd", P0F, P66, 0x56, &[W(Vx), R(Hx), R(Wx)]),
        vex("vxorps", P0F, NP, 0x57, &[W(Vx), R(Hx), R(Wx)]),
        vex("vxorpd", P0F, P66, 0x57, &[W(Vx), R(Hx), R(Wx)]),
        vex("vcvtdq2ps", P0F, NP, 0x5b, &[W(Vx), R(Wx)]).fp(),
        vex("vcvtps2dq", P0F, P66, 0x5b, &[W(Vx), R(Wx)]).fp(),
        vex("vcvttps2dq", P0F, F3, 0x5b, &[W(Vx), R(Wx)]).fp(),
        int("vpunpcklbw", 0x60), int("vpunpcklwd", 0x61), int("vpunpckldq", 0x62), int("vpacksswb", 0x63),
        int("vpcmpgtb", 0x64), int("vpcmpgtw", 0x65), int("vpcmpgtd", 0x66), int("vpackuswb", 0x67),
        int("vpunpckhbw", 0x68), int("vpunpckhwd", 0x69), int("vpunpckhdq", 0x6a), int("vpackssdw", 0x6b),
        int("vpunpcklqdq", 0x6c), int("vpunpckhqdq", 0x6d),
        vex("vmovq", P0F, P66, 0x6e, &[W(Vdq), R(Eq)]).l0().w1().only64().free().copies(),
        vex("vmovd", P0F, P66, 0x6e, &[W(Vdq), R(Ed)]).l0().w_gpr().free().copies(),
        vex("vmovdqa", P0F, P66, 0x6f, &[W(Vx), R(Wx)]).aligned().copies(),
        vex("vmovdqu", P0F, F3, 0x6f, &[W(Vx), R(Wx)]).free().copies(),
        vex("vpshufd", P0F, P66, 0x70, &[W(Vx), R(Wx), R(Ib)]).avx2_256(),
        vex("vpshufhw", P0F, F3, 0x70, &[W(Vx), R(Wx), R(Ib)]).avx2_256(),
        vex("vpshuflw", P0F, F2, 0x70, &[W(Vx), R(Wx), R(Ib)]).avx2_256(),
        shift_imm("vpsrlw", 0x71, 2), shift_imm("vpsraw", 0x71, 4), shift_imm("vpsllw", 0x71, 6),
        shift_imm("vpsrld", 0x72, 2), shift_imm("vpsrad", 0x72, 4), shift_imm("vpslld", 0x72, 6),
        shift_imm("vpsrlq", 0x73, 2), shift_imm("vpsrldq", 0x73, 3), shift_imm("vpsllq", 0x73, 6), shift_imm("vpslldq", 0x73, 7),
        int("vpcmpeqb", 0x74), int("vpcmpeqw", 0x75), int("vpcmpeqd", 0x76),
        vex("vzeroupper", P0F, NP, 0x77, &[]).l0().system(SysOp::Vzero),
        vex("vzeroall", P0F, NP, 0x77, &[]).l1().system(SysOp::Vzero),
        vex("vmovq", P0F, P66, 0x7e, &[W(Eq), R(Vdq)]).l0().w1().only64().free().copies(),
        vex("vmovd", P0F, P66, 0x7e, &[W(Ed), R(Vdq)]).l0().w_gpr().free().copies(),
        vex("vmovq", P0F, F3, 0x7e, &[W(Vdq), R(Wq)]).l0().free().copies(),
        vex("vmovdqa", P0F, P66, 0x7f, &[W(Wx), R(Vx)]).aligned().copies(),
        vex("vmovdqu", P0F, F3, 0x7f, &[W(Wx), R(Vx)]).free().copies(),
        kmask(vex("kmovw", P0F, NP, 0x90, &[W(KGw), R(KEw)]), Avx512f).w0(),
        kmask(vex("kmovb", P0F, P66, 0x90, &[W(KGb), R(KEb)]), Avx512dq).w0(),
        kmask(vex("kmovq", P0F, NP, 0x90, &[W(KGq), R(KEq)]), Avx512bw).w1(),
        kmask(vex("kmovd", P0F, P66, 0x90, &[W(KGd), R(KEd)]), Avx512bw).w1(),
        kmask(vex("kmovw", P0F, NP, 0x91, &[W(Mw), R(KGw)]), Avx512f).w0(),
        kmask(vex("kmovb", P0F, P66, 0x91, &[W(Mb), R(KGb)]), Avx512dq).w0(),
        kmask(vex("kmovq", P0F, NP, 0x91, &[W(Mq), R(KGq)]), Avx512bw).w1(),
        kmask(vex("kmovd", P0F, P66, 0x91, &[W(Md), R(KGd)]), Avx512bw).w1(),
        kmask(vex("kmovw", P0F, NP, 0x92, &[W(KGw), R(Rd)]), Avx512f).w0(),
        kmask(vex("kmovb", P0F, P66, 0x92, &[W(KGb), R(Rd)]), Avx512dq).w0(),
        kmask(vex("kmovq", P0F, F2, 0x92, &[W(KGq), R(Rq)]), Avx512bw).w1().only64(),
        kmask(vex("kmovd", P0F, F2, 0x92, &[W(KGd), R(Rd)]), Avx512bw).w_gpr(),
        kmask(vex("kmovw", P0F, NP, 0x93, &[W(Gd), R(KRw)]), Avx512f).w0(),
        kmask(vex("kmovb", P0F, P66, 0x93, &[W(Gd), R(KRb)]), Avx512dq).w0(),
        kmask(vex("kmovq", P0F, F2, 0x93, &[W(Gq), R(KRq)]), Avx512bw).w1().only64(),
        kmask(vex("kmovd", P0F, F2, 0x93, &[W(Gd), R(KRd)]), Avx512bw).w_gpr(),
        kmask(vex("kortestw", P0F, NP, 0x98, &[R(KGw), R(KRw)]), Avx512f).w0().flags(TESTED),
        kmask(vex("kortestb", P0F, P66, 0x98, &[R(KGb), R(KRb)]), Avx512dq).w0().flags(TESTED),
        kmask(vex("kortestq", P0F, NP, 0x98, &[R(KGq), R(KRq)]), Avx512bw).w1().flags(TESTED),
        kmask(vex("kortestd", P0F, P66, 0x98, &[R(KGd), R(KRd)]), Avx512bw).w1().flags(TESTED),
        kmask(vex("ktestw", P0F, NP, 0x99, &[R(KGw), R(KRw)]), Avx512dq).w0().flags(TESTED),
        kmask(vex("ktestb", P0F, P66, 0x99, &[R(KGb), R(KRb)]), Avx512dq).w0().flags(TESTED),
        kmask(vex("ktestq", P0F, NP, 0x99, &[R(KGq), R(KRq)]), Avx512bw).w1().flags(TESTED),
        kmask(vex("ktestd", P0F, P66, 0x99, &[R(KGd), R(KRd)]), Avx512bw).w1().flags(TESTED),
        vex("vpinsrw", P0F, P66, 0xc4, &[W(Vdq), R(Hdq), R(Mw), R(Ib)]).l0().free(),
        vex("vpinsrw", P0F, P66, 0xc4, &[W(Vdq), R(Hdq), R(Rd), R(Ib)]).l0(),
        vex("vpextrw", P0F, P66, 0xc5, &[W(Gd), R(Udq), R(Ib)]).l0(),
        vex("vshufps", P0F, NP, 0xc6, &[W(Vx), R(Hx), R(Wx), R(Ib)]),
        vex("vshufpd", P0F, P66, 0xc6, &[W(Vx), R(Hx), R(Wx), R(Ib)]),
        shift("vpsrlw", 0xd1), shift("vpsrld", 0xd2), shift("vpsrlq", 0xd3), int("vpaddq", 0xd4), int("vpmullw", 0xd5),
        vex("vmovq", P0F, P66, 0xd6, &[W(Mq), R(Vdq)]).l0().free().copies(),
        vex("vmovq", P0F, P66, 0xd6, &[W(Udq), R(Vdq)]).l0(),
        vex("vpmovmskb", P0F, P66, 0xd7, &[W(Gd), R(Ux)]).avx2_256(),
        int("vpsubusb", 0xd8), int("vpsubusw", 0xd9), int("vpminub", 0xda), int("vpand", 0xdb),
        int("vpaddusb", 0xdc), int("vpaddusw", 0xdd), int("vpmaxub", 0xde), int("vpandn", 0xdf),
        int("vpavgb", 0xe0), shift("vpsraw", 0xe1), shift("vpsrad", 0xe2), int("vpavgw", 0xe3), int("vpmulhuw", 0xe4), int("vpmulhw", 0xe5),
        vex("vmovntdq", P0F, P66, 0xe7, &[W(Mx), R(Vx)]).aligned().replayed_as(0x7f).copies(),
        int("vpsubsb", 0xe8), int("vpsubsw", 0xe9), int("vpminsw", 0xea), int("vpor", 0xeb),
        int("vpaddsb", 0xec), int("vpaddsw", 0xed), int("vpmaxsw", 0xee), int("vpxor", 0xef),
        vex("vlddqu", P0F, F2, 0xf0, &[W(Vx), R(Mx)]).free().copies(),
        shift("vpsllw", 0xf1), shift("vpslld", 0xf2), shift("vpsllq", 0xf3), int("vpmuludq", 0xf4), int("vpmaddwd", 0xf5), int("vpsadbw", 0xf6),
        vex("vmaskmovdqu", P0F, P66, 0xf7, &[R(Vdq), R(Udq)]).l0().element(1).free().shape(Shape::ByteMask),
        int("vpsubb", 0xf8), int("vpsubw", 0xf9), int("vpsubd", 0xfa), int("vpsubq", 0xfb),
        int("vpaddb", 0xfc), int("vpaddw", 0xfd), int("vpaddd", 0xfe),
    ],
];

const fn gather(name: &'static str, opcode: u8, dst: Spec, mem: Spec, mask: Spec) -> Row {
    let element = if matches!(mem.width, Width::D) { 4 } else { 8 };
    let r = vex(name, P0F38, P66, opcode, &[RW(dst), R(mem), RW(mask)]).cpuid(Avx2).free();
    r.element(element).shape(Shape::Gather)
}

const fn maskmov(name: &'static str, opcode: u8, ops: &[Spec], element: u8, feature: super::Feature) -> Row {
    vex(name, P0F38, P66, opcode, ops).cpuid(feature).free().element(element).shape(Shape::SignMask)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F38: &[Row] = rows![
    crypto::VEX_M0F38, dot::VEX_M0F38, ne_convert::VEX_M0F38, f16c::VEX_M0F38, fma::VEX_M0F38,
    super::bits::VEX_M0F38, amx::VEX_M0F38,
    [
        int38("vpshufb", 0x00), int38("vphaddw", 0x01), int38("vphaddd", 0x02), int38("vphaddsw", 0x03),
        int38("vpmaddubsw", 0x04), int38("vphsubw", 0x05), int38("vphsubd", 0x06), int38("vphsubsw", 0x07),
        int38("vpsignb", 0x08), int38("vpsignw", 0x09), int38("vpsignd", 0x0a), int38("vpmulhrsw", 0x0b),
        vex("vpermilps", P0F38, P66, 0x0c, &[W(Vx), R(Hx), R(Wx)]).w0(),
        vex("vpermilpd", P0F38, P66, 0x0d, &[W(Vx), R(Hx), R(Wx)]).w0(),
        vex("vtestps", P0F38, P66, 0x0e, &[R(Vx), R(Wx)]).w0().flags(TESTED),
        vex("vtestpd", P0F38, P66, 0x0f, &[R(Vx), R(Wx)]).w0().flags(TESTED),
        vex("vpermps", P0F38, P66, 0x16, &[W(Vqq), R(Hqq), R(Wqq)]).l1().w0().cpuid(Avx2),
        vex("vptest", P0F38, P66, 0x17, &[R(Vx), R(Wx)]).flags(TESTED),
        vex("vbroadcastss", P0F38, P66, 0x18, &[W(Vx), R(Md)]).w0().free(),
        vex("vbroadcastss", P0F38, P66, 0x18, &[W(Vx), R(Ud)]).w0().cpuid(Avx2),
        vex("vbroadcastsd", P0F38, P66, 0x19, &[W(Vqq), R(Mq)]).l1().w0().free(),
        vex("vbroadcastsd", P0F38, P66, 0x19, &[W(Vqq), R(Uq)]).l1().w0().cpuid(Avx2),
        vex("vbroadcastf128", P0F38, P66, 0x1a, &[W(Vqq), R(Mdq)]).l1().w0().free(),
        vex("vpabsb", P0F38, P66, 0x1c, &[W(Vx), R(Wx)]).avx2_256(),
        vex("vpabsw", P0F38, P66, 0x1d, &[W(Vx), R(Wx)]).avx2_256(),
        vex("vpabsd", P0F38, P66, 0x1e, &[W(Vx), R(Wx)]).avx2_256(),
        vex("vpmovsxbw", P0F38, P66, 0x20, &[W(Vx), R(Wxh)]).avx2_256().free(),
        vex("vpmovsxbd", P0F38, P66, 0x21, &[W(Vx), R(Wxq)]).avx2_256().free(),
        vex("vpmovsxbq", P0F38, P66, 0x22, &[W(Vx), R(Wxe)]).avx2_256().free(),
        vex("vpmovsxwd", P0F38, P66, 0x23, &[W(Vx), R(Wxh)]).avx2_256().free(),
        vex("vpmovsxwq", P0F38, P66, 0x24, &[W(Vx), R(Wxq)]).avx2_256().free(),
        vex("vpmovsxdq", P0F38, P66, 0x25, &[W(Vx), R(Wxh)]).avx2_256().free(),
        int38("vpmuldq", 0x28), int38("vpcmpeqq", 0x29),
        vex("vmovntdqa", P0F38, P66, 0x2a, &[W(Vx), R(Mx)]).avx2_256().aligned().copies(),
        int38("vpackusdw", 0x2b),
        maskmov("vmaskmovps", 0x2c, &[W(Vx), R(Hx), R(Mx)], 4, Avx).w0(),
        maskmov("vmaskmovpd", 0x2d, &[W(Vx), R(Hx), R(Mx)], 8, Avx).w0(),
        maskmov("vmaskmovps", 0x2e, &[CW(Mx), R(Hx), R(Vx)], 4, Avx).w0(),
        maskmov("vmaskmovpd", 0x2f, &[CW(Mx), R(Hx), R(Vx)], 8, Avx).w0(),
        vex("vpmovzxbw", P0F38, P66, 0x30, &[W(Vx), R(Wxh)]).avx2_256().free(),
        vex("vpmovzxbd", P0F38, P66, 0x31, &[W(Vx), R(Wxq)]).avx2_256().free(),
        vex("vpmovzxbq", P0F38, P66, 0x32, &[W(Vx), R(Wxe)]).avx2_256().free(),
        vex("vpmovzxwd", P0F38, P66, 0x33, &[W(Vx), R(Wxh)]).avx2_256().free(),
        vex("vpmovzxwq", P0F38, P66, 0x34, &[W(Vx), R(Wxq)]).avx2_256().free(),
        vex("vpmovzxdq", P0F38, P66, 0x35, &[W(Vx), R(Wxh)]).avx2_256().free(),
        vex("vpermd", P0F38, P66, 0x36, &[W(Vqq), R(Hqq), R(Wqq)]).l1().w0().cpuid(Avx2),
        int38("vpcmpgtq", 0x37), int38("vpminsb", 0x38), int38("vpminsd", 0x39), int38("vpminuw", 0x3a),
        int38("vpminud", 0x3b), int38("vpmaxsb", 0x3c), int38("vpmaxsd", 0x3d), int38("vpmaxuw", 0x3e),
        int38("vpmaxud", 0x3f), int38("vpmulld", 0x40),
        vex("vphminposuw", P0F38, P66, 0x41, &[W(Vdq), R(Wdq)]).l0(),
        vex("vpsrlvd", P0F38, P66, 0x45, &[W(Vx), R(Hx), R(Wx)]).w0().cpuid(Avx2),
        vex("vpsrlvq", P0F38, P66, 0x45, &[W(Vx), R(Hx), R(Wx)]).w1().cpuid(Avx2),
        vex("vpsravd", P0F38, P66, 0x46, &[W(Vx), R(Hx), R(Wx)]).w0().cpuid(Avx2),
        vex("vpsllvd", P0F38, P66, 0x47, &[W(Vx), R(Hx), R(Wx)]).w0().cpuid(Avx2),
        vex("vpsllvq", P0F38, P66, 0x47, &[W(Vx), R(Hx), R(Wx)]).w1().cpuid(Avx2),
        vex("vpbroadcastd", P0F38, P66, 0x58, &[W(Vx), R(Wd)]).w0().cpuid(Avx2).free(),
        vex("vpbroadcastq", P0F38, P66, 0x59, &[W(Vx), R(Wq)]).w0().cpuid(Avx2).free(),
        vex("vbroadcasti128", P0F38, P66, 0x5a, &[W(Vqq), R(Mdq)]).l1().w0().cpuid(Avx2).free(),
        vex("vpbroadcastb", P0F38, P66, 0x78, &[W(Vx), R(Wb)]).w0().cpuid(Avx2).free(),
        vex("vpbroadcastw", P0F38, P66, 0x79, &[W(Vx), R(Ww)]).w0().cpuid(Avx2).free(),
        maskmov("vpmaskmovd", 0x8c, &[W(Vx), R(Hx), R(Mx)], 4, Avx2).w0(),
        maskmov("vpmaskmovq", 0x8c, &[W(Vx), R(Hx), R(Mx)], 8, Avx2).w1(),
        maskmov("vpmaskmovd", 0x8e, &[CW(Mx), R(Hx), R(Vx)], 4, Avx2).w0(),
        maskmov("vpmaskmovq", 0x8e, &[CW(Mx), R(Hx), R(Vx)], 8, Avx2).w1(),
        gather("vpgatherdd", 0x90, Vx, VMd, Hx).w0(),
        gather("vpgatherdq", 0x90, Vx, VMq, Hx).w1(),
        gather("vpgatherqd", 0x91, Vxh, VMd, Hxh).w0(),
        gather("vpgatherqq", 0x91, Vx, VMq, Hx).w1(),
        gather("vgatherdps", 0x92, Vx, VMd, Hx).w0(),
        gather("vgatherdpd", 0x92, Vx, VMq, Hx).w1(),
        gather("vgatherqps", 0x93, Vxh, VMd, Hxh).w0(),
        gather("vgatherqpd", 0x93, Vx, VMq, Hx).w1(),
    ],
];

const STRINGS: FlagEffect = FlagEffect::of(0, flag::ARITH, 0).clears(flag::AF | flag::PF);

/// A comparison of strings.
const fn string(name: &'static str, opcode: u8, ops: &[Spec]) -> Row {
    vex(name, P0F3A, P66, opcode, ops).l0().free().flags(STRINGS)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F3A: &[Row] = rows![
    crypto::VEX_M0F3A, f16c::VEX_M0F3A, fma4::VEX_M0F3A,
    super::bits::VEX_M0F3A, float::M0F3A,
    [
        vex("vpermq", P0F3A, P66, 0x00, &[W(Vqq), R(Wqq), R(Ib)]).l1().attr(attr::W1_BUT_AMD).cpuid(Avx2),
        vex("vpermpd", P0F3A, P66, 0x01, &[W(Vqq), R(Wqq), R(Ib)]).l1().attr(attr::W1_BUT_AMD).cpuid(Avx2),
        vex("vpblendd", P0F3A, P66, 0x02, &[W(Vx), R(Hx), R(Wx), R(Ib)]).w0().cpuid(Avx2),
        vex("vpermilps", P0F3A, P66, 0x04, &[W(Vx), R(Wx), R(Ib)]).w0(),
        vex("vpermilpd", P0F3A, P66, 0x05, &[W(Vx), R(Wx), R(Ib)]).w0(),
        vex("vperm2f128", P0F3A, P66, 0x06, &[W(Vqq), R(Hqq), R(Wqq), R(Ib)]).l1().w0(),
        vex("vpblendw", P0F3A, P66, 0x0e, &[W(Vx), R(Hx), R(Wx), R(Ib)]).avx2_256(),
        vex("vpalignr", P0F3A, P66, 0x0f, &[W(Vx), R(Hx), R(Wx), R(Ib)]).avx2_256(),
        vex("vpextrb", P0F3A, P66, 0x14, &[W(Mb), R(Vdq), R(Ib)]).l0().free(),
        vex("vpextrb", P0F3A, P66, 0x14, &[W(Rd), R(Vdq), R(Ib)]).l0(),
        vex("vpextrw", P0F3A, P66, 0x15, &[W(Mw), R(Vdq), R(Ib)]).l0().free(),
        vex("vpextrw", P0F3A, P66, 0x15, &[W(Rd), R(Vdq), R(Ib)]).l0(),
        vex("vpextrq", P0F3A, P66, 0x16, &[W(Eq), R(Vdq), R(Ib)]).l0().w1().only64().free(),
        vex("vpextrd", P0F3A, P66, 0x16, &[W(Ed), R(Vdq), R(Ib)]).l0().not64().w1().amd().system(SysOp::Ud),
        vex("vpextrd", P0F3A, P66, 0x16, &[W(Ed), R(Vdq), R(Ib)]).l0().w_gpr().free(),
        vex("vextractps", P0F3A, P66, 0x17, &[W(Ed), R(Vdq), R(Ib)]).l0().free(),
        vex("vinsertf128", P0F3A, P66, 0x18, &[W(Vqq), R(Hqq), R(Wdq), R(Ib)]).l1().w0().free(),
        vex("vextractf128", P0F3A, P66, 0x19, &[W(Wdq), R(Vqq), R(Ib)]).l1().w0().free(),
        vex("vpinsrb", P0F3A, P66, 0x20, &[W(Vdq), R(Hdq), R(Mb), R(Ib)]).l0().free(),
        vex("vpinsrb", P0F3A, P66, 0x20, &[W(Vdq), R(Hdq), R(Rd), R(Ib)]).l0(),
        vex("vinsertps", P0F3A, P66, 0x21, &[W(Vdq), R(Hdq), R(Md), R(Ib)]).l0().free(),
        vex("vinsertps", P0F3A, P66, 0x21, &[W(Vdq), R(Hdq), R(Udq), R(Ib)]).l0(),
        vex("vpinsrq", P0F3A, P66, 0x22, &[W(Vdq), R(Hdq), R(Eq), R(Ib)]).l0().w1().only64().free(),
        vex("vpinsrd", P0F3A, P66, 0x22, &[W(Vdq), R(Hdq), R(Ed), R(Ib)]).l0().not64().w1().amd().system(SysOp::Ud),
        vex("vpinsrd", P0F3A, P66, 0x22, &[W(Vdq), R(Hdq), R(Ed), R(Ib)]).l0().w_gpr().free(),
        kmask(vex("kshiftrb", P0F3A, P66, 0x30, &[W(KGb), R(KRb), R(Ib)]), Avx512dq).w0(),
        kmask(vex("kshiftrw", P0F3A, P66, 0x30, &[W(KGw), R(KRw), R(Ib)]), Avx512f).w1(),
        kmask(vex("kshiftrd", P0F3A, P66, 0x31, &[W(KGd), R(KRd), R(Ib)]), Avx512bw).w0(),
        kmask(vex("kshiftrq", P0F3A, P66, 0x31, &[W(KGq), R(KRq), R(Ib)]), Avx512bw).w1(),
        kmask(vex("kshiftlb", P0F3A, P66, 0x32, &[W(KGb), R(KRb), R(Ib)]), Avx512dq).w0(),
        kmask(vex("kshiftlw", P0F3A, P66, 0x32, &[W(KGw), R(KRw), R(Ib)]), Avx512f).w1(),
        kmask(vex("kshiftld", P0F3A, P66, 0x33, &[W(KGd), R(KRd), R(Ib)]), Avx512bw).w0(),
        kmask(vex("kshiftlq", P0F3A, P66, 0x33, &[W(KGq), R(KRq), R(Ib)]), Avx512bw).w1(),
        vex("vinserti128", P0F3A, P66, 0x38, &[W(Vqq), R(Hqq), R(Wdq), R(Ib)]).l1().w0().cpuid(Avx2).free(),
        vex("vextracti128", P0F3A, P66, 0x39, &[W(Wdq), R(Vqq), R(Ib)]).l1().w0().cpuid(Avx2).free(),
        vex("vmpsadbw", P0F3A, P66, 0x42, &[W(Vx), R(Hx), R(Wx), R(Ib)]).avx2_256(),
        vex("vperm2i128", P0F3A, P66, 0x46, &[W(Vqq), R(Hqq), R(Wqq), R(Ib)]).l1().w0().cpuid(Avx2),
        vex("vblendvps", P0F3A, P66, 0x4a, &[W(Vx), R(Hx), R(Wx), R(Lx)]).w0(),
        vex("vblendvpd", P0F3A, P66, 0x4b, &[W(Vx), R(Hx), R(Wx), R(Lx)]).w0(),
        vex("vpblendvb", P0F3A, P66, 0x4c, &[W(Vx), R(Hx), R(Wx), R(Lx)]).w0().avx2_256(),
        string("vpcmpestrm", 0x60, &[R(Vdq), R(Wdq), R(Ib), R(super::sse::LENGTHS), W(XMM0.hidden())]).w_gpr(),
        string("vpcmpestri", 0x61, &[R(Vdq), R(Wdq), R(Ib), R(super::sse::LENGTHS), W(rCXy.hidden())]).w_gpr(),
        string("vpcmpistrm", 0x62, &[R(Vdq), R(Wdq), R(Ib), W(XMM0.hidden())]),
        string("vpcmpistri", 0x63, &[R(Vdq), R(Wdq), R(Ib), W(rCXy.hidden())]).w_gpr(),
    ],
];

/// A model-specific register that the immediate names.
const fn msr(name: &'static str, pp: Pp, opcode: u8, ops: &[Spec], feature: super::Feature) -> Row {
    let r = vex(name, Map::M7, pp, opcode, ops).digit(0).l0().only64();
    r.cpuid(feature).class(Class::None).gate(Gate::Free).exec(Exec::Missing)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M7: &[Row] = rows![[
    msr("rdmsr", F2, 0xf6, &[W(Rq), R(Id)], MsrImm).gate(Gate::Cpl0).system(SysOp::ReadMsr),
    msr("wrmsrns", F3, 0xf6, &[R(Id), R(Rq)], MsrImm).gate(Gate::Cpl0).system(SysOp::WriteMsr),
    msr("urdmsr", F2, 0xf8, &[W(Rq), R(Id)], UserMsr).w0().implies(Implied::UserMsr).system(SysOp::UserReadMsr),
    msr("uwrmsr", F3, 0xf8, &[R(Id), R(Rq)], UserMsr).w0().implies(Implied::UserMsr).system(SysOp::UserWriteMsr),
]];
