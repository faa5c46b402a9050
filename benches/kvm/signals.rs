//! The same store in one process, without a child or a virtual machine: the page's protection ends in SIGSEGV, whose handler
//! lifts it and sets TF; the store runs and ends in SIGTRAP, whose handler restores the protection.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

const PAGE: usize = 4096;
const TF: i64 = 0x100;

/// The page that is watched. The handlers know no other.
static WATCHED: AtomicUsize = AtomicUsize::new(0);
static TRAPS: AtomicUsize = AtomicUsize::new(0);

fn protect(rights: i32) {
    let page = ptr::without_provenance_mut::<c_void>(WATCHED.load(Ordering::Relaxed));
    // SAFETY: the page that `bench` mapped, and nothing of Rust's is on it.
    unsafe { libc::mprotect(page, PAGE, rights) };
}

extern "C" fn on_fault(_: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo and ucontext to an SA_SIGINFO handler.
    unsafe {
        let at = (*info).si_addr() as usize;
        if at & !(PAGE - 1) != WATCHED.load(Ordering::Relaxed) {
            libc::abort();
        }
        (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_EFL as usize] |= TF;
    }
    protect(libc::PROT_READ | libc::PROT_WRITE);
}

extern "C" fn on_trap(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: as above.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_EFL as usize] &= !TF };
    TRAPS.fetch_add(1, Ordering::Relaxed);
    protect(libc::PROT_NONE);
}

pub fn bench(c: &mut Criterion) {
    let mut old = [const { std::mem::MaybeUninit::<libc::sigaction>::uninit() }; 2];
    let handlers = [(libc::SIGSEGV, on_fault as *const () as usize), (libc::SIGTRAP, on_trap as *const () as usize)];
    // SAFETY: a new mapping, which replaces none; handlers with the signature that SA_SIGINFO wants; zero is a valid
    // sigaction.
    let page = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(ptr::null_mut(), PAGE, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED, "the host has a page");
        WATCHED.store(page as usize, Ordering::Relaxed);
        for ((signal, handler), old) in handlers.into_iter().zip(&mut old) {
            let mut action: libc::sigaction = std::mem::zeroed();
            (action.sa_sigaction, action.sa_flags) = (handler, libc::SA_SIGINFO);
            libc::sigaction(signal, &action, old.as_mut_ptr());
        }
        page
    };
    let store = || {
        // SAFETY: the store faults, and runs when the handler has opened the page; both handlers keep all registers.
        unsafe { std::arch::asm!("mov [{}], {:e}", in(reg) page, in(reg) black_box(0x00c0_ffee), options(nostack)) };
    };
    store();
    assert_eq!(TRAPS.load(Ordering::Relaxed), 1, "one fault, one step");
    let mut group = c.benchmark_group("single-step");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.bench_function(
        BenchmarkId::new("mov [m],eax", "SIGSEGV, mprotect, TF, SIGTRAP, mprotect, in process"),
        |b| {
            b.iter(store);
        },
    );
    group.finish();
    // SAFETY: the old handlers were written above, and the page is no longer used.
    unsafe {
        for ((signal, _), old) in handlers.into_iter().zip(&old) {
            libc::sigaction(signal, old.as_ptr(), ptr::null_mut());
        }
        libc::munmap(page, PAGE);
    }
}
