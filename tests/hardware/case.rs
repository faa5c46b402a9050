//! Random states in which an encoding's operands lie where something can happen.

use crate::encode::{Address, Encoding};
use crate::machine::{Habits, Memory};
use crate::sites::Sites;
use encore86::isa::row::{Exec, FarOp, IntOp, Loc, Map, SeqOp, Shape, Space, StrOp, SysOp, Width, X87Op, attr};
use encore86_oracle::features::Vector;
use encore86_oracle::state::{AC, RAX, RBX, RCX, RDI, RDX, RSI, RSP, X87};
use encore86_oracle::{Features, Mode, Oracle, Random, State};

const RBP: usize = 5;

/// Width in bytes of an operand of an encoding.
fn width(e: &Encoding, width: Width) -> usize {
    match width {
        Width::Zero => 1,
        Width::B => 1,
        Width::W => 2,
        Width::D => 4,
        Width::Q => 8,
        Width::T => 10,
        Width::Dq => 16,
        Width::Qq => 32,
        Width::Oq => 64,
        Width::V | Width::Stack => e.osize,
        Width::Z => e.osize.min(4),
        Width::Y if e.wide && e.mode == Mode::Long64 => 8,
        Width::Y => 4,
        Width::X => e.vl,
        Width::Xh => e.vl / 2,
        Width::Xq => e.vl / 4,
        Width::Xe => e.vl / 8,
        Width::Xdup if e.vl == 16 => 8,
        Width::Xdup => e.vl,
        Width::Pseudo => 10,
        Width::Far => 2 + e.osize,
        Width::Pair => 2 * e.osize,
        Width::Env => {
            if e.osize == 2 {
                14
            } else {
                28
            }
        }
        Width::X87State => {
            if e.osize == 2 {
                94
            } else {
                108
            }
        }
        Width::Fx => 512,
        Width::FarZ => 2 + e.osize.min(4),
        Width::Addr => e.asize,
        Width::Mode if e.mode == Mode::Long64 => 8,
        Width::Mode => 4,
        Width::Bounds if e.mode == Mode::Long64 => 16,
        Width::Bounds => 8,
        Width::Kl => 48,
    }
}

fn low(bytes: usize) -> u64 {
    u64::MAX >> (64 - 8 * bytes.min(8))
}

fn sign_extend(value: u64, bytes: usize) -> i64 {
    let shift = 64 - 8 * bytes as u32;
    (value << shift) as i64 >> shift
}

/// More than an XSAVE area of the components that are compared.
const XSAVE_AREA: usize = 2816;

fn has_xsave_area(e: &Encoding) -> bool {
    matches!(e.row.exec, Exec::System(SysOp::Xsave | SysOp::Xrstor))
}

/// PCMPESTRI and its like.
fn compares_strings(e: &Encoding) -> bool {
    e.row.map == Map::M0f3a && e.row.space != Space::Evex && (0x60..=0x63).contains(&e.row.opcode)
}

/// Strings in which letters recur, each byte or each word of the same few, and some end early.
fn few_letters(text: &mut [u8], random: &mut Random) {
    let mask = random.pick(&[0x0103u16, 0x0307, 0x0003, 0x8001]).to_le_bytes();
    let zeros = !random.one_in(4);
    for (byte, mask) in text.iter_mut().zip(mask.iter().take(2).cycle()) {
        *byte = *byte & mask | u8::from(!zeros);
    }
}

/// Makes the state of a case, and puts operands into both memories.
pub struct Maker<'a> {
    pub encoding: &'a Encoding,
    pub sites: &'a Sites,
    pub random: &'a mut Random,
    pub memory: &'a mut Memory,
    pub oracle: &'a mut Oracle,
    /// What a memory operand of up to 64 bytes holds, if it is not random.
    pub content: Option<[u8; 64]>,
}

impl Maker<'_> {
    /// A random state that suits the encoding; `None` if the encoding wants RSP where it must not be.
    pub fn state(&mut self) -> Option<State> {
        (0..8).find_map(|_| {
            let state = self.draw();
            (!self.sites.is_taken(state.gpr[RSP])).then_some(state)
        })
    }

    fn draw(&mut self) -> State {
        let e = self.encoding;
        let mut state = self.random.state();
        if e.mode != Mode::Long64 {
            state.gpr = state.gpr.map(|value| value & 0xffff_ffff);
        }
        if self.oracle.vector() == Vector::Avx {
            // What the host has not, the engine may clear.
            state.zmm.iter_mut().for_each(|zmm| zmm[32..].fill(0));
        }
        if self.random.one_in(8) {
            state.rflags |= AC;
        }
        if e.row.is(attr::MXCSR) || self.random.one_in(8) {
            state.mxcsr = self.mxcsr();
        }
        let mmx = e.row.specs().iter().any(|s| matches!(s.loc, Loc::MmxReg | Loc::MmxOrMem | Loc::MmxRm));
        if matches!(e.row.exec, Exec::X87(_)) || mmx || has_xsave_area(e) || self.random.one_in(32) {
            state.x87 = self.x87();
        }
        self.registers(&mut state);
        self.stack(&mut state);
        self.strings(&mut state);
        self.memory_operand(&mut state);
        state
    }

    /// Habits of the bus for a case.
    pub fn habits(&mut self) -> Habits {
        let r = &mut *self.random;
        // A block is read anew after a retry: RAM does not answer late each time.
        let later = r.one_in(8);
        let width = r.one_in(8).then(|| r.pick(&[1, 2, 4, 8, 16]));
        Habits {
            ram: width.is_none() && r.one_in(2),
            blocks: width.is_none() && !later && r.one_in(2),
            atomic: r.one_in(4),
            width,
            later,
            interrupt: r.one_in(8),
        }
    }

    fn mxcsr(&mut self) -> u32 {
        const MISALIGNED: u32 = 1 << 17;
        let r = &mut *self.random;
        let mut mxcsr = if r.one_in(2) { r.mxcsr() } else { r.mxcsr_masked() };
        match r.below(8) {
            // One exception unmasked, so that it is reached before others.
            0 => mxcsr = mxcsr & !0x3f | 0x1f80 & !(0x80 << r.below(6)),
            1 => mxcsr &= !0x1f80,
            _ => {}
        }
        if r.one_in(8) && Features.has("misalignsse") { mxcsr | MISALIGNED } else { mxcsr }
    }

    /// x87 with exceptions masked or not, sticky or pending, the stack full or empty.
    fn x87(&mut self) -> X87 {
        let r = &mut *self.random;
        let mut x87 = r.x87();
        match r.below(4) {
            0 => x87.ftw = 0xff,
            1 => x87.ftw = 0,
            _ => {}
        }
        if r.one_in(4) {
            // Equal registers, or opposite ones.
            let (from, to) = (r.below(8) as usize, r.below(8) as usize);
            x87.st[to] = x87.st[from];
            x87.st[to][9] ^= r.pick(&[0, 0x80]);
        }
        if r.one_in(2) {
            x87.fsw |= r.word() as u16 & 0x7f;
        }
        if r.one_in(3) {
            x87.fcw &= !(r.word() as u16 & 0x3f);
        }
        if x87.fsw & !x87.fcw & 0x3f != 0 {
            if r.one_in(3) {
                // Without a pending exception a switch of the host's processes loses the pointers on AMD's processors.
                x87.fsw |= 0x8080;
                x87.fop = r.word() as u16 & 0x7ff;
                (x87.fip, x87.fdp) = (r.word() >> 17, r.word() >> 17);
            } else {
                x87.fsw &= x87.fcw | !0x3f;
            }
        }
        x87
    }

    /// Values without which some instructions always end the same way.
    fn registers(&mut self, state: &mut State) {
        let e = self.encoding;
        let r = &mut *self.random;
        match e.row.exec {
            Exec::Value(IntOp::Div | IntOp::Idiv) if !r.one_in(4) => {
                let high = match r.below(4) {
                    0 => (state.gpr[RAX] as i64 >> 63) as u64,
                    1 => r.below(4),
                    2 => (sign_extend(state.gpr[RAX], e.osize) >> 63) as u64,
                    _ => 0,
                };
                if e.row.opcode == 0xf6 {
                    state.gpr[RAX] = state.gpr[RAX] & !0xff00 | (high & 0xff) << 8;
                }
                state.gpr[RDX] = high & self.full();
            }
            Exec::Value(IntOp::Cmpxchg) if e.address.is_none() && r.one_in(2) => {
                let target = e.rm as usize & 15;
                state.gpr[RAX] = state.gpr[RAX] & !low(e.osize) | state.gpr[target] & low(e.osize);
            }
            Exec::Value(IntOp::Loop | IntOp::Jcxz) if r.one_in(2) => {
                state.gpr[RCX] = state.gpr[RCX] & !low(e.asize) | r.below(3);
                state.gpr[RCX] &= self.full();
            }
            Exec::Value(IntOp::Jmp) | Exec::Seq(SeqOp::Call) if e.address.is_none() && r.one_in(2) => {
                state.gpr[e.rm as usize & 15] = (self.sites.code + r.below(0x3000)) & self.full();
            }
            Exec::Far(FarOp::Load | FarOp::Lar | FarOp::Lsl | FarOp::VerifyRead | FarOp::VerifyWrite)
                if e.address.is_none() =>
            {
                let register = e.rm as usize & 15;
                state.gpr[register] = state.gpr[register] & !0xffff | u64::from(selector(r));
            }
            // XINUSE (1) is the process's, not the instruction's.
            Exec::System(SysOp::Xgetbv) if state.gpr[RCX] as u32 == 1 || r.one_in(2) => {
                state.gpr[RCX] &= !0xffff_ffff;
            }
            Exec::System(SysOp::Clzero) => {
                let at = self.sites.pick(r, 64, 64);
                self.point(state, RAX, e.string_seg, at);
                let bytes = self.content(64);
                self.memory.poke(self.oracle, at, &bytes);
            }
            Exec::System(SysOp::Xsave | SysOp::Xrstor) if r.one_in(2) => {
                (state.gpr[RAX], state.gpr[RDX]) = (r.word() & 0xffff_ffff, r.word() & 0xffff_ffff);
            }
            Exec::System(SysOp::Xsave | SysOp::Xrstor) => state.gpr[RAX] |= 0xffff_ffff,
            // Bases that are canonical, and some that are not.
            Exec::System(SysOp::WriteBase) => {
                let base = r.word();
                let register = &mut state.gpr[e.rm as usize & 15];
                *register = if r.one_in(4) { base } else { (base as i64 >> 16) as u64 };
            }
            Exec::System(SysOp::ReadBase) => {
                let (fs, gs) = (r.word(), r.word());
                (state.fs_base, state.gs_base) = (fs >> 17, (gs as i64 >> 16) as u64);
            }
            Exec::Replay(Shape::Plain) if compares_strings(e) => {
                for register in [RAX, RDX] {
                    if !r.one_in(4) {
                        state.gpr[register] = r.below(40).wrapping_sub(20);
                    }
                }
                if e.mode != Mode::Long64 {
                    state.gpr = state.gpr.map(|value| value & 0xffff_ffff);
                }
                if r.one_in(2) {
                    [e.reg, e.rm].iter().for_each(|&v| few_letters(&mut state.zmm[v as usize & 31], r));
                }
            }
            Exec::Replay(Shape::ByteMask) => {
                let len = width(e, e.row.operands[0].width);
                let at = self.sites.pick(r, len as u64, len as u64);
                self.point(state, RDI, e.string_seg, at);
                let bytes = self.content(len);
                self.memory.poke(self.oracle, at, &bytes);
            }
            _ => {}
        }
    }

    /// The bits that a register has in the mode.
    fn full(&self) -> u64 {
        if self.encoding.mode == Mode::Long64 { u64::MAX } else { 0xffff_ffff }
    }

    /// Puts a pointer to a linear address into a register, at the address size.
    fn point(&mut self, state: &mut State, register: usize, seg: usize, at: u64) {
        let e = self.encoding;
        let offset = at.wrapping_sub(self.base(state, seg));
        let mask = low(e.asize);
        state.gpr[register] = (state.gpr[register] & !mask | offset & mask) & self.full();
    }

    fn base(&self, state: &State, seg: usize) -> u64 {
        match (self.encoding.mode, seg) {
            (Mode::Long64, 4) => state.fs_base,
            (Mode::Long64, 5) => state.gs_base,
            (mode, seg) => self.sites.base(mode, seg),
        }
    }

    /// What a far return or the load of a segment register pops.
    fn far_stack(&mut self, state: &mut State) {
        let e = self.encoding;
        let Exec::Far(FarOp::Pop | FarOp::Return | FarOp::Iret) = e.row.exec else { return };
        let size = e.osize as u64;
        let at = self.sites.pick(self.random, size, 8);
        let offset = at.wrapping_sub(self.sites.base(e.mode, 2));
        let mask = if e.mode == Mode::Compat16 { 0xffff } else { u64::MAX };
        state.gpr[RSP] = (state.gpr[RSP] & !mask | offset & mask) & self.full();
        for i in 0..5 {
            let entry = u64::from(selector(self.random)).to_le_bytes();
            self.memory.poke(self.oracle, at.wrapping_add(i * size), &entry[..e.osize]);
        }
    }

    fn stack(&mut self, state: &mut State) {
        self.far_stack(state);
        let Exec::Seq(op) = self.encoding.row.exec else { return };
        let e = self.encoding;
        let size = e.osize as u64;
        // Where the access is; PUSH's lies below RSP.
        let at = self.sites.pick(self.random, size, 8);
        let (register, to) = match op {
            SeqOp::Push | SeqOp::Pushf | SeqOp::Call => (RSP, at.wrapping_add(size)),
            SeqOp::Pop | SeqOp::Popf | SeqOp::Ret => (RSP, at),
            // Any of the eight entries.
            SeqOp::Pusha => (RSP, at.wrapping_add(size * (1 + self.random.below(8)))),
            SeqOp::Popa => (RSP, at.wrapping_sub(size * self.random.below(8))),
            SeqOp::Enter => {
                let frame = self.sites.pick(self.random, size, 8);
                let (offset, r) = (frame.wrapping_sub(self.sites.base(e.mode, 2)), self.random.below(8));
                let mask = if e.mode == Mode::Compat16 { 0xffff } else { u64::MAX };
                state.gpr[RBP] = (state.gpr[RBP] & !mask | offset.wrapping_add(size * r) & mask) & self.full();
                let content = self.content(64);
                self.memory.poke(self.oracle, frame.wrapping_sub(32), &content);
                (RSP, at.wrapping_add(size * (1 + self.random.below(8))))
            }
            SeqOp::Push2 => (RSP, at.wrapping_add(16)),
            SeqOp::Pop2 => (RSP, at),
            SeqOp::Bound => return,
            SeqOp::Leave => (RBP, at),
            SeqOp::Xlat => {
                let index = state.gpr[RAX] & 0xff;
                self.point(state, RBX, e.string_seg, at.wrapping_sub(index));
                return;
            }
        };
        let offset = to.wrapping_sub(self.sites.base(e.mode, 2));
        let mask = if e.mode == Mode::Compat16 { 0xffff } else { u64::MAX };
        state.gpr[register] = (state.gpr[register] & !mask | offset & mask) & self.full();
        if e.mode == Mode::Long64 && self.random.one_in(32) {
            state.gpr[register] = self.sites.odd(self.random, size).wrapping_add(to - at);
        }
        let mut content = self.random.gpr();
        match op {
            SeqOp::Ret if self.random.one_in(2) => content = self.sites.code + self.random.below(0x3000),
            // A trap after the next instruction would be the oracle's.
            SeqOp::Popf => content = self.random.word() & !0x100,
            _ => {}
        }
        self.memory.poke(self.oracle, at, &content.to_le_bytes()[..e.osize]);
        if op == SeqOp::Popa {
            let content = self.content(8 * e.osize);
            self.memory.poke(self.oracle, state.gpr[RSP] & mask, &content);
        }
    }

    fn strings(&mut self, state: &mut State) {
        let Exec::Str(op) = self.encoding.row.exec else { return };
        let e = self.encoding;
        let spec = e.row.specs().iter().find(|s| matches!(s.loc, Loc::StringSrc | Loc::StringDst));
        let size = spec.map_or(1, |s| width(e, s.width)) as u64;
        let r = &mut *self.random;
        let count = match r.below(16) {
            0 => 0,
            1..=10 => 1 + r.below(9),
            11..=13 => r.below(100),
            14 => r.below(2000),
            _ => low(e.asize) >> 1,
        };
        // The segments of FS and GS in 64-bit mode.
        if e.mode == Mode::Long64 {
            let near = r.below(1 << 31);
            (state.fs_base, state.gs_base) =
                (self.sites.data.wrapping_sub(near), self.sites.data.wrapping_sub(near / 2));
        }
        let (source, mut target) = (self.sites.pick(r, size, size), self.sites.pick(r, size, size));
        if r.one_in(4) {
            // Overlapping.
            target = source.wrapping_add(r.below(8)).wrapping_sub(4);
        }
        if e.rep != 0 {
            state.gpr[RCX] = (state.gpr[RCX] & !low(e.asize) | count & low(e.asize)) & self.full();
        }
        self.point(state, RSI, e.string_seg, source);
        self.point(state, RDI, 0, target);
        let span = (count.min(64) * size).max(8) as usize;
        let mut bytes = self.content(span);
        if matches!(op, StrOp::Cmps | StrOp::Scas) && self.random.one_in(2) {
            // Long equal runs.
            let fill = state.gpr[RAX].to_le_bytes();
            bytes.chunks_mut(size as usize).for_each(|c| c.copy_from_slice(&fill[..c.len()]));
        }
        self.memory.poke(self.oracle, target, &bytes);
        if op == StrOp::Cmps {
            if !bytes.is_empty() && self.random.one_in(2) {
                let at = self.random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1;
            }
        } else {
            bytes = self.content(span);
        }
        self.memory.poke(self.oracle, source, &bytes);
    }

    /// Bytes of a value of a width that random values have.
    fn content(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 64);
        while out.len() < len {
            out.extend(self.random.vector());
        }
        out.truncate(len);
        out
    }

    fn memory_operand(&mut self, state: &mut State) {
        let e = self.encoding;
        let Some(address) = e.address else { return };
        let Some(spec) = e.row.specs().iter().find(|s| {
            use Loc::{GprOrMem, MaskOrMem, Mem, MmxOrMem, Moffs, VecOrMem, Vsib};
            matches!(s.loc, GprOrMem | Mem | VecOrMem | MaskOrMem | MmxOrMem | Vsib | Moffs)
        }) else {
            return;
        };
        let size = if e.broadcast {
            usize::from(e.row.element)
        } else if has_xsave_area(e) {
            XSAVE_AREA
        } else {
            width(e, spec.width)
        };
        if spec.loc == Loc::Vsib {
            self.vector_index(state, &address, size);
            return;
        }
        let locked = e.lock || e.row.is(attr::LOCKED);
        let align = match size {
            XSAVE_AREA => 64,
            512 => 16,
            _ => size.next_power_of_two(),
        };
        let mut at = self.sites.pick(self.random, size as u64, align as u64);
        if locked && at % 64 + size as u64 > 64 && !self.random.one_in(32) {
            // Split locks are slow.
            at &= !63;
        }
        if address.fixed {
            // A segment base can still move it.
            at = self.sites.base(e.mode, address.seg).wrapping_add(address.disp as u64);
            if e.mode == Mode::Long64 && address.seg >= 4 {
                let base = self.random.below(0x4000).wrapping_sub(0x2000);
                (state.fs_base, state.gs_base) = (base, base);
                at = at.wrapping_add(base);
            }
        } else if e.mode == Mode::Long64 && e.asize == 8 && self.random.one_in(24) {
            at = self.sites.odd(self.random, size as u64);
        }
        let bit_offset = self.bit_offset(state, &address);
        if !address.fixed {
            self.solve(state, &address, at.wrapping_sub(bit_offset));
        }
        let bytes = self.operand(state, size);
        self.memory.poke(self.oracle, at, &bytes);
    }

    /// A bit offset in a register moves BT's operand by this many bytes.
    fn bit_offset(&mut self, state: &mut State, address: &Address) -> u64 {
        let e = self.encoding;
        let bits = matches!(e.row.exec, Exec::Value(IntOp::Bt | IntOp::Bts | IntOp::Btr | IntOp::Btc));
        if !bits || e.row.opcode == 0xba {
            return 0;
        }
        let register = e.reg as usize & 15;
        if address.base != Some(e.reg) && address.index != Some(e.reg) {
            let offset = self.random.below(1 << 17).wrapping_sub(1 << 16) >> self.random.below(17);
            state.gpr[register] = (state.gpr[register] & !low(e.osize) | offset & low(e.osize)) & self.full();
        }
        let units = sign_extend(state.gpr[register], e.osize) >> (e.osize.trailing_zeros() + 3);
        (units * e.osize as i64) as u64
    }

    /// What the operand holds.
    fn operand(&mut self, state: &State, size: usize) -> Vec<u8> {
        let e = self.encoding;
        if let Some(content) = &self.content
            && size <= content.len()
        {
            return content[..size].to_vec();
        }
        match e.row.exec {
            Exec::Value(IntOp::Cmpxchg) if self.random.one_in(2) => state.gpr[RAX].to_le_bytes()[..size].to_vec(),
            Exec::Value(IntOp::CmpxchgPair) if self.random.one_in(2) => {
                let half = size / 2;
                let (low, high) = (state.gpr[RAX].to_le_bytes(), state.gpr[RDX].to_le_bytes());
                [&low[..half], &high[..half]].concat()
            }
            Exec::Value(IntOp::Jmp) | Exec::Seq(SeqOp::Call) if self.random.one_in(2) => {
                (self.sites.code + self.random.below(0x3000)).to_le_bytes()[..size].to_vec()
            }
            Exec::Seq(_) | Exec::Value(_) => {
                let value = self.random.gpr().to_le_bytes();
                if size <= 8 { value[..size].to_vec() } else { self.content(size) }
            }
            Exec::Far(_) => {
                let mut content = self.content(size);
                content[size - 2..].copy_from_slice(&selector(self.random).to_le_bytes());
                content
            }
            Exec::System(SysOp::Ldmxcsr) => {
                let value = if self.random.one_in(8) { self.random.word() as u32 } else { self.mxcsr() };
                value.to_le_bytes().to_vec()
            }
            Exec::System(SysOp::Fxrstor) => self.fx_image(),
            Exec::System(SysOp::Xsave | SysOp::Xrstor) => self.xsave_image(),
            Exec::X87(X87Op::LoadControl) => (self.random.word() as u16 | 0x40).to_le_bytes().to_vec(),
            Exec::X87(X87Op::LoadEnvironment | X87Op::LoadState) if self.random.one_in(2) => self.x87_image(size),
            Exec::X87(_) if size == 10 => self.random.extended().to_vec(),
            _ if compares_strings(e) && self.random.one_in(2) => {
                let mut content = self.content(size);
                few_letters(&mut content, self.random);
                content
            }
            _ => self.content(size),
        }
    }

    /// What FNSTENV or FNSAVE stores, of a random state.
    fn x87_image(&mut self, size: usize) -> Vec<u8> {
        let mut image = self.content(size);
        let x87 = self.x87();
        let width = if self.encoding.osize == 2 { 2 } else { 4 };
        let tags = self.random.word() as u16;
        for (place, word) in image.chunks_mut(width).zip([x87.fcw, x87.fsw, tags]) {
            place[..2].copy_from_slice(&word.to_le_bytes());
        }
        for (place, st) in image[7 * width..].chunks_mut(10).zip(x87.st) {
            place.copy_from_slice(&st[..place.len()]);
        }
        image
    }

    /// An image in either format, or in none: now and then the header has a bit that it must not have.
    fn xsave_image(&mut self) -> Vec<u8> {
        let mut image = self.fx_image();
        image.extend(self.content(XSAVE_AREA - 512));
        let r = &mut *self.random;
        let enabled = Features.xcr0();
        let bv = r.word() & enabled;
        let mut header = [0; 64];
        if r.one_in(2) {
            header[8..16].copy_from_slice(&(bv | r.word() & enabled | 1 << 63).to_le_bytes());
        }
        header[..8].copy_from_slice(&bv.to_le_bytes());
        if r.one_in(4) {
            header[r.below(64) as usize] ^= 1 << r.below(8);
        }
        image[512..576].copy_from_slice(&header);
        image
    }

    fn fx_image(&mut self) -> Vec<u8> {
        let mut image = self.content(512);
        let x87 = self.x87();
        image[0..2].copy_from_slice(&x87.fcw.to_le_bytes());
        image[2..4].copy_from_slice(&x87.fsw.to_le_bytes());
        image[4] = x87.ftw;
        image[6..8].copy_from_slice(&x87.fop.to_le_bytes());
        image[8..16].copy_from_slice(&x87.fip.to_le_bytes());
        image[16..24].copy_from_slice(&x87.fdp.to_le_bytes());
        let mxcsr = if self.random.one_in(8) { self.random.word() as u32 } else { self.mxcsr() };
        image[24..28].copy_from_slice(&mxcsr.to_le_bytes());
        for (i, st) in x87.st.iter().enumerate() {
            image[32 + 16 * i..][..10].copy_from_slice(st);
        }
        image
    }

    /// Makes the effective address reach the linear address `at`.
    fn solve(&mut self, state: &mut State, address: &Address, at: u64) {
        let e = self.encoding;
        let mask = low(e.asize);
        if e.mode == Mode::Long64 && address.seg >= 4 {
            // A base from which the offset has the address size.
            let offset = if e.asize == 8 {
                self.random.word() >> (16 + self.random.below(48))
            } else {
                self.random.below(1 << 31)
            };
            let mut base = at.wrapping_sub(offset);
            if base as i64 >> 47 != 0 && base as i64 >> 47 != -1 {
                base = 0;
            }
            if address.seg == 4 {
                state.fs_base = base;
            } else {
                state.gs_base = base;
            }
        }
        let want = at.wrapping_sub(self.base(state, address.seg)).wrapping_sub(address.disp as u64);
        let stack = matches!(e.row.exec, Exec::Seq(_));
        let full = self.full();
        let put = |state: &mut State, register: u8, value: u64| {
            let slot = &mut state.gpr[register as usize & 15];
            *slot = (*slot & !mask | value & mask) & full;
        };
        match (address.base, address.index) {
            (Some(base), _) if stack && base == 4 => {}
            (Some(base), Some(index)) if base == index => {
                put(state, base, (want & mask) / (1 + (1 << address.scale)));
            }
            (Some(base), Some(index)) => {
                if self.random.one_in(2) {
                    let small = self.random.below(64).wrapping_sub(16);
                    if !(stack && index == 4) {
                        put(state, index, small);
                    }
                }
                put(state, base, want.wrapping_sub(state.gpr[index as usize & 15] << address.scale));
            }
            (Some(base), None) => put(state, base, want),
            (None, Some(index)) => put(state, index, (want & mask) >> address.scale),
            (None, None) => {}
        }
    }

    /// A base, and indices that reach one site each.
    fn vector_index(&mut self, state: &mut State, address: &Address, element: usize) {
        let e = self.encoding;
        let Some(index) = address.index else { return };
        let wide = e.row.opcode & 1 != 0;
        let (near, far) = (self.random.below(0x1000), self.sites.data);
        let anchor = far.wrapping_add(near);
        let scalar = Address { index: None, ..*address };
        self.solve(state, &scalar, anchor);
        // Without a base the indices carry the whole address.
        let from = if address.base.is_some() {
            anchor
        } else {
            self.base(state, address.seg).wrapping_add(address.disp as u64)
        };
        let calm = self.random.one_in(2);
        let vector = &mut state.zmm[index as usize & 31];
        for lane in vector.chunks_exact_mut(if wide { 8 } else { 4 }) {
            let at = if calm {
                far + self.random.below(0x3000)
            } else {
                self.sites.pick(self.random, element as u64, element as u64)
            };
            let distance = (at.wrapping_sub(from) as i64 >> address.scale).to_le_bytes();
            let len = lane.len();
            lane.copy_from_slice(&distance[..len]);
        }
    }
}

/// A null selector, or one beyond every table: what the kernel's own holds is not known here.
fn selector(r: &mut Random) -> u16 {
    if r.one_in(3) { r.below(4) as u16 } else { r.word() as u16 | 0x1000 }
}
