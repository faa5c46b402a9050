//! Litmus tests: what guest code on engines in several threads sees of each other's accesses lies within x86-TSO (SDM volume
//! 3, 10.2.3). The same functions run on the host too, so that a test which cannot see anything shows.

use crate::arena::{Arena, Guest};
use crate::{say, scale};
use std::arch::global_asm;
use std::sync::Barrier;

/// Rounds of a batch; each has lines of its own for x and y.
const BATCH: usize = 2048;
const LINE: usize = 64;
const X: usize = 0;
const Y: usize = BATCH * LINE;
const OUT: usize = 2 * BATCH * LINE;
const STACKS: usize = OUT + 8 * BATCH * 8;
const COUNTERS: usize = STACKS + 0x4000;
const LEN: usize = COUNTERS + 0x1000;

// Arguments: RDI = x, RSI = y, RDX = where results go (4 bytes each), RCX = rounds; R8 and R9 = this thread's count of rounds and
// another's, for which it waits at the beginning of each. x and y of a round are a line further on.
macro_rules! thread {
    ($name:literal, $($line:literal),+) => {
        global_asm!(
            concat!(".globl litmus_", $name), concat!("litmus_", $name, ":"),
            "2:",
            "inc dword ptr [r8]",
            "mov eax, [r8]",
            "3:",
            "cmp [r9], eax",
            "js 3b",
            $($line,)+
            "add rdi, 64", "add rsi, 64", "add rdx, 8", "dec rcx", "jnz 2b", "ret",
            concat!(".globl litmus_", $name, "_end"), concat!("litmus_", $name, "_end:"),
        );
    };
}
// Store buffering: x = 1, then y is read.
thread!("sb", "mov dword ptr [rdi], 1", "mov eax, [rsi]", "mov [rdx], eax");
thread!("sb_fenced", "mov dword ptr [rdi], 1", "mfence", "mov eax, [rsi]", "mov [rdx], eax");
thread!("sb_locked", "mov dword ptr [rdi], 1", "lock or dword ptr [rsp - 8], 0", "mov eax, [rsi]", "mov [rdx], eax");
thread!("sb_exchange", "mov eax, 1", "xchg [rdi], eax", "mov eax, [rsi]", "mov [rdx], eax");
// Message passing: x, then y is written; y, then x is read.
thread!("send", "mov dword ptr [rdi], 1", "mov dword ptr [rsi], 1");
thread!("receive", "mov eax, [rsi]", "mov r10d, [rdi]", "mov [rdx], eax", "mov [rdx + 4], r10d");
// Independent reads of independent writes.
thread!("write_x", "mov dword ptr [rdi], 1");
thread!("write_y", "mov dword ptr [rsi], 1");
thread!("read_xy", "mov eax, [rdi]", "mov r10d, [rsi]", "mov [rdx], eax", "mov [rdx + 4], r10d");
thread!("read_yx", "mov eax, [rsi]", "mov r10d, [rdi]", "mov [rdx], eax", "mov [rdx + 4], r10d");
// Coherence: two reads of one place that is written twice.
thread!("write_twice", "mov dword ptr [rdi], 1", "mov dword ptr [rdi], 2");
thread!("read_twice", "mov eax, [rdi]", "mov r10d, [rdi]", "mov [rdx], eax", "mov [rdx + 4], r10d");

type Function = unsafe extern "sysv64" fn(u64, u64, u64, u64, u64, u64);

/// A thread's code, for both.
#[derive(Clone, Copy)]
struct Code {
    function: Function,
    end: Function,
}

impl Code {
    fn bytes(self) -> &'static [u8] {
        let (start, end) = (self.function as usize, self.end as usize);
        // SAFETY: both labels lie in the text of this program, one behind the other.
        unsafe { std::slice::from_raw_parts(start as *const u8, end - start) }
    }
}

macro_rules! code {
    ($($name:ident $end:ident),+ $(,)?) => {
        unsafe extern "sysv64" { $( fn $name(x: u64, y: u64, out: u64, rounds: u64, mine: u64, theirs: u64); fn $end(x: u64, y: u64, out: u64, rounds: u64, mine: u64, theirs: u64); )+ }
    };
}
code!(
    litmus_sb litmus_sb_end, litmus_sb_fenced litmus_sb_fenced_end, litmus_sb_locked litmus_sb_locked_end,
    litmus_sb_exchange litmus_sb_exchange_end, litmus_send litmus_send_end, litmus_receive litmus_receive_end,
    litmus_write_x litmus_write_x_end, litmus_write_y litmus_write_y_end, litmus_read_xy litmus_read_xy_end,
    litmus_read_yx litmus_read_yx_end, litmus_write_twice litmus_write_twice_end, litmus_read_twice litmus_read_twice_end,
);

/// Runs the threads for `rounds` rounds, thread `t` with x and y exchanged where `swapped` says so, and counts the rounds in which
/// `forbidden` holds of all threads' results and those in which `relaxed` does.
fn run(
    name: &str,
    threads: &[(Code, bool)],
    native: bool,
    forbidden: fn(&[[u32; 2]]) -> bool,
    relaxed: fn(&[[u32; 2]]) -> bool,
) -> u64 {
    // Keeping step costs microseconds where other programs take the processors away.
    let rounds = if std::env::var_os("ENCORE86_LONG").is_some() { 1_000_000 * scale() } else { 10_000 };
    let batches = rounds / BATCH as u64 + 1;
    let arena = &Arena::new(LEN);
    let barrier = &Barrier::new(threads.len() + 1);
    let mut seen = 0;
    std::thread::scope(|scope| {
        for (t, &(code, swapped)) in threads.iter().enumerate() {
            scope.spawn(move || {
                let mut guest = Guest::new(arena);
                let (x, y) = if swapped { (Y, X) } else { (X, Y) };
                let out = OUT + t * BATCH * 8;
                // Two and two keep step, so that they meet at the same round.
                let [mine, theirs] = [t, t ^ 1].map(|t| arena.at(COUNTERS + t * LINE));
                let arguments = [arena.at(x), arena.at(y), arena.at(out), BATCH as u64, mine, theirs];
                for _ in 0..batches {
                    barrier.wait();
                    if native {
                        let [x, y, out, rounds, mine, theirs] = arguments;
                        // SAFETY: the function keeps to the arena and to the calling convention.
                        unsafe { (code.function)(x, y, out, rounds, mine, theirs) };
                    } else {
                        guest.call(code.bytes(), STACKS + 0x1000 * t + 0x800, &arguments);
                    }
                    barrier.wait();
                }
            });
        }
        for _ in 0..batches {
            arena.put(X, &[0; 2 * BATCH * LINE]);
            barrier.wait();
            barrier.wait();
            for round in 0..BATCH {
                let mut results = [[0; 2]; 4];
                for (t, result) in results[..threads.len()].iter_mut().enumerate() {
                    let word = arena.word(OUT + (t * BATCH + round) * 8);
                    *result = [word as u32, (word >> 32) as u32];
                }
                let results = &results[..threads.len()];
                assert!(!forbidden(results), "{name}: {results:?} is outside of x86-TSO");
                seen += u64::from(relaxed(results));
            }
        }
    });
    say(&format!("litmus {name}{}: {rounds} rounds, {seen} relaxed", if native { " (native)" } else { "" }));
    seen
}

macro_rules! of {
    ($name:ident $end:ident) => {
        Code { function: $name, end: $end }
    };
}

fn never(_: &[[u32; 2]]) -> bool {
    false
}

/// Neither thread has seen the other's store.
fn neither(r: &[[u32; 2]]) -> bool {
    r[0][0] == 0 && r[1][0] == 0
}

#[test]
fn store_buffering() {
    let _alone = crate::alone();
    let sb = of!(litmus_sb litmus_sb_end);
    // Allowed, on the host and in the engines.
    run("SB", &[(sb, false), (sb, true)], true, never, neither);
    run("SB", &[(sb, false), (sb, true)], false, never, neither);
}

#[test]
fn store_buffering_with_a_fence_or_a_locked_operation() {
    let _alone = crate::alone();
    let fenced = of!(litmus_sb_fenced litmus_sb_fenced_end);
    let locked = of!(litmus_sb_locked litmus_sb_locked_end);
    let exchange = of!(litmus_sb_exchange litmus_sb_exchange_end);
    for (name, code) in [("SB+mfence", fenced), ("SB+lock or", locked), ("SB+xchg", exchange)] {
        run(name, &[(code, false), (code, true)], false, neither, never);
    }
}

#[test]
fn message_passing() {
    let _alone = crate::alone();
    let threads = [(of!(litmus_send litmus_send_end), false), (of!(litmus_receive litmus_receive_end), false)];
    // The flag was seen, the message was not.
    run("MP", &threads, false, |r| r[1] == [1, 0], |r| r[1] == [0, 1]);
}

#[test]
fn independent_reads_of_independent_writes() {
    let _alone = crate::alone();
    let threads = [
        (of!(litmus_write_x litmus_write_x_end), false),
        (of!(litmus_write_y litmus_write_y_end), false),
        (of!(litmus_read_xy litmus_read_xy_end), false),
        (of!(litmus_read_yx litmus_read_yx_end), false),
    ];
    // The readers disagree about which came first.
    run("IRIW", &threads, false, |r| r[2] == [1, 0] && r[3] == [1, 0], |r| r[2] == [1, 0] || r[3] == [1, 0]);
}

#[test]
fn coherence_of_reads() {
    let _alone = crate::alone();
    let threads = [
        (of!(litmus_write_twice litmus_write_twice_end), false),
        (of!(litmus_read_twice litmus_read_twice_end), false),
    ];
    // What was new is old again.
    run("CoRR", &threads, false, |r| r[1][1] < r[1][0], |r| r[1][0] < r[1][1]);
}
