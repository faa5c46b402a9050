//! A file of accesses, as JSON Lines.

use crate::number::{Bytes, Number};
use encore86::introspect::{Recorded, What};
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

    /// Writes what is left.
    ///
    /// # Errors
    /// If the file can't take it.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
