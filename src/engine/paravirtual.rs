//! A kernel that runs natively without its privilege (in ring 1, or in ring 3 of 64-bit mode), and whose privileged instructions are
//! run on its behalf by the handler of the #GP that they raise.
//!
//! The processor has the kernel's general-purpose registers and the arithmetic flags; everything that the kernel believes about
//! the system is in a [`Kernel`]. [`Engine::step_paravirtual`] puts both together, asks a [`Policy`] whether and how, runs the
//! one instruction at the privilege that the kernel believes to have, and takes both apart again.

use super::{Engine, Works, cached};
use crate::bus::Vmm;
use crate::cpu::registers::gpr::{RAX, RCX, RDX};
use crate::cpu::registers::rflags;
use crate::cpu::segment::{Seg, Segment};
use crate::cpu::{Cpu, System};
use crate::decode::{Insn, SlotKind};
use crate::event::{Event, Outcome, Retired};
use crate::integer::{self, element_size, read_slot, write_slot};
use crate::isa::Exec;
use crate::isa::row::{FarOp, PrivOp, StrOp, SysOp};
use crate::system::port;
use core::fmt;

/// Flags that the kernel sees as its own. The processor's stay as they are.
const VIRTUAL_FLAGS: u64 = rflags::IF | rflags::IOPL | rflags::AC | rflags::VM | rflags::VIF | rflags::VIP;

/// What a kernel without privilege believes about its processor.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its system registers. CS and SS are those that the kernel believes in, and SS has the privilege level at which instructions
    /// are emulated; DS, ES, FS and GS are taken from the processor at each step.
    pub system: System,
    /// IF, IOPL, AC, VM, VIF and VIP; other flags are the processor's.
    pub rflags: u64,
}

impl Kernel {
    /// With the system registers and flags of `cpu`, such as [`Cpu::new`]: a 64-bit kernel at CPL 0.
    pub fn new(cpu: &Cpu) -> Kernel {
        Kernel { system: cpu.system().clone(), rflags: cpu.rflags() & VIRTUAL_FLAGS }
    }

    /// Does `work` on the processor as the kernel believes it to be. Afterwards `cpu` has the registers that the work leaves,
    /// under the processor's own system registers and privilege; CS and SS, where the kernel loaded others, are what `policy`
    /// makes of them.
    pub fn with<R>(&mut self, cpu: &mut Cpu, policy: &mut dyn Policy, work: impl FnOnce(&mut Cpu) -> R) -> R {
        const DATA: [Seg; 4] = [Seg::Es, Seg::Ds, Seg::Fs, Seg::Gs];
        let native = cpu.system().clone();
        let own = cpu.rflags() & VIRTUAL_FLAGS;
        DATA.into_iter().for_each(|seg| self.system.seg[seg as usize] = native.seg[seg as usize]);
        let believed = self.system.seg;
        cpu.update(|s| s.clone_from(&self.system));
        cpu.set_rflags(cpu.rflags() & !VIRTUAL_FLAGS | self.rflags & VIRTUAL_FLAGS);
        let result = work(cpu);
        self.system.clone_from(cpu.system());
        self.rflags = cpu.rflags() & VIRTUAL_FLAGS;
        let loaded = self.system.seg;
        cpu.update(|s| {
            *s = native;
            for seg in Seg::ALL {
                let i = seg as usize;
                if loaded[i] != believed[i] {
                    s.seg[i] = match seg {
                        Seg::Cs | Seg::Ss => policy.native(seg, &loaded[i], &s.seg[i]),
                        _ => loaded[i],
                    };
                }
            }
        });
        cpu.set_rflags(cpu.rflags() & !VIRTUAL_FLAGS | own);
        result
    }
}

/// What an instruction needs privilege for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Privileged {
    /// MOV from this control register, SMSW.
    ReadControl(u8),
    /// MOV of this value to this control register, LMSW of a register, CLTS.
    WriteControl(u8, u64),
    /// LMSW from memory.
    WriteStatus,
    /// MOV from this debug register.
    ReadDebug(u8),
    /// MOV of this value to this debug register.
    WriteDebug(u8, u64),
    /// RDMSR.
    ReadMsr(u32),
    /// WRMSR, WRMSRNS.
    WriteMsr(u32, u64),
    /// RDMSRLIST, WRMSRLIST.
    MsrList,
    /// HRESET.
    ResetHistory,
    /// IN, INS: port and bytes.
    In(u16, u8),
    /// OUT, OUTS: port and bytes.
    Out(u16, u8),
    /// CLI (`false`), STI (`true`).
    InterruptFlag(bool),
    /// CLAC, STAC.
    AccessFlag(bool),
    /// LGDT.
    LoadGdt,
    /// LIDT.
    LoadIdt,
    /// LLDT.
    LoadLdt,
    /// LTR.
    LoadTask,
    /// SGDT, SIDT, SLDT, STR, while CR4.UMIP is set.
    StoreTable,
    /// A load of this segment register.
    LoadSegment(Seg),
    /// SWAPGS, LKGS.
    SwapGs,
    /// Far JMP, CALL, RET.
    FarTransfer,
    /// IRET.
    InterruptReturn,
    /// SYSRET, SYSEXIT.
    SystemReturn,
    /// HLT.
    Halt,
    /// MONITOR, MWAIT.
    Wait,
    /// RDTSC, RDTSCP while CR4.TSD is set.
    ReadTime,
    /// RDPMC of this counter.
    ReadCounter(u32),
    /// INVLPG, INVPCID.
    Invalidate,
    /// INVD, WBINVD, WBNOINVD.
    Caches,
    /// XSETBV.
    WriteXcr(u32, u64),
}

impl Privileged {
    /// What `insn` asks for with these registers; `None` for an instruction that needs no privilege.
    pub fn of(insn: &Insn, cpu: &Cpu) -> Option<Privileged> {
        use Privileged::*;
        let number = |i: usize| insn.slot(i).reg;
        let (index, pair) = (cpu.gpr[RCX] as u32, cpu.gpr[RAX] & 0xffff_ffff | cpu.gpr[RDX] << 32);
        Some(match insn.row().exec {
            Exec::Privileged(op) => match op {
                PrivOp::ReadControl => ReadControl(number(1)),
                PrivOp::WriteControl => WriteControl(number(0), read_slot(cpu, insn, insn.slot(1))),
                PrivOp::ReadDebug => ReadDebug(number(1)),
                PrivOp::WriteDebug => WriteDebug(number(0), read_slot(cpu, insn, insn.slot(1))),
                PrivOp::Clts => WriteControl(0, cpu.system().cr0 & !crate::cpu::registers::cr0::TS),
                PrivOp::Smsw => ReadControl(0),
                PrivOp::Lmsw if insn.slot(0).kind == SlotKind::Memory => WriteStatus,
                PrivOp::Lmsw => WriteControl(0, cpu.system().cr0 & !0xe | read_slot(cpu, insn, insn.slot(0)) & 0xf),
                PrivOp::StoreTable | PrivOp::StoreSelector => StoreTable,
                PrivOp::LoadTable if insn.modrm() >> 3 & 1 == 0 => LoadGdt,
                PrivOp::LoadTable => LoadIdt,
                PrivOp::Rdmsr => ReadMsr(index),
                PrivOp::Wrmsr => WriteMsr(index, pair),
                PrivOp::Hreset => ResetHistory,
                PrivOp::Rdpmc => ReadCounter(index),
                PrivOp::Swapgs => SwapGs,
                PrivOp::Invlpg | PrivOp::Invpcid => Invalidate,
                PrivOp::Invd | PrivOp::Wbinvd | PrivOp::Wbnoinvd => Caches,
                PrivOp::Clac => AccessFlag(false),
                PrivOp::Stac => AccessFlag(true),
                PrivOp::Xsetbv => WriteXcr(index, pair),
                PrivOp::Rdpkru | PrivOp::Wrpkru => return None,
            },
            Exec::System(op) => match op {
                SysOp::In => In(port(cpu, insn, 1), insn.slot(0).size as u8),
                SysOp::Out => Out(port(cpu, insn, 0), insn.slot(1).size as u8),
                SysOp::Cli => InterruptFlag(false),
                SysOp::Sti => InterruptFlag(true),
                SysOp::Hlt => Halt,
                SysOp::Monitor | SysOp::Mwait => Wait,
                SysOp::Rdtsc | SysOp::Rdtscp => ReadTime,
                _ => return None,
            },
            Exec::Str(StrOp::Ins) => In(cpu.gpr[RDX] as u16, element_size(insn) as u8),
            Exec::Str(StrOp::Outs) => Out(cpu.gpr[RDX] as u16, element_size(insn) as u8),
            Exec::Far(op) => match op {
                FarOp::Load | FarOp::Pop => LoadSegment(segment(number(0))),
                FarOp::LoadPointer => LoadSegment(segment(number(2))),
                FarOp::LoadKernelGs => SwapGs,
                FarOp::LoadTable => LoadLdt,
                FarOp::LoadTask => LoadTask,
                FarOp::Jump | FarOp::Call | FarOp::Return => FarTransfer,
                FarOp::Iret | FarOp::Erets | FarOp::Eretu => InterruptReturn,
                FarOp::Sysret | FarOp::Sysexit => SystemReturn,
                _ => return None,
            },
            _ => return None,
        })
    }
}

fn segment(number: u8) -> Seg {
    Seg::ALL[usize::from(number) % 6]
}

impl fmt::Display for Privileged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Privileged::*;
        match self {
            ReadControl(n) => write!(f, "a read of CR{n}"),
            WriteStatus => f.write_str("a write to the low bits of CR0"),
            WriteControl(n, value) => write!(f, "a write of {value:#x} to CR{n}"),
            ReadDebug(n) => write!(f, "a read of DR{n}"),
            WriteDebug(n, value) => write!(f, "a write of {value:#x} to DR{n}"),
            ReadMsr(index) => write!(f, "a read of model-specific register {index:#x}"),
            WriteMsr(index, value) => write!(f, "a write of {value:#x} to model-specific register {index:#x}"),
            MsrList => f.write_str("a list of model-specific registers"),
            ResetHistory => f.write_str("HRESET"),
            In(port, size) => write!(f, "a read of {size} bytes from port {port:#x}"),
            Out(port, size) => write!(f, "a write of {size} bytes to port {port:#x}"),
            InterruptFlag(set) => write!(f, "{}", if *set { "STI" } else { "CLI" }),
            AccessFlag(set) => write!(f, "{}", if *set { "STAC" } else { "CLAC" }),
            LoadGdt => f.write_str("a load of GDTR"),
            LoadIdt => f.write_str("a load of IDTR"),
            LoadLdt => f.write_str("a load of LDTR"),
            LoadTask => f.write_str("a load of TR"),
            StoreTable => f.write_str("a store of a descriptor table's register"),
            LoadSegment(seg) => write!(f, "a load of {}", seg.name()),
            SwapGs => f.write_str("a change of IA32_KERNEL_GS_BASE"),
            FarTransfer => f.write_str("a far transfer"),
            InterruptReturn => f.write_str("a return from an interrupt"),
            SystemReturn => f.write_str("a return from a system call"),
            Halt => f.write_str("HLT"),
            Wait => f.write_str("a wait for a store"),
            ReadTime => f.write_str("a read of the time-stamp counter"),
            ReadCounter(index) => write!(f, "a read of performance counter {index:#x}"),
            Invalidate => f.write_str("an invalidation of translations"),
            Caches => f.write_str("an operation on all caches"),
            WriteXcr(index, value) => write!(f, "a write of {value:#x} to XCR{index}"),
        }
    }
}

/// What is done about a privileged instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It runs as on the processor that the kernel believes in: registers in [`Kernel`], ports, model-specific registers, the
    /// TLB and memory by the monitor's callbacks.
    Emulate,
    /// A read of a control, debug or model-specific register, port or counter gives this value in place of what it would
    /// find. For anything else it is a refusal.
    Give(u64),
    /// The instruction is passed over: RIP moves behind it, and nothing else happens.
    Ignore,
    /// [`Handled::Refused`]; nothing is changed.
    Refuse,
}

/// Which privileged instructions are emulated, and with what view.
pub trait Policy {
    /// Decides about one instruction. `cpu` is the processor as the kernel believes it to be.
    fn decide(&mut self, asked: &Privileged, cpu: &Cpu) -> Decision;

    /// What the processor has in CS or SS now that the kernel has loaded `believed`. By default what it had (`native`): a kernel in
    /// ring 3 of 64-bit mode has the same flat segments whatever it loads.
    fn native(&mut self, seg: Seg, believed: &Segment, native: &Segment) -> Segment {
        let _ = (seg, believed);
        *native
    }
}

/// What became of a #GP.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The instruction was run on the kernel's behalf, with this outcome. An exception is one that the processor which the
    /// kernel believes in would raise: deliver it to the kernel.
    Ran(Outcome),
    /// The policy refuses this.
    Refused(Privileged),
    /// An instruction that needs no privilege: the #GP has another reason, and is the kernel's. Its mnemonic.
    Unprivileged(&'static str),
}

impl Engine {
    /// Runs the privileged instruction at CS:RIP on behalf of a kernel without privilege: the one call of a #GP handler (and of
    /// #UD's, for CLAC and STAC). `cpu` has what the processor had when the instruction faulted. After [`Outcome::Retry`], step
    /// again in the same way.
    ///
    /// Accesses to memory are made at the privilege that the kernel believes to have.
    pub fn step_paravirtual<V: Vmm>(
        &mut self,
        cpu: &mut Cpu,
        kernel: &mut Kernel,
        vmm: &mut V,
        policy: &mut dyn Policy,
    ) -> Handled {
        // `native` is asked when the work is done: the policy is needed twice, one after the other.
        let asked = kernel.with(cpu, &mut Keep, |cpu| self.asked(cpu, vmm));
        let (insn, asked) = match asked {
            Ok((insn, Some(asked))) => (insn, asked),
            Ok((insn, None)) => return Handled::Unprivileged(insn.row().mnemonic),
            Err(outcome) => return Handled::Ran(outcome),
        };
        let waits = self.has_open_journal();
        let decision = match waits {
            true => Decision::Emulate,
            false => kernel.with(cpu, &mut Keep, |cpu| policy.decide(&asked, cpu)),
        };
        kernel.with(cpu, policy, |cpu| match decision {
            Decision::Emulate => Handled::Ran(self.step(cpu, vmm)),
            Decision::Give(value) if give(&asked, &insn, cpu, value) => pass(cpu, &insn),
            Decision::Ignore => pass(cpu, &insn),
            Decision::Give(_) | Decision::Refuse => Handled::Refused(asked),
        })
    }

    /// [`Engine::deliver`] to a kernel without privilege, through the IDT and TSS that it believes in.
    pub fn deliver_paravirtual<V: Vmm>(
        &mut self,
        cpu: &mut Cpu,
        kernel: &mut Kernel,
        vmm: &mut V,
        policy: &mut dyn Policy,
        event: Event,
    ) -> Outcome {
        kernel.with(cpu, policy, |cpu| self.deliver(cpu, vmm, event))
    }

    /// The instruction at CS:RIP and what it needs privilege for.
    fn asked<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V) -> Result<(Insn, Option<Privileged>), Outcome> {
        let Works { profile, .. } = &self.works;
        match cached(&mut self.cache, cpu, vmm, profile) {
            Ok(entry) => Ok((entry.insn, Privileged::of(&entry.insn, cpu))),
            Err(halt) => Err(self.not_decoded(halt, cpu)),
        }
    }
}

/// A policy that is not asked.
struct Keep;

impl Policy for Keep {
    fn decide(&mut self, _: &Privileged, _: &Cpu) -> Decision {
        Decision::Refuse
    }
}

fn pass(cpu: &mut Cpu, insn: &Insn) -> Handled {
    cpu.rip = integer::next_rip(cpu, insn);
    Handled::Ran(Outcome::Completed(Retired::default()))
}

/// Puts `value` where the instruction reads to; says whether it has such a place.
fn give(asked: &Privileged, insn: &Insn, cpu: &mut Cpu, value: u64) -> bool {
    match asked {
        Privileged::ReadControl(_) | Privileged::ReadDebug(_) | Privileged::In(..)
            if insn.slot(0).kind == SlotKind::Gpr =>
        {
            write_slot(cpu, insn.slot(0), value);
        }
        Privileged::ReadMsr(_) | Privileged::ReadCounter(_) => {
            (cpu.gpr[RAX], cpu.gpr[RDX]) = (value & 0xffff_ffff, value >> 32);
        }
        _ => return false,
    }
    true
}
