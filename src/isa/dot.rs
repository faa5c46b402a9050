//! Dot products and multiply-add of integers in the VEX encoding: AVX-VNNI, AVX-VNNI-INT8, AVX-VNNI-INT16, AVX-IFMA.

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::M0f38 as P0F38;

/// Products of elements are added to the destination.
const fn dot(name: &'static str, pp: Pp, opcode: u8, feature: super::Feature) -> Row {
    vex(name, P0F38, pp, opcode, &[RW(Vx), R(Hx), R(Wx)]).cpuid(feature).and(Avx)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const VEX_M0F38: [Row; 18] = [
    dot("vpdpbusd", P66, 0x50, AvxVnni).w0(),
    dot("vpdpbssd", F2, 0x50, AvxVnniInt8).w0(), dot("vpdpbsud", F3, 0x50, AvxVnniInt8).w0(), dot("vpdpbuud", NP, 0x50, AvxVnniInt8).w0(),
    dot("vpdpbusds", P66, 0x51, AvxVnni).w0(),
    dot("vpdpbssds", F2, 0x51, AvxVnniInt8).w0(), dot("vpdpbsuds", F3, 0x51, AvxVnniInt8).w0(), dot("vpdpbuuds", NP, 0x51, AvxVnniInt8).w0(),
    dot("vpdpwssd", P66, 0x52, AvxVnni).w0(),
    dot("vpdpwssds", P66, 0x53, AvxVnni).w0(),
    dot("vpmadd52luq", P66, 0xb4, AvxIfma).w1(),
    dot("vpmadd52huq", P66, 0xb5, AvxIfma).w1(),
    dot("vpdpwsud", F3, 0xd2, AvxVnniInt16).w0(), dot("vpdpwusd", P66, 0xd2, AvxVnniInt16).w0(), dot("vpdpwuud", NP, 0xd2, AvxVnniInt16).w0(),
    dot("vpdpwsuds", F3, 0xd3, AvxVnniInt16).w0(), dot("vpdpwusds", P66, 0xd3, AvxVnniInt16).w0(), dot("vpdpwuuds", NP, 0xd3, AvxVnniInt16).w0(),
];
