//! x87: the escapes D8 to DF.

use super::feature::Feature;
use super::notation::*;
use super::row::{flag::*, *};
use Map::Primary;
use X87Op::*;

/// What FCOMI and its kin say in the flags.
const COMPARED: FlagEffect = FlagEffect::of(0, ZF | PF | CF, 0).clears(OF | SF | AF);

/// A row that waits for pending exceptions.
const fn x87(name: &'static str, opcode: u8, digit: u32, operands: &[Spec], op: X87Op) -> Row {
    silent(name, opcode, digit, operands, op).attr(attr::WAITING)
}

/// A row that does not.
const fn silent(name: &'static str, opcode: u8, digit: u32, operands: &[Spec], op: X87Op) -> Row {
    legacy(name, Primary, opcode, operands).digit(digit).x87(op)
}

/// ST(0) to ST(0).
const fn unary(name: &'static str, digit: u32, rm: u32, op: X87Op) -> Row {
    x87(name, 0xd9, digit, &[RW(ST0.hidden())], op).rm(rm)
}

/// ST(0) and ST(1) to ST(1), then a pop.
const fn binary(name: &'static str, digit: u32, rm: u32) -> Row {
    x87(name, 0xd9, digit, &[RW(ST1.hidden()), R(ST0.hidden())], Whole).rm(rm)
}

/// A comparison of ST(0) with ST(i).
const fn compare(name: &'static str, opcode: u8, digit: u32, op: X87Op) -> Row {
    x87(name, opcode, digit, &[R(ST0), R(STi)], op)
}

/// FCMOVcc.
const fn cmov(name: &'static str, opcode: u8, digit: u32, read: u16) -> Row {
    let r = x87(name, opcode, digit, &[CW(ST0), R(STi)], Move).and(Feature::Cmov);
    r.flags(FlagEffect::of(read, 0, 0))
}

/// FCOMI and its kin.
const fn comi(name: &'static str, opcode: u8, digit: u32, op: X87Op) -> Row {
    compare(name, opcode, digit, op).and(Feature::Cmov).flags(COMPARED)
}

/// The eight lines of arithmetic between ST(0) and a number in memory.
macro_rules! arithmetic {
    ($op:literal, $from:ident,
     [$add:literal, $mul:literal, $com:literal, $comp:literal, $sub:literal, $subr:literal, $div:literal, $divr:literal]) => {
        [
            x87($add, $op, 0, &[R($from), RW(ST0.hidden())], Arithmetic),
            x87($mul, $op, 1, &[R($from), RW(ST0.hidden())], Arithmetic),
            x87($com, $op, 2, &[R($from), R(ST0.hidden())], Compare),
            x87($comp, $op, 3, &[R($from), R(ST0.hidden())], ComparePop),
            x87($sub, $op, 4, &[R($from), RW(ST0.hidden())], Arithmetic),
            x87($subr, $op, 5, &[R($from), RW(ST0.hidden())], Arithmetic),
            x87($div, $op, 6, &[R($from), RW(ST0.hidden())], Arithmetic),
            x87($divr, $op, 7, &[R($from), RW(ST0.hidden())], Arithmetic),
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
    x87("fld", 0xd9, 0, &[R(Md)], LoadReal),
    x87("fst", 0xd9, 2, &[W(Md)], StoreReal),
    x87("fstp", 0xd9, 3, &[W(Md)], StoreRealPop),
    x87("fldcw", 0xd9, 5, &[R(Mw)], LoadControl),
    silent("fnstcw", 0xd9, 7, &[W(Mw)], StoreControl),
    x87("fld", 0xd9, 0, &[R(STi)], LoadSt),
    x87("fld1", 0xd9, 5, &[], Const).rm(0),
    x87("fldl2t", 0xd9, 5, &[], Const).rm(1),
    x87("fldl2e", 0xd9, 5, &[], Const).rm(2),
    x87("fldpi", 0xd9, 5, &[], Const).rm(3),
    x87("fldlg2", 0xd9, 5, &[], Const).rm(4),
    x87("fldln2", 0xd9, 5, &[], Const).rm(5),
    x87("fldz", 0xd9, 5, &[], Const).rm(6),
    x87("fild", 0xdb, 0, &[R(Md)], Load),
    x87("fisttp", 0xdb, 1, &[W(Md)], StorePop).and(Feature::Sse3),
    x87("fist", 0xdb, 2, &[W(Md)], Store),
    x87("fistp", 0xdb, 3, &[W(Md)], StorePop),
    x87("fld", 0xdb, 5, &[R(Mt)], Load),
    x87("fstp", 0xdb, 7, &[W(Mt)], StorePop),
    silent("fnclex", 0xdb, 4, &[], Clear).rm(2),
    silent("fninit", 0xdb, 4, &[], Init).rm(3),
    x87("fld", 0xdd, 0, &[R(Mq)], LoadReal),
    x87("fisttp", 0xdd, 1, &[W(Mq)], StorePop).and(Feature::Sse3),
    x87("fst", 0xdd, 2, &[W(Mq)], StoreReal),
    x87("fstp", 0xdd, 3, &[W(Mq)], StoreRealPop),
    silent("fnstsw", 0xdd, 7, &[W(Mw)], StoreStatus),
    x87("fst", 0xdd, 2, &[W(STi)], StoreSt),
    x87("fstp", 0xdd, 3, &[W(STi)], StoreSt),
    x87("fild", 0xdf, 0, &[R(Mw)], Load),
    x87("fisttp", 0xdf, 1, &[W(Mw)], StorePop).and(Feature::Sse3),
    x87("fist", 0xdf, 2, &[W(Mw)], Store),
    x87("fistp", 0xdf, 3, &[W(Mw)], StorePop),
    x87("fild", 0xdf, 5, &[R(Mq)], Load),
    x87("fistp", 0xdf, 7, &[W(Mq)], StorePop),
    silent("fnstsw", 0xdf, 4, &[W(AX)], StoreStatus).rm(0),
];

/// Arithmetic, comparisons, transcendental functions, and the stack, in register form.
#[rustfmt::skip] // one form a line: the columns are the point
const STACK: &[Row] = &[
    x87("fadd", 0xd8, 0, &[RW(ST0), R(STi)], Arithmetic),
    x87("fmul", 0xd8, 1, &[RW(ST0), R(STi)], Arithmetic),
    compare("fcom", 0xd8, 2, Compare),
    compare("fcomp", 0xd8, 3, ComparePop),
    x87("fsub", 0xd8, 4, &[RW(ST0), R(STi)], Arithmetic),
    x87("fsubr", 0xd8, 5, &[RW(ST0), R(STi)], Arithmetic),
    x87("fdiv", 0xd8, 6, &[RW(ST0), R(STi)], Arithmetic),
    x87("fdivr", 0xd8, 7, &[RW(ST0), R(STi)], Arithmetic),
    x87("fxch", 0xd9, 1, &[RW(ST0), RW(STi)], Exchange),
    x87("fnop", 0xd9, 2, &[], Nothing).rm(0),
    // FSTP that does not look whether ST(0) is empty.
    x87("fstpnce", 0xd9, 3, &[W(STi), R(ST0.hidden())], Whole),
    unary("fchs", 4, 0, Negate),
    unary("fabs", 4, 1, Absolute),
    x87("ftst", 0xd9, 4, &[R(ST0.hidden())], Whole).rm(4),
    x87("fxam", 0xd9, 4, &[R(ST0.hidden())], Whole).rm(5),
    unary("f2xm1", 6, 0, Whole),
    binary("fyl2x", 6, 1),
    x87("fptan", 0xd9, 6, &[RW(ST0.hidden()), W(ST1.hidden())], Whole).rm(2),
    binary("fpatan", 6, 3),
    x87("fxtract", 0xd9, 6, &[RW(ST0.hidden()), W(ST1.hidden())], Whole).rm(4),
    x87("fprem1", 0xd9, 6, &[RW(ST0.hidden()), R(ST1.hidden())], Whole).rm(5),
    x87("fdecstp", 0xd9, 6, &[], Decrement).rm(6),
    x87("fincstp", 0xd9, 6, &[], Increment).rm(7),
    x87("fprem", 0xd9, 7, &[RW(ST0.hidden()), R(ST1.hidden())], Whole).rm(0),
    binary("fyl2xp1", 7, 1),
    unary("fsqrt", 7, 2, Whole),
    x87("fsincos", 0xd9, 7, &[RW(ST0.hidden()), W(ST1.hidden())], Whole).rm(3),
    unary("frndint", 7, 4, Whole),
    x87("fscale", 0xd9, 7, &[RW(ST0.hidden()), R(ST1.hidden())], Whole).rm(5),
    unary("fsin", 7, 6, Whole),
    unary("fcos", 7, 7, Whole),
    cmov("fcmovb", 0xda, 0, CF),
    cmov("fcmove", 0xda, 1, ZF),
    cmov("fcmovbe", 0xda, 2, CF | ZF),
    cmov("fcmovu", 0xda, 3, PF),
    x87("fucompp", 0xda, 5, &[R(ST0.hidden()), R(ST1.hidden())], ComparePopPop).rm(1),
    cmov("fcmovnb", 0xdb, 0, CF),
    cmov("fcmovne", 0xdb, 1, ZF),
    cmov("fcmovnbe", 0xdb, 2, CF | ZF),
    cmov("fcmovnu", 0xdb, 3, PF),
    // These three were the 8087's and the 80287's; later processors do nothing.
    silent("fneni", 0xdb, 4, &[], Ignore).rm(0),
    silent("fndisi", 0xdb, 4, &[], Ignore).rm(1),
    silent("fnsetpm", 0xdb, 4, &[], Ignore).rm(4),
    comi("fucomi", 0xdb, 5, Compare),
    comi("fcomi", 0xdb, 6, Compare),
    x87("fadd", 0xdc, 0, &[RW(STi), R(ST0)], Arithmetic),
    x87("fmul", 0xdc, 1, &[RW(STi), R(ST0)], Arithmetic),
    compare("fcom", 0xdc, 2, Compare),
    compare("fcomp", 0xdc, 3, ComparePop),
    x87("fsubr", 0xdc, 4, &[RW(STi), R(ST0)], Arithmetic),
    x87("fsub", 0xdc, 5, &[RW(STi), R(ST0)], Arithmetic),
    x87("fdivr", 0xdc, 6, &[RW(STi), R(ST0)], Arithmetic),
    x87("fdiv", 0xdc, 7, &[RW(STi), R(ST0)], Arithmetic),
    x87("ffree", 0xdd, 0, &[N(STi)], Free),
    x87("fxch", 0xdd, 1, &[RW(ST0), RW(STi)], Exchange),
    compare("fucom", 0xdd, 4, Compare),
    compare("fucomp", 0xdd, 5, ComparePop),
    x87("faddp", 0xde, 0, &[RW(STi), R(ST0)], ArithmeticPop),
    x87("fmulp", 0xde, 1, &[RW(STi), R(ST0)], ArithmeticPop),
    compare("fcomp", 0xde, 2, ComparePop),
    x87("fcompp", 0xde, 3, &[R(ST0.hidden()), R(ST1.hidden())], ComparePopPop).rm(1),
    x87("fsubrp", 0xde, 4, &[RW(STi), R(ST0)], ArithmeticPop),
    x87("fsubp", 0xde, 5, &[RW(STi), R(ST0)], ArithmeticPop),
    x87("fdivrp", 0xde, 6, &[RW(STi), R(ST0)], ArithmeticPop),
    x87("fdivp", 0xde, 7, &[RW(STi), R(ST0)], ArithmeticPop),
    x87("ffreep", 0xdf, 0, &[N(STi)], FreePop),
    x87("fxch", 0xdf, 1, &[RW(ST0), RW(STi)], Exchange),
    x87("fstp", 0xdf, 2, &[W(STi), R(ST0.hidden())], Whole),
    x87("fstp", 0xdf, 3, &[W(STi), R(ST0.hidden())], Whole),
    comi("fucomip", 0xdf, 5, ComparePop),
    comi("fcomip", 0xdf, 6, ComparePop),
];

/// Environments, whole states and decimal numbers.
#[rustfmt::skip] // one form a line: the columns are the point
const IMAGES: &[Row] = &[
    x87("fldenv", 0xd9, 4, &[R(Menv)], LoadEnvironment),
    silent("fnstenv", 0xd9, 6, &[W(Menv)], StoreEnvironment),
    x87("frstor", 0xdd, 4, &[R(Mstate)], LoadState),
    silent("fnsave", 0xdd, 6, &[W(Mstate)], StoreState),
    x87("fbld", 0xdf, 4, &[R(Mt), W(ST0.hidden())], Load),
    x87("fbstp", 0xdf, 6, &[W(Mt), R(ST0.hidden())], StorePop).implies(Implied::Decimal),
];

pub(super) static ESCAPES: &[Row] = rows![MOVES, REAL32, REAL64, INT32, INT16, STACK, IMAGES];
