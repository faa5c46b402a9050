//! The price of translation: a TLB hit, a walk by the number of levels, and whole instructions with and without it.
//!
//! Underneath is the simplest bus that a monitor could have, an array. "hit" is a load through the TLB beside the same load
//! without it; their difference is the price of the hit. A walk reads one entry a level and sets nothing.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use encore86::cpu::registers::{cr0, cr4, efer};
use encore86::paging::{Limits, Paging};
use encore86::{Access, Bus, Cpu, Engine, Outcome, Platform, Profile, Stop, Vmm};
use std::hint::black_box;

const SIZE: usize = 0x10000;
/// Tables from here on, one page each; code and data below.
const TABLES: u64 = 0x8000;
const CODE: u64 = 0x1000;
const DATA: u64 = 0x4000;

struct Memory(Box<[u8; SIZE]>);

impl Memory {
    fn at(&mut self, physical: u64, len: usize) -> Result<&mut [u8], Stop> {
        let at = physical as usize & (SIZE - 1);
        self.0.get_mut(at..at + len).ok_or(Stop::Caller(1))
    }

    fn set(&mut self, at: u64, entry: u64) {
        self.at(at, 8).unwrap().copy_from_slice(&entry.to_le_bytes());
    }
}

impl Bus for Memory {
    #[inline]
    fn fetch(&mut self, physical: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        buf.copy_from_slice(self.at(physical, 15)?);
        Ok(15)
    }

    #[inline]
    fn read(&mut self, physical: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        buf.copy_from_slice(self.at(physical, buf.len())?);
        Ok(())
    }

    #[inline]
    fn write(&mut self, physical: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        self.at(physical, buf.len())?.copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

impl Platform for Memory {}

fn memory() -> Memory {
    let mut memory = Memory(Box::new([0; SIZE]));
    memory.0[CODE as usize..][..2].copy_from_slice(&[0x89, 0x03]); // mov [rbx], eax
    memory
}

/// All of the first 64 KiB mapped to themselves, every A and D bit set.
fn mapped(levels: u64, width: usize) -> Memory {
    let mut memory = memory();
    for level in 1..levels {
        memory.set(TABLES + (level - 1) * 0x1000, (TABLES + level * 0x1000) | 0x27);
    }
    let last = TABLES + (levels - 1) * 0x1000;
    for page in 0..16 {
        let entry = page << 12 | 0x67;
        match width {
            4 => memory.at(last + page * 4, 4).unwrap().copy_from_slice(&(entry as u32).to_le_bytes()),
            _ => memory.set(last + page * 8, entry),
        }
    }
    memory
}

fn long(levels: u64) -> Cpu {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr0 |= cr0::PG | cr0::WP;
        s.cr3 = TABLES;
        s.cr4 |= if levels == 5 { cr4::LA57 } else { 0 };
    });
    cpu
}

/// 32-bit or PAE paging; the mode of the code does not matter here.
fn legacy(pae: bool) -> Cpu {
    let mut cpu = long(4);
    cpu.update(|s| {
        s.efer &= !(efer::LMA | efer::LME);
        s.cr4 = if pae { s.cr4 } else { s.cr4 & !cr4::PAE };
    });
    cpu
}

fn paging(memory: Memory, cpu: &Cpu) -> Paging<Memory> {
    let mut paging = Paging::new(memory, Limits::new(&Profile::host()));
    paging.load(cpu).expect("the tables are right");
    paging
}

#[inline(never)]
fn load(bus: &mut impl Bus, linear: u64) -> u64 {
    let mut buf = [0; 8];
    bus.read(linear, &mut buf, &Access::read(8, 0)).unwrap();
    u64::from_le_bytes(buf)
}

fn translation(c: &mut Criterion) {
    let mut group = c.benchmark_group("paging");
    let mut plain = memory();
    group.bench_function("load, no paging", |b| b.iter(|| load(black_box(&mut plain), black_box(DATA))));
    let mut through = paging(mapped(4, 8), &long(4));
    group.bench_function("load, hit", |b| b.iter(|| load(black_box(&mut through), black_box(DATA))));

    let tables = [
        ("32-bit, 2 levels", mapped(2, 4), legacy(false)),
        // The PDPTEs are read with CR3: the first table is theirs, and a walk has two levels left.
        ("PAE, 2 levels", pae(), legacy(true)),
        ("4 levels", mapped(4, 8), long(4)),
        ("5 levels", mapped(5, 8), long(5)),
    ];
    for (name, memory, cpu) in tables {
        let mut through = paging(memory, &cpu);
        group.bench_with_input(BenchmarkId::new("load, miss", name), &DATA, |b, &data| {
            b.iter(|| {
                through.invlpg(data);
                load(black_box(&mut through), black_box(data))
            });
        });
    }
    let mut through = paging(mapped(4, 8), &long(4));
    group.bench_function("invlpg alone", |b| b.iter(|| black_box(&mut through).invlpg(black_box(DATA))));
    group.bench_function("flush alone", |b| b.iter(|| black_box(&mut through).flush()));
    let cpu = long(4);
    group.bench_function("load of unchanged registers", |b| {
        b.iter(|| black_box(&mut through).load(black_box(&cpu)));
    });
    group.finish();
}

fn pae() -> Memory {
    let mut memory = mapped(3, 8);
    memory.set(TABLES, (TABLES + 0x1000) | 1);
    memory
}

fn step(engine: &mut Engine, cpu: &mut Cpu, vmm: &mut impl Vmm) {
    cpu.rip = CODE;
    let outcome = engine.step(black_box(cpu), black_box(vmm));
    debug_assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let _ = black_box(outcome);
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    let mut engine = Engine::integer_only(Profile::host());
    let mut cpu = Cpu::new();
    cpu.gpr[3] = DATA;
    let mut plain = memory();
    group.bench_function("mov [m],eax, no paging", |b| b.iter(|| step(&mut engine, &mut cpu, &mut plain)));
    let mut cpu = long(4);
    cpu.gpr[3] = DATA;
    let mut through = paging(mapped(4, 8), &cpu);
    group.bench_function("mov [m],eax, paging", |b| {
        b.iter(|| {
            through.load(black_box(&cpu)).expect("nothing changed");
            step(&mut engine, &mut cpu, &mut through);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = translation, whole
}
criterion_main!(benches);
