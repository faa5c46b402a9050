//! FXSAVE looks at the last byte of its image first; FXRSTOR keeps of a pointer what a linear address has.

use super::Bench;
use encore86::isa::Feature;
use encore86::{Profile, Vendor};

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

#[test]
fn pointers_are_cut_to_linear_addresses() {
    let mut image = [0; 512];
    image[8..16].copy_from_slice(&0x1234_8000_0000_0001u64.to_le_bytes());
    image[16..24].copy_from_slice(&0xff00_7000_0000_0002u64.to_le_bytes());
    image[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
    let named = |name| Profile::named(name).expect("a name");
    let narrow = (0xffff_8000_0000_0001, 0x7000_0000_0002);
    let wide = (0x0034_8000_0000_0001, 0xff00_7000_0000_0002);
    // Registers stay as wide as they are where a hypervisor hides LA57.
    let hidden = named("zen4").without(Feature::La57);
    for (profile, expected) in
        [(named("haswell"), narrow), (named("zen3"), narrow), (named("sapphirerapids"), wide), (hidden, wide)]
    {
        let mut bench = Bench::with(profile);
        bench.vm.put(bench.cpu.gpr[3], &image);
        bench.run(&[0x48, 0x0f, 0xae, 0x0b]); // fxrstor64 [rbx]
        assert_eq!((bench.cpu.x87.fip, bench.cpu.x87.fdp), expected);
    }
}
