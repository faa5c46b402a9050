//! Fuzz targets as plain functions of bytes. `cargo fuzz run NAME` feeds them in this folder, and `tests/fuzz.rs` runs them
//! for a bounded time with a stable compiler: nothing here knows of a fuzzer.

use encore86::cpu::segment::Segment;
use encore86::isa::FeatureSet;
use encore86::{Cpu, DecodeError, Insn, Mode, Profile, Vendor, decode, decode_into};
use std::sync::LazyLock;

const MODES: [Mode; 7] =
    [Mode::Real16, Mode::V86, Mode::Prot16, Mode::Prot32, Mode::Compat16, Mode::Compat32, Mode::Long64];

/// The longest instruction.
const LONGEST: usize = 15;

/// Profiles that differ in what they decode and how.
static PROFILES: LazyLock<[Profile; 6]> = LazyLock::new(|| {
    let named = |name| Profile::named(name).expect("a model that the library knows");
    [
        Profile::all().with_vendor(Vendor::Intel),
        Profile::all().with_vendor(Vendor::Amd),
        Profile::host(),
        named("haswell"),
        named("piledriver"),
        Profile::from_features(Vendor::Intel, FeatureSet::base()),
    ]
});

/// What an instruction is, as far as it can be compared.
fn summary(insn: &Insn) -> impl PartialEq + std::fmt::Debug + use<> {
    let row = std::ptr::from_ref(insn.row()) as usize;
    let sizes = (insn.length(), insn.address_size(), insn.immediate(), insn.locked());
    (row, sizes, insn.slots().to_vec(), insn.memory_operand(), insn.opmask(), insn.to_string())
}

/// Decodes `data` in every mode under several profiles and checks what holds of every instruction: its length, that fewer
/// bytes are too few and more make no difference, that a used place is filled as a fresh one. Says how many there were.
pub fn decode_does_not_panic(data: &[u8]) -> usize {
    let (mut count, mut used) = (0, Insn::default());
    for mode in MODES {
        for profile in PROFILES.iter() {
            let first = decode(data, mode, profile);
            let into = decode_into(data, mode, profile, &mut used);
            let insn = match first {
                Ok(insn) => insn,
                Err(error) => {
                    assert_eq!(into, Err(error), "{data:02x?} in {mode:?}");
                    assert!(error != DecodeError::Truncated || data.len() < LONGEST, "{data:02x?} in {mode:?}");
                    continue;
                }
            };
            count += 1;
            let length = insn.length();
            assert!((1..=LONGEST.min(data.len())).contains(&length), "{data:02x?} in {mode:?}: length {length}");
            assert_eq!((into, summary(&used)), (Ok(()), summary(&insn)), "{data:02x?} in {mode:?}, in a used place");
            match decode(&data[..length], mode, profile) {
                Ok(again) => assert_eq!(summary(&again), summary(&insn), "{data:02x?} in {mode:?}, of its own bytes"),
                Err(error) => panic!("{data:02x?} in {mode:?}: {error:?} where there was {insn}"),
            }
            for less in 0..length {
                let error = decode(&data[..less], mode, profile).err();
                assert_eq!(error, Some(DecodeError::Truncated), "{less} bytes of {data:02x?} in {mode:?}");
            }
        }
    }
    count
}

/// Decodes the first bytes of `data` and asks all that an instruction can be asked, with registers made of the rest. Says how
/// many instructions there were.
pub fn text_and_accesses_do_not_panic(data: &[u8]) -> usize {
    let (code, rest) = data.split_at(data.len().min(LONGEST));
    let cpu = any_cpu(rest);
    let mut count = 0;
    for mode in MODES {
        for profile in PROFILES.iter() {
            let Ok(insn) = decode(code, mode, profile) else { continue };
            count += 1;
            assert!(!insn.to_string().is_empty());
            assert!(!insn.mnemonic().to_string().is_empty());
            assert!(!insn.row().form().to_string().is_empty());
            for i in 0..12 {
                let _ = (insn.uses(i), insn.implicit(i));
            }
            for slot in insn.slots().iter() {
                let _ = (slot.register_name().to_string(), format!("{slot:?}"));
            }
            if let Some(memory) = insn.memory_operand() {
                let _ = (memory.to_string(), memory.base_name().is_some(), memory.index_name().is_some());
            }
            let _ = (insn.memory(), insn.merges(), insn.zeroing(), insn.broadcast(), insn.static_rounding());
            let _ = (insn.keeps_flags(), insn.repeat(), insn.segment(), insn.branch_target(cpu.rip));
            let _ = (insn.state_read(), insn.state_written());
            let accesses = insn.accesses(&cpu, profile);
            assert!(accesses.iter().all(|access| access.len > 0), "{insn}: {accesses:?}");
            assert!(accesses.repetitions().is_none() || insn.repeat().is_some(), "{insn}: {accesses:?}");
        }
    }
    // Words without end: once is enough.
    if let Ok(insn) = decode(code, Mode::Long64, &PROFILES[0]) {
        assert!(!format!("{insn:?} {:?}", insn.accesses(&cpu, &PROFILES[0])).is_empty());
    }
    count
}

/// Numbers from data; zeros when they are used up.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn next(&mut self) -> u64 {
        let (first, rest) = self.0.split_at(self.0.len().min(8));
        self.0 = rest;
        first.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
    }
}

/// A processor with any registers, in any mode.
fn any_cpu(data: &[u8]) -> Cpu {
    let mut words = Words(data);
    let mut cpu = Cpu::new();
    let choice = words.next();
    cpu.gpr.iter_mut().for_each(|gpr| *gpr = words.next());
    cpu.rip = words.next();
    cpu.set_rflags(words.next());
    cpu.vector.k.iter_mut().for_each(|k| *k = words.next());
    for zmm in &mut cpu.vector.zmm {
        zmm.0.chunks_mut(8).for_each(|lane| lane.copy_from_slice(&words.next().to_le_bytes()));
    }
    cpu.x87.fcw = choice as u16;
    cpu.x87.regs[0][..8].copy_from_slice(&words.next().to_le_bytes());
    cpu.update(|s| {
        for seg in &mut s.seg {
            let (base, rest) = (words.next(), words.next());
            *seg = Segment {
                selector: rest as u16,
                attr: (rest >> 16) as u32 & 0x1_f0ff,
                limit: (rest >> 32) as u32,
                base,
            };
        }
        (s.gdtr.base, s.ldtr.base, s.tr.base, s.ssp) = (words.next(), words.next(), words.next(), words.next());
        if choice & 1 << 16 != 0 {
            (s.cr0, s.cr3, s.cr4, s.efer) = (words.next(), words.next(), words.next(), words.next());
            (s.xcr0, s.xss) = (words.next(), words.next());
        }
    });
    cpu
}
