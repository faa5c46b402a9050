//! Fused multiply-add: FMA in the VEX encoding, its AVX-512 forms in EVEX.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{Tuple::*, *};
use Map::M0f38 as P0F38;

/// PS and PD lines of one opcode.
macro_rules! packed {
    ($op:literal, $ps:literal, $pd:literal) => {
        [
            vex($ps, P0F38, P66, $op, &[RW(Vx), R(Hx), R(Wx)]).w0().cpuid(Fma).and(Avx).fp(),
            vex($pd, P0F38, P66, $op, &[RW(Vx), R(Hx), R(Wx)]).w1().cpuid(Fma).and(Avx).fp(),
        ]
    };
}

/// SS and SD lines of one opcode.
macro_rules! scalar {
    ($op:literal, $ss:literal, $sd:literal) => {
        [
            vex($ss, P0F38, P66, $op, &[RW(Vdq), R(Hd), R(Wd)]).w0().lig().cpuid(Fma).and(Avx).free().fp(),
            vex($sd, P0F38, P66, $op, &[RW(Vdq), R(Hq), R(Wq)]).w1().lig().cpuid(Fma).and(Avx).free().fp(),
        ]
    };
}

/// PS and PD lines of one opcode with embedded rounding.
macro_rules! evex_packed {
    ($op:literal, $ps:literal, $pd:literal) => {
        [
            evex($ps, P0F38, P66, $op, &[RW(Vx), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().kz().er().fp(),
            evex($pd, P0F38, P66, $op, &[RW(Vx), R(Hx), R(Wx)]).w1().tuple(Full, 8).bcst().kz().er().fp(),
        ]
    };
}

/// SS and SD lines of one opcode with embedded rounding.
macro_rules! evex_scalar {
    ($op:literal, $ss:literal, $sd:literal) => {
        [
            evex($ss, P0F38, P66, $op, &[RW(Vdq), R(Hd), R(Wd)]).w0().lig().tuple(Scalar, 4).kz().er().fp(),
            evex($sd, P0F38, P66, $op, &[RW(Vdq), R(Hq), R(Wq)]).w1().lig().tuple(Scalar, 8).kz().er().fp(),
        ]
    };
}

/// The lines of both encodings: opcode and mnemonics once.
macro_rules! lines {
    ($packed:ident, $scalar:ident) => {
        rows![
            $packed!(0x96, "vfmaddsub132ps", "vfmaddsub132pd"),
            $packed!(0x97, "vfmsubadd132ps", "vfmsubadd132pd"),
            $packed!(0x98, "vfmadd132ps", "vfmadd132pd"),
            $scalar!(0x99, "vfmadd132ss", "vfmadd132sd"),
            $packed!(0x9a, "vfmsub132ps", "vfmsub132pd"),
            $scalar!(0x9b, "vfmsub132ss", "vfmsub132sd"),
            $packed!(0x9c, "vfnmadd132ps", "vfnmadd132pd"),
            $scalar!(0x9d, "vfnmadd132ss", "vfnmadd132sd"),
            $packed!(0x9e, "vfnmsub132ps", "vfnmsub132pd"),
            $scalar!(0x9f, "vfnmsub132ss", "vfnmsub132sd"),
            $packed!(0xa6, "vfmaddsub213ps", "vfmaddsub213pd"),
            $packed!(0xa7, "vfmsubadd213ps", "vfmsubadd213pd"),
            $packed!(0xa8, "vfmadd213ps", "vfmadd213pd"),
            $scalar!(0xa9, "vfmadd213ss", "vfmadd213sd"),
            $packed!(0xaa, "vfmsub213ps", "vfmsub213pd"),
            $scalar!(0xab, "vfmsub213ss", "vfmsub213sd"),
            $packed!(0xac, "vfnmadd213ps", "vfnmadd213pd"),
            $scalar!(0xad, "vfnmadd213ss", "vfnmadd213sd"),
            $packed!(0xae, "vfnmsub213ps", "vfnmsub213pd"),
            $scalar!(0xaf, "vfnmsub213ss", "vfnmsub213sd"),
            $packed!(0xb6, "vfmaddsub231ps", "vfmaddsub231pd"),
            $packed!(0xb7, "vfmsubadd231ps", "vfmsubadd231pd"),
            $packed!(0xb8, "vfmadd231ps", "vfmadd231pd"),
            $scalar!(0xb9, "vfmadd231ss", "vfmadd231sd"),
            $packed!(0xba, "vfmsub231ps", "vfmsub231pd"),
            $scalar!(0xbb, "vfmsub231ss", "vfmsub231sd"),
            $packed!(0xbc, "vfnmadd231ps", "vfnmadd231pd"),
            $scalar!(0xbd, "vfnmadd231ss", "vfnmadd231sd"),
            $packed!(0xbe, "vfnmsub231ps", "vfnmsub231pd"),
            $scalar!(0xbf, "vfnmsub231ss", "vfnmsub231sd"),
        ]
    };
}

pub(super) const VEX_M0F38: &[Row] = lines!(packed, scalar);
pub(super) const EVEX_M0F38: &[Row] = lines!(evex_packed, evex_scalar);
