//! What can go wrong with a kernel, each in a sentence.

use super::run::End;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A kernel that can't be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// A file can't be read.
    File(PathBuf, io::Error),
    /// It is no bzImage, or does not fit.
    Kernel(PathBuf, String),
    /// The command line is too long or has strange characters.
    CommandLine(String),
    /// There is not enough memory for it.
    NoRoom(PathBuf, u64),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            LoadError::Kernel(path, error) => write!(
                f,
                "{} can't be loaded as a kernel: {error}; --kernel takes a bzImage that fits into --memory",
                path.display()
            ),
            LoadError::CommandLine(error) => write!(f, "the kernel takes no such --cmdline: {error}"),
            LoadError::NoRoom(path, memory) => write!(
                f,
                "there is no room for {} beside the kernel in {memory:#x} bytes of RAM; give more by --memory",
                path.display()
            ),
        }
    }
}

impl End {
    /// The sentence about it; the next instruction is at `rip`.
    pub fn at(self, rip: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Halt => f.write_str("the guest has halted"),
            End::Left => f.write_str("the guest was left"),
            End::Sleeps => write!(f, "the guest waits for an interrupt, and no device will raise one, at RIP {rip:#x}"),
            End::Reset => f.write_str("the guest asked for a reset"),
            End::Shutdown => write!(f, "the processor shut down after a triple fault, at RIP {rip:#x}"),
            End::Unsupported(why) => write!(f, "the engine can't run the instruction at RIP {rip:#x}: {why}"),
            End::Unexpected(outcome) => {
                write!(f, "the engine ended in {outcome:?}, which was not asked for, at RIP {rip:#x}")
            }
            End::Signal(number) => write!(f, "signal {number} ended the boot"),
            End::Limit => {
                write!(f, "the guest has not ended after all the instructions that --max-steps allows; RIP is {rip:#x}")
            }
        }
    }
}
