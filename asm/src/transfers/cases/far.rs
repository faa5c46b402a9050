//! Segment loads, far JMP, CALL and RET, system calls.

use super::{Case, c0, c3, far, far16, l0, l3, p0, p3, real, v86};
use crate::transfers::world::{self, DATA, LDT, STACK, STACK1, TARGET, TSS, WORK, segment, sel};

/// MOV to a segment register from AX: ES, SS, DS, FS by number.
fn mov(seg: u8) -> [u8; 2] {
    [0x8e, 0xc0 | seg << 3]
}

const SS: u8 = 2;
const DS: u8 = 3;
const FS: u8 = 4;

fn jmp(selector: u16) -> Vec<u8> {
    far(0xea, TARGET, selector)
}

fn call(selector: u16) -> Vec<u8> {
    far(0x9a, TARGET, selector)
}

pub(super) fn segments() -> Vec<Case> {
    let mut all = Vec::new();
    // Every selector of the table into SS, DS and FS, at both ends of privilege.
    let selectors = [
        0,
        3,
        sel::BEYOND,
        sel::DATA0,
        sel::DATA0 | 3,
        sel::DATA3,
        sel::DATA1,
        sel::READ_ONLY,
        sel::EXECUTE_ONLY,
        sel::CODE0,
        sel::CONFORMING,
        sel::CONFORMING | 3,
        sel::FRESH_DATA,
        sel::ABSENT_DATA,
        sel::ABSENT_STACK3,
        sel::TSS,
        sel::LOCAL_DATA3,
        sel::LOCAL_DATA3 | 0xf8,
    ];
    for selector in selectors {
        for (seg, name) in [(SS, "SS"), (DS, "DS")] {
            all.push(p0(&format!("MOV {name}, {selector:#x} at CPL 0"), &mov(seg)).ax(selector));
            all.push(p3(&format!("MOV {name}, {selector:#x} at CPL 3"), &mov(seg)).ax(selector));
        }
    }
    for selector in [0, 1, 3, sel::DATA0, sel::ABSENT_DATA, sel::BEYOND] {
        all.push(l0(&format!("MOV SS, {selector:#x} in 64-bit mode at CPL 0"), &mov(SS)).ax(selector));
        all.push(l3(&format!("MOV SS, {selector:#x} in 64-bit mode at CPL 3"), &mov(SS)).ax(selector));
        all.push(c3(&format!("MOV SS, {selector:#x} in compatibility mode"), &mov(SS)).ax(selector));
        all.push(l3(&format!("MOV FS, {selector:#x} in 64-bit mode"), &mov(FS)).ax(selector));
    }
    let lldt = [0x0f, 0x00, 0xd0];
    let ltr = [0x0f, 0x00, 0xd8];
    for selector in [0, sel::LDT, 0x0c, sel::BEYOND, sel::TSS, sel::ABSENT_LDT, sel::NOT_CANONICAL_LDT, sel::DATA0] {
        all.push(p0(&format!("LLDT {selector:#x}"), &lldt).ax(selector));
        all.push(l0(&format!("LLDT {selector:#x} in 64-bit mode"), &lldt).ax(selector));
    }
    for selector in [0, sel::TSS2, sel::BUSY_TSS, sel::LDT, sel::TSS16, sel::ABSENT_TSS, sel::BEYOND, 0x0c] {
        all.push(p0(&format!("LTR {selector:#x}"), &ltr).ax(selector));
        all.push(l0(&format!("LTR {selector:#x} in 64-bit mode"), &ltr).ax(selector));
    }
    for selector in
        [0, sel::DATA3, sel::CODE0, sel::CONFORMING, sel::TSS, sel::GATE, sel::TASK_GATE, sel::LDT, sel::GATE16]
    {
        // LAR, then LSL, which takes what LAR gave where it gave something; VERR and VERW with ZF in AL and AH.
        let both = [0x0f, 0x02, 0xc8, 0x0f, 0x03, 0xd0];
        let verify = [0x0f, 0x00, 0xe0, 0x0f, 0x94, 0xc1, 0x0f, 0x00, 0xe8, 0x0f, 0x94, 0xc2];
        all.push(p0(&format!("LAR and LSL of {selector:#x}"), &both).ax(selector));
        all.push(l0(&format!("LAR and LSL of {selector:#x} in 64-bit mode"), &both).ax(selector));
        all.push(p3(&format!("VERR and VERW of {selector:#x}"), &verify).ax(selector));
    }
    all.extend([
        p3("LLDT at CPL 3", &lldt).ax(sel::LDT),
        p3("LTR at CPL 3", &ltr).ax(sel::TSS2),
        v86("LLDT in virtual-8086 mode", &lldt),
        p0("POP DS", &[0x1f]).stacked(4, &[u64::from(sel::DATA3)]),
        p0("POP SS, then INT 0x41", &[0x17]).stacked(4, &[u64::from(sel::DATA0)]),
        p0("POP DS: not present", &[0x1f]).stacked(4, &[u64::from(sel::ABSENT_DATA)]),
        p0("LSS ESP, [EBX]", &[0x0f, 0xb2, 0x23]).put(DATA, u64::from(STACK - 0x100), 4).put(DATA + 4, 0x10, 2),
        p0("LSS ESP, [EBX]: null selector", &[0x0f, 0xb2, 0x23]).put(DATA, u64::from(STACK - 0x100), 4),
        p0("LES EAX, [EBX]: not present", &[0xc4, 0x03]).put(DATA + 4, u64::from(sel::ABSENT_DATA), 2),
        p0("LFS EAX, [EBX]", &[0x0f, 0xb4, 0x03]).put(DATA, 0x1234_5678_003b, 6).put(DATA + 4, 0x3b, 2),
        p0("a read beyond an expand-down segment's end", &[0x8e, 0xd8, 0xa1, 0xf4, 0x27, 0x02, 0x00])
            .ax(sel::EXPAND_DOWN),
        p0("a read within an expand-down segment", &[0x8e, 0xd8, 0xa1, 0xf8, 0x27, 0x02, 0x00]).ax(sel::EXPAND_DOWN),
        p0("a write to a segment that can be read only", &[0x8e, 0xd8, 0x89, 0x03]).ax(sel::READ_ONLY),
        p0("a read from code that can be executed only", &[0x2e, 0x8b, 0x03])
            .in_code(sel::EXECUTE_ONLY, world::CODE.into()),
        p3("a read through a null selector", &[0x8e, 0xd8, 0x8b, 0x03]).ax(3),
        p0("ARPL", &[0x63, 0xc8]).ax(0x10),
        real("MOV SS in real mode", &[0x8e, 0xd0]).ax(0x1ff0),
        v86("MOV DS in virtual-8086 mode", &[0x8e, 0xd8, 0xf4]).ax(0x1ff0),
    ]);
    all
}

pub(super) fn transfers() -> Vec<Case> {
    let mut all = Vec::new();
    let selectors = [
        ("null", 3),
        ("beyond the table", sel::BEYOND),
        ("data", sel::DATA0),
        ("an LDT", sel::LDT),
        ("conforming code", sel::CONFORMING),
        ("conforming code, RPL 3", sel::CONFORMING | 3),
        ("conforming code of CPL 3", sel::CONFORMING3),
        ("code of CPL 0, RPL 3", sel::CODE0 | 3),
        ("code of CPL 3", sel::CODE3),
        ("code of CPL 0", sel::CODE0),
        ("code not yet accessed", sel::FRESH_CODE),
        ("code that is not present", sel::ABSENT_CODE),
        ("code that ends before", sel::SMALL_CODE),
        ("code with L and D", sel::BOTH_L_AND_D),
        ("64-bit code", sel::CODE64),
        ("a gate", sel::GATE),
        ("a gate with DPL 0", sel::GATE_DPL0),
        ("a gate with DPL 0, RPL 3", sel::GATE_DPL0 | 3),
        ("a gate that is not present", sel::ABSENT_GATE),
        ("a gate to null", sel::GATE_TO_NULL),
        ("a gate to data", sel::GATE_TO_DATA),
        ("a gate to code that is not present", sel::GATE_TO_ABSENT),
        ("a gate beyond the table", sel::GATE_BEYOND),
        ("a gate of 16 bits", sel::GATE16),
        ("a gate to CPL 1", sel::GATE_TO_1),
        ("a gate to conforming code", sel::GATE_TO_CONFORMING),
        ("a gate whose upper half has a type", sel::GATE_UPPER),
    ];
    for (what, selector) in selectors {
        for (op, code) in [("JMP", jmp(selector)), ("CALL", call(selector))] {
            let parameters = [0x1111_1111, 0x2222_2222];
            all.push(p0(&format!("{op} at CPL 0: {what}"), &code));
            all.push(p3(&format!("{op} at CPL 3: {what}"), &code).stacked(4, &parameters));
            all.push(c0(&format!("{op} in compatibility mode at CPL 0: {what}"), &code));
            all.push(c3(&format!("{op} in compatibility mode at CPL 3: {what}"), &code));
        }
        // CALL [RBX] with a 64-bit offset.
        let indirect = [0x48, 0xff, 0x1b];
        let pointer = |case: Case| case.put(DATA, TARGET.into(), 8).put(DATA + 8, selector.into(), 2);
        all.push(pointer(l0(&format!("CALL in 64-bit mode at CPL 0: {what}"), &indirect)));
        all.push(pointer(l3(&format!("CALL in 64-bit mode at CPL 3: {what}"), &indirect)));
    }
    let gate_call = call(sel::GATE_TO_1);
    all.extend([
        p0("JMP [EBX]", &[0xff, 0x2b]).put(DATA, TARGET.into(), 4).put(DATA + 4, sel::CODE0.into(), 2),
        p0("CALL of 16 bits", &[&[0x66][..], &far16(0x9a, 0x6800, sel::CODE16)].concat()),
        p3("CALL: no room on the stack", &call(sel::CODE3))
            .on_stack(sel::LOW_STACK | 3, 0x4)
            .descriptor(sel::LOW_STACK, segment(STACK, 0x0f, 0x40f3)),
        p3("CALL: the stack is not writable by its page", &call(sel::CODE3)).page(STACK - 0x800, 5),
        l0("JMP to an address that is not canonical", &[0x48, 0xff, 0x2b]).put(DATA, 1 << 47, 8).put(
            DATA + 8,
            sel::CODE64.into(),
            2,
        ),
        l3("JMP to compatibility mode", &[0xff, 0x2b]).put(DATA, TARGET.into(), 4).put(DATA + 4, sel::CODE3.into(), 2),
        l3("CALL through a gate to an address that is not canonical", &[0x48, 0xff, 0x1b])
            .put(DATA + 8, sel::GATE.into(), 2)
            .put(world::GDT + u32::from(sel::GATE) + 8, 0xffff, 8),
        p3("CALL through a gate: the TSS ends before SS1", &gate_call).descriptor(sel::TSS, segment(TSS, 0x10, 0x89)),
        p3("CALL through a gate: SS1 is null", &gate_call).put(TSS + 16, 0, 4),
        p3("CALL through a gate: SS1 beyond the table", &gate_call).put(TSS + 16, u64::from(sel::BEYOND) | 1, 4),
        p3("CALL through a gate: SS1 has RPL 3", &gate_call).put(TSS + 16, u64::from(sel::DATA1) | 3, 4),
        p3("CALL through a gate: SS1 has DPL 3", &gate_call).put(TSS + 16, u64::from(sel::DATA3) & !3 | 1, 4),
        p3("CALL through a gate: SS1 is not writable", &gate_call).descriptor(sel::DATA1, segment(0, 0xf_ffff, 0xc0b1)),
        p3("CALL through a gate: SS1 is code", &gate_call).put(TSS + 16, u64::from(sel::CODE1) | 1, 4),
        p3("CALL through a gate: SS1 is not present", &gate_call).descriptor(sel::DATA1, segment(0, 0xf_ffff, 0xc033)),
        p3("CALL through a gate: no room on the new stack", &gate_call)
            .put(TSS + 12, 8, 4)
            .descriptor(sel::DATA1, segment(WORK + 0x4800, 0x0f, 0x40b3)),
        p3("CALL through a gate: the new stack's page is not present", &gate_call).page(STACK1 - 8, 0),
        l3("CALL through a gate: RSP1 is not canonical", &[0x48, 0xff, 0x1b])
            .put(DATA + 8, sel::GATE_TO_1.into(), 2)
            .put(TSS + 12, 1 << 47, 8),
        l3("CALL through a gate: the TSS ends before RSP1", &[0x48, 0xff, 0x1b])
            .put(DATA + 8, sel::GATE_TO_1.into(), 2)
            .descriptor(sel::TSS, segment(TSS, 0x12, 0x89)),
        p3("JMP through the LDT", &jmp(0x17)).put(LDT + 16, segment(0, 0xf_ffff, 0xc0fa), 8),
        real("JMP in real mode", &far16(0xea, 0x6800, 0x2000)),
        real("CALL in real mode", &far16(0x9a, 0x6800, 0x2000)),
        real("JMP of 32 bits in real mode", &[&[0x66][..], &far(0xea, 0x6800, 0x2000)].concat()),
        real("JMP beyond 64 KiB in real mode", &[&[0x66][..], &far(0xea, 0x1_0000, 0x2000)].concat()),
        v86("CALL in virtual-8086 mode", &far16(0x9a, 0x6800, 0x2000)).put(TARGET, 0xf4, 1),
        l3("SYSCALL", &[0x0f, 0x05]).flags(super::AC),
        l0("SYSRET to 64-bit mode", &[0x48, 0x0f, 0x07]).sysret(),
        l0("SYSRET to compatibility mode", &[0x0f, 0x07]).sysret(),
        l3("SYSRET at CPL 3", &[0x48, 0x0f, 0x07]),
        p3("SYSENTER", &[0x0f, 0x34]),
        p0("SYSEXIT", &[0x0f, 0x35]).sysexit(),
        p3("SYSEXIT at CPL 3", &[0x0f, 0x35]),
        l3("SYSENTER in 64-bit mode", &[0x0f, 0x34]),
        l0("SYSEXIT to 64-bit mode", &[0x48, 0x0f, 0x35]).sysexit(),
        l0("SYSEXIT to compatibility mode", &[0x0f, 0x35]).sysexit(),
        real("SYSENTER in real mode", &[0x0f, 0x34]),
    ]);
    all
}

impl Case {
    fn sysret(mut self) -> Case {
        // RCX is RIP; MOV R11D, 0x3202 stands before.
        self.gpr[1] = TARGET.into();
        let code = self.patches[0].bytes.clone();
        self.patches[0].bytes = [&[0x41, 0xbb, 0x02, 0x32, 0x00, 0x00][..], &code].concat();
        self
    }

    fn sysexit(mut self) -> Case {
        (self.gpr[1], self.gpr[2]) = (u64::from(STACK) - 0x80, TARGET.into());
        self
    }
}

pub(super) fn returns() -> Vec<Case> {
    let mut all = Vec::new();
    let target = u64::from(TARGET);
    let selectors = [
        ("null", 0),
        ("beyond the table", sel::BEYOND),
        ("data", sel::DATA0),
        ("more privilege", sel::CODE0),
        ("code of CPL 1", sel::CODE1 | 1),
        ("code of CPL 3", sel::CODE3),
        ("code of CPL 3, RPL 0", sel::CODE3 & !3),
        ("conforming code", sel::CONFORMING),
        ("conforming code, RPL 3", sel::CONFORMING | 3),
        ("conforming code of CPL 3", sel::CONFORMING3),
        ("code that is not present", sel::ABSENT_CODE),
        ("code that ends before", sel::SMALL_CODE),
        ("64-bit code of CPL 3", sel::CODE64_3),
        ("code with L and D", sel::BOTH_L_AND_D),
    ];
    for (what, selector) in selectors {
        let ss = if selector & 3 == 1 { sel::DATA1 | 1 } else { sel::DATA3 };
        let frame = [target, selector.into(), u64::from(STACK) - 0x100, ss.into()];
        all.push(p0(&format!("RET at CPL 0: {what}"), &[0xcb]).stacked(4, &frame));
        all.push(p3(&format!("RET at CPL 3: {what}"), &[0xcb]).stacked(4, &frame));
        all.push(l0(&format!("RET in 64-bit mode at CPL 0: {what}"), &[0x48, 0xcb]).stacked(8, &frame));
        all.push(l3(&format!("RET in 64-bit mode at CPL 3: {what}"), &[0x48, 0xcb]).stacked(8, &frame));
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
        let frame = |code: u16| [target, code.into(), u64::from(STACK) - 0x100, u64::from(ss)];
        all.push(p0(&format!("RET to CPL 3: SS is {what}"), &[0xcb]).stacked(4, &frame(sel::CODE3)));
        all.push(
            l0(&format!("RET to CPL 3 in 64-bit mode: SS is {what}"), &[0x48, 0xcb]).stacked(8, &frame(sel::CODE64_3)),
        );
    }
    let to_1 = [target, u64::from(sel::CODE1) | 1, u64::from(STACK) - 0x100, 1];
    all.extend([
        l0("RET to CPL 1 in 64-bit mode with a null SS", &[0x48, 0xcb]).stacked(8, &to_1),
        p0("RET n to CPL 3", &[0xca, 0x08, 0x00])
            .stacked(4, &[target, sel::CODE3.into(), 0, 0, u64::from(STACK) - 0x100, sel::DATA3.into()]),
        p0("RET n", &[0xca, 0x08, 0x00]).stacked(4, &[target, sel::CODE0.into()]),
        p0("RET to CPL 3: data segments out of reach become null", &[0xcb])
            .stacked(4, &[target, sel::CODE3.into(), u64::from(STACK) - 0x100, sel::DATA3.into()])
            .data(sel::DATA0, sel::DATA3, sel::CONFORMING, sel::DATA1),
        p0("RET of 16 bits", &[0x66, 0xcb]).stacked(2, &[0x6800, sel::CODE16.into()]),
        l0("RET to an address that is not canonical", &[0x48, 0xcb]).stacked(8, &[1 << 47, sel::CODE64.into()]),
        p3("RET: the stack ends", &[0xcb])
            .on_stack(sel::LOW_STACK | 3, 0x0c)
            .descriptor(sel::LOW_STACK, segment(STACK, 0x0f, 0x40f3)),
        real("RET in real mode", &[0xcb]).stacked(2, &[0x6800, 0x2000]),
        real("RET n in real mode", &[0xca, 0x10, 0x00]).stacked(2, &[0x6800, 0x2000]),
    ]);
    all
}

impl Case {
    fn data(mut self, ds: u16, es: u16, fs: u16, gs: u16) -> Case {
        self.data = [ds, es, fs, gs];
        self
    }
}
