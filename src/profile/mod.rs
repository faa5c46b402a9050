//! What the guest's CPUID promises, and what the host can do.

mod host;
mod leaves;
#[cfg(feature = "std")]
mod models;
mod xsave;

use crate::cpu::System;
use crate::cpu::registers::{component, cr4};
use crate::isa::feature::{Feature, FeatureSet};
use host::Host;
use leaves::Leaves;
pub use xsave::XsaveArea;

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
    /// Has it all of [`Feature::BASELINE`]?
    baseline: bool,
    /// Has it AVX and AVX2, AVX512F and AVX512VL?
    avx2: bool,
    avx512: bool,
    /// Is nothing missing?
    native: bool,
    /// What CPUID gives beside the feature bits; without it, what the host's CPUID does.
    leaves: Option<Leaves>,
}

/// CPUID feature leaves that a profile answers from its feature set.
const FEATURE_LEAVES: [(u32, u32); 16] = [
    (1, 0),
    (7, 0),
    (7, 1),
    (7, 2),
    (0xd, 1),
    (0x12, 0),
    (0x14, 0),
    (0x19, 0),
    (0x1e, 1),
    (0x24, 0),
    (0x24, 1),
    (0x29, 0),
    (0x8000_0001, 0),
    (0x8000_0008, 0),
    (0x8000_001f, 0),
    (0xc000_0001, 0),
];

impl Profile {
    /// The host itself: its CPUID, and of vector state what its operating system has enabled in XCR0.
    #[cfg(feature = "std")]
    pub fn host() -> Profile {
        let Host { vendor, signature, features } = *Host::get();
        Profile::assemble(vendor, signature, features, FeatureSet::default(), None)
    }

    /// Every feature there is, with Intel's behaviour where vendors differ.
    pub fn all() -> Profile {
        Profile::from_features(Vendor::Intel, FeatureSet::all())
    }

    /// A processor with just these features.
    pub fn from_features(vendor: Vendor, features: FeatureSet) -> Profile {
        let result = |eax, ebx| CpuidResult { eax, ebx, ecx: 0, edx: 0 };
        let mut first = result(0x29, 0);
        vendor.put_name(&mut first);
        let leaves = Leaves::new([
            (0, 0, first),
            (1, 0, result(0, 0x0001_0800)),
            (7, 0, result(2, 0)),
            (0x8000_0000, 0, result(0x8000_001f, 0)),
            (0x8000_0008, 0, result(0x3034, 0)),
        ]);
        Profile::build(vendor, Signature::new(6, 0xcf, 2), features, leaves)
    }

    /// The processor that these CPUID leaves describe, each with EAX (leaf) and ECX (subleaf, 0 where it does not matter) on
    /// input: a guest's CPUID as a hypervisor keeps it, such as KVM's `kvm_cpuid2`.
    ///
    /// The vendor is that of leaf 0, features are those whose bits are set, and other bits and leaves are given to the guest as
    /// they are. What changes as the guest runs (OSXSAVE, sizes of the XSAVE area) is computed. Of several entries for one
    /// leaf the first counts; leaves that are missing give what the vendor's processors give for leaves beyond the highest.
    pub fn from_cpuid(entries: impl IntoIterator<Item = (u32, u32, CpuidResult)>) -> Profile {
        let leaves = Leaves::new(entries);
        Profile::build(leaves.vendor(), leaves.signature(), leaves.features(), leaves)
    }

    fn build(vendor: Vendor, signature: Signature, features: FeatureSet, leaves: Leaves) -> Profile {
        let missing = features.minus(&Host::get().features);
        Profile::assemble(vendor, signature, features, missing, Some(leaves))
    }

    fn assemble(
        vendor: Vendor,
        signature: Signature,
        features: FeatureSet,
        missing: FeatureSet,
        leaves: Option<Leaves>,
    ) -> Profile {
        let (baseline, avx2, avx512, native) = (false, false, false, false);
        Profile { vendor, signature, features, missing, baseline, avx2, avx512, native, leaves }.looked_over()
    }

    /// What is remembered about the features.
    fn looked_over(mut self) -> Profile {
        self.baseline = Feature::BASELINE.iter().all(|&feature| self.features.has(feature));
        self.avx2 = self.features.has(Feature::Avx) && self.features.has(Feature::Avx2);
        self.avx512 = self.features.has(Feature::Avx512f) && self.features.has(Feature::Avx512vl);
        self.native = self.missing == FeatureSet::default();
        self
    }

    /// Has it all of [`Feature::BASELINE`]?
    #[inline]
    pub(crate) fn has_baseline(&self) -> bool {
        self.baseline
    }

    /// Has it AVX and AVX2?
    #[inline]
    pub(crate) fn has_avx2(&self) -> bool {
        self.avx2
    }

    /// Has it AVX512F and AVX512VL?
    #[inline]
    pub(crate) fn has_avx512(&self) -> bool {
        self.avx512
    }

    /// The same profile with a feature added.
    pub fn with(mut self, feature: Feature) -> Profile {
        self.features.insert(feature);
        self.missing = self.features.minus(&Host::get().features);
        self.looked_over()
    }

    /// The same profile without a feature.
    pub fn without(mut self, feature: Feature) -> Profile {
        self.features.remove(feature);
        self.missing.remove(feature);
        self.looked_over()
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

    /// Is it AMD's Zen 4 or later, whatever CPUID promises?
    fn is_zen4(&self) -> bool {
        let (family, model) = (self.signature.family(), self.signature.model());
        let zen4 = family == 0x19 && matches!(model, 0x10..=0x1f | 0x60..=0x7f | 0xa0..=0xaf);
        self.vendor == Vendor::Amd && (zen4 || family > 0x19)
    }

    /// Is REPE CMPSB a flow of its own, which reads the source first, where all other comparisons of strings read the
    /// destination first? So it is from Zen 4 on ("fast short REPE CMPSB"); shows in which of two page faults is raised.
    pub(crate) fn fast_repe_cmpsb(&self) -> bool {
        self.is_zen4()
    }

    /// Bits of a linear address that registers such as FIP hold. A hypervisor that hides LA57 does not make them fewer.
    pub(crate) fn linear_bits(&self) -> u32 {
        if self.has(Feature::La57) || self.is_zen4() { 57 } else { 48 }
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
        self.missing.has(self.provider(feature))
    }

    /// Does the host have all that the profile has?
    #[inline]
    pub(crate) fn host_has_all(&self) -> bool {
        self.native
    }

    /// The feature that gives the instructions of `feature`: itself, or in its absence one that includes it.
    pub(crate) fn provider(&self, feature: Feature) -> Feature {
        match feature.included_in() {
            Some(greater) if !self.has(feature) => greater,
            _ => feature,
        }
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
        // A hypervisor may offer less than its features would need.
        let given = self.leaves.as_ref().and_then(|leaves| leaves.find(0xd, 0));
        given.map_or(bits, |leaf| bits & (u64::from(leaf.edx) << 32 | u64::from(leaf.eax)))
    }

    /// The bits of IA32_XSS that the profile supports: supervisor components.
    pub fn xss(&self) -> u64 {
        let known = component::PT | component::PASID | component::CET_U | component::CET_S;
        let known = known | component::HDC | component::UINTR | component::LBR | component::HWP;
        if !self.has(Feature::Xsaves) {
            return 0;
        }
        if let Some(leaf) = self.given(0xd, 1) {
            return known & (u64::from(leaf.edx) << 32 | u64::from(leaf.ecx));
        }
        let has = |feature, bits| if self.has(feature) { bits } else { 0 };
        has(Feature::IntelPt, component::PT)
            | has(Feature::Enqcmd, component::PASID)
            | has(Feature::Shstk, component::CET_U | component::CET_S)
            | has(Feature::Ibt, component::CET_U | component::CET_S)
            | has(Feature::Uintr, component::UINTR)
    }

    /// The bits of IA32_XFD that the profile supports.
    pub fn xfd(&self) -> u64 {
        if self.has(Feature::Xfd) { self.xcr0() & component::TILEDATA } else { 0 }
    }

    /// A leaf, unless the profile is a list of features that says nothing of it.
    fn given(&self, leaf: u32, subleaf: u32) -> Option<CpuidResult> {
        match &self.leaves {
            None => Some(host::cpuid(leaf, subleaf)),
            Some(leaves) => leaves.find(leaf, subleaf),
        }
    }

    /// Where a state component lies in the XSAVE area; `None` if the profile has it not, and for x87 and SSE, which are the
    /// area's first 512 bytes.
    pub fn xsave_area(&self, component: u32) -> Option<XsaveArea> {
        let supported = self.xcr0();
        if !(2..63).contains(&component) || supported >> component & 1 == 0 {
            return None;
        }
        let given = XsaveArea::from_leaf(&self.leaf(0xd, component));
        given.or_else(|| XsaveArea::of(component, supported, self.vendor))
    }

    /// The area of a supervisor component (of IA32_XSS), which has a place in the compacted format alone.
    pub(crate) fn supervisor_area(&self, component: u32) -> Option<XsaveArea> {
        if self.xss() >> component & 1 == 0 {
            return None;
        }
        XsaveArea::supervisor(&self.leaf(0xd, component)).or_else(|| XsaveArea::of_supervisor(component))
    }

    /// Bits of a physical address (MAXPHYADDR): bits 7:0 of CPUID.80000008H:EAX.
    pub fn physical_bits(&self) -> u8 {
        self.leaf(0x8000_0008, 0).eax as u8
    }

    /// The leaf as it was given.
    fn leaf(&self, leaf: u32, subleaf: u32) -> CpuidResult {
        match &self.leaves {
            None => host::cpuid(leaf, subleaf),
            Some(leaves) => leaves.get(leaf, subleaf),
        }
    }

    /// What CPUID gives for a leaf, before the VMM has its say. `system` are the guest's registers, of which CR4, XCR0 and
    /// IA32_XSS show.
    pub fn cpuid(&self, leaf: u32, subleaf: u32, system: &System) -> CpuidResult {
        let leaf = self.leaves.as_ref().map_or(leaf, |leaves| leaves.within(leaf, self.vendor));
        let subleaf = leaves::index(leaf, subleaf);
        let mut out = self.leaf(leaf, subleaf);
        if leaf & 0x7fff_ffff == 0 && Vendor::of_leaf(&out) != self.vendor && (leaf == 0 || out.ebx != 0) {
            self.vendor.put_name(&mut out);
        }
        if leaf == 0xd {
            self.xsave_leaf(subleaf, system, &mut out);
        }
        if FEATURE_LEAVES.contains(&(leaf, subleaf)) {
            for &feature in Feature::ALL {
                let Some(at) = feature.cpuid().filter(|at| (at.leaf, at.subleaf) == (leaf, subleaf)) else { continue };
                feature.put(at, &mut out, self.has(feature));
            }
        }
        let follow = |register: &mut u32, bit: u32, flag: u64| {
            *register = *register & !(1 << bit) | u32::from(system.cr4 & flag != 0) << bit;
        };
        match (leaf, subleaf) {
            (1, _) => {
                out.eax = self.signature.0;
                follow(&mut out.ecx, 27, cr4::OSXSAVE);
            }
            (7, 0) => follow(&mut out.ecx, 4, cr4::PKE),
            _ => {}
        }
        out
    }

    fn xsave_leaf(&self, subleaf: u32, system: &System, out: &mut CpuidResult) {
        let supported = self.xcr0();
        let areas = |mask: u64| (2..63).filter(move |c| mask >> c & 1 != 0).filter_map(|c| self.xsave_area(c));
        let standard = |mask| areas(mask).map(|a| a.offset + a.size).max().unwrap_or(0).max(xsave::BASE);
        match subleaf {
            0 => {
                *out = CpuidResult {
                    eax: supported as u32,
                    ebx: standard(system.xcr0),
                    ecx: standard(supported),
                    edx: (supported >> 32) as u32,
                };
            }
            1 if self.has(Feature::Xsavec) => {
                let mask = system.xcr0 | system.xss;
                let areas = (2..63)
                    .filter(|c| mask >> c & 1 != 0)
                    .filter_map(|c| self.xsave_area(c).or_else(|| self.supervisor_area(c)));
                out.ebx = areas.fold(xsave::BASE, |end, area| {
                    area.size + if area.aligned { end.next_multiple_of(64) } else { end }
                });
            }
            1 => {}
            n => {
                let user = self.xsave_area(n).map(XsaveArea::leaf);
                *out = user.or_else(|| self.supervisor_area(n).map(XsaveArea::supervisor_leaf)).unwrap_or_default();
                // The component can be disabled by IA32_XFD.
                out.ecx |= u32::from(n < 63 && self.xfd() >> n & 1 != 0) << 2;
            }
        }
        if subleaf == 1 {
            let xss = self.xss();
            (out.ecx, out.edx) = (xss as u32, (xss >> 32) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;

    /// The registers of a processor after `Cpu::new`, with OSXSAVE or without.
    fn system(osxsave: bool) -> System {
        let mut cpu = Cpu::new();
        cpu.update(|s| s.cr4 = if osxsave { s.cr4 | cr4::OSXSAVE } else { s.cr4 & !cr4::OSXSAVE });
        cpu.system().clone()
    }

    #[test]
    fn feature_bits_of_a_profile_show_in_its_cpuid() {
        let p = Profile::all().without(Feature::Avx2);
        let (on, off) = (system(true), system(false));
        let leaf7 = p.cpuid(7, 0, &on);
        assert_eq!(leaf7.ebx >> 5 & 1, 0, "AVX2 was taken out");
        assert_eq!(leaf7.ebx >> 16 & 1, 1, "AVX512F is in");
        assert_eq!(p.cpuid(1, 0, &on).ecx >> 27 & 1, 1);
        assert_eq!(p.cpuid(1, 0, &off).ecx >> 27 & 1, 0);
        assert_eq!(p.cpuid(0, 0, &on).ebx.to_le_bytes(), *b"Genu");
        assert_eq!(p.with_vendor(Vendor::Amd).cpuid(0, 0, &on).ebx.to_le_bytes(), *b"Auth");
    }

    #[test]
    fn a_list_of_leaves_is_a_processor() {
        let entry = |leaf, subleaf, [eax, ebx, ecx, edx]: [u32; 4]| (leaf, subleaf, CpuidResult { eax, ebx, ecx, edx });
        // Of a Zen 4 under KVM, cut down: AVX and opmasks in XCR0, feature bits of leaves 1 and 7, one unknown leaf.
        let list = [
            entry(0, 0, [0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
            entry(1, 0, [0x00a1_0f11, 0x0102_0800, 0x1c00_0201, 0x0700_8001]),
            entry(7, 0, [1, 0x0001_0020, 0x8, 0]),
            entry(7, 1, [0x20, 0, 0, 0]),
            entry(0xd, 0, [0xe7, 0x980, 0x980, 0]),
            entry(0xd, 1, [0xf, 0x9a8, 0x1800, 0]),
            entry(0xd, 5, [0x40, 0x340, 0, 0]),
            entry(0xd, 11, [0x10, 0, 1, 0]),
            entry(0x4000_0000, 0, [0x4000_0001, 1, 2, 3]),
            entry(0x8000_0000, 0, [0x8000_0008, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
            entry(0x8000_0008, 0, [0x3030, 0, 0, 0]),
            entry(7, 0, [0, 0, 0, 0]),
        ];
        let p = Profile::from_cpuid(list);
        assert_eq!(p.vendor(), Vendor::Amd);
        assert_eq!((p.signature().family(), p.signature().model()), (0x19, 0x11));
        for feature in
            [Feature::Avx, Feature::Avx2, Feature::Avx512f, Feature::Avx512bf16, Feature::Sse3, Feature::Xsavec]
        {
            assert!(p.has(feature), "{feature:?}");
        }
        for feature in [Feature::Fma, Feature::Avx512vl, Feature::Lzcnt, Feature::Sha] {
            assert!(!p.has(feature), "{feature:?}");
        }
        assert_eq!(p.xcr0(), 0xe7);
        let mut guest = system(true);
        (guest.xcr0, guest.xss) = (0x27, 1 << 11);
        assert_eq!(p.cpuid(0, 5, &guest), p.cpuid(0, 0, &guest), "ECX does not matter there");
        assert_eq!(p.cpuid(7, 1, &guest).eax, 0x20);
        assert_eq!(p.cpuid(7, 2, &guest), CpuidResult::default());
        assert_eq!(p.cpuid(0x4000_0000, 0, &guest).edx, 3);
        // The opmasks, at 0x340, end the standard format; 0x240 + AVX + opmasks + 16 bytes of CET the compacted one.
        assert_eq!(p.cpuid(0xd, 0, &guest).ebx, 0x380);
        assert_eq!(p.cpuid(0xd, 1, &guest).ebx, 0x240 + 0x100 + 0x40 + 0x10);
        assert_eq!(p.cpuid(0xd, 11, &guest), CpuidResult { eax: 0x10, ebx: 0, ecx: 1, edx: 0 });
        // AMD gives zeros beyond the highest leaf, Intel the highest basic one.
        assert_eq!(p.cpuid(0x55, 0, &guest), CpuidResult::default());
        let intel = p.with_vendor(Vendor::Intel);
        assert_eq!(intel.cpuid(0x55, 0, &guest), intel.cpuid(0xd, 0, &guest));
    }

    #[test]
    fn an_empty_list_is_a_processor_without_features() {
        let p = Profile::from_cpuid([]);
        assert_eq!(*p.features(), FeatureSet::base());
        assert_eq!(p.cpuid(0x1f, 3, &system(true)), CpuidResult::default());
        assert_eq!(p.xcr0(), 3);
    }

    #[test]
    fn areas_of_the_host_are_its_own() {
        let p = Profile::host();
        for component in (2..63).filter(|c| p.xcr0() >> c & 1 != 0) {
            let area = p.xsave_area(component).expect("an area");
            let leaf = host::cpuid(0xd, component);
            assert_eq!((area.size, area.offset), (leaf.eax, leaf.ebx), "component {component}");
        }
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
