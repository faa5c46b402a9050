//! Opcode maps without VEX or EVEX: one-byte opcodes and 0F.

use super::Feature;
use super::feature::Feature::*;
use super::notation::*;
use super::row::{flag::*, *};
use IntOp::*;
use Map::*;

pub(super) const fn written(mask: u16) -> FlagEffect {
    FlagEffect::of(0, mask, 0)
}

const fn reads(mask: u16) -> FlagEffect {
    FlagEffect::of(mask, 0, 0)
}

pub(super) const ADD: FlagEffect = written(ARITH);
pub(super) const LOGIC: FlagEffect = FlagEffect::of(0, ARITH, AF).clears(CF | OF);
pub(super) const CARRY: FlagEffect = FlagEffect::of(CF, ARITH, 0);
pub(super) const INCDEC: FlagEffect = written(ARITH & !CF);
/// Counts other than 1 leave OF undefined, a count of 0 changes nothing.
pub(super) const SHIFT: FlagEffect = FlagEffect::of(ARITH, ARITH, AF | OF);
pub(super) const ROTATE: FlagEffect = FlagEffect::of(CF, CF | OF, OF);
/// By 1: OF is defined.
pub(super) const SHIFT1: FlagEffect = FlagEffect::of(0, ARITH, AF);
pub(super) const ROTATE1: FlagEffect = written(CF | OF);
pub(super) const CARRY_ROTATE1: FlagEffect = FlagEffect::of(CF, CF | OF, 0);
pub(super) const MULTIPLY: FlagEffect = FlagEffect::of(0, ARITH, SF | ZF | AF | PF);
pub(super) const DIVIDE: FlagEffect = FlagEffect::of(0, ARITH, ARITH);
const BITTEST: FlagEffect = FlagEffect::of(0, ARITH & !ZF, OF | SF | AF | PF);
const BITSCAN: FlagEffect = FlagEffect::of(0, ARITH, ARITH & !ZF);
pub(super) const COUNTED: FlagEffect = FlagEffect::of(0, ARITH, OF | SF | AF | PF);
pub(super) const READS: FlagEffect = reads(ARITH);
const ZFONLY: FlagEffect = written(ZF);
const SAHF: FlagEffect = written(ARITH & !OF);
const LAHF: FlagEffect = reads(ARITH & !OF);
const COMPARE: FlagEffect = FlagEffect::of(DF, ARITH, 0);
const DIRECTION: FlagEffect = FlagEffect::of(DF, 0, 0);
const STACKED: FlagEffect = written(ARITH | DF | IF | NT | AC);
const PUSHED: FlagEffect = reads(ARITH | DF | IF | NT | AC);

/// Rows under REX2 that other rows of their opcodes would match too.
#[rustfmt::skip] // one form a line: the columns are the point
const REX2: [Row; 3] = [
    legacy("pushp", Primary, 0x50, &[R(Zq)]).rex2().only64().w1().cpuid(Apx).seq(SeqOp::Push).implies(Implied::Push),
    legacy("popp", Primary, 0x58, &[W(Zq)]).rex2().only64().w1().cpuid(Apx).seq(SeqOp::Pop).implies(Implied::Pop),
    legacy("jmpabs", Primary, 0xa1, &[R(Iq)]).rex2().only64().pp(NP).w0().attr(attr::BRANCH).cpuid(Apx).does(Jmp),
];

/// The eight arithmetic lines of 00 to 3F.
macro_rules! alu {
    ($name:literal, $base:literal, $flags:expr, $op:expr, $dst:ident, $lock:ident) => {
        [
            legacy($name, Primary, $base, &[$dst(Eb), R(Gb)]).$lock().flags($flags).does($op),
            legacy($name, Primary, $base + 1, &[$dst(Ev), R(Gv)]).$lock().flags($flags).does($op),
            legacy($name, Primary, $base + 2, &[$dst(Gb), R(Eb)]).flags($flags).does($op),
            legacy($name, Primary, $base + 3, &[$dst(Gv), R(Ev)]).flags($flags).does($op),
            legacy($name, Primary, $base + 4, &[$dst(AL), R(Ib)]).flags($flags).does($op),
            legacy($name, Primary, $base + 5, &[$dst(rAX), R(Iz)]).flags($flags).does($op),
        ]
    };
}

impl Row {
    /// A line whose destination LOCK may not lock (CMP among the arithmetic ones).
    const fn nolock(self) -> Row {
        self
    }
}

const ALU_ADD: [Row; 6] = alu!("add", 0x00, ADD, Add, RW, lock);
const ALU_OR: [Row; 6] = alu!("or", 0x08, LOGIC, Or, RW, lock);
const ALU_ADC: [Row; 6] = alu!("adc", 0x10, CARRY, Adc, RW, lock);
const ALU_SBB: [Row; 6] = alu!("sbb", 0x18, CARRY, Sbb, RW, lock);
const ALU_AND: [Row; 6] = alu!("and", 0x20, LOGIC, And, RW, lock);
const ALU_SUB: [Row; 6] = alu!("sub", 0x28, ADD, Sub, RW, lock);
const ALU_XOR: [Row; 6] = alu!("xor", 0x30, LOGIC, Xor, RW, lock);
const ALU_CMP: [Row; 6] = alu!("cmp", 0x38, ADD, Cmp, R, nolock);

macro_rules! group1 {
    ($op:literal, $dst:ident, $imm:ident) => {
        [
            legacy("add", Primary, $op, &[RW($dst), R($imm)]).digit(0).lock().flags(ADD).does(Add),
            legacy("or", Primary, $op, &[RW($dst), R($imm)]).digit(1).lock().flags(LOGIC).does(Or),
            legacy("adc", Primary, $op, &[RW($dst), R($imm)]).digit(2).lock().flags(CARRY).does(Adc),
            legacy("sbb", Primary, $op, &[RW($dst), R($imm)]).digit(3).lock().flags(CARRY).does(Sbb),
            legacy("and", Primary, $op, &[RW($dst), R($imm)]).digit(4).lock().flags(LOGIC).does(And),
            legacy("sub", Primary, $op, &[RW($dst), R($imm)]).digit(5).lock().flags(ADD).does(Sub),
            legacy("xor", Primary, $op, &[RW($dst), R($imm)]).digit(6).lock().flags(LOGIC).does(Xor),
            legacy("cmp", Primary, $op, &[R($dst), R($imm)]).digit(7).flags(ADD).does(Cmp),
        ]
    };
}

const GROUP1_80: [Row; 8] = group1!(0x80, Eb, Ib);
const GROUP1_81: [Row; 8] = group1!(0x81, Ev, Iz);
/// An alias of 80 that 64-bit mode does not have.
const GROUP1_82: [Row; 8] = {
    let mut rows = group1!(0x82, Eb, Ib);
    let mut i = 0;
    while i < rows.len() {
        rows[i] = rows[i].not64();
        i += 1;
    }
    rows
};
const GROUP1_83: [Row; 8] = group1!(0x83, Ev, Ibs);

macro_rules! group2 {
    ($op:literal, $dst:ident, $count:ident, $rotate:expr, $carry:expr, $shift:expr) => {
        [
            legacy("rol", Primary, $op, &[RW($dst), R($count)]).digit(0).flags($rotate).does(Rol),
            legacy("ror", Primary, $op, &[RW($dst), R($count)]).digit(1).flags($rotate).does(Ror),
            legacy("rcl", Primary, $op, &[RW($dst), R($count)]).digit(2).flags($carry).does(Rcl),
            legacy("rcr", Primary, $op, &[RW($dst), R($count)]).digit(3).flags($carry).does(Rcr),
            legacy("shl", Primary, $op, &[RW($dst), R($count)]).digit(4).flags($shift).does(Shl),
            legacy("shr", Primary, $op, &[RW($dst), R($count)]).digit(5).flags($shift).does(Shr),
            legacy("shl", Primary, $op, &[RW($dst), R($count)]).digit(6).flags($shift).does(Shl),
            legacy("sar", Primary, $op, &[RW($dst), R($count)]).digit(7).flags($shift).does(Sar),
        ]
    };
}

const GROUP2_C0: [Row; 8] = group2!(0xc0, Eb, Ib, ROTATE, ROTATE, SHIFT);
const GROUP2_C1: [Row; 8] = group2!(0xc1, Ev, Ib, ROTATE, ROTATE, SHIFT);
const GROUP2_D0: [Row; 8] = group2!(0xd0, Eb, ONE, ROTATE1, CARRY_ROTATE1, SHIFT1);
const GROUP2_D1: [Row; 8] = group2!(0xd1, Ev, ONE, ROTATE1, CARRY_ROTATE1, SHIFT1);
const GROUP2_D2: [Row; 8] = group2!(0xd2, Eb, CL, ROTATE, ROTATE, SHIFT);
const GROUP2_D3: [Row; 8] = group2!(0xd3, Ev, CL, ROTATE, ROTATE, SHIFT);

macro_rules! group3 {
    ($op:literal, $dst:ident, $imm:ident, $acc:expr, $high:expr) => {
        [
            legacy("test", Primary, $op, &[R($dst), R($imm)]).digit(0).flags(LOGIC).does(Test),
            legacy("test", Primary, $op, &[R($dst), R($imm)]).digit(1).flags(LOGIC).does(Test),
            legacy("not", Primary, $op, &[RW($dst)]).digit(2).lock().does(Not),
            legacy("neg", Primary, $op, &[RW($dst)]).digit(3).lock().flags(ADD).does(Neg),
            legacy("mul", Primary, $op, &[R($dst), $acc, $high]).digit(4).flags(MULTIPLY).does(Mul),
            legacy("imul", Primary, $op, &[R($dst), $acc, $high]).digit(5).flags(MULTIPLY).does(Imul1),
            legacy("div", Primary, $op, &[R($dst), $acc, RW($high)]).digit(6).flags(DIVIDE).does(Div),
            legacy("idiv", Primary, $op, &[R($dst), $acc, RW($high)]).digit(7).flags(DIVIDE).does(Idiv),
        ]
    };
}

const GROUP3_F6: [Row; 8] = group3!(0xf6, Eb, Ib, RW(AX.hidden()), Spec::NOTHING);
const GROUP3_F7: [Row; 8] = group3!(0xf7, Ev, Iz, RW(rAX.hidden()), W(rDX.hidden()));

macro_rules! strings {
    ($base:literal, $op:expr, $flags:expr, $cc:expr, [$b:literal, $w:literal, $d:literal, $q:literal],
     [$($byte:expr),*], [$($var:expr),*]) => {
        [
            legacy($b, Primary, $base, &[$($byte),*]).attr($cc).flags($flags).string($op),
            legacy($w, Primary, $base + 1, &[$($var),*]).osize(0).attr($cc).flags($flags).string($op),
            legacy($d, Primary, $base + 1, &[$($var),*]).osize(1).attr($cc).flags($flags).string($op),
            legacy($q, Primary, $base + 1, &[$($var),*]).osize(2).attr($cc).flags($flags).string($op),
        ]
    };
}

const MOVS: [Row; 4] = strings!(
    0xa4,
    StrOp::Movs,
    DIRECTION,
    0,
    ["movsb", "movsw", "movsd", "movsq"],
    [W(Yb.hidden()), R(Xb.hidden())],
    [W(Yv.hidden()), R(Xv.hidden())]
);
const CMPS: [Row; 4] = strings!(
    0xa6,
    StrOp::Cmps,
    COMPARE,
    attr::REPCC,
    ["cmpsb", "cmpsw", "cmpsd", "cmpsq"],
    [R(Xb.hidden()), R(Yb.hidden())],
    [R(Xv.hidden()), R(Yv.hidden())]
);
const STOS: [Row; 4] = strings!(
    0xaa,
    StrOp::Stos,
    DIRECTION,
    0,
    ["stosb", "stosw", "stosd", "stosq"],
    [W(Yb.hidden()), R(AL.hidden())],
    [W(Yv.hidden()), R(rAX.hidden())]
);
const LODS: [Row; 4] = strings!(
    0xac,
    StrOp::Lods,
    DIRECTION,
    0,
    ["lodsb", "lodsw", "lodsd", "lodsq"],
    [W(AL.hidden()), R(Xb.hidden())],
    [W(rAX.hidden()), R(Xv.hidden())]
);
const SCAS: [Row; 4] = strings!(
    0xae,
    StrOp::Scas,
    COMPARE,
    attr::REPCC,
    ["scasb", "scasw", "scasd", "scasq"],
    [R(AL.hidden()), R(Yb.hidden())],
    [R(rAX.hidden()), R(Yv.hidden())]
);

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static PRIMARY: &[Row] = rows![
    REX2,
    ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP,
    [
        legacy("inc", Primary, 0x40, &[RW(Zv)]).not64().flags(INCDEC).does(Inc),
        legacy("dec", Primary, 0x48, &[RW(Zv)]).not64().flags(INCDEC).does(Dec),
        legacy("push", Primary, 0x50, &[R(Zstack)]).d64().seq(SeqOp::Push).implies(Implied::Push),
        legacy("pop", Primary, 0x58, &[W(Zstack)]).d64().seq(SeqOp::Pop).implies(Implied::Pop),
        legacy("movsxd", Primary, 0x63, &[W(Gv), R(Ed)]).only64().amd().does(Movsx),
        legacy("movsxd", Primary, 0x63, &[W(Gv), R(Ez)]).only64().does(Movsx),
        legacy("push", Primary, 0x68, &[R(Iz)]).d64().seq(SeqOp::Push).implies(Implied::Push),
        legacy("imul", Primary, 0x69, &[W(Gv), R(Ev), R(Iz)]).flags(MULTIPLY).does(Imul),
        legacy("push", Primary, 0x6a, &[R(Ibs)]).d64().seq(SeqOp::Push).implies(Implied::Push),
        legacy("imul", Primary, 0x6b, &[W(Gv), R(Ev), R(Ibs)]).flags(MULTIPLY).does(Imul),
        legacy("insb", Primary, 0x6c, &[W(Yb.hidden()), R(DX.hidden())]).gate(Gate::Port).flags(DIRECTION).string(StrOp::Ins),
        legacy("insw", Primary, 0x6d, &[W(Yz.hidden()), R(DX.hidden())]).osize(0).gate(Gate::Port).flags(DIRECTION).string(StrOp::Ins),
        legacy("insd", Primary, 0x6d, &[W(Yz.hidden()), R(DX.hidden())]).gate(Gate::Port).flags(DIRECTION).string(StrOp::Ins),
        legacy("outsb", Primary, 0x6e, &[R(DX.hidden()), R(Xb.hidden())]).gate(Gate::Port).flags(DIRECTION).string(StrOp::Outs),
        legacy("outsw", Primary, 0x6f, &[R(DX.hidden()), R(Xz.hidden())]).osize(0).gate(Gate::Port).flags(DIRECTION).string(StrOp::Outs),
        legacy("outsd", Primary, 0x6f, &[R(DX.hidden()), R(Xz.hidden())]).gate(Gate::Port).flags(DIRECTION).string(StrOp::Outs),
        legacy("j", Primary, 0x70, &[R(Jb)]).attr(attr::CONDITION | attr::BRANCH).f64().flags(READS).does(Jcc),
    ],
    GROUP1_80, GROUP1_81, GROUP1_82, GROUP1_83,
    [
        legacy("test", Primary, 0x84, &[R(Eb), R(Gb)]).flags(LOGIC).does(Test),
        legacy("test", Primary, 0x85, &[R(Ev), R(Gv)]).flags(LOGIC).does(Test),
        legacy("xchg", Primary, 0x86, &[RW(Eb), RW(Gb)]).lock().attr(attr::LOCKED).does(Xchg),
        legacy("xchg", Primary, 0x87, &[RW(Ev), RW(Gv)]).lock().attr(attr::LOCKED).does(Xchg),
        legacy("mov", Primary, 0x88, &[W(Eb), R(Gb)]).does(Mov),
        legacy("mov", Primary, 0x89, &[W(Ev), R(Gv)]).does(Mov),
        legacy("mov", Primary, 0x8a, &[W(Gb), R(Eb)]).does(Mov),
        legacy("mov", Primary, 0x8b, &[W(Gv), R(Ev)]).does(Mov),
        legacy("lea", Primary, 0x8d, &[W(Gv), N(M)]).does(Lea),
        legacy("pop", Primary, 0x8f, &[W(Estack)]).digit(0).d64().seq(SeqOp::Pop).implies(Implied::Pop),
        legacy("pause", Primary, 0x90, &[]).sel(sel::REP | sel::OPREG_NONZERO, 1 << sel::REP_SHIFT).does(Nop),
        legacy("nop", Primary, 0x90, &[]).sel(sel::OPREG_NONZERO, 0).does(Nop),
        legacy("xchg", Primary, 0x90, &[RW(Zv), RW(rAX)]).does(Xchg),
        legacy("cbw", Primary, 0x98, &[W(AX.hidden()), R(AL.hidden())]).osize(0).does(Cbw),
        legacy("cwde", Primary, 0x98, &[W(EAX.hidden()), R(AX.hidden())]).osize(1).does(Cbw),
        legacy("cdqe", Primary, 0x98, &[W(rAX.hidden()), R(EAX.hidden())]).osize(2).does(Cbw),
        legacy("cwd", Primary, 0x99, &[W(rDX.hidden()), R(rAX.hidden())]).osize(0).does(Cwd),
        legacy("cdq", Primary, 0x99, &[W(rDX.hidden()), R(rAX.hidden())]).osize(1).does(Cwd),
        legacy("cqo", Primary, 0x99, &[W(rDX.hidden()), R(rAX.hidden())]).osize(2).does(Cwd),
        legacy("wait", Primary, 0x9b, &[]).gate(Gate::Wait).cpuid(Fpu).attr(attr::WAITING).exec(Exec::X87(X87Op::Wait)),
        legacy("pushf", Primary, 0x9c, &[]).osize(0).d64().flags(PUSHED).seq(SeqOp::Pushf).implies(Implied::PushFlags),
        legacy("pushfq", Primary, 0x9c, &[]).only64().d64().flags(PUSHED).seq(SeqOp::Pushf).implies(Implied::PushFlags),
        legacy("pushfd", Primary, 0x9c, &[]).flags(PUSHED).seq(SeqOp::Pushf).implies(Implied::PushFlags),
        legacy("popf", Primary, 0x9d, &[]).osize(0).d64().flags(STACKED).seq(SeqOp::Popf).implies(Implied::PopFlags),
        legacy("popfq", Primary, 0x9d, &[]).only64().d64().flags(STACKED).seq(SeqOp::Popf).implies(Implied::PopFlags),
        legacy("popfd", Primary, 0x9d, &[]).flags(STACKED).seq(SeqOp::Popf).implies(Implied::PopFlags),
        legacy("sahf", Primary, 0x9e, &[R(AH.hidden())]).not64().flags(SAHF).does(Sahf),
        legacy("sahf", Primary, 0x9e, &[R(AH.hidden())]).cpuid(LahfLm).flags(SAHF).does(Sahf),
        legacy("lahf", Primary, 0x9f, &[W(AH.hidden())]).not64().flags(LAHF).does(Lahf),
        legacy("lahf", Primary, 0x9f, &[W(AH.hidden())]).cpuid(LahfLm).flags(LAHF).does(Lahf),
        legacy("mov", Primary, 0xa0, &[W(AL), R(Ob)]).does(Mov),
        legacy("mov", Primary, 0xa1, &[W(rAX), R(Ov)]).does(Mov),
        legacy("mov", Primary, 0xa2, &[W(Ob), R(AL)]).does(Mov),
        legacy("mov", Primary, 0xa3, &[W(Ov), R(rAX)]).does(Mov),
    ],
    MOVS, CMPS,
    [
        legacy("test", Primary, 0xa8, &[R(AL), R(Ib)]).flags(LOGIC).does(Test),
        legacy("test", Primary, 0xa9, &[R(rAX), R(Iz)]).flags(LOGIC).does(Test),
    ],
    STOS, LODS, SCAS,
    [
        legacy("mov", Primary, 0xb0, &[W(Zb), R(Ib)]).does(Mov),
        legacy("mov", Primary, 0xb8, &[W(Zv), R(Iv)]).does(Mov),
    ],
    GROUP2_C0, GROUP2_C1,
    [
        legacy("ret", Primary, 0xc2, &[R(Iw)]).attr(attr::BRANCH).f64().seq(SeqOp::Ret).implies(Implied::Return),
        legacy("ret", Primary, 0xc3, &[]).attr(attr::BRANCH).f64().seq(SeqOp::Ret).implies(Implied::Return),
        legacy("mov", Primary, 0xc6, &[W(Eb), R(Ib)]).digit(0).does(Mov),
        legacy("mov", Primary, 0xc7, &[W(Ev), R(Iz)]).digit(0).does(Mov),
        legacy("enter", Primary, 0xc8, &[R(Iw), R(Ib), RW(rBPs.hidden())]).d64().seq(SeqOp::Enter).implies(Implied::Enter),
        legacy("leave", Primary, 0xc9, &[]).d64().seq(SeqOp::Leave).implies(Implied::Leave),
        legacy("int3", Primary, 0xcc, &[]).attr(attr::BRANCH).system(SysOp::Int).implies(Implied::Interrupt),
        legacy("int", Primary, 0xcd, &[R(Ib)]).attr(attr::BRANCH).system(SysOp::Int).implies(Implied::Interrupt),
        legacy("into", Primary, 0xce, &[]).not64().attr(attr::BRANCH).flags(reads(OF)).system(SysOp::Int).implies(Implied::Interrupt),
    ],
    GROUP2_D0, GROUP2_D1, GROUP2_D2, GROUP2_D3,
    [
        legacy("salc", Primary, 0xd6, &[W(AL.hidden())]).not64().flags(FlagEffect::of(CF, 0, 0)).does(Salc),
        legacy("xlatb", Primary, 0xd7, &[]).seq(SeqOp::Xlat).implies(Implied::Translate),
        legacy("loopne", Primary, 0xe0, &[R(Jb)]).attr(attr::BRANCH).f64().flags(reads(ZF)).does(Loop),
        legacy("loope", Primary, 0xe1, &[R(Jb)]).attr(attr::BRANCH).f64().flags(reads(ZF)).does(Loop),
        legacy("loop", Primary, 0xe2, &[R(Jb)]).attr(attr::BRANCH).f64().does(Loop),
        legacy("jcxz", Primary, 0xe3, &[R(Jb)]).asize(0).attr(attr::BRANCH).f64().does(Jcxz),
        legacy("jecxz", Primary, 0xe3, &[R(Jb)]).asize(1).attr(attr::BRANCH).f64().does(Jcxz),
        legacy("jrcxz", Primary, 0xe3, &[R(Jb)]).asize(2).attr(attr::BRANCH).f64().does(Jcxz),
        legacy("in", Primary, 0xe4, &[W(AL), R(Ib)]).gate(Gate::Port).system(SysOp::In).implies(Implied::In),
        legacy("in", Primary, 0xe5, &[W(eAXz), R(Ib)]).gate(Gate::Port).system(SysOp::In).implies(Implied::In),
        legacy("out", Primary, 0xe6, &[R(Ib), R(AL)]).gate(Gate::Port).system(SysOp::Out).implies(Implied::Out),
        legacy("out", Primary, 0xe7, &[R(Ib), R(eAXz)]).gate(Gate::Port).system(SysOp::Out).implies(Implied::Out),
        legacy("call", Primary, 0xe8, &[R(Jz)]).attr(attr::BRANCH).f64().seq(SeqOp::Call).implies(Implied::Call),
        legacy("jmp", Primary, 0xe9, &[R(Jz)]).attr(attr::BRANCH).f64().does(Jmp).implies(Implied::Jump),
        legacy("jmp", Primary, 0xeb, &[R(Jb)]).attr(attr::BRANCH).f64().does(Jmp).implies(Implied::Jump),
        legacy("in", Primary, 0xec, &[W(AL), R(DX)]).gate(Gate::Port).system(SysOp::In).implies(Implied::In),
        legacy("in", Primary, 0xed, &[W(eAXz), R(DX)]).gate(Gate::Port).system(SysOp::In).implies(Implied::In),
        legacy("out", Primary, 0xee, &[R(DX), R(AL)]).gate(Gate::Port).system(SysOp::Out).implies(Implied::Out),
        legacy("out", Primary, 0xef, &[R(DX), R(eAXz)]).gate(Gate::Port).system(SysOp::Out).implies(Implied::Out),
        legacy("hlt", Primary, 0xf4, &[]).gate(Gate::Cpl0).attr(attr::BRANCH).system(SysOp::Hlt),
        legacy("cmc", Primary, 0xf5, &[]).flags(FlagEffect::of(CF, CF, 0)).does(FlagOp),
    ],
    GROUP3_F6, GROUP3_F7,
    [
        legacy("clc", Primary, 0xf8, &[]).flags(FlagEffect::NONE.clears(CF)).does(FlagOp),
        legacy("stc", Primary, 0xf9, &[]).flags(FlagEffect::NONE.sets(CF)).does(FlagOp),
        legacy("cli", Primary, 0xfa, &[]).gate(Gate::Iopl).flags(FlagEffect::NONE.clears(IF)).system(SysOp::Cli),
        legacy("sti", Primary, 0xfb, &[]).gate(Gate::Iopl).flags(FlagEffect::NONE.sets(IF)).system(SysOp::Sti),
        legacy("cld", Primary, 0xfc, &[]).flags(FlagEffect::NONE.clears(DF)).does(FlagOp),
        legacy("std", Primary, 0xfd, &[]).flags(FlagEffect::NONE.sets(DF)).does(FlagOp),
        legacy("inc", Primary, 0xfe, &[RW(Eb)]).digit(0).lock().flags(INCDEC).does(Inc),
        legacy("dec", Primary, 0xfe, &[RW(Eb)]).digit(1).lock().flags(INCDEC).does(Dec),
        legacy("inc", Primary, 0xff, &[RW(Ev)]).digit(0).lock().flags(INCDEC).does(Inc),
        legacy("dec", Primary, 0xff, &[RW(Ev)]).digit(1).lock().flags(INCDEC).does(Dec),
        legacy("call", Primary, 0xff, &[R(Estack)]).digit(2).attr(attr::BRANCH).f64().seq(SeqOp::Call).implies(Implied::Call),
        legacy("jmp", Primary, 0xff, &[R(Estack)]).digit(4).attr(attr::BRANCH).f64().does(Jmp).implies(Implied::Jump),
        legacy("push", Primary, 0xff, &[R(Estack)]).digit(6).d64().seq(SeqOp::Push).implies(Implied::Push),
    ],
    super::segments::PRIMARY, super::old::PRIMARY, super::system::PRIMARY, super::memory::PRIMARY,
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F_INTEGER: &[Row] = rows![
    [
        legacy("xgetbv", M0f, 0x01, &[R(ECX.hidden()), W(EAX.hidden()), W(EDX.hidden())]).digit(2).rm(0).pp(NP).gate(Gate::Xgetbv).cpuid(Xsave).system(SysOp::Xgetbv),
        legacy("syscall", M0f, 0x05, &[W(RCX.hidden()), W(R11.hidden())]).only64().cpuid(Syscall).attr(attr::BRANCH).flags(FlagEffect { read: ARITH | DF | IF | NT | AC, ..super::segments::LOADED }).implies(Implied::SystemCall).far(FarOp::Syscall),
        legacy("ud2", M0f, 0x0b, &[]).system(SysOp::Ud),
        legacy("prefetch", M0f, 0x0d, &[N(Mb)]).digit(0).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("prefetchw", M0f, 0x0d, &[N(Mb)]).digit(1).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("prefetchwt1", M0f, 0x0d, &[N(Mb)]).digit(2).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("prefetchw", M0f, 0x0d, &[N(Mb)]).digit(3).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("prefetch", M0f, 0x0d, &[N(Mb)]).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("nop", M0f, 0x0d, &[N(Ev)]).reg().amd().system(SysOp::Ud),
        legacy("nop", M0f, 0x0d, &[N(Ev)]).reg().does(Nop),
        legacy("prefetchnta", M0f, 0x18, &[N(Mb)]).digit(0).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("prefetcht0", M0f, 0x18, &[N(Mb)]).digit(1).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("prefetcht1", M0f, 0x18, &[N(Mb)]).digit(2).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("prefetcht2", M0f, 0x18, &[N(Mb)]).digit(3).system(SysOp::Prefetch).implies(Implied::Hint),
        legacy("nop", M0f, 0x18, &[N(Ev)]).does(Nop),
        legacy("nop", M0f, 0x19, &[N(Ev)]).does(Nop),
        legacy("nop", M0f, 0x1c, &[N(Ev)]).does(Nop),
        legacy("nop", M0f, 0x1d, &[N(Ev)]).does(Nop),
        legacy("rdsspq", M0f, 0x1e, &[CW(Rq)]).digit(1).f3().only64().w1().cpuid(Shstk).gate(Gate::Cet).system(SysOp::ReadShadowStack).implies(Implied::ReadShadow),
        legacy("rdsspd", M0f, 0x1e, &[CW(Rd)]).digit(1).f3().cpuid(Shstk).gate(Gate::Cet).system(SysOp::ReadShadowStack).implies(Implied::ReadShadow),
        legacy("ibhf", M0f, 0x1e, &[]).digit(7).rm(0).f3().w1().cpuid(BhiCtrl).does(Nop),
        legacy("endbr64", M0f, 0x1e, &[]).digit(7).rm(2).f3().cpuid(Ibt).does(Nop).implies(Implied::BranchTarget),
        legacy("endbr32", M0f, 0x1e, &[]).digit(7).rm(3).f3().cpuid(Ibt).does(Nop).implies(Implied::BranchTarget),
        legacy("nop", M0f, 0x1e, &[N(Ev)]).does(Nop),
        legacy("nop", M0f, 0x1f, &[N(Ev)]).does(Nop),
        legacy("rdtsc", M0f, 0x31, &[W(EAX.hidden()), W(EDX.hidden())]).gate(Gate::Tsd).cpuid(Tsc).system(SysOp::Rdtsc),
        legacy("cmov", M0f, 0x40, &[RCW(Gv), R(Ev)]).attr(attr::CONDITION).cpuid(Cmov).flags(READS).does(Cmovcc),
        legacy("j", M0f, 0x80, &[R(Jz)]).attr(attr::CONDITION | attr::BRANCH).f64().flags(READS).does(Jcc),
        legacy("set", M0f, 0x90, &[W(Eb)]).attr(attr::CONDITION).flags(READS).does(Setcc),
        legacy("cpuid", M0f, 0xa2, &[RW(EAX.hidden()), RW(ECX.hidden()), W(EDX.hidden()), W(EBX.hidden())]).system(SysOp::Cpuid),
        legacy("bt", M0f, 0xa3, &[R(Ev), R(Gv)]).flags(BITTEST).does(Bt),
        legacy("shld", M0f, 0xa4, &[RW(Ev), R(Gv), R(Ib)]).flags(SHIFT).does(Shld),
        legacy("shld", M0f, 0xa5, &[RW(Ev), R(Gv), R(CL)]).flags(SHIFT).does(Shld),
        legacy("bts", M0f, 0xab, &[RW(Ev), R(Gv)]).lock().flags(BITTEST).does(Bts),
        legacy("shrd", M0f, 0xac, &[RW(Ev), R(Gv), R(Ib)]).flags(SHIFT).does(Shrd),
        legacy("shrd", M0f, 0xad, &[RW(Ev), R(Gv), R(CL)]).flags(SHIFT).does(Shrd),
        legacy("fxsave", M0f, 0xae, &[W(Mfx)]).digit(0).pp(NP).w0().gate(Gate::Fx).cpuid(Fxsr).system(SysOp::Fxsave).implies(Implied::FxSave),
        legacy("fxsave64", M0f, 0xae, &[W(Mfx)]).digit(0).pp(NP).w1().gate(Gate::Fx).cpuid(Fxsr).system(SysOp::Fxsave).implies(Implied::FxSave),
        legacy("fxrstor", M0f, 0xae, &[R(Mfx)]).digit(1).pp(NP).w0().gate(Gate::Fx).cpuid(Fxsr).system(SysOp::Fxrstor).implies(Implied::FxRestore),
        legacy("fxrstor64", M0f, 0xae, &[R(Mfx)]).digit(1).pp(NP).w1().gate(Gate::Fx).cpuid(Fxsr).system(SysOp::Fxrstor).implies(Implied::FxRestore),
        legacy("ldmxcsr", M0f, 0xae, &[R(Md)]).digit(2).pp(NP).gate(Gate::Sse).cpuid(Sse).system(SysOp::Ldmxcsr),
        legacy("stmxcsr", M0f, 0xae, &[W(Md)]).digit(3).pp(NP).gate(Gate::Sse).cpuid(Sse).system(SysOp::Stmxcsr),
        legacy("lfence", M0f, 0xae, &[]).digit(5).pp(NP).reg().cpuid(Sse2).system(SysOp::Fence),
        legacy("mfence", M0f, 0xae, &[]).digit(6).pp(NP).reg().cpuid(Sse2).system(SysOp::Fence),
        legacy("sfence", M0f, 0xae, &[]).digit(7).pp(NP).reg().cpuid(Sse).system(SysOp::Fence),
        legacy("imul", M0f, 0xaf, &[RW(Gv), R(Ev)]).flags(MULTIPLY).does(Imul),
        legacy("cmpxchg", M0f, 0xb0, &[RCW(Eb), R(Gb), RCW(AL.hidden())]).lock().flags(ADD).does(Cmpxchg),
        legacy("cmpxchg", M0f, 0xb1, &[RCW(Ev), R(Gv), RCW(rAX.hidden())]).lock().flags(ADD).does(Cmpxchg),
        legacy("btr", M0f, 0xb3, &[RW(Ev), R(Gv)]).lock().flags(BITTEST).does(Btr),
        legacy("movzx", M0f, 0xb6, &[W(Gv), R(Eb)]).does(Movzx),
        legacy("movzx", M0f, 0xb7, &[W(Gv), R(Ew)]).does(Movzx),
        legacy("popcnt", M0f, 0xb8, &[W(Gv), R(Ev)]).sel(sel::REP, 1 << sel::REP_SHIFT).attr(attr::MANDATORY).cpuid(Feature::Popcnt).flags(FlagEffect::of(0, ZF, 0).clears(ARITH & !ZF)).does(IntOp::Popcnt),
        legacy("bt", M0f, 0xba, &[R(Ev), R(Ib)]).digit(4).flags(BITTEST).does(Bt),
        legacy("bts", M0f, 0xba, &[RW(Ev), R(Ib)]).digit(5).lock().flags(BITTEST).does(Bts),
        legacy("btr", M0f, 0xba, &[RW(Ev), R(Ib)]).digit(6).lock().flags(BITTEST).does(Btr),
        legacy("btc", M0f, 0xba, &[RW(Ev), R(Ib)]).digit(7).lock().flags(BITTEST).does(Btc),
        legacy("btc", M0f, 0xbb, &[RW(Ev), R(Gv)]).lock().flags(BITTEST).does(Btc),
        legacy("tzcnt", M0f, 0xbc, &[W(Gv), R(Ev)]).sel(sel::REP, 1 << sel::REP_SHIFT).cpuid(Bmi1).attr(attr::MANDATORY).flags(COUNTED).does(Tzcnt),
        legacy("bsf", M0f, 0xbc, &[RCW(Gv), R(Ev)]).flags(BITSCAN).does(Bsf),
        legacy("lzcnt", M0f, 0xbd, &[W(Gv), R(Ev)]).sel(sel::REP, 1 << sel::REP_SHIFT).cpuid(Feature::Lzcnt).attr(attr::MANDATORY).flags(COUNTED).does(IntOp::Lzcnt),
        legacy("bsr", M0f, 0xbd, &[RCW(Gv), R(Ev)]).flags(BITSCAN).does(Bsr),
        legacy("movsx", M0f, 0xbe, &[W(Gv), R(Eb)]).does(Movsx),
        legacy("movsx", M0f, 0xbf, &[W(Gv), R(Ew)]).does(Movsx),
        legacy("xadd", M0f, 0xc0, &[RW(Eb), RW(Gb)]).lock().flags(ADD).does(Xadd),
        legacy("xadd", M0f, 0xc1, &[RW(Ev), RW(Gv)]).lock().flags(ADD).does(Xadd),
        legacy("movnti", M0f, 0xc3, &[W(My), R(Gy)]).pp(NP).cpuid(Sse2).does(Mov),
        legacy("cmpxchg16b", M0f, 0xc7, &[RCW(Mdq)]).digit(1).only64().w1().lock().cpuid(Cx16).flags(ZFONLY).does(CmpxchgPair),
        legacy("cmpxchg8b", M0f, 0xc7, &[RCW(Mq)]).digit(1).w0().lock().cpuid(Cx8).flags(ZFONLY).does(CmpxchgPair),
        legacy("bswap", M0f, 0xc8, &[RW(Zv)]).does(Bswap),
    ],
];

#[rustfmt::skip]
pub(super) static M0F38: &[Row] = rows![
    super::sse::M0F38, super::crypto::M0F38,
    super::mmx::M0F38,
    super::bits::M0F38,
    super::system::M0F38, super::virtualization::M0F38, super::security::M0F38, super::memory::M0F38,
    [
        legacy("movbe", M0f38, 0xf0, &[W(Gv), R(Mv)]).sel(sel::REP, 0).cpuid(Feature::Movbe).does(IntOp::Movbe),
        legacy("movbe", M0f38, 0xf1, &[W(Mv), R(Gv)]).sel(sel::REP, 0).cpuid(Feature::Movbe).does(IntOp::Movbe),
    ],
];

/// Map 0F: integer lines, SSE and the system.
pub(super) static M0F: &[Row] = rows![
    super::memory::HINTS,
    M0F_INTEGER,
    super::platform::M0F,
    super::mmx::M0F,
    super::sse::M0F,
    super::sse4a::M0F,
    super::now3d::M0F,
    super::segments::M0F,
    super::system::M0F,
    super::virtualization::M0F,
    super::security::M0F,
    super::memory::M0F,
    super::mpx::M0F,
    super::padlock::M0F,
];
