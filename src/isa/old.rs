//! What 64-bit mode has taken away: decimal arithmetic, PUSHA and POPA, BOUND, the alias of 80.

use super::notation::*;
use super::row::{flag::*, *};
use Map::Primary;

/// DAA and DAS.
const DECIMAL: FlagEffect = FlagEffect::of(AF | CF, ARITH, OF);
/// AAA and AAS.
const UNPACKED: FlagEffect = FlagEffect::of(AF, ARITH, OF | SF | ZF | PF);
/// AAM and AAD.
const SPLIT: FlagEffect = FlagEffect::of(0, ARITH, OF | AF | CF);

/// General-purpose registers of the operand size, one a bit.
const fn registers(set: u8) -> Spec {
    Spec::fixed(Loc::GprSet, Width::V, set).hidden()
}

/// All eight are pushed; the image of SP is not popped.
const ALL_READ: [Spec; 1] = [R(registers(0xff))];
const ALL_WRITTEN: [Spec; 1] = [W(registers(!(1 << 4)))];

const fn old(name: &'static str, opcode: u8, operands: &[Spec]) -> Row {
    legacy(name, Primary, opcode, operands).not64()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const PRIMARY: &[Row] = &[
    old("daa", 0x27, &[RW(AL.hidden())]).flags(DECIMAL).does(IntOp::Daa),
    old("das", 0x2f, &[RW(AL.hidden())]).flags(DECIMAL).does(IntOp::Das),
    old("aaa", 0x37, &[RW(AX.hidden())]).flags(UNPACKED).does(IntOp::Aaa),
    old("aas", 0x3f, &[RW(AX.hidden())]).flags(UNPACKED).does(IntOp::Aas),
    old("pusha", 0x60, &ALL_READ).osize(0).seq(SeqOp::Pusha).implies(Implied::PushAll),
    old("pushad", 0x60, &ALL_READ).seq(SeqOp::Pusha).implies(Implied::PushAll),
    old("popa", 0x61, &ALL_WRITTEN).osize(0).seq(SeqOp::Popa).implies(Implied::PopAll),
    old("popad", 0x61, &ALL_WRITTEN).seq(SeqOp::Popa).implies(Implied::PopAll),
    old("bound", 0x62, &[R(Gv), R(Ma)]).seq(SeqOp::Bound).implies(Implied::Pair),
    old("aam", 0xd4, &[R(Ib), W(AH.hidden()), RW(AL.hidden())]).flags(SPLIT).does(IntOp::Aam),
    old("aad", 0xd5, &[R(Ib), RW(AH.hidden()), RW(AL.hidden())]).flags(SPLIT).does(IntOp::Aad),
];
