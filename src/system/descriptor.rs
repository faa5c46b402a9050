//! Descriptors: where selectors find them, what they say, and what must hold before one is loaded (SDM volume 3, chapters 3 and 5).

use crate::access::{Halt, Mem};
use crate::address;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::cpu::registers::efer;
use crate::cpu::segment::{Seg, Segment, rights};
use crate::event::Event;

/// Bits of a selector.
pub(super) const RPL: u16 = 3;
const LOCAL: u16 = 4;

/// Types of system descriptors.
pub(super) mod kind {
    pub(in crate::system) const TSS16: u8 = 1;
    pub(in crate::system) const LDT: u8 = 2;
    pub(in crate::system) const BUSY16: u8 = 3;
    pub(in crate::system) const CALL16: u8 = 4;
    pub(in crate::system) const TASK: u8 = 5;
    pub(in crate::system) const TSS: u8 = 9;
    pub(in crate::system) const BUSY: u8 = 11;
    pub(in crate::system) const CALL: u8 = 12;
    /// What makes a TSS busy.
    pub(in crate::system) const MAKES_BUSY: u8 = 2;
}

/// A descriptor in the GDT or an LDT.
#[derive(Clone, Copy)]
pub(super) struct Descriptor {
    pub(super) selector: u16,
    /// Its linear address.
    at: u64,
    low: u64,
    /// The second half of a descriptor of 16 bytes.
    high: u64,
}

/// Is the selector null? One of the LDT never is.
pub(super) const fn is_null(selector: u16) -> bool {
    selector & !RPL == 0
}

pub(super) const fn rpl(selector: u16) -> u8 {
    (selector & RPL) as u8
}

/// Is IA-32e mode active?
pub(super) fn long(cpu: &Cpu) -> bool {
    cpu.system().efer & efer::LMA != 0
}

/// An access that the processor makes by itself, as supervisor.
pub(super) fn own(kind: AccessKind, size: u16) -> Access {
    Access { implicit: true, ..Access::new(kind, size, 0) }
}

/// Reads up to 8 bytes of a table of the processor's.
pub(super) fn read_own(mem: &mut Mem<'_, dyn Vmm + '_>, at: u64, size: u8) -> Result<u64, Halt> {
    let mut buf = [0; 8];
    mem.read(at, &mut buf[..usize::from(size)], &own(AccessKind::Read, u16::from(size)))?;
    Ok(u64::from_le_bytes(buf))
}

impl Descriptor {
    /// The descriptor that a selector names, which is not null; `None` where its table ends before.
    pub(super) fn find(cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, selector: u16) -> Result<Option<Descriptor>, Halt> {
        let Some(at) = Descriptor::place(cpu, selector, 8) else { return Ok(None) };
        let low = read_own(mem, at, 8)?;
        Ok(Some(Descriptor { selector, at, low, high: 0 }))
    }

    /// Where it lies, if all `len` bytes of it do.
    fn place(cpu: &Cpu, selector: u16, len: u32) -> Option<u64> {
        let s = cpu.system();
        let limit = match selector & LOCAL {
            0 => u32::from(s.gdtr.limit),
            _ if s.ldtr.has(rights::UNUSABLE) => return None,
            _ => s.ldtr.limit,
        };
        let inside = u32::from(selector & !7) + len - 1 <= limit;
        address::descriptor(cpu, selector).filter(|_| inside)
    }

    /// Reads the second half that system descriptors have in IA-32e mode.
    pub(super) fn widen(&mut self, cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
        if long(cpu) {
            if Descriptor::place(cpu, self.selector, 16).is_none() {
                return Err(self.refuse("the descriptor's second half lies beyond its table").into());
            }
            self.high = read_own(mem, self.at.wrapping_add(8), 8)?;
            if self.high >> 40 & 0x1f != 0 {
                return Err(self.refuse("the type of the descriptor's second half is not 0").into());
            }
        }
        Ok(())
    }

    /// Access rights in the VMX layout.
    fn attr(&self) -> u32 {
        (self.low >> 40) as u32 & 0xf0ff
    }

    pub(super) fn has(&self, bits: u32) -> bool {
        self.attr() & bits == bits
    }

    /// Type, without S.
    pub(super) fn kind(&self) -> u8 {
        (self.low >> 40) as u8 & 0xf
    }

    pub(super) fn dpl(&self) -> u8 {
        (self.low >> 45) as u8 & 3
    }

    pub(super) fn is_code(&self) -> bool {
        self.has(rights::S | rights::CODE)
    }

    pub(super) fn is_conforming(&self) -> bool {
        self.has(rights::S | rights::CODE | rights::EXPAND_DOWN)
    }

    pub(super) fn is_system(&self) -> bool {
        !self.has(rights::S)
    }

    pub(super) fn limit(&self) -> u32 {
        let raw = (self.low & 0xffff | self.low >> 32 & 0xf_0000) as u32;
        if self.has(rights::G) { raw << 12 | 0xfff } else { raw }
    }

    fn base(&self) -> u64 {
        self.low >> 16 & 0xff_ffff | self.low >> 32 & 0xff00_0000 | self.high << 32
    }

    /// What a segment register holds once it is loaded.
    pub(super) fn segment(&self) -> Segment {
        Segment { selector: self.selector, attr: self.attr(), limit: self.limit(), base: self.base() }
    }

    /// Bits 23:8 of the second doubleword, in place, as LAR gives them: those of the limit too (seen on Zen 4).
    pub(super) fn rights(&self) -> u64 {
        self.low >> 32 & 0x00ff_ff00
    }

    /// Selector and offset of a gate, and how many parameters it copies.
    pub(super) fn gate(&self) -> (u16, u64, u8) {
        let offset = self.low & 0xffff | self.low >> 32 & 0xffff_0000 | self.high << 32;
        let offset = if self.kind() == kind::CALL16 { offset & 0xffff } else { offset };
        ((self.low >> 16) as u16, offset, (self.low >> 32) as u8 & 0x1f)
    }

    /// #GP with its selector.
    pub(super) fn refuse(&self, cause: &'static str) -> Event {
        Event::gp0(cause).on(self.selector)
    }

    /// #NP with its selector unless it is present.
    pub(super) fn present(&self) -> Result<(), Event> {
        match self.has(rights::P) {
            true => Ok(()),
            false => Err(Event::np0("the descriptor is not present").on(self.selector)),
        }
    }

    /// Sets bits of its type in memory, by one locked operation where the bus grants RAM; doing it twice changes nothing.
    pub(super) fn mark(&mut self, mem: &mut Mem<'_, dyn Vmm + '_>, bits: u8) -> Result<(), Halt> {
        if self.kind() & bits != bits {
            mem.change_bits(self.at.wrapping_add(5), bits, 0, &own(AccessKind::Rmw, 1))?;
            self.low |= u64::from(bits) << 40;
        }
        Ok(())
    }

    /// Clears the busy bit of a TSS.
    pub(super) fn release(&self, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
        mem.change_bits(self.at.wrapping_add(5), 0, kind::MAKES_BUSY, &own(AccessKind::Rmw, 1))
    }

    /// The same for the accessed bit of code and data.
    pub(super) fn access(&mut self, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
        self.mark(mem, rights::ACCESSED as u8)
    }
}

/// A null segment register; the privilege level lives on in SS.
pub(super) fn null(selector: u16, dpl: u8) -> Segment {
    Segment { selector, attr: rights::UNUSABLE | u32::from(dpl) << rights::DPL_SHIFT, limit: 0, base: 0 }
}

/// What real and virtual-8086 mode make of a selector.
pub(super) fn real(cpu: &Cpu, seg: Seg, selector: u16) -> Segment {
    Segment { selector, base: u64::from(selector) << 4, ..*cpu.seg(seg) }
}

/// The segment that a load of DS, ES, FS, GS or SS gives (SDM volume 2, MOV).
///
/// # Errors
/// #GP, #NP and #SS with the selector, and what the bus answers.
pub(super) fn load(cpu: &Cpu, mem: &mut Mem<'_, dyn Vmm + '_>, seg: Seg, selector: u16) -> Result<Segment, Halt> {
    if cpu.mode().is_real_or_v86() {
        return Ok(real(cpu, seg, selector));
    }
    if seg == Seg::Ss {
        return load_stack(cpu, mem, selector, cpu.cpl(), Event::gp0);
    }
    load_data(cpu, mem, selector, Event::gp0)
}

/// The same for DS, ES, FS or GS in protected mode; what is wrong with the selector is said by `fault`.
///
/// # Errors
/// `fault` and #NP with the selector, and what the bus answers.
pub(super) fn load_data(
    cpu: &Cpu,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    selector: u16,
    fault: fn(&'static str) -> Event,
) -> Result<Segment, Halt> {
    if is_null(selector) {
        return Ok(null(selector, 0));
    }
    let refuse = |cause| fault(cause).on(selector);
    let Some(mut found) = Descriptor::find(cpu, mem, selector)? else {
        return Err(refuse("the selector lies beyond its table").into());
    };
    if found.is_system() || found.is_code() && !found.has(rights::WRITABLE) {
        return Err(refuse("the segment cannot be read").into());
    }
    if !found.is_conforming() && found.dpl() < cpu.cpl().max(rpl(selector)) {
        return Err(refuse("the segment's DPL is below CPL or RPL").into());
    }
    found.present()?;
    found.access(mem)?;
    Ok(found.segment())
}

/// The segment that a load of SS gives at privilege `cpl`; what is wrong with the selector is said by `fault`.
///
/// # Errors
/// `fault` and #SS with the selector, and what the bus answers.
pub(super) fn load_stack(
    cpu: &Cpu,
    mem: &mut Mem<'_, dyn Vmm + '_>,
    selector: u16,
    cpl: u8,
    fault: fn(&'static str) -> Event,
) -> Result<Segment, Halt> {
    if is_null(selector) {
        // 64-bit mode runs on a null SS below CPL 3.
        let allowed = cpu.mode() == crate::cpu::Mode::Long64 && cpl < 3 && rpl(selector) == cpl;
        return if allowed { Ok(null(selector, cpl)) } else { Err(fault("SS with a null selector").into()) };
    }
    let refuse = |cause| fault(cause).on(selector);
    let Some(mut found) = Descriptor::find(cpu, mem, selector)? else {
        return Err(refuse("the selector lies beyond its table").into());
    };
    if rpl(selector) != cpl || found.dpl() != cpl {
        return Err(refuse("RPL or DPL of the stack segment is not CPL").into());
    }
    if !found.has(rights::S | rights::WRITABLE) || found.is_code() {
        return Err(refuse("the stack segment is not writable").into());
    }
    if !found.has(rights::P) {
        return Err(Event::ss0("the stack segment is not present").on(selector).into());
    }
    found.access(mem)?;
    Ok(found.segment())
}
