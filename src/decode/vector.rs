//! The short way of VEX and EVEX: in 64-bit mode, with no other prefix before them, what obeys the rules that most rows share.
//!
//! What VEX and EVEX say is brought into one form, EVEX's three bytes. Of these, tables make the numbers of registers and a word of
//! what a row may mind ([`care`]). The row itself is found as the general way finds it; one AND with the row's own word then stands
//! for all rules of vector length, vvvv, opmask, broadcast and rounding. Whatever does not pass goes the general way, which knows
//! what is wrong with it; a test compares the two.

use super::insn::{Insn, NO_REG, Slot, SlotKind, prefix};
use super::operands::sizes;
use super::quick::{self, part};
use super::{GATES, LIMIT, MODRM, SIZES};
use crate::cpu::segment::Seg;
use crate::cpu::{Mode, obstacle};
use crate::isa::plan::{care, mark, size_rule};
use crate::isa::row::{Map, Row, Space, attr, sel};
use crate::isa::tables;
use crate::profile::{Profile, Vendor};

/// What the inverted bits R, X, B and R' say, the upper half of EVEX's first byte.
#[derive(Clone, Copy)]
struct Extension {
    registers: u64,
    care: u16,
}

/// By ModRM naming a register, and those four bits.
static EXTENSIONS: [[Extension; 16]; 2] = {
    let mut all = [[Extension { registers: 0, care: 0 }; 16]; 2];
    let mut i = 0;
    while i < 32 {
        let (register, bits) = (i >> 4, !i as u64);
        let (r, x, b, r4) = (bits >> 3 & 1, bits >> 2 & 1, bits >> 1 & 1, bits & 1);
        let mut registers = (r << 3 | r4 << 4) << part::REG | (b << 3) << part::RM;
        let mut care = 0;
        if register == 0 {
            registers |= (x << 3) << part::INDEX | (b << 3) << part::BASE | b << part::DS;
        } else {
            // A vector register in ModRM.rm takes its fifth bit from X.
            registers |= (x << 4) << part::RM;
            care |= x as u16 * care::X_REGISTER;
        }
        care |= if r | r4 != 0 { care::REG_HIGH } else { 0 } | r4 as u16 * care::REG_HIGHEST;
        all[register][i & 15] = Extension { registers, care };
        i += 1;
    }
    all
};

/// What EVEX's third byte says, by ModRM naming a register.
static LAST: [[u16; 256]; 2] = {
    let mut all = [[0; 256]; 2];
    let mut i = 0;
    while i < 512 {
        let (register, byte) = (i >> 8 != 0, i as u8);
        let (z, ll, b, aaa) = (byte & 0x80 != 0, byte >> 5 & 3, byte & 0x10 != 0, byte & 7);
        let mut bits = match ll {
            _ if b && register => care::L2,
            0 => care::L0,
            1 => care::L1,
            2 => care::L2,
            _ => care::NEVER,
        };
        if b {
            bits |= if register { care::B_REGISTER } else { care::B_MEMORY };
        }
        if z {
            bits |= if register { care::Z_REGISTER } else { care::Z_MEMORY };
            bits |= if aaa == 0 { care::NEVER } else { 0 };
        }
        if aaa != 0 {
            bits |= care::MASKED;
        }
        all[register as usize][byte as usize] = bits | care::ALWAYS;
        i += 1;
    }
    all
};

/// The part of the selector word that W and pp decide: by pp, and 4 for W.
static SELECT: [u32; 8] = {
    let mut words = [0; 8];
    let mut i = 0;
    while i < 8 {
        let (pp, w) = (i & 3, i >> 2);
        let rep = if pp > 1 { pp as u32 - 1 } else { 0 };
        words[i] = SIZES[Mode::Long64 as usize].select[(pp == 1) as usize | w << 1] | rep << sel::REP_SHIFT;
        i += 1;
    }
    words
};

/// Bits of the prefixes in an instruction, likewise.
static BITS: [u16; 8] = [0, prefix::P66, 0, 0, prefix::W, prefix::W | prefix::P66, prefix::W, prefix::W];

/// VEX or EVEX in the form of EVEX's bytes.
struct Payload {
    space: Space,
    map: Map,
    /// R, X, B and R', inverted.
    extension: u8,
    /// W, vvvv (inverted) and pp.
    second: u8,
    /// z, L'L, b, V' (inverted) and aaa.
    third: u8,
    /// Bytes up to the opcode.
    len: usize,
}

/// The first row that matches the word; `None` too if the profile lacks a feature of it, or a row has to be looked at by itself.
#[inline(always)]
fn select(candidates: &'static [Row], word: u32, profile: &Profile) -> Option<&'static Row> {
    let row = candidates.iter().find(|row| word & row.select.mask == row.select.value)?;
    (profile.has(row.features[0]) && profile.has(row.features[1])).then_some(row)
}

/// Decodes what is covered; `false` if it is not, and then `insn` is of no use.
#[inline(never)]
pub(super) fn decode(window: &[u8; LIMIT], profile: &Profile, insn: &mut Insn) -> bool {
    let [first, one, two, three, ..] = *window;
    const MAPS: [Map; 8] =
        [Map::Primary, Map::M0f, Map::M0f38, Map::M0f3a, Map::Primary, Map::M5, Map::M6, Map::Primary];
    let payload = match first {
        0x62 if one & 8 == 0 && two & 4 != 0 && profile.has_avx512() => Payload {
            space: Space::Evex,
            map: MAPS[usize::from(one & 7)],
            extension: one >> 4,
            second: two,
            third: three,
            len: 4,
        },
        0xc5 if profile.has_avx2() => Payload {
            space: Space::Vex,
            map: Map::M0f,
            extension: one >> 4 | 7,
            second: one & 0x7b,
            third: one << 3 & 0x20 | 8,
            len: 2,
        },
        0xc4 if one & 0x1c == 0 && profile.has_avx2() => Payload {
            space: Space::Vex,
            map: MAPS[usize::from(one & 3)],
            extension: one >> 4 | 1,
            second: two,
            third: two << 3 & 0x20 | 8,
            len: 3,
        },
        _ => return false,
    };
    body(window, &payload, profile, insn)
}

/// From the opcode on.
#[inline(always)]
fn body(window: &[u8; LIMIT], payload: &Payload, profile: &Profile, insn: &mut Insn) -> bool {
    let Payload { space, map, extension, second, third, len } = *payload;
    let evex = space as u8 == Space::Evex as u8;
    let (opcode, modrm) = (window[len & 7], window[(len & 7) + 1]);
    let register = modrm >= 0xc0;
    // VEX.X extends an index and nothing else.
    let extension = extension | if register & !evex { 4 } else { 0 };
    let last = LAST[usize::from(register)][usize::from(third)];
    let vvvv = (!second >> 3 & 15) | (!third << 1 & 16);
    let how = usize::from(second & 3 | second >> 5 & 4);

    let amd = if profile.vendor() == Vendor::Amd { sel::AMD } else { 0 };
    let word = SELECT[how] | MODRM[usize::from(modrm)] | u32::from(third >> 5 & 3) << sel::L_SHIFT | amd;
    let Some(row) = select(tables::line(space, map, opcode).candidates(modrm), word, profile) else { return false };
    let plan = &row.plan;
    let extended = &EXTENSIONS[usize::from(register)][usize::from(extension & 15)];
    let mut said = last | extended.care;
    said |= if vvvv != 0 { care::VVVV } else { 0 } | if vvvv > 7 { care::VVVV_HIGH } else { 0 };
    if said & plan.care != 0 {
        return false;
    }

    (insn.row, insn.gate) = (row, GATES[row.gate as usize & 31] | obstacle::REAL_V86);
    (insn.ll, insn.mode) = (third >> 5 & 3, Mode::Long64);
    let form = quick::form(modrm);
    let mut registers = form.registers | extended.registers;
    let mut at = len + 2;
    if form.bits & quick::HAS_SIB != 0 {
        let sib = window[at & 7];
        if sib & 7 == 5 && modrm < 0x40 {
            // No base, and a displacement of which ModRM does not tell.
            return false;
        }
        registers |= quick::sib(sib, registers);
        at += 1;
    }
    // Displacement and immediate are five bytes at most, and begin in the eighth byte at the latest.
    let Some(rest) = window.get(at..at + 8).and_then(|rest| rest.first_chunk()) else { return false };
    let rest = u64::from_le_bytes(*rest);
    let bits = form.bits & 0x3f;
    let disp = (rest & form.mask ^ form.sign).wrapping_sub(form.sign) as i64;

    let ll = if said & care::B_REGISTER != 0 { 2 } else { third >> 5 & 3 };
    let length = if row.is(attr::LIG) { 0 } else { ll };
    let broadcast = said & care::B_MEMORY != 0;
    let granule = match broadcast {
        true => row.element.trailing_zeros() as u8,
        false => (plan.granule & 15) + (plan.granule >> 4) * length,
    };
    insn.disp = disp << if bits == 8 { granule & 15 } else { 0 };
    let immediate = plan.is(mark::IMMEDIATE);
    insn.imm = if immediate { rest >> bits & 0xff } else { 0 };
    let rule = plan.size_rule as usize & (size_rule::COUNT - 1);
    let size_index = usize::from(second >> 6 & 2) | usize::from(second & 3 == 1);
    let osize = SIZES[Mode::Long64 as usize].operand[rule][size_index & 3];
    let memory = if register { NO_REG } else { plan.memory };
    let encoding = u64::from_le_bytes([opcode, 0, 0, 0, 0, osize, 8, memory]);
    let prefixes = BITS[how & 7] | u16::from(third & 0x80) << 1 | u16::from(third & 0x10) << 5;
    let encoding = encoding + form.encoding + ((len as u64 + 2 + u64::from(immediate)) << part::LEN);
    insn.encoding = (encoding + (u64::from(prefixes) << part::BITS)).to_le_bytes();
    insn.seg = if registers & 1 << part::DS == 0 { Seg::Ss } else { Seg::Ds };
    let registers = (registers & !part::SPARE & !(0xff << part::VL)) | (16 << length) << part::VL;
    let registers = registers | u64::from(vvvv) << part::VVVV | u64::from(third & 7) << part::AAA;
    insn.registers = registers.to_le_bytes();

    let sizes = sizes(osize, 16 << length, second & 0x80 != 0, true);
    let [vvvv, rm, _, _, _, reg, ..] = registers.to_le_bytes().map(u32::from);
    let fields = rm | reg << 8 | vvvv << 16;
    let slot = |i: usize| {
        let found = &plan.places[i];
        let replaced = !register & found.may_be_memory();
        let mask = if replaced { 0 } else { found.mask() };
        let reg = (fields >> (found.field() * 8)) as u8 & mask | found.fixed;
        let kind = if register { found.kind } else { found.in_memory() };
        Slot { kind, reg, size: sizes[found.width as usize & 31] }
    };
    for i in 0..3 {
        insn.set_slot(i, slot(i));
    }
    insn.operands[12..].fill(0);
    for i in 3..usize::from(plan.count) {
        insn.set_slot(i, slot(i));
    }
    if broadcast {
        // It reads one element.
        let memory = usize::from(memory);
        insn.set_slot(memory, Slot { kind: SlotKind::Memory, reg: 0, size: u16::from(row.element) });
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::general;
    use crate::decode::quick::tests::{compare, next, profiles};

    #[test]
    fn both_ways_agree() {
        let profiles = profiles();
        let mut random = 0x9876_5432_1fed_cba1_u64;
        let (mut covered, mut valid) = (0_u32, 0_u32);
        // Each map and opcode with each pp and W, and much else at random.
        for (first, map) in
            [(0xc5, 1), (0xc4, 1), (0xc4, 2), (0xc4, 3), (0xc4, 7)].into_iter().chain((0..8).map(|map| (0x62, map)))
        {
            for opcode in 0..=255 {
                for turn in 0..512_u32 {
                    let mut window = [0; LIMIT].map(|_: u8| next(&mut random) as u8);
                    let (pp, wide) = (turn as u8 & 3, (turn as u8 & 4) << 5);
                    // Bits of most fields are one, mostly: registers are not extended, vvvv names none.
                    let mut mostly = || (next(&mut random) | next(&mut random)) as u8;
                    let (one, two) = (mostly(), if turn & 8 == 0 { mostly() | 0x78 } else { mostly() });
                    let three = if turn & 16 == 0 { mostly() & 0x60 | 8 } else { mostly() & next(&mut random) as u8 };
                    let two = two & 0x7c | pp | wide;
                    let bytes = match first {
                        0xc5 => vec![0xc5, two ^ one & 0x80, opcode],
                        0xc4 => vec![0xc4, one & 0xe0 | map, two & !(next(&mut random) as u8 & 4), opcode],
                        _ => vec![
                            0x62,
                            one & 0xf0 | map | (next(&mut random) & turn as u64 >> 5) as u8 & 8,
                            two | 4,
                            three,
                            opcode,
                        ],
                    };
                    window[..bytes.len()].copy_from_slice(&bytes);
                    let profile = &profiles[next(&mut random) as usize % profiles.len()];
                    covered += u32::from(compare(&window, profile));
                    let mut insn = Insn::EMPTY;
                    valid += u32::from(general(&window, Mode::Long64, profile, &mut insn).is_ok());
                }
            }
        }
        println!("{covered} of {valid} instructions go the short way");
        assert!(covered > valid / 2, "{covered} of {valid}");
    }
}
