//! The short lines: what most instructions that reach a device are, in 64-bit mode.
//!
//! A lane is chosen when an instruction is decoded. It stands for conditions that would be tested at each step: 64-bit
//! mode and addresses, a base register, no FS or GS, operands of 4 or 8 bytes in whole registers, or one whole vector
//! operand. Everything that is not so, and everything that does not go well, takes the general line.
//!
//! What bounds a step is the number of host instructions, registers saved at entry and values spilled among them. So each lane is a
//! function of its own, which the step ends in: it saves only what it needs, and whatever can go wrong is out of line.

mod copy;
mod locked;
mod register;
mod stack;
mod string;

use super::cache::Entry;
use super::{Works, ended};
use crate::access::{Halt, Journal, Mem};
use crate::address;
use crate::alu;
use crate::atomic;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::segment::Seg;
use crate::cpu::{Cpu, Mode, obstacle};
use crate::decode::{Insn, NO_REG, RIP, SlotKind};
use crate::event::{Outcome, Retired, Stop};
use crate::host::{self, Issue};
use crate::integer;
use crate::isa::Exec;
use crate::isa::row::{Class, IntOp, Loc, Masking, Shape, Use, X87Op, attr};
use crate::replay;
pub(super) use string::Block;

/// Which short line an instruction takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// None: the general line.
    General,
    /// An arithmetic instruction or MOV of registers and immediates.
    Operate,
    /// What has one result in a register, of other registers: shifts, extensions, conditions, bytes.
    Register,
    /// MOVZX, MOVSX and MOVSXD from memory.
    LoadNarrow,
    /// Jcc, and JMP by a displacement.
    Branch,
    /// PUSH of a register or immediate.
    Push,
    /// POP to a register.
    Pop,
    /// CALL by a displacement.
    Call,
    /// RET.
    Return,
    /// MOV from a register to memory.
    Store,
    /// MOV of an immediate to memory.
    StoreImm,
    /// MOV from memory to a register.
    Load,
    /// An arithmetic instruction that reads memory and writes a register or flags only.
    LoadOperate,
    /// An unlocked arithmetic read-modify-write of memory.
    Modify,
    /// A locked read-modify-write of memory of which only flags come back.
    Locked,
    /// XCHG, and a narrow XADD or CMPXCHG with LOCK.
    LockedSwap,
    /// XADD with LOCK, of 4 or 8 bytes.
    LockedXadd,
    /// CMPXCHG with LOCK, of 4 or 8 bytes.
    LockedCmpxchg,
    /// BTS, BTR and BTC with LOCK, of 4 or 8 bytes.
    LockedBit,
    /// CMPXCHG8B and CMPXCHG16B with LOCK.
    LockedPair,
    /// A replayed instruction that reads its memory operand and has nothing to do with MXCSR: of 16 bytes, of 4 or 8, any other.
    VectorLoad,
    ElementLoad,
    AnyLoad,
    /// One that reads it under MXCSR.
    FloatLoad,
    FloatElementLoad,
    FloatAnyLoad,
    /// A replayed instruction that writes it, in memory alone.
    VectorStore,
    /// A move to a vector register.
    CopyLoad,
    /// A move from it.
    CopyStore,
    /// FLD of 4 or 8 bytes.
    RealLoad,
    /// FST and FSTP of 4 or 8 bytes.
    RealStore,
    /// FADD and its kin, FCOM and FCOMP, with 4 or 8 bytes.
    RealArithmetic,
    RealCompare,
    /// REP MOVS and REP STOS of a block.
    String,
}

/// What is written besides flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    Nothing,
    /// Operand 0.
    Result,
    /// XCHG, XADD: operand 1 receives the old value of memory.
    Source,
    /// CMPXCHG: the accumulator receives it when the compare fails.
    Accumulator,
}

/// Bytes of a page, which the operand of a lane does not leave.
const PAGE: u16 = 4096;

/// What a lane needs to know of an instruction, beyond the instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) lane: Lane,
    /// The operation of an integer lane.
    op: IntOp,
    /// The locked instruction.
    issue: Issue,
    writes: Writes,
    /// Low bits of the address that must be clear.
    aligned: u8,
    /// So many elements of which the opmask must leave one for the operand to be read; 0 if it is read whatever the opmask.
    masked: u8,
    /// State components that it changes, of those of vectors.
    dirty: u8,
    /// Flags that it writes.
    flags: u16,
    /// Bytes of a vector's memory operand that are read; width of a string's element.
    reads: u8,
    /// The last place in a page where the memory operand begins and does not leave it.
    last: u16,
    /// The mode word under which nothing keeps the instruction from its lane, as far as is known; 0 for none.
    pub(super) word: u32,
}

impl Way {
    /// Of no instruction.
    pub(super) const NONE: Way = Way {
        lane: Lane::General,
        op: IntOp::Nop,
        issue: Issue::NONE,
        writes: Writes::Nothing,
        aligned: 0,
        masked: 0,
        dirty: 0,
        flags: 0,
        reads: 0,
        last: 0,
        word: 0,
    };

    #[inline(always)]
    pub(super) fn of(insn: &Insn) -> Way {
        let row = insn.row;
        let slot = insn.all_slots().get(insn.mem() as usize).copied();
        let size = slot.map_or(0, |slot| slot.size);
        let aligned =
            matches!(row.class, Class::Aligned | Class::AlignedLegacy | Class::AlignedIntel) && slot.is_some();
        let elements = insn.broadcast().unwrap_or(0);
        let op = if let Exec::Value(op) = row.exec { op } else { IntOp::Nop };
        let suppressed = insn.aaa() != 0 && row.class != Class::NoSuppress;
        Way {
            lane: Lane::of(insn),
            op,
            issue: atomic::locked_op(op).map_or(Issue::NONE, |op| Issue::of(op, usize::from(size))),
            writes: match op {
                IntOp::Xchg | IntOp::Xadd => Writes::Source,
                IntOp::Cmpxchg => Writes::Accumulator,
                _ if row.operands[0].uses.writes() => Writes::Result,
                _ => Writes::Nothing,
            },
            aligned: if aligned || op == IntOp::CmpxchgPair && size == 16 { size.wrapping_sub(1) as u8 } else { 0 },
            masked: if suppressed { elements.clamp(1, 64) } else { 0 },
            dirty: (replay::components(insn) & 0xff) as u8,
            flags: row.flags.written,
            reads: if let Exec::Str(_) = row.exec { string::element(insn) } else { read_size(insn) },
            last: PAGE - size.min(PAGE),
            word: 0,
        }
    }
}

impl Lane {
    /// The lane of a decoded instruction.
    fn of(insn: &Insn) -> Lane {
        if insn.gate & obstacle::NO_APX != 0 {
            // R16 to R31 may have to be fetched first.
            return Lane::General;
        }
        let addressed =
            insn.mode == Mode::Long64 && insn.asize() == 8 && !based(insn) && insn.base() < RIP && insn.mem() != NO_REG;
        if addressed && insn.row.exec == Exec::Replay(Shape::Plain) {
            return Lane::of_vector(insn);
        }
        if let Some(lane) = stack::of(insn) {
            return lane;
        }
        if string::of(insn).is_some() {
            return Lane::String;
        }
        match insn.row.exec {
            Exec::X87(X87Op::LoadReal) if addressed => return Lane::RealLoad,
            Exec::X87(X87Op::StoreReal | X87Op::StoreRealPop) if addressed => return Lane::RealStore,
            Exec::X87(X87Op::Arithmetic) if addressed && insn.slot(0).size >= 4 => return Lane::RealArithmetic,
            Exec::X87(X87Op::Compare | X87Op::ComparePop) if addressed && insn.slot(0).size >= 4 => {
                return Lane::RealCompare;
            }
            _ => {}
        }
        let Exec::Value(op) = insn.row.exec else { return Lane::General };
        let [dst, src, ..] = insn.all_slots();
        if matches!(op, IntOp::Jcc | IntOp::Jmp) && dst.kind == SlotKind::Rel {
            let whole = insn.mode == Mode::Long64 && insn.osize() == 8;
            return if whole { Lane::Branch } else { Lane::General };
        }
        let whole = matches!(dst.size, 4 | 8) && (src.size == dst.size || src.kind == SlotKind::None);
        let registers = |kind| matches!(kind, SlotKind::Gpr | SlotKind::Memory | SlotKind::Imm | SlotKind::None);
        if !(insn.mem() == NO_REG && whole && op.is_plain())
            && let Some(lane) = register::of(insn, op, addressed)
        {
            return lane;
        }
        if insn.mem() == NO_REG && insn.mode == Mode::Long64 {
            let operates = op.is_plain() && whole && registers(dst.kind) && registers(src.kind);
            return if operates && insn.row.operands[2].loc == Loc::Nothing { Lane::Operate } else { Lane::General };
        }
        if !addressed || insn.mem() > 1 {
            return Lane::General;
        }
        let locked = insn.mem() == 0 && (insn.locked() || insn.row.is(attr::LOCKED));
        if locked && !host::LANES {
            return Lane::General;
        }
        if locked {
            return match op {
                IntOp::CmpxchgPair => Lane::LockedPair,
                IntOp::Xadd if dst.size >= 4 && registers(src.kind) => Lane::LockedXadd,
                IntOp::Cmpxchg if dst.size >= 4 && registers(src.kind) => Lane::LockedCmpxchg,
                IntOp::Bts | IntOp::Btr | IntOp::Btc if dst.size >= 4 => Lane::LockedBit,
                IntOp::Bts | IntOp::Btr | IntOp::Btc => Lane::General,
                _ if !registers(src.kind) || atomic::locked_op(op).is_none() => Lane::General,
                IntOp::Xchg | IntOp::Xadd | IntOp::Cmpxchg => Lane::LockedSwap,
                _ => Lane::Locked,
            };
        }
        if !whole || !registers(dst.kind) || !registers(src.kind) {
            return Lane::General;
        }
        if !op.is_plain() {
            return Lane::General;
        }
        match (insn.mem(), insn.row.operands[0].uses) {
            (0, Use::Write) if src.kind == SlotKind::Gpr => Lane::Store,
            (0, Use::Write) => Lane::StoreImm,
            (0, Use::ReadWrite) => Lane::Modify,
            (1, Use::Write) if op == IntOp::Mov => Lane::Load,
            (1, Use::ReadWrite | Use::Read) | (0, Use::Read) => Lane::LoadOperate,
            _ => Lane::General,
        }
    }

    /// One memory operand that is accessed whole: without an opmask, or a broadcast under one.
    fn of_vector(insn: &Insn) -> Lane {
        let Some(slot) = insn.all_slots().get(insn.mem() as usize).copied() else { return Lane::General };
        let uses = insn.row.operands[insn.mem() as usize & 3].uses;
        let whole = insn.aaa() == 0 || insn.broadcast().is_some() && insn.row.masking != Masking::None;
        if !whole || insn.mem() > 3 || !slot.size.is_power_of_two() || slot.size > 64 {
            return Lane::General;
        }
        let copies = insn.row.is(attr::COPY) && insn.aaa() == 0;
        match uses {
            Use::Read if copies => Lane::CopyLoad,
            Use::Write if copies => Lane::CopyStore,
            Use::Read => match (read_size(insn), insn.row.is(attr::MXCSR)) {
                (16, false) => Lane::VectorLoad,
                (4 | 8, false) => Lane::ElementLoad,
                (_, false) => Lane::AnyLoad,
                (16, true) => Lane::FloatLoad,
                (4 | 8, true) => Lane::FloatElementLoad,
                (_, true) => Lane::FloatAnyLoad,
            },
            Use::Write if !insn.row.is(attr::MXCSR) => Lane::VectorStore,
            _ => Lane::General,
        }
    }
}

/// How many bytes of a vector's memory operand are read.
fn read_size(insn: &Insn) -> u8 {
    let size = insn.all_slots().get(insn.mem() as usize).map_or(0, |slot| slot.size);
    if insn.row.is(attr::LOW_HALF) && size == 16 { 8 } else { size.min(64) as u8 }
}

/// Does the segment have a base in 64-bit mode?
fn based(insn: &Insn) -> bool {
    matches!(insn.seg, Seg::Fs | Seg::Gs)
}

/// The linear address of the memory operand of an instruction that has a lane. `None`: it is not canonical or leaves its
/// page, take the general line.
#[inline(always)]
fn address(Entry { insn, way, .. }: &Entry, cpu: &Cpu) -> Option<u64> {
    let index = if insn.index() == NO_REG { 0 } else { cpu.gpr[insn.index() as usize & 31] << insn.scale() };
    let linear = cpu.gpr[insn.base() as usize & 31].wrapping_add(index).wrapping_add(insn.disp as u64);
    let canonical = linear.wrapping_add(cpu.word().data_half) < cpu.word().data_span;
    (canonical && linear as u16 & (PAGE - 1) <= way.last).then_some(linear)
}

#[inline(always)]
fn done(cpu: &mut Cpu, insn: &Insn) -> Outcome {
    cpu.rip = cpu.rip.wrapping_add(u64::from(insn.len()));
    Outcome::Completed(Retired::default())
}

/// The value of operand 1, in a whole register.
#[inline(always)]
fn source(cpu: &Cpu, insn: &Insn) -> u64 {
    let src = insn.slot(1);
    if src.kind == SlotKind::Gpr { cpu.gpr[src.reg as usize & 31] } else { insn.imm }
}

/// The low 4 bytes, or all 8.
#[inline(always)]
fn whole(value: u64, size: u16) -> u64 {
    if size == 8 { value } else { value & 0xffff_ffff }
}

#[inline(always)]
fn get<V: Vmm>(vmm: &mut V, linear: u64, size: u16, access: &Access) -> Result<u64, Stop> {
    if size == 8 {
        let mut b = [0; 8];
        vmm.read(linear, &mut b, access)?;
        Ok(u64::from_le_bytes(b))
    } else {
        let mut b = [0; 4];
        vmm.read(linear, &mut b, access)?;
        Ok(u64::from(u32::from_le_bytes(b)))
    }
}

#[inline(always)]
fn put<V: Vmm>(vmm: &mut V, linear: u64, size: u16, value: u64, access: &Access) -> Result<(), Stop> {
    if size == 8 {
        vmm.write(linear, &value.to_le_bytes(), access)
    } else {
        vmm.write(linear, &(value as u32).to_le_bytes(), access)
    }
}

/// Writes the first `size` bytes: by moves of a length that the compiler knows, for most sizes.
#[inline(always)]
fn put_vector<V: Vmm>(vmm: &mut V, linear: u64, size: u16, bytes: &[u8; 64], access: &Access) -> Result<(), Stop> {
    match size {
        64 => vmm.write(linear, bytes, access),
        32 => vmm.write(linear, &bytes[..32], access),
        16 => vmm.write(linear, &bytes[..16], access),
        8 => vmm.write(linear, &bytes[..8], access),
        _ => vmm.write(linear, &bytes[..usize::from(size).min(64)], access),
    }
}

/// Each lane is called when nothing is in the way and the journal is idle.
impl Works {
    #[inline(never)]
    pub(super) fn store<V: Vmm, const IMM: bool>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        let size = insn.slot(0).size;
        let access = Access::new(AccessKind::Write, size, cpu.cpl());
        let value = if IMM { insn.imm } else { cpu.gpr[insn.slot(1).reg as usize & 31] };
        match put(vmm, linear, size, value, &access) {
            Ok(()) => done(cpu, insn),
            Err(stop) => self.stopped(stop, cpu, vmm, entry),
        }
    }

    #[inline(never)]
    pub(super) fn load<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        let dst = insn.slot(0);
        let access = Access::new(AccessKind::Read, dst.size, cpu.cpl());
        match get(vmm, linear, dst.size, &access) {
            Ok(value) => {
                cpu.gpr[dst.reg as usize & 31] = value;
                done(cpu, insn)
            }
            Err(stop) => self.stopped(stop, cpu, vmm, entry),
        }
    }

    #[inline(always)]
    pub(super) fn operate(&self, entry: &Entry, cpu: &mut Cpu) -> Outcome {
        if entry.insn.slot(0).size == 8 { self.operate_on::<8>(entry, cpu) } else { self.operate_on::<4>(entry, cpu) }
    }

    /// One for each width, so that arithmetic is of a width that the compiler knows.
    #[inline(never)]
    fn operate_on<const SIZE: u16>(&self, entry: &Entry, cpu: &mut Cpu) -> Outcome {
        let (insn, op) = (&entry.insn, entry.way.op);
        let dst = insn.slot(0).reg as usize & 31;
        let b = whole(source(cpu, insn), SIZE);
        if op == IntOp::Mov {
            cpu.gpr[dst] = b;
            return done(cpu, insn);
        }
        let r = integer::plain(op, whole(cpu.gpr[dst], SIZE), b, SIZE, cpu.rflags());
        if entry.way.writes != Writes::Nothing {
            cpu.gpr[dst] = r.value;
        }
        cpu.merge_flags(u64::from(entry.way.flags), r.flags);
        done(cpu, insn)
    }

    #[inline(never)]
    pub(super) fn branch<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let insn = &entry.insn;
        let next = cpu.rip.wrapping_add(u64::from(insn.len()));
        let taken = entry.way.op == IntOp::Jmp || alu::condition(insn.opcode(), cpu.rflags());
        let to = next.wrapping_add(if taken { insn.imm } else { 0 });
        // A target that is refused takes the general line.
        if taken && !address::canonical(cpu, to) {
            return self.general(cpu, vmm, entry);
        }
        cpu.rip = to;
        Outcome::Completed(Retired::default())
    }

    #[inline(never)]
    pub(super) fn load_operate<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let (insn, op) = (&entry.insn, entry.way.op);
        let dst = insn.slot(0);
        let access = Access::new(AccessKind::Read, dst.size, cpu.cpl());
        match get(vmm, linear, dst.size, &access) {
            Ok(read) => {
                let (a, b) = if insn.mem() == 0 {
                    (read, whole(source(cpu, insn), dst.size))
                } else {
                    (whole(cpu.gpr[dst.reg as usize & 31], dst.size), read)
                };
                let r = integer::plain(op, a, b, dst.size, cpu.rflags());
                if entry.way.writes != Writes::Nothing {
                    cpu.gpr[dst.reg as usize & 31] = r.value;
                }
                cpu.merge_flags(u64::from(entry.way.flags), r.flags);
                done(cpu, insn)
            }
            Err(stop) => self.stopped(stop, cpu, vmm, entry),
        }
    }

    #[inline(always)]
    pub(super) fn modify<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        match (entry.insn.slot(0).size, entry.insn.slot(1).kind) {
            (8, SlotKind::Gpr) => self.modify_bytes::<V, 8, false>(cpu, vmm, entry),
            (8, _) => self.modify_bytes::<V, 8, true>(cpu, vmm, entry),
            (_, SlotKind::Gpr) => self.modify_bytes::<V, 4, false>(cpu, vmm, entry),
            (..) => self.modify_bytes::<V, 4, true>(cpu, vmm, entry),
        }
    }

    /// One for each width, so that arithmetic and copies are of a width that the compiler knows.
    #[inline(never)]
    fn modify_bytes<V: Vmm, const SIZE: u16, const IMM: bool>(
        &mut self,
        cpu: &mut Cpu,
        vmm: &mut V,
        entry: &mut Entry,
    ) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let (insn, op) = (&entry.insn, entry.way.op);
        let access = Access::new(AccessKind::ReadForWrite, SIZE, cpu.cpl());
        let old = match get(vmm, linear, SIZE, &access) {
            Ok(old) => old,
            Err(stop) => return self.stopped(stop, cpu, vmm, entry),
        };
        let value = if IMM { insn.imm } else { cpu.gpr[insn.slot(1).reg as usize & 31] };
        let r = integer::plain(op, old, whole(value, SIZE), SIZE, cpu.rflags());
        let access = Access::new(AccessKind::Write, SIZE, cpu.cpl());
        match put(vmm, linear, SIZE, r.value, &access) {
            Ok(()) => {}
            Err(stop) => {
                let (value, old) = (r.value.to_le_bytes(), old.to_le_bytes());
                let len = usize::from(SIZE);
                let read = Some((linear, &old[..len]));
                let again = write_again(&mut self.journal, stop, cpu, vmm, linear, &value[..len], &access, read);
                if let Err(halt) = again {
                    return ended(&mut self.journal, halt, cpu, entry.bytes());
                }
            }
        }
        cpu.merge_flags(u64::from(entry.way.flags), r.flags);
        done(cpu, insn)
    }

    /// `FLOAT`: under MXCSR. `SIZE`: bytes of the operand, or 8 for 4 or 8 of them, 64 for any number.
    #[inline(never)]
    pub(super) fn vector_load<V: Vmm, const FLOAT: bool, const SIZE: usize>(
        &mut self,
        cpu: &mut Cpu,
        vmm: &mut V,
        entry: &mut Entry,
    ) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let Entry { insn, stub, way, .. } = entry;
        if linear & u64::from(way.aligned) != 0 || !replay::has_state(cpu) || FLOAT && !replay::all_masked(cpu) {
            return self.general(cpu, vmm, entry);
        }
        let Some(mut stub) = self.replayer.ready(*stub) else { return self.general(cpu, vmm, entry) };
        // A broadcast of which no element is active is not read.
        if SIZE == 16 || way.masked == 0 || cpu.vector.k[insn.aaa() as usize & 7] << (64 - way.masked) != 0 {
            let access = Access::new(AccessKind::Read, u16::from(way.reads), cpu.cpl());
            let operand = stub.operand();
            // Sixteen bytes are one move; for more, the C library's copy moves as wide as the stub will load, where this
            // crate, compiled for any processor, would move in halves, which do not forward to a wide load.
            let read = match (SIZE, usize::from(way.reads)) {
                (16, _) => vmm.read(linear, &mut operand[..16], &access),
                (8, 8) => vmm.read(linear, &mut operand[..8], &access),
                (8, _) => vmm.read(linear, &mut operand[..4], &access),
                (_, reads) => vmm.read(linear, &mut operand[..reads.min(64)], &access),
            };
            if let Err(stop) = read {
                return self.stopped(stop, cpu, vmm, entry);
            }
        }
        let exit = if FLOAT { stub.call_masked(cpu, vmm) } else { stub.call(cpu, vmm) };
        if FLOAT {
            self.replayer.raise(cpu, insn, exit);
        }
        if way.flags != 0 {
            cpu.merge_flags(way.flags.into(), exit.rflags());
        }
        cpu.dirty |= u64::from(way.dirty);
        done(cpu, insn)
    }

    #[inline(never)]
    pub(super) fn vector_store<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let Entry { insn, stub, way, .. } = entry;
        if linear & u64::from(way.aligned) != 0 || !replay::has_state(cpu) {
            return self.general(cpu, vmm, entry);
        }
        let Some(mut stub) = self.replayer.ready(*stub) else { return self.general(cpu, vmm, entry) };
        let _ = stub.call(cpu, vmm);
        let size = insn.slot(insn.mem() as usize & 3).size;
        let access = Access::new(AccessKind::Write, size, cpu.cpl());
        let operand = &*stub.operand();
        let written = put_vector(vmm, linear, size, operand, &access);
        if let Err(stop) = written {
            let bytes = &operand[..usize::from(size).min(64)];
            let again = write_again(&mut self.journal, stop, cpu, vmm, linear, bytes, &access, None);
            if let Err(halt) = again {
                return ended(&mut self.journal, halt, cpu, entry.bytes());
            }
        }
        done(cpu, insn)
    }

    #[inline(never)]
    pub(super) fn real_load<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        if cpu.x87.pending() || !replay::has_state(cpu) {
            return self.general(cpu, vmm, entry);
        }
        let size = insn.slot(0).size;
        let access = Access::new(AccessKind::Read, size, cpu.cpl());
        match get(vmm, linear, size, &access) {
            Ok(bits) if replay::load_exact(cpu, insn, linear, bits) => Outcome::Completed(Retired::default()),
            Ok(bits) => match self.replayer.load_real(cpu, insn, vmm, &self.profile, &mut entry.stub, bits) {
                Ok(()) => Outcome::Completed(Retired::default()),
                Err(halt) => ended(&mut self.journal, halt, cpu, entry.bytes()),
            },
            Err(stop) => self.stopped(stop, cpu, vmm, entry),
        }
    }

    #[inline(never)]
    pub(super) fn real_compute<V: Vmm, const COMPARES: bool>(
        &mut self,
        cpu: &mut Cpu,
        vmm: &mut V,
        entry: &mut Entry,
    ) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        if !replay::has_state(cpu) || !replay::computes_alone(cpu) {
            return self.general(cpu, vmm, entry);
        }
        let Some(mut stub) = self.replayer.ready(entry.stub) else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        let size = insn.slot(0).size;
        let access = Access::new(AccessKind::Read, size, cpu.cpl());
        let bits = match get(vmm, linear, size, &access) {
            Ok(bits) => bits,
            Err(stop) => return self.stopped(stop, cpu, vmm, entry),
        };
        stub.operand()[..8].copy_from_slice(&bits.to_le_bytes());
        if stub.compute_real(cpu, vmm, COMPARES) {
            let pops = COMPARES && insn.row.exec == Exec::X87(X87Op::ComparePop);
            replay::real_computed(pops, cpu, insn, linear);
            return Outcome::Completed(Retired::default());
        }
        match self.replayer.run_whole(cpu, insn, vmm, &self.profile) {
            Ok(()) => {
                replay::real_done(cpu, insn, linear);
                Outcome::Completed(Retired::default())
            }
            Err(halt) => ended(&mut self.journal, halt, cpu, entry.bytes()),
        }
    }

    #[inline(never)]
    pub(super) fn real_store<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let Some(linear) = address(entry, cpu) else { return self.general(cpu, vmm, entry) };
        let Exec::X87(op) = entry.insn.row.exec else { return self.general(cpu, vmm, entry) };
        let insn = &entry.insn;
        if cpu.x87.pending() || !replay::has_state(cpu) {
            return self.general(cpu, vmm, entry);
        }
        let Some(bits) = replay::exact_real(cpu, insn) else { return self.general(cpu, vmm, entry) };
        let size = insn.slot(0).size;
        let access = Access::new(AccessKind::Write, size, cpu.cpl());
        match put(vmm, linear, size, bits, &access) {
            Ok(()) => {
                replay::real_stored(op, cpu, insn, linear);
                Outcome::Completed(Retired::default())
            }
            Err(stop) => self.stopped(stop, cpu, vmm, entry),
        }
    }

    /// The first access was refused, nothing has been done: in pieces by the general line if that is what the device wants.
    #[cold]
    #[inline(never)]
    fn stopped<V: Vmm>(&mut self, stop: Stop, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        match stop {
            Stop::TooWide(_) => self.general(cpu, vmm, entry),
            stop => ended(&mut self.journal, stop.into(), cpu, entry.bytes()),
        }
    }
}

/// The store was refused: in pieces if that is what the device wants. A read of `old` at its address came before it.
#[cold]
#[inline(never)]
#[allow(clippy::too_many_arguments)] // one call's worth of context, out of line
fn write_again<V: Vmm>(
    journal: &mut Journal,
    stop: Stop,
    cpu: &mut Cpu,
    vmm: &mut V,
    linear: u64,
    value: &[u8],
    access: &Access,
    old: Option<(u64, &[u8])>,
) -> Result<(), Halt> {
    let mem = &mut Mem::new(vmm, journal, cpu);
    let written = match stop {
        Stop::TooWide(_) => mem.write(linear, value, access),
        stop => Err(stop.into()),
    };
    match (&written, old) {
        (Ok(()), _) => journal.clear(),
        (Err(_), Some((at, old))) => mem.remember(at, old),
        (Err(_), None) => {}
    }
    written
}
