//! The decoder against the host processor: is it an instruction, and how long is it?
//!
//! Byte strings of all kinds (`inputs`) run natively in a child that can make no system call (`encore86_oracle::sandbox`),
//! in 64, 32 and 16-bit code segments. #UD or not and the length are compared with the decoder under `Profile::host()`.
//! What differs for a reason is listed (`errata.txt`); 5 million cases and more fail if a line of it is not needed.
//!
//! The test is short. `ENCORE86_SWEEP` gives the number of cases in millions, with a progress bar; `ENCORE86_SEED` repeats a
//! run or makes another, `ENCORE86_SWEEP_SHOW` is how many groups of differences are printed.

#[path = "sweep/errata.rs"]
mod errata;
#[path = "sweep/inputs.rs"]
mod inputs;
#[path = "sweep/opcode.rs"]
mod opcode;
#[path = "sweep/report.rs"]
mod report;
mod support;

use encore86::isa::row::{Exec, SysOp};
use encore86::{DecodeError, Insn, Mode, Profile, decode};
use encore86_oracle::sandbox::{BATCH, End, Outcome};
use encore86_oracle::{Random, Sandbox, Skips};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use inputs::{Bytes, Inputs};
use report::Report;

/// How processor and decoder compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// They agree.
    Same,
    /// The processor raises #UD, the decoder knows an instruction.
    OnlyDecoded,
    /// The processor runs it, the decoder calls it invalid.
    OnlyRuns,
    /// Both know an instruction, of different lengths.
    Length,
    /// The decoder takes fewer bytes than the processor for enough.
    Truncation,
    /// No instruction, and too long at that: the one says #UD, the other #GP(0). Zen 4 measures first, down to the last
    /// byte of an immediate, by maps of its own of which unused opcodes have what.
    Order,
    /// The child died of it or had to be killed.
    Lost,
}

fn judge(
    bytes: &Bytes,
    decoded: &Result<Insn, DecodeError>,
    outcome: Outcome,
    mode: Mode,
    profile: &Profile,
) -> Verdict {
    const GP: u8 = 13;
    let fetched = usize::from(outcome.fetched);
    if matches!(outcome.end, End::Died | End::Hung) {
        return Verdict::Lost;
    }
    let undefined = outcome.is_undefined();
    // Bytes that are no instruction, and too many: which of the two the processor finds first is another question.
    let at_limit = fetched >= 15 && (undefined || outcome.end == End::Exception { vector: GP, error: 0 });
    match decoded {
        Err(DecodeError::TooLong) if at_limit && !undefined => Verdict::Same,
        Err(DecodeError::TooLong) if at_limit => Verdict::Order,
        Err(_) if at_limit && !undefined => Verdict::Order,
        Err(DecodeError::Invalid(_)) if undefined => Verdict::Same,
        Err(DecodeError::Invalid(_)) => Verdict::OnlyRuns,
        Err(DecodeError::TooLong | DecodeError::Truncated) => Verdict::Length,
        // Of UD2 and the like #UD is what they do.
        Ok(insn) if undefined != (insn.row().exec == Exec::System(SysOp::Ud)) => {
            if undefined {
                Verdict::OnlyDecoded
            } else {
                Verdict::OnlyRuns
            }
        }
        Ok(insn) if insn.length() != fetched => Verdict::Length,
        Ok(_) => {
            let wants_more = |len: usize| matches!(decode(&bytes[..len], mode, profile), Err(DecodeError::Truncated));
            if (0..fetched).all(wants_more) { Verdict::Same } else { Verdict::Truncation }
        }
    }
}

const MODES: [(encore86_oracle::Mode, Mode); 3] = [
    (encore86_oracle::Mode::Long64, Mode::Long64),
    (encore86_oracle::Mode::Compat32, Mode::Compat32),
    (encore86_oracle::Mode::Compat16, Mode::Compat16),
];

fn decode_all(cases: &[Bytes], mode: Mode, profile: &Profile) -> Vec<Result<Insn, DecodeError>> {
    // The processor gets 16 bytes so that it can ask for too many; the decoder looks at 15.
    cases.iter().map(|bytes| decode(bytes, mode, profile)).collect()
}

#[test]
fn decoder_and_processor_agree() {
    let millions = std::env::var("ENCORE86_SWEEP")
        .ok()
        .map(|text| text.parse::<f64>().unwrap_or_else(|error| panic!("ENCORE86_SWEEP={text}: {error}")));
    let mut skips = Skips::new("sweep");
    let mut sandbox = match Sandbox::new() {
        Ok(sandbox) => sandbox,
        Err(error) => return skips.skip("all modes", &error.to_string(), 1),
    };
    let short = if cfg!(debug_assertions) { 0.05 } else { 0.3 };
    let total = (millions.unwrap_or(short) * 1e6) as u64;
    let target = if millions.is_some() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let style = "{bar:40} {human_pos} of {human_len}, {per_sec}, {eta} left, {msg}";
    bar.set_style(ProgressStyle::with_template(style).expect("a template of known keys"));

    let seed = Random::from_env("sweep", 0x5eeb).seed();
    let profile = Profile::host();
    let mut report = Report::new();
    for (native, mode) in MODES {
        let mut inputs = Inputs::new(mode, seed);
        let mut left = total / MODES.len() as u64;
        while left > 0 {
            let cases: Vec<Bytes> = (0..left.min(BATCH as u64)).map(|_| inputs.next()).collect();
            let ran = cases.len() as u64;
            left -= ran;
            let mut decoded = Vec::new();
            let outcomes = match sandbox.run(native, &cases, || decoded = decode_all(&cases, mode, &profile)) {
                Ok(outcomes) => outcomes,
                Err(error) => {
                    skips.skip(&format!("{mode:?}"), &error.to_string(), left + ran);
                    break;
                }
            };
            skips.ran(ran);
            let mut again = Vec::new();
            for ((bytes, decoded), outcome) in cases.iter().zip(&decoded).zip(outcomes) {
                let verdict = judge(bytes, decoded, outcome, mode, &profile);
                match verdict {
                    Verdict::Same | Verdict::Order => report.add(verdict, mode, bytes, decoded, outcome),
                    _ => again.push((*bytes, *decoded)),
                }
            }
            // What an instruction before it did to the child is no difference: those are asked once more, by themselves.
            let cases: Vec<Bytes> = again.iter().map(|(bytes, _)| *bytes).collect();
            let outcomes = sandbox.run(native, &cases, || ()).expect("as before");
            for ((bytes, decoded), outcome) in again.iter().zip(outcomes) {
                report.add(judge(bytes, decoded, outcome, mode, &profile), mode, bytes, decoded, outcome);
            }
            bar.inc(ran);
            bar.set_message(format!("{} differences", report.differences()));
        }
    }
    bar.finish_and_clear();
    report::say(&report.text());
    assert_eq!(report.differences(), 0, "differences between processor and decoder");
    // Some of it is too rare for fewer cases.
    if total >= 5_000_000 {
        assert_eq!(report.unused(), Vec::<usize>::new(), "lines of errata.txt that nothing came under");
    }
}
