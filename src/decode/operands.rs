//! Operand resolution: what each of a row's operands is in this instruction, and its immediates.

use super::{Cursor, DecodeError, Insn, Slot, SlotKind, prefix, width};
use crate::cpu::Mode;
use crate::cpu::segment::Seg;
use crate::isa::row::{Loc, Spec, Use};

/// Fills `insn.slots`, `insn.imm` and `insn.mem`.
#[inline]
pub(super) fn resolve(cur: &mut Cursor, insn: &mut Insn) -> Result<(), DecodeError> {
    for i in 0..insn.slots.len() {
        let spec = insn.row.operands[i];
        if spec.loc == Loc::Nothing {
            break;
        }
        let slot = resolve_one(cur, insn, &spec)?;
        if matches!(slot.kind, SlotKind::Memory | SlotKind::Vsib) {
            insn.mem = i as u8;
        }
        insn.slots[i] = slot;
    }
    Ok(())
}

#[inline]
fn gpr(insn: &Insn, reg: u8, size: u16) -> Slot {
    // Without REX, byte registers 4 to 7 are AH, CH, DH and BH.
    if size == 1 && reg & 0x1c == 4 && !insn.has(prefix::REX) && !insn.is_vex() {
        Slot { kind: SlotKind::GprHigh, reg: reg & 3, size }
    } else {
        Slot { kind: SlotKind::Gpr, reg, size }
    }
}

fn memory(insn: &Insn, size: u16) -> Slot {
    // An embedded broadcast reads one element.
    let size = if insn.broadcast().is_some() { insn.row.element as u16 } else { size };
    Slot { kind: SlotKind::Memory, reg: 0, size }
}

#[inline]
fn resolve_one(cur: &mut Cursor, insn: &mut Insn, spec: &Spec) -> Result<Slot, DecodeError> {
    let size = width(insn, spec.width);
    let register = insn.has(prefix::REGISTER);
    let plain = |kind, reg| Slot { kind, reg, size };
    Ok(match spec.loc {
        Loc::Nothing => Slot::NONE,
        Loc::GprOrMem if register => gpr(insn, insn.rm & 0xf, size),
        Loc::VecOrMem if register => plain(SlotKind::Vector, insn.rm),
        Loc::MaskOrMem if register => plain(SlotKind::Mask, insn.rm & 7),
        Loc::MmxOrMem if register => plain(SlotKind::Mmx, insn.rm & 7),
        Loc::GprOrMem | Loc::VecOrMem | Loc::MaskOrMem | Loc::MmxOrMem | Loc::Mem => memory(insn, size),
        Loc::GprRm => gpr(insn, insn.rm & 0xf, size),
        Loc::GprReg => gpr(insn, insn.reg & 0xf, size),
        Loc::GprVvvv => gpr(insn, insn.vvvv & 0xf, size),
        Loc::GprOpcode => {
            let reg = insn.opcode & 7 | insn.rm & 8;
            gpr(insn, reg, size)
        }
        Loc::VecReg => plain(SlotKind::Vector, insn.reg),
        Loc::VecRm => plain(SlotKind::Vector, insn.rm),
        Loc::VecVvvv => plain(SlotKind::Vector, insn.vvvv),
        Loc::VecIs4 => {
            let imm = cur.u8();
            insn.imm = imm as u64;
            let reg = imm >> 4;
            plain(SlotKind::Vector, if insn.mode == Mode::Long64 { reg } else { reg & 7 })
        }
        Loc::MaskReg if insn.reg > 7 => return Err(DecodeError::Invalid("there are eight opmask registers")),
        Loc::MaskVvvv if insn.vvvv > 7 => return Err(DecodeError::Invalid("there are eight opmask registers")),
        Loc::MaskReg => plain(SlotKind::Mask, insn.reg),
        Loc::MaskRm => plain(SlotKind::Mask, insn.rm & 7),
        Loc::MaskVvvv => plain(SlotKind::Mask, insn.vvvv),
        Loc::MmxReg => plain(SlotKind::Mmx, insn.reg & 7),
        Loc::MmxRm => plain(SlotKind::Mmx, insn.rm & 7),
        Loc::Vsib => plain(SlotKind::Vsib, insn.index),
        Loc::Seg if insn.reg & 7 > 5 || insn.reg & 7 == 1 && spec.uses == Use::Write => {
            return Err(DecodeError::Invalid("no such segment register"));
        }
        Loc::Seg => plain(SlotKind::Segment, insn.reg & 7),
        Loc::Control => plain(SlotKind::Control, insn.reg),
        Loc::Debug => plain(SlotKind::Debug, insn.reg),
        Loc::Imm => {
            insn.imm |= cur.unsigned(size as usize);
            plain(SlotKind::Imm, 0)
        }
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
        Loc::FixedSeg => plain(SlotKind::Segment, spec.fixed),
        Loc::One => plain(SlotKind::One, 0),
        Loc::FixedSt => plain(SlotKind::St, spec.fixed),
        Loc::StRm => plain(SlotKind::St, insn.rm & 7),
        Loc::FixedVec => plain(SlotKind::Vector, spec.fixed),
    })
}

/// The segment that an implicit data operand uses: DS unless overridden.
impl Insn {
    /// The segment of the memory operand or of a string source.
    pub fn segment(&self) -> Seg {
        self.seg
    }
}
