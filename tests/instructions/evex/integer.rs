//! Integer arithmetic: opmask results, rotations, saturation, bit counting, dot products.

#[test]
fn table() {
    super::run_on_avx512(
        "
        64 | 62 f1 6d 0a 64 cb | k2=3 xmm2=05ff xmm3=0400 | k1=1 | VPCMPGTB is signed
        64 | 62 f2 6e 08 27 cb | xmm2=01 xmm3=03 | k1=e | VPTESTNMD
        64 | 62 f1 75 08 72 ca 08 | xmm2=01020380 | xmm1=80010203 | VPROLD writes vvvv
        64 | 62 f1 ed 08 e2 0b | xmm2=00000000000000f0 @21000=04000000000000000000000000000000 | xmm1=00000000000000ff R16@21000 | VPSRAQ reads 16 bytes
        64 | 62 f1 ed 09 e2 0b | k1=0 absent=21 | #PF(0)@21000 | and does so under a zero mask
        64 | 62 f2 7e 09 11 0b | k1=5 xmm1=00010000000000007f00000000000000 | @21000=ff @21002=7f W1@21000 W1@21002 | VPMOVUSDB saturates
        64 | 62 f2 fd 08 1f ca | xmm2=ffffffffffffffff | xmm1=01 | VPABSQ
        64 | 62 f2 7d 18 44 0b | @21000=00010000 | xmm1=17000000170000001700000017000000 R4@21000 | VPLZCNTD of a broadcast
        64 | 62 f2 7d 08 c4 ca | xmm2=01000000020000000100000001000000 | xmm1=00000000000000000100000005000000 | VPCONFLICTD
        64 | 62 f2 6d 08 50 cb | xmm1=0a xmm2=010203ff xmm3=0101ff01 | xmm1=09010000 | VPDPBUSD: unsigned times signed
        64 | 62 f2 7d 08 54 ca | xmm2=ff0103 | xmm1=080102 | VPOPCNTB
        64 | 62 f3 6d 08 71 cb 08 | xmm2=44332211 xmm3=ddccbbaa | xmm1=aa443322 | VPSHLDD
        64 | 62 f2 ed 08 83 cb | xmm2=04 xmm3=3412 | xmm1=2334343434343434 | VPMULTISHIFTQB
        64 | 62 f2 6d 08 8f cb | xmm2=02 xmm3=01003f | k1=1 | VPSHUFBITQMB
        64 | 62 f2 ed 08 b4 cb | xmm1=01 xmm2=03 xmm3=05 | xmm1=10 | VPMADD52LUQ
        ",
    );
}
