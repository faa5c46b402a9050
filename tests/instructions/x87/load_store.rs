//! FLD, FST, FILD, FIST and the control registers.

#[test]
fn table() {
    crate::table::run(
        "
        64 | d9 03 | @21000=0000803f | ftw=80 fsw=3800 st0=0000000000000080ff3f fop=103 fip=10100 fdp=21000 fcs=8 fds=10 R4@21000 | 1.0
        64 | dd 03 | @21000=000000000000f0bf | ftw=80 fsw=3800 st0=0000000000000080ffbf fop=503 fip=10100 fdp=21000 fcs=8 fds=10 R8@21000 | -1.0
        64 | db 2b | @21000=0102030405060788ff3f | ftw=80 fsw=3800 st0=0102030405060788ff3f fop=32b fip=10100 fdp=21000 fcs=8 fds=10 R10@21000
        64 | df 03 | @21000=feff | ftw=80 fsw=3800 st0=000000000000008000c0 fop=703 fip=10100 fdp=21000 fcs=8 fds=10 | -2
        64 | d9 1b | ftw=1 st0=0000000000000080ff3f | ftw=0 fsw=0800 fop=11b fip=10100 fdp=21000 fcs=8 fds=10 @21000=0000803f W4@21000
        64 | d9 13 | ftw=1 st0=0000000000000080ff3f | fop=113 fip=10100 fdp=21000 fcs=8 fds=10 @21000=0000803f
        64 | df 1b | ftw=1 st0=000000000000008000c0 | ftw=0 fsw=0800 fop=71b fip=10100 fdp=21000 fcs=8 fds=10 @21000=feff W2@21000
        64 | db 1b | ftw=1 st0=000000000000008000c0 absent=21 | #PF(2)@21000 | nothing is popped
        64 | d9 3b | fcw=37f | @21000=7f03 W2@21000
        64 | d9 2b | @21000=7f02 | fcw=27f
        64 | df e0 | fsw=3841 rax=ffffffff | rax=ffff3841
        64 | d9 03 | +ts | #NM
        64 | d9 03 | +em | #NM
        64 | d9 03 | fsw=8081 fcw=37e | #MF
        64 | df e0 | fsw=8081 fcw=37e rax=0 | rax=8081 | FNSTSW does not wait
        64 | db e2 | fsw=b8ff | fsw=3800
        real | d9 07 | @21000=0000803f | ftw=80 fsw=3800 st0=0000000000000080ff3f fop=107 fip=100 fdp=1000 fcs=1000 fds=2000
        ",
    );
}

/// The pointers are those of the last instruction that is no control instruction.
#[test]
fn pointers() {
    crate::table::run_with(
        encore86::Profile::all(),
        "
        64 | d9 03 | @21000=0000803f | ftw=80 fsw=3800 st0=0000000000000080ff3f fop=103 fip=10100 fdp=21000 fcs=8 fds=10
        64 | d9 e8 | fdp=77 | ftw=80 fsw=3800 st0=0000000000000080ff3f fop=1e8 fip=10100 fcs=8
        64 | d9 3b | fop=11 | @21000=7f03 | a control instruction leaves them
        ",
    );
}
