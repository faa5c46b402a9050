//! The file of forms: one line a form, columns as its README describes them.

use std::path::{Path, PathBuf};

/// The environment variable that names the file.
pub const VARIABLE: &str = "ENCORE86_FORMS";

macro_rules! columns {
    ($( $name:ident )*) => {
        /// One form. Columns are as the file has them.
        #[derive(Clone, Debug)]
        pub struct Form {
            $( #[doc = concat!("Column `", stringify!($name), "`.")] pub $name: &'static str, )*
            /// All operands, implicit ones behind.
            pub all: Vec<Operand>,
        }

        /// Columns that a file must have.
        const COLUMNS: &[&str] = &[$( stringify!($name) ),*];

        impl Form {
            fn new(header: &[&str], line: &'static str) -> Result<Form, String> {
                let cells: Vec<&'static str> = line.split('\t').collect();
                if cells.len() != header.len() {
                    return Err(format!("{} cells under {} columns", cells.len(), header.len()));
                }
                let cell = |name: &str| {
                    let at = header.iter().position(|h| *h == name).ok_or_else(|| format!("no column {name}"))?;
                    Ok::<_, String>(cells[at])
                };
                $( let $name = cell(stringify!($name))?; )*
                let all: Vec<Operand> = cell("operands")?.split_whitespace().map(Operand::new).collect();
                let form = Form { $( $name, )* all };
                form.check()?;
                Ok(form)
            }
        }
    };
}

columns! {
    id mnemonic iform isa_set extension cpuid encspace map pfx osz66 opcode opcode_plus_r modrm_mod modrm_reg modrm_rm sib w vl
    imm opsize addrsize default64 operands mem_bits align disp8n disp8n_bcst bcst mask round exc_type flags_read flags_mod flags_undef
    flags_clear flags_set flags_cond cpl gate modes real_v86 lock rep rex2 nd nf scc vsib attributes xed_pattern
}

/// An operand of a form: `name:role:rw:bits:type`, its name a class and a field or a fixed register.
#[derive(Clone, Debug)]
pub struct Operand {
    /// What kind of operand it is, or which fixed register.
    pub class: &'static str,
    /// The field that names it.
    pub field: &'static str,
    /// E explicit, I implicit but shown, S suppressed.
    pub role: &'static str,
    /// How it is used.
    pub uses: &'static str,
    /// How wide it is, by operand size.
    pub bits: &'static str,
}

impl Operand {
    fn new(text: &'static str) -> Operand {
        let mut parts = text.split(':');
        let mut part = || parts.next().unwrap_or("");
        let name = part();
        let (class, field) = name.split_once('/').unwrap_or((name, ""));
        Operand { class, field, role: part(), uses: part(), bits: part() }
    }

    /// Is it shown in the instruction's text, and not as the opmask of another?
    pub fn shown(&self) -> bool {
        // The parts of an offset in the instruction that it has not.
        let absent = self.class.contains("INVALID");
        self.role != "S" && self.field != "aaa" && !absent
    }
}

/// A number of bits from a column such as `16/32/64`, by a size in bytes.
pub fn bits(column: &str, size: u8) -> Option<u32> {
    let all: Vec<u32> = column.split('/').filter_map(|bits| bits.parse().ok()).collect();
    match all.as_slice() {
        [] => None,
        [one] => Some(*one),
        several => several.get([2, 4, 8].iter().position(|s| *s == size)?).copied(),
    }
}

/// An error if `value` is none of the words of a column.
fn one_of(column: &str, value: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&value) { Ok(()) } else { Err(format!("{column} is {value:?}, and none of {words:?}")) }
}

impl Form {
    /// Are the words of the columns that an encoding is made from those that we know?
    fn check(&self) -> Result<(), String> {
        if self.opcode.len() != 2 || u8::from_str_radix(self.opcode, 16).is_err() {
            return Err(format!("opcode is {:?}, and no byte in hexadecimal", self.opcode));
        }
        self.modes.split('/').try_for_each(|mode| one_of("modes", mode, &["16", "32", "64"]))?;
        const IMMEDIATES: &[&str] = &[
            "", "one", "ib", "ib.sx", "ib2", "rel8", "iw", "id", "rel32", "iz", "relz", "iv", "abs64", "moffs", "is4",
        ];
        self.imm.split(',').try_for_each(|part| one_of("imm", part, IMMEDIATES))?;
        let prefixed = |lengths: &[&str]| {
            one_of("pfx", self.pfx, &["NP", "66", "F3", "F2"])?;
            one_of("map", self.map, &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"])?;
            one_of("vl", self.vl, lengths)
        };
        match self.encspace {
            "legacy" | "3DNow" | "REX2" => one_of("map", self.map, &["1B", "0F", "0F38", "0F3A", "0F0F"]),
            "VEX" | "XOP" => prefixed(&["", "128", "256", "LIG"]),
            "EVEX" => {
                prefixed(&["", "128", "256", "512", "512(b=1)", "LIG"])?;
                if self.vl == "512(b=1)" && !self.has("BCRC=1") {
                    return Err("vl has b=1, and xed_pattern no BCRC=1".into());
                }
                one_of("mask", self.mask, &["kz", "ctl+z", "k", "k!=0", "none"])
            }
            other => one_of("encspace", other, &["legacy", "3DNow", "REX2", "VEX", "XOP", "EVEX"]),
        }
    }

    /// Is `token` part of the pattern?
    pub fn has(&self, token: &str) -> bool {
        self.xed_pattern.split_whitespace().any(|t| t == token)
    }

    /// Is `word` one of the attributes?
    pub fn is(&self, word: &str) -> bool {
        self.attributes.split_whitespace().any(|t| t == word)
    }

    /// Is an operand of this class shown?
    pub fn uses_class(&self, class: &str) -> bool {
        self.all.iter().any(|o| o.class == class && o.shown())
    }

    /// Does an operand come from this field?
    pub fn uses_field(&self, field: &str) -> bool {
        self.all.iter().any(|o| o.field == field || o.field.strip_prefix(field).is_some_and(|r| r.starts_with('!')))
    }
}

/// The forms of a file.
///
/// # Errors
/// Why it cannot be read, or which line has what no encoding can be made from.
pub fn read(path: &Path) -> Result<Vec<Form>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text: &'static str = text.leak();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    if let Some(missing) = COLUMNS.iter().find(|column| !header.contains(column)) {
        return Err(format!("{} has no column {missing}", path.display()));
    }
    let form = |(n, line)| Form::new(&header, line).map_err(|why| format!("{}, line {}: {why}", path.display(), n + 2));
    lines.enumerate().map(form).collect()
}

/// The file that [`VARIABLE`] names.
///
/// # Errors
/// That it names none.
pub fn named() -> Result<PathBuf, String> {
    std::env::var_os(VARIABLE)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| format!("{VARIABLE} is not set"))
}
