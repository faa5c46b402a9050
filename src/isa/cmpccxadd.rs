//! CMPccXADD: memory is compared with a register, and a third one added to it if the condition holds, at once.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::ARITH, *};
use Map::M0f38 as P0F38;

/// Memory is written in any case, aligned, and the register gets its old value.
const fn compare_add(name: &'static str, opcode: u8) -> Row {
    let r = vex(name, P0F38, P66, opcode, &[RW(My), RW(Gy), R(By)]).l0().only64().cpuid(Cmpccxadd);
    r.gate(Gate::Free).aligned().flags(FlagEffect::of(0, ARITH, 0)).exec(Exec::Missing)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const VEX_M0F38: [Row; 16] = [
    compare_add("cmpoxadd", 0xe0), compare_add("cmpnoxadd", 0xe1), compare_add("cmpbxadd", 0xe2), compare_add("cmpnbxadd", 0xe3),
    compare_add("cmpzxadd", 0xe4), compare_add("cmpnzxadd", 0xe5), compare_add("cmpbexadd", 0xe6), compare_add("cmpnbexadd", 0xe7),
    compare_add("cmpsxadd", 0xe8), compare_add("cmpnsxadd", 0xe9), compare_add("cmppxadd", 0xea), compare_add("cmpnpxadd", 0xeb),
    compare_add("cmplxadd", 0xec), compare_add("cmpnlxadd", 0xed), compare_add("cmplexadd", 0xee), compare_add("cmpnlexadd", 0xef),
];
