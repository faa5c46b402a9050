//! MMX on the x87 registers, and SSE4A.

#[test]
fn registers_lie_in_x87() {
    crate::table::run(
        "
        // TOP becomes 0, all registers are in use, the written one has an exponent of all ones.
        64 | 0f 6f 0b | fsw=2800 ftw=0 @21000=0102030405060708 | mm1=0102030405060708 fsw=0 ftw=ff R8@21000
        64 | 0f 7f 0b | fsw=3800 ftw=3 mm1=0102030405060708 | @21000=0102030405060708 fsw=0 ftw=ff W8@21000
        64 | 0f 6e c9 | rcx=11223344aabbccdd | mm1=ddccbbaa00000000 ftw=ff | movd mm1, ecx
        64 | 48 0f 6e c9 | rcx=11223344aabbccdd | mm1=ddccbbaa44332211 ftw=ff | movq mm1, rcx
        64 | 0f 7e ca | mm1=0102030405060708 rdx=ffffffffffffffff | rdx=4030201 ftw=ff | movd edx, mm1
        64 | 45 0f 6f f9 | mm1=0102030405060708 | mm7=0102030405060708 ftw=ff | REX has no effect on MMX registers
        64 | 0f 77 | fsw=3800 ftw=ff | fsw=0 ftw=0 | emms
        // A fault changes nothing.
        64 | 0f 6f 0b | fsw=2800 absent=21 | #PF(0)@21000
        64 | 0f 7f 0b | fsw=2800 readonly=21 | #PF(3)@21000
        64 | 0f 6f 0b | fcw=37e fsw=8081 absent=21 | #MF | a pending x87 exception comes first
        64 | 0f 77 | fcw=37e fsw=8081 | #MF
        64 | 0f fc ca | +em +ts | #UD
        64 | 0f fc ca | +ts | #NM
        64 | 0f fc ca | -osfxsr ftw=ff | mm1=0000000000000000 | MMX does not ask for OSFXSR
        64 | f3 0f d6 ca | -osfxsr | #UD | movq2dq does
        real | 0f 6f 0f | @21000=0102030405060708 | mm1=0102030405060708 ftw=ff
        p32 | 0f 6f 0b | ds.limit=1006 | #GP(0)
        ",
    );
}

#[test]
fn operations() {
    crate::table::run(
        "
        64 | 0f fc 0b | mm1=ff01020304050607 @21000=0201010101010101 | mm1=0102030405060708 ftw=ff | paddb
        64 | 0f d4 0b | mm1=ffffffff00000000 @21000=0100000000000000 | mm1=0000000001000000 ftw=ff | paddq
        64 | 0f ef c9 | mm1=ff01020304050607 | mm1=0000000000000000 ftw=ff | pxor
        64 | 0f 60 0b | mm1=0102030405060708 @21000=a1a2a3a4 | mm1=01a102a203a304a4 ftw=ff R4@21000 | punpcklbw reads 32 bits
        64 | 0f 71 d1 04 | mm1=1020304050607080 | mm1=0102030405060708 ftw=ff | psrlw mm1, 4
        64 | 0f 70 ca 1b | mm2=0100020003000400 | mm1=0400030002000100 ftw=ff | pshufw
        64 | 0f d7 c9 | mm1=8000ff7f80010203 | rcx=15 ftw=ff | pmovmskb
        64 | 0f c4 0b 02 | mm1=0000000000000000 @21000=1234 | mm1=0000000012340000 ftw=ff R2@21000 | pinsrw
        64 | 0f c5 ca 03 | mm2=0102030405060708 | rcx=807 ftw=ff | pextrw
        64 | 0f 38 00 0b | mm1=0102030405060708 @21000=0706050480020100 | mm1=0807060500030201 ftw=ff | pshufb
        64 | 0f 3a 0f 0b 03 | mm1=1112131415161718 @21000=0102030405060708 | mm1=0405060708111213 ftw=ff | palignr
        64 | 0f e7 0b | mm1=0102030405060708 | @21000=0102030405060708 ftw=ff W8@21000 | movntq
        64 | 0f f7 ca | rdi=21000 mm1=0102030405060708 mm2=8000008000000080 | @21000=01 @21003=04 @21007=08 ftw=ff W1@21000 W1@21003 W1@21007
        64 | f3 0f d6 ca | mm2=0102030405060708 xmm1=ffffffffffffffffffffffffffffffff | xmm1=01020304050607080000000000000000 ftw=ff | movq2dq
        64 | f2 0f d6 ca | xmm2=0102030405060708ffffffffffffffff | mm1=0102030405060708 ftw=ff | movdq2q
        // Conversions: 1 and -2 in single and double precision.
        64 | 0f 2a ca | mm2=01000000feffffff | xmm1=0000803f000000c0 ftw=ff | cvtpi2ps
        64 | 0f 2a 0b | fsw=3800 @21000=01000000feffffff | xmm1=0000803f000000c0 | memory leaves the x87 state alone
        64 | 66 0f 2a 0b | fsw=3800 @21000=01000000feffffff | xmm1=000000000000f03f00000000000000c0
        64 | 0f 2c ca | xmm2=0000c03f0000c0bf | mm1=01000000ffffffff mxcsr=1fa0 ftw=ff | cvttps2pi of 1.5 and -1.5
        64 | 0f 2d ca | mxcsr=1f00 xmm2=0000807f | #XM mxcsr=1f01 ftw=ff | TOP and tags change all the same
        64 | 66 0f 2d 0b | rbx=21008 | #GP(0) | cvtpd2pi wants alignment
        ",
    );
}

#[test]
fn sse4a() {
    crate::table::run(
        "
        64 | 66 0f 78 c1 08 04 | xmm1=3412000000000000 | xmm1=2300000000000000 | extrq xmm1, 8, 4
        64 | 66 0f 79 ca | xmm1=3412000000000000 xmm2=0804 | xmm1=2300000000000000 | extrq xmm1, xmm2
        64 | f2 0f 78 ca 08 04 | xmm1=ffffffffffffffff xmm2=2300000000000000 | xmm1=3ff2ffffffffffff | insertq xmm1, xmm2, 8, 4
        64 | f2 0f 79 ca | xmm1=ffffffffffffffff xmm2=23000000000000000804 | xmm1=3ff2ffffffffffff | insertq xmm1, xmm2
        64 | f3 0f 2b 0b | xmm1=0102030405060708 | @21000=01020304 W4@21000 | movntss
        64 | f2 0f 2b 0b | xmm1=0102030405060708 | @21000=0102030405060708 W8@21000 | movntsd
        64 | f2 0f 2b 4b 01 | +am +ac cpl=3 | #AC(0)
        ",
    );
}
