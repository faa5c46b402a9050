//! An instruction that has run, and runs again at the same place after something else has changed. The decode cache has it by then, and
//! must ask again whatever the change decides: expected outcomes are the manual's.

#[path = "support/ram.rs"]
mod ram;

use encore86::cpu::registers::{cr0, cr4, efer, rflags};
use encore86::cpu::segment::{Seg, Segment};
use encore86::{Access, Cpu, Engine, Outcome, Platform, Profile, Retired, Stop};

const CODE: u64 = 0x1000;
const DATA: u64 = 0x2000;
/// MOVUPS [RBX], XMM0.
const STORE: [u8; 3] = [0x0f, 0x11, 0x03];

struct Machine {
    ram: Vec<u8>,
}

impl Machine {
    fn allows(&self, _: u64, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

ram::bus_over_ram!(Machine);

impl Platform for Machine {}

/// Runs the code three times, so that the cache has it, then once more after the change.
fn after(code: &[u8], change: impl FnOnce(&mut Cpu, &mut Machine)) -> (Outcome, Cpu, Machine) {
    let mut engine = Engine::new(Profile::host()).expect("the host grants executable memory");
    let mut machine = Machine { ram: vec![0; 0x4000] };
    machine.ram[CODE as usize..][..code.len()].copy_from_slice(code);
    machine.put(DATA, u64::MAX);
    let mut cpu = Cpu::new();
    cpu.gpr[3] = DATA;
    for _ in 0..3 {
        cpu.rip = CODE;
        assert_eq!(engine.step(&mut cpu, &mut machine), Outcome::Completed(Retired::default()));
        assert_eq!(cpu.rip, CODE + code.len() as u64);
    }
    cpu.rip = CODE;
    change(&mut cpu, &mut machine);
    let outcome = engine.step(&mut cpu, &mut machine);
    (outcome, cpu, machine)
}

/// The vector of the exception.
fn vector(outcome: Outcome) -> u8 {
    let Outcome::Exception(event) = outcome else { panic!("{outcome:?}") };
    event.vector
}

#[test]
fn gates_are_asked_again() {
    let task_switched = after(&STORE, |cpu, _| cpu.update(|s| s.cr0 |= cr0::TS)).0;
    assert_eq!(vector(task_switched), 7);
    let disabled = after(&STORE, |cpu, _| cpu.update(|s| s.cr4 &= !cr4::OSFXSR)).0;
    assert_eq!(vector(disabled), 6);
}

#[test]
fn a_single_step_trap_is_due_again() {
    let (outcome, cpu, _) = after(&STORE, |cpu, _| cpu.set_rflags(cpu.rflags() | rflags::TF));
    let Outcome::Completed(retired) = outcome else { panic!("{outcome:?}") };
    assert_eq!((retired.debug().map(|event| event.vector), cpu.rip), (Some(1), CODE + 3));
}

/// Bytes that the bus shows at an address which is canonical with 57 bits alone.
#[test]
fn the_width_of_addresses_counts_again() {
    const HIGH: u64 = 1 << 47;
    struct Everywhere(Machine);
    impl encore86::Bus for Everywhere {
        fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
            encore86::Bus::fetch(&mut self.0, at & 0x3fff, buf, access)
        }
        fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
            encore86::Bus::read(&mut self.0, at & 0x3fff, buf, access)
        }
        fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
            encore86::Bus::write(&mut self.0, at & 0x3fff, buf, access)
        }
        fn probe(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
            encore86::Bus::probe(&mut self.0, at & 0x3fff, len, access)
        }
    }
    impl Platform for Everywhere {}
    let mut engine = Engine::integer_only(Profile::all());
    let mut machine = Everywhere(Machine { ram: vec![0x90; 0x4000] });
    let mut cpu = Cpu::new();
    cpu.update(|s| s.cr4 |= cr4::LA57);
    for _ in 0..3 {
        cpu.rip = HIGH;
        assert_eq!(engine.step(&mut cpu, &mut machine), Outcome::Completed(Retired::default()));
    }
    cpu.rip = HIGH;
    cpu.update(|s| s.cr4 &= !cr4::LA57);
    assert_eq!(vector(engine.step(&mut cpu, &mut machine)), 13);
}

/// 40 is a prefix in 64-bit mode and INC EAX in compatibility mode.
#[test]
fn the_mode_counts_again() {
    let (outcome, cpu, _) = after(&[0x40, 0x89, 0x03], |cpu, _| {
        cpu.gpr[0] = 6;
        let code = Segment { attr: 0xc09b, ..*cpu.seg(Seg::Cs) };
        cpu.update(|s| s.seg[Seg::Cs as usize] = code);
        assert!(cpu.system().efer & efer::LMA != 0);
    });
    assert_eq!((outcome, cpu.rip, cpu.gpr[0]), (Outcome::Completed(Retired::default()), CODE + 1, 7));
}

/// Each byte counts: of instructions of 3, 8 and 10 bytes, one is changed after another.
#[test]
fn each_byte_counts_again() {
    // MOV EAX, imm32 behind prefixes that mean nothing, and MOV RAX, imm64.
    let codes: [&[u8]; 3] =
        [&[0x0f, 0x11, 0x03], &[0x3e, 0x3e, 0x3e, 0xb8, 1, 2, 3, 4], &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8]];
    let (_, cpu, machine) = after(codes[0], |cpu, machine| {
        cpu.vector.zmm[1].0[0] = 0x77;
        // MOVUPS [RBX], XMM1.
        machine.ram[CODE as usize + 2] = 0x0b;
    });
    assert_eq!((cpu.rip, machine.get(DATA)), (CODE + 3, 0x77));
    for (code, immediate) in [(codes[1], 4), (codes[2], 2)] {
        for i in 0..code.len() - immediate {
            let (outcome, cpu, _) = after(code, |_, machine| machine.ram[CODE as usize + immediate + i] = 0xee);
            assert_eq!(outcome, Outcome::Completed(Retired::default()));
            assert_eq!(cpu.gpr[0] >> (8 * i) & 0xff, 0xee, "byte {i} of {code:02x?}");
        }
    }
}
