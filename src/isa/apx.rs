//! APX: EVEX map 4, which has the instructions of general-purpose registers with a new destination in EVEX.vvvv (ND)
//! and without flags (NF), and the EVEX forms that APX gives to instructions with VEX.

use super::bits::{EXTRACTED, RESULT, chain};
use super::feature::Feature::{self, *};
use super::legacy::*;
use super::notation::*;
use super::row::{flag::*, *};
use IntOp::*;
use Map::{M0f as P0F, M0f3a as P0F3A, M0f38 as P0F38, M7};

/// `op d, s` and, with ND, `op b, d, s`.
const fn pair(name: &'static str, opcode: u8, op: IntOp, flags: FlagEffect, old: &[Spec], new: &[Spec]) -> [Row; 2] {
    let (old, new) = (apx(name, opcode, old).nd0(), apx(name, opcode, new).nd().cpuid(ApxNddNf));
    [old.flags(flags).extends(op), new.flags(flags).extends(op)]
}

impl Row {
    /// Bytes: no prefix. Other widths take 66 for 16 bits and W for 64.
    const fn np(self) -> Row {
        self.pp(NP)
    }

    /// EVEX.NF is refused.
    const fn flags_only(self) -> Row {
        self
    }
}

/// The four lines of an arithmetic opcode row, each without and with ND.
macro_rules! alu {
    ($name:literal, $base:literal, $op:ident, $flags:expr, $nf:ident) => {{
        let b = pair($name, $base, $op, $flags, &[RW(Eb), R(Gb)], &[W(Bb), R(Eb), R(Gb)]);
        let v = pair($name, $base + 1, $op, $flags, &[RW(Ev), R(Gv)], &[W(Bv), R(Ev), R(Gv)]);
        let rb = pair($name, $base + 2, $op, $flags, &[RW(Gb), R(Eb)], &[W(Bb), R(Gb), R(Eb)]);
        let rv = pair($name, $base + 3, $op, $flags, &[RW(Gv), R(Ev)], &[W(Bv), R(Gv), R(Ev)]);
        [
            b[0].np().$nf(),
            b[1].np().$nf(),
            v[0].no_rep().$nf(),
            v[1].no_rep().$nf(),
            rb[0].np().$nf(),
            rb[1].np().$nf(),
            rv[0].no_rep().$nf(),
            rv[1].no_rep().$nf(),
        ]
    }};
}

const ALU_ADD: [Row; 8] = alu!("add", 0x00, Add, ADD, nf_ok);
const ALU_OR: [Row; 8] = alu!("or", 0x08, Or, LOGIC, nf_ok);
const ALU_ADC: [Row; 8] = alu!("adc", 0x10, Adc, CARRY, flags_only);
const ALU_SBB: [Row; 8] = alu!("sbb", 0x18, Sbb, CARRY, flags_only);
const ALU_AND: [Row; 8] = alu!("and", 0x20, And, LOGIC, nf_ok);
const ALU_SUB: [Row; 8] = alu!("sub", 0x28, Sub, ADD, nf_ok);
const ALU_XOR: [Row; 8] = alu!("xor", 0x30, Xor, LOGIC, nf_ok);

/// Compare or test under a condition, with the flags for when it fails.
const fn conditional(name: &'static str, opcode: u8, op: IntOp, operands: &[Spec], flags: FlagEffect) -> Row {
    let read = FlagEffect { read: ARITH, ..flags };
    apx(name, opcode, operands).nd0_scc().cpuid(ApxNddNf).flags(read).extends(op).implies(Implied::Suppressed)
}

impl Row {
    /// EVEX.b is clear and its low bits are a condition.
    const fn nd0_scc(self) -> Row {
        self.nd0().attr(attr::SCC)
    }
}

/// Flags of CCMP and CTEST where the condition fails are the instruction's own.
const SET: FlagEffect = FlagEffect::of(0, ARITH, 0);
const TESTED: FlagEffect = FlagEffect::of(0, ARITH, AF);

/// Group 1: /0 to /6 as [`alu!`], /7 the conditional compare.
macro_rules! group1 {
    ($op:literal, $e:ident, $b:ident, $imm:ident, $pp:ident) => {{
        let add = pair("add", $op, Add, ADD, &[RW($e), R($imm)], &[W($b), R($e), R($imm)]);
        let or = pair("or", $op, Or, LOGIC, &[RW($e), R($imm)], &[W($b), R($e), R($imm)]);
        let adc = pair("adc", $op, Adc, CARRY, &[RW($e), R($imm)], &[W($b), R($e), R($imm)]);
        let sbb = pair("sbb", $op, Sbb, CARRY, &[RW($e), R($imm)], &[W($b), R($e), R($imm)]);
        let and = pair("and", $op, And, LOGIC, &[RW($e), R($imm)], &[W($b), R($e), R($imm)]);
        let sub = pair("sub", $op, Sub, ADD, &[RW($e), R($imm)], &[W($b), R($e), R($imm)]);
        let xor = pair("xor", $op, Xor, LOGIC, &[RW($e), R($imm)], &[W($b), R($e), R($imm)]);
        [
            add[0].digit(0).$pp().nf_ok(),
            add[1].digit(0).$pp().nf_ok(),
            or[0].digit(1).$pp().nf_ok(),
            or[1].digit(1).$pp().nf_ok(),
            adc[0].digit(2).$pp(),
            adc[1].digit(2).$pp(),
            sbb[0].digit(3).$pp(),
            sbb[1].digit(3).$pp(),
            and[0].digit(4).$pp().nf_ok(),
            and[1].digit(4).$pp().nf_ok(),
            sub[0].digit(5).$pp().nf_ok(),
            sub[1].digit(5).$pp().nf_ok(),
            xor[0].digit(6).$pp().nf_ok(),
            xor[1].digit(6).$pp().nf_ok(),
            conditional("ccmp", $op, Ccmp, &[R($e), R($imm), R(DFV.hidden())], SET).digit(7).$pp(),
        ]
    }};
}

const GROUP1_80: [Row; 15] = group1!(0x80, Eb, Bb, Ib, np);
const GROUP1_81: [Row; 15] = group1!(0x81, Ev, Bv, Iz, no_rep);
const GROUP1_83: [Row; 15] = group1!(0x83, Ev, Bv, Ibs, no_rep);

/// Group 2: rotations and shifts.
macro_rules! group2 {
    ($op:literal, $e:ident, $b:ident, $count:ident, $pp:ident, $rotate:expr, $carry:expr, $shift:expr) => {{
        let rol = pair("rol", $op, Rol, $rotate, &[RW($e), R($count)], &[W($b), R($e), R($count)]);
        let ror = pair("ror", $op, Ror, $rotate, &[RW($e), R($count)], &[W($b), R($e), R($count)]);
        let rcl = pair("rcl", $op, Rcl, $carry, &[RW($e), R($count)], &[W($b), R($e), R($count)]);
        let rcr = pair("rcr", $op, Rcr, $carry, &[RW($e), R($count)], &[W($b), R($e), R($count)]);
        let shl = pair("shl", $op, Shl, $shift, &[RW($e), R($count)], &[W($b), R($e), R($count)]);
        let shr = pair("shr", $op, Shr, $shift, &[RW($e), R($count)], &[W($b), R($e), R($count)]);
        let sar = pair("sar", $op, Sar, $shift, &[RW($e), R($count)], &[W($b), R($e), R($count)]);
        [
            rol[0].digit(0).$pp().nf_ok(),
            rol[1].digit(0).$pp().nf_ok(),
            ror[0].digit(1).$pp().nf_ok(),
            ror[1].digit(1).$pp().nf_ok(),
            rcl[0].digit(2).$pp(),
            rcl[1].digit(2).$pp(),
            rcr[0].digit(3).$pp(),
            rcr[1].digit(3).$pp(),
            shl[0].digit(4).$pp().nf_ok(),
            shl[1].digit(4).$pp().nf_ok(),
            shr[0].digit(5).$pp().nf_ok(),
            shr[1].digit(5).$pp().nf_ok(),
            shl[0].digit(6).$pp().nf_ok(),
            shl[1].digit(6).$pp().nf_ok(),
            sar[0].digit(7).$pp().nf_ok(),
            sar[1].digit(7).$pp().nf_ok(),
        ]
    }};
}

const GROUP2_C0: [Row; 16] = group2!(0xc0, Eb, Bb, Ib, np, ROTATE, ROTATE, SHIFT);
const GROUP2_C1: [Row; 16] = group2!(0xc1, Ev, Bv, Ib, no_rep, ROTATE, ROTATE, SHIFT);
const GROUP2_D0: [Row; 16] = group2!(0xd0, Eb, Bb, ONE, np, ROTATE1, CARRY_ROTATE1, SHIFT1);
const GROUP2_D1: [Row; 16] = group2!(0xd1, Ev, Bv, ONE, no_rep, ROTATE1, CARRY_ROTATE1, SHIFT1);
const GROUP2_D2: [Row; 16] = group2!(0xd2, Eb, Bb, CL, np, ROTATE, ROTATE, SHIFT);
const GROUP2_D3: [Row; 16] = group2!(0xd3, Ev, Bv, CL, no_rep, ROTATE, ROTATE, SHIFT);

/// Group 3.
macro_rules! group3 {
    ($op:literal, $e:ident, $b:ident, $imm:ident, $acc:expr, $high:expr, $pp:ident) => {{
        let not = pair("not", $op, Not, FlagEffect::NONE, &[RW($e)], &[W($b), R($e)]);
        let neg = pair("neg", $op, Neg, ADD, &[RW($e)], &[W($b), R($e)]);
        let test = [R($e), R($imm), R(DFV.hidden())];
        let product = [R($e), $acc, $high];
        let quotient = [R($e), $acc, RW($high)];
        [
            conditional("ctest", $op, Ctest, &test, TESTED).digit(0).$pp(),
            conditional("ctest", $op, Ctest, &test, TESTED).digit(1).$pp(),
            not[0].digit(2).$pp(),
            not[1].digit(2).$pp(),
            neg[0].digit(3).$pp().nf_ok(),
            neg[1].digit(3).$pp().nf_ok(),
            apx("mul", $op, &product).nd0().flags(MULTIPLY).digit(4).$pp().nf_ok().extends(Mul),
            apx("imul", $op, &product).nd0().flags(MULTIPLY).digit(5).$pp().nf_ok().extends(Imul1),
            apx("div", $op, &quotient).nd0().flags(DIVIDE).digit(6).$pp().nf_ok().extends(Div),
            apx("idiv", $op, &quotient).nd0().flags(DIVIDE).digit(7).$pp().nf_ok().extends(Idiv),
        ]
    }};
}

const GROUP3_F6: [Row; 10] = group3!(0xf6, Eb, Bb, Ib, RW(AX.hidden()), Spec::NOTHING, np);
const GROUP3_F7: [Row; 10] = group3!(0xf7, Ev, Bv, Iz, RW(rAX.hidden()), W(rDX.hidden()), no_rep);

/// INC and DEC.
macro_rules! step {
    ($op:literal, $e:ident, $b:ident, $pp:ident) => {{
        let inc = pair("inc", $op, Inc, INCDEC, &[RW($e)], &[W($b), R($e)]);
        let dec = pair("dec", $op, Dec, INCDEC, &[RW($e)], &[W($b), R($e)]);
        [
            inc[0].digit(0).$pp().nf_ok(),
            inc[1].digit(0).$pp().nf_ok(),
            dec[0].digit(1).$pp().nf_ok(),
            dec[1].digit(1).$pp().nf_ok(),
        ]
    }};
}

const STEP_FE: [Row; 4] = step!(0xfe, Eb, Bb, np);
const STEP_FF: [Row; 4] = step!(0xff, Ev, Bv, no_rep);

/// SHLD and SHRD.
const fn double(name: &'static str, opcode: u8, op: IntOp, count: Spec) -> [Row; 2] {
    let [old, new] = pair(name, opcode, op, SHIFT, &[RW(Ev), R(Gv), R(count)], &[W(Bv), R(Ev), R(Gv), R(count)]);
    [old.no_rep().nf_ok(), new.no_rep().nf_ok()]
}

/// A row of general-purpose registers that counts bits.
const fn count(name: &'static str, opcode: u8, feature: Feature, flags: FlagEffect, op: IntOp) -> Row {
    apx(name, opcode, &[W(Gv), R(Ev)]).nd0().no_rep().and(feature).flags(flags).nf_ok().extends(op)
}

/// ADCX and ADOX.
const fn carry(name: &'static str, pp: Pp, op: IntOp, flag: u16) -> [Row; 2] {
    let [old, new] = pair(name, 0x66, op, chain(flag), &[RW(Gy), R(Ey)], &[W(By), R(Gy), R(Ey)]);
    [old.pp(pp).and(Adx), new.pp(pp).and(Adx)]
}

/// A row with a memory operand that has no ND.
const fn store(name: &'static str, pp: Pp, opcode: u8, operands: &[Spec], feature: Feature) -> Row {
    apx(name, opcode, operands).nd0().pp(pp).and(feature)
}

/// PUSH2 and POP2: two registers that differ, none of them RSP.
const fn two(name: &'static str, opcode: u8, digit: u32, first: Spec, second: Spec) -> Row {
    apx(name, opcode, &[first, second]).nd().np().digit(digit).attr(attr::PAIR).cpuid(ApxNddNf)
}

const REMOTE: FlagEffect = FlagEffect::of(0, ZF, 0).clears(ARITH & !ZF);
const INVALIDATED: FlagEffect = FlagEffect::of(0, CF | ZF, 0).clears(ARITH & !(CF | ZF));

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static M4: &[Row] = rows![
    ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND,
    double("shld", 0x24, Shld, Ib),
    ALU_SUB,
    double("shrd", 0x2c, Shrd, Ib),
    ALU_XOR,
    [
        conditional("ccmp", 0x38, Ccmp, &[R(Eb), R(Gb), R(DFV.hidden())], SET).np(),
        conditional("ccmp", 0x39, Ccmp, &[R(Ev), R(Gv), R(DFV.hidden())], SET).no_rep(),
        conditional("ccmp", 0x3a, Ccmp, &[R(Gb), R(Eb), R(DFV.hidden())], SET).np(),
        conditional("ccmp", 0x3b, Ccmp, &[R(Gv), R(Ev), R(DFV.hidden())], SET).no_rep(),
        apx("set", 0x40, &[W(Eb)]).nd0().pp(F2).attr(attr::CONDITION).cpuid(ApxNddNf).flags(READS).extends(Setcc),
        apx("setzu", 0x40, &[W(Eb)]).nd().pp(F2).attr(attr::CONDITION).cpuid(ApxNddNf).flags(READS).extends(Setcc),
        apx("cfcmov", 0x40, &[W(Gv), R(Ev)]).nd0().nf_bit(0).no_rep().attr(attr::CONDITION).cpuid(ApxNddNf).flags(READS).implies(Implied::Suppressed).extends(Cfcmov),
        apx("cfcmov", 0x40, &[CW(Ev), R(Gv)]).nd0().nf_bit(1).no_rep().mem().attr(attr::CONDITION).cpuid(ApxNddNf).flags(READS).implies(Implied::Suppressed).extends(Cfcmov),
        apx("cfcmov", 0x40, &[W(Ev), R(Gv)]).nd0().nf_bit(1).no_rep().reg().attr(attr::CONDITION).cpuid(ApxNddNf).flags(READS).implies(Implied::Suppressed).extends(Cfcmov),
        apx("cmov", 0x40, &[W(Bv), R(Gv), R(Ev)]).nd().nf_bit(0).no_rep().attr(attr::CONDITION).cpuid(ApxNddNf).flags(READS).extends(Cmovcc),
        apx("cfcmov", 0x40, &[W(Bv), R(Gv), R(Ev)]).nd().nf_bit(1).no_rep().attr(attr::CONDITION).cpuid(ApxNddNf).flags(READS).implies(Implied::Suppressed).extends(Cfcmov),
        apx("movbe", 0x60, &[W(Gv), R(Ev)]).nd0().no_rep().and(Feature::Movbe).extends(IntOp::Movbe),
        apx("movbe", 0x61, &[W(Ev), R(Gv)]).nd0().no_rep().and(Feature::Movbe).extends(IntOp::Movbe),
        store("wrussd", P66, 0x65, &[W(Md), R(Gd)], Shstk).w0().gate(Gate::Cpl0).implies(Implied::WriteShadow).system(SysOp::Shadow(ShadowOp::WriteUser)),
        store("wrussq", P66, 0x65, &[W(Mq), R(Gq)], Shstk).w1().gate(Gate::Cpl0).implies(Implied::WriteShadow).system(SysOp::Shadow(ShadowOp::WriteUser)),
        store("wrssd", NP, 0x66, &[W(Md), R(Gd)], Shstk).w0().gate(Gate::Cet).implies(Implied::WriteShadow).system(SysOp::Shadow(ShadowOp::Write)),
        store("wrssq", NP, 0x66, &[W(Mq), R(Gq)], Shstk).w1().gate(Gate::Cet).implies(Implied::WriteShadow).system(SysOp::Shadow(ShadowOp::Write)),
    ],
    carry("adcx", P66, Adcx, CF), carry("adox", F3, Adox, OF),
    [
        apx("imul", 0x69, &[W(Gv), R(Ev), R(Iz)]).nd0().no_rep().flags(MULTIPLY).nf_ok().extends(Imul),
        apx("imulzu", 0x69, &[W(Gv), R(Ev), R(Iz)]).nd().no_rep().cpuid(ApxNddNf).flags(MULTIPLY).nf_ok().extends(Imul),
        apx("imul", 0x6b, &[W(Gv), R(Ev), R(Ibs)]).nd0().no_rep().flags(MULTIPLY).nf_ok().extends(Imul),
        apx("imulzu", 0x6b, &[W(Gv), R(Ev), R(Ibs)]).nd().no_rep().cpuid(ApxNddNf).flags(MULTIPLY).nf_ok().extends(Imul),
    ],
    GROUP1_80, GROUP1_81, GROUP1_83,
    [
        conditional("ctest", 0x84, Ctest, &[R(Eb), R(Gb), R(DFV.hidden())], TESTED).np(),
        conditional("ctest", 0x85, Ctest, &[R(Ev), R(Gv), R(DFV.hidden())], TESTED).no_rep(),
        count("popcnt", 0x88, Feature::Popcnt, FlagEffect::of(0, ZF, 0).clears(ARITH & !ZF), IntOp::Popcnt),
        store("movrs", NP, 0x8a, &[W(Gb), R(Mb)], Movrs).w0().extends(Mov),
        apx("movrs", 0x8b, &[W(Gv), R(Mv)]).nd0().no_rep().and(Movrs).extends(Mov),
        two("pop2", 0x8f, 0, W(Bq), W(Rq)).w0().seq(SeqOp::Pop2).implies(Implied::PopPair),
        two("pop2p", 0x8f, 0, W(Bq), W(Rq)).w1().seq(SeqOp::Pop2).implies(Implied::PopPair),
    ],
    double("shld", 0xa5, Shld, CL), double("shrd", 0xad, Shrd, CL),
    [
        apx("imul", 0xaf, &[RW(Gv), R(Ev)]).nd0().no_rep().flags(MULTIPLY).nf_ok().extends(Imul),
        apx("imul", 0xaf, &[W(Bv), R(Gv), R(Ev)]).nd().no_rep().cpuid(ApxNddNf).flags(MULTIPLY).nf_ok().extends(Imul),
    ],
    GROUP2_C0, GROUP2_C1, GROUP2_D0, GROUP2_D1, GROUP2_D2, GROUP2_D3,
    [
        apx("crc32", 0xf0, &[RW(Gy), R(Eb)]).nd0().np().and(Sse42).extends(Crc32),
        store("invept", F3, 0xf0, &[R(Gq), R(Mdq)], Vmx).gate(Gate::Virtual).flags(INVALIDATED),
        apx("crc32", 0xf1, &[RW(Gy), R(Ev)]).nd0().no_rep().and(Sse42).extends(Crc32),
        store("invvpid", F3, 0xf1, &[R(Gq), R(Mdq)], Vmx).gate(Gate::Virtual).flags(INVALIDATED),
        store("invpcid", F3, 0xf2, &[R(Gq), R(Mdq)], Invpcid).gate(Gate::Cpl0).privileged(PrivOp::Invpcid),
        count("tzcnt", 0xf4, Bmi1, COUNTED, Tzcnt),
        count("lzcnt", 0xf5, Feature::Lzcnt, COUNTED, IntOp::Lzcnt),
    ],
    GROUP3_F6, GROUP3_F7,
    [
        store("urdmsr", F2, 0xf8, &[W(Rq), R(Gq)], UserMsr).w0().implies(Implied::UserMsr).system(SysOp::UserReadMsr),
        store("uwrmsr", F3, 0xf8, &[R(Gq), R(Rq)], UserMsr).w0().implies(Implied::UserMsr).system(SysOp::UserWriteMsr),
        store("movdir64b", P66, 0xf8, &[R(GA), R(Moq)], Movdir64b).system(SysOp::CopyLine).implies(Implied::CopyLine),
        store("enqcmds", F3, 0xf8, &[R(GA), R(Moq)], Enqcmd).gate(Gate::Cpl0).flags(REMOTE).system(SysOp::Enqueue).implies(Implied::SystemCommand),
        store("enqcmd", F2, 0xf8, &[R(GA), R(Moq)], Enqcmd).flags(REMOTE).system(SysOp::Enqueue).implies(Implied::Command),
        store("movdiri", NP, 0xf9, &[W(My), R(Gy)], Movdiri).extends(Mov),
        store("aadd", NP, 0xfc, &[RW(My), R(Gy)], RaoInt).aligned().attr(attr::LOCKED).extends(Add),
        store("aand", P66, 0xfc, &[RW(My), R(Gy)], RaoInt).aligned().attr(attr::LOCKED).extends(And),
        store("axor", F3, 0xfc, &[RW(My), R(Gy)], RaoInt).aligned().attr(attr::LOCKED).extends(Xor),
        store("aor", F2, 0xfc, &[RW(My), R(Gy)], RaoInt).aligned().attr(attr::LOCKED).extends(Or),
    ],
    STEP_FE, STEP_FF,
    [
        two("push2", 0xff, 6, R(Bq), R(Rq)).w0().seq(SeqOp::Push2).implies(Implied::PushPair),
        two("push2p", 0xff, 6, R(Bq), R(Rq)).w1().seq(SeqOp::Push2).implies(Implied::PushPair),
    ],
];

/// KMOV with general-purpose registers above R15.
const fn kmov(name: &'static str, pp: Pp, opcode: u8, operands: &[Spec], feature: Feature) -> Row {
    let r = promoted(name, P0F, opcode, operands).pp(pp).and(feature).gate(Gate::Avx512).class(Class::Free);
    r.shape(Shape::Plain)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    kmov("kmovw", NP, 0x90, &[W(KGw), R(KEw)], Avx512f).w0(),
    kmov("kmovq", NP, 0x90, &[W(KGq), R(KEq)], Avx512bw).w1(),
    kmov("kmovb", P66, 0x90, &[W(KGb), R(KEb)], Avx512dq).w0(),
    kmov("kmovd", P66, 0x90, &[W(KGd), R(KEd)], Avx512bw).w1(),
    kmov("kmovw", NP, 0x91, &[W(Mw), R(KGw)], Avx512f).w0(),
    kmov("kmovq", NP, 0x91, &[W(Mq), R(KGq)], Avx512bw).w1(),
    kmov("kmovb", P66, 0x91, &[W(Mb), R(KGb)], Avx512dq).w0(),
    kmov("kmovd", P66, 0x91, &[W(Md), R(KGd)], Avx512bw).w1(),
    kmov("kmovw", NP, 0x92, &[W(KGw), R(Rd)], Avx512f).w0(),
    kmov("kmovb", P66, 0x92, &[W(KGb), R(Rd)], Avx512dq).w0(),
    kmov("kmovd", F2, 0x92, &[W(KGd), R(Rd)], Avx512bw).w0(),
    kmov("kmovq", F2, 0x92, &[W(KGq), R(Rq)], Avx512bw).w1(),
    kmov("kmovw", NP, 0x93, &[W(Gd), R(KRw)], Avx512f).w0(),
    kmov("kmovb", P66, 0x93, &[W(Gd), R(KRb)], Avx512dq).w0(),
    kmov("kmovd", F2, 0x93, &[W(Gd), R(KRd)], Avx512bw).w0(),
    kmov("kmovq", F2, 0x93, &[W(Gq), R(KRq)], Avx512bw).w1(),
];

/// An instruction of general-purpose registers that has a VEX form.
const fn bmi(name: &'static str, pp: Pp, opcode: u8, operands: &[Spec], feature: Feature, op: IntOp) -> Row {
    promoted(name, P0F38, opcode, operands).pp(pp).and(feature).extends(op)
}

/// AMX: tile memory.
const fn tile(name: &'static str, pp: Pp, opcode: u8, operands: &[Spec], feature: Feature) -> Row {
    promoted(name, P0F38, opcode, operands).pp(pp).w0().and(feature).gate(Gate::TileData)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    tile("ldtilecfg", NP, 0x49, &[R(Moq)], AmxTile).digit(0).gate(Gate::Tile).system(SysOp::LoadTileConfig).implies(Implied::LoadTiles),
    tile("sttilecfg", P66, 0x49, &[W(Moq)], AmxTile).digit(0).gate(Gate::Tile).system(SysOp::StoreTileConfig).implies(Implied::StoreTiles),
    tile("tileloaddrst1", P66, 0x4a, &[W(TG), R(MS)], AmxMovrs).system(SysOp::TileLoad).implies(Implied::TileMemory),
    tile("tileloaddrs", F2, 0x4a, &[W(TG), R(MS)], AmxMovrs).system(SysOp::TileLoad).implies(Implied::TileMemory),
    tile("tileloaddt1", P66, 0x4b, &[W(TG), R(MS)], AmxTile).system(SysOp::TileLoad).implies(Implied::TileMemory),
    tile("tilestored", F3, 0x4b, &[W(MS), R(TG)], AmxTile).system(SysOp::TileStore).implies(Implied::TileMemory),
    tile("tileloadd", F2, 0x4b, &[W(TG), R(MS)], AmxTile).system(SysOp::TileLoad).implies(Implied::TileMemory),
    bmi("cmp*xadd", P66, 0xe0, &[RW(My), RW(Gy), R(By)], Feature::Cmpccxadd, IntOp::Cmpccxadd).aligned().attr(attr::LOCKED).attr(attr::CONDITION).flags(ADD),
    bmi("andn", NP, 0xf2, &[W(Gy), R(By), R(Ey)], Bmi1, Andn).flags(RESULT.clears(CF)).nf_ok(),
    bmi("blsr", NP, 0xf3, &[W(By), R(Ey)], Bmi1, Blsr).digit(1).flags(RESULT).nf_ok(),
    bmi("blsmsk", NP, 0xf3, &[W(By), R(Ey)], Bmi1, Blsmsk).digit(2).flags(RESULT.clears(ZF)).nf_ok(),
    bmi("blsi", NP, 0xf3, &[W(By), R(Ey)], Bmi1, Blsi).digit(3).flags(RESULT).nf_ok(),
    bmi("bzhi", NP, 0xf5, &[W(Gy), R(Ey), R(By)], Bmi2, Bzhi).flags(RESULT).nf_ok(),
    bmi("pext", F3, 0xf5, &[W(Gy), R(By), R(Ey)], Bmi2, Pext),
    bmi("pdep", F2, 0xf5, &[W(Gy), R(By), R(Ey)], Bmi2, Pdep),
    bmi("mulx", F2, 0xf6, &[W(Gy), W(By), R(Ey), R(rDXy.hidden())], Bmi2, Mulx),
    bmi("bextr", NP, 0xf7, &[W(Gy), R(Ey), R(By)], Bmi1, Bextr).flags(EXTRACTED).nf_ok(),
    bmi("shlx", P66, 0xf7, &[W(Gy), R(Ey), R(By)], Bmi2, Shlx),
    bmi("sarx", F3, 0xf7, &[W(Gy), R(Ey), R(By)], Bmi2, Sarx),
    bmi("shrx", F2, 0xf7, &[W(Gy), R(Ey), R(By)], Bmi2, Shrx),
];

pub(super) const M0F3A: &[Row] =
    &[promoted("rorx", P0F3A, 0xf0, &[W(Gy), R(Ey), R(Ib)]).pp(F2).and(Bmi2).extends(Rorx)];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static EVEX_M7: &[Row] = rows![[
    promoted("rdmsr", M7, 0xf6, &[W(Rq), R(Id)]).pp(F2).digit(0).and(MsrImm).gate(Gate::Cpl0).system(SysOp::ReadMsr),
    promoted("wrmsrns", M7, 0xf6, &[R(Id), R(Rq)]).pp(F3).digit(0).and(MsrImm).gate(Gate::Cpl0).system(SysOp::WriteMsr),
    promoted("urdmsr", M7, 0xf8, &[W(Rq), R(Id)]).pp(F2).w0().digit(0).and(UserMsr).implies(Implied::UserMsr).system(SysOp::UserReadMsr),
    promoted("uwrmsr", M7, 0xf8, &[R(Id), R(Rq)]).pp(F3).w0().digit(0).and(UserMsr).implies(Implied::UserMsr).system(SysOp::UserWriteMsr),
]];
