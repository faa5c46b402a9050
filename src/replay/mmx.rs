//! MMX registers: the significands of the physical x87 registers.
//!
//! The stub works on them in place. What else the architecture asks for is done here: a pending x87 exception comes first,
//! and afterwards TOP is 0, every register counts as in use, and the one that was written has an exponent of all ones
//! (SDM volume 1, 9.5).

use super::x87::wait;
use super::{Replayer, components};
use crate::access::{Halt, Mem};
use crate::bus::Vmm;
use crate::cpu::Cpu;
use crate::cpu::registers::component;
use crate::decode::{Insn, NO_REG, SlotKind};
use crate::event::{Event, Stop};
use crate::profile::{Profile, Vendor};
use encore86_stubs::StubRef;

impl Replayer {
    /// Runs an instruction with an MMX operand.
    ///
    /// # Errors
    /// #MF for a pending x87 exception, before memory is touched. The x87 state is unchanged but for what AMD's processors change before an #XM.
    pub(super) fn mmx<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, V>,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        let touches = insn.slots().iter().any(|slot| slot.kind == SlotKind::Mmx);
        let amd = profile.vendor() == Vendor::Amd;
        if !touches && amd {
            // CVTPI2PS of memory leaves the x87 state alone there; the SDM has it changed.
            return self.plain(cpu, insn, mem, profile, held);
        }
        wait(cpu, mem.vmm)?;
        let done = if insn.mem() == NO_REG {
            let stub = self.stub(insn, held, profile)?;
            self.execute(cpu, insn, mem.vmm, stub, components(insn))
        } else {
            self.plain(cpu, insn, mem, profile, held)
        };
        match done {
            Ok(()) => written(cpu, insn),
            // On AMD's processors (Zen 4) TOP and tags have changed when #XM, or the #UD in its place, is found.
            Err(Halt::Stop(Stop::Fault(Event { vector: 19 | 6, .. }))) if amd => enter(cpu),
            _ => {}
        }
        done
    }
}

/// TOP and tags as every MMX instruction but EMMS leaves them.
pub(super) fn enter(cpu: &mut Cpu) {
    cpu.x87.set_top(0);
    cpu.x87.ftw = 0xff;
    cpu.dirty |= component::X87;
}

/// The same once the destination is written, with its exponent.
fn written(cpu: &mut Cpu, insn: &Insn) {
    enter(cpu);
    let slot = insn.slot(0);
    if slot.kind == SlotKind::Mmx && insn.uses(0).writes() {
        cpu.x87.regs[slot.reg as usize & 7][8..].fill(0xff);
    }
}
