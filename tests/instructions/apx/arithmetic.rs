//! EVEX map 4: new destinations (ND), flags that stay (NF), zeroed upper halves (ZU).

#[test]
fn table() {
    crate::table::run(
        "
        64 | 62 f4 bc 18 01 cb | apx rbx=5 rcx=7 | r8=c f=P | add r8, rbx, rcx
        64 | 62 f4 bc 1c 01 cb | apx rbx=5 rcx=7 f=CO | r8=c f=CO | {nf} add r8, rbx, rcx
        64 | 62 f4 fc 0c 01 cb | apx rbx=5 rcx=7 f=CO | rbx=c f=CO | {nf} add rbx, rcx
        64 | 62 f4 fc 08 01 cb | apx rbx=5 rcx=7 f=CO | rbx=c f=P | add rbx, rcx
        64 | 62 f4 3c 18 00 cb | apx rbx=ff rcx=1 r8=ffffffffffffffff | r8=0 f=CPAZ | add r8b, bl, cl: bits 63:8 are cleared
        64 | 62 f4 3d 18 01 cb | apx rbx=7fff rcx=1 r8=ffffffffffffffff | r8=8000 f=PASO | add r8w, bx, cx: bits 63:16 are cleared
        64 | 62 f4 3c 18 01 cb | apx rbx=ffffffff00000001 rcx=2 r8=ffffffffffffffff | r8=3 f=P | add r8d, ebx, ecx
        64 | 62 f4 7d 08 01 cb | apx rbx=ffffffffffff0001 rcx=2 | rbx=ffffffffffff0003 f=P | add bx, cx without ND keeps the rest
        64 | 62 f4 7c 18 29 cb | apx rbx=5 rcx=7 rax=1 | rax=fffffffe f=CAS | sub eax, ebx, ecx
        64 | 62 f4 3c 18 29 0b | apx rcx=1 @21000=00000080 | r8=7fffffff f=PAO R4@21000 | sub r8d, [rbx], ecx: memory is not written
        64 | 62 f4 3c 18 2b 0b | apx rcx=1 @21000=00000080 | r8=80000001 f=CSO R4@21000 | sub r8d, ecx, [rbx]
        64 | 62 f4 7c 08 29 0b | apx rcx=1 @21000=00000080 | @21000=ffffff7f f=PAO R4@21000 W4@21000 | sub [rbx], ecx
        64 | 62 f4 7c 0c 29 0b | apx rcx=1 @21000=00000080 f=Z | @21000=ffffff7f f=Z R4@21000 W4@21000 | {nf} sub [rbx], ecx
        64 | 62 f4 3c 18 11 cb | apx f=C rbx=5 rcx=7 | r8=d f= | adc r8d, ebx, ecx
        64 | 62 f4 7c 0c 11 cb | apx | #UD | ADC has no NF
        64 | 62 f4 3c 18 83 d3 ff | apx f=C rbx=5 | r8=5 f=CPA | adc r8d, ebx, -1
        64 | 62 f4 3c 18 f7 d3 | apx rbx=0 f=CZ | r8=ffffffff f=CZ | not r8d, ebx
        64 | 62 f4 3c 1c f7 db | apx rbx=1 f=Z | r8=ffffffff f=Z | {nf} neg r8d, ebx
        64 | 62 f4 3c 18 ff c3 | apx rbx=ffffffff f=C | r8=0 f=CPAZ | inc r8d, ebx
        64 | 62 f4 3c 1c fe cb | apx rbx=100 f=C r8=ffff | r8=ff f=C | {nf} dec r8b, bl
        64 | 62 f4 3c 18 c1 e3 04 | apx rbx=f000000f | r8=f0 f=CPA u=OA | shl r8d, ebx, 4
        64 | 62 f4 3c 1c c1 e3 04 | apx rbx=f000000f f=S | r8=f0 f=S | {nf} shl r8d, ebx, 4
        64 | 62 f4 3c 18 c1 e3 20 | apx rbx=f000000f f=S | r8=f000000f f=S | a count of 0 still moves
        64 | 62 f4 3c 18 d1 d3 | apx rbx=80000000 f=C | r8=1 f=CO | rcl r8d, ebx, 1
        64 | 62 f4 3c 18 d3 fb | apx rbx=80000000 rcx=1f | r8=ffffffff f=PS u=OA | sar r8d, ebx, cl
        64 | 62 f4 3c 18 24 cb 08 | apx rbx=12345678 rcx=ab000000 | r8=345678ab f= u=COA | shld r8d, ebx, ecx, 8
        64 | 62 f4 3c 1c a5 cb | apx rbx=12345678 rcx=ab000008 f=Z | r8=345678ab f=Z | {nf} shld r8d, ebx, ecx, cl
        64 | 62 f4 3c 18 af cb | apx rbx=ffffffff rcx=3 | r8=fffffffd f= u=PAZS | imul r8d, ecx, ebx
        64 | 62 f4 7d 18 6b cb 02 | apx rbx=4000 rcx=ffffffffffffffff | rcx=8000 f=CO u=PAZS | imulzu cx, bx, 2
        64 | 62 f4 7d 08 6b cb 02 | apx rbx=4000 rcx=ffffffffffffffff | rcx=ffffffffffff8000 f=CO u=PAZS | imul cx, bx, 2
        64 | 62 f4 7d 0c 6b cb 02 | apx rbx=4000 rcx=ffffffffffffffff f=Z | rcx=ffffffffffff8000 f=Z | {nf} imul cx, bx, 2
        64 | 62 f4 7c 0c f7 e3 | apx rax=ffffffff rbx=2 f=Z | rax=fffffffe rdx=1 f=Z | {nf} mul ebx
        64 | 62 f4 7c 0c f7 f3 | apx rax=7 rdx=0 rbx=2 f=COZ | rax=3 rdx=1 f=COZ | {nf} div ebx
        64 | 62 f4 7c 0c f7 f3 | apx rax=7 rdx=0 rbx=0 | #DE
        64 | 62 f4 7c 08 88 cb | apx rbx=ff rcx=0 f=C | rcx=8 f= | popcnt ecx, ebx
        64 | 62 f4 7c 0c 88 cb | apx rbx=ff rcx=0 f=C | rcx=8 f=C | {nf} popcnt ecx, ebx
        64 | 62 f4 7c 0c f4 cb | apx rbx=0 f=P | rcx=20 f=P | {nf} tzcnt ecx, ebx
        64 | 62 f4 7c 0c f5 cb | apx rbx=1 f=P | rcx=1f f=P | {nf} lzcnt ecx, ebx
        64 | 62 f4 7c 08 60 cb | apx rbx=11223344 | rcx=44332211 | movbe ecx, ebx: registers too
        64 | 62 f4 7c 08 61 0b | apx rcx=11223344 | @21000=11223344 W4@21000 | movbe [rbx], ecx
        64 | 62 f4 7c 08 f0 0b | apx rcx=ffffffff @21000=31 | rcx=6f0a661c R1@21000 | crc32 ecx, byte ptr [rbx]: the complement of 90F599E3h
        64 | 62 f4 3d 18 66 cb | apx rbx=1 rcx=ffffffff f=CO | r8=1 f=CO | adcx r8d, ecx, ebx: CF alone
        64 | 62 f4 3e 18 66 cb | apx rbx=1 rcx=fffffffe f=O | r8=0 f=O | adox r8d, ecx, ebx: OF alone
        64 | 62 f2 44 0c f2 cb | apx rbx=ff rdi=f f=C | rcx=f0 f=C | {nf} andn ecx, edi, ebx
        64 | 62 f2 44 0c f3 cb | apx rbx=c f=C | rdi=8 f=C | {nf} blsr edi, ebx
        64 | 62 f2 64 0c f7 cf | apx rbx=808 rdi=123456 f=C | rcx=34 f=C | {nf} bextr ecx, edi, ebx
        64 | 62 f4 7c 08 40 cb | -osxsave | #UD | CR4.OSXSAVE
        64 | 62 f4 bc 18 01 cb | | #UD | XCR0 does not enable APX
        64 | 62 f4 bc 18 01 cb | apx +ts rbx=5 rcx=7 | r8=c f=P | CR0.TS is not looked at
        64 | f0 62 f4 7c 08 29 0b | apx | #UD | no LOCK before EVEX
        64 | 62 f4 fc 18 01 0b | apx rbx=800000000000 | #GP(0) | not canonical
        64 | 62 f4 3c 18 01 0b | apx absent=21 | #PF(0)@21000 | nothing is written
        64 | 62 f4 7c 08 01 0b | apx readonly=21 | #PF(3)@21000 | the destination is memory
        64 | 62 f4 3c 18 01 0b | apx cpl=3 rbx=21001 +am +ac | #AC(0)
        ",
    );
}
