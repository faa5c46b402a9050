//! A file of accesses, as JSON Lines.

use crate::number::{Bytes, Number};
use encore86::introspect::{Record, Recorded, What};
use encore86::{Insn, Outcome, Vmm};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The file.
#[derive(Debug)]
pub struct Accesses {
    out: BufWriter<File>,
}

/// The step that made an access.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Counts steps from 1. A long repeated string instruction takes several.
    pub number: u64,
    /// Its RIP.
    pub rip: u64,
    /// Its instruction.
    pub text: &'a str,
}

/// One access: a line of the file.
#[derive(Serialize)]
struct Line<'a> {
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

impl Accesses {
    /// Begins the file.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn create(path: &Path) -> io::Result<Accesses> {
        Ok(Accesses { out: BufWriter::with_capacity(1 << 16, File::create(path)?) })
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If the file can't take it.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes one access, made to `place`.
    ///
    /// # Errors
    /// If the file can't take it.
    pub fn write(&mut self, step: Step<'_>, access: Recorded, place: &'static str) -> io::Result<()> {
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
        let line = Line {
            step: step.number,
            rip: Number(step.rip),
            text: step.text,
            kind,
            address: Number(access.at),
            place,
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

/// Memory under the library's recorder, with a file that is told of its accesses.
pub struct Watched<B> {
    record: Record<B>,
    accesses: Accesses,
    steps: u64,
}

impl<B: Vmm> Watched<B> {
    /// Begins the file.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn new(memory: B, path: &Path, fetches: bool) -> io::Result<Watched<B>> {
        let record = Record::new(memory).fetches(fetches);
        Ok(Watched { record, accesses: Accesses::create(path)?, steps: 0 })
    }

    /// What an engine is given.
    pub fn record(&mut self) -> &mut Record<B> {
        &mut self.record
    }

    /// The memory itself.
    pub fn memory(&mut self) -> &mut B {
        self.record.inner()
    }

    /// Writes the accesses of a step of the instruction at `rip`; `place` names what each reached.
    ///
    /// # Errors
    /// If the file can't take them.
    pub fn stepped(
        &mut self,
        rip: u64,
        insn: Option<&Insn>,
        outcome: &Outcome,
        place: impl Fn(&mut B, &Recorded) -> &'static str,
    ) -> io::Result<()> {
        self.steps += 1;
        self.record.settle(outcome, insn.map(Insn::length));
        let accesses = self.record.take();
        if accesses.is_empty() {
            return Ok(());
        }
        let text = insn.map_or("(bad)".into(), |insn| insn.to_string());
        let step = Step { number: self.steps, rip, text: &text };
        for access in accesses {
            let place = place(self.record.inner(), &access);
            self.accesses.write(step, access, place)?;
        }
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If the file can't take it.
    pub fn finish(self) -> io::Result<()> {
        self.accesses.finish()
    }
}
