//! The segments of the compatibility modes: entries of the process's LDT, four for each slot.

use core::ffi::c_ulong;
use std::io;

use crate::oracle::Mode;
use crate::slot::{CODE, DATA, PAGE, Slot};

/// A segment that guest code runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The selector, RPL 3.
    pub selector: u16,
    /// The linear address of offset 0.
    pub base: u32,
    /// The last valid offset.
    pub limit: u32,
    /// The D/B bit: 32-bit code, or a 32-bit stack pointer.
    pub big: bool,
    /// Executable (and readable), else data (and writable).
    pub code: bool,
}

/// All six, in the order of the segment register numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it all")]
pub struct Segments {
    pub es: Segment,
    pub cs: Segment,
    pub ss: Segment,
    pub ds: Segment,
    pub fs: Segment,
    pub gs: Segment,
}

/// Linux's flat 32-bit code segment and flat data segment for user mode.
const USER32_CS: u16 = 0x23;
const USER_DS: u16 = 0x2b;

impl Segments {
    /// What a slot's code finds in the segment registers; `None` in 64-bit mode, where they are the host's own.
    pub fn of(slot: &Slot, mode: Mode) -> Option<Segments> {
        let [code16, data16, small, far] = local(slot);
        let flat = Segment { selector: USER_DS, base: 0, limit: u32::MAX, big: true, code: false };
        match mode {
            Mode::Long64 => None,
            Mode::Compat32 => {
                let cs = Segment { selector: USER32_CS, code: true, ..flat };
                Some(Segments { es: flat, cs, ss: flat, ds: flat, fs: small, gs: far })
            }
            Mode::Compat16 => Some(Segments { es: data16, cs: code16, ss: data16, ds: data16, fs: small, gs: far }),
        }
    }
}

/// The entries of the LDT that belong to a slot. They depend on nothing but its place, so a stale one is a right one.
fn local(slot: &Slot) -> [Segment; 4] {
    let selector = |n: usize| ((slot.index() * 4 + n) << 3 | 0b111) as u16;
    let base = |offset: usize| slot.address(offset) as u32;
    let limit = 0xffff;
    [
        Segment { selector: selector(0), base: base(CODE), limit, big: false, code: true },
        Segment { selector: selector(1), base: base(DATA), limit, big: false, code: false },
        Segment { selector: selector(2), base: base(DATA + PAGE), limit: PAGE as u32 - 1, big: true, code: false },
        Segment { selector: selector(3), base: base(DATA + 2 * PAGE), limit: u32::MAX, big: true, code: false },
    ]
}

/// Writes the slot's entries of the LDT. Those of 16-bit segments, which not every kernel takes, only where the mode
/// needs them.
pub fn install(slot: &Slot, mode: Mode) -> io::Result<()> {
    /// `struct user_desc`.
    #[repr(C)]
    struct Descriptor {
        entry: u32,
        base: u32,
        limit: u32,
        flags: u32,
    }
    const WRITE: i32 = 0x11;
    for segment in local(slot) {
        if !segment.big && mode != Mode::Compat16 {
            continue;
        }
        let in_pages = segment.limit > 0xf_ffff;
        let contents = if segment.code { 2 } else { 0 };
        let descriptor = Descriptor {
            entry: u32::from(segment.selector >> 3),
            base: segment.base,
            limit: if in_pages { segment.limit >> 12 } else { segment.limit },
            flags: u32::from(segment.big) | contents << 1 | u32::from(in_pages) << 4 | 1 << 6,
        };
        // SAFETY: writes an entry of the LDT that nobody but this slot's owner uses.
        let result = unsafe {
            libc::syscall(libc::SYS_modify_ldt, WRITE, &raw const descriptor, size_of::<Descriptor>() as c_ulong)
        };
        // The kernel returns an int, of which `syscall` sees the low half only.
        if result as i32 != 0 {
            return Err(io::Error::from_raw_os_error((result as i32).wrapping_neg()));
        }
    }
    Ok(())
}
