//! Counts, and differences grouped by opcode.

use super::Verdict;
use super::errata::{self, Erratum};
use super::inputs::Bytes;
use super::opcode::Opcode;
use encore86::{DecodeError, Insn, Mode};
use encore86_oracle::sandbox::{End, Outcome};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

/// Prints past the test harness, which swallows what a passing test prints.
pub fn say(text: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}

struct Group {
    count: u64,
    modes: Vec<Mode>,
    examples: Vec<String>,
}

pub struct Report {
    errata: Vec<Erratum>,
    excused: u64,
    by_end: BTreeMap<(u8, String), u64>,
    by_verdict: BTreeMap<(Verdict, u8), u64>,
    /// By verdict, opcode, and what the decoder said.
    groups: BTreeMap<(Verdict, String, String), Group>,
}

impl Report {
    pub fn new() -> Report {
        Report {
            errata: errata::read(),
            excused: 0,
            by_end: BTreeMap::new(),
            by_verdict: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    pub fn add(
        &mut self,
        verdict: Verdict,
        mode: Mode,
        bytes: &Bytes,
        decoded: &Result<Insn, DecodeError>,
        outcome: Outcome,
    ) {
        let end = match outcome.end {
            End::Exception { vector, .. } => format!("vector {vector}"),
            other => format!("{other:?}"),
        };
        *self.by_end.entry((mode.bits(), end)).or_default() += 1;
        *self.by_verdict.entry((verdict, mode.bits())).or_default() += 1;
        if matches!(verdict, Verdict::Same | Verdict::Order) {
            return;
        }
        let opcode = Opcode::of(bytes, mode);
        if let Some(erratum) = self.errata.iter_mut().find(|erratum| erratum.covers(verdict, mode, &opcode)) {
            erratum.used += 1;
            self.excused += 1;
            return;
        }
        let said = match decoded {
            Ok(insn) => insn.mnemonic().to_string(),
            Err(error) => error.to_string(),
        };
        let group = self.groups.entry((verdict, opcode.to_string(), said)).or_insert_with(|| Group {
            count: 0,
            modes: Vec::new(),
            examples: Vec::new(),
        });
        group.count += 1;
        if !group.modes.contains(&mode) {
            group.modes.push(mode);
        }
        if group.examples.len() < 3 {
            let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let decoded = decoded.as_ref().map_or(String::new(), |insn| format!("{insn}, {} bytes", insn.length()));
            let example = format!("{} {}: {outcome:?} {decoded}", mode.bits(), hex.join(" "));
            group.examples.push(example);
        }
    }

    /// How many cases differ without excuse.
    pub fn differences(&self) -> u64 {
        self.groups.values().map(|g| g.count).sum()
    }

    /// Lines of the errata that nothing came under.
    pub fn unused(&self) -> Vec<usize> {
        self.errata.iter().filter(|erratum| erratum.used == 0).map(|erratum| erratum.line).collect()
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        let show = std::env::var("ENCORE86_SWEEP_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
        for ((mode, end), count) in &self.by_end {
            let _ = writeln!(out, "{mode}-bit: {count} {end}");
        }
        for ((verdict, mode), count) in &self.by_verdict {
            let _ = writeln!(out, "{verdict:?}, {mode}-bit: {count}");
        }
        let _ = writeln!(out, "{} cases under errata", self.excused);
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(key, group)| (key.0, std::cmp::Reverse(group.count)));
        for ((verdict, opcode, said), group) in groups.iter().take(show) {
            let modes: Vec<_> = group.modes.iter().map(|mode| mode.bits()).collect();
            let _ = writeln!(out, "{verdict:?} {opcode} {modes:?} {}: {said}", group.count);
            for example in &group.examples {
                let _ = writeln!(out, "    {example}");
            }
        }
        if groups.len() > show {
            let _ = writeln!(out, "… and {} groups more", groups.len() - show);
        }
        out
    }
}
