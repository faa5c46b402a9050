//! The second opinion: encodings of every row, and bytes near them, read by other decoders too.

use super::encoder;
use super::iced::Iced;
use super::llvm;
use super::rules::{Findings, Rules};
use super::support::fuzz::Random;
use super::yaxpeax;
use encore86::isa::row::{Space, sel};
use encore86::isa::{Feature, Row, tables};
use encore86::{DecodeError, Insn, Mode, Profile, Vendor, decode};
use std::collections::BTreeSet;

const MODES: [Mode; 3] = [Mode::Prot16, Mode::Prot32, Mode::Long64];

/// What iced-x86 does not know.
const UNKNOWN_TO_ICED: &[Feature] = {
    use Feature::*;
    &[Apx, ApxNddNf, Movrs, Ace, AmxAvx512, AmxFp8, AmxMovrs, Avx10V1Aux, Avx10V2, Avx10V2Aux, MsrImm]
};

/// What LLVM 19 does not know of that, or only in part.
const UNKNOWN_TO_LLVM: &[Feature] = {
    use Feature::*;
    &[Movrs, Ace, AmxAvx512, AmxFp8, AmxMovrs, Avx10V1Aux, Avx10V2, Avx10V2Aux, MsrImm]
};

fn iced_knows(row: &Row) -> bool {
    !row.features.iter().any(|f| UNKNOWN_TO_ICED.contains(f))
}

/// What one thread finds out about its share.
#[derive(Default)]
struct Share {
    findings: Findings,
    /// Rows on which a decoder agreed with us.
    seen: BTreeSet<usize>,
    /// What is left for LLVM: the row that the bytes were made for, and our reading.
    left: Vec<Left>,
}

struct Left {
    number: usize,
    row: &'static Row,
    bytes: [u8; 15],
    ours: Option<Insn>,
}

impl Share {
    fn merge(&mut self, other: Share) {
        self.findings.merge(other.findings);
        self.seen.extend(other.seen);
        self.left.extend(other.left);
    }
}

/// Everything that the shares have in common.
struct Common {
    rules: Rules,
    /// All features, and those that iced knows; of Intel's processors and of AMD's.
    all: [Profile; 2],
    known: [Profile; 2],
}

/// Does the row need a processor of AMD's?
fn of_amd(row: &Row) -> bool {
    row.select.value & sel::AMD != 0
}

/// Compares our reading of `bytes` with yaxpeax-x86's, where it has one.
fn ask_yaxpeax(found: &mut Findings, common: &Common, (bytes, mode): (&[u8; 15], Mode), insn: &Insn) {
    let example = || format!("{insn}: {bytes:02x?} in {mode:?}");
    let Some(theirs) = yaxpeax::decode(bytes, mode) else {
        return;
    };
    found.count("yaxpeax");
    let differences = yaxpeax::compare(insn, theirs);
    if !differences.is_empty() {
        found.take(&common.rules, "yaxpeax", &insn.row().form().to_string(), differences, example);
    }
}

/// Our reading of `bytes` and iced's. `expected` is the row that they were made for. Tells whether the two agree.
fn ask_iced(
    found: &mut Findings,
    common: &Common,
    iced: &mut Iced,
    (bytes, mode): (&[u8; 15], Mode),
    ours: &Result<Insn, DecodeError>,
    expected: Option<&'static Row>,
) -> bool {
    let theirs = iced.decode(bytes, mode);
    let example = || match ours {
        Ok(insn) => format!("{insn}: {bytes:02x?} in {mode:?}"),
        Err(_) => format!("{bytes:02x?} in {mode:?}"),
    };
    let form = |row: &Row| row.form().to_string();
    found.count("iced");
    match ours {
        Ok(insn) => {
            let differences = match theirs.is_invalid() {
                true => vec![("validity", "valid against invalid".into())],
                false => iced.compare(insn, &theirs),
            };
            if differences.is_empty() {
                return true;
            }
            found.take(&common.rules, "iced", &form(insn.row()), differences, example)
        }
        Err(_) if theirs.is_invalid() => true,
        // Fifteen bytes are not enough for what stands behind many prefixes.
        Err(DecodeError::TooLong) => true,
        Err(why) => {
            let what = format!("{why:?} against {:?}", theirs.mnemonic()).to_lowercase();
            let form = expected.map_or("?".into(), form);
            found.take(&common.rules, "iced", &form, vec![("validity", what)], example)
        }
    }
}

fn rows(common: &Common, share: usize, shares: usize) -> Share {
    let mut out = Share::default();
    let mut iced = Iced::new();
    let mut apx = 0u32;
    for (number, row) in tables::rows().enumerate().skip(share).step_by(shares) {
        iced.follow_amd(of_amd(row));
        for mode in MODES {
            for encoding in encoder::encodings(row, mode) {
                let bytes = &encoding.bytes;
                let ours = decode(bytes, mode, &common.all[usize::from(of_amd(row))]);
                let got = ours.as_ref().ok().map(Insn::row);
                if let Ok(insn) = &ours {
                    ask_yaxpeax(&mut out.findings, common, (bytes, mode), insn);
                }
                if encoding.apx || !iced_knows(got.unwrap_or(row)) {
                    // Of rows that iced knows without APX, a part will do.
                    apx += 1;
                    if mode != Mode::Long64 || !apx.is_multiple_of(if iced_knows(row) { 32 } else { 4 }) {
                        continue;
                    }
                    out.left.push(Left { number, row, bytes: *bytes, ours: ours.ok() });
                    continue;
                }
                let agreed = ask_iced(&mut out.findings, common, &mut iced, (bytes, mode), &ours, Some(row));
                if agreed && got.is_some_and(|got| std::ptr::eq(got, row)) {
                    out.seen.insert(number);
                }
            }
        }
    }
    out
}

/// Encodings of rows with bytes changed at random: registers, addresses, prefixes, lengths, reserved bits. Only what
/// iced knows is in the profile, so that it and we refuse the same.
fn neighbours(common: &Common, share: usize, _: usize) -> Share {
    const PREFIXES: [u8; 12] = [0x66, 0x67, 0x2e, 0x36, 0x64, 0x65, 0xf0, 0xf2, 0xf3, 0x41, 0x44, 0x4f];
    let mut out = Share::default();
    let mut iced = Iced::new();
    let mut random = Random(0x1ced + share as u64);
    let known: Vec<&Row> = tables::rows().filter(|row| iced_knows(row)).collect();
    let mut left = if cfg!(debug_assertions) { 50_000 } else { 600_000 };
    while left > 0 {
        let row = known[random.next() as usize % known.len()];
        let mode = MODES[random.next() as usize % MODES.len()];
        let encodings = encoder::encodings(row, mode);
        // What AMD's processors ignore of EVEX and VEX iced does not know.
        let amd = row.space == Space::Legacy && random.next().is_multiple_of(4);
        iced.follow_amd(amd);
        for _ in 0..200 {
            let encoding = &encodings[random.next() as usize % encodings.len()];
            let mut bytes = [0; 24];
            let mut at = 0;
            while random.next().is_multiple_of(4) && at < 6 {
                bytes[at] = PREFIXES[random.next() as usize % PREFIXES.len()];
                at += 1;
            }
            bytes[at..at + 15].copy_from_slice(&encoding.bytes);
            for _ in 0..random.next() % 3 {
                bytes[at + random.next() as usize % 8] = random.next() as u8;
            }
            let Some(bytes) = bytes.first_chunk::<15>() else { continue };
            let ours = decode(bytes, mode, &common.known[usize::from(amd)]);
            left -= 1;
            if amd && ours.as_ref().is_ok_and(|insn| insn.row().space != Space::Legacy) {
                continue;
            }
            ask_iced(&mut out.findings, common, &mut iced, (bytes, mode), &ours, None);
        }
    }
    out
}

/// What iced does not know, by LLVM. Rows that it does not know either are counted.
fn ask_llvm(program: &str, common: &Common, all: &mut Share) {
    {
        let left = std::mem::take(&mut all.left);
        let bytes: Vec<&[u8]> = left.iter().map(|l| &l.bytes[..l.ours.map_or(15, |o| o.length())]).collect();
        let answers = llvm::ask(program, &bytes);
        for (left, answer) in left.into_iter().zip(answers) {
            all.findings.count("llvm");
            let example = || match &left.ours {
                Some(insn) => format!("{insn}: {:02x?}", left.bytes),
                None => format!("{:02x?}", left.bytes),
            };
            let row = left.ours.map_or(left.row, |insn| insn.row());
            if answer.is_err() && row.features.iter().any(|f| UNKNOWN_TO_LLVM.contains(f)) {
                continue;
            }
            let differences = match (&left.ours, &answer) {
                (Some(insn), answer) => llvm::compare(insn, &left.bytes[..insn.length()], answer),
                (None, Err(_)) => vec![],
                (None, Ok(text)) => vec![("validity", format!("invalid against {text}"))],
            };
            let known = differences.iter().all(|(kind, _)| *kind != "validity") && left.ours.is_some();
            let form = row.form().to_string();
            let agreed =
                differences.is_empty() || all.findings.take(&common.rules, "llvm", &form, differences, example);
            if known && agreed && std::ptr::eq(row, left.row) {
                all.seen.insert(left.number);
            }
        }
    }
}

/// Runs a share on each of two threads.
fn in_two(common: &Common, work: fn(&Common, usize, usize) -> Share) -> Share {
    let mut all = Share::default();
    std::thread::scope(|scope| {
        let threads = [0, 1].map(|share| scope.spawn(move || work(common, share, 2)));
        threads.into_iter().for_each(|t| all.merge(t.join().unwrap()));
    });
    all
}

#[test]
fn second_opinion() {
    let all = Profile::all();
    let known = UNKNOWN_TO_ICED.iter().fold(all.clone(), |p, &f| p.without(f));
    let vendors = |p: Profile| [p.clone(), p.with_vendor(Vendor::Amd)];
    let common = Common { rules: Rules::load(), all: vendors(all), known: vendors(known) };
    let mut found = in_two(&common, rows);
    found.merge(in_two(&common, neighbours));
    let mut asked = vec!["iced", "yaxpeax"];
    match llvm::program() {
        Some(program) => {
            ask_llvm(program, &common, &mut found);
            asked.push("llvm");
        }
        None => println!("SKIPPED {} encodings that only LLVM 19 knows: there is no llvm-mc", found.left.len()),
    }
    let confirmed = |known: bool| -> Vec<String> {
        let rows = tables::rows().enumerate().filter(|(i, row)| iced_knows(row) == known && !found.seen.contains(i));
        rows.map(|(_, row)| row.form().to_string()).collect()
    };
    let (missing, alone) = (confirmed(true), confirmed(false));
    println!("{} rows that no other decoder knows: {alone:?}", alone.len());
    if let Err(why) = found.findings.report() {
        panic!("{why}");
    }
    assert!(missing.is_empty(), "rows that no encoding reached: {missing:?}");
    let unused = common.rules.unused(&asked);
    assert!(unused.is_empty(), "lines of disagreements.txt that excuse nothing: {unused:?}");
}
