//! APX against the host processor, which has none: an instruction with a new destination, without flags or with registers
//! above R15 does what a few instructions without them do, and those the processor itself runs. Registers are renamed to
//! ones that it has. So the oracle is the processor for all that APX shares with the rest of the instruction set; what is
//! its own (PUSH2, POP2, JMPABS, the flags of CCMP that fails) stands in `tests/instructions/apx`.

#[path = "apx/case.rs"]
mod case;
#[path = "hardware/machine.rs"]
#[allow(dead_code, reason = "the comparison of all forms uses more of it")]
mod machine;
#[path = "hardware/sites.rs"]
#[allow(dead_code, reason = "the comparison of all forms uses more of it")]
mod sites;

use case::{Case, Native, Place};
use encore86::cpu::registers::{component, rflags};
use encore86::isa::row::{Exec, IntOp, Loc, Map, Row, Space};
use encore86::isa::{Feature, tables};
use encore86::{Cpu, Engine, Outcome, Profile, Vendor, decode};
use encore86_coverage::{checked, manual};
use encore86_oracle::{Ended, Mode, Oracle, Random, Setup, Skips, State};
use machine::{Habits, Memory};
use sites::Sites;
use std::collections::{BTreeMap, BTreeSet};

/// What the comparison leaves to tables.
fn left_out(row: &Row) -> Option<&'static str> {
    match row.exec {
        Exec::Extended(IntOp::Cmpccxadd) => Some("CMPccXADD has no form without it"),
        Exec::Extended(_) => None,
        _ => Some("no function of values"),
    }
}

struct Bench {
    oracle: Oracle,
    sites: Sites,
    memory: Memory,
    engine: Engine,
    blank: Cpu,
    profile: Profile,
}

/// What the processor left, by the guest's registers.
struct Expected {
    ended: Ended,
    gpr: [u64; 32],
    rflags: u64,
}

impl Bench {
    fn new() -> Bench {
        // SAFETY: operands lie in the oracle's areas or in the holes beside them; the code has no branch and no system call.
        let mut oracle = unsafe { Oracle::new() }.expect("an oracle");
        let sites = Sites::of(&oracle);
        let mut memory = Memory::new(sites);
        memory.adopt(&mut oracle);
        let mut profile = Profile::host();
        for &feature in [Feature::Apx, Feature::ApxNddNf, Feature::Movdiri, Feature::Movrs, Feature::RaoInt].iter() {
            profile = profile.with(feature);
        }
        let engine = Engine::integer_only(profile.clone());
        let mut blank = machine::user(&oracle, Mode::Long64);
        blank.update(|s| s.xcr0 |= component::APX);
        Bench { oracle, sites, memory, engine, blank, profile }
    }

    /// What the processor makes of it, given in the guest's registers.
    fn native(&mut self, case: &Case, gpr: &[u64; 32], flags: u64, at: u64) -> Expected {
        let map = case::stand_ins(case);
        let host = |guest: u8| map.iter().find(|(g, _)| *g == guest).map_or(0, |(_, h)| *h);
        // R14 and below are given out from above; the base lies below all of them.
        let native = Native { case, host: &host, base: 3 };
        let mut state = State { rflags: flags, ..State::default() };
        state.gpr[4] = self.sites.data + 0x800;
        for &(guest, host) in &map {
            state.gpr[host as usize] = gpr[guest as usize];
        }
        assert!(map.iter().all(|(_, host)| *host != native.base), "the base is free");
        state.gpr[native.base as usize] = at;
        let mut holds = true;
        let code = match case.row.exec {
            Exec::Extended(IntOp::Cfcmov) => {
                holds = self.holds(&state, case.bytes()[4] & 15);
                native.moved()
            }
            Exec::Extended(IntOp::Ccmp | IntOp::Ctest) => {
                let (condition, _) = case.source_condition.expect("a source condition");
                holds = match condition {
                    0xa => true,
                    0xb => false,
                    code => self.holds(&state, code),
                };
                native.code()
            }
            _ => native.code(),
        };
        if !holds {
            return self.failed(case, gpr, flags);
        }
        let (ended, after) = self.oracle.run(&code, &state);
        let mut expected = Expected { ended, gpr: *gpr, rflags: after.rflags };
        if ended == Ended::Retired {
            for &(guest, host) in &map {
                expected.gpr[guest as usize] = after.gpr[host as usize];
            }
        }
        if ended != Ended::Retired || case.keeps || case.row.flags.written == 0 {
            expected.rflags = flags;
        }
        expected
    }

    /// Asks the processor for a condition.
    fn holds(&mut self, state: &State, code: u8) -> bool {
        let (ended, after) = self.oracle.run(&Native::condition(code), state);
        assert_eq!(ended, Ended::Retired);
        Native::held(&after.gpr)
    }

    /// A condition that fails: CCMP and CTEST have the flags with them, CFCMOV leaves zero or its first source.
    fn failed(&self, case: &Case, gpr: &[u64; 32], flags: u64) -> Expected {
        let mut expected = Expected { ended: Ended::Retired, gpr: *gpr, rflags: flags };
        if let Some((_, set)) = case.source_condition {
            let given = [rflags::CF | rflags::PF, rflags::ZF, rflags::SF, rflags::OF];
            let given: u64 = given.iter().enumerate().filter(|(i, _)| set >> i & 1 != 0).map(|(_, flag)| flag).sum();
            expected.rflags = flags & !rflags::ARITH | given;
        } else if let Some(to) = case.destination() {
            let first = case.bytes()[5] >> 3 & 7 | (!case.bytes()[1] & 0x80) >> 4 | !case.bytes()[1] & 0x10;
            let kept = gpr[first as usize] & (u64::MAX >> (64 - 8 * u32::from(case.size())));
            expected.gpr[to as usize] = if case.is_new() { kept } else { 0 };
        }
        expected
    }

    /// The same in the engine.
    fn emulated(&mut self, bytes: &[u8], gpr: &[u64; 32], flags: u64, habits: Habits) -> Result<Expected, String> {
        let setup = Setup::default();
        self.memory.lay(self.sites.code + setup.offset as u64, bytes, 16);
        self.memory.begin(habits);
        let mut cpu = self.blank.clone();
        cpu.gpr = *gpr;
        cpu.rip = self.oracle.start(&setup);
        cpu.set_rflags(flags);
        let next = cpu.rip + bytes.len() as u64;
        let outcome = loop {
            match self.engine.step(&mut cpu, &mut self.memory) {
                Outcome::Retry => {}
                outcome => break outcome,
            }
        };
        let ended = match outcome {
            Outcome::Completed(_) if cpu.rip == next => Ended::Retired,
            Outcome::Exception(event) => Ended::Signal {
                trap: event.vector,
                error: event.error_code.unwrap_or(0).into(),
                cr2: event.cr2.unwrap_or(0),
            },
            other => return Err(format!("{other:?}, RIP {:x}", cpu.rip)),
        };
        Ok(Expected { ended, gpr: cpu.gpr, rflags: cpu.rflags() })
    }
}

#[test]
fn apx_does_what_its_parts_do() {
    let mut bench = Bench::new();
    let mut random = Random::from_env("apx", 0xa9);
    let scale: f64 = std::env::var("ENCORE86_CASES").map_or(1.0, |text| text.parse().expect("a number"));
    let scale = if cfg!(debug_assertions) { scale / 10.0 } else { scale };
    let mut skips = Skips::new("apx");
    let exact = bench.profile.vendor() == Vendor::Amd && bench.profile.signature().family() >= 0x19;
    let (mut left, mut names) = (BTreeMap::new(), BTreeSet::new());
    let (mut rows, mut cases, mut faults, mut wrong) = (0, 0, 0, Vec::new());
    for row in
        tables::rows().filter(|row| row.features.contains(&Feature::Apx) || row.features.contains(&Feature::ApxNddNf))
    {
        if row.space != Space::Evex || !matches!(row.map, Map::M4 | Map::M0f38 | Map::M0f3a) {
            continue;
        }
        let lacking = row.features.into_iter().find(|&f| !bench.profile.has(f)).map(Feature::name);
        if let Some(reason) = left_out(row).or(lacking) {
            *left.entry(reason).or_insert(0) += 1;
            continue;
        }
        rows += 1;
        names.insert(checked::name(row));
        for _ in 0..(1000.0 * scale).ceil() as u32 {
            let Some(case) = Case::draw(row, &mut random) else { continue };
            let bytes = case.bytes();
            let insn = decode(&bytes, encore86::Mode::Long64, &bench.profile);
            assert!(insn.as_ref().is_ok_and(|insn| core::ptr::eq(insn.row(), row)), "{bytes:02x?}: {insn:?}");
            let mut gpr: [u64; 32] = core::array::from_fn(|_| random.gpr());
            let size = row.specs().iter().find(|s| matches!(s.loc, Loc::Mem | Loc::GprOrMem));
            let size = if size.is_some_and(|s| s.width == row.operands[0].width) { u64::from(case.size()) } else { 8 };
            let mut at = bench.sites.pick(&mut random, size, size);
            if let Place::Memory { base, index, disp } = case.rm {
                let index =
                    index.map_or(0, |(index, scale)| if index == base { 0 } else { gpr[index as usize] << scale });
                // A base that is the index as well makes an address of its own.
                gpr[base as usize] = at.wrapping_sub(index).wrapping_sub(disp as u64);
                let index = match case.rm {
                    Place::Memory { index: Some((index, scale)), .. } => gpr[index as usize] << scale,
                    _ => 0,
                };
                at = gpr[base as usize].wrapping_add(index).wrapping_add(disp as u64);
                if !(bench.sites.data - 64..bench.sites.read_only + 8192).contains(&at) {
                    continue;
                }
                let content = random.vector();
                bench.memory.poke(&mut bench.oracle, at, &content[..8]);
            }
            let flags = random.rflags() & !rflags::DF;
            let later = random.one_in(8);
            let habits = Habits { ram: random.one_in(2), atomic: random.one_in(2), later, ..Habits::default() };
            let expected = bench.native(&case, &gpr, flags, at);
            let aligned = row.class == encore86::isa::row::Class::Aligned;
            if aligned && !at.is_multiple_of(case.size().into()) {
                // RAO-INT wants what the instructions without it do not.
                bench.memory.adopt(&mut bench.oracle);
                continue;
            }
            let ours = bench.emulated(&bytes, &gpr, flags, habits);
            cases += 1;
            faults += u64::from(expected.ended != Ended::Retired);
            let undefined = if exact { 0 } else { u64::from(row.flags.undefined) };
            let same = ours.as_ref().is_ok_and(|ours| {
                ours.ended == expected.ended
                    && ours.gpr == expected.gpr
                    && (ours.rflags ^ expected.rflags) & !undefined == 0
            });
            let memory = bench.memory.difference(&mut bench.oracle);
            if !same || memory.is_some() {
                bench.memory.adopt(&mut bench.oracle);
                let insn = insn.map_or(String::new(), |insn| insn.to_string());
                let text = match ours {
                    Ok(ours) => {
                        let registers = (0..32).filter(|&i| ours.gpr[i] != expected.gpr[i]);
                        let registers: Vec<_> =
                            registers.map(|i| format!("r{i} {:x} != {:x}", expected.gpr[i], ours.gpr[i])).collect();
                        format!(
                            "{:?} != {:?}, {registers:?}, flags {:x} != {:x}, memory {memory:x?}",
                            expected.ended, ours.ended, expected.rflags, ours.rflags
                        )
                    }
                    Err(text) => text,
                };
                wrong.push(format!("{insn} {bytes:02x?} at {at:x} {gpr:x?} flags {flags:x}: host != engine: {text}"));
                break;
            }
        }
    }
    for (reason, rows) in left {
        skips.skip("rows", reason, rows);
    }
    if std::env::var_os(checked::VARIABLE).is_some() && wrong.is_empty() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(manual::FILES[1]);
        std::fs::write(&path, manual::text(&names)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    skips.ran(cases);
    let summary = format!("apx: {rows} rows, {cases} cases ({faults} faults), {} mismatches", wrong.len());
    println!("{summary}");
    assert!(wrong.is_empty(), "{summary}\n{}", wrong.join("\n"));
    assert!(rows > 200 && cases > 10_000 && faults > 1_000, "{summary}");
}
