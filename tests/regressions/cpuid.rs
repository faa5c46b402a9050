//! CPUID looks at ECX in leaves with subleaves only. A guest asked for leaf 0x80000001 with something else in ECX, and saw the
//! processor without the profile's feature bits: Linux then left EFER.NXE clear.

use encore86::isa::Feature;
use encore86::{Cpu, Profile};

#[test]
fn ecx_does_not_matter_where_there_are_no_subleaves() {
    let cpu = Cpu::new();
    for profile in [Profile::all(), Profile::host().without(Feature::Nx).without(Feature::Sse2)] {
        for leaf in [1, 0x19, 0x8000_0001, 0x8000_0008, 0x8000_001f] {
            let expected = profile.cpuid(leaf, 0, cpu.system());
            for ecx in [1, 2, 0xc000_0080, u32::MAX] {
                let found = profile.cpuid(leaf, ecx, cpu.system());
                // The number of the processor that this runs on is in leaf 1's EBX.
                assert_eq!((found.eax, found.ecx, found.edx), (expected.eax, expected.ecx, expected.edx), "{leaf:#x}");
            }
        }
        assert_eq!(profile.cpuid(0x8000_0001, 7, cpu.system()).edx >> 20 & 1, u32::from(profile.has(Feature::Nx)));
        assert_eq!(profile.cpuid(1, 7, cpu.system()).edx >> 26 & 1, u32::from(profile.has(Feature::Sse2)));
    }
}
