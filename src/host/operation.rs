//! Lockable operations, and what they leave.

/// A lockable operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockedOp {
    /// ADD.
    Add,
    /// OR.
    Or,
    /// ADC.
    Adc,
    /// SBB.
    Sbb,
    /// AND.
    And,
    /// SUB.
    Sub,
    /// XOR.
    Xor,
    /// INC.
    Inc,
    /// DEC.
    Dec,
    /// NOT.
    Not,
    /// NEG.
    Neg,
    /// BTS; the bit number is taken modulo the width.
    Bts,
    /// BTR.
    Btr,
    /// BTC.
    Btc,
    /// XCHG.
    Xchg,
    /// XADD.
    Xadd,
    /// CMPXCHG.
    Cmpxchg,
}

impl LockedOp {
    /// All of them, in their order.
    #[cfg(all(target_arch = "x86_64", not(encore86_portable)))]
    pub(super) const ALL: [LockedOp; 17] = {
        use LockedOp::*;
        [Add, Or, Adc, Sbb, And, Sub, Xor, Inc, Dec, Not, Neg, Bts, Btr, Btc, Xchg, Xadd, Cmpxchg]
    };
}

/// A remote atomic operation (RAO-INT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteOp {
    /// AADD.
    Add,
    /// AAND.
    And,
    /// AOR.
    Or,
    /// AXOR.
    Xor,
}

/// What a locked operation leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked {
    /// XCHG, XADD, CMPXCHG: the old value of memory. Else the source.
    pub old: u64,
    /// The six arithmetic flags after it, in RFLAGS layout.
    pub flags: u64,
}
