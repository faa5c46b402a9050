//! The decoded instruction.

use crate::cpu::Mode;
use crate::cpu::segment::Seg;
pub use crate::isa::plan::SlotKind;
use crate::isa::row::{Masking, Row, Space, Use, attr};

/// A resolved operand: 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is.
    pub kind: SlotKind,
    /// Which register; of an immediate, how many bytes of others lie below it in [`Insn::immediate`].
    pub reg: u8,
    /// Width in bytes; 0 when it has none.
    pub size: u16,
}

impl Slot {
    pub(crate) const NONE: Slot = Slot { kind: SlotKind::None, reg: 0, size: 0 };

    #[inline(always)]
    pub(super) const fn to_bytes(self) -> [u8; 4] {
        let [low, high] = self.size.to_le_bytes();
        [self.kind.0, self.reg, low, high]
    }

    #[inline(always)]
    const fn from_bytes([kind, reg, low, high]: [u8; 4]) -> Slot {
        Slot { kind: SlotKind(kind), reg, size: u16::from_le_bytes([low, high]) }
    }
}

/// The operands of an instruction.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    slots: [Slot; 5],
    count: usize,
}

impl core::ops::Deref for Slots {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.slots[..self.count]
    }
}

/// Prefix bits of an instruction.
pub(crate) mod prefix {
    pub const LOCK: u16 = 1 << 0;
    pub const REP: u16 = 1 << 1;
    pub const REPNE: u16 = 1 << 2;
    pub const P66: u16 = 1 << 3;
    pub const P67: u16 = 1 << 4;
    pub const REX: u16 = 1 << 5;
    pub const W: u16 = 1 << 6;
    /// A segment override that has effect.
    pub const SEG: u16 = 1 << 7;
    /// EVEX.z.
    pub const Z: u16 = 1 << 8;
    /// EVEX.b.
    pub const B: u16 = 1 << 9;
    /// ModRM.mod is 3, or no ModRM.
    pub const REGISTER: u16 = 1 << 10;
    /// SIB byte with a vector index or plain.
    pub const SIB: u16 = 1 << 11;
    /// The displacement has 8 bits.
    pub const DISP8: u16 = 1 << 12;
    pub const REX2: u16 = 1 << 13;
    /// The last segment prefix is that of DS: a near indirect branch may go untracked (CET).
    pub const DS: u16 = 1 << 14;
}

/// Register numbers in an effective address that name no general-purpose register.
pub(crate) const NO_REG: u8 = 0xff;
pub(crate) const RIP: u8 = 0xfe;

/// One decoded instruction: a small value with everything resolved.
///
/// What the short way of decoding makes together stands together, so that it is written as words: the number of stores
/// bounds a decode.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Insn {
    pub(crate) row: &'static Row,
    pub(crate) gate: u32,
    /// The operands, four bytes each, in the order of [`ORDER`].
    pub(super) operands: [u8; 20],
    pub(crate) imm: u64,
    pub(crate) disp: i64,
    /// Prefix bits, length, opcode, ModRM and sizes, as [`at`] places them.
    pub(super) encoding: [u8; 8],
    /// Register numbers and what goes with them, as [`at`] places them.
    pub(super) registers: [u8; 8],
    /// EVEX.L'L or VEX.L as encoded.
    pub(crate) ll: u8,
    pub(crate) mode: Mode,
    pub(crate) seg: Seg,
}

/// Where [`Insn::operands`] has each operand: the third, which names no register in most programs' instructions, comes first, so that
/// it is written together with what stands before it.
const ORDER: [usize; 5] = [1, 2, 0, 3, 4];

/// Places in [`Insn::encoding`] and [`Insn::registers`].
pub(super) mod at {
    /// And the byte behind it.
    pub(in crate::decode) const BITS: usize = 3;
    pub(in crate::decode) const OPCODE: usize = 0;
    pub(in crate::decode) const MODRM: usize = 1;
    pub(in crate::decode) const LEN: usize = 2;
    pub(in crate::decode) const OSIZE: usize = 5;
    pub(in crate::decode) const ASIZE: usize = 6;
    pub(in crate::decode) const MEM: usize = 7;

    pub(in crate::decode) const VVVV: usize = 0;
    pub(in crate::decode) const RM: usize = 1;
    pub(in crate::decode) const AAA: usize = 2;
    pub(in crate::decode) const BASE: usize = 3;
    pub(in crate::decode) const INDEX: usize = 4;
    pub(in crate::decode) const REG: usize = 5;
    pub(in crate::decode) const SCALE: usize = 6;
    pub(in crate::decode) const VL: usize = 7;
}

macro_rules! parts {
    ($( $(#[$doc:meta])* $array:ident[$place:ident]: $get:ident, $set:ident; )*) => {
        impl Insn {
            $(
                $(#[$doc])*
                #[inline(always)]
                pub(crate) const fn $get(&self) -> u8 {
                    self.$array[at::$place]
                }

                #[inline(always)]
                pub(super) fn $set(&mut self, value: u8) {
                    self.$array[at::$place] = value;
                }
            )*
        }
    };
}

parts! {
    encoding[LEN]: len, set_len;
    encoding[OPCODE]: opcode, set_opcode;
    encoding[MODRM]: modrm, set_modrm;
    /// Operand size in bytes.
    encoding[OSIZE]: osize, set_osize;
    /// Address size in bytes.
    encoding[ASIZE]: asize, set_asize;
    /// Index into `slots` of the memory operand, or [`NO_REG`].
    encoding[MEM]: mem, set_mem;
    /// ModRM.rm (register form) with its extensions, or the register that the opcode names.
    registers[RM]: rm, set_rm;
    /// ModRM.reg with its extensions.
    registers[REG]: reg, set_reg;
    /// VEX.vvvv or EVEX.V'vvvv.
    registers[VVVV]: vvvv, set_vvvv;
    /// EVEX.aaa.
    registers[AAA]: aaa, set_aaa;
    /// Base register, [`RIP`] or [`NO_REG`].
    registers[BASE]: base, set_base;
    /// Index register or [`NO_REG`].
    registers[INDEX]: index, set_index;
    /// Log2 of the scale.
    registers[SCALE]: scale, set_scale;
    /// Vector length in bytes.
    registers[VL]: vl, set_vl;
}

impl Insn {
    /// Bits of [`prefix`].
    #[inline(always)]
    pub(crate) const fn prefixes(&self) -> u16 {
        u16::from_le_bytes([self.encoding[at::BITS], self.encoding[at::BITS + 1]])
    }

    #[inline(always)]
    pub(super) fn set_prefixes(&mut self, bits: u16) {
        [self.encoding[at::BITS], self.encoding[at::BITS + 1]] = bits.to_le_bytes();
    }
}

/// Static rounding or exception suppression of an EVEX instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaticRounding {
    /// Round to nearest, `{rn-sae}`.
    Nearest,
    /// Round down, `{rd-sae}`.
    Down,
    /// Round up, `{ru-sae}`.
    Up,
    /// Truncate, `{rz-sae}`.
    Zero,
    /// `{sae}`.
    Sae,
}

/// A repetition prefix that has effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// REP: rCX times.
    Rep,
    /// REPE: as long as elements are equal.
    Repe,
    /// REPNE: as long as they differ.
    Repne,
}

impl Default for Insn {
    /// No instruction: a place for [`decode_into`](super::decode_into) to write to.
    fn default() -> Insn {
        Insn::EMPTY
    }
}

impl Insn {
    /// What [`decode_into`](super::decode_into) begins from; stands for no instruction.
    pub(crate) const EMPTY: Insn = Insn {
        row: &Row::NONE,
        gate: 0,
        operands: [0; 20],
        imm: 0,
        disp: 0,
        encoding: [0, 0, 0, 0, 0, 0, 0, NO_REG],
        registers: [0, 0, 0, NO_REG, NO_REG, 0, 0, 16],
        ll: 0,
        mode: Mode::Long64,
        seg: Seg::Ds,
    };

    /// Length in bytes, 1 to 15.
    #[inline]
    pub fn length(&self) -> usize {
        self.len() as usize
    }

    /// The table's row.
    pub fn row(&self) -> &'static Row {
        self.row
    }

    /// The mode it was decoded for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Resolved operands, implicit ones last.
    pub fn slots(&self) -> Slots {
        Slots { slots: self.all_slots(), count: self.row.specs().len() }
    }

    /// Operand `i`; none from 5 on.
    #[inline(always)]
    pub(crate) fn slot(&self, i: usize) -> Slot {
        let bytes = ORDER.get(i).and_then(|i| self.operands.as_chunks().0.get(*i));
        bytes.map_or(Slot::NONE, |bytes| Slot::from_bytes(*bytes))
    }

    #[inline(always)]
    pub(super) fn set_slot(&mut self, i: usize, slot: Slot) {
        if let Some(bytes) = ORDER.get(i).and_then(|i| self.operands.as_chunks_mut().0.get_mut(*i)) {
            *bytes = slot.to_bytes();
        }
    }

    /// All five, those that the row lacks included.
    #[inline(always)]
    pub(crate) fn all_slots(&self) -> [Slot; 5] {
        [self.slot(0), self.slot(1), self.slot(2), self.slot(3), self.slot(4)]
    }

    /// The instruction without its new destination: operands as the line without ND has them (APX).
    pub(crate) fn without_destination(&self) -> Insn {
        let mut old = *self;
        (0..5).for_each(|i| old.set_slot(i, self.slot(i + 1)));
        if self.mem() != NO_REG {
            old.encoding[at::MEM] = self.mem().wrapping_sub(1);
        }
        old
    }

    /// How operand `i` of the row is used. A merging opmask makes the destination an input too.
    pub fn uses(&self, i: usize) -> Use {
        let Some(spec) = self.row.operands.get(i) else { return Use::None };
        let uses = spec.uses;
        match self.slot(i).kind {
            _ if i != 0 || !self.merges() || uses != Use::Write => uses,
            // Elements that the opmask leaves out are not stored; of an opmask register they become 0.
            SlotKind::Memory | SlotKind::Vsib => Use::CondWrite,
            SlotKind::Mask => uses,
            _ => Use::ReadWrite,
        }
    }

    /// Does an opmask other than k0 merge into the destination?
    pub fn merges(&self) -> bool {
        self.aaa() != 0
            && self.prefixes() & prefix::Z == 0
            && matches!(self.row.masking, Masking::Merge | Masking::MergeZero)
    }

    /// The opmask register in use, 1 to 7.
    pub fn opmask(&self) -> Option<u8> {
        (self.aaa() != 0 && self.row.masking != Masking::None).then_some(self.aaa())
    }

    /// Is `{z}` given?
    pub fn zeroing(&self) -> bool {
        self.prefixes() & prefix::Z != 0
    }

    /// Number of elements that an embedded broadcast makes, `{1to16}`.
    pub fn broadcast(&self) -> Option<u8> {
        let memory = self.prefixes() & (prefix::B | prefix::REGISTER) == prefix::B;
        if !memory || !self.row.broadcast {
            return None;
        }
        let bytes = match self.row.tuple {
            crate::isa::row::Tuple::Half => self.vl() / 2,
            crate::isa::row::Tuple::Quarter => self.vl() / 4,
            _ => self.vl(),
        };
        Some(bytes / self.row.element)
    }

    /// Embedded rounding or exception suppression.
    pub fn static_rounding(&self) -> Option<StaticRounding> {
        use crate::isa::row::Rounding;
        let given = prefix::B | prefix::REGISTER;
        if self.row.space != Space::Evex || self.prefixes() & given != given {
            return None;
        }
        match self.row.rounding {
            Rounding::None => None,
            Rounding::Sae => Some(StaticRounding::Sae),
            Rounding::Er => Some(match self.ll {
                0 => StaticRounding::Nearest,
                1 => StaticRounding::Down,
                2 => StaticRounding::Up,
                _ => StaticRounding::Zero,
            }),
        }
    }

    /// Is there an effective LOCK prefix?
    pub fn locked(&self) -> bool {
        self.prefixes() & prefix::LOCK != 0
    }

    /// The operand that lies in memory, if one does: its slot and how it is used.
    pub fn memory(&self) -> Option<(Slot, Use)> {
        let i = self.mem() as usize;
        (i < 5).then(|| (self.slot(i), self.row.operands[i].uses))
    }

    /// The condition of Jcc, SETcc and CMOVcc; of CCMP and CTEST the source condition.
    pub(crate) fn condition(&self) -> u8 {
        if self.row.is(attr::SCC) { self.aaa() } else { self.opcode() & 0xf }
    }

    /// Does EVEX.NF keep the flags as they are (APX)?
    pub fn keeps_flags(&self) -> bool {
        self.row.is(attr::NF) && self.aaa() & 4 != 0
    }

    #[inline]
    pub(crate) fn has(&self, bits: u16) -> bool {
        self.prefixes() & bits != 0
    }

    /// Is it encoded with VEX or EVEX?
    pub(crate) fn is_vex(&self) -> bool {
        !matches!(self.row.space, Space::Legacy)
    }

    /// The immediate as decoded: extended to 64 bits as the row says. Where there are two, the second lies above the first.
    pub fn immediate(&self) -> u64 {
        self.imm
    }

    /// Address size in bytes: 2, 4 or 8.
    pub fn address_size(&self) -> u8 {
        self.asize()
    }

    /// How the instruction is repeated.
    pub fn repeat(&self) -> Option<Repeat> {
        let (rep, repne) = (self.has(prefix::REP), self.has(prefix::REPNE));
        match (self.row.is(attr::REP) && (rep || repne), self.row.is(attr::REPCC)) {
            (false, _) => None,
            (true, false) => Some(Repeat::Rep),
            (true, true) => Some(if repne { Repeat::Repne } else { Repeat::Repe }),
        }
    }
}
