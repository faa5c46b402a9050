//! The guest `transfers` on the engine alone, in Debian's qemu without KVM, and in bochs: every line of its log.
//!
//! `guest/log.txt` has the log as bochs prints it, but for the cases that `guest/differences.txt` lists: there the line is what the
//! manual says, and the list says why the emulator's is not that. An emulator that is not installed is skipped (packages
//! `qemu-system-x86`; `bochs`, `bochsbios`).

#[path = "guest/emulators.rs"]
mod emulators;
#[path = "guest/machine.rs"]
mod machine;

use encore86::Profile;
use encore86_asm::transfers::{Case, cases, image, pieces};
use encore86_oracle::Skips;
use std::collections::{BTreeMap, BTreeSet};

const LOG: &str = include_str!("guest/log.txt");
const DIFFERENCES: &str = include_str!("guest/differences.txt");

/// `name: line`, as the files have it.
fn entry(line: &str) -> (&str, &str) {
    line.rsplit_once(": ").unwrap_or_else(|| panic!("{line}"))
}

/// The lines of the log by case.
fn expected() -> BTreeMap<&'static str, &'static str> {
    LOG.lines().map(entry).collect()
}

/// A line without its number.
fn content(line: &str) -> &str {
    line.split_once(' ').map_or("", |(_, rest)| rest.trim_end())
}

/// Where an emulator does something else than the log says: the cases, and whether it comes back from them at all. A name with `*` at its
/// end stands for all that begin so.
fn differences(emulator: &str) -> BTreeMap<&'static str, bool> {
    let own = DIFFERENCES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    own.filter_map(|line| {
        let (who, name) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
        (who.trim_end_matches('!') == emulator).then_some((name, !who.ends_with('!')))
    })
    .flat_map(|(name, comes_back)| {
        let names: Vec<&str> = match name.strip_suffix('*') {
            Some(prefix) => LOG.lines().map(|line| entry(line).0).filter(|name| name.starts_with(prefix)).collect(),
            None => vec![name],
        };
        names.into_iter().map(move |name| (name, comes_back))
    })
    .collect()
}

/// Runs `cases` in pieces.
fn logs(cases: &[Case], run: impl Fn(&[u8]) -> Option<Vec<String>>) -> Option<Vec<(&str, String)>> {
    let mut all = Vec::new();
    for piece in pieces(cases) {
        let log = run(&image(piece))?;
        let lost = piece.get(log.len()).map(|case| &case.name);
        assert!(
            log.len() == piece.len(),
            "the guest does not come back from {lost:?}, {} of {}",
            log.len(),
            piece.len()
        );
        all.extend(piece.iter().zip(log).map(|(case, line)| (&case.name[..], content(&line).to_owned())));
    }
    Some(all)
}

#[test]
fn the_engine_prints_the_log() {
    let cases = cases::all();
    let names: BTreeSet<&str> = cases.iter().map(|case| &case.name[..]).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    let run = |image: &[u8]| {
        let log = machine::run(image, &Profile::all()).unwrap_or_else(|(log, why)| {
            println!("{why}");
            log
        });
        Some(log.lines().filter(|line| *line != "e").map(str::to_owned).collect())
    };
    let log = logs(&cases, run).expect("the engine is there");
    if let Ok(path) = std::env::var("ENCORE86_LOG") {
        let text: String = log.iter().map(|(name, line)| format!("{name}: {line}\n")).collect();
        std::fs::write(path, text).unwrap();
    }
    let expected = expected();
    let wrong: Vec<String> = log
        .iter()
        .filter(|(name, line)| expected.get(name) != Some(&&line[..]))
        .map(|(name, line)| format!("{name}:\n  {line}\n  {}", expected.get(name).unwrap_or(&"")))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), log.len(), wrong[..wrong.len().min(10)].join("\n"));
    assert_eq!(expected.len(), cases.len());
}

/// Everything but differences that are listed has to agree, by `agrees`, and those that are listed must not.
fn compare(emulator: &str, run: impl Fn(&[u8]) -> Option<Vec<String>>, agrees: impl Fn(&str, &str) -> bool) {
    let mut skips = Skips::new("guest");
    let (expected, differences) = (expected(), differences(emulator));
    let runs = |case: &Case| differences.get(&case.name[..]) != Some(&false);
    let cases: Vec<Case> = cases::all().into_iter().filter(runs).collect();
    let Some(log) = logs(&cases, run) else {
        skips.skip(emulator, &format!("{emulator} is not installed"), cases.len() as u64);
        return;
    };
    if let Ok(path) = std::env::var("ENCORE86_LOG") {
        let text: String = log.iter().map(|(name, line)| format!("{name}: {line}\n")).collect();
        std::fs::write(format!("{path}.{emulator}"), text).unwrap();
    }
    let mut wrong = Vec::new();
    for (name, line) in &log {
        let ours = expected.get(name).copied().unwrap_or("");
        match (agrees(ours, line), differences.contains_key(name)) {
            (true, true) => wrong.push(format!("{name}: listed, but there is no difference")),
            (false, false) => wrong.push(format!("{name}:\n  {line}\n  {ours}")),
            _ => {}
        }
    }
    let names: BTreeSet<&str> = log.iter().map(|(name, _)| *name).collect();
    wrong.extend(
        differences
            .iter()
            .filter(|(name, runs)| **runs && !names.contains(*name))
            .map(|(name, _)| format!("{name}: no such case")),
    );
    println!("{emulator}: {} cases, {} differences", log.len(), differences.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), log.len(), wrong[..wrong.len().min(20)].join("\n"));
    skips.ran(log.len() as u64);
}

#[test]
fn bochs_prints_the_log_too() {
    compare("bochs", emulators::bochs, |ours, theirs| ours == theirs);
}

/// Registers, and memory by address.
fn parts(line: &str) -> (Vec<&str>, BTreeMap<&str, u32>) {
    let words: Vec<&str> = line.split(' ').collect();
    let registers = words.iter().position(|word| word.len() == 5).unwrap_or(words.len());
    let (registers, memory) = words.split_at(registers);
    let memory = memory.chunks_exact(2).map(|pair| (pair[0], u32::from_str_radix(pair[1], 16).expect("a number")));
    (registers.to_vec(), memory.collect())
}

#[test]
fn qemu_prints_the_log_too() {
    const RF: u32 = 1 << 16;
    // qemu 7.2 pushes RF clear for every exception, where it is set for faults (SDM volume 3, 18.3.1.1). Where the rest of the
    // doubleword is what was there before, it is not printed.
    compare("qemu", emulators::qemu, |ours, theirs| {
        let ((registers, mut memory), (theirs, mut seen)) = (parts(ours), parts(theirs));
        memory.retain(|at, value| {
            let same = seen.get(at) == Some(value);
            let without = *value & RF != 0 && seen.get(at).is_none_or(|seen| *seen == *value & !RF);
            if same || without {
                seen.remove(at);
            }
            !same && !without
        });
        registers == theirs && memory.is_empty() && seen.is_empty()
    });
}
