//! What Bochs does otherwise than the manual says or leaves open, where it plays the host (`ENCORE86_HOST=bochs`).
//! Nothing here excuses a difference on a processor.

use crate::compare::Side;
use crate::encode::{Address, Encoding};
use encore86::isa::row::{Exec, Shape, Tuple, Width, attr, sel};
use encore86_oracle::Mode;

const UD: u8 = 6;
const SS: u8 = 12;
const GP: u8 = 13;
const PF: u8 = 14;
const AC: u8 = 17;

/// Which of Bochs's faults explains the difference, if one does. `memory`: there is a difference in memory.
pub fn fault(encoding: &Encoding, host: &Side, engine: &Side, memory: bool) -> Option<&'static str> {
    if std::env::var("ENCORE86_HOST").as_deref() != Ok("bochs") {
        return None;
    }
    let row = encoding.row;
    let (theirs, ours) = (host.ended.trap(), engine.ended.trap());
    let Exec::Replay(shape) = row.exec else { return None };
    if matches!(shape, Shape::Gather | Shape::Scatter)
        && matches!(encoding.address, Some(Address { index: Some(16..), .. }))
    {
        return (theirs == Some(UD)).then_some("#UD from a gather or scatter whose index register is above 15");
    }
    let w = encoding.wide && row.select.mask & sel::W == 0;
    if encoding.mode != Mode::Long64 && w && row.is(attr::W_GPR) {
        return (theirs == Some(UD)).then_some("#UD from W1 on a general-purpose register outside 64-bit mode");
    }
    // FTZ set, UM clear.
    if encoding.rounding && host.state.mxcsr & 0x8800 == 0x8000 && theirs.is_none() && ours.is_none() {
        return Some("{sae} does not count as masking underflow where FTZ is looked at");
    }
    encoding.address?;
    if ours == Some(AC) && theirs != ours {
        return Some("operands of 16 bytes and more are not checked for alignment");
    }
    let masked = encoding.aaa != 0;
    let elements = encoding.vl / usize::from(row.element).max(1);
    let opmask = if masked { host.state.k[encoding.aaa as usize & 7] } else { u64::MAX };
    let active = (opmask & u64::MAX >> (64 - elements.min(64))).count_ones();
    if shape == Shape::Compress && active >= 32 && ours != Some(AC) {
        return Some("a compressing store of 32 elements and more stores none, or too few");
    }
    let address = |trap| matches!(trap, Some(SS | GP | PF | AC));
    if shape == Shape::Expand && !memory && theirs != ours && (address(theirs) || address(ours)) {
        return Some("an expanding load at the edge of memory reads the mask's places, not the first elements");
    }
    let partial = matches!(row.tuple, Tuple::HalfMem | Tuple::QuarterMem | Tuple::EighthMem);
    if masked && !memory && partial && address(theirs) {
        return Some("VPMOVSX and VPMOVZX under a mask read all of their operand");
    }
    if shape == Shape::Gather && encoding.vl == 64 && row.operands[0].width == Width::Xh && theirs == ours {
        let mut cleared = host.state;
        cleared.zmm[encoding.reg as usize & 31][32..].fill(0);
        let only = cleared == engine.state && !memory;
        return only.then_some("a gather by 512 bits of quadword indices leaves the upper half of its destination");
    }
    if masked && row.tuple == Tuple::Scalar && row.element == 1 && elements == 64 && !memory {
        return Some("VPBROADCASTB of a byte in memory to 64 elements under a mask finds none active");
    }
    if address(theirs) && address(ours) && !memory && host.state == engine.state {
        return Some("which of several faulting elements, or of the checks of one, comes first");
    }
    None
}
