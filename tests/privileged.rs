//! Privileged instructions on registers, the TLB and caches, and the I/O permission bitmap, against what the manual's pages say:
//! each fault that they name has a line here.

#[path = "support/vm.rs"]
#[allow(dead_code)] // each suite uses its own part
mod vm;

use encore86::cpu::registers::{component, cr0, cr3, cr4, efer, rflags};
use encore86::cpu::segment::{Seg, rights};
use encore86::isa::Feature;
use encore86::{Bus, Cpu, Engine, Mode, Outcome, Platform, Profile, Stop, Unsupported, Vendor};
use vm::{Done, Vm};

const CODE: u64 = 0x1000;
const DATA: u64 = 0x8000;
const RAX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;
const RBX: usize = 3;

const GP: u8 = 13;
const UD: u8 = 6;
const DB: u8 = 1;

/// 64-bit mode at CPL 0 with paging on; the bus's addresses are linear.
fn long() -> Cpu {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr0 |= cr0::PG | cr0::WP;
        // No feature of what is not under test.
        s.xcr0 = 7;
    });
    cpu.gpr[RBX] = DATA;
    cpu.rip = CODE;
    cpu
}

/// 32-bit protected mode at CPL 0, paging off.
fn protected() -> Cpu {
    let mut cpu = long();
    cpu.update(|s| {
        s.efer &= !(efer::LMA | efer::LME);
        s.cr0 &= !cr0::PG;
        let cs = &mut s.seg[Seg::Cs as usize];
        cs.attr = cs.attr & !rights::L | rights::DB;
    });
    assert_eq!(cpu.mode(), Mode::Prot32);
    cpu
}

/// The same at CPL 3.
fn user(mut cpu: Cpu) -> Cpu {
    cpu.update(|s| {
        s.seg[Seg::Ss as usize].attr |= 3 << rights::DPL_SHIFT;
        s.seg[Seg::Cs as usize].attr |= 3 << rights::DPL_SHIFT;
    });
    assert_eq!(cpu.cpl(), 3);
    cpu
}

fn step(cpu: &mut Cpu, vm: &mut Vm, code: &[u8]) -> Outcome {
    step_as(Profile::all(), cpu, vm, code)
}

fn step_as(profile: Profile, cpu: &mut Cpu, vm: &mut Vm, code: &[u8]) -> Outcome {
    vm.put_code(CODE, code);
    Engine::integer_only(profile).step(cpu, vm)
}

/// It ends so, and nothing but what may has changed.
#[track_caller]
fn faults(name: &str, mut cpu: Cpu, code: &[u8], vector: u8) {
    let before = cpu.clone();
    let mut vm = Vm::default();
    vm.put(DATA, &[0x5a; 16]);
    let outcome = step(&mut cpu, &mut vm, code);
    let Outcome::Exception(event) = outcome else { panic!("{name}: {outcome:?}") };
    let code = if vector == GP { Some(0) } else { None };
    assert_eq!((event.vector, event.error_code), (vector, code), "{name}: {event}");
    assert_eq!((cpu.gpr, cpu.rip, cpu.rflags()), (before.gpr, before.rip, before.rflags()), "{name}");
    let mut system = cpu.system().clone();
    system.dr[6] = before.system().dr[6];
    assert_eq!(system, *before.system(), "{name}");
    assert!(vm.told.is_empty(), "{name}: {:?}", vm.told);
}

#[track_caller]
fn completes(name: &str, cpu: &mut Cpu, vm: &mut Vm, code: &[u8]) {
    let outcome = step(cpu, vm, code);
    assert!(matches!(outcome, Outcome::Completed(_)), "{name}: {outcome:?}");
    assert_eq!(cpu.rip, CODE + code.len() as u64, "{name}");
}

/// MOV to control register `n` from RAX.
fn to_cr(n: u8) -> Vec<u8> {
    if n == 8 { vec![0x44, 0x0f, 0x22, 0xc0] } else { vec![0x0f, 0x22, 0xc0 | n << 3] }
}

fn to_dr(n: u8) -> [u8; 3] {
    [0x0f, 0x23, 0xc0 | n << 3]
}

fn with(mut cpu: Cpu, rax: u64) -> Cpu {
    cpu.gpr[RAX] = rax;
    cpu
}

fn and(mut cpu: Cpu, change: impl FnOnce(&mut encore86::cpu::System)) -> Cpu {
    cpu.update(change);
    cpu
}

/// What MOV to a control register refuses (SDM volume 2, MOV: Move to/from Control Registers, 64-bit mode exceptions).
#[test]
fn control_registers_refuse() {
    let cr0 = long().system().cr0;
    let cr4 = long().system().cr4;
    let cases: &[(&str, Cpu, u8)] = &[
        ("CR0: a bit of the upper half", with(long(), cr0 | 1 << 32), 0),
        ("CR0: PG without PE", with(long(), cr0 & !cr0::PE), 0),
        ("CR0: NW without CD", with(long(), cr0 | cr0::NW), 0),
        ("CR0: PG cleared in 64-bit mode", with(long(), cr0 & !cr0::PG), 0),
        ("CR0: WP cleared with CR4.CET", with(and(long(), |s| s.cr4 |= cr4::CET), cr0 & !cr0::WP), 0),
        (
            "CR0: PG cleared with CR4.PCIDE",
            with(
                and(protected(), |s| {
                    s.cr0 |= cr0::PG;
                    s.cr4 |= cr4::PCIDE;
                }),
                cr0 & !cr0::PG,
            ),
            0,
        ),
        (
            "CR0: PG set with EFER.LME, without CR4.PAE",
            with(
                and(protected(), |s| {
                    s.efer |= efer::LME;
                    s.cr4 &= !cr4::PAE;
                }),
                cr0,
            ),
            0,
        ),
        (
            "CR0: PG set with EFER.LME and CS.L",
            with(
                and(protected(), |s| {
                    s.efer |= efer::LME;
                    s.seg[Seg::Cs as usize].attr |= rights::L;
                }),
                cr0,
            ),
            0,
        ),
        (
            "CR0: PG set with EFER.LME and a TSS of 16 bits",
            with(
                and(protected(), |s| {
                    s.efer |= efer::LME;
                    s.tr.attr = 0x83;
                }),
                cr0,
            ),
            0,
        ),
        ("CR3: a bit above the physical address", with(long(), 1 << 52), 3),
        ("CR3: bit 63 without CR4.PCIDE", with(long(), 1 << 63), 3),
        ("CR4: a reserved bit", with(long(), cr4 | 1 << 15), 4),
        ("CR4: a bit of the upper half", with(long(), cr4 | 1 << 40), 4),
        ("CR4: PAE cleared in IA-32e mode", with(long(), cr4 & !cr4::PAE), 4),
        ("CR4: LA57 changed in IA-32e mode", with(long(), cr4 | cr4::LA57), 4),
        ("CR4: PCIDE set outside IA-32e mode", with(protected(), cr4 | cr4::PCIDE), 4),
        ("CR4: PCIDE set with a PCID in CR3", with(and(long(), |s| s.cr3 = 0x1001), cr4 | cr4::PCIDE), 4),
        ("CR4: CET set with CR0.WP clear", with(and(long(), |s| s.cr0 &= !cr0::WP), cr4 | cr4::CET), 4),
        ("CR8: bit 4", with(long(), 0x10), 8),
    ];
    for (name, cpu, n) in cases {
        faults(name, cpu.clone(), &to_cr(*n), GP);
        faults(&format!("{name}, at CPL 3"), user(cpu.clone()), &to_cr(*n), GP);
    }
    for n in [1, 5, 6, 7] {
        faults(&format!("CR{n} does not exist"), long(), &to_cr(n), UD);
        faults(&format!("CR{n} does not exist, read"), long(), &[0x0f, 0x20, 0xc0 | n << 3], UD);
    }
}

/// What a processor without a feature has for a reserved bit.
#[test]
fn bits_of_cr4_come_with_features() {
    let cases = [
        (Feature::Umip, cr4::UMIP),
        (Feature::Smep, cr4::SMEP),
        (Feature::Smap, cr4::SMAP),
        (Feature::Pku, cr4::PKE),
        (Feature::Fsgsbase, cr4::FSGSBASE),
        (Feature::Pks, cr4::PKS),
        (Feature::Pcid, cr4::PCIDE),
    ];
    for (feature, bit) in cases {
        for has in [true, false] {
            let mut cpu = long();
            let value = cpu.system().cr4 | bit;
            cpu.gpr[RAX] = value;
            let profile = if has { Profile::all() } else { Profile::all().without(feature) };
            let outcome = step_as(profile, &mut cpu, &mut Vm::default(), &to_cr(4));
            let expected = if has { value } else { value & !bit };
            assert_eq!(cpu.system().cr4, expected, "{feature:?}: {outcome:?}");
            assert_eq!(matches!(outcome, Outcome::Exception(e) if e.vector == GP), !has, "{feature:?}: {outcome:?}");
        }
    }
}

#[test]
fn control_registers_are_written() {
    let vm = &mut Vm::default();
    // Into IA-32e mode and out of it: LMA follows.
    let mut cpu = and(protected(), |s| s.efer |= efer::LME);
    cpu.gpr[RAX] = cpu.system().cr0 | cr0::PG | 1 << 6 | cr0::TS;
    completes("CR0.PG", &mut cpu, vm, &to_cr(0));
    assert_eq!((cpu.mode(), cpu.system().efer & efer::LMA), (Mode::Compat32, efer::LMA));
    assert_eq!(cpu.system().cr0 & 1 << 6, 0, "a reserved bit of the lower half is ignored");
    cpu.rip = CODE;
    cpu.gpr[RAX] = 0;
    completes("CR0 cleared", &mut cpu, vm, &to_cr(0));
    assert_eq!((cpu.mode(), cpu.system().efer & efer::LMA, cpu.system().cr0), (Mode::Real16, 0, cr0::ET));
    // Bit 63 keeps translations, and is not kept.
    let mut cpu = with(and(long(), |s| s.cr4 |= cr4::PCIDE), 1 << 63 | 0x5005 | cr3::LAM_U57);
    completes("CR3", &mut cpu, vm, &to_cr(3));
    assert_eq!(cpu.system().cr3, 0x5005 | cr3::LAM_U57);
    let mut cpu = with(long(), u64::MAX);
    completes("CR2", &mut cpu, vm, &to_cr(2));
    cpu.rip = CODE;
    cpu.gpr[RAX] = 9;
    completes("CR8", &mut cpu, vm, &to_cr(8));
    assert_eq!((cpu.system().cr2, cpu.system().cr8), (u64::MAX, 9));
    // MOV from: 64 bits, whatever the prefixes.
    for (n, code) in [(0, vec![0x0f, 0x20, 0xc1]), (2, vec![0x66, 0x0f, 0x20, 0xd1]), (8, vec![0x44, 0x0f, 0x20, 0xc1])]
    {
        cpu.rip = CODE;
        completes("MOV from", &mut cpu, vm, &code);
        let s = cpu.system();
        assert_eq!(cpu.gpr[RCX], [s.cr0, 0, s.cr2, 0, 0, 0, 0, 0, s.cr8][n], "CR{n}");
    }
}

#[test]
fn machine_status_word() {
    let vm = &mut Vm::default();
    // LMSW sets PE, MP, EM and TS, and does not clear PE.
    let mut cpu = with(long(), 0xfffe);
    completes("LMSW", &mut cpu, vm, &[0x0f, 0x01, 0xf0]);
    assert_eq!(cpu.system().cr0 & 0xf, 0xf);
    cpu.rip = CODE;
    completes("CLTS", &mut cpu, vm, &[0x0f, 0x06]);
    assert_eq!(cpu.system().cr0 & 0xf, 7);
    (cpu.rip, cpu.gpr[RAX]) = (CODE, 0);
    completes("LMSW of 0", &mut cpu, vm, &[0x0f, 0x01, 0xf0]);
    assert_eq!(cpu.system().cr0 & 0xf, 1);
    // SMSW: as wide as a register, 16 bits in memory.
    let cr0 = cpu.system().cr0;
    for (code, mask) in [
        (vec![0x48, 0x0f, 0x01, 0xe0], u64::MAX),
        (vec![0x0f, 0x01, 0xe0], 0xffff_ffff),
        (vec![0x66, 0x0f, 0x01, 0xe0], 0xffff),
    ] {
        (cpu.rip, cpu.gpr[RAX]) = (CODE, 0);
        completes("SMSW", &mut cpu, vm, &code);
        assert_eq!(cpu.gpr[RAX], cr0 & mask);
    }
    cpu.rip = CODE;
    completes("SMSW to memory", &mut cpu, vm, &[0x48, 0x0f, 0x01, 0x23]);
    assert_eq!(vm.log, [Done::Write(DATA, cr0.to_le_bytes()[..2].to_vec())]);
    faults("LMSW at CPL 3", user(long()), &[0x0f, 0x01, 0xf0], GP);
    faults("CLTS at CPL 3", user(long()), &[0x0f, 0x06], GP);
}

#[test]
fn descriptor_table_registers() {
    let mut vm = Vm::default();
    let image = [0x34, 0x12, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0, 0];
    vm.put(DATA, &image);
    for (idt, load, store) in [(false, 0x13, 0x03), (true, 0x1b, 0x0b)] {
        let mut cpu = long();
        completes("load", &mut cpu, &mut vm, &[0x0f, 0x01, load]);
        let table = if idt { cpu.system().idtr } else { cpu.system().gdtr };
        assert_eq!((table.limit, table.base), (0x1234, 0x3344_5566_7788));
        (cpu.rip, cpu.gpr[RBX]) = (CODE, DATA + 0x100);
        completes("store", &mut cpu, &mut vm, &[0x0f, 0x01, store]);
        assert_eq!(vm.get(DATA + 0x100, 10), image);
        // 32-bit: six bytes. 16-bit operand size: 24 bits of the base are loaded, all are stored.
        for (prefix, mask) in [(&[][..], 0xffff_ffff), (&[0x66][..], 0xff_ffff)] {
            let mut cpu = protected();
            completes("load", &mut cpu, &mut vm, &[prefix, &[0x0f, 0x01, load]].concat());
            let table = if idt { cpu.system().idtr } else { cpu.system().gdtr };
            assert_eq!((table.limit, table.base), (0x1234, 0x5566_7788 & mask));
            let full = and(cpu, |s| (s.gdtr.base, s.idtr.base) = (0x5566_7788, 0x5566_7788));
            let mut cpu = full;
            (cpu.rip, cpu.gpr[RBX]) = (CODE, DATA + 0x200);
            completes("store", &mut cpu, &mut vm, &[prefix, &[0x0f, 0x01, store]].concat());
            assert_eq!(vm.get(DATA + 0x200, 6), image[..6]);
        }
        faults("load at CPL 3", user(long()), &[0x0f, 0x01, load], GP);
        // 5A5A… is not canonical.
        faults("a base that is not canonical", long(), &[0x0f, 0x01, load], GP);
    }
}

/// SGDT, SIDT, SLDT, SMSW, STR: #GP(0) above CPL 0 under CR4.UMIP, free without.
#[test]
fn user_mode_instruction_prevention() {
    let codes: [&[u8]; 7] = [
        &[0x0f, 0x01, 0x03],
        &[0x0f, 0x01, 0x0b],
        &[0x0f, 0x00, 0x03],
        &[0x0f, 0x00, 0xc0],
        &[0x0f, 0x01, 0x23],
        &[0x0f, 0x00, 0x0b],
        &[0x0f, 0x00, 0xc8],
    ];
    for code in codes {
        let name = format!("{code:x?}");
        faults(&name, user(and(long(), |s| s.cr4 |= cr4::UMIP)), code, GP);
        completes(&name, &mut user(long()), &mut Vm::default(), code);
        completes(&name, &mut and(long(), |s| s.cr4 |= cr4::UMIP), &mut Vm::default(), code);
    }
    let mut cpu = and(long(), |s| (s.ldtr.selector, s.tr.selector) = (0x58, 0x68));
    cpu.gpr[RAX] = u64::MAX;
    completes("SLDT", &mut cpu, &mut Vm::default(), &[0x0f, 0x00, 0xc0]);
    assert_eq!(cpu.gpr[RAX], 0x58, "zero-extended");
    cpu.rip = CODE;
    completes("STR", &mut cpu, &mut Vm::default(), &[0x0f, 0x00, 0xc8]);
    assert_eq!(cpu.gpr[RAX], 0x68);
}

#[test]
fn debug_registers() {
    let vm = &mut Vm::default();
    for n in [0, 1, 2, 3] {
        let mut cpu = with(long(), 0x8123_4567_89ab_cdef);
        completes("MOV to DR", &mut cpu, vm, &to_dr(n));
        assert_eq!(cpu.system().dr[usize::from(n)], 0x8123_4567_89ab_cdef);
        cpu.rip = CODE;
        completes("MOV from DR", &mut cpu, vm, &[0x0f, 0x21, 0xc1 | n << 3]);
        assert_eq!(cpu.gpr[RCX], 0x8123_4567_89ab_cdef);
    }
    let mut cpu = with(long(), 0xffff_ffff);
    completes("DR6", &mut cpu, vm, &to_dr(6));
    cpu.rip = CODE;
    cpu.gpr[RAX] = 0xffff_dfff;
    completes("DR7", &mut cpu, vm, &to_dr(7));
    assert_eq!((cpu.system().dr[6], cpu.system().dr[7]), (0xffff_efff, 0xffff_07ff));
    faults("DR6: the upper half", with(long(), 1 << 32), &to_dr(6), GP);
    faults("DR7: the upper half", with(long(), 1 << 63), &to_dr(7), GP);
    faults("at CPL 3", user(long()), &to_dr(0), GP);
    // CR4.DE is set in `long`.
    faults("DR4 with CR4.DE", long(), &to_dr(4), UD);
    faults("DR5 with CR4.DE", long(), &[0x0f, 0x21, 0xe8], UD);
    let mut cpu = with(and(long(), |s| s.cr4 &= !cr4::DE), 0xffff_0ff1);
    completes("DR4 is DR6 without CR4.DE", &mut cpu, vm, &to_dr(4));
    assert_eq!(cpu.system().dr[6], 0xffff_0ff1);
    // General detect: a fault that says so in DR6.
    for code in [to_dr(0), to_dr(7), [0x0f, 0x21, 0xf8]] {
        let mut cpu = and(long(), |s| s.dr[7] |= 1 << 13);
        let before = cpu.system().clone();
        let outcome = step(&mut cpu, vm, &code);
        let Outcome::Exception(event) = outcome else { panic!("{outcome:?}") };
        assert_eq!((event.vector, event.error_code, cpu.rip), (DB, None, CODE));
        assert_eq!(cpu.system().dr[6], before.dr[6] | 1 << 13);
        assert_eq!(cpu.system().dr[7], before.dr[7]);
    }
}

#[test]
fn model_specific_registers() {
    const RDMSR: &[u8] = &[0x0f, 0x32];
    const WRMSR: &[u8] = &[0x0f, 0x30];
    let msr = |cpu: Cpu, index: u32, value: u64| {
        let mut cpu = cpu;
        (cpu.gpr[RCX], cpu.gpr[RAX], cpu.gpr[RDX]) =
            (0xffff_ffff_0000_0000 | u64::from(index), value & 0xffff_ffff, value >> 32);
        cpu
    };
    let kept: [(u32, u64); 4] = [
        (0xc000_0100, 0x7fff_1234_5678),
        (0xc000_0101, 0xffff_8000_0000_0001),
        (0xc000_0102, 0x99),
        (0x6e1, 0x5555_aaaa),
    ];
    for (index, value) in kept {
        let mut vm = Vm::default();
        let mut cpu = msr(long(), index, value);
        completes("WRMSR", &mut cpu, &mut vm, WRMSR);
        (cpu.gpr[RAX], cpu.gpr[RDX], cpu.rip) = (u64::MAX, u64::MAX, CODE);
        completes("RDMSR", &mut cpu, &mut vm, RDMSR);
        assert_eq!((cpu.gpr[RAX], cpu.gpr[RDX]), (value & 0xffff_ffff, value >> 32), "{index:#x}");
        assert!(vm.told.is_empty(), "it is the processor's");
    }
    let s = long().system().clone();
    let mut cpu = msr(long(), 0xc000_0080, s.efer & !efer::LMA & !efer::NXE);
    completes("EFER", &mut cpu, &mut Vm::default(), WRMSR);
    assert_eq!(cpu.system().efer, s.efer & !efer::NXE, "LMA is not written");
    faults("EFER: a reserved bit", msr(long(), 0xc000_0080, s.efer | 2), WRMSR, GP);
    faults("EFER: LME changed under paging", msr(long(), 0xc000_0080, s.efer & !efer::LME), WRMSR, GP);
    for index in [0xc000_0100, 0xc000_0101, 0xc000_0102] {
        faults("a base that is not canonical", msr(long(), index, 1 << 47), WRMSR, GP);
    }
    faults("IA32_PKRS: the upper half", msr(long(), 0x6e1, 1 << 32), WRMSR, GP);
    faults("IA32_XSS: a user component", msr(long(), 0xda0, component::AVX), WRMSR, GP);
    faults("RDMSR at CPL 3", user(long()), RDMSR, GP);
    faults("WRMSR at CPL 3", user(long()), WRMSR, GP);
    // Others are the platform's.
    let mut vm = Vm::default();
    let mut cpu = msr(long(), 0x1a0, 0x1_0000_0002);
    completes("WRMSR", &mut cpu, &mut vm, WRMSR);
    assert_eq!(vm.told, ["msr 0x1a0 = 0x100000002"]);
    cpu.rip = CODE;
    completes("RDMSR", &mut cpu, &mut vm, RDMSR);
    assert_eq!((cpu.gpr[RAX], cpu.gpr[RDX]), (0x0403_0201, 0x0807_0605));
    // Of AMD's EFER, bits that Intel's has not.
    for (vendor, taken) in [(Vendor::Amd, true), (Vendor::Intel, false)] {
        let mut cpu = msr(long(), 0xc000_0080, s.efer | efer::TCE);
        let outcome = step_as(Profile::all().with_vendor(vendor), &mut cpu, &mut Vm::default(), WRMSR);
        assert_eq!(matches!(outcome, Outcome::Completed(_)), taken, "{vendor:?}: {outcome:?}");
    }
}

#[test]
fn counters_and_swapgs() {
    const RDPMC: &[u8] = &[0x0f, 0x33];
    faults("RDPMC above CPL 0 without CR4.PCE", user(long()), RDPMC, GP);
    for mut cpu in [long(), user(and(long(), |s| s.cr4 |= cr4::PCE))] {
        cpu.gpr[RCX] = 7;
        completes("RDPMC", &mut cpu, &mut Vm::default(), RDPMC);
        assert_eq!((cpu.gpr[RAX], cpu.gpr[RDX]), (7, 1));
    }
    const SWAPGS: &[u8] = &[0x0f, 0x01, 0xf8];
    let mut cpu = and(long(), |s| (s.kernel_gs_base, s.seg[Seg::Gs as usize].base) = (0x1111, 0x2222));
    completes("SWAPGS", &mut cpu, &mut Vm::default(), SWAPGS);
    assert_eq!((cpu.system().kernel_gs_base, cpu.seg(Seg::Gs).base), (0x2222, 0x1111));
    faults("SWAPGS at CPL 3", user(long()), SWAPGS, GP);
    faults("SWAPGS outside 64-bit mode", protected(), SWAPGS, UD);
}

#[test]
fn translations_and_caches() {
    let mut vm = Vm::default();
    completes("INVLPG", &mut long(), &mut vm, &[0x0f, 0x01, 0x3b]);
    let mut cpu = long();
    cpu.gpr[RBX] = 1 << 47;
    completes("INVLPG of no address", &mut cpu, &mut vm, &[0x0f, 0x01, 0x3b]);
    assert_eq!(vm.told, ["Page(32768)"]);
    faults("INVLPG at CPL 3", user(long()), &[0x0f, 0x01, 0x3b], GP);
    const INVPCID: &[u8] = &[0x66, 0x0f, 0x38, 0x82, 0x03];
    let descriptor = |low: u64, linear: u64| {
        let mut vm = Vm::default();
        vm.put(DATA, &low.to_le_bytes());
        vm.put(DATA + 8, &linear.to_le_bytes());
        vm
    };
    let pcide = || and(long(), |s| s.cr4 |= cr4::PCIDE);
    for (kind, name) in [(0, "Address"), (1, "Context"), (2, "All"), (3, "AllButGlobal")] {
        let mut vm = descriptor(0x123, 0x5000);
        completes("INVPCID", &mut with(pcide(), kind), &mut vm, INVPCID);
        assert_eq!(vm.told, [format!("Pcid {{ kind: {name}, pcid: 291, linear: 20480 }}")]);
    }
    let refused: [(&str, Cpu, u64, u64); 5] = [
        ("a type above 3", with(pcide(), 4), 0, 0),
        ("a reserved bit of the descriptor", with(pcide(), 2), 1 << 12, 0),
        ("type 0 with a PCID, CR4.PCIDE clear", with(long(), 0), 1, 0),
        ("type 1 with a PCID, CR4.PCIDE clear", with(long(), 1), 1, 0),
        ("type 0 of an address that is not canonical", with(pcide(), 0), 0, 1 << 47),
    ];
    for (name, mut cpu, low, linear) in refused {
        let mut vm = descriptor(low, linear);
        let outcome = step(&mut cpu, &mut vm, INVPCID);
        assert!(
            matches!(outcome, Outcome::Exception(e) if e.vector == GP && e.error_code == Some(0)),
            "{name}: {outcome:?}"
        );
        assert!(vm.told.is_empty(), "{name}");
    }
    faults("INVPCID at CPL 3", user(long()), INVPCID, GP);
    for code in [&[0x0f, 0x08][..], &[0x0f, 0x09], &[0xf3, 0x0f, 0x09]] {
        completes("caches", &mut long(), &mut Vm::default(), code);
        faults("caches at CPL 3", user(long()), code, GP);
    }
}

#[test]
fn keys_and_access_rights() {
    let pke = || and(long(), |s| s.cr4 |= cr4::PKE);
    const RDPKRU: &[u8] = &[0x0f, 0x01, 0xee];
    const WRPKRU: &[u8] = &[0x0f, 0x01, 0xef];
    let mut cpu = user(with(pke(), 0x5555_0000));
    completes("WRPKRU", &mut cpu, &mut Vm::default(), WRPKRU);
    assert_eq!(cpu.system().pkru, 0x5555_0000);
    (cpu.rip, cpu.gpr[RAX], cpu.gpr[RDX]) = (CODE, 0, 9);
    completes("RDPKRU", &mut cpu, &mut Vm::default(), RDPKRU);
    assert_eq!((cpu.gpr[RAX], cpu.gpr[RDX]), (0x5555_0000, 0));
    for code in [RDPKRU, WRPKRU] {
        faults("CR4.PKE clear", long(), code, UD);
        let mut cpu = pke();
        cpu.gpr[RCX] = 1;
        faults("ECX not 0", cpu, code, GP);
    }
    let mut cpu = pke();
    cpu.gpr[RDX] = 1;
    faults("EDX not 0", cpu, WRPKRU, GP);
    for (code, set) in [([0x0f, 0x01, 0xcb], true), ([0x0f, 0x01, 0xca], false)] {
        let mut cpu = long();
        cpu.set_rflags(cpu.rflags() | if set { 0 } else { rflags::AC });
        completes("STAC, CLAC", &mut cpu, &mut Vm::default(), &code);
        assert_eq!(cpu.rflags() & rflags::AC != 0, set);
        faults("at CPL 3", user(long()), &code, UD);
    }
}

#[test]
fn extended_control_registers() {
    const XSETBV: &[u8] = &[0x0f, 0x01, 0xd1];
    let mut cpu = with(long(), component::X87 | component::AVX512);
    completes("XSETBV", &mut cpu, &mut Vm::default(), XSETBV);
    assert_eq!(cpu.system().xcr0, component::X87 | component::AVX512);
    let x87 = component::X87;
    let cases = [
        ("without x87", component::SSE),
        ("AVX without SSE", x87 | component::AVX),
        ("AVX-512 without AVX", x87 | component::AVX512 & !component::AVX),
        ("AVX-512 in part", x87 | component::AVX512 & !component::OPMASK),
        ("TILECFG without TILEDATA", x87 | component::TILECFG),
        ("BNDREGS without BNDCSR", x87 | component::BNDREGS),
        ("a supervisor component", x87 | component::CET_U),
        ("no component", x87 | 1 << 33),
    ];
    for (name, value) in cases {
        let mut cpu = with(long(), value & 0xffff_ffff);
        cpu.gpr[RDX] = value >> 32;
        faults(name, cpu, XSETBV, GP);
    }
    let mut cpu = with(long(), x87);
    cpu.gpr[RCX] = 1;
    faults("ECX 1", cpu, XSETBV, GP);
    faults("at CPL 3", user(with(long(), x87)), XSETBV, GP);
    faults("CR4.OSXSAVE clear", and(with(long(), x87), |s| s.cr4 &= !cr4::OSXSAVE), XSETBV, UD);
}

/// What a platform does not provide is told apart from #UD.
#[test]
fn what_the_platform_lacks_is_not_an_exception() {
    struct Bare(Vm);
    impl Bus for Bare {
        fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &encore86::Access) -> Result<usize, Stop> {
            self.0.fetch(at, buf, access)
        }
        fn read(&mut self, at: u64, buf: &mut [u8], access: &encore86::Access) -> Result<(), Stop> {
            self.0.read(at, buf, access)
        }
        fn write(&mut self, at: u64, buf: &[u8], access: &encore86::Access) -> Result<(), Stop> {
            self.0.write(at, buf, access)
        }
        fn probe(&mut self, at: u64, len: usize, access: &encore86::Access) -> Result<(), Stop> {
            self.0.probe(at, len, access)
        }
    }
    impl Platform for Bare {}
    let codes: [&[u8]; 6] =
        [&[0x0f, 0x32], &[0x0f, 0x30], &[0x0f, 0x33], &[0x0f, 0x01, 0x3b], &[0x0f, 0x09], &[0x0f, 0x08]];
    for code in codes {
        let mut cpu = long();
        let mut bare = Bare(Vm::with_code(CODE, code));
        let outcome = Engine::integer_only(Profile::all()).step(&mut cpu, &mut bare);
        assert!(matches!(outcome, Outcome::Unsupported(Unsupported::Platform(_))), "{code:x?}: {outcome:?}");
        assert_eq!(cpu.rip, CODE);
    }
}

/// The I/O permission bitmap (SDM volume 1, 19.5.2).
#[test]
fn ports_below_the_io_privilege_level() {
    const TSS: u64 = 0xc000;
    const MAP: u16 = 0x68;
    // Port 0x42 is byte 8, bit 2 of the bitmap.
    let ready = |limit: u32, clear: &[u16]| {
        let mut vm = Vm::default();
        vm.put(TSS + 0x66, &MAP.to_le_bytes());
        vm.put(TSS + u64::from(MAP), &[0xff; 64]);
        for port in clear {
            let at = TSS + u64::from(MAP) + u64::from(port / 8);
            let byte = vm.byte(at) & !(1 << (port % 8));
            vm.put(at, &[byte]);
        }
        let cpu = user(and(long(), |s| (s.tr.base, s.tr.limit) = (TSS, limit)));
        (vm, cpu)
    };
    // in al, 0x42; in ax, 0x42; in eax, 0x42; out 0x42, al; insb and outsb with DX
    let codes: [(&[u8], u16); 6] = [
        (&[0xe4, 0x42], 1),
        (&[0x66, 0xe5, 0x42], 2),
        (&[0xe5, 0x42], 4),
        (&[0xe6, 0x42], 1),
        (&[0x6c], 1),
        (&[0x6e], 1),
    ];
    for (code, size) in codes {
        let all: Vec<u16> = (0x42..0x42 + size).collect();
        for missing in 0..=size {
            // All ports of the access, or all but one.
            let clear: Vec<u16> = all.iter().copied().filter(|port| port - 0x42 != missing).collect();
            let (mut vm, mut cpu) = ready(0x200, &clear);
            (cpu.gpr[RDX], cpu.gpr[6], cpu.gpr[7]) = (0x42, DATA, DATA);
            let outcome = step(&mut cpu, &mut vm, code);
            let allowed = missing == size;
            assert_eq!(matches!(outcome, Outcome::Completed(_)), allowed, "{code:x?}: {outcome:?}");
            assert!(allowed || matches!(outcome, Outcome::Exception(e) if e.vector == GP && e.error_code == Some(0)));
            assert_eq!(vm.log.iter().any(|done| matches!(done, Done::In(..) | Done::Out(..))), allowed, "{code:x?}");
        }
    }
    let last = u32::from(MAP) + 8;
    let cases: [(&str, u32, u32, bool); 5] = [
        ("its two bytes within the limit", last + 1, 0x8b, true),
        ("the second byte beyond the limit", last, 0x8b, false),
        ("no place for the bitmap's base", 0x66, 0x8b, false),
        ("a TSS of 16 bits", 0x200, 0x83, false),
        ("no TSS", 0x200, 0x0b, false),
    ];
    for (name, limit, attr, allowed) in cases {
        let (mut vm, mut cpu) = ready(limit, &[0x42]);
        cpu.update(|s| s.tr.attr = attr);
        let outcome = step(&mut cpu, &mut vm, &[0xe4, 0x42]);
        assert_eq!(matches!(outcome, Outcome::Completed(_)), allowed, "{name}: {outcome:?}");
    }
    // At IOPL nobody asks.
    let (mut vm, mut cpu) = ready(0, &[]);
    cpu.set_rflags(cpu.rflags() | rflags::IOPL);
    completes("IOPL 3", &mut cpu, &mut vm, &[0xe4, 0x42]);
}

/// Waits end at once; what they refuse they refuse.
#[test]
fn waits() {
    const MONITOR: &[u8] = &[0x0f, 0x01, 0xc8];
    const MWAIT: &[u8] = &[0x0f, 0x01, 0xc9];
    const MONITORX: &[u8] = &[0x0f, 0x01, 0xfa];
    const MWAITX: &[u8] = &[0x0f, 0x01, 0xfb];
    const UMONITOR: &[u8] = &[0xf3, 0x0f, 0xae, 0xf3]; // rbx
    const UMWAIT: &[u8] = &[0xf2, 0x0f, 0xae, 0xf3]; // ebx
    const TPAUSE: &[u8] = &[0x66, 0x0f, 0xae, 0xf3];
    let at = |rax: u64, rcx: u64| {
        let mut cpu = with(long(), rax);
        cpu.gpr[RCX] = rcx;
        cpu
    };
    let state = |ebx: u64| {
        let mut cpu = long();
        cpu.gpr[RBX] = ebx;
        cpu.set_rflags(cpu.rflags() | rflags::ARITH);
        cpu
    };
    let mut vm = Vm::default();
    vm.absent.push(9);
    for code in [MONITOR, MONITORX] {
        completes("an address", &mut at(DATA, 0), &mut vm, code);
        faults("an extension", at(DATA, 1), code, GP);
        faults("not canonical", at(1 << 47, 0), code, GP);
        let outcome = step(&mut at(0x9000, 0), &mut vm, code);
        assert!(matches!(outcome, Outcome::Exception(event) if event.cr2 == Some(0x9000)), "{outcome:?}");
    }
    assert!(vm.log.is_empty(), "nothing is read");
    faults("MONITOR: RCX", at(DATA, 1 << 32), MONITOR, GP);
    let amd = || Profile::from_features(Vendor::Amd, encore86::isa::FeatureSet::all());
    let outcome = step_as(amd(), &mut at(DATA, 1 << 32), &mut Vm::default(), MONITORX);
    assert!(matches!(outcome, Outcome::Completed(_)), "ECX alone: {outcome:?}");
    faults("MONITOR at CPL 3", user(at(DATA, 0)), MONITOR, UD);
    faults("MWAIT at CPL 3", user(at(0, 0)), MWAIT, UD);
    completes("MONITORX at CPL 3", &mut user(at(DATA, 0)), &mut Vm::default(), MONITORX);

    completes("MWAIT", &mut at(0, 0), &mut Vm::default(), MWAIT);
    faults("MWAIT: CPUID offers no extension", at(0, 1), MWAIT, GP);
    for extensions in 0..4 {
        completes("MWAITX", &mut user(at(0, extensions)), &mut Vm::default(), MWAITX);
    }
    faults("MWAITX: an extension", at(0, 4), MWAITX, GP);
    faults("MWAITX: RCX", at(0, 1 << 40), MWAITX, GP);

    completes("UMONITOR", &mut user(state(DATA)), &mut Vm::default(), UMONITOR);
    faults("UMONITOR: not canonical", state(1 << 47), UMONITOR, GP);
    for code in [UMWAIT, TPAUSE] {
        let mut cpu = user(state(1));
        completes("to C0.1", &mut cpu, &mut Vm::default(), code);
        assert_eq!(cpu.rflags() & rflags::ARITH, 0, "CF: no time limit ended it");
        faults("a reserved bit", state(2), code, GP);
        faults("CR4.TSD", user(and(state(0), |s| s.cr4 |= cr4::TSD)), code, GP);
        completes("CR4.TSD at CPL 0", &mut and(state(0), |s| s.cr4 |= cr4::TSD), &mut Vm::default(), code);
    }
}

/// RDPRU and MCOMMIT, as AMD's manual has them.
#[test]
fn processor_registers_and_commits() {
    const RDPRU: &[u8] = &[0x0f, 0x01, 0xfd];
    const MCOMMIT: &[u8] = &[0xf3, 0x0f, 0x01, 0xfa];
    let numbered = |index: u64| {
        let mut cpu = user(long());
        (cpu.gpr[RCX], cpu.gpr[RAX], cpu.gpr[RDX]) = (index, u64::MAX, u64::MAX);
        cpu.set_rflags(cpu.rflags() | rflags::ARITH);
        cpu
    };
    // The test's monitor has this in every register.
    let cases = [(0, 0x0403_0201, 0x0807_0605, rflags::CF), (1, 0x0403_0201, 0x0807_0605, rflags::CF), (2, 0, 0, 0)];
    for (index, eax, edx, carry) in cases {
        let mut cpu = numbered(index);
        completes("RDPRU", &mut cpu, &mut Vm::default(), RDPRU);
        assert_eq!((cpu.gpr[RAX], cpu.gpr[RDX], cpu.rflags() & rflags::ARITH), (eax, edx, carry), "{index}");
    }
    faults("RDPRU with CR4.TSD", and(numbered(0), |s| s.cr4 |= cr4::TSD), RDPRU, UD);
    let mut cpu = and(numbered(0), |s| s.efer |= efer::MCOMMIT);
    completes("MCOMMIT", &mut cpu, &mut Vm::default(), MCOMMIT);
    assert_eq!(cpu.rflags() & rflags::ARITH, rflags::CF, "no error");
    faults("MCOMMIT with EFER.MCOMMIT clear", numbered(0), MCOMMIT, UD);
}
