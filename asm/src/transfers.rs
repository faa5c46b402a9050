//! The guest `transfers`: runs a list of [`Case`]s, each of which ends at a vector, and prints what that left behind.
//!
//! It is firmware of 64 KiB, which starts at the reset vector and needs no other: [`image`] builds it. What it prints goes to port
//! [`LOG`] as text, a line a case ([`Line`] reads one), and `e` at the end. Then it writes to port [`EXIT`], which ends qemu with its
//! exit device, and "Shutdown" to port 0x8900, which ends bochs.
//!
//! `transfers/main.s` says how a case runs. [`cases`] has the list, and [`world`] the descriptor tables, task states and code that
//! they find.

pub mod cases;
pub mod world;

use core::slice;

core::arch::global_asm!(include_str!("../transfers/main.s"), options(raw));

/// Port of the log.
pub const LOG: u16 = 0xe9;
/// Port of the end.
pub const EXIT: u16 = 0xf4;
/// Bytes of an image.
pub const SIZE: usize = 0x1_0000;
/// Where the image lies when the processor starts, below 1 MiB.
pub const ROM: u64 = 0xf_0000;
/// Where it copies itself to.
const BASE: u32 = 0x1_0000;
/// Offset of the header's words that say where stubs and trap logs are.
const PLACES: usize = 0x20;

/// The world that a case runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Real mode.
    Real,
    /// Protected mode with paging; virtual-8086 mode too.
    Protected,
    /// IA-32e mode.
    Long,
}

/// Bytes at a linear address.
#[derive(Clone, Debug)]
pub struct Patch {
    /// The address.
    pub at: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What runs, and with what.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows, in words.
    pub name: String,
    /// Its world.
    pub kind: Kind,
    /// CS:rIP.
    pub code: (u16, u64),
    /// SS:rSP.
    pub stack: (u16, u64),
    /// RFLAGS.
    pub flags: u32,
    /// DS, ES, FS, GS.
    pub data: [u16; 4],
    /// RAX, RCX, RDX, RBX.
    pub gpr: [u64; 4],
    /// Bits of CR0 beside PG, PE, ET and NE.
    pub cr0: u32,
    /// CR4, beside PAE of IA-32e mode.
    pub cr4: u32,
    /// DR0, DR1, DR7.
    pub debug: [u32; 3],
    /// What it has in memory beside its world.
    pub patches: Vec<Patch>,
}

unsafe extern "C" {
    #[link_name = "encore86_transfers_start"]
    static START: u8;
    #[link_name = "encore86_transfers_end"]
    static END: u8;
}

fn code() -> &'static [u8] {
    let start = &raw const START;
    let end = &raw const END;
    // SAFETY: the two symbols bound one stretch of a read-only section.
    unsafe { slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

/// Linear address of what the header's word `n` names.
fn place(n: usize) -> u32 {
    let word = code()[PLACES + 4 * n..].first_chunk().expect("the header is longer");
    BASE + u32::from_le_bytes(*word)
}

/// Linear address of a vector's stub.
pub fn stub(kind: Kind, vector: u8) -> u32 {
    let (table, size) = match kind {
        Kind::Protected => (0, 16),
        Kind::Long => (1, 16),
        Kind::Real => (2, 8),
    };
    place(table) + u32::from(vector) * size
}

/// Linear address of the handler that notes where it was called and returns, for protected and IA-32e mode.
pub fn trap_log(kind: Kind) -> u32 {
    place(if kind == Kind::Long { 4 } else { 3 })
}

fn put(image: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| image.extend(word.to_le_bytes()));
}

fn put_patches(image: &mut Vec<u8>, patches: &[Patch]) {
    for patch in patches {
        put(image, &[patch.at, patch.bytes.len() as u32]);
        image.extend(&patch.bytes);
        image.resize(image.len().next_multiple_of(4), 0);
    }
}

/// Bytes of a case in an image.
fn size(case: &Case) -> usize {
    96 + case.patches.iter().map(|patch| 8 + patch.bytes.len().next_multiple_of(4)).sum::<usize>()
}

/// The cases in pieces that fit an image each.
pub fn pieces(cases: &[Case]) -> Vec<&[Case]> {
    let room = RESET - COMMON;
    let (mut pieces, mut rest) = (Vec::new(), cases);
    while !rest.is_empty() {
        let mut left = room;
        let fits = |case: &&Case| {
            let enough = size(case) <= left;
            left = left.saturating_sub(size(case));
            enough
        };
        let (piece, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// Room for code and tables.
const COMMON: usize = 0x4000;
/// Offset of the reset vector.
const RESET: usize = 0xfff0;

/// An image that runs these cases.
///
/// # Panics
/// If they do not fit.
pub fn image(cases: &[Case]) -> Vec<u8> {
    let mut image = code().to_vec();
    image.resize(image.len().next_multiple_of(4), 0);
    let mut header = Vec::new();
    let address = |image: &[u8]| BASE + image.len() as u32;
    for kind in [Kind::Real, Kind::Protected, Kind::Long] {
        let patches = world::patches(kind);
        put(&mut header, &[patches.len() as u32, address(&image)]);
        put_patches(&mut image, &patches);
    }
    assert!(image.len() <= COMMON, "{:#x} bytes of code and tables", image.len());
    let first = address(&image);
    for case in cases {
        put(&mut image, &[case.kind as u32, case.patches.len() as u32]);
        image.extend(case.code.1.to_le_bytes());
        image.extend(case.stack.1.to_le_bytes());
        put(&mut image, &[case.flags]);
        let selectors = [case.code.0, case.stack.0];
        selectors.iter().chain(&case.data).for_each(|word| image.extend(word.to_le_bytes()));
        case.gpr.iter().for_each(|value| image.extend(value.to_le_bytes()));
        put(&mut image, &[case.cr0, case.cr4]);
        put(&mut image, &case.debug);
        put(&mut image, &[0]);
        put_patches(&mut image, &case.patches);
    }
    assert!(image.len() <= RESET, "{} bytes of cases do not fit", image.len());
    let mut start = Vec::new();
    put(&mut start, &[cases.len() as u32, first]);
    start.extend(header);
    image[..start.len()].copy_from_slice(&start);
    image.resize(SIZE, 0);
    // JMP F000:0100
    image[RESET..RESET + 5].copy_from_slice(&[0xea, 0x00, 0x01, 0x00, 0xf0]);
    image
}
