//! Vector, opmask and x87 instructions, replayed on the host.
//!
//! `rewrite` encodes the instruction again with local operands, `recipe` says which registers its stub moves, `run` reads
//! and writes guest memory around the call, `mmx` keeps the x87 state beneath MMX registers, `gather` does the sequences that
//! need no stub, `staged` dot products under unmasked exceptions, `traps` what the host decides by SIGFPE, `x87` the stack.

mod float;
mod gather;
mod mmx;
mod recipe;
mod rewrite;
mod run;
mod staged;
mod state;
mod traps;
mod x87;

pub use encore86_stubs::FloatSignals;
pub(crate) use encore86_stubs::StubRef;
pub use rewrite::{Rewritten, rewritten};
pub(crate) use run::{all_masked, reach};
pub(crate) use state::{components, has_state, need_components, need_state, vector_components};
pub use traps::FloatTraps;
pub(crate) use x87::{computes_alone, exact_real, image_parts, load_exact, real_computed, real_done, real_stored};

use crate::bus::Vmm;
use crate::cpu::{Cpu, Zmm};
use crate::decode::Insn;
use crate::event::Unsupported;
use crate::isa::row::{attr, sel};
use crate::isa::{Feature, Row};
use crate::profile::Profile;
use encore86_stubs::{CodeMemory, Exit, MapError, Recipe, Scratch, StubCache, StubError};
use run::{ALL_MASKED, CONTROL};

/// Local operand of a replayed instruction, behind it nothing that matters.
#[repr(C, align(64))]
#[derive(Debug)]
struct Operand([u8; 64]);

/// Stubs and the buffers that they work on.
#[derive(Debug)]
pub(crate) struct Replayer {
    stubs: Option<StubCache>,
    scratch: Box<(Scratch, Operand)>,
    /// Every feature: rewritten instructions are decoded again with it before they are installed.
    verify: Profile,
    host: recipe::Host,
    pub(crate) traps: FloatTraps,
}

impl Replayer {
    /// A replayer with its own memory.
    ///
    /// # Errors
    /// [`MapError`] when the host denies it.
    pub(crate) fn new(len: usize) -> Result<Replayer, MapError> {
        Ok(Replayer { stubs: Some(StubCache::with_len(len)?), ..Replayer::denied() })
    }

    /// A replayer over the caller's memory.
    ///
    /// # Errors
    /// [`MapError`] when it has an unfit length.
    pub(crate) fn with_memory(memory: Box<dyn CodeMemory>) -> Result<Replayer, MapError> {
        Ok(Replayer { stubs: Some(StubCache::new(memory)?), ..Replayer::denied() })
    }

    /// A replayer that can replay nothing.
    pub(crate) fn denied() -> Replayer {
        Replayer {
            stubs: None,
            scratch: Box::new((Scratch::new(), Operand([0; 64]))),
            verify: Profile::all(),
            host: recipe::Host::detect(),
            traps: FloatTraps::Never,
        }
    }

    /// The instruction's stub: the one the decode cache holds, one of the cache, or a new one.
    #[inline(always)]
    pub(crate) fn stub(
        &mut self,
        insn: &Insn,
        held: &mut Option<StubRef>,
        profile: &Profile,
    ) -> Result<StubRef, Unsupported> {
        if let (Some(stub), Some(stubs)) = (*held, &self.stubs)
            && stubs.is_current(stub)
        {
            return Ok(stub);
        }
        let stub = self.find_or_make(insn, profile)?;
        *held = Some(stub);
        Ok(stub)
    }

    /// Makes sure that the decode cache holds the stub, for a lane that wants it there. If there is none to be had, the general line
    /// says why.
    pub(crate) fn prepare(&mut self, insn: &Insn, held: &mut Option<StubRef>, profile: &Profile) {
        let _ = self.stub(insn, held, profile);
    }

    #[cold]
    fn find_or_make(&mut self, insn: &Insn, profile: &Profile) -> Result<StubRef, Unsupported> {
        if let Some(name) = host_lacks(insn, profile) {
            return Err(Unsupported::HostLacks(name));
        }
        self.make(insn)
    }

    /// The stub of an instruction that the host is known to have.
    fn make(&mut self, insn: &Insn) -> Result<StubRef, Unsupported> {
        let (host, verify) = (self.host, &self.verify);
        let Some(stubs) = &mut self.stubs else {
            return Err(Unsupported::Stubs("the host denied executable memory"));
        };
        let rewritten = rewrite::rewrite(insn);
        let key = rewritten.key();
        if let Some(stub) = stubs.lookup(key) {
            return Ok(stub);
        }
        rewrite::verify(insn, &rewritten, verify)?;
        // Filled where it is: a copy would wait for its small pieces.
        let mut recipe = Recipe::new(rewritten.body()?);
        recipe::fill(&mut recipe, insn, host)?;
        Ok(stubs.install(key, &recipe)?)
    }

    /// The stub that the decode cache holds, with what it works on; `None` if it is still to be made.
    #[inline(always)]
    pub(crate) fn ready(&mut self, held: Option<StubRef>) -> Option<Ready<'_>> {
        let stub = self.stubs.as_ref()?.ready(held?)?;
        let (scratch, operand) = &mut *self.scratch;
        Some(Ready { stub, scratch, operand })
    }

    /// Calls a stub on the guest's state and the local operand.
    #[inline(always)]
    fn call<V: Vmm + ?Sized>(&mut self, stub: StubRef, cpu: &mut Cpu, vmm: &mut V) -> Result<Exit, Unsupported> {
        let Some(stubs) = &self.stubs else {
            return Err(Unsupported::Stubs("the host denied executable memory"));
        };
        let Some(ready) = stubs.ready(stub) else { return Err(stub_error(stubs.why_not())) };
        let (scratch, operand) = &mut *self.scratch;
        Ok(Ready { stub: ready, scratch, operand }.call(cpu, vmm))
    }
}

/// A stub and what it works on, which belong to it until the call.
#[derive(Debug)]
pub(crate) struct Ready<'a> {
    stub: encore86_stubs::Ready<'a>,
    scratch: &'a mut Scratch,
    operand: &'a mut Operand,
}

impl Ready<'_> {
    /// The local operand.
    #[inline(always)]
    pub(crate) fn operand(&mut self) -> &mut [u8; 64] {
        &mut self.operand.0
    }

    /// Calls the stub on the guest's state and the local operand.
    #[inline(always)]
    pub(crate) fn call<V: Vmm + ?Sized>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Exit {
        let state = core::ptr::from_mut(cpu).cast::<u8>();
        vmm.host_fpu_begin();
        // SAFETY: the recipe's offsets are those of `Cpu`'s fields (`recipe`), and `cpu` is borrowed for the call; the
        // memory operand of the rewritten instruction is `[rsi]` and nothing else (`rewrite::verify`), at most 64 bytes,
        // which `operand` has, aligned to 64; `scratch.top` is the offset of an x87 register (`compute_real`); the host has the instruction (`host_lacks`); all exceptions are masked in
        // `scratch`; the body uses stand-ins for general-purpose registers; the engine itself uses no MMX or x87 state.
        let exit = unsafe { self.stub.call(state, self.operand.0.as_mut_ptr(), self.scratch) };
        vmm.host_fpu_end();
        exit
    }

    /// The same of an instruction under the guest's MXCSR with all exceptions masked; gives the flags that it raised.
    #[inline(always)]
    pub(crate) fn call_masked<V: Vmm + ?Sized>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Exit {
        (self.scratch.mxcsr_run, self.scratch.mxcsr_fatal) = (cpu.vector.mxcsr & CONTROL | ALL_MASKED, 0);
        self.call(cpu, vmm)
    }
}

/// The code of the stub that runs `insn` on a host with AVX-512 or without, whatever this host has. `None` where the
/// engine executes it without a stub.
///
/// # Errors
/// [`Unsupported::Stubs`] where the engine would refuse the stub.
pub fn code(insn: &Insn, avx512: bool) -> Result<Option<Vec<u8>>, Unsupported> {
    let recipe = match rewritten(insn)? {
        Some(rewritten) => recipe::recipe(insn, &rewritten, recipe::Host::new(avx512)).map(Some)?,
        None => x87::recipe_of(insn)?,
    };
    Ok(recipe.map(|recipe| encore86_stubs::code(&recipe)).transpose()?)
}

/// A feature that the instruction needs and the host lacks.
fn host_lacks(insn: &Insn, profile: &Profile) -> Option<&'static str> {
    if profile.host_has_all() {
        return None;
    }
    let row: &Row = insn.row;
    // As in decoding: a length that the row fixes needs no feature of its own.
    let one_length = row.is(attr::LIG) || row.select.mask & sel::L != 0;
    let vl = row.space == crate::isa::row::Space::Evex && insn.vl() < 64 && !one_length;
    let wide_integer = row.is(attr::AVX2_256) && insn.vl() == 32;
    row.features
        .into_iter()
        .chain(vl.then_some(Feature::Avx512vl))
        .chain(wide_integer.then_some(Feature::Avx2))
        // It is replayed in its encoding without APX.
        .filter(|&f| f != Feature::Apx)
        .find(|&f| profile.host_lacks(f))
        .map(Feature::name)
}

fn stub_error(error: StubError) -> Unsupported {
    Unsupported::Stubs(match error {
        StubError::ForkedChild => "this process was forked from the one that made the engine; make a new engine",
        StubError::Stale => "the stub was replaced while it was in use",
        StubError::TooLong => "the stub is longer than four lines",
        StubError::BadRecipe(why) => why,
        StubError::SignalBlocked => "this thread blocks SIGFPE, which the engine was told to use",
        StubError::GenerationsSpent => "all generations of stubs are spent",
        _ => "the stub crate refused",
    })
}

impl From<StubError> for Unsupported {
    fn from(error: StubError) -> Unsupported {
        stub_error(error)
    }
}

/// A vector register's first `len` bytes.
fn vector(cpu: &Cpu, reg: u8) -> &Zmm {
    &cpu.vector.zmm[reg as usize & 31]
}
