//! ACE: outer products of vectors into tiles, and the register of block scales.

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::{M0f3a as P0F3A, M0f38 as P0F38, M6 as P6};

const fn ace(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).l2().only64().cpuid(Ace).gate(Gate::TileAvx512).exec(Exec::Missing)
}

/// An outer product is added to a tile.
const fn outer(name: &'static str, pp: Pp, opcode: u8) -> Row {
    ace(name, P0F38, pp, opcode, &[RW(TG), R(Ux), R(Hx)]).w0()
}

/// The same, of numbers that have a scale for each block of them.
const fn scaled(name: &'static str, pp: Pp, opcode: u8) -> Row {
    ace(name, P0F3A, pp, opcode, &[RW(TG), R(Ux), R(Hx), R(Ib), R(BSR0.hidden())]).w0()
}

pub(super) const BSRINIT: Row = {
    let r = vex("bsrinit", P0F38, F2, 0x49, &[W(BSR0)]).reg().digit(0).l0().w1().only64();
    r.cpuid(Ace).gate(Gate::Tile).class(Class::None).exec(Exec::Missing)
};

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const EVEX_M0F38: [Row; 7] = [
    ace("tilemovrow", P0F38, P66, 0x4a, &[W(TG), R(Ux), R(Bd)]).w1(),
    ace("tilemovcol", P0F38, P66, 0x4b, &[W(TG), R(Ux), R(Bd)]).w1(),
    outer("top2bf16ps", F3, 0x5c),
    outer("top4buud", NP, 0x5e), outer("top4busd", P66, 0x5e), outer("top4bsud", F3, 0x5e), outer("top4bssd", F2, 0x5e),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const EVEX_M0F3A: [Row; 7] = [
    ace("tilemovrow", P0F3A, P66, 0x07, &[W(TG), R(Ux), R(Ib)]).w1(),
    ace("tilemovcol", P0F3A, P66, 0x2f, &[W(TG), R(Ux), R(Ib)]).w1(),
    scaled("top4mxbf8ps", NP, 0x8d), scaled("top4mxhf8ps", P66, 0x8d), scaled("top4mxhbf8ps", F3, 0x8d), scaled("top4mxbhf8ps", F2, 0x8d),
    scaled("top4mxbssps", F2, 0x8f),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const EVEX_M6: [Row; 5] = [
    ace("bsrmovf", P6, NP, 0x95, &[W(BSR0), R(Hx), R(Wx)]).digit(0).w1(),
    ace("bsrmovl", P6, F3, 0x95, &[W(Wx), R(BSR0)]).digit(0).w0(), ace("bsrmovl", P6, F3, 0x95, &[W(BSR0), R(Wx)]).digit(0).w1(),
    ace("bsrmovh", P6, F2, 0x95, &[W(Wx), R(BSR0)]).digit(0).w0(), ace("bsrmovh", P6, F2, 0x95, &[W(BSR0), R(Wx)]).digit(0).w1(),
];
