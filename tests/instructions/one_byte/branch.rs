//! Jumps, loops, calls and returns near.

#[test]
fn table() {
    crate::table::run(
        "
        64 | eb fe | | rip=10100
        64 | e9 00 01 00 00 | | rip=10205
        64 | 74 10 | f=Z | rip=10112
        64 | 74 10 | f= |
        64 | 7c 10 | f=S | rip=10112
        64 | 7c 10 | f=SO |
        64 | 7f 10 | f= | rip=10112
        64 | 76 10 | f=C | rip=10112
        64 | 0f 85 00 01 00 00 | f= | rip=10206
        64 | e2 fe | rcx=2 | rcx=1 rip=10100
        64 | e2 fe | rcx=1 | rcx=0
        64 | e2 fe | rcx=0 | rcx=ffffffffffffffff rip=10100
        64 | 67 e2 fd | rcx=100000000 | rcx=ffffffff rip=10100 | ECX: the write clears the upper half
        64 | e1 fe | rcx=5 f=Z | rcx=4 rip=10100
        64 | e1 fe | rcx=5 f= | rcx=4
        64 | e0 fe | rcx=5 f= | rcx=4 rip=10100
        64 | e3 10 | rcx=0 | rip=10112
        64 | e3 10 | rcx=100000000 |
        64 | 67 e3 10 | rcx=100000000 | rip=10113
        64 | ff e0 | rax=123456789 | rip=123456789
        64 | ff e0 | rax=800000000000 | #GP(0)
        64 | ff 23 | @21000=8877665544330000 | rip=334455667788 R8@21000
        64 | e8 00 01 00 00 | | rip=10205 rsp=47ff8 @47ff8=0501010000000000 W8@47ff8
        64 | ff d0 | rax=800000000000 | #GP(0) | nothing is pushed
        64 | e8 00 01 00 00 | absent=47 | #PF(2)@47ff8
        64 | c3 | @48000=0010010000000000 | rip=11000 rsp=48008 R8@48000
        64 | c2 10 00 | @48000=0010010000000000 | rip=11000 rsp=48018
        64 | c3 | @48000=0000000000800000 | #GP(0)
        64 | c3 | rsp=800000000000 | #SS(0)
        real | eb 10 | rip=fff0 cs.limit=ffff | rip=2
        real | e8 00 80 | rip=0 | rip=8003 rsp=7ffe @47ffe=0300
        real | c3 | @48000=3412 | rip=1234 rsp=8002
        real | e8 00 00 | rsp=1 | #SS(0) | a word at 0xffff
        real | e8 00 00 | rsp=0 | rip=103 rsp=fffe @4fffe=0301 | SP wraps
        p32 | e8 00 01 00 00 | | rip=205 rsp=7ffc @47ffc=05010000
        p32 | 66 e8 00 01 | rip=f00 | rip=1004 rsp=7ffe @47ffe=040f
        p32 | c3 | @48000=00001000 | #GP(0) | beyond the limit of CS
        p32 | ff e0 | rax=fffff | rip=fffff
        p16 | 66 e9 00 00 01 00 | | #GP(0)
        ",
    );
}
