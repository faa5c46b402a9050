//! Shifts and rotates.
//!
//! Flags that the manual leaves undefined are as Zen 4 has them, which is consistent: AF is set by every shift; OF of counts
//! above 1 compares the two highest bits of the result, where a bit goes out at the top the carry with the highest.

use super::{Result, mask, result_flags, sign_extend};
use crate::cpu::registers::rflags::{AF, CF, OF};
use crate::isa::row::IntOp;

/// ROL, ROR, RCL, RCR, SHL, SHR, SAR by a count that is masked here as the operand size asks.
/// `None`: the count is 0 and neither the operand nor any flag changes.
pub(crate) fn shift(op: IntOp, a: u64, count: u64, flags: u64, size: u16) -> Option<Result> {
    let bits = u32::from(size) * 8;
    let count = (count & if size == 8 { 63 } else { 31 }) as u32;
    if count == 0 {
        return None;
    }
    let top = bits - 1;
    let msb = |v: u64| v >> top & 1;
    let carry_in = flags & CF;
    let (value, carry, overflow) = match op {
        IntOp::Rol => {
            let v = rotate_left(a, count % bits, bits);
            (v, v & 1, msb(v) ^ v & 1)
        }
        IntOp::Ror => {
            let v = rotate_left(a, (bits - count % bits) % bits, bits);
            (v, msb(v), msb(v) ^ v >> (top - 1) & 1)
        }
        IntOp::Rcl => {
            let wide = u128::from(a) | u128::from(carry_in) << bits;
            let n = count % (bits + 1);
            let v = if n == 0 { wide } else { wide << n | wide >> (bits + 1 - n) };
            let (value, carry) = (v as u64 & mask(size), (v >> bits) as u64 & 1);
            (value, carry, msb(value) ^ carry)
        }
        IntOp::Rcr => {
            let wide = u128::from(a) | u128::from(carry_in) << bits;
            let n = count % (bits + 1);
            let v = if n == 0 { wide } else { wide >> n | wide << (bits + 1 - n) };
            let (value, carry) = (v as u64 & mask(size), (v >> bits) as u64 & 1);
            (value, carry, msb(value) ^ value >> (top - 1) & 1)
        }
        IntOp::Shl => {
            let wide = u128::from(a) << count;
            let (value, carry) = (wide as u64 & mask(size), (wide >> bits) as u64 & 1);
            (value, carry, msb(value) ^ carry)
        }
        IntOp::Shr => {
            let wide = u128::from(a) << 64 >> count;
            let value = (wide >> 64) as u64;
            // By 1: the old sign.
            (value, (wide >> 63) as u64 & 1, msb(value) ^ value >> (top - 1) & 1)
        }
        _ => {
            let signed = sign_extend(a, size) as i64;
            let wide = (i128::from(signed) << 64) >> count;
            ((wide >> 64) as u64 & mask(size), (wide >> 63) as u64 & 1, 0)
        }
    };
    let arithmetic = carry | overflow << 11;
    Some(match op {
        IntOp::Rol | IntOp::Ror | IntOp::Rcl | IntOp::Rcr => Result { value, flags: flags & !(CF | OF) | arithmetic },
        _ => Result { value, flags: arithmetic | AF | result_flags(value, size) },
    })
}

fn rotate_left(a: u64, n: u32, bits: u32) -> u64 {
    if n == 0 { a } else { (a << n | a >> (bits - n)) & (u64::MAX >> (64 - bits)) }
}

/// SHLD and SHRD. `None` for a count of 0. Counts above a 16-bit operand's width, which are undefined, bring in the source
/// again and clear CF, as AMD's processors do.
pub(crate) fn double_shift(left: bool, a: u64, b: u64, count: u64, size: u16) -> Option<Result> {
    let bits = u32::from(size) * 8;
    let count = (count & if size == 8 { 63 } else { 31 }) as u32;
    if count == 0 {
        return None;
    }
    let m = mask(size);
    let (a128, b128) = (u128::from(a), u128::from(b));
    let beyond = count > bits;
    let (value, carry) = match (left, bits) {
        (true, 64) => (((a128 << 64 | b128) << count >> 64) as u64, a >> (64 - count) & 1),
        (true, _) => {
            let three = (a128 << (2 * bits) | b128 << bits | b128) << count;
            ((three >> (2 * bits)) as u64 & m, (three >> (3 * bits)) as u64 & 1)
        }
        (false, 64) => (((b128 << 64 | a128) >> count) as u64, a >> (count - 1) & 1),
        (false, _) => {
            let three = b128 << (2 * bits) | b128 << bits | a128;
            ((three >> count) as u64 & m, (three >> (count - 1)) as u64 & 1)
        }
    };
    let carry = if beyond { 0 } else { carry };
    let msb = |value: u64, below: u32| value >> (bits - 1 - below) & 1;
    let overflow = match left {
        // What comes from the source does not count.
        true => carry ^ if count < bits { msb(a, count) } else { 0 },
        false => msb(value, 0) ^ msb(value, 1),
    };
    Some(Result { value, flags: carry | overflow << 11 | AF | result_flags(value, size) })
}
