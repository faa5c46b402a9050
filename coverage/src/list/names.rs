//! Mnemonics: the file's are XED's, the table's are the manual's.

use super::file::Form;

/// Mnemonics that are written otherwise, with what the manual calls them.
const NAMES: &[(&str, &[&str])] = &[
    ("bextr_xop", &["bextr"]),
    ("call_far", &["call"]),
    ("cmpsd_xmm", &["cmpsd"]),
    // Names of the 8087 and 80287 that later processors take and do nothing for.
    ("fdisi8087_nop", &["fndisi", "fdisi"]),
    ("feni8087_nop", &["fneni", "feni"]),
    ("fsetpm287_nop", &["fnsetpm", "fsetpm"]),
    ("fstpnce", &["fstpnce", "fstp"]),
    ("fwait", &["wait", "fwait"]),
    ("jmp_far", &["jmp"]),
    ("mov_cr", &["mov"]),
    ("mov_dr", &["mov"]),
    ("movsd_xmm", &["movsd"]),
    // W chooses RAX and RDX; the manual has one name for both.
    ("pcmpestri64", &["pcmpestri"]),
    ("pcmpestrm64", &["pcmpestrm"]),
    ("pcmpistri64", &["pcmpistri"]),
    ("prefetch_exclusive", &["prefetch"]),
    // Intel has them as NOPs.
    ("prefetch_reserved", &["prefetch", "nop"]),
    ("rep_montmul", &["montmul"]),
    ("rep_xcryptcbc", &["xcryptcbc"]),
    ("rep_xcryptcfb", &["xcryptcfb"]),
    ("rep_xcryptctr", &["xcryptctr"]),
    ("rep_xcryptecb", &["xcryptecb"]),
    ("rep_xcryptofb", &["xcryptofb"]),
    ("rep_xsha1", &["xsha1"]),
    ("rep_xsha256", &["xsha256"]),
    ("rep_xstore", &["xstore"]),
    ("ret_far", &["retf"]),
    ("ret_near", &["ret"]),
    ("syscall_amd", &["syscall"]),
    ("sysret64", &["sysret"]),
    ("sysret_amd", &["sysret"]),
    ("vpcmpestri64", &["vpcmpestri"]),
    ("vpcmpestrm64", &["vpcmpestrm"]),
    ("vpcmpistri64", &["vpcmpistri"]),
    ("vpextrw_c5", &["vpextrw"]),
    ("xlat", &["xlatb"]),
];

/// Names of one condition, the one that is taken first.
const CONDITIONS: [&[&str]; 18] = [
    &["o"],
    &["no"],
    &["b", "c", "nae"],
    &["ae", "nb", "nc"],
    &["e", "z"],
    &["ne", "nz"],
    &["be", "na"],
    &["a", "nbe"],
    &["s"],
    &["ns"],
    &["p", "pe"],
    &["np", "po"],
    &["l", "nge"],
    &["ge", "nl"],
    &["le", "ng"],
    &["g", "nle"],
    &["t"],
    &["f"],
];

/// Families that have a condition in their name: what stands before it, and behind.
const CONDITIONAL: [(&str, &str); 7] =
    [("cfcmov", ""), ("cmov", ""), ("set", ""), ("ctest", ""), ("ccmp", ""), ("cmp", "xadd"), ("j", "")];

/// The mnemonic with the first name of its condition, if it has one.
fn canonical(name: &str) -> String {
    for (before, behind) in CONDITIONAL {
        let Some(condition) = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind)) else { continue };
        if let Some(names) = CONDITIONS.iter().find(|names| names.contains(&condition)) {
            return format!("{before}{}{behind}", names[0]);
        }
    }
    name.into()
}

/// A name that all forms of an instruction share.
pub fn common(form: &Form) -> &'static str {
    NAMES.iter().find(|(name, _)| *name == form.mnemonic).map_or(form.mnemonic, |(_, names)| names[0])
}

/// Is `ours` the manual's name of the form?
pub fn agree(form: &Form, ours: &str) -> bool {
    // Zeroing the upper part is a name of its own: SETZUcc, IMULZU.
    if form.iform.ends_with("_ZU") {
        let stem = if form.mnemonic.starts_with("set") { "set" } else { form.mnemonic };
        return ours
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix("zu"))
            .is_some_and(|rest| canonical(&format!("{stem}{rest}")) == canonical(form.mnemonic));
    }
    match NAMES.iter().find(|(name, _)| *name == form.mnemonic) {
        Some((_, names)) => names.contains(&ours),
        None => canonical(form.mnemonic) == canonical(ours),
    }
}
