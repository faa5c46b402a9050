//! CCMP, CTEST, CFCMOV, CMOV with a new destination, SETcc.zu.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 62 f4 04 04 39 cb | apx rbx=5 rcx=5 f=Z | f=PZ | ccmpe {dfv=} ebx, ecx: the condition holds
        64 | 62 f4 04 04 39 cb | apx rbx=5 rcx=5 f=A | f= | it fails: no flag of dfv is set, AF is cleared
        64 | 62 f4 7c 04 39 cb | apx rbx=5 rcx=5 f= | f=CPZSO | {dfv=of,sf,zf,cf}: PF is CF
        64 | 62 f4 44 04 39 cb | apx rbx=5 rcx=5 f= | f=O | {dfv=of}
        64 | 62 f4 24 04 39 cb | apx rbx=5 rcx=5 f= | f=S | {dfv=sf}
        64 | 62 f4 14 04 39 cb | apx rbx=5 rcx=5 f= | f=Z | {dfv=zf}
        64 | 62 f4 0c 04 39 cb | apx rbx=5 rcx=5 f= | f=CP | {dfv=cf}
        64 | 62 f4 04 05 39 cb | apx rbx=4 rcx=5 f= | f=CPAS | ccmpne
        64 | 62 f4 04 0a 39 cb | apx rbx=4 rcx=5 f=P | f=CPAS | ccmpt: always, PF is not asked
        64 | 62 f4 7c 0b 39 cb | apx rbx=4 rcx=5 f= | f=CPZSO | ccmpf: never
        64 | 62 f4 04 0a 38 cb | apx rbx=80 rcx=1 | f=AO | ccmpt bl, cl
        64 | 62 f4 84 0a 83 fb ff | apx rbx=ffffffffffffffff | f=PZ | ccmpt rbx, -1
        64 | 62 f4 84 0a 3b 0b | apx rcx=1 @21000=0200000000000000 | f=CPAS R8@21000 | ccmpt rcx, [rbx]
        64 | 62 f4 04 04 39 0b | apx f= absent=21 | f= | the condition fails: no access, no fault
        64 | 62 f4 04 04 39 0b | apx f= rbx=800000000000 | f= | no #GP either
        64 | 62 f4 04 04 39 0b | apx f=Z absent=21 | #PF(0)@21000
        64 | 62 f4 04 0a 85 cb | apx rbx=f rcx=f0 | f=PZ u=A | ctestt ebx, ecx
        64 | 62 f4 04 0a f7 c3 00 00 00 80 | apx rbx=80000000 | f=PS u=A | ctestt ebx, 80000000h
        64 | 62 f4 7c 0b f6 c3 01 | apx | f=CPZSO u=A | ctestf bl, 1
        64 | 62 f4 7c 08 44 cb | apx f=Z rbx=5 rcx=ffffffffffffffff | rcx=5 | cfcmove ecx, ebx
        64 | 62 f4 7c 08 44 cb | apx f= rbx=5 rcx=ffffffffffffffff | rcx=0 | it fails: zero
        64 | 62 f4 7d 08 44 cb | apx f=Z rbx=12345 rcx=ffffffffffffffff | rcx=2345 | cfcmove cx, bx clears bits 63:16
        64 | 62 f4 7c 08 44 0b | apx f= absent=21 rcx=5 | rcx=0 | cfcmove ecx, [rbx]: no access
        64 | 62 f4 7c 08 44 0b | apx f=Z absent=21 | #PF(0)@21000
        64 | 62 f4 7c 0c 44 0b | apx f=Z rcx=5 | @21000=05000000 W4@21000 | cfcmove [rbx], ecx
        64 | 62 f4 7c 0c 44 0b | apx f= readonly=21 | | it fails: no access
        64 | 62 f4 7c 0c 44 0b | apx f=Z readonly=21 | #PF(3)@21000
        64 | 62 f4 7c 0c 44 cb | apx f=Z rcx=5 | rbx=5 | cfcmove ebx, ecx with the operands the other way
        64 | 62 f4 7c 0c 44 cb | apx f= rcx=5 | rbx=0
        64 | 62 f4 3c 1c 44 cb | apx f=Z rbx=5 rcx=6 | r8=5 | cfcmove r8d, ecx, ebx
        64 | 62 f4 3c 1c 44 cb | apx f= rbx=5 rcx=6 | r8=6
        64 | 62 f4 3c 1c 44 0b | apx f= absent=21 rcx=6 | r8=6 | no access
        64 | 62 f4 3c 18 44 cb | apx f=Z rbx=5 rcx=6 | r8=5 | cmove r8d, ecx, ebx
        64 | 62 f4 3d 18 44 cb | apx f= rbx=5 rcx=10006 r8=ffffffffffffffff | r8=6 | cmove r8w, cx, bx clears bits 63:16
        64 | 62 f4 3c 18 44 0b | apx f= absent=21 rcx=6 | #PF(0)@21000 | CMOV reads its source whatever the condition
        64 | 62 f4 7f 08 44 c3 | apx f=Z rbx=ffffffffffffffff | rbx=ffffffffffffff01 | sete bl
        64 | 62 f4 7f 18 44 c3 | apx f=Z rbx=ffffffffffffffff | rbx=1 | setzue bl
        64 | 62 f4 7f 18 45 c3 | apx f=Z rbx=ffffffffffffffff | rbx=0 | setzune bl
        64 | 62 f4 7f 18 44 03 | apx f=Z @21000=ffff | @21000=01 W1@21000 | in memory a byte all the same
        ",
    );
}
