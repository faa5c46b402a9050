//! One instruction along the straight line: fetch, decode, gate, address, read, execute, write, commit.

mod cache;
mod gate;
mod value;

use crate::access::{Halt, Journal, Mem, Owner};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::segment::Seg;
use crate::cpu::{Cpu, obstacle};
use crate::decode::{DecodeError, Insn, decode};
use crate::event::{Event, EventKind, Outcome, Retired, Stop, Unsupported};
use crate::integer::{self, Progress};
use crate::isa::Exec;
use crate::isa::row::Gate;
use crate::profile::Profile;
use crate::replay::Replayer;
use crate::{address, system};
use cache::{Cache, Entry};
pub use encore86_stubs::{CodeMemory, MapError};

/// What to do with a locked operation that crosses a cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SplitLock {
    /// Read and write, marked `locked`, without a bus lock.
    #[default]
    Emulate,
    /// Issue it: about a microsecond, and some hosts kill the process for it.
    Native,
    /// The platform stops the other virtual processors around it.
    Exclusive,
    /// #AC(0), as split-lock detection would.
    Fault,
}

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
    last: Option<Insn>,
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
            last: None,
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
        self.last.as_ref()
    }

    /// Does an instruction wait for its retry, so that only it can be stepped?
    pub fn has_open_journal(&self) -> bool {
        self.journal.is_open()
    }

    /// Drops the journal of an instruction that waits for its retry: it will not be stepped again.
    pub fn abandon(&mut self) {
        self.journal.clear();
    }

    /// Runs the instruction at CS:RIP.
    pub fn step<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
        let mut bytes = [0; 16];
        let count = match fetch(cpu, vmm, &mut bytes) {
            Ok(count) => count,
            Err(halt) => return self.ended(Err(halt), cpu, 0),
        };
        let word = u128::from_le_bytes(bytes);
        let mode = cpu.mode();
        // Entries are Copy and small; borrowing them across the step would keep the engine borrowed.
        if self.cache.find(cpu.rip, word, count, mode).is_none() {
            match decode_more(cpu, vmm, &self.profile, &mut bytes, count) {
                Ok(insn) => {
                    self.cache.insert(cpu.rip, Entry::new(u128::from_le_bytes(bytes), insn));
                }
                Err(halt) => {
                    self.last = None;
                    return self.ended(Err(halt), cpu, 0);
                }
            }
        }
        self.run(cpu, vmm, u128::from_le_bytes(bytes))
    }

    /// Runs the instruction in `bytes` as if it stood at CS:RIP; no instruction memory is fetched.
    pub fn step_bytes<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, bytes: &[u8]) -> Outcome {
        let mut padded = [0; 16];
        let count = bytes.len().min(15);
        padded[..count].copy_from_slice(&bytes[..count]);
        let word = u128::from_le_bytes(padded);
        if self.cache.find(cpu.rip, word, count, cpu.mode()).is_none() {
            match decode(&padded[..count], cpu.mode(), &self.profile) {
                Ok(insn) => {
                    self.cache.insert(cpu.rip, Entry::new(word, insn));
                }
                Err(error) => {
                    self.last = None;
                    return self.ended(Err(decode_halt(error)), cpu, 0);
                }
            }
        }
        self.run(cpu, vmm, word)
    }

    /// From the decoded instruction, which the cache holds, to the outcome.
    #[inline]
    fn run<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, bytes: u128) -> Outcome {
        let Some(entry) = self.cache.find(cpu.rip, bytes, 15, cpu.mode()) else {
            return Outcome::Unsupported(Unsupported::Opcode);
        };
        let insn = entry.insn;
        let own_bytes = entry.bytes();
        self.last = Some(insn);
        if self.journal.is_open() {
            let owner = Owner { rip: cpu.rip, cs_base: cpu.seg(Seg::Cs).base, bytes: own_bytes };
            if let Err(Halt::Unsupported(why)) = self.journal.resume(owner) {
                return Outcome::Unsupported(why);
            }
        }
        if cpu.word().bits & insn.gate != 0 {
            return self.ended(Err(gate::refuse(cpu, &insn).into()), cpu, own_bytes);
        }
        let tf = cpu.word().bits & obstacle::ATTENTION != 0;
        let mut retired = Retired::default();
        let result = match insn.row.exec {
            Exec::Value(op) => value::run(op, cpu, &insn, &mut Mem::new(vmm, &mut self.journal, cpu), self.split_lock),
            Exec::Replay(shape) => {
                let mem = &mut Mem::new(vmm, &mut self.journal, cpu);
                self.replayer.replay(shape, cpu, &insn, mem, &self.profile, &mut entry.stub)
            }
            _ => {
                let vmm: &mut dyn Vmm = vmm;
                let mem = &mut Mem::new(vmm, &mut self.journal, cpu);
                cold(cpu, &insn, mem, &mut self.replayer, &self.profile, &mut entry.stub, &mut retired)
            }
        };
        match result {
            Ok(()) if !tf => {
                if !self.journal.is_empty() {
                    self.journal.clear();
                }
                Outcome::Completed(retired)
            }
            Ok(()) => self.retire_with_attention(cpu, retired),
            Err(halt) => self.ended(Err(halt), cpu, own_bytes),
        }
    }

    /// Completion under TF or an interrupt shadow.
    #[cold]
    fn retire_with_attention(&mut self, cpu: &mut Cpu, mut retired: Retired) -> Outcome {
        self.journal.clear();
        retired.singlestep = cpu.rflags() & crate::cpu::registers::rflags::TF != 0;
        let blocking = crate::cpu::Blocking { mov_ss: retired.mov_ss, sti: retired.sti, ..cpu.blocking };
        cpu.set_blocking(blocking);
        Outcome::Completed(retired)
    }

    #[cold]
    fn ended(&mut self, result: Result<(), Halt>, cpu: &mut Cpu, bytes: u128) -> Outcome {
        let outcome = match result {
            Ok(()) => Outcome::Completed(Retired::default()),
            Err(Halt::Unsupported(why)) => Outcome::Unsupported(why),
            Err(Halt::Stop(Stop::Retry)) => {
                let owner = Owner { rip: cpu.rip, cs_base: cpu.seg(Seg::Cs).base, bytes };
                return match self.journal.suspend(owner) {
                    Err(Halt::Unsupported(why)) => Outcome::Unsupported(why),
                    _ => Outcome::Retry,
                };
            }
            Err(Halt::Stop(Stop::Caller(code))) => Outcome::Stopped(code),
            Err(Halt::Stop(Stop::NotProvided(what))) => Outcome::Unsupported(Unsupported::Platform(what)),
            Err(Halt::Stop(Stop::TooWide(_))) => {
                Outcome::Unsupported(Unsupported::Platform("an access of the width that its device names"))
            }
            Err(Halt::Stop(Stop::Fault(event))) => {
                if let (Some(cr2), EventKind::Fault) = (event.cr2, event.kind) {
                    cpu.update(|s| s.cr2 = cr2);
                }
                Outcome::Exception(event)
            }
        };
        self.journal.clear();
        outcome
    }
}

/// Work that is rare enough to go through `dyn`, so that a VMM does not compile it for each of its adaptors.
#[cold]
fn cold(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    replayer: &mut Replayer,
    profile: &Profile,
    stub: &mut Option<encore86_stubs::StubRef>,
    retired: &mut Retired,
) -> Result<(), Halt> {
    if insn.row.gate == Gate::Port {
        system::port_allowed(cpu, insn)?;
    }
    match insn.row.exec {
        Exec::Seq(op) => integer::sequence(op, cpu, insn, mem),
        Exec::Str(op) => {
            let progress = integer::string(op, cpu, insn, mem)?;
            retired.rep_unfinished = progress == Progress::Unfinished;
            Ok(())
        }
        Exec::X87(op) => replayer.x87(op, cpu, insn, mem, profile, stub),
        Exec::System(op) => system::run(op, cpu, insn, mem, profile, retired),
        Exec::Missing | Exec::Value(_) | Exec::Replay(_) => Err(Unsupported::Instruction(insn.row.mnemonic).into()),
    }
}

/// Copies up to 15 bytes at CS:RIP and says how many there are.
#[inline]
fn fetch<V: Vmm>(cpu: &Cpu, vmm: &mut V, bytes: &mut [u8; 16]) -> Result<usize, Halt> {
    fetch_at(cpu, vmm, cpu.rip, bytes)
}

/// Fetches at `offset` in CS; no byte beyond the segment's limit.
#[inline]
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
