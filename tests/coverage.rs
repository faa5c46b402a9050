//! The coverage tables in `README.md` and `docs/coverage.md` say what the rows of the instruction table say.
//!
//! `ENCORE86_WRITE=1 cargo test --test coverage` writes them anew, between their markers.

use encore86::isa::row::{Map, Row, Space};
use encore86::isa::{Feature, tables};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Rows of a group: all of them, and those that an engine runs.
#[derive(Default)]
struct Count {
    rows: usize,
    executed: usize,
    mnemonics: BTreeSet<&'static str>,
    missing: BTreeSet<String>,
}

impl Count {
    fn add(&mut self, row: &'static Row) {
        self.rows += 1;
        self.mnemonics.insert(row.mnemonic);
        if row.executed() {
            self.executed += 1;
        } else {
            self.missing.insert(row.form().to_string());
        }
    }
}

fn counts<K: Ord>(key: impl Fn(&Row) -> K) -> BTreeMap<K, Count> {
    let mut counts = BTreeMap::<K, Count>::new();
    for row in tables::rows() {
        counts.entry(key(row)).or_default().add(row);
    }
    counts
}

/// Encoding space and opcode map, as the manual names them. x87 has a table of its own in one-byte opcodes.
fn map_of(row: &Row) -> (Space, Map, &'static str) {
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
        (Space::Evex, Map::M0f) => "EVEX 0F",
        (Space::Evex, Map::M0f38) => "EVEX 0F 38",
        (Space::Evex, Map::M0f3a) => "EVEX 0F 3A",
        (space, map) => panic!("name {space:?} {map:?} here"),
    };
    (row.space, row.map, name)
}

/// The features that a row needs together.
fn features_of(row: &Row) -> Vec<Feature> {
    let mut features: Vec<_> = row.features.into_iter().filter(|&f| f != Feature::Base).collect();
    features.sort();
    features.dedup();
    features
}

fn feature_names(features: &[Feature]) -> String {
    match features {
        [] => "none".into(),
        _ => features.iter().map(|f| format!("`{}`", f.name())).collect::<Vec<_>>().join(" + "),
    }
}

/// The table by opcode map, for the README.
fn summary() -> String {
    let mut out = String::from("| opcode map | lines of the manual | executed | mnemonics |\n|---|---:|---:|---:|\n");
    let mut all = Count::default();
    for ((_, _, name), count) in counts(map_of) {
        let Count { rows, executed, mnemonics, .. } = &count;
        writeln!(out, "| {name} | {rows} | {executed} | {} |", mnemonics.len()).unwrap();
        all.rows += rows;
        all.executed += executed;
        all.mnemonics.extend(mnemonics);
    }
    writeln!(out, "| **all** | **{}** | **{}** | **{}** |", all.rows, all.executed, all.mnemonics.len()).unwrap();
    out
}

/// The table by CPUID feature, with the mnemonics of each, and the lines that are decoded only.
fn details() -> String {
    let by_feature = counts(features_of);
    let mut out = String::from("| CPUID features | lines of the manual | executed |\n|---|---:|---:|\n");
    for (features, count) in &by_feature {
        writeln!(out, "| {} | {} | {} |", feature_names(features), count.rows, count.executed).unwrap();
    }
    out.push_str("\n## Mnemonics\n");
    for (features, count) in &by_feature {
        let mnemonics: Vec<_> = count.mnemonics.iter().copied().collect();
        writeln!(out, "\n**{}**: {}", feature_names(features), mnemonics.join(" ")).unwrap();
    }
    out.push_str("\n## Decoded and not executed\n\n");
    let missing: Vec<_> = by_feature.values().flat_map(|count| &count.missing).collect();
    if missing.is_empty() {
        out.push_str("None: every line of the table is executed.\n");
    }
    for form in missing {
        writeln!(out, "- `{form}`").unwrap();
    }
    out
}

const BEGIN: &str = "<!-- coverage: written by `ENCORE86_WRITE=1 cargo test --test coverage` -->\n";
const END: &str = "<!-- end of coverage -->";

/// `text` with `table` between its markers.
fn refreshed(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn check(file: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let is = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let should = refreshed(&is, table).unwrap_or_else(|| panic!("{file} lacks the markers {BEGIN:?} and {END:?}"));
    if std::env::var_os("ENCORE86_WRITE").is_some() {
        std::fs::write(&path, should).unwrap_or_else(|error| panic!("{file}: {error}"));
        return;
    }
    let differing = is.lines().zip(should.lines()).find(|(is, should)| is != should);
    assert!(
        is == should,
        "{file} is stale (run `ENCORE86_WRITE=1 cargo test --test coverage`), first at {differing:?}"
    );
}

#[test]
fn the_readme_counts_the_rows() {
    check("README.md", &summary());
}

#[test]
fn the_coverage_page_lists_the_rows() {
    check("docs/coverage.md", &details());
}

#[test]
fn a_stale_table_is_noticed() {
    let page = format!("head\n{BEGIN}old\n{END}\ntail\n");
    let fresh = refreshed(&page, "new\n").unwrap();
    assert_eq!(fresh, format!("head\n{BEGIN}new\n{END}\ntail\n"));
    assert_ne!(fresh, page);
    assert_eq!(refreshed("no markers", "new\n"), None);
}
