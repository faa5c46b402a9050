//! Active elements under an opmask are aligned each to its own width where alignment is checked, ascending, and lie side by
//! side: they do not wrap at the address size.

use super::{Bench, lacks};
use crate::support::machine::{self, DATA};
use crate::support::vm::Done;
use encore86::cpu::segment::Seg;
use encore86::{Mode, Vendor, isa::Feature};

const LOAD: [u8; 6] = [0x62, 0xf1, 0x7e, 0x09, 0x6f, 0x0b]; // vmovdqu32 xmm1{k1}, [rbx]
const STORE: [u8; 6] = [0x62, 0xf1, 0x7e, 0x09, 0x7f, 0x0b]; // vmovdqu32 [rbx]{k1}, xmm1

#[test]
fn four_bytes_are_aligned_to_four() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.check_alignment();
    for bytes in [LOAD, STORE] {
        // Offset, opmask, the exception's vector. Opmask bits beyond the elements are none.
        for (offset, k1, vector) in [(4, 0xf, None), (1, 0, None), (1, 0xf0, None), (1, 8, Some(17)), (2, 1, Some(17))]
        {
            bench.cpu.gpr[3] = DATA + offset;
            bench.cpu.vector.k[1] = k1;
            match vector {
                None => bench.run(&bytes),
                Some(vector) => assert_eq!(bench.fault(&bytes).vector, vector, "{offset} {k1:#x}"),
            }
        }
    }
}

#[test]
fn the_lowest_active_element_fails_first() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    // Elements 0 and 1 lie below the end of canonical addresses, 2 and 3 above.
    bench.cpu.gpr[3] = 0x7fff_ffff_fff8;
    bench.vm.absent.push(0x7fff_ffff_f000 / 4096);
    for bytes in [LOAD, STORE] {
        for (k1, vector, cr2) in [(0xf, 14, Some(0x7fff_ffff_fff8)), (0xe, 14, Some(0x7fff_ffff_fffc)), (0xc, 13, None)]
        {
            bench.cpu.vector.k[1] = k1;
            let event = bench.fault(&bytes);
            assert_eq!((event.vector, event.cr2), (vector, cr2), "{k1:#x}");
        }
    }
    // The alignment of an element comes before its page fault, and after its canonical form.
    bench.check_alignment();
    bench.cpu.gpr[3] = 0x7fff_ffff_fff9;
    for (k1, vector) in [(1, 17), (2, 13)] {
        bench.cpu.vector.k[1] = k1;
        assert_eq!(bench.fault(&LOAD).vector, vector, "{k1:#x}");
    }
}

#[test]
fn elements_do_not_wrap() {
    if lacks(Feature::Avx512vl) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu.gpr[3] = 0xffff_fff8;
    bench.cpu.vector.k[1] = 6;
    bench.vm.put(0xffff_fffc, &[1, 2, 3, 4, 5, 6, 7, 8]);
    bench.run(&[&[0x67], &LOAD[..]].concat()); // vmovdqu32 xmm1{k1}, [ebx]
    let read = [Done::Read(0xffff_fffc, vec![1, 2, 3, 4]), Done::Read(0x1_0000_0000, vec![5, 6, 7, 8])];
    assert_eq!(bench.vm.log, read);
}

/// Zen 4 stores 64 bytes in halves, and outside 64-bit mode the upper one wraps, as a whole and only so.
#[test]
fn the_upper_half_of_a_store_wraps() {
    if lacks(Feature::Avx512f) {
        return;
    }
    let mut bench = Bench::new(Vendor::Amd);
    bench.cpu = machine::cpu(Mode::Compat32);
    bench.cpu.update(|s| {
        s.seg[Seg::Cs as usize].base = 0;
        // Offset 0 is data.
        let gs = &mut s.seg[Seg::Gs as usize];
        (gs.base, gs.limit) = (DATA, u32::MAX);
    });
    bench.cpu.gpr[3] = 0xffff_ffe0;
    bench.cpu.vector.k[1] = 1 << 7 | 1 << 8;
    bench.cpu.vector.zmm[1].0 = core::array::from_fn(|i| i as u8);
    // vmovdqu32 gs:[ebx]{k1}, zmm1
    bench.run(&[0x65, 0x62, 0xf1, 0x7e, 0x49, 0x7f, 0x0b]);
    let written = [Done::Write(DATA - 4, vec![28, 29, 30, 31]), Done::Write(DATA, vec![32, 33, 34, 35])];
    assert_eq!(bench.vm.log, written);
    // An element of the lower half beyond the end, and one of an upper half that does not begin at it.
    for k1 in [1 << 4, 1 << 8] {
        bench.cpu.gpr[3] = 0xffff_fff0;
        bench.cpu.vector.k[1] = k1;
        assert_eq!(bench.fault(&[0x65, 0x62, 0xf1, 0x7e, 0x49, 0x7f, 0x0b]).vector, 13, "{k1:#x}");
    }
}
