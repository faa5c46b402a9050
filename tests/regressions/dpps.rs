//! The stages of a dot product have stubs of their own; when they fill the memory for stubs, that of the dot product is gone.

use super::{Bench, lacks};
use encore86::isa::Feature;
use encore86::{Engine, Profile, Vendor};
use encore86_stubs::DualMap;

#[test]
fn stages_replace_every_stub() {
    if lacks(Feature::Sse41) {
        return;
    }
    // With some number of stubs before it, the memory fills up at one of the stages.
    for before in 0..64u8 {
        let mut bench = Bench::new(Vendor::Amd);
        let memory = DualMap::new(DualMap::MIN_LEN).expect("executable memory for stubs");
        bench.engine = Engine::with_code_memory(Profile::host(), Box::new(memory)).expect("an engine over it");
        for imm in 0..before {
            bench.run(&[0x66, 0x0f, 0x3a, 0x0f, 0xe5, imm]); // palignr xmm4, xmm5, imm
        }
        bench.cpu.vector.mxcsr = 0x1f00; // IE unmasked
        for (i, element) in bench.cpu.vector.zmm[2].0[..16].chunks_exact_mut(4).enumerate() {
            element.copy_from_slice(&(i as f32 + 1.0).to_le_bytes());
        }
        bench.cpu.vector.zmm[1] = bench.cpu.vector.zmm[2];
        bench.run(&[0x66, 0x0f, 0x3a, 0x40, 0xca, 0xf1]); // dpps xmm1, xmm2, 0xf1
        assert_eq!(bench.cpu.vector.zmm[1].0[..4], 30f32.to_le_bytes(), "{before}");
    }
}
