//! One real locked instruction on guest RAM: result, flags and memory come from the processor.

use super::features::{self, has};
use super::flags::unpack;
use super::{HostRam, Locked, LockedOp, RemoteOp};
use core::arch::asm;

// Each macro makes one `asm!` block: flags in through `bt` (CF is the only input flag of a lockable form),
// the instruction, flags out through `lahf` and `seto`.
macro_rules! two_operands {
    ($op:literal, $size:literal, $m:literal, $class:ident, $t:ty, $p:expr, $src:expr, $cf:expr) => {{
        let mut src = $src as $t;
        let rax: u64;
        asm!(
            "bt {cf:e}, 0",
            concat!("lock ", $op, " ", $size, " ptr [{p}], {s", $m, "}"),
            "lahf",
            "seto al",
            p = in(reg) $p, s = inout($class) src, cf = in(reg) $cf as u32, out("rax") rax, options(nostack)
        );
        Locked { old: src as u64, flags: unpack(rax) }
    }};
}

macro_rules! one_operand {
    ($op:literal, $size:literal, $p:expr, $cf:expr) => {{
        let rax: u64;
        asm!(
            "bt {cf:e}, 0",
            concat!("lock ", $op, " ", $size, " ptr [{p}]"),
            "lahf",
            "seto al",
            p = in(reg) $p, cf = in(reg) $cf as u32, out("rax") rax, options(nostack)
        );
        Locked { old: 0, flags: unpack(rax) }
    }};
}

macro_rules! bit_operand {
    ($op:literal, $size:literal, $m:literal, $t:ty, $p:expr, $src:expr) => {{
        let rax: u64;
        asm!(
            concat!("lock ", $op, " ", $size, " ptr [{p}], {s", $m, "}"),
            "lahf",
            "seto al",
            p = in(reg) $p, s = in(reg) $src as $t, out("rax") rax, options(nostack)
        );
        Locked { old: 0, flags: unpack(rax) }
    }};
}

macro_rules! compare_add {
    ($p:expr, $condition:expr, $compared:expr, $addend:expr, $size:literal, $m:literal) => {
        compare_add!(@ $p, $condition, $compared, $addend, $size, $m;
            0 "o", 1 "no", 2 "b", 3 "nb", 4 "z", 5 "nz", 6 "be", 7 "nbe", 8 "s", 9 "ns", 10 "p", 11 "np", 12 "l", 13 "nl",
            14 "le", 15 "nle")
    };
    (@ $p:expr, $condition:expr, $compared:expr, $addend:expr, $size:literal, $m:literal; $($number:literal $name:literal),+) => {
        match $condition & 15 {
            $( $number => {
                let (old, rax): (u64, u64);
                asm!(
                    concat!("cmp", $name, "xadd ", $size, " ptr [{p}], {c", $m, "}, {a", $m, "}"),
                    "lahf",
                    "seto al",
                    p = in(reg) $p, c = inout(reg) $compared => old, a = in(reg) $addend, out("rax") rax,
                    options(nostack)
                );
                Locked { old, flags: unpack(rax) }
            } )+
            _ => unreachable!("four bits"),
        }
    };
}

macro_rules! compare {
    ($size:literal, $m:literal, $class:ident, $t:ty, $p:expr, $src:expr, $acc:expr) => {{
        let (old, rax): (u64, u64);
        asm!(
            concat!("lock cmpxchg ", $size, " ptr [{p}], {s", $m, "}"),
            "mov {o}, rax",
            "lahf",
            "seto al",
            p = in(reg) $p, s = in($class) $src as $t, o = out(reg) old, inout("rax") $acc => rax,
            options(nostack)
        );
        Locked { old: old as $t as u64, flags: unpack(rax) }
    }};
}

/// One locked instruction of one width: its address, source, accumulator and carry flag.
///
/// # Safety
/// The bytes of its width at the address are mapped and writable, and shared by assembly, volatile or atomic accesses alone.
type Instruction = unsafe fn(usize, u64, u64, u64) -> Locked;

// What makes each block sound is the promise of `Instruction`'s caller: an instruction touches the bytes of its width at its address and
// nothing else; the clobbered registers are declared; flags are not preserved.
macro_rules! issue_two {
    ($op:literal, $size:literal, $m:literal, $class:ident, $t:ty) => {
        // SAFETY: the caller of `Instruction` promises what it touches.
        |p, source, _, carry| unsafe { two_operands!($op, $size, $m, $class, $t, p, source, carry) }
    };
}

macro_rules! issue_one {
    ($op:literal, $size:literal) => {
        // SAFETY: the same.
        |p, _, _, carry| unsafe { one_operand!($op, $size, p, carry) }
    };
}

macro_rules! issue_bit {
    ($op:literal, $size:literal, $m:literal, $t:ty) => {
        // SAFETY: the same; the bit number is below the width.
        |p, source, _, _| unsafe { bit_operand!($op, $size, $m, $t, p, source & (<$t>::BITS as u64 - 1)) }
    };
}

macro_rules! issue_by_width {
    ($op:expr, $size:literal, $m:literal, $class:ident, $t:ty, $bits:expr) => {
        match $op {
            LockedOp::Add => issue_two!("add", $size, $m, $class, $t),
            LockedOp::Or => issue_two!("or", $size, $m, $class, $t),
            LockedOp::Adc => issue_two!("adc", $size, $m, $class, $t),
            LockedOp::Sbb => issue_two!("sbb", $size, $m, $class, $t),
            LockedOp::And => issue_two!("and", $size, $m, $class, $t),
            LockedOp::Sub => issue_two!("sub", $size, $m, $class, $t),
            LockedOp::Xor => issue_two!("xor", $size, $m, $class, $t),
            LockedOp::Xadd => issue_two!("xadd", $size, $m, $class, $t),
            LockedOp::Xchg => issue_two!("xchg", $size, $m, $class, $t),
            LockedOp::Inc => issue_one!("inc", $size),
            LockedOp::Dec => issue_one!("dec", $size),
            LockedOp::Not => issue_one!("not", $size),
            LockedOp::Neg => issue_one!("neg", $size),
            LockedOp::Cmpxchg => {
                // SAFETY: the same.
                |p, source, accumulator, _| unsafe { compare!($size, $m, $class, $t, p, source, accumulator) }
            }
            LockedOp::Bts | LockedOp::Btr | LockedOp::Btc => return $bits,
        }
    };
}

macro_rules! issue_bits {
    ($op:expr, $size:literal, $m:literal, $t:ty) => {
        Some(match $op {
            LockedOp::Bts => issue_bit!("bts", $size, $m, $t),
            LockedOp::Btr => issue_bit!("btr", $size, $m, $t),
            _ => issue_bit!("btc", $size, $m, $t),
        })
    };
}

/// The instruction for an operation of 1, 2, 4 or 8 bytes. `None` where there is none (another width, bits of a byte).
const fn instruction(op: LockedOp, len: usize) -> Option<Instruction> {
    Some(match len {
        1 => issue_by_width!(op, "byte", "", reg_byte, u8, None),
        2 => issue_by_width!(op, "word", ":x", reg, u16, issue_bits!(op, "word", ":x", u16)),
        4 => issue_by_width!(op, "dword", ":e", reg, u32, issue_bits!(op, "dword", ":e", u32)),
        8 => issue_by_width!(op, "qword", ":r", reg, u64, issue_bits!(op, "qword", ":r", u64)),
        _ => return None,
    })
}

/// All of them, by [`Issue`].
static INSTRUCTIONS: [Option<Instruction>; 128] = {
    let mut all = [None; 128];
    let mut i = 0;
    while i < LockedOp::ALL.len() * 4 {
        all[i] = instruction(LockedOp::ALL[i / 4], 1 << (i % 4));
        i += 1;
    }
    all
};

/// Names a locked instruction of one width, in a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Issue(u8);

impl Issue {
    /// None.
    pub(crate) const NONE: Issue = Issue(u8::MAX);

    /// The instruction for an operation of 1, 2, 4 or 8 bytes.
    pub(crate) fn of(op: LockedOp, len: usize) -> Issue {
        match len {
            1 | 2 | 4 | 8 => Issue(op as u8 * 4 + len.trailing_zeros() as u8),
            _ => Issue::NONE,
        }
    }
}

impl HostRam<'_> {
    /// Runs `lock op` on the range, which is 1, 2, 4 or 8 bytes long. `source` is the register operand, `accumulator`
    /// CMPXCHG's rAX, `carry` the input CF. `None` when no such instruction exists (another length, a bit operation on
    /// a byte).
    pub fn locked(&self, op: LockedOp, source: u64, accumulator: u64, carry: bool) -> Option<Locked> {
        let issue = instruction(op, self.len())?;
        // SAFETY: the range is mapped and writable for its length (promise of `HostRam::new` and of the bus, which granted
        // it for an Rmw), which is the instruction's width.
        Some(unsafe { issue(self.address(), source, accumulator, carry.into()) })
    }

    /// The same by an instruction that was found before.
    ///
    /// # Safety
    /// The range has the instruction's width.
    #[inline(always)]
    pub(crate) unsafe fn issue(&self, issue: Issue, source: u64, accumulator: u64, carry: u64) -> Option<Locked> {
        let instruction = INSTRUCTIONS[usize::from(issue.0 & 127)]?;
        // SAFETY: as in `locked`; the width is the caller's promise.
        Some(unsafe { instruction(self.address(), source, accumulator, carry) })
    }

    /// LOCK XADD of 4 or 8 bytes, without a call.
    ///
    /// # Panics
    /// For another length.
    #[inline(always)]
    pub(crate) fn exchange_add(&self, addend: u64) -> Locked {
        // SAFETY: as in `locked`; each instruction touches as many bytes as the range has.
        unsafe {
            match self.len() {
                8 => two_operands!("xadd", "qword", ":r", reg, u64, self.address(), addend, 0),
                4 => two_operands!("xadd", "dword", ":e", reg, u32, self.address(), addend, 0),
                len => panic!("LOCK XADD of {len} bytes"),
            }
        }
    }

    /// LOCK CMPXCHG of 4 or 8 bytes, without a call.
    ///
    /// # Panics
    /// For another length.
    #[inline(always)]
    pub(crate) fn compare_exchange_word(&self, source: u64, accumulator: u64) -> Locked {
        // SAFETY: as in `exchange_add`.
        unsafe {
            match self.len() {
                8 => compare!("qword", ":r", reg, u64, self.address(), source, accumulator),
                4 => compare!("dword", ":e", reg, u32, self.address(), source, accumulator),
                len => panic!("LOCK CMPXCHG of {len} bytes"),
            }
        }
    }

    /// Is there a real compare-exchange for the range?
    pub(crate) fn can_exchange(&self) -> bool {
        matches!(self.len(), 1 | 2 | 4 | 8) || self.len() == 16 && self.is_aligned() && has(features::CX16)
    }

    /// CMPXCHG8B or CMPXCHG16B, by the range's length (8 or 16): compares with `expected`, stores `new` if equal.
    /// Gives the old value and ZF. `None` for another length, or if 16 bytes are not aligned or the host lacks CX16.
    #[inline]
    pub fn compare_exchange_pair(&self, expected: u128, new: u128) -> Option<(u128, bool)> {
        let p = self.address();
        match self.len() {
            8 => {
                let (mut lo, mut hi) = (expected as u32, (expected >> 32) as u32);
                let equal: u8;
                // SAFETY: eight bytes are mapped and writable; RBX, which the compiler keeps, is swapped in and out.
                unsafe {
                    asm!(
                        "xchg rsi, rbx",
                        "lock cmpxchg8b qword ptr [rdi]",
                        "sete r8b",
                        "mov rbx, rsi",
                        in("rdi") p, inout("rsi") new as u32 as u64 => _, out("r8b") equal,
                        inout("eax") lo, inout("edx") hi, in("ecx") (new >> 32) as u32, options(nostack)
                    );
                }
                Some((lo as u128 | (hi as u128) << 32, equal != 0))
            }
            16 if p.is_multiple_of(16) && has(features::CX16) => {
                let (mut lo, mut hi) = (expected as u64, (expected >> 64) as u64);
                let equal: u8;
                // SAFETY: sixteen aligned bytes are mapped and writable; RBX is swapped in and out.
                unsafe {
                    asm!(
                        "xchg rsi, rbx",
                        "lock cmpxchg16b xmmword ptr [rdi]",
                        "sete r8b",
                        "mov rbx, rsi",
                        in("rdi") p, inout("rsi") new as u64 => _, out("r8b") equal,
                        inout("rax") lo, inout("rdx") hi, in("rcx") (new >> 64) as u64, options(nostack)
                    );
                }
                Some((lo as u128 | (hi as u128) << 64, equal != 0))
            }
            _ => None,
        }
    }

    /// Compares 1, 2, 4, 8 or 16 bytes with `expected` and stores `new` if they are equal, by a real locked instruction.
    /// Gives the old value and whether they were. `None` where there is none for the range.
    pub(crate) fn compare_exchange(&self, expected: u128, new: u128) -> Option<(u128, bool)> {
        if self.len() == 16 {
            return self.compare_exchange_pair(expected, new);
        }
        let done = self.locked(LockedOp::Cmpxchg, new as u64, expected as u64, false)?;
        Some((u128::from(done.old), done.flags & 1 << 6 != 0))
    }

    /// CMPccXADD of 4 or 8 bytes, where the host has it: compares memory with `compared`, adds `addend` to memory under the
    /// condition (0 to 15 as encoded).
    pub(crate) fn compare_add(&self, condition: u8, compared: u64, addend: u64) -> Option<Locked> {
        if !has(features::CMPCCXADD) {
            return None;
        }
        // SAFETY: the host has the instruction; it touches 4 or 8 mapped bytes, as the length says.
        unsafe {
            match self.len() {
                4 => Some(compare_add!(self.address(), condition, compared, addend, "dword", ":e")),
                8 => Some(compare_add!(self.address(), condition, compared, addend, "qword", ":r")),
                _ => None,
            }
        }
    }

    /// AADD, AAND, AOR or AXOR of 4 or 8 bytes, where the host has them; says whether it was done.
    pub(crate) fn remote(&self, op: RemoteOp, source: u64) -> bool {
        if !has(features::RAO_INT) {
            return false;
        }
        let p = self.address();
        // SAFETY: as in `compare_add`.
        unsafe {
            match (self.len(), op) {
                (4, RemoteOp::Add) => asm!("aadd [{}], {:e}", in(reg) p, in(reg) source, options(nostack)),
                (4, RemoteOp::And) => asm!("aand [{}], {:e}", in(reg) p, in(reg) source, options(nostack)),
                (4, RemoteOp::Or) => asm!("aor [{}], {:e}", in(reg) p, in(reg) source, options(nostack)),
                (4, RemoteOp::Xor) => asm!("axor [{}], {:e}", in(reg) p, in(reg) source, options(nostack)),
                (8, RemoteOp::Add) => asm!("aadd [{}], {}", in(reg) p, in(reg) source, options(nostack)),
                (8, RemoteOp::And) => asm!("aand [{}], {}", in(reg) p, in(reg) source, options(nostack)),
                (8, RemoteOp::Or) => asm!("aor [{}], {}", in(reg) p, in(reg) source, options(nostack)),
                (8, RemoteOp::Xor) => asm!("axor [{}], {}", in(reg) p, in(reg) source, options(nostack)),
                _ => return false,
            }
        }
        true
    }
}
