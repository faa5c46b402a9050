//! XOP, TBM and LWP: maps 8 to 10 of AMD's 8F prefix.

use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::*, *};
use Map::{M8 as P8, M9 as P9, M10 as P10};

/// Products of integers that are added to the register in the immediate.
const fn mac(name: &'static str, opcode: u8) -> Row {
    xop(name, P8, opcode, &[W(Vdq), R(Hdq), R(Wdq), R(Ldq)]).l0().w0()
}

/// A comparison by a predicate in the immediate.
const fn compare(name: &'static str, opcode: u8) -> Row {
    xop(name, P8, opcode, &[W(Vdq), R(Hdq), R(Wdq), R(Ib)]).l0().w0()
}

/// A rotation by an immediate.
const fn rotate(name: &'static str, opcode: u8) -> Row {
    xop(name, P8, opcode, &[W(Vdq), R(Wdq), R(Ib)]).l0().w0()
}

/// A rotation or shift by a count for each element; XOP.W chooses whether elements or counts may be memory.
macro_rules! shift {
    ($op:literal, $name:literal) => {
        [
            xop($name, P9, $op, &[W(Vdq), R(Wdq), R(Hdq)]).l0().w0(),
            xop($name, P9, $op, &[W(Vdq), R(Hdq), R(Wdq)]).l0().w1(),
        ]
    };
}

/// A sum or difference of neighbours.
const fn neighbours(name: &'static str, opcode: u8) -> Row {
    xop(name, P9, opcode, &[W(Vdq), R(Wdq)]).l0().w0()
}

/// LWP: #UD as long as bit 62 of XCR0 does not enable it, which no profile offers.
const fn lwp(row: Row) -> Row {
    row.system(SysOp::Ud)
}

/// A row of general-purpose registers: no gate, XOP.L clear.
const fn gpr(name: &'static str, map: Map, opcode: u8, ops: &[Spec], feature: super::Feature) -> Row {
    xop(name, map, opcode, ops).lz().gate(Gate::Free).class(Class::None).cpuid(feature).exec(Exec::Missing)
}

/// SF and ZF of the result, CF; OF is clear.
const RESULT: FlagEffect = FlagEffect::of(0, ARITH, AF | PF).clears(OF);
const EXTRACTED: FlagEffect = FlagEffect::of(0, ARITH, AF | SF | PF).clears(CF | OF);

/// An operation on the lowest bits of a register.
const fn tbm(name: &'static str, opcode: u8, digit: u32, op: IntOp) -> Row {
    gpr(name, P9, opcode, &[W(By), R(Ey)], Tbm).digit(digit).flags(RESULT).does(op)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M8: &[Row] = rows![[
    mac("vpmacssww", 0x85), mac("vpmacsswd", 0x86), mac("vpmacssdql", 0x87), mac("vpmacssdd", 0x8e), mac("vpmacssdqh", 0x8f),
    mac("vpmacsww", 0x95), mac("vpmacswd", 0x96), mac("vpmacsdql", 0x97), mac("vpmacsdd", 0x9e), mac("vpmacsdqh", 0x9f),
    xop("vpcmov", P8, 0xa2, &[W(Vx), R(Hx), R(Wx), R(Lx)]).w0(),
    xop("vpcmov", P8, 0xa2, &[W(Vx), R(Hx), R(Lx), R(Wx)]).w1(),
    xop("vpperm", P8, 0xa3, &[W(Vdq), R(Hdq), R(Wdq), R(Ldq)]).l0().w0(),
    xop("vpperm", P8, 0xa3, &[W(Vdq), R(Hdq), R(Ldq), R(Wdq)]).l0().w1(),
    mac("vpmadcsswd", 0xa6), mac("vpmadcswd", 0xb6),
    rotate("vprotb", 0xc0), rotate("vprotw", 0xc1), rotate("vprotd", 0xc2), rotate("vprotq", 0xc3),
    compare("vpcomb", 0xcc), compare("vpcomw", 0xcd), compare("vpcomd", 0xce), compare("vpcomq", 0xcf),
    compare("vpcomub", 0xec), compare("vpcomuw", 0xed), compare("vpcomud", 0xee), compare("vpcomuq", 0xef),
]];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M9: &[Row] = rows![
    [
        tbm("blcfill", 0x01, 1, IntOp::Blcfill), tbm("blsfill", 0x01, 2, IntOp::Blsfill), tbm("blcs", 0x01, 3, IntOp::Blcs), tbm("tzmsk", 0x01, 4, IntOp::Tzmsk),
        tbm("blcic", 0x01, 5, IntOp::Blcic), tbm("blsic", 0x01, 6, IntOp::Blsic), tbm("t1mskc", 0x01, 7, IntOp::T1mskc),
        tbm("blcmsk", 0x02, 1, IntOp::Blcmsk), tbm("blci", 0x02, 6, IntOp::Blci),
        lwp(gpr("llwpcb", P9, 0x12, &[R(Ry)], Lwp).digit(0).implies(Implied::Profiling)),
        lwp(gpr("slwpcb", P9, 0x12, &[W(Ry)], Lwp).digit(1).implies(Implied::Profiling)),
        xop("vfrczps", P9, 0x80, &[W(Vx), R(Wx)]).w0().fp(),
        xop("vfrczpd", P9, 0x81, &[W(Vx), R(Wx)]).w0().fp(),
        xop("vfrczss", P9, 0x82, &[W(Vdq), R(Wd)]).l0().w0().fp(),
        xop("vfrczsd", P9, 0x83, &[W(Vdq), R(Wq)]).l0().w0().fp(),
    ],
    shift!(0x90, "vprotb"), shift!(0x91, "vprotw"), shift!(0x92, "vprotd"), shift!(0x93, "vprotq"),
    shift!(0x94, "vpshlb"), shift!(0x95, "vpshlw"), shift!(0x96, "vpshld"), shift!(0x97, "vpshlq"),
    shift!(0x98, "vpshab"), shift!(0x99, "vpshaw"), shift!(0x9a, "vpshad"), shift!(0x9b, "vpshaq"),
    [
        neighbours("vphaddbw", 0xc1), neighbours("vphaddbd", 0xc2), neighbours("vphaddbq", 0xc3),
        neighbours("vphaddwd", 0xc6), neighbours("vphaddwq", 0xc7), neighbours("vphadddq", 0xcb),
        neighbours("vphaddubw", 0xd1), neighbours("vphaddubd", 0xd2), neighbours("vphaddubq", 0xd3),
        neighbours("vphadduwd", 0xd6), neighbours("vphadduwq", 0xd7), neighbours("vphaddudq", 0xdb),
        neighbours("vphsubbw", 0xe1), neighbours("vphsubwd", 0xe2), neighbours("vphsubdq", 0xe3),
    ],
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M10: &[Row] = rows![[
    gpr("bextr", P10, 0x10, &[W(Gy), R(Ey), R(Id)], Tbm).flags(EXTRACTED).does(IntOp::Bextr),
    lwp(gpr("lwpins", P10, 0x12, &[R(By), R(Ed), R(Id)], Lwp).digit(0).flags(FlagEffect::of(0, CF, 0)).implies(Implied::Profiled)),
    lwp(gpr("lwpval", P10, 0x12, &[R(By), R(Ed), R(Id)], Lwp).digit(1).implies(Implied::Profiled)),
]];
