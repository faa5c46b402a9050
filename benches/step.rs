//! The price of one step, hot, by instruction; what a first time costs; and what single-stepping costs.
//!
//! The bus is the simplest that a monitor could have: an array behind `read` and `write`, reached by callbacks for every
//! access. Times are for one instruction, from raw bytes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use encore86::{Cpu, Engine, Outcome, Profile};
use machine::Machine;
use std::hint::black_box;

#[path = "support/machine.rs"]
mod machine;
#[path = "step/native.rs"]
mod native;
#[path = "step/single_step.rs"]
mod single_step;

const CODE: u64 = 0x1000;
const DATA: u64 = 0x4000;
/// A row of the design's table: name, bytes, and whether memory is plain RAM.
struct Case {
    name: &'static str,
    code: &'static [u8],
    ram: bool,
}

const fn case(name: &'static str, code: &'static [u8]) -> Case {
    Case { name, code, ram: false }
}

const fn ram(name: &'static str, code: &'static [u8]) -> Case {
    Case { name, code, ram: true }
}

/// RBX points to the data, RSI and RDI into it, RCX counts 64 or 16, ZMM2 holds small indices, all masks are on.
const CASES: &[Case] = &[
    case("mov [m],eax", &[0x89, 0x03]),
    case("mov eax,[m]", &[0x8b, 0x03]),
    case("add [m],ecx", &[0x01, 0x0b]),
    ram("lock xadd [m],eax", &[0xf0, 0x0f, 0xc1, 0x03]),
    ram("rep movsb x64", &[0xf3, 0xa4]),
    ram("rep stosd x16", &[0xf3, 0xab]),
    case("movdqu [m],xmm0", &[0xf3, 0x0f, 0x7f, 0x03]),
    case("movdqu xmm0,[m]", &[0xf3, 0x0f, 0x6f, 0x03]),
    case("paddd xmm1,[m]", &[0x66, 0x0f, 0xfe, 0x0b]),
    case("vpaddd ymm1,ymm0,[m]", &[0xc5, 0xfd, 0xfe, 0x0b]),
    case("vmovdqu64 [m],zmm0", &[0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x03]),
    case("vpaddd zmm1{k1}{z},zmm0,[m]{1to16}", &[0x62, 0xf1, 0x7d, 0xd9, 0xfe, 0x0b]),
    case("vpgatherdd ymm1,[m+ymm2*4],ymm3", &[0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x93]),
    case("vaddps ymm1,ymm0,[m]", &[0xc5, 0xfc, 0x58, 0x0b]),
    case("vaddps zmm1,zmm0,[m]", &[0x62, 0xf1, 0x7c, 0x48, 0x58, 0x0b]),
    case("fld m64", &[0xdd, 0x03]),
    case("fstp m64", &[0xdd, 0x1b]),
    case("fadd m64", &[0xdc, 0x03]),
    case("fxsave m512", &[0x0f, 0xae, 0x03]),
];

fn cpu() -> Cpu {
    let mut cpu = Cpu::new();
    cpu.gpr[3] = DATA;
    for i in 0..16 {
        cpu.vector.zmm[2].0[i * 4] = i as u8;
    }
    cpu.vector.k = [u64::MAX; 8];
    cpu
}

/// What an instruction uses up is given back before each step.
#[inline]
fn rewind(cpu: &mut Cpu, at: u64) {
    cpu.rip = at;
    cpu.gpr[1] = 16;
    cpu.gpr[6] = DATA + 0x100;
    cpu.gpr[7] = DATA + 0x200;
    cpu.x87.ftw = 0x7f;
    cpu.x87.fsw = 0;
}

fn step(engine: &mut Engine, cpu: &mut Cpu, machine: &mut Machine) {
    let outcome = engine.step(black_box(cpu), black_box(machine));
    debug_assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    black_box(&outcome);
}

/// Can the instruction run here? Says so when not.
fn runs(engine: &mut Engine, case: &Case) -> bool {
    let (mut cpu, mut machine) = (cpu(), Machine::new(case.ram));
    machine.place(CODE, case.code);
    rewind(&mut cpu, CODE);
    let outcome = engine.step(&mut cpu, &mut machine);
    let completed = matches!(outcome, Outcome::Completed(_));
    if !completed {
        eprintln!("SKIPPED {}: {outcome:?}", case.name);
    }
    completed
}

fn engine() -> Engine {
    Engine::new(Profile::host()).expect("the host grants executable memory")
}

fn hot(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(1));
    for case in CASES {
        let mut engine = engine();
        if !runs(&mut engine, case) {
            continue;
        }
        let (mut cpu, mut machine) = (cpu(), Machine::new(case.ram));
        machine.place(CODE, case.code);
        let count = if case.name.ends_with("x64") { 64 } else { 16 };
        // A gather uses up its mask.
        let gathers = case.name.starts_with("vpgatherdd");
        group.bench_function(BenchmarkId::from_parameter(case.name), |b| {
            b.iter(|| {
                rewind(&mut cpu, CODE);
                cpu.gpr[1] = count;
                if gathers {
                    cpu.vector.zmm[3].0 = [0xff; 64];
                }
                step(&mut engine, &mut cpu, &mut machine);
            });
        });
        if let Some(native) = native::of(case.name) {
            let place = machine.bytes[DATA as usize..].as_mut_ptr();
            group.bench_function(BenchmarkId::new("native", case.name), |b| b.iter(|| native(black_box(place))));
        }
    }
    group.finish();
}

fn round_robin(c: &mut Criterion) {
    let mut engine = engine();
    let (mut cpu, mut machine) = (cpu(), Machine::new(true));
    let mut sites = Vec::new();
    for case in CASES {
        if runs(&mut engine, case) {
            let at = CODE + sites.len() as u64 * 0x21;
            machine.place(at, case.code);
            sites.push(at);
        }
    }
    let mut group = c.benchmark_group("round robin");
    group.throughput(Throughput::Elements(sites.len() as u64));
    group.bench_function("all rows", |b| {
        b.iter(|| {
            for &at in &sites {
                rewind(&mut cpu, at);
                cpu.vector.zmm[3].0 = [0xff; 64];
                step(&mut engine, &mut cpu, &mut machine);
            }
        });
    });
    let sites = vector_sites(&mut engine, &mut machine);
    group.throughput(Throughput::Elements(sites.len() as u64));
    group.bench_function(format!("{} vector sites", sites.len()), |b| {
        b.iter(|| {
            for &at in &sites {
                cpu.rip = at;
                step(&mut engine, &mut cpu, &mut machine);
            }
        });
    });
    group.finish();
}

/// Eight vector instructions of the table with each of eight registers: 64 stubs, at 64 places.
fn vector_sites(engine: &mut Engine, machine: &mut Machine) -> Vec<u64> {
    let names = ["movdqu [m]", "movdqu xmm0", "paddd", "vpaddd", "vmovdqu64", "vaddps"];
    let mut sites = Vec::new();
    for case in CASES.iter().filter(|case| names.iter().any(|name| case.name.starts_with(name))) {
        if !runs(engine, case) {
            continue;
        }
        for register in 0..8 {
            let at = CODE + 0x1000 + sites.len() as u64 * 0x21;
            let mut code = case.code.to_vec();
            if let Some(modrm) = code.last_mut() {
                *modrm = *modrm & !0x38 | register << 3;
            }
            machine.place(at, &code);
            sites.push(at);
        }
    }
    sites
}

/// Instructions that are new each time: vector operations on all pairs of registers, more than the stubs' memory holds, so
/// that none is found again; moves of all registers, in turn at one address.
fn first_time(c: &mut Criterion) {
    let mut group = c.benchmark_group("first time");
    group.throughput(Throughput::Elements(1));
    let (mut cpu, mut machine) = (cpu(), Machine::new(false));
    let mut engine = engine();
    let mut turn = 0u8;
    group.bench_function("decode and run: mov [m],r32", |b| {
        b.iter(|| {
            turn = turn.wrapping_add(1);
            machine.place(CODE, &[0x89, 0x03 | turn << 3 & 0x38]);
            cpu.rip = CODE;
            step(&mut engine, &mut cpu, &mut machine);
        });
    });
    if !runs(&mut engine, &CASES[9]) {
        return;
    }
    const OPCODES: [u8; 16] =
        [0xfc, 0xfd, 0xfe, 0xd4, 0xf8, 0xf9, 0xfa, 0xfb, 0xdb, 0xdf, 0xeb, 0xef, 0xda, 0xde, 0xea, 0xee];
    let mut turn = 0usize;
    group.bench_function("decode, assemble, install and run: vpxxx ymm,ymm,[m]", |b| {
        b.iter(|| {
            turn = turn.wrapping_add(1);
            let (reg, vvvv) = ((turn & 7) as u8, (turn >> 3 & 15) as u8);
            let opcode = OPCODES[turn >> 7 & 15];
            machine.place(CODE, &[0xc5, 0x85 | (15 - vvvv) << 3, opcode, 0x03 | reg << 3]);
            cpu.rip = CODE;
            step(&mut engine, &mut cpu, &mut machine);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = hot, round_robin, first_time, single_step::single_step
}
criterion_main!(benches);
