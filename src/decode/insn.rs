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
}

/// Register numbers in an effective address that name no general-purpose register.
pub(crate) const NO_REG: u8 = 0xff;
pub(crate) const RIP: u8 = 0xfe;

/// One decoded instruction: a small value with everything resolved.
#[derive(Clone, Copy, Debug)]
pub struct Insn {
    pub(crate) row: &'static Row,
    pub(crate) imm: u64,
    pub(crate) disp: i64,
    pub(crate) slots: [Slot; 5],
    pub(crate) gate: u32,
    pub(crate) prefixes: u16,
    pub(crate) mode: Mode,
    pub(crate) len: u8,
    pub(crate) opcode: u8,
    pub(crate) modrm: u8,
    /// Operand size in bytes.
    pub(crate) osize: u8,
    /// Address size in bytes.
    pub(crate) asize: u8,
    pub(crate) seg: Seg,
    pub(crate) base: u8,
    pub(crate) index: u8,
    /// Log2 of the scale.
    pub(crate) scale: u8,
    /// Vector length in bytes.
    pub(crate) vl: u8,
    /// ModRM.reg, ModRM.rm (register form) and vvvv with their extensions.
    pub(crate) reg: u8,
    pub(crate) rm: u8,
    pub(crate) vvvv: u8,
    /// EVEX.aaa.
    pub(crate) aaa: u8,
    /// EVEX.L'L or VEX.L as encoded.
    pub(crate) ll: u8,
    /// Index into `slots` of the memory operand, or [`NO_REG`].
    pub(crate) mem: u8,
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
        imm: 0,
        disp: 0,
        slots: [Slot::NONE; 5],
        gate: 0,
        prefixes: 0,
        mode: Mode::Long64,
        len: 0,
        opcode: 0,
        modrm: 0,
        osize: 0,
        asize: 0,
        seg: Seg::Ds,
        base: NO_REG,
        index: NO_REG,
        scale: 0,
        vl: 16,
        reg: 0,
        rm: 0,
        vvvv: 0,
        aaa: 0,
        ll: 0,
        mem: NO_REG,
    };

    /// Length in bytes, 1 to 15.
    #[inline]
    pub fn length(&self) -> usize {
        self.len as usize
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
    pub fn slots(&self) -> &[Slot] {
        &self.slots[..self.row.specs().len()]
    }

    /// How operand `i` is used. A merging opmask makes the destination an input too.
    pub fn uses(&self, i: usize) -> Use {
        let uses = self.row.operands[i].uses;
        match self.slots[i].kind {
            _ if i != 0 || !self.merges() || uses != Use::Write => uses,
            // Elements that the opmask leaves out are not stored; of an opmask register they become 0.
            SlotKind::Memory | SlotKind::Vsib => Use::CondWrite,
            SlotKind::Mask => uses,
            _ => Use::ReadWrite,
        }
    }

    /// Does an opmask other than k0 merge into the destination?
    pub fn merges(&self) -> bool {
        self.aaa != 0
            && self.prefixes & prefix::Z == 0
            && matches!(self.row.masking, Masking::Merge | Masking::MergeZero)
    }

    /// The opmask register in use, 1 to 7.
    pub fn opmask(&self) -> Option<u8> {
        (self.aaa != 0 && self.row.masking != Masking::None).then_some(self.aaa)
    }

    /// Is `{z}` given?
    pub fn zeroing(&self) -> bool {
        self.prefixes & prefix::Z != 0
    }

    /// Number of elements that an embedded broadcast makes, `{1to16}`.
    pub fn broadcast(&self) -> Option<u8> {
        let memory = self.prefixes & (prefix::B | prefix::REGISTER) == prefix::B;
        if !memory || !self.row.broadcast {
            return None;
        }
        let bytes = match self.row.tuple {
            crate::isa::row::Tuple::Half => self.vl / 2,
            crate::isa::row::Tuple::Quarter => self.vl / 4,
            _ => self.vl,
        };
        Some(bytes / self.row.element)
    }

    /// Embedded rounding or exception suppression.
    pub fn static_rounding(&self) -> Option<StaticRounding> {
        use crate::isa::row::Rounding;
        let given = prefix::B | prefix::REGISTER;
        if self.row.space != Space::Evex || self.prefixes & given != given {
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
        self.prefixes & prefix::LOCK != 0
    }

    /// The operand that lies in memory, if one does: its slot and how it is used.
    pub fn memory(&self) -> Option<(Slot, Use)> {
        let i = self.mem as usize;
        (i < self.slots.len()).then(|| (self.slots[i], self.row.operands[i].uses))
    }

    /// The condition of Jcc, SETcc and CMOVcc; of CCMP and CTEST the source condition.
    pub(crate) fn condition(&self) -> u8 {
        if self.row.is(attr::SCC) { self.aaa } else { self.opcode & 0xf }
    }

    /// Does EVEX.NF keep the flags as they are (APX)?
    pub fn keeps_flags(&self) -> bool {
        self.row.is(attr::NF) && self.aaa & 4 != 0
    }

    #[inline]
    pub(crate) fn has(&self, bits: u16) -> bool {
        self.prefixes & bits != 0
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
        self.asize
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
