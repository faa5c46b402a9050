//! Intel syntax.

use super::{Insn, NO_REG, RIP, Slot, SlotKind, StaticRounding, prefix};
use crate::cpu::Mode;
use crate::cpu::segment::Seg;
use crate::isa::Feature;
use crate::isa::row::{Exec, IntOp, Loc, Masking, Row, Space, Spec, Use, Width, attr, sel};
use core::fmt;

/// Condition suffixes, the manual's first names.
pub(super) const CONDITIONS: [&str; 16] =
    ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];

/// The manual's names of CMPccXADD.
const INNER_CONDITIONS: [&str; 16] =
    ["o", "no", "b", "nb", "z", "nz", "be", "nbe", "s", "ns", "p", "np", "l", "nl", "le", "nle"];

/// The same of CCMP and CTEST, which have always and never in place of parity.
const SOURCE_CONDITIONS: [&str; 16] =
    ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "t", "f", "l", "ge", "le", "g"];

const LOW8: [&str; 16] =
    ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"];
const HIGH8: [&str; 4] = ["ah", "ch", "dh", "bh"];
const WORDS: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];

struct GprName(u8, u16);

impl fmt::Display for GprName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GprName(reg, size) = *self;
        match (reg, size) {
            (0..=15, 1) => f.write_str(LOW8[reg as usize]),
            (_, 1) => write!(f, "r{reg}b"),
            (0..=7, 2) => f.write_str(WORDS[reg as usize]),
            (0..=7, 4) => write!(f, "e{}", WORDS[reg as usize]),
            (0..=7, _) => write!(f, "r{}", WORDS[reg as usize]),
            (_, 2) => write!(f, "r{reg}w"),
            (_, 4) => write!(f, "r{reg}d"),
            _ => write!(f, "r{reg}"),
        }
    }
}

/// A register operand's name; empty for other kinds.
struct RegName(Slot);

impl fmt::Display for RegName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Slot { kind, reg, size } = self.0;
        match kind {
            SlotKind::Gpr => GprName(reg, size).fmt(f),
            SlotKind::GprHigh => f.write_str(HIGH8[reg as usize & 3]),
            SlotKind::Vector if size > 32 => write!(f, "zmm{reg}"),
            SlotKind::Vector if size > 16 => write!(f, "ymm{reg}"),
            SlotKind::Vector => write!(f, "xmm{reg}"),
            SlotKind::Mask => write!(f, "k{reg}"),
            SlotKind::Mmx => write!(f, "mm{reg}"),
            SlotKind::St => write!(f, "st({reg})"),
            SlotKind::Segment => f.write_str(Seg::ALL[reg as usize % 6].name()),
            SlotKind::Control => write!(f, "cr{reg}"),
            SlotKind::Debug => write!(f, "dr{reg}"),
            SlotKind::Tile => write!(f, "tmm{reg}"),
            SlotKind::Bound => write!(f, "bnd{reg}"),
            SlotKind::Bsr => write!(f, "bsr{reg}"),
            SlotKind::DefaultFlags => {
                let names = [(8, "of"), (4, "sf"), (2, "zf"), (1, "cf")];
                f.write_str("{dfv=")?;
                let set = names.iter().filter(|(bit, _)| reg & bit != 0);
                for (i, (_, name)) in set.enumerate() {
                    write!(f, "{}{name}", if i == 0 { "" } else { "," })?;
                }
                f.write_str("}")
            }
            _ => Ok(()),
        }
    }
}

/// An effective address as the text shows it, and as tools that list operands want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOperand {
    /// The segment.
    pub seg: Seg,
    /// Base register: a GPR number, or `None`; RIP is `rip_relative`.
    pub base: Option<u8>,
    /// The base is RIP.
    pub rip_relative: bool,
    /// Index register: a GPR number, or a vector register under VSIB.
    pub index: Option<u8>,
    /// Width in bytes of a vector index register; 0 for a GPR.
    pub vector_index: u8,
    /// 1, 2, 4 or 8.
    pub scale: u8,
    /// Displacement, sign-extended, after disp8×N; an absolute offset when there is no base.
    pub disp: i64,
    /// 2, 4 or 8.
    pub address_size: u8,
}

impl MemoryOperand {
    /// Name of the base register.
    pub fn base_name(&self) -> Option<impl fmt::Display> {
        struct Base(Option<u8>, u8);
        impl fmt::Display for Base {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    Some(reg) => GprName(reg, self.1 as u16).fmt(f),
                    None => f.write_str(if self.1 == 8 { "rip" } else { "eip" }),
                }
            }
        }
        (self.rip_relative || self.base.is_some()).then_some(Base(self.base, self.address_size))
    }

    /// Name of the index register.
    pub fn index_name(&self) -> Option<impl fmt::Display> {
        struct Index(u8, u8, u8);
        impl fmt::Display for Index {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.1 == 0 {
                    GprName(self.0, self.2 as u16).fmt(f)
                } else {
                    RegName(Slot { kind: SlotKind::Vector, reg: self.0, size: self.1 as u16 }).fmt(f)
                }
            }
        }
        self.index.map(|reg| Index(reg, self.vector_index, self.address_size))
    }
}

impl fmt::Display for MemoryOperand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        let mut terms = false;
        if let Some(base) = self.base_name() {
            write!(f, "{base}")?;
            terms = true;
        }
        if let Some(index) = self.index_name() {
            write!(f, "{}{index}", if terms { "+" } else { "" })?;
            // Without a base the scale tells it from one: RBP times 1 lies in DS.
            let bare = !terms && self.address_size != 2;
            if self.scale != 1 || bare {
                write!(f, "*{}", self.scale)?;
            }
            terms = true;
        }
        match (terms, self.disp) {
            (true, 0) => {}
            (true, d) if d < 0 => write!(f, "-{:#x}", d.unsigned_abs())?,
            (true, d) => write!(f, "+{d:#x}")?,
            (false, d) => {
                let mask = u64::MAX >> (64 - self.address_size as u32 * 8);
                write!(f, "{:#x}", d as u64 & mask)?;
            }
        }
        f.write_str("]")
    }
}

/// Words for a memory operand's width.
fn pointer(size: u16) -> &'static str {
    match size {
        1 => "byte ptr ",
        2 => "word ptr ",
        4 => "dword ptr ",
        6 => "fword ptr ",
        8 => "qword ptr ",
        10 => "tbyte ptr ",
        16 => "xmmword ptr ",
        32 => "ymmword ptr ",
        64 => "zmmword ptr ",
        _ => "",
    }
}

/// A row's mnemonic with a condition, which stands where the row has `*`, or behind it.
struct Mnemonic(&'static str, &'static str);

impl fmt::Display for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, behind) = self.0.split_once('*').unwrap_or((self.0, ""));
        write!(f, "{before}{}{behind}", self.1)
    }
}

impl Insn {
    /// The mnemonic, with its condition: `jne`, `cmpnzxadd`, `vpaddd`.
    pub fn mnemonic(&self) -> impl fmt::Display + use<> {
        let condition = match () {
            () if self.row.is(attr::SCC) => SOURCE_CONDITIONS[self.condition() as usize & 15],
            () if self.row.mnemonic.contains('*') => INNER_CONDITIONS[self.condition() as usize & 15],
            () if self.row.is(attr::CONDITION) => CONDITIONS[self.condition() as usize],
            () => "",
        };
        Mnemonic(self.row.mnemonic, condition)
    }

    /// The effective address of the memory operand, if there is one that ModRM or the instruction's offset names.
    pub fn memory_operand(&self) -> Option<MemoryOperand> {
        let (slot, _) = self.memory()?;
        let vector_index = if slot.kind == SlotKind::Vsib { self.vsib_index_bytes() } else { 0 };
        Some(MemoryOperand {
            seg: self.seg,
            base: (self.base() < RIP).then_some(self.base()),
            rip_relative: self.base() == RIP,
            index: (self.index() != NO_REG).then_some(self.index()),
            vector_index,
            scale: 1 << self.scale(),
            disp: self.disp,
            address_size: self.asize(),
        })
    }

    /// Width in bytes of the vector of indices of a VSIB operand.
    pub(crate) fn vsib_index_bytes(&self) -> u8 {
        let (index, element) = (self.vsib_index_element(), self.row.element);
        match index.cmp(&element) {
            core::cmp::Ordering::Less => (self.vl() / 2).max(16),
            _ => self.vl(),
        }
    }

    /// Width of one index: even opcodes take doublewords, odd ones quadwords.
    pub(crate) fn vsib_index_element(&self) -> u8 {
        if self.opcode() & 1 == 0 { 4 } else { 8 }
    }

    /// Is operand `i` left out of the text?
    pub fn implicit(&self, i: usize) -> bool {
        self.row.operands.get(i).is_some_and(|spec| spec.implicit)
    }

    /// Is it an instruction of APX that there is without EVEX too? Its text says so, for an assembler would choose the other.
    fn shorter_exists(&self) -> bool {
        let row = self.row;
        let new = row.select.value & sel::B != 0 || row.is(attr::SCC) || row.features.contains(&Feature::ApxNddNf);
        row.space == Space::Evex && row.features.contains(&Feature::Apx) && !new
    }

    /// Are the operands of a string instruction worth showing: is the segment or the address size not the mode's own?
    fn unusual_string(&self) -> bool {
        self.has(prefix::P67) || self.seg != Seg::Ds
    }

    /// Is operand `i` part of the text?
    fn shown(&self, i: usize) -> bool {
        let string = matches!(self.slot(i).kind, SlotKind::StringSrc | SlotKind::StringDst);
        !self.implicit(i) || string && self.unusual_string()
    }

    fn fmt_operand(&self, f: &mut fmt::Formatter<'_>, i: usize) -> fmt::Result {
        let slot = self.slot(i);
        match slot.kind {
            SlotKind::StringSrc | SlotKind::StringDst => {
                let source = slot.kind == SlotKind::StringSrc;
                let (seg, default) = if source { (self.seg, Seg::Ds) } else { (Seg::Es, Seg::Es) };
                f.write_str(pointer(slot.size))?;
                if seg != default || !source && self.mode != Mode::Long64 {
                    write!(f, "{}:", seg.name())?;
                }
                write!(f, "[{}]", GprName(slot.reg, self.asize().into()))?;
            }
            SlotKind::Memory | SlotKind::Vsib => {
                let Some(m) = self.memory_operand() else { return Ok(()) };
                // A segment that is not the one which the base register implies.
                let stack = matches!((m.base, m.address_size), (Some(5), _) | (Some(4), 4 | 8));
                let implied = if stack { Seg::Ss } else { Seg::Ds };
                // LEA has no use for one.
                let used = m.seg != implied && self.row.exec != Exec::Value(IntOp::Lea);
                let seg = if used { m.seg.name() } else { "" };
                let colon = if seg.is_empty() { "" } else { ":" };
                write!(f, "{}{seg}{colon}{m}", pointer(slot.size))?;
                if let Some(n) = self.broadcast() {
                    write!(f, "{{1to{n}}}")?;
                }
            }
            SlotKind::Imm if self.row.operands[i].loc == Loc::ImmIs4 => write!(f, "{:#x}", self.imm & 0xf)?,
            SlotKind::Imm if self.row.operands[i].loc == Loc::FarPointer => {
                write!(f, "{:#x}:{:#x}", self.imm >> 32, self.imm & u64::from(u32::MAX))?;
            }
            SlotKind::Imm => {
                let mask = if slot.size >= 8 { u64::MAX } else { (1 << (slot.size * 8)) - 1 };
                write!(f, "{:#x}", self.imm >> ((u32::from(slot.reg) * 8) & 63) & mask)?;
            }
            SlotKind::Rel => write!(f, "{:#x}", self.branch_target(0))?,
            SlotKind::One => f.write_str("1")?,
            _ => write!(f, "{}", RegName(slot))?,
        }
        if i == 0 && self.row.space == Space::Evex {
            // A gather's opmask stands behind its first operand too.
            if let Some(k) = self.opmask() {
                write!(f, "{{k{k}}}")?;
            }
            if self.zeroing() {
                f.write_str("{z}")?;
            }
        }
        Ok(())
    }

    /// Where a relative branch at `rip` goes.
    pub fn branch_target(&self, rip: u64) -> u64 {
        let target = rip.wrapping_add(self.len() as u64).wrapping_add(self.imm);
        match (self.mode, self.osize()) {
            (Mode::Long64, 8) => target,
            // XBEGIN's fallback is not cut to the operand size.
            (Mode::Long64, _) if !self.row.is(attr::F64) => target,
            (_, 2) if self.row.is(attr::F64) => target & 0xffff,
            _ => target & 0xffff_ffff,
        }
    }
}

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.locked() {
            f.write_str("lock ")?;
        }
        if self.row.is(attr::REP) {
            let conditional = self.row.is(attr::REPCC);
            if self.has(prefix::REPNE) {
                f.write_str(if conditional { "repne " } else { "rep " })?;
            } else if self.has(prefix::REP) {
                f.write_str(if conditional { "repe " } else { "rep " })?;
            }
        }
        if self.keeps_flags() {
            f.write_str("{nf} ")?;
        } else if self.shorter_exists() {
            f.write_str("{evex} ")?;
        }
        write!(f, "{}", self.mnemonic())?;
        if let Some(flags) = self.slots().iter().find(|s| s.kind == SlotKind::DefaultFlags) {
            write!(f, " {}", RegName(*flags))?;
        }
        let mut first = true;
        for i in (0..self.slots().len()).filter(|&i| self.shown(i)) {
            f.write_str(if first { " " } else { ", " })?;
            first = false;
            self.fmt_operand(f, i)?;
        }
        match self.static_rounding() {
            None => Ok(()),
            Some(StaticRounding::Nearest) => f.write_str(", {rn-sae}"),
            Some(StaticRounding::Down) => f.write_str(", {rd-sae}"),
            Some(StaticRounding::Up) => f.write_str(", {ru-sae}"),
            Some(StaticRounding::Zero) => f.write_str(", {rz-sae}"),
            Some(StaticRounding::Sae) => f.write_str(", {sae}"),
        }
    }
}

/// The manual's letters of an operand.
struct Letters(Spec);

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.0;
        let place = match spec.loc {
            Loc::Nothing => "",
            Loc::GprOrMem => "E",
            Loc::Mem => "M",
            Loc::GprRm => "R",
            Loc::GprReg => "G",
            Loc::GprVvvv => "B",
            Loc::GprOpcode => "Z",
            Loc::VecReg => "V",
            Loc::VecOrMem => "W",
            Loc::VecRm => "U",
            Loc::VecVvvv => "H",
            Loc::VecIs4 => "L",
            Loc::MaskReg => "KG",
            Loc::MaskRm => "KR",
            Loc::MaskOrMem => "KE",
            Loc::MaskVvvv => "KH",
            Loc::MmxReg => "P",
            Loc::MmxOrMem => "Q",
            Loc::MmxRm => "N",
            Loc::Vsib => "VM",
            Loc::Seg => "S",
            Loc::Control => "C",
            Loc::Debug => "D",
            Loc::Imm | Loc::ImmSigned => "I",
            Loc::ImmIs4 => return f.write_str("I4"),
            Loc::Rel => "J",
            Loc::Moffs => "O",
            Loc::FarPointer => "A",
            Loc::StringSrc => "X",
            Loc::StringDst => "Y",
            Loc::FixedGpr => return write!(f, "{}", RegName(fixed_slot(&spec))),
            Loc::FixedSeg => return f.write_str(Seg::ALL[spec.fixed as usize % 6].name()),
            Loc::FixedVec => return write!(f, "xmm{}", spec.fixed),
            Loc::One => return f.write_str("1"),
            Loc::FixedSt => return write!(f, "st({})", spec.fixed),
            Loc::StRm => "STi",
            Loc::TileReg => "TG",
            Loc::TileRm => "TR",
            Loc::TileVvvv => "TH",
            Loc::SibMem => "MS",
            Loc::BoundReg => "BG",
            Loc::BoundOrMem => "BE",
            Loc::AddressReg => "GA",
            Loc::FixedBsr => "BSR0",
            Loc::GprSet => "GPRs",
            Loc::VecSet => "XMMs",
            Loc::DefaultFlags => "DFV",
        };
        let width = match spec.width {
            Width::Zero => "",
            Width::B => "b",
            Width::W => "w",
            Width::D => "d",
            Width::Q => "q",
            Width::T => "t",
            Width::Dq => "dq",
            Width::Qq => "qq",
            Width::Oq => "oq",
            Width::V => "v",
            Width::Z => "z",
            Width::Y => "y",
            Width::X => "x",
            Width::Xh => "xh",
            Width::Xq => "xq",
            Width::Xe => "xe",
            Width::Xdup => "xdup",
            Width::Pseudo => "s",
            Width::Far | Width::FarZ => "p",
            Width::Pair => "a",
            Width::Env => "env",
            Width::X87State => "state",
            Width::Fx => "fx",
            Width::Stack => "stack",
            Width::Addr => "a",
            Width::Mode => "m",
            Width::Bounds => "b",
            Width::Kl => "kl",
        };
        write!(f, "{place}{width}")
    }
}

fn fixed_slot(spec: &Spec) -> Slot {
    let kind = if spec.fixed >= 0x10 { SlotKind::GprHigh } else { SlotKind::Gpr };
    let size = match spec.width {
        Width::B => 1,
        Width::W => 2,
        Width::D => 4,
        _ => 8,
    };
    Slot { kind, reg: spec.fixed & 0xf & if spec.fixed >= 0x10 { 3 } else { 0xf }, size }
}

impl Row {
    /// The row's name: encoding space where it is not legacy, mnemonic, operands in the manual's letters:
    /// `add Eb,Gb`, `evex.vpaddd Vx{k}{z},Hx,Wx`.
    pub fn form(&self) -> impl fmt::Display + '_ {
        struct Form<'a>(&'a Row);
        impl fmt::Display for Form<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let row = self.0;
                f.write_str(match row.space {
                    Space::Legacy => "",
                    Space::Vex => "vex.",
                    Space::Evex => "evex.",
                    Space::Xop => "xop.",
                })?;
                let condition = if row.attrs & (attr::CONDITION | attr::SCC) != 0 { "cc" } else { "" };
                write!(f, "{}", Mnemonic(row.mnemonic, condition))?;
                let shown = row.specs().iter().filter(|s| !s.implicit);
                for (i, spec) in shown.enumerate() {
                    write!(f, "{}{}", if i == 0 { " " } else { "," }, Letters(*spec))?;
                    if i == 0 {
                        f.write_str(match row.masking {
                            Masking::None => "",
                            Masking::Merge | Masking::Required => "{k}",
                            Masking::MergeZero | Masking::Control => "{k}{z}",
                        })?;
                    }
                }
                Ok(())
            }
        }
        Form(self)
    }

    /// Is the row executed by this version?
    pub fn executed(&self) -> bool {
        self.exec != Exec::Missing
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Use::None => "none",
            Use::Read => "r",
            Use::Write => "w",
            Use::ReadWrite => "rw",
            Use::CondWrite => "cw",
            Use::ReadCondWrite => "rcw",
        })
    }
}

impl Slot {
    /// The register's name; empty for operands that are no register.
    pub fn register_name(&self) -> impl fmt::Display + use<> {
        RegName(*self)
    }
}
