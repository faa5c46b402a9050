//! `encore86 trace`: runs a static Linux program in user mode, every instruction on the engine.
//!
//! [`arena`] is the program's memory, [`image`] fills it, [`kernel`] answers its system calls, [`run`] is the loop around
//! `Engine::step`. The library is used by its public API only.

mod arena;
mod error;
mod image;
mod kernel;
mod run;
mod summary;

use crate::options::{feature, number, profile, size};
use arena::{Arena, Nature, PAGE};
use clap::ArgAction;
use encore86::cpu::registers::{component, cr0, cr4, gpr, rflags};
use encore86::cpu::segment::Segment;
use encore86::isa::Feature;
use encore86::{Cpu, Engine, Profile};
use error::Error;
use kernel::{End, Kernel, Settings};
use run::{Plain, Processor, Recorded};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};
use summary::Summary;

/// Memory that a program can have.
const LEAST_MEMORY: u64 = 16 << 20;
const MOST_MEMORY: u64 = 256 << 30;
/// The exit status when the tracer itself fails, as other commands that run a command have it.
const FAILED: u8 = 125;

/// What to run.
#[derive(clap::Args)]
pub struct Args {
    /// A static executable for x86-64 Linux
    program: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
    /// Write every memory access of every instruction as JSON Lines
    #[arg(long, value_name = "FILE")]
    accesses: Option<PathBuf>,
    /// Write instruction fetches too
    #[arg(long, requires = "accesses")]
    fetches: bool,
    /// Write the summary here instead of to standard error
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Let the program open files for writing; otherwise they are read-only
    #[arg(long)]
    write: bool,
    /// Memory of the program: bytes, or with K, M or G
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1G")]
    memory: u64,
    /// The memory is a device's, which takes at most so many bytes at once (1 to 64, a power of two)
    #[arg(long, value_name = "BYTES", value_parser = width)]
    device: Option<u8>,
    /// What the program's CPUID promises: host, all, a model, or an object of features as in a case of `exec`
    #[arg(long, default_value = "host", value_parser = profile)]
    profile: Box<Profile>,
    /// Features to take out of the profile, by their names in /proc/cpuinfo
    #[arg(long, value_name = "FEATURE", value_parser = feature, value_delimiter = ',', action = ArgAction::Append)]
    without: Vec<Feature>,
    /// End the program after this many steps
    #[arg(long, value_name = "N", value_parser = number)]
    max_steps: Option<u64>,
}

fn width(text: &str) -> Result<u8, String> {
    let width = text.parse().ok().filter(|width: &u8| width.is_power_of_two() && *width <= 64);
    width.ok_or_else(|| "give 1, 2, 4, 8, 16, 32 or 64".into())
}

/// Runs the command. Its exit status is the program's; 128 and the signal's number for a program that a signal ends.
pub fn main(args: &Args) -> ExitCode {
    match trace(args) {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("encore86 trace: {error}");
            FAILED.into()
        }
    }
}

fn trace(args: &Args) -> Result<u8, Error> {
    let unreadable = |error| Error::Program(args.program.clone(), error);
    let size = args.memory;
    if !size.is_multiple_of(PAGE) || !(LEAST_MEMORY..=MOST_MEMORY).contains(&size) {
        return Err(Error::Memory(size));
    }
    let file = fs::read(&args.program).map_err(unreadable)?;
    let path = fs::canonicalize(&args.program).map_err(unreadable)?;
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|error| unreadable(error.into()))?;
    let profile = args.without.iter().fold(Profile::clone(&args.profile), |profile, &f| profile.without(f));

    let nature = args.device.map_or(Nature::Ram, Nature::Device);
    let mut arena = Arena::new(size, nature).map_err(|error| Error::Host("memory for the program", error))?;
    let image = image::load(&file, &mut arena)?;
    drop(file);
    let arguments: Vec<OsString> =
        [args.program.as_os_str().to_owned()].into_iter().chain(args.arguments.iter().cloned()).collect();
    let environment: Vec<(OsString, OsString)> = env::vars_os().collect();
    let told = image::Told { arguments: &arguments, environment: &environment };
    let mut cpu = user(&profile);
    cpu.gpr[gpr::RSP] = image::stack(&mut arena, &image, &told, &profile)?;
    cpu.rip = image.entry;
    let settings = Settings { program: path, write: args.write, heap: image.end };
    let kernel = Kernel::new(settings, &arena).map_err(|error| Error::Host("standard streams", error))?;
    let engine = Engine::new(profile.clone()).unwrap_or_else(|error| {
        eprintln!("encore86 trace: only integer instructions can run, since the host lets nobody make code: {error}");
        Engine::integer_only(profile)
    });

    let mut processor = Processor { engine, cpu, kernel };
    let mut summary = Summary::default();
    let end = match &args.accesses {
        None => run::run(&mut processor, &mut Plain(arena), &mut summary, args.max_steps),
        Some(file) => {
            let mut board = Recorded::new(arena, file, args.fetches)?;
            let end = run::run(&mut processor, &mut board, &mut summary, args.max_steps);
            board.finish().and(end)
        }
    };
    summary.finish(&processor.kernel);
    let text = format!("{}{summary}", said(args, &end));
    match &args.summary {
        Some(file) => fs::write(file, text).map_err(|error| Error::Output(file.clone(), error))?,
        None => eprint!("{text}"),
    }
    Ok(match end? {
        End::Exit(status) => status,
        End::Signal(signal) => 128 + signal,
        End::Waits => FAILED,
    })
}

/// How the program ended, in a line.
fn said(args: &Args, end: &Result<End, Error>) -> String {
    let name = args.program.display();
    match end {
        Ok(End::Exit(status)) => format!("{name} ended with exit status {status}\n"),
        Ok(End::Signal(signal)) => format!("{name} was ended by signal {signal}\n"),
        Ok(End::Waits) | Err(_) => format!("{name} was ended\n"),
    }
}

/// The processor as Linux enters a program: 64-bit mode at CPL 3, every register that CPUID promises switched on.
fn user(profile: &Profile) -> Cpu {
    const CODE: Segment = Segment { selector: 0x33, attr: 0xa0fb, limit: u32::MAX, base: 0 };
    const STACK: Segment = Segment { selector: 0x2b, attr: 0xc0f3, limit: u32::MAX, base: 0 };
    const DATA: Segment = Segment { selector: 0, ..STACK };
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.xcr0 = profile.xcr0() & (component::X87 | component::AVX512);
        s.cr0 |= cr0::PG | cr0::WP | cr0::AM;
        if !profile.has(Feature::Xsave) {
            s.cr4 &= !cr4::OSXSAVE;
        }
        if profile.has(Feature::Fsgsbase) {
            s.cr4 |= cr4::FSGSBASE;
        }
        s.seg = [DATA, CODE, STACK, DATA, DATA, DATA];
    });
    cpu.set_rflags(rflags::IF);
    cpu
}
