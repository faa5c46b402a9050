//! Where the table differs from the file for a reason.

use super::file::Form;
use std::cell::Cell;

/// The file of differences; its head says how it is written.
const TEXT: &str = include_str!("differences.txt");

/// One line.
struct Difference {
    line: usize,
    category: &'static str,
    pattern: &'static str,
    used: Cell<bool>,
}

/// The differences of the categories that a test looks at.
pub struct Differences(Vec<Difference>);

impl Differences {
    /// The lines whose category `wanted` says yes to.
    pub fn of(wanted: impl Fn(&str) -> bool) -> Differences {
        let lines = TEXT.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let all = lines.map(|(at, text)| {
            let mut parts = text.split(" | ");
            let (Some(category), Some(pattern), Some(_reason), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                panic!("differences.txt:{}: category | pattern | reason", at + 1);
            };
            Difference { line: at + 1, category: category.trim(), pattern: pattern.trim(), used: Cell::new(false) }
        });
        Differences(all.filter(|d| wanted(d.category)).collect())
    }

    /// Is there a line for this text?
    pub fn covers_text(&self, category: &str, text: &str) -> bool {
        self.mark(category, |pattern| matches(pattern, text))
    }

    /// Is there a line for the form?
    pub fn covers(&self, category: &str, form: &Form) -> bool {
        self.mark(category, |pattern| {
            pattern.split_whitespace().all(|part| match part.split_once('=') {
                Some(("set", name)) => matches(name, form.isa_set),
                Some(("name", name)) => matches(name, form.mnemonic),
                Some(("form", name)) => matches(name, form.iform),
                _ => panic!("differences.txt: {part:?} is none of set=, name=, form="),
            })
        })
    }

    /// All lines that say yes are used.
    fn mark(&self, category: &str, says: impl Fn(&str) -> bool) -> bool {
        let mut any = false;
        for difference in self.0.iter().filter(|d| d.category == category && says(d.pattern)) {
            difference.used.set(true);
            any = true;
        }
        any
    }

    /// Prints the lines that nothing needs, and counts them.
    pub fn unused(&self) -> usize {
        let unused = self.0.iter().filter(|d| !d.used.get());
        unused.inspect(|d| println!("differences.txt:{}: no {} differs in {}", d.line, d.category, d.pattern)).count()
    }
}

/// Is `text` what the pattern says, in which `*` stands for anything?
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, behind)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|&at| rest.is_char_boundary(at)).any(|at| matches(behind, &rest[at..]))
        }),
    }
}
