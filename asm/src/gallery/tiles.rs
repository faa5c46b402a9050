//! The list of tiles.

/// One tile of the picture.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Tile {
    /// From 1, as the guest writes it to [`TILE`](super::TILE).
    pub number: u8,
    /// What is painted with. In capitals, the caption.
    pub name: &'static str,
    /// The CPUID features it needs, by their names in `/proc/cpuinfo`, beyond what every 64-bit processor has.
    pub needs: &'static [&'static str],
    /// The forms that reach device memory, in words.
    pub family: &'static str,
}

/// A rectangle of the picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Leftmost column.
    pub x: usize,
    /// Topmost row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Width and height of a tile in pixels.
pub const SIDE: usize = 112;

impl Tile {
    /// Where the tile is painted. Its caption stands 3 pixels below.
    pub fn rect(&self) -> Rect {
        let place = usize::from(self.number) - 1;
        Rect { x: place % 8 * 128 + 8, y: place / 8 * 128 + 4, width: SIDE, height: SIDE }
    }
}

const fn tile(number: u8, name: &'static str, needs: &'static [&'static str], family: &'static str) -> Tile {
    Tile { number, name, needs, family }
}

/// The tiles in the order of painting: from left to right, from top to bottom, 8 to a row.
#[rustfmt::skip] // one tile per line: the columns are the point
pub static TILES: [Tile; 48] = [
    tile( 1, "mov 8-bit",        &[], "MOV of bytes, with low, high (AH, BH) and REX registers and immediates; MOVZX"),
    tile( 2, "mov 16-bit",       &[], "MOV of words; MOVZX"),
    tile( 3, "mov 32-bit",       &[], "MOV of doublewords, from registers and immediates"),
    tile( 4, "mov 64-bit",       &[], "MOV of quadwords, also across pages; CMP with memory"),
    tile( 5, "mov moffs",        &[], "MOV between AL, AX, EAX, RAX and a 64-bit absolute address"),
    tile( 6, "rep stosd",        &[], "REP STOSD, forward and backward"),
    tile( 7, "rep movsb",        &[], "REP MOVSB from and to RAM, forward and backward"),
    tile( 8, "rep movsq",        &[], "REP MOVSQ from RAM and from device to device, forward and backward"),
    tile( 9, "movnti",           &[], "MOVNTI of doublewords and quadwords"),
    tile(10, "push/pop [mem]",   &[], "PUSH and POP with a memory operand of 2 and 8 bytes, also across pages"),
    tile(11, "push/pop stack",   &[], "PUSH, POP, CALL, RET with the stack in device memory"),
    tile(12, "xchg",             &[], "XCHG of 1, 2, 4, 8 bytes"),
    tile(13, "lock xadd",        &[], "LOCK XADD of 1, 2, 4, 8 bytes"),
    tile(14, "lock cmpxchg",     &[], "LOCK CMPXCHG of 1, 2, 4, 8 bytes, failing and succeeding"),
    tile(15, "lock cmpxchg8b",   &[], "LOCK CMPXCHG8B, failing and succeeding"),
    tile(16, "lock cmpxchg16b",  &["cx16"], "LOCK CMPXCHG16B, failing and succeeding"),
    tile(17, "add sub inc neg",  &[], "ADD, SUB, INC, DEC, NEG of memory, plain and locked"),
    tile(18, "and or xor not",   &[], "AND, OR, XOR, NOT of memory, plain and locked"),
    tile(19, "movdqu",           &[], "MOVDQU, unaligned and across pages"),
    tile(20, "movups",           &[], "MOVUPS"),
    tile(21, "movaps",           &[], "MOVAPS"),
    tile(22, "movntdq",          &[], "MOVNTDQ"),
    tile(23, "movntps",          &[], "MOVNTPS"),
    tile(24, "movd",             &[], "MOVD between XMM and memory"),
    tile(25, "movq",             &[], "MOVQ between XMM and memory, both encodings"),
    tile(26, "movhps/movlpd",    &[], "MOVHPS and MOVLPD, loads and stores"),
    tile(27, "pextrd",           &["sse4_1"], "PEXTRD to memory"),
    tile(28, "maskmovdqu",       &[], "MASKMOVDQU"),
    tile(29, "paddd/pxor",       &[], "PADDD and PXOR with a memory operand; MOVDQU"),
    tile(30, "fild/fistp",       &[], "FILD and FISTP of 2, 4, 8 bytes, also across pages"),
    tile(31, "fld/fstp",         &[], "FLD and FSTP of 4, 8, 10 bytes"),
    tile(32, "fxsave",           &[], "FXSAVE; MOV over what it leaves undetermined"),
    tile(33, "vmovdqu ymm",      &["avx"], "VMOVDQU of 32 bytes, also across pages"),
    tile(34, "vmovntdq ymm",     &["avx"], "VMOVNTDQ of 32 bytes"),
    tile(35, "vextractf128",     &["avx"], "VEXTRACTF128 to memory"),
    tile(36, "vpaddd ymm",       &["avx2"], "VPADDD and VPXOR with a memory operand of 32 bytes; VMOVDQU"),
    tile(37, "vmaskmovps",       &["avx"], "VMASKMOVPS of 32 bytes, loads and stores"),
    tile(38, "vpmaskmovd",       &["avx2"], "VPMASKMOVD of 32 bytes, loads and stores"),
    tile(39, "vpgatherdd",       &["avx2"], "VPGATHERDD of 8 doublewords under a mask; VMOVDQU"),
    tile(40, "vmovdqu64 zmm",    &["avx512f"], "VMOVDQU64 of 64 bytes"),
    tile(41, "vmovntdq zmm",     &["avx512f"], "VMOVNTDQ of 64 and 32 bytes"),
    tile(42, "vmovdqu32 k",      &["avx512f"], "VMOVDQU32 of 64 bytes under an opmask, merging and zeroing, also across pages"),
    tile(43, "vmovdqu8 k",       &["avx512bw"], "VMOVDQU8 of 64 bytes under an opmask"),
    tile(44, "vpaddd zmm 1to16", &["avx512f"], "VPADDD with a broadcast doubleword, under an opmask; VMOVDQU64"),
    tile(45, "vpcompressd",      &["avx512f"], "VPCOMPRESSD to memory"),
    tile(46, "vpexpandd",        &["avx512f"], "VPEXPANDD from memory, merging and zeroing; VMOVDQU32"),
    tile(47, "vpscatterdd",      &["avx512f"], "VPSCATTERDD of 16 doublewords under an opmask, also to one address"),
    tile(48, "vpmovdb",          &["avx512f"], "VPMOVDB to memory, plain and under an opmask"),
];
