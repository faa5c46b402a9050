//! From effective to linear addresses: segmentation, limits, canonical form.

pub mod paging;

use crate::alu::mask;
use crate::cpu::registers::gpr::{RSI, RSP};
use crate::cpu::registers::{cr3, cr4, efer};
use crate::cpu::segment::{Seg, rights};
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, NO_REG, RIP};
use crate::event::Event;

/// The effective address (offset in the segment) of the memory operand, truncated to the address size.
#[inline(always)]
pub(crate) fn effective(cpu: &Cpu, insn: &Insn) -> u64 {
    let mut offset = insn.disp as u64;
    if insn.base() < NO_REG {
        offset = offset.wrapping_add(if insn.base() == RIP {
            cpu.rip.wrapping_add(u64::from(insn.len()))
        } else {
            cpu.gpr[insn.base() as usize & 31]
        });
    }
    if insn.index() != NO_REG {
        offset = offset.wrapping_add(cpu.gpr[insn.index() as usize & 31] << insn.scale());
    }
    truncate(offset, insn.asize())
}

/// The low `size` (2, 4, 8) bytes of an address.
#[inline(always)]
pub(crate) fn truncate(offset: u64, size: u8) -> u64 {
    offset & mask(u16::from(size))
}

/// What an access wants of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    Write,
}

/// The linear address of `len` bytes at `offset` in `seg`, checked as the mode asks.
///
/// # Errors
/// #SS(0) for the stack segment, #GP(0) for others: limit, type, null selector, non-canonical address.
#[inline(always)]
pub(crate) fn linear(cpu: &Cpu, seg: Seg, offset: u64, len: u64, intent: Intent) -> Result<u64, Event> {
    if cpu.word().flat {
        let half = cpu.word().data_half;
        if !lies_within(half, offset, len) {
            return masked(cpu, seg, offset, len);
        }
        if !matches!(seg, Seg::Fs | Seg::Gs) {
            return Ok(offset);
        }
        // Before and after the base of FS or GS is added.
        let linear = cpu.seg(seg).base.wrapping_add(offset);
        if !lies_within(half, linear, len) {
            return masked(cpu, seg, offset, len);
        }
        return Ok(linear);
    }
    segmented(cpu, seg, offset, len, intent)
}

/// Are `len` bytes from `at` on canonical? First and last byte in one compare: such addresses lie within `half` of 0.
#[inline(always)]
fn lies_within(half: u64, at: u64, len: u64) -> bool {
    at.wrapping_add(half) <= (2 * half).wrapping_sub(len)
}

/// The same for an address that is not canonical as it stands: linear-address masking (LAM, SDM volume 3) and AMD's
/// upper address ignore (UAI, APM volume 2) let software keep metadata in high bits.
#[cold]
#[inline(never)]
fn masked(cpu: &Cpu, seg: Seg, offset: u64, len: u64) -> Result<u64, Event> {
    let s = cpu.system();
    let has = |register: u64, bits| register & bits != 0;
    let extend = |at: u64, width: u32| ((at << (64 - width)) as i64 >> (64 - width)) as u64;
    let lam = |at: u64| {
        let width = match at >> 63 {
            0 if has(s.cr3, cr3::LAM_U57) => 57,
            0 if has(s.cr3, cr3::LAM_U48) => 48,
            1 if has(s.cr4, cr4::LAM_SUP) && has(s.cr4, cr4::LA57) => 57,
            1 if has(s.cr4, cr4::LAM_SUP) => 48,
            _ => return Some(at),
        };
        // Bit 63 is no metadata.
        let masked = extend(at, width);
        (masked >> 63 == at >> 63).then_some(masked)
    };
    let uai = has(s.efer, efer::UAIE);
    let mask = |at: u64| if uai { Some(extend(at, 57)) } else { lam(at) };
    let half = cpu.word().canonical_half;
    let canonical = |at: u64| mask(at).filter(|&at| lies_within(half, at, len));
    let refusal = || refused(seg, "the address is not canonical");
    let before = canonical(offset).ok_or_else(refusal)?;
    if !matches!(seg, Seg::Fs | Seg::Gs) {
        return Ok(before);
    }
    canonical(cpu.seg(seg).base.wrapping_add(offset)).ok_or_else(refusal)
}

/// The linear address of `offset` in `seg`, whatever is wrong with it.
pub(crate) fn unchecked(cpu: &Cpu, seg: Seg, offset: u64) -> u64 {
    if cpu.word().flat {
        let base = if matches!(seg, Seg::Fs | Seg::Gs) { cpu.seg(seg).base } else { 0 };
        return base.wrapping_add(offset);
    }
    cpu.seg(seg).base.wrapping_add(offset) & 0xffff_ffff
}

/// The linear address that `len` bytes at `offset` in `seg` are asked for at, granted or not.
pub(crate) fn asked(cpu: &Cpu, seg: Seg, offset: u64, len: u64, intent: Intent) -> u64 {
    linear(cpu, seg, offset, len, intent).unwrap_or_else(|_| unchecked(cpu, seg, offset))
}

/// The linear address of the descriptor that `selector` names; `None` for a null selector.
pub(crate) fn descriptor(cpu: &Cpu, selector: u16) -> Option<u64> {
    const LOCAL: u16 = 4;
    if selector & !3 == 0 {
        return None;
    }
    let s = cpu.system();
    let table = if selector & LOCAL == 0 { s.gdtr.base } else { s.ldtr.base };
    let at = table.wrapping_add(u64::from(selector & !7));
    Some(if s.efer & efer::LMA != 0 { at } else { at & 0xffff_ffff })
}

/// Is the address canonical for the linear-address width in force?
#[inline]
pub(crate) fn canonical(cpu: &Cpu, linear: u64) -> bool {
    let half = cpu.word().canonical_half;
    linear.wrapping_add(half) < 2 * half
}

/// Is the address of data canonical, and not to be masked? Else [`linear`] says what it is.
#[inline]
pub(crate) fn is_plain(cpu: &Cpu, linear: u64) -> bool {
    linear.wrapping_add(cpu.word().data_half) < cpu.word().data_span
}

#[cold]
const fn refused(seg: Seg, cause: &'static str) -> Event {
    if matches!(seg, Seg::Ss) { Event::ss0(cause) } else { Event::gp0(cause) }
}

#[inline(never)]
fn segmented(cpu: &Cpu, seg: Seg, offset: u64, len: u64, intent: Intent) -> Result<u64, Event> {
    let s = cpu.seg(seg);
    let real = cpu.mode().is_real_or_v86();
    if !real {
        if s.has(rights::UNUSABLE) || !s.has(rights::P) {
            return Err(refused(seg, "the segment register holds a null selector"));
        }
        let allowed = match intent {
            Intent::Write => !s.has(rights::CODE) && s.has(rights::WRITABLE),
            Intent::Read => !s.has(rights::CODE) || s.has(rights::WRITABLE),
        };
        if !allowed {
            return Err(refused(seg, "the segment's type forbids the access"));
        }
    }
    let last = offset + len.saturating_sub(1);
    let expand_down = s.attr & (rights::CODE | rights::EXPAND_DOWN) == rights::EXPAND_DOWN;
    let inside = if expand_down && !real {
        let top = if s.has(rights::DB) { u64::from(u32::MAX) } else { 0xffff };
        offset > u64::from(s.limit) && last <= top
    } else {
        last <= u64::from(s.limit)
    };
    if !inside {
        return Err(refused(seg, "the access lies outside the segment's limit"));
    }
    Ok(s.base.wrapping_add(offset) & 0xffff_ffff)
}

/// The linear address `by` bytes behind `linear`: wraps at 4 GiB outside 64-bit mode.
#[inline]
pub(crate) fn advance(cpu: &Cpu, linear: u64, by: u64) -> u64 {
    let sum = linear.wrapping_add(by);
    if cpu.word().flat { sum } else { sum & 0xffff_ffff }
}

/// Width in bytes of the stack pointer.
pub(crate) fn stack_width(cpu: &Cpu) -> u8 {
    match cpu.mode() {
        Mode::Long64 => 8,
        _ if cpu.seg(Seg::Ss).has(rights::DB) => 4,
        _ => 2,
    }
}

/// Replaces the low `size` bytes of a register by an address of that width.
pub(crate) fn replace(register: u64, value: u64, size: u8) -> u64 {
    match size {
        2 => register & !0xffff | value & 0xffff,
        4 => value & 0xffff_ffff,
        _ => value,
    }
}

/// RSP, truncated to the stack width, moved by `delta`.
pub(crate) fn stack_offset(cpu: &Cpu, delta: i64) -> u64 {
    truncate(cpu.gpr[RSP].wrapping_add(delta as u64), stack_width(cpu))
}

/// rSI or rDI at the address size.
pub(crate) fn string_offset(cpu: &Cpu, insn: &Insn, register: usize) -> u64 {
    debug_assert!(register >= RSI);
    truncate(cpu.gpr[register], insn.asize())
}
