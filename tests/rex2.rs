//! REX2: an instruction with R24 to R31 does with them what the same instruction with REX does with R8 to R15, which
//! `tests/hardware.rs` compares with a processor. Every form of general-purpose registers that REX2 may stand before, LOCK
//! among them.

use encore86::cpu::registers::{component, rflags};
use encore86::isa::row::{Exec, Loc, Map, Row, Space, Width, attr, sel};
use encore86::isa::tables;
use encore86::{Access, Bus, Cpu, Engine, Event, Mode, Outcome, Platform, Profile, Stop, Vendor, decode};
use encore86_oracle::Random;

const CODE: u64 = 0x1000;
const DATA: u64 = 0x8000;
const SIZE: u64 = 0x10000;

/// 64 KiB of RAM, and nothing else.
#[derive(Clone, PartialEq, Eq)]
struct Ram(Vec<u8>);

impl Ram {
    fn at(&mut self, linear: u64, len: usize, access: &Access) -> Result<&mut [u8], Stop> {
        let fault = Event::pf(if access.writes() { 2 } else { 0 }, linear, "nothing is there");
        if linear >= SIZE || linear + len as u64 > SIZE {
            Err(fault.into())
        } else {
            Ok(&mut self.0[linear as usize..][..len])
        }
    }
}

impl Bus for Ram {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        buf.copy_from_slice(self.at(linear, 15, access)?);
        Ok(15)
    }
    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        buf.copy_from_slice(self.at(linear, buf.len(), access)?);
        Ok(())
    }
    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.at(linear, buf.len(), access)?.copy_from_slice(buf);
        Ok(())
    }
    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.at(linear, len, access).map(drop)
    }
}

impl Platform for Ram {}

/// May REX2 stand before it, and does it name general-purpose registers?
fn is_wanted(row: &Row) -> bool {
    let field = |loc| matches!(loc, Loc::GprOrMem | Loc::GprReg | Loc::GprRm | Loc::GprOpcode | Loc::Mem);
    let others = |loc| matches!(loc, Loc::Seg | Loc::Control | Loc::Debug | Loc::BoundReg | Loc::AddressReg);
    row.space == Space::Legacy
        && matches!(row.map, Map::Primary | Map::M0f)
        && matches!(row.exec, Exec::Value(_) | Exec::Seq(_))
        && !row.is(attr::NO_REX2)
        && row.select.value & sel::REX2 == 0
        && row.specs().iter().any(|spec| field(spec.loc))
        && !row.specs().iter().any(|spec| others(spec.loc))
}

/// The bytes with REX and with REX2. Registers in fields are 8 to 15, the base is R8 plus `base`.
fn draw(row: &Row, random: &mut Random) -> [Vec<u8>; 2] {
    let bit = |mask: u32| (row.select.mask & mask != 0).then_some(row.select.value & mask != 0);
    let w = bit(sel::W).unwrap_or_else(|| random.one_in(2));
    let p66 = bit(sel::P66).unwrap_or_else(|| random.one_in(4));
    let register = random.below(8) as u8;
    let plus = row.is(attr::PLUS_R);
    let condition = if row.is(attr::CONDITION) { random.below(16) as u8 } else { 0 };
    let opcode = row.opcode | condition | if plus { register } else { 0 };
    let mut tail = vec![opcode];
    let mut lock = false;
    if row.is(attr::MODRM) {
        let digit = (row.select.value >> sel::REG_SHIFT & 7) as u8;
        let reg = if row.select.mask & sel::REG != 0 { digit } else { random.below(8) as u8 };
        let only_memory = row.specs().iter().any(|spec| spec.loc == Loc::Mem);
        let memory = only_memory || bit(sel::REGISTER).map_or_else(|| random.one_in(2), |register| !register);
        if memory {
            // A SIB byte with base and index, and a displacement of eight bits.
            let (base, index) = (random.below(8) as u8, random.below(8) as u8);
            tail.extend([0x44 | reg << 3, (random.below(4) as u8) << 6 | index << 3 | base, random.word() as u8]);
            lock = row.is(attr::LOCK) && row.operands[0].uses.writes() && random.one_in(2);
        } else {
            tail.push(0xc0 | reg << 3 | register);
        }
    }
    for spec in row.specs() {
        let len = match (spec.loc, spec.width) {
            (Loc::Imm | Loc::ImmSigned, Width::B) => 1,
            (Loc::Imm | Loc::ImmSigned, Width::W) => 2,
            (Loc::Imm | Loc::ImmSigned, Width::Z | Width::V) if p66 && !w => 2,
            (Loc::Imm, Width::V) if w => 8,
            (Loc::Imm | Loc::ImmSigned, Width::Z | Width::V) => 4,
            _ => 0,
        };
        tail.extend(&random.gpr().to_le_bytes()[..len]);
    }
    let rep = match (row.select.value & sel::REP) >> sel::REP_SHIFT {
        1 => Some(0xf3),
        2 => Some(0xf2),
        _ => None,
    };
    let legacy: Vec<u8> = [p66.then_some(0x66), lock.then_some(0xf0), rep].into_iter().flatten().collect();
    let low = u8::from(w) << 3 | 7;
    let (escape, map) = if row.map == Map::M0f { (&[0x0f][..], 0x80) } else { (&[][..], 0) };
    let rex = [&legacy[..], &[0x40 | low], escape, &tail].concat();
    let rex2 = [&legacy[..], &[0xd5, map | 0x70 | low], &tail].concat();
    [rex, rex2]
}

/// One of the two, from registers that are equal in both halves; it ends where the other ends.
fn run(engine: &mut Engine, start: &Cpu, ram: &Ram, bytes: &[u8]) -> (Outcome, Cpu, Ram) {
    let (mut cpu, mut ram) = (start.clone(), ram.clone());
    cpu.rip = CODE - bytes.len() as u64;
    ram.0[cpu.rip as usize..CODE as usize].copy_from_slice(bytes);
    let outcome = engine.step(&mut cpu, &mut ram);
    if cpu.rip == CODE - bytes.len() as u64 {
        cpu.rip = 0;
    }
    ram.0[CODE as usize - 16..CODE as usize].fill(0);
    (outcome, cpu, ram)
}

#[test]
fn rex2_does_with_r24_to_r31_what_rex_does_with_r8_to_r15() {
    let mut random = Random::from_env("rex2", 0xd5);
    let profile = Profile::all().with_vendor(Vendor::Amd);
    let mut engine = Engine::integer_only(profile.clone());
    let (mut rows, mut cases, mut completed, mut locked, mut wrong) = (0, 0, 0, 0, Vec::new());
    let rounds = if cfg!(debug_assertions) { 20 } else { 200 };
    for row in tables::rows().filter(|row| is_wanted(row)) {
        let before = cases;
        for _ in 0..rounds {
            let [rex, rex2] = draw(row, &mut random);
            let same = |bytes: &[u8]| {
                let insn = decode(bytes, Mode::Long64, &profile);
                insn.is_ok_and(|insn| core::ptr::eq(insn.row(), row) && insn.length() == bytes.len())
            };
            if !same(&rex) {
                // Another row has these bytes.
                continue;
            }
            // With W, PUSH and POP of a register are PUSHP and POPP.
            let hinted =
                matches!(row.opcode, 0x50 | 0x58) && row.map == Map::Primary && rex.iter().any(|b| b & 0xf8 == 0x48);
            if hinted && !same(&rex2) {
                continue;
            }
            assert!(same(&rex2), "{rex2:02x?} is not {}", row.form());
            let mut cpu = Cpu::new();
            cpu.update(|s| s.xcr0 |= component::APX);
            for i in 0..16 {
                cpu.gpr[i] = if random.one_in(2) { random.below(0x1000) } else { random.gpr() };
            }
            (cpu.gpr[4], cpu.gpr[5]) = (DATA + 0x4000, DATA + 0x5000);
            // A base in the data; the index moves it, or out of it.
            if let Some(sib) =
                rex.iter().position(|&byte| byte & 0xf0 == 0x40).and_then(|at| rex.get(at + row_len(row)))
            {
                cpu.gpr[8 + usize::from(sib & 7)] = DATA + random.below(0x800);
            }
            cpu.gpr.copy_within(0..16, 16);
            cpu.set_rflags(random.rflags() & !rflags::DF);
            let mut ram = Ram(vec![0; SIZE as usize]);
            random.fill(&mut ram.0[DATA as usize..]);
            let (ended, one, memory) = run(&mut engine, &cpu, &ram, &rex);
            let (also, two, other) = run(&mut engine, &cpu, &ram, &rex2);
            let mut expected = cpu.gpr;
            expected[..8].copy_from_slice(&one.gpr[..8]);
            expected[24..].copy_from_slice(&one.gpr[8..16]);
            cases += 1;
            completed += u64::from(matches!(ended, Outcome::Completed(_)));
            locked += u64::from(rex.contains(&0xf0) && matches!(ended, Outcome::Completed(_)));
            let alike = ended == also && two.gpr == expected && (one.rip, one.rflags()) == (two.rip, two.rflags());
            if !alike || memory != other {
                wrong.push(format!("{} {rex:02x?} and {rex2:02x?}: {ended:?}, {also:?}", row.form()));
                break;
            }
        }
        rows += u64::from(cases > before);
    }
    let summary = format!("rex2: {rows} rows, {cases} cases, {completed} completed, {locked} with LOCK");
    println!("{summary}");
    assert!(wrong.is_empty(), "{summary}\n{}", wrong.join("\n"));
    assert!(rows > 150 && completed > 10_000 && locked > 500, "{summary}");
}

/// Bytes from REX to the SIB byte of a memory operand.
fn row_len(row: &Row) -> usize {
    if row.map == Map::M0f { 4 } else { 3 }
}
