//! The fuzz targets for a bounded time, fed by a seeded generator: 2 seconds each, or as many as `ENCORE86_FUZZ` says;
//! `ENCORE86_SEED` makes another run. `fuzz/` has them for `cargo fuzz`.

mod support;
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::time::{Duration, Instant};
use support::fuzz::Random;
use support::{encode, machine};
use targets::{decode_does_not_panic, text_and_accesses_do_not_panic};

/// Feeds `target` with instructions of the table, spoilt ones among them, and with noise.
fn feed(target: fn(&[u8]) -> usize, room: usize) {
    let seed = std::env::var("ENCORE86_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed);
    let seconds = std::env::var("ENCORE86_FUZZ").ok().and_then(|s| s.parse().ok()).unwrap_or(2.0);
    println!("seed {seed} (set ENCORE86_SEED for another)");
    let profile = encore86::Profile::all();
    let forms: Vec<_> =
        machine::MODES.iter().flat_map(|&mode| encode::all(mode, &profile, 0x1000)).map(|form| form.bytes).collect();
    let mut random = Random(seed);
    let (mut runs, mut instructions, mut data) = (0_usize, 0, vec![0; room]);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while runs < 1_000 || Instant::now() < end {
        random.fill(&mut data);
        let choice = random.next();
        if !choice.is_multiple_of(4) {
            let form = &forms[random.next() as usize % forms.len()];
            data[..form.len().min(room)].copy_from_slice(&form[..form.len().min(room)]);
            if choice % 4 == 1 {
                data[(choice >> 8) as usize % form.len()] ^= 1 << (choice >> 16 & 7);
            }
        }
        let len = if choice >> 20 & 15 == 0 { (choice >> 24) as usize % room } else { room };
        instructions += target(&data[..len]);
        runs += 1;
    }
    println!("{runs} runs, {instructions} instructions");
    assert!(instructions > runs);
}

#[test]
fn decoding() {
    feed(decode_does_not_panic, 16);
}

#[test]
fn text_and_accesses() {
    feed(text_and_accesses_do_not_panic, 3072);
}

/// Every prefix byte and every opcode of every map, with many a ModRM.
#[test]
fn every_opcode() {
    let mut instructions = 0;
    for prefix in [&[][..], &[0x66], &[0xf3], &[0xf2], &[0xf0], &[0x48]] {
        for escape in [&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]] {
            for opcode in 0..=255 {
                for modrm in (0..=255).step_by(if cfg!(debug_assertions) { 61 } else { 7 }) {
                    let data = [prefix, escape, &[opcode, modrm, 0x25, 1, 2, 3, 4, 5, 6, 7, 8, 9]].concat();
                    instructions += decode_does_not_panic(&data);
                }
            }
        }
    }
    println!("{instructions} instructions");
    assert!(instructions > 100_000);
}
