//! Integer arithmetic: comparisons into opmasks, shifts and rotations, saturation, bit counting, dot products.

use super::*;

/// A comparison of bytes or words.
const fn cmp_bw(name: &'static str, map: Map, opcode: u8, element: u8) -> Row {
    evex(name, map, P66, opcode, &[W(KGq), R(Hx), R(Wx)]).cpuid(Avx512bw).tuple(FullMem, element).k()
}

/// A comparison or test of doublewords.
const fn cmp_d(name: &'static str, map: Map, pp: Pp, opcode: u8) -> Row {
    evex(name, map, pp, opcode, &[W(KGq), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().k()
}

/// A comparison or test of quadwords.
const fn cmp_q(name: &'static str, map: Map, pp: Pp, opcode: u8) -> Row {
    evex(name, map, pp, opcode, &[W(KGq), R(Hx), R(Wx)]).w1().tuple(Full, 8).bcst().k()
}

/// VPTESTM and VPTESTNM of bytes or words.
const fn test_bw(name: &'static str, pp: Pp, element: u8) -> Row {
    evex(name, P0F38, pp, 0x26, &[W(KGq), R(Hx), R(Wx)]).cpuid(Avx512bw).tuple(FullMem, element).k()
}

/// A shift or rotation of words by an immediate; the destination is EVEX.vvvv.
const fn imm_w(name: &'static str, digit: u32) -> Row {
    evex(name, P0F, P66, 0x71, &[W(Hx), R(Wx), R(Ib)]).digit(digit).cpuid(Avx512bw).tuple(FullMem, 2).kz()
}

/// The same of doublewords.
const fn imm_d(name: &'static str, digit: u32) -> Row {
    evex(name, P0F, P66, 0x72, &[W(Hx), R(Wx), R(Ib)]).digit(digit).w0().tuple(Full, 4).bcst().kz()
}

/// The same of quadwords.
const fn imm_q(name: &'static str, opcode: u8, digit: u32) -> Row {
    evex(name, P0F, P66, opcode, &[W(Hx), R(Wx), R(Ib)]).digit(digit).w1().tuple(Full, 8).bcst().kz()
}

/// A shift of 16-byte lanes by bytes.
const fn imm_dq(name: &'static str, digit: u32) -> Row {
    evex(name, P0F, P66, 0x73, &[W(Hx), R(Wx), R(Ib)]).digit(digit).cpuid(Avx512bw).tuple(FullMem, 1).nf()
}

/// A shift by a count in an XMM register or 16 bytes of memory.
const fn shift(name: &'static str, opcode: u8, element: u8) -> Row {
    evex(name, P0F, P66, opcode, &[W(Vx), R(Hx), R(Wdq)]).tuple(M128, element).kz().nf()
}

/// `vpxxx x{k}{z}, x, x/m` of bytes or words in map 0F38.
const fn bw38(name: &'static str, opcode: u8, element: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[W(Vx), R(Hx), R(Wx)]).cpuid(Avx512bw).tuple(FullMem, element).kz()
}

/// `vpxxx x{k}{z}, x/m` of bytes or words.
const fn one_bw(name: &'static str, opcode: u8, element: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[W(Vx), R(Wx)]).tuple(FullMem, element).kz()
}

/// `vpxxxd x{k}{z}, x/m/m32{1to…}`.
const fn one_d(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[W(Vx), R(Wx)]).w0().tuple(Full, 4).bcst().kz()
}

/// `vpxxxq x{k}{z}, x/m/m64{1to…}`.
const fn one_q(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[W(Vx), R(Wx)]).w1().tuple(Full, 8).bcst().kz()
}

/// Three sources, of which the destination is one: of words.
const fn acc_w(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[RW(Vx), R(Hx), R(Wx)]).w1().tuple(FullMem, 2).kz()
}

/// The same of doublewords.
const fn acc_d(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[RW(Vx), R(Hx), R(Wx)]).w0().tuple(Full, 4).bcst().kz()
}

/// The same of quadwords.
const fn acc_q(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F38, P66, opcode, &[RW(Vx), R(Hx), R(Wx)]).w1().tuple(Full, 8).bcst().kz()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = &[
    cmp_bw("vpcmpgtb", P0F, 0x64, 1), cmp_bw("vpcmpgtw", P0F, 0x65, 2), cmp_d("vpcmpgtd", P0F, P66, 0x66),
    imm_w("vpsrlw", 2), imm_w("vpsraw", 4), imm_w("vpsllw", 6),
    imm_d("vprord", 0), imm_q("vprorq", 0x72, 0), imm_d("vprold", 1), imm_q("vprolq", 0x72, 1), imm_q("vpsraq", 0x72, 4),
    imm_q("vpsrlq", 0x73, 2), imm_dq("vpsrldq", 3), imm_q("vpsllq", 0x73, 6), imm_dq("vpslldq", 7),
    cmp_bw("vpcmpeqb", P0F, 0x74, 1), cmp_bw("vpcmpeqw", P0F, 0x75, 2),
    shift("vpsrlw", 0xd1, 2).cpuid(Avx512bw), shift("vpsrld", 0xd2, 4).w0(), shift("vpsrlq", 0xd3, 8).w1(),
    shift("vpsraw", 0xe1, 2).cpuid(Avx512bw), shift("vpsrad", 0xe2, 4).w0(), shift("vpsraq", 0xe2, 8).w1(),
    shift("vpsllw", 0xf1, 2).cpuid(Avx512bw), shift("vpslld", 0xf2, 4).w0(), shift("vpsllq", 0xf3, 8).w1(),
    evex("vpsadbw", P0F, P66, 0xf6, &[W(Vx), R(Hx), R(Wx)]).cpuid(Avx512bw).tuple(FullMem, 1).nf(),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    bw38("vpmaddubsw", 0x04, 2).nf(), bw38("vpmulhrsw", 0x0b, 2),
    bw38("vpsrlvw", 0x10, 2).w1(), narrow("vpmovuswb", 0x10, Wxh, HalfMem, 1).cpuid(Avx512bw),
    bw38("vpsravw", 0x11, 2).w1(), narrow("vpmovusdb", 0x11, Wxq, QuarterMem, 1),
    bw38("vpsllvw", 0x12, 2).w1(), narrow("vpmovusqb", 0x12, Wxe, EighthMem, 1),
    narrow("vpmovusdw", 0x13, Wxh, HalfMem, 2),
    d("vprorvd", P0F38, 0x14), q("vprorvq", P0F38, 0x14), narrow("vpmovusqw", 0x14, Wxq, QuarterMem, 2),
    d("vprolvd", P0F38, 0x15), q("vprolvq", P0F38, 0x15), narrow("vpmovusqd", 0x15, Wxh, HalfMem, 4),
    one_bw("vpabsb", 0x1c, 1).cpuid(Avx512bw), one_bw("vpabsw", 0x1d, 2).cpuid(Avx512bw), one_q("vpabsq", 0x1f),
    evex("vpmovsxbw", P0F38, P66, 0x20, &[W(Vx), R(Wxh)]).cpuid(Avx512bw).tuple(HalfMem, 1).kz(),
    narrow("vpmovswb", 0x20, Wxh, HalfMem, 1).cpuid(Avx512bw),
    narrow("vpmovsdb", 0x21, Wxq, QuarterMem, 1),
    evex("vpmovsxbq", P0F38, P66, 0x22, &[W(Vx), R(Wxe)]).tuple(EighthMem, 1).kz(),
    narrow("vpmovsqb", 0x22, Wxe, EighthMem, 1),
    narrow("vpmovsdw", 0x23, Wxh, HalfMem, 2),
    evex("vpmovsxwq", P0F38, P66, 0x24, &[W(Vx), R(Wxq)]).tuple(QuarterMem, 2).kz(),
    narrow("vpmovsqw", 0x24, Wxq, QuarterMem, 2),
    evex("vpmovsxdq", P0F38, P66, 0x25, &[W(Vx), R(Wxh)]).w0().tuple(HalfMem, 4).kz(),
    narrow("vpmovsqd", 0x25, Wxh, HalfMem, 4),
    test_bw("vptestmb", P66, 1).w0(), test_bw("vptestmw", P66, 2).w1(),
    test_bw("vptestnmb", F3, 1).w0(), test_bw("vptestnmw", F3, 2).w1(),
    cmp_d("vptestmd", P0F38, P66, 0x27), cmp_q("vptestmq", P0F38, P66, 0x27),
    cmp_d("vptestnmd", P0F38, F3, 0x27), cmp_q("vptestnmq", P0F38, F3, 0x27),
    cmp_q("vpcmpeqq", P0F38, P66, 0x29), cmp_q("vpcmpgtq", P0F38, P66, 0x37),
    bw38("vpminsb", 0x38, 1), q("vpminsq", P0F38, 0x39), bw38("vpminuw", 0x3a, 2), q("vpminuq", P0F38, 0x3b),
    bw38("vpmaxsb", 0x3c, 1), q("vpmaxsq", P0F38, 0x3d), bw38("vpmaxuw", 0x3e, 2), q("vpmaxuq", P0F38, 0x3f),
    q("vpmullq", P0F38, 0x40).cpuid(Avx512dq),
    one_d("vplzcntd", 0x44).cpuid(Avx512cd), one_q("vplzcntq", 0x44).cpuid(Avx512cd),
    acc_d("vpdpbusd", 0x50).cpuid(Avx512vnni), acc_d("vpdpbusds", 0x51).cpuid(Avx512vnni),
    acc_d("vpdpwssd", 0x52).cpuid(Avx512vnni), acc_d("vpdpwssds", 0x53).cpuid(Avx512vnni),
    one_bw("vpopcntb", 0x54, 1).w0().cpuid(Avx512bitalg), one_bw("vpopcntw", 0x54, 2).w1().cpuid(Avx512bitalg),
    one_d("vpopcntd", 0x55).cpuid(Avx512vpopcntdq), one_q("vpopcntq", 0x55).cpuid(Avx512vpopcntdq),
    // The opmask is the first of a pair, whose number is even.
    evex("vp2intersectd", P0F38, F2, 0x68, &[W(KGq), R(Hx), R(Wx)]).w0().cpuid(Avx512vp2intersect).tuple(Full, 4).bcst().nf().attr(attr::MASK_PAIR),
    evex("vp2intersectq", P0F38, F2, 0x68, &[W(KGq), R(Hx), R(Wx)]).w1().cpuid(Avx512vp2intersect).tuple(Full, 8).bcst().nf().attr(attr::MASK_PAIR),
    acc_w("vpshldvw", 0x70).cpuid(Avx512vbmi2), acc_d("vpshldvd", 0x71).cpuid(Avx512vbmi2), acc_q("vpshldvq", 0x71).cpuid(Avx512vbmi2),
    acc_w("vpshrdvw", 0x72).cpuid(Avx512vbmi2), acc_d("vpshrdvd", 0x73).cpuid(Avx512vbmi2), acc_q("vpshrdvq", 0x73).cpuid(Avx512vbmi2),
    q("vpmultishiftqb", P0F38, 0x83).cpuid(Avx512vbmi).nf(),
    cmp_bw("vpshufbitqmb", P0F38, 0x8f, 1).w0().cpuid(Avx512bitalg),
    acc_q("vpmadd52luq", 0xb4).cpuid(Avx512ifma), acc_q("vpmadd52huq", 0xb5).cpuid(Avx512ifma),
    one_d("vpconflictd", 0xc4).cpuid(Avx512cd).nf(), one_q("vpconflictq", 0xc4).cpuid(Avx512cd).nf(),
];

/// A funnel shift by an immediate.
const fn funnel(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F3A, P66, opcode, &[W(Vx), R(Hx), R(Wx), R(Ib)]).cpuid(Avx512vbmi2).kz()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F3A: &[Row] = &[
    evex("vdbpsadbw", P0F3A, P66, 0x42, &[W(Vx), R(Hx), R(Wx), R(Ib)]).w0().cpuid(Avx512bw).tuple(FullMem, 2).kz().nf(),
    funnel("vpshldw", 0x70).w1().tuple(FullMem, 2),
    funnel("vpshldd", 0x71).w0().tuple(Full, 4).bcst(), funnel("vpshldq", 0x71).w1().tuple(Full, 8).bcst(),
    funnel("vpshrdw", 0x72).w1().tuple(FullMem, 2),
    funnel("vpshrdd", 0x73).w0().tuple(Full, 4).bcst(), funnel("vpshrdq", 0x73).w1().tuple(Full, 8).bcst(),
];
