//! Re-encoding: the same operation with local operands.
//!
//! The memory operand becomes `[rsi]`: base, index, displacement, segment and address size of the guest are gone. General-
//! purpose registers become stand-ins by their role: ModRM.reg is RAX, ModRM.rm is RCX, vvvv is RDX. Vector and opmask
//! registers keep their numbers.

use crate::cpu::Mode;
use crate::decode::{Insn, NO_REG, SlotKind, decode, prefix};
use crate::event::Unsupported;
use crate::isa::Feature;
use crate::isa::row::{Exec, Loc, Map, Shape, Space, attr, sel};
use crate::profile::Profile;
use encore86_stubs::Key;

/// Host registers that stand for a guest's general-purpose register, by role.
pub(super) const REG_STAND_IN: u8 = 0;
pub(super) const RM_STAND_IN: u8 = 1;
pub(super) const VVVV_STAND_IN: u8 = 2;

/// An instruction as it is replayed: 64-bit code whose memory operand is `[rsi]`.
#[derive(Clone, Copy, Debug)]
pub struct Rewritten {
    bytes: [u8; 16],
    len: u8,
    /// The guest's registers behind the stand-ins of ModRM.reg, ModRM.rm and vvvv, [`NO_REG`] where there is none.
    guests: [u8; 3],
}

impl Rewritten {
    fn new() -> Rewritten {
        Rewritten { bytes: [0; 16], len: 0, guests: [NO_REG; 3] }
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len as usize) {
            *slot = byte;
            self.len += 1;
        }
    }

    /// The instruction's bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// The guest's general-purpose registers that RAX, RCX and RDX stand for.
    pub fn guests(&self) -> [Option<u8>; 3] {
        self.guests.map(|guest| (guest != NO_REG).then_some(guest))
    }

    /// The stub cache's key: the bytes, and behind them (a rewritten instruction has 8 at most) the length and the guest's
    /// general-purpose registers, which the stub moves and the bytes do not show.
    pub(super) fn key(&self) -> Key {
        let mut key = self.bytes;
        key[12..15].copy_from_slice(&self.guests);
        key[15] = self.len;
        Key(u128::from_le_bytes(key))
    }
}

/// Role of a general-purpose operand: its stand-in, if the operand is a general-purpose register.
pub(super) fn stand_in(insn: &Insn, i: usize) -> Option<u8> {
    if !matches!(insn.slot(i).kind, SlotKind::Gpr) {
        return None;
    }
    match insn.row.operands[i].loc {
        Loc::GprReg => Some(REG_STAND_IN),
        Loc::GprRm | Loc::GprOrMem => Some(RM_STAND_IN),
        Loc::GprVvvv => Some(VVVV_STAND_IN),
        _ => None,
    }
}

/// What the host runs for `insn`, whether or not it has the instruction. `None` where the engine executes it in another way.
///
/// # Errors
/// [`Unsupported::Stubs`] if the rewritten bytes do not decode to the same row: the engine does not run them either.
pub fn rewritten(insn: &Insn) -> Result<Option<Rewritten>, Unsupported> {
    match insn.row.exec {
        Exec::Replay(Shape::Gather | Shape::Scatter | Shape::Prefetch | Shape::ByteMask) => Ok(None),
        Exec::Replay(_) => {
            let rewritten = rewrite(insn);
            verify(insn, &rewritten, &Profile::all())?;
            Ok(Some(rewritten))
        }
        _ => Ok(None),
    }
}

/// Encodes `insn` for 64-bit mode with local operands.
pub(super) fn rewrite(insn: &Insn) -> Rewritten {
    let mut out = Rewritten::new();
    let (mut reg, mut rm, mut vvvv) = (insn.reg(), insn.rm(), insn.vvvv());
    for (i, slot) in insn.all_slots().iter().enumerate() {
        let Some(host) = stand_in(insn, i) else { continue };
        out.guests[host as usize] = slot.reg;
        match host {
            REG_STAND_IN => reg = host,
            RM_STAND_IN => rm = host,
            _ => vvvv = host,
        }
    }
    let memory = insn.mem() != NO_REG;
    let modrm = if memory { (reg & 7) << 3 | 6 } else { 0xc0 | (reg & 7) << 3 | rm & 7 };
    let wide = insn.has(prefix::W) && !ignores_w(insn) || insn.row.is(attr::W1_BUT_AMD);
    let ext = Extensions { r: reg, b: if memory { 0 } else { rm }, vvvv, wide };
    match insn.row.space {
        Space::Legacy => legacy_opcode(insn, &ext, &mut out),
        Space::Vex | Space::Xop => vex_opcode(insn, &ext, &mut out),
        // KMOV with APX: the stand-ins have VEX.
        Space::Evex if insn.row.features.contains(&Feature::Apx) => vex_opcode(insn, &ext, &mut out),
        Space::Evex => evex_opcode(insn, &ext, &mut out),
    }
    // 3DNow!'s opcode is its immediate.
    out.push(if insn.row.map == Map::M0f0f { 0x0f } else { insn.row.replayed_as });
    out.push(modrm);
    let immediates = insn.row.operands.iter().filter(|s| matches!(s.loc, Loc::Imm | Loc::ImmSigned | Loc::VecIs4));
    for i in 0..immediates.count() {
        out.push(immediate(insn, i));
    }
    out
}

/// Outside 64-bit mode W means nothing on a general-purpose register; here it would be wider.
fn ignores_w(insn: &Insn) -> bool {
    let gpr = |loc| matches!(loc, Loc::GprReg | Loc::GprRm | Loc::GprOrMem | Loc::GprVvvv);
    let row = insn.row;
    insn.mode != Mode::Long64
        && (row.is(attr::W_GPR) || row.select.mask & sel::W == 0 && row.specs().iter().any(|s| gpr(s.loc)))
}

/// Bits beyond ModRM's three a field.
struct Extensions {
    r: u8,
    b: u8,
    vvvv: u8,
    wide: bool,
}

/// The immediate byte, the `i`-th of them. The register in bits 7:4 has only three bits outside 64-bit mode.
fn immediate(insn: &Insn, i: usize) -> u8 {
    let is4 = insn.row.operands.iter().any(|s| s.loc == Loc::VecIs4);
    let imm = insn.imm.to_le_bytes()[i & 7];
    if is4 && insn.mode != Mode::Long64 { imm & 0x7f } else { imm }
}

/// The mandatory prefix as VEX's pp.
fn pp(insn: &Insn) -> u8 {
    let select = insn.row.select;
    match (select.value & sel::REP) >> sel::REP_SHIFT {
        1 => 2,
        2 => 3,
        _ if select.value & sel::P66 != 0 => 1,
        _ => 0,
    }
}

fn legacy_opcode(insn: &Insn, ext: &Extensions, out: &mut Rewritten) {
    match pp(insn) {
        1 => out.push(0x66),
        2 => out.push(0xf3),
        3 => out.push(0xf2),
        _ => {}
    }
    let rex = 0x40 | u8::from(ext.wide) << 3 | (ext.r & 8) >> 1 | (ext.b & 8) >> 3;
    if rex != 0x40 {
        out.push(rex);
    }
    match insn.row.map {
        Map::Primary => {}
        Map::M0f38 => [0x0f, 0x38].into_iter().for_each(|b| out.push(b)),
        Map::M0f3a => [0x0f, 0x3a].into_iter().for_each(|b| out.push(b)),
        _ => out.push(0x0f),
    }
}

fn vex_opcode(insn: &Insn, ext: &Extensions, out: &mut Rewritten) {
    out.push(if insn.row.space == Space::Xop { 0x8f } else { 0xc4 });
    // R, X and B are inverted; X stays clear, there is no index.
    out.push((!ext.r & 8) << 4 | 0x40 | (!ext.b & 8) << 2 | insn.row.map.number());
    out.push(u8::from(ext.wide) << 7 | (!ext.vvvv & 0xf) << 3 | (insn.ll & 1) << 2 | pp(insn));
}

fn evex_opcode(insn: &Insn, ext: &Extensions, out: &mut Rewritten) {
    out.push(0x62);
    let (r, x, b) = ((!ext.r & 8) << 4, (!ext.b & 16) << 2, (!ext.b & 8) << 2);
    out.push(r | x | b | (!ext.r & 16) | insn.row.map.number());
    out.push(u8::from(ext.wide) << 7 | (!ext.vvvv & 0xf) << 3 | 4 | pp(insn));
    let z = u8::from(insn.has(prefix::Z)) << 7;
    let broadcast = u8::from(insn.has(prefix::B)) << 4;
    out.push(z | insn.ll << 5 | broadcast | (!ext.vvvv & 16) >> 1 | insn.aaa());
}

/// Decodes the rewritten bytes again: the same row (or the one that it is replayed as), and the memory operand at `[rsi]` and nowhere else.
///
/// # Errors
/// A difference, which would be a fault of this module: the stub is not installed.
pub(super) fn verify(insn: &Insn, rewritten: &Rewritten, profile: &Profile) -> Result<(), Unsupported> {
    let refused = Err(Unsupported::Stubs("the rewritten instruction does not decode to the same row"));
    let Ok(again) = decode(rewritten.as_slice(), Mode::Long64, profile) else { return refused };
    let stands_in = insn.row.replayed_as != insn.row.opcode
        && again.row.opcode == insn.row.replayed_as
        && again.row.space == insn.row.space
        && again.all_slots() == insn.all_slots();
    // What APX gives a new encoding is replayed in its old one.
    let promoted = insn.row.features.contains(&Feature::Apx)
        && (again.row.mnemonic, again.row.map, again.row.opcode) == (insn.row.mnemonic, insn.row.map, insn.row.opcode)
        && again.row.operands == insn.row.operands;
    let same_row =
        (stands_in || promoted || core::ptr::eq(again.row, insn.row)) && again.length() == rewritten.as_slice().len();
    let same_memory = again.mem() == insn.mem()
        && (again.mem() == NO_REG || again.base() == 6 && again.index() == NO_REG && again.disp == 0);
    if same_row && same_memory && again.asize() == 8 && again.vl() == insn.vl() { Ok(()) } else { refused }
}
