//! Breakpoints in DR0 to DR3 (SDM volume 3, 18.2). Only steps that meet [`obstacle::ATTENTION`](crate::cpu::obstacle) come here.

use crate::bus::{Access, AccessKind, Bus, Modify, Platform, Vmm, forward_bus, forward_platform};
use crate::cpu::registers::{cr4, rflags};
use crate::cpu::segment::Seg;
use crate::cpu::{Cpu, Mode};
use crate::event::{DR6_BS, DR6_BT, Event, EventKind, Retired, Stop};
use crate::host::HostRam;

/// L0 to G3 of DR7.
const ENABLES: u64 = 0xff;
/// R/W fields of DR7.
const CODE: u64 = 0;
const WRITES: u64 = 1;
const PORTS: u64 = 2;
const BOTH: u64 = 3;

/// The breakpoints that DR7 enables, of those whose R/W field is in `kinds`, which meet `len` bytes at `at`: B0 to B3.
fn met(points: &Breakpoints, kinds: &[u64], at: u64, len: usize) -> u8 {
    let mut hits = 0;
    for (n, &start) in points.dr.iter().take(4).enumerate() {
        let field = points.dr[7] >> (16 + 4 * n);
        if points.dr[7] >> (2 * n) & 3 == 0 || !kinds.contains(&(field & 3)) {
            continue;
        }
        // LEN: 1, 2, 8, 4 bytes, aligned.
        let size = [1, 2, 8, 4][(field >> 2 & 3) as usize];
        let start = start & !(size - 1);
        if at < start.saturating_add(size) && start < at.saturating_add(len as u64) {
            hits |= 1 << n;
        }
    }
    hits
}

/// DR0 to DR7, and whether R/W can name ports.
struct Breakpoints {
    dr: [u64; 8],
    ports: bool,
}

impl Breakpoints {
    fn of(cpu: &Cpu) -> Breakpoints {
        Breakpoints { dr: cpu.system().dr, ports: cpu.system().cr4 & cr4::DE != 0 }
    }
}

/// The #DB of a breakpoint on the instruction that is about to run; DR6 says which. It comes before every other fault of the
/// instruction, that of its fetch included. RF and the shadow of MOV SS hold it back.
#[cold]
pub(super) fn before(cpu: &mut Cpu) -> Option<Event> {
    if cpu.system().dr[7] & ENABLES == 0 || cpu.rflags() & rflags::RF != 0 || cpu.blocking().mov_ss {
        return None;
    }
    let base = if cpu.mode() == Mode::Long64 { 0 } else { cpu.seg(Seg::Cs).base };
    let at = base.wrapping_add(cpu.rip) & cpu.word().wrap;
    let hits = met(&Breakpoints::of(cpu), &[CODE], at, 1);
    if hits == 0 {
        return None;
    }
    cpu.update(|s| s.dr[6] |= u64::from(hits));
    Some(Event { data: hits.into(), ..Event::db(EventKind::Breakpoint, "a breakpoint on the instruction") })
}

/// What `retired` says of the #DB that is due: for breakpoints met, for TF, and for what was held back. MOV SS takes no single-step
/// trap, and its shadow holds breakpoints back for one more instruction (SDM volume 3, 6.8.3).
#[cold]
pub(super) fn due(cpu: &mut Cpu, retired: Retired, hits: u8, singlestep: bool) -> Retired {
    let step = singlestep && !retired.mov_ss;
    let pending = cpu.pending_debug() | u64::from(hits) | if step { DR6_BS } else { 0 };
    let now = if retired.mov_ss { 0 } else { pending };
    if cpu.pending_debug() != pending ^ now {
        cpu.set_pending_debug(pending ^ now);
    }
    let (singlestep, task_switch) = (now & DR6_BS != 0, now & DR6_BT != 0);
    Retired { singlestep, task_switch, breakpoints: now as u8 & 0xf, ..retired }
}

/// A monitor whose accesses are compared with the breakpoints. So is what the processor reads and writes by itself, of descriptors
/// and the TSS: the manual makes no exception of it.
pub(super) struct Watch<'a> {
    inner: &'a mut dyn Vmm,
    points: Breakpoints,
    /// RFLAGS.TF: a repeated string instruction pauses after each repetition.
    single: bool,
    /// B0 to B3.
    pub(super) hits: u8,
}

impl<'a> Watch<'a> {
    /// `hits` are those of the accesses that a retried instruction has made before.
    pub(super) fn new(inner: &'a mut dyn Vmm, cpu: &Cpu, hits: u8) -> Watch<'a> {
        Watch { inner, points: Breakpoints::of(cpu), single: cpu.rflags() & rflags::TF != 0, hits }
    }

    fn memory(&mut self, at: u64, len: usize, access: &Access) {
        let writes = matches!(access.kind, AccessKind::Write | AccessKind::Rmw);
        self.hits |= met(&self.points, if writes { &[WRITES, BOTH] } else { &[BOTH] }, at, len);
    }

    fn port(&mut self, port: u16, len: usize) {
        if self.points.ports {
            self.hits |= met(&self.points, &[PORTS], port.into(), len);
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Bus for Watch<'_> {
    forward_bus!(this => this.inner; fetch, probe, code, generation, follow, peek);

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.inner.read(linear, buf, access)?;
        self.memory(linear, buf.len(), access);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.inner.write(linear, buf, access)?;
        self.memory(linear, buf.len(), access);
        Ok(())
    }

    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        let done = self.inner.rmw(linear, old, modify, access)?;
        if done {
            self.memory(linear, old.len(), access);
        }
        Ok(done)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.memory(linear, len, access);
        self.inner.ram(linear, len, access)
    }

    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.memory(linear, len, access);
        self.inner.ram_across(linear, len, access)
    }

    fn enqueue(&mut self, linear: u64, command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        let taken = self.inner.enqueue(linear, command, access)?;
        self.memory(linear, command.len(), access);
        Ok(taken)
    }

    /// The trap comes behind the repetition that has met the breakpoint.
    fn takes_blocks(&mut self, linear: u64, len: usize, access: &Access) -> bool {
        !self.single && self.points.dr[7] & ENABLES == 0 && self.inner.takes_blocks(linear, len, access)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Platform for Watch<'_> {
    forward_platform!(
        this => this.inner;
        cpuid, read_msr, write_msr, time, random, read_counter, invalidate, paging, cache, ferr, stop_others, resume_others,
        progress, load_state, host_fpu_begin, host_fpu_end,
    );

    fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        self.inner.port_in(port, buf)?;
        self.port(port, buf.len());
        Ok(())
    }

    fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Stop> {
        self.inner.port_out(port, data)?;
        self.port(port, data.len());
        Ok(())
    }

    fn interrupt_pending(&mut self) -> bool {
        self.single || self.hits != 0 || self.inner.interrupt_pending()
    }
}
