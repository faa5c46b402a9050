//! Re-encoding: the same operation with local operands.
//!
//! The memory operand becomes `[rsi]`: base, index, displacement, segment and address size of the guest are gone. General-
//! purpose registers become stand-ins by their role: ModRM.reg is RAX, ModRM.rm is RCX, vvvv is RDX. Vector and opmask
//! registers keep their numbers.

use crate::cpu::Mode;
use crate::decode::{Insn, NO_REG, SlotKind, decode_into, outline, prefix};
use crate::event::Unsupported;
use crate::isa::Feature;
use crate::isa::plan::mark;
use crate::isa::row::{Exec, Loc, Map, Shape, Space, attr, sel};
use crate::profile::Profile;
use encore86_stubs::{Body, Key, StubError};

/// Host registers that stand for a guest's general-purpose register, by role.
pub(super) const REG_STAND_IN: u8 = 0;
pub(super) const RM_STAND_IN: u8 = 1;
pub(super) const VVVV_STAND_IN: u8 = 2;

/// An instruction as it is replayed: 64-bit code whose memory operand is `[rsi]`.
#[derive(Clone, Copy, Debug)]
pub struct Rewritten {
    /// Four bytes of prefix, opcode, ModRM and two immediates are the most there is.
    bytes: [u8; 8],
    /// Four bytes: the guest's registers behind the stand-ins of ModRM.reg, ModRM.rm and vvvv, [`NO_REG`] where there is none,
    /// and the length.
    rest: u32,
}

impl Rewritten {
    /// The instruction's bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len()).min(8)]
    }

    fn len(&self) -> u8 {
        (self.rest >> 24) as u8
    }

    /// The same for a stub.
    pub(super) fn body(&self) -> Result<Body, StubError> {
        Body::short(self.bytes, self.len())
    }

    /// The guest's general-purpose registers that RAX, RCX and RDX stand for.
    pub fn guests(&self) -> [Option<u8>; 3] {
        let [reg, rm, vvvv, _] = self.rest.to_le_bytes();
        [reg, rm, vvvv].map(|guest| (guest != NO_REG).then_some(guest))
    }

    /// The stub cache's key: the bytes, the length, and the guest's general-purpose registers, which the stub moves and the
    /// bytes do not show.
    pub(super) fn key(&self) -> Key {
        Key(u128::from(u64::from_le_bytes(self.bytes)) | u128::from(self.rest) << 64)
    }
}

/// The instruction's bytes as they are put together: a word, so that they are in a register until the last is known.
#[derive(Clone, Copy)]
struct Word {
    bytes: u64,
    len: u8,
}

impl Word {
    const NONE: Word = Word { bytes: 0, len: 0 };

    /// With `len` bytes more.
    fn with(self, bytes: u32, len: u8) -> Word {
        Word { bytes: self.bytes | u64::from(bytes) << ((8 * self.len) & 63), len: self.len + len }
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
    let row = insn.row;
    let mut guests = [NO_REG; 3];
    let (mut reg, mut rm, mut vvvv) = (insn.reg(), insn.rm(), insn.vvvv());
    if row.plan.is(mark::GPR) {
        for (i, slot) in insn.all_slots().iter().enumerate() {
            let Some(host) = stand_in(insn, i) else { continue };
            guests[host as usize] = slot.reg;
            match host {
                REG_STAND_IN => reg = host,
                RM_STAND_IN => rm = host,
                _ => vvvv = host,
            }
        }
    }
    let memory = insn.mem() != NO_REG;
    let modrm = if memory { (reg & 7) << 3 | 6 } else { 0xc0 | (reg & 7) << 3 | rm & 7 };
    let wide = insn.has(prefix::W) && !ignores_w(insn) || row.is(attr::W1_BUT_AMD);
    let ext = Extensions { r: reg, b: if memory { 0 } else { rm }, vvvv, wide };
    let prefixes = match row.space {
        Space::Legacy => legacy_opcode(insn, &ext),
        Space::Vex | Space::Xop => vex_opcode(insn, &ext),
        // KMOV with APX: the stand-ins have VEX.
        Space::Evex if row.features.contains(&Feature::Apx) => vex_opcode(insn, &ext),
        Space::Evex => evex_opcode(insn, &ext),
    };
    // 3DNow!'s opcode is its immediate.
    let opcode = if row.map == Map::M0f0f { 0x0f } else { row.replayed_as };
    let immediates = row.plan.replayed_immediates();
    let word = prefixes.with(u32::from_le_bytes([opcode, modrm, 0, 0]), 2);
    let word = if immediates == 0 { word } else { word.with(immediate(insn, immediates), immediates) };
    let [reg, rm, vvvv] = guests;
    Rewritten { bytes: word.bytes.to_le_bytes(), rest: u32::from_le_bytes([reg, rm, vvvv, word.len]) }
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

/// The immediates, one or two bytes. The register in bits 7:4 has only three bits outside 64-bit mode.
fn immediate(insn: &Insn, count: u8) -> u32 {
    let is4 = insn.row.operands.iter().any(|s| s.loc == Loc::VecIs4);
    let imm = insn.imm as u32 & if count == 1 { 0xff } else { 0xffff };
    if is4 && insn.mode != Mode::Long64 { imm & 0x7f7f } else { imm }
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

fn legacy_opcode(insn: &Insn, ext: &Extensions) -> Word {
    let pp = pp(insn);
    let mandatory = [0, 0x66, 0xf3, 0xf2][pp as usize & 3];
    let word = Word::NONE.with(mandatory, u8::from(pp != 0));
    let rex = 0x40 | u8::from(ext.wide) << 3 | (ext.r & 8) >> 1 | (ext.b & 8) >> 3;
    let word = if rex == 0x40 { word } else { word.with(rex.into(), 1) };
    match insn.row.map {
        Map::Primary => word,
        Map::M0f38 => word.with(0x380f, 2),
        Map::M0f3a => word.with(0x3a0f, 2),
        _ => word.with(0x0f, 1),
    }
}

fn vex_opcode(insn: &Insn, ext: &Extensions) -> Word {
    let first = if insn.row.space == Space::Xop { 0x8f } else { 0xc4 };
    // R, X and B are inverted; X stays clear, there is no index.
    let second = (!ext.r & 8) << 4 | 0x40 | (!ext.b & 8) << 2 | insn.row.map.number();
    let third = u8::from(ext.wide) << 7 | (!ext.vvvv & 0xf) << 3 | (insn.ll & 1) << 2 | pp(insn);
    Word::NONE.with(u32::from_le_bytes([first, second, third, 0]), 3)
}

fn evex_opcode(insn: &Insn, ext: &Extensions) -> Word {
    let (r, x, b) = ((!ext.r & 8) << 4, (!ext.b & 16) << 2, (!ext.b & 8) << 2);
    let second = r | x | b | (!ext.r & 16) | insn.row.map.number();
    let third = u8::from(ext.wide) << 7 | (!ext.vvvv & 0xf) << 3 | 4 | pp(insn);
    let z = u8::from(insn.has(prefix::Z)) << 7;
    let broadcast = u8::from(insn.has(prefix::B)) << 4;
    let fourth = z | insn.ll << 5 | broadcast | (!ext.vvvv & 16) >> 1 | insn.aaa();
    Word::NONE.with(u32::from_le_bytes([0x62, second, third, fourth]), 4)
}

/// Decodes the rewritten bytes again: the same row (or the one that it is replayed as), and the memory operand at `[rsi]` and nowhere else.
///
/// # Errors
/// A difference, which would be a fault of this module: the stub is not installed.
pub(super) fn verify(insn: &Insn, rewritten: &Rewritten, profile: &Profile) -> Result<(), Unsupported> {
    let refused = Err(Unsupported::Stubs("the rewritten instruction does not decode to the same row"));
    // More than it has, so that the decoder's short way is open; lengths are compared.
    let mut bytes = [0; 15];
    bytes[..8].copy_from_slice(&rewritten.bytes);
    if insn.is_vex()
        && let Some(again) = outline(&bytes, profile)
        && core::ptr::eq(again.row, insn.row)
    {
        let rsi = if insn.mem() == NO_REG { None } else { Some(6) };
        let same = again.base == rsi && again.vl == insn.vl() && again.len == usize::from(rewritten.len());
        return if same { Ok(()) } else { refused };
    }
    let mut again = Insn::default();
    if decode_into(&bytes, Mode::Long64, profile, &mut again).is_err() {
        return refused;
    }
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
