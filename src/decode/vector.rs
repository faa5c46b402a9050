//! The short way of VEX and EVEX: in 64-bit mode, with no other prefix before them, what obeys the rules that most rows share.
//!
//! What VEX and EVEX say is brought into one form, EVEX's three bytes. Of these, tables make the numbers of registers and a word of
//! what a row may mind ([`care`]). The row itself is found as the general way finds it; one AND with the row's own word then stands
//! for all rules of vector length, vvvv, opmask, broadcast and rounding. Whatever does not pass goes the general way, which knows
//! what is wrong with it; a test compares the two.

use super::insn::{Insn, NO_REG, Slot, SlotKind, prefix};
use super::{GATES, LIMIT, MODRM, SIZES, operands, quick};
use crate::cpu::segment::Seg;
use crate::cpu::{Mode, obstacle};
use crate::isa::plan::{care, mark, size_rule};
use crate::isa::row::{Row, sel};
use crate::isa::tables::{self, Table};
use crate::profile::{Profile, Vendor};

/// What the bytes of VEX and EVEX say, as words that are or-ed together.
mod part {
    pub(super) use crate::decode::quick::part::*;
    /// In the words of the second and the third byte: the selector word lies lowest, above it vvvv, ...
    pub(super) const NAMED: u32 = 24;
    /// ... the vector length as L'L has it, ...
    pub(super) const LENGTH: u32 = 29;
    /// ... bits of `prefix`, ...
    pub(super) const PREFIXES: u32 = 32;
    /// ... and bits of `care`, in the word of registers too.
    pub(super) const CARE: u32 = 48;
}

const _: () = assert!(sel::NF < 1 << part::NAMED, "the selector word has its place");
const _: () =
    assert!((care::REG_HIGH as u64) << part::CARE >= 1 << part::VL, "what registers say takes the place of the length");

/// The selector word's bits.
const SELECTOR: u32 = (1 << part::NAMED) - 1;

/// What the inverted bits R, X, B and R' say, the upper half of EVEX's first byte: an instruction's registers, and [`care`].
static FIRST: [[u64; 16]; 2] = {
    let mut words = [[0; 16]; 2];
    let mut i = 0;
    while i < 32 {
        let (register, bits) = (i >> 4, !i as u64);
        let (r, x, b, r4) = (bits >> 3 & 1, bits >> 2 & 1, bits >> 1 & 1, bits & 1);
        let mut word = (r << 3 | r4 << 4) << part::REG | (b << 3) << part::RM;
        if register == 0 {
            word |= (x << 3) << part::INDEX | (b << 3) << part::BASE | b << part::DS;
        } else {
            // A vector register in ModRM.rm takes its fifth bit from X.
            word |= (x << 4) << part::RM;
            word |= ((b * care::RM_HIGH as u64) | (x * care::RM_HIGHEST as u64)) << part::CARE;
        }
        word |= ((r * care::REG_HIGH as u64) | (r4 * care::REG_HIGHEST as u64)) << part::CARE;
        words[register][i & 15] = word;
        i += 1;
    }
    words
};

/// What W, vvvv and pp say, EVEX's second byte.
static SECOND: [u64; 256] = {
    let mut words = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (wide, vvvv, pp) = (i >> 7, !i as u64 >> 3 & 15, i & 3);
        let rep = if pp > 1 { pp as u32 - 1 } else { 0 };
        let word = SIZES[Mode::Long64 as usize].select[(pp == 1) as usize | wide << 1] | rep << sel::REP_SHIFT;
        let prefixes = if wide != 0 { prefix::W } else { 0 } | if pp == 1 { prefix::P66 } else { 0 };
        let care = if vvvv != 0 { care::VVVV } else { 0 } | if vvvv > 7 { care::VVVV_HIGH } else { 0 };
        words[i] =
            word as u64 | vvvv << part::NAMED | (prefixes as u64) << part::PREFIXES | (care as u64) << part::CARE;
        i += 1;
    }
    words
};

/// What z, L'L, b, V' and aaa say, EVEX's third byte, by ModRM naming a register.
static THIRD: [u64; 512] = {
    let mut words = [0; 512];
    let mut i = 0;
    while i < 512 {
        let (register, byte) = (i >> 8 != 0, i as u8);
        let (z, ll, b, aaa) = (byte & 0x80 != 0, byte >> 5 & 3, byte & 0x10 != 0, byte & 7);
        let v4 = byte & 8 == 0;
        let mut word = (ll as u32) << sel::L_SHIFT;
        let mut bits = care::ALWAYS;
        // Rounding is of whole vectors.
        let length = if b && register { 2 } else { ll };
        bits |= [care::L0, care::L1, care::L2, care::NEVER][length as usize];
        let mut prefixes = 0;
        if b {
            bits |= if register { care::B_REGISTER } else { care::B_MEMORY };
            prefixes |= prefix::B;
            word |= sel::B;
        }
        if z {
            bits |= if register { care::Z_REGISTER } else { care::Z_MEMORY };
            bits |= if aaa == 0 { care::NEVER } else { 0 };
            prefixes |= prefix::Z;
        }
        if aaa != 0 {
            bits |= care::MASKED;
        }
        if aaa & 4 != 0 {
            word |= sel::NF;
        }
        if v4 {
            bits |= care::VVVV | care::VVVV_HIGH;
        }
        words[i] = word as u64
            | (v4 as u64) << (part::NAMED + 4)
            | (length as u64 & 3) << part::LENGTH
            | (prefixes as u64) << part::PREFIXES
            | (bits as u64) << part::CARE;
        i += 1;
    }
    words
};

/// VEX or EVEX in the form of EVEX's bytes.
#[derive(Clone, Copy)]
struct Payload {
    table: &'static Table,
    /// R, X, B and R', inverted.
    first: u8,
    /// W, vvvv (inverted) and pp.
    second: u8,
    /// z, L'L, b, V' (inverted) and aaa.
    third: u8,
    /// Bytes up to the opcode.
    len: usize,
    /// What is not to be taken from `first` where ModRM names a register: VEX.X extends an index and nothing else.
    index_alone: u8,
}

impl Payload {
    /// `None` if the bytes are neither, or a map or bits that are not covered.
    #[inline(always)]
    fn new(window: &[u8; LIMIT], profile: &Profile) -> Option<Payload> {
        let [byte, one, two, three, ..] = *window;
        let map = usize::from(one & 7);
        match byte {
            0x62 if one & 8 == 0 && two & 4 != 0 && profile.has_avx512() => {
                let table = tables::EVEX[map];
                Some(Payload { table, first: one >> 4, second: two, third: three, len: 4, index_alone: 0 })
            }
            0xc5 if profile.has_avx2() => {
                let (table, third) = (tables::VEX[1], one << 3 & 0x20 | 8);
                Some(Payload { table, first: one >> 4 | 7, second: one & 0x7f, third, len: 2, index_alone: 4 })
            }
            0xc4 if one & 0x18 == 0 && profile.has_avx2() => {
                let (table, third) = (tables::VEX[map], two << 3 & 0x20 | 8);
                Some(Payload { table, first: one >> 4 | 1, second: two, third, len: 3, index_alone: 4 })
            }
            _ => None,
        }
    }
}

/// What is known once there is a row.
struct Found {
    row: &'static Row,
    opcode: u8,
    modrm: u8,
    word: u32,
    /// The words of the first byte, and of the second and the third.
    first: u64,
    said: u64,
    /// L'L as far as it counts.
    length: u8,
    /// Bytes of immediate.
    immediate: u8,
}

impl Found {
    /// `None` if it is not covered.
    #[inline(always)]
    fn new(window: &[u8; LIMIT], payload: Payload, profile: &Profile) -> Option<Found> {
        let Payload { table, first, second, third, len, index_alone } = payload;
        let (opcode, modrm) = (window[len & 7], window[(len & 7) + 1]);
        let register = modrm >= 0xc0;
        let first = FIRST[usize::from(register)][usize::from((first | if register { index_alone } else { 0 }) & 15)];
        let said = SECOND[usize::from(second)] | THIRD[usize::from(third) | usize::from(register) << 8];
        let amd = u32::from(profile.vendor() == Vendor::Amd) * sel::AMD;
        let word = (said as u32 & SELECTOR) | MODRM[usize::from(modrm)] | amd;
        let row = select(table.line(opcode).candidates(modrm), word, profile)?;
        let plan = &row.plan;
        let length = (said >> part::LENGTH) as u8 & 3 & plan.lengths >> 5;
        let immediate = u8::from(plan.is(mark::IMMEDIATE));
        let covered = ((said | first) >> part::CARE) as u16 & plan.care == 0;
        covered.then_some(Found { row, opcode, modrm, word, first, said, length, immediate })
    }
}

/// An instruction of registers or of memory at a register, of which not more than this is known.
pub(crate) struct Outline {
    pub(crate) row: &'static Row,
    pub(crate) len: usize,
    /// The register at which memory is.
    pub(crate) base: Option<u8>,
    /// The length of vectors in bytes.
    pub(crate) vl: u8,
}

/// Which instruction it is, without more. `None` if it is not covered, or has SIB or displacement.
#[inline(never)]
pub(crate) fn outline(window: &[u8; LIMIT], profile: &Profile) -> Option<Outline> {
    let payload = Payload::new(window, profile)?;
    let Found { row, modrm, first, length, immediate, .. } = Found::new(window, payload, profile)?;
    let base = match modrm {
        0xc0.. => None,
        0x40.. => return None,
        _ if matches!(modrm & 7, 4 | 5) => return None,
        _ => Some(modrm & 7 | (first >> part::BASE) as u8 & 8),
    };
    Some(Outline { row, len: payload.len + 2 + usize::from(immediate), base, vl: 16 << length })
}

/// The first row that matches the word. `None` too if the profile lacks a feature of it: another may give the instruction.
#[inline(always)]
fn select(candidates: &'static [Row], word: u32, profile: &Profile) -> Option<&'static Row> {
    let row = candidates.iter().find(|row| word & row.select.mask == row.select.value)?;
    (profile.has(row.features[0]) && profile.has(row.features[1])).then_some(row)
}

/// Decodes what is covered; `false` if it is not, and then `insn` is of no use.
#[inline(never)]
pub(super) fn decode(window: &[u8; LIMIT], profile: &Profile, insn: &mut Insn) -> bool {
    let Some(payload) = Payload::new(window, profile) else { return false };
    let Some(found) = Found::new(window, payload, profile) else { return false };
    let Payload { third, len, .. } = payload;
    let Found { row, opcode, modrm, word, first, said, length, immediate } = found;
    let (plan, register) = (&row.plan, modrm >= 0xc0);

    (insn.row, insn.gate) = (row, GATES[row.gate as usize & 31] | obstacle::REAL_V86);
    (insn.ll, insn.mode) = (third >> 5 & 3, Mode::Long64);
    let form = quick::form(modrm);
    let mut registers = form.registers | first;
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
    let broadcast = said >> part::CARE & u64::from(care::B_MEMORY) != 0;
    let granule = (plan.lengths & 15) + (plan.lengths >> 4 & 1) * length;
    let granule = if broadcast { row.element.trailing_zeros() as u8 } else { granule };
    let granule = if bits == 8 { granule & 15 } else { 0 };
    insn.disp = ((rest & form.mask ^ form.sign).wrapping_sub(form.sign) as i64) << granule;
    let immediate = u64::from(immediate);
    insn.imm = rest >> bits & (immediate * 0xff);

    let rule = plan.size_rule as usize & (size_rule::COUNT - 1);
    let osize = SIZES[Mode::Long64 as usize].operand[rule][(word & sel::P66 | word >> 2 & 2) as usize & 3];
    let memory = if register { NO_REG } else { plan.memory };
    let encoding =
        u64::from(opcode) | u64::from(osize) << part::OSIZE | 8 << part::ASIZE | u64::from(memory) << part::MEM;
    let encoding = encoding + form.encoding + ((len as u64 + 2 + immediate) << part::LEN);
    insn.encoding = (encoding + ((said >> part::PREFIXES & 0xffff) << part::BITS)).to_le_bytes();
    insn.seg = if registers & 1 << part::DS == 0 { Seg::Ss } else { Seg::Ds };
    let vvvv = said >> part::NAMED & 31;
    let registers = registers & !(part::SPARE | 0xff << part::VL) | vvvv << part::VVVV;
    insn.registers = (registers | u64::from(third & 7) << part::AAA | (16 << length) << part::VL).to_le_bytes();

    const { assert!(sel::W == 8) };
    let sizes = operands::sizes(osize, length, word & sel::W != 0, true);
    let [_, rm, _, _, _, reg, ..] = registers.to_le_bytes().map(u32::from);
    let fields = rm | reg << 8 | (vvvv as u32) << 16;
    let slot = |i: usize| {
        let found = &plan.places[i];
        let reg = (fields >> (8 * found.field())) as u8 | found.fixed;
        Slot { kind: found.kind, reg, size: sizes[found.width as usize & 31] }
    };
    (0..3).for_each(|i| insn.set_slot(i, slot(i)));
    insn.operands[12..].fill(0);
    if plan.count > 3 {
        insn.set_slot(3, slot(3));
    }
    // Memory takes the place of a register, or nothing that of the fifth operand, which there is not.
    let size = sizes[plan.places[usize::from(memory).min(4)].width as usize & 31];
    let size = if broadcast { u16::from(row.element) } else { size };
    let found = if memory == NO_REG { Slot::NONE } else { Slot { kind: SlotKind::Memory, reg: 0, size } };
    insn.set_slot(usize::from(memory).min(4), found);
    true
}

/// Bytes of the tables.
#[cfg(test)]
pub(super) const SIZE: usize = size_of_val(&FIRST) + size_of_val(&SECOND) + size_of_val(&THIRD);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::general;
    use crate::decode::quick::tests::{compare, next, profiles};

    /// The word has nothing of registers that opcodes name.
    #[test]
    fn rows_are_chosen_by_what_is_in_the_word() {
        for row in tables::VEX.iter().chain(&tables::EVEX).flat_map(|table| table.rows()) {
            assert_eq!(row.select.mask & (sel::OPREG_NONZERO | sel::REX2), 0, "{}", row.mnemonic);
        }
    }

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
                for turn in 0..1024_u32 {
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
