//! Each locked form, a whole step beside the bare native instruction; and how two engines on cells of their own scale.
//!
//! Pin the steps to one quiet processor (`taskset -c 1 cargo bench --bench locked -- step`), and leave two to `engines`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use encore86::{Cpu, Engine, Outcome, Profile};
use machine::Machine;
use std::arch::asm;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

#[path = "support/machine.rs"]
mod machine;

const CODE: u64 = 0x1000;
const DATA: u64 = 0x4000;
/// RAM, of which host addresses are granted, with the code in its place.
fn machine(code: &[u8]) -> Machine {
    let mut machine = Machine::new(true);
    machine.place(CODE, code);
    machine
}

/// One form: its name, its bytes with memory at [RBX] (CMPXCHG8B and 16B: [RDI]), and the same on the host, `n` times.
struct Case {
    name: &'static str,
    code: &'static [u8],
    native: unsafe fn(*mut u64, u64),
}

macro_rules! case {
    ($name:literal, $code:expr, $($line:literal),+) => {{
        /// # Safety
        /// Sixteen aligned bytes are there.
        unsafe fn native(cell: *mut u64, n: u64) {
            // SAFETY: the caller's promise; RBX is put back.
            unsafe {
                asm!(
                    "mov r9, rbx", "mov rbx, rdi",
                    "2:", $($line,)+ "dec r8", "jnz 2b",
                    "mov rbx, r9",
                    inout("rdi") cell => _, inout("r8") n => _, out("r9") _,
                    inout("rax") 0_u64 => _, inout("rcx") 1_u64 => _, inout("rdx") 0_u64 => _,
                );
            }
        }
        Case { name: $name, code: $code, native }
    }};
}

fn cases() -> Vec<Case> {
    vec![
        case!("lock add [m],ecx", &[0xf0, 0x01, 0x0b], "lock add [rbx], ecx"),
        case!("lock add [m],rcx", &[0xf0, 0x48, 0x01, 0x0b], "lock add [rbx], rcx"),
        case!("lock add [m],cl", &[0xf0, 0x00, 0x0b], "lock add [rbx], cl"),
        case!("lock add [m],cx", &[0xf0, 0x66, 0x01, 0x0b], "lock add [rbx], cx"),
        case!("lock or [m],ecx", &[0xf0, 0x09, 0x0b], "lock or [rbx], ecx"),
        case!("lock adc [m],ecx", &[0xf0, 0x11, 0x0b], "lock adc [rbx], ecx"),
        case!("lock sbb [m],ecx", &[0xf0, 0x19, 0x0b], "lock sbb [rbx], ecx"),
        case!("lock and [m],ecx", &[0xf0, 0x21, 0x0b], "lock and [rbx], ecx"),
        case!("lock sub [m],ecx", &[0xf0, 0x29, 0x0b], "lock sub [rbx], ecx"),
        case!("lock xor [m],ecx", &[0xf0, 0x31, 0x0b], "lock xor [rbx], ecx"),
        case!("lock inc [m] 32", &[0xf0, 0xff, 0x03], "lock inc dword ptr [rbx]"),
        case!("lock dec [m] 32", &[0xf0, 0xff, 0x0b], "lock dec dword ptr [rbx]"),
        case!("lock not [m] 32", &[0xf0, 0xf7, 0x13], "lock not dword ptr [rbx]"),
        case!("lock neg [m] 32", &[0xf0, 0xf7, 0x1b], "lock neg dword ptr [rbx]"),
        case!("lock bts [m],ecx", &[0xf0, 0x0f, 0xab, 0x0b], "lock bts [rbx], ecx"),
        case!("lock btr [m],ecx", &[0xf0, 0x0f, 0xb3, 0x0b], "lock btr [rbx], ecx"),
        case!("lock btc [m],ecx", &[0xf0, 0x0f, 0xbb, 0x0b], "lock btc [rbx], ecx"),
        case!("xchg [m],ecx", &[0x87, 0x0b], "xchg [rbx], ecx"),
        case!("lock xadd [m],ecx", &[0xf0, 0x0f, 0xc1, 0x0b], "lock xadd [rbx], ecx"),
        case!("lock cmpxchg [m],ecx", &[0xf0, 0x0f, 0xb1, 0x0b], "lock cmpxchg [rbx], ecx"),
        case!("lock cmpxchg8b [m]", &[0xf0, 0x0f, 0xc7, 0x0f], "lock cmpxchg8b [rdi]"),
        case!("lock cmpxchg16b [m]", &[0xf0, 0x48, 0x0f, 0xc7, 0x0f], "lock cmpxchg16b [rdi]"),
    ]
}

fn cpu() -> Cpu {
    let mut cpu = Cpu::new();
    (cpu.gpr[1], cpu.gpr[3], cpu.gpr[7]) = (1, DATA, DATA);
    cpu
}

#[inline]
fn step(engine: &mut Engine, cpu: &mut Cpu, machine: &mut Machine) {
    cpu.rip = CODE;
    let outcome = engine.step(black_box(cpu), black_box(machine));
    debug_assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    black_box(&outcome);
}

fn forms(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    group.sample_size(30).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    for case in cases() {
        let mut machine = machine(case.code);
        let (mut engine, mut cpu) = (Engine::integer_only(Profile::host()), cpu());
        group.bench_function(case.name, |b| b.iter(|| step(&mut engine, &mut cpu, &mut machine)));
    }
    group.finish();
    let mut group = c.benchmark_group("native");
    group.sample_size(30).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    for case in cases() {
        #[repr(align(64))]
        struct Line([u64; 8]);
        let mut cell = Line([0; 8]);
        group.bench_function(case.name, |b| {
            b.iter_custom(|n| {
                let start = Instant::now();
                // SAFETY: the line is aligned and ours.
                unsafe { (case.native)(cell.0.as_mut_ptr(), n) };
                start.elapsed()
            });
        });
    }
    group.finish();
}

/// Steps that `count` engines on threads of their own make in a given time, each on its own memory: the time an operation.
fn engines(c: &mut Criterion) {
    const XADD: &[u8] = &[0xf0, 0x0f, 0xc1, 0x0b];
    let mut group = c.benchmark_group("engines");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    for count in [1, 2] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("lock xadd by {count}"), |b| {
            b.iter_custom(|n| {
                let barrier = Barrier::new(count as usize);
                let times = std::thread::scope(|scope| {
                    let work = || {
                        let (mut engine, mut cpu, mut machine) =
                            (Engine::integer_only(Profile::host()), cpu(), machine(XADD));
                        barrier.wait();
                        let start = Instant::now();
                        for _ in 0..n {
                            step(&mut engine, &mut cpu, &mut machine);
                        }
                        start.elapsed()
                    };
                    let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
                    threads.into_iter().map(|thread| thread.join().expect("no thread fails")).collect::<Vec<_>>()
                });
                times.into_iter().max().unwrap_or_default()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, forms, engines);
criterion_main!(benches);
