//! Model-specific registers by list (RDMSRLIST, WRMSRLIST), by immediate, and those that an operating system opens to its programs
//! (URDMSR, UWRMSR).

use super::descriptor::read_own;
use super::privileged::{read_msr, write_msr};
use crate::access::{Halt, Mem};
use crate::address::{Intent, linear};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RCX, RDI, RSI};
use crate::cpu::segment::Seg;
use crate::decode::Insn;
use crate::event::{Event, Retired};
use crate::integer::{read_slot, write_slot};
use crate::profile::Profile;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// Of a list: one register, its address at RSI, its value at RDI, by the lowest bit set in RCX.
///
/// # Errors
/// #GP(0) for tables that are not aligned and addresses of more than 32 bits; what the bus and the platform answer.
fn element(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, profile: &Profile, writes: bool) -> Result<(), Halt> {
    let bit = cpu.gpr[RCX].trailing_zeros();
    let entry = |cpu: &Cpu, table: usize, intent| {
        let at = cpu.gpr[table].wrapping_add(8 * u64::from(bit));
        linear(cpu, Seg::Ds, at, 8, intent)
    };
    let at = entry(cpu, RSI, Intent::Read)?;
    let mut buf = [0; 8];
    let access = mem.access(AccessKind::Read, 8);
    mem.read(at, &mut buf, &access)?;
    let index = u64::from_le_bytes(buf);
    if index >> 32 != 0 {
        return Err(Event::gp0("an address of a model-specific register with more than 32 bits").into());
    }
    let index = index as u32;
    if writes {
        let at = entry(cpu, RDI, Intent::Read)?;
        mem.read(at, &mut buf, &access)?;
        write_msr(cpu, mem, profile, index, u64::from_le_bytes(buf))?;
    } else {
        let at = entry(cpu, RDI, Intent::Write)?;
        let access = mem.access(AccessKind::Write, 8);
        mem.probe(at, 8, &access)?;
        let value = read_msr(cpu, mem, index)?;
        mem.write(at, &value.to_le_bytes(), &access)?;
    }
    cpu.gpr[RCX] &= cpu.gpr[RCX] - 1;
    Ok(())
}

/// RDMSRLIST and WRMSRLIST. What stops an element behind the first one leaves the instruction unfinished, as an interrupt does; the
/// next step meets it again.
pub(super) fn list(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
    writes: bool,
    retired: &mut Retired,
) -> Result<(), Halt> {
    if (cpu.gpr[RSI] | cpu.gpr[RDI]) & 7 != 0 {
        return Err(Event::gp0("a table of model-specific registers that is not aligned").into());
    }
    let mut first = true;
    while cpu.gpr[RCX] != 0 {
        match element(cpu, mem, profile, writes) {
            Ok(()) => {}
            Err(_) if !first => {
                retired.rep_unfinished = true;
                return Ok(());
            }
            Err(halt) => return Err(halt),
        }
        first = false;
        if cpu.gpr[RCX] != 0 && mem.vmm.interrupt_pending() {
            retired.rep_unfinished = true;
            return Ok(());
        }
    }
    Ok(())
}

/// RDMSR with an immediate.
pub(super) fn read_named(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let value = read_msr(cpu, mem, insn.imm as u32)?;
    write_slot(cpu, insn.slot(0), value);
    Ok(())
}

/// WRMSRNS with an immediate.
pub(super) fn write_named(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, profile: &Profile) -> Result<(), Halt> {
    let value = read_slot(cpu, insn, insn.slot(1));
    write_msr(cpu, mem, profile, insn.imm as u32, value)
}

/// The register that URDMSR or UWRMSR names, if IA32_USER_MSR_CTL and its bitmap open it: 2 KiB for reads, then 2 KiB for writes.
fn opened(cpu: &Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, operand: usize, writes: bool) -> Result<u32, Halt> {
    const USER_MSR_CTL: u32 = 0x1c;
    let control = mem.vmm.read_msr(USER_MSR_CTL)?;
    if control & 1 == 0 {
        return Err(Event::ud("IA32_USER_MSR_CTL does not enable it").into());
    }
    let index = read_slot(cpu, insn, insn.slot(operand));
    if index > 0x3fff {
        return Err(Event::gp0("a register beyond those of IA32_USER_MSR_CTL's bitmap").into());
    }
    let half = if writes { 0x800 } else { 0 };
    let byte = read_own(mem, (control & !0xfff).wrapping_add(half + index / 8), 1)?;
    if byte >> (index % 8) & 1 == 0 {
        return Err(Event::gp0("a register that IA32_USER_MSR_CTL's bitmap does not open").into());
    }
    Ok(index as u32)
}

/// URDMSR.
pub(super) fn user_read(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let index = opened(cpu, insn, mem, 1, false)?;
    let value = read_msr(cpu, mem, index)?;
    write_slot(cpu, insn.slot(0), value);
    Ok(())
}

/// UWRMSR.
pub(super) fn user_write(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, profile: &Profile) -> Result<(), Halt> {
    let index = opened(cpu, insn, mem, 0, true)?;
    let value = read_slot(cpu, insn, insn.slot(1));
    write_msr(cpu, mem, profile, index, value)
}
