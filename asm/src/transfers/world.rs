//! What the cases find: descriptor tables, task states, stacks, and code that says where it was reached.

use super::{Kind, Patch, stub};

/// The work area, whose changes are printed.
pub const WORK: u32 = 0x2_0000;
/// Its parts.
pub const GDT: u32 = WORK;
/// The LDT, of 32 entries.
pub const LDT: u32 = WORK + 0x400;
/// The task state that TR has.
pub const TSS: u32 = WORK + 0x600;
/// Another one of 32 bits.
pub const TSS2: u32 = WORK + 0x800;
/// One of 16 bits.
pub const TSS16: u32 = WORK + 0x900;
/// One whose T bit is set.
pub const TSS_T: u32 = WORK + 0xa00;
/// The IDT.
pub const IDT: u32 = WORK + 0x1000;
/// The case's stack ends here.
pub const STACK: u32 = WORK + 0x2800;
/// The task state's stack for CPL 0.
pub const STACK0: u32 = WORK + 0x4000;
/// The same for CPL 1, on another page.
pub const STACK1: u32 = WORK + 0x5000;
/// Entry 1 of the interrupt stack table.
pub const IST1: u32 = WORK + 0x4800;
/// Data of the case. rSI points here.
pub const DATA: u32 = WORK + 0x5000;
/// The case's code.
pub const CODE: u32 = WORK + 0x6000;
/// Where gates and far pointers lead: INT 0x40.
pub const TARGET: u32 = WORK + 0x6800;
/// Where the tasks begin: INT 0x43.
pub const TASK: u32 = WORK + 0x6900;
/// The trap log: the address of its next entry, then entries of EIP, flags, DR6.
pub const TRAPS: u32 = WORK + 0x7000;
/// The page tables' entries for the lowest 2 MiB.
pub const PAGES: u32 = 0x4_3000;
/// CR3.
pub const CR3: u32 = 0x4_0000;

/// Selectors. Code of the kernel is [`kernel`](kernel)'s answer.
#[allow(missing_docs)] // the names say it
pub mod sel {
    pub const CODE0: u16 = 0x08;
    pub const DATA0: u16 = 0x10;
    pub const CODE64: u16 = 0x28;
    pub const CODE3: u16 = 0x33;
    pub const DATA3: u16 = 0x3b;
    pub const CODE64_3: u16 = 0x43;
    pub const CONFORMING: u16 = 0x48;
    pub const TSS: u16 = 0x50;
    pub const LDT: u16 = 0x60;
    pub const ABSENT_CODE: u16 = 0x70;
    pub const READ_ONLY: u16 = 0x78;
    pub const EXECUTE_ONLY: u16 = 0x80;
    pub const ABSENT_DATA: u16 = 0x88;
    pub const BOTH_L_AND_D: u16 = 0x90;
    pub const CONFORMING3: u16 = 0x98;
    pub const SMALL_CODE: u16 = 0xa0;
    pub const CODE1: u16 = 0xa8;
    pub const DATA1: u16 = 0xb0;
    pub const LOW_STACK: u16 = 0xb8;
    pub const EXPAND_DOWN: u16 = 0xc0;
    pub const FRESH_CODE: u16 = 0xc8;
    pub const FRESH_DATA: u16 = 0xd0;
    pub const CODE16: u16 = 0xd8;
    pub const DATA16: u16 = 0xe0;
    pub const ABSENT_STACK3: u16 = 0xeb;
    pub const BUSY_TSS: u16 = 0x110;
    pub const ABSENT_LDT: u16 = 0x120;
    pub const NOT_CANONICAL_LDT: u16 = 0x130;
    pub const GATE: u16 = 0x140;
    pub const GATE_DPL0: u16 = 0x150;
    pub const ABSENT_GATE: u16 = 0x160;
    pub const GATE_TO_NULL: u16 = 0x170;
    pub const GATE_TO_DATA: u16 = 0x180;
    pub const GATE_TO_ABSENT: u16 = 0x190;
    pub const GATE_BEYOND: u16 = 0x1a0;
    pub const TASK_GATE: u16 = 0x1b0;
    pub const GATE16: u16 = 0x1c0;
    pub const GATE_TO_1: u16 = 0x1d0;
    pub const GATE_TO_CONFORMING: u16 = 0x1e0;
    pub const GATE_UPPER: u16 = 0x1f0;
    pub const TSS2: u16 = 0x200;
    pub const TSS16: u16 = 0x210;
    pub const ABSENT_TSS: u16 = 0x220;
    pub const SMALL_TSS: u16 = 0x230;
    pub const TSS_T: u16 = 0x240;
    pub const TSS_DPL0: u16 = 0x250;
    pub const TASK_GATE_DPL0: u16 = 0x260;
    pub const TASK_GATE_TO_NULL: u16 = 0x270;
    pub const TASK_GATE_TO_LDT: u16 = 0x280;
    pub const TASK_GATE_BEYOND: u16 = 0x290;
    pub const TASK_GATE_TO_DATA: u16 = 0x2a0;
    pub const TASK_GATE_TO_BUSY: u16 = 0x2b0;
    pub const TASK_GATE_TO_ABSENT: u16 = 0x2c0;
    pub const ABSENT_TASK_GATE: u16 = 0x2d0;
    pub const SMALL_TSS16: u16 = 0x2e0;
    /// The LDT's second entry: data for CPL 3.
    pub const LOCAL_DATA3: u16 = 0x0f;
    /// Beyond the GDT.
    pub const BEYOND: u16 = 0x408;
}

/// The kernel's code segment: of 32 bits, or in IA-32e mode of 64.
pub fn kernel(kind: Kind) -> u16 {
    if kind == Kind::Long { sel::CODE64 } else { sel::CODE0 }
}

/// A descriptor of a segment: base, limit in its own units, access rights as in bytes 5 and 6.
pub const fn segment(base: u32, limit: u32, access: u16) -> u64 {
    let (base, limit, access) = (base as u64, limit as u64, access as u64);
    limit & 0xffff
        | (base & 0xff_ffff) << 16
        | (access & 0xff) << 40
        | (limit >> 16 & 0xf) << 48
        | (access >> 12 & 0xf) << 52
        | (base >> 24 & 0xff) << 56
}

/// A gate: selector, offset (its low half), count of parameters or stack index, access byte.
pub const fn gate(selector: u16, offset: u32, count: u8, access: u8) -> u64 {
    let (low, high) = ((offset & 0xffff) as u64, (offset >> 16) as u64);
    low | (selector as u64) << 16 | (count as u64) << 32 | (access as u64) << 40 | high << 48
}

/// `value` at `at`.
pub fn word(at: u32, value: u64, size: usize) -> Patch {
    Patch { at, bytes: value.to_le_bytes()[..size].to_vec() }
}

/// A descriptor in the GDT.
pub fn descriptor(selector: u16, value: u64) -> Patch {
    word(GDT + u32::from(selector & !7), value, 8)
}

/// A gate of the IDT.
pub fn vector(kind: Kind, vector: u8, selector: u16, stack: u8, access: u8) -> Patch {
    let size = if kind == Kind::Long { 16 } else { 8 };
    word(IDT + u32::from(vector) * size, gate(selector, stub(kind, vector), stack, access), 8)
}

/// A task state of 32 bits that begins at [`TASK`], at CPL 0, with flat segments.
pub fn task32(at: u32) -> Patch {
    let mut words = [0_u32; 26];
    (words[1], words[2]) = (STACK0, u32::from(sel::DATA0));
    words[7] = CR3;
    (words[8], words[9]) = (TASK, 2);
    for (i, register) in words[10..18].iter_mut().enumerate() {
        *register = 0x1111_1111 * (i as u32 + 1);
    }
    words[14] = WORK + 0x3000;
    let data = u32::from(sel::DATA0);
    words[18..24].copy_from_slice(&[data, u32::from(sel::CODE0), data, data, data, data]);
    words[25] = 0x68 << 16;
    Patch { at, bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect() }
}

/// One of 16 bits that does the same, in the 16-bit code segment.
pub fn task16(at: u32) -> Patch {
    let mut words = [0_u16; 22];
    (words[1], words[2]) = (0x4000, sel::DATA16);
    (words[7], words[8]) = ((TASK - WORK) as u16, 2);
    for (i, register) in words[9..17].iter_mut().enumerate() {
        *register = 0x1111 * (i as u16 + 1);
    }
    words[13] = 0x3000;
    words[17..21].copy_from_slice(&[sel::DATA0, sel::CODE16, sel::DATA16, sel::DATA0]);
    Patch { at, bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect() }
}

/// What all cases of a world have in memory.
pub fn patches(kind: Kind) -> Vec<Patch> {
    let mut all = vec![
        Patch { at: TARGET, bytes: vec![0xcd, 0x40] },
        Patch { at: TASK, bytes: vec![0xcd, 0x43] },
        word(TRAPS, u64::from(TRAPS) + 16, 4),
    ];
    if kind == Kind::Real {
        let table = (0..0x50).flat_map(|n| ((stub(kind, n) & 0xffff) | 0x1000 << 16).to_le_bytes());
        all.push(Patch { at: 0, bytes: table.collect() });
        return all;
    }
    let long = kind == Kind::Long;
    let code = |access: u16| segment(0, 0xf_ffff, if long { access & !0x4000 | 0x2000 } else { access });
    let kernel = kernel(kind);
    let mut table = vec![0_u64; 128];
    let mut put = |selector: u16, value: u64| table[usize::from(selector >> 3)] = value;
    put(sel::CODE0, segment(0, 0xf_ffff, 0xc09b));
    put(sel::DATA0, segment(0, 0xf_ffff, 0xc093));
    put(0x18, segment(super::BASE, 0xffff, 0x9b));
    put(0x20, segment(0, 0xffff, 0x93));
    put(sel::CODE64, segment(0, 0xf_ffff, 0xa09b));
    put(sel::CODE3, segment(0, 0xf_ffff, 0xc0fb));
    put(sel::DATA3, segment(0, 0xf_ffff, 0xc0f3));
    put(sel::CODE64_3, segment(0, 0xf_ffff, 0xa0fb));
    put(sel::CONFORMING, code(0xc09f));
    put(sel::TSS, segment(TSS, 0xff, 0x89));
    put(sel::LDT, segment(LDT, 0xff, 0x82));
    put(sel::ABSENT_CODE, code(0xc01b));
    put(sel::READ_ONLY, segment(0, 0xf_ffff, 0xc091));
    put(sel::EXECUTE_ONLY, code(0xc099));
    put(sel::ABSENT_DATA, segment(0, 0xf_ffff, 0xc013));
    put(sel::BOTH_L_AND_D, segment(0, 0xf_ffff, 0xe09b));
    put(sel::CONFORMING3, code(0xc0ff));
    put(sel::SMALL_CODE, segment(0, 0xfff, 0x409b));
    put(sel::CODE1, code(0xc0bb));
    put(sel::DATA1, segment(0, 0xf_ffff, 0xc0b3));
    put(sel::LOW_STACK, segment(0, 0x0f, 0x4093));
    put(sel::EXPAND_DOWN, segment(0, STACK - 9, 0x4097));
    put(sel::FRESH_CODE, code(0xc09a));
    put(sel::FRESH_DATA, segment(0, 0xf_ffff, 0xc092));
    put(sel::CODE16, segment(WORK, 0xffff, 0x9b));
    put(sel::DATA16, segment(WORK, 0xffff, 0x93));
    put(sel::ABSENT_STACK3, segment(0, 0xf_ffff, 0xc073));
    put(sel::BUSY_TSS, segment(TSS, 0xff, 0x8b));
    put(sel::ABSENT_LDT, segment(LDT, 0xff, 0x02));
    put(sel::NOT_CANONICAL_LDT, segment(0, 0xff, 0x82));
    let call = 0xec;
    put(sel::GATE, gate(kernel, TARGET, if long { 0 } else { 2 }, call));
    put(sel::GATE_DPL0, gate(kernel, TARGET, 0, 0x8c));
    put(sel::ABSENT_GATE, gate(kernel, TARGET, 0, 0x6c));
    put(sel::GATE_TO_NULL, gate(0, TARGET, 0, call));
    put(sel::GATE_TO_DATA, gate(sel::DATA0, TARGET, 0, call));
    put(sel::GATE_TO_ABSENT, gate(sel::ABSENT_CODE, TARGET, 0, call));
    put(sel::GATE_BEYOND, gate(sel::BEYOND, TARGET, 0, call));
    put(sel::TASK_GATE, gate(sel::TSS2, 0, 0, 0xe5));
    put(sel::GATE16, gate(sel::CODE16, TARGET - WORK, 1, 0xe4));
    put(sel::GATE_TO_1, gate(sel::CODE1, TARGET, 0, call));
    put(sel::GATE_TO_CONFORMING, gate(sel::CONFORMING, TARGET, 0, call));
    put(sel::GATE_UPPER, gate(kernel, TARGET, 0, call));
    put(sel::TSS2, segment(TSS2, 0x67, 0xe9));
    put(sel::TSS16, segment(TSS16, 0x2b, 0xe1));
    put(sel::ABSENT_TSS, segment(TSS2, 0x67, 0x69));
    put(sel::SMALL_TSS, segment(TSS2, 0x66, 0xe9));
    put(sel::SMALL_TSS16, segment(TSS16, 0x2a, 0xe1));
    put(sel::TSS_T, segment(TSS_T, 0x67, 0xe9));
    put(sel::TSS_DPL0, segment(TSS2, 0x67, 0x89));
    put(sel::TASK_GATE_DPL0, gate(sel::TSS2, 0, 0, 0x85));
    put(sel::TASK_GATE_TO_NULL, gate(0, 0, 0, 0xe5));
    put(sel::TASK_GATE_TO_LDT, gate(sel::LOCAL_DATA3, 0, 0, 0xe5));
    put(sel::TASK_GATE_BEYOND, gate(sel::BEYOND, 0, 0, 0xe5));
    put(sel::TASK_GATE_TO_DATA, gate(sel::DATA0, 0, 0, 0xe5));
    put(sel::TASK_GATE_TO_BUSY, gate(sel::BUSY_TSS, 0, 0, 0xe5));
    put(sel::TASK_GATE_TO_ABSENT, gate(sel::ABSENT_TSS, 0, 0, 0xe5));
    put(sel::ABSENT_TASK_GATE, gate(sel::TSS2, 0, 0, 0x65));
    if long {
        table[usize::from(sel::NOT_CANONICAL_LDT >> 3) + 1] = 0x8000;
        table[usize::from(sel::GATE_UPPER >> 3) + 1] = 0x0c << 40;
    }
    all.push(Patch { at: GDT, bytes: table.iter().flat_map(|entry| entry.to_le_bytes()).collect() });
    all.push(word(LDT + 8, segment(0, 0xf_ffff, 0xc0f3), 8));
    if long {
        all.extend([(4, STACK0), (12, STACK1), (0x24, IST1)].map(|(at, stack)| word(TSS + at, stack.into(), 8)));
    } else {
        all.extend([word(TSS + 4, STACK0.into(), 4), word(TSS + 8, sel::DATA0.into(), 4)]);
        all.extend([word(TSS + 12, STACK1.into(), 4), word(TSS + 16, u64::from(sel::DATA1) | 1, 4)]);
        all.push(word(TSS + 0x1c, CR3.into(), 4));
        all.extend([task32(TSS2), task16(TSS16), task32(TSS_T)]);
        all.push(word(TSS_T + 0x64, 0x68_0001, 4));
    }
    // The permission bitmap of ports lies behind the redirection bitmap, all ones at its end.
    all.extend([word(TSS + 0x66, 0x88, 2), word(TSS + 0xfe, 0xffff, 2)]);
    // Interrupt gates: for exceptions, and from 0x40 on for everyone.
    all.extend((0..0x50).map(|n| {
        let open = matches!(n, 3 | 4 | 0x40..);
        vector(kind, n, kernel, 0, if open { 0xee } else { 0x8e })
    }));
    let code3 = if long { sel::CODE64_3 } else { sel::CODE3 };
    all.extend([
        vector(kind, 0x30, kernel, 1, 0xee),
        vector(kind, 0x31, kernel, 0, 0x6e),
        vector(kind, 0x32, sel::DATA0, 0, 0xee),
        vector(kind, 0x33, code3, 0, 0xee),
        vector(kind, 0x34, kernel, 0, 0xec),
        vector(kind, 0x35, sel::CONFORMING, 0, 0xee),
        vector(kind, 0x36, sel::TSS2, 0, 0xe5),
        vector(kind, 0x37, kernel, 0, 0xef),
        vector(kind, 0x39, 0, 0, 0xee),
        vector(kind, 0x3a, sel::BEYOND, 0, 0xee),
        vector(kind, 0x3b, sel::CODE1, 0, 0xee),
        vector(kind, 0x3c, sel::ABSENT_CODE, 0, 0xee),
        vector(kind, 0x3d, sel::BOTH_L_AND_D, 0, 0xee),
        vector(kind, 0x3e, sel::TSS16, 0, 0xe5),
        vector(kind, 0x3f, sel::ABSENT_TSS, 0, 0xe5),
    ]);
    all.push(word(IDT + 0x38 * if long { 16 } else { 8 }, gate(sel::CODE16, TARGET - WORK, 0, 0xe6), 8));
    all
}
