//! `encore86 exec`: one instruction from the shell. JSON Lines in, JSON Lines out.
//!
//! [`case`] is a line as it is written, [`setup`] what it means once every field has been checked ([`processor`] has
//! the registers, [`memory`] the regions), [`run`] steps it on a [`machine`], with the [`layers`] that
//! it asks for, and [`report`] is the line that comes out.

mod case;
mod layers;
mod machine;
mod memory;
mod processor;
mod ram;
mod report;
mod run;
mod setup;

use crate::lines::{self, Line};
use case::Id;
use report::Report;
use setup::Setup;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where cases come from.
#[derive(clap::Args)]
pub struct Args {
    /// Cases, one JSON object a line; standard input without it.
    file: Option<PathBuf>,
}

/// Runs the command: status 2 if a line was malformed, else 0.
pub fn main(args: &Args) -> ExitCode {
    lines::status(lines::open(args.file.as_deref()).and_then(|mut input| {
        lines::answer(&mut *input, |line, output| {
            let report = answer(line);
            serde_json::to_writer(&mut *output, &report)?;
            output.write_all(b"\n")?;
            Ok::<_, io::Error>(report.outcome != "bad_case")
        })
    }))
}

fn answer(line: Line) -> Report {
    let case = match line {
        Line::Text(text) => case::parse(&text),
        Line::Malformed(why) => Err((Id::default(), why)),
    };
    let case = match case {
        Ok(case) => case,
        Err((id, why)) => return Report::refused(id, "bad_case", why),
    };
    match Setup::new(&case) {
        Ok(setup) => run::run(setup),
        Err(why) => Report::refused(case.id, "bad_case", why),
    }
}
