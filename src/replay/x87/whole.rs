//! An x87 instruction on the whole state: the guest's registers, tags, control and status words are the host's while it runs.

use super::{Replayer, Variant, read};
use crate::access::{Halt, Mem};
use crate::bus::Vmm;
use crate::cpu::{Cpu, X87};
use crate::decode::{Insn, NO_REG};
use crate::profile::Profile;
use encore86_stubs::Exit;

/// Places in the image of FNSAVE in 64-bit mode.
const FCW: usize = 0;
const FSW: usize = 4;
const TAGS: usize = 8;
const REGISTERS: usize = 28;

impl Replayer {
    /// Reads the operand, runs the instruction, and takes all that it leaves but the pointers. No exception is pending.
    pub(super) fn whole(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        profile: &Profile,
    ) -> Result<(), Halt> {
        if insn.mem() != NO_REG {
            let size = usize::from(insn.slot(0).size).min(10);
            let mut operand = [0; 10];
            read(cpu, insn, mem, &mut operand[..size])?;
            self.scratch.1.0[..10].copy_from_slice(&operand);
        }
        self.run_whole(cpu, insn, mem.vmm, profile)
    }

    /// The same with the operand in its place.
    #[cold]
    pub(crate) fn run_whole<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        profile: &Profile,
    ) -> Result<(), Halt> {
        let stub = self.find(insn, profile, Variant::Whole)?;
        self.load_image(cpu);
        self.scratch.0.rflags_in = cpu.rflags() & Exit::RFLAGS;
        let exit = self.call(stub, cpu, vmm)?;
        self.store_image(cpu);
        super::operate::merge_flags(cpu, insn, exit);
        Ok(())
    }

    fn load_image(&mut self, cpu: &Cpu) {
        let x87 = &cpu.x87;
        let image = &mut self.scratch.0.image;
        image.fill(0);
        image[FCW..FCW + 2].copy_from_slice(&x87.fcw.to_le_bytes());
        // Flags of exceptions that are not masked would trap here. They are set with IGNNE#, and in a state that is none.
        image[FSW..FSW + 2].copy_from_slice(&(x87.fsw & !0x8080 & !unmasked_flags(x87)).to_le_bytes());
        image[TAGS..TAGS + 2].copy_from_slice(&super::image::empty_tags(x87.ftw).to_le_bytes());
        for i in 0..8 {
            image[REGISTERS + 10 * i..][..10].copy_from_slice(&x87.regs[x87.physical(i)]);
        }
    }

    fn store_image(&self, cpu: &mut Cpu) {
        let image = &self.scratch.0.image;
        let word = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]);
        let x87 = &mut cpu.x87;
        x87.fsw = word(FSW) | unmasked_flags(x87);
        x87.ftw = super::image::in_use(word(TAGS));
        for i in 0..8 {
            let p = x87.physical(i);
            x87.regs[p].copy_from_slice(&image[REGISTERS + 10 * i..][..10]);
        }
        x87.update_summary();
    }
}

/// Flags of exceptions that are not masked.
fn unmasked_flags(x87: &X87) -> u16 {
    x87.fsw & !x87.fcw & 0x3f
}
