//! The form of the page tables, and the walk through them.

use super::page::{Page, Want, error_code};
use super::{Limits, Registers};
use crate::bus::{Access, AccessKind, Bus};
use crate::cpu::registers::{cr0, cr3, cr4, efer};
use crate::event::{Event, Stop};
use crate::host::{LockedOp, among_others};
use crate::profile::Vendor;

/// Bits of an entry.
mod entry {
    pub const P: u64 = 1 << 0;
    pub const RW: u64 = 1 << 1;
    pub const US: u64 = 1 << 2;
    pub const A: u64 = 1 << 5;
    pub const D: u64 = 1 << 6;
    pub const PS: u64 = 1 << 7;
    pub const G: u64 = 1 << 8;
    /// PAT where the entry maps a page of 4 KiB.
    pub const PAT: u64 = 1 << 7;
    /// PAT where it maps a larger one.
    pub const PAT_LARGE: u64 = 1 << 12;
    pub const XD: u64 = 1 << 63;
    /// Bits 51:12.
    pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    pub const KEY_SHIFT: u32 = 59;
}

/// How often a walk begins anew because an entry changed under it, before the step ends in a retry.
const RACES: u32 = 64;

/// Which paging mode is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// CR0.PG is clear.
    Off,
    /// 32-bit paging.
    Bits32,
    /// PAE paging.
    Pae,
    /// 4-level paging, or 5-level under CR4.LA57.
    Long,
}

/// May a walk change A and D bits?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// As a real access does.
    Mark,
    /// Only look.
    Leave,
}

/// Bits i to j of an entry, both included; none when j < i.
const fn bits(i: u32, j: u32) -> u64 {
    if j < i { 0 } else { u64::MAX >> (63 - (j - i)) << i }
}

/// Everything that registers and processor say of the tables and of who may use which page.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) format: Format,
    /// Physical address of the first table.
    root: u64,
    /// PDPTE0 to PDPTE3 in PAE paging.
    pdptes: [u64; 4],
    levels: u8,
    /// Bytes of an entry.
    width: u8,
    /// Which levels can map a page: bit n for level n.
    leaves: u8,
    /// Reserved bits by level, in an entry that leads to a table and in one that maps a page.
    reserved: [[u64; 2]; 6],
    pse36: bool,
    nxe: bool,
    pge: bool,
    pub(super) pcid: u16,
    pub(super) tells_fetches: bool,
    pub(super) rights: Rights,
}

/// What registers say of access rights, beside the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) wp: bool,
    pub(super) smep: bool,
    pub(super) smap: bool,
    /// PKRU if it is in force, else 0.
    pub(super) user_keys: u32,
    /// IA32_PKRS if it is in force, else 0.
    pub(super) supervisor_keys: u32,
}

impl Tables {
    pub(super) fn new(r: &Registers, limits: &Limits) -> Tables {
        let has = |register: u64, bit: u64| register & bit != 0;
        let format = match (has(r.cr0, cr0::PG), has(r.efer, efer::LMA), has(r.cr4, cr4::PAE)) {
            (false, ..) => Format::Off,
            (true, true, _) => Format::Long,
            (true, false, true) => Format::Pae,
            (true, false, false) => Format::Bits32,
        };
        let long = format == Format::Long;
        let nxe = has(r.efer, efer::NXE) && matches!(format, Format::Pae | Format::Long);
        let smep = has(r.cr4, cr4::SMEP);
        let mut tables = Tables {
            format,
            root: match format {
                Format::Off | Format::Bits32 => r.cr3 & 0xffff_f000,
                Format::Pae => r.cr3 & 0xffff_ffe0,
                Format::Long => r.cr3 & entry::ADDRESS & bits(0, limits.top()),
            },
            pdptes: [0; 4],
            levels: match format {
                Format::Off => 0,
                Format::Bits32 | Format::Pae => 2,
                Format::Long => 4 + u8::from(has(r.cr4, cr4::LA57)),
            },
            width: if format == Format::Bits32 { 4 } else { 8 },
            leaves: 1 << 1,
            reserved: [[0; 2]; 6],
            pse36: limits.pse36,
            nxe,
            pge: has(r.cr4, cr4::PGE),
            pcid: if long && has(r.cr4, cr4::PCIDE) { (r.cr3 & cr3::PCID) as u16 } else { 0 },
            tells_fetches: smep || has(r.efer, efer::NXE) && has(r.cr4, cr4::PAE),
            rights: Rights {
                wp: has(r.cr0, cr0::WP),
                smep,
                smap: has(r.cr4, cr4::SMAP),
                user_keys: if long && has(r.cr4, cr4::PKE) { r.pkru } else { 0 },
                supervisor_keys: if long && has(r.cr4, cr4::PKS) { r.pkrs } else { 0 },
            },
        };
        match format {
            Format::Off => {}
            Format::Bits32 => tables.lay_32(has(r.cr4, cr4::PSE), limits),
            Format::Pae | Format::Long => tables.lay_64(limits),
        }
        tables
    }

    /// SDM volume 3, the tables of "32-Bit Paging".
    fn lay_32(&mut self, pse: bool, limits: &Limits) {
        let pat = |bit| if limits.pat { 0 } else { bit };
        self.reserved[1][1] = pat(entry::PAT);
        if !pse {
            return;
        }
        self.leaves |= 1 << 2;
        // PSE-36 keeps bits 39:32 of the address in 20:13, as far as the processor has them.
        let high = if limits.pse36 { u32::from(limits.maxphyaddr.clamp(32, 40)) - 32 } else { 0 };
        self.reserved[2][1] = bits(13 + high, 21) | pat(entry::PAT_LARGE);
    }

    /// SDM volume 3, the tables of "PAE Paging" and "4-Level Paging and 5-Level Paging".
    fn lay_64(&mut self, limits: &Limits) {
        let pat = |bit| if limits.pat { 0 } else { bit };
        // Bits 62:52 are ignored in IA-32e paging, or a protection key, and reserved in PAE paging.
        let top = if self.format == Format::Long { 51 } else { 62 };
        let every = bits(limits.top() + 1, top) | if self.nxe { 0 } else { entry::XD };
        for level in &mut self.reserved {
            *level = [every; 2];
        }
        self.reserved[1][1] |= pat(entry::PAT);
        self.leaves |= 1 << 2;
        self.reserved[2][1] |= bits(13, 20) | pat(entry::PAT_LARGE);
        if self.format == Format::Pae {
            return;
        }
        // AMD reserves the place of G in entries of the upper levels that map nothing (APM volume 2, "Long-Mode
        // Page Translation").
        let no_g = if limits.vendor == Vendor::Amd { entry::G } else { 0 };
        self.reserved[3][0] |= no_g;
        if limits.gigabyte_pages {
            self.leaves |= 1 << 3;
            self.reserved[3][1] |= bits(13, 29) | pat(entry::PAT_LARGE);
        } else {
            self.reserved[3][0] |= entry::PS;
        }
        self.reserved[4][0] |= entry::PS | no_g;
        self.reserved[5][0] |= entry::PS | no_g;
    }

    /// Reads the four PDPTEs, or takes those given.
    ///
    /// # Errors
    /// #GP(0) when a present one has a reserved bit set; what the bus answers.
    pub(super) fn load_pdptes(
        &mut self,
        bus: &mut dyn Bus,
        given: Option<[u64; 4]>,
        limits: &Limits,
    ) -> Result<(), Stop> {
        let pdptes = match given {
            Some(pdptes) => pdptes,
            None => {
                let mut read = [0; 4];
                for (i, pdpte) in read.iter_mut().enumerate() {
                    *pdpte = self.read(bus, self.root + 8 * i as u64)?;
                }
                read
            }
        };
        let reserved = bits(1, 2) | bits(5, 8) | bits(limits.top() + 1, 63);
        if pdptes.iter().any(|pdpte| pdpte & entry::P != 0 && pdpte & reserved != 0) {
            return Err(Event::gp0("a page-directory-pointer-table entry has a reserved bit set").into());
        }
        self.pdptes = pdptes;
        Ok(())
    }

    /// Are linear addresses wider than 32 bits? Without paging they are as wide as they come.
    pub(super) fn is_long(&self) -> bool {
        matches!(self.format, Format::Off | Format::Long)
    }

    /// Keeps the PDPTEs of `old`, which has the same CR3.
    pub(super) fn keep_pdptes(&mut self, old: &Tables) {
        self.pdptes = old.pdptes;
    }

    /// The page of `linear`, if the access is allowed; or whatever page it is, without `want`.
    ///
    /// # Errors
    /// #PF, #GP(0) for an address that is not canonical, what the bus answers to an access to a table, and
    /// `Stop::Retry` when others change the tables all the time.
    pub(super) fn walk(&self, bus: &mut dyn Bus, linear: u64, want: Option<&Want>, touch: Touch) -> Result<Page, Stop> {
        if self.format == Format::Off {
            return Ok(identity(linear));
        }
        for _ in 0..RACES {
            if let Some(page) = self.walk_once(bus, linear, want, touch)? {
                return Ok(page);
            }
        }
        Err(Stop::Retry)
    }

    /// `None`: an entry changed between its read and its compare-exchange.
    fn walk_once(
        &self,
        bus: &mut dyn Bus,
        linear: u64,
        want: Option<&Want>,
        touch: Touch,
    ) -> Result<Option<Page>, Stop> {
        let fault = |code: u32, cause| {
            let access = want.map_or(0, |w| w.error_code(self));
            Stop::Fault(Event::pf(access | code, linear, cause))
        };
        let index_bits = if self.width == 4 { 10 } else { 9 };
        let mut table = self.root;
        match self.format {
            Format::Pae => {
                let pdpte = self.pdptes[(linear >> 30 & 3) as usize];
                if pdpte & entry::P == 0 {
                    return Err(fault(0, "the page-directory-pointer-table entry is not present"));
                }
                table = pdpte & entry::ADDRESS;
            }
            Format::Long => {
                let half = 1u64 << (12 + 9 * u32::from(self.levels) - 1);
                if linear.wrapping_add(half) >= 2 * half {
                    return Err(Event::gp0("the address is not canonical").into());
                }
            }
            Format::Off | Format::Bits32 => {}
        }

        let mut path = [(0, 0); 5];
        let (mut rights, mut disabled) = (entry::RW | entry::US, 0);
        let mut level = u32::from(self.levels);
        let page = loop {
            let shift = 12 + index_bits * (level - 1);
            let index = linear >> shift & bits(0, index_bits - 1);
            let at = table + index * u64::from(self.width);
            let value = self.read(bus, at)?;
            path[level as usize - 1] = (at, value);
            if value & entry::P == 0 {
                return Err(fault(0, "an entry of the page tables is not present"));
            }
            let maps = level == 1 || self.leaves >> level & 1 != 0 && value & entry::PS != 0;
            if value & self.reserved[level as usize][usize::from(maps)] != 0 {
                let code = error_code::P | error_code::RSVD;
                return Err(fault(code, "an entry of the page tables has a reserved bit set"));
            }
            let above = rights & entry::RW != 0;
            rights &= value;
            disabled |= value;
            if maps {
                break Page {
                    physical: self.frame(value, level) | linear & bits(12, shift - 1),
                    shift: shift as u8,
                    writable: rights & entry::RW != 0,
                    user: rights & entry::US != 0,
                    executable: !self.nxe || disabled & entry::XD == 0,
                    global: self.pge && value & entry::G != 0,
                    accessed: value & entry::A != 0,
                    dirty: value & entry::D != 0,
                    shadow_stack: above && value & (entry::RW | entry::D) == entry::D,
                    key: if self.format == Format::Long { (value >> entry::KEY_SHIFT & 15) as u8 } else { 0 },
                };
            }
            table = value & entry::ADDRESS;
            level -= 1;
        };

        let Some(want) = want else { return Ok(Some(page)) };
        if let Some(denied) = page.denies(want, &self.rights) {
            return Err(fault(error_code::P | denied.code, denied.cause));
        }
        if touch == Touch::Leave {
            return Ok(Some(page));
        }
        for (i, &(at, value)) in path.iter().enumerate().take(self.levels.into()).skip(level as usize - 1).rev() {
            let dirty = i + 1 == level as usize && want.write;
            let marked = value | entry::A | if dirty { entry::D } else { 0 };
            if marked != value && !self.exchange(bus, at, value, marked)? {
                return Ok(None);
            }
        }
        Ok(Some(Page { accessed: true, dirty: page.dirty || want.write, ..page }))
    }

    /// Physical address of the page that an entry of this level maps.
    fn frame(&self, value: u64, level: u32) -> u64 {
        match (self.format, level) {
            (Format::Bits32, 2) => {
                let high = if self.pse36 { value >> 13 & 0xff } else { 0 };
                value & 0xffc0_0000 | high << 32
            }
            (_, 1) => value & entry::ADDRESS,
            (_, 2) => value & entry::ADDRESS & !bits(0, 20),
            _ => value & entry::ADDRESS & !bits(0, 29),
        }
    }

    fn access(&self, kind: AccessKind, locked: bool) -> Access {
        Access { implicit: true, walk: true, locked, ..Access::new(kind, self.width.into(), 0) }
    }

    fn read(&self, bus: &mut dyn Bus, at: u64) -> Result<u64, Stop> {
        self.read_as(bus, at, &self.access(AccessKind::Read, false))
    }

    fn read_as(&self, bus: &mut dyn Bus, at: u64, access: &Access) -> Result<u64, Stop> {
        let mut value = [0; 8];
        let buf = &mut value[..self.width.into()];
        match bus.read(at, buf, access) {
            Err(Stop::TooWide(width)) => {
                for (i, part) in buf.chunks_mut(narrower(width, self.width)?).enumerate() {
                    let offset = i * usize::from(width);
                    bus.read(at + offset as u64, part, &Access { offset: offset as u16, ..*access })?;
                }
            }
            done => done?,
        }
        Ok(u64::from_le_bytes(value))
    }

    /// Replaces `old` by `new` in an entry, atomically where the bus can: false if it does not hold `old` any more.
    fn exchange(&self, bus: &mut dyn Bus, at: u64, old: u64, new: u64) -> Result<bool, Stop> {
        let width = usize::from(self.width);
        let access = self.access(AccessKind::Rmw, true);
        match bus.ram(at, width, &access) {
            Ok(Some(ram)) if ram.len() == width && ram.is_aligned() => {
                let done = among_others(|| ram.locked(LockedOp::Cmpxchg, new, old, false));
                return Ok(done.is_some_and(|done| done.old == old));
            }
            Ok(_) | Err(Stop::TooWide(_)) => {}
            Err(stop) => return Err(stop),
        }
        let mut held = [0; 8];
        let mut outcome = None;
        let mut modify = |was: &[u8], to: &mut [u8]| {
            if was.len() == width && to.len() == width {
                let (old, new) = (old.to_le_bytes(), new.to_le_bytes());
                let same = *was == old[..width];
                to.copy_from_slice(if same { &new[..width] } else { was });
                outcome = Some(same);
            }
        };
        match bus.rmw(at, &mut held[..width], &mut modify, &access) {
            Ok(true) => return outcome.ok_or(Stop::NotProvided("Bus::rmw that calls its modify function")),
            Ok(false) | Err(Stop::TooWide(_)) => {}
            Err(stop) => return Err(stop),
        }
        if self.read_as(bus, at, &self.access(AccessKind::ReadForWrite, true))? != old {
            return Ok(false);
        }
        let access = self.access(AccessKind::Write, true);
        let value = new.to_le_bytes();
        let buf = &value[..width];
        match bus.write(at, buf, &access) {
            Err(Stop::TooWide(width)) => {
                for (i, part) in buf.chunks(narrower(width, self.width)?).enumerate() {
                    let offset = i * usize::from(width);
                    bus.write(at + offset as u64, part, &Access { offset: offset as u16, ..access })?;
                }
            }
            done => done?,
        }
        Ok(true)
    }
}

/// A device's width must make progress.
fn narrower(width: u8, whole: u8) -> Result<usize, Stop> {
    if width == 0 || width >= whole {
        return Err(Stop::NotProvided("an access of the width that its device names"));
    }
    Ok(width.into())
}

/// The page of `linear` without paging.
fn identity(linear: u64) -> Page {
    Page {
        physical: linear & !0xfff,
        shift: 12,
        writable: true,
        user: true,
        executable: true,
        global: false,
        accessed: true,
        dirty: true,
        shadow_stack: false,
        key: 0,
    }
}
