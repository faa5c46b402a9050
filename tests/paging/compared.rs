//! Millions of random tables and accesses: the library's page walker against the naive one.

use super::memory::{Memory, Walked, Ways};
use super::naive::{self, Answer, Ask};
use super::world::{self, MODES, Mode, World};
use encore86::paging::{Invpcid, Paging};
use encore86::{Cpu, Stop};
use encore86_oracle::Random;
use std::collections::BTreeMap;

fn cases(base: f64) -> u64 {
    let wished = std::env::var("ENCORE86_CASES").map(|text| text.parse().expect("ENCORE86_CASES is a number"));
    (base * wished.unwrap_or(1.0) * if cfg!(debug_assertions) { 0.05 } else { 1.0 }) as u64
}

/// What came out how often, so that a suite in which everything faults cannot pass for one.
#[derive(Default)]
struct Tally(BTreeMap<(String, String), u64>);

impl Tally {
    fn count(&mut self, mode: Mode, answer: &Answer) {
        let what = match answer {
            Answer::Physical(_) => "translated".to_owned(),
            Answer::PageFault(code) => format!("#PF({code:#04x})"),
            Answer::GeneralProtection => "#GP(0)".to_owned(),
        };
        *self.0.entry((format!("{mode:?}"), what)).or_default() += 1;
    }

    /// Every mode translated and refused often, and with every bit of the error code that it has.
    fn check(&self, suite: &str) {
        let mut lines = String::new();
        for ((mode, what), n) in &self.0 {
            lines += &format!(" {mode} {what} {n};");
        }
        println!("{suite}:{lines}");
        for mode in MODES {
            let of = |wanted: &dyn Fn(&str) -> bool| -> u64 {
                let name = format!("{mode:?}");
                self.0.iter().filter(|((m, what), _)| *m == name && wanted(what)).map(|(_, n)| n).sum()
            };
            let all = of(&|_| true);
            assert!(of(&|w| w == "translated") * 10 > all, "{mode:?}: few translations");
            if mode == Mode::Off {
                continue;
            }
            let bits: &[u32] =
                if mode == Mode::Pae || mode == Mode::Bits32 { &[0, 1, 2, 3, 4, 6] } else { &[0, 1, 2, 3, 4, 5, 6] };
            for bit in bits {
                let has = |what: &str| {
                    let code = what.strip_prefix("#PF(0x").and_then(|w| w.strip_suffix(')'));
                    code.is_some_and(|code| u32::from_str_radix(code, 16).unwrap() >> bit & 1 != 0)
                };
                assert!(of(&has) * 2000 > all, "{mode:?}: error code bit {bit} is rare");
            }
        }
    }
}

/// The whole comparison of one access.
fn compare(
    random: &mut Random,
    world: &World,
    state: &naive::State,
    naive_memory: &Memory,
    paging: &mut Paging<Walked<'_>>,
    tally: &mut Tally,
    linear: u64,
) {
    let (call, access, ask) = world::access(random, linear);
    let expected = naive::translate(naive_memory, &world.model, state, &ask);
    let got = world::ask(paging, linear, call, &access);
    let same = got == Ok(expected) && world.is_in(naive_memory);
    assert!(
        same,
        "{call:?} {access:?} at {linear:#x}\n{:?} {:?}\n{state:x?}\nexpected {expected:x?}, got {got:x?}\n\
         memory now: expected {naive_memory:x?}\ngot {:x?}\nENCORE86_SEED={:#x}",
        world.mode,
        world.model,
        world.memory,
        random.seed()
    );
    tally.count(world.mode, &expected);
}

/// Each access walks: everything is flushed before it.
#[test]
fn random_walks_are_those_of_the_manual() {
    let mut random = Random::from_env("paging walks", 0x9a61);
    let (mut cpu, mut tally) = (Cpu::new(), Tally::default());
    let (mut done, mut refused) = (0, 0);
    let wanted = cases(2e6);
    while done < wanted {
        let mode = if random.one_in(40) { Mode::Off } else { random.pick(&MODES[1..]) };
        let world = World::new(&mut random, mode);
        let naive_memory = world.memory.clone();
        let ways = random.pick(&[Ways::HostAddress, Ways::Rmw, Ways::Plain]);
        let mut paging = Paging::new(Walked::new(&world.memory, ways), world.limits());
        for _ in 0..48 {
            let state = world.state(&mut random, 0);
            world::set(&mut cpu, &state);
            let loaded = paging.load(&cpu);
            if mode == Mode::Pae && !naive::pdptes_are_good(&naive_memory, &world.model, &state) {
                let gp = matches!(loaded, Err(Stop::Fault(event)) if event.vector == 13 && event.error_code == Some(0));
                assert!(gp, "a reserved bit of a PDPTE: {loaded:?}");
                refused += 1;
                break;
            }
            assert_eq!(loaded, Ok(()));
            paging.flush();
            let linear = world.linear(&mut random);
            compare(&mut random, &world, &state, &naive_memory, &mut paging, &mut tally, linear);
            done += 1;
        }
        assert_eq!(world.memory, naive_memory);
    }
    tally.check("paging walks");
    assert!(refused > 0, "no PDPTE was refused");
}

/// With the TLB in use, and software that invalidates what it changes: never a difference.
#[test]
fn translations_that_software_invalidates_are_never_stale() {
    let mut random = Random::from_env("paging TLB", 0x71b);
    let (mut cpu, mut tally) = (Cpu::new(), Tally::default());
    let (mut done, mut hits) = (0, 0);
    let wanted = cases(1e6);
    while done < wanted {
        let mode = if random.one_in(40) { Mode::Off } else { random.pick(&MODES[1..]) };
        let long = matches!(mode, Mode::Long4 | Mode::Long5);
        let world = World::new(&mut random, mode);
        let naive_memory = world.memory.clone();
        let ways = random.pick(&[Ways::HostAddress, Ways::Rmw, Ways::Plain]);
        let mut paging = Paging::new(Walked::new(&world.memory, ways), world.limits());
        let mut state = world.state(&mut random, 0);
        // Several address spaces have no pages in common, so none of them is global.
        let spaces = if long && random.one_in(2) { 3 } else { 1 };
        if spaces > 1 {
            state.cr4 = state.cr4 & !(1 << 7) | 1 << 17;
            state.cr3 = world.frames[0];
        }
        let pool = addresses(&mut random, &world, &state);
        for _ in 0..200 {
            match random.below(24) {
                0 => {
                    let (at, entry) = world.change(&mut random);
                    world.memory.set(at, entry, world.width());
                    naive_memory.set(at, entry, world.width());
                    match random.below(4) {
                        0 => paging.flush(),
                        1 => paging.invpcid(Invpcid::All, 0, 0),
                        2 if spaces == 1 && state.cr4 >> 7 & 1 == 0 => paging.flush_context(),
                        3 if spaces > 1 => paging.invpcid(Invpcid::AllButGlobal, 0, 0),
                        _ => (0..spaces).for_each(|pcid| {
                            for linear in world.every_page() {
                                match spaces {
                                    1 => paging.invlpg(linear),
                                    _ => paging.invpcid(Invpcid::Address, pcid, linear),
                                }
                            }
                        }),
                    }
                }
                1 | 2 => world.change_rights(&mut random, &mut state),
                3..6 if spaces > 1 => {
                    let space = random.below(spaces.into()) as usize;
                    state.cr3 = world.frames[space] | space as u64;
                }
                6 if random.one_in(4) => state.efer ^= 1 << 11,
                7 if random.one_in(4) && spaces == 1 => state.cr4 ^= 1 << 7,
                8 if random.one_in(4) => state.cr4 ^= 1 << 4,
                _ => {}
            }
            world::set(&mut cpu, &state);
            let loaded = if spaces > 1 { paging.load_keeping(&cpu) } else { paging.load(&cpu) };
            if loaded.is_err() {
                break;
            }
            let walks = paging.inner().reads;
            let linear = random.pick(&pool) ^ random.below(8) << 4;
            compare(&mut random, &world, &state, &naive_memory, &mut paging, &mut tally, linear);
            hits += u64::from(paging.inner().reads == walks);
            done += 1;
        }
        assert_eq!(world.memory, naive_memory);
    }
    tally.check("paging TLB");
    println!("paging TLB: {hits} of {done} accesses walked nothing");
    assert!(hits * 6 > done, "the TLB was hardly used");
}

/// A few addresses, most of them translated.
fn addresses(random: &mut Random, world: &World, state: &naive::State) -> Vec<u64> {
    let state = naive::State { ac: true, ..*state };
    let mut pool = Vec::new();
    for _ in 0..64 {
        let linear = world.linear(random) & !0xff;
        let read =
            Ask { linear, write: false, fetch: false, user: false, explicit: true, shadow_stack: false, mark: false };
        let answer = naive::translate(&world.memory, &world.model, &state, &read);
        if pool.len() < 5 && (matches!(answer, Answer::Physical(_)) || random.one_in(16)) {
            pool.push(linear);
        }
    }
    if pool.is_empty() { vec![world.linear(random) & !0xff] } else { pool }
}
