//! Byte strings to try: a walk over all opcodes, encodings of the table's rows with a few bytes or bits changed, and noise.

use super::support::encode;
use encore86::{Mode, Profile};
use encore86_oracle::Random;
use encore86_oracle::sandbox::CASE_LEN;

pub type Bytes = [u8; CASE_LEN];

/// Prefixes of the walk's legacy opcodes.
const PREFIXES: [&[u8]; 16] = [
    &[],
    &[0x66],
    &[0xf3],
    &[0xf2],
    &[0xf0],
    &[0x48],
    &[0x67],
    &[0x66, 0xf3],
    &[0x66, 0xf2],
    &[0x66, 0x48],
    &[0xf3, 0x48],
    &[0xf2, 0x48],
    &[0xf0, 0x48],
    &[0xf0, 0x66],
    &[0xf2, 0xf0],
    &[0xf3, 0xf0],
];

/// One after the other the values of several digits of a number.
struct Digits(u64);

impl Digits {
    fn take(&mut self, base: u64) -> u64 {
        let digit = self.0 % base;
        self.0 /= base;
        digit
    }

    fn byte(&mut self) -> u8 {
        self.take(256) as u8
    }
}

/// ModRM with each form and register, and two values of ModRM.rm.
fn few_modrm(digits: &mut Digits) -> u8 {
    let (form, reg, rm) = (digits.take(2) as u8, digits.take(8) as u8, digits.take(2) as u8);
    (form * 0xc0) | reg << 3 | [1, 4][rm as usize]
}

/// The walk's parts: how many cases each has, and the case of a number.
type Part = (u64, fn(Digits) -> Vec<u8>);

const WALK: [Part; 5] = [
    (4 * 256 * 256 * PREFIXES.len() as u64, |mut at| {
        let mut bytes = PREFIXES[at.take(PREFIXES.len() as u64) as usize].to_vec();
        bytes.extend([&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]][at.take(4) as usize]);
        bytes.extend([at.byte(), at.byte()]);
        bytes
    }),
    // VEX with two bytes: all of them.
    (256 * 256 * 32, |mut at| vec![0xc5, at.byte(), at.byte(), few_modrm(&mut at)]),
    // VEX with three: the first maps, the last byte without half of vvvv's bits.
    (10 * 256 * 64 * 32, |mut at| {
        let map = at.take(10) as u8;
        let last = at.take(64) as u8;
        let opcode = at.byte();
        let modrm = few_modrm(&mut at);
        vec![0xc4, 0xe0 | map, (last & 8) << 4 | (last & 0x30) << 1 | 0x18 | last & 7, opcode, modrm]
    }),
    // XOP.
    (4 * 256 * 16 * 32, |mut at| {
        let map = 7 + at.take(4) as u8;
        let last = at.take(16) as u8;
        let opcode = at.byte();
        let modrm = few_modrm(&mut at);
        vec![0x8f, 0xe0 | map, (last & 8) << 4 | 0x78 | last & 7, opcode, modrm]
    }),
    // EVEX: pp, W, L'L, b, z, some of vvvv, V' and aaa.
    (8 * 256 * 4 * 2 * 4 * 2 * 2 * 3 * 3 * 16, |mut at| {
        let map = at.take(8) as u8;
        let (pp, w, ll) = (at.take(4) as u8, at.take(2) as u8, at.take(4) as u8);
        let (b, z, aaa) = (at.take(2) as u8, at.take(2) as u8, at.take(3) as u8);
        let (vvvv, v) = [(15, 8), (2, 8), (15, 0)][at.take(3) as usize];
        let modrm = at.take(16) as u8;
        let opcode = at.byte();
        let modrm = ((modrm & 1) * 0xc0) | (modrm >> 1) << 3 | 1;
        let aaa = [0, 1, 4][aaa as usize];
        vec![0x62, 0xf0 | map, w << 7 | vvvv << 3 | 4 | pp, z << 7 | ll << 5 | b << 4 | v | aaa, opcode, modrm]
    }),
];

/// The inputs of one mode, without end.
pub struct Inputs {
    random: Random,
    encodings: Vec<Vec<u8>>,
    made: u64,
    /// Of each part of the walk, how far it is.
    walked: [u64; WALK.len()],
}

impl Inputs {
    pub fn new(mode: Mode, seed: u64) -> Inputs {
        let forms = [Profile::host(), Profile::all()].map(|profile| encode::all(mode, &profile, 0x1000));
        let encodings = forms.into_iter().flatten().map(|form| form.bytes).collect();
        Inputs { random: Random::new(seed ^ mode as u64), encodings, made: 0, walked: [0; WALK.len()] }
    }

    /// The next one.
    pub fn next(&mut self) -> Bytes {
        self.made += 1;
        let mut tail = [0; CASE_LEN];
        self.random.fill(&mut tail);
        let start = match self.made % 4 {
            0 => self.noise(&tail),
            1 | 2 => self.mutated(),
            _ => self.walk(),
        };
        let len = start.len().min(CASE_LEN);
        tail[..len].copy_from_slice(&start[..len]);
        tail
    }

    fn below(&mut self, n: usize) -> usize {
        self.random.below(n as u64) as usize
    }

    /// Noise mostly begins with a prefix or an escape, or little of it would be rare.
    fn noise(&mut self, tail: &Bytes) -> Vec<u8> {
        const FIRST: [&[u8]; 8] = [&[], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a], &[0xc4], &[0xc5], &[0x62], &[0x8f]];
        let mut bytes = self.prefixes(2);
        bytes.extend(FIRST[self.below(FIRST.len())]);
        bytes.extend(&tail[..4]);
        bytes
    }

    fn prefixes(&mut self, most: usize) -> Vec<u8> {
        const PREFIX: [u8; 16] =
            [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x48, 0x4f, 0x66];
        (0..self.below(most + 1)).map(|_| PREFIX[self.below(PREFIX.len())]).collect()
    }

    fn mutated(&mut self) -> Vec<u8> {
        let pick = self.below(self.encodings.len());
        let mut bytes = self.encodings[pick].clone();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len().min(6));
            match self.below(4) {
                0 => bytes[at] = self.random.word() as u8,
                _ => bytes[at] ^= 1 << self.below(8),
            }
        }
        match self.below(16) {
            // Near the longest that there can be.
            0 => {
                let mut longer = vec![[0x66, 0x2e, 0x67][self.below(3)]; self.below(16)];
                longer.append(&mut bytes);
                longer
            }
            1..5 => {
                let mut longer = self.prefixes(3);
                longer.append(&mut bytes);
                longer
            }
            _ => bytes,
        }
    }

    /// Parts take turns; each goes through its cases in an order that spreads them, so that a short walk has something
    /// of everything.
    fn walk(&mut self) -> Vec<u8> {
        let part = (self.made / 4 % WALK.len() as u64) as usize;
        let (count, make) = WALK[part];
        // A prime that divides no part's count.
        const STRIDE: u64 = 1_000_003;
        let at = (u128::from(self.walked[part]) * u128::from(STRIDE) % u128::from(count)) as u64;
        self.walked[part] += 1;
        make(Digits(at))
    }
}
