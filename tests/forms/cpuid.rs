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

/// Features that the file leaves out, by set or mnemonic.
const LEFT_OUT: &[(&str, Feature)] = &[
    ("CLZERO", Feature::Clzero),
    ("SSE3X87", Feature::Fpu),
    ("X87", Feature::Fpu),
    ("cmpxchg8b", Feature::Cx8),
    ("rdtsc", Feature::Tsc),
    ("syscall", Feature::Syscall),
];

/// A feature, and one without which no processor has it: whether a line names the second as well means nothing.
const IMPLIED: &[(Feature, Feature)] = &[
    (Feature::Avx2, Feature::Avx),
    (Feature::AvxIfma, Feature::Avx),
    (Feature::AvxNeConvert, Feature::Avx),
    (Feature::AvxVnni, Feature::Avx),
    (Feature::AvxVnniInt16, Feature::Avx),
    (Feature::AvxVnniInt8, Feature::Avx),
    (Feature::F16c, Feature::Avx),
    (Feature::Sse2, Feature::Mmx),
    (Feature::Ssse3, Feature::Mmx),
    (Feature::Vaes, Feature::Aes),
    (Feature::Vaes, Feature::Avx),
    (Feature::Vpclmulqdq, Feature::Avx),
    (Feature::Vpclmulqdq, Feature::Pclmulqdq),
];

/// A set with what it implies.
fn closed(mut set: BTreeSet<Feature>) -> BTreeSet<Feature> {
    let implied = IMPLIED.iter().filter(|(feature, _)| set.contains(feature)).map(|(_, implied)| *implied);
    set.extend(implied.collect::<Vec<_>>());
    set
}

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
    let left_out = LEFT_OUT.iter().filter(|(name, _)| [form.isa_set, form.mnemonic].contains(name)).map(|(_, f)| *f);
    let group = |text: &str| {
        let names = text.split('&').filter(|name| !NO_FEATURES.iter().any(|none| name.starts_with(none)));
        closed(names.filter_map(feature).chain(left_out.clone()).collect())
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
    if !groups(form).contains(&closed(needed.clone())) {
        let names: Vec<_> = needed.iter().map(|f| f.name()).collect();
        found.differ("cpuid", format_args!("[{}]", names.join(" ")), form.cpuid);
    }
}
