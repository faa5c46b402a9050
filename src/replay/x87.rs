//! The x87 stack: registers, TOP and tags are ours, conversions and constants run on the host.
//!
//! A stub gets its operands as 80-bit values and gives results and the status word of that one operation, run with all
//! exceptions masked. What an unmasked exception would have kept from happening is decided here, before anything of the
//! guest's state changes.

use super::Replayer;
use crate::access::{Halt, Mem};
use crate::address::{self, Intent};
use crate::alu::real;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::component;
use crate::cpu::registers::gpr::RAX;
use crate::cpu::{Cpu, X87};
use crate::decode::{Insn, NO_REG};
use crate::event::{Event, Unsupported};
use crate::integer::next_rip;
use crate::isa::row::{Exec, X87Op, attr};
use crate::profile::{Profile, Vendor};
use encore86_stubs::{Body, Key, Recipe, StubRef, X87 as Stack};

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
        if insn.row.is(attr::WAITING) && cpu.x87.pending() {
            return Err(Event::mf("an unmasked x87 exception is pending").into());
        }
        match op {
            X87Op::Wait => {}
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
        }
        retire(op, cpu, insn, profile);
        Ok(())
    }

    /// Runs the instruction's own bytes on `scratch.st[0]`, exceptions masked; gives the status word.
    fn run(
        &mut self,
        cpu: &mut Cpu,
        insn: &Insn,
        vmm: &mut dyn Vmm,
        profile: &Profile,
        held: &mut Option<StubRef>,
    ) -> Result<u16, Halt> {
        let Some(op) = op(insn) else { return Err(Unsupported::Instruction(insn.row.mnemonic).into()) };
        if let Some(feature) = insn.row.features.into_iter().find(|&f| profile.host_lacks(f)) {
            return Err(Unsupported::HostLacks(feature.name()).into());
        }
        let current = held.filter(|&stub| self.stubs.as_ref().is_some_and(|s| s.is_current(stub)));
        let stub = match current {
            Some(stub) => stub,
            None => {
                let Some(stubs) = &mut self.stubs else {
                    return Err(Unsupported::Stubs("the host denied executable memory").into());
                };
                let body = body(insn);
                let mut key = [0; 16];
                key[..2].copy_from_slice(&body);
                key[15] = 2;
                stubs.get(Key(u128::from_le_bytes(key)), || recipe(&body, op))?
            }
        };
        *held = Some(stub);
        // Rounding and precision are the guest's, exceptions are masked.
        self.scratch.0.fcw = cpu.x87.fcw | 0x3f;
        Ok(self.call(stub, cpu, vmm)?.fsw())
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
        let status = self.run(cpu, insn, vmm, profile, held)?;
        let value = self.result();
        push(&mut cpu.x87, value, status & (IE | DE), profile.vendor());
        Ok(())
    }

    /// The rest of FLD, once the real has been read: moves RIP past it.
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
        retire(X87Op::LoadReal, cpu, insn, profile);
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
        self.run(cpu, insn, mem.vmm, profile, held)?;
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
        let status = self.run(cpu, insn, mem.vmm, profile, held)?;
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

/// What the host runs for `insn`: its opcode, with the local operand.
fn body(insn: &Insn) -> [u8; 2] {
    let modrm = if insn.mem() == NO_REG { insn.modrm() } else { insn.modrm() & 0x38 | 6 };
    [insn.opcode(), modrm]
}

fn op(insn: &Insn) -> Option<X87Op> {
    match insn.row.exec {
        Exec::X87(op) => Some(op),
        _ => None,
    }
}

/// The stub around `body`: a value comes from the stack, or goes there.
fn recipe(body: &[u8], op: X87Op) -> Result<Recipe, Unsupported> {
    let (pushes, pops) = match op {
        X87Op::Store | X87Op::StoreReal => (1, 1),
        X87Op::StorePop | X87Op::StoreRealPop => (1, 0),
        _ => (0, 1),
    };
    Ok(Recipe { x87: Some(Stack { pushes, pops }), ..Recipe::new(Body::new(body)?) })
}

/// The recipe of `insn`, if it runs on the host.
pub(super) fn recipe_of(insn: &Insn) -> Result<Option<Recipe>, Unsupported> {
    use X87Op::{Const, Load, LoadReal, Store, StorePop, StoreReal, StoreRealPop};
    match op(insn) {
        Some(op @ (Load | LoadReal | Const | Store | StoreReal | StorePop | StoreRealPop)) => {
            recipe(&body(insn), op).map(Some)
        }
        _ => Ok(None),
    }
}

/// The real that FST and FSTP store, where ST(0) is one exactly and no exception is possible.
#[inline]
pub(crate) fn exact_real(cpu: &Cpu, insn: &Insn) -> Option<u64> {
    real::narrow(cpu.x87.st(0)?, insn.slot(0).size)
}

/// The rest of FST and FSTP once [`exact_real`] has been stored.
#[inline]
pub(crate) fn real_stored(op: X87Op, cpu: &mut Cpu, insn: &Insn, profile: &Profile) {
    cpu.x87.fsw &= !C1;
    if op == X87Op::StoreRealPop {
        pop(&mut cpu.x87);
    }
    cpu.x87.update_summary();
    retire(op, cpu, insn, profile);
}

/// What follows every x87 instruction.
#[inline]
fn retire(op: X87Op, cpu: &mut Cpu, insn: &Insn, profile: &Profile) {
    pointers(op, cpu, insn, profile);
    if !matches!(op, X87Op::Wait | X87Op::StoreControl | X87Op::StoreStatus) {
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

/// FOP, FIP and FDP after an instruction that is no control instruction. AMD processors keep them only for the
/// instruction that raised the pending exception.
fn pointers(op: X87Op, cpu: &mut Cpu, insn: &Insn, profile: &Profile) {
    let control = matches!(
        op,
        X87Op::Wait
            | X87Op::Init
            | X87Op::Empty
            | X87Op::Clear
            | X87Op::LoadControl
            | X87Op::StoreControl
            | X87Op::StoreStatus
    );
    if control || profile.vendor() == Vendor::Amd && !cpu.x87.pending() {
        return;
    }
    cpu.x87.fop = u16::from(insn.opcode() & 7) << 8 | u16::from(insn.modrm());
    cpu.x87.fip = cpu.rip;
    cpu.x87.fcs = cpu.seg(crate::cpu::segment::Seg::Cs).selector;
    if insn.mem() != NO_REG {
        cpu.x87.fdp = address::effective(cpu, insn);
        cpu.x87.fds = cpu.seg(insn.segment()).selector;
    }
}

/// The memory operand's linear addresses. An 80-bit one is taken as 8 bytes and 2, which may wrap to the beginning of the
/// segment.
struct Operand {
    at: u64,
    size: u16,
    access: Access,
    wrapped: Option<u64>,
}

/// Where an 80-bit operand is cut in two.
const CUT: u16 = 8;

impl Operand {
    fn of(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, kind: AccessKind) -> Result<Operand, Halt> {
        let intent = if kind == AccessKind::Write { Intent::Write } else { Intent::Read };
        let (seg, offset, size) = (insn.segment(), address::effective(cpu, insn), insn.slot(0).size);
        let first = size.min(CUT);
        let at = address::linear(cpu, seg, offset, u64::from(first), intent)?;
        crate::integer::aligned(cpu, at, first)?;
        let mut operand = Operand { at, size, access: mem.access(kind, size), wrapped: None };
        if size > first {
            let rest = address::truncate(offset.wrapping_add(u64::from(first)), insn.asize());
            match address::linear(cpu, seg, rest, u64::from(size - first), intent) {
                Ok(rest) => {
                    operand.wrapped = Some(rest).filter(|&rest| rest != address::advance(cpu, at, first.into()))
                }
                Err(event) => {
                    mem.probe(at, usize::from(first), &operand.access)?;
                    return Err(event.into());
                }
            }
        }
        Ok(operand)
    }

    /// The two pieces: address, length, access.
    fn pieces(&self, wrapped: u64) -> [(u64, usize, Access); 2] {
        let rest = Access { offset: self.access.offset + CUT, ..self.access };
        [(self.at, usize::from(CUT), self.access), (wrapped, usize::from(self.size - CUT), rest)]
    }

    fn probe(&self, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
        let Some(wrapped) = self.wrapped else {
            return mem.probe(self.at, usize::from(self.size), &self.access);
        };
        self.pieces(wrapped).iter().try_for_each(|(at, len, access)| mem.probe(*at, *len, access))
    }

    fn read(&self, mem: &mut Mem<'_, dyn Vmm + '_>, buf: &mut [u8]) -> Result<(), Halt> {
        let Some(wrapped) = self.wrapped else { return mem.read_last(self.at, buf, &self.access) };
        self.probe(mem)?;
        let mut done = 0;
        for (at, len, access) in self.pieces(wrapped) {
            mem.read(at, &mut buf[done..done + len], &access)?;
            done += len;
        }
        Ok(())
    }

    fn write(&self, mem: &mut Mem<'_, dyn Vmm + '_>, buf: &[u8]) -> Result<(), Halt> {
        let Some(wrapped) = self.wrapped else { return mem.write_last(self.at, buf, &self.access) };
        self.probe(mem)?;
        let mut done = 0;
        for (at, len, access) in self.pieces(wrapped) {
            mem.write(at, &buf[done..done + len], &access)?;
            done += len;
        }
        Ok(())
    }
}

fn read(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, buf: &mut [u8]) -> Result<(), Halt> {
    Operand::of(cpu, insn, mem, AccessKind::Read)?.read(mem, buf)
}

fn write(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, buf: &[u8]) -> Result<(), Halt> {
    Operand::of(cpu, insn, mem, AccessKind::Write)?.write(mem, buf)
}
