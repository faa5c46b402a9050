//! Bytes of any kind, run natively where they can do no harm: in a forked child whose every system call but two is
//! refused by the kernel itself, whatever the bytes are.
//!
//! The bytes lie at the end of a page with nothing behind it. They are uncovered one after the other, until the processor no
//! longer asks for the next page: that many bytes the instruction has. One instruction runs, then TF stops it.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::io;
use std::time::Instant;

use crate::oracle::{Error, Mode, Oracle, Setup};
use crate::slot::CODE_LEN;
use crate::state::{Ended, RSP, State};

/// The bytes of a case. An instruction has at most 15: the last one shows whether the processor wants more.
pub const CASE_LEN: usize = 16;
/// The most cases of one [`Sandbox::run`].
pub const BATCH: usize = 1 << 14;
/// A case that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// The child's exit code where the kernel does not take its filter.
const REFUSED: i32 = 77;

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many bytes were there when the processor did not ask for more. 0 where the child did not live to tell.
    pub fetched: u8,
    /// What happened then.
    pub end: End,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The instruction completed.
    Retired,
    /// It raised an exception.
    Exception {
        /// The vector.
        vector: u8,
        /// The error code, 0 for a vector without one.
        error: u16,
    },
    /// It was a system call, and the filter stopped it.
    SystemCall,
    /// Even with all bytes there the processor asked for more.
    Endless,
    /// The child died of it.
    Died,
    /// It did not end, and the child was killed.
    Hung,
}

impl Outcome {
    const fn lost(end: End) -> Outcome {
        Outcome { fetched: 0, end }
    }

    /// Was it #UD?
    pub fn is_undefined(self) -> bool {
        matches!(self.end, End::Exception { vector: 6, .. })
    }

    fn pack(self) -> u64 {
        let (kind, vector, error) = match self.end {
            End::Retired => (0, 0, 0),
            End::Exception { vector, error } => (1, vector, error),
            End::SystemCall => (2, 0, 0),
            End::Endless => (3, 0, 0),
            End::Died => (4, 0, 0),
            End::Hung => (5, 0, 0),
        };
        u64::from(self.fetched) | kind << 8 | u64::from(vector) << 16 | u64::from(error) << 32
    }

    fn unpack(word: u64) -> Outcome {
        let end = match word >> 8 & 0xff {
            0 => End::Retired,
            1 => End::Exception { vector: (word >> 16) as u8, error: (word >> 32) as u16 },
            2 => End::SystemCall,
            3 => End::Endless,
            4 => End::Died,
            _ => End::Hung,
        };
        Outcome { fetched: word as u8, end }
    }
}

/// What parent and child both see. The child has no system call to tell anything by.
struct Shared {
    /// The case that the child is at.
    at: AtomicU32,
    cases: [[AtomicU64; CASE_LEN / 8]; BATCH],
    outcomes: [AtomicU64; BATCH],
}

/// An oracle for bytes of any kind. It stays on its thread.
pub struct Sandbox {
    oracle: Oracle,
    shared: *mut Shared,
    /// What cases find in RAX, where it is not an address.
    rax: Option<u64>,
}

impl core::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Sandbox {{ {:?} }}", self.oracle)
    }
}

impl Sandbox {
    /// Maps what is needed. Nothing has been forked yet.
    ///
    /// # Errors
    /// [`Error`] says what the host or the system refused.
    pub fn new() -> Result<Sandbox, Error> {
        // SAFETY: code runs in a child alone. What it writes is the child's, but for the oracle's code pages, which it
        // finds read-only, and outcomes, which are checked as they are read; it can make no system call, and the parent
        // ends it.
        let oracle = unsafe { Oracle::new() }?;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping harms nobody.
        let shared = unsafe { libc::mmap(core::ptr::null_mut(), size_of::<Shared>(), access, flags, -1, 0) };
        if shared == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        Ok(Sandbox { oracle, shared: shared.cast(), rax: None })
    }

    /// The same, with this in RAX for each case.
    pub fn with_rax(self, rax: u64) -> Sandbox {
        let mut sandbox = self;
        sandbox.rax = Some(rax);
        sandbox
    }

    /// Runs the cases, at most [`BATCH`], and does something else meanwhile.
    ///
    /// # Errors
    /// [`Error`] says what the system refused: fork, the filter, or the segments of a compatibility mode.
    ///
    /// # Panics
    /// If there are more cases than that.
    pub fn run(
        &mut self,
        mode: Mode,
        cases: &[[u8; CASE_LEN]],
        meanwhile: impl FnOnce(),
    ) -> Result<Vec<Outcome>, Error> {
        assert!(cases.len() <= BATCH, "a batch has at most {BATCH} cases");
        self.oracle.prepare(mode)?;
        // SAFETY: mapped in `new`, zeroed, and all of it atomic, so that what the child writes is no race.
        let shared = unsafe { &*self.shared };
        for (place, case) in shared.cases.iter().zip(cases) {
            for (word, bytes) in place.iter().zip(case.as_chunks::<8>().0) {
                word.store(u64::from_le_bytes(*bytes), Relaxed);
            }
        }
        let mut child = self.fork(shared, mode, 0, cases.len())?;
        meanwhile();
        loop {
            let end = match child.wait(shared)? {
                Fate::Finished => break,
                Fate::Refused => {
                    let refused = io::Error::other("the kernel takes no seccomp filter from the child");
                    return Err(refused.into());
                }
                Fate::Died => End::Died,
                Fate::Hung => End::Hung,
            };
            let at = shared.at.load(Relaxed) as usize;
            // The index is the child's word; nothing but a broken child would give another.
            let Some(outcome) = shared.outcomes[..cases.len()].get(at) else { break };
            outcome.store(Outcome::lost(end).pack(), Relaxed);
            if at + 1 == cases.len() {
                break;
            }
            child = self.fork(shared, mode, at + 1, cases.len())?;
        }
        Ok(shared.outcomes[..cases.len()].iter().map(|word| Outcome::unpack(word.load(Relaxed))).collect())
    }

    fn fork(&mut self, shared: &Shared, mode: Mode, first: usize, count: usize) -> io::Result<Child> {
        for outcome in &shared.outcomes[first..count] {
            outcome.store(Outcome::lost(End::Died).pack(), Relaxed);
        }
        shared.at.store(first as u32, Relaxed);
        let parent = std::process::id();
        // SAFETY: the child calls nothing that allocates or locks, which another thread of the parent might have been
        // about when it was forked.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => self.child(shared, mode, first..count, parent),
            pid => Ok(Child { pid, at: first as u32, since: Instant::now() }),
        }
    }

    /// The child's life.
    fn child(&mut self, shared: &Shared, mode: Mode, range: core::ops::Range<usize>, parent: u32) -> ! {
        // SAFETY: plain system calls of a process with one thread.
        let confined = unsafe { confine(parent) };
        if confined.is_none() {
            // SAFETY: no destructors, no buffers: the parent's are not to be flushed twice.
            unsafe { libc::_exit(REFUSED) };
        }
        let state = self.state(mode);
        for i in range {
            shared.at.store(i as u32, Relaxed);
            let mut bytes = [0; CASE_LEN];
            for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&shared.cases[i]) {
                *chunk = word.load(Relaxed).to_le_bytes();
            }
            let outcome = uncover(&mut self.oracle, mode, &bytes, &state);
            shared.outcomes[i].store(outcome.pack(), Relaxed);
        }
        // SAFETY: ends the process.
        unsafe { exit(0) }
    }

    /// All registers point into the data area.
    fn state(&self, mode: Mode) -> State {
        let mut state = State::default();
        let data = if mode == Mode::Compat16 { 0 } else { self.oracle.data_address() };
        state.gpr = [data + 0x1000; 16];
        state.gpr[RSP] = data + 0x2000;
        state.gpr[0] = self.rax.unwrap_or(state.gpr[0]);
        (state.fs_base, state.gs_base) = (self.oracle.data_address(), self.oracle.data_address());
        state
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`; no reference to it is left, and a child would have its own mapping.
        unsafe { libc::munmap(self.shared.cast(), size_of::<Shared>()) };
    }
}

/// Runs the first byte, the first two, …, until the processor asks for no more.
fn uncover(oracle: &mut Oracle, mode: Mode, bytes: &[u8; CASE_LEN], state: &State) -> Outcome {
    /// An instruction fetch.
    const FETCH: u64 = 1 << 4;
    let end_of_code = oracle.code_address() + CODE_LEN as u64;
    for len in 1..=CASE_LEN {
        let setup = Setup { mode, ..Setup::at_end(len).stepping() };
        let (ended, _) = oracle.run_with(&setup, &bytes[..len], state);
        let end = match ended {
            Ended::Signal { trap: 14, error, cr2 } if error & FETCH != 0 && cr2 == end_of_code => continue,
            Ended::Signal { trap, error, .. } => End::Exception { vector: trap, error: error as u16 },
            Ended::SystemCall => End::SystemCall,
            Ended::Retired => End::Retired,
        };
        return Outcome { fetched: len as u8, end };
    }
    Outcome { fetched: CASE_LEN as u8, end: End::Endless }
}

enum Fate {
    Finished,
    Refused,
    Died,
    Hung,
}

/// A child that runs; killed on drop.
struct Child {
    pid: libc::pid_t,
    at: u32,
    since: Instant,
}

impl Child {
    /// Waits until it is at the end, or is at one case for too long.
    fn wait(&mut self, shared: &Shared) -> io::Result<Fate> {
        loop {
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            let reaped = unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
            if reaped < 0 {
                return Err(io::Error::last_os_error());
            }
            if reaped == self.pid {
                self.pid = 0;
                let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
                return Ok(match code {
                    Some(0) => Fate::Finished,
                    Some(REFUSED) => Fate::Refused,
                    _ => Fate::Died,
                });
            }
            let at = shared.at.load(Relaxed);
            if at != self.at {
                (self.at, self.since) = (at, Instant::now());
            } else if self.since.elapsed() > PATIENCE {
                return Ok(Fate::Hung);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid > 0 {
            // SAFETY: our own child, not reaped yet.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, core::ptr::null_mut(), 0);
            }
        }
    }
}

unsafe extern "sysv64" {
    #[link_name = "encore86_oracle_exit"]
    fn exit(code: i32) -> !;
    #[link_name = "encore86_oracle_exit_end"]
    static EXIT_END: u8;
}

global_asm!(
    r#"
    .pushsection .text.encore86_oracle_exit, "ax", @progbits
    .globl encore86_oracle_exit
    .hidden encore86_oracle_exit
encore86_oracle_exit:
    mov eax, {EXIT_GROUP}
    syscall
    .globl encore86_oracle_exit_end
    .hidden encore86_oracle_exit_end
encore86_oracle_exit_end:
    ud2
    .popsection
    "#,
    EXIT_GROUP = const libc::SYS_exit_group,
);

/// Takes everything from this process but the return from a signal and its own end. `None` if the kernel refuses.
///
/// # Safety
/// For a child that runs nothing but `Sandbox::child` from here on.
unsafe fn confine(parent: u32) -> Option<()> {
    let taken = |result: i32| (result == 0).then_some(());
    // SAFETY: plain system calls; all pointers are to locals.
    unsafe {
        taken(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        if libc::getppid() as u32 != parent {
            return None;
        }
        for (resource, limit) in [
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_FSIZE, 0),
            (libc::RLIMIT_NPROC, 0),
            (libc::RLIMIT_MEMLOCK, 0),
            (libc::RLIMIT_CPU, 600),
        ] {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            taken(libc::setrlimit(resource, &limit))?;
        }
        let restorer = restorer()?;
        let mut filter = filter(restorer, (&raw const EXIT_END).addr() as u64);
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        taken(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        taken(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program))
    }
}

/// Where a signal handler returns to: the C library's call of `rt_sigreturn`.
fn restorer() -> Option<u64> {
    /// `struct kernel_sigaction`, which the C library's is not.
    #[repr(C)]
    #[derive(Default)]
    struct Action {
        handler: u64,
        flags: u64,
        restorer: u64,
        mask: u64,
    }
    let mut action = Action::default();
    // SAFETY: asks only; `action` is a place for the answer.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGSEGV, core::ptr::null::<Action>(), &raw mut action, 8)
    };
    (result == 0 && action.restorer != 0).then_some(action.restorer)
}

/// The filter: `rt_sigreturn` from the 16 bytes at the restorer, `exit_group` from the one place that has it; all else
/// becomes SIGSYS, 32-bit calls too.
fn filter(restorer: u64, exit_end: u64) -> [libc::sock_filter; 17] {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    const NR: u32 = offset_of!(libc::seccomp_data, nr) as u32;
    const ARCH: u32 = offset_of!(libc::seccomp_data, arch) as u32;
    const IP: u32 = offset_of!(libc::seccomp_data, instruction_pointer) as u32;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let low = |address: u64| address as u32;
    let high = |address: u64| (address >> 32) as u32;
    // The instruction pointer of a call is that of the next instruction. Neither range crosses a multiple of 4 GiB, or
    // the filter refuses what it should allow, which is noticed at once.
    [
        step(LOAD, 0, 0, ARCH),
        step(EQUAL, 0, 13, AUDIT_ARCH_X86_64),
        step(LOAD, 0, 0, NR),
        step(EQUAL, 5, 0, libc::SYS_rt_sigreturn as u32),
        step(EQUAL, 0, 10, libc::SYS_exit_group as u32),
        step(LOAD, 0, 0, IP),
        step(EQUAL, 0, 8, low(exit_end)),
        step(LOAD, 0, 0, IP + 4),
        step(EQUAL, 7, 6, high(exit_end)),
        step(LOAD, 0, 0, IP),
        step(ABOVE, 0, 4, low(restorer)),
        step(ABOVE, 3, 0, low(restorer).saturating_add(16)),
        step(LOAD, 0, 0, IP + 4),
        step(EQUAL, 2, 0, high(restorer)),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(RETURN, 0, 0, libc::SECCOMP_RET_TRAP),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
