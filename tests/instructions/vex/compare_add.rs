//! CMPccXADD.

#[test]
fn table() {
    crate::table::run(
        "
        64 | c4 e2 71 e4 03 | rax=5 rcx=7 @21000=05000000 | @21000=0c000000 rax=5 f=PZ | cmpzxadd [rbx], eax, ecx: equal
        64 | c4 e2 71 e4 03 | rax=6 rcx=7 @21000=05000000 | @21000=05000000 rax=5 f=CPAS | not equal: memory keeps its value, EAX has it
        64 | c4 e2 f1 e2 03 | rax=6 rcx=7 @21000=0500000000000000 | @21000=0c00000000000000 rax=5 f=CPAS | cmpbxadd [rbx], rax, rcx
        64 | c4 e2 71 ef 03 | rax=5 rcx=ffffffff @21000=06000000 | @21000=05000000 rax=6 f= | cmpnlexadd: 6 above 5
        64 | c4 e2 71 e4 03 | rax=ffffffff00000005 rcx=1 @21000=05000000 | @21000=06000000 rax=5 f=PZ | the upper half is cleared
        64 | c4 e2 71 e4 43 01 | rax=5 | #GP(0) | not aligned
        64 | c4 e2 f1 e4 43 04 | rax=5 | #GP(0) | nor to eight bytes
        64 | c4 e2 71 e4 03 | readonly=21 rax=6 | #PF(3)@21000 | it is a store whatever the condition
        64 | c4 e2 71 e4 03 | absent=21 | #PF(2)@21000
        64 | c4 e2 71 e4 03 | rbx=800000000000 | #GP(0)
        64 | c4 e2 71 e4 c3 | | #UD | memory alone
        p32 | c4 e2 71 e4 03 | | #UD | 64-bit mode alone
        64 | 62 f2 75 08 e4 03 | apx rax=5 rcx=7 @21000=05000000 | @21000=0c000000 rax=5 f=PZ | with EVEX
        64 | 62 ea 6d 00 e4 03 | apx r16=5 r18=7 r19=21000 @21000=05000000 | @21000=0c000000 r16=5 f=PZ | cmpzxadd [r19], r16d, r18d
        ",
    );
}
