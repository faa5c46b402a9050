//! FLD: AMD's processors load a denormal whether its exception is masked or not; an empty source counts before a full
//! stack.

use super::Bench;
use encore86::Vendor;

const ES_B: u16 = 0x8080;

#[test]
fn an_unmasked_denormal_is_the_vendor_s() {
    for (vendor, loaded) in [(Vendor::Amd, 1), (Vendor::Intel, 0)] {
        let mut bench = Bench::new(vendor);
        bench.cpu.x87.fcw = 0x37f & !2;
        let at = bench.cpu.gpr[3];
        bench.vm.put(at, &1u32.to_le_bytes());
        bench.run(&[0xd9, 0x03]); // fld dword ptr [rbx]
        assert_eq!(bench.cpu.x87.ftw.count_ones(), loaded, "{vendor:?}");
        assert_eq!(bench.cpu.x87.fsw & 0x80ff, ES_B | 2);
    }
}

#[test]
fn an_empty_source_and_a_full_stack() {
    let mut bench = Bench::new(Vendor::Amd);
    // ST(7) is in use, ST(0) is empty.
    bench.cpu.x87.ftw = 0x80;
    bench.run(&[0xd9, 0xc0]); // fld st(0)
    assert_eq!(bench.cpu.x87.fsw & 0x2ff, 0x41, "invalid, stack fault, and C1 clear");
}

#[test]
fn eighty_bits_are_taken_in_two_pieces() {
    let mut bench = Bench::new(Vendor::Amd);
    bench.check_alignment();
    bench.vm.put(bench.cpu.gpr[3] + 8, &[0; 10]);
    bench.cpu.gpr[3] += 8;
    bench.run(&[0xdb, 0x2b]); // fld tbyte ptr [rbx]: 8 bytes of alignment are enough
    bench.cpu.gpr[3] += 4;
    assert_eq!(bench.fault(&[0xdb, 0x2b]).vector, 17);
}
