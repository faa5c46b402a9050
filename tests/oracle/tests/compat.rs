//! The oracle in the 32-bit and 16-bit compatibility modes.

use encore86_oracle::state::{AC, AF, CF, RAX, RBX, RCX, RDI, RSI, RSP};
use encore86_oracle::{DATA_LEN, Ended, Mode, Oracle, PAGE, Random, Setup, State};

fn oracle() -> Oracle {
    // SAFETY: the code of these tests addresses the oracle's data, or holes beside its areas.
    unsafe { Oracle::new() }.unwrap()
}

fn signal(trap: u8, error: u64, cr2: u64) -> Ended {
    Ended::Signal { trap, error, cr2 }
}

const MODE32: Setup = Setup { mode: Mode::Compat32, offset: 0x800, step: false };
const MODE16: Setup = Setup { mode: Mode::Compat16, offset: 0x800, step: false };

/// A random state whose registers are 32 bits wide: the mode leaves open what becomes of the upper halves.
fn narrow(random: &mut Random) -> State {
    let mut state = random.state();
    state.gpr = state.gpr.map(|value| value & 0xffff_ffff);
    state
}

#[test]
fn every_register_goes_in_and_comes_out() {
    let mut oracle = oracle();
    let mut random = Random::from_env("every_register", 4);
    for setup in [MODE32, MODE16] {
        for round in 0..2000 {
            let mut state = narrow(&mut random);
            state.mxcsr = random.mxcsr();
            state.rflags |= random.word() & AC;
            let len = if round % 20 == 0 { 2 } else { 1 };
            let code = if len == 2 { &[0x0f, 0x0b][..] } else { &[0x90] }; // ud2, nop
            let (ended, after) = oracle.run_with(&setup, code, &state);
            let moved = if len == 2 { 0 } else { 1 };
            assert_eq!(ended, if len == 2 { signal(6, 0, 0) } else { Ended::Retired });
            let expected = State { rip: oracle.start(&setup) + moved, ..state };
            assert_eq!(after.diff(&expected), "", "{setup:?} {random:?}");
        }
    }
}

#[test]
fn opcodes_that_64_bit_mode_has_not() {
    let mut oracle = oracle();
    for (mode, decimal) in [(Mode::Compat32, true), (Mode::Compat16, true), (Mode::Long64, false)] {
        let mut state = State::default();
        state.gpr[RAX] = 0x0f;
        let (ended, after) = oracle.run_with(&Setup::mode(mode), &[0x27], &state); // daa
        if decimal {
            assert_eq!((ended, after.gpr[RAX], after.rflags & (AF | CF)), (Ended::Retired, 0x15, AF));
        } else {
            assert_eq!(ended, signal(6, 0, 0));
        }
        let (_, after) = oracle.run_with(&Setup::mode(mode), &[0x40, 0x90], &state); // inc eax; nop, or REX nop
        assert_eq!(after.gpr[RAX], 0x0f + u64::from(decimal));
    }
}

#[test]
fn operand_size_is_the_mode_s() {
    let mut oracle = oracle();
    let mut state = State::default();
    state.gpr[RAX] = 0x1234_ffff;
    let (_, after) = oracle.run_with(&MODE32, &[0x83, 0xc0, 0x01], &state); // add eax, 1
    assert_eq!((after.gpr[RAX], after.rflags & CF), (0x1235_0000, 0));
    let (_, after) = oracle.run_with(&MODE16, &[0x83, 0xc0, 0x01], &state); // add ax, 1
    assert_eq!((after.gpr[RAX], after.rflags & CF), (0x1234_0000, CF));
}

#[test]
fn flat_memory_and_faults_in_32_bit_code() {
    let mut oracle = oracle();
    let data = oracle.data_address();
    let mut state = State::default();
    state.gpr[RAX] = 0x8765_4321;
    state.gpr[RSI] = data + 0x10;
    let (ended, _) = oracle.run_with(&MODE32, &[0x89, 0x06], &state); // mov [esi], eax
    assert_eq!(ended, Ended::Retired);
    assert_eq!(oracle.data()[0x10..0x14], 0x8765_4321u32.to_le_bytes());

    state.gpr[RSI] = data - 2;
    let (ended, after) = oracle.run_with(&MODE32, &[0x89, 0x06], &state);
    assert_eq!((ended, after.rip), (signal(14, 6, data - 2), oracle.start(&MODE32)));
    assert_eq!(after.gpr, state.gpr);

    state.gpr[RSP] = data + 0x104;
    let (ended, after) = oracle.run_with(&MODE32, &[0x60], &state); // pusha
    assert_eq!((ended, after.gpr[RSP]), (Ended::Retired, data + 0xe4));
    assert_eq!(oracle.data()[0x100..0x104], 0x8765_4321u32.to_le_bytes());
    assert_eq!(oracle.data()[0xe8..0xec], ((data - 2) as u32).to_le_bytes());
}

#[test]
fn segment_bases_and_limits() {
    let mut oracle = oracle();
    let fs = oracle.segments(Mode::Compat32).unwrap().fs;
    assert_eq!(u64::from(fs.base), oracle.data_address() + PAGE as u64);
    oracle.data()[PAGE + 8] = 0xa5;
    let mut state = State::default();
    state.gpr[RBX] = 8;
    state.gpr[RSI] = 8;
    for (setup, code) in [(MODE32, [0x64, 0x8a, 0x06]), (MODE16, [0x64, 0x8a, 0x04])] {
        let (ended, after) = oracle.run_with(&setup, &code, &state); // mov al, fs:[esi], fs:[si]
        assert_eq!((ended, after.gpr[RAX]), (Ended::Retired, 0xa5));
        let mut beyond = state;
        beyond.gpr[RSI] = u64::from(fs.limit) + 1;
        let (ended, after) = oracle.run_with(&setup, &code, &beyond);
        assert_eq!((ended, after.rip), (signal(13, 0, 0), oracle.start(&setup)));
    }
    let (ended, after) = oracle.run_with(&MODE32, &[0x8c, 0xe0], &state); // mov eax, fs
    assert_eq!((ended, after.gpr[RAX]), (Ended::Retired, u64::from(fs.selector)));
    assert_eq!((after.fs_base, after.gs_base), (0, 0));
}

#[test]
fn a_16_bit_segment_wraps_addresses_and_the_stack() {
    let mut oracle = oracle();
    let segments = oracle.segments(Mode::Compat16).unwrap();
    assert_eq!(u64::from(segments.ds.base), oracle.data_address());
    assert_eq!(u64::from(segments.cs.base), oracle.code_address());
    oracle.data()[0x20] = 0x77;
    let mut state = State::default();
    state.gpr[RBX] = 0xfff0;
    state.gpr[RSI] = 0x30;
    let (ended, after) = oracle.run_with(&MODE16, &[0x8a, 0x00], &state); // mov al, [bx+si]
    assert_eq!((ended, after.gpr[RAX]), (Ended::Retired, 0x77));

    state.gpr[RSP] = 0x1111_0100;
    state.gpr[RCX] = 0xbeef;
    let (ended, after) = oracle.run_with(&MODE16, &[0x51], &state); // push cx
    assert_eq!((ended, after.gpr[RSP]), (Ended::Retired, 0x1111_00fe));
    assert_eq!(oracle.data()[0xfe..0x100], 0xbeefu16.to_le_bytes());

    state.gpr[RSI] = DATA_LEN as u64;
    let (ended, after) = oracle.run_with(&MODE16, &[0x8a, 0x04], &state); // mov al, [si]: within the limit, not mapped
    assert_eq!((ended, after.gpr[RSP]), (signal(14, 4, oracle.data_address() + DATA_LEN as u64), state.gpr[RSP]));
}

#[test]
fn branches() {
    let mut oracle = oracle();
    for mode in [MODE32, MODE16] {
        let start = oracle.start(&mode);
        for setup in [mode, mode.stepping()] {
            let (ended, after) = oracle.run_with(&setup, &[0xeb, 0x40], &State::default()); // jmp
            assert_eq!((ended, after.rip), (Ended::Retired, start + 0x42));
            let mut state = State::default();
            state.gpr[RCX] = 1;
            let (ended, after) = oracle.run_with(&setup, &[0xe2, 0x80], &state); // loop, not taken
            assert_eq!((ended, after.rip, after.gpr[RCX]), (Ended::Retired, start + 2, 0));
            state.gpr[RAX] = 0x30;
            let (ended, after) = oracle.run_with(&setup, &[0xff, 0xe0], &state); // jmp eax, ax
            assert_eq!((ended, after.rip), (Ended::Retired, 0x30));
        }
        let (ended, after) = oracle.run_with(&mode.stepping(), &[0xeb, 0xfe], &State::default());
        assert_eq!((ended, after.rip), (Ended::Retired, start));
    }
}

#[test]
fn bound_and_into() {
    let mut oracle = oracle();
    let start = oracle.start(&MODE32);
    let mut state = State::default();
    state.gpr[RAX] = 5;
    state.gpr[RDI] = oracle.data_address();
    oracle.data()[..8].copy_from_slice(&[0, 0, 0, 0, 4, 0, 0, 0]);
    let (ended, after) = oracle.run_with(&MODE32, &[0x62, 0x07], &state); // bound eax, [edi]
    assert_eq!((ended, after.rip), (signal(5, 0, 0), start));
    let overflow = State { rflags: state.rflags | encore86_oracle::state::OF, ..state };
    let (ended, after) = oracle.run_with(&MODE32, &[0xce], &overflow); // into
    assert_eq!((ended, after.rip), (signal(4, 0, 0), start + 1));
}

#[test]
fn modes_take_turns_and_the_host_s_thread_survives() {
    thread_local!(static MINE: core::cell::Cell<u64> = const { core::cell::Cell::new(0) });
    let mut oracle = oracle();
    let mut random = Random::new(5);
    for round in 1..3000 {
        let mode = random.pick(&[Mode::Long64, Mode::Compat32, Mode::Compat16]);
        let mut state = narrow(&mut random);
        state.gpr[RAX] = 1;
        let setup = Setup { mode, step: random.one_in(10), ..Setup::default() };
        let (ended, after) = oracle.run_with(&setup, &[0xfe, 0xc0], &state); // inc al
        assert_eq!((ended, after.gpr[RAX]), (Ended::Retired, 2));
        MINE.set(MINE.get() + 1);
        assert_eq!(MINE.get(), round);
    }
}
