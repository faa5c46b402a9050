//! Integer arithmetic on values: result and flags, without state.
//!
//! Operands come zero-extended; `size` is the operand width in bytes (1, 2, 4, 8). Flags are in RFLAGS layout. Flags that
//! the manual leaves undefined are given as current processors give them where those agree.

mod bits;
mod divide;
pub(crate) mod fused;
pub(crate) mod real;
mod shift;

pub(crate) use bits::{crc32, deposit, extract};
pub(crate) use divide::{divide, multiply};
pub(crate) use shift::{double_shift, shift};

use crate::cpu::registers::rflags::{AF, CF, OF, PF, SF, ZF};
use crate::host;

/// A result and the six arithmetic flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Result {
    pub(crate) value: u64,
    pub(crate) flags: u64,
}

/// All ones in the low `size` bytes, 1 to 8.
#[inline(always)]
pub(crate) fn mask(size: u16) -> u64 {
    const MASKS: [u64; 16] = {
        let mut masks = [u64::MAX; 16];
        let mut size = 0;
        while size < 8 {
            masks[size] = (1 << (size * 8)) - 1;
            size += 1;
        }
        masks
    };
    MASKS[usize::from(size & 15)]
}

/// Sign-extends the low `size` bytes.
#[inline]
pub(crate) fn sign_extend(value: u64, size: u16) -> u64 {
    let shift = 64 - u32::from(size) * 8;
    ((value << shift) as i64 >> shift) as u64
}

/// A value of `size` bytes, repeated to eight.
#[inline]
pub(crate) fn repeat(value: u64, size: u16) -> u64 {
    const BY_WIDTH: [u64; 4] = [0x0101_0101_0101_0101, 0x0001_0001_0001_0001, 0x0001_0000_0001, 1];
    value.wrapping_mul(BY_WIDTH[size.trailing_zeros() as usize & 3])
}

/// SF, ZF and PF of a result.
#[inline]
pub(crate) fn result_flags(value: u64, size: u16) -> u64 {
    host::of_result(value, size).unwrap_or_else(|| flags_of_result(value, size))
}

fn flags_of_result(value: u64, size: u16) -> u64 {
    let sign = value >> (u32::from(size) * 8 - 1) & 1;
    let zero = u64::from(value == 0);
    let odd = u64::from((value as u8).count_ones() & 1);
    sign << 7 | zero << 6 | (odd ^ 1) << 2
}

/// `a + b + carry`.
#[inline]
pub(crate) fn add(a: u64, b: u64, carry: bool, size: u16) -> Result {
    if let (false, Some((value, flags))) = (carry, host::sum(a, b, size)) {
        return Result { value, flags };
    }
    sum(a, b, carry, size)
}

fn sum(a: u64, b: u64, carry: bool, size: u16) -> Result {
    let m = mask(size);
    let value = a.wrapping_add(b).wrapping_add(u64::from(carry)) & m;
    let carries = (a & b) | ((a | b) & !value);
    flags_of_sum(value, carries, a ^ b ^ value, !(a ^ b) & (a ^ value), size)
}

/// `a - b - borrow`.
#[inline]
pub(crate) fn sub(a: u64, b: u64, borrow: bool, size: u16) -> Result {
    if let (false, Some((value, flags))) = (borrow, host::difference(a, b, size)) {
        return Result { value, flags };
    }
    difference(a, b, borrow, size)
}

fn difference(a: u64, b: u64, borrow: bool, size: u16) -> Result {
    let m = mask(size);
    let value = a.wrapping_sub(b).wrapping_sub(u64::from(borrow)) & m;
    let borrows = (!a & b) | ((!a | b) & value);
    flags_of_sum(value, borrows, a ^ b ^ value, (a ^ b) & (a ^ value), size)
}

#[inline]
fn flags_of_sum(value: u64, carries: u64, half: u64, overflow: u64, size: u16) -> Result {
    let top = u32::from(size) * 8 - 1;
    let flags = carries >> top & CF | half & AF | (overflow >> top & 1) << 11;
    Result { value, flags: flags | result_flags(value, size) }
}

/// The flags of AND, OR, XOR and TEST on their result.
#[inline]
pub(crate) fn logic(value: u64, size: u16) -> Result {
    Result { value, flags: result_flags(value, size) }
}

/// For each condition, a bit for each value of CF, PF, ZF, SF and OF: is it true?
const CONDITIONS: [u32; 16] = {
    let mut truth = [0; 16];
    let mut flags = 0;
    while flags < 32 {
        let (cf, pf, zf, sf, of) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0, flags & 8 != 0, flags & 16 != 0);
        let conditions = [of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of];
        let mut code = 0;
        while code < 16 {
            if conditions[code >> 1] != (code & 1 != 0) {
                truth[code] |= 1 << flags;
            }
            code += 1;
        }
        flags += 1;
    }
    truth
};

/// Is the condition (the opcode's low four bits) true? Without a branch, which a guest's data would have mispredicted.
#[inline(always)]
pub(crate) fn condition(code: u8, flags: u64) -> bool {
    const { assert!(CF == 1 && PF == 1 << 2 && ZF == 1 << 6 && SF == 1 << 7 && OF == 1 << 11) };
    let index = flags & 1 | flags >> 1 & 2 | flags >> 4 & 0xc | flags >> 7 & 16;
    CONDITIONS[usize::from(code & 15)] >> index & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The naive version: arithmetic on wide integers.
    fn naive(a: u64, b: u64, c: bool, size: u16, subtract: bool) -> (u64, u64) {
        let bits = u32::from(size) * 8;
        let signed = |x: u64| i128::from(sign_extend(x, size) as i64);
        let (wide, exact, half) = if subtract {
            (
                i128::from(a) - i128::from(b) - i128::from(c),
                signed(a) - signed(b) - i128::from(c),
                i128::from(a & 15) - i128::from(b & 15) - i128::from(c),
            )
        } else {
            (
                i128::from(a) + i128::from(b) + i128::from(c),
                signed(a) + signed(b) + i128::from(c),
                i128::from(a & 15) + i128::from(b & 15) + i128::from(c),
            )
        };
        let value = wide as u64 & mask(size);
        let mut flags = 0;
        if wide < 0 || wide >> bits != 0 {
            flags |= CF;
        }
        if !(0..16).contains(&half) {
            flags |= AF;
        }
        if exact != signed(value) {
            flags |= OF;
        }
        if value == 0 {
            flags |= ZF;
        }
        if value >> (bits - 1) != 0 {
            flags |= SF;
        }
        if (value as u8).count_ones().is_multiple_of(2) {
            flags |= PF;
        }
        (value, flags)
    }

    /// The manual's conditions in words.
    #[test]
    fn conditions_are_those_of_the_manual() {
        for bits in 0..32u64 {
            let (cf, pf, zf, sf, of) = (bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3 & 1, bits >> 4 & 1);
            let flags = cf | pf << 2 | zf << 6 | sf << 7 | of << 11;
            let expected = [
                ("o", of == 1),
                ("no", of == 0),
                ("b", cf == 1),
                ("nb", cf == 0),
                ("z", zf == 1),
                ("nz", zf == 0),
                ("be", cf + zf > 0),
                ("nbe", cf + zf == 0),
                ("s", sf == 1),
                ("ns", sf == 0),
                ("p", pf == 1),
                ("np", pf == 0),
                ("l", sf != of),
                ("nl", sf == of),
                ("le", zf == 1 || sf != of),
                ("nle", zf == 0 && sf == of),
            ];
            for (code, (name, truth)) in expected.into_iter().enumerate() {
                assert_eq!(condition(code as u8, flags), truth, "{name} with {flags:x}");
            }
        }
    }

    #[test]
    fn sums_match_wide_arithmetic() {
        let corners =
            [0, 1, 7, 8, 15, 16, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fff_ffff, 0x8000_0000, 1 << 63, u64::MAX];
        for size in [1, 2, 4, 8] {
            for a in corners {
                for b in corners {
                    for c in [false, true] {
                        let (a, b) = (a & mask(size), b & mask(size));
                        let sum = add(a, b, c, size);
                        assert_eq!((sum.value, sum.flags), naive(a, b, c, size, false), "{a:#x}+{b:#x}+{c} {size}");
                        let difference = sub(a, b, c, size);
                        let expected = naive(a, b, c, size, true);
                        assert_eq!((difference.value, difference.flags), expected, "{a:#x}-{b:#x}-{c} {size}");
                    }
                }
            }
        }
    }
}
