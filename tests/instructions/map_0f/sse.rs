//! SSE: alignment, gates, moves, MASKMOVDQU, MXCSR.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 66 0f fe 0b | xmm1=01000000020000000300000004000000 @21000=ffffffff000000000100000001000000 | xmm1=00000000020000000400000005000000 R16@21000
        64 | 66 0f fe 0b | rbx=21008 | #GP(0)
        64 | 0f 28 0b | rbx=21008 | #GP(0)
        64 | 0f 10 0b | rbx=21008 @21008=000102030405060708090a0b0c0d0e0f | xmm1=000102030405060708090a0b0c0d0e0f
        64 | 0f 11 0b | rbx=20ff8 xmm1=000102030405060708090a0b0c0d0e0f | @20ff8=0001020304050607 @21000=08090a0b0c0d0e0f W8@20ff8 W8@21000
        64 | 0f 11 0b | rbx=20ff8 readonly=21 | #PF(3)@21000
        64 | f3 0f 10 0b | xmm1=ffffffffffffffffffffffffffffffff @21000=01020304 | xmm1=01020304000000000000000000000000 R4@21000
        64 | f3 0f 10 cb | xmm1=ffffffffffffffffffffffffffffffff xmm3=01020304aaaaaaaa | xmm1=01020304ffffffffffffffffffffffff
        64 | f2 0f 10 0b | xmm1=ffffffffffffffffffffffffffffffff @21000=0102030405060708 | xmm1=01020304050607080000000000000000
        64 | 0f 16 0b | xmm1=ffffffffffffffffffffffffffffffff @21000=0102030405060708 | xmm1=ffffffffffffffff0102030405060708
        64 | 0f 13 0b | xmm1=0102030405060708ffffffffffffffff | @21000=0102030405060708 W8@21000
        64 | 66 0f 6e 0b | xmm1=ffffffffffffffffffffffffffffffff @21000=01020304 | xmm1=01020304000000000000000000000000
        64 | 66 48 0f 7e cb | xmm1=0102030405060708ff | rbx=807060504030201
        64 | 66 0f e7 0b | rbx=21008 | #GP(0)
        64 | 66 0f 3a 16 0b 02 | xmm1=000102030405060708090a0b0c0d0e0f | @21000=08090a0b W4@21000
        64 | 66 0f f7 cb | xmm1=000102030405060708090a0b0c0d0e0f xmm3=800000000000000000000000000000ff | @33000=00 @3300f=0f W1@33000 W1@3300f
        64 | 66 0f f7 cb | xmm3=00000000000000000000000000000000 absent=33 | #PF(2)@33000 | no byte, but the page is checked as processors check it
        64 | 66 0f f7 cb | rdi=33fff xmm1=0102 xmm3=ffff readonly=34 | #PF(3)@34000 | no byte is stored
        64 | 66 64 0f f7 cb | rdi=10 xmm1=0102 xmm3=ff | @50010=01
        64 | 67 66 0f f7 cb | rdi=fffffff8 xmm1=000102030405060708090a xmm3=800000000000000080 | @0=08 @fffffff8=00 W1@fffffff8 W1@0 | 32-bit addresses wrap: what is written is what was probed
        64 | 0f 58 0b | +em | #UD
        64 | 0f 58 0b | +ts | #NM
        64 | 0f 58 0b | +em +ts | #UD | #UD comes first
        64 | 0f 58 0b | -osfxsr | #UD
        64 | f3 0f 58 0b | xmm1=0000803f @21000=00000040 | xmm1=00004040 | 1 + 2 = 3
        64 | f3 0f 5e 0b | xmm1=0000803f @21000=00000000 | xmm1=0000807f mxcsr=1f84 | 1 / 0: ZE, masked
        64 | f3 0f 5e 0b | xmm1=0000803f mxcsr=1d80 @21000=00000000 | #XM mxcsr=1d84
        64 | f3 0f 5e 0b | xmm1=0000803f mxcsr=1d80 -osxmmexcpt @21000=00000000 | #UD mxcsr=1d84
        64 | 0f 2e 0b | f=SO xmm1=0000803f @21000=00000040 | f=C | 1 < 2
        64 | 0f 2e 0b | xmm1=0000c07f @21000=00000040 | f=CPZ | a quiet NaN is unordered
        64 | 0f 2f 0b | xmm1=0000c07f @21000=00000040 | f=CPZ mxcsr=1f81 | COMISS flags it
        64 | 0f ae 13 | @21000=801f0000 mxcsr=1fbf | mxcsr=1f80
        64 | 0f ae 13 | @21000=801f0100 | #GP(0)
        64 | 0f ae 1b | mxcsr=1fbf | @21000=bf1f0000 W4@21000
        64 | 0f ae 03 | rbx=21008 | #GP(0) | FXSAVE
        64 | 66 0f 3a 63 0b 00 | rbx=21008 xmm1=6c6f @21008=68656c6c6f0000000000000000000000 | rcx=2 f=CZS R16@21008 | which of 'hello' is in 'lo'
        64 | 66 0f 3a 60 0b 44 | rax=2 rdx=5 xmm1=616d @21000=68656c6c6f0000000000000000000000 | xmm0=ffffffff000000000000000000000000 f=COZS | 'hell' lies between 'a' and 'm'
        64 | 66 0f 3a 40 0b f1 | xmm1=0000803f0000004000004040 @21000=0000803f000080400000004000000000 | xmm1=00007041000000000000000000000000 | 1 + 8 + 6 = 15
        64 | 66 0f 3a 40 0b f1 | xmm1=ffff7f7f mxcsr=1b80 @21000=00000040 | #XM mxcsr=1b88 | the product is exact, and nothing is summed
        p32 | 66 0f fe 0b | xmm1=01 @21000=01000000000000000000000000000000 | xmm1=02
        real | 66 0f fe 0f | xmm1=01 @21000=01000000000000000000000000000000 | xmm1=02
        ",
    );
}
