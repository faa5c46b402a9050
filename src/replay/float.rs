//! Is a sum, product, fused sum, quotient or conversion inexact when its exponent may be as great or as small as it likes?
//!
//! That is what PE says when an unmasked overflow or underflow is reported (SDM volume 1, 4.9.1.4 and 4.9.1.5), and what a run
//! with masked exceptions does not show: there, an overflow is always inexact, and a tiny result loses bits.

use super::vector;
use crate::cpu::Cpu;
use crate::decode::{Insn, NO_REG};
use crate::isa::row::{Loc, Map, Space, sel};

/// Bits of a format's exponent and fraction.
#[derive(Clone, Copy)]
struct Format {
    exponent: u32,
    fraction: u32,
}

const HALF: Format = Format { exponent: 5, fraction: 10 };
const SINGLE: Format = Format { exponent: 8, fraction: 23 };
const DOUBLE: Format = Format { exponent: 11, fraction: 52 };

/// A finite number `significand * 2^exponent`, the sign apart.
#[derive(Clone, Copy)]
struct Finite {
    negative: bool,
    significand: u64,
    exponent: i32,
}

impl Format {
    fn bytes(self) -> usize {
        (1 + self.exponent + self.fraction) as usize / 8
    }

    /// The number of `lane`, unless it is infinite or no number. Denormals count as zero under DAZ.
    fn finite(self, bytes: &[u8; 64], lane: usize, daz: bool) -> Option<Finite> {
        let mut wide = [0; 8];
        let len = self.bytes();
        wide[..len].copy_from_slice(&bytes[lane * len..][..len]);
        let bits = u64::from_le_bytes(wide);
        let fraction = bits & ((1 << self.fraction) - 1);
        let exponent = (bits >> self.fraction & ((1 << self.exponent) - 1)) as i32;
        if exponent == (1 << self.exponent) - 1 {
            return None;
        }
        let negative = bits >> (self.exponent + self.fraction) & 1 != 0;
        Some(if exponent == 0 {
            Finite { negative, significand: if daz { 0 } else { fraction }, exponent: 1 }
        } else {
            Finite { negative, significand: fraction | 1 << self.fraction, exponent }
        })
    }

    /// Does a significand not fit the format?
    fn rounds(self, significand: u128) -> bool {
        significand != 0 && 128 - significand.leading_zeros() - significand.trailing_zeros() > self.fraction + 1
    }

    fn sum_rounds(self, a: Finite, b: Finite) -> bool {
        let (high, low) = if a.exponent >= b.exponent { (a, b) } else { (b, a) };
        if high.significand == 0 || low.significand == 0 {
            return false;
        }
        let distance = (high.exponent - low.exponent) as u32;
        if distance > 70 {
            return true;
        }
        let (x, y) = (i128::from(high.significand) << distance, i128::from(low.significand));
        self.rounds(if high.negative == low.negative { x + y } else { x - y }.unsigned_abs())
    }

    fn product_rounds(self, a: Finite, b: Finite) -> bool {
        self.rounds(u128::from(a.significand) * u128::from(b.significand))
    }

    /// `a * b + c`, rounded once.
    fn fused_rounds(self, a: Finite, b: Finite, c: Finite) -> bool {
        let product = u128::from(a.significand) * u128::from(b.significand);
        if product == 0 || c.significand == 0 {
            // A number of the format alone does not round.
            return self.rounds(product);
        }
        // Biased exponents count from the format's bias and the fraction's width: the product has both twice.
        let unit = (1 << (self.exponent - 1)) - 1 + self.fraction as i32;
        let negative = a.negative ^ b.negative;
        // Odd significands: the sum's lowest bit is then that of the number with the lesser exponent.
        let odd = |negative, significand: u128, exponent: i32| {
            let zeros = significand.trailing_zeros();
            (negative, significand >> zeros, exponent + zeros as i32)
        };
        let x = odd(negative, product, a.exponent + b.exponent - unit);
        let y = odd(c.negative, c.significand.into(), c.exponent);
        let (high, low) = if x.2 >= y.2 { (x, y) } else { (y, x) };
        let distance = (high.2 - low.2) as u32;
        if distance + (128 - high.1.leading_zeros()) > 126 {
            // The lesser one has 106 bits at most, so that no cancellation brings the bits together.
            return true;
        }
        let (x, y) = ((high.1 << distance) as i128, low.1 as i128);
        self.rounds(if high.0 == low.0 { x + y } else { x - y }.unsigned_abs())
    }

    fn quotient_rounds(self, a: Finite, b: Finite) -> bool {
        let odd = b.significand >> b.significand.trailing_zeros().min(63);
        odd != 0 && !a.significand.is_multiple_of(odd)
    }
}

const DAZ: u32 = 1 << 6;

fn daz(cpu: &Cpu) -> bool {
    cpu.vector.mxcsr & DAZ != 0
}

/// The bytes of a source operand; `operand` is the local memory operand.
fn source<'a>(cpu: &'a Cpu, insn: &Insn, operand: &'a [u8; 64], i: usize) -> &'a [u8; 64] {
    if insn.mem() != NO_REG && insn.mem() as usize == i { operand } else { &vector(cpu, insn.slot(i).reg).0 }
}

/// Does the opmask leave the lane?
fn active(cpu: &Cpu, insn: &Insn, lane: usize) -> bool {
    insn.aaa() == 0 || cpu.vector.k[insn.aaa() as usize & 7] >> lane & 1 != 0
}

/// Is a result of the instruction inexact, whatever its exponent? `operand` is the local memory operand.
pub(super) fn rounds(cpu: &Cpu, insn: &Insn, operand: &[u8; 64]) -> bool {
    match (insn.row.map, insn.opcode()) {
        (Map::M0f38, 0x96..=0xbf) => fused(cpu, insn, operand),
        (Map::M0f3a, TO_HALF) => singles(cpu, insn).any(|x| HALF.rounds(x.significand.into())),
        _ => two_sources(cpu, insn, operand),
    }
}

/// VCVTPS2PH.
const TO_HALF: u8 = 0x1d;

/// The finite numbers that VCVTPS2PH converts.
fn singles(cpu: &Cpu, insn: &Insn) -> impl Iterator<Item = Finite> {
    let lanes = (0..usize::from(insn.vl()) / SINGLE.bytes()).filter(|&lane| active(cpu, insn, lane));
    lanes.filter_map(|lane| SINGLE.finite(&vector(cpu, insn.slot(1).reg).0, lane, daz(cpu)))
}

/// Is a result tiny and exact, so that a masked run does not flag it, and deaf to FTZ, so that this does not show it
/// either? That is a half-precision denormal out of VCVTPS2PH.
pub(super) fn is_tiny_unseen(cpu: &Cpu, insn: &Insn) -> bool {
    // Biased exponents of the least normal and the least denormal half-precision number, this with the significand's width.
    const NORMAL: i32 = 127 - 14;
    const LEAST: i32 = 127 + 23 - 24;
    insn.row.map == Map::M0f3a
        && insn.opcode() == TO_HALF
        && singles(cpu, insn).any(|x| {
            x.significand != 0 && x.exponent < NORMAL && x.exponent + x.significand.trailing_zeros() as i32 >= LEAST
        })
}

/// [`rounds`] of a fused multiply-add.
fn fused(cpu: &Cpu, insn: &Insn, operand: &[u8; 64]) -> bool {
    let format = if insn.row.select.value & sel::W != 0 { DOUBLE } else { SINGLE };
    // The factors and the addend by the digits of the mnemonic.
    let order = match insn.opcode() & 0xf0 {
        0x90 => [0, 2, 1],
        0xa0 => [1, 0, 2],
        _ => [1, 2, 0],
    };
    let kind = insn.opcode() & 0xf;
    let scalar = kind >= 8 && kind & 1 != 0;
    let lanes = if scalar { 1 } else { usize::from(insn.vl()) / format.bytes() };
    let number = |i: usize, lane: usize| {
        let lane = if insn.broadcast().is_some() && insn.mem() as usize == i { 0 } else { lane };
        format.finite(source(cpu, insn, operand, i), lane, daz(cpu))
    };
    (0..lanes).filter(|&lane| active(cpu, insn, lane)).any(|lane| {
        // What matters is whether product and addend have the same sign, not which.
        let subtracts = match kind {
            6 => lane % 2 == 0,
            7 => lane % 2 != 0,
            // FMSUB, and FNMADD, which negates the product.
            _ => matches!(kind, 0xa..=0xd),
        };
        let [a, b, c] = order.map(|i| number(i, lane));
        let (Some(a), Some(b), Some(c)) = (a, b, c) else { return false };
        format.fused_rounds(a, b, Finite { negative: c.negative ^ subtracts, ..c })
    })
}

/// [`rounds`] of an instruction with one source or two.
fn two_sources(cpu: &Cpu, insn: &Insn, operand: &[u8; 64]) -> bool {
    let select = insn.row.select.value;
    let (scalar, double) = match (select & sel::REP) >> sel::REP_SHIFT {
        1 => (true, false),
        2 => (insn.opcode() != 0x7c && insn.opcode() != 0x7d && insn.opcode() != 0xd0, insn.opcode() & 0xf0 == 0x50),
        _ => (false, select & sel::P66 != 0),
    };
    let format = if double { DOUBLE } else { SINGLE };
    let sources = if insn.row.space == Space::Legacy { [0, 1] } else { [1, 2] };
    let conversion = insn.opcode() == 0x5a;
    let last = if conversion {
        insn.row.specs().iter().rposition(|s| s.loc == Loc::VecOrMem).unwrap_or(1)
    } else {
        sources[1]
    };
    let (a, b) = (source(cpu, insn, operand, sources[0]), source(cpu, insn, operand, last));
    let lanes = if scalar { 1 } else { usize::from(insn.vl()) / format.bytes() };
    let broadcast = insn.broadcast().is_some();
    let number = |bytes, lane| format.finite(bytes, lane, daz(cpu));
    let pair = |lane: usize| Some((number(a, lane)?, number(b, if broadcast { 0 } else { lane })?));
    (0..lanes).filter(|&lane| active(cpu, insn, lane)).any(|lane| match insn.opcode() {
        0x58 | 0x5c => {
            let negate = insn.opcode() == 0x5c;
            pair(lane).is_some_and(|(a, b)| format.sum_rounds(a, Finite { negative: b.negative ^ negate, ..b }))
        }
        0x59 => pair(lane).is_some_and(|(a, b)| format.product_rounds(a, b)),
        0x5e => pair(lane).is_some_and(|(a, b)| format.quotient_rounds(a, b)),
        0x5a => number(b, if broadcast { 0 } else { lane }).is_some_and(|x| SINGLE.rounds(x.significand.into())),
        0xd0 => {
            // Even lanes are subtracted.
            pair(lane)
                .is_some_and(|(a, b)| format.sum_rounds(a, Finite { negative: b.negative ^ (lane % 2 == 0), ..b }))
        }
        0x7c | 0x7d => {
            // Neighbours within one source; each pair is looked at once a source.
            let negate = insn.opcode() == 0x7d;
            let neighbours = |bytes| {
                let (x, y) = (number(bytes, lane & !1)?, number(bytes, lane | 1)?);
                Some(format.sum_rounds(x, Finite { negative: y.negative ^ negate, ..y }))
            };
            neighbours(a).unwrap_or(false) || neighbours(b).unwrap_or(false)
        }
        // Square roots, comparisons and conversions to integers neither overflow nor underflow.
        _ => false,
    })
}
