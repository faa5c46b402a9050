//! Conversions between half and single precision: F16C, and AVX512F's forms of the same.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{Tuple::*, *};
use Map::{M0f3a as P0F3A, M0f38 as P0F38};

pub(super) const VEX_M0F38: [Row; 1] =
    [vex("vcvtph2ps", P0F38, P66, 0x13, &[W(Vx), R(Wxh)]).w0().cpuid(F16c).and(Avx).free().fp()];

pub(super) const VEX_M0F3A: [Row; 1] =
    [vex("vcvtps2ph", P0F3A, P66, 0x1d, &[W(Wxh), R(Vx), R(Ib)]).w0().cpuid(F16c).and(Avx).free().fp()];

pub(super) const EVEX_M0F38: [Row; 1] =
    [evex("vcvtph2ps", P0F38, P66, 0x13, &[W(Vx), R(Wxh)]).w0().tuple(HalfMem, 2).kz().sae().fp()];

pub(super) const EVEX_M0F3A: [Row; 1] =
    [evex("vcvtps2ph", P0F3A, P66, 0x1d, &[W(Wxh), R(Vx), R(Ib)]).w0().tuple(HalfMem, 2).kz().sae().fp()];
