//! Control-flow enforcement (SDM volume 1, chapter 17): shadow stacks and indirect-branch tracking for near branches, and the
//! instructions on shadow stacks. Their enables are the platform's model-specific registers IA32_U_CET and IA32_S_CET; one that has
//! none has nothing enabled. Only steps under CR4.CET come here.

use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::cr4;
use crate::cpu::registers::rflags::{ARITH, CF};
use crate::cpu::segment::{Seg, rights};
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, prefix};
use crate::event::{Event, Stop, Unsupported};
use crate::integer::{next_rip, read_slot, write_slot};
use crate::isa::row::{Exec, IntOp, SeqOp, ShadowOp};

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

const U_CET: u32 = 0x6a0;
const S_CET: u32 = 0x6a2;
/// IA32_PL0_SSP.
const PL0_SSP: u32 = 0x6a4;
/// Bits of IA32_U_CET and IA32_S_CET.
const SH_STK_EN: u64 = 1 << 0;
const WR_SHSTK_EN: u64 = 1 << 1;
const ENDBR_EN: u64 = 1 << 2;
const LEG_IW_EN: u64 = 1 << 3;
const NO_TRACK_EN: u64 = 1 << 4;
const SUPPRESS: u64 = 1 << 10;
const TRACKER: u64 = 1 << 11;
/// What a supervisor token says of a stack that is in use.
const BUSY: u64 = 1;

/// Causes of #CP, its error code.
const NEAR_RET: u32 = 1;
const ENDBRANCH: u32 = 3;
const RSTORSSP: u32 = 4;
const SETSSBSY: u32 = 5;

fn register(cpl: u8) -> u32 {
    if cpl == 3 { U_CET } else { S_CET }
}

/// IA32_U_CET or IA32_S_CET.
fn enables(mem: &mut Memory<'_, '_>, register: u32) -> Result<u64, Halt> {
    match mem.vmm.read_msr(register) {
        Ok(value) => Ok(value),
        Err(Stop::NotProvided(_)) => Ok(0),
        Err(stop) => Err(stop.into()),
    }
}

/// Is anything of CET enabled, at whatever privilege?
pub(super) fn is_active(cpu: &Cpu, mem: &mut Memory<'_, '_>) -> Result<bool, Halt> {
    if cpu.system().cr4 & cr4::CET == 0 {
        return Ok(false);
    }
    let both = enables(mem, U_CET)? | enables(mem, S_CET)?;
    Ok(both & (SH_STK_EN | ENDBR_EN) != 0)
}

/// Are shadow stacks enabled at this privilege? Not in virtual-8086 mode, which never comes here.
fn has_shadow_stack(cpu: &Cpu, mem: &mut Memory<'_, '_>) -> Result<bool, Halt> {
    Ok(cpu.system().cr4 & cr4::CET != 0 && enables(mem, register(cpu.cpl()))? & SH_STK_EN != 0)
}

fn need(condition: bool, cause: &'static str) -> Result<(), Event> {
    if condition { Ok(()) } else { Err(Event::ud(cause)) }
}

/// An access to a shadow stack.
fn shadow(mem: &Memory<'_, '_>, kind: AccessKind, size: u16) -> Access {
    Access { shadow_stack: true, ..mem.access(kind, size) }
}

fn read(mem: &mut Memory<'_, '_>, at: u64, size: u8) -> Result<u64, Halt> {
    let mut buf = [0; 8];
    let access = shadow(mem, AccessKind::Read, size.into());
    mem.read(at, &mut buf[..size.into()], &access)?;
    Ok(u64::from_le_bytes(buf))
}

fn write(mem: &mut Memory<'_, '_>, at: u64, value: u64, size: u8) -> Result<(), Halt> {
    let access = shadow(mem, AccessKind::Write, size.into());
    mem.write(at, &value.to_le_bytes()[..size.into()], &access)
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

/// What is known before an instruction runs under CR4.CET.
pub(crate) struct Care {
    branch: Branch,
    /// IA32_U_CET or IA32_S_CET.
    enables: u64,
    register: u32,
    /// The instruction is an indirect branch that is tracked.
    tracked: bool,
    /// RIP behind it.
    back: u64,
}

/// Checks the tracker, and that a near call has room on the shadow stack.
///
/// # Errors
/// #CP(ENDBRANCH), what the shadow stack's page says; nothing is changed then but a tracker that was waited for.
pub(crate) fn before(cpu: &Cpu, insn: &Insn, mem: &mut Memory<'_, '_>) -> Result<Option<Care>, Halt> {
    if cpu.system().cr4 & cr4::CET == 0 || cpu.mode().is_real_or_v86() {
        return Ok(None);
    }
    let register = register(cpu.cpl());
    let mut enables = enables(mem, register)?;
    if enables & (SH_STK_EN | ENDBR_EN) == 0 {
        return Ok(None);
    }
    if enables & (ENDBR_EN | TRACKER) == ENDBR_EN | TRACKER {
        let wanted = if cpu.mode() == Mode::Long64 { "endbr64" } else { "endbr32" };
        // INT3 and INT1 may stand there too.
        let mnemonic = insn.row().mnemonic;
        if mnemonic != wanted && mnemonic != "int3" && mnemonic != "int1" {
            if enables & LEG_IW_EN != 0 {
                return Err(Unsupported::Instruction("the legacy code page bitmap of CET").into());
            }
            return Err(Event::cp(ENDBRANCH, "an indirect branch leads to no ENDBRANCH").into());
        }
        if mnemonic == wanted {
            enables &= !(TRACKER | SUPPRESS);
            mem.vmm.write_msr(register, enables)?;
        }
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
    let untracked = enables & NO_TRACK_EN != 0 && insn.has(prefix::DS);
    let tracked = enables & ENDBR_EN != 0 && indirect && jumps && !untracked && enables & SUPPRESS == 0;
    if branch == Branch::Call && enables & SH_STK_EN != 0 {
        let size = entry_size(cpu);
        let at = cpu.system().ssp.wrapping_sub(size.into());
        let access = shadow(mem, AccessKind::Write, size.into());
        mem.probe(at, size.into(), &access)?;
    }
    Ok(Some(Care { branch, enables, register, tracked, back: next_rip(cpu, insn) }))
}

/// What is due behind the instruction, whose registers are committed.
///
/// # Errors
/// #CP(NEAR_RET), and what the bus answers; the caller takes the instruction back.
pub(crate) fn after(care: &Care, cpu: &mut Cpu, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
    let size = entry_size(cpu);
    let ssp = cpu.system().ssp;
    if care.enables & SH_STK_EN != 0 {
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
        mem.vmm.write_msr(care.register, care.enables | TRACKER)?;
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
                let enables = enables(mem, register(cpl))?;
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
            if !fits {
                return Err(Event::cp(RSTORSSP, "RSTORSSP finds no token").into());
            }
            write(mem, at, ssp | wide | 2, 8)?;
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
            if read(mem, at, 8)? != at {
                return Err(Event::cp(SETSSBSY, "SETSSBSY finds no free supervisor token").into());
            }
            write(mem, at, at | BUSY, 8)?;
            cpu.update(|s| s.ssp = at);
        }
        ShadowOp::ClearBusy => {
            need(has_shadow_stack(cpu, mem)?, "no supervisor shadow stack is enabled")?;
            let at = operand(cpu, insn, 8, Intent::Write)?;
            let ours = read(mem, at, 8)? == at | BUSY;
            if ours {
                write(mem, at, at, 8)?;
            }
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
