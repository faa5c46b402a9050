//! Bytes of a form, made from its columns alone.
//!
//! Registers differ by the field that names them, and none needs an extension: ModRM.reg 3, ModRM.rm 2, vvvv 1, an is4
//! register 4, a vector index 5. Memory is base and 8-bit displacement.

use super::file::Form;
use encore86::Mode;

/// One encoding of a form, and what was chosen for it.
#[derive(Clone, Debug)]
pub struct Encoding {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The same with REX2 in place of REX, where there can be one.
    pub rex2: Option<Vec<u8>>,
    /// The mode in which they are that.
    pub mode: Mode,
    /// Operand size in bytes.
    pub osize: u8,
    /// Address size in bytes.
    pub asize: u8,
    /// EVEX.L'L.
    pub ll: u8,
    /// The opmask register, 0 for none.
    pub opmask: u8,
    /// EVEX.z.
    pub zeroing: bool,
    /// EVEX.b, where it stands for a broadcast.
    pub broadcast: bool,
}

impl Encoding {
    fn new(bytes: Vec<u8>, mode: Mode, osize: u8, asize: u8) -> Encoding {
        Encoding { bytes, rex2: None, mode, osize, asize, ll: 0, opmask: 0, zeroing: false, broadcast: false }
    }
}

/// ModRM.reg.
pub const REG: u8 = 3;
/// ModRM.rm.
pub const RM: u8 = 2;
/// VEX.vvvv.
pub const VVVV: u8 = 1;
/// The register in an immediate.
pub const IS4: u8 = 4;
/// A vector index.
pub const INDEX: u8 = 5;
/// The 8-bit displacement.
pub const DISP: u8 = 2;

fn mode_of(name: &str) -> Mode {
    match name {
        "16" => Mode::Prot16,
        "32" => Mode::Prot32,
        "64" => Mode::Long64,
        _ => panic!("mode {name:?}"),
    }
}

/// What 66, W and 67 do in a mode.
#[derive(Clone, Copy)]
struct Sizes {
    mode: Mode,
    p66: bool,
    w: bool,
    p67: bool,
}

impl Sizes {
    fn address(self) -> u8 {
        match (self.mode, self.p67) {
            (Mode::Prot16, false) | (Mode::Prot32, true) => 2,
            (Mode::Long64, false) => 8,
            _ => 4,
        }
    }

    /// The operand size; 66 counts where it selects one.
    fn operand(self, form: &Form) -> u8 {
        // LOOP and near branches ignore 66 in 64-bit mode alone.
        let ignored = form.osz66 == "ignored" && (self.mode == Mode::Long64 || !form.has("IMMUNE66_LOOP64()"));
        let p66 = self.p66 && !ignored && form.osz66 != "refining" && form.pfx != "66";
        let plain = match (self.mode, p66) {
            (Mode::Prot16, false) | (Mode::Prot32, true) => 2,
            (Mode::Long64, _) if self.w => 8,
            (Mode::Long64, true) => 2,
            _ => 4,
        };
        match form.default64 {
            _ if self.mode != Mode::Long64 => plain,
            "force64" => 8,
            "d64" if plain == 4 => 8,
            _ => plain,
        }
    }
}

/// Is the size one of those in a column such as `16/32/64`?
fn covers(column: &str, bytes: u8) -> bool {
    column.split('/').any(|bits| bits.parse() == Ok(u32::from(bytes) * 8))
}

/// All encodings that are tried of a form.
pub fn encodings(form: &Form) -> Vec<Encoding> {
    match form.encspace {
        "legacy" | "3DNow" | "REX2" => legacy(form),
        "VEX" | "XOP" => vex(form),
        "EVEX" => evex(form),
        other => panic!("encoding space {other:?}"),
    }
}

fn opcode(form: &Form) -> u8 {
    u8::from_str_radix(form.opcode, 16).unwrap_or_else(|_| panic!("opcode {:?}", form.opcode))
}

/// Does the address size matter: is there memory, or a counter or pointer of that size?
fn has_address(form: &Form) -> bool {
    let memory = !matches!(form.modrm_mod, "" | "reg" | "any") || form.imm == "moffs";
    memory || form.all.iter().any(|o| o.class.contains("Ar") || o.class == "a_gpr")
}

/// Values of W, for a form in a mode.
fn wides(form: &Form, long: bool) -> &'static [bool] {
    match form.w {
        "W0" => &[false],
        "W1" => &[true],
        "WIG" => &[false, true],
        _ if long => &[false, true],
        _ => &[false],
    }
}

fn legacy(form: &Form) -> Vec<Encoding> {
    let mut out = Vec::new();
    let mut others = Vec::new();
    for mode in form.modes.split('/').map(mode_of) {
        let long = mode == Mode::Long64;
        if !long && (form.encspace == "REX2" || form.w == "W1") {
            continue;
        }
        let p66s: &[bool] = match form.osz66 {
            "must" | "refining" => &[true],
            "mustnot" => &[false],
            "ignored" if form.pfx == "66" => &[true],
            _ if form.opsize == "8" => &[false],
            _ => &[false, true],
        };
        let mut first = true;
        for &p66 in p66s {
            for &w in if long { wides(form, true) } else { &[false] } {
                for p67 in [false, true] {
                    let sizes = Sizes { mode, p66, w, p67 };
                    let asize = sizes.address();
                    let wanted = if form.addrsize.is_empty() {
                        !p67 || first && has_address(form)
                    } else {
                        covers(form.addrsize, asize)
                    };
                    if !wanted {
                        continue;
                    }
                    let osize = sizes.operand(form);
                    let Some(bytes) = legacy_bytes(form, sizes, false) else { continue };
                    let reach = matches!(form.map, "1B" | "0F") && form.encspace == "legacy";
                    let rex2 = legacy_bytes(form, sizes, true).filter(|_| reach);
                    let encoding = Encoding { rex2, ..Encoding::new(bytes, mode, osize, asize) };
                    if form.opsize == "8" || covers(form.opsize, osize) {
                        out.push(encoding);
                        first &= !p67;
                    } else {
                        others.push(encoding);
                    }
                }
            }
        }
    }
    // The sizes of a form whose 66 is part of the opcode mean nothing.
    if out.is_empty() { others } else { out }
}

/// `None` where the mode has no such encoding.
fn legacy_bytes(form: &Form, sizes: Sizes, rex2: bool) -> Option<Vec<u8>> {
    let long = sizes.mode == Mode::Long64;
    let mut bytes = Vec::new();
    if sizes.p67 {
        bytes.push(0x67);
    }
    if sizes.p66 {
        bytes.push(0x66);
    }
    match form.pfx {
        "F3" => bytes.push(0xf3),
        "F2" => bytes.push(0xf2),
        _ if form.rep == "required" => bytes.push(0xf3),
        _ => {}
    }
    let (b, b4) = (form.has("REXB=1"), form.has("REXB4=1"));
    let rex2 = rex2 || form.encspace == "REX2" || b4;
    if (b || rex2) && !long {
        return None;
    }
    let map0f = form.map != "1B";
    if rex2 {
        bytes.extend([0xd5, u8::from(map0f) << 7 | u8::from(b4) << 4 | u8::from(sizes.w) << 3 | u8::from(b)]);
    } else {
        if sizes.w || b {
            bytes.push(0x40 | u8::from(sizes.w) << 3 | u8::from(b));
        }
        if map0f {
            bytes.push(0x0f);
        }
    }
    match form.map {
        "1B" | "0F" => {}
        "0F38" => bytes.push(0x38),
        "0F3A" => bytes.push(0x3a),
        "0F0F" => bytes.push(0x0f),
        other => panic!("map {other:?}"),
    }
    let register = if form.opcode_plus_r == "+r" && !b && !b4 || form.opcode_plus_r == "+r!=0" { RM } else { 0 };
    if form.map == "0F0F" {
        modrm(form, sizes.address(), &mut bytes);
        bytes.push(opcode(form));
        return Some(bytes);
    }
    bytes.push(opcode(form) | register);
    modrm(form, sizes.address(), &mut bytes);
    immediate(form, sizes.operand(form), sizes.address(), &mut bytes);
    Some(bytes)
}

/// ModRM, SIB and displacement.
fn modrm(form: &Form, asize: u8, bytes: &mut Vec<u8>) {
    let number = |text: &str, default: u8| text.parse().unwrap_or(default);
    let mode = match form.modrm_mod {
        "" => return,
        "mem" => 1,
        text => number(text, 3),
    };
    let reg = number(form.modrm_reg, REG);
    let sib = mode != 3 && asize != 2 && (!form.sib.is_empty() || form.modrm_rm == "4");
    let rm = match mode {
        3 => number(form.modrm_rm, RM),
        _ if sib => 4,
        // [BX + disp]
        _ if asize == 2 => number(form.modrm_rm, 7),
        _ => number(form.modrm_rm, RM),
    };
    bytes.push(mode << 6 | reg << 3 | rm);
    if sib {
        bytes.push(INDEX << 3 | RM);
    }
    let displacement = match (mode, asize) {
        (1, _) => 1,
        (2, 2) => 2,
        (2, _) => 4,
        _ => 0,
    };
    little(DISP.into(), displacement, bytes);
}

fn little(value: u64, size: usize, bytes: &mut Vec<u8>) {
    bytes.extend(&value.to_le_bytes()[..size]);
}

fn immediate(form: &Form, osize: u8, asize: u8, bytes: &mut Vec<u8>) {
    for part in form.imm.split(',') {
        let size = match part {
            "" | "one" => 0,
            "ib" | "ib.sx" | "ib2" | "rel8" => 1,
            "iw" => 2,
            "id" | "rel32" => 4,
            "iz" | "relz" => usize::from(osize.min(4)),
            "iv" => usize::from(osize),
            "abs64" => 8,
            "moffs" => usize::from(asize),
            "is4" => {
                bytes.push(IS4 << 4);
                continue;
            }
            other => panic!("immediate {other:?}"),
        };
        little(5, size, bytes);
    }
}

fn pp(form: &Form) -> u8 {
    match form.pfx {
        "NP" => 0,
        "66" => 1,
        "F3" => 2,
        "F2" => 3,
        other => panic!("prefix {other:?}"),
    }
}

fn map(form: &Form) -> u8 {
    form.map.parse().unwrap_or_else(|_| panic!("map {:?}", form.map))
}

/// vvvv as it is encoded, inverted.
fn vvvv(form: &Form) -> u8 {
    if form.uses_field("vvvv") { !VVVV & 0xf } else { 0xf }
}

/// Address sizes of a form with a prefix of its own: whether 67 is there.
fn p67s(form: &Form, mode: Mode) -> Vec<bool> {
    let all = [false, true].into_iter();
    if form.addrsize.is_empty() {
        return all.take(if has_address(form) { 2 } else { 1 }).collect();
    }
    all.filter(|&p67| covers(form.addrsize, Sizes { mode, p66: false, w: false, p67 }.address())).collect()
}

fn vex(form: &Form) -> Vec<Encoding> {
    let mut out = Vec::new();
    let lengths: &[u8] = match form.vl {
        "128" | "" => &[0],
        "256" => &[1],
        "LIG" => &[0, 1],
        other => panic!("vector length {other:?}"),
    };
    let xop = form.encspace == "XOP";
    for mode in form.modes.split('/').map(mode_of) {
        for p67 in p67s(form, mode) {
            for &w in wides(form, mode == Mode::Long64) {
                for &l in lengths {
                    let sizes = Sizes { mode, p66: false, w, p67 };
                    let (osize, asize) = (if w && mode == Mode::Long64 { 8 } else { 4 }, sizes.address());
                    let last = vvvv(form) << 3 | l << 2 | pp(form);
                    let long = [if xop { 0x8f } else { 0xc4 }, 0xe0 | map(form), u8::from(w) << 7 | last];
                    let short = [0xc5, 0x80 | last];
                    let mut add = |prefix: &[u8]| {
                        let mut bytes = if p67 { vec![0x67] } else { Vec::new() };
                        bytes.extend(prefix);
                        bytes.push(opcode(form));
                        modrm(form, asize, &mut bytes);
                        immediate(form, osize, asize, &mut bytes);
                        out.push(Encoding::new(bytes, mode, osize, asize));
                    };
                    add(&long);
                    if !xop && form.map == "1" && !w {
                        add(&short);
                    }
                }
            }
        }
    }
    out
}

/// What EVEX's third byte is made of.
#[derive(Clone, Copy)]
struct Third {
    zeroing: bool,
    ll: u8,
    b: bool,
    /// Bit 3 as it is encoded: V', or the condition's high bit.
    high: bool,
    aaa: u8,
}

/// The third bytes that a form allows.
fn thirds(form: &Form) -> Vec<Third> {
    let in_memory = form.modrm_mod == "mem";
    let rounding = form.has("BCRC=1") && !in_memory;
    let lengths: &[u8] = match form.vl {
        "128" | "" => &[0],
        "256" => &[1],
        "512" => &[2],
        _ if rounding => &[0, 1, 2, 3],
        "LIG" => &[0, 1, 2],
        other => panic!("vector length {other:?}"),
    };
    let broadcasts: &[bool] = match (form.bcst, form.nd == "1" || form.has("BCRC=1")) {
        (_, true) => &[true],
        ("", false) => &[false],
        _ => &[false, true],
    };
    let masks: &[(u8, bool)] = match form.mask {
        "kz" | "ctl+z" => &[(0, false), (1, false), (1, true)],
        "k" => &[(0, false), (1, false)],
        "k!=0" => &[(1, false)],
        "none" => &[(0, false)],
        other => panic!("mask {other:?}"),
    };
    let mut out = Vec::new();
    for &ll in lengths {
        for &b in broadcasts {
            for &(aaa, zeroing) in masks {
                let scc: Option<u8> = form.scc.parse().ok();
                let aaa = scc.map_or(aaa | if form.nf == "1" { 4 } else { 0 }, |scc| scc & 7);
                let high = scc.is_none_or(|scc| scc & 8 != 0);
                out.push(Third { zeroing, ll, b, high, aaa });
            }
        }
    }
    out
}

fn evex(form: &Form) -> Vec<Encoding> {
    let mut out = Vec::new();
    let by_opsize = form.w == "W=opsize";
    for mode in form.modes.split('/').map(mode_of) {
        for p67 in p67s(form, mode) {
            let wides = if by_opsize && form.pfx == "66" { &[false] } else { wides(form, true) };
            for &w in wides {
                let osize = if w {
                    8
                } else if by_opsize && form.pfx == "66" {
                    2
                } else {
                    4
                };
                let asize = Sizes { mode, p66: false, w, p67 }.address();
                for third in thirds(form) {
                    let Third { zeroing, ll, b, high, aaa } = third;
                    let mut bytes = if p67 { vec![0x67] } else { Vec::new() };
                    // A default flag value takes the place of vvvv: ZF here.
                    let vvvv = if form.scc.is_empty() { vvvv(form) } else { 2 };
                    bytes.extend([
                        0x62,
                        0xf0 | map(form),
                        u8::from(w) << 7 | vvvv << 3 | 4 | pp(form),
                        u8::from(zeroing) << 7 | ll << 5 | u8::from(b) << 4 | u8::from(high) << 3 | aaa,
                        opcode(form),
                    ]);
                    modrm(form, asize, &mut bytes);
                    immediate(form, osize, asize, &mut bytes);
                    let masked = matches!(form.mask, "kz" | "ctl+z" | "k" | "k!=0");
                    out.push(Encoding {
                        ll,
                        opmask: if masked { aaa } else { 0 },
                        zeroing,
                        broadcast: b && !form.bcst.is_empty(),
                        ..Encoding::new(bytes, mode, osize, asize)
                    });
                }
            }
        }
    }
    out
}
