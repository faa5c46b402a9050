//! Flexible return and event delivery (Intel's document 346446; SDM volume 3, its chapter on FRED): while CR4.FRED is set in IA-32e
//! mode, events, SYSCALL and SYSENTER go to one of two entry points with a frame of 64 bytes, and ERETU and ERETS come back.
//!
//! Its registers are the platform's model-specific ones, and so is the current stack level in IA32_FRED_CONFIG, which is written last.

use super::cet::{Enforcement, Entry};
use super::descriptor::{self, is_null, long, rpl};
use super::frame::{self, Frame};
use super::transfer;
use crate::access::{Halt, Mem};
use crate::address;
use crate::bus::Vmm;
use crate::cpu::registers::gpr::RSP;
use crate::cpu::registers::{cr4, rflags};
use crate::cpu::segment::{Seg, rights};
use crate::cpu::{Blocking, Cpu, Mode, System};
use crate::decode::Insn;
use crate::event::{DR6_BS, Event, EventKind, Retired, Stop, Unsupported};
use crate::integer::next_rip;
use crate::isa::Feature;
use crate::isa::row::{Exec, FarOp, PrivOp, ShadowOp, SysOp};
use crate::profile::Profile;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// Its model-specific registers.
mod msr {
    /// The stack of each level.
    pub(super) const RSP0: u32 = 0x1cc;
    pub(super) const RSP3: u32 = 0x1cf;
    /// Two bits for each vector of an exception: its stack level.
    pub(super) const STKLVLS: u32 = 0x1d0;
    /// The shadow stack of each level but 0, which has IA32_PL0_SSP.
    pub(super) const SSP1: u32 = 0x1d1;
    pub(super) const SSP3: u32 = 0x1d3;
    pub(super) const CONFIG: u32 = 0x1d4;
}

/// IA32_FRED_CONFIG.
mod config {
    /// The current stack level.
    pub(super) const LEVEL: u64 = 3;
    /// Bytes below RSP that an event leaves alone if it stays on its stack.
    pub(super) const RED_ZONE: u64 = 7 << 6;
    /// Where the stack level of interrupts stands.
    pub(super) const INTERRUPTS: u32 = 9;
    pub(super) const RESERVED: u64 = 1 << 2 | 3 << 4 | 1 << 11;
    /// The page of the entry points; that of ring 0 is 256 bytes behind the other.
    pub(super) const ENTRY: u64 = !0xfff;
    pub(super) const RING0: u64 = 256;
}

/// What bytes 2 and above of CS hold in a frame: the stack level that the event came in.
const CS_LEVEL_SHIFT: u32 = 16;
/// And whether the tracker of indirect branches waited for an ENDBRANCH.
const CS_WAITS: u64 = 1 << 18;
/// What bytes 2 and above of SS hold in a frame.
mod info {
    /// Interrupts were blocked by STI.
    pub(super) const STI: u64 = 1 << 16;
    /// INT n, SYSCALL or SYSENTER: ERETS and ERETU raise the single-step trap of TF at once.
    pub(super) const SOFTWARE: u64 = 1 << 17;
    /// The event is an NMI: ERETS and ERETU unblock NMIs.
    pub(super) const NMI: u64 = 1 << 18;
    pub(super) const VECTOR_SHIFT: u32 = 32;
    pub(super) const TYPE_SHIFT: u32 = 48;
    /// 64-bit mode.
    pub(super) const LONG: u64 = 1 << 57;
    pub(super) const NESTED: u64 = 1 << 58;
    pub(super) const LENGTH_SHIFT: u32 = 60;
}

/// Types of events.
mod kind {
    pub(super) const INTERRUPT: u8 = 0;
    pub(super) const NMI: u8 = 2;
    pub(super) const EXCEPTION: u8 = 3;
    pub(super) const SOFTWARE_INTERRUPT: u8 = 4;
    /// INT1.
    pub(super) const PRIVILEGED_SOFTWARE_EXCEPTION: u8 = 5;
    /// INT3, INTO.
    pub(super) const SOFTWARE_EXCEPTION: u8 = 6;
    /// SYSCALL (vector 1) and SYSENTER (vector 2).
    pub(super) const OTHER: u8 = 7;
}

const DOUBLE_FAULT: u8 = 8;
/// What is not done.
const CET: &str = "FRED with shadow stacks enabled for the supervisor";

/// Do events come by FRED?
pub(super) fn is_active(cpu: &Cpu) -> bool {
    cpu.system().cr4 & cr4::FRED != 0 && long(cpu)
}

/// Is the instruction not recognised because FRED is in force, or because it is not? That comes before its check of CPL.
pub(crate) fn is_unrecognised(cpu: &Cpu, insn: &Insn) -> bool {
    match insn.row().exec {
        Exec::Far(FarOp::Erets | FarOp::Eretu) => !is_active(cpu),
        Exec::Privileged(PrivOp::Swapgs)
        | Exec::Far(FarOp::Sysret | FarOp::Sysexit)
        | Exec::System(SysOp::Shadow(ShadowOp::SetBusy | ShadowOp::ClearBusy)) => is_active(cpu),
        _ => false,
    }
}

/// # Errors
/// #UD for an instruction that is not recognised.
pub(super) fn recognise(cpu: &Cpu, insn: &Insn) -> Result<(), Event> {
    if is_unrecognised(cpu, insn) { Err(Event::ud(UNRECOGNISED)) } else { Ok(()) }
}

pub(crate) const UNRECOGNISED: &str = "the instruction does not go with CR4.FRED as it is";

/// Checks what is written to a model-specific register of FRED.
///
/// # Errors
/// #GP(0) for reserved bits and addresses that are not canonical.
pub(super) fn check_msr(cpu: &Cpu, profile: &Profile, index: u32, value: u64) -> Result<(), Event> {
    let reserved = match index {
        msr::RSP0..=msr::RSP3 => 0x3f,
        msr::SSP1..=msr::SSP3 => 7,
        msr::CONFIG => config::RESERVED,
        _ => return Ok(()),
    };
    if !profile.has(Feature::Fred) {
        return Ok(());
    }
    if value & reserved != 0 {
        return Err(Event::gp0("a reserved bit of a register of FRED"));
    }
    if !address::canonical(cpu, value) {
        return Err(Event::gp0("an address in a register of FRED that is not canonical"));
    }
    Ok(())
}

/// An event on its way.
struct Arrival {
    kind: u8,
    vector: u8,
    error_code: u32,
    data: u64,
    length: u8,
    sti: bool,
    nested: bool,
    /// RFLAGS as they are pushed.
    flags: u64,
}

impl Arrival {
    fn of(cpu: &Cpu, event: Event, flags: u64) -> Arrival {
        let by_instruction = event.length != 0 || event.kind.is_software();
        let kind = match event.kind {
            EventKind::Interrupt => kind::INTERRUPT,
            EventKind::Nmi => kind::NMI,
            EventKind::Software => kind::SOFTWARE_INTERRUPT,
            EventKind::SoftwareException => kind::SOFTWARE_EXCEPTION,
            EventKind::Trap if by_instruction => kind::PRIVILEGED_SOFTWARE_EXCEPTION,
            EventKind::Trap | EventKind::Fault | EventKind::Breakpoint => kind::EXCEPTION,
        };
        Arrival {
            kind,
            vector: event.vector,
            error_code: event.error_code.unwrap_or(0),
            data: if kind == kind::EXCEPTION { event_data(cpu.system(), event) } else { 0 },
            length: event.length,
            // Behind the instruction that asked, the block has ended.
            sti: cpu.blocking().sti && !by_instruction,
            nested: event.nested,
            flags,
        }
    }

    /// What the frame holds as SS.
    fn info(&self, cpu: &Cpu) -> u64 {
        let when = |condition, bit| if condition { bit } else { 0 };
        u64::from(cpu.seg(Seg::Ss).selector)
            | when(self.sti, info::STI)
            | when(matches!(self.kind, kind::SOFTWARE_INTERRUPT | kind::OTHER), info::SOFTWARE)
            | when(self.kind == kind::NMI, info::NMI)
            | u64::from(self.vector) << info::VECTOR_SHIFT
            | u64::from(self.kind) << info::TYPE_SHIFT
            | when(cpu.mode() == Mode::Long64, info::LONG)
            | when(self.nested, info::NESTED)
            | u64::from(self.length) << info::LENGTH_SHIFT
    }

    /// The stack level that it comes in. From ring 3 that is 0, but for what the delivery of another event has met.
    fn level(&self, cpu: &Cpu, mem: &mut Memory<'_, '_>, config: u64) -> Result<u64, Halt> {
        let double = self.kind == kind::EXCEPTION && self.vector == DOUBLE_FAULT;
        if cpu.cpl() == 3 && !self.nested && !double {
            return Ok(0);
        }
        let own = match self.kind {
            kind::INTERRUPT => config >> config::INTERRUPTS & 3,
            kind::SOFTWARE_INTERRUPT | kind::OTHER => 0,
            _ => mem.vmm.read_msr(msr::STKLVLS)? >> (2 * (self.vector & 31)) & 3,
        };
        Ok(own.max(config & config::LEVEL))
    }

    /// Goes to the entry point; the frame says that `rip` comes next.
    fn enter(&self, cpu: &mut Cpu, mem: &mut Memory<'_, '_>, profile: &Profile, rip: u64) -> Result<(), Halt> {
        let ring3 = match (cpu.cpl(), cpu.mode()) {
            (0, Mode::Long64) => false,
            (3, _) => true,
            // FRED lets nobody come there; a monitor can.
            _ => {
                return Err(
                    Unsupported::Instruction("a FRED event at CPL 1 or 2, or in compatibility mode at CPL 0").into()
                );
            }
        };
        let cet = enforcement(cpu, mem, profile)?;
        let config = mem.vmm.read_msr(msr::CONFIG)?;
        let current = config & config::LEVEL;
        let level = self.level(cpu, mem, config)?;
        let rsp = match ring3 || level > current {
            true => mem.vmm.read_msr(msr::RSP0 + level as u32)?,
            false => cpu.gpr[RSP].wrapping_sub(config & config::RED_ZONE) & !0x3f,
        };
        let inner = current << CS_LEVEL_SHIFT | if cet.waits() { CS_WAITS } else { 0 };
        let cs = u64::from(cpu.seg(Seg::Cs).selector) | if ring3 { 0 } else { inner };
        let mut back = Frame::new(8);
        [0, self.data, self.info(cpu), cpu.gpr[RSP], self.flags, cs, rip, u64::from(self.error_code)]
            .into_iter()
            .for_each(|entry| back.add(entry));
        if ring3 {
            let selector = (mem.vmm.read_msr(transfer::msr::STAR)? >> 32) as u16 & !3;
            transfer::set_flat(cpu, mem, (selector, selector.wrapping_add(8)), 0, true);
            swap_gs(cpu);
        }
        cpu.gpr[RSP] = rsp;
        back.push(cpu, mem, 0)?;
        frame::set_rip(cpu, (config & config::ENTRY) + if ring3 { 0 } else { config::RING0 })?;
        cpu.set_rflags(rflags::FIXED);
        // A program's SSP is kept in IA32_PL3_SSP, as by SYSCALL without FRED; the tracker waits.
        let tracked = if ring3 { cet.system_call(cpu, 3) } else { cet.jump(cpu)? };
        finish(cpu, mem, &cet, &tracked, (config, level))
    }
}

/// What the frame tells beside the error code.
fn event_data(s: &System, event: Event) -> u64 {
    /// B0 to B3, BD and BS.
    const DR6: u64 = 0x600f;
    match event.vector {
        // A monitor's own #DB may leave it to DR6.
        1 if event.data == 0 => s.dr[6] & DR6,
        1 | 7 => event.data.into(),
        14 => event.cr2.unwrap_or(s.cr2),
        _ => 0,
    }
}

/// Nothing can fail any more but the platform's registers.
fn finish(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    tracked: &Entry,
    (config, level): (u64, u64),
) -> Result<(), Halt> {
    tracked.commit(cpu, mem)?;
    if config & config::LEVEL != level
        && let Err(stop) = mem.vmm.write_msr(msr::CONFIG, config & !config::LEVEL | level)
    {
        cet.take_back(mem, 0)?;
        return Err(stop.into());
    }
    Ok(())
}

fn enforcement(cpu: &Cpu, mem: &mut Memory<'_, '_>, profile: &Profile) -> Result<Enforcement, Halt> {
    let cet = Enforcement::of(cpu, mem, profile)?;
    if cet.has_stack(0) { Err(Unsupported::Instruction(CET).into()) } else { Ok(cet) }
}

fn swap_gs(cpu: &mut Cpu) {
    cpu.update(|s| core::mem::swap(&mut s.seg[Seg::Gs as usize].base, &mut s.kernel_gs_base));
}

/// Delivers an event, with `flags` as they are pushed. The caller takes back what a failure has changed.
///
/// # Errors
/// What the stack's pages say, #SS(0) where it is not canonical; what the bus and the platform answer.
pub(super) fn deliver(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    event: Event,
    flags: u64,
    profile: &Profile,
) -> Result<(), Halt> {
    let rip = cpu.rip;
    Arrival::of(cpu, event, flags).enter(cpu, mem, profile, rip)
}

/// SYSCALL and SYSENTER, which are events here.
///
/// # Errors
/// #UD without EFER.SCE. What the way to the entry point meets is nested in the event.
pub(super) fn system_call(
    op: FarOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    if op == FarOp::Syscall && !frame::has_system_calls(cpu) {
        return Err(Event::ud("EFER.SCE is clear").into());
    }
    let arrival = Arrival {
        kind: kind::OTHER,
        vector: if op == FarOp::Syscall { 1 } else { 2 },
        error_code: 0,
        data: 0,
        length: insn.length() as u8,
        sti: false,
        nested: false,
        flags: cpu.rflags() & !rflags::RF,
    };
    let next = next_rip(cpu, insn);
    frame::whole(cpu, mem, |cpu, mem| arrival.enter(cpu, mem, profile, next)).map_err(|halt| match halt {
        Halt::Stop(Stop::Fault(fault)) => Event { nested: true, ..fault }.into(),
        halt => halt,
    })
}

/// What ERETS and ERETU find on the stack, above an error code that they pass over.
struct Popped {
    rip: u64,
    cs: u64,
    flags: u64,
    rsp: u64,
    ss: u64,
}

impl Popped {
    fn read(cpu: &Cpu, mem: &mut Memory<'_, '_>) -> Result<Popped, Halt> {
        let mut values = [0; 5];
        for (value, i) in values.iter_mut().zip(1..) {
            *value = frame::entry(cpu, mem, 8, i, 0)?;
        }
        let [rip, cs, flags, rsp, ss] = values;
        if flags & rflags::FIXED == 0 || flags & !(rflags::DEFINED & !rflags::VM) != 0 {
            return Err(Event::gp0("a bit of RFLAGS that ERETS and ERETU do not load").into());
        }
        Ok(Popped { rip, cs, flags, rsp, ss })
    }

    fn has(&self, bit: u64) -> bool {
        self.ss & bit != 0
    }
}

/// ERETS and ERETU.
///
/// # Errors
/// #GP(0) and those of the descriptors; what the stack's pages say.
pub(super) fn event_return(
    op: FarOp,
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
    retired: &mut Retired,
) -> Result<(), Halt> {
    let cet = &enforcement(cpu, mem, profile)?;
    let popped = frame::whole(cpu, mem, |cpu, mem| {
        let popped = Popped::read(cpu, mem)?;
        let config = mem.vmm.read_msr(msr::CONFIG)?;
        match op {
            FarOp::Eretu => to_user(cpu, mem, cet, &popped, config)?,
            _ => to_supervisor(cpu, mem, cet, &popped, config)?,
        }
        Ok(popped)
    })?;
    retired.sti = op == FarOp::Erets && popped.has(info::STI) && popped.flags & rflags::IF != 0;
    if popped.has(info::NMI) {
        retired.nmi_unblocked = cpu.blocking().nmi;
        cpu.set_blocking(Blocking { nmi: false, ..cpu.blocking() });
    }
    if popped.has(info::SOFTWARE) && popped.flags & rflags::TF != 0 {
        cpu.set_pending_debug(cpu.pending_debug() | DR6_BS);
    }
    Ok(())
}

/// ERETS stays in 64-bit mode at CPL 0.
fn to_supervisor(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    popped: &Popped,
    config: u64,
) -> Result<(), Halt> {
    let level = popped.cs >> CS_LEVEL_SHIFT & config::LEVEL;
    if popped.cs as u16 != cpu.seg(Seg::Cs).selector || popped.ss as u16 != cpu.seg(Seg::Ss).selector {
        return Err(Event::gp0("ERETS to other segments").into());
    }
    if level > config & config::LEVEL {
        return Err(Event::gp0("ERETS to a greater stack level").into());
    }
    frame::set_rip(cpu, popped.rip)?;
    cpu.gpr[RSP] = popped.rsp;
    cpu.set_rflags(popped.flags);
    let tracked = cet.resume(cpu, popped.cs & CS_WAITS != 0);
    finish(cpu, mem, cet, &tracked, (config, level))
}

/// ERETU goes to CPL 3, mostly to the segments that IA32_STAR names, for which no descriptor is looked at.
fn to_user(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    cet: &Enforcement,
    popped: &Popped,
    config: u64,
) -> Result<(), Halt> {
    if config & config::LEVEL != 0 {
        return Err(Event::gp0("ERETU from a stack level above 0").into());
    }
    // Neither is a thing of ring 3 under FRED.
    if popped.flags & rflags::IOPL != 0 {
        return Err(Event::gp0("ERETU with IOPL above 0").into());
    }
    let (cs, ss) = (popped.cs as u16, popped.ss as u16);
    let base = (mem.vmm.read_msr(transfer::msr::STAR)? >> 48) as u16;
    let (narrow, wide, stack) = (base | 3, base.wrapping_add(16) | 3, base.wrapping_add(8) | 3);
    if ss == stack && (cs == wide || cs == narrow) {
        transfer::set_flat(cpu, mem, (cs, ss), 3, cs == wide);
    } else {
        let mut code = user_code(cpu, mem, cs)?;
        let segment = descriptor::load_stack(cpu, mem, ss, 3, Event::gp0)?;
        frame::enter(cpu, mem, &mut code, 3)?;
        cpu.update(|s| s.seg[Seg::Ss as usize] = segment);
        mem.follow(cpu);
    }
    frame::set_rip(cpu, popped.rip)?;
    cpu.gpr[RSP] = popped.rsp;
    cpu.set_rflags(popped.flags);
    swap_gs(cpu);
    cet.system_return(cpu, mem)?;
    if cet.has_stack(3) && cpu.mode() != Mode::Long64 && cpu.system().ssp >> 32 != 0 {
        return Err(Event::gp0("SSP lies above 4 GiB outside 64-bit mode").into());
    }
    Ok(())
}

/// The code segment of ring 3 that IA32_STAR does not name, checked as by IRET.
fn user_code(cpu: &Cpu, mem: &mut Memory<'_, '_>, selector: u16) -> Result<descriptor::Descriptor, Halt> {
    if !is_null(selector) && rpl(selector) != 3 {
        return Err(Event::gp0("ERETU to another ring than 3").on(selector).into());
    }
    let code = frame::code(cpu, mem, selector)?;
    if code.has(rights::L | rights::DB) {
        return Err(code.refuse("the code segment has both L and D set").into());
    }
    if !code.is_conforming() && code.dpl() != 3 {
        return Err(code.refuse("the code segment's DPL is not 3").into());
    }
    code.present()?;
    Ok(code)
}
