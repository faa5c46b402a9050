//! What the platform answers: random numbers, the processor's number, time; segment bases and cache lines.

use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::registers::gpr::{RAX, RCX, RDX};
use crate::cpu::registers::rflags::{ARITH, CF};
use crate::cpu::registers::{cr4, efer};
use crate::cpu::segment::Seg;
use crate::cpu::{Cpu, obstacle};
use crate::decode::Insn;
use crate::event::Event;
use crate::host::Fence;
use crate::integer::{read_slot, write_slot};

/// IA32_TSC_AUX: what RDTSCP and RDPID show of the processor's number.
const TSC_AUX: u32 = 0xc000_0103;
/// IA32_MPERF; IA32_APERF follows.
const MPERF: u32 = 0xe7;
/// Bytes that CLZERO clears.
const LINE: u64 = 64;

/// RDRAND and RDSEED. Without a number the destination is cleared, and CF is clear.
pub(super) fn random(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let drawn = mem.vmm.random()?;
    write_slot(cpu, insn.slot(0), drawn.unwrap_or(0));
    cpu.merge_flags(ARITH, if drawn.is_some() { CF } else { 0 });
    Ok(())
}

/// RDTSCP: EDX:EAX is the time, ECX the processor's number.
pub(super) fn rdtscp(cpu: &mut Cpu, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    if cpu.word().bits & obstacle::TSD != 0 {
        return Err(Event::gp0("CR4.TSD is set outside CPL 0").into());
    }
    let number = mem.vmm.read_msr(TSC_AUX)?;
    let time = mem.vmm.time()?;
    cpu.gpr[RAX] = time & 0xffff_ffff;
    cpu.gpr[RDX] = time >> 32;
    cpu.gpr[RCX] = number & 0xffff_ffff;
    Ok(())
}

/// RDPID.
pub(super) fn rdpid(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let number = mem.vmm.read_msr(TSC_AUX)?;
    let register = usize::from(insn.slot(0).reg) & 31;
    // 32 bits, zero-extended, in whatever mode and under whatever prefix.
    cpu.gpr[register] = number & 0xffff_ffff;
    Ok(())
}

/// RDPRU: IA32_MPERF or IA32_APERF for ECX 0 and 1; CF says whether there is such a register.
pub(super) fn rdpru(cpu: &mut Cpu, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    if cpu.word().bits & obstacle::TSD != 0 {
        return Err(Event::ud("CR4.TSD is set outside CPL 0").into());
    }
    let value = match cpu.gpr[RCX] as u32 {
        index @ 0..=1 => Some(mem.vmm.read_msr(MPERF + index)?),
        _ => None,
    };
    cpu.gpr[RAX] = value.unwrap_or(0) & 0xffff_ffff;
    cpu.gpr[RDX] = value.unwrap_or(0) >> 32;
    cpu.merge_flags(ARITH, if value.is_some() { CF } else { 0 });
    Ok(())
}

/// MCOMMIT: stores are in memory when it ends. A store that goes wrong stops the step that makes it, so CF says "no error".
pub(super) fn commit(cpu: &mut Cpu) -> Result<(), Halt> {
    if cpu.system().efer & efer::MCOMMIT == 0 {
        return Err(Event::ud("EFER.MCOMMIT is clear").into());
    }
    crate::host::fence(Fence::Full);
    cpu.merge_flags(ARITH, CF);
    Ok(())
}

/// FS or GS, by the low bit of ModRM.reg.
fn base_segment(cpu: &Cpu, insn: &Insn) -> Result<Seg, Event> {
    if cpu.system().cr4 & cr4::FSGSBASE == 0 {
        return Err(Event::ud("CR4.FSGSBASE is clear"));
    }
    Ok(if insn.modrm() & 8 == 0 { Seg::Fs } else { Seg::Gs })
}

/// RDFSBASE and RDGSBASE.
pub(super) fn read_base(cpu: &mut Cpu, insn: &Insn) -> Result<(), Halt> {
    let seg = base_segment(cpu, insn)?;
    write_slot(cpu, insn.slot(0), cpu.seg(seg).base);
    Ok(())
}

/// WRFSBASE and WRGSBASE; 32 bits are zero-extended.
pub(super) fn write_base(cpu: &mut Cpu, insn: &Insn) -> Result<(), Halt> {
    let seg = base_segment(cpu, insn)?;
    let base = read_slot(cpu, insn, insn.slot(0));
    if !address::canonical(cpu, base) {
        return Err(Event::gp0("the segment base is not canonical").into());
    }
    cpu.update(|system| system.seg[seg as usize].base = base);
    Ok(())
}

/// CLZERO: the cache line of DS:rAX.
pub(super) fn clear_line(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let offset = address::truncate(cpu.gpr[RAX], insn.asize()) & !(LINE - 1);
    let at = linear(cpu, insn.segment(), offset, LINE, Intent::Write)?;
    let access = mem.access(AccessKind::Write, LINE as u16);
    mem.write_last(at, &[0; LINE as usize], &access)
}
