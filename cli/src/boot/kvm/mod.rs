//! `boot --cpu kvm`: the host's processor runs the guest through /dev/kvm, at CPL 3, and the engine finishes the
//! instructions that the kernel gives up on.

mod shares;
mod writer;

use super::args::{Args, Guest, StartMode};
use super::console::Console;
use super::error::{Error, What};
use super::machine::{Machine, code};
use super::memory::Ram;
use super::report;
use super::run::{End, Here, Processor, failure};
use encore86::adapt::kvm::{self, By, Capabilities, Finished, Finisher, Refusal};
use encore86::cpu::registers::rflags;
use encore86::cpu::segment::{Segment, rights};
use encore86::paging::Paging;
use encore86::{Access, Bus, Cpu, Engine, Insn, Mode, Outcome, Platform, Profile, Stop, decode};
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, KVM_SYNC_X86_REGS, kvm_regs, kvm_sregs, kvm_xcrs};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use shares::Shares;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;
use writer::Writers;

/// Guest-physical address of page tables for guests that bring none: above all that they map.
const PAGE_TABLES: u64 = 1 << 32;

/// The virtual machine. Fields are dropped in this order: the guest's memory goes last.
struct Virtual {
    vcpu: VcpuFd,
    _vm: VmFd,
    finisher: Finisher,
    /// Registers come with each exit.
    synced: bool,
    /// Its walker is never told of the guest's registers: this monitor's guests have all memory at its own address.
    memory: Paging<Machine>,
    /// Page tables of ours, in RAM of their own.
    tables: Option<Ram>,
}

/// Boots `guest` with KVM.
///
/// # Errors
/// Where KVM can't be used or has no such guest, and for the ways to end that `run::run` names.
pub fn boot(args: &Args, guest: &Guest, processor: Processor, memory: Paging<Machine>) -> Result<(), Error> {
    if guest.mode != StartMode::Long64 {
        return Err(Error::KvmMode);
    }
    if args.trace.is_some() {
        return Err(Error::KvmOption("--trace"));
    }
    if args.max_steps.is_some() {
        return Err(Error::KvmOption("--max-steps"));
    }
    let profile = processor.engine.profile().clone();
    let mut virtual_machine = Virtual::new(&args.kvm_device, guest, processor, memory)?;
    let mut console = Console::new(guest.is_gallery());
    let mut shares = Shares::default();
    let begun = Instant::now();
    let end = virtual_machine.run(guest, &mut console, &mut shares);
    let seconds = begun.elapsed().as_secs_f64();
    let machine = virtual_machine.memory.inner();
    console.finish(&mut machine.serial).map_err(Error::Console)?;
    let run = format!("after {} exits from KVM in {seconds:.2} s", shares.exits());
    report(args, guest, machine, &profile, end, &run, &shares)
}

fn failed(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Error {
    move |error| Error::Kvm(what, io::Error::from_raw_os_error(error.errno()))
}

fn open(path: &Path) -> Result<Kvm, Error> {
    let unusable = |error| Error::KvmDevice(path.into(), error);
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| unusable(error.into()))?;
    let os_error = |error: kvm_ioctls::Error| io::Error::from_raw_os_error(error.errno());
    let kvm = Kvm::new_with_path(name).map_err(|error| unusable(os_error(error)))?;
    // A file that is no KVM device opens as well.
    match kvm.get_api_version() {
        12 => Ok(kvm),
        version if version < 0 => Err(unusable(io::Error::last_os_error())),
        version => Err(unusable(io::Error::other(format!("it has version {version} of the interface, not 12")))),
    }
}

impl Virtual {
    fn new(device: &Path, guest: &Guest, processor: Processor, mut memory: Paging<Machine>) -> Result<Virtual, Error> {
        let kvm = open(device)?;
        let vm = kvm.create_vm().map_err(failed("KVM_CREATE_VM"))?;
        let capabilities = Capabilities::enable(&vm).map_err(kvm_error)?;
        memory.inner().guest_ram().give_to(&vm, 0, 0).map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
        let tables = match guest.page_tables {
            Some(_) => None,
            None => Some(identity(&vm)?),
        };
        let mut vcpu = vm.create_vcpu(0).map_err(failed("KVM_CREATE_VCPU"))?;
        let Processor { engine, mut cpu } = processor;
        let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(failed("KVM_GET_SUPPORTED_CPUID"))?;
        let cpuid = promised(supported, engine.profile(), &cpu);
        vcpu.set_cpuid2(&cpuid).map_err(failed("KVM_SET_CPUID2"))?;
        user(&mut cpu, guest.page_tables.unwrap_or(PAGE_TABLES));
        set_registers(&vcpu, &cpu)?;
        let finisher = Finisher::new(engine, capabilities).map_err(kvm_error)?;
        finisher.arm(&mut vcpu);
        let synced = capabilities.sync_regs & KVM_SYNC_X86_REGS != 0;
        Ok(Virtual { vcpu, _vm: vm, finisher, synced, memory, tables })
    }

    fn engine(&self) -> &Engine {
        self.finisher.engine()
    }

    /// An ending that names the instruction at `rip`.
    fn end<T>(&mut self, what: What, rip: u64) -> Result<T, Error> {
        let place = Here::long(rip).place(self.finisher.engine(), &mut self.memory);
        Err(Error::Guest(what, place.into()))
    }

    fn regs(&self) -> Result<kvm_regs, Error> {
        if self.synced {
            return Ok(self.vcpu.sync_regs().regs);
        }
        self.vcpu.get_regs().map_err(failed("KVM_GET_REGS"))
    }

    /// Runs until the guest ends.
    fn run(&mut self, guest: &Guest, console: &mut Console, shares: &mut Shares) -> Result<End, Error> {
        let mut writers = Writers::default();
        // The instruction whose read the kernel has had answered, and where it is.
        let mut begun: Option<(u64, Insn)> = None;
        loop {
            let exit = match self.vcpu.run() {
                Ok(VcpuExit::MmioRead(..)) => Exit::Read,
                Ok(VcpuExit::MmioWrite(..)) => Exit::Write,
                Ok(VcpuExit::IoIn(port, data)) => Exit::Port(self.memory.inner().port_in(port, data)),
                Ok(VcpuExit::IoOut(port, data)) => Exit::Port(self.memory.inner().port_out(port, data)),
                Ok(VcpuExit::InternalError) => Exit::GaveUp,
                Ok(VcpuExit::Hlt) => Exit::Halt,
                Ok(VcpuExit::Shutdown) => Exit::Shutdown,
                Ok(other) => Exit::Other(format!("{other:?}")),
                Err(error) if io::Error::from_raw_os_error(error.errno()).kind() == io::ErrorKind::Interrupted => {
                    continue;
                }
                Err(error) => return Err(failed("KVM_RUN")(error)),
            };
            let regs = self.regs()?;
            let mut rip = regs.rip;
            match exit {
                Exit::Read => rip = self.read(regs.rip, shares, &mut begun)?,
                Exit::Write => {
                    let (at, data) = self.write(rip)?;
                    let own = begun.filter(|(at, insn)| rip == at + insn.length() as u64 || rip == *at);
                    let insn = own
                        .or_else(|| writers.find(&regs, at, &data, self.finisher.engine().profile(), &mut self.memory));
                    rip = insn.map_or(rip, |(at, _)| at);
                    shares.count(insn.map(|(_, insn)| insn).as_ref(), By::Kernel, 1, self.memory.inner().take_tally());
                }
                Exit::Port(done) => {
                    if let Err(stop) = done {
                        let what = failure(outcome(stop), self.memory.inner());
                        return self.end(what, rip);
                    }
                    self.finish(rip, 1, shares)?;
                }
                Exit::GaveUp => {
                    self.finish(rip, 1, shares)?;
                    begun = None;
                }
                Exit::Halt if regs.rflags & rflags::IF == 0 => {
                    let place = Here::long(rip).place(self.finisher.engine(), &mut self.memory);
                    return Ok(End::Halt(place));
                }
                Exit::Halt => return self.end(What::Sleeps, rip),
                Exit::Shutdown => return self.end(What::Shutdown, rip),
                Exit::Other(why) => return self.end(What::Kvm(why), rip),
            }
            console.serial(&mut self.memory.inner().serial).map_err(Error::Console)?;
            console.tile(self.memory.inner().registers.tile());
            match self.memory.inner().exit.code() {
                None => {}
                Some(0) => return Ok(End::Exit),
                Some(code) => {
                    let failed = if guest.is_gallery() { self.memory.inner().registers.failed() } else { 0 };
                    return self.end(What::Exit { code, failed }, rip);
                }
            }
        }
    }

    /// Answers the kernel's reads for the instruction at `rip`, and lets it go on, or the engine if it gives up.
    fn read(&mut self, rip: u64, shares: &mut Shares, begun: &mut Option<(u64, Insn)>) -> Result<u64, Error> {
        let (bytes, count) = code(&mut self.memory, rip);
        *begun = decode(&bytes[..count], Mode::Long64, self.engine().profile()).ok().map(|insn| (rip, insn));
        let mut exits = 0;
        loop {
            exits += 1;
            let Some(access) = kvm::mmio(&mut self.vcpu) else { return Ok(rip) };
            let len = access.data.len() as u16;
            if let Err(stop) = self.memory.inner().read(access.at, access.data, &Access::read(len, 3)) {
                let what = failure(outcome(stop), self.memory.inner());
                return self.end(what, rip);
            }
            let finished = self.finish_exit()?;
            match finished.end {
                kvm::End::Exit if kvm::mmio(&mut self.vcpu).is_some_and(|access| !access.write) => {}
                kvm::End::Exit => {
                    // The store of a read-modify-write: counted with the reads, and the kernel's last word.
                    self.write(rip)?;
                    shares.count(
                        begun.map(|(_, insn)| insn).as_ref(),
                        By::Kernel,
                        exits + 1,
                        self.memory.inner().take_tally(),
                    );
                    return Ok(rip);
                }
                end => {
                    let insn = begun.map(|(_, insn)| insn);
                    shares.count(insn.as_ref(), finished.by, exits, self.memory.inner().take_tally());
                    if finished.by == By::Engine {
                        *begun = None;
                    }
                    return self.ended(end, rip).map(|()| rip);
                }
            }
        }
    }

    /// Makes the store that stands in `kvm_run`.
    fn write(&mut self, rip: u64) -> Result<(u64, Vec<u8>), Error> {
        let Some(access) = kvm::mmio(&mut self.vcpu) else { return Ok((0, Vec::new())) };
        let (at, data) = (access.at, access.data.to_vec());
        if let Err(stop) = self.memory.inner().write(at, &data, &Access::write(data.len() as u16, 3)) {
            let what = failure(outcome(stop), self.memory.inner());
            return self.end(what, rip);
        }
        Ok((at, data))
    }

    /// Finishes the exit. The engine walks the guest's page tables anew, which may have changed since. Those of ours the guest
    /// does not reach, and they change nothing.
    fn finish_exit(&mut self) -> Result<Finished, Error> {
        let own = self.tables.is_some();
        let walk = |memory: &mut Paging<Machine>, cpu: &Cpu| {
            if own {
                return Ok(());
            }
            memory.flush();
            memory.load(cpu)
        };
        self.finisher.finish_with(&mut self.vcpu, &mut self.memory, walk).map_err(kvm_error)
    }

    /// Finishes the exit and counts it.
    fn finish(&mut self, rip: u64, exits: u64, shares: &mut Shares) -> Result<(), Error> {
        let finished = self.finish_exit()?;
        let insn = match finished.by {
            By::Engine => self.engine().last().copied(),
            By::Kernel => {
                let (bytes, count) = code(&mut self.memory, rip);
                decode(&bytes[..count], Mode::Long64, self.engine().profile()).ok()
            }
        };
        shares.count(insn.as_ref(), finished.by, exits, self.memory.inner().take_tally());
        self.ended(finished.end, rip)
    }

    fn ended(&mut self, end: kvm::End, rip: u64) -> Result<(), Error> {
        let what = match end {
            kvm::End::Completed(_) | kvm::End::Injected(_) => return Ok(()),
            kvm::End::Stopped(code) => failure(Outcome::Stopped(code), self.memory.inner()),
            kvm::End::Refused(Refusal::Unsupported(why)) => What::Unsupported(why),
            kvm::End::Refused(Refusal::EventFirst(_)) => return Ok(()),
            kvm::End::Refused(why) => What::Kvm(why.to_string()),
            other => What::Unexpected(format!("{other:?}")),
        };
        self.end(what, rip)
    }
}

/// What KVM_RUN came back with.
enum Exit {
    Read,
    Write,
    Port(Result<(), Stop>),
    GaveUp,
    Halt,
    Shutdown,
    Other(String),
}

/// What this machine's answers end a step in.
fn outcome(stop: Stop) -> Outcome {
    match stop {
        Stop::Caller(code) => Outcome::Stopped(code),
        Stop::Fault(event) => Outcome::Exception(event),
        _ => Outcome::Retry,
    }
}

fn kvm_error(error: kvm::Error) -> Error {
    match error {
        kvm::Error::Ioctl(what, error) => Error::Kvm(what, error),
        other => Error::Kvm("reading the processor's state", io::Error::other(other)),
    }
}

/// Page tables that map the first 4 GiB to themselves, for the user.
fn identity(vm: &VmFd) -> Result<Ram, Error> {
    let host = |error| Error::HostMemory(0x6000, error);
    let mut ram = Ram::new(0x6000).map_err(host)?;
    let mut put = |at: u64, entry: u64| ram.store(at, &entry.to_le_bytes());
    // Present, writable, user; the last level of large pages.
    put(0, (PAGE_TABLES + 0x1000) | 7);
    for gib in 0..4 {
        put(0x1000 + 8 * gib, (PAGE_TABLES + 0x2000 + 0x1000 * gib) | 7);
        for page in 0..512 {
            put(0x2000 + 0x1000 * gib + 8 * page, gib << 30 | page << 21 | 0x87);
        }
    }
    ram.give_to(vm, 1, PAGE_TABLES).map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
    Ok(ram)
}

/// What the kernel supports, with the features of the guest's profile.
fn promised(mut list: CpuId, profile: &Profile, cpu: &Cpu) -> CpuId {
    for entry in list.as_mut_slice() {
        if matches!(entry.function, 1 | 7 | 0xd | 0x8000_0001) {
            let answer = profile.cpuid(entry.function, entry.index, cpu.system());
            (entry.eax, entry.ebx, entry.ecx, entry.edx) = (answer.eax, answer.ebx, answer.ecx, answer.edx);
        }
    }
    list
}

/// The same program at CPL 3, with paging on.
fn user(cpu: &mut Cpu, page_tables: u64) {
    cpu.update(|s| {
        for seg in &mut s.seg {
            seg.attr |= 3 << rights::DPL_SHIFT;
            seg.selector |= 3;
        }
        s.cr0 |= encore86::cpu::registers::cr0::PG;
        s.cr3 = page_tables;
        // A busy 64-bit TSS, which the guest never uses.
        s.tr = Segment { selector: 0x28, attr: 0x8b, limit: 0x67, base: 0 };
    });
}

fn set_registers(vcpu: &VcpuFd, cpu: &Cpu) -> Result<(), Error> {
    let mut sregs: kvm_sregs = vcpu.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
    kvm::store_sregs(cpu, &mut sregs);
    vcpu.set_sregs(&sregs).map_err(failed("KVM_SET_SREGS"))?;
    let mut xcrs = kvm_xcrs::default();
    kvm::store_xcrs(cpu, &mut xcrs);
    vcpu.set_xcrs(&xcrs).map_err(failed("KVM_SET_XCRS"))?;
    vcpu.set_regs(&kvm::regs(cpu)).map_err(failed("KVM_SET_REGS"))
}
