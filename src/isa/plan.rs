//! What the decoder asks of a row, worked out when the table is built: each operand as data that needs no branch.

use super::Feature;
use super::row::{Exec, Loc, Map, Masking, Rounding, Row, Space, Spec, Tuple, Width, attr, sel};

/// What an operand is, once registers are known.
///
/// A number with names, and no `enum`: so the decoder can put operands together in a register and write them as one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SlotKind(pub(crate) u8);

macro_rules! kinds {
    ($( $(#[$doc:meta])* $name:ident = $number:literal; )*) => {
        #[allow(non_upper_case_globals)] // they read like an enum's
        impl SlotKind {
            $( $(#[$doc])* pub const $name: SlotKind = SlotKind($number); )*

            /// The kind's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $( SlotKind::$name => stringify!($name), )*
                    _ => "?",
                }
            }
        }
    };
}

kinds! {
    /// No operand.
    None = 0;
    /// General-purpose register, from bit 0.
    Gpr = 1;
    /// AH, CH, DH or BH: bits 15:8 of registers 0 to 3.
    GprHigh = 2;
    /// XMM, YMM or ZMM register by size.
    Vector = 3;
    /// Opmask register.
    Mask = 4;
    /// MMX register.
    Mmx = 5;
    /// x87 stack register ST(i).
    St = 6;
    /// Segment register.
    Segment = 7;
    /// Control register.
    Control = 8;
    /// Debug register.
    Debug = 9;
    /// The memory operand: segment, base, index, scale and displacement of the instruction.
    Memory = 10;
    /// Memory at a vector of addresses.
    Vsib = 11;
    /// Memory at rSI in the overridable data segment.
    StringSrc = 12;
    /// Memory at ES:rDI.
    StringDst = 13;
    /// The immediate.
    Imm = 14;
    /// The branch displacement, in the immediate.
    Rel = 15;
    /// The constant 1.
    One = 16;
    /// AMX tile register.
    Tile = 17;
    /// MPX bounds register.
    Bound = 18;
    /// Block scale register (ACE).
    Bsr = 19;
    /// The flags that CCMP and CTEST leave where their condition fails: OF, SF, ZF, CF as bits 3 to 0.
    DefaultFlags = 20;
    /// General-purpose registers, one a bit of [`Slot::reg`](crate::decode::Slot::reg).
    GprSet = 21;
    /// XMM registers, one a bit.
    VectorSet = 22;
}

impl core::fmt::Debug for SlotKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Fields of an instruction that name registers (the opcode's low bits stand for ModRM.rm where there is none), as byte numbers in the word that the decoder makes of them.
pub(crate) mod field {
    pub(crate) const RM: u8 = 0;
    pub(crate) const REG: u8 = 1;
    pub(crate) const VVVV: u8 = 2;
    /// None of them: a byte that is zero.
    pub(crate) const NONE: u8 = 3;
}

/// How an operand is found: the register is `field & mask | fixed`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) kind: SlotKind,
    /// Field (bits 0 and 1), mask (2 and 3), and whether memory takes the operand's place where ModRM names it (4).
    how: u8,
    pub(crate) fixed: u8,
    pub(crate) width: Width,
}

impl Place {
    const NONE: Place = Place::fixed(SlotKind::None, 0);

    const fn fixed(kind: SlotKind, fixed: u8) -> Place {
        Place { kind, how: field::NONE, fixed, width: Width::Zero }
    }

    const fn at(kind: SlotKind, field: u8, mask: u8) -> Place {
        let how = field | (mask.count_ones() as u8 - 2) << 2;
        assert!(Place { how, ..Place::NONE }.mask() == mask, "masks have three to five bits");
        Place { how, ..Place::fixed(kind, 0) }
    }

    const fn or_memory(kind: SlotKind, mask: u8) -> Place {
        let place = Place::at(kind, field::RM, mask);
        Place { how: place.how | 16, ..place }
    }

    /// Which of the fields, as a byte number.
    #[inline(always)]
    pub(crate) const fn field(self) -> u8 {
        self.how & 3
    }

    /// Which bits of it.
    #[inline(always)]
    pub(crate) const fn mask(self) -> u8 {
        (0x1f0f_0700_u32 >> (8 * (self.how >> 2 & 3))) as u8
    }

    /// May memory be in its place?
    #[inline(always)]
    pub(crate) const fn may_be_memory(self) -> bool {
        self.how & 16 != 0
    }

    /// The same operand where ModRM names memory.
    #[inline(always)]
    pub(crate) const fn in_memory(self) -> SlotKind {
        if self.may_be_memory() { SlotKind::Memory } else { self.kind }
    }

    /// `None` for a location that the decoder has to look at by itself.
    const fn of(spec: &Spec, legacy: bool) -> Option<Place> {
        if matches!(spec.width, Width::Addr) {
            return None;
        }
        let (gpr, vector) = (31, if legacy { 15 } else { 31 });
        let place = match spec.loc {
            Loc::Nothing => Place::NONE,
            Loc::GprOrMem => Place::or_memory(SlotKind::Gpr, gpr),
            Loc::VecOrMem => Place::or_memory(SlotKind::Vector, vector),
            Loc::MaskOrMem => Place::or_memory(SlotKind::Mask, 7),
            Loc::MmxOrMem => Place::or_memory(SlotKind::Mmx, 7),
            Loc::Mem => Place::fixed(SlotKind::Memory, 0),
            Loc::GprRm => Place::at(SlotKind::Gpr, field::RM, gpr),
            Loc::GprReg => Place::at(SlotKind::Gpr, field::REG, gpr),
            Loc::GprVvvv => Place::at(SlotKind::Gpr, field::VVVV, gpr),
            Loc::GprOpcode => Place::at(SlotKind::Gpr, field::RM, gpr),
            Loc::VecReg => Place::at(SlotKind::Vector, field::REG, vector),
            Loc::VecRm => Place::at(SlotKind::Vector, field::RM, vector),
            Loc::VecVvvv => Place::at(SlotKind::Vector, field::VVVV, vector),
            Loc::MaskRm => Place::at(SlotKind::Mask, field::RM, 7),
            Loc::MmxReg => Place::at(SlotKind::Mmx, field::REG, 7),
            Loc::MmxRm => Place::at(SlotKind::Mmx, field::RM, 7),
            Loc::StRm => Place::at(SlotKind::St, field::RM, 7),
            Loc::FixedGpr if spec.fixed >= 0x10 => Place::fixed(SlotKind::GprHigh, spec.fixed & 3),
            Loc::FixedGpr => Place::fixed(SlotKind::Gpr, spec.fixed),
            Loc::FixedSeg => Place::fixed(SlotKind::Segment, spec.fixed),
            Loc::FixedSt => Place::fixed(SlotKind::St, spec.fixed),
            Loc::FixedVec => Place::fixed(SlotKind::Vector, spec.fixed),
            Loc::StringSrc => Place::fixed(SlotKind::StringSrc, 6),
            Loc::StringDst => Place::fixed(SlotKind::StringDst, 7),
            Loc::One => Place::fixed(SlotKind::One, 0),
            Loc::Imm => Place::fixed(SlotKind::Imm, 0),
            // It is as wide as the operand, however many bytes the instruction has of it.
            Loc::ImmSigned => return Some(Place { width: Width::V, ..Place::fixed(SlotKind::Imm, 0) }),
            Loc::Rel => Place::fixed(SlotKind::Rel, 0),
            Loc::FixedBsr => Place::fixed(SlotKind::Bsr, spec.fixed),
            Loc::GprSet => Place::fixed(SlotKind::GprSet, spec.fixed),
            Loc::VecSet => Place::fixed(SlotKind::VectorSet, spec.fixed),
            Loc::SibMem => Place::fixed(SlotKind::Memory, 0),
            Loc::DefaultFlags => Place::at(SlotKind::DefaultFlags, field::VVVV, 15),
            // A register above 7 is no opmask: that is looked at where the operand is resolved.
            Loc::MaskReg => Place::at(SlotKind::Mask, field::REG, 7),
            Loc::MaskVvvv => Place::at(SlotKind::Mask, field::VVVV, 7),
            Loc::VecIs4
            | Loc::ImmIs4
            | Loc::Vsib
            | Loc::Seg
            | Loc::Control
            | Loc::Debug
            | Loc::Moffs
            | Loc::FarPointer
            | Loc::TileReg
            | Loc::TileRm
            | Loc::TileVvvv
            | Loc::BoundReg
            | Loc::BoundOrMem
            | Loc::AddressReg => return None,
        };
        Some(Place { width: spec.width, ..place })
    }
}

/// How a row decides the operand size: bits of [`Plan::size_rule`].
pub(crate) mod size_rule {
    /// 64 bits by default in 64-bit mode; 66 makes 16.
    pub(crate) const D64: u8 = 1;
    /// 64 bits in 64-bit mode whatever the prefixes (AMD lets 66 make 16).
    pub(crate) const F64: u8 = 2;
    /// 66 is part of the opcode.
    pub(crate) const NO_66: u8 = 4;
    /// Nothing depends on it: it is the mode's, whatever the prefixes.
    pub(crate) const NONE: u8 = 8;
    pub(crate) const COUNT: usize = 16;
}

/// What VEX or EVEX says, as far as a row may mind it: bits of [`Plan::care`]. One of them set means that the short way does not
/// decode the instruction: it is invalid, or something about it is out of the ordinary.
pub(crate) mod care {
    /// VEX.vvvv or EVEX.V'vvvv is not all ones.
    pub(crate) const VVVV: u16 = 1 << 0;
    /// It names a register above 7.
    pub(crate) const VVVV_HIGH: u16 = 1 << 1;
    /// L'L is 0, 1 or 2. Where EVEX.b means rounding it is 2.
    pub(crate) const L0: u16 = 1 << 2;
    pub(crate) const L1: u16 = 1 << 3;
    pub(crate) const L2: u16 = 1 << 4;
    /// EVEX.b where ModRM names a register, and where it names memory.
    pub(crate) const B_REGISTER: u16 = 1 << 5;
    pub(crate) const B_MEMORY: u16 = 1 << 6;
    /// EVEX.aaa is not 0.
    pub(crate) const MASKED: u16 = 1 << 7;
    /// EVEX.z, likewise.
    pub(crate) const Z_REGISTER: u16 = 1 << 8;
    pub(crate) const Z_MEMORY: u16 = 1 << 9;
    /// What no row allows: L'L is 3, or EVEX.z without an opmask.
    pub(crate) const NEVER: u16 = 1 << 10;
    /// Always set: the row has rules of its own.
    pub(crate) const ALWAYS: u16 = 1 << 11;
    /// The register of ModRM.reg is above 7, and above 15.
    pub(crate) const REG_HIGH: u16 = 1 << 12;
    pub(crate) const REG_HIGHEST: u16 = 1 << 13;
    /// The register of ModRM.rm is above 7, and above 15 by EVEX.X.
    pub(crate) const RM_HIGH: u16 = 1 << 14;
    pub(crate) const RM_HIGHEST: u16 = 1 << 15;
}

/// Bits of [`Plan::marks`].
pub(crate) mod mark {
    /// An operand has to be looked at by itself: the plan's `places` and `immediate` are not to be used.
    pub(crate) const SPECIAL: u8 = 1 << 0;
    /// A byte register may be AH, CH, DH or BH.
    pub(crate) const BYTES: u8 = 1 << 1;
    /// ModRM.rm names a general-purpose register, whose fifth bit is not EVEX.X but APX's B4.
    pub(crate) const GPR_RM: u8 = 1 << 2;
    /// ModRM or vvvv names a general-purpose register.
    pub(crate) const GPR: u8 = 1 << 3;
    /// There is an immediate or branch displacement, and it is sign-extended.
    pub(crate) const IMMEDIATE: u8 = 1 << 4;
    pub(crate) const SIGNED: u8 = 1 << 5;
    /// Two bits: how many immediates a replayed instruction has, a byte each.
    pub(crate) const REPLAYED_SHIFT: u8 = 6;
}

/// What the decoder asks of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) places: [Place; 5],
    /// Operands in `places` behind which there are none.
    pub(crate) count: u8,
    /// Bits of [`mark`].
    pub(crate) marks: u8,
    /// The operand that memory would be, 0xff if none can.
    pub(crate) memory: u8,
    pub(crate) size_rule: u8,
    /// The width of the immediate or branch displacement.
    pub(crate) immediate: Width,
    /// Of VEX and EVEX: log2 of what EVEX multiplies an 8-bit displacement by where it broadcasts nothing (four bits, for a vector of
    /// 16 bytes), whether a longer vector makes it more (bit 4), and L'L as far as it counts (a mask, bits 5 and 6).
    pub(crate) lengths: u8,
    /// Of VEX and EVEX, bits of [`care`].
    pub(crate) care: u16,
}

impl Plan {
    pub(super) const NONE: Plan = Plan {
        places: [Place::NONE; 5],
        count: 0,
        marks: 0,
        memory: 0xff,
        size_rule: 0,
        immediate: Width::Zero,
        lengths: 0,
        care: care::ALWAYS,
    };

    /// Is a bit of [`mark`] set?
    #[inline(always)]
    pub(crate) const fn is(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// How many bytes of immediates a replayed instruction has.
    #[inline(always)]
    pub(crate) const fn replayed_immediates(&self) -> u8 {
        self.marks >> mark::REPLAYED_SHIFT
    }

    /// Does the operand size matter to the row?
    const fn sized(&self, row: &Row) -> bool {
        use Width::*;
        let mut i = 0;
        while i < row.operands.len() {
            if matches!(row.operands[i].width, V | Z | Y | Stack | Far | FarZ | Pair | Env | X87State) {
                return true;
            }
            i += 1;
        }
        let replayed = matches!(row.exec, Exec::Replay(_));
        self.size_rule & (size_rule::D64 | size_rule::F64) != 0 || !replayed && row.operands[0].width as u8 != B as u8
    }

    /// What keeps an instruction of this row from the short way. `unclear`: an operand does.
    const fn care(&self, row: &Row, unclear: bool) -> u16 {
        let unlike = attr::SCC
            | attr::PAIR
            | attr::DISTINCT
            | attr::W1_BUT_AMD
            | attr::VSIB
            | attr::SIBMEM
            | attr::NO_RIP
            | attr::ANY_MOD
            | attr::LATE_MODRM
            | attr::F64;
        // The place of the fifth operand is not to be had, see there.
        let unclear = unclear || self.count > 4;
        let asks = sel::B | sel::NF | sel::RM | sel::OPREG_NONZERO;
        let apx = row.features[0] as u8 == Feature::Apx as u8 || row.features[1] as u8 == Feature::Apx as u8;
        let wide = self.is(mark::IMMEDIATE) && !matches!(self.immediate, Width::B) || self.is(mark::SIGNED);
        if unclear || apx || wide || row.is(unlike) || !row.is(attr::MODRM) || row.select.mask & asks != 0 {
            return care::ALWAYS;
        }
        let mut bits = care::NEVER;
        if !row.is(attr::VVVV) {
            bits |= care::VVVV;
        }
        if row.is(attr::L0) {
            bits |= care::L1 | care::L2;
        }
        if row.is(attr::NO_128) || matches!(row.tuple, Tuple::Dup) {
            bits |= care::L0;
        }
        if row.is(attr::ONLY_512) {
            bits |= care::L0 | care::L1;
        }
        if matches!(row.rounding, Rounding::None) {
            bits |= care::B_REGISTER;
        }
        if !row.broadcast {
            bits |= care::B_MEMORY;
        }
        match row.masking {
            Masking::None => bits |= care::MASKED | care::Z_REGISTER | care::Z_MEMORY,
            Masking::Merge => bits |= care::Z_REGISTER | care::Z_MEMORY,
            Masking::MergeZero | Masking::Control => {
                if row.operands[0].uses.writes() && self.memory == 0 {
                    bits |= care::Z_MEMORY;
                }
            }
            Masking::Required => return care::ALWAYS,
        }
        if self.is(mark::GPR) {
            bits |= care::REG_HIGHEST;
        }
        if self.is(mark::GPR_RM) {
            bits |= care::RM_HIGHEST;
        }
        let mut i = 0;
        while i < self.count as usize {
            match row.operands[i].loc {
                Loc::MaskReg => bits |= care::REG_HIGH | care::REG_HIGHEST,
                Loc::MaskVvvv => bits |= care::VVVV_HIGH,
                Loc::MaskRm | Loc::MaskOrMem => bits |= care::RM_HIGH | care::RM_HIGHEST,
                _ => {}
            }
            i += 1;
        }
        bits
    }

    /// What [`Plan::lengths`] says.
    const fn lengths_of(row: &Row) -> u8 {
        const GROWS: u8 = 1 << 4;
        const ALL: u8 = 3 << 5;
        let element = if row.element == 0 { 1 } else { row.element };
        assert!(element.is_power_of_two(), "an 8-bit displacement is shifted");
        let element = element.ilog2() as u8;
        let granule = match row.tuple {
            Tuple::None => 0,
            // That of 16 bytes is one of its own.
            Tuple::Full | Tuple::FullMem | Tuple::Dup => 4 | GROWS,
            Tuple::Half | Tuple::HalfMem => 3 | GROWS,
            Tuple::Quarter | Tuple::QuarterMem => 2 | GROWS,
            Tuple::EighthMem => 1 | GROWS,
            Tuple::Scalar => element,
            Tuple::T2 => element + 1,
            Tuple::T4 => element + 2,
            Tuple::T8 => element + 3,
            Tuple::M128 => 4,
        };
        let granule = if matches!(row.space, Space::Evex) { granule } else { 0 };
        granule | if row.is(attr::LIG) { 0 } else { ALL }
    }

    const fn of(row: &Row) -> Plan {
        let mut plan = Plan::NONE;
        let mut unclear = false;
        let mut i = 0;
        while i < plan.places.len() && !matches!(row.operands[i].loc, Loc::Nothing) {
            let spec = &row.operands[i];
            if matches!(spec.loc, Loc::Imm | Loc::ImmSigned | Loc::Rel) {
                // ENTER has two.
                unclear |= plan.is(mark::IMMEDIATE);
                let signed = !matches!(spec.loc, Loc::Imm);
                plan.marks |= mark::IMMEDIATE | if signed { mark::SIGNED } else { 0 };
                plan.immediate = spec.width;
            }
            if matches!(spec.loc, Loc::Imm | Loc::ImmSigned | Loc::VecIs4) {
                plan.marks += 1 << mark::REPLAYED_SHIFT;
            }
            if matches!(spec.loc, Loc::GprRm | Loc::GprOrMem) {
                plan.marks |= mark::GPR_RM;
            }
            if matches!(spec.loc, Loc::GprReg | Loc::GprRm | Loc::GprOrMem | Loc::GprVvvv) {
                plan.marks |= mark::GPR;
            }
            if matches!(spec.loc, Loc::MaskReg | Loc::MaskVvvv) {
                plan.marks |= mark::SPECIAL;
            }
            match Place::of(spec, matches!(row.space, Space::Legacy)) {
                Some(place) => {
                    if place.in_memory().0 == SlotKind::Memory.0 {
                        plan.memory = i as u8;
                    }
                    if matches!(spec.width, Width::B) && place.kind.0 == SlotKind::Gpr.0 {
                        plan.marks |= mark::BYTES;
                    }
                    plan.places[i] = place;
                }
                None => unclear = true,
            }
            plan.count += 1;
            i += 1;
        }
        if unclear {
            plan.marks |= mark::SPECIAL;
        }
        if row.is(attr::D64) {
            plan.size_rule |= size_rule::D64;
        }
        if row.is(attr::F64) {
            plan.size_rule |= size_rule::F64;
        }
        if row.select.mask & sel::P66 != 0 {
            plan.size_rule |= size_rule::NO_66;
        }
        if !plan.sized(row) {
            plan.size_rule = size_rule::NONE;
        }
        if matches!(row.space, Space::Vex | Space::Evex) {
            plan.care = plan.care(row, unclear);
            plan.lengths = Plan::lengths_of(row);
        }
        plan
    }
}

impl Row {
    /// The row with what the decoder asks of it.
    pub(super) const fn planned(mut self) -> Row {
        // Whole lines of the opcode maps are #UD under REX2.
        let closed = match self.map {
            Map::Primary => matches!(self.opcode >> 4, 0x4 | 0x7 | 0xa | 0xe),
            Map::M0f => matches!(self.opcode >> 4, 0x3 | 0x8),
            _ => false,
        };
        if closed && matches!(self.space, Space::Legacy) && self.select.mask & sel::REX2 == 0 {
            self.attrs |= attr::NO_REX2;
        }
        self.plan = Plan::of(&self);
        self
    }
}
