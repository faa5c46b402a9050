//! PUSH, POP, PUSHF, POPF, LEAVE.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 51 | rcx=1122334455667788 | rsp=47ff8 @47ff8=8877665544332211 W8@47ff8
        64 | 66 51 | rcx=1122334455667788 | rsp=47ffe @47ffe=8877 W2@47ffe
        64 | 54 | | rsp=47ff8 @47ff8=0080040000000000 | PUSH RSP pushes the old value
        64 | 5c | @48000=0100000000000000 | rsp=1 | POP RSP: the value wins
        64 | 59 | @48000=8877665544332211 | rcx=1122334455667788 rsp=48008 R8@48000
        64 | 66 59 | rcx=ffffffffffffffff @48000=3412 | rcx=ffffffffffff1234 rsp=48002
        64 | 6a ff | | rsp=47ff8 @47ff8=ffffffffffffffff
        64 | 68 00 00 00 80 | | rsp=47ff8 @47ff8=00000080ffffffff
        64 | ff 33 | @21000=0102030405060708 | rsp=47ff8 @47ff8=0102030405060708 R8@21000 W8@47ff8
        64 | 8f 03 | @48000=0102030405060708 | rsp=48008 @21000=0102030405060708 R8@48000 W8@21000
        64 | 8f 04 24 | @48000=0102030405060708 | rsp=48008 @48008=0102030405060708 | the address counts RSP after the pop
        64 | 8f 03 | readonly=21 | #PF(3)@21000
        64 | 51 | absent=47 | #PF(2)@47ff8
        64 | 51 | rsp=800000000008 | #SS(0)
        64 | 51 | rsp=47ff9 +am +ac cpl=3 | #AC(0)
        64 | 9c | f=CZ +if | rsp=47ff8 @47ff8=4302000000000000
        64 | 9d | @48000=d50f240000000000 | rsp=48008 rflags=240fd7 | CPL 0 changes IF, IOPL (0 here), AC and ID
        64 | 9d | cpl=3 @48000=003f000000000000 | rsp=48008 rflags=d02 | CPL 3 above IOPL: IF and IOPL stay, TF, DF and OF come
        64 | 9d | rflags=10002 @48000=0200000000000000 | rsp=48008 rflags=2 | RF is cleared
        64 | c9 | rbp=44000 @44000=0100000000000000 | rbp=1 rsp=44008
        p32 | 51 | rcx=11223344 | rsp=7ffc @47ffc=44332211
        p32 | 51 | ss.attr=93 rsp=12340000 rcx=11223344 | rsp=1234fffc @4fffc=44332211 | a 16-bit stack: SP only
        p32 | 51 | ss.null | #SS(0)
        p32 | 51 | ss.limit=7ffb | #SS(0)
        p32 | 51 | ss.attr=4091 | #SS(0) | a read-only stack
        p32 | 66 c9 | rbp=4000 @44000=3412 | rbp=1234 rsp=4002
        real | 51 | rcx=1234 | rsp=7ffe @47ffe=3412
        real | 66 51 | rcx=11223344 | rsp=7ffc @47ffc=44332211
        real | 51 | rsp=1 | #SS(0)
        v86 | 9c | | #GP(0) | IOPL below 3
        v86 | 9d | | #GP(0)
        v86 | 9c | rflags=23002 | rsp=7ffe @47ffe=0230
        ",
    );
}
