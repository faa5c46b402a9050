//! The tables as text: between markers in `README.md` and `docs/coverage.md`, and for a terminal.

use crate::count::{Count, Counts, features_of, map_of};
use crate::list::matched::Matched;
use encore86::isa::Feature;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str = "<!-- coverage: written by `encore86 coverage --write` -->\n";
const END: &str = "<!-- end of coverage -->";

/// Rows of cells, the first the head.
type Table = Vec<Vec<String>>;

/// Names of the features that rows need together.
fn feature_names(features: &[Feature], quote: &str) -> String {
    match features {
        [] => "none".into(),
        _ => features.iter().map(|f| format!("{quote}{}{quote}", f.name())).collect::<Vec<_>>().join(" + "),
    }
}

const HEAD: [&str; 6] = ["lines", "forms", "decoded", "emulated", "checked", "by manual"];

/// What the pages have in place of these.
const LONG_HEAD: [(&str, &str); 3] =
    [("lines", "lines of the manual"), ("checked", "checked on a processor"), ("by manual", "checked by the manual")];

fn cells(first: impl Into<String>, count: &Count, last: impl ToString) -> Vec<String> {
    let Count { lines, forms, decoded, emulated, checked, by_manual, .. } = count;
    let numbers = [lines, forms, decoded, emulated, checked, by_manual].map(ToString::to_string);
    [first.into()].into_iter().chain(numbers).chain([last.to_string()]).collect()
}

fn head(first: &str, last: &str) -> Vec<String> {
    [first].into_iter().chain(HEAD).chain([last]).map(str::to_owned).collect()
}

/// The table by opcode map.
fn by_map(counts: &Counts) -> Table {
    let mut table = vec![head("opcode map", "mnemonics")];
    table.extend(counts.by(map_of).iter().map(|((_, _, name), count)| cells(*name, count, count.mnemonics())));
    let all = counts.all();
    table.push(cells("all", &all, all.mnemonics()));
    table
}

/// The table by the features that rows need.
fn by_feature(counts: &Counts, quote: &str) -> Table {
    let mut table = vec![head("CPUID features", "why not")];
    for (features, count) in counts.by(features_of) {
        table.push(cells(feature_names(&features, quote), &count, why_not(&count)));
    }
    table
}

/// The same with the forms of a list, beside those of the rows.
fn by_feature_and_list(counts: &Counts, list: &Matched) -> Table {
    let listed = counts.by(features_of).into_keys().map(|features| {
        let forms = list.by_feature.get(&features).copied().unwrap_or(0);
        forms.to_string()
    });
    let column = ["listed".to_owned()].into_iter().chain(listed);
    let mut table = by_feature(counts, "");
    for (row, cell) in table.iter_mut().zip(column) {
        row.insert(3, cell);
    }
    table
}

fn why_not(count: &Count) -> String {
    let reasons = count.why_not.iter().map(|(reason, forms)| match count.why_not.len() {
        1 if *forms == count.forms => reason.clone(),
        _ => format!("{forms} {reason}"),
    });
    reasons.collect::<Vec<_>>().join("; ")
}

/// Is the cell one of a column of numbers?
fn numeric(table: &Table, column: usize) -> bool {
    table.iter().skip(1).all(|row| row[column].bytes().all(|b| b.is_ascii_digit()) && !row[column].is_empty())
}

fn markdown(table: &Table) -> String {
    let mut out = String::new();
    for (at, row) in table.iter().enumerate() {
        let mut row = row.clone();
        if at == 0 {
            for (short, long) in LONG_HEAD {
                row.iter_mut().filter(|cell| *cell == short).for_each(|cell| long.clone_into(cell));
            }
        }
        writeln!(out, "| {} |", row.join(" | ")).expect("a string takes all");
        if at == 0 {
            let rules = (0..row.len()).map(|column| if numeric(table, column) { "---:" } else { "---" });
            writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|")).expect("a string takes all");
        }
    }
    out
}

fn plain(table: &Table) -> String {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..table[0].len()).map(|column| (width(column), numeric(table, column))).collect();
    let mut out = String::new();
    for row in table {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &(width, right))| if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") });
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out.push('\n');
    }
    out
}

/// The tables for a terminal, and what became of a list of forms.
pub fn terminal(counts: &Counts, list: Option<&Matched>) -> String {
    let features = list.map_or_else(|| by_feature(counts, ""), |list| by_feature_and_list(counts, list));
    let mut out = format!("{}\n{}", plain(&by_map(counts)), plain(&features));
    if let Some(list) = list {
        out.push('\n');
        for (category, form, what) in &list.failures {
            writeln!(out, "{} {}: {category}: {what}", form.id, form.iform).expect("a string takes all");
        }
        let Matched { forms, encodings, rows, .. } = list;
        let lines = counts.all().lines;
        writeln!(
            out,
            "{} of {forms} listed forms decode ({encodings} encodings tried), to {rows} of {lines} lines",
            list.decoded()
        )
        .expect("a string takes all");
    }
    out
}

/// The table for the README.
fn summary(counts: &Counts) -> String {
    let mut table = by_map(counts);
    if let Some(all) = table.last_mut() {
        all.iter_mut().for_each(|cell| *cell = format!("**{cell}**"));
    }
    // Bold numbers are numbers too.
    let rules = "|---|---:|---:|---:|---:|---:|---:|---:|";
    let text = markdown(&table);
    let mut lines: Vec<_> = text.lines().collect();
    lines[1] = rules;
    lines.join("\n") + "\n"
}

/// The table by feature, and the mnemonics of each.
fn details(counts: &Counts) -> String {
    let groups = counts.by(features_of);
    let mut out = markdown(&by_feature(counts, "`"));
    let mut mnemonics = |title: &str, of: fn(&Count) -> &BTreeSet<&'static str>| {
        write!(out, "\n## {title}\n").expect("a string takes all");
        let groups: Vec<_> = groups.iter().filter(|(_, count)| !of(count).is_empty()).collect();
        if groups.is_empty() {
            out.push_str("\nNone.\n");
        }
        for (features, count) in groups {
            let names: Vec<_> = of(count).iter().copied().collect();
            writeln!(out, "\n**{}**: {}", feature_names(features, "`"), names.join(" ")).expect("a string takes all");
        }
    };
    mnemonics("Emulated", |count| &count.emulated_mnemonics);
    mnemonics("Decoded only", |count| &count.decoded_mnemonics);
    out
}

/// `text` with `table` between its markers; `None` without markers.
pub fn refreshed(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

/// A page that has a table.
pub struct Page {
    /// Its file, from the root of the repository.
    pub file: &'static str,
    /// Its text.
    pub is: String,
    /// Its text with the table as the rows have it.
    pub should: String,
}

/// The pages in the repository at `root`.
///
/// # Errors
/// A sentence: there is no such page, or it has no markers.
pub fn pages(root: &Path, counts: &Counts) -> Result<Vec<Page>, String> {
    let page = |(file, table): (&'static str, String)| {
        let path = root.join(file);
        let is = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let should = refreshed(&is, &table)
            .ok_or_else(|| format!("{} lacks the markers {:?} and {END:?}", path.display(), BEGIN.trim_end()))?;
        Ok(Page { file, is, should })
    };
    [("README.md", summary(counts)), ("docs/coverage.md", details(counts))].into_iter().map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_table_is_noticed() {
        let page = format!("head\n{BEGIN}old\n{END}\ntail\n");
        let fresh = refreshed(&page, "new\n").expect("it has markers");
        assert_eq!(fresh, format!("head\n{BEGIN}new\n{END}\ntail\n"));
        assert_ne!(fresh, page);
        assert_eq!(refreshed("no markers", "new\n"), None);
    }
}
