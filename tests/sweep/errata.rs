//! `errata.txt`: where processor and decoder differ for a reason.

use super::Verdict;
use super::opcode::Opcode;
use encore86::Mode;

/// One line of the file.
pub struct Erratum {
    verdict: Verdict,
    modes: &'static str,
    pattern: &'static str,
    pub line: usize,
    pub used: u64,
}

pub fn read() -> Vec<Erratum> {
    let lines = include_str!("errata.txt").lines().enumerate();
    let entries = lines.filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
    entries
        .map(|(at, line)| {
            let mut words = line.split_whitespace();
            let mut word =
                || words.next().unwrap_or_else(|| panic!("errata.txt, line {}: verdict, modes, opcode", at + 1));
            let verdict = match word() {
                "undefined" => Verdict::OnlyDecoded,
                "runs" => Verdict::OnlyRuns,
                "length" => Verdict::Length,
                other => panic!("errata.txt, line {}: {other}", at + 1),
            };
            Erratum { verdict, modes: word(), pattern: word(), line: at + 1, used: 0 }
        })
        .collect()
}

impl Erratum {
    pub fn covers(&self, verdict: Verdict, mode: Mode, opcode: &Opcode) -> bool {
        let bits = mode.bits().to_string();
        let mode = self.modes == "all" || self.modes.split(',').any(|word| word == bits);
        // Bytes without a row are to be invalid.
        verdict == self.verdict && mode && opcode.matches(self.pattern)
    }
}
