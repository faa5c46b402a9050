//! XSAVE images against the host's own XSAVE and XRSTOR.

use encore86::Cpu;
use encore86::cpu::registers::component;
use encore86::cpu::xsave::{COMPONENTS, HEADER_END, ImageError, Layout, in_use, initial};
use encore86_oracle::{Random, Skips};
use std::arch::asm;
use std::arch::x86_64::__cpuid_count;

/// More than any host's image of the components that are tested.
const SIZE: usize = 4096;

#[repr(C, align(64))]
#[derive(Clone, PartialEq, Eq)]
struct Image([u8; SIZE]);

impl Image {
    fn new() -> Image {
        let mut image = Image([0; SIZE]);
        image.0.copy_from_slice(&initial(SIZE));
        image
    }

    fn bv(&self) -> u64 {
        u64::from_le_bytes(*self.0[512..].first_chunk().unwrap())
    }
}

/// PKRU belongs to the memory of this process; the others to this thread alone.
const TESTED: u64 = COMPONENTS & !component::PKRU;

fn layout() -> Layout {
    Layout::new(|n| {
        let r = __cpuid_count(0xd, n);
        (r.eax, r.ebx)
    })
    .expect("the host's components lie where the architecture says")
}

/// What of [`TESTED`] the host has switched on; `None` without XSAVE.
fn host_components() -> Option<u64> {
    if __cpuid_count(1, 0).ecx >> 27 & 1 == 0 {
        return None;
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE is set, so XGETBV is there; it reads XCR0 and nothing else.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack)) };
    Some((u64::from(low) | u64::from(high) << 32) & TESTED)
}

/// Loads `image` into the processor and has the processor write it again.
fn through_the_host(image: &Image, components: u64) -> Image {
    let mut kept = Image::new();
    let mut out = Image([0; SIZE]);
    let (low, high) = (components as u32, (components >> 32) as u32);
    // SAFETY: the three images are aligned to 64 and longer than the host's; the thread's own state is kept in the first and
    // is back when the block ends, and nothing between uses it; no instruction in between raises an exception
    // that the loaded MXCSR or FCW leaves unmasked.
    unsafe {
        asm!(
            "xsave64 [{kept}]",
            "xrstor64 [{image}]",
            "xsave64 [{out}]",
            "xrstor64 [{kept}]",
            kept = in(reg) &raw mut kept, image = in(reg) image, out = in(reg) &raw mut out,
            in("eax") low, in("edx") high,
            options(nostack),
        );
    }
    out
}

/// An image with random contents of a random choice of `components`, such as XRSTOR takes.
fn random_image(random: &mut Random, layout: &Layout, components: u64) -> Image {
    let mut image = Image::new();
    let bv = components & random.word();
    image.0[512..520].copy_from_slice(&bv.to_le_bytes());
    for n in (1..10).filter(|n| bv >> n & 1 != 0) {
        for byte in &mut image.0[layout.area(n)] {
            *byte = random.word() as u8;
        }
    }
    image.0[24..28].copy_from_slice(&random.mxcsr().to_le_bytes());
    if bv & 1 != 0 {
        let fsw = random.word() as u16 & 0x7f7f;
        // Some processors keep the pointers only while an unmasked exception is pending.
        let masks = if random.one_in(2) { 0x3f } else { random.word() as u16 & 0x3f };
        image.0[..2].copy_from_slice(&(random.word() as u16 & 0xf00 | 0x340 | masks).to_le_bytes());
        image.0[2..4].copy_from_slice(&fsw.to_le_bytes());
        image.0[4] = random.word() as u8;
        image.0[6..8].copy_from_slice(&(random.word() as u16 & 0x7ff).to_le_bytes());
        for i in 0..8 {
            for byte in &mut image.0[32 + i * 16..][..10] {
                *byte = random.word() as u8;
            }
        }
        for at in [8, 16] {
            image.0[at..at + 8].copy_from_slice(&(random.word() >> 17).to_le_bytes());
        }
    }
    image
}

/// The first byte that differs in MXCSR or in a component that both images hold: its offset and both values.
fn difference(layout: &Layout, a: &Image, b: &Image) -> Option<(usize, u8, u8)> {
    let both = a.bv() & b.bv();
    // Of MXCSR_MASK only processors know; the bytes from 416 on are nobody's.
    let held = |i: &usize| match i {
        24..28 => true,
        28..32 => false,
        _ => (0..10).any(|n| both >> n & 1 != 0 && layout.area(n).contains(i)),
    };
    (0..SIZE).filter(held).find(|&i| a.0[i] != b.0[i]).map(|i| (i, a.0[i], b.0[i]))
}

#[test]
fn images_of_the_host_go_through_cpu_and_come_back_bit_for_bit() {
    let mut skips = Skips::new("xsave");
    let Some(components) = host_components() else { return skips.skip("images", "the host has no XSAVE", 2000) };
    for n in (0..10).filter(|n| (TESTED & !components) >> n & 1 != 0) {
        skips.skip(&format!("component {n}"), "the host has it not", 2000);
    }
    let layout = layout();
    let mut random = Random::new(0x5a7e);
    for round in 0..2000 {
        let made = random_image(&mut random, &layout, components);
        let image = through_the_host(&made, components);
        // Through a processor with other contents, so that what is not loaded shows.
        let mut cpu = Cpu::new();
        for zmm in &mut cpu.vector.zmm {
            zmm.0.fill(0xcc);
        }
        cpu.vector.k.fill(0xcccc);
        cpu.x87.regs = [[0xcc; 10]; 8];
        cpu.valid = 0;
        layout.load(&image.0, components, &mut cpu).unwrap();
        assert_eq!(cpu.valid, components);
        let used = in_use(&cpu);
        // A processor may call a component in use that has its initial state, and not always the same (a context switch lies
        // between); one that it calls unused has it.
        assert_eq!(used & !image.bv(), 0, "round {round}");
        let mut stored = Image::new();
        layout.store(&cpu, components, &mut stored.0).unwrap();
        assert_eq!(stored.bv(), used, "round {round}");
        assert_eq!(difference(&layout, &image, &stored), None, "round {round}: (offset, host, ours)");
        let again = through_the_host(&stored, components);
        assert_eq!(used & !again.bv(), 0, "round {round}");
        assert_eq!(difference(&layout, &image, &again), None, "round {round}: (offset, host, ours through the host)");
        skips.ran(1);
    }
}

#[test]
fn what_is_not_asked_for_stays() {
    let layout = layout();
    let mut cpu = Cpu::new();
    cpu.vector.zmm[0].0 = [0x11; 64];
    cpu.x87.fcw = 0x27f;
    let before = Image([0; SIZE]);
    let mut image = before.clone();
    layout.store(&cpu, component::SSE, &mut image.0).unwrap();
    assert_eq!(image.bv(), component::SSE);
    assert_eq!(image.0[..24], before.0[..24], "x87");
    assert_eq!(image.0[24..28], 0x1f80u32.to_le_bytes());
    assert_eq!(image.0[160..176], [0x11; 16]);
    assert_eq!(image.0[416..512], [0; 96]);
    assert_eq!(image.0[HEADER_END..], before.0[HEADER_END..], "AVX");
    // A bit for a component of others stays, the one of a component in its initial state goes.
    image.0[512..520].copy_from_slice(&(component::SSE | component::X87 | 1 << 8).to_le_bytes());
    cpu.vector.zmm[0].0 = [0; 64];
    layout.store(&cpu, component::SSE, &mut image.0).unwrap();
    assert_eq!(image.bv(), component::X87 | 1 << 8);
}

#[test]
fn absent_components_get_their_initial_state() {
    let layout = layout();
    let mut cpu = Cpu::new();
    cpu.vector.zmm[3].0 = [0x22; 64];
    cpu.vector.zmm[20].0 = [0x22; 64];
    cpu.vector.k = [7; 8];
    cpu.x87.fcw = 0;
    cpu.update(|s| s.pkru = 5);
    cpu.dirty = u64::MAX;
    let mut image = Image::new();
    image.0[24..28].copy_from_slice(&0x9fc0u32.to_le_bytes());
    layout.load(&image.0, COMPONENTS & !component::AVX, &mut cpu).unwrap();
    let mut left = [0; 64];
    left[16..32].fill(0x22);
    assert_eq!(cpu.vector.zmm[3].0, left, "AVX was not asked for");
    assert_eq!((cpu.vector.zmm[20].0, cpu.vector.k, cpu.system().pkru), ([0; 64], [0; 8], 0));
    assert_eq!((cpu.x87.fcw, cpu.vector.mxcsr), (0x37f, 0x9fc0));
    assert_eq!(cpu.dirty, !(COMPONENTS & !component::AVX));
}

#[test]
fn bad_images_are_refused_and_change_nothing() {
    let layout = layout();
    let fresh = Cpu::new();
    let load = |image: &[u8], components| {
        let mut cpu = fresh.clone();
        let result = layout.load(image, components, &mut cpu);
        assert!(result.is_ok() || cpu.vector == fresh.vector && cpu.x87 == fresh.x87, "{result:?}");
        result
    };
    let good = Image::new();
    assert_eq!(load(&good.0[..575], 1), Err(ImageError::TooShort { needed: 576, given: 575 }));
    if layout.area(2).end != 0 {
        let needed = layout.area(2).end;
        assert_eq!(load(&good.0[..needed - 1], 4), Err(ImageError::TooShort { needed, given: needed - 1 }));
    }
    let with = |at: usize, byte: u8| {
        let mut image = good.clone();
        image.0[at] = byte;
        load(&image.0, 3)
    };
    assert_eq!(with(527, 0x80), Ok(()), "compacted, with nothing in it");
    let mut compacted = good.clone();
    compacted.0[527] = 0x80;
    assert_eq!(layout.store(&fresh, 3, &mut compacted.0), Err(ImageError::Compacted));
    compacted.0[512] = 2;
    assert_eq!(load(&compacted.0, 3), Err(ImageError::Header), "in XSTATE_BV and not in XCOMP_BV");
    assert_eq!(with(520, 1), Err(ImageError::Header));
    assert_eq!(with(575, 1), Err(ImageError::Header));
    assert_eq!(with(26, 4), Err(ImageError::Mxcsr(0x0004_1f80)));
    assert_eq!(with(26, 2), Ok(()), "MXCSR.MM is AMD's");

    let narrow = Layout::new(|_| (0, 0)).unwrap();
    let mut image = good.clone();
    image.0[512] = 4;
    let mut cpu = fresh.clone();
    assert_eq!(narrow.load(&image.0, 4, &mut cpu), Err(ImageError::Component(2)));
    cpu.vector.zmm[0].0[16] = 1;
    image.0[512] = 0;
    assert_eq!(narrow.store(&cpu, 4, &mut image.0), Err(ImageError::Component(2)), "it has no place");
    assert!(Layout::new(|n| if n == 2 { (128, 576) } else { (0, 0) }).is_err(), "a size that no processor has");
    assert!(Layout::new(|n| if n == 2 { (256, 512) } else { (0, 0) }).is_err(), "over the header");
    assert!(Layout::new(|n| if n == 17 { (u32::MAX, 1024) } else { (0, 0) }).is_err(), "without end");
}

/// What the host's XSAVEC writes of any subset of its components loads, and what `store_compacted` writes is what it is: header,
/// places, and bytes of what is in use. The host's XRSTOR takes it back.
#[test]
fn compacted_images_are_the_hosts() {
    let mut skips = Skips::new("xsavec");
    let Some(components) = host_components().filter(|_| __cpuid_count(0xd, 1).eax >> 1 & 1 != 0) else {
        return skips.skip("images", "the host has no XSAVEC", 2000);
    };
    let layout = layout();
    let mut random = Random::new(0xc0de);
    let mut subsets = std::collections::BTreeSet::new();
    for round in 0..2000 {
        let asked = components & random.word();
        subsets.insert(asked);
        let made = random_image(&mut random, &layout, components);
        let image = compacted_by_the_host(&made, components, asked);
        let mut cpu = Cpu::new();
        layout.load(&image.0, asked, &mut cpu).unwrap();
        let mut stored = Image([0; SIZE]);
        let length = layout.store_compacted(&cpu, asked, &mut stored.0).unwrap();
        assert_eq!(length, layout.compacted(asked).size(asked), "round {round}");
        assert_eq!(stored.0[520..528], image.0[520..528], "round {round}: XCOMP_BV");
        // The host may call in use what has its initial state.
        assert_eq!(stored.bv() & !image.bv(), 0, "round {round}: XSTATE_BV");
        let placed = layout.compacted(asked);
        for n in (0..10).filter(|n| stored.bv() >> n & 1 != 0) {
            // MXCSR and its mask lie within the x87 state.
            let held = |i: &usize| n != 0 || !(24..32).contains(i);
            let different = placed.area(n).filter(held).find(|&i| stored.0[i] != image.0[i]);
            assert_eq!(different, None, "round {round}: component {n}");
        }
        let again = through_the_host(&stored, asked);
        let mut back = Cpu::new();
        layout.load(&again.0, asked, &mut back).unwrap();
        assert_eq!((&back.vector, &back.x87), (&cpu.vector, &cpu.x87), "round {round}");
        skips.ran(1);
    }
    assert!(subsets.len() > 60 || components.count_ones() < 6, "{} subsets", subsets.len());
}

/// Loads `image` into the processor and has it written by XSAVEC.
fn compacted_by_the_host(image: &Image, components: u64, asked: u64) -> Image {
    let mut kept = Image::new();
    let mut out = Image([0; SIZE]);
    // SAFETY: as in `through_the_host`; XSAVEC is there.
    unsafe {
        asm!(
            "mov eax, {all:e}",
            "xsave64 [{kept}]",
            "xrstor64 [{image}]",
            "mov eax, {asked:e}",
            "xsavec64 [{out}]",
            "mov eax, {all:e}",
            "xrstor64 [{kept}]",
            kept = in(reg) &raw mut kept, image = in(reg) image, out = in(reg) &raw mut out,
            all = in(reg) components, asked = in(reg) asked,
            in("edx") 0, out("eax") _,
            options(nostack),
        );
    }
    out
}
