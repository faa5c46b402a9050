//! What the host processor has, by CPUID and XCR0.

use core::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

/// A register that CPUID returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

use Register::{Eax, Ebx, Ecx, Edx};

/// How much of the vector file a run loads and saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vector {
    /// YMM0 to YMM15.
    Avx = 1,
    /// ZMM0 to ZMM31 and K0 to K7.
    Avx512 = 2,
}

/// The XCR0 components that a feature needs.
const NONE: u64 = 0;
const AVX: u64 = 0b110;
const AVX512: u64 = 0b1110_0110;
const PKU: u64 = 1 << 9;
const AMX: u64 = 0b11 << 17;
const APX: u64 = 1 << 19;

/// Name, CPUID leaf, subleaf, register, bit, XCR0 components that must be enabled too.
type Row = (&'static str, u32, u32, Register, u8, u64);

#[rustfmt::skip] // one feature per line: the columns are the point
const FEATURES: &[Row] = &[
    ("cmov",               1, 0, Edx, 15, NONE),
    ("mmx",                1, 0, Edx, 23, NONE),
    ("fxsr",               1, 0, Edx, 24, NONE),
    ("sse",                1, 0, Edx, 25, NONE),
    ("sse2",               1, 0, Edx, 26, NONE),
    ("sse3",               1, 0, Ecx,  0, NONE),
    ("pclmulqdq",          1, 0, Ecx,  1, NONE),
    ("monitor",            1, 0, Ecx,  3, NONE),
    ("ssse3",              1, 0, Ecx,  9, NONE),
    ("fma",                1, 0, Ecx, 12, AVX),
    ("cmpxchg16b",         1, 0, Ecx, 13, NONE),
    ("sse4.1",             1, 0, Ecx, 19, NONE),
    ("sse4.2",             1, 0, Ecx, 20, NONE),
    ("movbe",              1, 0, Ecx, 22, NONE),
    ("popcnt",             1, 0, Ecx, 23, NONE),
    ("aes",                1, 0, Ecx, 25, NONE),
    ("xsave",              1, 0, Ecx, 26, NONE),
    ("osxsave",            1, 0, Ecx, 27, NONE),
    ("avx",                1, 0, Ecx, 28, AVX),
    ("f16c",               1, 0, Ecx, 29, AVX),
    ("rdrand",             1, 0, Ecx, 30, NONE),
    ("hypervisor",         1, 0, Ecx, 31, NONE),
    ("fsgsbase",           7, 0, Ebx,  0, NONE),
    ("bmi1",               7, 0, Ebx,  3, NONE),
    ("avx2",               7, 0, Ebx,  5, AVX),
    ("bmi2",               7, 0, Ebx,  8, NONE),
    ("erms",               7, 0, Ebx,  9, NONE),
    ("rtm",                7, 0, Ebx, 11, NONE),
    ("mpx",                7, 0, Ebx, 14, 0b11 << 3),
    ("avx512f",            7, 0, Ebx, 16, AVX512),
    ("avx512dq",           7, 0, Ebx, 17, AVX512),
    ("rdseed",             7, 0, Ebx, 18, NONE),
    ("adx",                7, 0, Ebx, 19, NONE),
    ("avx512ifma",         7, 0, Ebx, 21, AVX512),
    ("clflushopt",         7, 0, Ebx, 23, NONE),
    ("clwb",               7, 0, Ebx, 24, NONE),
    ("avx512pf",           7, 0, Ebx, 26, AVX512),
    ("avx512er",           7, 0, Ebx, 27, AVX512),
    ("avx512cd",           7, 0, Ebx, 28, AVX512),
    ("sha",                7, 0, Ebx, 29, NONE),
    ("avx512bw",           7, 0, Ebx, 30, AVX512),
    ("avx512vl",           7, 0, Ebx, 31, AVX512),
    ("avx512vbmi",         7, 0, Ecx,  1, AVX512),
    ("umip",               7, 0, Ecx,  2, NONE),
    ("pku",                7, 0, Ecx,  4, PKU),
    ("waitpkg",            7, 0, Ecx,  5, NONE),
    ("avx512vbmi2",        7, 0, Ecx,  6, AVX512),
    ("gfni",               7, 0, Ecx,  8, NONE),
    ("vaes",               7, 0, Ecx,  9, AVX),
    ("vpclmulqdq",         7, 0, Ecx, 10, AVX),
    ("avx512vnni",         7, 0, Ecx, 11, AVX512),
    ("avx512bitalg",       7, 0, Ecx, 12, AVX512),
    ("avx512vpopcntdq",    7, 0, Ecx, 14, AVX512),
    ("rdpid",              7, 0, Ecx, 22, NONE),
    ("movdiri",            7, 0, Ecx, 27, NONE),
    ("movdir64b",          7, 0, Ecx, 28, NONE),
    ("avx512vp2intersect", 7, 0, Edx,  8, AVX512),
    ("serialize",          7, 0, Edx, 14, NONE),
    ("avx512fp16",         7, 0, Edx, 23, AVX512),
    ("amx-tile",           7, 0, Edx, 24, AMX),
    ("amx-int8",           7, 0, Edx, 25, AMX),
    ("sha512",             7, 1, Eax,  0, AVX),
    ("sm3",                7, 1, Eax,  1, AVX),
    ("sm4",                7, 1, Eax,  2, AVX),
    ("raoint",             7, 1, Eax,  3, NONE),
    ("avxvnni",            7, 1, Eax,  4, AVX),
    ("avx512bf16",         7, 1, Eax,  5, AVX512),
    ("cmpccxadd",          7, 1, Eax,  7, NONE),
    ("avxifma",            7, 1, Eax, 23, AVX),
    ("avxvnniint8",        7, 1, Edx,  4, AVX),
    ("avxneconvert",       7, 1, Edx,  5, AVX),
    ("avxvnniint16",       7, 1, Edx, 10, AVX),
    ("avx10",              7, 1, Edx, 19, AVX512),
    ("apxf",               7, 1, Edx, 21, APX),
    ("xsaveopt",         0xd, 1, Eax,  0, NONE),
    ("xsavec",           0xd, 1, Eax,  1, NONE),
    ("xgetbv1",          0xd, 1, Eax,  2, NONE),
    ("lahf",     0x8000_0001, 0, Ecx,  0, NONE),
    ("lzcnt",    0x8000_0001, 0, Ecx,  5, NONE),
    ("sse4a",    0x8000_0001, 0, Ecx,  6, NONE),
    ("misalignsse", 0x8000_0001, 0, Ecx, 7, NONE),
    ("3dnowprefetch", 0x8000_0001, 0, Ecx, 8, NONE),
    ("xop",      0x8000_0001, 0, Ecx, 11, AVX),
    ("lwp",      0x8000_0001, 0, Ecx, 15, 1 << 62),
    ("fma4",     0x8000_0001, 0, Ecx, 16, AVX),
    ("tbm",      0x8000_0001, 0, Ecx, 21, NONE),
    ("monitorx", 0x8000_0001, 0, Ecx, 29, NONE),
    ("rdtscp",   0x8000_0001, 0, Edx, 27, NONE),
    ("3dnowext", 0x8000_0001, 0, Edx, 30, NONE),
    ("3dnow",    0x8000_0001, 0, Edx, 31, NONE),
    ("clzero",   0x8000_0008, 0, Ebx,  0, NONE),
    ("rdpru",    0x8000_0008, 0, Ebx,  4, NONE),
    ("mcommit",  0x8000_0008, 0, Ebx,  8, NONE),
];

/// The features of the host. Cheap to make; keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features;

impl Features {
    /// One bit of CPUID; false where the leaf is beyond the host's greatest. Says nothing on XCR0: see [`Features::xcr0`].
    pub fn cpuid_bit(self, leaf: u32, subleaf: u32, register: Register, bit: u8) -> bool {
        let greatest = __cpuid_count(leaf & 0xffff_0000, 0).eax;
        if leaf > greatest || (leaf == 7 && subleaf > __cpuid_count(7, 0).eax) {
            return false;
        }
        let out = __cpuid_count(leaf, subleaf);
        let value = match register {
            Eax => out.eax,
            Ebx => out.ebx,
            Ecx => out.ecx,
            Edx => out.edx,
        };
        value >> bit & 1 == 1
    }

    /// XCR0, the state components that the operating system enabled; 0 without OSXSAVE.
    pub fn xcr0(self) -> u64 {
        if !self.cpuid_bit(1, 0, Ecx, 27) {
            return 0;
        }
        // SAFETY: OSXSAVE is set, so XGETBV exists and XCR0 may be read.
        unsafe { _xgetbv(0) }
    }

    /// Does the host have this feature, and its state components enabled? Names are as Linux and Rust write them.
    ///
    /// # Panics
    /// If the name is not in the table, for a test that asks for a misspelt feature would be skipped for ever.
    pub fn has(self, name: &str) -> bool {
        // CPUID costs microseconds where a hypervisor answers it.
        static ANSWERS: OnceLock<Vec<bool>> = OnceLock::new();
        let answers = ANSWERS.get_or_init(|| {
            let xcr0 = Features.xcr0();
            let enabled = |components| xcr0 & components == components;
            let answer = |&(_, leaf, subleaf, register, bit, components): &Row| {
                enabled(components) && Features.cpuid_bit(leaf, subleaf, register, bit)
            };
            FEATURES.iter().map(answer).collect()
        });
        let Some(index) = FEATURES.iter().position(|row| row.0 == name) else {
            panic!("`{name}` is not in the table of features: correct the name, or add a row to features.rs");
        };
        answers[index]
    }

    /// All names of the table that the host has.
    pub fn names(self) -> Vec<&'static str> {
        FEATURES.iter().map(|row| row.0).filter(|name| self.has(name)).collect()
    }

    /// How much of the vector file a run loads and saves; `None` below AVX, where no oracle can be made.
    pub fn vector(self) -> Option<Vector> {
        if self.has("avx512f") && self.has("avx512bw") {
            Some(Vector::Avx512)
        } else {
            self.has("avx").then_some(Vector::Avx)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_standard_library() {
        macro_rules! agree {
            ($($name:tt)*) => {
                $(assert_eq!(Features.has($name), std::arch::is_x86_feature_detected!($name), $name);)*
            };
        }
        agree! {
            "adx" "aes" "avx" "avx2" "avx512bitalg" "avx512bf16" "avx512bw" "avx512cd" "avx512dq" "avx512f"
            "avx512ifma" "avx512vbmi" "avx512vbmi2" "avx512vl" "avx512vnni" "avx512vpopcntdq" "bmi1" "bmi2"
            "cmpxchg16b" "f16c" "fma" "fxsr" "gfni" "lzcnt" "movbe" "pclmulqdq" "popcnt" "rdrand" "rdseed" "rtm" "sha"
            "sse" "sse2" "sse3" "sse4.1" "sse4.2" "sse4a" "ssse3" "tbm" "vaes" "vpclmulqdq" "xsave" "xsavec" "xsaveopt"
        }
    }

    #[test]
    #[should_panic(expected = "not in the table")]
    fn a_misspelt_name_panics() {
        Features.has("avx512-f");
    }
}
