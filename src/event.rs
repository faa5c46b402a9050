//! What a step can end in.

use core::fmt;

/// An exception or trap that the guest must take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Vector, 0 to 31 for exceptions.
    pub vector: u8,
    /// The error code, for vectors that push one.
    pub error_code: Option<u32>,
    /// The faulting linear address, for #PF.
    pub cr2: Option<u64>,
    /// Fault: RIP stays at the instruction. Trap or software interrupt: RIP is behind it.
    pub kind: EventKind,
    /// Bytes of the INT n, INT1, INT3 or INTO that asked for it, else 0. An exception on the way to the handler is a fault of
    /// that instruction.
    pub length: u8,
    /// What else is to be told of it where events come by FRED: the bits of DR6 that a #DB sets, IA32_XFD_ERR for the #NM that has
    /// set it.
    pub data: u32,
    /// It was met while another event was delivered, which FRED tells.
    pub nested: bool,
    /// The reason in words, for logs.
    pub cause: &'static str,
}

/// How an event relates to the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The instruction has not been carried out.
    Fault,
    /// Neither has it, for a breakpoint on it: a fault that RF, as it is pushed, does not tell of.
    Breakpoint,
    /// The instruction is complete.
    Trap,
    /// INT n: RIP is behind the instruction.
    Software,
    /// INT3 and INTO: the same, but virtual-8086 mode does not treat them as INT n.
    SoftwareException,
    /// From outside, between two instructions.
    Interrupt,
    /// The same, and others wait until IRET.
    Nmi,
}

impl EventKind {
    /// Has a program asked for it by INT n, INT3 or INTO?
    pub const fn is_software(self) -> bool {
        matches!(self, EventKind::Software | EventKind::SoftwareException)
    }
}

macro_rules! faults {
    ($( $name:ident = $vector:literal $(, $error:expr)?; )*) => {
        $(
            #[doc = concat!("Vector ", stringify!($vector), ", a fault.")]
            pub const fn $name(cause: &'static str) -> Event {
                #[allow(unused_mut, unused_assignments)]
                let mut error_code = None;
                $( error_code = Some($error); )?
                Event { error_code, kind: EventKind::Fault, ..Event::software($vector, cause) }
            }
        )*
    };
}

impl Event {
    faults! {
        de = 0;
        br = 5;
        ud = 6;
        nm = 7;
        df = 8, 0;
        ts0 = 10, 0;
        np0 = 11, 0;
        gp0 = 13, 0;
        ss0 = 12, 0;
        mf = 16;
        ac0 = 17, 0;
        xm = 19;
    }

    /// The same with a selector as the error code; RPL is no part of it.
    pub const fn on(self, selector: u16) -> Event {
        Event { error_code: Some(selector as u32 & 0xfffc), ..self }
    }

    /// #CP with its cause as the error code.
    pub const fn cp(error_code: u32, cause: &'static str) -> Event {
        Event { error_code: Some(error_code), kind: EventKind::Fault, ..Event::software(21, cause) }
    }

    /// An interrupt from outside, for `Engine::deliver`.
    pub const fn interrupt(vector: u8) -> Event {
        Event { kind: EventKind::Interrupt, ..Event::software(vector, "an interrupt") }
    }

    /// A non-maskable interrupt, for `Engine::deliver`.
    pub const fn nmi() -> Event {
        Event { kind: EventKind::Nmi, ..Event::software(2, "a non-maskable interrupt") }
    }

    /// #PF at `cr2` with the bits of the error code.
    pub const fn pf(error_code: u32, cr2: u64, cause: &'static str) -> Event {
        Event { error_code: Some(error_code), cr2: Some(cr2), kind: EventKind::Fault, ..Event::software(14, cause) }
    }

    /// #DB.
    pub const fn db(kind: EventKind, cause: &'static str) -> Event {
        Event { kind, ..Event::software(1, cause) }
    }

    /// INT n. For one whose instruction is known, set its `length` too.
    pub const fn software(vector: u8, cause: &'static str) -> Event {
        let kind = EventKind::Software;
        Event { vector, error_code: None, cr2: None, kind, length: 0, data: 0, nested: false, cause }
    }

    /// The manual's name of the vector, `#GP` for 13.
    pub const fn name(&self) -> &'static str {
        match self.vector {
            0 => "#DE",
            1 => "#DB",
            2 => "NMI",
            3 => "#BP",
            4 => "#OF",
            5 => "#BR",
            6 => "#UD",
            7 => "#NM",
            8 => "#DF",
            10 => "#TS",
            11 => "#NP",
            12 => "#SS",
            13 => "#GP",
            14 => "#PF",
            16 => "#MF",
            17 => "#AC",
            18 => "#MC",
            19 => "#XM",
            20 => "#VE",
            21 => "#CP",
            _ => "INT",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == EventKind::Software || self.name() == "INT" {
            write!(f, "INT {:#x}", self.vector)?;
        } else {
            f.write_str(self.name())?;
        }
        if let Some(code) = self.error_code {
            write!(f, "({code:#x})")?;
        }
        if let Some(cr2) = self.cr2 {
            write!(f, " at {cr2:#x}")?;
        }
        write!(f, ": {}", self.cause)
    }
}

/// Why a callback did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The guest must take this.
    Fault(Event),
    /// The answer comes later: step the same instruction again when it is there.
    Retry,
    /// The device takes at most this many bytes at once (a power of two): the engine comes again in pieces.
    TooWide(u8),
    /// End the step with [`Outcome::Stopped`] and this code.
    Caller(u64),
    /// The VMM has not provided this callback; ends in [`Outcome::Unsupported`].
    NotProvided(&'static str),
}

impl From<Event> for Stop {
    fn from(event: Event) -> Stop {
        Stop::Fault(event)
    }
}

/// What a completed instruction leaves for the VMM to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// MOV SS or POP SS: events wait one instruction.
    pub mov_ss: bool,
    /// STI: interrupts wait one instruction.
    pub sti: bool,
    /// RFLAGS.TF was set: a #DB is due. See [`Retired::debug`].
    pub singlestep: bool,
    /// Breakpoints on data and ports that were met, B0 to B3 as in DR6: a #DB is due.
    pub breakpoints: u8,
    /// The TSS of the task that was switched to has T set: a #DB is due.
    pub task_switch: bool,
    /// IRET unblocked NMIs.
    pub nmi_unblocked: bool,
    /// HLT: the processor waits.
    pub hlt: bool,
    /// A repeated string instruction has more to do; RIP is still at it.
    pub rep_unfinished: bool,
}

/// Single step, in DR6.
pub(crate) const DR6_BS: u64 = 1 << 14;
/// T of a task's TSS, in DR6.
pub(crate) const DR6_BT: u64 = 1 << 15;

impl Retired {
    /// The bits of DR6 that a #DB sets which is due behind the instruction: B0 to B3, BS and BT, 0 if none is due.
    pub const fn dr6(&self) -> u64 {
        let (step, task) = (if self.singlestep { DR6_BS } else { 0 }, if self.task_switch { DR6_BT } else { 0 });
        self.breakpoints as u64 | step | task
    }

    /// The #DB that is due behind the instruction. Who delivers it sets the bits [`Retired::dr6`] in DR6.
    pub const fn debug(&self) -> Option<Event> {
        let cause = match (self.breakpoints, self.singlestep, self.task_switch) {
            (0, false, false) => return None,
            (0, true, _) => "RFLAGS.TF was set",
            (0, _, true) => "T of the new task's TSS is set",
            _ => "a breakpoint on data or a port",
        };
        Some(Event { data: self.dr6() as u32, ..Event::db(EventKind::Trap, cause) })
    }
}

/// Why a valid instruction could not be run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsupported {
    /// The guest's profile has this feature, the host does not, and the engine replays it.
    HostLacks(&'static str),
    /// The engine has no code for the instruction.
    Instruction(&'static str),
    /// A [`Platform`](crate::bus::Platform) callback that the VMM has not provided.
    Platform(&'static str),
    /// Stubs can't be made or run: why.
    Stubs(&'static str),
    /// The instruction needs more accesses than the journal holds.
    Journal,
    /// A journal is open and this is not the instruction it belongs to: call `Engine::abandon`.
    JournalMismatch,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsupported::HostLacks(name) => write!(f, "the host lacks {name}"),
            Unsupported::Instruction(name) => write!(f, "{name} is not executed yet"),
            Unsupported::Platform(name) => write!(f, "the monitor does not provide {name}"),
            Unsupported::Stubs(why) => write!(f, "no stub can be run: {why}"),
            Unsupported::Journal => f.write_str("more accesses before a retry than the journal holds"),
            Unsupported::JournalMismatch => {
                f.write_str("another instruction waits for its retry; step that one or call Engine::abandon")
            }
        }
    }
}

/// What became of one instruction. Each variant says what is committed.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Registers, flags, memory and RIP are all committed.
    Completed(Retired),
    /// The guest must take this; only what the architecture leaves behind is committed (REP and gather progress,
    /// sticky exception flags). RIP is at the instruction for faults, behind it for traps and software interrupts.
    Exception(Event),
    /// The bus asked to come back later: registers unchanged, accesses done so far stay in the journal.
    Retry,
    /// A callback said stop; nothing of the instruction is committed but accesses already made.
    Stopped(u64),
    /// A filter declined the decoded instruction; nothing is committed.
    Refused,
    /// Triple fault while delivering an event.
    Shutdown,
    /// A valid instruction outside the host or the engine: nothing is committed. Never stands for #UD.
    Unsupported(Unsupported),
}
