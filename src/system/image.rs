//! FXSAVE and FXRSTOR on our own state (SDM volume 2, FXSAVE, tables 3-43 to 3-45).

use super::mxcsr_mask;
use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::component;
use crate::cpu::{Cpu, Mode, X87};
use crate::decode::{Insn, prefix};
use crate::event::Event;
use crate::integer;
use crate::profile::{Profile, Vendor};

/// Bytes of the legacy region that are anybody's: up to XMM15.
pub(super) const LEGACY: usize = 416;

/// Bytes that the processor transfers: up to XMM7, or XMM15 in 64-bit mode. What lies behind in the 512 bytes stays.
pub(crate) fn length(insn: &Insn) -> usize {
    if insn.mode() == Mode::Long64 { 416 } else { 288 }
}

/// Where the image begins. Processors check its first four bytes' address, then its alignment, then whether the segment can be
/// written, its last byte, and the others as they come.
fn image_address(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, kind: AccessKind) -> Result<u64, Halt> {
    let intent = if kind == AccessKind::Write { Intent::Write } else { Intent::Read };
    let (seg, offset) = (insn.segment(), address::effective(cpu, insn));
    let at = linear(cpu, seg, offset, 4, Intent::Read)?;
    if !at.is_multiple_of(16) {
        integer::aligned(cpu, at, 4)?;
        return Err(Event::gp0("the image is not aligned to 16 bytes").into());
    }
    let last = linear(cpu, seg, address::truncate(offset.wrapping_add(511), insn.asize()), 1, intent)?;
    let access = mem.access(kind, 512);
    mem.probe(last, 1, &Access { offset: 511, ..access })?;
    Ok(at)
}

/// Writes the image.
///
/// # Errors
/// #GP(0) for a misaligned image, what the bus answers; no byte is written before all are known to be writable.
pub(super) fn fxsave(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    let at = image_address(cpu, insn, mem, AccessKind::Write)?;
    let mut image = [0; LEGACY];
    fill(cpu, insn, profile, &mut image);
    let access = mem.access(AccessKind::Write, length(insn) as u16);
    mem.write_image_last(at, &image[..length(insn)], &access)
}

/// Fills the legacy region of FXSAVE and XSAVE.
pub(super) fn fill(cpu: &Cpu, insn: &Insn, profile: &Profile, image: &mut [u8; LEGACY]) {
    let x87 = &cpu.x87;
    image[0..2].copy_from_slice(&x87.fcw.to_le_bytes());
    image[2..4].copy_from_slice(&x87.fsw.to_le_bytes());
    image[4] = x87.ftw;
    // AMD processors save the pointers only while an exception is pending.
    if profile.vendor() == Vendor::Intel || x87.pending() {
        image[6..8].copy_from_slice(&x87.fop.to_le_bytes());
        if insn.has(prefix::W) {
            image[8..16].copy_from_slice(&x87.fip.to_le_bytes());
            image[16..24].copy_from_slice(&x87.fdp.to_le_bytes());
        } else {
            image[8..12].copy_from_slice(&(x87.fip as u32).to_le_bytes());
            image[12..14].copy_from_slice(&x87.fcs.to_le_bytes());
            image[16..20].copy_from_slice(&(x87.fdp as u32).to_le_bytes());
            image[20..22].copy_from_slice(&x87.fds.to_le_bytes());
        }
    }
    image[24..28].copy_from_slice(&cpu.vector.mxcsr.to_le_bytes());
    image[28..32].copy_from_slice(&mxcsr_mask(profile).to_le_bytes());
    for i in 0..8 {
        image[32 + i * 16..][..10].copy_from_slice(&x87.regs[x87.physical(i)]);
    }
    for i in 0..16 {
        image[160 + i * 16..][..16].copy_from_slice(&cpu.vector.zmm[i].0[..16]);
    }
}

/// Loads the image.
///
/// # Errors
/// #GP(0) for a misaligned image or reserved bits of MXCSR, what the bus answers; nothing is loaded then.
pub(super) fn fxrstor(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    let at = image_address(cpu, insn, mem, AccessKind::Read)?;
    let mut image = [0; LEGACY];
    let len = length(insn);
    let access = mem.access(AccessKind::Read, len as u16);
    mem.read_image(at, &mut image[..len], &access)?;
    let mxcsr = u32_at(&image, 24);
    if mxcsr & !mxcsr_mask(profile) != 0 {
        return Err(Event::gp0("a reserved bit of MXCSR is set in the image").into());
    }
    cpu.x87 = x87_from(&image, insn, profile);
    cpu.vector.mxcsr = mxcsr;
    for i in 0..(len - 160) / 16 {
        cpu.vector.zmm[i].0[..16].copy_from_slice(&image[160 + i * 16..][..16]);
    }
    cpu.dirty |= component::X87 | component::SSE;
    Ok(())
}

pub(super) fn u32_at(image: &[u8], at: usize) -> u32 {
    image[at..].first_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes))
}

/// The x87 state of a legacy region.
pub(super) fn x87_from(image: &[u8; LEGACY], insn: &Insn, profile: &Profile) -> X87 {
    let u16_at = |i: usize| u16::from_le_bytes([image[i], image[i + 1]]);
    let u64_at = |i: usize| u64::from(u32_at(image, i)) | u64::from(u32_at(image, i + 4)) << 32;
    // Only the bits of a linear address are kept.
    let unused = 64 - profile.linear_bits();
    let pointer_at = |i: usize| (((u64_at(i) << unused) as i64) >> unused) as u64;
    let wide = insn.has(prefix::W);
    let mut x87 = X87 {
        // Bit 6 always reads as 1, the reserved upper bits as 0.
        fcw: u16_at(0) & 0x1f7f | 0x40,
        fsw: u16_at(2),
        ftw: image[4],
        fop: u16_at(6) & 0x7ff,
        fip: if wide { pointer_at(8) } else { u64::from(u32_at(image, 8)) },
        fcs: if wide { 0 } else { u16_at(12) },
        fdp: if wide { pointer_at(16) } else { u64::from(u32_at(image, 16)) },
        fds: if wide { 0 } else { u16_at(20) },
        ..X87::default()
    };
    for i in 0..8 {
        let p = x87.physical(i);
        x87.regs[p].copy_from_slice(&image[32 + i * 16..][..10]);
    }
    x87.update_summary();
    x87
}
