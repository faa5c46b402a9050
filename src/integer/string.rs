//! String instructions: one step runs many repetitions.
//!
//! Over ranges that take blocks (plain RAM) elements go by the block, with the meaning of the element loop; elsewhere
//! each element is an access of its own. Progress is committed after each element or block, so that a fault, a retry or
//! an interrupt in the middle leaves rCX, rSI, rDI and RIP as the processor leaves them.

use super::next_rip;
use crate::access::{Halt, Mem};
use crate::address::{Intent, advance, linear, replace, string_offset, truncate};
use crate::alu::{self, mask};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RAX, RCX, RDI, RDX, RSI};
use crate::cpu::registers::rflags::{ARITH, DF, ZF};
use crate::cpu::segment::Seg;
use crate::decode::{Insn, SlotKind, prefix};
use crate::isa::row::{StrOp, attr};
use crate::profile::{Profile, Vendor};

/// Repetitions of one step, before it yields to the caller.
pub(crate) const BATCH: u64 = 4096;
/// Bytes of one block.
pub(crate) const BLOCK: usize = 512;

/// Did the instruction finish, or does it stand at its next repetition?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    Unfinished,
}

/// What a repetition or block left.
struct Advance {
    elements: u64,
    /// Flags of CMPS and SCAS.
    flags: Option<u64>,
}

/// Runs `op` with its repetition.
///
/// # Errors
/// Repetitions before the failing one are committed. The flags are those of the last one on AMD processors, as before the
/// instruction on Intel's (SDM volume 2, REP).
pub(crate) fn string<V: Vmm + ?Sized>(
    op: StrOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    profile: &Profile,
) -> Result<Progress, Halt> {
    let size = element_size(insn);
    let next = next_rip(cpu, insn);
    if !insn.has(prefix::REP | prefix::REPNE) {
        let done = element(op, cpu, insn, mem, size, profile)?;
        step_registers(op, cpu, insn, size, 1);
        if let Some(flags) = done.flags {
            cpu.merge_flags(ARITH, flags);
        }
        cpu.rip = next;
        return Ok(Progress::Done);
    }
    let mut budget = BATCH;
    let mut flags = None;
    loop {
        let count = truncate(cpu.gpr[RCX], insn.asize());
        let ended = insn.row.is(attr::REPCC) && flags.is_some_and(|f: u64| (f & ZF != 0) != insn.has(prefix::REP));
        if count == 0 || ended {
            if let Some(f) = flags {
                cpu.merge_flags(ARITH, f);
            }
            cpu.rip = next;
            return Ok(Progress::Done);
        }
        if budget == 0 || budget < BATCH && mem.vmm.interrupt_pending() {
            return Ok(Progress::Unfinished);
        }
        let done = match block(op, cpu, insn, mem, size, count.min(budget))? {
            Some(done) => done,
            None => element(op, cpu, insn, mem, size, profile)?,
        };
        step_registers(op, cpu, insn, size, done.elements);
        cpu.gpr[RCX] = replace(cpu.gpr[RCX], count - done.elements, insn.asize());
        mem.journal.checkpoint();
        budget -= done.elements.min(budget);
        flags = done.flags.or(flags);
        if let (Vendor::Amd, Some(f)) = (profile.vendor(), flags) {
            cpu.merge_flags(ARITH, f);
        }
    }
}

/// Bytes of an element.
pub(crate) fn element_size(insn: &Insn) -> u16 {
    let string = insn.all_slots().into_iter().find(|s| matches!(s.kind, SlotKind::StringSrc | SlotKind::StringDst));
    string.map_or(1, |s| s.size)
}

/// Does it read at rSI?
pub(crate) fn uses_source(op: StrOp) -> bool {
    matches!(op, StrOp::Movs | StrOp::Lods | StrOp::Cmps | StrOp::Outs)
}

/// Does it read or write at rDI?
pub(crate) fn uses_destination(op: StrOp) -> bool {
    !matches!(op, StrOp::Lods | StrOp::Outs)
}

/// Moves rSI and rDI past `elements`.
fn step_registers(op: StrOp, cpu: &mut Cpu, insn: &Insn, size: u16, elements: u64) {
    let by = elements.wrapping_mul(u64::from(size));
    let by = if cpu.rflags() & DF != 0 { by.wrapping_neg() } else { by };
    let mut step = |register: usize| {
        cpu.gpr[register] = replace(cpu.gpr[register], cpu.gpr[register].wrapping_add(by), insn.asize());
    };
    if uses_source(op) {
        step(RSI);
    }
    if uses_destination(op) {
        step(RDI);
    }
}

/// One element.
fn element<V: Vmm + ?Sized>(
    op: StrOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    size: u16,
    profile: &Profile,
) -> Result<Advance, Halt> {
    let bytes = usize::from(size);
    let mut buf = [0; 8];
    let source = |cpu: &Cpu| -> Result<u64, Halt> {
        let at = linear(cpu, insn.seg, string_offset(cpu, insn, RSI), u64::from(size), Intent::Read)?;
        super::aligned(cpu, at, size)?;
        Ok(at)
    };
    let destination = |cpu: &Cpu, intent| -> Result<u64, Halt> {
        let at = linear(cpu, Seg::Es, string_offset(cpu, insn, RDI), u64::from(size), intent)?;
        super::aligned(cpu, at, size)?;
        Ok(at)
    };
    let read = mem.access(AccessKind::Read, size);
    let write = mem.access(AccessKind::Write, size);
    let mut flags = None;
    match op {
        StrOp::Movs => {
            let from = source(cpu)?;
            mem.read(from, &mut buf[..bytes], &read)?;
            let to = destination(cpu, Intent::Write)?;
            mem.write_last(to, &buf[..bytes], &write)?;
        }
        StrOp::Stos => {
            let to = destination(cpu, Intent::Write)?;
            mem.write_last(to, &cpu.gpr[RAX].to_le_bytes()[..bytes], &write)?;
        }
        StrOp::Lods => {
            let from = source(cpu)?;
            mem.read_last(from, &mut buf[..bytes], &read)?;
            let value = u64::from_le_bytes(buf);
            cpu.gpr[RAX] =
                if size == 1 { cpu.gpr[RAX] & !0xff | value } else { replace(cpu.gpr[RAX], value, size as u8) };
        }
        StrOp::Cmps => {
            // ES:rDI is read first: its fault is the one that is seen when both fail. But for REPE CMPSB on some.
            let source_first = size == 1 && insn.has(prefix::REP) && profile.fast_repe_cmpsb();
            let mut values = [0; 2];
            for (i, from_source) in [source_first, !source_first].into_iter().enumerate() {
                let at = if from_source { source(cpu)? } else { destination(cpu, Intent::Read)? };
                if i == 0 {
                    mem.read(at, &mut buf[..bytes], &read)?;
                } else {
                    mem.read_last(at, &mut buf[..bytes], &read)?;
                }
                values[usize::from(from_source)] = u64::from_le_bytes(buf);
            }
            flags = Some(alu::sub(values[1], values[0], false, size).flags);
        }
        StrOp::Scas => {
            let with = destination(cpu, Intent::Read)?;
            mem.read_last(with, &mut buf[..bytes], &read)?;
            flags = Some(alu::sub(cpu.gpr[RAX] & mask(size), u64::from_le_bytes(buf), false, size).flags);
        }
        StrOp::Ins => {
            let to = destination(cpu, Intent::Write)?;
            // The port is not read before the store is known to succeed.
            mem.probe(to, bytes, &write)?;
            mem.port_in(cpu.gpr[RDX] as u16, &mut buf[..bytes])?;
            mem.write_last(to, &buf[..bytes], &write)?;
        }
        StrOp::Outs => {
            let from = source(cpu)?;
            mem.read(from, &mut buf[..bytes], &read)?;
            mem.port_out(cpu.gpr[RDX] as u16, &buf[..bytes])?;
        }
    }
    Ok(Advance { elements: 1, flags })
}

/// The linear address of the next `elements` of a string, if they lie side by side within a page and a segment.
fn run_of<V: Vmm + ?Sized>(
    cpu: &Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    register: usize,
    size: u16,
    elements: u64,
    kind: AccessKind,
) -> Option<(u64, u64)> {
    let (seg, intent) = match (register, kind) {
        (RSI, _) => (insn.seg, Intent::Read),
        (_, AccessKind::Write) => (Seg::Es, Intent::Write),
        _ => (Seg::Es, Intent::Read),
    };
    let offset = string_offset(cpu, insn, register);
    let at = linear(cpu, seg, offset, u64::from(size), intent).ok()?;
    let limit = (4096 - at % 4096).min(BLOCK as u64) >> size.trailing_zeros();
    let n = elements.min(limit);
    let bytes = n * u64::from(size);
    if n < 2
        || cpu.word().alignment_check()
        || offset.checked_add(bytes)? > u64::MAX >> (64 - u32::from(insn.asize()) * 8)
    {
        return None;
    }
    let last = linear(cpu, seg, offset, bytes, intent).ok()?;
    if last != at || advance(cpu, at, bytes) < at {
        return None;
    }
    let access = mem.access(kind, size);
    mem.vmm.takes_blocks(at, bytes as usize, &access).then_some((at, n))
}

/// Several elements at once, upwards, where both ends take blocks. `None`: not here, take an element.
fn block<V: Vmm + ?Sized>(
    op: StrOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    size: u16,
    count: u64,
) -> Result<Option<Advance>, Halt> {
    let shift = size.trailing_zeros();
    // A block that waits for its retry is taken again as it was.
    let count = mem.journal.next_len().map_or(count, |len| count.min(len as u64 >> shift));
    if cpu.rflags() & DF != 0 || count < 2 {
        return Ok(None);
    }
    // A short string does not pay for clearing the room of a long one.
    if count <= 64 >> shift {
        block_in(&mut [0; 64], op, cpu, insn, mem, size, count)
    } else {
        block_in(&mut [0; BLOCK], op, cpu, insn, mem, size, count)
    }
}

/// [`block`], with room for the bytes.
#[inline(always)]
fn block_in<V: Vmm + ?Sized>(
    buf: &mut [u8],
    op: StrOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    size: u16,
    count: u64,
) -> Result<Option<Advance>, Halt> {
    let width = u64::from(size);
    let read = mem.access(AccessKind::Read, size);
    let write = mem.access(AccessKind::Write, size);
    match op {
        StrOp::Movs => {
            let Some((to, n)) = run_of(cpu, insn, mem, RDI, size, count, AccessKind::Write) else { return Ok(None) };
            let Some((from, n)) = run_of(cpu, insn, mem, RSI, size, n, AccessKind::Read) else { return Ok(None) };
            // Where the destination runs into the source ahead, later elements read what earlier ones wrote.
            let distance = to.wrapping_sub(from);
            let n = if distance < n * width { distance >> size.trailing_zeros() } else { n };
            if n < 2 {
                return Ok(None);
            }
            let bytes = &mut buf[..(n * width) as usize];
            mem.read_before_write(from, bytes, &read)?;
            let stored = mem.write_last(to, bytes, &write);
            if stored.is_err() {
                mem.remember(from, bytes);
            }
            stored?;
            Ok(Some(Advance { elements: n, flags: None }))
        }
        StrOp::Stos => {
            let Some((to, n)) = run_of(cpu, insn, mem, RDI, size, count, AccessKind::Write) else { return Ok(None) };
            let bytes = &mut buf[..(n * width) as usize];
            let pattern = alu::repeat(cpu.gpr[RAX] & mask(size), size).to_le_bytes();
            bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&pattern[..chunk.len()]));
            mem.write_last(to, bytes, &write)?;
            Ok(Some(Advance { elements: n, flags: None }))
        }
        StrOp::Scas if size == 1 && insn.has(prefix::REPNE) => {
            let Some((with, n)) = run_of(cpu, insn, mem, RDI, size, count, AccessKind::Read) else { return Ok(None) };
            let bytes = &mut buf[..n as usize];
            mem.read_last(with, bytes, &read)?;
            let wanted = cpu.gpr[RAX] as u8;
            let last = memchr::memchr(wanted, bytes).unwrap_or(bytes.len() - 1);
            let flags = alu::sub(u64::from(wanted), u64::from(bytes[last]), false, 1).flags;
            Ok(Some(Advance { elements: last as u64 + 1, flags: Some(flags) }))
        }
        _ => Ok(None),
    }
}
