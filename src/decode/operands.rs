//! Operand resolution: what each of a row's operands is in this instruction, and its immediates.
//!
//! Most operands are found alike: a field of the instruction, masked to the register file, or memory in its place. The
//! row's plan has that as data, so that they need no branch of their own.

use super::{Cursor, DecodeError, Insn, Slot, SlotKind, prefix};
use crate::cpu::Mode;
use crate::cpu::segment::Seg;
use crate::isa::plan::mark;
use crate::isa::row::{Loc, Row, Spec, Use, Width};

/// Widths that an instruction's sizes decide: by [`sizes`]' arguments, then by [`Width`].
static WIDTHS: [[u16; 32]; 64] = {
    let mut widths = [[0; 32]; 64];
    let mut code = 0;
    while code < 64 {
        let (osize, vl, wide, long) = (2 << (code & 3), 16 << (code >> 2 & 3), code & 16 != 0, code & 32 != 0);
        let mut i = 0;
        while i < Width::ALL.len() {
            let width = Width::ALL[i];
            widths[code][width as usize] = width.bytes(osize, vl, wide, long);
            i += 1;
        }
        code += 1;
    }
    widths
};

/// The widths of operands, by operand size, vector length (as L'L has it), W and 64-bit mode.
#[inline(always)]
pub(super) fn sizes(osize: u8, length: u8, wide: bool, long: bool) -> &'static [u16; 32] {
    let (osize, length) = (osize as usize >> 2, length as usize);
    &WIDTHS[osize & 3 | (length & 3) << 2 | usize::from(wide) << 4 | usize::from(long) << 5]
}

/// The widths of an instruction's operands.
#[inline(always)]
fn sizes_of(insn: &Insn) -> &'static [u16; 32] {
    sizes(insn.osize(), insn.vl() >> 5, insn.has(prefix::W), insn.mode == Mode::Long64)
}

/// Fills `insn.slots`, `insn.imm` and `insn.mem()`.
#[inline(always)]
pub(super) fn resolve(cur: &mut Cursor<'_>, insn: &mut Insn, row: &Row, in_memory: bool) -> Result<(), DecodeError> {
    let plan = &row.plan;
    if plan.is(mark::SPECIAL) {
        return resolve_special(cur, insn);
    }
    let sizes = sizes_of(insn);
    // One by one: a load of neighbours that were just stored by themselves would wait for them.
    let (rm, reg, vvvv) = (u32::from(insn.rm()), u32::from(insn.reg()), u32::from(insn.vvvv()));
    let fields = rm | reg << 8 | vvvv << 16;
    let slot = |i: usize| {
        let place = &plan.places[i];
        let replaced = in_memory & place.may_be_memory();
        let mask = if replaced { 0 } else { place.mask() };
        let reg = (fields >> (place.field() * 8)) as u8 & mask | place.fixed;
        let kind = if in_memory { place.in_memory() } else { place.kind };
        Slot { kind, reg, size: sizes[place.width as usize & 31] }
    };
    // Two operands cost no more than the question how many there are.
    let (first, second) = (slot(0), slot(1));
    insn.set_slot(0, first);
    insn.set_slot(1, second);
    for i in 2..usize::from(plan.count) {
        let slot = slot(i);
        insn.set_slot(i, slot);
    }
    if in_memory {
        insn.set_mem(plan.memory);
    }
    if plan.is(mark::IMMEDIATE) {
        let size = usize::from(sizes[plan.immediate as usize & 31]);
        insn.imm = cur.immediate(size, plan.is(mark::SIGNED));
    }
    if plan.is(mark::BYTES) & !insn.has(prefix::REX) & !insn.is_vex() {
        high_bytes(insn);
    }
    if insn.has(prefix::B) && insn.broadcast().is_some() {
        // An embedded broadcast reads one element.
        let memory = insn.mem() as usize;
        let slot = Slot { size: insn.row.element as u16, ..insn.slot(memory) };
        insn.set_slot(memory, slot);
    }
    Ok(())
}

/// Without REX, byte registers 4 to 7 are AH, CH, DH and BH.
pub(super) fn high_bytes(insn: &mut Insn) {
    for (i, slot) in insn.all_slots().into_iter().enumerate() {
        if slot.kind == SlotKind::Gpr && slot.size == 1 && slot.reg & 0x1c == 4 {
            insn.set_slot(i, Slot { kind: SlotKind::GprHigh, reg: slot.reg & 3, size: 1 });
        }
    }
}

/// [`resolve`] where an operand has to be looked at by itself.
#[inline(never)]
fn resolve_special(cur: &mut Cursor<'_>, insn: &mut Insn) -> Result<(), DecodeError> {
    let (row, sizes) = (insn.row, sizes_of(insn));
    let in_memory = !insn.has(prefix::REGISTER);
    let fields = u32::from_le_bytes([insn.rm(), insn.reg(), insn.vvvv(), 0]);
    for (i, spec) in row.specs().iter().enumerate() {
        let size = if spec.width == Width::Addr { u16::from(insn.asize()) } else { sizes[spec.width as usize & 31] };
        let place = &row.plan.places[i];
        let slot = match place.kind {
            SlotKind::None | SlotKind::Imm => other(cur, insn, spec, size)?,
            SlotKind::Mask if matches!(spec.loc, Loc::MaskReg | Loc::MaskVvvv) => other(cur, insn, spec, size)?,
            SlotKind::Memory => memory(insn, size),
            _ if in_memory && place.may_be_memory() => memory(insn, size),
            kind => Slot { kind, reg: (fields >> (place.field() * 8)) as u8 & place.mask() | place.fixed, size },
        };
        insn.set_slot(i, slot);
        if matches!(slot.kind, SlotKind::Memory | SlotKind::Vsib) {
            insn.set_mem(i as u8);
        }
    }
    if row.plan.is(mark::BYTES) && !insn.has(prefix::REX) && !insn.is_vex() {
        high_bytes(insn);
    }
    Ok(())
}

fn memory(insn: &Insn, size: u16) -> Slot {
    // An embedded broadcast reads one element.
    let size = if insn.broadcast().is_some() { insn.row.element as u16 } else { size };
    Slot { kind: SlotKind::Memory, reg: 0, size }
}

/// Locations that a plan does not cover, and immediates beside them.
fn other(cur: &mut Cursor<'_>, insn: &mut Insn, spec: &Spec, size: u16) -> Result<Slot, DecodeError> {
    let plain = |kind, reg| Slot { kind, reg, size };
    Ok(match spec.loc {
        Loc::Imm => {
            // A second one (ENTER, EXTRQ, INSERTQ) lies above the first.
            let above: u16 = insn.all_slots().iter().filter(|s| s.kind == SlotKind::Imm).map(|s| s.size).sum();
            insn.imm |= cur.unsigned(size as usize) << ((u32::from(above) * 8) & 63);
            plain(SlotKind::Imm, above as u8)
        }
        Loc::VecIs4 => {
            let imm = cur.u8();
            insn.imm = imm as u64;
            let reg = imm >> 4;
            plain(SlotKind::Vector, if insn.mode == Mode::Long64 { reg } else { reg & 7 })
        }
        // The register's byte, which came before, holds it.
        Loc::ImmIs4 => plain(SlotKind::Imm, 0),
        Loc::MaskReg if insn.reg() > 7 => return Err(DecodeError::Invalid("there are eight opmask registers")),
        Loc::MaskVvvv if insn.vvvv() > 7 => return Err(DecodeError::Invalid("there are eight opmask registers")),
        Loc::MaskReg => plain(SlotKind::Mask, insn.reg()),
        Loc::MaskVvvv => plain(SlotKind::Mask, insn.vvvv()),
        Loc::TileReg | Loc::TileRm | Loc::TileVvvv => tile(insn, spec)?,
        Loc::BoundOrMem if !insn.has(prefix::REGISTER) => memory(insn, size),
        Loc::BoundReg | Loc::BoundOrMem => {
            // In 64-bit mode MPX looks at whole addresses, whatever 67 says.
            if insn.mode == Mode::Long64 {
                insn.set_asize(8);
            }
            let reg = if spec.loc == Loc::BoundReg { insn.reg() } else { insn.rm() };
            if reg > 3 {
                return Err(DecodeError::Invalid("there are four bounds registers"));
            }
            let copies = insn.has(prefix::REGISTER) && insn.row.operands.iter().any(|s| s.loc == Loc::BoundOrMem);
            if insn.asize() == 2 && !copies {
                return Err(DecodeError::Invalid("bounds of 16-bit addresses"));
            }
            plain(SlotKind::Bound, reg)
        }
        Loc::Control if matches!(insn.reg(), 0 | 2 | 3 | 4 | 8) => plain(SlotKind::Control, insn.reg()),
        Loc::Control => return Err(DecodeError::Invalid("no such control register")),
        Loc::Debug if insn.reg() < 8 => plain(SlotKind::Debug, insn.reg()),
        Loc::Debug => return Err(DecodeError::Invalid("no such debug register")),
        Loc::AddressReg => plain(SlotKind::Gpr, insn.reg() & 31),
        Loc::FixedGpr => plain(SlotKind::Gpr, spec.fixed),
        Loc::GprSet => plain(SlotKind::GprSet, spec.fixed),
        Loc::GprRm => plain(SlotKind::Gpr, insn.rm()),
        Loc::Vsib => plain(SlotKind::Vsib, insn.index()),
        Loc::Seg if insn.reg() & 7 > 5 || insn.reg() & 7 == 1 && spec.uses == Use::Write => {
            return Err(DecodeError::Invalid("no such segment register"));
        }
        Loc::Seg => plain(SlotKind::Segment, insn.reg() & 7),
        Loc::ImmSigned => {
            insn.imm = cur.signed(size as usize) as u64;
            Slot { kind: SlotKind::Imm, reg: 0, size: insn.osize() as u16 }
        }
        Loc::Moffs => {
            insn.disp = cur.unsigned(insn.asize() as usize) as i64;
            insn.set_prefixes(insn.prefixes() & !prefix::REGISTER);
            plain(SlotKind::Memory, 0)
        }
        Loc::FarPointer => {
            let offset = cur.unsigned(insn.osize() as usize);
            insn.imm = offset | cur.unsigned(2) << 32;
            plain(SlotKind::Imm, 0)
        }
        _ => Slot::NONE,
    })
}

/// A tile register. Instructions with three want them different.
fn tile(insn: &Insn, spec: &Spec) -> Result<Slot, DecodeError> {
    let reg = match spec.loc {
        Loc::TileReg => insn.reg(),
        Loc::TileRm => insn.rm(),
        _ => insn.vvvv(),
    };
    if reg > 7 {
        return Err(DecodeError::Invalid("there are eight tile registers"));
    }
    let clash = insn.reg() == insn.rm() || insn.reg() == insn.vvvv() || insn.rm() == insn.vvvv();
    if spec.loc == Loc::TileVvvv && clash {
        return Err(DecodeError::Invalid("the tile registers of a product differ"));
    }
    Ok(Slot { kind: SlotKind::Tile, reg, size: 0 })
}

/// The segment that an implicit data operand uses: DS unless overridden.
impl Insn {
    /// The segment of the memory operand or of a string source.
    pub fn segment(&self) -> Seg {
        self.seg
    }
}
