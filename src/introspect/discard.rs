//! Writes that are reported as done and go nowhere.

use crate::bus::{Access, AccessKind, Bus, Modify, Platform, forward_bus, forward_platform};
use crate::event::Stop;
use crate::host::HostRam;
use core::ops::RangeInclusive;

/// Drops the guest's stores, all or those to a range: they succeed or fault as they would have, and memory and devices never
/// see them.
///
/// A store that touches the range is dropped whole (up to a page's end, where it is taken in pieces). Port writes, model-specific registers and implicit accesses go through.
#[derive(Debug)]
pub struct Discard<B> {
    inner: B,
    range: RangeInclusive<u64>,
}

impl<B> Discard<B> {
    /// Drops what would be written to `inner`.
    pub fn new(inner: B) -> Discard<B> {
        Discard::within(inner, 0..=u64::MAX)
    }

    /// Drops what would be written to these linear addresses of `inner`.
    pub fn within(inner: B, range: RangeInclusive<u64>) -> Discard<B> {
        Discard { inner, range }
    }

    /// The bus underneath.
    pub fn inner(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B> Discard<B> {
    /// Is a store of `len` bytes at `linear` none of ours?
    fn passes(&self, linear: u64, len: usize, access: &Access) -> bool {
        let last = linear.saturating_add((len as u64).saturating_sub(1));
        access.implicit || linear > *self.range.end() || last < *self.range.start()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Bus> Bus for Discard<B> {
    forward_bus!(this => this.inner; fetch, probe, code, generation, follow, peek, takes_blocks);

    /// The load of a read-modify-write is a plain load for `inner`, so that nothing is marked dirty; the right to
    /// write is asked for first, as the processor does.
    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        if access.kind != AccessKind::ReadForWrite || self.passes(linear, buf.len(), access) {
            return self.inner.read(linear, buf, access);
        }
        self.inner.probe(linear, buf.len(), access)?;
        self.inner.read(linear, buf, &Access { kind: AccessKind::Read, ..*access })
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        if self.passes(linear, buf.len(), access) {
            return self.inner.write(linear, buf, access);
        }
        self.inner.probe(linear, buf.len(), access)
    }

    /// "Cannot": the engine then reads and writes, and the write is dropped here.
    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        if self.passes(linear, old.len(), access) {
            return self.inner.rmw(linear, old, modify, access);
        }
        Ok(false)
    }

    /// Taken, and dropped.
    fn enqueue(&mut self, linear: u64, command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        if self.passes(linear, command.len(), access) {
            return self.inner.enqueue(linear, command, access);
        }
        self.inner.probe(linear, command.len(), access)?;
        Ok(true)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if access.writes() && !self.passes(linear, len, access) {
            return Ok(None);
        }
        self.inner.ram(linear, len, access)
    }

    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if !self.passes(linear, len, access) {
            return Ok(None);
        }
        self.inner.ram_across(linear, len, access)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Platform> Platform for Discard<B> {
    forward_platform!(this => this.inner; all);
}
