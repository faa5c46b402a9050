//! ADCX, ADOX and CRC32; random numbers, time, segment bases and cache lines, which the platform answers for.

#[test]
fn carries_and_checksums() {
    crate::table::run(
        "
        64 | 66 0f 38 f6 0b | rcx=ffffffff @21000=00000000 f=CO | rcx=0 f=CO R4@21000
        64 | 66 0f 38 f6 0b | rcx=fffffffe @21000=01000000 f=O | rcx=ffffffff f=O | OF is not touched
        64 | f3 0f 38 f6 0b | rcx=ffffffff @21000=00000000 f=OC | rcx=0 f=OC
        64 | f3 0f 38 f6 0b | rcx=1 @21000=01000000 f=COZS | rcx=3 f=CZS
        64 | f3 48 0f 38 f6 0b | rcx=8000000000000000 @21000=0000000000000080 f= | rcx=0 f=O
        64 | f2 0f 38 f0 0b | rcx=0 @21000=01 f=C | rcx=f26b8303 f=C R1@21000
        64 | f2 0f 38 f1 0b | rcx=ffffffff00000000 @21000=01000000 | rcx=dd45aab8
        64 | f2 48 0f 38 f0 0b | rcx=ffffffffffffffff @21000=00 | rcx=ad82acae
        64 | 66 f2 0f 38 f1 0b | rcx=0 @21000=0000 | rcx=0 R2@21000
        64 | f2 48 0f 38 f1 0b | rcx=0 @21000=0000000000000000 | rcx=0 R8@21000
        p32 | d6 | f=C | rax=123ff f=C | SALC
        p32 | d6 | f=ZS | rax=12300 f=ZS
        ",
    );
}

#[test]
fn answers_of_the_platform() {
    crate::table::run(
        "
        64 | 0f c7 f1 | f=ZSO | rcx=55667788 f=C | rdrand ecx
        64 | 66 0f c7 f9 | f=ZSO | rcx=7788 f=C | rdseed cx
        64 | 48 0f c7 f1 | | rcx=1122334455667788 f=C
        64 | 48 0f c7 f1 | dry f=CPAZSO | rcx=0 f= | no number now
        64 | 66 0f c7 f1 | dry rcx=1122334455667788 | rcx=1122334455660000 f=
        64 | 0f 01 f9 | | rax=55667788 rdx=11223344 rcx=5 | rdtscp
        64 | 0f 01 f9 | +tsd cpl=3 | #GP(0)
        64 | f3 0f c7 f9 | rcx=ffffffffffffffff | rcx=5 | rdpid rcx
        p16 | f3 0f c7 f9 | rcx=ffff0000 | rcx=5
        64 | 0f 01 e8 | | | serialize
        ",
    );
}

#[test]
fn segment_bases() {
    crate::table::run(
        "
        64 | f3 0f ae c1 | | #UD | CR4.FSGSBASE is clear
        64 | f3 48 0f ae c1 | +fsgsbase | rcx=50000 | rdfsbase rcx
        64 | f3 0f ae c9 | +fsgsbase gs.base=ffff800012345678 | rcx=12345678 | rdgsbase ecx
        64 | f3 48 0f ae d1 | +fsgsbase rcx=ffff800000000000 | fs.base=ffff800000000000 | wrfsbase rcx
        64 | f3 0f ae d9 | +fsgsbase rcx=ffffffff12345678 | gs.base=12345678 | wrgsbase ecx
        64 | f3 48 0f ae d1 | +fsgsbase rcx=800000000000 | #GP(0)
        64 | f3 48 0f ae d1 | rcx=800000000000 | #UD
        ",
    );
}

#[test]
fn shadow_stack_pointer() {
    crate::table::run(
        "
        64 | f3 48 0f 1e c9 | cpl=3 rcx=77 | rcx=77 | rdsspq rcx; CR4.CET is clear
        64 | f3 48 0f 1e c9 | +cet rcx=77 | rcx=77 | S_CET has no shadow stack
        64 | f3 48 0f 1e c9 | +cet cpl=3 rcx=77 | rcx=100002000
        64 | f3 0f 1e c9 | +cet cpl=3 rcx=ffffffffffffffff | rcx=2000 | rdsspd ecx
        ",
    );
}

#[test]
fn cache_lines() {
    crate::table::run(
        "
        64 | 0f ae 3b | | | clflush
        64 | 66 0f ae 3b | absent=21 | #PF(0)@21000 | clflushopt
        64 | 66 0f ae 33 | readonly=21 | | clwb
        64 | 0f ae 3b | rbx=800000000000 | #GP(0)
        64 | 0f ae 7d 00 | rbp=800000000000 | #SS(0)
        p32 | 0f ae 3b | ds.limit=fff | #GP(0)
        64 | 0f 01 fc | rax=21025 @21000=0102 @2103f=03 @21040=04 | @21000=0000 @21002=0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 @2103e=0000 W64@21000
        64 | 0f 01 fc | rax=21025 readonly=21 | #PF(3)@21000
        ",
    );
}
