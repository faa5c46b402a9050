//! The lanes of locked operations on granted memory: one real locked instruction each.

use super::{Writes, done, source};
use crate::atomic;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RAX, RBX, RCX, RDX};
use crate::cpu::registers::rflags::{ARITH, CF, ZF};
use crate::decode::{Slot, SlotKind};
use crate::engine::Works;
use crate::engine::cache::Entry;
use crate::event::{Outcome, Stop};
use crate::host::{HostRam, Seat};
use crate::integer::write_slot;

impl Works {
    #[inline(never)]
    pub(in crate::engine) fn locked<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let (insn, way) = (&entry.insn, &entry.way);
        let ram = match grant(vmm, &self.locks.seat, linear, insn.slot(0).size, cpu.cpl()) {
            Ok(ram) => ram,
            Err(why) => return self.not_granted(why, cpu, vmm, entry),
        };
        // SAFETY: the range has the operand's length, for which the instruction was chosen.
        let done = unsafe { ram.issue(way.issue, source(cpu, insn), 0, cpu.rflags()) };
        self.locks.seat.leave();
        let Some(done) = done else { return self.general(cpu, vmm, entry) };
        cpu.merge_flags(u64::from(way.flags), done.flags);
        self::done(cpu, insn)
    }

    #[inline(never)]
    pub(in crate::engine) fn locked_swap<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let (insn, way) = (&entry.insn, &entry.way);
        let size = insn.slot(0).size;
        let ram = match grant(vmm, &self.locks.seat, linear, size, cpu.cpl()) {
            Ok(ram) => ram,
            Err(why) => return self.not_granted(why, cpu, vmm, entry),
        };
        // SAFETY: the range has the operand's length, for which the instruction was chosen.
        let done = unsafe { ram.issue(way.issue, source(cpu, insn), cpu.gpr[RAX], cpu.rflags()) };
        self.locks.seat.leave();
        let Some(done) = done else { return self.general(cpu, vmm, entry) };
        match way.writes {
            Writes::Source if size >= 4 => cpu.gpr[insn.slot(1).reg as usize & 31] = done.old,
            Writes::Source => write_slot(cpu, insn.slot(1), done.old),
            Writes::Accumulator if done.flags & ZF == 0 => {
                write_slot(cpu, Slot { kind: SlotKind::Gpr, reg: RAX as u8, size }, done.old);
            }
            _ => {}
        }
        cpu.merge_flags(u64::from(way.flags), done.flags);
        self::done(cpu, insn)
    }

    /// LOCK XADD of 4 or 8 bytes, what counters and tickets are made of: nothing is called between fetch and commit.
    #[inline(never)]
    pub(in crate::engine) fn locked_xadd<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        let size = insn.slot(0).size;
        let register = insn.slot(1).reg as usize & 31;
        let ram = match grant(vmm, &self.locks.seat, linear, size, cpu.cpl()) {
            Ok(ram) => ram,
            Err(why) => return self.not_granted(why, cpu, vmm, entry),
        };
        let done = ram.exchange_add(cpu.gpr[register]);
        self.locks.seat.leave();
        cpu.gpr[register] = done.old;
        cpu.merge_flags(ARITH, done.flags);
        self::done(cpu, insn)
    }

    /// LOCK CMPXCHG of 4 or 8 bytes, what locks are made of, in the same way.
    #[inline(never)]
    pub(in crate::engine) fn locked_cmpxchg<V: Vmm>(
        &mut self,
        cpu: &mut Cpu,
        vmm: &mut V,
        entry: &mut Entry,
    ) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        let size = insn.slot(0).size;
        let ram = match grant(vmm, &self.locks.seat, linear, size, cpu.cpl()) {
            Ok(ram) => ram,
            Err(why) => return self.not_granted(why, cpu, vmm, entry),
        };
        let done = ram.compare_exchange_word(cpu.gpr[insn.slot(1).reg as usize & 31], cpu.gpr[RAX]);
        self.locks.seat.leave();
        if done.flags & ZF == 0 {
            cpu.gpr[RAX] = done.old;
        }
        cpu.merge_flags(ARITH, done.flags);
        self::done(cpu, insn)
    }

    /// LOCK BTS, BTR and BTC of 4 or 8 bytes, in the same way. A bit that a register names may lie in another word, and that in
    /// another page.
    #[inline(never)]
    pub(in crate::engine) fn locked_bit<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        let size = insn.slot(0).size;
        let bit = source(cpu, insn);
        let mut linear = linear;
        let within = u64::from(size) * 8 - 1;
        if bit & !within != 0 && insn.slot(1).kind == SlotKind::Gpr {
            let bit = if size == 8 { bit as i64 } else { i64::from(bit as i32) };
            linear = linear.wrapping_add(((bit >> (size.trailing_zeros() + 3)) * i64::from(size)) as u64);
            if !crate::address::is_plain(cpu, linear) {
                return self.general(cpu, vmm, entry);
            }
        }
        let ram = match grant(vmm, &self.locks.seat, linear, size, cpu.cpl()) {
            Ok(ram) => ram,
            Err(why) => return self.not_granted(why, cpu, vmm, entry),
        };
        // SAFETY: the range has the operand's length, for which the instruction was chosen.
        let done = unsafe { ram.issue(entry.way.issue, bit, 0, 0) };
        self.locks.seat.leave();
        let Some(done) = done else { return self.general(cpu, vmm, entry) };
        cpu.merge_flags(CF, done.flags);
        self::done(cpu, insn)
    }

    /// CMPXCHG8B and CMPXCHG16B.
    #[inline(never)]
    pub(in crate::engine) fn locked_pair<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let size = entry.insn.slot(0).size;
        if linear & u64::from(entry.way.aligned) != 0 {
            return self.general(cpu, vmm, entry);
        }
        let ram = match grant(vmm, &self.locks.seat, linear, size, cpu.cpl()) {
            Ok(ram) => ram,
            Err(why) => return self.not_granted(why, cpu, vmm, entry),
        };
        let pair = |low: usize, high: usize| {
            if size == 8 {
                u128::from(cpu.gpr[low] as u32) | u128::from(cpu.gpr[high] as u32) << 32
            } else {
                u128::from(cpu.gpr[low]) | u128::from(cpu.gpr[high]) << 64
            }
        };
        let done = ram.compare_exchange_pair(pair(RAX, RDX), pair(RBX, RCX));
        self.locks.seat.leave();
        let Some((old, equal)) = done else { return self.general(cpu, vmm, entry) };
        if !equal {
            (cpu.gpr[RAX], cpu.gpr[RDX]) =
                if size == 8 { (u64::from(old as u32), (old >> 32) as u64) } else { (old as u64, (old >> 64) as u64) };
        }
        cpu.merge_flags(ZF, if equal { ZF } else { 0 });
        self::done(cpu, &entry.insn)
    }

    /// Another way for what [`grant`] has not given, or the end that the bus has asked for.
    #[cold]
    #[inline(never)]
    fn not_granted<V: Vmm>(&mut self, why: Option<Stop>, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        match why {
            None => self.general(cpu, vmm, entry),
            Some(stop) => self.stopped(stop, cpu, vmm, entry),
        }
    }
}

/// The host's view of the operand of a locked instruction, with other engines told of it: [`Seat::leave`] comes behind the
/// instruction. `None` where it has to go another way.
#[inline(always)]
fn grant<'v, V: Vmm>(
    vmm: &'v mut V,
    seat: &Seat,
    linear: u64,
    size: u16,
    cpl: u8,
) -> Result<HostRam<'v>, Option<Stop>> {
    let len = usize::from(size);
    if atomic::splits(linear, len) {
        return Err(None);
    }
    let access = Access { locked: true, ..Access::new(AccessKind::Rmw, size, cpl) };
    match vmm.ram(linear, len, &access) {
        Ok(Some(ram)) if ram.len() == len && seat.announce() => Ok(ram),
        Ok(_) => Err(None),
        Err(stop) => Err(Some(stop)),
    }
}
