//! Counts by group of rows.

use crate::checked::List;
use crate::expand;
use crate::manual;
use encore86::isa::row::{Map, Row, Space};
use encore86::isa::{Feature, tables};
use std::collections::{BTreeMap, BTreeSet};

/// What a group of rows adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows: lines of the manual.
    pub lines: usize,
    /// Forms of these, and of them:
    pub forms: usize,
    /// those that decode to their row,
    pub decoded: usize,
    /// those that an engine runs,
    pub emulated: usize,
    /// those of rows that were compared with a processor,
    pub checked: usize,
    /// those that were not, and that cases worked out by hand from the manual check.
    pub by_manual: usize,
    /// Forms of the rest, by reason.
    pub why_not: BTreeMap<String, usize>,
    /// Mnemonics of rows that an engine runs.
    pub emulated_mnemonics: BTreeSet<&'static str>,
    /// Mnemonics of rows that are decoded only.
    pub decoded_mnemonics: BTreeSet<&'static str>,
}

impl Count {
    /// Adds another group.
    pub fn add(&mut self, other: &Count) {
        self.lines += other.lines;
        self.forms += other.forms;
        self.decoded += other.decoded;
        self.emulated += other.emulated;
        self.checked += other.checked;
        self.by_manual += other.by_manual;
        for (reason, forms) in &other.why_not {
            *self.why_not.entry(reason.clone()).or_default() += forms;
        }
        self.emulated_mnemonics.extend(&other.emulated_mnemonics);
        self.decoded_mnemonics.extend(&other.decoded_mnemonics);
    }

    /// How many mnemonics the group has.
    pub fn mnemonics(&self) -> usize {
        self.emulated_mnemonics.union(&self.decoded_mnemonics).count()
    }

    fn of(row: &'static Row, checked: &List, manual: &manual::Rows) -> Count {
        let forms = expand::forms(row).len();
        let mut count = Count { lines: 1, forms, decoded: expand::decoded(row), ..Count::default() };
        if row.executed() {
            count.emulated = forms;
            count.emulated_mnemonics.insert(row.mnemonic);
        } else {
            count.decoded_mnemonics.insert(row.mnemonic);
        }
        match checked.why_not(row) {
            None => count.checked = forms,
            Some(reason) => {
                count.why_not.insert(reason.to_owned(), forms);
                count.by_manual = if row.executed() && manual.has(row) { forms } else { 0 };
            }
        }
        count
    }
}

/// All rows, each with what it adds.
pub struct Counts(Vec<(&'static Row, Count)>);

impl Counts {
    /// Counts all rows.
    pub fn new(checked: &List) -> Counts {
        let manual = manual::Rows::read();
        Counts(tables::rows().map(|row| (row, Count::of(row, checked, &manual))).collect())
    }

    /// The counts of groups.
    pub fn by<K: Ord>(&self, key: impl Fn(&Row) -> K) -> BTreeMap<K, Count> {
        let mut groups = BTreeMap::<K, Count>::new();
        for (row, count) in &self.0 {
            groups.entry(key(row)).or_default().add(count);
        }
        groups
    }

    /// The count of everything.
    pub fn all(&self) -> Count {
        self.by(|_| ()).remove(&()).unwrap_or_default()
    }
}

/// Encoding space and opcode map, as the manual names them. x87 has a table of its own in one-byte opcodes.
pub fn map_of(row: &Row) -> (Space, Map, &'static str) {
    let x87 = row.space == Space::Legacy && row.map == Map::Primary && row.opcode & 0xf8 == 0xd8;
    let name = match (row.space, row.map) {
        _ if x87 => "x87, D8 to DF",
        (Space::Legacy, Map::Primary) => "one-byte opcodes",
        (Space::Legacy, Map::M0f) => "0F",
        (Space::Legacy, Map::M0f38) => "0F 38",
        (Space::Legacy, Map::M0f3a) => "0F 3A",
        (Space::Legacy, Map::M0f0f) => "0F 0F, 3DNow!",
        (Space::Vex, Map::M0f) => "VEX 0F",
        (Space::Vex, Map::M0f38) => "VEX 0F 38",
        (Space::Vex, Map::M0f3a) => "VEX 0F 3A",
        (Space::Vex, Map::M5) => "VEX map 5",
        (Space::Vex, Map::M7) => "VEX map 7",
        (Space::Evex, Map::M0f) => "EVEX 0F",
        (Space::Evex, Map::M0f38) => "EVEX 0F 38",
        (Space::Evex, Map::M0f3a) => "EVEX 0F 3A",
        (Space::Evex, Map::M4) => "EVEX map 4",
        (Space::Evex, Map::M5) => "EVEX map 5",
        (Space::Evex, Map::M6) => "EVEX map 6",
        (Space::Evex, Map::M7) => "EVEX map 7",
        (Space::Xop, Map::M8) => "XOP map 8",
        (Space::Xop, Map::M9) => "XOP map 9",
        (Space::Xop, Map::M10) => "XOP map 10",
        (Space::Legacy, _) => "another map",
        (Space::Vex, _) => "another VEX map",
        (Space::Evex, _) => "another EVEX map",
        (Space::Xop, _) => "another XOP map",
    };
    (row.space, row.map, name)
}

/// The features that a row needs together.
pub fn features_of(row: &Row) -> Vec<Feature> {
    let mut features: Vec<_> = row.features.into_iter().filter(|&f| f != Feature::Base).collect();
    features.sort();
    features.dedup();
    features
}
