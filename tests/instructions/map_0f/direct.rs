//! MOVDIRI, MOVDIR64B, MOVRS, PTWRITE, MPX where it is not enabled.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 0f 38 f9 0b | rcx=1122334455667788 | @21000=88776655 W4@21000 | movdiri
        64 | 48 0f 38 f9 0b | rcx=1122334455667788 | @21000=8877665544332211 W8@21000
        64 | 0f 38 f9 0b | readonly=21 | #PF(3)@21000
        64 | 66 0f 38 f8 3b | rdi=33001 | #GP(0) | movdir64b to an address that is no line
        64 | 66 0f 38 f8 3b | rdi=33000 readonly=33 | #PF(3)@33000
        64 | 66 0f 38 f8 3b | rdi=33000 absent=21 | #PF(0)@21000
        64 | 0f 38 8a 0b | rcx=0 @21000=5a | rcx=5a R1@21000 | movrs
        64 | 48 0f 38 8b 0b | @21000=0807060504030201 | rcx=102030405060708 R8@21000
        64 | f3 0f ae 23 | @21000=01000000 | R4@21000 | ptwrite reads its operand, the trace is off
        64 | f3 0f ae 23 | absent=21 | #PF(0)@21000
        64 | f3 0f ae e1 | |
        64 | f3 0f 1a 0b | rbx=800000000000 | | bndcl: a NOP, as long as XCR0 does not enable MPX
        64 | 66 0f 1a 0b | absent=21 | | bndmov reads nothing
        64 | 66 0f 1b 0b | readonly=21 | | and writes nothing
        p32 | 0f 1a 0b | | | bndldx
        ",
    );
}

/// The 64 bytes go in one access each way.
#[test]
fn a_line_is_moved() {
    let line: String = (0..64).map(|i| format!("{i:02x}")).collect();
    crate::table::run(&format!(
        "
        64 | 66 0f 38 f8 3b | rdi=33000 @21000={line} | @33000={line} R64@21000 W64@33000
        64 | 66 0f 38 f8 7b 20 | rdi=33000 @21020={line} | @33000={line} R64@21020 W64@33000
        p32 | 66 0f 38 f8 3b | rdi=3000 @21000={line} | @33000={line} R64@21000 W64@33000 | to ES
        "
    ));
}
