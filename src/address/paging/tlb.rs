//! The translation lookaside buffer: direct-mapped by 4 KiB, the pieces of a larger page each for itself.

use super::page::{Page, Want};
use super::tables::{Format, Tables};
pub use crate::bus::Invpcid;
use crate::bus::{Access, AccessKind};
use crate::room::Room;

const SLOTS: usize = 256;

const OFFSET: u64 = 0xfff;

/// What an access is to a slot: the number of a bit in `Slot::allowed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u32);

// Who accesses, in steps of four for what is done: read, write, fetch, shadow stack.
const USER: u8 = 0;
pub(super) const SUPERVISOR: u8 = 4;
pub(super) const SUPERVISOR_AC: u8 = 8;
const IMPLICIT: u8 = 12;

impl Class {
    /// `supervisor` is [`SUPERVISOR`] or, while RFLAGS.AC is set, [`SUPERVISOR_AC`].
    #[inline(always)]
    pub(super) fn of(access: &Access, supervisor: u8) -> Class {
        let what = match access.kind {
            _ if access.shadow_stack => 3,
            AccessKind::Read => 0,
            AccessKind::ReadForWrite | AccessKind::Write | AccessKind::Rmw => 1,
            AccessKind::Fetch => 2,
        };
        let who = match (access.implicit, access.cpl == 3) {
            (true, _) => IMPLICIT,
            (false, true) => USER,
            (false, false) => supervisor,
        };
        Class(u32::from(who) + what)
    }

    /// Does the page let the class through without another walk?
    fn is_free(self, page: &Page, tables: &Tables) -> bool {
        let (who, what) = (self.0 as u8 & 12, self.0 & 3);
        let want = Want {
            // Shadow-stack reads and writes are one class, so the stricter of both.
            write: matches!(what, 1 | 3),
            fetch: what == 2,
            shadow_stack: what == 3,
            user: who == USER,
            ac: who == SUPERVISOR_AC,
        };
        // The first write of a clean page has to walk, to set D.
        let clean = want.write && !page.dirty;
        tables.format == Format::Off || !clean && page.denies(&want, &tables.rights).is_none()
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Linear page, with the PCID in its low 12 bits.
    tag: u64,
    page: Page,
    /// Classes of accesses that are known not to need a walk.
    allowed: u16,
    full: bool,
}

impl Slot {
    fn clear(&mut self) {
        (self.allowed, self.full) = (0, false);
    }

    /// Notes that accesses of the class need no walk, if that is so.
    fn allow(&mut self, class: Class, tables: &Tables) {
        if class.is_free(&self.page, tables) {
            self.allowed |= 1 << class.0;
        }
    }
}

const EMPTY: Slot = Slot {
    tag: 0,
    page: Page {
        physical: 0,
        shift: 12,
        writable: false,
        user: false,
        executable: false,
        global: false,
        accessed: false,
        dirty: false,
        shadow_stack: false,
        key: 0,
    },
    allowed: 0,
    full: false,
};

/// 256 translations.
#[derive(Clone, Debug)]
pub(super) struct Tlb {
    slots: Room<[Slot; SLOTS]>,
    /// Added to a linear page to make a tag.
    pcid: u64,
    /// There may be pieces of pages larger than 4 KiB.
    large: bool,
}

impl Tlb {
    pub(super) fn new() -> Tlb {
        Tlb { slots: Room::new([EMPTY; SLOTS]), pcid: 0, large: false }
    }

    #[inline(always)]
    fn index(linear: u64) -> usize {
        (linear >> 12) as usize % SLOTS
    }

    /// The physical address, if the page is here and takes the access.
    #[inline(always)]
    pub(super) fn hit(&self, linear: u64, class: Class) -> Option<u64> {
        let slot = &self.slots[Tlb::index(linear)];
        let hit = slot.tag == linear & !OFFSET | self.pcid && slot.allowed >> class.0 & 1 != 0;
        hit.then_some(slot.page.physical | linear & OFFSET)
    }

    /// The same for a class that the page has not been asked for yet, or not since registers that decide rights changed.
    pub(super) fn hit_anew(&mut self, linear: u64, class: Class, tables: &Tables) -> Option<u64> {
        let slot = &mut self.slots[Tlb::index(linear)];
        if slot.full && slot.tag == linear & !OFFSET | self.pcid {
            slot.allow(class, tables);
        }
        self.hit(linear, class)
    }

    /// Keeps what a walk for an access of `class` has found.
    pub(super) fn fill(&mut self, linear: u64, class: Class, page: &Page, tables: &Tables) {
        let mut slot = Slot { tag: linear & !OFFSET | self.pcid, page: *page, allowed: 0, full: true };
        slot.allow(class, tables);
        self.large |= page.shift > 12;
        self.slots[Tlb::index(linear)] = slot;
    }

    pub(super) fn flush(&mut self) {
        for slot in self.slots.iter_mut() {
            slot.clear();
        }
        self.large = false;
    }

    /// Drops what is not global: of one PCID, or of all.
    pub(super) fn flush_context(&mut self, pcid: Option<u16>) {
        for slot in self.slots.iter_mut() {
            if !slot.page.global && pcid.is_none_or(|pcid| slot.tag & OFFSET == u64::from(pcid)) {
                slot.clear();
            }
        }
    }

    /// Drops a linear address of one PCID, with all pieces of a larger page; `global` pages too, whatever their PCID.
    pub(super) fn drop_address(&mut self, linear: u64, pcid: u16, global: bool) {
        let index = Tlb::index(linear);
        let slots = if self.large { &mut self.slots[..] } else { &mut self.slots[index..=index] };
        for slot in slots {
            let same = (slot.tag ^ linear) >> slot.page.shift == 0;
            if same && if slot.page.global { global } else { slot.tag & OFFSET == u64::from(pcid) } {
                slot.clear();
            }
        }
    }

    /// Rights have to be worked out again.
    pub(super) fn forget_rights(&mut self) {
        for slot in self.slots.iter_mut() {
            slot.allowed = 0;
        }
    }

    /// Another PCID is in force; global pages belong to each.
    pub(super) fn switch(&mut self, pcid: u16) {
        if self.pcid == u64::from(pcid) {
            return;
        }
        self.pcid = u64::from(pcid);
        for slot in self.slots.iter_mut().filter(|slot| slot.page.global) {
            slot.tag = slot.tag & !OFFSET | u64::from(pcid);
        }
    }
}
