//! LLVM's disassembler on what iced-x86 does not know: many encodings in one process.
//!
//! Each encoding is a block of its own, followed by a MOV of its number to EAX, which tells where its text ends.

use super::rules::Difference;
use encore86::Insn;
use encore86::decode::SlotKind;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Debian's name of the program, and the general one.
const PROGRAMS: [&str; 2] = ["llvm-mc-19", "llvm-mc"];

/// The program, if one is there that knows APX: version 19 or later.
pub fn program() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| {
        let out = Command::new(program).arg("--version").output();
        let text = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        let version = text.split("LLVM version ").nth(1).and_then(|v| v.split('.').next()?.parse::<u32>().ok());
        version.is_some_and(|v| v >= 19)
    })
}

/// What it says of an encoding: the text of one instruction that is as long as the bytes, or why there is none.
pub type Answer = Result<String, &'static str>;

const FIRST: usize = 0x5ec0_0000;

/// Disassembles each of `encodings`, 64-bit code.
pub fn ask(program: &str, encodings: &[&[u8]]) -> Vec<Answer> {
    let mut input = String::new();
    for (i, bytes) in encodings.iter().enumerate() {
        let list = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:#04x}")).collect::<Vec<_>>().join(",");
        let number = (FIRST + i) as u32;
        _ = writeln!(input, "[{}]\n[0xb8,{}]", list(bytes), list(&number.to_le_bytes()));
    }
    let mut child = Command::new(program)
        .args(["--disassemble", "--output-asm-variant=1", "--print-imm-hex", "-triple", "x86_64"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the disassembler starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the disassembler ends");
    writer.join().expect("the input is written").expect("the disassembler reads its input");
    answers(encodings.len(), &String::from_utf8_lossy(&output.stdout), &String::from_utf8_lossy(&output.stderr))
}

fn answers(count: usize, stdout: &str, stderr: &str) -> Vec<Answer> {
    // Lines of the input on which bytes were refused.
    let mut refused: HashMap<usize, ()> = HashMap::new();
    for line in stderr.lines().filter(|l| l.contains("invalid instruction encoding")) {
        if let Some(number) = line.strip_prefix("<stdin>:").and_then(|l| l.split(':').next()?.parse().ok()) {
            refused.insert(number, ());
        }
    }
    let mut out = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    let mut prefix = String::new();
    for line in stdout.lines().map(|l| l.trim().replace('\t', " ")).filter(|l| !l.is_empty() && l != ".text") {
        if line == format!("mov eax, {:#x}", FIRST + out.len()) {
            let refused = refused.contains_key(&(out.len() * 2 + 1));
            if !prefix.is_empty() {
                texts.push(std::mem::take(&mut prefix));
            }
            out.push(match (texts.len(), refused) {
                (0, _) => Err("invalid"),
                (1, false) => Ok(texts.remove(0)),
                _ => Err("shorter"),
            });
            texts.clear();
        } else if matches!(line.as_str(), "lock" | "rep" | "repne" | "data16" | "addr32" | "rex64") {
            // A prefix has a line of its own.
            prefix = format!("{prefix}{line} ");
        } else {
            texts.push(format!("{}{line}", std::mem::take(&mut prefix)));
        }
    }
    assert_eq!(out.len(), count, "the disassembler lost its place");
    out
}

/// What the bytes have that LLVM has no opinion of its own on, for the list of disagreements.
fn peculiar(bytes: &[u8]) -> &'static str {
    let at = bytes.iter().position(|b| matches!(b, 0x62 | 0xd5)).unwrap_or(0);
    let (before, rest) = bytes.split_at(at);
    let wide = match rest {
        [0x62, _, two, ..] => two & 0x83 == 0x81,
        [0xd5, payload, ..] => payload & 8 != 0 && before.contains(&0x66),
        _ => false,
    };
    match () {
        () if wide => ", 66 with W",
        () if before.contains(&0x66) && (before.contains(&0xf3) || before.contains(&0xf2)) => ", 66 with F3 or F2",
        () => "",
    }
}

/// What is different.
pub fn compare(insn: &Insn, bytes: &[u8], answer: &Answer) -> Vec<Difference> {
    let theirs = match answer {
        Ok(text) => normal(text, insn),
        Err(why) => return vec![("validity", format!("valid against {why}{}", peculiar(bytes)))],
    };
    let mut ours = insn.to_string();
    // It says EVEX only where there is a form with a new destination too.
    if !theirs.starts_with("{evex}") {
        ours = ours.trim_start_matches("{evex} ").to_string();
    }
    if ours == theirs { vec![] } else { vec![("text", format!("{ours} against {theirs}{}", peculiar(bytes)))] }
}

/// Prefixes that change nothing.
const PREFIXES: [&str; 5] = ["addr32", "data16", "rex64", "rep", "repne"];

/// LLVM's text as ours is written.
fn normal(text: &str, insn: &Insn) -> String {
    // Addresses without spaces, the scale behind the index.
    let text = text.split('#').next().unwrap_or("").trim_end();
    let mut words: Vec<&str> = text.split(' ').filter(|w| !w.is_empty()).collect();
    words.retain(|w| !PREFIXES.contains(w));
    let mut text = words.join(" ");
    for opmask in 0..8 {
        text = text.replace(&format!(" {{k{opmask}}}"), &format!("{{k{opmask}}}"));
    }
    text = text.replace(" {z}", "{z}");
    // Segments without a base, and a SIB byte without an index, which it calls RIZ.
    for segment in ["es:", "cs:", "ss:", "ds:"] {
        text = text.replace(segment, "");
    }
    for scale in ["2*", "4*", "8*", ""] {
        for riz in ["riz", "eiz"] {
            text = text.replace(&format!(" + {scale}{riz}"), "").replace(&format!("{scale}{riz} + "), "");
            text = text.replace(&format!("{scale}{riz} - 0x"), "-0x").replace(&format!("[{scale}{riz}]"), "[0x0]");
        }
    }
    if let Some((before, rest)) = text.split_once('[')
        && let Some((address, behind)) = rest.split_once(']')
    {
        let mut terms = String::new();
        for term in address.split_inclusive([' ']).map(str::trim) {
            match term.split_once('*') {
                Some((scale, index)) => terms = format!("{terms}{index}*{scale}"),
                None => terms.push_str(term),
            }
        }
        if !terms.contains('+') {
            // A register alone is base or index; absolute addresses have no sign.
            let absolute = terms.strip_prefix("-0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
            if let Some(address) = absolute {
                let width = u64::MAX >> (64 - u32::from(insn.address_size()) * 8);
                terms = format!("{:#x}", address.wrapping_neg() & width);
            }
        }
        text = format!("{before}[{terms}]{behind}");
    }
    // Rounding stands behind the operands.
    if insn.static_rounding().is_some() {
        for rounding in ["{rn-sae}", "{rd-sae}", "{ru-sae}", "{rz-sae}", "{sae}"] {
            if let Some((before, behind)) = text.split_once(&format!(", {rounding}")) {
                text = format!("{before}{behind}, {rounding}");
            }
        }
    }
    // It leaves out the count of a shift by one.
    if insn.slots().iter().any(|s| s.kind == SlotKind::One) {
        text.push_str(", 1");
    }
    // Immediates have no sign, and targets of branches are counted from the instruction's end.
    if let Some((before, last)) = text.rsplit_once(' ') {
        let number = |text: &str| match text.strip_prefix("-0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::wrapping_neg),
            None => u64::from_str_radix(text.strip_prefix("0x")?, 16).ok(),
        };
        if let Some(value) = number(last) {
            let slots = insn.slots();
            if slots.iter().any(|s| s.kind == SlotKind::Rel) && value == insn.immediate() {
                text = format!("{before} {:#x}", insn.branch_target(0));
            } else if let Some(slot) = slots.iter().rev().find(|s| s.kind == SlotKind::Imm) {
                let mask = u64::MAX >> (64 - u32::from(slot.size.clamp(1, 8)) * 8);
                text = format!("{before} {:#x}", value & mask);
            }
        }
    }
    text
}
