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

/// What no stub leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit;

impl Exit {
    pub(crate) fn rflags(self) -> u64 {
        0
    }
}

/// No stub is ready.
#[derive(Debug)]
pub(crate) enum Ready {}

impl Ready {
    pub(crate) fn operand(&mut self) -> &mut [u8; 64] {
        match *self {}
    }

    pub(crate) fn call<V: Vmm + ?Sized>(&mut self, _: &mut Cpu, _: &mut V) -> Exit {
        match *self {}
    }

    pub(crate) fn call_masked<V: Vmm + ?Sized>(&mut self, _: &mut Cpu, _: &mut V) -> Exit {
        match *self {}
    }

    pub(crate) fn compute_real<V: Vmm + ?Sized>(&mut self, _: &mut Cpu, _: &mut V, _: bool) -> bool {
        match *self {}
    }
}

pub(crate) fn all_masked(_: &Cpu) -> bool {
    false
}

pub(crate) fn computes_alone(_: &Cpu) -> bool {
    false
}

pub(crate) fn real_computed(_: bool, _: &mut Cpu, _: &Insn, _: u64) {}

/// Replays nothing.
#[derive(Debug)]
pub(crate) struct Replayer;

impl Replayer {
    pub(crate) fn denied() -> Replayer {
        Replayer
    }

    pub(crate) fn prepare(&mut self, _: &Insn, _: &mut Option<StubRef>, _: &Profile) {}

    pub(crate) fn ready(&mut self, held: Option<StubRef>) -> Option<Ready> {
        match held? {}
    }

    pub(crate) fn raise(&mut self, _: &mut Cpu, _: &Insn, _: Exit) {}

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

    pub(crate) fn run_whole<V: Vmm + ?Sized>(
        &mut self,
        _: &mut Cpu,
        _: &Insn,
        _: &mut V,
        _: &Profile,
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
