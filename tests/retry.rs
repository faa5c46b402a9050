//! Accesses that go wrong: every form of the table, with the n-th call on the bus answering `Retry`, a fault, a smaller
//! width, or nothing of use. No device sees an access twice, and nothing is committed that the architecture does not say.

mod support;

use encore86::cpu::segment::Seg;
use encore86::isa::row::{Class, Exec, Shape, StrOp, attr};
use encore86::{Cpu, Engine, Event, Mode, Outcome, Profile, Stop, Unsupported};
use support::encode::{self, Form};
use support::machine::{self, DATA, EXTRA, STACK, code_address, differences};
use support::vm::{Done, Spoil, Vm};

/// Where operands lie: within a page, or across the end of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Inside,
    Crossing,
}

/// What a device is like.
#[derive(Clone, Copy, Debug, Default)]
struct Device {
    width: Option<u8>,
    atomic: bool,
    blocks: bool,
    interrupt: bool,
}

/// A form with the state it starts from.
struct Case {
    form: Form,
    place: Place,
    cpu: Cpu,
    device: Device,
    repeats: bool,
}

impl Case {
    fn new(form: &Form, place: Place, device: Device) -> Case {
        let mut cpu = machine::cpu(form.mode);
        // Opmask k1 and the sign bits of the mask registers xmm3 and xmm4: all elements but some.
        cpu.vector.k[1] = !0b1_0010;
        for i in 0..32 {
            for (j, b) in cpu.vector.zmm[i].0.iter_mut().enumerate() {
                *b = (i * 16 + j) as u8 | if j / 8 % 3 == 1 { 0 } else { 0x80 };
            }
        }
        // Small floating-point numbers and a vector of indices: 0, 0x40, 0, 0xffc, …
        for i in 0..16 {
            let index: u32 = [0, 0x40, 0, 0xffd, 8, 0x1000, 0x80, 1][i % 8];
            cpu.vector.zmm[2].0[i * 4..][..4].copy_from_slice(&index.to_le_bytes());
        }
        if form.insn.row().operands.iter().any(|s| s.width == encore86::isa::row::Width::Q)
            && form.insn.slots().iter().any(|s| s.kind == encore86::decode::SlotKind::Vsib)
        {
            for i in 0..8 {
                let index: u64 = [0, 0x40, 0, 0xffd, 8, 0x1000, 0x80, 1][i];
                cpu.vector.zmm[2].0[i * 8..][..8].copy_from_slice(&index.to_le_bytes());
            }
        }
        cpu.x87.regs = std::array::from_fn(|i| [0, 0, 0, 0, 0, 0, 0, 0x80 + i as u8, 0xff, 0x3f]);
        cpu.x87.ftw = 0b0000_1111;
        if form.row.mnemonic.starts_with("fst") || form.row.mnemonic.starts_with("fist") {
            cpu.x87.ftw = 0xff;
        }
        if place == Place::Crossing {
            let half = form.insn.memory().map_or(1, |(slot, _)| u64::from(slot.size) / 2);
            cpu.gpr[3] -= half;
            cpu.gpr[6] -= 1;
            cpu.gpr[7] -= 1;
            // Pushes cross with one, pops with the other.
            cpu.gpr[4] -= if form.row.mnemonic.starts_with("push") || form.row.mnemonic == "call" { 0xfff } else { 1 };
            cpu.gpr[5] -= 1;
        }
        let repeats = form.row.is(attr::REP) && !form.insn.to_string().starts_with(form.row.mnemonic);
        Case { form: form.clone(), place, cpu, device, repeats }
    }

    fn vm(&self, spoil: Spoil) -> Vm {
        let d = self.device;
        Vm {
            spoil,
            width: d.width,
            atomic: d.atomic,
            blocks: d.blocks,
            interrupt: d.interrupt,
            fifo: !d.blocks,
            ..Vm::with_code(code_address(&self.cpu), &self.form.bytes)
        }
    }

    fn name(&self) -> String {
        format!("{} in {:?}, {:?}, {:?}", self.form.insn, self.form.mode, self.place, self.device)
    }

    /// Bytes of the second page that belong to an inactive element: 4 and 1 are the ones that k1 leaves out.
    fn inactive_bytes(&self) -> u64 {
        let (insn, width) = (&self.form.insn, u64::from(self.form.row.element));
        let plain = matches!(self.form.row.exec, Exec::Replay(Shape::Plain))
            && insn.opmask().is_some()
            && self.form.row.class != Class::NoSuppress;
        match insn.memory() {
            Some((slot, _)) if plain && [1, 4].contains(&(u64::from(slot.size) / 2 / width)) => width,
            _ => 0,
        }
    }

    fn gathers(&self) -> bool {
        matches!(self.form.row.exec, Exec::Replay(Shape::Gather | Shape::Scatter))
    }

    /// Steps until the outcome is neither `Retry` nor an unfinished repetition; on each `Retry` only progress may show.
    fn finish(&self, engine: &mut Engine, cpu: &mut Cpu, vm: &mut Vm) -> (Outcome, usize) {
        let mut retries = 0;
        for _ in 0..20_000 {
            match engine.step(cpu, vm) {
                Outcome::Retry => {
                    retries += 1;
                    self.check_kept(cpu, "on Retry");
                }
                Outcome::Completed(retired) if retired.rep_unfinished => {}
                outcome => return (outcome, retries),
            }
        }
        panic!("{}: does not come to an end", self.name());
    }

    /// Nothing is committed but the progress of a repetition.
    fn check_kept(&self, cpu: &Cpu, when: &str) {
        let mut kept = cpu.clone();
        if self.repeats {
            for r in [1, 6, 7] {
                kept.gpr[r] = self.cpu.gpr[r];
            }
            if matches!(self.form.row.exec, Exec::Str(StrOp::Lods)) {
                kept.gpr[0] = self.cpu.gpr[0];
            }
        }
        let diff = differences(&kept, &self.cpu);
        assert!(diff.is_empty(), "{}: {when}: {diff:?}", self.name());
    }
}

/// Forms that this host runs, in the modes that differ in how operands are addressed.
fn forms(engine: &mut Engine, skipped: &mut Vec<String>) -> Vec<Form> {
    let mut out = Vec::new();
    for mode in [Mode::Long64, Mode::Compat32, Mode::Real16] {
        let moffs = if mode == Mode::Long64 { DATA + 0x1000 } else { 0x1000 };
        for form in encode::all(mode, &Profile::all(), moffs) {
            if form.row.exec == Exec::Missing {
                continue;
            }
            let case = Case::new(&form, Place::Inside, Device::default());
            let (mut cpu, mut vm) = (case.cpu.clone(), case.vm(Spoil::Nothing));
            match engine.step(&mut cpu, &mut vm) {
                Outcome::Unsupported(Unsupported::HostLacks(feature)) => {
                    skipped.push(format!("{} ({feature})", form.insn));
                }
                Outcome::Unsupported(why) => panic!("{}: {why}", case.name()),
                _ => out.push(form),
            }
        }
    }
    out
}

/// The devices that a form meets whose widest access has `widest` bytes.
fn devices(form: &Form, widest: usize) -> Vec<Device> {
    let mut out = vec![Device::default()];
    for width in [1, 2, 4, 8, 16, 32].into_iter().filter(|&w| usize::from(w) < widest) {
        out.push(Device { width: Some(width), ..Device::default() });
    }
    if widest != 0 && (form.row.is(attr::LOCK) || form.row.is(attr::LOCKED)) {
        out.push(Device { atomic: true, ..Device::default() });
        out.push(Device { atomic: true, width: Some(2), ..Device::default() });
    }
    if form.row.is(attr::REP) {
        out.push(Device { blocks: true, ..Device::default() });
        out.push(Device { interrupt: true, ..Device::default() });
    }
    out
}

/// Length of the widest memory access of an undisturbed run.
fn widest(engine: &mut Engine, form: &Form, place: Place) -> usize {
    let case = Case::new(form, place, Device::default());
    let (mut cpu, mut vm) = (case.cpu.clone(), case.vm(Spoil::Nothing));
    let _ = case.finish(engine, &mut cpu, &mut vm);
    vm.accesses.iter().map(|a| a.1).max().unwrap_or(0)
}

fn places(form: &Form) -> &'static [Place] {
    let touches =
        form.insn.memory().is_some() || !matches!(form.row.exec, Exec::Value(_) | Exec::System(_) | Exec::X87(_));
    if touches { &[Place::Inside, Place::Crossing] } else { &[Place::Inside] }
}

/// Every form on every device in both places, with the undisturbed run.
fn each_case(mut run: impl FnMut(&mut Engine, &Case, &Cpu, &Vm, Outcome)) -> (usize, usize) {
    let mut engine = Engine::new(Profile::all()).unwrap();
    let mut skipped = Vec::new();
    let forms = forms(&mut engine, &mut skipped);
    let mut cases = 0;
    for form in &forms {
        for &place in places(form) {
            let widest = widest(&mut engine, form, place);
            for device in devices(form, widest) {
                let case = Case::new(form, place, device);
                let (mut cpu, mut vm) = (case.cpu.clone(), case.vm(Spoil::Nothing));
                let (outcome, _) = case.finish(&mut engine, &mut cpu, &mut vm);
                assert!(!engine.has_open_journal(), "{}: the journal stays open", case.name());
                run(&mut engine, &case, &cpu, &vm, outcome);
                cases += 1;
            }
        }
    }
    if !skipped.is_empty() {
        println!("SKIPPED {} forms that this host cannot replay, the first is {}", skipped.len(), skipped[0]);
    }
    (forms.len(), cases)
}

/// The calls to spoil of a run that makes `calls`: all, or of FXSAVE's hundreds the first, the last and some between.
fn calls(calls: usize) -> impl Iterator<Item = usize> {
    (1..=calls).filter(move |n| *n <= 12 || calls - n < 4 || n % 29 == 0)
}

fn same_end(case: &Case, what: &str, (a, va): (&Cpu, &Vm), (b, vb): (&Cpu, &Vm)) {
    assert_eq!(va.log, vb.log, "{}: {what}: other accesses", case.name());
    assert_eq!(va.written(), vb.written(), "{}: {what}: other memory", case.name());
    let diff = differences(a, b);
    assert!(diff.is_empty(), "{}: {what}: {diff:?}", case.name());
}

#[test]
fn retry_at_every_access() {
    let mut retries = 0;
    let (forms, cases) = each_case(|engine, case, end, seen, outcome| {
        for n in calls(seen.calls) {
            let (mut cpu, mut vm) = (case.cpu.clone(), case.vm(Spoil::Nth(n, Stop::Retry)));
            let (again, count) = case.finish(engine, &mut cpu, &mut vm);
            assert_eq!(count, 1, "{}: call {n}", case.name());
            assert_eq!(again, outcome, "{}: call {n}", case.name());
            same_end(case, &format!("Retry at call {n}"), (&cpu, &vm), (end, seen));
            assert!(!engine.has_open_journal(), "{}: call {n}: the journal stays open", case.name());
            retries += 1;
        }
        let (mut cpu, mut vm) = (case.cpu.clone(), case.vm(Spoil::EachOnce));
        let (again, count) = case.finish(engine, &mut cpu, &mut vm);
        assert_eq!(again, outcome, "{}", case.name());
        same_end(case, "Retry at each access", (&cpu, &vm), (end, seen));
        retries += count;
    });
    println!("{forms} forms, {cases} cases, {retries} retries");
    assert!(forms > 1000 && retries > 30_000);
}

/// A fault in place of the n-th answer commits progress only, and a step after it starts afresh.
#[test]
fn a_fault_at_every_access() {
    let fault = Event::pf(0, 0x1234_5678, "a test");
    let mut faults = 0;
    let (forms, _) = each_case(|engine, case, _, seen, _| {
        for n in calls(seen.calls) {
            let (mut cpu, mut vm) = (case.cpu.clone(), case.vm(Spoil::Nth(n, Stop::Fault(fault))));
            let (outcome, _) = case.finish(engine, &mut cpu, &mut vm);
            assert_eq!(outcome, Outcome::Exception(fault), "{}: call {n}", case.name());
            assert_eq!(cpu.system().cr2, 0x1234_5678);
            assert!(!engine.has_open_journal());
            cpu.update(|s| s.cr2 = 0);
            if case.gathers() {
                // Their progress is told by the tables of tests/instructions.
                cpu.vector = case.cpu.vector.clone();
            }
            case.check_kept(&cpu, "after a fault");
            faults += 1;
        }
    });
    println!("{forms} forms, {faults} faults");
    assert!(faults > 30_000);
}

/// The same with the answers that end a step otherwise.
#[test]
fn other_stops_commit_nothing() {
    let mut stops = 0;
    each_case(|engine, case, _, seen, _| {
        for n in calls(seen.calls) {
            for (stop, expected) in [
                (Stop::Caller(77), Outcome::Stopped(77)),
                (Stop::NotProvided("tea"), Outcome::Unsupported(Unsupported::Platform("tea"))),
            ] {
                let (mut cpu, mut vm) = (case.cpu.clone(), case.vm(Spoil::Nth(n, stop)));
                let (outcome, _) = case.finish(engine, &mut cpu, &mut vm);
                assert_eq!(outcome, expected, "{}: call {n}", case.name());
                assert!(!engine.has_open_journal());
                case.check_kept(&cpu, "after a stop");
                stops += 1;
            }
        }
    });
    println!("{stops} stops");
    assert!(stops > 60_000);
}

/// A store across a page whose second page faults writes no byte of the first, and CR2 is the second page's first byte.
#[test]
fn stores_across_pages_write_all_or_nothing() {
    let mut stores = 0;
    each_case(|engine, case, _, seen, outcome| {
        let wrote = seen.log.iter().any(|d| matches!(d, Done::Write(..)));
        if case.place != Place::Crossing || !wrote || case.gathers() || case.device.blocks {
            return;
        }
        assert!(matches!(outcome, Outcome::Completed(_)), "{}: {outcome}", case.name(), outcome = text(&outcome));
        let mut vm = case.vm(Spoil::Nothing);
        vm.readonly =
            [DATA + 0x1000, EXTRA + 0x3000, STACK + 0x8000, STACK + 0x7000 + 0x1000].iter().map(|a| a / 4096).collect();
        let mut cpu = case.cpu.clone();
        let (outcome, _) = case.finish(engine, &mut cpu, &mut vm);
        let Outcome::Exception(event) = outcome else {
            // Its stores lie within the first page.
            assert!(seen.log.iter().all(|d| !matches!(d, Done::Write(at, _) if vm.readonly.contains(&(at / 4096)))));
            return;
        };
        assert_eq!((event.vector, event.error_code), (14, Some(if case.cpu.cpl() == 3 { 7 } else { 3 })));
        // Processors check a state image's last byte first; an element that the opmask leaves out is not written.
        // Half of it lies on either page.
        let image = ["fxsave", "fnstenv", "fnsave"].iter().any(|name| case.name().starts_with(name));
        let half = case.form.insn.memory().map_or(0, |(slot, _)| u64::from(slot.size) / 2);
        let failing = if image { half - 1 } else { case.inactive_bytes() };
        assert_eq!(event.cr2.map(|a| a % 4096), Some(failing), "{}: CR2 is the first failing byte", case.name());
        cpu.update(|s| s.cr2 = 0);
        if !case.repeats {
            assert_eq!(vm.written(), [], "{}: bytes of the first page were written", case.name());
        }
        case.check_kept(&cpu, "after a fault on the second page");
        stores += 1;
    });
    println!("{stores} stores across pages");
    assert!(stores > 500);
}

fn text(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}

/// `add [rbx], ecx` that waits for its store: the load is in the journal.
fn waiting() -> (Engine, Cpu, Vm) {
    let mut engine = Engine::new(Profile::host()).unwrap();
    let mut cpu = machine::cpu(Mode::Long64);
    let mut vm = Vm { fifo: true, ..Vm::with_code(cpu.rip, &[0x01, 0x0b]) };
    // Fetch, load, store.
    vm.spoil = Spoil::Nth(3, Stop::Retry);
    assert_eq!(engine.step(&mut cpu, &mut vm), Outcome::Retry);
    assert!(engine.has_open_journal());
    assert_eq!(vm.log.len(), 1);
    (engine, cpu, vm)
}

#[test]
fn another_instruction_meanwhile_is_a_mismatch() {
    type Change = fn(&mut Cpu, &mut Vm);
    let changes: [(&str, Change); 5] = [
        ("another RIP", |cpu, vm| {
            cpu.rip += 0x40;
            vm.put_code(cpu.rip, &[0x01, 0x0b]);
        }),
        ("other bytes", |cpu, vm| vm.put_code(cpu.rip, &[0x29, 0x0b])),
        ("bytes that are no instruction", |cpu, vm| vm.put_code(cpu.rip, &[0x0f, 0x0b])),
        ("bytes that do not decode", |cpu, vm| vm.put_code(cpu.rip, &[0xf0, 0x89, 0x0b])),
        ("another address", |cpu, _| cpu.gpr[3] += 8),
    ];
    for (name, change) in changes {
        let (mut engine, mut cpu, mut vm) = waiting();
        let (before, saved) = (cpu.clone(), vm.clone());
        change(&mut cpu, &mut vm);
        let changed = cpu.clone();
        let outcome = engine.step(&mut cpu, &mut vm);
        assert_eq!(outcome, Outcome::Unsupported(Unsupported::JournalMismatch), "{name}");
        assert_eq!(differences(&cpu, &changed), [""; 0], "{name}");
        assert_eq!((&vm.log, vm.written()), (&saved.log, saved.written()), "{name}: an access was performed");
        // The waiting instruction can still be finished.
        assert!(engine.has_open_journal(), "{name}");
        let (mut cpu, mut vm) = (before, saved);
        assert!(matches!(engine.step(&mut cpu, &mut vm), Outcome::Completed(_)), "{name}");
        assert_eq!(vm.log.len(), 2, "{name}");
        assert!(!engine.has_open_journal(), "{name}");
    }
}

#[test]
fn abandon_drops_what_waits() {
    let (mut engine, mut cpu, mut vm) = waiting();
    engine.abandon();
    assert!(!engine.has_open_journal());
    cpu.rip += 0x40;
    vm.put_code(cpu.rip, &[0x90]);
    assert!(matches!(engine.step(&mut cpu, &mut vm), Outcome::Completed(_)));
    // From the start: the load is performed again.
    cpu.rip -= 0x41;
    assert!(matches!(engine.step(&mut cpu, &mut vm), Outcome::Completed(_)));
    assert_eq!(vm.log.len(), 3);
}

/// Instruction bytes that come later are no reason to remember anything.
#[test]
fn a_retried_fetch_leaves_other_instructions_free() {
    let mut engine = Engine::new(Profile::host()).unwrap();
    let mut cpu = machine::cpu(Mode::Long64);
    let mut vm = Vm::with_code(cpu.rip, &[0x89, 0x0b]);
    vm.spoil = Spoil::Nth(1, Stop::Retry);
    assert_eq!(engine.step(&mut cpu, &mut vm), Outcome::Retry);
    cpu.rip += 0x40;
    vm.put_code(cpu.rip, &[0x90]);
    assert!(matches!(engine.step(&mut cpu, &mut vm), Outcome::Completed(_)));
}

/// A fetch that is retried while an instruction waits, as after the second page's code was swapped out.
#[test]
fn a_retried_fetch_keeps_the_journal() {
    let (mut engine, mut cpu, mut vm) = waiting();
    vm.spoil = Spoil::Nth(vm.calls + 1, Stop::Retry);
    assert_eq!(engine.step(&mut cpu, &mut vm), Outcome::Retry);
    assert!(matches!(engine.step(&mut cpu, &mut vm), Outcome::Completed(_)));
    assert_eq!(vm.log.len(), 2);
}

/// Fetches of one byte each, with `Retry` at each of them.
#[test]
fn code_that_comes_byte_by_byte() {
    for bytes in [&[0x90][..], &[0x81, 0x03, 1, 2, 3, 4], &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8]] {
        let mut engine = Engine::new(Profile::host()).unwrap();
        let mut cpu = machine::cpu(Mode::Long64);
        let mut vm = Vm { fetch_limit: Some(1), ..Vm::with_code(cpu.rip, bytes) };
        vm.spoil = Spoil::EachOnce;
        let start = cpu.rip;
        let outcome = loop {
            match engine.step(&mut cpu, &mut vm) {
                Outcome::Retry => {}
                other => break other,
            }
        };
        assert!(matches!(outcome, Outcome::Completed(_)));
        assert_eq!(cpu.rip, start + bytes.len() as u64);
    }
}

/// The bytes of an instruction across a page whose second page is absent fault there, with nothing done.
#[test]
fn code_across_pages_faults_where_it_is_missing() {
    let mut engine = Engine::new(Profile::host()).unwrap();
    let mut cpu = machine::cpu(Mode::Compat32);
    cpu.rip = 0xffd;
    let mut vm = Vm::with_code(code_address(&cpu), &[0x81, 0x03, 1, 2, 3, 4]);
    vm.absent = vec![(cpu.seg(Seg::Cs).base + 0x1000) / 4096];
    let before = cpu.clone();
    let Outcome::Exception(event) = engine.step(&mut cpu, &mut vm) else { panic!() };
    assert_eq!((event.vector, event.cr2), (14, Some(0x1_1000)));
    assert_eq!(cpu.rip, before.rip);
    assert_eq!(vm.log, []);
    // An instruction that ends on the page does not.
    vm.put_code(code_address(&cpu), &[0x83, 0x03, 1]);
    assert!(matches!(engine.step(&mut cpu, &mut vm), Outcome::Completed(_)));
}

/// AMD processors leave the flags of the last comparison when a repetition is interrupted: its end is the same.
#[test]
fn retry_of_comparisons_on_amd() {
    let profile = Profile::all().with_vendor(encore86::Vendor::Amd);
    let mut engine = Engine::new(profile.clone()).unwrap();
    let mut retries = 0;
    for form in encode::all(Mode::Long64, &profile, DATA).iter().filter(|f| f.row.is(attr::REPCC)) {
        let case = Case::new(form, Place::Crossing, Device::default());
        let (mut end, mut seen) = (case.cpu.clone(), case.vm(Spoil::Nothing));
        let outcome = engine.step(&mut end, &mut seen);
        let (mut cpu, mut vm) = (case.cpu.clone(), case.vm(Spoil::EachOnce));
        let again = loop {
            match engine.step(&mut cpu, &mut vm) {
                Outcome::Retry => retries += 1,
                other => break other,
            }
        };
        assert_eq!(again, outcome, "{}", case.name());
        same_end(&case, "Retry at each access", (&cpu, &vm), (&end, &seen));
    }
    assert!(retries > 30, "{retries}");
}

/// The accessed bit of a descriptor in a device that is atomic itself: whatever waits behind it, it is set once.
#[test]
fn an_accessed_bit_is_set_once() {
    // call 8:1234h
    const CALL: [u8; 7] = [0x9a, 0x34, 0x12, 0, 0, 8, 0];
    let mut engine = Engine::new(Profile::all()).unwrap();
    let mut cpu = machine::cpu(Mode::Prot32);
    cpu.update(|s| (s.gdtr.base, s.gdtr.limit) = (DATA + 0x100, 0x17));
    let start = |spoil| {
        let mut vm = Vm { atomic: true, fifo: true, spoil, ..Vm::with_code(code_address(&cpu), &CALL) };
        vm.put(DATA + 0x108, &0x00cf_9a00_0000_ffffu64.to_le_bytes());
        vm
    };
    let (mut end, mut seen) = (cpu.clone(), start(Spoil::Nothing));
    assert!(matches!(engine.step(&mut end, &mut seen), Outcome::Completed(_)));
    let sets = |vm: &Vm| vm.log.iter().filter(|done| matches!(done, Done::Rmw(..))).count();
    assert_eq!((sets(&seen), end.rip), (1, 0x1234));
    for n in 1..=seen.calls {
        let (mut now, mut vm) = (cpu.clone(), start(Spoil::Nth(n, Stop::Retry)));
        assert_eq!(engine.step(&mut now, &mut vm), Outcome::Retry, "call {n}");
        assert_eq!(differences(&now, &cpu), [""; 0], "call {n}");
        assert!(matches!(engine.step(&mut now, &mut vm), Outcome::Completed(_)), "call {n}");
        assert_eq!((&vm.log, vm.written()), (&seen.log, seen.written()), "call {n}");
        assert_eq!(differences(&now, &end), [""; 0], "call {n}");
    }
}
