//! The same bytes through iced-x86: length, mnemonic, operands, memory and how it is used.

use super::support::encode::{self, Form};
use super::support::fuzz::Random;
use super::support::machine::MODES;
use super::support::newer::is_newer;
use encore86::decode::SlotKind;
use encore86::isa::row::Use;
use encore86::{Insn, Mode, Profile, decode};
use iced_x86::{Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use std::collections::BTreeMap;

fn theirs(bytes: &[u8], mode: Mode) -> Instruction {
    Decoder::with_ip(u32::from(mode.bits()), bytes, 0x1000, DecoderOptions::MPX).decode()
}

/// Where the two differ by name and neither is wrong: ours, iced's.
const NAMES: &[(&str, &str)] = &[
    // Group 2 with digit 6, an alias that the manual does not list.
    ("shl", "sal"),
    // Conditions with two names.
    ("cmpaexadd", "cmpnbxadd"),
    ("cmpexadd", "cmpzxadd"),
    ("cmpnexadd", "cmpnzxadd"),
    ("cmpaxadd", "cmpnbexadd"),
    ("cmpgexadd", "cmpnlxadd"),
    ("cmpgxadd", "cmpnlexadd"),
    // The NOPs of 0F 0D and 0F 18 to 0F 1E, which newer instructions take away piece by piece.
    ("nop", "reservednop"),
    ("nop", "cldemote"),
    ("nop", "prefetchit0"),
    ("nop", "prefetchit1"),
    ("nop", "prefetch"),
    ("nop", "prefetchw"),
    ("nop", "rdsspd"),
    ("nop", "rdsspq"),
    // Newer than iced.
    ("ibhf", "reservednop"),
    ("prefetchrst2", "reservednop"),
    // One name in the manual.
    ("sysret", "sysretq"),
    ("sysexit", "sysexitq"),
    ("getsec", "getsecq"),
];

fn same_name(ours: &str, theirs: Mnemonic) -> bool {
    let theirs = format!("{theirs:?}").to_lowercase();
    ours == theirs || NAMES.contains(&(ours, theirs.as_str()))
}

/// A register as iced names it, for the kinds that explicit operands have.
fn register(insn: &Insn, i: usize) -> Option<String> {
    let slot = insn.slots()[i];
    let vector = match slot.size {
        0..=16 => "xmm",
        17..=32 => "ymm",
        _ => "zmm",
    };
    Some(match slot.kind {
        SlotKind::Vector => format!("{vector}{}", slot.reg),
        SlotKind::Mask => format!("k{}", slot.reg),
        SlotKind::St => format!("st{}", slot.reg),
        _ => return None,
    })
}

/// What is wrong with our reading of `bytes`, if anything.
fn compare(insn: &Insn, bytes: &[u8], mode: Mode) -> Result<(), String> {
    let other = theirs(bytes, mode);
    if other.is_invalid() && is_newer(insn.row()) {
        return Ok(());
    }
    if other.is_invalid() {
        return Err("iced calls it invalid".into());
    }
    if other.len() != insn.length() {
        return Err(format!("length {} against iced's {}", insn.length(), other.len()));
    }
    let name = insn.mnemonic().to_string();
    if !same_name(&name, other.mnemonic()) {
        return Err(format!("{name} against iced's {:?}", other.mnemonic()));
    }
    registers(insn, &other)?;
    memory(insn, &other)
}

fn registers(insn: &Insn, other: &Instruction) -> Result<(), String> {
    let ours: Vec<String> = (0..insn.slots().len())
        .filter(|&i| !insn.row().operands[i].implicit)
        .filter_map(|i| register(insn, i))
        .collect();
    let theirs: Vec<String> = (0..other.op_count())
        .filter(|&i| other.op_kind(i) == OpKind::Register)
        .map(|i| other.op_register(i))
        .filter(|r| r.is_vector_register() || r.is_k() || r.is_st())
        .map(|r| format!("{r:?}").to_lowercase())
        .collect();
    if ours != theirs {
        return Err(format!("registers {ours:?} against iced's {theirs:?}"));
    }
    let mask = insn.opmask().map_or("none".to_string(), |k| format!("k{k}"));
    let their_mask = format!("{:?}", other.op_mask()).to_lowercase();
    if mask != their_mask || insn.zeroing() != other.zeroing_masking() {
        return Err(format!("opmask {mask} against iced's {their_mask}"));
    }
    Ok(())
}

fn memory(insn: &Insn, other: &Instruction) -> Result<(), String> {
    let at = (0..other.op_count()).find(|&i| other.op_kind(i) == OpKind::Memory);
    let (Some((slot, uses)), Some(at)) = (insn.memory(), at) else {
        return if insn.memory().is_none() && at.is_none() { Ok(()) } else { Err("memory operand or none".into()) };
    };
    let size = other.memory_size().size();
    if uses != Use::None && usize::from(slot.size) != size {
        return Err(format!("{} bytes of memory against iced's {size}", slot.size));
    }
    if insn.broadcast().is_some() != other.is_broadcast() {
        return Err("broadcast or none".into());
    }
    let mut factory = InstructionInfoFactory::new();
    let access = factory.info(other).op_access(at);
    let reads = matches!(access, OpAccess::Read | OpAccess::ReadWrite | OpAccess::ReadCondWrite | OpAccess::CondRead);
    let writes =
        matches!(access, OpAccess::Write | OpAccess::ReadWrite | OpAccess::ReadCondWrite | OpAccess::CondWrite);
    if (uses.reads(), uses.writes()) != (reads, writes) {
        return Err(format!("memory is used {uses:?} against iced's {access:?}"));
    }
    address(insn, other)
}

fn address(insn: &Insn, other: &Instruction) -> Result<(), String> {
    let ours = insn.memory_operand().ok_or("no memory operand")?;
    let number = |r: Register| (r != Register::None && !r.is_ip()).then(|| r.number() as u8);
    let width = u64::MAX >> (64 - u32::from(ours.address_size) * 8);
    let disp = if ours.rip_relative {
        other.memory_displacement64().wrapping_sub(0x1000 + insn.length() as u64)
    } else {
        other.memory_displacement64()
    };
    let mine = (ours.rip_relative, ours.base, ours.index, ours.disp as u64 & width, ours.seg.name());
    let segment = format!("{:?}", other.memory_segment()).to_lowercase();
    // In 64-bit mode only FS and GS have a base; which of the others is meant shows in #SS against #GP only.
    let based = |name: &str| insn.mode() != Mode::Long64 || matches!(name, "fs" | "gs");
    let segment = if based(&segment) || based(ours.seg.name()) { segment.as_str() } else { ours.seg.name() };
    let its =
        (other.memory_base().is_ip(), number(other.memory_base()), number(other.memory_index()), disp & width, segment);
    if mine != its || ours.index.is_some() && u32::from(ours.scale) != other.memory_index_scale() {
        return Err(format!("address {mine:x?} against iced's {its:x?}"));
    }
    Ok(())
}

/// Forms on which the two differ for a reason: what our text begins with, what the difference says, the reason.
const FORMS: &[(&str, &str, &str)] = &[
    ("blendvp", "registers", "iced does not count the implicit XMM0, which the manual shows"),
    ("pblendvb", "registers", "the same"),
    ("movrs", "iced calls it invalid", "newer than iced"),
    ("udb", "iced calls it invalid", "the same"),
    ("urdmsr", "iced calls it invalid", "the same"),
    ("uwrmsr", "iced calls it invalid", "the same"),
    ("rdpru", "iced calls it invalid", "no manual refuses 66"),
    ("rep montmul", "iced calls it invalid", "iced has it with 32-bit addresses alone"),
    ("xlatb", "memory operand or none", "iced shows DS:[rBX+AL], which the manual does not"),
];

fn excused(insn: &Insn, why: &str) -> bool {
    let text = insn.to_string();
    FORMS.iter().any(|(form, difference, _)| text.starts_with(form) && why.starts_with(difference))
}

/// Fails with the first of the differences.
fn report(compared: usize, wrong: &BTreeMap<String, (usize, String)>) {
    println!("{compared} encodings compared");
    let list: Vec<_> =
        wrong.iter().take(60).map(|(what, (n, example))| format!("{n} times {what}: {example}")).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), list.join("\n"));
}

#[test]
fn every_row() {
    let profile = Profile::all();
    let mut wrong = BTreeMap::new();
    let mut compared = 0;
    for mode in MODES {
        for Form { insn, bytes, .. } in encode::all(mode, &profile, 0x2_1000) {
            compared += 1;
            if let Err(why) = compare(&insn, &bytes, mode)
                && !excused(&insn, &why)
            {
                wrong.entry(format!("{insn}: {why}")).or_insert((0, format!("{bytes:02x?} in {mode:?}"))).0 += 1;
            }
        }
    }
    report(compared, &wrong);
    assert!(compared > 10_000);
}

/// Bytes on which one decodes and the other refuses, for a reason: a part of what is reported, the reason.
const REFUSALS: &[(&str, &str)] = &[
    ("need protected mode", "iced decodes by width and does not know real and virtual-8086 mode"),
    ("an instruction of other processors", "iced decodes what any maker has"),
    ("bounds of", "the manual refuses 16-bit addresses without a memory operand too"),
    ("xchg against iced's Pause", "F3 41 90 exchanges on AMD processors (seen on Zen 3)"),
];

/// Encodings of rows with bytes changed at random: registers, addresses, prefixes, lengths, reserved bits.
#[test]
fn neighbours_of_every_row() {
    let profile = Profile::all();
    let forms: Vec<Form> = MODES.iter().flat_map(|&mode| encode::all(mode, &profile, 0x2_1000)).collect();
    let mut random = Random(0x1ced);
    let (mut wrong, mut compared, mut unknown) = (BTreeMap::new(), 0, 0);
    for _ in 0..if cfg!(debug_assertions) { 100_000 } else { 2_000_000 } {
        let form = &forms[random.next() as usize % forms.len()];
        let mut bytes = [0; 24];
        random.fill(&mut bytes);
        let mut at = 0;
        while random.next().is_multiple_of(4) && at < 6 {
            const PREFIXES: [u8; 12] = [0x66, 0x67, 0x2e, 0x36, 0x64, 0x65, 0xf0, 0xf2, 0xf3, 0x41, 0x44, 0x4f];
            bytes[at] = PREFIXES[random.next() as usize % 12];
            at += 1;
        }
        bytes[at..at + form.bytes.len()].copy_from_slice(&form.bytes);
        for _ in 0..random.next() % 3 {
            let change = at + random.next() as usize % 8;
            bytes[change] = random.next() as u8;
        }
        let bytes = &bytes[..15];
        let other = theirs(bytes, form.mode);
        let refusal = match decode(bytes, form.mode, &profile) {
            Ok(insn) => match compare(&insn, bytes, form.mode) {
                Err(why) if !excused(&insn, &why) => Some((insn.mnemonic().to_string(), why)),
                _ => {
                    compared += 1;
                    None
                }
            },
            Err(encore86::DecodeError::Unknown) => {
                unknown += 1;
                None
            }
            Err(why) if !other.is_invalid() => Some((format!("{:?}", other.mnemonic()), why.to_string())),
            Err(_) => None,
        };
        if let Some((name, why)) = refusal {
            let what = format!("{name}: {why}");
            if !REFUSALS.iter().any(|(part, _)| what.contains(part)) {
                // One line a kind of difference: numbers aside.
                let kind = what.replace(|c: char| c.is_ascii_digit(), "");
                wrong.entry(kind).or_insert((0, format!("{what}: {bytes:02x?} in {:?}", form.mode))).0 += 1;
            }
        }
    }
    println!("{unknown} of no row");
    report(compared, &wrong);
}
