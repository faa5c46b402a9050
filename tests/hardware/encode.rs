//! Encodings made from the table's rows, by the manual's rules and not by the library's re-encoder.

use crate::sites::Sites;
use encore86::Vendor;
use encore86::isa::row::{Exec, IntOp, Loc, Map, Masking, Rounding, Row, Space, Tuple, Width, attr, sel};
use encore86::isa::{FeatureSet, tables};
use encore86_oracle::{Mode, Random};

/// The longest instruction.
const LIMIT: usize = 15;

/// How ModRM.rm is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// No operand in ModRM.rm that could be both.
    Register,
    /// A memory operand.
    Memory(Addressing),
}

/// Addressing of a memory operand, at the mode's address size but for `Narrow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// A base register, with no displacement where that can be encoded.
    Base,
    /// Base and 8-bit displacement.
    Disp8,
    /// Base and displacement of the address size.
    Disp,
    /// Base, scaled index, 8-bit displacement.
    Indexed,
    /// Scaled index and displacement.
    IndexOnly,
    /// RIP-relative in 64-bit mode.
    Rip,
    /// Displacement only.
    Absolute,
    /// A segment override.
    Override,
    /// A 67 prefix.
    Narrow,
}

/// One choice on each axis of a row's encodings.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub form: Form,
    pub p66: bool,
    pub w: bool,
    /// 0, 1 (F3) or 2 (F2), for rows that repeat.
    pub rep: u8,
    pub lock: bool,
    pub ll: u8,
}

/// The effective address of an encoding, as it was meant.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// Segment register number.
    pub seg: usize,
    pub base: Option<u8>,
    /// A vector register where the row has a vector index.
    pub index: Option<u8>,
    /// Log2 of the scale.
    pub scale: u32,
    pub disp: i64,
    /// The encoding fixes the whole address.
    pub fixed: bool,
}

/// An encoding of a row.
#[derive(Clone, Debug)]
pub struct Encoding {
    pub row: &'static Row,
    pub mode: Mode,
    pub bytes: Vec<u8>,
    pub address: Option<Address>,
    /// In bytes.
    pub osize: usize,
    pub asize: usize,
    pub vl: usize,
    pub rep: u8,
    pub lock: bool,
    /// Register numbers with their extensions.
    pub reg: u8,
    pub rm: u8,
    /// Segment of a string source.
    pub string_seg: usize,
    /// EVEX.aaa.
    pub aaa: u8,
    /// EVEX.b in register form: embedded rounding or {sae}.
    pub rounding: bool,
    /// EVEX.b in memory form.
    pub broadcast: bool,
    pub wide: bool,
}

/// Default operand and address size of a mode, in bytes.
pub fn bits(mode: Mode) -> usize {
    match mode {
        Mode::Long64 => 64,
        Mode::Compat32 => 32,
        Mode::Compat16 => 16,
    }
}

/// May rows of this kind appear in the mode at all?
pub fn in_mode(row: &Row, mode: Mode, vendor: Vendor) -> bool {
    let long = mode == Mode::Long64;
    let forced_w = row.space == Space::Legacy && row.select.value & sel::W != 0;
    let osize64 = row.select.mask & sel::OSIZE != 0 && row.select.value >> sel::OSIZE_SHIFT & 3 == 2;
    let asize = (row.select.mask & sel::ASIZE != 0).then_some(row.select.value >> sel::ASIZE_SHIFT & 3);
    let amd = vendor == Vendor::Amd;
    let vendors = row.select.mask & sel::AMD == 0 || (row.select.value & sel::AMD != 0) == amd;
    vendors
        && (row.select.mask & sel::MODE64 == 0 || (row.select.value & sel::MODE64 != 0) == long)
        && (long || !forced_w && !osize64 && asize != Some(2))
        && !(long && asize == Some(0))
}

/// Does memory need a SIB byte: for a vector of indices, or the rows of a tile?
fn needs_sib(row: &Row) -> bool {
    row.specs().iter().any(|s| matches!(s.loc, Loc::Vsib | Loc::SibMem))
}

fn has_width(row: &Row, widths: &[Width]) -> bool {
    row.specs().iter().any(|s| widths.contains(&s.width))
}

/// The combinations of a row's axes that the mode has.
pub fn wishes(row: &Row, mode: Mode) -> Vec<Wish> {
    use Addressing::*;
    let long = mode == Mode::Long64;
    let modrm = row.is(attr::MODRM);
    let forced_register = (row.select.mask & sel::REGISTER != 0).then_some(row.select.value & sel::REGISTER != 0);
    let vsib = needs_sib(row);
    let moffs = row.specs().iter().any(|s| s.loc == Loc::Moffs);
    let strings = row.is(attr::REP);
    let mut forms = Vec::new();
    if !modrm || forced_register != Some(false) {
        forms.push(Form::Register);
    }
    if modrm && forced_register != Some(true) && !row.is(attr::ANY_MOD) {
        let all: &[Addressing] = match (long, vsib) {
            (_, true) => &[Disp8, Indexed, IndexOnly, Override, Narrow],
            (true, _) => &[Base, Disp8, Disp, Indexed, IndexOnly, Rip, Absolute, Override, Narrow],
            (false, _) => &[Base, Disp8, Disp, Indexed, IndexOnly, Absolute, Override, Narrow],
        };
        let all = all.iter().filter(|a| !(vsib && mode == Mode::Compat16 && **a != Narrow));
        let all = all.filter(|a| !(vsib && mode == Mode::Compat32 && **a == Narrow));
        forms.extend(all.map(|&a| Form::Memory(a)));
    }
    if moffs || strings {
        forms = vec![Form::Register, Form::Memory(Override), Form::Memory(Narrow)];
    }
    let sized = has_width(row, &[Width::V, Width::Z, Width::Stack, Width::Y])
        || row.is(attr::D64)
        || row.is(attr::F64)
        || row.select.mask & sel::OSIZE != 0;
    let mandatory = row.select.mask & sel::P66 != 0;
    let vector = row.space != Space::Legacy;
    let sixes: &[bool] = if mandatory || vector || !sized { &[false] } else { &[false, true] };
    let ws: &[bool] = if vector || sized && long { &[false, true] } else { &[false] };
    let reps: &[u8] = if strings { &[0, 1, 2] } else { &[0] };
    let locks: &[bool] = if row.is(attr::LOCK) { &[false, true] } else { &[false] };
    let lls: &[u8] = match row.space {
        Space::Legacy => &[0],
        Space::Vex | Space::Xop => &[0, 1],
        Space::Evex => &[0, 1, 2],
    };
    let mut out = Vec::new();
    for &form in &forms {
        for &p66 in sixes {
            for &w in ws {
                for &rep in reps {
                    for &lock in locks {
                        if lock && form == Form::Register {
                            continue;
                        }
                        out.extend(lls.iter().map(|&ll| Wish { form, p66, w, rep, lock, ll }));
                    }
                }
            }
        }
    }
    out
}

/// The fields of an encoding before they become bytes.
#[derive(Clone, Default)]
struct Draft {
    p66: bool,
    p67: bool,
    lock: bool,
    /// 0, 1 (F3) or 2 (F2).
    rep: u8,
    seg: Option<usize>,
    rex: bool,
    w: bool,
    opcode: u8,
    reg: u8,
    rm: u8,
    index: u8,
    vvvv: u8,
    ll: u8,
    aaa: u8,
    z: bool,
    b: bool,
    /// ModRM.mod, or `None` without ModRM.
    mode: Option<u8>,
    sib: Option<u8>,
    disp: Vec<u8>,
    imm: Vec<u8>,
}

struct Encoder<'a> {
    row: &'static Row,
    mode: Mode,
    sites: &'a Sites,
    random: &'a mut Random,
    vendor: Vendor,
}

/// Makes an encoding of `row` with the wished properties and random registers. `None`: this draw is another row's, or
/// the mode or the row cannot have what was wished.
pub fn encode(
    row: &'static Row,
    mode: Mode,
    wish: &Wish,
    sites: &Sites,
    random: &mut Random,
    vendor: Vendor,
    features: &FeatureSet,
) -> Option<Encoding> {
    let encoding = Encoder { row, mode, sites, random, vendor }.draw(wish, features)?;
    (encoding.bytes.len() <= LIMIT).then_some(encoding)
}

const SEGMENT_PREFIX: [u8; 6] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

impl Encoder<'_> {
    fn long(&self) -> bool {
        self.mode == Mode::Long64
    }

    /// A register number, often one that was drawn before.
    fn register(&mut self, taken: &[u8], extended: u64) -> u8 {
        let count = if self.long() { extended } else { 8 };
        if !taken.is_empty() && self.random.one_in(4) {
            return self.random.pick(taken) % count as u8;
        }
        self.random.below(count) as u8
    }

    /// A segment register to override with. In 16-bit mode CS reaches the code area alone, of which nobody has a copy.
    fn segment(&mut self) -> usize {
        match self.mode {
            Mode::Long64 => self.random.pick(&[4, 5]),
            Mode::Compat32 => self.random.below(6) as usize,
            Mode::Compat16 => self.random.pick(&[0, 2, 3, 4, 5]),
        }
    }

    fn draw(&mut self, wish: &Wish, features: &FeatureSet) -> Option<Encoding> {
        let (row, long) = (self.row, self.long());
        let (mask, value) = (row.select.mask, row.select.value);
        let memory = matches!(wish.form, Form::Memory(_)) && row.is(attr::MODRM);
        let evex = row.space == Space::Evex;
        let registers = if evex { 32 } else { 16 };
        let mut d = Draft { opcode: row.opcode, lock: wish.lock, ll: wish.ll, rep: wish.rep, ..Draft::default() };
        d.p66 = if mask & sel::P66 != 0 { value & sel::P66 != 0 } else { wish.p66 };
        d.w = if mask & sel::W != 0 { value & sel::W != 0 } else { wish.w };
        d.w |= row.is(attr::W1_BUT_AMD) && self.vendor != Vendor::Amd;
        if mask & sel::REP != 0 {
            d.rep = (value >> sel::REP_SHIFT & 3) as u8;
        }
        if mask & sel::L != 0 {
            d.ll = (value >> sel::L_SHIFT & 3) as u8;
        }
        if row.is(attr::NO_128) && d.ll == 0 {
            return None;
        }
        if row.is(attr::L0) && d.ll != 0 {
            return None;
        }
        if row.is(attr::PLUS_R) {
            d.rm = self.register(&[], 16);
            d.opcode |= d.rm & 7;
        }
        if row.is(attr::CONDITION) {
            d.opcode |= self.random.below(16) as u8;
        }
        if row.is(attr::MODRM) {
            d.reg = self.register(&[], registers);
            d.rm = self.register(&[d.reg], registers);
        }
        if row.is(attr::VVVV) {
            d.vvvv = self.register(&[d.reg, d.rm], registers);
        }
        for spec in row.specs() {
            match spec.loc {
                Loc::MaskReg => d.reg &= 7,
                Loc::MaskVvvv => d.vvvv &= 7,
                Loc::GprReg => d.reg &= 15,
                Loc::GprVvvv => d.vvvv &= 15,
                Loc::TileReg => d.reg &= 7,
                Loc::TileRm => d.rm &= 7,
                Loc::TileVvvv => d.vvvv &= 7,
                Loc::GprRm => d.rm &= 15,
                Loc::GprOrMem if !memory => d.rm &= 15,
                // CS cannot be loaded.
                Loc::Seg => {
                    d.reg = self.random.pick(if spec.uses.writes() { &[0, 2, 3, 4, 5] } else { &[0, 1, 2, 3, 4, 5] })
                }
                Loc::Control => d.reg = self.random.pick(if long { &[0, 2, 3, 4, 8] } else { &[0, 2, 3, 4] }),
                Loc::Debug => d.reg &= 7,
                Loc::BoundReg => d.reg &= 3,
                Loc::BoundOrMem if !memory => d.rm &= 3,
                _ => {}
            }
        }
        let three_tiles = row.specs().iter().any(|s| s.loc == Loc::TileVvvv);
        let clash = d.reg == d.vvvv || d.reg == d.rm && !memory;
        if three_tiles && (clash || d.rm == d.vvvv) || row.is(attr::DISTINCT) && clash {
            return None;
        }
        if row.is(attr::PAIR) && (d.rm == d.vvvv || d.rm == 4 || d.vvvv == 4) {
            return None;
        }
        if mask & sel::REG != 0 {
            d.reg = (value >> sel::REG_SHIFT & 7) as u8;
        }
        if mask & sel::RM != 0 {
            d.rm = (value >> sel::RM_SHIFT & 7) as u8;
        }
        d.rex = long && row.space == Space::Legacy && self.random.one_in(3);
        if evex {
            self.masks(&mut d, memory)?;
        }
        let mut address = None;
        match wish.form {
            Form::Memory(addressing) if memory => address = Some(self.address(&mut d, addressing)?),
            Form::Memory(Addressing::Narrow) => d.p67 = true,
            Form::Memory(_) => d.seg = Some(self.segment()),
            Form::Register => {
                if row.is(attr::MODRM) {
                    d.mode = Some(3);
                }
                // Prefixes without effect.
                if row.space == Space::Legacy && self.random.one_in(12) {
                    d.seg = Some(if long { self.random.below(6) as usize } else { self.segment() });
                }
            }
        }
        if row.map == Map::Primary
            && row.space == Space::Legacy
            && self.random.one_in(24)
            && !d.p66
            && !row.is(attr::F64)
        {
            d.p66 = mask & (sel::P66 | sel::OSIZE) == 0 && !has_width(row, &[Width::Stack]);
        }
        let asize = match (self.mode, d.p67) {
            (Mode::Long64, false) => 8,
            (Mode::Long64, true) | (Mode::Compat32, false) | (Mode::Compat16, true) => 4,
            _ => 2,
        };
        let bounds = row.operands[0].loc == Loc::BoundReg || row.operands[1].loc == Loc::BoundReg;
        if bounds && asize == 2 || row.is(attr::NO_RIP) && wish.form == Form::Memory(Addressing::Rip) {
            return None;
        }
        if !self.is_this_row(&d, asize, features) {
            return None;
        }
        let wide_esp = self.mode == Mode::Compat16 && row.is(attr::BRANCH);
        if wide_esp && (d.mode == Some(3) && d.rm == 4 || address.is_some_and(|a| a.base == Some(4))) {
            // A stepped run does not load the upper half of ESP there.
            return None;
        }
        if !self.is_tame(&d, address.as_ref()) {
            return None;
        }
        let osize = self.operand_size(&d);
        self.immediates(&mut d, osize, asize, &mut address);
        let bytes = self.assemble(&d);
        Some(Encoding {
            row,
            mode: self.mode,
            bytes,
            address,
            osize,
            asize,
            vl: 16 << if row.is(attr::LIG) { 0 } else { d.ll.min(2) },
            rep: d.rep,
            lock: d.lock,
            reg: d.reg,
            rm: d.rm,
            string_seg: d.seg.filter(|&seg| !long || seg >= 4).unwrap_or(3),
            aaa: d.aaa,
            rounding: evex && !memory && d.b,
            broadcast: evex && memory && d.b,
            wide: d.w,
        })
    }

    /// Can the state of a case keep the operand within the oracle's memory?
    fn is_tame(&self, d: &Draft, address: Option<&Address>) -> bool {
        let Some(address) = address else { return true };
        let bits = matches!(self.row.exec, Exec::Value(IntOp::Bt | IntOp::Bts | IntOp::Btr | IntOp::Btc));
        let offset = bits && self.row.opcode != 0xba;
        let stack = matches!(self.row.exec, Exec::Seq(_));
        // A bit offset in a register of the address, far from RSP where that has to be at the stack.
        !(offset && (address.base == Some(d.reg) || address.index == Some(d.reg)))
            && !(stack && address.base == Some(4) && (d.mode == Some(2) || address.index.is_some()))
    }

    /// EVEX.aaa, z and b.
    fn masks(&mut self, d: &mut Draft, memory: bool) -> Option<()> {
        let row = self.row;
        d.aaa = match row.masking {
            Masking::None => 0,
            Masking::Merge | Masking::MergeZero | Masking::Control => self.random.below(8) as u8,
            Masking::Required => 1 + self.random.below(7) as u8,
        };
        let memory_destination = memory && matches!(row.operands[0].loc, Loc::VecOrMem | Loc::Mem | Loc::Vsib);
        let zeroes = matches!(row.masking, Masking::MergeZero | Masking::Control);
        d.z = zeroes && d.aaa != 0 && !memory_destination && self.random.one_in(2);
        d.b = if memory { row.broadcast } else { row.rounding != Rounding::None } && self.random.one_in(2);
        if row.select.mask & sel::B != 0 {
            d.b = row.select.value & sel::B != 0;
        }
        if row.select.value & sel::NF != 0 {
            d.aaa = 4;
        }
        if d.b && !memory && row.rounding == Rounding::Er {
            d.ll = self.random.below(4) as u8;
        } else if row.is(attr::LIG) && d.ll == 3 {
            return None;
        }
        if row.is(attr::ONLY_512) && d.ll != 2 && (memory || !d.b) {
            return None;
        }
        Some(())
    }

    /// ModRM, SIB and displacement of a memory operand.
    fn address(&mut self, d: &mut Draft, addressing: Addressing) -> Option<Address> {
        use Addressing::*;
        let long = self.long();
        let vsib = needs_sib(self.row);
        d.p67 = addressing == Narrow || self.row.select.mask & sel::ASIZE != 0;
        let kind = if addressing == Narrow || addressing == Override {
            self.random.pick(if vsib { &[Indexed, Disp8, IndexOnly] } else { &[Base, Disp8, Disp, Indexed][..] })
        } else {
            addressing
        };
        if addressing == Override {
            d.seg = Some(self.segment());
        } else if self.random.one_in(16) {
            d.seg = Some(if long { self.random.below(4) as usize } else { self.segment() });
        }
        let sixteen = match self.mode {
            Mode::Long64 => false,
            Mode::Compat32 => d.p67,
            Mode::Compat16 => !d.p67,
        };
        // 16-bit addresses reach nothing in a flat segment.
        if sixteen && self.mode == Mode::Compat32 && !self.random.one_in(8) {
            d.seg = Some(4 + self.random.below(2) as usize);
        }
        let (mut seg, explicit) = (3, d.seg.filter(|&s| !long || s >= 4));
        let address =
            if sixteen { self.address16(d, kind, &mut seg)? } else { self.address32(d, kind, vsib, &mut seg) };
        Some(Address { seg: explicit.unwrap_or(seg), ..address })
    }

    fn address16(&mut self, d: &mut Draft, kind: Addressing, seg: &mut usize) -> Option<Address> {
        use Addressing::*;
        const FORMS: [(u8, Option<u8>); 8] =
            [(3, Some(6)), (3, Some(7)), (5, Some(6)), (5, Some(7)), (6, None), (7, None), (5, None), (3, None)];
        let rm = match kind {
            Indexed => self.random.below(4) as u8,
            Absolute => 6,
            Rip => return None,
            _ => self.random.below(8) as u8,
        };
        let mode = match kind {
            Absolute => 0,
            Base if rm != 6 => 0,
            Disp | IndexOnly => 2,
            _ => 1,
        };
        (d.mode, d.rm) = (Some(mode), rm);
        if kind == Absolute {
            let at = self.sites.absolute(self.random, 16);
            d.disp = (at as u16).to_le_bytes().to_vec();
            return Some(Address { seg: 3, base: None, index: None, scale: 0, disp: at as i64 & 0xffff, fixed: true });
        }
        let (base, index) = FORMS[rm as usize];
        if base == 5 {
            *seg = 2;
        }
        let disp = self.displacement(d, mode, 2);
        Some(Address { seg: 3, base: Some(base), index, scale: 0, disp, fixed: false })
    }

    fn address32(&mut self, d: &mut Draft, kind: Addressing, vsib: bool, seg: &mut usize) -> Address {
        use Addressing::*;
        let long = self.long();
        let (gather, base) = (self.row.is(attr::VSIB), self.register(&[d.reg], 16));
        let mut index = self.register(&[d.reg, base], if gather && self.row.space == Space::Evex { 32 } else { 16 });
        // Registers of a gather that overlap are #UD.
        let (count, vex) = (if long { 16 } else { 8 }, self.row.space == Space::Vex);
        while gather && index == d.reg {
            index = (index + 1) % count;
        }
        while gather && vex && (d.vvvv == d.reg || d.vvvv == index) {
            d.vvvv = (d.vvvv + 1) % count;
        }
        let scale = self.random.below(4) as u32;
        let mut address = Address { seg: 3, base: Some(base), index: None, scale: 0, disp: 0, fixed: false };
        match kind {
            Rip | Absolute => {
                address.base = None;
                address.fixed = true;
                let at = self.sites.absolute(self.random, 32);
                d.disp = (at as u32).to_le_bytes().to_vec();
                address.disp = at as i64;
                d.mode = Some(0);
                if kind == Absolute && long {
                    d.rm = 4;
                    d.sib = Some(0x25 | (scale as u8) << 6);
                } else {
                    // In 64-bit mode `assemble` turns it into the distance from the end of the instruction.
                    d.rm = 5;
                }
                return address;
            }
            IndexOnly => {
                address.base = None;
                address.index = Some(index).filter(|&i| vsib || i != 4);
                address.scale = scale;
                (d.mode, d.rm) = (Some(0), 4);
                d.index = index;
                d.sib = Some(5 | (index & 7) << 3 | (scale as u8) << 6);
                let disp = self.random.pick(&[0, 1, 8, 64, 0x1000, 0x1_0000, -4, -0x800, 0x7fff_0000]);
                d.disp = (disp as i32).to_le_bytes().to_vec();
                address.disp = disp;
                return address;
            }
            _ => {}
        }
        let sib = vsib || kind == Indexed || base & 7 == 4 || self.random.one_in(8);
        let none = !vsib && kind != Indexed;
        let index = if none { 4 } else { index };
        if sib {
            d.rm = 4 | base & 8;
            d.index = index;
            d.sib = Some(base & 7 | (index & 7) << 3 | (scale as u8) << 6);
            address.index = Some(index).filter(|&i| vsib || i != 4);
            address.scale = scale;
        } else {
            d.rm = base;
        }
        let mode = match kind {
            Base if base & 7 != 5 => 0,
            Disp => 2,
            _ => 1,
        };
        d.mode = Some(mode);
        if base == 4 || base == 5 {
            *seg = 2;
        }
        address.disp = self.displacement(d, mode, 4);
        address
    }

    /// Draws a displacement of ModRM.mod and gives its effect.
    fn displacement(&mut self, d: &mut Draft, mode: u8, wide: usize) -> i64 {
        match mode {
            0 => 0,
            1 => {
                let byte = self.random.word() as i8;
                d.disp = vec![byte as u8];
                i64::from(byte) * self.granule(d)
            }
            _ if wide == 2 => {
                let word = self.random.gpr() as i16;
                d.disp = word.to_le_bytes().to_vec();
                i64::from(word)
            }
            _ => {
                let word = self.random.gpr() as i32;
                d.disp = word.to_le_bytes().to_vec();
                i64::from(word)
            }
        }
    }

    /// What EVEX multiplies an 8-bit displacement by (SDM volume 2, 2.7.5).
    fn granule(&self, d: &Draft) -> i64 {
        if self.row.space != Space::Evex {
            return 1;
        }
        let (vl, element) = (16 << d.ll.min(2), i64::from(self.row.element));
        match self.row.tuple {
            Tuple::Full | Tuple::Half | Tuple::Quarter if d.b => element,
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
            Tuple::Dup => [8, 32, 64][d.ll.min(2) as usize],
        }
    }

    /// Do the bits select this row, and none that stands before it?
    fn is_this_row(&self, d: &Draft, asize: usize, features: &FeatureSet) -> bool {
        let mut word = u32::from(d.rep) << sel::REP_SHIFT | u32::from(d.ll) << sel::L_SHIFT;
        let mut set = |condition: bool, bit: u32| word |= if condition { bit } else { 0 };
        set(d.p66, sel::P66);
        set(d.w, sel::W);
        set(d.mode.is_none_or(|m| m == 3), sel::REGISTER);
        set(self.long(), sel::MODE64);
        set(d.b, sel::B);
        set(d.aaa & 4 != 0, sel::NF);
        set(self.vendor == Vendor::Amd, sel::AMD);
        set(self.needs_rex2(), sel::REX2);
        set(d.opcode & 7 != 0 || d.rm & 8 != 0, sel::OPREG_NONZERO);
        word |= u32::from(d.reg & 7) << sel::REG_SHIFT | u32::from(d.rm & 7) << sel::RM_SHIFT;
        let osize = match (self.mode, d.p66) {
            (Mode::Long64, _) if d.w => 2,
            (Mode::Long64 | Mode::Compat32, false) | (Mode::Compat16, true) => 1,
            _ => 0,
        };
        word |= osize << sel::OSIZE_SHIFT | (asize.trailing_zeros() - 1) << sel::ASIZE_SHIFT;
        let table = tables::table(self.row.space, self.row.map, d.opcode);
        let matching = |row: &&Row| {
            word & row.select.mask == row.select.value && row.features.into_iter().all(|f| features.has(f))
        };
        table
            .line(d.opcode)
            .candidates((d.reg & 7) << 3)
            .iter()
            .find(matching)
            .is_some_and(|row| core::ptr::eq(row, self.row))
    }

    fn needs_rex2(&self) -> bool {
        self.row.select.value & sel::REX2 != 0
    }

    fn operand_size(&self, d: &Draft) -> usize {
        let p66 = d.p66 && self.row.select.mask & sel::P66 == 0;
        let size = match (self.mode, p66) {
            (Mode::Long64, _) if d.w => 8,
            (Mode::Long64 | Mode::Compat32, false) | (Mode::Compat16, true) => 4,
            _ => 2,
        };
        match self.mode {
            // AMD lets 66 make a near branch 16 bits wide.
            Mode::Long64 if self.row.is(attr::F64) => {
                if self.vendor == Vendor::Amd && size == 2 {
                    2
                } else {
                    8
                }
            }
            Mode::Long64 if self.row.is(attr::D64) && size == 4 => 8,
            _ => size,
        }
    }

    fn immediates(&mut self, d: &mut Draft, osize: usize, asize: usize, address: &mut Option<Address>) {
        if self.row.map == Map::M0f0f {
            // The opcode stands in the immediate's place.
            return d.imm.push(d.opcode);
        }
        for spec in self.row.specs() {
            let len = match (spec.loc, spec.width) {
                (Loc::Imm | Loc::ImmSigned | Loc::Rel, Width::B) | (Loc::VecIs4, _) => 1,
                (Loc::Imm | Loc::ImmSigned | Loc::Rel, Width::W) => 2,
                (Loc::Imm | Loc::ImmSigned | Loc::Rel, Width::D) => 4,
                (Loc::Imm | Loc::ImmSigned | Loc::Rel, Width::Z) => osize.min(4),
                (Loc::Imm | Loc::ImmSigned, Width::V) => osize,
                (Loc::Imm, Width::Q) => 8,
                (Loc::FarPointer, _) => osize + 2,
                (Loc::Moffs, _) => {
                    let at = self.sites.absolute(self.random, asize as u32 * 8);
                    d.imm.extend(&at.to_le_bytes()[..asize]);
                    let seg = d.seg.filter(|&s| !self.long() || s >= 4).unwrap_or(3);
                    let disp = at as i64;
                    *address = Some(Address { seg, base: None, index: None, scale: 0, disp, fixed: true });
                    0
                }
                _ => 0,
            };
            let value = match len {
                1 => self.random.word(),
                _ => self.random.gpr(),
            };
            d.imm.extend(&value.to_le_bytes().repeat(2)[..len]);
            if let (Loc::FarPointer, Some(selector)) = (spec.loc, d.imm.last_mut()) {
                // Beyond every table: what the kernel's own holds is not known.
                *selector |= 0x10;
            }
        }
    }

    fn assemble(&mut self, d: &Draft) -> Vec<u8> {
        let mut out = Vec::new();
        if d.p67 {
            out.push(0x67);
        }
        if let Some(seg) = d.seg {
            out.push(SEGMENT_PREFIX[seg]);
        }
        let map = self.row.map.number();
        let pp = match (d.rep, d.p66) {
            (1, _) => 2,
            (2, _) => 3,
            (_, p66) => u8::from(p66),
        };
        // The third bit of register numbers in REX's order: R, X, B.
        let base = if d.sib.is_some() && d.mode != Some(3) { d.rm & 8 } else { d.rm };
        let (r, x, b) = (d.reg >> 3 & 1, d.index >> 3 & 1, base >> 3 & 1);
        match self.row.space {
            Space::Legacy => {
                let mut prefixes = Vec::new();
                prefixes.extend(d.p66.then_some(0x66));
                prefixes.extend(d.lock.then_some(0xf0));
                prefixes.extend([None, Some(0xf3), Some(0xf2)][d.rep as usize]);
                if prefixes.len() > 1 && self.random.one_in(2) {
                    prefixes.reverse();
                }
                out.extend(prefixes);
                let rex = 0x40 | u8::from(d.w) << 3 | r << 2 | x << 1 | b;
                if self.needs_rex2() {
                    out.extend([0xd5, rex & 15]);
                } else if self.long() && (rex != 0x40 || d.rex) {
                    out.push(rex);
                }
                match map {
                    0 => {}
                    0x0f => out.extend([0x0f, 0x0f]),
                    1 => out.push(0x0f),
                    2 => out.extend([0x0f, 0x38]),
                    _ => out.extend([0x0f, 0x3a]),
                }
            }
            Space::Evex => {
                let high = if d.mode == Some(3) { d.rm >> 4 & 1 } else { x };
                let x = if d.mode == Some(3) { high } else { x };
                // The vector index's fifth bit takes the place of vvvv's.
                let fifth = if d.sib.is_some() && d.index >= 16 { 1 } else { d.vvvv >> 4 & 1 };
                out.push(0x62);
                out.push((r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | (d.reg >> 4 & 1 ^ 1) << 4 | map);
                out.push(u8::from(d.w) << 7 | (!d.vvvv & 15) << 3 | 4 | pp);
                out.push(u8::from(d.z) << 7 | d.ll << 5 | u8::from(d.b) << 4 | (fifth ^ 1) << 3 | d.aaa);
            }
            _ => {
                let last = (!d.vvvv & 15) << 3 | d.ll << 2 | pp;
                if map == 1 && !d.w && x == 0 && b == 0 && self.random.one_in(2) {
                    out.extend([0xc5, (r ^ 1) << 7 | last]);
                } else {
                    let escape = if self.row.space == Space::Xop { 0x8f } else { 0xc4 };
                    out.extend([escape, (r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | map, u8::from(d.w) << 7 | last]);
                }
            }
        }
        if self.row.map != Map::M0f0f {
            out.push(d.opcode);
        }
        if let Some(mode) = d.mode {
            out.push(mode << 6 | (d.reg & 7) << 3 | d.rm & 7);
            out.extend(d.sib);
            let at = out.len();
            out.extend(&d.disp);
            out.extend(&d.imm);
            if self.long() && mode == 0 && d.rm & 7 == 5 && d.sib.is_none() {
                // RIP-relative: the meant address stands in the displacement.
                let meant = i64::from(u32::from_le_bytes([out[at], out[at + 1], out[at + 2], out[at + 3]]));
                let next = self.sites.start(self.mode) as i64 + out.len() as i64;
                out[at..at + 4].copy_from_slice(&((meant - next) as i32).to_le_bytes());
            }
            return out;
        }
        out.extend(&d.imm);
        out
    }
}
