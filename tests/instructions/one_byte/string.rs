//! String instructions and their repetition.

#[test]
fn table() {
    crate::table::run(
        "
        64 | a4 | @22000=5a | @33000=5a rsi=22001 rdi=33001 R1@22000 W1@33000
        64 | a5 | f=D @22000=01020304 | @33000=01020304 rsi=21ffc rdi=32ffc
        64 | 48 a5 | @22000=0102030405060708 | @33000=0102030405060708 rsi=22008 rdi=33008
        64 | f3 a4 | rcx=3 @22000=010203 | @33000=010203 rsi=22003 rdi=33003 rcx=0 R1@22000 W1@33000 R1@22001 W1@33001 R1@22002 W1@33002
        64 | f3 a4 | rcx=0 | rcx=0
        64 | f3 a4 | rcx=3 rdi=22001 @22000=01 | @22001=010101 rsi=22003 rdi=22004 rcx=0 | an overlap repeats the byte
        64 | f2 a4 | rcx=2 @22000=0102 | @33000=0102 rsi=22002 rdi=33002 rcx=0 | F2 repeats too
        64 | f3 a4 | rcx=3 interrupt @22000=010203 | unfinished @33000=01 rsi=22001 rdi=33001 rcx=2
        64 | f3 a4 | rcx=4 rdi=33ffe readonly=34 @22000=01020304 | #PF(3)@34000 @33ffe=0102 rsi=22002 rdi=34000 rcx=2 | progress stays
        64 | f3 ab | rax=1122334455667788 rcx=2 | @33000=8877665588776655 rdi=33008 rcx=0
        64 | 67 f3 aa | rax=5a rcx=ffffffff00000001 rdi=ffffffff00033000 | @33000=5a rdi=33001 rcx=0 | 32-bit counters and addresses
        64 | ad | @22000=01020304 rax=ffffffffffffffff | rax=4030201 rsi=22004
        64 | ac | @22000=01 rax=ffffffffffffffff | rax=ffffffffffffff01 rsi=22001
        64 | a6 | @22000=01 @33000=02 | f=CPAS rsi=22001 rdi=33001 R1@33000 R1@22000 | ES:rDI is read first
        64 | f3 a6 | rcx=5 @22000=01020304 @33000=01020504 | f=CAS rcx=2 rsi=22003 rdi=33003 | stops behind the difference: 3 - 5
        64 | f3 a6 | rcx=2 f=C @22000=0102 @33000=0102 | f=PZ rcx=0 rsi=22002 rdi=33002
        64 | f3 a6 | rcx=0 f=C | f=C | no element: no flag changes
        64 | f2 ae | rax=3 rcx=5 @33000=0102030405 | f=PZ rcx=2 rdi=33003
        64 | f3 ae | rax=1 rcx=5 @33000=0101030405 | f=CAS rcx=2 rdi=33003 | 1 - 3
        64 | f3 a6 | rcx=4 f=C @22000=01020304 @33000=0102 rdi=33ffe @33ffe=0102 absent=34 | #PF(0)@34000 f=PZ rcx=2 rsi=22002 rdi=34000 | AMD: flags of the last comparison
        64 | 64 a4 | rsi=10 @50010=5a | @33000=5a rsi=11 rdi=33001 | the source takes overrides
        64 | a4 | rsi=800000000000 | #GP(0)
        64 | aa | rdi=800000000000 | #GP(0)
        real | a4 | @22000=5a | @33000=5a rsi=2001 rdi=3001
        real | 26 a4 | @32000=5a | @33000=5a rsi=2001 rdi=3001
        real | a5 | rdi=ffff | #GP(0)
        real | f3 a4 | rsi=ffff rcx=2 @2ffff=5a @20000=5b | @33000=5a5b rsi=1 rdi=3002 rcx=0 | SI wraps
        p32 | a4 | es.attr=4091 | #GP(0)
        p32 | aa | es.null | #GP(0)
        64 | 6c | rdx=70 | @33000=50 rdi=33001 I1@70 W1@33000
        64 | 6c | rdx=70 readonly=33 | #PF(3)@33000 | the port is not read
        64 | 6e | rdx=70 @22000=5a | rsi=22001 R1@22000 O1@70
        64 | f3 6f | rdx=70 rcx=2 @22000=0102030405060708 | rsi=22008 rcx=0 R4@22000 O4@70 R4@22004 O4@70
        ",
    );
}

/// On Intel processors a fault in the middle leaves the flags as they were before the instruction.
#[test]
fn flags_of_an_interrupted_comparison_on_intel() {
    crate::table::run_with(
        encore86::Profile::all(),
        "
        64 | f3 a6 | rcx=4 f=C @22000=01020304 rdi=33ffe @33ffe=0102 absent=34 | #PF(0)@34000 rcx=2 rsi=22002 rdi=34000
        ",
    );
}
