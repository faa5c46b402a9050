//! An aligned move under an opmask raises #GP for its alignment only if an element is active.

use super::{Bench, lacks};
use encore86::{Vendor, isa::Feature};

#[test]
fn no_element_needs_no_alignment() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.gpr[3] += 4;
    // vmovaps xmm1{k1}, [rbx] and vmovaps [rbx]{k1}, xmm1
    for bytes in [[0x62, 0xf1, 0x7c, 0x09, 0x28, 0x0b], [0x62, 0xf1, 0x7c, 0x09, 0x29, 0x0b]] {
        // Four elements: bit 4 is none.
        for k1 in [0, 0x10] {
            bench.cpu.vector.k[1] = k1;
            bench.run(&bytes);
        }
        bench.cpu.vector.k[1] = 8;
        assert_eq!(bench.fault(&bytes).vector, 13);
    }
    assert!(bench.vm.log.is_empty());
}
