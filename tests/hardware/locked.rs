//! Every locked form at every place that matters: each offset around a line, around a page, at the end of memory and at the edge
//! of a read-only page, with compares that succeed and that fail, however the bus answers and whatever is done about split locks.

use crate::compare::Side;
use crate::locked_forms::{self, Form, Law};
use crate::machine::Habits;
use crate::{Bench, say};
use encore86::{SplitLock, decode};
use encore86_oracle::{DATA_LEN, Ended, Mode, PAGE, Random, Setup, Skips, State};

/// Is the form there in 64-bit mode on this host?
fn lacking(form: &Form, bench: &Bench) -> Option<&'static str> {
    let insn = decode(&form.bytes, encore86::Mode::Long64, &encore86::Profile::all()).expect("a form");
    let features = bench.profile.features();
    if form.name.contains("rex2") {
        return (!features.has(encore86::isa::Feature::Apx)).then_some("REX2 needs APX");
    }
    insn.row().features.into_iter().any(|feature| !features.has(feature)).then_some("the host lacks its feature")
}

/// Addresses for an operand of `width` bytes.
fn places(bench: &Bench, width: u64) -> Vec<u64> {
    let (data, end) = (bench.sites.data, bench.sites.data + DATA_LEN as u64);
    let (page, read_only) = (data + PAGE as u64, bench.sites.read_only);
    let around = |at: u64, last: u64| (at - width..=at + last).collect::<Vec<_>>();
    [
        // All of a line, and across it.
        around(data + 128, 64),
        around(page, 2),
        // Across the ends of memory, and beyond.
        around(end, 1),
        vec![data - 1, data - width],
        around(read_only, 2),
        vec![read_only + 0x800, read_only + PAGE as u64 - width / 2],
    ]
    .concat()
}

#[test]
fn locked_forms_at_every_place() {
    let suite = "locked forms";
    let mut random = Random::from_env(suite, 0x10c);
    let mut skips = Skips::new(suite);
    let mut bench = Bench::new(Mode::Long64);
    let (mut cases, mut faults, mut splits, mut equal, mut failures) = (0_u64, 0_u64, 0_u64, 0_u64, Vec::new());
    for mut form in locked_forms::all() {
        if let Some(why) = lacking(&form, &bench) {
            let what = if form.name.contains("rex2") { "forms with REX2" } else { "CMPccXADD and RAO-INT" };
            skips.skip(what, why, 1);
            continue;
        }
        if let (Law::ComparesPair, Some(last)) = (form.law, form.bytes.last_mut()) {
            // Memory at [RDI].
            *last = 1 << 3 | 7;
        }
        let insn = decode(&form.bytes, encore86::Mode::Long64, &bench.profile).expect("a form of this host");
        let undefined = u64::from(insn.row().flags.undefined);
        for at in places(&bench, form.width as u64) {
            for split in [SplitLock::Emulate, SplitLock::Native] {
                let crosses = at % 64 + form.width as u64 > 64;
                if split == SplitLock::Native && !crosses {
                    continue;
                }
                let habits: &[Habits] = match (crosses, split) {
                    (_, SplitLock::Native) => &[Habits { ram: true, ..NONE }],
                    (true, _) => &[NONE, Habits { atomic: true, ..NONE }, Habits { width: Some(1), ..NONE }],
                    (false, _) => &[
                        Habits { ram: true, ..NONE },
                        Habits { atomic: true, ..NONE },
                        Habits { later: true, ..NONE },
                        Habits { width: Some(2), ..NONE },
                    ],
                };
                for &habits in habits {
                    let mut state = random.state();
                    state.rflags &= !(1 << 18);
                    (state.gpr[3], state.gpr[7]) =
                        if form.law == Law::ComparesPair { (state.gpr[3], at) } else { (at, at) };
                    // The bit is one of the operand, not of memory far away.
                    if matches!(form.law, Law::SetsBit | Law::ClearsBit | Law::FlipsBit) {
                        state.gpr[1] = random.below(form.width as u64 * 8);
                    }
                    let bytes: Vec<u8> = (0..form.width).map(|_| random.word() as u8).collect();
                    if random.one_in(2) {
                        expect(&form, &bytes, &mut state);
                    }
                    let Bench { memory, oracle, engine, .. } = &mut bench;
                    memory.poke(oracle, at, &bytes);
                    engine.set_split_lock(split);
                    let (host, engine) = bench.run_with(&Setup::default(), &form.bytes, 16, &state, habits);
                    cases += 1;
                    faults += u64::from(host.ended != Ended::Retired);
                    splits += u64::from(crosses && host.ended == Ended::Retired);
                    equal += u64::from(host.ended == Ended::Retired && host.state.rflags & 1 << 6 != 0);
                    if let Some(why) = difference(&mut bench, &host, &engine, undefined) {
                        failures.push(format!("{} at {at:#x} ({split:?}, {habits:?}): {why}", form.name));
                    }
                }
            }
        }
    }
    skips.ran(cases);
    say(&format!(
        "{suite}: {cases} cases, {faults} faults, {splits} split, {equal} with ZF, {} mismatches",
        failures.len()
    ));
    assert!(failures.is_empty(), "{} of them:\n{}", failures.len(), failures[..failures.len().min(30)].join("\n"));
    assert!(faults > 0 && splits > 0 && equal > 0);
}

const NONE: Habits = Habits { ram: false, blocks: false, atomic: false, width: None, later: false, interrupt: false };

/// The compare will succeed.
fn expect(form: &Form, bytes: &[u8], state: &mut State) {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    match form.law {
        Law::Compares => {
            let mask = u64::MAX >> (64 - bytes.len() * 8);
            state.gpr[0] = state.gpr[0] & !mask | word(bytes);
        }
        Law::ComparesPair => {
            let (low, high) = bytes.split_at(bytes.len() / 2);
            (state.gpr[0], state.gpr[2]) = (word(low), word(high));
        }
        _ => {}
    }
}

fn difference(bench: &mut Bench, host: &Side, engine: &Result<Side, String>, undefined: u64) -> Option<String> {
    let engine = match engine {
        Ok(engine) => engine,
        Err(outcome) => return Some(outcome.clone()),
    };
    let known = bench.profile.vendor() == encore86::Vendor::Amd && bench.profile.signature().family() >= 0x19;
    let mut ours = engine.state;
    if !known && host.ended == Ended::Retired {
        ours.rflags = ours.rflags & !undefined | host.state.rflags & undefined;
    }
    let memory = bench.memory.difference(&mut bench.oracle);
    if host.ended == engine.ended && ours == host.state && memory.is_none() {
        return None;
    }
    bench.memory.adopt(&mut bench.oracle);
    Some(format!("{:x?} != {:x?}\n{}{memory:x?}", host.ended, engine.ended, host.state.diff(&ours)))
}
