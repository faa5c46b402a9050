//! The loop: one step after the other until the program ends.

use super::arena::Arena;
use super::error::Error;
use super::kernel::{End, Kernel};
use super::summary::Summary;
use crate::accesses::Watched;
use crate::boot::Place;
use encore86::introspect::Record;
use encore86::isa::Exec;
use encore86::isa::row::FarOp;
use encore86::{Cpu, Engine, Insn, Mode, Outcome, Unsupported, Vmm, decode};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The processor, and the kernel behind SYSCALL.
pub struct Processor {
    /// Steps.
    pub engine: Engine,
    /// What it steps.
    pub cpu: Cpu,
    /// Answers system calls.
    pub kernel: Kernel,
}

/// The memory as the engine sees it: itself, or under something that looks on.
pub trait Board {
    /// What the engine is given.
    type Vmm: Vmm;
    /// What the engine is given.
    fn vmm(&mut self) -> &mut Self::Vmm;
    /// The memory.
    fn arena(&mut self) -> &mut Arena;
    /// Called after each step, with the instruction, if it is known, and the RIP that it had.
    ///
    /// # Errors
    /// What ends the run.
    fn stepped(&mut self, rip: u64, insn: Option<&Insn>, outcome: &Outcome) -> Result<(), Error>;
}

/// The memory, and nobody that looks on.
pub struct Plain(pub Arena);

impl Board for Plain {
    type Vmm = Arena;

    fn vmm(&mut self) -> &mut Arena {
        &mut self.0
    }

    fn arena(&mut self) -> &mut Arena {
        &mut self.0
    }

    fn stepped(&mut self, _: u64, _: Option<&Insn>, _: &Outcome) -> Result<(), Error> {
        Ok(())
    }
}

/// The memory, with a file that is told of its accesses.
pub struct Recorded {
    watched: Watched<Arena>,
    path: PathBuf,
}

impl Recorded {
    /// Begins the file.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn new(arena: Arena, path: &Path, fetches: bool) -> Result<Recorded, Error> {
        let watched = Watched::new(arena, path, fetches).map_err(|error| Error::Output(path.into(), error))?;
        Ok(Recorded { watched, path: path.into() })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If the rest of it can't be written.
    pub fn finish(self) -> Result<(), Error> {
        self.watched.finish().map_err(|error| Error::Output(self.path, error))
    }
}

impl Board for Recorded {
    type Vmm = Record<Arena>;

    fn vmm(&mut self) -> &mut Record<Arena> {
        self.watched.record()
    }

    fn arena(&mut self) -> &mut Arena {
        self.watched.memory()
    }

    fn stepped(&mut self, rip: u64, insn: Option<&Insn>, outcome: &Outcome) -> Result<(), Error> {
        let written = self.watched.stepped(rip, insn, outcome, |_, _| "ram");
        written.map_err(|error| Error::Output(self.path.clone(), error))
    }
}

/// Steps until the program ends or has made `limit` steps.
///
/// # Errors
/// If it can't be run to its end.
pub fn run(
    processor: &mut Processor,
    board: &mut impl Board,
    summary: &mut Summary,
    limit: Option<u64>,
) -> Result<End, Error> {
    let begun = Instant::now();
    let end = steps(processor, board, summary, limit.unwrap_or(u64::MAX));
    summary.ran(begun.elapsed(), board.arena().tally());
    end
}

fn steps(processor: &mut Processor, board: &mut impl Board, summary: &mut Summary, limit: u64) -> Result<End, Error> {
    let Processor { engine, cpu, kernel } = processor;
    for _ in 0..limit {
        let rip = cpu.rip;
        let outcome = engine.step(cpu, board.vmm());
        let last = engine.last();
        board.stepped(rip, last, &outcome)?;
        match (outcome, last) {
            (Outcome::Completed(retired), Some(insn)) => summary.count(insn, !retired.rep_unfinished),
            // There is no STAR that would lead anywhere: the kernel is behind it.
            (Outcome::Unsupported(Unsupported::Platform(_)), Some(insn))
                if insn.row().exec == Exec::Far(FarOp::Syscall) =>
            {
                summary.count(insn, true);
                match kernel.syscall(insn.length(), cpu, board.arena()) {
                    Ok(()) => {}
                    Err(End::Waits) => return Err(Error::Waits(place(rip, engine, board))),
                    Err(end) => return Ok(end),
                }
            }
            (Outcome::Exception(event), _) => {
                eprintln!("encore86 trace: the program ran into {event}, at {}", place(rip, engine, board));
                return Ok(End::Signal(Kernel::signal_of(event.vector)));
            }
            (Outcome::Unsupported(why), _) => return Err(Error::Unsupported(why, place(rip, engine, board))),
            (other, _) => return Err(Error::Unexpected(format!("{other:?}"), place(rip, engine, board))),
        }
    }
    Err(Error::Limit(limit, place(cpu.rip, engine, board)))
}

/// The instruction at `rip`, for a message.
fn place(rip: u64, engine: &Engine, board: &mut impl Board) -> Place {
    let mut bytes = vec![0; 15];
    let arena = board.arena();
    let count = (1..=15).rev().find(|&count| arena.readable(rip, count).is_some()).unwrap_or(0);
    bytes.truncate(count as usize);
    if let Some(found) = arena.readable(rip, count) {
        bytes.copy_from_slice(found);
    }
    let insn = decode(&bytes, Mode::Long64, engine.profile()).ok();
    if let Some(insn) = &insn {
        bytes.truncate(insn.length());
    }
    Place { rip, cs_base: 0, bytes, text: insn.map(|insn| insn.to_string()) }
}
