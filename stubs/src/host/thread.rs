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

/// SERIALIZE exists. CPUID is slow under a hypervisor, so ask once.
pub(crate) fn has_serialize() -> bool {
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & 1 << 14 != 0
}

/// Makes this processor forget what it has fetched and decoded. Code was changed through an address that is not
/// the one it is fetched from, so the processor does not have to notice by itself.
#[cold]
pub(crate) fn serialise(has_serialize: bool) {
    if has_serialize {
        // SAFETY: the processor has SERIALIZE, which changes no register and no memory.
        unsafe { asm!(".byte 0x0f, 0x01, 0xe8", options(nostack, preserves_flags)) };
        return;
    }
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
