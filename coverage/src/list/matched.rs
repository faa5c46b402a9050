//! The list against the table: which forms decode, and to which rows.

use super::differences::Differences;
use super::file::Form;
use super::profiles::Profiles;
use super::{DECODING, find};
use crate::count::features_of;
use encore86::isa::Feature;
use std::collections::{BTreeMap, HashSet};

/// What became of the forms of a list.
pub struct Matched {
    /// How many there are.
    pub forms: usize,
    /// Encodings that were tried.
    pub encodings: usize,
    /// Rows that some form decodes to.
    pub rows: usize,
    /// Forms that decode, by the features of their rows.
    pub by_feature: BTreeMap<Vec<Feature>, usize>,
    /// The forms that do not: category, form, what is wrong.
    pub failures: Vec<(&'static str, Form, String)>,
}

impl Matched {
    /// Decodes all encodings of all forms.
    pub fn new(forms: &[Form], differences: &Differences) -> Matched {
        let (mut profiles, mut rows) = (Profiles::default(), HashSet::new());
        let mut matched =
            Matched { forms: forms.len(), encodings: 0, rows: 0, by_feature: BTreeMap::new(), failures: Vec::new() };
        for form in forms {
            let found = find(form, differences, &mut profiles);
            matched.encodings += found.tried;
            if let Some((category, what)) = found.failure {
                matched.failures.push((category, form.clone(), what));
            } else if let Some(row) = found.row {
                rows.insert(std::ptr::from_ref(row));
                *matched.by_feature.entry(features_of(row)).or_default() += 1;
            }
        }
        matched.rows = rows.len();
        matched
    }

    /// The differences that concern decoding.
    pub fn differences() -> Differences {
        Differences::of(|category| DECODING.contains(&category))
    }

    /// How many forms decode.
    pub fn decoded(&self) -> usize {
        self.by_feature.values().sum()
    }
}
