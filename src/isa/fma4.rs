//! AMD's fused multiply-add of four operands (FMA4), and VPERMIL2 of XOP, which is encoded alike: in VEX, with a register in
//! the upper half of the immediate. VEX.W chooses which of the last two sources may be memory.

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::M0f3a as P0F3A;

const fn fma4(name: &'static str, opcode: u8, ops: &[Spec]) -> Row {
    vex(name, P0F3A, P66, opcode, ops).cpuid(Fma4).and(Avx).free().fp()
}

/// Both lines of a packed operation.
macro_rules! packed {
    ($op:literal, $name:literal) => {
        [fma4($name, $op, &[W(Vx), R(Hx), R(Wx), R(Lx)]).w0(), fma4($name, $op, &[W(Vx), R(Hx), R(Lx), R(Wx)]).w1()]
    };
}

/// Both lines of a scalar operation on singles.
macro_rules! single {
    ($op:literal, $name:literal) => {
        [
            fma4($name, $op, &[W(Vdq), R(Hd), R(Wd), R(Ld)]).w0().lig(),
            fma4($name, $op, &[W(Vdq), R(Hd), R(Ld), R(Wd)]).w1().lig(),
        ]
    };
}

/// The same on doubles.
macro_rules! double {
    ($op:literal, $name:literal) => {
        [
            fma4($name, $op, &[W(Vdq), R(Hq), R(Wq), R(Lq)]).w0().lig(),
            fma4($name, $op, &[W(Vdq), R(Hq), R(Lq), R(Wq)]).w1().lig(),
        ]
    };
}

/// Elements of two sources by a vector of selectors; the immediate's low bits say which are made zero.
macro_rules! permil2 {
    ($op:literal, $name:literal) => {
        [
            vex($name, P0F3A, P66, $op, &[W(Vx), R(Hx), R(Wx), R(Lx), R(I4)]).w0().cpuid(Xop).and(Avx).free(),
            vex($name, P0F3A, P66, $op, &[W(Vx), R(Hx), R(Lx), R(Wx), R(I4)]).w1().cpuid(Xop).and(Avx).free(),
        ]
    };
}

pub(super) const VEX_M0F3A: &[Row] = rows![
    permil2!(0x48, "vpermil2ps"),
    permil2!(0x49, "vpermil2pd"),
    packed!(0x5c, "vfmaddsubps"),
    packed!(0x5d, "vfmaddsubpd"),
    packed!(0x5e, "vfmsubaddps"),
    packed!(0x5f, "vfmsubaddpd"),
    packed!(0x68, "vfmaddps"),
    packed!(0x69, "vfmaddpd"),
    single!(0x6a, "vfmaddss"),
    double!(0x6b, "vfmaddsd"),
    packed!(0x6c, "vfmsubps"),
    packed!(0x6d, "vfmsubpd"),
    single!(0x6e, "vfmsubss"),
    double!(0x6f, "vfmsubsd"),
    packed!(0x78, "vfnmaddps"),
    packed!(0x79, "vfnmaddpd"),
    single!(0x7a, "vfnmaddss"),
    double!(0x7b, "vfnmaddsd"),
    packed!(0x7c, "vfnmsubps"),
    packed!(0x7d, "vfnmsubpd"),
    single!(0x7e, "vfnmsubss"),
    double!(0x7f, "vfnmsubsd"),
];
