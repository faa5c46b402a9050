//! What is assembled, read back by another disassembler.

use super::*;
use crate::{Body, X87};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

const NOP: [u8; 1] = [0x90];

fn recipe(loads: &[Move], stores: &[Move]) -> Recipe {
    let mut recipe = Recipe::new(Body::new(&NOP).unwrap());
    loads.iter().for_each(|m| recipe.loads.push(*m).unwrap());
    stores.iter().for_each(|m| recipe.stores.push(*m).unwrap());
    recipe
}

fn assembled(recipe: &Recipe) -> Result<Vec<Instruction>, StubError> {
    let mut place = [0u8; MAX_STUB];
    // SAFETY: the sink is dropped before `place` is read.
    let sink = unsafe { Sink::new(place.as_mut_ptr(), MAX_STUB) };
    let lines = stub(sink, recipe)?;
    Ok(Decoder::new(64, &place[..lines * LINE], DecoderOptions::NONE).into_iter().collect())
}

/// The instructions before and after the body.
fn around(recipe: &Recipe) -> (Vec<Instruction>, Vec<Instruction>) {
    let mut code = assembled(recipe).unwrap();
    let body = code.iter().position(|i| i.code() == Code::Nopd).expect("the body is there, byte for byte");
    let after = code.split_off(body + 1);
    code.pop();
    (code, after)
}

const OFFSETS: [i32; 16] =
    [0, 1, 16, 64, 127, 128, -64, -128, -129, 2032, 2048, 4064, 8128, 8192, -8192, i32::MAX - 64];

/// Every kind that both loads and stores: register file, first and last number, codes of load and store.
#[rustfmt::skip]
const BOTH_WAYS: &[(MoveKind, Register, u8, u8, Code, Code)] = &[
    (MoveKind::Xmm, Register::XMM0,  0, 15, Code::Movups_xmm_xmmm128,                   Code::Movups_xmmm128_xmm),
    (MoveKind::Xmm, Register::XMM0, 16, 31, Code::EVEX_Vmovdqu64_xmm_k1z_xmmm128,       Code::EVEX_Vmovdqu64_xmmm128_k1z_xmm),
    (MoveKind::Ymm, Register::YMM0,  0, 15, Code::VEX_Vmovdqu_ymm_ymmm256,              Code::VEX_Vmovdqu_ymmm256_ymm),
    (MoveKind::Ymm, Register::YMM0, 16, 31, Code::EVEX_Vmovdqu64_ymm_k1z_ymmm256,       Code::EVEX_Vmovdqu64_ymmm256_k1z_ymm),
    (MoveKind::Zmm, Register::ZMM0,  0, 31, Code::EVEX_Vmovdqu64_zmm_k1z_zmmm512,       Code::EVEX_Vmovdqu64_zmmm512_k1z_zmm),
    (MoveKind::K64, Register::K0,    0,  7, Code::VEX_Kmovq_kr_km64,                    Code::VEX_Kmovq_m64_kr),
    (MoveKind::K16, Register::K0,    0,  7, Code::VEX_Kmovw_kr_km16,                    Code::VEX_Kmovw_m16_kr),
    (MoveKind::Mm,  Register::MM0,   0,  7, Code::Movq_mm_mmm64,                        Code::Movq_mmm64_mm),
    (MoveKind::Gpr64, Register::RAX, 0,  2, Code::Mov_r64_rm64,                         Code::Mov_rm64_r64),
    (MoveKind::Gpr64, Register::RAX, 9, 11, Code::Mov_r64_rm64,                         Code::Mov_rm64_r64),
];

fn assert_at(i: &Instruction, code: Code, register: Register, offset: i64) {
    let (reg, mem) = if i.op0_kind() == OpKind::Register { (i.op0_register(), 1) } else { (i.op1_register(), 0) };
    assert_eq!((i.code(), reg), (code, register), "{i}");
    assert_eq!(i.op_kind(mem), OpKind::Memory, "{i}");
    assert_eq!((i.memory_base(), i.memory_index()), (Register::RDI, Register::None), "{i}");
    assert_eq!(i.memory_displacement64() as i64, offset, "{i}");
    assert_eq!((i.op_mask(), i.zeroing_masking()), (Register::None, false), "{i}");
}

#[test]
fn each_move_of_each_register_is_what_it_says() {
    for &(kind, file, first, last, load, store) in BOTH_WAYS {
        for (reg, offset) in (first..=last).flat_map(|r| OFFSETS.map(|o| (r, o))) {
            let m = Move::new(kind, reg, offset);
            let register = file + u32::from(reg);
            let (before, _) = around(&recipe(&[m], &[]));
            assert_eq!(before[0].code(), Code::Endbr64);
            assert_eq!(before.len(), 2, "{m:?}");
            assert_at(&before[1], load, register, offset.into());
            let (before, after) = around(&recipe(&[], &[m]));
            assert_eq!(before.len(), 1, "{m:?}");
            assert_at(&after[0], store, register, offset.into());
        }
    }
}

#[test]
fn evex_displacements_are_compressed() {
    let len = |offset| around(&recipe(&[Move::new(MoveKind::Zmm, 17, offset)], &[])).0[1].len();
    assert_eq!([len(0), len(64), len(127 * 64), len(-128 * 64)], [6, 7, 7, 7]);
    assert_eq!([len(128 * 64), len(65), len(-129 * 64)], [10, 10, 10]);
}

#[test]
fn moves_beside_upper_halves_are_vex_and_every_exit_clears_them() {
    let xmm = Move::new(MoveKind::Xmm, 9, 32);
    let recipe = Recipe { vex_dirty: true, mxcsr: true, ..recipe(&[xmm], &[xmm]) };
    let (before, after) = around(&recipe);
    assert_at(&before[2], Code::VEX_Vmovdqu_xmm_xmmm128, Register::XMM9, 32);
    assert!(after.iter().any(|i| i.code() == Code::VEX_Vmovdqu_xmmm128_xmm));
    let exits: Vec<_> = after.windows(2).filter(|w| w[1].mnemonic() == Mnemonic::Ret).collect();
    assert_eq!(exits.len(), 2);
    assert!(exits.iter().all(|w| w[0].mnemonic() == Mnemonic::Vzeroupper));
}

#[test]
fn zeroing_stores_write_64_bytes_and_no_stored_register() {
    for kind in [MoveKind::XmmZero, MoveKind::YmmZero] {
        for reg in 0..16u8 {
            let others = [0, 1, 2, 15, 7].map(|n| Move::new(MoveKind::Xmm, n, 1024));
            let mut stores = others.to_vec();
            stores.push(Move::new(kind, reg, 4096));
            let (_, after) = around(&recipe(&[], &stores));
            let kept = |r: Register| {
                let number = r.number() as u8;
                number != reg && others.iter().all(|m| m.reg != number)
            };
            let mut written = Vec::new();
            for i in after.iter().take_while(|i| i.mnemonic() != Mnemonic::Ret).skip(others.len()) {
                match i.op0_kind() {
                    OpKind::Memory => written.push((i.memory_displacement64(), i.memory_size().size())),
                    _ if i.op0_register().is_vector_register() => {
                        assert!(kept(i.op0_register()), "{i}")
                    }
                    _ => {}
                }
            }
            assert_eq!(written, [(4096, 32), (4128, 32)], "{kind:?} {reg}");
        }
    }
}

#[test]
fn the_rest_of_the_last_line_traps() {
    let code = assembled(&recipe(&[], &[])).unwrap();
    let end = code.iter().position(|i| i.mnemonic() == Mnemonic::Ret).unwrap();
    assert_eq!(code.iter().map(Instruction::len).sum::<usize>(), LINE);
    assert!(code[end + 1..].iter().all(|i| i.mnemonic() == Mnemonic::Int3));
}

/// No instruction of the frame but the result's last moves names RBX, RSP, RBP or R12 to R15.
#[test]
fn the_frame_keeps_to_its_registers() {
    let mut recipe = recipe(&[Move::new(MoveKind::Gpr64, 0, 0)], &[Move::new(MoveKind::Gpr64, 0, 0)]);
    recipe = Recipe { rflags_in: true, rflags_out: true, mxcsr: true, ..recipe };
    recipe.x87 = Some(X87 { pushes: 2, pops: 2, drops: 0, in_place: false });
    let mut info = iced_x86::InstructionInfoFactory::new();
    for i in assembled(&recipe).unwrap() {
        if i.mnemonic() == Mnemonic::Ret || i.mnemonic() == Mnemonic::Int3 {
            continue;
        }
        for used in info.info(&i).used_registers() {
            let full = used.register().full_register();
            let callee_saved = [Register::RBX, Register::RBP, Register::RSP, Register::R12, Register::R13];
            assert!(!callee_saved.contains(&full) && full != Register::R14 && full != Register::R15, "{i}");
        }
    }
}

#[test]
fn contradictions_are_refused() {
    let store = |kind, reg| assembled(&recipe(&[], &[Move::new(kind, reg, 0)])).map(|_| ());
    let load = |kind, reg| assembled(&recipe(&[Move::new(kind, reg, 0)], &[])).map(|_| ());
    let no_register = Err(StubError::BadRecipe("no such register to move"));
    for reg in [3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 255] {
        assert_eq!(load(MoveKind::Gpr64, reg), no_register);
        assert_eq!(store(MoveKind::Gpr64, reg), no_register);
    }
    for kind in [MoveKind::Xmm, MoveKind::Ymm, MoveKind::Zmm] {
        assert_eq!((load(kind, 32), store(kind, 32)), (no_register, no_register));
    }
    for kind in [MoveKind::K64, MoveKind::K16, MoveKind::Mm] {
        assert_eq!((load(kind, 8), store(kind, 8)), (no_register, no_register));
    }
    for kind in [MoveKind::XmmZero, MoveKind::YmmZero] {
        assert_eq!(store(kind, 16), no_register);
        assert_eq!(load(kind, 1), Err(StubError::BadRecipe("XmmZero and YmmZero are stores")));
    }
    let far = Recipe { ..recipe(&[Move::new(MoveKind::Xmm, 0, i32::MAX - 63)], &[]) };
    assert_eq!(assembled(&far).map(|_| ()), Err(StubError::BadRecipe("offset out of reach")));
    let deep = Recipe { x87: Some(X87 { pushes: 9, pops: 0, drops: 0, in_place: false }), ..recipe(&[], &[]) };
    assert_eq!(assembled(&deep).map(|_| ()), Err(StubError::BadRecipe("the x87 stack has 8 registers")));
    let in_place = |pushes, pops, loads: &[Move]| {
        let x87 = X87 { pushes, pops, drops: 0, in_place: true };
        assembled(&Recipe { x87: Some(x87), ..recipe(loads, &[]) }).map(|_| ())
    };
    let others = Err(StubError::BadRecipe("ST(0) in place, and other registers"));
    assert_eq!((in_place(2, 1, &[]), in_place(0, 1, &[]), in_place(1, 2, &[])), (others, others, others));
    assert_eq!(in_place(1, 1, &[Move::new(MoveKind::Gpr64, 9, 0)]), others);
    assert_eq!((in_place(1, 1, &[]), in_place(1, 0, &[])), (Ok(()), Ok(())));
    let gprs = STAND_INS.map(|reg| Move::new(MoveKind::Gpr64, reg, 0));
    let crowded = Recipe { rflags_out: true, ..recipe(&[], &gprs) };
    assert_eq!(assembled(&crowded).map(|_| ()), Err(StubError::BadRecipe("flags and six GPRs out")));
    assert!(assembled(&recipe(&[], &gprs)).is_ok(), "without flags six fit");
}

/// A NOP of `prefixes` + 8 bytes.
fn long_nop(prefixes: usize) -> Body {
    let nop = [&[0x66; 7][..prefixes], &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]].concat();
    Body::new(&nop).unwrap()
}

/// Ten loads of 8 bytes, six stores of 26, and 7 bytes around them: a body of 13 bytes fills four lines.
#[test]
fn four_lines_are_the_longest() {
    let loads: Vec<_> = (0..10).map(|n| Move::new(MoveKind::Xmm, n, 1024)).collect();
    let stores: Vec<_> = (0..6).map(|n| Move::new(MoveKind::XmmZero, n, 1024)).collect();
    let with = |body| Recipe { body, ..recipe(&loads, &stores) };
    let code = assembled(&with(long_nop(5))).unwrap();
    assert_eq!(code.iter().map(Instruction::len).sum::<usize>(), MAX_STUB);
    assert_eq!(code.last().unwrap().mnemonic(), Mnemonic::Ret);
    assert_eq!(assembled(&with(long_nop(6))).map(|_| ()), Err(StubError::TooLong));
}

#[test]
fn a_sink_drops_what_does_not_fit() {
    let mut place = [0u8; 12];
    // SAFETY: the sink, which gets the first eight bytes, is not used when `place` is read.
    let mut sink = unsafe { Sink::new(place.as_mut_ptr(), 8) };
    let early = sink.jnz();
    let late = sink.jnz();
    sink.bytes(&[7; 100]);
    sink.land(late);
    sink.land(early);
    assert_eq!(sink.len(), 112);
    assert_eq!(place, [0x0f, 0x85, 106, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}
