//! Model-specific registers by an immediate and by lists, HRESET, FEMMS. The platform answers 0807060504030201h for most, and
//! 80000042h for IA32_PASID (0D93h).

#[test]
fn table() {
    crate::table::run(
        "
        64 | c4 e7 7b f6 c3 93 0d 00 00 | rbx=ffffffffffffffff | rbx=80000042 | rdmsr rbx, 0D93h
        64 | c4 e7 7b f6 c3 93 0d 00 00 | cpl=3 | #GP(0)
        64 | c4 e7 7a f6 c3 93 0d 00 00 | rbx=1122334455667788 | | wrmsrns 0D93h, rbx
        64 | c4 e7 7a f6 c3 00 01 00 c0 | rbx=5000 | fs.base=5000 | a register that the processor keeps: IA32_FS_BASE
        64 | c4 e7 7a f6 c3 00 01 00 c0 | rbx=800000000000 | #GP(0) | not canonical
        64 | 62 ff 7f 08 f6 c3 93 0d 00 00 | apx r19=0 | r19=80000042 | rdmsr r19, 0D93h
        c32 | c4 e7 7b f6 c3 93 0d 00 00 | | #UD
        64 | f2 0f 01 c6 | rcx=0 rsi=21000 rdi=33000 | | rdmsrlist: none
        64 | f2 0f 01 c6 | rcx=5 rsi=21000 rdi=33000 @21000=q:d93,9,10 | rcx=0 @33000=q:80000042 @33010=q:807060504030201 R8@21000 W8@33000 R8@21010 W8@33010
        64 | f2 0f 01 c6 | rcx=3 rsi=21000 rdi=33ff8 absent=34 @21000=q:d93,10 | unfinished rcx=2 @33ff8=q:80000042 | the first one is done, the next step faults
        64 | f2 0f 01 c6 | rcx=1 rsi=21004 rdi=33000 | #GP(0) | not aligned
        64 | f2 0f 01 c6 | rcx=1 rsi=21000 rdi=33000 @21000=q:100000d93 | #GP(0) | a number of 33 bits
        64 | f2 0f 01 c6 | rcx=1 cpl=3 | #GP(0)
        64 | f3 0f 01 c6 | rcx=8000000000000000 rsi=21000 rdi=33000 @211f8=q:c0000100 @331f8=q:5000 | rcx=0 fs.base=5000 R8@211f8 R8@331f8 | wrmsrlist
        64 | f3 0f 01 c6 | rcx=6 rsi=21000 rdi=33000 @21008=q:c0000101,c0000100 @33008=q:5000,800000000000 | unfinished rcx=4 gs.base=5000 | the second value is not canonical, the next step faults
        64 | f3 0f 3a f0 c0 00 | rax=1 | | hreset
        64 | f3 0f 3a f0 c0 00 | rax=2 | #GP(0) | not enabled
        64 | f3 0f 3a f0 c0 00 | rax=1 cpl=3 | #GP(0)
        64 | 0f 0e | fsw=3800 ftw=ff | fsw=0 ftw=0 | femms
        64 | 0f 0e | +em | #UD
        64 | 0f 0e | fcw=37e fsw=8081 | #MF
        ",
    );
}
