//! RDMSRLIST and WRMSRLIST (SDM volume 2): model-specific registers by a list of their numbers.

use super::privileged::{read_msr, write_msr};
use crate::access::{Halt, Mem};
use crate::address::{Intent, linear};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RCX, RDI, RSI};
use crate::cpu::segment::Seg;
use crate::event::Event;
use crate::profile::Profile;

/// Which way the values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// RDMSRLIST.
    ToMemory,
    /// WRMSRLIST.
    FromMemory,
}

/// For each bit of RCX, from the lowest on: the register whose number is in the list at RSI, its value in the list at RDI. The bit is
/// cleared when that is done, so that what is begun anew goes on there.
///
/// # Errors
/// #GP(0) for lists that are not aligned to 8 bytes and for a number of more than 32 bits, what the bus and the register answer.
pub(super) fn run(way: Way, cpu: &mut Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, profile: &Profile) -> Result<(), Halt> {
    if (cpu.gpr[RSI] | cpu.gpr[RDI]) & 7 != 0 {
        return Err(Event::gp0("a list of model-specific registers is not aligned to 8 bytes").into());
    }
    while cpu.gpr[RCX] != 0 {
        let n = u64::from(cpu.gpr[RCX].trailing_zeros());
        let number = word(cpu, mem, RSI, n)?;
        let Ok(index) = u32::try_from(number) else {
            return Err(Event::gp0("the number of a model-specific register has more than 32 bits").into());
        };
        match way {
            Way::ToMemory => {
                let at = place(cpu, RDI, n, Intent::Write)?;
                let access = mem.access(AccessKind::Write, 8);
                mem.probe(at, 8, &access)?;
                let value = read_msr(cpu, mem, index)?;
                mem.write(at, &value.to_le_bytes(), &access)?;
            }
            Way::FromMemory => {
                let value = word(cpu, mem, RDI, n)?;
                write_msr(cpu, mem, profile, index, value)?;
            }
        }
        cpu.gpr[RCX] &= cpu.gpr[RCX] - 1;
        mem.journal.checkpoint();
    }
    Ok(())
}

fn place(cpu: &Cpu, list: usize, n: u64, intent: Intent) -> Result<u64, Event> {
    linear(cpu, Seg::Ds, cpu.gpr[list].wrapping_add(8 * n), 8, intent)
}

fn word(cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, list: usize, n: u64) -> Result<u64, Halt> {
    let mut bytes = [0; 8];
    let at = place(cpu, list, n, Intent::Read)?;
    mem.read(at, &mut bytes, &mem.access(AccessKind::Read, 8))?;
    Ok(u64::from_le_bytes(bytes))
}
