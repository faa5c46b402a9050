//! IN and OUT.

#[test]
fn table() {
    crate::table::run(
        "
        64 | ec | rdx=70 rax=ffffffffffffffff | rax=ffffffffffffff50 I1@70
        64 | 66 ed | rdx=70 rax=ffffffffffffffff | rax=ffffffffffff5150 I2@70
        64 | ed | rdx=70 rax=ffffffffffffffff | rax=53525150 I4@70
        64 | 48 ed | rdx=70 rax=ffffffffffffffff | rax=53525150 I4@70 | REX.W does not widen ports
        64 | e4 60 | rax=0 | rax=50 I1@60
        64 | ee | rdx=12370 | O1@2370
        64 | e7 80 | | O4@80
        ",
    );
}
