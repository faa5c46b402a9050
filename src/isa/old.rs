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

/// A general-purpose register of the operand size.
const fn register(number: u8) -> Spec {
    Spec::fixed(Loc::FixedGpr, Width::V, number).hidden()
}

const ALL_READ: [Spec; 8] = [
    R(register(0)),
    R(register(1)),
    R(register(2)),
    R(register(3)),
    R(register(4)),
    R(register(5)),
    R(register(6)),
    R(register(7)),
];
/// The image of SP is skipped.
const ALL_WRITTEN: [Spec; 7] =
    [W(register(0)), W(register(1)), W(register(2)), W(register(3)), W(register(5)), W(register(6)), W(register(7))];

const fn old(name: &'static str, opcode: u8, operands: &[Spec]) -> Row {
    legacy(name, Primary, opcode, operands).not64()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const PRIMARY: &[Row] = &[
    old("daa", 0x27, &[RW(AL.hidden())]).flags(DECIMAL),
    old("das", 0x2f, &[RW(AL.hidden())]).flags(DECIMAL),
    old("aaa", 0x37, &[RW(AX.hidden())]).flags(UNPACKED),
    old("aas", 0x3f, &[RW(AX.hidden())]).flags(UNPACKED),
    old("pusha", 0x60, &ALL_READ).osize(0),
    old("pushad", 0x60, &ALL_READ),
    old("popa", 0x61, &ALL_WRITTEN).osize(0),
    old("popad", 0x61, &ALL_WRITTEN),
    old("bound", 0x62, &[R(Gv), R(Ma)]),
    old("aam", 0xd4, &[R(Ib), W(AH.hidden()), RW(AL.hidden())]).flags(SPLIT),
    old("aad", 0xd5, &[R(Ib), RW(AH.hidden()), RW(AL.hidden())]).flags(SPLIT),
];
