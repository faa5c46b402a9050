//! Every access of every instruction, as JSON Lines: the machine under the library's recorder.

use super::error::Error;
use super::machine::{Machine, physical};
use super::run::Board;
use crate::accesses::{Accesses, Step};
use encore86::introspect::{Record, Recorded, What};
use encore86::paging::Paging;
use encore86::{Insn, Outcome};
use std::path::{Path, PathBuf};

/// The machine, with a file that is told of its accesses.
pub struct Traced {
    record: Record<Paging<Machine>>,
    accesses: Accesses,
    path: PathBuf,
    steps: u64,
}

impl Traced {
    /// Begins the file.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn new(memory: Paging<Machine>, path: &Path, fetches: bool) -> Result<Traced, Error> {
        let accesses = Accesses::create(path).map_err(|error| Error::Output(path.into(), error))?;
        Ok(Traced { record: Record::new(memory).fetches(fetches), accesses, path: path.into(), steps: 0 })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If the rest of it can't be written.
    pub fn finish(self) -> Result<(), Error> {
        self.accesses.finish().map_err(|error| Error::Output(self.path, error))
    }

    /// The name of the device that the access reached, or `ram`.
    fn place(&mut self, access: &Recorded) -> &'static str {
        let (len, is_port) = match &access.what {
            What::Read(bytes) | What::Write(bytes) | What::Fetch(bytes) => (bytes.len(), false),
            What::Rmw { old, .. } => (old.len(), false),
            What::In(bytes) | What::Out(bytes) => (bytes.len(), true),
        };
        let memory = self.record.inner();
        let at = if is_port { Some(access.at) } else { physical(memory, access.at) };
        at.and_then(|at| memory.inner().device_at(at, len, is_port)).unwrap_or("ram")
    }
}

impl Board for Traced {
    type Vmm = Record<Paging<Machine>>;

    fn vmm(&mut self) -> &mut Record<Paging<Machine>> {
        &mut self.record
    }

    fn memory(&mut self) -> &mut Paging<Machine> {
        self.record.inner()
    }

    fn stepped(&mut self, rip: u64, insn: Option<&Insn>, outcome: &Outcome) -> Result<(), Error> {
        self.steps += 1;
        self.record.settle(outcome, insn.map(Insn::length));
        let accesses = self.record.take();
        if accesses.is_empty() {
            return Ok(());
        }
        let text = insn.map_or("(bad)".into(), |insn| insn.to_string());
        let step = Step { number: self.steps, rip, text: &text };
        for access in accesses {
            let place = self.place(&access);
            self.accesses.write(step, access, place).map_err(|error| Error::Output(self.path.clone(), error))?;
        }
        Ok(())
    }
}
