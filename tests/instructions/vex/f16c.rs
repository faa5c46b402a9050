//! F16C: widths in memory, rounding by the immediate, DAZ and underflow.

use encore86::isa::Feature::F16c;

#[test]
fn table() {
    crate::table::run_where(
        &[F16c],
        "
        64 | c4 e2 79 13 0b | @21000=003c00c00100ff7b | xmm1=0000803f000000c00000803300e07f47 R8@21000 | 1, -2, 2^-24, 65504
        64 | c4 e2 7d 13 0b | @21000=003c00000000000000000000000000c0 | xmm1=0000803f000000000000000000000000000000000000000000000000000000c0 R16@21000
        64 | c4 e2 79 13 0b | mxcsr=1fc0 @21000=0100000000000000 | xmm1=00008033 | DAZ does not matter to halves, and they raise no DE
        64 | c4 e2 79 13 0b | @21000=017c000000000000 | xmm1=0020c07f mxcsr=1f81 | a signalling NaN
        64 | c4 e3 79 1d 0b 00 | xmm1=0000803f000000c00000803300e07f47 | @21000=003c00c00100ff7b W8@21000 | a masked exact underflow has no flag
        64 | c4 e3 79 1d ca 00 | xmm1=0000803f000000c00000803300e07f47 xmm2=ffffffffffffffffffffffffffffffffff | xmm2=003c00c00100ff7b000000000000000000
        64 | c4 e3 7d 1d 0b 00 | xmm1=0000803f | @21000=003c0000000000000000000000000000 W16@21000
        64 | c4 e3 79 1d 0b 00 | xmm1=0010803f | @21000=003c000000000000 mxcsr=1fa0 | 1 + 2^-11 to even
        64 | c4 e3 79 1d 0b 02 | xmm1=0010803f | @21000=013c000000000000 mxcsr=1fa0 | up
        64 | c4 e3 79 1d 0b 04 | mxcsr=5f80 xmm1=0010803f | @21000=013c000000000000 mxcsr=5fa0 | up, by MXCSR.RC
        64 | c4 e3 79 1d 0b 00 | mxcsr=9f80 xmm1=00008033 | @21000=0100000000000000 | FTZ does not matter
        64 | c4 e3 79 1d 0b 00 | mxcsr=1fc0 xmm1=01000000 | @21000=0000000000000000 | DAZ does for singles
        64 | c4 e3 79 1d 0b 00 | mxcsr=1780 xmm1=00008033 | #XM mxcsr=1790 | unmasked, the exact underflow faults
        64 | c4 e3 79 1d 0b 00 | mxcsr=1780 xmm1=00008033 readonly=21 | #PF(3)@21000 | the store's fault comes first
        64 | c4 e3 79 1d 0b 00 | xmm1=0010803f readonly=21 | #PF(3)@21000 | and leaves no flag
        ",
    );
}
