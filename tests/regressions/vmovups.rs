//! Unaligned vector operands raise #AC(0) where alignment is checked: 16 bytes are enough for 32.

use super::Bench;
use encore86::Vendor;

const VMOVUPS_YMM: [u8; 4] = [0xc5, 0xfc, 0x10, 0x03]; // vmovups ymm0, [rbx]

#[test]
fn alignment_is_checked_to_16_bytes() {
    let mut bench = Bench::new(Vendor::Amd);
    bench.check_alignment();
    let base = bench.cpu.gpr[3];
    for (offset, fails) in [(0, false), (8, true), (16, false), (1, true)] {
        bench.cpu.gpr[3] = base + offset;
        if fails {
            let event = bench.fault(&VMOVUPS_YMM);
            assert_eq!((event.vector, event.error_code), (17, Some(0)), "{offset}");
        } else {
            bench.run(&VMOVUPS_YMM);
        }
    }
}
