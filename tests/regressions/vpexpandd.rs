//! An expanding load without an opmask is checked as one whole operand, a compressing store by elements even then.

use super::{Bench, lacks};
use crate::support::machine::DATA;
use encore86::{Vendor, isa::Feature};

const EXPAND: [u8; 6] = [0x62, 0xf2, 0x7d, 0x08, 0x89, 0x0b]; // vpexpandd xmm1, [rbx]
const EXPAND_MASKED: [u8; 6] = [0x62, 0xf2, 0x7d, 0x09, 0x89, 0x0b]; // vpexpandd xmm1{k1}, [rbx]
const COMPRESS: [u8; 6] = [0x62, 0xf2, 0x7d, 0x08, 0x8b, 0x0b]; // vpcompressd [rbx], xmm1

#[test]
fn alignment() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.check_alignment();
    bench.cpu.gpr[3] = DATA + 4;
    assert_eq!(bench.fault(&EXPAND).vector, 17);
    bench.run(&EXPAND_MASKED);
    bench.run(&COMPRESS);
    bench.cpu.gpr[3] = DATA + 2;
    // No element, then one.
    bench.run(&EXPAND_MASKED);
    bench.cpu.vector.k[1] = 8;
    assert_eq!(bench.fault(&EXPAND_MASKED).vector, 17);
    assert_eq!(bench.fault(&COMPRESS).vector, 17);
}

#[test]
fn the_end_of_canonical_addresses() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.gpr[3] = 0x7fff_ffff_fff8;
    bench.vm.absent.push(0x7fff_ffff_f000 / 4096);
    assert_eq!(bench.fault(&EXPAND).vector, 13);
    assert_eq!(bench.fault(&COMPRESS).vector, 14);
}
