//! A translated page and who may do what in it.

use super::tables::{Rights, Tables};
use crate::bus::{Access, AccessKind};

/// Bits of a page fault's error code (SDM volume 3, "Page-Fault Exceptions").
pub mod error_code {
    #![allow(missing_docs)]
    pub const P: u32 = 1 << 0;
    pub const WR: u32 = 1 << 1;
    pub const US: u32 = 1 << 2;
    pub const RSVD: u32 = 1 << 3;
    pub const ID: u32 = 1 << 4;
    pub const PK: u32 = 1 << 5;
    pub const SS: u32 = 1 << 6;
}

/// Where a linear page is, and what all entries that lead to it say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Physical address of the first byte of the 4 KiB that were asked for, also within a larger page.
    pub physical: u64,
    /// The size of the page that maps them, as a power of two: 12, 21, 22 or 30.
    pub shift: u8,
    /// R/W in every entry.
    pub writable: bool,
    /// U/S in every entry.
    pub user: bool,
    /// XD in no entry.
    pub executable: bool,
    /// G, if CR4.PGE is set.
    pub global: bool,
    /// A in the entry that maps the page.
    pub accessed: bool,
    /// D in the entry that maps the page.
    pub dirty: bool,
    /// A shadow-stack page: R/W clear and D set in the entry that maps it, R/W set in those above.
    pub shadow_stack: bool,
    /// Protection key; 0 outside 4-level and 5-level paging.
    pub key: u8,
}

/// What an access is to a page walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) write: bool,
    pub(super) fetch: bool,
    pub(super) shadow_stack: bool,
    pub(super) user: bool,
    /// RFLAGS.AC lifts SMAP: an explicit supervisor access.
    pub(super) ac: bool,
}

impl Want {
    pub(super) fn new(access: &Access, ac: bool) -> Want {
        Want {
            write: access.writes(),
            fetch: access.kind == AccessKind::Fetch,
            shadow_stack: access.shadow_stack,
            user: access.cpl == 3 && !access.implicit,
            ac: ac && !access.implicit,
        }
    }

    /// The bits of the error code that tell of the access.
    pub(super) fn error_code(&self, tables: &Tables) -> u32 {
        let bit = |condition, bit| if condition { bit } else { 0 };
        bit(self.write, error_code::WR)
            | bit(self.user, error_code::US)
            | bit(self.fetch && tables.tells_fetches, error_code::ID)
            | bit(self.shadow_stack, error_code::SS)
    }
}

/// Why an access is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    /// [`error_code::PK`] or 0.
    pub(super) code: u32,
    pub(super) cause: &'static str,
}

impl Page {
    /// Does the page refuse the access? (SDM volume 3, "Access Rights")
    pub(super) fn denies(&self, want: &Want, rights: &Rights) -> Option<Denied> {
        let cause = self.forbids(want, rights);
        let key = self.key_denies(want, rights);
        if key {
            return Some(Denied {
                code: error_code::PK,
                cause: cause.unwrap_or("the page's protection key forbids it"),
            });
        }
        cause.map(|cause| Denied { code: 0, cause })
    }

    fn forbids(&self, want: &Want, rights: &Rights) -> Option<&'static str> {
        if want.user && !self.user {
            return Some("the page is the supervisor's");
        }
        if want.shadow_stack {
            return match (self.shadow_stack, self.user == want.user) {
                (false, _) => Some("the page is no shadow-stack page"),
                (true, false) => Some("the shadow-stack page is a user page"),
                (true, true) => None,
            };
        }
        if want.fetch {
            return match (self.executable, self.user && !want.user && rights.smep) {
                (false, _) => Some("the page is not executable"),
                (true, true) => Some("the supervisor fetches from a user page under SMEP"),
                (true, false) => None,
            };
        }
        if self.user && !want.user && rights.smap && !want.ac {
            return Some("the supervisor accesses a user page under SMAP");
        }
        let read_only = want.write && !self.writable && (want.user || rights.wp);
        read_only.then_some("the page is read-only")
    }

    /// User pages answer to PKRU, supervisor pages to PKRS, whoever accesses them.
    fn key_denies(&self, want: &Want, rights: &Rights) -> bool {
        if want.fetch {
            return false;
        }
        let keys = if self.user { rights.user_keys } else { rights.supervisor_keys };
        let key = keys >> (2 * self.key);
        let (access_disable, write_disable) = (key & 1 != 0, key & 2 != 0);
        access_disable || write_disable && want.write && (self.user && want.user || rights.wp)
    }
}
