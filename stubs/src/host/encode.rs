//! Moves between a register and `[rdi + offset]`. The assembler has neither EVEX nor opmasks, and of what it has, it puts together
//! byte by byte what is known late, registers and offsets: moves are most of a stub.

/// Which way a move goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Load,
    Store,
}

/// One encoded move.
#[derive(Clone, Copy)]
pub(crate) struct Encoded {
    /// Prefixes, opcode and ModRM, from the lowest byte on.
    pub(crate) head: u64,
    pub(crate) head_len: usize,
    /// The displacement, likewise.
    pub(crate) displacement: u64,
    /// 0, 1 or 4 bytes.
    pub(crate) displacement_len: usize,
}

impl Encoded {
    /// Prefixes and opcode with ModRM and displacement of `[rdi + offset]`; a disp8 counts in units of `1 << scale` bytes.
    #[inline(always)]
    fn new<const N: usize>(prefix_and_opcode: [u8; N], reg: u8, offset: i32, scale: u32) -> Encoded {
        const { assert!(N < 8) };
        const RDI: u8 = 7;
        let units = offset >> scale;
        let (mode, displacement, displacement_len) = if units << scale != offset || i32::from(units as i8) != units {
            (0b10, offset, 4)
        } else if units == 0 {
            (0b00, 0, 0)
        } else {
            (0b01, units, 1)
        };
        let mut head = [0; 8];
        head[..N].copy_from_slice(&prefix_and_opcode);
        head[N] = mode << 6 | (reg & 7) << 3 | RDI;
        Encoded {
            head: u64::from_le_bytes(head),
            head_len: N + 1,
            displacement: u64::from(displacement as u32),
            displacement_len,
        }
    }
}

/// A bit of a register number, inverted.
#[inline(always)]
fn inverted(reg: u8, bit: u8) -> u8 {
    !reg >> bit & 1
}

/// VMOVDQU64 of `16 << log2_units` bytes (0: xmm, 1: ymm, 2: zmm), registers 0 to 31.
///
/// EVEX: `62`, then `R X B R' 0 mmm`, `W vvvv 1 pp` (1 1111 1 10: W1, no vvvv, F3), `z L'L b V' aaa`; R, X, B, R', vvvv and V' are inverted.
#[inline(always)]
pub(crate) fn vmovdqu64(way: Way, log2_units: u8, reg: u8, offset: i32) -> Encoded {
    const MAP_0F: u8 = 0b001;
    const F3_W1_NO_VVVV: u8 = 0b1111_1110;
    const NO_V: u8 = 0b1000;
    let p0 = inverted(reg, 3) << 7 | 0b11 << 5 | inverted(reg, 4) << 4 | MAP_0F;
    let p2 = log2_units << 5 | NO_V;
    let scale = 4 + u32::from(log2_units);
    Encoded::new([0x62, p0, F3_W1_NO_VVVV, p2, vector_opcode(way)], reg, offset, scale)
}

/// VMOVDQU of `16 << l` bytes, registers 0 to 15.
///
/// VEX: `C5`, then `R vvvv L pp` (no vvvv, F3); R and vvvv are inverted.
#[inline(always)]
pub(crate) fn vmovdqu(way: Way, l: u8, reg: u8, offset: i32) -> Encoded {
    let payload = inverted(reg, 3) << 7 | 0b1111 << 3 | l << 2 | 0b10;
    Encoded::new([0xc5, payload, vector_opcode(way)], reg, offset, 0)
}

#[inline(always)]
fn vector_opcode(way: Way) -> u8 {
    if way == Way::Load { 0x6f } else { 0x7f }
}

/// MOVUPS, registers 0 to 15.
#[inline(always)]
pub(crate) fn movups(way: Way, reg: u8, offset: i32) -> Encoded {
    let opcode = if way == Way::Load { 0x10 } else { 0x11 };
    if reg < 8 {
        return Encoded::new([0x0f, opcode], reg, offset, 0);
    }
    Encoded::new([rex(reg), 0x0f, opcode], reg, offset, 0)
}

/// MOV of 64 bits, registers 0 to 15.
#[inline(always)]
pub(crate) fn mov(way: Way, reg: u8, offset: i32) -> Encoded {
    const W: u8 = 8;
    let opcode = if way == Way::Load { 0x8b } else { 0x89 };
    Encoded::new([rex(reg) | W, opcode], reg, offset, 0)
}

/// REX with R.
#[inline(always)]
fn rex(reg: u8) -> u8 {
    0x40 | (reg & 8) >> 1
}

/// MOVQ, MM0 to MM7.
#[inline(always)]
pub(crate) fn movq(way: Way, reg: u8, offset: i32) -> Encoded {
    Encoded::new([0x0f, vector_opcode(way)], reg, offset, 0)
}

/// VMOVDQA between registers, 0 to 15, of 16 bytes.
#[inline(always)]
pub(crate) fn vmovdqa(to: u8, from: u8) -> Encoded {
    between(0x6f, to, 0, from)
}

/// VPXOR of a register, 0 to 15, with itself, of 16 bytes.
#[inline(always)]
pub(crate) fn vpxor(reg: u8) -> Encoded {
    between(0xef, reg, reg, reg)
}

/// An instruction of registers 0 to 15 in VEX.128.66.0F.
///
/// VEX: `C4`, then `R X B mmmmm`, `W vvvv L pp`; R, X, B and vvvv are inverted.
#[inline(always)]
fn between(opcode: u8, reg: u8, vvvv: u8, rm: u8) -> Encoded {
    const MAP_0F: u8 = 0b00001;
    let p0 = inverted(reg, 3) << 7 | 1 << 6 | inverted(rm, 3) << 5 | MAP_0F;
    let p1 = (!vvvv & 15) << 3 | 0b01;
    let modrm = 0b11 << 6 | (reg & 7) << 3 | rm & 7;
    let head = u64::from_le_bytes([0xc4, p0, p1, opcode, modrm, 0, 0, 0]);
    Encoded { head, head_len: 5, displacement: 0, displacement_len: 0 }
}

/// KMOVQ, K0 to K7: VEX.L0.0F.W1, which only the long VEX can say.
#[inline(always)]
pub(crate) fn kmovq(way: Way, reg: u8, offset: i32) -> Encoded {
    Encoded::new([0xc4, 0xe1, 0xf8, kmov_opcode(way)], reg, offset, 0)
}

/// KMOVW, K0 to K7: VEX.L0.0F.W0.
#[inline(always)]
pub(crate) fn kmovw(way: Way, reg: u8, offset: i32) -> Encoded {
    Encoded::new([0xc5, 0xf8, kmov_opcode(way)], reg, offset, 0)
}

fn kmov_opcode(way: Way) -> u8 {
    if way == Way::Load { 0x90 } else { 0x91 }
}
