//! A register that an instruction reads at two widths is loaded at the greater one.

use super::Bench;
use encore86::{Profile, Vendor, isa::Feature};

#[test]
fn one_register_at_two_widths() {
    if !Profile::host().has(Feature::Avx2) {
        eprintln!("SKIPPED: the host lacks avx2");
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    let register = &mut bench.cpu.vector.zmm[1].0;
    register[0] = 4;
    register[16..32].fill(0xff);
    bench.run(&[0xc4, 0xe1, 0xf5, 0xd3, 0xc9]); // vpsrlq ymm1, ymm1, xmm1
    let high = &bench.cpu.vector.zmm[1].0[16..32];
    assert_eq!(high, [0x0fff_ffff_ffff_ffffu64.to_le_bytes(); 2].concat());
}
