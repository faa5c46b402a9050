//! CMPXCHG, XADD, CMPXCHG8B, CMPXCHG16B.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 0f b1 0b | rax=5 rcx=7 @21000=05000000 | @21000=07000000 f=PZ R4@21000 W4@21000
        64 | 0f b1 0b | rax=ffffffff00000005 rcx=7 @21000=06000000 | rax=6 f=CPAS @21000=06000000 R4@21000 W4@21000 | the old value is written back
        64 | f0 48 0f b1 0b | rax=5 rcx=7 @21000=0500000000000000 | @21000=0700000000000000 f=PZ
        64 | 0f b1 0b | rax=5 @21000=06000000 readonly=21 | #PF(3)@21000 | writing is checked although nothing would change
        64 | 0f c1 0b | rcx=3 @21000=05000000 | rcx=5 @21000=08000000 f=
        64 | f0 0f c0 0b | rcx=ff03 @21000=05 | rcx=ff05 @21000=08 f=
        64 | 0f c7 0b | rax=1 rdx=2 rbx=21000 rcx=9 @21000=0100000002000000 | @21000=0010020009000000 f=Z | ECX:EBX
        64 | 0f c7 0b | f=CZ rax=0 rdx=0 @21000=0100000002000000 | rax=1 rdx=2 f=C @21000=0100000002000000
        64 | f0 48 0f c7 0b | rax=1 rdx=2 rcx=9 @21000=01000000000000000200000000000000 | @21000=00100200000000000900000000000000 f=Z
        64 | 48 0f c7 0b | rbx=21008 | #GP(0) | not aligned to 16
        ",
    );
}
