//! PUSHA, POPA, ENTER, LEAVE, PUSH of segment registers, in the modes that a process cannot enter.

#[test]
fn table() {
    crate::table::run(
        "
        real | 60 | rax=1 rcx=2 rdx=3 rbx=4 rbp=5 rsi=6 rdi=7 | rsp=7ff0 @47ff0=07000600050000800400030002000100 W2@47ffe W2@47ffc W2@47ffa W2@47ff8 W2@47ff6 W2@47ff4 W2@47ff2 W2@47ff0 | the image of SP is the old one
        real | 60 | rsp=3 rax=1 | #SS(0) @40001=0100 | AMD: AX is stored before CX's word at FFFFh is refused
        v86 | 61 | rax=ffff0000 @48000=07000600050055aa0400030002000100 | rdi=7 rsi=6 rbp=5 rbx=4 rdx=3 rcx=2 rax=ffff0001 rsp=8010 | SP's image is passed over
        v86 | 61 | absent=48 | #PF(4)@48000
        real | 66 61 | rsp=7ff0 rax=0 @47ff0=07000000060000000500000055555555040000000300000002000000 @4800c=0a0b0c0d | rdi=7 rsi=6 rbp=5 rbx=4 rdx=3 rcx=2 rax=d0c0b0a rsp=8010
        p32 | 60 | rsp=8000 ss.limit=7ff0 rax=1 | #SS(0) | EAX's doubleword itself lies outside
        64 | 60 | | #UD
        real | c8 10 00 00 | rbp=1234 | rsp=7fee rbp=7ffe @47ffe=3412 W2@47ffe | enter 10h, 0
        real | c8 10 00 01 | rbp=1234 | rsp=7fec rbp=7ffe @47ffc=fe7f3412 W2@47ffe W2@47ffc | level 1: the new frame pointer
        real | c8 10 00 03 | rbp=1234 @41230=22221111 | rsp=7fe8 rbp=7ffe @47ff8=fe7f222211113412 W2@47ffe R2@41232 W2@47ffc R2@41230 W2@47ffa W2@47ff8 | level 3
        v86 | 66 c8 00 00 00 | rbp=11223344 | rsp=7ffc rbp=7ffc @47ffc=44332211
        p32 | c8 10 00 02 | rbp=1234 @41230=44332211 | rsp=7fe4 rbp=7ffc @47ff4=fc7f00004433221134120000
        p32 | c8 10 00 00 | ss.attr=93 rsp=12340000 rbp=5 | rsp=1234ffec rbp=1234fffc @4fffc=05000000 | a 16-bit stack
        64 | c8 10 00 20 | rbp=1234 | rsp=47fe8 rbp=47ff8 @47ff8=3412000000000000 | 20h is level 0
        64 | c8 ff ff 00 | rbp=1234 absent=37 | #PF(2)@37ff9 @47ff8=3412000000000000 | where the stack pointer will point must be writable
        p32 | 06 | | rsp=7ffc @47ffc=00300000 W4@47ffc | AMD: the doubleword
        p32 | 66 06 | | rsp=7ffe @47ffe=0030
        real | 0e | | rsp=7ffe @47ffe=0010
        64 | 0f a0 | fs.null | rsp=47ff8 @47ff8=0000000000000000
        real | 8c d8 | rax=12345678 | rax=12342000
        p32 | 8c d8 | rax=12345678 | rax=2000 | a register of 32 bits is zero-extended
        p32 | 8c 1b | | @21000=0020 W2@21000 | memory gets a word
        ",
    );
}

/// Intel's processors store half of a doubleword, and do nothing by halves.
#[test]
fn intel() {
    crate::table::run_with(
        encore86::Profile::all(),
        "
        p32 | 06 | @47ffc=ffffffff | rsp=7ffc @47ffc=0030 W2@47ffc
        p32 | 60 | absent=47 rsp=8008 | #PF(2)@47ffc | nothing is stored on the page before
        p32 | c8 10 00 01 | absent=47 rsp=8004 rbp=1234 | #PF(2)@47ffc
        ",
    );
}
