//! MOV in all addressing modes, LEA, XCHG, CBW and kin.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 88 0b | rcx=1234 | @21000=34 W1@21000
        64 | 89 0b | rcx=1122334455667788 | @21000=88776655 W4@21000
        64 | 66 89 0b | rcx=1122334455667788 | @21000=8877 W2@21000
        64 | 48 89 0b | rcx=1122334455667788 | @21000=8877665544332211 W8@21000
        64 | 88 2b | rcx=1234 | @21000=12 | CH
        64 | 40 88 2b | rbp=1234 | @21000=34 | BPL
        64 | 8b 0b | rcx=ffffffffffffffff @21000=04030201 | rcx=1020304 R4@21000 | 32 bits clear the upper half
        64 | 66 8b 0b | rcx=ffffffffffffffff @21000=0403 | rcx=ffffffffffff0304
        64 | 8a 0b | rcx=ffffffffffffffff @21000=04 | rcx=ffffffffffffff04
        64 | 8a 2b | rcx=ffffffffffffffff @21000=04 | rcx=ffffffffffff04ff
        64 | 48 8b 0b | @21000=0807060504030201 | rcx=102030405060708
        64 | 8b 05 00 0f 01 00 | @21006=01000000 | rax=1 R4@21006 | RIP-relative: 0x10100 + 6 + 0x10f00 = 0x21006
        64 | 48 c7 03 fe ff ff ff | | @21000=feffffffffffffff | the immediate is sign-extended
        64 | c6 43 ff 5a | | @20fff=5a
        64 | 48 b8 08 07 06 05 04 03 02 01 | | rax=102030405060708
        64 | b8 ff ff ff ff | rax=1122334455667788 | rax=ffffffff
        64 | b4 5a | rax=1122334455667788 | rax=1122334455665a88
        64 | a1 00 10 02 00 00 00 00 00 | @21000=01020304 | rax=4030201
        64 | 67 a2 00 10 02 00 | rax=aa | @21000=aa W1@21000
        64 | 48 8b 4c c3 10 | rax=3 @21028=0100000000000000 | rcx=1 R8@21028 | base, index, scale, disp8
        64 | 67 8b 0c 03 | rax=ffffffff00000010 rbx=ffffffff00021000 @21010=01000000 | rcx=1 | 32-bit addresses wrap
        64 | 64 8b 0b | rbx=10 @50010=07000000 | rcx=7 | FS base
        64 | 65 8b 0b | rbx=fffffffffffffff0 gs.base=20 @10=07000000 | rcx=7 | base and offset wrap at 64 bits
        64 | 2e 8b 0b | cs.base=10000 @21000=07000000 | rcx=7 | no CS base in 64-bit mode
        64 | 8b 0b | rbx=800000000000 | #GP(0) | not canonical
        64 | 8b 4d 00 | rbp=800000000000 | #SS(0) | not canonical, on the stack segment
        64 | 48 8b 0b | rbx=7ffffffffff9 | #GP(0) | the last byte is not canonical
        64 | 48 8b 0b | rbx=7fffffffffff8 | #GP(0)
        64 | 8b 0b | absent=21 | #PF(0)@21000
        64 | 8b 0b | absent=21 cpl=3 | #PF(4)@21000
        64 | 89 0b | absent=21 | #PF(2)@21000
        64 | 89 0b | readonly=21 | #PF(3)@21000
        64 | 89 0b | rbx=20ffe readonly=21 | #PF(3)@21000 | no byte of the first page is written
        64 | 89 0b | rbx=20ffe rcx=04030201 | @20ffe=0102 @21000=0304 W2@20ffe W2@21000
        64 | 8b 0b | rbx=20ffe @20ffe=01020304 | rcx=4030201 R2@20ffe R2@21000
        64 | 8b 0b | rbx=20ffe absent=21 | #PF(0)@21000
        64 | 8b 0b | rbx=21001 +am +ac cpl=3 | #AC(0)
        64 | 8b 0b | rbx=21001 +am +ac @21001=01000000 | rcx=1 | alignment is checked at CPL 3 only
        64 | 8d 4c 83 04 | rax=2 rbx=1122334400000000 | rcx=c
        64 | 48 8d 4c 83 04 | rax=2 rbx=1122334400000000 | rcx=112233440000000c
        64 | 66 8d 4c 83 04 | rax=2 rbx=12345678 rcx=ffffffffffffffff | rcx=ffffffffffff5684
        64 | 67 48 8d 4c 83 04 | rax=2 rbx=1122334400000000 | rcx=c
        64 | 93 | rax=ffffffff11111111 rbx=ffffffff22222222 | rax=22222222 rbx=11111111
        64 | 48 93 | rax=1 rbx=2 | rax=2 rbx=1
        64 | 90 | rax=ffffffff11111111 | | NOP does not clear the upper half of RAX
        64 | 41 90 | rax=1 r8=2 | rax=2 r8=1
        64 | 87 0b | rcx=5 @21000=01000000 | rcx=1 @21000=05000000
        64 | 48 63 0b | @21000=feffffff | rcx=fffffffffffffffe
        64 | 66 98 | rax=80 | rax=ff80
        64 | 98 | rax=ffffffff00008000 | rax=ffff8000
        64 | 48 98 | rax=80000000 | rax=ffffffff80000000
        64 | 66 99 | rax=8000 rdx=1111111111111111 | rdx=111111111111ffff
        64 | 99 | rax=80000000 rdx=1111111111111111 | rdx=ffffffff
        64 | 48 99 | rax=7fffffffffffffff rdx=1 | rdx=0
        real | 89 0f | rcx=11223344 | @21000=4433 W2@21000
        real | 66 89 0f | rcx=11223344 | @21000=44332211
        real | 89 4e 02 | rbp=4000 rcx=1234 | @44002=3412 | BP goes by SS
        real | 89 0b | rbp=ffff rdi=3 rcx=1234 | @40002=3412 | 16-bit addresses wrap
        real | 89 0f | rbx=ffff | #GP(0) | a word at 0xffff leaves the segment
        real | 89 4e 00 | rbp=ffff | #SS(0)
        real | 67 89 0b | rbx=10000 | #GP(0) | a 32-bit address beyond 64 KiB
        real | 26 89 0f | rcx=1234 | @31000=3412
        v86 | 89 0f | rcx=1234 | @21000=3412
        v86 | 8b 0f | absent=21 | #PF(4)@21000
        p32 | 89 0b | rcx=11223344 | @21000=44332211
        p32 | 67 89 0f | rcx=11223344 rbx=12341000 | @21000=44332211
        c32 | 89 0b | rcx=11223344 | @21000=44332211
        c16 | 89 0f | rcx=11223344 | @21000=4433
        p32 | a1 00 10 00 00 | @21000=01020304 | rax=4030201
        ",
    );
}
