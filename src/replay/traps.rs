//! Exceptions that the host decides: an instruction runs under the guest's own masks, and what is raised comes as SIGFPE.

use super::run::{ALL_MASKED, CONTROL, EXTREMES, raised_unmasked};
use super::{FloatSignals, Replayer, StubRef, rewrite, stub_error};
use crate::access::Halt;
use crate::bus::Vmm;
use crate::cpu::Cpu;
use crate::cpu::registers::component;
use crate::decode::Insn;
use crate::event::Unsupported;
use crate::isa::Row;
use crate::isa::row::attr;
use encore86_stubs::Exit;

/// When the host itself raises unmasked SIMD floating-point exceptions of the guest, as SIGFPE.
///
/// The engine runs instructions with all exceptions masked, and knows from their flags and operands which exception an unmasked
/// run would raise. Of some instructions it does not: halves (AVX512-FP16) with overflow or underflow unmasked, and a few more.
/// These are [`Unsupported`], unless the caller lets the processor decide: such an instruction then runs under the guest's own
/// masks, in a process with a handler for SIGFPE ([`FloatSignals::install`]) on a thread that does not block it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FloatTraps {
    /// Never.
    #[default]
    Never,
    /// Where no rule decides.
    Undecided(FloatSignals),
    /// Whenever an exception is unmasked that the instruction may raise.
    Always(FloatSignals),
}

/// How an instruction runs that may raise an exception which is not masked.
pub(super) enum Unmasked {
    /// Masked; the flags decide.
    ByRules,
    /// Stage by stage.
    Staged,
    /// By the processor.
    Trapped(FloatSignals),
    Undecided,
}

impl FloatTraps {
    /// How to run an instruction of `row` with these exceptions unmasked.
    #[cold]
    pub(super) fn way(self, row: &Row, unmasked: u32) -> Unmasked {
        let decided = !row.is(attr::MASKED_EXTREMES) || unmasked & EXTREMES == 0 && !row.is(attr::DISTINCT);
        match self {
            FloatTraps::Always(signals) => Unmasked::Trapped(signals),
            _ if row.is(attr::STAGED) => Unmasked::Staged,
            _ if decided => Unmasked::ByRules,
            FloatTraps::Undecided(signals) => Unmasked::Trapped(signals),
            FloatTraps::Never => Unmasked::Undecided,
        }
    }
}

impl Replayer {
    /// Under the guest's own masks: the host decides, by SIGFPE.
    #[cold]
    #[inline(never)]
    pub(super) fn execute_trapped<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        (stub, dirty): (StubRef, u32),
        signals: FloatSignals,
    ) -> Result<(), Halt> {
        let mxcsr = cpu.vector.mxcsr;
        self.scratch.0.mxcsr_run = mxcsr & (CONTROL | ALL_MASKED);
        self.scratch.0.mxcsr_fatal = !(mxcsr >> 7) & 0x3f;
        let exit = self.call_unmasked(signals, insn, stub, cpu, vmm)?;
        cpu.vector.mxcsr |= exit.mxcsr_flags();
        cpu.dirty |= component::SSE;
        if exit.is_fault() {
            return Err(raised_unmasked(cpu));
        }
        let written = u64::from(insn.row.flags.written);
        if written != 0 {
            cpu.merge_flags(written, exit.rflags());
        }
        cpu.dirty |= u64::from(dirty);
        Ok(())
    }

    /// [`Replayer::call`] with the exceptions unmasked that `scratch` leaves unmasked.
    #[cold]
    fn call_unmasked<V: Vmm + ?Sized>(
        &mut self,
        signals: FloatSignals,
        insn: &Insn,
        stub: StubRef,
        cpu: &mut Cpu,
        vmm: &mut V,
    ) -> Result<Exit, Unsupported> {
        let Some(stubs) = &self.stubs else {
            return Err(Unsupported::Stubs("the host denied executable memory"));
        };
        let body = rewrite::rewrite(insn).as_slice().len();
        let (scratch, operand) = &mut *self.scratch;
        let state = core::ptr::from_mut(cpu).cast::<u8>();
        vmm.host_fpu_begin();
        // SAFETY: as in `call`, but for the masks; whoever has `signals` has installed the handler.
        let exit = unsafe { stubs.call_unmasked(signals, stub, body, (state, operand.0.as_mut_ptr(), scratch)) };
        vmm.host_fpu_end();
        exit.map_err(stub_error)
    }
}
