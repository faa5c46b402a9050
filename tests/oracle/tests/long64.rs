//! The oracle in 64-bit mode, against what the manuals say.

use encore86_oracle::state::{AC, ARITHMETIC, CF, DF, IF, OF, PF, R10, RAX, RBX, RCX, RDI, RDX, RSI, RSP, SF, TF, ZF};
use encore86_oracle::{CODE_LEN, Ended, Features, Mode, Oracle, PAGE, Random, Setup, Skips, State};

fn oracle() -> Oracle {
    // SAFETY: the code of these tests addresses the oracle's data, non-canonical addresses or holes beside its areas.
    unsafe { Oracle::new() }.unwrap()
}

fn signal(trap: u8, error: u64, cr2: u64) -> Ended {
    Ended::Signal { trap, error, cr2 }
}

#[test]
fn every_register_goes_in_and_comes_out() {
    let mut oracle = oracle();
    let mut random = Random::from_env("every_register", 1);
    for _ in 0..2000 {
        let mut state = random.state();
        state.mxcsr = random.mxcsr();
        state.fs_base = random.word() >> 17;
        state.gs_base = random.word() >> 17;
        let (ended, after) = oracle.run(&[0x90], &state);
        assert_eq!(ended, Ended::Retired);
        let expected = State { rip: oracle.code_address() + PAGE as u64 / 2 + 1, ..state };
        assert_eq!(after.diff(&expected), "", "{random:?}");
    }
}

#[test]
fn a_fault_keeps_every_register_too() {
    let mut oracle = oracle();
    let mut random = Random::from_env("a_fault_keeps", 2);
    for _ in 0..500 {
        let mut state = random.state();
        state.fs_base = random.word() >> 17;
        state.rflags |= random.word() & AC;
        let (ended, after) = oracle.run(&[0x0f, 0x0b], &state); // ud2
        assert_eq!(ended, signal(6, 0, 0));
        let expected = State { rip: oracle.start(&Setup::default()), ..state };
        assert_eq!(after.diff(&expected), "", "{random:?}");
    }
}

#[test]
fn add_sets_flags() {
    let mut oracle = oracle();
    let mut state = State::default();
    state.gpr[RAX] = u64::MAX;
    state.gpr[RCX] = 1;
    let (ended, after) = oracle.run(&[0x48, 0x01, 0xc8], &state); // add rax, rcx
    assert_eq!(ended, Ended::Retired);
    assert_eq!(after.gpr[RAX], 0);
    assert_eq!(after.rflags & (CF | ZF | PF | SF | OF), CF | ZF | PF);

    state.gpr[RAX] = i64::MAX as u64;
    let (_, after) = oracle.run(&[0x48, 0x01, 0xc8], &state);
    assert_eq!(after.rflags & (CF | ZF | PF | SF | OF), OF | SF | PF);
}

#[test]
fn flags_are_loaded_and_bits_not_touched_stay() {
    let mut oracle = oracle();
    for flags in [0, ARITHMETIC, DF, AC, ARITHMETIC | DF | AC | 1 << 14 | 1 << 21] {
        let state = State { rflags: flags | IF | 2, ..State::default() };
        let (ended, after) = oracle.run(&[0x88, 0xc1], &state); // mov cl, al
        assert_eq!(ended, Ended::Retired);
        assert_eq!(after.rflags, state.rflags);
        let (_, after) = oracle.run(&[0xf5], &state); // cmc
        assert_eq!(after.rflags, state.rflags ^ CF);
    }
}

#[test]
fn rsp_is_a_register_like_any_other() {
    let mut oracle = oracle();
    let mut state = State::default();
    for rsp in [0, 1, u64::MAX, 0x8000_0000_0000_0000, 0x1234_5678_9abc_def0] {
        state.gpr[RSP] = rsp;
        let (ended, after) = oracle.run(&[0x48, 0xff, 0xc4], &state); // inc rsp
        assert_eq!(ended, Ended::Retired);
        assert_eq!(after.gpr[RSP], rsp.wrapping_add(1));
    }
    let top = oracle.data_address() + 0x100;
    state.gpr[RSP] = top;
    state.gpr[RAX] = 0x1122_3344_5566_7788;
    let (ended, after) = oracle.run(&[0x50], &state); // push rax
    assert_eq!((ended, after.gpr[RSP]), (Ended::Retired, top - 8));
    assert_eq!(oracle.data()[0xf8..0x100], state.gpr[RAX].to_le_bytes());

    state.gpr[RSP] = oracle.data_address(); // the page before is not mapped
    let (ended, after) = oracle.run(&[0x50], &state);
    assert_eq!(ended, signal(14, 6, state.gpr[RSP] - 8));
    assert_eq!(after.gpr[RSP], state.gpr[RSP]);
}

#[test]
fn xmm_and_ymm() {
    let mut oracle = oracle();
    let mut state = State::default();
    for (n, zmm) in state.zmm.iter_mut().enumerate() {
        *zmm = core::array::from_fn(|at| (n * 7 + at) as u8);
    }
    let lanes = |zmm: &[u8; 64], from: usize| -> [u32; 4] {
        core::array::from_fn(|n| u32::from_le_bytes(zmm[from + n * 4..][..4].try_into().unwrap()))
    };
    let sum = |from: usize, state: &State| -> [u32; 4] {
        let (a, b) = (lanes(&state.zmm[9], from), lanes(&state.zmm[2], from));
        core::array::from_fn(|n| a[n].wrapping_add(b[n]))
    };

    let (_, after) = oracle.run(&[0x66, 0x44, 0x0f, 0xfe, 0xca], &state); // paddd xmm9, xmm2
    assert_eq!(lanes(&after.zmm[9], 0), sum(0, &state));
    assert_eq!(after.zmm[9][16..], state.zmm[9][16..]);

    let mut skips = Skips::new("xmm_and_ymm");
    if !Features.has("avx2") {
        skips.skip("vpaddd ymm", "the host has no AVX2", 1);
        return;
    }
    let (_, after) = oracle.run(&[0xc5, 0x35, 0xfe, 0xca], &state); // vpaddd ymm9, ymm9, ymm2
    assert_eq!(lanes(&after.zmm[9], 0), sum(0, &state));
    assert_eq!(lanes(&after.zmm[9], 16), sum(16, &state));
    assert_eq!(after.zmm[3], state.zmm[3]);
    skips.ran(1);
}

#[test]
fn zmm_and_opmask() {
    let mut skips = Skips::new("zmm_and_opmask");
    let mut oracle = oracle();
    if !Features.has("avx512f") {
        skips.skip("vpaddd zmm{k}", "the host has no AVX-512", 1);
        return;
    }
    let mut state = State::default();
    state.zmm[31] = [1; 64];
    state.zmm[30] = [2; 64];
    state.k[1] = 0x8001;
    let (ended, after) = oracle.run(&[0x62, 0x01, 0x05, 0x41, 0xfe, 0xfe], &state); // vpaddd zmm31{k1}, zmm31, zmm30
    assert_eq!(ended, Ended::Retired);
    let expected: [u8; 64] = core::array::from_fn(|at| if at / 4 == 0 || at / 4 == 15 { 3 } else { 1 });
    assert_eq!(after.zmm[31], expected);
    skips.ran(1);
}

const DIVSS: [u8; 4] = [0xf3, 0x0f, 0x5e, 0xc1]; // divss xmm0, xmm1

#[test]
fn mxcsr_flags_and_xm() {
    let mut oracle = oracle();
    let mut state = State::default();
    state.zmm[0][..4].copy_from_slice(&1f32.to_le_bytes());
    let (ended, after) = oracle.run(&DIVSS, &state); // 1 / 0
    assert_eq!((ended, after.mxcsr), (Ended::Retired, 0x1f80 | 4));
    assert_eq!(after.zmm[0][..4], f32::INFINITY.to_le_bytes());

    state.mxcsr = 0x1f80 & !(1 << 9);
    let (ended, after) = oracle.run(&DIVSS, &state);
    assert_eq!((ended, after.mxcsr), (signal(19, 0, 0), state.mxcsr | 4));
    assert_eq!(after.zmm, state.zmm);
    assert_eq!(after.rip, oracle.start(&Setup::default()));

    state.zmm[1][..4].copy_from_slice(&3f32.to_le_bytes());
    state.mxcsr = 0x1f80 | 0b11 << 13; // toward zero
    let (_, down) = oracle.run(&DIVSS, &state);
    state.mxcsr = 0x1f80 | 0b10 << 13; // up
    let (_, up) = oracle.run(&DIVSS, &state);
    assert_eq!(down.zmm[0][0] + 1, up.zmm[0][0]);
    assert_eq!(up.mxcsr, state.mxcsr | 0x20);
}

#[test]
fn undefined_opcodes() {
    let mut oracle = oracle();
    for code in [&[0x0f, 0x0b][..], &[0xf0, 0x90], &[0x0f, 0xff, 0xc0], &[0x06]] {
        let (ended, after) = oracle.run(code, &State::default());
        assert_eq!(ended, signal(6, 0, 0), "{code:x?}");
        assert_eq!(after.rip, oracle.start(&Setup::default()));
    }
}

#[test]
fn page_faults_give_address_and_error_code() {
    let mut oracle = oracle();
    let data = oracle.data_address();
    let edge = oracle.edge_address();
    let load = [0x48, 0x8b, 0x06]; // mov rax, [rsi]
    let store = [0x48, 0x89, 0x06]; // mov [rsi], rax
    let past = data + 4 * PAGE as u64;
    let cases = [
        (&load, data - 8, 4, data - 8),
        (&load, data - 4, 4, data - 4),
        (&load, past, 4, past),
        (&load, past - 4, 4, past),
        (&store, past - 4, 6, past),
        (&store, edge, 7, edge),
        (&store, edge - 4, 7, edge),
        (&load, edge + PAGE as u64 - 1, 4, edge + PAGE as u64),
    ];
    for (code, address, error, cr2) in cases {
        let mut state = State::default();
        state.gpr[RSI] = address;
        state.gpr[RAX] = 5;
        let (ended, after) = oracle.run(code, &state);
        assert_eq!(ended, signal(14, error, cr2), "{code:x?} at {address:#x}");
        assert_eq!(after.gpr, state.gpr);
        assert_eq!(after.rip, oracle.start(&Setup::default()));
    }
    oracle.read_only_page()[..8].copy_from_slice(&77u64.to_le_bytes());
    let mut state = State::default();
    state.gpr[RSI] = edge;
    let (ended, after) = oracle.run(&load, &state);
    assert_eq!((ended, after.gpr[RAX]), (Ended::Retired, 77));
    state.gpr[RSI] = edge - 8;
    state.gpr[RAX] = 78;
    let (ended, _) = oracle.run(&store, &state);
    assert_eq!(ended, Ended::Retired);
    assert_eq!(oracle.edge_page()[PAGE - 8..], 78u64.to_le_bytes());
}

#[test]
fn code_at_the_end_of_the_area() {
    let mut oracle = oracle();
    let end = oracle.code_address() + CODE_LEN as u64;
    let (ended, after) = oracle.run_with(&Setup::at_end(3), &[0x48, 0xff, 0xc0], &State::default()); // inc rax
    assert_eq!((ended, after.gpr[RAX], after.rip), (Ended::Retired, 1, end));

    // Three bytes before the end are too few for the way out.
    let setup = Setup { offset: CODE_LEN - 6, ..Setup::default() };
    let (ended, after) = oracle.run_with(&setup, &[0x48, 0xff, 0xc0], &State::default());
    assert_eq!((ended, after.gpr[RAX], after.rip), (Ended::Retired, 1, end - 3));

    // mov rax, imm64 cut off after four bytes: the fetch of the rest faults. Bit 4 says fetch.
    let (ended, after) = oracle.run_with(&Setup::at_end(4), &[0x48, 0xb8, 1, 2], &State::default());
    assert_eq!(ended, signal(14, 0x14, end));
    assert_eq!(after.rip, end - 4);
}

#[test]
fn old_code_is_gone() {
    let mut oracle = oracle();
    let mut state = State::default();
    for n in 0..200u8 {
        let offset = usize::from(n) * 11;
        let (ended, after) = oracle.run_with(&Setup { offset, ..Setup::default() }, &[0xb0, n], &state); // mov al, n
        assert_eq!((ended, after.gpr[RAX]), (Ended::Retired, u64::from(n)));
        let (ended, after) = oracle.run(&[0xb0, n + 1], &state);
        assert_eq!((ended, after.gpr[RAX]), (Ended::Retired, u64::from(n) + 1));
    }
    state.gpr[RAX] = oracle.code_address() + 11 * 50;
    let (ended, after) = oracle.run(&[0xff, 0xe0], &state); // jmp rax
    assert_eq!((ended, after.rip), (Ended::Retired, state.gpr[RAX]));
}

#[test]
fn divide_error_and_general_protection() {
    let mut oracle = oracle();
    let (ended, after) = oracle.run(&[0xf7, 0xf1], &State::default()); // div ecx
    assert_eq!(ended, signal(0, 0, 0));
    assert_eq!(after.rip, oracle.start(&Setup::default()));

    let mut state = State::default();
    state.gpr[RSI] = 0x8000_0000_0000;
    let (ended, _) = oracle.run(&[0x48, 0x8b, 0x06], &state); // mov rax, [rsi]
    assert_eq!(ended, signal(13, 0, 0));
    state.gpr[RSP] = 0x8000_0000_0000;
    let (ended, _) = oracle.run(&[0x58], &state); // pop rax
    assert_eq!(ended, signal(12, 0, 0));
    let (ended, _) = oracle.run(&[0xf4], &state); // hlt
    assert_eq!(ended, signal(13, 0, 0));
    let (ended, _) = oracle.run(&[0xcd, 0x0d], &state); // int 13, whose gate is not for users
    assert_eq!(ended, signal(13, 13 << 3 | 2, 0));

    state.gpr[RSI] = oracle.data_address() + 1;
    let (ended, _) = oracle.run(&[0x0f, 0x28, 0x06], &state); // movaps xmm0, [rsi]
    assert_eq!(ended, signal(13, 0, 0));
    state.rflags |= AC;
    let (ended, after) = oracle.run(&[0x8b, 0x06], &state); // mov eax, [rsi]
    assert_eq!(ended, signal(17, 0, 0));
    assert_eq!(after.rflags, state.rflags);
}

#[test]
fn traps_report_the_next_instruction() {
    let mut oracle = oracle();
    let start = oracle.start(&Setup::default());
    let (ended, after) = oracle.run(&[0xcc], &State::default()); // int3
    assert_eq!((ended, after.rip), (signal(3, 0, 0), start + 1));
    let (ended, after) = oracle.run(&[0xcd, 3], &State::default()); // int 3
    assert_eq!((ended, after.rip), (signal(3, 0, 0), start + 2));
    let state = State { rflags: TF | IF | 2, ..State::default() };
    let (ended, after) = oracle.run(&[0x90], &state);
    assert_eq!((ended, after.rip, after.rflags), (signal(1, 0, 0), start + 1, state.rflags));
}

#[test]
fn x87_load_store_and_pending_exception() {
    let mut oracle = oracle();
    let mut state = State::default();
    state.gpr[RSI] = oracle.data_address();
    oracle.data()[..8].copy_from_slice(&1.5f64.to_le_bytes());
    let (ended, loaded) = oracle.run(&[0xdd, 0x06], &state); // fld qword [rsi]
    assert_eq!(ended, Ended::Retired);
    assert_eq!(loaded.x87.st[0], [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x3f]);
    assert_eq!((loaded.x87.fsw >> 11 & 7, loaded.x87.ftw), (7, 0x80));

    let (ended, stored) = oracle.run(&[0xd9, 0x5e, 0x10], &loaded); // fstp dword [rsi+16]
    assert_eq!(ended, Ended::Retired);
    assert_eq!(oracle.data()[16..20], 1.5f32.to_le_bytes());
    assert_eq!((stored.x87.fsw >> 11 & 7, stored.x87.ftw), (0, 0));

    let mut unmasked = loaded;
    unmasked.x87.fcw = 0x37f & !4;
    let (ended, pending) = oracle.run(&[0xdc, 0x76, 0x20], &unmasked); // fdiv qword [rsi+32], which is 0
    assert_eq!(ended, Ended::Retired, "#MF is taken by the next instruction");
    assert_eq!(pending.x87.fsw & 0x8084, 0x8084);
    let (ended, after) = oracle.run(&[0xd9, 0xe8], &pending); // fld1
    assert_eq!((ended, after.x87), (signal(16, 0, 0), pending.x87));
}

#[test]
fn x87_pointers_of_a_pending_exception() {
    let mut oracle = oracle();
    let mut state = State::default();
    (state.x87.fcw, state.x87.fsw) = (0x37e, 0x8081); // invalid operation, not masked
    (state.x87.fip, state.x87.fdp) = (0x1234_5678_9abc, 0x4321_8765_cba9);
    let (ended, after) = oracle.run(&[0x90], &state);
    assert_eq!((ended, after.x87), (Ended::Retired, state.x87));
}

#[test]
fn mmx_registers_lie_in_x87() {
    let mut oracle = oracle();
    let mut state = State::default();
    state.x87.st[3] = [1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xff];
    state.x87.ftw = 0xff;
    let (ended, after) = oracle.run(&[0x48, 0x0f, 0x7e, 0xd8], &state); // movq rax, mm3
    assert_eq!((ended, after.gpr[RAX]), (Ended::Retired, 0x0807_0605_0403_0201));
}

#[test]
fn branches() {
    let mut oracle = oracle();
    let start = oracle.start(&Setup::default());
    let jz = [0x74, 0x20];
    let taken = State { rflags: ZF | IF | 2, ..State::default() };
    for step in [false, true] {
        let setup = Setup { step, ..Setup::default() };
        let (ended, after) = oracle.run_with(&setup, &jz, &taken);
        assert_eq!((ended, after.rip, after.rflags), (Ended::Retired, start + 0x22, taken.rflags));
        let (ended, after) = oracle.run_with(&setup, &jz, &State::default());
        assert_eq!((ended, after.rip), (Ended::Retired, start + 2));
        let (ended, after) = oracle.run_with(&setup, &[0xeb, 0x80], &taken); // jmp far back
        assert_eq!((ended, after.rip), (Ended::Retired, start - 0x7e));

        let mut state = State::default();
        state.gpr[RAX] = oracle.data_address() + 5; // mapped, not executable
        let (ended, after) = oracle.run_with(&setup, &[0xff, 0xe0], &state); // jmp rax
        assert_eq!((ended, after.rip), (Ended::Retired, state.gpr[RAX]));
        state.gpr[RAX] = 0x10; // not mapped
        let (ended, after) = oracle.run_with(&setup, &[0xff, 0xe0], &state);
        assert_eq!((ended, after.rip), (Ended::Retired, state.gpr[RAX]));
        state.gpr[RAX] = 1 << 63; // not canonical: the fault is the jump's
        let (ended, after) = oracle.run_with(&setup, &[0xff, 0xe0], &state);
        assert_eq!((ended, after.rip), (signal(13, 0, 0), start));

        state.gpr[RSP] = oracle.data_address() + 0x80;
        let (ended, after) = oracle.run_with(&setup, &[0xe8, 0, 1, 0, 0], &state); // call
        assert_eq!((ended, after.rip, after.gpr[RSP]), (Ended::Retired, start + 0x105, state.gpr[RSP] - 8));
        assert_eq!(oracle.data()[0x78..0x80], (start + 5).to_le_bytes());
    }
    // To itself, and into the bytes just behind: only by stepping.
    let stepping = Setup::default().stepping();
    let (ended, after) = oracle.run_with(&stepping, &[0xeb, 0xfe], &taken);
    assert_eq!((ended, after.rip, after.rflags), (Ended::Retired, start, taken.rflags));
    let (ended, after) = oracle.run_with(&stepping, &[0xeb, 0x03], &taken);
    assert_eq!((ended, after.rip), (Ended::Retired, start + 5));
}

#[test]
fn stepping_where_the_trap_is_late_or_lost() {
    let mut oracle = oracle();
    let setup = Setup::default().stepping();
    let start = oracle.start(&setup);
    let mut state = State::default();
    state.gpr[RAX] = 0x2b;
    let (ended, after) = oracle.run_with(&setup, &[0x8e, 0xd0], &state); // mov ss, eax: traps one instruction later
    assert_eq!((ended, after.rip, after.rflags), (Ended::Retired, start + 2, state.rflags));

    state.gpr[RSP] = oracle.data_address();
    for flags in [0x246u64, 0x346] {
        oracle.data()[..8].copy_from_slice(&flags.to_le_bytes());
        let (ended, after) = oracle.run_with(&setup, &[0x9d], &state); // popfq
        assert_eq!((ended, after.rip, after.rflags), (Ended::Retired, start + 1, 0x246));
    }
}

#[test]
fn rep_movsb_faults_in_the_middle() {
    let mut oracle = oracle();
    for at in 0..16 {
        oracle.edge_page()[PAGE - 16 + at] = 0;
        oracle.data()[at] = at as u8 + 1;
    }
    let mut state = State::default();
    state.gpr[RSI] = oracle.data_address();
    state.gpr[RDI] = oracle.edge_address() - 10;
    state.gpr[RCX] = 64;
    let (ended, after) = oracle.run(&[0xf3, 0xa4], &state);
    assert_eq!(ended, signal(14, 7, oracle.edge_address()));
    assert_eq!(after.rip, oracle.start(&Setup::default()));
    assert_eq!((after.gpr[RCX], after.gpr[RSI], after.gpr[RDI]), (54, state.gpr[RSI] + 10, oracle.edge_address()));
    assert_eq!(oracle.edge_page()[PAGE - 10..], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);

    let (ended, after) = oracle.run_with(&Setup::default().stepping(), &[0xf3, 0xa4], &state);
    assert_eq!((ended, after.gpr[RCX], after.rip), (Ended::Retired, 63, oracle.start(&Setup::default())));
}

#[test]
fn fs_and_gs_bases() {
    let mut oracle = oracle();
    oracle.data()[0x40..0x48].copy_from_slice(&99u64.to_le_bytes());
    let mut state = State { fs_base: oracle.data_address(), gs_base: oracle.data_address() - 0x40, ..State::default() };
    state.gpr[RDX] = 0x40;
    state.gpr[RBX] = 0x80;
    let (_, after) = oracle.run(&[0x64, 0x48, 0x8b, 0x02], &state); // mov rax, fs:[rdx]
    assert_eq!(after.gpr[RAX], 99);
    let (_, after) = oracle.run(&[0x65, 0x48, 0x8b, 0x03], &state); // mov rax, gs:[rbx]
    assert_eq!(after.gpr[RAX], 99);
    let (ended, after) = oracle.run(&[0xf3, 0x48, 0x0f, 0xae, 0xd2], &state); // wrfsbase rdx
    assert_eq!((ended, after.fs_base, after.gs_base), (Ended::Retired, 0x40, state.gs_base));
}

#[test]
fn selectors_of_the_host_come_back() {
    let mut oracle = oracle();
    let mut state = State::default();
    state.gpr[RAX] = 0x2b;
    for store in [[0x8e, 0xd8], [0x8e, 0xc0], [0x8e, 0xe8]] {
        let (ended, _) = oracle.run(&store, &state); // mov ds, eax; mov es, eax; mov gs, eax
        assert_eq!(ended, Ended::Retired);
        let load = [0x8c, store[1] | 1]; // mov ecx, ds; ...
        let (_, after) = oracle.run(&load, &state);
        assert_eq!(after.gpr[RCX], 0);
    }
}

#[test]
fn extended_registers_hold_addresses() {
    let mut oracle = oracle();
    let mut state = State::default();
    state.gpr[R10] = oracle.data_address();
    state.gpr[RAX] = 0xaabb;
    let (ended, _) = oracle.run(&[0x67, 0x41, 0x89, 0x42, 0x08], &state); // mov [r10d+8], eax
    assert_eq!(ended, Ended::Retired);
    assert_eq!(oracle.data()[8..12], [0xbb, 0xaa, 0, 0]);
}

#[test]
fn oracles_on_many_threads() {
    let threads: Vec<_> = (0..4u64)
        .map(|seed| {
            std::thread::spawn(move || {
                let mut oracle = oracle();
                let mut other = self::oracle();
                assert_ne!(oracle.data_address(), other.data_address());
                let mut random = Random::new(seed);
                for _ in 0..2000 {
                    let mut state = State::default();
                    (state.gpr[RAX], state.gpr[RCX]) = (random.word(), random.word());
                    let (_, after) = oracle.run(&[0x48, 0x01, 0xc8], &state); // add rax, rcx
                    assert_eq!(after.gpr[RAX], state.gpr[RAX].wrapping_add(state.gpr[RCX]));
                    state.gpr[RSI] = other.data_address() - 1;
                    let (ended, _) = other.run(&[0x8a, 0x06], &state); // mov al, [rsi]
                    assert_eq!(ended, signal(14, 4, state.gpr[RSI]));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn oracles_come_and_go() {
    let places: Vec<u64> = (0..50).map(|_| oracle().data_address()).collect();
    assert!(places.iter().all(|place| *place < 1 << 31));
    // The thread's own signal stack is back: a new oracle takes it over once more and runs.
    let (ended, _) = oracle().run(&[0x0f, 0x0b], &State::default());
    assert_eq!(ended.trap(), Some(6));
}

#[test]
fn a_hundred_thousand_runs() {
    const RUNS: u32 = 100_000;
    let mut oracle = oracle();
    let mut random = Random::from_env("a_hundred_thousand_runs", 3);
    let mut state = random.state();
    state.gpr[RSI] = oracle.data_address();
    let mut time = |name: &str, code: &dyn Fn(u32) -> [u8; 3], setup: Setup, ended: Ended| {
        let start = std::time::Instant::now();
        for n in 0..RUNS {
            let (got, after) = oracle.run_with(&setup, &code(n), &state);
            assert_eq!((got, after.gpr[RDI]), (ended, state.gpr[RDI]));
        }
        println!("{name}: {} ns a run", start.elapsed().as_nanos() / u128::from(RUNS));
    };
    let add = [0x48, 0x01, 0xc8];
    time("same bytes", &|_| add, Setup::default(), Ended::Retired);
    time("other bytes each time", &|n| [0xc6, 0xc0, n as u8], Setup::default(), Ended::Retired);
    time("stepping", &|_| add, Setup::default().stepping(), Ended::Retired);
    time("32-bit", &|_| [0x83, 0xc0, 1], Setup::mode(Mode::Compat32), Ended::Retired);
    time("16-bit", &|_| [0x83, 0xc0, 1], Setup::mode(Mode::Compat16), Ended::Retired);
    time("#UD", &|_| [0x0f, 0x0b, 0x90], Setup::default(), signal(6, 0, 0));
}
