//! A ticket lock, a seqlock and a queue, each used by guest code and by the same code on the host at the same time.

use crate::arena::{Arena, Guest};
use crate::{say, scale};
use std::arch::global_asm;

global_asm!(
    // ticket(lock, counters, n): takes the lock n times, and counts twice under it, without LOCK.
    ".globl locked_ticket",
    "locked_ticket:",
    "2: mov eax, 1",
    "lock xadd [rdi], eax",
    "3: cmp [rdi + 64], eax",
    "je 4f",
    "pause",
    "jmp 3b",
    "4: inc qword ptr [rsi]",
    "mov rcx, [rsi + 8]",
    "add rcx, 1",
    "mov [rsi + 8], rcx",
    "inc dword ptr [rdi + 64]",
    "dec rdx",
    "jnz 2b",
    "ret",
    ".globl locked_ticket_end",
    "locked_ticket_end:",
    // seq_write(seq, data, n): writes four words n times, between two steps of the sequence.
    ".globl locked_seq_write",
    "locked_seq_write:",
    "2: mov rax, [rdi]",
    "inc rax",
    "mov [rdi], rax",
    "mov [rsi], rdx",
    "mov [rsi + 8], rdx",
    "mov [rsi + 16], rdx",
    "mov [rsi + 24], rdx",
    "inc rax",
    "mov [rdi], rax",
    "dec rdx",
    "jnz 2b",
    "xor eax, eax",
    "ret",
    ".globl locked_seq_write_end",
    "locked_seq_write_end:",
    // seq_read(seq, data, n): n consistent readings; how many were torn.
    ".globl locked_seq_read",
    "locked_seq_read:",
    "xor eax, eax",
    "2: mov r8, [rdi]",
    "test r8b, 1",
    "jz 3f",
    "pause",
    "jmp 2b",
    "3: mov r9, [rsi]",
    "mov r10, [rsi + 8]",
    "mov r11, [rsi + 16]",
    "mov rcx, [rsi + 24]",
    "cmp r8, [rdi]",
    "jne 2b",
    "cmp r9, r10",
    "jne 4f",
    "cmp r9, r11",
    "jne 4f",
    "cmp r9, rcx",
    "je 5f",
    "4: inc rax",
    "5: dec rdx",
    "jnz 2b",
    "ret",
    ".globl locked_seq_read_end",
    "locked_seq_read_end:",
    // produce(queue, first, n): puts n values into the bounded queue of many producers and consumers (D. Vyukov's).
    ".globl locked_produce",
    "locked_produce:",
    "2: mov rax, [rdi]",
    "3: mov ecx, eax",
    "and ecx, 63",
    "shl ecx, 4",
    "lea r8, [rdi + rcx + 128]",
    "mov rcx, [r8]",
    "sub rcx, rax",
    "js 4f",
    "jnz 2b",
    "lea r9, [rax + 1]",
    "lock cmpxchg [rdi], r9",
    "jne 3b",
    "mov [r8 + 8], rsi",
    "mov [r8], r9",
    "inc rsi",
    "dec rdx",
    "jnz 2b",
    "xor eax, eax",
    "ret",
    "4: pause",
    "jmp 2b",
    ".globl locked_produce_end",
    "locked_produce_end:",
    // consume(queue, seen, n): takes n values, marks each in a bitmap; how many were there already.
    ".globl locked_consume",
    "locked_consume:",
    "xor r11d, r11d",
    "2: mov rax, [rdi + 64]",
    "3: mov ecx, eax",
    "and ecx, 63",
    "shl ecx, 4",
    "lea r8, [rdi + rcx + 128]",
    "mov rcx, [r8]",
    "lea r9, [rax + 1]",
    "sub rcx, r9",
    "js 4f",
    "jnz 2b",
    "lock cmpxchg [rdi + 64], r9",
    "jne 3b",
    "mov r10, [r8 + 8]",
    "add r9, 63",
    "mov [r8], r9",
    "lock bts [rsi], r10",
    "adc r11, 0",
    "dec rdx",
    "jnz 2b",
    "mov rax, r11",
    "ret",
    "4: pause",
    "jmp 2b",
    ".globl locked_consume_end",
    "locked_consume_end:",
);

type Function = unsafe extern "sysv64" fn(u64, u64, u64) -> u64;

unsafe extern "sysv64" {
    fn locked_ticket(lock: u64, counters: u64, n: u64) -> u64;
    fn locked_ticket_end(lock: u64, counters: u64, n: u64) -> u64;
    fn locked_seq_write(seq: u64, data: u64, n: u64) -> u64;
    fn locked_seq_write_end(seq: u64, data: u64, n: u64) -> u64;
    fn locked_seq_read(seq: u64, data: u64, n: u64) -> u64;
    fn locked_seq_read_end(seq: u64, data: u64, n: u64) -> u64;
    fn locked_produce(queue: u64, first: u64, n: u64) -> u64;
    fn locked_produce_end(queue: u64, first: u64, n: u64) -> u64;
    fn locked_consume(queue: u64, seen: u64, n: u64) -> u64;
    fn locked_consume_end(queue: u64, seen: u64, n: u64) -> u64;
}

/// A thread: its code, its arguments, and whether the host runs it.
struct Thread {
    code: (Function, Function),
    arguments: [u64; 3],
    native: bool,
}

/// Runs the threads to their ends; what each gives.
fn run(arena: &Arena, stacks: usize, threads: &[Thread]) -> Vec<u64> {
    std::thread::scope(|scope| {
        let running: Vec<_> = threads
            .iter()
            .enumerate()
            .map(|(t, thread)| {
                scope.spawn(move || {
                    let [a, b, c] = thread.arguments;
                    let (start, end) = thread.code;
                    if thread.native {
                        // SAFETY: the function keeps to the arena and to the calling convention.
                        return unsafe { start(a, b, c) };
                    }
                    let len = end as usize - start as usize;
                    // SAFETY: both labels lie in the text of this program, one behind the other.
                    let bytes = unsafe { std::slice::from_raw_parts(start as *const u8, len) };
                    Guest::new(arena).call(bytes, stacks + t * 0x100 + 0x80, &thread.arguments)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("no thread fails")).collect()
    })
}

#[test]
fn a_ticket_lock_keeps_all_but_one_out() {
    let _alone = crate::alone();
    let arena = Arena::new(0x2000);
    let n = 40_000 * scale();
    let code: (Function, Function) = (locked_ticket, locked_ticket_end);
    let thread = |native| Thread { code, arguments: [arena.at(0), arena.at(0x100), n], native };
    run(&arena, 0x1000, &[thread(false), thread(true)]);
    run(&arena, 0x1000, &[thread(false), thread(false)]);
    assert_eq!([arena.word(0x100), arena.word(0x108)], [4 * n; 2]);
    say(&format!("ticket lock: {} turns", 4 * n));
}

#[test]
fn a_seqlock_gives_whole_readings() {
    let _alone = crate::alone();
    let arena = Arena::new(0x2000);
    let n = 60_000 * scale();
    for native_writer in [false, true] {
        let arguments = [arena.at(0), arena.at(0x80), n];
        let writer = Thread { code: (locked_seq_write, locked_seq_write_end), arguments, native: native_writer };
        let reader = |native| Thread { code: (locked_seq_read, locked_seq_read_end), arguments, native };
        let torn = run(&arena, 0x1000, &[writer, reader(false), reader(true)]);
        assert_eq!(torn, [0, 0, 0], "readings that were not whole");
    }
    assert_eq!(arena.word(0), 4 * n);
}

#[test]
fn a_queue_loses_nothing_and_gives_nothing_twice() {
    let _alone = crate::alone();
    let arena = Arena::new(0x20_0000);
    let n = 40_000 * scale().min(40);
    const SEEN: usize = 0x10_0000;
    for i in 0..64 {
        arena.put(128 + i * 16, &(i as u64).to_le_bytes());
    }
    let producer = |t: u64, native| Thread {
        code: (locked_produce, locked_produce_end),
        arguments: [arena.at(0), t * n, n],
        native,
    };
    let consumer = |native| Thread {
        code: (locked_consume, locked_consume_end),
        arguments: [arena.at(0), arena.at(SEEN), n],
        native,
    };
    let threads = [producer(0, false), producer(1, true), consumer(false), consumer(true)];
    let twice = run(&arena, 0x1000, &threads);
    assert_eq!(twice, [0; 4], "values that came out twice");
    let seen: u32 = arena.get(SEEN, (2 * n as usize).div_ceil(8)).iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(u64::from(seen), 2 * n);
    say(&format!("queue: {} values", 2 * n));
}
