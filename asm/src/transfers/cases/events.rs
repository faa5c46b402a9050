//! INT n and exceptions through the IDT, IRET, and what goes wrong on the way.

use super::{AC, Case, IF, IOPL, NT, RF, VM, c3, l0, l3, p0, p3, real, v86};
use crate::transfers::world::{self, IDT, IST1, STACK, STACK0, STACK1, TARGET, TSS, gate, segment, sel};
use crate::transfers::{Kind, stub};

fn int(n: u8) -> [u8; 2] {
    [0xcd, n]
}

pub(super) fn interrupts() -> Vec<Case> {
    let mut all = Vec::new();
    let vectors = [
        ("DPL below CPL", 0x20),
        ("entry 1 of the interrupt stack table", 0x30),
        ("the gate is not present", 0x31),
        ("the gate leads to data", 0x32),
        ("the gate leads to less privilege", 0x33),
        ("a call gate", 0x34),
        ("a conforming handler", 0x35),
        ("a trap gate", 0x37),
        ("a gate of 16 bits", 0x38),
        ("the gate leads to null", 0x39),
        ("the gate leads beyond the table", 0x3a),
        ("a handler of CPL 1", 0x3b),
        ("the handler's code is not present", 0x3c),
        ("the handler's code has L and D", 0x3d),
    ];
    for (what, vector) in vectors {
        // A 16-bit gate without a change of stack pushes onto the case's own.
        all.push(p0(&format!("INT at CPL 0: {what}"), &int(vector)).flags(IF | NT));
        all.push(p3(&format!("INT at CPL 3: {what}"), &int(vector)).flags(IF | NT));
        all.push(l0(&format!("INT in 64-bit mode at CPL 0: {what}"), &int(vector)).flags(IF | NT));
        all.push(l3(&format!("INT in 64-bit mode at CPL 3: {what}"), &int(vector)).flags(IF | NT));
    }
    let overflow = [0xb0, 0x7f, 0x04, 0x01, 0xce];
    all.extend([
        p3("INT3", &[0xcc]),
        p3("INTO without OF", &[0xce]),
        p3("INTO with OF", &overflow),
        p0("INT1", &[0xf1]),
        p0("UD2 pushes RF", &[0x0f, 0x0b]),
        p0("INT beyond the IDT's limit", &[0x0f, 0x01, 0x1b, 0xcd, 0xff]).put(
            world::DATA,
            0x27f | u64::from(IDT) << 16,
            6,
        ),
        p3("DIV by zero", &[0xf7, 0xf0]).ax(0),
        p3("BOUND", &[0x62, 0x03]).put(world::DATA, 1, 8),
        p3("#NM", &[0xd9, 0xe8]).cr0(1 << 3),
        p3("#AC", &[0x8b, 0x43, 0x01]).cr0(1 << 18).flags(AC),
        l3("#AC in 64-bit mode", &[0x8b, 0x43, 0x01]).cr0(1 << 18).flags(AC),
        p3("#PF", &[0x8b, 0x03]).page(world::DATA, 0),
        l3("#PF in 64-bit mode", &[0x89, 0x03]).page(world::DATA, 5),
        l3("a read of an address that is not canonical", &[0x48, 0x8b, 0x03]).rbx(1 << 47),
        l3("a push to an address that is not canonical", &[0x50]).on_stack(sel::DATA3, 1 << 47 | 1),
        p3("HLT at CPL 3", &[0xf4]),
        p3("CLI with IOPL below CPL", &[0xfa]),
        p3("CLI with IOPL 3", &[0xfa]).flags(IOPL | IF),
        p3("CLI with CR4.PVI", &[0xfa]).flags(IF | 1 << 19).cr4(2),
        p3("STI with CR4.PVI and a virtual interrupt pending", &[0xfb]).flags(1 << 20).cr4(2),
        p3("POPF at CPL 3 leaves IF and IOPL", &[0x9d]).stacked(4, &[0x3202]),
        p3("OUT that the permission bitmap allows", &[0xe6, 0x80]),
        p3("IN that it forbids", &[0xe4, 0x80]).put(TSS + 0x88 + 0x10, 1, 1),
        p3("IN of a port beyond the bitmap", &[0xec]).rdx(0x3c0),
        p3("OUT with a bitmap that begins beyond the TSS", &[0xe6, 0x80]).put(TSS + 0x66, 0x200, 2),
        p3("RDTSC with CR4.TSD", &[0x0f, 0x31]).cr4(4),
        p3("SGDT with CR4.UMIP", &[0x0f, 0x01, 0x03]).cr4(0x800),
        p3("SMSW with CR4.UMIP", &[0x0f, 0x01, 0xe0]).cr4(0x800),
        p0("MOV CR0 with PG and without PE", &[0x0f, 0x22, 0xc0]).rax(0x8000_0000),
        p0("MOV CR0 with NW and without CD", &[0x0f, 0x22, 0xc0]).rax(0xa000_0011),
        p0("MOV CR4 with a reserved bit", &[0x0f, 0x22, 0xe0]).rax(1 << 15),
        l0("MOV CR4 that clears PAE", &[0x0f, 0x22, 0xe0]).rax(0),
        l0("MOV CR3 with a reserved bit", &[0x0f, 0x22, 0xd8]).rax(1 << 60),
        l0("MOV CR0 that clears PG", &[0x0f, 0x22, 0xc0]).rax(0x31),
        l0("MOV CR8 with a reserved bit", &[0x44, 0x0f, 0x22, 0xc0]).rax(0x10),
        p0("MOV CR1", &[0x0f, 0x22, 0xc8]),
        p0("LMSW does not clear PE", &[0x0f, 0x01, 0xf0]).rax(0),
        p0("CLTS", &[0x0f, 0x06]).cr0(8),
        l0("LGDT with a base that is not canonical", &[0x0f, 0x01, 0x13]).put(world::DATA + 2, 1 << 47, 8),
        l0("WRMSR of FS's base that is not canonical", &[0x0f, 0x30]).msr(0xc000_0100, 0x8000, 0),
        l0("SWAPGS", &[0x0f, 0x01, 0xf8]),
        l3("SWAPGS at CPL 3", &[0x0f, 0x01, 0xf8]),
        p0("WRMSR of EFER.LME while paging is on", &[0x0f, 0x30]).msr(0xc000_0080, 0, 0x100),
        // Virtual-8086 mode.
        v86("INT n in virtual-8086 mode with IOPL 0", &int(0x41)),
        v86("INT n in virtual-8086 mode with IOPL 3", &int(0x41)).flags(IOPL),
        v86("INT3 in virtual-8086 mode with IOPL 0", &[0xcc]),
        v86("INT n with CR4.VME, redirected", &int(0x41)).cr4(1).put(0x104, 0x2000_6800, 4).put(TARGET, 0xf4, 1),
        v86("INT n with CR4.VME and IOPL 3, redirected", &int(0x41))
            .cr4(1)
            .flags(IOPL)
            .put(0x104, 0x2000_6800, 4)
            .put(TARGET, 0xf4, 1),
        v86("INT n with CR4.VME, not redirected, IOPL 0", &int(0x41)).cr4(1).put(TSS + 0x70, 2, 1),
        v86("INT n with CR4.VME, not redirected, IOPL 3", &int(0x41)).cr4(1).flags(IOPL).put(TSS + 0x70, 2, 1),
        v86("INT n to a handler of CPL 1", &int(0x3b)).flags(IOPL),
        v86("PUSHF with IOPL 0", &[0x9c]),
        v86("PUSHF with CR4.VME shows VIF", &[0x9c, 0xf4]).cr4(1).flags(1 << 19),
        v86("CLI with IOPL 0", &[0xfa]),
        v86("CLI with CR4.VME", &[0xfa, 0xf4]).cr4(1).flags(1 << 19),
        v86("STI with CR4.VME and a virtual interrupt pending", &[0xfb]).cr4(1).flags(1 << 20),
        v86("IRET with IOPL 0", &[0xcf]),
        v86("IRET with IOPL 3", &[0xcf]).flags(IOPL).stacked(2, &[0x6800, 0x2000, 0x0ad7]).put(TARGET, 0xf4, 1),
        v86("IRET with CR4.VME sets VIF", &[0xcf]).cr4(1).stacked(2, &[0x6800, 0x2000, 0x02d7]).put(TARGET, 0xf4, 1),
        v86("IRET with CR4.VME and TF", &[0xcf]).cr4(1).stacked(2, &[0x6800, 0x2000, 0x0302]),
        v86("IRET with CR4.VME, IF and a virtual interrupt pending", &[0xcf])
            .cr4(1)
            .flags(1 << 20)
            .stacked(2, &[0x6800, 0x2000, 0x0202]),
        // Real mode.
        real("INT n in real mode", &int(0x42)).flags(IF),
        real("INT beyond IDTR's limit in real mode", &[0x0f, 0x01, 0x1f, 0xcd, 0x42]).put(world::DATA, 0x0107, 2),
        real("IRET in real mode", &[0xcf]).stacked(2, &[0x6800, 0x2000, 0x0ad7]),
        real("IRETD in real mode", &[0x66, 0xcf]).stacked(4, &[0x6800, 0x2000, 0x24_0ad7]),
        real("a word at the end of a segment", &[0xa1, 0xff, 0xff]),
    ]);
    all
}

impl Case {
    pub(super) fn rax(mut self, value: u64) -> Case {
        self.gpr[0] = value;
        self
    }

    pub(super) fn rdx(mut self, value: u64) -> Case {
        self.gpr[2] = value;
        self
    }

    pub(super) fn rbx(mut self, value: u64) -> Case {
        self.gpr[3] = value;
        self
    }

    fn msr(mut self, index: u64, high: u64, low: u64) -> Case {
        (self.gpr[0], self.gpr[1], self.gpr[2]) = (low, index, high);
        self
    }
}

pub(super) fn irets() -> Vec<Case> {
    let mut all = Vec::new();
    let target = u64::from(TARGET);
    let esp = u64::from(STACK) - 0x100;
    let selectors = [
        ("null", 0),
        ("beyond the table", sel::BEYOND),
        ("data", sel::DATA0),
        ("the kernel's code", sel::CODE0),
        ("64-bit code of CPL 0", sel::CODE64),
        ("code of CPL 1", sel::CODE1 | 1),
        ("code of CPL 3", sel::CODE3),
        ("code of CPL 3, RPL 0", sel::CODE3 & !3),
        ("conforming code, RPL 3", sel::CONFORMING | 3),
        ("conforming code of CPL 3, RPL 0", sel::CONFORMING3),
        ("code that is not present", sel::ABSENT_CODE),
        ("code that ends before", sel::SMALL_CODE),
        ("64-bit code of CPL 3", sel::CODE64_3),
        ("code with L and D", sel::BOTH_L_AND_D),
    ];
    for (what, selector) in selectors {
        let ss = match selector & 3 {
            0 => sel::DATA0,
            1 => sel::DATA1 | 1,
            _ => sel::DATA3,
        };
        let frame = [target, selector.into(), 0x0ad7, esp, ss.into()];
        all.push(p0(&format!("IRET at CPL 0: {what}"), &[0xcf]).stacked(4, &frame));
        all.push(p3(&format!("IRET at CPL 3: {what}"), &[0xcf]).stacked(4, &frame));
        all.push(l0(&format!("IRETQ at CPL 0: {what}"), &[0x48, 0xcf]).stacked(8, &frame));
        all.push(l3(&format!("IRETQ at CPL 3: {what}"), &[0x48, 0xcf]).stacked(8, &frame));
    }
    let stacks = [
        ("null", 3),
        ("beyond the table", sel::BEYOND | 3),
        ("RPL 0", sel::DATA3 & !3),
        ("DPL 0", sel::DATA0 | 3),
        ("code", sel::CODE3),
        ("not present", sel::ABSENT_STACK3),
    ];
    for (what, ss) in stacks {
        let frame = |code: u16| [target, code.into(), 2, esp, u64::from(ss)];
        all.push(p0(&format!("IRET to CPL 3: SS is {what}"), &[0xcf]).stacked(4, &frame(sel::CODE3)));
        all.push(l0(&format!("IRETQ to CPL 3: SS is {what}"), &[0x48, 0xcf]).stacked(8, &frame(sel::CODE64_3)));
        all.push(
            l0(&format!("IRETQ to compatibility mode: SS is {what}"), &[0x48, 0xcf]).stacked(8, &frame(sel::CODE3)),
        );
    }
    let flags = 0x25_7dd7;
    let to_v86 = [0x6800, 0x2000, u64::from(VM) | 0x3202, 0x2700, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004];
    all.extend([
        l0("IRETQ to CPL 0 with a null SS", &[0x48, 0xcf]).stacked(8, &[target, sel::CODE64.into(), 2, esp, 0]),
        l0("IRETQ to CPL 1 with a null SS", &[0x48, 0xcf]).stacked(8, &[target, u64::from(sel::CODE1) | 1, 2, esp, 1]),
        l0("IRETQ with NT", &[0x48, 0xcf]).flags(NT).stacked(8, &[target, sel::CODE64.into(), 2, esp, 0]),
        l0("IRETQ to an address that is not canonical", &[0x48, 0xcf])
            .stacked(8, &[1 << 47, sel::CODE64.into(), 2, esp, 0]),
        l0("IRETQ to CPL 3 and an address that is not canonical", &[0x48, 0xcf])
            .stacked(8, &[1 << 47, sel::CODE64_3.into(), 2, esp, sel::DATA3.into()]),
        l3("IRETQ that loads an RSP that is not canonical", &[0x48, 0xcf])
            .stacked(8, &[target, sel::CODE64_3.into(), 2, 1 << 47, sel::DATA3.into()]),
        l0("IRETD in 64-bit mode", &[0xcf]).stacked(4, &[target, sel::CODE64.into(), 2, esp, sel::DATA0.into()]),
        l0("IRET of 16 bits in 64-bit mode", &[0x66, 0xcf])
            .stacked(2, &[0x6800, sel::CODE64.into(), 2, 0x2700, sel::DATA0.into()]),
        l0("IRETQ that sets flags", &[0x48, 0xcf])
            .stacked(8, &[target, sel::CODE64.into(), flags, esp, sel::DATA0.into()]),
        l3("IRETQ at CPL 3 that would set flags", &[0x48, 0xcf])
            .stacked(8, &[target, sel::CODE64_3.into(), flags, esp, sel::DATA3.into()]),
        p0("IRET that sets flags", &[0xcf])
            .stacked(4, &[target, sel::CODE3.into(), flags & !0x100, esp, sel::DATA3.into()]),
        p3("IRET at CPL 3 that would set flags", &[0xcf]).stacked(4, &[target, sel::CODE3.into(), flags & !0x100]),
        p3("IRET at CPL 3 with IOPL 3", &[0xcf]).flags(IOPL).stacked(4, &[target, sel::CODE3.into(), flags & !0x100]),
        p0("IRET of 16 bits", &[0x66, 0xcf]).stacked(2, &[0x6800, sel::CODE16.into(), 0x0ad7]),
        p0("IRET with RF to UD2", &[0xcf])
            .stacked(4, &[target, sel::CODE0.into(), u64::from(RF) | 2])
            .put(TARGET, 0x0b0f, 2),
        p0("IRET to CPL 3: data segments out of reach become null", &[0xcf])
            .stacked(4, &[target, sel::CODE3.into(), 2, esp, sel::DATA3.into()])
            .segments([sel::DATA3, sel::DATA0, sel::CODE0, sel::CONFORMING]),
        p3("IRET: the stack's page is not present", &[0xcf])
            .on_stack(sel::DATA3, u64::from(world::DATA))
            .page(world::DATA, 0),
        p0("IRET to virtual-8086 mode", &[0xcf]).stacked(4, &to_v86).put(TARGET, 0xf4, 1),
        p0("IRET to virtual-8086 mode beyond 64 KiB", &[0xcf]).stacked(4, &[&[0x1_0000], &to_v86[1..]].concat()),
        p3("IRET at CPL 3 with VM in the frame", &[0xcf]).stacked(4, &[target, sel::CODE3.into(), u64::from(VM) | 2]),
        c3("IRETD in compatibility mode with VM in the frame", &[0xcf])
            .stacked(4, &[target, sel::CODE3.into(), u64::from(VM) | 2]),
        p0("IRET to a stack of 16 bits", &[0xcf])
            .stacked(4, &[target, sel::CODE3.into(), 2, 0xabcd_2700, u64::from(sel::LOW_STACK) | 3])
            .descriptor(sel::LOW_STACK, segment(world::WORK, 0xffff, 0xf3)),
    ]);
    all
}

impl Case {
    fn segments(mut self, data: [u16; 4]) -> Case {
        self.data = data;
        self
    }
}

pub(super) fn deliveries() -> Vec<Case> {
    let to_1 = int(0x3b);
    let int = int(0x40);
    let ud = [0x0f, 0x0b];
    let vector = |n: u32| IDT + n * 8;
    // A table whose vectors from 15 on lie on the page of the data.
    let short = world::DATA - 15 * 8;
    vec![
        p3("INT to CPL 1", &to_1),
        p3("INT to CPL 1: SS1 is null", &to_1).put(TSS + 16, 0, 4),
        p3("INT to CPL 1: SS1 beyond the table", &to_1).put(TSS + 16, u64::from(sel::BEYOND) | 1, 4),
        p3("INT to CPL 1: SS1 has RPL 3", &to_1).put(TSS + 16, u64::from(sel::DATA1) | 3, 4),
        p3("INT to CPL 1: SS1 has DPL 3", &to_1).put(TSS + 16, u64::from(sel::DATA3) & !3 | 1, 4),
        p3("INT to CPL 1: SS1 is not writable", &to_1).descriptor(sel::DATA1, segment(0, 0xf_ffff, 0xc0b1)),
        p3("INT to CPL 1: SS1 is not present", &to_1).descriptor(sel::DATA1, segment(0, 0xf_ffff, 0xc033)),
        p3("INT to CPL 1: no room on the new stack", &to_1)
            .put(TSS + 12, 8, 4)
            .descriptor(sel::DATA1, segment(world::WORK + 0x4800, 0x0f, 0x40b3)),
        p3("INT to CPL 1: the TSS ends before SS1", &to_1).descriptor(sel::TSS, segment(TSS, 0x10, 0x89)),
        p3("INT to CPL 1: the new stack's page is not present", &to_1).page(STACK1 - 8, 0),
        p3("#UD at CPL 3: the handler of CPL 1 has no SS1", &ud).put(TSS + 16, 0, 4).put(
            vector(6),
            gate(sel::CODE1, 0, 0, 0x8e),
            8,
        ),
        p3("#GP at CPL 3: the handler of CPL 1 has no SS1, which is a double fault", &[0xf4]).put(TSS + 16, 0, 4).put(
            vector(13),
            gate(sel::CODE1, 0, 0, 0x8e),
            8,
        ),
        p0("#UD: its gate is not present", &ud).put(vector(6), gate(sel::CODE0, 0, 0, 0x0e), 8),
        p0("#UD: its gate leads to data", &ud).put(vector(6), gate(sel::DATA0, 0, 0, 0x8e), 8),
        p0("#NP of INT's gate, whose gate leads to data: a double fault", &[0xcd, 0x31]).put(
            vector(11),
            gate(sel::DATA0, 0, 0, 0x8e),
            8,
        ),
        p0("#PF, then #NP of its gate: a double fault", &[0x8b, 0x03]).page(world::DATA, 0).put(
            vector(14),
            gate(sel::CODE0, 0, 0, 0x0e),
            8,
        ),
        p0("#DE, then #GP of its gate: a double fault", &[0xf7, 0xf0]).ax(0).put(
            vector(0),
            gate(sel::DATA0, 0, 0, 0x8e),
            8,
        ),
        p3("#DE, then #PF of its handler's stack is no double fault", &[0xf7, 0xf0]).ax(0).page(STACK1 - 8, 0).put(
            vector(0),
            gate(sel::CODE1, 0, 0, 0x8e),
            8,
        ),
        p0("INT: the page of its gate is not present", &[0x0f, 0x01, 0x1b, 0xcd, 0x40])
            .rbx(u64::from(world::TRAPS) + 0x100)
            .put(world::TRAPS + 0x100, 0x27f | u64::from(short) << 16, 6)
            .put(short + 14 * 8, gate(sel::CODE0, stub(Kind::Protected, 14), 0, 0x8e), 8)
            .page(world::DATA, 0),
        l3("INT to CPL 1 in 64-bit mode", &to_1),
        l3("INT to CPL 1: RSP1 is not canonical", &to_1).put(TSS + 12, 1 << 47, 8),
        l3("INT to CPL 1: the TSS ends before RSP1", &to_1).descriptor(sel::TSS, segment(TSS, 0x12, 0x89)),
        l3("INT: RSP0 is not canonical", &int).put(TSS + 4, 1 << 47, 8).ist(12),
        l3("INT: IST 1 is not canonical", &[0xcd, 0x30]).put(TSS + 0x24, 1 << 47, 8),
        l3("INT: the TSS ends before IST 1", &[0xcd, 0x30]).descriptor(sel::TSS, segment(TSS, 0x2a, 0x89)),
        l3("INT: the new stack's page is not present", &int).page(STACK0 - 8, 0).ist(14),
        l3("INT: the new stack's page is not writable", &int).page(STACK0 - 8, 5).cr0(1 << 16).ist(14),
        l3("INT: RSP0 is not aligned", &int).put(TSS + 4, u64::from(STACK0) - 5, 8),
        l0("INT: RSP is not aligned", &int).on_stack(sel::DATA0, u64::from(STACK) - 0x103),
        l0("#UD: its gate is not present, which is #NP", &ud).put(IDT + 6 * 16, gate(sel::CODE64, 0, 0, 0x0e), 8),
        l0("#PF, then #NP of its gate: a double fault in 64-bit mode", &[0x8b, 0x03]).page(world::DATA, 0).put(
            IDT + 14 * 16,
            gate(sel::CODE64, 0, 0, 0x0e),
            8,
        ),
        l3("#PF at CPL 3 on IST 1", &[0x8b, 0x03]).page(world::DATA, 0).ist(14),
        l0("a handler whose address is not canonical", &ud).put(IDT + 6 * 16 + 8, 0xffff, 4),
        l3("a handler whose address is not canonical, from CPL 3", &ud).put(IDT + 6 * 16 + 8, 0xffff, 4),
        l0("IST 1 from CPL 0", &[0xcd, 0x30]).on_stack(sel::DATA0, u64::from(IST1)),
    ]
}

impl Case {
    /// The handler of `vector` has entry 1 of the interrupt stack table.
    fn ist(self, vector: u8) -> Case {
        let at = IDT + u32::from(vector) * 16;
        self.put(at, gate(sel::CODE64, stub(Kind::Long, vector), 1, 0x8e), 8)
    }
}
