//! PUSHF and POPF: which flags go where, by mode and privilege (SDM volume 2, PUSHF and POPF).

use crate::cpu::registers::{cr4, rflags};
use crate::cpu::{Cpu, Mode};
use crate::event::Event;

/// The flags that PUSHF stores.
///
/// # Errors
/// #GP(0) in virtual-8086 mode with IOPL below 3, but for what CR4.VME allows.
pub(super) fn pushed(cpu: &Cpu, osize: u8) -> Result<u64, Event> {
    let flags = cpu.rflags() & !(rflags::RF | rflags::VM);
    if !is_virtualized(cpu, osize)? {
        return Ok(flags);
    }
    let interrupts = if flags & rflags::VIF != 0 { rflags::IF } else { 0 };
    Ok(flags & !rflags::IF | rflags::IOPL | interrupts)
}

/// RFLAGS after POPF has loaded `value`.
///
/// # Errors
/// As for [`pushed`]; #GP(0) too where VIF would be set with an interrupt pending, or TF.
pub(super) fn popped(cpu: &Cpu, osize: u8, value: u64) -> Result<u64, Event> {
    use rflags::*;
    let mut mask = ARITH | TF | DF | NT | AC | ID;
    let mut value = value;
    if is_virtualized(cpu, osize)? {
        let enables = value & IF != 0;
        if enables && cpu.rflags() & VIP != 0 || value & TF != 0 {
            return Err(Event::gp0("a virtual interrupt is pending, or POPF would set TF"));
        }
        mask = mask & 0xffff | VIF;
        value = value & 0xffff | if enables { VIF } else { 0 };
        return Ok(merged(cpu, mask, value));
    }
    if cpu.cpl() == 0 {
        mask |= IF | IOPL;
    } else if u64::from(cpu.cpl()) <= cpu.rflags() >> 12 & 3 {
        mask |= IF;
    }
    if osize == 2 {
        mask &= 0xffff;
    }
    Ok(merged(cpu, mask, value))
}

fn merged(cpu: &Cpu, mask: u64, value: u64) -> u64 {
    cpu.rflags() & !mask & !rflags::RF | value & mask
}

/// Do the virtual-8086 extensions stand between the instruction and the flags?
fn is_virtualized(cpu: &Cpu, osize: u8) -> Result<bool, Event> {
    if cpu.mode() != Mode::V86 || cpu.rflags() & rflags::IOPL == rflags::IOPL {
        return Ok(false);
    }
    if cpu.system().cr4 & cr4::VME == 0 || osize != 2 {
        return Err(Event::gp0("IOPL below 3 in virtual-8086 mode"));
    }
    Ok(true)
}
