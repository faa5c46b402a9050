//! `encore86 boot`: the reference virtual machine monitor.

use std::process::ExitCode;

/// What to boot.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args) -> ExitCode {
    ExitCode::FAILURE
}
