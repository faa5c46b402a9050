//! CPUID features by name: where each is reported, and sets of them.

use bitvec::{BitArr, order::Lsb0};

/// A register of a CPUID leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuidRegister {
    /// EAX.
    Eax,
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}

/// Where CPUID reports a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuidBit {
    /// Value of EAX on input.
    pub leaf: u32,
    /// Value of ECX on input.
    pub subleaf: u32,
    /// The output register.
    pub register: CpuidRegister,
    /// The bit in it; the lowest of eight where there is a version ([`Feature::version`]).
    pub bit: u8,
}

macro_rules! features {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal, $leaf:literal, $sub:literal, $reg:ident, $bit:literal $(, at least $version:literal)?; )*) => {
        /// A CPUID feature that instructions depend on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Feature {
            /// What every processor of the modelled line has (no CPUID bit).
            Base = 0,
            $( #[doc = concat!("`", $name, "`.")] $(#[$doc])* $variant, )*
        }

        impl Feature {
            /// Every feature that has a name and a CPUID bit.
            pub const ALL: &'static [Feature] = &[ $( Feature::$variant, )* ];

            /// The name, as in `/proc/cpuinfo` where that has one.
            pub const fn name(self) -> &'static str {
                match self {
                    Feature::Base => "base",
                    $( Feature::$variant => $name, )*
                }
            }

            /// The least version that has it, where CPUID reports a version in eight bits; 0 where it reports a bit.
            pub const fn version(self) -> u8 {
                match self {
                    Feature::Base => 0,
                    $( Feature::$variant => 0 $( + $version )?, )*
                }
            }

            /// Where CPUID reports it; `None` for [`Feature::Base`].
            pub const fn cpuid(self) -> Option<CpuidBit> {
                match self {
                    Feature::Base => None,
                    $( Feature::$variant => Some(CpuidBit {
                        leaf: $leaf, subleaf: $sub, register: CpuidRegister::$reg, bit: $bit,
                    }), )*
                }
            }
        }
    };
}

features! {
    Fpu = "fpu", 1, 0, Edx, 0;
    Vme = "vme", 1, 0, Edx, 1;
    De = "de", 1, 0, Edx, 2;
    Pse = "pse", 1, 0, Edx, 3;
    Tsc = "tsc", 1, 0, Edx, 4;
    Msr = "msr", 1, 0, Edx, 5;
    Pae = "pae", 1, 0, Edx, 6;
    Cx8 = "cx8", 1, 0, Edx, 8;
    Apic = "apic", 1, 0, Edx, 9;
    Sep = "sep", 1, 0, Edx, 11;
    Pge = "pge", 1, 0, Edx, 13;
    Cmov = "cmov", 1, 0, Edx, 15;
    Pat = "pat", 1, 0, Edx, 16;
    Pse36 = "pse36", 1, 0, Edx, 17;
    Clflush = "clflush", 1, 0, Edx, 19;
    Mmx = "mmx", 1, 0, Edx, 23;
    Fxsr = "fxsr", 1, 0, Edx, 24;
    Sse = "sse", 1, 0, Edx, 25;
    Sse2 = "sse2", 1, 0, Edx, 26;
    Sse3 = "pni", 1, 0, Ecx, 0;
    Pclmulqdq = "pclmulqdq", 1, 0, Ecx, 1;
    Monitor = "monitor", 1, 0, Ecx, 3;
    Vmx = "vmx", 1, 0, Ecx, 5;
    Smx = "smx", 1, 0, Ecx, 6;
    Ssse3 = "ssse3", 1, 0, Ecx, 9;
    Fma = "fma", 1, 0, Ecx, 12;
    Cx16 = "cx16", 1, 0, Ecx, 13;
    Pcid = "pcid", 1, 0, Ecx, 17;
    Sse41 = "sse4_1", 1, 0, Ecx, 19;
    Sse42 = "sse4_2", 1, 0, Ecx, 20;
    X2apic = "x2apic", 1, 0, Ecx, 21;
    Movbe = "movbe", 1, 0, Ecx, 22;
    Popcnt = "popcnt", 1, 0, Ecx, 23;
    Aes = "aes", 1, 0, Ecx, 25;
    Xsave = "xsave", 1, 0, Ecx, 26;
    Avx = "avx", 1, 0, Ecx, 28;
    F16c = "f16c", 1, 0, Ecx, 29;
    Rdrand = "rdrand", 1, 0, Ecx, 30;
    Fsgsbase = "fsgsbase", 7, 0, Ebx, 0;
    Sgx = "sgx", 7, 0, Ebx, 2;
    Bmi1 = "bmi1", 7, 0, Ebx, 3;
    Hle = "hle", 7, 0, Ebx, 4;
    Avx2 = "avx2", 7, 0, Ebx, 5;
    Smep = "smep", 7, 0, Ebx, 7;
    Bmi2 = "bmi2", 7, 0, Ebx, 8;
    Erms = "erms", 7, 0, Ebx, 9;
    Invpcid = "invpcid", 7, 0, Ebx, 10;
    Rtm = "rtm", 7, 0, Ebx, 11;
    Mpx = "mpx", 7, 0, Ebx, 14;
    Avx512f = "avx512f", 7, 0, Ebx, 16;
    Avx512dq = "avx512dq", 7, 0, Ebx, 17;
    Rdseed = "rdseed", 7, 0, Ebx, 18;
    Adx = "adx", 7, 0, Ebx, 19;
    Smap = "smap", 7, 0, Ebx, 20;
    Avx512ifma = "avx512ifma", 7, 0, Ebx, 21;
    Clflushopt = "clflushopt", 7, 0, Ebx, 23;
    Clwb = "clwb", 7, 0, Ebx, 24;
    IntelPt = "intel_pt", 7, 0, Ebx, 25;
    Avx512pf = "avx512pf", 7, 0, Ebx, 26;
    Avx512er = "avx512er", 7, 0, Ebx, 27;
    Avx512cd = "avx512cd", 7, 0, Ebx, 28;
    Sha = "sha_ni", 7, 0, Ebx, 29;
    Avx512bw = "avx512bw", 7, 0, Ebx, 30;
    Avx512vl = "avx512vl", 7, 0, Ebx, 31;
    Prefetchwt1 = "prefetchwt1", 7, 0, Ecx, 0;
    Avx512vbmi = "avx512vbmi", 7, 0, Ecx, 1;
    Umip = "umip", 7, 0, Ecx, 2;
    Pku = "pku", 7, 0, Ecx, 3;
    Waitpkg = "waitpkg", 7, 0, Ecx, 5;
    Avx512vbmi2 = "avx512_vbmi2", 7, 0, Ecx, 6;
    Shstk = "shstk", 7, 0, Ecx, 7;
    Gfni = "gfni", 7, 0, Ecx, 8;
    Vaes = "vaes", 7, 0, Ecx, 9;
    Vpclmulqdq = "vpclmulqdq", 7, 0, Ecx, 10;
    Avx512vnni = "avx512_vnni", 7, 0, Ecx, 11;
    Avx512bitalg = "avx512_bitalg", 7, 0, Ecx, 12;
    Avx512vpopcntdq = "avx512_vpopcntdq", 7, 0, Ecx, 14;
    La57 = "la57", 7, 0, Ecx, 16;
    Rdpid = "rdpid", 7, 0, Ecx, 22;
    Keylocker = "keylocker", 7, 0, Ecx, 23;
    Cldemote = "cldemote", 7, 0, Ecx, 25;
    Movdiri = "movdiri", 7, 0, Ecx, 27;
    Movdir64b = "movdir64b", 7, 0, Ecx, 28;
    Enqcmd = "enqcmd", 7, 0, Ecx, 29;
    Pks = "pks", 7, 0, Ecx, 31;
    Avx5124vnniw = "avx512_4vnniw", 7, 0, Edx, 2;
    Avx5124fmaps = "avx512_4fmaps", 7, 0, Edx, 3;
    Fsrm = "fsrm", 7, 0, Edx, 4;
    Uintr = "uintr", 7, 0, Edx, 5;
    Avx512vp2intersect = "avx512_vp2intersect", 7, 0, Edx, 8;
    Serialize = "serialize", 7, 0, Edx, 14;
    Tsxldtrk = "tsxldtrk", 7, 0, Edx, 16;
    Pconfig = "pconfig", 7, 0, Edx, 18;
    Ibt = "ibt", 7, 0, Edx, 20;
    AmxBf16 = "amx_bf16", 7, 0, Edx, 22;
    Avx512fp16 = "avx512_fp16", 7, 0, Edx, 23;
    AmxTile = "amx_tile", 7, 0, Edx, 24;
    AmxInt8 = "amx_int8", 7, 0, Edx, 25;
    Sha512 = "sha512", 7, 1, Eax, 0;
    Sm3 = "sm3", 7, 1, Eax, 1;
    Sm4 = "sm4", 7, 1, Eax, 2;
    RaoInt = "rao_int", 7, 1, Eax, 3;
    AvxVnni = "avx_vnni", 7, 1, Eax, 4;
    Avx512bf16 = "avx512_bf16", 7, 1, Eax, 5;
    Cmpccxadd = "cmpccxadd", 7, 1, Eax, 7;
    Fred = "fred", 7, 1, Eax, 17;
    Lkgs = "lkgs", 7, 1, Eax, 18;
    Wrmsrns = "wrmsrns", 7, 1, Eax, 19;
    AmxFp16 = "amx_fp16", 7, 1, Eax, 21;
    Hreset = "hreset", 7, 1, Eax, 22;
    AvxIfma = "avx_ifma", 7, 1, Eax, 23;
    Lam = "lam", 7, 1, Eax, 26;
    Msrlist = "msrlist", 7, 1, Eax, 27;
    Movrs = "movrs", 7, 1, Eax, 31;
    Pbndkb = "pbndkb", 7, 1, Ebx, 1;
    Ace = "ace_v1", 7, 1, Ecx, 11;
    MsrImm = "msr_imm", 7, 1, Ecx, 5;
    AvxVnniInt8 = "avx_vnni_int8", 7, 1, Edx, 4;
    AvxNeConvert = "avx_ne_convert", 7, 1, Edx, 5;
    AmxComplex = "amx_complex", 7, 1, Edx, 8;
    AvxVnniInt16 = "avx_vnni_int16", 7, 1, Edx, 10;
    Prefetchi = "prefetchi", 7, 1, Edx, 14;
    UserMsr = "user_msr", 7, 1, Edx, 15;
    Avx10 = "avx10", 7, 1, Edx, 19;
    Apx = "apx_f", 7, 1, Edx, 21;
    BhiCtrl = "bhi_ctrl", 7, 2, Edx, 4;
    Xsaveopt = "xsaveopt", 0xd, 1, Eax, 0;
    Xsavec = "xsavec", 0xd, 1, Eax, 1;
    Xgetbv1 = "xgetbv1", 0xd, 1, Eax, 2;
    Xsaves = "xsaves", 0xd, 1, Eax, 3;
    Xfd = "xfd", 0xd, 1, Eax, 4;
    SgxEnclv = "sgx_enclv", 0x12, 0, Eax, 5;
    Ptwrite = "ptwrite", 0x14, 0, Ebx, 4;
    KeylockerAes = "aeskle", 0x19, 0, Ebx, 0;
    KeylockerWide = "aeskle_wide", 0x19, 0, Ebx, 2;
    AmxFp8 = "amx_fp8", 0x1e, 1, Eax, 4;
    AmxAvx512 = "amx_avx512", 0x1e, 1, Eax, 7;
    AmxMovrs = "amx_movrs", 0x1e, 1, Eax, 8;
    Avx10V2 = "avx10_2", 0x24, 0, Ebx, 0, at least 2;
    Avx10V1Aux = "avx10_v1_aux", 0x24, 1, Ecx, 2;
    Avx10V2Aux = "avx10_v2_aux", 0x24, 1, Ecx, 3;
    ApxNddNf = "apx_ndd_nf", 0x29, 0, Ebx, 0;
    LahfLm = "lahf_lm", 0x8000_0001, 0, Ecx, 0;
    Svm = "svm", 0x8000_0001, 0, Ecx, 2;
    Cr8Legacy = "cr8_legacy", 0x8000_0001, 0, Ecx, 4;
    Lzcnt = "abm", 0x8000_0001, 0, Ecx, 5;
    Sse4a = "sse4a", 0x8000_0001, 0, Ecx, 6;
    Misalignsse = "misalignsse", 0x8000_0001, 0, Ecx, 7;
    Prefetchw = "3dnowprefetch", 0x8000_0001, 0, Ecx, 8;
    Xop = "xop", 0x8000_0001, 0, Ecx, 11;
    Skinit = "skinit", 0x8000_0001, 0, Ecx, 12;
    Lwp = "lwp", 0x8000_0001, 0, Ecx, 15;
    Fma4 = "fma4", 0x8000_0001, 0, Ecx, 16;
    Tbm = "tbm", 0x8000_0001, 0, Ecx, 21;
    Monitorx = "monitorx", 0x8000_0001, 0, Ecx, 29;
    Syscall = "syscall", 0x8000_0001, 0, Edx, 11;
    Nx = "nx", 0x8000_0001, 0, Edx, 20;
    Mmxext = "mmxext", 0x8000_0001, 0, Edx, 22;
    FxsrOpt = "fxsr_opt", 0x8000_0001, 0, Edx, 25;
    Pdpe1gb = "pdpe1gb", 0x8000_0001, 0, Edx, 26;
    Rdtscp = "rdtscp", 0x8000_0001, 0, Edx, 27;
    Lm = "lm", 0x8000_0001, 0, Edx, 29;
    ThreeDNowExt = "3dnowext", 0x8000_0001, 0, Edx, 30;
    ThreeDNow = "3dnow", 0x8000_0001, 0, Edx, 31;
    Clzero = "clzero", 0x8000_0008, 0, Ebx, 0;
    Invlpgb = "invlpgb", 0x8000_0008, 0, Ebx, 3;
    Rdpru = "rdpru", 0x8000_0008, 0, Ebx, 4;
    Mcommit = "mcommit", 0x8000_0008, 0, Ebx, 8;
    Wbnoinvd = "wbnoinvd", 0x8000_0008, 0, Ebx, 9;
    Snp = "sev_snp", 0x8000_001f, 0, Eax, 4;
    PadlockRng = "rng", 0xc000_0001, 0, Edx, 2;
    PadlockAes = "ace", 0xc000_0001, 0, Edx, 6;
    PadlockSha = "phe", 0xc000_0001, 0, Edx, 10;
    PadlockMontmul = "pmm", 0xc000_0001, 0, Edx, 12;
}

impl Feature {
    /// What every processor with 64-bit mode has: asked for all at once where it matters.
    pub(crate) const BASELINE: [Feature; 8] = {
        use Feature::*;
        [Fpu, Tsc, Cx8, Cmov, Mmx, Fxsr, Sse, Sse2]
    };
    /// A greater feature whose instructions include this one's, with a CPUID bit of its own.
    pub(crate) const fn included_in(self) -> Option<Feature> {
        match self {
            Feature::Avx10V1Aux => Some(Feature::Avx10V2),
            Feature::AmxAvx512 => Some(Feature::Ace),
            _ => None,
        }
    }

    /// Is it one of AVX10's, which have all vector lengths without AVX512VL?
    pub(crate) const fn is_avx10(self) -> bool {
        matches!(self, Feature::Avx10 | Feature::Avx10V1Aux | Feature::Avx10V2 | Feature::Avx10V2Aux)
    }

    /// The feature of that name, as [`Feature::name`] gives it.
    pub fn from_name(name: &str) -> Option<Feature> {
        Feature::ALL.iter().copied().find(|f| f.name() == name)
    }
}

/// A set of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet(BitArr!(for 256, in u64, Lsb0));

impl FeatureSet {
    /// No features but [`Feature::Base`].
    pub fn base() -> Self {
        let mut set = Self::default();
        set.insert(Feature::Base);
        set
    }

    /// Every feature there is a name for.
    pub fn all() -> Self {
        let mut set = Self::base();
        for &f in Feature::ALL {
            set.insert(f);
        }
        set
    }

    /// Adds a feature.
    pub fn insert(&mut self, f: Feature) {
        self.0.set(f as usize, true);
    }

    /// Takes a feature out; [`Feature::Base`] stays.
    pub fn remove(&mut self, f: Feature) {
        if f != Feature::Base {
            self.0.set(f as usize, false);
        }
    }

    /// Is `f` in the set?
    #[inline]
    pub fn has(&self, f: Feature) -> bool {
        self.0[f as usize]
    }

    /// What is in `self` and not in `other`.
    pub fn minus(&self, other: &FeatureSet) -> FeatureSet {
        FeatureSet(self.0 & !other.0)
    }

    /// The features of the set, without [`Feature::Base`].
    pub fn iter(&self) -> impl Iterator<Item = Feature> + '_ {
        Feature::ALL.iter().copied().filter(|&f| self.has(f))
    }
}
