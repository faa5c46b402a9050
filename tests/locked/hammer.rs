//! Threads hammer one cell, two by engines and two natively: no update is lost, no load is torn.

use crate::arena::{Arena, Guest};
use crate::forms::{self, Form, Law};
use crate::{native, say, scale};
use std::sync::Barrier;

const ENGINES: usize = 2;
const NATIVE: usize = 2;
/// Operations of each thread on each cell.
const OPERATIONS: u64 = 12_000;

const RAX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;
const RBX: usize = 3;

fn low(width: usize) -> u128 {
    u128::MAX >> (128 - width * 8)
}

/// The bits that thread `t` has for itself.
fn own_bits(t: usize, width: usize) -> u64 {
    (0..width * 8).filter(|bit| bit % (ENGINES + NATIVE) == t).fold(0, |mask, bit| mask | 1 << bit)
}

/// Numbers that differ from thread to thread.
fn number(t: usize, i: u64) -> u64 {
    (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(t as u32 * 13) ^ t as u64
}

/// What a thread has done, as its law counts it: the sum, the flipped bits, or what it holds.
fn by_engine(guest: &mut Guest<'_>, form: &Form, cell: u64, t: usize, count: u64) -> u128 {
    guest.lay(&form.bytes);
    guest.cpu.gpr[RBX] = cell;
    let width = form.width;
    let mask = low(width) as u64;
    let own = own_bits(t, width);
    let mut total: u128 = 0;
    let mut held = number(t, 0) & mask;
    for i in 0..count {
        let n = number(t, i);
        match form.law {
            Law::Adds | Law::Subtracts => {
                guest.cpu.gpr[RCX] = n;
                guest.run();
                total = if form.law == Law::Adds { total.wrapping_add(n.into()) } else { total.wrapping_sub(n.into()) };
            }
            Law::Steps(step) => {
                guest.run();
                total = total.wrapping_add(step as i128 as u128);
            }
            Law::Carries(sign) => {
                let carry = n >> 63;
                guest.cpu.gpr[RCX] = n;
                guest.cpu.set_rflags(carry);
                guest.run();
                let sum = u128::from(n) + u128::from(carry);
                total = if sign > 0 { total.wrapping_add(sum) } else { total.wrapping_sub(sum) };
            }
            Law::Flips => {
                guest.cpu.gpr[RCX] = n;
                guest.run();
                total ^= u128::from(n);
            }
            Law::Inverts | Law::Negates => {
                guest.run();
                total += 1;
            }
            Law::FlipsBit => {
                let bit = n % (width as u64 * 8);
                guest.cpu.gpr[RCX] = bit;
                guest.run();
                total ^= 1 << bit;
            }
            Law::Sets | Law::Clears => {
                // Set by one form and cleared natively, or the other way round: nobody else touches these bits.
                let set = form.law == Law::Sets;
                guest.cpu.gpr[RCX] = if set { n & own } else { !(n & own) };
                guest.run();
                // SAFETY: the cell lies in the arena.
                let seen = unsafe {
                    if set {
                        native::and(cell, width, !own);
                    } else {
                        native::or(cell, width, own);
                    }
                    native::xadd(cell, width, 0)
                };
                assert_eq!(seen & own, if set { 0 } else { own }, "{}: bits of thread {t} after {i}", form.name);
            }
            Law::SetsBit | Law::ClearsBit => {
                // CF says what the bit was: what this thread last left.
                let set = form.law == Law::SetsBit;
                let bit = (0..).map(|k| (n + k) % (width as u64 * 8)).find(|bit| own >> bit & 1 != 0).unwrap_or(0);
                guest.cpu.gpr[RCX] = bit;
                guest.run();
                assert_eq!(guest.cpu.rflags() & 1 != 0, !set, "{}: bit {bit} of thread {t}", form.name);
                // SAFETY: the same.
                unsafe { if set { native::and(cell, width, !(1 << bit)) } else { native::or(cell, width, 1 << bit) } };
            }
            Law::Exchanges => {
                guest.cpu.gpr[RCX] = held;
                guest.run();
                held = guest.cpu.gpr[RCX] & mask;
            }
            Law::Compares => {
                loop {
                    guest.cpu.gpr[RCX] = guest.cpu.gpr[RAX].wrapping_add(n);
                    guest.run();
                    if guest.cpu.rflags() & 1 << 6 != 0 {
                        break;
                    }
                }
                total = total.wrapping_add(n.into());
            }
            Law::ComparesPair => {
                let half = width as u32 * 4;
                let part = low(width / 2) as u64;
                loop {
                    let old = u128::from(guest.cpu.gpr[RAX] & part) | u128::from(guest.cpu.gpr[RDX] & part) << half;
                    let new = old.wrapping_add(u128::from(n) * 0x1_0000_0001);
                    guest.cpu.gpr[RBX] = new as u64 & part;
                    guest.cpu.gpr[RCX] = (new >> half) as u64 & part;
                    // The operand's base is RBX in the other forms.
                    guest.cpu.gpr[7] = cell;
                    guest.run();
                    if guest.cpu.rflags() & 1 << 6 != 0 {
                        break;
                    }
                }
                total = total.wrapping_add(u128::from(n) * 0x1_0000_0001);
            }
            Law::ComparesAndAdds => {
                guest.cpu.gpr[RCX] = 0;
                guest.cpu.gpr[RDX] = n & 0xff;
                guest.run();
                total += u128::from(n & 0xff);
            }
        }
    }
    if form.law == Law::Exchanges { held.into() } else { total }
}

/// The same work by instructions of the test's own.
fn by_hand(form: &Form, cell: u64, t: usize, count: u64) -> u128 {
    let width = form.width;
    let mask = low(width) as u64;
    let own = own_bits(t, width);
    let mut total: u128 = 0;
    let mut held = number(t, 0) & mask;
    for i in 0..count {
        let n = number(t, i);
        // SAFETY: the cell lies in the arena.
        unsafe {
            match form.law {
                Law::Adds | Law::Subtracts | Law::Steps(_) | Law::Carries(_) | Law::Compares => {
                    native::xadd(cell, width, n);
                    total = total.wrapping_add(n.into());
                }
                Law::ComparesAndAdds => {
                    native::xadd(cell, width, n & 0xff);
                    total += u128::from(n & 0xff);
                }
                Law::ComparesPair if width == 16 => {
                    native::add16(cell, u128::from(n));
                    total = total.wrapping_add(n.into());
                }
                Law::ComparesPair => {
                    native::xadd(cell, 8, n);
                    total = total.wrapping_add(n.into());
                }
                Law::Flips => {
                    native::xor(cell, width, n);
                    total ^= u128::from(n);
                }
                Law::FlipsBit => {
                    let bit = n % (width as u64 * 8);
                    native::xor(cell, width, 1 << bit);
                    total ^= 1 << bit;
                }
                Law::Inverts => {
                    native::xor(cell, width, u64::MAX);
                    total += 1;
                }
                // Twice an inversion and twice a step is nothing to a negation; one that reads is harmless.
                Law::Negates => {
                    native::xadd(cell, width, 0);
                }
                Law::Sets | Law::Clears | Law::SetsBit | Law::ClearsBit => {
                    let seen = native::or(cell, width, n & own);
                    let _ = seen;
                    let seen = native::xadd(cell, width, 0);
                    assert_eq!(seen & n & own, n & own, "{}: bits of thread {t} after {i}", form.name);
                    native::and(cell, width, !(n & own));
                    let seen = native::xadd(cell, width, 0);
                    assert_eq!(seen & n & own, 0, "{}: bits of thread {t} after {i}", form.name);
                }
                Law::Exchanges => held = native::xchg(cell, width, held) & mask,
            }
        }
    }
    if form.law == Law::Exchanges { held.into() } else { total }
}

/// What the cell begins with.
fn first(form: &Form) -> u128 {
    match form.law {
        Law::Clears | Law::ClearsBit => {
            // The engines' bits are set, the native threads' are clear.
            (0..ENGINES).fold(0, |bits, t| bits | u128::from(own_bits(t, form.width)))
        }
        Law::Negates => 0x5b,
        Law::Exchanges => 0x77,
        _ => 0,
    }
}

/// Runs all threads on the cell; the number of operations.
fn hammer(arena: &Arena, form: &Form, offset: usize) -> u64 {
    let count = OPERATIONS * scale();
    let begin = first(form);
    arena.put(offset, &begin.to_le_bytes()[..form.width]);
    let cell = arena.at(offset);
    // All start at once.
    let barrier = Barrier::new(ENGINES + NATIVE);
    let totals: Vec<u128> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ENGINES + NATIVE)
            .map(|t| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut guest = (t < ENGINES).then(|| Guest::new(arena));
                    barrier.wait();
                    match &mut guest {
                        Some(guest) => by_engine(guest, form, cell, t, count),
                        None => by_hand(form, cell, t, count),
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread fails")).collect()
    });
    let mask = low(form.width);
    let mut wide = [0; 16];
    wide[..form.width].copy_from_slice(&arena.get(offset, form.width));
    let last = u128::from_le_bytes(wide);
    let sum = totals.iter().fold(0_u128, |sum, &total| sum.wrapping_add(total));
    let expected = match form.law {
        Law::Flips | Law::FlipsBit => totals.iter().fold(begin, |bits, total| bits ^ total) & mask,
        Law::Inverts => {
            if sum % 2 == 1 {
                mask
            } else {
                0
            }
        }
        Law::Negates => {
            if sum % 2 == 1 {
                begin.wrapping_neg() & mask
            } else {
                begin
            }
        }
        // What is held and what the cell holds is what there was.
        Law::Exchanges => {
            let there = (0..ENGINES + NATIVE).map(|t| u128::from(number(t, 0)) & mask).chain([begin]);
            let mut there: Vec<u128> = there.collect();
            let mut now: Vec<u128> = totals.iter().copied().chain([last]).collect();
            there.sort_unstable();
            now.sort_unstable();
            assert_eq!(now, there, "{} at {offset:#x}", form.name);
            last
        }
        // Own bits were looked at on the way; the engines' end as they began.
        Law::Sets | Law::Clears | Law::SetsBit | Law::ClearsBit => begin,
        _ => sum & mask,
    };
    assert_eq!(last, expected, "{} at {offset:#x}: an update was lost", form.name);
    count * (ENGINES + NATIVE) as u64
}

/// Aligned, misaligned in the line as near to its end as fits, and, where that is aligned too, one byte in.
fn offsets(form: &Form) -> Vec<usize> {
    // CMPXCHG16B, CMPccXADD and RAO-INT want aligned operands.
    let aligned_only = form.width == 16 || form.law == Law::ComparesAndAdds || form.bytes.contains(&0x38);
    if aligned_only || form.width == 1 {
        return vec![0x40, 0x1070];
    }
    vec![0x40, 0x41, 0x80 - form.width - 1]
}

#[test]
fn no_update_is_lost() {
    let _alone = crate::alone();
    let arena = Arena::new(0x4000);
    let (mut operations, mut cells) = (0, 0);
    for mut form in forms::all() {
        if form.law == Law::ComparesPair {
            // Memory at [RDI]: RBX is an operand.
            if let Some(last) = form.bytes.last_mut() {
                *last = 1 << 3 | 7;
            }
        }
        for offset in offsets(&form) {
            operations += hammer(&arena, &form, offset);
            cells += 1;
        }
    }
    say(&format!(
        "locked: {} forms, {cells} cells, {operations} operations of 4 threads each, none lost",
        forms::all().len()
    ));
    assert!(operations >= 10_000_000);
}

/// Plain loads and stores of 8 and 16 aligned bytes, guest against guest and against native ones.
#[test]
fn no_aligned_load_is_torn() {
    let _alone = crate::alone();
    let arena = &Arena::new(0x2000);
    let rounds = 400_000 * scale();
    for width in [8, 16] {
        if width == 16 && !std::is_x86_feature_detected!("avx") {
            say("SKIPPED 16 bytes: the host does not guarantee whole loads without AVX");
            continue;
        }
        let cell = arena.at(0x40);
        arena.put(0x40, &[0; 16]);
        // mov [rbx], rcx and mov rax, [rbx]; movdqa [rbx], xmm0 and movdqa xmm1, [rbx]
        let (store, load): (&[u8], &[u8]) = match width {
            8 => (&[0x48, 0x89, 0x0b], &[0x48, 0x8b, 0x03]),
            _ => (&[0x66, 0x0f, 0x7f, 0x03], &[0x66, 0x0f, 0x6f, 0x0b]),
        };
        // Bytes that are all the same are whole.
        let whole =
            |words: [u64; 2]| words[0] == words[1] && words[0] == u64::from(words[0] as u8) * 0x0101_0101_0101_0101;
        std::thread::scope(|scope| {
            for engine in [false, true] {
                scope.spawn(move || {
                    let mut guest = Guest::new(arena);
                    guest.lay(store);
                    guest.cpu.gpr[RBX] = cell;
                    for i in 0..rounds {
                        let byte = (i % 251) as u8;
                        if engine {
                            guest.cpu.gpr[RCX] = u64::from_le_bytes([byte; 8]);
                            guest.cpu.vector.zmm[0].0[..16].fill(byte);
                            guest.run();
                        } else {
                            // SAFETY: the cell lies in the arena.
                            unsafe { native::store(cell, width, u64::from_le_bytes([byte; 8])) };
                        }
                    }
                });
                scope.spawn(move || {
                    let mut guest = Guest::new(arena);
                    guest.lay(load);
                    guest.cpu.gpr[RBX] = cell;
                    for _ in 0..rounds {
                        let words = if engine {
                            guest.run();
                            let halves = guest.cpu.vector.zmm[1].0;
                            let word = |at: usize| u64::from_le_bytes(halves[at..at + 8].try_into().expect("8 bytes"));
                            if width == 16 { [word(0), word(8)] } else { [guest.cpu.gpr[RAX]; 2] }
                        } else {
                            // SAFETY: the same.
                            unsafe { native::load(cell, width) }
                        };
                        assert!(whole(words), "{width} bytes were torn: {words:x?}");
                    }
                });
            }
        });
    }
}
