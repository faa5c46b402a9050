//! REP MOVS and REP STOS where both ends are plain RAM: a page's worth at once.

use crate::address;
use crate::alu::{self, mask};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::gpr::{RAX, RCX, RDI, RSI};
use crate::cpu::registers::rflags::DF;
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, SlotKind, prefix};
use crate::engine::cache::Entry;
use crate::engine::{Works, ended, noted};
use crate::event::{Outcome, Retired, Stop};
use crate::integer::{self, BATCH};
use crate::isa::Exec;
use crate::isa::row::StrOp;
use crate::room::Room;

/// Bytes of one block: a page, which none crosses.
const BLOCK: usize = 4096;

/// Room for a block. It is kept, because clearing it would cost more than the copy.
#[derive(Debug)]
pub(in crate::engine) struct Block(Room<[u8; BLOCK]>);

impl Block {
    pub(in crate::engine) fn new() -> Block {
        Block(Room::new([0; BLOCK]))
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
    /// Whatever is not whole elements of plain RAM, ascending, and apart from each other takes the general line, from where
    /// this one has come.
    #[inline(never)]
    pub(in crate::engine) fn string<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Exec::Str(op) = entry.insn.row.exec else { return self.general(cpu, vmm, entry) };
        let size = u16::from(entry.way.reads);
        let shift = size.trailing_zeros();
        if cpu.rflags() & DF != 0 || cpu.gpr[RCX] < 2 {
            return self.general(cpu, vmm, entry);
        }
        let write = Access::new(AccessKind::Write, size, cpu.cpl());
        let read = Access::new(AccessKind::Read, size, cpu.cpl());
        let mut budget = BATCH;
        loop {
            let (count, to, from) = (cpu.gpr[RCX], cpu.gpr[RDI], cpu.gpr[RSI]);
            let room = if op == StrOp::Movs { page_room(to).min(page_room(from)) } else { page_room(to) };
            let elements = count.min(budget).min(room >> shift);
            let len = (elements << shift) as usize;
            if elements == 0 || !takes_block(cpu, vmm, to, len, &write) {
                return self.general(cpu, vmm, entry);
            }
            if op == StrOp::Movs {
                // Where the destination runs into the source ahead, later elements read what earlier ones wrote.
                if to.wrapping_sub(from) < len as u64 || !takes_block(cpu, vmm, from, len, &read) {
                    return self.general(cpu, vmm, entry);
                }
                if let Err(stop) = vmm.read(from, &mut self.block.0[..len], &read) {
                    return self.stopped(stop, cpu, vmm, entry);
                }
            } else {
                let pattern = alu::repeat(cpu.gpr[RAX] & mask(size), size).to_le_bytes();
                let words = self.block.0[..len.next_multiple_of(8)].chunks_exact_mut(8);
                words.for_each(|word| word.copy_from_slice(&pattern));
            }
            if let Err(stop) = vmm.write(to, &self.block.0[..len], &write) {
                // The general line goes on in blocks of its own length; RAM that was read for a longer one is read again.
                let kept = len <= integer::BLOCK;
                if !kept && matches!(stop, Stop::TooWide(_)) {
                    return self.general(cpu, vmm, entry);
                }
                let bytes = &self.block.0[..len];
                let old = (kept && op == StrOp::Movs).then_some((from, bytes));
                if let Err(halt) = super::write_again(&mut self.journal, stop, cpu, vmm, to, bytes, &write, old) {
                    return ended(&mut self.journal, halt, cpu, entry.bytes());
                }
            }
            cpu.gpr[RDI] = to.wrapping_add(len as u64);
            if op == StrOp::Movs {
                cpu.gpr[RSI] = from.wrapping_add(len as u64);
            }
            cpu.gpr[RCX] = count - elements;
            budget -= elements;
            if count == elements {
                self.repeating = None;
                return super::done(cpu, &entry.insn);
            }
            if budget == 0 || vmm.interrupt_pending() {
                self.noted |= noted::RETIRED;
                self.repeating = Some(cpu.rip);
                return Outcome::Completed(Retired { rep_unfinished: true, ..Retired::default() });
            }
        }
    }
}

/// Bytes from an address to the end of its page.
#[inline(always)]
fn page_room(at: u64) -> u64 {
    BLOCK as u64 - at % BLOCK as u64
}

#[inline(always)]
fn takes_block<V: Vmm>(cpu: &Cpu, vmm: &mut V, at: u64, len: usize, access: &Access) -> bool {
    address::is_plain(cpu, at) && vmm.takes_blocks(at, len, access)
}
