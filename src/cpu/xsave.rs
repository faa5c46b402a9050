//! XSAVE images in the standard format (SDM volume 1, 13.4): what a hypervisor's interface, a core dump or a signal frame
//! holds, from and to [`Cpu`].
//!
//! The legacy area is that of the 64-bit forms (FXSAVE64, XSAVE64): FIP and FDP have 64 bits, and FCS and FDS are not in it.

use super::registers::component;
use super::vector::MXCSR_DEFAULT;
use super::{Cpu, X87};
use core::fmt;
use core::ops::Range;

/// Bytes of the legacy area and the header, which every image has.
pub const HEADER_END: usize = 576;

/// Where XSTATE_BV stands.
const XSTATE_BV: usize = 512;
/// Where XCOMP_BV stands, and behind it what the standard format wants zero.
const RESERVED: Range<usize> = 520..HEADER_END;
const MXCSR: usize = 24;
const ST: usize = 32;
const XMM: usize = 160;

/// Components that [`Cpu`] holds. Others are left as they are in an image.
pub const COMPONENTS: u64 = component::X87 | component::AVX512 | component::PKRU;

/// Bits of MXCSR that some processor has: the manual's, and MM of AMD.
const MXCSR_BITS: u32 = 0x2_ffff;

/// Why an image is refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// The image ends before a component does.
    TooShort {
        /// Bytes that it must have.
        needed: usize,
        /// Bytes that it has.
        given: usize,
    },
    /// The image is in the compacted format (bit 63 of XCOMP_BV): write it with XSAVE and not with XSAVEC or XSAVES.
    Compacted,
    /// Bytes of the header that the standard format wants zero are not.
    Header,
    /// MXCSR has a bit set that no processor has.
    Mxcsr(u32),
    /// XSTATE_BV has a component that the layout does not place.
    Component(u32),
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::TooShort { needed, given } => {
                write!(f, "the XSAVE image has {given} bytes, and {needed} are needed")
            }
            ImageError::Compacted => f.write_str("the XSAVE image is in the compacted format; write it with XSAVE"),
            ImageError::Header => f.write_str("reserved bytes of the XSAVE image's header are not zero"),
            ImageError::Mxcsr(value) => write!(f, "the XSAVE image's MXCSR, {value:#x}, has a reserved bit set"),
            ImageError::Component(n) => {
                write!(f, "the XSAVE image holds component {n}, which the layout does not place")
            }
        }
    }
}

impl core::error::Error for ImageError {}

/// Where the components lie, as CPUID leaf 0Dh says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Offset and size in bytes by component; size 0 where there is none.
    areas: [(u32, u32); 64],
}

impl Layout {
    /// Asks `leaf` for EAX (size) and EBX (offset) of CPUID leaf 0Dh, subleaves 2 to 62, of which it answers zeros to those
    /// that do not exist. Components of IA32_XSS have no place in a standard image: CPUID gives offset 0 for them.
    ///
    /// # Errors
    /// [`ImageError::Component`] for a component of [`COMPONENTS`] whose size is not the architecture's, and for one that
    /// would lie in the header or beyond 1 MiB.
    pub fn new(mut leaf: impl FnMut(u32) -> (u32, u32)) -> Result<Layout, ImageError> {
        let mut areas = [(0, 0); 64];
        for n in 2..63 {
            let (size, offset) = leaf(n);
            if size == 0 || offset == 0 {
                continue;
            }
            let known = [(2, 256), (5, 64), (6, 512), (7, 1024), (9, 8)];
            let wrong = known.into_iter().any(|(component, bytes)| component == n && size != bytes);
            if wrong || (offset as usize) < HEADER_END || offset.saturating_add(size) > 1 << 20 {
                return Err(ImageError::Component(n));
            }
            areas[n as usize] = (offset, size);
        }
        Ok(Layout { areas })
    }

    /// Bytes of an image with all of `components` (bits as in XCR0): the end of the last one.
    pub fn size(&self, components: u64) -> usize {
        (0..64).filter(|n| components >> n & 1 != 0).map(|n| self.area(n).end).max().unwrap_or(0).max(HEADER_END)
    }

    /// Where component `n` lies; empty if nowhere.
    pub fn area(&self, n: u32) -> Range<usize> {
        match n {
            0 => 0..XMM,
            1 => XMM..XMM + 256,
            _ => {
                let (offset, size) = self.areas[n as usize & 63];
                offset as usize..(offset + size) as usize
            }
        }
    }

    fn has(&self, n: u32) -> bool {
        !self.area(n).is_empty()
    }

    /// Loads `components` as XRSTOR does: one whose bit in XSTATE_BV is clear, and one that the layout does not place, gets
    /// its initial state; MXCSR comes with SSE or AVX, whatever XSTATE_BV says. Sets the bits in [`Cpu::valid`] and clears
    /// them in [`Cpu::dirty`]. Components that [`Cpu`] does not hold are passed over.
    ///
    /// # Errors
    /// [`ImageError`]; nothing is loaded then.
    pub fn load(&self, image: &[u8], components: u64, cpu: &mut Cpu) -> Result<(), ImageError> {
        let components = components & COMPONENTS;
        let bv = self.check(image, components)?;
        let wanted = |bit: u64| components & bit != 0;
        let present = |bit: u64| bv & bit != 0;
        if wanted(component::SSE | component::AVX) {
            let mxcsr = u32_at(image, MXCSR);
            if mxcsr & !MXCSR_BITS != 0 {
                return Err(ImageError::Mxcsr(mxcsr));
            }
            cpu.vector.mxcsr = mxcsr;
        }
        if wanted(component::X87) {
            cpu.x87 = if present(component::X87) { load_x87(image) } else { X87::default() };
        }
        let (low, high) = cpu.vector.zmm.split_at_mut(16);
        for (bit, part, from, size) in [
            (component::SSE, 0..16, self.area(1).start, 16),
            (component::AVX, 16..32, self.area(2).start, 16),
            (component::ZMM_HI256, 32..64, self.area(6).start, 32),
        ] {
            for (i, zmm) in low.iter_mut().enumerate().filter(|_| wanted(bit)) {
                let part = &mut zmm.0[part.clone()];
                if present(bit) { part.copy_from_slice(&image[from + i * size..][..size]) } else { part.fill(0) }
            }
        }
        for (i, zmm) in high.iter_mut().enumerate().filter(|_| wanted(component::HI16_ZMM)) {
            let there = present(component::HI16_ZMM);
            if there { zmm.0.copy_from_slice(&image[self.area(7).start + i * 64..][..64]) } else { zmm.0.fill(0) }
        }
        for (i, k) in cpu.vector.k.iter_mut().enumerate().filter(|_| wanted(component::OPMASK)) {
            *k = if present(component::OPMASK) { u64_at(image, self.area(5).start + i * 8) } else { 0 };
        }
        if wanted(component::PKRU) {
            let pkru = if present(component::PKRU) { u32_at(image, self.area(9).start) } else { 0 };
            if cpu.system().pkru != pkru {
                cpu.update(|s| s.pkru = pkru);
            }
        }
        cpu.valid |= components;
        cpu.dirty &= !components;
        Ok(())
    }

    /// Stores `components` as XSAVE does: XSTATE_BV's bit is set for a component that differs from its initial state and
    /// cleared for one that does not, which is written nevertheless. MXCSR is written with SSE or AVX. All else in the image
    /// stays: components that are not asked for or that [`Cpu`] does not hold, MXCSR_MASK, and what is reserved.
    ///
    /// A component that the layout does not place is left out if it has its initial state.
    ///
    /// # Errors
    /// [`ImageError`], with [`ImageError::Component`] for one with state and no place; nothing is stored then.
    pub fn store(&self, cpu: &Cpu, components: u64, image: &mut [u8]) -> Result<(), ImageError> {
        let components = components & COMPONENTS;
        let mut bv = self.check(image, components)?;
        let used = in_use(cpu) & components;
        if let Some(n) = (0..64).find(|&n| used >> n & 1 != 0 && !self.has(n)) {
            return Err(ImageError::Component(n));
        }
        bv = bv & !components | used;
        image[XSTATE_BV..XSTATE_BV + 8].copy_from_slice(&bv.to_le_bytes());
        let placed = |n: u32| components >> n & 1 != 0 && self.has(n);
        if components & (component::SSE | component::AVX) != 0 {
            image[MXCSR..MXCSR + 4].copy_from_slice(&cpu.vector.mxcsr.to_le_bytes());
        }
        if placed(0) {
            store_x87(&cpu.x87, image);
        }
        for (n, part, size) in [(1, 0..16, 16), (2, 16..32, 16), (6, 32..64, 32)] {
            for (i, zmm) in cpu.vector.zmm[..16].iter().enumerate().filter(|_| placed(n)) {
                image[self.area(n).start + i * size..][..size].copy_from_slice(&zmm.0[part.clone()]);
            }
        }
        for (i, zmm) in cpu.vector.zmm[16..].iter().enumerate().filter(|_| placed(7)) {
            image[self.area(7).start + i * 64..][..64].copy_from_slice(&zmm.0);
        }
        for (i, k) in cpu.vector.k.iter().enumerate().filter(|_| placed(5)) {
            image[self.area(5).start + i * 8..][..8].copy_from_slice(&k.to_le_bytes());
        }
        if placed(9) {
            image[self.area(9)].copy_from_slice(&u64::from(cpu.system().pkru).to_le_bytes());
        }
        Ok(())
    }

    /// Is the image long enough and in the standard format? Gives XSTATE_BV.
    fn check(&self, image: &[u8], components: u64) -> Result<u64, ImageError> {
        let needed = self.size(components);
        if image.len() < needed {
            return Err(ImageError::TooShort { needed, given: image.len() });
        }
        if image[RESERVED.start + 7] & 0x80 != 0 {
            return Err(ImageError::Compacted);
        }
        if image[RESERVED].iter().any(|&byte| byte != 0) {
            return Err(ImageError::Header);
        }
        let bv = u64_at(image, XSTATE_BV);
        match (0..64).find(|&n| (bv & components) >> n & 1 != 0 && !self.has(n)) {
            Some(n) => Err(ImageError::Component(n)),
            None => Ok(bv),
        }
    }
}

/// Components that differ from their initial state (SDM volume 1, 13.6: XINUSE), MXCSR aside.
pub fn in_use(cpu: &Cpu) -> u64 {
    let zmm = &cpu.vector.zmm;
    let any = |registers: Range<usize>, part: Range<usize>| {
        zmm[registers].iter().any(|z| z.0[part.clone()] != [0; 64][..part.len()])
    };
    let mut bits = 0;
    let mut set = |condition: bool, bit: u64| bits |= if condition { bit } else { 0 };
    set(cpu.x87 != X87::default(), component::X87);
    set(any(0..16, 0..16), component::SSE);
    set(any(0..16, 16..32), component::AVX);
    set(any(0..16, 32..64), component::ZMM_HI256);
    set(any(16..32, 0..64), component::HI16_ZMM);
    set(cpu.vector.k != [0; 8], component::OPMASK);
    set(cpu.system().pkru != 0, component::PKRU);
    bits
}

/// An image whose components all have their initial state, `size` bytes long (at least those of the header).
#[cfg(feature = "std")]
pub fn initial(size: usize) -> Vec<u8> {
    let mut image = vec![0; size.max(HEADER_END)];
    image[..2].copy_from_slice(&X87::default().fcw.to_le_bytes());
    image[MXCSR..MXCSR + 4].copy_from_slice(&MXCSR_DEFAULT.to_le_bytes());
    image
}

fn load_x87(image: &[u8]) -> X87 {
    let mut x87 = X87 {
        // As FXRSTOR loads them: bit 6 of FCW reads as 1, what is reserved as 0.
        fcw: u16_at(image, 0) & 0x1f7f | 0x40,
        fsw: u16_at(image, 2),
        ftw: image[4],
        fop: u16_at(image, 6) & 0x7ff,
        fip: u64_at(image, 8),
        fdp: u64_at(image, 16),
        ..X87::default()
    };
    for i in 0..8 {
        let p = x87.physical(i);
        x87.regs[p].copy_from_slice(&image[ST + i * 16..][..10]);
    }
    x87.update_summary();
    x87
}

fn store_x87(x87: &X87, image: &mut [u8]) {
    image[0..2].copy_from_slice(&x87.fcw.to_le_bytes());
    image[2..4].copy_from_slice(&x87.fsw.to_le_bytes());
    image[4..6].copy_from_slice(&[x87.ftw, 0]);
    image[6..8].copy_from_slice(&x87.fop.to_le_bytes());
    image[8..16].copy_from_slice(&x87.fip.to_le_bytes());
    image[16..24].copy_from_slice(&x87.fdp.to_le_bytes());
    for i in 0..8 {
        image[ST + i * 16..][..10].copy_from_slice(&x87.regs[x87.physical(i)]);
    }
}

fn u16_at(image: &[u8], at: usize) -> u16 {
    image[at..].first_chunk().map_or(0, |&bytes| u16::from_le_bytes(bytes))
}

fn u32_at(image: &[u8], at: usize) -> u32 {
    image[at..].first_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes))
}

fn u64_at(image: &[u8], at: usize) -> u64 {
    image[at..].first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes))
}
