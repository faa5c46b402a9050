//! Task switches.

use super::{Case, NT, TF, VM, c0, far, l0, p0, p3, v86};
use crate::transfers::Kind;
use crate::transfers::world::{self, CODE, DATA, IDT, STACK, TASK, TSS, TSS_T, TSS2, TSS16, gate, segment, sel};

fn jmp(selector: u16) -> Vec<u8> {
    far(0xea, 0, selector)
}

fn call(selector: u16) -> Vec<u8> {
    far(0x9a, 0, selector)
}

/// Places of a task state of 32 bits.
const EFLAGS: u32 = 0x24;
const ES: u32 = 0x48;
const CS: u32 = 0x4c;
const SS: u32 = 0x50;
const DS: u32 = 0x54;
const LDT: u32 = 0x60;

impl Case {
    /// The second task has CPL 3, so that what it faults with has a stack.
    fn user_task(self) -> Case {
        let data = u64::from(sel::DATA3);
        let case = self.put(TSS2 + CS, sel::CODE3.into(), 4).put(TSS2 + SS, data, 4);
        [0x48, 0x54, 0x58, 0x5c].into_iter().fold(case, |case, at| case.put(TSS2 + at, data, 4))
    }

    /// IRET with NT finds this link.
    fn linked(self, selector: u16) -> Case {
        self.flags(NT).put(TSS, selector.into(), 2)
    }

    /// The TSS of `selector` is busy.
    fn busy(self, selector: u16) -> Case {
        let (base, limit, access) = match selector {
            sel::TSS16 => (TSS16, 0x2b, 0xe3),
            sel::TSS_T => (TSS_T, 0x67, 0xeb),
            _ => (TSS2, 0x67, 0xeb),
        };
        self.descriptor(selector, segment(base, limit, access))
    }

    /// The vector leads to a task.
    fn task_vector(self, vector: u32, selector: u16) -> Case {
        self.put(IDT + vector * 8, gate(selector, 0, 0, 0x85), 8)
    }
}

pub(super) fn all() -> Vec<Case> {
    let mut all = Vec::new();
    let selectors = [
        ("a TSS", sel::TSS2),
        ("a TSS of 16 bits", sel::TSS16),
        ("a TSS with T", sel::TSS_T),
        ("a TSS with DPL 0", sel::TSS_DPL0),
        ("a TSS with DPL 0, RPL 3", sel::TSS_DPL0 | 3),
        ("a TSS that is not present", sel::ABSENT_TSS),
        ("a TSS that is busy", sel::BUSY_TSS),
        ("a TSS that is too small", sel::SMALL_TSS),
        ("a TSS of 16 bits that is too small", sel::SMALL_TSS16),
        ("a task gate", sel::TASK_GATE),
        ("a task gate with DPL 0", sel::TASK_GATE_DPL0),
        ("a task gate with DPL 0, RPL 3", sel::TASK_GATE_DPL0 | 3),
        ("a task gate that is not present", sel::ABSENT_TASK_GATE),
        ("a task gate to null", sel::TASK_GATE_TO_NULL),
        ("a task gate to the LDT", sel::TASK_GATE_TO_LDT),
        ("a task gate beyond the table", sel::TASK_GATE_BEYOND),
        ("a task gate to data", sel::TASK_GATE_TO_DATA),
        ("a task gate to a busy TSS", sel::TASK_GATE_TO_BUSY),
        ("a task gate to a TSS that is not present", sel::TASK_GATE_TO_ABSENT),
    ];
    for (what, selector) in selectors {
        for (op, code) in [("JMP", jmp(selector)), ("CALL", call(selector))] {
            all.push(p0(&format!("{op} at CPL 0: {what}"), &code).flags(NT));
            all.push(p3(&format!("{op} at CPL 3: {what}"), &code));
        }
        all.push(p0(&format!("IRET with NT: {what}"), &[0xcf]).linked(selector));
    }
    for (what, selector) in [("a TSS", sel::TSS2), ("a TSS of 16 bits", sel::TSS16), ("a TSS with T", sel::TSS_T)] {
        all.push(p0(&format!("IRET with NT to a busy one: {what}"), &[0xcf]).linked(selector).busy(selector));
        all.push(p3(&format!("IRET with NT at CPL 3 to a busy one: {what}"), &[0xcf]).linked(selector).busy(selector));
    }
    // What the new task finds.
    let new: [(&str, &[(u32, u16)]); 27] = [
        ("CPL 3", &[]),
        ("an LDT", &[(LDT, sel::LDT)]),
        ("an LDT that is data", &[(LDT, sel::DATA0)]),
        ("an LDT that is not present", &[(LDT, sel::ABSENT_LDT)]),
        ("an LDT beyond the table", &[(LDT, sel::BEYOND)]),
        ("an LDT in the LDT", &[(LDT, sel::LOCAL_DATA3)]),
        ("CS null", &[(CS, 3)]),
        ("CS beyond the table", &[(CS, sel::BEYOND | 3)]),
        ("CS with data", &[(CS, sel::DATA3)]),
        ("CS with DPL 0", &[(CS, sel::CODE0 | 3)]),
        ("CS conforming", &[(CS, sel::CONFORMING | 3)]),
        ("CS not present", &[(CS, sel::ABSENT_CODE | 3)]),
        ("SS null", &[(SS, 3)]),
        ("SS beyond the table", &[(SS, sel::BEYOND | 3)]),
        ("SS with RPL 0", &[(SS, sel::DATA3 & !3)]),
        ("SS with DPL 0", &[(SS, sel::DATA0 | 3)]),
        ("SS with code", &[(SS, sel::CODE3)]),
        ("SS not present", &[(SS, sel::ABSENT_STACK3)]),
        ("DS null", &[(DS, 0)]),
        ("DS beyond the table", &[(DS, sel::BEYOND)]),
        ("DS with DPL 0", &[(DS, sel::DATA0)]),
        ("DS with code that can be executed only", &[(DS, sel::EXECUTE_ONLY)]),
        ("DS with a TSS", &[(DS, sel::TSS)]),
        ("DS with conforming code", &[(DS, sel::CONFORMING)]),
        ("ES not present", &[(ES, sel::ABSENT_STACK3)]),
        ("two bad segments: SS and DS", &[(SS, 3), (DS, sel::BEYOND)]),
        ("two bad segments: the LDT and CS", &[(LDT, sel::DATA0), (CS, sel::BEYOND | 3)]),
    ];
    for (what, places) in new {
        let task = |case: Case| {
            places.iter().fold(case.user_task(), |case, (at, selector)| case.put(TSS2 + at, (*selector).into(), 4))
        };
        all.push(task(p0(&format!("JMP to a task of CPL 3 with {what}"), &jmp(sel::TSS2))));
        if places.len() < 2 {
            all.push(task(p3(&format!("INT through a task gate to a task of CPL 3 with {what}"), &[0xcd, 0x36])));
        }
    }
    let to_v86 = |case: Case| {
        let case = case.put(TSS2 + EFLAGS, u64::from(VM) | 2, 4).put(TSS2 + 0x20, 0, 4).put(TSS2 + CS, 0x2700, 4);
        [ES, SS, DS, 0x58, 0x5c].into_iter().fold(case, |case, at| case.put(TSS2 + at, 0x2000, 4)).put(
            world::WORK + 0x7000,
            0xf4,
            1,
        )
    };
    all.extend([
        p0("INT through a task gate at CPL 0", &[0xcd, 0x36]),
        p3("INT through a task gate at CPL 3", &[0xcd, 0x36]),
        p0("INT through a task gate to a TSS of 16 bits", &[0xcd, 0x3e]),
        p3("INT through a task gate to a TSS that is not present", &[0xcd, 0x3f]),
        p3("INT through a task gate with DPL 0", &[0xcd, 6]).task_vector(6, sel::TSS2),
        p3("INT through a task gate to a TSS that is busy", &[0xcd, 0x36]).busy(sel::TSS2),
        p3("INT through a task gate to null", &[0xcd, 0x36]).put(IDT + 0x36 * 8, gate(0, 0, 0, 0xe5), 8),
        p3("INT through a task gate beyond the table", &[0xcd, 0x36]).put(
            IDT + 0x36 * 8,
            gate(sel::BEYOND, 0, 0, 0xe5),
            8,
        ),
        p3("INT through a task gate to a TSS that is too small", &[0xcd, 0x36]).put(
            IDT + 0x36 * 8,
            gate(sel::SMALL_TSS, 0, 0, 0xe5),
            8,
        ),
        p0("#UD through a task gate", &[0x0f, 0x0b]).task_vector(6, sel::TSS2),
        p3("#GP through a task gate, with its error code", &[0xf4]).task_vector(13, sel::TSS2),
        p3("#GP through a task gate of 16 bits, with its error code", &[0x0f, 0x00, 0xd8]).task_vector(13, sel::TSS16),
        p3("#NP through a task gate, with its error code", &[0xcd, 0x31]).task_vector(11, sel::TSS2),
        p3("#GP through a task gate, without room for its error code", &[0xf4])
            .task_vector(13, sel::TSS2)
            .user_task()
            .put(TSS2 + SS, u64::from(sel::LOW_STACK) | 3, 4)
            .put(TSS2 + 0x38, 0x20, 4)
            .descriptor(sel::LOW_STACK, segment(STACK, 0x0f, 0x40f3)),
        p3("#UD through a task gate to a TSS that is not present", &[0x0f, 0x0b]).task_vector(6, sel::ABSENT_TSS),
        p3("#GP through a task gate to a TSS that is not present, a double fault", &[0xf4])
            .task_vector(13, sel::ABSENT_TSS),
        p3("a double fault through a task gate", &[0xf4])
            .put(IDT + 13 * 8, gate(sel::DATA0, 0, 0, 0x8e), 8)
            .task_vector(8, sel::TSS2),
        p0("a single step through a task gate", &[0x90]).flags(TF).task_vector(1, sel::TSS2),
        p0("TF: JMP to a task", &jmp(sel::TSS2)).flags(TF),
        p0("JMP to a task whose EIP lies beyond the limit", &jmp(sel::TSS2)).put(TSS2 + CS, sel::SMALL_CODE.into(), 4),
        p3("INT to a task whose EIP lies beyond the limit", &[0xcd, 0x36]).put(TSS2 + CS, sel::SMALL_CODE.into(), 4),
        p0("JMP to a task with NT in its flags", &jmp(sel::TSS2)).put(TSS2 + EFLAGS, u64::from(NT) | 2, 4),
        p0("JMP to a task with all its flags", &jmp(sel::TSS2)).put(TSS2 + EFLAGS, 0x25_7ed7, 4),
        to_v86(p0("JMP to a task in virtual-8086 mode", &jmp(sel::TSS2))),
        to_v86(p3("CALL to a task in virtual-8086 mode", &call(sel::TSS2))),
        v86("INT through a task gate in virtual-8086 mode", &[0xcd, 0x36]).flags(super::IOPL),
        v86("an exception through a task gate in virtual-8086 mode", &[0xf4]).task_vector(13, sel::TSS2),
        p0("JMP to a task with tables of its own", &jmp(sel::TSS2))
            .put(TSS2 + 0x1c, 0x4_4000, 4)
            .put(0x4_4000, 0x4_3007, 4),
        p0("JMP to a task clears the local breakpoints", &jmp(sel::TSS2)).breakpoints(0, 0, 0x3ff),
        p0("JMP: the page of the new TSS is not present", &jmp(sel::TSS2))
            .descriptor(sel::TSS2, segment(DATA, 0x67, 0xe9))
            .page(DATA, 0),
        p0("CALL: the page of the new TSS is not writable", &call(sel::TSS2))
            .descriptor(sel::TSS2, segment(DATA, 0x67, 0xe9))
            .page(DATA, 5)
            .cr0(1 << 16),
        p0("JMP: the page of the new TSS is not writable", &jmp(sel::TSS2))
            .patch(world::task32(DATA))
            .descriptor(sel::TSS2, segment(DATA, 0x67, 0xe9))
            .page(DATA, 5)
            .cr0(1 << 16),
        p0("JMP: the old TSS is too small", &jmp(sel::TSS2)).descriptor(sel::TSS, segment(TSS, 0x5e, 0x89)),
        p0("IRET with NT: the link is null", &[0xcf]).linked(0),
        p0("IRET with NT: the link names the LDT", &[0xcf]).linked(0x0c),
        p0("IRET with NT to the task itself", &[0xcf]).linked(sel::TSS),
        p0("IRET with NT: the TSS is not present", &[0xcf])
            .linked(sel::TSS2)
            .descriptor(sel::TSS2, segment(TSS2, 0x67, 0x6b)),
        p0("CALL to a task and IRET back", &call(sel::TSS2)).put(TASK, 0xcf, 1),
        p3("CALL to a task and IRET back at CPL 3", &call(sel::TSS2)).put(TASK, 0xcf, 1),
        p0("CALL to a task of 16 bits and IRET back", &call(sel::TSS16)).put(TASK, 0xcf, 1),
        l0("IRET with NT in 64-bit mode", &[0xcf]).flags(NT),
        c0("IRET with NT in compatibility mode", &[0xcf]).flags(NT),
        l0("INT through a task gate in 64-bit mode", &[0xcd, 0x36]),
        p0("JMP to a task with a breakpoint on its TSS", &jmp(sel::TSS2)).breakpoints(TSS2 + 0x28, 0, 2 | 3 << 16),
        p0("JMP to the code of a task", &far(0xea, TASK, sel::CODE0)).breakpoints(CODE, 0, 0),
    ]);
    debug_assert!(all.iter().all(|case| case.kind != Kind::Real));
    all
}

impl Case {
    fn patch(mut self, patch: crate::transfers::Patch) -> Case {
        self.patches.push(patch);
        self
    }
}
