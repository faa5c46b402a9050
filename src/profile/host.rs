//! What the host is.

use super::{CpuidResult, Signature, Vendor};
use crate::cpu::registers::component;
use crate::isa::feature::{Feature, FeatureSet};

#[cfg(target_arch = "x86_64")]
pub(super) fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    let r = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    CpuidResult { eax: r.eax, ebx: r.ebx, ecx: r.ecx, edx: r.edx }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn cpuid(_leaf: u32, _subleaf: u32) -> CpuidResult {
    CpuidResult::default()
}

/// The host, asked once: under a hypervisor each CPUID is an exit.
#[derive(Clone, Copy)]
pub(super) struct Host {
    #[cfg(feature = "std")]
    pub(super) vendor: Vendor,
    #[cfg(feature = "std")]
    pub(super) signature: Signature,
    /// What CPUID reports and the operating system has switched on.
    pub(super) features: FeatureSet,
}

impl Host {
    #[cfg(feature = "std")]
    pub(super) fn get() -> &'static Host {
        static HOST: std::sync::OnceLock<Host> = std::sync::OnceLock::new();
        HOST.get_or_init(|| Host {
            vendor: Vendor::of_leaf(&cpuid(0, 0)),
            signature: Signature(cpuid(1, 0).eax),
            features: features(),
        })
    }

    /// Nothing is replayed, so that nothing depends on it.
    #[cfg(not(feature = "std"))]
    pub(super) fn get() -> Host {
        Host { features: FeatureSet::base() }
    }
}

#[cfg(feature = "std")]
fn features() -> FeatureSet {
    let mut set = FeatureSet::base();
    let highest = [cpuid(0, 0).eax, cpuid(0x8000_0000, 0).eax, cpuid(0xc000_0000, 0).eax];
    for &feature in Feature::ALL {
        let Some(at) = feature.cpuid() else { continue };
        let limit = match at.leaf >> 28 {
            0x8 => highest[1],
            0xc if highest[2] >> 28 == 0xc => highest[2],
            0xc => 0,
            _ => highest[0],
        };
        if at.leaf > limit || (at.leaf == 7 && at.subleaf > cpuid(7, 0).eax) {
            continue;
        }
        if feature.is_set(at, cpuid(at.leaf, at.subleaf)) {
            set.insert(feature);
        }
    }
    let xcr0 = crate::host::xcr0();
    let without = |set: &mut FeatureSet, needs: fn(Feature) -> bool| {
        for &f in Feature::ALL {
            if needs(f) {
                set.remove(f);
            }
        }
    };
    if xcr0 & (component::SSE | component::AVX) != component::SSE | component::AVX {
        without(&mut set, |f| {
            use Feature::*;
            matches!(f, Avx | Avx2 | F16c | Fma | Fma4 | Xop | Vaes | Vpclmulqdq | AvxVnni | AvxIfma | AvxNeConvert)
                || matches!(f, AvxVnniInt8 | AvxVnniInt16 | Sha512 | Sm3 | Sm4)
        });
    }
    if xcr0 & component::AVX512 != component::AVX512 {
        without(&mut set, |f| f.name().starts_with("avx512") || f.name().starts_with("avx10"));
    }
    if xcr0 & component::TILEDATA == 0 {
        without(&mut set, |f| f == Feature::Ace || f.name().starts_with("amx"));
    }
    if xcr0 & component::APX == 0 {
        set.remove(Feature::Apx);
    }
    set
}
