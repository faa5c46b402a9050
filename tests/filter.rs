//! Filters: what is shown of every form of the table is what it then does, and a verdict is carried out.

mod support;

use encore86::cpu::registers::gpr::{RBX, RCX, RDI, RSI, RSP};
use encore86::cpu::registers::rflags;
use encore86::introspect::{
    Coming, Discard, Filter, Forbids, Overlay, Preview, Protect, Record, Recorded, Verdict, Way, What,
};
use encore86::isa::row::{Exec, SysOp};
use encore86::paging::{Limits, Paging};
use encore86::{Cpu, Engine, Mode, Outcome, Profile, Retired, Stop, Unsupported};
use std::slice::from_ref;
use support::encode;
use support::machine::{self, CODE, DATA, EXTRA, STACK, code_address, differences};
use support::vm::{Done, Spoil, Vm};

/// Writes down what it is shown and always gives the same verdict.
struct Watch {
    verdict: Verdict,
    implicit: bool,
    asked: usize,
    accesses: Vec<Coming>,
    repetitions: Option<u64>,
    stride: i64,
    fault: Option<u8>,
    assumed: bool,
    text: String,
}

impl Watch {
    fn new(verdict: Verdict) -> Watch {
        Watch {
            verdict,
            implicit: false,
            asked: 0,
            accesses: Vec::new(),
            repetitions: None,
            stride: 0,
            fault: None,
            assumed: false,
            text: String::new(),
        }
    }
}

impl Filter for Watch {
    fn implicit(&self) -> bool {
        self.implicit
    }

    fn decide(&mut self, _: &Cpu, preview: &Preview<'_>) -> Verdict {
        self.asked += 1;
        self.accesses = preview.accesses.to_vec();
        (self.repetitions, self.stride) = (preview.repetitions, preview.stride);
        self.fault = preview.fault.map(|event| event.vector);
        self.assumed = preview.assumed;
        self.text = preview.insn.to_string();
        self.verdict
    }
}

fn engine() -> Engine {
    Engine::new(Profile::all()).expect("executable memory for stubs")
}

fn listed(record: &[Recorded]) -> Vec<Coming> {
    record.iter().map(Coming::from).collect()
}

/// A state in which operands of [`encode`] lie within a page or across the end of one.
fn state(form: &encode::Form, crossing: bool) -> Cpu {
    let mut cpu = machine::cpu(form.mode);
    cpu.vector.k[1] = !0b1_0010;
    for i in 0..32 {
        for (j, b) in cpu.vector.zmm[i].0.iter_mut().enumerate() {
            *b = (i * 16 + j) as u8 | if j / 8 % 3 == 1 { 0 } else { 0x80 };
        }
        // Indices: 0, 0x40, 0, 0xffd, …
        if i == 2 {
            for (j, lane) in cpu.vector.zmm[2].0.chunks_mut(4).enumerate() {
                let index: u32 = [0, 0x40, 0, 0xffd, 8, 0x1000, 0x80, 1][j % 8];
                lane.copy_from_slice(&(if form.row.opcode & 1 == 1 && j % 2 == 1 { 0 } else { index }).to_le_bytes());
            }
        }
    }
    cpu.x87.regs = std::array::from_fn(|i| [0, 0, 0, 0, 0, 0, 0, 0x80 + i as u8, 0xff, 0x3f]);
    cpu.x87.ftw = 0b0000_1111;
    if crossing {
        for r in [3, 4, 5, 6, 7] {
            cpu.gpr[r] -= 3;
        }
    }
    cpu
}

#[test]
fn what_is_shown_is_what_is_done() {
    let mut engine = engine();
    let (mut forms, mut accesses, mut faults, mut skipped) = (0, 0, 0, Vec::new());
    for mode in [Mode::Long64, Mode::Compat32, Mode::Real16] {
        let moffs = if mode == Mode::Long64 { DATA + 0x1000 } else { 0x1000 };
        for form in encode::all(mode, &Profile::all(), moffs) {
            // Where URDMSR's bitmap lies only the platform knows, which a filter does not ask.
            let unknown = matches!(form.row.exec, Exec::System(SysOp::UserReadMsr | SysOp::UserWriteMsr));
            if form.row.exec == Exec::Missing || unknown {
                continue;
            }
            for crossing in [false, true] {
                let before = state(&form, crossing);
                let vm = || Vm { interrupt: true, fifo: true, ..Vm::with_code(code_address(&before), &form.bytes) };
                // By itself, then under a filter that lets it run: the same end.
                let (mut plain, mut quiet) = (before.clone(), vm());
                let expected = engine.step(&mut plain, &mut quiet);
                if let Outcome::Unsupported(Unsupported::HostLacks(feature)) = expected {
                    skipped.push(format!("{} ({feature})", form.insn));
                    continue;
                }
                let (mut cpu, mut record) = (before.clone(), Record::new(vm()));
                let mut watch = Watch::new(Verdict::Allow);
                watch.implicit = true;
                let outcome = engine.step_filtered(&mut cpu, &mut record, &mut watch);
                record.settle(&outcome, None);
                let name = format!("{} in {mode:?}, crossing {crossing}", form.insn);
                assert_eq!((outcome, watch.asked), (expected, 1), "{name}");
                assert_eq!(differences(&cpu, &plain), Vec::<String>::new(), "{name}");
                // An MSR says where the bitmap of URDMSR is, and a trial reads none.
                let by_msr = matches!(form.row.exec, Exec::System(SysOp::UserReadMsr | SysOp::UserWriteMsr));
                let done = listed(&record.take());
                if by_msr && watch.accesses != done {
                    assert!(watch.assumed, "{name}: {done:x?}");
                } else {
                    assert_eq!(watch.accesses, done, "{name}");
                }
                assert_eq!(record.inner().log, quiet.log, "{name}");
                assert_eq!(watch.text, form.insn.to_string());
                let faulted = match outcome {
                    Outcome::Exception(event) if event.kind == encore86::EventKind::Fault => Some(event.vector),
                    _ => None,
                };
                assert!(by_msr || watch.fault == faulted, "{name}: {:?}, {faulted:?}", watch.fault);
                accesses += watch.accesses.len();
                faults += usize::from(faulted.is_some());
                forms += usize::from(!crossing);
            }
        }
    }
    if !skipped.is_empty() {
        println!("SKIPPED {} forms that this host cannot replay, the first is {}", skipped.len(), skipped[0]);
    }
    println!("{forms} forms, {accesses} accesses, {faults} faults");
    assert!(forms > 1000 && accesses > 1000);
}

fn at(at: u64, len: usize, way: Way) -> Coming {
    Coming { at, len, way, locked: false, implicit: false }
}

/// What a filter is shown of `bytes` in 64-bit mode.
fn shown(bytes: &[u8], change: impl FnOnce(&mut Cpu, &mut Vm)) -> Watch {
    let mut cpu = machine::cpu(Mode::Long64);
    let mut vm = Vm::with_code(CODE + 0x100, bytes);
    change(&mut cpu, &mut vm);
    let (before, memory) = (cpu.clone(), vm.written());
    let mut watch = Watch::new(Verdict::Refuse);
    assert_eq!(engine().step_filtered(&mut cpu, &mut vm, &mut watch), Outcome::Refused);
    assert_eq!(differences(&cpu, &before), Vec::<String>::new(), "{bytes:02x?}");
    assert_eq!((&vm.log[..], vm.written()), (&[][..], memory), "{bytes:02x?}");
    watch
}

#[test]
fn accesses_by_hand() {
    use Way::{In, Out, Read, Rmw, Write};
    let fixed = |cpu: &mut Cpu, _: &mut Vm| {
        (cpu.gpr[RBX], cpu.gpr[RSI], cpu.gpr[RDI], cpu.gpr[RSP]) = (DATA, DATA + 0x10, EXTRA + 0x20, STACK + 0x800);
        cpu.gpr[RCX] = 5;
        cpu.gpr[2] = 0x3f8;
        cpu.vector.k[1] = 0b1001;
        cpu.vector.zmm[1].0[..16].copy_from_slice(&[0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0]);
    };
    let locked = Coming { locked: true, ..at(DATA, 4, Rmw) };
    let cases: &[(&[u8], &[Coming])] = &[
        (&[0x90], &[]),
        (&[0x48, 0x8d, 0x43, 0x08], &[]),                       // lea rax, [rbx+8]
        (&[0x48, 0x89, 0x43, 0x08], &[at(DATA + 8, 8, Write)]), // mov [rbx+8], rax
        (&[0x01, 0x03], &[at(DATA, 4, Rmw)]),                   // add [rbx], eax
        (&[0xf0, 0x01, 0x03], &[locked]),                       // lock add [rbx], eax
        (&[0xff, 0x33], &[at(DATA, 8, Read), at(STACK + 0x7f8, 8, Write)]), // push qword ptr [rbx]
        (&[0x8f, 0x03], &[at(STACK + 0x800, 8, Read), at(DATA, 8, Write)]), // pop qword ptr [rbx]
        (&[0x0f, 0xab, 0x8b, 0, 0, 0, 0], &[at(DATA, 4, Rmw)]), // bts [rbx], ecx: bit 5
        (&[0xa4], &[at(DATA + 0x10, 1, Read), at(EXTRA + 0x20, 1, Write)]), // movsb
        (&[0xa6], &[at(EXTRA + 0x20, 1, Read), at(DATA + 0x10, 1, Read)]), // cmpsb
        (&[0xec], &[at(0x3f8, 1, In)]),                         // in al, dx
        (&[0x6e], &[at(DATA + 0x10, 1, Read), at(0x3f8, 1, Out)]), // outsb
        (&[0x0f, 0x10, 0x03], &[at(DATA, 16, Read)]),           // movups xmm0, [rbx]
        (&[0xdb, 0x3b], &[at(DATA, 10, Write)]),                // fstp tbyte ptr [rbx]
        (&[0x0f, 0xae, 0x1b], &[at(DATA, 4, Write)]),           // stmxcsr [rbx]
    ];
    for (bytes, expected) in cases {
        let watch = shown(bytes, fixed);
        assert_eq!(watch.accesses, *expected, "{bytes:02x?}");
        assert_eq!(watch.repetitions, None);
    }
    // A page's end changes nothing: one access.
    let across = shown(&[0x48, 0x89, 0x03], |cpu, _| cpu.gpr[RBX] = DATA + 0xffc);
    assert_eq!(across.accesses, [at(DATA + 0xffc, 8, Write)]);
    // Nothing is read where the address is not canonical; the page fault of a page that is not there is not foreseen.
    let refused = shown(&[0x48, 0x8b, 0x03], |cpu, _| cpu.gpr[RBX] = 0x8000_0000_0000);
    assert_eq!((&refused.accesses[..], refused.fault), (&[][..], Some(13)));
    let absent = shown(&[0x48, 0x8b, 0x03], |cpu, vm| {
        cpu.gpr[RBX] = DATA;
        vm.absent.push(DATA / 4096);
    });
    assert_eq!((&absent.accesses[..], absent.fault), (&[at(DATA, 8, Read)][..], None));
    // HLT at CPL 3, and DIV by what memory holds.
    let privileged = shown(&[0xf4], |cpu, _| machine::set_cpl(cpu, 3));
    assert_eq!((&privileged.accesses[..], privileged.fault), (&[][..], Some(13)));
    let divided = shown(&[0xf7, 0x33], |cpu, vm| {
        cpu.gpr[RBX] = DATA;
        vm.put(DATA, &[0; 4]);
    });
    assert_eq!((&divided.accesses[..], divided.fault, divided.assumed), (&[at(DATA, 4, Read)][..], Some(0), false));
}

#[test]
fn masked_and_gathered_elements_by_hand() {
    use Way::{Read, Write};
    let profile = Profile::host();
    if !profile.has(encore86::isa::Feature::Avx512vl) {
        println!("SKIPPED 3 forms: the host lacks avx512vl");
        return;
    }
    let fixed = |cpu: &mut Cpu, _: &mut Vm| {
        cpu.gpr[RBX] = DATA;
        cpu.vector.k[1] = 0b1001;
        cpu.vector.zmm[1].0[..16].copy_from_slice(&[0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0]);
    };
    // vmovdqu32 [rbx]{k1}, xmm1; vpexpandd xmm1{k1}, [rbx]; vpgatherdd xmm0{k1}, [rbx+xmm1]
    let cases: [(&[u8], [Coming; 2]); 3] = [
        (&[0x62, 0xf1, 0x7e, 0x09, 0x7f, 0x0b], [at(DATA, 4, Write), at(DATA + 12, 4, Write)]),
        (&[0x62, 0xf2, 0x7d, 0x09, 0x89, 0x0b], [at(DATA, 4, Read), at(DATA + 4, 4, Read)]),
        (&[0x62, 0xf2, 0x7d, 0x09, 0x90, 0x04, 0x0b], [at(DATA, 4, Read), at(DATA + 0x10, 4, Read)]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(shown(bytes, fixed).accesses, expected, "{bytes:02x?}");
    }
}

#[test]
fn repetitions_by_hand() {
    let up = shown(&[0xf3, 0x48, 0xa5], |cpu, _| {
        (cpu.gpr[RSI], cpu.gpr[RDI], cpu.gpr[RCX]) = (DATA, EXTRA, 1000);
    });
    assert_eq!(up.accesses, [at(DATA, 8, Way::Read), at(EXTRA, 8, Way::Write)]);
    assert_eq!((up.repetitions, up.stride), (Some(1000), 8));
    let down = shown(&[0x67, 0xf3, 0xaa], |cpu, _| {
        (cpu.gpr[RDI], cpu.gpr[RCX]) = (EXTRA, 0x1_0000_0003);
        cpu.set_rflags(rflags::DF);
    });
    assert_eq!(down.accesses, [at(EXTRA, 1, Way::Write)]);
    assert_eq!((down.repetitions, down.stride), (Some(3), -1), "ECX counts with 32-bit addresses");
    let none = shown(&[0xf3, 0xaa], |cpu, _| cpu.gpr[RCX] = 0);
    assert_eq!((&none.accesses[..], none.repetitions), (&[][..], Some(0)));

    // Whether any repetition reaches a range: 10 words down from EXTRA, up past the end of the address space.
    let mut seen = Vec::new();
    let mut look = |di: u64, cx: u64, flags: u64, range: std::ops::Range<u64>| {
        let mut cpu = machine::cpu(Mode::Long64);
        let mut vm = Vm::with_code(CODE + 0x100, &[0x66, 0xf3, 0xab]); // rep stosw
        (cpu.gpr[RDI], cpu.gpr[RCX]) = (di, cx);
        cpu.set_rflags(flags);
        let mut filter = |_: &Cpu, preview: &Preview<'_>| {
            seen.push((preview.touches(&range), preview.writes(&range)));
            Verdict::Refuse
        };
        assert_eq!(engine().step_filtered(&mut cpu, &mut vm, &mut filter), Outcome::Refused);
    };
    look(EXTRA, 10, rflags::DF, EXTRA - 18..EXTRA - 17);
    look(EXTRA, 10, rflags::DF, EXTRA - 19..EXTRA - 18);
    look(EXTRA, 10, 0, EXTRA + 19..EXTRA + 20);
    look(EXTRA, 10, 0, EXTRA + 20..EXTRA + 21);
    look(u64::MAX - 3, 10, 0, 0..1);
    assert_eq!(seen.iter().map(|(touches, _)| *touches).collect::<Vec<_>>(), [true, false, true, false, true]);
    assert!(seen.iter().all(|(touches, writes)| touches == writes));
}

#[test]
fn nothing_is_known_of_a_device() {
    /// A device: it tells nothing beforehand.
    struct Device(Vm);
    impl encore86::Bus for Device {
        fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &encore86::Access) -> Result<usize, Stop> {
            self.0.fetch(linear, buf, access)
        }
        fn read(&mut self, linear: u64, buf: &mut [u8], access: &encore86::Access) -> Result<(), Stop> {
            self.0.read(linear, buf, access)
        }
        fn write(&mut self, linear: u64, buf: &[u8], access: &encore86::Access) -> Result<(), Stop> {
            self.0.write(linear, buf, access)
        }
        fn probe(&mut self, linear: u64, len: usize, access: &encore86::Access) -> Result<(), Stop> {
            self.0.probe(linear, len, access)
        }
    }
    impl encore86::Platform for Device {}
    let mut cpu = machine::cpu(Mode::Long64);
    cpu.gpr[RBX] = DATA;
    let mut device = Device(Vm::with_code(CODE + 0x100, &[0xff, 0x13])); // call [rbx]
    device.0.put(DATA, &(CODE + 0x500).to_le_bytes());
    let mut watch = Watch::new(Verdict::Allow);
    let outcome = engine().step_filtered(&mut cpu, &mut device, &mut watch);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert!(watch.assumed);
    assert_eq!(watch.accesses.first(), Some(&at(DATA, 8, Way::Read)));
    assert_eq!(device.0.log.iter().filter(|done| matches!(done, Done::Read(..))).count(), 1, "it was read once");
}

#[test]
fn a_verdict_is_carried_out() {
    // add [rbx], eax with TF set and an interrupt shadow.
    let bytes = [0x01, 0x03];
    let prepare = || {
        let mut cpu = machine::cpu(Mode::Long64);
        cpu.gpr[RBX] = DATA;
        cpu.set_rflags(rflags::TF);
        cpu.set_blocking(encore86::cpu::Blocking { sti: true, ..Default::default() });
        (cpu, Vm::with_code(CODE + 0x100, &bytes))
    };
    let (mut cpu, mut vm) = prepare();
    let before = cpu.clone();
    let outcome = engine().step_filtered(&mut cpu, &mut vm, &mut Watch::new(Verdict::Skip));
    assert_eq!(outcome, Outcome::Completed(Retired::default()), "no single-step trap");
    assert_eq!(cpu.rip, before.rip + 2);
    cpu.rip = before.rip;
    assert_eq!((differences(&cpu, &before), cpu.blocking()), (vec![], before.blocking()), "and nothing else");
    assert!(vm.log.is_empty());

    let (mut cpu, mut vm) = prepare();
    assert_eq!(engine().step_filtered(&mut cpu, &mut vm, &mut Watch::new(Verdict::Refuse)), Outcome::Refused);
    assert_eq!((differences(&cpu, &before), cpu.rip), (vec![], before.rip));

    let (mut cpu, mut vm) = prepare();
    let outcome = engine().step_filtered(&mut cpu, &mut vm, &mut Watch::new(Verdict::Allow));
    assert_eq!(outcome, Outcome::Completed(Retired { singlestep: true, ..Retired::default() }));
    assert_eq!(vm.log.len(), 2);

    // A 16-bit segment can be greater than 64 KiB: RIP runs on.
    let mut cpu = machine::cpu(Mode::Real16);
    cpu.rip = 0xffff;
    let mut vm = Vm::with_code(CODE + 0xffff, &[0x90]);
    let outcome = engine().step_filtered(&mut cpu, &mut vm, &mut Watch::new(Verdict::Skip));
    assert!(matches!(outcome, Outcome::Completed(_)));
    assert_eq!(cpu.rip, 0x1_0000);
    // What cannot be decoded is no filter's business.
    let mut cpu = machine::cpu(Mode::Long64);
    let mut watch = Watch::new(Verdict::Skip);
    let lock_nop = [0xf0, 0x90];
    let outcome = engine().step_filtered(&mut cpu, &mut Vm::with_code(CODE + 0x100, &lock_nop), &mut watch);
    assert!(matches!(outcome, Outcome::Exception(event) if event.vector == 6), "{outcome:?}");
    assert_eq!(watch.asked, 0);
}

#[test]
fn a_filter_is_asked_once_however_often_the_bus_comes_later() {
    let mut cpu = machine::cpu(Mode::Long64);
    (cpu.gpr[RSI], cpu.gpr[RDI], cpu.gpr[RCX]) = (DATA, EXTRA, 3);
    let mut vm = Vm { spoil: Spoil::EachOnce, fifo: true, ..Vm::with_code(CODE + 0x100, &[0xff, 0x33]) }; // push [rbx]
    let mut watch = Watch::new(Verdict::Allow);
    let mut engine = engine();
    let mut retries = 0;
    let outcome = loop {
        match engine.step_filtered(&mut cpu, &mut vm, &mut watch) {
            Outcome::Retry => retries += 1,
            outcome => break outcome,
        }
    };
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    // The fetch was late once before there was an instruction to ask about, and opens no journal.
    assert!(retries >= 3 && watch.asked == 1, "{retries} retries, asked {} times", watch.asked);
    assert_eq!(vm.log.len(), 2, "the device was read once");
    // Another instruction cannot slip in unseen while one waits.
    let mut vm = Vm { spoil: Spoil::EachOnce, ..Vm::with_code(CODE + 0x100, &[0xff, 0x33]) };
    cpu.rip = CODE + 0x100;
    while !engine.has_open_journal() {
        assert_eq!(engine.step_filtered(&mut cpu, &mut vm, &mut watch), Outcome::Retry);
    }
    vm.put_code(CODE + 0x200, &[0x01, 0x03]);
    cpu.rip = CODE + 0x200;
    vm.spoil = Spoil::Nothing;
    let outcome = engine.step_filtered(&mut cpu, &mut vm, &mut watch);
    assert_eq!(outcome, Outcome::Unsupported(Unsupported::JournalMismatch));
}

#[test]
fn state_is_loaded_before_it_is_looked_at_and_once() {
    /// Loads k1 and the vectors when asked.
    struct Lazy(Vm, usize, bool);
    impl encore86::Bus for Lazy {
        fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &encore86::Access) -> Result<usize, Stop> {
            self.0.fetch(linear, buf, access)
        }
        fn read(&mut self, linear: u64, buf: &mut [u8], access: &encore86::Access) -> Result<(), Stop> {
            self.0.read(linear, buf, access)
        }
        fn write(&mut self, linear: u64, buf: &[u8], access: &encore86::Access) -> Result<(), Stop> {
            self.0.write(linear, buf, access)
        }
        fn probe(&mut self, linear: u64, len: usize, access: &encore86::Access) -> Result<(), Stop> {
            self.0.probe(linear, len, access)
        }
    }
    impl encore86::Platform for Lazy {
        fn load_state(&mut self, cpu: &mut Cpu, _: u64) -> Result<(), Stop> {
            if std::mem::take(&mut self.2) {
                return Err(Stop::Retry);
            }
            self.1 += 1;
            cpu.vector.zmm[1].0[7] = 0x80;
            Ok(())
        }
    }
    if !Profile::host().has(encore86::isa::Feature::Avx) {
        println!("SKIPPED 1 form: the host lacks avx");
        return;
    }
    let mut cpu = machine::cpu(Mode::Long64);
    (cpu.gpr[RBX], cpu.valid) = (DATA, 0);
    let code = Vm::with_code(CODE + 0x100, &[0xc4, 0xe2, 0x71, 0x2c, 0x03]); // vmaskmovps xmm0, xmm1, [rbx]
    let mut lazy = Lazy(code, 0, true);
    let mut watch = Watch::new(Verdict::Allow);
    let mut engine = engine();
    // State that comes later does not let the instruction slip past the filter.
    assert_eq!((engine.step_filtered(&mut cpu, &mut lazy, &mut watch), watch.asked), (Outcome::Retry, 0));
    let outcome = engine.step_filtered(&mut cpu, &mut lazy, &mut watch);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let expected = [at(DATA + 4, 4, Way::Read)];
    assert_eq!((&watch.accesses[..], lazy.1, watch.asked), (&expected[..], 1, 1));
}

#[test]
fn filters_and_adaptors_together() {
    let mut cpu = machine::cpu(Mode::Long64);
    cpu.gpr[RBX] = DATA;
    let vm = Vm::with_code(CODE + 0x100, &[0xff, 0x33]); // push [rbx]
    let overlay = vec![(DATA, vec![1, 2, 3, 4, 5, 6, 7, 8])];
    let mut bus = Record::new(Overlay::new(Discard::new(vm), overlay));
    let mut watch = Watch::new(Verdict::Allow);
    let outcome = engine().step_filtered(&mut cpu, &mut bus, &mut watch);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    bus.settle(&outcome, None);
    let list = bus.take();
    assert_eq!(watch.accesses, listed(&list));
    assert_eq!(list[1].what, What::Write(vec![1, 2, 3, 4, 5, 6, 7, 8]));
    assert!(bus.inner().inner().inner().log.is_empty(), "nothing was read or written below");
    assert!(!watch.assumed);

    // Other bytes than memory's: mov [rbx], eax.
    cpu.rip = CODE + 0x100;
    let outcome = engine().step_bytes_filtered(&mut cpu, &mut bus, &[0x89, 0x03], &mut watch);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!((&watch.accesses[..], cpu.rip), (&[at(DATA, 4, Way::Write)][..], CODE + 0x102));
}

#[test]
fn page_tables_are_looked_up_and_not_marked() {
    const TABLES: u64 = 0x10_0000;
    const DIRECTORY: u64 = TABLES + 0x2000;
    // 2 MiB pages: linear 0 at physical 0x20_0000, linear 0x40_0000 at physical 0x60_0000.
    let mut vm = Vm::with_code(0x20_0000 + CODE + 0x100, &[0xff, 0x13]); // call [rbx]
    let entries = [
        (TABLES, (TABLES + 0x1000) | 3),
        (TABLES + 0x1000, DIRECTORY | 3),
        (DIRECTORY, 0x20_0083),
        (DIRECTORY + 8, 0),
        (DIRECTORY + 16, 0x60_0083),
        (0x60_0000, CODE + 0x500),
    ];
    for (at, value) in entries {
        vm.put(at, &u64::to_le_bytes(value));
    }
    let mut cpu = machine::cpu(Mode::Long64);
    cpu.update(|s| {
        s.cr0 |= 1 << 31;
        s.cr3 = TABLES;
    });
    (cpu.gpr[RBX], cpu.gpr[RSP]) = (0x40_0000, STACK + 0x800);
    let mut bus = Paging::new(vm, Limits::new(&Profile::all()));
    bus.load(&cpu).expect("no PDPTEs to read");
    let accessed = |bus: &mut Paging<Vm>| bus.inner().byte(DIRECTORY + 16) & 0x20 != 0;
    let expected = [at(0x40_0000, 8, Way::Read), at(STACK + 0x7f8, 8, Way::Write)];
    let mut watch = Watch::new(Verdict::Refuse);
    assert_eq!(engine().step_filtered(&mut cpu, &mut bus, &mut watch), Outcome::Refused);
    assert_eq!((&watch.accesses[..], watch.assumed, accessed(&mut bus)), (&expected[..], false, false));
    let mut watch = Watch::new(Verdict::Allow);
    let outcome = engine().step_filtered(&mut cpu, &mut bus, &mut watch);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!((&watch.accesses[..], cpu.rip, accessed(&mut bus)), (&expected[..], CODE + 0x500, true));
    // A page that is not present is nothing that can be peeked at.
    (cpu.rip, cpu.gpr[RBX]) = (CODE + 0x100, 0x20_0000);
    let mut watch = Watch::new(Verdict::Allow);
    let outcome = engine().step_filtered(&mut cpu, &mut bus, &mut watch);
    assert!(matches!(outcome, Outcome::Exception(event) if event.cr2 == Some(0x20_0000)), "{outcome:?}");
    assert!(watch.assumed);
}

#[test]
fn one_instruction_may_what_others_must_not() {
    let page = DATA..DATA + 0x1000;
    let vm = Vm::with_code(CODE + 0x100, &[0x01, 0x03, 0x8b, 0x03, 0xf3, 0xaa]); // add [rbx], eax; mov eax, [rbx]; rep stosb
    let mut bus = Protect::new(vm, vec![(page.clone(), Forbids::WRITES)]);
    let mut engine = engine();
    let mut cpu = machine::cpu(Mode::Long64);
    cpu.gpr[RBX] = DATA - 2;
    let before = cpu.clone();
    let denied = Outcome::Stopped(Protect::<()>::DENIED);
    assert_eq!(engine.step(&mut cpu, &mut bus), denied);
    let what = bus.take_denied().expect("an access was denied");
    assert!((DATA - 2..DATA + 2).contains(&what.at) && what.access.writes(), "{what:?}");
    assert_eq!((differences(&cpu, &before), &bus.inner().log[..]), (vec![], &[][..]));
    // Lifted elsewhere is not lifted here; lifted in part neither.
    let elsewhere = DATA + 0x800..DATA + 0x900;
    let part = DATA..DATA + 1;
    assert_eq!(engine.step_lifted(&mut cpu, &mut bus, from_ref(&elsewhere)), denied);
    assert_eq!(engine.step_lifted(&mut cpu, &mut bus, from_ref(&part)), denied);
    assert!(matches!(engine.step_lifted(&mut cpu, &mut bus, &[elsewhere, page]), Outcome::Completed(_)));
    assert!(!bus.inner().log.is_empty());
    // For that one alone; loads were never forbidden.
    cpu.rip = before.rip;
    assert_eq!(engine.step(&mut cpu, &mut bus), denied);
    cpu.rip = before.rip + 2;
    assert!(matches!(engine.step(&mut cpu, &mut bus), Outcome::Completed(_)));
    // A repeated store ends before the page.
    (cpu.gpr[RDI], cpu.gpr[RCX]) = (DATA - 3, 10);
    bus.inner().blocks = true;
    let outcome = loop {
        match engine.step(&mut cpu, &mut bus) {
            Outcome::Completed(retired) if retired.rep_unfinished => {}
            outcome => break outcome,
        }
    };
    assert_eq!((outcome, cpu.gpr[RDI], cpu.gpr[RCX]), (denied, DATA, 7));
    // Code that must not be fetched: not its first byte, and not the rest of it.
    bus.ranges().push((CODE + 0x101..CODE + 0x102, Forbids::ALL));
    cpu.rip = CODE + 0x101;
    assert_eq!(engine.step(&mut cpu, &mut bus), denied);
    cpu.rip = CODE + 0x100;
    assert_eq!(engine.step(&mut cpu, &mut bus), denied);
    bus.ranges().clear();
    assert!(matches!(engine.step(&mut cpu, &mut bus), Outcome::Completed(_)));
}
