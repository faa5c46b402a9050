//! Encodings of a row over all that an encoding can vary: registers, ModRM and SIB forms, prefixes, opmasks, vector
//! lengths, EVEX's bits, immediates.
//!
//! Each thing is varied by itself over its whole range, with everything else at random; then several at once. What
//! comes of an encoding is for the decoders to say: many are refused, or are another row's.

use super::support::fuzz::Random;
use encore86::Mode;
use encore86::isa::Row;
use encore86::isa::row::{Loc, Map, Masking, Rounding, Space, attr, sel};

/// Bytes made for a row: the instruction and something behind it.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    pub bytes: [u8; 15],
    /// It uses REX2 or the bits of EVEX that APX adds.
    pub apx: bool,
}

/// Everything that an encoding is made from.
#[derive(Clone, Copy, Debug)]
struct Pick {
    opcode: u8,
    lock: bool,
    p66: bool,
    rep: u32,
    p67: bool,
    /// A segment override, or 0.
    seg: u8,
    /// A REX that would not be needed.
    rex: bool,
    rex2: bool,
    /// The short VEX, where it can be had.
    short: bool,
    w: bool,
    l: u8,
    b: bool,
    z: bool,
    aaa: u8,
    /// Register numbers with their extensions, 0 to 31.
    reg: u8,
    vvvv: u8,
    rm: u8,
    index: u8,
    base: u8,
    /// ModRM.mod.
    form: u8,
    scale: u8,
    disp: u32,
    imm: [u8; 10],
}

/// One thing varied.
#[derive(Clone, Copy, Debug)]
enum Vary {
    Reg(u8),
    Rm(u8),
    Vvvv(u8),
    /// ModRM.mod and rm, memory; the displacement.
    Form(u8, u8, u32),
    /// ModRM.mod, scale, index, base.
    Sib(u8, u8, u8, u8),
    Seg(u8),
    AddressSize,
    Mask(u8, bool),
    /// EVEX.b or not, under a vector length.
    Bit(bool, u8),
    Imm(u8),
    Lock,
    OperandSize,
    Wide,
    Rex,
    Short,
    Opcode(u8),
}

const DISPLACEMENTS: [u32; 8] = [0, 1, 0xffff_ffff, 0x7f, 0x80, 0x1234_5678, 0xfedc_ba98, 0x8000_8000];
const IMMEDIATES: [[u8; 10]; 8] = [
    [0; 10],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2],
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    [0xff; 10],
    [0x05, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12],
    [0x9b, 0x02, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x30, 0x81, 0x7f, 0xfe, 0, 0, 0, 0, 0x80, 1],
];
const SEGMENTS: [u8; 6] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/// What a row can take.
struct Shape {
    row: &'static Row,
    long: bool,
    /// Address size without 67.
    bits: u32,
    /// ModRM.rm may be a register, may be memory.
    register: bool,
    memory: bool,
    /// ModRM.rm is a vector register, whose fifth bit is EVEX.X.
    vector_rm: bool,
    vsib: bool,
    /// ModRM.reg is a general-purpose register, whose fifth bit is APX's.
    gpr_reg: bool,
    immediate: bool,
    /// Registers that the fields can name.
    regs: u8,
    rms: u8,
    vvvvs: u8,
}

fn fixed(row: &Row, mask: u32) -> Option<u32> {
    (row.select.mask & mask != 0).then_some((row.select.value & mask) >> mask.trailing_zeros())
}

/// How many registers a location can name without APX.
fn count(row: &Row, loc: Loc, long: bool) -> u8 {
    use Loc::*;
    let vectors = match row.space {
        Space::Evex => 32,
        _ => 16,
    };
    match loc {
        _ if !long => 8,
        VecReg | VecOrMem | VecRm | VecVvvv => vectors,
        MaskReg | MaskRm | MaskOrMem | MaskVvvv | MmxReg | MmxOrMem | MmxRm | StRm | Seg | TileReg | TileRm
        | TileVvvv => 8,
        Debug => 8,
        BoundReg | BoundOrMem => 4,
        _ => 16,
    }
}

impl Shape {
    fn of(row: &'static Row, mode: Mode) -> Shape {
        use Loc::*;
        let long = mode == Mode::Long64;
        let has = |locs: &[Loc]| row.specs().iter().find(|s| locs.contains(&s.loc)).map(|s| s.loc);
        let either = has(&[GprOrMem, VecOrMem, MaskOrMem, MmxOrMem, BoundOrMem]);
        let memory = has(&[Mem, Vsib, SibMem]);
        let rm = has(&[GprRm, VecRm, MaskRm, MmxRm, StRm, TileRm]);
        let reg = has(&[GprReg, VecReg, MaskReg, MmxReg, Seg, Control, Debug, TileReg, BoundReg, AddressReg]);
        let vvvv = has(&[GprVvvv, VecVvvv, MaskVvvv, TileVvvv]);
        let register = fixed(row, sel::REGISTER);
        Shape {
            row,
            long,
            bits: mode.bits().into(),
            register: register.map_or(memory.is_none(), |r| r == 1),
            memory: register.map_or(either.is_some() || memory.is_some() || row.is(attr::MODRM), |r| r == 0),
            vector_rm: has(&[VecOrMem, VecRm]).is_some(),
            vsib: row.is(attr::VSIB),
            gpr_reg: reg == Some(GprReg),
            immediate: has(&[Imm, ImmSigned, Rel, Moffs, FarPointer, VecIs4]).is_some(),
            regs: reg.map_or(8, |loc| count(row, loc, long)),
            rms: either.or(rm).map_or(8, |loc| count(row, loc, long)),
            vvvvs: vvvv.map_or(8, |loc| count(row, loc, long)),
        }
    }

    fn address_bits(&self, p67: bool) -> u32 {
        match (self.bits, p67) {
            (64, false) => 64,
            (64, true) | (32, false) | (16, true) => 32,
            _ => 16,
        }
    }

    /// The bits that select the row, in each way that they allow.
    fn selections(&self) -> Vec<Pick> {
        let row = self.row;
        let legacy = row.space == Space::Legacy;
        let both = |bit: u32, free: bool| match fixed(row, bit) {
            Some(v) => vec![v == 1],
            None if free => vec![false, true],
            None => vec![false],
        };
        let some = |mask: u32, free: &[u32]| fixed(row, mask).map_or(free.to_vec(), |v| vec![v]);
        let opcodes: Vec<u8> =
            if row.is(attr::CONDITION) { (0..16).map(|i| row.opcode + i).collect() } else { vec![row.opcode] };
        let reps: &[u32] = if row.is(attr::REP) { &[0, 1, 2] } else { &[0] };
        let lengths: &[u32] = match row.space {
            Space::Legacy => &[0],
            Space::Evex => &[0, 1, 2],
            _ => &[0, 1],
        };
        let selects_66 = fixed(row, sel::P66).is_some() || row.select.mask & sel::REP == 0 && !legacy;
        let mut out = Vec::new();
        for &opcode in &opcodes {
            for p66 in both(sel::P66, !selects_66) {
                for rep in some(sel::REP, reps) {
                    for w in both(sel::W, !legacy || self.long) {
                        for l in some(sel::L, lengths) {
                            for b in both(sel::B, false) {
                                for rex2 in both(sel::REX2, false) {
                                    let nf = fixed(row, sel::NF).unwrap_or(0) as u8;
                                    out.push(Pick {
                                        p66,
                                        rep,
                                        w,
                                        l: l as u8,
                                        b,
                                        rex2,
                                        aaa: nf << 2,
                                        ..Pick::new(opcode)
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
        out
    }

    /// All that can be varied, one at a time.
    fn variations(&self) -> Vec<Vary> {
        let row = self.row;
        let evex = row.space == Space::Evex;
        let all = if self.long { 32 } else { 8 };
        let mut out = Vec::new();
        if row.is(attr::MODRM) && fixed(row, sel::REG).is_none() || row.is(attr::PLUS_R) {
            out.extend((0..all).map(Vary::Reg));
        }
        if row.is(attr::MODRM) && self.register && fixed(row, sel::RM).is_none() {
            out.extend((0..all).map(Vary::Rm));
        }
        if row.is(attr::VVVV) || !matches!(row.space, Space::Legacy) {
            out.extend((0..if evex { all } else { all.min(16) }).map(Vary::Vvvv));
        }
        if row.is(attr::MODRM) && self.memory {
            for form in 0..3 {
                out.extend((0..all).map(|rm| Vary::Form(form, rm, DISPLACEMENTS[(rm & 7) as usize])));
                out.extend(DISPLACEMENTS.iter().map(|&disp| Vary::Form(form, 1, disp)));
                out.extend(DISPLACEMENTS.iter().map(|&disp| Vary::Form(form, 5, disp)));
                out.extend((0..4).map(|scale| Vary::Sib(form, scale, 1, 3)));
                out.extend((0..all).map(|index| Vary::Sib(form, index & 3, index, 6)));
                out.extend((0..all).map(|base| Vary::Sib(form, base & 3, 2, base)));
                out.extend([Vary::Sib(form, 0, 4, 4), Vary::Sib(form, 1, 4, 5), Vary::Sib(form, 3, 4, 13)]);
            }
            out.extend(SEGMENTS.map(Vary::Seg));
            out.extend([Vary::AddressSize; 6]);
        }
        if evex {
            let masks = (0..8).flat_map(|k| [Vary::Mask(k, false), Vary::Mask(k, true)]);
            out.extend(masks);
            out.extend((0..4).flat_map(|l| [Vary::Bit(false, l), Vary::Bit(true, l)]));
        }
        if self.immediate {
            out.extend((0..IMMEDIATES.len() as u8).map(Vary::Imm));
        }
        match row.space {
            Space::Legacy => {
                out.extend([Vary::Lock, Vary::OperandSize, Vary::OperandSize, Vary::AddressSize]);
                out.extend(SEGMENTS.map(Vary::Seg));
                if self.long {
                    out.extend([Vary::Rex; 4]);
                }
            }
            Space::Vex => out.extend([Vary::Short; 8]),
            _ => {}
        }
        if row.is(attr::PLUS_R) {
            out.extend((0..8).map(Vary::Opcode));
        }
        out.extend([Vary::Wide; 2]);
        out
    }

    /// What is not selected, at random, mostly as the row wants it.
    fn fill(&self, pick: &mut Pick, random: &mut Random) {
        let row = self.row;
        let mut below = |n: u8| (random.next() >> 20) as u8 % n.max(1);
        let gprs = if self.long { 16 } else { 8 };
        pick.reg = below(self.regs);
        pick.rm = below(self.rms);
        pick.vvvv = if row.is(attr::VVVV) { below(self.vvvvs) } else { 0 };
        pick.base = below(gprs);
        pick.index = if self.vsib && row.space == Space::Evex && self.long { below(32) } else { below(gprs) };
        pick.scale = below(4);
        let memory = self.memory && (!self.register || below(2) == 1);
        pick.form = if memory { below(3) } else { 3 };
        if memory {
            pick.rm = below(gprs);
        }
        if self.vsib || row.is(attr::SIBMEM) {
            pick.rm = 4;
        }
        pick.disp = DISPLACEMENTS[below(8) as usize];
        pick.imm = IMMEDIATES[below(8) as usize];
        pick.short = below(2) == 0;
        if row.space != Space::Evex {
            return;
        }
        if row.is(attr::SCC) {
            pick.aaa = below(8);
            pick.vvvv = below(32);
        } else if row.is(attr::NF) {
            pick.aaa = below(2) << 2;
        } else if row.masking == Masking::Required {
            pick.aaa = 1 + below(7);
        } else if row.masking != Masking::None && below(2) == 0 {
            pick.aaa = below(8);
            pick.z = below(3) == 0 && pick.aaa != 0;
        }
        let bit = if pick.form == 3 { row.rounding != Rounding::None } else { row.broadcast };
        if bit && below(3) == 0 {
            pick.b = true;
            if pick.form == 3 && row.select.mask & sel::L == 0 {
                pick.l = below(4);
            }
        }
    }

    fn vary(&self, pick: &mut Pick, vary: Vary, random: &mut Random) {
        match vary {
            Vary::Reg(r) => pick.reg = r,
            Vary::Rm(r) => (pick.form, pick.rm) = (3, r),
            Vary::Vvvv(r) => pick.vvvv = r,
            Vary::Form(form, rm, disp) => (pick.form, pick.rm, pick.disp) = (form, rm, disp),
            Vary::Sib(form, scale, index, base) => {
                (pick.form, pick.rm) = (form, 4);
                (pick.scale, pick.index, pick.base) = (scale, index, base);
            }
            Vary::Seg(s) => pick.seg = s,
            Vary::AddressSize => pick.p67 = true,
            Vary::Mask(k, z) => (pick.aaa, pick.z) = (k, z),
            Vary::Bit(b, l) => {
                (pick.b, pick.l) = (b, l);
                if self.register && self.memory {
                    pick.form = (random.next() >> 20) as u8 & 3;
                }
            }
            Vary::Imm(i) => pick.imm = IMMEDIATES[i as usize],
            Vary::Lock => pick.lock = true,
            Vary::OperandSize => pick.p66 = !pick.p66,
            Vary::Wide => pick.w = self.long ^ (pick.w && self.long),
            Vary::Rex => pick.rex = true,
            Vary::Short => pick.short = true,
            Vary::Opcode(low) => pick.reg = low,
        }
    }

    /// The bytes of `pick`.
    fn encode(&self, pick: &Pick) -> Encoding {
        let row = self.row;
        let mut out = Out { bytes: [0; 15], len: 0 };
        let digit = fixed(row, sel::REG).map(|d| d as u8);
        let reg = digit.unwrap_or(pick.reg);
        let rm = match fixed(row, sel::RM) {
            Some(rm) if pick.form == 3 => rm as u8,
            _ => pick.rm,
        };
        let has_sib = pick.form != 3 && rm & 7 == 4 && self.address_bits(pick.p67) != 16;
        // The fields that extend ModRM.rm, or base and index.
        let (b, x) = match () {
            () if row.is(attr::PLUS_R) => (pick.reg, 0),
            () if !row.is(attr::MODRM) => (0, 0),
            () if has_sib => (pick.base, pick.index),
            () if pick.form == 3 && self.vector_rm && row.space == Space::Evex => (rm & 15, rm >> 1 & 8),
            () => (rm, 0),
        };
        let r = if row.is(attr::MODRM) && digit.is_none() { reg } else { 0 };
        let (r, x, b) = if self.long { (r, x, b) } else { (r & 7, x & 7, b & 7) };
        if pick.lock {
            out.push(0xf0);
        }
        if pick.p67 {
            out.push(0x67);
        }
        if pick.seg != 0 {
            out.push(pick.seg);
        }
        let vsib_high = if has_sib && self.vsib { x & 16 } else { 0 };
        let x4 = if vsib_high != 0 { 0 } else { x & 16 };
        let mut apx = (r | x4 | b) & 16 != 0 && row.space == Space::Legacy;
        match row.space {
            Space::Legacy => apx |= self.legacy_prefixes(pick, &mut out, (r, x, b), apx || pick.rex2),
            Space::Evex => {
                let vvvv = pick.vvvv | vsib_high;
                let one = (!r & 8) << 4 | (!x & 8) << 3 | (!b & 8) << 2 | !r & 16 | b >> 1 & 8 | row.map.number();
                let two = u8::from(pick.w) << 7 | (!vvvv & 15) << 3 | (!x4 & 16) >> 2 | self.pp(pick);
                let high = if self.long { !vvvv & 16 } else { 16 };
                let three = u8::from(pick.z) << 7 | pick.l << 5 | u8::from(pick.b) << 4 | high >> 1 | pick.aaa;
                out.extend(&[0x62, one, two, three]);
                apx = b & 16 != 0 || x4 != 0 || r & 16 != 0 && self.gpr_reg;
            }
            space => {
                let last = (!pick.vvvv & 15) << 3 | (pick.l & 1) << 2 | self.pp(pick);
                let bits = (!r & 8) << 4 | (!x & 8) << 3 | (!b & 8) << 2;
                if space == Space::Vex && pick.short && row.map == Map::M0f && !pick.w && (x | b) & 8 == 0 {
                    out.extend(&[0xc5, bits & 0x80 | last]);
                } else {
                    let first = if space == Space::Vex { 0xc4 } else { 0x8f };
                    out.extend(&[first, bits | row.map.number(), u8::from(pick.w) << 7 | last]);
                }
            }
        }
        let opcode = if row.is(attr::PLUS_R) { pick.opcode | reg & 7 } else { pick.opcode };
        if row.map != Map::M0f0f {
            out.push(opcode);
        }
        if row.is(attr::MODRM) {
            out.push(pick.form << 6 | (reg & 7) << 3 | rm & 7);
            if pick.form != 3 {
                self.address(pick, &mut out, rm, has_sib);
            }
        }
        if row.map == Map::M0f0f {
            out.push(opcode);
        }
        out.extend(&pick.imm);
        // AAD's opcode begins REX2 in 64-bit mode.
        apx |= self.long && row.space == Space::Legacy && row.map == Map::Primary && opcode == 0xd5;
        Encoding { bytes: out.bytes, apx }
    }

    fn pp(&self, pick: &Pick) -> u8 {
        match (pick.rep, pick.p66) {
            (0, p66) => u8::from(p66),
            (1, _) => 2,
            _ => 3,
        }
    }

    /// Mandatory prefixes, REX or REX2, and the escapes; tells whether REX2 was used.
    fn legacy_prefixes(&self, pick: &Pick, out: &mut Out, (r, x, b): (u8, u8, u8), rex2: bool) -> bool {
        if pick.p66 {
            out.push(0x66);
        }
        match pick.rep {
            1 => out.push(0xf3),
            2 => out.push(0xf2),
            _ => {}
        }
        let low = u8::from(pick.w) << 3 | (r & 8) >> 1 | (x & 8) >> 2 | (b & 8) >> 3;
        let map = self.row.map.number();
        let rex2 = rex2 && self.long && map < 2;
        if rex2 {
            out.extend(&[0xd5, map << 7 | (r & 16) << 2 | (x & 16) << 1 | b & 16 | low]);
            return true;
        }
        if self.long && (low != 0 || pick.rex) {
            out.push(0x40 | low);
        }
        match self.row.map {
            Map::M0f => out.push(0x0f),
            Map::M0f38 => out.extend(&[0x0f, 0x38]),
            Map::M0f3a => out.extend(&[0x0f, 0x3a]),
            Map::M0f0f => out.extend(&[0x0f, 0x0f]),
            _ => {}
        }
        false
    }

    /// SIB and displacement.
    fn address(&self, pick: &Pick, out: &mut Out, rm: u8, has_sib: bool) {
        let disp = pick.disp.to_le_bytes();
        if self.address_bits(pick.p67) == 16 {
            match (pick.form, rm & 7) {
                (0, 6) | (2, _) => out.extend(&disp[..2]),
                (1, _) => out.push(disp[0]),
                _ => {}
            }
            return;
        }
        if has_sib {
            out.push(pick.scale << 6 | (pick.index & 7) << 3 | pick.base & 7);
        }
        let bare = pick.form == 0 && (rm & 7 == 5 || has_sib && pick.base & 7 == 5);
        match pick.form {
            1 => out.push(disp[0]),
            2 => out.extend(&disp),
            _ if bare => out.extend(&disp),
            _ => {}
        }
    }
}

impl Pick {
    fn new(opcode: u8) -> Pick {
        Pick {
            opcode,
            lock: false,
            p66: false,
            rep: 0,
            p67: false,
            seg: 0,
            rex: false,
            rex2: false,
            short: false,
            w: false,
            l: 0,
            b: false,
            z: false,
            aaa: 0,
            reg: 0,
            vvvv: 0,
            rm: 0,
            index: 0,
            base: 0,
            form: 3,
            scale: 0,
            disp: 0,
            imm: [0; 10],
        }
    }
}

struct Out {
    bytes: [u8; 15],
    len: usize,
}

impl Out {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
        }
        self.len += 1;
    }

    fn extend(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.push(b));
    }
}

/// Encodings of `row` in `mode`: the same ones each time.
pub fn encodings(row: &'static Row, mode: Mode) -> Vec<Encoding> {
    let shape = Shape::of(row, mode);
    let mut random = Random(u64::from(row.select.value) << 16 | u64::from(row.opcode) << 8 | row.space as u64 | 0x80);
    let (selections, variations) = (shape.selections(), shape.variations());
    let any = |n: usize, random: &mut Random| (random.next() >> 16) as usize % n;
    let mut out = Vec::new();
    for &vary in &variations {
        let mut pick = selections[any(selections.len(), &mut random)];
        shape.fill(&mut pick, &mut random);
        shape.vary(&mut pick, vary, &mut random);
        out.push(shape.encode(&pick));
    }
    for selection in selections.iter().flat_map(|s| [s, s]) {
        let mut pick = *selection;
        shape.fill(&mut pick, &mut random);
        out.push(shape.encode(&pick));
    }
    for _ in 0..if shape.long { 48 } else { 16 } {
        let mut pick = selections[any(selections.len(), &mut random)];
        shape.fill(&mut pick, &mut random);
        for _ in 0..3 {
            if !variations.is_empty() {
                shape.vary(&mut pick, variations[any(variations.len(), &mut random)], &mut random);
            }
        }
        out.push(shape.encode(&pick));
    }
    out
}
