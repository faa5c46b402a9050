//! Who runs, and the serialising instruction after a change of code.

use core::arch::{asm, x86_64::__cpuid, x86_64::__cpuid_count};

/// The address of this thread's control block, which the x86-64 ABI keeps at `fs:0`. Never zero. It can come back for a
/// new thread when the old one has ended; between the two lies a switch of context.
#[inline(always)]
pub(crate) fn identity() -> usize {
    let id;
    // SAFETY: every thread on x86-64 Linux that runs Rust's standard library has its control block at FS, and the
    // block begins with its own address.
    unsafe { asm!("mov {}, fs:[0]", out(reg) id, options(nostack, pure, readonly, preserves_flags)) };
    id
}

/// LAHF and SAHF work in 64-bit mode.
pub(crate) fn has_lahf() -> bool {
    __cpuid(0x8000_0000).eax >= 0x8000_0001 && __cpuid(0x8000_0001).ecx & 1 != 0
}

/// The instruction that serialises, of those that programs may use the least expensive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serialising {
    Serialize,
    /// On AMD's processors it is one of them (APM volume 2, 7.6.4), and takes less than half of what IRETQ takes.
    Mfence,
    Iretq,
}

impl Serialising {
    /// This host's. CPUID is slow under a hypervisor, so ask once.
    pub(crate) fn detect() -> Serialising {
        let vendor = __cpuid(0);
        let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
        if vendor.eax >= 7 && __cpuid_count(7, 0).edx & 1 << 14 != 0 {
            Serialising::Serialize
        } else if name.as_flattened() == b"AuthenticAMD" {
            Serialising::Mfence
        } else {
            Serialising::Iretq
        }
    }
}

/// Makes this processor forget what it has fetched and decoded. Code was changed through an address that is not
/// the one it is fetched from, so the processor does not have to notice by itself.
#[cold]
pub(crate) fn serialise(by: Serialising) {
    match by {
        // SAFETY: the processor has SERIALIZE, which changes no register and no memory.
        Serialising::Serialize => unsafe { asm!(".byte 0x0f, 0x01, 0xe8", options(nostack, preserves_flags)) },
        // SAFETY: it changes no register and no memory.
        Serialising::Mfence => unsafe { asm!("mfence", options(nostack, preserves_flags)) },
        Serialising::Iretq => return_to_next(),
    }
}

/// Serialises by IRETQ, or where that cannot be by CPUID.
fn return_to_next() {
    let shadow_stack: u64;
    // SAFETY: RDSSPQ writes RAX where user shadow stacks are active, and is a NOP everywhere else.
    unsafe { asm!("rdsspq rax", inout("rax") 0u64 => shadow_stack, options(nostack, preserves_flags)) };
    if shadow_stack != 0 {
        // IRETQ would look for its return on the shadow stack.
        let _ = __cpuid(0);
        return;
    }
    // SAFETY: IRETQ returns to the next instruction, with the stack, flags and selectors that it was given: the current
    // ones. Without `nostack` the compiler keeps nothing below RSP.
    unsafe {
        asm!(
            "mov {rsp}, rsp",
            "mov {sel:e}, ss",
            "push {sel}",
            "push {rsp}",
            "pushfq",
            "mov {sel:e}, cs",
            "push {sel}",
            "lea {sel}, [rip + 2f]",
            "push {sel}",
            "iretq",
            "2:",
            rsp = out(reg) _,
            sel = out(reg) _,
        )
    };
}
