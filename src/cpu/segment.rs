//! Segment registers with their hidden parts.

/// Segment registers by encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Seg {
    /// ES.
    Es,
    /// CS.
    Cs,
    /// SS.
    Ss,
    /// DS.
    Ds,
    /// FS.
    Fs,
    /// GS.
    Gs,
}

impl Seg {
    /// The six registers in the order of their encoding.
    pub const ALL: [Seg; 6] = [Seg::Es, Seg::Cs, Seg::Ss, Seg::Ds, Seg::Fs, Seg::Gs];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        ["es", "cs", "ss", "ds", "fs", "gs"][self as usize]
    }
}

/// Access rights in the VMX layout (SDM volume 3, table "Format of Access Rights").
pub mod rights {
    #![allow(missing_docs)]
    pub const ACCESSED: u32 = 1 << 0;
    /// Data: writable. Code: readable.
    pub const WRITABLE: u32 = 1 << 1;
    /// Data: expand-down. Code: conforming.
    pub const EXPAND_DOWN: u32 = 1 << 2;
    pub const CODE: u32 = 1 << 3;
    /// Code or data, not a system segment.
    pub const S: u32 = 1 << 4;
    pub const DPL_SHIFT: u32 = 5;
    pub const P: u32 = 1 << 7;
    pub const AVL: u32 = 1 << 12;
    pub const L: u32 = 1 << 13;
    pub const DB: u32 = 1 << 14;
    pub const G: u32 = 1 << 15;
    pub const UNUSABLE: u32 = 1 << 16;
}

/// A segment register: selector and the descriptor it was loaded from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The visible part.
    pub selector: u16,
    /// Access rights in the VMX layout, bits of [`rights`].
    pub attr: u32,
    /// Limit in bytes, inclusive.
    pub limit: u32,
    /// Base, linear.
    pub base: u64,
}

impl Segment {
    /// Descriptor privilege level.
    pub const fn dpl(&self) -> u8 {
        (self.attr >> rights::DPL_SHIFT & 3) as u8
    }

    /// Are all of `bits` of [`rights`] set?
    pub const fn has(&self, bits: u32) -> bool {
        self.attr & bits == bits
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DescriptorTable {
    /// Base, linear.
    pub base: u64,
    /// Limit in bytes, inclusive.
    pub limit: u16,
}
