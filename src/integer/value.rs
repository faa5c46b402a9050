//! Instructions that are a function of values.

use crate::address;
use crate::alu::{self, mask, sign_extend};
use crate::cpu::registers::gpr::{RAX, RCX, RDX};
use crate::cpu::registers::rflags::{self, CF, DF, ZF};
use crate::cpu::{Cpu, Mode};
use crate::decode::{Insn, Slot, SlotKind};
use crate::event::Event;
use crate::isa::row::{IntOp, attr};

/// What an instruction changes, to be committed when its store has succeeded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effects {
    /// The new value of operand 0, if that is written.
    pub(crate) value: u64,
    /// Is operand 0 written? (CMOVcc, BSF and CMP-like forms may not.)
    pub(crate) writes: bool,
    /// General-purpose registers that are written besides.
    pub(crate) second: Option<(Slot, u64)>,
    pub(crate) third: Option<(Slot, u64)>,
    /// Which flags change.
    pub(crate) flag_mask: u64,
    /// Their new values.
    pub(crate) flags: u64,
    /// Where a taken branch goes, as an offset in CS.
    pub(crate) target: Option<u64>,
}

impl Effects {
    pub(crate) const NONE: Effects =
        Effects { value: 0, writes: false, second: None, third: None, flag_mask: 0, flags: 0, target: None };

    #[inline]
    pub(super) fn value(value: u64) -> Effects {
        Effects { value, writes: true, ..Effects::NONE }
    }

    #[inline]
    fn arith(r: alu::Result) -> Effects {
        Effects { value: r.value, writes: true, flag_mask: rflags::ARITH, flags: r.flags, ..Effects::NONE }
    }

    pub(super) fn flags_only(mask: u64, flags: u64) -> Effects {
        Effects { flag_mask: mask, flags, ..Effects::NONE }
    }
}

/// Flags of a product. The manual leaves the others undefined; Zen 4 keeps them.
const PRODUCT: u64 = CF | rflags::OF;

pub(super) const fn fixed(reg: u8, size: u16) -> Slot {
    Slot { kind: SlotKind::Gpr, reg, size }
}

/// The operations of [`IntOp::is_plain`]: one result, and flags of which the row says which are written.
#[inline(always)]
pub(crate) fn plain(op: IntOp, a: u64, b: u64, size: u16, flags: u64) -> alu::Result {
    match op {
        IntOp::Add => alu::add(a, b, false, size),
        IntOp::Or => alu::logic(a | b, size),
        IntOp::Adc => alu::add(a, b, flags & CF != 0, size),
        IntOp::Sbb => alu::sub(a, b, flags & CF != 0, size),
        IntOp::And | IntOp::Test => alu::logic(a & b, size),
        IntOp::Sub | IntOp::Cmp => alu::sub(a, b, false, size),
        IntOp::Xor => alu::logic(a ^ b, size),
        IntOp::Inc => alu::add(a, 1, false, size),
        IntOp::Dec => alu::sub(a, 1, false, size),
        IntOp::Neg => alu::sub(0, a, false, size),
        IntOp::Not => alu::Result { value: !a & mask(size), flags: 0 },
        _ => alu::Result { value: b, flags: 0 },
    }
}

/// Computes `op` on the values of the first three operands.
///
/// # Errors
/// #DE from divisions, #GP(0) from branches beyond the limit.
#[inline]
pub(crate) fn execute(op: IntOp, cpu: &Cpu, insn: &Insn, v: [u64; 3]) -> Result<Effects, Event> {
    let size = insn.slot(0).size;
    let flags = cpu.rflags();
    let [a, b, _] = v;
    Ok(match op {
        _ if op.is_plain() => {
            let r = plain(op, a, b, size, flags);
            Effects {
                value: r.value,
                writes: insn.row.operands[0].uses.writes(),
                flag_mask: u64::from(insn.row.flags.written),
                flags: r.flags,
                ..Effects::NONE
            }
        }
        IntOp::Xchg => Effects { second: Some((insn.slot(1), a)), ..Effects::value(b) },
        IntOp::Xadd => Effects { second: Some((insn.slot(1), a)), ..Effects::arith(alu::add(a, b, false, size)) },
        IntOp::Cmpxchg => compare_exchange(cpu, a, b, size),
        IntOp::CmpxchgPair => unreachable!("CMPXCHG8B and CMPXCHG16B are atomic's"),
        IntOp::Bt | IntOp::Bts | IntOp::Btr | IntOp::Btc => bit_test(op, flags, a, b, size),
        IntOp::Jcc => branch_if(cpu, insn, alu::condition(insn.condition(), flags))?,
        IntOp::Jmp => jump(cpu, insn, a)?,
        IntOp::Nop => Effects::NONE,
        _ => match single(op, cpu, insn, v) {
            Some(Single { value, flag_mask, flags }) => Effects { flag_mask, flags, ..Effects::value(value) },
            None => rare(op, cpu, insn, v)?,
        },
    })
}

/// One result, which operand 0 takes, and flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Single {
    pub(crate) value: u64,
    pub(crate) flag_mask: u64,
    pub(crate) flags: u64,
}

/// Computes an operation that has one result and cannot fail; `None` for others. Apart from [`execute`], because [`Effects`]
/// that go from hand to hand cost more than most of these.
#[inline]
pub(crate) fn single(op: IntOp, cpu: &Cpu, insn: &Insn, v: [u64; 3]) -> Option<Single> {
    let size = insn.slot(0).size;
    let flags = cpu.rflags();
    let [a, b, c] = v;
    let only = |value: u64| Single { value, flag_mask: 0, flags: 0 };
    let osize = u16::from(insn.osize());
    Some(match op {
        IntOp::Movsx => only(sign_extend(b, insn.slot(1).size) & mask(size)),
        IntOp::Lea => only(address::effective(cpu, insn) & mask(size)),
        IntOp::Setcc => only(u64::from(alu::condition(insn.condition(), flags))),
        // A 32-bit destination is zero-extended whether the condition holds or not.
        IntOp::Cmovcc => only(if alu::condition(insn.condition(), flags) { b } else { a }),
        IntOp::Movbe => only(b.swap_bytes() >> (64 - u32::from(size) * 8)),
        IntOp::Cbw => only(sign_extend(b, osize / 2) & mask(osize)),
        IntOp::Cwd => only(if b >> (osize * 8 - 1) & 1 != 0 { mask(osize) } else { 0 }),
        IntOp::Rol | IntOp::Ror | IntOp::Rcl | IntOp::Rcr | IntOp::Shl | IntOp::Shr | IntOp::Sar => {
            shifted(alu::shift(op, a, b, flags, size), a, insn)
        }
        IntOp::Shld | IntOp::Shrd => {
            let count = if insn.slot(2).kind == SlotKind::Imm { c } else { cpu.gpr[RCX] & 0xff };
            shifted(alu::double_shift(op == IntOp::Shld, a, b, count, size), a, insn)
        }
        IntOp::Imul => {
            let (x, y) = if insn.slot(2).kind == SlotKind::None { (a, b) } else { (b, c) };
            let product = alu::multiply(x, y, true, size).low;
            Single { value: product.value, flag_mask: PRODUCT, flags: product.flags }
        }
        _ => return None,
    })
}

/// Bit instructions whose bit offset is in a register reach memory elsewhere; the operand has been chosen already.
fn bit_test(op: IntOp, flags: u64, a: u64, b: u64, size: u16) -> Effects {
    let bit = 1 << (b & (u64::from(size) * 8 - 1));
    let value = match op {
        IntOp::Bts => a | bit,
        IntOp::Btr => a & !bit,
        IntOp::Btc => a ^ bit,
        _ => a,
    };
    let carry = u64::from(a & bit != 0);
    Effects { value, writes: op != IntOp::Bt, flag_mask: CF, flags: carry | flags & !CF, ..Effects::NONE }
}

fn compare_exchange(cpu: &Cpu, memory: u64, new: u64, size: u16) -> Effects {
    let accumulator = cpu.gpr[RAX] & mask(size);
    let compared = alu::sub(accumulator, memory, false, size);
    let equal = compared.flags & ZF != 0;
    // Memory is written either way: a failed compare writes the old value back. A register is not, so that the upper half
    // of a 32-bit one stays.
    Effects {
        value: if equal { new } else { memory },
        writes: equal,
        second: (!equal).then_some((fixed(RAX as u8, size), memory)),
        flag_mask: rflags::ARITH,
        flags: compared.flags,
        ..Effects::NONE
    }
}

/// A shift by 0 changes no flag; its destination is written with what it held.
fn shifted(result: Option<alu::Result>, a: u64, insn: &Insn) -> Single {
    match result {
        Some(r) => Single { value: r.value, flag_mask: u64::from(insn.row.flags.written), flags: r.flags },
        None => Single { value: a, flag_mask: 0, flags: 0 },
    }
}

/// Does the instruction's condition hold? In place of those on PF, CCMP and CTEST have one that always holds and one that
/// never does.
pub(crate) fn is_met(cpu: &Cpu, insn: &Insn) -> bool {
    match insn.condition() {
        0xa if insn.row.is(attr::SCC) => true,
        0xb if insn.row.is(attr::SCC) => false,
        code => alu::condition(code, cpu.rflags()),
    }
}

/// CCMP and CTEST: the flags of the comparison, or, where the condition fails, those that the instruction carries; PF is then
/// CF, and AF clear.
fn conditional(cpu: &Cpu, insn: &Insn, compared: impl FnOnce() -> alu::Result) -> Effects {
    if is_met(cpu, insn) {
        return Effects::flags_only(rflags::ARITH, compared().flags);
    }
    let carried = u64::from(insn.slot(2).reg);
    let flag = |bit: u32, flag: u64| if carried >> bit & 1 != 0 { flag } else { 0 };
    let flags = flag(3, rflags::OF) | flag(2, rflags::SF) | flag(1, ZF) | flag(0, CF | rflags::PF);
    Effects::flags_only(rflags::ARITH, flags)
}

fn rare(op: IntOp, cpu: &Cpu, insn: &Insn, v: [u64; 3]) -> Result<Effects, Event> {
    let size = insn.slot(0).size;
    let flags = cpu.rflags();
    let [a, b, c] = v;
    Ok(match op {
        IntOp::Mul | IntOp::Imul1 => multiply(cpu, a, op == IntOp::Imul1, size),
        IntOp::Div | IntOp::Idiv => divide(cpu, a, op == IntOp::Idiv, size)?,
        IntOp::Bsf | IntOp::Bsr => {
            if b == 0 {
                // The destination keeps its value, as every known processor has it; only ZF says so. A 32-bit
                // destination keeps its upper half too.
                return Ok(Effects::flags_only(rflags::ARITH, ZF | rflags::PF));
            }
            let found = u64::from(if op == IntOp::Bsf { b.trailing_zeros() } else { 63 - b.leading_zeros() });
            // The manual has ZF alone; PF is the index's, the others are clear (Zen 4).
            Effects {
                flag_mask: rflags::ARITH,
                flags: alu::result_flags(found, size) & rflags::PF,
                ..Effects::value(found)
            }
        }
        IntOp::Tzcnt => count(if b == 0 { u32::from(size) * 8 } else { b.trailing_zeros() }, size),
        IntOp::Lzcnt => count(b.leading_zeros() - (64 - u32::from(size) * 8), size),
        IntOp::Popcnt => {
            let ones = u64::from(b.count_ones());
            Effects { flag_mask: rflags::ARITH, flags: if b == 0 { ZF } else { 0 }, ..Effects::value(ones) }
        }
        // Undefined for 16 bits; processors clear them.
        IntOp::Bswap if size == 2 => Effects::value(0),
        IntOp::Bswap => Effects::value(a.swap_bytes() >> (64 - u32::from(size) * 8)),
        IntOp::Lahf => Effects::value(flags & 0xd7 | 2),
        IntOp::Sahf => Effects::flags_only(rflags::ARITH & 0xff, a),
        IntOp::FlagOp => match insn.opcode() {
            0xf5 => Effects::flags_only(CF, !flags),
            0xf8 => Effects::flags_only(CF, 0),
            0xf9 => Effects::flags_only(CF, CF),
            0xfc => Effects::flags_only(DF, 0),
            _ => Effects::flags_only(DF, DF),
        },
        IntOp::Loop => {
            let count = address::truncate(cpu.gpr[RCX].wrapping_sub(1), insn.asize());
            let zero = flags & ZF != 0;
            let taken = count != 0
                && match insn.opcode() {
                    0xe0 => !zero,
                    0xe1 => zero,
                    _ => true,
                };
            let counter = fixed(RCX as u8, u16::from(insn.asize()));
            Effects { second: Some((counter, count)), ..branch_if(cpu, insn, taken)? }
        }
        IntOp::Jcxz => branch_if(cpu, insn, address::truncate(cpu.gpr[RCX], insn.asize()) == 0)?,
        IntOp::Ccmp => conditional(cpu, insn, || alu::sub(a, b, false, size)),
        IntOp::Ctest => conditional(cpu, insn, || alu::logic(a & b, size)),
        IntOp::Cfcmov if is_met(cpu, insn) => Effects::value(b),
        // A condition that fails leaves the first source, or where there is none, zero.
        IntOp::Cfcmov => Effects::value(if insn.row.has_new_destination() { a } else { 0 }),
        IntOp::Cmpccxadd => {
            let compared = alu::sub(a, b, false, size);
            let value =
                if alu::condition(insn.condition(), compared.flags) { a.wrapping_add(c) & mask(size) } else { a };
            let second = Some((insn.slot(1), a));
            Effects { value, writes: true, second, flag_mask: rflags::ARITH, flags: compared.flags, ..Effects::NONE }
        }
        IntOp::Arpl => {
            let lower = a & 3 < b & 3;
            let value = if lower { a & !3 | b & 3 } else { a };
            Effects { writes: lower, flag_mask: ZF, flags: if lower { ZF } else { 0 }, ..Effects::value(value) }
        }
        // A transaction aborts at its beginning, for no reason that EAX could name.
        IntOp::Xbegin => Effects { second: Some((fixed(RAX as u8, 4), 0)), ..jump(cpu, insn, 0)? },
        IntOp::Xend => return Err(Event::gp0("XEND outside a transaction")),
        IntOp::Xtest => Effects::flags_only(rflags::ARITH, ZF),
        // AL alone: all ones with the carry set, else zero.
        IntOp::Salc => Effects::value(if flags & CF != 0 { 0xff } else { 0 }),
        _ => match super::decimal::decimal(op, cpu, insn)? {
            Some(effects) => effects,
            None => match super::bits::bits(op, cpu, insn, v) {
                Some(effects) => effects,
                None => unreachable!("every integer operation of the table is executed"),
            },
        },
    })
}

/// TZCNT and LZCNT: CF for a zero source, ZF for a zero count. The manual leaves the others undefined; Zen 4 clears all but OF.
fn count(n: u32, size: u16) -> Effects {
    let carry = if n == u32::from(size) * 8 { CF } else { 0 };
    let zero = if n == 0 { ZF } else { 0 };
    Effects { flag_mask: rflags::ARITH & !rflags::OF, flags: carry | zero, ..Effects::value(u64::from(n)) }
}

fn multiply(cpu: &Cpu, a: u64, signed: bool, size: u16) -> Effects {
    let accumulator = cpu.gpr[RAX] & mask(size);
    let product = alu::multiply(accumulator, a, signed, size);
    let low = product.low.value;
    // The byte form's product lies in AX; else the low half in rAX (as operand 1), the high half in rDX.
    let (first, second) = if size == 1 {
        ((fixed(RAX as u8, 2), product.high << 8 | low), None)
    } else {
        ((fixed(RAX as u8, size), low), Some((fixed(RDX as u8, size), product.high)))
    };
    pair(first, second, PRODUCT, product.low.flags)
}

fn divide(cpu: &Cpu, divisor: u64, signed: bool, size: u16) -> Result<Effects, Event> {
    let (low, high) = if size == 1 {
        (cpu.gpr[RAX] & 0xff, cpu.gpr[RAX] >> 8 & 0xff)
    } else {
        (cpu.gpr[RAX] & mask(size), cpu.gpr[RDX] & mask(size))
    };
    let Some((quotient, remainder)) = alu::divide(low, high, divisor, signed, size) else {
        return Err(Event::de("division by zero, or the quotient does not fit"));
    };
    let (first, second) = if size == 1 {
        ((fixed(RAX as u8, 2), remainder << 8 | quotient), None)
    } else {
        ((fixed(RAX as u8, size), quotient), Some((fixed(RDX as u8, size), remainder)))
    };
    // The manual leaves all flags undefined; Zen 4 keeps CF and OF, sets AF and clears the rest.
    Ok(pair(first, second, rflags::ARITH & !PRODUCT, rflags::AF))
}

/// Effects of MUL and DIV, which write rAX and rDX and not their operand.
fn pair(first: (Slot, u64), second: Option<(Slot, u64)>, flag_mask: u64, flags: u64) -> Effects {
    Effects { third: Some(first), second, flag_mask, flags, ..Effects::NONE }
}

fn branch_if(cpu: &Cpu, insn: &Insn, taken: bool) -> Result<Effects, Event> {
    if !taken {
        return Ok(Effects::NONE);
    }
    jump(cpu, insn, 0)
}

/// JMP: relative by the immediate, or to `target` when the operand is no displacement.
fn jump(cpu: &Cpu, insn: &Insn, target: u64) -> Result<Effects, Event> {
    let to = if insn.slot(0).kind == SlotKind::Rel { insn.branch_target(cpu.rip) } else { target };
    check_target(cpu, to)?;
    Ok(Effects { target: Some(to), ..Effects::NONE })
}

/// A near branch's target lies in the code segment, or is canonical.
pub(crate) fn check_target(cpu: &Cpu, target: u64) -> Result<(), Event> {
    let inside = if cpu.mode() == Mode::Long64 {
        address::canonical(cpu, target)
    } else {
        target <= u64::from(cpu.seg(crate::cpu::segment::Seg::Cs).limit)
    };
    if inside { Ok(()) } else { Err(Event::gp0("the branch leaves the code segment")) }
}
