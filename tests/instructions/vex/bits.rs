//! BMI1 and BMI2. Flags that the manual leaves undefined are as Zen 4 has them.

#[test]
fn table() {
    crate::table::run(
        "
        // andn rcx/ecx, rdx, [rbx]
        64 | c4 e2 68 f2 0b | rdx=f0f0f0f0 @21000=ffff0000 f=CO | rcx=f0f f=P R4@21000
        64 | c4 e2 e8 f2 0b | rdx=0 @21000=0000000000000080 f=C | rcx=8000000000000000 f=SP
        64 | c4 e2 68 f2 0b | rdx=ffffffff @21000=ffffffff f=CO | rcx=0 f=ZP
        64 | c4 e2 68 f2 0b | absent=21 | #PF(0)@21000
        64 | c4 e2 6c f2 0b | | #UD | VEX.L
        c32 | c4 e2 e8 f2 0b | rdx=f0f0f0f0 @21000=ffff0000 | rcx=f0f f=P R4@21000 | W means nothing outside 64-bit mode
        real | c4 e2 68 f2 0b | | #UD | VEX needs protected mode
        // bextr ecx, [rbx], edx: from bit 4, eight bits
        64 | c4 e2 68 f7 0b | rdx=804 @21000=78563412 f=COS | rcx=67 f=A
        64 | c4 e2 68 f7 0b | rdx=820 @21000=ffffffff | rcx=0 f=ZPA | starts behind the operand
        64 | c4 e2 e8 f7 0b | rdx=ff3c @21000=00000000000000f0 | rcx=f f=PA | longer than what is left
        64 | c4 e2 68 f7 0b | rdx=4 @21000=ffffffff | rcx=0 f=ZPA | no bits
        // blsr, blsmsk, blsi edx, [rbx]
        64 | c4 e2 68 f3 0b | @21000=38000000 f=C | rdx=30 f=P
        64 | c4 e2 68 f3 0b | @21000=00000000 f= | rdx=0 f=CZP
        64 | c4 e2 68 f3 13 | @21000=38000000 f=C | rdx=f f=P
        64 | c4 e2 68 f3 13 | @21000=00000000 | rdx=ffffffff f=CSP
        64 | c4 e2 68 f3 1b | @21000=38000000 f= | rdx=8 f=C
        64 | c4 e2 e8 f3 1b | @21000=0000000000000080 | rdx=8000000000000000 f=CSP
        64 | c4 e2 68 f3 1b | @21000=00000000 f=C | rdx=0 f=ZP
        // bzhi ecx, [rbx], edx
        64 | c4 e2 68 f5 0b | rdx=104 @21000=ffffffff f=O | rcx=f f=P | eight bits of the count
        64 | c4 e2 68 f5 0b | rdx=20 @21000=000000f0 | rcx=f0000000 f=CSP
        64 | c4 e2 68 f5 0b | rdx=0 @21000=ffffffff | rcx=0 f=ZP
        // pext, pdep ecx, edx, [rbx]
        64 | c4 e2 6a f5 0b | rdx=12345678 @21000=00ff00f0 f=CZSO | rcx=156 f=CZSO
        64 | c4 e2 6b f5 0b | rdx=156 @21000=00ff00f0 f=C | rcx=10005600 f=C
        64 | c4 e2 ea f5 0b | rdx=8000000000000001 @21000=0100000000000080 | rcx=3
        // mulx ecx, edx, [rbx]: edx is a source, the low half goes to it
        64 | c4 e2 6b f6 0b | rdx=ffffffff @21000=ffffffff f=C | rcx=fffffffe rdx=1 f=C R4@21000
        64 | c4 e2 73 f6 0b | rdx=10000 @21000=00000300 | rcx=3 | both destinations are one register
        64 | c4 e2 eb f6 0b | rdx=8000000000000000 @21000=0600000000000000 | rcx=3 rdx=0
        // rorx ecx, [rbx], 4
        64 | c4 e3 7b f0 0b 04 | @21000=78563412 f=C | rcx=81234567 f=C
        64 | c4 e3 7b f0 0b 24 | @21000=78563412 | rcx=81234567 | a count modulo 32
        64 | c4 e3 fb f0 0b 44 | @21000=efcdab8967452301 | rcx=f0123456789abcde
        64 | c4 e3 6b f0 0b 04 | | #UD | VEX.vvvv
        // shlx, sarx, shrx ecx, [rbx], edx
        64 | c4 e2 69 f7 0b | rdx=24 @21000=78563412 f=C | rcx=23456780 f=C
        64 | c4 e2 6a f7 0b | rdx=4 @21000=00000080 | rcx=f8000000
        64 | c4 e2 6b f7 0b | rdx=4 @21000=00000080 | rcx=8000000
        64 | c4 e2 ea f7 0b | rdx=7f @21000=0000000000000080 | rcx=ffffffffffffffff
        ",
    );
}
