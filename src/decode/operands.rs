//! Operand resolution: what each of a row's operands is in this instruction, and its immediates.
//!
//! Most operands are registers, found alike: a field of the instruction, masked to the register file. A table says which
//! field and file for each location, so that they need no branch of their own.

use super::{Cursor, DecodeError, Insn, Slot, SlotKind, prefix, width};
use crate::cpu::Mode;
use crate::cpu::segment::Seg;
use crate::isa::row::{Loc, Spec, Use};

/// Fields that name registers, as indices into the array that [`resolve`] fills.
mod field {
    pub const RM: u8 = 0;
    pub const REG: u8 = 1;
    pub const VVVV: u8 = 2;
    pub const OPCODE: u8 = 3;
    pub const FIXED: u8 = 4;
}

/// How a location names a register.
#[derive(Clone, Copy)]
struct Place {
    kind: SlotKind,
    field: u8,
    mask: u8,
    /// Memory instead, if ModRM says so.
    or_memory: bool,
}

impl Place {
    /// `None` for a location that is no register.
    const fn of(loc: Loc) -> Place {
        use SlotKind::*;
        const fn at(kind: SlotKind, field: u8, mask: u8) -> Place {
            Place { kind, field, mask, or_memory: false }
        }
        const fn or_memory(kind: SlotKind, mask: u8) -> Place {
            Place { kind, field: field::RM, mask, or_memory: true }
        }
        match loc {
            Loc::GprOrMem => or_memory(Gpr, 15),
            Loc::VecOrMem => or_memory(Vector, 31),
            Loc::MaskOrMem => or_memory(Mask, 7),
            Loc::MmxOrMem => or_memory(Mmx, 7),
            Loc::GprRm => at(Gpr, field::RM, 15),
            Loc::GprReg => at(Gpr, field::REG, 15),
            Loc::GprVvvv => at(Gpr, field::VVVV, 15),
            Loc::GprOpcode => at(Gpr, field::OPCODE, 15),
            Loc::VecReg => at(Vector, field::REG, 31),
            Loc::VecRm => at(Vector, field::RM, 31),
            Loc::VecVvvv => at(Vector, field::VVVV, 31),
            Loc::MaskRm => at(Mask, field::RM, 7),
            Loc::MmxReg => at(Mmx, field::REG, 7),
            Loc::MmxRm => at(Mmx, field::RM, 7),
            Loc::Control => at(Control, field::REG, 31),
            Loc::Debug => at(Debug, field::REG, 31),
            Loc::FixedSeg => at(Segment, field::FIXED, 7),
            Loc::FixedSt => at(St, field::FIXED, 7),
            Loc::StRm => at(St, field::RM, 7),
            Loc::FixedVec => at(Vector, field::FIXED, 31),
            _ => at(None, 0, 0),
        }
    }
}

static PLACES: [Place; Loc::COUNT] = {
    let mut places = [Place::of(Loc::Nothing); Loc::COUNT];
    let mut i = 0;
    while i < Loc::COUNT {
        places[i] = Place::of(Loc::ALL[i]);
        i += 1;
    }
    places
};

/// Fills `insn.slots`, `insn.imm` and `insn.mem`.
#[inline]
pub(super) fn resolve(cur: &mut Cursor<'_>, insn: &mut Insn) -> Result<(), DecodeError> {
    let fields = [insn.rm, insn.reg, insn.vvvv, insn.opcode & 7 | insn.rm & 8];
    let register = insn.has(prefix::REGISTER);
    // Without REX, byte registers 4 to 7 are AH, CH, DH and BH.
    let high_bytes = !insn.has(prefix::REX) && !insn.is_vex();
    for i in 0..insn.slots.len() {
        let spec = &insn.row.operands[i];
        if spec.loc == Loc::Nothing {
            break;
        }
        let place = PLACES[spec.loc as usize];
        let size = width(insn, spec.width);
        insn.slots[i] = if place.or_memory && !register {
            insn.mem = i as u8;
            memory(insn, size)
        } else if place.kind != SlotKind::None {
            let field = if place.field == field::FIXED { spec.fixed } else { fields[place.field as usize & 3] };
            let reg = field & place.mask;
            if high_bytes && size == 1 && reg & 0x1c == 4 && place.kind == SlotKind::Gpr {
                Slot { kind: SlotKind::GprHigh, reg: reg & 3, size }
            } else {
                Slot { kind: place.kind, reg, size }
            }
        } else {
            let slot = other(cur, insn, spec, size)?;
            if matches!(slot.kind, SlotKind::Memory | SlotKind::Vsib) {
                insn.mem = i as u8;
            }
            slot
        };
    }
    Ok(())
}

fn memory(insn: &Insn, size: u16) -> Slot {
    // An embedded broadcast reads one element.
    let size = if insn.broadcast().is_some() { insn.row.element as u16 } else { size };
    Slot { kind: SlotKind::Memory, reg: 0, size }
}

/// Locations that are neither plain registers nor register-or-memory.
#[inline]
fn other(cur: &mut Cursor<'_>, insn: &mut Insn, spec: &Spec, size: u16) -> Result<Slot, DecodeError> {
    let plain = |kind, reg| Slot { kind, reg, size };
    Ok(match spec.loc {
        Loc::Imm => {
            insn.imm |= cur.unsigned(size as usize);
            plain(SlotKind::Imm, 0)
        }
        Loc::VecIs4 => {
            let imm = cur.u8();
            insn.imm = imm as u64;
            let reg = imm >> 4;
            plain(SlotKind::Vector, if insn.mode == Mode::Long64 { reg } else { reg & 7 })
        }
        Loc::MaskReg if insn.reg > 7 => return Err(DecodeError::Invalid("there are eight opmask registers")),
        Loc::MaskVvvv if insn.vvvv > 7 => return Err(DecodeError::Invalid("there are eight opmask registers")),
        Loc::MaskReg => plain(SlotKind::Mask, insn.reg),
        Loc::MaskVvvv => plain(SlotKind::Mask, insn.vvvv),
        Loc::Vsib => plain(SlotKind::Vsib, insn.index),
        Loc::Seg if insn.reg & 7 > 5 || insn.reg & 7 == 1 && spec.uses == Use::Write => {
            return Err(DecodeError::Invalid("no such segment register"));
        }
        Loc::Seg => plain(SlotKind::Segment, insn.reg & 7),
        Loc::ImmSigned => {
            insn.imm = cur.signed(size as usize) as u64;
            Slot { kind: SlotKind::Imm, reg: 0, size: insn.osize as u16 }
        }
        Loc::Rel => {
            insn.imm = cur.signed(size as usize) as u64;
            plain(SlotKind::Rel, 0)
        }
        Loc::Moffs => {
            insn.disp = cur.unsigned(insn.asize as usize) as i64;
            insn.prefixes &= !prefix::REGISTER;
            plain(SlotKind::Memory, 0)
        }
        Loc::FarPointer => {
            let offset = cur.unsigned(insn.osize as usize);
            insn.imm = offset | cur.unsigned(2) << 32;
            plain(SlotKind::Imm, 0)
        }
        Loc::StringSrc => plain(SlotKind::StringSrc, 6),
        Loc::StringDst => plain(SlotKind::StringDst, 7),
        Loc::FixedGpr if spec.fixed >= 0x10 => Slot { kind: SlotKind::GprHigh, reg: spec.fixed & 3, size },
        Loc::FixedGpr => plain(SlotKind::Gpr, spec.fixed),
        Loc::One => plain(SlotKind::One, 0),
        Loc::Mem => memory(insn, size),
        _ => Slot::NONE,
    })
}

/// The segment that an implicit data operand uses: DS unless overridden.
impl Insn {
    /// The segment of the memory operand or of a string source.
    pub fn segment(&self) -> Seg {
        self.seg
    }
}
