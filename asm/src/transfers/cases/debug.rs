//! Single steps, breakpoints, RF, and the shadow of MOV SS.

use super::{Case, IOPL, NT, RF, TF, far, l0, l3, p0, p3, real, v86};
use crate::transfers::world::{self, CODE, DATA, IDT, STACK, STACK0, TARGET, gate, sel};
use crate::transfers::{Kind, stub, trap_log};

/// DR7: breakpoint 0 or 1 on execution, on writes, on ports, on reads and writes, with a length of 1, 2, 8 or 4 bytes by number.
const fn on(n: u32, kind: u32, len: u32) -> u32 {
    1 << (2 * n) | (kind | len << 2) << (16 + 4 * n)
}

const EXECUTION: u32 = 0;
const WRITES: u32 = 1;
const PORTS: u32 = 2;
const ALL: u32 = 3;
const BYTE: u32 = 0;
const DWORD: u32 = 3;
/// CR4.DE.
const DE: u32 = 8;

impl Case {
    /// Traps are noted, and the case goes on.
    fn logged(self) -> Case {
        let kind = self.kind;
        let (code, size) = (world::kernel(kind), if kind == Kind::Long { 16 } else { 8 });
        self.put(IDT + size, gate(code, trap_log(kind), 0, 0x8e), 8)
    }
}

pub(super) fn all() -> Vec<Case> {
    let mov_ss = [0x8e, 0xd0];
    let mov_ss_memory = [0x8e, 0x13];
    let nop = 0x90;
    // MOV SS; NOP; NOP; PUSHF; POPF; REP MOVSB; NOP; PUSH EAX; POP SS; NOP; NOP.
    let long_way: &[u8] = &[0x8e, 0xd0, nop, nop, 0x9c, 0x9d, 0xf3, 0xa4, nop, 0x50, 0x17, nop, nop];
    let long_way64: &[u8] = &[0x8e, 0xd0, nop, nop, 0x9c, 0x9d, 0xf3, 0xa4, nop, 0xff, 0x33, 0x0f, 0xa1, nop];
    let ss = sel::DATA0;
    let watch = |case: Case, kind: u32, len: u32| case.breakpoints(DATA, 0, on(0, kind, len));
    vec![
        p0("TF: NOP", &[nop]).flags(TF),
        p3("TF: NOP at CPL 3", &[nop]).flags(TF),
        l0("TF: NOP in 64-bit mode", &[nop]).flags(TF),
        l3("TF: NOP in 64-bit mode at CPL 3", &[nop]).flags(TF),
        real("TF: NOP in real mode", &[nop]).flags(TF),
        v86("TF: NOP in virtual-8086 mode", &[nop]).flags(TF),
        p0("TF: INT n", &[]).flags(TF),
        p0("TF: UD2", &[0x0f, 0x0b]).flags(TF),
        p0("TF: MOV SS, NOP, NOP", &[&mov_ss[..], &[nop, nop]].concat()).flags(TF).ax(ss),
        p0("TF: MOV SS, INT n", &mov_ss).flags(TF).ax(ss),
        p0("TF: MOV SS, UD2", &[&mov_ss[..], &[0x0f, 0x0b]].concat()).flags(TF).ax(ss),
        p0("TF: MOV DS, NOP", &[0x8e, 0xd8, nop]).flags(TF).ax(ss),
        p0("TF: POPF that clears it", &[0x9d, nop]).flags(TF).stacked(4, &[2]),
        p0("POPF that sets TF", &[0x9d, nop, nop]).stacked(4, &[0x102]),
        p0("IRET that sets TF", &[0xcf]).stacked(4, &[TARGET.into(), sel::CODE0.into(), 0x102]).put(TARGET, 0x9090, 2),
        p0("TF: IRET that clears it", &[0xcf]).flags(TF).stacked(4, &[TARGET.into(), sel::CODE0.into(), 2]),
        p0("TF: far JMP", &far(0xea, TARGET, sel::CODE0)).flags(TF),
        l3("TF: SYSCALL", &[0x0f, 0x05]).flags(TF),
        p3("TF: SYSENTER", &[0x0f, 0x34]).flags(TF),
        p0("TF: REP MOVSB", &[0xf3, 0xa4]).flags(TF),
        p0("TF: a way through many instructions", long_way).flags(TF).ax(ss).count(3).logged(),
        l0("TF: the same in 64-bit mode", long_way64).flags(TF).ax(ss).count(3).logged(),
        v86("TF: INT n in virtual-8086 mode with IOPL 3", &[0xcd, 0x40]).flags(TF | IOPL),
        p0("a breakpoint on an instruction", &[nop, nop]).breakpoints(CODE + 1, 0, on(0, EXECUTION, BYTE)),
        p3("a breakpoint on an instruction at CPL 3", &[nop, nop]).breakpoints(CODE + 1, 0, on(0, EXECUTION, BYTE)),
        l3("a breakpoint on an instruction in 64-bit mode", &[nop, nop]).breakpoints(
            CODE + 1,
            0,
            on(0, EXECUTION, BYTE),
        ),
        real("a breakpoint on an instruction in real mode", &[nop, nop]).breakpoints(
            CODE + 1,
            0,
            on(0, EXECUTION, BYTE),
        ),
        p0("a breakpoint on the first instruction, with RF", &[nop]).flags(RF).breakpoints(
            CODE,
            0,
            on(0, EXECUTION, BYTE),
        ),
        p0("a breakpoint on the second instruction, with RF", &[nop, nop]).flags(RF).breakpoints(
            CODE + 1,
            0,
            on(0, EXECUTION, BYTE),
        ),
        p0("a breakpoint on an instruction in the shadow of MOV SS", &[&mov_ss[..], &[nop, nop]].concat())
            .ax(ss)
            .breakpoints(CODE + 2, 0, on(0, EXECUTION, BYTE)),
        p0("a breakpoint on UD2", &[0x0f, 0x0b]).breakpoints(CODE, 0, on(0, EXECUTION, BYTE)),
        p0("TF, and a breakpoint on the next instruction", &[nop, nop]).flags(TF).breakpoints(
            CODE + 1,
            0,
            on(0, EXECUTION, BYTE),
        ),
        watch(p0("a breakpoint on a write", &[0x89, 0x03, nop]), WRITES, DWORD),
        watch(p3("a breakpoint on a write at CPL 3", &[0x89, 0x03, nop]), WRITES, DWORD),
        watch(l3("a breakpoint on a write in 64-bit mode", &[0x48, 0x89, 0x03, nop]), WRITES, 2),
        watch(p0("a breakpoint on writes, and a read", &[0x8b, 0x03, nop]), WRITES, DWORD),
        watch(p0("a breakpoint on reads and writes, and a read", &[0x8b, 0x03, nop]), ALL, DWORD),
        watch(p0("a breakpoint on a byte that a write covers", &[0x89, 0x43, 0xfd, nop]), WRITES, BYTE),
        watch(p0("a breakpoint on a byte beside a write", &[0x89, 0x43, 0xfc, nop]), WRITES, BYTE),
        watch(p0("a breakpoint on what ADD reads and writes", &[0x01, 0x03, nop]), WRITES, DWORD),
        watch(p0("a breakpoint on reads and writes, and LOCK XADD", &[0xf0, 0x0f, 0xc1, 0x03, nop]), ALL, DWORD),
        watch(p0("TF, and a breakpoint on a write", &[0x89, 0x03, nop]).flags(TF), WRITES, DWORD),
        watch(p0("a breakpoint on a write that faults", &[0x89, 0x03]).page(DATA, 0), WRITES, DWORD),
        p0("a breakpoint that REP STOSB meets", &[0xf3, 0xaa, nop]).count(8).breakpoints(
            DATA + 0x103,
            0,
            on(0, WRITES, BYTE),
        ),
        p0("a breakpoint that PUSH meets", &[0x50, nop]).breakpoints(STACK - 4, 0, on(0, WRITES, DWORD)),
        watch(
            p0("MOV SS from memory with a breakpoint, NOP, NOP", &[&mov_ss_memory[..], &[nop, nop]].concat()),
            ALL,
            BYTE,
        )
        .put(DATA, ss.into(), 2),
        watch(p0("MOV SS from memory with a breakpoint, INT n", &mov_ss_memory), ALL, BYTE).put(DATA, ss.into(), 2),
        watch(p3("MOV SS from memory with a breakpoint, INT n at CPL 3", &mov_ss_memory), ALL, BYTE).put(
            DATA,
            sel::DATA3.into(),
            2,
        ),
        watch(l3("MOV SS from memory with a breakpoint, SYSCALL", &[0x8e, 0x13, 0x0f, 0x05]), ALL, BYTE).put(
            DATA,
            sel::DATA3.into(),
            2,
        ),
        watch(l3("MOV SS from memory with a breakpoint, INT n in 64-bit mode", &mov_ss_memory), ALL, BYTE).put(
            DATA,
            sel::DATA3.into(),
            2,
        ),
        p3("a breakpoint on the stack that INT n pushes to", &[]).breakpoints(STACK0 - 4, 0, on(0, WRITES, DWORD)),
        p0("a breakpoint on a descriptor that is loaded", &[0x8e, 0xd8]).ax(sel::READ_ONLY).breakpoints(
            world::GDT + u32::from(sel::READ_ONLY),
            0,
            on(0, ALL, DWORD),
        ),
        p0("a breakpoint on a port", &[0xe6, 0x80, nop]).cr4(DE).breakpoints(0x80, 0, on(0, PORTS, BYTE)),
        p0("a breakpoint on another port", &[0xe6, 0x81, nop]).cr4(DE).breakpoints(0x80, 0, on(0, PORTS, BYTE)),
        p0("two breakpoints at once", &[0x89, 0x03, nop]).breakpoints(
            DATA,
            DATA + 2,
            on(0, WRITES, DWORD) | on(1, ALL, BYTE),
        ),
        p0("MOV from DR7 with GD", &[0x0f, 0x21, 0xf8]).breakpoints(0, 0, 1 << 13),
        p0("MOV to DR0 with GD", &[0x0f, 0x23, 0xc0]).breakpoints(0, 0, 1 << 13),
        p3("MOV from DR7 with GD at CPL 3", &[0x0f, 0x21, 0xf8]),
        p0("MOV from DR4", &[0x0f, 0x21, 0xe0]),
        p0("MOV from DR4 with CR4.DE", &[0x0f, 0x21, 0xe0]).cr4(DE),
        l0("MOV to DR7 with a reserved bit", &[0x0f, 0x23, 0xf8]).rax(1 << 32),
        p0("MOV to DR6 and back", &[0x0f, 0x23, 0xf0, 0x0f, 0x21, 0xf1]).rax(0),
        p0("MOV to DR7 and back", &[0x0f, 0x23, 0xf8, 0x0f, 0x21, 0xf9]).rax(0xffff_d000),
        p3("INT1 through a gate with DPL 0", &[0xf1]),
        p3("INT 1 through a gate with DPL 0", &[0xcd, 1]),
        p0("NT and TF: INT n", &[]).flags(NT | TF).put(
            IDT + 0x41 * 8,
            gate(sel::CODE0, stub(Kind::Protected, 0x41), 0, 0xef),
            8,
        ),
    ]
}

impl Case {
    fn count(mut self, value: u64) -> Case {
        self.gpr[1] = value;
        self
    }
}
