//! Everything that a case asks for, checked.

use super::case::{Case, EventFields, Id};
use super::machine::Machine;
use super::memory::{self, Memory, Region};
use super::processor::{self, fill, index};
use crate::fields::{Given, Object};
use crate::model::Wanted;
use crate::number::{Bytes, Number, choose};
use encore86::cpu::Blocking;
use encore86::cpu::registers::cr0;
use encore86::cpu::segment::Seg;
use encore86::introspect::Clock;
use encore86::paging::{Limits, Paging};
use encore86::{Bus, Cpu, Event, EventKind, Mode, Profile, SplitLock, Stop};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Steps of a case with `until` that names no number of them.
const UNTIL_STEPS: u64 = 1_000_000;

/// MSR numbers.
pub mod msr {
    #![allow(missing_docs)]
    pub const EFER: u32 = 0xc000_0080;
    pub const FS_BASE: u32 = 0xc000_0100;
    pub const GS_BASE: u32 = 0xc000_0101;
    pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
    pub const XSS: u32 = 0xda0;
    pub const PKRS: u32 = 0x6e1;
    /// SYSENTER_CS, _ESP and _EIP; STAR, LSTAR, CSTAR and FMASK.
    pub const PRESENT: [u32; 7] = [0x174, 0x175, 0x176, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084];
}

/// The AMX registers of a case, which no instruction of this version changes.
#[derive(Debug)]
pub struct Tiles {
    /// TMM0 to TMM7.
    pub tmm: [Vec<u8>; 8],
    /// TILECFG.
    pub config: Vec<u8>,
}

/// The page tables of a case, beside what is in memory.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    limits: Limits,
    pdptes: [u64; 4],
}

impl Tables {
    /// What walks them.
    ///
    /// # Errors
    /// As for [`Paging::load_with_pdptes`].
    pub fn paging<B: Bus>(&self, bus: B, cpu: &Cpu) -> Result<Paging<B>, Stop> {
        let mut paging = Paging::new(bus, self.limits);
        paging.load_with_pdptes(cpu, self.pdptes)?;
        Ok(paging)
    }
}

/// What is to be run.
#[derive(Debug)]
pub struct Setup {
    pub id: Id,
    pub cpu: Cpu,
    pub profile: Profile,
    pub memory: Memory,
    /// How page tables are walked, if they are.
    pub paging: Option<Tables>,
    pub ports: BTreeMap<u16, u32>,
    pub msr: BTreeMap<u32, u64>,
    pub tiles: Tiles,
    pub max_steps: u64,
    pub until: Option<u64>,
    pub max_retries: u64,
    pub split_lock: SplitLock,
    pub discard_writes: bool,
    pub overlay: Vec<(u64, Vec<u8>)>,
    pub insn: Option<Vec<u8>>,
    pub seed: u64,
    pub fetches: bool,
    pub full: bool,
    /// Are exceptions taken through the IDT?
    pub deliver: bool,
    /// What is delivered before the first instruction.
    pub event: Option<Event>,
}

impl Setup {
    /// Checks every field of a case.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn new(case: &Case) -> Result<Setup, String> {
        let (mode, cpl) = processor::mode_of(case)?;
        let choice = case.profile.0.as_ref().map_or_else(|| Wanted::Name("host".to_owned()).find(), Wanted::find);
        let profile = choice.map_err(|why| format!("profile: {why}"))?;
        let mut cpu = processor::build(case, mode, cpl, &profile)?;
        let no_code = || "code: it has no default; write the instruction's bytes".to_owned();
        let Bytes(code) = case.code.0.as_ref().ok_or_else(no_code)?;
        let (msr, kernel_gs_base, pkrs) = registers(case)?;
        cpu.update(|s| (s.kernel_gs_base, s.pkrs) = (kernel_gs_base, pkrs));
        let walks = case.cr0.0.is_some_and(|cr0| cr0.0 & cr0::PG != 0);
        let (memory, paging) = memory(case, &cpu, code, walks.then(|| Limits::new(&profile)))?;
        let event = case.event.0.as_ref().map(|Object(fields)| event(fields)).transpose()?;
        cpu.set_blocking(blocking(case)?);
        let overlay = case.introspect.overlay.iter().enumerate().map(|(i, Object(o))| {
            let field = |name| format!("introspect.overlay[{i}].{name}");
            Ok((need(o.at, &field("at"))?.0, need(o.hex.clone(), &field("hex"))?.0))
        });
        Ok(Setup {
            id: case.id.clone(),
            profile,
            memory,
            paging,
            ports: ports(case)?,
            msr,
            tiles: tiles(case)?,
            max_steps: case.max_steps.0.map_or(if case.until.0.is_some() { UNTIL_STEPS } else { 1 }, |n| n.0),
            until: case.until.0.map(|n| n.0),
            max_retries: case.max_retries.0.map_or(0, |n| n.0),
            split_lock: split_lock(case)?,
            discard_writes: case.introspect.discard_writes,
            overlay: overlay.collect::<Result<_, String>>()?,
            insn: case.introspect.insn.0.as_ref().map(|b| b.0.clone()),
            seed: case.seed.0.map_or(0, |n| n.0),
            fetches: case.fetches,
            full: case.full,
            deliver: case.deliver,
            event,
            cpu,
        })
    }
}

fn need<T>(given: Given<T>, field: &str) -> Result<T, String> {
    given.0.ok_or_else(|| format!("{field}: it has no default; write it"))
}

/// What blocks events at the start.
fn blocking(case: &Case) -> Result<Blocking, String> {
    let mut blocking = Blocking::default();
    for name in &case.blocking {
        type Field = fn(&mut Blocking) -> &mut bool;
        let fields: [(&str, Field); 3] =
            [("mov_ss", |b| &mut b.mov_ss), ("sti", |b| &mut b.sti), ("nmi", |b| &mut b.nmi)];
        *choose("blocking state", name, &fields)?(&mut blocking) = true;
    }
    Ok(blocking)
}

/// The event that is delivered first.
fn event(event: &EventFields) -> Result<Event, String> {
    let types = [
        ("interrupt", EventKind::Interrupt),
        ("nmi", EventKind::Nmi),
        ("exception", EventKind::Fault),
        ("software", EventKind::Software),
    ];
    let kind = need(event.kind.clone(), "event.type")?;
    let kind = choose("event type", &kind, &types).map_err(|why| format!("event.type: {why}"))?;
    let vector = match (event.vector.0, kind) {
        (Some(vector), _) => vector.within(8, "event.vector")?,
        (None, EventKind::Nmi) => 2,
        (None, _) => return Err("event.vector: it has no default; write it".to_owned()),
    };
    if kind == EventKind::Nmi && vector != 2 {
        return Err(format!("event.vector: {vector}; an NMI has vector 2"));
    }
    if kind == EventKind::Fault && vector > 31 {
        return Err(format!("event.vector: {vector}; exceptions have vectors 0 to 31"));
    }
    let error_code = event.error_code.map(|code| code.within(32, "event.error_code")).transpose()?;
    if error_code.is_some() && kind != EventKind::Fault {
        return Err("event.error_code: only exceptions have one; leave it out".to_owned());
    }
    // Exceptions after which the program goes on: their RIP is no fault's.
    let kind = if kind == EventKind::Fault && matches!(vector, 1 | 3 | 4) { EventKind::Trap } else { kind };
    let error_code = error_code.map(|code| code as u32);
    Ok(Event { error_code, kind, ..Event::software(vector as u8, "the case's event") })
}

fn split_lock(case: &Case) -> Result<SplitLock, String> {
    let choices = [("emulate", SplitLock::Emulate), ("fault", SplitLock::Fault), ("native", SplitLock::Native)];
    case.split_lock.0.as_deref().map_or(Ok(SplitLock::Emulate), |name| choose("split_lock", name, &choices))
}

fn memory(case: &Case, cpu: &Cpu, code: &[u8], walks: Option<Limits>) -> Result<(Memory, Option<Tables>), String> {
    let mut regions = Vec::new();
    for (i, Object(ram)) in case.mem.iter().enumerate() {
        regions.push(region(ram.at, &ram.hex, ram.zero, None, &format!("mem[{i}]"))?);
    }
    for (i, Object(device)) in case.mmio.iter().enumerate() {
        let retry = Some(device.retry.0.map_or(0, |n| n.0));
        regions.push(region(device.at, &device.hex, device.zero, retry, &format!("mmio[{i}]"))?);
    }
    let (base, wrap) = match cpu.mode() {
        Mode::Long64 => (0, u64::MAX),
        _ => (cpu.seg(Seg::Cs).base, 0xffff_ffff),
    };
    let pieces = memory::pieces(base.wrapping_add(cpu.rip), code, wrap);
    let Some(limits) = walks else { return Ok((Memory::new(regions, &pieces)?, None)) };
    let (placed, tables) = translated(&regions, cpu, &pieces, limits)?;
    Ok((Memory::new(regions, &placed)?, Some(tables)))
}

/// Pieces of code, by their address.
type Pieces<'a> = Vec<(u64, &'a [u8])>;

/// Where pieces of code lie in physical memory, whoever may fetch them there. What no page is present for is nowhere.
fn translated<'a>(
    regions: &[Region],
    cpu: &Cpu,
    pieces: &Pieces<'a>,
    limits: Limits,
) -> Result<(Pieces<'a>, Tables), String> {
    // A look at tables in device memory is not one of the accesses that it answers "later".
    let answering = |r: &Region| Region { retry: r.retry.map(|_| 0), ..r.clone() };
    let fetch_bit = Cell::new(false);
    let memory = Memory::new(regions.iter().map(answering).collect(), &[])?;
    let tables = Tables { limits, pdptes: pdptes(&memory, cpu.system().cr3) };
    let mut machine = Machine {
        memory,
        paging: true,
        walks: Vec::new(),
        clock: Clock::default(),
        ports: BTreeMap::new(),
        msr: BTreeMap::new(),
        fetch_bit: &fetch_bit,
        seed: 0,
        time: 0,
    };
    let mut paging = tables.paging(&mut machine, cpu).map_err(|stop| match stop {
        Stop::Fault(event) => format!("cr3: MOV to CR3 would have refused it: {}; correct it in `mem`", event.cause),
        other => format!("cr3: its tables cannot be loaded: {other:?}"),
    })?;
    let mut placed = Vec::new();
    for &(at, bytes) in pieces {
        let mut done = 0;
        while done < bytes.len() {
            let linear = at + done as u64;
            let n = (bytes.len() - done).min(4096 - linear as usize % 4096);
            if let Ok(page) = paging.look_up(linear) {
                placed.push((page.physical | linear & 0xfff, &bytes[done..done + n]));
            }
            done += n;
        }
    }
    Ok((placed, tables))
}

/// The PDPTEs, which PAE paging has loaded together with CR3 before the case begins. Those that a case leaves out are not
/// present.
fn pdptes(memory: &Memory, cr3: u64) -> [u64; 4] {
    std::array::from_fn(|i| {
        let at = (cr3 & 0xffff_ffe0) + 8 * i as u64;
        let mut bytes = [0; 8];
        if memory.covered(at, 8) == 8 {
            memory.load(at, &mut bytes);
        }
        u64::from_le_bytes(bytes)
    })
}

fn region(
    at: Given<Number>,
    hex: &Given<Bytes>,
    zero: Given<Number>,
    retry: Option<u64>,
    field: &str,
) -> Result<Region, String> {
    let at = need(at, &format!("{field}.at"))?.0;
    match (&hex.0, zero.0) {
        (Some(Bytes(bytes)), None) => Ok(Region { at, len: bytes.len() as u64, bytes: bytes.clone(), retry }),
        (None, Some(Number(len))) => Ok(Region { at, len, bytes: Vec::new(), retry }),
        _ => Err(format!("{field}: write either hex or zero")),
    }
}

/// A number that is the name of a field.
fn key(name: &str, bits: u32, field: &str) -> Result<u64, String> {
    let number = match name.parse() {
        Ok(decimal) if name.bytes().all(|b| b.is_ascii_digit()) => Ok(Number(decimal)),
        _ => Number::parse(name),
    };
    number.map_err(|why| format!("{field}: {why}"))?.within(bits, field)
}

fn ports(case: &Case) -> Result<BTreeMap<u16, u32>, String> {
    let mut ports = BTreeMap::new();
    for (name, value) in &case.io.0 {
        let port = key(name, 16, "io")? as u16;
        if ports.insert(port, value.within(32, &format!("io.{name}"))? as u32).is_some() {
            return Err(format!("io: the port {port:#x} is given twice; give it once"));
        }
    }
    Ok(ports)
}

/// The model-specific registers but for the kernel's GS base; that; and IA32_PKRS.
fn registers(case: &Case) -> Result<(BTreeMap<u32, u64>, u64, u32), String> {
    let elsewhere =
        [(msr::EFER, "efer"), (msr::XSS, "xss"), (msr::FS_BASE, "seg.fs.base"), (msr::GS_BASE, "seg.gs.base")];
    let mut given = BTreeMap::new();
    for (name, &Number(value)) in &case.msr.0 {
        let index = key(name, 32, "msr")? as u32;
        if let Some((_, field)) = elsewhere.iter().find(|(i, _)| *i == index) {
            return Err(format!("msr: {index:#x} is the field `{field}`; write it there"));
        }
        if given.insert(index, value).is_some() {
            return Err(format!("msr: {index:#x} is given twice; give it once"));
        }
    }
    let kernel_gs_base = given.remove(&msr::KERNEL_GS_BASE).unwrap_or(0);
    for index in msr::PRESENT {
        given.entry(index).or_insert(0);
    }
    let pkrs = Number(given.get(&msr::PKRS).copied().unwrap_or(0)).within(32, "msr.0x6e1")? as u32;
    Ok((given, kernel_gs_base, pkrs))
}

fn tiles(case: &Case) -> Result<Tiles, String> {
    let mut tiles = Tiles { tmm: std::array::from_fn(|_| vec![0; 1024]), config: vec![0; 64] };
    for (name, Bytes(bytes)) in &case.tmm.0 {
        let i = index(name, "tmm", 8)?;
        fill(&mut tiles.tmm[i], bytes, &format!("tmm.{name}"))?;
    }
    if let Some(Bytes(bytes)) = &case.tilecfg.0 {
        if bytes.len() != 64 {
            return Err(format!("tilecfg: {} bytes; it has 64", bytes.len()));
        }
        fill(&mut tiles.config, bytes, "tilecfg")?;
    }
    Ok(tiles)
}
