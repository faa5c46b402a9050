//! SSE4A (AMD).

use super::feature::Feature::Sse4a;
use super::notation::*;
use super::row::*;
use Map::M0f as P0F;

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    sse("movntss", P0F, F3, 0x2b, &[W(Md), R(Vd)]).cpuid(Sse4a).free().replayed_as(0x11),
    sse("movntsd", P0F, F2, 0x2b, &[W(Mq), R(Vq)]).cpuid(Sse4a).free().replayed_as(0x11),
    sse("extrq", P0F, P66, 0x78, &[RW(Udq), R(Ib), R(Ib)]).digit(0).cpuid(Sse4a),
    sse("insertq", P0F, F2, 0x78, &[RW(Vdq), R(Udq), R(Ib), R(Ib)]).cpuid(Sse4a),
    sse("extrq", P0F, P66, 0x79, &[RW(Vdq), R(Udq)]).cpuid(Sse4a),
    sse("insertq", P0F, F2, 0x79, &[RW(Vdq), R(Udq)]).cpuid(Sse4a),
];
