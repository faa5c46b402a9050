//! What an instruction will touch, told from its registers alone: no bus, no engine, nothing is run.
//!
//! [`Insn::accesses`] lists the bytes that it reads and writes, [`Insn::state_read`] and [`Insn::state_written`] the state
//! components and flags. Where an address depends on what is in memory, the list says that it is not complete.
//!
//! The addresses come from the functions that the executing rooms use. What the filters of [`introspect`](crate::introspect)
//! are shown is found by a trial with the monitor's memory, and therefore knows more; this needs nothing but registers.

mod implicit;
mod state;
mod xsave;

pub use state::StateUse;

use crate::address::{self, Intent};
use crate::cpu::Cpu;
use crate::cpu::registers::gpr::{RCX, RDI, RDX, RSI};
use crate::cpu::registers::rflags::DF;
use crate::cpu::segment::Seg;
use crate::decode::{Insn, SlotKind};
use crate::integer;
use crate::isa::row::{Exec, IntOp, Shape, StrOp, SysOp, Tuple, Use, attr};
use crate::profile::Profile;
use crate::replay;
use core::ops::Deref;

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Loads.
    Read,
    /// Stores.
    Write,
    /// Loads and stores the same bytes.
    ReadWrite,
    /// Names an address whose bytes stay where they are: prefetches, CLFLUSH, MONITOR.
    Address,
    /// Reads a port.
    In,
    /// Writes a port.
    Out,
}

/// Why an access is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// An operand of the instruction.
    Operand,
    /// At rSI or rDI, of a string instruction.
    String,
    /// The stack.
    Stack,
    /// The shadow stack.
    ShadowStack,
    /// Descriptor tables and task state, which the processor looks at by itself.
    Table,
    /// A port.
    Port,
}

/// An access that an instruction will make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Foreseen {
    /// Linear address of the first byte, or the port.
    pub at: u64,
    /// Bytes.
    pub len: u32,
    /// What it does.
    pub kind: Kind,
    /// Why it is made.
    pub role: Role,
    /// It may be left out: whether it is made depends on what is in memory or on more than registers tell.
    pub conditional: bool,
    /// Part of a locked operation.
    pub locked: bool,
}

impl Foreseen {
    const fn new(at: u64, len: u32, kind: Kind, role: Role) -> Foreseen {
        Foreseen { at, len, kind, role, conditional: false, locked: false }
    }

    /// Is it an access to memory that loads or stores?
    pub const fn is_memory(&self) -> bool {
        matches!(self.kind, Kind::Read | Kind::Write | Kind::ReadWrite)
    }
}

/// Room for the longest list: the bytes of a vector, or ENTER with its 31 levels.
const ROOM: usize = 64;

/// The accesses of an instruction, one for each that the architecture makes: an active element, an operand (also across a
/// page), an entry of the stack. Of a repeated string instruction it is those of its first repetition.
#[derive(Clone, Copy)]
pub struct Accesses {
    list: [Foreseen; ROOM],
    count: usize,
    incomplete: bool,
    repetitions: Option<u64>,
    stride: i64,
}

impl Accesses {
    const EMPTY: Accesses = Accesses {
        list: [Foreseen::new(0, 0, Kind::Read, Role::Operand); ROOM],
        count: 0,
        incomplete: false,
        repetitions: None,
        stride: 0,
    };

    /// Are there no others? If not, there are some that registers do not tell: their addresses are in memory (a selector's
    /// descriptor, a task, a tile's configuration), or in registers that [`Cpu`] does not have.
    pub const fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// How often a repeated string instruction repeats at most: rCX. `None` for all others. REPE and REPNE may end before.
    pub const fn repetitions(&self) -> Option<u64> {
        self.repetitions
    }

    /// Bytes by which a repetition's accesses to memory lie behind (or, negative, before) those of the one before it. They
    /// wrap where rSI and rDI do.
    pub const fn stride(&self) -> i64 {
        self.stride
    }

    fn push(&mut self, access: Foreseen) {
        match self.list.get_mut(self.count) {
            Some(place) => {
                *place = access;
                self.count += 1;
            }
            None => self.incomplete = true,
        }
    }
}

impl Deref for Accesses {
    type Target = [Foreseen];

    fn deref(&self) -> &[Foreseen] {
        &self.list[..self.count]
    }
}

impl core::fmt::Debug for Accesses {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Accesses")
            .field("list", &&**self)
            .field("incomplete", &self.incomplete)
            .field("repetitions", &self.repetitions)
            .field("stride", &self.stride)
            .finish()
    }
}

impl Insn {
    /// The accesses that the instruction will make with the registers of `cpu`, on a processor as `profile` has it.
    ///
    /// It lists what the instruction asks for, as if all of it were granted: limits, types and rights of segments,
    /// canonical form, alignment, privilege and paging are not checked, and a pending exception is not looked at. An address
    /// that is refused is given as segmentation would make it. What the processor does by itself around any instruction
    /// (fetches, page walks, the delivery of an exception) is not listed.
    ///
    /// ```
    /// use encore86::foresight::Kind;
    /// use encore86::{Cpu, Mode, Profile, decode};
    ///
    /// let profile = Profile::all();
    /// let insn = decode(&[0xff, 0x33], Mode::Long64, &profile).unwrap(); // push qword ptr [rbx]
    /// let mut cpu = Cpu::new();
    /// (cpu.gpr[3], cpu.gpr[4]) = (0x1000, 0x8000);
    /// let accesses = insn.accesses(&cpu, &profile);
    /// let listed = accesses.iter().map(|a| (a.at, a.len, a.kind)).collect::<Vec<_>>();
    /// assert_eq!(listed, [(0x1000, 8, Kind::Read), (0x7ff8, 8, Kind::Write)]);
    /// assert!(accesses.is_complete());
    /// ```
    pub fn accesses(&self, cpu: &Cpu, profile: &Profile) -> Accesses {
        let mut look = Look { cpu, insn: self, profile, found: Accesses::EMPTY };
        match self.row.exec {
            // Some hints name an address.
            Exec::Value(op) if op != IntOp::Nop => look.value(op),
            Exec::Replay(shape) => look.vector(shape),
            Exec::Str(op) => look.string(op),
            Exec::System(SysOp::Ud) => {}
            _ => look.implied(),
        }
        look.found
    }
}

/// An instruction on its way to a list.
struct Look<'a> {
    cpu: &'a Cpu,
    insn: &'a Insn,
    profile: &'a Profile,
    found: Accesses,
}

fn intent(kind: Kind) -> Intent {
    if matches!(kind, Kind::Write | Kind::ReadWrite) { Intent::Write } else { Intent::Read }
}

fn kind_of(uses: Use) -> Option<Kind> {
    match uses {
        Use::None => None,
        Use::Read => Some(Kind::Read),
        Use::Write | Use::CondWrite => Some(Kind::Write),
        Use::ReadWrite | Use::ReadCondWrite => Some(Kind::ReadWrite),
    }
}

impl Look<'_> {
    fn push(&mut self, at: u64, len: u32, kind: Kind, role: Role) {
        self.found.push(Foreseen::new(at, len, kind, role));
    }

    fn push_conditional(&mut self, at: u64, len: u32, kind: Kind, role: Role) {
        self.found.push(Foreseen { conditional: true, ..Foreseen::new(at, len, kind, role) });
    }

    /// There are accesses that registers do not tell.
    fn more(&mut self) {
        self.found.incomplete = true;
    }

    /// Those of the memory operand.
    fn operand_at(&mut self, offset: u64) {
        let Some((slot, uses)) = self.insn.memory() else { return };
        let (Some(kind), true) = (kind_of(uses), slot.size != 0) else { return };
        let at = |from: u64, len: u16| address::asked(self.cpu, self.insn.segment(), from, len.into(), intent(kind));
        let (first, locked) = (at(offset, slot.size), self.insn.locked() || self.insn.row.is(attr::LOCKED));
        let conditional = matches!(uses, Use::CondWrite | Use::ReadCondWrite);
        // No processor makes the load of CMPXCHG without its store.
        if uses == Use::ReadCondWrite && !matches!(self.insn.row.exec, Exec::Value(IntOp::Cmpxchg | IntOp::CmpxchgPair))
        {
            self.push(first, slot.size.into(), Kind::Read, Role::Operand);
            return self.push_conditional(first, slot.size.into(), Kind::Write, Role::Operand);
        }
        let access = Foreseen { locked, ..Foreseen::new(first, slot.size.into(), kind, Role::Operand) };
        self.found.push(Foreseen { conditional: conditional && uses != Use::ReadCondWrite, ..access });
    }

    fn operand(&mut self) {
        if self.insn.memory().is_some() {
            self.operand_at(address::effective(self.cpu, self.insn));
        }
    }

    fn value(&mut self, op: IntOp) {
        if self.insn.memory().is_some() {
            self.operand_at(integer::operand_offset(op, self.cpu, self.insn));
        }
    }

    fn vector(&mut self, shape: Shape) {
        let uses = self.insn.memory().map_or(Use::Write, |(_, uses)| uses);
        // The prefetches of AVX-512PF use nothing.
        let kind = kind_of(uses).unwrap_or(Kind::Address);
        let found = &mut self.found;
        replay::reach(shape, self.cpu, self.insn, self.profile, &mut |at, len| {
            found.push(Foreseen::new(at, len.into(), kind, Role::Operand));
        });
    }

    /// A vector instruction that nothing executes yet.
    fn other_vector(&mut self) {
        let Some((slot, uses)) = self.insn.memory() else { return };
        match self.insn.opmask() {
            _ if slot.kind == SlotKind::Vsib => self.vector(Shape::Gather),
            // Four single operands that the elements share (4FMAPS, 4VNNIW).
            Some(_) if self.insn.row.tuple == Tuple::M128 && uses == Use::Read => {
                let at = address::effective(self.cpu, self.insn);
                let at = address::asked(self.cpu, self.insn.segment(), at, slot.size.into(), Intent::Read);
                self.push_conditional(at, slot.size.into(), Kind::Read, Role::Operand);
            }
            Some(_) => self.vector(Shape::Plain),
            None => self.operand(),
        }
    }

    fn string(&mut self, op: StrOp) {
        let (cpu, insn) = (self.cpu, self.insn);
        let size = integer::element_size(insn);
        if matches!(op, StrOp::Ins | StrOp::Outs) {
            // Also where nothing is repeated.
            self.port_bitmap();
        }
        if insn.repeat().is_some() {
            self.found.repetitions = Some(address::truncate(cpu.gpr[RCX], insn.asize()));
            let by = i64::from(size);
            self.found.stride = if cpu.rflags() & DF != 0 { -by } else { by };
            if self.found.repetitions == Some(0) {
                return;
            }
        }
        if op == StrOp::Ins {
            self.push(cpu.gpr[RDX] & 0xffff, size.into(), Kind::In, Role::Port);
        }
        if integer::uses_source(op) {
            let offset = address::string_offset(cpu, insn, RSI);
            let at = address::asked(cpu, insn.segment(), offset, size.into(), Intent::Read);
            self.push(at, size.into(), Kind::Read, Role::String);
        }
        if integer::uses_destination(op) {
            let kind = if matches!(op, StrOp::Cmps | StrOp::Scas) { Kind::Read } else { Kind::Write };
            let offset = address::string_offset(cpu, insn, RDI);
            let at = address::asked(cpu, Seg::Es, offset, size.into(), intent(kind));
            self.push(at, size.into(), kind, Role::String);
        }
        if op == StrOp::Outs {
            self.push(cpu.gpr[RDX] & 0xffff, size.into(), Kind::Out, Role::Port);
        }
    }
}
