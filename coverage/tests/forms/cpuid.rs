//! Features that a form needs: those of one of its groups are enough, and none of them can be missing.

use crate::encode::Encoding;
use crate::file::Form;
use crate::profiles::Profiles;
use crate::report::Found;
use encore86::isa::Feature;
use encore86::isa::feature::{CpuidBit, CpuidRegister};
use encore86::{Insn, Profile};
use std::collections::BTreeSet;

/// Bits that say what the operating system has enabled or that 64-bit mode implies.
const NO_FEATURES: &[&str] = &["OSXSAVE", "OSPKU", "INTEL64"];

/// Features that the file leaves out, by set, mnemonic or form.
const LEFT_OUT: &[(&str, &str)] = &[
    ("3DNOW", "3dnow"),
    ("AMD", "syscall"),
    ("AMD_INVLPGB", "invlpgb"),
    ("CLZERO", "clzero"),
    ("FMA4", "fma4"),
    ("LWP", "lwp"),
    ("RDMSR", "msr"),
    ("SGX_ENCLV", "sgx_enclv"),
    ("SSE3X87", "fpu"),
    ("TBM", "tbm"),
    ("VMFUNC", "vmx"),
    ("WRMSR", "msr"),
    ("X87", "fpu"),
    ("XOP", "xop"),
    ("clgi", "svm"),
    ("cmpxchg8b", "cx8"),
    ("crc32", "sse4_2"),
    ("invlpga", "svm"),
    ("pf2iw", "3dnowext"),
    ("pfnacc", "3dnowext"),
    ("pfpnacc", "3dnowext"),
    ("pi2fw", "3dnowext"),
    ("pswapd", "3dnowext"),
    ("rdtsc", "tsc"),
    ("seamcall", "vmx"),
    ("seamops", "vmx"),
    ("seamret", "vmx"),
    ("skinit", "skinit"),
    ("stgi", "svm"),
    ("syscall", "syscall"),
    ("sysret", "syscall"),
    ("sysret64", "syscall"),
    ("vmload", "svm"),
    ("vmmcall", "svm"),
    ("vmrun", "svm"),
    ("vmsave", "svm"),
];

/// A feature, and one without which no processor has it: whether a line names the second as well means nothing.
const IMPLIED: &[(&str, &str)] = &[
    ("3dnowext", "3dnow"),
    ("ace_v1", "amx_avx512"),
    ("aeskle_wide", "aeskle"),
    ("amx_avx512", "avx10"),
    ("amx_tile", "avx"),
    ("apx_ndd_nf", "apx_f"),
    ("avx10", "avx512f"),
    ("avx10_2", "avx10"),
    ("avx2", "avx"),
    ("avx512f", "avx"),
    ("avx_ifma", "avx"),
    ("avx_ne_convert", "avx"),
    ("avx_vnni", "avx"),
    ("avx_vnni_int16", "avx"),
    ("avx_vnni_int8", "avx"),
    ("cmpccxadd", "avx"),
    ("f16c", "avx"),
    ("fma4", "avx"),
    ("msr_imm", "avx"),
    ("pni", "mmx"),
    ("sse2", "mmx"),
    ("ssse3", "mmx"),
    ("user_msr", "avx"),
    ("vaes", "aes"),
    ("vaes", "avx"),
    ("vpclmulqdq", "avx"),
    ("vpclmulqdq", "pclmulqdq"),
    ("xop", "avx"),
];

/// What a feature implies by itself.
fn implied(feature: Feature) -> impl Iterator<Item = Feature> {
    let name = feature.name();
    let family = [("avx512", "avx512f"), ("amx_", "amx_tile")];
    let families = family.into_iter().filter(move |(start, _)| name.starts_with(start));
    let listed = IMPLIED.iter().copied().filter(move |(from, _)| *from == name);
    listed.chain(families).filter_map(|(_, to)| Feature::from_name(to))
}

/// A set with what it implies.
fn closed(set: &BTreeSet<Feature>) -> BTreeSet<Feature> {
    let (mut all, mut new) = (BTreeSet::new(), set.clone());
    while let Some(feature) = new.pop_first() {
        if all.insert(feature) {
            new.extend(implied(feature));
        }
    }
    all
}

/// The feature of `NAME[leaf.subleaf.register.bit]`; `None` for bits that no feature has.
fn feature(text: &str) -> Option<Feature> {
    // A version, in eight bits. The first one is AVX10 itself.
    if text.starts_with("AVX10_VER2") {
        return Feature::from_name("avx10_2");
    }
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
    let rex2 = form.encspace == "REX2" || form.has("REXB4=1");
    let left_out =
        LEFT_OUT.iter().filter(|(name, _)| [form.isa_set, form.mnemonic, form.iform].contains(name)).map(|(_, f)| *f);
    let left_out = left_out.chain(rex2.then_some("apx_f")).filter_map(Feature::from_name);
    let group = |text: &str| {
        let names = text.split('&').filter(|name| !NO_FEATURES.iter().any(|none| name.starts_with(none)));
        names.filter_map(feature).chain(left_out.clone()).collect()
    };
    form.cpuid.split(" | ").map(group).collect()
}

/// Compares the features that the row needs with those of the form.
pub fn check(form: &Form, encoding: &Encoding, insn: &Insn, profiles: &mut Profiles, found: &mut Found<'_>) {
    let is = |profile: &Profile| {
        encore86::decode(&encoding.bytes, encoding.mode, profile)
            .is_ok_and(|other| std::ptr::eq(other.row(), insn.row()))
    };
    let mut agrees = |group: &BTreeSet<Feature>| {
        if !is(profiles.just(form, &closed(group))) {
            return false;
        }
        group.iter().all(|feature| {
            let mut fewer = group.clone();
            fewer.remove(feature);
            let fewer = closed(&fewer);
            // What another feature of the group implies cannot be missing.
            fewer.contains(feature) || !is(profiles.just(form, &fewer))
        })
    };
    if !groups(form).iter().any(&mut agrees) {
        let missed = profiles.without(form).iter().filter(|(_, profile)| !is(profile));
        let names: Vec<_> = missed.map(|(feature, _)| feature.name()).collect();
        found.differ("cpuid", format_args!("[{}]", names.join(" ")), form.cpuid);
    }
}
