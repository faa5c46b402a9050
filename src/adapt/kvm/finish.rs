//! From an exit to a finished instruction.

use super::events;
use super::link::{Link, Linked};
use super::{
    Capabilities, Error, Ioctls, debug_regs, host_layout, load_debug_regs, load_regs, load_sregs, regs, store_sregs,
};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::{component, cr0, cr4, rflags};
use crate::cpu::segment::Seg;
use crate::decode::decode;
use crate::event::{Event, EventKind, Outcome, Retired, Stop, Unsupported};
use crate::introspect::Filter;
use crate::isa::row::{Exec, FarOp, Gate, PrivOp, SysOp};
use crate::{Cpu, Engine, Insn, Mode};
use core::fmt;
use kvm_bindings::{
    KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_IO, KVM_EXIT_MEMORY_FAULT, KVM_EXIT_MMIO, KVM_INTERNAL_ERROR_EMULATION,
    KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES, KVM_SYNC_X86_EVENTS, KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS,
    kvm_regs, kvm_sregs, kvm_vcpu_events,
};
use kvm_ioctls::VcpuFd;

/// Who ran the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The kernel's emulator: it only had to be asked to go on.
    Kernel,
    /// The engine.
    Engine,
}

/// What became of an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The instruction is complete, or an iteration of a repeated one; enter the guest. What the instruction leaves to the
    /// monitor is in [`Retired`], for one that the engine ran; a #DB for RFLAGS.TF is queued already.
    Completed(Retired),
    /// The guest takes this event when it is entered.
    Injected(Event),
    /// The bus answered [`Stop::Retry`]: call again, without entering the guest, when it has the answer.
    Retry,
    /// A callback ended the step with this code; the instruction has not run.
    Stopped(u64),
    /// The kernel has come back with another exit for the same instruction, which stands in `kvm_run`: another piece of an
    /// MMIO access. Answer it as you would one of KVM_RUN ([`mmio`]) and call again.
    Exit,
    /// This exit can't be brought to an end here: why. Nothing was changed.
    Refused(Refusal),
}

/// Why an exit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The engine can't run the instruction.
    Unsupported(Unsupported),
    /// An event with this vector has to be delivered first: enter the guest, and the instruction comes again.
    EventFirst(u8),
    /// INT n and its kin, which KVM can't inject as such.
    Software(Event),
    /// A filter declined the instruction.
    Filtered,
    /// The processor shuts down.
    Shutdown,
    /// KVM_EXIT_INTERNAL_ERROR of another kind than a failed emulation, with this suberror.
    Suberror(u32),
    /// An exit that is about no instruction that was begun, with this reason. [`Finisher::emulate`] takes it all the same.
    Reason(u32),
    /// The kernel has made more device reads for one instruction than can be kept.
    Reads,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unsupported(why) => why.fmt(f),
            Refusal::EventFirst(vector) => write!(f, "an event with vector {vector} has to be delivered first"),
            Refusal::Software(event) => write!(f, "KVM can't inject {event}"),
            Refusal::Filtered => f.write_str("the filter declined the instruction"),
            Refusal::Shutdown => f.write_str("the processor shuts down"),
            Refusal::Suberror(number) => write!(f, "KVM's internal error has suberror {number}, no failed emulation"),
            Refusal::Reason(number) => write!(f, "exit reason {number} is about no instruction that was begun"),
            Refusal::Reads => f.write_str("the kernel has made more device reads than can be kept"),
        }
    }
}

/// What [`Finisher::finish`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// What became of it.
    pub end: End,
    /// Who ran the instruction, as far as it was run.
    pub by: By,
    /// What the engine's step ended in, where there was one, for adaptors that want to hear of it.
    pub outcome: Option<Outcome>,
    /// The ioctls that it took.
    pub ioctls: Ioctls,
    /// Device reads that the kernel had made and that answered the engine, in the kernel's pieces.
    pub reads_kept: u32,
}

/// Finishes instructions of one virtual processor.
#[derive(Debug)]
pub struct Finisher {
    engine: Engine,
    cpu: Cpu,
    capabilities: Capabilities,
    link: Link,
    waiting: Option<Waiting>,
    /// Are breakpoints of DR0 to DR3 looked for?
    breakpoints: bool,
    held: Option<Held>,
    /// What the step of this exit ended in.
    outcome: Option<Outcome>,
}

/// An instruction that waits for its retry, as its exit described it.
#[derive(Debug)]
struct Waiting {
    rip: u64,
    bytes: [u8; 15],
    count: usize,
    retract: bool,
}

/// A #DB that MOV SS or POP SS has held back for the instruction behind it.
#[derive(Clone, Copy, Debug)]
struct Held {
    rip: u64,
    /// Bits of DR6.
    bits: u64,
}

/// What the registers were before the step, and where they came from.
struct Before {
    regs: kvm_regs,
    sregs: kvm_sregs,
    events: kvm_vcpu_events,
    /// Bits of KVM_SYNC_X86_* whose values came with the exit.
    synced: u64,
}

impl Finisher {
    /// One for a virtual processor whose guest sees what the engine's profile says.
    ///
    /// # Errors
    /// [`Error::Image`] on a host whose CPUID does not say where XSAVE's components lie.
    pub fn new(engine: Engine, capabilities: Capabilities) -> Result<Finisher, Error> {
        let link = Link::new(host_layout()?, capabilities.xsave2);
        let cpu = Cpu::new();
        Ok(Finisher { engine, cpu, capabilities, link, waiting: None, breakpoints: true, held: None, outcome: None })
    }

    /// Has the guest's breakpoints in DR0 to DR3 looked for, or not: they take a KVM_GET_DEBUGREGS for each instruction that the engine
    /// runs, because nothing in `kvm_run` tells whether there are any. They are looked for unless this says otherwise.
    pub fn set_breakpoints(&mut self, looked_for: bool) {
        self.breakpoints = looked_for;
    }

    /// Has the kernel give registers with each exit, where it can. Without, [`Finisher::finish`] asks for them.
    pub fn arm(&self, vcpu: &mut VcpuFd) {
        vcpu.get_kvm_run().kvm_valid_regs = self.capabilities.sync_regs.into();
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine, to choose how it works or to abandon an instruction that waits for its retry.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The processor as the last instruction left it. [`Cpu::valid`] says which extended state was fetched.
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// Takes the exit that KVM_RUN has just come back with to its end.
    ///
    /// - KVM_EXIT_INTERNAL_ERROR, emulation: the engine runs the instruction. Device reads that the kernel has made for it are
    ///   not made again.
    /// - KVM_EXIT_MMIO and KVM_EXIT_IO, *after* the monitor has made the access (and filled in what was read): the kernel is
    ///   asked to go on without entering the guest. It may need more ([`End::Exit`]), or give up, which makes it the case
    ///   above. Monitors may leave exits for writes to the next KVM_RUN; the kernel has run those instructions.
    /// - KVM_EXIT_MEMORY_FAULT: the engine runs the instruction, of which nothing has happened.
    ///
    /// Between the exit and this call the virtual processor's state must not be changed. Behind it, changes wait in `kvm_run`
    /// for the next KVM_RUN where the exit came with registers: [`Finisher::settle`] shows them to KVM_GET_REGS and its kin,
    /// and has to come before KVM_SET_REGS and its kin, which they would undo.
    ///
    /// A monitor whose signal handler sets `immediate_exit` has to look at a flag of its own before it enters the guest
    /// again: a completion uses that field too, and leaves it as it found it.
    ///
    /// # Errors
    /// [`Error`], when an ioctl fails. What cannot be finished is no error but [`End::Refused`].
    pub fn finish<V: Vmm>(&mut self, vcpu: &mut VcpuFd, vmm: &mut V) -> Result<Finished, Error> {
        self.finish_with(vcpu, vmm, |_, _| Ok(()))
    }

    /// As [`Finisher::finish`]; `before` gets the monitor and the processor before anything is stepped: a page walker takes
    /// its registers there, and forgets translations, which the guest may have changed since:
    /// `|vmm, cpu| { vmm.flush(); vmm.load(cpu) }` for a [`Paging`](crate::paging::Paging). What it answers counts as the
    /// bus's answer to the instruction's first access.
    ///
    /// # Errors
    /// As [`Finisher::finish`].
    pub fn finish_with<V: Vmm>(
        &mut self,
        vcpu: &mut VcpuFd,
        vmm: &mut V,
        before: impl FnOnce(&mut V, &Cpu) -> Result<(), Stop>,
    ) -> Result<Finished, Error> {
        self.finish_by(vcpu, vmm, before, plain)
    }

    /// As [`Finisher::finish_with`] for exits that the engine has to run: `filter` sees the instruction and its coming accesses
    /// first, and has a say ([`Engine::step_filtered`]). Of an instruction that the kernel runs it hears nothing.
    ///
    /// # Errors
    /// As [`Finisher::finish`].
    pub fn finish_filtered<V: Vmm, F: Filter>(
        &mut self,
        vcpu: &mut VcpuFd,
        vmm: &mut V,
        before: impl FnOnce(&mut V, &Cpu) -> Result<(), Stop>,
        filter: &mut F,
    ) -> Result<Finished, Error> {
        self.finish_by(vcpu, vmm, before, |engine, cpu, linked, bytes| filtered(engine, cpu, linked, bytes, filter))
    }

    fn finish_by<V: Vmm>(
        &mut self,
        vcpu: &mut VcpuFd,
        vmm: &mut V,
        before: impl FnOnce(&mut V, &Cpu) -> Result<(), Stop>,
        mut step: impl FnMut(&mut Engine, &mut Cpu, &mut Linked<'_, V>, Option<&[u8]>) -> Outcome,
    ) -> Result<Finished, Error> {
        self.link.begin();
        self.outcome = None;
        if let Some(waiting) = self.waiting.take()
            && waiting.rip == self.regs(vcpu)?.0.rip
        {
            let given = &waiting.bytes[..waiting.count];
            return self.run_on(vcpu, vmm, before, given, waiting.retract, &mut step);
        }
        let mut reason = vcpu.get_kvm_run().exit_reason;
        let mut retract = false;
        if matches!(reason, KVM_EXIT_MMIO | KVM_EXIT_IO) {
            match self.go_on(vcpu)? {
                Gone::Done => return Ok(self.finished(End::Completed(Retired::default()), By::Kernel)),
                Gone::End(end) => return Ok(self.finished(end, By::Kernel)),
                Gone::GaveUp => (reason, retract) = (KVM_EXIT_INTERNAL_ERROR, true),
                Gone::Reason(next) => reason = next,
            }
        }
        let mut given = ([0; 15], 0);
        match reason {
            KVM_EXIT_INTERNAL_ERROR if retract => {}
            KVM_EXIT_INTERNAL_ERROR => {
                // SAFETY: the exit reason says that this is the part of the union that the kernel has written; all of it is
                // numbers.
                let failure = unsafe { vcpu.get_kvm_run().__bindgen_anon_1.emulation_failure };
                if failure.suberror != KVM_INTERNAL_ERROR_EMULATION {
                    return Ok(self.finished(End::Refused(Refusal::Suberror(failure.suberror)), By::Kernel));
                }
                let flag = u64::from(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
                if failure.ndata >= 1 && failure.flags & flag != 0 {
                    // SAFETY: as above; the flag says that the bytes are there.
                    let insn = unsafe { failure.__bindgen_anon_1.__bindgen_anon_1 };
                    given = (insn.insn_bytes, usize::from(insn.insn_size).min(15));
                }
                retract = true;
            }
            KVM_EXIT_MEMORY_FAULT => {}
            other => return Ok(self.finished(End::Refused(Refusal::Reason(other)), By::Kernel)),
        }
        self.run_on(vcpu, vmm, before, &given.0[..given.1], retract, &mut step)
    }

    /// Runs the instruction at RIP on the engine, whatever the exit was: for monitors that know that nothing of it has
    /// happened, as when KVM_RUN fails with EFAULT because the memory's host address denies the access.
    ///
    /// # Errors
    /// As [`Finisher::finish`].
    pub fn emulate<V: Vmm>(
        &mut self,
        vcpu: &mut VcpuFd,
        vmm: &mut V,
        before: impl FnOnce(&mut V, &Cpu) -> Result<(), Stop>,
    ) -> Result<Finished, Error> {
        self.emulate_by(vcpu, vmm, before, plain)
    }

    /// As [`Finisher::emulate`], if `filter` lets it: as [`Finisher::finish_filtered`].
    ///
    /// # Errors
    /// As [`Finisher::finish`].
    pub fn emulate_filtered<V: Vmm, F: Filter>(
        &mut self,
        vcpu: &mut VcpuFd,
        vmm: &mut V,
        before: impl FnOnce(&mut V, &Cpu) -> Result<(), Stop>,
        filter: &mut F,
    ) -> Result<Finished, Error> {
        self.emulate_by(vcpu, vmm, before, |engine, cpu, linked, bytes| filtered(engine, cpu, linked, bytes, filter))
    }

    fn emulate_by<V: Vmm>(
        &mut self,
        vcpu: &mut VcpuFd,
        vmm: &mut V,
        before: impl FnOnce(&mut V, &Cpu) -> Result<(), Stop>,
        mut step: impl FnMut(&mut Engine, &mut Cpu, &mut Linked<'_, V>, Option<&[u8]>) -> Outcome,
    ) -> Result<Finished, Error> {
        self.link.begin();
        self.outcome = None;
        if self.waiting.take().is_none() {
            self.link.reads.clear();
        }
        self.run_on(vcpu, vmm, before, &[], false, &mut step)
    }

    /// Gives the kernel what waits in `kvm_run` for the next KVM_RUN, so that its ioctls show it.
    ///
    /// # Errors
    /// What the ioctls answer.
    pub fn settle(&mut self, vcpu: &mut VcpuFd) -> Result<(), Error> {
        let dirty = core::mem::take(&mut vcpu.get_kvm_run().kvm_dirty_regs);
        let sync = vcpu.sync_regs();
        if dirty & u64::from(KVM_SYNC_X86_REGS) != 0 {
            vcpu.set_regs(&sync.regs).map_err(Error::ioctl("KVM_SET_REGS"))?;
        }
        if dirty & u64::from(KVM_SYNC_X86_SREGS) != 0 {
            vcpu.set_sregs(&sync.sregs).map_err(Error::ioctl("KVM_SET_SREGS"))?;
        }
        if dirty & u64::from(KVM_SYNC_X86_EVENTS) != 0 {
            vcpu.set_vcpu_events(&sync.events).map_err(Error::ioctl("KVM_SET_VCPU_EVENTS"))?;
        }
        Ok(())
    }

    fn finished(&mut self, end: End, by: By) -> Finished {
        let outcome = self.outcome.take();
        Finished { end, by, outcome, ioctls: self.link.ioctls, reads_kept: self.link.reads.used() }
    }

    /// Lets the kernel complete what it has begun, without entering the guest.
    fn go_on(&mut self, vcpu: &mut VcpuFd) -> Result<Gone, Error> {
        let (regs, _) = self.regs(vcpu)?;
        if let Some(access) = mmio(vcpu)
            && !access.write
            && !self.link.reads.note(&regs, access.at, access.data)
        {
            return Ok(Gone::End(End::Refused(Refusal::Reads)));
        }
        self.link.ioctls.run += 1;
        let asked = core::mem::replace(&mut vcpu.get_kvm_run().immediate_exit, 1);
        let result = vcpu.run().map(|_| ());
        vcpu.set_kvm_immediate_exit(asked);
        match result {
            Ok(()) => Ok(match vcpu.get_kvm_run().exit_reason {
                KVM_EXIT_MMIO | KVM_EXIT_IO => Gone::End(End::Exit),
                reason => Gone::Reason(reason),
            }),
            Err(error) if interrupted(error.errno()) => {
                // Some kernels refuse with #UD what they had begun.
                if self.regs(vcpu)?.0.rip == regs.rip && events::retract_ud(&mut self.events(vcpu)?.0) {
                    return Ok(Gone::GaveUp);
                }
                self.link.reads.clear();
                Ok(Gone::Done)
            }
            Err(error) => Err(Error::ioctl("KVM_RUN")(error)),
        }
    }

    fn synced(vcpu: &mut VcpuFd, bit: u32) -> bool {
        vcpu.get_kvm_run().kvm_valid_regs & u64::from(bit) != 0
    }

    fn regs(&mut self, vcpu: &mut VcpuFd) -> Result<(kvm_regs, bool), Error> {
        if Self::synced(vcpu, KVM_SYNC_X86_REGS) {
            return Ok((vcpu.sync_regs().regs, true));
        }
        self.link.ioctls.get_regs += 1;
        Ok((vcpu.get_regs().map_err(Error::ioctl("KVM_GET_REGS"))?, false))
    }

    fn events(&mut self, vcpu: &mut VcpuFd) -> Result<(kvm_vcpu_events, bool), Error> {
        if Self::synced(vcpu, KVM_SYNC_X86_EVENTS) {
            return Ok((vcpu.sync_regs().events, true));
        }
        self.link.ioctls.get_events += 1;
        Ok((vcpu.get_vcpu_events().map_err(Error::ioctl("KVM_GET_VCPU_EVENTS"))?, false))
    }

    fn before(&mut self, vcpu: &mut VcpuFd) -> Result<Before, Error> {
        let (regs, regs_synced) = self.regs(vcpu)?;
        let (events, events_synced) = self.events(vcpu)?;
        let sregs_synced = Self::synced(vcpu, KVM_SYNC_X86_SREGS);
        let sregs = if sregs_synced {
            vcpu.sync_regs().sregs
        } else {
            self.link.ioctls.get_sregs += 1;
            vcpu.get_sregs().map_err(Error::ioctl("KVM_GET_SREGS"))?
        };
        let mut synced = 0;
        for (there, bit) in
            [(regs_synced, KVM_SYNC_X86_REGS), (events_synced, KVM_SYNC_X86_EVENTS), (sregs_synced, KVM_SYNC_X86_SREGS)]
        {
            synced |= if there { u64::from(bit) } else { 0 };
        }
        Ok(Before { regs, sregs, events, synced })
    }

    /// Steps, and goes on behind MOV SS and POP SS if they hold back a #DB: the kernel has no place for one that waits, so that the
    /// instruction behind which it is due runs here too.
    fn run_on<V: Vmm>(
        &mut self,
        vcpu: &mut VcpuFd,
        vmm: &mut V,
        before_step: impl FnOnce(&mut V, &Cpu) -> Result<(), Stop>,
        given: &[u8],
        retract: bool,
        step: &mut impl FnMut(&mut Engine, &mut Cpu, &mut Linked<'_, V>, Option<&[u8]>) -> Outcome,
    ) -> Result<Finished, Error> {
        let finished = self.run(vcpu, vmm, before_step, given, retract, step)?;
        if self.held.is_none() || !matches!(finished.end, End::Completed(_)) {
            return Ok(finished);
        }
        let next = self.run(vcpu, vmm, |_, _| Ok(()), &[], false, step)?;
        // One that cannot be run here leaves the first to tell of.
        Ok(if matches!(next.end, End::Refused(_) | End::Stopped(_)) { finished } else { next })
    }

    /// Steps, and gives back what has changed.
    fn run<V: Vmm>(
        &mut self,
        vcpu: &mut VcpuFd,
        vmm: &mut V,
        before_step: impl FnOnce(&mut V, &Cpu) -> Result<(), Stop>,
        given: &[u8],
        retract: bool,
        step: &mut impl FnMut(&mut Engine, &mut Cpu, &mut Linked<'_, V>, Option<&[u8]>) -> Outcome,
    ) -> Result<Finished, Error> {
        let before = self.before(vcpu)?;
        let mut events = before.events;
        if retract {
            events::retract_ud(&mut events);
        }
        if let Some(vector) = events::waiting(&events) {
            return Ok(self.finished(End::Refused(Refusal::EventFirst(vector)), By::Kernel));
        }
        let cpu = &mut self.cpu;
        (cpu.valid, cpu.dirty) = (0, 0);
        load_sregs(cpu, &before.sregs);
        load_regs(cpu, &before.regs);
        cpu.set_blocking(events::blocking(&events));
        let held = self.held.take().filter(|held| held.rip == before.regs.rip);
        cpu.set_pending_debug(held.map_or(0, |held| held.bits));
        // Debug registers of an earlier instruction are not to match.
        cpu.update(|s| s.dr[7] &= !0xff);
        self.link.reads.keep_for(&before.regs);
        if cpu.system().cr4 & cr4::PKE != 0 && cpu.system().cr0 & cr0::PG != 0 {
            self.link.get_xsave(vcpu, cpu, component::PKRU)?;
        }
        let ready = before_step(vmm, cpu);
        let insn = ready.ok().and_then(|()| look(cpu, vmm, &self.engine, given));
        let xcr0 = insn.is_some_and(|insn| depends_on_xcr0(&insn));
        if xcr0 {
            self.link.get_xcr0(vcpu, cpu)?;
        }
        let xcr0_before = cpu.system().xcr0;
        if self.breakpoints || insn.is_some_and(|insn| names_debug_register(&insn)) {
            self.link.ioctls.get_debug_regs += 1;
            load_debug_regs(cpu, &vcpu.get_debug_regs().map_err(Error::ioctl("KVM_GET_DEBUGREGS"))?);
        }
        let debug_before = cpu.system().dr;

        let whole = insn.filter(|insn| insn.length() <= given.len());
        let linked = &mut Linked { vmm, vcpu, link: &mut self.link };
        let outcome = match ready {
            Err(stop) => stopped(stop),
            Ok(()) => step(&mut self.engine, cpu, linked, whole.map(|_| given)),
        };
        if let Some(error) = self.link.failure.take() {
            return Err(error);
        }
        self.outcome = Some(outcome);
        let mut payload = None;
        let mut queued = None;
        let end = match outcome {
            Outcome::Completed(retired) => {
                // The resume flag lasts for one instruction, but for the one that loads it.
                let loads_rf = insn.is_some_and(|insn| {
                    matches!(insn.row().exec, Exec::Far(FarOp::Iret | FarOp::Erets | FarOp::Eretu))
                });
                if !retired.rep_unfinished && !loads_rf && cpu.rflags() & rflags::RF != 0 {
                    cpu.set_rflags(cpu.rflags() & !rflags::RF);
                }
                if let Some(event) = retired.debug() {
                    (payload, queued) = (Some(retired.dr6()), Some(event));
                }
                if cpu.pending_debug() != 0 {
                    self.held = Some(Held { rip: cpu.rip, bits: cpu.pending_debug() });
                }
                // MOV to a debug register.
                if cpu.system().dr != debug_before {
                    self.link.ioctls.set_debug_regs += 1;
                    vcpu.set_debug_regs(&debug_regs(cpu)).map_err(Error::ioctl("KVM_SET_DEBUGREGS"))?;
                }
                End::Completed(retired)
            }
            Outcome::Exception(event) if event.kind.is_software() => {
                return Ok(self.finished(End::Refused(Refusal::Software(event)), By::Engine));
            }
            Outcome::Exception(event) => {
                // The bits of DR6 go along, or are set below.
                payload = if event.vector == 1 { Some(event.data.into()) } else { event.cr2 };
                queued = Some(event);
                End::Injected(event)
            }
            Outcome::Retry => {
                let mut bytes = [0; 15];
                bytes[..given.len()].copy_from_slice(given);
                self.held = held;
                self.waiting = Some(Waiting { rip: before.regs.rip, bytes, count: given.len(), retract });
                return Ok(self.finished(End::Retry, By::Engine));
            }
            Outcome::Shutdown => return Ok(self.finished(End::Refused(Refusal::Shutdown), By::Engine)),
            Outcome::Stopped(code) => return Ok(self.finished(End::Stopped(code), By::Engine)),
            Outcome::Refused => return Ok(self.finished(End::Refused(Refusal::Filtered), By::Engine)),
            Outcome::Unsupported(why) => {
                return Ok(self.finished(End::Refused(Refusal::Unsupported(why)), By::Engine));
            }
        };
        if let Some(event) = queued {
            let with_payload = self.capabilities.exception_payload;
            events::inject(&mut events, &event, payload, with_payload);
            if !with_payload {
                self.deliver_payload(vcpu, &event, payload)?;
            }
        }
        self.give_back(vcpu, before, events, xcr0_before)?;
        let finished = self.finished(end, By::Engine);
        self.link.reads.clear();
        Ok(finished)
    }

    /// What delivery of an exception changes beside RIP and the stack, for a kernel that leaves it to us.
    fn deliver_payload(&mut self, vcpu: &VcpuFd, event: &Event, payload: Option<u64>) -> Result<(), Error> {
        match (event.vector, payload) {
            (14, Some(cr2)) => self.cpu.update(|s| s.cr2 = cr2),
            (1, Some(bits)) => {
                self.link.ioctls.get_debug_regs += 1;
                let mut debug = vcpu.get_debug_regs().map_err(Error::ioctl("KVM_GET_DEBUGREGS"))?;
                debug.dr6 = debug.dr6 & !0xf | bits;
                load_debug_regs(&mut self.cpu, &debug);
                self.link.ioctls.set_debug_regs += 1;
                vcpu.set_debug_regs(&debug).map_err(Error::ioctl("KVM_SET_DEBUGREGS"))?;
            }
            _ => {}
        }
        if event.kind == EventKind::Fault {
            self.cpu.set_rflags(self.cpu.rflags() | rflags::RF);
        }
        Ok(())
    }

    fn give_back(
        &mut self,
        vcpu: &mut VcpuFd,
        before: Before,
        mut events: kvm_vcpu_events,
        xcr0_before: u64,
    ) -> Result<(), Error> {
        let (cpu, link) = (&mut self.cpu, &mut self.link);
        link.set_xsave(vcpu, cpu)?;
        if cpu.system().xcr0 != xcr0_before {
            link.set_xcr0(vcpu, cpu)?;
        }
        let mut sregs = before.sregs;
        store_sregs(cpu, &mut sregs);
        if self.capabilities.exception_payload {
            // The kernel sets it when it delivers the exception.
            sregs.cr2 = before.sregs.cr2;
        }
        let regs = regs(cpu);
        if cpu.blocking() != events::blocking(&events) {
            events::set_blocking(&mut events, cpu.blocking());
        }
        let mut dirty = 0;
        if regs != before.regs {
            dirty |= u64::from(KVM_SYNC_X86_REGS);
            if before.synced & u64::from(KVM_SYNC_X86_REGS) == 0 {
                link.ioctls.set_regs += 1;
                vcpu.set_regs(&regs).map_err(Error::ioctl("KVM_SET_REGS"))?;
            }
        }
        if sregs != before.sregs {
            dirty |= u64::from(KVM_SYNC_X86_SREGS);
            if before.synced & u64::from(KVM_SYNC_X86_SREGS) == 0 {
                link.ioctls.set_sregs += 1;
                vcpu.set_sregs(&sregs).map_err(Error::ioctl("KVM_SET_SREGS"))?;
            }
        }
        if events != before.events {
            events::only_ours(&mut events);
            dirty |= u64::from(KVM_SYNC_X86_EVENTS);
            if before.synced & u64::from(KVM_SYNC_X86_EVENTS) == 0 {
                link.ioctls.set_events += 1;
                vcpu.set_vcpu_events(&events).map_err(Error::ioctl("KVM_SET_VCPU_EVENTS"))?;
            }
        }
        let sync = vcpu.sync_regs_mut();
        (sync.regs, sync.sregs, sync.events) = (regs, sregs, events);
        vcpu.get_kvm_run().kvm_dirty_regs |= dirty & before.synced;
        Ok(())
    }
}

/// An MMIO access that the guest waits for.
#[derive(Debug)]
pub struct Mmio<'a> {
    /// Guest-physical address.
    pub at: u64,
    /// The bytes: what is stored, or the place for what is loaded. At most 8.
    pub data: &'a mut [u8],
    /// A store.
    pub write: bool,
}

/// The access that stands in `kvm_run`, if the last exit was KVM_EXIT_MMIO.
pub fn mmio(vcpu: &mut VcpuFd) -> Option<Mmio<'_>> {
    let run = vcpu.get_kvm_run();
    if run.exit_reason != KVM_EXIT_MMIO {
        return None;
    }
    // SAFETY: the exit reason says that this is the part of the union that the kernel has written; all of it is numbers.
    let mmio = unsafe { &mut run.__bindgen_anon_1.mmio };
    let len = (mmio.len as usize).min(mmio.data.len());
    Some(Mmio { at: mmio.phys_addr, data: &mut mmio.data[..len], write: mmio.is_write != 0 })
}

fn interrupted(errno: i32) -> bool {
    std::io::Error::from_raw_os_error(errno).kind() == std::io::ErrorKind::Interrupted
}

/// How the kernel went on.
enum Gone {
    /// The instruction is complete.
    Done,
    /// That is all.
    End(End),
    /// It refused the instruction with #UD, after it had read for it.
    GaveUp,
    /// Another exit.
    Reason(u32),
}

/// A step of the instruction in the exit's bytes, or else of what stands at CS:RIP.
fn plain<V: Vmm>(engine: &mut Engine, cpu: &mut Cpu, linked: &mut Linked<'_, V>, bytes: Option<&[u8]>) -> Outcome {
    match bytes {
        Some(bytes) => engine.step_bytes(cpu, linked, bytes),
        None => engine.step(cpu, linked),
    }
}

/// The same, with a say of `filter`.
fn filtered<V: Vmm, F: Filter>(
    engine: &mut Engine,
    cpu: &mut Cpu,
    linked: &mut Linked<'_, V>,
    bytes: Option<&[u8]>,
    filter: &mut F,
) -> Outcome {
    match bytes {
        Some(bytes) => engine.step_bytes_filtered(cpu, linked, bytes, filter),
        None => engine.step_filtered(cpu, linked, filter),
    }
}

/// What a bus's answer means to the whole step.
fn stopped(stop: Stop) -> Outcome {
    match stop {
        Stop::Fault(event) => Outcome::Exception(event),
        Stop::Retry => Outcome::Retry,
        Stop::Caller(code) => Outcome::Stopped(code),
        Stop::NotProvided(what) => Outcome::Unsupported(Unsupported::Platform(what)),
        Stop::TooWide(_) => Outcome::Unsupported(Unsupported::Platform("page tables of any width")),
    }
}

/// The instruction at CS:RIP, if it can be had without trouble.
fn look<V: Vmm>(cpu: &Cpu, vmm: &mut V, engine: &Engine, given: &[u8]) -> Option<Insn> {
    if !given.is_empty()
        && let Ok(insn) = decode(given, cpu.mode(), engine.profile())
    {
        return Some(insn);
    }
    let linear = match cpu.mode() {
        Mode::Long64 => cpu.rip,
        _ => cpu.seg(Seg::Cs).base.wrapping_add(cpu.rip) & 0xffff_ffff,
    };
    let mut bytes = [0; 15];
    let mut count = 0;
    while count < 15 {
        let mut more = [0; 15];
        let access = Access::new(AccessKind::Fetch, 1, cpu.cpl());
        let n = vmm.fetch(linear.wrapping_add(count as u64), &mut more, &access).ok()?.min(15 - count);
        bytes[count..count + n].copy_from_slice(&more[..n]);
        count += n;
        if let Ok(insn) = decode(&bytes[..count], cpu.mode(), engine.profile()) {
            return Some(insn);
        }
        if n == 0 {
            return None;
        }
    }
    None
}

/// MOV from or to a debug register?
fn names_debug_register(insn: &Insn) -> bool {
    matches!(insn.row().exec, Exec::Privileged(PrivOp::ReadDebug | PrivOp::WriteDebug))
}

/// Does what the instruction does depend on XCR0?
fn depends_on_xcr0(insn: &Insn) -> bool {
    let row = insn.row();
    matches!(row.gate, Gate::Avx | Gate::Avx512 | Gate::Xsave | Gate::Xgetbv)
        || matches!(row.exec, Exec::System(SysOp::Cpuid | SysOp::Xgetbv))
}
