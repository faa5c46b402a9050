//! DAA, DAS, AAA, AAS, AAM, AAD; BOUND, ARPL.

#[test]
fn table() {
    crate::table::run(
        "
        real | 27 | rax=ffffff9a f= | rax=ffffff00 f=CPAZ u=O | daa
        real | 27 | rax=79 f= | rax=79 f= u=O
        real | 27 | rax=34 f=A | rax=3a f=PA u=O
        real | 27 | rax=12 f=C | rax=72 f=CP u=O
        v86 | 27 | rax=ae f=A | rax=14 f=CPA u=O | the manual's example: 79 + 35
        real | 2f | rax=ee f=CA | rax=88 f=CPAS u=O | das: 35 - 47, the manual's example
        real | 2f | rax=5 f=A | rax=ff f=CPAS u=O | the low digit borrows
        real | 2f | rax=3 f= | rax=3 f=P u=O
        real | 37 | rax=20f f= | rax=305 f=CA u=OSZP | aaa
        real | 37 | rax=205 f=C | rax=205 f= u=OSZP
        real | 37 | rax=2f5 f=A | rax=30b f=CA u=OSZP | 2F5h + 106h
        p32 | 3f | rax=20f f= | rax=109 f=CA u=OSZP | aas
        p32 | 3f | rax=200 f=A | rax=a f=CA u=OSZP | the manual since the 80386: AX - 6, then AH - 1
        real | d4 0a | rax=3f | rax=603 f=P u=OAC | aam
        real | d4 10 | rax=a5 | rax=a05 f=P u=OAC | another base
        real | d4 01 | rax=5 | rax=500 f=PZ u=OAC
        real | d4 00 | rax=5 | #DE
        real | d5 0a | rax=603 | rax=3f f=P u=OAC | aad
        real | d5 10 | rax=ff01 | rax=f1 f=S u=OAC | the sum has eight bits
        64 | 27 | | #UD
        64 | d4 0a | | #UD
        64 | d5 0a 90 | | #UD | REX2's payload
        p32 | 62 03 | rax=5 @21000=0500000006000000 | R4@21000 R4@21004 | bound
        p32 | 62 03 | rax=7 @21000=0500000006000000 | #BR
        p32 | 62 03 | rax=4 @21000=0500000006000000 | #BR
        p32 | 62 03 | rax=ffffffff @21000=feffffff00000000 | | the numbers have signs
        real | 62 07 | rax=12340005 @21000=05000600 | R2@21000 R2@21002
        p32 | 62 c3 90 90 90 90 | | #UD | no register form: EVEX
        p32 | 62 03 | absent=21 | #PF(0)@21000
        p32 | 62 03 | ds.limit=1006 | #GP(0) | the upper bound lies outside
        p32 | 63 0b | rcx=3 @21000=f0ff | @21000=f3ff f=Z R2@21000 W2@21000 | arpl
        p32 | 63 0b | rcx=3 f=Z @21000=f3ff | f= R2@21000 | the RPL is not lower: no store
        p32 | 63 0b | rcx=3 f=Z @21000=f3ff readonly=21 | f= | nor a fault of one
        p32 | 63 cb | rcx=ffff0002 rbx=12340001 | rbx=12340002 f=Z
        c16 | 63 cb | rcx=0 rbx=1 f=Z | f=
        real | 63 cb | | #UD
        v86 | 63 cb | | #UD
        ",
    );
}
