//! A profile from what KVM_SET_CPUID2 was given.

use crate::{CpuidResult, Profile};
use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

impl Profile {
    /// What the guest of a virtual processor sees that has this list: `CpuId::as_slice` of what KVM_SET_CPUID2 got. As
    /// [`Profile::from_cpuid`].
    pub fn from_cpuid2(entries: &[kvm_cpuid_entry2]) -> Profile {
        Profile::from_cpuid(entries.iter().map(|e| {
            // Where the index does not matter, the list may hold any.
            let subleaf = if e.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX == 0 { 0 } else { e.index };
            (e.function, subleaf, CpuidResult { eax: e.eax, ebx: e.ebx, ecx: e.ecx, edx: e.edx })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vendor;
    use crate::isa::Feature;

    #[test]
    fn features_come_from_their_leaves_and_subleaves() {
        let entry = |function, index, eax, ebx| kvm_cpuid_entry2 {
            function,
            index,
            flags: u32::from(function == 7),
            eax,
            ebx,
            ..kvm_cpuid_entry2::default()
        };
        let vendor = |name: &[u8; 12]| {
            let word = |i: usize| u32::from_le_bytes([name[i], name[i + 1], name[i + 2], name[i + 3]]);
            kvm_cpuid_entry2 { edx: word(4), ecx: word(8), ..entry(0, 0, 7, word(0)) }
        };
        // AVX-VNNI is bit 4 of EAX in subleaf 1 of leaf 7, AVX2 bit 5 of EBX in subleaf 0. Leaf 1 has an index without meaning.
        let list = [
            vendor(b"AuthenticAMD"),
            kvm_cpuid_entry2 { edx: 1 << 26, ..entry(1, 9, 0, 0) },
            entry(7, 0, 1 << 4, 1 << 5),
            entry(7, 1, 1 << 4, 0),
        ];
        let profile = Profile::from_cpuid2(&list);
        assert_eq!(profile.vendor(), Vendor::Amd);
        assert!(profile.has(Feature::Avx2) && profile.has(Feature::AvxVnni) && profile.has(Feature::Sse2));
        let without = Profile::from_cpuid2(&list[..3]);
        assert!(!without.has(Feature::AvxVnni), "bit 4 of subleaf 0 is another's");
        assert!(!Profile::from_cpuid2(&list[..1]).has(Feature::Sse2), "leaf 1 is not in the list");
        assert_eq!(Profile::from_cpuid2(&[vendor(b"GenuineIntel")]).vendor(), Vendor::Intel);
    }
}
