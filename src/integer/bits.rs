//! BMI1, BMI2, TBM, ADX and CRC32.

use super::value::Effects;
use crate::alu::{self, mask};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::RDX;
use crate::cpu::registers::rflags::{AF, ARITH, CF, OF, PF, ZF};
use crate::decode::Insn;
use crate::isa::row::IntOp;

/// Computes `op` on the values of the first three operands, `None` if it belongs to another room.
pub(super) fn bits(op: IntOp, cpu: &Cpu, insn: &Insn, v: [u64; 3]) -> Option<Effects> {
    let size = insn.slot(0).size;
    let width = u64::from(size) * 8;
    let [a, b, c] = v;
    Some(match op {
        IntOp::Andn => flagged(!b & c, false, size),
        IntOp::Bextr => {
            let (start, len) = (c & 0xff, c >> 8 & 0xff);
            let value = if start < width { b >> start & low(len) } else { 0 };
            // The manual has ZF, CF and OF alone; Zen 4 sets AF, clears SF, and PF is the result's.
            let flags = alu::result_flags(value, size) & (ZF | PF) | AF;
            Effects { flag_mask: ARITH, flags, ..Effects::value(value) }
        }
        IntOp::Blsi => flagged(b & b.wrapping_neg(), b != 0, size),
        IntOp::Blsmsk => flagged(b ^ b.wrapping_sub(1), b == 0, size),
        IntOp::Blsr => flagged(b & b.wrapping_sub(1), b == 0, size),
        IntOp::Blcfill => flagged(b & b.wrapping_add(1), b == mask(size), size),
        IntOp::Blci => flagged(b | !b.wrapping_add(1), b == mask(size), size),
        IntOp::Blcic => flagged(!b & b.wrapping_add(1), b == mask(size), size),
        IntOp::Blcmsk => flagged(b ^ b.wrapping_add(1), b == mask(size), size),
        IntOp::Blcs => flagged(b | b.wrapping_add(1), b == mask(size), size),
        IntOp::Blsfill => flagged(b | b.wrapping_sub(1), b == 0, size),
        IntOp::Blsic => flagged(!b | b.wrapping_sub(1), b == 0, size),
        IntOp::T1mskc => flagged(!b | b.wrapping_add(1), b == mask(size), size),
        IntOp::Tzmsk => flagged(!b & b.wrapping_sub(1), b == 0, size),
        IntOp::Bzhi => flagged(b & low(c & 0xff), c & 0xff >= width, size),
        IntOp::Mulx => {
            let product = alu::multiply(cpu.gpr[RDX] & mask(size), c, false, size);
            // Where both are one register, the high half stays in it.
            Effects { second: Some((insn.slot(1), product.low.value)), ..Effects::value(product.high) }
        }
        IntOp::Pdep => Effects::value(alu::deposit(b, c)),
        IntOp::Pext => Effects::value(alu::extract(b, c)),
        IntOp::Rorx => {
            let count = c & (width - 1);
            let doubled = if size == 4 { b | b << 32 } else { b };
            Effects::value(doubled.rotate_right(count as u32) & mask(size))
        }
        IntOp::Sarx => Effects::value((alu::sign_extend(b, size) as i64 >> (c & (width - 1))) as u64 & mask(size)),
        IntOp::Shlx => Effects::value(b << (c & (width - 1)) & mask(size)),
        IntOp::Shrx => Effects::value(b >> (c & (width - 1))),
        IntOp::Adcx => chained(a, b, CF, cpu.rflags(), size),
        IntOp::Adox => chained(a, b, OF, cpu.rflags(), size),
        IntOp::Crc32 => Effects::value(u64::from(alu::crc32(a as u32, b, insn.slot(1).size))),
        _ => return None,
    })
}

/// All ones in the low `count` bits.
fn low(count: u64) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

/// SF and ZF of the value, CF, OF clear. Of what the manual leaves undefined, PF is the value's and AF clear (Zen 4).
fn flagged(value: u64, carry: bool, size: u16) -> Effects {
    let value = value & mask(size);
    let flags = alu::result_flags(value, size) | if carry { CF } else { 0 };
    Effects { flag_mask: ARITH, flags, ..Effects::value(value) }
}

/// `a + b` and the one flag that carries in and out.
fn chained(a: u64, b: u64, flag: u64, flags: u64, size: u16) -> Effects {
    let sum = alu::add(a, b, flags & flag != 0, size);
    let carry = if sum.flags & CF != 0 { flag } else { 0 };
    Effects { flag_mask: flag, flags: carry, ..Effects::value(sum.value) }
}
