//! Every form that the engine supports against the host processor, bit for bit.
//!
//! Encodings are made from the table's rows (`encode`), operands are put where something can happen (`case`, `sites`),
//! the same bytes run on the host (`encore86_oracle`) and in the engine over a copy of the memory (`machine`), and
//! everything is compared (`compare`). `ENCORE86_CASES` multiplies the cases, `ENCORE86_SEED` repeats a run,
//! `ENCORE86_HOST=bochs` says that the host is Bochs, whose known faults are then counted apart (`bochs`).
//! `ENCORE86_FORM` picks the rows whose form contains the text, `ENCORE86_FEATURE` those with a feature whose name does.
//! `ENCORE86_EXEC=Value,Seq,Str` those that these rooms execute.
//! `ENCORE86_LONG=10 … long_run` compares ten million cases in rounds (`long`).
//! `ENCORE86_CHECKED=1` writes the list of the rows that were compared, `hardware/checked.tsv`, for the tables of coverage.

#[path = "hardware/bochs.rs"]
mod bochs;
#[path = "hardware/case.rs"]
mod case;
#[path = "hardware/compare.rs"]
mod compare;
#[path = "hardware/encode.rs"]
mod encode;
#[path = "hardware/exceptions.rs"]
mod exceptions;
#[path = "hardware/excluded.rs"]
mod excluded;
#[path = "hardware/locked.rs"]
mod locked;
#[path = "locked/forms.rs"]
mod locked_forms;
#[path = "hardware/long.rs"]
mod long;
#[path = "hardware/machine.rs"]
mod machine;
#[path = "support/newer.rs"]
mod newer;
#[path = "hardware/refuse.rs"]
mod refuse;
#[path = "hardware/sites.rs"]
mod sites;

use case::Maker;
use compare::{Side, Verdict};
use encode::Encoding;
use encore86::cpu::segment::Seg;
use encore86::isa::row::{Exec, Row, Shape, Space, attr, sel};
use encore86::isa::{Feature, FeatureSet, tables};
use encore86::{Cpu, Engine, FloatSignals, Outcome, Profile, Signature, decode};
use encore86_coverage::checked;
use encore86_oracle::{Ended, Mode, Oracle, Random, Setup, Skips, State};
use machine::{Habits, Memory};
use sites::Sites;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

/// Prints past the test harness, which swallows what a passing test prints.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn oracle() -> Oracle {
    // Before the oracle's own handler, which knows the runs that are its own wherever they have put FS.
    FloatSignals::install().expect("a handler for SIGFPE");
    // SAFETY: operands lie in the oracle's areas, in the holes beside them, or at addresses of 64 random bits; system
    // calls are excluded (`excluded`), REP counts end at an unmapped page, and branches run one step.
    unsafe { Oracle::new() }.expect("an oracle")
}

fn engine_mode(mode: Mode) -> encore86::Mode {
    match mode {
        Mode::Long64 => encore86::Mode::Long64,
        Mode::Compat32 => encore86::Mode::Compat32,
        Mode::Compat16 => encore86::Mode::Compat16,
    }
}

fn name(mode: Mode) -> &'static str {
    ["long64", "compat32", "compat16"][mode as usize]
}

fn seed_of(suite: u64, row: usize, mode: Mode) -> u64 {
    suite ^ (row as u64 * 3 + mode as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn scale() -> f64 {
    let wished = std::env::var("ENCORE86_CASES").map(|text| text.parse().expect("ENCORE86_CASES is a number"));
    wished.unwrap_or(1.0) * if cfg!(debug_assertions) { 0.1 } else { 1.0 }
}

/// The instruction is 1 to 15 bytes of this row by the library and by iced-x86.
fn check_decoding(encoding: &Encoding, profile: &Profile) -> Result<(), String> {
    use iced_x86::{Decoder, DecoderOptions};
    let bytes = &encoding.bytes;
    let insn = match decode(bytes, engine_mode(encoding.mode), profile) {
        Ok(insn) => insn,
        Err(error) => return Err(format!("the library does not decode it: {error}")),
    };
    if !core::ptr::eq(insn.row(), encoding.row) {
        return Err(format!("the library takes it for {} ({insn})", insn.row().form()));
    }
    if insn.length() != bytes.len() {
        return Err(format!("the library finds {} bytes", insn.length()));
    }
    if unknown_to_iced(encoding, profile) {
        return Ok(());
    }
    let amd = if profile.vendor() == encore86::Vendor::Amd { DecoderOptions::AMD } else { 0 };
    let options = DecoderOptions::FORCE_RESERVED_NOP | amd;
    for options in [options, amd] {
        let mut padded = bytes.clone();
        padded.extend([0xcc; 15]);
        let iced = Decoder::new(encode::bits(encoding.mode) as u32, &padded, options).decode();
        if !iced.is_invalid() && iced.len() == bytes.len() {
            return Ok(());
        }
    }
    if newer::is_newer(encoding.row) {
        return Ok(());
    }
    Err("iced-x86 finds another length or an invalid instruction".into())
}

/// Is it an instruction that iced-x86 does not know, or knows otherwise?
fn unknown_to_iced(encoding: &Encoding, profile: &Profile) -> bool {
    if encoding.row.select.value & sel::REX2 != 0 || encoding.row.is(attr::W1_BUT_AMD) && !encoding.wide {
        return true;
    }
    match encoding.row.mnemonic {
        "movrs" | "udb" | "urdmsr" | "uwrmsr" => encoding.row.space == Space::Legacy,
        // VIA's manual has 16-bit addresses too.
        "montmul" => encoding.asize == 2,
        // AMD's processors take no ModRM byte of it.
        "ud1" => profile.vendor() == encore86::Vendor::Amd,
        _ => false,
    }
}

/// Counts of a run.
#[derive(Default)]
struct Tally {
    forms: u64,
    encodings: u64,
    cases: u64,
    faults: u64,
    checked: checked::List,
    mismatches: u64,
    /// Flags that rows leave undefined and that came out otherwise than the host's.
    undefined: BTreeMap<String, (u64, u64)>,
    /// Cases of kinds that must not be missing.
    reached: BTreeMap<&'static str, u64>,
    /// Differences that are Bochs's faults, by reason.
    bochs: BTreeMap<&'static str, u64>,
    /// Cases that depend on what the kernel's descriptor tables hold.
    tables: u64,
}

/// Everything that one mode's run needs.
struct Bench {
    oracle: Oracle,
    sites: Sites,
    memory: Memory,
    engine: Engine,
    profile: Profile,
    blank: Cpu,
    mode: Mode,
}

impl Bench {
    fn new(mode: Mode) -> Bench {
        let mut oracle = oracle();
        let sites = Sites::of(&oracle);
        let mut memory = Memory::new(sites);
        memory.adopt(&mut oracle);
        let profile = Profile::host();
        let engine = Engine::new(profile.clone()).expect("executable memory for stubs");
        let blank = machine::user(&oracle, mode);
        Bench { oracle, sites, memory, engine, profile, blank, mode }
    }

    /// The encoding on the host and in the engine, from the same state.
    fn run(&mut self, encoding: &Encoding, state: &State, habits: Habits) -> (Side, Result<Side, String>) {
        let setup = Setup { mode: self.mode, step: encoding.row.is(attr::BRANCH), ..Setup::default() };
        self.run_with(&setup, &encoding.bytes, 16, state, habits)
    }

    fn run_with(
        &mut self,
        setup: &Setup,
        bytes: &[u8],
        mapped: usize,
        state: &State,
        habits: Habits,
    ) -> (Side, Result<Side, String>) {
        let rip = self.oracle.start(setup);
        let (ended, after) = self.oracle.run_with(setup, bytes, state);
        let host = Side { ended, state: after };
        self.memory.lay(self.sites.code + setup.offset as u64, bytes, mapped);
        self.memory.begin(habits);
        let mut cpu = self.blank.clone();
        machine::load(&mut cpu, state, self.mode, rip);
        // A REP over all of the memory, by bytes, each access answered late.
        let mut steps = 200_000;
        let outcome = loop {
            let outcome = self.engine.step(&mut cpu, &mut self.memory);
            let unfinished = matches!(outcome, Outcome::Completed(retired) if retired.rep_unfinished);
            steps -= 1;
            if steps == 0 || outcome != Outcome::Retry && !unfinished {
                break outcome;
            }
        };
        let mut engine = compare::ended(&outcome).map(|ended| Side { ended, state: machine::save(&cpu, state) });
        if self.engine.has_open_journal() {
            self.engine.abandon();
            engine = engine.and(Err(format!("{outcome:?} with an open journal")));
        }
        (host, engine)
    }
}

/// The command that runs a row's cases again.
fn again(seed: u64, row: &Row, mode: Mode) -> String {
    let (long, cases) = (std::env::var("ENCORE86_LONG"), std::env::var("ENCORE86_CASES"));
    let (how, test) = match (long, cases) {
        // One round.
        (Ok(_), _) => ("ENCORE86_LONG=0 ".into(), "long_run"),
        (_, Ok(cases)) => (format!("ENCORE86_CASES={cases} "), name(mode)),
        _ => (String::new(), name(mode)),
    };
    let form = row.form();
    format!(
        "{how}ENCORE86_SEED={seed:#x} ENCORE86_FORM='{form}' cargo test --release --test hardware {test} -- --nocapture"
    )
}

/// Which rows are wanted.
struct Picked {
    form: String,
    feature: String,
    exec: String,
}

impl Picked {
    fn from_env() -> Picked {
        let read = |name| std::env::var(name).unwrap_or_default();
        Picked { form: read("ENCORE86_FORM"), feature: read("ENCORE86_FEATURE"), exec: read("ENCORE86_EXEC") }
    }

    fn has(&self, row: &Row) -> bool {
        let feature = |f: Feature| f.name().contains(&self.feature);
        let exec = format!("{:?}", row.exec);
        row.form().to_string().contains(&self.form)
            && row.features.into_iter().any(feature)
            && self.exec.split(',').any(|room| exec.starts_with(room))
    }

    fn is_all(&self) -> bool {
        self.form.is_empty() && self.feature.is_empty() && self.exec.is_empty()
    }
}

/// Compares the rows of a mode, `cases` states an encoding; `after` each row hears how many cases there were.
fn compare_rows(
    bench: &mut Bench,
    seed: u64,
    cases: u64,
    picked: &Picked,
    (skips, tally): (&mut Skips, &mut Tally),
    after: &dyn Fn(u64),
) {
    for (number, row) in tables::rows().enumerate() {
        if !encode::in_mode(row, bench.mode, bench.profile.vendor()) || !picked.has(row) {
            continue;
        }
        if let Some(reason) = excluded::reason(row) {
            skips.skip(row.mnemonic, reason, 1);
            // The tables know by themselves what is decoded only.
            if row.executed() {
                tally.checked.leave_out(row, reason);
            }
            continue;
        }
        let features = bench.profile.features();
        if let Some(lacking) = row.features.into_iter().find(|&f| !features.has(f)) {
            skips.skip(&format!("rows that need {}", lacking.name()), "the host lacks it", 1);
            tally.checked.leave_out(row, &format!("the processor lacks {}", lacking.name()));
            continue;
        }
        let before = tally.cases;
        compare_row((number, row), seed, cases, bench, tally);
        match tally.cases - before {
            0 => tally.checked.leave_out(row, "another row has these bytes on this processor"),
            cases => tally.checked.add(row, cases),
        }
        after(tally.cases);
    }
}

/// Compares every row in a mode, `cases` states an encoding.
fn compare_mode(mode: Mode, cases: f64) {
    let suite = ["hardware long64", "hardware compat32", "hardware compat16"][mode as usize];
    let seed = Random::from_env(suite, 0x86).seed();
    let picked = Picked::from_env();
    let cases = (cases * scale()).ceil() as u64;
    let mut skips = Skips::new(suite);
    let mut tally = Tally::default();
    let mut bench = Bench::new(mode);
    let started = std::time::Instant::now();
    compare_rows(&mut bench, seed, cases, &picked, (&mut skips, &mut tally), &|_| ());
    skips.ran(tally.cases);
    for (form, (flags, count)) in &tally.undefined {
        say(&format!("{suite}: undefined flags {flags:#x} came out otherwise {count} times: {form}"));
    }
    if tally.tables > 0 {
        skips.skip("cases", compare::TABLES, tally.tables);
    }
    for (reason, count) in &tally.bochs {
        skips.skip("differences that are Bochs's", reason, *count);
    }
    let Tally { forms, encodings, cases, faults, mismatches, .. } = &tally;
    say(&format!(
        "{suite}: {forms} forms, {encodings} encodings, {cases} cases ({faults} faults), {mismatches} mismatches, {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    assert_eq!(*mismatches, 0, "{suite}: the engine and the host differ, see above");
    if !picked.is_all() {
        return;
    }
    assert!(*cases > 0, "nothing was compared");
    write_checked(&tally.checked);
    if bench.profile.has(Feature::Avx512vl) {
        // Without 64-bit mode there are eight registers, and 16-bit addresses have no vector index.
        let wanted = [(HIGH_INDEX, mode == Mode::Long64), (LATER_ELEMENT, true), (EVEX, true)];
        for (kind, _) in wanted.into_iter().filter(|(_, wanted)| *wanted) {
            let count = tally.reached.get(kind).copied().unwrap_or(0);
            say(&format!("{suite}: {count} cases of {kind}"));
            assert!(count > 0, "{suite}: no case of {kind}");
        }
    }
}

/// Writes which rows were compared, in all modes that are done; the last one's list is whole.
fn write_checked(list: &checked::List) {
    static ALL: Mutex<Option<checked::List>> = Mutex::new(None);
    if std::env::var_os(checked::VARIABLE).is_none() {
        return;
    }
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_with(|| {
        let vendor = Profile::host().vendor();
        let mut all = checked::List { processor: processor(), ..checked::List::default() };
        let modes = [Mode::Long64, Mode::Compat32, Mode::Compat16];
        for row in tables::rows().filter(|row| row.executed()) {
            if !modes.iter().any(|&mode| encode::in_mode(row, mode, vendor)) {
                all.leave_out(row, "another maker's processors have it");
            }
        }
        all
    });
    all.merge(list);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(checked::FILE);
    std::fs::write(&path, all.text()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The processor's name, family, model and stepping.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(": "));
        value.unwrap_or("unknown").to_owned()
    };
    let [name, family, model, stepping] = ["model name", "cpu family", "model", "stepping"].map(field);
    format!("{name}, family {family}, model {model}, stepping {stepping}")
}

const EVEX: &str = "EVEX";
const HIGH_INDEX: &str = "gathers and scatters whose index register is above 15";
const LATER_ELEMENT: &str = "gathers and scatters that fault after elements that were done";

/// Kinds of a case that a run must have.
fn kinds(encoding: &Encoding, state: &State, host: &Side) -> impl Iterator<Item = &'static str> {
    let gathers = matches!(encoding.row.exec, Exec::Replay(Shape::Gather | Shape::Scatter));
    let evex = encoding.row.space == Space::Evex;
    let high = gathers && encoding.address.is_some_and(|address| address.index.is_some_and(|index| index >= 16));
    let later = gathers && evex && host.ended != Ended::Retired && host.state.k != state.k;
    let kinds = [(evex, EVEX), (high, HIGH_INDEX), (later, LATER_ELEMENT)];
    kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind)
}

fn compare_row((number, row): (usize, &'static Row), seed: u64, cases: u64, bench: &mut Bench, tally: &mut Tally) {
    let mode = bench.mode;
    let (vendor, features) = (bench.profile.vendor(), *bench.profile.features());
    let mut made = 0;
    let random = &mut Random::new(seed_of(seed, number, mode));
    for wish in encode::wishes(row, mode) {
        let Some(encoding) =
            (0..8).find_map(|_| encode::encode(row, mode, &wish, &bench.sites, random, vendor, &features))
        else {
            continue;
        };
        made += 1;
        tally.encodings += 1;
        if let Err(why) = check_decoding(&encoding, &bench.profile) {
            tally.mismatches += 1;
            say(&format!("MISMATCH {} {:02x?} {}: {why}", name(mode), encoding.bytes, row.form()));
            continue;
        }
        for _ in 0..cases {
            let Bench { oracle, sites, memory, .. } = bench;
            let mut maker = Maker { encoding: &encoding, sites, random, memory, oracle, content: None };
            let Some(state) = maker.state() else { continue };
            let habits = maker.habits();
            let (host, engine) = bench.run(&encoding, &state, habits);
            if matches!(&engine, Err(why) if why == compare::TABLES) {
                tally.tables += 1;
                bench.memory.adopt(&mut bench.oracle);
                continue;
            }
            tally.cases += 1;
            tally.faults += u64::from(host.ended != Ended::Retired);
            for kind in kinds(&encoding, &state, &host) {
                *tally.reached.entry(kind).or_default() += 1;
            }
            let difference = match &engine {
                Err(outcome) => Some(format!("the engine gives {outcome}\n")),
                Ok(engine) => match compare::compare(&encoding, &host, engine, &bench.profile) {
                    Verdict::Different(lines) => Some(lines),
                    Verdict::Same { undefined: 0 } => None,
                    Verdict::Same { undefined } => {
                        let entry = tally.undefined.entry(row.form().to_string()).or_default();
                        *entry = (entry.0 | undefined, entry.1 + 1);
                        None
                    }
                },
            };
            let memory = bench.memory.difference(&mut bench.oracle);
            if difference.is_none() && memory.is_none() {
                continue;
            }
            if let Ok(engine) = &engine
                && let Some(reason) = bochs::fault(&encoding, &host, engine, memory.is_some())
            {
                *tally.bochs.entry(reason).or_default() += 1;
                bench.memory.adopt(&mut bench.oracle);
                continue;
            }
            tally.mismatches += 1;
            bench.memory.adopt(&mut bench.oracle);
            let text = decode(&encoding.bytes, engine_mode(mode), &bench.profile).map(|i| i.to_string());
            let memory =
                memory.map_or(String::new(), |(at, host, ours)| format!("{at:#x}: {host:02x?} != {ours:02x?}\n"));
            say(&format!(
                "MISMATCH {} {:02x?} {} ({})\nhost != engine, the host ended with {:x?}:\n{}{memory}before: {state:x?}\n{habits:?}\nagain: {}",
                name(mode),
                encoding.bytes,
                text.unwrap_or_default(),
                row.form(),
                host.ended,
                difference.unwrap_or_default(),
                again(seed, row, mode),
            ));
            // One report a row is enough to find the cause.
            return;
        }
    }
    if made > 0 {
        tally.forms += 1;
    }
}

/// As many millions of cases as `ENCORE86_LONG` says.
#[test]
fn long_run() {
    let suite = "hardware long run";
    let mut skips = Skips::new(suite);
    let Ok(millions) = std::env::var("ENCORE86_LONG") else {
        return skips.skip("all modes", "ENCORE86_LONG is not set to millions of cases", 1);
    };
    let millions: f64 = millions.parse().unwrap_or_else(|error| panic!("ENCORE86_LONG={millions}: {error}"));
    let seed = Random::from_env(suite, 0x10_0000).seed();
    let tally = long::run(suite, (millions * 1e6) as u64, seed, &mut skips);
    skips.ran(tally.cases);
    assert_eq!(tally.mismatches, 0, "{suite}: the engine and the host differ, see above");
    assert!(tally.cases > 0, "nothing was compared");
}

#[test]
fn long64() {
    compare_mode(Mode::Long64, 150.0);
}

#[test]
fn compat32() {
    compare_mode(Mode::Compat32, 40.0);
}

#[test]
fn compat16() {
    compare_mode(Mode::Compat16, 40.0);
}

/// Floating-point exceptions, each of them unmasked in turn, on numbers at the edges of their formats.
#[test]
fn float_exceptions() {
    exceptions::compare_all();
}

/// Bytes that are no instruction, or not all of one: what the library calls invalid, the host refuses in the same way.
#[test]
fn refused_bytes() {
    let mut skips = Skips::new("refused bytes");
    let mut random = Random::from_env("refused bytes", 0x0ff);
    let (mut cases, mut failures) = (0, Vec::new());
    for mode in [Mode::Long64, Mode::Compat32, Mode::Compat16] {
        let mut bench = Bench::new(mode);
        let (vendor, features) = (bench.profile.vendor(), *bench.profile.features());
        for row in tables::rows() {
            let has = row.features.into_iter().all(|f| features.has(f));
            if !encode::in_mode(row, mode, vendor) || excluded::reason(row).is_some() || !has {
                continue;
            }
            let wishes = encode::wishes(row, mode);
            for _ in 0..(4.0 * scale()).ceil() as u32 {
                let wish = random.pick(&wishes);
                let made = encode::encode(row, mode, &wish, &bench.sites, &mut random, vendor, &features);
                let Some(encoding) = made else { continue };
                for (setup, bytes, mapped) in refuse::variants(&encoding) {
                    let verdict = decode(&bytes, engine_mode(mode), &bench.profile);
                    if row.mnemonic == "verw" && bytes.contains(&0xf0) {
                        skips.skip("lock verw", "an erratum: Zen 4 runs VERW under LOCK", 1);
                        continue;
                    }
                    if verdict.is_ok() {
                        // Another instruction, or one that no row covers: nothing to refuse.
                        skips.skip("changed bytes", "they are another instruction, or one that no row covers", 1);
                        continue;
                    }
                    let mut state = random.state();
                    state.gpr = state.gpr.map(|value| value & 0xffff_ffff);
                    state.gpr[4] = bench.sites.data + 0x800;
                    let (host, engine) = bench.run_with(&setup, &bytes, mapped, &state, Habits::default());
                    cases += 1;
                    let same = match &engine {
                        Err(outcome) => Err(outcome.clone()),
                        Ok(engine) => match compare::compare(&encoding, &host, engine, &bench.profile) {
                            Verdict::Same { .. } => Ok(()),
                            Verdict::Different(lines) => Err(lines),
                        },
                    };
                    if let Err(why) = same {
                        failures.push(format!("{} {bytes:02x?} (from {}): {why}", name(mode), row.form()));
                    }
                }
            }
        }
    }
    skips.ran(cases);
    say(&format!("refused bytes: {cases} cases, {} mismatches", failures.len()));
    assert!(failures.is_empty(), "{} of them:\n{}", failures.len(), failures[..failures.len().min(30)].join("\n"));
}

/// CPUID gives a guest of the host's profile what the host gives, in the leaves that are the same on all its cores.
#[test]
fn cpuid_leaves() {
    const LEAVES: [(u32, u32); 8] = [
        (0, 0),
        (7, 0),
        (7, 1),
        (0x8000_0000, 0),
        (0x8000_0001, 0),
        (0x8000_0002, 0),
        (0x8000_0003, 0),
        (0x8000_0004, 0),
    ];
    let mut bench = Bench::new(Mode::Long64);
    for (leaf, subleaf) in LEAVES {
        let mut state = State::default();
        (state.gpr[0], state.gpr[1]) = (leaf.into(), subleaf.into());
        let (host, engine) = bench.run_with(&Setup::default(), &[0x0f, 0xa2], 16, &state, Habits::default());
        let engine = engine.expect("CPUID is executed");
        assert_eq!(host.state.diff(&engine.state), "", "leaf {leaf:#x}, {subleaf}");
    }
}

/// FNSTENV and FNSAVE of words and doublewords show FOP, FIP and FDP of the instruction before, whatever it was.
///
/// On AMD's processors a switch of the host's processes between the two loses the pointers: of three tries one must be the same.
#[test]
fn x87_pointers_after_an_instruction() {
    // faddp, fld qword [rdi], fadd dword [rdi], fcomi, fxch, fincstp, fnop, fldcw [rdi], fnclex, wait, fst qword [rdi].
    const FIRST: [&[u8]; 11] = [
        &[0xde, 0xc1],
        &[0xdd, 0x07],
        &[0xd8, 0x07],
        &[0xdb, 0xf1],
        &[0xd9, 0xc9],
        &[0xd9, 0xf7],
        &[0xd9, 0xd0],
        &[0xd9, 0x2f],
        &[0xdb, 0xe2],
        &[0x9b],
        &[0xdd, 0x17],
    ];
    const THEN: [&[u8]; 4] =
        [&[0xd9, 0x77, 0x40], &[0x66, 0xd9, 0x77, 0x40], &[0xdd, 0x77, 0x40], &[0x66, 0xdd, 0x77, 0x40]];
    let mut random = Random::from_env("x87 pointers", 0xf1b);
    let mut cases = 0;
    for mode in [Mode::Long64, Mode::Compat32] {
        let mut bench = Bench::new(mode);
        for (first, then) in FIRST.iter().flat_map(|first| THEN.iter().map(move |then| (first, then))) {
            let bytes = [*first, *then].concat();
            let mut last = None;
            for _ in 0..3 {
                let mut state = random.state();
                state.gpr = state.gpr.map(|value| value & 0xffff_ffff);
                state.gpr[7] =
                    bench.sites.data + 0x100 - if mode == Mode::Long64 { 0 } else { bench.sites.base(mode, 3) };
                state.x87.ftw = 0x3f;
                state.x87.fsw &= !0x3800;
                bench.memory.poke(&mut bench.oracle, bench.sites.data + 0x100, &[0x7f, 3, 0, 0, 0, 0, 0xf0, 0x3f]);
                let setup = Setup { mode, ..Setup::default() };
                let rip = bench.oracle.start(&setup);
                let (ended, after) = bench.oracle.run_with(&setup, &bytes, &state);
                bench.memory.lay(bench.sites.code + setup.offset as u64, &bytes, 16);
                bench.memory.begin(Habits::default());
                let mut cpu = bench.blank.clone();
                machine::load(&mut cpu, &state, mode, rip);
                if mode == Mode::Long64 {
                    // Linux's.
                    cpu.update(|system| system.seg[Seg::Ds as usize].selector = 0);
                }
                for _ in 0..2 {
                    let outcome = bench.engine.step(&mut cpu, &mut bench.memory);
                    assert!(matches!(outcome, Outcome::Completed(_)), "{bytes:02x?}: {outcome:?}");
                }
                assert_eq!(ended, Ended::Retired);
                let ours = machine::save(&cpu, &state).x87;
                assert_eq!((after.x87.fcw, after.x87.fsw, after.x87.st), (ours.fcw, ours.fsw, ours.st), "{bytes:02x?}");
                cases += 1;
                last = bench.memory.difference(&mut bench.oracle);
                if last.is_none() {
                    break;
                }
                bench.memory.adopt(&mut bench.oracle);
            }
            assert_eq!(last, None, "{} {bytes:02x?}: address, host, engine", name(mode));
        }
    }
    say(&format!("x87 pointers: {cases} cases"));
}

/// The comparison reports a result that is wrong in any part, and nothing else.
#[test]
fn a_wrong_result_is_reported() {
    let mut bench = Bench::new(Mode::Long64);
    let (vendor, features) = (bench.profile.vendor(), *bench.profile.features());
    let row = tables::rows().find(|row| row.form().to_string() == "and Ev,Gv").expect("a row of AND");
    let wish = encode::Wish { form: encode::Form::Register, p66: false, w: true, rep: 0, lock: false, ll: 0 };
    let mut random = Random::new(1);
    let encoding = encode::encode(row, Mode::Long64, &wish, &bench.sites, &mut random, vendor, &features);
    let encoding = encoding.expect("an encoding of AND");
    let state = random.state();
    let (host, engine) = bench.run(&encoding, &state, Habits::default());
    let engine = engine.expect("AND is executed");
    assert_eq!(compare::compare(&encoding, &host, &engine, &bench.profile), Verdict::Same { undefined: 0 });

    type Change = fn(&mut Side);
    let wrong: &[(&str, Change)] = &[
        ("rax", |side| side.state.gpr[0] ^= 1 << 63),
        ("rip", |side| side.state.rip += 1),
        ("rflags", |side| side.state.rflags ^= encore86_oracle::state::ZF),
        ("zmm15", |side| side.state.zmm[15][31] ^= 1),
        ("k7", |side| side.state.k[7] ^= 1),
        ("mxcsr", |side| side.state.mxcsr ^= 0x20),
        ("fcw", |side| side.state.x87.fcw ^= 1),
        ("fsw", |side| side.state.x87.fsw ^= 0x4000),
        ("ftw", |side| side.state.x87.ftw ^= 0x80),
        ("st7", |side| side.state.x87.st[7][9] ^= 1),
        ("ended", |side| side.ended = Ended::Signal { trap: 14, error: 4, cr2: 0 }),
    ];
    for (what, change) in wrong {
        let mut side = engine.clone();
        change(&mut side);
        match compare::compare(&encoding, &host, &side, &bench.profile) {
            Verdict::Different(lines) => assert!(lines.starts_with(what), "{what}: {lines}"),
            Verdict::Same { .. } => panic!("a wrong {what} was not reported"),
        }
    }
    // AF is undefined after AND, by the row, on a processor of which nothing else is known.
    let other = bench.profile.clone().with_signature(Signature::new(0x17, 1, 0));
    let mut side = engine.clone();
    side.state.rflags ^= encore86_oracle::state::AF;
    let expected = Verdict::Same { undefined: encore86_oracle::state::AF };
    assert_eq!(compare::compare(&encoding, &host, &side, &other), expected);

    assert_eq!(bench.memory.difference(&mut bench.oracle), None);
    for at in [bench.sites.data + 5, bench.sites.edge + 4095, bench.sites.read_only] {
        bench.memory.spoil(at);
        assert_eq!(bench.memory.difference(&mut bench.oracle).map(|(first, ..)| first), Some(at));
        bench.memory.spoil(at);
    }
}

/// Every row can be encoded in some mode, decodes to itself and has the length that iced-x86 finds, whether the host has
/// it or not.
#[test]
fn every_row_is_encoded() {
    let oracle = oracle();
    let sites = Sites::of(&oracle);
    let all = Profile::all();
    let profiles = [all.clone(), all.with_vendor(encore86::Vendor::Amd)];
    let mut random = Random::from_env("every_row", 0x1ced);
    let (mut encodings, mut failures) = (0, Vec::new());
    for row in tables::rows() {
        let mut made = 0;
        let modes = [Mode::Long64, Mode::Compat32, Mode::Compat16];
        for (mode, profile) in modes.into_iter().flat_map(|mode| profiles.iter().map(move |profile| (mode, profile))) {
            if !encode::in_mode(row, mode, profile.vendor()) {
                continue;
            }
            for wish in encode::wishes(row, mode) {
                let draw = |random: &mut Random| {
                    encode::encode(row, mode, &wish, &sites, random, profile.vendor(), &FeatureSet::all())
                };
                let Some(encoding) = (0..8).find_map(|_| draw(&mut random)) else { continue };
                made += 1;
                if let Err(why) = check_decoding(&encoding, profile) {
                    failures.push(format!("{} {:02x?} {}: {why}", name(mode), encoding.bytes, row.form()));
                }
            }
        }
        encodings += made;
        if made == 0 {
            failures.push(format!("no encoding of {} was made", row.form()));
        }
    }
    say(&format!("every_row_is_encoded: {} rows, {encodings} encodings", tables::rows().count()));
    assert!(failures.is_empty(), "{} of them:\n{}", failures.len(), failures[..failures.len().min(40)].join("\n"));
}
