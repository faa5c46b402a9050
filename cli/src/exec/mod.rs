//! `encore86 exec`: one instruction from the shell.

use std::process::ExitCode;

/// Where cases come from.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args) -> ExitCode {
    ExitCode::FAILURE
}
