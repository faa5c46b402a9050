//! Control-flow enforcement at transfers to other code (SDM volume 1, chapter 17, and the pages of CALL, JMP, RET, IRET, INT n,
//! SYSCALL and SYSENTER in volume 2): what goes onto the shadow stack and comes back from it, supervisor tokens, the tracker.
//!
//! The registers are the platform's; one that has none of them has nothing enabled.

use super::descriptor::{long, read_own};
use super::task::Asks;
use crate::access::{Halt, Mem};
use crate::address;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::{cr0, cr4};
use crate::cpu::segment::Seg;
use crate::cpu::{Cpu, Mode};
use crate::event::{Event, Stop};
use crate::isa::Feature;
use crate::profile::{Profile, Vendor};

type Memory<'a, 'v> = Mem<'a, dyn Vmm + 'v>;

pub(super) const U_CET: u32 = 0x6a0;
pub(super) const S_CET: u32 = 0x6a2;
/// IA32_PL0_SSP; those of the other privileges follow.
pub(super) const PL0_SSP: u32 = 0x6a4;
const PL3_SSP: u32 = 0x6a7;
const INTERRUPT_SSP_TABLE_ADDR: u32 = 0x6a8;

/// Bits of IA32_U_CET and IA32_S_CET.
pub(super) const SH_STK_EN: u64 = 1 << 0;
pub(super) const WR_SHSTK_EN: u64 = 1 << 1;
pub(super) const ENDBR_EN: u64 = 1 << 2;
pub(super) const SUPPRESS: u64 = 1 << 10;
/// The tracker waits for an ENDBRANCH.
pub(super) const TRACKER: u64 = 1 << 11;

/// Linear address of the legacy code page bitmap.
pub(super) const BITMAP: u64 = !0xfff;

/// What a supervisor token says of a stack that is in use.
pub(super) const BUSY: u64 = 1;
/// Bytes of CS, LIP and SSP on a shadow stack.
const FRAME: u64 = 24;
/// #CP's error code for far RET and IRET.
const FAR_RET: u32 = 2;

/// The register that enables at this privilege.
pub(super) fn register(cpl: u8) -> u32 {
    if cpl == 3 { U_CET } else { S_CET }
}

/// IA32_U_CET or IA32_S_CET.
pub(super) fn read_register(vmm: &mut dyn Vmm, register: u32) -> Result<u64, Halt> {
    match vmm.read_msr(register) {
        Ok(value) => Ok(value),
        Err(Stop::NotProvided(_)) => Ok(0),
        Err(stop) => Err(stop.into()),
    }
}

/// The enables that the guest was promised: AMD's processors have shadow stacks and no tracking.
pub(super) fn known(profile: &Profile) -> u64 {
    let stacks = SH_STK_EN | WR_SHSTK_EN;
    let of = |feature, bits| if profile.has(feature) { bits } else { 0 };
    of(Feature::Shstk, stacks) | of(Feature::Ibt, !stacks)
}

/// Checks what is written to a register of CET (SDM volume 4; volume 2, WRMSR).
///
/// # Errors
/// #GP(0) for reserved bits, for a tracker that waits and is suppressed, for addresses that are not canonical.
pub(super) fn check_msr(cpu: &Cpu, profile: &Profile, index: u32, value: u64) -> Result<(), Event> {
    const RESERVED: u64 = 0xf << 6;
    const UNALIGNED: u64 = 3;
    let known = known(profile);
    let (reserved, address) = match index {
        _ if known == 0 => return Ok(()),
        U_CET | S_CET => (RESERVED | !known, value & BITMAP),
        PL0_SSP..=PL3_SSP => (UNALIGNED, value),
        INTERRUPT_SSP_TABLE_ADDR => (0, value),
        _ => return Ok(()),
    };
    let both = reserved & RESERVED != 0 && value & (SUPPRESS | TRACKER) == SUPPRESS | TRACKER;
    if value & reserved != 0 || both {
        return Err(Event::gp0("a register of CET with reserved bits set, or a tracker that waits and is suppressed"));
    }
    if !address::canonical(cpu, address) {
        return Err(Event::gp0("a register of CET with an address that is not canonical"));
    }
    Ok(())
}

/// An access to a shadow stack.
fn access(kind: AccessKind, size: u8, cpl: u8) -> Access {
    Access { shadow_stack: true, ..Access::new(kind, size.into(), cpl) }
}

/// Reads an entry of a shadow stack, as privilege `cpl` does.
pub(super) fn read(mem: &mut Memory<'_, '_>, at: u64, size: u8, cpl: u8) -> Result<u64, Halt> {
    let mut buf = [0; 8];
    mem.read(at, &mut buf[..size.into()], &access(AccessKind::Read, size, cpl))?;
    Ok(u64::from_le_bytes(buf))
}

/// Writes one.
pub(super) fn write(mem: &mut Memory<'_, '_>, at: u64, value: u64, size: u8, cpl: u8) -> Result<(), Halt> {
    mem.write(at, &value.to_le_bytes()[..size.into()], &access(AccessKind::Write, size, cpl))
}

/// Asks whether one may be written.
pub(super) fn probe(mem: &mut Memory<'_, '_>, at: u64, size: u8, cpl: u8) -> Result<(), Halt> {
    mem.probe(at, size.into(), &access(AccessKind::Write, size, cpl))
}

/// The manual's shadow_stack_lock_cmpxchg8b: says what the token was, which becomes `new` if it was `expected`.
pub(super) fn exchange(mem: &mut Memory<'_, '_>, at: u64, expected: u64, new: u64, cpl: u8) -> Result<u64, Halt> {
    mem.exchange(at, expected, new, &access(AccessKind::Rmw, 8, cpl))
}

/// Frees the token of a stack that is left, if it is one.
fn free(mem: &mut Memory<'_, '_>, token: u64, cpl: u8) -> Result<(), Halt> {
    exchange(mem, token, token | BUSY, token, cpl).map(drop)
}

fn mismatch(cause: &'static str) -> Halt {
    Event::cp(FAR_RET, cause).into()
}

/// Outside 64-bit mode SSP has 32 bits.
fn check_width(ssp: u64, wide: bool) -> Result<(), Event> {
    if !wide && ssp >> 32 != 0 {
        return Err(Event::gp0("SSP lies above 4 GiB outside 64-bit mode"));
    }
    Ok(())
}

/// The linear address of `rip` in the CS that is loaded.
fn linear(cpu: &Cpu, rip: u64) -> u64 {
    match cpu.mode() {
        Mode::Long64 => rip,
        _ => cpu.seg(Seg::Cs).base.wrapping_add(rip) & 0xffff_ffff,
    }
}

/// Where a transfer comes from.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) cpl: u8,
    cs: u16,
    lip: u64,
}

impl Origin {
    /// `rip` is where a return leads.
    pub(super) fn new(cpu: &Cpu, rip: u64) -> Origin {
        Origin { cpl: cpu.cpl(), cs: cpu.seg(Seg::Cs).selector, lip: linear(cpu, rip) }
    }
}

/// Where the new shadow stack is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stack {
    Same,
    /// IA32_PLn_SSP of the new privilege says.
    OfPrivilege,
    /// This entry of the interrupt SSP table says.
    OfTable(u8),
}

/// What is enabled, as an instruction or a delivery finds it.
#[derive(Clone, Copy)]
pub(super) struct Enforcement {
    /// IA32_U_CET and IA32_S_CET.
    user: u64,
    supervisor: u64,
    known: u64,
    /// Virtual-8086 mode, which has neither; what it leads to may have.
    v86: bool,
    /// Bits of the processor's linear addresses.
    bits: u32,
    /// After a retry nothing is remembered: a token that was taken has to be given back.
    restarts: bool,
    /// A token and the frame below it have to lie in 32 bytes, aligned: Intel's manual says so, AMD's does not.
    contained: bool,
}

impl Enforcement {
    pub(super) fn of(cpu: &Cpu, mem: &mut Memory<'_, '_>, profile: &Profile) -> Result<Enforcement, Halt> {
        let s = cpu.system();
        let on = s.cr4 & cr4::CET != 0 && s.cr0 & cr0::PE != 0;
        Ok(Enforcement {
            user: if on { read_register(mem.vmm, U_CET)? } else { 0 },
            supervisor: if on { read_register(mem.vmm, S_CET)? } else { 0 },
            known: known(profile),
            v86: cpu.mode() == Mode::V86,
            restarts: false,
            bits: profile.linear_bits(),
            contained: profile.vendor() != Vendor::Amd,
        })
    }

    /// The same for the delivery of an event, which starts anew where an instruction would go on by the journal.
    pub(super) fn restarting(self) -> Enforcement {
        Enforcement { restarts: true, ..self }
    }

    fn enables(&self, cpl: u8) -> u64 {
        if cpl == 3 { self.user } else { self.supervisor }
    }

    fn has(&self, cpl: u8, bits: u64) -> bool {
        self.enables(cpl) & self.known & bits != 0
    }

    /// Are shadow stacks enabled at this privilege?
    pub(super) fn has_stack(&self, cpl: u8) -> bool {
        self.has(cpl, SH_STK_EN)
    }

    /// Had the code that the transfer comes from, at privilege `cpl`, one?
    pub(super) fn had_stack(&self, cpl: u8) -> bool {
        !self.v86 && self.has_stack(cpl)
    }

    /// Is anything enabled for programs? Virtual-8086 mode must not be entered then.
    pub(super) fn has_user(&self) -> bool {
        self.has(3, SH_STK_EN | ENDBR_EN)
    }

    /// An SSP as IA32_PL3_SSP keeps it: its upper bits repeat the highest of the linear-address width.
    fn kept(&self, ssp: u64) -> u64 {
        let unused = 64 - self.bits;
        ((ssp << unused) as i64 >> unused) as u64
    }

    /// A plan that only has the tracker wait at `cpl`, if indirect branches are tracked there.
    fn tracked(&self, cpu: &Cpu, cpl: u8) -> Entry {
        let old = self.enables(cpl);
        let new = old & !SUPPRESS | TRACKER;
        let tracker = (self.has(cpl, ENDBR_EN) && new != old).then_some((register(cpl), new));
        Entry { cpl, ssp: cpu.system().ssp, restarts: self.restarts, kept: None, token: None, frame: None, tracker }
    }

    /// Does the supervisor's tracker wait for an ENDBRANCH?
    pub(super) fn waits(&self) -> bool {
        self.has(0, ENDBR_EN) && self.supervisor & TRACKER != 0
    }

    /// ERETS: the supervisor's tracker waits, or not, as it did when the event came.
    pub(super) fn resume(&self, cpu: &Cpu, waits: bool) -> Entry {
        let (old, tracker) = (self.supervisor, if waits { TRACKER } else { 0 });
        let new = old & !(SUPPRESS | TRACKER) | tracker;
        let changes = self.has(0, ENDBR_EN) && new != old;
        Entry { tracker: changes.then_some((S_CET, new)), ..self.tracked(cpu, 0) }
    }

    /// Something behind a commit has failed that comes again: the tracker at `cpl` is what it was.
    pub(super) fn take_back(&self, mem: &mut Memory<'_, '_>, cpl: u8) -> Result<(), Halt> {
        if self.has(cpl, ENDBR_EN) {
            mem.vmm.write_msr(register(cpl), self.enables(cpl))?;
        }
        Ok(())
    }

    /// A jump to another code segment, which is loaded.
    ///
    /// # Errors
    /// #GP(0) for an SSP that is too great for its mode.
    pub(super) fn jump(&self, cpu: &Cpu) -> Result<Entry, Event> {
        let entry = self.tracked(cpu, cpu.cpl());
        if self.has_stack(entry.cpl) {
            check_width(entry.ssp, cpu.mode() == Mode::Long64)?;
        }
        Ok(entry)
    }

    /// A call, or an event, that goes from `origin` to privilege `cpl`, to 64-bit code or not.
    ///
    /// # Errors
    /// #GP(0) for a new stack that cannot be one, what the bus answers.
    pub(super) fn call(
        &self,
        cpu: &Cpu,
        mem: &mut Memory<'_, '_>,
        origin: Origin,
        (cpl, wide): (u8, bool),
        stack: Stack,
    ) -> Result<Entry, Halt> {
        let mut entry = self.tracked(cpu, cpl);
        let old = entry.ssp;
        let from_user = origin.cpl == 3 && cpl != 3;
        if from_user && self.had_stack(3) {
            entry.kept = Some(self.kept(old));
        }
        if !self.has_stack(cpl) {
            return Ok(entry);
        }
        match stack {
            Stack::Same => check_width(old, wide)?,
            Stack::OfPrivilege => entry.ssp = mem.vmm.read_msr(PL0_SSP + u32::from(cpl))?,
            Stack::OfTable(i) => {
                let table = mem.vmm.read_msr(INTERRUPT_SSP_TABLE_ADDR)?;
                entry.ssp = read_own(mem, table.wrapping_add(8 * u64::from(i)), 8)?;
            }
        }
        if stack != Stack::Same {
            if entry.ssp & 7 != 0 {
                return Err(Event::gp0("the new SSP is not aligned").into());
            }
            if self.contained && entry.ssp & !31 != entry.ssp.wrapping_sub(FRAME) & !31 {
                return Err(Event::gp0("the token and its frame lie not within 32 bytes").into());
            }
            check_width(entry.ssp, wide)?;
            entry.expect_token(mem)?;
        }
        if !from_user {
            entry.push(mem, [old, origin.lip, origin.cs.into()])?;
        }
        Ok(entry)
    }

    /// SYSCALL and SYSENTER, from privilege `cpl`.
    pub(super) fn system_call(&self, cpu: &Cpu, cpl: u8) -> Entry {
        let mut entry = self.tracked(cpu, 0);
        if self.had_stack(cpl) {
            entry.kept = Some(self.kept(entry.ssp));
        }
        if self.has_stack(0) {
            entry.ssp = 0;
        }
        entry
    }

    /// SYSRET and SYSEXIT.
    pub(super) fn system_return(&self, cpu: &mut Cpu, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
        if self.has_stack(3) {
            let ssp = mem.vmm.read_msr(PL3_SSP)?;
            cpu.update(|s| s.ssp = ssp);
        }
        Ok(())
    }

    /// Far RET, or IRET if `interrupted`, from privilege `from`, with everything but SSP loaded. Token and frame are those of the stack
    /// that is left, and are accessed as its privilege did.
    ///
    /// # Errors
    /// #CP(FAR-RET/IRET), #GP(0), what the bus answers.
    pub(super) fn far_return(
        &self,
        cpu: &mut Cpu,
        mem: &mut Memory<'_, '_>,
        from: u8,
        interrupted: bool,
    ) -> Result<(), Halt> {
        let (cpl, wide) = (cpu.cpl(), cpu.mode() == Mode::Long64);
        let (mut left, mut ssp) = (cpu.system().ssp, 0);
        if self.has_stack(from) {
            check_aligned(left)?;
            if from == cpl || cpl != 3 {
                let frame = Popped::read(mem, left, from)?;
                ssp = frame.check(cpu)?;
                left = left.wrapping_add(FRAME);
            }
        }
        if cpl != from && cpl == 3 && self.has_stack(3) {
            ssp = mem.vmm.read_msr(PL3_SSP)?;
        }
        if self.has_stack(cpl) {
            check_width(ssp, wide)?;
        } else {
            ssp = left;
        }
        cpu.update(|s| s.ssp = ssp);
        // IRET at the same privilege may leave a stack of the interrupt SSP table, which shows in where the frame leads.
        let leaves = if from == cpl { interrupted && long(cpu) && ssp != left } else { true };
        if self.has_stack(from) && leaves {
            free(mem, left, from)?;
        }
        Ok(())
    }

    /// IRET to virtual-8086 mode, before anything is loaded. Gives the token to free when nothing can fail any more.
    ///
    /// # Errors
    /// #GP(0) where virtual-8086 mode would have shadow stacks or tracking; #CP(FAR-RET/IRET).
    pub(super) fn leave_for_v86(&self, cpu: &Cpu) -> Result<Option<u64>, Halt> {
        if self.has_user() {
            return Err(Event::gp0("a return to virtual-8086 mode with CET enabled for programs").into());
        }
        let ssp = cpu.system().ssp;
        if !self.has_stack(cpu.cpl()) {
            return Ok(None);
        }
        check_aligned(ssp)?;
        Ok(Some(ssp))
    }

    /// UIRET to `rip`: the address alone is on the shadow stack.
    pub(super) fn user_return(&self, cpu: &mut Cpu, mem: &mut Memory<'_, '_>, rip: u64) -> Result<(), Halt> {
        let (cpl, ssp) = (cpu.cpl(), cpu.system().ssp);
        if self.has_stack(cpl) {
            if read(mem, ssp, 8, cpl)? != rip {
                return Err(mismatch("UIRET to another address than the shadow stack's"));
            }
            cpu.update(|s| s.ssp = ssp.wrapping_add(8));
        }
        Ok(())
    }
}

/// Frees the token that [`Enforcement::leave_for_v86`] has given.
pub(super) fn release(mem: &mut Memory<'_, '_>, token: Option<u64>) -> Result<(), Halt> {
    token.map_or(Ok(()), |token| free(mem, token, 0))
}

/// Task switches (SDM volume 3, chapter 8; volume 1, "Shadow Stack Usage on Task Switch"). The new task's TSS has its SSP, where a token
/// is made busy; a nested one gets CS, LIP and SSP of the old task's, IRET takes them back and frees the token. Where a task has no
/// shadow stack, its SSP is nobody's: it stays for the task that comes back.
impl Enforcement {
    /// What the old task leaves for the new one, of privilege `cpl`; `rip` is where it goes on.
    ///
    /// # Errors
    /// What the bus answers; nothing is changed.
    pub(super) fn leave_task(
        &self,
        cpu: &Cpu,
        mem: &mut Memory<'_, '_>,
        asks: Asks,
        rip: u64,
        cpl: u8,
    ) -> Result<Link, Halt> {
        let (origin, ssp) = (Origin::new(cpu, rip), cpu.system().ssp);
        let mut link = Link { from: origin.cpl, nested: None, popped: None, token: None };
        match asks {
            _ if !self.had_stack(origin.cpl) => {}
            Asks::Jump => {}
            Asks::Nests => link.nested = Some([ssp, origin.lip, origin.cs.into()]),
            Asks::Returns => {
                let mut token = ssp;
                if self.has_stack(cpl) {
                    link.popped = Some(Popped::read(mem, ssp, origin.cpl)?);
                    token = ssp.wrapping_add(FRAME);
                }
                probe(mem, token, 8, origin.cpl)?;
                link.token = Some(token);
            }
        }
        Ok(link)
    }

    /// The new task, whose segments are loaded, goes to its shadow stack: `ssp` of its TSS, or what IRET has popped.
    ///
    /// # Errors
    /// `refusal` for an SSP that is not aligned, #GP(0) for one without a free token; #CP(FAR-RET/IRET); what the bus answers.
    pub(super) fn enter_task(
        &self,
        cpu: &mut Cpu,
        mem: &mut Memory<'_, '_>,
        link: &Link,
        asks: Asks,
        (ssp, refusal): (u64, Event),
    ) -> Result<(), Halt> {
        if asks == Asks::Returns {
            if let Some(popped) = link.popped {
                let ssp = popped.check(cpu)?;
                check_width(ssp, false)?;
                cpu.update(|s| s.ssp = ssp);
            }
            return Ok(());
        }
        let mut entry = self.tracked(cpu, cpu.cpl());
        if self.has_stack(entry.cpl) {
            if ssp & 7 != 0 {
                return Err(refusal.into());
            }
            entry.ssp = ssp;
            entry.expect_token(mem)?;
            if let Some(values) = link.nested {
                entry.push(mem, values)?;
            }
        }
        entry.commit(cpu, mem)
    }
}

/// What a task switch carries from one shadow stack to the other.
pub(super) struct Link {
    from: u8,
    /// SSP, LIP and CS of a task that another one is nested in.
    nested: Option<[u64; 3]>,
    popped: Option<Popped>,
    /// The token that IRET frees.
    token: Option<u64>,
}

impl Link {
    /// Nothing keeps the switch from being committed any more, and the old task's pages are still there.
    pub(super) fn free(&self, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
        self.token.map_or(Ok(()), |token| free(mem, token, self.from))
    }
}

fn check_aligned(ssp: u64) -> Result<(), Halt> {
    if ssp & 7 == 0 { Ok(()) } else { Err(mismatch("a far return with an SSP that is not aligned")) }
}

/// SSP, LIP and CS as a far return finds them.
#[derive(Clone, Copy)]
pub(super) struct Popped([u64; 3]);

impl Popped {
    /// Reads CS first, as the manual's pages do.
    fn read(mem: &mut Memory<'_, '_>, ssp: u64, cpl: u8) -> Result<Popped, Halt> {
        let mut values = [0; 3];
        for i in [2, 1, 0] {
            values[i] = read(mem, ssp.wrapping_add(8 * i as u64), 8, cpl)?;
        }
        Ok(Popped(values))
    }

    /// Is it where CS:RIP is now? Gives the SSP.
    fn check(self, cpu: &Cpu) -> Result<u64, Halt> {
        let [ssp, lip, cs] = self.0;
        if cs != u64::from(cpu.seg(Seg::Cs).selector) {
            return Err(mismatch("a far return to another CS than the shadow stack's"));
        }
        if lip != linear(cpu, cpu.rip) {
            return Err(mismatch("a far return to another address than the shadow stack's"));
        }
        if ssp & 3 != 0 {
            return Err(mismatch("the SSP on the shadow stack is not aligned"));
        }
        Ok(ssp)
    }
}

/// What a transfer to other code does, once all checks have passed but that of the token, which can be taken only once.
#[must_use]
pub(super) struct Entry {
    cpl: u8,
    /// SSP afterwards.
    ssp: u64,
    restarts: bool,
    /// IA32_PL3_SSP.
    kept: Option<u64>,
    /// The token of the stack that is gone to, which is at its own address.
    token: Option<u64>,
    /// Where the old stack is aligned by four bytes of zeros, if it is not; SSP, LIP and CS.
    frame: Option<(Option<u64>, [u64; 3])>,
    /// The register that the tracker is in, and its value.
    tracker: Option<(u32, u64)>,
}

impl Entry {
    /// There has to be a token at SSP.
    fn expect_token(&mut self, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
        self.token = Some(self.ssp);
        probe(mem, self.ssp, 8, self.cpl)
    }

    /// Pushes a frame, if it may be written.
    fn push(&mut self, mem: &mut Memory<'_, '_>, values: [u64; 3]) -> Result<(), Halt> {
        let top = self.ssp & !7;
        let padding = (top != self.ssp).then_some(top);
        if let Some(at) = padding {
            probe(mem, at, 4, self.cpl)?;
        }
        self.ssp = top.wrapping_sub(FRAME);
        for i in [2, 1, 0] {
            probe(mem, self.ssp.wrapping_add(8 * i), 8, self.cpl)?;
        }
        self.frame = Some((padding, values));
        Ok(())
    }

    /// Does it.
    ///
    /// # Errors
    /// #GP(0) unless the token is there and free.
    pub(super) fn commit(&self, cpu: &mut Cpu, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
        if let Some(ssp) = self.kept {
            mem.vmm.write_msr(PL3_SSP, ssp)?;
        }
        if let Some(token) = self.token
            && exchange(mem, token, token, token | BUSY, self.cpl)? != token
        {
            return Err(Event::gp0("the new shadow stack has no token, or is in use").into());
        }
        // The tracker last: it must not wait for a call that comes again after a retry.
        let done = self.write_frame(mem).and_then(|()| match self.tracker {
            Some((register, value)) => Ok(mem.vmm.write_msr(register, value)?),
            None => Ok(()),
        });
        if let (Err(_), Some(token), true) = (&done, self.token, self.restarts) {
            free(mem, token, self.cpl)?;
        }
        done?;
        cpu.update(|s| s.ssp = self.ssp);
        Ok(())
    }

    /// Writes the frame that [`Entry::push`] has planned.
    fn write_frame(&self, mem: &mut Memory<'_, '_>) -> Result<(), Halt> {
        let Some((padding, values)) = self.frame else { return Ok(()) };
        if let Some(at) = padding {
            write(mem, at, 0, 4, self.cpl)?;
        }
        for (i, value) in values.into_iter().enumerate().rev() {
            write(mem, self.ssp.wrapping_add(8 * i as u64), value, 8, self.cpl)?;
        }
        Ok(())
    }
}
