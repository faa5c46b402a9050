//! Prefixes and what leads to the opcode: legacy prefixes, REX, REX2, the escapes, VEX, EVEX, XOP, and 3DNow!'s suffix.

use super::{Cursor, DecodeError, LIMIT, NO_ROW, SIZES, prefix};
use crate::cpu::Mode;
use crate::cpu::segment::Seg;
use crate::isa::row::{Map, Space};
use crate::isa::{Feature, tables};
use crate::profile::{Profile, Vendor};

/// What the prefixes and the bits of REX, VEX or EVEX say.
#[derive(Clone, Copy)]
pub(super) struct Prefixes {
    pub(super) bits: u16,
    pub(super) seg: Option<Seg>,
    /// 0, 1 (F3) or 2 (F2): the last one counts.
    pub(super) rep: u32,
    /// Register extensions: 8, 16 or both.
    pub(super) r: u8,
    pub(super) x: u8,
    pub(super) b: u8,
    pub(super) vvvv: u8,
    pub(super) ll: u8,
    pub(super) aaa: u8,
}

/// No prefix at all, or a REX alone, is what most instructions have.
#[inline(always)]
pub(super) fn take_prefixes(cur: &mut Cursor<'_>, long: bool) -> Result<Prefixes, DecodeError> {
    let [first, second, ..] = *cur.bytes;
    let is_rex = long && first & 0xf0 == 0x40;
    let opcode = if is_rex { second } else { first };
    if PREFIX[opcode as usize] && (long || opcode & 0xf0 != 0x40) {
        return take_all_prefixes(cur, long);
    }
    let rex = if is_rex { first } else { 0 };
    cur.at += usize::from(is_rex);
    Ok(Prefixes::of_rex(rex))
}

/// Legacy prefixes and REX.
static PREFIX: [bool; 256] = {
    let mut prefix = [false; 256];
    let bytes = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];
    let mut i = 0;
    while i < bytes.len() {
        prefix[bytes[i]] = true;
        i += 1;
    }
    let mut rex = 0x40;
    while rex < 0x50 {
        prefix[rex] = true;
        rex += 1;
    }
    prefix
};

impl Prefixes {
    /// A REX byte alone; 0 stands for none.
    #[inline(always)]
    fn of_rex(rex: u8) -> Prefixes {
        const _: () = assert!(prefix::REX == 1 << 5 && prefix::W == 1 << 6);
        // REX is bit 6 of the byte, REX.W its bit 3.
        let bits = (rex & 0x40) as u16 >> 1 | (rex as u16 & 8) << 3;
        Prefixes { bits, seg: None, rep: 0, r: rex << 1 & 8, x: rex << 2 & 8, b: rex << 3 & 8, vvvv: 0, ll: 0, aaa: 0 }
    }
}

#[inline(never)]
fn take_all_prefixes(cur: &mut Cursor<'_>, long: bool) -> Result<Prefixes, DecodeError> {
    let (mut bits, mut seg, mut rep) = (0, None, 0);
    let mut rex = 0;
    while cur.at <= LIMIT {
        let byte = cur.peek();
        match byte {
            0x66 => bits |= prefix::P66,
            0x67 => bits |= prefix::P67,
            0xf0 => bits |= prefix::LOCK,
            0xf3 => rep = 1,
            0xf2 => rep = 2,
            0x26 | 0x2e | 0x36 | 0x3e => {
                bits = bits & !prefix::DS | if byte == 0x3e { prefix::DS } else { 0 };
                if !long {
                    seg = Some(Seg::ALL[(byte >> 3 & 3) as usize]);
                }
            }
            0x64 | 0x65 => {
                bits &= !prefix::DS;
                seg = Some(if byte == 0x64 { Seg::Fs } else { Seg::Gs });
            }
            0x40..=0x4f if long => {
                rex = byte;
                cur.at += 1;
                continue;
            }
            _ => break,
        }
        // A REX that does not stand right before the opcode counts for nothing.
        rex = 0;
        cur.at += 1;
    }
    let mut p = Prefixes { seg, rep, ..Prefixes::of_rex(rex) };
    p.bits |= bits | [0, prefix::REP, prefix::REPNE, 0][rep as usize & 3];
    if cur.at > LIMIT { Err(DecodeError::TooLong) } else { Ok(p) }
}

#[inline]
pub(super) fn take_opcode(
    cur: &mut Cursor<'_>,
    mode: Mode,
    profile: &Profile,
    p: &mut Prefixes,
) -> Result<(Space, Map, u8), DecodeError> {
    let long = mode == Mode::Long64;
    let byte = cur.u8();
    // In other modes these are LES, LDS and BOUND unless what follows has the form of a register operand.
    let escape = long || cur.peek() >= 0xc0;
    match byte {
        0x0f => match cur.u8() {
            0x38 => Ok((Space::Legacy, Map::M0f38, cur.u8())),
            0x3a => Ok((Space::Legacy, Map::M0f3a, cur.u8())),
            0x0f => Ok((Space::Legacy, Map::M0f0f, suffix(cur, mode, p)?)),
            op => Ok((Space::Legacy, Map::M0f, op)),
        },
        0xc4 | 0xc5 | 0x62 if escape => {
            if mode.is_real_or_v86() {
                return Err(DecodeError::Invalid("VEX and EVEX need protected mode"));
            }
            let users: &[Feature] = match byte {
                0x62 => &[Feature::Avx512f, Feature::Avx10, Feature::Apx],
                // VEX is general-purpose registers' too.
                _ => &[Feature::Avx, Feature::Bmi1, Feature::Bmi2, Feature::Apx],
            };
            if !users.iter().any(|&user| profile.has(user)) {
                return Err(DecodeError::Invalid("the profile lacks what VEX or EVEX needs"));
            }
            if p.bits & (prefix::REX | prefix::P66 | prefix::LOCK | prefix::REP | prefix::REPNE) != 0 {
                return Err(DecodeError::Invalid("a 66, F2, F3, LOCK or REX prefix before VEX or EVEX"));
            }
            take_vector_prefix(cur, byte, long, profile, p)
        }
        0xd5 if long => take_rex2(cur, profile, p),
        0x8f if cur.peek() & 0x1f >= 8 => {
            let users = [Feature::Xop, Feature::Tbm, Feature::Lwp];
            if mode.is_real_or_v86() || !users.iter().any(|&user| profile.has(user)) {
                return Err(DecodeError::Invalid("8F is POP, and only with ModRM.reg 0"));
            }
            if p.bits & (prefix::REX | prefix::P66 | prefix::LOCK | prefix::REP | prefix::REPNE) != 0 {
                return Err(DecodeError::Invalid("a 66, F2, F3, LOCK or REX prefix before XOP"));
            }
            take_vector_prefix(cur, byte, long, profile, p)
        }
        0x8f if cur.peek() & 0x38 != 0 => Err(DecodeError::Invalid("8F is POP, and only with ModRM.reg 0")),
        op => Ok((Space::Legacy, Map::Primary, op)),
    }
}

/// REX2: two maps, and five bits for each register.
#[cold]
fn take_rex2(cur: &mut Cursor<'_>, profile: &Profile, p: &mut Prefixes) -> Result<(Space, Map, u8), DecodeError> {
    if !profile.has(Feature::Apx) {
        return Err(DecodeError::Invalid("REX2 needs apx_f"));
    }
    if p.bits & prefix::REX != 0 {
        return Err(DecodeError::Invalid("a REX prefix before REX2"));
    }
    let payload = cur.u8();
    p.bits |= prefix::REX | prefix::REX2 | u16::from(payload & 8) << 3;
    p.r = payload << 1 & 8 | payload >> 2 & 16;
    p.x = payload << 2 & 8 | payload >> 1 & 16;
    p.b = payload << 3 & 8 | payload & 16;
    let opcode = cur.u8();
    if payload & 0x80 != 0 {
        return Ok((Space::Legacy, Map::M0f, opcode));
    }
    if opcode == 0x0f || PREFIX[opcode as usize] || matches!(opcode, 0x62 | 0xc4 | 0xc5 | 0xd5) {
        return Err(DecodeError::Invalid("a prefix or escape behind REX2"));
    }
    Ok((Space::Legacy, Map::Primary, opcode))
}

/// The opcode of 3DNow!, behind ModRM, SIB and displacement.
#[cold]
fn suffix(cur: &mut Cursor<'_>, mode: Mode, p: &Prefixes) -> Result<u8, DecodeError> {
    let modrm = cur.peek();
    let (form, rm) = (modrm >> 6, modrm & 7);
    let size = SIZES[mode as usize].address[usize::from(p.bits & prefix::P67 != 0)];
    let at = |i: usize| cur.bytes.get(cur.at + i).copied().unwrap_or(0);
    let operand = match (form, size) {
        (3, _) => 0,
        (0, 2) if rm == 6 => 2,
        (_, 2) => form as usize,
        (0, _) if rm == 5 || rm == 4 && at(1) & 7 == 5 => 4 + usize::from(rm == 4),
        (_, _) => [0, 1, 4][form as usize] + usize::from(rm == 4),
    };
    let opcode = at(1 + operand);
    if tables::line(Space::Legacy, Map::M0f0f, opcode).all().is_empty() {
        // All of it is looked at before that is known.
        cur.at += 2 + operand;
        return Err(NO_ROW);
    }
    Ok(opcode)
}

fn take_vector_prefix(
    cur: &mut Cursor<'_>,
    byte: u8,
    long: bool,
    profile: &Profile,
    p: &mut Prefixes,
) -> Result<(Space, Map, u8), DecodeError> {
    let one = cur.u8();
    let (map, last) = match byte {
        0xc5 => (1, one & 0x7f),
        0xc4 | 0x8f => {
            p.x = (!one & 0x40) >> 3;
            p.b = (!one & 0x20) >> 2;
            (one & 0x1f, cur.u8())
        }
        _ => {
            // EVEX.R' and EVEX.X extend registers to 5 bits.
            p.x = (!one & 0x40) >> 3;
            p.b = (!one & 0x20) >> 2;
            p.r = !one & 0x10;
            let two = cur.u8();
            if one & 8 != 0 || two & 4 == 0 {
                if !long || !profile.has(Feature::Apx) {
                    return Err(DecodeError::Invalid("bits of EVEX that are reserved without apx_f"));
                }
                // They extend base and index register, or the register in ModRM.rm.
                p.b |= one << 1 & 16;
                p.x |= !two << 2 & 16;
            }
            (one & 7, two)
        }
    };
    p.r |= (!one & 0x80) >> 4;
    if last & 0x80 != 0 {
        p.bits |= prefix::W;
    }
    p.vvvv = !(last >> 3) & 0xf;
    p.rep = [0, 0, 1, 2][(last & 3) as usize];
    if last & 3 == 1 {
        p.bits |= prefix::P66;
    }
    let space = if byte == 0x62 {
        let two = cur.u8();
        p.ll = two >> 5 & 3;
        p.aaa = two & 7;
        p.vvvv |= (!two & 8) << 1;
        p.bits |= if two & 0x80 != 0 { prefix::Z } else { 0 } | if two & 0x10 != 0 { prefix::B } else { 0 };
        Space::Evex
    } else {
        p.ll = last >> 2 & 1;
        if byte == 0x8f { Space::Xop } else { Space::Vex }
    };
    if !long {
        // Only eight registers: the extensions are ignored, by AMD's processors EVEX.V' too.
        (p.r, p.x, p.b) = (0, 0, 0);
        if p.vvvv & 16 != 0 && profile.vendor() == Vendor::Intel {
            return Err(DecodeError::Invalid("EVEX.V' is clear outside 64-bit mode"));
        }
        p.vvvv &= 0xf;
    }
    let map = match map {
        1 => Map::M0f,
        2 => Map::M0f38,
        3 => Map::M0f3a,
        4 => Map::M4,
        5 => Map::M5,
        6 => Map::M6,
        7 => Map::M7,
        8 => Map::M8,
        9 => Map::M9,
        10 => Map::M10,
        _ => return Err(DecodeError::Invalid("a reserved opcode map")),
    };
    Ok((space, map, cur.u8()))
}
