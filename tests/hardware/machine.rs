//! The engine's side: a bus over a copy of the oracle's memory, and the state of user mode as a `Cpu`.

use crate::sites::Sites;
use encore86::bus::{Access, Bus, Modify, Platform};
use encore86::cpu::registers::{cr0, cr4, rflags};
use encore86::cpu::segment::{DescriptorTable, Seg, Segment, rights};
use encore86::cpu::{Cpu, X87};
use encore86::host::HostRam;
use encore86::{Event, Stop};
use encore86_oracle::{self as oracle, DATA_LEN, Features, Mode, Oracle, PAGE, State};
use std::ptr::NonNull;

/// From the first data page to the last edge page, at the oracle's distances.
const EDGE: usize = 2 * DATA_LEN;
const LEN: usize = EDGE + 2 * PAGE;

/// Where Linux's user addresses end, with four levels of page tables.
const TASK_SIZE: u64 = 0x7fff_ffff_f000;

/// Aligned as the oracle's pages are, so that locked operations meet the same cache lines.
#[repr(C, align(4096))]
struct Pages([u8; LEN]);

/// How the bus answers what memory leaves to it. None of this may show in a result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Grants host addresses.
    pub ram: bool,
    /// Takes several elements at once.
    pub blocks: bool,
    /// Does read-modify-writes itself.
    pub atomic: bool,
    /// Takes at most this many bytes at once.
    pub width: Option<u8>,
    /// Answers each access with `Retry` first.
    pub later: bool,
    /// An interrupt always waits.
    pub interrupt: bool,
}

/// The oracle's memory once more.
pub struct Memory {
    sites: Sites,
    pages: Box<Pages>,
    code: [u8; 16],
    code_at: u64,
    code_len: usize,
    habits: Habits,
    asked: bool,
}

enum Held {
    At(usize),
    Missing,
    ReadOnly,
}

impl Memory {
    pub fn new(sites: Sites) -> Memory {
        assert_eq!(sites.edge - sites.data, EDGE as u64, "the oracle's layout");
        assert_eq!(sites.read_only - sites.edge, PAGE as u64, "the oracle's layout");
        Memory {
            sites,
            pages: Box::new(Pages([0; LEN])),
            code: [0; 16],
            code_at: 0,
            code_len: 0,
            habits: Habits::default(),
            asked: false,
        }
    }

    /// The instruction at a linear address; `mapped` bytes can be fetched, those behind `code` are INT3.
    pub fn lay(&mut self, at: u64, code: &[u8], mapped: usize) {
        self.code = [0xcc; 16];
        self.code[..code.len()].copy_from_slice(code);
        (self.code_at, self.code_len) = (at, mapped);
    }

    /// Begins a case with these habits.
    pub fn begin(&mut self, habits: Habits) {
        self.habits = habits;
        self.asked = false;
    }

    /// Writes bytes here and into the oracle's memory, as far as there is memory.
    pub fn poke(&mut self, oracle: &mut Oracle, at: u64, bytes: &[u8]) {
        for (i, &byte) in bytes.iter().enumerate() {
            let offset = at.wrapping_add(i as u64).wrapping_sub(self.sites.data);
            if offset >= LEN as u64 {
                continue;
            }
            let offset = offset as usize;
            let page = match offset {
                0..DATA_LEN => &mut oracle.data()[offset],
                EDGE.. if offset < EDGE + PAGE => &mut oracle.edge_page()[offset - EDGE],
                EDGE.. => &mut oracle.read_only_page()[offset - EDGE - PAGE],
                _ => continue,
            };
            *page = byte;
            self.pages.0[offset] = byte;
        }
    }

    /// The first byte in which the oracle's memory differs: address, the oracle's, ours.
    pub fn difference(&self, oracle: &mut Oracle) -> Option<(u64, Vec<u8>, Vec<u8>)> {
        let first = |ours: &[u8], theirs: &[u8], at: u64| {
            if ours == theirs {
                return None;
            }
            let i = ours.iter().zip(theirs).position(|(a, b)| a != b)?;
            let end = (i + 32).min(ours.len());
            Some((at + i as u64, theirs[i..end].to_vec(), ours[i..end].to_vec()))
        };
        let pages = &self.pages.0;
        let edge = &pages[EDGE..EDGE + PAGE];
        first(&pages[..DATA_LEN], oracle.data(), self.sites.data)
            .or_else(|| first(edge, oracle.edge_page(), self.sites.edge))
            .or_else(|| first(&pages[EDGE + PAGE..], oracle.read_only_page(), self.sites.read_only))
    }

    /// Takes the oracle's memory over, after a difference was reported.
    pub fn adopt(&mut self, oracle: &mut Oracle) {
        self.pages.0[..DATA_LEN].copy_from_slice(oracle.data());
        self.pages.0[EDGE..EDGE + PAGE].copy_from_slice(oracle.edge_page());
        self.pages.0[EDGE + PAGE..].copy_from_slice(oracle.read_only_page());
    }

    /// Flips a byte, for the test of the comparison itself.
    pub fn spoil(&mut self, at: u64) {
        self.pages.0[(at - self.sites.data) as usize] ^= 1;
    }

    fn hold(&self, linear: u64, len: usize, writes: bool) -> Held {
        let offset = linear.wrapping_sub(self.sites.data);
        let within = |from: usize, to: usize| offset >= from as u64 && offset + len as u64 <= to as u64;
        if offset > LEN as u64 {
            Held::Missing
        } else if within(0, DATA_LEN) || within(EDGE, EDGE + PAGE) {
            Held::At(offset as usize)
        } else if within(EDGE + PAGE, LEN) {
            if writes { Held::ReadOnly } else { Held::At(offset as usize) }
        } else {
            Held::Missing
        }
    }

    /// The offset of the range in the pages, or the page fault of Linux at CPL 3.
    fn find(&self, linear: u64, len: usize, access: &Access) -> Result<usize, Stop> {
        const P: u32 = 1;
        const USER: u32 = 4;
        let write = if access.writes() { 2 } else { 0 };
        match self.hold(linear, len, access.writes()) {
            Held::At(offset) => Ok(offset),
            Held::ReadOnly => Err(Event::pf(USER | write | P, linear, "read-only").into()),
            // Linux hides whether an address of the kernel is mapped.
            Held::Missing if linear >= TASK_SIZE => Err(Event::pf(USER | write | P, linear, "the kernel's").into()),
            Held::Missing => Err(Event::pf(USER | write, linear, "not mapped").into()),
        }
    }

    fn ask(&mut self, len: usize) -> Result<(), Stop> {
        if let Some(width) = self.habits.width.filter(|&width| len > usize::from(width)) {
            return Err(Stop::TooWide(width));
        }
        if self.habits.later {
            self.asked = !self.asked;
            if self.asked {
                return Err(Stop::Retry);
            }
        }
        Ok(())
    }
}

impl Bus for Memory {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        const FETCH: u32 = 0x14;
        let skipped = linear.wrapping_sub(self.code_at);
        if skipped >= self.code_len as u64 {
            return Err(Event::pf(FETCH, linear, "not mapped").into());
        }
        let rest = &self.code[skipped as usize..self.code_len];
        let count = rest.len().min(15);
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        if access.implicit {
            return Err(Stop::Caller(TABLES));
        }
        let at = self.find(linear, buf.len(), access)?;
        self.ask(buf.len())?;
        buf.copy_from_slice(&self.pages.0[at..at + buf.len()]);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        let at = self.find(linear, buf.len(), access)?;
        self.ask(buf.len())?;
        self.pages.0[at..at + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.find(linear, len, access).map(drop)
    }

    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        if !self.habits.atomic {
            return Ok(false);
        }
        let at = self.find(linear, old.len(), access)?;
        self.ask(1)?;
        old.copy_from_slice(&self.pages.0[at..at + old.len()]);
        modify(old, &mut self.pages.0[at..at + old.len()]);
        Ok(true)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if !self.habits.ram {
            return Ok(None);
        }
        let at = self.find(linear, len, access)?;
        let place = NonNull::from(&mut self.pages.0[at..at + len]).cast();
        // SAFETY: the range lies in `pages`, which is borrowed for as long as the grant lives; nobody else has it.
        Ok(Some(unsafe { HostRam::new(place, len) }))
    }

    /// The pages that are there lie as the oracle's do.
    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if !self.habits.ram {
            return Ok(None);
        }
        let first = PAGE - linear as usize % PAGE;
        self.find(linear, first, access)?;
        self.find(linear + first as u64, len - first, access)?;
        self.ram(linear, len, access)
    }

    fn takes_blocks(&mut self, linear: u64, len: usize, access: &Access) -> bool {
        self.habits.blocks && matches!(self.hold(linear, len, access.writes()), Held::At(_))
    }
}

impl Platform for Memory {
    fn interrupt_pending(&mut self) -> bool {
        self.habits.interrupt
    }
}

/// What a step ends with that looks into the kernel's descriptor tables: what they hold is not known here.
pub const TABLES: u64 = 0x1000_0000_0000;

/// A `Cpu` as a Linux process at CPL 3 has it. Paging is the bus's, so CR0.PG stays clear.
pub fn user(oracle: &Oracle, mode: Mode) -> Cpu {
    const DPL3: u32 = 3 << rights::DPL_SHIFT;
    const DATA: u32 = rights::ACCESSED | rights::WRITABLE | rights::S | rights::P | DPL3;
    const CODE: u32 = DATA | rights::CODE;
    let flat = |attr| Segment { selector: 0x2b, attr: attr | rights::G, limit: u32::MAX, base: 0 };
    let segments = match oracle.segments(mode) {
        None => {
            let stack = flat(DATA | rights::DB);
            // Null selectors, as Linux leaves them; 64-bit mode does not look at them.
            let data = Segment { selector: 0, ..stack };
            [data, Segment { selector: 0x33, ..flat(CODE | rights::L) }, stack, data, data, data]
        }
        Some(s) => [s.es, s.cs, s.ss, s.ds, s.fs, s.gs].map(|s| Segment {
            selector: s.selector,
            attr: if s.code { CODE } else { DATA }
                | if s.big { rights::DB } else { 0 }
                | if s.limit > 0xf_ffff { rights::G } else { 0 },
            limit: s.limit,
            base: u64::from(s.base),
        }),
    };
    let mut cpu = Cpu::new();
    cpu.update(|system| {
        system.seg = segments;
        system.cr0 |= cr0::NE | cr0::WP | cr0::AM;
        system.gdtr = DescriptorTable { base: TABLES, limit: 0xfff };
        system.ldtr = Segment { base: TABLES, limit: 0xfff, attr: 0x82, ..system.ldtr };
        // The oracle does not run without it.
        system.cr4 |= cr4::FSGSBASE;
        system.xcr0 = Features.xcr0();
    });
    cpu.set_rflags(rflags::IF);
    cpu
}

/// Loads a state.
pub fn load(cpu: &mut Cpu, state: &State, mode: Mode, rip: u64) {
    cpu.gpr[..16].copy_from_slice(&state.gpr);
    cpu.rip = rip;
    cpu.set_rflags(state.rflags);
    for (zmm, value) in cpu.vector.zmm.iter_mut().zip(&state.zmm) {
        zmm.0 = *value;
    }
    cpu.vector.k = state.k;
    cpu.vector.mxcsr = state.mxcsr;
    let s = &state.x87;
    let mut x87 = X87 { fcw: s.fcw, fsw: s.fsw, ftw: s.ftw, fop: s.fop, fip: s.fip, fdp: s.fdp, ..X87::default() };
    for (i, st) in s.st.iter().enumerate() {
        let physical = x87.physical(i);
        x87.regs[physical] = *st;
    }
    cpu.x87 = x87;
    if mode == Mode::Long64 {
        cpu.update(|system| {
            system.seg[Seg::Fs as usize].base = state.fs_base;
            system.seg[Seg::Gs as usize].base = state.gs_base;
        });
    }
}

/// The state of a `Cpu`.
pub fn save(cpu: &Cpu, before: &State) -> State {
    let x87 = &cpu.x87;
    let mut state = State {
        zmm: cpu.vector.zmm.map(|zmm| zmm.0),
        k: cpu.vector.k,
        rip: cpu.rip,
        rflags: cpu.rflags(),
        mxcsr: cpu.vector.mxcsr,
        x87: oracle::X87 {
            fcw: x87.fcw,
            fsw: x87.fsw,
            ftw: x87.ftw,
            fop: x87.fop,
            fip: x87.fip,
            fdp: x87.fdp,
            st: core::array::from_fn(|i| x87.regs[x87.physical(i)]),
        },
        ..*before
    };
    state.gpr.copy_from_slice(&cpu.gpr[..16]);
    if cpu.mode() == encore86::Mode::Long64 {
        state.fs_base = cpu.seg(Seg::Fs).base;
        state.gs_base = cpu.seg(Seg::Gs).base;
    }
    state
}
