//! Features that a form needs: found by taking away one after the other.

use crate::encode::Encoding;
use crate::file::Form;
use crate::profiles::Profiles;
use crate::report::Found;
use encore86::Insn;
use encore86::isa::Feature;
use encore86::isa::feature::{CpuidBit, CpuidRegister};
use std::collections::BTreeSet;

/// Bits that say what the operating system has enabled or that 64-bit mode implies, and repetitions of a bit.
const NO_FEATURES: &[&str] = &["OSXSAVE", "OSPKU", "INTEL64"];

/// The feature of `NAME[leaf.subleaf.register.bit]`; `None` for versions and for bits that no feature has.
fn feature(text: &str) -> Option<Feature> {
    let (_, place) = text.strip_suffix(']')?.split_once('[')?;
    let mut parts = place.split('.');
    let mut number = |radix| u32::from_str_radix(parts.next()?, radix).ok();
    let (leaf, subleaf) = (number(16)?, number(16)?);
    let register = match parts.next()? {
        "EAX" => CpuidRegister::Eax,
        "EBX" => CpuidRegister::Ebx,
        "ECX" => CpuidRegister::Ecx,
        "EDX" => CpuidRegister::Edx,
        _ => return None,
    };
    let bit = parts.next()?.parse().ok()?;
    let at = CpuidBit { leaf, subleaf, register, bit };
    Feature::ALL.iter().copied().find(|f| f.cpuid() == Some(at))
}

/// The groups of features of which any one suffices.
fn groups(form: &Form) -> Vec<BTreeSet<Feature>> {
    let group = |text: &str| {
        let names = text.split('&').filter(|name| !NO_FEATURES.iter().any(|none| name.starts_with(none)));
        names.filter_map(feature).collect()
    };
    form.cpuid.split(" | ").map(group).collect()
}

/// Compares the features that the row needs with those of the form.
pub fn check(form: &Form, encoding: &Encoding, insn: &Insn, profiles: &mut Profiles, found: &mut Found<'_>) {
    let is = |without: &encore86::Profile| {
        encore86::decode(&encoding.bytes, encoding.mode, without)
            .is_ok_and(|other| std::ptr::eq(other.row(), insn.row()))
    };
    let needed: BTreeSet<Feature> = profiles.without(form).iter().filter(|(_, p)| !is(p)).map(|(f, _)| *f).collect();
    if !groups(form).contains(&needed) {
        let names: Vec<_> = needed.iter().map(|f| f.name()).collect();
        found.differ("cpuid", format_args!("[{}]", names.join(" ")), form.cpuid);
    }
}
