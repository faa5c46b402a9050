//! MASKMOVDQU wants all sixteen bytes writable, whatever its mask.

use super::Bench;
use encore86::Vendor;
use encore86::cpu::registers::gpr::RDI;

#[test]
fn bytes_that_are_not_stored_fault_too() {
    let mut bench = Bench::new(Vendor::Amd);
    let page = bench.cpu.gpr[RDI] & !0xfff;
    bench.cpu.gpr[RDI] = page + 0xff8;
    bench.vm.readonly.push(page / 4096 + 1);
    // Only the first byte is to be stored.
    bench.cpu.vector.zmm[1].0[0] = 0x80;
    let event = bench.fault(&[0x66, 0x0f, 0xf7, 0xc1]); // maskmovdqu xmm0, xmm1
    assert_eq!((event.error_code.map(|code| code & 3), event.cr2), (Some(3), Some(page + 0x1000)));
    assert!(bench.vm.log.is_empty());
}
