//! What the guest's CPUID promises, and what the host can do.

use crate::cpu::registers::component;
use crate::isa::feature::{CpuidRegister, Feature, FeatureSet};
use std::sync::OnceLock;

/// Whose behaviour is followed where vendors differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// AMD.
    Amd,
    /// Intel.
    Intel,
}

/// The output of CPUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuidResult {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// Family, model and stepping as CPUID leaf 1 gives them in EAX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signature(pub u32);

impl Signature {
    /// The signature of a processor whose family is 0xf or above if its model is above 15, or 6.
    pub const fn new(family: u32, model: u32, stepping: u32) -> Signature {
        let (base, extended) = if family < 0xf { (family, 0) } else { (0xf, family - 0xf) };
        Signature(extended << 20 | (model >> 4 & 0xf) << 16 | base << 8 | (model & 0xf) << 4 | stepping & 0xf)
    }

    /// The displayed family: base and extended.
    pub const fn family(self) -> u32 {
        let base = self.0 >> 8 & 0xf;
        if base == 0xf { base + (self.0 >> 20 & 0xff) } else { base }
    }

    /// The displayed model: base and, for families 6 and from 15 on, extended.
    pub const fn model(self) -> u32 {
        let low = self.0 >> 4 & 0xf;
        if matches!(self.0 >> 8 & 0xf, 6 | 0xf) { low | self.0 >> 12 & 0xf0 } else { low }
    }

    /// The stepping.
    pub const fn stepping(self) -> u32 {
        self.0 & 0xf
    }
}

/// A model of the guest's processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    vendor: Vendor,
    signature: Signature,
    features: FeatureSet,
    /// What the profile has and the host lacks: such instructions are valid, but can't be replayed.
    missing: FeatureSet,
    /// Leaves that are not feature bits come from the host's CPUID.
    from_host: bool,
}

/// CPUID feature leaves that a profile answers from its feature set.
const FEATURE_LEAVES: [(u32, u32); 11] = [
    (1, 0),
    (7, 0),
    (7, 1),
    (0xd, 1),
    (0x14, 0),
    (0x19, 0),
    (0x1e, 1),
    (0x24, 1),
    (0x8000_0001, 0),
    (0x8000_0008, 0),
    (0xc000_0001, 0),
];

/// Offsets and sizes of the XSAVE components that profiles know: (component, size, standard offset).
const XSAVE_AREAS: [(u32, u32, u32); 8] = [
    (2, 256, 576),
    (5, 64, 1088),
    (6, 512, 1152),
    (7, 1024, 1664),
    (9, 8, 2688),
    (17, 64, 2752),
    (18, 8192, 2816),
    (19, 128, 960),
];

impl Profile {
    /// The host itself: its CPUID, and of vector state what its operating system has enabled in XCR0.
    pub fn host() -> Profile {
        Profile {
            vendor: host_vendor(),
            signature: host_signature(),
            features: host_features(),
            missing: FeatureSet::default(),
            from_host: true,
        }
    }

    /// Every feature there is, with Intel's behaviour where vendors differ.
    pub fn all() -> Profile {
        Profile::from_features(Vendor::Intel, FeatureSet::all())
    }

    /// A processor with just these features.
    pub fn from_features(vendor: Vendor, features: FeatureSet) -> Profile {
        let signature = Signature::new(6, 0xcf, 2);
        let mut profile = Profile { vendor, signature, features, missing: FeatureSet::default(), from_host: false };
        profile.missing = features.minus(&host_features());
        profile
    }

    /// The same profile with a feature added.
    pub fn with(mut self, feature: Feature) -> Profile {
        self.features.insert(feature);
        self.missing = self.features.minus(&host_features());
        self
    }

    /// The same profile without a feature.
    pub fn without(mut self, feature: Feature) -> Profile {
        self.features.remove(feature);
        self.missing.remove(feature);
        self
    }

    /// The same profile with a vendor's behaviour.
    pub fn with_vendor(mut self, vendor: Vendor) -> Profile {
        self.vendor = vendor;
        self
    }

    /// The same profile with another family, model and stepping, which some behaviour follows too.
    pub fn with_signature(mut self, signature: Signature) -> Profile {
        self.signature = signature;
        self
    }

    /// Family, model and stepping.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// Is REPE CMPSB a flow of its own, which reads the source first, where all other comparisons of strings read the
    /// destination first? So it is from Zen 4 on ("fast short REPE CMPSB"); shows in which of two page faults is raised.
    pub(crate) fn fast_repe_cmpsb(&self) -> bool {
        let model = self.signature.model();
        let zen4 = self.signature.family() == 0x19 && matches!(model, 0x10..=0x1f | 0x60..=0x7f | 0xa0..=0xaf);
        self.vendor == Vendor::Amd && (zen4 || self.signature.family() > 0x19)
    }

    /// Whose behaviour is followed.
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// The features.
    pub fn features(&self) -> &FeatureSet {
        &self.features
    }

    /// Does the profile have `feature`?
    #[inline]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.has(feature)
    }

    /// Does the profile have `feature` while the host lacks it?
    #[inline]
    pub fn host_lacks(&self, feature: Feature) -> bool {
        self.missing.has(feature)
    }

    /// The XCR0 bits that the profile supports.
    pub fn xcr0(&self) -> u64 {
        let mut bits = component::X87 | component::SSE;
        let mut add = |feature, mask| {
            if self.has(feature) {
                bits |= mask;
            }
        };
        add(Feature::Avx, component::AVX);
        add(Feature::Avx512f, component::AVX512);
        add(Feature::Avx10, component::AVX512);
        add(Feature::Pku, component::PKRU);
        add(Feature::AmxTile, component::TILECFG | component::TILEDATA);
        add(Feature::Apx, component::APX);
        bits
    }

    /// What CPUID gives for a leaf, before the VMM has its say. `xcr0` is the guest's, `osxsave` CR4.OSXSAVE.
    pub fn cpuid(&self, leaf: u32, subleaf: u32, xcr0: u64, osxsave: bool) -> CpuidResult {
        let mut out = if self.from_host { host_cpuid(leaf, subleaf) } else { self.generic_leaf(leaf) };
        if leaf == 0xd {
            self.xsave_leaf(subleaf, xcr0, &mut out);
        }
        for &feature in Feature::ALL {
            let Some(at) = feature.cpuid() else { continue };
            if at.leaf != leaf || at.subleaf != subleaf || !FEATURE_LEAVES.contains(&(leaf, subleaf)) {
                continue;
            }
            let register = match at.register {
                CpuidRegister::Eax => &mut out.eax,
                CpuidRegister::Ebx => &mut out.ebx,
                CpuidRegister::Ecx => &mut out.ecx,
                CpuidRegister::Edx => &mut out.edx,
            };
            let bit = 1 << at.bit;
            *register = *register & !bit | if self.has(feature) { bit } else { 0 };
        }
        if leaf == 1 {
            out.eax = self.signature.0;
            let osxsave_bit = 1 << 27;
            out.ecx = out.ecx & !osxsave_bit | if osxsave { osxsave_bit } else { 0 };
        }
        out
    }

    fn generic_leaf(&self, leaf: u32) -> CpuidResult {
        let text = |s: &[u8; 12]| {
            let word = |i: usize| u32::from_le_bytes([s[i], s[i + 1], s[i + 2], s[i + 3]]);
            (word(0), word(4), word(8))
        };
        match leaf {
            0 => {
                let (ebx, edx, ecx) = match self.vendor {
                    Vendor::Intel => text(b"GenuineIntel"),
                    Vendor::Amd => text(b"AuthenticAMD"),
                };
                CpuidResult { eax: 0x24, ebx, ecx, edx }
            }
            1 => CpuidResult { ebx: 0x0001_0800, ..CpuidResult::default() },
            7 => CpuidResult { eax: 1, ..CpuidResult::default() },
            0x8000_0000 => CpuidResult { eax: 0x8000_0008, ..CpuidResult::default() },
            0x8000_0008 => CpuidResult { eax: 0x3034, ..CpuidResult::default() },
            _ => CpuidResult::default(),
        }
    }

    fn xsave_leaf(&self, subleaf: u32, xcr0: u64, out: &mut CpuidResult) {
        let supported = self.xcr0();
        let size = |mask: u64| {
            let ends = XSAVE_AREAS.iter().filter(|(c, ..)| mask >> c & 1 != 0).map(|(_, size, offset)| offset + size);
            ends.max().unwrap_or(0).max(576)
        };
        match subleaf {
            0 => {
                *out = CpuidResult {
                    eax: supported as u32,
                    ebx: size(xcr0),
                    ecx: size(supported),
                    edx: (supported >> 32) as u32,
                };
            }
            1 => {}
            n => {
                let area = XSAVE_AREAS.iter().find(|(c, ..)| *c == n && supported >> n & 1 != 0);
                *out = area.map_or(CpuidResult::default(), |&(_, size, offset)| CpuidResult {
                    eax: size,
                    ebx: offset,
                    ..CpuidResult::default()
                });
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn host_cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    let r = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    CpuidResult { eax: r.eax, ebx: r.ebx, ecx: r.ecx, edx: r.edx }
}

#[cfg(not(target_arch = "x86_64"))]
fn host_cpuid(_leaf: u32, _subleaf: u32) -> CpuidResult {
    CpuidResult::default()
}

fn host_vendor() -> Vendor {
    if host_cpuid(0, 0).ebx == u32::from_le_bytes(*b"Genu") { Vendor::Intel } else { Vendor::Amd }
}

/// Asked once, as [`host_features`].
fn host_signature() -> Signature {
    static HOST: OnceLock<Signature> = OnceLock::new();
    *HOST.get_or_init(|| Signature(host_cpuid(1, 0).eax))
}

/// What the host's CPUID reports and its operating system has switched on. Asked once: under a hypervisor each CPUID is an
/// exit.
fn host_features() -> FeatureSet {
    static HOST: OnceLock<FeatureSet> = OnceLock::new();
    *HOST.get_or_init(ask_host)
}

fn ask_host() -> FeatureSet {
    let mut set = FeatureSet::base();
    let highest = [host_cpuid(0, 0).eax, host_cpuid(0x8000_0000, 0).eax, host_cpuid(0xc000_0000, 0).eax];
    for &feature in Feature::ALL {
        let Some(at) = feature.cpuid() else { continue };
        let limit = match at.leaf >> 28 {
            0x8 => highest[1],
            0xc if highest[2] >> 28 == 0xc => highest[2],
            0xc => 0,
            _ => highest[0],
        };
        if at.leaf > limit || (at.leaf == 7 && at.subleaf > host_cpuid(7, 0).eax) {
            continue;
        }
        let r = host_cpuid(at.leaf, at.subleaf);
        let register = match at.register {
            CpuidRegister::Eax => r.eax,
            CpuidRegister::Ebx => r.ebx,
            CpuidRegister::Ecx => r.ecx,
            CpuidRegister::Edx => r.edx,
        };
        if register >> at.bit & 1 != 0 {
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
        without(&mut set, |f| f.name().starts_with("amx"));
    }
    if xcr0 & component::APX == 0 {
        set.remove(Feature::Apx);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_bits_of_a_profile_show_in_its_cpuid() {
        let p = Profile::all().without(Feature::Avx2);
        let leaf7 = p.cpuid(7, 0, 7, true);
        assert_eq!(leaf7.ebx >> 5 & 1, 0, "AVX2 was taken out");
        assert_eq!(leaf7.ebx >> 16 & 1, 1, "AVX512F is in");
        assert_eq!(p.cpuid(1, 0, 7, true).ecx >> 27 & 1, 1);
        assert_eq!(p.cpuid(1, 0, 7, false).ecx >> 27 & 1, 0);
        assert_eq!(p.cpuid(0, 0, 7, true).ebx.to_le_bytes(), *b"Genu");
    }

    #[test]
    fn signatures_are_composed_as_the_manuals_say() {
        // Skylake-SP 06_55 stepping 4, Zen 4 (Genoa) 19_11 stepping 1, Piledriver 15_02, as CPUID gives them.
        for (family, model, stepping, eax) in
            [(6, 0x55, 4, 0x0005_0654), (0x19, 0x11, 1, 0x00a1_0f11), (0x15, 2, 0, 0x0060_0f20), (5, 4, 3, 0x543)]
        {
            let signature = Signature::new(family, model, stepping);
            assert_eq!(signature, Signature(eax), "{family:x} {model:x}");
            assert_eq!((signature.family(), signature.model(), signature.stepping()), (family, model, stepping));
        }
    }

    #[test]
    fn a_feature_the_host_lacks_is_known_as_such() {
        // No processor has both AMD's 3DNow! and Intel's AMX.
        let p = Profile::all();
        assert!(p.host_lacks(Feature::ThreeDNow) || p.host_lacks(Feature::AmxTile));
        assert!(!Profile::host().host_lacks(Feature::Sse2));
    }
}
