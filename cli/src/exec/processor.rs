//! A case's registers as a [`Cpu`], over the defaults of its mode.

use super::case::{Case, DescriptorTableFields, SegmentFields, X87Fields};
use crate::fields::{Given, Object};
use crate::number::{Bytes, MODES, Number, choose};
use encore86::cpu::X87;
use encore86::cpu::registers::{cr0, cr4, efer, rflags};
use encore86::cpu::segment::{DescriptorTable, Seg, Segment, rights};
use encore86::cpu::vector::{MXCSR_DEFAULT, MXCSR_MASK};
use encore86::isa::Feature;
use encore86::{Cpu, Mode, Profile};

/// General-purpose registers by encoding.
pub const GPRS: [&str; 32] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31",
];

/// MXCSR.MM, which AMD's misaligned SSE adds.
const MXCSR_MM: u32 = 1 << 17;

/// The mode and privilege that a case asks for.
///
/// # Errors
/// A sentence that names the choices.
pub fn mode_of(case: &Case) -> Result<(Mode, u8), String> {
    let mode = choose("mode", case.mode.0.as_deref().unwrap_or("long64"), &MODES)?;
    let fixed = match mode {
        Mode::Real16 => Some(0),
        Mode::V86 => Some(3),
        _ => None,
    };
    let cpl = match (case.cpl.0, fixed) {
        (None, cpl) => cpl.unwrap_or(0),
        (Some(Number(given)), Some(cpl)) if given != u64::from(cpl) => {
            return Err(format!("cpl: this mode always runs at {cpl}; leave cpl out"));
        }
        (Some(Number(given @ 0..=3)), _) => given as u8,
        (Some(Number(given)), _) => return Err(format!("cpl: {given} is no privilege level; choose 0 to 3")),
    };
    Ok((mode, cpl))
}

/// Is `mode` one of those with EFER.LMA?
pub fn is_long(mode: Mode) -> bool {
    matches!(mode, Mode::Long64 | Mode::Compat16 | Mode::Compat32)
}

/// The processor that a case describes.
///
/// # Errors
/// A sentence that names the field at fault.
pub fn build(case: &Case, mode: Mode, cpl: u8, profile: &Profile) -> Result<Cpu, String> {
    let mut cpu = Cpu::new();
    for name in case.seg.0.keys() {
        if !["ldtr", "tr"].contains(&name.as_str()) && !Seg::ALL.iter().any(|s| s.name() == name) {
            return Err(format!("seg.{name}: there is no such segment register; cs ds es fs gs ss ldtr tr exist"));
        }
    }
    let mut seg = Seg::ALL.map(|s| default_segment(s, mode, cpl));
    for (s, segment) in Seg::ALL.into_iter().zip(&mut seg) {
        merge_segment(case, s.name(), segment, mode.is_real_or_v86())?;
    }
    let mut ldtr = Segment { attr: rights::UNUSABLE, ..Segment::default() };
    let mut tr = Segment { selector: 0, attr: 0x8b, limit: 0x67, base: 0 };
    merge_segment(case, "ldtr", &mut ldtr, false)?;
    merge_segment(case, "tr", &mut tr, false)?;
    check_segments(&seg, mode, cpl)?;

    let long = is_long(mode);
    let when = |condition: bool, bits: u64| if condition { bits } else { 0 };
    let paging = when(long, cr0::PG);
    let cr0 = paging | or(case.cr0, cr0::ET | cr0::NE | cr0::MP | when(mode != Mode::Real16, cr0::PE));
    let cr4_default = cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::OSXSAVE | cr4::DE | when(long, cr4::PAE);
    let efer = or(case.efer, when(long, efer::LME | efer::LMA | efer::SCE | efer::NXE));
    check_control(cr0, or(case.cr4, cr4_default), efer, mode, case.cr0)?;
    let cr8 = Number(or(case.cr8, 0)).within(4, "cr8")?;
    let pkru = Number(or(case.pkru, 0)).within(32, "pkru")? as u32;
    let gdtr = descriptor_table(&case.gdtr, "gdtr")?;
    let idtr = descriptor_table(&case.idtr, "idtr")?;
    cpu.update(|s| {
        (s.seg, s.ldtr, s.tr, s.gdtr, s.idtr) = (seg, ldtr, tr, gdtr, idtr);
        (s.cr0, s.cr2, s.cr3, s.cr4) = (cr0, or(case.cr2, 0), or(case.cr3, 0), or(case.cr4, cr4_default));
        (s.cr8, s.efer, s.pkru) = (cr8, efer, pkru);
        (s.xcr0, s.xss, s.ssp) = (or(case.xcr0, profile.xcr0()), or(case.xss, 0), or(case.ssp, 0));
        let (dr0, dr1, dr2, dr3) = (or(case.dr0, 0), or(case.dr1, 0), or(case.dr2, 0), or(case.dr3, 0));
        s.dr = [dr0, dr1, dr2, dr3, 0, 0, or(case.dr6, 0xffff_0ff0), or(case.dr7, 0x400)];
    });
    registers(case, mode, &mut cpu)?;
    vectors(case, profile, &mut cpu)?;
    cpu.x87 = x87(&case.x87)?;
    if (cpu.mode(), cpu.cpl()) != (mode, cpl) {
        return Err("the registers contradict `mode` or `cpl`; leave out what they imply".to_owned());
    }
    Ok(cpu)
}

fn or(given: Given<Number>, default: u64) -> u64 {
    given.0.map_or(default, |n| n.0)
}

fn default_segment(seg: Seg, mode: Mode, cpl: u8) -> Segment {
    let code = seg == Seg::Cs;
    if mode.is_real_or_v86() {
        let attr = match mode {
            Mode::V86 => 0xf3,
            _ if code => 0x9b,
            _ => 0x93,
        };
        return Segment { selector: 0, attr, limit: 0xffff, base: 0 };
    }
    let selector = match seg {
        Seg::Cs => 8 | u16::from(cpl),
        Seg::Fs | Seg::Gs => 0,
        _ => 16 | u16::from(cpl),
    };
    let kind = if code { 0x9b } else { 0x93 };
    let (size, limit) = match mode {
        Mode::Long64 if code => (rights::G | rights::L, u32::MAX),
        Mode::Prot16 | Mode::Compat16 => (0, 0xffff),
        _ => (rights::G | rights::DB, u32::MAX),
    };
    Segment { selector, attr: kind | size | u32::from(cpl) << rights::DPL_SHIFT, limit, base: 0 }
}

fn merge_segment(case: &Case, name: &str, segment: &mut Segment, sel_makes_base: bool) -> Result<(), String> {
    let Some(Object(SegmentFields { sel, base, limit, attr })) = case.seg.0.get(name) else { return Ok(()) };
    if let Some(sel) = sel.0 {
        segment.selector = sel.within(16, &format!("seg.{name}.sel"))? as u16;
        if sel_makes_base {
            segment.base = u64::from(segment.selector) << 4;
        }
    }
    if let Some(Number(base)) = base.0 {
        segment.base = base;
    }
    if let Some(limit) = limit.0 {
        segment.limit = limit.within(32, &format!("seg.{name}.limit"))? as u32;
    }
    if let Some(attr) = attr.0 {
        segment.attr = attr.within(17, &format!("seg.{name}.attr"))? as u32;
    }
    Ok(())
}

fn check_segments(seg: &[Segment; 6], mode: Mode, cpl: u8) -> Result<(), String> {
    let (cs, ss) = (&seg[Seg::Cs as usize], &seg[Seg::Ss as usize]);
    let (long, big) = match mode {
        Mode::Long64 => (true, false),
        Mode::Prot32 | Mode::Compat32 => (false, true),
        _ => (false, false),
    };
    let digit = u8::from;
    if cs.has(rights::L) != long {
        return Err(format!("seg.cs.attr: L (0x2000) contradicts `mode`, where it is {}", digit(long)));
    }
    if cs.has(rights::DB) != big {
        return Err(format!("seg.cs.attr: D (0x4000) contradicts `mode`, where it is {}", digit(big)));
    }
    if ss.dpl() != cpl {
        return Err(format!("seg.ss.attr: DPL {} (bits 6:5) contradicts `cpl`, which is {cpl}", ss.dpl()));
    }
    Ok(())
}

fn check_control(cr0: u64, cr4: u64, efer: u64, mode: Mode, given: Given<Number>) -> Result<(), String> {
    let protected = mode != Mode::Real16;
    if (cr0 & cr0::PE != 0) != protected {
        return Err(format!("cr0: PE (bit 0) contradicts `mode`, where it is {}", u8::from(protected)));
    }
    let long = is_long(mode);
    if (efer & efer::LMA != 0) != long || long && efer & efer::LME == 0 {
        let wanted = if long { "LME and LMA (0x500) are set" } else { "LMA (0x400) is clear" };
        return Err(format!("efer: it contradicts `mode`, where {wanted}"));
    }
    let paging = given.0.is_some_and(|cr0| cr0.0 & cr0::PG != 0);
    if paging && !protected {
        return Err("cr0: PG (bit 31) needs PE, which real mode has not; leave PG out".to_owned());
    }
    if paging && long && cr4 & cr4::PAE == 0 {
        return Err("cr4: PAE (bit 5) is set in this mode where paging is on; set it".to_owned());
    }
    if paging && !long && efer & efer::LME != 0 {
        return Err("efer: LME (bit 8) with paging on is long mode; clear it or choose another `mode`".to_owned());
    }
    Ok(())
}

fn descriptor_table(fields: &DescriptorTableFields, name: &str) -> Result<DescriptorTable, String> {
    let limit = Number(or(fields.limit, 0)).within(16, &format!("{name}.limit"))? as u16;
    Ok(DescriptorTable { base: or(fields.base, 0), limit })
}

fn registers(case: &Case, mode: Mode, cpu: &mut Cpu) -> Result<(), String> {
    let virtual86 = mode == Mode::V86;
    cpu.rip = if mode.bits() == 16 { 0x100 } else { 0x10000 };
    let mut flags = rflags::FIXED | if virtual86 { rflags::VM } else { 0 };
    for (name, &Number(value)) in &case.regs.0 {
        match name.as_str() {
            "rip" => cpu.rip = value,
            "rflags" => flags = value,
            _ => match GPRS.iter().position(|r| r == name) {
                Some(i) => cpu.gpr[i] = value,
                None => return Err(format!("regs.{name}: there is no such register; write rax to r31, rip or rflags")),
            },
        }
    }
    if (flags & rflags::VM != 0) != virtual86 {
        return Err(format!("regs.rflags: VM (0x20000) contradicts `mode`, where it is {}", u8::from(virtual86)));
    }
    if flags & !rflags::DEFINED != 0 {
        return Err(format!("regs.rflags: the bits {:#x} do not exist; clear them", flags & !rflags::DEFINED));
    }
    cpu.set_rflags(flags);
    Ok(())
}

fn vectors(case: &Case, profile: &Profile, cpu: &mut Cpu) -> Result<(), String> {
    for (name, Bytes(bytes)) in &case.zmm.0 {
        let i = index(name, "zmm", 32)?;
        fill(&mut cpu.vector.zmm[i].0, bytes, &format!("zmm.{name}"))?;
    }
    for (name, &Number(value)) in &case.k.0 {
        cpu.vector.k[index(name, "k", 8)?] = value;
    }
    let mxcsr = Number(or(case.mxcsr, u64::from(MXCSR_DEFAULT))).within(32, "mxcsr")? as u32;
    let mask = MXCSR_MASK | if profile.has(Feature::Misalignsse) { MXCSR_MM } else { 0 };
    if mxcsr & !mask != 0 {
        return Err(format!("mxcsr: the bits {:#x} do not exist in this profile; clear them", mxcsr & !mask));
    }
    cpu.vector.mxcsr = mxcsr;
    Ok(())
}

/// The number in a register's name, below `count`.
///
/// # Errors
/// A sentence that says which numbers there are.
pub fn index(name: &str, what: &str, count: usize) -> Result<usize, String> {
    let number = (0..count).find(|i| i.to_string() == name);
    number.ok_or_else(|| format!("{what}.{name}: there is no such register; write 0 to {}", count - 1))
}

/// Copies bytes to the front of a register.
///
/// # Errors
/// A sentence that says how many there may be.
pub fn fill(to: &mut [u8], bytes: &[u8], field: &str) -> Result<(), String> {
    let room = to.len();
    let Some(front) = to.get_mut(..bytes.len()) else {
        return Err(format!("{field}: {} bytes; the register has {room}", bytes.len()));
    };
    front.copy_from_slice(bytes);
    Ok(())
}

fn x87(fields: &X87Fields) -> Result<X87, String> {
    let mut x87 = X87::default();
    let word = |given: Given<Number>, default: u16, bits, name: &str| -> Result<u16, String> {
        Ok(Number(or(given, default.into())).within(bits, &format!("x87.{name}"))? as u16)
    };
    x87.fcw = word(fields.fcw, x87.fcw, 16, "fcw")?;
    x87.fsw = word(fields.fsw, x87.fsw, 16, "fsw")?;
    x87.ftw = word(fields.ftw, x87.ftw.into(), 8, "ftw")? as u8;
    x87.fop = word(fields.fop, x87.fop, 11, "fop")?;
    (x87.fip, x87.fdp) = (or(fields.fip, 0), or(fields.fdp, 0));
    let st = fields.st.0.as_deref().unwrap_or_default();
    if st.len() > 8 {
        return Err(format!("x87.st: {} registers; there are eight", st.len()));
    }
    for (i, Bytes(bytes)) in st.iter().enumerate() {
        let wrong = || format!("x87.st[{i}]: {} bytes; a register has 10", bytes.len());
        x87.regs[x87.physical(i)] = bytes.as_slice().try_into().map_err(|_| wrong())?;
    }
    Ok(x87)
}
