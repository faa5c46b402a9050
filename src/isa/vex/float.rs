//! Floating point: what is not in the lines of two sources. Square roots and approximations, horizontal sums, comparisons,
//! conversions, rounding, dot products, blends.

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

/// A scalar: VEX.L is ignored, memory need not be aligned.
const fn scalar(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    vex(name, map, pp, opcode, ops).lig().free()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    scalar("vcvtsi2ss", P0F, F3, 0x2a, &[W(Vdq), R(Hdq), R(Ey)]).w_gpr().fp(),
    scalar("vcvtsi2sd", P0F, F2, 0x2a, &[W(Vdq), R(Hdq), R(Ey)]).w_gpr().fp(),
    scalar("vcvttss2si", P0F, F3, 0x2c, &[W(Gy), R(Wd)]).w_gpr().fp(),
    scalar("vcvttsd2si", P0F, F2, 0x2c, &[W(Gy), R(Wq)]).w_gpr().fp(),
    scalar("vcvtss2si", P0F, F3, 0x2d, &[W(Gy), R(Wd)]).w_gpr().fp(),
    scalar("vcvtsd2si", P0F, F2, 0x2d, &[W(Gy), R(Wq)]).w_gpr().fp(),
    scalar("vucomiss", P0F, NP, 0x2e, &[R(Vd), R(Wd)]).fp().flags(COMPARED),
    scalar("vucomisd", P0F, P66, 0x2e, &[R(Vq), R(Wq)]).fp().flags(COMPARED),
    scalar("vcomiss", P0F, NP, 0x2f, &[R(Vd), R(Wd)]).fp().flags(COMPARED),
    scalar("vcomisd", P0F, P66, 0x2f, &[R(Vq), R(Wq)]).fp().flags(COMPARED),
    vex("vmovmskps", P0F, NP, 0x50, &[W(Gd), R(Ux)]),
    vex("vmovmskpd", P0F, P66, 0x50, &[W(Gd), R(Ux)]),
    vex("vsqrtps", P0F, NP, 0x51, ONE_SOURCE).fp(),
    vex("vsqrtpd", P0F, P66, 0x51, ONE_SOURCE).fp(),
    scalar("vsqrtss", P0F, F3, 0x51, SINGLE).fp(),
    scalar("vsqrtsd", P0F, F2, 0x51, DOUBLE).fp(),
    vex("vrsqrtps", P0F, NP, 0x52, ONE_SOURCE),
    scalar("vrsqrtss", P0F, F3, 0x52, SINGLE),
    vex("vrcpps", P0F, NP, 0x53, ONE_SOURCE),
    scalar("vrcpss", P0F, F3, 0x53, SINGLE),
    vex("vcvtps2pd", P0F, NP, 0x5a, WIDEN).free().fp(),
    vex("vcvtpd2ps", P0F, P66, 0x5a, NARROW).fp(),
    scalar("vcvtss2sd", P0F, F3, 0x5a, SINGLE).fp(),
    scalar("vcvtsd2ss", P0F, F2, 0x5a, DOUBLE).fp(),
    vex("vhaddpd", P0F, P66, 0x7c, TWO_SOURCES).fp(),
    vex("vhaddps", P0F, F2, 0x7c, TWO_SOURCES).fp(),
    vex("vhsubpd", P0F, P66, 0x7d, TWO_SOURCES).fp(),
    vex("vhsubps", P0F, F2, 0x7d, TWO_SOURCES).fp(),
    vex("vldmxcsr", P0F, NP, 0xae, &[R(Md)]).digit(2).l0().free().system(SysOp::Ldmxcsr),
    vex("vstmxcsr", P0F, NP, 0xae, &[W(Md)]).digit(3).l0().free().system(SysOp::Stmxcsr),
    vex("vcmpps", P0F, NP, 0xc2, TWO_IMM).fp(),
    vex("vcmppd", P0F, P66, 0xc2, TWO_IMM).fp(),
    scalar("vcmpss", P0F, F3, 0xc2, SINGLE_IMM).fp(),
    scalar("vcmpsd", P0F, F2, 0xc2, DOUBLE_IMM).fp(),
    vex("vaddsubpd", P0F, P66, 0xd0, TWO_SOURCES).fp(),
    vex("vaddsubps", P0F, F2, 0xd0, TWO_SOURCES).fp(),
    vex("vcvttpd2dq", P0F, P66, 0xe6, NARROW).fp(),
    vex("vcvtdq2pd", P0F, F3, 0xe6, WIDEN).free(),
    vex("vcvtpd2dq", P0F, F2, 0xe6, NARROW).fp(),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F3A: &[Row] = &[
    vex("vroundps", P0F3A, P66, 0x08, ONE_IMM).fp(),
    vex("vroundpd", P0F3A, P66, 0x09, ONE_IMM).fp(),
    scalar("vroundss", P0F3A, P66, 0x0a, SINGLE_IMM).fp(),
    scalar("vroundsd", P0F3A, P66, 0x0b, DOUBLE_IMM).fp(),
    vex("vblendps", P0F3A, P66, 0x0c, TWO_IMM),
    vex("vblendpd", P0F3A, P66, 0x0d, TWO_IMM),
    vex("vdpps", P0F3A, P66, 0x40, TWO_IMM).fp().attr(attr::STAGED),
    vex("vdppd", P0F3A, P66, 0x41, &[W(Vdq), R(Hdq), R(Wdq), R(Ib)]).l0().fp().attr(attr::STAGED),
];
