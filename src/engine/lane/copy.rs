//! The lanes of vector moves: bytes from the bus to a register or from it, for which the host need not run anything.

use super::{Works, done, put_vector, write_again};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::engine::cache::Entry;
use crate::engine::ended;
use crate::event::Outcome;
use crate::replay;

impl Works {
    #[inline(never)]
    pub(in crate::engine) fn copy_load<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        match entry.way.reads {
            ..=16 => self.copy_load_of::<V, 16>(cpu, vmm, entry, linear),
            _ => self.copy_load_of::<V, 64>(cpu, vmm, entry, linear),
        }
    }

    /// At most `MOST` bytes: 16 or 64.
    #[inline(always)]
    fn copy_load_of<V: Vmm, const MOST: usize>(
        &mut self,
        cpu: &mut Cpu,
        vmm: &mut V,
        entry: &mut Entry,
        linear: u64,
    ) -> Outcome {
        let Entry { insn, way, .. } = entry;
        if linear & u64::from(way.aligned) != 0 || !replay::has_state(cpu) {
            return self.general(cpu, vmm, entry);
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
            return self.stopped(stop, cpu, vmm, entry);
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
    pub(in crate::engine) fn copy_store<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let Entry { insn, way, .. } = entry;
        if linear & u64::from(way.aligned) != 0 || !replay::has_state(cpu) {
            return self.general(cpu, vmm, entry);
        }
        let size = insn.slot(0).size;
        let access = Access::new(AccessKind::Write, size, cpu.cpl());
        let register = &cpu.vector.zmm[insn.slot(1).reg as usize & 31].0;
        let written = put_vector(vmm, linear, size, register, &access);
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
