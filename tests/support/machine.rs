//! Processors in every mode, with segments that have bases, and comparison of states.

use encore86::cpu::registers::{cr0, cr4, efer, rflags};
use encore86::cpu::segment::{Seg, Segment};
use encore86::{Cpu, Mode};

pub const MODES: [Mode; 7] =
    [Mode::Real16, Mode::V86, Mode::Prot16, Mode::Prot32, Mode::Compat16, Mode::Compat32, Mode::Long64];

/// Bases of CS, DS, ES, SS, FS, GS outside 64-bit mode, and where the same data lie in 64-bit mode.
pub const CODE: u64 = 0x1_0000;
pub const DATA: u64 = 0x2_0000;
pub const EXTRA: u64 = 0x3_0000;
pub const STACK: u64 = 0x4_0000;
pub const FS: u64 = 0x5_0000;
pub const GS: u64 = 0x6_0000;

/// Data segment, writable, accessed, present, DPL 0; 32-bit stack in 32-bit modes.
const DATA_ATTR: u32 = 0x93;
const CODE_ATTR: u32 = 0x9b;
const BIG: u32 = 0x4000;
const LONG: u32 = 0x2000;

/// A processor in `mode` at CPL 0 (3 in virtual-8086 mode). Offsets of what registers point at are the same in all
/// modes but for the bases, which 64-bit mode has in the registers: RBX and RSI into DATA, RDI into EXTRA, RSP and RBP
/// into STACK, RIP at CODE + 0x100.
pub fn cpu(mode: Mode) -> Cpu {
    let mut cpu = Cpu::new();
    let long = mode == Mode::Long64;
    let big = matches!(mode, Mode::Prot32 | Mode::Compat32);
    let v86 = mode == Mode::V86;
    let limit = if big { 0xf_ffff } else { 0xffff };
    cpu.update(|s| {
        if long {
            s.seg[Seg::Fs as usize].base = FS;
            s.seg[Seg::Gs as usize].base = GS;
            return;
        }
        if mode == Mode::Real16 {
            s.cr0 &= !cr0::PE;
        }
        if matches!(mode, Mode::Real16 | Mode::V86 | Mode::Prot16 | Mode::Prot32) {
            s.efer &= !(efer::LMA | efer::LME);
            s.cr4 &= !cr4::PAE;
        }
        let dpl = if v86 { 0x60 } else { 0 };
        let size = if big { BIG } else { 0 };
        let bases = [EXTRA, CODE, STACK, DATA, FS, GS];
        for (i, &base) in bases.iter().enumerate() {
            let attr = if i == Seg::Cs as usize && !v86 { CODE_ATTR } else { DATA_ATTR };
            s.seg[i] = Segment { selector: (base >> 4) as u16, attr: attr | dpl | size, limit, base };
        }
    });
    if v86 {
        cpu.set_rflags(cpu.rflags() | rflags::VM);
    }
    assert_eq!(cpu.mode(), mode);
    let base = |at: u64| if long { at } else { 0 };
    cpu.rip = base(CODE) + 0x100;
    cpu.gpr[0] = 0x1_2345;
    cpu.gpr[1] = 3;
    cpu.gpr[2] = 0x70;
    cpu.gpr[3] = base(DATA) + 0x1000;
    cpu.gpr[4] = base(STACK) + 0x8000;
    cpu.gpr[5] = base(STACK) + 0x4000;
    cpu.gpr[6] = base(DATA) + 0x2000;
    cpu.gpr[7] = base(EXTRA) + 0x3000;
    for i in 8..16 {
        cpu.gpr[i] = 0x0101_0101_0101_0101 * i as u64;
    }
    cpu
}

/// The linear address of CS:RIP.
pub fn code_address(cpu: &Cpu) -> u64 {
    if cpu.mode() == Mode::Long64 { cpu.rip } else { cpu.seg(Seg::Cs).base + cpu.rip }
}

/// Sets CPL by the descriptors of CS and SS.
pub fn set_cpl(cpu: &mut Cpu, cpl: u32) {
    cpu.update(|s| {
        for seg in [Seg::Cs, Seg::Ss] {
            let seg = &mut s.seg[seg as usize];
            seg.attr = seg.attr & !0x60 | cpl << 5;
            seg.selector = seg.selector & !3 | cpl as u16;
        }
    });
    assert_eq!(u32::from(cpu.cpl()), cpl);
}

/// What differs between two states, in words; empty when nothing does. `dirty` is no architectural state.
pub fn differences(a: &Cpu, b: &Cpu) -> Vec<String> {
    let mut out = Vec::new();
    for i in 0..32 {
        if a.gpr[i] != b.gpr[i] {
            out.push(format!("gpr {i}: {:#x} against {:#x}", a.gpr[i], b.gpr[i]));
        }
        if a.vector.zmm[i] != b.vector.zmm[i] {
            out.push(format!("zmm{i}: {:02x?} against {:02x?}", a.vector.zmm[i].0, b.vector.zmm[i].0));
        }
    }
    // Text is made only of what differs.
    macro_rules! check {
        ($name:literal, $format:literal, $a:expr, $b:expr) => {
            if $a != $b {
                out.push(format!(concat!($name, ": ", $format, " against ", $format), $a, $b));
            }
        };
    }
    check!("rip", "{:#x}", a.rip, b.rip);
    check!("rflags", "{:#x}", a.rflags(), b.rflags());
    check!("k", "{:x?}", a.vector.k, b.vector.k);
    check!("mxcsr", "{:#x}", a.vector.mxcsr, b.vector.mxcsr);
    check!("x87", "{:x?}", a.x87, b.x87);
    check!("blocking", "{:?}", a.blocking(), b.blocking());
    check!("system", "{:x?}", a.system(), b.system());
    out
}
