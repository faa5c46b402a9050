//! Multiplication and division.

use super::{Result, mask, sign_extend};
use crate::cpu::registers::rflags::{CF, OF};

/// A double-width product: low half, high half, CF and OF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) low: Result,
    pub(crate) high: u64,
}

/// MUL and IMUL. CF and OF say that the product does not fit in the low half.
pub(crate) fn multiply(a: u64, b: u64, signed: bool, size: u16) -> Product {
    let bits = u32::from(size) * 8;
    let (low, high, fits) = if signed {
        let wide = i128::from(sign_extend(a, size) as i64) * i128::from(sign_extend(b, size) as i64);
        let low = wide as u64 & mask(size);
        (low, (wide >> bits) as u64 & mask(size), wide == i128::from(sign_extend(low, size) as i64))
    } else {
        let wide = u128::from(a) * u128::from(b);
        let high = (wide >> bits) as u64;
        (wide as u64 & mask(size), high & mask(size), high == 0)
    };
    let carry = if fits { 0 } else { CF | OF };
    Product { low: Result { value: low, flags: carry }, high }
}

/// DIV and IDIV of `high:low` by `divisor`: quotient and remainder, `None` for #DE.
pub(crate) fn divide(low: u64, high: u64, divisor: u64, signed: bool, size: u16) -> Option<(u64, u64)> {
    let bits = u32::from(size) * 8;
    if divisor == 0 {
        return None;
    }
    let wide = u128::from(high) << bits | u128::from(low);
    if signed {
        let shift = 128 - 2 * bits;
        let dividend = (wide << shift) as i128 >> shift;
        let divisor = i128::from(sign_extend(divisor, size) as i64);
        let quotient = dividend.checked_div(divisor)?;
        let fits = quotient == i128::from(sign_extend(quotient as u64, size) as i64);
        fits.then_some((quotient as u64 & mask(size), (dividend % divisor) as u64 & mask(size)))
    } else {
        let quotient = wide / u128::from(divisor);
        (quotient <= u128::from(mask(size))).then_some((quotient as u64, (wide % u128::from(divisor)) as u64))
    }
}
