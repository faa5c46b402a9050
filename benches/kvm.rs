//! What it costs to finish an instruction that KVM gave up on, beside the exit itself, and beside the ways of a monitor that has
//! no emulator: single-stepping, with a permission lifted meanwhile or without.
//!
//! ```sh
//! taskset -c 1 cargo bench --features kvm --bench kvm
//! ```

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use encore86::adapt::kvm::{End, Finisher};
use encore86::{Engine, Outcome, Profile};
use kvm_bindings::{KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, kvm_guest_debug, kvm_regs};
use kvm_ioctls::VcpuExit;
use machine::{CODE, DATA_RAM, Machine, registers};
use std::hint::black_box;
use std::time::Duration;

#[path = "../tests/support/kvm.rs"]
#[allow(dead_code, missing_docs)]
mod machine;
#[path = "kvm/signals.rs"]
mod signals;
#[path = "step/single_step.rs"]
mod single_step;

/// Instructions that the kernel's emulator does not have, and what their state costs.
const REFUSED: [(&str, &[u8]); 4] = [
    ("popcnt eax,[m]", &[0xf3, 0x0f, 0xb8, 0x03]),
    ("paddd xmm1,[m]", &[0x66, 0x0f, 0xfe, 0x0b]),
    ("vextractf128 [m],ymm0,1", &[0xc4, 0xe3, 0x7d, 0x19, 0x03, 0x01]),
    ("vlddqu ymm0,[m]", &[0xc5, 0xff, 0xf0, 0x03]),
];

fn machine(what: &str) -> Option<(Machine, Finisher)> {
    let found = Machine::new(true).and_then(|mut machine| {
        let engine = Engine::new(Profile::host()).map_err(|error| error.to_string())?;
        let finisher = Finisher::new(engine, machine.capabilities).map_err(|error| error.to_string())?;
        finisher.arm(&mut machine.vcpu);
        Ok((machine, finisher))
    });
    match found {
        Ok(found) => Some(found),
        Err(why) => {
            println!("SKIPPED {what}: {why}");
            None
        }
    }
}

/// The instruction, and a jump back to it.
fn forever(code: &[u8]) -> Vec<u8> {
    [code, &[0xeb, (-(code.len() as i8) - 2) as u8]].concat()
}

fn expect(exit: &Result<VcpuExit<'_>, kvm_ioctls::Error>, wanted: fn(&VcpuExit<'_>) -> bool) {
    assert!(exit.as_ref().is_ok_and(wanted), "another exit: {exit:?}");
}

fn exits(c: &mut Criterion) {
    let Some((mut machine, mut finisher)) = machine("kvm exits") else { return };
    let mut group = c.benchmark_group("kvm");
    group.throughput(Throughput::Elements(1)).sample_size(30);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));

    machine.prepare(&forever(&[0x89, 0x03]), &registers(), true);
    group.bench_function(BenchmarkId::new("mov [m],eax", "bare exit: the kernel decodes"), |b| {
        b.iter(|| expect(&machine.vcpu.run(), |exit| matches!(exit, VcpuExit::MmioWrite(..))));
    });
    for (name, code) in REFUSED {
        machine.prepare(&forever(code), &registers(), true);
        group.bench_function(BenchmarkId::new(name, "bare exit: the kernel gives up"), |b| {
            b.iter(|| expect(&machine.vcpu.run(), |exit| matches!(exit, VcpuExit::InternalError)));
        });
        for (what, breakpoints) in [("exit and finish", true), ("exit and finish, without breakpoints", false)] {
            finisher.set_breakpoints(breakpoints);
            group.bench_function(BenchmarkId::new(name, what), |b| {
                b.iter(|| {
                    expect(&machine.vcpu.run(), |exit| matches!(exit, VcpuExit::InternalError));
                    let finished = finisher.finish(&mut machine.vcpu, &mut machine.board).expect("no ioctl fails");
                    assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
                    machine.board.log.clear();
                });
            });
        }
        // The engine's part of it.
        let mut engine = Engine::new(Profile::host()).expect("the host grants executable memory");
        let mut cpu = registers();
        group.bench_function(BenchmarkId::new(name, "the engine's step alone"), |b| {
            b.iter(|| {
                cpu.rip = CODE;
                let outcome = engine.step(black_box(&mut cpu), &mut machine.board);
                assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
                machine.board.log.clear();
            });
        });
    }
    group.finish();
}

/// Stepping over `mov [m],eax` on RAM.
fn stepping(c: &mut Criterion) {
    let Some((mut machine, mut finisher)) = machine("kvm single-step") else { return };
    let mut group = c.benchmark_group("single-step");
    group.throughput(Throughput::Elements(1)).sample_size(30);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let name = |how| BenchmarkId::new("mov [m],eax", how);
    let store = [0x89, 0x03];

    // A page that the guest may not write: KVM_RUN fails with EFAULT, and the engine makes the store on the monitor's side.
    let page = machine.board.ram.page(DATA_RAM);
    let protect = |rights: i32| {
        // SAFETY: the page of the guest's memory that holds the operands, and nothing of Rust's is on it.
        assert_eq!(unsafe { libc::mprotect(page.cast(), 4096, rights) }, 0);
    };
    let refused = |machine: &mut Machine| match machine.vcpu.run() {
        Ok(VcpuExit::MemoryFault { .. }) => {}
        Err(error) if error.errno() == libc::EFAULT => {}
        other => panic!("the store to a page without the right: {other:?}"),
    };
    machine.prepare(&forever(&store), &registers(), false);
    protect(libc::PROT_READ);
    group.bench_function(name("KVM, page not writable: exit and the engine"), |b| {
        // What the engine stores goes to the device's bytes, which stand for a second mapping of the page.
        machine.board.on_device = true;
        b.iter(|| {
            refused(&mut machine);
            let finished =
                finisher.emulate(&mut machine.vcpu, &mut machine.board, |_, _| Ok(())).expect("no ioctl fails");
            assert!(matches!(finished.end, End::Completed(_)), "{finished:?}");
            machine.board.log.clear();
        });
    });
    protect(libc::PROT_READ | libc::PROT_WRITE);

    let debug = |control| kvm_guest_debug { control, ..kvm_guest_debug::default() };
    // Where a step is not stopped, the port behind the instruction stops the guest.
    machine.prepare(&store, &registers(), false);
    machine.vcpu.set_guest_debug(&debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)).expect("KVM_SET_GUEST_DEBUG");
    let works = matches!(machine.vcpu.run(), Ok(VcpuExit::Debug(_)));
    if works {
        machine.prepare(&forever(&store), &registers(), false);
        group.bench_function(name("KVM_GUESTDBG_SINGLESTEP"), |b| {
            b.iter(|| expect(&machine.vcpu.run(), |exit| matches!(exit, VcpuExit::Debug(_))));
        });
        let at_store = kvm_regs { rip: CODE, ..encore86::adapt::kvm::regs(&registers()) };
        group.bench_function(
            name("KVM: fault, permission lifted, KVM_GUESTDBG_SINGLESTEP, permission restored"),
            |b| {
                protect(libc::PROT_READ);
                b.iter(|| {
                    machine.vcpu.set_regs(&at_store).expect("KVM_SET_REGS");
                    refused(&mut machine);
                    protect(libc::PROT_READ | libc::PROT_WRITE);
                    expect(&machine.vcpu.run(), |exit| matches!(exit, VcpuExit::Debug(_)));
                    protect(libc::PROT_READ);
                });
                protect(libc::PROT_READ | libc::PROT_WRITE);
            },
        );
    } else {
        println!(
            "SKIPPED single-step/KVM_GUESTDBG_SINGLESTEP, alone and with a permission lifted: this kernel ends a step at"
        );
        println!("CPL 3 without KVM_EXIT_DEBUG");
    }
    machine.vcpu.set_guest_debug(&debug(0)).expect("KVM_SET_GUEST_DEBUG");
    if !works {
        // What a step with the permission lifted costs at least: the fault, both changes, and the next exit, here a store to
        // the port behind the instruction (and KVM_SET_REGS, to come back to it).
        machine.prepare(&store, &registers(), false);
        let at_store = kvm_regs { rip: CODE, ..encore86::adapt::kvm::regs(&registers()) };
        group.bench_function(name("KVM: fault, permission lifted, run to the next exit, permission restored"), |b| {
            protect(libc::PROT_READ);
            b.iter(|| {
                machine.vcpu.set_regs(&at_store).expect("KVM_SET_REGS");
                refused(&mut machine);
                protect(libc::PROT_READ | libc::PROT_WRITE);
                expect(&machine.vcpu.run(), |exit| matches!(exit, VcpuExit::MmioWrite(..)));
                protect(libc::PROT_READ);
            });
            protect(libc::PROT_READ | libc::PROT_WRITE);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default();
    targets = exits, stepping, signals::bench, single_step::single_step
}
criterion_main!(benches);
