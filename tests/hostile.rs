//! Guests and monitors that mean harm: nothing panics, nothing hangs.

mod support;

use encore86::bus::Modify;
use encore86::{Access, Bus, Engine, Mode, Outcome, Platform, Profile, Stop, Unsupported};
use std::sync::atomic::AtomicU64;
use support::fuzz::{Random, step_does_not_panic};
use support::vm::Vm;
use support::{encode, machine};

#[test]
fn random_steps() {
    let seed = std::env::var("ENCORE86_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed);
    println!("seed {seed} (set ENCORE86_SEED for another)");
    let mut random = Random(seed);
    let profile = Profile::all();
    let forms: Vec<_> =
        machine::MODES.iter().flat_map(|&mode| encode::all(mode, &profile, 0x1000)).map(|f| f.bytes).collect();
    let mut engine = Engine::new(profile).unwrap();
    let ram: &'static [AtomicU64; 16] = Box::leak(Box::default());
    let (mut data, mut ended) = (vec![0; 2048], [0; 5]);
    for _ in 0..if cfg!(debug_assertions) { 60_000 } else { 600_000 } {
        random.fill(&mut data);
        let form = &forms[random.next() as usize % forms.len()];
        step_does_not_panic(&mut engine, ram, form, &data, &mut ended);
    }
    println!("completed, exception, retry, stopped, unsupported: {ended:?}");
    assert!(ended.iter().all(|&n| n > 1_000), "{ended:?}");
}

/// A monitor with one answer that is out of place.
struct Odd {
    vm: Vm,
    odd: fn(&mut [u8], &mut Modify<'_>) -> Result<bool, Stop>,
    fetched: usize,
}

impl Bus for Odd {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.vm.fetch(linear, buf, access)?;
        Ok(self.fetched)
    }
    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.vm.read(linear, buf, access)
    }
    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.vm.write(linear, buf, access)
    }
    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.vm.probe(linear, len, access)
    }
    fn rmw(&mut self, _: u64, old: &mut [u8], modify: &mut Modify<'_>, _: &Access) -> Result<bool, Stop> {
        (self.odd)(old, modify)
    }
}
impl Platform for Odd {}

fn odd_step(code: &[u8], fetched: usize, odd: fn(&mut [u8], &mut Modify<'_>) -> Result<bool, Stop>) -> Outcome {
    let mut cpu = machine::cpu(Mode::Long64);
    let before = cpu.clone();
    let mut odd = Odd { vm: Vm::with_code(cpu.rip, code), odd, fetched };
    let mut engine = Engine::new(Profile::host()).unwrap();
    let outcome = engine.step(&mut cpu, &mut odd);
    if !matches!(outcome, Outcome::Completed(_)) {
        assert_eq!(machine::differences(&cpu, &before), [""; 0]);
        assert_eq!(odd.vm.log, []);
    }
    outcome
}

#[test]
fn a_fetch_of_no_byte_and_of_too_many() {
    assert!(matches!(odd_step(&[0x90], 0, |_, _| Ok(false)), Outcome::Unsupported(Unsupported::Platform(_))));
    assert!(matches!(odd_step(&[0x90], 200, |_, _| Ok(false)), Outcome::Completed(_)));
}

#[test]
fn an_rmw_that_does_not_do_its_part() {
    // lock xadd [rbx], ecx; lock cmpxchg [rbx], ecx; lock cmpxchg8b [rbx]; lock cmpxchg16b [rbx]
    for code in [
        &[0xf0, 0x0f, 0xc1, 0x0b][..],
        &[0xf0, 0x0f, 0xb1, 0x0b],
        &[0xf0, 0x0f, 0xc7, 0x0b],
        &[0xf0, 0x48, 0x0f, 0xc7, 0x0b],
    ] {
        let typed = |outcome| matches!(outcome, Outcome::Unsupported(Unsupported::Platform(_)));
        assert!(typed(odd_step(code, 15, |_, _| Ok(true))), "modify not called: {code:x?}");
        let wrong = odd_step(code, 15, |_, modify| {
            modify(&[0; 3], &mut [0; 33]);
            Ok(true)
        });
        assert!(typed(wrong), "modify called with other lengths: {code:x?}");
        let wide = odd_step(code, 15, |_, _| Err(Stop::TooWide(1)));
        assert!(matches!(wide, Outcome::Completed(_)), "a device that cannot take it at once: {wide:?}");
    }
}

#[test]
fn widths_that_make_no_progress() {
    for width in [0, 8, 255] {
        let mut cpu = machine::cpu(Mode::Long64);
        let vm = Vm::with_code(cpu.rip, &[0x48, 0x89, 0x0b]);
        let mut engine = Engine::new(Profile::host()).unwrap();
        struct Fixed(Vm, u8);
        impl Bus for Fixed {
            fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
                self.0.fetch(linear, buf, access)
            }
            fn read(&mut self, _: u64, _: &mut [u8], _: &Access) -> Result<(), Stop> {
                Err(Stop::TooWide(self.1))
            }
            fn write(&mut self, _: u64, _: &[u8], _: &Access) -> Result<(), Stop> {
                Err(Stop::TooWide(self.1))
            }
            fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
                Ok(())
            }
        }
        impl Platform for Fixed {}
        let outcome = engine.step(&mut cpu, &mut Fixed(vm, width));
        assert!(matches!(outcome, Outcome::Unsupported(Unsupported::Platform(_))), "{width}: {outcome:?}");
    }
}
