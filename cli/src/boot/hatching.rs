//! Which tiles the guest left hatched, and why.

use super::devices::Registers;
use encore86::Profile;
use encore86::isa::Feature;
use encore86_asm::gallery::{TILES, Tile};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A sentence for each reason, with its tiles; nothing when there are none.
pub fn reasons(registers: &Registers, profile: &Profile) -> String {
    let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for tile in TILES.iter().filter(|tile| registers.is_hatched(tile.number)) {
        by_reason.entry(reason(tile, profile)).or_default().push(tile.name);
    }
    let mut text = String::new();
    for (reason, tiles) in by_reason {
        // Writing to a string does not fail.
        let _ = writeln!(text, "hatched, since {reason}: {}", tiles.join(", "));
    }
    text
}

fn reason(tile: &Tile, profile: &Profile) -> String {
    let host = Profile::host();
    let has = |profile: &Profile, name: &str| Feature::from_name(name).is_some_and(|feature| profile.has(feature));
    match tile.needs.iter().find(|name| !has(profile, name)) {
        Some(name) if has(&host, name) => {
            format!("the guest's CPUID has no {name} (the host has, but the profile leaves it out)")
        }
        Some(name) => {
            format!("the guest's CPUID has no {name} (nor has the host, or its operating system keeps it off)")
        }
        None => "the guest found their registers not enabled in XCR0".to_owned(),
    }
}
