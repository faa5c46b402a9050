//! In the place of `replay` where there are no stubs: vector, opmask and x87 instructions are refused.

#[path = "state.rs"]
mod state;

pub(crate) use state::{components, has_state, need_components, need_state};

use crate::access::{Halt, Mem};
use crate::bus::Vmm;
use crate::cpu::Cpu;
use crate::decode::Insn;
use crate::event::Unsupported;
use crate::isa::row::{Shape, X87Op};
use crate::profile::Profile;

const ABSENT: Unsupported = Unsupported::Stubs("this library was built without them");

/// There is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StubRef {}

/// Replays nothing.
#[derive(Debug)]
pub(crate) struct Replayer([u8; 64]);

impl Replayer {
    pub(crate) fn denied() -> Replayer {
        Replayer([0; 64])
    }

    pub(crate) fn stub(&self, _: &Insn, _: &mut Option<StubRef>, _: &Profile) -> Result<StubRef, Unsupported> {
        Err(ABSENT)
    }

    pub(crate) fn operand(&mut self) -> &mut [u8; 64] {
        &mut self.0
    }

    pub(crate) fn replay<V: Vmm + ?Sized>(
        &mut self,
        _: Shape,
        _: &mut Cpu,
        _: &Insn,
        _: &mut Mem<'_, V>,
        _: &Profile,
        _: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        Err(ABSENT.into())
    }

    pub(crate) fn execute<V: Vmm + ?Sized>(
        &mut self,
        _: &mut Cpu,
        _: &Insn,
        _: &mut V,
        stub: StubRef,
        _: u32,
    ) -> Result<(), Halt> {
        match stub {}
    }

    pub(crate) fn execute_integer<V: Vmm + ?Sized>(
        &mut self,
        _: &mut Cpu,
        _: &Insn,
        _: &mut V,
        stub: StubRef,
        _: u32,
    ) -> Result<(), Halt> {
        match stub {}
    }

    pub(crate) fn x87(
        &mut self,
        _: X87Op,
        _: &mut Cpu,
        _: &Insn,
        _: &mut Mem<'_, dyn Vmm + '_>,
        _: &Profile,
        _: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        Err(ABSENT.into())
    }

    pub(crate) fn compute(
        &mut self,
        _: X87Op,
        _: &mut Cpu,
        _: &Insn,
        _: &mut dyn Vmm,
        _: &Profile,
        _: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        Err(ABSENT.into())
    }

    pub(crate) fn load_real(
        &mut self,
        _: &mut Cpu,
        _: &Insn,
        _: &mut dyn Vmm,
        _: &Profile,
        _: &mut Option<StubRef>,
        _: u64,
    ) -> Result<(), Halt> {
        Err(ABSENT.into())
    }
}

pub(crate) fn real_done(_: &mut Cpu, _: &Insn, _: u64) {}

pub(crate) fn load_exact(_: &mut Cpu, _: &Insn, _: u64, _: u64) -> bool {
    false
}

pub(crate) fn exact_real(_: &Cpu, _: &Insn) -> Option<u64> {
    None
}

pub(crate) fn real_stored(_: X87Op, _: &mut Cpu, _: &Insn, _: u64) {}
