//! The XSAVE area: which state components there are, how large, and where.

use super::{CpuidResult, Vendor};
use crate::cpu::registers::component;

/// Where a state component lies in the XSAVE area (SDM volume 1, 13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XsaveArea {
    /// Bytes.
    pub size: u32,
    /// Bytes from the beginning of the area, in the standard format.
    pub offset: u32,
    /// Does it begin at a multiple of 64 in the compacted format?
    pub aligned: bool,
}

/// The legacy region and the header.
pub(super) const BASE: u32 = 576;

/// Components that profiles know and their sizes, in the order in which AMD's processors lay them out, without gaps.
const SIZES: [(u32, u32); 8] = [(2, 256), (5, 64), (6, 512), (7, 1024), (9, 8), (17, 64), (18, 8192), (19, 128)];

/// Offsets on Intel's processors, which leave room for components that are not there.
const OFFSETS: [(u32, u32); 8] =
    [(2, 576), (5, 1088), (6, 1152), (7, 1664), (9, 2688), (17, 2752), (18, 2816), (19, 960)];

/// Supervisor components and their sizes: PT, PASID, CET of users and supervisors, HDC, UINTR, LBR, HWP. They stand in compacted
/// images alone.
const SUPERVISOR_SIZES: [(u32, u32); 8] =
    [(8, 128), (10, 8), (11, 16), (12, 24), (13, 8), (14, 48), (15, 808), (16, 8)];

impl XsaveArea {
    /// The area of `component` among those of `supported`, where no CPUID leaf says it.
    pub(super) fn of(component: u32, supported: u64, vendor: Vendor) -> Option<XsaveArea> {
        if supported >> component & 1 == 0 {
            return None;
        }
        let (_, size) = *SIZES.iter().find(|(c, _)| *c == component)?;
        let offset = match vendor {
            Vendor::Intel => OFFSETS.iter().find(|(c, _)| *c == component)?.1,
            Vendor::Amd => {
                let before = SIZES.iter().take_while(|(c, _)| *c != component);
                BASE + before.filter(|(c, _)| supported >> c & 1 != 0).map(|(_, size)| size).sum::<u32>()
            }
        };
        let aligned = 1 << component & (component::TILECFG | component::TILEDATA) != 0;
        Some(XsaveArea { size, offset, aligned })
    }

    /// What leaf 0xd says of a component.
    pub(super) fn from_leaf(result: &CpuidResult) -> Option<XsaveArea> {
        let user = result.ecx & 1 == 0 && result.eax != 0;
        user.then_some(XsaveArea { size: result.eax, offset: result.ebx, aligned: result.ecx & 2 != 0 })
    }

    /// The same of a supervisor component, which has no place in the standard format.
    pub(super) fn supervisor(result: &CpuidResult) -> Option<XsaveArea> {
        let supervisor = result.ecx & 1 != 0 && result.eax != 0;
        supervisor.then_some(XsaveArea { size: result.eax, offset: 0, aligned: result.ecx & 2 != 0 })
    }

    /// The area of a supervisor component where no leaf says it.
    pub(super) fn of_supervisor(component: u32) -> Option<XsaveArea> {
        let (_, size) = *SUPERVISOR_SIZES.iter().find(|(c, _)| *c == component)?;
        Some(XsaveArea { size, offset: 0, aligned: false })
    }

    /// A supervisor component's area as a leaf.
    pub(super) fn supervisor_leaf(self) -> CpuidResult {
        CpuidResult { ecx: self.leaf().ecx | 1, ..self.leaf() }
    }

    /// The same as a leaf.
    pub(super) fn leaf(self) -> CpuidResult {
        CpuidResult { eax: self.size, ebx: self.offset, ecx: u32::from(self.aligned) << 1, edx: 0 }
    }
}
