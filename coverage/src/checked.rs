//! Which rows `tests/hardware.rs` compared with a processor: a list that the test writes, and the tables are made from.

use encore86::isa::Row;
use encore86::isa::row::sel;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The environment variable that makes the hardware comparison write the list.
pub const VARIABLE: &str = "ENCORE86_CHECKED";

/// Where the list is, from the root of the repository.
pub const FILE: &str = "tests/hardware/checked.tsv";

/// The command that writes it.
pub const COMMAND: &str = "ENCORE86_CHECKED=1 cargo test --release --test hardware";

const TEXT: &str = include_str!("../../tests/hardware/checked.tsv");

/// How much of a row was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Cases, all of which agreed.
    pub cases: u64,
    /// Why there are none.
    pub reason: String,
}

/// The list: its processor, and how much of each row was compared on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The processor.
    pub processor: String,
    /// By [`name`] of a row.
    pub rows: BTreeMap<String, Checked>,
}

const PROCESSOR: &str = "# processor: ";

/// A row's name: its opcode, and the form as the manual writes it. Rows of one name are the same instruction in other modes.
pub fn name(row: &Row) -> String {
    let (_, _, map) = crate::count::map_of(row);
    let digit = row.select.value >> sel::REG_SHIFT & 7;
    let digit = if row.select.mask & sel::REG != 0 { format!("/{digit}") } else { String::new() };
    let vendor = match (row.select.mask & sel::AMD, row.select.value & sel::AMD) {
        (0, _) => "",
        (_, 0) => ", Intel",
        _ => ", AMD",
    };
    format!("{map} {:02X}{digit} {}{vendor}", row.opcode, row.form())
}

impl List {
    /// The list of the repository.
    pub fn read() -> List {
        List::parse(TEXT)
    }

    fn parse(text: &str) -> List {
        let processor = text.lines().find_map(|line| line.strip_prefix(PROCESSOR)).unwrap_or("none");
        let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let mut cells = line.split('\t');
            let name = cells.next().unwrap_or("");
            let cases = cells.next().and_then(|cell| cell.parse().ok());
            let cases = cases.unwrap_or_else(|| panic!("{FILE}: no number of cases in {line:?}"));
            (name.to_owned(), Checked { cases, reason: cells.next().unwrap_or("").to_owned() })
        });
        List { processor: processor.to_owned(), rows: rows.collect() }
    }

    /// Adds cases of a row.
    pub fn add(&mut self, row: &Row, cases: u64) {
        self.note(name(row), cases, "");
    }

    /// Says why a row was not compared, unless it was.
    pub fn leave_out(&mut self, row: &Row, reason: &str) {
        self.note(name(row), 0, reason);
    }

    /// Cases, or the first reason why there are none.
    fn note(&mut self, name: String, cases: u64, reason: &str) {
        let entry = self.rows.entry(name).or_default();
        entry.cases += cases;
        if entry.cases != 0 {
            entry.reason.clear();
        } else if entry.reason.is_empty() {
            reason.clone_into(&mut entry.reason);
        }
    }

    /// Adds another list.
    pub fn merge(&mut self, other: &List) {
        for (name, Checked { cases, reason }) in &other.rows {
            self.note(name.clone(), *cases, reason);
        }
    }

    /// The list as text.
    pub fn text(&self) -> String {
        let mut out = format!(
            "# Rows of the instruction table that tests/hardware.rs compared with a processor: opcode and form, cases, and\n\
             # why there are none. Written by `{COMMAND}`.\n{PROCESSOR}{}\n",
            self.processor
        );
        for (name, Checked { cases, reason }) in &self.rows {
            let tab = if reason.is_empty() { "" } else { "\t" };
            writeln!(out, "{name}\t{cases}{tab}{reason}").expect("a string takes all");
        }
        out
    }

    /// Why a row is not checked against a processor; `None` if it is.
    pub fn why_not(&self, row: &Row) -> Option<&str> {
        match self.rows.get(&name(row)) {
            _ if !row.executed() => Some("decoded only"),
            Some(checked) if checked.cases > 0 => None,
            Some(checked) => Some(&checked.reason),
            None => Some("not compared yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encore86::isa::tables;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_names_rows_that_are_there_and_emulated() {
        let rows: BTreeSet<_> = tables::rows().filter(|row| row.executed()).map(name).collect();
        let list = List::read();
        let unknown: Vec<_> = list.rows.keys().filter(|name| !rows.contains(*name)).collect();
        assert!(unknown.is_empty(), "run `{COMMAND}`: {FILE} names {unknown:?}");
        assert!(!list.rows.is_empty() && list.processor != "none", "{FILE} is empty");
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let (mut list, mut rows) = (List::default(), tables::rows().filter(|row| row.executed()));
        let mut row = || rows.next().expect("a row");
        let (first, second) = (row(), row());
        list.processor = "a processor".into();
        list.leave_out(first, "a reason");
        list.leave_out(second, "another");
        list.add(first, 3);
        list.leave_out(first, "not in this mode");
        assert_eq!(List::parse(&list.text()), list);
        assert_eq!((list.why_not(first), list.why_not(second)), (None, Some("another")));
        assert_eq!(list.why_not(row()), Some("not compared yet"));
    }
}
