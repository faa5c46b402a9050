//! What a row of the instruction table is made of.
//!
//! A row is one opcode line of the manual. Operands are written in the manuals' letters (SDM volume 2, appendix A.2):
//! a method of addressing and a width, wrapped in how the instruction uses it, for example `RW(Eb)`.

use super::feature::Feature;
use super::plan::Plan;

/// How an instruction uses an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Use {
    /// Neither read nor written (LEA's operand, a NOP's).
    None = 0,
    /// Read.
    Read = 1,
    /// Written.
    Write = 2,
    /// Read, then written.
    ReadWrite = 3,
    /// Written only under a condition.
    CondWrite = 6,
    /// Read, and written only under a condition.
    ReadCondWrite = 7,
}

impl Use {
    /// Is the operand's old value an input?
    pub const fn reads(self) -> bool {
        self as u8 & 1 != 0
    }

    /// May the operand be written?
    pub const fn writes(self) -> bool {
        self as u8 & 2 != 0
    }
}

/// Where an operand is found: the manual's first letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Loc {
    /// No operand.
    Nothing,
    /// ModRM.rm: general-purpose register or memory (`E`).
    GprOrMem,
    /// ModRM.rm: memory only (`M`).
    Mem,
    /// ModRM.rm: general-purpose register only (`R`).
    GprRm,
    /// ModRM.reg: general-purpose register (`G`).
    GprReg,
    /// VEX.vvvv: general-purpose register (`B`).
    GprVvvv,
    /// Low three bits of the opcode: general-purpose register (`Z`).
    GprOpcode,
    /// ModRM.reg: vector register (`V`).
    VecReg,
    /// ModRM.rm: vector register or memory (`W`).
    VecOrMem,
    /// ModRM.rm: vector register only (`U`).
    VecRm,
    /// VEX.vvvv: vector register (`H`).
    VecVvvv,
    /// Bits 7:4 of the immediate: vector register (`L`).
    VecIs4,
    /// Bits 3:0 of the immediate that names a vector register too (VPERMIL2).
    ImmIs4,
    /// ModRM.reg: opmask register.
    MaskReg,
    /// ModRM.rm: opmask register only.
    MaskRm,
    /// ModRM.rm: opmask register or memory.
    MaskOrMem,
    /// VEX.vvvv: opmask register.
    MaskVvvv,
    /// ModRM.reg: MMX register (`P`).
    MmxReg,
    /// ModRM.rm: MMX register or memory (`Q`).
    MmxOrMem,
    /// ModRM.rm: MMX register only (`N`).
    MmxRm,
    /// ModRM.rm: memory with a vector index.
    Vsib,
    /// ModRM.reg: segment register (`S`).
    Seg,
    /// ModRM.reg: control register (`C`).
    Control,
    /// ModRM.reg: debug register (`D`).
    Debug,
    /// Immediate, zero-extended (`I`).
    Imm,
    /// Immediate byte or doubleword, sign-extended to the operand size (`I`).
    ImmSigned,
    /// Relative branch target (`J`).
    Rel,
    /// Memory at an offset in the instruction (`O`).
    Moffs,
    /// Far pointer in the instruction (`A`).
    FarPointer,
    /// Memory at DS:rSI (`X`).
    StringSrc,
    /// Memory at ES:rDI (`Y`).
    StringDst,
    /// The general-purpose register that the row names (AL, rAX, CL, DX, …).
    FixedGpr,
    /// The segment register that the row names.
    FixedSeg,
    /// The constant 1 of the D0 and D1 shifts.
    One,
    /// The x87 stack register that the row names, ST(0) mostly.
    FixedSt,
    /// ModRM.rm: x87 stack register ST(i).
    StRm,
    /// The vector register that the row names (XMM0).
    FixedVec,
    /// ModRM.reg: AMX tile register.
    TileReg,
    /// ModRM.rm: AMX tile register only.
    TileRm,
    /// VEX.vvvv: AMX tile register.
    TileVvvv,
    /// ModRM.rm: memory only, and with a SIB byte.
    SibMem,
    /// ModRM.reg: MPX bounds register.
    BoundReg,
    /// ModRM.rm: MPX bounds register or memory.
    BoundOrMem,
    /// ModRM.reg: general-purpose register that holds an address in ES (MOVDIR64B, ENQCMD).
    AddressReg,
    /// The block scale register that the row names (ACE).
    FixedBsr,
    /// General-purpose registers together, one a bit of what the row has (PUSHA, PCMPESTRI).
    GprSet,
    /// XMM registers together, one a bit of what the row has (Key Locker).
    VecSet,
    /// EVEX.vvvv: the flags that CCMP and CTEST leave where their condition fails.
    DefaultFlags,
}

/// An operand's width: the manual's second letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    /// None, or no size of its own.
    Zero,
    /// 1 byte (`b`).
    B,
    /// 2 bytes (`w`).
    W,
    /// 4 bytes (`d`).
    D,
    /// 8 bytes (`q`).
    Q,
    /// 10 bytes (`t`).
    T,
    /// 16 bytes (`dq`).
    Dq,
    /// 32 bytes (`qq`).
    Qq,
    /// 64 bytes (`oq`).
    Oq,
    /// Operand size: 2, 4 or 8 bytes (`v`).
    V,
    /// 2 bytes under a 16-bit operand size, else 4 (`z`).
    Z,
    /// 4 bytes, or 8 under a 64-bit operand size (`y`).
    Y,
    /// The vector length (`x`).
    X,
    /// Half of the vector length.
    Xh,
    /// A quarter of the vector length.
    Xq,
    /// An eighth of the vector length.
    Xe,
    /// 8, 32 or 64 bytes by vector length: VMOVDDUP's source.
    Xdup,
    /// 6 bytes, or 10 in 64-bit mode: a descriptor-table register's image (`s`).
    Pseudo,
    /// A far pointer in memory: 2 bytes and the operand size (`p`).
    Far,
    /// The same where W makes the offset no wider than 4 bytes: AMD's processors.
    FarZ,
    /// Two operands of the operand size: BOUND's pair (`a`).
    Pair,
    /// 14 bytes under a 16-bit operand size, else 28: an x87 environment.
    Env,
    /// 94 bytes under a 16-bit operand size, else 108: an x87 state.
    X87State,
    /// 512 bytes: an FXSAVE image.
    Fx,
    /// The stack width: 2, 4 or 8 bytes.
    Stack,
    /// The address size.
    Addr,
    /// 8 bytes, or 4 outside 64-bit mode, whatever the prefixes: registers that move to and from others.
    Mode,
    /// 16 bytes, or 8 outside 64-bit mode: a pair of bounds.
    Bounds,
    /// 48 bytes: a handle of a 128-bit key (Key Locker).
    Kl,
}

impl Width {
    /// All of them.
    pub(crate) const ALL: [Width; 29] = {
        use Width::*;
        [
            Zero, B, W, D, Q, T, Dq, Qq, Oq, V, Z, Y, X, Xh, Xq, Xe, Xdup, Pseudo, Far, FarZ, Pair, Env, X87State, Fx,
            Stack, Addr, Mode, Bounds, Kl,
        ]
    };

    /// The width in bytes under an operand size and vector length, W and 64-bit mode.
    pub(crate) const fn bytes(self, osize: u16, vl: u16, wide: bool, long: bool) -> u16 {
        match self {
            Width::Zero => 0,
            Width::B => 1,
            Width::W => 2,
            Width::D => 4,
            Width::Q => 8,
            Width::T => 10,
            Width::Dq => 16,
            Width::Qq => 32,
            Width::Oq => 64,
            Width::Fx => 512,
            Width::V | Width::Stack => osize,
            Width::Z if osize == 2 => 2,
            Width::Z => 4,
            Width::Y if wide && long => 8,
            Width::Y => 4,
            Width::X => vl,
            Width::Xh => vl / 2,
            Width::Xq => vl / 4,
            Width::Xe => vl / 8,
            Width::Xdup if vl == 16 => 8,
            Width::Xdup => vl,
            Width::Pseudo if long => 10,
            Width::Pseudo => 6,
            Width::Far => 2 + osize,
            Width::FarZ if osize == 2 => 4,
            Width::FarZ => 6,
            Width::Pair => osize * 2,
            Width::Env if osize == 2 => 14,
            Width::Env => 28,
            Width::X87State if osize == 2 => 94,
            Width::X87State => 108,
            Width::Mode if long => 8,
            Width::Mode => 4,
            Width::Bounds if long => 16,
            Width::Bounds => 8,
            Width::Kl => 48,
            // Known where the operand is resolved.
            Width::Addr => 0,
        }
    }
}

/// All ones in the low `size` bytes, 0 to 8.
#[inline]
pub(crate) const fn low_bytes(size: usize) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (size * 8)) - 1 }
}

/// An operand as a row has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where it is.
    pub loc: Loc,
    /// How wide it is.
    pub width: Width,
    /// How it is used.
    pub uses: Use,
    /// The register, for the fixed ones.
    pub fixed: u8,
    /// Not shown in the instruction's text.
    pub implicit: bool,
}

impl Spec {
    pub(super) const NOTHING: Spec = Spec::new(Loc::Nothing, Width::Zero);

    pub(super) const fn new(loc: Loc, width: Width) -> Spec {
        Spec { loc, width, uses: Use::None, fixed: 0, implicit: false }
    }

    pub(super) const fn fixed(loc: Loc, width: Width, fixed: u8) -> Spec {
        Spec { loc, width, uses: Use::None, fixed, implicit: false }
    }

    pub(super) const fn with(self, uses: Use) -> Spec {
        Spec { uses, ..self }
    }

    /// The same operand, not shown in the text.
    pub(super) const fn hidden(self) -> Spec {
        Spec { implicit: true, ..self }
    }
}

/// Encoding space of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// No prefix of its own: legacy prefixes and REX.
    Legacy,
    /// VEX, two or three bytes.
    Vex,
    /// EVEX.
    Evex,
    /// XOP.
    Xop,
}

/// Opcode map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Map {
    /// One-byte opcodes.
    Primary,
    /// 0F.
    M0f,
    /// 0F 38.
    M0f38,
    /// 0F 3A.
    M0f3a,
    /// EVEX map 4 (APX).
    M4,
    /// EVEX map 5 (FP16), VEX map 5 (AMX).
    M5,
    /// EVEX map 6 (FP16).
    M6,
    /// VEX map 7, EVEX map 7.
    M7,
    /// XOP map 8.
    M8,
    /// XOP map 9.
    M9,
    /// XOP map 10.
    M10,
    /// 0F 0F: 3DNow!, whose opcode stands where an immediate would.
    M0f0f,
}

impl Map {
    /// Its number in VEX, EVEX and XOP; of maps that none of them has, one that is not used there.
    pub const fn number(self) -> u8 {
        match self {
            Map::Primary => 0,
            Map::M0f => 1,
            Map::M0f38 => 2,
            Map::M0f3a => 3,
            Map::M4 => 4,
            Map::M5 => 5,
            Map::M6 => 6,
            Map::M7 => 7,
            Map::M8 => 8,
            Map::M9 => 9,
            Map::M10 => 10,
            Map::M0f0f => 15,
        }
    }
}

/// What a row asks of the bits that select between rows of one opcode: `word & mask == value` on the
/// decoder's selector word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Select {
    /// Bits that matter.
    pub mask: u32,
    /// What they must be.
    pub value: u32,
}

/// Bits of the selector word, which the decoder computes once an instruction.
pub mod sel {
    /// A 66 prefix (or pp of VEX/EVEX says so).
    pub const P66: u32 = 1;
    /// Two bits: the last of F3 (1) and F2 (2).
    pub const REP_SHIFT: u32 = 1;
    /// Mask of the two bits.
    pub const REP: u32 = 3 << REP_SHIFT;
    /// REX.W, VEX.W, EVEX.W.
    pub const W: u32 = 1 << 3;
    /// Two bits: vector length, 0 = 128.
    pub const L_SHIFT: u32 = 4;
    /// Mask of the two bits.
    pub const L: u32 = 3 << L_SHIFT;
    /// ModRM.mod is 3.
    pub const REGISTER: u32 = 1 << 6;
    /// ModRM.reg without extension.
    pub const REG_SHIFT: u32 = 7;
    /// Mask of the three bits.
    pub const REG: u32 = 7 << REG_SHIFT;
    /// ModRM.rm without extension.
    pub const RM_SHIFT: u32 = 10;
    /// Mask of the three bits.
    pub const RM: u32 = 7 << RM_SHIFT;
    /// 64-bit mode.
    pub const MODE64: u32 = 1 << 13;
    /// Two bits: operand size before any default of the row, 0 = 16, 1 = 32, 2 = 64.
    pub const OSIZE_SHIFT: u32 = 14;
    /// Mask of the two bits.
    pub const OSIZE: u32 = 3 << OSIZE_SHIFT;
    /// Two bits: address size, 0 = 16, 1 = 32, 2 = 64.
    pub const ASIZE_SHIFT: u32 = 16;
    /// Mask of the two bits.
    pub const ASIZE: u32 = 3 << ASIZE_SHIFT;
    /// EVEX.b.
    pub const B: u32 = 1 << 18;
    /// Real or virtual-8086 mode.
    pub const REAL_V86: u32 = 1 << 19;
    /// Low bit of the opcode's register or REX.B set: NOP against XCHG.
    pub const OPREG_NONZERO: u32 = 1 << 20;
    /// The profile follows AMD.
    pub const AMD: u32 = 1 << 21;
    /// A REX2 prefix.
    pub const REX2: u32 = 1 << 22;
    /// EVEX.NF, bit 2 of EVEX.aaa.
    pub const NF: u32 = 1 << 23;
}

/// EVEX displacement scaling and memory width: the manual's tuple type (SDM volume 2, 2.7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tuple {
    /// No memory operand, or none under EVEX.
    None,
    /// Full vector, broadcast of an element possible.
    Full,
    /// Half of the vector, broadcast possible.
    Half,
    /// Full vector, no broadcast.
    FullMem,
    /// One element (scalar, gather, scatter, compress, expand).
    Scalar,
    /// Two elements.
    T2,
    /// Four elements.
    T4,
    /// Eight elements.
    T8,
    /// Half of the vector, no broadcast.
    HalfMem,
    /// A quarter of the vector.
    QuarterMem,
    /// An eighth of the vector.
    EighthMem,
    /// 16 bytes.
    M128,
    /// VMOVDDUP.
    Dup,
    /// A quarter of the vector, broadcast possible.
    Quarter,
}

/// Opmask of an EVEX row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Masking {
    /// EVEX.aaa must be 0.
    None,
    /// Merging only: `{k}`.
    Merge,
    /// Merging and zeroing: `{k}{z}`.
    MergeZero,
    /// The opmask is an operand and k0 is #UD (gathers, scatters).
    Required,
    /// The opmask chooses between sources (VBLENDM), `{k}{z}`: the destination is not read.
    Control,
}

/// Embedded rounding of an EVEX row with EVEX.b in register form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rounding {
    /// EVEX.b in register form is #UD.
    None,
    /// Static rounding and SAE: `{er}`.
    Er,
    /// Suppress all exceptions: `{sae}`.
    Sae,
}

/// Exception class (SDM volume 2, 2.4 and 2.8): what decides alignment and fault suppression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Not a SIMD instruction.
    None,
    /// Memory operand must be aligned to its size (class 1, E1).
    Aligned,
    /// Alignment by encoding: legacy SSE wants 16 bytes, VEX nothing (classes 2 and 4).
    AlignedLegacy,
    /// 16 bytes on Intel's processors, nothing on AMD's (SHA).
    AlignedIntel,
    /// No alignment (classes 3, 5, …); masked elements suppress faults under EVEX.
    Free,
    /// Like `Free`, without fault suppression under EVEX (E…NF).
    NoSuppress,
}

/// Flags as a set of bits in RFLAGS layout.
pub mod flag {
    /// Carry.
    pub const CF: u16 = 1 << 0;
    /// Parity.
    pub const PF: u16 = 1 << 2;
    /// Auxiliary carry.
    pub const AF: u16 = 1 << 4;
    /// Zero.
    pub const ZF: u16 = 1 << 6;
    /// Sign.
    pub const SF: u16 = 1 << 7;
    /// Direction.
    pub const DF: u16 = 1 << 10;
    /// Interrupt.
    pub const IF: u16 = 1 << 9;
    /// Overflow.
    pub const OF: u16 = 1 << 11;
    /// Nested task.
    pub const NT: u16 = 1 << 14;
    /// Alignment check, bit 18 of RFLAGS; here it takes a bit that RFLAGS leaves free.
    pub const AC: u16 = 1 << 15;
    /// The six arithmetic flags.
    pub const ARITH: u16 = CF | PF | AF | ZF | SF | OF;
}

/// A row's effect on the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagEffect {
    /// Read.
    pub read: u16,
    /// Written, undefined ones included.
    pub written: u16,
    /// Left undefined by the manual.
    pub undefined: u16,
    /// Always cleared.
    pub cleared: u16,
    /// Always set.
    pub set: u16,
}

impl FlagEffect {
    /// No flag is looked at or changed.
    pub const NONE: FlagEffect = FlagEffect { read: 0, written: 0, undefined: 0, cleared: 0, set: 0 };

    /// Flags read, written (those left undefined among them), and left undefined.
    pub const fn of(read: u16, written: u16, undefined: u16) -> FlagEffect {
        FlagEffect { read, written, undefined, cleared: 0, set: 0 }
    }

    /// The same, and these are always cleared.
    pub const fn clears(self, cleared: u16) -> FlagEffect {
        FlagEffect { cleared: self.cleared | cleared, written: self.written | cleared, ..self }
    }

    /// The same, and these are always set.
    pub const fn sets(self, set: u16) -> FlagEffect {
        FlagEffect { set: self.set | set, written: self.written | set, ..self }
    }
}

/// What must hold before an operand is touched, as obstacles that the `Cpu`'s mode word may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Gate {
    /// Nothing beyond the mode.
    Free,
    /// x87: #NM by CR0.EM and CR0.TS.
    X87,
    /// WAIT: #NM by CR0.MP and CR0.TS.
    Wait,
    /// MMX: #UD by CR0.EM, #NM by CR0.TS.
    Mmx,
    /// FXSAVE and FXRSTOR: #NM by CR0.EM and CR0.TS.
    Fx,
    /// Legacy SSE: #UD by CR0.EM and CR4.OSFXSR, #NM by CR0.TS.
    Sse,
    /// VEX vector instructions: #UD by CR4.OSXSAVE, XCR0 and real or virtual-8086 mode, #NM by CR0.TS.
    Avx,
    /// EVEX and opmask instructions: like AVX with XCR0's three AVX-512 bits.
    Avx512,
    /// XSAVE family: #UD by CR4.OSXSAVE, #NM by CR0.TS.
    Xsave,
    /// XGETBV: #UD by CR4.OSXSAVE.
    Xgetbv,
    /// #GP(0) unless CPL is 0.
    Cpl0,
    /// #UD unless CPL is 0 (MONITOR, CLAC, ENCLS).
    Cpl0Ud,
    /// XSETBV: #UD by CR4.OSXSAVE, #GP(0) unless CPL is 0.
    Xsetbv,
    /// XSAVES and XRSTORS: like the XSAVE family, and #GP(0) unless CPL is 0.
    Xsaves,
    /// #GP(0) by IOPL (CLI, STI).
    Iopl,
    /// Ports: IOPL and the TSS bitmap, looked at where the port is known.
    Port,
    /// #GP(0) above CPL 0 while CR4.UMIP is set.
    Umip,
    /// #GP(0) above CPL 0 while CR4.TSD is set.
    Tsd,
    /// #GP(0) above CPL 0 while CR4.PCE is clear.
    Pce,
    /// #UD while CR4.PKE is clear.
    Pke,
    /// #UD while CR4.FSGSBASE is clear.
    Fsgsbase,
    /// AMX: #UD by CR4.OSXSAVE and XCR0's two tile bits.
    Tile,
    /// AMX that touches tile data: and #NM by IA32_XFD.
    TileData,
    /// #GP(0) in virtual-8086 mode with IOPL below 3 (PUSHF, POPF, IRET, INT n).
    V86Iopl,
    /// VMX and SVM: by VMXON and EFER.SVME, then CPL 0.
    Virtual,
    /// CET: by CR4.CET and the enables of U_CET and S_CET.
    Cet,
    /// What moves between tiles and vectors: #UD by XCR0's tile and AVX-512 bits, #NM by CR0.TS and IA32_XFD.
    TileAvx512,
    /// EVEX rows of APX: #UD by XCR0's APX bit.
    Apx,
}

impl Gate {
    /// All of them.
    pub const COUNT: usize = Gate::Apx as usize + 1;
}

/// What executes an integer instruction that is a function of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IntOp {
    /// ADD.
    Add,
    /// OR.
    Or,
    /// ADC.
    Adc,
    /// SBB.
    Sbb,
    /// AND.
    And,
    /// SUB.
    Sub,
    /// XOR.
    Xor,
    /// CMP.
    Cmp,
    /// TEST.
    Test,
    /// MOV, MOVNTI.
    Mov,
    /// MOVZX.
    Movzx,
    /// INC.
    Inc,
    /// DEC.
    Dec,
    /// NOT.
    Not,
    /// NEG.
    Neg,
    /// MOVSX, MOVSXD.
    Movsx,
    /// LEA.
    Lea,
    /// XCHG.
    Xchg,
    /// XADD.
    Xadd,
    /// CMPXCHG.
    Cmpxchg,
    /// CMPXCHG8B and CMPXCHG16B.
    CmpxchgPair,
    /// ROL.
    Rol,
    /// ROR.
    Ror,
    /// RCL.
    Rcl,
    /// RCR.
    Rcr,
    /// SHL.
    Shl,
    /// SHR.
    Shr,
    /// SAR.
    Sar,
    /// SHLD.
    Shld,
    /// SHRD.
    Shrd,
    /// MUL.
    Mul,
    /// IMUL with one operand.
    Imul1,
    /// IMUL with two or three operands.
    Imul,
    /// DIV.
    Div,
    /// IDIV.
    Idiv,
    /// BT.
    Bt,
    /// BTS.
    Bts,
    /// BTR.
    Btr,
    /// BTC.
    Btc,
    /// BSF.
    Bsf,
    /// BSR.
    Bsr,
    /// TZCNT.
    Tzcnt,
    /// LZCNT.
    Lzcnt,
    /// POPCNT.
    Popcnt,
    /// BSWAP.
    Bswap,
    /// SETcc, condition in the opcode.
    Setcc,
    /// CMOVcc, condition in the opcode.
    Cmovcc,
    /// CBW, CWDE, CDQE.
    Cbw,
    /// CWD, CDQ, CQO.
    Cwd,
    /// LAHF.
    Lahf,
    /// SAHF.
    Sahf,
    /// CLC, STC, CMC, CLD, STD by opcode.
    FlagOp,
    /// Jcc, condition in the opcode.
    Jcc,
    /// JMP near, direct or indirect.
    Jmp,
    /// LOOP, LOOPE, LOOPNE by opcode.
    Loop,
    /// JCXZ, JECXZ, JRCXZ.
    Jcxz,
    /// NOP and hints.
    Nop,
    /// MOVBE.
    Movbe,
    /// ANDN.
    Andn,
    /// BEXTR.
    Bextr,
    /// BLSI.
    Blsi,
    /// BLSMSK.
    Blsmsk,
    /// BLSR.
    Blsr,
    /// BZHI.
    Bzhi,
    /// MULX.
    Mulx,
    /// PDEP.
    Pdep,
    /// PEXT.
    Pext,
    /// RORX.
    Rorx,
    /// SARX.
    Sarx,
    /// SHLX.
    Shlx,
    /// SHRX.
    Shrx,
    /// ADCX.
    Adcx,
    /// ADOX.
    Adox,
    /// CRC32.
    Crc32,
    /// SALC.
    Salc,
    /// CCMP.
    Ccmp,
    /// CTEST.
    Ctest,
    /// CFCMOV.
    Cfcmov,
    /// CMPccXADD.
    Cmpccxadd,
    /// DAA.
    Daa,
    /// DAS.
    Das,
    /// AAA.
    Aaa,
    /// AAS.
    Aas,
    /// AAM.
    Aam,
    /// AAD.
    Aad,
    /// ARPL.
    Arpl,
    /// BLCFILL.
    Blcfill,
    /// BLCI.
    Blci,
    /// BLCIC.
    Blcic,
    /// BLCMSK.
    Blcmsk,
    /// BLCS.
    Blcs,
    /// BLSFILL.
    Blsfill,
    /// BLSIC.
    Blsic,
    /// T1MSKC.
    T1mskc,
    /// TZMSK.
    Tzmsk,
    /// XBEGIN.
    Xbegin,
    /// XEND.
    Xend,
    /// XTEST.
    Xtest,
}

impl IntOp {
    /// Is it a function of two values and the flags, with one result and the row's flags?
    #[inline]
    pub(crate) const fn is_plain(self) -> bool {
        self as u8 <= IntOp::Neg as u8
    }
}

/// What executes an integer instruction whose work is a sequence of accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SeqOp {
    /// PUSH of a register, immediate or memory operand.
    Push,
    /// POP.
    Pop,
    /// PUSHF.
    Pushf,
    /// POPF.
    Popf,
    /// CALL near.
    Call,
    /// RET near.
    Ret,
    /// LEAVE.
    Leave,
    /// XLAT.
    Xlat,
    /// PUSHA.
    Pusha,
    /// POPA.
    Popa,
    /// ENTER.
    Enter,
    /// PUSH2.
    Push2,
    /// POP2.
    Pop2,
    /// BOUND.
    Bound,
}

/// String instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StrOp {
    /// MOVS.
    Movs,
    /// STOS.
    Stos,
    /// LODS.
    Lods,
    /// CMPS.
    Cmps,
    /// SCAS.
    Scas,
    /// INS.
    Ins,
    /// OUTS.
    Outs,
}

/// How a replayed instruction meets memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// One operand, whole, or its active elements under an opmask.
    Plain,
    /// Active elements are stored next to each other.
    Compress,
    /// Elements next to each other are loaded into the active ones.
    Expand,
    /// The sign bit of each element of VEX.vvvv says which are accessed (VMASKMOV, VPMASKMOV).
    SignMask,
    /// The sign bit of each byte of ModRM.rm says which bytes go to DS:rDI (MASKMOVDQU, MASKMOVQ).
    ByteMask,
    /// Like `Plain`, with an MMX register.
    Mmx,
    /// Elements at addresses in a vector are loaded.
    Gather,
    /// Elements are stored to addresses in a vector.
    Scatter,
    /// Addresses in a vector will be gathered from or scattered to.
    Prefetch,
}

/// x87 work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum X87Op {
    /// FLD of 4 or 8 bytes from memory.
    LoadReal,
    /// FST of 4 or 8 bytes to memory: store ST(0), keep it.
    StoreReal,
    /// FSTP of 4 or 8 bytes to memory: store ST(0), pop.
    StoreRealPop,
    /// FILD, FBLD, and FLD of 10 bytes.
    Load,
    /// FIST: store ST(0), keep it.
    Store,
    /// FISTP, FISTTP, FBSTP, and FSTP of 10 bytes: store ST(0), pop.
    StorePop,
    /// FLD ST(i).
    LoadSt,
    /// FST ST(i), FSTP ST(i).
    StoreSt,
    /// FLD1, FLDZ, FLDPI and the other constants.
    Const,
    /// FNINIT.
    Init,
    /// FLDCW.
    LoadControl,
    /// FNSTCW.
    StoreControl,
    /// FNSTSW.
    StoreStatus,
    /// FNCLEX.
    Clear,
    /// WAIT.
    Wait,
    /// EMMS.
    Empty,
    /// FNENI, FNDISI and FNSETPM: nothing.
    Ignore,
    /// FLDENV.
    LoadEnvironment,
    /// FNSTENV: stores the environment and masks all exceptions.
    StoreEnvironment,
    /// FRSTOR.
    LoadState,
    /// FNSAVE: stores the state, then is FNINIT.
    StoreState,
    /// FNOP.
    Nothing,
    /// FADD and its kin: ST(0) and memory or ST(i) to ST(0) or ST(i).
    Arithmetic,
    /// The same with a pop.
    ArithmeticPop,
    /// FCOM and its kin, to the status word or the flags.
    Compare,
    /// The same with a pop.
    ComparePop,
    /// The same with two.
    ComparePopPop,
    /// FCMOVcc.
    Move,
    /// FXCH.
    Exchange,
    /// FCHS.
    Negate,
    /// FABS.
    Absolute,
    /// FINCSTP.
    Increment,
    /// FDECSTP.
    Decrement,
    /// FFREE.
    Free,
    /// FFREEP: FFREE, then a pop.
    FreePop,
    /// Run on the whole state: transcendental functions, and what takes longer than moving the state.
    Whole,
}

impl X87Op {
    /// Is it a control instruction, which leaves FOP, FIP and FDP alone or sets them itself?
    pub const fn is_control(self) -> bool {
        use X87Op::*;
        matches!(
            self,
            Init | LoadControl
                | StoreControl
                | StoreStatus
                | Clear
                | Wait
                | Empty
                | Ignore
                | LoadEnvironment
                | StoreEnvironment
                | LoadState
                | StoreState
        )
    }

    /// Is the x87 state left as it is?
    pub const fn keeps_state(self) -> bool {
        matches!(self, X87Op::Wait | X87Op::StoreControl | X87Op::StoreStatus | X87Op::Ignore)
    }

    /// Registers that are popped.
    pub(crate) const fn pops(self) -> u8 {
        use X87Op::*;
        match self {
            StoreRealPop | StorePop | ArithmeticPop | ComparePop | FreePop => 1,
            ComparePopPop => 2,
            _ => 0,
        }
    }

    /// May an unmasked exception keep a number from being stored to memory?
    pub(crate) const fn stores_number(self) -> bool {
        matches!(self, X87Op::StoreReal | X87Op::StoreRealPop | X87Op::Store | X87Op::StorePop)
    }
}

/// System work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SysOp {
    /// CPUID.
    Cpuid,
    /// XGETBV.
    Xgetbv,
    /// HLT.
    Hlt,
    /// IN.
    In,
    /// OUT.
    Out,
    /// CLI.
    Cli,
    /// STI.
    Sti,
    /// INT3, INT n, INTO.
    Int,
    /// UD0, UD1, UD2.
    Ud,
    /// RDTSC.
    Rdtsc,
    /// FXSAVE.
    Fxsave,
    /// FXRSTOR.
    Fxrstor,
    /// XSAVE and its kin.
    Xsave,
    /// XRSTOR and XRSTORS.
    Xrstor,
    /// LDTILECFG.
    LoadTileConfig,
    /// STTILECFG.
    StoreTileConfig,
    /// TILEZERO.
    TileZero,
    /// TILERELEASE.
    TileRelease,
    /// TILELOADD and its kin.
    TileLoad,
    /// TILESTORED.
    TileStore,
    /// TDPBUUD.
    TileUnsigned,
    /// TDPBUSD.
    TileUnsignedSigned,
    /// TDPBSUD.
    TileSignedUnsigned,
    /// TDPBSSD.
    TileSigned,
    /// TDPBF16PS.
    TileBf16,
    /// TDPFP16PS.
    TileFp16,
    /// TCMMRLFP16PS.
    TileReal,
    /// TCMMIMFP16PS.
    TileImaginary,
    /// LDMXCSR.
    Ldmxcsr,
    /// STMXCSR.
    Stmxcsr,
    /// VZEROALL, VZEROUPPER.
    Vzero,
    /// LFENCE, MFENCE, SFENCE.
    Fence,
    /// Prefetches.
    Prefetch,
    /// CLFLUSH, CLFLUSHOPT, CLWB.
    Flush,
    /// CLZERO.
    Clzero,
    /// MOVDIR64B.
    CopyLine,
    /// ENQCMD, ENQCMDS.
    Enqueue,
    /// RDRAND, RDSEED.
    Random,
    /// RDTSCP.
    Rdtscp,
    /// RDPID.
    Rdpid,
    /// RDPRU.
    Rdpru,
    /// MCOMMIT.
    Mcommit,
    /// MONITOR, MONITORX, UMONITOR.
    Monitor,
    /// MWAIT.
    Mwait,
    /// MWAITX.
    Mwaitx,
    /// UMWAIT, TPAUSE.
    Wait,
    /// On shadow stacks.
    Shadow(ShadowOp),
    /// RDMSRLIST.
    ReadMsrList,
    /// WRMSRLIST.
    WriteMsrList,
    /// RDMSR of an immediate.
    ReadMsr,
    /// WRMSRNS of an immediate.
    WriteMsr,
    /// URDMSR.
    UserReadMsr,
    /// UWRMSR.
    UserWriteMsr,
    /// CLUI.
    Clui,
    /// STUI.
    Stui,
    /// TESTUI.
    Testui,
    /// UIRET.
    Uiret,
    /// SENDUIPI.
    Senduipi,
    /// RDFSBASE, RDGSBASE.
    ReadBase,
    /// WRFSBASE, WRGSBASE.
    WriteBase,
    /// RDSSPD, RDSSPQ.
    ReadShadowStack,
    /// MPX: nothing, as long as XCR0 does not enable it.
    Bounds,
}

/// Privileged work on registers, the TLB and caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PrivOp {
    /// MOV from a control register.
    ReadControl,
    /// MOV to one.
    WriteControl,
    /// MOV from a debug register.
    ReadDebug,
    /// MOV to one.
    WriteDebug,
    /// CLTS.
    Clts,
    /// SMSW.
    Smsw,
    /// LMSW.
    Lmsw,
    /// SGDT, SIDT.
    StoreTable,
    /// LGDT, LIDT.
    LoadTable,
    /// SLDT, STR.
    StoreSelector,
    /// RDMSR.
    Rdmsr,
    /// WRMSR, WRMSRNS.
    Wrmsr,
    /// HRESET.
    Hreset,
    /// RDPMC.
    Rdpmc,
    /// SWAPGS.
    Swapgs,
    /// INVLPG.
    Invlpg,
    /// INVPCID.
    Invpcid,
    /// INVD.
    Invd,
    /// WBINVD.
    Wbinvd,
    /// WBNOINVD.
    Wbnoinvd,
    /// CLAC.
    Clac,
    /// STAC.
    Stac,
    /// XSETBV.
    Xsetbv,
    /// RDPKRU.
    Rdpkru,
    /// WRPKRU.
    Wrpkru,
}

/// What an instruction touches that its operands do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Implied {
    /// Nothing.
    None,
    /// PUSH: an entry of the stack.
    Push,
    /// PUSH2: two entries of the stack.
    PushPair,
    /// POP2.
    PopPair,
    /// PUSHF.
    PushFlags,
    /// POPF.
    PopFlags,
    /// PUSHA.
    PushAll,
    /// POPA.
    PopAll,
    /// POP.
    Pop,
    /// ENTER: the stack, and frames below rBP.
    Enter,
    /// LEAVE.
    Leave,
    /// CALL, near and far: the stacks, and descriptors.
    Call,
    /// JMP: far, a descriptor.
    Jump,
    /// RET near.
    Return,
    /// RET far.
    FarReturn,
    /// IRET.
    InterruptReturn,
    /// UIRET.
    UserReturn,
    /// XLAT: a byte at rBX and AL.
    Translate,
    /// BOUND: two bounds, each by itself.
    Pair,
    /// IN: a port, and the TSS's bitmap.
    In,
    /// OUT.
    Out,
    /// MOV to a segment register: a descriptor.
    LoadSegment,
    /// LKGS: a descriptor.
    LoadGs,
    /// LDS and its like: a descriptor.
    LoadFar,
    /// LAR and LSL: the descriptor of the second operand.
    LookUp,
    /// VERR and VERW: the descriptor of the operand.
    Verify,
    /// LLDT: a descriptor of the GDT.
    LoadTable,
    /// LTR: a descriptor, whose busy bit is set.
    LoadTask,
    /// MOVDIR64B: 64 bytes in ES.
    CopyLine,
    /// ENQCMD: 64 bytes in ES, and PASID.
    Command,
    /// ENQCMDS: 64 bytes in ES.
    SystemCommand,
    /// CLZERO: the line at rAX.
    ClearLine,
    /// MONITOR: an address in rAX.
    Monitor,
    /// UMONITOR: an address in the operand.
    UserMonitor,
    /// An address, and none of its bytes.
    Hint,
    /// FXSAVE's image.
    FxSave,
    /// FXRSTOR's image.
    FxRestore,
    /// XSAVE's area.
    Save,
    /// XSAVEOPT's area.
    SaveChanged,
    /// XSAVEC's area.
    SaveCompacted,
    /// XSAVES's area.
    SaveSupervisor,
    /// XRSTOR's area.
    Restore,
    /// XRSTORS's area.
    RestoreSupervisor,
    /// RDPKRU.
    ReadKeys,
    /// WRPKRU.
    WriteKeys,
    /// INCSSP: entries of the shadow stack.
    SkipShadow,
    /// RDSSP: SSP.
    ReadShadow,
    /// WRSS and WRUSS: whether shadow stacks are on.
    WriteShadow,
    /// RSTORSSP and CLRSSBSY: SSP.
    ShadowToken,
    /// SETSSBSY and SAVEPREVSSP: SSP, and tokens where it or an MSR says.
    OtherToken,
    /// ENDBR: what IBT waits for.
    BranchTarget,
    /// RDMSRLIST: lists at RSI and RDI.
    ReadMsrs,
    /// WRMSRLIST.
    WriteMsrs,
    /// URDMSR, UWRMSR: the bitmap that a model-specific register points at.
    UserMsr,
    /// SYSCALL.
    SystemCall,
    /// SYSENTER.
    SystemEnter,
    /// SYSRET.
    SystemReturn,
    /// SYSEXIT.
    SystemExit,
    /// INT n and its like: what an event delivers.
    Interrupt,
    /// ERETS and ERETU.
    EventReturn,
    /// RSM.
    Resume,
    /// SENDUIPI.
    SendInterrupt,
    /// CLUI and STUI: UIF.
    InterruptFlag,
    /// TESTUI.
    TestInterruptFlag,
    /// BNDLDX and BNDSTX: a table in memory says where.
    BoundsTable,
    /// MPX's configuration.
    Bounds,
    /// Rows of a tile: its configuration says how many, of what length.
    TileMemory,
    /// LDTILECFG: all of AMX's state.
    LoadTiles,
    /// STTILECFG.
    StoreTiles,
    /// TILERELEASE.
    ReleaseTiles,
    /// An operand, and a control structure of the processor.
    Controlled,
    /// An operand, and LWP's ring buffer.
    Profiled,
    /// LWP's control block.
    Profiling,
    /// Memory at places that control structures or words in memory name.
    Elsewhere,
    /// An operand whose faults a condition suppresses.
    Suppressed,
    /// FBSTP: a number, which an unmasked exception keeps from being stored.
    Decimal,
}

/// Segments and far transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FarOp {
    /// MOV to a segment register.
    Load,
    /// POP of a segment register.
    Pop,
    /// LKGS.
    LoadKernelGs,
    /// LDS, LES, LFS, LGS, LSS.
    LoadPointer,
    /// LLDT.
    LoadTable,
    /// LTR.
    LoadTask,
    /// LAR.
    Lar,
    /// LSL.
    Lsl,
    /// VERR.
    VerifyRead,
    /// VERW.
    VerifyWrite,
    /// Far JMP.
    Jump,
    /// Far CALL.
    Call,
    /// Far RET.
    Return,
    /// IRET.
    Iret,
    /// SYSCALL.
    Syscall,
    /// SYSRET.
    Sysret,
    /// SYSENTER.
    Sysenter,
    /// SYSEXIT.
    Sysexit,
    /// ERETS.
    Erets,
    /// ERETU.
    Eretu,
}

/// Instructions on shadow stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowOp {
    /// INCSSPD, INCSSPQ.
    Increment,
    /// RSTORSSP.
    Restore,
    /// SAVEPREVSSP.
    SavePrevious,
    /// SETSSBSY.
    SetBusy,
    /// CLRSSBSY.
    ClearBusy,
    /// WRSSD, WRSSQ.
    Write,
    /// WRUSSD, WRUSSQ.
    WriteUser,
}

/// What executes a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exec {
    /// Decoded, not executed yet.
    Missing,
    /// A function of values: one memory operand at most.
    Value(IntOp),
    /// The same with what later extensions add: a new destination, flags that stay (APX), faults that a condition suppresses,
    /// an operand that must be aligned.
    Extended(IntOp),
    /// A sequence of accesses.
    Seq(SeqOp),
    /// A string instruction.
    Str(StrOp),
    /// Replayed on the host.
    Replay(Shape),
    /// x87.
    X87(X87Op),
    /// System work.
    System(SysOp),
    /// Privileged work.
    Privileged(PrivOp),
    /// Segment registers and far transfers.
    Far(FarOp),
}

/// Properties of a row that are yes or no.
pub mod attr {
    /// LOCK is legal with a memory destination.
    pub const LOCK: u64 = 1;
    /// Locked whether LOCK is there or not (XCHG with memory).
    pub const LOCKED: u64 = 1 << 1;
    /// REP or REPE/REPNE repeats it.
    pub const REP: u64 = 1 << 2;
    /// REPE and REPNE end on ZF (CMPS, SCAS).
    pub const REPCC: u64 = 1 << 3;
    /// Operand size is 64 by default in 64-bit mode; 66 makes 16.
    pub const D64: u64 = 1 << 4;
    /// Operand size is 64 in 64-bit mode whatever the prefixes (branches; AMD lets 66 make 16).
    pub const F64: u64 = 1 << 5;
    /// The opcode's low three bits name a register.
    pub const PLUS_R: u64 = 1 << 6;
    /// The opcode's low four bits are a condition; the mnemonic takes its suffix.
    pub const CONDITION: u64 = 1 << 7;
    /// Has a ModRM byte.
    pub const MODRM: u64 = 1 << 8;
    /// Reads or writes MXCSR.
    pub const MXCSR: u64 = 1 << 9;
    /// VEX.vvvv or EVEX.V'vvvv names an operand (else it must be all ones).
    pub const VVVV: u64 = 1 << 10;
    /// VEX.W selects the width of a general-purpose register (not outside 64-bit mode).
    pub const W_GPR: u64 = 1 << 11;
    /// The legacy prefix of the row is part of its opcode.
    pub const MANDATORY: u64 = 1 << 12;
    /// Ends straight-line code.
    pub const BRANCH: u64 = 1 << 13;
    /// There is no 128-bit form.
    pub const NO_128: u64 = 1 << 14;
    /// Vector length is ignored (scalar).
    pub const LIG: u64 = 1 << 15;
    /// Waits for pending x87 exceptions.
    pub const WAITING: u64 = 1 << 16;
    /// Has memory at a vector of addresses.
    pub const VSIB: u64 = 1 << 19;
    /// The 256-bit form needs AVX2.
    pub const AVX2_256: u64 = 1 << 17;
    /// VEX.L must be clear.
    pub const L0: u64 = 1 << 22;
    /// Of its 16 bytes in memory, the lower 8 alone are read; the whole is checked for alignment.
    pub const LOW_HALF: u64 = 1 << 18;
    /// A tiny result raises no underflow (VREDUCE); MXCSR.FTZ makes it zero all the same, while underflow is masked.
    pub const NO_UNDERFLOW: u64 = 1 << 20;
    /// Obeys MXCSR and raises nothing (VRCP14, VFPCLASS); FTZ acts whatever is masked.
    pub const QUIET: u64 = 1 << 21;
    /// EVEX.NF is allowed: with it, flags are not written (APX).
    pub const NF: u64 = 1 << 23;
    /// The low bits of EVEX are a source condition, vvvv holds flags (CCMP, CTEST).
    pub const SCC: u64 = 1 << 24;
    /// #UD under REX2.
    pub const NO_REX2: u64 = 1 << 25;
    /// ModRM.mod counts for nothing: always a register (MOV to and from control and debug registers).
    pub const ANY_MOD: u64 = 1 << 26;
    /// Opcode registers or ModRM.rm and EVEX.vvvv must differ (POP2), and neither may be RSP.
    pub const PAIR: u64 = 1 << 27;
    /// The memory operand needs a SIB byte (AMX).
    pub const SIBMEM: u64 = 1 << 28;
    /// #UD with a memory operand relative to RIP (MPX).
    pub const NO_RIP: u64 = 1 << 29;
    /// Has a ModRM byte that the first row of its opcode has not: it chooses no row.
    pub const LATE_MODRM: u64 = 1 << 30;

    /// The destination is none of the sources (FP16's complex numbers).
    pub const DISTINCT: u64 = 1 << 31;
    /// There is only a 512-bit form, also where L'L is rounding control.
    pub const ONLY_512: u64 = 1 << 32;
    /// VEX.W must be set; AMD's processors (Zen 4) ignore it.
    pub const W1_BUT_AMD: u64 = 1 << 33;

    /// Products, then sums, whose exceptions are reported one stage after the other (DPPS).
    pub const STAGED: u64 = 1 << 34;

    /// What an unmasked overflow or underflow reports is not known: replayed only while they are masked, and complex numbers,
    /// which are rounded more than once, while all exceptions are.
    pub const MASKED_EXTREMES: u64 = 1 << 35;

    /// VEX.vvvv names a block of four registers, whose first has a number divisible by four; their four elements in memory are read
    /// together, unless the opmask is empty (4FMAPS, 4VNNIW).
    pub const BLOCK: u64 = 1 << 36;
    /// The opmask that is written is a pair, whose first has an even number (VP2INTERSECT).
    pub const MASK_PAIR: u64 = 1 << 37;
    /// Operand 1 goes to operand 0 as it is, with zeros above it in the 128 bits of a legacy instruction and in the whole register of
    /// others.
    pub const COPY: u64 = 1 << 38;

    /// Each has a bit of its own.
    const _: () = {
        let all = [
            LOCK,
            LOCKED,
            REP,
            REPCC,
            D64,
            F64,
            PLUS_R,
            CONDITION,
            MODRM,
            MXCSR,
            VVVV,
            W_GPR,
            MANDATORY,
            BRANCH,
            NO_128,
            LIG,
            WAITING,
            VSIB,
            AVX2_256,
            L0,
            LOW_HALF,
            NO_UNDERFLOW,
            QUIET,
            NF,
            SCC,
            NO_REX2,
            ANY_MOD,
            PAIR,
            SIBMEM,
            DISTINCT,
            ONLY_512,
            W1_BUT_AMD,
            STAGED,
            MASKED_EXTREMES,
            BLOCK,
            MASK_PAIR,
            COPY,
            NO_RIP,
            LATE_MODRM,
        ];
        let (mut seen, mut i) = (0, 0);
        while i < all.len() {
            assert!(seen & all[i] == 0, "two attributes share a bit");
            seen |= all[i];
            i += 1;
        }
    };
}

/// One opcode line of the manual.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Lower case, Intel syntax. A condition goes behind it, or where a `*` stands.
    pub mnemonic: &'static str,
    /// Operands in the manual's order, then implicit ones; `Loc::Nothing` behind the last.
    pub operands: [Spec; 5],
    /// Encoding space.
    pub space: Space,
    /// Opcode map.
    pub map: Map,
    /// Opcode byte.
    pub opcode: u8,
    /// What selects this row among those of one opcode.
    pub select: Select,
    /// Bits of [`attr`].
    pub attrs: u64,
    /// All of these must be in the profile.
    pub features: [Feature; 2],
    /// What must hold before an operand is touched.
    pub gate: Gate,
    /// Exception class.
    pub class: Class,
    /// Displacement scaling under EVEX.
    pub tuple: Tuple,
    /// Width in bytes of one element: of memory (masking, broadcast, tuples) or of the integer operand; 0 = whole operand.
    pub element: u8,
    /// Opmask use.
    pub masking: Masking,
    /// Is an embedded broadcast allowed?
    pub broadcast: bool,
    /// Embedded rounding.
    pub rounding: Rounding,
    /// Flags.
    pub flags: FlagEffect,
    /// What executes it.
    pub exec: Exec,
    /// What the decoder asks of it, worked out from the rest.
    pub(crate) plan: Plan,
    /// What it touches beyond its operands.
    pub implied: Implied,
    /// Opcode that is replayed instead: the temporal form of a non-temporal move, whose hint means nothing on a local
    /// operand and costs hundreds of nanoseconds there. The row's own opcode otherwise.
    pub replayed_as: u8,
}

impl Row {
    /// Has it a new destination (ND), apart from the operands of the line without one (APX)?
    pub(crate) const fn has_new_destination(&self) -> bool {
        self.select.value & sel::B != 0
            && matches!(self.exec, Exec::Extended(_))
            && matches!(self.operands[0].loc, Loc::GprVvvv)
    }

    /// Is `bit` of [`attr`] set?
    #[inline]
    pub const fn is(&self, bit: u64) -> bool {
        self.attrs & bit != 0
    }

    /// Is XMM0 written without being named?
    pub(crate) fn writes_xmm0(&self) -> bool {
        self.operands.iter().any(|s| s.loc == Loc::FixedVec && s.uses.writes())
    }

    /// The operands that the row has.
    pub fn specs(&self) -> &[Spec] {
        let n = self.operands.iter().position(|s| s.loc == Loc::Nothing).unwrap_or(self.operands.len());
        &self.operands[..n]
    }
}
