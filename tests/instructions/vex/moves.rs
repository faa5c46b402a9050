//! VEX moves: no alignment, upper bits zero, gates.

#[test]
fn table() {
    crate::table::run(
        "
        64 | c5 fe 6f 0b | rbx=21001 @21001=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f | xmm1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f R32@21001
        64 | c5 fd 6f 0b | rbx=21010 | #GP(0) | VMOVDQA wants 32
        64 | c5 f9 6f 0b | rbx=21008 | #GP(0)
        64 | c5 f5 fe 0b | rbx=21004 xmm1=01 @21004=0100000000000000000000000000000000000000000000000000000000000000 | xmm1=02 R32@21004
        64 | c5 fe 7f 0b | rbx=20ff0 readonly=21 | #PF(3)@21000
        64 | c5 f9 e7 0b | rbx=21008 | #GP(0)
        64 | c4 e3 7d 19 0b 01 | xmm1=00000000000000000000000000000000000102030405060708090a0b0c0d0e0f | @21000=000102030405060708090a0b0c0d0e0f W16@21000
        64 | c5 fd 6f 0b | -osxsave | #UD
        64 | c5 fd 6f 0b | xcr0=3 | #UD
        64 | c5 fd 6f 0b | +ts | #NM
        64 | c5 fd 6f 0b | +em @21000=0000000000000000000000000000000000000000000000000000000000000000 | | CR0.EM does not matter to VEX
        real | c5 fd 6f c9 | | #UD
        v86 | c5 fd 6f c9 | | #UD
        c32 | c5 fa 7e 0b | @21000=0102030405060708 | xmm1=0102030405060708
        64 | c5 f8 77 | xmm1=ffffffffffffffffffffffffffffffffffffffff | xmm1=ffffffffffffffffffffffffffffffff00000000
        64 | c5 fc 77 | xmm1=ff xmm15=ff | xmm1=00 xmm15=00
        ",
    );
}
