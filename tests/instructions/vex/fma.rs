//! FMA: the order of operands, signs, one rounding, and what overflow reports.

use encore86::isa::Feature::Fma;

#[test]
fn table() {
    crate::table::run_where(
        &[Fma],
        "
        // 2 in ModRM.reg, 4 in vvvv, 3 in memory.
        64 | c4 e2 59 99 0b | xmm1=00000040ffffffffffffffffffffffffffff xmm4=00008040 @21000=00004040 | xmm1=00002041ffffffffffffffffffffffff0000 R4@21000 | 132: 2 * 3 + 4
        64 | c4 e2 59 a9 0b | xmm1=00000040 xmm4=00008040 @21000=00004040 | xmm1=00003041 | 213: 4 * 2 + 3
        64 | c4 e2 59 b9 0b | xmm1=00000040 xmm4=00008040 @21000=00004040 | xmm1=00006041 | 231: 4 * 3 + 2
        64 | c4 e2 59 ab 0b | xmm1=00000040 xmm4=00008040 @21000=00004040 | xmm1=0000a040 | 4 * 2 - 3
        64 | c4 e2 59 bd 0b | xmm1=00000040 xmm4=00008040 @21000=00004040 | xmm1=000020c1 | -(4 * 3) + 2
        64 | c4 e2 59 9f 0b | xmm1=00000040 xmm4=00008040 @21000=00004040 | xmm1=000020c1 | -(2 * 3) - 4
        64 | c4 e2 d9 b9 0b | xmm1=0000000000000040 xmm4=0000000000001040 @21000=0000000000000840 | xmm1=0000000000002c40 R8@21000 | in doubles
        64 | c4 e2 59 96 0b | xmm1=00000040000000400000004000000040 xmm4=00008040000080400000804000008040 @21000=00004040000040400000404000004040 | xmm1=00000040000020410000004000002041 R16@21000 | odd elements add
        64 | c4 e2 59 97 0b | xmm1=00000040000000400000004000000040 xmm4=00008040000080400000804000008040 @21000=00004040000040400000404000004040 | xmm1=00002041000000400000204100000040 | odd elements subtract
        64 | c4 e2 59 9b 0b | xmm1=0100803f xmm4=0200803f @21000=0100803f | xmm1=00008028 | the product is not rounded: 2^-46
        64 | c4 e2 59 99 0b | xmm1=0000807f xmm4=0000803f @21000=00000000 | xmm1=0000c0ff mxcsr=1f81 | infinity times zero
        64 | c4 e2 59 99 0b | mxcsr=1b80 xmm1=0000007f xmm4=00000000 @21000=00000040 | #XM mxcsr=1b88 | 2^128 overflows, but is exact
        64 | c4 e2 59 99 0b | mxcsr=1b80 xmm1=0000007f xmm4=0000803f @21000=00000040 | #XM mxcsr=1ba8 | 2^128 + 1 is not
        64 | c4 e2 59 99 0b | mxcsr=1780 xmm1=00008000 xmm4=00000000 @21000=0000003f | #XM mxcsr=1790 | tiny and exact
        64 | c4 e2 59 99 0b | mxcsr=1780 xmm1=01008000 xmm4=01000080 @21000=0000003f | #XM mxcsr=1792 | 2^-127 + 2^-150 - 2^-149: a denormal addend, and all bits fit an unbounded exponent
        64 | c4 e2 59 99 0b | rbx=21001 @21001=00004040 xmm1=00000040 | xmm1=0000c040 | no alignment
        64 | c4 e2 59 99 0b | +ts | #NM
        v86 | c4 e2 59 99 cb | | #UD
        ",
    );
}
