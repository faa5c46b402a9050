//! EVEX and opmask moves between a register and `[rdi + offset]`. The assembler has neither.

/// Which way a move goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Load,
    Store,
}

/// One encoded move.
pub(crate) struct Encoded {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Encoded {
    /// Four bytes of EVEX, opcode, ModRM, disp32.
    const MAX: usize = 10;

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn new(prefix_and_opcode: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX];
        bytes[..prefix_and_opcode.len()].copy_from_slice(prefix_and_opcode);
        Self { bytes, len: prefix_and_opcode.len() }
    }

    /// ModRM and displacement of `[rdi + offset]`; a disp8 counts in units of `scale` bytes.
    fn at_rdi(mut self, reg: u8, offset: i32, scale: i32) -> Self {
        const RDI: u8 = 7;
        let modrm = |mode: u8| mode << 6 | (reg & 7) << 3 | RDI;
        let short = i8::try_from(offset / scale).ok().filter(|_| offset % scale == 0);
        match short {
            Some(0) => self.push(&[modrm(0b00)]),
            Some(disp8) => self.push(&[modrm(0b01), disp8 as u8]),
            None => {
                self.push(&[modrm(0b10)]);
                self.push(&offset.to_le_bytes());
            }
        }
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// VMOVDQU64 of `16 << log2_units` bytes (0: xmm, 1: ymm, 2: zmm), registers 0 to 31.
///
/// EVEX: `62`, then `R X B R' 0 mmm`, `W vvvv 1 pp` (1 1111 1 10: W1, no vvvv, F3), `z L'L b V' aaa`; R, X, B, R', vvvv and V' are inverted.
pub(crate) fn vmovdqu64(way: Way, log2_units: u8, reg: u8, offset: i32) -> Encoded {
    const MAP_0F: u8 = 0b001;
    const F3_W1_NO_VVVV: u8 = 0b1111_1110;
    const NO_V: u8 = 0b1000;
    let inverted = |bit: u8| !reg >> bit & 1;
    let p0 = inverted(3) << 7 | 0b11 << 5 | inverted(4) << 4 | MAP_0F;
    let p2 = log2_units << 5 | NO_V;
    let opcode = if way == Way::Load { 0x6f } else { 0x7f };
    Encoded::new(&[0x62, p0, F3_W1_NO_VVVV, p2, opcode]).at_rdi(reg, offset, 16 << log2_units)
}

/// KMOVQ, K0 to K7: VEX.L0.0F.W1, which only the long VEX can say.
pub(crate) fn kmovq(way: Way, reg: u8, offset: i32) -> Encoded {
    Encoded::new(&[0xc4, 0xe1, 0xf8, kmov_opcode(way)]).at_rdi(reg, offset, 1)
}

/// KMOVW, K0 to K7: VEX.L0.0F.W0.
pub(crate) fn kmovw(way: Way, reg: u8, offset: i32) -> Encoded {
    Encoded::new(&[0xc5, 0xf8, kmov_opcode(way)]).at_rdi(reg, offset, 1)
}

fn kmov_opcode(way: Way) -> u8 {
    if way == Way::Load { 0x90 } else { 0x91 }
}
