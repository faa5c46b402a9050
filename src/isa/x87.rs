//! x87: the escapes D8 to DF.

use super::feature::Feature;
use super::notation::*;
use super::row::*;
use Map::Primary;

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static ESCAPES: &[Row] = rows![
    [
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
    ],
];
