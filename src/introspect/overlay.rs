//! Bytes that data reads see instead of memory's.

use crate::bus::{Access, AccessKind, Bus, Modify, Platform, forward_bus, forward_platform};
use crate::event::Stop;
use crate::host::{CodePage, HostRam};

/// Answers data reads of certain linear addresses with other bytes than memory holds.
///
/// Where a read lies in the overlay as a whole, memory is asked for permission only and a device underneath is not
/// read; where it overlaps, memory is read and the bytes are merged one by one. Writes go through and do not change
/// what later reads see; a read-modify-write computes on the overlay and stores to memory. Fetches and implicit
/// accesses are untouched.
#[derive(Debug)]
pub struct Overlay<B> {
    inner: B,
    ranges: Vec<(u64, Vec<u8>)>,
}

impl<B> Overlay<B> {
    /// Lays `ranges` (linear address, bytes) over `inner`. Where they overlap, the later one counts. Addresses wrap
    /// at 64 bits.
    pub fn new(inner: B, ranges: Vec<(u64, Vec<u8>)>) -> Overlay<B> {
        Overlay { inner, ranges }
    }

    /// The bus underneath.
    pub fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The byte laid over `linear`.
    fn byte(&self, linear: u64) -> Option<u8> {
        let hit = |(at, bytes): &(u64, Vec<u8>)| {
            let i = usize::try_from(linear.wrapping_sub(*at)).ok()?;
            bytes.get(i).copied()
        };
        self.ranges.iter().rev().find_map(hit)
    }

    /// How many of `len` bytes are laid over.
    fn covered(&self, linear: u64, len: usize) -> usize {
        (0..len as u64).filter(|i| self.byte(linear.wrapping_add(*i)).is_some()).count()
    }

    fn patch(&self, linear: u64, buf: &mut [u8]) {
        for (i, b) in buf.iter_mut().enumerate() {
            if let Some(over) = self.byte(linear.wrapping_add(i as u64)) {
                *b = over;
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Bus> Bus for Overlay<B> {
    forward_bus!(this => this.inner; fetch, write, probe, generation, follow, enqueue, takes_blocks);

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        if !access.implicit && self.covered(linear, buf.len()) == buf.len() {
            self.inner.probe(linear, buf.len(), access)?;
        } else {
            self.inner.read(linear, buf, access)?;
        }
        if !access.implicit {
            self.patch(linear, buf);
        }
        Ok(())
    }

    /// "Cannot" where the overlay has a say: the engine then reads here and writes underneath.
    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        if !access.implicit && self.covered(linear, old.len()) > 0 {
            return Ok(false);
        }
        self.inner.rmw(linear, old, modify, access)
    }

    fn peek(&mut self, linear: u64, buf: &mut [u8]) -> bool {
        let known = self.covered(linear, buf.len()) == buf.len() || self.inner.peek(linear, buf);
        self.patch(linear, buf);
        known
    }

    /// None: each fetch is given the bytes that are laid over it.
    fn code(&mut self, _linear: u64, _access: &Access) -> Result<Option<CodePage>, Stop> {
        Ok(None)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        let reads = !matches!(access.kind, AccessKind::Write | AccessKind::Fetch);
        if reads && !access.implicit && self.covered(linear, len) > 0 {
            return Ok(None);
        }
        self.inner.ram(linear, len, access)
    }

    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if !access.implicit && self.covered(linear, len) > 0 {
            return Ok(None);
        }
        self.inner.ram_across(linear, len, access)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Platform> Platform for Overlay<B> {
    forward_platform!(this => this.inner; all);
}

#[cfg(test)]
mod tests {
    use super::Overlay;

    #[test]
    fn an_overlay_may_run_past_the_end_of_the_address_space() {
        let overlay = Overlay::new((), vec![(u64::MAX, vec![1, 2])]);
        assert_eq!([u64::MAX, 0, 1].map(|at| overlay.byte(at)), [Some(1), Some(2), None]);
    }
}
