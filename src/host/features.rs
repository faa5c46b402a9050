//! What the host has of the instructions that this room issues.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// CMPXCHG16B.
pub(crate) const CX16: u32 = 1 << 0;
/// SERIALIZE.
pub(crate) const SERIALIZE: u32 = 1 << 1;
/// MOVDIR64B.
pub(crate) const MOVDIR64B: u32 = 1 << 2;
/// CMPccXADD.
pub(crate) const CMPCCXADD: u32 = 1 << 3;
/// AADD, AAND, AOR, AXOR.
pub(crate) const RAO_INT: u32 = 1 << 4;
/// The processor was asked.
const ASKED: u32 = 1 << 31;

static FEATURES: AtomicU32 = AtomicU32::new(0);

/// Has the host this feature? CPUID, which is an exit under a hypervisor, is asked once.
#[inline]
pub(crate) fn has(feature: u32) -> bool {
    let known = FEATURES.load(Relaxed);
    let known = if known & ASKED == 0 { ask() } else { known };
    known & feature != 0
}

#[cold]
fn ask() -> u32 {
    let known = ASKED | cpuid();
    FEATURES.store(known, Relaxed);
    known
}

fn cpuid() -> u32 {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    let mut found = if __cpuid(1).ecx >> 13 & 1 != 0 { CX16 } else { 0 };
    if __cpuid(0).eax < 7 {
        return found;
    }
    let leaf = __cpuid_count(7, 0);
    let more = if leaf.eax >= 1 { __cpuid_count(7, 1).eax } else { 0 };
    for (register, bit, feature) in
        [(leaf.edx, 14, SERIALIZE), (leaf.ecx, 28, MOVDIR64B), (more, 7, CMPCCXADD), (more, 3, RAO_INT)]
    {
        found |= if register >> bit & 1 != 0 { feature } else { 0 };
    }
    found
}
