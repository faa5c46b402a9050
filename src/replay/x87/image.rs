//! Environments and whole states in memory: FLDENV, FNSTENV, FRSTOR and FNSAVE (SDM volume 1, figures 8-9 to 8-12).
//!
//! An image has seven words or doublewords, by operand size. In real and virtual-8086 mode its pointers are linear addresses
//! and come with the opcode; in protected mode they are selectors and offsets, and the doublewords alone have the opcode.
//! The registers follow, ST(0) first.

use super::operand::{Place, place_part};
use crate::access::{Halt, Mem};
use crate::bus::{AccessKind, Vmm};
use crate::cpu::{Cpu, X87};
use crate::decode::Insn;
use crate::event::Stop;

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
    load(cpu, insn, mem)
}

/// FRSTOR.
pub(super) fn load_state(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    load(cpu, insn, mem)
}

/// Bytes of the image, and of its entries.
fn sizes(insn: &Insn) -> (usize, usize) {
    (usize::from(insn.slot(0).size).min(LARGEST), if insn.osize() == 2 { 2 } else { 4 })
}

/// The parts of an image that are accessed by themselves where it wraps around: offset and length.
pub(crate) fn parts(len: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    let registers = (WORDS * width..len).step_by(REGISTER).flat_map(|at| [(at, 8), (at + 8, 2)]);
    (0..WORDS).map(move |i| (i * width, width)).chain(registers)
}

fn load(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let (len, width) = sizes(insn);
    let mut image = [0; LARGEST];
    let place = Place::of(cpu, insn, mem, AccessKind::Read)?;
    let mut got = len;
    let mut result = Ok(());
    match place {
        Place::Whole(at) => {
            let access = mem.access(AccessKind::Read, len as u16);
            mem.read_image(at, &mut image[..len], &access)?;
        }
        Place::Wrapped => {
            for (at, part) in parts(len, width) {
                result = place_part(cpu, insn, mem, AccessKind::Read, at, part)
                    .and_then(|(linear, access)| mem.read(linear, &mut image[at..at + part], &access));
                if result.is_err() {
                    got = at;
                    break;
                }
            }
        }
    }
    if result.is_err() && !is_fault(&result) {
        return result;
    }
    take(cpu, &image[..got], width, got == len);
    result
}

fn is_fault(result: &Result<(), Halt>) -> bool {
    matches!(result, Err(Halt::Stop(Stop::Fault(_))))
}

fn store(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let (len, width) = sizes(insn);
    let mut image = [0; LARGEST];
    for (word, place) in environment(cpu, width).iter().zip(image.chunks_exact_mut(width)) {
        place.copy_from_slice(&word.to_le_bytes()[..width]);
    }
    if len > WORDS * width {
        for (i, place) in image[WORDS * width..].chunks_exact_mut(REGISTER).take(8).enumerate() {
            place.copy_from_slice(&cpu.x87.regs[cpu.x87.physical(i)]);
        }
    }
    match Place::of(cpu, insn, mem, AccessKind::Write)? {
        Place::Whole(at) => {
            let access = mem.access(AccessKind::Write, len as u16);
            mem.write_image_last(at, &image[..len], &access)
        }
        Place::Wrapped => parts(len, width).try_for_each(|(at, part)| {
            let (linear, access) = place_part(cpu, insn, mem, AccessKind::Write, at, part)?;
            mem.write(linear, &image[at..at + part], &access)
        }),
    }
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

/// Takes as much of an image as there is. A part that faults in a segment that the image wraps around in leaves what was
/// loaded before it, but for the control word, which comes last (as Zen 4 has it).
fn take(cpu: &mut Cpu, image: &[u8], width: usize, whole: bool) {
    let entry = |i: usize| {
        let bytes = image.get(i * width..(i + 1) * width)?;
        Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    };
    let real = cpu.mode().is_real_or_v86();
    let x87 = &mut cpu.x87;
    // As FXRSTOR loads it: bit 6 reads as 1, what is reserved as 0.
    if whole && let Some(fcw) = entry(0) {
        x87.fcw = fcw as u16 & 0x1f7f | 0x40;
    }
    x87.fsw = entry(1).map_or(x87.fsw, |fsw| fsw as u16);
    x87.ftw = entry(2).map_or(x87.ftw, |tags| in_use(tags as u16));
    if let (Some(ip), Some(cs), Some(dp), Some(ds)) = (entry(3), entry(4), entry(5), entry(6)) {
        if real {
            let high = |word: u32| (word >> 12 << 16) & if width == 4 { 0xffff_0000 } else { 0x000f_0000 };
            x87.fip = u64::from(ip & 0xffff | high(cs));
            x87.fdp = u64::from(dp & 0xffff | high(ds));
            (x87.fcs, x87.fds) = (0, 0);
            x87.fop = (cs & FOP) as u16;
        } else {
            (x87.fip, x87.fdp) = (ip.into(), dp.into());
            (x87.fcs, x87.fds) = (cs as u16, ds as u16);
            x87.fop = (cs >> 16 & FOP) as u16;
        }
    }
    let registers = image.get(WORDS * width..).unwrap_or_default();
    for (i, register) in registers.chunks_exact(REGISTER).enumerate() {
        let p = x87.physical(i);
        x87.regs[p].copy_from_slice(register);
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
