//! VMASKMOVPS, VPMASKMOVD: only elements whose sign bit is set.

#[test]
fn table() {
    crate::table::run(
        "
        64 | c4 e2 59 2c 0b | xmm4=0000008000000000000000800000007f xmm1=ffffffffffffffffffffffffffffffff @21000=01000000 @21008=03000000 | xmm1=01000000000000000300000000000000 R4@21000 R4@21008
        64 | c4 e2 59 2c 0b | xmm4=00 absent=21 xmm1=ff | xmm1=00 | no element: no fault
        64 | c4 e2 59 2e 0b | xmm4=00000000000000800000000000000080 xmm1=01000000020000000300000004000000 | @21004=02000000 @2100c=04000000 W4@21004 W4@2100c
        64 | c4 e2 59 2e 0b | rbx=20ffc xmm4=00000080000000800000000000000000 readonly=21 | #PF(3)@21000 | the first element is not stored
        64 | c4 e2 59 2e 0b | rbx=20ffc xmm4=00000080000000000000000000000000 xmm1=01020304 readonly=21 | @20ffc=01020304 | elements on the bad page are off
        64 | c4 e2 5d 8c 0b | rbx=20ffc xmm4=0000008000000080 absent=21 | #PF(0)@21000
        64 | c4 e2 d9 8e 0b | xmm4=00000000000000800000000000000000 xmm1=0102030405060708 | @21000=0102030405060708 W8@21000
        64 | c4 e2 59 2c 0b | xmm4=00000080 rbx=21001 @21001=01000000 | xmm1=01000000 | no alignment
        c32 | c4 e2 59 2e 0b | rbx=ffffc xmm4=00000080000000000000000000000000 xmm1=01020304 | @11fffc=01020304 | inactive elements may lie beyond the limit
        c32 | c4 e2 59 2e 0b | rbx=ffffc xmm4=00000080000000800000000000000000 | #GP(0)
        ",
    );
}
