//! The processor that a form is decoded for.

use super::file::Form;
use encore86::isa::Feature;
use encore86::isa::FeatureSet;
use encore86::{Profile, Vendor};
use std::collections::{BTreeSet, HashMap};

/// Conditions of a pattern that say a feature is off, with the features.
const OFF: &[(&str, &[Feature])] = &[
    ("TZCNT=0", &[Feature::Bmi1]),
    ("LZCNT=0", &[Feature::Lzcnt]),
    ("MPXMODE=0", &[Feature::Mpx]),
    ("CET=0", &[Feature::Ibt, Feature::Shstk]),
    ("PREFETCHIT=0", &[Feature::Prefetchi]),
    ("PREFETCHRST=0", &[Feature::Movrs]),
    ("CLDEMOTE=0", &[Feature::Cldemote]),
    ("WBNOINVD=0", &[Feature::Wbnoinvd]),
];

/// Sets of forms that AMD's processors alone have, or have in another way.
const AMD: &[&str] = &[
    "3DNOW",
    "AMD",
    "AMD_INVLPGB",
    "CLZERO",
    "FMA4",
    "LWP",
    "MCOMMIT",
    "MONITORX",
    "RDPRU",
    "SNP",
    "SSE4a",
    "SVM",
    "TBM",
    "XOP",
];

fn vendor(form: &Form) -> Vendor {
    // UD0 without ModRM is AMD's.
    if form.has("MODE_SHORT_UD0=1") || form.is("AMDONLY") || AMD.contains(&form.isa_set) {
        Vendor::Amd
    } else {
        Vendor::Intel
    }
}

/// Everything of a vendor but some features, and the same without one more.
pub struct Choice {
    profile: Profile,
    without: Vec<(Feature, Profile)>,
}

/// Profiles that were made already.
#[derive(Default)]
pub struct Profiles {
    by_absence: HashMap<(bool, Vec<Feature>), Choice>,
    by_presence: HashMap<(bool, BTreeSet<Feature>), Profile>,
}

impl Profiles {
    fn choose(&mut self, form: &Form) -> &Choice {
        let off = OFF.iter().filter(|(token, _)| form.has(token)).flat_map(|(_, features)| features.iter().copied());
        let (vendor, off) = (vendor(form), off.collect::<Vec<_>>());
        self.by_absence.entry((vendor == Vendor::Amd, off.clone())).or_insert_with(|| {
            let profile = off.into_iter().fold(Profile::all().with_vendor(vendor), Profile::without);
            let without = Feature::ALL.iter().filter(|f| profile.has(**f)).map(|&f| (f, profile.clone().without(f)));
            Choice { without: without.collect(), profile }
        })
    }

    /// The profile for a form: every feature there is, except those that would make it another instruction.
    pub fn of(&mut self, form: &Form) -> &Profile {
        &self.choose(form).profile
    }

    /// That profile without each of its features.
    pub fn without(&mut self, form: &Form) -> &[(Feature, Profile)] {
        &self.choose(form).without
    }

    /// A profile with just these features.
    pub fn just(&mut self, form: &Form, features: &BTreeSet<Feature>) -> &Profile {
        let vendor = vendor(form);
        self.by_presence.entry((vendor == Vendor::Amd, features.clone())).or_insert_with(|| {
            let mut set = FeatureSet::base();
            features.iter().for_each(|&feature| set.insert(feature));
            Profile::from_features(vendor, set)
        })
    }
}
