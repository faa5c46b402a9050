//! Locked instructions of the test's own, independent of the library's.

use std::arch::asm;

macro_rules! sized {
    ($name:ident, $op:literal) => {
        /// `lock op [at], value` of a width in bytes; the old value where the instruction gives it.
        ///
        /// # Safety
        /// `width` bytes at `at` are mapped and shared by assembly alone.
        pub unsafe fn $name(at: u64, width: usize, value: u64) -> u64 {
            let mut register = value;
            // SAFETY: the caller's promise.
            unsafe {
                match width {
                    1 => {
                        let mut byte = value as u8;
                        asm!(concat!("lock ", $op, " byte ptr [{}], {}"), in(reg) at, inout(reg_byte) byte);
                        register = byte.into();
                    }
                    2 => asm!(concat!("lock ", $op, " word ptr [{}], {:x}"), in(reg) at, inout(reg) register),
                    4 => asm!(concat!("lock ", $op, " dword ptr [{}], {:e}"), in(reg) at, inout(reg) register),
                    _ => asm!(concat!("lock ", $op, " qword ptr [{}], {}"), in(reg) at, inout(reg) register),
                }
            }
            register
        }
    };
}

sized!(xadd, "xadd");
sized!(xor, "xor");
sized!(or, "or");
sized!(and, "and");
sized!(xchg, "xchg");

/// `lock cmpxchg16b`: adds to 16 aligned bytes.
///
/// # Safety
/// As above.
pub unsafe fn add16(at: u64, value: u128) {
    let (mut low, mut high) = (0_u64, 0_u64);
    loop {
        let sum = (u128::from(low) | u128::from(high) << 64).wrapping_add(value);
        let done: u8;
        // SAFETY: the caller's promise; RBX is put back.
        unsafe {
            asm!(
                "xchg rsi, rbx", "lock cmpxchg16b xmmword ptr [rdi]", "sete r8b", "mov rbx, rsi",
                in("rdi") at, inout("rsi") sum as u64 => _, in("rcx") (sum >> 64) as u64,
                inout("rax") low, inout("rdx") high, out("r8b") done,
            );
        }
        if done != 0 {
            return;
        }
    }
}

/// A plain load of 8 or 16 bytes by one instruction.
///
/// # Safety
/// As above.
pub unsafe fn load(at: u64, width: usize) -> [u64; 2] {
    let (low, high): (u64, u64);
    // SAFETY: the caller's promise.
    unsafe {
        if width == 16 {
            asm!(
                "movdqa {x}, [{at}]", "movq {low}, {x}", "psrldq {x}, 8", "movq {high}, {x}",
                at = in(reg) at, x = out(xmm_reg) _, low = out(reg) low, high = out(reg) high,
            );
        } else {
            asm!("mov {}, [{}]", out(reg) low, in(reg) at);
            high = low;
        }
    }
    [low, high]
}

/// A plain store of the same word, once or twice.
///
/// # Safety
/// As above.
pub unsafe fn store(at: u64, width: usize, word: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        if width == 16 {
            asm!(
                "movq {x}, {word}", "punpcklqdq {x}, {x}", "movdqa [{at}], {x}",
                at = in(reg) at, word = in(reg) word, x = out(xmm_reg) _,
            );
        } else {
            asm!("mov [{}], {}", in(reg) at, in(reg) word);
        }
    }
}
