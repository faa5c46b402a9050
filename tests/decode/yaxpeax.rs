//! yaxpeax-x86's reading of the same bytes, where it has one: length and text.

use super::rules::Difference;
use encore86::decode::{Repeat, SlotKind};
use encore86::isa::row::attr;
use encore86::{Insn, Mode};
use yaxpeax_arch::LengthedInstruction;
use yaxpeax_x86::{long_mode, protected_mode, real_mode};

/// Length and text, or `None` where it refuses.
pub fn decode(bytes: &[u8], mode: Mode) -> Option<(usize, String)> {
    macro_rules! with {
        ($module:ident) => {{
            let insn = $module::InstDecoder::default().decode_slice(bytes).ok()?;
            Some((insn.len().to_const() as usize, insn.to_string()))
        }};
    }
    match mode.bits() {
        64 => with!(long_mode),
        32 => with!(protected_mode),
        _ => with!(real_mode),
    }
}

/// What is different.
pub fn compare(insn: &Insn, (length, text): (usize, String)) -> Vec<Difference> {
    if length != insn.length() {
        return vec![("length", format!("{} against {length}", insn.length()))];
    }
    let (mut ours, theirs) = (insn.to_string().replace(" ptr ", " "), normal(text, insn));
    if insn.row().is(attr::REP) {
        let words = if ours.starts_with("rep") { 2 } else { 1 };
        ours = ours.split(' ').take(words).collect::<Vec<_>>().join(" ");
    }
    let word = |text: &str| text.split(' ').find(|w| !w.starts_with("rep")).unwrap_or("").to_string();
    if word(&ours) != word(&theirs) {
        return vec![("mnemonic", format!("{} against {}", word(&ours), word(&theirs)))];
    }
    let (ours, our_address) = apart(&ours);
    let (theirs, their_address) = apart(&theirs);
    let mut out = vec![];
    if our_address != their_address {
        out.push(("address", format!("{our_address} against {their_address}")));
    }
    if ours != theirs {
        out.push(("text", format!("{ours} against {theirs}")));
    }
    out
}

/// A text without its address, and the address with its segment.
fn apart(text: &str) -> (String, String) {
    let Some((before, rest)) = text.split_once('[') else { return (text.to_string(), String::new()) };
    let (address, behind) = rest.split_once(']').unwrap_or((rest, ""));
    let (before, segment) = match before.strip_suffix(':').and_then(|b| b.rsplit_once(' ')) {
        Some((b, s)) => (format!("{b} "), format!("{s}:")),
        None => (before.to_string(), String::new()),
    };
    // It has a scale of 1 everywhere or nowhere, and absolute addresses of 32 bits.
    let absolute = address.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let address = absolute.map_or(address.replace("*1", ""), |a| format!("{:#x}", a as u32));
    (format!("{before}[]{behind}"), format!("{segment}[{address}]"))
}

/// Its names of conditions and repetitions.
const NAMES: [(&str, &str); 14] = [
    ("repnz ", "repne "),
    ("jnz", "jne"),
    ("jz", "je"),
    ("jna", "jbe"),
    ("jnb", "jae"),
    ("setnz", "setne"),
    ("setz", "sete"),
    ("cmovnz", "cmovne"),
    ("cmovz", "cmove"),
    ("cmovna", "cmovbe"),
    ("cmovnb", "cmovae"),
    ("loopnz", "loopne"),
    ("loopz", "loope"),
    ("sal ", "shl "),
];

/// Its text as ours is written.
fn normal(text: String, insn: &Insn) -> String {
    // String instructions have their width in the name. Their operands are left to other decoders.
    if let Some((name, _)) = insn.row().is(attr::REP).then(|| text.rsplit_once("s ")).flatten() {
        let letter = insn.row().mnemonic.chars().last().unwrap_or(' ');
        let (rep, name) = name.split_once(' ').unwrap_or(("", name));
        let rep = match insn.repeat() {
            None => "",
            Some(_) if rep.is_empty() => "",
            Some(Repeat::Rep) => "rep ",
            Some(Repeat::Repe) => "repe ",
            Some(Repeat::Repne) => "repne ",
        };
        return format!("{rep}{name}s{letter}");
    }
    let mut text = text.replace(" + ", "+").replace(" - ", "-").replace(" * ", "*");
    for (theirs, ours) in NAMES {
        if let Some(rest) = text.strip_prefix(theirs) {
            text = format!("{ours}{rest}");
            break;
        }
    }
    text = text.replace("+0x0]", "]").replace("-0x0]", "]");
    // It shows the ST(0) that is implied.
    let shown = (0..insn.slots().len()).filter(|&i| !insn.implicit(i)).count();
    if text.starts_with('f') && text.matches(", ").count() >= shown.max(1) {
        text = text.replacen(" st(0), ", " ", 1);
        text = text.strip_suffix(", st(0)").map_or(text.clone(), str::to_string);
    }
    text = text.replace(" mword ", " tbyte ").replace(" far ", " fword ").replace(" ptr ", " ");
    // Rounding stands behind the operands; an opmask that is an operand at what it masks.
    if insn.static_rounding().is_some() {
        for rounding in ["{rn-sae}", "{rd-sae}", "{ru-sae}", "{rz-sae}", "{sae}"] {
            if let Some((before, behind)) = text.split_once(rounding) {
                text = format!("{before}{behind}, {rounding}");
            }
        }
    }
    if let Some(k) = insn.opmask() {
        text = text.replacen(&format!(", k{k}"), &format!("{{k{k}}}"), usize::from(insn.row().is(attr::VSIB)));
    }
    // Immediates have no sign, and targets of branches are counted from the instruction's end.
    if let Some((before, last)) = text.rsplit_once(' ') {
        let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let negative = last.strip_prefix("-0x").and_then(number).map(u64::wrapping_neg);
        let relative = last.strip_prefix("$-0x").and_then(number).map(u64::wrapping_neg);
        let relative = relative.or(last.strip_prefix("$+0x").and_then(number));
        if let Some(slot) = insn.slots().iter().rev().find(|s| s.kind == SlotKind::Imm)
            && let Some(value) = negative
        {
            let mask = u64::MAX >> (64 - u32::from(slot.size.clamp(1, 8)) * 8);
            text = format!("{before} {:#x}", value & mask);
        } else if relative.is_some_and(|r| r == insn.immediate()) {
            text = format!("{before} {:#x}", insn.branch_target(0));
        }
    }
    text
}
