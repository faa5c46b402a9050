//! SIMD floating-point exceptions. Random numbers seldom come near the ends of a format; here they lie there: products and
//! quotients that are tiny or huge, exact or not, sums that cancel, numbers that a conversion just cannot hold, scale factors
//! that reach the ends; in one element or in all. Of the exceptions one is unmasked, or some, under every rounding, DAZ and FTZ.
//! What the host does with them, SIGFPE and all, the engine must do: flags, results, and that nothing is written; by its rules,
//! and where it is told to let the host decide.

use crate::case::Maker;
use crate::compare::{self, Verdict};
use crate::encode::{self, Addressing, Form};
use crate::machine::Habits;
use crate::{Bench, Mode, Picked, again, engine_mode, excluded, name, say, scale, seed_of};
use encore86::isa::row::attr;
use encore86::isa::tables;
use encore86::{FloatSignals, FloatTraps, decode};
use encore86_oracle::{Random, Skips};

const SUITE: &str = "float exceptions";
/// States an encoding.
const CASES: f64 = 80.0;
/// #XM.
const XM: u8 = 19;
const OE: u32 = 1 << 3;
const UE: u32 = 1 << 4;
const PE: u32 = 1 << 5;

/// Bits of a format's exponent and fraction.
#[derive(Clone, Copy)]
struct Format {
    exponent: u32,
    fraction: u32,
}

const HALF: Format = Format { exponent: 5, fraction: 10 };
const SINGLE: Format = Format { exponent: 8, fraction: 23 };
const DOUBLE: Format = Format { exponent: 11, fraction: 52 };

impl Format {
    fn bytes(self) -> usize {
        (1 + self.exponent + self.fraction) as usize / 8
    }

    fn bias(self) -> i64 {
        (1 << (self.exponent - 1)) - 1
    }

    /// The greatest biased exponent of a finite number.
    fn greatest(self) -> i64 {
        2 * self.bias()
    }

    /// A number of this biased exponent, a denormal where that is below 1; its fraction has few bits, or all, or any.
    fn number(self, random: &mut Random, exponent: i64) -> u64 {
        let whole = (1u64 << self.fraction) - 1;
        let any = random.word() & whole;
        let top = any >> random.below(self.fraction.into());
        let fraction = match random.below(8) {
            0 | 1 => 0,
            2 => whole,
            3 => whole << random.below(self.fraction.into()) & whole,
            4 => 1 << random.below(self.fraction.into()),
            5 => top << (u64::from(self.fraction) - u64::from(64 - top.leading_zeros())),
            _ => any,
        };
        let (exponent, fraction) = match exponent {
            ..1 => (0, (fraction | 1 << self.fraction) >> (1 - exponent).min(60)),
            _ => (exponent.min(self.greatest()), fraction),
        };
        (random.word() & 1) << (self.exponent + self.fraction) | (exponent as u64) << self.fraction | fraction
    }

    /// The biased exponent of a result at one of the ends.
    fn end(self, random: &mut Random) -> i64 {
        if random.one_in(3) {
            self.greatest() - 2 + random.below(5) as i64
        } else {
            2 - random.below(u64::from(self.fraction) + 6) as i64
        }
    }

    /// An integer as a number of this format, cut off.
    fn integer(self, value: i64) -> u64 {
        let magnitude = value.unsigned_abs();
        if magnitude == 0 {
            return 0;
        }
        let exponent = 63 - magnitude.leading_zeros();
        let aligned = u128::from(magnitude) << 64 >> exponent;
        let fraction = (aligned >> (64 - self.fraction)) as u64 & ((1 << self.fraction) - 1);
        u64::from(value < 0) << (self.exponent + self.fraction)
            | (self.bias() as u64 + u64::from(exponent)) << self.fraction
            | fraction
    }
}

/// What the elements of three sources have to do with each other.
#[derive(Clone, Copy, Debug)]
enum Relation {
    Product,
    Quotient,
    Sum,
    Narrowed,
    Counted,
    Scaled,
    Any,
}

/// Three numbers.
fn triple(random: &mut Random, format: Format, relation: Relation) -> [u64; 3] {
    let (bias, greatest) = (format.bias(), format.greatest());
    let sign = 1 << (format.exponent + format.fraction);
    let draw = |random: &mut Random| 1 + random.below(greatest as u64) as i64;
    match relation {
        Relation::Product | Relation::Quotient => {
            let (end, first) = (format.end(random), draw(random));
            let second = if matches!(relation, Relation::Product) { end - first + bias } else { first - end + bias };
            // The addend is near the product, or near enough to be rounded away, or nothing.
            let third = match random.below(4) {
                0 => end,
                1 => end - 2 + random.below(5) as i64,
                2 => end - random.below(120) as i64 + 60,
                _ => -100,
            };
            [format.number(random, first), format.number(random, second), format.number(random, third)]
        }
        Relation::Sum => {
            let exponent = match random.below(3) {
                0 => random.below(u64::from(format.fraction) + 4) as i64,
                1 => greatest - random.below(2) as i64,
                _ => draw(random),
            };
            let first = format.number(random, exponent);
            // Nearly the opposite, or the same.
            let second = match random.below(4) {
                0 => {
                    let near = exponent - random.below(4) as i64;
                    format.number(random, near)
                }
                1 => first ^ sign ^ 1 << random.below(format.fraction.into()),
                2 => first ^ random.below(8),
                _ => (first ^ sign).wrapping_add(random.below(5)).wrapping_sub(2),
            };
            // Times one.
            [first, second, format.number(random, bias)]
        }
        Relation::Narrowed => {
            let narrow = if format.bytes() == 8 { SINGLE } else { HALF };
            core::array::from_fn(|_| {
                let exponent = narrow.end(random) - narrow.bias() + bias;
                let number = format.number(random, exponent);
                // As many bits as the narrower one has, or one more, or any.
                let cut = format.fraction - narrow.fraction;
                match random.below(4) {
                    0 => number >> cut << cut,
                    1 => number >> (cut - 1) << (cut - 1),
                    2 => number >> (cut + random.below(12).min(6) as u32) << (cut + 6),
                    _ => number,
                }
            })
        }
        Relation::Counted => core::array::from_fn(|_| {
            let limit = random.pick(&[7, 8, 15, 16, 31, 32, 63, 64, 0, 1]);
            let exponent = bias + limit - random.below(2) as i64;
            let near = format.number(random, exponent);
            let step = random.below(5).wrapping_sub(2);
            if random.one_in(2) { (near >> 8 << 8).wrapping_add(step) } else { near }
        }),
        Relation::Scaled => {
            let first = draw(random);
            let factor = format.end(random) - first;
            let scale = format.integer(factor + random.below(3) as i64 - 1);
            let scale = if random.one_in(4) { scale | random.below(1 << (format.fraction / 2)) } else { scale };
            let third = draw(random);
            [format.number(random, first), scale, format.number(random, third)]
        }
        Relation::Any => core::array::from_fn(|_| random.float(format.exponent, format.fraction)),
    }
}

/// Contents of three sources: related numbers in one element and ones in the others, or related numbers in all.
fn sources(random: &mut Random) -> [[u8; 64]; 3] {
    use Relation::*;
    let format = random.pick(&[SINGLE, DOUBLE, SINGLE, DOUBLE, HALF]);
    let relation = random.pick(&[Product, Product, Quotient, Sum, Narrowed, Counted, Scaled, Any]);
    let alone = random.one_in(2);
    let chosen = if random.one_in(2) { 0 } else { random.below(64) as usize / format.bytes() };
    let mut out = [[0; 64]; 3];
    for lane in 0..64 / format.bytes() {
        let one = format.integer(1);
        let numbers = if alone && lane != chosen { [one; 3] } else { triple(random, format, relation) };
        for (source, number) in out.iter_mut().zip(numbers) {
            source[lane * format.bytes()..][..format.bytes()].copy_from_slice(&number.to_le_bytes()[..format.bytes()]);
        }
    }
    if random.one_in(4) {
        out.swap(0, 1);
    }
    out
}

/// MXCSR with one exception unmasked, or the two that come after the computation, or any.
fn mxcsr(random: &mut Random) -> u32 {
    const ALL: u32 = 0x3f;
    let unmasked = match random.below(8) {
        0..=3 => 1 << random.below(6),
        4 => 1 << 4 | 1 << random.below(6),
        5 => 0b1_1000 | random.word() as u32 & ALL,
        6 => ALL,
        _ => random.word() as u32 & ALL,
    };
    let sticky = if random.one_in(2) { 0 } else { random.word() as u32 & ALL };
    let (rounding, zeroing) = (random.word() as u32 & 0x6000, random.word() as u32 & 0x8040);
    (!unmasked & ALL) << 7 | sticky | rounding | if random.one_in(2) { zeroing } else { 0 }
}

/// Compares every row that obeys MXCSR, in registers and with a memory operand.
pub fn compare_all() {
    let seed = Random::from_env(SUITE, 0xf10a7).seed();
    let picked = Picked::from_env();
    let cases = (CASES * scale()).ceil() as u64;
    let mut skips = Skips::new(SUITE);
    let (mut rows, mut done, mut trapped, mut mismatches) = (0u64, 0u64, 0u64, 0u64);
    // Of the six exceptions, and of the last that is not there: what is tiny or huge and exact.
    let mut faults = [0u64; 8];
    for mode in [Mode::Long64, Mode::Compat32] {
        let mut bench = Bench::new(mode);
        let signals = FloatSignals::install().expect("a handler for SIGFPE");
        let (vendor, features) = (bench.profile.vendor(), *bench.profile.features());
        for (number, row) in tables::rows().enumerate() {
            if !row.is(attr::MXCSR) || !encode::in_mode(row, mode, vendor) || !picked.has(row) {
                continue;
            }
            if excluded::reason(row).is_some() {
                continue;
            }
            if let Some(lacking) = row.features.into_iter().find(|&f| !features.has(f)) {
                skips.skip(&format!("rows that need {}", lacking.name()), "the host lacks it", 1);
                continue;
            }
            let random = &mut Random::new(seed_of(seed, number, mode));
            let before = done;
            'row: for wish in encode::wishes(row, mode) {
                if !matches!(wish.form, Form::Register | Form::Memory(Addressing::Base)) {
                    continue;
                }
                for _ in 0..cases {
                    let made = encode::encode(row, mode, &wish, &bench.sites, random, vendor, &features);
                    let Some(encoding) = made else { continue };
                    let numbers = sources(random);
                    let Bench { oracle, sites, memory, .. } = &mut bench;
                    let content = Some(random.pick(&numbers));
                    let mut maker = Maker { encoding: &encoding, sites, random, memory, oracle, content };
                    let Some(mut state) = maker.state() else { continue };
                    // By number: neighbours differ, and operands that are the same register are alike anyway.
                    let first = random.below(3) as usize;
                    for (i, zmm) in state.zmm.iter_mut().enumerate() {
                        *zmm = numbers[(i + first) % 3];
                    }
                    state.mxcsr = mxcsr(random);
                    let traps = if random.one_in(3) { FloatTraps::Always(signals) } else { FloatTraps::Never };
                    bench.engine.set_float_traps(traps);
                    let (host, engine) = bench.run(&encoding, &state, Habits::default());
                    done += 1;
                    trapped += u64::from(traps != FloatTraps::Never && host.ended.trap() == Some(XM));
                    if host.ended.trap() == Some(XM) {
                        let new = host.state.mxcsr & !(state.mxcsr >> 7);
                        (0..6).filter(|i| new >> i & 1 != 0).for_each(|i| faults[i] += 1);
                        let exact = state.mxcsr & 0x3f == 0 && host.state.mxcsr & PE == 0;
                        faults[6] += u64::from(exact && new & OE != 0);
                        faults[7] += u64::from(exact && new & UE != 0);
                    }
                    let lines = match &engine {
                        Err(outcome) => format!("the engine gives {outcome}\n"),
                        Ok(engine) => match compare::compare(&encoding, &host, engine, &bench.profile) {
                            Verdict::Different(lines) => lines,
                            Verdict::Same { .. } => String::new(),
                        },
                    };
                    let stored = bench.memory.difference(&mut bench.oracle);
                    if lines.is_empty() && stored.is_none() {
                        continue;
                    }
                    mismatches += 1;
                    bench.memory.adopt(&mut bench.oracle);
                    let text = decode(&encoding.bytes, engine_mode(mode), &bench.profile).map(|i| i.to_string());
                    say(&format!(
                        "MISMATCH {} {:02x?} {} ({})\nhost != engine, the host ended with {:x?}:\n{lines}{stored:x?}\n{traps:?}, mxcsr {:#x}, sources {}\nagain: {}",
                        name(mode),
                        encoding.bytes,
                        text.unwrap_or_default(),
                        row.form(),
                        host.ended,
                        state.mxcsr,
                        shown(&numbers),
                        again(seed, row, mode).replace(name(mode), "float_exceptions"),
                    ));
                    break 'row;
                }
            }
            rows += u64::from(done > before);
        }
    }
    skips.ran(done);
    let names = ["IE", "DE", "ZE", "OE", "UE", "PE", "OE without PE", "UE without PE"];
    let counts: Vec<String> = names.iter().zip(faults).map(|(name, count)| format!("{count} {name}")).collect();
    say(&format!(
        "{SUITE}: {rows} rows, {done} cases, unmasked in a #XM: {}; {trapped} as signals; {mismatches} mismatches",
        counts.join(", ")
    ));
    assert_eq!(mismatches, 0, "{SUITE}: the engine and the host differ, see above");
    let enough = (200.0 * scale().min(1.0)) as u64;
    assert!(!picked.is_all() || faults.iter().all(|&count| count > enough), "an exception was hardly raised");
}

fn shown(sources: &[[u8; 64]; 3]) -> String {
    sources.map(|s| s.iter().rev().map(|b| format!("{b:02x}")).collect::<String>()).join("\n    ")
}
