//! Facts of a row beside its operands: opmask, broadcast, rounding, exception class, flags, LOCK, CPUID, gates.

use crate::encode::Encoding;
use crate::file::Form;
use crate::report::Found;
use encore86::Insn;
use encore86::decode::StaticRounding;
use encore86::isa::row::{Class, FlagEffect, Masking, Rounding, Row, Space, attr, flag};
use std::collections::HashMap;

/// What other forms of an opcode say about one.
#[derive(Default)]
pub struct Siblings {
    rounding: HashMap<String, &'static str>,
}

/// What a row is chosen by, apart from vector length and what ModRM names.
fn key(form: &Form) -> String {
    let Form { encspace, map, pfx, opcode, modrm_reg, w, .. } = form;
    format!("{encspace} {map} {pfx} {opcode} {modrm_reg} {w}")
}

impl Siblings {
    pub fn new(forms: &[Form]) -> Siblings {
        let rounding = forms.iter().filter(|form| form.has("BCRC=1") && form.modrm_mod != "mem");
        Siblings { rounding: rounding.map(|form| (key(form), form.round)).collect() }
    }

    fn rounding(&self, form: &Form) -> Rounding {
        match self.rounding.get(&key(form)) {
            Some(&"er") => Rounding::Er,
            Some(_) => Rounding::Sae,
            None => Rounding::None,
        }
    }
}

/// Compares all facts of a row that the encoding shows.
pub fn check(form: &Form, encoding: &Encoding, insn: &Insn, siblings: &Siblings, found: &mut Found<'_>) {
    let row = insn.row();
    if row.space == Space::Evex && form.map != "4" {
        evex(form, encoding, insn, siblings, found);
    }
    flags(form, insn, found);
    class(form, row, found);
    let lockable = form.lock != "no";
    // A row with a register form has LOCK for its memory form.
    if form.modrm_mod == "mem" && row.is(attr::LOCK) != lockable {
        found.differ("lock", row.is(attr::LOCK), form.lock);
    }
    if form.modrm_mod == "mem" && row.is(attr::LOCKED) != (form.lock == "implicit+able") {
        found.differ("lock", "implicit", form.lock);
    }
    let repeated = row.is(attr::REP);
    if repeated != (form.rep == "F2/F3" || form.rep == "required") {
        found.differ("repetition", repeated, form.rep);
    }
    let mxcsr = form.is("MXCSR");
    if row.is(attr::MXCSR) != mxcsr {
        found.differ("MXCSR", row.is(attr::MXCSR), mxcsr);
    }
    gate(form, row, found);
}

fn evex(form: &Form, encoding: &Encoding, insn: &Insn, siblings: &Siblings, found: &mut Found<'_>) {
    let row = insn.row();
    let stores = form.modrm_mod == "mem" && form.all.iter().any(|o| o.class == "mem" && o.uses.contains('w'));
    let masking = match form.mask {
        "kz" => Masking::MergeZero,
        "ctl+z" => Masking::Control,
        // Zeroing is never allowed where memory is written.
        "k" if stores && row.masking == Masking::MergeZero => Masking::MergeZero,
        "k" => Masking::Merge,
        "k!=0" => Masking::Required,
        _ => Masking::None,
    };
    if row.masking != masking {
        found.differ("mask", format_args!("{:?}", row.masking), form.mask);
    }
    let opmask = if encoding.opmask != 0 { Some(encoding.opmask) } else { None };
    if insn.opmask() != opmask || insn.zeroing() != encoding.zeroing {
        found.differ("mask", insn, format_args!("opmask {opmask:?}, zeroing {}", encoding.zeroing));
    }
    if form.modrm_mod == "mem" {
        if row.broadcast == form.bcst.is_empty() {
            found.differ("broadcast", row.broadcast, form.bcst);
        }
        let count = if encoding.broadcast { form.bcst.strip_prefix("1to").and_then(|n| n.parse().ok()) } else { None };
        if insn.broadcast() != count {
            found.differ("broadcast", format_args!("{:?}", insn.broadcast()), form.bcst);
        }
        return;
    }
    let rounding = siblings.rounding(form);
    if row.rounding != rounding {
        found.differ("rounding", format_args!("{:?}", row.rounding), format_args!("{rounding:?}"));
    }
    let given = match form.round {
        _ if !form.has("BCRC=1") => None,
        "er" => Some(
            [StaticRounding::Nearest, StaticRounding::Down, StaticRounding::Up, StaticRounding::Zero]
                [usize::from(encoding.ll)],
        ),
        _ => Some(StaticRounding::Sae),
    };
    if insn.static_rounding() != given {
        found.differ("rounding", format_args!("{:?}", insn.static_rounding()), format_args!("{given:?}"));
    }
}

/// Flags that rows have.
const FLAGS: &[(&str, u16)] = &[
    ("cf", flag::CF),
    ("pf", flag::PF),
    ("af", flag::AF),
    ("zf", flag::ZF),
    ("sf", flag::SF),
    ("of", flag::OF),
    ("df", flag::DF),
    ("if", flag::IF),
    ("nt", flag::NT),
    ("ac", flag::AC),
];

fn set(column: &str) -> u16 {
    column
        .split_whitespace()
        .filter_map(|name| FLAGS.iter().find(|(n, _)| *n == name))
        .fold(0, |set, (_, bit)| set | bit)
}

fn flag_names(set: u16) -> String {
    let names: Vec<_> = FLAGS.iter().filter(|(_, bit)| set & bit != 0).map(|(name, _)| *name).collect();
    names.join(" ")
}

fn flags(form: &Form, insn: &Insn, found: &mut Found<'_>) {
    let row = insn.row();
    let mut is = row.flags;
    if insn.keeps_flags() {
        is = FlagEffect::of(is.read & !is.written, 0, 0);
    }
    let undefined = set(form.flags_undef);
    let written = set(form.flags_mod) | undefined | set(form.flags_clear) | set(form.flags_set);
    let mut read = set(form.flags_read);
    if !form.flags_cond.is_empty() {
        // A count of 0 leaves them as they are; an immediate may be 0 too.
        read |= is.read & written;
    }
    if row.is(attr::CONDITION) {
        // A row stands for sixteen conditions, of which each reads its own.
        read |= is.read & flag::ARITH;
    }
    let mut compare = |category, is: u16, should: u16| {
        if is != should {
            found.differ(category, flag_names(is), flag_names(should));
        }
    };
    compare("flags read", is.read, read);
    compare("flags written", is.written, written);
    compare("flags undefined", is.undefined, undefined);
    compare("flags cleared", is.cleared, set(form.flags_clear));
    compare("flags set", is.set, set(form.flags_set));
}

/// Alignment, and whether masked elements suppress faults.
fn class(form: &Form, row: &Row, found: &mut Found<'_>) {
    if form.modrm_mod != "mem" {
        return;
    }
    let wide = form.mem_bits.parse().is_ok_and(|bits: u32| bits >= 128);
    let aligned = match row.class {
        Class::Aligned => true,
        Class::AlignedLegacy => row.space == Space::Legacy && wide,
        Class::AlignedIntel => true,
        Class::None | Class::Free | Class::NoSuppress => false,
    };
    if aligned == form.align.is_empty() {
        found.differ("alignment", format_args!("{:?}", row.class), form.align);
    }
    if row.space == Space::Evex && form.mask != "none" {
        let suppresses = row.class != Class::NoSuppress;
        if suppresses == form.exc_type.contains("NF") {
            found.differ("fault suppression", format_args!("{:?}", row.class), form.exc_type);
        }
    }
}

/// The gate that the columns ask for, by its name; of several any.
fn gates(form: &Form) -> &'static [&'static str] {
    let classes = |wanted: &[&str]| form.all.iter().any(|o| wanted.contains(&o.class));
    let vector = classes(&["xmm", "ymm", "zmm", "XMM0", "XMM1"]);
    match (form.encspace, form.extension) {
        (_, "VTX" | "SVM" | "TDX" | "VMFUNC") => &["Virtual"],
        (_, "CET") if form.mnemonic.starts_with("endbr") => &["Free"],
        (_, "CET") if form.cpl == "0" => &["Cet", "Cpl0"],
        (_, "CET") => &["Cet"],
        (_, "XSAVES") => &["Xsaves"],
        // These are #UD above CPL 0.
        (_, "MONITOR" | "SMAP" | "SGX" | "SGX_ENCLV") if form.cpl == "0" => &["Cpl0Ud"],
        _ if form.gate == "cr4.osxsave" => {
            if form.cpl == "0" {
                &["Xsetbv"]
            } else {
                &["Xgetbv"]
            }
        }
        _ if form.cpl == "0" => &["Cpl0"],
        (_, "AMX_TILE" | "ACE") if vector => &["TileAvx512"],
        // Block scales are registers of the tiles' and as wide as a ZMM.
        _ if form.iform.contains("BSR0") => &["Tile", "TileAvx512"],
        (_, "AMX_TILE" | "ACE") if matches!(form.mnemonic, "ldtilecfg" | "sttilecfg" | "tilerelease") => &["Tile"],
        (_, "AMX_TILE" | "ACE") => &["TileData"],
        _ if form.gate == "io" => &["Port"],
        _ if form.gate == "iopl" => &["Iopl"],
        _ if form.gate == "v86.iopl" => &["V86Iopl"],
        _ if form.gate == "umip" => &["Umip"],
        _ if form.gate == "cr4.tsd" => &["Tsd"],
        _ if form.gate == "cr4.pce" => &["Pce"],
        _ if form.gate == "cr4.pke" => &["Pke"],
        _ if form.gate == "cr4.fsgsbase" => &["Fsgsbase"],
        _ if form.exc_type == "APX-EVEX-KMOV" => &["Avx512"],
        // What REX2 asks for is asked for whatever is behind it.
        ("REX2", _) => &["Free", "Apx"],
        _ if form.cpuid.contains("APX_F") => &["Apx"],
        (_, "XSAVE" | "XSAVEC" | "XSAVEOPT") => &["Xsave"],
        (_, "AVX512VEX" | "AVX512EVEX") => &["Avx512"],
        ("VEX" | "XOP", "AVX") => &["Avx"],
        ("VEX" | "XOP", _) if vector => &["Avx"],
        _ if form.mnemonic == "fwait" => &["Wait"],
        _ if form.mnemonic.starts_with("fxsave") || form.mnemonic.starts_with("fxrstor") => &["Fx"],
        (_, "X87") => &["X87"],
        _ if form.is("IGNORES_OSFXSR") => &["Free"],
        _ if vector || form.exc_type.starts_with("SSE_TYPE") || form.exc_type.starts_with("mmx-fp") => &["Sse"],
        _ if classes(&["mmx"]) || matches!(form.mnemonic, "emms" | "femms") => &["Mmx"],
        _ if classes(&["st", "ST0"]) => &["X87"],
        _ => &["Free"],
    }
}

fn gate(form: &Form, row: &Row, found: &mut Found<'_>) {
    let (is, should) = (format!("{:?}", row.gate), gates(form));
    if !should.contains(&is.as_str()) {
        found.differ("gate", is, should.join(" or "));
    }
}
