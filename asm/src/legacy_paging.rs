//! The guest `legacy_paging`: a 32-bit system with page tables of two levels, and then of PAE, that checks what it sees.
//!
//! A flat image for [`LOAD`], to be entered at its first byte in protected mode without paging. It sends a line for each format that
//! has passed to the serial port, and ends with 0 at port 0xf4, or with the number of the check that failed.

use core::slice;

core::arch::global_asm!(include_str!("../legacy_paging/main.s"), options(raw));

/// Guest-physical address of the first byte.
pub const LOAD: u64 = 0x10_0000;

/// What it sends when all is well.
pub const PASSED: &str = "2-level paging\nPAE paging\n";

unsafe extern "C" {
    #[link_name = "encore86_legacy_paging_start"]
    static START: u8;
    #[link_name = "encore86_legacy_paging_end"]
    static END: u8;
}

/// The image.
pub fn image() -> &'static [u8] {
    let start = &raw const START;
    let end = &raw const END;
    // SAFETY: the two symbols bound one stretch of a read-only section, which lives as long as the program.
    unsafe { slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}
