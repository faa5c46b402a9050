//! Dot products under unmasked exceptions.
//!
//! DPPS and DPPD multiply, and then add twice; an unmasked exception of one stage keeps the next from being computed, and its
//! flags alone are reported. A run with masked exceptions mixes the flags of all stages. So each stage is run by itself, as
//! the product or sum that it is, and then the instruction for its result.

use super::run::{ALL_MASKED, CONTROL, FTZ, UE};
use super::{Replayer, vector};
use crate::access::Halt;
use crate::bus::Vmm;
use crate::cpu::registers::component;
use crate::cpu::{Cpu, Mode, Zmm};
use crate::decode::{Insn, NO_REG, decode};
use crate::event::Unsupported;
use crate::isa::row::Space;

/// Bytes of a lane of 128 bits, in which the sums are.
const LANE: usize = 16;

/// MULPS or ADDPS and their like of registers 0 and 1.
#[derive(Clone, Copy)]
enum Stage {
    Product = 0x59,
    Sum = 0x58,
}

impl Replayer {
    /// [`Replayer::execute`] of a dot product when an exception is unmasked.
    #[cold]
    #[inline(never)]
    pub(super) fn execute_staged<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        dirty: u32,
    ) -> Result<(), Halt> {
        let mut trial = cpu.clone();
        let done = self.stages(&mut trial, insn, vmm);
        cpu.vector.mxcsr = trial.vector.mxcsr;
        cpu.dirty |= component::SSE;
        done?;
        let mxcsr = cpu.vector.mxcsr;
        // FTZ acts only while underflow is masked.
        let control = if mxcsr >> 7 & UE == 0 { CONTROL & !FTZ } else { CONTROL };
        self.scratch.0.mxcsr_run = mxcsr & control | ALL_MASKED;
        self.scratch.0.mxcsr_fatal = 0;
        // The stages' stubs may have taken the place of the one that there was.
        let stub = self.make(insn)?;
        let exit = self.call(stub, cpu, vmm)?;
        cpu.vector.mxcsr |= exit.mxcsr_flags();
        cpu.dirty |= u64::from(dirty);
        Ok(())
    }

    /// The products, the sums of neighbours, and of DPPS the sums of those.
    fn stages<V: Vmm + ?Sized>(&mut self, cpu: &mut Cpu, insn: &Insn, vmm: &mut V) -> Result<(), Halt> {
        let double = insn.opcode() & 1 != 0;
        let width = if double { 8 } else { 4 };
        let last = if insn.is_vex() { 2 } else { 1 };
        let first = *vector(cpu, insn.slot(last - 1).reg);
        let second = if insn.mem() == NO_REG { *vector(cpu, insn.slot(last).reg) } else { Zmm(self.scratch.1.0) };
        // What the immediate leaves out is zero, of which no stage says anything.
        let chosen = |from: &Zmm| {
            arrange(usize::from(insn.vl()), width, |i| {
                (insn.imm >> (4 + i % (LANE / width)) & 1 != 0).then_some(&from.0[i * width..][..width])
            })
        };
        let products = self.stage(Stage::Product, cpu, insn, vmm, [chosen(&first), chosen(&second)])?;
        let sums = self.neighbours(cpu, insn, vmm, width, &products)?;
        if !double {
            self.neighbours(cpu, insn, vmm, width, &sums)?;
        }
        Ok(())
    }

    /// The sums of neighbours, at the beginning of each lane.
    fn neighbours<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        width: usize,
        terms: &Zmm,
    ) -> Result<Zmm, Halt> {
        let half = LANE / width / 2;
        let every_other = |odd: usize| {
            arrange(usize::from(insn.vl()), width, |i| {
                let (lane, at) = (i * width / LANE * LANE, i % (2 * half));
                (at < half).then(|| &terms.0[lane + (2 * at + odd) * width..][..width])
            })
        };
        self.stage(Stage::Sum, cpu, insn, vmm, [every_other(0), every_other(1)])
    }

    /// Runs a stage on `operands`.
    ///
    /// # Errors
    /// #XM, or #UD in its place; flags that are raised are in `cpu` in any case.
    fn stage<V: Vmm + ?Sized>(
        &mut self,
        stage: Stage,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        operands: [Zmm; 2],
    ) -> Result<Zmm, Halt> {
        let double = insn.opcode() & 1;
        let (vex, legacy) = ([0xc5, 0xf8 | insn.ll << 2 | double, stage as u8, 0xc1], [0x66, 0x0f, stage as u8, 0xc1]);
        let bytes = match insn.row.space {
            Space::Legacy => &legacy[usize::from(1 - double)..],
            _ => &vex,
        };
        let Ok(step) = decode(bytes, Mode::Long64, &self.verify) else {
            return Err(Unsupported::Instruction(insn.row.mnemonic).into());
        };
        [cpu.vector.zmm[0], cpu.vector.zmm[1]] = operands;
        // The host has the dot product, and so these.
        let stub = self.make(&step)?;
        self.execute(cpu, &step, vmm, stub, 0)?;
        Ok(cpu.vector.zmm[0])
    }
}

/// A vector of `len` bytes of the elements that `element` gives, zero where there is none.
fn arrange<'a>(len: usize, width: usize, element: impl Fn(usize) -> Option<&'a [u8]>) -> Zmm {
    let mut out = Zmm([0; 64]);
    for (i, place) in out.0[..len.min(64)].chunks_exact_mut(width).enumerate() {
        if let Some(bytes) = element(i) {
            place.copy_from_slice(bytes);
        }
    }
    out
}
