//! Locked operations across a cache line: what each choice does, and what it keeps to.

use crate::arena::{Arena, Guest};
use crate::forms::{self, Law};
use crate::{native, say, scale};
use encore86::{Outcome, SplitLock, Unsupported};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, RwLock};

const RCX: usize = 1;
const RBX: usize = 3;
/// lock add [rbx], rcx
const ADD: &[u8] = &[0xf0, 0x48, 0x01, 0x0b];

/// Two engines add across a line, or across a page, while two others add to its first and last byte's line by locked
/// operations that are not split: nothing is lost.
#[test]
fn emulated_ones_lose_nothing_to_other_engines() {
    let _alone = crate::alone();
    let rounds = 4_000 * scale();
    for start in [0x7c, 0xffd, 0x1fff] {
        let arena = &Arena::new(0x4000);
        std::thread::scope(|scope| {
            for t in 0..4_u64 {
                scope.spawn(move || {
                    let mut guest = Guest::new(arena);
                    match t {
                        // The whole word.
                        0 | 1 => guest.lay(ADD),
                        // lock add byte [rbx], cl: its first byte, its last byte.
                        _ => guest.lay(&[0xf0, 0x00, 0x0b]),
                    }
                    guest.cpu.gpr[RBX] = arena.at(start + if t == 3 { 7 } else { 0 });
                    for _ in 0..if t < 2 { rounds } else { rounds * 8 } {
                        guest.cpu.gpr[RCX] = 1;
                        guest.run();
                    }
                });
            }
        });
        // Additions to the first byte carry nothing on, those of the word do: modulo 256 it is the sum.
        let low = (2 * rounds + 8 * rounds) as u8;
        let bytes = arena.get(start, 8);
        assert_eq!(bytes[0], low, "at {start:#x}: an update of the first byte was lost");
        assert_eq!(bytes[7], (8 * rounds) as u8, "at {start:#x}: an update of the last byte was lost");
        say(&format!("split at {start:#x}: {} split and {} other operations, none lost", 2 * rounds, 16 * rounds));
    }
}

/// Two engines' split additions to one word: its value is their sum, carries and all.
#[test]
fn emulated_ones_add_up() {
    let _alone = crate::alone();
    let rounds = 20_000 * scale();
    let arena = &Arena::new(0x2000);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                let mut guest = Guest::new(arena);
                guest.lay(ADD);
                guest.cpu.gpr[RBX] = arena.at(0xbd);
                for _ in 0..rounds {
                    guest.cpu.gpr[RCX] = 0x0101_0101_0101;
                    guest.run();
                }
            });
        }
    });
    assert_eq!(arena.word(0xbd), (3 * rounds).wrapping_mul(0x0101_0101_0101));
}

/// `Exclusive` stops the others, native ones too, around the read and the write, and lets them go however it ends.
#[test]
fn exclusive_ones_stop_the_others() {
    let _alone = crate::alone();
    let arena = &Arena::new(0x2000);
    let rounds = 3_000 * scale();
    // Each other thread holds this for reading while it runs.
    let running = &RwLock::new(());
    let owner = &Mutex::new(());
    let held = &AtomicBool::new(false);
    let calls = &AtomicU64::new(0);
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut guests = Guest::new(arena);
            guests.engine.set_split_lock(SplitLock::Exclusive);
            // A guard that lives from one callback to the other.
            let guard = std::cell::RefCell::new(None);
            struct OneThread<T>(T);
            // SAFETY: only this thread calls back.
            unsafe impl<T> Sync for OneThread<T> {}
            let guard = OneThread(guard);
            let stop = |stop: bool| {
                let guard = &guard;
                if stop {
                    *guard.0.borrow_mut() = Some((owner.lock().unwrap(), running.write().unwrap()));
                    assert!(!held.swap(true, SeqCst));
                    calls.fetch_add(1, SeqCst);
                } else {
                    assert!(held.swap(false, SeqCst));
                    *guard.0.borrow_mut() = None;
                }
            };
            // SAFETY: the machine does not outlive this scope.
            let stop: &(dyn Fn(bool) + Sync) = unsafe { std::mem::transmute::<&(dyn Fn(bool) + Sync), _>(&stop) };
            guests.machine.stop = Some(stop);
            guests.lay(ADD);
            guests.cpu.gpr[RBX] = arena.at(0x7e);
            for _ in 0..rounds {
                guests.cpu.gpr[RCX] = 1;
                guests.run();
            }
            done.store(true, SeqCst);
        });
        scope.spawn(move || {
            while !done.load(SeqCst) {
                let _running = running.read().unwrap();
                assert!(!held.load(SeqCst), "somebody runs while others are stopped");
                // SAFETY: the byte lies in the arena.
                unsafe { native::xadd(arena.at(0x85), 1, 0) };
            }
        });
    });
    assert_eq!((arena.word(0x7e), calls.load(SeqCst)), (rounds, rounds));
}

#[test]
fn a_platform_that_cannot_stop_others_is_told_apart() {
    let _alone = crate::alone();
    let arena = Arena::new(0x2000);
    let mut guest = Guest::new(&arena);
    guest.engine.set_split_lock(SplitLock::Exclusive);
    guest.lay(ADD);
    guest.cpu.gpr[RBX] = arena.at(0x7e);
    guest.cpu.gpr[RCX] = 1;
    assert!(matches!(guest.step(), Outcome::Unsupported(Unsupported::Platform(_))));
    assert_eq!(arena.word(0x7e), 0);
    // In the line nobody has to be stopped.
    guest.cpu.gpr[RBX] = arena.at(0x71);
    guest.run();
    assert_eq!(arena.word(0x71), 1);
}

#[test]
fn faults_by_choice_are_alignment_checks() {
    let _alone = crate::alone();
    let arena = Arena::new(0x4000);
    let mut guest = Guest::new(&arena);
    guest.engine.set_split_lock(SplitLock::Fault);
    for form in forms::all() {
        let aligned_only = form.width == 16 || form.law == Law::ComparesAndAdds || form.bytes.contains(&0x38);
        if form.width == 1 || aligned_only || form.law == Law::ComparesPair {
            continue;
        }
        guest.lay(&form.bytes);
        for start in [0x7f_usize, 0x80 - form.width + 1, 0xfff] {
            guest.cpu.gpr[RBX] = arena.at(start);
            guest.cpu.gpr[RCX] = 1;
            let before = (guest.cpu.gpr, arena.get(start, form.width));
            let Outcome::Exception(event) = guest.step() else { panic!("{} at {start:#x}", form.name) };
            assert_eq!((event.vector, event.error_code), (17, Some(0)), "{} at {start:#x}", form.name);
            assert_eq!((guest.cpu.gpr, arena.get(start, form.width)), before, "{} at {start:#x}", form.name);
        }
        guest.cpu.gpr[RBX] = arena.at(0x80 - form.width);
        guest.run();
    }
}

/// Issued for real, across a line and across a page: atomic against native locked instructions, which `Emulate` does not stop.
#[test]
fn native_ones_lose_nothing_to_native_code() {
    let _alone = crate::alone();
    for place in [0x7c, 0xffc] {
        let arena = &Arena::new(0x2000);
        let rounds = 500 * scale();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut guest = Guest::new(arena);
                guest.engine.set_split_lock(SplitLock::Native);
                guest.lay(ADD);
                guest.cpu.gpr[RBX] = arena.at(place);
                for _ in 0..rounds {
                    guest.cpu.gpr[RCX] = 1;
                    guest.run();
                }
                let asked = if place == 0xffc { rounds } else { 0 };
                assert_eq!(guest.machine.crossed, asked, "the bus is asked for both pages at once");
            });
            scope.spawn(move || {
                for _ in 0..rounds {
                    // SAFETY: the word lies in the arena.
                    unsafe { native::xadd(arena.at(place), 8, 1) };
                }
            });
        });
        assert_eq!(arena.word(place), 2 * rounds);
    }
}

/// Where the bus grants no host address, a locked operation is a read and a write, and still right in value.
#[test]
fn without_a_host_address_the_value_is_right() {
    let _alone = crate::alone();
    let arena = Arena::new(0x2000);
    let mut guest = Guest::new(&arena);
    guest.machine.grants = false;
    guest.lay(ADD);
    for start in [0x40, 0x7c, 0xffc] {
        guest.cpu.gpr[RBX] = arena.at(start);
        guest.cpu.gpr[RCX] = 0x1_0000_0001;
        guest.run();
        guest.run();
        assert_eq!(arena.word(start), 0x2_0000_0002);
    }
}
