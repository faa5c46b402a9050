//! Pages that the guest must not touch, unless one instruction may.

use crate::bus::{Access, AccessKind, Bus, Modify, Platform, forward_bus, forward_platform};
use crate::event::Stop;
use crate::host::{CodePage, HostRam};
use core::ops::Range;

/// What a protected range forbids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forbids {
    /// Loads.
    pub reads: bool,
    /// Stores.
    pub writes: bool,
    /// Instruction fetches.
    pub fetches: bool,
}

impl Forbids {
    /// Stores alone.
    pub const WRITES: Forbids = Forbids { reads: false, writes: true, fetches: false };
    /// Everything.
    pub const ALL: Forbids = Forbids { reads: true, writes: true, fetches: true };

    fn forbids(self, kind: AccessKind) -> bool {
        match kind {
            AccessKind::Fetch => self.fetches,
            AccessKind::Read => self.reads,
            AccessKind::Write => self.writes,
            AccessKind::ReadForWrite | AccessKind::Rmw => self.reads || self.writes,
        }
    }
}

/// An access that was forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Linear address of the access, or of the piece of it that met the range.
    pub at: u64,
    /// Bytes.
    pub len: usize,
    /// What it was for.
    pub access: Access,
}

/// Keeps ranges of linear addresses from the guest: an instruction that would touch them ends in
/// [`Outcome::Stopped`](crate::Outcome::Stopped) with [`Protect::DENIED`], before any byte of that access is read or
/// written.
///
/// [`Engine::step_lifted`](crate::Engine::step_lifted) runs one instruction with some of it lifted, for that instruction alone.
/// Implicit accesses (descriptors, TSS) pass unless [`Protect::implicit`] covers them too.
#[derive(Debug)]
pub struct Protect<B> {
    inner: B,
    ranges: Vec<(Range<u64>, Forbids)>,
    lifted: Vec<Range<u64>>,
    implicit: bool,
    denied: Option<Denied>,
}

impl<B> Protect<B> {
    /// The code of [`Stop::Caller`] for a forbidden access.
    pub const DENIED: u64 = u64::from_le_bytes(*b"rejected");

    /// Keeps `ranges` of `inner` from the guest.
    pub fn new(inner: B, ranges: Vec<(Range<u64>, Forbids)>) -> Protect<B> {
        Protect { inner, ranges, lifted: Vec::new(), implicit: false, denied: None }
    }

    /// Covers implicit accesses too?
    pub fn implicit(mut self, on: bool) -> Protect<B> {
        self.implicit = on;
        self
    }

    /// The bus underneath.
    pub fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The ranges, to be changed.
    pub fn ranges(&mut self) -> &mut Vec<(Range<u64>, Forbids)> {
        &mut self.ranges
    }

    /// Takes the access that was forbidden last.
    pub fn take_denied(&mut self) -> Option<Denied> {
        self.denied.take()
    }

    /// Does nothing forbid accesses to these addresses any more, or until [`Protect::lower`]?
    pub(crate) fn lift(&mut self, ranges: &[Range<u64>]) {
        self.lifted.extend_from_slice(ranges);
    }

    /// Ends what [`Protect::lift`] began.
    pub(crate) fn lower(&mut self) {
        self.lifted.clear();
    }

    /// Is a byte of the access forbidden?
    fn forbidden(&self, linear: u64, len: usize, access: &Access) -> bool {
        let covered = |at: u64| {
            let forbids =
                |(range, forbids): &(Range<u64>, Forbids)| range.contains(&at) && forbids.forbids(access.kind);
            self.ranges.iter().any(forbids) && !self.lifted.iter().any(|range| range.contains(&at))
        };
        (self.implicit || !access.implicit) && (0..len as u64).any(|i| covered(linear.wrapping_add(i)))
    }

    fn check(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        if self.ranges.is_empty() || !self.forbidden(linear, len, access) {
            return Ok(());
        }
        self.denied = Some(Denied { at: linear, len, access: *access });
        Err(Stop::Caller(Self::DENIED))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Bus> Bus for Protect<B> {
    forward_bus!(this => this.inner; generation, follow, peek);

    /// As many bytes as are not forbidden.
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.check(linear, 1, access)?;
        let count = self.inner.fetch(linear, buf, access)?.min(buf.len());
        Ok((1..count).find(|&n| self.forbidden(linear.wrapping_add(n as u64), 1, access)).unwrap_or(count))
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.check(linear, buf.len(), access)?;
        self.inner.read(linear, buf, access)
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.check(linear, buf.len(), access)?;
        self.inner.write(linear, buf, access)
    }

    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.check(linear, len, access)?;
        self.inner.probe(linear, len, access)
    }

    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        self.check(linear, old.len(), access)?;
        self.inner.rmw(linear, old, modify, access)
    }

    /// None: each fetch is looked at.
    fn code(&mut self, _linear: u64, _access: &Access) -> Result<Option<CodePage>, Stop> {
        Ok(None)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.check(linear, len, access)?;
        self.inner.ram(linear, len, access)
    }

    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.check(linear, len, access)?;
        self.inner.ram_across(linear, len, access)
    }

    fn enqueue(&mut self, linear: u64, command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        self.check(linear, command.len(), access)?;
        self.inner.enqueue(linear, command, access)
    }

    /// Not where something is forbidden: elements before it are still done.
    fn takes_blocks(&mut self, linear: u64, len: usize, access: &Access) -> bool {
        !self.forbidden(linear, len, access) && self.inner.takes_blocks(linear, len, access)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Platform> Platform for Protect<B> {
    forward_platform!(this => this.inner; all);
}
