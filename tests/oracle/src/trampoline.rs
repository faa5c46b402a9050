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
}

/// The exit stub, position-independent as long as the context stays `STUB_TO_CONTEXT` ahead of it.
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

const GPR: usize = offset_of!(Context, state) + offset_of!(State, gpr);
const ZMM: usize = offset_of!(Context, state) + offset_of!(State, zmm);

global_asm!(
    r#"
    .macro oracle_lanes move, register, first, last, to_memory
    .set oracle_n, \first
    .rept \last - \first + 1
    oracle_lane \move, \register, %oracle_n, \to_memory
    .set oracle_n, oracle_n + 1
    .endr
    .endm

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
    "#,
    "",
);
