//! Singles as tile products add them: fused multiply-add rounded to nearest even, denormals taken and given as zeros, no
//! exceptions (SDM volume 2, TDPBF16PS).

const SIGN: u32 = 1 << 31;
const INFINITY: u32 = 0x7f80_0000;
const QUIET: u32 = 1 << 22;
/// What an invalid operation gives.
const DEFAULT_NAN: u32 = 0xffc0_0000;
const ONE: u32 = 0x3f80_0000;
/// Bits of the fraction.
const FRACTION: u32 = 23;

/// A number: `significand * 2^exponent`, the sign apart. Zero has no significand.
#[derive(Clone, Copy)]
struct Number {
    negative: bool,
    significand: u64,
    exponent: i32,
}

const fn magnitude(x: u32) -> u32 {
    x & !SIGN
}

const fn is_nan(x: u32) -> bool {
    magnitude(x) > INFINITY
}

/// The number of bits that are no infinity and no NaN; a denormal is zero.
fn number(x: u32) -> Number {
    let exponent = magnitude(x) >> FRACTION;
    let significand = if exponent == 0 { 0 } else { x & ((1 << FRACTION) - 1) | 1 << FRACTION };
    Number { negative: x & SIGN != 0, significand: significand.into(), exponent: exponent as i32 - 150 }
}

/// `a * b + c`. Of several NaNs the first one is given, quiet.
pub(crate) fn multiply_add(a: u32, b: u32, c: u32) -> u32 {
    if let Some(nan) = [a, b, c].into_iter().find(|&x| is_nan(x)) {
        return nan | QUIET;
    }
    let sign = (a ^ b) & SIGN;
    // Denormals are zeros here as well.
    let zero = |x: u32| magnitude(x) < 1 << FRACTION;
    if magnitude(a) == INFINITY || magnitude(b) == INFINITY {
        let opposite = magnitude(c) == INFINITY && c & SIGN != sign;
        return if zero(a) || zero(b) || opposite { DEFAULT_NAN } else { sign | INFINITY };
    }
    if magnitude(c) == INFINITY {
        return c;
    }
    let (x, y, z) = (number(a), number(b), number(c));
    let product =
        Number { negative: sign != 0, significand: x.significand * y.significand, exponent: x.exponent + y.exponent };
    round(sum(product, z))
}

/// `a + b`.
pub(crate) fn add(a: u32, b: u32) -> u32 {
    // Of two NaNs the first.
    if is_nan(a) { a | QUIET } else { multiply_add(a, ONE, b) }
}

/// The sum in 128 bits; what lies far below the rest leaves a sticky bit.
fn sum(a: Number, b: Number) -> (bool, u128, i32) {
    if a.significand == 0 || b.significand == 0 {
        let (all_zero, other) = (a.significand | b.significand == 0, if a.significand == 0 { b } else { a });
        let negative = if all_zero { a.negative && b.negative } else { other.negative };
        return (negative, other.significand.into(), other.exponent);
    }
    let (high, low) = if a.exponent >= b.exponent { (a, b) } else { (b, a) };
    let distance = (high.exponent - low.exponent) as u32;
    // 48 bits at most, moved so far that what is cut off the other is less than a rounding unit of the sum.
    let shift = distance.min(72);
    let tail = distance - shift;
    let lower = u128::from(low.significand) << 1;
    let lower = if tail >= 64 { 1 } else { lower >> tail | u128::from(lower & ((1 << tail) - 1) != 0) };
    let upper = u128::from(high.significand) << (shift + 1);
    let exponent = high.exponent - shift as i32 - 1;
    if high.negative == low.negative {
        return (high.negative, upper + lower, exponent);
    }
    // A difference of equal numbers is +0.
    match upper.cmp(&lower) {
        core::cmp::Ordering::Equal => (false, 0, 0),
        core::cmp::Ordering::Greater => (high.negative, upper - lower, exponent),
        core::cmp::Ordering::Less => (low.negative, lower - upper, exponent),
    }
}

/// To nearest, ties to even. What is tiny after rounding is zero, what is huge is infinite.
fn round((negative, significand, exponent): (bool, u128, i32)) -> u32 {
    let sign = if negative { SIGN } else { 0 };
    if significand == 0 {
        return sign;
    }
    let width = 128 - significand.leading_zeros();
    let cut = width.saturating_sub(FRACTION + 1);
    let widened = significand << (FRACTION + 1).saturating_sub(width);
    let (kept, rest) = (widened >> cut, widened & ((1 << cut) - 1));
    let half = if cut == 0 { 0 } else { 1 << (cut - 1) };
    let up = cut != 0 && (rest > half || rest == half && kept & 1 != 0);
    let kept = kept as u32 + u32::from(up);
    // Rounding up may carry into the next power of two, whose fraction is zero.
    let carried = kept >> (FRACTION + 1);
    let biased = exponent + width as i32 - 1 + 127 + carried as i32;
    match biased {
        ..1 => sign,
        255.. => sign | INFINITY,
        _ => sign | (biased as u32) << FRACTION | kept >> carried & ((1 << FRACTION) - 1),
    }
}

/// A half as a single, which holds every half.
pub(crate) fn from_half(half: u16) -> u32 {
    let (sign, exponent, fraction) = (u32::from(half >> 15) << 31, half >> 10 & 0x1f, u32::from(half & 0x3ff));
    match exponent {
        0 if fraction == 0 => sign,
        0 => {
            // Its highest bit becomes the implied one.
            let high = 31 - fraction.leading_zeros();
            sign | (high + 127 - 24) << FRACTION | fraction << (FRACTION - high) & ((1 << FRACTION) - 1)
        }
        0x1f if fraction != 0 => sign | INFINITY | QUIET | fraction << 13,
        0x1f => sign | INFINITY,
        _ => sign | (u32::from(exponent) + 127 - 15) << FRACTION | fraction << 13,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singles_by_hand() {
        let bits = |x: f32| x.to_bits();
        assert_eq!(multiply_add(bits(2.0), bits(3.0), bits(4.0)), bits(10.0));
        assert_eq!(
            multiply_add(0x3f80_0001, 0x3f80_0001, 0xbf80_0002),
            0x2880_0000,
            "2^-46: the product is not rounded"
        );
        assert_eq!(multiply_add(1, bits(2.0), bits(1.0)), bits(1.0), "a denormal is zero");
        assert_eq!(multiply_add(0x8080_0000, bits(0.5), 0), SIGN, "and so is what would be one");
        assert_eq!(
            multiply_add(0x00ff_fffe, 0x3f00_0001, 0),
            0x0080_0000,
            "what rounds up to a normal number is not tiny"
        );
        assert_eq!(multiply_add(0x7f7f_ffff, bits(2.0), 0), INFINITY);
        assert_eq!(multiply_add(INFINITY, 1, 0), DEFAULT_NAN, "infinity times a denormal, which is zero");
        assert_eq!(multiply_add(bits(1.0), SIGN | INFINITY, INFINITY), DEFAULT_NAN);
        assert_eq!(multiply_add(bits(1.0), 0x7f80_0001, 0xffff_ffff), 0x7fc0_0001);
        assert_eq!(add(bits(1.5), bits(-1.5)), 0, "+0");
        assert_eq!(add(SIGN, SIGN), SIGN);
        assert_eq!(add(bits(16777216.0), bits(1.0)), bits(16777216.0), "a tie to even");
        assert_eq!(add(bits(16777216.0), 0x3f80_0001), bits(16777218.0));
    }

    #[test]
    fn halves_by_hand() {
        for (half, single) in
            [(0x3c00, 0x3f80_0000), (0xc000, 0xc000_0000), (1, 0x3380_0000), (0x3ff, 0x387f_c000), (0x8000, SIGN)]
        {
            assert_eq!(from_half(half), single, "{half:x}");
        }
        assert_eq!([0x7bff, 0x7c00, 0x7c01].map(from_half), [0x477f_e000, INFINITY, 0x7fc0_2000]);
    }
}
