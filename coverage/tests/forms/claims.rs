//! Which bytes the forms claim: all that any form allows, where `encode` makes the few that are tried of each.

use crate::file::Form;
use encore86::Mode;
use std::collections::HashMap;

/// Bytes as their fields. Registers and displacement are left open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    /// 0 legacy, else the first byte of the prefix: C4, 62 or 8F.
    pub space: u8,
    /// Legacy 0 to 3 for 1B, 0F, 0F 38 and 0F 3A, else as it is encoded.
    pub map: u8,
    pub opcode: u8,
    pub p66: bool,
    /// F3 or F2, or 0.
    pub rep: u8,
    pub w: bool,
    pub ll: u8,
    /// ModRM.mod is not 3.
    pub memory: bool,
    pub reg: u8,
    pub rm: u8,
    /// vvvv names a register.
    pub vvvv: bool,
    pub b: bool,
    pub z: bool,
    pub aaa: u8,
    /// EVEX.V' as it is encoded.
    pub high: bool,
    pub long: bool,
}

impl Fields {
    /// The bytes, and enough behind them for any displacement and immediate.
    pub fn bytes(&self) -> [u8; 15] {
        let mut bytes = [0; 15];
        let mut at = 0;
        let mut put = |byte| {
            bytes[at] = byte;
            at += 1;
        };
        let pp = match (self.rep, self.p66) {
            (0xf3, _) => 2,
            (0xf2, _) => 3,
            (_, p66) => u8::from(p66),
        };
        let vvvv = if self.vvvv { 0xe } else { 0xf };
        let w = u8::from(self.w);
        match self.space {
            0 => {
                if self.p66 {
                    put(0x66);
                }
                if self.rep != 0 {
                    put(self.rep);
                }
                if self.w {
                    put(0x48);
                }
                if self.map != 0 {
                    put(0x0f);
                }
                if self.map > 1 {
                    put([0x38, 0x3a][usize::from(self.map - 2) & 1]);
                }
            }
            0x62 => {
                put(0x62);
                put(0xf0 | self.map);
                put(w << 7 | vvvv << 3 | 4 | pp);
                let (z, b, high) = (u8::from(self.z), u8::from(self.b), u8::from(self.high));
                put(z << 7 | self.ll << 5 | b << 4 | high << 3 | self.aaa);
            }
            first => {
                put(first);
                put(0xe0 | self.map);
                put(w << 7 | vvvv << 3 | self.ll << 2 | pp);
            }
        }
        put(self.opcode);
        put(if self.memory { 0x40 } else { 0xc0 } | self.reg << 3 | self.rm);
        // A SIB with index 5 and base 2, or a displacement, or an is4 register.
        put(0x2a);
        bytes
    }

    pub fn mode(&self) -> Mode {
        if self.long { Mode::Long64 } else { Mode::Prot32 }
    }
}

/// Forms by space, map and opcode.
pub struct Claims<'a>(HashMap<(u8, u8, u8), Vec<&'a Form>>);

fn place(form: &Form) -> (u8, u8, u8) {
    let space = match form.encspace {
        "VEX" => 0xc4,
        "EVEX" => 0x62,
        "XOP" => 0x8f,
        _ => 0,
    };
    let map = match form.map {
        "1B" => 0,
        "0F" if space == 0 => 1,
        "0F38" => 2,
        "0F3A" => 3,
        // The opcode of 3DNow! is behind.
        "0F0F" => return (0, 1, 0x0f),
        number => number.parse().unwrap_or_else(|_| panic!("map {number:?}")),
    };
    (space, map, u8::from_str_radix(form.opcode, 16).unwrap_or_else(|_| panic!("opcode {:?}", form.opcode)))
}

impl<'a> Claims<'a> {
    pub fn new(forms: &'a [Form]) -> Claims<'a> {
        let mut claims = HashMap::<_, Vec<&Form>>::new();
        for form in forms.iter().filter(|form| form.encspace != "REX2") {
            let (space, map, opcode) = place(form);
            let low = if form.opcode_plus_r.starts_with("+r") { 7 } else { 0 };
            for low in 0..=low {
                claims.entry((space, map, opcode | low)).or_default().push(form);
            }
        }
        Claims(claims)
    }

    /// The forms that allow these fields.
    pub fn of(&self, fields: &Fields) -> impl Iterator<Item = &'a Form> {
        let forms = self.0.get(&(fields.space, fields.map, fields.opcode)).map_or(&[][..], Vec::as_slice);
        forms.iter().copied().filter(move |form| allows(form, fields))
    }
}

fn allows(form: &Form, f: &Fields) -> bool {
    let number = |column: &str, value: u8| column.parse().map_or(true, |n: u8| n == value);
    let modes = form.modes.split('/').any(|mode| mode == if f.long { "64" } else { "32" });
    let place = match form.modrm_mod {
        "mem" | "0" | "1" | "2" => f.memory,
        "reg" => !f.memory,
        _ => true,
    };
    let reg = if form.modrm_reg == "1-7" { f.reg != 0 } else { number(form.modrm_reg, f.reg) };
    let rm = number(form.modrm_rm, f.rm) && (form.sib.is_empty() || f.rm == 4);
    let w = match form.w {
        "W0" => !f.w,
        "W1" => f.w,
        _ => true,
    };
    modes && place && reg && rm && w && if f.space == 0 { legacy(form, f) } else { prefixed(form, f) }
}

fn legacy(form: &Form, f: &Fields) -> bool {
    let rep = match form.pfx {
        // REP before REPE's bytes and the like is a repetition, or ignored.
        "" => form.rep != "required" || f.rep == 0xf3,
        "F3" => f.rep == 0xf3,
        "F2" => f.rep == 0xf2,
        "notF3" => f.rep != 0xf3,
        _ => f.rep == 0,
    };
    let p66 = match form.osz66 {
        "must" | "refining" => f.p66,
        "mustnot" => !f.p66,
        "ignored" if form.pfx == "66" => f.p66,
        _ => true,
    };
    let size = if f.long { "64" } else { "32" };
    rep && p66 && (form.addrsize.is_empty() || form.addrsize.split('/').any(|s| s == size))
}

fn prefixed(form: &Form, f: &Fields) -> bool {
    let pp = match form.pfx {
        "66" => (true, 0),
        "F3" => (false, 0xf3),
        "F2" => (false, 0xf2),
        _ => (false, 0),
    };
    let rounds = form.has("BCRC=1");
    let ll = match form.vl {
        "128" => f.ll == 0,
        "256" => f.ll == 1,
        "512" => f.ll == 2,
        "LIG" => rounds || f.ll != 3,
        _ => true,
    };
    let vvvv = form.uses_field("vvvv") || !form.scc.is_empty() || !f.vvvv;
    if f.space != 0x62 {
        return (f.p66, f.rep) == pp && ll && vvvv;
    }
    let b = match form.bcst {
        "" => f.b == (rounds || form.nd == "1"),
        _ => true,
    };
    let masks = match form.mask {
        "kz" | "ctl+z" => true,
        "k" => !f.z,
        "k!=0" => !f.z && f.aaa != 0,
        _ if !form.scc.is_empty() => !f.z && number(form.scc) == (u8::from(f.high) << 3 | f.aaa),
        _ => !f.z && f.aaa == if form.nf == "1" { 4 } else { 0 },
    };
    let high = f.high || !form.scc.is_empty() || form.uses_field("vvvv") || !form.vsib.is_empty();
    (f.p66, f.rep) == pp && ll && vvvv && b && masks && high
}

fn number(column: &str) -> u8 {
    column.parse().unwrap_or(0xff)
}
