//! Which registers a stub moves between the guest's state and the host.

use super::rewrite::{Rewritten, stand_in};
use crate::cpu::{Cpu, Vector, X87, Zmm};
use crate::decode::{Insn, SlotKind};
use crate::isa::row::{Loc, attr};
use core::mem::offset_of;
use encore86_stubs::{Move, MoveKind, Recipe, StubError};

/// Vector state that the host's stubs can move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    avx512f: bool,
    avx512bw: bool,
}

impl Host {
    pub(super) fn detect() -> Host {
        let host = crate::profile::Profile::host();
        Host { avx512f: host.has(crate::isa::Feature::Avx512f), avx512bw: host.has(crate::isa::Feature::Avx512bw) }
    }

    pub(super) fn new(avx512: bool) -> Host {
        Host { avx512f: avx512, avx512bw: avx512 }
    }

    fn mask(self) -> MoveKind {
        if self.avx512bw { MoveKind::K64 } else { MoveKind::K16 }
    }
}

fn zmm_at(reg: u8) -> i32 {
    (offset_of!(Cpu, vector) + offset_of!(Vector, zmm) + reg as usize * size_of::<Zmm>()) as i32
}

fn k_at(reg: u8) -> i32 {
    (offset_of!(Cpu, vector) + offset_of!(Vector, k) + reg as usize * 8) as i32
}

/// An MMX register is the significand of a physical x87 register.
fn mm_at(reg: u8) -> i32 {
    (offset_of!(Cpu, x87) + offset_of!(X87, regs) + reg as usize * size_of::<[u8; 10]>()) as i32
}

fn gpr_at(reg: u8) -> i32 {
    (offset_of!(Cpu, gpr) + reg as usize * 8) as i32
}

/// The stub of `insn` around its rewritten bytes.
///
/// # Errors
/// [`StubError`] when a stub cannot hold what the instruction moves.
pub(super) fn recipe(insn: &Insn, rewritten: &Rewritten, host: Host) -> Result<Recipe, StubError> {
    let mut recipe = Recipe::new(rewritten.body()?);
    fill(&mut recipe, insn, host)?;
    Ok(recipe)
}

/// What the stub of `insn` does around its body.
///
/// # Errors
/// As of [`recipe`].
pub(super) fn fill(recipe: &mut Recipe, insn: &Insn, host: Host) -> Result<(), StubError> {
    let vex = insn.is_vex();
    let mut reads = Reads::default();
    for i in 0..usize::from(insn.row.plan.count) {
        let (slot, uses) = (insn.slot(i), insn.uses(i));
        match slot.kind {
            SlotKind::Vector => {
                // A legacy destination narrower than the register keeps the rest of it.
                let keeps = !vex && uses.writes() && slot.size < 16;
                let block = insn.row.is(attr::BLOCK) && insn.row.operands[i].loc == Loc::VecVvvv;
                if uses.reads() || keeps {
                    reads.add(if block { 0xf << (slot.reg & 0x1c) } else { 1 << (slot.reg & 31) }, slot.size);
                }
                if uses.writes() {
                    let kind = match (vex, host.avx512f, slot.size) {
                        (false, ..) => MoveKind::Xmm,
                        (true, true, _) => MoveKind::Zmm,
                        (true, false, 0..=16) => MoveKind::XmmZero,
                        (true, false, _) => MoveKind::YmmZero,
                    };
                    recipe.stores.push(Move::new(kind, slot.reg, zmm_at(slot.reg)))?;
                }
            }
            SlotKind::Mask => {
                if uses.reads() {
                    recipe.loads.push(Move::new(host.mask(), slot.reg, k_at(slot.reg)))?;
                }
                if uses.writes() && insn.row.is(attr::MASK_PAIR) {
                    for reg in [slot.reg & !1, slot.reg | 1] {
                        recipe.stores.push(Move::new(host.mask(), reg, k_at(reg)))?;
                    }
                } else if uses.writes() {
                    recipe.stores.push(Move::new(host.mask(), slot.reg, k_at(slot.reg)))?;
                }
            }
            SlotKind::Mmx => {
                let m = Move::new(MoveKind::Mm, slot.reg, mm_at(slot.reg));
                if uses.reads() {
                    recipe.loads.push(m)?;
                }
                if uses.writes() {
                    recipe.stores.push(m)?;
                }
            }
            // Lengths of strings: the host's register is the guest's.
            SlotKind::GprSet => {
                for reg in (0..8).filter(|reg| slot.reg >> reg & 1 != 0) {
                    recipe.loads.push(Move::new(MoveKind::Gpr64, reg, gpr_at(reg)))?;
                }
            }
            SlotKind::Gpr => {
                let fixed = (insn.row.operands[i].loc == Loc::FixedGpr).then_some(slot.reg);
                if let Some(host_reg) = stand_in(insn, i).or(fixed) {
                    let m = Move::new(MoveKind::Gpr64, host_reg, gpr_at(slot.reg));
                    if uses.reads() {
                        recipe.loads.push(m)?;
                    }
                    if uses.writes() {
                        recipe.stores.push(m)?;
                    }
                }
            }
            _ => {}
        }
    }
    let mut all = reads.xmm | reads.ymm | reads.zmm;
    while all != 0 {
        let (reg, bit) = (all.trailing_zeros() as u8, all & all.wrapping_neg());
        all ^= bit;
        let kind = match bit {
            _ if reads.zmm & bit != 0 => MoveKind::Zmm,
            _ if reads.ymm & bit != 0 => MoveKind::Ymm,
            _ => MoveKind::Xmm,
        };
        recipe.loads.push(Move::new(kind, reg, zmm_at(reg)))?;
    }
    if let Some(k) = insn.opmask() {
        recipe.loads.push(Move::new(host.mask(), k, k_at(k)))?;
    }
    recipe.rflags_out = insn.row.flags.written != 0;
    recipe.rflags_in = insn.row.flags.read != 0;
    recipe.mxcsr = insn.row.is(attr::MXCSR);
    recipe.vex_dirty = vex && insn.vl() > 16;
    Ok(())
}

/// Vector registers that are read, a bit each, by the width of the read. One that is read at two widths is loaded once, at the
/// greater one.
#[derive(Default)]
struct Reads {
    xmm: u32,
    ymm: u32,
    zmm: u32,
}

impl Reads {
    fn add(&mut self, registers: u32, size: u16) {
        match size {
            0..=16 => self.xmm |= registers,
            17..=32 => self.ymm |= registers,
            _ => self.zmm |= registers,
        }
    }
}
