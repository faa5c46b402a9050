//! REP MOVS and REP STOS of one block: all repetitions at once, where both ends are plain RAM within a page each.

use crate::access::crosses;
use crate::address;
use crate::alu::{self, mask};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::gpr::{RAX, RCX, RDI, RSI};
use crate::cpu::registers::rflags::DF;
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, SlotKind, prefix};
use crate::engine::cache::Entry;
use crate::engine::{Works, ended};
use crate::event::Outcome;
use crate::isa::Exec;
use crate::isa::row::StrOp;

/// Bytes of one block, as in the general line: a block that waits for its retry is found there again.
const BLOCK: usize = crate::integer::BLOCK;

/// Room for a block. It is kept, because clearing it would cost more than the copy.
#[derive(Debug)]
pub(in crate::engine) struct Block(Box<[u8; BLOCK]>);

impl Block {
    pub(in crate::engine) fn new() -> Block {
        Block(Box::new([0; BLOCK]))
    }
}

/// Is this a string instruction for the short line? Gives its operation.
pub(super) fn of(insn: &Insn) -> Option<StrOp> {
    let Exec::Str(op @ (StrOp::Movs | StrOp::Stos)) = insn.row.exec else { return None };
    let flat = insn.mode == Mode::Long64 && insn.asize() == 8 && !super::based(insn);
    (flat && insn.has(prefix::REP | prefix::REPNE)).then_some(op)
}

/// Width of an element.
pub(super) fn element(insn: &Insn) -> u8 {
    let string = insn.all_slots().into_iter().find(|s| matches!(s.kind, SlotKind::StringSrc | SlotKind::StringDst));
    string.map_or(1, |s| s.size as u8)
}

impl Works {
    #[inline(never)]
    pub(in crate::engine) fn string<V: Vmm>(
        &mut self,
        entry: &mut Entry,
        cpu: &mut Cpu,
        vmm: &mut V,
        op: StrOp,
    ) -> Outcome {
        let size = u16::from(entry.way.reads);
        let shift = size.trailing_zeros();
        let (count, to, from) = (cpu.gpr[RCX], cpu.gpr[RDI], cpu.gpr[RSI]);
        let fits = count.wrapping_sub(2) <= (BLOCK as u64 >> shift) - 2;
        if !fits || cpu.rflags() & DF != 0 {
            return self.general(entry, cpu, vmm);
        }
        let len = (count << shift) as usize;
        let write = Access::new(AccessKind::Write, size, cpu.cpl());
        if !takes_block(cpu, vmm, to, len, &write) {
            return self.general(entry, cpu, vmm);
        }
        if op == StrOp::Movs {
            let read = Access::new(AccessKind::Read, size, cpu.cpl());
            // Where the destination runs into the source ahead, later elements read what earlier ones wrote.
            if to.wrapping_sub(from) < len as u64 || !takes_block(cpu, vmm, from, len, &read) {
                return self.general(entry, cpu, vmm);
            }
            if let Err(stop) = vmm.read(from, &mut self.block.0[..len], &read) {
                return self.stopped(stop, entry, cpu, vmm);
            }
        } else {
            let pattern = alu::repeat(cpu.gpr[RAX] & mask(size), size).to_le_bytes();
            self.block.0[..len.next_multiple_of(8)]
                .chunks_exact_mut(8)
                .for_each(|chunk| chunk.copy_from_slice(&pattern));
        }
        let bytes = &self.block.0[..len];
        if let Err(stop) = vmm.write(to, bytes, &write) {
            let read = (op == StrOp::Movs).then_some((from, bytes));
            if let Err(halt) = super::write_again(&mut self.journal, stop, cpu, vmm, to, bytes, &write, read) {
                return ended(&mut self.journal, halt, cpu, entry.bytes());
            }
        }
        cpu.gpr[RDI] = to.wrapping_add(len as u64);
        if op == StrOp::Movs {
            cpu.gpr[RSI] = from.wrapping_add(len as u64);
        }
        cpu.gpr[RCX] = 0;
        super::done(cpu, &entry.insn)
    }
}

#[inline(always)]
fn takes_block<V: Vmm>(cpu: &Cpu, vmm: &mut V, at: u64, len: usize, access: &Access) -> bool {
    address::is_plain(cpu, at) && !crosses(at, len) && vmm.takes_blocks(at, len, access)
}
