//! The loop: one step after the other until the guest ends.

use super::args::Guest;
use super::console::Console;
use super::error::{Error, Place, What};
use super::machine::{Machine, code};
use super::start::linear_rip;
use super::table::Table;
use encore86::cpu::registers::rflags;
use encore86::cpu::segment::Seg;
use encore86::paging::Paging;
use encore86::{Cpu, Engine, Insn, Mode, Outcome, Stop, Vmm, decode};
use std::time::Instant;

/// The machine as the engine sees it: itself, or under something that looks on.
pub trait Board {
    /// What the engine is given.
    type Vmm: Vmm;
    /// What the engine is given.
    fn vmm(&mut self) -> &mut Self::Vmm;
    /// The machine behind its page tables.
    fn memory(&mut self) -> &mut Paging<Machine>;
    /// The machine.
    fn machine(&mut self) -> &mut Machine {
        self.memory().inner()
    }
    /// Called after each step, with the instruction if it decodes, and the RIP that it had.
    ///
    /// # Errors
    /// What ends the boot.
    fn stepped(&mut self, rip: u64, insn: Option<&Insn>, outcome: &Outcome) -> Result<(), Error>;
}

impl Board for Paging<Machine> {
    type Vmm = Paging<Machine>;

    fn vmm(&mut self) -> &mut Paging<Machine> {
        self
    }

    fn memory(&mut self) -> &mut Paging<Machine> {
        self
    }

    fn stepped(&mut self, _: u64, _: Option<&Insn>, _: &Outcome) -> Result<(), Error> {
        Ok(())
    }
}

/// How a guest ends well.
#[derive(Debug)]
pub enum End {
    /// Code 0 at the exit port.
    Exit,
    /// HLT with interrupts off.
    Halt(Place),
}

/// The processor: the engine and the state that it works on.
pub struct Processor {
    /// Steps.
    pub engine: Engine,
    /// What it steps.
    pub cpu: Cpu,
}

/// Instructions between two looks at their count.
const SHOW_EVERY: u64 = 1 << 18;

/// Steps until the guest ends or has run `limit` instructions; counts them in `table`.
///
/// # Errors
/// If it ends in another way than [`End`] names, or if we can't say what it says.
pub fn run(
    guest: &Guest,
    processor: &mut Processor,
    board: &mut impl Board,
    console: &mut Console,
    table: &mut Table,
    limit: Option<u64>,
) -> Result<End, Error> {
    let mut instructions = 0;
    let idtr = processor.cpu.system().idtr;
    loop {
        let here = Here::new(&processor.cpu);
        let end = |what, engine: &_, machine: &mut _| Err(Error::Guest(what, here.place(engine, machine).into()));
        if limit == Some(instructions) {
            return end(What::Limit(instructions), &processor.engine, board.memory());
        }

        let begun = Instant::now();
        let outcome = match board.memory().load(&processor.cpu) {
            Ok(()) => processor.engine.step(&mut processor.cpu, board.vmm()),
            Err(Stop::Fault(event)) => Outcome::Exception(event),
            Err(Stop::Caller(code)) => Outcome::Stopped(code),
            Err(stop) => return end(What::Unexpected(format!("{stop:?}")), &processor.engine, board.memory()),
        };
        let time = begun.elapsed();

        let outcome = match outcome {
            // A guest that has an interrupt table takes its exceptions itself.
            Outcome::Exception(event) if processor.cpu.system().idtr != idtr => {
                board.stepped(here.rip, None, &outcome)?;
                match processor.engine.deliver(&mut processor.cpu, board.vmm(), event) {
                    Outcome::Completed(_) => {
                        instructions += 1;
                        continue;
                    }
                    outcome => outcome,
                }
            }
            outcome => outcome,
        };
        let Outcome::Completed(retired) = outcome else {
            // Which instruction the engine decoded last says nothing about one that it could not fetch.
            let insn = here.insn(&processor.engine, board.memory());
            board.stepped(here.rip, insn.as_ref(), &outcome)?;
            let what = failure(outcome, board.machine());
            return end(what, &processor.engine, board.memory());
        };
        board.stepped(here.rip, processor.engine.last(), &outcome)?;
        let machine = board.machine();
        let devices = machine.take_tally();
        if let Some(insn) = processor.engine.last() {
            table.count(insn, !retired.rep_unfinished, devices, time);
        }
        instructions += u64::from(!retired.rep_unfinished);

        if devices.accesses != 0 {
            console.serial(&mut machine.serial).map_err(Error::Console)?;
            console.tile(machine.registers.tile());
        }
        match machine.exit.code() {
            None => {}
            Some(0) => return Ok(End::Exit),
            Some(code) => {
                let failed = if guest.is_gallery() { machine.registers.failed() } else { 0 };
                return end(What::Exit { code, failed }, &processor.engine, board.memory());
            }
        }
        if retired.hlt {
            if processor.cpu.rflags() & rflags::IF != 0 {
                return end(What::Sleeps, &processor.engine, board.memory());
            }
            return Ok(End::Halt(here.place(&processor.engine, board.memory())));
        }
        if instructions % SHOW_EVERY == 0 && !guest.is_gallery() {
            console.instructions(instructions);
        }
    }
}

/// What to say about a step that did not complete.
pub fn failure(outcome: Outcome, machine: &Machine) -> What {
    match (outcome, machine.stray()) {
        (Outcome::Exception(event), _) => What::Exception(event),
        (Outcome::Shutdown, _) => What::Shutdown,
        (Outcome::Unsupported(why), _) => What::Unsupported(why),
        (Outcome::Stopped(_), Some(stray)) => What::Stray(stray),
        (other, _) => What::Unexpected(format!("{other:?}")),
    }
}

/// Where an instruction is, kept from before its step.
pub struct Here {
    rip: u64,
    cs_base: u64,
    linear: u64,
    mode: Mode,
}

impl Here {
    fn new(cpu: &Cpu) -> Here {
        Here { rip: cpu.rip, cs_base: cpu.seg(Seg::Cs).base, linear: linear_rip(cpu), mode: cpu.mode() }
    }

    fn insn(&self, engine: &Engine, memory: &mut Paging<Machine>) -> Option<Insn> {
        let (bytes, count) = code(memory, self.linear);
        decode(&bytes[..count], self.mode, engine.profile()).ok()
    }

    /// In 64-bit mode.
    #[cfg(feature = "kvm")]
    pub fn long(rip: u64) -> Here {
        Here { rip, cs_base: 0, linear: rip, mode: Mode::Long64 }
    }

    /// For a message.
    pub fn place(&self, engine: &Engine, memory: &mut Paging<Machine>) -> Place {
        let (bytes, count) = code(memory, self.linear);
        let insn = self.insn(engine, memory);
        let length = insn.map_or(count, |insn| insn.length());
        Place {
            rip: self.rip,
            cs_base: self.cs_base,
            bytes: bytes[..length].to_vec(),
            text: insn.map(|insn| insn.to_string()),
        }
    }
}
