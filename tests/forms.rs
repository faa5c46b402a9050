//! Every instruction form of a list of facts: it decodes, and the table says of it what the facts say.
//!
//! The list is a file outside the project, named by `ENCORE86_FORMS`; its README describes the columns. Bytes are made from
//! the columns, so that neither table nor decoder has a part in what is expected. `ENCORE86_FORMS_SHOW` set to the name of a
//! set of forms, or a part of one or of a mnemonic, lists all that fails there.

#[path = "forms/encode.rs"]
mod encode;
#[path = "forms/file.rs"]
mod file;
#[path = "forms/names.rs"]
mod names;
#[path = "forms/profiles.rs"]
mod profiles;
#[path = "forms/report.rs"]
mod report;

use encode::encodings;
use file::Form;
use profiles::Profiles;
use report::{Report, hex};

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

#[test]
fn every_form_decodes_under_its_name() {
    let Some(forms) = forms() else { return };
    let (mut report, mut profiles, mut tried) = (Report::default(), Profiles::default(), 0);
    for form in &forms {
        let encodings = encodings(form);
        if encodings.is_empty() {
            report.add("no encoding could be made", form, form.xed_pattern.into());
        }
        tried += encodings.len();
        let failure = encodings.iter().find_map(|encoding| {
            let bytes = &encoding.bytes;
            let said = format!("{} {:?}:", hex(bytes), encoding.mode);
            match encore86::decode(bytes, encoding.mode, profiles.of(form)) {
                Err(error) => Some(("not decoded", format!("{said} {error}"))),
                Ok(insn) if insn.length() != bytes.len() => {
                    Some(("another length", format!("{said} {insn}, of {} bytes", insn.length())))
                }
                Ok(insn) if !names::agree(form, &insn.mnemonic().to_string()) => {
                    Some(("another mnemonic", format!("{said} {insn}, not {}", form.mnemonic)))
                }
                Ok(_) => None,
            }
        });
        if let Some((category, what)) = failure {
            report.add(category, form, what);
        }
    }
    println!("{} of {} forms decode, {tried} encodings tried\n", forms.len() - report.total(), forms.len());
    println!("{}", report.text());
    assert_eq!(report.total(), 0, "forms that do not decode under their name");
}
