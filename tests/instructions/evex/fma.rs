//! EVEX forms of FMA and F16C: broadcast, opmasks, embedded rounding.

use encore86::isa::Feature::{Avx512f, Avx512vl};

#[test]
fn table() {
    crate::table::run_where(
        &[Avx512f, Avx512vl],
        "
        64 | 62 f2 5d d9 b8 0b | k1=1 xmm1=0000004000000040 xmm4=00008040 @21000=00004040 | xmm1=0000604100000000 R4@21000 | {1to16}{k1}{z}: 4 * 3 + 2
        64 | 62 f2 5d 59 b8 0b | k1=1 xmm1=0000004000000040 xmm4=00008040 @21000=00004040 | xmm1=0000604100000040 R4@21000 | merged
        64 | 62 f2 5d 59 b8 0b | k1=0 absent=21 xmm1=00000040 | | no element: no fault
        64 | 62 f2 5d 78 b9 cb | mxcsr=0 xmm1=00008030 xmm4=0000803f xmm3=0000803f | xmm1=0000803f | {rz-sae}: no flag, no exception
        64 | 62 f2 5d 58 b9 cb | mxcsr=0 xmm1=00008030 xmm4=0000803f xmm3=0000803f | xmm1=0100803f | {ru-sae}
        64 | 62 f3 7d 09 1d 0b 00 | k1=5 xmm1=0000803f000000c00000803300e07f47 | @21000=003c @21004=0100 W2@21000 W2@21004 | VCVTPS2PH
        64 | 62 f2 7d 09 13 0b | k1=5 xmm1=ffffffffffffffff @21000=003c @21004=00c0 | xmm1=0000803fffffffff000000c0 R2@21000 R2@21004 | VCVTPH2PS
        ",
    );
}
