//! The frame around the instruction.
//!
//! ```text
//! endbr64
//! flags in                  rax, before it is a stand-in
//! loads                     nothing from here to the instruction changes flags
//! MXCSR, FCW, x87 values
//! the instruction           its memory operand is [rsi]; afterwards rsi is free
//! flags out                 before anything changes them
//! x87 values, MXCSR, FCW    the host's state is back, but for upper halves and MMX tags
//! MXCSR test ───▶ fault: return without stores
//! stores
//! return
//! ```
//!
//! RDI is the state pointer, R8 the scratch, from the first instruction to the last, and R9 the offset of ST(0) in the state, where
//! it is worked on in place. The result is put together in RSI.

use super::encode::{self, Encoded, Way};
use super::sink::Sink;
use crate::{Move, MoveKind, Recipe, Scratch, StubError};
use core::mem::offset_of;
use dynasmrt::{DynasmApi, dynasm};

/// What self-modifying-code detection works on: stubs share no line.
pub(crate) const LINE: usize = 64;
/// The longest stub.
pub(crate) const MAX_STUB: usize = 4 * LINE;

const RAX: u8 = 0;
const RSI: u8 = 6;
/// Host registers that may stand in for guest registers: RAX, RCX, RDX, R9, R10, R11.
const STAND_INS: [u8; 6] = [RAX, 1, 2, 9, 10, 11];
/// The assembler does not have it.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// What most stubs end in.
const XOR_EAX_EAX: u64 = 0xc031;
const VZEROUPPER_RET: u64 = 0xc377_f8c5;
/// FNCLEX has two bytes.
const JZ_OVER_FNCLEX: [u8; 2] = [0x74, 2];
/// FLDCW with a displacement of a byte has four.
const JE_OVER_FLDCW: [u8; 2] = [0x74, 4];
/// Status word: what FNCLEX clears, but for the summary bits, which are never set while exceptions are masked.
const FSW_EXCEPTIONS: i16 = 0x7f;
/// Status word: set by FPTAN and FSINCOS, among others, when they have not pushed.
const FSW_C2: i16 = 1 << 10;
/// What fills the rest of the last line.
const INT3: u8 = 0xcc;

const MXCSR_RUN: i8 = offset_of!(Scratch, mxcsr_run) as i8;
const MXCSR_FATAL: i8 = offset_of!(Scratch, mxcsr_fatal) as i8;
const MXCSR_OUT: i8 = offset_of!(Scratch, mxcsr_out) as i8;
const MXCSR_HOST: i8 = offset_of!(Scratch, mxcsr_host) as i8;
const RFLAGS_IN: i8 = offset_of!(Scratch, rflags_in) as i8;
const FCW: i8 = offset_of!(Scratch, fcw) as i8;
const FSW: i8 = offset_of!(Scratch, fsw) as i8;
const FCW_HOST: i8 = offset_of!(Scratch, fcw_host) as i8;
const TOP: i8 = offset_of!(Scratch, top) as i8;
const IMAGE: i32 = offset_of!(Scratch, image) as i32;

/// Assembles the stub of `recipe` into `place`, which starts at a line, and fills the last line. Returns the number of lines.
/// Everything that pushes is inlined here, so that the sink's length stays in a register.
///
/// # Errors
/// [`StubError::BadRecipe`] or [`StubError::TooLong`]; the contents of `place` are then void.
pub(crate) fn stub(mut place: Sink<'_>, recipe: &Recipe) -> Result<usize, StubError> {
    let frame = Frame::plan(recipe)?;
    let sink = &mut place;
    frame.enter(sink);
    sink.body(&recipe.body);
    frame.leave(sink);
    let len = sink.len();
    if len > MAX_STUB {
        return Err(StubError::TooLong);
    }
    let lines = len.div_ceil(LINE);
    sink.fill(lines * LINE, INT3);
    Ok(lines)
}

/// The code that a cache would install for `recipe`, without what fills its last line.
///
/// # Errors
/// [`StubError::BadRecipe`] or [`StubError::TooLong`].
pub fn code(recipe: &Recipe) -> Result<Vec<u8>, StubError> {
    let mut place = vec![0; MAX_STUB];
    // SAFETY: the sink gets all of `place` and is dropped before it is used again.
    let lines = stub(unsafe { Sink::new(place.as_mut_ptr(), MAX_STUB) }, recipe)?;
    place.truncate(lines * LINE);
    while place.pop_if(|last| *last == INT3).is_some() {}
    Ok(place)
}

/// A recipe with what follows from it.
struct Frame<'a> {
    recipe: &'a Recipe,
    /// Moves are VEX-encoded.
    vex: bool,
    /// Upper halves are in use, so that every exit clears them.
    dirty: bool,
    /// MMX registers are in use, so that every exit clears their tags.
    mmx: bool,
    /// RAX holds a value to be stored.
    rax_live: bool,
    /// A stand-in that is not stored, so that it is free after the instruction; RAX if that is one.
    spare: u8,
    /// A vector register that is not stored.
    spare_vector: u8,
}

impl<'a> Frame<'a> {
    fn plan(recipe: &'a Recipe) -> Result<Self, StubError> {
        use MoveKind::{Gpr64, Mm, Xmm, XmmZero, Ymm, YmmZero, Zmm};
        let (loads, stores) = (recipe.loads.as_slice(), recipe.stores.as_slice());
        if recipe.x87.is_some_and(|x87| x87.pushes > 8 || x87.pops > 8 || x87.drops > 8) {
            return Err(StubError::BadRecipe("the x87 stack has 8 registers"));
        }
        if recipe.x87.is_some() && recipe.x87_image {
            return Err(StubError::BadRecipe("registers of the x87 stack, and all of its state"));
        }
        let (mut dirty, mut vex, mut mmx) = (recipe.vex_dirty, false, false);
        // Registers that are stored, a bit each.
        let (mut gprs, mut vectors) = (0_u32, 0_u32);
        let mut moves_gpr = false;
        for m in loads {
            check(m, Way::Load)?;
            moves_gpr |= m.kind == Gpr64;
            dirty |= matches!(m.kind, Ymm | Zmm);
            mmx |= m.kind == Mm;
        }
        for m in stores {
            check(m, Way::Store)?;
            let bit = 1 << (m.reg & 31);
            match m.kind {
                Gpr64 => gprs |= bit,
                Xmm => vectors |= bit,
                Ymm | Zmm | XmmZero | YmmZero => (vectors, vex) = (vectors | bit, true),
                Mm => mmx = true,
                MoveKind::K64 | MoveKind::K16 => {}
            }
        }
        moves_gpr |= gprs != 0;
        if recipe.x87.is_some_and(|x87| x87.in_place && (x87.pushes != 1 || x87.pops > 1 || moves_gpr)) {
            return Err(StubError::BadRecipe("ST(0) in place, and other registers"));
        }
        let spare = STAND_INS.into_iter().find(|gpr| gprs >> gpr & 1 == 0);
        Ok(Self {
            recipe,
            vex: dirty | vex,
            dirty,
            mmx,
            rax_live: gprs >> RAX & 1 != 0,
            spare: match spare {
                Some(gpr) => gpr,
                None if recipe.rflags_out => {
                    return Err(StubError::BadRecipe("flags and six GPRs out"));
                }
                None => RSI,
            },
            spare_vector: vectors.trailing_ones() as u8,
        })
    }

    /// Loading a control word costs more than the rest of an x87 frame, and the guest's is mostly the host's. Where nothing else
    /// needs RCX or the flags, they are compared first.
    fn keeps_fcw(&self) -> bool {
        let recipe = self.recipe;
        let gpr = |m: &Move| m.kind == MoveKind::Gpr64;
        let moves = recipe.loads.as_slice().iter().chain(recipe.stores.as_slice());
        !recipe.rflags_in && !recipe.rflags_out && !recipe.mxcsr && !moves.into_iter().any(gpr)
    }

    #[inline(always)]
    fn enter(&self, sink: &mut Sink<'_>) {
        let recipe = self.recipe;
        sink.word(u32::from_le_bytes(ENDBR64).into(), ENDBR64.len());
        if recipe.rflags_in || recipe.mxcsr || recipe.x87.is_some() || recipe.x87_image {
            dynasm!(sink ; .arch x64 ; mov r8, rdx);
        }
        if recipe.rflags_in {
            // OF is bit 3 of the upper byte: 8 + 0x78 overflows, 0 + 0x78 does not. SAHF leaves it. AH goes with no REX
            // prefix, so it comes from RDX, which is still the scratch here.
            dynasm!(sink ; .arch x64
                ; movzx eax, BYTE [BYTE rdx + RFLAGS_IN + 1]
                ; and eax, 8
                ; add al, 0x78
                ; mov ah, [BYTE rdx + RFLAGS_IN]
                ; sahf
            );
        }
        recipe.loads.as_slice().iter().for_each(|m| self.load(sink, m));
        if recipe.mxcsr {
            dynasm!(sink ; .arch x64
                ; stmxcsr [BYTE r8 + MXCSR_HOST]
                ; ldmxcsr [BYTE r8 + MXCSR_RUN]
            );
        }
        if let Some(x87) = recipe.x87 {
            dynasm!(sink ; .arch x64 ; fnstcw [BYTE r8 + FCW_HOST]);
            if self.keeps_fcw() {
                dynasm!(sink ; .arch x64 ; movzx ecx, WORD [BYTE r8 + FCW] ; cmp cx, [BYTE r8 + FCW_HOST]);
                sink.bytes(&JE_OVER_FLDCW);
            }
            dynasm!(sink ; .arch x64 ; fldcw [BYTE r8 + FCW]);
            if x87.in_place {
                dynasm!(sink ; .arch x64 ; mov r9, [BYTE r8 + TOP] ; fld TWORD [rdi + r9]);
            } else {
                for i in (0..x87.pushes).rev() {
                    dynasm!(sink ; .arch x64 ; fld TWORD [r8 + st(i)]);
                }
            }
        }
        if recipe.x87_image {
            dynasm!(sink ; .arch x64 ; fnstcw [BYTE r8 + FCW_HOST] ; frstor [r8 + IMAGE]);
        }
    }

    #[inline(always)]
    fn leave(&self, sink: &mut Sink<'_>) {
        let recipe = self.recipe;
        if recipe.rflags_out {
            self.flags_to_rsi(sink);
        }
        if let Some(x87) = recipe.x87 {
            // All exceptions are masked, so that the stores do not trap on those that the instruction raised. They are
            // cleared before the host's control word, which may unmask them, is back. FNCLEX costs twice the rest of the
            // frame, so it runs only if there are flags, or if C2 says that a store may have underflowed the stack.
            dynasm!(sink ; .arch x64 ; fnstsw [BYTE r8 + FSW]);
            for i in 0..x87.pops {
                if x87.in_place {
                    dynasm!(sink ; .arch x64 ; fstp TWORD [rdi + r9]);
                } else {
                    dynasm!(sink ; .arch x64 ; fstp TWORD [r8 + st(i)]);
                }
            }
            for _ in 0..x87.drops {
                dynasm!(sink ; .arch x64 ; fstp st0);
            }
            dynasm!(sink ; .arch x64 ; test WORD [BYTE r8 + FSW], FSW_C2 | FSW_EXCEPTIONS);
            sink.bytes(&JZ_OVER_FNCLEX);
            dynasm!(sink ; .arch x64 ; fnclex);
            if self.keeps_fcw() {
                dynasm!(sink ; .arch x64 ; cmp cx, [BYTE r8 + FCW_HOST]);
                sink.bytes(&JE_OVER_FLDCW);
            }
            dynasm!(sink ; .arch x64 ; fldcw [BYTE r8 + FCW_HOST]);
        }
        if recipe.x87_image {
            // FNSAVE waits for nothing, and empties the stack.
            dynasm!(sink ; .arch x64 ; fnsave [r8 + IMAGE] ; fldcw [BYTE r8 + FCW_HOST]);
        }
        if !recipe.mxcsr {
            self.stores(sink);
            self.result(sink);
            self.exit(sink);
            return;
        }
        let raised = if recipe.rflags_out { self.spare } else { RSI };
        dynasm!(sink ; .arch x64
            ; stmxcsr [BYTE r8 + MXCSR_OUT]
            ; ldmxcsr [BYTE r8 + MXCSR_HOST]
            ; mov Rd(raised), [BYTE r8 + MXCSR_OUT]
            ; and Rd(raised), 0x3f
            ; test [BYTE r8 + MXCSR_FATAL], Rd(raised)
        );
        let to_fault = sink.jnz();
        self.stores(sink);
        dynasm!(sink ; .arch x64 ; shl Rq(raised), 32);
        if recipe.rflags_out {
            dynasm!(sink ; .arch x64 ; or rsi, Rq(raised));
        }
        self.result(sink);
        self.exit(sink);
        sink.land(to_fault);
        dynasm!(sink ; .arch x64
            ; mov eax, Rd(raised)
            ; bts eax, 31
            ; shl rax, 32
        );
        self.exit(sink);
    }

    /// CF, PF, AF, ZF, SF and OF to RSI in RFLAGS layout (with bit 1, which LAHF sets). Keeps RAX if it is to be stored.
    #[inline(always)]
    fn flags_to_rsi(&self, sink: &mut Sink<'_>) {
        let spare = self.spare;
        if self.rax_live {
            dynasm!(sink ; .arch x64 ; mov Rq(spare), rax);
        }
        dynasm!(sink ; .arch x64 ; lahf ; seto al ; movzx esi, ax);
        if self.rax_live {
            dynasm!(sink ; .arch x64 ; mov rax, Rq(spare));
        }
        dynasm!(sink ; .arch x64
            ; movzx Rd(spare), sil
            ; shl Rd(spare), 11
            ; shr esi, 8
            ; or esi, Rd(spare)
        );
    }

    #[inline(always)]
    fn stores(&self, sink: &mut Sink<'_>) {
        self.recipe.stores.as_slice().iter().for_each(|m| self.store(sink, m));
    }

    /// The result to RAX: RSI, if there is something in it, and the x87 status word.
    #[inline(always)]
    fn result(&self, sink: &mut Sink<'_>) {
        let in_rsi = self.recipe.rflags_out || self.recipe.mxcsr;
        match (self.recipe.x87.is_some(), in_rsi) {
            (false, false) => sink.word(XOR_EAX_EAX, 2),
            (false, true) => dynasm!(sink ; .arch x64 ; mov rax, rsi),
            (true, _) => {
                dynasm!(sink ; .arch x64 ; movzx eax, WORD [BYTE r8 + FSW] ; shl eax, 16);
                if in_rsi {
                    dynasm!(sink ; .arch x64 ; or rax, rsi);
                }
            }
        }
    }

    #[inline(always)]
    fn exit(&self, sink: &mut Sink<'_>) {
        if self.mmx {
            dynasm!(sink ; .arch x64 ; emms);
        }
        if self.dirty {
            sink.word(VZEROUPPER_RET, 4);
        } else {
            dynasm!(sink ; .arch x64 ; ret);
        }
    }

    /// A move that goes either way, as code.
    #[inline(always)]
    fn encoded(&self, way: Way, m: &Move) -> Encoded {
        let Move { kind, reg, offset } = *m;
        match kind {
            MoveKind::Gpr64 => encode::mov(way, reg, offset),
            MoveKind::Mm => encode::movq(way, reg, offset),
            MoveKind::K64 => encode::kmovq(way, reg, offset),
            MoveKind::K16 => encode::kmovw(way, reg, offset),
            MoveKind::Zmm => encode::vmovdqu64(way, 2, reg, offset),
            MoveKind::Ymm | MoveKind::YmmZero if reg >= 16 => encode::vmovdqu64(way, 1, reg, offset),
            MoveKind::Ymm | MoveKind::YmmZero => encode::vmovdqu(way, 1, reg, offset),
            MoveKind::Xmm | MoveKind::XmmZero if reg >= 16 => encode::vmovdqu64(way, 0, reg, offset),
            MoveKind::Xmm | MoveKind::XmmZero if self.vex => encode::vmovdqu(way, 0, reg, offset),
            MoveKind::Xmm | MoveKind::XmmZero => encode::movups(way, reg, offset),
        }
    }

    #[inline(always)]
    fn load(&self, sink: &mut Sink<'_>, m: &Move) {
        sink.encoded(self.encoded(Way::Load, m));
    }

    #[inline(always)]
    fn store(&self, sink: &mut Sink<'_>, m: &Move) {
        let Move { kind, reg, offset } = *m;
        let spare = self.spare_vector;
        // In two halves of 32 bytes, so that later loads of 16 and of 32 bytes forward.
        match kind {
            MoveKind::XmmZero => {
                sink.encoded(encode::vmovdqa(spare, reg));
                sink.encoded(encode::vmovdqu(Way::Store, 1, spare, offset));
            }
            _ => sink.encoded(self.encoded(Way::Store, m)),
        }
        if matches!(kind, MoveKind::XmmZero | MoveKind::YmmZero) {
            sink.encoded(encode::vpxor(spare));
            sink.encoded(encode::vmovdqu(Way::Store, 1, spare, offset + 32));
        }
    }
}

/// The registers of a kind, a bit each.
const fn registers(kind: MoveKind) -> u32 {
    use MoveKind::{Gpr64, K16, K64, Mm, Xmm, XmmZero, Ymm, YmmZero, Zmm};
    match kind {
        Gpr64 => {
            let (mut set, mut i) = (0, 0);
            while i < STAND_INS.len() {
                set |= 1 << STAND_INS[i];
                i += 1;
            }
            set
        }
        Xmm | Ymm | Zmm => u32::MAX,
        XmmZero | YmmZero => 0xffff,
        K64 | K16 | Mm => 0xff,
    }
}

#[inline(always)]
fn check(m: &Move, way: Way) -> Result<(), StubError> {
    if m.reg > 31 || registers(m.kind) >> m.reg & 1 == 0 {
        return Err(StubError::BadRecipe("no such register to move"));
    }
    if way == Way::Load && matches!(m.kind, MoveKind::XmmZero | MoveKind::YmmZero) {
        return Err(StubError::BadRecipe("XmmZero and YmmZero are stores"));
    }
    if m.offset.checked_add(64).is_none() {
        return Err(StubError::BadRecipe("offset out of reach"));
    }
    Ok(())
}

/// Offset of `Scratch::st[i]`.
fn st(i: u8) -> i32 {
    offset_of!(Scratch, st) as i32 + 16 * i32::from(i)
}

#[cfg(test)]
mod tests;
