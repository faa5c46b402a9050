//! Work of the kind that vectors are for, done by crates that many use. Each subcommand makes its own input and prints
//! digests of what comes out, so that two runs can be compared.
//!
//! It is compiled for several sets of features, and its crates ask CPUID for more, so that what runs is what a release
//! build runs on the processor at hand.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use rustfft::Fft;
use rustfft::FftDirection::Forward;
use rustfft::algorithm::butterflies::{Butterfly5, Butterfly6};
use rustfft::algorithm::{MixedRadix, Radix3, Radix4};
use rustfft::num_complex::Complex;
use sha2::{Digest, Sha256, Sha512};
use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

mod x87;

type Done = Result<String, Box<dyn Error>>;
type Work = (&'static str, fn() -> Done);

/// Subcommands.
const WORK: [Work; 8] = [
    ("sha", sha),
    ("aes-gcm", aes_gcm),
    ("utf8", utf8),
    ("json", json),
    ("fft", fft),
    ("matrix", matrix),
    ("image", image),
    ("x87", extended),
];

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((_, work)) = WORK.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = WORK.iter().map(|(name, _)| *name).collect();
        eprintln!("say one of {}", names.join(", "));
        return ExitCode::from(2);
    };
    match work() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Numbers that look random and are always the same (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }

    /// From -1 to 1.
    fn real(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn digest(bytes: impl AsRef<[u8]>) -> String {
    hex(Sha256::digest(bytes))
}

fn extended() -> Done {
    let all = |numbers: &[x87::Extended]| digest(numbers.iter().flat_map(|n| n.bytes().to_vec()).collect::<Vec<u8>>());
    let picture = x87::mandelbrot(48, 32);
    let inside = picture.iter().filter(|steps| **steps == 200).count();
    let solutions: Vec<String> = [3, 7, 12].map(|n| all(&x87::solve(n))).into();
    Ok(format!("{} {inside}\n{}\n{}\n", digest(&picture), solutions.join(" "), all(&x87::functions(60))))
}

fn sha() -> Done {
    let data = Numbers(1).bytes(20_000);
    Ok(format!("{}\n{}\n", digest(&data), hex(Sha512::digest(&data))))
}

fn aes_gcm() -> Done {
    let mut numbers = Numbers(2);
    let (key, nonce, aad) = (numbers.bytes(32), numbers.bytes(12), numbers.bytes(45));
    let data = numbers.bytes(4_099);
    let nonce = nonce.as_slice().try_into()?;
    let with = |msg| Payload { msg, aad: &aad };
    let long = Aes256Gcm::new_from_slice(&key)?;
    let sealed = long.encrypt(nonce, with(&data)).map_err(|_| "not encrypted")?;
    let opened = long.decrypt(nonce, with(&sealed)).map_err(|_| "not decrypted")?;
    let mut forged = sealed.clone();
    forged[77] ^= 1;
    let refused = long.decrypt(nonce, with(&forged)).is_err();
    let short = Aes128Gcm::new_from_slice(&key[..16])?;
    let other = short.encrypt(nonce, with(&data)).map_err(|_| "not encrypted")?;
    Ok(format!("{} {} {refused}\n{}\n", digest(&sealed), opened == data, digest(&other)))
}

fn utf8() -> Done {
    let mut numbers = Numbers(3);
    let letters: Vec<char> = "abc xyz\nÄß€漢字🦀".chars().collect();
    let text: String = (0..6_000).map(|_| letters[numbers.next() as usize % letters.len()]).collect();
    let mut out = format!("{}\n", simdutf8::basic::from_utf8(text.as_bytes()).map_or(0, str::len));
    // A byte that fits nowhere, at places that vectors meet in different ways.
    for at in [0, 15, 16, 63, 64, 1_000, text.len() - 1] {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = 0xff;
        let error = simdutf8::compat::from_utf8(&bytes).err().ok_or("taken for UTF-8")?;
        let same = std::str::from_utf8(&bytes).is_err_and(|std| std.valid_up_to() == error.valid_up_to());
        writeln!(out, "{} {:?} {same}", error.valid_up_to(), error.error_len())?;
    }
    Ok(out)
}

fn json() -> Done {
    let mut numbers = Numbers(4);
    let mut text = String::from("[");
    for i in 0..120 {
        let (n, real) = (numbers.next(), numbers.real());
        write!(
            text,
            r#"{}{{"id":{i}, "n":{n},"neg":-{},"real":{real:e}, "on":{}, "no":null,"name":"q\"\\\u00e4 漢 {n:x}","list":[[],{{}},{i}]}}"#,
            if i == 0 { "" } else { ",\n  " },
            n >> 40,
            n & 1 != 0
        )?;
    }
    text.push(']');
    let mut bytes = text.clone().into_bytes();
    let fast = simd_json::to_tape(&mut bytes)?;
    let tape = format!("{:?}", fast.0);
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let again = serde_json::to_string(&value)?;
    let mut damaged = text.replace("null", "nul").into_bytes();
    let refused = simd_json::to_tape(&mut damaged).is_err();
    Ok(format!("{} {}\n{} {refused}\n", fast.0.len(), digest(tape), digest(again)))
}

fn fft() -> Done {
    let mut numbers = Numbers(5);
    let mut out = String::new();
    // Butterflies alone, and the passes that a power of two and small factors are taken apart into.
    let thirty = MixedRadix::new(Arc::new(Butterfly5::new(Forward)), Arc::new(Butterfly6::new(Forward)));
    let plans: [Arc<dyn Fft<f32>>; 3] =
        [Arc::new(Radix4::new(1024, Forward)), Arc::new(thirty), Arc::new(Radix3::new(243, Forward))];
    for plan in plans {
        let mut real = || numbers.real() as f32;
        let mut data: Vec<Complex<f32>> = (0..plan.len()).map(|_| Complex::new(real(), real())).collect();
        for _ in 0..2 {
            plan.process(&mut data);
            let bytes: Vec<u8> = data.iter().flat_map(|z| [z.re, z.im]).flat_map(f32::to_le_bytes).collect();
            writeln!(out, "{} {}", plan.len(), digest(bytes))?;
        }
    }
    Ok(out)
}

fn matrix() -> Done {
    let mut numbers = Numbers(6);
    let mut out = String::new();
    for (m, k, n) in [(33, 47, 29), (64, 64, 64)] {
        let mut reals = |count| (0..count).map(|_| numbers.real()).collect::<Vec<f64>>();
        let (a, b, mut c) = (reals(m * k), reals(k * n), reals(m * n));
        let single = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (a32, b32, mut c32) = (single(&a), single(&b), single(&c));
        let (ks, ns) = (k as isize, n as isize);
        // SAFETY: the matrices lie row by row in vectors of just their sizes, and C overlaps neither A nor B.
        unsafe {
            matrixmultiply::dgemm(m, k, n, 1.5, a.as_ptr(), ks, 1, b.as_ptr(), ns, 1, 0.5, c.as_mut_ptr(), ns, 1);
            matrixmultiply::sgemm(m, k, n, 1.5, a32.as_ptr(), ks, 1, b32.as_ptr(), ns, 1, 0.5, c32.as_mut_ptr(), ns, 1);
        }
        let c: Vec<u8> = c.iter().flat_map(|x| x.to_le_bytes()).collect();
        let c32: Vec<u8> = c32.iter().flat_map(|x| x.to_le_bytes()).collect();
        writeln!(out, "{m}x{k}x{n} {} {}", digest(c), digest(c32))?;
    }
    Ok(out)
}

fn image() -> Done {
    let (width, height) = (61, 40);
    let bytes = Numbers(7).bytes((width * height) as usize * PixelType::U8x4.size());
    let from = Image::from_vec_u8(width, height, bytes, PixelType::U8x4)?;
    let mut out = String::new();
    for filter in [FilterType::Bilinear, FilterType::Lanczos3] {
        let mut to = Image::new(37, 51, PixelType::U8x4);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
        Resizer::new().resize(&from, &mut to, &options)?;
        writeln!(out, "{filter:?} {}", digest(to.buffer()))?;
    }
    Ok(out)
}
