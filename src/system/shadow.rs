//! Control-flow enforcement (SDM volume 1, chapter 17) of near branches: shadow stacks, the tracker with the legacy code page bitmap; and
//! the instructions on shadow stacks. Only steps under CR4.CET come here.

use super::cet::{self, BITMAP, BUSY, ENDBR_EN, PL0_SSP, SH_STK_EN, SUPPRESS, TRACKER, WR_SHSTK_EN};
use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::cr4;
use crate::cpu::registers::rflags::{ARITH, CF};
use crate::cpu::segment::{Seg, rights};
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, prefix};
use crate::event::Event;
use crate::integer::{next_rip, read_slot, write_slot};
use crate::isa::row::{Exec, IntOp, SeqOp, ShadowOp};
use crate::profile::Profile;

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

/// Bits of IA32_U_CET and IA32_S_CET that near branches alone know.
const LEG_IW_EN: u64 = 1 << 3;
const NO_TRACK_EN: u64 = 1 << 4;
const SUPPRESS_DIS: u64 = 1 << 5;

/// Causes of #CP, its error code.
const NEAR_RET: u32 = 1;
const ENDBRANCH: u32 = 3;
const RSTORSSP: u32 = 4;
const SETSSBSY: u32 = 5;

/// Are shadow stacks enabled at this privilege? Not in virtual-8086 mode, which never comes here.
fn has_shadow_stack(cpu: &Cpu, mem: &mut Memory<'_, '_>) -> Result<bool, Halt> {
    let register = cet::register(cpu.cpl());
    Ok(cpu.system().cr4 & cr4::CET != 0 && cet::read_register(mem.vmm, register)? & SH_STK_EN != 0)
}

fn need(condition: bool, cause: &'static str) -> Result<(), Event> {
    if condition { Ok(()) } else { Err(Event::ud(cause)) }
}

fn read(mem: &mut Memory<'_, '_>, at: u64, size: u8) -> Result<u64, Halt> {
    cet::read(mem, at, size, mem.cpl)
}

fn write(mem: &mut Memory<'_, '_>, at: u64, value: u64, size: u8) -> Result<(), Halt> {
    cet::write(mem, at, value, size, mem.cpl)
}

/// Bytes of an entry: the mode's.
fn entry_size(cpu: &Cpu) -> u8 {
    if cpu.mode() == Mode::Long64 { 8 } else { 4 }
}

/// What a near branch does beside its work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    Call,
    Return,
    Other,
}

/// What an instruction that stands at CS:RIP means to the tracker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    /// The mode's ENDBRANCH.
    Target,
    /// INT3 and INT1, which a debugger puts anywhere.
    Breakpoint,
    /// Another one, or none at all.
    Other,
}

/// IA32_U_CET or IA32_S_CET.
struct Enables {
    register: u32,
    raw: u64,
    /// The bits that the guest was promised.
    known: u64,
}

impl Enables {
    fn has(&self, bits: u64) -> bool {
        self.raw & self.known & bits == bits
    }

    fn set(&mut self, vmm: &mut dyn Vmm, value: u64) -> Result<(), Halt> {
        if value != self.raw {
            vmm.write_msr(self.register, value)?;
            self.raw = value;
        }
        Ok(())
    }
}

/// What is enabled where the processor is now, if anything.
fn enables(cpu: &Cpu, vmm: &mut dyn Vmm, profile: &Profile) -> Result<Option<Enables>, Halt> {
    if cpu.system().cr4 & cr4::CET == 0 || cpu.mode().is_real_or_v86() {
        return Ok(None);
    }
    let register = cet::register(cpu.cpl());
    let enables = Enables { register, raw: cet::read_register(vmm, register)?, known: cet::known(profile) };
    Ok(Some(enables).filter(|enables| enables.has(SH_STK_EN) || enables.has(ENDBR_EN)))
}

/// The tracker, where it is enabled, meets an instruction.
///
/// # Errors
/// #CP(ENDBRANCH), and what a look into the bitmap of legacy code raises.
fn arrive(cpu: &Cpu, vmm: &mut dyn Vmm, enables: &mut Enables, met: Met) -> Result<(), Halt> {
    let value = enables.raw;
    match met {
        Met::Target => enables.set(vmm, value & !(TRACKER | SUPPRESS)),
        Met::Other if value & TRACKER != 0 => {
            if value & LEG_IW_EN == 0 || !is_legacy(cpu, vmm, value & BITMAP)? {
                return Err(Event::cp(ENDBRANCH, "an indirect branch leads to no ENDBRANCH").into());
            }
            // Legacy code branches as it likes, up to the next ENDBRANCH.
            let suppressed = if value & SUPPRESS_DIS == 0 { SUPPRESS } else { 0 };
            enables.set(vmm, value & !TRACKER | suppressed)
        }
        _ => Ok(()),
    }
}

/// Does the legacy code page bitmap at `bitmap` have a bit for the page of CS:RIP? The journal knows nothing of the look: behind it
/// the tracker waits no longer, so that a retry does not look again.
fn is_legacy(cpu: &Cpu, vmm: &mut dyn Vmm, bitmap: u64) -> Result<bool, Halt> {
    let (page, wrap) = match cpu.mode() {
        Mode::Long64 => ((cpu.rip & (2 * cpu.word().canonical_half - 1)) >> 12, u64::MAX),
        _ => ((cpu.seg(Seg::Cs).base.wrapping_add(cpu.rip) & 0xffff_ffff) >> 12, 0xffff_ffff),
    };
    let at = bitmap.wrapping_add(page / 8) & wrap;
    if wrap == u64::MAX && !address::canonical(cpu, at) {
        return Err(Event::gp0("the legacy code page bitmap is not canonical").into());
    }
    let mut byte = [0];
    vmm.read(at, &mut byte, &Access::new(AccessKind::Read, 1, cpu.cpl()))?;
    Ok(byte[0] >> (page % 8) & 1 != 0)
}

/// Bytes that are no instruction: a tracker that waits has its say before #UD.
///
/// # Errors
/// As for [`before`].
pub(crate) fn not_an_instruction(cpu: &Cpu, vmm: &mut dyn Vmm, profile: &Profile) -> Result<(), Halt> {
    match enables(cpu, vmm, profile)? {
        Some(mut enables) if enables.has(ENDBR_EN) => arrive(cpu, vmm, &mut enables, Met::Other),
        _ => Ok(()),
    }
}

/// What is known before an instruction runs under CR4.CET.
pub(crate) struct Care {
    branch: Branch,
    enables: Enables,
    /// The instruction is an indirect branch that is tracked.
    tracked: bool,
    /// RIP behind it.
    back: u64,
}

/// Checks the tracker, before all that the instruction may raise, and that a near call has room on the shadow stack.
///
/// # Errors
/// #CP(ENDBRANCH), what the shadow stack's page says; nothing is changed then but a tracker that was waited for.
pub(crate) fn before(
    cpu: &Cpu,
    insn: &Insn,
    mem: &mut Memory<'_, '_>,
    profile: &Profile,
) -> Result<Option<Care>, Halt> {
    let Some(mut enables) = enables(cpu, mem.vmm, profile)? else { return Ok(None) };
    if enables.has(ENDBR_EN) {
        let met = match (insn.row().mnemonic, cpu.mode()) {
            ("endbr64", Mode::Long64) => Met::Target,
            ("endbr32", mode) if mode != Mode::Long64 => Met::Target,
            ("int3" | "int1", _) => Met::Breakpoint,
            _ => Met::Other,
        };
        arrive(cpu, mem.vmm, &mut enables, met)?;
    }
    let indirect = insn.opcode() == 0xff;
    let branch = match insn.row().exec {
        // A call of the next instruction asks where it is, and does not return.
        Exec::Seq(SeqOp::Call) if !indirect && insn.imm == 0 => Branch::Other,
        Exec::Seq(SeqOp::Call) => Branch::Call,
        Exec::Seq(SeqOp::Ret) => Branch::Return,
        _ => Branch::Other,
    };
    let jumps = branch == Branch::Call || matches!(insn.row().exec, Exec::Value(IntOp::Jmp));
    // A DS prefix opts out, if that is allowed.
    let untracked = enables.has(NO_TRACK_EN) && insn.has(prefix::DS);
    let tracked = enables.has(ENDBR_EN) && indirect && jumps && !untracked && !enables.has(SUPPRESS);
    // One that its gate refuses calls nothing.
    if branch == Branch::Call && enables.has(SH_STK_EN) && cpu.word().bits & insn.gate == 0 {
        let size = entry_size(cpu);
        cet::probe(mem, cpu.system().ssp.wrapping_sub(size.into()), size, mem.cpl)?;
    }
    Ok(Some(Care { branch, enables, tracked, back: next_rip(cpu, insn) }))
}

/// What is due behind the instruction, whose registers are committed.
///
/// # Errors
/// #CP(NEAR_RET), and what the bus answers; the caller takes the instruction back.
pub(crate) fn after(care: &mut Care, cpu: &mut Cpu, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let size = entry_size(cpu);
    let ssp = cpu.system().ssp;
    if care.enables.has(SH_STK_EN) {
        match care.branch {
            Branch::Call => {
                let at = ssp.wrapping_sub(size.into());
                write(mem, at, care.back, size)?;
                cpu.update(|s| s.ssp = at);
            }
            Branch::Return => {
                if read(mem, ssp, size)? != cpu.rip {
                    return Err(Event::cp(NEAR_RET, "RET to another address than the shadow stack's").into());
                }
                cpu.update(|s| s.ssp = ssp.wrapping_add(size.into()));
            }
            Branch::Other => {}
        }
    }
    if care.tracked {
        let value = care.enables.raw | TRACKER;
        care.enables.set(mem.vmm, value)?;
    }
    Ok(())
}

/// Runs an instruction on shadow stacks.
///
/// # Errors
/// #UD where they are not enabled, #GP(0), #CP; nothing is changed then.
pub(super) fn run(op: ShadowOp, cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    need(cpu.system().cr4 & cr4::CET != 0, "CR4.CET is clear")?;
    let (cpl, ssp) = (cpu.cpl(), cpu.system().ssp);
    match op {
        ShadowOp::Increment => {
            need(has_shadow_stack(cpu, mem)?, "no shadow stack is enabled")?;
            let size = insn.slot(0).size as u8;
            let count = read_slot(cpu, insn, insn.slot(0)) & 0xff;
            // The first and the last entry that are passed over have to be there.
            read(mem, ssp, size)?;
            read(mem, ssp.wrapping_add(count.max(1).wrapping_sub(1) * u64::from(size)), size)?;
            cpu.update(|s| s.ssp = ssp.wrapping_add(count * u64::from(size)));
        }
        ShadowOp::Write | ShadowOp::WriteUser => {
            if op == ShadowOp::Write {
                let enables = cet::read_register(mem.vmm, cet::register(cpl))?;
                need(enables & (SH_STK_EN | WR_SHSTK_EN) == SH_STK_EN | WR_SHSTK_EN, "WRSS is not enabled")?;
            }
            let size = insn.slot(0).size;
            let at = operand(cpu, insn, size.into(), Intent::Write)?;
            let value = read_slot(cpu, insn, insn.slot(1));
            // WRUSS writes as its user would.
            let cpl = if op == ShadowOp::Write { cpl } else { 3 };
            let access = Access { shadow_stack: true, ..Access::new(AccessKind::Write, size, cpl) };
            mem.write_last(at, &value.to_le_bytes()[..size.into()], &access)?;
        }
        ShadowOp::Restore => {
            need(has_shadow_stack(cpu, mem)?, "no shadow stack is enabled")?;
            let at = operand(cpu, insn, 8, Intent::Write)?;
            // A token: the address behind it, and whether 64-bit mode made it. It becomes one of the stack that is left.
            let wide = u64::from(cpu.mode() == Mode::Long64);
            let token = read(mem, at, 8)?;
            let place = (token & !3).wrapping_sub(8) & !7;
            let fits = token & 3 == wide && place == at && (wide == 1 || token >> 32 == 0);
            // Another processor may have taken it since.
            if !fits || cet::exchange(mem, at, token, ssp | wide | 2, cpl)? != token {
                return Err(Event::cp(RSTORSSP, "RSTORSSP finds no token").into());
            }
            cpu.update(|s| s.ssp = at);
            // CF: the stack that is restored was aligned to 4 bytes only.
            cpu.merge_flags(ARITH, if token & 4 != 0 { CF } else { 0 });
        }
        ShadowOp::SavePrevious => {
            need(has_shadow_stack(cpu, mem)?, "no shadow stack is enabled")?;
            if ssp & 7 != 0 {
                return Err(Event::gp0("SAVEPREVSSP with an SSP that is not aligned").into());
            }
            save_previous(cpu, mem, ssp)?;
        }
        ShadowOp::SetBusy => {
            need(has_shadow_stack(cpu, mem)?, "no supervisor shadow stack is enabled")?;
            let at = mem.vmm.read_msr(PL0_SSP)?;
            if at & 7 != 0 {
                return Err(Event::gp0("IA32_PL0_SSP is not aligned").into());
            }
            if cet::exchange(mem, at, at, at | BUSY, cpl)? != at {
                return Err(Event::cp(SETSSBSY, "SETSSBSY finds no free supervisor token").into());
            }
            cpu.update(|s| s.ssp = at);
        }
        ShadowOp::ClearBusy => {
            need(has_shadow_stack(cpu, mem)?, "no supervisor shadow stack is enabled")?;
            let at = operand(cpu, insn, 8, Intent::Write)?;
            let ours = cet::exchange(mem, at, at | BUSY, at, cpl)? == at | BUSY;
            cpu.update(|s| s.ssp = 0);
            cpu.merge_flags(ARITH, if ours { 0 } else { CF });
        }
    }
    Ok(())
}

/// The token that RSTORSSP has left on top says which stack was left; that stack gets a token to come back by.
fn save_previous(cpu: &mut Cpu, mem: &mut Memory<'_, '_>, ssp: u64) -> Result<(), Halt> {
    let wide = u64::from(cpu.mode() == Mode::Long64);
    let mut token = read(mem, ssp, 8)?;
    // An alignment entry may lie above it.
    if cpu.rflags() & CF != 0 {
        if wide == 0 && read(mem, ssp.wrapping_add(8), 4)? != 0 {
            return Err(Event::gp0("SAVEPREVSSP finds no alignment entry").into());
        }
        if wide == 1 {
            return Err(Event::gp0("SAVEPREVSSP with CF set in 64-bit mode").into());
        }
    }
    if token & 2 == 0 || (wide == 0 && token >> 32 != 0) {
        return Err(Event::gp0("SAVEPREVSSP finds no previous-ssp token").into());
    }
    token &= !3;
    // The old stack gets its token below what it held, aligned to 8 bytes.
    let old = token & !7;
    if token & 4 != 0 {
        write(mem, token.wrapping_sub(4), 0, 4)?;
    }
    write(mem, old.wrapping_sub(8), token | wide, 8)?;
    let above = if cpu.rflags() & CF != 0 { 12 } else { 8 };
    cpu.update(|s| s.ssp = ssp.wrapping_add(above));
    Ok(())
}

/// The operand's address, which has to be aligned.
fn operand(cpu: &Cpu, insn: &Insn, len: u64, intent: Intent) -> Result<u64, Event> {
    // Segments that cannot be written have shadow stacks too, but not one that is null.
    let segment = insn.segment();
    if cpu.mode() != Mode::Long64 && cpu.seg(segment).has(rights::UNUSABLE) && segment != Seg::Cs {
        return Err(Event::gp0("a null selector"));
    }
    let at = linear(cpu, segment, address::effective(cpu, insn), len, intent)?;
    if at & (len - 1) != 0 {
        return Err(Event::gp0("an operand on a shadow stack that is not aligned"));
    }
    Ok(at)
}

/// RDSSPD and RDSSPQ: SSP, and nothing at all where no shadow stack is in use.
pub(super) fn read_pointer(cpu: &mut Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    if has_shadow_stack(cpu, mem)? {
        write_slot(cpu, insn.slot(0), cpu.system().ssp);
    }
    Ok(())
}
