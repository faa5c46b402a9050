//! Processor profiles by name, or put together from features.

use crate::fields::{Given, Object};
use crate::number::choose;
use encore86::isa::{Feature, FeatureSet};
use encore86::{Profile, Vendor};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::fmt;

const VENDORS: [(&str, Vendor); 2] = [("amd", Vendor::Amd), ("intel", Vendor::Intel)];

/// A profile as a case or the command line gives it.
#[derive(Debug)]
pub enum Wanted {
    /// By name.
    Name(String),
    /// Put together.
    Changes(Changes),
}

impl Wanted {
    /// Reads what stands on the command line: a name, or the object of a case.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Wanted, String> {
        if !text.starts_with('{') {
            return Ok(Wanted::Name(text.to_owned()));
        }
        let changes: Object<Changes> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        Ok(Wanted::Changes(changes.0))
    }

    /// The profile.
    ///
    /// # Errors
    /// A sentence that names what is unknown and lists the choices.
    pub fn find(&self) -> Result<Profile, String> {
        match self {
            Wanted::Name(name) => named(name),
            Wanted::Changes(changes) => changes.apply(),
        }
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wanted, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Wanted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a profile, or an object with base, vendor, add and remove")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Wanted, E> {
                Ok(Wanted::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Wanted, A::Error> {
                Changes::deserialize(de::value::MapAccessDeserializer::new(map)).map(Wanted::Changes)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A base profile and what to change in it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Changes {
    base: Given<String>,
    vendor: Given<String>,
    add: Vec<String>,
    remove: Vec<String>,
}

/// A profile by name.
///
/// # Errors
/// A sentence that lists the names.
fn named(name: &str) -> Result<Profile, String> {
    match name {
        "host" => Ok(Profile::host()),
        "all" => Ok(Profile::all()),
        "x86-64" => Ok(plain()),
        model => Profile::named(model).ok_or_else(|| {
            let names: Vec<_> = Profile::names().collect();
            format!("there is no profile {name:?}; choose host, all or one of x86-64, {}", names.join(", "))
        }),
    }
}

/// What every processor with 64-bit mode has: the first level of the x86-64 psABI, and what an operating system needs.
fn plain() -> Profile {
    use Feature::*;
    let features =
        [Fpu, De, Pse, Tsc, Msr, Pae, Cx8, Sep, Pge, Cmov, Pat, Pse36, Clflush, Mmx, Fxsr, Sse, Sse2, Syscall, Nx, Lm];
    let mut set = FeatureSet::base();
    features.into_iter().for_each(|feature| set.insert(feature));
    Profile::from_features(Vendor::Intel, set)
}

impl Changes {
    fn apply(&self) -> Result<Profile, String> {
        let base = named(self.base.0.as_deref().unwrap_or("host")).map_err(|why| format!("base: {why}"))?;
        let vendor = match self.vendor.0.as_deref() {
            Some(name) => Some(choose("vendor", name, &VENDORS)?),
            None => None,
        };
        let feature = |name: &String| {
            Feature::from_name(name).ok_or_else(|| {
                format!(
                    "no instruction depends on a feature {name:?}; names are as in /proc/cpuinfo: pni, abm, avx512f"
                )
            })
        };
        let add: Vec<Feature> = self.add.iter().map(feature).collect::<Result<_, _>>()?;
        let remove: Vec<Feature> = self.remove.iter().map(feature).collect::<Result<_, _>>()?;
        if let Some(both) = add.iter().find(|f| remove.contains(f)) {
            return Err(format!("{:?} is both added and removed; say one of them", both.name()));
        }
        let profile = add.into_iter().fold(base, Profile::with);
        let profile = remove.into_iter().fold(profile, Profile::without);
        Ok(match vendor {
            Some(vendor) => profile.with_vendor(vendor),
            None => profile,
        })
    }
}
