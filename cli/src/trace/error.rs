//! Why a program is not run to its end, each in a sentence.

use crate::boot::Place;
use encore86::Unsupported;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a program is not run to its end.
#[derive(Debug)]
pub enum Error {
    /// The executable cannot be read.
    Program(PathBuf, io::Error),
    /// The file is nothing that can be run here.
    Image(String),
    /// Arguments and environment are too long.
    Arguments,
    /// `--memory` is no size that the arena can have.
    Memory(u64),
    /// The host does not give something.
    Host(&'static str, io::Error),
    /// A file of ours cannot be written.
    Output(PathBuf, io::Error),
    /// The engine has no way to run an instruction.
    Unsupported(Unsupported, Place),
    /// It waits for what nothing can do.
    Waits(Place),
    /// As many instructions as `--max-steps` allows.
    Limit(u64, Place),
    /// An outcome that is never asked for.
    Unexpected(String, Place),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Program(path, error) => write!(f, "cannot read the program {}: {error}", path.display()),
            Error::Image(why) => write!(f, "the program {why}"),
            Error::Arguments => f.write_str("arguments and environment do not fit on the stack"),
            Error::Memory(size) => {
                write!(f, "{size:#x} bytes of memory can't be had: --memory takes a multiple of 4K from 16M to 256G")
            }
            Error::Host(what, error) => write!(f, "the host gives no {what}: {error}"),
            Error::Output(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Error::Unsupported(why, place) => write!(f, "the engine can't run the instruction at {place}: {why}"),
            Error::Waits(place) => write!(f, "the program waits for another thread, of which it has none, at {place}"),
            Error::Limit(steps, place) => {
                write!(f, "the program has not ended after {steps} steps, all that --max-steps allows; next is {place}")
            }
            Error::Unexpected(outcome, place) => write!(f, "the step ended in {outcome}, at {place}"),
        }
    }
}
