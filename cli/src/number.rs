//! Numbers and byte strings as the command's JSON has them.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;

/// A number: a JSON integer or a `"0x…"` string on input, a `"0x…"` string on output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number(pub u64);

impl Number {
    /// Reads `0x…`.
    ///
    /// # Errors
    /// What is wrong with the text and what is wanted.
    pub fn parse(text: &str) -> Result<Number, String> {
        let wanted = || format!("{text:?} is no number: write a JSON integer or \"0x\" and 1 to 16 hex digits");
        let digits = text.strip_prefix("0x").ok_or_else(wanted)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wanted());
        }
        u64::from_str_radix(digits, 16).map(Number).map_err(|_| wanted())
    }

    /// The number, if it has no more than `bits` bits.
    ///
    /// # Errors
    /// A sentence that begins with `field`.
    pub fn within(self, bits: u32, field: &str) -> Result<u64, String> {
        if bits < 64 && self.0 >> bits != 0 {
            return Err(format!("{field}: {:#x} has more than {bits} bits", self.0));
        }
        Ok(self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 2^64 - 1: a JSON integer or a \"0x…\" string")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                Number::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// Bytes in memory order, in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// Reads pairs of hex digits.
    ///
    /// # Errors
    /// What is wrong with the text and what is wanted.
    pub fn parse(text: &str) -> Result<Bytes, String> {
        let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
        let pair = |p: &[u8]| match *p {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        if let Some(wrong) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(format!("{wrong:?} in a byte string: write two hex digits a byte and nothing between them"));
        }
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
        bytes.map(Bytes).ok_or_else(|| format!("a byte string of {} hex digits: write two a byte", text.len()))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Hex;
        impl Visitor<'_> for Hex {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of hex digits, two a byte")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                Bytes::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
        let text: String = digits.map(char::from).collect();
        serializer.serialize_str(&text)
    }
}

/// Finds `name` in a table of names.
///
/// # Errors
/// A sentence that lists the choices.
pub fn choose<T: Copy>(what: &str, name: &str, table: &[(&str, T)]) -> Result<T, String> {
    table.iter().find(|(n, _)| *n == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|(n, _)| *n).collect();
        format!("there is no {what} {name:?}; choose one of {}", names.join(", "))
    })
}

/// Operating modes by name.
pub const MODES: [(&str, encore86::Mode); 7] = {
    use encore86::Mode::*;
    [
        ("real16", Real16),
        ("v86", V86),
        ("prot16", Prot16),
        ("prot32", Prot32),
        ("compat16", Compat16),
        ("compat32", Compat32),
        ("long64", Long64),
    ]
};
