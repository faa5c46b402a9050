//! Steps that somebody has a say in: a filter before the instruction, permissions lifted for it alone.

use super::cache::Entry;
use super::{Engine, Works, cached, ended, need_apx, undecoded, uses_state};
use crate::access::{Halt, Mem};
use crate::bus::Vmm;
use crate::cpu::{Cpu, obstacle};
use crate::event::{Outcome, Retired, Stop};
use crate::integer;
use crate::introspect::{Filter, Protect, Verdict, filter::Findings};
use crate::isa::Exec;
use crate::replay::need_state;
use core::ops::Range;

impl Engine {
    /// Runs the instruction at CS:RIP if `filter` lets it, which sees it and its coming accesses first.
    ///
    /// The accesses are found on a copy of the registers, and by [`Bus::peek`](crate::Bus::peek): no device is touched. Memory that
    /// another processor changes in between can change accesses whose addresses are in memory. A step that goes on with an
    /// instruction after [`Outcome::Retry`] does not ask again.
    pub fn step_filtered<V: Vmm, F: Filter>(&mut self, cpu: &mut Cpu, vmm: &mut V, filter: &mut F) -> Outcome {
        if self.works.journal.is_open() {
            return self.step(cpu, vmm);
        }
        match cached(&mut self.cache, cpu, vmm, &self.works.profile) {
            Ok(entry) => self.works.filtered(cpu, vmm, entry, filter),
            Err(halt) => self.not_decoded(halt, cpu),
        }
    }

    /// [`Engine::step_filtered`] of the instruction in `bytes`, as [`Engine::step_bytes`] runs it.
    pub fn step_bytes_filtered<V: Vmm, F: Filter>(
        &mut self,
        cpu: &mut Cpu,
        vmm: &mut V,
        bytes: &[u8],
        filter: &mut F,
    ) -> Outcome {
        if self.works.journal.is_open() {
            return self.step_bytes(cpu, vmm, bytes);
        }
        match self.cache.of_bytes(cpu, bytes, &self.works.profile) {
            Ok(entry) => self.works.filtered(cpu, vmm, entry, filter),
            Err(error) => self.not_decoded(undecoded(cpu, vmm, &self.works.profile, error), cpu),
        }
    }

    /// Runs the instruction at CS:RIP with these ranges of linear addresses open to it, whatever `bus` forbids there; for it
    /// alone. After [`Outcome::Retry`] it is to be stepped by this method again.
    pub fn step_lifted<V: Vmm>(&mut self, cpu: &mut Cpu, bus: &mut Protect<V>, ranges: &[Range<u64>]) -> Outcome {
        bus.lift(ranges);
        let outcome = self.step(cpu, bus);
        bus.lower();
        outcome
    }
}

impl Works {
    /// Makes a trial, asks the filter, and does what it says. No instruction waits for a retry.
    fn filtered<V: Vmm, F: Filter>(
        &mut self,
        cpu: &mut Cpu,
        vmm: &mut V,
        entry: &mut Entry,
        filter: &mut F,
    ) -> Outcome {
        match self.ask(cpu, vmm, entry, filter) {
            Ok(Verdict::Allow) => self.general(cpu, vmm, entry),
            Ok(Verdict::Skip) => {
                cpu.rip = integer::next_rip(cpu, &entry.insn);
                Outcome::Completed(Retired::default())
            }
            Ok(Verdict::Refuse) => Outcome::Refused,
            // No journal: nothing was done, and the filter is still to be asked.
            Err(Halt::Stop(Stop::Retry)) => Outcome::Retry,
            Err(halt) => ended(&mut self.journal, halt, cpu, entry.bytes()),
        }
    }

    /// Makes a trial on a copy of the registers and asks the filter.
    ///
    /// # Errors
    /// What the monitor answers when the state that the instruction looks at is fetched.
    #[inline(never)]
    fn ask(
        &mut self,
        cpu: &mut Cpu,
        vmm: &mut dyn Vmm,
        entry: &mut Entry,
        filter: &mut dyn Filter,
    ) -> Result<Verdict, Halt> {
        let insn = entry.insn;
        let state = uses_state(insn.row.gate);
        if (state || matches!(insn.row.exec, Exec::Replay(_))) && cpu.word().bits & insn.gate == 0 {
            need_state(cpu, &mut Mem::new(vmm, &mut self.journal, cpu))?;
        }
        if insn.gate & obstacle::NO_APX != 0 && cpu.word().bits & insn.gate == 0 {
            need_apx(cpu, &mut Mem::new(vmm, &mut self.journal, cpu))?;
        }
        let mut copy = cpu.clone();
        let trial = |survey: &mut dyn Vmm| self.general_with_care(&mut copy, survey, entry);
        let findings = Findings::of(vmm, filter.implicit(), trial);
        Ok(filter.decide(cpu, &findings.preview(&insn, cpu)))
    }
}
