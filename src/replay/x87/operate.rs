//! Work on the registers of the x87 stack.

use super::{Replayer, pop, read};
use crate::access::{Halt, Mem};
use crate::bus::Vmm;
use crate::cpu::{Cpu, X87};
use crate::decode::{Insn, NO_REG};
use crate::isa::row::X87Op;
use crate::profile::{Profile, Vendor};
use crate::replay::Ready;
use core::mem::offset_of;
use encore86_stubs::{Exit, StubRef};

const UE: u16 = 16;
const EXCEPTIONS: u16 = 0x3f;
const C1: u16 = 0x200;
/// Where the registers are in the state.
const TOP_AT: u64 = (offset_of!(Cpu, x87) + offset_of!(X87, regs)) as u64;
/// C0, C1, C2 and C3.
const CONDITION: u16 = 0x4700;

impl Replayer {
    /// Runs an instruction that is no load, store or control instruction.
    pub(super) fn operate(
        &mut self,
        op: X87Op,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        use X87Op::{Arithmetic, ArithmeticPop, Compare, ComparePop, ComparePopPop};
        match op {
            Arithmetic | ArithmeticPop | Compare | ComparePop | ComparePopPop => {
                if insn.mem() != NO_REG {
                    let size = usize::from(insn.slot(0).size).min(10);
                    let mut operand = [0; 10];
                    read(cpu, insn, mem, &mut operand[..size])?;
                    self.scratch.1.0[..10].copy_from_slice(&operand);
                }
                self.compute(op, cpu, insn, mem.vmm, profile, held)
            }
            _ if move_within(op, cpu, insn) => Ok(()),
            _ => self.whole(cpu, insn, mem, profile),
        }
    }

    /// Arithmetic and comparisons, the operand in memory already read. On the operands alone, unless one is missing or an
    /// exception is not masked: an underflow that is not shows in no masked run.
    fn compute<V: Vmm + ?Sized>(
        &mut self,
        op: X87Op,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        let memory = insn.mem() != NO_REG;
        let other = if memory { 0 } else { usize::from(insn.rm()) & 7 };
        let Some(second) = cpu.x87.st(other).filter(|_| computes_alone(cpu)) else {
            return self.run_whole(cpu, insn, vmm, profile);
        };
        let stub = self.current(insn, profile, held)?;
        let Some(mut ready) = self.ready(Some(stub)) else { return self.run_whole(cpu, insn, vmm, profile) };
        if memory {
            if !ready.compute_real(cpu, vmm, op != X87Op::Arithmetic) {
                return self.run_whole(cpu, insn, vmm, profile);
            }
        } else {
            ready.scratch.st[0][..10].copy_from_slice(&cpu.x87.regs[cpu.x87.top()]);
            ready.scratch.st[1][..10].copy_from_slice(&second);
            ready.scratch.fcw = cpu.x87.fcw | EXCEPTIONS;
            let exit = ready.call(cpu, vmm);
            let status = exit.fsw();
            if status & EXCEPTIONS & !cpu.x87.fcw != 0 {
                return self.run_whole(cpu, insn, vmm, profile);
            }
            let x87 = &mut cpu.x87;
            if matches!(op, X87Op::Arithmetic | X87Op::ArithmeticPop) {
                // D8 has its result in ST(0), DC and DE in ST(i).
                let target = x87.physical(if insn.opcode() & 4 == 0 { 0 } else { other });
                x87.regs[target].copy_from_slice(&self.scratch.0.st[0][..10]);
                x87.fsw = x87.fsw & !C1 | status & (C1 | EXCEPTIONS);
            } else if insn.row.flags.written == 0 {
                x87.fsw = x87.fsw & !CONDITION | status & (CONDITION | EXCEPTIONS);
            } else {
                // FCOMI leaves C1 alone on AMD's processors; the SDM has it cleared.
                let kept = if profile.vendor() == Vendor::Amd { x87.fsw } else { x87.fsw & !C1 };
                x87.fsw = kept | status & EXCEPTIONS;
            }
            merge_flags(cpu, insn, exit);
        }
        for _ in 0..op.pops() {
            pop(&mut cpu.x87);
        }
        Ok(())
    }
}

/// Can arithmetic of ST(0) and a real in memory run on the two alone? Not if ST(0) is empty, if an exception is pending, or if
/// underflow is not masked.
#[inline(always)]
pub(crate) fn computes_alone(cpu: &Cpu) -> bool {
    let x87 = &cpu.x87;
    x87.ftw >> x87.top() & 1 != 0 && x87.fcw & UE != 0 && !x87.pending()
}

impl Ready<'_> {
    /// Runs arithmetic or, if it `compares`, a comparison of ST(0) with the real in the local operand, where [`computes_alone`] says
    /// so. `false`: an exception is not masked, and nothing is done but that the stub has run.
    #[inline(always)]
    pub(crate) fn compute_real<V: Vmm + ?Sized>(&mut self, cpu: &mut Cpu, vmm: &mut V, compares: bool) -> bool {
        let (top, fcw) = (cpu.x87.top(), cpu.x87.fcw);
        let before = cpu.x87.regs[top];
        self.scratch.top = TOP_AT + 10 * top as u64;
        self.scratch.fcw = fcw | EXCEPTIONS;
        let status = self.call(cpu, vmm).fsw();
        let x87 = &mut cpu.x87;
        if status & EXCEPTIONS & !fcw != 0 {
            x87.regs[top] = before;
            return false;
        }
        let written = EXCEPTIONS | if compares { CONDITION } else { C1 };
        x87.fsw = x87.fsw & !(written & !EXCEPTIONS) | status & written;
        true
    }
}

/// The flags of FCOMI and its kin.
pub(super) fn merge_flags(cpu: &mut Cpu, insn: &Insn, exit: Exit) {
    let written = u64::from(insn.row.flags.written);
    if written != 0 {
        cpu.merge_flags(written, exit.rflags());
    }
}

/// Does what takes no arithmetic. `false`: nothing is done, because a register is empty or arithmetic is needed.
fn move_within(op: X87Op, cpu: &mut Cpu, insn: &Insn) -> bool {
    let holds = condition(cpu, insn);
    let x87 = &mut cpu.x87;
    let (top, other) = (x87.top(), x87.physical(usize::from(insn.rm()) & 7));
    let (first, second) = (x87.ftw >> top & 1 != 0, x87.ftw >> other & 1 != 0);
    match op {
        X87Op::Exchange if first && second => x87.regs.swap(top, other),
        X87Op::Move if first && second => {
            if holds {
                x87.regs[top] = x87.regs[other];
            }
            // C1 is not touched.
            return true;
        }
        X87Op::Negate if first => x87.regs[top][9] ^= 0x80,
        X87Op::Absolute if first => x87.regs[top][9] &= 0x7f,
        X87Op::Increment => x87.set_top(top + 1),
        X87Op::Decrement => x87.set_top(top.wrapping_sub(1)),
        X87Op::Free => x87.ftw &= !(1 << other),
        X87Op::FreePop => {
            x87.ftw &= !(1 << other);
            pop(x87);
        }
        _ => return false,
    }
    x87.fsw &= !C1;
    true
}

/// FCMOVcc's condition: one of the flags that its row reads is set, or none of them where the opcode's low bit is.
fn condition(cpu: &Cpu, insn: &Insn) -> bool {
    let any = cpu.rflags() & u64::from(insn.row.flags.read) != 0;
    any != (insn.opcode() & 1 != 0)
}
