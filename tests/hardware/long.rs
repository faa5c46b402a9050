//! Long runs: rounds over all rows in all modes, each round with the next seed. What a round ends with says how to go on
//! from there, and with the seed of a round in which something differed its cases come again.

use crate::{Bench, Mode, Picked, Skips, Tally, compare_rows, say};
use indicatif::{ProgressBar, ProgressStyle};

/// States an encoding in a round: half a million cases of all rows.
const CASES: u64 = 4;

/// Runs rounds from the one with `seed` on, until `wanted` cases are done.
pub fn run(suite: &str, wanted: u64, seed: u64, skips: &mut Skips) -> Tally {
    let style = "{bar:40} {human_pos} of {human_len}, {per_sec}, {eta} left, {msg}";
    let bar = ProgressBar::new(wanted);
    bar.set_style(ProgressStyle::with_template(style).expect("a template of known keys"));
    let picked = Picked::from_env();
    let mut benches = [Mode::Long64, Mode::Compat32, Mode::Compat16].map(Bench::new);
    let mut tally = Tally::default();
    for seed in seed.. {
        bar.set_message(format!("round {seed:#x}, {} mismatches", tally.mismatches));
        let before = tally.cases;
        for bench in &mut benches {
            compare_rows(bench, seed, CASES, &picked, (&mut *skips, &mut tally), &|cases| bar.set_position(cases));
        }
        let left = wanted.saturating_sub(tally.cases);
        bar.suspend(|| {
            say(&format!(
                "{suite}: {} of {wanted} cases ({} faults), {} mismatches; on with ENCORE86_SEED={:#x} ENCORE86_LONG={}",
                tally.cases,
                tally.faults,
                tally.mismatches,
                seed.wrapping_add(1),
                left as f64 / 1e6
            ));
        });
        if left == 0 || tally.cases == before {
            break;
        }
    }
    bar.finish();
    tally
}
