//! What a monitor without an emulator pays for one store to a page that it watches: it lifts the page's permission, has
//! the processor step over the store, and restores the permission, all by `ptrace` on a child that faults on the page.
//!
//! The child never runs code of its own: the parent sets its registers, system calls included. That each round worked
//! shows in where the child stops, so no round pays for a look at what a system call returned.

use criterion::{BenchmarkId, Criterion, Throughput};
use libc::{PROT_NONE, PROT_READ, PROT_WRITE, SIGSEGV, SIGSTOP, SIGTRAP, user_regs_struct};
use libc::{
    PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETOPTIONS, PTRACE_SETREGS, PTRACE_SINGLESTEP, c_int, c_long, c_uint,
    cpu_set_t, pid_t,
};
use std::arch::naked_asm;
use std::cell::Cell;
use std::io;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

const PAGE: usize = 4096;
/// What the child stores.
const VALUE: u32 = 0x00c0_ffee;

/// The store that the page's protection stops.
#[unsafe(naked)]
extern "C" fn store() {
    naked_asm!("mov [rbx], eax", "ud2")
}

const STORE_LENGTH: u64 = 2;

/// Where the child makes a system call that the parent chose.
#[unsafe(naked)]
extern "C" fn system_call() {
    naked_asm!("syscall", "ud2")
}

/// A page that parent and child share, each with a protection of its own.
struct SharedPage(NonNull<u32>);

impl SharedPage {
    fn new() -> io::Result<SharedPage> {
        let (prot, flags) = (PROT_READ | PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, at an address of the kernel's choice, touches no other memory.
        let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, prot, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast()).map(SharedPage).ok_or(io::ErrorKind::OutOfMemory.into())
    }

    fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }

    /// The first word, as the parent sees it.
    fn word(&self) -> u32 {
        // SAFETY: the page stays mapped and readable here as long as `self` lives; the child, stopped, does not write.
        unsafe { self.0.as_ptr().read_volatile() }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: the page is `self`'s own, and nothing points to it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), PAGE) };
    }
}

/// Keeps this thread, and the children that it forks, on the processor where it is. Parent and child take turns: waking
/// the other one on another processor only adds to the price, several times over under some hypervisors.
struct Pinned(cpu_set_t);

impl Pinned {
    fn new() -> io::Result<Pinned> {
        // SAFETY: zero is the empty set.
        let (mut before, mut here): (cpu_set_t, cpu_set_t) = unsafe { std::mem::zeroed() };
        // SAFETY: the set has the size that is stated, and the number comes from the kernel and fits into the set.
        let result = unsafe {
            libc::CPU_SET(libc::sched_getcpu() as usize, &mut here);
            libc::sched_getaffinity(0, size_of::<cpu_set_t>(), &mut before)
        };
        if result == -1 || !set_affinity(&here) { Err(io::Error::last_os_error()) } else { Ok(Pinned(before)) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        set_affinity(&self.0);
    }
}

fn set_affinity(set: &cpu_set_t) -> bool {
    // SAFETY: the kernel reads a set of the size that is stated.
    unsafe { libc::sched_setaffinity(0, size_of::<cpu_set_t>(), set) == 0 }
}

/// A child that stands still whenever the parent does not move it.
struct Tracee {
    pid: pid_t,
    /// Its registers right before the store.
    at_store: user_regs_struct,
    page: SharedPage,
    /// It has ended and its number may be another process's.
    reaped: Cell<bool>,
}

impl Tracee {
    /// A child right before the store, its page not writable.
    fn new() -> io::Result<Tracee> {
        let page = SharedPage::new()?;
        // SAFETY: the child makes no call but system calls, which a fork of a process with threads may do.
        let pid = match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()),
            0 => child(),
            pid => pid,
        };
        // SAFETY: zero is a value of every register.
        let mut tracee = Tracee { pid, at_store: unsafe { std::mem::zeroed() }, page, reaped: Cell::new(false) };
        tracee.expect_stop(SIGSTOP)?;
        tracee.ptrace(PTRACE_SETOPTIONS, libc::PTRACE_O_EXITKILL as usize)?;
        tracee.at_store = tracee.registers()?;
        tracee.at_store.rip = store as *const () as u64;
        tracee.at_store.rbx = tracee.page.address();
        tracee.at_store.rax = VALUE.into();
        // No system call is under way that the kernel would have to start again.
        tracee.at_store.orig_rax = u64::MAX;
        tracee.protect(PROT_NONE)?;
        tracee.set_registers(&tracee.at_store)?;
        Ok(tracee)
    }

    fn ptrace(&self, request: c_uint, data: usize) -> io::Result<()> {
        // SAFETY: of the requests made here only GETREGS writes memory of this process, where `registers` says, and
        // none but the child, which runs no Rust code any more, is changed.
        let result: c_long = unsafe { libc::ptrace(request, self.pid, ptr::null_mut::<u8>(), data) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn registers(&self) -> io::Result<user_regs_struct> {
        let mut registers = self.at_store;
        self.ptrace(PTRACE_GETREGS, &raw mut registers as usize)?;
        Ok(registers)
    }

    fn set_registers(&self, registers: &user_regs_struct) -> io::Result<()> {
        self.ptrace(PTRACE_SETREGS, ptr::from_ref(registers) as usize)
    }

    /// Waits until the child stops, which must be for `signal`.
    fn expect_stop(&self, signal: c_int) -> io::Result<()> {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the kernel to write to.
        if unsafe { libc::waitpid(self.pid, &mut status, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
        if libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == signal {
            return Ok(());
        }
        self.reaped.set(!libc::WIFSTOPPED(status));
        if libc::WIFEXITED(status) {
            return Err(io::Error::from_raw_os_error(libc::WEXITSTATUS(status)));
        }
        Err(io::Error::other(format!("the child has wait status {status:#x}, not a stop for signal {signal}")))
    }

    fn single_step(&self) -> io::Result<()> {
        self.ptrace(PTRACE_SINGLESTEP, 0)?;
        self.expect_stop(SIGTRAP)
    }

    /// Changes the protection of the child's page by a system call of the child. Its registers are lost.
    fn protect(&self, protection: c_int) -> io::Result<()> {
        self.set_registers(&user_regs_struct {
            rip: system_call as *const () as u64,
            rax: libc::SYS_mprotect as u64,
            rdi: self.page.address(),
            rsi: PAGE as u64,
            rdx: protection as u64,
            ..self.at_store
        })?;
        self.single_step()
    }

    /// The child runs into the protection.
    fn run_into_fault(&self) -> io::Result<()> {
        self.ptrace(PTRACE_CONT, 0)?;
        self.expect_stop(SIGSEGV)
    }

    /// From a child stopped by the protection to one that has the store behind it and the protection back.
    fn finish_store(&self) -> io::Result<()> {
        let before = self.registers()?;
        self.protect(PROT_READ | PROT_WRITE)?;
        self.set_registers(&before)?;
        self.single_step()?;
        let after = self.registers()?;
        self.protect(PROT_NONE)?;
        if after.rip != before.rip + STORE_LENGTH {
            return Err(io::Error::other(format!("the step over the store ended at {:#x}", after.rip)));
        }
        // The child goes on as the store left it, but for the next round, which finds it before the store again.
        self.set_registers(&user_regs_struct { rip: before.rip, ..after })
    }

    /// One store, looked at: it is not there before its round and it is there after it.
    fn check(&self) -> io::Result<()> {
        self.run_into_fault()?;
        assert_eq!(self.page.word(), 0, "the store went through the protection");
        self.finish_store()?;
        assert_eq!(self.page.word(), VALUE, "the store did not arrive");
        Ok(())
    }

    fn rounds(&self, count: u64) -> io::Result<Duration> {
        let start = Instant::now();
        for _ in 0..count {
            self.run_into_fault()?;
            self.finish_store()?;
        }
        Ok(start.elapsed())
    }

    /// Steps alone: the page is writable, and the way back to the store is not timed.
    fn steps(&self, count: u64) -> io::Result<Duration> {
        self.protect(PROT_READ | PROT_WRITE)?;
        let mut time = Duration::ZERO;
        for _ in 0..count {
            self.set_registers(&self.at_store)?;
            let start = Instant::now();
            self.single_step()?;
            time += start.elapsed();
        }
        Ok(time)
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if self.reaped.get() {
            return;
        }
        // SAFETY: a child that was not reaped still owns its number.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, ptr::null_mut(), 0);
        }
    }
}

/// Waits for the parent to take over; if it cannot, the exit code says why.
fn child() -> ! {
    // SAFETY: system calls only, which touch no memory of this process.
    unsafe {
        let denied = libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == -1;
        if denied {
            libc::_exit(*libc::__errno_location());
        }
        libc::raise(SIGSTOP);
        libc::_exit(libc::EINTR)
    }
}

/// A child whose first store went as it should.
fn prepare() -> io::Result<(Pinned, Tracee)> {
    let prepared = (Pinned::new()?, Tracee::new()?);
    prepared.1.check()?;
    Ok(prepared)
}

pub fn single_step(c: &mut Criterion) {
    let (_pinned, tracee) = match prepare() {
        Ok(prepared) => prepared,
        Err(why) => return println!("SKIPPED single-step: {why}"),
    };
    let mut group = c.benchmark_group("single-step");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let store = |how| BenchmarkId::new("mov [m],eax", how);
    group.bench_function(store("permission lifted and restored"), |b| {
        b.iter_custom(|count| tracee.rounds(count).expect("a round like the first one"));
    });
    group.bench_function(store("the step alone"), |b| {
        b.iter_custom(|count| tracee.steps(count).expect("a step over a store to a writable page"));
    });
    group.finish();
}
