//! Protects a page of a running KVM guest, sees each write to it through the engine, and discards some of them, without ever
//! lifting the protection, so that no other virtual processor finds the page open.
//!
//! The guest's memory is mapped twice. KVM has the first mapping, where the page is read-only for good: a store to it makes
//! KVM_RUN fail with EFAULT before anything of the instruction has happened. The engine then runs that one instruction on the
//! second mapping, through two adaptors: `Record` lists what it stores, and `Discard` drops the stores to a part of the page.
//!
//! Two virtual processors run at once. The first writes in several ways; the second hammers one quadword of the page.
//!
//! ```sh
//! cargo run --release --example introspect --features kvm
//! ```

use encore86::adapt::kvm::{Capabilities, End, Finisher, Refusal};
use encore86::host::HostRam;
use encore86::introspect::{Discard, Record, What};
use encore86::{Access, Bus, Engine, Platform, Profile, Stop};
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_regs, kvm_segment, kvm_sregs, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use std::error::Error;
use std::io;
use std::ops::RangeInclusive;
use std::ptr::{self, NonNull};

/// Bytes of guest memory. Its last page but one is the protected one.
const MEMORY: usize = 0x10_0000;
/// The protected page: guest-physical, and by the identity mapping linear.
pub const PAGE: u64 = 0xf_e000;
/// Stores to these addresses are discarded.
pub const DISCARDED: RangeInclusive<u64> = PAGE + 0x800..=PAGE + 0xfff;
/// What the second virtual processor stores to.
pub const HAMMERED: u64 = PAGE + 0xf00;
/// Set when the second virtual processor is to end.
const STOP: u64 = 0x8000;
/// A device: virtual processors say here how often they stored.
const PORT: u64 = 0x4000_0000;
const TABLES: u64 = 0x1000;
const CODE: u64 = 0x9000;

// RBX is the page, RDX how often, RSI the stop flag, RDI the port. Each counts its stores to the page in R8.
core::arch::global_asm!(
    ".section .rodata.introspect, \"a\", @progbits",
    "introspect_writer:",
    "2:  mov [rbx], rdx",
    "    movups [rbx + 0x10], xmm0",
    "    lock xadd [rbx + 0x20], rax",
    "    mov dword ptr [rbx + 0x7fe], -1", // over the edge: discarded whole
    "    mov byte ptr [rbx + 0x900], 1",
    "    add r8, 5",
    "    dec rdx",
    "    jnz 2b",
    "    mov [rdi], r8",
    "introspect_hammer:",
    "2:  mov [rbx + 0xf00], r8",
    "    inc r8",
    "    cmp byte ptr [rsi], 0",
    "    je 2b",
    "    mov [rdi], r8",
    "introspect_end:",
    ".text",
    options(raw)
);

unsafe extern "C" {
    #[link_name = "introspect_writer"]
    static WRITER: u8;
    #[link_name = "introspect_hammer"]
    static HAMMER: u8;
    #[link_name = "introspect_end"]
    static END: u8;
}

/// Guest memory at two host addresses.
#[derive(Debug)]
pub struct Memory {
    /// The guest's: the protected page can't be written here.
    guest: NonNull<u8>,
    /// Ours.
    ours: NonNull<u8>,
}

// SAFETY: both mappings belong to the value, and are touched by volatile and locked accesses only (`HostRam`).
unsafe impl Send for Memory {}
// SAFETY: as above; the accesses take no notice of each other, as those of processors.
unsafe impl Sync for Memory {}

impl Memory {
    fn new() -> io::Result<Memory> {
        let check = |at: *mut libc::c_void| match at {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            at => NonNull::new(at.cast()).ok_or_else(|| io::Error::other("a mapping at 0")),
        };
        // SAFETY: a new file and new mappings of it, which replace none; only the page that is protected changes its rights.
        unsafe {
            let file = libc::memfd_create(c"guest".as_ptr(), libc::MFD_CLOEXEC);
            if file < 0 || libc::ftruncate(file, MEMORY as i64) != 0 {
                return Err(io::Error::last_os_error());
            }
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let map = || check(libc::mmap(ptr::null_mut(), MEMORY, rights, libc::MAP_SHARED, file, 0));
            let memory = Memory { guest: map()?, ours: map()? };
            libc::close(file);
            let page = memory.guest.as_ptr().add(PAGE as usize);
            if libc::mprotect(page.cast(), 0x1000, libc::PROT_READ) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(memory)
        }
    }

    /// `len` bytes of ours.
    fn grant(&self, at: u64, len: usize) -> Option<HostRam<'_>> {
        let end = at.checked_add(len as u64)?;
        if end > MEMORY as u64 {
            return None;
        }
        let start = NonNull::new(self.ours.as_ptr().wrapping_add(at as usize))?;
        // SAFETY: inside the mapping, which lives as long as `self` and is touched by such grants alone.
        Some(unsafe { HostRam::new(start, len) })
    }

    fn store(&self, at: u64, bytes: &[u8]) {
        self.grant(at, bytes.len()).expect("inside the memory").store(bytes);
    }

    /// Reads what the guest sees.
    pub fn load<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.grant(at, N).expect("inside the memory").load(&mut bytes);
        bytes
    }

    /// Where the guest's mapping of the protected page is.
    pub fn protected(&self) -> usize {
        self.guest.as_ptr() as usize + PAGE as usize
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mappings that `new` made; the virtual machine is gone, or faults from now on.
        unsafe {
            libc::munmap(self.guest.as_ptr().cast(), MEMORY);
            libc::munmap(self.ours.as_ptr().cast(), MEMORY);
        }
    }
}

/// The engine's bus: our mapping, at linear addresses, which the guest's page tables make the physical ones.
struct Ours<'a>(&'a Memory);

impl Ours<'_> {
    fn at(&self, linear: u64, len: usize) -> Result<HostRam<'_>, Stop> {
        self.0.grant(linear, len).ok_or(Stop::NotProvided("memory there"))
    }
}

impl Bus for Ours<'_> {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        self.at(linear, 15)?.load(buf);
        Ok(15)
    }
    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        self.at(linear, buf.len())?.load(buf);
        Ok(())
    }
    fn write(&mut self, linear: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        self.at(linear, buf.len())?.store(buf);
        Ok(())
    }
    fn probe(&mut self, linear: u64, len: usize, _: &Access) -> Result<(), Stop> {
        self.at(linear, len).map(drop)
    }
    // Locked instructions stay locked, against the other processor too.
    fn ram(&mut self, linear: u64, len: usize, _: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.at(linear, len).map(Some)
    }
}

impl Platform for Ours<'_> {}

/// A store that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub at: u64,
    /// What.
    pub bytes: Vec<u8>,
    /// Was it dropped?
    pub discarded: bool,
}

/// What became of one virtual processor.
#[derive(Debug, Default)]
pub struct Report {
    /// Stores to the page, in order.
    pub seen: Vec<Seen>,
    /// How many it says it made.
    pub made: u64,
}

/// Runs both virtual processors until the first has stored `times` five times. Gives what was seen of each, and the memory.
///
/// # Errors
/// Where KVM can't be used.
pub fn run(times: u64) -> Result<([Report; 2], Memory), Box<dyn Error>> {
    let kvm = Kvm::new()?;
    let vm = kvm.create_vm()?;
    let capabilities = Capabilities::enable(&vm)?;
    let memory = Memory::new()?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: MEMORY as u64,
        userspace_addr: memory.guest.as_ptr() as u64,
    };
    // SAFETY: the range is mapped as long as the guest runs: `memory` is given back behind it.
    unsafe { vm.set_user_memory_region(region)? };
    tables(&memory);
    // SAFETY: the symbols bound one stretch of a read-only section.
    let (code, hammer) = unsafe {
        let (writer, hammer, end) = (&raw const WRITER, &raw const HAMMER, &raw const END);
        (std::slice::from_raw_parts(writer, end.offset_from_unsigned(writer)), hammer.offset_from_unsigned(writer))
    };
    memory.store(CODE, code);
    memory.store(PAGE, &[0x11; 0x1000]);

    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
    let mut processors = Vec::new();
    for (number, entry) in [CODE, CODE + hammer as u64].into_iter().enumerate() {
        let mut vcpu = create(&vm, number as u64)?;
        vcpu.set_cpuid2(&cpuid)?;
        let registers = kvm_regs {
            rip: entry,
            rflags: 2,
            rax: 1,
            rbx: PAGE,
            rdx: times,
            rsi: STOP,
            rdi: PORT,
            ..kvm_regs::default()
        };
        vcpu.set_regs(&registers)?;
        let finisher = Finisher::new(Engine::new(Profile::host())?, capabilities)?;
        finisher.arm(&mut vcpu);
        processors.push((vcpu, finisher));
    }
    let memory_ref = &memory;
    let [first, second] = std::thread::scope(|scope| {
        let mut threads = processors.into_iter().map(|(vcpu, finisher)| {
            scope.spawn(move || watch(vcpu, finisher, memory_ref).map_err(|error| error.to_string()))
        });
        let [first, second] = [threads.next(), threads.next()];
        [first, second].map(|thread| {
            let report = thread.map_or(Err("no thread".to_owned()), |thread| {
                thread.join().unwrap_or_else(|_| Err("the thread panicked".to_owned()))
            });
            // The first has ended, or failed: the other has to end too.
            memory_ref.store(STOP, &[1]);
            report
        })
    });
    Ok(([first?, second?], memory))
}

/// Runs one virtual processor to its end.
fn watch(mut vcpu: VcpuFd, mut finisher: Finisher, memory: &Memory) -> Result<Report, Box<dyn Error>> {
    let mut bus = Record::new(Discard::within(Ours(memory), DISCARDED));
    let mut report = Report::default();
    loop {
        match vcpu.run() {
            Ok(VcpuExit::MmioWrite(PORT, data)) => {
                report.made = data.try_into().map(u64::from_le_bytes)?;
                return Ok(report);
            }
            // A kernel that says where, and one that does not.
            Ok(VcpuExit::MemoryFault { .. }) => {}
            Err(error) if error.errno() == libc::EFAULT => {}
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => continue,
            Ok(other) => return Err(format!("an exit that nobody expects: {other:?}").into()),
            Err(error) => return Err(error.into()),
        }
        let finished = finisher.emulate(&mut vcpu, &mut bus, |_, _| Ok(()))?;
        if let Some(outcome) = &finished.outcome {
            bus.settle(outcome, None);
        }
        match finished.end {
            End::Completed(_) | End::Injected(_) | End::Refused(Refusal::EventFirst(_)) => {}
            other => return Err(format!("the store can't be finished: {other:?}").into()),
        }
        for access in bus.take() {
            let bytes = match access.what {
                What::Write(bytes) => bytes,
                What::Rmw { new, .. } => new,
                _ => continue,
            };
            let last = access.at + bytes.len() as u64 - 1;
            let discarded = access.at <= *DISCARDED.end() && last >= *DISCARDED.start();
            report.seen.push(Seen { at: access.at, bytes, discarded });
        }
    }
}

/// Identity mapping of the memory in pages of 4 KiB, and of the port.
fn tables(memory: &Memory) {
    let put = |at: u64, entry: u64| memory.store(at, &entry.to_le_bytes());
    // Present, writable, user.
    put(TABLES, (TABLES + 0x1000) | 7);
    put(TABLES + 0x1000, (TABLES + 0x2000) | 7);
    put(TABLES + 0x1008, (TABLES + 0x4000) | 7);
    put(TABLES + 0x2000, (TABLES + 0x3000) | 7);
    for page in 0..MEMORY as u64 / 0x1000 {
        put(TABLES + 0x3000 + 8 * page, page << 12 | 7);
    }
    put(TABLES + 0x4000, PORT | 0x87);
}

/// A virtual processor in 64-bit mode at CPL 3.
fn create(vm: &VmFd, number: u64) -> Result<VcpuFd, kvm_ioctls::Error> {
    let vcpu = vm.create_vcpu(number)?;
    let mut s: kvm_sregs = vcpu.get_sregs()?;
    let user = |selector, type_, l| kvm_segment {
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        dpl: 3,
        db: 1 - l,
        s: 1,
        l,
        g: 1,
        ..kvm_segment::default()
    };
    s.cs = user(0x23, 11, 1);
    let data = user(0x1b, 3, 0);
    (s.ds, s.es, s.fs, s.gs, s.ss) = (data, data, data, data, data);
    s.tr = kvm_segment { limit: 0x67, selector: 0x28, type_: 11, present: 1, ..kvm_segment::default() };
    // PE, MP, ET, NE, PG; PAE, OSFXSR, OSXMMEXCPT; LME, LMA.
    (s.cr0, s.cr3, s.cr4, s.efer) = (0x8000_0033, TABLES, 0x620, 0x500);
    vcpu.set_sregs(&s)?;
    // The second processor of a machine waits for a start-up interrupt, unless it is told not to.
    vcpu.set_mp_state(kvm_bindings::kvm_mp_state { mp_state: kvm_bindings::KVM_MP_STATE_RUNNABLE })?;
    Ok(vcpu)
}

#[allow(dead_code)] // the test of this example has its own
fn main() -> Result<(), Box<dyn Error>> {
    let (reports, memory) = run(1000)?;
    for (number, Report { seen, made }) in reports.iter().enumerate() {
        let discarded = seen.iter().filter(|store| store.discarded).count();
        println!("virtual processor {number}: stored {made} times, {} seen, {discarded} of them discarded", seen.len());
    }
    println!("the hammered quadword still holds {:02x?}", memory.load::<8>(HAMMERED));
    Ok(())
}
