//! The way into guest code and back: all registers loaded, all registers saved. The only assembly of this crate.

use core::arch::global_asm;
use core::mem::offset_of;

use crate::state::State;

/// An FXSAVE image: carries the x87 registers and MXCSR; its XMM part is overruled by `State::zmm`.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct Fx(pub [u8; 512]);

/// What IRETQ pops.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Iret {
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// What the far entry loads after IRETQ has loaded all else.
#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
pub struct Far {
    pub offset: u32,
    pub cs: u16,
    pub ss: u16,
}

/// The exception that ended a run, as the signal handler found it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Caught {
    pub trap: u64,
    pub error: u64,
    pub cr2: u64,
    pub rip: u64,
    pub rflags: u64,
}

/// Everything that the assembly and the signal handler share about one run. Lies at a fixed distance from the exit stub,
/// which therefore reaches it by RIP-relative addressing, with no register free.
#[repr(C, align(64))]
pub struct Context {
    pub state: State,
    pub fx: Fx,
    pub iret: Iret,
    pub far: Far,
    /// DS, ES, FS and GS for the compatibility modes; loaded only if `compat` is not 0.
    pub selectors: [u16; 4],
    pub compat: u32,
    /// `features::Vector` as a number.
    pub vector: u32,
    /// The address of `encore86_oracle_leave`.
    pub leave: u64,
    /// The address of the exit stub, for the signal handler.
    pub stub: u64,
    pub host_cs: u16,
    pub host_ss: u16,
    /// Not 0 from just before the registers are loaded until they are saved: a fault now belongs to the run.
    pub active: u32,
    /// Not 0 if `caught` is filled.
    pub is_caught: u32,
    pub caught: Caught,
    host_rsp: u64,
    host_fs: u64,
    host_gs: u64,
    host_mxcsr: u32,
    host_fcw: u32,
}

unsafe extern "sysv64" {
    /// Loads all of `context`, enters the code at `context.iret`, and comes back when the exit stub has run.
    ///
    /// # Safety
    /// `context` must lie at its place in a mapped slot whose exit stub is written, `fx` and `iret` must hold values
    /// that FXRSTOR and IRETQ take, and the code must keep the promise of `Oracle::new`.
    #[link_name = "encore86_oracle_enter"]
    pub fn enter(context: *mut Context);

    #[link_name = "encore86_oracle_signal"]
    pub fn signal_entry();

    #[link_name = "encore86_oracle_enter"]
    static ENTER: u8;
    #[link_name = "encore86_oracle_leave"]
    static LEAVE: u8;
    #[link_name = "encore86_oracle_end"]
    static END: u8;
    #[link_name = "encore86_oracle_stub"]
    static STUB: u8;
    #[link_name = "encore86_oracle_stub_end"]
    static STUB_END: u8;
    #[link_name = "encore86_oracle_stub_far"]
    static STUB_FAR: u8;
}

/// Where the far entry is in `stub_bytes`. IRETQ to a 16-bit stack segment loads no more than SP, so such code is
/// entered in two steps: IRETQ to this stub, still in 64-bit mode, then SS and a far jump.
pub fn far_entry() -> usize {
    (&raw const STUB_FAR).addr() - (&raw const STUB).addr()
}

/// The exit stub and the far entry, position-independent as long as the context stays `STUB_TO_CONTEXT` ahead of it.
pub fn stub_bytes() -> &'static [u8] {
    let (start, end) = (&raw const STUB, &raw const STUB_END);
    // SAFETY: both labels bound the same piece of read-only text of this program.
    unsafe { core::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// Where the exit stub jumps to.
pub fn leave_address() -> u64 {
    (&raw const LEAVE).addr() as u64
}

/// Is this the trampoline's own code? A fault there is a fault of the oracle, not of the instruction under test.
pub fn contains(rip: u64) -> bool {
    ((&raw const ENTER).addr() as u64..(&raw const END).addr() as u64).contains(&rip)
}

/// The distance from the exit stub to its context.
pub const STUB_TO_CONTEXT: usize = 0x1_0000;

global_asm!(
    r#"
    .pushsection .text.encore86_oracle, "ax", @progbits
    .p2align 6
    .globl encore86_oracle_enter
    .hidden encore86_oracle_enter
encore86_oracle_enter:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdi + {HOST_RSP}], rsp
    stmxcsr [rdi + {HOST_MXCSR}]
    fnstcw [rdi + {HOST_FCW}]
    rdfsbase rax
    mov [rdi + {HOST_FS}], rax
    rdgsbase rax
    mov [rdi + {HOST_GS}], rax

    fxrstor64 [rdi + {FX}]
    cmp dword ptr [rdi + {VECTOR}], 2
    je 1f
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu ymm\n, [rdi + {ZMM} + \n * 64]
    .endr
    jmp 2f
1:  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    vmovdqu64 zmm\n, [rdi + {ZMM} + \n * 64]
    .endr
    .irp n, 0,1,2,3,4,5,6,7
    kmovq k\n, [rdi + {K} + \n * 8]
    .endr
2:
    cmp dword ptr [rdi + {COMPAT}], 0
    jne 3f
    mov rax, [rdi + {FS_BASE}]
    wrfsbase rax
    mov rax, [rdi + {GS_BASE}]
    wrgsbase rax
    jmp 4f
3:  mov ds, word ptr [rdi + {SELECTORS}]
    mov es, word ptr [rdi + {SELECTORS} + 2]
    mov fs, word ptr [rdi + {SELECTORS} + 4]
    mov gs, word ptr [rdi + {SELECTORS} + 6]
4:
    mov dword ptr [rdi + {ACTIVE}], 1
    mov rax, [rdi + {GPR}]
    mov rcx, [rdi + {GPR} + 1 * 8]
    mov rdx, [rdi + {GPR} + 2 * 8]
    mov rbx, [rdi + {GPR} + 3 * 8]
    mov rbp, [rdi + {GPR} + 5 * 8]
    mov rsi, [rdi + {GPR} + 6 * 8]
    .irp n, 8,9,10,11,12,13,14,15
    mov r\n, [rdi + {GPR} + \n * 8]
    .endr
    lea rsp, [rdi + {IRET}]
    mov rdi, [rdi + {GPR} + 7 * 8]
    // Loads RFLAGS last, so that TF traps after the first instruction of the code, and serialises, so that code just
    // written through the other alias is what runs.
    iretq

    .globl encore86_oracle_leave
    .hidden encore86_oracle_leave
encore86_oracle_leave:
    mov [rax + {GPR} + 1 * 8], rcx
    mov [rax + {GPR} + 2 * 8], rdx
    mov [rax + {GPR} + 3 * 8], rbx
    mov [rax + {GPR} + 5 * 8], rbp
    mov [rax + {GPR} + 6 * 8], rsi
    mov [rax + {GPR} + 7 * 8], rdi
    .irp n, 8,9,10,11,12,13,14,15
    mov [rax + {GPR} + \n * 8], r\n
    .endr
    mov rdi, rax
    mov ss, word ptr [rdi + {HOST_SS}]
    mov rsp, [rdi + {HOST_RSP}]
    // AC, DF and NT off.
    push 0x202
    popfq
    fxsave64 [rdi + {FX}]
    cmp dword ptr [rdi + {VECTOR}], 2
    je 5f
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu [rdi + {ZMM} + \n * 64], ymm\n
    .endr
    jmp 6f
5:  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    vmovdqu64 [rdi + {ZMM} + \n * 64], zmm\n
    .endr
    .irp n, 0,1,2,3,4,5,6,7
    kmovq [rdi + {K} + \n * 8], k\n
    .endr
6:
    rdfsbase rax
    mov [rdi + {FS_BASE}], rax
    rdgsbase rax
    mov [rdi + {GS_BASE}], rax
    // Loading null selectors costs 300 ns, so it is done only if the mode or the code loaded others; and it may change the
    // bases, so these come last.
    mov eax, ds
    mov ecx, es
    mov edx, fs
    mov esi, gs
    or eax, ecx
    or edx, esi
    or eax, edx
    jz 7f
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
7:
    mov rax, [rdi + {HOST_FS}]
    wrfsbase rax
    mov rax, [rdi + {HOST_GS}]
    wrgsbase rax
    mov dword ptr [rdi + {ACTIVE}], 0
    // FNINIT empties the tags and drops pending exceptions, which FLDCW alone would raise.
    fninit
    fldcw [rdi + {HOST_FCW}]
    ldmxcsr [rdi + {HOST_MXCSR}]
    vzeroupper
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
    .globl encore86_oracle_end
    .hidden encore86_oracle_end
encore86_oracle_end:

    // The kernel leaves AC as the interrupted code had it, and compiled code may access memory unaligned.
    .globl encore86_oracle_signal
    .hidden encore86_oracle_signal
encore86_oracle_signal:
    pushfq
    btr dword ptr [rsp], 18
    popfq
    jmp {on_signal}

    // Copied into each slot; both pieces run with all of the guest's registers live and its stack pointer unusable.
    .globl encore86_oracle_stub
    .hidden encore86_oracle_stub
encore86_oracle_stub:
    mov [rip + encore86_oracle_stub + {STUB_TO_CONTEXT} + {GPR}], rax
    mov [rip + encore86_oracle_stub + {STUB_TO_CONTEXT} + {GPR} + 4 * 8], rsp
    lea rsp, [rip + encore86_oracle_stub + {STUB_TO_CONTEXT} + {RFLAGS} + 8]
    pushfq
    lea rax, [rip + encore86_oracle_stub + {STUB_TO_CONTEXT}]
    jmp [rip + encore86_oracle_stub + {STUB_TO_CONTEXT} + {LEAVE}]
    .globl encore86_oracle_stub_far
    .hidden encore86_oracle_stub_far
encore86_oracle_stub_far:
    mov ss, [rip + encore86_oracle_stub + {STUB_TO_CONTEXT} + {FAR_SS}]
    jmp fword ptr [rip + encore86_oracle_stub + {STUB_TO_CONTEXT} + {FAR}]
    .globl encore86_oracle_stub_end
    .hidden encore86_oracle_stub_end
encore86_oracle_stub_end:
    .popsection
    "#,
    on_signal = sym crate::signals::on_signal,
    STUB_TO_CONTEXT = const STUB_TO_CONTEXT,
    ZMM = const offset_of!(Context, state.zmm),
    K = const offset_of!(Context, state.k),
    GPR = const offset_of!(Context, state.gpr),
    RFLAGS = const offset_of!(Context, state.rflags),
    FS_BASE = const offset_of!(Context, state.fs_base),
    GS_BASE = const offset_of!(Context, state.gs_base),
    FX = const offset_of!(Context, fx),
    IRET = const offset_of!(Context, iret),
    SELECTORS = const offset_of!(Context, selectors),
    COMPAT = const offset_of!(Context, compat),
    VECTOR = const offset_of!(Context, vector),
    LEAVE = const offset_of!(Context, leave),
    FAR = const offset_of!(Context, far.offset),
    FAR_SS = const offset_of!(Context, far.ss),
    HOST_SS = const offset_of!(Context, host_ss),
    ACTIVE = const offset_of!(Context, active),
    HOST_RSP = const offset_of!(Context, host_rsp),
    HOST_FS = const offset_of!(Context, host_fs),
    HOST_GS = const offset_of!(Context, host_gs),
    HOST_MXCSR = const offset_of!(Context, host_mxcsr),
    HOST_FCW = const offset_of!(Context, host_fcw),
);
