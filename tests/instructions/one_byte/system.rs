//! HLT, CLI, STI, INT, WAIT.

#[test]
fn table() {
    crate::table::run(
        "
        64 | f4 | | hlt
        64 | f4 | cpl=3 | #GP(0)
        64 | fa | +if | -if
        64 | fa | +if cpl=3 | #GP(0)
        64 | fa | +if cpl=3 +iopl | -if
        64 | fb | cpl=3 | #GP(0)
        64 | 9b | +ts +mp | #NM
        64 | 9b | +ts -mp |
        64 | 9b | fsw=8080 | #MF
        64 | f4 | cpl=3 | #GP(0)
        ",
    );
}
