//! What was found, by category and set of forms.

use crate::differences::Differences;
use crate::encode::Encoding;
use crate::file::Form;
use crate::hex;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

/// The environment variable that names a set of forms or part of a mnemonic to show in full.
pub const SHOW: &str = "ENCORE86_FORMS_SHOW";

/// Samples of a group.
const SAMPLES: usize = 3;

/// Failing forms by set, with what was found.
type Sets = BTreeMap<&'static str, Vec<(Form, String)>>;

/// Failing forms of each category.
#[derive(Default)]
pub struct Report(BTreeMap<&'static str, Sets>);

impl Report {
    /// Notes that a form fails.
    pub fn add(&mut self, category: &'static str, form: &Form, what: String) {
        self.0.entry(category).or_default().entry(form.isa_set).or_default().push((form.clone(), what));
    }

    /// How many forms failed in a category.
    pub fn count(&self, category: &str) -> usize {
        self.0.get(category).map_or(0, |sets| sets.values().map(Vec::len).sum())
    }

    /// How many forms failed.
    pub fn total(&self) -> usize {
        self.0.keys().map(|category| self.count(category)).sum()
    }

    /// Prints what was found, and fails where that is anything or a difference was listed in vain.
    pub fn finish(&self, differences: &Differences) {
        println!("{}", self.text());
        let unused = differences.unused();
        assert_eq!((self.total(), unused), (0, 0), "forms that fail, and differences that nothing needs");
    }

    /// The text: counts by set with samples, or all of what is to be shown.
    fn text(&self) -> String {
        let show = std::env::var(SHOW).ok();
        let mut out = String::new();
        for (category, sets) in &self.0 {
            writeln!(out, "== {category}: {} forms", self.count(category)).unwrap();
            let mut sets: Vec<_> = sets.iter().collect();
            sets.sort_by_key(|(name, forms)| (std::cmp::Reverse(forms.len()), **name));
            for (set, forms) in sets {
                let shown: Vec<_> = match &show {
                    None => forms.iter().take(SAMPLES).collect(),
                    Some(_) if show.as_deref() == Some(set) => forms.iter().collect(),
                    Some(part) => {
                        let asked = |form: &Form| set.contains(part.as_str()) || form.mnemonic.contains(part.as_str());
                        forms.iter().filter(|(form, _)| asked(form)).collect()
                    }
                };
                if show.is_some() && shown.is_empty() {
                    continue;
                }
                writeln!(out, "  {set}: {}", forms.len()).unwrap();
                for (form, what) in shown {
                    writeln!(out, "    {:>5} {:<44} {what}", form.id, form.iform).unwrap();
                }
            }
        }
        out
    }
}

/// Notes what differs in one encoding of a form; each category once.
pub struct Found<'a> {
    pub encoding: &'a Encoding,
    pub differences: &'a mut BTreeMap<&'static str, String>,
}

impl Found<'_> {
    pub fn differ(&mut self, category: &'static str, is: impl Display, should: impl Display) {
        let Encoding { bytes, mode, .. } = self.encoding;
        let text = || format!("{} {mode:?}: {is}, not {should}", hex(bytes));
        self.differences.entry(category).or_insert_with(text);
    }
}
