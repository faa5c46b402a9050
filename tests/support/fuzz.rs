//! Fuzz targets as plain functions of bytes: a fuzzer or a seeded generator feeds them.

use encore86::bus::Modify;
use encore86::cpu::segment::Segment;
use encore86::host::HostRam;
use encore86::introspect::{Preview, Verdict};
use encore86::paging::{Limits, Paging};
use encore86::{Access, Bus, Cpu, Engine, Event, Mode, Outcome, Platform, Stop, Unsupported, Vendor, Vmm};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Random numbers from a seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Choices drawn from fuzz data; zeros when it is used up.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn u8(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn u64(&mut self) -> u64 {
        (0..8).fold(0, |v, _| v << 8 | u64::from(self.u8()))
    }

    fn one_in(&mut self, n: u8) -> bool {
        self.u8() % n == 1
    }

    /// Numbers near the edges of things.
    fn number(&mut self) -> u64 {
        const EDGES: [u64; 12] = [
            0,
            0xffff,
            0x1_0000,
            0xffff_ffff,
            0x1_0000_0000,
            0x7fff_ffff_ffff,
            0x8000_0000_0000,
            0xffff_8000_0000_0000,
            u64::MAX,
            0x1000,
            0x7fff_ffff_ffff_ffff,
            0x3ff0,
        ];
        match self.u8() % 4 {
            0 => self.u64(),
            1 => u64::from(self.u8()),
            _ => EDGES[usize::from(self.u8()) % EDGES.len()].wrapping_add(self.u8() as i8 as u64),
        }
    }
}

const MODES: [Mode; 7] =
    [Mode::Real16, Mode::V86, Mode::Prot16, Mode::Prot32, Mode::Compat16, Mode::Compat32, Mode::Long64];

/// A monitor that answers anything.
struct Hostile<'a> {
    choices: Choices<'a>,
    code: [u8; 15],
    ram: &'static [AtomicU64; 16],
}

impl Hostile<'_> {
    fn stop(&mut self) -> Result<(), Stop> {
        Err(match self.choices.u8() {
            0..16 => Stop::Retry,
            16..24 => Stop::TooWide(self.choices.u8()),
            24..32 => Stop::TooWide(1 << (self.choices.u8() % 8)),
            32..36 => Stop::Caller(self.choices.u64()),
            36..38 => Stop::NotProvided("nothing"),
            38..44 => Stop::Fault(Event::pf(self.choices.u8().into(), self.choices.u64(), "hostile")),
            44 => Stop::Fault(Event::ud("hostile")),
            _ => return Ok(()),
        })
    }
}

impl Bus for Hostile<'_> {
    fn fetch(&mut self, _: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        self.stop()?;
        *buf = self.code;
        Ok(match self.choices.u8() {
            0 => 0,
            1 => 200,
            2 => usize::MAX,
            n @ 3..20 => n.into(),
            _ => 15,
        })
    }

    fn read(&mut self, _: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        self.stop()?;
        buf.iter_mut().for_each(|b| *b = self.choices.u8());
        Ok(())
    }

    fn write(&mut self, _: u64, _: &[u8], _: &Access) -> Result<(), Stop> {
        self.stop()
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        self.stop()
    }

    fn rmw(&mut self, _: u64, old: &mut [u8], modify: &mut Modify<'_>, _: &Access) -> Result<bool, Stop> {
        self.stop()?;
        let (mut a, mut b) = ([7; 40], [0; 40]);
        for _ in 0..self.choices.u8() % 3 {
            let (n, m) = if self.choices.one_in(3) {
                (usize::from(self.choices.u8() % 40), usize::from(self.choices.u8() % 40))
            } else {
                (old.len(), old.len())
            };
            modify(&a[..n], &mut b[..m]);
            a = b;
        }
        Ok(self.choices.one_in(2))
    }

    fn ram(&mut self, _: u64, len: usize, _: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.stop()?;
        let len = if self.choices.one_in(4) { usize::from(self.choices.u8() % 64) } else { len };
        let at = usize::from(self.choices.u8() % 64);
        let start = NonNull::from(self.ram).cast::<u8>();
        // SAFETY: 64 + 63 bytes lie within the 128 of a static that is only accessed by this grant; atomics allow writes.
        Ok(self.choices.one_in(2).then(|| unsafe { HostRam::new(start.add(at), len.min(64)) }))
    }

    fn takes_blocks(&mut self, _: u64, _: usize, _: &Access) -> bool {
        self.choices.one_in(2)
    }
}

impl Platform for Hostile<'_> {
    fn port_in(&mut self, _: u16, buf: &mut [u8]) -> Result<(), Stop> {
        self.stop()?;
        buf.fill(0xa5);
        Ok(())
    }

    fn port_out(&mut self, _: u16, _: &[u8]) -> Result<(), Stop> {
        self.stop()
    }

    fn read_msr(&mut self, _: u32) -> Result<u64, Stop> {
        self.stop()?;
        Ok(self.choices.number())
    }

    fn write_msr(&mut self, _: u32, _: u64) -> Result<(), Stop> {
        self.stop()
    }

    fn time(&mut self) -> Result<u64, Stop> {
        self.stop()?;
        Ok(self.choices.u64())
    }

    fn cache(&mut self, _: encore86::bus::CacheOp, _: u64) -> Result<(), Stop> {
        self.stop()
    }

    fn interrupt_pending(&mut self) -> bool {
        self.choices.one_in(2)
    }

    fn load_state(&mut self, _: &mut Cpu, _: u64) -> Result<(), Stop> {
        self.stop()
    }
}

fn any_cpu(c: &mut Choices<'_>) -> Cpu {
    let mut cpu = super::machine::cpu(MODES[usize::from(c.u8()) % 7]);
    for r in 0..16 {
        cpu.gpr[r] = if r == 1 && !c.one_in(8) { u64::from(c.u8() % 9) } else { c.number() };
    }
    if c.one_in(2) {
        cpu.rip = c.number();
    }
    let flags = c.u64();
    cpu.set_rflags(cpu.rflags() ^ flags & 0x24_4dd7);
    cpu.vector.k.iter_mut().for_each(|k| *k = c.u64());
    for zmm in &mut cpu.vector.zmm[..6] {
        zmm.0.iter_mut().for_each(|b| *b = c.u8());
    }
    cpu.vector.mxcsr = c.u64() as u32 & 0xffff;
    cpu.x87.fcw = c.u64() as u16;
    cpu.x87.fsw = c.u64() as u16;
    cpu.x87.ftw = c.u8();
    if c.one_in(4) {
        cpu.valid = c.u64();
    }
    if c.one_in(3) {
        let mode = c.u8();
        cpu.update(|s| {
            for seg in &mut s.seg {
                *seg = Segment {
                    selector: c.u64() as u16,
                    attr: c.u64() as u32 & 0x1_f0ff,
                    limit: c.number() as u32,
                    base: c.number(),
                };
            }
            if mode & 1 != 0 {
                s.cr0 ^= c.u64() & 0x8005_003f;
                // FRED and user interrupts among them.
                s.cr4 ^= c.u64() & 0x1_02ff_ffff;
                s.uif = mode & 2 != 0;
                s.xcr0 ^= c.u64() & 0xff;
                s.ssp = c.number();
            }
        });
    }
    cpu
}

/// Steps `code` (or what the data say instead) from a random state on a monitor that answers anything.
/// Counts its outcomes in `ended`: completed, exception, retry, stopped, unsupported.
pub fn step_does_not_panic(
    engine: &mut Engine,
    ram: &'static [AtomicU64; 16],
    code: &[u8],
    data: &[u8],
    ended: &mut [usize; 5],
) {
    let mut choices = Choices(data);
    let mut cpu = any_cpu(&mut choices);
    let mut bytes = [0; 15];
    bytes.iter_mut().for_each(|b| *b = choices.u8());
    if !choices.one_in(4) {
        let n = code.len().min(15);
        bytes[..n].copy_from_slice(&code[..n]);
    }
    engine.abandon();
    if choices.one_in(3) {
        let limits = any_paging(&mut choices, &mut cpu);
        let mut vmm = Paging::new(Hostile { choices, code: bytes, ram }, limits);
        let step = |engine: &mut Engine, cpu: &mut Cpu| {
            // Where the PDPTEs cannot be read, nothing is changed.
            let _ = vmm.load(cpu);
            let outcome = match any_verdict(&mut vmm.inner().choices) {
                Some(verdict) => step_under(verdict, engine, cpu, &mut vmm),
                None => engine.step(cpu, &mut vmm),
            };
            let choice = vmm.inner().choices.u8();
            between(choice, engine, cpu, &mut vmm, outcome)
        };
        return steps(engine, &mut cpu, step, ended);
    }
    let mut vmm = Hostile { choices, code: bytes, ram };
    let step = |engine: &mut Engine, cpu: &mut Cpu| {
        let outcome = match any_verdict(&mut vmm.choices) {
            Some(verdict) => step_under(verdict, engine, cpu, &mut vmm),
            None => engine.step(cpu, &mut vmm),
        };
        let choice = vmm.choices.u8();
        between(choice, engine, cpu, &mut vmm, outcome)
    };
    steps(engine, &mut cpu, step, ended);
}

/// What a monitor may do between two instructions: deliver the exception, an interrupt, a user interrupt, a notification of some.
fn between<V: Vmm>(choice: u8, engine: &mut Engine, cpu: &mut Cpu, vmm: &mut V, outcome: Outcome) -> Outcome {
    match (choice, outcome) {
        (0..64, Outcome::Exception(event)) => engine.deliver(cpu, vmm, event),
        (0..8, Outcome::Completed(_)) => engine.deliver(cpu, vmm, Event::interrupt(choice)),
        (8..32, Outcome::Completed(_)) => engine.deliver_user_interrupt(cpu, vmm).unwrap_or(outcome),
        (32..40, Outcome::Completed(_)) => engine.notify_user_interrupt(cpu, vmm, 0).unwrap_or(outcome),
        _ => outcome,
    }
}

/// A filter's verdict now and then.
fn any_verdict(c: &mut Choices<'_>) -> Option<Verdict> {
    match c.u8() {
        0..12 => Some(Verdict::Skip),
        12..24 => Some(Verdict::Refuse),
        24..48 => Some(Verdict::Allow),
        _ => None,
    }
}

fn step_under<V: Vmm>(verdict: Verdict, engine: &mut Engine, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
    engine.step_filtered(cpu, vmm, &mut |_: &Cpu, preview: &Preview<'_>| {
        assert!(preview.accesses.len() <= 1024, "{}", preview.insn);
        preview.touches(&(0..1));
        verdict
    })
}

/// Paging of any kind, and the processor's limits.
fn any_paging(c: &mut Choices<'_>, cpu: &mut Cpu) -> Limits {
    cpu.update(|s| {
        s.cr0 |= 1 << 31;
        s.cr3 = c.number();
        s.cr4 ^= c.u64() & 0x1_13ff_ffff;
        s.efer ^= c.u64() & 0x800;
        (s.pkru, s.pkrs) = (c.u64() as u32, c.u64() as u32);
    });
    Limits {
        maxphyaddr: c.u8(),
        pse36: c.one_in(2),
        pat: c.one_in(2),
        gigabyte_pages: c.one_in(2),
        vendor: if c.one_in(2) { Vendor::Amd } else { Vendor::Intel },
    }
}

fn steps(
    engine: &mut Engine,
    cpu: &mut Cpu,
    mut step: impl FnMut(&mut Engine, &mut Cpu) -> Outcome,
    ended: &mut [usize; 5],
) {
    for _ in 0..6 {
        let open = engine.has_open_journal();
        let outcome = step(engine, cpu);
        ended[match outcome {
            Outcome::Completed(_) => 0,
            Outcome::Exception(_) => 1,
            Outcome::Retry => 2,
            Outcome::Stopped(_) => 3,
            _ => 4,
        }] += 1;
        match outcome {
            Outcome::Retry | Outcome::Stopped(_) | Outcome::Unsupported(Unsupported::JournalMismatch) => {}
            Outcome::Unsupported(Unsupported::Platform(_)) if open => {}
            _ => assert!(!engine.has_open_journal(), "{outcome:?} leaves the journal open"),
        }
    }
}
