//! R16 to R31 in every place: REX2 and EVEX, operands, base, index; JMPABS; what shares the promoted encodings.

#[test]
fn table() {
    crate::table::run(
        "
        64 | d5 18 89 c1 | apx rax=5 r17=ffffffffffffffff | r17=5 | mov r17, rax
        64 | d5 44 89 c1 | apx r24=ffffffff00000005 | rcx=5 | mov ecx, r24d
        64 | d5 4c 89 c1 | apx r24=ffffffff00000005 | rcx=ffffffff00000005 | mov rcx, r24
        64 | d5 55 89 fe | apx r31=5 | r30=5 | mov r30d, r31d
        64 | d5 10 88 07 | apx rax=5a r23=21000 | @21000=5a W1@21000 | mov [r23], al
        64 | d5 10 8b 0c 24 | apx r20=21000 @21000=05000000 | rcx=5 R4@21000 | mov ecx, [r20]: a SIB byte for the register above RSP
        64 | d5 10 8b 4d 00 | apx r21=21000 @21000=05000000 | rcx=5 | mov ecx, [r21]
        64 | d5 20 8b 0c e3 | apx r20=2 @21010=05000000 | rcx=5 | mov ecx, [rbx+r20*8]: R20 is an index
        64 | d5 30 8b 0c a3 | apx r19=21000 r20=4 @21010=05000000 | rcx=5 | mov ecx, [r19+r20*4]
        64 | d5 33 8b 0c a3 | apx r27=21000 r28=4 @21010=05000000 | rcx=5 | mov ecx, [r27+r28*4]
        64 | f0 d5 10 01 0f | apx rcx=1 r23=21000 @21000=ffffffff | @21000=00000000 f=CPAZ | lock add [r23], ecx
        64 | f0 d5 90 b1 0f | apx rax=5 rcx=7 r23=21000 @21000=05000000 | @21000=07000000 f=PZ | lock cmpxchg [r23], ecx
        64 | d5 90 af cb | apx rcx=3 r19=4 | rcx=c f= u=PAZS | imul ecx, r19d
        64 | d5 10 87 d9 | apx rbx=1 r17=2 | rbx=2 r17=1 | xchg r17d, ebx
        64 | d5 10 bf 08 07 06 05 | apx | r23=5060708 | mov r23d, imm32
        64 | d5 18 b9 08 07 06 05 04 03 02 01 | apx | r17=102030405060708 | mov r17, imm64
        64 | d5 98 c8 | apx r16=1122334455667788 | r16=8877665544332211 | bswap r16
        64 | d5 00 a1 08 07 06 05 04 03 00 00 | apx | rip=30405060708 | jmpabs
        64 | d5 00 a1 08 07 06 05 04 03 02 01 | apx | #GP(0) | not canonical
        64 | d5 10 ff e0 | apx r16=123456 | rip=123456 | jmp r16
        64 | d5 10 a4 | apx | #UD | no strings under REX2
        64 | d5 18 89 c1 | rax=5 | #UD | XCR0 does not enable APX
        64 | d5 18 89 c1 | apx -osxsave | #UD
        64 | 62 fc 6c 10 01 cb | apx rcx=7 r19=5 r18=0 | r18=c f=P | add r18d, r19d, ecx
        64 | 62 e4 7c 08 01 13 | apx r18=7 @21000=05000000 | @21000=0c000000 f=P | add [rbx], r18d
        64 | 62 fc 7c 08 01 0b | apx r19=21000 rcx=7 @21000=05000000 | @21000=0c000000 f=P | add [r19], ecx
        64 | 62 f4 78 08 01 0c a3 | apx r20=4 rcx=7 @21010=05000000 | @21010=0c000000 f=P | add [rbx+r20*4], ecx
        64 | 62 f4 7c 08 01 4b 7f | apx rcx=7 @2107f=05000000 | @2107f=0c000000 f=P | the displacement is not scaled
        64 | 62 fc 7c 08 f9 0b | apx r19=21000 rcx=7 | @21000=07000000 W4@21000 | movdiri [r19], ecx
        64 | 62 fc 7c 08 fc 0b | apx r19=21000 rcx=7 f=C @21000=05000000 | @21000=0c000000 f=C | aadd [r19], ecx
        ",
    );
}

/// KMOV with EVEX is replayed as the same with VEX.
#[test]
fn kmov() {
    use encore86::isa::Feature::{Avx512bw, Avx512dq};
    crate::table::run_where(
        &[Avx512bw, Avx512dq],
        "
        64 | 62 f9 fc 08 90 0b | apx r19=21000 @21000=0807060504030201 | k1=102030405060708 R8@21000 | kmovq k1, [r19]
        64 | 62 f1 fc 08 91 0b | apx k1=1122334455667788 rbx=21000 | @21000=8877665544332211 W8@21000 | kmovq [rbx], k1
        64 | 62 f1 fc 08 90 13 | apx rbx=21000 @21000=0807060504030201 | k2=102030405060708 R8@21000 | kmovq k2, [rbx]
        64 | 62 f1 7f 08 92 cb | apx rbx=ffffffff11223344 k1=0 | k1=11223344 | kmovd k1, ebx
        64 | 62 f1 ff 08 93 cb | apx k3=ffffffff11223344 | rcx=ffffffff11223344 | kmovq rcx, k3
        64 | 62 e1 ff 08 93 cb | apx k3=ffffffff11223344 | r17=ffffffff11223344 | kmovq r17, k3
        64 | 62 f1 7d 08 93 cb | apx k3=ffffffff11223344 rcx=ffffffffffffffff | rcx=44 | kmovb ecx, k3
        ",
    );
}
