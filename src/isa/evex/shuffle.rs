//! What moves elements about: scalar moves, packs, permutations, blends, broadcasts, insertions and extractions, moves
//! between vectors and opmasks.

use super::*;

/// A scalar move from memory, between registers, and the same the other way.
macro_rules! scalar_move {
    ($name:literal, $pp:ident, $w:ident, $element:literal, $mem:ident, $v:ident, $u:ident) => {
        [
            evex($name, P0F, $pp, 0x10, &[W(Vdq), R($mem)]).$w().lig().tuple(Scalar, $element).kz().copies(),
            evex($name, P0F, $pp, 0x10, &[W(Vdq), R(Hdq), R($u)]).$w().lig().element($element).kz(),
            evex($name, P0F, $pp, 0x11, &[W($mem), R($v)]).$w().lig().tuple(Scalar, $element).k().copies(),
            evex($name, P0F, $pp, 0x11, &[W(Udq), R(Hdq), R($v)]).$w().lig().element($element).kz(),
        ]
    };
}

const MOVSS: [Row; 4] = scalar_move!("vmovss", F3, w0, 4, Md, Vd, Ud);
const MOVSD: [Row; 4] = scalar_move!("vmovsd", F2, w1, 8, Mq, Vq, Uq);

/// Of elements of 4 bytes, without fault suppression.
const fn ps(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).w0().tuple(Full, 4).bcst().kz().nf()
}

/// The same of 8 bytes.
const fn pd(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, map, pp, opcode, ops).w1().tuple(Full, 8).bcst().kz().nf()
}

const TWO_SOURCES: &[Spec] = &[W(Vx), R(Hx), R(Wx)];
const ONE_IMM: &[Spec] = &[W(Vx), R(Wx), R(Ib)];
const TWO_IMM: &[Spec] = &[W(Vx), R(Hx), R(Wx), R(Ib)];
/// The destination is one of the two tables, or the indices.
const THREE_SOURCES: &[Spec] = &[RW(Vx), R(Hx), R(Wx)];

/// Words shuffled in one half of each lane.
const fn half_words(name: &'static str, pp: Pp) -> Row {
    evex(name, P0F, pp, 0x70, ONE_IMM).cpuid(Avx512bw).tuple(FullMem, 2).kz().nf()
}

/// A load that duplicates elements.
const fn duplicate(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F, F3, opcode, &[W(Vx), R(Wx)]).w0().tuple(FullMem, 4).kz().nf()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = rows![
    MOVSS, MOVSD,
    [
        evex("vmovhlps", P0F, NP, 0x12, &[W(Vdq), R(Hdq), R(Udq)]).l0().w0(),
        duplicate("vmovsldup", 0x12),
        evex("vmovddup", P0F, F2, 0x12, &[W(Vx), R(Wxdup)]).w1().tuple(Dup, 8).kz().nf(),
        ps("vunpcklps", P0F, NP, 0x14, TWO_SOURCES), pd("vunpcklpd", P0F, P66, 0x14, TWO_SOURCES),
        ps("vunpckhps", P0F, NP, 0x15, TWO_SOURCES), pd("vunpckhpd", P0F, P66, 0x15, TWO_SOURCES),
        evex("vmovlhps", P0F, NP, 0x16, &[W(Vdq), R(Hdq), R(Udq)]).l0().w0(),
        duplicate("vmovshdup", 0x16),
        bw_nf("vpunpcklbw", 0x60, 1), bw_nf("vpunpcklwd", 0x61, 2), bw_nf("vpacksswb", 0x63, 2), bw_nf("vpackuswb", 0x67, 2),
        bw_nf("vpunpckhbw", 0x68, 1), bw_nf("vpunpckhwd", 0x69, 2), d("vpunpckhdq", P0F, 0x6a).nf(),
        d("vpackssdw", P0F, 0x6b).cpuid(Avx512bw).nf(), q("vpunpcklqdq", P0F, 0x6c).nf(), q("vpunpckhqdq", P0F, 0x6d).nf(),
        half_words("vpshufhw", F3), half_words("vpshuflw", F2),
        evex("vpinsrw", P0F, P66, 0xc4, &[W(Vdq), R(Hdq), R(Mw), R(Ib)]).l0().cpuid(Avx512bw).tuple(Scalar, 2),
        evex("vpinsrw", P0F, P66, 0xc4, &[W(Vdq), R(Hdq), R(Rd), R(Ib)]).l0().cpuid(Avx512bw),
        evex("vpextrw", P0F, P66, 0xc5, &[W(Gd), R(Udq), R(Ib)]).l0().cpuid(Avx512bw),
        ps("vshufps", P0F, NP, 0xc6, TWO_IMM), pd("vshufpd", P0F, P66, 0xc6, TWO_IMM),
    ],
];

/// Some elements, repeated.
const fn broadcast(name: &'static str, opcode: u8, src: Spec, tuple: Tuple, element: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[W(Vx), R(src)]).tuple(tuple, element).kz()
}

/// The opmask chooses the source of each element.
const fn blend(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F38, P66, opcode, TWO_SOURCES).k_control()
}

/// Bytes or words from one table, or from two.
const fn permute(name: &'static str, opcode: u8, ops: &[Spec], element: u8) -> Row {
    evex(name, P0F38, P66, opcode, ops).tuple(FullMem, element).kz().nf()
}

/// Opmask to vector.
const fn from_mask(name: &'static str, opcode: u8, src: Spec) -> Row {
    evex(name, P0F38, F3, opcode, &[W(Vx), R(src)])
}

/// Vector to opmask: the sign of each element.
const fn to_mask(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F38, F3, opcode, &[W(KGq), R(Ux)])
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    ps("vpermilps", P0F38, P66, 0x0c, TWO_SOURCES), pd("vpermilpd", P0F38, P66, 0x0d, TWO_SOURCES),
    ps("vpermps", P0F38, P66, 0x16, TWO_SOURCES).wide(), pd("vpermpd", P0F38, P66, 0x16, TWO_SOURCES).wide(),
    broadcast("vbroadcastf32x2", 0x19, Wq, T2, 4).w0().wide().cpuid(Avx512dq),
    broadcast("vbroadcastf32x4", 0x1a, Mdq, T4, 4).w0().wide(), broadcast("vbroadcastf64x2", 0x1a, Mdq, T2, 8).w1().wide().cpuid(Avx512dq),
    broadcast("vbroadcastf32x8", 0x1b, Mqq, T8, 4).w0().l2().cpuid(Avx512dq), broadcast("vbroadcastf64x4", 0x1b, Mqq, T4, 8).w1().l2(),
    from_mask("vpmovm2b", 0x28, KRq).w0().cpuid(Avx512bw), from_mask("vpmovm2w", 0x28, KRd).w1().cpuid(Avx512bw),
    to_mask("vpmovb2m", 0x29).w0().cpuid(Avx512bw), to_mask("vpmovw2m", 0x29).w1().cpuid(Avx512bw),
    from_mask("vpbroadcastmb2q", 0x2a, KRb).w1().cpuid(Avx512cd),
    d("vpackusdw", P0F38, 0x2b).cpuid(Avx512bw).nf(),
    q("vpermq", P0F38, 0x36).wide().nf(),
    from_mask("vpmovm2d", 0x38, KRw).w0().cpuid(Avx512dq), from_mask("vpmovm2q", 0x38, KRb).w1().cpuid(Avx512dq),
    to_mask("vpmovd2m", 0x39).w0().cpuid(Avx512dq), to_mask("vpmovq2m", 0x39).w1().cpuid(Avx512dq),
    from_mask("vpbroadcastmw2d", 0x3a, KRw).w0().cpuid(Avx512cd),
    broadcast("vbroadcasti32x2", 0x59, Wq, T2, 4).w0().cpuid(Avx512dq),
    broadcast("vbroadcasti32x4", 0x5a, Mdq, T4, 4).w0().wide(), broadcast("vbroadcasti64x2", 0x5a, Mdq, T2, 8).w1().wide().cpuid(Avx512dq),
    broadcast("vbroadcasti32x8", 0x5b, Mqq, T8, 4).w0().l2().cpuid(Avx512dq), broadcast("vbroadcasti64x4", 0x5b, Mqq, T4, 8).w1().l2(),
    blend("vpblendmd", 0x64).w0().tuple(Full, 4).bcst(), blend("vpblendmq", 0x64).w1().tuple(Full, 8).bcst(),
    blend("vblendmps", 0x65).w0().tuple(Full, 4).bcst(), blend("vblendmpd", 0x65).w1().tuple(Full, 8).bcst(),
    blend("vpblendmb", 0x66).w0().cpuid(Avx512bw).tuple(FullMem, 1), blend("vpblendmw", 0x66).w1().cpuid(Avx512bw).tuple(FullMem, 2),
    permute("vpermi2b", 0x75, THREE_SOURCES, 1).w0().cpuid(Avx512vbmi), permute("vpermi2w", 0x75, THREE_SOURCES, 2).w1().cpuid(Avx512bw),
    ps("vpermi2d", P0F38, P66, 0x76, THREE_SOURCES), pd("vpermi2q", P0F38, P66, 0x76, THREE_SOURCES),
    ps("vpermi2ps", P0F38, P66, 0x77, THREE_SOURCES), pd("vpermi2pd", P0F38, P66, 0x77, THREE_SOURCES),
    permute("vpermt2b", 0x7d, THREE_SOURCES, 1).w0().cpuid(Avx512vbmi), permute("vpermt2w", 0x7d, THREE_SOURCES, 2).w1().cpuid(Avx512bw),
    ps("vpermt2d", P0F38, P66, 0x7e, THREE_SOURCES), pd("vpermt2q", P0F38, P66, 0x7e, THREE_SOURCES),
    ps("vpermt2ps", P0F38, P66, 0x7f, THREE_SOURCES), pd("vpermt2pd", P0F38, P66, 0x7f, THREE_SOURCES),
    permute("vpermb", 0x8d, TWO_SOURCES, 1).w0().cpuid(Avx512vbmi), permute("vpermw", 0x8d, TWO_SOURCES, 2).w1().cpuid(Avx512bw),
];

/// A part of a vector into one of its places.
const fn insert(name: &'static str, opcode: u8, src: Spec, tuple: Tuple, element: u8) -> Row {
    evex(name, P0F3A, P66, opcode, &[W(Vx), R(Hx), R(src), R(Ib)]).tuple(tuple, element).kz().nf()
}

/// A part of a vector out of one of its places.
const fn extract(name: &'static str, opcode: u8, dst: Spec, tuple: Tuple, element: u8) -> Row {
    evex(name, P0F3A, P66, opcode, &[W(dst), R(Vx), R(Ib)]).tuple(tuple, element).kz().nf()
}

/// One element to memory or a general-purpose register.
const fn extract_one(name: &'static str, opcode: u8, dst: Spec) -> Row {
    evex(name, P0F3A, P66, opcode, &[W(dst), R(Vdq), R(Ib)]).l0()
}

/// One element from memory or a general-purpose register.
const fn insert_one(name: &'static str, opcode: u8, src: Spec) -> Row {
    evex(name, P0F3A, P66, opcode, &[W(Vdq), R(Hdq), R(src), R(Ib)]).l0()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F3A: &[Row] = &[
    pd("vpermq", P0F3A, P66, 0x00, ONE_IMM).wide(), pd("vpermpd", P0F3A, P66, 0x01, ONE_IMM).wide(),
    ps("valignd", P0F3A, P66, 0x03, TWO_IMM), pd("valignq", P0F3A, P66, 0x03, TWO_IMM),
    ps("vpermilps", P0F3A, P66, 0x04, ONE_IMM), pd("vpermilpd", P0F3A, P66, 0x05, ONE_IMM),
    evex("vpalignr", P0F3A, P66, 0x0f, TWO_IMM).cpuid(Avx512bw).tuple(FullMem, 1).kz().nf(),
    extract_one("vpextrb", 0x14, Mb).cpuid(Avx512bw).tuple(Scalar, 1), extract_one("vpextrb", 0x14, Rd).cpuid(Avx512bw),
    extract_one("vpextrw", 0x15, Mw).cpuid(Avx512bw).tuple(Scalar, 2), extract_one("vpextrw", 0x15, Rd).cpuid(Avx512bw),
    extract_one("vpextrq", 0x16, Eq).w1().only64().cpuid(Avx512dq).tuple(Scalar, 8),
    extract_one("vpextrd", 0x16, Ed).w_gpr().cpuid(Avx512dq).tuple(Scalar, 4),
    extract_one("vextractps", 0x17, Ed).tuple(Scalar, 4),
    insert("vinsertf32x4", 0x18, Wdq, T4, 4).w0().wide(), insert("vinsertf64x2", 0x18, Wdq, T2, 8).w1().wide().cpuid(Avx512dq),
    extract("vextractf64x2", 0x19, Wdq, T2, 8).w1().wide().cpuid(Avx512dq),
    insert("vinsertf32x8", 0x1a, Wqq, T8, 4).w0().l2().cpuid(Avx512dq), insert("vinsertf64x4", 0x1a, Wqq, T4, 8).w1().l2(),
    extract("vextractf32x8", 0x1b, Wqq, T8, 4).w0().l2().cpuid(Avx512dq), extract("vextractf64x4", 0x1b, Wqq, T4, 8).w1().l2(),
    insert_one("vpinsrb", 0x20, Mb).cpuid(Avx512bw).tuple(Scalar, 1), insert_one("vpinsrb", 0x20, Rd).cpuid(Avx512bw),
    insert_one("vinsertps", 0x21, Md).w0().tuple(Scalar, 4), insert_one("vinsertps", 0x21, Udq).w0(),
    insert_one("vpinsrq", 0x22, Eq).w1().only64().cpuid(Avx512dq).tuple(Scalar, 8),
    insert_one("vpinsrd", 0x22, Ed).w_gpr().cpuid(Avx512dq).tuple(Scalar, 4),
    ps("vshuff32x4", P0F3A, P66, 0x23, TWO_IMM).wide(), pd("vshuff64x2", P0F3A, P66, 0x23, TWO_IMM).wide(),
    insert("vinserti32x4", 0x38, Wdq, T4, 4).w0().wide(), insert("vinserti64x2", 0x38, Wdq, T2, 8).w1().wide().cpuid(Avx512dq),
    extract("vextracti64x2", 0x39, Wdq, T2, 8).w1().wide().cpuid(Avx512dq),
    insert("vinserti32x8", 0x3a, Wqq, T8, 4).w0().l2().cpuid(Avx512dq), insert("vinserti64x4", 0x3a, Wqq, T4, 8).w1().l2(),
    extract("vextracti32x8", 0x3b, Wqq, T8, 4).w0().l2().cpuid(Avx512dq), extract("vextracti64x4", 0x3b, Wqq, T4, 8).w1().l2(),
    ps("vshufi32x4", P0F3A, P66, 0x43, TWO_IMM).wide(), pd("vshufi64x2", P0F3A, P66, 0x43, TWO_IMM).wide(),
];
