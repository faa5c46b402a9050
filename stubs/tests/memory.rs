//! Executable memory: two views, none of them writable and executable, none of them inherited.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use encore86_stubs::{CodeMemory, DualMap, MapError, StubCache};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Runs `work` in a forked child and returns its exit code. A child that dies of a signal fails the test.
fn in_child(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `work` on its one thread and leaves without unwinding or running destructors.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0);
        if child == 0 {
            libc::_exit(work());
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert!(libc::WIFEXITED(status), "the child died of signal {}", libc::WTERMSIG(status));
        libc::WEXITSTATUS(status)
    }
}

/// Start, end and permissions of each mapping.
fn mappings() -> Vec<(usize, usize, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let (start, end) = words.next()?.split_once('-')?;
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        Some((address(start)?, address(end)?, words.next()?.to_owned()))
    };
    maps.lines().map(|line| parse(line).unwrap()).collect()
}

#[test]
fn no_mapping_is_writable_and_executable() {
    let map = DualMap::new(64 << 10).unwrap();
    let maps = mappings();
    let permissions = |at: usize| {
        let inside = |m: &&(usize, usize, String)| m.0 <= at && at + map.len() <= m.1;
        maps.iter().find(inside).expect("mapped").2.as_str()
    };
    assert_eq!(permissions(map.rw() as usize), "rw-s");
    assert_eq!(permissions(map.rx() as usize), "r-xs");
    assert!(maps.iter().all(|m| !(m.2.contains('w') && m.2.contains('x'))));
}

#[test]
fn both_views_show_the_same_bytes() {
    let map = DualMap::new(DualMap::MIN_LEN + 64).unwrap();
    assert_eq!(map.len(), DualMap::MIN_LEN + 64);
    for i in 0..map.len() {
        // SAFETY: `i` lies inside both views, and the cache does not exist that would write to them.
        unsafe { map.rw().add(i).write_volatile(i as u8 ^ 0x5a) };
    }
    for i in 0..map.len() {
        // SAFETY: as above.
        assert_eq!(unsafe { map.rx().add(i).read_volatile() }, i as u8 ^ 0x5a);
    }
}

#[test]
fn dropping_takes_both_views_away_and_leaves_no_descriptor() {
    // Alone in a child: no other thread opens or maps anything meanwhile.
    let code = in_child(|| {
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let (before, open) = (mappings().len(), descriptors());
        let map = DualMap::new(64 << 10).unwrap();
        let (rw, rx) = (map.rw() as usize, map.rx() as usize);
        let kept = descriptors() == open && mappings().len() > before;
        drop(map);
        let gone = mappings().iter().all(|m| ![rw, rx].iter().any(|at| m.0 <= *at && *at < m.1));
        i32::from(kept && gone)
    });
    assert_eq!(code, 1);
}

#[test]
fn lengths_are_whole_lines_within_bounds() {
    for len in [0, 1, 64, DualMap::MIN_LEN - 64, DualMap::MIN_LEN + 1, DualMap::MAX_LEN + 64, usize::MAX & !63] {
        assert_eq!(DualMap::new(len).err(), Some(MapError::Length(len)));
    }
    assert!(DualMap::new(DualMap::MIN_LEN).is_ok());
    assert!(StubCache::with_len(DualMap::MAX_LEN).is_ok());
}

/// A child neither has the views, nor takes away what it may have put at their addresses.
#[test]
fn a_forked_child_inherits_nothing_and_unmaps_nothing() {
    let map = DualMap::new(64 << 10).unwrap();
    let generation = map.generation();
    generation.store(7 << 16, Relaxed);
    assert_eq!(generation.load(Relaxed), 7 << 16);
    let (rw, rx) = (map.rw(), map.rx());
    let code = in_child(|| {
        let mapped = |at: *const u8| mappings().iter().any(|m| m.0 <= at as usize && (at as usize) < m.1);
        if mapped(rw) || mapped(rx) || map.generation().load(Relaxed) != 0 {
            return 1;
        }
        // SAFETY: the range is free in the child, as was just seen, and MAP_FIXED_NOREPLACE would not take it otherwise.
        let own = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            libc::mmap(rw.cast(), 64 << 10, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        if own != rw.cast() {
            return 2;
        }
        // SAFETY: the child leaves by `_exit`, so that the value is dropped only here.
        drop(unsafe { std::ptr::read(&raw const map) });
        if mapped(rw) { 0 } else { 3 }
    });
    assert_eq!(code, 0);
    assert_eq!(map.generation().load(Relaxed), 7 << 16, "the parent's is untouched");
}

/// What `DualMap::new` says in a child after `confine`.
fn denied(confine: impl FnOnce(), expected: MapError) {
    let code = in_child(|| {
        confine();
        match DualMap::new(64 << 10) {
            Err(error) if error == expected => 0,
            Err(_) => 1,
            Ok(_) => 2,
        }
    });
    assert_eq!(code, 0, "expected {expected:?}");
}

fn limit(resource: libc::__rlimit_resource_t, to: u64) {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: reads `limit`.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

#[test]
fn denials_are_typed() {
    denied(|| limit(libc::RLIMIT_NOFILE, 0), MapError::File(libc::EMFILE));
    denied(|| limit(libc::RLIMIT_AS, 0), MapError::Map(libc::ENOMEM));
    denied(deny_executable_mappings, MapError::ExecutionDenied(libc::EACCES));
}

/// A filter that fails mmap with PROT_EXEC, as a security policy would.
fn deny_executable_mappings() {
    const PROT_ARGUMENT: u32 = 16 + 8 * 2; // low half of args[2] in `seccomp_data`
    let load =
        |at| libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: at };
    let jump =
        |kind: u32, k, jt, jf| libc::sock_filter { code: (libc::BPF_JMP | kind | libc::BPF_K) as u16, jt, jf, k };
    let answer = |k| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let mut filter = [
        load(0),
        jump(libc::BPF_JEQ, libc::SYS_mmap as u32, 0, 3),
        load(PROT_ARGUMENT),
        jump(libc::BPF_JSET, libc::PROT_EXEC as u32, 0, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EACCES as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: `program` and its filter live through the calls; only this process is confined.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

/// Linux can refuse a process every mapping that is, or was, writable when it becomes executable.
#[test]
fn construction_passes_under_memory_deny_write_execute() {
    const PR_SET_MDWE: i32 = 65;
    const REFUSE_EXEC_GAIN: u64 = 1;
    let code = in_child(|| {
        // SAFETY: confines this process only.
        if unsafe { libc::prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) } != 0 {
            return 2;
        }
        // SAFETY: without MAP_FIXED the kernel picks an address that is free.
        let both = unsafe {
            let (prot, flags) = (libc::PROT_WRITE | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0)
        };
        i32::from(both != libc::MAP_FAILED || DualMap::new(64 << 10).is_err())
    });
    if code == 2 {
        return eprintln!("SKIPPED: this kernel has no PR_SET_MDWE");
    }
    assert_eq!(code, 0);
}

/// Memory whose owner miscounted.
struct Odd(usize, AtomicU64);

// SAFETY: `StubCache::new` refuses the length, and nothing is written or executed.
unsafe impl CodeMemory for Odd {
    fn rw(&self) -> *mut u8 {
        std::ptr::dangling_mut()
    }
    fn rx(&self) -> *const u8 {
        std::ptr::dangling()
    }
    fn len(&self) -> usize {
        self.0
    }
    fn generation(&self) -> &AtomicU64 {
        &self.1
    }
}

#[test]
fn a_cache_refuses_memory_of_odd_length() {
    for len in [0, 64, 4096 + 1, DualMap::MAX_LEN + 64] {
        let memory = Odd(len, AtomicU64::new(0));
        assert_eq!(StubCache::new(Box::new(memory)).err(), Some(MapError::Length(len)));
    }
}
