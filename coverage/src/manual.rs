//! Which rows are checked otherwise than by running them on a processor: lists that tests write.
//!
//! Cases of `tests/instructions` are worked out by hand from the manual. `tests/apx.rs` takes instructions of APX apart into
//! others, which the processor runs.

use crate::checked::name;
use encore86::isa::Row;
use std::collections::BTreeSet;

/// The lists, from the root of the repository.
pub const FILES: [&str; 2] = ["tests/instructions/rows.txt", "tests/apx/rows.txt"];

const TEXTS: [&str; 2] = [include_str!("../../tests/instructions/rows.txt"), include_str!("../../tests/apx/rows.txt")];

/// The command that writes them.
pub const COMMAND: &str = "ENCORE86_CHECKED=1 cargo test --release --test instructions --test apx";

/// Names of rows ([`name`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows(BTreeSet<String>);

impl Rows {
    /// The lists of the repository.
    pub fn read() -> Rows {
        let lines = TEXTS.iter().flat_map(|text| text.lines());
        Rows(lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
    }

    /// Is a row named?
    pub fn has(&self, row: &Row) -> bool {
        self.0.contains(&name(row))
    }
}

/// A list as text.
pub fn text(rows: &BTreeSet<String>) -> String {
    let head = format!("# Rows of the instruction table that these tests check. Written by `{COMMAND}`.\n");
    rows.iter().fold(head, |out, row| out + row + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use encore86::isa::tables;

    #[test]
    fn the_lists_name_rows_that_are_there_and_emulated() {
        let rows: BTreeSet<_> = tables::rows().filter(|row| row.executed()).map(name).collect();
        let list = Rows::read();
        let unknown: Vec<_> = list.0.iter().filter(|name| !rows.contains(*name)).collect();
        assert!(unknown.is_empty(), "run `{COMMAND}`: {unknown:?}");
        assert!(!list.0.is_empty());
    }
}
