//! What can go wrong, and what a caller does about it.

use core::fmt;

/// Executable memory could not be had. Work that needs no stub still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// Not x86-64 Linux, or a processor without LAHF and SAHF in 64-bit mode: there are no stubs here.
    NotSupported,
    /// The length is no whole number of 64-byte lines, or outside [`MIN_LEN`](crate::DualMap::MIN_LEN)`..=`[`MAX_LEN`](crate::DualMap::MAX_LEN): ask for another.
    Length(usize),
    /// No memory file could be made (`errno`): raise the limit on descriptors or memory, or allow `memfd_create`.
    File(i32),
    /// The writable view could not be mapped (`errno`): raise the limit on memory.
    Map(i32),
    /// The executable view was denied (`errno`): a security policy forbids it; bring a
    /// [`CodeMemory`](crate::CodeMemory) of your own, or run without stubs.
    ExecutionDenied(i32),
    /// The views could not be kept from forked children (`errno`).
    Advice(i32),
    /// No handler for SIGFPE could be installed (`errno`): do without [`FloatSignals`](crate::FloatSignals).
    Handler(i32),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported => f.write_str("stubs need an x86-64 Linux host with LAHF and SAHF"),
            Self::Length(len) => {
                write!(f, "{len} bytes of stub memory: not whole 64-byte lines, too few or too many")
            }
            Self::File(errno) => write!(f, "no memory file for stubs (errno {errno})"),
            Self::Map(errno) => write!(f, "stub memory cannot be mapped for writing (errno {errno})"),
            Self::ExecutionDenied(errno) => write!(f, "stub memory cannot be mapped for execution (errno {errno})"),
            Self::Handler(errno) => write!(f, "no handler for SIGFPE can be installed (errno {errno})"),
            Self::Advice(errno) => write!(f, "stub memory cannot be kept from forked children (errno {errno})"),
        }
    }
}

impl core::error::Error for MapError {}

/// A stub was not made or not run; no guest state has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StubError {
    /// This process was forked off after the cache was made, and has no stub memory: make a new cache.
    ForkedChild,
    /// The stub belongs to an earlier generation or to another cache: look it up or install it again.
    Stale,
    /// The stub would take more than four 64-byte lines: move less, or split the work.
    TooLong,
    /// The recipe contradicts itself, in the way that the text says.
    BadRecipe(&'static str),
    /// All 2^48 generations of this process are spent.
    GenerationsSpent,
    /// This thread blocks SIGFPE, so that an exception of the stub would kill the process: unblock it.
    SignalBlocked,
}

impl fmt::Display for StubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForkedChild => f.write_str("stub memory is not inherited by forked children: make a new cache"),
            Self::Stale => f.write_str("the stub's generation has passed: look it up again"),
            Self::TooLong => f.write_str("the stub is longer than 256 bytes"),
            Self::BadRecipe(why) => write!(f, "bad recipe: {why}"),
            Self::SignalBlocked => f.write_str("this thread blocks SIGFPE: unblock it"),
            Self::GenerationsSpent => f.write_str("all generations of stubs are spent"),
        }
    }
}

impl core::error::Error for StubError {}
