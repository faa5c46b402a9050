//! The host's memory and fences on an x86-64 processor.

use super::features::{self, has};
use super::{Fence, copy_in, copy_out};
use core::arch::asm;
use core::arch::x86_64::__m128i;

/// [`HostRam::load`](super::HostRam::load).
///
/// # Safety
/// `buf.len()` bytes at `p` are mapped and readable.
#[inline(always)]
pub(super) unsafe fn load(p: *mut u8, buf: &mut [u8]) {
    // SAFETY: the caller's promise; each instruction reads as many bytes as `buf` has.
    unsafe {
        match buf.len() {
            16 => {
                let value: __m128i;
                asm!("movdqu {}, [{}]", out(xmm_reg) value, in(reg) p, options(nostack, preserves_flags, readonly));
                buf.copy_from_slice(&core::mem::transmute::<__m128i, [u8; 16]>(value));
            }
            8 => {
                let value: u64;
                asm!("mov {}, [{}]", out(reg) value, in(reg) p, options(nostack, preserves_flags, readonly));
                buf.copy_from_slice(&value.to_ne_bytes());
            }
            4 => {
                let value: u32;
                asm!("mov {:e}, [{}]", out(reg) value, in(reg) p, options(nostack, preserves_flags, readonly));
                buf.copy_from_slice(&value.to_ne_bytes());
            }
            2 => {
                let value: u32;
                asm!("movzx {:e}, word ptr [{}]", out(reg) value, in(reg) p, options(nostack, preserves_flags, readonly));
                buf.copy_from_slice(&(value as u16).to_ne_bytes());
            }
            1 => buf[0] = p.read_volatile(),
            _ => copy_in(p, buf),
        }
    }
}

/// [`HostRam::store`](super::HostRam::store).
///
/// # Safety
/// `buf.len()` bytes at `p` are mapped and writable.
#[inline(always)]
pub(super) unsafe fn store(p: *mut u8, buf: &[u8]) {
    // SAFETY: the same.
    unsafe {
        if let Ok(bytes) = <[u8; 16]>::try_from(buf) {
            let value = core::mem::transmute::<[u8; 16], __m128i>(bytes);
            asm!("movdqu [{}], {}", in(reg) p, in(xmm_reg) value, options(nostack, preserves_flags));
        } else if let Ok(bytes) = <[u8; 8]>::try_from(buf) {
            let value = u64::from_ne_bytes(bytes);
            asm!("mov [{}], {}", in(reg) p, in(reg) value, options(nostack, preserves_flags));
        } else if let Ok(bytes) = <[u8; 4]>::try_from(buf) {
            let value = u32::from_ne_bytes(bytes);
            asm!("mov [{}], {:e}", in(reg) p, in(reg) value, options(nostack, preserves_flags));
        } else if let Ok(bytes) = <[u8; 2]>::try_from(buf) {
            let value = u16::from_ne_bytes(bytes);
            asm!("mov [{}], {:x}", in(reg) p, in(reg) value, options(nostack, preserves_flags));
        } else if let [byte] = *buf {
            p.write_volatile(byte);
        } else {
            copy_out(p, buf);
        }
    }
}

/// Brings the line of an address into the cache.
#[inline(always)]
pub(super) fn prefetch(at: *const u8) {
    // SAFETY: a hint, which touches nothing.
    unsafe { asm!("prefetcht0 [{}]", in(reg) at, options(nostack, preserves_flags, readonly)) };
}

/// Eight bytes by one load, aligned or not.
///
/// # Safety
/// Eight bytes at `p` are mapped and readable.
#[inline(always)]
pub(super) unsafe fn word(p: *const u8) -> u64 {
    let value: u64;
    // SAFETY: the caller's promise.
    unsafe { asm!("mov {}, [{}]", out(reg) value, in(reg) p, options(nostack, preserves_flags, readonly)) };
    value
}

/// MOVDIR64B, where the host has it; says whether it was done.
///
/// # Safety
/// 64 bytes at `p`, which is aligned to 64, are mapped and writable.
pub(super) unsafe fn store_line(p: *mut u8, line: &[u8; 64]) -> bool {
    if !has(features::MOVDIR64B) {
        return false;
    }
    // SAFETY: the host has the instruction; it reads 64 bytes of ours and writes the 64 that were granted.
    unsafe { asm!("movdir64b {}, [{}]", in(reg) p, in(reg) line, options(nostack, preserves_flags)) };
    true
}

/// Issues the fence.
pub(super) fn fence(fence: Fence) {
    // SAFETY: fences change no register and no memory; SERIALIZE is issued only where it exists.
    unsafe {
        match fence {
            Fence::Load => asm!("lfence", options(nostack, preserves_flags)),
            Fence::Store => asm!("sfence", options(nostack, preserves_flags)),
            Fence::Full => asm!("mfence", options(nostack, preserves_flags)),
            Fence::Serialize if features::has(features::SERIALIZE) => {
                asm!(".byte 0x0f, 0x01, 0xe8", options(nostack, preserves_flags));
            }
            Fence::Serialize => asm!("mfence", "lfence", options(nostack, preserves_flags)),
        }
    }
}

/// XCR0, 1 without XSAVE.
pub(super) fn xcr0() -> u64 {
    let osxsave = core::arch::x86_64::__cpuid(1).ecx >> 27 & 1 != 0;
    if !osxsave {
        return crate::cpu::registers::component::X87;
    }
    let (lo, hi): (u32, u32);
    // SAFETY: CPUID says that XGETBV is there and enabled; it only reads XCR0 into EDX:EAX.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") lo, out("edx") hi, options(nomem, nostack));
    }
    u64::from(lo) | u64::from(hi) << 32
}
