//! The guest `gallery`: it paints one tile a family of instructions into a framebuffer, each tile only with that
//! family's accesses to device memory.
//!
//! The image is flat and position-dependent: copy [`image`] to [`LOAD`], set up 64-bit mode with CR3 = [`PAGE_TABLES`]
//! and enter at [`ENTRY`]. RSP may have any value; the guest sets it to [`STACK_TOP`]. It expects
//! CR0.PE, PG, MP, NE set and EM, TS clear; CR4.PAE and OSFXSR set, OSXSAVE as the CPUID it is shown; EFER.LME and LMA
//! set; RFLAGS = 2. It uses no privileged instruction, no port and no interrupt, and its page tables give it user access
//! to everything it needs, so it runs at any CPL. It writes into its own code (the tile of MOV with moffs).
//!
//! What it tells the monitor, by stores to device memory:
//!
//! | where | what |
//! |---|---|
//! | [`TILE`] | the number of the tile (from 1) before its first instruction, 0 after its last |
//! | [`HATCHED`] | the number of a tile whose features CPUID or XCR0 deny, before it is hatched |
//! | [`FAILED`] | the number of a tile that read back something wrong; then that number goes to [`EXIT`] |
//! | [`SERIAL`] | text, a byte a store |
//! | [`EXIT`] | the end, 4 bytes, which EAX holds as well: 0 if all went well |
//!
//! Everything from [`SCRATCH`] to the end of the page of registers must keep what is written to it.

mod tiles;

use core::slice;

pub use tiles::{Rect, SIDE, TILES, Tile};

core::arch::global_asm!(
    include_str!("../gallery/main.s"),
    include_str!("../gallery/pattern.s"),
    include_str!("../gallery/integer.s"),
    include_str!("../gallery/sse.s"),
    include_str!("../gallery/x87.s"),
    include_str!("../gallery/avx.s"),
    include_str!("../gallery/avx512.s"),
    include_str!("../gallery/font.s"),
    options(raw)
);

/// Guest-physical address for the first byte of [`image`].
pub const LOAD: u64 = 0x10_0000;
/// Guest-physical address of the level 4 page table, inside the image: the value for CR3.
pub const PAGE_TABLES: u64 = LOAD + 0x1000;
/// Guest-physical, and by the identity mapping linear, address of the first instruction.
pub const ENTRY: u64 = LOAD + 0x8000;
/// Where the guest's stack begins; it grows towards the image.
pub const STACK_TOP: u64 = 0x20_0000;
/// End of the RAM that the guest uses, of the [`RAM_SIZE`] bytes that its page tables map.
pub const RAM_USED_END: u64 = 0x30_0000;
/// Bytes of RAM from guest-physical 0 that the page tables map.
pub const RAM_SIZE: u64 = 16 << 20;

/// Guest-physical address of the framebuffer: [`HEIGHT`] rows of [`PITCH`] bytes, XRGB, little-endian, X = 0.
pub const FRAMEBUFFER: u64 = 0xe000_0000;
/// Bytes of the framebuffer. The page behind it must not be there.
pub const FRAMEBUFFER_SIZE: u64 = (PITCH * HEIGHT) as u64;
/// Pixels in a row of the picture.
pub const WIDTH: usize = 1024;
/// Rows of the picture.
pub const HEIGHT: usize = 768;
/// Bytes from one row to the next.
pub const PITCH: usize = 4096;

/// Guest-physical address of the page of device registers.
pub const REGISTERS: u64 = 0xd000_0000;
/// Register, 4 bytes: the tile being painted.
pub const TILE: u64 = REGISTERS;
/// Register, 4 bytes: the tile about to be hatched.
pub const HATCHED: u64 = REGISTERS + 4;
/// Register, 4 bytes: the tile that found something wrong.
pub const FAILED: u64 = REGISTERS + 8;
/// First of the registers that are plain storage, up to the end of the page.
pub const SCRATCH: u64 = REGISTERS + 0x400;
/// Guest-physical address of the serial port's alias, one byte.
pub const SERIAL: u64 = 0xd000_1000 + 0x3f8;
/// Guest-physical address of the exit port's alias, 4 bytes.
pub const EXIT: u64 = 0xd000_2000 + 0xf4;

unsafe extern "C" {
    #[link_name = "encore86_gallery_start"]
    static START: u8;
    #[link_name = "encore86_gallery_end"]
    static END: u8;
}

/// The image, header first, to be copied to [`LOAD`].
pub fn image() -> &'static [u8] {
    let start = &raw const START;
    let end = &raw const END;
    // SAFETY: the two symbols bound one stretch of a read-only section.
    unsafe { slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

/// The glyphs of the captions, for the characters from `' '` to `'_'`: 7 bytes a glyph, a byte a row from the top, its
/// leftmost of 5 pixels in bit 4. Data of the image, which the picture shares.
pub fn font() -> &'static [[u8; 7]; 64] {
    let at = word(48) - LOAD;
    let (glyphs, _) = image()[at as usize..].as_chunks();
    glyphs.first_chunk().expect("the image holds 64 glyphs behind the address in its header")
}

/// The 8 bytes of the header at `offset`.
fn word(offset: usize) -> u64 {
    u64::from_le_bytes(*image()[offset..].first_chunk().expect("the image is longer than its header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_agrees_with_the_constants() {
        assert_eq!(&image()[..8], b"ENC86GAL");
        assert_eq!(word(8), LOAD);
        assert_eq!(word(16), ENTRY);
        assert_eq!(word(24), PAGE_TABLES);
        assert_eq!(word(32), STACK_TOP);
        let [size, tiles] = [word(40) & 0xffff_ffff, word(40) >> 32];
        assert_eq!(size, image().len() as u64);
        assert_eq!(tiles, TILES.len() as u64);
        assert!(LOAD + size < STACK_TOP - 0x4000, "the image leaves no stack");
    }

    /// Walks the image's page tables: the linear address's entry at level 1, or at level 2 for a large page.
    fn walk(linear: u64) -> Option<(u64, u64)> {
        let mut table = PAGE_TABLES;
        for level in (1..=4).rev() {
            let shift = 12 + 9 * (level - 1);
            let index = (linear >> shift) & 511;
            let entry = word((table - LOAD + index * 8) as usize);
            if entry & 1 == 0 {
                return None;
            }
            assert_eq!(entry & 6, 6, "{linear:#x} is not writable by the user");
            if level == 1 || entry & 0x80 != 0 {
                let size = 1 << shift;
                return Some(((entry & !0xfff & !(size - 1)) | (linear & (size - 1)), entry & 0x10));
            }
            table = entry & !0xfff;
        }
        unreachable!("level 1 returns")
    }

    #[test]
    fn the_page_tables_map_the_memory_map_and_no_more() {
        for page in (0..1u64 << 32).step_by(0x1000) {
            let expected = match page {
                0..RAM_SIZE => Some((page, 0)),
                REGISTERS | 0xd000_1000 | 0xd000_2000 => Some((page, 0x10)),
                _ if (FRAMEBUFFER..FRAMEBUFFER + FRAMEBUFFER_SIZE).contains(&page) => Some((page, 0x10)),
                _ => None,
            };
            assert_eq!(walk(page), expected, "{page:#x}");
        }
        assert_eq!(walk(1 << 39), None);
    }

    #[test]
    fn the_tiles_fit_the_grid() {
        for (n, tile) in TILES.iter().enumerate() {
            assert_eq!(usize::from(tile.number), n + 1);
            assert!(tile.name.len() * 6 <= SIDE + 6, "{}", tile.name);
        }
    }
}
