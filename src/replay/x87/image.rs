//! Environments and whole states in memory: FLDENV, FNSTENV, FRSTOR and FNSAVE (SDM volume 1, figures 8-9 to 8-12).
//!
//! An image has seven words or doublewords, by operand size. In real and virtual-8086 mode its pointers are linear addresses
//! and come with the opcode; in protected mode they are selectors and offsets, and the doublewords alone have the opcode.
//! The registers follow, ST(0) first.

use super::operand::linear_of;
use crate::access::{Halt, Mem};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::{Cpu, X87};
use crate::decode::Insn;

/// The greatest image: FNSAVE's of doublewords.
const LARGEST: usize = 108;
const WORDS: usize = 7;
const REGISTER: usize = 10;
/// Bits of an opcode that are kept.
const FOP: u32 = 0x7ff;
/// Upper halves of doublewords that hold a word.
const RESERVED: u32 = 0xffff_0000;

/// FNSTENV: all exceptions are masked afterwards.
pub(super) fn store_environment(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    store(cpu, insn, mem)?;
    cpu.x87.fcw |= 0x3f;
    cpu.x87.update_summary();
    Ok(())
}

/// FNSAVE: FNINIT afterwards.
pub(super) fn store_state(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    store(cpu, insn, mem)?;
    cpu.x87.init();
    Ok(())
}

/// FLDENV.
pub(super) fn load_environment(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let mut image = [0; LARGEST];
    let len = read(cpu, insn, mem, &mut image)?;
    environment_from(cpu, &image[..len]);
    Ok(())
}

/// FRSTOR.
pub(super) fn load_state(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let mut image = [0; LARGEST];
    let len = read(cpu, insn, mem, &mut image)?;
    let environment = len - 8 * REGISTER;
    environment_from(cpu, &image[..environment]);
    for (i, register) in image[environment..len].chunks_exact(REGISTER).enumerate() {
        let p = cpu.x87.physical(i);
        cpu.x87.regs[p].copy_from_slice(register);
    }
    Ok(())
}

fn read(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, image: &mut [u8; LARGEST]) -> Result<usize, Halt> {
    let len = usize::from(insn.slot(0).size).min(LARGEST);
    let at = linear_of(cpu, insn, mem, AccessKind::Read)?;
    let access = mem.access(AccessKind::Read, len as u16);
    mem.read_image(at, &mut image[..len], &access)?;
    Ok(len)
}

fn store(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let len = usize::from(insn.slot(0).size).min(LARGEST);
    let width = if insn.osize() == 2 { 2 } else { 4 };
    let mut image = [0; LARGEST];
    for (word, place) in environment(cpu, width).iter().zip(image.chunks_exact_mut(width)) {
        place.copy_from_slice(&word.to_le_bytes()[..width]);
    }
    if len > WORDS * width {
        for (i, place) in image[WORDS * width..].chunks_exact_mut(REGISTER).take(8).enumerate() {
            place.copy_from_slice(&cpu.x87.regs[cpu.x87.physical(i)]);
        }
    }
    let at = linear_of(cpu, insn, mem, AccessKind::Write)?;
    let access = mem.access(AccessKind::Write, len as u16);
    mem.write_image(at, &image[..len], &access)
}

/// The seven entries of the image.
fn environment(cpu: &Cpu, width: usize) -> [u32; WORDS] {
    let x87 = &cpu.x87;
    let (fop, ip, dp) = (u32::from(x87.fop), x87.fip as u32, x87.fdp as u32);
    let (cs, ds) = (u32::from(x87.fcs), u32::from(x87.fds));
    let pointers = if cpu.mode().is_real_or_v86() {
        let (ip, dp) = (ip.wrapping_add(cs << 4), dp.wrapping_add(ds << 4));
        let (high_ip, high_dp) = (ip >> 16 << 12, dp >> 16 << 12);
        [ip & 0xffff | RESERVED, high_ip & 0x0fff_f000 | fop, dp & 0xffff | RESERVED, high_dp & 0x0fff_f000]
    } else if width == 2 {
        [ip, cs, dp, ds]
    } else {
        [ip, cs | fop << 16, dp, ds | RESERVED]
    };
    let [a, b, c, d] = pointers;
    [u32::from(x87.fcw) | RESERVED, u32::from(x87.fsw) | RESERVED, u32::from(tags(x87)) | RESERVED, a, b, c, d]
}

/// Takes the seven entries of `image`.
fn environment_from(cpu: &mut Cpu, image: &[u8]) {
    let wide = image.len() > 2 * WORDS;
    let width = if wide { 4 } else { 2 };
    let entry = |i: usize| {
        let bytes = &image[i * width..][..width];
        bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte))
    };
    let real = cpu.mode().is_real_or_v86();
    let x87 = &mut cpu.x87;
    // As FXRSTOR loads it: bit 6 reads as 1, what is reserved as 0.
    x87.fcw = entry(0) as u16 & 0x1f7f | 0x40;
    x87.fsw = entry(1) as u16;
    x87.ftw = in_use(entry(2) as u16);
    if real {
        let high = |i: usize| (entry(i) >> 12 << 16) & if wide { 0xffff_0000 } else { 0x000f_0000 };
        x87.fip = u64::from(entry(3) & 0xffff | high(4));
        x87.fdp = u64::from(entry(5) & 0xffff | high(6));
        (x87.fcs, x87.fds) = (0, 0);
        x87.fop = (entry(4) & FOP) as u16;
    } else {
        (x87.fip, x87.fdp) = (entry(3).into(), entry(5).into());
        (x87.fcs, x87.fds) = (entry(4) as u16, entry(6) as u16);
        x87.fop = (entry(4) >> 16 & FOP) as u16;
    }
    x87.update_summary();
}

/// The tag word: two bits a physical register.
fn tags(x87: &X87) -> u16 {
    (0..8).fold(0, |word, p| word | tag(x87, p) << (2 * p))
}

/// 0 valid, 1 zero, 2 special (a NaN, an infinity, a denormal, or no number at all), 3 empty.
fn tag(x87: &X87, p: usize) -> u16 {
    if x87.ftw >> p & 1 == 0 {
        return 3;
    }
    let [significand @ .., low, high] = x87.regs[p];
    let (significand, exponent) = (u64::from_le_bytes(significand), u16::from_le_bytes([low, high]) & 0x7fff);
    match exponent {
        0 if significand == 0 => 1,
        1..=0x7ffe if significand >> 63 != 0 => 0,
        _ => 2,
    }
}

/// The abridged tag word of a whole one: which registers are not empty.
pub(super) fn in_use(tags: u16) -> u8 {
    (0..8).fold(0, |bits, p| bits | u8::from(tags >> (2 * p) & 3 != 3) << p)
}

/// A tag word with the same registers empty. Loading it, processors look at nothing else.
pub(super) fn empty_tags(in_use: u8) -> u16 {
    (0..8).fold(0, |word, p| word | if in_use >> p & 1 == 0 { 3 << (2 * p) } else { 0 })
}
