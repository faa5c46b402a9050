//! Runs tables of instructions. One case a line:
//!
//! `mode | bytes | before | after | remark`
//!
//! Modes are `real`, `v86`, `p16`, `p32`, `c16`, `c32`, `64`. What `before` does not set is as `support::machine::cpu` has
//! it; what `after` does not name must not change, but for RIP, which moves past the instruction. Words:
//!
//! - `rax=1f` a register (hexadecimal), `k1=5`, `mxcsr=1f80`, `fcw`, `fsw`, `ftw`, `fop`, `fip`, `fdp`, `fcs`, `fds`; `xmm1=0011…` bytes in memory order,
//!   the rest of the register zero (before) or unchanged (after); `ymm1=` and `zmm1=` the same, but after an instruction
//!   the rest is zero as well; `st0=` ten bytes; `mm0=` eight bytes of a physical register, its exponent all ones
//! - bytes are written in the order of memory (`0102`), or as elements: `b:1,ff` `w:` `d:` `q:` hexadecimal, `f:1.5,-0` and
//!   `g:` singles and doubles; `d:9*4` is four of them
//! - `f=CZ` exactly these of C P A Z S O D are set; `u=AO` (after) these may be anything
//! - `@21000=0102` memory bytes at a linear address
//! - before: `apx` (XCR0 enables it), `cpl=3`, `+ts -osfxsr …` bits of CR0, CR4 and RFLAGS, `xcr0=3`, `ds.limit=fff`, `ds.attr=93`, `ds.base=0`,
//!   `ds.null`, `absent=22` (page number), `readonly=22`, `interrupt`, `dry` (no random numbers)
//! - after: `#GP(0)`, `#UD`, `#PF(2)@22000`, `hlt`, `unfinished`, `lacks:avx512f`; accesses in order `R4@21000 W4@21000`,
//!   `I1@70`, `O1@70` for ports: when one is named, there are no others

use crate::support::machine::{cpu, differences, set_cpl};
use crate::support::vm::{Done, Vm};
use encore86::cpu::registers::{component, cr0, cr3, cr4, efer, rflags};
use encore86::cpu::segment::{Seg, rights};
use encore86::isa::Feature;
use encore86::{Cpu, Engine, Mode, Outcome, Profile, Unsupported, Vendor, decode};
use encore86_coverage::checked::{self, name};
use encore86_coverage::manual;
use encore86_oracle::Skips;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

#[rustfmt::skip]
const GPRS: [&str; 32] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31",
];
const FLAGS: [(char, u64); 7] = [
    ('C', rflags::CF),
    ('P', rflags::PF),
    ('A', rflags::AF),
    ('Z', rflags::ZF),
    ('S', rflags::SF),
    ('O', rflags::OF),
    ('D', rflags::DF),
];

fn mode(name: &str) -> Mode {
    match name {
        "real" => Mode::Real16,
        "v86" => Mode::V86,
        "p16" => Mode::Prot16,
        "p32" => Mode::Prot32,
        "c16" => Mode::Compat16,
        "c32" => Mode::Compat32,
        "64" => Mode::Long64,
        other => panic!("no such mode: {other}"),
    }
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or_else(|_| panic!("no number: {text}"))
}

/// The elements behind `b:`, `w:`, `d:`, `q:`, `f:` or `g:`.
fn elements(kind: &str, list: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for item in list.split(',') {
        let (value, count) = item.split_once('*').unwrap_or((item, "1"));
        let number = |value: &str| value.parse::<f64>().unwrap_or_else(|_| panic!("no number: {value}"));
        let (bits, len) = match kind {
            "b" => (hex(value), 1),
            "w" => (hex(value), 2),
            "d" => (hex(value), 4),
            "q" => (hex(value), 8),
            "f" => (u64::from((number(value) as f32).to_bits()), 4),
            "g" => (number(value).to_bits(), 8),
            other => panic!("no such elements: {other}"),
        };
        let count = count.parse().unwrap_or_else(|_| panic!("no count: {item}"));
        (0..count).for_each(|_| out.extend(&bits.to_le_bytes()[..len]));
    }
    out
}

fn bytes(text: &str) -> Vec<u8> {
    if let Some((kind, list)) = text.split_once(':') {
        return elements(kind, list);
    }
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte: {text}");
    digits.chunks(2).map(|d| hex(&d.iter().collect::<String>()) as u8).collect()
}

fn flags(text: &str) -> u64 {
    text.chars().map(|c| FLAGS.iter().find(|f| f.0 == c).unwrap_or_else(|| panic!("no flag: {c}")).1).sum()
}

/// Sets a register that both columns can name.
fn set(cpu: &mut Cpu, name: &str, value: &str, clear: bool) -> bool {
    if let Some(r) = GPRS.iter().position(|g| *g == name) {
        cpu.gpr[r] = hex(value);
    } else if let Some(n) = name.strip_prefix(['x', 'y', 'z']).and_then(|name| name.strip_prefix("mm")) {
        let zmm = &mut cpu.vector.zmm[n.parse::<usize>().unwrap()].0;
        if clear || !name.starts_with('x') {
            zmm.fill(0);
        }
        let new = bytes(value);
        zmm[..new.len()].copy_from_slice(&new);
    } else if let Some(n) = name.strip_prefix("mm") {
        let register = &mut cpu.x87.regs[n.parse::<usize>().unwrap()];
        register[..8].copy_from_slice(&bytes(value));
        register[8..].fill(0xff);
    } else if let Some(n) = name.strip_prefix("st") {
        let p = cpu.x87.physical(n.parse().unwrap());
        cpu.x87.regs[p].copy_from_slice(&bytes(value));
    } else if let Some(n) = name.strip_prefix('k') {
        cpu.vector.k[n.parse::<usize>().unwrap()] = hex(value);
    } else {
        match name {
            "rip" => cpu.rip = hex(value),
            "mxcsr" => cpu.vector.mxcsr = hex(value) as u32,
            "fcw" => cpu.x87.fcw = hex(value) as u16,
            "fsw" => cpu.x87.fsw = hex(value) as u16,
            "ftw" => cpu.x87.ftw = hex(value) as u8,
            "fop" => cpu.x87.fop = hex(value) as u16,
            "fip" => cpu.x87.fip = hex(value),
            "fdp" => cpu.x87.fdp = hex(value),
            "fcs" => cpu.x87.fcs = hex(value) as u16,
            "fds" => cpu.x87.fds = hex(value) as u16,
            "cr2" => cpu.update(|s| s.cr2 = hex(value)),
            "rflags" => cpu.set_rflags(hex(value)),
            "f" => {
                let all: u64 = FLAGS.iter().map(|f| f.1).sum();
                cpu.set_rflags(cpu.rflags() & !all | flags(value));
            }
            _ => return false,
        }
    }
    true
}

/// Bits by the names of the manual.
fn switch(cpu: &mut Cpu, name: &str, on: bool) {
    let put = |word: &mut u64, bit: u64| *word = *word & !bit | if on { bit } else { 0 };
    cpu.update(|s| match name {
        "ts" => put(&mut s.cr0, cr0::TS),
        "em" => put(&mut s.cr0, cr0::EM),
        "mp" => put(&mut s.cr0, cr0::MP),
        "am" => put(&mut s.cr0, cr0::AM),
        "osfxsr" => put(&mut s.cr4, cr4::OSFXSR),
        "osxsave" => put(&mut s.cr4, cr4::OSXSAVE),
        "osxmmexcpt" => put(&mut s.cr4, cr4::OSXMMEXCPT),
        "cet" => {
            put(&mut s.cr4, cr4::CET);
            s.ssp = 0x0001_0000_2000;
        }
        "fsgsbase" => put(&mut s.cr4, cr4::FSGSBASE),
        "tsd" => put(&mut s.cr4, cr4::TSD),
        "vme" => put(&mut s.cr4, cr4::VME),
        "pvi" => put(&mut s.cr4, cr4::PVI),
        "la57" => put(&mut s.cr4, cr4::LA57),
        "lam_sup" => put(&mut s.cr4, cr4::LAM_SUP),
        "lam_u48" => put(&mut s.cr3, cr3::LAM_U48),
        "lam_u57" => put(&mut s.cr3, cr3::LAM_U57),
        "uaie" => put(&mut s.efer, efer::UAIE),
        _ => {}
    });
    let mut f = cpu.rflags();
    match name {
        "ac" => put(&mut f, rflags::AC),
        "if" => put(&mut f, rflags::IF),
        "tf" => put(&mut f, rflags::TF),
        "iopl" => put(&mut f, rflags::IOPL),
        "vif" => put(&mut f, rflags::VIF),
        "vip" => put(&mut f, rflags::VIP),
        _ => {}
    }
    cpu.set_rflags(f);
}

fn segment(cpu: &mut Cpu, name: &str, field: &str, value: &str) {
    let seg = Seg::ALL.into_iter().find(|s| s.name() == name).unwrap_or_else(|| panic!("no segment: {name}"));
    cpu.update(|s| {
        let seg = &mut s.seg[seg as usize];
        match field {
            "limit" => seg.limit = hex(value) as u32,
            "attr" => seg.attr = hex(value) as u32,
            "base" => seg.base = hex(value),
            "null" => (seg.selector, seg.attr) = (0, rights::UNUSABLE),
            other => panic!("no field: {other}"),
        }
    });
}

fn before(cpu: &mut Cpu, vm: &mut Vm, word: &str) {
    if let Some(name) = word.strip_prefix(['+', '-']) {
        return switch(cpu, name, word.starts_with('+'));
    }
    if word == "interrupt" {
        vm.interrupt = true;
        return;
    }
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    if let Some(at) = name.strip_prefix('@') {
        return vm.put(hex(at), &bytes(value));
    }
    if word == "apx" {
        return cpu.update(|s| s.xcr0 |= component::APX);
    }
    if word == "dry" {
        vm.dry = true;
        return;
    }
    if let Some((seg, field)) = name.split_once('.') {
        return segment(cpu, seg, field, value);
    }
    match name {
        "cpl" => set_cpl(cpu, hex(value) as u32),
        "xcr0" => cpu.update(|s| s.xcr0 = hex(value)),
        "absent" => vm.absent.push(hex(value)),
        "readonly" => vm.readonly.push(hex(value)),
        _ => assert!(set(cpu, name, value, true), "no such word: {word}"),
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed(r) => match (r.hlt, r.rep_unfinished) {
            (true, _) => "hlt".into(),
            (_, true) => "unfinished".into(),
            _ => String::new(),
        },
        Outcome::Exception(e) => {
            let code = e.error_code.map_or(String::new(), |c| format!("({c:x})"));
            let cr2 = e.cr2.map_or(String::new(), |a| format!("@{a:x}"));
            let name = if e.name() == "INT" { format!("INT{:x}", e.vector) } else { e.name().to_string() };
            format!("{}{name}{code}{cr2}", if name.starts_with('#') { "" } else { "#" })
        }
        Outcome::Unsupported(Unsupported::HostLacks(feature)) => format!("lacks:{feature}"),
        other => format!("{other:?}"),
    }
}

fn access(done: &Done) -> String {
    match done {
        Done::Read(at, d) => format!("R{}@{at:x}", d.len()),
        Done::Write(at, d) => format!("W{}@{at:x}", d.len()),
        Done::Rmw(at, d, _) => format!("M{}@{at:x}", d.len()),
        Done::In(port, d) => format!("I{}@{port:x}", d.len()),
        Done::Out(port, d) => format!("O{}@{port:x}", d.len()),
    }
}

fn is_access(word: &str) -> bool {
    word.starts_with(['R', 'W', 'M', 'I', 'O']) && word.contains('@')
}

/// What is wrong with one case.
fn case(engine: &mut Engine, columns: &[&str]) -> Vec<String> {
    let code = bytes(columns[1]);
    let mut start = cpu(mode(columns[0]));
    let mut vm = Vm::default();
    columns[2].split_whitespace().for_each(|word| before(&mut start, &mut vm, word));
    let code_at = crate::support::machine::code_address(&start);
    vm.put_code(code_at, &code);
    let mut expected = start.clone();
    let mut memory = vm.memory.clone();
    let (mut outcome, mut accesses, mut ignored) = (String::new(), Vec::new(), 0);
    let fault =
        columns[3].split_whitespace().any(|w| w.starts_with('#') && !w.starts_with("#INT") || w.starts_with("lacks:"));
    let stays = fault || columns[3].split_whitespace().any(|w| w == "unfinished");
    if !stays {
        let width = u64::MAX >> (64 - u32::from(start.mode().bits()));
        expected.rip = expected.rip.wrapping_add(code.len() as u64) & width;
    }
    for word in columns[3].split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        if word.starts_with('#') || word.starts_with("lacks:") || matches!(word, "hlt" | "unfinished") {
            outcome = word.to_string();
            if let Some((_, cr2)) = word.strip_prefix("#PF").and_then(|w| w.split_once('@')) {
                expected.update(|s| s.cr2 = hex(cr2));
            }
        } else if is_access(word) {
            accesses.push(word.to_string());
        } else if let Some(at) = name.strip_prefix('@') {
            bytes(value).into_iter().enumerate().for_each(|(i, b)| {
                memory.insert(hex(at) + i as u64, b);
            });
        } else if name == "u" {
            ignored = flags(value);
        } else if let Some((seg, field)) = name.split_once('.') {
            segment(&mut expected, seg, field, value);
        } else if let Some(bit) = word.strip_prefix(['+', '-']) {
            switch(&mut expected, bit, word.starts_with('+'));
        } else {
            assert!(set(&mut expected, name, value, false), "no such word: {word}");
        }
    }
    let mut got = start.clone();
    let end = engine.step(&mut got, &mut vm);
    engine.abandon();
    expected.set_rflags(expected.rflags() & !ignored | got.rflags() & ignored);
    let mut wrong = differences(&got, &expected);
    if describe(&end) != outcome {
        wrong.push(format!("ends in {:?} against {outcome:?}: {end:?}", describe(&end)));
    }
    let mut memory: Vec<_> = memory.into_iter().collect();
    memory.sort_unstable();
    if vm.written() != memory {
        wrong.push(format!("memory {:02x?} against {memory:02x?}", vm.written()));
    }
    let log: Vec<String> = vm.log.iter().map(access).collect();
    if !accesses.is_empty() && log != accesses {
        wrong.push(format!("accesses {log:?} against {accesses:?}"));
    }
    wrong
}

/// Runs a table with all features and AMD's behaviour where vendors differ.
pub fn run(table: &str) {
    run_with(Profile::all().with_vendor(Vendor::Amd), table);
}

/// Runs a table whose instructions are replayed on a host that has `features`, and says so where it has not.
pub fn run_where(features: &[Feature], table: &str) {
    let host = Profile::host();
    match features.iter().find(|&&f| !host.has(f)) {
        Some(lacking) => {
            Skips::new("instructions").skip(lacking.name(), "the host lacks it", table.trim().lines().count() as u64);
        }
        None => run(table),
    }
}

/// Adds rows to the list of those that are checked by hand, where it is asked for.
fn note(rows: BTreeSet<String>) {
    static ALL: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if std::env::var_os(checked::VARIABLE).is_some() {
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(rows);
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(manual::FILES[0]);
        std::fs::write(&path, manual::text(&all)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// Runs the table of a family, as a text file. Between bytes and `before` is the instruction's text, which decoding must give.
/// `#` begins a comment; `needs` names the features of the lines below it, which are skipped where the host lacks one.
pub fn run_family(name: &'static str, table: &str) {
    let (host, profile) = (Profile::host(), Profile::all().with_vendor(Vendor::Amd));
    let mut skips = Skips::new(name);
    let (mut lacking, mut kept, mut wrong) = (None, String::new(), Vec::new());
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(needed) = line.strip_prefix("needs ") {
            let feature = |name| Feature::from_name(name).unwrap_or_else(|| panic!("no feature: {name}"));
            lacking = needed.split_whitespace().map(feature).find(|&f| !host.has(f));
            continue;
        }
        let mut columns: Vec<&str> = line.split('|').map(str::trim).collect();
        assert!(columns.len() >= 5, "five columns are needed: {line}");
        let text = columns.remove(2);
        // Where the mode has no such instruction, the text is what it would be in another.
        let undefined = columns[3] == "#UD" && matches!(columns[0], "real" | "v86");
        let decoded_in = if undefined { Mode::Long64 } else { mode(columns[0]) };
        let decoded = decode(&bytes(columns[1]), decoded_in, &profile).map(|insn| insn.to_string());
        if decoded.as_deref() != Ok(text) {
            wrong.push(format!("{line}\n    decodes to {decoded:?}"));
        }
        match lacking {
            Some(feature) => skips.skip(feature.name(), "the host lacks it", 1),
            None => kept += &format!("{}\n", columns.join(" | ")),
        }
    }
    assert!(wrong.is_empty(), "{name}: {}", wrong.join("\n"));
    if !kept.is_empty() {
        skips.ran(kept.lines().count() as u64);
        run_with(profile, &kept);
    }
}

/// Runs a table with the features and the vendor of `profile`.
pub fn run_with(profile: Profile, table: &str) {
    let mut engine = Engine::new(profile).unwrap();
    let (mut cases, mut wrong, mut rows) = (0, Vec::new(), BTreeSet::new());
    for line in table.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("//")) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        assert!(columns.len() >= 4, "four columns are needed: {line}");
        cases += 1;
        let found = case(&mut engine, &columns);
        let refused = columns[3].split_whitespace().any(|word| word == "#UD" || word.starts_with("lacks:"));
        if !refused && let Ok(insn) = decode(&bytes(columns[1]), mode(columns[0]), engine.profile()) {
            rows.insert(name(insn.row()));
        }
        if !found.is_empty() {
            wrong.push(format!("{line}\n    {}", found.join("\n    ")));
        }
    }
    println!("{cases} cases");
    note(rows);
    assert!(wrong.is_empty() && cases != 0, "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}
