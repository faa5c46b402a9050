//! FXSAVE looks at the last byte of its image first.

use super::Bench;
use encore86::Vendor;

#[test]
fn the_last_byte_faults_first() {
    let mut bench = Bench::new(Vendor::Amd);
    let at = bench.cpu.gpr[3];
    bench.vm.absent.push(at / 4096);
    assert_eq!(bench.fault(&[0x0f, 0xae, 0x03]).cr2, Some(at + 511));
    bench.check_alignment();
    bench.cpu.gpr[3] = at + 8;
    assert_eq!(bench.fault(&[0x0f, 0xae, 0x03]).vector, 13);
    bench.cpu.gpr[3] = at + 2;
    assert_eq!(bench.fault(&[0x0f, 0xae, 0x03]).vector, 17);
}
