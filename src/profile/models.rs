//! Processors by name.
//!
//! What the vendors' documents say of each: SDM volume 1 and 2 (CPUID), Intel's reference of instruction-set extensions,
//! AMD's manual volume 3 (appendices D and E) and its processor programming references. Left out is what a monitor has to
//! provide before a guest may see it (VMX, SVM, SGX, PT, IBS), and what microcode has since taken away from all of them
//! (TSX, MPX, LWP).

use super::leaves::Leaves;
use super::{CpuidResult, Profile, Signature, Vendor};
use crate::isa::feature::Feature::{self, *};
use crate::isa::feature::FeatureSet;

/// A cache: level; data, instructions or unified as CPUID numbers them; KiB; ways.
type Cache = (u32, u32, u32, u32);

const DATA: u32 = 1;
const CODE: u32 = 2;
const UNIFIED: u32 = 3;
/// Bytes of a cache line.
const LINE: u32 = 64;

/// A leaf, a subleaf, and EAX, EBX, ECX, EDX.
type Row = (u32, u32, [u32; 4]);

/// A named processor.
struct Model {
    name: &'static str,
    vendor: Vendor,
    signature: Signature,
    brand: &'static str,
    /// Features, each generation's own.
    features: &'static [&'static [Feature]],
    /// Highest basic and extended leaf, and highest subleaf of leaf 7.
    highest: [u32; 3],
    /// Widths of physical and linear addresses.
    widths: [u32; 2],
    caches: &'static [Cache],
    /// Leaves that no feature decides.
    leaves: &'static [Row],
}

/// What x86-64 began with.
const X86_64: &[Feature] = &[
    Fpu, Vme, De, Pse, Tsc, Msr, Pae, Cx8, Apic, Sep, Pge, Cmov, Pat, Pse36, Clflush, Mmx, Fxsr, Sse, Sse2, Syscall,
    Nx, Lm,
];

const NEHALEM: &[Feature] = &[Sse3, Monitor, Ssse3, Cx16, Sse41, Sse42, Popcnt, LahfLm, Rdtscp];

/// Westmere's, Sandy Bridge's, Ivy Bridge's and its own.
const HASWELL: &[Feature] = &[
    Aes, Pclmulqdq, Pcid, Pdpe1gb, X2apic, Xsave, Xsaveopt, Avx, F16c, Rdrand, Fsgsbase, Smep, Erms, Fma, Avx2, Bmi1,
    Bmi2, Movbe, Lzcnt, Invpcid,
];

/// Broadwell's and its own.
const SKYLAKE_SERVER: &[Feature] = &[
    Adx, Rdseed, Smap, Prefetchw, Clflushopt, Clwb, Xsavec, Xgetbv1, Xsaves, Pku, Avx512f, Avx512dq, Avx512cd,
    Avx512bw, Avx512vl,
];

/// Cascade Lake's, Cooper Lake's, Ice Lake's and its own.
const SAPPHIRE_RAPIDS: &[Feature] = &[
    Avx512vnni,
    Avx512bf16,
    Avx512ifma,
    Avx512vbmi,
    Avx512vbmi2,
    Avx512bitalg,
    Avx512vpopcntdq,
    Sha,
    Umip,
    Gfni,
    Vaes,
    Vpclmulqdq,
    La57,
    Rdpid,
    Fsrm,
    Pconfig,
    Wbnoinvd,
    Waitpkg,
    Shstk,
    Ibt,
    Cldemote,
    Movdiri,
    Movdir64b,
    Enqcmd,
    Uintr,
    Serialize,
    AvxVnni,
    Avx512fp16,
    AmxTile,
    Xfd,
    AmxInt8,
    AmxBf16,
];

/// Granite Rapids' and what has been announced for it.
const DIAMOND_RAPIDS: &[Feature] = &[
    AmxFp16,
    AmxComplex,
    Prefetchi,
    Lam,
    Fred,
    Lkgs,
    Wrmsrns,
    Msrlist,
    MsrImm,
    UserMsr,
    Cmpccxadd,
    AvxIfma,
    AvxNeConvert,
    AvxVnniInt8,
    AvxVnniInt16,
    Sha512,
    Sm3,
    Sm4,
    Avx10,
    Avx10V2,
    Apx,
    ApxNddNf,
    AmxAvx512,
    AmxFp8,
    AmxMovrs,
    Movrs,
];

/// What AMD's 64-bit processors have had beside.
const AMD64: &[Feature] = &[
    Sse3,
    Cx16,
    LahfLm,
    Rdtscp,
    Cr8Legacy,
    Lzcnt,
    Sse4a,
    Misalignsse,
    Prefetchw,
    Mmxext,
    FxsrOpt,
    Pdpe1gb,
    Monitor,
    Popcnt,
];

const PILEDRIVER: &[Feature] = &[Ssse3, Sse41, Sse42, Aes, Pclmulqdq, Xsave, Avx, Fma, F16c, Bmi1, Xop, Fma4, Tbm];

const ZEN3: &[Feature] = &[
    Ssse3, Sse41, Sse42, Aes, Pclmulqdq, Xsave, Avx, Fma, F16c, Bmi1, Bmi2, Avx2, Movbe, Rdrand, Rdseed, Adx, Smep,
    Smap, Fsgsbase, Sha, Clflushopt, Clwb, Clzero, Xsaveopt, Xsavec, Xgetbv1, Xsaves, X2apic, Pcid, Invpcid, Umip,
    Rdpid, Rdpru, Wbnoinvd, Monitorx, Pku, Shstk, Vaes, Vpclmulqdq, Erms, Fsrm, Invlpgb,
];

const ZEN4: &[Feature] = &[
    Avx512f,
    Avx512dq,
    Avx512ifma,
    Avx512cd,
    Avx512bw,
    Avx512vl,
    Avx512bf16,
    Avx512vbmi,
    Avx512vbmi2,
    Avx512vnni,
    Avx512bitalg,
    Avx512vpopcntdq,
    Gfni,
    La57,
];

/// TMUL and its tiles: one palette of eight tiles of 1 KiB, in rows of 64 bytes.
const TILES: [Row; 3] =
    [(0x1d, 0, [1, 0, 0, 0]), (0x1d, 1, [0x0400_2000, 0x0008_0040, 16, 0]), (0x1e, 0, [0, 0x4010, 0, 0])];

const MODELS: [Model; 8] = [
    Model {
        name: "nehalem",
        vendor: Vendor::Intel,
        signature: Signature::new(6, 0x1a, 5),
        brand: "Intel(R) Xeon(R) CPU           X5570  @ 2.93GHz",
        features: &[X86_64, NEHALEM],
        highest: [0xb, 0x8000_0008, 0],
        widths: [40, 48],
        caches: &[(1, DATA, 32, 8), (1, CODE, 32, 4), (2, UNIFIED, 256, 8), (3, UNIFIED, 8192, 16)],
        leaves: &[],
    },
    Model {
        name: "haswell",
        vendor: Vendor::Intel,
        signature: Signature::new(6, 0x3f, 2),
        brand: "Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz",
        features: &[X86_64, NEHALEM, HASWELL],
        highest: [0xf, 0x8000_0008, 0],
        widths: [46, 48],
        caches: &[(1, DATA, 32, 8), (1, CODE, 32, 8), (2, UNIFIED, 256, 8), (3, UNIFIED, 30720, 20)],
        leaves: &[],
    },
    Model {
        name: "skylake-server",
        vendor: Vendor::Intel,
        signature: Signature::new(6, 0x55, 4),
        brand: "Intel(R) Xeon(R) Platinum 8180 CPU @ 2.50GHz",
        features: &[X86_64, NEHALEM, HASWELL, SKYLAKE_SERVER],
        highest: [0x16, 0x8000_0008, 0],
        widths: [46, 48],
        caches: &[(1, DATA, 32, 8), (1, CODE, 32, 8), (2, UNIFIED, 1024, 16), (3, UNIFIED, 39424, 11)],
        leaves: &[],
    },
    Model {
        name: "sapphirerapids",
        vendor: Vendor::Intel,
        signature: Signature::new(6, 0x8f, 8),
        brand: "Intel(R) Xeon(R) Platinum 8480+",
        features: &[X86_64, NEHALEM, HASWELL, SKYLAKE_SERVER, SAPPHIRE_RAPIDS],
        highest: [0x20, 0x8000_0008, 1],
        widths: [52, 57],
        caches: &[(1, DATA, 48, 12), (1, CODE, 32, 8), (2, UNIFIED, 2048, 16), (3, UNIFIED, 107_520, 15)],
        leaves: &TILES,
    },
    Model {
        name: "diamondrapids",
        vendor: Vendor::Intel,
        signature: Signature::new(0x13, 1, 0),
        brand: "Intel(R) Xeon(R) (Diamond Rapids)",
        features: &[X86_64, NEHALEM, HASWELL, SKYLAKE_SERVER, SAPPHIRE_RAPIDS, DIAMOND_RAPIDS],
        highest: [0x29, 0x8000_0008, 1],
        widths: [52, 57],
        caches: &[(1, DATA, 48, 12), (1, CODE, 64, 16), (2, UNIFIED, 2048, 16)],
        leaves: &[
            TILES[0],
            TILES[1],
            // Subleaf 1 repeats INT8, BF16, COMPLEX and FP16, and has TF32.
            (0x1e, 0, [1, 0x4010, 0, 0]),
            (0x1e, 1, [0x4f, 0, 0, 0]),
            // AVX10 version 2, at all vector lengths.
            (0x24, 0, [0, 0x0007_0002, 0, 0]),
            // APX: new data destinations and no flags.
            (0x29, 0, [0, 1, 0, 0]),
        ],
    },
    Model {
        name: "piledriver",
        vendor: Vendor::Amd,
        signature: Signature::new(0x15, 2, 0),
        brand: "AMD Opteron(tm) Processor 6376",
        features: &[X86_64, AMD64, PILEDRIVER],
        highest: [0xd, 0x8000_001e, 0],
        widths: [48, 48],
        caches: &[(1, DATA, 16, 4), (1, CODE, 64, 2), (2, UNIFIED, 2048, 16), (3, UNIFIED, 8192, 64)],
        leaves: &[],
    },
    Model {
        name: "zen3",
        vendor: Vendor::Amd,
        signature: Signature::new(0x19, 1, 1),
        brand: "AMD EPYC 7763 64-Core Processor",
        features: &[X86_64, AMD64, ZEN3],
        highest: [0x10, 0x8000_0023, 0],
        widths: [48, 48],
        caches: &[(1, DATA, 32, 8), (1, CODE, 32, 8), (2, UNIFIED, 512, 8), (3, UNIFIED, 32768, 16)],
        leaves: &[(0x8000_0021, 0, [0x45, 0, 0, 0])],
    },
    Model {
        name: "zen4",
        vendor: Vendor::Amd,
        signature: Signature::new(0x19, 0x11, 1),
        brand: "AMD EPYC 9654 96-Core Processor",
        features: &[X86_64, AMD64, ZEN3, ZEN4],
        highest: [0x10, 0x8000_0028, 1],
        widths: [52, 57],
        caches: &[(1, DATA, 32, 8), (1, CODE, 32, 8), (2, UNIFIED, 1024, 8), (3, UNIFIED, 32768, 16)],
        // Fast short REPE CMPSB (bit 11), null selectors clear bases (6), LFENCE serialises (2), no nested breakpoints (0).
        leaves: &[(0x8000_0021, 0, [0x845, 0, 0, 0])],
    },
];

impl Profile {
    /// The names that [`Profile::named`] knows.
    pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
        MODELS.iter().map(|model| model.name)
    }

    /// A processor by name, with its vendor's behaviour: `haswell`, `zen4` and others, see [`Profile::names`].
    ///
    /// It has what that processor has, but for virtualisation, enclaves and tracing, which a monitor has to provide, and for
    /// what microcode took away again. There is one thread, with the caches of one core.
    ///
    /// ```
    /// use encore86::{Profile, Vendor, isa::Feature};
    ///
    /// let profile = Profile::named("piledriver").expect("a name that Profile::names lists");
    /// assert_eq!(profile.vendor(), Vendor::Amd);
    /// assert!(profile.has(Feature::Xop) && !profile.has(Feature::Avx2));
    /// ```
    pub fn named(name: &str) -> Option<Profile> {
        let model = MODELS.iter().find(|model| model.name == name)?;
        let mut features = FeatureSet::base();
        model.features.iter().copied().flatten().for_each(|&feature| features.insert(feature));
        Some(Profile::build(model.vendor, model.signature, features, model.leaves()))
    }
}

impl Model {
    fn leaves(&self) -> Leaves {
        let [basic, extended, structured] = self.highest;
        let [physical, linear] = self.widths;
        let amd = self.vendor == Vendor::Amd;
        let has = |feature| self.features.iter().any(|generation| generation.contains(&feature));
        // MCE, MTRR, MCA, which no instruction depends on.
        const MACHINE: u32 = 1 << 7 | 1 << 12 | 1 << 14;
        let mut rows: Vec<Row> = vec![
            (0, 0, [basic, 0, 0, 0]),
            (1, 0, [0, 1 << 16 | (LINE / 8) << 8, 0, MACHINE]),
            // MONITOR's line; the APIC timer runs in all sleeping states.
            (5, 0, [LINE, LINE, 0, 0]),
            (6, 0, [4, 0, 0, 0]),
            (7, 0, [structured, 0, 0, 0]),
            (0x8000_0000, 0, [extended, 0, 0, 0]),
            (0x8000_0007, 0, [0, 0, 0, 1 << 8]),
            (0x8000_0008, 0, [linear << 8 | physical, 0, 0, 0]),
        ];
        if !amd || has(X2apic) {
            // One thread of one core.
            rows.extend([(0xb, 0, [0, 1, 1 << 8, 0]), (0xb, 1, [0, 1, 2 << 8 | 1, 0])]);
        }
        if has(Shstk) {
            // The supervisor components of user and supervisor shadow stacks.
            rows.extend([(0xd, 1, [0, 0, 0x1800, 0]), (0xd, 11, [16, 0, 1, 0]), (0xd, 12, [24, 0, 1, 0])]);
        }
        let mut brand = [0; 48];
        brand[..self.brand.len()].copy_from_slice(self.brand.as_bytes());
        let words: Vec<u32> = brand.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        for (i, part) in words.chunks_exact(4).enumerate() {
            rows.push((0x8000_0002 + i as u32, 0, [part[0], part[1], part[2], part[3]]));
        }
        let cache_leaf = if amd { 0x8000_001d } else { 4 };
        for (i, cache) in self.caches.iter().enumerate() {
            rows.push((cache_leaf, i as u32, parameters(cache)));
        }
        if amd {
            // What leaf 1 has in EDX, twice; extended APIC space, OS visible workarounds, topology.
            rows.push((0x8000_0001, 0, [self.signature.0, 0, 1 << 3 | 1 << 9 | 1 << 22, 0x0183_f3ff]));
            rows.extend(self.amd_caches());
        } else {
            // Caches are in leaf 4.
            rows.push((2, 0, [0xff01, 0, 0, 0]));
            rows.push((0x8000_0006, 0, [0, 0, self.cache(2).map_or(0, classic), 0]));
        }
        rows.extend(self.leaves);
        Leaves::new(rows.into_iter().map(|(leaf, subleaf, [eax, ebx, ecx, edx])| {
            let mut result = CpuidResult { eax, ebx, ecx, edx };
            if leaf == 0 || amd && leaf == 0x8000_0000 {
                self.vendor.put_name(&mut result);
            }
            (leaf, subleaf, result)
        }))
    }

    fn cache(&self, level: u32) -> Option<&Cache> {
        self.caches.iter().find(|cache| cache.0 == level)
    }

    /// The caches as AMD's older leaves have them.
    fn amd_caches(&self) -> [Row; 2] {
        let first = |kind| {
            let cache = self.caches.iter().find(|cache| (cache.0, cache.1) == (1, kind));
            cache.map_or(0, |&(.., size, ways)| size << 24 | ways << 16 | 1 << 8 | LINE)
        };
        let second = self.cache(2).map_or(0, classic);
        // In units of 512 KiB.
        let third = self.cache(3).map_or(0, |&(.., size, ways)| (size / 512) << 18 | code(ways) << 12 | 1 << 8 | LINE);
        [(0x8000_0005, 0, [0, 0, first(DATA), first(CODE)]), (0x8000_0006, 0, [0, 0, second, third])]
    }
}

/// A cache as leaf 4 and leaf 8000_001D have it: for one thread, initialising itself.
fn parameters(&(level, kind, size, ways): &Cache) -> [u32; 4] {
    let sets = size * 1024 / (ways * LINE);
    [kind | level << 5 | 1 << 8, (ways - 1) << 22 | (LINE - 1), sets - 1, 0]
}

/// The second-level cache as ECX of leaf 8000_0006 has it.
fn classic(&(.., size, ways): &Cache) -> u32 {
    size << 16 | code(ways) << 12 | 1 << 8 | LINE
}

/// Associativity as leaf 8000_0006 codes it.
fn code(ways: u32) -> u32 {
    match ways {
        0..=4 => ways,
        8 => 6,
        16 => 8,
        32 => 0xa,
        48 => 0xb,
        64 => 0xc,
        // As leaf 8000_001D has it.
        _ => 9,
    }
}
