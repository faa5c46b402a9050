//! Far transfers, IRET and segment loads between segments of the process's own LDT, on the host processor and in the engine.
//!
//! Each case runs in a forked child, from 64-bit or compatibility mode, and ends in a signal, whose frame says where. The engine
//! runs the same bytes over a copy of the memory, with an LDT that has what `modify_ldt` was asked for, and the three descriptors of
//! Linux's GDT that user code is given. Compared are exception, error code, RIP, RSP, flags, all selectors and the stack.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use encore86::cpu::registers::rflags;
use encore86::cpu::segment::{DescriptorTable, Segment};
use encore86::{Access, AccessKind, Bus, Cpu, Engine, Event, Outcome, Platform, Profile, Stop};
use encore86_oracle::Skips;
use std::io::Read;
use std::os::fd::FromRawFd;

/// The case's memory: code, stack, far pointers, in one mapping below 4 GiB.
const AREA: u64 = 0x2000_0000;
const LEN: usize = 0x3000;
const CODE: u64 = AREA;
const TARGET: u64 = AREA + 0x800;
const STACK: u64 = AREA + 0x1800;
const DATA: u64 = AREA + 0x2000;
/// The engine's tables, which the process cannot see.
const GDT: u64 = 0x1000;
const LDT: u64 = 0x2000;

const USER32: u16 = 0x23;
const USER_DATA: u16 = 0x2b;
const USER64: u16 = 0x33;

/// An entry of the LDT as `modify_ldt` takes it: base, limit in bytes, 32 bits?, contents (0 data, 1 expand-down, 2 code, 3 conforming),
/// readable or writable?, present?
struct Entry(u32, u32, bool, u32, bool, bool);

const ENTRIES: [Entry; 9] = [
    Entry(0, u32::MAX, true, 2, true, true),          // 07: code of 32 bits
    Entry(AREA as u32, 0xffff, false, 2, true, true), // 0f: code of 16 bits
    Entry(0, u32::MAX, true, 3, true, false),         // 17: conforming, which Linux takes not present alone
    Entry(0, u32::MAX, true, 2, true, false),         // 1f: not present
    Entry(0, u32::MAX, true, 0, true, true),          // 27: data
    Entry(AREA as u32, 0xffff, false, 0, true, true), // 2f: data of 16 bits
    Entry(0, u32::MAX, true, 0, true, false),         // 37: data, not present
    Entry(0, u32::MAX, true, 0, false, true),         // 3f: data that can be read only
    Entry(AREA as u32, 0x17ff, true, 1, true, true),  // 47: expand-down
];

const fn local(n: u16) -> u16 {
    n << 3 | 7
}

const CODE32: u16 = local(0);
const CODE16: u16 = local(1);
const CONFORMING: u16 = local(2);
const ABSENT_CODE: u16 = local(3);
const DATA32: u16 = local(4);
const DATA16: u16 = local(5);
const ABSENT_DATA: u16 = local(6);
const READ_ONLY: u16 = local(7);
const EXPAND_DOWN: u16 = local(8);
const EMPTY: u16 = local(20);

impl Entry {
    /// `struct user_desc`.
    fn user(&self, number: u32) -> [u32; 4] {
        let Entry(base, limit, big, contents, open, present) = *self;
        let pages = limit > 0xf_ffff;
        let flags = u32::from(big)
            | contents << 1
            | u32::from(!open) << 3
            | u32::from(pages) << 4
            | u32::from(!present) << 5
            | 1 << 6;
        [number, base, if pages { limit >> 12 } else { limit }, flags]
    }

    /// The descriptor: accessed, DPL 3, AVL as `useable` says.
    fn descriptor(&self) -> u64 {
        let [_, base, limit, flags] = self.user(0).map(u64::from);
        let bit = |n: u64| flags >> n & 1;
        let kind = (flags >> 1 & 3) << 2 | (bit(3) ^ 1) << 1 | 1;
        let access = kind | 1 << 4 | 3 << 5 | (bit(5) ^ 1) << 7;
        let upper = bit(6) | bit(0) << 2 | bit(4) << 3;
        limit & 0xffff
            | (base & 0xff_ffff) << 16
            | access << 40
            | (limit >> 16 & 0xf) << 48
            | upper << 52
            | (base >> 24) << 56
    }
}

/// What is left at the end: exception and error code, RIP, RSP, flags, CS, SS, DS, ES, FS, GS.
type End = [u64; 11];

struct Case {
    name: String,
    /// From compatibility mode of 32 bits?
    compat: bool,
    code: Vec<u8>,
    stack: Vec<u8>,
    data: Vec<u8>,
    rax: u64,
}

/// Loads the stack and jumps through the far pointer at RDI; RAX and RBX are the case's. It does not come back.
#[unsafe(naked)]
unsafe extern "C" fn enter(_pointer: *const u8, _rsp: u64, _rax: u64, _rbx: u64) -> ! {
    core::arch::naked_asm!("mov rax, rdx", "mov rbx, rcx", "push 0x202", "popfq", "mov rsp, rsi", "jmp fword ptr [rdi]",)
}

static mut OUT: i32 = -1;

extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let (ds, es): (u16, u16);
    // SAFETY: reads segment registers.
    unsafe { core::arch::asm!("mov {:x}, ds", "mov {:x}, es", out(reg) ds, out(reg) es) };
    // SAFETY: the kernel's frame, in a child that does nothing else.
    unsafe {
        let g = &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let word = |i: i32| g[i as usize] as u64;
        let selectors = word(libc::REG_CSGSFS);
        let end: End = [
            word(libc::REG_TRAPNO),
            word(libc::REG_ERR),
            word(libc::REG_RIP),
            word(libc::REG_RSP),
            word(libc::REG_EFL),
            selectors & 0xffff,
            selectors >> 48,
            ds.into(),
            es.into(),
            selectors >> 32 & 0xffff,
            selectors >> 16 & 0xffff,
        ];
        libc::write(OUT, end.as_ptr().cast(), size_of::<End>());
        libc::write(OUT, core::ptr::with_exposed_provenance(AREA as usize), LEN);
        libc::_exit(0);
    }
}

fn image(case: &Case) -> Vec<u8> {
    let mut image = vec![0xcc; LEN];
    for (at, bytes) in [(TARGET, &[0x0f, 0x0b][..]), (CODE, &case.code), (STACK, &case.stack), (DATA, &case.data)] {
        let at = (at - AREA) as usize;
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }
    image
}

/// Runs the case in a child; `None` where the kernel does not take the LDT.
fn native(case: &Case) -> Option<(End, Vec<u8>)> {
    let image = image(case);
    let mut pipe = [0; 2];
    // SAFETY: the child makes system calls and jumps, and ends by `_exit`; what it changes is its own.
    unsafe {
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        let child = libc::fork();
        if child == 0 {
            OUT = pipe[1];
            let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            let place = core::ptr::without_provenance_mut(AREA as usize);
            let area = libc::mmap(place, LEN, protection, flags, -1, 0);
            if area != place {
                libc::_exit(1);
            }
            core::ptr::copy_nonoverlapping(image.as_ptr(), area.cast(), LEN);
            area.expose_provenance();
            for (n, entry) in ENTRIES.iter().enumerate() {
                let user = entry.user(n as u32);
                if libc::syscall(libc::SYS_modify_ldt, 0x11, user.as_ptr(), 16_usize) as i32 != 0 {
                    libc::_exit(2);
                }
            }
            static mut ROOM: [u8; 0x10000] = [0; 0x10000];
            let stack = libc::stack_t { ss_sp: (&raw mut ROOM).cast(), ss_flags: 0, ss_size: 0x10000 };
            libc::sigaltstack(&stack, core::ptr::null_mut());
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP, libc::SIGFPE] {
                libc::sigaction(signal, &action, core::ptr::null_mut());
            }
            let mut pointer = [0; 6];
            pointer[..4].copy_from_slice(&(CODE as u32).to_le_bytes());
            pointer[4..].copy_from_slice(&if case.compat { USER32 } else { USER64 }.to_le_bytes());
            // Data segments that compatibility mode can use.
            core::arch::asm!("mov ds, {0:e}", "mov es, {0:e}", in(reg) u32::from(USER_DATA));
            enter(pointer.as_ptr(), STACK, case.rax, DATA);
        }
        libc::close(pipe[1]);
        let mut bytes = Vec::new();
        std::fs::File::from_raw_fd(pipe[0]).read_to_end(&mut bytes).unwrap();
        let mut status = 0;
        libc::waitpid(child, &mut status, 0);
        if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 2 {
            return None;
        }
        let (words, _) = bytes.as_chunks::<8>();
        let end = *words.first_chunk::<11>().unwrap_or_else(|| panic!("{}: status {status:x}", case.name));
        Some((end.map(u64::from_le_bytes), bytes[size_of::<End>()..].to_vec()))
    }
}

/// The same memory, and tables that only the processor reads.
struct Machine {
    area: Vec<u8>,
    tables: Vec<u8>,
}

impl Machine {
    fn place(&mut self, at: u64, len: usize, access: &Access) -> Result<&mut [u8], Stop> {
        let (bytes, base) = if access.implicit { (&mut self.tables, 0) } else { (&mut self.area, AREA) };
        let offset = at.wrapping_sub(base);
        let end = offset.checked_add(len as u64).filter(|end| *end <= bytes.len() as u64);
        match end {
            Some(end) => Ok(&mut bytes[offset as usize..end as usize]),
            None => {
                let fetch = if access.kind == AccessKind::Fetch { 0x10 } else { 0 };
                Err(Event::pf(4 | u32::from(access.writes()) << 1 | fetch, at, "not mapped").into())
            }
        }
    }
}

impl Bus for Machine {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.read(at, buf, access).map(|()| 15)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        buf.copy_from_slice(self.place(at, buf.len(), access)?);
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.place(at, buf.len(), access)?.copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.place(at, len, access).map(drop)
    }
}

impl Platform for Machine {}

/// The case on the engine, with FS and GS as the process has them: null.
fn ours(case: &Case) -> (End, Vec<u8>) {
    let mut machine = Machine { area: image(case), tables: vec![0; 0x3000] };
    let mut put =
        |at: u64, value: u64| machine.tables[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    for (selector, value) in
        [(USER32, 0x00cf_fb00_0000_ffff), (USER_DATA, 0x00cf_f300_0000_ffff), (USER64, 0x00af_fb00_0000_ffff)]
    {
        put(GDT + u64::from(selector & !7), value);
    }
    for (n, entry) in ENTRIES.iter().enumerate() {
        put(LDT + 8 * n as u64, entry.descriptor());
    }
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        let data = Segment { selector: USER_DATA, attr: 0xc0f3, limit: u32::MAX, base: 0 };
        let code = if case.compat { (USER32, 0xc0fb) } else { (USER64, 0xa0fb) };
        let null = Segment { attr: 1 << 16, ..Segment::default() };
        s.seg = [data, Segment { selector: code.0, attr: code.1, ..data }, data, data, null, null];
        s.gdtr = DescriptorTable { base: GDT, limit: 0x7f };
        s.ldtr = Segment { selector: 0x50, attr: 0x82, limit: 8 * ENTRIES.len() as u32 - 1, base: LDT };
    });
    cpu.set_rflags(rflags::IF);
    (cpu.rip, cpu.gpr[4], cpu.gpr[0], cpu.gpr[3]) = (CODE, STACK, case.rax, DATA);
    cpu.gpr[1] = DATA;
    let mut engine = Engine::integer_only(Profile::host());
    for _ in 0..100 {
        match engine.step(&mut cpu, &mut machine) {
            Outcome::Completed(_) => {}
            Outcome::Exception(event) => {
                let s = cpu.system();
                // On the way from the kernel to its handler null selectors become 0.
                let shown = |selector: u16| if selector < 4 { 0 } else { selector.into() };
                let [es, cs, ss, ds, fs, gs] = s.seg.map(|segment| shown(segment.selector));
                // A fault's frame has RF.
                let flags = cpu.rflags() | rflags::RF;
                let code = event.error_code.unwrap_or(0).into();
                let end = [event.vector.into(), code, cpu.rip, cpu.gpr[4], flags, cs, ss, ds, es, fs, gs];
                return (end, machine.area);
            }
            outcome => panic!("{}: {outcome:?}", case.name),
        }
    }
    panic!("{}: no end", case.name);
}

fn entries(size: usize, values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()[..size].to_vec()).collect()
}

fn pointer(offset: u64, size: usize, selector: u16) -> Vec<u8> {
    [&offset.to_le_bytes()[..size], &selector.to_le_bytes()].concat()
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: String, compat, code: &[u8], stack: Vec<u8>, data: Vec<u8>, rax: u16| {
        all.push(Case { name, compat, code: code.to_vec(), stack, data, rax: rax.into() });
    };
    let codes = [
        ("code of 32 bits", CODE32),
        ("code of 16 bits", CODE16),
        ("conforming code", CONFORMING),
        ("code that is not present", ABSENT_CODE),
        ("data", DATA32),
        ("nothing", EMPTY),
        ("Linux's compatibility mode", USER32),
        ("Linux's 64-bit mode", USER64),
        ("code of 32 bits, RPL 0", CODE32 & !3),
        ("null", 0),
    ];
    let stacks = [
        ("data", DATA32),
        ("data of 16 bits", DATA16),
        ("data that is not present", ABSENT_DATA),
        ("data that can be read only", READ_ONLY),
        ("data that grows down", EXPAND_DOWN),
        ("code", CODE32),
        ("nothing", EMPTY),
        ("null", 3),
        ("Linux's data", USER_DATA),
        ("data, RPL 0", DATA32 & !3),
    ];
    let flags = 0x24_4ed7 & !0x4000;
    for compat in [false, true] {
        let mode = if compat { "compatibility mode" } else { "64-bit mode" };
        for (what, selector) in codes {
            // The 16-bit segment begins with the area.
            let at = if selector == CODE16 { TARGET - AREA } else { TARGET };
            let far = |op: u8| [0xff, op];
            add(format!("JMP from {mode} to {what}"), compat, &far(0x2b), vec![], pointer(at, 4, selector), 0);
            add(format!("CALL from {mode} to {what}"), compat, &far(0x1b), vec![], pointer(at, 4, selector), 0);
            add(
                format!("CALL of 16 bits from {mode} to {what}"),
                compat,
                &[0x66, 0xff, 0x1b],
                vec![],
                pointer(at & 0xffff, 2, selector),
                0,
            );
            let frame = [at, selector.into()];
            add(format!("RET from {mode} to {what}"), compat, &[0xcb], entries(4, &frame), vec![], 0);
            add(format!("RET n from {mode} to {what}"), compat, &[0xca, 0x10, 0], entries(4, &frame), vec![], 0);
            add(format!("RET of 16 bits from {mode} to {what}"), compat, &[0x66, 0xcb], entries(2, &frame), vec![], 0);
            let long = [at, selector.into(), flags, STACK - 0x100, USER_DATA.into()];
            add(format!("IRETD from {mode} to {what}"), compat, &[0xcf], entries(4, &long), vec![], 0);
            if !compat {
                add(format!("RETFQ to {what}"), compat, &[0x48, 0xcb], entries(8, &frame), vec![], 0);
                add(format!("IRETQ to {what}"), compat, &[0x48, 0xcf], entries(8, &long), vec![], 0);
            }
        }
        for (what, selector) in stacks {
            add(format!("MOV SS in {mode}: {what}"), compat, &[0x8e, 0xd0, 0x0f, 0x0b], vec![], vec![], selector);
            add(format!("MOV DS in {mode}: {what}"), compat, &[0x8e, 0xd8, 0x0f, 0x0b], vec![], vec![], selector);
            add(format!("MOV ES in {mode}: {what}"), compat, &[0x8e, 0xc0, 0x0f, 0x0b], vec![], vec![], selector);
            let far = pointer(STACK - 0x200, 4, selector);
            add(format!("LSS in {mode}: {what}"), compat, &[0x0f, 0xb2, 0x23, 0x0f, 0x0b], vec![], far, 0);
            // LAR, LSL, VERR and VERW: what they leave is in the flags, and in what is pushed.
            let questions = [
                0x0f, 0x02, 0xc8, 0x9c, 0x51, 0x0f, 0x03, 0xc8, 0x9c, 0x51, 0x0f, 0x00, 0xe0, 0x9c, 0x0f, 0x00, 0xe8,
                0x9c, 0x0f, 0x0b,
            ];
            add(format!("LAR, LSL, VERR, VERW in {mode}: {what}"), compat, &questions, vec![], vec![], selector);
            if !compat {
                for (to, cs) in [("64-bit mode", USER64), ("code of 32 bits", CODE32)] {
                    let frame = [TARGET, cs.into(), flags, STACK - 0x100, selector.into()];
                    add(format!("IRETQ to {to} with SS {what}"), compat, &[0x48, 0xcf], entries(8, &frame), vec![], 0);
                }
            }
        }
    }
    all
}

#[test]
fn transfers_between_segments_of_the_ldt() {
    let mut skips = Skips::new("native transfers");
    let (cases, mut wrong) = (cases(), Vec::new());
    for case in &cases {
        let Some((theirs, their_memory)) = native(case) else {
            return skips.skip("transfers between LDT segments", "modify_ldt is refused", cases.len() as u64);
        };
        let (ours, our_memory) = ours(case);
        if ours != theirs {
            wrong.push(format!("{}:\n  processor {theirs:x?}\n  engine    {ours:x?}", case.name));
        } else if let Some(at) = our_memory.iter().zip(&their_memory).position(|(a, b)| a != b) {
            let (ours, theirs) = (&our_memory[at..][..16], &their_memory[at..][..16]);
            let place = AREA + at as u64;
            wrong.push(format!("{}: memory at {place:x}: {theirs:x?}, here {ours:x?}", case.name));
        }
    }
    println!("native transfers: {} cases", cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong[..wrong.len().min(30)].join("\n"));
    skips.ran(cases.len() as u64);
}
