//! What a stub costs: called again, found by key, made and called for the first time.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use encore86_stubs::{Body, Key, Move, MoveKind, Recipe, Scratch, StubCache, StubError, StubRef, X87};
use std::hint::black_box;

#[repr(C, align(64))]
struct State([[u8; 64]; 32]);

fn recipe(body: &[u8], loads: &[Move], stores: &[Move]) -> Recipe {
    let mut recipe = Recipe::new(Body::new(body).unwrap());
    loads.iter().for_each(|m| recipe.loads.push(*m).unwrap());
    stores.iter().for_each(|m| recipe.stores.push(*m).unwrap());
    recipe
}

fn at(kind: MoveKind, reg: u8) -> Move {
    Move::new(kind, reg, 64 * i32::from(reg))
}

/// Runs on this host: SSE2 and, by detection, AVX2 and AVX-512.
fn recipes() -> Vec<(&'static str, Recipe)> {
    use MoveKind::{Xmm, Ymm, YmmZero, Zmm};
    let paddd = recipe(&[0x66, 0x0f, 0xfe, 0x0e], &[at(Xmm, 1)], &[at(Xmm, 1)]);
    let addps = Recipe { mxcsr: true, ..recipe(&[0x0f, 0x58, 0x0e], &[at(Xmm, 1)], &[at(Xmm, 1)]) };
    let ucomiss = Recipe { mxcsr: true, rflags_out: true, ..recipe(&[0x0f, 0x2e, 0x0e], &[at(Xmm, 1)], &[]) };
    let ptest = Recipe { rflags_out: true, ..recipe(&[0x66, 0x0f, 0x38, 0x17, 0x0e], &[at(Xmm, 1)], &[]) };
    let fadd =
        Recipe { x87: Some(X87 { pushes: 1, pops: 1, drops: 0, in_place: false }), ..recipe(&[0xdc, 0x06], &[], &[]) };
    let mut all = vec![
        ("nop", recipe(&[0x90], &[], &[])),
        ("paddd xmm,[m]", paddd),
        ("ptest xmm,[m]", ptest),
        ("addps xmm,[m]", addps),
        ("ucomiss xmm,[m]", ucomiss),
        ("fadd m64", fadd),
    ];
    if is_x86_feature_detected!("avx2") {
        let body = [0xc5, 0xed, 0xfe, 0x0e];
        all.push(("vpaddd ymm,ymm,[m]", recipe(&body, &[at(Ymm, 2)], &[at(YmmZero, 1)])));
    }
    if is_x86_feature_detected!("avx512f") {
        let body = [0x62, 0xf1, 0x6d, 0x48, 0xfe, 0x0e];
        all.push(("vpaddd zmm,zmm,[m]", recipe(&body, &[at(Zmm, 2)], &[at(Zmm, 1)])));
    }
    all
}

/// A key as a caller would make it: bytes of an instruction.
fn key(i: usize) -> Key {
    Key(0x0e_fe0f_6600 | (i as u128) << 40)
}

fn call(c: &mut Criterion) {
    let mut state = State([[0; 64]; 32]);
    let mut operand = State([[0; 64]; 32]);
    let mut scratch = Scratch::new();
    let (state, operand) = (state.0.as_mut_ptr().cast(), operand.0.as_mut_ptr().cast());
    let run = |cache: &StubCache, stub: StubRef, scratch: &mut Scratch| {
        // SAFETY: the recipes move registers of `State`, read 64 bytes of memory at most, and run on this host.
        unsafe { cache.call(black_box(stub), black_box(state), black_box(operand), scratch) }.unwrap()
    };

    let mut group = c.benchmark_group("hot");
    let mut cache = StubCache::with_len(64 << 10).unwrap();
    for (i, (name, recipe)) in recipes().iter().enumerate() {
        let stub = cache.install(key(i), recipe).unwrap();
        group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| run(&cache, stub, &mut scratch)));
    }
    group.finish();

    let mut group = c.benchmark_group("lookup");
    group.bench_function("hit", |b| b.iter(|| cache.lookup(black_box(key(1)))));
    group.bench_function("miss", |b| b.iter(|| cache.lookup(black_box(key(1000)))));
    let stub = cache.lookup(key(1)).unwrap();
    group.bench_function("is_current", |b| b.iter(|| cache.is_current(black_box(stub))));
    group.bench_function("hit and call", |b| {
        b.iter(|| {
            let stub = cache.get::<StubError>(black_box(key(1)), || unreachable!()).unwrap();
            run(&cache, stub, &mut scratch)
        });
    });
    group.finish();

    let mut group = c.benchmark_group("install");
    for (name, recipe) in &recipes() {
        let mut i = 0;
        group.bench_function(BenchmarkId::new("only", name), |b| {
            b.iter(|| {
                i += 1;
                cache.install(key(i), black_box(recipe)).unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("and call", name), |b| {
            b.iter(|| {
                i += 1;
                let stub = cache.install(key(i), black_box(recipe)).unwrap();
                run(&cache, stub, &mut scratch)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, call);
criterion_main!(benches);
