//! Privileged and system instructions, ports, and the state images that belong to no other room.

mod cet;
mod descriptor;
pub(crate) mod event;
mod frame;
pub(crate) mod fred;
pub(crate) mod image;
mod iret;
mod line;
mod msr;
mod platform;
mod privileged;
mod segment;
pub(crate) mod shadow;
mod task;
mod tile;
mod transfer;
pub(crate) mod user;
mod wait;
mod xsave;

use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{AccessKind, CacheOp, Vmm};
use crate::cpu::registers::gpr::{RAX, RBX, RCX, RDX};
use crate::cpu::registers::{component, cr4, rflags};
use crate::cpu::segment::rights;
use crate::cpu::vector::MXCSR_MASK;
use crate::cpu::{Cpu, Mode, obstacle};
use crate::decode::{Insn, SlotKind};
use crate::event::{Event, EventKind, Retired, Stop, Unsupported};
use crate::host::Fence;
use crate::integer::next_rip;
use crate::isa::row::{FarOp, PrivOp, SysOp};
use crate::isa::{Exec, Feature};
use crate::profile::{Profile, Vendor};

/// Runs `op` and moves RIP past it.
///
/// # Errors
/// Nothing is changed when it fails, but for INT n and its kin, which report an event with RIP behind them.
pub(crate) fn run(
    op: SysOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    profile: &Profile,
    retired: &mut Retired,
) -> Result<(), Halt> {
    let next = next_rip(cpu, insn);
    match op {
        SysOp::Cpuid => cpuid(cpu, mem, profile)?,
        SysOp::Xgetbv => xsave::xgetbv(cpu, mem, profile)?,
        SysOp::Xsave => xsave::save(cpu, insn, mem, profile)?,
        SysOp::Xrstor => xsave::restore(cpu, insn, mem, profile)?,
        SysOp::LoadTileConfig => tile::load_config(cpu, insn, mem)?,
        SysOp::StoreTileConfig => tile::store_config(cpu, insn, mem)?,
        SysOp::TileZero => tile::zero(cpu, insn)?,
        SysOp::TileRelease => tile::release(cpu),
        SysOp::TileLoad => tile::load(cpu, insn, mem)?,
        SysOp::TileStore => tile::store(cpu, insn, mem)?,
        SysOp::TileUnsigned => tile::multiply(cpu, insn, false, false)?,
        SysOp::TileUnsignedSigned => tile::multiply(cpu, insn, false, true)?,
        SysOp::TileSignedUnsigned => tile::multiply(cpu, insn, true, false)?,
        SysOp::TileSigned => tile::multiply(cpu, insn, true, true)?,
        SysOp::TileBf16 => tile::multiply_floats(cpu, insn, tile::bf16)?,
        SysOp::TileFp16 => tile::multiply_floats(cpu, insn, tile::halves)?,
        SysOp::TileReal => tile::multiply_floats(cpu, insn, tile::real_part)?,
        SysOp::TileImaginary => tile::multiply_floats(cpu, insn, tile::imaginary_part)?,
        SysOp::Hlt => retired.hlt = true,
        SysOp::In => {
            let size = usize::from(insn.slot(0).size);
            let mut buf = [0; 4];
            mem.port_in(port(cpu, insn, 1), &mut buf[..size])?;
            crate::integer::write_slot(cpu, insn.slot(0), u64::from(u32::from_le_bytes(buf)));
        }
        SysOp::Out => {
            let size = usize::from(insn.slot(1).size);
            mem.port_out(port(cpu, insn, 0), &cpu.gpr[RAX].to_le_bytes()[..size])?;
        }
        // CPL above IOPL comes here only where VIF takes the place of IF (CR4.VME, CR4.PVI).
        SysOp::Cli if cpu.word().bits & obstacle::IOPL_LOW != 0 => cpu.set_rflags(cpu.rflags() & !rflags::VIF),
        SysOp::Sti if cpu.word().bits & obstacle::IOPL_LOW != 0 => {
            if cpu.rflags() & rflags::VIP != 0 {
                return Err(Event::gp0("a virtual interrupt is pending").into());
            }
            cpu.set_rflags(cpu.rflags() | rflags::VIF);
        }
        SysOp::Cli => cpu.set_rflags(cpu.rflags() & !rflags::IF),
        SysOp::Sti => {
            retired.sti = cpu.rflags() & rflags::IF == 0;
            cpu.set_rflags(cpu.rflags() | rflags::IF);
        }
        SysOp::Int => {
            if let Some(event) = software_interrupt(cpu, insn) {
                cpu.rip = next;
                // It pushes RF clear (SDM volume 3, 18.3.1.1).
                cpu.set_rflags(cpu.rflags() & !rflags::RF);
                return Err(Event { length: insn.length() as u8, ..event }.into());
            }
        }
        SysOp::Ud => return Err(Event::ud("an instruction that is defined to be undefined").into()),
        SysOp::Rdtsc => {
            if cpu.word().bits & obstacle::TSD != 0 {
                return Err(Event::gp0("CR4.TSD is set outside CPL 0").into());
            }
            let time = mem.vmm.time()?;
            cpu.gpr[RAX] = time & 0xffff_ffff;
            cpu.gpr[RDX] = time >> 32;
        }
        SysOp::Fxsave => image::fxsave(cpu, insn, mem, profile)?,
        SysOp::Fxrstor => image::fxrstor(cpu, insn, mem, profile)?,
        SysOp::Ldmxcsr => ldmxcsr(cpu, insn, mem, profile)?,
        SysOp::Stmxcsr => {
            let at = operand(cpu, insn, 4, Intent::Write)?;
            let access = mem.access(AccessKind::Write, 4);
            mem.write_last(at, &cpu.vector.mxcsr.to_le_bytes(), &access)?;
        }
        SysOp::Vzero => vzero(cpu, insn),
        SysOp::Fence => crate::host::fence(fence_of(insn)),
        SysOp::Flush => {
            // Checked as the load of a byte, but never for alignment.
            let at = operand(cpu, insn, 1, Intent::Read)?;
            let access = mem.access(AccessKind::Read, 1);
            mem.probe(at, 1, &access)?;
            mem.vmm.cache(CacheOp::Flush, at)?;
        }
        SysOp::CopyLine => line::copy(cpu, insn, mem)?,
        SysOp::Enqueue => line::enqueue(cpu, insn, mem)?,
        SysOp::Clzero => platform::clear_line(cpu, insn, mem)?,
        SysOp::Random => platform::random(cpu, insn, mem)?,
        SysOp::Rdtscp => platform::rdtscp(cpu, mem)?,
        SysOp::Rdpru => platform::rdpru(cpu, mem)?,
        SysOp::Mcommit => platform::commit(cpu)?,
        SysOp::Monitor => wait::monitor(cpu, insn, mem, profile)?,
        SysOp::Mwait => wait::mwait(cpu, profile)?,
        SysOp::Mwaitx => wait::mwaitx(cpu)?,
        SysOp::Wait => wait::until(cpu, insn)?,
        SysOp::Rdpid => platform::rdpid(cpu, insn, mem)?,
        SysOp::ReadMsrList | SysOp::WriteMsrList => {
            msr::list(cpu, mem, profile, op == SysOp::WriteMsrList, retired)?;
            if retired.rep_unfinished {
                return Ok(());
            }
        }
        SysOp::ReadMsr => msr::read_named(cpu, insn, mem)?,
        SysOp::WriteMsr => msr::write_named(cpu, insn, mem, profile)?,
        SysOp::UserReadMsr => msr::user_read(cpu, insn, mem)?,
        SysOp::UserWriteMsr => msr::user_write(cpu, insn, mem, profile)?,
        SysOp::Clui | SysOp::Stui => user::set_flag(cpu, op == SysOp::Stui)?,
        SysOp::Testui => user::test_flag(cpu)?,
        SysOp::Uiret => return user::user_return(cpu, mem, profile),
        SysOp::Senduipi => user::send(cpu, insn, mem)?,
        SysOp::ReadBase => platform::read_base(cpu, insn)?,
        SysOp::WriteBase => platform::write_base(cpu, insn)?,
        SysOp::ReadShadowStack => shadow::read_pointer(cpu, insn, mem)?,
        SysOp::Shadow(op) => {
            fred::recognise(cpu, insn)?;
            shadow::run(op, cpu, insn, mem)?;
        }
        SysOp::Bounds if bounds_enabled(cpu) => return Err(Unsupported::Instruction(insn.row().mnemonic).into()),
        SysOp::Bounds => {}
        SysOp::Prefetch => {
            // A hint: an address that cannot be reached is not touched and not reported.
            if let Ok(at) = operand(cpu, insn, 1, Intent::Read) {
                mem.vmm.cache(CacheOp::Prefetch, at)?;
            }
        }
    }
    cpu.rip = next;
    Ok(())
}

/// Runs an instruction on segment registers or a far transfer.
///
/// # Errors
/// Nothing is changed when it fails, but for accessed and busy bits of descriptors.
pub(crate) fn far(
    op: FarOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    profile: &Profile,
    retired: &mut Retired,
) -> Result<(), Halt> {
    let next = next_rip(cpu, insn);
    fred::recognise(cpu, insn)?;
    match op {
        FarOp::Load => segment::load(cpu, insn, mem, retired)?,
        FarOp::Pop => segment::pop(cpu, insn, mem, retired)?,
        FarOp::LoadKernelGs => segment::load_kernel_gs(cpu, insn, mem)?,
        FarOp::LoadPointer => segment::load_far(cpu, insn, mem)?,
        FarOp::LoadTable => segment::load_table(cpu, insn, mem)?,
        FarOp::LoadTask => segment::load_task(cpu, insn, mem)?,
        FarOp::Lar | FarOp::Lsl | FarOp::VerifyRead | FarOp::VerifyWrite => segment::question(op, cpu, insn, mem)?,
        FarOp::Jump | FarOp::Call => return transfer::jump(op, cpu, insn, mem, profile),
        FarOp::Return => return transfer::far_return(cpu, insn, mem, profile),
        FarOp::Iret => return iret::iret(cpu, insn, mem, profile, retired),
        FarOp::Syscall | FarOp::Sysenter if fred::is_active(cpu) => {
            return fred::system_call(op, cpu, insn, mem, profile);
        }
        FarOp::Erets | FarOp::Eretu => return fred::event_return(op, cpu, mem, profile, retired),
        FarOp::Syscall | FarOp::Sysret => return transfer::system_call(op, cpu, insn, mem, profile),
        FarOp::Sysenter | FarOp::Sysexit => return transfer::system_enter(op, cpu, insn, mem, profile),
    }
    cpu.rip = next;
    Ok(())
}

/// Runs privileged work on registers, the TLB or caches.
///
/// # Errors
/// Nothing is changed when it fails.
pub(crate) fn privileged(
    op: PrivOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    let next = next_rip(cpu, insn);
    fred::recognise(cpu, insn)?;
    privileged::run(op, cpu, insn, mem, profile)?;
    cpu.rip = next;
    Ok(())
}

/// The linear address of the memory operand, `len` bytes.
fn operand(cpu: &Cpu, insn: &Insn, len: u64, intent: Intent) -> Result<u64, Event> {
    let at = linear(cpu, insn.segment(), address::effective(cpu, insn), len, intent)?;
    crate::integer::aligned(cpu, at, if len == 4 { 4 } else { 1 })?;
    Ok(at)
}

/// The port in operand `i`: an immediate byte or DX.
pub(crate) fn port(cpu: &Cpu, insn: &Insn, i: usize) -> u16 {
    if insn.slot(i).kind == SlotKind::Imm { insn.imm as u16 } else { cpu.gpr[RDX] as u16 }
}

/// Does the TSS's permission bitmap decide about ports?
pub(crate) fn asks_port_bitmap(cpu: &Cpu) -> bool {
    match cpu.mode() {
        Mode::Real16 => false,
        Mode::V86 => true,
        _ => cpu.word().bits & obstacle::IOPL_LOW != 0,
    }
}

/// Is MPX enabled? Else its instructions are NOPs.
pub(crate) fn bounds_enabled(cpu: &Cpu) -> bool {
    let s = cpu.system();
    let both = component::BNDREGS | component::BNDCSR;
    s.cr4 & cr4::OSXSAVE != 0 && s.xcr0 & both == both
}

/// Port instructions below the I/O privilege level need the TSS's permission bitmap (SDM volume 1, 19.5.2): two bytes of it are
/// read, and every port of the access has to have its bit clear.
///
/// # Errors
/// #GP(0) where the bitmap does not allow the access, or there is none; what the bus answers.
pub(crate) fn port_allowed(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    /// Where the TSS says where its bitmap is.
    const MAP_BASE: u64 = 0x66;
    if !asks_port_bitmap(cpu) {
        return Ok(());
    }
    let (port, size) = match insn.row().exec {
        Exec::System(SysOp::In) => (port(cpu, insn, 1), insn.slot(0).size),
        Exec::System(SysOp::Out) => (port(cpu, insn, 0), insn.slot(1).size),
        _ => (cpu.gpr[RDX] as u16, crate::integer::element_size(insn)),
    };
    let tr = &cpu.system().tr;
    let refuse = |cause| Err(Event::gp0(cause).into());
    let limit = u64::from(tr.limit);
    // A TSS of 32 or 64 bits, free or busy.
    if !tr.has(rights::P) || tr.attr & 0x1d != 9 || limit < MAP_BASE + 1 {
        return refuse("the TSS has no I/O permission bitmap");
    }
    let at = |offset: u64| tr.base.wrapping_add(offset);
    let map = descriptor::read_own(mem, at(MAP_BASE), 2)?;
    let first = map + u64::from(port / 8);
    if first + 1 > limit {
        return refuse("the port lies beyond the I/O permission bitmap");
    }
    let bits = descriptor::read_own(mem, at(first), 2)? >> (port % 8);
    if bits & ((1 << size) - 1) != 0 {
        return refuse("the I/O permission bitmap forbids the port");
    }
    Ok(())
}

/// Does a model-specific register have CPUID fault above CPL 0? One that the platform does not have does not.
fn faults_on_cpuid(mem: &mut Mem<'_, dyn Vmm + '_>, profile: &Profile) -> Result<bool, Halt> {
    const MISC_FEATURES_ENABLES: u32 = 0x140;
    /// HWCR, and its bit CpuidUserDis.
    const HWCR: u32 = 0xc001_0015;
    let (index, bit) = match profile.vendor() {
        Vendor::Amd => (HWCR, 35),
        _ => (MISC_FEATURES_ENABLES, 0),
    };
    match mem.vmm.read_msr(index) {
        Ok(value) => Ok(value >> bit & 1 != 0),
        Err(Stop::NotProvided(_) | Stop::Fault(_)) => Ok(false),
        Err(stop) => Err(stop.into()),
    }
}

fn cpuid(cpu: &mut Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, profile: &Profile) -> Result<(), Halt> {
    if cpu.cpl() != 0 && faults_on_cpuid(mem, profile)? {
        return Err(Event::gp0("CPUID faulting above CPL 0").into());
    }
    let (leaf, subleaf) = (cpu.gpr[RAX] as u32, cpu.gpr[RCX] as u32);
    let system = cpu.system();
    let answer = profile.cpuid(leaf, subleaf, system);
    let answer = mem.vmm.cpuid(leaf, subleaf, answer)?;
    cpu.gpr[RAX] = u64::from(answer.eax);
    cpu.gpr[RBX] = u64::from(answer.ebx);
    cpu.gpr[RCX] = u64::from(answer.ecx);
    cpu.gpr[RDX] = u64::from(answer.edx);
    Ok(())
}

/// The event of INT1, INT3, INT n, or INTO with OF set.
fn software_interrupt(cpu: &Cpu, insn: &Insn) -> Option<Event> {
    let exception = |vector, cause| Event { kind: EventKind::SoftwareException, ..Event::software(vector, cause) };
    match insn.opcode() {
        0xcc => Some(exception(3, "INT3")),
        0xcd => Some(Event::software(insn.imm as u8, "INT n")),
        // No gate's DPL counts, and DR6 does not say that it was there.
        0xf1 => Some(Event::db(EventKind::Trap, "INT1")),
        _ => (cpu.rflags() & rflags::OF != 0).then_some(exception(4, "INTO")),
    }
}

fn ldmxcsr(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, profile: &Profile) -> Result<(), Halt> {
    let at = operand(cpu, insn, 4, Intent::Read)?;
    let mut buf = [0; 4];
    let access = mem.access(AccessKind::Read, 4);
    mem.read_last(at, &mut buf, &access)?;
    let value = u32::from_le_bytes(buf);
    if value & !mxcsr_mask(profile) != 0 {
        return Err(Event::gp0("a reserved bit of MXCSR is set").into());
    }
    cpu.vector.mxcsr = value;
    cpu.dirty |= component::SSE;
    Ok(())
}

/// The fence that the instruction is.
fn fence_of(insn: &Insn) -> Fence {
    match insn.row().mnemonic {
        "lfence" => Fence::Load,
        "sfence" => Fence::Store,
        "mfence" => Fence::Full,
        _ => Fence::Serialize,
    }
}

/// Bits of MXCSR that the profile has.
pub(crate) fn mxcsr_mask(profile: &Profile) -> u32 {
    MXCSR_MASK | if profile.has(Feature::Misalignsse) { 1 << 17 } else { 0 }
}

/// VZEROUPPER and VZEROALL; outside 64-bit mode only the first eight registers.
fn vzero(cpu: &mut Cpu, insn: &Insn) {
    let registers = if insn.mode() == Mode::Long64 { 16 } else { 8 };
    let keep = if insn.ll == 0 { 16 } else { 0 };
    let low = if insn.ll == 0 { 0 } else { component::SSE };
    for zmm in &mut cpu.vector.zmm[..registers] {
        zmm.0[keep..].fill(0);
    }
    cpu.dirty |= low | component::AVX | component::ZMM_HI256;
}
