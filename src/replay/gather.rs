//! Sequences of element accesses that need no stub: gathers, scatters, MASKMOVDQU.
//!
//! They work on copies of the registers. A fault commits the elements done so far and their mask, as the processor
//! leaves them; a retry commits nothing, the journal has the elements.

use super::mmx;
use super::run::sign_bits;
use super::{vector, vector_components};
use crate::access::{Halt, Kind, Mem, crosses};
use crate::address::{self, Intent, string_offset};
use crate::bus::{Access, AccessKind, CacheOp, Vmm};
use crate::cpu::registers::component;
use crate::cpu::registers::gpr::RDI;
use crate::cpu::segment::Seg;
use crate::cpu::{Cpu, Zmm};
use crate::decode::{Insn, SlotKind};
use crate::event::Stop;
use crate::integer;
use crate::isa::row::Space;
use crate::profile::Vendor;

/// Geometry of a VSIB operand.
struct Vsib {
    /// Elements that are moved.
    count: usize,
    /// Width of one in bytes.
    width: usize,
    indices: Zmm,
    index_width: usize,
}

impl Vsib {
    fn of(cpu: &Cpu, insn: &Insn) -> Vsib {
        let width = usize::from(insn.row.element);
        let index_width = usize::from(insn.vsib_index_element());
        let count = usize::from(insn.vl()) / width.max(index_width);
        Vsib { count, width, indices: *vector(cpu, insn.index()), index_width }
    }

    /// The index of element `i`.
    #[inline(always)]
    fn index(&self, i: usize) -> u64 {
        if self.index_width == 4 {
            let four = self.indices.0.as_chunks::<4>().0[i & 15];
            i32::from_le_bytes(four) as u64
        } else {
            u64::from_le_bytes(self.indices.0.as_chunks::<8>().0[i & 7])
        }
    }

    /// What the indices are added to.
    #[inline(always)]
    fn origin(cpu: &Cpu, insn: &Insn) -> u64 {
        let base = if insn.base() < 32 { cpu.gpr[insn.base() as usize] } else { 0 };
        base.wrapping_add(insn.disp as u64)
    }

    /// The offset of element `i` in its segment.
    #[inline]
    fn offset(&self, cpu: &Cpu, insn: &Insn, i: usize) -> u64 {
        let offset = Vsib::origin(cpu, insn).wrapping_add(self.index(i) << insn.scale());
        address::truncate(offset, insn.asize())
    }

    /// The linear address of element `i`.
    #[inline]
    fn address(&self, cpu: &Cpu, insn: &Insn, i: usize, intent: Intent) -> Result<u64, Halt> {
        Ok(address::linear(cpu, insn.segment(), self.offset(cpu, insn, i), self.width as u64, intent)?)
    }

    /// Reads the elements of `bits`, of `WIDTH` bytes each, as long as their addresses need no closer look and the bus takes them
    /// whole; clears the bits of those that it has read.
    ///
    /// # Errors
    /// What the bus answers for the first element that is left.
    #[inline(always)]
    fn read_plain<V: Vmm + ?Sized, const WIDTH: usize>(
        &self,
        cpu: &Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, V>,
        dst: &mut Zmm,
        bits: &mut u64,
        access: &Access,
    ) -> Result<(), Halt> {
        if !cpu.word().flat || insn.asize() != 8 || matches!(insn.segment(), Seg::Fs | Seg::Gs) {
            return Ok(());
        }
        let (origin, scale) = (Vsib::origin(cpu, insn), insn.scale());
        let elements = dst.0.as_chunks_mut::<WIDTH>().0;
        while *bits != 0 {
            let i = bits.trailing_zeros() as usize;
            let at = origin.wrapping_add(self.index(i) << scale);
            if !address::is_plain(cpu, at) || crosses(at, WIDTH) {
                return Ok(());
            }
            let Some(element) = elements.get_mut(i) else { return Ok(()) };
            match mem.vmm.read(at, element, access) {
                Ok(()) => *bits &= *bits - 1,
                Err(Stop::TooWide(_)) => return Ok(()),
                Err(stop) => return Err(stop.into()),
            }
        }
        Ok(())
    }

    /// Elements that the opmask, or the signs of VEX.vvvv, choose.
    #[inline]
    fn chosen(&self, cpu: &Cpu, insn: &Insn) -> u64 {
        if insn.row.space == Space::Vex {
            sign_bits(&vector(cpu, insn.vvvv()).0, self.width, self.count)
        } else {
            cpu.vector.k[insn.aaa() as usize & 7] & low_bits(self.count)
        }
    }
}

/// VPGATHER and VGATHER: elements in ascending order, each clearing its mask element.
///
/// # Errors
/// Faults leave the elements before them loaded and their mask elements clear.
pub(super) fn gather<V: Vmm + ?Sized>(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    let vsib = Vsib::of(cpu, insn);
    let vex = insn.row.space == Space::Vex;
    let mut dst = *vector(cpu, insn.reg());
    let mut bits = vsib.chosen(cpu, insn);
    let wanted = bits;
    let access = mem.access(AccessKind::Read, vsib.width as u16);
    // While all goes well nothing is remembered; when an element has to wait, those before it are.
    let plain = mem.journal.is_idle();
    let mut result = match vsib.width {
        _ if !plain => Ok(()),
        4 => vsib.read_plain::<V, 4>(cpu, insn, mem, &mut dst, &mut bits, &access),
        _ => vsib.read_plain::<V, 8>(cpu, insn, mem, &mut dst, &mut bits, &access),
    };
    if plain && (result == Err(Halt::Stop(Stop::Retry)) || result.is_ok() && bits != 0) {
        remember_elements(cpu, insn, mem, &vsib, wanted & !bits, &dst);
    }
    while bits != 0 && result.is_ok() {
        let i = bits.trailing_zeros() as usize;
        let element = &mut dst.0[i * vsib.width..(i + 1) * vsib.width];
        result = vsib.address(cpu, insn, i, Intent::Read).and_then(|at| mem.read(at, element, &access));
        if result.is_ok() {
            bits &= bits - 1;
        }
    }
    let failed = result.is_err().then(|| bits.trailing_zeros() as usize);
    if matches!(result, Ok(()) | Err(Halt::Stop(Stop::Fault(_)))) {
        if failed.is_none() {
            dst.0[vsib.count * vsib.width..].fill(0);
        } else if !vex && bits != wanted {
            // Each element of the EVEX form is a write of the register, which clears what lies above the vector.
            dst.0[usize::from(insn.vl())..].fill(0);
        }
        cpu.vector.zmm[insn.reg() as usize & 31] = dst;
        cpu.dirty |= vector_components(insn.reg(), false);
        if vex {
            commit_sign_mask(cpu, insn, &vsib, failed);
        } else {
            commit_opmask(cpu, insn, &vsib, bits, failed.is_none());
        }
    }
    result
}

/// Enters the elements of `bits`, which have been read, into the journal.
#[cold]
fn remember_elements<V: Vmm + ?Sized>(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, V>, vsib: &Vsib, bits: u64, dst: &Zmm) {
    for i in (0..vsib.count).filter(|i| bits >> i & 1 != 0) {
        if let Ok(at) = vsib.address(cpu, insn, i, Intent::Read) {
            mem.journal.record(Kind::Read, at, &dst.0[i * vsib.width..(i + 1) * vsib.width]);
        }
    }
}

/// The mask register of a VEX gather: zero in the end; after a fault, zero below the element that failed and else as it
/// was.
fn commit_sign_mask(cpu: &mut Cpu, insn: &Insn, vsib: &Vsib, failed: Option<usize>) {
    let mut mask = Zmm([0; 64]);
    if let Some(failed) = failed {
        mask = *vector(cpu, insn.vvvv());
        mask.0[..failed * vsib.width].fill(0);
    }
    cpu.vector.zmm[insn.vvvv() as usize & 31] = mask;
    cpu.dirty |= vector_components(insn.vvvv(), false);
}

/// The opmask of an EVEX gather or scatter: remaining elements. Its bits beyond them are cleared only at the end.
fn commit_opmask(cpu: &mut Cpu, insn: &Insn, vsib: &Vsib, bits: u64, done: bool) {
    let k = &mut cpu.vector.k[insn.aaa() as usize & 7];
    *k = if done { 0 } else { *k & !low_bits(vsib.count) | bits };
    cpu.dirty |= component::OPMASK;
}

fn low_bits(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// VPSCATTER and VSCATTER: elements in ascending order, so that the last of overlapping ones stays.
///
/// # Errors
/// Faults leave the elements before them stored and their mask bits clear.
pub(super) fn scatter<V: Vmm + ?Sized>(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    let vsib = Vsib::of(cpu, insn);
    let src = *vector(cpu, insn.reg());
    let mut bits = vsib.chosen(cpu, insn);
    let access = mem.access(AccessKind::Write, vsib.width as u16);
    let mut result = Ok(());
    for i in 0..vsib.count {
        if bits >> i & 1 == 0 {
            continue;
        }
        let element = &src.0[i * vsib.width..(i + 1) * vsib.width];
        result = vsib.address(cpu, insn, i, Intent::Write).and_then(|at| mem.write(at, element, &access));
        if result.is_err() {
            break;
        }
        bits &= !(1 << i);
    }
    if matches!(result, Ok(()) | Err(Halt::Stop(Stop::Fault(_)))) {
        commit_opmask(cpu, insn, &vsib, bits, result.is_ok());
    }
    result
}

/// VGATHERPF and VSCATTERPF: hints, so that an address that cannot be reached is neither touched nor reported. The opmask stays.
pub(super) fn prefetch<V: Vmm + ?Sized>(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    let vsib = Vsib::of(cpu, insn);
    let bits = vsib.chosen(cpu, insn);
    for i in (0..vsib.count).filter(|i| bits >> i & 1 != 0) {
        if let Ok(at) = vsib.address(cpu, insn, i, Intent::Read) {
            mem.vmm.cache(CacheOp::Prefetch, at)?;
        }
    }
    Ok(())
}

/// MASKMOVDQU: bytes of ModRM.reg whose mask byte in ModRM.rm has its sign bit set, to DS:rDI.
///
/// # Errors
/// All sixteen bytes have to be writable, whatever the mask. Nothing is stored otherwise.
pub(super) fn byte_mask<V: Vmm + ?Sized>(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    let data = vector(cpu, insn.reg()).0;
    store_bytes(cpu, insn, mem, &data[..16], sign_bits(&vector(cpu, insn.rm()).0, 1, 16))
}

/// MASKMOVQ, the same of MMX registers.
///
/// # Errors
/// A pending #MF besides. AMD's processors (Zen 4) have changed TOP and tags when they find any other fault.
pub(super) fn byte_mask_mmx<V: Vmm + ?Sized>(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    vendor: Vendor,
) -> Result<(), Halt> {
    super::x87::wait(cpu, mem.vmm)?;
    let data = cpu.x87.regs[insn.slot(0).reg as usize & 7];
    let result = store_bytes(cpu, insn, mem, &data[..8], mmx_signs(cpu, insn));
    let changed = match result {
        Ok(()) => true,
        Err(Halt::Stop(Stop::Fault(_))) => vendor == Vendor::Amd,
        _ => false,
    };
    if changed {
        mmx::enter(cpu);
    }
    result
}

/// The offset of the `i`-th half of what begins at `offset`.
fn half(insn: &Insn, offset: u64, i: u64) -> u64 {
    address::truncate(offset.wrapping_add(8 * i), insn.asize())
}

/// Calls `each` with the address and width of each element that a gather or scatter (or its prefetch) accesses.
pub(super) fn elements(cpu: &Cpu, insn: &Insn, intent: Intent, each: &mut dyn FnMut(u64, u16)) {
    let vsib = Vsib::of(cpu, insn);
    let bits = vsib.chosen(cpu, insn);
    for i in (0..vsib.count).filter(|i| bits >> i & 1 != 0) {
        let offset = vsib.offset(cpu, insn, i);
        each(address::asked(cpu, insn.segment(), offset, vsib.width as u64, intent), vsib.width as u16);
    }
}

/// Calls `each` with the address of each byte that MASKMOVDQU or MASKMOVQ stores.
pub(super) fn masked_bytes(cpu: &Cpu, insn: &Insn, each: &mut dyn FnMut(u64, u16)) {
    let (bits, count) = if insn.slot(0).kind == SlotKind::Mmx {
        (mmx_signs(cpu, insn), 8)
    } else {
        (sign_bits(&vector(cpu, insn.rm()).0, 1, 16), 16)
    };
    let offset = string_offset(cpu, insn, RDI);
    for i in (0..count).filter(|i| bits >> i & 1 != 0) {
        let at = address::asked(cpu, insn.segment(), half(insn, offset, i / 8), 8, Intent::Write);
        each(address::advance(cpu, at, i % 8), 1);
    }
}

/// The sign bits of MASKMOVQ's mask.
fn mmx_signs(cpu: &Cpu, insn: &Insn) -> u64 {
    let mut signs = [0; 64];
    signs[..8].copy_from_slice(&cpu.x87.regs[insn.slot(1).reg as usize & 7][..8]);
    sign_bits(&signs, 1, 8)
}

/// Stores those of 8 or 16 bytes whose bit is set.
fn store_bytes<V: Vmm + ?Sized>(
    cpu: &Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    data: &[u8],
    bits: u64,
) -> Result<(), Halt> {
    let access = mem.access(AccessKind::Write, 1);
    let offset = string_offset(cpu, insn, RDI);
    // In halves, each of which may wrap to the segment's beginning.
    let mut halves = [0; 2];
    for (i, at) in (0..).zip(&mut halves).take(data.len() / 8) {
        *at = address::linear(cpu, insn.segment(), half(insn, offset, i), 8, Intent::Write)?;
        if i == 0 {
            integer::aligned(cpu, *at, 8)?;
        }
        mem.probe(*at, 8, &access)?;
    }
    for (i, byte) in data.chunks(1).enumerate().filter(|(i, _)| bits >> i & 1 != 0) {
        mem.write(address::advance(cpu, halves[(i / 8) & 1], i as u64 % 8), byte, &access)?;
    }
    Ok(())
}
