//! RAO-INT: AADD, AAND, AOR, AXOR.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 0f 38 fc 0b | f=CZ rcx=7 @21000=05000000 | @21000=0c000000 f=CZ | aadd: no flag changes
        64 | 48 0f 38 fc 0b | rcx=ffffffffffffffff @21000=0500000000000000 | @21000=0400000000000000
        64 | 66 0f 38 fc 0b | f=C rcx=f0 @21000=ff000000 | @21000=f0000000 f=C | aand
        64 | f3 0f 38 fc 0b | rcx=ff @21000=0f000000 | @21000=f0000000 | axor
        64 | f2 0f 38 fc 0b | rcx=f0 @21000=0f000000 | @21000=ff000000 | aor
        64 | 0f 38 fc 4b 02 | | #GP(0) | not aligned
        64 | 48 0f 38 fc 4b 04 | | #GP(0)
        64 | 0f 38 fc 0b | readonly=21 | #PF(3)@21000
        64 | 0f 38 fc cb | | #UD
        64 | f0 0f 38 fc 0b | | #UD | no LOCK
        p32 | 0f 38 fc 0b | rcx=7 @21000=05000000 | @21000=0c000000
        real | 0f 38 fc 0f | rcx=7 @21000=05000000 | @21000=0c000000
        ",
    );
}
