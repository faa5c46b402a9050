//! The memory operand of an x87 instruction.

use crate::access::{Halt, Mem};
use crate::address::{self, Intent};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::decode::Insn;

/// The memory operand's linear addresses. An 80-bit one is taken as 8 bytes and 2, which may wrap to the beginning of the
/// segment.
pub(super) struct Operand {
    at: u64,
    size: u16,
    access: Access,
    wrapped: Option<u64>,
}

/// Where an 80-bit operand is cut in two.
const CUT: u16 = 8;

impl Operand {
    pub(super) fn of(
        cpu: &Cpu,
        insn: &Insn,
        mem: &mut Mem<'_, dyn Vmm + '_>,
        kind: AccessKind,
    ) -> Result<Operand, Halt> {
        let intent = intent(kind);
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

    pub(super) fn probe(&self, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
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

    pub(super) fn write(&self, mem: &mut Mem<'_, dyn Vmm + '_>, buf: &[u8]) -> Result<(), Halt> {
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

pub(super) fn read(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, buf: &mut [u8]) -> Result<(), Halt> {
    Operand::of(cpu, insn, mem, AccessKind::Read)?.read(mem, buf)
}

pub(super) fn write(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, buf: &[u8]) -> Result<(), Halt> {
    Operand::of(cpu, insn, mem, AccessKind::Write)?.write(mem, buf)
}

/// Where a whole image lies.
pub(super) enum Place {
    /// At a linear address.
    Whole(u64),
    /// Around the end of the address size: each part has its own address.
    Wrapped,
}

impl Place {
    /// Processors (Zen 4) look at an image's first entry, its last byte, and then at the others.
    pub(super) fn of(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>, kind: AccessKind) -> Result<Place, Halt> {
        let size = usize::from(insn.slot(0).size);
        let width = if insn.osize() == 2 { 2 } else { 4 };
        for (at, part) in [(0, width), (size - 1, 1)] {
            let (linear, access) = place_part(cpu, insn, mem, kind, at, part)?;
            mem.probe(linear, part, &access)?;
        }
        let offset = address::effective(cpu, insn);
        if address::truncate(offset.wrapping_add(size as u64 - 1), insn.asize()) < offset {
            return Ok(Place::Wrapped);
        }
        Ok(Place::Whole(address::linear(cpu, insn.segment(), offset, size as u64, intent(kind))?))
    }
}

/// The linear address of `len` bytes of an image, `at` bytes into it.
pub(super) fn place_part(
    cpu: &Cpu,
    insn: &Insn,
    mem: &Mem<'_, dyn Vmm + '_>,
    kind: AccessKind,
    at: usize,
    len: usize,
) -> Result<(u64, Access), Halt> {
    let offset = address::truncate(address::effective(cpu, insn).wrapping_add(at as u64), insn.asize());
    let linear = address::linear(cpu, insn.segment(), offset, len as u64, intent(kind))?;
    crate::integer::aligned(cpu, linear, len as u16)?;
    Ok((linear, Access { offset: at as u16, ..mem.access(kind, insn.slot(0).size) }))
}

fn intent(kind: AccessKind) -> Intent {
    if kind == AccessKind::Write { Intent::Write } else { Intent::Read }
}
