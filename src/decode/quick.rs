//! The short way: one-byte opcodes and 0F in 64-bit mode, behind at most one of 66, F3 and F2, and REX. That is nearly all
//! of a program's text.
//!
//! Which row is meant, what its operands are and how wide, depends on few bits then: prefix, W, ModRM.reg, register or memory. The
//! answer for each combination is worked out from the rows when the table is built. What is left to do has hardly a branch,
//! and a mispredicted one costs as much as everything else. Whatever is not covered goes the general way,
//! which gives the same result; a test compares them.

use super::insn::{Insn, NO_REG, RIP, Slot, SlotKind, at as place, prefix};
use super::{GATES, LIMIT, SIZES, vector};
use crate::cpu::Mode;
use crate::cpu::segment::Seg;
use crate::isa::plan::{field, mark, size_rule};
use crate::isa::row::{Map, Row, Space, attr, sel};
use crate::isa::{Feature, tables};
use crate::profile::Profile;
use core::hint::select_unpredictable;

/// What an opcode's entries depend on.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Opcode {
    /// Where its entries begin; 0 for the general way.
    first: u16,
    /// Bits of the choice that matter.
    mask: u8,
    /// Bytes of escape, opcode and ModRM.
    len: u8,
    /// Bits that are kept of ModRM: all or, where the opcode has none, none.
    keeps: u8,
    /// What stands for ModRM where the opcode has none.
    fixed: u8,
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

    /// Beside the choice: as byte registers, ModRM.reg and ModRM.rm do not name AH, CH, DH or BH.
    pub(super) const LOW_REG: u8 = 1 << 5;
    pub(super) const LOW_RM: u8 = 1 << 6;
}

/// What is known from a byte that may be a ModRM before its opcode is.
const CHOICES: [u8; 256] = {
    let mut choices = [0; 256];
    let mut i = 0;
    while i < 256 {
        let modrm = i as u8;
        choices[i] = (modrm >> 3 & 7) << choice::REG_SHIFT
            | if modrm >= 0xc0 { choice::REGISTER } else { 0 }
            | if modrm & 1 << 5 == 0 { choice::LOW_REG } else { 0 }
            | if modrm & 1 << 2 == 0 { choice::LOW_RM } else { 0 };
        i += 1;
    }
    choices
};

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
    /// An instruction's `encoding`, without what prefixes and ModRM add to it.
    encoding: u64,
    /// An index into [`Quick::layouts`].
    layout: u16,
    /// Bits of [`flag`].
    flags: u8,
    /// Bits of [`choice`]: which byte registers there are.
    bytes: u8,
}

/// What an entry asks for, so that a closer look is needed.
mod flag {
    /// There is no row.
    pub(super) const NONE: u8 = 1;
    /// It needs a feature that not every 64-bit processor has.
    pub(super) const FEATURE: u8 = 2;
    /// The opcode names a byte register, AH, CH, DH or BH without REX.
    pub(super) const HIGH: u8 = 4;
}

/// Operands 0 and 1, and the immediate.
#[derive(Clone, Copy)]
struct Layout {
    /// Operands 0 and 1 as an instruction has them, without the registers that they name.
    slots: u64,
    /// Which bits name those registers: of a word that has ModRM.rm at the place of operand 0's register and ModRM.reg at the
    /// place of operand 1's.
    straight: u64,
    /// And of that word with its halves exchanged.
    crossed: u64,
    /// The bits of the immediate.
    immediate: u64,
    /// Its sign, where it is sign-extended.
    sign: u64,
}

const _: () = assert!(part::RM == 8 && part::REG == 40);

impl Layout {
    const NONE: Layout = Layout { slots: 0, straight: 0, crossed: 0, immediate: 0, sign: 0 };

    const fn equals(&self, other: &Layout) -> bool {
        self.slots == other.slots
            && self.straight == other.straight
            && self.crossed == other.crossed
            && self.immediate == other.immediate
            && self.sign == other.sign
    }
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

impl Entry {
    const NONE: Entry =
        Entry { row: &Row::NONE, gate: 0, slot: [0; 4], encoding: 0, layout: 0, flags: flag::NONE, bytes: 0 };

    /// The row as it decodes under this choice; `None` where the general way has to look.
    const fn new(row: &'static Row, select: u8, prefixed: usize, opcode: u8, len: u8) -> Option<(Entry, Layout)> {
        let plan = &row.plan;
        let in_memory = select & choice::REGISTER == 0 && row.is(attr::MODRM);
        let p66 = prefixed == 1;
        // AMD lets 66 shorten branches.
        let unclear = plan.is(mark::SPECIAL) || plan.count > 3 || row.is(attr::ANY_MOD) || row.is(attr::F64) && p66;
        if unclear {
            return None;
        }
        let wide = select & choice::W != 0;
        let size_code = (p66 as usize) | (wide as usize) << 1;
        let osize = SIZES[Mode::Long64 as usize].operand[plan.size_rule as usize & (size_rule::COUNT - 1)][size_code];
        let (mut entry, mut layout) = (Entry { row, gate: GATES[row.gate as usize & 31], ..Entry::NONE }, Layout::NONE);
        let baseline = is_baseline(row.features[0]) && is_baseline(row.features[1]);
        entry.flags = if baseline { 0 } else { flag::FEATURE };
        let mut i = 0;
        while i < plan.count as usize {
            let place = &plan.places[i];
            let kind = if in_memory { place.in_memory() } else { place.kind };
            let size = place.width.bytes(osize as u16, 16, wide, true);
            let slot = Slot { kind, reg: place.fixed, size }.to_bytes();
            let named = place.mask() != 0 && !(in_memory && place.may_be_memory());
            let (by_rm, by_reg) = match place.field() {
                _ if !named => (false, false),
                field::RM => (true, false),
                field::REG => (false, true),
                _ => return None,
            };
            if named && kind.0 == SlotKind::Gpr.0 && size == 1 {
                match by_rm {
                    _ if !row.is(attr::MODRM) => entry.flags |= if opcode & 4 != 0 { flag::HIGH } else { 0 },
                    true => entry.bytes |= choice::LOW_RM,
                    false => entry.bytes |= choice::LOW_REG,
                }
            }
            let at = 32 * i as u32;
            let name = (place.mask() as u64) << 8;
            match i {
                0 | 1 => {
                    layout.slots |= (u32::from_le_bytes(slot) as u64) << at;
                    match (by_rm, by_reg) {
                        (true, _) if i == 0 => layout.straight |= name,
                        (_, true) if i == 1 => layout.straight |= name << at,
                        (false, false) => {}
                        _ => layout.crossed |= name << at,
                    }
                }
                _ if named => return None,
                _ => entry.slot = slot,
            }
            i += 1;
        }
        let mut immediate = 0;
        if plan.is(mark::IMMEDIATE) {
            immediate = plan.immediate.bytes(osize as u16, 16, wide, true) as u8;
            layout.immediate = u64::MAX >> (64 - 8 * immediate as u32);
            if plan.is(mark::SIGNED) {
                layout.sign = layout.immediate ^ layout.immediate >> 1;
            }
        }
        let memory = if in_memory { plan.memory } else { NO_REG };
        entry.encoding = u64::from_le_bytes([opcode, 0, len + immediate, 0, 0, osize, 8, memory]);
        Some((entry, layout))
    }

    /// A closer look: may the profile's processor run it?
    #[inline]
    fn is_there(&self, profile: &Profile) -> bool {
        self.flags & flag::NONE == 0 && profile.has(self.row.features[0]) && profile.has(self.row.features[1])
    }
}

/// Opcodes and entries of both maps, and what else is looked up: all in one place, so that one register points to it. What is of a
/// word's size stands in columns, whose places take no arithmetic.
#[repr(C)]
struct Quick {
    entries: [Entry; ENTRIES],
    /// By prefix, map and opcode.
    opcodes: [Opcode; PREFIXES * 512],
    layouts: Layouts,
    forms: Forms,
    choices: [u8; 256],
    sib: [u64; 512],
    rex: Rexes,
}

/// The columns of a table.
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident, $of:ident[$count:expr]: $($part:ident: $type:ty),*) => {
        $(#[$doc])*
        struct $name {
            $($part: [$type; $count],)*
        }

        impl $name {
            const fn new(rows: &[$of; $count]) -> $name {
                let mut columns = $name { $($part: [0; $count],)* };
                let mut i = 0;
                while i < $count {
                    $(columns.$part[i] = rows[i].$part;)*
                    i += 1;
                }
                columns
            }
        }
    };
}

columns! { Layouts, Layout[LAYOUTS]: slots: u64, straight: u64, crossed: u64, immediate: u64, sign: u64 }
columns! { Forms, Form[256]: registers: u64, encoding: u64, mask: u64, sign: u64, bits: u8 }
columns! { Rexes, Rex[256]: registers: u64, encoding: u64 }

const ENTRIES: usize = 3_470;
const LAYOUTS: usize = 256;

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
        let (forms, rex) = (Forms::new(&FORMS), Rexes::new(&REX));
        let mut layouts = [Layout::NONE; LAYOUTS];
        let mut quick = Quick {
            entries: [Entry::NONE; ENTRIES],
            opcodes: [Opcode::NONE; PREFIXES * 512],
            layouts: Layouts::new(&layouts),
            forms,
            choices: CHOICES,
            sib: SIB,
            rex,
        };
        // Entry 0 stands for none.
        let (mut at, mut code) = (1, 0);
        let mut count = 0;
        while code < PREFIXES * 512 {
            let (prefixed, opcode) = (code >> 9, (code & 0xff) as u8);
            let map = if code & 0x100 == 0 { Map::Primary } else { Map::M0f };
            let line = tables::line(Space::Legacy, map, opcode);
            let x87 = code & 0x100 == 0 && opcode & 0xf8 == 0xd8;
            let len = 1 + (code >> 8 & 1) as u8 + line.has_modrm() as u8;
            let mask = if x87 { choice::NONE } else { relevant(line) };
            if mask != choice::NONE {
                let (keeps, fixed) = if line.has_modrm() { (0xff, 0) } else { (0, 0xc0 | opcode & 7) };
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
                        && let Some((entry, layout)) = Entry::new(&candidates[i], select, prefixed, opcode, len)
                    {
                        let mut same = 0;
                        while same < count && !layouts[same].equals(&layout) {
                            same += 1;
                        }
                        if same == count {
                            layouts[same] = layout;
                            count += 1;
                        }
                        quick.entries[at + select as usize] = Entry { layout: same as u16, ..entry };
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
        quick.layouts = Layouts::new(&layouts);
        quick
    }
}

static QUICK: Quick = Quick::build();

/// Bytes of the table.
#[cfg(test)]
pub(super) const SIZE: usize = size_of::<Quick>();

/// Bits of the prefixes in an instruction.
const BITS: [u16; 4] = [0, prefix::P66, prefix::REP, prefix::REPNE];

/// Places in the words that go to an instruction's `registers` and `encoding`.
pub(super) mod part {
    use super::place;
    /// Numbers of registers, as an instruction has them.
    pub(in crate::decode) const RM: u32 = 8 * place::RM as u32;
    pub(in crate::decode) const REG: u32 = 8 * place::REG as u32;
    pub(in crate::decode) const BASE: u32 = 8 * place::BASE as u32;
    pub(in crate::decode) const INDEX: u32 = 8 * place::INDEX as u32;
    pub(in crate::decode) const SCALE: u32 = 8 * place::SCALE as u32;
    pub(in crate::decode) const VL: u32 = 8 * place::VL as u32;
    pub(in crate::decode) const VVVV: u32 = 8 * place::VVVV as u32;
    pub(in crate::decode) const AAA: u32 = 8 * place::AAA as u32;
    /// In two bytes for which legacy instructions have nothing: bits of a choice, ...
    pub(in crate::decode) const CHOICE: u32 = VVVV;
    /// ... and one bit, that the base does not imply SS.
    pub(in crate::decode) const DS: u32 = AAA;
    /// Those two bytes.
    pub(in crate::decode) const SPARE: u64 = 0xff << CHOICE | 0xff << DS;

    pub(in crate::decode) const LEN: u32 = 8 * place::LEN as u32;
    pub(in crate::decode) const OSIZE: u32 = 8 * place::OSIZE as u32;
    pub(in crate::decode) const ASIZE: u32 = 8 * place::ASIZE as u32;
    pub(in crate::decode) const MEM: u32 = 8 * place::MEM as u32;
    /// Two bytes: bits of `prefix`.
    pub(in crate::decode) const BITS: u32 = 8 * place::BITS as u32;
}

/// What a ModRM says.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) registers: u64,
    pub(super) encoding: u64,
    /// The bits of the displacement.
    pub(super) mask: u64,
    /// Its sign.
    pub(super) sign: u64,
    /// How many bits it has, and [`HAS_SIB`].
    pub(super) bits: u8,
}

/// A SIB byte follows, and tells of base and index.
pub(super) const HAS_SIB: u8 = 1 << 7;

/// Without a register, a base of all ones stays so under REX.B.
const FORMS: [Form; 256] = {
    let mut forms = [Form { registers: 0, encoding: 0, mask: 0, sign: 0, bits: 0 }; 256];
    let mut modrm = 0;
    while modrm < 256 {
        let (form, reg, rm) = (modrm as u64 >> 6, modrm as u64 >> 3 & 7, modrm as u64 & 7);
        let rip = form == 0 && rm == 5;
        let (base, bytes, bits) = match form {
            3 => (NO_REG, 0, prefix::REGISTER),
            0 if rip => (RIP, 4, 0),
            0 => (rm as u8, 0, 0),
            1 => (rm as u8, 1, prefix::DISP8),
            _ => (rm as u8, 4, 0),
        };
        let sib = form != 3 && rm == 4;
        let ds = if base == 5 { 0 } else { 1 };
        let address = (base as u64) << part::BASE | (NO_REG as u64) << part::INDEX | ds << part::DS;
        let bits = if sib { bits | prefix::SIB } else { bits };
        forms[modrm] = Form {
            registers: rm << part::RM | reg << part::REG | 16 << part::VL | if sib { 0 } else { address },
            encoding: (modrm as u64) << (8 * place::MODRM)
                | (bytes + sib as u64) << part::LEN
                | (bits as u64) << part::BITS,
            mask: (1 << (8 * bytes)) - 1,
            sign: 1 << (8 * bytes) >> 1 & !1,
            bits: (8 * bytes as u8) | if sib { HAS_SIB } else { 0 },
        };
        modrm += 1;
    }
    forms
};

/// What a SIB says, by REX.X and its byte.
const SIB: [u64; 512] = {
    let mut words = [0; 512];
    let mut sib = 0;
    while sib < 512 {
        let (scale, index, base) = (sib as u64 >> 6 & 3, sib as u64 >> 3 & 7 | sib as u64 >> 5 & 8, sib as u64 & 7);
        let ds = if base == 4 || base == 5 { 0 } else { 1 };
        let index = if index == 4 { NO_REG as u64 } else { index };
        words[sib] = scale << part::SCALE | index << part::INDEX | base << part::BASE | ds << part::DS;
        sib += 1;
    }
    words
};

/// What a REX says.
#[derive(Clone, Copy)]
struct Rex {
    registers: u64,
    encoding: u64,
}

/// Marks 66, F3 and F2, whose numbers take the place of the choice, and VEX and EVEX with 0 in it.
const PREFIX: u64 = 1 << 63;

const REX: [Rex; 256] = {
    let mut words = [Rex { registers: 0, encoding: 0 }; 256];
    words[0x66].registers |= PREFIX | 1;
    words[0xf3].registers |= PREFIX | 2;
    words[0xf2].registers |= PREFIX | 3;
    words[0xc4].registers |= PREFIX;
    words[0xc5].registers |= PREFIX;
    words[0x62].registers |= PREFIX;
    let mut rex = 0;
    while rex < 16 {
        let (w, r, x, b) = (rex as u64 >> 3 & 1, rex as u64 >> 2 & 1, rex as u64 >> 1 & 1, rex as u64 & 1);
        let bits = prefix::REX as u64 | (w * prefix::W as u64);
        let low = (choice::LOW_REG | choice::LOW_RM) as u64;
        words[0x40 + rex] = Rex {
            registers: (b << 3) << part::RM
                | (r << 3) << part::REG
                | (x << 3) << part::INDEX
                | (b << 3) << part::BASE
                | b << part::DS
                | ((w * choice::W as u64) | low) << part::CHOICE,
            encoding: 1 << part::LEN | bits << part::BITS,
        };
        rex += 1;
    }
    words
};

const _: () = assert!(part::CHOICE == 0 && place::OPCODE == 0);

/// Decodes what is covered; `false` if it is not, and then `insn` is of no use.
#[inline(never)]
pub(super) fn decode(window: &[u8; LIMIT], profile: &Profile, insn: &mut Insn) -> bool {
    profile.has_baseline() && start::<false>(window, profile, insn)
}

/// The same where a row asks for a feature beyond the baseline: a rare case, for which nothing is kept at hand.
#[inline(never)]
fn careful(window: &[u8; LIMIT], profile: &Profile, insn: &mut Insn) -> bool {
    start::<true>(window, profile, insn)
}

/// What the first byte says.
#[inline(always)]
fn rex(low: u64) -> Rex {
    let byte = low as usize & 0xff;
    Rex { registers: QUICK.rex.registers[byte], encoding: QUICK.rex.encoding[byte] }
}

/// What ModRM says.
#[inline(always)]
pub(super) fn form(modrm: u8) -> Form {
    let (forms, modrm) = (&QUICK.forms, usize::from(modrm));
    let (registers, encoding) = (forms.registers[modrm], forms.encoding[modrm]);
    Form { registers, encoding, mask: forms.mask[modrm], sign: forms.sign[modrm], bits: forms.bits[modrm] }
}

/// What SIB adds to the registers, which have its index's fourth bit.
#[inline(always)]
pub(super) fn sib(sib: u8, registers: u64) -> u64 {
    let x = registers >> part::INDEX & 8;
    QUICK.sib[usize::from(sib) | (x as usize) << 5]
}

/// How far the bytes have been read.
#[derive(Clone, Copy)]
struct Reached {
    /// None, 66, F3 or F2.
    prefix: usize,
    /// What the prefixes say.
    said: Rex,
    /// The bytes from here on.
    low: u64,
}

#[inline(always)]
fn start<const CAREFUL: bool>(window: &[u8; LIMIT], profile: &Profile, insn: &mut Insn) -> bool {
    let low = window.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let said = rex(low);
    if said.registers & PREFIX != 0 {
        return prefixed::<CAREFUL>(window, said.registers as usize & 3, low >> 8, profile, insn);
    }
    opcode::<CAREFUL>(window, Reached { prefix: 0, said, low }, profile, insn)
}

/// The same behind 66, F3 or F2; VEX and EVEX come this way too.
#[inline(never)]
fn prefixed<const CAREFUL: bool>(
    window: &[u8; LIMIT],
    prefix: usize,
    low: u64,
    profile: &Profile,
    insn: &mut Insn,
) -> bool {
    if prefix == 0 {
        return vector::decode(window, profile, insn);
    }
    let Rex { registers, encoding } = rex(low);
    let encoding = encoding + (1 << part::LEN) + (u64::from(BITS[prefix & 3]) << part::BITS);
    opcode::<CAREFUL>(window, Reached { prefix, said: Rex { registers, encoding }, low }, profile, insn)
}

/// From REX on.
#[inline(always)]
fn opcode<const CAREFUL: bool>(window: &[u8; LIMIT], from: Reached, profile: &Profile, insn: &mut Insn) -> bool {
    let low = select_unpredictable(from.low & 0xf0 == 0x40, from.low >> 8, from.low);
    if low as u8 == 0x0f {
        finish::<true, CAREFUL>(window, Reached { low: low >> 8, ..from }, profile, insn)
    } else {
        finish::<false, CAREFUL>(window, Reached { low, ..from }, profile, insn)
    }
}

/// From the opcode on, in one-byte opcodes or 0F.
#[inline(always)]
fn finish<const ESCAPE: bool, const CAREFUL: bool>(
    window: &[u8; LIMIT],
    from: Reached,
    profile: &Profile,
    insn: &mut Insn,
) -> bool {
    let Reached { prefix, said, low } = from;
    let opcode = &QUICK.opcodes[usize::from(low as u8) | usize::from(ESCAPE) << 8 | (prefix & 3) << 9];
    let second = (low >> 8) as u8;
    let choice = QUICK.choices[usize::from(second)] | said.registers as u8;
    let first = usize::from(opcode.first);
    let Some(entry) = QUICK.entries.get(first + usize::from(choice & opcode.mask)) else { return false };
    if !CAREFUL && entry.flags | entry.bytes & !choice != 0 {
        return careful(window, profile, insn);
    } else if CAREFUL && !entry.is_there(profile) {
        return false;
    }
    // What is known is written at once, so that it takes up no register.
    (insn.row, insn.gate) = (entry.row, entry.gate);
    insn.operands[..4].copy_from_slice(&entry.slot);
    insn.operands[12..].fill(0);
    (insn.ll, insn.mode) = (0, Mode::Long64);

    let modrm = usize::from(second & opcode.keeps | opcode.fixed);
    let mut at = (said.encoding >> part::LEN) as usize & 3;
    at += usize::from(opcode.len);
    let (forms, layouts) = (&QUICK.forms, &QUICK.layouts);
    let encoding = entry.encoding + forms.encoding[modrm] + said.encoding;
    let mut registers = forms.registers[modrm] | said.registers;
    let layout = usize::from(entry.layout) & (LAYOUTS - 1);
    let straight = layouts.slots[layout] | registers & layouts.straight[layout];
    let slots = straight | registers.rotate_left(32) & layouts.crossed[layout];
    insn.operands[4..12].copy_from_slice(&slots.to_le_bytes());
    let bits = forms.bits[modrm];
    if bits & HAS_SIB != 0 {
        let sib = window[at & 7];
        if sib & 7 == 5 && modrm < 0x40 {
            // No base, and a displacement of which ModRM does not tell.
            return false;
        }
        registers |= self::sib(sib, registers);
        at += 1;
    }
    // Displacement and immediate are eight bytes at most, and begin in the seventh byte at the latest.
    let Some(rest) = window.get(at..at + 8).and_then(|rest| rest.first_chunk()) else { return false };
    let rest = u64::from_le_bytes(*rest);
    let sign = forms.sign[modrm];
    insn.disp = (rest & forms.mask[modrm] ^ sign).wrapping_sub(sign) as i64;
    let immediate = rest >> (bits & 63) & layouts.immediate[layout];
    insn.imm = (immediate ^ layouts.sign[layout]).wrapping_sub(layouts.sign[layout]);
    insn.encoding = encoding.to_le_bytes();
    insn.registers = (registers & !part::SPARE).to_le_bytes();
    insn.seg = if registers & 1 << part::DS == 0 { Seg::Ss } else { Seg::Ds };
    if CAREFUL && !insn.has(super::insn::prefix::REX) {
        super::operands::high_bytes(insn);
    }
    true
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::decode::general;
    use crate::profile::Vendor;

    /// All that an instruction holds; the row as its place.
    fn parts(insn: &Insn) -> impl PartialEq + core::fmt::Debug + use<> {
        let Insn { row, imm, disp, operands, gate, encoding, registers, ll, mode, seg } = *insn;
        (core::ptr::from_ref(row), (imm, disp, gate), operands, encoding, registers, (ll, mode, seg))
    }

    /// Compares the two ways; `false` if the short one does not cover the bytes.
    pub(in crate::decode) fn compare(window: &[u8; LIMIT], profile: &Profile) -> bool {
        let (mut short, mut long) = (Insn::EMPTY, Insn::EMPTY);
        if !decode(window, profile, &mut short) {
            return false;
        }
        let result = general(window, Mode::Long64, profile, &mut long);
        assert_eq!(result, Ok(()), "{window:02x?}: {short}");
        assert_eq!(parts(&short), parts(&long), "{window:02x?}: {short} and {long}");
        true
    }

    /// Processors that differ in what they have and in whose they are.
    pub(in crate::decode) fn profiles() -> Vec<Profile> {
        let named = ["zen4", "nehalem", "sapphirerapids"].map(|name| Profile::named(name).unwrap());
        let all = Profile::all();
        let cut = [Feature::Cmov, Feature::Avx512vl, Feature::Avx2].map(|feature| all.clone().without(feature));
        named.into_iter().chain(cut).chain([all.clone().with_vendor(Vendor::Amd), all]).collect()
    }

    /// The next of a row of numbers that look random.
    pub(in crate::decode) fn next(random: &mut u64) -> u64 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random
    }

    #[test]
    fn both_ways_agree() {
        let profiles = profiles();
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
                        let mut window = [0; LIMIT].map(|_: u8| next(&mut random) as u8);
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
