//! What is done with registers alone, and loads that are extended: the rest of what most of a program consists of.

use super::{Lane, Writes, done};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, NO_REG, SlotKind};
use crate::engine::Works;
use crate::engine::cache::Entry;
use crate::engine::value::values;
use crate::event::{Outcome, Stop};
use crate::integer::{self, Single, write_slot};
use crate::isa::Exec;
use crate::isa::row::{IntOp, Loc, Use};

/// Its lane among these. `addressed` says that a memory operand is one that a lane reaches.
pub(super) fn of(insn: &Insn, op: IntOp, addressed: bool) -> Option<Lane> {
    let [dst, src, ..] = insn.all_slots();
    if insn.mode != Mode::Long64 || dst.kind != SlotKind::Gpr || insn.row.exec != Exec::Value(op) {
        return None;
    }
    if insn.mem() == 1
        && addressed
        && matches!(op, IntOp::Mov | IntOp::Movsx)
        && insn.row.operands[0].uses == Use::Write
    {
        return (matches!(dst.size, 4 | 8) && src.size <= 4 && (op, src.size) != (IntOp::Mov, dst.size))
            .then_some(Lane::LoadNarrow);
    }
    // LEA's operand is in no memory.
    if insn.mem() != NO_REG && op != IntOp::Lea {
        return None;
    }
    let one_result = matches!(
        op,
        IntOp::Movsx
            | IntOp::Lea
            | IntOp::Setcc
            | IntOp::Cmovcc
            | IntOp::Rol
            | IntOp::Ror
            | IntOp::Shl
            | IntOp::Shr
            | IntOp::Sar
            | IntOp::Shld
            | IntOp::Shrd
            | IntOp::Imul
    );
    let operand = |kind| matches!(kind, SlotKind::Gpr | SlotKind::Imm | SlotKind::None);
    let plain = op.is_plain() && operand(src.kind) && insn.row.operands[2].loc == Loc::Nothing;
    (one_result || plain).then_some(Lane::Register)
}

impl Works {
    #[inline(never)]
    pub(in crate::engine) fn register<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let (insn, op) = (&entry.insn, entry.way.op);
        let v = values(cpu, insn, usize::MAX, 0);
        let dst = insn.slot(0);
        if op.is_plain() {
            let r = integer::plain(op, v[0], v[1], dst.size, cpu.rflags());
            if entry.way.writes != Writes::Nothing {
                write_slot(cpu, dst, r.value);
            }
            if op != IntOp::Mov {
                cpu.merge_flags(u64::from(entry.way.flags), r.flags);
            }
            return done(cpu, insn);
        }
        let Some(Single { value, flag_mask, flags }) = integer::single(op, cpu, insn, v) else {
            return self.general(cpu, vmm, entry);
        };
        write_slot(cpu, dst, value);
        cpu.merge_flags(flag_mask, flags);
        done(cpu, insn)
    }

    #[inline(never)]
    pub(in crate::engine) fn load_narrow<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = super::address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        let (dst, size) = (insn.slot(0), insn.slot(1).size);
        let access = Access::new(AccessKind::Read, size, cpu.cpl());
        let value = match read(vmm, linear, size, &access) {
            Ok(value) => value,
            Err(stop) => return self.stopped(stop, cpu, vmm, entry),
        };
        let above = 64 - u32::from(size) * 8;
        let value = if entry.way.op == IntOp::Movsx { ((value << above) as i64 >> above) as u64 } else { value };
        cpu.gpr[dst.reg as usize & 31] = super::whole(value, dst.size);
        done(cpu, insn)
    }
}

#[inline(always)]
fn read<V: Vmm>(vmm: &mut V, linear: u64, size: u16, access: &Access) -> Result<u64, Stop> {
    let mut b = [0; 4];
    match size {
        1 => vmm.read(linear, &mut b[..1], access)?,
        2 => vmm.read(linear, &mut b[..2], access)?,
        _ => vmm.read(linear, &mut b, access)?,
    }
    Ok(u64::from(u32::from_le_bytes(b)))
}
