//! MPX. Without it, and where no row is, these opcodes are NOPs. BNDLDX and BNDSTX do not go to their operand but to the
//! bounds table's entry for its address.

use super::feature::Feature::Mpx;
use super::notation::*;
use super::row::*;
use Map::M0f;

const fn bound(name: &'static str, opcode: u8, pp: Pp, operands: &[Spec]) -> Row {
    legacy(name, M0f, opcode, operands).pp(pp).cpuid(Mpx).system(SysOp::Bounds)
}

/// A check of a pointer in a register, or of an operand's address.
macro_rules! check {
    ($name:literal, $op:literal, $pp:ident) => {
        [
            bound($name, $op, $pp, &[R(BG), N(M)]).implies(Implied::Bounds),
            bound($name, $op, $pp, &[R(BG), R(Rm)]).implies(Implied::Bounds),
        ]
    };
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = rows![
    check!("bndcl", 0x1a, F3),
    check!("bndcu", 0x1a, F2),
    [
        bound("bndldx", 0x1a, NP, &[W(BG), N(M)]).attr(attr::NO_RIP).implies(Implied::BoundsTable),
        bound("bndmov", 0x1a, P66, &[W(BG), R(BE)]).implies(Implied::Bounds),
    ],
    check!("bndcn", 0x1b, F2),
    [
        bound("bndmk", 0x1b, F3, &[W(BG), N(M)]).attr(attr::NO_RIP).implies(Implied::Bounds),
        bound("bndstx", 0x1b, NP, &[N(M), R(BG)]).attr(attr::NO_RIP).implies(Implied::BoundsTable),
        bound("bndmov", 0x1b, P66, &[W(BE), R(BG)]).implies(Implied::Bounds),
    ],
    [
        legacy("nop", M0f, 0x1a, &[N(Ev)]).does(IntOp::Nop),
        legacy("nop", M0f, 0x1b, &[N(Ev)]).does(IntOp::Nop),
    ],
];
