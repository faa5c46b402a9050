//! Supervisor components of the XSAVE area, and IA32_XFD, from the SDM's text (volume 1, 13.5 and 13.14): no host lets a process
//! look at them.

use encore86::bus::{Access, Bus, Platform};
use encore86::cpu::registers::component;
use encore86::{Cpu, CpuidResult, Engine, Outcome, Profile, Stop, Vendor};
use std::collections::HashMap;

const AREA: u64 = 0x2000;
const CONFIG: u64 = 0x1000;

struct Vm {
    bytes: Vec<u8>,
    registers: HashMap<u32, u64>,
}

impl Bus for Vm {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        buf.copy_from_slice(&self.bytes[linear as usize..][..15]);
        Ok(15)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        buf.copy_from_slice(&self.bytes[linear as usize..][..buf.len()]);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        self.bytes[linear as usize..][..buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

impl Platform for Vm {
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        self.registers.get(&index).copied().ok_or(Stop::NotProvided("this register"))
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        self.registers.insert(index, value);
        Ok(())
    }
}

struct Rig {
    engine: Engine,
    cpu: Cpu,
    vm: Vm,
}

/// Components with names of registers, in the order of the area: component, size, and registers.
fn components() -> Vec<(u32, usize, Vec<u32>)> {
    let mut branches = vec![0x14ce, 0x14cf, 0x1dd, 0x1de, 0x1e0];
    (0..32).for_each(|n| branches.extend([0x1500 + n, 0x1600 + n, 0x1200 + n]));
    vec![
        (8, 128, vec![0x570, 0x560, 0x561, 0x571, 0x572, 0x580, 0x581, 0x582, 0x583]),
        (10, 8, vec![0xd93]),
        (11, 16, vec![0x6a0, 0x6a7]),
        (12, 24, vec![0x6a4, 0x6a5, 0x6a6]),
        (13, 8, vec![0xdb1]),
        (14, 48, vec![0x986, 0x987, 0x988, 0x989, 0x985, 0x98a]),
        (15, 808, branches),
        (16, 8, vec![0x774]),
    ]
}

const SUPERVISOR: u64 = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 16;
const XSAVE: &[u8] = &[0x0f, 0xae, 0x23];
const XSAVEC: &[u8] = &[0x0f, 0xc7, 0x23];
const XSAVES: &[u8] = &[0x0f, 0xc7, 0x2b];
const XRSTOR: &[u8] = &[0x0f, 0xae, 0x2b];
const XRSTORS: &[u8] = &[0x0f, 0xc7, 0x1b];
const RDMSR: &[u8] = &[0x0f, 0x32];
const WRMSR: &[u8] = &[0x0f, 0x30];
const TILEZERO_0: &[u8] = &[0xc4, 0xe2, 0x7b, 0x49, 0xc0];
const LDTILECFG: &[u8] = &[0xc4, 0xe2, 0x78, 0x49, 0x06];
const STTILECFG: &[u8] = &[0xc4, 0xe2, 0x79, 0x49, 0x06];
const TILERELEASE: &[u8] = &[0xc4, 0xe2, 0x78, 0x49, 0xc0];

impl Rig {
    /// A processor whose leaf 0Dh has these supervisor components, with R/EBX at the area.
    fn new(profile: Profile, xss: u64) -> Rig {
        let mut cpu = Cpu::new();
        cpu.update(|s| {
            s.xcr0 |= component::TILECFG | component::TILEDATA;
            s.xss = xss;
        });
        (cpu.gpr[3], cpu.gpr[6]) = (AREA, CONFIG);
        let mut bytes = vec![0xee; 0x8000];
        bytes[AREA as usize + 512..][..64].fill(0);
        Rig { engine: Engine::integer_only(profile), cpu, vm: Vm { bytes, registers: HashMap::new() } }
    }

    fn step(&mut self, code: &[u8], mask: u64) -> Outcome {
        self.cpu.rip = 0x100;
        (self.cpu.gpr[0], self.cpu.gpr[2]) = (mask & 0xffff_ffff, mask >> 32);
        self.vm.bytes[0x100..0x100 + code.len()].copy_from_slice(code);
        self.engine.step(&mut self.cpu, &mut self.vm)
    }

    fn done(&mut self, code: &[u8], mask: u64) {
        let outcome = self.step(code, mask);
        assert!(matches!(outcome, Outcome::Completed(_)), "{code:02x?}: {outcome:?}");
    }

    fn fault(&mut self, code: &[u8], mask: u64) -> u8 {
        match self.step(code, mask) {
            Outcome::Exception(event) => event.vector,
            outcome => panic!("{code:02x?}: {outcome:?}"),
        }
    }

    fn word(&self, offset: usize) -> u64 {
        u64::from_le_bytes(*self.vm.bytes[AREA as usize + offset..].first_chunk().unwrap())
    }

    fn write_msr(&mut self, index: u64, value: u64) -> Outcome {
        self.cpu.gpr[1] = index;
        self.step(WRMSR, value)
    }
}

/// The features of `Profile::all`, and a leaf that says which supervisor components there are.
fn profile() -> Profile {
    let all = Profile::all();
    let blank = Cpu::new();
    let mut leaves: Vec<(u32, u32, CpuidResult)> = Vec::new();
    for (leaf, subleaf) in [(0, 0), (1, 0), (7, 0), (7, 1), (0xd, 0), (0xd, 1), (0x1e, 0), (0x1e, 1)] {
        let mut result = all.cpuid(leaf, subleaf, blank.system());
        if (leaf, subleaf) == (0xd, 1) {
            result.ecx = SUPERVISOR as u32;
        }
        leaves.push((leaf, subleaf, result));
    }
    let profile = Profile::from_cpuid(leaves);
    assert_eq!((profile.vendor(), profile.xss()), (Vendor::Intel, SUPERVISOR));
    profile
}

#[test]
fn supervisor_components_are_saved_and_restored() {
    let mut rig = Rig::new(profile(), SUPERVISOR);
    let list = components();
    let value = |register: u32| 0x1111_0022_0000_0000 | u64::from(register) << 4 | 1;
    for register in list.iter().flat_map(|(.., registers)| registers) {
        rig.vm.registers.insert(*register, value(*register));
    }
    rig.cpu.update(|s| s.uif = true);
    rig.done(XSAVES, SUPERVISOR);
    assert_eq!((rig.word(512), rig.word(520)), (SUPERVISOR, SUPERVISOR | 1 << 63));
    let mut at = 576;
    for (n, size, registers) in &list {
        for (i, register) in registers.iter().enumerate() {
            let uif = if *register == 0x988 { 1 << 63 } else { 0 };
            assert_eq!(rig.word(at + 8 * i), value(*register) | uif, "component {n}, register {register:#x}");
        }
        let leaf = rig.engine.profile().cpuid(0xd, *n, rig.cpu.system());
        assert_eq!((leaf.eax as usize, leaf.ecx), (*size, 1), "component {n}");
        at += size;
    }
    let size = rig.engine.profile().cpuid(0xd, 1, rig.cpu.system()).ebx;
    // XCR0's own components come in between: AVX, opmask, ZMM_Hi256, Hi16_ZMM, tiles.
    assert_eq!(size as usize, (at + 256 + 64 + 512 + 1024).next_multiple_of(64) + 64 + 8192);
    // Tracing and recording stop.
    assert_eq!([0x570, 0x14ce].map(|register| rig.vm.registers[&register]), [0x570, 0x14ce].map(|r| value(r) & !1));

    // And no vector notifies: UINV.
    assert_eq!(rig.vm.registers[&0x988], value(0x988) & !(0xff << 32));

    rig.vm.registers.clear();
    rig.cpu.update(|s| s.uif = false);
    rig.done(XRSTORS, SUPERVISOR);
    for (n, _, registers) in &list {
        let restored = registers.iter().all(|register| rig.vm.registers.get(register) == Some(&value(*register)));
        assert!(restored, "component {n}: {:x?}", rig.vm.registers);
    }
    assert!(rig.cpu.system().uif);
    // What XSTATE_BV does not have gets its initial state.
    rig.vm.bytes[AREA as usize + 513] &= !1;
    rig.done(XRSTORS, SUPERVISOR);
    assert_eq!((rig.vm.registers[&0x583], rig.vm.registers[&0xd93]), (0, value(0xd93)));
    // The user's instructions know none of them.
    assert_eq!(rig.fault(XRSTOR, u64::MAX), 13);
}

#[test]
fn xss_takes_what_the_profile_has() {
    let mut rig = Rig::new(profile(), 0);
    assert!(matches!(rig.write_msr(0xda0, SUPERVISOR), Outcome::Completed(_)));
    assert_eq!(rig.cpu.system().xss, SUPERVISOR);
    for bit in [0, 2, 9, 17, 18, 63] {
        assert!(matches!(rig.write_msr(0xda0, 1 << bit), Outcome::Exception(event) if event.vector == 13), "bit {bit}");
    }
    // Without a leaf that says so, by features.
    assert_eq!(Profile::all().xss(), 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 14);
}

#[test]
fn xfd_disables_tile_data() {
    let mut rig = Rig::new(Profile::all(), 0);
    rig.vm.bytes[CONFIG as usize..][..64].fill(0);
    rig.vm.bytes[CONFIG as usize] = 1;
    (rig.vm.bytes[CONFIG as usize + 16], rig.vm.bytes[CONFIG as usize + 48]) = (64, 16);
    rig.done(LDTILECFG, 0);
    rig.cpu.tiles_mut().data[0][3][3] = 7;
    let tile = component::TILEDATA;
    rig.done(XSAVE, component::TILECFG | tile);
    assert_eq!(rig.word(512) & (component::TILECFG | tile), component::TILECFG | tile);

    for bad in [1 << 17, 1 << 2, 1 << 19] {
        assert!(matches!(rig.write_msr(0x1c4, bad), Outcome::Exception(event) if event.vector == 13), "{bad:#x}");
    }
    assert!(matches!(rig.write_msr(0x1c4, tile), Outcome::Completed(_)));
    assert_eq!(rig.engine.profile().cpuid(0xd, 18, rig.cpu.system()).ecx & 4, 4);
    rig.cpu.gpr[1] = 0x1c5;
    rig.done(RDMSR, 0);
    assert_eq!(rig.cpu.gpr[0], 0);
    // #NM, and IA32_XFD_ERR says why; the tile stays.
    assert_eq!(rig.fault(TILEZERO_0, 0), 7);
    assert_eq!(rig.cpu.system().xfd_err, tile);
    rig.cpu.gpr[1] = 0x1c5;
    rig.done(RDMSR, 0);
    assert_eq!(rig.cpu.gpr[0], tile);
    assert!(matches!(rig.write_msr(0x1c5, 0), Outcome::Completed(_)));
    // What touches the configuration alone is free.
    rig.done(STTILECFG, 0);
    assert_eq!(rig.cpu.tiles.as_ref().unwrap().data[0][3][3], 7);

    // Restoring it is #NM, unless the image has its initial state.
    assert_eq!(rig.fault(XRSTOR, tile), 7);
    assert_eq!(rig.cpu.system().xfd_err, tile);
    rig.vm.bytes[AREA as usize + 514] &= !4;
    rig.done(XRSTOR, component::TILECFG | tile);
    assert_eq!(rig.cpu.tiles.as_ref().unwrap().data[0][3][3], 0);

    // Saving it is saving its initial state.
    rig.cpu.tiles_mut().data[0][0][0] = 9;
    rig.vm.bytes[AREA as usize..].fill(0xee);
    rig.vm.bytes[AREA as usize + 512..][..64].fill(0);
    rig.done(XSAVE, tile);
    let at = rig.engine.profile().xsave_area(18).unwrap().offset as usize;
    assert_eq!((rig.word(512), rig.word(at)), (0, 0));
    rig.vm.bytes[AREA as usize + at..][..64].fill(0xee);
    rig.done(XSAVEC, tile);
    assert_eq!((rig.word(512), rig.word(520)), (0, tile | 1 << 63));
    assert_eq!(rig.word(at), u64::from_le_bytes([0xee; 8]), "it is left out");

    rig.done(TILERELEASE, 0);
    assert!(matches!(rig.write_msr(0x1c4, 0), Outcome::Completed(_)));
    rig.done(LDTILECFG, 0);
    rig.done(TILEZERO_0, 0);
}
