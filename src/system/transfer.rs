//! Far JMP, CALL and RET (SDM volume 2, their pages; volume 3, 5.8), SYSCALL and SYSENTER with their returns.

use super::cet::{Enforcement, Origin, Stack};
use super::descriptor::{self, Descriptor, is_null, kind, long, rpl};
use super::frame::{self, Frame};
use super::task::{self, Asks};
use super::{fred, segment};
use crate::access::{Halt, Mem};
use crate::address::stack_offset;
use crate::bus::Vmm;
use crate::cpu::registers::gpr::{RCX, RDX, RSP};
use crate::cpu::registers::{cr0, rflags};
use crate::cpu::segment::{Seg, Segment, rights};
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, SlotKind};
use crate::event::Event;
use crate::integer::next_rip;
use crate::isa::row::FarOp;
use crate::profile::{Profile, Vendor};

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// Where a far pointer leads.
struct Way {
    code: Descriptor,
    offset: u64,
    /// Bytes of an entry that a call pushes.
    size: u8,
    /// A call gate's parameters.
    gate: Option<u8>,
}

/// What a far pointer names.
enum Target {
    Code(Way),
    Task(Descriptor, Asks),
}

/// JMP and CALL.
pub(super) fn jump(
    op: FarOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    let (selector, offset) = match insn.slot(0).kind {
        SlotKind::Imm => ((insn.imm >> 32) as u16, insn.imm & 0xffff_ffff),
        _ => segment::far_pointer(cpu, insn, mem)?,
    };
    let calls = op == FarOp::Call;
    let cet = Enforcement::of(cpu, mem, profile)?;
    let begun_with = frame::whole(cpu, mem, |cpu, mem| {
        if cpu.mode().is_real_or_v86() {
            return jump_real(cpu, insn, mem, (selector, offset), calls).map(|()| None);
        }
        let way = match find(cpu, mem, (selector, offset), segment::far_size(insn), calls)? {
            Target::Code(way) => way,
            Target::Task(tss, asks) => {
                let back = (next_rip(cpu, insn), cpu.rflags());
                return task::switch(cpu, mem, &cet, tss, asks, back, None);
            }
        };
        match (calls, way.gate) {
            (true, Some(count)) if !way.code.is_conforming() && way.code.dpl() < cpu.cpl() => {
                call_inner(cpu, insn, mem, &cet, way, count)?;
            }
            (true, _) => call_same(cpu, insn, mem, &cet, way)?,
            (false, _) => {
                let (mut code, cpl) = (way.code, cpu.cpl());
                frame::enter(cpu, mem, &mut code, cpl)?;
                frame::set_rip(cpu, way.offset)?;
                cet.jump(cpu)?.commit(cpu, mem)?;
            }
        }
        Ok(None)
    })?;
    begun_with.map_or(Ok(()), |event| Err(event.into()))
}

fn jump_real(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    (selector, offset): (u16, u64),
    calls: bool,
) -> Result<(), Halt> {
    let mut back = Frame::new(insn.osize());
    if calls {
        back.add(u64::from(cpu.seg(Seg::Cs).selector));
        back.add(next_rip(cpu, insn));
        back.probe(cpu, mem, 0)?;
    }
    let segment = descriptor::real(cpu, Seg::Cs, selector);
    if offset > u64::from(segment.limit) {
        return Err(Event::gp0("the target lies beyond the limit of CS").into());
    }
    back.push(cpu, mem, 0)?;
    cpu.update(|s| s.seg[Seg::Cs as usize] = segment);
    Ok(frame::set_rip(cpu, offset)?)
}

/// The code segment, offset and gate that a far pointer names in protected mode, with all checks but that of the offset.
fn find(
    cpu: &Cpu,
    mem: &mut Memory<'_, '_>,
    (selector, offset): (u16, u64),
    size: u8,
    calls: bool,
) -> Result<Target, Halt> {
    if is_null(selector) {
        return Err(Event::gp0("a far transfer to a null selector").into());
    }
    let Some(mut found) = Descriptor::find(cpu, mem, selector)? else {
        return Err(Event::gp0("the selector lies beyond its table").on(selector).into());
    };
    if found.is_code() {
        frame::check_width(cpu, &found)?;
        let allowed = match found.is_conforming() {
            true => found.dpl() <= cpu.cpl(),
            false => found.dpl() == cpu.cpl() && rpl(selector) <= cpu.cpl(),
        };
        if !allowed {
            return Err(found.refuse("the code segment's privilege forbids the transfer").into());
        }
        found.present()?;
        return Ok(Target::Code(Way { code: found, offset, size, gate: None }));
    }
    let (reached, is_long) = (found.dpl() >= cpu.cpl().max(rpl(selector)), long(cpu));
    let size = match (found.is_system(), found.kind()) {
        (true, kind::CALL) => {
            if is_long {
                8
            } else {
                4
            }
        }
        (true, kind::CALL16) if !is_long => 2,
        (true, kind::TASK | kind::TSS | kind::TSS16) if !is_long => {
            if !reached {
                return Err(found.refuse("the DPL of a TSS or task gate is below CPL or RPL").into());
            }
            let asks = if calls { Asks::Nests } else { Asks::Jump };
            found.present()?;
            let tss = match found.kind() {
                kind::TASK => task::find(cpu, mem, found.gate().0, asks, Event::gp0)?,
                _ => found,
            };
            return Ok(Target::Task(tss, asks));
        }
        _ => return Err(found.refuse("a far transfer to neither code, gate nor task").into()),
    };
    if !reached {
        return Err(found.refuse("the call gate's DPL is below CPL or RPL").into());
    }
    found.present()?;
    found.widen(cpu, mem)?;
    let (selector, offset, count) = found.gate();
    let code = frame::code(cpu, mem, selector)?;
    let allowed = match calls || code.is_conforming() {
        true => code.dpl() <= cpu.cpl(),
        false => code.dpl() == cpu.cpl(),
    };
    if !allowed {
        return Err(code.refuse("the privilege of the gate's code segment forbids the transfer").into());
    }
    if is_long && (!code.has(rights::L) || code.has(rights::DB)) {
        return Err(code.refuse("the gate's code segment is not of 64 bits").into());
    }
    if fred::is_active(cpu) && calls && !code.is_conforming() && code.dpl() < cpu.cpl() {
        return Err(code.refuse("a call to more privilege under FRED").into());
    }
    code.present()?;
    Ok(Target::Code(Way { code, offset, size, gate: Some(count) }))
}

/// A call that stays at its privilege.
fn call_same(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, cet: &Enforcement, way: Way) -> Result<(), Halt> {
    let (mut code, cpl) = (way.code, cpu.cpl());
    let origin = Origin::new(cpu, next_rip(cpu, insn));
    let mut back = Frame::new(way.size);
    back.add(u64::from(cpu.seg(Seg::Cs).selector));
    back.add(next_rip(cpu, insn));
    // The old CS decides how the stack is addressed.
    back.probe(cpu, mem, 0)?;
    frame::reaches(cpu, &code, way.offset)?;
    let wide = long(cpu) && code.has(rights::L);
    let shadow = cet.call(cpu, mem, origin, (cpl, wide), Stack::Same)?;
    back.push(cpu, mem, 0)?;
    frame::enter(cpu, mem, &mut code, cpl)?;
    frame::set_rip(cpu, way.offset)?;
    shadow.commit(cpu, mem)
}

/// A call through a gate to more privilege: the TSS has its stack, and `count` parameters go there.
fn call_inner(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    way: Way,
    count: u8,
) -> Result<(), Halt> {
    let mut code = way.code;
    let origin = Origin::new(cpu, next_rip(cpu, insn));
    let (old_cs, old_ss, old_rsp) = (cpu.seg(Seg::Cs).selector, cpu.seg(Seg::Ss).selector, cpu.gpr[RSP]);
    let mut back = Frame::new(way.size);
    back.add(u64::from(old_ss));
    back.add(old_rsp);
    if !long(cpu) {
        for i in (0..count).rev() {
            back.add(frame::entry(cpu, mem, way.size, i64::from(i), 0)?);
        }
    }
    back.add(u64::from(old_cs));
    back.add(next_rip(cpu, insn));
    let cpl = code.dpl();
    frame::enter(cpu, mem, &mut code, cpl)?;
    let selector = frame::switch(cpu, mem, cpl, 0)?;
    back.probe(cpu, mem, selector)?;
    frame::set_rip(cpu, way.offset)?;
    let wide = cpu.mode() == Mode::Long64;
    let shadow = cet.call(cpu, mem, origin, (cpl, wide), Stack::OfPrivilege)?;
    back.push(cpu, mem, selector)?;
    shadow.commit(cpu, mem)
}

/// RET.
pub(super) fn far_return(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, profile: &Profile) -> Result<(), Halt> {
    let (size, release) = (insn.osize(), insn.imm as i64);
    let cet = Enforcement::of(cpu, mem, profile)?;
    frame::whole(cpu, mem, |cpu, mem| {
        // The selector is read first (seen on Zen 4: CR2 of a page that holds neither).
        let selector = frame::entry(cpu, mem, size, 1, 0)? as u16;
        let offset = frame::entry(cpu, mem, size, 0, 0)?;
        let after = stack_offset(cpu, 2 * i64::from(size) + release);
        if cpu.mode().is_real_or_v86() {
            let segment = descriptor::real(cpu, Seg::Cs, selector);
            frame::set_stack(cpu, after);
            cpu.update(|s| s.seg[Seg::Cs as usize] = segment);
            return Ok(frame::set_rip(cpu, offset)?);
        }
        // Where the privilege differs, SS and rSP are read before anything is checked (seen on Zen 4 by CR2).
        let mut outer = (0, 0);
        if rpl(selector) != cpu.cpl() {
            let stack = frame::entry(cpu, mem, size, 3, release)? as u16;
            outer = (stack, frame::entry(cpu, mem, size, 2, release)?);
        }
        let mut code = returned_code(cpu, mem, selector)?;
        let cpl = cpu.cpl();
        if rpl(selector) == cpl {
            frame::set_stack(cpu, after);
            frame::enter(cpu, mem, &mut code, cpl)?;
            frame::set_rip(cpu, offset)?;
        } else {
            leave(cpu, mem, code, outer, offset)?;
            let released = stack_offset(cpu, release);
            frame::set_stack(cpu, released);
        }
        cet.far_return(cpu, mem, cpl, false)
    })
}

/// The code segment that a return goes to.
pub(super) fn returned_code(cpu: &Cpu, mem: &mut Memory<'_, '_>, selector: u16) -> Result<Descriptor, Halt> {
    let code = frame::code(cpu, mem, selector)?;
    frame::check_width(cpu, &code)?;
    let privilege = rpl(selector);
    if privilege < cpu.cpl() {
        return Err(code.refuse("a return to more privilege").into());
    }
    if privilege > cpu.cpl() && fred::is_active(cpu) {
        return Err(code.refuse("a return to less privilege under FRED").into());
    }
    let allowed = if code.is_conforming() { code.dpl() <= privilege } else { code.dpl() == privilege };
    if !allowed {
        return Err(code.refuse("the code segment's DPL does not fit the RPL of the return").into());
    }
    code.present()?;
    Ok(code)
}

/// Goes to less privilege, on the stack that was popped; data segments that are out of reach there become null.
pub(super) fn leave(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    mut code: Descriptor,
    (selector, rsp): (u16, u64),
    offset: u64,
) -> Result<(), Halt> {
    let cpl = rpl(code.selector);
    let to_64_bit = long(cpu) && code.has(rights::L);
    let segment = match is_null(selector) {
        true if to_64_bit && cpl != 3 && rpl(selector) == cpl => descriptor::null(selector, cpl),
        _ => descriptor::load_stack(cpu, mem, selector, cpl, Event::gp0)?,
    };
    frame::enter(cpu, mem, &mut code, cpl)?;
    frame::set_rip(cpu, offset)?;
    cpu.update(|s| s.seg[Seg::Ss as usize] = segment);
    mem.follow(cpu);
    frame::set_stack(cpu, rsp);
    cpu.update(|s| {
        for seg in [Seg::Es, Seg::Ds, Seg::Fs, Seg::Gs] {
            let segment = &mut s.seg[seg as usize];
            let conforming = segment.has(rights::S | rights::CODE | rights::EXPAND_DOWN);
            if segment.dpl() < cpl && !conforming && !segment.has(rights::UNUSABLE) {
                *segment = descriptor::null(0, 0);
            }
        }
    });
    Ok(())
}

/// Model-specific registers of system calls.
pub(super) mod msr {
    pub(super) const SYSENTER_CS: u32 = 0x174;
    pub(super) const SYSENTER_ESP: u32 = 0x175;
    pub(super) const SYSENTER_EIP: u32 = 0x176;
    pub(in crate::system) const STAR: u32 = 0xc000_0081;
    pub(super) const LSTAR: u32 = 0xc000_0082;
    pub(super) const CSTAR: u32 = 0xc000_0083;
    pub(super) const FMASK: u32 = 0xc000_0084;
}

/// Segments as system calls load them: flat, without a look at any descriptor.
fn flat(selector: u16, dpl: u8, code: bool, bits: u32) -> Segment {
    let kind = if code { 0xb } else { 0x3 };
    let attr = kind | rights::S | rights::P | rights::G | bits | u32::from(dpl) << rights::DPL_SHIFT;
    Segment { selector, attr, limit: u32::MAX, base: 0 }
}

pub(super) fn set_flat(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, (cs, ss): (u16, u16), cpl: u8, wide: bool) {
    let cs = flat(cs, cpl, true, if wide { rights::L } else { rights::DB });
    cpu.update(|s| {
        s.seg[Seg::Cs as usize] = cs;
        s.seg[Seg::Ss as usize] = flat(ss, cpl, false, rights::DB);
    });
    mem.follow(cpu);
}

/// SYSCALL and SYSRET.
pub(super) fn system_call(
    op: FarOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    if !frame::has_system_calls(cpu) || cpu.mode().is_real_or_v86() {
        return Err(Event::ud("EFER.SCE is clear").into());
    }
    let star = mem.vmm.read_msr(msr::STAR)?;
    let (next, is_long) = (next_rip(cpu, insn), long(cpu));
    let (cet, cpl) = (Enforcement::of(cpu, mem, profile)?, cpu.cpl());
    const R11: usize = 11;
    frame::whole(cpu, mem, |cpu, mem| {
        if op == FarOp::Syscall {
            let selector = (star >> 32) as u16 & !3;
            let (target, cleared) = match (is_long, cpu.mode()) {
                (true, Mode::Long64) => (mem.vmm.read_msr(msr::LSTAR)?, mem.vmm.read_msr(msr::FMASK)?),
                (true, _) => (mem.vmm.read_msr(msr::CSTAR)?, mem.vmm.read_msr(msr::FMASK)?),
                (false, _) => (star & 0xffff_ffff, rflags::VM | rflags::IF),
            };
            let flags = cpu.rflags();
            set_flat(cpu, mem, (selector, selector.wrapping_add(8)), 0, is_long);
            if is_long {
                cpu.gpr[R11] = flags & !rflags::RF;
                cpu.gpr[RCX] = next;
            } else {
                cpu.gpr[RCX] = next & 0xffff_ffff;
            }
            cpu.set_rflags(flags & !(cleared | rflags::RF));
            cpu.rip = target;
            return cet.system_call(cpu, cpl).commit(cpu, mem);
        }
        let wide = is_long && insn.osize() == 8;
        let target = if wide { cpu.gpr[RCX] } else { cpu.gpr[RCX] & 0xffff_ffff };
        let canonical = crate::address::canonical(cpu, target);
        if profile.vendor() == Vendor::Intel && !canonical {
            return Err(Event::gp0("SYSRET to an address that is not canonical").into());
        }
        let base = (star >> 48) as u16;
        let cs = if wide { base.wrapping_add(16) } else { base } | 3;
        let flags = match is_long {
            true => cpu.gpr[R11] & !(rflags::RF | rflags::VM),
            false => cpu.rflags() | rflags::IF,
        };
        set_flat(cpu, mem, (cs, base.wrapping_add(8) | 3), 3, wide);
        cpu.set_rflags(flags);
        cpu.rip = target;
        cet.system_return(cpu, mem)
    })
}

/// SYSENTER and SYSEXIT.
pub(super) fn system_enter(
    op: FarOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    if cpu.system().cr0 & cr0::PE == 0 {
        return Err(Event::gp0("SYSENTER and SYSEXIT need protected mode").into());
    }
    let selector = mem.vmm.read_msr(msr::SYSENTER_CS)? as u16;
    if selector & !3 == 0 {
        return Err(Event::gp0("IA32_SYSENTER_CS is null").into());
    }
    let is_long = long(cpu);
    let (cet, cpl) = (Enforcement::of(cpu, mem, profile)?, cpu.cpl());
    frame::whole(cpu, mem, |cpu, mem| {
        if op == FarOp::Sysenter {
            let (rsp, rip) = (mem.vmm.read_msr(msr::SYSENTER_ESP)?, mem.vmm.read_msr(msr::SYSENTER_EIP)?);
            let cs = selector & !3;
            cpu.set_rflags(cpu.rflags() & !(rflags::VM | rflags::IF | rflags::RF));
            set_flat(cpu, mem, (cs, cs.wrapping_add(8)), 0, is_long);
            let mask = if is_long { u64::MAX } else { 0xffff_ffff };
            (cpu.gpr[RSP], cpu.rip) = (rsp & mask, rip & mask);
            return cet.system_call(cpu, cpl).commit(cpu, mem);
        }
        let wide = insn.osize() == 8;
        let (rip, rsp) = (cpu.gpr[RDX], cpu.gpr[RCX]);
        if wide && !(crate::address::canonical(cpu, rip) && crate::address::canonical(cpu, rsp)) {
            return Err(Event::gp0("SYSEXIT to an address that is not canonical").into());
        }
        let (code, stack) = if wide { (32, 40) } else { (16, 24) };
        let cs = selector.wrapping_add(code) | 3;
        set_flat(cpu, mem, (cs, selector.wrapping_add(stack) | 3), 3, wide);
        let mask = if wide { u64::MAX } else { 0xffff_ffff };
        (cpu.gpr[RSP], cpu.rip) = (rsp & mask, rip & mask);
        cet.system_return(cpu, mem)
    })
}
