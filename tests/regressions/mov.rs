//! With FS or GS, the offset has to be canonical before the base is added, and the sum after it.

use super::Bench;
use encore86::Vendor;
use encore86::cpu::registers::gpr::RSI;
use encore86::cpu::segment::Seg;

#[test]
fn the_offset_in_fs_is_canonical_too() {
    let mut bench = Bench::new(Vendor::Amd);
    let base = 0xffff_8000_0000_0000;
    bench.cpu.update(|s| s.seg[Seg::Fs as usize].base = base);
    bench.cpu.gpr[RSI] = 0x2_1000_u64.wrapping_sub(base);
    assert_eq!(bench.fault(&[0x64, 0x48, 0x8b, 0x06]).vector, 13); // mov rax, fs:[rsi]
    bench.cpu.update(|s| s.seg[Seg::Fs as usize].base = 0x1000);
    bench.cpu.gpr[RSI] = 0x2_0000;
    bench.run(&[0x64, 0x48, 0x8b, 0x06]);
}
