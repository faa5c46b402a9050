//! Control, debug and model-specific registers, descriptor-table registers, TLB and caches, protection keys (SDM volume 2; volume
//! 3, 2.5 and 18.2).

use super::operand;
use crate::access::{Halt, Mem};
use crate::address::paging::Invpcid;
use crate::address::{self, Intent, linear};
use crate::bus::{AccessKind, CacheOp, Invalidation, Vmm};
use crate::cpu::registers::gpr::{RAX, RCX, RDX};
use crate::cpu::registers::{component, cr0, cr3, cr4, efer, rflags};
use crate::cpu::segment::{DescriptorTable, Seg, rights};
use crate::cpu::{Cpu, Mode, System};
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::{Event, EventKind, Stop};
use crate::integer::{self, read_slot, write_slot};
use crate::isa::Feature;
use crate::isa::row::PrivOp;
use crate::profile::Profile;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// Model-specific registers that [`Cpu`] keeps.
mod msr {
    pub const XFD: u32 = 0x1c4;
    pub const XFD_ERR: u32 = 0x1c5;
    pub const PKRS: u32 = 0x6e1;
    pub const XSS: u32 = 0xda0;
    pub const HRESET_ENABLE: u32 = 0x17da;
    pub const EFER: u32 = 0xc000_0080;
    pub const FS_BASE: u32 = 0xc000_0100;
    pub const GS_BASE: u32 = 0xc000_0101;
    pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
}

/// Bits of DR7 that can be set, and those that always are.
const DR7: u64 = 0xffff_23ff;
const DR7_FIXED: u64 = 0x400;
/// General detect: any access to a debug register traps.
const DR7_GD: u64 = 1 << 13;
/// The same of DR6: B0 to B3, BD, BS, BT.
const DR6: u64 = 0xe00f;
const DR6_FIXED: u64 = 0xffff_0ff0;
const DR6_BD: u64 = 1 << 13;

/// Runs `op`; RIP is moved by the caller.
///
/// # Errors
/// Nothing is changed when it fails.
pub(super) fn run(
    op: PrivOp,
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    match op {
        PrivOp::ReadControl => {
            let value = control(cpu.system(), insn.slot(1).reg);
            write_slot(cpu, insn.slot(0), value);
        }
        PrivOp::WriteControl => write_control(cpu, insn, mem, profile)?,
        PrivOp::ReadDebug => {
            let at = debug_register(cpu, insn.slot(1).reg)?;
            let value = cpu.system().dr[at];
            write_slot(cpu, insn.slot(0), value);
        }
        PrivOp::WriteDebug => write_debug(cpu, insn)?,
        PrivOp::Clts => cpu.update(|s| s.cr0 &= !cr0::TS),
        PrivOp::Smsw => {
            umip(cpu)?;
            let value = cpu.system().cr0;
            store(cpu, insn, mem, value)?;
        }
        PrivOp::Lmsw => {
            let low = load(cpu, insn, mem)? & 0xf;
            let s = cpu.system();
            // PE can be set and not cleared.
            let value = s.cr0 & !0xe | low;
            cpu.update(|s| s.cr0 = value);
        }
        PrivOp::StoreTable => store_table(cpu, insn, mem)?,
        PrivOp::LoadTable => load_table(cpu, insn, mem)?,
        PrivOp::StoreSelector => {
            umip(cpu)?;
            let s = cpu.system();
            let value = if insn.modrm() >> 3 & 1 == 0 { s.ldtr.selector } else { s.tr.selector };
            store(cpu, insn, mem, value.into())?;
        }
        PrivOp::Rdmsr => {
            let value = read_msr(cpu, mem, cpu.gpr[RCX] as u32)?;
            pair(cpu, value);
        }
        PrivOp::Wrmsr => {
            let value = cpu.gpr[RAX] & 0xffff_ffff | cpu.gpr[RDX] << 32;
            write_msr(cpu, mem, profile, cpu.gpr[RCX] as u32, value)?;
        }
        PrivOp::Hreset => {
            // There is no history here that could be reset.
            let enabled = mem.vmm.read_msr(msr::HRESET_ENABLE)?;
            if cpu.gpr[RAX] & 0xffff_ffff & !enabled != 0 {
                refuse("HRESET of a component that IA32_HRESET_ENABLE does not enable")?;
            }
        }
        PrivOp::Rdpmc => {
            if cpu.cpl() != 0 && cpu.system().cr4 & cr4::PCE == 0 {
                return Err(Event::gp0("CR4.PCE is clear outside CPL 0").into());
            }
            let value = mem.vmm.read_counter(cpu.gpr[RCX] as u32)?;
            pair(cpu, value);
        }
        PrivOp::Swapgs => cpu.update(|s| core::mem::swap(&mut s.seg[Seg::Gs as usize].base, &mut s.kernel_gs_base)),
        PrivOp::Invlpg => {
            let at = address::unchecked(cpu, insn.segment(), address::effective(cpu, insn));
            // What no translation can be for is no fault.
            if address::canonical(cpu, at) {
                mem.vmm.invalidate(Invalidation::Page(at))?;
            }
        }
        PrivOp::Invpcid => invpcid(cpu, insn, mem)?,
        PrivOp::Invd => mem.vmm.cache(CacheOp::Invalidate, 0)?,
        PrivOp::Wbinvd => mem.vmm.cache(CacheOp::WriteBackAndInvalidate, 0)?,
        PrivOp::Wbnoinvd => mem.vmm.cache(CacheOp::WriteBack, 0)?,
        PrivOp::Clac => cpu.set_rflags(cpu.rflags() & !rflags::AC),
        PrivOp::Stac => cpu.set_rflags(cpu.rflags() | rflags::AC),
        PrivOp::Xsetbv => super::xsave::xsetbv(cpu, profile)?,
        PrivOp::Rdpkru => {
            keys(cpu)?;
            let value = cpu.system().pkru.into();
            pair(cpu, value);
        }
        PrivOp::Wrpkru => {
            keys(cpu)?;
            if cpu.gpr[RDX] as u32 != 0 {
                return Err(Event::gp0("WRPKRU with EDX other than 0").into());
            }
            let value = cpu.gpr[RAX] as u32;
            cpu.update(|s| s.pkru = value);
            cpu.dirty |= component::PKRU;
        }
    }
    Ok(())
}

/// EDX:EAX.
fn pair(cpu: &mut Cpu, value: u64) {
    (cpu.gpr[RAX], cpu.gpr[RDX]) = (value & 0xffff_ffff, value >> 32);
}

fn refuse(cause: &'static str) -> Result<(), Event> {
    Err(Event::gp0(cause))
}

/// SGDT, SIDT, SLDT, SMSW and STR above CPL 0.
fn umip(cpu: &Cpu) -> Result<(), Event> {
    if cpu.cpl() != 0 && cpu.system().cr4 & cr4::UMIP != 0 { refuse("CR4.UMIP is set outside CPL 0") } else { Ok(()) }
}

fn control(s: &System, number: u8) -> u64 {
    match number {
        0 => s.cr0,
        2 => s.cr2,
        3 => s.cr3,
        4 => s.cr4,
        _ => s.cr8,
    }
}

/// The value of a register operand, 32 bits outside 64-bit mode.
fn source(cpu: &Cpu, insn: &Insn) -> u64 {
    read_slot(cpu, insn, insn.slot(1))
}

fn write_control(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, profile: &Profile) -> Result<(), Halt> {
    let value = source(cpu, insn);
    match insn.slot(0).reg {
        0 => write_cr0(cpu, mem, value)?,
        2 => cpu.update(|s| s.cr2 = value),
        3 => write_cr3(cpu, mem, profile, value)?,
        4 => write_cr4(cpu, mem, profile, value)?,
        _ if value > 0xf => refuse("a reserved bit of CR8")?,
        _ => cpu.update(|s| s.cr8 = value),
    }
    Ok(())
}

/// Changes registers that decide translation. Page-directory-pointer-table entries are read for it where there are any.
///
/// # Errors
/// #GP(0) for a reserved bit in one of them, and what the bus answers; nothing is changed then.
fn change(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, keeps: bool, change: impl FnOnce(&mut System)) -> Result<(), Halt> {
    let mut next = cpu.system().clone();
    change(&mut next);
    mem.vmm.paging(&next, keeps)?;
    cpu.update(|s| *s = next);
    Ok(())
}

fn write_cr0(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, value: u64) -> Result<(), Halt> {
    use cr0::{AM, CD, EM, ET, MP, NE, NW, PE, PG, TS, WP};
    const ALL: u64 = PE | MP | EM | TS | ET | NE | WP | AM | NW | CD | PG;
    let s = cpu.system();
    let has = |bits| value & bits == bits;
    let long = cpu.mode() == Mode::Long64;
    if value >> 32 != 0 {
        refuse("a reserved bit of CR0's upper half")?;
    }
    if has(PG) && !has(PE) {
        refuse("CR0.PG without CR0.PE")?;
    }
    if has(NW) && !has(CD) {
        refuse("CR0.NW without CR0.CD")?;
    }
    if !has(WP) && s.cr4 & cr4::CET != 0 {
        refuse("CR0.WP is cleared while CR4.CET is set")?;
    }
    let (was, is) = (s.cr0 & PG != 0, has(PG));
    if was && !is && long {
        refuse("CR0.PG is cleared in 64-bit mode")?;
    }
    if was && !is && s.cr4 & cr4::PCIDE != 0 {
        refuse("CR0.PG is cleared while CR4.PCIDE is set")?;
    }
    let enters = !was && is && s.efer & efer::LME != 0;
    if enters {
        if s.cr4 & cr4::PAE == 0 {
            refuse("IA-32e mode without CR4.PAE")?;
        }
        if s.seg[Seg::Cs as usize].has(rights::L) {
            refuse("IA-32e mode is entered with CS.L set")?;
        }
        // A TSS of 16 bits, free or busy.
        if s.tr.attr & 0x1d == 1 {
            refuse("IA-32e mode is entered with a TSS of 16 bits")?;
        }
    }
    let leaves = was && !is;
    // Other bits than PG and WP do not concern the page tables, but that CD and NW have their entries read again.
    let keeps = (s.cr0 ^ value) & PG == 0;
    change(cpu, mem, keeps, |s| {
        // Reserved bits of the lower half are ignored; ET is always set.
        s.cr0 = value & ALL | ET;
        if enters {
            s.efer |= efer::LMA;
        } else if leaves {
            s.efer &= !efer::LMA;
        }
    })
}

fn write_cr3(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, profile: &Profile, value: u64) -> Result<(), Halt> {
    /// Keeps the translations of the new PCID.
    const NO_FLUSH: u64 = 1 << 63;
    let s = cpu.system();
    let mut allowed = u64::MAX >> (64 - u32::from(profile.physical_bits()));
    if profile.has(Feature::Lam) {
        allowed |= cr3::LAM_U48 | cr3::LAM_U57;
    }
    if s.cr4 & cr4::PCIDE != 0 {
        allowed |= NO_FLUSH;
    }
    if value & !allowed != 0 {
        refuse("a reserved bit of CR3")?;
    }
    match mem.vmm.invalidate(Invalidation::Cr3 { keep: value & NO_FLUSH != 0 }) {
        Ok(()) | Err(Stop::NotProvided(_)) => {}
        Err(stop) => return Err(stop.into()),
    }
    change(cpu, mem, value & NO_FLUSH != 0, |s| s.cr3 = value & !NO_FLUSH)
}

/// The bits of CR4 that a profile has.
pub(super) fn cr4_bits(profile: &Profile) -> u64 {
    use Feature::*;
    let by_feature = [
        (Vme, cr4::VME | cr4::PVI),
        (Tsc, cr4::TSD),
        (De, cr4::DE),
        (Pse, cr4::PSE),
        (Pae, cr4::PAE),
        (Pge, cr4::PGE),
        (Fxsr, cr4::OSFXSR),
        (Sse, cr4::OSXMMEXCPT),
        (Umip, cr4::UMIP),
        (La57, cr4::LA57),
        (Vmx, cr4::VMXE),
        (Smx, cr4::SMXE),
        (Fsgsbase, cr4::FSGSBASE),
        (Pcid, cr4::PCIDE),
        (Xsave, cr4::OSXSAVE),
        (KeylockerAes, cr4::KL),
        (Smep, cr4::SMEP),
        (Smap, cr4::SMAP),
        (Pku, cr4::PKE),
        (Shstk, cr4::CET),
        (Ibt, cr4::CET),
        (Pks, cr4::PKS),
        (Uintr, cr4::UINTR),
        (Lam, cr4::LAM_SUP),
        (Fred, cr4::FRED),
    ];
    // RDPMC has no feature bit of its own, and machine checks are in every processor of the table.
    by_feature
        .iter()
        .filter(|(feature, _)| profile.has(*feature))
        .fold(cr4::PCE | cr4::MCE, |bits, (_, bit)| bits | bit)
}

fn write_cr4(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, profile: &Profile, value: u64) -> Result<(), Halt> {
    let s = cpu.system();
    let long = s.efer & efer::LMA != 0;
    let changes = |bit| (s.cr4 ^ value) & bit != 0;
    if value & !cr4_bits(profile) != 0 {
        refuse("a reserved bit of CR4")?;
    }
    if long && value & cr4::PAE == 0 {
        refuse("CR4.PAE is cleared in IA-32e mode")?;
    }
    if long && changes(cr4::LA57) {
        refuse("CR4.LA57 is changed in IA-32e mode")?;
    }
    if changes(cr4::PCIDE) && value & cr4::PCIDE != 0 {
        if !long {
            refuse("CR4.PCIDE is set outside IA-32e mode")?;
        }
        if s.cr3 & cr3::PCID != 0 {
            refuse("CR4.PCIDE is set while CR3 holds a PCID")?;
        }
    }
    if value & cr4::CET != 0 && s.cr0 & cr0::WP == 0 {
        refuse("CR4.CET is set while CR0.WP is clear")?;
    }
    if !long && value & cr4::FRED != 0 {
        refuse("CR4.FRED is set outside IA-32e mode")?;
    }
    // What a change of its bits flushes is flushed for that.
    change(cpu, mem, true, |s| s.cr4 = value)
}

/// The number of a debug register that may be accessed now.
fn debug_register(cpu: &mut Cpu, number: u8) -> Result<usize, Event> {
    let s = cpu.system();
    let number = match number {
        4 | 5 if s.cr4 & cr4::DE != 0 => return Err(Event::ud("DR4 and DR5 while CR4.DE is set")),
        4 | 5 => number + 2,
        number => number,
    };
    if s.dr[7] & DR7_GD != 0 {
        cpu.update(|s| s.dr[6] |= DR6_BD);
        let event = Event::db(EventKind::Fault, "a debug register is accessed while DR7.GD is set");
        return Err(Event { data: DR6_BD as u32, ..event });
    }
    Ok(usize::from(number))
}

fn write_debug(cpu: &mut Cpu, insn: &Insn) -> Result<(), Event> {
    let value = source(cpu, insn);
    let at = debug_register(cpu, insn.slot(0).reg)?;
    if at >= 6 && value >> 32 != 0 {
        refuse("a reserved bit of the upper half of DR6 or DR7")?;
    }
    let value = match at {
        6 => value & DR6 | DR6_FIXED,
        7 => value & DR7 | DR7_FIXED,
        _ => value,
    };
    cpu.update(|s| s.dr[at] = value);
    Ok(())
}

/// A word in a register or in memory.
fn load(cpu: &Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<u64, Halt> {
    let slot = insn.slot(0);
    if slot.kind != SlotKind::Memory {
        return Ok(read_slot(cpu, insn, Slot { size: 2, ..slot }));
    }
    let at = linear(cpu, insn.segment(), address::effective(cpu, insn), 2, Intent::Read)?;
    integer::aligned(cpu, at, 2)?;
    let mut buf = [0; 2];
    let access = mem.access(AccessKind::Read, 2);
    mem.read_last(at, &mut buf, &access)?;
    Ok(u16::from_le_bytes(buf).into())
}

/// Stores a register's low word to memory, or as much of it as the operand has to a register.
fn store(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>, value: u64) -> Result<(), Halt> {
    let slot = insn.slot(0);
    if slot.kind != SlotKind::Memory {
        write_slot(cpu, slot, value);
        return Ok(());
    }
    let at = linear(cpu, insn.segment(), address::effective(cpu, insn), 2, Intent::Write)?;
    integer::aligned(cpu, at, 2)?;
    let access = mem.access(AccessKind::Write, 2);
    mem.write_last(at, &value.to_le_bytes()[..2], &access)
}

/// SGDT and SIDT: limit and base, all of the base whatever the operand size.
fn store_table(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    umip(cpu)?;
    let s = cpu.system();
    let table = if insn.modrm() >> 3 & 1 == 0 { s.gdtr } else { s.idtr };
    let mut image = [0; 10];
    image[..2].copy_from_slice(&table.limit.to_le_bytes());
    image[2..].copy_from_slice(&table.base.to_le_bytes());
    let len = usize::from(insn.slot(0).size);
    let at = operand(cpu, insn, len as u64, Intent::Write)?;
    let access = mem.access(AccessKind::Write, len as u16);
    mem.write_last(at, &image[..len], &access)
}

/// LGDT and LIDT: the base has 24 bits under a 16-bit operand size.
fn load_table(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let len = usize::from(insn.slot(0).size);
    let at = operand(cpu, insn, len as u64, Intent::Read)?;
    let mut image = [0; 10];
    let access = mem.access(AccessKind::Read, len as u16);
    mem.read_last(at, &mut image[..len], &access)?;
    let [l0, l1, base @ ..] = image;
    let base = u64::from_le_bytes(base);
    let base = if len == 6 && insn.osize() == 2 { base & 0xff_ffff } else { base };
    if !address::canonical(cpu, base) {
        refuse("the table's base is not canonical")?;
    }
    let table = DescriptorTable { base, limit: u16::from_le_bytes([l0, l1]) };
    let idt = insn.modrm() >> 3 & 1 != 0;
    cpu.update(|s| if idt { s.idtr = table } else { s.gdtr = table });
    Ok(())
}

/// RDMSR.
pub(super) fn read_msr(cpu: &Cpu, mem: &mut Memory<'_, '_>, index: u32) -> Result<u64, Halt> {
    let s = cpu.system();
    Ok(match index {
        msr::EFER => s.efer,
        msr::FS_BASE => s.seg[Seg::Fs as usize].base,
        msr::GS_BASE => s.seg[Seg::Gs as usize].base,
        msr::KERNEL_GS_BASE => s.kernel_gs_base,
        msr::XSS => s.xss,
        msr::XFD => s.xfd,
        msr::XFD_ERR => s.xfd_err,
        msr::PKRS => s.pkrs.into(),
        _ => mem.vmm.read_msr(index)?,
    })
}

/// WRMSR.
pub(super) fn write_msr(
    cpu: &mut Cpu,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
    index: u32,
    value: u64,
) -> Result<(), Halt> {
    if matches!(index, msr::FS_BASE | msr::GS_BASE | msr::KERNEL_GS_BASE) && !address::canonical(cpu, value) {
        refuse("a segment base that is not canonical")?;
    }
    super::fred::check_msr(cpu, profile, index, value)?;
    match index {
        msr::EFER => write_efer(cpu, profile, value)?,
        msr::FS_BASE => cpu.update(|s| s.seg[Seg::Fs as usize].base = value),
        msr::GS_BASE => cpu.update(|s| s.seg[Seg::Gs as usize].base = value),
        msr::KERNEL_GS_BASE => cpu.update(|s| s.kernel_gs_base = value),
        msr::XSS if value & !profile.xss() != 0 => refuse("a reserved bit of IA32_XSS")?,
        msr::XSS => cpu.update(|s| s.xss = value),
        msr::XFD | msr::XFD_ERR if value & !profile.xfd() != 0 => refuse("a reserved bit of IA32_XFD")?,
        msr::XFD => cpu.update(|s| s.xfd = value),
        msr::XFD_ERR => cpu.update(|s| s.xfd_err = value),
        msr::PKRS if value >> 32 != 0 => refuse("a reserved bit of IA32_PKRS")?,
        msr::PKRS => cpu.update(|s| s.pkrs = value as u32),
        _ => {
            super::cet::check_msr(cpu, profile, index, value)?;
            mem.vmm.write_msr(index, value)?;
        }
    }
    Ok(())
}

fn write_efer(cpu: &mut Cpu, profile: &Profile, value: u64) -> Result<(), Event> {
    let has = |feature, bits| if profile.has(feature) { bits } else { 0 };
    let amd = profile.vendor() == crate::profile::Vendor::Amd;
    let allowed = has(Feature::Syscall, efer::SCE)
        | has(Feature::Lm, efer::LME | efer::LMA)
        | has(Feature::Nx, efer::NXE)
        | has(Feature::Svm, efer::SVME)
        | has(Feature::FxsrOpt, efer::FFXSR)
        | has(Feature::Mcommit, efer::MCOMMIT)
        | if amd { efer::LMSLE | efer::TCE | efer::UAIE } else { 0 };
    let s = cpu.system();
    if value & !allowed != 0 {
        refuse("a reserved bit of EFER")?;
    }
    if (s.efer ^ value) & efer::LME != 0 && s.cr0 & cr0::PG != 0 {
        refuse("EFER.LME is changed while paging is on")?;
    }
    // LMA says what is, and is not written.
    cpu.update(|s| s.efer = value & !efer::LMA | s.efer & efer::LMA);
    Ok(())
}

fn invpcid(cpu: &Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let kind = read_slot(cpu, insn, insn.slot(0));
    let at = operand(cpu, insn, 16, Intent::Read)?;
    let mut image = [0; 16];
    let access = mem.access(AccessKind::Read, 16);
    mem.read(at, &mut image, &access)?;
    let both = u128::from_le_bytes(image);
    let (low, linear) = (both as u64, (both >> 64) as u64);
    let pcid = (low & cr3::PCID) as u16;
    if low & !cr3::PCID != 0 {
        refuse("a reserved bit of INVPCID's descriptor")?;
    }
    let kind = match kind {
        0 => Invpcid::Address,
        1 => Invpcid::Context,
        2 => Invpcid::All,
        3 => Invpcid::AllButGlobal,
        _ => return Err(Event::gp0("a type that INVPCID does not have").into()),
    };
    if matches!(kind, Invpcid::Address | Invpcid::Context) && cpu.system().cr4 & cr4::PCIDE == 0 && pcid != 0 {
        refuse("INVPCID names a PCID while CR4.PCIDE is clear")?;
    }
    if kind == Invpcid::Address && !address::canonical(cpu, linear) {
        refuse("INVPCID of an address that is not canonical")?;
    }
    mem.vmm.invalidate(Invalidation::Pcid { kind, pcid, linear })?;
    Ok(())
}

/// RDPKRU and WRPKRU.
fn keys(cpu: &Cpu) -> Result<(), Event> {
    if cpu.system().cr4 & cr4::PKE == 0 {
        return Err(Event::ud("CR4.PKE is clear"));
    }
    if cpu.gpr[RCX] as u32 != 0 { refuse("RDPKRU or WRPKRU with ECX other than 0") } else { Ok(()) }
}
