//! The x87 state, kept as 80-bit values with the stack's administration in software.

/// x87 registers, control and status.
///
/// The control and status words share no aligned four bytes, as which a compiler may load either: such a load would wait for
/// the store of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct X87 {
    /// R0 to R7, *physical*: ST(i) is `regs[(top + i) % 8]`. Ten bytes each, in memory order.
    pub regs: [[u8; 10]; 8],
    /// Last instruction pointer.
    pub fip: u64,
    /// Last operand pointer.
    pub fdp: u64,
    /// Last opcode (11 bits).
    pub fop: u16,
    /// Status word, TOP included.
    pub fsw: u16,
    /// Selector of the last instruction.
    pub fcs: u16,
    /// Control word.
    pub fcw: u16,
    /// Selector of the last operand.
    pub fds: u16,
    /// One bit a physical register: set = not empty (the abridged tag word of FXSAVE).
    pub ftw: u8,
}

impl Default for X87 {
    /// The state that FNINIT leaves, with zero registers.
    fn default() -> Self {
        X87 { regs: [[0; 10]; 8], fcw: 0x37f, fsw: 0, ftw: 0, fop: 0, fip: 0, fdp: 0, fcs: 0, fds: 0 }
    }
}

impl X87 {
    /// The TOP field of the status word.
    pub const fn top(&self) -> usize {
        (self.fsw >> 11 & 7) as usize
    }

    /// Sets TOP.
    pub fn set_top(&mut self, top: usize) {
        self.fsw = self.fsw & !(7 << 11) | ((top & 7) as u16) << 11;
    }

    /// The physical number of ST(i).
    pub const fn physical(&self, i: usize) -> usize {
        (self.top() + i) & 7
    }

    /// ST(i), or `None` when it is empty.
    pub fn st(&self, i: usize) -> Option<[u8; 10]> {
        let p = self.physical(i);
        (self.ftw >> p & 1 != 0).then_some(self.regs[p])
    }

    /// Is an unmasked exception pending (FSW.ES)?
    pub const fn pending(&self) -> bool {
        self.fsw & 0x80 != 0
    }

    /// FNINIT; data registers stay, pointers are cleared.
    pub fn init(&mut self) {
        *self = X87 { regs: self.regs, ..X87::default() };
    }

    /// Recomputes ES and B from the exception flags and the control word's masks.
    pub fn update_summary(&mut self) {
        let unmasked = self.fsw & !self.fcw & 0x3f != 0;
        self.fsw = self.fsw & !0x8080 | if unmasked { 0x8080 } else { 0 };
    }
}
