//! Stubs on the real processor.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use encore86_stubs::{Body, DualMap, Exit, Key, Move, MoveKind, Recipe, Scratch, StubCache, StubError, StubRef, X87};
use std::arch::asm;

use MoveKind::{Gpr64, K16, K64, Mm, Xmm, XmmZero, Ymm, YmmZero, Zmm};

const GPRS: i32 = 32 * 64;
const MASKS: i32 = GPRS + 16 * 8;
const MMX: i32 = MASKS + 8 * 8;
const FILL: u8 = 0xa5;

/// Registers as a caller would keep them: 32 vectors of 64 bytes, 16 GPRs, 8 masks, 8 MMX.
#[repr(C, align(64))]
#[derive(Clone, PartialEq, Debug)]
struct State([u8; MMX as usize + 8 * 8]);

#[repr(C, align(64))]
struct Operand([u8; 64]);

struct Rig {
    cache: StubCache,
    state: State,
    operand: Operand,
    scratch: Scratch,
    keys: u128,
}

fn offset(kind: MoveKind, reg: u8) -> i32 {
    let reg = i32::from(reg);
    match kind {
        Gpr64 => GPRS + 8 * reg,
        K64 | K16 => MASKS + 8 * reg,
        Mm => MMX + 8 * reg,
        Xmm | Ymm | Zmm | XmmZero | YmmZero => 64 * reg,
    }
}

fn recipe(body: &[u8], loads: &[(MoveKind, u8)], stores: &[(MoveKind, u8)]) -> Recipe {
    let mut recipe = Recipe::new(Body::new(body).unwrap());
    let at = |&(kind, reg): &(MoveKind, u8)| Move::new(kind, reg, offset(kind, reg));
    loads.iter().for_each(|m| recipe.loads.push(at(m)).unwrap());
    stores.iter().for_each(|m| recipe.stores.push(at(m)).unwrap());
    recipe
}

impl Rig {
    fn new() -> Self {
        Self {
            cache: StubCache::with_len(64 << 10).unwrap(),
            state: State([FILL; size_of::<State>()]),
            operand: Operand([0; 64]),
            scratch: Scratch::new(),
            keys: 0,
        }
    }

    fn set(&mut self, kind: MoveKind, reg: u8, bytes: &[u8]) {
        let at = offset(kind, reg) as usize;
        self.state.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn get<const N: usize>(&self, kind: MoveKind, reg: u8) -> [u8; N] {
        let at = offset(kind, reg) as usize;
        self.state.0[at..at + N].try_into().unwrap()
    }

    fn call(&mut self, stub: StubRef) -> Exit {
        let host = HostFpu::now();
        // SAFETY: the moves go to `State`, operands have at most 64 bytes and are aligned, and each test runs
        // instructions that the host has.
        let exit = unsafe {
            self.cache.call(stub, self.state.0.as_mut_ptr(), self.operand.0.as_mut_ptr(), &raw mut self.scratch)
        };
        assert_eq!(HostFpu::now(), host, "the stub gives back MXCSR, FCW, and an empty x87 stack without exceptions");
        exit.unwrap()
    }

    fn run(&mut self, recipe: &Recipe) -> Exit {
        self.keys += 1;
        let stub = self.cache.install(Key(self.keys), recipe).unwrap();
        self.call(stub)
    }
}

/// What a stub must leave as it was.
#[derive(PartialEq, Debug)]
struct HostFpu {
    mxcsr: u32,
    fcw: u16,
    exceptions: u16,
    tags: u16,
    df: bool,
}

impl HostFpu {
    fn now() -> Self {
        let (mut mxcsr, mut env) = (0u32, [0u16; 14]);
        let flags: u64;
        // SAFETY: FNSTENV masks exceptions, which FLDENV undoes; both buffers are large enough.
        unsafe {
            asm!("stmxcsr [{}]", "fnstenv [{}]", "fldenv [{1}]", in(reg) &raw mut mxcsr, in(reg) env.as_mut_ptr());
            asm!("pushfq", "pop {}", out(reg) flags);
        }
        Self { mxcsr, fcw: env[0], exceptions: env[2] & 0xff, tags: env[4], df: flags & 0x400 != 0 }
    }

    fn set_mxcsr(mxcsr: u32) {
        // SAFETY: the callers mask all exceptions, set no reserved bit, and restore the default.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr) };
    }

    fn set_fcw(fcw: u16) {
        // SAFETY: the callers restore the default; no x87 exception is pending.
        unsafe { asm!("fldcw [{}]", in(reg) &raw const fcw) };
    }
}

fn dwords(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn paddd_xmm_from_memory() {
    let mut rig = Rig::new();
    rig.set(Xmm, 1, &dwords(&[1, 2, u32::MAX, 4]));
    rig.operand.0[..16].copy_from_slice(&dwords(&[10, 20, 1, 40]));
    let mut expected = rig.state.clone();
    expected.0[64..80].copy_from_slice(&dwords(&[11, 22, 0, 44]));
    let exit = rig.run(&recipe(&[0x66, 0x0f, 0xfe, 0x0e], &[(Xmm, 1)], &[(Xmm, 1)]));
    assert_eq!(exit, Exit(0));
    assert_eq!(rig.state, expected, "nothing but 16 bytes of register 1 changes");
}

#[test]
fn vpaddd_ymm_zeroes_the_upper_half() {
    if !is_x86_feature_detected!("avx2") {
        return eprintln!("SKIPPED: this host has no AVX2");
    }
    let mut rig = Rig::new();
    rig.set(Ymm, 2, &dwords(&[1, 2, 3, 4, 5, 6, 7, 8]));
    rig.operand.0[..32].copy_from_slice(&dwords(&[10; 8]));
    let mut expected = rig.state.clone();
    expected.0[64..96].copy_from_slice(&dwords(&[11, 12, 13, 14, 15, 16, 17, 18]));
    expected.0[96..128].fill(0);
    let _ = rig.run(&recipe(&[0xc5, 0xed, 0xfe, 0x0e], &[(Ymm, 2)], &[(YmmZero, 1)]));
    assert_eq!(rig.state, expected);
    let _ = rig.run(&recipe(&[0xc5, 0xed, 0xfe, 0x0e], &[(Ymm, 2)], &[(Ymm, 3)]));
    assert_eq!(rig.get::<64>(Ymm, 3)[32..], [FILL; 32], "a plain Ymm store stores 32 bytes");
}

/// XmmZero stores zeros also where the register has something else.
#[test]
fn xmm_zero_stores_48_bytes_of_zero() {
    if !is_x86_feature_detected!("avx2") {
        return eprintln!("SKIPPED: this host has no AVX2");
    }
    let mut rig = Rig::new();
    let stores: Vec<_> = [3, 0, 1, 2, 4, 15].map(|reg| (XmmZero, reg)).to_vec();
    let loads: Vec<_> = stores.iter().map(|(_, reg)| (Ymm, *reg)).collect();
    let mut expected = rig.state.clone();
    for (_, reg) in &stores {
        rig.set(Ymm, *reg, &[*reg + 1; 32]);
        expected.0[64 * usize::from(*reg)..][..16].fill(*reg + 1);
        expected.0[64 * usize::from(*reg)..][16..64].fill(0);
    }
    let _ = rig.run(&recipe(&[0x90], &loads, &stores));
    assert_eq!(rig.state, expected);
}

const ADDPS_XMM1_MEM: [u8; 3] = [0x0f, 0x58, 0x0e];
const OE: u32 = 1 << 3;
const PE: u32 = 1 << 5;

#[test]
fn an_unmasked_exception_stores_nothing() {
    let mut rig = Rig::new();
    rig.set(Xmm, 1, &floats(&[f32::MAX, 1.0, 2.0, 3.0]));
    rig.operand.0[..16].copy_from_slice(&floats(&[f32::MAX, 1.0, 1.0, 1.0]));
    let add = Recipe { mxcsr: true, ..recipe(&ADDPS_XMM1_MEM, &[(Xmm, 1)], &[(Xmm, 1)]) };
    let before = rig.state.clone();
    for fatal in [OE, PE, OE | PE, 0x3f] {
        rig.scratch.mxcsr_fatal = fatal;
        let exit = rig.run(&add);
        assert!(exit.is_fault());
        assert_eq!(exit.mxcsr_flags(), OE | PE);
        assert_eq!(exit.0, 1 << 63 | u64::from(OE | PE) << 32);
        assert_eq!(rig.state, before);
    }
    for fatal in [0, 0x3f & !(OE | PE), !0x3f, !(OE | PE)] {
        rig.state = before.clone();
        rig.scratch.mxcsr_fatal = fatal;
        let exit = rig.run(&add);
        assert_eq!(exit, Exit(u64::from(OE | PE) << 32));
        assert_eq!(rig.get::<16>(Xmm, 1).to_vec(), floats(&[f32::INFINITY, 2.0, 3.0, 4.0]));
    }
}

#[test]
fn the_instruction_runs_under_the_callers_mxcsr_and_the_hosts_comes_back() {
    let mut rig = Rig::new();
    rig.operand.0[..4].copy_from_slice(&1e-8f32.to_le_bytes());
    let add = Recipe { mxcsr: true, ..recipe(&ADDPS_XMM1_MEM, &[(Xmm, 1)], &[(Xmm, 1)]) };
    // Round to nearest, down, up, to zero; the host's own mode and sticky flags must not matter, nor change.
    for host in [0x1f80, 0x3fa1, 0xdfbf] {
        for (rounding, sum) in [(0, 1.0), (1, 1.0), (2, 1.0 + f32::EPSILON), (3, 1.0f32)] {
            rig.set(Xmm, 1, &floats(&[1.0, 0.0, 0.0, 0.0]));
            rig.scratch.mxcsr_run = 0x1f80 | rounding << 13;
            rig.scratch.mxcsr_fatal = 0;
            HostFpu::set_mxcsr(host);
            let exit = rig.run(&add);
            rig.scratch.mxcsr_fatal = PE;
            let fault = rig.run(&add);
            HostFpu::set_mxcsr(0x1f80);
            assert_eq!((exit.mxcsr_flags(), exit.is_fault()), (PE, false));
            assert_eq!(rig.get::<4>(Xmm, 1), sum.to_le_bytes(), "rounding {rounding}");
            assert_eq!(rig.scratch.mxcsr_out, 0x1f80 | rounding << 13 | PE);
            assert!(fault.is_fault(), "1 + 2^-23 + 1e-8 is inexact too");
        }
    }
}

const CF: u64 = 1;
const PF: u64 = 1 << 2;
const ZF: u64 = 1 << 6;
const OF: u64 = 1 << 11;

#[test]
fn comiss_gives_flags_and_mxcsr() {
    let mut rig = Rig::new();
    // comiss xmm1, [rsi]
    let comiss = Recipe { mxcsr: true, rflags_out: true, ..recipe(&[0x0f, 0x2f, 0x0e], &[(Xmm, 1)], &[]) };
    for (a, b, flags, raised) in [
        (1.0f32, 2.0f32, CF, 0),
        (2.0, 1.0, 0, 0),
        (2.0, 2.0, ZF, 0),
        (f32::NAN, 2.0, ZF | PF | CF, 1),
        (1e-40, 1.0, CF, 2),
    ] {
        rig.set(Xmm, 1, &floats(&[a, 0.0, 0.0, 0.0]));
        rig.operand.0[..4].copy_from_slice(&b.to_le_bytes());
        rig.scratch.mxcsr_fatal = 0;
        let exit = rig.run(&comiss);
        assert_eq!((exit.rflags(), exit.mxcsr_flags(), exit.is_fault()), (flags, raised, false), "{a} {b}");
        rig.scratch.mxcsr_fatal = 0x3f;
        let exit = rig.run(&comiss);
        assert_eq!((exit.mxcsr_flags(), exit.is_fault()), (raised, raised != 0), "{a} {b}");
    }
}

fn all_flags() -> impl Iterator<Item = u64> {
    (0..64u64).map(|n| {
        let bits = [0, 2, 4, 6, 7, 11];
        bits.iter().enumerate().map(|(i, bit)| (n >> i & 1) << bit).sum()
    })
}

#[test]
fn flags_go_in_and_come_out_beside_rax() {
    let mut rig = Rig::new();
    let plain = Recipe { rflags_in: true, rflags_out: true, ..recipe(&[0x90], &[], &[]) };
    let all = [0, 1, 2, 9, 10].map(|reg| (Gpr64, reg));
    let beside = Recipe { rflags_in: true, rflags_out: true, mxcsr: true, ..recipe(&[0x90], &all, &all) };
    for (_, reg) in all {
        rig.set(Gpr64, reg, &[0x10 + reg; 8]);
    }
    let before = rig.state.clone();
    for flags in all_flags() {
        rig.scratch.rflags_in = flags | !Exit::RFLAGS; // the others must not matter
        assert_eq!(rig.run(&plain).rflags(), flags);
        assert_eq!(rig.run(&beside).rflags(), flags);
        assert_eq!(rig.state, before);
    }
}

/// Each flag by an instruction that reads just that one.
#[test]
fn each_flag_goes_in_at_its_place() {
    let mut rig = Rig::new();
    for (bit, setcc) in [(0, 0x92u8), (2, 0x9a), (6, 0x94), (7, 0x98), (11, 0x90)] {
        let set = Recipe { rflags_in: true, ..recipe(&[0x0f, setcc, 0xc1], &[(Gpr64, 1)], &[(Gpr64, 1)]) };
        for flags in all_flags() {
            rig.scratch.rflags_in = flags;
            let _ = rig.run(&set);
            assert_eq!(u64::from(rig.get::<1>(Gpr64, 1)[0]), flags >> bit & 1, "bit {bit} of {flags:#x}");
        }
    }
}

#[test]
fn gprs_stand_in() {
    let mut rig = Rig::new();
    rig.set(Xmm, 1, &dwords(&[0xdead_beef, 2, 3, 4]));
    // movd ecx, xmm1
    let _ = rig.run(&recipe(&[0x66, 0x0f, 0x7e, 0xc9], &[(Xmm, 1)], &[(Gpr64, 1)]));
    assert_eq!(rig.get::<8>(Gpr64, 1), 0xdead_beefu64.to_le_bytes());
    // movd xmm3, r11d; movmskps eax, xmm3
    rig.set(Gpr64, 11, &0x8000_0001u64.to_le_bytes());
    let _ = rig.run(&recipe(&[0x66, 0x41, 0x0f, 0x6e, 0xdb], &[(Gpr64, 11)], &[(Xmm, 3)]));
    assert_eq!(rig.get::<16>(Xmm, 3).to_vec(), dwords(&[0x8000_0001, 0, 0, 0]));
    let exit = rig.run(&recipe(&[0x0f, 0x50, 0xc3], &[(Xmm, 3)], &[(Gpr64, 0)]));
    assert_eq!((rig.get::<8>(Gpr64, 0), exit), (1u64.to_le_bytes(), Exit(0)), "RAX is stored before it is the result");
}

#[test]
fn rax_and_flags_come_out_together() {
    let mut rig = Rig::new();
    // add eax, [rsi]: ModRM.reg = eax
    let add = Recipe { rflags_out: true, ..recipe(&[0x03, 0x06], &[(Gpr64, 0)], &[(Gpr64, 0)]) };
    for (a, b) in [(1u32, 2u32), (0x7fff_ffff, 1), (u32::MAX, 1), (0x8000_0000, 0x8000_0000)] {
        rig.set(Gpr64, 0, &u64::from(a).to_le_bytes());
        rig.operand.0[..4].copy_from_slice(&b.to_le_bytes());
        let exit = rig.run(&add);
        let (sum, carry) = a.overflowing_add(b);
        let overflow = (a as i32).overflowing_add(b as i32).1;
        assert_eq!(rig.get::<8>(Gpr64, 0), u64::from(sum).to_le_bytes());
        assert_eq!(exit.rflags() & (CF | ZF | OF), carry as u64 | u64::from(sum == 0) << 6 | u64::from(overflow) << 11);
    }
}

/// A whole number below 2^63 as an 80-bit value.
fn f80(value: u64) -> [u8; 16] {
    assert!(value != 0);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(value << value.leading_zeros()).to_le_bytes());
    bytes[8..10].copy_from_slice(&(16383 + 63 - value.leading_zeros() as u16).to_le_bytes());
    bytes
}

fn x87(body: &[u8], pushes: u8, pops: u8) -> Recipe {
    Recipe { x87: Some(X87 { pushes, pops, drops: 0, in_place: false }), ..recipe(body, &[], &[]) }
}

#[test]
fn x87_loads_and_stores() {
    let mut rig = Rig::new();
    rig.operand.0[..8].copy_from_slice(&3.0f64.to_le_bytes());
    let _ = rig.run(&x87(&[0xdd, 0x06], 0, 1)); // fld m64
    assert_eq!(rig.scratch.st[0], f80(3));
    rig.scratch.st[0] = f80(7);
    let _ = rig.run(&x87(&[0xdd, 0x1e], 1, 0)); // fstp m64
    assert_eq!(rig.operand.0[..8], 7.0f64.to_le_bytes());
    rig.scratch.st[1] = f80(5);
    let _ = rig.run(&x87(&[0xd8, 0xe1], 2, 2)); // fsub st0, st1
    assert_eq!(rig.scratch.st[..2], [f80(2), f80(5)]);
    let _ = rig.run(&x87(&[0xde, 0xc1], 2, 1)); // faddp st1, st0
    assert_eq!(rig.scratch.st[..2], [f80(7), f80(5)]);
    for i in 0..8 {
        rig.scratch.st[i] = f80(i as u64 + 1);
    }
    let _ = rig.run(&x87(&[0xd9, 0xcf], 8, 8)); // fxch st7
    assert_eq!(rig.scratch.st, [8, 2, 3, 4, 5, 6, 7, 1].map(f80));
}

#[test]
fn x87_status_and_flags() {
    const ZE: u16 = 4;
    let mut rig = Rig::new();
    rig.scratch.st[0] = f80(1);
    rig.scratch.st[1] = [0; 16];
    // The host unmasks ZE: it must not see the instruction's.
    HostFpu::set_fcw(0x0370 & !4 | 0x0b);
    let exit = rig.run(&x87(&[0xd8, 0xf1], 2, 2)); // fdiv st0, st1
    // SAFETY: traps if an exception is pending, which is what this asks.
    unsafe { asm!("fwait") };
    HostFpu::set_fcw(0x037f);
    assert_eq!(exit.fsw() & 0xff, ZE);
    assert_eq!(exit.fsw(), rig.scratch.fsw);
    // fcomi st0, st1; fcmovb st0, st1
    for (a, b, flags) in [(1, 2, CF), (2, 1, 0), (2, 2, ZF)] {
        (rig.scratch.st[0], rig.scratch.st[1]) = (f80(a), f80(b));
        let exit = rig.run(&Recipe { rflags_out: true, ..x87(&[0xdb, 0xf1], 2, 2) });
        assert_eq!(exit.rflags(), flags);
        rig.scratch.rflags_in = flags;
        let _ = rig.run(&Recipe { rflags_in: true, ..x87(&[0xda, 0xc1], 2, 2) });
        assert_eq!(rig.scratch.st[0], f80(a.max(b)));
    }
    // 53-bit precision by the caller's control word: 2^60 + 1 rounds.
    (rig.scratch.st[0], rig.scratch.st[1]) = (f80(1 << 60), f80(1));
    rig.scratch.fcw = 0x027f;
    let exit = rig.run(&x87(&[0xd8, 0xc1], 2, 2)); // fadd st0, st1
    assert_eq!((rig.scratch.st[0], exit.fsw() & 0x3f), (f80(1 << 60), 0x20));
}

/// FPTAN leaves one value or two.
#[test]
fn x87_stack_is_empty_whatever_the_instruction_left() {
    const C2: u16 = 1 << 10;
    let mut rig = Rig::new();
    rig.scratch.st[0] = f80(1);
    let exit = rig.run(&x87(&[0xd9, 0xf2], 1, 2));
    assert_eq!((exit.fsw() & C2, rig.scratch.st[0]), (0, f80(1)));
    let mut huge = f80(1);
    huge[8..10].copy_from_slice(&(16383u16 + 64).to_le_bytes());
    rig.scratch.st[0] = huge;
    let exit = rig.run(&x87(&[0xd9, 0xf2], 1, 2));
    assert_eq!(
        (exit.fsw() & (C2 | 0x3f), rig.scratch.st[0]),
        (C2, huge),
        "the extra pop raises nothing that is reported"
    );
}

/// ST(0) is where the scratch says, and is stored there, or not if the instruction only compares.
#[test]
fn x87_works_in_place() {
    let mut rig = Rig::new();
    let at = rig.state.0.len() - 10;
    rig.scratch.top = at as u64;
    rig.state.0[at..].copy_from_slice(&f80(5)[..10]);
    rig.operand.0[..8].copy_from_slice(&7.0f64.to_le_bytes());
    let before = rig.state.0;
    let one = |body: &[u8], pops, drops| Recipe {
        x87: Some(X87 { pushes: 1, pops, drops, in_place: true }),
        ..recipe(body, &[], &[])
    };
    let compared = rig.run(&one(&[0xdc, 0x16], 0, 1)); // fcom m64: less, which is C0
    assert_eq!((compared.fsw() & 0x4500, rig.state.0), (0x100, before));
    rig.operand.0[..8].copy_from_slice(&3.0f64.to_le_bytes());
    let _ = rig.run(&one(&[0xdc, 0x06], 1, 0)); // fadd m64
    assert_eq!(rig.state.0[at..], f80(8)[..10]);
    assert_eq!(rig.state.0[..at], before[..at], "nothing else");
}

/// Values that the instruction leaves and nobody wants.
#[test]
fn x87_values_are_dropped() {
    let mut rig = Rig::new();
    (rig.scratch.st[0], rig.scratch.st[1]) = (f80(7), f80(5));
    let recipe =
        Recipe { x87: Some(X87 { pushes: 2, pops: 1, drops: 1, in_place: false }), ..recipe(&[0xd8, 0xe1], &[], &[]) };
    let _ = rig.run(&recipe); // fsub st0, st1
    assert_eq!(rig.scratch.st[..2], [f80(2), f80(5)]);
    let none = Recipe { x87: Some(X87 { pushes: 2, pops: 0, drops: 2, in_place: false }), ..recipe };
    let _ = rig.run(&none);
    let _ = rig.run(&x87(&[0xd9, 0xe8], 0, 1)); // fld1: an empty stack has room
    assert_eq!(rig.scratch.st[0], f80(1));
}

/// The whole state goes in and comes out, an unmasked exception pending in it, and the host sees nothing of that.
#[test]
fn x87_on_a_whole_state() {
    let mut rig = Rig::new();
    let image = &mut rig.scratch.image;
    // Zero divide unmasked, TOP 6, two registers in use: 1 and 0.
    image[..2].copy_from_slice(&0x037bu16.to_le_bytes());
    image[4..6].copy_from_slice(&(6u16 << 11).to_le_bytes());
    image[8..10].copy_from_slice(&0x0fffu16.to_le_bytes());
    image[28..38].copy_from_slice(&f80(1)[..10]);
    let before = *image;
    let divide = Recipe { x87_image: true, ..recipe(&[0xd8, 0xf1], &[], &[]) }; // fdiv st0, st1
    let _ = rig.run(&divide);
    // SAFETY: traps if an exception is pending, which is what this asks.
    unsafe { asm!("fwait") };
    let after = rig.scratch.image;
    let word = |at: usize| u16::from_le_bytes([after[at], after[at + 1]]);
    assert_eq!((word(0), word(4)), (0x037b, 6 << 11 | 0x8084));
    assert_eq!(after[28..], before[28..], "the registers are as they were");
    let both = Recipe { x87: Some(X87 { pushes: 1, pops: 1, drops: 0, in_place: false }), ..divide };
    let error = rig.cache.get(Key(u128::MAX), || Ok::<_, StubError>(both)).map(|_| ());
    assert_eq!(error, Err(StubError::BadRecipe("registers of the x87 stack, and all of its state")));
}

#[test]
fn mmx_leaves_no_tags() {
    let mut rig = Rig::new();
    rig.set(Mm, 1, &dwords(&[1, 2]));
    rig.operand.0[..8].copy_from_slice(&dwords(&[10, 20]));
    let _ = rig.run(&recipe(&[0x0f, 0xfe, 0x0e], &[(Mm, 1)], &[(Mm, 1)])); // paddd mm1, [rsi]
    assert_eq!(rig.get::<8>(Mm, 1).to_vec(), dwords(&[11, 22]));
}

/// mov eax, imm32
fn constant(value: u32) -> Recipe {
    let mut body = vec![0xb8];
    body.extend(value.to_le_bytes());
    recipe(&body, &[], &[(Gpr64, 0)])
}

impl Rig {
    fn constant(&mut self, stub: StubRef) -> u32 {
        let _ = self.call(stub);
        u32::from_le_bytes(self.get(Gpr64, 0))
    }
}

#[test]
fn a_full_memory_flips_the_generation() {
    let mut rig = Rig::new();
    let first = rig.cache.install(Key(0), &constant(0)).unwrap();
    let mut current = vec![(0u32, first)];
    for value in 1.. {
        let stub = rig.cache.install(Key(value.into()), &constant(value)).unwrap();
        if !rig.cache.is_current(first) {
            assert!(rig.cache.is_current(stub));
            assert_eq!(rig.constant(stub), value);
            break;
        }
        current.push((value, stub));
    }
    assert!((1000..=1024).contains(&current.len()), "one line each, four kept free: {}", current.len());
    for (value, stub) in current {
        assert!(!rig.cache.is_current(stub));
        assert_eq!(rig.cache.lookup(Key(value.into())), None);
        let (state, operand) = (rig.state.0.as_mut_ptr(), rig.operand.0.as_mut_ptr());
        // SAFETY: as in `Rig::call`.
        let stale = unsafe { rig.cache.call(stub, state, operand, &raw mut rig.scratch) };
        assert_eq!(stale, Err(StubError::Stale));
    }
}

/// Keys that differ in a few bits somewhere, as those of instructions do, spread over the index.
#[test]
fn each_key_finds_its_own_stub() {
    for shift in [0, 8, 24, 40, 54, 64, 90, 118] {
        let mut rig = Rig::new();
        let key = |n: u32| Key(0x0e_fe0f_6600_0000 ^ u128::from(n) << shift);
        for n in 0..900 {
            rig.cache.install(key(n), &constant(n)).unwrap();
        }
        let mut missing = 0;
        for n in 0..900 {
            match rig.cache.lookup(key(n)) {
                Some(stub) => assert_eq!(rig.constant(stub), n),
                None => missing += 1,
            }
        }
        assert!(missing < 20, "{missing} of 900 lost to crowded slots, shift {shift}");
        assert_eq!(rig.cache.lookup(key(900)), None);
    }
}

/// Keys made to collide cost entries, never a wrong stub.
#[test]
fn colliding_keys_do_no_harm() {
    let mut rig = Rig::new();
    let key = |n: u32| Key(u128::from(n) << 64 | u128::from(n)); // halves cancel out
    for n in 0..100 {
        let stub = rig.cache.install(key(n), &constant(n)).unwrap();
        assert_eq!(rig.cache.lookup(key(n)), Some(stub));
    }
    let found: Vec<_> = (0..100).filter_map(|n| Some((n, rig.cache.lookup(key(n))?))).collect();
    assert!(!found.is_empty());
    for (n, stub) in found {
        assert_eq!(rig.constant(stub), n);
    }
}

#[test]
fn get_makes_once_and_passes_errors_on() {
    let mut rig = Rig::new();
    let stub = rig.cache.get::<StubError>(Key(1), || Ok(constant(1))).unwrap();
    assert_eq!(rig.cache.get::<StubError>(Key(1), || unreachable!()), Ok(stub));
    let refused = StubError::BadRecipe("no");
    assert_eq!(rig.cache.get(Key(2), || Err(refused)), Err(refused));
    assert_eq!(rig.cache.lookup(Key(2)), None);
    let bad = recipe(&[0x90], &[(Gpr64, 0)], &[(Gpr64, 4)]);
    assert!(matches!(rig.cache.install(Key(1), &bad), Err(StubError::BadRecipe(_))));
    assert_eq!(rig.cache.lookup(Key(1)), Some(stub), "a refused recipe changes nothing");
    assert_eq!(rig.constant(stub), 1);
    let again = rig.cache.install(Key(1), &constant(2)).unwrap();
    assert_eq!((rig.cache.lookup(Key(1)), rig.constant(again)), (Some(again), 2));
}

#[test]
fn stubs_of_another_cache_are_stale() {
    let (mut one, mut two) = (Rig::new(), Rig::new());
    let stub = one.cache.install(Key(1), &constant(1)).unwrap();
    let other = two.cache.install(Key(1), &constant(2)).unwrap();
    assert!(!two.cache.is_current(stub) && !one.cache.is_current(other));
    assert_eq!((one.constant(stub), two.constant(other)), (1, 2));
}

/// Two rounds over the same lines with other code: what runs is what was written last.
#[test]
fn changed_code_is_seen_at_once() {
    let mut rig = Rig::new();
    for value in 0..20_000 {
        let stub = rig.cache.install(Key(u128::from(value % 7)), &constant(value)).unwrap();
        assert_eq!(rig.constant(stub), value);
    }
}

#[test]
fn a_cache_moves_between_threads() {
    let mut cache = StubCache::with_len(DualMap::MIN_LEN).unwrap();
    for value in 0..300 {
        let stub = cache.install(Key(value.into()), &constant(value)).unwrap();
        cache = std::thread::spawn(move || {
            let mut rig = Rig { cache, ..Rig::new() };
            assert_eq!(rig.constant(stub), value);
            let own = rig.cache.install(Key(1 << 64), &constant(!value)).unwrap();
            assert_eq!(rig.constant(own), !value);
            rig.cache
        })
        .join()
        .unwrap();
        let mut rig = Rig { cache, ..Rig::new() };
        let latest = rig.cache.lookup(Key(1 << 64)).unwrap();
        assert_eq!(rig.constant(latest), !value);
        cache = rig.cache;
    }
}

#[test]
fn a_stub_of_256_bytes_runs_and_the_next_starts_behind_it() {
    if !is_x86_feature_detected!("avx") {
        return eprintln!("SKIPPED: this host has no AVX");
    }
    let mut rig = Rig::new();
    let loads: Vec<_> = (6..16).map(|reg| (Xmm, reg)).collect();
    let stores: Vec<_> = (8..14).map(|reg| (XmmZero, reg)).collect();
    (6..16).for_each(|reg| rig.set(Xmm, reg, &[reg; 16]));
    let nop = [0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];
    let long = rig.cache.install(Key(1), &recipe(&nop[1..], &loads, &stores)).unwrap();
    let next = rig.cache.install(Key(2), &constant(9)).unwrap();
    let _ = rig.call(long);
    assert_eq!(rig.constant(next), 9);
    for reg in 8..14u8 {
        assert_eq!(rig.get::<16>(Xmm, reg), [reg; 16]);
        assert_eq!(rig.get::<64>(Xmm, reg)[16..], [0; 48]);
    }
    assert_eq!(rig.cache.install(Key(3), &recipe(&nop, &loads, &stores)), Err(StubError::TooLong));
}

#[test]
fn avx512_registers_and_masks() {
    if !is_x86_feature_detected!("avx512bw") || !is_x86_feature_detected!("avx512vl") {
        return eprintln!("SKIPPED: this host has no AVX-512; zmm, xmm16 to xmm31 and k moves were not run");
    }
    let mut rig = Rig::new();
    let bytes: Vec<u8> = (0..64).collect();
    for reg in 0..32u8 {
        let to = (reg + 13) % 32;
        rig.set(Zmm, reg, &bytes);
        // vmovdqa64 zmm{to}, zmm{reg}
        let p0 = 0xf1 & !((to >> 3 & 1) << 7 | (reg >> 4 & 1) << 6 | (reg >> 3 & 1) << 5 | (to >> 4 & 1) << 4);
        let body = [0x62, p0, 0xfd, 0x48, 0x6f, 0xc0 | (to & 7) << 3 | reg & 7];
        for (kind, len) in [(Xmm, 16), (Ymm, 32), (Zmm, 64)] {
            if kind == Xmm && reg < 16 {
                continue; // a legacy load; the move of the whole register would show the rest
            }
            rig.set(Zmm, to, &[FILL; 64]);
            let mut expected = rig.state.clone();
            expected.0[64 * usize::from(to)..][..len].copy_from_slice(&bytes[..len]);
            expected.0[64 * usize::from(to) + len..][..64 - len].fill(0);
            let _ = rig.run(&Recipe { vex_dirty: true, ..recipe(&body, &[(kind, reg)], &[(Zmm, to)]) });
            assert_eq!(rig.state, expected, "{kind:?} {reg}");
        }
    }
    for k in 0..8u8 {
        let to = (k + 3) % 8;
        let body = [0xc4, 0xe1, 0xf8, 0x90, 0xc0 | to << 3 | k]; // kmovq k{to}, k{k}
        for (load, store, value) in [(K64, K64, [k + 1; 8]), (K16, K64, [k + 1, k + 1, 0, 0, 0, 0, 0, 0])] {
            rig.set(K64, k, &[k + 1; 8]);
            rig.set(K64, to, &[FILL; 8]);
            let _ = rig.run(&recipe(&body, &[(load, k)], &[(store, to)]));
            assert_eq!(rig.get::<8>(K64, to), value, "{load:?} {k}");
        }
        rig.set(K64, to, &[FILL; 8]);
        let _ = rig.run(&recipe(&body, &[(K64, k)], &[(K16, to)]));
        assert_eq!(rig.get::<4>(K64, to), [k + 1, k + 1, FILL, FILL]);
    }
}
