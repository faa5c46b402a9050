//! Accesses that no operand shows: stack, descriptors, ports, lines.
//!
//! The row says which of them an instruction has ([`Implied`]); where they lie is told here.

use super::{Foreseen, Kind, Look, Role};
use crate::address::{self, Intent, asked, effective, stack_offset, stack_width, truncate};
use crate::cpu::Mode;
use crate::cpu::registers::gpr::{RAX, RBP, RBX, RCX, RDI, RSI, RSP};
use crate::cpu::registers::{cr4, efer, rflags};
use crate::cpu::segment::Seg;
use crate::decode::SlotKind;
use crate::integer::read_slot;
use crate::isa::row::{Exec, Gate, Implied, Loc, Width};
use crate::profile::Vendor;
use crate::replay;
use crate::system;

/// Offset in the TSS of the word that says where its port bitmap lies.
const BITMAP_OFFSET: u64 = 0x66;
/// Bytes that CLZERO and MOVDIR64B write.
const LINE: u32 = 64;
/// The byte of a descriptor that holds its type with the accessed and busy bits.
const TYPE: u64 = 5;
const IE: u16 = 1;
const OE: u16 = 8;
const UE: u16 = 16;

impl Look<'_> {
    /// Accesses of the instructions whose work is not one operand alone; of all others, that operand.
    pub(super) fn implied(&mut self) {
        let (cpu, insn) = (self.cpu, self.insn);
        let size = insn.osize();
        let protected = !cpu.mode().is_real_or_v86();
        match insn.row.implied {
            Implied::Push => {
                self.operand();
                self.push_stack(size);
            }
            Implied::PushPair => self.stack(-16, 16, Kind::Write),
            Implied::PopPair => self.stack(0, 16, Kind::Read),
            Implied::PushFlags => self.stack(-i64::from(size), size, Kind::Write),
            Implied::PopFlags => self.stack(0, size, Kind::Read),
            Implied::PushAll => (1..=8).for_each(|i| self.stack(-i * i64::from(size), size, Kind::Write)),
            Implied::PopAll => {
                // The entry of rSP is passed over, by AMD's processors after it was read.
                let all = self.profile.vendor() == Vendor::Amd;
                (0..8).filter(|&i| all || i != 3).for_each(|i| self.stack(i * i64::from(size), size, Kind::Read));
            }
            Implied::Pop => {
                self.stack(0, size, Kind::Read);
                if insn.memory().is_some() {
                    self.operand_at(self.effective_after_pop());
                }
                if protected && insn.slot(0).kind == SlotKind::Segment {
                    self.more();
                }
            }
            Implied::Enter => self.enter(),
            Implied::Leave => {
                let frame = truncate(cpu.gpr[RBP], stack_width(cpu));
                self.stack_at(frame, size, Kind::Read);
            }
            Implied::Call if self.is_far() => self.far_call(),
            Implied::Jump if self.is_far() => {
                self.far_operand();
                if protected {
                    self.far_descriptor();
                }
            }
            Implied::Call => {
                self.operand();
                self.stack(-i64::from(size), size, Kind::Write);
                self.shadow(-i64::from(shadow_width(cpu.mode())), Kind::Write);
            }
            Implied::Return => {
                self.stack(0, size, Kind::Read);
                self.shadow(0, Kind::Read);
            }
            Implied::FarReturn => {
                self.entries(2);
                if protected {
                    self.more();
                }
            }
            Implied::InterruptReturn => self.interrupt_return(),
            Implied::UserReturn => {
                (0..3).for_each(|i| self.stack(i * 8, 8, Kind::Read));
            }
            Implied::Translate => {
                let offset = truncate(cpu.gpr[RBX].wrapping_add(cpu.gpr[RAX] & 0xff), insn.asize());
                self.at(insn.segment(), offset, 1, Kind::Read);
            }
            Implied::Pair => {
                for i in 0..2 {
                    let offset = truncate(effective(cpu, insn).wrapping_add(i * u64::from(size)), insn.asize());
                    self.at(insn.segment(), offset, size.into(), Kind::Read);
                }
            }
            Implied::In => {
                self.port_bitmap();
                self.push(system::port(cpu, insn, 1).into(), insn.slot(0).size.into(), Kind::In, Role::Port);
            }
            Implied::Out => {
                self.port_bitmap();
                self.push(system::port(cpu, insn, 0).into(), insn.slot(1).size.into(), Kind::Out, Role::Port);
            }
            Implied::LoadFar => {
                self.far_operand();
                if protected {
                    self.more();
                }
            }
            Implied::LoadSegment
            | Implied::LoadGs
            | Implied::LookUp
            | Implied::Verify
            | Implied::LoadTable
            | Implied::LoadTask => self.selector(),
            Implied::CopyLine | Implied::Command | Implied::SystemCommand => {
                self.operand();
                let to = truncate(cpu.gpr[insn.slot(0).reg as usize & 31], insn.asize());
                self.at(Seg::Es, to, LINE, Kind::Write);
            }
            Implied::ClearLine => {
                let offset = truncate(cpu.gpr[RAX], insn.asize()) & !u64::from(LINE - 1);
                self.at(insn.segment(), offset, LINE, Kind::Write);
            }
            Implied::Monitor => {
                self.at(insn.segment(), truncate(cpu.gpr[RAX], insn.asize()), 1, Kind::Address);
            }
            Implied::UserMonitor => {
                let offset = truncate(cpu.gpr[insn.slot(0).reg as usize & 31], insn.asize());
                self.at(insn.segment(), offset, 1, Kind::Address);
            }
            Implied::Hint => {
                if insn.memory().is_some() {
                    self.at(insn.segment(), effective(cpu, insn), 1, Kind::Address);
                }
            }
            Implied::FxSave => {
                self.at(insn.segment(), effective(cpu, insn), system::image::length(insn) as u32, Kind::Write)
            }
            Implied::FxRestore => {
                self.at(insn.segment(), effective(cpu, insn), system::image::length(insn) as u32, Kind::Read)
            }
            Implied::Save | Implied::SaveChanged | Implied::SaveCompacted | Implied::SaveSupervisor => {
                self.save_area();
            }
            Implied::Restore | Implied::RestoreSupervisor => self.restore_area(),
            Implied::SkipShadow => {
                // The first and the last entry that it passes over are read.
                let entry = insn.slot(0).size;
                let count = (read_slot(cpu, insn, insn.slot(0)) & 0xff).max(1) as i64;
                let ssp = cpu.system().ssp;
                for i in [0, count - 1] {
                    self.push(
                        ssp.wrapping_add((i * i64::from(entry)) as u64),
                        entry.into(),
                        Kind::Read,
                        Role::ShadowStack,
                    );
                }
            }
            Implied::ReadMsrs => self.register_lists(Kind::Write),
            Implied::WriteMsrs => self.register_lists(Kind::Read),
            // What they deliver or return from lies where an MSR or the IDT says.
            Implied::SystemCall | Implied::SystemEnter if cpu.system().cr4 & cr4::FRED != 0 => self.more(),
            Implied::Interrupt | Implied::EventReturn | Implied::Resume => self.more(),
            Implied::SendInterrupt | Implied::UserMsr => self.more(),
            // Tokens on the shadow stacks of MSRs.
            Implied::OtherToken => self.more(),
            Implied::Bounds | Implied::BoundsTable if !system::bounds_enabled(cpu) => {}
            // A table in memory says where.
            Implied::BoundsTable => self.more(),
            // The tile's configuration says how many rows of what length.
            Implied::TileMemory => self.more(),
            // Control structures of the processor, by physical addresses or in its own memory.
            Implied::Controlled | Implied::Profiled => {
                self.operand();
                self.more();
            }
            Implied::Elsewhere | Implied::Profiling => self.more(),
            Implied::Suppressed => {
                self.operand();
                // Faults of an access that the condition leaves out are suppressed.
                self.all_conditional();
            }
            _ => match insn.row.gate {
                Gate::X87 => self.x87(),
                Gate::Avx | Gate::Avx512 | Gate::TileAvx512 => self.other_vector(),
                _ => self.operand(),
            },
        }
    }

    fn at(&mut self, seg: Seg, offset: u64, len: u32, kind: Kind) {
        let at = asked(self.cpu, seg, offset, len.into(), super::intent(kind));
        self.push(at, len, kind, Role::Operand);
    }

    /// An entry of the stack, `delta` bytes from rSP.
    fn stack(&mut self, delta: i64, size: u8, kind: Kind) {
        self.stack_at(stack_offset(self.cpu, delta), size, kind);
    }

    fn stack_at(&mut self, offset: u64, size: u8, kind: Kind) {
        let at = asked(self.cpu, Seg::Ss, offset, size.into(), super::intent(kind));
        self.push(at, size.into(), kind, Role::Stack);
    }

    /// The first entries of the stack are read.
    fn entries(&mut self, count: i64) {
        let size = self.insn.osize();
        (0..count).for_each(|i| self.stack(i * i64::from(size), size, Kind::Read));
    }

    fn push_stack(&mut self, size: u8) {
        let by = -i64::from(size);
        // Intel's processors store a selector in the lower half of its doubleword and leave the other (SDM volume 2, PUSH).
        let half = self.insn.slot(0).kind == SlotKind::Segment && size == 4 && self.profile.vendor() == Vendor::Intel;
        self.stack(by, if half { 2 } else { size }, Kind::Write);
    }

    /// The address of POP's operand counts rSP after the pop.
    fn effective_after_pop(&self) -> u64 {
        let (cpu, insn) = (self.cpu, self.insn);
        let offset = effective(cpu, insn);
        if insn.base() != RSP as u8 {
            return offset;
        }
        let after = address::replace(cpu.gpr[RSP], stack_offset(cpu, insn.osize().into()), stack_width(cpu));
        truncate(offset.wrapping_add(after.wrapping_sub(cpu.gpr[RSP])), insn.asize())
    }

    fn enter(&mut self) {
        let (cpu, size) = (self.cpu, self.insn.osize());
        let by = i64::from(size);
        let level = i64::from((self.insn.immediate() >> 16) as u8 & 31);
        self.stack(-by, size, Kind::Write);
        for i in 1..level {
            let frame = truncate(cpu.gpr[RBP].wrapping_sub((i * by) as u64), stack_width(cpu));
            self.stack_at(frame, size, Kind::Read);
            self.stack(-by * (i + 1), size, Kind::Write);
        }
        if level > 0 {
            self.stack(-by * (level + 1), size, Kind::Write);
        }
    }

    /// An entry of the shadow stack of a near call or return: whether it is in use, MSRs say.
    fn shadow(&mut self, delta: i64, kind: Kind) {
        let s = self.cpu.system();
        if s.cr4 & cr4::CET != 0 {
            let at = s.ssp.wrapping_add(delta as u64);
            self.push_conditional(at, shadow_width(self.cpu.mode()), kind, Role::ShadowStack);
        }
    }

    fn is_far(&self) -> bool {
        let spec = &self.insn.row.operands[0];
        spec.loc == Loc::FarPointer || matches!(spec.width, Width::Far | Width::FarZ)
    }

    /// A far pointer in memory: the offset, then the selector.
    fn far_operand(&mut self) {
        let (cpu, insn) = (self.cpu, self.insn);
        let Some((slot, _)) = insn.memory() else { return };
        let (offset, size) = (effective(cpu, insn), u64::from(slot.size) - 2);
        self.at(insn.segment(), offset, size as u32, Kind::Read);
        self.at(insn.segment(), truncate(offset.wrapping_add(size), insn.asize()), 2, Kind::Read);
    }

    fn far_call(&mut self) {
        self.far_operand();
        if !self.cpu.mode().is_real_or_v86() {
            // What kind of call it is, the descriptor says.
            return self.far_descriptor();
        }
        let size = self.insn.osize();
        self.stack(-i64::from(size), size, Kind::Write);
        self.stack(-2 * i64::from(size), size, Kind::Write);
    }

    /// The descriptor of a far pointer in the instruction, and what it leads to.
    fn far_descriptor(&mut self) {
        if self.insn.row.operands[0].loc == Loc::FarPointer {
            self.descriptor((self.insn.immediate() >> 32) as u16);
        }
        self.more();
    }

    fn interrupt_return(&mut self) {
        let cpu = self.cpu;
        let long = cpu.system().efer & efer::LMA != 0;
        if !long && !cpu.mode().is_real_or_v86() && cpu.rflags() & rflags::NT != 0 {
            // To the task that the TSS links to.
            return self.more();
        }
        self.entries(if cpu.mode() == Mode::Long64 { 5 } else { 3 });
        if !cpu.mode().is_real_or_v86() {
            self.more();
        }
    }

    /// What loads or looks at a segment register's descriptor.
    fn selector(&mut self) {
        let (cpu, insn, implied) = (self.cpu, self.insn, self.insn.row.implied);
        self.operand();
        if cpu.mode().is_real_or_v86() {
            return;
        }
        let source = insn.slot(if matches!(implied, Implied::LoadSegment | Implied::LookUp) { 1 } else { 0 });
        if source.kind != SlotKind::Gpr {
            // The selector is in memory.
            return self.more();
        }
        let selector = read_slot(cpu, insn, source) as u16;
        let long = cpu.system().efer & efer::LMA != 0;
        let Some(at) = address::descriptor(cpu, selector) else { return };
        match implied {
            // A selector beyond its table is an answer too.
            Implied::LookUp | Implied::Verify => self.push_conditional(at, 8, Kind::Read, Role::Table),
            _ => self.push(at, 8, Kind::Read, Role::Table),
        }
        if long && matches!(implied, Implied::LoadTable | Implied::LoadTask) {
            self.push(at.wrapping_add(8), 8, Kind::Read, Role::Table);
        }
        // The accessed bit, or a task's busy bit.
        if matches!(implied, Implied::LoadSegment | Implied::LoadTask | Implied::LoadGs) {
            self.push_conditional(at.wrapping_add(TYPE), 1, Kind::Write, Role::Table);
        }
    }

    fn descriptor(&mut self, selector: u16) {
        if let Some(at) = address::descriptor(self.cpu, selector) {
            self.push(at, 8, Kind::Read, Role::Table);
        }
    }

    /// Where the TSS decides about ports, it is asked where its bitmap lies.
    pub(super) fn port_bitmap(&mut self) {
        if system::asks_port_bitmap(self.cpu) {
            let at = self.cpu.system().tr.base.wrapping_add(BITMAP_OFFSET);
            self.push(at, 2, Kind::Read, Role::Table);
            self.more();
        }
    }

    /// RDMSRLIST and WRMSRLIST: a bit of RCX chooses a register's number at RSI and its value at RDI. Neighbours are listed
    /// as one.
    fn register_lists(&mut self, values: Kind) {
        let mut bits = self.cpu.gpr[RCX];
        while bits != 0 {
            let first = bits.trailing_zeros();
            let count = (!(bits >> first)).trailing_zeros().min(64 - first);
            let offset = u64::from(first) * 8;
            self.at(Seg::Ds, self.cpu.gpr[RSI].wrapping_add(offset), count * 8, Kind::Read);
            self.at(Seg::Ds, self.cpu.gpr[RDI].wrapping_add(offset), count * 8, values);
            bits = bits.checked_shr(first + count).map_or(0, |_| bits & (u64::MAX << (first + count)));
        }
        // An MSR that is refused ends it.
        self.all_conditional();
    }

    pub(super) fn all_conditional(&mut self) {
        let count = self.found.count;
        self.found.list[..count].iter_mut().for_each(|access| access.conditional = true);
    }

    /// The operand of an x87 instruction. One of 80 bits is taken as 8 bytes and 2, which may wrap to the beginning of the
    /// segment; an unmasked exception keeps a number from being stored.
    fn x87(&mut self) {
        let (cpu, insn) = (self.cpu, self.insn);
        let Some((slot, uses)) = insn.memory() else { return };
        let (first, seg) = (effective(cpu, insn), insn.segment());
        let Some(kind) = super::kind_of(uses) else { return };
        if slot.size == 10 {
            let rest = truncate(first.wrapping_add(8), insn.asize());
            let (at, rest) =
                (asked(cpu, seg, first, 8, super::intent(kind)), asked(cpu, seg, rest, 2, super::intent(kind)));
            if rest == address::advance(cpu, at, 8) {
                self.push(at, 10, kind, Role::Operand);
            } else {
                self.push(at, 8, kind, Role::Operand);
                self.push(rest, 2, kind, Role::Operand);
            }
        } else if let Some(width) = image_entry(slot.size)
            && truncate(first.wrapping_add(u64::from(slot.size) - 1), insn.asize()) < first
        {
            self.wrapped_image((first, seg), slot.size.into(), width, kind);
        } else {
            self.operand();
        }
        let number = matches!(insn.row.exec, Exec::X87(op) if op.stores_number());
        if number && !cpu.x87.fcw & (IE | OE | UE) != 0 {
            self.all_conditional();
        }
    }

    /// An x87 image that wraps around: each part has an address of its own.
    fn wrapped_image(&mut self, (first, seg): (u64, Seg), size: usize, width: usize, kind: Kind) {
        let part_at = |part: usize, len: usize| {
            let offset = truncate(first.wrapping_add(part as u64), self.insn.asize());
            asked(self.cpu, seg, offset, len as u64, super::intent(kind))
        };
        let start = part_at(0, width);
        // What lies side by side with the first part is one access with it.
        let follows =
            |(part, len): (usize, usize)| part_at(part, len) == address::advance(self.cpu, start, part as u64);
        let joined = replay::image_parts(size, width).take_while(|&part| follows(part)).map(|(part, len)| part + len);
        let end = joined.last().unwrap_or(width);
        let rest: [Option<(u64, usize)>; 23] = {
            let mut others = replay::image_parts(size, width).filter(|(part, _)| *part >= end);
            core::array::from_fn(|_| others.next().map(|(part, len)| (part_at(part, len), len)))
        };
        self.push(start, end as u32, kind, Role::Operand);
        for (at, len) in rest.into_iter().flatten() {
            self.push(at, len as u32, kind, Role::Operand);
        }
    }

    /// An access that may not be made.
    pub(super) fn maybe(&mut self, at: u64, len: u32, kind: Kind) {
        self.found.push(Foreseen { conditional: true, ..Foreseen::new(at, len, kind, Role::Operand) });
    }

    /// The linear address of byte `by` of the operand.
    pub(super) fn operand_byte(&self, by: u64, intent: Intent) -> u64 {
        let offset = truncate(effective(self.cpu, self.insn).wrapping_add(by), self.insn.asize());
        asked(self.cpu, self.insn.segment(), offset, 1, intent)
    }
}

/// Bytes of an entry of an x87 image, by the image's.
fn image_entry(size: u16) -> Option<usize> {
    match size {
        14 | 94 => Some(2),
        28 | 108 => Some(4),
        _ => None,
    }
}

/// Bytes of an entry of the shadow stack.
fn shadow_width(mode: Mode) -> u32 {
    if mode == Mode::Long64 { 8 } else { 4 }
}
