//! Where operands are put: aligned, misaligned, across pages, at the edges of what is mapped and writable.

use encore86_oracle::{DATA_LEN, Mode, Oracle, PAGE, Random, Setup};

const PAGE_BYTES: u64 = PAGE as u64;
const DATA_BYTES: u64 = DATA_LEN as u64;

/// The oracle's memory, as addresses.
#[derive(Clone, Copy, Debug)]
pub struct Sites {
    /// Where the code area begins.
    pub code: u64,
    /// The data area: four writable pages, nothing mapped around them.
    pub data: u64,
    /// A writable page.
    pub edge: u64,
    /// The read-only page behind it.
    pub read_only: u64,
    /// Bases of ES, CS, SS, DS, FS and GS outside 64-bit mode.
    bases: [[u64; 6]; 2],
    starts: [u64; 3],
}

impl Sites {
    pub fn of(oracle: &Oracle) -> Sites {
        let bases = [Mode::Compat32, Mode::Compat16].map(|mode| {
            let s = oracle.segments(mode).expect("the compatibility modes have segments");
            [s.es, s.cs, s.ss, s.ds, s.fs, s.gs].map(|segment| u64::from(segment.base))
        });
        let modes = [Mode::Long64, Mode::Compat32, Mode::Compat16];
        Sites {
            code: oracle.code_address(),
            data: oracle.data_address(),
            edge: oracle.edge_address() - PAGE_BYTES,
            read_only: oracle.edge_address(),
            bases,
            starts: modes.map(|mode| oracle.start(&Setup::mode(mode))),
        }
    }

    /// RIP at the first byte of the code.
    pub fn start(&self, mode: Mode) -> u64 {
        match mode {
            Mode::Long64 => self.starts[0],
            Mode::Compat32 => self.starts[1],
            Mode::Compat16 => self.starts[2],
        }
    }

    /// The base of a segment register outside 64-bit mode.
    pub fn base(&self, mode: Mode, seg: usize) -> u64 {
        match mode {
            Mode::Long64 => 0,
            Mode::Compat32 => self.bases[0][seg],
            Mode::Compat16 => self.bases[1][seg],
        }
    }

    /// An address that an encoding carries: in the data area, as an offset where the address size is 16 bits.
    pub fn absolute(&self, random: &mut Random, bits: u32) -> u64 {
        let at = self.pick(random, 16, 16);
        if bits == 16 { at.wrapping_sub(self.data) & 0xffff } else { at }
    }

    /// Is the address between the code and the data, where the oracle takes signals? RSP must not point there.
    pub fn is_taken(&self, at: u64) -> bool {
        (self.code + 0x8000..self.data - 0x8000).contains(&at)
    }

    /// A linear address for an operand of `size` bytes.
    pub fn pick(&self, random: &mut Random, size: u64, align: u64) -> u64 {
        let size = size.max(1);
        let inside = self.data + random.below(DATA_BYTES - size);
        match random.below(24) {
            0..=9 => inside & !(align.max(1) - 1),
            10..=13 => inside,
            // Across a page, and across a cache line.
            14 => self.data + PAGE_BYTES * (1 + random.below(3)) - 1 - random.below(size),
            15 => (inside | 63) - random.below(size.min(63)),
            // The ends of the data area: last bytes, across, wholly outside.
            16 => self.data + DATA_BYTES - size,
            17 => self.data + DATA_BYTES - random.below(size + 1),
            18 => self.data - 1 - random.below(size),
            19 => self.data + DATA_BYTES + (random.below(PAGE_BYTES) & !(align.max(1) - 1)),
            // The read-only page: into it, inside, out of it.
            20 => self.read_only - random.below(size + 1),
            21 | 22 => (self.read_only + random.below(PAGE_BYTES - size)) & !(align.max(1) - 1),
            _ => self.read_only + PAGE_BYTES - random.below(size + 1),
        }
    }

    /// An address that 64-bit mode may refuse: not canonical, or at the edge of what is.
    pub fn odd(&self, random: &mut Random, size: u64) -> u64 {
        match random.below(6) {
            0 => 0x7fff_ffff_ffff - random.below(size + 2),
            1 => 0x8000_0000_0000 + random.below(size),
            2 => 0xffff_8000_0000_0000 - 1 - random.below(size),
            3 => self.data ^ 1 << (47 + random.below(17)),
            4 => self.data | random.word() << 48,
            _ => i64::MIN as u64 | random.word() >> 20,
        }
    }
}
