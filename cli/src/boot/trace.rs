//! Every access of every instruction, as JSON Lines: the machine under the library's recorder.

use super::error::Error;
use super::machine::{Machine, physical};
use super::run::Board;
use crate::number::{Bytes, Number};
use encore86::introspect::{Record, Recorded, What};
use encore86::paging::Paging;
use encore86::{Insn, Outcome};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The machine, with a file that is told of its accesses.
pub struct Traced {
    record: Record<Paging<Machine>>,
    out: BufWriter<File>,
    path: PathBuf,
    steps: u64,
}

/// One access: a line of the file.
#[derive(Serialize)]
struct Line<'a> {
    /// Counts steps from 1. A long repeated string instruction takes several.
    step: u64,
    rip: Number,
    text: &'a str,
    /// `read`, `write`, `rmw`, `fetch`, or `in` and `out` for ports.
    kind: &'static str,
    /// Linear, or the port.
    address: Number,
    /// The device's name, or `ram`.
    place: &'static str,
    len: usize,
    /// In memory order; a read-modify-write has `old` and `new` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Bytes>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    locked: bool,
}

impl Traced {
    /// Begins the file.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn new(memory: Paging<Machine>, path: &Path, fetches: bool) -> Result<Traced, Error> {
        let file = File::create(path).map_err(|error| Error::Output(path.into(), error))?;
        let record = Record::new(memory).fetches(fetches);
        Ok(Traced { record, out: BufWriter::with_capacity(1 << 16, file), path: path.into(), steps: 0 })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If the rest of it can't be written.
    pub fn finish(mut self) -> Result<(), Error> {
        self.out.flush().map_err(|error| Error::Output(self.path, error))
    }

    fn write(&mut self, rip: u64, text: &str, access: Recorded) -> io::Result<()> {
        let is_port = matches!(access.what, What::In(_) | What::Out(_));
        let (kind, bytes, new) = match access.what {
            What::Read(bytes) => ("read", bytes, None),
            What::Write(bytes) => ("write", bytes, None),
            What::In(bytes) => ("in", bytes, None),
            What::Out(bytes) => ("out", bytes, None),
            What::Fetch(bytes) => ("fetch", bytes, None),
            What::Rmw { old, new } => ("rmw", old, Some(Bytes(new))),
        };
        let len = bytes.len();
        let (hex, old) = if new.is_some() { (None, Some(Bytes(bytes))) } else { (Some(Bytes(bytes)), None) };
        let at = if is_port { Some(access.at) } else { physical(self.record.inner(), access.at) };
        let device = at.and_then(|at| self.record.inner().inner().device_at(at, len, is_port));
        let line = Line {
            step: self.steps,
            rip: Number(rip),
            text,
            kind,
            address: Number(access.at),
            place: device.unwrap_or("ram"),
            len,
            hex,
            old,
            new,
            locked: access.locked,
        };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
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
        accesses
            .into_iter()
            .try_for_each(|access| self.write(rip, &text, access))
            .map_err(|error| Error::Output(self.path.clone(), error))
    }
}
