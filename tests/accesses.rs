//! What an instruction says beforehand, from registers alone, is what it then does: bytes and state components.
//!
//! `ENCORE86_SEED` makes another run, `ENCORE86_ROUNDS` a longer one.

mod support;

use encore86::cpu::registers::{component, rflags};
use encore86::foresight::{Accesses, Foreseen, Kind, Role, StateUse};
use encore86::introspect::{Record, Recorded, What};
use encore86::isa::row::{Exec, Gate, SysOp};
use encore86::{Cpu, Engine, Mode, Outcome, Profile, Unsupported, Vendor, decode};
use std::collections::{BTreeMap, BTreeSet};
use support::encode::{self, Form};
use support::fuzz::Random;
use support::machine::{self, DATA, EXTRA, MODES, STACK, code_address};
use support::vm::Vm;

/// Operands that [`encode`] does not make: other bases, the stack pointer before and after, relative to RIP.
const MORE: &[&[u8]] = &[
    &[0x8f, 0x04, 0x24],                               // pop [rsp]
    &[0x8f, 0x44, 0x24, 0x08],                         // pop [rsp+8]
    &[0x8f, 0x44, 0x45, 0xf8],                         // pop [rbp+rax*2-8]
    &[0x66, 0x8f, 0x44, 0x64, 0x08],                   // pop word ptr [rsp+8]
    &[0xff, 0x74, 0x24, 0xf8],                         // push [rsp-8]
    &[0xff, 0x54, 0x24, 0x10],                         // call [rsp+10h]
    &[0x8b, 0x05, 0xfc, 0xff, 0x00, 0x00],             // mov eax, [rip+…], or [di] and [disp32]
    &[0x01, 0x4c, 0xc6, 0x7f],                         // add [rsi+rax*8+7fh], ecx
    &[0x0f, 0xb3, 0x44, 0xb5, 0x80],                   // btr [rbp+rsi*4-80h], eax
    &[0x48, 0x0f, 0xab, 0x0c, 0x24],                   // bts [rsp], rcx
    &[0xdb, 0x7c, 0xbd, 0x00],                         // fstp tbyte ptr [rbp+rdi*4]
    &[0xc5, 0xfe, 0x7f, 0x44, 0x8e, 0x20],             // vmovdqu [rsi+rcx*4+20h], ymm0
    &[0x62, 0xf1, 0x7c, 0x49, 0x11, 0x44, 0x8e, 0x01], // vmovups [rsi+rcx*4+40h]{k1}, zmm0
];

/// Prefixes that move an operand elsewhere.
const PREFIXES: [&[u8]; 5] = [&[], &[0x67], &[0x64], &[0x36], &[0x67, 0x2e]];

fn seed() -> u64 {
    let seed = std::env::var("ENCORE86_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed);
    println!("seed {seed} (set ENCORE86_SEED for another)");
    seed
}

fn rounds() -> u64 {
    let given = std::env::var("ENCORE86_ROUNDS").ok().and_then(|s| s.parse().ok());
    given.unwrap_or(1)
}

/// Encodings of the executed rows and of [`MORE`], under [`PREFIXES`].
fn forms(mode: Mode, profile: &Profile) -> Vec<Form> {
    let moffs = if mode == Mode::Long64 { DATA + 0x1000 } else { 0x1000 };
    let mut all: Vec<_> = encode::all(mode, profile, moffs).into_iter().filter(|f| f.row.executed()).collect();
    let more = MORE.iter().filter_map(|bytes| {
        let insn = decode(bytes, mode, profile).ok().filter(|insn| insn.length() == bytes.len())?;
        Some(Form { row: insn.row(), mode, bytes: bytes.to_vec(), insn })
    });
    all.extend(more);
    let mut out = Vec::new();
    for form in all {
        for prefix in PREFIXES {
            let bytes = [prefix, &form.bytes].concat();
            let Ok(insn) = decode(&bytes, mode, profile) else { continue };
            if std::ptr::eq(insn.row(), form.row) && insn.length() == bytes.len() {
                out.push(Form { bytes, insn, ..form.clone() });
            }
        }
    }
    // Slow without optimisation.
    out.into_iter().step_by(if cfg!(debug_assertions) { 16 } else { 1 }).collect()
}

/// A register's value: near where data are, near the ends of things, or anything.
fn number(random: &mut Random, was: u64) -> u64 {
    const ENDS: [u64; 8] =
        [0, 0x1000, 0x1_0000, 0x10_0000, 0x1_0000_0000, 0x8000_0000_0000, 0xffff_8000_0000_0000, 0x8000];
    let r = random.next();
    let small = (r >> 8 & 0x7f).wrapping_sub(0x40);
    match r % 8 {
        0..4 => was.wrapping_add(small),
        4..7 => ENDS[(r >> 16) as usize % ENDS.len()].wrapping_add(small),
        _ => random.next(),
    }
}

fn state(mode: Mode, random: &mut Random) -> Cpu {
    let mut cpu = machine::cpu(mode);
    for i in 0..16 {
        cpu.gpr[i] = number(random, cpu.gpr[i]);
    }
    for gpr in &mut cpu.gpr[16..] {
        *gpr = random.next();
    }
    if !random.one_in(4) {
        cpu.gpr[1] = cpu.gpr[1] >> 32 << 32 | (random.next() % 5);
    }
    let wide = random.one_in(4);
    for zmm in &mut cpu.vector.zmm {
        random.fill(&mut zmm.0);
        if !wide {
            // Indices that stay in a segment; half of all signs are set.
            for lane in zmm.0.chunks_mut(8) {
                let small = (random.next() as i64 >> 52) as u64;
                lane.copy_from_slice(&small.to_le_bytes());
            }
        }
    }
    for k in &mut cpu.vector.k {
        *k = random.next();
    }
    cpu.vector.mxcsr = if random.one_in(4) { random.next() as u32 & 0xffff } else { 0x1f80 };
    let x87 = &mut cpu.x87;
    for reg in &mut x87.regs {
        random.fill(reg);
        if random.one_in(2) {
            reg[7..].copy_from_slice(&[0x80 | random.next() as u8, (random.next() % 8) as u8, 0x40]);
        }
    }
    (x87.ftw, x87.fcw) = (random.next() as u8, 0x37f);
    if random.one_in(4) {
        x87.fcw = 0x40 | random.next() as u16 & 0x1f3f;
    }
    x87.fsw = random.next() as u16 & 0x7f00;
    let flags = random.next() & (rflags::ARITH | rflags::DF);
    cpu.set_rflags(cpu.rflags() | flags);
    cpu
}

/// An access in short: address, bytes, what it does.
type Short = (u64, u32, Kind);

fn done(recorded: &Recorded) -> Short {
    let (kind, len) = match &recorded.what {
        What::Read(bytes) | What::Fetch(bytes) => (Kind::Read, bytes.len()),
        What::Write(bytes) => (Kind::Write, bytes.len()),
        What::Rmw { old, .. } => (Kind::ReadWrite, old.len()),
        What::In(bytes) => (Kind::In, bytes.len()),
        What::Out(bytes) => (Kind::Out, bytes.len()),
    };
    (recorded.at, len as u32, kind)
}

fn short(foreseen: &Foreseen) -> Short {
    (foreseen.at, foreseen.len, foreseen.kind)
}

/// Takes each of `done` out of `foreseen`; what was not in it.
///
/// `Record` puts the pieces of one access together. An 80-bit operand whose last two bytes wrap to the beginning of the
/// segment is therefore listed by it as one, and foreseen as the two that it is.
fn unforeseen(foreseen: &mut Vec<Foreseen>, done: &[Short]) -> Vec<Short> {
    let mut others = Vec::new();
    for &access in done {
        let (at, len, kind) = access;
        let wraps = |pair: &[Foreseen]| len == 10 && pair[0].at == at && [8, 2] == [pair[0].len, pair[1].len];
        if let Some(i) = foreseen.windows(2).position(|pair| wraps(pair) && pair.iter().all(|f| f.kind == kind)) {
            foreseen.drain(i..i + 2);
            continue;
        }
        match foreseen.iter().position(|f| short(f) == access) {
            Some(i) => {
                foreseen.swap_remove(i);
            }
            None => others.push(access),
        }
    }
    others
}

/// The same of a state image, byte by byte: how its parts are joined to accesses depends on where pages and segments end.
fn unforeseen_bytes(foreseen: &mut Vec<Foreseen>, done: &[Short], wrap: u64) -> Vec<Short> {
    let bytes = |(at, len, kind): Short| (0..u64::from(len)).map(move |i| ((at + i) & wrap, format!("{kind:?}")));
    let touched: BTreeSet<_> = done.iter().flat_map(|&access| bytes(access)).collect();
    let known: BTreeSet<_> = foreseen.iter().flat_map(|f| bytes(short(f))).collect();
    foreseen.retain(|f| !bytes(short(f)).all(|byte| touched.contains(&byte)));
    done.iter().copied().filter(|&access| !bytes(access).all(|byte| known.contains(&byte))).collect()
}

/// Does the instruction move a state image?
fn moves_image(form: &Form) -> bool {
    matches!(form.row.gate, Gate::Xsave | Gate::Xsaves)
        || matches!(form.row.exec, Exec::X87(_)) && form.insn.memory().is_some_and(|(slot, _)| slot.size > 10)
}

fn moved(accesses: &Accesses) -> Vec<Foreseen> {
    accesses.iter().copied().filter(|f| f.kind != Kind::Address).collect()
}

fn engines() -> [Engine; 2] {
    [Vendor::Amd, Vendor::Intel].map(|vendor| {
        let profile = Profile::all().with_vendor(vendor);
        Engine::new(profile).expect("executable memory for stubs")
    })
}

/// Does the instruction deliver an event, or ask a bitmap or a descriptor, which no register tells?
fn may_be_incomplete(form: &Form) -> bool {
    use encore86::isa::row::{ShadowOp, StrOp};
    // Nor the header of an XSAVE area or the rows of a tile.
    use SysOp::{In, Int, Out, Senduipi, TileLoad, TileStore, UserReadMsr, UserWriteMsr, Xrstor};
    matches!(
        form.row.exec,
        Exec::System(Int | In | Out | Xrstor | TileLoad | TileStore | Senduipi | UserReadMsr | UserWriteMsr)
            | Exec::System(SysOp::Shadow(ShadowOp::SavePrevious | ShadowOp::SetBusy))
            | Exec::Str(StrOp::Ins | StrOp::Outs)
            | Exec::Far(_)
    )
}

#[test]
fn accesses_are_those_foreseen() {
    let mut engines = engines();
    let mut random = Random(seed());
    let (mut count, mut completed, mut compared, mut conditional) = (0, 0, 0, 0);
    let (mut skipped, mut wrong) = (BTreeSet::new(), BTreeMap::<String, String>::new());
    let mut rows = BTreeSet::new();
    for mode in MODES {
        for form in forms(mode, &Profile::all()) {
            count += 1;
            for round in 0..rounds() {
                let engine = &mut engines[(round + count) as usize % 2];
                let Ok(insn) = decode(&form.bytes, mode, engine.profile()) else { continue };
                let before = state(mode, &mut random);
                let foreseen = insn.accesses(&before, engine.profile());
                let vm = Vm { interrupt: true, ..Vm::with_code(code_address(&before), &form.bytes) };
                let (mut cpu, mut record) = (before.clone(), Record::new(vm));
                let outcome = engine.step(&mut cpu, &mut record);
                record.settle(&outcome, None);
                if let Outcome::Unsupported(Unsupported::HostLacks(feature)) = outcome {
                    skipped.insert(format!("{} ({feature})", form.insn));
                    continue;
                }
                let list: Vec<_> = record.take().iter().map(done).collect();
                let mut left = moved(&foreseen);
                let wrap = if insn.address_size() == 8 { u64::MAX } else { 0xffff_ffff };
                let mut others = match moves_image(&form) {
                    true => unforeseen_bytes(&mut left, &list, wrap),
                    false => unforeseen(&mut left, &list),
                };
                // Where an MSR says where the bitmap is.
                let elsewhere = matches!(form.row.exec, Exec::System(SysOp::UserReadMsr | SysOp::UserWriteMsr));
                if !foreseen.is_complete() && (elsewhere || matches!(form.row.exec, Exec::Far(_))) {
                    others.clear();
                }
                compared += list.len();
                let ended = matches!(outcome, Outcome::Completed(_));
                completed += usize::from(ended);
                conditional += left.iter().filter(|f| f.conditional).count();
                left.retain(|f| ended && !f.conditional);
                let incomplete = !foreseen.is_complete() && !may_be_incomplete(&form);
                if ended {
                    rows.insert(std::ptr::from_ref(form.row) as usize);
                }
                if !others.is_empty() || !left.is_empty() || incomplete {
                    let text = format!(
                        "{} {:02x?} in {mode:?}, {outcome:?}: not foreseen {others:x?}, not done {left:x?}, {foreseen:x?}",
                        form.insn, form.bytes
                    );
                    wrong.entry(format!("{} {:?}", form.row.mnemonic, form.row.exec)).or_insert(text);
                }
            }
        }
    }
    if let Some(first) = skipped.first() {
        println!("SKIPPED {} forms that this host cannot replay, the first is {first}", skipped.len());
    }
    println!(
        "{count} encodings of {} rows, {completed} steps completed, {compared} accesses compared, {conditional} conditional ones not made",
        rows.len()
    );
    for text in wrong.values().take(40) {
        println!("{text}");
    }
    assert_eq!(wrong.len(), 0, "instructions whose accesses were not foreseen");
    assert!(count > 10_000 && completed > 10_000 && compared > 10_000 && rows.len() > 1_000);
}

#[test]
fn repetitions_are_those_foreseen() {
    let mut engines = engines();
    let mut random = Random(seed());
    let mut steps = 0;
    for mode in MODES {
        for form in forms(mode, &Profile::all()).iter().filter(|f| matches!(f.row.exec, Exec::Str(_))) {
            for round in 0..8 * rounds() {
                let engine = &mut engines[(round % 2) as usize];
                let mut cpu = machine::cpu(mode);
                cpu.gpr[1] = random.next() % 20;
                if random.one_in(2) {
                    cpu.set_rflags(cpu.rflags() | rflags::DF);
                }
                let Ok(insn) = decode(&form.bytes, mode, engine.profile()) else { continue };
                let foreseen = insn.accesses(&cpu, engine.profile());
                let vm = Vm { blocks: random.one_in(2), ..Vm::with_code(code_address(&cpu), &form.bytes) };
                let mut record = Record::new(vm);
                let outcome = engine.step(&mut cpu, &mut record);
                record.settle(&outcome, None);
                let list: Vec<_> = record.take().iter().map(done).collect();
                if matches!(outcome, Outcome::Unsupported(_)) {
                    // Ports in virtual-8086 mode.
                    assert!(!foreseen.is_complete() && list.is_empty(), "{}: {outcome:?}", form.insn);
                    continue;
                }
                if !foreseen.is_complete() {
                    // Ports in virtual-8086 mode: the TSS of this memory has no bitmap.
                    assert!(matches!(outcome, Outcome::Exception(e) if e.vector == 13), "{}: {outcome:?}", form.insn);
                    continue;
                }
                assert!(matches!(outcome, Outcome::Completed(_)), "{}: {outcome:?}", form.insn);
                let count = foreseen.repetitions().unwrap_or(1) as i64;
                let of = |i: i64| {
                    let by = move |f: &Foreseen| if f.is_memory() { foreseen.stride() * i } else { 0 };
                    moved(&foreseen).into_iter().map(move |f| Foreseen { at: f.at.wrapping_add_signed(by(&f)), ..f })
                };
                let mut all: Vec<_> = (0..count).flat_map(of).collect();
                assert_eq!(unforeseen(&mut all, &list), [], "{} {mode:?}", form.insn);
                let may_end = matches!(form.insn.repeat(), Some(r) if r != encore86::decode::Repeat::Rep);
                assert!(all.is_empty() || may_end, "{} {mode:?}: {all:x?}", form.insn);
                steps += 1;
            }
        }
    }
    println!("{steps} steps");
    assert!(steps > 1_000);
}

/// The components that the engine knows.
const STATE: u64 = component::X87 | component::AVX512 | component::APX;

/// Gives what `read` leaves out other values.
fn scramble(cpu: &mut Cpu, read: &StateUse, random: &mut Random) {
    let kept = |bits: u64| read.components & bits != 0;
    for (i, zmm) in cpu.vector.zmm.iter_mut().enumerate() {
        let parts: [(u64, std::ops::Range<usize>); 3] = if i < 16 {
            [(component::SSE, 0..16), (component::AVX, 16..32), (component::ZMM_HI256, 32..64)]
        } else {
            [(component::HI16_ZMM, 0..64), (component::HI16_ZMM, 0..0), (component::HI16_ZMM, 0..0)]
        };
        for (bit, part) in parts {
            if !kept(bit) {
                random.fill(&mut zmm.0[part]);
            }
        }
    }
    if !kept(component::OPMASK) {
        cpu.vector.k.iter_mut().for_each(|k| *k = random.next());
    }
    if !read.mxcsr {
        cpu.vector.mxcsr = random.next() as u32 & 0xffff;
    }
    if !kept(component::X87) {
        cpu.x87.regs.iter_mut().for_each(|reg| random.fill(reg));
    }
    if !read.x87_status {
        let x87 = &mut cpu.x87;
        (x87.fcw, x87.fsw, x87.ftw) = (random.next() as u16, random.next() as u16, random.next() as u8);
        (x87.fip, x87.fdp) = (random.next(), random.next());
    }
    if !kept(component::APX) {
        cpu.gpr[16..].iter_mut().for_each(|gpr| *gpr = random.next());
    }
    let others = (rflags::ARITH | rflags::DF) & !read.flags;
    let flags = random.next() & others;
    cpu.set_rflags(cpu.rflags() & !others | flags);
}

/// The state as bytes, with the component or field each belongs to.
fn bytes_of(cpu: &Cpu) -> Vec<(Part, u8)> {
    let mut out = Vec::new();
    for (i, zmm) in cpu.vector.zmm.iter().enumerate() {
        out.extend(zmm.0.iter().enumerate().map(|(at, &byte)| {
            let bit = match (i, at) {
                (16.., _) => component::HI16_ZMM,
                (_, 0..16) => component::SSE,
                (_, 16..32) => component::AVX,
                _ => component::ZMM_HI256,
            };
            (Part::Component(bit), byte)
        }));
    }
    let mut put = |part: Part, bytes: &[u8]| out.extend(bytes.iter().map(|&byte| (part, byte)));
    cpu.vector.k.iter().for_each(|k| put(Part::Component(component::OPMASK), &k.to_le_bytes()));
    cpu.gpr[16..].iter().for_each(|gpr| put(Part::Component(component::APX), &gpr.to_le_bytes()));
    let x87 = &cpu.x87;
    x87.regs.iter().for_each(|reg| put(Part::Component(component::X87), reg));
    for word in [x87.fcw, x87.fsw, x87.fop, x87.fcs, x87.fds, x87.ftw.into()] {
        put(Part::Status, &word.to_le_bytes());
    }
    put(Part::Status, &x87.fip.to_le_bytes());
    put(Part::Status, &x87.fdp.to_le_bytes());
    put(Part::Mxcsr, &cpu.vector.mxcsr.to_le_bytes());
    put(Part::Flags, &cpu.rflags().to_le_bytes());
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Component(u64),
    Status,
    Mxcsr,
    Flags,
}

#[test]
fn state_is_what_was_foreseen() {
    let mut engines = engines();
    let mut random = Random(seed());
    let (mut count, mut pairs, mut wrong) = (0, 0, BTreeMap::<String, String>::new());
    // Components that a row says it writes, and those that were seen to change.
    let mut written_by_row = BTreeMap::<usize, (String, u64, u64)>::new();
    for mode in MODES {
        for form in forms(mode, &Profile::all()) {
            count += 1;
            for round in 0..rounds() {
                let engine = &mut engines[(round + count) as usize % 2];
                let Ok(insn) = decode(&form.bytes, mode, engine.profile()) else { continue };
                let (read, written) = (insn.state_read(), insn.state_written());
                let before = state(mode, &mut random);
                let mut other = before.clone();
                scramble(&mut other, &read, &mut random);
                let mut run = |cpu: &Cpu, valid: u64| {
                    let mut cpu = cpu.clone();
                    (cpu.valid, cpu.dirty) = (valid, 0);
                    let mut vm = Vm { interrupt: true, ..Vm::with_code(code_address(&cpu), &form.bytes) };
                    let outcome = engine.step(&mut cpu, &mut vm);
                    (cpu, outcome, vm.log)
                };
                let (a, outcome, log) = run(&before, u64::MAX);
                if !matches!(outcome, Outcome::Completed(_)) {
                    continue;
                }
                let (b, other_outcome, other_log) = run(&other, u64::MAX);
                pairs += 1;
                let mut faults = Vec::new();
                if (outcome, &log) != (other_outcome, &other_log) || a.gpr[..16] != b.gpr[..16] || a.rip != b.rip {
                    faults
                        .push(format!("reads more than {read:x?}: {other_outcome:?}, {log:x?} against {other_log:x?}"));
                }
                // Whatever is written is the same in both, the rest is as it was in each.
                let (was, is) = ([bytes_of(&before), bytes_of(&other)], [bytes_of(&a), bytes_of(&b)]);
                let mut changed = 0;
                for i in 0..was[0].len() {
                    let part = was[0][i].0;
                    let [(x0, x1), (y0, y1)] = [0, 1].map(|j| (was[j][i].1, is[j][i].1));
                    let moved = (x0 ^ x1) | (y0 ^ y1);
                    // By bits: a flag, a status bit.
                    if (x1 ^ y1) & moved != 0 {
                        faults.push(format!("{part:x?} depends on more than {read:x?} at byte {i}"));
                    }
                    let allowed = moved == 0
                        || match part {
                            Part::Component(bit) => {
                                changed |= bit;
                                written.components & bit != 0
                            }
                            Part::Status => written.x87_status,
                            Part::Mxcsr => written.mxcsr,
                            Part::Flags => u64::from(moved) << (8 * (i + 8 - was[0].len())) & !written.flags == 0,
                        };
                    if !allowed {
                        faults.push(format!("{part:x?} is written, and not in {written:x?}"));
                    }
                }
                if a.dirty & !written.components != 0 || b.dirty & !written.components != 0 {
                    faults.push(format!("dirty {:x} is more than {written:x?}", a.dirty | b.dirty));
                }
                if written.mxcsr {
                    changed |= component::SSE;
                }
                if written.x87_status {
                    changed |= component::X87;
                }
                let touched = (read.components | written.components) & STATE;
                let (_, lazy, _) = run(&before, 0);
                let asked = lazy == Outcome::Unsupported(Unsupported::Platform("lazily loaded state"));
                if touched != 0 && !asked {
                    faults.push(format!("touches {touched:x} that was not asked for: {lazy:?}"));
                }
                let row = std::ptr::from_ref(form.row) as usize;
                let entry = written_by_row.entry(row).or_insert((form.insn.to_string(), 0, 0));
                entry.1 |= written.components;
                entry.2 |= changed;
                faults.dedup();
                if !faults.is_empty() {
                    let text =
                        format!("{} {:02x?} in {mode:?}: {:?}", form.insn, form.bytes, &faults[..faults.len().min(3)]);
                    wrong.entry(format!("{} {:?}", form.row.mnemonic, form.row.exec)).or_insert(text);
                }
            }
        }
    }
    let unseen: Vec<_> = written_by_row.values().filter(|(_, written, seen)| written & STATE & !seen != 0).collect();
    println!("{pairs} pairs of steps of {} rows", written_by_row.len());
    for text in wrong.values().take(40) {
        println!("{text}");
    }
    // Without optimisation there are too few steps for it.
    let unseen = if cfg!(debug_assertions) { Vec::new() } else { unseen };
    for (text, written, seen) in unseen.iter().take(40) {
        println!("{text}: {:x} is said to be written and never was", written & !seen);
    }
    assert_eq!(wrong.len(), 0, "instructions whose state was not foreseen");
    assert_eq!(unseen.len(), 0, "rows that write less than they say");
    assert!(pairs > 10_000);
}

/// What is foreseen of `bytes`, which need not be executed, and whether it is complete.
fn told(mode: Mode, bytes: &[u8], change: impl FnOnce(&mut Cpu)) -> (Vec<Short>, bool) {
    let profile = Profile::all().with_vendor(Vendor::Intel);
    let insn = decode(bytes, mode, &profile).unwrap_or_else(|error| panic!("{bytes:02x?}: {error}"));
    let mut cpu = machine::cpu(mode);
    cpu.update(|s| (s.gdtr.base, s.ldtr.base, s.tr.base, s.ssp) = (0x10_0000, 0x11_0000, 0x12_0000, 0x13_0000));
    change(&mut cpu);
    let accesses = insn.accesses(&cpu, &profile);
    (accesses.iter().map(short).collect(), accesses.is_complete())
}

/// The registers of [`machine::cpu`]: rBX, rSP, rBP, rSI and rDI where the segments' bases are added.
const BX: u64 = DATA + 0x1000;
const SP: u64 = STACK + 0x8000;
const BP: u64 = STACK + 0x4000;
const SI: u64 = DATA + 0x2000;
const DI: u64 = EXTRA + 0x3000;

#[test]
fn accesses_by_hand() {
    use Kind::{Address, In, Read, ReadWrite, Write};
    use Mode::{Long64, Prot32, Real16};
    let entries = |kind, size: u32, at: &[i64]| -> Vec<Short> {
        at.iter().map(|i| (SP.wrapping_add_signed(i * i64::from(size)), size, kind)).collect()
    };
    let cases: &[(Mode, &[u8], Vec<Short>, bool)] = &[
        (Prot32, &[0x60], entries(Write, 4, &[-1, -2, -3, -4, -5, -6, -7, -8]), true), // pushad
        (Prot32, &[0x61], entries(Read, 4, &[0, 1, 2, 4, 5, 6, 7]), true),             // popad
        // enter 20h, 3: the frame pointer, two of outer levels, and the new one
        (
            Long64,
            &[0xc8, 0x20, 0, 3],
            [entries(Write, 8, &[-1, -2, -3, -4]), vec![(BP - 8, 8, Read), (BP - 16, 8, Read)]].concat(),
            true,
        ),
        (Long64, &[0x0f, 0xa0], entries(Write, 8, &[-1]), true), // push fs
        (Prot32, &[0x06], vec![(SP - 4, 2, Write)], true),       // push es: Intel stores the selector alone
        (Real16, &[0x07], entries(Read, 2, &[0]), true),         // pop es
        (Prot32, &[0x07], entries(Read, 4, &[0]), false),        // the descriptor is that of a selector in memory
        (Real16, &[0x9a, 0, 0, 0, 0x20], entries(Write, 2, &[-1, -2]), true), // call 2000h:0
        (Prot32, &[0x9a, 0, 0, 0, 0, 0x1b, 0], vec![(0x10_0018, 8, Read)], false), // call 1bh:0
        (Prot32, &[0xea, 0, 0, 0, 0, 0x1c, 0], vec![(0x11_0018, 8, Read)], false), // jmp 1ch:0, of the LDT
        (Long64, &[0x48, 0xff, 0x2b], vec![(BX, 8, Read), (BX + 8, 2, Read)], false), // jmp far [rbx]
        (Real16, &[0xca, 4, 0], entries(Read, 2, &[0, 1]), true), // retf 4
        (Real16, &[0xcf], entries(Read, 2, &[0, 1, 2]), true),   // iret
        (Long64, &[0x48, 0xcf], entries(Read, 8, &[0, 1, 2, 3, 4]), false), // iretq
        (Long64, &[0xcd, 3], vec![], false),                     // int 3
        (Long64, &[0x0f, 0x05], vec![], true),                   // syscall
        // movdir64b rdi, [rbx]; enqcmd rdi, [rbx]
        (Long64, &[0x66, 0x0f, 0x38, 0xf8, 0x3b], vec![(BX, 64, Read), (DI, 64, Write)], true),
        (Long64, &[0xf2, 0x0f, 0x38, 0xf8, 0x3b], vec![(BX, 64, Read), (DI, 64, Write)], true),
        (Long64, &[0x0f, 0x01, 0xc8], vec![(0x1_2345, 1, Address)], true), // monitor
        (Long64, &[0xf3, 0x0f, 0xae, 0xf3], vec![(BX, 1, Address)], true), // umonitor rbx
        (Long64, &[0x0f, 0xae, 0x3b], vec![(BX, 1, Address)], true),       // clflush [rbx]
        (Long64, &[0x8e, 0xe1], vec![], true),                             // mov fs, ecx: a null selector
        (Long64, &[0x8e, 0xe2], vec![(0x10_0070, 8, Read), (0x10_0075, 1, Write)], true), // mov fs, edx
        (Long64, &[0x0f, 0x00, 0xd2], vec![(0x10_0070, 8, Read), (0x10_0078, 8, Read)], true), // lldt dx
        (Long64, &[0x0f, 0x02, 0x03], vec![(BX, 2, Read)], false),         // lar eax, [rbx]
        (Prot32, &[0xc5, 0x03], vec![(BX, 4, Read), (BX + 4, 2, Read)], false), // lds eax, [ebx]
        (Real16, &[0xc5, 0x07], vec![(BX, 2, Read), (BX + 2, 2, Read)], true), // lds ax, [bx]
        (Long64, &[0x0f, 0x01, 0x03], vec![(BX, 10, Write)], true),        // sgdt [rbx]
        (Mode::V86, &[0xec], vec![(0x12_0066, 2, Read), (0x70, 1, In)], false), // in al, dx
        // incsspq rcx: RCX is 3
        (Long64, &[0xf3, 0x48, 0x0f, 0xae, 0xe9], vec![(0x13_0000, 8, Read), (0x13_0010, 8, Read)], true),
        (Long64, &[0xf3, 0x0f, 0x01, 0x2b], vec![(BX, 8, ReadWrite)], true), // rstorssp [rbx]
        // rdmsrlist: RCX is 3
        (Long64, &[0xf2, 0x0f, 0x01, 0xc6], vec![(SI, 16, Read), (DI, 16, Write)], true),
        (Long64, &[0xdd, 0x33], vec![(BX, 108, Write)], true), // fnsave [rbx]
        (Long64, &[0xc4, 0xe2, 0x78, 0x49, 0x03], vec![(BX, 64, Read)], true), // ldtilecfg [rbx]
        (Long64, &[0xc4, 0xe2, 0x7b, 0x4b, 0x04, 0x0b], vec![], false), // tileloadd tmm0, [rbx+rcx]
        (Prot32, &[0x62, 0x03], vec![(BX, 4, Read), (BX + 4, 4, Read)], true), // bound eax, [ebx]
        (Long64, &[0x48, 0x0f, 0xc7, 0x33], vec![(BX, 8, Read)], false), // vmptrld [rbx]
        (Long64, &[0x62, 0xf4, 0x7c, 0x18, 0xff, 0xf0], vec![(SP - 16, 16, Write)], true), // push2 rax, rax
    ];
    let mut wrong = Vec::new();
    for (mode, bytes, expected, complete) in cases {
        let (mut list, is_complete) = told(*mode, bytes, |_| {});
        let mut expected = expected.clone();
        let key = |access: &Short| (access.0, access.1, format!("{:?}", access.2));
        list.sort_by_key(key);
        expected.sort_by_key(key);
        if (&list, is_complete) != (&expected, *complete) {
            wrong.push(format!("{bytes:02x?} in {mode:?}: {list:x?} {is_complete}, expected {expected:x?} {complete}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A task to return to; shadow stacks; a call with them.
    assert_eq!(told(Prot32, &[0xcf], |cpu| cpu.set_rflags(cpu.rflags() | rflags::NT)), (vec![], false));
    let cet = |cpu: &mut Cpu| cpu.update(|s| s.cr4 |= 1 << 23);
    assert_eq!(told(Long64, &[0xe8, 0, 0, 0, 0], cet).0, [(SP - 8, 8, Write), (0x12_fff8, 8, Write)]);
}

#[test]
fn images_by_hand() {
    use Kind::{Read, ReadWrite, Write};
    // The layout of Intel's processors: AVX at 240h, opmasks at 440h, ZMM_Hi256 at 480h, Hi16_ZMM at 680h, PKRU at a80h.
    let profile = Profile::named("skylake-server");
    let profile = profile.expect("a model");
    let told = |bytes: &[u8], requested: u64| {
        let insn = decode(bytes, Mode::Long64, &Profile::all()).expect("an instruction");
        let mut cpu = machine::cpu(Mode::Long64);
        (cpu.gpr[0], cpu.gpr[2]) = (requested, 0);
        let accesses = insn.accesses(&cpu, &profile);
        let list: Vec<_> = accesses.iter().map(|f| (f.at - BX, f.len, f.kind, f.conditional)).collect();
        (list, accesses.is_complete())
    };
    let legacy = |kind, conditional| {
        [(0, 24), (32, 128), (24, 8), (160, 256)].map(|(at, len)| (at, len, kind, conditional)).to_vec()
    };
    let saved = [legacy(Write, false), vec![(576, 256, Write, false), (512, 8, ReadWrite, false)]].concat();
    assert_eq!(told(&[0x0f, 0xae, 0x23], 7), (saved, true), "xsave [rbx]");
    assert_eq!(told(&[0x0f, 0xae, 0x23], 0), (vec![(512, 8, ReadWrite, false)], true));
    let compacted = vec![(24, 8, Write, false), (576, 256, Write, true), (512, 16, Write, false)];
    let (mut list, complete) = told(&[0x0f, 0xc7, 0x23], 4);
    list[0].3 = false;
    assert_eq!((list, complete), (compacted, true), "xsavec [rbx]");
    let restored = [vec![(512, 64, Read, false)], legacy(Read, true)].concat();
    assert_eq!(told(&[0x0f, 0xae, 0x2b], 3), (restored, false), "xrstor [rbx]");
    assert_eq!(told(&[0x0f, 0xae, 0x03], 3), (vec![(0, 416, Write, false)], true), "fxsave [rbx]");
}

#[test]
fn state_by_hand() {
    use component::*;
    let of = |bytes: &[u8]| {
        let insn = decode(bytes, Mode::Long64, &Profile::all()).unwrap_or_else(|error| panic!("{bytes:02x?}: {error}"));
        (insn.state_read(), insn.state_written())
    };
    let cases: &[(&[u8], u64, u64)] = &[
        (&[0xc4, 0xe2, 0x78, 0x49, 0x03], 0, TILECFG | TILEDATA), // ldtilecfg [rbx]
        (&[0xc4, 0xe2, 0x79, 0x49, 0x03], TILECFG, 0),            // sttilecfg [rbx]
        (&[0xc4, 0xe2, 0x7b, 0x4b, 0x04, 0x0b], TILECFG, TILECFG | TILEDATA), // tileloadd tmm0, [rbx+rcx]
        (&[0xc4, 0xe2, 0x73, 0x5e, 0xc2], TILECFG | TILEDATA, TILEDATA), // tdpbssd tmm0, tmm2, tmm1
        (&[0x66, 0x0f, 0x1a, 0xc1], BNDREGS | BNDCSR, BNDREGS),   // bndmov bnd0, bnd1
        (&[0x0f, 0x01, 0xee], PKRU, 0),                           // rdpkru
        (&[0x0f, 0x01, 0xef], 0, PKRU),                           // wrpkru
        (&[0xf3, 0x48, 0x0f, 0x1e, 0xc8], CET_U | CET_S, 0),      // rdsspq rax
        (&[0xf3, 0x0f, 0x01, 0xee], UINTR, UINTR),                // clui
        (&[0xf2, 0x0f, 0x38, 0xf8, 0x3b], PASID, 0),              // enqcmd rdi, [rbx]
        (&[0xd5, 0x11, 0x01, 0xc8], APX, APX),                    // add r16d, ecx, or the like
        (&[0xd5, 0x10, 0x8b, 0x00], APX, 0),                      // mov eax, [r16]
        (&[0x0f, 0xae, 0x23], StateUse::EVERY, 0),                // xsave [rbx]
        (&[0x0f, 0xae, 0x2b], 0, StateUse::EVERY),                // xrstor [rbx]
        (&[0x62, 0xe1, 0x74, 0x40, 0x58, 0xc2], HI16_ZMM | SSE | AVX | ZMM_HI256, HI16_ZMM | SSE), // vaddps zmm16, zmm17, zmm2
        (&[0x62, 0xf1, 0x74, 0x49, 0x54, 0x03], SSE | AVX | ZMM_HI256 | OPMASK, SSE | AVX | ZMM_HI256),
        (&[0xd9, 0x3b], X87, 0),         // fnstcw [rbx]
        (&[0x9b], X87, 0),               // wait
        (&[0x0f, 0x6f, 0xc1], X87, X87), // movq mm0, mm1
    ];
    for (bytes, read, written) in cases {
        let (r, w) = of(bytes);
        let extended = |bits: u64| if *read == APX || *written == APX { bits & APX } else { bits };
        assert_eq!((extended(r.components), extended(w.components)), (*read, *written), "{bytes:02x?}");
    }
    let (read, written) = of(&[0x0f, 0x58, 0xc1]); // addps xmm0, xmm1
    assert!(read.mxcsr && written.mxcsr && !read.x87_status);
    let (read, written) = of(&[0x62, 0xf1, 0x7c, 0x18, 0x58, 0xc1]); // vaddps zmm0, zmm0, zmm1, {rn-sae}
    assert!(read.mxcsr && !written.mxcsr);
    let (read, written) = of(&[0xe8, 0, 0, 0, 0]);
    assert!(read.ssp && written.ssp && read.flags == 0);
    let (read, written) = of(&[0x11, 0xc8]); // adc eax, ecx
    assert_eq!((read.flags, written.flags), (rflags::CF, rflags::ARITH));
    let (_, written) = of(&[0x9d]);
    assert_eq!(written.flags & (rflags::IOPL | rflags::TF), rflags::IOPL | rflags::TF);
}

#[test]
fn roles_by_hand() {
    let roles = |bytes: &[u8]| {
        let insn = decode(bytes, Mode::Long64, &Profile::all()).expect("an instruction");
        let list = insn.accesses(&machine::cpu(Mode::Long64), &Profile::all());
        list.iter().map(|f| (f.role, f.locked, f.conditional)).collect::<Vec<_>>()
    };
    let plain = |role| (role, false, false);
    assert_eq!(roles(&[0xff, 0x33]), [plain(Role::Operand), plain(Role::Stack)]);
    assert_eq!(roles(&[0xa4]), [plain(Role::String), plain(Role::String)]);
    assert_eq!(roles(&[0x8e, 0xe2]), [plain(Role::Table), (Role::Table, false, true)]);
    assert_eq!(roles(&[0xf0, 0x01, 0x03]), [(Role::Operand, true, false)]);
    assert_eq!(roles(&[0x87, 0x03]), [(Role::Operand, true, false)]);
    assert_eq!(roles(&[0xe4, 0x10]), [plain(Role::Port)]);
}
