//! An instruction of APX with random registers, as bytes and as code without APX that does the same.

use encore86::isa::Row;
use encore86::isa::row::{Exec, IntOp, Loc, Map, Spec, Width, attr, sel};
use encore86_oracle::Random;

const RCX: u8 = 1;
const RSP: u8 = 4;
/// The register through which the code without APX makes a new destination.
const TMP: u8 = 15;

/// Where ModRM.rm is.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Register(u8),
    /// Base, index and log2 of its scale, displacement.
    Memory {
        base: u8,
        index: Option<(u8, u8)>,
        disp: i8,
    },
}

/// The fields of one encoding, guest registers 0 to 31.
#[derive(Clone, Debug)]
pub struct Case {
    pub row: &'static Row,
    opcode: u8,
    p66: bool,
    pub wide: bool,
    /// EVEX.NF: flags stay.
    pub keeps: bool,
    /// EVEX.ND.
    nd: bool,
    /// The source condition, and what the flags become where it fails (OF, SF, ZF, CF as bits 3 to 0).
    pub source_condition: Option<(u8, u8)>,
    reg: u8,
    pub rm: Place,
    vvvv: u8,
    imm: Vec<u8>,
}

fn has(row: &Row, of: impl Fn(&Spec) -> bool) -> bool {
    row.specs().iter().any(of)
}

impl Case {
    /// A random encoding of a row; `None` where the code without APX has no such form.
    pub fn draw(row: &'static Row, random: &mut Random) -> Option<Case> {
        let bit = |mask: u32| (row.select.mask & mask != 0).then_some(row.select.value & mask != 0);
        let byte = row.operands[0].width == Width::B;
        let wide = bit(sel::W).unwrap_or_else(|| !byte && random.one_in(2));
        let sized = bit(sel::P66).is_none();
        let p66 = bit(sel::P66).unwrap_or_else(|| sized && !wide && random.one_in(3));
        let register = |random: &mut Random| random.below(32) as u8;
        let may = |loc: &[Loc]| has(row, |s| loc.contains(&s.loc));
        let memory = match (may(&[Loc::Mem]), may(&[Loc::GprOrMem]), bit(sel::REGISTER)) {
            (true, ..) | (_, true, Some(false)) => true,
            (_, true, None) => random.one_in(2),
            _ => false,
        };
        let rm = if memory {
            let index = register(random);
            let index = (index != RSP && random.one_in(2)).then(|| (index, random.below(4) as u8));
            Place::Memory { base: register(random), index, disp: random.word() as i8 }
        } else {
            Place::Register(register(random))
        };
        let digit = (row.select.value >> sel::REG_SHIFT & 7) as u8;
        let reg = match row.select.mask & sel::REG {
            0 if has(row, |s| s.loc == Loc::GprReg) => register(random),
            0 => 0,
            _ => digit,
        };
        let source = row.is(attr::SCC).then(|| (random.below(16) as u8, random.below(16) as u8));
        let condition = if row.is(attr::CONDITION) { random.below(16) as u8 } else { 0 };
        let len = row.specs().iter().map(|s| match (s.loc, s.width) {
            (Loc::Imm | Loc::ImmSigned, Width::B) => 1,
            (Loc::Imm | Loc::ImmSigned, Width::Z) if p66 => 2,
            (Loc::Imm | Loc::ImmSigned, Width::Z) => 4,
            _ => 0,
        });
        let imm = random.gpr().to_le_bytes()[..len.sum::<usize>()].to_vec();
        let keeps = match bit(sel::NF) {
            Some(nf) => nf,
            None => row.is(attr::NF) && random.one_in(2),
        };
        let vvvv = if has(row, |s| s.loc == Loc::GprVvvv) { register(random) } else { 0 };
        let nd = bit(sel::B) == Some(true);
        let opcode = row.opcode | condition;
        let case = Case { row, opcode, p66, wide, keeps, nd, source_condition: source, reg, rm, vvvv, imm };
        // MOVBE between registers is APX's alone.
        let swaps = row.exec == Exec::Extended(IntOp::Movbe) && !memory;
        (!swaps).then_some(case)
    }

    fn pp(&self) -> u8 {
        match (self.row.select.value & sel::REP) >> sel::REP_SHIFT {
            1 => 2,
            2 => 3,
            _ => u8::from(self.p66),
        }
    }

    /// Operand size in bytes.
    pub fn size(&self) -> u8 {
        match self.row.operands[0].width {
            Width::B => 1,
            _ if self.wide => 8,
            Width::V if self.p66 => 2,
            _ => 4,
        }
    }

    /// Is the new destination apart from the operands of the form without one?
    pub fn is_new(&self) -> bool {
        self.nd && self.row.operands[0].loc == Loc::GprVvvv
    }

    /// The instruction as APX has it.
    pub fn bytes(&self) -> Vec<u8> {
        let bit = |value: u8, n: u8| value >> n & 1;
        let (b, x) = match self.rm {
            Place::Register(rm) => (rm, 0),
            Place::Memory { base, index, .. } => (base, index.map_or(0, |(index, _)| index)),
        };
        let inverted = (bit(self.reg, 3) << 7 | bit(x, 3) << 6 | bit(b, 3) << 5 | bit(self.reg, 4) << 4) ^ 0xf0;
        let (third, fourth) = match self.source_condition {
            Some((condition, flags)) => (flags, condition),
            None => (!self.vvvv & 15, u8::from(self.keeps) << 2 | (bit(self.vvvv, 4) ^ 1) << 3),
        };
        let mut out = vec![
            0x62,
            inverted | bit(b, 4) << 3 | self.row.map.number(),
            u8::from(self.wide) << 7 | third << 3 | (bit(x, 4) ^ 1) << 2 | self.pp(),
            u8::from(self.nd) << 4 | fourth,
            self.opcode,
        ];
        match self.rm {
            Place::Register(rm) => out.push(0xc0 | (self.reg & 7) << 3 | rm & 7),
            Place::Memory { base, index, disp } => {
                let (index, scale) = index.unwrap_or((RSP, 0));
                out.extend([0x44 | (self.reg & 7) << 3, scale << 6 | (index & 7) << 3 | base & 7, disp as u8]);
            }
        }
        out.extend(&self.imm);
        out
    }

    /// The guest registers that it names, the new destination first.
    pub fn registers(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let vvvv = has(self.row, |s| s.loc == Loc::GprVvvv);
        all.extend(vvvv.then_some(self.vvvv));
        all.extend(has(self.row, |s| s.loc == Loc::GprReg).then_some(self.reg));
        if let Place::Register(rm) = self.rm {
            all.push(rm);
        }
        all.extend(self.row.specs().iter().filter(|s| s.loc == Loc::FixedGpr).map(|s| s.fixed & 15));
        all
    }

    /// The guest register that the result goes to; `None` if it is memory.
    pub fn destination(&self) -> Option<u8> {
        match (self.row.operands[0].loc, self.rm) {
            (Loc::GprVvvv, _) => Some(self.vvvv),
            (Loc::GprReg, _) => Some(self.reg),
            (_, Place::Register(rm)) => Some(rm),
            _ => None,
        }
    }
}

/// Encodings without APX, of host registers 0 to 15; memory is at `base` alone.
pub struct Native<'a> {
    pub case: &'a Case,
    /// The host register of a guest's.
    pub host: &'a dyn Fn(u8) -> u8,
    pub base: u8,
}

impl Native<'_> {
    fn modrm(&self, out: &mut Vec<u8>, reg: u8, rm: Option<u8>) {
        match rm {
            Some(rm) => out.push(0xc0 | (reg & 7) << 3 | rm & 7),
            // A displacement of 0, which any base takes.
            None => out.extend([0x44 | (reg & 7) << 3, 0x20 | self.base & 7, 0]),
        }
    }

    /// An instruction of general-purpose registers; `rm` is memory where it is `None`.
    fn plain(&self, prefix: &[u8], size: u8, opcode: &[u8], reg: u8, rm: Option<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((size == 2).then_some(0x66));
        out.extend(prefix);
        let b = rm.unwrap_or(self.base);
        out.push(0x40 | u8::from(size == 8) << 3 | (reg & 8) >> 1 | (b & 8) >> 3);
        out.extend(opcode);
        self.modrm(&mut out, reg, rm);
        out
    }

    /// MOV, or MOVZX of what is narrower than a doubleword.
    fn load(&self, size: u8, to: u8, rm: Option<u8>) -> Vec<u8> {
        match size {
            1 => self.plain(&[], 4, &[0x0f, 0xb6], to, rm),
            2 => self.plain(&[], 4, &[0x0f, 0xb7], to, rm),
            size => self.plain(&[], size, &[0x8b], to, rm),
        }
    }

    /// Prefix, escape and opcode of the form without APX.
    fn opcode(&self) -> (Vec<u8>, Vec<u8>) {
        let op = self.case.opcode;
        let plain = |opcode: &[u8]| (vec![], opcode.to_vec());
        let last = |prefix: u8, opcode: &[u8]| (vec![prefix], opcode.to_vec());
        match (op, self.case.row.exec) {
            (_, Exec::Extended(IntOp::Setcc)) => plain(&[0x0f, 0x90 | op & 15]),
            (_, Exec::Extended(IntOp::Cmovcc)) => plain(&[0x0f, op]),
            (0x24 | 0x2c, _) => plain(&[0x0f, op | 0x80]),
            (0xa5 | 0xad | 0xaf, _) => plain(&[0x0f, op]),
            (0x60 | 0x61, _) => plain(&[0x0f, 0x38, op + 0x90]),
            (0x66, Exec::Extended(IntOp::Adcx)) => last(0x66, &[0x0f, 0x38, 0xf6]),
            (0x66, _) => last(0xf3, &[0x0f, 0x38, 0xf6]),
            (0x88, _) => last(0xf3, &[0x0f, 0xb8]),
            (0xf4, _) => last(0xf3, &[0x0f, 0xbc]),
            (0xf5, _) => last(0xf3, &[0x0f, 0xbd]),
            (0xf0 | 0xf1, _) => last(0xf2, &[0x0f, 0x38, op]),
            // MOVDIRI and MOVRS move.
            (0xf9, _) => plain(&[0x89]),
            // RAO-INT.
            (0xfc, Exec::Extended(op)) => plain(&[match op {
                IntOp::Add => 0x01,
                IntOp::And => 0x21,
                IntOp::Xor => 0x31,
                _ => 0x09,
            }]),
            _ => plain(&[op]),
        }
    }

    /// The instruction itself, with these host registers.
    fn operation(&self, reg: u8, rm: Option<u8>) -> Vec<u8> {
        let case = self.case;
        let mut out = if case.row.map == Map::M4 {
            let (prefix, opcode) = self.opcode();
            // CRC32 has the size of its source, ADCX and ADOX no 66 of their own.
            let size = match (case.opcode, case.row.operands[1].width) {
                (0xf1, _) if case.p66 => 2,
                (0x66, _) if !case.wide => 4,
                _ => case.size(),
            };
            self.plain(&prefix, size, &opcode, reg, rm)
        } else {
            let named = has(case.row, |s| s.loc == Loc::GprVvvv);
            let vvvv = if named { (self.host)(case.vvvv) } else { 0 };
            let b = rm.unwrap_or(self.base);
            let mut out = vec![
                0xc4,
                (!reg & 8) << 4 | 0x40 | (!b & 8) << 2 | case.row.map.number(),
                u8::from(case.wide) << 7 | (!vvvv & 15) << 3 | case.pp(),
                case.opcode,
            ];
            self.modrm(&mut out, reg, rm);
            out
        };
        out.extend(&case.imm);
        out
    }

    fn rm(&self) -> Option<u8> {
        match self.case.rm {
            Place::Register(rm) => Some((self.host)(rm)),
            Place::Memory { .. } => None,
        }
    }

    /// Loads the source of CFCMOV and stores it where it goes.
    pub fn moved(&self) -> Vec<u8> {
        let (case, size) = (self.case, self.case.size());
        let reg = (self.host)(case.reg);
        match (case.row.operands[0].loc, self.rm()) {
            (Loc::GprOrMem, None) => self.plain(&[], size, &[0x89], reg, None),
            (Loc::GprOrMem, Some(rm)) => self.load(size, rm, Some(reg)),
            (Loc::GprVvvv, rm) => self.load(size, (self.host)(case.vvvv), rm),
            (_, rm) => self.load(size, reg, rm),
        }
    }

    /// Reads the condition into the temporary register.
    pub fn condition(code: u8) -> Vec<u8> {
        vec![0x41, 0x0f, 0x90 | code, 0xc0 | TMP & 7]
    }

    /// Did [`Native::condition`] find that it holds?
    pub fn held(registers: &[u64; 16]) -> bool {
        registers[TMP as usize] & 0xff != 0
    }

    /// Code that leaves the result, and the flags if the instruction writes them.
    pub fn code(&self) -> Vec<u8> {
        let (case, size) = (self.case, self.case.size());
        let grouped = case.row.select.mask & sel::REG != 0;
        let reg = if grouped { case.reg } else { (self.host)(case.reg) };
        if !case.is_new() {
            let mut out = self.operation(reg, self.rm());
            if let (true, Some(to)) = (case.nd, case.destination()) {
                out.extend(self.load(size, (self.host)(to), Some((self.host)(to))));
            }
            return out;
        }
        let mut out;
        if case.row.operands[1].loc == Loc::GprReg {
            out = self.load(size, TMP, Some(reg));
            out.extend(self.operation(TMP, self.rm()));
        } else {
            out = self.load(size, TMP, self.rm());
            out.extend(self.operation(reg, Some(TMP)));
        }
        out.extend(self.plain(&[], 8, &[0x8b], (self.host)(case.vvvv), Some(TMP)));
        out
    }
}

/// Host registers that stand for a guest's: RSP and the temporary one for none, RCX, RAX and RDX for themselves where the
/// row names them.
pub fn stand_ins(case: &Case) -> Vec<(u8, u8)> {
    let fixed: Vec<u8> = case.row.specs().iter().filter(|s| s.loc == Loc::FixedGpr).map(|s| s.fixed & 15).collect();
    let mut map: Vec<(u8, u8)> = fixed.iter().map(|&f| (f, f)).collect();
    let mut free = (0..TMP).rev().filter(|r| *r != RSP && !matches!(*r, 0 | RCX | 2));
    for guest in case.registers() {
        if !map.iter().any(|(g, _)| *g == guest) {
            map.push((guest, free.next().expect("enough registers")));
        }
    }
    map.dedup();
    map
}
