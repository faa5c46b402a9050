//! Exact conversions between reals in memory and the 80-bit values of x87 registers.
//!
//! A normal number or zero has one image in each format, so that no rounding, no flag and no control word has a part in
//! it. Everything else (denormals, infinities, NaNs, what needs rounding) is the processor's: `None`.

/// A format of 4 or 8 bytes: width of its fraction, bias of its exponent, greatest exponent of a normal number.
struct Format {
    fraction: u32,
    bias: u64,
    greatest: u64,
}

const SINGLE: Format = Format { fraction: 23, bias: 127, greatest: 0xfe };
const DOUBLE: Format = Format { fraction: 52, bias: 1023, greatest: 0x7fe };
/// Bias of the 80-bit format.
const BIAS: u64 = 16383;
/// The 80-bit format has this bit of its significand explicit.
const INTEGER: u64 = 1 << 63;

#[inline(always)]
fn format(size: u16) -> (Format, u32) {
    if size == 4 { (SINGLE, 31) } else { (DOUBLE, 63) }
}

/// The register image of a real of `size` (4 or 8) bytes.
#[inline(always)]
pub(crate) fn widen(bits: u64, size: u16) -> Option<[u8; 10]> {
    let (format, sign) = format(size);
    let exponent = bits >> format.fraction & (format.greatest + 1);
    let fraction = bits << (63 - format.fraction) & !INTEGER;
    let (exponent, significand) = match exponent {
        0 if fraction == 0 => (0, 0),
        1.. if exponent <= format.greatest => (exponent + BIAS - format.bias, INTEGER | fraction),
        _ => return None,
    };
    let mut image = [0; 10];
    image[..8].copy_from_slice(&significand.to_le_bytes());
    image[8..].copy_from_slice(&((exponent | (bits >> sign & 1) << 15) as u16).to_le_bytes());
    Some(image)
}

/// The real of `size` (4 or 8) bytes that is exactly the register's value.
#[inline(always)]
pub(crate) fn narrow(image: [u8; 10], size: u16) -> Option<u64> {
    let (format, sign) = format(size);
    let [a, b, c, d, e, f, g, h, low, high] = image;
    let significand = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let top = u64::from(u16::from_le_bytes([low, high]));
    let negative = top >> 15 << sign;
    let exponent = top & 0x7fff;
    if exponent == 0 && significand == 0 {
        return Some(negative);
    }
    let exponent = (exponent + format.bias).wrapping_sub(BIAS);
    let rest = significand & ((1 << (63 - format.fraction)) - 1);
    let normal = significand & INTEGER != 0 && exponent.wrapping_sub(1) < format.greatest;
    let fraction = (significand & !INTEGER) >> (63 - format.fraction);
    (normal && rest == 0).then_some(negative | exponent << format.fraction | fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sign and exponent, then the significand, as the manual writes them.
    fn image(top: u16, significand: u64) -> [u8; 10] {
        let mut image = [0; 10];
        image[..8].copy_from_slice(&significand.to_le_bytes());
        image[8..].copy_from_slice(&top.to_le_bytes());
        image
    }

    #[test]
    fn images_are_those_of_the_manual() {
        let cases: &[(f64, u16, u64)] = &[
            (0.0, 0, 0),
            (-0.0, 0x8000, 0),
            (1.0, 0x3fff, 0x8000_0000_0000_0000),
            (-2.5, 0xc000, 0xa000_0000_0000_0000),
            (0.15625, 0x3ffc, 0xa000_0000_0000_0000),
        ];
        for &(value, top, significand) in cases {
            let image = image(top, significand);
            assert_eq!(widen(value.to_bits(), 8), Some(image), "{value}");
            assert_eq!(widen(u64::from((value as f32).to_bits()), 4), Some(image), "{value}");
            assert_eq!(narrow(image, 8), Some(value.to_bits()), "{value}");
            assert_eq!(narrow(image, 4), Some(u64::from((value as f32).to_bits())), "{value}");
        }
    }

    #[test]
    fn the_ends_of_the_ranges() {
        assert_eq!(widen(f64::MAX.to_bits(), 8), Some(image(0x43fe, 0xffff_ffff_ffff_f800)));
        assert_eq!(widen(f64::MIN_POSITIVE.to_bits(), 8), Some(image(0x3c01, 1 << 63)));
        assert_eq!(widen(u64::from(f32::MAX.to_bits()), 4), Some(image(0x407e, 0xffff_ff00_0000_0000)));
        assert_eq!(narrow(image(0x3c00, 1 << 63), 8), None, "a denormal result");
        assert_eq!(narrow(image(0x43ff, 1 << 63), 8), None, "an overflow");
        assert_eq!(narrow(image(0x3f80, 1 << 63), 4), None, "a denormal result");
        assert_eq!(narrow(image(0x407f, 1 << 63), 4), None, "an overflow");
        assert_eq!(narrow(image(0x3fff, 1 << 63 | 1), 8), None, "needs rounding");
        assert_eq!(narrow(image(0x3fff, 1 << 62), 8), None, "an unnormal");
        for special in [f64::INFINITY, f64::NAN, f64::from_bits(1)] {
            assert_eq!(widen(special.to_bits(), 8), None, "{special}");
            assert_eq!(widen(u64::from((special as f32).to_bits() | u32::from(special == f64::from_bits(1))), 4), None);
        }
    }
}
