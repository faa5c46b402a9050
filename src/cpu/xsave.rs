//! XSAVE images (SDM volume 1, 13.4): what a hypervisor's interface, a core dump or a signal frame holds, from and to [`Cpu`].
//! In the standard format, which XSAVE writes, or the compacted one of XSAVEC and XSAVES.
//!
//! The legacy area is that of the 64-bit forms (FXSAVE64, XSAVE64): FIP and FDP have 64 bits, and FCS and FDS are not in it.

use super::registers::component;
use super::vector::MXCSR_DEFAULT;
use super::{Cpu, X87, Zmm};
use core::fmt;
use core::ops::Range;

/// Bytes of the legacy area and the header, which every image has.
pub const HEADER_END: usize = 576;

/// Where XSTATE_BV stands.
const XSTATE_BV: usize = 512;
/// Where XCOMP_BV stands, and behind it what the standard format wants zero.
const XCOMP_BV: usize = 520;
const MXCSR: usize = 24;
const ST: usize = 32;
const XMM: usize = 160;

/// Components that [`Cpu`] holds. Others are left as they are in an image.
pub const COMPONENTS: u64 =
    component::X87 | component::AVX512 | component::PKRU | component::TILECFG | component::TILEDATA | component::APX;

/// Extended components of [`COMPONENTS`] and their sizes.
const SIZES: [(u32, u32); 8] = [(2, 256), (5, 64), (6, 512), (7, 1024), (9, 8), (17, 64), (18, 8192), (19, 128)];
/// Components that begin at a multiple of 64 in the compacted format.
const ALIGNED: u64 = component::TILECFG | component::TILEDATA;
/// Bit 63 of XCOMP_BV: the compacted format.
pub(crate) const COMPACTED: u64 = 1 << 63;

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
    /// The image to be changed is in the compacted format (bit 63 of XCOMP_BV): [`Layout::store_compacted`] writes one.
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
            ImageError::Compacted => f.write_str(
                "the XSAVE image is in the compacted format, in which one component alone cannot be changed",
            ),
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
            let wrong = SIZES.into_iter().any(|(component, bytes)| component == n && size != bytes);
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

    /// The layout of a compacted image of `components`: one after the other, in ascending order, without those that this layout
    /// does not place and the architecture does not know.
    pub fn compacted(&self, components: u64) -> Layout {
        let mut areas = [(0, 0); 64];
        let mut end = HEADER_END as u32;
        for n in (2..63).filter(|n| components >> n & 1 != 0) {
            let known = SIZES.iter().find(|(component, _)| *component == n).map_or(0, |(_, size)| *size);
            let size = if known != 0 { known } else { self.areas[n as usize].1 };
            let offset = if ALIGNED >> n & 1 != 0 { end.next_multiple_of(64) } else { end };
            if size != 0 {
                areas[n as usize] = (offset, size);
                end = offset + size;
            }
        }
        Layout { areas }
    }

    /// Loads `components` as XRSTOR does, from either format: one whose bit in XSTATE_BV is clear, and one that the layout does
    /// not place, gets its initial state. MXCSR comes with SSE or AVX in the standard format, whatever XSTATE_BV says, and with
    /// SSE in the compacted one. Sets the bits in [`Cpu::valid`] and clears them in [`Cpu::dirty`]. Components that [`Cpu`] does
    /// not hold are passed over.
    ///
    /// # Errors
    /// [`ImageError`]; nothing is loaded then.
    pub fn load(&self, image: &[u8], components: u64, cpu: &mut Cpu) -> Result<(), ImageError> {
        let components = components & COMPONENTS;
        let xcomp = image.get(XCOMP_BV..XCOMP_BV + 8).map_or(0, |_| u64_at(image, XCOMP_BV));
        let compacted = xcomp & COMPACTED != 0;
        let layout = if compacted { self.compacted(xcomp) } else { *self };
        let bv = layout.check(image, components, compacted)?;
        let (wanted, present) = (|bit: u64| components & bit != 0, |bit: u64| bv & bit != 0);
        let with = if compacted { component::SSE } else { component::SSE | component::AVX };
        if wanted(with) {
            let given = !compacted || present(component::SSE);
            let mxcsr = if given { u32_at(image, MXCSR) } else { MXCSR_DEFAULT };
            if mxcsr & !MXCSR_BITS != 0 {
                return Err(ImageError::Mxcsr(mxcsr));
            }
            cpu.vector.mxcsr = mxcsr;
        }
        if wanted(component::X87) {
            cpu.x87 = if present(component::X87) { load_x87(image) } else { X87::default() };
        }
        for n in (1..63).filter(|n| components >> n & 1 != 0) {
            let area = if bv >> n & 1 != 0 { image.get(layout.area(n)) } else { None };
            take(cpu, n, area, 16);
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
        let mut bv = self.check(image, components, false)?;
        let used = in_use(cpu) & components;
        if let Some(n) = (0..64).find(|&n| used >> n & 1 != 0 && !self.has(n)) {
            return Err(ImageError::Component(n));
        }
        bv = bv & !components | used;
        image[XSTATE_BV..XSTATE_BV + 8].copy_from_slice(&bv.to_le_bytes());
        if components & (component::SSE | component::AVX) != 0 {
            image[MXCSR..MXCSR + 4].copy_from_slice(&cpu.vector.mxcsr.to_le_bytes());
        }
        self.put_all(cpu, components, image);
        Ok(())
    }

    /// Stores `components` as XSAVEC does, in the compacted format, and gives the image's length. Components in their initial
    /// state are left as they are in `image`, and their bits in XSTATE_BV clear; an MXCSR other than the default counts as SSE.
    /// XCOMP_BV names all of `components` that [`Cpu`] holds, and the rest of the header is cleared.
    ///
    /// # Errors
    /// [`ImageError::TooShort`]; nothing is stored then.
    pub fn store_compacted(&self, cpu: &Cpu, components: u64, image: &mut [u8]) -> Result<usize, ImageError> {
        let components = components & COMPONENTS;
        let layout = self.compacted(components);
        let needed = layout.size(components);
        if image.len() < needed {
            return Err(ImageError::TooShort { needed, given: image.len() });
        }
        let mxcsr = if cpu.vector.mxcsr != MXCSR_DEFAULT { component::SSE } else { 0 };
        let used = (in_use(cpu) | mxcsr) & components;
        image[XSTATE_BV..HEADER_END].fill(0);
        image[XSTATE_BV..XSTATE_BV + 8].copy_from_slice(&used.to_le_bytes());
        image[XCOMP_BV..XCOMP_BV + 8].copy_from_slice(&(components | COMPACTED).to_le_bytes());
        if used & component::SSE != 0 {
            image[MXCSR..MXCSR + 4].copy_from_slice(&cpu.vector.mxcsr.to_le_bytes());
        }
        layout.put_all(cpu, used, image);
        Ok(needed)
    }

    fn put_all(&self, cpu: &Cpu, components: u64, image: &mut [u8]) {
        if components & component::X87 != 0 {
            store_x87(&cpu.x87, image);
        }
        for n in (1..63).filter(|n| components >> n & 1 != 0 && self.has(*n)) {
            put(cpu, n, 0, &mut image[self.area(n)]);
        }
    }

    /// Is the image long enough and in the format? Gives XSTATE_BV.
    fn check(&self, image: &[u8], components: u64, compacted: bool) -> Result<u64, ImageError> {
        if image.len() < HEADER_END {
            return Err(ImageError::TooShort { needed: self.size(components), given: image.len() });
        }
        let (bv, xcomp) = (u64_at(image, XSTATE_BV), u64_at(image, XCOMP_BV));
        // What is not in a compacted image has no place in it.
        let needed = self.size(if compacted { components & bv } else { components });
        if image.len() < needed {
            return Err(ImageError::TooShort { needed, given: image.len() });
        }
        if !compacted && xcomp & COMPACTED != 0 {
            return Err(ImageError::Compacted);
        }
        let reserved = if compacted { XCOMP_BV + 8 } else { XCOMP_BV };
        if image[reserved..HEADER_END].iter().any(|&byte| byte != 0) || compacted && bv & !xcomp != 0 {
            return Err(ImageError::Header);
        }
        match (0..64).find(|&n| (bv & components) >> n & 1 != 0 && !self.has(n)) {
            Some(n) => Err(ImageError::Component(n)),
            None => Ok(bv),
        }
    }
}

/// Copies component `n`, 1 or above, into `area`, which is as long as the component or begins `skip` bytes into it.
pub(crate) fn put(cpu: &Cpu, n: u32, skip: usize, area: &mut [u8]) {
    let zmm = &cpu.vector.zmm;
    let parts = |area: &mut [u8], registers: Range<usize>, part: Range<usize>| {
        for (place, z) in area.chunks_mut(part.len()).zip(&zmm[registers]) {
            place.copy_from_slice(&z.0[part.clone()][..place.len()]);
        }
    };
    match 1 << n {
        component::SSE => parts(area, 0..16, 0..16),
        component::AVX => parts(area, 0..16, 16..32),
        component::ZMM_HI256 => parts(area, 0..16, 32..64),
        component::HI16_ZMM => parts(area, 16..32, 0..64),
        component::OPMASK => words(area, &cpu.vector.k),
        component::PKRU => words(area, &[u64::from(cpu.system().pkru)]),
        component::APX => words(area, &cpu.gpr[16..]),
        component::TILECFG => match &cpu.tiles {
            Some(tiles) => area.copy_from_slice(&tiles.config[..area.len()]),
            None => area.fill(0),
        },
        component::TILEDATA => {
            for (i, place) in area.chunks_mut(TILE).enumerate() {
                match &cpu.tiles {
                    Some(tiles) => place.copy_from_slice(&tiles.bytes(skip / TILE + i)[..place.len()]),
                    None => place.fill(0),
                }
            }
        }
        _ => {}
    }
}

/// Bytes of a tile.
pub(crate) const TILE: usize = 1024;

fn words(area: &mut [u8], values: &[u64]) {
    for (place, value) in area.chunks_mut(8).zip(values) {
        place.copy_from_slice(&value.to_le_bytes()[..place.len()]);
    }
}

/// Loads component `n`, 1 or above, from its area, of which there may be less than all; its initial state without one. Of
/// XMM, YMM and ZMM0 to ZMM15 the first `registers` are loaded; ZMM16 and up, with 16 alone.
pub(crate) fn take(cpu: &mut Cpu, n: u32, area: Option<&[u8]>, registers: usize) {
    let zmm = &mut cpu.vector.zmm;
    let parts = |zmm: &mut [Zmm], part: Range<usize>| {
        let size = part.len();
        for (i, z) in zmm.iter_mut().enumerate() {
            let target = &mut z.0[part.clone()];
            match area {
                None => target.fill(0),
                Some(area) => {
                    if let Some(source) = area.get(i * size..(i + 1) * size) {
                        target.copy_from_slice(source);
                    }
                }
            }
        }
    };
    let word = |i: usize| area.and_then(|area| area.get(8 * i..8 * i + 8)).map_or(0, |bytes| u64_at(bytes, 0));
    match 1 << n {
        component::SSE => parts(&mut zmm[..registers], 0..16),
        component::AVX => parts(&mut zmm[..registers], 16..32),
        component::ZMM_HI256 => parts(&mut zmm[..registers], 32..64),
        component::HI16_ZMM if registers == 16 => parts(&mut zmm[16..], 0..64),
        component::OPMASK => cpu.vector.k = core::array::from_fn(word),
        component::PKRU => {
            let pkru = word(0) as u32;
            if cpu.system().pkru != pkru {
                cpu.update(|s| s.pkru = pkru);
            }
        }
        component::APX => cpu.gpr[16..].iter_mut().enumerate().for_each(|(i, gpr)| *gpr = word(i)),
        component::TILECFG if area.is_some() || cpu.tiles.is_some() => {
            let config = &mut cpu.tiles_mut().config;
            config.fill(0);
            if let Some(area) = area {
                config[..area.len().min(64)].copy_from_slice(&area[..area.len().min(64)]);
            }
        }
        component::TILEDATA if area.is_some() || cpu.tiles.is_some() => {
            let area = area.unwrap_or_default();
            for tile in 0..super::tile::TILES {
                let target = cpu.tiles_mut().bytes_mut(tile);
                match area.get(tile * TILE..(tile + 1) * TILE) {
                    Some(source) => target.copy_from_slice(source),
                    None => target.fill(0),
                }
            }
        }
        _ => {}
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
    set(cpu.gpr[16..] != [0; 16], component::APX);
    if let Some(tiles) = &cpu.tiles {
        set(tiles.config != [0; 64], component::TILECFG);
        set(!tiles.is_zero(), component::TILEDATA);
    }
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
