//! Which opcode bytes are about, read without the decoder that is under test.

use core::fmt;
use encore86::Mode;

/// The opcode of a byte string: what errata and reports go by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opcode {
    /// `""`, `0f.`, `0f38.`, `vex1.`, `evex2.`, `xop9.`, ….
    pub map: String,
    pub byte: u8,
    pub modrm: u8,
    /// 66, F3, F2 before the opcode, or pp of VEX.
    pub pp: &'static str,
    pub lock: bool,
}

impl Opcode {
    pub fn of(bytes: &[u8], mode: Mode) -> Opcode {
        let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let (mut i, mut pp, mut lock, mut p66) = (0, "", false, false);
        loop {
            match at(i) {
                0xf0 => lock = true,
                0xf3 => pp = "f3",
                0xf2 => pp = "f2",
                0x66 => p66 = true,
                0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x67 => {}
                0x40..=0x4f if mode == Mode::Long64 => {}
                _ => break,
            }
            i += 1;
        }
        if pp.is_empty() && p66 {
            pp = "66";
        }
        let escape = mode == Mode::Long64 || at(i + 1) >= 0xc0;
        let of_vex = |byte: u8| ["", "66", "f3", "f2"][usize::from(byte & 3)];
        let (map, next) = match at(i) {
            0x0f if at(i + 1) == 0x38 => ("0f38.".into(), i + 2),
            0x0f if at(i + 1) == 0x3a => ("0f3a.".into(), i + 2),
            0x0f => ("0f.".into(), i + 1),
            0xc5 if escape => {
                pp = of_vex(at(i + 1));
                ("vex1.".into(), i + 2)
            }
            0xc4 if escape => {
                pp = of_vex(at(i + 2));
                (format!("vex{}.", at(i + 1) & 31), i + 3)
            }
            0x8f if at(i + 1) & 31 >= 8 => {
                pp = of_vex(at(i + 2));
                (format!("xop{}.", at(i + 1) & 31), i + 3)
            }
            0x62 if escape => {
                pp = of_vex(at(i + 2));
                (format!("evex{}.", at(i + 1) & 7), i + 4)
            }
            _ => (String::new(), i),
        };
        Opcode { map, byte: at(next), modrm: at(next + 1), pp, lock }
    }

    /// Does a pattern such as `0f.01/7`, `0f.ae/5m`, `0f.01/7r2`, `66:0f38.8x`, `vex2.*` cover it?
    pub fn matches(&self, pattern: &str) -> bool {
        let pattern = match pattern.split_once(':') {
            Some(("lock", rest)) if self.lock => rest,
            Some((pp, rest)) if pp == self.pp || pp == "np" && self.pp.is_empty() => rest,
            Some(_) => return false,
            None => pattern,
        };
        let (opcode, modrm) = pattern.split_once('/').map_or((pattern, None), |(o, m)| (o, Some(m)));
        let Some(byte) = opcode.strip_prefix(self.map.as_str()) else { return false };
        let nibble = |digit: Option<char>, value: u8| match digit {
            Some('x') => true,
            Some(digit) => digit.to_digit(16) == Some(u32::from(value)),
            None => false,
        };
        let mut digits = byte.chars();
        let opcode_fits = byte == "*"
            || byte.len() == 2 && nibble(digits.next(), self.byte >> 4) && nibble(digits.next(), self.byte & 15);
        opcode_fits && modrm.is_none_or(|modrm| self.modrm_matches(modrm))
    }

    fn modrm_matches(&self, pattern: &str) -> bool {
        let mut left = pattern.chars().peekable();
        if let Some(reg) = left.next_if(|c| *c != 'm' && *c != 'r')
            && reg.to_digit(8) != Some(u32::from(self.modrm >> 3 & 7))
        {
            return false;
        }
        match left.next() {
            None => true,
            Some('m') => self.modrm < 0xc0,
            Some(_) => {
                self.modrm >= 0xc0 && left.next().is_none_or(|rm| rm.to_digit(8) == Some(u32::from(self.modrm & 7)))
            }
        }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pp = if self.pp.is_empty() { "np" } else { self.pp };
        write!(f, "{pp}:{}{:02x}", self.map, self.byte)
    }
}

#[test]
fn patterns_cover_what_they_say() {
    let opcode = |bytes: &[u8]| Opcode::of(bytes, Mode::Long64);
    let vmcall = opcode(&[0x66, 0x0f, 0x01, 0xc1]);
    for pattern in ["0f.01", "0f.0x", "0f.01/0", "0f.01/0r", "0f.01/0r1", "66:0f.01", "0f.*"] {
        assert!(vmcall.matches(pattern), "{pattern}");
    }
    for pattern in ["0f.02", "01", "0f.01/1", "0f.01/0m", "0f.01/0r2", "np:0f.01", "0f38.01", "f3:0f.*"] {
        assert!(!vmcall.matches(pattern), "{pattern}");
    }
    let locked = opcode(&[0xf0, 0x0f, 0x00, 0x28]);
    assert!(locked.matches("lock:0f.00/5m") && locked.matches("np:0f.00") && !vmcall.matches("lock:0f.01"));
    assert_eq!(opcode(&[0x62, 0xf2, 0x7d, 0x48, 0x18, 0]).to_string(), "66:evex2.18");
    assert_eq!(opcode(&[0xc5, 0xf8, 0x77]).to_string(), "np:vex1.77");
}
