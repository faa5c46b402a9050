//! Every instruction form of a list of facts: it decodes, and the table says of it what the facts say.
//!
//! The list is a file outside the project, named by `ENCORE86_FORMS`; its README describes the columns. Bytes are made from
//! the columns, so that neither table nor decoder has a part in what is expected. `ENCORE86_FORMS_SHOW` set to the name of a
//! set of forms, or a part of one or of a mnemonic, lists all that fails there.

#[path = "forms/claims.rs"]
mod claims;
#[path = "forms/cpuid.rs"]
mod cpuid;
#[path = "forms/facts.rs"]
mod facts;
#[path = "forms/operands.rs"]
mod operands;
#[path = "forms/report.rs"]
mod report;

use claims::{Claims, Fields};
use differences::Differences;
use encode::{Encoding, encodings};
use encore86::isa::row::attr;
use encore86::isa::{Row, tables};
use encore86::{Insn, Mode, Profile};
use encore86_coverage::list::matched::Matched;
use encore86_coverage::list::{DECODING, decoded, differences, encode, file, hex, names, profiles};
use facts::Siblings;
use file::Form;
use profiles::Profiles;
use report::{Found, Report};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write as _;

/// Prints past the test harness, which swallows what a passing test prints.
fn say(text: &str) {
    // In one piece, between what other threads print. A closed stderr is no reason to fail.
    _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// The forms; says why there are none.
fn forms() -> Option<Vec<Form>> {
    match file::named().and_then(|path| file::read(&path)) {
        Ok(forms) => Some(forms),
        Err(why) => {
            say(&format!("SKIPPED the list of instruction forms: {why}"));
            None
        }
    }
}

#[test]
fn every_form_decodes_under_its_name() {
    let Some(forms) = forms() else { return };
    let differences = Matched::differences();
    let matched = Matched::new(&forms, &differences);
    let mut report = Report::default();
    for (category, form, what) in &matched.failures {
        report.add(category, form, what.clone());
    }
    let (decoded, encodings) = (matched.decoded(), matched.encodings);
    say(&format!("{decoded} of {} forms decode, {encodings} encodings tried", matched.forms));
    report.finish(&differences);
    assert_eq!(matched.decoded(), forms.len(), "forms that decode to a row");
}

#[test]
fn rows_say_what_the_facts_say() {
    let Some(forms) = forms() else { return };
    let facts = |category: &str| !DECODING.contains(&category) && !matches!(category, "row" | "stray");
    let (differences, mut report) = (Differences::of(facts), Report::default());
    let (mut profiles, siblings, modes) = (Profiles::default(), Siblings::new(&forms), Modes::new(&forms));
    let mut compared = 0;
    for form in &forms {
        let mut differing = BTreeMap::new();
        let mut first = true;
        for encoding in &encodings(form) {
            // What does not decode is the other test's.
            let Ok(insn) = decoded(form, encoding, &mut profiles) else { continue };
            compared += 1;
            let mut found = Found { encoding, differences: &mut differing };
            operands::check(form, encoding, &insn, &mut found);
            facts::check(form, encoding, &insn, &siblings, &mut found);
            lock(form, encoding, &mut profiles, &mut found);
            rex2(form, encoding, &insn, &mut profiles, &mut found);
            if first {
                cpuid::check(form, encoding, &insn, &mut profiles, &mut found);
                modes.check(form, &mut profiles, &mut differing);
            }
            first = false;
        }
        for (category, what) in differing {
            if !differences.covers(category, form) {
                report.add(category, form, what);
            }
        }
    }
    say(&format!("{compared} encodings of forms compared"));
    report.finish(&differences);
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

/// REX2 in place of REX is taken where the form says so.
fn rex2(form: &Form, encoding: &Encoding, insn: &Insn, profiles: &mut Profiles, found: &mut Found<'_>) {
    let Some(bytes) = &encoding.rex2 else { return };
    let other = encore86::decode(bytes, encoding.mode, profiles.of(form));
    let same = |other: &Insn| std::ptr::eq(other.row(), insn.row()) && other.length() == bytes.len();
    let taken = other.as_ref().is_ok_and(same);
    if taken != (form.rex2 == "ok") {
        let other = other.map_or_else(|error| error.to_string(), |insn| insn.to_string());
        found.differ("REX2", format_args!("{}: {other}", hex(bytes)), form.rex2);
    }
}

/// Modes in which an instruction has any form.
struct Modes(HashMap<[&'static str; 4], Vec<&'static str>>);

impl Modes {
    fn key(form: &Form) -> [&'static str; 4] {
        [form.encspace, form.map, form.opcode, names::common(form)]
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
    say(&format!("{} of {} rows have a form", hit.len(), tables::rows().count()));
    assert_eq!((unlisted, differences.unused()), (0, 0), "rows that no form hits, and differences that nothing needs");
}

/// Rows that took bytes which no form claims, with how many and the first; and how many bytes were decoded.
#[derive(Default)]
struct Strays(BTreeMap<String, (usize, String)>, usize);

impl Strays {
    /// Decodes the bytes of `fields`; what comes out is some form's that claims them.
    fn check(&mut self, claims: &Claims<'_>, profile: &Profile, fields: Fields) {
        let bytes = fields.bytes();
        let Ok(insn) = encore86::decode(&bytes, fields.mode(), profile) else { return };
        self.1 += 1;
        let name = insn.mnemonic().to_string();
        if !claims.of(&fields).any(|form| names::agree(form, &name)) {
            let what = || format!("{} {:?}: {insn}", hex(&bytes[..insn.length()]), fields.mode());
            self.0.entry(insn.row().form().to_string()).or_insert_with(|| (0, what())).0 += 1;
        }
    }
}

/// All values of some fields, as nested loops.
macro_rules! each {
    ($fields:ident: $( $field:ident in $values:expr ),* ; $body:expr) => {
        each!(@ $fields, $body, $( $field $values ),*)
    };
    (@ $fields:ident, $body:expr, $field:ident $values:expr $(, $rest:ident $more:expr )*) => {
        for $field in $values {
            $fields.$field = $field;
            each!(@ $fields, $body, $( $rest $more ),*);
        }
    };
    (@ $fields:ident, $body:expr,) => { $body };
}

/// All bytes without an encoding space of their own, then VEX and XOP, then EVEX.
fn strays(claims: &Claims<'_>, long: bool) -> Strays {
    let (profile, mut strays) = (Profile::all(), Strays::default());
    let mut f = Fields { long, ..Fields::default() };
    each!(f: map in 0..4, opcode in 0..=255, p66 in BOTH, rep in REPS, w in BOTH, memory in BOTH, reg in 0..8, rm in 0..8; {
        // Prefixes, escapes, and what opens another space.
        let other = match f.map {
            0 => matches!(
                f.opcode,
                0x0f | 0x26 | 0x2e | 0x36 | 0x3e | 0x62 | 0x64..=0x67 | 0x8f | 0xc4 | 0xc5 | 0xd5 | 0xf0 | 0xf2 | 0xf3
            ) || f.long && f.opcode & 0xf0 == 0x40,
            1 => matches!(f.opcode, 0x0f | 0x38 | 0x3a),
            _ => false,
        };
        if !other && (f.long || !f.w) {
            strays.check(claims, &profile, f);
        }
    });
    f = Fields { long, ..Fields::default() };
    each!(f: space in [0xc4, 0x8f], map in 0..32, p66 in BOTH, rep in REPS, w in BOTH, ll in 0..2, vvvv in BOTH; {
        // 8F below map 8 is POP, and pp is one of the prefixes.
        if !(f.space == 0x8f && f.map < 8 || f.p66 && f.rep != 0) {
            each!(f: opcode in 0..=255, reg in 0..8; {
                each!(f: memory in [false], rm in 0..8; strays.check(claims, &profile, f));
                each!(f: memory in [true], rm in [1, 4]; strays.check(claims, &profile, f));
            });
        }
    });
    f = Fields { long, space: 0x62, ..Fields::default() };
    each!(f: map in 0..8, p66 in BOTH, rep in REPS, w in BOTH, ll in 0..4, vvvv in BOTH, b in BOTH, z in BOTH; {
        // What map 4 has in place of an opmask and V' is all tried; elsewhere V' is vvvv's.
        let apx = f.map == 4;
        let masks = if apx { 0..8 } else { 0..2 };
        let highs = if apx { &BOTH[..] } else { &[true][..] };
        if !(f.p66 && f.rep != 0 || apx && !long) {
            each!(f: opcode in 0..=255, reg in 0..8, aaa in masks.clone(), high in highs.iter().copied(); {
                each!(f: memory in [false], rm in [1]; strays.check(claims, &profile, f));
                each!(f: memory in [true], rm in [1, 4]; strays.check(claims, &profile, f));
            });
        }
    });
    strays
}

const BOTH: [bool; 2] = [false, true];
const REPS: [u8; 3] = [0, 0xf3, 0xf2];

#[test]
fn nothing_else_decodes() {
    let Some(forms) = forms() else { return };
    let differences = Differences::of(|category| category == "stray");
    let claims = &Claims::new(&forms);
    let found = std::thread::scope(|scope| {
        BOTH.map(|long| scope.spawn(move || strays(claims, long))).map(|thread| thread.join().expect("no panic there"))
    });
    let mut unlisted = 0;
    for (row, (count, first)) in found.iter().flat_map(|strays| &strays.0) {
        if !differences.covers_text("stray", row) {
            println!("{row}: {count}, the first {first}");
            unlisted += 1;
        }
    }
    let bytes: usize = found.iter().map(|strays| strays.1).sum();
    say(&format!("{bytes} byte strings decoded"));
    assert_eq!((unlisted, differences.unused()), (0, 0), "rows that take more than any form, and differences in vain");
}
