//! The short way: one-byte opcodes and 0F in 64-bit mode, behind at most one of 66, F3 and F2, and REX. That is nearly all
//! of a program's text.
//!
//! Which row is meant, what its operands are and how wide, depends on few bits then: prefix, W, ModRM.reg, register or memory. The
//! answer for each combination is worked out from the rows when the table is built. What is left to do has hardly a branch,
//! and a mispredicted one costs as much as everything else. Whatever is not covered goes the general way,
//! which gives the same result; a test compares them.

use super::insn::{Insn, NO_REG, RIP, Slot, SlotKind, at as place, prefix};
use super::{GATES, LIMIT, SIZES};
use crate::cpu::Mode;
use crate::cpu::segment::Seg;
use crate::isa::plan::{field, size_rule};
use crate::isa::row::{Map, Row, Space, attr, sel};
use crate::isa::{Feature, tables};
use crate::profile::Profile;

/// What an opcode's entries depend on.
#[derive(Clone, Copy)]
struct Opcode {
    /// Where its entries begin; 0 for the general way.
    first: u16,
    /// Bits of the choice that matter.
    mask: u8,
    /// Bytes of escape, opcode and ModRM.
    len: u8,
    /// Bits that are kept of opcode and ModRM: of the latter all or, where the opcode has none, none.
    keeps: u16,
    /// What stands for ModRM where the opcode has none.
    fixed: u16,
}

impl Opcode {
    const NONE: Opcode = Opcode { first: 0, mask: 0, len: 0, keeps: 0, fixed: 0 };
}

/// Bits of a choice among an opcode's entries.
mod choice {
    pub(super) const REGISTER: u8 = 1;
    pub(super) const W: u8 = 2;
    /// ModRM.reg.
    pub(super) const REG_SHIFT: u8 = 2;
    pub(super) const REG: u8 = 7 << REG_SHIFT;
    /// Not covered.
    pub(super) const NONE: u8 = 0xff;
}

/// Prefixes that choose among the lines of an opcode: none, 66, F3, F2.
const PREFIXES: usize = 4;

/// A row under one choice.
///
/// It begins as an instruction does, so that as much is copied at once.
#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    row: &'static Row,
    gate: u32,
    /// Operand 2, which names no register.
    slot: [u8; 4],
    /// Operands 0 and 1 as an instruction has them, without the registers that they name.
    slots: u64,
    /// The last bytes of an instruction's `encoding`, from [`place::OSIZE`] on.
    sizes: [u8; 3],
    /// Which registers operands 0 and 1 name, an index into [`Tables::names`].
    names: u8,
    /// Bytes of the immediate.
    immediate: u8,
    /// How many bits lie above it in eight bytes.
    above: u8,
    /// An index into [`Tables::kept`].
    kept: u8,
    /// Bits of [`flag`].
    flags: u8,
}

/// What an entry asks for, so that a closer look is needed.
mod flag {
    /// There is no row.
    pub(super) const NONE: u8 = 1;
    /// It needs a feature that not every 64-bit processor has.
    pub(super) const FEATURE: u8 = 2;
    /// A byte register may be AH, CH, DH or BH.
    pub(super) const BYTES: u8 = 4;
}

/// Is it among those that [`Profile::has_baseline`] asks for?
const fn is_baseline(feature: Feature) -> bool {
    let mut i = 0;
    while i < Feature::BASELINE.len() {
        if Feature::BASELINE[i] as u8 == feature as u8 {
            return true;
        }
        i += 1;
    }
    feature as u8 == Feature::Base as u8
}

/// The bits of an immediate that are kept when it has been sign-extended, by the logarithm of its number of bytes; the same with
/// [`SIGNED`], where it is sign-extended; none from [`SIGNED`] twice on.
const KEPT: [u64; 16] = {
    let mut kept = [0; 16];
    let mut i = 0;
    while i < 4 {
        kept[i] = u64::MAX >> (64 - (8 << i));
        kept[i | SIGNED as usize] = u64::MAX;
        i += 1;
    }
    kept
};

const SIGNED: u8 = 4;
/// An index into [`KEPT`] where there is no immediate.
const NOTHING: u8 = 8;

/// What names a register: nothing, ModRM.rm or ModRM.reg, four bits of it or three.
mod name {
    pub(super) const RM: u8 = 1;
    pub(super) const REG: u8 = 2;
    pub(super) const THREE: u8 = 4;
}

/// Which bits go to operands 0 and 1, by two names of three bits: of a word that has ModRM.rm at the place of operand 0's register and ModRM.reg at
/// the place of operand 1's, and of that word with its halves exchanged.
const NAMES: [(u64, u64); 64] = {
    let mut masks = [(0, 0); 64];
    let mut code = 0;
    while code < 64 {
        let mut i = 0;
        while i < 2 {
            let name = (code >> (3 * i) & 7) as u8;
            let mask = (if name & name::THREE != 0 { 7 } else { 15 }) << (8 + 32 * i);
            match (name & 3, i) {
                (name::RM, 0) | (name::REG, 1) => masks[code].0 |= mask,
                (name::RM | name::REG, _) => masks[code].1 |= mask,
                _ => {}
            }
            i += 1;
        }
        code += 1;
    }
    masks
};

const _: () = assert!(part::RM == 8 && part::REG == 40);

impl Entry {
    const NONE: Entry = Entry {
        row: &Row::NONE,
        gate: 0,
        slot: [0; 4],
        slots: 0,
        sizes: [0; 3],
        names: 0,
        immediate: 0,
        above: 0,
        kept: NOTHING,
        flags: flag::NONE,
    };

    /// The row as it decodes under this choice; `None` where the general way has to look.
    const fn new(row: &'static Row, select: u8, prefixed: usize) -> Option<Entry> {
        let plan = &row.plan;
        let in_memory = select & choice::REGISTER == 0 && row.is(attr::MODRM);
        let p66 = prefixed == 1;
        // AMD lets 66 shorten branches.
        let unclear = plan.special || plan.count > 3 || row.is(attr::ANY_MOD) || row.is(attr::F64) && p66;
        if unclear {
            return None;
        }
        let wide = select & choice::W != 0;
        let size_code = (p66 as usize) | (wide as usize) << 1;
        let osize = SIZES[Mode::Long64 as usize].operand[plan.size_rule as usize & (size_rule::COUNT - 1)][size_code];
        let mut entry = Entry { row, gate: GATES[row.gate as usize & 31], ..Entry::NONE };
        let memory = if in_memory { plan.memory } else { NO_REG };
        let baseline = is_baseline(row.features[0]) && is_baseline(row.features[1]);
        entry.flags = if baseline { 0 } else { flag::FEATURE };
        let mut i = 0;
        while i < plan.count as usize {
            let place = &plan.places[i];
            let kind = if in_memory { place.in_memory() } else { place.kind };
            let size = place.width.bytes(osize as u16, 16, wide, true);
            let slot = Slot { kind, reg: place.fixed, size }.to_bytes();
            let named = place.mask() != 0 && !(in_memory && place.may_be_memory());
            let name = match place.field() {
                _ if !named => 0,
                field::RM => name::RM,
                field::REG => name::REG,
                _ => return None,
            };
            if named && kind.0 == SlotKind::Gpr.0 && size == 1 {
                entry.flags |= flag::BYTES;
            }
            let name = name | if named && place.mask() == 7 { name::THREE } else { 0 };
            match i {
                0 => entry.slots |= u32::from_le_bytes(slot) as u64,
                1 => entry.slots |= (u32::from_le_bytes(slot) as u64) << 32,
                _ if named => return None,
                _ => entry.slot = slot,
            }
            entry.names |= name << ((3 * i as u32) & 7);
            i += 1;
        }
        entry.sizes = [osize, 8, memory];
        if plan.immediate.present {
            let size = plan.immediate.width.bytes(osize as u16, 16, wide, true) as u8;
            entry.immediate = size;
            entry.above = 64 - 8 * size;
            entry.kept = size.trailing_zeros() as u8 | if plan.immediate.signed { SIGNED } else { 0 };
        }
        Some(entry)
    }
}

/// Opcodes and entries of both maps, and what else is looked up: all in one place, so that one register points to it.
struct Quick {
    /// By prefix, map and opcode.
    opcodes: [Opcode; PREFIXES * 512],
    entries: [Entry; ENTRIES],
    modrm: [u64; 256],
    sib: [u64; 256],
    rex: [u64; 256],
    names: [(u64, u64); 64],
    kept: [u64; 16],
}

const ENTRIES: usize = 3_520;

/// Which row the general way selects by the word, for every vendor; features are another matter.
const fn find(candidates: &'static [Row], word: u32) -> Option<usize> {
    let mut i = 0;
    while i < candidates.len() {
        let select = candidates[i].select;
        let (intel, amd) = (word & select.mask == select.value, (word | sel::AMD) & select.mask == select.value);
        if intel != amd {
            return None;
        }
        if intel {
            return Some(i);
        }
        i += 1;
    }
    None
}

/// The selector word of a choice.
const fn word(select: u8, modrm: u8, prefixed: usize) -> u32 {
    let rep = if prefixed > 1 { prefixed as u32 - 1 } else { 0 };
    let wide = select & choice::W != 0;
    let size_code = (prefixed == 1) as usize | (wide as usize) << 1;
    SIZES[Mode::Long64 as usize].select[size_code] | super::MODRM[modrm as usize] | rep << sel::REP_SHIFT
}

/// Which bits of a choice the rows of an opcode look at; [`choice::NONE`] if they look at more.
const fn relevant(line: tables::Line) -> u8 {
    let candidates = line.all();
    let mut mask = if line.has_modrm() { choice::REGISTER } else { 0 };
    let mut i = 0;
    while i < candidates.len() {
        let asked = candidates[i].select.mask;
        if asked & (sel::RM | sel::OPREG_NONZERO) != 0 {
            return choice::NONE;
        }
        if asked & sel::REG != 0 {
            mask |= choice::REG;
        }
        if asked & (sel::W | sel::OSIZE) != 0 || candidates[i].plan.size_rule != size_rule::NONE {
            mask |= choice::W;
        }
        i += 1;
    }
    if candidates.is_empty() { choice::NONE } else { mask }
}

impl Quick {
    const fn build() -> Quick {
        let (opcodes, entries) = ([Opcode::NONE; PREFIXES * 512], [Entry::NONE; ENTRIES]);
        let mut quick = Quick { opcodes, entries, modrm: MODRM, sib: SIB, rex: REX, names: NAMES, kept: KEPT };
        // Entry 0 stands for none.
        let (mut at, mut code) = (1, 0);
        while code < PREFIXES * 512 {
            let (prefixed, opcode) = (code >> 9, (code & 0xff) as u8);
            let map = if code & 0x100 == 0 { Map::Primary } else { Map::M0f };
            let line = tables::line(Space::Legacy, map, opcode);
            let x87 = code & 0x100 == 0 && opcode & 0xf8 == 0xd8;
            let len = 1 + (code >> 8 & 1) as u8 + line.has_modrm() as u8;
            let mask = if x87 { choice::NONE } else { relevant(line) };
            if mask != choice::NONE {
                let (keeps, fixed) =
                    if line.has_modrm() { (0xffff, 0) } else { (0xff, (0xc0 | opcode as u16 & 7) << 8) };
                quick.opcodes[code] = Opcode { first: at as u16, mask, len, keeps, fixed };
                let (mut any, mut same) = (false, prefixed > 0);
                let mut select = 0;
                while select <= mask {
                    let register = select & choice::REGISTER != 0 || !line.has_modrm();
                    let modrm = (select & choice::REG) << 1 | if register { 0xc0 } else { 0 };
                    let candidates = line.candidates(modrm);
                    let found = find(candidates, word(select, modrm, prefixed));
                    same = same
                        && match (found, find(candidates, word(select, modrm, 0))) {
                            (Some(i), Some(j)) => {
                                i == j && (prefixed > 1 || candidates[i].plan.size_rule == size_rule::NONE)
                            }
                            (i, j) => i.is_none() && j.is_none(),
                        };
                    if select & !mask == 0
                        && let Some(i) = found
                        && let Some(entry) = Entry::new(&candidates[i], select, prefixed)
                    {
                        quick.entries[at + select as usize] = entry;
                        any = true;
                    }
                    select += 1;
                }
                if same {
                    // The prefix means nothing here. The place goes to the next opcode, which may not fill all of it.
                    quick.opcodes[code] = quick.opcodes[code & 511];
                    while select > 0 {
                        select -= 1;
                        quick.entries[at + select as usize] = Entry::NONE;
                    }
                } else if any {
                    at += mask as usize + 1;
                } else {
                    quick.opcodes[code] = Opcode::NONE;
                }
            }
            code += 1;
        }
        assert!(at <= ENTRIES, "the table fits");

        quick
    }
}

static QUICK: Quick = Quick::build();

/// Bytes of the table.
#[cfg(test)]
pub(crate) const SIZE: usize = size_of::<Quick>();

/// Bits of the prefixes in an instruction.
const BITS: [u16; 4] = [0, prefix::P66, prefix::REP, prefix::REPNE];

/// Places in the words that [`MODRM`], [`SIB`] and [`REX`] give.
mod part {
    use super::place;
    /// Bits of a choice, five.
    pub(super) const CHOICE: u32 = 0;
    /// Bytes of displacement, three bits.
    pub(super) const DISP: u32 = 5;
    /// Numbers of registers, as an instruction has them.
    pub(super) const RM: u32 = 8 * place::RM as u32;
    pub(super) const REG: u32 = 8 * place::REG as u32;
    pub(super) const BASE: u32 = 8 * place::BASE as u32;
    pub(super) const INDEX: u32 = 8 * place::INDEX as u32;
    /// One bit: the base does not imply SS.
    pub(super) const DS: u32 = 16;
    /// Of a REX, how many bits it takes up: 8.
    pub(super) const TAKEN: u32 = 16;
    /// Two bytes: bits of `prefix`.
    pub(super) const BITS: u32 = 48;
}

/// The part of those words that an instruction's `registers` has at the same place.
const REGISTERS: u64 = 0xff << part::RM | 0xff << part::REG | 0xff << part::BASE | 0xff << part::INDEX;

/// What ModRM says. Without a register, a base of all ones stays so under REX.B.
const MODRM: [u64; 256] = {
    let mut words = [0; 256];
    let mut modrm = 0;
    while modrm < 256 {
        let (form, reg, rm) = (modrm as u64 >> 6, modrm as u64 >> 3 & 7, modrm as u64 & 7);
        let rip = form == 0 && rm == 5;
        let (base, disp, bits) = match form {
            3 => (NO_REG, 0, prefix::REGISTER),
            0 if rip => (RIP, 4, 0),
            0 => (rm as u8, 0, 0),
            1 => (rm as u8, 1, prefix::DISP8),
            _ => (rm as u8, 4, 0),
        };
        let sib = if form != 3 && rm == 4 { prefix::SIB } else { 0 };
        words[modrm] = rm << part::RM
            | reg << part::REG
            | (base as u64) << part::BASE
            | disp << part::DISP
            | (if base == 5 { 0 } else { 1 }) << part::DS
            | (if form == 3 { choice::REGISTER } else { 0 } as u64) << part::CHOICE
            | reg << choice::REG_SHIFT << part::CHOICE
            | ((bits | sib) as u64) << part::BITS;
        modrm += 1;
    }
    words
};

/// What a SIB says, but for the scale.
const SIB: [u64; 256] = {
    let mut words = [0; 256];
    let mut sib = 0;
    while sib < 256 {
        let (index, base) = (sib as u64 >> 3 & 7, sib as u64 & 7);
        let ds = if base == 4 || base == 5 { 0 } else { 1 };
        words[sib] = index << part::INDEX | base << part::BASE | ds << part::DS;
        sib += 1;
    }
    words
};

/// Marks a prefix that is none of REX.
const PREFIX: u64 = 1 << 63;

/// What a REX says, and nothing for other bytes but 66, F3 and F2: [`PREFIX`] and their number.
const REX: [u64; 256] = {
    let mut words = [0; 256];
    words[0x66] = PREFIX | 1;
    words[0xf3] = PREFIX | 2;
    words[0xf2] = PREFIX | 3;
    let mut rex = 0;
    while rex < 16 {
        let (w, r, x, b) = (rex as u64 >> 3 & 1, rex as u64 >> 2 & 1, rex as u64 >> 1 & 1, rex as u64 & 1);
        let bits = prefix::REX as u64 | (w * prefix::W as u64);
        words[0x40 + rex] = (b << 3) << part::RM
            | (r << 3) << part::REG
            | (x << 3) << part::INDEX
            | (b << 3) << part::BASE
            | b << part::DS
            | 8 << part::TAKEN
            | (w * choice::W as u64) << part::CHOICE
            | bits << part::BITS;
        rex += 1;
    }
    words
};

/// Decodes what is covered; `false` if it is not, and then `insn` is of no use.
#[inline(never)]
pub(super) fn decode(window: &[u8; LIMIT], profile: &Profile, insn: &mut Insn) -> bool {
    if !profile.has_baseline() {
        return false;
    }
    let low = window.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let rex = QUICK.rex[low as usize & 0xff];
    if rex & PREFIX != 0 {
        return prefixed(window, rex as usize & 3, low >> 8, profile, insn);
    }
    opcode(window, Reached { at: 0, prefix: 0, rex, low }, profile, insn)
}

/// How far the bytes have been read.
#[derive(Clone, Copy)]
struct Reached {
    /// Bytes behind us; of 0F, its escape is not counted.
    at: usize,
    /// None, 66, F3 or F2.
    prefix: usize,
    /// What [`REX`] says.
    rex: u64,
    /// The bytes from here on.
    low: u64,
}

/// The same behind 66, F3 or F2.
#[inline(never)]
fn prefixed(window: &[u8; LIMIT], prefix: usize, low: u64, profile: &Profile, insn: &mut Insn) -> bool {
    let rex = QUICK.rex[low as usize & 0xff];
    let rex = if rex & PREFIX != 0 { 0 } else { rex };
    opcode(window, Reached { at: 1, prefix, rex, low }, profile, insn)
}

/// From REX on.
#[inline(always)]
fn opcode(window: &[u8; LIMIT], from: Reached, profile: &Profile, insn: &mut Insn) -> bool {
    let taken = (from.rex >> part::TAKEN) as u32 & 8;
    let low = from.low >> taken;
    let from = Reached { at: from.at + (taken >> 3) as usize, low, ..from };
    if low as u8 == 0x0f {
        finish::<true, false>(window, Reached { low: low >> 8, ..from }, profile, insn)
    } else {
        finish::<false, false>(window, from, profile, insn)
    }
}

/// [`finish`] for rows that need a feature of their own, or have byte registers.
#[inline(never)]
fn careful<const ESCAPE: bool>(
    window: &[u8; LIMIT],
    (at, prefix): (usize, usize),
    rex: u64,
    low: u64,
    profile: &Profile,
    insn: &mut Insn,
) -> bool {
    finish::<ESCAPE, true>(window, Reached { at, prefix, rex, low }, profile, insn)
}

/// From the opcode on, in one-byte opcodes or 0F.
#[inline(always)]
fn finish<const ESCAPE: bool, const CAREFUL: bool>(
    window: &[u8; LIMIT],
    from: Reached,
    profile: &Profile,
    insn: &mut Insn,
) -> bool {
    let Reached { at, prefix, rex, low } = from;
    let opcode = &QUICK.opcodes[usize::from(low as u8) | usize::from(ESCAPE) << 8 | (prefix & 3) << 9];
    let bytes = low as u16 & opcode.keeps | opcode.fixed;
    let modrm = (bytes >> 8) as u8;
    let mut m = QUICK.modrm[usize::from(modrm)] | rex;
    let entry = &QUICK.entries[usize::from(opcode.first) + usize::from(m as u8 & opcode.mask)];
    if CAREFUL {
        let lacks = !(profile.has(entry.row.features[0]) && profile.has(entry.row.features[1]));
        if entry.flags & flag::NONE != 0 || entry.flags & flag::FEATURE != 0 && lacks {
            return false;
        }
    } else if entry.flags != 0 {
        return careful::<ESCAPE>(window, (at, prefix), rex, low, profile, insn);
    }
    // What is known is written at once, so that it takes up no register.
    (insn.row, insn.gate) = (entry.row, entry.gate);
    insn.operands[..4].copy_from_slice(&entry.slot);
    insn.operands[12..].fill(0);
    (insn.ll, insn.mode) = (0, Mode::Long64);
    let names = &QUICK.names[usize::from(entry.names & 63)];
    let slots = entry.slots | m & names.0 | m.rotate_left(32) & names.1;
    insn.operands[4..12].copy_from_slice(&slots.to_le_bytes());
    let mut at = at + usize::from(opcode.len);
    let mut address = (NO_REG as u64) << part::INDEX | 16 << (8 * place::VL);
    if m >> part::BITS & super::insn::prefix::SIB as u64 != 0 {
        let sib = (low >> 16) as u8;
        at += 1;
        const EXTENDED: u64 = 8 << part::INDEX | 8 << part::BASE | 1 << part::DS;
        const REPLACED: u64 = 0xff << part::BASE | 0xff << part::INDEX | 1 << part::DS;
        let mut said = QUICK.sib[usize::from(sib)] | rex & EXTENDED;
        if said & 0xff << part::INDEX == 4 << part::INDEX {
            said |= 0xff << part::INDEX;
        }
        if sib & 7 == 5 && modrm < 0x40 {
            said |= 0xff << part::BASE | 4 << part::DISP | 1 << part::DS;
        }
        m = m & !REPLACED | said;
        address = u64::from(sib >> 6) << (8 * place::SCALE) | 16 << (8 * place::VL);
    }
    // Displacement and immediate are eight bytes at most, and begin in the seventh byte at the latest.
    let Some(rest) = window.get(at..at + 8).and_then(|rest| rest.first_chunk()) else { return false };
    let rest = u64::from_le_bytes(*rest);
    let size = (m >> part::DISP) as u32 & 7;
    let near = if size == 1 { i64::from(rest as i8) } else { i64::from(rest as i32) };
    let disp = if size == 0 { 0 } else { near };
    let above = u32::from(entry.above) & 63;
    let imm = (rest >> (8 * size) << above) as i64 >> above;
    let imm = imm as u64 & QUICK.kept[usize::from(entry.kept & 15)];
    let len = at as u64 + u64::from(size) + u64::from(entry.immediate);

    let [osize, asize, mem] = entry.sizes;
    let sizes = u64::from_le_bytes([0, 0, 0, 0, 0, osize, asize, mem]);
    let encoding = u64::from(bytes)
        | len << (8 * place::LEN)
        | (m >> part::BITS | u64::from(BITS[prefix & 3])) << (8 * place::BITS)
        | sizes;
    insn.encoding = encoding.to_le_bytes();
    insn.registers = (m & REGISTERS | address).to_le_bytes();
    (insn.imm, insn.disp) = (imm, disp);
    insn.seg = if m & 1 << part::DS == 0 { Seg::Ss } else { Seg::Ds };
    if CAREFUL && entry.flags & flag::BYTES != 0 && rex == 0 {
        super::operands::high_bytes(insn);
    }
    true
}

const _: () = assert!(place::OPCODE == 0 && place::MODRM == 1 && place::OSIZE == 5 && place::MEM == 7);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::general;
    use crate::profile::Vendor;

    /// All that an instruction holds; the row as its place.
    fn parts(insn: &Insn) -> impl PartialEq + core::fmt::Debug + use<> {
        let Insn { row, imm, disp, operands, gate, encoding, registers, ll, mode, seg } = *insn;
        (core::ptr::from_ref(row), (imm, disp, gate), operands, encoding, registers, (ll, mode, seg))
    }

    /// Compares the two ways; `false` if the short one does not cover the bytes.
    fn compare(window: &[u8; LIMIT], profile: &Profile) -> bool {
        let (mut short, mut long) = (Insn::EMPTY, Insn::EMPTY);
        if !decode(window, profile, &mut short) {
            return false;
        }
        let result = general(window, Mode::Long64, profile, &mut long);
        assert_eq!(result, Ok(()), "{window:02x?}: {short}");
        assert_eq!(parts(&short), parts(&long), "{window:02x?}: {short} and {long}");
        true
    }

    #[test]
    fn both_ways_agree() {
        let mut profiles: Vec<Profile> =
            ["zen4", "nehalem", "sapphirerapids"].map(|name| Profile::named(name).unwrap()).into();
        profiles.extend([
            Profile::all(),
            Profile::all().with_vendor(Vendor::Amd),
            Profile::all().without(Feature::Cmov),
        ]);
        let mut random = 0x1234_5678_9abc_def1_u64;
        let (mut covered, mut all) = (0_u32, 0_u32);
        // Each opcode of both maps behind each prefix and REX, with each ModRM and a few SIBs.
        for prefix in [&[][..], &[0x66], &[0xf3], &[0xf2], &[0x66, 0xf3], &[0x67], &[0xf0]] {
            for rex in [0, 0x40, 0x41, 0x42, 0x44, 0x48, 0x4f] {
                for code in 0..512_u32 {
                    for modrm in 0..=255 {
                        let mut bytes = prefix.to_vec();
                        bytes.extend((rex != 0).then_some(rex));
                        bytes.extend((code > 255).then_some(0x0f));
                        bytes.extend([code as u8, modrm]);
                        let mut window = [0; LIMIT];
                        for byte in &mut window {
                            random ^= random << 13;
                            random ^= random >> 7;
                            random ^= random << 17;
                            *byte = random as u8;
                        }
                        window[..bytes.len()].copy_from_slice(&bytes);
                        let profile = &profiles[random as usize % profiles.len()];
                        covered += u32::from(compare(&window, profile));
                        all += u32::from(profile.has_baseline());
                    }
                }
            }
        }
        assert!(covered > all / 3, "{covered} of {all}");
    }
}
