//! x87: the escapes D8 to DF.

use super::feature::Feature;
use super::notation::*;
use super::row::{flag::*, *};
use Map::Primary;

/// What FCOMI and its kin say in the flags.
const COMPARED: FlagEffect = FlagEffect::of(0, ZF | PF | CF, 0).clears(OF | SF | AF);

/// A row that waits for pending exceptions.
const fn x87(name: &'static str, opcode: u8, digit: u32, operands: &[Spec]) -> Row {
    control(name, opcode, digit, operands).attr(attr::WAITING)
}

/// A row that does not.
const fn control(name: &'static str, opcode: u8, digit: u32, operands: &[Spec]) -> Row {
    legacy(name, Primary, opcode, operands).digit(digit).gate(Gate::X87).cpuid(Feature::Fpu)
}

/// ST(0) to ST(0).
const fn unary(name: &'static str, opcode: u8, digit: u32, rm: u32) -> Row {
    x87(name, opcode, digit, &[RW(ST0.hidden())]).rm(rm)
}

/// ST(0) and ST(1) to ST(1), then a pop.
const fn binary(name: &'static str, digit: u32, rm: u32) -> Row {
    x87(name, 0xd9, digit, &[RW(ST1.hidden()), R(ST0.hidden())]).rm(rm)
}

/// A comparison of ST(0) with ST(i).
const fn compare(name: &'static str, opcode: u8, digit: u32) -> Row {
    x87(name, opcode, digit, &[R(ST0), R(STi)])
}

/// FCMOVcc.
const fn cmov(name: &'static str, opcode: u8, digit: u32, read: u16) -> Row {
    let r = x87(name, opcode, digit, &[CW(ST0), R(STi)]).and(Feature::Cmov);
    r.flags(FlagEffect::of(read, 0, 0))
}

/// FCOMI and its kin.
const fn comi(name: &'static str, opcode: u8, digit: u32) -> Row {
    compare(name, opcode, digit).and(Feature::Cmov).flags(COMPARED)
}

/// The eight lines of arithmetic between ST(0) and a number in memory.
macro_rules! arithmetic {
    ($op:literal, $from:ident,
     [$add:literal, $mul:literal, $com:literal, $comp:literal, $sub:literal, $subr:literal, $div:literal, $divr:literal]) => {
        [
            x87($add, $op, 0, &[R($from), RW(ST0.hidden())]),
            x87($mul, $op, 1, &[R($from), RW(ST0.hidden())]),
            x87($com, $op, 2, &[R($from), R(ST0.hidden())]),
            x87($comp, $op, 3, &[R($from), R(ST0.hidden())]),
            x87($sub, $op, 4, &[R($from), RW(ST0.hidden())]),
            x87($subr, $op, 5, &[R($from), RW(ST0.hidden())]),
            x87($div, $op, 6, &[R($from), RW(ST0.hidden())]),
            x87($divr, $op, 7, &[R($from), RW(ST0.hidden())]),
        ]
    };
}

const REAL32: [Row; 8] = arithmetic!(0xd8, Md, ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"]);
const REAL64: [Row; 8] = arithmetic!(0xdc, Mq, ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"]);
const INT32: [Row; 8] =
    arithmetic!(0xda, Md, ["fiadd", "fimul", "ficom", "ficomp", "fisub", "fisubr", "fidiv", "fidivr"]);
const INT16: [Row; 8] =
    arithmetic!(0xde, Mw, ["fiadd", "fimul", "ficom", "ficomp", "fisub", "fisubr", "fidiv", "fidivr"]);

/// Loads and stores.
#[rustfmt::skip] // one form a line: the columns are the point
const MOVES: &[Row] = &[
    legacy("fld", Primary, 0xd9, &[R(Md)]).digit(0).attr(attr::WAITING).x87(X87Op::LoadReal),
    legacy("fst", Primary, 0xd9, &[W(Md)]).digit(2).attr(attr::WAITING).x87(X87Op::StoreReal),
    legacy("fstp", Primary, 0xd9, &[W(Md)]).digit(3).attr(attr::WAITING).x87(X87Op::StoreRealPop),
    legacy("fldcw", Primary, 0xd9, &[R(Mw)]).digit(5).attr(attr::WAITING).x87(X87Op::LoadControl),
    legacy("fnstcw", Primary, 0xd9, &[W(Mw)]).digit(7).x87(X87Op::StoreControl),
    legacy("fld", Primary, 0xd9, &[R(STi)]).digit(0).attr(attr::WAITING).x87(X87Op::LoadSt),
    legacy("fld1", Primary, 0xd9, &[]).digit(5).rm(0).attr(attr::WAITING).x87(X87Op::Const),
    legacy("fldl2t", Primary, 0xd9, &[]).digit(5).rm(1).attr(attr::WAITING).x87(X87Op::Const),
    legacy("fldl2e", Primary, 0xd9, &[]).digit(5).rm(2).attr(attr::WAITING).x87(X87Op::Const),
    legacy("fldpi", Primary, 0xd9, &[]).digit(5).rm(3).attr(attr::WAITING).x87(X87Op::Const),
    legacy("fldlg2", Primary, 0xd9, &[]).digit(5).rm(4).attr(attr::WAITING).x87(X87Op::Const),
    legacy("fldln2", Primary, 0xd9, &[]).digit(5).rm(5).attr(attr::WAITING).x87(X87Op::Const),
    legacy("fldz", Primary, 0xd9, &[]).digit(5).rm(6).attr(attr::WAITING).x87(X87Op::Const),
    legacy("fild", Primary, 0xdb, &[R(Md)]).digit(0).attr(attr::WAITING).x87(X87Op::Load),
    legacy("fisttp", Primary, 0xdb, &[W(Md)]).digit(1).attr(attr::WAITING).x87(X87Op::StorePop).and(Feature::Sse3),
    legacy("fist", Primary, 0xdb, &[W(Md)]).digit(2).attr(attr::WAITING).x87(X87Op::Store),
    legacy("fistp", Primary, 0xdb, &[W(Md)]).digit(3).attr(attr::WAITING).x87(X87Op::StorePop),
    legacy("fld", Primary, 0xdb, &[R(Mt)]).digit(5).attr(attr::WAITING).x87(X87Op::Load),
    legacy("fstp", Primary, 0xdb, &[W(Mt)]).digit(7).attr(attr::WAITING).x87(X87Op::StorePop),
    legacy("fnclex", Primary, 0xdb, &[]).digit(4).rm(2).x87(X87Op::Clear),
    legacy("fninit", Primary, 0xdb, &[]).digit(4).rm(3).x87(X87Op::Init),
    legacy("fld", Primary, 0xdd, &[R(Mq)]).digit(0).attr(attr::WAITING).x87(X87Op::LoadReal),
    legacy("fisttp", Primary, 0xdd, &[W(Mq)]).digit(1).attr(attr::WAITING).x87(X87Op::StorePop).and(Feature::Sse3),
    legacy("fst", Primary, 0xdd, &[W(Mq)]).digit(2).attr(attr::WAITING).x87(X87Op::StoreReal),
    legacy("fstp", Primary, 0xdd, &[W(Mq)]).digit(3).attr(attr::WAITING).x87(X87Op::StoreRealPop),
    legacy("fnstsw", Primary, 0xdd, &[W(Mw)]).digit(7).x87(X87Op::StoreStatus),
    legacy("fst", Primary, 0xdd, &[W(STi)]).digit(2).attr(attr::WAITING).x87(X87Op::StoreSt),
    legacy("fstp", Primary, 0xdd, &[W(STi)]).digit(3).attr(attr::WAITING).x87(X87Op::StoreSt),
    legacy("fild", Primary, 0xdf, &[R(Mw)]).digit(0).attr(attr::WAITING).x87(X87Op::Load),
    legacy("fisttp", Primary, 0xdf, &[W(Mw)]).digit(1).attr(attr::WAITING).x87(X87Op::StorePop).and(Feature::Sse3),
    legacy("fist", Primary, 0xdf, &[W(Mw)]).digit(2).attr(attr::WAITING).x87(X87Op::Store),
    legacy("fistp", Primary, 0xdf, &[W(Mw)]).digit(3).attr(attr::WAITING).x87(X87Op::StorePop),
    legacy("fild", Primary, 0xdf, &[R(Mq)]).digit(5).attr(attr::WAITING).x87(X87Op::Load),
    legacy("fistp", Primary, 0xdf, &[W(Mq)]).digit(7).attr(attr::WAITING).x87(X87Op::StorePop),
    legacy("fnstsw", Primary, 0xdf, &[W(AX)]).digit(4).rm(0).x87(X87Op::StoreStatus),
];

/// Arithmetic, comparisons, transcendental functions, and the stack, in register form.
#[rustfmt::skip] // one form a line: the columns are the point
const STACK: &[Row] = &[
    x87("fadd", 0xd8, 0, &[RW(ST0), R(STi)]),
    x87("fmul", 0xd8, 1, &[RW(ST0), R(STi)]),
    compare("fcom", 0xd8, 2),
    compare("fcomp", 0xd8, 3),
    x87("fsub", 0xd8, 4, &[RW(ST0), R(STi)]),
    x87("fsubr", 0xd8, 5, &[RW(ST0), R(STi)]),
    x87("fdiv", 0xd8, 6, &[RW(ST0), R(STi)]),
    x87("fdivr", 0xd8, 7, &[RW(ST0), R(STi)]),
    x87("fxch", 0xd9, 1, &[RW(ST0), RW(STi)]),
    x87("fnop", 0xd9, 2, &[]).rm(0),
    // FSTP that does not look whether ST(0) is empty.
    x87("fstpnce", 0xd9, 3, &[W(STi), R(ST0.hidden())]),
    unary("fchs", 0xd9, 4, 0),
    unary("fabs", 0xd9, 4, 1),
    x87("ftst", 0xd9, 4, &[R(ST0.hidden())]).rm(4),
    x87("fxam", 0xd9, 4, &[R(ST0.hidden())]).rm(5),
    unary("f2xm1", 0xd9, 6, 0),
    binary("fyl2x", 6, 1),
    x87("fptan", 0xd9, 6, &[RW(ST0.hidden()), W(ST1.hidden())]).rm(2),
    binary("fpatan", 6, 3),
    x87("fxtract", 0xd9, 6, &[RW(ST0.hidden()), W(ST1.hidden())]).rm(4),
    x87("fprem1", 0xd9, 6, &[RW(ST0.hidden()), R(ST1.hidden())]).rm(5),
    x87("fdecstp", 0xd9, 6, &[]).rm(6),
    x87("fincstp", 0xd9, 6, &[]).rm(7),
    x87("fprem", 0xd9, 7, &[RW(ST0.hidden()), R(ST1.hidden())]).rm(0),
    binary("fyl2xp1", 7, 1),
    unary("fsqrt", 0xd9, 7, 2),
    x87("fsincos", 0xd9, 7, &[RW(ST0.hidden()), W(ST1.hidden())]).rm(3),
    unary("frndint", 0xd9, 7, 4),
    x87("fscale", 0xd9, 7, &[RW(ST0.hidden()), R(ST1.hidden())]).rm(5),
    unary("fsin", 0xd9, 7, 6),
    unary("fcos", 0xd9, 7, 7),
    cmov("fcmovb", 0xda, 0, CF),
    cmov("fcmove", 0xda, 1, ZF),
    cmov("fcmovbe", 0xda, 2, CF | ZF),
    cmov("fcmovu", 0xda, 3, PF),
    x87("fucompp", 0xda, 5, &[R(ST0.hidden()), R(ST1.hidden())]).rm(1),
    cmov("fcmovnb", 0xdb, 0, CF),
    cmov("fcmovne", 0xdb, 1, ZF),
    cmov("fcmovnbe", 0xdb, 2, CF | ZF),
    cmov("fcmovnu", 0xdb, 3, PF),
    // These three were the 8087's and the 80287's; later processors do nothing.
    control("fneni", 0xdb, 4, &[]).rm(0),
    control("fndisi", 0xdb, 4, &[]).rm(1),
    control("fnsetpm", 0xdb, 4, &[]).rm(4),
    comi("fucomi", 0xdb, 5),
    comi("fcomi", 0xdb, 6),
    x87("fadd", 0xdc, 0, &[RW(STi), R(ST0)]),
    x87("fmul", 0xdc, 1, &[RW(STi), R(ST0)]),
    compare("fcom", 0xdc, 2),
    compare("fcomp", 0xdc, 3),
    x87("fsubr", 0xdc, 4, &[RW(STi), R(ST0)]),
    x87("fsub", 0xdc, 5, &[RW(STi), R(ST0)]),
    x87("fdivr", 0xdc, 6, &[RW(STi), R(ST0)]),
    x87("fdiv", 0xdc, 7, &[RW(STi), R(ST0)]),
    x87("ffree", 0xdd, 0, &[N(STi)]),
    x87("fxch", 0xdd, 1, &[RW(ST0), RW(STi)]),
    compare("fucom", 0xdd, 4),
    compare("fucomp", 0xdd, 5),
    x87("faddp", 0xde, 0, &[RW(STi), R(ST0)]),
    x87("fmulp", 0xde, 1, &[RW(STi), R(ST0)]),
    compare("fcomp", 0xde, 2),
    x87("fcompp", 0xde, 3, &[R(ST0.hidden()), R(ST1.hidden())]).rm(1),
    x87("fsubrp", 0xde, 4, &[RW(STi), R(ST0)]),
    x87("fsubp", 0xde, 5, &[RW(STi), R(ST0)]),
    x87("fdivrp", 0xde, 6, &[RW(STi), R(ST0)]),
    x87("fdivp", 0xde, 7, &[RW(STi), R(ST0)]),
    x87("ffreep", 0xdf, 0, &[N(STi)]),
    x87("fxch", 0xdf, 1, &[RW(ST0), RW(STi)]),
    x87("fstp", 0xdf, 2, &[W(STi), R(ST0.hidden())]),
    x87("fstp", 0xdf, 3, &[W(STi), R(ST0.hidden())]),
    comi("fucomip", 0xdf, 5),
    comi("fcomip", 0xdf, 6),
];

/// Environments, whole states and decimal numbers.
const IMAGES: &[Row] = &[
    x87("fldenv", 0xd9, 4, &[R(Menv)]),
    control("fnstenv", 0xd9, 6, &[W(Menv)]),
    x87("frstor", 0xdd, 4, &[R(Mstate)]),
    control("fnsave", 0xdd, 6, &[W(Mstate)]),
    x87("fbld", 0xdf, 4, &[R(Mt), W(ST0.hidden())]),
    x87("fbstp", 0xdf, 6, &[W(Mt), R(ST0.hidden())]).implies(Implied::Decimal),
];

pub(super) static ESCAPES: &[Row] = rows![MOVES, REAL32, REAL64, INT32, INT16, STACK, IMAGES];
