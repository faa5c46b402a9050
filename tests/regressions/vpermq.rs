//! AMD's processors ignore VEX.W of VPERMQ and VPERMPD; it is replayed with the W that others want.

use super::{Bench, lacks};
use encore86::{Vendor, isa::Feature};

#[test]
fn vex_w_is_clear() {
    if lacks(Feature::Avx2) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    for (i, element) in bench.cpu.vector.zmm[3].0[..32].chunks_mut(8).enumerate() {
        element.fill(i as u8 + 1);
    }
    bench.run(&[0xc4, 0xe3, 0x7d, 0x00, 0xcb, 0x1b]); // vpermq ymm1, ymm3, 0x1b without W
    let reversed: Vec<u8> = bench.cpu.vector.zmm[1].0[..32].iter().copied().step_by(8).collect();
    assert_eq!(reversed, [4, 3, 2, 1]);
    let mut bench = Bench::new(Vendor::Intel);
    assert_eq!(bench.fault(&[0xc4, 0xe3, 0x7d, 0x00, 0xcb, 0x1b]).vector, 6);
}
