//! Direct stores and enqueue stores of 64 bytes: MOVDIR64B, ENQCMD, ENQCMDS.

use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::rflags::{ARITH, ZF};
use crate::cpu::segment::Seg;
use crate::decode::Insn;
use crate::event::{Event, Stop, Unsupported};
use crate::isa::row::Gate;

const LINE: usize = 64;
/// IA32_PASID: the address space that ENQCMD names.
const PASID: u32 = 0xd93;
/// Its bit that says that there is one.
const VALID: u64 = 1 << 31;
/// The bits of a command that are a PASID.
const PASID_BITS: u32 = 0xf_ffff;
/// The bits of a command that no software sets.
const RESERVED: u32 = 0x7ff0_0000;

/// MOVDIR64B: 64 bytes at once into RAM where the host has the instruction, else eight bytes at a time; one call on a device.
pub(super) fn copy(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let (at, access) = destination(cpu, insn, mem)?;
    let line = source(cpu, insn, mem)?;
    if mem.journal.at_end() {
        match mem.vmm.ram(at, LINE, &access) {
            // A bus may place its pages anywhere.
            Ok(Some(ram)) if ram.len() == LINE && ram.is_aligned() => {
                ram.store_line(&line);
                return Ok(());
            }
            Ok(Some(ram)) if ram.len() != LINE => {
                return Err(Unsupported::Platform("a host address for the length that was asked for").into());
            }
            Ok(_) | Err(Stop::TooWide(_)) => {}
            Err(stop) => return Err(stop.into()),
        }
    }
    mem.write_last(at, &line, &access)
}

/// ENQCMD and ENQCMDS: the command goes to a work queue, and ZF says that it was not taken.
pub(super) fn enqueue(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let supervisor = insn.row().gate == Gate::Cpl0;
    let pasid = if supervisor { 0 } else { mem.vmm.read_msr(PASID)? };
    if !supervisor && pasid & VALID == 0 {
        return Err(Event::gp0("IA32_PASID names no address space").into());
    }
    let mut line = source(cpu, insn, mem)?;
    let low = u32::from_le_bytes([line[0], line[1], line[2], line[3]]);
    let low = if supervisor { low & !RESERVED } else { pasid as u32 & PASID_BITS };
    line[..4].copy_from_slice(&low.to_le_bytes());
    let (at, access) = destination(cpu, insn, mem)?;
    let taken = mem.vmm.enqueue(at, &line, &access)?;
    cpu.merge_flags(ARITH, if taken { 0 } else { ZF });
    Ok(())
}

/// The 64 bytes of the memory operand, aligned or not.
fn source(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<[u8; LINE], Halt> {
    let at = linear(cpu, insn.segment(), address::effective(cpu, insn), LINE as u64, Intent::Read)?;
    let mut line = [0; LINE];
    let access = mem.access(AccessKind::Read, LINE as u16);
    mem.read(at, &mut line, &access)?;
    Ok(line)
}

/// Where they go: ES and the register, whatever segment a prefix names.
fn destination(cpu: &Cpu, insn: &Insn, mem: &Mem<'_, dyn Vmm + '_>) -> Result<(u64, Access), Event> {
    let offset = address::truncate(cpu.gpr[usize::from(insn.slot(0).reg) & 31], insn.asize());
    if !address::unchecked(cpu, Seg::Es, offset).is_multiple_of(LINE as u64) {
        return Err(Event::gp0("a destination that is not aligned to 64 bytes"));
    }
    let at = linear(cpu, Seg::Es, offset, LINE as u64, Intent::Write)?;
    Ok((at, mem.access(AccessKind::Write, LINE as u16)))
}
