//! BT and kin, scans, counts, SETcc, CMOVcc, MOVZX, MOVSX, BSWAP, MOVBE, SHLD.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 0f a3 0b | rcx=3 f= @21000=08000000 | f=C u=PASO
        64 | 0f a3 0b | rcx=23 f=Z @21004=08000000 | f=CZ u=PASO R4@21004 | bit 35 lies in the next doubleword
        64 | 0f a3 0b | rcx=ffffffff f= @20ffc=00000080 | f=C u=PASO R4@20ffc | bit -1
        64 | 0f ba 23 23 | f= @21000=08000000 | f=C u=PASO R4@21000 | an immediate is taken modulo the size
        64 | 48 0f ab 0b | rcx=40 f=C @21008=0000000000000000 | @21008=0100000000000000 f= u=PASO
        64 | f0 0f b3 0b | rcx=0 f= @21000=ff000000 | @21000=fe000000 f=C u=PASO
        64 | 0f ab cb | rbx=ffffffff00000000 rcx=21 f= | rbx=2 f= u=PASO
        64 | 0f bc 0b | @21000=00010000 f=Z | rcx=8 f= u=CPASO
        64 | 0f bd 0b | @21000=00010000 f=Z | rcx=8 f= u=CPASO
        64 | 0f bc 0b | rcx=1122334455667788 @21000=00000000 f= | f=Z u=CPASO | the destination stays
        64 | f3 0f bc 0b | @21000=00000000 | rcx=20 f=C u=PASO
        64 | f3 0f bd 0b | @21000=01000000 | rcx=1f f= u=PASO
        64 | f3 0f bd 0b | @21000=000000ff | rcx=0 f=Z u=PASO
        64 | f3 0f b8 0b | f=C @21000=ff000001 | rcx=9 f=
        64 | 0f 94 03 | f=Z | @21000=01 W1@21000
        64 | 0f 94 c1 | rcx=ffff f= | rcx=ff00
        64 | 0f 44 0b | rcx=ffffffff00000005 f= @21000=01000000 | rcx=5 R4@21000 | not taken: read all the same, upper half cleared
        64 | 0f 44 0b | rcx=5 f=Z @21000=01000000 | rcx=1
        64 | 0f 44 0b | f= absent=21 | #PF(0)@21000
        64 | 0f b6 0b | rcx=ffffffffffffffff @21000=80 | rcx=80 R1@21000
        64 | 48 0f be 0b | @21000=80 | rcx=ffffffffffffff80
        64 | 66 0f be 0b | rcx=0 @21000=80 | rcx=ff80
        64 | 0f bf 0b | @21000=0080 | rcx=ffff8000
        64 | 0f c9 | rcx=11223344 | rcx=44332211
        64 | 48 0f c9 | rcx=1122334455667788 | rcx=8877665544332211
        64 | 0f 38 f0 0b | @21000=01020304 | rcx=1020304
        64 | 66 0f 38 f1 0b | rcx=1122 | @21000=1122 W2@21000
        64 | 0f a4 0b 04 | rcx=f0000000 @21000=01000000 | @21000=1f000000 f= u=AO
        64 | 0f ad 0b | rcx=20 @21000=01000000 | @21000=01000000 | a count of 0
        64 | 0f c3 0b | rcx=5 | @21000=05000000
        ",
    );
}
