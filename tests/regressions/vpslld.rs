//! AMD's processors ignore EVEX.b of a register form whose memory form broadcasts; where there is none it is #UD.

use super::{Bench, lacks};
use encore86::{Vendor, isa::Feature};

#[test]
fn broadcast_of_a_register() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let shift = [0x62, 0xf1, 0x75, 0x18, 0x72, 0xf2, 0x04]; // vpslld xmm1, xmm2, 4 with EVEX.b
    let bytes = [0x62, 0xf1, 0x6d, 0x18, 0xfc, 0xcb]; // vpaddb xmm1, xmm2, xmm3 with EVEX.b
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.vector.zmm[2].0[..4].copy_from_slice(&0x0123_4567u32.to_le_bytes());
    bench.run(&shift);
    assert_eq!(bench.cpu.vector.zmm[1].0[..4], 0x1234_5670u32.to_le_bytes());
    assert_eq!(bench.fault(&bytes).vector, 6);
    let mut bench = Bench::new(Vendor::Intel);
    assert_eq!(bench.fault(&shift).vector, 6);
    assert_eq!(bench.fault(&bytes).vector, 6);
}
