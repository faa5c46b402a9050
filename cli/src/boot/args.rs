//! The command line, and what it means.

use super::error::Error;
use super::machine::RAM_LIMIT;
use super::pc::Trace;
use crate::accesses::Accesses;
use crate::options::{feature, number, profile, size};
use clap::{ArgAction, ValueEnum};
use encore86::isa::Feature;
use encore86::{Mode, Profile};
use encore86_asm::gallery;
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What to boot.
#[derive(clap::Args)]
pub struct Args {
    /// A flat image to boot; without one, the built-in guest `gallery`
    image: Option<PathBuf>,
    /// A Linux kernel (bzImage) to boot instead, as a PC would
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "png"])]
    pub kernel: Option<PathBuf>,
    /// Its initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub initrd: Option<PathBuf>,
    /// Its command line
    #[arg(
        long,
        value_name = "TEXT",
        requires = "kernel",
        default_value = "console=ttyS0 nolapic noapic acpi=off pci=off"
    )]
    pub cmdline: String,
    /// Let the guest's clock go by its instructions, N nanoseconds each, so that a boot repeats exactly
    #[arg(long, value_name = "N", requires = "kernel", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub icount: Option<u64>,
    /// Guest-physical address for the image's first byte [default: 0x7c00 in real16, else 0x100000]
    #[arg(long, value_name = "ADDR", value_parser = number, requires = "image")]
    load: Option<u64>,
    /// Address of the first instruction [default: the image's first byte]
    #[arg(long, value_name = "ADDR", value_parser = number, requires = "image")]
    entry: Option<u64>,
    /// The mode that the processor starts in, with flat segments and interrupts off [default: long64]
    #[arg(long, value_enum, requires = "image")]
    mode: Option<StartMode>,
    /// What runs the guest
    #[arg(long, value_enum, default_value_t = Backend::Engine)]
    pub cpu: Backend,
    /// The KVM device
    #[cfg(feature = "kvm")]
    #[arg(long, value_name = "FILE", default_value = "/dev/kvm", hide = true)]
    pub kvm_device: PathBuf,
    /// RAM from address 0 on: bytes, or with K, M or G [default: 16M, or 512M for a kernel]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Where the framebuffer's picture goes [default: gallery.png for the built-in guest, nowhere for an image]
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Write every memory and port access of every instruction as JSON Lines
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Of a kernel, begin the trace behind this many instructions
    #[arg(long, value_name = "N", requires = "trace", requires = "kernel", value_parser = number)]
    pub trace_from: Option<u64>,
    /// Of a kernel, end the trace behind this many instructions
    #[arg(long, value_name = "N", requires = "trace", requires = "kernel", value_parser = number)]
    pub trace_until: Option<u64>,
    /// Write instruction fetches too
    #[arg(long, requires = "trace")]
    pub trace_fetches: bool,
    /// What the guest's CPUID promises: host, all, a model, or an object of features as in a case of `exec`
    #[arg(long, default_value = "host", value_parser = profile)]
    profile: Box<Profile>,
    /// Features to take out of the profile, by their names in /proc/cpuinfo
    #[arg(long, value_name = "FEATURE", value_parser = feature, value_delimiter = ',', action = ArgAction::Append)]
    without: Vec<Feature>,
    /// End the boot after this many instructions
    #[arg(long, value_name = "N", value_parser = number)]
    pub max_steps: Option<u64>,
}

/// What runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The engine, every instruction
    Engine,
    /// The processor itself through /dev/kvm, at CPL 3; the engine where the kernel gives up
    #[cfg(feature = "kvm")]
    Kvm,
}

/// Modes to start in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StartMode {
    /// Real-address mode
    Real16,
    /// Protected mode without paging
    Prot32,
    /// 64-bit mode
    Long64,
}

/// A guest, checked against the machine that it is to run on.
#[derive(Debug)]
pub struct Guest {
    /// What messages call it.
    pub name: String,
    /// Its bytes.
    pub image: Cow<'static, [u8]>,
    /// Guest-physical address of the first byte.
    pub load: u64,
    /// Linear address of the first instruction.
    pub entry: u64,
    /// The mode to start in.
    pub mode: StartMode,
    /// CR3, with paging on.
    pub page_tables: Option<u64>,
    /// Bytes of RAM.
    pub memory: u64,
}

impl Guest {
    /// Is it the built-in guest?
    pub fn is_gallery(&self) -> bool {
        self.page_tables.is_some()
    }
}

impl Args {
    /// The guest that the arguments name.
    ///
    /// # Errors
    /// For an image that cannot be read, and for addresses that do not fit together.
    pub fn guest(&self) -> Result<Guest, Error> {
        let memory = self.ram(16 << 20)?;
        let Some(path) = &self.image else {
            if memory < gallery::RAM_USED_END {
                return Err(Error::GalleryMemory(memory));
            }
            return Ok(Guest {
                name: "gallery".into(),
                image: gallery::image().into(),
                load: gallery::LOAD,
                entry: gallery::ENTRY,
                mode: StartMode::Long64,
                page_tables: Some(gallery::PAGE_TABLES),
                memory,
            });
        };
        let mode = self.mode.unwrap_or(StartMode::Long64);
        let load = self.load.unwrap_or(if mode == StartMode::Real16 { 0x7c00 } else { 0x10_0000 });
        let entry = self.entry.unwrap_or(load);
        let room = memory.saturating_sub(load);
        let image = read_at_most(path, room + 1).map_err(|error| Error::Image(path.clone(), error))?;
        let size = image.len() as u64;
        if size == 0 {
            return Err(Error::EmptyImage(path.clone()));
        }
        if size > room {
            return Err(Error::Load { path: path.clone(), load, memory });
        }
        if !(load..load + size).contains(&entry) {
            return Err(Error::Entry { entry, load, end: load + size });
        }
        if mode == StartMode::Real16 && entry > 0xf_ffff {
            return Err(Error::RealEntry(entry));
        }
        Ok(Guest {
            name: path.display().to_string(),
            image: image.into(),
            load,
            entry,
            mode,
            page_tables: None,
            memory,
        })
    }

    /// Bytes of RAM for a kernel.
    ///
    /// # Errors
    /// For a size that no machine has.
    pub fn pc_memory(&self) -> Result<u64, Error> {
        self.ram(512 << 20)
    }

    /// The trace of a kernel, if one is asked for.
    ///
    /// # Errors
    /// If its file can't be created.
    pub fn kernel_trace(&self) -> Result<Option<Trace>, Error> {
        let Some(path) = self.trace.clone() else { return Ok(None) };
        let file = Accesses::create(&path).map_err(|error| Error::Output(path.clone(), error))?;
        let (from, until) = (self.trace_from.unwrap_or(0), self.trace_until.unwrap_or(u64::MAX));
        Ok(Some(Trace { file, path, from, until, fetches: self.trace_fetches }))
    }

    fn ram(&self, default: u64) -> Result<u64, Error> {
        let memory = self.memory.unwrap_or(default);
        let fits = memory.is_multiple_of(0x1000) && (0x1000..=RAM_LIMIT).contains(&memory);
        if fits { Ok(memory) } else { Err(Error::Memory(memory)) }
    }

    /// What the guest's CPUID promises.
    pub fn profile(&self) -> Profile {
        self.without.iter().fold(Profile::clone(&self.profile), |profile, &feature| profile.without(feature))
    }

    /// Where the picture goes.
    pub fn picture(&self) -> Option<&Path> {
        let default = self.image.is_none().then_some(Path::new("gallery.png"));
        self.png.as_deref().or(default)
    }
}

impl StartMode {
    /// The library's name.
    pub fn mode(self) -> Mode {
        match self {
            StartMode::Real16 => Mode::Real16,
            StartMode::Prot32 => Mode::Prot32,
            StartMode::Long64 => Mode::Long64,
        }
    }
}

/// Reads a file, but no more than `limit` bytes of it: the file may be a device without end.
fn read_at_most(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
