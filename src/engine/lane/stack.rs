//! PUSH and POP of a register, near CALL and RET, in 64-bit mode.

use super::{Lane, done, get, put};
use crate::access::crosses;
use crate::address;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::Mode;
use crate::cpu::registers::gpr::RSP;
use crate::decode::{Insn, SlotKind};
use crate::engine::cache::Entry;
use crate::engine::{Works, ended};
use crate::event::{Outcome, Retired};
use crate::integer;
use crate::isa::Exec;
use crate::isa::row::SeqOp;

/// Bytes of an entry.
const ENTRY: u16 = 8;

/// The lane of an instruction of the stack.
pub(super) fn of(insn: &Insn) -> Option<Lane> {
    let Exec::Seq(op) = insn.row.exec else { return None };
    if insn.mode != Mode::Long64 || insn.osize() != ENTRY as u8 {
        return None;
    }
    match (op, insn.slot(0).kind) {
        (SeqOp::Push, SlotKind::Gpr | SlotKind::Imm) => Some(Lane::Push),
        (SeqOp::Pop, SlotKind::Gpr) => Some(Lane::Pop),
        (SeqOp::Call, SlotKind::Rel) => Some(Lane::Call),
        // With an immediate it releases more.
        (SeqOp::Ret, SlotKind::None) => Some(Lane::Return),
        _ => None,
    }
}

/// Is the entry at an address that needs no closer look?
#[inline(always)]
fn is_plain(cpu: &Cpu, at: u64) -> bool {
    address::is_plain(cpu, at) && !crosses(at, ENTRY.into())
}

/// Each is called when nothing is in the way and the journal is idle; what is not plain takes the general line.
impl Works {
    #[inline(never)]
    pub(in crate::engine) fn push<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let insn = &entry.insn;
        let call = entry.way.lane == Lane::Call;
        let next = cpu.rip.wrapping_add(u64::from(insn.len()));
        let target = next.wrapping_add(insn.imm);
        let at = cpu.gpr[RSP].wrapping_sub(ENTRY.into());
        if !is_plain(cpu, at) || call && !address::canonical(cpu, target) {
            return self.general(cpu, vmm, entry);
        }
        let value = if !call {
            let slot = insn.slot(0);
            if slot.kind == SlotKind::Gpr { cpu.gpr[slot.reg as usize & 31] } else { insn.imm }
        } else {
            next
        };
        let access = Access::new(AccessKind::Write, ENTRY, cpu.cpl());
        match put(vmm, at, ENTRY, value, &access) {
            Ok(()) => {
                cpu.gpr[RSP] = at;
                cpu.rip = if call { target } else { next };
                Outcome::Completed(Retired::default())
            }
            Err(stop) => self.stopped(stop, cpu, vmm, entry),
        }
    }

    #[inline(never)]
    pub(in crate::engine) fn pop<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let at = cpu.gpr[RSP];
        if !is_plain(cpu, at) {
            return self.general(cpu, vmm, entry);
        }
        let access = Access::new(AccessKind::Read, ENTRY, cpu.cpl());
        let value = match get(vmm, at, ENTRY, &access) {
            Ok(value) => value,
            Err(stop) => return self.stopped(stop, cpu, vmm, entry),
        };
        if entry.way.lane == Lane::Return {
            if let Err(event) = integer::check_target(cpu, value) {
                return ended(&mut self.journal, event.into(), cpu, entry.bytes());
            }
            cpu.gpr[RSP] = at.wrapping_add(ENTRY.into());
            cpu.rip = value;
            return Outcome::Completed(Retired::default());
        }
        cpu.gpr[RSP] = at.wrapping_add(ENTRY.into());
        // POP RSP: the value wins.
        cpu.gpr[entry.insn.slot(0).reg as usize & 31] = value;
        done(cpu, &entry.insn)
    }
}
