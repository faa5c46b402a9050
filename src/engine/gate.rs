//! What the architecture raises before any operand is touched. The hot line tests the mode word; this room says which
//! exception it is.

use crate::cpu::registers::{component, cr4};
use crate::cpu::{Cpu, obstacle};
use crate::decode::Insn;
use crate::event::Event;
use crate::isa::Exec;
use crate::isa::row::{Gate, SysOp};
use crate::system::fred;

/// The exception for an instruction whose gate meets an obstacle. #UD comes before #NM.
#[cold]
pub(super) fn refuse(cpu: &mut Cpu, insn: &Insn) -> Event {
    let met = cpu.word().bits & insn.gate;
    let has = |bit| met & bit != 0;
    if has(obstacle::REAL_V86) {
        return Event::ud("VEX and EVEX need protected mode");
    }
    if has(obstacle::NO_APX) {
        return Event::ud("CR4.OSXSAVE or XCR0 does not enable APX");
    }
    match insn.row.gate {
        Gate::X87 | Gate::Fx => Event::nm("CR0.EM or CR0.TS is set"),
        Gate::Wait => Event::nm("CR0.MP and CR0.TS are set"),
        Gate::Mmx if has(obstacle::EM) => Event::ud("CR0.EM is set"),
        Gate::Sse if has(obstacle::EM) => Event::ud("CR0.EM is set"),
        Gate::Sse if has(obstacle::NO_OSFXSR) => Event::ud("CR4.OSFXSR is clear"),
        Gate::Avx if has(obstacle::NO_AVX) => Event::ud("CR4.OSXSAVE or XCR0 does not enable AVX"),
        Gate::Avx512 if has(obstacle::NO_AVX512) => Event::ud("CR4.OSXSAVE or XCR0 does not enable AVX-512"),
        Gate::TileAvx512 if has(obstacle::NO_AVX512) => Event::ud("CR4.OSXSAVE or XCR0 does not enable AVX-512"),
        Gate::Tile | Gate::TileData | Gate::TileAvx512 if has(obstacle::NO_TILE) => {
            Event::ud("CR4.OSXSAVE or XCR0 does not enable AMX")
        }
        // The #NM of CR0.TS comes first.
        Gate::TileData | Gate::TileAvx512 if has(obstacle::XFD_TILE) && !has(obstacle::TS) => {
            cpu.update(|s| s.xfd_err = s.xfd & component::TILEDATA);
            Event { data: cpu.system().xfd_err as u32, ..Event::nm("IA32_XFD disables tile data") }
        }
        Gate::Xsave | Gate::Xgetbv | Gate::Xsetbv | Gate::Xsaves if has(obstacle::NO_OSXSAVE) => {
            Event::ud("CR4.OSXSAVE is clear")
        }
        // On Zen 4 that comes first.
        Gate::Cpl0 if is_shadow(insn) && cpu.system().cr4 & cr4::CET == 0 => Event::ud("CR4.CET is clear"),
        Gate::Cpl0 if fred::is_unrecognised(cpu, insn) => Event::ud(fred::UNRECOGNISED),
        Gate::Cpl0Ud => Event::ud("the instruction needs CPL 0"),
        Gate::Cpl0 | Gate::Xsetbv => Event::gp0("the instruction needs CPL 0"),
        Gate::Xsaves if has(obstacle::CPL_NOT_0) => Event::gp0("the instruction needs CPL 0"),
        Gate::Iopl => Event::gp0("CPL is above IOPL"),
        _ => Event::nm("CR0.TS is set"),
    }
}

/// Is it an instruction on shadow stacks?
fn is_shadow(insn: &Insn) -> bool {
    matches!(insn.row.exec, Exec::System(SysOp::Shadow(_)))
}
