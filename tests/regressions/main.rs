//! One file a bug, named by the instruction in which it showed. The expected values are what a processor gave.

#[path = "../support/mod.rs"]
mod support;

mod call;
mod cmps;
mod cmpxchg;
mod cpuid;
mod cvttss2si;
mod dpps;
mod fld;
mod fst;
mod fxsave;
mod haddpd;
mod kandw;
mod maskmovdqu;
mod mov;
mod movaps;
mod mulss;
mod shld;
mod vextractf32x4;
mod vmovaps;
mod vmovd;
mod vmovdqa64;
mod vmovdqu32;
mod vmovups;
mod vpermq;
mod vpexpandd;
mod vpgatherdd;
mod vpslld;
mod vpsrlq;

use encore86::cpu::registers::{cr0, rflags};
use encore86::isa::Feature;
use encore86::{Cpu, Engine, Event, Mode, Outcome, Profile, Vendor};
use encore86_oracle::Skips;
use support::machine::{self, CODE};
use support::vm::Vm;

/// Does the host lack what the test replays? Says so.
fn lacks(feature: Feature) -> bool {
    let lacks = !Profile::host().has(feature);
    if lacks {
        Skips::new("regressions").skip(feature.name(), "the host lacks it", 1);
    }
    lacks
}

/// An engine, its processor in 64-bit mode and its memory.
struct Bench {
    engine: Engine,
    cpu: Cpu,
    vm: Vm,
}

impl Bench {
    /// The host with a vendor's behaviour.
    fn new(vendor: Vendor) -> Bench {
        Bench::with(Profile::host().with_vendor(vendor))
    }

    fn with(profile: Profile) -> Bench {
        let engine = Engine::new(profile).expect("executable memory for stubs");
        Bench { engine, cpu: machine::cpu(Mode::Long64), vm: Vm::default() }
    }

    /// Steps one instruction from where the processor begins.
    fn step(&mut self, bytes: &[u8]) -> Outcome {
        self.cpu.rip = CODE + 0x100;
        self.vm.put_code(self.cpu.rip, bytes);
        self.engine.step(&mut self.cpu, &mut self.vm)
    }

    fn run(&mut self, bytes: &[u8]) {
        let outcome = self.step(bytes);
        assert!(matches!(outcome, Outcome::Completed(_)), "{bytes:02x?}: {outcome:?}");
    }

    fn fault(&mut self, bytes: &[u8]) -> Event {
        match self.step(bytes) {
            Outcome::Exception(event) => event,
            other => panic!("{bytes:02x?}: {other:?}"),
        }
    }

    /// CPL 3 with alignment checks.
    fn check_alignment(&mut self) {
        machine::set_cpl(&mut self.cpu, 3);
        self.cpu.update(|s| s.cr0 |= cr0::AM);
        self.cpu.set_rflags(self.cpu.rflags() | rflags::AC);
    }

    fn set_single(&mut self, register: usize, value: f32) {
        self.cpu.vector.zmm[register].0[..4].copy_from_slice(&value.to_le_bytes());
    }
}
