//! 3DNow!: 0F 0F, with the opcode where an immediate would stand.

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::{M0f, M0f0f};

/// The hidden operand is the opcode.
const fn now(name: &'static str, opcode: u8, first: Spec) -> Row {
    let r = legacy(name, M0f0f, opcode, &[first, R(Qq), N(Ib.hidden())]);
    r.no_rex2().gate(Gate::Mmx).class(Class::Free).cpuid(ThreeDNow).shape(Shape::Mmx)
}

/// Both operands are sources.
const fn two(name: &'static str, opcode: u8) -> Row {
    now(name, opcode, RW(Pq))
}

/// One source.
const fn one(name: &'static str, opcode: u8) -> Row {
    now(name, opcode, W(Pq))
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    legacy("femms", M0f, 0x0e, &[]).gate(Gate::Mmx).attr(attr::WAITING).cpuid(ThreeDNow).exec(Exec::X87(X87Op::Empty)),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M0F0F: &[Row] = rows![
    [
        one("pi2fw", 0x0c).and(ThreeDNowExt), one("pi2fd", 0x0d),
        one("pf2iw", 0x1c).and(ThreeDNowExt), one("pf2id", 0x1d),
        two("pfnacc", 0x8a).and(ThreeDNowExt), two("pfpnacc", 0x8e).and(ThreeDNowExt),
        two("pfcmpge", 0x90), two("pfmin", 0x94), one("pfrcp", 0x96), one("pfrsqrt", 0x97),
        two("pfsub", 0x9a), two("pfadd", 0x9e),
        two("pfcmpgt", 0xa0), two("pfmax", 0xa4), two("pfrcpit1", 0xa6), two("pfrsqit1", 0xa7),
        two("pfsubr", 0xaa), two("pfacc", 0xae),
        two("pfcmpeq", 0xb0), two("pfmul", 0xb4), two("pfrcpit2", 0xb6), two("pmulhrw", 0xb7),
        one("pswapd", 0xbb).and(ThreeDNowExt), two("pavgusb", 0xbf),
    ],
];
