//! One instruction along the straight line: fetch, decode, gate, address, read, execute, write, commit.

mod cache;
mod debug;
mod extended;
#[cfg(feature = "std")]
mod filter;
mod gate;
mod lane;
pub mod paravirtual;
mod run;
mod value;

use crate::access::{Halt, Journal, Mem, Owner};
use crate::atomic::Locks;
pub use crate::atomic::SplitLock;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::gpr::RSP;
use crate::cpu::registers::{component, rflags};
use crate::cpu::segment::Seg;
use crate::cpu::{Blocking, Cpu, obstacle};
use crate::decode::{DecodeError, Insn, SlotKind};
use crate::event::{Event, EventKind, Outcome, Retired, Stop, Unsupported};
use crate::integer::{self, Progress};
use crate::isa::Exec;
use crate::isa::row::{FarOp, Gate};
use crate::profile::Profile;
#[cfg(feature = "std")]
use crate::replay::FloatTraps;
use crate::replay::{Replayer, StubRef, need_components, need_state};
use crate::system::event::Delivered;
use crate::{address, system};
use cache::{Cache, Entry};
use debug::Watch;
#[cfg(feature = "std")]
pub use encore86_stubs::{CodeMemory, MapError};
use lane::Lane;
pub use run::Run;

/// The longest instruction.
const LIMIT: usize = 15;
/// Memory for stubs that an engine maps for itself, in bytes.
#[cfg(feature = "std")]
const STUB_MEMORY: usize = 48 * 1024;

/// Why [`Engine::run`] looks up from its loop.
mod noted {
    use super::*;
    use crate::isa::row::SeqOp;

    /// Something is in `Retired`.
    pub(super) const RETIRED: u8 = 1;
    /// The instruction may have changed more than the registers of a program.
    pub(super) const SYSTEM: u8 = 2;

    /// May it ask the platform for something, or change what decides translation and interrupts?
    #[inline]
    pub(super) fn is_system(insn: &Insn) -> bool {
        matches!(insn.row.exec, Exec::Privileged(_) | Exec::System(_) | Exec::Far(_) | Exec::Seq(SeqOp::Popf))
            || insn.row.gate == Gate::Port
    }

    pub(super) fn of(insn: &Insn, retired: &Retired) -> u8 {
        let system = if is_system(insn) { SYSTEM } else { 0 };
        system | if *retired == Retired::default() { 0 } else { RETIRED }
    }
}

/// Runs instructions of one virtual processor. `Send`, not `Sync`: one engine a virtual processor.
#[derive(Debug)]
pub struct Engine {
    cache: Cache,
    works: Works,
    /// The bytes at CS:RIP, as the last step has fetched them.
    fetched: [u8; 16],
}

/// What an engine has besides its decode cache.
#[derive(Debug)]
struct Works {
    profile: Profile,
    locks: Locks,
    journal: Journal,
    replayer: Replayer,
    block: lane::Block,
    /// What a step has left for `Engine::run` to see: bits of [`noted`].
    noted: u8,
    /// Instructions that `Engine::run` has completed so far.
    completed: u64,
    /// B0 to B3 of the breakpoints that an instruction has met which waits for its retry.
    hits: u8,
    /// RIP of a repeated string instruction that has more to do.
    repeating: Option<u64>,
}

impl Engine {
    /// An engine whose guest sees `profile`, with 48 KiB of memory for stubs. Makes no system call afterwards, but
    /// for the one of [`SplitLock::Emulate`].
    ///
    /// # Errors
    /// [`MapError`] when the host denies executable memory; [`Engine::integer_only`] works without.
    #[cfg(feature = "std")]
    pub fn new(profile: Profile) -> Result<Engine, MapError> {
        let replayer = Replayer::new(STUB_MEMORY)?;
        Ok(Engine::assemble(profile, replayer))
    }

    /// An engine with executable memory of the caller's.
    ///
    /// # Errors
    /// [`MapError`] when the memory has an unfit length.
    #[cfg(feature = "std")]
    pub fn with_code_memory(profile: Profile, memory: Box<dyn CodeMemory>) -> Result<Engine, MapError> {
        let replayer = Replayer::with_memory(memory)?;
        Ok(Engine::assemble(profile, replayer))
    }

    /// An engine without stubs: what would be replayed is `Unsupported`, integer work runs.
    pub fn integer_only(profile: Profile) -> Engine {
        Engine::assemble(profile, Replayer::denied())
    }

    fn assemble(profile: Profile, replayer: Replayer) -> Engine {
        let (journal, block) = (Journal::new(), lane::Block::new());
        let locks = Locks::new();
        let works =
            Works { profile, locks, journal, replayer, block, noted: 0, completed: 0, hits: 0, repeating: None };
        Engine { cache: Cache::new(), works, fetched: [0; 16] }
    }

    /// What the guest's CPUID promises.
    pub fn profile(&self) -> &Profile {
        &self.works.profile
    }

    /// Chooses what happens to locked operations that cross a cache line.
    pub fn set_split_lock(&mut self, choice: SplitLock) {
        self.works.locks.split = choice;
    }

    /// Gives the decode cache room for as many instructions as the next power of two: 256 are enough for the loops that reach a
    /// device, a whole guest wants some thousands. Each takes about 200 bytes. What was decoded is forgotten.
    #[cfg(feature = "std")]
    pub fn set_decode_cache(&mut self, entries: usize) {
        self.cache = Cache::with_entries(entries);
    }

    /// Lets the host raise unmasked floating-point exceptions, see [`FloatTraps`].
    #[cfg(feature = "std")]
    pub fn set_float_traps(&mut self, traps: FloatTraps) {
        self.works.replayer.traps = traps;
    }

    /// The instruction decoded last by a step.
    pub fn last(&self) -> Option<&Insn> {
        self.cache.last().map(|e| &e.insn)
    }

    /// Does an instruction wait for its retry, so that only it can be stepped?
    pub fn has_open_journal(&self) -> bool {
        self.works.journal.is_open()
    }

    /// Drops the journal of an instruction that waits for its retry: it will not be stepped again.
    pub fn abandon(&mut self) {
        self.works.journal.clear();
        self.cache.forget_last();
    }

    /// Runs the instruction at CS:RIP.
    ///
    /// What is not the straight way ends in a call that does the rest, so that the straight way saves no registers.
    pub fn step<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
        let Some(entry) = self.cache.settled(cpu) else { return self.step_anew(cpu, vmm) };
        let access = Access::new(AccessKind::Fetch, 1, cpu.cpl());
        let fetched = match self.fetched.first_chunk_mut::<LIMIT>() {
            Some(buf) => vmm.fetch(cpu.rip, buf, &access),
            None => Ok(0),
        };
        let Ok(LIMIT..) = fetched else { return self.step_short(cpu, vmm, fetched) };
        if !entry.matches(&self.fetched) {
            return self.step_other(cpu, vmm);
        }
        self.works.line(cpu, vmm, entry)
    }

    /// [`Engine::step`] where the decode cache does not say that all is as it was.
    #[inline(never)]
    fn step_anew<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
        let mut bytes = [0; 16];
        let count = match fetch_at(cpu, vmm, cpu.rip, &mut bytes) {
            Ok(count) => count,
            Err(halt) => return self.not_decoded(halt, cpu),
        };
        self.step_fetched(cpu, vmm, bytes, count)
    }

    /// [`Engine::step`] where fewer than 15 bytes, or none, could be fetched.
    #[cold]
    #[inline(never)]
    fn step_short<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, fetched: Result<usize, Stop>) -> Outcome {
        match fetched.map_err(Halt::from).and_then(|count| blank(&mut self.fetched, count, LIMIT)) {
            Ok(count) => self.step_fetched(cpu, vmm, self.fetched, count),
            Err(halt) => self.not_decoded(halt, cpu),
        }
    }

    /// [`Engine::step`] where other bytes were fetched than the decode cache has.
    #[cold]
    #[inline(never)]
    fn step_other<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
        let entry = self.cache.at(cpu.rip);
        match entry.decode(&self.fetched, LIMIT, cpu.mode(), &self.works.profile) {
            Ok(()) => self.works.anew(cpu, vmm, entry, true),
            Err(error) => self.not_decoded(undecoded(cpu, vmm, &self.works.profile, error), cpu),
        }
    }

    fn step_fetched<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, bytes: [u8; 16], count: usize) -> Outcome {
        let entry = self.cache.at(cpu.rip);
        if !entry.matches_some(&bytes, count, cpu.mode()) {
            return self.step_first(cpu, vmm, bytes, count);
        }
        self.works.anew(cpu, vmm, entry, count == LIMIT)
    }

    /// [`Engine::step`] for an instruction that the decode cache does not hold.
    #[cold]
    #[inline(never)]
    fn step_first<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, mut bytes: [u8; 16], count: usize) -> Outcome {
        let entry = self.cache.at(cpu.rip);
        match decode_more(cpu, vmm, &self.works.profile, &mut bytes, count, entry) {
            Ok(count) => self.works.anew(cpu, vmm, entry, count == LIMIT),
            Err(halt) => self.not_decoded(halt, cpu),
        }
    }

    /// Runs the instruction in `bytes` as if it stood at CS:RIP; no instruction memory is fetched.
    pub fn step_bytes<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, bytes: &[u8]) -> Outcome {
        match self.cache.of_bytes(cpu, bytes, &self.works.profile) {
            Ok(entry) => self.works.general(cpu, vmm, entry),
            Err(error) => self.not_decoded(undecoded(cpu, vmm, &self.works.profile, error), cpu),
        }
    }

    /// Delivers an exception or interrupt through the interrupt vector table or the IDT, or by FRED: what [`Engine::step`] has
    /// reported, [`Event::interrupt`], [`Event::nmi`]. An exception that is met on the way takes its place, or makes a double fault. It is
    /// not asked whether the event is blocked. RIP is the handler's on `Completed`.
    ///
    /// On `Retry`, `Stopped` and `Unsupported` (an open journal: see [`Engine::abandon`]) nothing is changed; `Shutdown` is a triple
    /// fault.
    pub fn deliver<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, event: Event) -> Outcome {
        let repeating = self.works.repeating.take() == Some(cpu.rip);
        let journal = &mut self.works.journal;
        if journal.is_open() {
            return Outcome::Unsupported(Unsupported::JournalMismatch);
        }
        let saved = cpu.system().cr2;
        if let (Some(cr2), EventKind::Fault) = (event.cr2, event.kind) {
            cpu.update(|s| s.cr2 = cr2);
        }
        let mut watch = Watch::new(vmm, cpu, 0);
        let vmm: &mut dyn Vmm = &mut watch;
        let profile = &self.works.profile;
        match system::event::deliver(cpu, &mut Mem::new(vmm, journal, cpu), event, repeating, profile) {
            Ok(Delivered::Handler) => {
                // What the shadow of MOV SS has held back comes at the handler's first instruction, and what the frame has met.
                completed(journal, debug::due(cpu, Retired::default(), watch.hits, false))
            }
            Ok(Delivered::Shutdown) => {
                journal.clear();
                Outcome::Shutdown
            }
            Err(halt) => {
                cpu.update(|s| s.cr2 = saved);
                ended_between(journal, halt, cpu)
            }
        }
    }

    /// Delivers a pending user interrupt, if there is one that can be delivered at this boundary between two instructions (CR4.UINTR,
    /// UIF, CPL 3 of 64-bit mode, no shadow of MOV SS; a bit of IA32_UINTR_RR): RIP is the handler's on `Completed`. `None` if there
    /// is none. It comes after ordinary interrupts.
    ///
    /// On `Exception`, which the guest must take in its place, on `Retry`, `Stopped` and `Unsupported` nothing is changed.
    pub fn deliver_user_interrupt<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Option<Outcome> {
        if !system::user::accepts(cpu) {
            return None;
        }
        let Works { journal, repeating, profile, .. } = &mut self.works;
        if journal.is_open() {
            return Some(Outcome::Unsupported(Unsupported::JournalMismatch));
        }
        let between = *repeating == Some(cpu.rip);
        let mut watch = Watch::new(vmm, cpu, 0);
        let vmm: &mut dyn Vmm = &mut watch;
        match system::user::deliver(cpu, &mut Mem::new(vmm, journal, cpu), profile, between) {
            Ok(false) => None,
            Ok(true) => {
                *repeating = None;
                cpu.set_blocking(Blocking { sti: false, ..cpu.blocking() });
                Some(completed(journal, debug::due(cpu, Retired::default(), watch.hits, false)))
            }
            Err(halt) => Some(ended_between(journal, halt, cpu)),
        }
    }

    /// Asks whether an interrupt of `vector`, which the monitor's interrupt controller is about to hand to the processor, is the
    /// notification of user interrupts (UINV in IA32_UINTR_MISC), and then takes the requests from the posted-interrupt descriptor into
    /// IA32_UINTR_RR: the monitor does not deliver it but ends it (EOI), and calls [`Engine::deliver_user_interrupt`]. `None` if it is
    /// not. The descriptor is changed by real locked operations where the bus grants RAM.
    ///
    /// On `Exception`, which the guest must take, on `Retry`, `Stopped` and `Unsupported` no request is lost.
    pub fn notify_user_interrupt<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, vector: u8) -> Option<Outcome> {
        let journal = &mut self.works.journal;
        if journal.is_open() {
            return Some(Outcome::Unsupported(Unsupported::JournalMismatch));
        }
        let mut watch = Watch::new(vmm, cpu, 0);
        let vmm: &mut dyn Vmm = &mut watch;
        match system::user::notify(cpu, &mut Mem::new(vmm, journal, cpu), vector) {
            Ok(false) => {
                journal.clear();
                None
            }
            Ok(true) => Some(completed(journal, debug::due(cpu, Retired::default(), watch.hits, false))),
            Err(halt) => Some(ended_between(journal, halt, cpu)),
        }
    }

    /// A step that ends before there is an instruction: no access was made for it, and one that waits for its retry keeps
    /// its journal.
    #[cold]
    fn not_decoded(&mut self, halt: Halt, cpu: &mut Cpu) -> Outcome {
        self.cache.forget_last();
        match halt {
            Halt::Stop(Stop::Retry) => return Outcome::Retry,
            Halt::Stop(Stop::Caller(code)) => return Outcome::Stopped(code),
            _ => {}
        }
        if let (Halt::Stop(Stop::Fault(_)), false) = (halt, self.works.journal.is_open())
            && let Some(event) = debug::before(cpu)
        {
            return Outcome::Exception(event);
        }
        // The waiting instruction itself can have lost its code; any other is none of the journal's.
        let journal = &mut self.works.journal;
        if journal.is_open() {
            let lost = matches!(halt, Halt::Stop(Stop::Fault(Event { vector: 14, .. })));
            if !lost || !journal.waits_at(cpu.rip, cpu.seg(Seg::Cs).base) {
                return Outcome::Unsupported(Unsupported::JournalMismatch);
            }
        }
        ended(journal, halt, cpu, 0)
    }
}

impl Works {
    /// The line of an instruction that is not settled yet. `whole`: as many bytes could be fetched as an instruction may have.
    #[inline(never)]
    fn anew<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry, whole: bool) -> Outcome {
        if entry.settle(cpu) && whole {
            use Lane::{AnyLoad, ElementLoad, FloatAnyLoad, FloatElementLoad, FloatLoad, VectorLoad, VectorStore};
            let lane = entry.way.lane;
            if matches!(
                lane,
                VectorLoad | ElementLoad | AnyLoad | FloatLoad | FloatElementLoad | FloatAnyLoad | VectorStore
            ) {
                self.replayer.prepare(&entry.insn, &mut entry.stub, &self.profile);
            }
            return self.line(cpu, vmm, entry);
        }
        self.general(cpu, vmm, entry)
    }

    /// The line that an instruction of the decode cache takes which is settled.
    #[inline(always)]
    fn line<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        if !self.journal.is_idle() {
            return self.general(cpu, vmm, entry);
        }
        match entry.way.lane {
            Lane::General => self.general(cpu, vmm, entry),
            Lane::Operate => self.operate(entry, cpu),
            Lane::Register => self.register(cpu, vmm, entry),
            Lane::Branch => self.branch(cpu, vmm, entry),
            Lane::Push | Lane::Call => self.push(cpu, vmm, entry),
            Lane::Pop | Lane::Return => self.pop(cpu, vmm, entry),
            Lane::Store => self.store::<V, false>(cpu, vmm, entry),
            Lane::StoreImm => self.store::<V, true>(cpu, vmm, entry),
            Lane::Load => self.load(cpu, vmm, entry),
            Lane::LoadNarrow => self.load_narrow(cpu, vmm, entry),
            Lane::LoadOperate => self.load_operate(cpu, vmm, entry),
            Lane::Modify => self.modify(cpu, vmm, entry),
            Lane::Locked => self.locked(cpu, vmm, entry),
            Lane::LockedXadd => self.locked_xadd(cpu, vmm, entry),
            Lane::LockedCmpxchg => self.locked_cmpxchg(cpu, vmm, entry),
            Lane::LockedSwap => self.locked_swap(cpu, vmm, entry),
            Lane::LockedBit => self.locked_bit(cpu, vmm, entry),
            Lane::LockedPair => self.locked_pair(cpu, vmm, entry),
            Lane::CopyLoad => self.copy_load(cpu, vmm, entry),
            Lane::CopyStore => self.copy_store(cpu, vmm, entry),
            Lane::VectorLoad => self.vector_load::<V, false, 16>(cpu, vmm, entry),
            Lane::ElementLoad => self.vector_load::<V, false, 8>(cpu, vmm, entry),
            Lane::AnyLoad => self.vector_load::<V, false, 64>(cpu, vmm, entry),
            Lane::FloatLoad => self.vector_load::<V, true, 16>(cpu, vmm, entry),
            Lane::FloatElementLoad => self.vector_load::<V, true, 8>(cpu, vmm, entry),
            Lane::FloatAnyLoad => self.vector_load::<V, true, 64>(cpu, vmm, entry),
            Lane::VectorStore => self.vector_store(cpu, vmm, entry),
            Lane::RealLoad => self.real_load(cpu, vmm, entry),
            Lane::RealStore => self.real_store(cpu, vmm, entry),
            Lane::RealArithmetic => self.real_compute::<V, false>(cpu, vmm, entry),
            Lane::RealCompare => self.real_compute::<V, true>(cpu, vmm, entry),
            Lane::String => self.string(cpu, vmm, entry),
        }
    }

    /// The general line: an instruction of the decode cache to its outcome.
    #[inline(never)]
    fn general<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, entry: &mut Entry) -> Outcome {
        let insn = &entry.insn;
        if cpu.word().bits & (insn.gate | obstacle::ATTENTION) != 0 || self.journal.is_open() {
            return self.general_with_care(cpu, vmm, entry);
        }
        let mem = &mut Mem::new(vmm, &mut self.journal, cpu);
        if insn.gate & obstacle::NO_APX != 0
            && let Err(halt) = need_apx(cpu, mem)
        {
            return ended(&mut self.journal, halt, cpu, entry.bytes());
        }
        let result = match insn.row.exec {
            Exec::Value(op) => value::run(op, cpu, insn, mem, &self.locks),
            Exec::Extended(op) => extended::run(op, cpu, insn, mem, &self.locks),
            Exec::Replay(shape) => self.replayer.replay(shape, cpu, insn, mem, &self.profile, &mut entry.stub),
            _ => return self.rare(cpu, vmm, entry),
        };
        match result {
            Ok(()) => {
                mark_apx(cpu, insn);
                if !self.journal.is_empty() {
                    self.journal.clear();
                }
                Outcome::Completed(Retired::default())
            }
            Err(halt) => ended(&mut self.journal, halt, cpu, entry.bytes()),
        }
    }

    /// What is rare enough to go through `dyn`.
    #[inline(never)]
    fn rare(&mut self, cpu: &mut Cpu, vmm: &mut dyn Vmm, entry: &mut Entry) -> Outcome {
        let Entry { insn, stub, .. } = entry;
        if noted::is_system(insn) {
            vmm.progress(self.completed);
        }
        let mem = &mut Mem::new(vmm, &mut self.journal, cpu);
        match cold(cpu, insn, mem, &mut self.replayer, &self.profile, stub) {
            Ok(retired) => {
                mark_apx(cpu, insn);
                self.repeating = retired.rep_unfinished.then_some(cpu.rip);
                // Of a task that was switched to.
                let retired = if cpu.pending_debug() != 0 { debug::due(cpu, retired, 0, false) } else { retired };
                self.noted |= noted::of(insn, &retired);
                if retired.mov_ss || retired.sti {
                    cpu.set_blocking(Blocking { mov_ss: retired.mov_ss, sti: retired.sti, ..cpu.blocking() });
                }
                completed(&mut self.journal, retired)
            }
            Err(halt) => ended(&mut self.journal, halt, cpu, entry.bytes()),
        }
    }

    /// The same where something is in the way: a gate's obstacle, an open journal, TF, RF, breakpoints, a shadow.
    #[cold]
    #[inline(never)]
    fn general_with_care(&mut self, cpu: &mut Cpu, vmm: &mut dyn Vmm, entry: &mut Entry) -> Outcome {
        let bytes = entry.bytes();
        let Entry { insn, stub, .. } = entry;
        let owner = Owner { rip: cpu.rip, cs_base: cpu.seg(Seg::Cs).base, bytes };
        if self.journal.is_open() {
            if let Err(Halt::Unsupported(why)) = self.journal.resume(owner) {
                return Outcome::Unsupported(why);
            }
        } else {
            self.hits = 0;
            if self.repeating != Some(cpu.rip)
                && let Some(event) = debug::before(cpu)
            {
                return Outcome::Exception(event);
            }
        }
        let care = system::shadow::before(cpu, insn, &mut Mem::new(vmm, &mut self.journal, cpu), &self.profile);
        let mut care = match care {
            Ok(care) => care,
            Err(halt) => return ended(&mut self.journal, halt, cpu, bytes),
        };
        if cpu.word().bits & insn.gate != 0 {
            let event = gate::refuse(cpu, insn);
            return ended(&mut self.journal, event.into(), cpu, bytes);
        }
        if noted::is_system(insn) {
            vmm.progress(self.completed);
        }
        let trap = cpu.rflags() & rflags::TF != 0;
        let mut watch = Watch::new(vmm, cpu, self.hits);
        let vmm: &mut dyn Vmm = &mut watch;
        let mem = &mut Mem::new(vmm, &mut self.journal, cpu);
        if insn.gate & obstacle::NO_APX != 0
            && let Err(halt) = need_apx(cpu, mem)
        {
            return ended(&mut self.journal, halt, cpu, bytes);
        }
        let (rsp, rip, flags) = (cpu.gpr[RSP], cpu.rip, cpu.rflags());
        let result = match insn.row.exec {
            Exec::Value(op) => value::run(op, cpu, insn, mem, &self.locks).map(|()| Retired::default()),
            Exec::Extended(op) => extended::run(op, cpu, insn, mem, &self.locks).map(|()| Retired::default()),
            Exec::Replay(shape) => {
                let done = self.replayer.replay(shape, cpu, insn, mem, &self.profile, stub);
                done.map(|()| Retired::default())
            }
            _ => cold(cpu, insn, mem, &mut self.replayer, &self.profile, stub),
        };
        // A near branch is taken back if the shadow stack does not agree.
        let result = match (result, &mut care) {
            (Ok(retired), Some(care)) => match system::shadow::after(care, cpu, mem) {
                Ok(()) => Ok(retired),
                Err(halt) => {
                    (cpu.gpr[RSP], cpu.rip) = (rsp, rip);
                    cpu.set_rflags(flags);
                    Err(halt)
                }
            },
            (result, _) => result,
        };
        match result {
            Ok(retired) => {
                mark_apx(cpu, insn);
                cpu.set_blocking(Blocking { mov_ss: retired.mov_ss, sti: retired.sti, ..cpu.blocking() });
                // IRET and its kin have loaded it for the instruction that they return to.
                let loads_rf = matches!(insn.row.exec, Exec::Far(FarOp::Iret | FarOp::Erets | FarOp::Eretu));
                if !retired.rep_unfinished && !loads_rf {
                    cpu.set_rflags(cpu.rflags() & !rflags::RF);
                }
                // SYSCALL's mask and FRED can take TF away before it counts.
                let calls = matches!(insn.row.exec, Exec::Far(FarOp::Syscall | FarOp::Sysenter));
                let trap = trap && (!calls || cpu.rflags() & rflags::TF != 0);
                self.repeating = retired.rep_unfinished.then_some(cpu.rip);
                let retired = debug::due(cpu, retired, watch.hits, trap);
                self.noted |= noted::of(insn, &retired);
                completed(&mut self.journal, retired)
            }
            Err(halt) => {
                self.hits = watch.hits;
                ended(&mut self.journal, halt, cpu, bytes)
            }
        }
    }
}

#[inline]
fn completed(journal: &mut Journal, retired: Retired) -> Outcome {
    if !journal.is_idle() {
        journal.clear();
    }
    Outcome::Completed(retired)
}

/// What a halt between two instructions means to the caller: there is none that would come again with the journal, so that the work
/// starts anew.
#[cold]
fn ended_between(journal: &mut Journal, halt: Halt, cpu: &mut Cpu) -> Outcome {
    if halt == Halt::Stop(Stop::Retry) {
        journal.clear();
        return Outcome::Retry;
    }
    ended(journal, halt, cpu, 0)
}

/// What a halt means to the caller; closes the journal unless it waits for a retry.
#[cold]
fn ended(journal: &mut Journal, halt: Halt, cpu: &mut Cpu, bytes: u128) -> Outcome {
    let outcome = match halt {
        // The waiting instruction can still be stepped as it was.
        Halt::Unsupported(why @ Unsupported::JournalMismatch) => return Outcome::Unsupported(why),
        Halt::Unsupported(why) => Outcome::Unsupported(why),
        Halt::Stop(Stop::Retry) => {
            let owner = Owner { rip: cpu.rip, cs_base: cpu.seg(Seg::Cs).base, bytes };
            return match journal.suspend(owner) {
                Err(Halt::Unsupported(why)) => Outcome::Unsupported(why),
                _ => Outcome::Retry,
            };
        }
        Halt::Stop(Stop::Caller(code)) => Outcome::Stopped(code),
        Halt::Stop(Stop::NotProvided(what)) => Outcome::Unsupported(Unsupported::Platform(what)),
        Halt::Stop(Stop::TooWide(_)) => {
            Outcome::Unsupported(Unsupported::Platform("an access of the width that its device names"))
        }
        Halt::Stop(Stop::Fault(event)) => {
            if let (Some(cr2), EventKind::Fault) = (event.cr2, event.kind) {
                cpu.update(|s| s.cr2 = cr2);
            }
            Outcome::Exception(event)
        }
    };
    journal.clear();
    outcome
}

/// Work that is rare enough to go through `dyn`, so that a VMM does not compile it for each of its adaptors.
fn cold(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    replayer: &mut Replayer,
    profile: &Profile,
    stub: &mut Option<StubRef>,
) -> Result<Retired, Halt> {
    let mut retired = Retired::default();
    if insn.row.gate == Gate::Port {
        system::port_allowed(cpu, insn, mem)?;
    }
    if uses_state(insn.row.gate) {
        need_state(cpu, mem)?;
    }
    if matches!(insn.row.gate, Gate::Tile | Gate::TileData) {
        need_components(cpu, mem, component::TILECFG | component::TILEDATA)?;
    }
    match insn.row.exec {
        Exec::Seq(op) => integer::sequence(op, cpu, insn, mem, profile)?,
        Exec::Str(op) => retired.rep_unfinished = integer::string(op, cpu, insn, mem, profile)? == Progress::Unfinished,
        Exec::X87(op) => replayer.x87(op, cpu, insn, mem, profile, stub)?,
        Exec::Privileged(op) => system::privileged(op, cpu, insn, mem, profile)?,
        Exec::System(op) => system::run(op, cpu, insn, mem, profile, &mut retired)?,
        Exec::Far(op) => system::far(op, cpu, insn, mem, profile, &mut retired)?,
        // Products of tiles would be replayed.
        Exec::Missing if matches!(insn.row.gate, Gate::Tile | Gate::TileData | Gate::TileAvx512) => {
            let lacking = insn.row.features.into_iter().find(|&f| profile.host_lacks(f));
            return Err(match lacking {
                Some(feature) => Unsupported::HostLacks(feature.name()),
                None => Unsupported::Instruction(insn.row.mnemonic),
            }
            .into());
        }
        Exec::Missing | Exec::Value(_) | Exec::Extended(_) | Exec::Replay(_) => {
            return Err(Unsupported::Instruction(insn.row.mnemonic).into());
        }
    }
    Ok(retired)
}

/// Asks the monitor for R16 to R31, if they are not the guest's yet.
fn need_apx<V: Vmm + ?Sized>(cpu: &mut Cpu, mem: &mut Mem<'_, V>) -> Result<(), Halt> {
    if cpu.valid & component::APX == 0 {
        mem.vmm.load_state(cpu, component::APX)?;
        cpu.valid |= component::APX;
    }
    Ok(())
}

/// Notes that R16 to R31 have changed, after an instruction that writes one of them.
#[inline(always)]
fn mark_apx(cpu: &mut Cpu, insn: &Insn) {
    if insn.gate & obstacle::NO_APX != 0 {
        let above = |i: usize| insn.slot(i).kind == SlotKind::Gpr && insn.slot(i).reg > 15 && insn.uses(i).writes();
        cpu.dirty |= if (0..5).any(above) { component::APX } else { 0 };
    }
}

/// Does what stands behind this gate look at vector or x87 state? WAIT looks for a pending exception.
fn uses_state(gate: Gate) -> bool {
    matches!(
        gate,
        Gate::X87
            | Gate::Wait
            | Gate::Mmx
            | Gate::Fx
            | Gate::Sse
            | Gate::Avx
            | Gate::Avx512
            | Gate::Xsave
            | Gate::Xsaves
    )
}

/// The decode cache's entry for the instruction at CS:RIP, decoded if it is not there.
fn cached<'a, V: Vmm>(cache: &'a mut Cache, cpu: &Cpu, vmm: &mut V, profile: &Profile) -> Result<&'a mut Entry, Halt> {
    let mut bytes = [0; 16];
    let count = fetch_at(cpu, vmm, cpu.rip, &mut bytes)?;
    let entry = cache.at(cpu.rip);
    if !entry.matches_some(&bytes, count, cpu.mode()) {
        decode_more(cpu, vmm, profile, &mut bytes, count, entry)?;
    }
    Ok(entry)
}

/// Copies up to 15 bytes at `offset` in CS and says how many there are; none beyond the segment's limit.
fn fetch_at<V: Vmm>(cpu: &Cpu, vmm: &mut V, offset: u64, bytes: &mut [u8; 16]) -> Result<usize, Halt> {
    let (linear, room) = if cpu.word().flat {
        if !address::canonical(cpu, offset) {
            return Err(Event::gp0("RIP is not canonical").into());
        }
        (offset, LIMIT)
    } else {
        let cs = cpu.seg(Seg::Cs);
        if offset > u64::from(cs.limit) {
            return Err(Event::gp0("RIP lies beyond the limit of CS").into());
        }
        let room = (u64::from(cs.limit) - offset + 1).min(LIMIT as u64);
        (cs.base.wrapping_add(offset) & 0xffff_ffff, room as usize)
    };
    let access = Access::new(AccessKind::Fetch, 1, cpu.cpl());
    let Some(buf) = bytes.first_chunk_mut::<LIMIT>() else { return Ok(0) };
    let count = vmm.fetch(linear, buf, &access)?;
    blank(bytes, count, room)
}

/// Clears what lies behind the bytes that were fetched, so that it decides nothing; says how many count.
fn blank(bytes: &mut [u8; 16], count: usize, room: usize) -> Result<usize, Halt> {
    let count = count.min(room);
    if count == 0 {
        return Err(Unsupported::Platform("at least one instruction byte").into());
    }
    bytes[count..].fill(0);
    Ok(count)
}

/// Decodes into the entry, fetching more as long as decoding needs it; says how many bytes there are then.
fn decode_more<V: Vmm>(
    cpu: &Cpu,
    vmm: &mut V,
    profile: &Profile,
    bytes: &mut [u8; 16],
    mut count: usize,
    entry: &mut Entry,
) -> Result<usize, Halt> {
    loop {
        match entry.decode(bytes, count, cpu.mode(), profile) {
            Ok(()) => return Ok(count),
            Err(DecodeError::Truncated) => {
                let mut more = [0; 16];
                let offset = cpu.rip.wrapping_add(count as u64);
                let n = fetch_at(cpu, vmm, offset, &mut more)?.min(15 - count);
                bytes[count..count + n].copy_from_slice(&more[..n]);
                count += n;
            }
            Err(error) => return Err(undecoded(cpu, vmm, profile, error)),
        }
    }
}

/// What bytes raise that are no instruction. At the target of an indirect branch they are no ENDBRANCH either, which comes first.
fn undecoded(cpu: &Cpu, vmm: &mut dyn Vmm, profile: &Profile, error: DecodeError) -> Halt {
    if error != DecodeError::Truncated
        && let Err(halt) = system::shadow::not_an_instruction(cpu, vmm, profile)
    {
        return halt;
    }
    decode_halt(error)
}

fn decode_halt(error: DecodeError) -> Halt {
    match error {
        DecodeError::TooLong => Event::gp0("an instruction longer than 15 bytes").into(),
        DecodeError::Invalid(why) => Event::ud(why).into(),
        DecodeError::Truncated => Unsupported::Platform("all bytes of the instruction").into(),
    }
}
