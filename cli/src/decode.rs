//! `encore86 decode`: what is this instruction. Hex strings in, JSON Lines out.

use crate::lines::{self, Line};
use crate::model::Wanted;
use crate::number::{Bytes, MODES, Number, choose};
use encore86::cpu::segment::Seg;
use encore86::decode::Repeat;
use encore86::decode::{DecodeError, Insn, Slot, SlotKind, StaticRounding};
use encore86::isa::Feature;
use encore86::isa::row::Use;
use encore86::{Mode, Profile, decode};
use serde::Serialize;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to decode.
#[derive(clap::Args)]
pub struct Args {
    /// Operating mode: real16, v86, prot16, prot32, compat16, compat32 or long64.
    #[arg(long, default_value = "long64", value_parser = |name: &str| choose("mode", name, &MODES))]
    mode: Mode,
    /// Processor: host, all, a model, or an object of features as in a case of `exec`.
    #[arg(long, default_value = "host", value_parser = profile)]
    profile: Box<Profile>,
    /// Hex strings, one a line; standard input without it.
    file: Option<PathBuf>,
}

fn profile(text: &str) -> Result<Box<Profile>, String> {
    Wanted::parse(text)?.find().map(Box::new)
}

/// Runs the command: status 2 if a line was no hex string, else 0.
pub fn main(args: &Args) -> ExitCode {
    lines::status(lines::open(args.file.as_deref()).and_then(|mut input| {
        lines::answer(&mut *input, |line, output| {
            let answer = answer(line, args.mode, &args.profile);
            serde_json::to_writer(&mut *output, &answer)?;
            output.write_all(b"\n")?;
            Ok::<_, io::Error>(!matches!(answer, Answer::Error { error: MALFORMED, .. }))
        })
    }))
}

/// The error of a line that is no hex string.
const MALFORMED: &str = "malformed";

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Insn(Box<Description>),
    Error { hex: String, error: &'static str, reason: String },
}

#[derive(Debug, Serialize)]
struct Description {
    hex: String,
    length: usize,
    mnemonic: String,
    form: String,
    isa_set: String,
    text: String,
    operands: Vec<Operand>,
    lock: bool,
    rep: Option<&'static str>,
    mask: Option<u8>,
    zeroing: bool,
    broadcast: Option<u8>,
    rounding: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Operand {
    #[serde(flatten)]
    place: Place,
    access: &'static str,
    size: u16,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    implicit: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Place {
    Reg { reg: String },
    Mem { seg: &'static str, base: Option<String>, index: Option<String>, scale: u8, disp: Number, address_size: u8 },
    Imm { value: Number },
    Rel { target: Number },
}

fn answer(line: Line, mode: Mode, profile: &Profile) -> Answer {
    let error = |hex, error, reason| Answer::Error { hex, error, reason };
    let hex = match line {
        Line::Text(hex) => hex,
        Line::Malformed(why) => return error(String::new(), MALFORMED, why),
    };
    let bytes = match Bytes::parse(hex.trim()) {
        Ok(Bytes(bytes)) => bytes,
        Err(why) => return error(hex, MALFORMED, why),
    };
    match decode(&bytes, mode, profile) {
        Ok(insn) => Answer::Insn(Box::new(describe(hex, &insn))),
        Err(why) => {
            let name = match why {
                DecodeError::Truncated => "truncated",
                DecodeError::TooLong => "too_long",
                DecodeError::Invalid(_) => "invalid",
            };
            error(hex, name, why.to_string())
        }
    }
}

fn describe(hex: String, insn: &Insn) -> Description {
    Description {
        hex,
        length: insn.length(),
        mnemonic: insn.mnemonic().to_string(),
        form: insn.row().form().to_string(),
        isa_set: isa_set(insn),
        text: insn.to_string(),
        operands: (0..insn.slots().len()).map(|i| operand(insn, i)).collect(),
        lock: insn.locked(),
        rep: insn.repeat().map(|repeat| match repeat {
            Repeat::Rep => "rep",
            Repeat::Repe => "repe",
            Repeat::Repne => "repne",
        }),
        mask: insn.opmask(),
        zeroing: insn.zeroing(),
        broadcast: insn.broadcast(),
        rounding: insn.static_rounding().map(|rounding| match rounding {
            StaticRounding::Nearest => "rn",
            StaticRounding::Down => "rd",
            StaticRounding::Up => "ru",
            StaticRounding::Zero => "rz",
            StaticRounding::Sae => "sae",
        }),
    }
}

/// The feature that brought the instruction, by the name that manuals use.
fn isa_set(insn: &Insn) -> String {
    let feature = insn.row().features[0];
    match feature {
        Feature::Sse3 => "SSE3".to_owned(),
        Feature::Lzcnt => "LZCNT".to_owned(),
        Feature::Sha => "SHA".to_owned(),
        Feature::ThreeDNow => "3DNOW".to_owned(),
        other => other.name().to_uppercase(),
    }
}

fn operand(insn: &Insn, i: usize) -> Operand {
    let slot = insn.slots()[i];
    let access = match insn.uses(i) {
        Use::None => "none",
        Use::Read => "r",
        Use::Write => "w",
        Use::CondWrite => "cw",
        Use::ReadWrite | Use::ReadCondWrite => "rw",
    };
    Operand { place: place(insn, slot), access, size: slot.size, implicit: insn.implicit(i) }
}

fn place(insn: &Insn, slot: Slot) -> Place {
    match slot.kind {
        SlotKind::Memory | SlotKind::Vsib => match insn.memory_operand() {
            Some(m) => Place::Mem {
                seg: m.seg.name(),
                base: m.base_name().map(|name| name.to_string()),
                index: m.index_name().map(|name| name.to_string()),
                scale: m.scale,
                disp: Number(low_bytes(m.disp as u64, m.address_size.into())),
                address_size: m.address_size,
            },
            None => Place::Reg { reg: slot.register_name().to_string() },
        },
        SlotKind::StringSrc => string(insn, insn.segment(), ["si", "esi", "rsi"]),
        SlotKind::StringDst => string(insn, Seg::Es, ["di", "edi", "rdi"]),
        SlotKind::Imm => {
            Place::Imm { value: Number(low_bytes(insn.immediate() >> (u32::from(slot.reg) * 8), slot.size)) }
        }
        SlotKind::One => Place::Imm { value: Number(1) },
        SlotKind::Rel => Place::Rel { target: Number(insn.branch_target(0)) },
        _ => Place::Reg { reg: slot.register_name().to_string() },
    }
}

fn string(insn: &Insn, seg: Seg, names: [&str; 3]) -> Place {
    let address_size = insn.address_size();
    let base = names[usize::from(address_size.trailing_zeros().clamp(1, 3) as u8 - 1)];
    Place::Mem { seg: seg.name(), base: Some(base.to_owned()), index: None, scale: 1, disp: Number(0), address_size }
}

/// The low `size` bytes of a number.
fn low_bytes(value: u64, size: u16) -> u64 {
    if size >= 8 { value } else { value & ((1 << (size * 8)) - 1) }
}
