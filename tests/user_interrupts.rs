//! User interrupts at the boundaries of instructions (SDM volume 3, "User Interrupts"): delivery and notification. No processor at hand
//! has them: expected values are worked out by hand from the manual's text.

#[path = "support/msrs.rs"]
mod msrs;

use encore86::bus::Modify;
use encore86::cpu::Blocking;
use encore86::cpu::registers::{cr4, efer, rflags};
use encore86::cpu::segment::{Seg, rights};
use encore86::host::HostRam;
use encore86::{Access, AccessKind, Bus, Cpu, Engine, Event, Outcome, Profile, Stop};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CODE: u64 = 0x1000;
const STACK: u64 = 0x8000;
const HANDLER: u64 = 0x2000;
const UPID: u64 = 0x6040;
const VECTOR: u8 = 0xec;

/// IA32_UINTR_RR, HANDLER, STACKADJUST, MISC, PD.
const RR: u32 = 0x985;
const HANDLER_MSR: u32 = 0x986;
const STACKADJUST: u32 = 0x987;
const MISC: u32 = 0x988;
const PD: u32 = 0x989;

/// How the bus is atomic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// It grants host addresses.
    Ram,
    /// It changes bytes by itself.
    Modifies,
    /// It reads and writes.
    Parts,
}

struct Machine<'a> {
    ram: &'a [AtomicU64],
    kind: Kind,
    msrs: BTreeMap<u32, u64>,
    /// Reads and writes of it answer "later".
    later: Option<u32>,
    later_on_write: bool,
    /// Kind, address, length, privilege and whether it is the processor's own, of what changes memory.
    changes: Vec<(AccessKind, u64, usize, u8, bool)>,
}

fn memory() -> Vec<AtomicU64> {
    (0..0x2000).map(|_| AtomicU64::new(0)).collect()
}

impl<'a> Machine<'a> {
    fn new(ram: &'a [AtomicU64]) -> Machine<'a> {
        let msrs = BTreeMap::from([
            (RR, 0),
            (HANDLER_MSR, HANDLER),
            (STACKADJUST, 0),
            (MISC, u64::from(VECTOR) << 32 | 7),
            (PD, UPID),
        ]);
        Machine { ram, kind: Kind::Ram, msrs, later: None, later_on_write: false, changes: Vec::new() }
    }

    fn cell(&self, at: u64) -> &AtomicU64 {
        &self.ram[at as usize / 8]
    }

    fn put(&self, at: u64, value: u64) {
        self.cell(at).store(value, Ordering::SeqCst);
    }

    fn get(&self, at: u64) -> u64 {
        self.cell(at).load(Ordering::SeqCst)
    }

    fn host(&self, at: u64, len: usize) -> HostRam<'_> {
        let start = self.ram.as_ptr().cast_mut().cast::<u8>();
        // SAFETY: the range lies in the cells, whose bytes are shared.
        unsafe { HostRam::new(NonNull::new(start.add(at as usize)).unwrap(), len) }
    }
}

impl Bus for Machine<'_> {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.read(at, buf, access).map(|()| 15)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.probe(at, buf.len(), access)?;
        self.host(at, buf.len()).load(buf);
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.probe(at, buf.len(), access)?;
        self.changes.push((access.kind, at, buf.len(), access.cpl, access.implicit));
        self.host(at, buf.len()).store(buf);
        Ok(())
    }

    fn probe(&mut self, at: u64, len: usize, _: &Access) -> Result<(), Stop> {
        match at.checked_add(len as u64) {
            Some(end) if end <= 8 * self.ram.len() as u64 => Ok(()),
            _ => Err(Event::pf(0, at, "no memory").into()),
        }
    }

    fn ram(&mut self, at: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if self.kind != Kind::Ram {
            return Ok(None);
        }
        self.probe(at, len, access)?;
        self.changes.push((access.kind, at, len, access.cpl, access.implicit));
        Ok(Some(self.host(at, len)))
    }

    fn rmw(&mut self, at: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        if self.kind != Kind::Modifies {
            return Ok(false);
        }
        self.changes.push((access.kind, at, old.len(), access.cpl, access.implicit));
        self.host(at, old.len()).load(old);
        let mut new = vec![0; old.len()];
        modify(old, &mut new);
        self.host(at, new.len()).store(&new);
        Ok(true)
    }
}

msrs::platform_of_msrs!(Machine<'_>);

/// A program in 64-bit mode with UIF set.
fn cpu() -> Cpu {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr4 |= cr4::UINTR;
        s.uif = true;
        for seg in [Seg::Cs, Seg::Ss] {
            s.seg[seg as usize].attr |= 3 << rights::DPL_SHIFT;
        }
    });
    (cpu.rip, cpu.gpr[4]) = (CODE, STACK);
    cpu
}

fn engine() -> Engine {
    Engine::integer_only(Profile::all())
}

fn same(cpu: &Cpu, before: &Cpu) -> bool {
    (cpu.gpr, cpu.rip, cpu.rflags()) == (before.gpr, before.rip, before.rflags()) && cpu.system() == before.system()
}

#[test]
fn a_pending_one_is_delivered() {
    let ram = memory();
    // Vector 37 and vector 2 wait: the greater one is first.
    let mut machine = Machine::new(&ram);
    machine.msrs.insert(RR, 1 << 37 | 1 << 2);
    let mut cpu = cpu();
    let flags = rflags::IF | rflags::CF | rflags::TF | rflags::RF | rflags::DF | rflags::AC | 2;
    cpu.set_rflags(flags);
    cpu.gpr[4] = STACK + 5;
    assert!(matches!(engine().deliver_user_interrupt(&mut cpu, &mut machine), Some(Outcome::Completed(_))));
    // RSP is aligned to 16 bytes; UIRRV, RIP, RFLAGS and RSP of before.
    let frame = [0, 1, 2, 3].map(|i| machine.get(STACK - 32 + 8 * i));
    assert_eq!(frame, [37, CODE, flags, STACK + 5]);
    assert_eq!((cpu.rip, cpu.gpr[4], cpu.rflags()), (HANDLER, STACK - 32, flags & !(rflags::TF | rflags::RF)));
    assert_eq!((machine.msrs[&RR], cpu.system().uif, cpu.cpl()), (1 << 2, false, 3));
    assert!(machine.changes.iter().all(|&(.., cpl, implicit)| cpl == 3 && !implicit), "a user's stores");
    // UIF is clear now, until UIRET behind the vector sets it again and goes back.
    assert!(engine().deliver_user_interrupt(&mut cpu, &mut machine).is_none());
    cpu.gpr[4] += 8;
    machine.host(HANDLER, 4).store(&[0xf3, 0x0f, 0x01, 0xec]);
    assert!(matches!(engine().step(&mut cpu, &mut machine), Outcome::Completed(_)));
    assert_eq!((cpu.rip, cpu.gpr[4], cpu.rflags(), cpu.system().uif), (CODE, STACK + 5, flags, true));
    assert!(engine().deliver_user_interrupt(&mut cpu, &mut machine).is_some());
    assert_eq!((machine.get(STACK - 32), machine.msrs[&RR]), (2, 0));
}

#[test]
fn the_stack_is_adjusted() {
    for (adjust, frame) in [(0, STACK - 32), (0x80, STACK - 0x80 - 32), (0x7008 | 1, 0x7000 - 32)] {
        let ram = memory();
        let mut machine = Machine::new(&ram);
        machine.msrs.extend([(RR, 1), (STACKADJUST, adjust)]);
        let mut cpu = cpu();
        assert!(engine().deliver_user_interrupt(&mut cpu, &mut machine).is_some());
        assert_eq!((cpu.gpr[4], machine.get(frame + 24)), (frame, STACK), "IA32_UINTR_STACKADJUST {adjust:#x}");
    }
}

#[test]
fn none_is_delivered_unless_all_holds() {
    type Change = fn(&mut Cpu, &mut Machine<'_>);
    let cases: &[(&str, Change)] = &[
        ("UIRR is 0", |_, machine| machine.msrs.extend([(RR, 0)])),
        ("UIF is clear", |cpu, _| cpu.update(|s| s.uif = false)),
        ("CR4.UINTR is clear", |cpu, _| cpu.update(|s| s.cr4 &= !cr4::UINTR)),
        ("CPL is 0", |cpu, _| cpu.update(|s| s.seg[2].attr = 0xc093)),
        ("compatibility mode", |cpu, _| cpu.update(|s| s.seg[1].attr = 0xc0fb)),
        ("no IA-32e mode", |cpu, _| {
            cpu.update(|s| (s.efer, s.seg[1].attr) = (s.efer & !(efer::LMA | efer::LME), 0xc0fb))
        }),
        ("the shadow of MOV SS", |cpu, _| cpu.set_blocking(Blocking { mov_ss: true, ..Blocking::default() })),
    ];
    for (why, change) in cases {
        let ram = memory();
        let (mut cpu, mut machine) = (cpu(), Machine::new(&ram));
        machine.msrs.insert(RR, 1);
        change(&mut cpu, &mut machine);
        let (before, requests) = (cpu.clone(), machine.msrs[&RR]);
        assert!(engine().deliver_user_interrupt(&mut cpu, &mut machine).is_none(), "{why}");
        assert!(same(&cpu, &before) && machine.msrs[&RR] == requests, "{why}");
    }
}

#[test]
fn faults_of_the_delivery() {
    type Change = fn(&mut Cpu, &mut Machine<'_>);
    let cases: &[(&str, Change, u8, Option<u64>)] = &[
        ("UIHANDLER is not canonical", |_, machine| machine.msrs.extend([(HANDLER_MSR, 1 << 47)]), 13, None),
        ("the stack is not canonical", |cpu, _| cpu.gpr[4] = (1 << 47) + 0x1000, 12, None),
        ("no page", |cpu, _| cpu.gpr[4] = 0x7000_0000, 14, Some(0x6fff_fff8)),
    ];
    for &(why, change, vector, cr2) in cases {
        let ram = memory();
        let (mut cpu, mut machine) = (cpu(), Machine::new(&ram));
        machine.msrs.insert(RR, 1);
        change(&mut cpu, &mut machine);
        let before = cpu.clone();
        let Some(Outcome::Exception(event)) = engine().deliver_user_interrupt(&mut cpu, &mut machine) else { panic!() };
        assert_eq!((event.vector, event.error_code, event.cr2), (vector, Some(0), cr2), "{why}");
        cpu.update(|s| s.cr2 = 0);
        assert!(same(&cpu, &before) && machine.msrs[&RR] == 1, "{why}");
    }
    // A platform that is not ready.
    for (index, on_write) in [(RR, false), (STACKADJUST, false), (RR, true)] {
        let ram = memory();
        let (mut cpu, mut machine) = (cpu(), Machine::new(&ram));
        machine.msrs.insert(RR, 1);
        (machine.later, machine.later_on_write) = (Some(index), on_write);
        let (before, mut engine) = (cpu.clone(), engine());
        assert_eq!(engine.deliver_user_interrupt(&mut cpu, &mut machine), Some(Outcome::Retry));
        assert!(same(&cpu, &before) && !engine.has_open_journal());
        machine.later = None;
        assert!(matches!(engine.deliver_user_interrupt(&mut cpu, &mut machine), Some(Outcome::Completed(_))));
        assert_eq!((cpu.rip, machine.msrs[&RR]), (HANDLER, 0));
    }
}

/// Bits beside ON, and the requests.
const CONTROL: u64 = 9 << 32 | (VECTOR as u64) << 16;

#[test]
fn a_notification_takes_the_requests() {
    for kind in [Kind::Ram, Kind::Modifies, Kind::Parts] {
        // Whatever the privilege: it is the processor's own work.
        for user in [true, false] {
            let ram = memory();
            let (mut cpu, mut machine) = (cpu(), Machine::new(&ram));
            if !user {
                cpu.update(|s| s.seg[2].attr = 0xc093);
            }
            machine.kind = kind;
            machine.msrs.insert(RR, 1 << 3);
            machine.put(UPID, CONTROL | 1 | 2);
            machine.put(UPID + 8, 1 << 63 | 1 << 5);
            let before = cpu.clone();
            let outcome = engine().notify_user_interrupt(&mut cpu, &mut machine, VECTOR);
            assert!(matches!(outcome, Some(Outcome::Completed(_))), "{kind:?}: {outcome:?}");
            assert_eq!(
                (machine.get(UPID), machine.get(UPID + 8)),
                (CONTROL | 2, 0),
                "ON and PIR are cleared, SN stays"
            );
            assert_eq!(machine.msrs[&RR], 1 << 63 | 1 << 5 | 1 << 3);
            assert!(same(&cpu, &before));
            let write = if kind == Kind::Parts { AccessKind::Write } else { AccessKind::Rmw };
            let expected = [(UPID, 1), (UPID + 8, 8)].map(|(at, len)| (write, at, len, 0, true));
            assert_eq!(machine.changes, expected, "{kind:?}");
        }
    }
    // No request: ON is cleared all the same.
    let ram = memory();
    let mut machine = Machine::new(&ram);
    machine.put(UPID, CONTROL | 1);
    assert!(engine().notify_user_interrupt(&mut cpu(), &mut machine, VECTOR).is_some());
    assert_eq!((machine.get(UPID), machine.msrs[&RR]), (CONTROL, 0));
}

#[test]
fn other_interrupts_are_no_notification() {
    for (why, vector, change) in [
        ("another vector", VECTOR + 1, (|_| {}) as fn(&mut Cpu)),
        ("CR4.UINTR is clear", VECTOR, |cpu| cpu.update(|s| s.cr4 &= !cr4::UINTR)),
        ("no IA-32e mode", VECTOR, |cpu| {
            cpu.update(|s| (s.efer, s.seg[1].attr) = (s.efer & !(efer::LMA | efer::LME), 0xc0fb));
        }),
    ] {
        let ram = memory();
        let (mut cpu, mut machine) = (cpu(), Machine::new(&ram));
        machine.put(UPID, CONTROL | 1);
        machine.put(UPID + 8, 1);
        change(&mut cpu);
        assert!(engine().notify_user_interrupt(&mut cpu, &mut machine, vector).is_none(), "{why}");
        assert_eq!((machine.get(UPID + 8), machine.msrs[&RR], machine.changes.len()), (1, 0, 0), "{why}");
    }
}

#[test]
fn a_notification_that_fails_loses_nothing() {
    // The descriptor is nowhere.
    for (address, vector, cr2) in [(0x7000_0000, 14, Some(0x7000_0000)), (1 << 47, 13, None)] {
        let ram = memory();
        let (mut cpu, mut machine) = (cpu(), Machine::new(&ram));
        machine.msrs.insert(PD, address);
        let outcome = engine().notify_user_interrupt(&mut cpu, &mut machine, VECTOR);
        let Some(Outcome::Exception(event)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((event.vector, event.cr2, machine.msrs[&RR], cpu.rip), (vector, cr2, 0, CODE));
    }
    // UIRR cannot be written yet: the requests are posted again.
    for kind in [Kind::Ram, Kind::Modifies, Kind::Parts] {
        let ram = memory();
        let (mut cpu, mut machine) = (cpu(), Machine::new(&ram));
        (machine.kind, machine.later, machine.later_on_write) = (kind, Some(RR), true);
        machine.put(UPID, CONTROL | 1);
        machine.put(UPID + 8, 1 << 63 | 1 << 40 | 1);
        let mut engine = engine();
        assert_eq!(engine.notify_user_interrupt(&mut cpu, &mut machine, VECTOR), Some(Outcome::Retry));
        assert_eq!((machine.get(UPID + 8), machine.msrs[&RR]), (1 << 63 | 1 << 40 | 1, 0), "{kind:?}");
        machine.later = None;
        assert!(engine.notify_user_interrupt(&mut cpu, &mut machine, VECTOR).is_some());
        assert_eq!((machine.get(UPID), machine.get(UPID + 8), machine.msrs[&RR]), (CONTROL, 0, 1 << 63 | 1 << 40 | 1));
    }
}

/// Other processors post while notifications are taken: each request is seen exactly once. A vector is posted again only when it has
/// been taken, so that one that is lost, or taken twice, shows.
#[test]
fn no_request_is_lost_among_processors() {
    const ROUNDS: u64 = 20_000;
    const LIMIT: Duration = Duration::from_secs(120);
    let begin = Instant::now();
    let ram = memory();
    let taken: Vec<AtomicU64> = (0..64).map(|_| AtomicU64::new(0)).collect();
    let posted: Vec<AtomicU64> = (0..64).map(|_| AtomicU64::new(0)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (ram, taken, posted, done) = (&ram, &taken, &posted, &done);
        scope.spawn(move || {
            let requests = &ram[(UPID + 8) as usize / 8];
            for round in 0..ROUNDS {
                let vector = (round * 29 % 64) as usize;
                while posted[vector].load(Ordering::SeqCst) != taken[vector].load(Ordering::SeqCst) {
                    assert!(begin.elapsed() < LIMIT, "request {vector} was lost");
                    std::hint::spin_loop();
                }
                posted[vector].fetch_add(1, Ordering::SeqCst);
                let before = requests.fetch_or(1 << vector, Ordering::SeqCst);
                assert_eq!(before >> vector & 1, 0, "a request that was taken comes again");
            }
            done.store(true, Ordering::SeqCst);
        });
        let (mut cpu, mut machine, mut engine) = (cpu(), Machine::new(ram), engine());
        loop {
            let last = done.load(Ordering::SeqCst);
            assert!(engine.notify_user_interrupt(&mut cpu, &mut machine, VECTOR).is_some());
            machine.changes.clear();
            let requests = machine.msrs.insert(RR, 0).unwrap();
            (0..64).filter(|vector| requests >> vector & 1 != 0).for_each(|vector: usize| {
                taken[vector].fetch_add(1, Ordering::SeqCst);
            });
            if last || begin.elapsed() > LIMIT {
                break;
            }
        }
    });
    assert_eq!(taken.iter().map(|n| n.load(Ordering::SeqCst)).sum::<u64>(), ROUNDS);
}

#[test]
fn between_the_iterations_of_a_string() {
    // REP MOVSB pauses under TF after each iteration, where a user interrupt can come.
    let ram = memory();
    let (mut cpu, mut machine) = (cpu(), Machine::new(&ram));
    machine.host(CODE, 2).store(&[0xf3, 0xa4]);
    cpu.set_rflags(rflags::TF);
    (cpu.gpr[1], cpu.gpr[6], cpu.gpr[7]) = (3, 0x3000, 0x4000);
    let mut engine = engine();
    let Outcome::Completed(retired) = engine.step(&mut cpu, &mut machine) else { panic!() };
    assert!(retired.rep_unfinished);
    machine.msrs.insert(RR, 1);
    assert!(engine.deliver_user_interrupt(&mut cpu, &mut machine).is_some());
    assert_eq!([1, 2].map(|i| machine.get(STACK - 32 + 8 * i)), [CODE, rflags::TF | rflags::RF | 2]);
    assert_eq!(cpu.gpr[1], 2);
}

#[test]
fn shadow_stack_and_tracker() {
    const U_CET: u32 = 0x6a0;
    const SSP: u64 = 0x9000;
    /// Both enabled; the tracker waits.
    const ENABLES: u64 = 1 | 4;
    const TRACKER: u64 = 1 << 11;
    let ram = memory();
    let (mut cpu, mut machine, mut engine) = (cpu(), Machine::new(&ram), engine());
    machine.msrs.extend([(U_CET, ENABLES), (0x6a2, 0), (RR, 1)]);
    cpu.update(|s| (s.cr4, s.ssp) = (s.cr4 | cr4::CET, SSP));
    // UIRR cannot be written yet: the tracker is what it was.
    (machine.later, machine.later_on_write) = (Some(RR), true);
    assert_eq!(engine.deliver_user_interrupt(&mut cpu, &mut machine), Some(Outcome::Retry));
    assert_eq!((machine.msrs[&U_CET], cpu.system().ssp), (ENABLES, SSP));
    machine.later = None;
    assert!(matches!(engine.deliver_user_interrupt(&mut cpu, &mut machine), Some(Outcome::Completed(_))));
    // The address alone.
    assert_eq!((machine.get(SSP - 8), cpu.system().ssp, machine.get(SSP - 16)), (CODE, SSP - 8, 0));
    assert_eq!(machine.msrs[&U_CET], ENABLES | TRACKER);
    // ENDBR64, and UIRET behind the vector.
    machine.host(HANDLER, 8).store(&[0xf3, 0x0f, 0x1e, 0xfa, 0xf3, 0x0f, 0x01, 0xec]);
    cpu.gpr[4] += 8;
    for _ in 0..2 {
        let outcome = engine.step(&mut cpu, &mut machine);
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    }
    assert_eq!((cpu.rip, cpu.gpr[4], cpu.system().ssp), (CODE, STACK, SSP));
    // No page for it: nothing is changed.
    cpu.update(|s| s.ssp = 0x7000_0000);
    machine.msrs.insert(RR, 1);
    let outcome = engine.deliver_user_interrupt(&mut cpu, &mut machine);
    assert!(
        matches!(outcome, Some(Outcome::Exception(Event { vector: 14, cr2: Some(0x6fff_fff8), .. }))),
        "{outcome:?}"
    );
    assert_eq!((cpu.rip, cpu.gpr[4], machine.msrs[&RR]), (CODE, STACK, 1));
}
