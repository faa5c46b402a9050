//! `encore86 decode`: what is this instruction.

use std::process::ExitCode;

/// What to decode.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args) -> ExitCode {
    ExitCode::FAILURE
}
