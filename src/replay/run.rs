//! Around a stub: the operand in, MXCSR, the call, the operand out, flags.

use super::state::is_quiet;
use super::traps::{FloatTraps, Unmasked};
use super::{Replayer, components, float, gather, need_state, vector};
use crate::access::{Halt, Mem};
use crate::address::{self, Intent};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::component;
use crate::cpu::{Cpu, Mode, obstacle};
use crate::decode::{Insn, NO_REG, SlotKind};
use crate::event::{Event, Unsupported};
use crate::integer::{self, next_rip};
use crate::isa::Feature;
use crate::isa::row::{Class, Exec, Masking, Shape, Space, Tuple, Use, attr};
use crate::profile::{Profile, Vendor};
use encore86_stubs::{Exit, StubRef};

/// Exception flags that are found before the computation: IE, DE, ZE.
const PRE_COMPUTATION: u32 = 7;
const OE: u32 = 1 << 3;
pub(super) const UE: u32 = 1 << 4;
/// Exceptions of a result that is too great or too small.
pub(super) const EXTREMES: u32 = OE | UE;
const PE: u32 = 1 << 5;
pub(super) const FTZ: u32 = 1 << 15;
/// DAZ, rounding control, FTZ.
pub(super) const CONTROL: u32 = 0xe040;
pub(super) const ALL_MASKED: u32 = 0x1f80;

/// The elements of a memory operand that an opmask or a vector of signs leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active {
    pub(super) bits: u64,
    /// Width of an element in memory.
    pub(super) width: usize,
    /// Elements there are in all.
    pub(super) count: usize,
}

impl Replayer {
    /// Runs a vector or opmask instruction and moves RIP past it.
    ///
    /// # Errors
    /// Registers are unchanged, but for MXCSR's sticky flags and the progress of gathers and scatters.
    #[inline]
    pub(crate) fn replay<V: Vmm + ?Sized>(
        &mut self,
        shape: Shape,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, V>,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        need_state(cpu, mem)?;
        match shape {
            Shape::Plain if insn.mem() == NO_REG => {
                let stub = self.stub(insn, held, profile)?;
                self.execute(cpu, insn, mem.vmm, stub, components(insn))?;
            }
            Shape::Plain if idles(cpu, insn) => {
                let stub = self.stub(insn, held, profile)?;
                self.execute(cpu, insn, mem.vmm, stub, components(insn))?;
            }
            Shape::Plain => self.plain(cpu, insn, mem, profile, held)?,
            Shape::Compress | Shape::Expand | Shape::SignMask if insn.mem() == NO_REG => {
                let stub = self.stub(insn, held, profile)?;
                self.execute(cpu, insn, mem.vmm, stub, components(insn))?;
            }
            Shape::Compress | Shape::Expand | Shape::SignMask => {
                let stub = self.stub(insn, held, profile)?;
                self.masked(shape, cpu, insn, mem, profile, stub)?;
            }
            Shape::Mmx => self.mmx(cpu, insn, mem, profile, held)?,
            Shape::ByteMask if insn.slot(0).kind == SlotKind::Mmx => {
                gather::byte_mask_mmx(cpu, insn, mem, profile.vendor())?
            }
            Shape::ByteMask => gather::byte_mask(cpu, insn, mem)?,
            Shape::Gather => gather::gather(cpu, insn, mem)?,
            Shape::Scatter => gather::scatter(cpu, insn, mem)?,
            Shape::Prefetch => gather::prefetch(cpu, insn, mem)?,
        }
        cpu.rip = next_rip(cpu, insn);
        Ok(())
    }

    /// One memory operand, whole or under an opmask that suppresses faults.
    #[inline]
    pub(super) fn plain<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, V>,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        let uses = insn.row.operands[insn.mem() as usize].uses;
        if by_elements(insn, uses) {
            let stub = self.stub(insn, held, profile)?;
            return self.masked(Shape::Plain, cpu, insn, mem, profile, stub);
        }
        let size = u64::from(insn.slot(insn.mem() as usize).size);
        let intent = if uses.writes() { Intent::Write } else { Intent::Read };
        let linear = match operand_address(cpu, insn, size, intent, profile) {
            Ok(linear) => linear,
            Err(event) if size == 64 && uses.writes() => return Err(refused_store(cpu, insn, mem, profile, event)),
            Err(event) => return Err(event.into()),
        };
        let stub = self.stub(insn, held, profile)?;
        let size = size.min(64) as usize;
        if uses.reads() {
            let size = read_length(insn, size);
            let access = mem.access(AccessKind::Read, size as u16);
            mem.read_last(linear, &mut self.scratch.1.0[..size], &access)?;
        }
        let sticky = cpu.vector.mxcsr;
        if uses.writes() && insn.row.is(attr::MXCSR) {
            // What is wrong with the store comes before what is wrong with the numbers.
            mem.probe(linear, size, &mem.access(AccessKind::Write, size as u16))?;
        }
        self.execute(cpu, insn, mem.vmm, stub, components(insn))?;
        if uses.writes() {
            let access = mem.access(AccessKind::Write, size as u16);
            let stored = mem.write_last(linear, &self.scratch.1.0[..size], &access);
            // A store that fails raises no flags (VCVTPS2PH).
            return stored.inspect_err(|_| cpu.vector.mxcsr = sticky);
        }
        Ok(())
    }

    /// A memory operand of which only the active elements are touched, ascending.
    fn masked<V: Vmm + ?Sized>(
        &mut self,
        shape: Shape,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, V>,
        profile: &Profile,
        stub: StubRef,
    ) -> Result<(), Halt> {
        let at = insn.mem() as usize;
        let uses = insn.row.operands[at].uses;
        let places = Places::of(shape, cpu, insn, uses, profile);
        let active = places.active;
        let (intent, kind) =
            if uses.writes() { (Intent::Write, AccessKind::Write) } else { (Intent::Read, AccessKind::Read) };
        let access = mem.access(kind, active.width as u16);
        if insn.row.class == Class::NoSuppress || shape == Shape::Expand && insn.aaa() == 0 {
            // Checked whole, whatever is active: no suppression, or an expanding load without an opmask.
            let size = insn.slot(at).size;
            let linear = operand_address(cpu, insn, u64::from(size), intent, profile)?;
            mem.probe(linear, usize::from(size), &mem.access(kind, size))?;
        } else if insn.row.class == Class::Aligned && active.bits != 0 {
            let linear = address::unchecked(cpu, insn.seg, address::effective(cpu, insn));
            check_alignment(linear, insn.slot(at).size)?;
        }
        if uses.writes() {
            // As in `plain`.
            probe_elements(cpu, insn, mem, places, intent, &access, insn.row.is(attr::MXCSR))?;
            let sticky = cpu.vector.mxcsr;
            self.execute(cpu, insn, mem.vmm, stub, components(insn))?;
            let stored = self.store_elements(cpu, insn, mem, places, &access);
            return stored.inspect_err(|_| cpu.vector.mxcsr = sticky);
        }
        self.scratch.1.0.fill(0);
        // No device is read before every element is known to answer.
        probe_elements(cpu, insn, mem, places, intent, &access, false)?;
        for place in places.iter() {
            let linear = element_address(cpu, insn, places, place, intent)?;
            mem.read(linear, &mut self.scratch.1.0[place..place + active.width], &access)?;
        }
        self.execute(cpu, insn, mem.vmm, stub, components(insn))
    }

    /// Writes the active elements of the local operand to memory.
    fn store_elements<V: Vmm + ?Sized>(
        &self,
        cpu: &Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, V>,
        places: Places,
        access: &Access,
    ) -> Result<(), Halt> {
        let width = places.active.width;
        for place in places.iter() {
            let linear = element_address(cpu, insn, places, place, Intent::Write)?;
            mem.write(linear, &self.scratch.1.0[place..place + width], access)?;
        }
        Ok(())
    }

    /// Calls the stub and commits flags; the stub has stored the registers, which lie in the components `dirty`.
    pub(super) fn execute<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        stub: StubRef,
        dirty: u32,
    ) -> Result<(), Halt> {
        if insn.row.is(attr::MXCSR) {
            return self.execute_float(cpu, insn, vmm, stub, dirty);
        }
        let exit = self.call(stub, cpu, vmm)?;
        let written = u64::from(insn.row.flags.written);
        if written != 0 {
            cpu.merge_flags(written, exit.rflags());
        }
        cpu.dirty |= u64::from(dirty);
        Ok(())
    }

    /// The same under the guest's MXCSR: exceptions are masked for the run and looked at afterwards.
    fn execute_float<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        stub: StubRef,
        dirty: u32,
    ) -> Result<(), Halt> {
        let mxcsr = cpu.vector.mxcsr;
        let quiet = is_quiet(insn);
        let unmasked = if quiet { 0 } else { !(mxcsr >> 7) & 0x3f };
        if unmasked != 0 && (self.traps != FloatTraps::Never || insn.row.is(attr::STAGED | attr::MASKED_EXTREMES)) {
            match self.traps.way(insn.row, unmasked) {
                Unmasked::ByRules => {}
                Unmasked::Staged => return self.execute_staged(cpu, insn, vmm, dirty),
                Unmasked::Trapped(signals) => return self.execute_trapped(cpu, insn, vmm, (stub, dirty), signals),
                Unmasked::Undecided => return Err(Unsupported::Instruction(insn.row.mnemonic).into()),
            }
        }
        let (exit, tiny) = if unmasked & UE == 0 || insn.row.is(attr::NO_UNDERFLOW) {
            // FTZ acts only while underflow is masked.
            let control = if unmasked & UE == 0 { CONTROL } else { CONTROL & !FTZ };
            self.scratch.0.mxcsr_run = mxcsr & control | ALL_MASKED;
            self.scratch.0.mxcsr_fatal = unmasked;
            (self.call(stub, cpu, vmm)?, false)
        } else {
            self.run_twice(cpu, insn, vmm, stub, unmasked)?
        };
        let raised = exit.mxcsr_flags();
        if tiny || raised & (OE | UE | unmasked) != 0 {
            self.note(cpu, insn, raised | if tiny { UE } else { 0 }, unmasked);
            if exit.is_fault() || tiny {
                return Err(raised_unmasked(cpu));
            }
        } else {
            cpu.vector.mxcsr |= raised;
        }
        let written = u64::from(insn.row.flags.written);
        if written != 0 {
            cpu.merge_flags(written, exit.rflags());
        }
        cpu.dirty |= u64::from(dirty);
        Ok(())
    }

    /// With underflow unmasked: FTZ acts only while it is masked, and a tiny exact result faults although the masked run
    /// does not flag it. A trial with FTZ on shows it; says so, and leaves the destination as it was.
    #[cold]
    #[inline(never)]
    fn run_twice<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        stub: StubRef,
        unmasked: u32,
    ) -> Result<(Exit, bool), Halt> {
        let run = cpu.vector.mxcsr & CONTROL | ALL_MASKED;
        self.scratch.0.mxcsr_run = run | FTZ;
        self.scratch.0.mxcsr_fatal = 0x3f;
        let slot = insn.slot(0);
        let saved = *vector(cpu, slot.reg);
        let unseen = float::is_tiny_unseen(cpu, insn);
        let trial = self.call(stub, cpu, vmm)?;
        if !trial.is_fault() {
            if unseen && slot.kind == SlotKind::Vector {
                cpu.vector.zmm[slot.reg as usize & 31] = saved;
            }
            return Ok((trial, unseen));
        }
        self.scratch.0.mxcsr_run = run & !FTZ;
        self.scratch.0.mxcsr_fatal = unmasked;
        let exit = self.call(stub, cpu, vmm)?;
        let tiny = unseen || trial.mxcsr_flags() & UE != 0;
        if tiny && slot.kind == SlotKind::Vector {
            cpu.vector.zmm[slot.reg as usize & 31] = saved;
        }
        Ok((exit, tiny))
    }

    /// Makes the flags sticky that an instruction raised whose exceptions were masked.
    #[inline(always)]
    pub(crate) fn raise(&mut self, cpu: &mut Cpu, insn: &Insn, exit: Exit) {
        let raised = exit.mxcsr_flags();
        // Flags that stand already are not stored again: the next instruction's MXCSR would wait for what this one has raised.
        if raised & !cpu.vector.mxcsr != 0 {
            if raised & EXTREMES != 0 { self.note(cpu, insn, raised, 0) } else { cpu.vector.mxcsr |= raised }
        }
    }

    /// Makes the flags sticky that the instruction raised.
    #[cold]
    #[inline(never)]
    fn note(&mut self, cpu: &mut Cpu, insn: &Insn, mut raised: u32, unmasked: u32) {
        let extreme = raised & EXTREMES;
        if extreme != 0 && extreme & !unmasked == 0 && !float::rounds(cpu, insn, &self.scratch.1.0) {
            raised &= !PE;
        }
        let before = raised & unmasked & PRE_COMPUTATION != 0;
        cpu.vector.mxcsr |= if before { raised & PRE_COMPUTATION } else { raised };
        cpu.dirty |= component::SSE;
    }
}

/// Does MXCSR mask all exceptions?
#[inline(always)]
pub(crate) fn all_masked(cpu: &Cpu) -> bool {
    cpu.vector.mxcsr & ALL_MASKED == ALL_MASKED
}

/// #XM, or #UD with CR4.OSXMMEXCPT clear.
#[cold]
pub(super) fn raised_unmasked(cpu: &Cpu) -> Halt {
    if cpu.word().bits & obstacle::NO_OSXMMEXCPT != 0 {
        Event::ud("an unmasked SIMD floating-point exception with CR4.OSXMMEXCPT clear").into()
    } else {
        Event::xm("an unmasked SIMD floating-point exception").into()
    }
}

/// Is a plain operand accessed by its active elements? Forms without fault suppression read all of it.
#[inline(always)]
fn by_elements(insn: &Insn, uses: Use) -> bool {
    let whole = insn.row.class == Class::NoSuppress && !uses.writes() || insn.row.is(attr::BLOCK);
    insn.aaa() != 0 && !whole
}

/// Does an empty opmask leave the elements of a block unread?
#[inline(always)]
fn idles(cpu: &Cpu, insn: &Insn) -> bool {
    let results = u32::from(insn.vl() / 4);
    let scalar = insn.row.is(attr::LIG);
    let mask = if scalar { 1 } else { (1_u64 << results) - 1 };
    insn.row.is(attr::BLOCK) && insn.aaa() != 0 && cpu.vector.k[insn.aaa() as usize & 7] & mask == 0
}

/// Bytes that are read of an operand of `size`.
#[inline(always)]
fn read_length(insn: &Insn, size: usize) -> usize {
    if insn.row.is(attr::LOW_HALF) && size == 16 { 8 } else { size }
}

/// Calls `each` with the address and length of what an instruction accesses of its operand in memory, ascending.
pub(crate) fn reach(shape: Shape, cpu: &Cpu, insn: &Insn, profile: &Profile, each: &mut dyn FnMut(u64, u16)) {
    let Some((slot, uses)) = insn.memory() else {
        if shape == Shape::ByteMask {
            gather::masked_bytes(cpu, insn, each);
        }
        return;
    };
    let intent = if uses.writes() { Intent::Write } else { Intent::Read };
    let whole = match shape {
        Shape::Gather | Shape::Scatter | Shape::Prefetch => return gather::elements(cpu, insn, intent, each),
        Shape::ByteMask => return,
        Shape::Plain if idles(cpu, insn) => return,
        Shape::Plain | Shape::Mmx => !by_elements(insn, uses),
        Shape::Compress | Shape::Expand | Shape::SignMask => false,
    };
    if whole {
        let size = if uses.reads() { read_length(insn, slot.size.into()) as u16 } else { slot.size };
        let at = address::asked(cpu, insn.seg, address::effective(cpu, insn), slot.size.into(), intent);
        return each(at, size);
    }
    let places = Places::of(shape, cpu, insn, uses, profile);
    let width = places.active.width as u16;
    for place in places.iter() {
        each(address::asked(cpu, insn.seg, element_offset(cpu, insn, places, place), width.into(), intent), width);
    }
}

/// Probes the active elements. A single one is accessed at once instead, unless it is wanted by `single`.
fn probe_elements<V: Vmm + ?Sized>(
    cpu: &Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    places: Places,
    intent: Intent,
    access: &Access,
    single: bool,
) -> Result<(), Halt> {
    let width = places.active.width;
    for place in places.iter().take(if single || places.are_several() { usize::MAX } else { 0 }) {
        let linear = element_address(cpu, insn, places, place, intent)?;
        mem.probe(linear, width, access)?;
    }
    Ok(())
}

/// The alignment that moves of class E1 want.
fn check_alignment(linear: u64, size: u16) -> Result<(), Event> {
    if size != 0 && !linear.is_multiple_of(u64::from(size)) {
        return Err(Event::gp0("the operand is not aligned to its size"));
    }
    Ok(())
}

/// The linear address of a whole operand, with the alignment that its class asks for.
#[inline]
fn operand_address(cpu: &Cpu, insn: &Insn, size: u64, intent: Intent, profile: &Profile) -> Result<u64, Event> {
    let offset = address::effective(cpu, insn);
    match address::linear(cpu, insn.seg, offset, size, intent) {
        Ok(at) if at & (size - 1) == 0 || insn.row.class == Class::Free && !cpu.word().alignment_check() => Ok(at),
        linear => misaligned(cpu, insn, size, profile, linear),
    }
}

/// An operand that is refused or not aligned to its size. The #GP of instructions that want alignment comes before that of
/// a limit or of an address which is not canonical.
#[cold]
fn misaligned(cpu: &Cpu, insn: &Insn, size: u64, profile: &Profile, linear: Result<u64, Event>) -> Result<u64, Event> {
    let legacy = match insn.row.class {
        Class::AlignedLegacy => size == 16 && insn.row.space == Space::Legacy,
        Class::AlignedIntel => profile.vendor() != Vendor::Amd,
        _ => false,
    };
    // MXCSR.MM, on AMD, turns the #GP into an alignment check.
    let allowed = cpu.vector.mxcsr >> 17 & 1 != 0 && profile.has(Feature::Misalignsse);
    if insn.row.class == Class::Aligned || legacy && !allowed {
        check_alignment(address::unchecked(cpu, insn.seg, address::effective(cpu, insn)), size as u16)?;
    }
    let linear = linear?;
    integer::aligned(cpu, linear, size.min(16) as u16)?;
    Ok(linear)
}

/// A store of 64 bytes that is refused with `event`. AMD's processors store it in halves, and find what is wrong with the
/// first, be it a page fault, before what is wrong with the second.
#[cold]
fn refused_store<V: Vmm + ?Sized>(
    cpu: &Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, V>,
    profile: &Profile,
    event: Event,
) -> Halt {
    const HALF: u16 = 32;
    let offset = address::effective(cpu, insn);
    let misaligned = !address::unchecked(cpu, insn.seg, offset).is_multiple_of(64);
    if profile.vendor() != Vendor::Amd || insn.row.class == Class::Aligned && misaligned {
        return event.into();
    }
    let first = address::linear(cpu, insn.seg, offset, u64::from(HALF), Intent::Write).and_then(|linear| {
        integer::aligned(cpu, linear, 16)?;
        Ok(linear)
    });
    match first {
        Ok(linear) => {
            let access = mem.access(AccessKind::Write, HALF);
            mem.probe(linear, usize::from(HALF), &access).err().unwrap_or(event.into())
        }
        Err(event) => event.into(),
    }
}

/// The linear address of the element at `place` bytes into the operand, with the checks of its access.
///
/// The elements of VMASKMOV have addresses of their own, which wrap at the address size, and are not checked for alignment.
/// Those under an opmask lie side by side as in one operand, and are aligned each to its width (both as AMD's Zen 4 has it).
/// The upper half of a store of 64 bytes, which those processors make by itself, wraps as a whole.
fn element_address(cpu: &Cpu, insn: &Insn, places: Places, place: usize, intent: Intent) -> Result<u64, Event> {
    let (offset, width) = (element_offset(cpu, insn, places, place), places.active.width);
    let linear = address::linear(cpu, insn.seg, offset, width as u64, intent)?;
    if insn.row.exec != Exec::Replay(Shape::SignMask) {
        integer::aligned(cpu, linear, width as u16)?;
    }
    Ok(linear)
}

/// The offset in the segment of the element at `place`.
fn element_offset(cpu: &Cpu, insn: &Insn, places: Places, place: usize) -> u64 {
    const HALF: usize = 32;
    let offset = address::effective(cpu, insn);
    // Only where all of it lies beyond the end.
    let wraps =
        places.halves && place >= HALF && address::truncate(offset.wrapping_add(HALF as u64), insn.asize()) == 0;
    let offset = if wraps { (place - HALF) as u64 } else { offset.wrapping_add(place as u64) };
    let own = insn.row.exec == Exec::Replay(Shape::SignMask);
    if own { address::truncate(offset, insn.asize()) } else { offset }
}

/// Byte offsets of the active elements in the local and the guest's operand.
#[derive(Clone, Copy)]
struct Places {
    active: Active,
    packed: bool,
    /// The operand is stored in two halves.
    halves: bool,
    broadcast: bool,
}

impl Places {
    fn of(shape: Shape, cpu: &Cpu, insn: &Insn, uses: Use, profile: &Profile) -> Places {
        let size = insn.slot(insn.mem() as usize).size;
        Places {
            active: active_elements(shape, cpu, insn),
            packed: matches!(shape, Shape::Compress | Shape::Expand),
            halves: size == 64 && uses.writes() && profile.vendor() == Vendor::Amd && insn.mode != Mode::Long64,
            broadcast: broadcast(insn).is_some(),
        }
    }

    fn are_several(self) -> bool {
        !self.broadcast && self.active.bits.count_ones() > 1
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        let Active { bits, width, count } = self.active;
        let packed = if self.packed { bits.count_ones() as usize } else { 0 };
        let single = usize::from(self.broadcast && bits != 0);
        let total = if self.broadcast {
            single
        } else if self.packed {
            packed
        } else {
            count
        };
        let all = self.packed || self.broadcast;
        (0..total).filter(move |&i| all || bits >> i & 1 != 0).map(move |i| i * width)
    }
}

/// How many elements of the result come from the one in memory: embedded broadcast, VBROADCASTSS and its like.
fn broadcast(insn: &Insn) -> Option<usize> {
    let row = insn.row;
    let whole = row.exec == Exec::Replay(Shape::Plain)
        && row.tuple == Tuple::Scalar
        && row.masking != Masking::None
        && !row.is(attr::LIG);
    if whole { Some(usize::from(insn.vl() / row.element)) } else { insn.broadcast().map(usize::from) }
}

/// Which elements of the memory operand the instruction touches.
fn active_elements(shape: Shape, cpu: &Cpu, insn: &Insn) -> Active {
    let width = usize::from(insn.row.element).max(1);
    let size = usize::from(insn.slot(insn.mem() as usize).size);
    let count = match broadcast(insn) {
        Some(count) => count,
        None => size / width,
    };
    let all = if count >= 64 { u64::MAX } else { (1 << count) - 1 };
    let bits = if shape == Shape::SignMask {
        sign_bits(&vector(cpu, insn.vvvv()).0, width, count)
    } else if insn.aaa() == 0 {
        all
    } else {
        repeated(insn, count, cpu.vector.k[insn.aaa() as usize & 7]) & all
    };
    Active { bits, width, count }
}

/// The opmask by elements of memory: of a tuple that is loaded once and repeated, each is active for all of its copies.
fn repeated(insn: &Insn, count: usize, k: u64) -> u64 {
    let reads = insn.row.operands[insn.mem() as usize].uses.reads();
    if !reads || !matches!(insn.row.tuple, Tuple::T2 | Tuple::T4 | Tuple::T8) {
        return k;
    }
    let results = usize::from(insn.vl() / insn.row.element);
    (0..results).step_by(count.max(1)).fold(0, |bits, i| bits | (k & ((1 << results) - 1)) >> i)
}

/// The sign bits of `count` elements of `width` bytes.
pub(super) fn sign_bits(bytes: &[u8; 64], width: usize, count: usize) -> u64 {
    (0..count.min(64 / width)).fold(0, |bits, i| bits | u64::from(bytes[i * width + width - 1] >> 7) << i)
}
