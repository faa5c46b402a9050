//! A result as a line of output has it.

use super::case::Id;
use super::memory::Run;
use super::processor::GPRS;
use super::setup::{Tiles, msr};
use crate::number::{Bytes, Number};
use encore86::cpu::X87;
use encore86::cpu::segment::{DescriptorTable, Seg, Segment};
use encore86::introspect::{Recorded, What};
use encore86::{Cpu, Event, Retired};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// One line of output.
#[derive(Debug, Serialize)]
pub struct Report {
    pub id: Id,
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub steps: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    pub accesses: Vec<AccessReport>,
    #[serde(flatten)]
    pub state: State,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mem: Vec<Run>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retire: Vec<&'static str>,
}

impl Report {
    /// A case that was not run.
    pub fn refused(id: Id, outcome: &'static str, reason: String) -> Report {
        Report {
            id,
            outcome,
            exception: None,
            reason: Some(reason),
            steps: 0,
            length: None,
            form: None,
            accesses: Vec::new(),
            state: State::default(),
            mem: Vec::new(),
            retire: Vec::new(),
        }
    }
}

/// What the guest must take.
#[derive(Debug, Serialize)]
pub struct Exception {
    vector: u8,
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cr2: Option<Number>,
}

impl From<&Event> for Exception {
    fn from(event: &Event) -> Exception {
        Exception { vector: event.vector, error_code: event.error_code, cr2: event.cr2.map(Number) }
    }
}

/// What is in force after the last instruction.
pub fn retire(retired: &Retired) -> Vec<&'static str> {
    let all = [
        (retired.mov_ss, "mov_ss"),
        (retired.sti, "sti"),
        (retired.singlestep, "singlestep"),
        (retired.nmi_unblocked, "nmi_unblocked"),
        (retired.hlt, "hlt"),
    ];
    all.into_iter().filter(|(in_force, _)| *in_force).map(|(_, name)| name).collect()
}

/// One architectural access.
#[derive(Debug, Serialize)]
pub struct AccessReport {
    kind: &'static str,
    at: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Bytes>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    locked: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    implicit: bool,
}

impl From<Recorded> for AccessReport {
    fn from(recorded: Recorded) -> AccessReport {
        let Recorded { at, what, locked, implicit, .. } = recorded;
        let one = |kind, bytes| (kind, Some(Bytes(bytes)), None, None);
        let (kind, hex, old, new) = match what {
            What::Read(bytes) => one("read", bytes),
            What::Write(bytes) => one("write", bytes),
            What::In(bytes) => one("in", bytes),
            What::Out(bytes) => one("out", bytes),
            What::Fetch(bytes) => one("fetch", bytes),
            What::Rmw { old, new } => ("rmw", None, Some(Bytes(old)), Some(Bytes(new))),
        };
        AccessReport { kind, at: Number(at), hex, old, new, locked, implicit }
    }
}

/// Values by name, in the order of the registers.
#[derive(Debug)]
pub struct Entries<T>(Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Entries<T> {
        Entries(Vec::new())
    }
}

impl<T> Entries<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Entries<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct SegmentReport {
    sel: Number,
    base: Number,
    limit: Number,
    attr: Number,
}

impl From<&Segment> for SegmentReport {
    fn from(s: &Segment) -> SegmentReport {
        let (sel, limit) = (Number(s.selector.into()), Number(s.limit.into()));
        SegmentReport { sel, base: Number(s.base), limit, attr: Number(s.attr.into()) }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct TableReport {
    base: Number,
    limit: Number,
}

impl From<&DescriptorTable> for TableReport {
    fn from(t: &DescriptorTable) -> TableReport {
        TableReport { base: Number(t.base), limit: Number(t.limit.into()) }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct X87Report {
    fcw: Number,
    fsw: Number,
    ftw: Number,
    fop: Number,
    fip: Number,
    fdp: Number,
    st: Vec<Bytes>,
}

impl From<&X87> for X87Report {
    fn from(x: &X87) -> X87Report {
        let st = (0..8).map(|i| Bytes(x.regs[x.physical(i)].to_vec())).collect();
        let number = |n: u16| Number(n.into());
        X87Report {
            fcw: number(x.fcw),
            fsw: number(x.fsw),
            ftw: number(x.ftw.into()),
            fop: number(x.fop),
            fip: Number(x.fip),
            fdp: Number(x.fdp),
            st,
        }
    }
}

/// Processor state: what differs, or all of it.
#[derive(Debug, Default, Serialize)]
pub struct State {
    #[serde(skip_serializing_if = "Entries::is_empty")]
    regs: Entries<Number>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    seg: Entries<SegmentReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gdtr: Option<TableReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idtr: Option<TableReport>,
    /// CR0 to DR7: fields of their own.
    #[serde(flatten)]
    control: Entries<Number>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    zmm: Entries<Bytes>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    k: Entries<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mxcsr: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x87: Option<X87Report>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    tmm: Entries<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tilecfg: Option<Bytes>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    msr: Entries<Number>,
}

/// The registers of a processor and the model-specific ones that it does not keep.
#[derive(Clone, Copy)]
pub struct Registers<'a> {
    pub cpu: &'a Cpu,
    pub msr: &'a BTreeMap<u32, u64>,
}

impl State {
    /// What is in `after` and not in `before`; all of it for `full`. Tiles are as they were.
    pub fn new(before: Registers<'_>, after: Registers<'_>, tiles: &Tiles, full: bool) -> State {
        let shown = Shown { full };
        let (old, new) = (before.cpu, after.cpu);
        let tiles_shown = if full { &tiles.tmm[..] } else { &[] };
        State {
            regs: shown.entries(general(old), general(new)),
            seg: shown.entries(segments(old), segments(new)),
            gdtr: shown.one(|c| TableReport::from(&c.system().gdtr), old, new),
            idtr: shown.one(|c| TableReport::from(&c.system().idtr), old, new),
            control: shown.entries(control(old), control(new)),
            zmm: shown.entries(zmm(old), zmm(new)),
            k: shown.entries(opmasks(old), opmasks(new)),
            mxcsr: shown.one(|c| Number(c.vector.mxcsr.into()), old, new),
            x87: shown.one(|c| X87Report::from(&c.x87), old, new),
            tmm: Entries(tiles_shown.iter().enumerate().map(|(i, t)| (i.to_string(), Bytes(t.clone()))).collect()),
            tilecfg: full.then(|| Bytes(tiles.config.clone())),
            msr: shown.entries(model_specific(before), model_specific(after)),
        }
    }
}

/// Which values are printed.
struct Shown {
    full: bool,
}

impl Shown {
    fn entries<T: PartialEq>(
        &self,
        old: impl Iterator<Item = (String, T)>,
        new: impl Iterator<Item = (String, T)>,
    ) -> Entries<T> {
        Entries(old.zip(new).filter(|(old, new)| self.full || old.1 != new.1).map(|(_, new)| new).collect())
    }

    fn one<T: PartialEq>(&self, value: impl Fn(&Cpu) -> T, old: &Cpu, new: &Cpu) -> Option<T> {
        Some(value(new)).filter(|v| self.full || *v != value(old))
    }
}

fn general(cpu: &Cpu) -> impl Iterator<Item = (String, Number)> {
    let gprs = GPRS.into_iter().zip(cpu.gpr);
    gprs.chain([("rip", cpu.rip), ("rflags", cpu.rflags())]).map(|(name, value)| (name.to_owned(), Number(value)))
}

fn segments(cpu: &Cpu) -> impl Iterator<Item = (String, SegmentReport)> {
    let system = cpu.system();
    let named = Seg::ALL.map(|s| (s.name(), *cpu.seg(s)));
    let all = named.into_iter().chain([("ldtr", system.ldtr), ("tr", system.tr)]);
    all.map(|(name, s)| (name.to_owned(), SegmentReport::from(&s)))
}

fn control(cpu: &Cpu) -> impl Iterator<Item = (String, Number)> {
    let s = cpu.system();
    let all = [
        ("cr0", s.cr0),
        ("cr2", s.cr2),
        ("cr3", s.cr3),
        ("cr4", s.cr4),
        ("cr8", s.cr8),
        ("efer", s.efer),
        ("xcr0", s.xcr0),
        ("xss", s.xss),
        ("pkru", s.pkru.into()),
        ("ssp", s.ssp),
        ("dr0", s.dr[0]),
        ("dr1", s.dr[1]),
        ("dr2", s.dr[2]),
        ("dr3", s.dr[3]),
        ("dr6", s.dr[6]),
        ("dr7", s.dr[7]),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), Number(value)))
}

fn zmm(cpu: &Cpu) -> impl Iterator<Item = (String, Bytes)> {
    cpu.vector.zmm.iter().enumerate().map(|(i, z)| (i.to_string(), Bytes(z.0.to_vec())))
}

fn opmasks(cpu: &Cpu) -> impl Iterator<Item = (String, Number)> {
    cpu.vector.k.into_iter().enumerate().map(|(i, k)| (i.to_string(), Number(k)))
}

fn model_specific(registers: Registers<'_>) -> impl Iterator<Item = (String, Number)> {
    let kept = [(msr::KERNEL_GS_BASE, registers.cpu.system().kernel_gs_base)];
    let all = registers.msr.iter().map(|(i, v)| (*i, *v)).chain(kept);
    all.map(|(index, value)| (format!("{index:#x}"), Number(value)))
}
