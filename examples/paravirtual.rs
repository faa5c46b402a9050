//! A kernel of 64-bit mode that runs natively in this process, in ring 3, and has no idea of it.
//!
//! It loads a GDT, an IDT and a task register, writes the register of system calls, switches page tables, turns interrupts off and
//! on, prints through a port, and goes to its user by IRETQ. Each of these instructions is a #GP, which Linux turns into SIGSEGV. The
//! signal handler asks the engine to run the instruction on the kernel's behalf, under a policy, and returns behind it. The
//! user then tries CLI; that is an exception of the kernel's, which the engine delivers through the kernel's own IDT.
//!
//! ```sh
//! cargo run --release --example paravirtual
//! ```

use encore86::cpu::registers::gpr::RAX;
use encore86::paravirtual::{Decision, Handled, Kernel, Policy, Privileged};
use encore86::{Access, Bus, Cpu, Engine, Event, Outcome, Platform, Profile, Retired, Stop};
use libc::{c_int, c_void, greg_t, siginfo_t, ucontext_t};
use std::cell::UnsafeCell;
use std::io;
use std::ops::Range;
use std::ptr;

/// What the kernel believes its page tables' address to be before it loads another.
pub const CR3: u64 = 0x1000;
/// A model-specific register that the policy does not let the kernel have.
pub const FORBIDDEN_MSR: u32 = 0x1b;
/// IA32_LSTAR.
pub const LSTAR: u32 = 0xc000_0082;

// The kernel's stack is the page behind `paravirtual_data`. In what it pushes for IRETQ, 0x2b and 0x23 are its user's code and stack.
core::arch::global_asm!(
    ".pushsection .text.paravirtual, \"ax\", @progbits",
    "paravirtual_enter:", // saves the host's registers, gives the kernel its stack
    "    push rbx",
    "    push rbp",
    "    push r12",
    "    push r13",
    "    push r14",
    "    push r15",
    "    mov [rip + paravirtual_host], rsp",
    "    mov rsp, rdi",
    "paravirtual_kernel:",
    "    lgdt [rip + paravirtual_gdtr]",
    "    lidt [rip + paravirtual_idtr]",
    "    mov eax, 0x30",
    "    ltr ax",
    "    mov ecx, 0xc0000082",
    "    lea rax, [rip + paravirtual_kernel]",
    "    mov rdx, rax",
    "    shr rdx, 32",
    "    wrmsr",
    "    mov rax, cr3",
    "    add rax, 0x1000",
    "    mov cr3, rax",
    "    cli",
    "    lea rsi, [rip + 3f]",
    "    mov dx, 0x3f8",
    "2:  mov al, [rsi]",
    "    out dx, al",
    "    inc rsi",
    "    cmp byte ptr [rsi], 0",
    "    jne 2b",
    "    mov ecx, 0x1b", // the policy refuses this one, and the handler passes over it
    "    rdmsr",
    "    sti",
    "    mov rax, rsp",
    "    push 0x23",
    "    push rax",
    "    push 0x202",
    "    push 0x2b",
    "    lea rax, [rip + 4f]",
    "    push rax",
    "    iretq",
    "3:  .asciz \"hello from ring 3\\n\"",
    "4:  mov r15d, 0x1234", // the user
    "    cli",
    "    ud2",
    "paravirtual_fault:", // the kernel's #GP handler: its stack is that of the TSS
    "    mov al, '!'",
    "    mov dx, 0x3f8",
    "    out dx, al",
    "    mov rbx, [rsp]",      // the error code
    "    mov rbp, [rsp + 16]", // the user's CS
    "    hlt",
    "paravirtual_leave:",
    "    mov rsp, [rip + paravirtual_host]",
    "    pop r15",
    "    pop r14",
    "    pop r13",
    "    pop r12",
    "    pop rbp",
    "    pop rbx",
    "    ret",
    "paravirtual_text_end:",
    ".popsection",
    ".pushsection .data.paravirtual, \"aw\", @progbits",
    ".balign 4096",
    "paravirtual_data:",
    "paravirtual_gdt:",
    "    .quad 0",
    "    .quad 0x00af9b000000ffff", // 08: code of the kernel
    "    .quad 0x00cf93000000ffff", // 10: data of the kernel
    "    .quad 0",
    "    .quad 0x00cff3000000ffff", // 20: data of the user
    "    .quad 0x00affb000000ffff", // 28: code of the user
    "paravirtual_tss_descriptor:",
    "    .quad 0, 0", // 30: TSS
    "paravirtual_gdtr:",
    "    .word 63",
    "    .quad paravirtual_gdt",
    "paravirtual_idtr:",
    "    .word 16 * 14 - 1",
    "    .quad paravirtual_idt",
    "    .balign 16",
    "paravirtual_idt:",
    "    .fill 16 * 14, 1, 0",
    "paravirtual_tss:",
    "    .fill 104, 1, 0",
    "paravirtual_host:",
    "    .quad 0",
    ".balign 4096",
    "    .fill 4096, 1, 0",
    "paravirtual_data_end:",
    ".popsection",
);

unsafe extern "C" {
    #[link_name = "paravirtual_enter"]
    fn enter(stack: u64);
    #[link_name = "paravirtual_kernel"]
    static KERNEL: u8;
    #[link_name = "paravirtual_fault"]
    static FAULT: u8;
    #[link_name = "paravirtual_leave"]
    static LEAVE: u8;
    #[link_name = "paravirtual_text_end"]
    static TEXT_END: u8;
    #[link_name = "paravirtual_data"]
    static mut DATA: u8;
    #[link_name = "paravirtual_tss_descriptor"]
    static TSS_DESCRIPTOR: u8;
    #[link_name = "paravirtual_idt"]
    static IDT: u8;
    #[link_name = "paravirtual_tss"]
    static TSS: u8;
    #[link_name = "paravirtual_data_end"]
    static DATA_END: u8;
}

fn address(symbol: *const u8) -> u64 {
    symbol.addr() as u64
}

/// A signal handler allocates nothing: there is room for this many.
const ROOM: usize = 64;

fn note<T>(list: &mut Vec<T>, what: T) {
    if list.len() < list.capacity() {
        list.push(what);
    }
}

/// The memory that the kernel has: its code, and its data with the stack.
struct Machine {
    text: Range<u64>,
    data: Range<u64>,
    seen: Seen,
}

/// What the kernel did, as the handler saw it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Bytes sent to port 0x3f8.
    pub printed: Vec<u8>,
    /// Signals.
    pub signals: u32,
    /// What was asked of the policy, in order.
    pub asked: Vec<Privileged>,
    /// IA32_LSTAR.
    pub lstar: u64,
    /// The last refusal.
    pub refused: Option<Privileged>,
    /// The exception that was delivered to the kernel.
    pub delivered: Option<Event>,
    /// What ended it, if not HLT.
    pub failed: Option<Handled>,
}

impl Machine {
    fn allows(&self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        let inside = |range: &Range<u64>| at >= range.start && at <= range.end && range.end - at >= len as u64;
        match inside(&self.data) || !access.writes() && inside(&self.text) {
            true => Ok(()),
            false => Err(Event::pf(u32::from(access.writes()) << 1, at, "no memory of the kernel's").into()),
        }
    }
}

impl Bus for Machine {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        let len = self.text.end.saturating_sub(at).min(15) as usize;
        self.read(at, &mut buf[..len.max(1)], access).map(|()| len)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.allows(at, buf.len(), access)?;
        let from = ptr::with_exposed_provenance::<u8>(at as usize);
        // SAFETY: the kernel's own memory, and the kernel does not run.
        unsafe { ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), buf.len()) };
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.allows(at, buf.len(), access)?;
        let to = ptr::with_exposed_provenance_mut::<u8>(at as usize);
        // SAFETY: the kernel's data, which is writable, and the kernel does not run.
        unsafe { ptr::copy_nonoverlapping(buf.as_ptr(), to, buf.len()) };
        Ok(())
    }

    fn probe(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        self.allows(at, len, access)
    }
}

impl Platform for Machine {
    fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Stop> {
        if port == 0x3f8 {
            note(&mut self.seen.printed, data[0]);
        }
        Ok(())
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        if index != LSTAR {
            return Err(Event::gp0("no such register").into());
        }
        self.seen.lstar = value;
        Ok(())
    }
}

/// All that this kernel is allowed. A real one would say more about values.
struct Allowed {
    asked: Vec<Privileged>,
}

impl Policy for Allowed {
    fn decide(&mut self, asked: &Privileged, _: &Cpu) -> Decision {
        use Privileged::*;
        note(&mut self.asked, *asked);
        match asked {
            LoadGdt | LoadIdt | LoadTask | InterruptFlag(_) | InterruptReturn | Halt => Decision::Emulate,
            WriteMsr(LSTAR, _) | Out(0x3f8, 1) | ReadControl(3) | WriteControl(3, _) => Decision::Emulate,
            _ => Decision::Refuse,
        }
    }
}

struct Monitor {
    engine: Engine,
    cpu: Cpu,
    kernel: Kernel,
    machine: Machine,
    policy: Allowed,
}

/// The one monitor of the process, for its signal handler.
struct Place(UnsafeCell<Option<Monitor>>);

// SAFETY: `run` is called by one thread at a time, and the signals are of its own instructions.
unsafe impl Sync for Place {}

static MONITOR: Place = Place(UnsafeCell::new(None));

/// General-purpose registers in the order of their encoding.
const REGISTERS: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

extern "C" fn on_fault(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the frame that it pushed.
    let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
    // SAFETY: `run` has set it up and waits for the kernel's end; this thread was interrupted in the kernel's code.
    let Some(monitor) = (unsafe { &mut *MONITOR.0.get() }) else { std::process::abort() };
    let Monitor { engine, cpu, kernel, machine, policy } = monitor;
    for (register, &index) in cpu.gpr.iter_mut().zip(&REGISTERS) {
        *register = registers[index as usize] as u64;
    }
    cpu.rip = registers[libc::REG_RIP as usize] as u64;
    cpu.set_rflags(registers[libc::REG_EFL as usize] as u64);
    machine.seen.signals += 1;
    if !machine.text.contains(&cpu.rip) {
        std::process::abort();
    }
    let handled = engine.step_paravirtual(cpu, kernel, machine, policy);
    let goes_on = match handled {
        Handled::Ran(Outcome::Completed(Retired { hlt, .. })) => !hlt,
        Handled::Ran(Outcome::Exception(event)) => {
            machine.seen.delivered = Some(event);
            let delivered = engine.deliver_paravirtual(cpu, kernel, machine, policy, event);
            matches!(delivered, Outcome::Completed(_))
        }
        Handled::Refused(what @ Privileged::ReadMsr(_)) => {
            // This kernel can live with zeros there.
            machine.seen.refused = Some(what);
            cpu.gpr[RAX] = 0;
            cpu.rip += 2;
            true
        }
        other => {
            machine.seen.failed = Some(other);
            false
        }
    };
    if !goes_on {
        cpu.rip = address(&raw const LEAVE);
    }
    for (register, &index) in cpu.gpr.iter().zip(&REGISTERS) {
        registers[index as usize] = *register as greg_t;
    }
    registers[libc::REG_RIP as usize] = cpu.rip as greg_t;
    registers[libc::REG_EFL as usize] = cpu.rflags() as greg_t;
}

/// Fills in the addresses that the kernel's tables need and a linker can't write: they are in pieces.
fn fill(machine: &mut Machine) -> Result<(), Stop> {
    let (tss, handler, stack) = (address(&raw const TSS), address(&raw const FAULT), address(&raw const DATA_END));
    let low = 103 | (tss & 0xff_ffff) << 16 | 0x89 << 40 | (tss >> 24 & 0xff) << 56;
    let gate = handler & 0xffff | 8 << 16 | 0x8e << 40 | (handler >> 16 & 0xffff) << 48;
    let place = address(&raw const IDT) + 16 * 13;
    let words = [
        (address(&raw const TSS_DESCRIPTOR), low),
        (address(&raw const TSS_DESCRIPTOR) + 8, tss >> 32),
        (place, gate),
        (place + 8, handler >> 32),
        (tss + 4, stack - 0x800),
    ];
    words.into_iter().try_for_each(|(at, value)| machine.write(at, &value.to_le_bytes(), &Access::write(8, 0)))
}

/// Runs the kernel to its HLT.
///
/// # Errors
/// What the system calls answer.
///
/// # Panics
/// If called by two threads at once.
pub fn run() -> io::Result<(Seen, Cpu, Kernel)> {
    let data = (&raw mut DATA).expose_provenance() as u64;
    let text = (&raw const KERNEL).expose_provenance() as u64;
    let mut machine = Machine {
        text: text..address(&raw const TEXT_END),
        data: data..address(&raw const DATA_END),
        seen: Seen { printed: Vec::with_capacity(ROOM), ..Seen::default() },
    };
    fill(&mut machine).map_err(|stop| io::Error::other(format!("{stop:?}")))?;
    let mut cpu = Cpu::new();
    let mut kernel = Kernel::new(&cpu);
    kernel.system.cr3 = CR3;
    // What the processor has: ring 3.
    cpu.update(|s| {
        for seg in &mut s.seg {
            seg.attr |= 3 << 5;
            seg.selector |= 3;
        }
    });
    let stack = machine.data.end;
    // SAFETY: nothing else looks at it now.
    let place = unsafe { &mut *MONITOR.0.get() };
    assert!(place.is_none(), "one kernel at a time");
    let policy = Allowed { asked: Vec::with_capacity(ROOM) };
    *place = Some(Monitor { engine: Engine::integer_only(Profile::all()), cpu, kernel, machine, policy });

    // The handler has a stack of its own: the kernel's is too small, and what lies below it is the kernel's.
    let mut room = vec![0u8; 256 * 1024];
    // SAFETY: C structures of integers and addresses, for which zeros are valid.
    let (mut action, mut old, mut old_stack): (libc::sigaction, libc::sigaction, libc::stack_t) =
        unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    let own = libc::stack_t { ss_sp: room.as_mut_ptr().cast(), ss_flags: 0, ss_size: room.len() };
    // SAFETY: `room` outlives the kernel's run, after which the former stack and handler come back.
    unsafe {
        check(libc::sigaltstack(&own, &mut old_stack))?;
        check(libc::sigaction(libc::SIGSEGV, &action, &mut old))?;
        enter(stack);
        check(libc::sigaction(libc::SIGSEGV, &old, ptr::null_mut()))?;
        check(libc::sigaltstack(&old_stack, ptr::null_mut()))?;
    }
    // SAFETY: the kernel has ended, and the handler is gone.
    let monitor = unsafe { &mut *MONITOR.0.get() }.take();
    monitor
        .map(|m| (Seen { asked: m.policy.asked, ..m.machine.seen }, m.cpu, m.kernel))
        .ok_or_else(|| io::Error::other("the monitor is gone"))
}

fn check(answer: c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[allow(dead_code)] // the test that includes this file calls `run`
fn main() -> io::Result<()> {
    let (seen, ..) = run()?;
    for asked in &seen.asked {
        println!("{asked}");
    }
    println!("{} signals; the kernel printed {:?}", seen.signals, String::from_utf8_lossy(&seen.printed));
    if let Some(refused) = seen.refused {
        println!("refused: {refused}");
    }
    if let Some(event) = seen.delivered {
        println!("delivered to the kernel: {event}");
    }
    match seen.failed {
        None => Ok(()),
        Some(why) => Err(io::Error::other(format!("the kernel could not go on: {why:?}"))),
    }
}
