//! The processor's state at the first instruction.

use super::args::{Guest, StartMode};
use encore86::cpu::registers::{component, cr0, cr4, gpr};
use encore86::cpu::segment::{DescriptorTable, Seg, Segment};
use encore86::isa::Feature;
use encore86::{Cpu, Mode, Profile};

/// The processor as it enters `guest`: flat segments, interrupts off, every register that the guest's CPUID promises
/// enabled, the stack pointer at the top of RAM (in real mode, of the first 64 KiB).
pub fn processor(guest: &Guest, profile: &Profile) -> Cpu {
    let mut cpu = Cpu::new();
    let vector = component::X87 | component::AVX512;
    cpu.update(|s| {
        s.xcr0 = profile.xcr0() & vector;
        if !profile.has(Feature::Xsave) {
            s.cr4 &= !cr4::OSXSAVE;
        }
    });
    cpu.rip = guest.entry;
    cpu.gpr[gpr::RSP] = guest.memory;
    match guest.mode {
        StartMode::Long64 => {
            if let Some(page_tables) = guest.page_tables {
                cpu.update(|s| {
                    s.cr0 |= cr0::PG;
                    s.cr3 = page_tables;
                });
            }
        }
        StartMode::Prot32 => cpu.update(|s| {
            s.efer = 0;
            s.cr4 &= !cr4::PAE;
            s.seg = [
                flat(16, 0xc093),
                flat(8, 0xc09b),
                flat(16, 0xc093),
                flat(16, 0xc093),
                flat(0, 0xc093),
                flat(0, 0xc093),
            ];
        }),
        StartMode::Real16 => {
            // Entries above 64 KiB need a segment; 16 bits of it can be zero.
            let base = guest.entry & !0xffff;
            cpu.rip = guest.entry - base;
            cpu.gpr[gpr::RSP] = guest.memory.min(0x1_0000) - 16;
            cpu.update(|s| {
                s.efer = 0;
                s.cr0 &= !cr0::PE;
                s.cr4 &= !cr4::PAE;
                s.seg = [Segment { selector: 0, attr: 0x93, limit: 0xffff, base: 0 }; 6];
                s.seg[Seg::Cs as usize].base = base;
                s.seg[Seg::Cs as usize].selector = (base >> 4) as u16;
                s.idtr = DescriptorTable { base: 0, limit: 0x3ff };
            });
        }
    }
    debug_assert_eq!(cpu.mode(), guest.mode.mode());
    cpu
}

fn flat(selector: u16, attr: u32) -> Segment {
    Segment { selector, attr, limit: u32::MAX, base: 0 }
}

/// The linear address of the next instruction.
pub fn linear_rip(cpu: &Cpu) -> u64 {
    match cpu.mode() {
        Mode::Long64 => cpu.rip,
        _ => cpu.seg(Seg::Cs).base.wrapping_add(cpu.rip) & 0xffff_ffff,
    }
}
