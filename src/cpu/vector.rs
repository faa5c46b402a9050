//! Vector and opmask registers and MXCSR.

/// The vector state. Bits beyond what the guest's XCR0 enables are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Vector {
    /// ZMM0 to ZMM31, bytes in memory order; XMM and YMM are their low parts.
    pub zmm: [Zmm; 32],
    /// K0 to K7.
    pub k: [u64; 8],
    /// MXCSR.
    pub mxcsr: u32,
}

/// One vector register, aligned for the host's moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Zmm(pub [u8; 64]);

/// MXCSR after reset.
pub const MXCSR_DEFAULT: u32 = 0x1f80;

/// Bits of MXCSR that may be set; others raise #GP(0). Bit 17 (MM) exists on AMD with misaligned SSE.
pub const MXCSR_MASK: u32 = 0xffff;

impl Default for Vector {
    fn default() -> Self {
        Vector { zmm: [Zmm([0; 64]); 32], k: [0; 8], mxcsr: MXCSR_DEFAULT }
    }
}
