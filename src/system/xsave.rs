//! XSAVE, XRSTOR and their kin on our own state (SDM volume 1, 13.7 to 13.12), and XGETBV and XSETBV.
//!
//! The area is accessed in parts: legacy region, header, and each component by itself. All that is written is probed first;
//! all that is restored is read and checked before any of it is loaded.

use super::image::{self, LEGACY};
use super::mxcsr_mask;
use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::component::{self, AVX, HI16_ZMM, SSE, X87 as X87_STATE, ZMM_HI256};
use crate::cpu::registers::gpr::{RAX, RCX, RDX};
use crate::cpu::vector::MXCSR_DEFAULT;
use crate::cpu::xsave::{COMPACTED, COMPONENTS, HEADER_END, TILE, in_use, put, take};
use crate::cpu::{Cpu, Mode, X87};
use crate::decode::Insn;
use crate::event::{Event, Unsupported};
use crate::isa::Feature;
use crate::isa::row::Implied;
use crate::profile::{Profile, XsaveArea};
use crate::replay::need_components;

const MXCSR: usize = 24;
const STACK: usize = 32;
const XMM: usize = 160;
const HEADER: usize = 512;
/// Bytes of the header.
const HEADER_LEN: usize = 64;

/// IA32_RTIT_CTL, whose TraceEn (bit 0) XSAVES clears behind it, and IA32_LBR_CTL, whose LBREn it does.
const RTIT_CTL: u32 = 0x570;
const LBR_CTL: u32 = 0x14ce;
/// IA32_UINTR_MISC, whose UINV it clears. Bit 63 of its place is UIF, which no model-specific register has.
const UINTR_MISC: u32 = 0x988;
const UIF: u64 = 1 << 63;

/// IA32_LBR_CTL, IA32_LBR_DEPTH, IA32_LER_FROM_IP, IA32_LER_TO_IP, IA32_LER_INFO, and FROM_IP, TO_IP and INFO of each of 32
/// branches.
const BRANCH_RECORDS: [u32; 101] = {
    let mut list = [0; 101];
    (list[0], list[1], list[2], list[3], list[4]) = (LBR_CTL, 0x14cf, 0x1dd, 0x1de, 0x1e0);
    let mut n = 0;
    while n < 32 {
        let at = 5 + 3 * n;
        (list[at], list[at + 1], list[at + 2]) = (0x1500 + n as u32, 0x1600 + n as u32, 0x1200 + n as u32);
        n += 1;
    }
    list
};

/// Supervisor components that are made of model-specific registers: the component, and the registers in their order (SDM volume
/// 1, 13.5).
const REGISTERS: [(u64, &[u32]); 8] = [
    // IA32_RTIT_CTL, _OUTPUT_BASE, _OUTPUT_MASK_PTRS, _STATUS, _CR3_MATCH, _ADDR0_A, _ADDR0_B, _ADDR1_A, _ADDR1_B.
    (component::PT, &[RTIT_CTL, 0x560, 0x561, 0x571, 0x572, 0x580, 0x581, 0x582, 0x583]),
    // IA32_PASID.
    (component::PASID, &[0xd93]),
    // IA32_U_CET, IA32_PL3_SSP.
    (component::CET_U, &[0x6a0, 0x6a7]),
    // IA32_PL0_SSP to IA32_PL2_SSP.
    (component::CET_S, &[0x6a4, 0x6a5, 0x6a6]),
    // IA32_PM_CTL1.
    (component::HDC, &[0xdb1]),
    // IA32_UINTR_HANDLER, _STACKADJUST, _MISC, _PD, _RR, _TT.
    (component::UINTR, &[0x986, 0x987, UINTR_MISC, 0x989, 0x985, 0x98a]),
    (component::LBR, &BRANCH_RECORDS),
    // IA32_HWP_REQUEST.
    (component::HWP, &[0x774]),
];

/// The registers of a component that has them.
fn registers_of(n: u32) -> Option<&'static [u32]> {
    REGISTERS.iter().find(|(component, _)| *component == 1 << n).map(|(_, registers)| *registers)
}

/// Everything that one instruction needs.
struct Work<'a> {
    insn: &'a Insn,
    profile: &'a Profile,
    /// Components that are asked for and enabled: RFBM.
    requested: u64,
}

/// Where a component lies.
#[derive(Clone, Copy)]
struct Part {
    n: u32,
    offset: usize,
    /// Bytes that there are in this mode.
    len: usize,
    /// Where it ends in 64-bit mode.
    end: usize,
}

impl<'a> Work<'a> {
    fn of(
        cpu: &mut Cpu,
        insn: &'a Insn,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        profile: &'a Profile,
        supervisor: bool,
    ) -> Result<Work<'a>, Halt> {
        let s = cpu.system();
        let enabled = s.xcr0 | if supervisor { s.xss } else { 0 };
        let requested = (cpu.gpr[RDX] << 32 | cpu.gpr[RAX] & 0xffff_ffff) & enabled & !COMPACTED;
        need_components(cpu, mem, requested & COMPONENTS)?;
        // Before anything else that may be wrong with the address; never #AC.
        let offset = address::effective(cpu, insn);
        if !address::unchecked(cpu, insn.segment(), offset).is_multiple_of(64) {
            return Err(Event::gp0("the XSAVE area is not aligned to 64 bytes").into());
        }
        // Its beginning is looked at first, and then its end, whatever is accessed there (Zen 4).
        let writes = !matches!(insn.row.implied, Implied::Restore | Implied::RestoreSupervisor);
        let (intent, kind) = if writes { (Intent::Write, AccessKind::Write) } else { (Intent::Read, AccessKind::Read) };
        let at = linear(cpu, insn.segment(), offset, 1, intent)?;
        mem.probe(at, 1, &part_access(mem, kind, 0, 1))?;
        let work = Work { insn, profile, requested };
        if writes {
            let compacted = matches!(insn.row.implied, Implied::SaveCompacted | Implied::SaveSupervisor);
            work.probe_end(cpu, mem, compacted, (requested, requested), kind)?;
        }
        Ok(work)
    }

    /// XMM, YMM and ZMM registers that the mode has, of the first sixteen.
    fn registers(&self) -> usize {
        if self.insn.mode() == Mode::Long64 { 16 } else { 8 }
    }

    /// Looks at the last byte of the area: that of the last component of those laid out that is moved.
    fn probe_end(
        &self,
        cpu: &Cpu,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        compacted: bool,
        (laid_out, moved): (u64, u64),
        kind: AccessKind,
    ) -> Result<(), Halt> {
        let end = self.parts(laid_out, moved, compacted)?.map(|part| part.end).max().unwrap_or(HEADER_END);
        let intent = if kind == AccessKind::Write { Intent::Write } else { Intent::Read };
        let last = self.address(cpu, end - 1, 1, intent)?;
        mem.probe(last, 1, &part_access(mem, kind, end - 1, 1))
    }

    /// The linear address of a part, checked like the whole operand.
    fn address(&self, cpu: &Cpu, offset: usize, len: usize, intent: Intent) -> Result<u64, Halt> {
        let offset = address::effective(cpu, self.insn).wrapping_add(offset as u64);
        let offset = address::truncate(offset, self.insn.asize());
        Ok(linear(cpu, self.insn.segment(), offset, len as u64, intent)?)
    }

    /// A part that goes around the end of the address size lies in two pieces: offset and length of each.
    fn pieces(&self, cpu: &Cpu, offset: usize, len: usize) -> [(usize, usize); 2] {
        let at = address::effective(cpu, self.insn).wrapping_add(offset as u64);
        let at = address::truncate(at, self.insn.asize());
        let last = address::truncate(at.wrapping_add(len as u64 - 1), self.insn.asize());
        let first = if last < at { len - 1 - last as usize } else { len };
        [(offset, first), (offset + first, len - first)]
    }

    fn probe(
        &self,
        cpu: &Cpu,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        kind: AccessKind,
        (offset, len): (usize, usize),
    ) -> Result<(), Halt> {
        let intent = if kind == AccessKind::Write { Intent::Write } else { Intent::Read };
        for (at, len) in self.pieces(cpu, offset, len).into_iter().filter(|(_, len)| *len != 0) {
            let linear = self.address(cpu, at, len, intent)?;
            mem.probe(linear, len, &part_access(mem, kind, at, len))?;
        }
        Ok(())
    }

    fn read(&self, cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, offset: usize, buf: &mut [u8]) -> Result<(), Halt> {
        for (at, len) in self.pieces(cpu, offset, buf.len()).into_iter().filter(|(_, len)| *len != 0) {
            let linear = self.address(cpu, at, len, Intent::Read)?;
            let access = part_access(mem, AccessKind::Read, at, len);
            mem.read_image(linear, &mut buf[at - offset..][..len], &access)?;
        }
        Ok(())
    }

    fn write(&self, cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, offset: usize, buf: &[u8]) -> Result<(), Halt> {
        for (at, len) in self.pieces(cpu, offset, buf.len()).into_iter().filter(|(_, len)| *len != 0) {
            let linear = self.address(cpu, at, len, Intent::Write)?;
            let access = part_access(mem, AccessKind::Write, at, len);
            mem.write_image(linear, &buf[at - offset..][..len], &access)?;
        }
        Ok(())
    }

    fn area(&self, n: u32, compacted: bool) -> Result<XsaveArea, Halt> {
        let area = self.profile.xsave_area(n);
        let area = if compacted { area.or_else(|| self.profile.supervisor_area(n)) } else { area };
        let size = match 1 << n {
            component::TILEDATA => 8 * TILE,
            AVX => 256,
            component::OPMASK | component::TILECFG => 64,
            ZMM_HI256 => 512,
            HI16_ZMM => 1024,
            component::PKRU => 8,
            component::APX => 128,
            _ => registers_of(n).map_or(0, |registers| 8 * registers.len()),
        };
        match area {
            // A component that is larger than it should be would be another one.
            Some(area) if size != 0 && area.size as usize >= size => Ok(area),
            _ => Err(Unsupported::Instruction("a state component that the engine does not hold").into()),
        }
    }

    /// The components of `held` above SSE among those of `laid_out`, one after the other in the compacted format.
    fn parts(&self, laid_out: u64, held: u64, compacted: bool) -> Result<impl Iterator<Item = Part>, Halt> {
        let mut list = [Part { n: 0, offset: 0, len: 0, end: 0 }; 62];
        let (mut count, mut end) = (0, HEADER_END);
        for n in (2..63).filter(|n| laid_out >> n & 1 != 0) {
            let area = self.area(n, compacted)?;
            let offset = match (compacted, area.aligned) {
                (false, _) => area.offset as usize,
                (true, true) => end.next_multiple_of(64),
                (true, false) => end,
            };
            end = offset + area.size as usize;
            if held >> n & 1 != 0 {
                list[count] = Part { n, offset, len: self.present(n, area.size as usize), end };
                count += 1;
            }
        }
        Ok(list.into_iter().take(count))
    }

    /// Bytes of a component that there are in the mode: registers 8 to 15 and 16 to 31 are those of 64-bit mode.
    fn present(&self, n: u32, size: usize) -> usize {
        match 1 << n {
            component::TILEDATA => 8 * TILE,
            AVX | ZMM_HI256 if self.registers() == 8 => size / 2,
            HI16_ZMM if self.registers() == 8 => 0,
            _ => size,
        }
    }
}

/// XSAVE, XSAVEOPT, XSAVEC and XSAVES. The first writes all that is asked for, the others leave out components that have
/// their initial state.
pub(super) fn save(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, profile: &Profile) -> Result<(), Halt> {
    let implied = insn.row.implied;
    let supervisor = implied == Implied::SaveSupervisor;
    let compacted = supervisor || implied == Implied::SaveCompacted;
    let work = Work::of(cpu, insn, mem, profile, supervisor)?;
    let requested = work.requested;
    let unusual = if cpu.vector.mxcsr == MXCSR_DEFAULT { 0 } else { SSE };
    // A component of registers that only the platform has counts as used.
    // What IA32_XFD disables counts as being in its initial state.
    let disabled = cpu.system().xcr0 & cpu.system().xfd;
    let used = (in_use(cpu) | unusual | !COMPONENTS) & requested & !disabled;
    let saved = if implied == Implied::Save { requested } else { used };

    let mut legacy = [0; LEGACY];
    image::fill(cpu, insn, profile, &mut legacy);
    let mxcsr = if compacted { saved & SSE != 0 } else { requested & (SSE | AVX) != 0 };
    let legacy_parts = [
        (0, MXCSR, saved & X87_STATE != 0),
        (MXCSR, 8, mxcsr),
        (STACK, 128, saved & X87_STATE != 0),
        (XMM, 16 * work.registers(), saved & SSE != 0),
    ];
    // A page fault is the header's, which is looked at first.
    let header = if compacted { 16 } else { 8 };
    let kind = if compacted { AccessKind::Write } else { AccessKind::ReadForWrite };
    let header_at = work.address(cpu, HEADER, header, Intent::Write)?;
    for (at, len, wanted) in legacy_parts {
        if wanted {
            work.probe(cpu, mem, AccessKind::Write, (at, len))?;
        }
    }
    mem.probe(header_at, header, &part_access(mem, AccessKind::Write, HEADER, header))?;
    for part in work.parts(requested, saved, compacted)?.filter(|part| part.len != 0) {
        work.probe(cpu, mem, AccessKind::Write, (part.offset, part.len))?;
    }

    let mut words = [0; 16];
    if compacted {
        words[..8].copy_from_slice(&used.to_le_bytes());
        words[8..].copy_from_slice(&(requested | COMPACTED).to_le_bytes());
    } else {
        let access = part_access(mem, kind, HEADER, 8);
        mem.read(header_at, &mut words[..8], &access)?;
        let before = u64::from_le_bytes(*words.first_chunk().unwrap_or(&[0; 8]));
        words[..8].copy_from_slice(&(before & !requested | used).to_le_bytes());
    }
    for (at, len, wanted) in legacy_parts {
        if wanted {
            work.write(cpu, mem, at, &legacy[at..at + len])?;
        }
    }
    for part in work.parts(requested, saved, compacted)?.filter(|part| part.len != 0) {
        let mut buffer = [0; TILE];
        for skip in (0..part.len).step_by(TILE) {
            let piece = &mut buffer[..(part.len - skip).min(TILE)];
            match registers_of(part.n) {
                Some(registers) => {
                    piece.fill(0);
                    for (place, &register) in piece.chunks_exact_mut(8).zip(registers) {
                        let flag = if register == UINTR_MISC && cpu.system().uif { UIF } else { 0 };
                        place.copy_from_slice(&(mem.vmm.read_msr(register)? | flag).to_le_bytes());
                    }
                }
                None if disabled >> part.n & 1 != 0 => piece.fill(0),
                None => put(cpu, part.n, skip, piece),
            }
            work.write(cpu, mem, part.offset + skip, piece)?;
        }
    }
    work.write(cpu, mem, HEADER, &words[..header])?;
    // Tracing, recording and notifications go on when the state is restored.
    const STOPPED: [(u64, u32, u64); 3] =
        [(component::PT, RTIT_CTL, 1), (component::LBR, LBR_CTL, 1), (component::UINTR, UINTR_MISC, 0xff << 32)];
    for (component, register, bits) in STOPPED {
        if saved & component != 0 {
            let value = mem.vmm.read_msr(register)?;
            if value & bits != 0 {
                mem.vmm.write_msr(register, value & !bits)?;
            }
        }
    }
    Ok(())
}

/// One access of a part: an element as a device sees it has 64 bytes at most.
fn part_access(mem: &Mem<'_, dyn Vmm + '_>, kind: AccessKind, offset: usize, len: usize) -> Access {
    Access { offset: offset as u16, ..mem.access(kind, len as u16) }
}

/// XRSTOR and XRSTORS.
///
/// # Errors
/// #GP(0) for what the header or MXCSR must not have, what the bus answers; nothing is loaded then.
pub(super) fn restore(
    cpu: &mut Cpu,
    insn: &Insn,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    profile: &Profile,
) -> Result<(), Halt> {
    let supervisor = insn.row.implied == Implied::RestoreSupervisor;
    let work = Work::of(cpu, insn, mem, profile, supervisor)?;
    let mut header = [0; HEADER_LEN];
    let at = work.address(cpu, HEADER, HEADER_LEN, Intent::Read)?;
    mem.read_image(at, &mut header, &part_access(mem, AccessKind::Read, HEADER, HEADER_LEN))?;
    let word = |at: usize| header[at..].first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes));
    let (bv, xcomp) = (word(0), word(8));
    let s = cpu.system();
    let enabled = s.xcr0 | if supervisor { s.xss } else { 0 };
    let compacted = check_header(&header, bv, xcomp, enabled, supervisor, profile)?;
    let (requested, present) = (work.requested, work.requested & bv);
    let laid_out = if compacted { xcomp & !COMPACTED } else { requested };
    let moved = if compacted { present } else { requested };
    let disabled = present & cpu.system().xcr0 & cpu.system().xfd;
    if disabled != 0 {
        cpu.update(|s| s.xfd_err = disabled);
        let event = Event::nm("IA32_XFD disables a component that is restored");
        return Err(Event { data: disabled as u32, ..event }.into());
    }
    work.probe_end(cpu, mem, compacted, (laid_out, moved), AccessKind::Read)?;

    // All of it is put together in a copy, so that a fault leaves nothing.
    let mut next = cpu.clone();
    let mut numbers = Numbers { list: [(0, 0); 124], count: 0 };
    let mut legacy = [0; LEGACY];
    let with = if compacted { present & SSE != 0 } else { requested & (SSE | AVX) != 0 };
    let legacy_parts = [
        (0, MXCSR, present & X87_STATE != 0),
        (MXCSR, 8, with),
        (STACK, 128, present & X87_STATE != 0),
        (XMM, 16 * work.registers(), present & SSE != 0),
    ];
    for (at, len, wanted) in legacy_parts {
        if wanted {
            work.read(cpu, mem, at, &mut legacy[at..at + len])?;
        }
    }
    if with {
        let mxcsr = image::u32_at(&legacy, MXCSR);
        if mxcsr & !mxcsr_mask(profile) != 0 {
            return Err(Event::gp0("a reserved bit of MXCSR is set in the area").into());
        }
        next.vector.mxcsr = mxcsr;
    } else if compacted && requested & SSE != 0 {
        next.vector.mxcsr = MXCSR_DEFAULT;
    }
    if requested & X87_STATE != 0 {
        next.x87 = if present & X87_STATE != 0 { image::x87_from(&legacy, insn, profile) } else { X87::default() };
    }
    let area = (present & SSE != 0).then_some(&legacy[XMM..]);
    if requested & SSE != 0 {
        take(&mut next, 1, area, work.registers());
    }
    for n in (2..63).filter(|n| (requested & !bv) >> n & 1 != 0) {
        match registers_of(n) {
            Some(registers) => registers.iter().for_each(|&register| numbers.push(register, 0)),
            None => take(&mut next, n, None, work.registers()),
        }
    }
    let mut buffer = [0; 8 * TILE];
    for part in work.parts(laid_out, present, compacted)?.filter(|part| part.len != 0) {
        let area = &mut buffer[..part.len.min(8 * TILE)];
        work.read(cpu, mem, part.offset, area)?;
        match registers_of(part.n) {
            Some(registers) => {
                for (value, &register) in area.chunks_exact(8).zip(registers) {
                    numbers.push(register, value.first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes)));
                }
            }
            None => take(&mut next, part.n, Some(area), work.registers()),
        }
    }
    for &(register, mut value) in &numbers.list[..numbers.count] {
        if register == UINTR_MISC {
            next.update(|s| s.uif = value & UIF != 0);
            value &= !UIF;
        }
        mem.vmm.write_msr(register, value)?;
    }
    next.dirty |= requested | if requested & AVX != 0 { SSE } else { 0 };
    *cpu = next;
    Ok(())
}

/// Model-specific registers to be written when all has been read.
struct Numbers {
    list: [(u32, u64); 124],
    count: usize,
}

impl Numbers {
    fn push(&mut self, register: u32, value: u64) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = (register, value);
            self.count += 1;
        }
    }
}

/// What a header must not have; is it that of the compacted format?
fn check_header(
    header: &[u8; HEADER_LEN],
    bv: u64,
    xcomp: u64,
    enabled: u64,
    supervisor: bool,
    profile: &Profile,
) -> Result<bool, Event> {
    let compacted = xcomp & COMPACTED != 0;
    if !compacted {
        if supervisor {
            return Err(Event::gp0("XRSTORS of an area in the standard format"));
        }
        if bv & !enabled != 0 {
            return Err(Event::gp0("XSTATE_BV has a component that XCR0 does not enable"));
        }
        if header[8..24].iter().any(|&byte| byte != 0) {
            return Err(Event::gp0("reserved bytes of the XSAVE header are not zero"));
        }
        return Ok(false);
    }
    if !profile.has(Feature::Xsavec) {
        return Err(Event::gp0("the XSAVE area is in the compacted format, which the processor does not have"));
    }
    if xcomp & !COMPACTED & !enabled != 0 {
        return Err(Event::gp0("XCOMP_BV has a component that is not enabled"));
    }
    if bv & !xcomp != 0 || bv & COMPACTED != 0 {
        return Err(Event::gp0("XSTATE_BV has a component that XCOMP_BV has not"));
    }
    if header[16..].iter().any(|&byte| byte != 0) {
        return Err(Event::gp0("reserved bytes of the XSAVE header are not zero"));
    }
    Ok(true)
}

/// XGETBV: XCR0, or those of its components that are in use.
pub(super) fn xgetbv(cpu: &mut Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, profile: &Profile) -> Result<(), Halt> {
    let value = match cpu.gpr[RCX] as u32 {
        0 => cpu.system().xcr0,
        1 if profile.has(Feature::Xgetbv1) => {
            need_components(cpu, mem, COMPONENTS & cpu.system().xcr0)?;
            let unusual = if cpu.vector.mxcsr == MXCSR_DEFAULT { 0 } else { SSE };
            cpu.system().xcr0 & (in_use(cpu) | unusual)
        }
        _ => return Err(Event::gp0("no such extended control register").into()),
    };
    cpu.gpr[RAX] = value & 0xffff_ffff;
    cpu.gpr[RDX] = value >> 32;
    Ok(())
}

/// XSETBV.
///
/// # Errors
/// #GP(0) for another register than XCR0, and for components that the profile has not or that do not go together (SDM volume
/// 1, 13.3).
pub(super) fn xsetbv(cpu: &mut Cpu, profile: &Profile) -> Result<(), Halt> {
    if cpu.gpr[RCX] as u32 != 0 {
        return Err(Event::gp0("no such extended control register").into());
    }
    let value = cpu.gpr[RDX] << 32 | cpu.gpr[RAX] & 0xffff_ffff;
    if !is_valid(value, profile.xcr0()) {
        return Err(Event::gp0("XCR0 does not take that value").into());
    }
    cpu.update(|s| s.xcr0 = value);
    Ok(())
}

fn is_valid(xcr0: u64, supported: u64) -> bool {
    /// Components that are enabled all or not at all.
    const TOGETHER: [u64; 3] = [
        component::OPMASK | ZMM_HI256 | HI16_ZMM,
        component::TILECFG | component::TILEDATA,
        component::BNDREGS | component::BNDCSR,
    ];
    /// A component, and what it needs.
    const NEEDS: [(u64, u64); 3] = [(AVX, SSE), (ZMM_HI256, AVX), (component::APX, X87_STATE)];
    let whole = TOGETHER.iter().all(|&set| xcr0 & set == 0 || xcr0 & set == set);
    let needs = NEEDS.iter().all(|&(one, other)| xcr0 & one == 0 || xcr0 & other != 0);
    // APX has MPX's place in the compacted format.
    let apart = xcr0 & component::APX == 0 || xcr0 & (component::BNDREGS | component::BNDCSR) == 0;
    xcr0 & !supported == 0 && xcr0 & X87_STATE != 0 && whole && needs && apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_xcr0_go_together() {
        let all = Profile::all().xcr0();
        for good in [1, 3, 7, 0xe7, 0x2e7, 0x6_02e7, 0x8_0003, 1 | 1 << 9] {
            assert!(is_valid(good, all), "{good:#x}");
        }
        for bad in [0, 2, 5, 0x27, 0xe3, 0x67, 0x2_0007, 0x4_0007, 0xf, 1 << 63 | 7, 0x107, 0x8_001b] {
            assert!(!is_valid(bad, all), "{bad:#x}");
        }
        assert!(!is_valid(0xe7, 7), "what the processor has not");
    }
}
