//! What moves elements about, and which of its operands suppress faults.

#[test]
fn table() {
    super::run_on_avx512(
        "
        64 | 62 f1 6e 09 10 cb | k1=0 xmm1=11111111 xmm2=22222222222222222222222222222222 xmm3=33333333 | xmm1=11111111222222222222222222222222 | VMOVSS keeps what is masked
        64 | 62 f1 7e 89 10 0b | k1=0 absent=21 xmm1=ffffffff | xmm1=00000000 | a masked load touches nothing
        64 | 62 f1 ff 09 11 0b | k1=0 readonly=21 xmm1=01 | | nor does a masked store
        64 | 62 f1 ff 08 12 0b | @21000=0102030405060708 | xmm1=01020304050607080102030405060708 R8@21000 | VMOVDDUP
        64 | 62 f2 7d a9 1a 0b | k1=81 @21000=01010101 @2100c=04040404 | xmm1=0101010100000000000000000000000000000000000000000000000004040404 R4@21000 R4@2100c | each element once, whoever of its copies is active
        64 | 62 f2 7d a9 1a 0b | k1=11 absent=22 rbx=21ffc @21ffc=01010101 | xmm1=0101010100000000000000000000000001010101000000000000000000000000 R4@21ffc | faults are suppressed
        64 | 62 f2 6d 08 7e cb | xmm1=00000000010000000200000003000000 xmm2=07000000000000000400000003000000 xmm3=04000000050000000600000007000000 | xmm1=07000000000000000400000003000000 | VPERMT2D
        64 | 62 f3 6d 08 03 cb 01 | xmm2=aaaaaaaa xmm3=01000000020000000300000004000000 | xmm1=020000000300000004000000aaaaaaaa | VALIGND
        64 | 62 f2 6d 09 66 0b | k1=2 xmm2=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa @21001=55 | xmm1=aa55aaaaaaaaaaaaaaaaaaaaaaaaaaaa R1@21001 | VPBLENDMB reads what it takes
        64 | 62 f3 6d 28 38 0b 01 | xmm2=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa @21000=000102030405060708090a0b0c0d0e0f | xmm1=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa000102030405060708090a0b0c0d0e0f R16@21000 | VINSERTI32X4
        64 | 62 f3 6d a9 38 0b 01 | k1=0 absent=21 | #PF(0)@21000 | E6NF: no suppression
        64 | 62 f3 fd 29 39 0b 01 | k1=1 xmm1=000000000000000000000000000000000102030405060708 | @21000=0102030405060708 W8@21000 | VEXTRACTI64X2
        64 | 62 f1 7d 08 c5 c1 01 | xmm1=00001234 | rax=3412 | VPEXTRW
        64 | 62 f3 6d 08 20 0b 01 | @21000=7f | xmm1=007f R1@21000 | VPINSRB
        64 | 62 f2 7e 08 28 c9 | k1=5 | xmm1=ff00ff | VPMOVM2B
        64 | 62 f2 7e 08 39 ca | xmm2=0000008000000000000000ff | k1=5 | VPMOVD2M
        64 | 62 f2 fe 08 2a c9 | k1=1ff | xmm1=ff00000000000000ff | VPBROADCASTMB2Q
        ",
    );
}
