//! Privileged instructions of a kernel that has no privilege: the example `paravirtual`, which runs one natively, and what
//! a policy is asked and can answer.

#[path = "../examples/paravirtual.rs"]
mod example;
#[allow(dead_code)] // `transfer` uses the rest
#[path = "transfer/world.rs"]
mod world;

use encore86::cpu::registers::{cr0, cr4, rflags};
use encore86::cpu::segment::{Seg, Segment, rights};
use encore86::paravirtual::{Decision, Handled, Kernel, Policy, Privileged};
use encore86::{Cpu, Engine, Event, Outcome, Profile, Retired};
use world::Kind::{Long64, Prot32};
use world::{CODE, GDT, Kind, STACK, STACK0, TARGET, World, sel};

#[test]
fn the_kernel_of_the_example_does_not_notice() {
    use Privileged::*;
    let (seen, cpu, kernel) = example::run().expect("a signal handler can be installed");
    assert_eq!(seen.failed, None);
    assert_eq!(String::from_utf8_lossy(&seen.printed), "hello from ring 3\n!");
    let mut asked = seen.asked.iter().copied().filter(|asked| *asked != Out(0x3f8, 1));
    let lstar = seen.lstar;
    let expected = [
        LoadGdt,
        LoadIdt,
        LoadTask,
        WriteMsr(example::LSTAR, lstar),
        ReadControl(3),
        WriteControl(3, example::CR3 + 0x1000),
        InterruptFlag(false),
        ReadMsr(example::FORBIDDEN_MSR),
        InterruptFlag(true),
        InterruptReturn,
        InterruptFlag(false),
        Halt,
    ];
    for expected in expected {
        assert_eq!(asked.next(), Some(expected));
    }
    assert_eq!(asked.next(), None);
    assert_eq!(seen.signals as usize, expected.len() + seen.printed.len());
    assert_eq!(seen.refused, Some(ReadMsr(example::FORBIDDEN_MSR)));
    // The user's CLI, through the kernel's IDT and TSS: an error code of 0, and CS of the user in the frame.
    assert_eq!(seen.delivered.map(|event| (event.vector, event.error_code)), Some((13, Some(0))));
    assert_eq!((cpu.gpr[3], cpu.gpr[5], cpu.gpr[15]), (0, 0x2b, 0x1234));
    assert_eq!(kernel.system.cr3, example::CR3 + 0x1000);
    assert_eq!((kernel.system.gdtr.limit, kernel.system.idtr.limit, kernel.system.tr.selector), (63, 223, 0x30));
    assert_eq!(kernel.system.seg[Seg::Cs as usize].selector, 8, "the kernel's handler has CPL 0");
    assert_eq!(kernel.rflags & rflags::IF, 0, "an interrupt gate");
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Cs).selector & 3), (3, 3), "the processor never left ring 3");
}

/// Answers everything alike and keeps what it was asked.
struct Always {
    decision: Decision,
    asked: Option<Privileged>,
    cpl: u8,
    /// Loads of CS and SS.
    loaded: Vec<(Seg, u16)>,
}

impl Always {
    fn new(decision: Decision) -> Always {
        Always { decision, asked: None, cpl: 9, loaded: Vec::new() }
    }
}

impl Policy for Always {
    fn decide(&mut self, asked: &Privileged, cpu: &Cpu) -> Decision {
        (self.asked, self.cpl) = (Some(*asked), cpu.cpl());
        self.decision
    }

    /// Ring compression: what the kernel takes for ring 0 is ring 1.
    fn native(&mut self, seg: Seg, believed: &Segment, _: &Segment) -> Segment {
        self.loaded.push((seg, believed.selector));
        let ring = believed.dpl().max(1);
        let attr = believed.attr & !(3 << rights::DPL_SHIFT) | u32::from(ring) << rights::DPL_SHIFT;
        Segment { selector: believed.selector & !3 | u16::from(ring), attr, ..*believed }
    }
}

/// A kernel that believes in CPL 0, on a processor in `ring`.
fn kernel(kind: Kind, ring: u8) -> (Cpu, Kernel, World) {
    let mut cpu = world::cpu(kind, 0);
    cpu.update(|s| s.cr4 |= cr4::UMIP | cr4::TSD);
    let kernel = Kernel::new(&cpu);
    cpu.update(|s| {
        for seg in &mut s.seg[..4] {
            seg.attr |= u32::from(ring) << rights::DPL_SHIFT;
            seg.selector |= u16::from(ring);
        }
    });
    assert_eq!(cpu.cpl(), ring);
    (cpu, kernel, World::new(kind == Long64))
}

fn step(cpu: &mut Cpu, kernel: &mut Kernel, world: &mut World, policy: &mut Always, code: &[u8]) -> Handled {
    world.ram[CODE as usize..CODE as usize + code.len()].copy_from_slice(code);
    Engine::integer_only(Profile::all()).step_paravirtual(cpu, kernel, world, policy)
}

#[test]
fn what_is_refused_is_named_and_changes_nothing() {
    use Privileged::*;
    let cases: &[(&[u8], Privileged)] = &[
        (&[0x0f, 0x20, 0xd8], ReadControl(3)),
        (&[0x0f, 0x22, 0xe1], WriteControl(4, 0x1111_2222_3333_4444)),
        (&[0x0f, 0x06], WriteControl(0, cr0::PE | cr0::ET | cr0::NE | cr0::MP)),
        (&[0x0f, 0x01, 0xe0], ReadControl(0)),
        // LMSW of CX: TS and EM come from it, PE stays.
        (&[0x0f, 0x01, 0xf1], WriteControl(0, cr0::PE | cr0::ET | cr0::NE | cr0::EM)),
        (&[0x0f, 0x01, 0x33], WriteStatus),
        (&[0x0f, 0x21, 0xf8], ReadDebug(7)),
        (&[0x0f, 0x23, 0xc1], WriteDebug(0, 0x1111_2222_3333_4444)),
        (&[0x0f, 0x32], ReadMsr(0x3333_4444)),
        (&[0x0f, 0x30], WriteMsr(0x3333_4444, 0x0bcd_0077_0000_0055)),
        (&[0xec], In(0x77, 1)),
        (&[0xe5, 0x80], In(0x80, 4)),
        (&[0x66, 0xef], Out(0x77, 2)),
        (&[0x6c], In(0x77, 1)),
        (&[0xf3, 0x6f], Out(0x77, 4)),
        (&[0xfa], InterruptFlag(false)),
        (&[0xfb], InterruptFlag(true)),
        (&[0x0f, 0x01, 0xca], AccessFlag(false)),
        (&[0x0f, 0x01, 0xcb], AccessFlag(true)),
        (&[0x0f, 0x01, 0x13], LoadGdt),
        (&[0x0f, 0x01, 0x1b], LoadIdt),
        (&[0x0f, 0x00, 0xd0], LoadLdt),
        (&[0x0f, 0x00, 0xd8], LoadTask),
        (&[0x0f, 0x01, 0x03], StoreTable),
        (&[0x0f, 0x00, 0xc8], StoreTable),
        (&[0x8e, 0xd0], LoadSegment(Seg::Ss)),
        (&[0x0f, 0xa1], LoadSegment(Seg::Fs)),
        (&[0x0f, 0xb5, 0x03], LoadSegment(Seg::Gs)),
        (&[0x0f, 0x01, 0xf8], SwapGs),
        (&[0x48, 0xff, 0x2b], FarTransfer),
        (&[0x48, 0xcb], FarTransfer),
        (&[0x48, 0xcf], InterruptReturn),
        (&[0x48, 0x0f, 0x07], SystemReturn),
        (&[0xf4], Halt),
        (&[0x0f, 0x01, 0xc9], Wait),
        (&[0x0f, 0x31], ReadTime),
        (&[0x0f, 0x33], ReadCounter(0x3333_4444)),
        (&[0x0f, 0x01, 0x3b], Invalidate),
        (&[0x0f, 0x09], Caches),
        (&[0x0f, 0x01, 0xd1], WriteXcr(0x3333_4444, 0x0bcd_0077_0000_0055)),
    ];
    for (code, expected) in cases {
        let (mut cpu, mut kernel, mut world) = kernel(Long64, 3);
        cpu.gpr[0] = 0x55;
        cpu.gpr[1] = 0x1111_2222_3333_4444;
        cpu.gpr[2] = 0x0bcd_0077;
        cpu.gpr[3] = 0x6000;
        let (before, mut believed) = (cpu.clone(), kernel.clone());
        // Data segments are the processor's.
        believed.system.seg[Seg::Es as usize] = *cpu.seg(Seg::Es);
        believed.system.seg[Seg::Ds as usize] = *cpu.seg(Seg::Ds);
        let mut policy = Always::new(Decision::Refuse);
        let handled = step(&mut cpu, &mut kernel, &mut world, &mut policy, code);
        assert_eq!(handled, Handled::Refused(*expected), "{code:02x?}");
        assert_eq!((policy.asked, policy.cpl), (Some(*expected), 0), "{code:02x?}");
        assert!(!expected.to_string().is_empty());
        let same = cpu.gpr == before.gpr && cpu.rip == before.rip && cpu.rflags() == before.rflags();
        assert!(same && cpu.system() == before.system() && kernel.system == believed.system, "{code:02x?}");
    }
}

#[test]
fn an_instruction_without_privilege_is_the_kernels_own_fault() {
    for (code, name) in [(&[0x8b, 0x03][..], "mov"), (&[0x0f, 0x0b], "ud2"), (&[0x0f, 0x02, 0xc0], "lar")] {
        let (mut cpu, mut kernel, mut world) = kernel(Long64, 3);
        let mut policy = Always::new(Decision::Emulate);
        let handled = step(&mut cpu, &mut kernel, &mut world, &mut policy, code);
        assert_eq!((handled, policy.asked), (Handled::Unprivileged(name), None));
    }
    // Where there is no instruction, the fault of the fetch is the answer.
    let (mut cpu, mut kernel, mut world) = kernel(Long64, 3);
    cpu.rip = 1 << 40;
    let handled = step(&mut cpu, &mut kernel, &mut world, &mut Always::new(Decision::Emulate), &[]);
    assert!(matches!(handled, Handled::Ran(Outcome::Exception(Event { vector: 14, .. }))), "{handled:?}");
}

#[test]
fn values_are_given_and_writes_ignored() {
    let done = Handled::Ran(Outcome::Completed(Retired::default()));
    let run = |code: &[u8], decision| {
        let (mut cpu, mut kernel, mut world) = kernel(Long64, 3);
        (cpu.gpr[0], cpu.gpr[2]) = (!0, !0);
        let handled = step(&mut cpu, &mut kernel, &mut world, &mut Always::new(decision), code);
        (handled, cpu, kernel)
    };
    let value = 0x1234_5678_9abc_def0;
    let (handled, cpu, kernel) = run(&[0x0f, 0x20, 0xd8], Decision::Give(value));
    assert_eq!((handled, cpu.gpr[0], kernel.system.cr3, cpu.rip), (done, value, 0, CODE + 3));
    let (handled, cpu, _) = run(&[0x0f, 0x32], Decision::Give(value));
    assert_eq!((handled, cpu.gpr[0], cpu.gpr[2]), (done, 0x9abc_def0, 0x1234_5678));
    let (handled, cpu, _) = run(&[0xec], Decision::Give(value));
    assert_eq!((handled, cpu.gpr[0]), (done, !0xff | 0xf0));
    let (handled, cpu, _) = run(&[0x0f, 0x01, 0xe0], Decision::Give(value));
    assert_eq!((handled, cpu.gpr[0]), (done, 0x9abc_def0), "SMSW of EAX");
    // SMSW to memory, and what reads nothing.
    assert!(matches!(run(&[0x0f, 0x01, 0x23], Decision::Give(value)).0, Handled::Refused(_)));
    assert!(matches!(run(&[0xfa], Decision::Give(value)).0, Handled::Refused(_)));
    let (handled, cpu, kernel) = run(&[0xfa], Decision::Ignore);
    assert_eq!((handled, kernel.rflags & rflags::IF, cpu.rip), (done, rflags::IF, CODE + 1));
}

#[test]
fn flags_and_tables_are_the_kernels_and_not_the_processors() {
    let (mut cpu, mut kernel, mut world) = kernel(Long64, 3);
    let mut policy = Always::new(Decision::Emulate);
    cpu.set_rflags(rflags::IF | rflags::CF);
    let _ = step(&mut cpu, &mut kernel, &mut world, &mut policy, &[0xfa]);
    assert_eq!(cpu.rflags(), rflags::IF | rflags::CF | rflags::FIXED);
    assert_eq!(kernel.rflags, 0);
    world.put(0x6000, 0x27, 2);
    world.put(0x6002, 0x7000, 8);
    (cpu.rip, cpu.gpr[3]) = (CODE, 0x6000);
    let before = cpu.system().clone();
    let _ = step(&mut cpu, &mut kernel, &mut world, &mut policy, &[0x0f, 0x01, 0x13]);
    assert_eq!((kernel.system.gdtr.base, kernel.system.gdtr.limit), (0x7000, 0x27));
    assert_eq!(*cpu.system(), before);
    // What the kernel believes to be its user's has no more rights than that.
    kernel.system.seg[Seg::Ss as usize].attr |= 3 << rights::DPL_SHIFT;
    cpu.rip = CODE;
    let handled = step(&mut cpu, &mut kernel, &mut world, &mut policy, &[0xfa]);
    assert!(matches!(handled, Handled::Ran(Outcome::Exception(Event { vector: 13, error_code: Some(0), .. }))));
    assert_eq!(policy.cpl, 3);
}

#[test]
fn a_kernel_in_ring_1_goes_to_its_user_and_back() {
    let (mut cpu, mut kernel, mut world) = kernel(Prot32, 1);
    let mut policy = Always::new(Decision::Emulate);
    let frame = [TARGET, u64::from(sel::CODE3), rflags::IF, STACK - 0x100, u64::from(sel::DATA3)];
    for (i, value) in frame.into_iter().enumerate() {
        world.put(STACK + 4 * i as u64, value, 4);
    }
    kernel.rflags = 0;
    let handled = step(&mut cpu, &mut kernel, &mut world, &mut policy, &[0xcf]);
    assert!(matches!(handled, Handled::Ran(Outcome::Completed(_))), "{handled:?}");
    assert_eq!((cpu.rip, cpu.gpr[4], kernel.rflags), (TARGET, STACK - 0x100, rflags::IF));
    assert_eq!(policy.loaded, [(Seg::Cs, sel::CODE3), (Seg::Ss, sel::DATA3)]);
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Cs).selector), (3, sel::CODE3));
    // Segments of ring 1 are out of the user's reach, as those of ring 0 would be.
    assert!(cpu.seg(Seg::Ds).has(rights::UNUSABLE));

    let mut engine = Engine::integer_only(Profile::all());
    let event = Event::interrupt(32);
    let outcome = engine.deliver_paravirtual(&mut cpu, &mut kernel, &mut world, &mut policy, event);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!((cpu.cpl(), cpu.seg(Seg::Cs).selector, cpu.seg(Seg::Ss).selector), (1, sel::CODE0 | 1, sel::DATA0 | 1));
    assert_eq!(kernel.system.seg[Seg::Cs as usize].selector, sel::CODE0);
    let pushed = world.entries(STACK0 - 20, 4, 5);
    assert_eq!(
        pushed,
        [TARGET, u64::from(sel::CODE3), rflags::IF | rflags::FIXED, STACK - 0x100, u64::from(sel::DATA3)]
    );
    assert_eq!(world.get(GDT + u64::from(sel::CODE3 & !7), 8) >> 40 & 1, 1, "accessed");
}
