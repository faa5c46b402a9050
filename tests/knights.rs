//! Prefetches by vectors of indices, and forms that few processors had: blocks of four registers, pairs of opmasks.

use encore86::bus::CacheOp;
use encore86::isa::Feature;
use encore86::{Access, Bus, Cpu, Engine, Outcome, Platform, Profile, Stop, Unsupported};

/// Notes what is prefetched; there is no memory at all.
#[derive(Default)]
struct Notes(Vec<u64>);

impl Bus for Notes {
    fn fetch(&mut self, _: u64, _: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        Err(Stop::Caller(1))
    }

    fn read(&mut self, _: u64, _: &mut [u8], _: &Access) -> Result<(), Stop> {
        Err(Stop::Caller(2))
    }

    fn write(&mut self, _: u64, _: &[u8], _: &Access) -> Result<(), Stop> {
        Err(Stop::Caller(3))
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Err(Stop::Caller(4))
    }
}

impl Platform for Notes {
    fn cache(&mut self, op: CacheOp, linear: u64) -> Result<(), Stop> {
        assert_eq!(op, CacheOp::Prefetch);
        self.0.push(linear);
        Ok(())
    }
}

fn cpu(indices: impl Fn(usize) -> i32) -> Cpu {
    let mut cpu = Cpu::new();
    cpu.gpr[0] = 0x10_0000;
    for i in 0..16 {
        cpu.vector.zmm[1].0[i * 4..i * 4 + 4].copy_from_slice(&indices(i).to_le_bytes());
    }
    cpu
}

#[test]
fn prefetches_go_to_the_platform() {
    let mut engine = Engine::integer_only(Profile::all());
    // vgatherpf0dps [rax+zmm1*4]{k1}, vscatterpf1dps, vgatherpf0dpd (its indices are the lower eight)
    let cases: &[(&[u8], u64)] = &[
        (&[0x62, 0xf2, 0x7d, 0x49, 0xc6, 0x0c, 0x88], 0xffff),
        (&[0x62, 0xf2, 0x7d, 0x49, 0xc6, 0x34, 0x88], 0xffff),
        (&[0x62, 0xf2, 0xfd, 0x49, 0xc6, 0x0c, 0x88], 0xff),
    ];
    for &(code, elements) in cases {
        let mut cpu = cpu(|i| 0x100 - 64 * i as i32);
        cpu.vector.k[1] = 0xf_8421;
        let (mut notes, before) = (Notes::default(), cpu.clone());
        let outcome = engine.step_bytes(&mut cpu, &mut notes, code);
        assert!(matches!(outcome, Outcome::Completed(_)), "{code:02x?}: {outcome:?}");
        let wanted = [0_i64, 5, 10, 15].into_iter().filter(|i| elements >> i & 1 != 0);
        let wanted: Vec<u64> = wanted.map(|i| (0x10_0000 + 4 * (0x100 - 64 * i)) as u64).collect();
        assert_eq!(notes.0, wanted, "{code:02x?}");
        assert_eq!((cpu.vector.k, cpu.vector.zmm[1].0), (before.vector.k, before.vector.zmm[1].0), "nothing changes");
    }
    // An address that is not canonical is passed over.
    let mut cpu = cpu(|i| if i == 3 { i32::MIN } else { 0 });
    cpu.gpr[0] = 1 << 47;
    cpu.vector.k[1] = 0xf;
    let mut notes = Notes::default();
    let outcome = engine.step_bytes(&mut cpu, &mut notes, &[0x62, 0xf2, 0x7d, 0x49, 0xc6, 0x0c, 0x08]);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!(notes.0, [(1 << 47) - (1 << 31)]);
}

#[test]
fn what_the_host_lacks_is_named() {
    let mut engine = Engine::new(Profile::all()).unwrap();
    // v4fmaddps zmm0, zmm4, [rax]; vp4dpwssd zmm0, zmm4, [rax]; vp2intersectd k0, zmm1, zmm2
    let cases: &[(&[u8], Feature)] = &[
        (&[0x62, 0xf2, 0x5f, 0x48, 0x9a, 0x00], Feature::Avx5124fmaps),
        (&[0x62, 0xf2, 0x5f, 0x48, 0x52, 0x00], Feature::Avx5124vnniw),
        (&[0x62, 0xf2, 0x77, 0x48, 0x68, 0xc2], Feature::Avx512vp2intersect),
    ];
    let mut skipped = 0;
    for &(code, feature) in cases {
        if Profile::host().has(feature) {
            println!("SKIPPED {}: the host has it, and the comparison with the processor covers it", feature.name());
            skipped += 1;
            continue;
        }
        let outcome = engine.step_bytes(&mut Cpu::new(), &mut Notes::default(), code);
        let named = outcome == Outcome::Unsupported(Unsupported::HostLacks(feature.name()));
        assert!(named, "{code:02x?}: {outcome:?}");
    }
    println!("what the host lacks: {} cases ran, {skipped} SKIPPED", cases.len() - skipped);
}
