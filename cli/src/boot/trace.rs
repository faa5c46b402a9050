//! Every access of every instruction, as JSON Lines: the machine under the library's recorder.

use super::error::Error;
use super::machine::{Machine, physical};
use super::run::Board;
use crate::accesses::Watched;
use encore86::introspect::{Record, Recorded, What};
use encore86::paging::Paging;
use encore86::{Insn, Outcome};
use std::path::{Path, PathBuf};

/// The machine, with a file that is told of its accesses.
pub struct Traced {
    watched: Watched<Paging<Machine>>,
    path: PathBuf,
}

impl Traced {
    /// Begins the file.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn new(memory: Paging<Machine>, path: &Path, fetches: bool) -> Result<Traced, Error> {
        let watched = Watched::new(memory, path, fetches).map_err(|error| Error::Output(path.into(), error))?;
        Ok(Traced { watched, path: path.into() })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If the rest of it can't be written.
    pub fn finish(self) -> Result<(), Error> {
        self.watched.finish().map_err(|error| Error::Output(self.path, error))
    }
}

/// The name of the device that the access reached, or `ram`.
fn place(memory: &mut Paging<Machine>, access: &Recorded) -> &'static str {
    let (len, is_port) = match &access.what {
        What::Read(bytes) | What::Write(bytes) | What::Fetch(bytes) => (bytes.len(), false),
        What::Rmw { old, .. } => (old.len(), false),
        What::In(bytes) | What::Out(bytes) => (bytes.len(), true),
    };
    let at = if is_port { Some(access.at) } else { physical(memory, access.at) };
    at.and_then(|at| memory.inner().device_at(at, len, is_port)).unwrap_or("ram")
}

impl Board for Traced {
    type Vmm = Record<Paging<Machine>>;

    fn vmm(&mut self) -> &mut Record<Paging<Machine>> {
        self.watched.record()
    }

    fn memory(&mut self) -> &mut Paging<Machine> {
        self.watched.memory()
    }

    fn stepped(&mut self, rip: u64, insn: Option<&Insn>, outcome: &Outcome) -> Result<(), Error> {
        let written = self.watched.stepped(rip, insn, outcome, place);
        written.map_err(|error| Error::Output(self.path.clone(), error))
    }
}
