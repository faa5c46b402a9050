//! Decimal arithmetic on AL and AX.
//!
//! Flags that the manual leaves undefined are those of the addition or subtraction that makes the result (Zen 4).

use super::value::{Effects, fixed};
use crate::alu::{self, mask};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::RAX;
use crate::cpu::registers::rflags::{AF, ARITH, CF};
use crate::decode::Insn;
use crate::event::Event;
use crate::isa::row::IntOp;

/// Computes `op`, `None` if it belongs to another room.
///
/// # Errors
/// #DE for AAM to the base 0.
pub(super) fn decimal(op: IntOp, cpu: &Cpu, insn: &Insn) -> Result<Option<Effects>, Event> {
    let ax = cpu.gpr[RAX] & 0xffff;
    let (al, ah) = (ax & 0xff, ax >> 8);
    let (carry, half) = (cpu.rflags() & CF != 0, cpu.rflags() & AF != 0);
    let low = al & 0xf > 9 || half;
    Ok(Some(match op {
        IntOp::Daa | IntOp::Das => {
            let high = al > 0x99 || carry;
            let by = if low { 6 } else { 0 } + if high { 0x60 } else { 0 };
            let sum = if op == IntOp::Daa { alu::add(al, by, false, 1) } else { alu::sub(al, by, false, 1) };
            // DAS borrows from the first step too; DAA's carry there implies that of the second.
            let borrows = op == IntOp::Das && low && al < 6;
            adjusted(sum, if low { AF } else { 0 } | if high || borrows { CF } else { 0 }, 0xff)
        }
        IntOp::Aaa | IntOp::Aas => {
            let by = if low { 0x106 } else { 0 };
            let sum = if op == IntOp::Aaa { alu::add(ax, by, false, 2) } else { alu::sub(ax, by, false, 2) };
            adjusted(sum, if low { AF | CF } else { 0 }, 0xff0f)
        }
        IntOp::Aam => {
            let base = insn.imm & mask(1);
            if base == 0 {
                return Err(Event::de("AAM to the base 0"));
            }
            let (quotient, rest) = (al / base, al % base);
            split(quotient << 8 | rest, alu::result_flags(rest, 1))
        }
        IntOp::Aad => {
            let tens = ah * (insn.imm & mask(1));
            let sum = alu::add(al, tens & mask(1), false, 1);
            split(sum.value, sum.flags)
        }
        _ => return Ok(None),
    }))
}

/// A sum with its flags, but for AF and CF, and the bits of it that stay.
fn adjusted(sum: alu::Result, carries: u64, kept: u64) -> Effects {
    let flags = sum.flags & !(AF | CF) | carries;
    Effects { flag_mask: ARITH, flags, ..Effects::value(sum.value & kept) }
}

/// AX and the flags.
fn split(ax: u64, flags: u64) -> Effects {
    Effects { third: Some((fixed(RAX as u8, 2), ax)), ..Effects::flags_only(ARITH, flags) }
}
