//! Seeded random values with a taste for the edges. The same seed gives the same run on every host.

use core::fmt;

use crate::state::{ARITHMETIC, DF, State, X87};

/// xoshiro256\*\*, seeded by splitmix64.
#[derive(Clone)]
pub struct Random {
    seed: u64,
    words: [u64; 4],
    /// Where [`Random::state`] takes its vectors from: making 32 new ones would cost ten times a run.
    pool: Vec<[u8; 64]>,
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Random {{ seed: {:#x} }}", self.seed)
    }
}

impl Random {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Random {
        let mut at = seed;
        let words = core::array::from_fn(|_| {
            at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (at ^ at >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        });
        Random { seed, words, pool: Vec::new() }
    }

    /// The seed is the environment variable `ENCORE86_SEED` (decimal, or hexadecimal after `0x`), or else `default`; it
    /// is printed, so that a failure can be run again.
    ///
    /// # Panics
    /// If the variable is set and is no number: silently taking another seed would hide the mistake.
    pub fn from_env(suite: &str, default: u64) -> Random {
        let seed = match std::env::var("ENCORE86_SEED") {
            Err(_) => default,
            Ok(text) => {
                let parsed = match text.strip_prefix("0x") {
                    Some(digits) => u64::from_str_radix(digits, 16),
                    None => text.parse(),
                };
                parsed.unwrap_or_else(|error| panic!("ENCORE86_SEED={text}: {error}"))
            }
        };
        println!("{suite}: ENCORE86_SEED={seed:#x}");
        Random::new(seed)
    }

    /// The seed, to be printed with a failure.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        let [a, b, c, d] = self.words;
        let out = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.words = [a ^ d, b ^ c, c ^ b << 17, d.rotate_left(45)];
        out
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// Fills with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.word().to_le_bytes()[..chunk.len()]);
        }
    }

    /// A general-purpose register: 0, ±1, the edges of each signed width, single bits, small numbers, canonical edges,
    /// or anything.
    pub fn gpr(&mut self) -> u64 {
        const EDGES: [u64; 22] = [
            0,
            1,
            2,
            u64::MAX,
            u64::MAX - 1,
            0x7f,
            0x80,
            0xff,
            0x100,
            0x7fff,
            0x8000,
            0xffff,
            0x1_0000,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            0x1_0000_0000,
            i64::MAX as u64,
            i64::MIN as u64,
            0x7fff_ffff_ffff,
            0xffff_8000_0000_0000,
            0x5555_5555_5555_5555,
        ];
        match self.below(6) {
            0 | 1 => self.pick(&EDGES),
            2 => 1 << self.below(64),
            3 => self.below(256),
            4 => self.word() >> self.below(64),
            _ => self.word(),
        }
    }

    /// The arithmetic flags all clear, all set or random; DF set once in 16 times.
    pub fn rflags(&mut self) -> u64 {
        let arithmetic = match self.below(4) {
            0 => 0,
            1 => ARITHMETIC,
            _ => self.word() & ARITHMETIC,
        };
        arithmetic | if self.one_in(16) { DF } else { 0 } | State::default().rflags
    }

    /// An opmask: none, the lowest, all, or random.
    pub fn mask(&mut self) -> u64 {
        match self.below(5) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            _ => self.word(),
        }
    }

    /// MXCSR: mostly all exceptions masked; each rounding mode; FTZ and DAZ now and then; sticky flags clear, set or
    /// random.
    pub fn mxcsr(&mut self) -> u32 {
        let masks = if self.one_in(8) { self.word() as u32 & 0x1f80 } else { 0x1f80 };
        self.mxcsr_with(masks)
    }

    /// MXCSR with all exceptions masked: nothing in it makes an instruction fault.
    pub fn mxcsr_masked(&mut self) -> u32 {
        self.mxcsr_with(0x1f80)
    }

    fn mxcsr_with(&mut self, masks: u32) -> u32 {
        const RC: u32 = 0b11 << 13;
        const DAZ_FTZ: u32 = 1 << 6 | 1 << 15;
        let rounding = self.word() as u32 & RC;
        let zeroing = if self.one_in(4) { self.word() as u32 & DAZ_FTZ } else { 0 };
        let sticky = match self.below(3) {
            0 => 0,
            1 => 0x3f,
            _ => self.word() as u32 & 0x3f,
        };
        masks | rounding | zeroing | sticky
    }

    /// A float of `exponent` and `fraction` bits (5 and 10, 8 and 7, 8 and 23, 11 and 52) in the low bits: zero, denormal, infinity,
    /// QNaN, SNaN, greatest, least normal, one, powers of two, near ±0 in exponent, or any bits.
    pub fn float(&mut self, exponent: u32, fraction: u32) -> u64 {
        let bits = 1 + exponent + fraction;
        let ones = (1u64 << exponent) - 1;
        let bias = ones >> 1;
        let whole = (1u64 << fraction) - 1;
        let quiet = 1u64 << (fraction - 1);
        let any = self.word() & whole;
        let (e, f) = match self.below(16) {
            0 => (0, 0),
            1 => (0, 1),
            2 => (0, whole),
            3 => (0, any),
            4 => (ones, 0),
            5 => (ones, quiet | any),
            6 => (ones, (any & (quiet - 1)).max(1)),
            7 => (ones - 1, whole),
            8 => (1, any & self.pick(&[0, whole])),
            9 => (bias, 0),
            10 => (self.below(ones), 0),
            11 | 12 => ((bias + self.below(8)).saturating_sub(4), any),
            13 => (bias + self.below(u64::from(fraction) + 3), any),
            _ => return self.word() >> (64 - bits),
        };
        (self.word() & 1) << (bits - 1) | e << fraction | f
    }

    /// 64 bytes of a vector register: floats of one width from [`Random::float`], integers from [`Random::gpr`] cut to
    /// one width, one repeated byte, or random bytes.
    pub fn vector(&mut self) -> [u8; 64] {
        let mut out = [0; 64];
        match self.below(8) {
            0 | 1 => self.lanes(&mut out, 4, |random| random.float(8, 23)),
            2 | 3 => self.lanes(&mut out, 8, |random| random.float(11, 52)),
            4 => self.lanes(&mut out, 2, |random| random.float(5, 10)),
            5 => {
                let width = 1 << self.below(4);
                self.lanes(&mut out, width, Random::gpr);
            }
            6 => out = [self.pick(&[0, 0xff, 0x80, 0x7f]); 64],
            _ => self.fill(&mut out),
        }
        out
    }

    fn lanes(&mut self, out: &mut [u8], width: usize, mut value: impl FnMut(&mut Random) -> u64) {
        for lane in out.chunks_mut(width) {
            lane.copy_from_slice(&value(self).to_le_bytes()[..width]);
        }
    }

    /// An 80-bit value: the classes of [`Random::float`], and the encodings that only x87 has (pseudo-denormals,
    /// unnormals, pseudo-infinities).
    pub fn extended(&mut self) -> [u8; 10] {
        const INTEGER: u64 = 1 << 63;
        let any = self.word() & !INTEGER;
        let (e, significand) = match self.below(16) {
            0 => (0, 0),
            1 => (0, any),
            2 => (0, INTEGER | any),
            3 => (0x7fff, INTEGER),
            4 => (0x7fff, INTEGER | 1 << 62 | any),
            5 => (0x7fff, INTEGER | (any & !(1 << 62)).max(1)),
            6 => (0x7ffe, u64::MAX),
            7 => (1, INTEGER | any),
            8 => (0x3fff, INTEGER),
            9 => (self.below(0x7fff), any),
            10 => (0x7fff, any),
            11 => (0x3fff + self.below(66), INTEGER | any),
            12 => (0x3fff - 127 - self.below(24), INTEGER | any),
            13 => (0x3fff - 1023 - self.below(53), INTEGER | any),
            _ => (0x3ff0 + self.below(32), INTEGER | any),
        };
        let mut out = [0; 10];
        out[..8].copy_from_slice(&significand.to_le_bytes());
        out[8..].copy_from_slice(&((self.word() & 1) << 15 | e).to_le_bytes()[..2]);
        out
    }

    /// x87 with all exceptions masked, none pending, any rounding and precision, any TOP, some registers empty.
    pub fn x87(&mut self) -> X87 {
        const PRECISIONS: [u16; 3] = [0b00, 0b10, 0b11];
        let condition = self.word() as u16 & 0x4700;
        X87 {
            fcw: 0x7f | self.pick(&PRECISIONS) << 8 | (self.below(4) as u16) << 10,
            fsw: condition | (self.below(8) as u16) << 11,
            ftw: if self.one_in(2) { 0xff } else { self.word() as u8 },
            st: core::array::from_fn(|_| self.extended()),
            ..X87::default()
        }
    }

    /// A whole state: everything above, MXCSR with all exceptions masked, segment bases 0.
    pub fn state(&mut self) -> State {
        State {
            zmm: self.vectors(),
            k: core::array::from_fn(|_| self.mask()),
            gpr: core::array::from_fn(|_| self.gpr()),
            rip: 0,
            rflags: self.rflags(),
            fs_base: 0,
            gs_base: 0,
            x87: self.x87(),
            mxcsr: self.mxcsr_masked(),
        }
    }

    /// 32 values of [`Random::vector`], drawn from a pool in which each call replaces a few.
    fn vectors(&mut self) -> [[u8; 64]; 32] {
        const POOL: u64 = 1024;
        const REPLACED: usize = 2;
        if self.pool.is_empty() {
            self.pool = (0..POOL).map(|_| self.vector()).collect();
        }
        for _ in 0..REPLACED {
            let at = self.below(POOL) as usize;
            self.pool[at] = self.vector();
        }
        core::array::from_fn(|_| {
            let at = self.below(POOL) as usize;
            self.pool[at]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // xoshiro256** from the state 1, 2, 3, 4, and splitmix64 from 1234567: the reference code's first outputs.
        let mut random = Random { seed: 0, words: [1, 2, 3, 4], pool: Vec::new() };
        let words: [u64; 4] = core::array::from_fn(|_| random.word());
        assert_eq!(words, [11520, 0, 1509978240, 1215971899390074240]);
        assert_eq!(Random::new(1234567).words[..2], [6457827717110365317, 3203168211198807973]);
    }

    #[test]
    fn floats_are_of_every_class() {
        use core::num::FpCategory::{Infinite, Nan, Normal, Subnormal, Zero};
        let mut random = Random::new(1);
        let floats: Vec<f32> = (0..10_000).map(|_| f32::from_bits(random.float(8, 23) as u32)).collect();
        for class in [Infinite, Nan, Normal, Subnormal, Zero] {
            for negative in [false, true] {
                let of_class = floats.iter().filter(|f| f.classify() == class && f.is_sign_negative() == negative);
                assert!(of_class.count() > 50, "{class:?} {negative}");
            }
        }
        let quiet = |f: &&f32| f.is_nan() && f.to_bits() >> 22 & 1 == 1;
        let signaling = |f: &&f32| f.is_nan() && f.to_bits() >> 22 & 1 == 0;
        assert!(floats.iter().filter(quiet).count() > 50 && floats.iter().filter(signaling).count() > 50);
        for (exponent, fraction) in [(5, 10), (8, 7), (8, 23)] {
            let bits = 1 + exponent + fraction;
            assert!((0..10_000).all(|_| random.float(exponent, fraction) >> bits == 0));
        }
    }

    #[test]
    fn below_reaches_all_and_no_more() {
        let mut random = Random::new(2);
        let mut seen = [false; 7];
        (0..1000).for_each(|_| seen[random.below(7) as usize] = true);
        assert_eq!(seen, [true; 7]);
    }
}
