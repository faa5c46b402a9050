//! CPUID leaves as a list: what they say, and what CPUID gives for those that they do not hold.

use super::{CpuidResult, Signature, Vendor};
use crate::isa::feature::{CpuidBit, CpuidRegister, Feature, FeatureSet};

/// Leaves whose answer depends on ECX.
const INDEXED: [u32; 22] = [
    4,
    7,
    0xb,
    0xd,
    0xf,
    0x10,
    0x12,
    0x14,
    0x17,
    0x18,
    0x1b,
    0x1d,
    0x1e,
    0x1f,
    0x20,
    0x23,
    0x24,
    0x27,
    0x29,
    0x8000_001d,
    0x8000_0020,
    0x8000_0026,
];

/// The topology leaves, whose levels beyond the last are not all zeros.
const TOPOLOGY: [u32; 2] = [0xb, 0x1f];

/// ECX as far as it matters to the leaf.
pub(super) fn index(leaf: u32, subleaf: u32) -> u32 {
    if INDEXED.contains(&leaf) { subleaf } else { 0 }
}

type Entry = (u32, u32, CpuidResult);

/// A list of CPUID leaves.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaves(std::sync::Arc<[Entry]>);

/// A list of CPUID leaves; without an allocator the first 128 count.
#[cfg(not(feature = "std"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaves([Entry; 128], usize);

impl Leaves {
    #[cfg(feature = "std")]
    pub(super) fn new(entries: impl IntoIterator<Item = Entry>) -> Leaves {
        Leaves(entries.into_iter().collect())
    }

    #[cfg(not(feature = "std"))]
    pub(super) fn new(entries: impl IntoIterator<Item = Entry>) -> Leaves {
        let mut leaves = Leaves([(0, 0, CpuidResult::default()); 128], 0);
        for (place, entry) in leaves.0.iter_mut().zip(entries) {
            *place = entry;
            leaves.1 += 1;
        }
        leaves
    }

    fn entries(&self) -> &[Entry] {
        #[cfg(feature = "std")]
        return &self.0;
        #[cfg(not(feature = "std"))]
        &self.0[..self.1.min(128)]
    }

    /// The entry of a leaf, if there is one. The first of several counts.
    pub(super) fn find(&self, leaf: u32, subleaf: u32) -> Option<CpuidResult> {
        let subleaf = index(leaf, subleaf);
        self.entries().iter().find(|(l, s, _)| (*l, *s) == (leaf, subleaf)).map(|(.., result)| *result)
    }

    /// The leaf that answers for `leaf`. Those beyond the highest are the highest basic one's on Intel's processors (SDM
    /// volume 2, CPUID), and zeros on AMD's.
    pub(super) fn within(&self, leaf: u32, vendor: Vendor) -> u32 {
        let highest = |group: u32| self.find(group, 0).map_or(group, |result| result.eax);
        let beyond = self.find(leaf, 0).is_none() && leaf > highest(leaf & 0xffff_0000);
        if beyond && vendor == Vendor::Intel { highest(0) } else { leaf }
    }

    /// What CPUID gives, zeros where there is no entry.
    pub(super) fn get(&self, leaf: u32, subleaf: u32) -> CpuidResult {
        if let Some(found) = self.find(leaf, subleaf) {
            return found;
        }
        match self.find(leaf, 0) {
            Some(first) if TOPOLOGY.contains(&leaf) => {
                CpuidResult { ecx: subleaf & 0xff, edx: first.edx, ..CpuidResult::default() }
            }
            _ => CpuidResult::default(),
        }
    }

    /// The features whose bits are set.
    pub(super) fn features(&self) -> FeatureSet {
        let mut set = FeatureSet::base();
        for &feature in Feature::ALL {
            let Some(at) = feature.cpuid() else { continue };
            if self.find(at.leaf, at.subleaf).is_some_and(|result| feature.is_set(at, result)) {
                set.insert(feature);
            }
        }
        set
    }

    /// The vendor by its name in leaf 0.
    pub(super) fn vendor(&self) -> Vendor {
        self.find(0, 0).map_or(Vendor::Intel, |result| Vendor::of_leaf(&result))
    }

    /// EAX of leaf 1.
    pub(super) fn signature(&self) -> Signature {
        Signature(self.find(1, 0).map_or(0, |result| result.eax))
    }
}

impl Feature {
    /// Is the bit `at` set, or the version there high enough?
    pub(super) fn is_set(self, at: CpuidBit, mut result: CpuidResult) -> bool {
        let field = *at.register_of(&mut result) >> at.bit;
        if self.version() == 0 { field & 1 != 0 } else { field as u8 >= self.version() }
    }

    /// Sets or clears the bit `at`, or makes the version there no lower or no higher than the feature wants.
    pub(super) fn put(self, at: CpuidBit, result: &mut CpuidResult, on: bool) {
        let version = u32::from(self.version());
        let mask = if version == 0 { 1 } else { 0xff };
        let register = at.register_of(result);
        let old = *register >> at.bit & mask;
        let new = match (version, on) {
            (0, _) => u32::from(on),
            (_, true) => old.max(version),
            (_, false) => old.min(version - 1),
        };
        *register = *register & !(mask << at.bit) | new << at.bit;
    }
}

impl CpuidBit {
    /// The register that holds the bit.
    fn register_of<'a>(&self, result: &'a mut CpuidResult) -> &'a mut u32 {
        match self.register {
            CpuidRegister::Eax => &mut result.eax,
            CpuidRegister::Ebx => &mut result.ebx,
            CpuidRegister::Ecx => &mut result.ecx,
            CpuidRegister::Edx => &mut result.edx,
        }
    }
}

impl Vendor {
    /// Whose processor calls itself so in EBX, EDX and ECX of leaf 0. Hygon's are AMD's; all others follow Intel.
    pub(super) fn of_leaf(result: &CpuidResult) -> Vendor {
        let mut name = [0; 12];
        for (part, register) in name.chunks_mut(4).zip([result.ebx, result.edx, result.ecx]) {
            part.copy_from_slice(&register.to_le_bytes());
        }
        match &name {
            b"AuthenticAMD" | b"HygonGenuine" => Vendor::Amd,
            _ => Vendor::Intel,
        }
    }

    /// The same registers with the vendor's name.
    pub(super) fn put_name(self, result: &mut CpuidResult) {
        let name: &[u8; 12] = match self {
            Vendor::Intel => b"GenuineIntel",
            Vendor::Amd => b"AuthenticAMD",
        };
        let word = |i: usize| u32::from_le_bytes([name[i], name[i + 1], name[i + 2], name[i + 3]]);
        (result.ebx, result.edx, result.ecx) = (word(0), word(4), word(8));
    }
}
