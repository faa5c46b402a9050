//! The command `encore86`: boots guests on the engine, runs single instructions, decodes.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod boot;
mod decode;
mod exec;
mod fields;
mod lines;
mod model;
mod number;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot a guest whose processor is the engine alone.
    Boot(boot::Args),
    /// Run single instructions: JSON Lines in, JSON Lines out.
    Exec(exec::Args),
    /// Decode instructions: hex strings in, JSON Lines out.
    Decode(decode::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Boot(args) => boot::main(&args),
        Command::Exec(args) => exec::main(&args),
        Command::Decode(args) => decode::main(&args),
    }
}
