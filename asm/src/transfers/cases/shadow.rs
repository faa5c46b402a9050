//! Control-flow enforcement at transfers. Each case runs at CPL 0 first, to set the registers of CET and CR4.CET, and to come to its
//! shadow stack.

use super::{Case, NT, VM, bytes, far, l0, p0};
use crate::transfers::Kind;
use crate::transfers::stub;
use crate::transfers::world::{DATA, IDT, STACK, TARGET, TASK, TSS, TSS2, WORK, gate, kernel, segment, sel};

const WP: u32 = 1 << 16;
const U_CET: u32 = 0x6a0;
const S_CET: u32 = 0x6a2;
const PL0_SSP: u32 = 0x6a4;
const PL3_SSP: u32 = 0x6a7;
const SSP_TABLE: u32 = 0x6a8;
const SH_STK_EN: u32 = 1;
const ENDBR_EN: u32 = 4;
const LEG_IW_EN: u32 = 8;
const SUPPRESS_DIS: u32 = 32;
const BUSY: u64 = 1;

/// A page of the kernel's shadow stacks, and one of a program's.
const KERNEL: u32 = WORK + 0x7000;
const USER: u32 = DATA;
const SSP3: u32 = USER + 0x800;
/// Where most cases run.
const SSP0: u32 = KERNEL + 0x800;
/// Tokens, each at the end of a block of 32 bytes.
const TOKEN: u32 = KERNEL + 0x418;
const IST_TOKEN: u32 = KERNEL + 0x618;
const TASK_TOKEN: u32 = KERNEL + 0x218;
const SPARE: u32 = KERNEL + 0x118;
/// The interrupt SSP table, and the legacy code page bitmap.
const TABLE: u32 = WORK + 0x2000;
const BITMAP: u32 = WORK + 0x4000;

/// RDSSPD EAX, or RDSSPQ RAX; then INT 0x40.
fn shows(kind: Kind) -> Vec<u8> {
    if kind == Kind::Long {
        vec![0xf3, 0x48, 0x0f, 0x1e, 0xc8, 0xcd, 0x40]
    } else {
        vec![0xf3, 0x0f, 0x1e, 0xc8, 0xcd, 0x40]
    }
}

fn mov_eax(value: u32) -> Vec<u8> {
    [&[0xb8][..], &value.to_le_bytes()].concat()
}

fn wrmsr(register: u32, value: u32) -> Vec<u8> {
    [&[0xb9][..], &register.to_le_bytes(), &mov_eax(value), &[0x31, 0xd2, 0x0f, 0x30]].concat()
}

fn rdmsr(register: u32) -> Vec<u8> {
    [&[0xb9][..], &register.to_le_bytes(), &[0x0f, 0x32]].concat()
}

const SETSSBSY: [u8; 4] = [0xf3, 0x0f, 0x01, 0xe8];
const ENDBR32: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfb];
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// How a case comes to its shadow stack.
#[derive(Clone, Copy)]
enum Start {
    /// SETSSBSY.
    Token,
    /// RSTORSSP and INCSSPD.
    At(u32),
    Nowhere,
}

/// Sets registers, CR4.CET and SSP, then runs `code`.
fn cet(name: &str, kind: Kind, registers: &[(u32, u32)], start: Start, code: &[u8]) -> Case {
    let mut all: Vec<u8> = [(U_CET, 0), (PL3_SSP, SSP3), (PL0_SSP, TOKEN), (PL0_SSP + 1, TOKEN), (SSP_TABLE, TABLE)]
        .iter()
        .chain(registers)
        .flat_map(|&(register, value)| wrmsr(register, value))
        .collect();
    // MOV EAX, CR4; OR EAX, CET; MOV CR4, EAX.
    all.extend([0x0f, 0x20, 0xe0, 0x0d, 0, 0, 0x80, 0, 0x0f, 0x22, 0xe0]);
    let mut token = None;
    match start {
        Start::Token => all.extend(SETSSBSY),
        Start::At(ssp) => {
            let at = (ssp - 8) & !7;
            token = Some((at, (at + 8) | u32::from(kind == Kind::Long)));
            // RSTORSSP writes down the SSP that is left: not that of the case before.
            let last = registers.iter().rev().find(|register| register.0 == PL0_SSP);
            all.extend(wrmsr(PL0_SSP, SPARE));
            all.extend(SETSSBSY);
            all.extend(wrmsr(PL0_SSP, last.map_or(TOKEN, |register| register.1)));
            // MOV EBX, at; RSTORSSP [RBX]; MOV EAX, n; INCSSPD EAX.
            all.push(0xbb);
            all.extend(at.to_le_bytes());
            all.extend([0xf3, 0x0f, 0x01, 0x2b]);
            all.extend(mov_eax((ssp - at) / 4));
            all.extend([0xf3, 0x0f, 0xae, 0xe8]);
        }
        Start::Nowhere => {}
    }
    all.extend(code);
    let named = format!("CET: {name}, {}", if kind == Kind::Long { "64-bit mode" } else { "protected mode" });
    let case = if kind == Kind::Long { l0(&named, &all) } else { p0(&named, &all) };
    let case = case.cr0(WP).page(KERNEL, 0x61).page(USER, 0x65);
    let case = [TOKEN, IST_TOKEN, TASK_TOKEN, SPARE].into_iter().fold(case, |case, at| case.put(at, at.into(), 8));
    let case = case.put(TABLE + 8, IST_TOKEN.into(), 8).bytes(TARGET, &shows(kind));
    match token {
        Some((at, token)) => case.put(at, token.into(), 8),
        None => case,
    }
}

impl Case {
    fn bytes(mut self, at: u32, code: &[u8]) -> Case {
        self.patches.push(bytes(at, code));
        self
    }

    /// SSP, LIP and CS.
    fn frame(self, at: u32, ssp: u64, lip: u64, cs: u64) -> Case {
        self.put(at, ssp, 8).put(at + 8, lip, 8).put(at + 16, cs, 8)
    }
}

const KINDS: [Kind; 2] = [Kind::Protected, Kind::Long];
const STACKS: [(u32, u32); 1] = [(S_CET, SH_STK_EN)];

/// A far CALL or JMP to `selector`, in whatever way the mode has; the pointer lies on the stack.
fn direct(kind: Kind, calls: bool, selector: u16) -> (Vec<u8>, Option<(u32, u16)>) {
    if kind == Kind::Long {
        // MOV EBX, STACK + 0x40; REX.W CALL or JMP far [RBX].
        let modrm = if calls { 0x1b } else { 0x2b };
        let code = [&[0xbb][..], &(STACK + 0x40).to_le_bytes(), &[0x48, 0xff, modrm]].concat();
        return (code, Some((STACK + 0x40, selector)));
    }
    (far(if calls { 0x9a } else { 0xea }, TARGET, selector), None)
}

fn transfer(name: &str, kind: Kind, registers: &[(u32, u32)], start: Start, calls: bool, selector: u16) -> Case {
    let (code, pointer) = direct(kind, calls, selector);
    let case = cet(name, kind, registers, start, &code);
    match pointer {
        Some((at, selector)) => case.put(at, TARGET.into(), 8).put(at + 8, selector.into(), 2),
        None => case,
    }
}

fn calls() -> Vec<Case> {
    let mut all = Vec::new();
    for kind in KINDS {
        let wide = kind == Kind::Long;
        all.push(transfer("CALL", kind, &STACKS, Start::At(SSP0), true, kernel(kind)));
        all.push(transfer("CALL with an SSP of 4 bytes", kind, &STACKS, Start::At(SSP0 + 4), true, kernel(kind)));
        all.push(transfer("CALL through a gate", kind, &STACKS, Start::At(SSP0), true, sel::GATE_DPL0));
        all.push(transfer("CALL at a token", kind, &STACKS, Start::Token, true, kernel(kind)));
        all.push(transfer("JMP", kind, &STACKS, Start::At(SSP0), false, kernel(kind)));
        let case = cet("INT 0x40", kind, &STACKS, Start::At(SSP0), &[0xcd, 0x40]);
        all.push(case);
        all.push(cet("INT 0x40 with an SSP of 4 bytes", kind, &STACKS, Start::At(SSP0 + 4), &[0xcd, 0x40]));
        all.push(cet("UD2", kind, &STACKS, Start::At(SSP0), &[0x0f, 0x0b]));
        // Tracking: what the target begins with, and what the registers say there.
        for (what, code) in [("no ENDBRANCH", &[0x90; 4]), ("ENDBR32", &ENDBR32), ("ENDBR64", &ENDBR64)] {
            for calls in [true, false] {
                let op = if calls { "CALL" } else { "JMP" };
                let target = [&code[..], &rdmsr(S_CET), &[0xcd, 0x40]].concat();
                let name = format!("{op} to {what}");
                let case = transfer(&name, kind, &[(S_CET, ENDBR_EN)], Start::Nowhere, calls, kernel(kind));
                all.push(case.bytes(TARGET, &target));
            }
        }
        for (what, bits, byte) in
            [("legacy code", 0, 0x40), ("legacy code without suppression", SUPPRESS_DIS, 0x40), ("other code", 0, 0xbf)]
        {
            let target = [&rdmsr(S_CET)[..], &[0xcd, 0x40]].concat();
            let enables = ENDBR_EN | LEG_IW_EN | BITMAP | bits;
            let name = format!("JMP to {what}");
            let case = transfer(&name, kind, &[(S_CET, enables)], Start::Nowhere, false, kernel(kind));
            all.push(case.bytes(TARGET, &target).put(BITMAP + (TARGET >> 15), byte, 1));
        }
        // ENDBRANCH ends the suppression.
        let target = [if wide { &ENDBR64 } else { &ENDBR32 }, &rdmsr(S_CET)[..], &[0xcd, 0x40]].concat();
        let enables = ENDBR_EN | 1 << 10;
        all.push(cet("ENDBRANCH while suppressed", kind, &[(S_CET, enables)], Start::Nowhere, &target));
    }
    all
}

/// The wrong frames of a return.
const FRAMES: [(&str, u64, u64, u64); 8] = [
    ("its frame", 0, 0, 0),
    ("another CS", 0, 0, 8),
    ("an upper bit of CS", 0, 0, 1 << 16),
    ("another LIP", 0, 1, 0),
    ("an upper bit of LIP", 0, 1 << 32, 0),
    ("an SSP that is not aligned", 2, 0, 0),
    ("an SSP of 4 bytes", 4, 0, 0),
    ("an SSP above 4 GiB", 1 << 32, 0, 0),
];

fn returns() -> Vec<Case> {
    let mut all = Vec::new();
    for kind in KINDS {
        let (wide, cs) = (kind == Kind::Long, u64::from(kernel(kind)));
        let size = if wide { 8 } else { 4 };
        let next = u64::from(SSP0 + 24);
        for (op, code) in [
            ("RET", if wide { &[0x48, 0xcb][..] } else { &[0xcb] }),
            ("IRET", if wide { &[0x48, 0xcf] } else { &[0xcf] }),
        ] {
            // MOV ESP, STACK.
            let code = [&[0xbc][..], &STACK.to_le_bytes(), code].concat();
            let entries = if op == "RET" {
                vec![TARGET.into(), cs]
            } else {
                vec![TARGET.into(), cs, 2, u64::from(STACK), u64::from(sel::DATA0)]
            };
            // 64-bit mode would go there, where nothing is mapped.
            for (what, ssp, lip, upper) in FRAMES.into_iter().filter(|frame| !wide || frame.1 >> 32 == 0) {
                let name = format!("{op} with {what}");
                let case = cet(&name, kind, &STACKS, Start::At(SSP0), &code).stacked(size, &entries);
                all.push(case.frame(SSP0, next + ssp, u64::from(TARGET) + lip, cs + upper));
            }
            let name = format!("{op} with SSP not aligned");
            let case = cet(&name, kind, &STACKS, Start::At(SSP0 + 4), &code).stacked(size, &entries);
            all.push(case.frame(SSP0, next, TARGET.into(), cs));
            let name = format!("{op} to another stack, below a token");
            let case = cet(&name, kind, &STACKS, Start::At(IST_TOKEN - 24), &code).stacked(size, &entries);
            let case = case.frame(IST_TOKEN - 24, next, TARGET.into(), cs);
            all.push(case.put(IST_TOKEN, u64::from(IST_TOKEN) | BUSY, 8));
        }
        // To CPL 3, and back by INT 0x41.
        let user = if wide { sel::CODE64_3 } else { sel::CODE3 };
        let registers = [(U_CET, SH_STK_EN), (S_CET, SH_STK_EN)];
        let out = |op: &str| match (op, wide) {
            ("RET", true) => &[0x48, 0xcb][..],
            ("RET", false) => &[0xcb],
            (_, true) => &[0x48, 0xcf],
            _ => &[0xcf],
        };
        for op in ["RET", "IRET"] {
            let flags: &[u64] = if op == "IRET" { &[2] } else { &[] };
            let frame =
                [&[u64::from(TARGET), user.into()], flags, &[(STACK - 0x100).into(), sel::DATA3.into()]].concat();
            let code = [&[0xbc][..], &STACK.to_le_bytes(), out(op)].concat();
            for (what, registers) in [("CPL 3", &registers[..]), ("CPL 3 without shadow stacks", &registers[1..])] {
                let name = format!("{op} to {what}");
                all.push(cet(&name, kind, registers, Start::Token, &code).stacked(size, &frame));
            }
            let name = format!("{op} to CPL 3 with SSP not aligned");
            all.push(cet(&name, kind, &registers, Start::At(SSP0 + 4), &code).stacked(size, &frame));
            let name = format!("{op} to CPL 3 without a token");
            all.push(cet(&name, kind, &registers, Start::At(SSP0), &code).stacked(size, &frame));
            // To CPL 1, whose code is of the same mode.
            let frame = [
                &[u64::from(TARGET), (sel::CODE1 | 1).into()],
                flags,
                &[(STACK - 0x100).into(), (sel::DATA1 | 1).into()],
            ]
            .concat();
            for (what, lip) in [("its frame", 0), ("another LIP", 1)] {
                let name = format!("{op} to CPL 1 with {what}");
                let case = cet(&name, kind, &registers, Start::At(TOKEN - 24), &code).stacked(size, &frame);
                let case = case.frame(TOKEN - 24, SSP0.into(), u64::from(TARGET) + lip, (sel::CODE1 | 1).into());
                all.push(case.put(TOKEN, u64::from(TOKEN) | BUSY, 8));
            }
        }
        // A program that calls its kernel through a gate, and by system calls.
        let frame = [u64::from(TASK), user.into(), 2, (STACK - 0x100).into(), sel::DATA3.into()];
        let code = [&[0xbc][..], &STACK.to_le_bytes(), out("IRET")].concat();
        let (call, pointer) = direct(kind, true, sel::GATE);
        let mut case =
            cet("CALL through a gate from CPL 3", kind, &registers, Start::Token, &code).stacked(size, &frame);
        if let Some((at, selector)) = pointer {
            case = case.put(at, TARGET.into(), 8).put(at + 8, selector.into(), 2);
        }
        all.push(case.bytes(TASK, &call));
        let enter: &[&[u8]] = if wide { &[&[0x0f, 0x05], &[0x0f, 0x34]] } else { &[&[0x0f, 0x34]] };
        for code3 in enter {
            let op = if code3[1] == 5 { "SYSCALL" } else { "SYSENTER" };
            let show: &[u8] = if wide { &[0xf3, 0x48, 0x0f, 0x1e, 0xc8] } else { &[0xf3, 0x0f, 0x1e, 0xc8] };
            // MOV ESP, STACK; RDSSP; MOV EBX, EAX; RDMSR of IA32_PL3_SSP; SETSSBSY; INT 0x40.
            let target =
                [&[0xbc][..], &STACK.to_le_bytes(), show, &[0x89, 0xc3], &rdmsr(PL3_SSP), &SETSSBSY, &[0xcd, 0x40]]
                    .concat();
            let case = cet(&format!("{op} from CPL 3"), kind, &registers, Start::Token, &code).stacked(size, &frame);
            all.push(case.bytes(TASK, code3).bytes(TARGET, &target));
            let tracked = [(U_CET, ENDBR_EN), (S_CET, ENDBR_EN)];
            let case =
                cet(&format!("{op} to no ENDBRANCH"), kind, &tracked, Start::Nowhere, &code).stacked(size, &frame);
            all.push(case.bytes(TASK, code3).bytes(TARGET, &[0x90, 0xcd, 0x40]));
        }
        // MOV ECX, STACK; MOV EDX, TARGET; SYSEXIT.
        let code = [&[0xb9][..], &STACK.to_le_bytes(), &[0xba], &TARGET.to_le_bytes(), &[0x0f, 0x35]].concat();
        let case = cet("SYSEXIT", kind, &registers, Start::Nowhere, &code);
        all.push(case.bytes(TARGET, &[0xf3, 0x0f, 0x1e, 0xc8, 0xcd, 0x41]));
        if wide {
            let code = [&[0xb9][..], &TARGET.to_le_bytes(), &[0x41, 0xbb, 2, 0, 0, 0, 0x48, 0x0f, 0x07]].concat();
            all.push(cet("SYSRET", kind, &registers, Start::Nowhere, &code));
        } else {
            for (what, enables) in [("nothing", 0), ("shadow stacks", SH_STK_EN), ("tracking", ENDBR_EN)] {
                let name = format!("IRET to virtual-8086 mode with {what} for programs");
                let code = [&[0xbc][..], &STACK.to_le_bytes(), &[0xcf]].concat();
                let case = cet(&name, kind, &[(U_CET, enables), (S_CET, SH_STK_EN)], Start::Token, &code);
                let entries = [0x900, 0x2600, u64::from(VM) | 2, 0x2800, 0x2000, 0x2000, 0x2000, 0x2000, 0x2000];
                all.push(case.stacked(4, &entries));
            }
        }
    }
    all
}

fn tables() -> Vec<Case> {
    let mut all = Vec::new();
    let int = &[0xcd, 0x30];
    let kind = Kind::Long;
    all.push(cet("an entry of the SSP table", kind, &STACKS, Start::At(SSP0), int));
    for (what, at, token) in [
        ("is not aligned", IST_TOKEN + 4, 0),
        ("is not in 32 bytes with its frame", IST_TOKEN + 8, IST_TOKEN + 8),
        ("is no shadow stack", WORK + 0x2018, 0),
        ("has a busy token", IST_TOKEN, IST_TOKEN | 1),
        ("has another's token", IST_TOKEN, TOKEN),
    ] {
        let case = cet(&format!("an entry of the SSP table that {what}"), kind, &STACKS, Start::At(SSP0), int);
        let case = case.put(TABLE + 8, at.into(), 8);
        all.push(if token != 0 { case.put(at & !7, token.into(), 8) } else { case });
    }
    // From CPL 3 what is wrong with IA32_PL0_SSP comes to a handler of the table's.
    let registers = [(U_CET, SH_STK_EN), (S_CET, SH_STK_EN)];
    let frame = [u64::from(TASK), sel::CODE64_3.into(), 2, (STACK - 0x100).into(), sel::DATA3.into()];
    let code = |ssp: u32| {
        let set = wrmsr(PL0_SSP, ssp);
        [&set[..], &[0xbc], &STACK.to_le_bytes(), &[0x48, 0xcf]].concat()
    };
    for (what, ssp, token) in [
        ("is not aligned", TOKEN + 4, TOKEN),
        ("is not in 32 bytes with its frame", SSP0, SSP0),
        ("has no token", SSP0 + 0x18, 0),
        ("is no shadow stack", WORK + 0x2018, 0),
        ("is good", TOKEN, TOKEN),
    ] {
        let name = format!("INT 0x40 from CPL 3 where IA32_PL0_SSP {what}");
        let case = cet(&name, kind, &registers, Start::Token, &code(ssp)).stacked(8, &frame).bytes(TASK, &[0xcd, 0x40]);
        let at = |vector: u8| (IDT + u32::from(vector) * 16, gate(sel::CODE64, stub(kind, vector), 1, 0x8e));
        let ((gp, to), (pf, fault)) = (at(13), at(14));
        let case = case.put(gp, to, 8).put(pf, fault, 8);
        all.push(if ssp != TOKEN && token != 0 { case.put(ssp & !7, token.into(), 8) } else { case });
    }
    all
}

fn tasks() -> Vec<Case> {
    let kind = Kind::Protected;
    let mut all = Vec::new();
    let show = shows(kind);
    let new = |case: Case| {
        case.descriptor(sel::TSS2, segment(TSS2, 0x6b, 0xe9)).put(TSS2 + 0x68, TASK_TOKEN.into(), 4).bytes(TASK, &show)
    };
    for (op, code) in
        [("JMP", far(0xea, 0, sel::TSS2)), ("CALL", far(0x9a, 0, sel::TSS2)), ("INT 0x36", vec![0xcd, 0x36])]
    {
        let start = Start::At(SSP0);
        all.push(new(cet(&format!("{op} to a task"), kind, &STACKS, start, &code)));
        let case = new(cet(&format!("{op} to a task without an SSP"), kind, &STACKS, start, &code));
        all.push(case.descriptor(sel::TSS2, segment(TSS2, 0x6a, 0xe9)));
        let case = new(cet(
            &format!("{op} to a task without shadow stacks at all"),
            kind,
            &[(S_CET, 0)],
            Start::Nowhere,
            &code,
        ));
        all.push(case);
        let case =
            new(cet(&format!("{op} to a task with tracking"), kind, &[(S_CET, ENDBR_EN)], Start::Nowhere, &code));
        all.push(case.bytes(TASK, &[&rdmsr(S_CET)[..], &[0xcd, 0x40]].concat()));
        let case = new(cet(&format!("{op} to a task whose SSP is not aligned"), kind, &STACKS, start, &code));
        all.push(case.put(TSS2 + 0x68, (TASK_TOKEN + 4).into(), 4));
        let case = new(cet(&format!("{op} to a task whose token is busy"), kind, &STACKS, start, &code));
        all.push(case.put(TASK_TOKEN, u64::from(TASK_TOKEN) | BUSY, 8));
    }
    // PUSHFD; OR [ESP], NT; POPFD; IRET.
    let iret = [&[0x9c, 0x81, 0x0c, 0x24][..], &NT.to_le_bytes(), &[0x9d, 0xcf]].concat();
    for (what, ssp, lip, cs, off) in [
        ("its frame", 0, 0, 0, 0),
        ("another LIP", 0, 1, 0, 0),
        ("another CS", 0, 0, 8, 0),
        ("an SSP that is not aligned", 1, 0, 0, 0),
        ("SSP not aligned", 0, 0, 0, 4),
    ] {
        let name = format!("IRET to a task with {what}");
        let case = new(cet(&name, kind, &STACKS, Start::At(TOKEN - 24 + off), &iret));
        let case = case.descriptor(sel::TSS2, segment(TSS2, 0x6b, 0xeb)).put(TSS, sel::TSS2.into(), 2);
        let case = case.frame(TOKEN - 24, u64::from(SSP0) + ssp, u64::from(TASK) + lip, u64::from(sel::CODE0) + cs);
        all.push(case.put(TOKEN, u64::from(TOKEN) | BUSY, 8));
    }
    all
}

/// Near branches, and the instructions on shadow stacks.
fn near() -> Vec<Case> {
    const WR_SHSTK_EN: u32 = 2;
    const NO_TRACK_EN: u32 = 16;
    const SAVEPREVSSP: [u8; 4] = [0xf3, 0x0f, 0x01, 0xea];
    /// Where another stack has its token.
    const OTHER: u32 = KERNEL + 0x300;
    let mov_ebx = |value: u32| [&[0xbb][..], &value.to_le_bytes()].concat();
    let restore = [&mov_ebx(OTHER)[..], &[0xf3, 0x0f, 0x01, 0x2b]].concat();
    let mut all = Vec::new();
    for kind in KINDS {
        let wide = u32::from(kind == Kind::Long);
        let at = Start::At(SSP0);
        let jumps = |code: &[u8]| [&mov_eax(TARGET)[..], code].concat();
        all.push(cet("near CALL", kind, &STACKS, at, &jumps(&[0xff, 0xd0])));
        all.push(cet("near CALL and RET", kind, &STACKS, at, &jumps(&[0xff, 0xd0])).bytes(TARGET, &[0xc3]));
        let changed = [0x83, 0x04, 0x24, 1, 0xc3];
        all.push(cet("near RET to another address", kind, &STACKS, at, &jumps(&[0xff, 0xd0])).bytes(TARGET, &changed));
        let next = [&[0xe8, 0, 0, 0, 0][..], &shows(kind)].concat();
        all.push(cet("near CALL of the next instruction", kind, &STACKS, at, &next));
        all.push(cet("near CALL where no shadow stack is", kind, &STACKS, Start::Nowhere, &jumps(&[0xff, 0xd0])));
        for (what, target) in [("no ENDBRANCH", &[0x90; 4]), ("ENDBR32", &ENDBR32), ("ENDBR64", &ENDBR64)] {
            for (op, enables, code) in [
                ("JMP EAX", 0, &[0xff, 0xe0][..]),
                ("CALL EAX", 0, &[0xff, 0xd0]),
                ("DS JMP EAX", 0, &[0x3e, 0xff, 0xe0]),
                ("DS JMP EAX as it may", NO_TRACK_EN, &[0x3e, 0xff, 0xe0]),
                ("JMP EAX while suppressed", 1 << 10, &[0xff, 0xe0]),
            ] {
                let registers = [(S_CET, ENDBR_EN | enables)];
                let case = cet(&format!("{op} to {what}"), kind, &registers, Start::Nowhere, &jumps(code));
                all.push(case.bytes(TARGET, &[&target[..], &rdmsr(S_CET), &[0xcd, 0x40]].concat()));
            }
        }
        for (what, token) in [
            ("its token", OTHER + 8 + wide),
            ("a token of 4 bytes", OTHER + 12 + wide),
            ("no token", 0),
            ("a token of the other mode", OTHER + 8 + (1 - wide)),
            ("a token of a stack that was left", OTHER + 8 + wide + 2),
            ("another's token", OTHER + 16 + wide),
        ] {
            for (from, ssp) in [("", SSP0), (", from an SSP of 4 bytes", SSP0 + 4)] {
                let code = [&restore[..], &shows(kind)].concat();
                let case = cet(&format!("RSTORSSP of {what}{from}"), kind, &STACKS, Start::At(ssp), &code);
                all.push(case.put(OTHER, token.into(), 8));
                let code = [&restore[..], &SAVEPREVSSP, &shows(kind)].concat();
                let case =
                    cet(&format!("RSTORSSP of {what} and SAVEPREVSSP{from}"), kind, &STACKS, Start::At(ssp), &code);
                all.push(case.put(OTHER, token.into(), 8));
            }
        }
        all.push(cet("SAVEPREVSSP without a token", kind, &STACKS, at, &SAVEPREVSSP));
        all.push(cet("SAVEPREVSSP with SSP not aligned", kind, &STACKS, Start::At(SSP0 + 4), &SAVEPREVSSP));
        all.push(cet("SETSSBSY", kind, &STACKS, Start::Token, &shows(kind)));
        all.push(cet("SETSSBSY of a busy token", kind, &STACKS, at, &SETSSBSY).put(TOKEN, u64::from(TOKEN) | BUSY, 8));
        all.push(cet("SETSSBSY of another's token", kind, &STACKS, at, &SETSSBSY).put(TOKEN, IST_TOKEN.into(), 8));
        let registers = [(PL0_SSP, TOKEN + 4), (S_CET, SH_STK_EN)];
        all.push(cet("SETSSBSY with IA32_PL0_SSP not aligned", kind, &registers, at, &SETSSBSY));
        // CLRSSBSY [RBX]; SETC DL; MOV EAX, CR4; AND EAX, ~CET; MOV CR4, EAX.
        let clear = [
            0xf3, 0x0f, 0xae, 0x33, 0x0f, 0x92, 0xc2, 0x0f, 0x20, 0xe0, 0x25, 0xff, 0xff, 0x7f, 0xff, 0x0f, 0x22, 0xe0,
        ];
        for (what, token) in
            [("a busy token", IST_TOKEN + 1), ("a free token", IST_TOKEN), ("another's token", TOKEN + 1)]
        {
            let code = [&mov_ebx(IST_TOKEN)[..], &clear].concat();
            all.push(cet(&format!("CLRSSBSY of {what}"), kind, &STACKS, at, &code).put(IST_TOKEN, token.into(), 8));
        }
        let code = [&mov_ebx(IST_TOKEN + 4)[..], &clear].concat();
        all.push(cet("CLRSSBSY that is not aligned", kind, &STACKS, at, &code));
        for (what, enables, place, code) in [
            ("WRSSD", WR_SHSTK_EN, OTHER, &[0x0f, 0x38, 0xf6, 0x03][..]),
            ("WRSSD that is not enabled", 0, OTHER, &[0x0f, 0x38, 0xf6, 0x03]),
            ("WRSSD that is not aligned", WR_SHSTK_EN, OTHER + 2, &[0x0f, 0x38, 0xf6, 0x03]),
            ("WRSSD to another page", WR_SHSTK_EN, STACK, &[0x0f, 0x38, 0xf6, 0x03]),
            ("WRSSD to a program's shadow stack", WR_SHSTK_EN, SSP3, &[0x0f, 0x38, 0xf6, 0x03]),
            ("WRUSSD", 0, SSP3, &[0x66, 0x0f, 0x38, 0xf5, 0x03]),
            ("WRUSSD to the kernel's shadow stack", 0, OTHER, &[0x66, 0x0f, 0x38, 0xf5, 0x03]),
            ("MOV to a shadow stack", 0, OTHER, &[0x89, 0x03]),
        ] {
            let code = [&mov_ebx(place)[..], code].concat();
            all.push(cet(what, kind, &[(S_CET, SH_STK_EN | enables)], at, &code));
        }
        for (what, count) in [("0", 0), ("1", 1), ("0x103", 0x103)] {
            let code = [&mov_eax(count)[..], &[0xf3, 0x0f, 0xae, 0xe8], &shows(kind)].concat();
            all.push(cet(&format!("INCSSPD {what}"), kind, &STACKS, at, &code));
        }
        let code = [&mov_eax(0xff)[..], &[0xf3, 0x0f, 0xae, 0xe8]].concat();
        all.push(cet("INCSSPD to another page", kind, &STACKS, Start::At(KERNEL + 0xf00), &code));
    }
    all
}

pub(super) fn all() -> Vec<Case> {
    [near(), calls(), returns(), tables(), tasks()].concat()
}
