//! The area of the XSAVE family (SDM volume 1, 13.4 to 13.12).

use super::{Kind, Look, Role};
use crate::address::Intent;
use crate::cpu::Mode;
use crate::cpu::registers::component::{AVX, HI16_ZMM, SSE, X87, ZMM_HI256};
use crate::cpu::registers::gpr::{RAX, RDX};
use crate::isa::row::Implied;

/// The legacy region's parts: FCW to FDP, MXCSR with its mask, ST registers, XMM registers.
const ENVIRONMENT: (u64, u32) = (0, 24);
const MXCSR: (u64, u32) = (24, 8);
const STACK: (u64, u32) = (32, 128);
const XMM: u64 = 160;
const HEADER: u64 = 512;
const EXTENDED: u64 = 576;

impl Look<'_> {
    /// Components that the instruction is to save or restore: EDX:EAX of those enabled.
    fn requested(&self, supervisor: bool) -> u64 {
        let (cpu, s) = (self.cpu, self.cpu.system());
        let enabled = s.xcr0 | if supervisor { s.xss } else { 0 };
        (cpu.gpr[RDX] << 32 | cpu.gpr[RAX] & 0xffff_ffff) & enabled & !(1 << 63)
    }

    /// Bytes of a component that there are in this mode, of the `size` it has in the area.
    fn present(&self, n: u32, size: u32) -> u32 {
        match 1 << n {
            _ if self.insn.mode() == Mode::Long64 => size,
            // Registers 8 to 15 and 16 to 31 are those of 64-bit mode.
            AVX | ZMM_HI256 => size / 2,
            HI16_ZMM => 0,
            _ => size,
        }
    }

    /// One part of the area.
    fn part(&mut self, (offset, len): (u64, u32), kind: Kind, sure: bool) {
        let intent = if kind == Kind::Read { Intent::Read } else { Intent::Write };
        let at = self.operand_byte(offset, intent);
        if len == 0 {
            return;
        }
        if sure { self.push(at, len, kind, Role::Operand) } else { self.maybe(at, len, kind) }
    }

    fn legacy_region(&mut self, requested: u64, kind: Kind, sure: bool) {
        let registers = if self.insn.mode() == Mode::Long64 { 16 } else { 8 };
        if requested & X87 != 0 {
            self.part(ENVIRONMENT, kind, sure);
            self.part(STACK, kind, sure);
        }
        if requested & (SSE | AVX) != 0 {
            self.part(MXCSR, kind, sure);
        }
        if requested & SSE != 0 {
            self.part((XMM, 16 * registers), kind, sure);
        }
    }

    /// The extended region in the standard or the compacted format. A component without a known place ends the list.
    fn extended_region(&mut self, requested: u64, compacted: bool, kind: Kind, sure: bool) {
        let mut end = EXTENDED;
        for n in (2..63).filter(|n| requested >> n & 1 != 0) {
            let area = self.profile.xsave_area(n);
            let area = if compacted { area.or_else(|| self.profile.supervisor_area(n)) } else { area };
            let Some(area) = area else { return self.more() };
            let offset = match (compacted, area.aligned) {
                (false, _) => area.offset.into(),
                (true, false) => end,
                (true, true) => end.next_multiple_of(64),
            };
            end = offset + u64::from(area.size);
            self.part((offset, self.present(n, area.size)), kind, sure);
        }
    }

    /// XSAVE writes what it is asked for. The others leave out components in their initial state, or that have not changed
    /// since they were restored.
    pub(super) fn save_area(&mut self) {
        let implied = self.insn.row.implied;
        let supervisor = implied == Implied::SaveSupervisor;
        let compacted = supervisor || implied == Implied::SaveCompacted;
        let requested = self.requested(supervisor);
        let sure = implied == Implied::Save;
        self.legacy_region(requested, Kind::Write, sure);
        self.extended_region(requested, compacted, Kind::Write, sure);
        if compacted {
            self.part((HEADER, 16), Kind::Write, true);
        } else {
            // Bits of XSTATE_BV that are not asked for stay.
            self.part((HEADER, 8), Kind::ReadWrite, true);
        }
    }

    /// What the header says is restored, and in the format that it says.
    pub(super) fn restore_area(&mut self) {
        let supervisor = self.insn.row.implied == Implied::RestoreSupervisor;
        let requested = self.requested(supervisor);
        self.part((HEADER, 64), Kind::Read, true);
        self.legacy_region(requested, Kind::Read, false);
        if !supervisor {
            self.extended_region(requested, false, Kind::Read, false);
        }
        self.more();
    }
}
