//! The loop: the engine runs until there is something to do for the machine around it.

use super::machine::Pc;
use super::terminal::{Said, Terminal};
use crate::accesses::{Accesses, Step};
use crate::boot::error::Error;
use encore86::cpu::registers::rflags;
use encore86::introspect::{Record, What};
use encore86::paging::Paging;
use encore86::{Bus, Cpu, Engine, Event, Insn, Outcome, Retired, Run, Stop, Unsupported};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How a guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// HLT with interrupts off: nothing can come any more.
    Halt,
    /// HLT with interrupts on, and no device that would ever raise one.
    Sleeps,
    /// It has asked for a reset.
    Reset,
    /// Triple fault.
    Shutdown,
    /// The engine can't run the instruction.
    Unsupported(Unsupported),
    /// An outcome that is not asked for.
    Unexpected(Outcome),
    /// Ctrl-A x.
    Left,
    /// A signal to the monitor.
    Signal(i32),
    /// As many instructions as `--max-steps` allows.
    Limit,
}

/// What the bus has against the registers that it is to follow.
fn refused(stop: Stop) -> Outcome {
    match stop {
        Stop::Fault(event) => Outcome::Exception(event),
        Stop::Caller(code) => Outcome::Stopped(code),
        _ => Outcome::Retry,
    }
}

/// Instructions in one go, where no device wants less: so that the terminal is looked at now and then.
const GO: u64 = 1 << 16;
/// Time between two looks at the terminal.
const LOOK: Duration = Duration::from_millis(5);

/// A trace of some instructions.
pub struct Trace {
    /// Its file.
    pub file: Accesses,
    /// Where that is.
    pub path: PathBuf,
    /// Behind how many instructions it begins.
    pub from: u64,
    /// Behind how many it ends.
    pub until: u64,
    /// With instruction fetches.
    pub fetches: bool,
}

impl Trace {
    /// How many instructions behind this one it begins: 0 within it, none behind it.
    fn begins_in(&self, instructions: u64) -> Option<u64> {
        (instructions < self.until).then(|| self.from.saturating_sub(instructions))
    }
}

/// A guest that runs.
pub struct Guest {
    /// Runs instructions.
    pub engine: Engine,
    /// Its processor.
    pub cpu: Cpu,
    /// Its machine.
    pub memory: Paging<Pc>,
    /// Instructions so far.
    pub instructions: u64,
    /// A window of them whose accesses are written to a file.
    pub trace: Option<Trace>,
}

impl Guest {
    /// Runs until the guest ends, or has run `limit` instructions.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn run(&mut self, terminal: &mut Terminal, limit: u64) -> Result<End, Error> {
        let mut looked = Instant::now();
        let mut typed = Vec::new();
        loop {
            let pc = self.memory.inner();
            pc.tick();
            terminal.show(pc.serial.sent()).map_err(Error::Console)?;
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                match terminal.read(pc.serial.room(), &mut typed) {
                    Said::Nothing => {}
                    Said::Leave => return Ok(End::Left),
                    Said::Signal(number) => return Ok(End::Signal(number)),
                }
                pc.receive(&typed);
                typed.clear();
            }
            if pc.is_reset() {
                return Ok(End::Reset);
            }
            if self.instructions >= limit {
                return Ok(End::Limit);
            }
            let end = match self.interrupt() {
                Some(outcome) => self.after(outcome),
                None => self.go(limit - self.instructions)?,
            };
            match end {
                None => {}
                Some(End::Sleeps) => {
                    if !self.sleep(terminal) {
                        return Ok(End::Sleeps);
                    }
                    looked -= LOOK;
                }
                Some(end) => {
                    terminal.show(self.memory.inner().serial.sent()).map_err(Error::Console)?;
                    return Ok(end);
                }
            }
        }
    }

    /// Takes an interrupt, if there is one and the processor lets it in.
    fn interrupt(&mut self) -> Option<Outcome> {
        let blocking = self.cpu.blocking();
        let open = self.cpu.rflags() & rflags::IF != 0 && !blocking.sti && !blocking.mov_ss;
        if !open || !self.memory.inner().pic.is_pending() {
            return None;
        }
        let vector = self.memory.inner().pic.acknowledge();
        Some(self.engine.deliver(&mut self.cpu, &mut self.memory, Event::interrupt(vector)))
    }

    /// Runs for a while.
    fn go(&mut self, limit: u64) -> Result<Option<End>, Error> {
        let blocking = self.cpu.blocking();
        let pc = self.memory.inner();
        let quiet = pc.deadline().and_then(|deadline| pc.clock.until(deadline)).unwrap_or(GO);
        // A shadow ends behind the next instruction, and interrupts come then.
        let go = if blocking.sti || blocking.mov_ss { 1 } else { quiet.min(GO) };
        let run = match self.trace.as_ref().map(|trace| trace.begins_in(self.instructions)) {
            Some(Some(0)) => self.traced()?,
            Some(Some(ahead)) => self.engine.run(&mut self.cpu, &mut self.memory, go.min(limit).min(ahead)),
            None | Some(None) => self.engine.run(&mut self.cpu, &mut self.memory, go.min(limit)),
        };
        self.instructions += run.completed;
        self.memory.inner().clock.ran(run.completed);
        Ok(self.after(run.outcome))
    }

    /// One instruction whose accesses are written.
    fn traced(&mut self) -> Result<Run, Error> {
        let Guest { engine, cpu, memory, instructions, trace: Some(trace) } = self else {
            return Ok(self.engine.run(&mut self.cpu, &mut self.memory, 1));
        };
        let rip = cpu.rip;
        if let Err(stop) = memory.follow(cpu) {
            return Ok(Run { completed: 0, outcome: refused(stop) });
        }
        let mut record = Record::new(&mut *memory).fetches(trace.fetches);
        let outcome = engine.step(cpu, &mut record);
        // Which instruction was decoded last says nothing about one that could not be fetched.
        let insn = engine.last().filter(|_| matches!(outcome, Outcome::Completed(_)));
        record.settle(&outcome, insn.map(Insn::length));
        let text = insn.map_or("(not completed)".into(), |insn| insn.to_string());
        let step = Step { number: *instructions + 1, rip, text: &text };
        for access in record.take() {
            let place = match access.what {
                What::In(_) | What::Out(_) => Pc::device_at(access.at as u16),
                _ => "memory",
            };
            trace.file.write(step, access, place).map_err(|error| Error::Output(trace.path.clone(), error))?;
        }
        let done = matches!(outcome, Outcome::Completed(retired) if !retired.rep_unfinished);
        Ok(Run { completed: done.into(), outcome })
    }

    /// What there is to do after an outcome.
    fn after(&mut self, mut outcome: Outcome) -> Option<End> {
        loop {
            let event = match outcome {
                Outcome::Completed(Retired { hlt: true, .. }) => {
                    let on = self.cpu.rflags() & rflags::IF != 0;
                    return Some(if on { End::Sleeps } else { End::Halt });
                }
                Outcome::Completed(retired) => match retired.debug() {
                    None => return None,
                    Some(event) => {
                        self.cpu.update(|s| s.dr[6] |= retired.dr6());
                        event
                    }
                },
                Outcome::Exception(event) => event,
                Outcome::Shutdown => return Some(End::Shutdown),
                Outcome::Unsupported(why) => return Some(End::Unsupported(why)),
                other => return Some(End::Unexpected(other)),
            };
            outcome = self.engine.deliver(&mut self.cpu, &mut self.memory, event);
        }
    }

    /// Lets time go by until something can happen; false if nothing ever will.
    fn sleep(&mut self, terminal: &Terminal) -> bool {
        let pc = self.memory.inner();
        if pc.pic.is_pending() {
            return true;
        }
        let deadline = pc.deadline();
        if deadline.is_none() && !terminal.is_open() {
            return false;
        }
        if let (true, Some(deadline)) = (pc.clock.is_counted(), deadline) {
            pc.clock.sleep(deadline);
            return true;
        }
        let ahead = deadline.map(|deadline| deadline.saturating_sub(pc.clock.now()));
        terminal.wait(ahead);
        true
    }
}
