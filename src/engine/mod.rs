//! One instruction along the straight line: fetch, decode, gate, address, read, execute, write, commit.

mod cache;
mod filter;
mod gate;
mod lane;
mod value;

use crate::access::{Halt, Journal, Mem, Owner};
pub use crate::atomic::SplitLock;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::rflags;
use crate::cpu::segment::Seg;
use crate::cpu::{Blocking, Cpu, obstacle};
use crate::decode::{DecodeError, Insn, decode};
use crate::event::{Event, EventKind, Outcome, Retired, Stop, Unsupported};
use crate::integer::{self, Progress};
use crate::isa::Exec;
use crate::isa::row::Gate;
use crate::profile::Profile;
use crate::replay::{Replayer, need_state};
use crate::{address, system};
use cache::{Cache, Entry};
pub use encore86_stubs::{CodeMemory, MapError};
use lane::Lane;

/// Memory for stubs that an engine maps for itself, in bytes.
const STUB_MEMORY: usize = 64 * 1024;

/// Runs instructions of one virtual processor. `Send`, not `Sync`: one engine a virtual processor.
#[derive(Debug)]
pub struct Engine {
    profile: Profile,
    split_lock: SplitLock,
    cache: Cache,
    journal: Journal,
    replayer: Replayer,
    /// The journal of trials, from the first filtered step on.
    survey: Option<Box<Journal>>,
}

impl Engine {
    /// An engine whose guest sees `profile`, with 64 KiB of memory for stubs. Makes no system call afterwards.
    ///
    /// # Errors
    /// [`MapError`] when the host denies executable memory; [`Engine::integer_only`] works without.
    pub fn new(profile: Profile) -> Result<Engine, MapError> {
        let replayer = Replayer::new(STUB_MEMORY)?;
        Ok(Engine::assemble(profile, replayer))
    }

    /// An engine with executable memory of the caller's.
    ///
    /// # Errors
    /// [`MapError`] when the memory has an unfit length.
    pub fn with_code_memory(profile: Profile, memory: Box<dyn CodeMemory>) -> Result<Engine, MapError> {
        let replayer = Replayer::with_memory(memory)?;
        Ok(Engine::assemble(profile, replayer))
    }

    /// An engine without stubs: what would be replayed is `Unsupported`, integer work runs.
    pub fn integer_only(profile: Profile) -> Engine {
        Engine::assemble(profile, Replayer::denied())
    }

    fn assemble(profile: Profile, replayer: Replayer) -> Engine {
        Engine {
            profile,
            split_lock: SplitLock::default(),
            cache: Cache::new(),
            journal: Journal::new(),
            replayer,
            survey: None,
        }
    }

    /// What the guest's CPUID promises.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Chooses what happens to locked operations that cross a cache line.
    pub fn set_split_lock(&mut self, choice: SplitLock) {
        self.split_lock = choice;
    }

    /// The instruction decoded last by a step.
    pub fn last(&self) -> Option<&Insn> {
        self.cache.last().map(|e| &e.insn)
    }

    /// Does an instruction wait for its retry, so that only it can be stepped?
    pub fn has_open_journal(&self) -> bool {
        self.journal.is_open()
    }

    /// Drops the journal of an instruction that waits for its retry: it will not be stepped again.
    pub fn abandon(&mut self) {
        self.journal.clear();
        self.cache.forget_last();
    }

    /// Runs the instruction at CS:RIP.
    pub fn step<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
        let mut bytes = [0; 16];
        let count = match fetch_at(cpu, vmm, cpu.rip, &mut bytes) {
            Ok(count) => count,
            Err(halt) => return self.not_decoded(halt, cpu),
        };
        let slot = self.cache.at(cpu.rip);
        let entry = match slot {
            Some(entry) if entry.matches(&bytes, count, cpu.mode()) => entry,
            _ => match decode_more(cpu, vmm, &self.profile, &mut bytes, count) {
                Ok(insn) => slot.insert(Entry::new(&bytes, insn)),
                Err(halt) => return self.not_decoded(halt, cpu),
            },
        };
        let (journal, replayer) = (&mut self.journal, &mut self.replayer);
        let obstacles = entry.insn.gate | obstacle::ATTENTION;
        if entry.lane != Lane::General && cpu.word().bits & obstacles == 0 && journal.is_idle() {
            let mem = &mut Mem::new(vmm, journal, cpu);
            match lane::run(entry, cpu, mem, replayer, &self.profile, self.split_lock) {
                Some(Ok(())) => {
                    if !journal.is_empty() {
                        journal.clear();
                    }
                    return Outcome::Completed(Retired::default());
                }
                Some(Err(halt)) => return ended(journal, halt, cpu, entry.bytes()),
                None => {}
            }
        }
        Line { entry, journal, replayer, profile: &self.profile, split: self.split_lock }.run(cpu, vmm)
    }

    /// Runs the instruction in `bytes` as if it stood at CS:RIP; no instruction memory is fetched.
    pub fn step_bytes<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, bytes: &[u8]) -> Outcome {
        let mut padded = [0; 16];
        let count = bytes.len().min(15);
        padded[..count].copy_from_slice(&bytes[..count]);
        let slot = self.cache.at(cpu.rip);
        let entry = match slot {
            Some(entry) if entry.matches(&padded, count, cpu.mode()) => entry,
            _ => match decode(&padded[..count], cpu.mode(), &self.profile) {
                Ok(insn) => slot.insert(Entry::new(&padded, insn)),
                Err(error) => return self.not_decoded(decode_halt(error), cpu),
            },
        };
        let (journal, replayer) = (&mut self.journal, &mut self.replayer);
        Line { entry, journal, replayer, profile: &self.profile, split: self.split_lock }.run(cpu, vmm)
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
        // The waiting instruction itself can have lost its code; any other is none of the journal's.
        if self.journal.is_open() {
            let lost = matches!(halt, Halt::Stop(Stop::Fault(Event { vector: 14, .. })));
            if !lost || !self.journal.waits_at(cpu.rip, cpu.seg(Seg::Cs).base) {
                return Outcome::Unsupported(Unsupported::JournalMismatch);
            }
        }
        ended(&mut self.journal, halt, cpu, 0)
    }
}

/// One instruction on its way from the decode cache to the outcome, with what it needs of the engine.
struct Line<'a> {
    entry: &'a mut Entry,
    journal: &'a mut Journal,
    replayer: &'a mut Replayer,
    profile: &'a Profile,
    split: SplitLock,
}

impl Line<'_> {
    #[inline(never)]
    fn run<V: Vmm>(self, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
        let insn = &self.entry.insn;
        if cpu.word().bits & (insn.gate | obstacle::ATTENTION) != 0 || self.journal.is_open() {
            return self.run_with_care(cpu, vmm);
        }
        let result = match insn.row.exec {
            Exec::Value(op) => value::run(op, cpu, insn, &mut Mem::new(vmm, self.journal, cpu), self.split),
            Exec::Replay(shape) => {
                let mem = &mut Mem::new(vmm, self.journal, cpu);
                self.replayer.replay(shape, cpu, insn, mem, self.profile, &mut self.entry.stub)
            }
            _ => return self.run_cold(cpu, vmm),
        };
        match result {
            Ok(()) => {
                if !self.journal.is_empty() {
                    self.journal.clear();
                }
                Outcome::Completed(Retired::default())
            }
            Err(halt) => ended(self.journal, halt, cpu, self.entry.bytes()),
        }
    }

    /// What is rare enough to go through `dyn`.
    #[inline(never)]
    fn run_cold(self, cpu: &mut Cpu, vmm: &mut dyn Vmm) -> Outcome {
        let Entry { insn, stub, .. } = self.entry;
        let mem = &mut Mem::new(vmm, self.journal, cpu);
        match cold(cpu, insn, mem, self.replayer, self.profile, stub) {
            Ok(retired) => {
                if retired.mov_ss || retired.sti {
                    cpu.set_blocking(Blocking { mov_ss: retired.mov_ss, sti: retired.sti, ..cpu.blocking() });
                }
                completed(self.journal, retired)
            }
            Err(halt) => ended(self.journal, halt, cpu, self.entry.bytes()),
        }
    }

    /// The same where something is in the way: a gate's obstacle, an open journal, TF, an interrupt shadow.
    #[cold]
    #[inline(never)]
    fn run_with_care(self, cpu: &mut Cpu, vmm: &mut dyn Vmm) -> Outcome {
        let bytes = self.entry.bytes();
        let Entry { insn, stub, .. } = self.entry;
        let owner = Owner { rip: cpu.rip, cs_base: cpu.seg(Seg::Cs).base, bytes };
        if self.journal.is_open()
            && let Err(Halt::Unsupported(why)) = self.journal.resume(owner)
        {
            return Outcome::Unsupported(why);
        }
        if cpu.word().bits & insn.gate != 0 {
            return ended(self.journal, gate::refuse(cpu, insn).into(), cpu, bytes);
        }
        let trap = cpu.rflags() & rflags::TF != 0;
        let mem = &mut Mem::new(vmm, self.journal, cpu);
        let result = match insn.row.exec {
            Exec::Value(op) => value::run(op, cpu, insn, mem, self.split).map(|()| Retired::default()),
            Exec::Replay(shape) => {
                let done = self.replayer.replay(shape, cpu, insn, mem, self.profile, stub);
                done.map(|()| Retired::default())
            }
            _ => cold(cpu, insn, mem, self.replayer, self.profile, stub),
        };
        match result {
            Ok(retired) => {
                cpu.set_blocking(Blocking { mov_ss: retired.mov_ss, sti: retired.sti, ..cpu.blocking() });
                completed(self.journal, Retired { singlestep: trap, ..retired })
            }
            Err(halt) => ended(self.journal, halt, cpu, bytes),
        }
    }
}

#[inline]
fn completed(journal: &mut Journal, retired: Retired) -> Outcome {
    if !journal.is_clear() {
        journal.clear();
    }
    Outcome::Completed(retired)
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
    stub: &mut Option<encore86_stubs::StubRef>,
) -> Result<Retired, Halt> {
    let mut retired = Retired::default();
    if insn.row.gate == Gate::Port {
        system::port_allowed(cpu, insn)?;
    }
    if matches!(insn.row.gate, Gate::X87 | Gate::Mmx | Gate::Fx | Gate::Sse | Gate::Avx | Gate::Avx512) {
        need_state(cpu, mem)?;
    }
    match insn.row.exec {
        Exec::Seq(op) => integer::sequence(op, cpu, insn, mem)?,
        Exec::Str(op) => retired.rep_unfinished = integer::string(op, cpu, insn, mem, profile)? == Progress::Unfinished,
        Exec::X87(op) => replayer.x87(op, cpu, insn, mem, profile, stub)?,
        Exec::System(op) => system::run(op, cpu, insn, mem, profile, &mut retired)?,
        Exec::Missing | Exec::Value(_) | Exec::Replay(_) => {
            return Err(Unsupported::Instruction(insn.row.mnemonic).into());
        }
    }
    Ok(retired)
}

/// Copies up to 15 bytes at `offset` in CS and says how many there are; none beyond the segment's limit.
#[inline(always)]
fn fetch_at<V: Vmm>(cpu: &Cpu, vmm: &mut V, offset: u64, bytes: &mut [u8; 16]) -> Result<usize, Halt> {
    let (linear, room) = if cpu.word().flat {
        if !address::canonical(cpu, offset) {
            return Err(Event::gp0("RIP is not canonical").into());
        }
        (offset, 15)
    } else {
        let cs = cpu.seg(Seg::Cs);
        if offset > u64::from(cs.limit) {
            return Err(Event::gp0("RIP lies beyond the limit of CS").into());
        }
        (cs.base.wrapping_add(offset) & 0xffff_ffff, u64::from(cs.limit) - offset + 1)
    };
    let access = Access::new(AccessKind::Fetch, 1, cpu.cpl());
    let Some(buf) = bytes.first_chunk_mut::<15>() else { return Ok(0) };
    let count = vmm.fetch(linear, buf, &access)?.min(15).min(room.min(15) as usize);
    if count == 0 {
        return Err(Unsupported::Platform("at least one instruction byte").into());
    }
    // Bytes beyond those fetched must not decide anything.
    if count < 15 {
        bytes[count..].fill(0);
    }
    Ok(count)
}

/// Decodes, fetching more as long as decoding needs it.
#[cold]
#[inline(never)]
fn decode_more<V: Vmm>(
    cpu: &Cpu,
    vmm: &mut V,
    profile: &Profile,
    bytes: &mut [u8; 16],
    mut count: usize,
) -> Result<Insn, Halt> {
    loop {
        match decode(&bytes[..count], cpu.mode(), profile) {
            Ok(insn) => return Ok(insn),
            Err(DecodeError::Truncated) => {
                let mut more = [0; 16];
                let offset = cpu.rip.wrapping_add(count as u64);
                let n = fetch_at(cpu, vmm, offset, &mut more)?.min(15 - count);
                bytes[count..count + n].copy_from_slice(&more[..n]);
                count += n;
            }
            Err(error) => return Err(decode_halt(error)),
        }
    }
}

fn decode_halt(error: DecodeError) -> Halt {
    match error {
        DecodeError::TooLong => Event::gp0("an instruction longer than 15 bytes").into(),
        DecodeError::Invalid(why) => Event::ud(why).into(),
        DecodeError::Unknown => Unsupported::Opcode.into(),
        DecodeError::Truncated => Unsupported::Platform("all bytes of the instruction").into(),
    }
}
