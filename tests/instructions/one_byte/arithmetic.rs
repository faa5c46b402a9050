//! The eight arithmetic lines, groups 1 to 5, flags.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 01 0b | rcx=1 @21000=ffffffff | @21000=00000000 f=CPAZ R4@21000 W4@21000
        64 | 01 0b | rcx=1 @21000=ffffff7f | @21000=00000080 f=PASO
        64 | 48 01 0b | rcx=1 @21000=ffffffff00000000 | @21000=0000000001000000 f=PA
        64 | 00 0b | rcx=7f @21000=01 | @21000=80 f=ASO
        64 | 11 0b | f=C rcx=0 @21000=ffffffff | @21000=00000000 f=CPAZ
        64 | 29 0b | rcx=1 @21000=00000000 | @21000=ffffffff f=CPAS
        64 | 19 0b | f=C rcx=ffffffff @21000=00000000 | @21000=00000000 f=CPAZ
        64 | 39 0b | rcx=5 @21000=05000000 | f=PZ R4@21000 | CMP does not store
        64 | 21 0b | f=CO rcx=f0f0 @21000=ff000000 | @21000=f0000000 f=P u=A
        64 | 09 0b | f=CO rcx=0 @21000=00000000 | @21000=00000000 f=PZ u=A
        64 | 31 c9 | rcx=ffffffffffffffff f=C | rcx=0 f=PZ u=A
        64 | 85 0b | rcx=80000000 @21000=000000ff | f=PS u=A R4@21000
        64 | 83 03 ff | @21000=01000000 | @21000=00000000 f=CPAZ | the byte is sign-extended
        64 | 48 05 ff ff ff ff | rax=1 | rax=0 f=CPAZ
        64 | ff 03 | f=C @21000=ffffff7f | @21000=00000080 f=CPASO | INC keeps CF
        64 | fe 0b | f=C @21000=00 | @21000=ff f=CPAS
        64 | f7 13 | f=CZ @21000=00ff00ff | @21000=ff00ff00 | NOT changes no flag
        64 | f7 1b | @21000=01000000 | @21000=ffffffff f=CPAS
        64 | f7 1b | f=C @21000=00000000 | @21000=00000000 f=PZ
        64 | d1 23 | @21000=000000c0 | @21000=00000080 f=CSP u=AO
        64 | d1 3b | @21000=01000080 | @21000=000000c0 f=CSP u=A
        64 | c1 2b 20 | f=CO @21000=01000000 | @21000=01000000 R4@21000 W4@21000 | a count of 32 is 0: no flag changes
        64 | d3 03 | f= rcx=21 @21000=01000080 | @21000=03000000 f=C u=O | 33 is 1; ROL changes CF and OF only
        64 | d1 13 | f=C @21000=00000080 | @21000=01000000 f=CO
        64 | d0 1b | f=C @21000=01 | @21000=80 f=CO | RCR by 1: OF is the XOR of the two top bits
        64 | f6 23 | rax=10 @21000=10 | rax=100 f=CO u=PAZS
        64 | f7 23 | rax=ffffffff @21000=02000000 | rax=fffffffe rdx=1 f=CO u=PAZS
        64 | f7 2b | rax=ffffffff rdx=7 @21000=02000000 | rax=fffffffe rdx=ffffffff f= u=PAZS
        64 | 0f af 0b | rcx=3 @21000=ffffffff | rcx=fffffffd f= u=PAZS
        64 | 6b 0b 05 | @21000=00000040 | rcx=40000000 f=CO u=PAZS
        64 | f7 33 | rax=7 rdx=0 @21000=02000000 | rax=3 rdx=1 u=CPAZSO
        64 | f7 33 | rax=7 rdx=2 @21000=02000000 | #DE | the quotient does not fit
        64 | f7 33 | @21000=00000000 | #DE
        64 | f6 3b | rax=fff9 @21000=02 | rax=fffd u=CPAZSO | -7 / 2 = -3, remainder -1
        64 | f6 3b | rax=ff00 @21000=02 | rax=80 u=CPAZSO | -256 / 2 = -128
        64 | f6 3b | rax=fefe @21000=02 | #DE | -258 / 2 = -129
        64 | f0 01 0b | rcx=1 @21000=ffffffff | @21000=00000000 f=CPAZ
        64 | f0 01 cb | | #UD
        64 | f0 39 0b | | #UD
        64 | 01 0b | readonly=21 | #PF(3)@21000
        64 | f0 01 0b | readonly=21 | #PF(3)@21000
        p32 | 40 | rax=ffffffff f= | rax=0 f=PAZ
        real | 48 | rax=12340000 | rax=1234ffff f=PAS
        64 | f5 | f=CZ | f=Z
        64 | f9 | f= | f=C
        64 | fd | f= | f=D
        64 | fc | f=DC | f=C
        64 | 9f | rax=0 f=CZS | rax=c300
        64 | 9e | rax=d500 f=O | f=CPAZSO
        64 | d7 | rbx=21000 rax=ffff10 @21010=5a | rax=ffff5a R1@21010
        p32 | d7 | rbx=fffffff8 rax=10 @20008=5a | rax=5a | EBX + AL wraps
        ",
    );
}
