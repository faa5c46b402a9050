//! Operands: how many, of what kind, which register, how wide, how used.

use crate::encode::{DISP, Encoding, INDEX, IS4, REG, RM, VVVV};
use crate::file::{Form, Operand, bits};
use crate::report::Found;
use encore86::Insn;
use encore86::decode::Slot;
use encore86::isa::row::Use;

/// Classes of operands, with the names of `SlotKind` that stand for them.
const KINDS: &[(&str, &[&str])] = &[
    ("gpr8", &["Gpr"]),
    ("gpr16", &["Gpr"]),
    ("gpr32", &["Gpr"]),
    ("gpr64", &["Gpr"]),
    ("gprv", &["Gpr"]),
    ("gpry", &["Gpr"]),
    ("gprz", &["Gpr"]),
    ("a_gpr", &["Gpr"]),
    ("vgpr32", &["Gpr"]),
    ("vgpr64", &["Gpr"]),
    ("vgpry", &["Gpr"]),
    ("xmm", &["Vector"]),
    ("ymm", &["Vector"]),
    ("zmm", &["Vector"]),
    ("mask", &["Mask"]),
    ("mmx", &["Mmx"]),
    ("st", &["St"]),
    ("sreg", &["Segment"]),
    ("cr", &["Control"]),
    ("dr", &["Debug"]),
    ("bnd", &["Bound"]),
    ("tmm", &["Tile"]),
    ("mem", &["Memory", "Vsib"]),
    ("agen", &["Memory"]),
    ("imm", &["Imm"]),
    ("imm2", &["Imm"]),
    ("ptr", &["Imm"]),
    ("rel", &["Rel"]),
    ("absbr", &["Imm", "Rel"]),
];

/// Fixed registers: kind, number and width, 0 where it has none.
fn fixed(name: &str, encoding: &Encoding) -> Option<(&'static str, u8, u16)> {
    let (osize, asize) = (u16::from(encoding.osize), u16::from(encoding.asize));
    Some(match name {
        "AL" => ("Gpr", 0, 1),
        "CL" => ("Gpr", 1, 1),
        "AH" => ("GprHigh", 0, 1),
        "AX" => ("Gpr", 0, 2),
        "DX" => ("Gpr", 2, 2),
        "EAX" => ("Gpr", 0, 4),
        "ECX" => ("Gpr", 1, 4),
        "EDX" => ("Gpr", 2, 4),
        "RAX" => ("Gpr", 0, 8),
        "RCX" => ("Gpr", 1, 8),
        "RDX" => ("Gpr", 2, 8),
        "OrAX" => ("Gpr", 0, osize),
        "OeAX" => ("Gpr", 0, osize.min(4)),
        "ArAX" => ("Gpr", 0, asize),
        "ES" => ("Segment", 0, 0),
        "CS" => ("Segment", 1, 0),
        "SS" => ("Segment", 2, 0),
        "DS" => ("Segment", 3, 0),
        "FS" => ("Segment", 4, 0),
        "GS" => ("Segment", 5, 0),
        "ST0" => ("St", 0, 0),
        "XMM0" => ("Vector", 0, 0),
        "BSR0" => ("Bsr", 0, 0),
        _ => return None,
    })
}

/// The register that a field was given.
fn number(form: &Form, field: &str) -> Option<u8> {
    match field.split('!').next()? {
        "reg" => Some(REG),
        "rm" => Some(RM),
        "vvvv" => Some(VVVV),
        "is4" => Some(IS4),
        "opc" if form.has("REXB=1") => Some(8),
        "opc" if form.has("REXB4=1") => Some(16),
        "opc" => Some(RM),
        _ => None,
    }
}

fn uses(text: &str) -> Option<Use> {
    Some(match text {
        "r" => Use::Read,
        "w" => Use::Write,
        "rw" => Use::ReadWrite,
        "cw" => Use::CondWrite,
        "rcw" => Use::ReadCondWrite,
        _ => return None,
    })
}

/// The operands that are shown; where the file and the manual may see it otherwise, both ways.
fn lists(form: &Form) -> [Vec<&Operand>; 4] {
    let list = |also: &dyn Fn(&Operand) -> bool, but: &dyn Fn(&Operand) -> bool| {
        form.all.iter().filter(|o| (o.shown() || also(o)) && !but(o)).collect()
    };
    [
        list(&|_| false, &|_| false),
        // The manual leaves out ST(0) where it is the other operand of a load, store or comparison.
        list(&|_| false, &|o| o.class == "ST0"),
        // It writes <XMM0> where that is the mask of a blend.
        list(&|o| o.class == "XMM0", &|_| false),
        // A far pointer is one operand, selector and offset.
        list(&|_| false, &|o| o.class == "imm" && form.uses_class("ptr")),
    ]
}

/// Compares the operands that are shown.
pub fn check(form: &Form, encoding: &Encoding, insn: &Insn, found: &mut Found<'_>) {
    let ours: Vec<usize> = (0..insn.slots().len()).filter(|&i| !insn.implicit(i)).collect();
    let Some(theirs) = lists(form).into_iter().find(|list| list.len() == ours.len()) else {
        found.differ("number of operands", insn.row().form(), form.operands);
        return;
    };
    for (operand, &i) in theirs.iter().zip(&ours) {
        let slot = insn.slots()[i];
        register(form, encoding, operand, slot, found);
        let (is, should) = (insn.row().specs()[i].uses, uses(operand.uses));
        // The address of LEA and its like is not an access.
        let should = if operand.class == "agen" { Some(Use::None) } else { should };
        if should != Some(is) {
            found.differ("use", format_args!("{is} for operand {i}"), operand.uses);
        }
    }
    if let Some(memory) = insn.memory_operand() {
        let base = if encoding.asize == 2 { 3 } else { RM };
        let by_modrm = form.imm != "moffs" && form.uses_class("mem");
        if by_modrm && (memory.base, memory.address_size) != (Some(base), encoding.asize) {
            found.differ("address", memory, format_args!("base {base}, size {}", encoding.asize));
        }
        let vector = match form.vsib {
            "xmm" => 16,
            "ymm" => 32,
            "zmm" => 64,
            _ => 0,
        };
        let index = if vector != 0 || form.sib == "sibmem" { Some(INDEX) } else { None };

        if by_modrm && (memory.index, memory.vector_index) != (index, vector) {
            found.differ("index", memory, format_args!("index {index:?}, vector of {vector} bytes"));
        }
        if matches!(form.modrm_mod, "mem" | "1") {
            let scale = if encoding.broadcast { form.disp8n_bcst } else { form.disp8n };
            let scale = scale.parse().unwrap_or(1);
            if memory.disp != i64::from(DISP) * scale {
                found.differ("disp8 scale", memory.disp / i64::from(DISP), scale);
            }
        }
    }
}

/// Kind, number and width of one operand.
fn register(form: &Form, encoding: &Encoding, operand: &Operand, slot: Slot, found: &mut Found<'_>) {
    let kind = format!("{:?}", slot.kind);
    if let Some((wanted, reg, size)) = fixed(operand.class, encoding) {
        if kind != wanted || slot.reg != reg || size != 0 && slot.size != size {
            found.differ("fixed register", format_args!("{slot:?}"), operand.class);
        }
        return;
    }
    let kinds = match KINDS.iter().find(|(class, _)| *class == operand.class) {
        Some(("imm", _)) if form.imm == "one" => &["One"],
        Some((_, kinds)) => *kinds,
        None => &[],
    };
    if !kinds.contains(&kind.as_str()) {
        found.differ("kind", format_args!("{slot:?}"), operand.class);
        return;
    }
    if number(form, operand.field).is_some_and(|reg| reg != slot.reg) {
        found.differ("register", format_args!("{slot:?}"), operand.field);
    }
    if let Some((from, to)) = match operand.class {
        "xmm" => Some((0, 16)),
        "ymm" => Some((17, 32)),
        "zmm" => Some((33, 64)),
        _ => None,
    } {
        // Of a register, the part that takes part is no fact of the file.
        if !(from..=to).contains(&slot.size) {
            found.differ("width", format_args!("{slot:?}"), operand.class);
        }
        return;
    }
    let width = match operand.class {
        // Immediates are checked by the instruction's length; the file has no width of others that counts.
        "imm" | "imm2" | "rel" | "ptr" | "absbr" | "mask" | "mmx" | "st" | "tmm" | "bnd" | "agen" => None,
        "mem" if encoding.broadcast => bits(form.disp8n_bcst, 0).map(|bytes| bytes * 8),
        "mem" => bits(form.mem_bits, encoding.osize),
        "a_gpr" => bits(operand.bits, encoding.asize),
        _ => bits(operand.bits, encoding.osize),
    };
    let category = if operand.class == "mem" { "memory width" } else { "width" };
    if width.is_some_and(|width| width != u32::from(slot.size) * 8) {
        found.differ(category, format_args!("{} for {}", slot.size * 8, operand.class), width.unwrap_or(0));
    }
}
