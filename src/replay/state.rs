//! Which state components an instruction touches, and how they come from the monitor.

use crate::access::{Halt, Mem};
use crate::bus::Vmm;
use crate::cpu::Cpu;
use crate::cpu::registers::component;
use crate::decode::{Insn, SlotKind};
use crate::isa::row::attr;

/// State components that come from the monitor before an instruction touches any of them: one call for all, since that is
/// what fetching an XSAVE image costs.
const STATE: u64 = component::AVX512 | component::X87;

/// Is all of the vector and x87 state the guest's?
#[inline(always)]
pub(crate) fn has_state(cpu: &Cpu) -> bool {
    cpu.valid & STATE == STATE
}

/// Asks the monitor for the vector and x87 state that is not the guest's yet.
///
/// # Errors
/// What [`Platform::load_state`](crate::bus::Platform::load_state) answers.
#[inline]
pub(crate) fn need_state<V: Vmm + ?Sized>(cpu: &mut Cpu, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    if has_state(cpu) { Ok(()) } else { need_components(cpu, mem, STATE) }
}

/// The same of any components.
///
/// # Errors
/// What [`Platform::load_state`](crate::bus::Platform::load_state) answers.
#[cold]
pub(crate) fn need_components<V: Vmm + ?Sized>(
    cpu: &mut Cpu,
    mem: &mut Mem<'_, V>,
    components: u64,
) -> Result<(), Halt> {
    let wanted = components & !cpu.valid;
    if wanted != 0 {
        mem.vmm.load_state(cpu, wanted)?;
        cpu.valid |= wanted;
    }
    Ok(())
}

/// The components that writing a vector register changes. VEX and EVEX clear the rest of it.
#[inline]
pub(crate) fn vector_components(reg: u8, legacy: bool) -> u64 {
    match (reg, legacy) {
        (16.., _) => component::HI16_ZMM,
        (_, true) => component::SSE,
        (_, false) => component::SSE | component::AVX | component::ZMM_HI256,
    }
}

/// Do embedded rounding or {sae} mask all exceptions, whatever MXCSR says, so that no flags are raised?
pub(super) fn is_quiet(insn: &Insn) -> bool {
    insn.static_rounding().is_some() || insn.row.is(attr::QUIET)
}

/// The components that a vector or opmask instruction changes: its destination's, and MXCSR's.
pub(crate) fn components(insn: &Insn) -> u32 {
    let slot = insn.slot(0);
    let flags = if insn.row.is(attr::MXCSR) && !is_quiet(insn) { component::SSE } else { 0 };
    (flags
        | match slot.kind {
            // PCMPESTRM and PCMPISTRM write XMM0 alone.
            SlotKind::Vector if !insn.uses(0).writes() && insn.row.writes_xmm0() => {
                vector_components(0, !insn.is_vex())
            }
            _ if !insn.uses(0).writes() => 0,
            SlotKind::Vector => vector_components(slot.reg, !insn.is_vex()),
            SlotKind::Mask => component::OPMASK,
            _ => 0,
        }) as u32
}
