//! Architectural state of one virtual processor.

pub mod registers;
pub mod segment;
pub mod tile;
pub mod vector;
pub mod x87;
pub mod xsave;

use registers::{component, cr0, cr3, cr4, efer, rflags};
use segment::{DescriptorTable, Seg, Segment, rights};
pub use tile::{TileRoom, Tiles};
pub use vector::{Vector, Zmm};
pub use x87::X87;

/// Operating mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Real-address mode.
    Real16,
    /// Virtual-8086 mode.
    V86,
    /// Protected mode, 16-bit code segment.
    Prot16,
    /// Protected mode, 32-bit code segment.
    Prot32,
    /// Compatibility mode, 16-bit code segment.
    Compat16,
    /// Compatibility mode, 32-bit code segment.
    Compat32,
    /// 64-bit mode.
    Long64,
}

impl Mode {
    /// Default operand and address size in bits.
    pub const fn bits(self) -> u8 {
        match self {
            Mode::Real16 | Mode::V86 | Mode::Prot16 | Mode::Compat16 => 16,
            Mode::Prot32 | Mode::Compat32 => 32,
            Mode::Long64 => 64,
        }
    }

    /// Real or virtual-8086 mode: no descriptors, no VEX.
    pub const fn is_real_or_v86(self) -> bool {
        matches!(self, Mode::Real16 | Mode::V86)
    }
}

/// Control, debug and other system registers. Change them through [`Cpu::update`], which keeps the mode word current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// ES, CS, SS, DS, FS, GS.
    pub seg: [Segment; 6],
    /// LDTR.
    pub ldtr: Segment,
    /// TR.
    pub tr: Segment,
    /// GDTR.
    pub gdtr: DescriptorTable,
    /// IDTR.
    pub idtr: DescriptorTable,
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8 (task priority).
    pub cr8: u64,
    /// EFER.
    pub efer: u64,
    /// XCR0.
    pub xcr0: u64,
    /// IA32_XSS.
    pub xss: u64,
    /// IA32_XFD: components of XCR0 whose use is #NM.
    pub xfd: u64,
    /// IA32_XFD_ERR: those that the last such #NM was for.
    pub xfd_err: u64,
    /// PKRU.
    pub pkru: u32,
    /// IA32_PKRS.
    pub pkrs: u32,
    /// Shadow stack pointer.
    pub ssp: u64,
    /// DR0 to DR7; 4 and 5 are unused.
    pub dr: [u64; 8],
    /// Kernel GS base.
    pub kernel_gs_base: u64,
    /// UIF, the user-interrupt flag.
    pub uif: bool,
}

/// What keeps events away for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocking {
    /// The instruction before loaded SS.
    pub mov_ss: bool,
    /// The instruction before was STI with IF clear.
    pub sti: bool,
    /// An NMI handler runs.
    pub nmi: bool,
}

/// Obstacles and modes, precomputed so that the gate is one test.
///
/// A set bit is an *obstacle*: what an instruction may need and does not get now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModeWord {
    pub(crate) bits: u32,
    pub(crate) mode: Mode,
    pub(crate) cpl: u8,
    /// 64-bit mode, or every segment flat: no segmentation work for DS, ES, SS, CS.
    pub(crate) flat: bool,
    /// Canonical linear addresses lie within this distance of 0: 2^47 or 2^56.
    pub(crate) canonical_half: u64,
    /// The same for addresses of data that need no masking (LAM) whatever is in force, and twice that.
    pub(crate) data_half: u64,
    pub(crate) data_span: u64,
    /// Linear addresses wrap within this mask: all ones, or 32 bits outside 64-bit mode.
    pub(crate) wrap: u64,
}

/// Bits of the mode word.
pub(crate) mod obstacle {
    pub const EM: u32 = 1 << 0;
    pub const TS: u32 = 1 << 1;
    pub const MP_TS: u32 = 1 << 2;
    pub const NO_OSFXSR: u32 = 1 << 3;
    pub const NO_OSXSAVE: u32 = 1 << 4;
    pub const NO_AVX: u32 = 1 << 5;
    pub const NO_AVX512: u32 = 1 << 6;
    pub const REAL_V86: u32 = 1 << 7;
    pub const CPL_NOT_0: u32 = 1 << 8;
    pub const IOPL_LOW: u32 = 1 << 9;
    pub const NO_OSXMMEXCPT: u32 = 1 << 10;
    /// TF, RF, shadows, breakpoints or CR4.CET: the slow end of a step must look.
    pub const ATTENTION: u32 = 1 << 11;
    /// CR4.TSD outside CPL 0.
    pub const TSD: u32 = 1 << 12;
    /// CR0.AM, RFLAGS.AC and CPL 3: data accesses are checked for alignment.
    pub const ALIGNMENT: u32 = 1 << 13;
    pub const NO_APX: u32 = 1 << 14;
    pub const NO_TILE: u32 = 1 << 15;
    /// CPL above IOPL, and neither CR4.VME nor CR4.PVI gives CLI and STI a flag of their own.
    pub const NO_CLI: u32 = 1 << 16;
    /// IA32_XFD disables tile data.
    pub const XFD_TILE: u32 = 1 << 17;

    /// No obstacles, but what else decides how an instruction runs, so that one compare says that all is as it was: 57 bits of linear
    /// address, the operating mode from `MODE` on, and a bit that is always set, so that no word is 0.
    pub const WIDE: u32 = 1 << 27;
    pub const MODE: u32 = 28;
    pub const WORD: u32 = 1 << 31;
}

impl ModeWord {
    /// Are data accesses checked for alignment (#AC)?
    #[inline]
    pub(crate) fn alignment_check(&self) -> bool {
        self.bits & obstacle::ALIGNMENT != 0
    }
}

/// One virtual processor's state. Plain data: a VMM fills it, steps, and reads it back.
///
/// Registers that decide the mode (segments, CR0, CR4, EFER, XCR0, RFLAGS) are changed by methods.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Cpu {
    /// Vector state; the first field, at offset 0 of what a stub sees.
    pub vector: Vector,
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R31.
    pub gpr: [u64; 32],
    /// RIP, as an offset in CS.
    pub rip: u64,
    rflags: u64,
    word: ModeWord,
    /// x87 state.
    pub x87: X87,
    /// AMX state; `None` is its initial state. Boxed by the first instruction that needs it, or before that by the monitor.
    pub tiles: Option<TileRoom>,
    blocking: Blocking,
    pending_debug: u64,
    /// State components (as in XCR0) whose values here are the guest's. The engine asks
    /// [`Platform::load_state`](crate::bus::Platform::load_state) for others before it touches them.
    pub valid: u64,
    /// State components that the engine has changed; a VMM clears the bits when it has taken the values.
    pub dirty: u64,
    system: System,
}

impl Default for Cpu {
    fn default() -> Self {
        Cpu::new()
    }
}

impl Cpu {
    /// A processor after reset, but in 64-bit mode with flat segments at CPL 0, RIP 0, and all of XCR0's
    /// x87, SSE, AVX and AVX-512 components enabled: what a test or a long-mode monitor wants.
    pub fn new() -> Cpu {
        let data = |selector| Segment { selector, attr: 0xc093, limit: u32::MAX, base: 0 };
        let mut cpu = Cpu {
            vector: Vector::default(),
            gpr: [0; 32],
            rip: 0,
            rflags: rflags::FIXED,
            word: ModeWord {
                bits: 0,
                mode: Mode::Long64,
                cpl: 0,
                flat: true,
                canonical_half: 1 << 47,
                data_half: 1 << 47,
                data_span: 1 << 48,
                wrap: u64::MAX,
            },
            x87: X87::default(),
            tiles: None,
            blocking: Blocking::default(),
            pending_debug: 0,
            valid: u64::MAX,
            dirty: 0,
            system: System {
                seg: [
                    data(16),
                    Segment { selector: 8, attr: 0xa09b, limit: u32::MAX, base: 0 },
                    data(16),
                    data(16),
                    data(0),
                    data(0),
                ],
                ldtr: Segment { attr: rights::UNUSABLE, ..Segment::default() },
                tr: Segment { selector: 0, attr: 0x8b, limit: 0x67, base: 0 },
                gdtr: DescriptorTable::default(),
                idtr: DescriptorTable::default(),
                cr0: cr0::PE | cr0::ET | cr0::NE | cr0::MP,
                cr2: 0,
                cr3: 0,
                cr4: cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::OSXSAVE | cr4::DE | cr4::PAE,
                cr8: 0,
                efer: efer::LME | efer::LMA | efer::SCE | efer::NXE,
                xcr0: component::X87 | component::AVX512,
                xss: 0,
                xfd: 0,
                xfd_err: 0,
                pkru: 0,
                pkrs: 0,
                ssp: 0,
                dr: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
                kernel_gs_base: 0,
                uif: false,
            },
        };
        cpu.refresh();
        cpu
    }

    /// System registers.
    #[inline]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Changes system registers and what follows from them.
    pub fn update(&mut self, change: impl FnOnce(&mut System)) {
        change(&mut self.system);
        self.refresh();
    }

    /// A segment register.
    #[inline]
    pub fn seg(&self, seg: Seg) -> &Segment {
        &self.system.seg[seg as usize]
    }

    /// RFLAGS.
    #[inline]
    pub fn rflags(&self) -> u64 {
        self.rflags
    }

    /// Sets RFLAGS; bits that do not exist are cleared, bit 1 is set.
    pub fn set_rflags(&mut self, value: u64) {
        self.rflags = value & rflags::DEFINED | rflags::FIXED;
        self.refresh();
    }

    /// Replaces the bits of `mask` among the arithmetic flags and DF, which decide no mode.
    #[inline]
    pub(crate) fn merge_flags(&mut self, mask: u64, value: u64) {
        debug_assert!(mask & !(rflags::ARITH | rflags::DF) == 0);
        self.rflags = self.rflags & !mask | value & mask;
    }

    /// AMX state to be changed.
    pub fn tiles_mut(&mut self) -> &mut Tiles {
        self.tiles.get_or_insert_default()
    }

    /// Operating mode.
    #[inline]
    pub fn mode(&self) -> Mode {
        self.word.mode
    }

    /// Current privilege level.
    #[inline]
    pub fn cpl(&self) -> u8 {
        self.word.cpl
    }

    #[inline]
    pub(crate) fn word(&self) -> &ModeWord {
        &self.word
    }

    /// Is paging on?
    pub fn paging(&self) -> bool {
        self.system.cr0 & cr0::PG != 0
    }

    /// What blocks events.
    #[inline]
    pub fn blocking(&self) -> Blocking {
        self.blocking
    }

    /// Sets what blocks events.
    pub fn set_blocking(&mut self, blocking: Blocking) {
        self.blocking = blocking;
        self.refresh();
    }

    /// Bits of DR6 for a #DB that the shadow of MOV SS or POP SS has held back; it is due behind the next instruction.
    #[inline]
    pub fn pending_debug(&self) -> u64 {
        self.pending_debug
    }

    /// Sets them.
    pub fn set_pending_debug(&mut self, bits: u64) {
        self.pending_debug = bits;
        self.refresh();
    }

    fn refresh(&mut self) {
        let s = &self.system;
        let cs = &s.seg[Seg::Cs as usize];
        let big = cs.has(rights::DB);
        let long = s.efer & efer::LMA != 0;
        let mode = if s.cr0 & cr0::PE == 0 {
            Mode::Real16
        } else if long {
            match (cs.has(rights::L), big) {
                (true, _) => Mode::Long64,
                (false, true) => Mode::Compat32,
                (false, false) => Mode::Compat16,
            }
        } else if self.rflags & rflags::VM != 0 {
            Mode::V86
        } else if big {
            Mode::Prot32
        } else {
            Mode::Prot16
        };
        let cpl = match mode {
            Mode::Real16 => 0,
            Mode::V86 => 3,
            _ => s.seg[Seg::Ss as usize].dpl(),
        };
        let mut bits = 0;
        let mut set = |condition: bool, bit: u32| bits |= if condition { bit } else { 0 };
        let ts = s.cr0 & cr0::TS != 0;
        set(s.cr0 & cr0::EM != 0, obstacle::EM);
        set(ts, obstacle::TS);
        set(ts && s.cr0 & cr0::MP != 0, obstacle::MP_TS);
        set(s.cr4 & cr4::OSFXSR == 0, obstacle::NO_OSFXSR);
        let no_xsave = s.cr4 & cr4::OSXSAVE == 0;
        set(no_xsave, obstacle::NO_OSXSAVE);
        let avx = component::SSE | component::AVX;
        set(no_xsave || s.xcr0 & avx != avx, obstacle::NO_AVX);
        set(no_xsave || s.xcr0 & component::AVX512 != component::AVX512, obstacle::NO_AVX512);
        set(no_xsave || s.xcr0 & component::APX == 0, obstacle::NO_APX);
        let tile = component::TILECFG | component::TILEDATA;
        set(no_xsave || s.xcr0 & tile != tile, obstacle::NO_TILE);
        set(s.xfd & component::TILEDATA != 0, obstacle::XFD_TILE);
        set(mode.is_real_or_v86(), obstacle::REAL_V86);
        set(cpl != 0, obstacle::CPL_NOT_0);
        set(cpl as u64 > self.rflags >> 12 & 3, obstacle::IOPL_LOW);
        let extension = if mode == Mode::V86 { cr4::VME } else { cr4::PVI };
        let virtual_flag = cpl == 3 && s.cr4 & extension != 0;
        set(cpl as u64 > self.rflags >> 12 & 3 && !virtual_flag, obstacle::NO_CLI);
        set(s.cr4 & cr4::OSXMMEXCPT == 0, obstacle::NO_OSXMMEXCPT);
        set(cpl != 0 && s.cr4 & cr4::TSD != 0, obstacle::TSD);
        set(cpl == 3 && s.cr0 & cr0::AM != 0 && self.rflags & rflags::AC != 0, obstacle::ALIGNMENT);
        let shadow = self.blocking.mov_ss || self.blocking.sti;
        let debug = self.rflags & (rflags::TF | rflags::RF) != 0 || s.dr[7] & 0xff != 0 || self.pending_debug != 0;
        let enforced = s.cr4 & cr4::CET != 0 && !mode.is_real_or_v86();
        set(shadow || debug || enforced, obstacle::ATTENTION);
        set(s.cr4 & cr4::LA57 != 0, obstacle::WIDE);
        let canonical_half = 1 << if s.cr4 & cr4::LA57 != 0 { 56 } else { 47 };
        // LAM48 under 5-level paging masks bits of addresses that are canonical.
        let data_half = if s.cr3 & (cr3::LAM_U48 | cr3::LAM_U57) == cr3::LAM_U48 { 1 << 47 } else { canonical_half };
        self.word = ModeWord {
            bits: bits | (mode as u32) << obstacle::MODE | obstacle::WORD,
            mode,
            cpl,
            flat: mode == Mode::Long64,
            wrap: if mode == Mode::Long64 { u64::MAX } else { 0xffff_ffff },
            canonical_half,
            data_half,
            data_span: 2 * data_half,
        };
    }
}
