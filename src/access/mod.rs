//! The one way to the bus for executing rooms: pages, device widths, the retry journal.

mod journal;

pub(crate) use journal::{Journal, Kind, Owner};

use crate::bus::{Access, AccessKind, Modify, Vmm};
use crate::cpu::Cpu;
use crate::event::{Event, Stop, Unsupported};
use crate::host::{LockedOp, among_others};
use journal::Replay;

/// Why an instruction ends before it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    Stop(Stop),
    Unsupported(Unsupported),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Halt {
        Halt::Stop(stop)
    }
}

impl From<Event> for Halt {
    fn from(event: Event) -> Halt {
        Halt::Stop(Stop::Fault(event))
    }
}

impl From<Unsupported> for Halt {
    fn from(why: Unsupported) -> Halt {
        Halt::Unsupported(why)
    }
}

const PAGE: u64 = 4096;

/// The bus as executing rooms see it: accesses of any length anywhere.
pub(crate) struct Mem<'a, V: Vmm + ?Sized> {
    pub(crate) vmm: &'a mut V,
    pub(crate) journal: &'a mut Journal,
    pub(crate) cpl: u8,
    /// Linear addresses wrap here: all ones, or 32 bits outside 64-bit mode.
    wrap: u64,
}

impl<'a, V: Vmm + ?Sized> Mem<'a, V> {
    #[inline(always)]
    pub(crate) fn new(vmm: &'a mut V, journal: &'a mut Journal, cpu: &Cpu) -> Self {
        Mem { vmm, journal, cpl: cpu.cpl(), wrap: cpu.word().wrap }
    }

    /// An access of this privilege.
    #[inline(always)]
    pub(crate) fn access(&self, kind: AccessKind, element: u16) -> Access {
        Access::new(kind, element, self.cpl)
    }

    /// Reads; the access is remembered for a retry of this instruction.
    pub(crate) fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Halt> {
        if crosses(linear, buf.len()) {
            return self.read_pieces(linear, buf, access);
        }
        self.read_piece(linear, buf, access)
    }

    /// Reads when nothing follows that could be answered with `Retry`: is not remembered unless it comes in pieces.
    #[inline(always)]
    pub(crate) fn read_last(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Halt> {
        if self.journal.at_end() && !crosses(linear, buf.len()) {
            match self.vmm.read(linear, buf, access) {
                Ok(()) => return Ok(()),
                Err(Stop::TooWide(_)) => {}
                Err(stop) => return Err(stop.into()),
            }
        }
        self.read(linear, buf, access)
    }

    /// Reads when only the store of a read-modify-write follows: the journal hears of it by [`Mem::remember`], and only if
    /// that store fails.
    #[inline(always)]
    pub(crate) fn read_before_write(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Halt> {
        if self.journal.is_empty() && !crosses(linear, buf.len()) {
            match self.vmm.read(linear, buf, access) {
                Ok(()) => return Ok(()),
                Err(Stop::TooWide(_)) => {}
                Err(stop) => return Err(stop.into()),
            }
        }
        self.read(linear, buf, access)
    }

    /// Remembers a read of [`Mem::read_before_write`] whose store has failed.
    #[cold]
    pub(crate) fn remember(&mut self, linear: u64, buf: &[u8]) {
        self.journal.record_first(Kind::Read, linear, buf);
    }

    /// Writes; the access is remembered for a retry of this instruction.
    pub(crate) fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Halt> {
        if crosses(linear, buf.len()) {
            return self.write_pieces(linear, buf, access);
        }
        self.write_piece(linear, buf, access)
    }

    /// Writes as the last access of the instruction.
    #[inline(always)]
    pub(crate) fn write_last(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Halt> {
        if self.journal.at_end() && !crosses(linear, buf.len()) {
            match self.vmm.write(linear, buf, access) {
                Ok(()) => return Ok(()),
                Err(Stop::TooWide(_)) => {}
                Err(stop) => return Err(stop.into()),
            }
        }
        self.write(linear, buf, access)
    }

    /// Would the access succeed, on every page that it touches? Accesses that the journal holds have succeeded already.
    pub(crate) fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Halt> {
        let mut at = 0;
        while at < len {
            let start = linear.wrapping_add(at as u64) & self.wrap;
            let n = (len - at).min((PAGE - start % PAGE) as usize);
            let piece = Access { offset: access.offset + at as u16, ..*access };
            self.vmm.probe(start, n, &piece)?;
            at += n;
        }
        Ok(())
    }

    /// Writes a state image of any length as one architectural access, 64 bytes a call, after a probe of all of it.
    pub(crate) fn write_image(&mut self, linear: u64, image: &[u8], access: &Access) -> Result<(), Halt> {
        self.probe(linear, image.len(), access)?;
        self.write_parts(linear, image, 0, access)
    }

    /// The same as the last access of the instruction: what was written is remembered only when a later part has to wait.
    pub(crate) fn write_image_last(&mut self, linear: u64, image: &[u8], access: &Access) -> Result<(), Halt> {
        self.probe(linear, image.len(), access)?;
        if !self.journal.at_end() || crosses(linear, image.len()) {
            return self.write_parts(linear, image, 0, access);
        }
        let (mut piece, mut at) = (*access, 0);
        while let Some(part) = image.get(at..(at + IMAGE_PART).min(image.len()))
            && !part.is_empty()
        {
            if let Err(stop) = self.vmm.write(linear + at as u64, part, &piece) {
                return self.write_rest(linear, image, at, access, stop);
            }
            at += IMAGE_PART;
            piece.offset += IMAGE_PART as u16;
        }
        Ok(())
    }

    /// The bytes of an image from `at` on, where the first of them were refused.
    #[cold]
    fn write_rest(&mut self, linear: u64, image: &[u8], at: usize, access: &Access, stop: Stop) -> Result<(), Halt> {
        for (i, part) in image[..at].chunks(IMAGE_PART).enumerate() {
            self.journal.record(Kind::Write, linear + (i * IMAGE_PART) as u64, part);
        }
        match stop {
            Stop::TooWide(_) => self.write_parts(linear, image, at, access),
            stop => Err(stop.into()),
        }
    }

    /// The image's bytes from `from` on.
    fn write_parts(&mut self, linear: u64, image: &[u8], from: usize, access: &Access) -> Result<(), Halt> {
        for (i, part) in image[from..].chunks(IMAGE_PART).enumerate() {
            let at = (from + i * IMAGE_PART) as u16;
            let piece = Access { offset: access.offset + at, ..*access };
            self.write(linear.wrapping_add(u64::from(at)) & self.wrap, part, &piece)?;
        }
        Ok(())
    }

    /// Reads a state image of any length as one architectural access, 64 bytes a call, after a probe of all of it.
    pub(crate) fn read_image(&mut self, linear: u64, image: &mut [u8], access: &Access) -> Result<(), Halt> {
        self.probe(linear, image.len(), access)?;
        for (i, part) in image.chunks_mut(IMAGE_PART).enumerate() {
            let at = (i * IMAGE_PART) as u16;
            let piece = Access { offset: access.offset + at, ..*access };
            self.read(linear.wrapping_add(u64::from(at)) & self.wrap, part, &piece)?;
        }
        Ok(())
    }

    /// Sets or clears bits of a byte that processors and devices share: by one locked operation where the bus grants RAM or can be
    /// atomic itself. Doing that to RAM twice changes nothing, so that the journal need not know of it; what a device sees it hears of.
    pub(crate) fn change_bits(&mut self, linear: u64, set: u8, clear: u8, access: &Access) -> Result<(), Halt> {
        let access = Access { locked: true, ..*access };
        if self.journal.next_is(Kind::Rmw, linear) {
            return self.journal.replay(Kind::Rmw, linear, 1, None).map(drop);
        }
        match self.vmm.ram(linear, 1, &access) {
            Ok(Some(ram)) if ram.len() == 1 => {
                let (op, bits) = if clear == 0 { (LockedOp::Or, set) } else { (LockedOp::And, !clear) };
                among_others(|| ram.locked(op, u64::from(bits), 0, false));
                return Ok(());
            }
            Ok(Some(_)) => {
                return Err(Unsupported::Platform("a host address for the length that was asked for").into());
            }
            Ok(None) | Err(Stop::TooWide(_)) => {}
            Err(stop) => return Err(stop.into()),
        }
        let mut modify = |old: &[u8], new: &mut [u8]| {
            for (new, old) in new.iter_mut().zip(old) {
                *new = old & !clear | set;
            }
        };
        self.modify(linear, &mut [0], &mut modify, &access)
    }

    /// LOCK CMPXCHG8B of an aligned entry that processors share: stores `new` if it holds `expected`, and gives what it held. Done once
    /// whatever comes behind it: the journal knows of it.
    pub(crate) fn exchange(&mut self, linear: u64, expected: u64, new: u64, access: &Access) -> Result<u64, Halt> {
        let access = Access { locked: true, ..*access };
        if self.journal.next_is(Kind::Rmw, linear) {
            // One that has stored nothing ends in a fault, or is the last access.
            return self.journal.replay(Kind::Rmw, linear, 8, None).map(|_| expected);
        }
        if self.journal.at_end() {
            let done = match self.vmm.ram(linear, 8, &access) {
                Ok(Some(ram)) if ram.len() == 8 => among_others(|| ram.compare_exchange(expected.into(), new.into())),
                Ok(Some(_)) => {
                    return Err(Unsupported::Platform("a host address for the length that was asked for").into());
                }
                Ok(None) | Err(Stop::TooWide(_)) => None,
                Err(stop) => return Err(stop.into()),
            };
            if let Some((old, _)) = done {
                let old = old as u64;
                self.journal.record(Kind::Rmw, linear, &old.to_le_bytes());
                return Ok(old);
            }
        }
        let mut old = [0; 8];
        let mut modify = |old: &[u8], out: &mut [u8]| {
            let (expected, new) = (expected.to_le_bytes(), new.to_le_bytes());
            // A failed compare writes the old value back.
            let stored = if *old == expected { &new } else { old };
            for (out, stored) in out.iter_mut().zip(stored) {
                *out = *stored;
            }
        };
        self.modify(linear, &mut old, &mut modify, &access)?;
        Ok(u64::from_le_bytes(old))
    }

    /// A read-modify-write of up to 8 bytes that the bus grants no host address for: one atomic call, or a marked read and write.
    fn modify(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<(), Halt> {
        // It may have been read and written before the retry.
        let in_parts = self.journal.next_is(Kind::Read, linear);
        if !in_parts && !self.journal.at_end() {
            return Err(Unsupported::JournalMismatch.into());
        }
        if !in_parts && self.vmm.rmw(linear, old, modify, access)? {
            self.journal.record(Kind::Rmw, linear, old);
            return Ok(());
        }
        self.read(linear, old, &Access { kind: AccessKind::ReadForWrite, ..*access })?;
        let (mut new, len) = ([0; 8], old.len());
        modify(old, &mut new[..len]);
        self.write(linear, &new[..len], &Access { kind: AccessKind::Write, ..*access })
    }

    /// Takes what 8 aligned bytes hold that processors and devices share, and leaves zeros: by one locked operation where the bus
    /// grants RAM or can be atomic itself. Not for an instruction that may come again: the journal does not know of it.
    pub(crate) fn take(&mut self, linear: u64, access: &Access) -> Result<u64, Halt> {
        let access = Access { locked: true, ..*access };
        match self.vmm.ram(linear, 8, &access) {
            Ok(Some(ram)) if ram.len() == 8 => {
                if let Some(done) = among_others(|| ram.locked(LockedOp::Xchg, 0, 0, false)) {
                    return Ok(done.old);
                }
            }
            Ok(Some(_)) => {
                return Err(Unsupported::Platform("a host address for the length that was asked for").into());
            }
            Ok(None) | Err(Stop::TooWide(_)) => {}
            Err(stop) => return Err(stop.into()),
        }
        let mut old = [0; 8];
        if !self.vmm.rmw(linear, &mut old, &mut |_: &[u8], new: &mut [u8]| new.fill(0), &access)? {
            self.read(linear, &mut old, &Access { kind: AccessKind::ReadForWrite, ..access })?;
            self.write(linear, &[0; 8], &Access { kind: AccessKind::Write, ..access })?;
        }
        Ok(u64::from_le_bytes(old))
    }

    /// Does an access go around the end of the address space?
    pub(crate) fn wraps(&self, linear: u64, len: usize) -> bool {
        let last = linear.wrapping_add(len as u64 - 1);
        last & self.wrap != last || last < linear
    }

    /// Goes on at the processor's new privilege and in its new mode.
    pub(crate) fn follow(&mut self, cpu: &Cpu) {
        self.cpl = cpu.cpl();
        self.wrap = cpu.word().wrap;
    }

    /// A port read.
    pub(crate) fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Halt> {
        if self.journal.replay(Kind::PortIn, u64::from(port), buf.len(), Some(buf))? != Replay::New {
            return Ok(());
        }
        self.vmm.port_in(port, buf)?;
        self.journal.record(Kind::PortIn, u64::from(port), buf);
        Ok(())
    }

    /// A port write.
    pub(crate) fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Halt> {
        if self.journal.replay(Kind::PortOut, u64::from(port), data.len(), None)? != Replay::New {
            return Ok(());
        }
        self.vmm.port_out(port, data)?;
        self.journal.record(Kind::PortOut, u64::from(port), data);
        Ok(())
    }

    /// The bytes that lie on a page of their own, in ascending order.
    fn page_pieces(&self, linear: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> + use<V> {
        let wrap = self.wrap;
        let mut at = 0;
        core::iter::from_fn(move || {
            if at >= len {
                return None;
            }
            let start = linear.wrapping_add(at as u64) & wrap;
            let n = (len - at).min((PAGE - start % PAGE) as usize);
            let piece = (start, at, n);
            at += n;
            Some(piece)
        })
    }

    fn read_pieces(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Halt> {
        // A device on the first page is not read before the second page is known to answer.
        self.probe(linear, buf.len(), access)?;
        for (start, at, n) in self.page_pieces(linear, buf.len()) {
            let piece = Access { offset: access.offset + at as u16, ..*access };
            self.read_piece(start, &mut buf[at..at + n], &piece)?;
        }
        Ok(())
    }

    fn write_pieces(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Halt> {
        self.probe(linear, buf.len(), access)?;
        for (start, at, n) in self.page_pieces(linear, buf.len()) {
            let piece = Access { offset: access.offset + at as u16, ..*access };
            self.write_piece(start, &buf[at..at + n], &piece)?;
        }
        Ok(())
    }

    /// One access within a page; in narrower ones when the device asks for that.
    fn read_piece(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Halt> {
        let width = match self.journal.replay(Kind::Read, linear, buf.len(), Some(buf))? {
            Replay::Answered => return Ok(()),
            Replay::Pieces(width) => width,
            Replay::New => match self.vmm.read(linear, buf, access) {
                Ok(()) => {
                    self.journal.record(Kind::Read, linear, buf);
                    return Ok(());
                }
                Err(Stop::TooWide(width)) => narrower(width, buf.len())?,
                Err(stop) => return Err(stop.into()),
            },
        };
        for (i, part) in buf.chunks_mut(width).enumerate() {
            let at = i * width;
            let piece = Access { offset: access.offset + at as u16, ..*access };
            self.read_piece(linear + at as u64, part, &piece)?;
        }
        Ok(())
    }

    fn write_piece(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Halt> {
        let width = match self.journal.replay(Kind::Write, linear, buf.len(), None)? {
            Replay::Answered => return Ok(()),
            Replay::Pieces(width) => width,
            Replay::New => match self.vmm.write(linear, buf, access) {
                Ok(()) => {
                    self.journal.record(Kind::Write, linear, buf);
                    return Ok(());
                }
                Err(Stop::TooWide(width)) => narrower(width, buf.len())?,
                Err(stop) => return Err(stop.into()),
            },
        };
        for (i, part) in buf.chunks(width).enumerate() {
            let at = i * width;
            let piece = Access { offset: access.offset + at as u16, ..*access };
            self.write_piece(linear + at as u64, part, &piece)?;
        }
        Ok(())
    }
}

/// Bytes of a state image that are accessed by one call.
const IMAGE_PART: usize = 64;

/// Does an access of `len` bytes leave its page?
#[inline]
pub(crate) fn crosses(linear: u64, len: usize) -> bool {
    (linear % PAGE) as usize + len > PAGE as usize
}

/// A device's width must make progress.
fn narrower(width: u8, len: usize) -> Result<usize, Halt> {
    let width = width as usize;
    if width == 0 || width >= len {
        return Err(Unsupported::Platform("an access of the width that its device names").into());
    }
    Ok(width)
}
