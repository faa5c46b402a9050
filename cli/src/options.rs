//! What several commands take on the command line.

use crate::model::Wanted;
use encore86::Profile;
use encore86::isa::Feature;

/// A number, decimal or hexadecimal.
///
/// # Errors
/// A sentence about what is wrong with the text; so for all of these.
pub fn number(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    parsed.map_err(|error| format!("{error}; give a decimal number, or a hexadecimal one with 0x"))
}

/// A number of bytes, or one of KiB, MiB or GiB.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    number(digits)?.checked_mul(1 << shift).ok_or_else(|| "more bytes than 64 bits count".into())
}

/// A profile by name, or put together.
pub fn profile(text: &str) -> Result<Box<Profile>, String> {
    Wanted::parse(text)?.find().map(Box::new)
}

/// A feature by its name in /proc/cpuinfo.
pub fn feature(name: &str) -> Result<Feature, String> {
    Feature::from_name(name).ok_or_else(|| "no such feature; give its name as in /proc/cpuinfo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes() {
        assert_eq!(number("0x10_0000"), Ok(1 << 20));
        assert_eq!(number("4096"), Ok(4096));
        assert!(number("7c00h").is_err());
        assert!(number("-1").is_err());
        assert_eq!(size("64K"), Ok(1 << 16));
        assert_eq!(size("0x10M"), Ok(16 << 20));
        assert_eq!(size("3G"), Ok(3 << 30));
        assert!(size("17179869184G").is_err(), "2^64 bytes");
        assert!(size("").is_err() && size("M").is_err() && size("é").is_err());
    }
}
