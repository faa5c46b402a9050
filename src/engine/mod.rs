//! One instruction along the straight line: fetch, decode, gate, address, read, execute, write, commit.

use crate::bus::Vmm;
use crate::cpu::Cpu;
use crate::decode::Insn;
use crate::event::{Outcome, Unsupported};
use crate::profile::Profile;
pub use encore86_stubs::MapError;

/// What to do with a locked operation that crosses a cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SplitLock {
    /// Make it atomic against all other emulated locked operations of this process, without a bus lock.
    #[default]
    Emulate,
    /// Issue it: about a microsecond, and some hosts kill the process for it.
    Native,
    /// The platform stops the other virtual processors around it.
    Exclusive,
    /// #AC(0), as split-lock detection would.
    Fault,
}

/// Runs instructions of one virtual processor. `Send`, not `Sync`: one engine a virtual processor.
#[derive(Debug)]
pub struct Engine {
    profile: Profile,
    split_lock: SplitLock,
    last: Option<Insn>,
}

impl Engine {
    /// An engine whose guest sees `profile`, with memory for stubs.
    ///
    /// # Errors
    /// [`MapError`] when the host denies executable memory; [`Engine::integer_only`] works without.
    pub fn new(profile: Profile) -> Result<Engine, MapError> {
        Ok(Engine::integer_only(profile))
    }

    /// An engine without stubs: what would be replayed is `Unsupported`.
    pub fn integer_only(profile: Profile) -> Engine {
        Engine { profile, split_lock: SplitLock::default(), last: None }
    }

    /// What the guest's CPUID promises.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Chooses what happens to locked operations that cross a cache line.
    pub fn set_split_lock(&mut self, choice: SplitLock) {
        self.split_lock = choice;
    }

    /// The instruction decoded last, by [`Engine::step`] or [`Engine::step_bytes`].
    pub fn last(&self) -> Option<&Insn> {
        self.last.as_ref()
    }

    /// Runs the instruction at CS:RIP.
    pub fn step<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
        let _ = (cpu, vmm);
        Outcome::Unsupported(Unsupported::Opcode)
    }

    /// Runs the instruction in `bytes` as if it stood at CS:RIP; memory is not fetched from.
    pub fn step_bytes<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, bytes: &[u8]) -> Outcome {
        let _ = (cpu, vmm, bytes);
        Outcome::Unsupported(Unsupported::Opcode)
    }

    /// Drops the journal of an instruction that waits for its retry: it will not be stepped again.
    pub fn abandon(&mut self) {}
}
