//! Integer instructions: a loop of the guest's, one step after the other and by `Engine::run`; single instructions; strings
//! beside the host's own copy.
//!
//! The bus is that of `step`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use encore86::{Cpu, Engine, Outcome, Profile};
use machine::Machine;
use std::hint::black_box;

#[path = "support/machine.rs"]
mod machine;

const CODE: u64 = 0x1000;
const DATA: u64 = 0x4000;
/// RAM with the code in its place.
fn machine(code: &[u8]) -> Machine {
    let mut machine = Machine::new(true);
    machine.place(CODE, code);
    machine
}

/// add rax, 1; mov rdx, [rbx]; mov [rbx+8], rax; cmp rax, rdi; jne to the first.
const LOOP: &[u8] = &[0x48, 0x83, 0xc0, 0x01, 0x48, 0x8b, 0x13, 0x48, 0x89, 0x43, 0x08, 0x48, 0x39, 0xf8, 0x75, 0xf0];
const STEPS: u64 = 5_000;

fn cpu() -> Cpu {
    let mut cpu = Cpu::new();
    (cpu.rip, cpu.gpr[3], cpu.gpr[7]) = (CODE, DATA, u64::MAX);
    cpu
}

fn engine() -> Engine {
    Engine::integer_only(Profile::host())
}

fn guest_loop(c: &mut Criterion) {
    let mut group = c.benchmark_group("guest loop");
    group.throughput(Throughput::Elements(STEPS));
    let (mut engine, mut cpu, mut machine) = (engine(), cpu(), machine(LOOP));
    group.bench_function("step by step", |b| {
        b.iter(|| {
            for _ in 0..STEPS {
                let outcome = engine.step(black_box(&mut cpu), &mut machine);
                assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
            }
        });
    });
    group.bench_function("by Engine::run", |b| {
        b.iter(|| {
            let run = engine.run(black_box(&mut cpu), &mut machine, STEPS);
            assert_eq!(run.completed, STEPS, "{:?}", run.outcome);
        });
    });
    group.finish();
}

/// Name and bytes. RBX points to the data.
const CASES: &[(&str, &[u8])] = &[
    ("mov rcx,rax", &[0x48, 0x89, 0xc1]),
    ("add rax,rcx", &[0x48, 0x01, 0xc8]),
    ("add al,cl", &[0x00, 0xc8]),
    ("shl eax,3", &[0xc1, 0xe0, 0x03]),
    ("imul rax,rcx", &[0x48, 0x0f, 0xaf, 0xc1]),
    ("movzx eax,byte[m]", &[0x0f, 0xb6, 0x03]),
    ("mov [m],al", &[0x88, 0x03]),
    ("push rax", &[0x50]),
    ("call rel32", &[0xe8, 0, 0, 0, 0]),
    ("jne not taken", &[0x75, 0x10]),
    ("cmovb rax,rcx", &[0x48, 0x0f, 0x42, 0xc1]),
    ("bts [m],ecx", &[0x0f, 0xab, 0x0b]),
];

fn single(c: &mut Criterion) {
    let mut group = c.benchmark_group("integer");
    group.throughput(Throughput::Elements(1));
    for (name, code) in CASES {
        let (mut engine, mut cpu, mut machine) = (engine(), cpu(), machine(code));
        cpu.set_rflags(0x42);
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| {
                (cpu.rip, cpu.gpr[4]) = (CODE, DATA + 0x800);
                let _ = black_box(engine.step(black_box(&mut cpu), &mut machine));
            });
        });
    }
    group.finish();
}

fn strings(c: &mut Criterion) {
    const LEN: usize = 4096;
    let mut group = c.benchmark_group("4 KiB");
    group.throughput(Throughput::Bytes(LEN as u64));
    let (from, mut to) = (vec![1u8; LEN], vec![0u8; LEN]);
    group.bench_function("the host's memcpy", |b| b.iter(|| black_box(&mut to).copy_from_slice(black_box(&from))));
    for (name, code, count) in [("rep movsb", &[0xf3u8, 0xa4][..], LEN), ("rep stosd", &[0xf3, 0xab], LEN / 4)] {
        let (mut engine, mut cpu, mut machine) = (engine(), cpu(), machine(code));
        group.bench_function(name, |b| {
            b.iter(|| {
                cpu.rip = CODE;
                (cpu.gpr[1], cpu.gpr[6], cpu.gpr[7]) = (count as u64, DATA, DATA + 0x4000);
                let _ = black_box(engine.step(black_box(&mut cpu), &mut machine));
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(std::time::Duration::from_secs(2));
    targets = guest_loop, single, strings
}
criterion_main!(benches);
