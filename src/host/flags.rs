//! Flags of sums, differences and results from the host's own instruction, which takes a third of what a formula takes.

use core::arch::asm;

/// `lahf` and `seto al` as flags in RFLAGS layout.
#[inline(always)]
pub(super) fn unpack(rax: u64) -> u64 {
    (rax >> 8 & 0xd5) | (rax & 1) << 11
}

macro_rules! arithmetic {
    ($name:ident, $op:literal) => {
        /// Value and flags, of operands of 4 or 8 bytes.
        #[inline(always)]
        pub(crate) fn $name(a: u64, b: u64, size: u16) -> Option<(u64, u64)> {
            let (value, rax): (u64, u64);
            // SAFETY: each block changes the registers that it declares, and flags; it touches no memory.
            unsafe {
                match size {
                    4 => asm!(
                        concat!($op, " {a:e}, {b:e}"), "lahf", "seto al",
                        a = inout(reg) a => value, b = in(reg) b, out("rax") rax, options(pure, nomem, nostack)
                    ),
                    8 => asm!(
                        concat!($op, " {a:r}, {b:r}"), "lahf", "seto al",
                        a = inout(reg) a => value, b = in(reg) b, out("rax") rax, options(pure, nomem, nostack)
                    ),
                    _ => return None,
                }
            }
            Some((value, unpack(rax)))
        }
    };
}

arithmetic!(sum, "add");
arithmetic!(difference, "sub");

/// SF, ZF and PF of a result of 4 or 8 bytes.
#[inline(always)]
pub(crate) fn of_result(value: u64, size: u16) -> Option<u64> {
    let rax: u64;
    // SAFETY: as above.
    unsafe {
        match size {
            4 => asm!("test {v:e}, {v:e}", "lahf", v = in(reg) value, out("rax") rax, options(pure, nomem, nostack)),
            8 => asm!("test {v:r}, {v:r}", "lahf", v = in(reg) value, out("rax") rax, options(pure, nomem, nostack)),
            _ => return None,
        }
    }
    Some(rax >> 8 & 0xc4)
}

#[cfg(test)]
mod tests {
    use super::super::portable;
    use super::*;

    /// The processor against the formula, on all pairs of corner values.
    #[test]
    fn flags_are_those_of_the_formula() {
        let corners = |size: u16| {
            let top = 8 * u32::from(size) - 1;
            let mask = u64::MAX >> (63 - top);
            let near = [0, 1, 2, 7, 8, 15, 16, 0x55, 0x7f, 0x80, 0xff, 0x100, 1 << top, (1 << top) - 1, mask, mask - 1];
            near.map(|v| v & mask)
        };
        let mut seen = 0;
        for size in [4, 8] {
            for a in corners(size) {
                let result = portable::flags(a, usize::from(size), None);
                assert_eq!(of_result(a, size), Some(result), "{a:#x}");
                for b in corners(size) {
                    let (sum_is, difference_is) = (sum(a, b, size), difference(a, b, size));
                    assert_eq!(sum_is, Some(portable::add(a, b, 0, usize::from(size))), "{a:#x} + {b:#x}");
                    assert_eq!(difference_is, Some(portable::sub(a, b, 0, usize::from(size))), "{a:#x} - {b:#x}");
                    seen |= sum_is.unwrap().1 | difference_is.unwrap().1;
                }
            }
        }
        assert_eq!(seen, 0x8d5, "each flag has been set");
        assert_eq!((sum(1, 2, 1), difference(1, 2, 2), of_result(1, 1)), (None, None, None));
    }
}
