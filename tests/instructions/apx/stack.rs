//! PUSH2, POP2, PUSHP, POPP.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 62 f4 64 18 ff f1 | apx rbx=1122334455667788 rcx=99aabbccddeeff00 | rsp=47ff0 @47ff0=00ffeeddccbbaa998877665544332211 W16@47ff0 | push2 rbx, rcx: RBX first
        64 | 62 f4 e4 18 ff f1 | apx rbx=1 rcx=2 | rsp=47ff0 @47ff0=02000000000000000100000000000000 | push2p
        64 | 62 f4 64 18 8f c1 | apx @48000=08070605040302011817161514131211 | rsp=48010 rbx=102030405060708 rcx=1112131415161718 R16@48000 | pop2 rbx, rcx: RBX first
        64 | 62 f4 e4 18 8f c1 | apx @48000=01000000000000000200000000000000 | rsp=48010 rbx=1 rcx=2 | pop2p
        64 | 62 fc 6c 10 ff f1 | apx r18=1 r17=2 | rsp=47ff0 @47ff0=02000000000000000100000000000000 | push2 r18, r17
        64 | 62 f4 64 18 ff f3 | apx rbx=1 | rsp=47ff0 @47ff0=01000000000000000100000000000000 | push2 rbx, rbx
        64 | 62 f4 64 18 8f c3 | apx | #UD | POP2 to one register
        64 | 62 f4 5c 18 ff f1 | apx | #UD | not RSP
        64 | 62 f4 64 18 ff f1 | apx rsp=47ff8 | #GP(0) | the stack is not aligned to 16 bytes
        64 | 62 f4 64 18 8f c1 | apx rsp=47ff8 | #GP(0)
        64 | 62 f4 64 18 ff f1 | apx absent=47 | #PF(2)@47ff0
        64 | 62 f4 64 18 8f c1 | apx absent=48 | #PF(0)@48000
        64 | 62 f4 64 18 ff f1 | apx rsp=800000000010 | #SS(0)
        64 | d5 08 51 | apx rcx=1122334455667788 | rsp=47ff8 @47ff8=8877665544332211 W8@47ff8 | pushp rcx
        64 | d5 18 51 | apx r17=1 | rsp=47ff8 @47ff8=0100000000000000 | pushp r17
        64 | d5 08 59 | apx @48000=8877665544332211 | rcx=1122334455667788 rsp=48008 R8@48000 | popp rcx
        64 | d5 10 59 | apx @48000=8877665544332211 | r17=1122334455667788 rsp=48008 | pop r17
        64 | d5 10 8f 04 24 | apx r20=21000 @48000=0100000000000000 | rsp=48008 @21000=0100000000000000 R8@48000 W8@21000 | pop [r20]
        ",
    );
}
