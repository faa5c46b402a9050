//! System calls: an allow-list, with every pointer checked against the arena.
//!
//! What a call gives the program comes from this process's own calls where it is no secret of this process (time, files,
//! identity), and is made up where it is (addresses, `/proc/self`). No address of the program's is ever one of this process's.

mod abi;
mod files;
mod memory;
mod signals;

use super::arena::Arena;
use super::image::STACK;
use encore86::Cpu;
use encore86::cpu::registers::gpr::{RAX, RCX, RDI, RDX, RSI};
use encore86::cpu::segment::Seg;
use files::Files;
use memory::Memory;
use rustix::io::Errno;
use rustix::{process, system, time};
use signals::Signals;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::time::Duration;

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exit(u8),
    /// By a signal.
    Signal(u8),
    /// Never: it waits for another thread, and there is none.
    Waits,
}

/// Why a call gives no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Errno(Errno),
    End(End),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop::Errno(errno)
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Stop {
        Stop::End(end)
    }
}

type Done = Result<u64, Stop>;

/// The kernel's side of one program.
#[derive(Debug)]
pub struct Kernel {
    files: Files,
    memory: Memory,
    signals: Signals,
    calls: u64,
    refused: BTreeMap<u64, u64>,
}

/// What a program begins with.
#[derive(Debug)]
pub struct Settings {
    /// The program's own path, from the root.
    pub program: CString,
    /// May it open files for writing?
    pub write: bool,
    /// Where its heap begins.
    pub heap: u64,
}

impl Kernel {
    /// The state at the program's beginning.
    ///
    /// # Errors
    /// If the standard streams can't be had.
    pub fn new(settings: Settings, arena: &Arena) -> std::io::Result<Kernel> {
        Ok(Kernel {
            files: Files::new(settings.program, settings.write)?,
            memory: Memory::new(settings.heap, arena.size() - STACK),
            signals: Signals::default(),
            calls: 0,
            refused: BTreeMap::new(),
        })
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Numbers of calls that are not on the list, and how often each was answered with ENOSYS.
    pub fn refused(&self) -> &BTreeMap<u64, u64> {
        &self.refused
    }

    /// Carries out SYSCALL, an instruction of `length` bytes at RIP.
    ///
    /// # Errors
    /// The program's end, if this is it.
    pub fn syscall(&mut self, length: usize, cpu: &mut Cpu, arena: &mut Arena) -> Result<(), End> {
        self.calls += 1;
        let number = cpu.gpr[RAX];
        let arguments = [RDI, RSI, RDX, 10, 8, 9].map(|register| cpu.gpr[register]);
        cpu.rip = cpu.rip.wrapping_add(length as u64);
        cpu.gpr[RCX] = cpu.rip;
        cpu.gpr[11] = cpu.rflags();
        cpu.gpr[RAX] = match self.call(number, arguments, cpu, arena) {
            Ok(value) => value,
            Err(Stop::Errno(errno)) => i64::from(-errno.raw_os_error()) as u64,
            Err(Stop::End(end)) => return Err(end),
        };
        Ok(())
    }

    fn call(&mut self, number: u64, arguments: [u64; 6], cpu: &mut Cpu, arena: &mut Arena) -> Done {
        let [a, b, c, d, e, f] = arguments;
        let Ok(number) = i64::try_from(number) else { return self.refuse(number) };
        let files = &mut self.files;
        match number {
            libc::SYS_read => files.read(arena, a, b, c),
            libc::SYS_write => files.write(arena, &self.signals, a, b, c),
            libc::SYS_readv => files.readv(arena, a, b, c),
            libc::SYS_writev => files.writev(arena, &self.signals, a, b, c),
            libc::SYS_pread64 => files.pread(arena, a, b, c, d),
            libc::SYS_open => files.open(arena, libc::AT_FDCWD as u64, a, b, c),
            libc::SYS_openat => files.open(arena, a, b, c, d),
            libc::SYS_close => files.close(a),
            libc::SYS_lseek => files.seek(a, b, c),
            libc::SYS_dup => files.duplicate(a, 0),
            libc::SYS_dup2 => files.duplicate_to(a, b),
            libc::SYS_dup3 if a == b => Err(Errno::INVAL.into()),
            libc::SYS_dup3 => files.duplicate_to(a, b),
            libc::SYS_fcntl => files.control(a, b, c),
            libc::SYS_ioctl => files.device_control(a),
            libc::SYS_pipe => files.pipe(arena, a),
            libc::SYS_pipe2 => files.pipe(arena, a),
            libc::SYS_poll => files.poll(arena, a, b, c),
            libc::SYS_fstat => files.stat(arena, a, None, b, 0),
            libc::SYS_stat => files.stat(arena, libc::AT_FDCWD as u64, Some(a), b, 0),
            libc::SYS_lstat => files.stat(arena, libc::AT_FDCWD as u64, Some(a), b, libc::AT_SYMLINK_NOFOLLOW as u64),
            libc::SYS_newfstatat => files.stat(arena, a, Some(b), c, d),
            libc::SYS_statx => files.statx(arena, a, b, c, d, e),
            libc::SYS_access => files.access(arena, libc::AT_FDCWD as u64, a, b),
            libc::SYS_faccessat | libc::SYS_faccessat2 => files.access(arena, a, b, c),
            libc::SYS_readlink => files.read_link(arena, libc::AT_FDCWD as u64, a, b, c),
            libc::SYS_readlinkat => files.read_link(arena, a, b, c, d),
            libc::SYS_getdents64 => files.entries(arena, a, b, c),
            libc::SYS_getcwd => files.directory(arena, a, b),
            libc::SYS_fadvise64 | libc::SYS_fsync | libc::SYS_fdatasync => files.known(a),
            libc::SYS_ftruncate => files.truncate(a, b),

            libc::SYS_mmap => {
                if d & libc::MAP_ANONYMOUS as u64 != 0 {
                    return self.memory.map(arena, a, b, c, d);
                }
                files.known(e)?;
                let at = self.memory.map(arena, a, b, c, d)?;
                files.fill(arena, at, b, e, f).or_else(|stop| self.memory.unmap(arena, at, b).and(Err(stop)))?;
                self.memory.protect(arena, at, b, c)?;
                Ok(at)
            }
            libc::SYS_mremap => self.memory.remap(arena, a, b, c, d),
            libc::SYS_munmap => self.memory.unmap(arena, a, b),
            libc::SYS_mprotect => self.memory.protect(arena, a, b, c),
            libc::SYS_madvise => self.memory.advise(arena, a, b, c),
            libc::SYS_brk => Ok(self.memory.heap(arena, a)),

            libc::SYS_rt_sigaction => self.signals.action(arena, a, b, c, d),
            libc::SYS_rt_sigprocmask => self.signals.mask(arena, a, b, c, d),
            libc::SYS_sigaltstack => self.signals.stack(arena, a, b),
            libc::SYS_kill if a as i32 as i64 == identity() as i64 => self.signals.send(b),
            libc::SYS_tkill if a == identity() => self.signals.send(b),
            libc::SYS_tgkill if (a, b) == (identity(), identity()) => self.signals.send(c),

            libc::SYS_arch_prctl => segment_base(a, b, cpu, arena),
            libc::SYS_set_tid_address | libc::SYS_getpid | libc::SYS_gettid => Ok(identity()),
            libc::SYS_getppid => Ok(process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get() as u64)),
            libc::SYS_getpgrp => Ok(process::getpgrp().as_raw_nonzero().get() as u64),
            libc::SYS_getuid => Ok(process::getuid().as_raw().into()),
            libc::SYS_geteuid => Ok(process::geteuid().as_raw().into()),
            libc::SYS_getgid => Ok(process::getgid().as_raw().into()),
            libc::SYS_getegid => Ok(process::getegid().as_raw().into()),
            libc::SYS_getgroups => groups(arena, a, b),
            libc::SYS_set_robust_list | libc::SYS_sched_yield => Ok(0),
            libc::SYS_prctl if a == libc::PR_SET_NAME as u64 => Ok(0),
            libc::SYS_prctl => Err(Errno::INVAL.into()),
            libc::SYS_sched_getaffinity => {
                // One processor: there is one thread.
                if b < 8 {
                    return Err(Errno::INVAL.into());
                }
                store(arena, c, &1u64.to_le_bytes()).map(|_| 8)
            }
            libc::SYS_getcpu => {
                for pointer in [a, b].into_iter().filter(|&pointer| pointer != 0) {
                    store(arena, pointer, &[0; 4])?;
                }
                Ok(0)
            }
            libc::SYS_prlimit64 => limit(arena, a, b, c, d),
            libc::SYS_getrlimit => limit(arena, 0, a, 0, b),
            libc::SYS_uname => name(arena, a),
            libc::SYS_sysinfo => facts(arena, a),
            libc::SYS_getrandom => random(arena, a, b),
            libc::SYS_futex => futex(arena, a, b, c, d),

            libc::SYS_clock_gettime => {
                let now = time::clock_gettime(clock(a)?);
                store(arena, b, &abi::words([now.tv_sec as u64, now.tv_nsec as u64]))
            }
            libc::SYS_clock_getres => {
                clock(a)?;
                if b == 0 { Ok(0) } else { store(arena, b, &abi::words([0, 1])) }
            }
            libc::SYS_gettimeofday => {
                let now = time::clock_gettime(time::ClockId::Realtime);
                if b != 0 {
                    store(arena, b, &[0; 8])?;
                }
                if a == 0 {
                    return Ok(0);
                }
                store(arena, a, &abi::words([now.tv_sec as u64, now.tv_nsec as u64 / 1000]))
            }
            libc::SYS_time => {
                let now = time::clock_gettime(time::ClockId::Realtime).tv_sec as u64;
                if a != 0 {
                    store(arena, a, &now.to_le_bytes())?;
                }
                Ok(now)
            }
            libc::SYS_nanosleep => sleep(arena, a),
            libc::SYS_clock_nanosleep if b == 0 => sleep(arena, c),

            libc::SYS_exit | libc::SYS_exit_group => Err(End::Exit(a as u8).into()),
            // C libraries do without.
            libc::SYS_rseq => Err(Errno::NOSYS.into()),
            _ => self.refuse(number as u64),
        }
    }

    fn refuse(&mut self, number: u64) -> Done {
        *self.refused.entry(number).or_insert(0) += 1;
        Err(Errno::NOSYS.into())
    }

    /// The signal that an exception becomes.
    pub fn signal_of(vector: u8) -> u8 {
        let signal = match vector {
            0 | 16 | 19 => libc::SIGFPE,
            1 | 3 => libc::SIGTRAP,
            6 => libc::SIGILL,
            12 | 17 => libc::SIGBUS,
            _ => libc::SIGSEGV,
        };
        signal as u8
    }
}

/// The program's process number, and its only thread's.
fn identity() -> u64 {
    process::getpid().as_raw_nonzero().get() as u64
}

/// Stores bytes that the program asked for; gives 0.
fn store(arena: &mut Arena, at: u64, bytes: &[u8]) -> Done {
    arena.writable(at, bytes.len() as u64).ok_or(Errno::FAULT)?.copy_from_slice(bytes);
    Ok(0)
}

/// Loads bytes that the program points to.
fn load<const N: usize>(arena: &Arena, at: u64) -> Result<[u8; N], Errno> {
    arena.readable(at, N as u64).and_then(|bytes| bytes.first_chunk()).copied().ok_or(Errno::FAULT)
}

fn load_u64(arena: &Arena, at: u64) -> Result<u64, Errno> {
    load(arena, at).map(u64::from_le_bytes)
}

/// The bases of FS and GS.
fn segment_base(code: u64, value: u64, cpu: &mut Cpu, arena: &mut Arena) -> Done {
    const SET_GS: u64 = 0x1001;
    const SET_FS: u64 = 0x1002;
    const GET_FS: u64 = 0x1003;
    const GET_GS: u64 = 0x1004;
    let seg = if matches!(code, SET_FS | GET_FS) { Seg::Fs } else { Seg::Gs };
    match code {
        SET_FS | SET_GS if value >> 47 != 0 => Err(Errno::PERM.into()),
        SET_FS | SET_GS => {
            cpu.update(|system| system.seg[seg as usize].base = value);
            Ok(0)
        }
        GET_FS | GET_GS => store(arena, value, &cpu.seg(seg).base.to_le_bytes()),
        _ => Err(Errno::INVAL.into()),
    }
}

/// Supplementary groups: how many, and if there is room, which.
fn groups(arena: &mut Arena, room: u64, at: u64) -> Done {
    let groups = process::getgroups()?;
    if room as i32 != 0 {
        if usize::try_from(room as i32).map_or(true, |room| room < groups.len()) {
            return Err(Errno::INVAL.into());
        }
        let bytes: Vec<u8> = groups.iter().flat_map(|group| group.as_raw().to_le_bytes()).collect();
        store(arena, at, &bytes)?;
    }
    Ok(groups.len() as u64)
}

fn clock(number: u64) -> Result<time::ClockId, Errno> {
    Ok(match number as i32 {
        libc::CLOCK_REALTIME => time::ClockId::Realtime,
        libc::CLOCK_REALTIME_COARSE => time::ClockId::RealtimeCoarse,
        libc::CLOCK_MONOTONIC => time::ClockId::Monotonic,
        libc::CLOCK_MONOTONIC_COARSE => time::ClockId::MonotonicCoarse,
        libc::CLOCK_MONOTONIC_RAW => time::ClockId::MonotonicRaw,
        libc::CLOCK_BOOTTIME => time::ClockId::Boottime,
        libc::CLOCK_PROCESS_CPUTIME_ID => time::ClockId::ProcessCPUTime,
        libc::CLOCK_THREAD_CPUTIME_ID => time::ClockId::ThreadCPUTime,
        _ => return Err(Errno::INVAL),
    })
}

/// A time of seconds and nanoseconds.
fn duration(arena: &Arena, at: u64) -> Result<Duration, Errno> {
    let seconds = load_u64(arena, at)?;
    let nanoseconds = load_u64(arena, at.wrapping_add(8))?;
    if seconds > i64::MAX as u64 || nanoseconds >= 1_000_000_000 {
        return Err(Errno::INVAL);
    }
    Ok(Duration::new(seconds, nanoseconds as u32))
}

fn sleep(arena: &Arena, at: u64) -> Done {
    std::thread::sleep(duration(arena, at)?);
    Ok(0)
}

/// Nothing else runs, so that nobody is woken and nobody wakes.
fn futex(arena: &Arena, at: u64, operation: u64, value: u64, timeout: u64) -> Done {
    const PRIVATE_AND_CLOCK: i32 = 0x180;
    const WAIT: i32 = 0;
    const WAKE: i32 = 1;
    const WAIT_BITSET: i32 = 9;
    const WAKE_BITSET: i32 = 10;
    match operation as i32 & !PRIVATE_AND_CLOCK {
        WAKE | WAKE_BITSET => Ok(0),
        wait @ (WAIT | WAIT_BITSET) => {
            if u32::from_le_bytes(load(arena, at)?) != value as u32 {
                return Err(Errno::AGAIN.into());
            }
            if timeout == 0 {
                return Err(End::Waits.into());
            }
            let until = duration(arena, timeout)?;
            // A bit set comes with a point in time.
            let realtime = operation as i32 & 0x100 != 0;
            let clock = if realtime { time::ClockId::Realtime } else { time::ClockId::Monotonic };
            let now = time::clock_gettime(clock);
            let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
            std::thread::sleep(if wait == WAIT { until } else { until.saturating_sub(now) });
            Err(Errno::TIMEDOUT.into())
        }
        _ => Err(Errno::NOSYS.into()),
    }
}

fn random(arena: &mut Arena, at: u64, len: u64) -> Done {
    let bytes = arena.writable(at, len).ok_or(Errno::FAULT)?;
    Ok(rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty())? as u64)
}

/// Limits of resources: those of the arena, or none. They can't be changed.
fn limit(arena: &mut Arena, process: u64, resource: u64, new: u64, old: u64) -> Done {
    if process != 0 && process != identity() {
        return Err(Errno::PERM.into());
    }
    let soft = match resource as u32 {
        libc::RLIMIT_STACK => STACK,
        libc::RLIMIT_NOFILE => files::MOST as u64,
        libc::RLIMIT_CORE => 0,
        16.. => return Err(Errno::INVAL.into()),
        _ => u64::MAX,
    };
    if new != 0 {
        return Err(Errno::PERM.into());
    }
    if old == 0 { Ok(0) } else { store(arena, old, &abi::words([soft, soft])) }
}

fn name(arena: &mut Arena, at: u64) -> Done {
    let host = system::uname();
    let fields = [host.sysname(), host.nodename(), host.release(), host.version(), c"x86_64", host.domainname()];
    let mut bytes = [0; 6 * 65];
    for (place, text) in bytes.chunks_exact_mut(65).zip(fields) {
        let text = text.to_bytes();
        let len = text.len().min(64);
        place[..len].copy_from_slice(&text[..len]);
    }
    store(arena, at, &bytes)
}

/// Of the host's memory and load the program sees its arena alone.
fn facts(arena: &mut Arena, at: u64) -> Done {
    let uptime = time::clock_gettime(time::ClockId::Boottime).tv_sec as u64;
    let size = arena.size();
    let mut bytes = [0; 112];
    bytes[..8].copy_from_slice(&uptime.to_le_bytes());
    bytes[32..40].copy_from_slice(&size.to_le_bytes());
    bytes[40..48].copy_from_slice(&size.to_le_bytes());
    bytes[80..82].copy_from_slice(&1u16.to_le_bytes());
    bytes[104..108].copy_from_slice(&1u32.to_le_bytes());
    store(arena, at, &bytes)
}
