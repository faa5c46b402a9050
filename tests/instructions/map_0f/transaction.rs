//! TSX: a transaction aborts at its beginning.

#[test]
fn table() {
    crate::table::run(
        "
        64 | c7 f8 00 01 00 00 | rax=ffffffffffffffff | rax=0 rip=10206 | xbegin: to the fallback, EAX names no reason
        64 | 66 c7 f8 00 01 | rip=12345678 rax=1 @12345678=66c7f80001 | rip=1234577d rax=0 | 66 makes no 16-bit target
        64 | c7 f8 00 01 00 00 | rip=7fffffffff00 @7fffffffff00=c7f800010000 | #GP(0) | a fallback that is not canonical
        p32 | c7 f8 00 00 10 00 | | #GP(0) | beyond the limit of CS
        p32 | c7 f8 fa ff ff ff | rax=1 | rax=0 rip=100
        64 | c6 f8 5a | rax=1 | | xabort outside a transaction
        64 | 0f 01 d5 | | #GP(0) | xend outside a transaction
        64 | 0f 01 d6 | f=CSO | f=Z | xtest: not inside
        64 | f2 0f 01 e8 | | | xsusldtrk outside a transaction
        64 | f2 0f 01 e9 | |
        ",
    );
}
