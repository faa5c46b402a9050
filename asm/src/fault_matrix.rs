//! The guest `fault_matrix`: makes the accesses of a list, and says of each which page fault it raised.
//!
//! It is for a whole virtual machine, such as qemu, that loads multiboot images (`-kernel`); [`image`] builds one from
//! page tables and [`Case`]s. Its answers are bytes at the serial port, one a case: the error code, [`NO_FAULT`],
//! [`WRONG_CR2`], or [`OTHER_EXCEPTION`], which ends it. At the end it writes 0x10 to port 0xf4.

use core::slice;

core::arch::global_asm!(include_str!("../fault_matrix/main.s"), options(raw));

/// Guest-physical address of the first byte of an image.
pub const LOAD: u64 = 0x10_0000;
/// Guest-physical address of what [`image`] appends.
pub const APPENDED: u64 = LOAD + 0x4000;
/// Guest-physical address of the page that the accesses should go to: it holds RET instructions.
pub const TARGET: u64 = LOAD + 0x3000;
/// Linear addresses below this are the supervisor's own, and have to be mapped to themselves, for it alone.
pub const IDENTITY_END: u64 = 0x40_0000;
/// Linear address of the user's code, which has to be mapped to [`USER_CODE`] for it.
pub const USER: u64 = 0x4000_0000;
/// Guest-physical address of the user's code.
pub const USER_CODE: u64 = LOAD + 0x2000;
/// Guest-physical address of the user's stack, which has to be mapped writable to the page behind [`USER`].
pub const USER_STACK: u64 = 0xa000;

/// The access raised no fault.
pub const NO_FAULT: u8 = 0x80;
/// It raised a page fault whose CR2 is not its address.
pub const WRONG_CR2: u8 = 0x81;
/// It raised another exception.
pub const OTHER_EXCEPTION: u8 = 0xee;

/// One access, and the registers that it is made with.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Linear address.
    pub linear: u64,
    /// CR0, with PG and PE.
    pub cr0: u32,
    /// CR4, with PAE. PKRU and IA32_PKRS are loaded if PKE and PKS are set.
    pub cr4: u32,
    /// EFER, with LME and LMA.
    pub efer: u32,
    /// Bits of RFLAGS: AC or none.
    pub flags: u32,
    /// PKRU.
    pub pkru: u32,
    /// IA32_PKRS.
    pub pkrs: u32,
    /// 0 for a read, 1 for a write, 2 for a fetch.
    pub kind: u16,
    /// At CPL 3?
    pub user: bool,
}

impl Case {
    fn bytes(&self) -> [u8; 40] {
        let mut out = [0; 40];
        let words = [self.cr0, self.cr4, self.efer, self.flags, self.pkru];
        out[..8].copy_from_slice(&self.linear.to_le_bytes());
        for (i, word) in words.into_iter().enumerate() {
            out[8 + 4 * i..12 + 4 * i].copy_from_slice(&word.to_le_bytes());
        }
        out[28..30].copy_from_slice(&self.kind.to_le_bytes());
        out[30] = self.user.into();
        out[32..36].copy_from_slice(&self.pkrs.to_le_bytes());
        out
    }
}

unsafe extern "C" {
    #[link_name = "encore86_fault_matrix_start"]
    static START: u8;
    #[link_name = "encore86_fault_matrix_end"]
    static END: u8;
}

/// An image with page tables that begin at [`APPENDED`], the first of them level 4, and these cases.
///
/// # Panics
/// If it would leave the memory that the guest has mapped to itself.
pub fn image(tables: &[u8], cases: &[Case]) -> Vec<u8> {
    let start = &raw const START;
    let end = &raw const END;
    // SAFETY: the two symbols bound one stretch of a read-only section.
    let code = unsafe { slice::from_raw_parts(start, end.offset_from_unsigned(start)) };
    let mut image = code.to_vec();
    assert_eq!(image.len() as u64, APPENDED - LOAD);
    image.extend_from_slice(tables);
    let first = LOAD + image.len() as u64;
    image.extend(cases.iter().flat_map(Case::bytes));
    assert!(LOAD + image.len() as u64 <= IDENTITY_END, "too many cases for the guest's memory");
    for (at, value) in [(0x20, APPENDED as u32), (0x24, cases.len() as u32), (0x28, first as u32)] {
        image[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    image
}
