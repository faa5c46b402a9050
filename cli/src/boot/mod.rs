//! `encore86 boot`: the reference virtual machine monitor. Its processor is the engine alone, which steps every
//! instruction of the guest.
//!
//! It is an example of embedding the library, on its public API only: [`machine`] is the `Bus` and the `Platform`, at
//! guest-physical addresses under the library's `Paging`, [`run`] the loop around `Engine::step`, [`devices`] what the guest reaches for.

mod args;
mod console;
mod devices;
mod error;
mod hatching;
#[cfg(feature = "kvm")]
mod kvm;
mod machine;
mod memory;
mod pc;
mod picture;
mod run;
mod start;
mod table;
mod trace;

pub use args::Args;
use args::Guest;
use console::Console;
use encore86::paging::{Limits, Paging};
use encore86::{Engine, Profile};
use error::Error;
pub use error::Place;
use machine::Machine;
use run::{Board, End, Processor};
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;
use table::Table;
use trace::Traced;

/// Runs the command.
pub fn main(args: &Args) -> ExitCode {
    match boot(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("encore86 boot: {error}");
            ExitCode::FAILURE
        }
    }
}

fn boot(args: &Args) -> Result<(), Error> {
    if let Some(kernel) = &args.kernel {
        return pc::boot(args, kernel);
    }
    let guest = args.guest()?;
    let profile = args.profile();
    let machine =
        Machine::new(guest.memory, &guest.image, guest.load).map_err(|error| Error::HostMemory(guest.memory, error))?;
    let cpu = start::processor(&guest, &profile);
    let mut memory = Paging::new(machine, Limits::new(&profile));
    let engine = engine(profile);
    let mut processor = Processor { engine, cpu };
    #[cfg(feature = "kvm")]
    if args.cpu == args::Backend::Kvm {
        return kvm::boot(args, &guest, processor, memory);
    }
    let Some(path) = &args.trace else {
        return watch(args, &guest, &mut processor, &mut memory);
    };
    let mut traced = Traced::new(memory, path, args.trace_fetches)?;
    let end = watch(args, &guest, &mut processor, &mut traced);
    traced.finish().and(end)
}

fn engine(profile: Profile) -> Engine {
    Engine::new(profile.clone()).unwrap_or_else(|error| {
        eprintln!("encore86 boot: only integer instructions can run, since the host lets nobody make code: {error}");
        Engine::integer_only(profile)
    })
}

/// Runs the guest, and says what there is to say whether it ends well or not.
fn watch(args: &Args, guest: &Guest, processor: &mut Processor, board: &mut impl Board) -> Result<(), Error> {
    let mut console = Console::new(guest.is_gallery());
    let mut table = Table::new(args.trace.is_some());
    let begun = Instant::now();
    let end = run::run(guest, processor, board, &mut console, &mut table, args.max_steps);
    let seconds = begun.elapsed().as_secs_f64();
    let machine = board.machine();
    console.finish(&mut machine.serial).map_err(Error::Console)?;
    let run = format!("after {} instructions in {seconds:.2} s", table.instructions());
    report(args, guest, machine, processor.engine.profile(), end, &run, &table)
}

/// Says how the guest ended and `run`, writes its picture, and prints the table.
fn report(
    args: &Args,
    guest: &Guest,
    machine: &Machine,
    profile: &Profile,
    end: Result<End, Error>,
    run: &str,
    table: &dyn fmt::Display,
) -> Result<(), Error> {
    let mut report = String::new();
    let how = match &end {
        Ok(End::Exit) => "ended with exit code 0".to_owned(),
        Ok(End::Halt(place)) => format!("halted at {place}"),
        Err(_) => "was ended".to_owned(),
    };
    report += &format!("{} {how} {run}\n", guest.name);
    if guest.is_gallery() {
        report += &hatching::reasons(&machine.registers, profile);
    }
    if let Some(path) = args.picture() {
        picture::write(&machine.framebuffer, path).map_err(|error| Error::Output(path.into(), error))?;
        let state = if end.is_ok() { "" } else { ", as far as it got" };
        report += &format!("picture{state}: {}\n", path.display());
    }
    report += &format!("\n{table}");
    io::stdout().write_all(report.as_bytes()).map_err(Error::Console)?;
    end.map(|_| ())
}
