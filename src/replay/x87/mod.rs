//! The x87 stack: registers, TOP and tags are ours, conversions and constants run on the host.
//!
//! A stub gets its operands as 80-bit values and gives results and the status word of that one operation, run with all
//! exceptions masked. What an unmasked exception would have kept from happening is decided here, before anything of the
//! guest's state changes.
//!
//! That is the way of loads, stores, arithmetic and comparisons as long as nothing is wrong (`operate`). Empty registers,
//! unmasked exceptions and long instructions go another way: the whole state is loaded into the host's x87, the instruction
//! is run, and the state is saved again (`whole`). It costs 100 ns, and what it leaves is the processor's own.

mod image;
mod operand;
mod operate;
mod whole;

pub(crate) use operate::computes_alone;

use super::Replayer;
use crate::access::{Halt, Mem};
use crate::address;
use crate::alu::real;
use crate::bus::{AccessKind, Vmm};
use crate::cpu::registers::gpr::RAX;
use crate::cpu::registers::{component, cr0};
use crate::cpu::segment::Seg;
use crate::cpu::{Cpu, X87};
use crate::decode::{Insn, NO_REG};
use crate::event::{Event, Unsupported};
use crate::integer::next_rip;
use crate::isa::row::{Exec, X87Op, attr};
use crate::profile::{Profile, Vendor};
use encore86_stubs::{Body, Exit, Key, Recipe, StubError, StubRef, X87 as Stack};
pub(crate) use image::parts as image_parts;
use operand::{Operand, read, write};

const IE: u16 = 1;
const DE: u16 = 2;
const OE: u16 = 8;
const UE: u16 = 16;
const PE: u16 = 32;
const SF: u16 = 0x40;
const C1: u16 = 0x200;

/// The default NaN.
const INDEFINITE: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff];

impl Replayer {
    /// Runs an x87 instruction and moves RIP past it.
    ///
    /// # Errors
    /// #MF when an exception is pending and the instruction waits; what the bus answers. The x87 state is unchanged.
    pub(crate) fn x87(
        &mut self,
        op: X87Op,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        if insn.row.is(attr::WAITING) {
            wait(cpu, mem.vmm)?;
        }
        match op {
            X87Op::Wait | X87Op::Ignore | X87Op::Nothing => {}
            X87Op::Init => cpu.x87.init(),
            X87Op::Empty => {
                cpu.x87.set_top(0);
                cpu.x87.ftw = 0;
            }
            X87Op::Clear => cpu.x87.fsw &= 0x7f00,
            X87Op::LoadControl => {
                let mut word = [0; 2];
                read(cpu, insn, mem, &mut word)?;
                cpu.x87.fcw = u16::from_le_bytes(word) & 0x1f7f | 0x40;
                cpu.x87.update_summary();
            }
            X87Op::StoreControl => write(cpu, insn, mem, &cpu.x87.fcw.to_le_bytes())?,
            X87Op::StoreStatus if insn.mem() == NO_REG => {
                cpu.gpr[RAX] = cpu.gpr[RAX] & !0xffff | u64::from(cpu.x87.fsw);
            }
            X87Op::StoreStatus => write(cpu, insn, mem, &cpu.x87.fsw.to_le_bytes())?,
            X87Op::Load | X87Op::LoadReal => self.load(cpu, insn, mem, profile, held)?,
            X87Op::Const => self.constant(cpu, insn, mem, profile, held)?,
            X87Op::LoadSt => {
                let value = cpu.x87.st(insn.rm() as usize & 7);
                let (value, flags) = value.map_or((INDEFINITE, IE | SF), |v| (v, 0));
                let empty = flags != 0;
                push(&mut cpu.x87, value, flags, profile.vendor());
                if empty {
                    // An empty source counts before a full stack.
                    cpu.x87.fsw &= !C1;
                }
            }
            X87Op::StoreSt => store_register(&mut cpu.x87, insn),
            X87Op::Store | X87Op::StoreReal => self.store(cpu, insn, mem, profile, held, false)?,
            X87Op::StorePop | X87Op::StoreRealPop => self.store(cpu, insn, mem, profile, held, true)?,
            X87Op::LoadEnvironment => image::load_environment(cpu, insn, mem)?,
            X87Op::StoreEnvironment => image::store_environment(cpu, insn, mem)?,
            X87Op::LoadState => image::load_state(cpu, insn, mem)?,
            X87Op::StoreState => image::store_state(cpu, insn, mem)?,
            op => self.operate(op, cpu, insn, mem, profile, held)?,
        }
        retire(op, cpu, insn);
        Ok(())
    }

    /// Runs the instruction on `scratch.st`, exceptions masked; gives the status word.
    #[inline]
    fn run<V: Vmm + ?Sized>(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut V,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<Exit, Halt> {
        let stub = self.current(insn, profile, held)?;
        // Rounding and precision are the guest's, exceptions are masked.
        self.scratch.0.fcw = cpu.x87.fcw | 0x3f;
        Ok(self.call(stub, cpu, vmm)?)
    }

    /// The stub of `insn` on its operands: the one that is held, one of the cache, or a new one.
    fn current(&mut self, insn: &Insn, profile: &Profile, held: &mut Option<StubRef>) -> Result<StubRef, Unsupported> {
        let current = held.filter(|&stub| self.stubs.as_ref().is_some_and(|s| s.is_current(stub)));
        let stub = match current {
            Some(stub) => stub,
            None => self.find(insn, profile, Variant::Operands)?,
        };
        *held = Some(stub);
        Ok(stub)
    }

    /// The stub of `insn`, from the cache or a new one.
    #[cold]
    fn find(&mut self, insn: &Insn, profile: &Profile, variant: Variant) -> Result<StubRef, Unsupported> {
        if let Some(feature) = insn.row.features.into_iter().find(|&f| profile.host_lacks(f)) {
            return Err(Unsupported::HostLacks(feature.name()));
        }
        let Some(stubs) = &mut self.stubs else {
            return Err(Unsupported::Stubs("the host denied executable memory"));
        };
        let recipe = variant.recipe(insn)?;
        let mut key = [0; 16];
        key[..2].copy_from_slice(recipe.body.as_slice());
        key[14] = variant as u8;
        key[15] = 2;
        Ok(stubs.get(Key(u128::from_le_bytes(key)), || Ok::<_, StubError>(recipe))?)
    }

    fn load(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        let size = usize::from(insn.slot(0).size);
        let mut buf = [0; 10];
        read(cpu, insn, mem, &mut buf[..size])?;
        self.loaded(cpu, insn, mem.vmm, profile, held, buf)
    }

    /// Pushes what `buf`, read from memory, means.
    fn loaded(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut dyn Vmm,
        profile: &Profile,
        held: &mut Option<StubRef>,
        buf: [u8; 10],
    ) -> Result<(), Halt> {
        self.scratch.1.0[..10].copy_from_slice(&buf);
        let status = self.run(cpu, insn, vmm, profile, held)?.fsw();
        let value = self.result();
        push(&mut cpu.x87, value, status & (IE | DE), profile.vendor());
        Ok(())
    }

    /// The rest of FLD, once the real has been read and [`load_exact`] is not enough: moves RIP past it.
    ///
    /// # Errors
    /// `Unsupported` where no stub can be run; the x87 state is unchanged.
    pub(crate) fn load_real(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut dyn Vmm,
        profile: &Profile,
        held: &mut Option<StubRef>,
        bits: u64,
    ) -> Result<(), Halt> {
        match real::widen(bits, insn.slot(0).size) {
            Some(value) => push(&mut cpu.x87, value, 0, profile.vendor()),
            None => {
                let mut buf = [0; 10];
                buf[..8].copy_from_slice(&bits.to_le_bytes());
                self.loaded(cpu, insn, vmm, profile, held, buf)?;
            }
        }
        retire(X87Op::LoadReal, cpu, insn);
        Ok(())
    }

    fn constant(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<(), Halt> {
        let _ = self.run(cpu, insn, mem.vmm, profile, held)?;
        let value = self.result();
        push(&mut cpu.x87, value, 0, profile.vendor());
        Ok(())
    }

    fn result(&self) -> [u8; 10] {
        let mut value = [0; 10];
        value.copy_from_slice(&self.scratch.0.st[0][..10]);
        value
    }

    /// FST and FIST with memory, and their popping forms.
    fn store(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        profile: &Profile,
        held: &mut Option<StubRef>,
        pops: bool,
    ) -> Result<(), Halt> {
        let size = usize::from(insn.slot(0).size);
        let value = cpu.x87.st(0);
        self.scratch.0.st[0][..10].copy_from_slice(&value.unwrap_or(INDEFINITE));
        let status = self.run(cpu, insn, mem.vmm, profile, held)?.fsw();
        // Storing the default NaN is what a masked stack underflow stores.
        let raised = if value.is_none() { IE | SF } else { status & 0x3f };
        let unmasked = raised & !cpu.x87.fcw & 0x3f;
        let suppressed = unmasked & (IE | OE | UE) != 0;
        // What is not stored is not rounded.
        let raised = if suppressed { raised & !PE } else { raised };
        let mut result = [0; 10];
        result[..size].copy_from_slice(&self.scratch.1.0[..size]);
        let operand = Operand::of(cpu, insn, mem, AccessKind::Write)?;
        if suppressed {
            // The address is still checked.
            operand.probe(mem)?;
        } else {
            operand.write(mem, &result[..size])?;
        }
        let round_up = if suppressed || value.is_none() { 0 } else { status & C1 };
        cpu.x87.fsw = cpu.x87.fsw & !C1 | round_up | raised;
        if pops && !suppressed {
            pop(&mut cpu.x87);
        }
        cpu.x87.update_summary();
        Ok(())
    }
}

/// #MF for a pending exception, or with CR0.NE clear what the platform makes of FERR#.
///
/// # Errors
/// The event, or what [`Platform::ferr`](crate::bus::Platform::ferr) answers.
pub(super) fn wait<V: Vmm + ?Sized>(cpu: &Cpu, vmm: &mut V) -> Result<(), Halt> {
    if !cpu.x87.pending() {
        return Ok(());
    }
    if cpu.system().cr0 & cr0::NE == 0 {
        return Ok(vmm.ferr()?);
    }
    Err(Event::mf("an unmasked x87 exception is pending").into())
}

/// How an instruction is run on the host: the last byte but one of its stub's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Variant {
    /// On its operands.
    Operands,
    /// On the whole state.
    Whole,
}

impl Variant {
    fn recipe(self, insn: &Insn) -> Result<Recipe, StubError> {
        let row = insn.row;
        let Exec::X87(op) = row.exec else { return Err(StubError::BadRecipe("no x87 instruction")) };
        let body = |modrm: u8| Body::new(&[insn.opcode(), modrm]);
        let memory = insn.mem() != NO_REG;
        let own = if memory { insn.modrm() & 0x38 | 6 } else { insn.modrm() };
        let recipe =
            Recipe { rflags_in: row.flags.read != 0, rflags_out: row.flags.written != 0, ..Recipe::new(body(own)?) };
        if self == Variant::Whole {
            return Ok(Recipe { x87_image: true, ..recipe });
        }
        use X87Op::*;
        let (body, pushes, pops, drops) = match op {
            Store | StoreReal => (recipe.body, 1, 0, 1),
            StorePop | StoreRealPop => (recipe.body, 1, 0, 0),
            Arithmetic if memory => (recipe.body, 1, 1, 0),
            Compare | ComparePop if memory => (recipe.body, 1, 0, 1 - op.pops()),
            // The opcode's digit says what is done with ST(0) and ST(i), whatever the opcode; DE leaves the result alone.
            Arithmetic | ArithmeticPop => (Body::new(&[0xde, own & 0xf8 | 1])?, 2, 1, 0),
            Compare | ComparePop | ComparePopPop => (body(own & 0xf8 | 1)?, 2, 0, 2 - op.pops()),
            _ => (recipe.body, 0, 1, 0),
        };
        // ST(0) and a number in memory: the register is worked on where it is, which leaves two copies out of what the next
        // such instruction waits for.
        let in_place = memory && matches!(op, Arithmetic | Compare | ComparePop);
        Ok(Recipe { body, x87: Some(Stack { pushes, pops, drops, in_place }), ..recipe })
    }
}

/// The recipe of `insn`, if it usually runs on the host: on its operands, or on the whole state.
pub(super) fn recipe_of(insn: &Insn) -> Result<Option<Recipe>, Unsupported> {
    use X87Op::*;
    let Exec::X87(op) = insn.row.exec else { return Ok(None) };
    let variant = match op {
        Load | LoadReal | Const | Store | StoreReal | StorePop | StoreRealPop | Arithmetic | ArithmeticPop
        | Compare | ComparePop | ComparePopPop => Variant::Operands,
        Whole => Variant::Whole,
        _ => return Ok(None),
    };
    Ok(Some(variant.recipe(insn)?))
}

/// The real that FST and FSTP store, where ST(0) is one exactly and no exception is possible.
#[inline]
pub(crate) fn exact_real(cpu: &Cpu, insn: &Insn) -> Option<u64> {
    real::narrow(cpu.x87.st(0)?, insn.slot(0).size)
}

/// The rest of FST and FSTP once [`exact_real`] has been stored at `offset`, in 64-bit mode.
#[inline(always)]
pub(crate) fn real_stored(op: X87Op, cpu: &mut Cpu, insn: &Insn, offset: u64) {
    cpu.x87.fsw &= !C1;
    if op == X87Op::StoreRealPop {
        pop(&mut cpu.x87);
    }
    real_done(cpu, insn, offset);
}

/// The rest of FADD, FCOM and their kin once they have run, in 64-bit mode, with a real from `offset`.
#[inline(always)]
pub(crate) fn real_computed(pops: bool, cpu: &mut Cpu, insn: &Insn, offset: u64) {
    if pops {
        pop(&mut cpu.x87);
    }
    real_done(cpu, insn, offset);
}

/// All of FLD in 64-bit mode, of a real from `offset` that has one image in either format, to a stack with room. `false`: it is not
/// so, and nothing is done.
#[inline(always)]
pub(crate) fn load_exact(cpu: &mut Cpu, insn: &Insn, offset: u64, bits: u64) -> bool {
    let Some(value) = real::widen(bits, insn.slot(0).size) else { return false };
    if cpu.x87.ftw >> cpu.x87.physical(7) & 1 != 0 {
        return false;
    }
    push_exact(&mut cpu.x87, value);
    real_done(cpu, insn, offset);
    true
}

/// [`retire`] of an instruction whose memory operand is at `offset`, in 64-bit mode.
#[inline(always)]
pub(crate) fn real_done(cpu: &mut Cpu, insn: &Insn, offset: u64) {
    let (fcs, fds) = (cpu.seg(Seg::Cs).selector, cpu.seg(insn.segment()).selector);
    let x87 = &mut cpu.x87;
    x87.fop = u16::from(insn.opcode() & 7) << 8 | u16::from(insn.modrm());
    (x87.fip, x87.fdp) = (cpu.rip, offset);
    (x87.fcs, x87.fds) = (fcs, fds);
    cpu.dirty |= component::X87;
    cpu.rip = cpu.rip.wrapping_add(u64::from(insn.len()));
}

/// What follows every x87 instruction.
#[inline]
fn retire(op: X87Op, cpu: &mut Cpu, insn: &Insn) {
    if !op.is_control() {
        pointers(cpu, insn);
    }
    if !op.keeps_state() {
        cpu.dirty |= component::X87;
    }
    cpu.rip = next_rip(cpu, insn);
}

/// Pushes a result, unless an unmasked exception keeps it from the stack; overflow of the stack counts first. AMD's
/// processors load a denormal whether its exception is masked or not.
fn push(x87: &mut X87, value: [u8; 10], raised: u16, vendor: Vendor) {
    let full = x87.st(7).is_some();
    let (value, raised) = if full { (INDEFINITE, IE | SF) } else { (value, raised) };
    x87.fsw = x87.fsw & !C1 | raised | if full { C1 } else { 0 };
    let stops = if vendor == Vendor::Amd { IE } else { IE | DE };
    if raised & !x87.fcw & stops == 0 {
        let top = x87.top().wrapping_sub(1) & 7;
        x87.set_top(top);
        x87.regs[top] = value;
        x87.ftw |= 1 << top;
    }
    x87.update_summary();
}

/// Pushes a result without exceptions to a stack with room, while none is pending.
#[inline(always)]
fn push_exact(x87: &mut X87, value: [u8; 10]) {
    let top = x87.top().wrapping_sub(1) & 7;
    x87.fsw = x87.fsw & !(C1 | 7 << 11) | (top as u16) << 11;
    x87.regs[top] = value;
    x87.ftw |= 1 << top;
}

fn pop(x87: &mut X87) {
    let top = x87.top();
    x87.ftw &= !(1 << top);
    x87.set_top(top + 1);
}

/// FST ST(i) and FSTP ST(i).
fn store_register(x87: &mut X87, insn: &Insn) {
    let pops = insn.modrm() >> 3 & 7 == 3;
    let source = x87.st(0);
    x87.fsw &= !C1;
    if source.is_none() {
        x87.fsw |= IE | SF;
    }
    if source.is_some() || x87.fcw & IE != 0 {
        let target = x87.physical(insn.rm() as usize & 7);
        x87.regs[target] = source.unwrap_or(INDEFINITE);
        x87.ftw |= 1 << target;
        if pops {
            pop(x87);
        }
    }
    x87.update_summary();
}

/// FOP, FIP and FDP after an instruction that is no control instruction.
fn pointers(cpu: &mut Cpu, insn: &Insn) {
    cpu.x87.fop = u16::from(insn.opcode() & 7) << 8 | u16::from(insn.modrm());
    cpu.x87.fip = cpu.rip;
    cpu.x87.fcs = cpu.seg(Seg::Cs).selector;
    if insn.mem() != NO_REG {
        cpu.x87.fdp = address::effective(cpu, insn);
        cpu.x87.fds = cpu.seg(insn.segment()).selector;
    }
}
