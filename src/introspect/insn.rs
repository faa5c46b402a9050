//! What a tool that shows instructions asks of a decoded one.

use crate::decode::{Insn, prefix};
use crate::isa::row::attr;

/// A repetition prefix that has effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// REP: rCX times.
    Rep,
    /// REPE: as long as elements are equal.
    Repe,
    /// REPNE: as long as they differ.
    Repne,
}

impl Insn {
    /// The immediate as decoded: extended to 64 bits as the row says.
    pub fn immediate(&self) -> u64 {
        self.imm
    }

    /// Address size in bytes: 2, 4 or 8.
    pub fn address_size(&self) -> u8 {
        self.asize
    }

    /// How the instruction is repeated.
    pub fn repeat(&self) -> Option<Repeat> {
        let (rep, repne) = (self.has(prefix::REP), self.has(prefix::REPNE));
        match (self.row.is(attr::REP) && (rep || repne), self.row.is(attr::REPCC)) {
            (false, _) => None,
            (true, false) => Some(Repeat::Rep),
            (true, true) => Some(if repne { Repeat::Repne } else { Repeat::Repe }),
        }
    }
}
