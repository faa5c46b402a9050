//! Floating point: unsigned and 64-bit conversions, comparisons, what takes numbers apart, bfloat16.

#[test]
fn table() {
    super::run_on_avx512(
        "
        64 | 62 f1 7f 08 78 c1 | xmm1=0000000000000e40 | rax=3 mxcsr=1fa0 | VCVTTSD2USI of 3.75
        64 | 62 f1 6f 08 7b c8 | rax=ffffffff xmm2=00000000000000001122334455667788 | xmm1=0000e0ffffffef411122334455667788 | unsigned
        64 | 62 f1 7d 89 7a 0b | k1=2 @21004=0000c0bf | xmm1=0000000000000000ffffffffffffffff mxcsr=1fa0 R4@21004 | VCVTTPS2QQ of -1.5, one element read
        64 | 62 f1 6c 18 c2 0b 01 | xmm2=0000803f000000400000404000008040 @21000=00002040 | k1=3 R4@21000 | less than 2.5
        64 | 62 f1 7c 08 2e ca | xmm1=0000803f xmm2=00000040 | f=C | VUCOMISS
        64 | 62 f1 7c 18 2e ca | xmm1=0100807f xmm2=00000040 | f=CPZ | {sae}: a signalling NaN raises nothing
        64 | 62 f2 6d 08 2d cb | xmm2=00004040 xmm3=00002040 | xmm1=00004041 | 3 * 2^floor(2.5)
        64 | 62 f2 6d 08 2d cb | mxcsr=1b80 xmm2=00004040 xmm3=00004843 | #XM mxcsr=1b88 | overflow of an exact result: no PE
        64 | 62 f2 ed 08 43 cb | xmm3=0000000000002040 | xmm1=0000000000000840 | VGETEXPSD of 8
        64 | 62 f3 6d 08 27 cb 00 | xmm3=00004041 | xmm1=0000c03f | VGETMANTSS of 12
        64 | 62 f3 6d 08 0a cb 10 | xmm3=cdcc2c40 | xmm1=00002040 mxcsr=1fa0 | 2.7 to halves
        64 | 62 f3 6d 08 57 cb 18 | xmm3=cdcc2c40 | xmm1=d0cc4c3e | what is left of it, without PE
        64 | 62 f3 6d 08 55 cb 00 | xmm2=0000c07f xmm3=0a000000 | xmm1=0000803f | VFIXUPIMMSS makes a quiet NaN 1
        64 | 62 f3 7d 08 66 c9 42 | xmm1=00000000000080bf0000803f00000080 | k1=3 | +0 and finite negatives
        64 | 62 f3 7d 08 66 c9 02 | mxcsr=1fc0 xmm1=01000000010000000100000001000000 | k1=f | denormals are zeros under DAZ
        64 | 62 f2 6e 08 52 cb | xmm1=0000003f xmm2=803f0040 xmm3=00400040 | xmm1=0000d040 | 0.5 + 1*2 + 2*2
        64 | 62 f2 7e 08 72 ca | xmm2=0080803f0080813f0000803f00000040 | xmm1=803f823f803f0040 | ties to even, no PE
        ",
    );
}
