//! What a caller and a stub say to each other.

use crate::StubError;

/// Names a stub. Made by the caller, from everything that the recipe depends on: the rewritten bytes and the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub u128);

/// The bytes of one instruction, rewritten for its place in a stub.
///
/// It may use RAX, RCX, RDX, R9, R10 and R11 as stand-ins for guest registers, and any vector, opmask
/// or MMX register. Its memory operand, if it has one, is `[rsi]`. It leaves every other register, DF and the
/// flow of control alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Body {
    /// The longest instruction.
    pub const MAX: usize = 15;

    /// Takes 1 to 15 bytes.
    ///
    /// # Errors
    /// [`StubError::BadRecipe`] for another length.
    pub fn new(bytes: &[u8]) -> Result<Self, StubError> {
        if bytes.is_empty() || bytes.len() > Self::MAX {
            return Err(StubError::BadRecipe("an instruction has 1 to 15 bytes"));
        }
        let mut body = Self { bytes: [0; Self::MAX], len: bytes.len() as u8 };
        body.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(body)
    }

    /// The first `len` bytes, 1 to 8.
    ///
    /// # Errors
    /// [`StubError::BadRecipe`] for another length.
    #[inline]
    pub fn short(bytes: [u8; 8], len: u8) -> Result<Self, StubError> {
        if len == 0 || len > 8 {
            return Err(StubError::BadRecipe("a short instruction has 1 to 8 bytes"));
        }
        let mut body = Self { bytes: [0; Self::MAX], len };
        body.bytes[..8].copy_from_slice(&bytes);
        Ok(body)
    }

    /// The bytes of the instruction as a word, from the lowest on, if there are eight at most.
    #[inline]
    pub fn as_word(&self) -> Option<u64> {
        let word = self.bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        word.filter(|_| self.len <= 8)
    }

    /// The bytes of the instruction.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// What a [`Move`] moves between a host register and the state.
///
/// A value that is loaded soon after it was stored forwards only if one store covers the load, so load in no
/// wider pieces than the value was stored in. `XmmZero` and `YmmZero` store 32 bytes and 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveKind {
    /// 8 bytes of RAX, RCX, RDX, R9, R10 or R11 (0, 1, 2, 9, 10, 11).
    Gpr64,
    /// 16 bytes of XMM0 to XMM31. A load in a stub without upper halves leaves bits 128 and up of the register alone.
    /// XMM16 and up need AVX512VL.
    Xmm,
    /// 32 bytes of YMM0 to YMM31. YMM16 and up need AVX512VL.
    Ymm,
    /// 64 bytes of ZMM0 to ZMM31; needs AVX512F.
    Zmm,
    /// Store only: 16 bytes of XMM0 to XMM15 and 48 bytes of zero after them; needs AVX. For a host without AVX-512.
    XmmZero,
    /// Store only: 32 bytes of YMM0 to YMM15 and 32 bytes of zero after them; needs AVX. For a host without AVX-512.
    YmmZero,
    /// 8 bytes of K0 to K7; needs AVX512BW.
    K64,
    /// 2 bytes of K0 to K7; needs AVX512F.
    K16,
    /// 8 bytes of MM0 to MM7. The stub ends with EMMS.
    Mm,
}

/// One move between a host register and the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// What is moved.
    pub kind: MoveKind,
    /// Number of the host register in its file.
    pub reg: u8,
    /// Bytes from the state pointer.
    pub offset: i32,
}

impl Move {
    const NONE: Self = Self { kind: MoveKind::Gpr64, reg: 0, offset: 0 };

    /// A move of `reg` at `offset` bytes from the state pointer.
    #[inline]
    pub const fn new(kind: MoveKind, reg: u8, offset: i32) -> Self {
        Self { kind, reg, offset }
    }
}

/// Up to `N` moves, in order.
#[derive(Clone, Copy, Debug)]
pub struct Moves<const N: usize> {
    list: [Move; N],
    len: u8,
}

impl<const N: usize> Moves<N> {
    /// No moves.
    pub const fn new() -> Self {
        Self { list: [Move::NONE; N], len: 0 }
    }

    /// Adds a move at the end.
    ///
    /// # Errors
    /// [`StubError::BadRecipe`] when all `N` are taken.
    #[inline]
    pub fn push(&mut self, m: Move) -> Result<(), StubError> {
        let slot = self.list.get_mut(usize::from(self.len)).ok_or(StubError::BadRecipe("too many moves"))?;
        *slot = m;
        self.len += 1;
        Ok(())
    }

    /// The moves, in order.
    #[inline]
    pub fn as_slice(&self) -> &[Move] {
        &self.list[..usize::from(self.len)]
    }
}

impl<const N: usize> Default for Moves<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The x87 registers that a stub hands to its instruction and takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X87 {
    /// How many of [`Scratch::st`] are loaded, so that `st[0]` is ST(0): 0 to 8.
    pub pushes: u8,
    /// How many values the instruction leaves on the stack, all of which are stored to `st[0]` and up: 0 to 8.
    /// Where that depends on the data (FPTAN, FSINCOS with C2 set), give the greater number;
    /// the entries past the real ones then hold a default NaN.
    pub pops: u8,
    /// How many more values it leaves behind those, which are dropped: 0 to 8.
    pub drops: u8,
    /// ST(0) is not in `st[0]` but in the state, at [`Scratch::top`], where it is stored too if `pops` is 1. It is the only one
    /// that is loaded, and no general-purpose register is moved.
    pub in_place: bool,
}

/// Everything a stub is made from. The stub does, in this order: flags in, loads, control words,
/// the instruction, flags and status out, the MXCSR test, stores, return.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The rewritten instruction.
    pub body: Body,
    /// Done in order before the instruction.
    pub loads: Moves<10>,
    /// Done in order after it, unless an unmasked MXCSR exception was raised.
    pub stores: Moves<6>,
    /// The instruction reads CF, PF, AF, ZF, SF or OF: they come from [`Scratch::rflags_in`].
    pub rflags_in: bool,
    /// The instruction writes those flags: they are returned in [`Exit::rflags`].
    pub rflags_out: bool,
    /// The instruction reads or writes MXCSR: it runs under [`Scratch::mxcsr_run`].
    pub mxcsr: bool,
    /// The instruction works on the x87 stack: it runs under [`Scratch::fcw`].
    pub x87: Option<X87>,
    /// The instruction works on all of the x87 state: it runs on [`Scratch::image`], control word included. Not together
    /// with `x87`.
    pub x87_image: bool,
    /// The instruction writes bits 128 and up of a vector register: VEX moves, and VZEROUPPER on every exit.
    /// Loads of `Ymm` and `Zmm` imply it.
    pub vex_dirty: bool,
}

impl Recipe {
    /// A recipe that runs `body` and moves nothing.
    pub const fn new(body: Body) -> Self {
        Self {
            body,
            loads: Moves::new(),
            stores: Moves::new(),
            rflags_in: false,
            rflags_out: false,
            mxcsr: false,
            x87: None,
            x87_image: false,
            vex_dirty: false,
        }
    }
}

/// Control words for a stub, and the place where it keeps the host's. Owned by the engine, one for all its stubs;
/// each field is read or written only by stubs whose recipe asks for it.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// In: MXCSR for the instruction. Exceptions masked (bits 7 to 12 set) and flags clear (bits 0 to 5).
    pub mxcsr_run: u32,
    /// In: the MXCSR flags (bits 0 to 5) that stop the stub before it stores. Other bits are ignored.
    pub mxcsr_fatal: u32,
    /// Out: MXCSR after the instruction.
    pub mxcsr_out: u32,
    /// The host's MXCSR while the instruction runs.
    pub mxcsr_host: u32,
    /// In: CF, PF, AF, ZF, SF and OF for the instruction, in RFLAGS layout. Other bits are ignored.
    pub rflags_in: u64,
    /// In: x87 control word for the instruction. Exceptions masked (bits 0 to 5 set).
    pub fcw: u16,
    /// Out: x87 status word after the instruction. TOP counts from the host's, so only its difference means something.
    pub fsw: u16,
    /// The host's x87 control word while the instruction runs.
    pub fcw_host: u16,
    /// In: the offset in the state of the ten bytes of ST(0), for a stub with [`X87::in_place`].
    pub top: u64,
    /// In and out: x87 registers from ST(0) on, ten bytes each.
    pub st: [[u8; 16]; 8],
    /// In and out: the x87 state as FRSTOR and FNSAVE have it in 64-bit mode, no unmasked exception pending when it goes in.
    pub image: [u8; 108],
}

impl Scratch {
    /// Power-on control words: everything masked, round to nearest, 64-bit precision.
    pub const fn new() -> Self {
        Self {
            mxcsr_run: 0x1f80,
            mxcsr_fatal: 0,
            mxcsr_out: 0,
            mxcsr_host: 0,
            rflags_in: 0,
            fcw: 0x037f,
            fsw: 0,
            fcw_host: 0,
            top: 0,
            st: [[0; 16]; 8],
            image: [0; 108],
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// What a stub returns, in one register. Parts that the recipe did not ask for are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Exit(pub u64);

impl Exit {
    /// CF, PF, AF, ZF, SF and OF in RFLAGS layout.
    pub const RFLAGS: u64 = 0x8d5;
    const FAULT: u64 = 1 << 63;

    /// CF, PF, AF, ZF, SF and OF after the instruction, in RFLAGS layout; other bits are zero.
    #[inline]
    pub const fn rflags(self) -> u64 {
        self.0 & Self::RFLAGS
    }

    /// The x87 status word after the instruction; see [`Scratch::fsw`].
    #[inline]
    pub const fn fsw(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The MXCSR exception flags (bits 0 to 5) that the instruction raised.
    #[inline]
    pub const fn mxcsr_flags(self) -> u32 {
        (self.0 >> 32) as u32 & 0x3f
    }

    /// A flag of [`Scratch::mxcsr_fatal`] was raised, and nothing was stored in the state. Flags, if asked for, are absent.
    /// A memory operand that the instruction writes has been written.
    #[inline]
    pub const fn is_fault(self) -> bool {
        self.0 & Self::FAULT != 0
    }
}
