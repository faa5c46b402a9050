//! VIA PadLock: random numbers, AES, hashes and Montgomery multiplication, on memory at ES:rDI and DS:rSI.

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::M0f;

/// A line that F3 repeats, and that is nothing without it.
const fn padlock(name: &'static str, opcode: u8, digit: u32, operands: &[Spec]) -> Row {
    legacy(name, M0f, opcode, operands).digit(digit).rm(0).f3().attr(attr::REP)
}

/// A hash in progress at ES:rDI of what lies at DS:rSI.
const fn hash(name: &'static str, digit: u32) -> Row {
    let operands = [RW(Yb.hidden()), R(Xb.hidden()), RCW(rCXa.hidden()), RCW(rAXa.hidden())];
    padlock(name, 0xa6, digit, &operands).implies(Implied::Elsewhere).cpuid(PadlockSha)
}

/// A cipher from DS:rSI to ES:rDI, with its control word at rDX, its key at rBX and its start at rAX.
const fn cipher(name: &'static str, digit: u32) -> Row {
    // ECB begins from nothing.
    let places = if digit == 1 { 0b1100 } else { 0b1101 };
    let places = Spec::fixed(Loc::GprSet, Width::Addr, places).hidden();
    padlock(name, 0xa7, digit, &[W(Yb.hidden()), R(Xb.hidden()), RW(rCXa.hidden()), R(places)])
        .implies(Implied::Elsewhere)
        .cpuid(PadlockAes)
}

/// Random bytes to ES:rDI, of the quality in EDX.
const fn random() -> Row {
    let operands = [W(Yb.hidden()), RCW(rCXa.hidden()), W(EAX.hidden()), R(EDX.hidden())];
    legacy("xstore", M0f, 0xa7, &operands).digit(0).rm(0).implies(Implied::Elsewhere).cpuid(PadlockRng)
}

/// A Montgomery multiplication of what DS:rSI lists; there are no 64-bit addresses.
const fn multiply() -> Row {
    let operands = [RW(Xb.hidden()), RW(EAX.hidden()), RW(ECX.hidden()), W(EDX.hidden())];
    padlock("montmul", 0xa6, 0, &operands).implies(Implied::Elsewhere).cpuid(PadlockMontmul)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    multiply().asize(0),
    multiply().asize(1),
    hash("xsha1", 1),
    hash("xsha256", 2),
    random().f3().attr(attr::REP),
    random().no_rep(),
    cipher("xcryptecb", 1),
    cipher("xcryptcbc", 2),
    cipher("xcryptctr", 3),
    cipher("xcryptcfb", 4),
    cipher("xcryptofb", 5),
];
