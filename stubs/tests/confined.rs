//! After construction: no allocation, no system call, and a typed error in a forked child.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use encore86_stubs::{Body, Key, Move, MoveKind, Recipe, Scratch, StubCache, StubError, StubRef};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: all work is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// mov eax, imm32, to `state[0]`
fn constant(value: u32) -> Recipe {
    let [a, b, c, d] = value.to_le_bytes();
    let mut recipe = Recipe::new(Body::new(&[0xb8, a, b, c, d]).unwrap());
    recipe.stores.push(Move::new(MoveKind::Gpr64, 0, 0)).unwrap();
    recipe
}

fn call(cache: &StubCache, stub: StubRef) -> Result<u64, StubError> {
    let (mut state, mut scratch) = (0u64, Scratch::new());
    let at = (&raw mut state).cast();
    // SAFETY: the stubs of this file write eight bytes of state and touch nothing else.
    unsafe { cache.call(stub, at, at, &raw mut scratch) }.map(|_| state)
}

/// Installs, finds and runs through several generations.
fn exercise(cache: &mut StubCache) -> bool {
    (0..5000u32).all(|value| {
        let stub = cache.get::<StubError>(Key(value.into()), || Ok(constant(value)));
        stub.and_then(|stub| call(cache, stub)) == Ok(value.into())
    })
}

#[test]
fn nothing_allocates_after_construction() {
    let mut cache = StubCache::with_len(64 << 10).unwrap();
    let before = ALLOCATIONS.get();
    assert!(before > 0, "the counter counts");
    let right = exercise(&mut cache);
    assert_eq!(ALLOCATIONS.get(), before);
    assert!(right);
}

/// Waits for `child` and returns its status.
fn wait(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: writes to `status`.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

#[test]
fn nothing_calls_the_system_after_construction() {
    let child = |breach: bool| {
        // SAFETY: the child runs on its one thread, and leaves by the one system call that strict mode has for that.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                let mut cache = StubCache::with_len(64 << 10).unwrap();
                if libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) != 0 {
                    libc::_exit(2);
                }
                let right = exercise(&mut cache);
                if breach {
                    libc::getppid();
                }
                libc::syscall(libc::SYS_exit, i32::from(!right));
            }
            assert!(child > 0);
            wait(child)
        }
    };
    let status = child(false);
    assert!(libc::WIFEXITED(status), "killed by signal {}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0);
    let status = child(true);
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL, "strict mode is on");
}

#[test]
fn a_forked_child_is_told() {
    let mut cache = StubCache::with_len(64 << 10).unwrap();
    let stub = cache.install(Key(0), &constant(1)).unwrap();
    assert_eq!(call(&cache, stub), Ok(1));
    // SAFETY: the child runs on its one thread and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let right = [
            call(&cache, stub) == Err(StubError::ForkedChild),
            !cache.is_current(stub),
            cache.lookup(Key(0)).is_none(),
            cache.lookup(Key(1)).is_none(),
            cache.install(Key(0), &constant(2)) == Err(StubError::ForkedChild),
            exercise(&mut StubCache::with_len(64 << 10).unwrap()),
        ];
        let wrong = right.iter().position(|right| !right);
        drop(cache);
        // SAFETY: ends this process.
        unsafe { libc::_exit(wrong.map_or(0, |i| i as i32 + 1)) };
    }
    let status = wait(child);
    assert!(libc::WIFEXITED(status), "killed by signal {}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0, "the number of the statement that does not hold");
    assert_eq!(call(&cache, stub), Ok(1), "the parent goes on");
}
