//! VEXTRACTF32X4 to memory is of class E6NF: an opmask does not suppress the operand's faults, though it still leaves
//! elements unwritten.

use super::{Bench, lacks};
use crate::support::machine::DATA;
use crate::support::vm::Done;
use encore86::{Vendor, isa::Feature};

const BYTES: [u8; 7] = [0x62, 0xf3, 0x7d, 0x29, 0x19, 0x0b, 0x00]; // vextractf32x4 [rbx]{k1}, ymm1, 0

#[test]
fn faults_are_not_suppressed() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.vm.absent.push(DATA / 4096 + 1);
    // All elements are masked, and only the last lies on the missing page.
    bench.cpu.gpr[3] = DATA + 0xff4;
    let event = bench.fault(&BYTES);
    assert_eq!((event.vector, event.error_code, event.cr2), (14, Some(2), Some(DATA + 0x1000)));
    bench.cpu.gpr[3] = 0x8000_0000_0000;
    assert_eq!(bench.fault(&BYTES).vector, 13);
    // Alignment is the whole operand's.
    bench.check_alignment();
    bench.cpu.gpr[3] = DATA + 8;
    assert_eq!(bench.fault(&BYTES).vector, 17);
}

#[test]
fn masked_elements_are_not_written() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.vector.zmm[1].0[..16].copy_from_slice(&core::array::from_fn::<u8, 16, _>(|i| i as u8));
    bench.cpu.vector.k[1] = 5;
    bench.cpu.gpr[3] = DATA;
    bench.run(&BYTES);
    assert_eq!(bench.vm.log, [Done::Write(DATA, vec![0, 1, 2, 3]), Done::Write(DATA + 8, vec![8, 9, 10, 11])]);
}
