//! A list of instruction forms, and the encodings that are made from its columns.
//!
//! The list is a file outside the project. Bytes are made from the columns, so that neither table nor decoder has a part in
//! what is expected.

pub mod differences;
pub mod encode;
pub mod file;
pub mod matched;
pub mod names;
pub mod profiles;

use differences::Differences;
use encode::{Encoding, encodings};
use encore86::Insn;
use encore86::isa::Row;
use file::Form;
use profiles::Profiles;

/// What can be wrong with the decoding of a form.
pub const DECODING: [&str; 4] = ["no encoding", "not decoded", "length", "mnemonic"];

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// An encoding decoded under its form's name.
///
/// # Errors
/// What is wrong, one of [`DECODING`], and how.
pub fn decoded(form: &Form, encoding: &Encoding, profiles: &mut Profiles) -> Result<Insn, (&'static str, String)> {
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

/// How a form of the list decodes.
pub struct Found {
    /// What is wrong with the first encoding that fails, and how; nothing where that is a listed difference.
    pub failure: Option<(&'static str, String)>,
    /// The row of the first encoding that decodes.
    pub row: Option<&'static Row>,
    /// How many encodings were made.
    pub tried: usize,
}

/// Decodes all encodings of a form.
pub fn find(form: &Form, differences: &Differences, profiles: &mut Profiles) -> Found {
    let encodings = encodings(form);
    let mut found = Found { failure: None, row: None, tried: encodings.len() };
    if encodings.is_empty() {
        found.failure = Some(("no encoding", form.xed_pattern.into()));
    }
    for encoding in &encodings {
        match decoded(form, encoding, profiles) {
            Ok(insn) => found.row = found.row.or(Some(insn.row())),
            Err((category, what)) => {
                // Under another name for a reason, it is decoded all the same.
                if category == "mnemonic" && differences.covers(category, form) {
                    let insn = encore86::decode(&encoding.bytes, encoding.mode, profiles.of(form));
                    found.row = found.row.or(insn.ok().map(|insn| insn.row()));
                }
                found.failure = found.failure.or(Some((category, what)));
            }
        }
    }
    if found.failure.as_ref().is_some_and(|(category, _)| differences.covers(category, form)) {
        found.failure = None;
    }
    found
}
