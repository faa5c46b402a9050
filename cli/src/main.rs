//! The command `encore86`: boots guests on the engine, runs single instructions and whole programs, decodes, counts its
//! coverage.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod accesses;
mod boot;
mod coverage;
mod decode;
mod exec;
mod fields;
mod lines;
mod model;
mod number;
mod options;
mod trace;

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
    /// Run a static Linux program, every instruction on the engine
    Trace(trace::Args),
    /// Count what the instruction table covers, by opcode map and by CPUID feature.
    Coverage(coverage::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Boot(args) => boot::main(&args),
        Command::Exec(args) => exec::main(&args),
        Command::Decode(args) => decode::main(&args),
        Command::Trace(args) => trace::main(&args),
        Command::Coverage(args) => coverage::main(&args),
    }
}
