//! Why a boot ends other than well, each in a sentence.

use super::machine::{RAM_LIMIT, Stray};
use super::pc::{End, LoadError};
use encore86::{Event, Unsupported};
use encore86_asm::gallery::{self, TILES};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a boot ends other than well.
#[derive(Debug)]
pub enum Error {
    /// `--memory` is no size that the machine can have.
    Memory(u64),
    /// `--memory` is too small for the built-in guest.
    GalleryMemory(u64),
    /// The image cannot be read.
    Image(PathBuf, io::Error),
    /// The image has no bytes.
    EmptyImage(PathBuf),
    /// The image does not fit where it is to be loaded.
    Load { path: PathBuf, load: u64, memory: u64 },
    /// The entry is not in the image.
    Entry { entry: u64, load: u64, end: u64 },
    /// Real mode does not reach the entry.
    RealEntry(u64),
    /// The host has no memory for the guest.
    HostMemory(u64, io::Error),
    /// A file of ours cannot be written.
    Output(PathBuf, io::Error),
    /// Standard output cannot be written.
    Console(io::Error),
    /// The kernel can't be loaded.
    Kernel(LoadError),
    /// The kernel ended in another way than by switching itself off.
    Linux(End, u64),
    /// The guest ended the run in another way than by exit code 0 or HLT.
    Guest(What, Box<Place>),
    /// The KVM device cannot be used.
    #[cfg(feature = "kvm")]
    KvmDevice(PathBuf, io::Error),
    /// KVM does not do what it is asked for.
    #[cfg(feature = "kvm")]
    Kvm(&'static str, io::Error),
    /// KVM runs no such guest.
    #[cfg(feature = "kvm")]
    KvmMode,
    /// An option that has no meaning where KVM runs the guest.
    #[cfg(feature = "kvm")]
    KvmOption(&'static str),
}

/// What a guest ended with.
#[derive(Debug)]
pub enum What {
    /// An exception that nobody can take.
    Exception(Event),
    /// Triple fault.
    Shutdown,
    /// The engine has no way to run the instruction.
    Unsupported(Unsupported),
    /// An access to nothing.
    Stray(Stray),
    /// A code other than 0 at the exit port.
    Exit { code: u32, failed: u32 },
    /// HLT with interrupts on.
    Sleeps,
    /// An exit that this monitor has no answer to.
    #[cfg(feature = "kvm")]
    Kvm(String),
    /// As many instructions as `--max-steps` allows.
    Limit(u64),
    /// An outcome that this monitor never asks for.
    Unexpected(String),
}

/// An instruction, for a message.
#[derive(Debug)]
pub struct Place {
    /// RIP, as an offset in CS.
    pub rip: u64,
    /// Linear address of CS's first byte.
    pub cs_base: u64,
    /// The instruction's bytes; as many as could be one, if they do not decode.
    pub bytes: Vec<u8>,
    /// Its text, if it decodes.
    pub text: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RIP {:#x}", self.rip)?;
        if self.cs_base != 0 {
            write!(f, " in CS at {:#x}", self.cs_base)?;
        }
        if self.bytes.is_empty() {
            return f.write_str(" (no bytes there)");
        }
        f.write_str(" (bytes")?;
        for byte in &self.bytes {
            write!(f, " {byte:02x}")?;
        }
        match &self.text {
            Some(text) => write!(f, ": {text})"),
            None => f.write_str(": no known instruction)"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Memory(size) => write!(
                f,
                "{size:#x} bytes of RAM can't be had: --memory takes a multiple of 4K up to {}M",
                RAM_LIMIT >> 20
            ),
            Error::GalleryMemory(size) => {
                let least = gallery::RAM_USED_END >> 20;
                write!(
                    f,
                    "the guest gallery needs {least}M of RAM, more than the {size:#x} bytes that --memory gives it"
                )
            }
            Error::Image(path, error) => write!(f, "cannot read the image {}: {error}", path.display()),
            Error::EmptyImage(path) => write!(f, "the image {} is empty", path.display()),
            Error::Load { path, load, memory } => write!(
                f,
                "the image {} does not fit: loaded at {load:#x}, it runs past the end of RAM at {memory:#x}; \
                 change --load or --memory",
                path.display()
            ),
            Error::Entry { entry, load, end } => write!(
                f,
                "the entry {entry:#x} lies outside the image, which is loaded from {load:#x} to {:#x}; change --entry",
                end - 1
            ),
            Error::RealEntry(entry) => {
                write!(f, "the entry {entry:#x} is beyond the first MiB, where real mode can start")
            }
            Error::HostMemory(size, error) => write!(f, "the host has no {size:#x} bytes for the guest's RAM: {error}"),
            Error::Output(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Error::Console(error) => write!(f, "cannot write to standard output: {error}"),
            Error::Kernel(error) => error.fmt(f),
            Error::Linux(end, rip) => end.at(*rip, f),
            Error::Guest(what, place) => what.at(place, f),
            #[cfg(feature = "kvm")]
            Error::KvmDevice(path, error) => write!(
                f,
                "cannot use {}: {error}; --cpu kvm needs a KVM device that this user may open, --cpu engine needs none",
                path.display()
            ),
            #[cfg(feature = "kvm")]
            Error::Kvm(what, error) => write!(f, "{what} failed: {error}"),
            #[cfg(feature = "kvm")]
            Error::KvmMode => {
                f.write_str("--cpu kvm runs 64-bit guests only, at CPL 3; use --cpu engine for other modes")
            }
            #[cfg(feature = "kvm")]
            Error::KvmOption(option) => {
                write!(f, "{option} needs --cpu engine: what the processor runs by itself under --cpu kvm, nobody sees")
            }
        }
    }
}

impl What {
    fn at(&self, place: &Place, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Exception(event) => write!(
                f,
                "the guest ran into {event}, at {place}; the guest has loaded no interrupt table, so the boot ends"
            ),
            What::Shutdown => write!(f, "the processor shut down after a triple fault, at {place}"),
            What::Unsupported(why) => write!(f, "the engine can't run the instruction at {place}: {why}"),
            What::Stray(stray) => write!(f, "the guest {stray}, at {place}"),
            What::Exit { code, failed } => {
                write!(f, "the guest ended with exit code {code:#x}, at {place}")?;
                let number = (*failed as usize).wrapping_sub(1);
                match TILES.get(number) {
                    Some(tile) => write!(f, ": tile {failed}, {}, read back something wrong", tile.name),
                    None => Ok(()),
                }
            }
            What::Sleeps => write!(
                f,
                "the guest waits for an interrupt, and nothing in this machine raises one: HLT with interrupts on, at {place}"
            ),
            #[cfg(feature = "kvm")]
            What::Kvm(why) => write!(f, "KVM ended the guest: {why}, at {place}"),
            What::Limit(steps) => {
                write!(
                    f,
                    "the guest has not ended after {steps} instructions, all that --max-steps allows; next is {place}"
                )
            }
            What::Unexpected(outcome) => write!(f, "the step ended in {outcome}, which was not asked for, at {place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_guest_reaches_yet_has_its_sentence_too() {
        let place = |text: Option<&str>| {
            Box::new(Place { rip: 0x10, cs_base: 0, bytes: vec![0x0f, 0x0b], text: text.map(str::to_owned) })
        };
        assert_eq!(
            Error::Guest(What::Shutdown, place(Some("ud2"))).to_string(),
            "the processor shut down after a triple fault, at RIP 0x10 (bytes 0f 0b: ud2)"
        );
        assert_eq!(
            Error::Guest(What::Exit { code: 4, failed: 4 }, place(None)).to_string(),
            "the guest ended with exit code 0x4, at RIP 0x10 (bytes 0f 0b: no known instruction): \
             tile 4, mov 64-bit, read back something wrong"
        );
    }
}
