//! The words in which rows are written: operands in the manuals' letters and a builder that a constant can use.

use super::feature::Feature;
use super::plan::Plan;
use super::row::*;
use Loc::*;

macro_rules! operands {
    ($( $name:ident = $loc:ident $width:ident; )*) => {
        $( #[doc = concat!("`", stringify!($name), "`")] pub(in crate::isa) const $name: Spec = Spec::new(Loc::$loc, Width::$width); )*
    };
}

macro_rules! fixed {
    ($( $name:ident = $loc:ident $width:ident $reg:literal; )*) => {
        $( #[doc = concat!("`", stringify!($name), "`")] pub(in crate::isa) const $name: Spec = Spec::fixed(Loc::$loc, Width::$width, $reg); )*
    };
}

#[allow(non_upper_case_globals)]
mod letters {
    use super::*;

    operands! {
        Eb = GprOrMem B; Ew = GprOrMem W; Ed = GprOrMem D; Eq = GprOrMem Q; Ev = GprOrMem V; Ey = GprOrMem Y; Ez = GprOrMem Z;
        Estack = GprOrMem Stack;
        M = Mem Zero; Mb = Mem B; Mw = Mem W; Md = Mem D; Mq = Mem Q; Mt = Mem T; Mdq = Mem Dq; Mqq = Mem Qq;
        Mx = Mem X; My = Mem Y; Mv = Mem V; Mfx = Mem Fx;
        Rd = GprRm D; Rq = GprRm Q; Rv = GprRm V; Ry = GprRm Y;
        By = GprVvvv Y; Bd = GprVvvv D;
        Gb = GprReg B; Gd = GprReg D; Gq = GprReg Q; Gv = GprReg V; Gy = GprReg Y;

        Zb = GprOpcode B; Zv = GprOpcode V; Zstack = GprOpcode Stack;
        Vd = VecReg D; Vq = VecReg Q; Vdq = VecReg Dq; Vqq = VecReg Qq; Vx = VecReg X; Vxh = VecReg Xh;

        Wb = VecOrMem B; Ww = VecOrMem W; Wd = VecOrMem D; Wq = VecOrMem Q; Wdq = VecOrMem Dq; Wqq = VecOrMem Qq;
        Wx = VecOrMem X; Wxh = VecOrMem Xh; Wxq = VecOrMem Xq; Wxe = VecOrMem Xe; Wxdup = VecOrMem Xdup;
        Udq = VecRm Dq; Uqq = VecRm Qq; Ux = VecRm X; Uq = VecRm Q; Ud = VecRm D;
        Hd = VecVvvv D; Hq = VecVvvv Q; Hdq = VecVvvv Dq; Hqq = VecVvvv Qq; Hx = VecVvvv X; Hxh = VecVvvv Xh;
        Lx = VecIs4 X;
        KGb = MaskReg B; KGw = MaskReg W; KGd = MaskReg D; KGq = MaskReg Q;
        KRb = MaskRm B; KRw = MaskRm W; KRd = MaskRm D; KRq = MaskRm Q;
        KEb = MaskOrMem B; KEw = MaskOrMem W; KEd = MaskOrMem D; KEq = MaskOrMem Q;
        KHb = MaskVvvv B; KHw = MaskVvvv W; KHd = MaskVvvv D; KHq = MaskVvvv Q;
        Pq = MmxReg Q; Qd = MmxOrMem D; Qq = MmxOrMem Q; Nq = MmxRm Q;
        VMd = Vsib D; VMq = Vsib Q;
        Ib = Imm B; Iw = Imm W; Iz = ImmSigned Z; Ibs = ImmSigned B; Iv = Imm V;
        Jb = Rel B; Jz = Rel Z;
        Ob = Moffs B; Ov = Moffs V;
        Xb = StringSrc B; Xv = StringSrc V; Xz = StringSrc Z;
        Yb = StringDst B; Yv = StringDst V; Yz = StringDst Z;
        ONE = One Zero;
        STi = StRm T;
        Ap = FarPointer Far;
        Mp = Mem Far; Ma = Mem Pair; Ms = Mem Pseudo; Moq = Mem Oq; Mkl = Mem Kl;
        Menv = Mem Env; Mstate = Mem X87State;
        Sw = Seg W; Cm = Control Mode; Dm = Debug Mode; Rm = GprRm Mode; Gm = GprReg Mode;
        Gw = GprReg W; Gz = GprReg Z; GA = AddressReg Addr; RA = GprRm Addr;
        Bb = GprVvvv B; Bv = GprVvvv V; Bq = GprVvvv Q;
        Iq = Imm Q; Id = Imm D; I4 = ImmIs4 B;
        TG = TileReg Zero; TR = TileRm Zero; TH = TileVvvv Zero; MS = SibMem Zero;
        BG = BoundReg Bounds; BE = BoundOrMem Bounds;
        DFV = DefaultFlags Zero;
        Vw = VecReg W; Uw = VecRm W; Hw = VecVvvv W;
        Vxq = VecReg Xq;
        Ldq = VecIs4 Dq; Ld = VecIs4 D; Lq = VecIs4 Q;
        Em = GprOrMem Mode; Rz = GprRm Z; Zq = GprOpcode Q; Mpz = Mem FarZ;
    }

    fixed! {
        AL = FixedGpr B 0; AX = FixedGpr W 0; EAX = FixedGpr D 0; rAX = FixedGpr V 0;
        CL = FixedGpr B 1; DX = FixedGpr W 2; rDX = FixedGpr V 2; eAXz = FixedGpr Z 0;
        RAX = FixedGpr Q 0; RCX = FixedGpr Q 1; RDX = FixedGpr Q 2; RBX = FixedGpr Q 3;
        RSI = FixedGpr Q 6; RDI = FixedGpr Q 7; R11 = FixedGpr Q 11; rCXy = FixedGpr Y 1;
        rAXa = FixedGpr Addr 0; rCXa = FixedGpr Addr 1;
        ES = FixedSeg W 0; CS = FixedSeg W 1; SS = FixedSeg W 2; DS = FixedSeg W 3; FS = FixedSeg W 4; GS = FixedSeg W 5;
        ST0 = FixedSt T 0; ST1 = FixedSt T 1;
        BSR0 = FixedBsr Zero 0;
        ECX = FixedGpr D 1; EDX = FixedGpr D 2; EBX = FixedGpr D 3; rDXy = FixedGpr Y 2; AH = FixedGpr B 0x14;

        XMM0 = FixedVec Dq 0;
        rBPs = FixedGpr Stack 5; rAXm = FixedGpr Mode 0; rCXm = FixedGpr Mode 1; rDXm = FixedGpr Mode 2; rBXm = FixedGpr Mode 3;

    }
}
pub(super) use letters::*;

/// Read.
#[allow(non_snake_case)]
pub(super) const fn R(s: Spec) -> Spec {
    s.with(Use::Read)
}
/// Written.
#[allow(non_snake_case)]
pub(super) const fn W(s: Spec) -> Spec {
    s.with(Use::Write)
}
/// Read and written.
#[allow(non_snake_case)]
pub(super) const fn RW(s: Spec) -> Spec {
    s.with(Use::ReadWrite)
}
/// Written under a condition.
#[allow(non_snake_case)]
pub(super) const fn CW(s: Spec) -> Spec {
    s.with(Use::CondWrite)
}
/// Read, written under a condition.
#[allow(non_snake_case)]
pub(super) const fn RCW(s: Spec) -> Spec {
    s.with(Use::ReadCondWrite)
}
/// Neither.
#[allow(non_snake_case)]
pub(super) const fn N(s: Spec) -> Spec {
    s.with(Use::None)
}

/// The mandatory prefix, or pp.
#[derive(Clone, Copy)]
pub(super) enum Pp {
    /// None of 66, F3, F2.
    NP,
    /// 66.
    P66,
    /// F3.
    F3,
    /// F2.
    F2,
}
pub(super) use Pp::*;

const fn uses_modrm(loc: Loc) -> bool {
    !matches!(
        loc,
        Nothing
            | GprVvvv
            | GprOpcode
            | VecIs4
            | ImmIs4
            | Imm
            | ImmSigned
            | Rel
            | Moffs
            | FarPointer
            | StringSrc
            | StringDst
            | FixedGpr
            | FixedSeg
            | One
            | FixedSt
            | FixedVec
            | TileVvvv
            | DefaultFlags
            | FixedBsr
            | GprSet
            | VecSet
    )
}

const fn row(mnemonic: &'static str, space: Space, map: Map, opcode: u8, operands: &[Spec]) -> Row {
    let mut ops = [Spec::NOTHING; 5];
    let mut attrs = 0;
    let mut select = Select { mask: 0, value: 0 };
    let mut i = 0;
    while i < operands.len() {
        let spec = operands[i];
        ops[i] = spec;
        if uses_modrm(spec.loc) {
            attrs |= attr::MODRM;
        }
        match spec.loc {
            GprVvvv | VecVvvv | MaskVvvv | TileVvvv | DefaultFlags => attrs |= attr::VVVV,
            GprOpcode => attrs |= attr::PLUS_R,
            Vsib => {
                attrs |= attr::VSIB;
                select.mask |= sel::REGISTER;
            }
            Mem => select.mask |= sel::REGISTER,
            SibMem => {
                attrs |= attr::SIBMEM;
                select.mask |= sel::REGISTER;
            }
            GprRm | VecRm | MaskRm | MmxRm | StRm | TileRm => {
                select.mask |= sel::REGISTER;
                select.value |= sel::REGISTER;
            }
            _ => {}
        }
        i += 1;
    }
    Row {
        mnemonic,
        operands: ops,
        space,
        map,
        opcode,
        select,
        attrs,
        features: [Feature::Base; 2],
        gate: Gate::Free,
        class: Class::None,
        tuple: Tuple::None,
        element: 0,
        masking: Masking::None,
        broadcast: false,
        rounding: Rounding::None,
        flags: FlagEffect::NONE,
        exec: Exec::Missing,
        plan: Plan::NONE,
        implied: Implied::None,
        replayed_as: opcode,
    }
}

impl Row {
    /// No row: what an instruction that is not decoded yet points to.
    pub(crate) const NONE: Row = row("", Space::Legacy, Map::Primary, 0, &[]);
}

/// A row without a prefix of its own space.
pub(super) const fn legacy(mnemonic: &'static str, map: Map, opcode: u8, operands: &[Spec]) -> Row {
    row(mnemonic, Space::Legacy, map, opcode, operands)
}

/// A legacy SSE row: mandatory prefix, SSE's gate, replayed.
pub(super) const fn sse(mnemonic: &'static str, map: Map, pp: Pp, opcode: u8, operands: &[Spec]) -> Row {
    let r = row(mnemonic, Space::Legacy, map, opcode, operands).pp(pp).gate(Gate::Sse).class(Class::AlignedLegacy);
    r.cpuid(Feature::Sse2).exec(Exec::Replay(Shape::Plain))
}

/// A VEX row: AVX's gate, replayed.
pub(super) const fn vex(mnemonic: &'static str, map: Map, pp: Pp, opcode: u8, operands: &[Spec]) -> Row {
    let r = row(mnemonic, Space::Vex, map, opcode, operands).pp(pp).gate(Gate::Avx).class(Class::AlignedLegacy);
    r.cpuid(Feature::Avx).exec(Exec::Replay(Shape::Plain))
}

/// An EVEX row: AVX-512's gate, replayed.
pub(super) const fn evex(mnemonic: &'static str, map: Map, pp: Pp, opcode: u8, operands: &[Spec]) -> Row {
    let r = row(mnemonic, Space::Evex, map, opcode, operands).pp(pp).gate(Gate::Avx512).class(Class::Free);
    r.cpuid(Feature::Avx512f).exec(Exec::Replay(Shape::Plain))
}

/// An XOP row: AVX's gate, replayed.
pub(super) const fn xop(mnemonic: &'static str, map: Map, opcode: u8, operands: &[Spec]) -> Row {
    let r = row(mnemonic, Space::Xop, map, opcode, operands).pp(Pp::NP).gate(Gate::Avx).class(Class::Free);
    r.cpuid(Feature::Xop).exec(Exec::Replay(Shape::Plain))
}

/// A row of APX's map 4, an instruction of general-purpose registers with EVEX: 64-bit mode, no vector length.
pub(super) const fn apx(mnemonic: &'static str, opcode: u8, operands: &[Spec]) -> Row {
    promoted(mnemonic, Map::M4, opcode, operands)
}

/// A row that APX gives to an instruction of general-purpose registers, opmasks or tiles that has a VEX form.
pub(super) const fn promoted(mnemonic: &'static str, map: Map, opcode: u8, operands: &[Spec]) -> Row {
    let r = row(mnemonic, Space::Evex, map, opcode, operands).only64().l0();
    r.cpuid(Feature::Apx).gate(Gate::Apx)
}

impl Row {
    pub(super) const fn sel(mut self, mask: u32, value: u32) -> Row {
        self.select.mask |= mask;
        self.select.value |= value;
        self
    }

    pub(super) const fn attr(mut self, bits: u64) -> Row {
        self.attrs |= bits;
        self
    }

    pub(super) const fn pp(self, pp: Pp) -> Row {
        let r = self.attr(attr::MANDATORY);
        match pp {
            Pp::NP => r.sel(sel::P66 | sel::REP, 0),
            Pp::P66 => r.sel(sel::P66 | sel::REP, sel::P66),
            Pp::F3 => r.sel(sel::REP, 1 << sel::REP_SHIFT),
            Pp::F2 => r.sel(sel::REP, 2 << sel::REP_SHIFT),
        }
    }

    /// Opcode extension in ModRM.reg (`/digit`).
    pub(super) const fn digit(self, digit: u32) -> Row {
        self.attr(attr::MODRM).sel(sel::REG, digit << sel::REG_SHIFT)
    }

    /// ModRM.rm is part of the opcode, in register form.
    pub(super) const fn rm(self, rm: u32) -> Row {
        self.attr(attr::MODRM).sel(sel::REGISTER | sel::RM, sel::REGISTER | rm << sel::RM_SHIFT)
    }

    /// Register form only.
    pub(super) const fn reg(self) -> Row {
        self.sel(sel::REGISTER, sel::REGISTER)
    }

    pub(super) const fn w0(self) -> Row {
        self.sel(sel::W, 0)
    }

    pub(super) const fn w1(self) -> Row {
        self.sel(sel::W, sel::W)
    }

    /// W selects the width of a general-purpose register; outside 64-bit mode it is ignored.
    pub(super) const fn w_gpr(self) -> Row {
        self.attr(attr::W_GPR)
    }

    /// 128-bit only, or L0.
    pub(super) const fn l0(self) -> Row {
        self.sel(sel::L, 0)
    }

    /// L0, and no instruction with L1.
    pub(super) const fn lz(self) -> Row {
        self.attr(attr::L0)
    }

    /// 256-bit only, or L1.
    pub(super) const fn l1(self) -> Row {
        self.sel(sel::L, 1 << sel::L_SHIFT)
    }

    /// 512-bit only.
    pub(super) const fn l2(self) -> Row {
        self.sel(sel::L, 2 << sel::L_SHIFT)
    }

    /// Scalar: the vector length is ignored.
    pub(super) const fn lig(self) -> Row {
        self.attr(attr::LIG)
    }

    /// Integer work on vectors: AVX at 128 bits, AVX2 at 256.
    pub(super) const fn avx2_256(self) -> Row {
        self.attr(attr::AVX2_256)
    }

    /// No 128-bit form.
    pub(super) const fn wide(self) -> Row {
        self.attr(attr::NO_128)
    }

    /// 512-bit only, with embedded rounding or SAE: L'L counts for nothing there.
    pub(super) const fn only512(self) -> Row {
        self.attr(attr::ONLY_512)
    }

    pub(super) const fn only64(self) -> Row {
        self.sel(sel::MODE64, sel::MODE64)
    }

    pub(super) const fn not64(self) -> Row {
        self.sel(sel::MODE64, 0)
    }

    /// Operand size before defaults: 0 = 16, 1 = 32, 2 = 64.
    pub(super) const fn osize(self, code: u32) -> Row {
        self.sel(sel::OSIZE, code << sel::OSIZE_SHIFT)
    }

    /// AMD's processors only.
    pub(super) const fn amd(self) -> Row {
        self.sel(sel::AMD, sel::AMD)
    }

    /// Intel's processors only (and those that follow them).
    pub(super) const fn intel(self) -> Row {
        self.sel(sel::AMD, 0)
    }

    /// #UD in real and virtual-8086 mode.
    pub(super) const fn protected(self) -> Row {
        self.sel(sel::REAL_V86, 0)
    }

    /// Memory form only, where the operand could be a register too.
    pub(super) const fn mem(self) -> Row {
        self.sel(sel::REGISTER, 0)
    }

    /// No F3 or F2.
    pub(super) const fn no_rep(self) -> Row {
        self.sel(sel::REP, 0)
    }

    /// F3 is part of the opcode, 66 is free.
    pub(super) const fn f3(self) -> Row {
        self.attr(attr::MANDATORY).sel(sel::REP, 1 << sel::REP_SHIFT)
    }

    /// F2 is part of the opcode, 66 is free.
    pub(super) const fn f2(self) -> Row {
        self.attr(attr::MANDATORY).sel(sel::REP, 2 << sel::REP_SHIFT)
    }

    /// EVEX.ND (EVEX.b) set: the destination is in EVEX.vvvv (APX).
    pub(super) const fn nd(self) -> Row {
        self.sel(sel::B, sel::B)
    }

    /// EVEX.ND clear (APX).
    pub(super) const fn nd0(self) -> Row {
        self.sel(sel::B, 0)
    }

    /// EVEX.NF as part of the opcode (CFCMOV): 0 or 1.
    pub(super) const fn nf_bit(self, nf: u32) -> Row {
        self.sel(sel::NF, nf * sel::NF)
    }

    /// EVEX.NF leaves the flags alone (APX).
    pub(super) const fn nf_ok(self) -> Row {
        self.attr(attr::NF)
    }

    /// ModRM.mod counts for nothing.
    pub(super) const fn any_mod(mut self) -> Row {
        self.select.mask &= !sel::REGISTER;
        self.select.value &= !sel::REGISTER;
        self.attr(attr::ANY_MOD)
    }

    /// Under REX2 only.
    pub(super) const fn rex2(self) -> Row {
        self.sel(sel::REX2, sel::REX2)
    }

    /// #UD under REX2.
    pub(super) const fn no_rex2(self) -> Row {
        self.attr(attr::NO_REX2)
    }

    /// Reads the lower half of a memory operand alone.
    pub(super) const fn low_half(self) -> Row {
        self.attr(attr::LOW_HALF)
    }

    /// Address size: 0 = 16, 1 = 32, 2 = 64.
    pub(super) const fn asize(self, code: u32) -> Row {
        self.sel(sel::ASIZE, code << sel::ASIZE_SHIFT)
    }

    pub(super) const fn d64(self) -> Row {
        self.attr(attr::D64)
    }

    pub(super) const fn f64(self) -> Row {
        self.attr(attr::F64)
    }

    pub(super) const fn lock(self) -> Row {
        self.attr(attr::LOCK)
    }

    pub(super) const fn cpuid(mut self, f: Feature) -> Row {
        self.features[0] = f;
        self
    }

    pub(super) const fn and(mut self, f: Feature) -> Row {
        self.features[1] = f;
        self
    }

    pub(super) const fn gate(mut self, gate: Gate) -> Row {
        self.gate = gate;
        self
    }

    pub(super) const fn class(mut self, class: Class) -> Row {
        self.class = class;
        self
    }

    /// Touches what its operands do not tell.
    pub(super) const fn implies(mut self, implied: Implied) -> Row {
        self.implied = implied;
        self
    }

    /// Replayed with another opcode of the same prefix and operands.
    pub(super) const fn replayed_as(mut self, opcode: u8) -> Row {
        self.replayed_as = opcode;
        self
    }

    /// A move: operand 1 as it is, and zeros above it.
    pub(super) const fn copies(self) -> Row {
        self.attr(attr::COPY)
    }

    /// Explicitly aligned move.
    pub(super) const fn aligned(self) -> Row {
        self.class(Class::Aligned)
    }

    /// No alignment check in any encoding.
    pub(super) const fn free(self) -> Row {
        self.class(Class::Free)
    }

    /// EVEX class without fault suppression.
    pub(super) const fn nf(self) -> Row {
        self.class(Class::NoSuppress)
    }

    pub(super) const fn tuple(mut self, tuple: Tuple, element: u8) -> Row {
        self.tuple = tuple;
        self.element = element;
        self
    }

    /// Element width where no tuple is (VEX, legacy).
    pub(super) const fn element(mut self, bytes: u8) -> Row {
        self.element = bytes;
        self
    }

    /// `{k}{z}`.
    pub(super) const fn kz(mut self) -> Row {
        self.masking = Masking::MergeZero;
        self
    }

    /// `{k}`.
    pub(super) const fn k(mut self) -> Row {
        self.masking = Masking::Merge;
        self
    }

    /// The opmask chooses between sources: `{k}{z}`.
    pub(super) const fn k_control(mut self) -> Row {
        self.masking = Masking::Control;
        self
    }

    /// An opmask other than k0 is an operand.
    pub(super) const fn k_operand(mut self) -> Row {
        self.masking = Masking::Required;
        self
    }

    pub(super) const fn bcst(mut self) -> Row {
        self.broadcast = true;
        self
    }

    pub(super) const fn er(mut self) -> Row {
        self.rounding = Rounding::Er;
        self
    }

    pub(super) const fn sae(mut self) -> Row {
        self.rounding = Rounding::Sae;
        self
    }

    /// Floating-point: MXCSR is read and its flags are written.
    pub(super) const fn fp(self) -> Row {
        self.attr(attr::MXCSR)
    }

    /// The same, but a tiny result raises nothing.
    pub(super) const fn fp_no_underflow(self) -> Row {
        self.fp().attr(attr::NO_UNDERFLOW)
    }

    /// MXCSR is read, and nothing is raised.
    pub(super) const fn fp_quiet(self) -> Row {
        self.fp().attr(attr::QUIET)
    }

    pub(super) const fn flags(mut self, flags: FlagEffect) -> Row {
        self.flags = flags;
        self
    }

    pub(super) const fn exec(mut self, exec: Exec) -> Row {
        self.exec = exec;
        self
    }

    pub(super) const fn does(self, op: IntOp) -> Row {
        self.exec(Exec::Value(op))
    }

    /// A function of values with what APX and other late extensions add.
    pub(super) const fn extends(self, op: IntOp) -> Row {
        self.exec(Exec::Extended(op))
    }

    pub(super) const fn seq(self, op: SeqOp) -> Row {
        self.exec(Exec::Seq(op))
    }

    pub(super) const fn string(self, op: StrOp) -> Row {
        self.attr(attr::REP).exec(Exec::Str(op))
    }

    pub(super) const fn shape(self, shape: Shape) -> Row {
        self.exec(Exec::Replay(shape))
    }

    pub(super) const fn x87(self, op: X87Op) -> Row {
        self.gate(Gate::X87).cpuid(Feature::Fpu).exec(Exec::X87(op))
    }

    pub(super) const fn far(self, op: FarOp) -> Row {
        self.exec(Exec::Far(op))
    }

    pub(super) const fn system(self, op: SysOp) -> Row {
        self.exec(Exec::System(op))
    }

    /// Privileged work.
    pub(super) const fn privileged(self, op: PrivOp) -> Row {
        self.exec(Exec::Privileged(op))
    }
}

/// Where an opcode's rows are in its table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub(super) first: u16,
    pub(super) count: u8,
    /// Bits of [`LINES_MODRM`] and [`LINES_GROUP`].
    pub(super) flags: u8,
}

/// There is a ModRM byte.
pub(super) const LINES_MODRM: u8 = 1;
/// Eight rows, one a value of ModRM.reg.
pub(super) const LINES_GROUP: u8 = 2;

impl Lines {
    pub(super) const NONE: Lines = Lines { first: 0, count: 0, flags: 0 };

    const fn flags(rows: &[Row], first: usize, count: usize) -> u8 {
        let mut group = count == 8;
        let mut i = 0;
        while group && i < 8 {
            let select = rows[first + i].select;
            group = select.mask & sel::REG == sel::REG && select.value & sel::REG == (i as u32) << sel::REG_SHIFT;
            i += 1;
        }
        (if rows[first].is(attr::MODRM) { LINES_MODRM } else { 0 }) | (if group { LINES_GROUP } else { 0 })
    }
}

/// Rows of one (space, map), with where each opcode's rows begin.
pub(super) const fn index(rows: &[Row]) -> [Lines; 256] {
    let mut out = [Lines::NONE; 256];
    let mut i = 0;
    while i < rows.len() {
        let r = &rows[i];
        let span: usize = if r.is(attr::CONDITION) {
            16
        } else if r.is(attr::PLUS_R) {
            8
        } else {
            1
        };
        assert!((r.opcode as usize).is_multiple_of(span), "a row that spans opcodes begins at a multiple of its span");
        if i > 0 {
            assert!(rows[i - 1].opcode <= r.opcode, "rows stand in the order of their opcodes");
            assert!(rows[i - 1].map as u8 == r.map as u8, "a table holds one opcode map");
            assert!(rows[i - 1].space as u8 == r.space as u8, "a table holds one encoding space");
        }
        assert!(r.select.value & !r.select.mask == 0, "a selector's value lies within its mask");
        if r.broadcast {
            assert!(
                matches!(r.tuple, Tuple::Full | Tuple::Half | Tuple::Quarter),
                "only full, half and quarter tuples can be broadcast"
            );
        }
        assert!(r.tuple as u8 == Tuple::None as u8 || r.element != 0, "a tuple needs an element width");
        if matches!(r.masking, Masking::Merge | Masking::MergeZero | Masking::Control) {
            assert!(r.element != 0, "a masked row needs an element width");
        }
        assert!(r.flags.undefined & !r.flags.written == 0, "an undefined flag counts as written");
        assert!(r.flags.cleared & r.flags.set == 0, "a flag is cleared or set");
        assert!(
            (r.flags.cleared | r.flags.set) & r.flags.undefined == 0,
            "a flag that is cleared or set is not undefined"
        );
        let mut n = 0;
        while n < span {
            let at = r.opcode as usize + n;
            if out[at].count == 0 {
                out[at] = Lines { first: i as u16, count: 1, flags: 0 };
            } else {
                assert!(out[at].first as usize + out[at].count as usize == i, "rows of an opcode stand together");
                out[at].count += 1;
            }
            out[at].flags = Lines::flags(rows, out[at].first as usize, out[at].count as usize);
            n += 1;
        }
        i += 1;
    }
    out
}

impl Row {
    /// Changes how the first operand is used.
    pub(super) const fn uses_first(mut self, uses: Use) -> Row {
        self.operands[0].uses = uses;
        self
    }
}
