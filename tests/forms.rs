//! Every instruction form of a list of facts: it decodes, and the table says of it what the facts say.
//!
//! The list is a file outside the project, named by `ENCORE86_FORMS`; its README describes the columns. Bytes are made from
//! the columns, so that neither table nor decoder has a part in what is expected. `ENCORE86_FORMS_SHOW` set to the name of a
//! set of forms, or a part of one or of a mnemonic, lists all that fails there.

#[path = "forms/cpuid.rs"]
mod cpuid;
#[path = "forms/differences.rs"]
mod differences;
#[path = "forms/encode.rs"]
mod encode;
#[path = "forms/facts.rs"]
mod facts;
#[path = "forms/file.rs"]
mod file;
#[path = "forms/names.rs"]
mod names;
#[path = "forms/operands.rs"]
mod operands;
#[path = "forms/profiles.rs"]
mod profiles;
#[path = "forms/report.rs"]
mod report;

use differences::Differences;
use encode::{Encoding, encodings};
use encore86::isa::row::attr;
use encore86::isa::{Row, tables};
use encore86::{Insn, Mode};
use facts::Siblings;
use file::Form;
use profiles::Profiles;
use report::{Found, Report, hex};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The forms; says why there are none.
fn forms() -> Option<Vec<Form>> {
    match file::read() {
        Ok(forms) => Some(forms),
        Err(why) => {
            println!("SKIPPED the list of instruction forms: {why}");
            None
        }
    }
}

/// Categories of the first test; `row` is the last one's, all others are facts.
const DECODING: [&str; 4] = ["no encoding", "not decoded", "length", "mnemonic"];

/// An encoding decoded under its form's name, or what is wrong and why.
fn decoded(form: &Form, encoding: &Encoding, profiles: &mut Profiles) -> Result<Insn, (&'static str, String)> {
    let said = || format!("{} {:?}:", hex(&encoding.bytes), encoding.mode);
    match encore86::decode(&encoding.bytes, encoding.mode, profiles.of(form)) {
        Err(error) => Err(("not decoded", format!("{} {error}", said()))),
        Ok(insn) if insn.length() != encoding.bytes.len() => {
            Err(("length", format!("{} {insn}, of {} bytes", said(), insn.length())))
        }
        Ok(insn) if !names::agree(form, &insn.mnemonic().to_string()) => {
            Err(("mnemonic", format!("{} {insn}, not {}", said(), form.mnemonic)))
        }
        Ok(insn) => Ok(insn),
    }
}

#[test]
fn every_form_decodes_under_its_name() {
    let Some(forms) = forms() else { return };
    let mut report = Report::new(Differences::of(|category| DECODING.contains(&category)));
    let (mut profiles, mut tried) = (Profiles::default(), 0);
    for form in &forms {
        let encodings = encodings(form);
        if encodings.is_empty() {
            report.add("no encoding", form, form.xed_pattern.into());
        }
        tried += encodings.len();
        let failure = encodings.iter().find_map(|encoding| decoded(form, encoding, &mut profiles).err());
        if let Some((category, what)) = failure {
            report.add(category, form, what);
        }
    }
    println!("{} of {} forms decode, {tried} encodings tried\n", forms.len() - report.total(), forms.len());
    report.finish();
}

#[test]
fn rows_say_what_the_facts_say() {
    let Some(forms) = forms() else { return };
    let mut report = Report::new(Differences::of(|category| !DECODING.contains(&category) && category != "row"));
    let (mut profiles, siblings, modes) = (Profiles::default(), Siblings::new(&forms), Modes::new(&forms));
    let mut compared = 0;
    for form in &forms {
        let mut differences = BTreeMap::new();
        let mut first = true;
        for encoding in &encodings(form) {
            // What does not decode is the other test's.
            let Ok(insn) = decoded(form, encoding, &mut profiles) else { continue };
            compared += 1;
            let mut found = Found { encoding, differences: &mut differences };
            operands::check(form, encoding, &insn, &mut found);
            facts::check(form, encoding, &insn, &siblings, &mut found);
            lock(form, encoding, &mut profiles, &mut found);
            if first {
                cpuid::check(form, encoding, &insn, &mut profiles, &mut found);
                modes.check(form, &mut profiles, &mut differences);
            }
            first = false;
        }
        for (category, what) in differences {
            report.add(category, form, what);
        }
    }
    println!("{compared} encodings compared\n");
    report.finish();
}

/// LOCK in front is taken where the form can be locked, and refused elsewhere.
fn lock(form: &Form, encoding: &Encoding, profiles: &mut Profiles, found: &mut Found<'_>) {
    let mut bytes = vec![0xf0];
    bytes.extend(&encoding.bytes);
    let taken = encore86::decode(&bytes, encoding.mode, profiles.of(form)).is_ok();
    if taken != (form.lock != "no") {
        found.differ("lock", format_args!("LOCK is {}", if taken { "taken" } else { "refused" }), form.lock);
    }
}

/// Modes in which an instruction has any form.
struct Modes(HashMap<[&'static str; 4], Vec<&'static str>>);

impl Modes {
    fn key(form: &Form) -> [&'static str; 4] {
        [form.encspace, form.map, form.opcode, form.mnemonic]
    }

    fn new(forms: &[Form]) -> Modes {
        let mut modes = HashMap::<_, Vec<_>>::new();
        for form in forms {
            modes.entry(Modes::key(form)).or_default().push(form.modes);
        }
        Modes(modes)
    }

    /// In modes in which nothing of this name is valid, the bytes are not this instruction; and 16-bit forms are valid in
    /// real-address mode as the file says.
    fn check(&self, form: &Form, profiles: &mut Profiles, differences: &mut BTreeMap<&'static str, String>) {
        for mode in ["16", "32", "64"] {
            if self.0[&Modes::key(form)].iter().any(|modes| modes.split('/').any(|m| m == mode)) {
                continue;
            }
            let there = Form { modes: mode, ..form.clone() };
            for encoding in &encodings(&there) {
                if let Ok(insn) = decoded(form, encoding, profiles) {
                    Found { encoding, differences }.differ("mode", insn, format_args!("valid there: {}", form.modes));
                }
            }
        }
        for encoding in encodings(form).iter().filter(|e| e.mode == Mode::Prot16) {
            for mode in [Mode::Real16, Mode::V86] {
                let encoding = &Encoding { mode, ..encoding.clone() };
                let taken = decoded(form, encoding, profiles).is_ok();
                let prefixed = matches!(form.encspace, "VEX" | "EVEX" | "XOP");
                if form.real_v86 == "y" && !taken || prefixed && taken {
                    Found { encoding, differences }.differ("mode", taken, format_args!("real_v86 {}", form.real_v86));
                }
            }
        }
    }
}

#[test]
fn every_row_has_a_form() {
    let Some(forms) = forms() else { return };
    let differences = Differences::of(|category| category == "row");
    let mut profiles = Profiles::default();
    let mut hit = HashSet::new();
    for form in &forms {
        for encoding in &encodings(form) {
            hit.extend(decoded(form, encoding, &mut profiles).map(|insn| std::ptr::from_ref(insn.row())));
        }
    }
    let missed: Vec<&Row> = tables::rows().filter(|row| !hit.contains(&std::ptr::from_ref(*row))).collect();
    let mut unlisted = 0;
    for row in missed {
        let form = row.form().to_string();
        if !differences.covers_text("row", &form) {
            let digit = if row.is(attr::MODRM) { format!(", select {:x?}", row.select) } else { String::new() };
            println!("{:?} {:02x} {form}{digit}", row.map, row.opcode);
            unlisted += 1;
        }
    }
    println!("{} of {} rows have a form", hit.len(), tables::rows().count());
    assert_eq!((unlisted, differences.unused()), (0, 0), "rows that no form hits, and differences that nothing needs");
}
