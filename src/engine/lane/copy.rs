//! The lanes of vector moves: bytes from the bus to a register or from it, for which the host need not run anything.

use super::{Works, done, write_again};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::engine::cache::Entry;
use crate::engine::ended;
use crate::event::Outcome;
use crate::replay;

impl Works {
    #[inline(never)]
    pub(in crate::engine) fn copy_load<V: Vmm>(
        &mut self,
        entry: &mut Entry,
        cpu: &mut Cpu,
        vmm: &mut V,
        linear: u64,
    ) -> Outcome {
        match entry.way.reads {
            ..=16 => self.copy_load_of::<V, 16>(entry, cpu, vmm, linear),
            _ => self.copy_load_of::<V, 64>(entry, cpu, vmm, linear),
        }
    }

    /// At most `MOST` bytes: 16 or 64.
    #[inline(always)]
    fn copy_load_of<V: Vmm, const MOST: usize>(
        &mut self,
        entry: &mut Entry,
        cpu: &mut Cpu,
        vmm: &mut V,
        linear: u64,
    ) -> Outcome {
        let Entry { insn, way, .. } = entry;
        if linear & u64::from(way.aligned) != 0 || !replay::has_state(cpu) {
            return self.general(entry, cpu, vmm);
        }
        let access = Access::new(AccessKind::Read, u16::from(way.reads), cpu.cpl());
        // The register keeps what it has until the bus has given all of it.
        let mut value = [0; MOST];
        let read = match usize::from(way.reads) {
            reads if reads == MOST => vmm.read(linear, &mut value, &access),
            8 => vmm.read(linear, &mut value[..8], &access),
            4 => vmm.read(linear, &mut value[..4], &access),
            reads => vmm.read(linear, &mut value[..reads.min(MOST)], &access),
        };
        if let Err(stop) = read {
            return self.stopped(stop, entry, cpu, vmm);
        }
        let register = &mut cpu.vector.zmm[insn.slot(0).reg as usize & 31].0;
        register[..MOST].copy_from_slice(&value);
        if insn.is_vex() {
            register[MOST..].fill(0);
        }
        cpu.dirty |= u64::from(way.dirty);
        done(cpu, insn)
    }

    #[inline(never)]
    pub(in crate::engine) fn copy_store<V: Vmm>(
        &mut self,
        entry: &mut Entry,
        cpu: &mut Cpu,
        vmm: &mut V,
        linear: u64,
    ) -> Outcome {
        let Entry { insn, way, .. } = entry;
        if linear & u64::from(way.aligned) != 0 || !replay::has_state(cpu) {
            return self.general(entry, cpu, vmm);
        }
        let size = insn.slot(0).size;
        let access = Access::new(AccessKind::Write, size, cpu.cpl());
        let register = &cpu.vector.zmm[insn.slot(1).reg as usize & 31].0;
        let written = match size {
            64 => vmm.write(linear, &register[..], &access),
            32 => vmm.write(linear, &register[..32], &access),
            16 => vmm.write(linear, &register[..16], &access),
            8 => vmm.write(linear, &register[..8], &access),
            _ => vmm.write(linear, &register[..usize::from(size).min(64)], &access),
        };
        if let Err(stop) = written {
            let mut bytes = *register;
            let bytes = &mut bytes[..usize::from(size).min(64)];
            let again = write_again(&mut self.journal, stop, cpu, vmm, linear, bytes, &access, None);
            if let Err(halt) = again {
                return ended(&mut self.journal, halt, cpu, entry.bytes());
            }
        }
        done(cpu, insn)
    }
}
