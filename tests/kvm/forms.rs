//! One instruction of every memory-operand form of the table, natively on RAM and then on the device: by the kernel, or by the
//! engine where the kernel gives up. What the engine has run must be the same; what the kernel has run wrong is listed.
//!
//! A kernel may hang on an instruction. A signal ends KVM_RUN then, and the form is refused by both.

use crate::machine;
use crate::support::encode::{Form, all};
use crate::support::kvm::{DATA, DATA_LEN, Ended, Machine, Out, STACK, registers};
use crate::support::machine::differences;
use encore86::adapt::kvm::{By, End, Finished, Finisher};
use encore86::cpu::registers::gpr;
use encore86::decode::SlotKind;
use encore86::isa::row::{Exec, PrivOp, StrOp, SysOp, Width, attr};
use encore86::{Cpu, Engine, Mode, Profile, Vendor};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Ends KVM_RUN of this thread when the same run takes too long.
struct Watchdog {
    /// Counts runs; 0 ends the watch.
    run: Arc<AtomicU64>,
    watcher: Option<std::thread::JoinHandle<()>>,
}

impl Watchdog {
    /// Between two looks: a run that is the same at two of them hangs.
    const PERIOD: Duration = Duration::from_millis(700);

    fn new() -> Watchdog {
        extern "C" fn nothing(_: i32) {}
        let handler: extern "C" fn(i32) = nothing;
        // SAFETY: a handler that does nothing, so that KVM_RUN comes back with EINTR; zero is a valid sigaction, and without
        // SA_RESTART.
        let this = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
            libc::pthread_self()
        };
        let run = Arc::new(AtomicU64::new(1));
        let seen = run.clone();
        let watcher = std::thread::spawn(move || {
            let mut last = 0;
            loop {
                std::thread::sleep(Self::PERIOD);
                match seen.load(Ordering::SeqCst) {
                    0 => return,
                    now if now == last => {
                        // SAFETY: the thread that is watched joins this one before it ends.
                        unsafe { libc::pthread_kill(this, libc::SIGUSR1) };
                    }
                    now => last = now,
                }
            }
        });
        Watchdog { run, watcher: Some(watcher) }
    }

    fn next(&self) {
        self.run.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.run.store(0, Ordering::SeqCst);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// Where the guest's stack is compared, around RSP.
const STACK_FROM: u64 = STACK - 0x100;

/// The state and memory that a form starts from. `variant` changes flags and values.
fn start(form: &Form, variant: u8) -> (Cpu, Vec<u8>) {
    let row = form.insn.row();
    let mut cpu = registers();
    cpu.gpr[gpr::RAX] = [0x1122_3344_0000_0180, 0xffff_ffff_8000_0042][usize::from(variant)];
    cpu.gpr[gpr::RCX] = 3;
    cpu.gpr[gpr::RDX] = 0x21;
    cpu.gpr[gpr::RBP] = STACK - 0x40;
    for i in 8..16 {
        cpu.gpr[i] = 0x0101_0101_0101_0101 * i as u64;
    }
    cpu.set_rflags(if variant == 0 { 0x202 } else { 0x202 | 0x8d5 });
    cpu.vector.k = core::array::from_fn(|i| if variant == 0 { !0b1_0010 } else { 0x5a5a_1234_5678_9abd } ^ i as u64);
    for (i, zmm) in cpu.vector.zmm.iter_mut().enumerate() {
        for (j, byte) in zmm.0.iter_mut().enumerate() {
            *byte = (i * 16 + j) as u8 | if j / 8 % 3 == 1 { 0 } else { 0x80 };
        }
    }
    // The vector of indices, by its elements' width.
    let vsib = form.insn.slots().iter().any(|slot| slot.kind == SlotKind::Vsib);
    let quadwords = vsib && row.operands.iter().any(|spec| spec.width == Width::Q);
    for i in 0..if quadwords { 8 } else { 16 } {
        let index: u64 = [0, 0x40, 0, 0x7fd, 8, 0x1000, 0x80, 1][i % 8];
        let size = if quadwords { 8 } else { 4 };
        cpu.vector.zmm[2].0[i * size..][..size].copy_from_slice(&index.to_le_bytes()[..size]);
    }
    // Four values on the x87 stack.
    cpu.x87.set_top(4);
    cpu.x87.ftw = 0xf0;
    for (i, value) in [0x3ff8u16, 0x4000, 0xbfff, 0x4009].into_iter().enumerate() {
        cpu.x87.regs[4 + i][7] = 0x80 + i as u8;
        cpu.x87.regs[4 + i][8..].copy_from_slice(&value.to_le_bytes());
    }
    let mut memory: Vec<u8> = (0..DATA_LEN).map(|i| (i as u8).wrapping_mul(37) ^ (i >> 8) as u8 | 0x80).collect();
    let at = (DATA as usize + 0x100) - DATA as usize;
    if row.is(attr::BRANCH) || matches!(row.mnemonic, "jmp" | "call") {
        // Behind the instruction.
        let next = crate::support::kvm::CODE + form.bytes.len() as u64;
        memory[at..at + 8].copy_from_slice(&next.to_le_bytes());
    }
    match row.exec {
        Exec::System(SysOp::Ldmxcsr) => memory[at..at + 4].copy_from_slice(&0x9fc0u32.to_le_bytes()),
        Exec::System(SysOp::Fxrstor) => {
            memory[at..at + 8].copy_from_slice(&[0x7f, 0x03, 0, 0x20, 0xf0, 0, 0, 0]);
            memory[at + 24..at + 28].copy_from_slice(&0x1fa0u32.to_le_bytes());
        }
        _ if variant == 1 => {
            memory[at..at + 16].copy_from_slice(&[0, 0, 0x80, 0x3f, 0, 0, 0x40, 0xc0, 0, 1, 0, 0, 0, 0, 0, 0])
        }
        _ => {}
    }
    (cpu, memory)
}

/// Does it have an operand in memory that is not the stack?
fn in_memory(form: &Form) -> bool {
    const MEMORY: [SlotKind; 4] = [SlotKind::Memory, SlotKind::Vsib, SlotKind::StringSrc, SlotKind::StringDst];
    form.insn.slots().iter().any(|slot| MEMORY.contains(&slot.kind))
}

/// Why a form is left out, if it is.
fn left_out(form: &Form) -> Option<&'static str> {
    match form.insn.row().exec {
        Exec::Missing => Some("the engine has no code for it"),
        Exec::System(SysOp::Prefetch) => Some("a prefetch makes no access that anybody sees"),
        Exec::Privileged(PrivOp::StoreTable) => Some("the kernel does not come back from it"),
        Exec::Str(StrOp::Ins | StrOp::Outs) => Some("ports, which are no device memory"),
        _ => None,
    }
}

/// What a run left.
#[derive(Clone)]
struct Left {
    ended: Ended,
    cpu: Cpu,
    data: Vec<u8>,
    stack: Vec<u8>,
}

fn left(machine: &Machine, ended: Ended) -> Left {
    let mut stack = vec![0; 0x180];
    machine.board.ram.read(STACK_FROM, &mut stack);
    Left { ended, cpu: machine.state(ended), data: machine.data(), stack }
}

/// What differs between the processor's end and another's, and is defined.
fn compare(form: &Form, native: &Left, other: &Left, vendor: Vendor) -> Vec<String> {
    let mut theirs = other.cpu.clone();
    let undefined = if native.ended == Ended::Retired { u64::from(form.row.flags.undefined) } else { 0 };
    theirs.set_rflags(theirs.rflags() & !undefined | native.cpu.rflags() & undefined);
    if vendor == Vendor::Amd && native.cpu.x87.fsw & theirs.x87.fsw & 0x80 == 0 {
        // AMD processors show the pointers only while an exception is pending.
        let from = native.cpu.x87;
        (theirs.x87.fop, theirs.x87.fip, theirs.x87.fdp) = (from.fop, from.fip, from.fdp);
    }
    let mut out = differences(&native.cpu, &theirs);
    if native.ended != other.ended {
        out.insert(0, format!("ended: {:x?} against {:x?}", native.ended, other.ended));
    }
    for (what, a, b) in [("memory", &native.data, &other.data), ("stack", &native.stack, &other.stack)] {
        if let Some(i) = (0..a.len()).find(|&i| a[i] != b[i]) {
            out.push(format!("{what} at offset {i:#x}: {:#04x} against {:#04x}", a[i], b[i]));
        }
    }
    out
}

/// Who ended a run on the device.
enum Who {
    Kernel,
    Engine,
    Nobody(String),
}

/// Runs on the device: the kernel first, and the engine where it gives up.
fn on_device(machine: &mut Machine, finisher: &mut Finisher, watchdog: &Watchdog) -> (Option<Ended>, Who) {
    let mut by_engine = false;
    for _ in 0..100 {
        watchdog.next();
        let mut finished: Option<Finished> = None;
        let out = machine.run(|vcpu, board| {
            finished = Some(finisher.finish(vcpu, board).expect("no ioctl fails"));
            false
        });
        match out {
            Out::Ended(ended) => return (Some(ended), if by_engine { Who::Engine } else { Who::Kernel }),
            Out::Exit(_) if finished.is_some() => {}
            Out::Exit(what) if !what.contains("Internal") => return (None, Who::Nobody(what)),
            Out::Exit(_) => {
                let done = finisher.finish(&mut machine.vcpu, &mut machine.board).expect("no ioctl fails");
                finished = Some(done);
            }
        }
        while let Some(Finished { end, by, .. }) = finished.take() {
            by_engine |= by == By::Engine;
            match end {
                End::Completed(_) | End::Injected(_) => {}
                End::Exit => {
                    crate::support::kvm::answer_any(&mut machine.vcpu, &mut machine.board);
                    let done = finisher.finish(&mut machine.vcpu, &mut machine.board).expect("no ioctl fails");
                    finished = Some(done);
                }
                other => return (None, Who::Nobody(format!("{other:?}"))),
            }
        }
    }
    (None, Who::Nobody("more exits than any instruction needs".to_owned()))
}

#[test]
fn every_form_on_device_memory_ends_as_natively() {
    let profile = Profile::host();
    let forms: Vec<Form> = all(Mode::Long64, &profile, DATA + 0x100).into_iter().filter(in_memory).collect();
    let Some(mut machine) = machine("kvm forms", 2 * forms.len() as u64) else { return };
    let engine = Engine::new(profile.clone()).expect("the host grants executable memory");
    let mut finisher = Finisher::new(engine, machine.capabilities).expect("the host's layout");
    finisher.arm(&mut machine.vcpu);
    let watchdog = Watchdog::new();

    let mut skips = encore86_oracle::Skips::new("kvm forms");
    let (mut tried, mut kernel, mut engine) = (0, 0, 0);
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut kernel_wrong: BTreeMap<String, String> = BTreeMap::new();
    let mut ours_wrong: Vec<String> = Vec::new();
    for form in &forms {
        if let Some(why) = left_out(form) {
            skips.skip(form.insn.row().mnemonic, why, 2);
            continue;
        }
        for variant in 0..2 {
            let (cpu, memory) = start(form, variant);
            let stack = [0x5a; 0x180];
            let mut native = None;
            for device in [false, true] {
                machine.set_data(&memory, device);
                machine.board.ram.write(STACK_FROM, &stack);
                machine.prepare(&form.bytes, &cpu, device);
                if !device {
                    watchdog.next();
                    match machine.run(|_, _| true) {
                        Out::Ended(ended) => native = Some(left(&machine, ended)),
                        Out::Exit(what) => {
                            skips.skip(&form.insn.to_string(), &format!("natively: {what}"), 1);
                            break;
                        }
                    }
                    continue;
                }
                let Some(native) = &native else { break };
                tried += 1;
                let (ended, who) = on_device(&mut machine, &mut finisher, &watchdog);
                let name = format!("{} ({:02x?})", form.insn, form.bytes);
                let (Some(ended), false) = (ended, matches!(who, Who::Nobody(_))) else {
                    let Who::Nobody(why) = who else { continue };
                    refused.entry(why).or_default().push(name);
                    continue;
                };
                let wrong = compare(form, native, &left(&machine, ended), profile.vendor());
                match who {
                    Who::Engine => engine += 1,
                    _ => kernel += 1,
                }
                skips.ran(1);
                if wrong.is_empty() {
                    continue;
                }
                let text = format!("{name}: {}", wrong.join("; "));
                match who {
                    Who::Engine => ours_wrong.push(text),
                    _ => drop(kernel_wrong.entry(form.insn.row().form().to_string()).or_insert(text)),
                }
            }
        }
    }
    drop(watchdog);
    let nobody: usize = refused.values().map(Vec::len).sum();
    let mut report = format!(
        "kvm forms: {} forms of the table, {tried} runs on the device: {kernel} finished by the kernel, {engine} by the \
         engine, {nobody} refused by both\n",
        forms.len()
    );
    for (why, which) in &refused {
        report += &format!("  refused by both, {why}: {}\n", which.join(", "));
    }
    report += &format!("  rows that the kernel ran wrong: {}\n", kernel_wrong.len());
    for text in kernel_wrong.values() {
        report += &format!("    {text}\n");
    }
    // Past the harness, which swallows what a passing test prints.
    use std::io::Write;
    let _ = std::io::stderr().write_all(report.as_bytes());
    assert!(ours_wrong.is_empty(), "{} runs of the engine differ:\n{}", ours_wrong.len(), ours_wrong.join("\n"));
    assert!(engine > 0 && nobody == 0, "the engine finished {engine}, and {nobody} were refused");
}

/// Stores that the table does not have yet, which the engine refuses: what the kernel makes of them. One of them may hang it,
/// which must cost a signal and not the virtual machine.
#[test]
fn a_hanging_kernel_costs_a_signal() {
    let cases: [(&str, &[u8]); 5] = [
        ("sgdt [rbx]", &[0x0f, 0x01, 0x03]),
        ("sidt [rbx]", &[0x0f, 0x01, 0x0b]),
        ("smsw word [rbx]", &[0x0f, 0x01, 0x23]),
        ("sldt word [rbx]", &[0x0f, 0x00, 0x03]),
        ("str word [rbx]", &[0x0f, 0x00, 0x0b]),
    ];
    let Some(mut machine) = machine("kvm: hanging instructions", cases.len() as u64) else { return };
    let engine = Engine::new(Profile::host()).expect("the host grants executable memory");
    let mut finisher = Finisher::new(engine, machine.capabilities).expect("the host's layout");
    finisher.arm(&mut machine.vcpu);
    let watchdog = Watchdog::new();
    let mut report = "kvm: stores beyond the table, to a device\n".to_owned();
    for (name, code) in cases {
        machine.prepare(code, &registers(), true);
        let what = match on_device(&mut machine, &mut finisher, &watchdog) {
            (Some(ended), Who::Kernel) => format!("{ended:x?} by the kernel, device accesses {:?}", machine.board.log),
            (Some(ended), _) => format!("{ended:x?} by the engine"),
            (None, Who::Nobody(why)) if why.contains("KVM_RUN") => format!("hangs ({why})"),
            (None, Who::Nobody(why)) => why,
            (None, _) => unreachable!("a run that was finished has an end"),
        };
        report += &format!("  {name}: {what}\n");
        // mov [rbx], eax
        machine.prepare(&[0x89, 0x03], &registers(), true);
        let (ended, _) = on_device(&mut machine, &mut finisher, &watchdog);
        assert_eq!(ended, Some(Ended::Retired), "the virtual machine goes on after {name}");
        assert_eq!(machine.board.log, [(0x100, 4, true)]);
    }
    drop(watchdog);
    use std::io::Write;
    let _ = std::io::stderr().write_all(report.as_bytes());
}
