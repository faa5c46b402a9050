//! Segment registers, far transfers, descriptor tables and task state.

use super::notation::*;
use super::row::{flag::*, *};
use Map::{M0f, Primary};

/// What IRET and the other returns to another privilege level load.
pub(super) const LOADED: FlagEffect = FlagEffect::of(0, ARITH | DF | IF | NT | AC, 0);
const RETURN: FlagEffect = FlagEffect { read: NT, ..LOADED };
const ZFONLY: FlagEffect = FlagEffect::of(0, ZF, 0);

/// A far transfer.
const fn far(name: &'static str, opcode: u8, operands: &[Spec]) -> Row {
    legacy(name, Primary, opcode, operands).attr(attr::BRANCH)
}

/// A return from an interrupt.
const fn iret(name: &'static str) -> Row {
    far(name, 0xcf, &[]).gate(Gate::V86Iopl).flags(RETURN).far(FarOp::Iret)
}

/// A pointer to a register and a segment register. AMD's processors have no 64-bit offsets.
macro_rules! load_far {
    ($name:literal, $op:literal, $seg:ident) => {
        [
            legacy($name, M0f, $op, &[W(Gz), R(Mpz), W($seg.hidden())])
                .implies(Implied::LoadFar)
                .far(FarOp::LoadPointer)
                .amd(),
            legacy($name, M0f, $op, &[W(Gv), R(Mp), W($seg.hidden())])
                .implies(Implied::LoadFar)
                .far(FarOp::LoadPointer),
        ]
    };
}

/// A line that real and virtual-8086 mode do not have.
const fn protected(name: &'static str, opcode: u8, operands: &[Spec]) -> Row {
    legacy(name, M0f, opcode, operands).protected()
}

/// A line on a descriptor table's register.
const fn table(name: &'static str, operand: Spec, digit: u32, gate: Gate) -> Row {
    legacy(name, M0f, 0x01, &[operand]).digit(digit).gate(gate)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const PRIMARY: &[Row] = &[
    legacy("push", Primary, 0x06, &[R(ES)]).not64().seq(SeqOp::Push).implies(Implied::Push),
    legacy("pop", Primary, 0x07, &[W(ES)]).not64().implies(Implied::Pop).far(FarOp::Pop),
    legacy("push", Primary, 0x0e, &[R(CS)]).not64().seq(SeqOp::Push).implies(Implied::Push),
    legacy("push", Primary, 0x16, &[R(SS)]).not64().seq(SeqOp::Push).implies(Implied::Push),
    legacy("pop", Primary, 0x17, &[W(SS)]).not64().implies(Implied::Pop).far(FarOp::Pop),
    legacy("push", Primary, 0x1e, &[R(DS)]).not64().seq(SeqOp::Push).implies(Implied::Push),
    legacy("pop", Primary, 0x1f, &[W(DS)]).not64().implies(Implied::Pop).far(FarOp::Pop),
    legacy("arpl", Primary, 0x63, &[RCW(Ew), R(Gw)]).not64().protected().flags(ZFONLY).does(IntOp::Arpl),
    legacy("mov", Primary, 0x8c, &[W(Mw), R(Sw)]).does(IntOp::Mov),
    legacy("mov", Primary, 0x8c, &[W(Rv), R(Sw)]).does(IntOp::Mov),
    legacy("mov", Primary, 0x8e, &[W(Sw), R(Ew)]).implies(Implied::LoadSegment).far(FarOp::Load),
    far("call", 0x9a, &[R(Ap)]).not64().implies(Implied::Call).far(FarOp::Call),
    legacy("les", Primary, 0xc4, &[W(Gv), R(Mp), W(ES.hidden())]).not64().implies(Implied::LoadFar).far(FarOp::LoadPointer),
    legacy("lds", Primary, 0xc5, &[W(Gv), R(Mp), W(DS.hidden())]).not64().implies(Implied::LoadFar).far(FarOp::LoadPointer),
    far("retf", 0xca, &[R(Iw)]).implies(Implied::FarReturn).far(FarOp::Return),
    far("retf", 0xcb, &[]).implies(Implied::FarReturn).far(FarOp::Return),
    iret("iret").osize(0).implies(Implied::InterruptReturn),
    iret("iretq").osize(2).implies(Implied::InterruptReturn),
    iret("iretd").implies(Implied::InterruptReturn),
    far("jmp", 0xea, &[R(Ap)]).not64().implies(Implied::Jump).far(FarOp::Jump),
    far("call", 0xff, &[R(Mpz)]).digit(3).amd().implies(Implied::Call).far(FarOp::Call),
    far("call", 0xff, &[R(Mp)]).digit(3).implies(Implied::Call).far(FarOp::Call),
    far("jmp", 0xff, &[R(Mpz)]).digit(5).amd().implies(Implied::Jump).far(FarOp::Jump),
    far("jmp", 0xff, &[R(Mp)]).digit(5).implies(Implied::Jump).far(FarOp::Jump),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F: &[Row] = rows![
    [
        protected("sldt", 0x00, &[W(Mw)]).digit(0).gate(Gate::Umip).privileged(PrivOp::StoreSelector),
        protected("sldt", 0x00, &[W(Rv)]).digit(0).gate(Gate::Umip).privileged(PrivOp::StoreSelector),
        protected("str", 0x00, &[W(Mw)]).digit(1).gate(Gate::Umip).privileged(PrivOp::StoreSelector),
        protected("str", 0x00, &[W(Rv)]).digit(1).gate(Gate::Umip).privileged(PrivOp::StoreSelector),
        protected("lldt", 0x00, &[R(Ew)]).digit(2).gate(Gate::Cpl0).implies(Implied::LoadTable).far(FarOp::LoadTable),
        protected("ltr", 0x00, &[R(Ew)]).digit(3).gate(Gate::Cpl0).implies(Implied::LoadTask).far(FarOp::LoadTask),
        protected("verr", 0x00, &[R(Ew)]).digit(4).flags(ZFONLY).implies(Implied::Verify).far(FarOp::VerifyRead),
        protected("verw", 0x00, &[R(Ew)]).digit(5).flags(ZFONLY).implies(Implied::Verify).far(FarOp::VerifyWrite),
        legacy("lkgs", M0f, 0x00, &[R(Ew)]).digit(6).f2().only64().gate(Gate::Cpl0).cpuid(super::Feature::Lkgs).implies(Implied::LoadGs).far(FarOp::LoadKernelGs),
        table("sgdt", W(Ms), 0, Gate::Umip).privileged(PrivOp::StoreTable),
        table("sidt", W(Ms), 1, Gate::Umip).privileged(PrivOp::StoreTable),
        table("lgdt", R(Ms), 2, Gate::Cpl0).privileged(PrivOp::LoadTable),
        table("lidt", R(Ms), 3, Gate::Cpl0).privileged(PrivOp::LoadTable),
        protected("lar", 0x02, &[CW(Gv), R(Mw)]).flags(ZFONLY).implies(Implied::LookUp).far(FarOp::Lar),
        protected("lar", 0x02, &[CW(Gv), R(Rv)]).flags(ZFONLY).implies(Implied::LookUp).far(FarOp::Lar),
        protected("lsl", 0x03, &[CW(Gv), R(Mw)]).flags(ZFONLY).implies(Implied::LookUp).far(FarOp::Lsl),
        protected("lsl", 0x03, &[CW(Gv), R(Rz)]).flags(ZFONLY).implies(Implied::LookUp).far(FarOp::Lsl),
        legacy("push", M0f, 0xa0, &[R(FS)]).d64().seq(SeqOp::Push).implies(Implied::Push),
        legacy("pop", M0f, 0xa1, &[W(FS)]).d64().implies(Implied::Pop).far(FarOp::Pop),
        legacy("push", M0f, 0xa8, &[R(GS)]).d64().seq(SeqOp::Push).implies(Implied::Push),
        legacy("pop", M0f, 0xa9, &[W(GS)]).d64().implies(Implied::Pop).far(FarOp::Pop),
    ],
    load_far!("lss", 0xb2, SS),
    load_far!("lfs", 0xb4, FS),
    load_far!("lgs", 0xb5, GS),
];
