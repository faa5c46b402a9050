//! A profile from what KVM_SET_CPUID2 was given.

use crate::{CpuidResult, Profile};
use kvm_bindings::kvm_cpuid_entry2;

/// The subleaf counts: KVM_CPUID_FLAG_SIGNIFCANT_INDEX.
const SIGNIFICANT_INDEX: u32 = 1;

impl Profile {
    /// What the guest of a virtual processor sees that has this list, `CpuId::as_slice` of what KVM_SET_CPUID2 got.
    ///
    /// The vendor is AMD's if leaf 0 says so, and else Intel's.
    pub fn from_cpuid2(entries: &[kvm_cpuid_entry2]) -> Profile {
        let leaf = |entry: &kvm_cpuid_entry2| {
            let subleaf = if entry.flags & SIGNIFICANT_INDEX != 0 { entry.index } else { 0 };
            let answer = CpuidResult { eax: entry.eax, ebx: entry.ebx, ecx: entry.ecx, edx: entry.edx };
            (entry.function, subleaf, answer)
        };
        Profile::from_cpuid(entries.iter().map(leaf))
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
        // AVX-VNNI is bit 4 of EAX in subleaf 1 of leaf 7, AVX2 bit 5 of EBX in subleaf 0.
        let word = |text: &[u8; 4]| u32::from_le_bytes(*text);
        let name = |ebx, edx, ecx| kvm_cpuid_entry2 { edx: word(edx), ecx: word(ecx), ..entry(0, 0, 7, word(ebx)) };
        let amd = name(b"Auth", b"enti", b"cAMD");
        let list = [amd, entry(7, 0, 1 << 4, 1 << 5), entry(7, 1, 1 << 4, 0)];
        let profile = Profile::from_cpuid2(&list);
        assert_eq!(profile.vendor(), Vendor::Amd);
        assert!(profile.has(Feature::Avx2) && profile.has(Feature::AvxVnni));
        assert!(!profile.has(Feature::Sse2), "leaf 1 is not in the list");
        let without = Profile::from_cpuid2(&list[..2]);
        assert!(!without.has(Feature::AvxVnni), "bit 4 of subleaf 0 is another's");
        let list = [name(b"Genu", b"ineI", b"ntel")];
        assert_eq!(Profile::from_cpuid2(&list).vendor(), Vendor::Intel);
    }
}
