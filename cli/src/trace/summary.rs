//! What the program ran, in a page.

use super::arena::Tally;
use super::kernel::Kernel;
use encore86::Insn;
use encore86::isa::Row;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Mnemonics that are named; the others are one line.
const SHOWN: usize = 25;

/// Counts.
#[derive(Debug, Default)]
pub struct Summary {
    /// Rows are compared by where they are in the library's tables.
    rows: FxHashMap<*const Row, Line>,
    time: Duration,
    tally: Tally,
    calls: u64,
    refused: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Line {
    mnemonic: &'static str,
    times: u64,
}

impl Summary {
    /// Counts a step of `insn`. Only the last step of a repeated string instruction is a `whole` one.
    #[inline]
    pub fn count(&mut self, insn: &Insn, whole: bool) {
        let row = insn.row();
        let line = self.rows.entry(row).or_insert(Line { mnemonic: row.mnemonic, times: 0 });
        line.times += u64::from(whole);
    }

    /// Keeps what the run took and did.
    pub fn ran(&mut self, time: Duration, tally: Tally) {
        (self.time, self.tally) = (time, tally);
    }

    /// Keeps what the kernel counted.
    pub fn finish(&mut self, kernel: &Kernel) {
        (self.calls, self.refused) = (kernel.calls(), kernel.refused().clone());
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { rows, time, tally, calls, refused } = self;
        let mut mnemonics: BTreeMap<&str, u64> = BTreeMap::new();
        for line in rows.values() {
            *mnemonics.entry(line.mnemonic).or_insert(0) += line.times;
        }
        let all: u64 = mnemonics.values().sum();
        let seconds = time.as_secs_f64();
        let rate = all as f64 / seconds.max(1e-9) / 1e6;
        writeln!(f, "instructions  {all:>14}  in {seconds:.3} s, {rate:.1} million a second")?;
        writeln!(f, "reads         {:>14}  of {} bytes", tally.reads, tally.read_bytes)?;
        writeln!(f, "writes        {:>14}  of {} bytes", tally.writes, tally.written_bytes)?;
        writeln!(f, "system calls  {calls:>14}")?;
        for (number, times) in refused {
            writeln!(f, "system call {number} was answered with ENOSYS, {times} times")?;
        }
        let mut sorted: Vec<(&str, u64)> = mnemonics.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let share = |times: u64| times as f64 * 100.0 / all.max(1) as f64;
        for &(mnemonic, times) in sorted.iter().take(SHOWN) {
            writeln!(f, "{mnemonic:<12}  {times:>14}  {:>5.1} %", share(times))?;
        }
        let rest = sorted.get(SHOWN..).unwrap_or_default();
        if !rest.is_empty() {
            let times = rest.iter().map(|line| line.1).sum();
            writeln!(f, "{:<12}  {times:>14}  {:>5.1} %", format!("{} others", rest.len()), share(times))?;
        }
        Ok(())
    }
}
