//! The register state that goes into a run, and what comes out of it.

use core::fmt;

/// The carry flag of `State::rflags`.
pub const CF: u64 = 1 << 0;
/// The parity flag.
pub const PF: u64 = 1 << 2;
/// The auxiliary carry flag.
pub const AF: u64 = 1 << 4;
/// The zero flag.
pub const ZF: u64 = 1 << 6;
/// The sign flag.
pub const SF: u64 = 1 << 7;
/// The trap flag: the run ends with #DB after one instruction.
pub const TF: u64 = 1 << 8;
/// The interrupt flag: always set in user mode, so always set in a result.
pub const IF: u64 = 1 << 9;
/// The direction flag.
pub const DF: u64 = 1 << 10;
/// The overflow flag.
pub const OF: u64 = 1 << 11;
/// The nested task flag.
pub const NT: u64 = 1 << 14;
/// The alignment check flag.
pub const AC: u64 = 1 << 18;
/// The identification flag.
pub const ID: u64 = 1 << 21;
/// The six arithmetic flags.
pub const ARITHMETIC: u64 = CF | PF | AF | ZF | SF | OF;

/// Index of RAX, EAX, AX, AL in [`State::gpr`].
pub const RAX: usize = 0;
/// Index of RCX.
pub const RCX: usize = 1;
/// Index of RDX.
pub const RDX: usize = 2;
/// Index of RBX.
pub const RBX: usize = 3;
/// Index of RSP.
pub const RSP: usize = 4;
/// Index of RBP.
pub const RBP: usize = 5;
/// Index of RSI.
pub const RSI: usize = 6;
/// Index of RDI.
pub const RDI: usize = 7;
/// Index of R8; R9 to R15 follow.
pub const R8: usize = 8;
/// Index of R10.
pub const R10: usize = 10;

/// The architectural state of user mode: all of it is loaded before a run and saved after it.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// ZMM0 to ZMM31, low byte first; XMM and YMM are the low 16 and 32 bytes. What the host lacks (see
    /// [`crate::Features::vector`]) is not loaded and comes back as given.
    pub zmm: [[u8; 64]; 32],
    /// K0 to K7; come back as given where the host has no AVX-512.
    pub k: [u64; 8],
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15 (the order of ModRM).
    pub gpr: [u64; 16],
    /// Out only: where control stood at the end, as the value of RIP, EIP or IP. After an exception it is the pushed
    /// one: the instruction itself for a fault, the next one for a trap.
    pub rip: u64,
    /// Flags. In: CF, PF, AF, ZF, SF, TF, DF, OF, NT, AC and ID count, the others are fixed. Out: bit 1 and IF are
    /// always set, RF never.
    pub rflags: u64,
    /// FS base. Loaded in 64-bit mode only; the compatibility modes take theirs from [`crate::Oracle::segments`].
    pub fs_base: u64,
    /// GS base, like `fs_base`.
    pub gs_base: u64,
    /// x87 and MMX.
    pub x87: X87,
    /// MXCSR. Bits that the host reserves are cleared before loading.
    pub mxcsr: u32,
}

/// The x87 state, as an FXSAVE image has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X87 {
    /// Control word.
    pub fcw: u16,
    /// Status word with TOP in bits 11 to 13.
    pub fsw: u16,
    /// Abridged tags: bit *n* is set if *physical* register *n* is in use.
    pub ftw: u8,
    /// Last opcode, 11 bits. Like the pointers it is loaded always, but AMD processors give back 0 in all three unless an
    /// unmasked exception is pending; run FNSTENV to see them.
    pub fop: u16,
    /// Last instruction pointer.
    pub fip: u64,
    /// Last data pointer.
    pub fdp: u64,
    /// The 80-bit registers ST(0) to ST(7): relative to TOP. MMX registers are the low 8 bytes, and `st[n]` is MM*n*
    /// when TOP is 0.
    pub st: [[u8; 10]; 8],
}

impl Default for X87 {
    /// As FNINIT leaves it: empty, all exceptions masked, extended precision.
    fn default() -> X87 {
        X87 { fcw: 0x37f, fsw: 0, ftw: 0, fop: 0, fip: 0, fdp: 0, st: [[0; 10]; 8] }
    }
}

impl Default for State {
    /// All zero, but for IF and bit 1 of the flags and the reset values of the floating-point control words.
    fn default() -> State {
        State {
            zmm: [[0; 64]; 32],
            k: [0; 8],
            gpr: [0; 16],
            rip: 0,
            rflags: IF | 2,
            fs_base: 0,
            gs_base: 0,
            x87: X87::default(),
            mxcsr: 0x1f80,
        }
    }
}

impl State {
    /// One line for each field in which the two differ, as `name: self != other`; empty if they are equal.
    pub fn diff(&self, other: &State) -> String {
        let mut out = String::new();
        for ((name, ours), (_, theirs)) in self.fields().into_iter().zip(other.fields()) {
            if ours != theirs {
                out += &format!("{name}: {ours} != {theirs}\n");
            }
        }
        out
    }

    fn fields(&self) -> Vec<(String, String)> {
        const GPR: [&str; 16] = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
            "r15",
        ];
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut word = |name: String, value: u64| fields.push((name, format!("{value:#x}")));
        for (name, value) in GPR.iter().zip(self.gpr) {
            word((*name).into(), value);
        }
        word("rip".into(), self.rip);
        word("rflags".into(), self.rflags);
        word("fs_base".into(), self.fs_base);
        word("gs_base".into(), self.gs_base);
        word("mxcsr".into(), self.mxcsr.into());
        word("fcw".into(), self.x87.fcw.into());
        word("fsw".into(), self.x87.fsw.into());
        word("ftw".into(), self.x87.ftw.into());
        word("fop".into(), self.x87.fop.into());
        word("fip".into(), self.x87.fip);
        word("fdp".into(), self.x87.fdp);
        for (n, k) in self.k.iter().enumerate() {
            word(format!("k{n}"), *k);
        }
        for (n, st) in self.x87.st.iter().enumerate() {
            fields.push((format!("st{n}"), big_endian(st)));
        }
        for (n, zmm) in self.zmm.iter().enumerate() {
            fields.push((format!("zmm{n}"), big_endian(zmm)));
        }
        fields
    }
}

/// The bytes as one number, the way a manual writes a register.
fn big_endian(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

impl fmt::Debug for State {
    /// The fields that differ from the default state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("State");
        for ((name, value), (_, default)) in self.fields().into_iter().zip(State::default().fields()) {
            if value != default {
                out.field(&name, &format_args!("{value}"));
            }
        }
        out.finish_non_exhaustive()
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The instruction completed; [`State::rip`] says where control went.
    Retired,
    /// The processor raised an exception. [`State::rip`] is the instruction pointer that it pushed.
    Signal {
        /// The vector: 0 #DE, 1 #DB, 3 #BP, 4 #OF, 5 #BR, 6 #UD, 11 #NP, 12 #SS, 13 #GP, 14 #PF, 16 #MF, 17 #AC, 19 #XM.
        trap: u8,
        /// The error code, 0 for a vector that has none.
        error: u64,
        /// CR2 for #PF, else 0.
        cr2: u64,
    },
    /// It was a system call, and a seccomp filter stopped it with SIGSYS.
    SystemCall,
}

impl Ended {
    /// The vector, if the run ended with an exception.
    pub fn trap(self) -> Option<u8> {
        match self {
            Ended::Retired | Ended::SystemCall => None,
            Ended::Signal { trap, .. } => Some(trap),
        }
    }
}
