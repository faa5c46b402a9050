//! AMD's processors store 64 bytes in halves: a fault of the first half comes before the second's limit or canonical form.
//! Moves that want alignment are refused before that, and loads are taken whole.

use super::{Bench, lacks};
use encore86::{Vendor, isa::Feature};

const STORE: [u8; 6] = [0x62, 0xf1, 0x7c, 0x48, 0x11, 0x0b]; // vmovups [rbx], zmm1
const STORE_ALIGNED: [u8; 6] = [0x62, 0xf1, 0xfd, 0x48, 0x7f, 0x0b]; // vmovdqa64 [rbx], zmm1
const LOAD: [u8; 6] = [0x62, 0xf1, 0x7c, 0x48, 0x10, 0x0b]; // vmovups zmm1, [rbx]

#[test]
fn the_first_half_fails_first() {
    if lacks(Feature::Avx512f) {
        return;
    }
    // 32 bytes lie below the end of canonical addresses; then 24.
    for (vendor, at, vector) in [
        (Vendor::Amd, 0x7fff_ffff_ffe0, 14),
        (Vendor::Amd, 0x7fff_ffff_ffe8, 13),
        (Vendor::Intel, 0x7fff_ffff_ffe0, 13),
    ] {
        let mut bench = Bench::new(vendor);
        bench.vm.absent.push(0x7fff_ffff_f000 / 4096);
        bench.cpu.gpr[3] = at;
        assert_eq!(bench.fault(&STORE).vector, vector, "{vendor:?} {at:#x}");
        for others in [STORE_ALIGNED, LOAD] {
            assert_eq!(bench.fault(&others).vector, 13, "{vendor:?} {at:#x}");
        }
        // Nothing of the first half is stored.
        bench.vm.absent.clear();
        assert_eq!(bench.fault(&STORE).vector, 13);
        assert!(bench.vm.log.is_empty());
    }
}
