//! Is what the engine left what the processor left?

use crate::encode::Encoding;
use crate::machine;
use encore86::isa::row::Exec;
use encore86::{Outcome, Profile, Vendor};
use encore86_oracle::{Ended, Mode, State};

/// One side's end of a case, the processor's or the engine's.
#[derive(Clone, Debug)]
pub struct Side {
    pub ended: Ended,
    pub state: State,
}

/// Why a case is not compared that the engine could not finish.
pub const TABLES: &str = "what the kernel's descriptor tables hold is not known here";

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All the same. The flags that the row leaves undefined and that differ.
    Same { undefined: u64 },
    /// What differs, one line each: the processor's value first.
    Different(String),
}

/// The engine's outcome in the oracle's terms, or why it has none.
pub fn ended(outcome: &Outcome) -> Result<Ended, String> {
    match outcome {
        Outcome::Completed(_) => Ok(Ended::Retired),
        Outcome::Stopped(machine::TABLES) => Err(TABLES.to_owned()),
        Outcome::Exception(event) => Ok(Ended::Signal {
            trap: event.vector,
            error: event.error_code.unwrap_or(0).into(),
            cr2: event.cr2.unwrap_or(0),
        }),
        other => Err(format!("{other:?}")),
    }
}

/// Is what the manual leaves undefined of an integer instruction's flags known of the host's processor? On AMD's from Zen 3
/// (family 19h) on the engine gives it; others may differ from them.
fn defines_flags(encoding: &Encoding, profile: &Profile) -> bool {
    let integer = matches!(encoding.row.exec, Exec::Value(_) | Exec::Extended(_));
    integer && profile.vendor() == Vendor::Amd && profile.signature().family() >= 0x19
}

/// Compares all that the architecture defines, and of flags also what is known of the processor. Others are masked by the row.
pub fn compare(encoding: &Encoding, host: &Side, engine: &Side, profile: &Profile) -> Verdict {
    let mut ours = engine.state;
    let theirs = &host.state;
    // A fault changes no flags, so none is undefined then.
    let masked = host.ended == Ended::Retired && !defines_flags(encoding, profile);
    let undefined = if masked { u64::from(encoding.row.flags.undefined) } else { 0 };
    let stray = (ours.rflags ^ theirs.rflags) & undefined;
    ours.rflags ^= stray;
    if encoding.mode != Mode::Long64 {
        // Upper halves are undefined outside 64-bit mode.
        for (ours, theirs) in ours.gpr.iter_mut().zip(&theirs.gpr) {
            *ours = *ours & 0xffff_ffff | theirs & !0xffff_ffff;
        }
    }
    if profile.vendor() == Vendor::Amd && theirs.x87.fsw & ours.x87.fsw & 0x80 == 0 {
        // AMD processors show the pointers only while an exception is pending.
        (ours.x87.fop, ours.x87.fip, ours.x87.fdp) = (theirs.x87.fop, theirs.x87.fip, theirs.x87.fdp);
    }
    if host.ended == engine.ended && ours == *theirs {
        return Verdict::Same { undefined: stray };
    }
    let mut out = String::new();
    if host.ended != engine.ended {
        out += &format!("ended: {:x?} != {:x?}\n", host.ended, engine.ended);
    }
    Verdict::Different(out + &theirs.diff(&ours))
}
