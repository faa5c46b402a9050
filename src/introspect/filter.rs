//! A say in each instruction before it runs.

use super::record::{Record, Recorded, What};
use crate::bus::{Access, Bus, CacheOp, Invalidation, Modify, Platform, Vmm, forward_platform};
use crate::cpu::registers::rflags::DF;
use crate::cpu::{Cpu, System};
use crate::decode::{Insn, SlotKind};
use crate::event::{Event, EventKind, Outcome, Stop};
use crate::host::{CodePage, HostRam};
use crate::profile::CpuidResult;
use core::ops::Range;

/// What becomes of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs.
    Allow,
    /// RIP moves behind it, and nothing else happens: no access, no flag, no shadow, no single-step trap.
    Skip,
    /// The step ends in [`Outcome::Refused`] and changes nothing.
    Refuse,
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Loads.
    Read,
    /// Stores.
    Write,
    /// Loads and stores.
    Rmw,
    /// Reads a port.
    In,
    /// Writes a port.
    Out,
}

/// An architectural access that an instruction is about to make, as [`Record`] will list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coming {
    /// Linear address of the first byte, or the port.
    pub at: u64,
    /// Bytes.
    pub len: usize,
    /// What it does.
    pub way: Way,
    /// Part of a locked operation.
    pub locked: bool,
    /// Made by the processor itself (descriptors, TSS).
    pub implicit: bool,
}

impl Coming {
    /// Is it an access to memory, not to a port?
    pub const fn is_memory(&self) -> bool {
        matches!(self.way, Way::Read | Way::Write | Way::Rmw)
    }

    /// Does it store to memory?
    pub const fn writes(&self) -> bool {
        matches!(self.way, Way::Write | Way::Rmw)
    }
}

impl From<&Recorded> for Coming {
    fn from(recorded: &Recorded) -> Coming {
        let (way, len) = match &recorded.what {
            What::Read(bytes) | What::Fetch(bytes) => (Way::Read, bytes.len()),
            What::Write(bytes) => (Way::Write, bytes.len()),
            What::Rmw { old, .. } => (Way::Rmw, old.len()),
            What::In(bytes) => (Way::In, bytes.len()),
            What::Out(bytes) => (Way::Out, bytes.len()),
        };
        Coming { at: recorded.at, len, way, locked: recorded.locked, implicit: recorded.implicit }
    }
}

/// A decoded instruction and what it is about to do.
///
/// The accesses are those of the architecture, in its order: one an active element of masked and gathering forms, the whole
/// operand across a page, of a repeated string instruction those of its first repetition. They are listed as if memory
/// permitted all of them. What is in memory is looked up by [`Bus::peek`], so that no device sees anything; where that knows
/// nothing, zeros are assumed.
#[derive(Clone, Debug)]
pub struct Preview<'a> {
    /// The instruction.
    pub insn: &'a Insn,
    /// Its accesses.
    pub accesses: &'a [Coming],
    /// How often a repeated string instruction repeats at most: rCX. `None` for all others.
    pub repetitions: Option<u64>,
    /// Bytes by which a repetition's accesses to memory lie behind (or, negative, before) those of the one before it.
    pub stride: i64,
    /// The exception that the instruction raises by itself after these accesses: an address that is not canonical, a
    /// division by zero, its privilege. Page faults are not foreseen.
    pub fault: Option<Event>,
    /// Zeros were assumed for something that the instruction reads. Accesses whose addresses depend on it (the components
    /// that XRSTOR finds, descriptors, pointers in memory) may be others in the end, and so may the fault.
    pub assumed: bool,
}

impl Preview<'_> {
    /// Is a byte of these linear addresses read or written, by any of all repetitions?
    pub fn touches(&self, range: &Range<u64>) -> bool {
        self.accesses.iter().any(|access| self.reaches(access, range))
    }

    /// The same for writes alone.
    pub fn writes(&self, range: &Range<u64>) -> bool {
        self.accesses.iter().any(|access| access.writes() && self.reaches(access, range))
    }

    fn reaches(&self, access: &Coming, range: &Range<u64>) -> bool {
        if !access.is_memory() || access.len == 0 || range.is_empty() {
            return false;
        }
        // In 128 bits nothing wraps, and what wraps in the guest is taken for more than it is.
        let way = i128::from(self.stride) * i128::from(self.repetitions.unwrap_or(1).max(1) - 1);
        let (first, len) = (i128::from(access.at), access.len as i128);
        let (low, high) = (first.min(first + way), first.max(first + way) + len);
        let meets = |by: i128| low + by < i128::from(range.end) && i128::from(range.start) < high + by;
        meets(0) || meets(1 << 64) || meets(-(1 << 64))
    }
}

/// Sees every instruction that [`Engine::step_filtered`](crate::Engine::step_filtered) is about to run, and decides about it.
///
/// A closure `FnMut(&Cpu, &Preview) -> Verdict` is a filter that does not look at implicit accesses:
///
/// ```
/// use encore86::Cpu;
/// use encore86::introspect::{Filter, Preview, Verdict};
///
/// // Nothing is to write to this page: what would is skipped.
/// let page = 0x7000..0x8000;
/// let mut filter = |_: &Cpu, preview: &Preview<'_>| {
///     if preview.writes(&page) { Verdict::Skip } else { Verdict::Allow }
/// };
/// # let _: &mut dyn Filter = &mut filter;
/// // engine.step_filtered(&mut cpu, &mut vmm, &mut filter)
/// ```
pub trait Filter {
    /// Are implicit accesses (descriptors, TSS) among those that are shown? Not unless a filter wants it: they are the
    /// processor's own.
    fn implicit(&self) -> bool {
        false
    }

    /// Decides. Asked once an instruction: not again when it comes back after [`Outcome::Retry`]; a repeated string
    /// instruction that yields is asked about with what is left of it.
    fn decide(&mut self, cpu: &Cpu, preview: &Preview<'_>) -> Verdict;
}

impl<F: FnMut(&Cpu, &Preview<'_>) -> Verdict> Filter for F {
    fn decide(&mut self, cpu: &Cpu, preview: &Preview<'_>) -> Verdict {
        self(cpu, preview)
    }
}

/// What a trial on a copy of the registers has shown.
pub(crate) struct Findings {
    accesses: Vec<Coming>,
    fault: Option<Event>,
    assumed: bool,
}

impl Findings {
    /// Lists what `trial` does on a bus that changes nothing. It is to make one repetition at most.
    pub(crate) fn of(vmm: &mut dyn Vmm, implicit: bool, trial: impl FnOnce(&mut dyn Vmm) -> Outcome) -> Findings {
        let mut record = Record::new(Survey { inner: vmm, assumed: false });
        let outcome = trial(&mut record);
        record.settle(&outcome, None);
        let assumed = record.inner().assumed;
        let listed = record.take();
        let shown = listed.iter().filter(|access| implicit || !access.implicit);
        let fault = match outcome {
            Outcome::Exception(event) if matches!(event.kind, EventKind::Fault | EventKind::Breakpoint) => Some(event),
            _ => None,
        };
        Findings { accesses: shown.map(Coming::from).collect(), fault, assumed }
    }

    /// Shows them together with the instruction.
    pub(crate) fn preview<'a>(&'a self, insn: &'a Insn, cpu: &Cpu) -> Preview<'a> {
        let string = insn.slots().iter().copied().find(|s| matches!(s.kind, SlotKind::StringSrc | SlotKind::StringDst));
        let size = string.map_or(0, |slot| i64::from(slot.size));
        let repeated = insn.repeat().is_some();
        Preview {
            insn,
            accesses: &self.accesses,
            repetitions: repeated.then(|| cpu.gpr[1] & (u64::MAX >> (64 - 8 * u32::from(insn.address_size())))),
            stride: match (repeated, cpu.rflags() & DF != 0) {
                (false, _) => 0,
                (true, true) => -size,
                (true, false) => size,
            },
            fault: self.fault,
            assumed: self.assumed,
        }
    }
}

/// Answers as memory would, and changes nothing.
struct Survey<'a> {
    inner: &'a mut dyn Vmm,
    assumed: bool,
}

#[deny(clippy::missing_trait_methods)]
impl Bus for Survey<'_> {
    fn fetch(&mut self, _linear: u64, _buf: &mut [u8; 15], _access: &Access) -> Result<usize, Stop> {
        Err(Stop::NotProvided("fetches of an instruction that is decoded"))
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], _access: &Access) -> Result<(), Stop> {
        if !self.inner.peek(linear, buf) {
            buf.fill(0);
            self.assumed = true;
        }
        Ok(())
    }

    fn write(&mut self, _linear: u64, _buf: &[u8], _access: &Access) -> Result<(), Stop> {
        Ok(())
    }

    fn probe(&mut self, _linear: u64, _len: usize, _access: &Access) -> Result<(), Stop> {
        Ok(())
    }

    fn rmw(&mut self, _: u64, _: &mut [u8], _: &mut Modify<'_>, _: &Access) -> Result<bool, Stop> {
        Ok(false)
    }

    fn ram(&mut self, _linear: u64, _len: usize, _access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        Ok(None)
    }

    fn ram_across(&mut self, _linear: u64, _len: usize, _access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        Ok(None)
    }

    fn code(&mut self, _linear: u64, _access: &Access) -> Result<Option<CodePage>, Stop> {
        Ok(None)
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    fn follow(&mut self, _cpu: &Cpu) -> Result<(), Stop> {
        Ok(())
    }

    /// Taken, or not: the accesses are the same.
    fn enqueue(&mut self, _linear: u64, _command: &[u8; 64], _access: &Access) -> Result<bool, Stop> {
        self.assumed = true;
        Ok(true)
    }

    fn takes_blocks(&mut self, _linear: u64, _len: usize, _access: &Access) -> bool {
        false
    }

    fn peek(&mut self, linear: u64, buf: &mut [u8]) -> bool {
        self.inner.peek(linear, buf)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Platform for Survey<'_> {
    forward_platform!(this => this.inner; host_fpu_begin, host_fpu_end);

    fn port_in(&mut self, _port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        buf.fill(0);
        self.assumed = true;
        Ok(())
    }

    fn port_out(&mut self, _port: u16, _data: &[u8]) -> Result<(), Stop> {
        Ok(())
    }

    fn ferr(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// The trial goes on with the translations that there are.
    fn paging(&mut self, _next: &System, _keeps: bool) -> Result<(), Stop> {
        self.assumed = true;
        Ok(())
    }

    fn cpuid(&mut self, _leaf: u32, _subleaf: u32, answer: CpuidResult) -> Result<CpuidResult, Stop> {
        self.assumed = true;
        Ok(answer)
    }

    /// Nothing is known of a register; IA32_PASID is taken to be valid, so that ENQCMD shows its accesses, and
    /// IA32_SYSENTER_CS not to be null.
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        const PASID: u32 = 0xd93;
        const SYSENTER_CS: u32 = 0x174;
        self.assumed = true;
        Ok(match index {
            PASID => 1 << 31,
            SYSENTER_CS => 8,
            _ => 0,
        })
    }

    fn write_msr(&mut self, _index: u32, _value: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn time(&mut self) -> Result<u64, Stop> {
        self.assumed = true;
        Ok(0)
    }

    fn random(&mut self) -> Result<Option<u64>, Stop> {
        self.assumed = true;
        Ok(Some(0))
    }

    fn read_counter(&mut self, _index: u32) -> Result<u64, Stop> {
        self.assumed = true;
        Ok(0)
    }

    fn invalidate(&mut self, _what: Invalidation) -> Result<(), Stop> {
        Ok(())
    }

    fn cache(&mut self, _op: CacheOp, _linear: u64) -> Result<(), Stop> {
        Ok(())
    }

    /// Nothing is written.
    fn stop_others(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    fn resume_others(&mut self) {}

    fn progress(&mut self, _completed: u64) {}

    /// So that a repeated instruction stops behind its first repetition.
    fn interrupt_pending(&mut self) -> bool {
        true
    }

    /// The engine has fetched what the instruction needs before the trial.
    fn load_state(&mut self, _cpu: &mut Cpu, _components: u64) -> Result<(), Stop> {
        Ok(())
    }
}
