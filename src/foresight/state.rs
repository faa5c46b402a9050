//! The state components and flags that an instruction touches.

use crate::cpu::registers::component::*;
use crate::cpu::registers::rflags;
use crate::decode::{Insn, NO_REG, RIP, SlotKind};
use crate::isa::row::{Exec, Gate, Implied, Loc, Shape, SysOp, Use, X87Op, attr, flag};
use crate::replay::vector_components;

/// State that an instruction reads or writes, besides the general-purpose registers of its operands, RIP and memory.
///
/// It holds whatever the registers contain: what may be touched is in it, also where only some value makes it so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateUse {
    /// State components, as bits of XCR0 and IA32_XSS. MXCSR counts as SSE, the extended general-purpose registers as APX,
    /// also where they make an address. XSAVE and its kin have all of [`StateUse::EVERY`].
    pub components: u64,
    /// Bits of RFLAGS.
    pub flags: u64,
    /// MXCSR.
    pub mxcsr: bool,
    /// The x87 status: control, status and tag word, TOP and the pointers. MMX instructions touch it as well.
    pub x87_status: bool,
    /// The shadow stack pointer, where shadow stacks are on.
    pub ssp: bool,
}

impl StateUse {
    /// All components that there can be.
    pub const EVERY: u64 = !(1 << 63);

    const fn of(components: u64) -> StateUse {
        StateUse { components, flags: 0, mxcsr: false, x87_status: false, ssp: false }
    }

    fn and(&mut self, other: StateUse) {
        self.components |= other.components;
        self.flags |= other.flags;
        self.mxcsr |= other.mxcsr;
        self.x87_status |= other.x87_status;
        self.ssp |= other.ssp;
    }
}

const STATUS: StateUse = StateUse { x87_status: true, ..StateUse::of(X87) };
const CONTROL: StateUse = StateUse { mxcsr: true, ..StateUse::of(SSE) };
const FX: StateUse = StateUse { mxcsr: true, x87_status: true, ..StateUse::of(X87 | SSE) };
const EVERYTHING: StateUse = StateUse { mxcsr: true, x87_status: true, ..StateUse::of(StateUse::EVERY) };
const SHADOW: StateUse = StateUse { ssp: true, ..StateUse::of(0) };
const CET: u64 = CET_U | CET_S;

impl Insn {
    /// The state that the instruction reads: components, flags, MXCSR, x87 status, SSP.
    ///
    /// What is left of a register that is written in part is not read; a monitor that loads state lazily has to have what is
    /// written as well.
    pub fn state_read(&self) -> StateUse {
        let mut state = self.operands_state(false);
        state.flags = flags(self.row.flags.read);
        let row = self.row;
        if let Some(slot) = self.memory().map(|(slot, _)| slot) {
            let vsib = slot.kind == SlotKind::Vsib;
            let index = if vsib { NO_REG } else { self.index() };
            let extended = |reg: u8| (16..RIP).contains(&reg);
            if extended(self.base()) || extended(index) {
                state.components |= APX;
            }
            if vsib {
                state.components |= read_vector(self.index(), self.vsib_index_bytes().into());
            }
        }
        if self.opmask().is_some() {
            state.components |= OPMASK;
        }
        if row.is(attr::MXCSR) {
            state.and(CONTROL);
        }
        let x87 = row.gate == Gate::X87 && !matches!(row.exec, Exec::X87(X87Op::Init));
        if x87 || row.gate == Gate::Wait || self.uses_mmx() {
            state.and(STATUS);
        }
        state.and(match row.exec {
            Exec::System(SysOp::Stmxcsr) => CONTROL,
            Exec::System(SysOp::Fxsave) => FX,
            _ => StateUse::default(),
        });
        state.and(self.implied_state(false));
        state
    }

    /// The state that the instruction writes.
    pub fn state_written(&self) -> StateUse {
        let mut state = self.operands_state(true);
        let row = self.row;
        if !self.keeps_flags() {
            state.flags = flags(row.flags.written);
        }
        // Gathers and scatters clear their opmask.
        let moves = |uses| uses != Use::None;
        if matches!(self.memory(), Some((slot, uses)) if slot.kind == SlotKind::Vsib && moves(uses))
            && self.opmask().is_some()
        {
            state.components |= OPMASK;
        }
        if row.is(attr::MXCSR) && !row.is(attr::QUIET) && self.static_rounding().is_none() {
            state.and(CONTROL);
        }
        let kept = matches!(row.exec, Exec::X87(op) if op.keeps_state());
        if row.gate == Gate::X87 && !kept || self.uses_mmx() {
            state.and(STATUS);
        }
        state.and(match row.exec {
            Exec::System(SysOp::Ldmxcsr) => CONTROL,
            Exec::System(SysOp::Fxrstor) => FX,
            Exec::System(SysOp::Vzero) => StateUse::of(AVX | ZMM_HI256 | if self.ll == 0 { 0 } else { SSE }),
            _ => StateUse::default(),
        });
        state.and(self.implied_state(true));
        state
    }

    /// Does it go by the rules of MMX?
    fn uses_mmx(&self) -> bool {
        let row = self.row;
        row.gate == Gate::Mmx
            || row.exec == Exec::Replay(Shape::Mmx)
            || row.specs().iter().any(|spec| matches!(spec.loc, Loc::MmxReg | Loc::MmxOrMem | Loc::MmxRm))
                && self.all_slots().iter().any(|slot| slot.kind == SlotKind::Mmx)
    }

    /// Components of the operands that are registers.
    fn operands_state(&self, written: bool) -> StateUse {
        let mut components = 0;
        for (i, slot) in self.slots().iter().enumerate() {
            let uses = self.uses(i);
            if if written { uses.writes() } else { uses.reads() } {
                components |= match slot.kind {
                    SlotKind::Vector if written => vector_components(slot.reg, !self.is_vex()),
                    SlotKind::Vector => read_vector(slot.reg, slot.size),
                    SlotKind::VectorSet => SSE,
                    SlotKind::Mask => OPMASK,
                    SlotKind::Mmx | SlotKind::St => X87,
                    SlotKind::Gpr if slot.reg >= 16 => APX,
                    SlotKind::Bound => BNDREGS,
                    SlotKind::Tile => TILEDATA,
                    _ => 0,
                };
            }
        }
        StateUse::of(components)
    }

    /// State that neither operands nor other properties of the row tell.
    fn implied_state(&self, written: bool) -> StateUse {
        use Implied::*;
        let (row, implied) = (self.row, self.row.implied);
        let mut state = StateUse::default();
        if matches!(row.gate, Gate::Tile | Gate::TileData | Gate::TileAvx512) {
            state.components |= match (implied, written) {
                (LoadTiles | ReleaseTiles, true) => TILECFG | TILEDATA,
                (LoadTiles | ReleaseTiles, false) | (StoreTiles, true) => 0,
                (_, false) => TILECFG,
                // The row at which an interrupted one goes on.
                _ if row.is(attr::SIBMEM) => TILECFG,
                _ => 0,
            };
        }
        state.and(match (implied, written) {
            (Save | SaveChanged | SaveCompacted | SaveSupervisor, false) => EVERYTHING,
            (Restore | RestoreSupervisor, true) => EVERYTHING,
            (ReadKeys, false) | (WriteKeys, true) => StateUse::of(PKRU),
            (Bounds | BoundsTable, false) => StateUse::of(BNDCSR),
            (Command, false) => StateUse::of(PASID),
            (InterruptFlag | UserReturn, _) | (TestInterruptFlag | SendInterrupt, false) => StateUse::of(UINTR),
            (Profiled | Profiling, _) => StateUse::of(LWP),
            (WriteShadow, false) | (BranchTarget, _) => StateUse::of(CET),
            (ReadShadow, false) => StateUse { ssp: true, ..StateUse::of(CET) },
            (SkipShadow | ShadowToken | OtherToken, written) => {
                StateUse { ssp: true, ..StateUse::of(if written { 0 } else { CET }) }
            }
            (Call | Return | FarReturn | InterruptReturn | Interrupt | EventReturn, _) => SHADOW,
            (SystemCall | SystemReturn | SystemEnter | SystemExit, _) => SHADOW,
            _ => StateUse::default(),
        });
        // More than a row's flags can name: TF, IOPL, RF, ID.
        state.flags = match (implied, written) {
            // SYSENTER pushes all flags and loads new ones where it is an event of FRED.
            (PushFlags | SystemCall | SystemEnter | Interrupt, false) => rflags::DEFINED,
            (PopFlags, true) => rflags::DEFINED & !rflags::VM,
            (InterruptReturn | SystemReturn | EventReturn | UserReturn | Resume, true) => rflags::DEFINED,
            (SystemCall | SystemEnter | Interrupt, true) => rflags::DEFINED,
            _ => 0,
        };
        if implied == UserReturn {
            state.and(SHADOW);
        }
        state
    }
}

/// The components that hold the first `size` bytes of a vector register.
fn read_vector(reg: u8, size: u16) -> u64 {
    match (reg, size) {
        (16.., _) => HI16_ZMM,
        (_, 0..=16) => SSE,
        (_, 17..=32) => SSE | AVX,
        _ => SSE | AVX | ZMM_HI256,
    }
}

/// A row's flags as bits of RFLAGS.
fn flags(of: u16) -> u64 {
    u64::from(of & !flag::AC) | if of & flag::AC != 0 { rflags::AC } else { 0 }
}
