//! The file of forms: one line a form, columns as its README describes them.

use std::path::PathBuf;

/// The environment variable that names the file.
pub const VARIABLE: &str = "ENCORE86_FORMS";

macro_rules! columns {
    ($( $name:ident )*) => {
        /// One form. Columns are as the file has them.
        #[derive(Clone, Debug)]
        pub struct Form {
            $( pub $name: &'static str, )*
            /// All operands, implicit ones behind.
            pub all: Vec<Operand>,
        }

        impl Form {
            fn new(header: &[&str], line: &'static str) -> Form {
                let cells: Vec<&'static str> = line.split('\t').collect();
                assert_eq!(cells.len(), header.len(), "cells of {line:?}");
                let cell = |name: &str| {
                    let at = header.iter().position(|h| *h == name).unwrap_or_else(|| panic!("no column {name}"));
                    cells[at]
                };
                $( let $name = cell(stringify!($name)); )*
                let all = cell("operands").split_whitespace().map(Operand::new).collect();
                Form { $( $name, )* all }
            }
        }
    };
}

columns! {
    id mnemonic iform isa_set cpuid encspace map pfx osz66 opcode opcode_plus_r modrm_mod modrm_reg modrm_rm sib w vl imm
    opsize addrsize default64 modes rep nd nf scc mask bcst round attributes xed_pattern
}

/// An operand of a form: `name:role:rw:bits:type`, its name a class and a field or a fixed register.
#[derive(Clone, Debug)]
pub struct Operand {
    pub class: &'static str,
    pub field: &'static str,
}

impl Operand {
    fn new(text: &'static str) -> Operand {
        let name = text.split(':').next().unwrap_or("");
        let (class, field) = name.split_once('/').unwrap_or((name, ""));
        Operand { class, field }
    }
}

impl Form {
    /// Is `token` part of the pattern?
    pub fn has(&self, token: &str) -> bool {
        self.xed_pattern.split_whitespace().any(|t| t == token)
    }

    /// Is `word` one of the attributes?
    pub fn is(&self, word: &str) -> bool {
        self.attributes.split_whitespace().any(|t| t == word)
    }

    /// Does an operand come from this field?
    pub fn uses_field(&self, field: &str) -> bool {
        self.all.iter().any(|o| o.field == field || o.field.strip_prefix(field).is_some_and(|r| r.starts_with('!')))
    }
}

/// The forms, or why there are none.
pub fn read() -> Result<Vec<Form>, String> {
    let path = PathBuf::from(std::env::var_os(VARIABLE).ok_or_else(|| format!("{VARIABLE} is not set"))?);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text: &'static str = text.leak();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    Ok(lines.map(|line| Form::new(&header, line)).collect())
}
