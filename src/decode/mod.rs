//! From bytes to an [`Insn`]: prefixes, opcode, ModRM with SIB and displacement, immediates, operands.
//!
//! Stages run over a copy of the bytes that is padded with zeros, and one check at the end tells instructions that are
//! complete from those that are truncated or too long.

mod insn;
mod operands;
mod prefixes;
mod quick;
mod text;
mod vector;

pub use insn::{Insn, Repeat, Slot, SlotKind, Slots, StaticRounding};
pub(crate) use insn::{NO_REG, RIP, prefix};
pub use text::MemoryOperand;
pub(crate) use vector::outline;

use crate::cpu::segment::Seg;
use crate::cpu::{Mode, obstacle};
use crate::isa::plan::{mark, size_rule};
use crate::isa::row::{Gate, Loc, Masking, Rounding, Row, Space, Spec, Tuple, attr, sel};
use crate::isa::{Feature, tables};
use crate::profile::{Profile, Vendor};
use core::fmt;
use prefixes::{Prefixes, take_opcode, take_prefixes};

/// Why bytes are no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the instruction does.
    Truncated,
    /// More than 15 bytes: #GP(0).
    TooLong,
    /// The processor of this profile raises #UD.
    Invalid(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::Truncated => "the bytes end before the instruction does",
            DecodeError::TooLong => "an instruction is at most 15 bytes long",
            DecodeError::Invalid(why) => why,
        })
    }
}

impl core::error::Error for DecodeError {}

/// Bytes of the tables of the short way.
#[cfg(test)]
pub(crate) const QUICK_SIZE: usize = quick::SIZE + vector::SIZE;

/// #UD where no row covers the bytes.
const NO_ROW: DecodeError = DecodeError::Invalid("no instruction of this mode has these bytes");

const LIMIT: usize = 15;

/// A reader over the bytes, which are followed by zeros without end. Where there are enough they are not copied: a load
/// that spans the halves of a copy would wait for both.
struct Cursor<'a> {
    bytes: &'a [u8; LIMIT],
    at: usize,
}

impl Cursor<'_> {
    #[inline(always)]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn u8(&mut self) -> u8 {
        let b = self.peek();
        self.at += 1;
        b
    }

    /// The next `N` bytes.
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        self.at += N;
        match rest.first_chunk::<N>() {
            Some(bytes) => *bytes,
            None => {
                let mut bytes = [0; N];
                bytes[..rest.len()].copy_from_slice(rest);
                bytes
            }
        }
    }

    /// `size` bytes (0, 1, 2, 4 or 8), sign-extended.
    #[inline(always)]
    fn signed(&mut self, size: usize) -> i64 {
        match size {
            0 => 0,
            1 => i64::from(self.u8() as i8),
            4 => i64::from(i32::from_le_bytes(self.take())),
            2 => i64::from(i16::from_le_bytes(self.take())),
            _ => i64::from_le_bytes(self.take()),
        }
    }

    /// `size` bytes (1, 2, 4 or 8), extended to 64 bits.
    #[inline(always)]
    fn immediate(&mut self, size: usize, signed: bool) -> u64 {
        // Eight bytes are read, wherever they end: a shift is quicker than to ask how many are meant.
        let Some(bytes) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) else {
            return if signed { self.signed(size) as u64 } else { self.unsigned(size) };
        };
        self.at += size;
        let up = (64 - 8 * size as u32) & 63;
        let shifted = u64::from_le_bytes(*bytes) << up;
        if signed { (shifted as i64 >> up) as u64 } else { shifted >> up }
    }

    /// `size` bytes, zero-extended.
    #[inline]
    fn unsigned(&mut self, size: usize) -> u64 {
        let value = self.signed(size) as u64;
        value & crate::isa::row::low_bytes(size)
    }
}

/// Decodes the instruction at the start of `bytes`; what lies behind it is not looked at.
///
/// # Errors
/// [`DecodeError`]: bytes that end early are told apart from instructions that are invalid or too long.
#[inline]
pub fn decode(bytes: &[u8], mode: Mode, profile: &Profile) -> Result<Insn, DecodeError> {
    let mut insn = Insn::EMPTY;
    decode_into(bytes, mode, profile, &mut insn)?;
    Ok(insn)
}

/// [`decode`] in place. An instruction is written in small pieces, and the processor waits for them before it can copy
/// the whole: where many are decoded, this way takes a third less time.
///
/// # Errors
/// As for [`decode`]; `insn` is then of no use.
#[inline(always)]
pub fn decode_into(bytes: &[u8], mode: Mode, profile: &Profile, insn: &mut Insn) -> Result<(), DecodeError> {
    // The window is all that is needed from there on: what is at hand in few registers is quick.
    match bytes.first_chunk() {
        Some(window) if mode == Mode::Long64 && quick::decode(window, profile, insn) => Ok(()),
        _ => general(bytes, mode, profile, insn),
    }
}

/// Any bytes, any mode.
#[inline(never)]
fn general(bytes: &[u8], mode: Mode, profile: &Profile, insn: &mut Insn) -> Result<(), DecodeError> {
    *insn = Insn::EMPTY;
    let mut padded = [0; LIMIT];
    let window = match bytes.first_chunk::<LIMIT>() {
        Some(window) => window,
        None => {
            padded[..bytes.len()].copy_from_slice(bytes);
            &padded
        }
    };
    let mut cur = Cursor { bytes: window, at: 0 };
    let result = decode_padded(&mut cur, mode, profile, insn);
    if cur.at > bytes.len().min(LIMIT) {
        return Err(if bytes.len() >= LIMIT { DecodeError::TooLong } else { DecodeError::Truncated });
    }
    result
}

#[inline(always)]
fn decode_padded(cur: &mut Cursor<'_>, mode: Mode, profile: &Profile, insn: &mut Insn) -> Result<(), DecodeError> {
    let long = mode == Mode::Long64;
    let mut p = take_prefixes(cur, long)?;
    let (space, map, opcode) = take_opcode(cur, mode, profile, &mut p)?;
    let line = tables::table(space, map, opcode).line(opcode);
    // The opcode's low bits name a register where ModRM does not.
    let modrm = if line.has_modrm() { cur.u8() } else { 0xc0 | opcode & 7 };
    let candidates = line.candidates(modrm);
    let sizes = &SIZES[mode as usize];
    let asize = sizes.address[usize::from(p.bits & prefix::P67 != 0)];
    let word = selector_word(sizes, &p, modrm, opcode, profile);
    let row = select(candidates, word, profile)?;

    let modrm = match row.attrs & (attr::ANY_MOD | attr::LATE_MODRM) {
        0 => modrm,
        attr::LATE_MODRM => cur.u8(),
        // MOV to and from control and debug registers has a register whatever ModRM.mod says.
        _ => {
            lock_as_r(&mut p, row, profile);
            modrm | 0xc0
        }
    };

    insn.row = row;
    insn.gate = GATES[row.gate as usize & 31] | if space == Space::Legacy { 0 } else { obstacle::REAL_V86 };
    insn.set_prefixes(p.bits | if modrm >> 6 == 3 { prefix::REGISTER } else { 0 });
    insn.mode = mode;
    insn.set_opcode(opcode);
    insn.set_modrm(modrm);
    insn.set_osize(operand_size(sizes, &p, row, profile));
    insn.set_asize(asize);
    insn.set_reg(modrm >> 3 & 7 | p.r);
    insn.set_rm(modrm & 7 | p.b);
    insn.set_vvvv(p.vvvv);
    insn.set_aaa(p.aaa);
    insn.ll = p.ll;
    if space != Space::Legacy {
        check_vector(insn, profile, long)?;
    }
    if !insn.has(prefix::REGISTER) {
        take_memory(cur, insn, &p)?;
    } else if space == Space::Evex {
        if p.x & 16 != 0 {
            return Err(DecodeError::Invalid("EVEX.U is set where there is no memory operand"));
        }
        if !row.plan.is(mark::GPR_RM) {
            // A vector register in ModRM.rm takes its fifth bit from EVEX.X.
            insn.set_rm(insn.rm() & 15 | p.x << 1 & 16);
        }
        if row.is(attr::DISTINCT) && insn.rm() == insn.reg() {
            return Err(DecodeError::Invalid("the destination is a source"));
        }
    }
    if (p.b | p.x) & 16 != 0 || p.bits & prefix::REX2 != 0 {
        insn.gate |= obstacle::NO_APX;
        if row.is(attr::NO_REX2) && p.bits & prefix::REX2 != 0 {
            return Err(DecodeError::Invalid("REX2 on an instruction that does not take it"));
        }
    }
    if let Some(seg) = p.seg {
        insn.seg = seg;
        insn.set_prefixes(insn.prefixes() | prefix::SEG);
    }
    operands::resolve(cur, insn, row, modrm < 0xc0)?;
    insn.set_len(cur.at as u8);
    if space == Space::Evex {
        scale_disp8(insn);
    }
    if insn.has(prefix::LOCK) && !(row.is(attr::LOCK) && insn.mem() == 0) {
        return Err(DecodeError::Invalid("LOCK on an instruction that cannot be locked"));
    }
    Ok(())
}

/// LOCK in place of REX.R, by which AMD's processors reach CR8 outside 64-bit mode too.
#[cold]
fn lock_as_r(p: &mut Prefixes, row: &Row, profile: &Profile) {
    let control = row.operands.iter().any(|spec| spec.loc == Loc::Control);
    if control && profile.vendor() == Vendor::Amd && profile.has(Feature::Cr8Legacy) && p.bits & prefix::LOCK != 0 {
        p.bits &= !prefix::LOCK;
        p.r |= 8;
    }
}

/// What a mode makes of prefixes, so that the decoder looks it up.
struct Sizes {
    /// The part of the selector word that mode, W, 66 and 67 decide.
    select: [u32; 8],
    /// Operand size, by the row's rule and then by W and 66.
    operand: [[u8; 4]; size_rule::COUNT],
    /// Address size, by 67.
    address: [u8; 2],
}

impl Sizes {
    /// `operand`: the operand size before a row's rule, by W (2) and 66 (1).
    const fn new(mode: u32, operand: [u8; 4], address: [u8; 2]) -> Sizes {
        // Sizes of 2, 4 and 8 as 0, 1 and 2.
        const fn code(size: u8) -> u32 {
            size as u32 >> 2
        }
        let mut select = [0; 8];
        let mut i = 0;
        while i < 8 {
            let (p66, w) = (i as u32 & 1, i as u32 >> 1 & 1);
            select[i] = mode
                | (p66 * sel::P66)
                | (w * sel::W)
                | code(operand[i & 3]) << sel::OSIZE_SHIFT
                | code(address[i >> 2]) << sel::ASIZE_SHIFT;
            i += 1;
        }
        let long = address[0] == 8;
        let mut by_rule = [operand; size_rule::COUNT];
        let mut rule = 0;
        while rule < size_rule::COUNT {
            let mut i = 0;
            while i < 4 {
                let prefixes = match rule as u8 {
                    rule if rule & size_rule::NONE != 0 => 0,
                    rule if rule & size_rule::NO_66 != 0 => i & 2,
                    _ => i,
                };
                let plain = operand[prefixes];
                let wide = rule as u8 & size_rule::F64 != 0 || rule as u8 & size_rule::D64 != 0 && plain == 4;
                by_rule[rule][i] = if long && wide { 8 } else { plain };
                i += 1;
            }
            rule += 1;
        }
        Sizes { select, operand: by_rule, address }
    }
}

/// By [`Mode`]'s number.
static SIZES: [Sizes; 7] = {
    const fn word(mode: u32) -> Sizes {
        Sizes::new(mode, [2, 4, 2, 4], [2, 4])
    }
    const fn double() -> Sizes {
        Sizes::new(0, [4, 2, 4, 2], [4, 2])
    }
    let long = Sizes::new(sel::MODE64, [4, 2, 8, 8], [8, 4]);
    [word(sel::REAL_V86), word(sel::REAL_V86), word(0), double(), word(0), double(), long]
};

/// 66 (1), W (2) and 67 (4) as an index into the tables of [`Sizes`].
#[inline(always)]
fn size_index(bits: u16) -> usize {
    const { assert!(prefix::P66 == 1 << 3 && prefix::P67 == 1 << 4 && prefix::W == 1 << 6) };
    (bits >> 3 & 1 | bits >> 5 & 2 | bits >> 2 & 4) as usize
}

/// The part of the selector word that ModRM decides.
static MODRM: [u32; 256] = {
    let mut words = [0; 256];
    let mut modrm = 0;
    while modrm < 256 {
        let m = modrm as u32;
        words[modrm] = (m >> 3 & 7) << sel::REG_SHIFT | (m & 7) << sel::RM_SHIFT;
        if m >= 0xc0 {
            words[modrm] |= sel::REGISTER;
        }
        modrm += 1;
    }
    words
};

#[inline(always)]
fn selector_word(sizes: &Sizes, p: &Prefixes, modrm: u8, opcode: u8, profile: &Profile) -> u32 {
    const { assert!(sel::NF == 4 << 21) };
    const { assert!((prefix::B as u32) << 9 == sel::B && (prefix::REX2 as u32) << 9 == sel::REX2) };
    let mut word = sizes.select[size_index(p.bits) & 7] | MODRM[modrm as usize];
    word |= p.rep << sel::REP_SHIFT | (p.ll as u32) << sel::L_SHIFT | (p.bits as u32) << 9 & (sel::B | sel::REX2);
    word |= (p.aaa as u32 & 4) << 21;
    word |= u32::from((opcode & 7 | p.b) != 0) * sel::OPREG_NONZERO;
    word | (u32::from(profile.vendor() == Vendor::Amd) * sel::AMD)
}

/// The first row whose bits match and whose features the profile has.
#[inline]
fn select(candidates: &'static [Row], word: u32, profile: &Profile) -> Result<&'static Row, DecodeError> {
    let mut lacking = false;
    for row in candidates {
        if word & row.select.mask != row.select.value {
            continue;
        }
        let plain = (row.features[0] as u8 | row.features[1] as u8) == Feature::Base as u8;
        if plain || profile.has(row.features[0]) && profile.has(row.features[1]) {
            return Ok(row);
        }
        if row.features.iter().all(|&f| profile.has(profile.provider(f))) {
            return Ok(row);
        }
        lacking = true;
    }
    Err(if lacking {
        DecodeError::Invalid("the profile lacks the instruction's feature")
    } else {
        elsewhere(candidates, word)
    })
}

/// Is it an instruction of another mode or vendor?
#[cold]
fn elsewhere(candidates: &[Row], word: u32) -> DecodeError {
    let differs_by = |bit: u32| candidates.iter().any(|row| (word ^ row.select.value) & row.select.mask == bit);
    if differs_by(sel::AMD) || differs_by(sel::AMD | sel::MODE64) {
        DecodeError::Invalid("an instruction of other processors")
    } else if differs_by(sel::REAL_V86) {
        DecodeError::Invalid("an instruction that would need protected mode")
    } else if differs_by(sel::MODE64) {
        DecodeError::Invalid("the instruction is not there in this mode")
    } else {
        NO_ROW
    }
}

#[inline(always)]
fn operand_size(sizes: &Sizes, p: &Prefixes, row: &Row, profile: &Profile) -> u8 {
    let size = sizes.operand[row.plan.size_rule as usize & (size_rule::COUNT - 1)][size_index(p.bits) & 3];
    if row.is(attr::F64) && p.bits & prefix::P66 != 0 && profile.vendor() == Vendor::Amd {
        // AMD lets 66 make a near branch 16 bits wide, Intel ignores it.
        return sizes.operand[0][size_index(p.bits) & 3];
    }
    size
}

/// Obstacles in the way of a row, by its gate; VEX and EVEX add real and virtual-8086 mode.
const GATES: [u32; 32] = {
    use obstacle::*;
    const { assert!(Gate::COUNT <= 32) };
    let mut masks = [0; 32];
    masks[Gate::X87 as usize] = EM | TS;
    masks[Gate::Mmx as usize] = EM | TS;
    masks[Gate::Fx as usize] = EM | TS;
    masks[Gate::Wait as usize] = MP_TS;
    masks[Gate::Sse as usize] = EM | TS | NO_OSFXSR;
    masks[Gate::Avx as usize] = TS | NO_AVX;
    masks[Gate::Avx512 as usize] = TS | NO_AVX512;
    masks[Gate::Xsave as usize] = TS | NO_OSXSAVE;
    masks[Gate::Xgetbv as usize] = NO_OSXSAVE;
    masks[Gate::Cpl0 as usize] = CPL_NOT_0;
    masks[Gate::Cpl0Ud as usize] = CPL_NOT_0;
    masks[Gate::Xsetbv as usize] = NO_OSXSAVE | CPL_NOT_0;
    masks[Gate::Xsaves as usize] = TS | NO_OSXSAVE | CPL_NOT_0;
    masks[Gate::Iopl as usize] = NO_CLI;
    masks[Gate::Apx as usize] = NO_APX;
    masks[Gate::Tile as usize] = NO_TILE;
    masks[Gate::TileData as usize] = NO_TILE | XFD_TILE;
    masks[Gate::TileAvx512 as usize] = TS | NO_TILE | NO_AVX512 | XFD_TILE;
    masks
};

/// Rules of VEX and EVEX that need the row: vector length, vvvv, opmask, broadcast, rounding.
fn check_vector(insn: &mut Insn, profile: &Profile, long: bool) -> Result<(), DecodeError> {
    let row = insn.row;
    let invalid = |why| Err(DecodeError::Invalid(why));
    let register = insn.has(prefix::REGISTER);
    let evex = row.space == Space::Evex;
    if profile.vendor() == Vendor::Amd {
        ignore_bits(insn, register);
    }
    if evex && row.features[0] as u8 == Feature::Apx as u8 {
        insn.gate |= obstacle::NO_APX;
    }
    if row.is(attr::PAIR)
        && (insn.vvvv() == 4 || insn.rm() == 4 || row.operands[0].uses.writes() && insn.vvvv() == insn.rm())
    {
        return invalid("the registers of PUSH2 and POP2 are none of RSP, and POP2's differ");
    }
    if row.is(attr::W1_BUT_AMD) && !insn.has(prefix::W) {
        return invalid("VEX.W must be set");
    }
    if row.is(attr::SCC) {
        // The low bits of EVEX are the condition, vvvv holds flags as they are.
        insn.set_aaa(insn.aaa() | ((!insn.vvvv()) >> 1 & 8));
        insn.set_vvvv(!insn.vvvv() & 15);
        return if insn.has(prefix::Z) { invalid("EVEX.z where zeroing is not allowed") } else { Ok(()) };
    }
    if !row.is(attr::VVVV) && insn.vvvv() != 0 && !is_vsib(row, insn.vvvv(), long) {
        return invalid("VEX.vvvv must be all ones");
    }
    if !long {
        insn.set_vvvv(insn.vvvv() & 7);
    }
    let bit = evex && insn.has(prefix::B) && row.select.mask & sel::B == 0;
    let rounding = register && bit;
    if rounding && row.rounding == Rounding::None {
        return invalid("EVEX.b on a form without rounding");
    }
    if !register && bit && !row.broadcast {
        return invalid("EVEX.b on a form without broadcast");
    }
    let ll = if rounding { 2 } else { insn.ll };
    if ll == 3 {
        return invalid("a reserved vector length");
    }
    if row.is(attr::L0) && ll != 0 {
        return invalid("VEX.L must be clear");
    }
    if !row.is(attr::LIG) {
        if row.is(attr::NO_128) && ll == 0 {
            return invalid("there is no 128-bit form");
        }
        insn.set_vl(16 << ll);
        let any = evex && ll != 2 && row.select.mask & sel::L == 0;
        if any && row.is(attr::ONLY_512) {
            return invalid("there is only a 512-bit form");
        }
        if any && !profile.has(Feature::Avx512vl) && !row.features.iter().any(|f| f.is_avx10()) {
            return invalid("the profile lacks avx512vl");
        }
        if row.is(attr::AVX2_256) && ll == 1 && !profile.has(Feature::Avx2) {
            return invalid("the profile lacks avx2");
        }
    }
    if evex {
        if insn.reg() > 15 && row.operands[0].loc == Loc::GprReg && !profile.has(Feature::Apx) {
            return invalid("general-purpose registers above R15 need apx_f");
        }
        if row.is(attr::DISTINCT) && insn.vvvv() == insn.reg() {
            return invalid("the destination is a source");
        }
        match row.masking {
            Masking::None if row.is(attr::NF) && insn.aaa() == 4 && profile.has(Feature::ApxNddNf) => {}
            Masking::None if row.select.mask & sel::NF != 0 && insn.aaa() & 3 == 0 => {}
            Masking::None if insn.aaa() != 0 => return invalid("an opmask on a form without one"),
            Masking::Required if insn.aaa() == 0 => return invalid("k0 where an opmask is an operand"),
            _ => {}
        }
        if insn.has(prefix::Z)
            && (!matches!(row.masking, Masking::MergeZero | Masking::Control)
                || memory_destination(row, register)
                || insn.aaa() == 0)
        {
            return invalid("EVEX.z where zeroing is not allowed");
        }
    }
    Ok(())
}

/// Takes away bits that AMD's processors (Zen 4) ignore and Intel's refuse: EVEX.b of a register form whose memory form
/// broadcasts, EVEX.z of what cannot be masked and has neither opmask operands nor a destination in memory, VEX's fourth bit
/// of an opmask register. VEX.W where only 1 is an instruction becomes 1.
fn ignore_bits(insn: &mut Insn, register: bool) {
    let row = insn.row;
    if row.space == Space::Evex {
        if register && row.broadcast && row.rounding == Rounding::None {
            insn.set_prefixes(insn.prefixes() & !prefix::B);
        }
        let opmask = |spec: &Spec| matches!(spec.loc, Loc::MaskReg | Loc::MaskRm);
        let ignores = insn.has(prefix::Z) && row.masking == Masking::None;
        if ignores && !memory_destination(row, register) && !row.specs().iter().any(opmask) {
            insn.set_prefixes(insn.prefixes() & !prefix::Z);
        }
    } else {
        if row.is(attr::W1_BUT_AMD) {
            insn.set_prefixes(insn.prefixes() | prefix::W);
        }
        for spec in row.specs() {
            match spec.loc {
                Loc::MaskReg => insn.set_reg(insn.reg() & 7),
                Loc::MaskVvvv => insn.set_vvvv(insn.vvvv() & 7),
                _ => {}
            }
        }
    }
}

/// Is the first operand in memory, and written?
fn memory_destination(row: &Row, register: bool) -> bool {
    !register && row.operands[0].uses.writes() && is_rm(row.operands[0].loc)
}

/// With a vector index, EVEX.V' belongs to the index and only vvvv itself must be all ones.
fn is_vsib(row: &Row, vvvv: u8, long: bool) -> bool {
    long && row.space == Space::Evex && vvvv == 16 && row.is(attr::VSIB)
}

fn is_rm(loc: Loc) -> bool {
    matches!(loc, Loc::GprOrMem | Loc::Mem | Loc::VecOrMem | Loc::MaskOrMem | Loc::MmxOrMem | Loc::Vsib)
}

/// SIB and displacement.
#[inline]
fn take_memory(cur: &mut Cursor<'_>, insn: &mut Insn, p: &Prefixes) -> Result<(), DecodeError> {
    let (mode, rm) = (insn.modrm() >> 6, insn.modrm() & 7);
    if insn.asize() == 2 {
        const BASES: [(u8, u8); 8] =
            [(3, 6), (3, 7), (5, 6), (5, 7), (6, NO_REG), (7, NO_REG), (5, NO_REG), (3, NO_REG)];
        let (base, index) = BASES[rm as usize];
        insn.set_base(base);
        insn.set_index(index);
        let size = match (mode, rm) {
            (0, 6) => {
                insn.set_base(NO_REG);
                2
            }
            (0, _) => 0,
            (1, _) => 1,
            _ => 2,
        };
        if size != 0 {
            insn.disp = cur.signed(size);
        }
        if size == 1 {
            insn.set_prefixes(insn.prefixes() | prefix::DISP8);
        }
        if insn.base() == 5 {
            insn.seg = Seg::Ss;
        }
        if insn.row.is(attr::VSIB) {
            return Err(DecodeError::Invalid("a vector index needs a SIB byte"));
        }
        return Ok(());
    }
    let mut size = [0, 1, 4, 0][mode as usize];
    if rm == 4 {
        let sib = cur.u8();
        insn.set_prefixes(insn.prefixes() | prefix::SIB);
        insn.set_scale(sib >> 6);
        insn.set_index(sib >> 3 & 7 | p.x);
        if insn.index() == 4 {
            insn.set_index(NO_REG);
        }
        if sib & 7 == 5 && mode == 0 {
            size = 4;
        } else {
            insn.set_base(sib & 7 | p.b);
        }
    } else if rm == 5 && mode == 0 {
        size = 4;
        if insn.mode == Mode::Long64 {
            if insn.row.is(attr::NO_RIP) {
                return Err(DecodeError::Invalid("an operand that cannot be relative to RIP"));
            }
            insn.set_base(RIP);
        }
    } else {
        insn.set_base(rm | p.b);
    }
    if size != 0 {
        insn.disp = cur.signed(size);
    }
    if size == 1 {
        insn.set_prefixes(insn.prefixes() | prefix::DISP8);
    }
    if insn.base() == 4 || insn.base() == 5 {
        insn.seg = Seg::Ss;
    }
    if insn.row.is(attr::SIBMEM) && (rm != 4 || insn.asize() == 2) {
        return Err(DecodeError::Invalid("tile memory needs a SIB byte"));
    }
    if insn.row.is(attr::VSIB) {
        if rm != 4 {
            return Err(DecodeError::Invalid("a vector index needs a SIB byte"));
        }
        if insn.index() == NO_REG {
            insn.set_index(4);
        }
        // EVEX.V' is the index's fifth bit.
        insn.set_index(insn.index() | (p.vvvv & if insn.row.space == Space::Evex { 16 } else { 0 }));
        check_vsib(insn)?;
    }
    Ok(())
}

/// Destination, index and mask registers of a gather differ; VEX's mask is in vvvv.
fn check_vsib(insn: &Insn) -> Result<(), DecodeError> {
    let gather = insn.row.operands[0].loc == Loc::VecReg;
    let vex = insn.row.space == Space::Vex;
    let clash =
        gather && insn.reg() == insn.index() || vex && (insn.vvvv() == insn.index() || insn.vvvv() == insn.reg());
    if clash { Err(DecodeError::Invalid("registers of a gather overlap")) } else { Ok(()) }
}

/// EVEX multiplies an 8-bit displacement by the memory operand's granule.
fn scale_disp8(insn: &mut Insn) {
    if !insn.has(prefix::DISP8) {
        return;
    }
    let (vl, element) = (insn.vl() as i64, insn.row.element as i64);
    let n = if insn.broadcast().is_some() {
        element
    } else {
        match insn.row.tuple {
            Tuple::None => 1,
            Tuple::Full | Tuple::FullMem => vl,
            Tuple::Half | Tuple::HalfMem => vl / 2,
            Tuple::Quarter | Tuple::QuarterMem => vl / 4,
            Tuple::EighthMem => vl / 8,
            Tuple::Scalar => element,
            Tuple::T2 => element * 2,
            Tuple::T4 => element * 4,
            Tuple::T8 => element * 8,
            Tuple::M128 => 16,
            Tuple::Dup if vl == 16 => 8,
            Tuple::Dup => vl,
        }
    };
    insn.disp *= n;
}
