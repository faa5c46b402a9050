//! HLT, CLI, STI, INT, WAIT.

#[test]
fn table() {
    crate::table::run(
        "
        64 | f4 | | hlt
        p32 | f1 | | #DB rip=101 | INT1 is a trap
        v86 | f1 | -iopl | #DB rip=101 | whatever IOPL
        64 | f1 | cpl=3 | #DB rip=10101
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
