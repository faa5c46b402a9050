//! The oracle: lays code, runs it, and says how it ended.

use core::arch::asm;
use core::fmt;
use std::io;

use crate::features::{Features, Vector};
use crate::segments::{self, Segments};
use crate::signals;
use crate::slot::{CODE, CODE_LEN, DATA, EDGE, PAGE, STUB, Slot};
use crate::state::{AC, ARITHMETIC, DF, Ended, ID, IF, NT, RSP, State, TF, X87};
use crate::trampoline::{self, Context, Far, Fx, Iret};

/// The mode in which code runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 64-bit mode.
    #[default]
    Long64,
    /// 32-bit code in compatibility mode; CS, DS, ES and SS flat.
    Compat32,
    /// 16-bit code in compatibility mode: CS starts at the code area; DS, ES and a 16-bit SS at the data area. With TF,
    /// and so when stepping, the upper half of ESP is not loaded and comes back as given.
    Compat16,
}

/// How a run is set up, where the default does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The mode.
    pub mode: Mode,
    /// Where in the code area ([`CODE_LEN`] bytes) the first byte goes.
    pub offset: usize,
    /// End after one instruction, by TF, wherever control goes. Costs a signal, so is meant for branches (above all those
    /// to themselves or just behind themselves). An iteration of a REP instruction counts as one. PUSHF pushes TF set;
    /// the result has it clear.
    pub step: bool,
}

impl Default for Setup {
    /// 64-bit mode, in the middle of the first page, not stepping.
    fn default() -> Setup {
        Setup { mode: Mode::Long64, offset: PAGE / 2, step: false }
    }
}

impl Setup {
    /// `len` bytes that end where the code area does: behind them lies an unmapped page.
    pub fn at_end(len: usize) -> Setup {
        Setup { offset: CODE_LEN - len, ..Setup::default() }
    }

    /// The default in another mode.
    pub fn mode(mode: Mode) -> Setup {
        Setup { mode, ..Setup::default() }
    }

    /// The same, stepping.
    pub fn stepping(self) -> Setup {
        Setup { step: true, ..self }
    }
}

/// Why there is no oracle.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The host lacks a feature without which nothing can be loaded or saved.
    Lacks(&'static str),
    /// A system call failed: mapping the areas, or installing the handlers.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Lacks(what) => write!(f, "the host lacks {what}: run this suite on a host that has it"),
            Error::System(error) => write!(f, "no memory or handlers for the oracle: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::System(error)
    }
}

/// The host processor, and 1 MiB of address space below 2 GiB:
///
/// | area | pages | neighbours |
/// |---|---|---|
/// | code ([`Oracle::code_address`]) | 3, read and execute | unmapped |
/// | data ([`Oracle::data_address`]) | 4, read and write | unmapped |
/// | edge ([`Oracle::edge_address`]) | 1 read and write, 1 read-only | unmapped |
///
/// An oracle stays on its thread; each thread can have its own, or several.
pub struct Oracle {
    slot: Slot,
    laid: Option<Laid>,
    vector: Vector,
    mxcsr_mask: u32,
    /// The mode whose segments the LDT holds; those of 16-bit mode include the other's.
    has_ldt: Option<Mode>,
}

/// What the code area holds now.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Laid {
    setup: Setup,
    len: usize,
}

impl Oracle {
    /// Maps an area, and installs the signal handlers if this is the first oracle of the process. They hand on what is
    /// not theirs.
    ///
    /// # Safety
    /// This is where the promise for all runs is made: the code that will be run writes no memory but the oracle's own
    /// areas, makes no system call, and ends. (Its reads may go anywhere; what they find is not promised to stay.) A random
    /// address in a register is fine if the chance that something is mapped there is nil: 64 random bits are, small
    /// displacements from the areas of the oracle are, 47-bit addresses in general are not.
    ///
    /// # Errors
    /// [`Error`] says what the host or the system refused.
    pub unsafe fn new() -> Result<Oracle, Error> {
        let vector = Features.vector().ok_or(Error::Lacks("AVX"))?;
        const FSGSBASE: u64 = 1 << 1;
        // SAFETY: a query of the auxiliary vector.
        if unsafe { libc::getauxval(libc::AT_HWCAP2) } & FSGSBASE == 0 {
            return Err(Error::Lacks("FSGSBASE (enabled by Linux 5.9 or later)"));
        }
        let mut slot = Slot::new()?;
        signals::install()?;
        let stub = trampoline::stub_bytes();
        slot.stub()[..stub.len()].copy_from_slice(stub);
        slot.code().fill(INT3);

        let (host_cs, host_ss): (u16, u16);
        let mut image = Fx([0; 512]);
        // SAFETY: reads two selectors, and saves state to an image that is large enough and aligned.
        unsafe {
            asm!("mov {:x}, cs", out(reg) host_cs, options(nomem, nostack, preserves_flags));
            asm!("mov {:x}, ss", out(reg) host_ss, options(nomem, nostack, preserves_flags));
            asm!("fxsave64 [{}]", in(reg) &raw mut image, options(nostack, preserves_flags));
        }
        let mxcsr_mask = u32::from_le_bytes(image.0[28..32].try_into().expect("4 bytes"));

        let stub_address = slot.address(STUB);
        // SAFETY: mapped, zeroed, of the right size, and used by nobody yet.
        let context = unsafe { slot.context().as_mut() };
        context.leave = trampoline::leave_address();
        context.stub = stub_address;
        context.host_cs = host_cs;
        context.host_ss = host_ss;
        context.vector = vector as u32;
        // Processors before SSE2's DAZ leave the mask 0, which means this one.
        let mxcsr_mask = if mxcsr_mask == 0 { 0xffbf } else { mxcsr_mask };
        Ok(Oracle { slot, laid: None, vector, mxcsr_mask, has_ldt: None })
    }

    /// The features of the host.
    pub fn features(&self) -> Features {
        Features
    }

    /// How much of the vector file each run loads and saves.
    pub fn vector(&self) -> Vector {
        self.vector
    }

    /// The linear address of the code area, [`CODE_LEN`] bytes.
    pub fn code_address(&self) -> u64 {
        self.slot.address(CODE)
    }

    /// What RIP, EIP or IP is at the first byte of code set up like this.
    pub fn start(&self, setup: &Setup) -> u64 {
        match setup.mode {
            Mode::Long64 | Mode::Compat32 => self.code_address() + setup.offset as u64,
            Mode::Compat16 => setup.offset as u64,
        }
    }

    /// The linear address of the data area, [`crate::DATA_LEN`] bytes.
    pub fn data_address(&self) -> u64 {
        self.slot.address(DATA)
    }

    /// The data area. Runs change it, and nothing resets it.
    pub fn data(&mut self) -> &mut [u8] {
        self.slot.data()
    }

    /// The linear address of the first byte of the read-only page. The page before it is writable, the next is unmapped.
    pub fn edge_address(&self) -> u64 {
        self.slot.address(EDGE + PAGE)
    }

    /// The writable page before [`Oracle::edge_address`].
    pub fn edge_page(&mut self) -> &mut [u8] {
        self.slot.edge_page()
    }

    /// The page at [`Oracle::edge_address`]: read-only for the code that runs, not for the test.
    pub fn read_only_page(&mut self) -> &mut [u8] {
        self.slot.read_only_page()
    }

    /// The segments that code finds; `None` in 64-bit mode, where CS, DS, ES and SS are flat, and FS and GS have the
    /// bases of [`State`].
    pub fn segments(&self, mode: Mode) -> Option<Segments> {
        Segments::of(&self.slot, mode)
    }

    /// Runs code in 64-bit mode with the default [`Setup`].
    ///
    /// # Panics
    /// As [`Oracle::run_with`] does.
    pub fn run(&mut self, code: &[u8], state: &State) -> (Ended, State) {
        self.run_with(&Setup::default(), code, state)
    }

    /// Loads the state, runs the code, and gives the state after it. The run has ended when control is behind the last
    /// byte, when it has branched to anywhere else in the code area or to memory that cannot be executed (`Retired`, with
    /// the target in [`State::rip`]), or when an exception came.
    ///
    /// A branch must not go to the 8 bytes behind the code but to the first of them, nor to its own beginning: take
    /// [`Setup::step`] for branches of unknown target.
    ///
    /// # Panics
    /// If the code does not fit at the offset, or if the system refuses a signal stack or the segments of a
    /// compatibility mode.
    pub fn run_with(&mut self, setup: &Setup, code: &[u8], state: &State) -> (Ended, State) {
        self.prepare(setup.mode).expect(
            "the thread takes a signal stack, and the kernel segments by modify_ldt (CONFIG_MODIFY_LDT_SYSCALL, CONFIG_X86_16BIT)",
        );
        self.lay(setup, code);
        let segments = self.segments(setup.mode);

        let start = self.start(setup);
        let context = self.slot.context();
        // SAFETY: mapped and initialised in `new`, and no other reference to it lives.
        let run = unsafe { &mut *context.as_ptr() };
        run.state = *state;
        store_fx(&mut run.fx, &state.x87, state.mxcsr & self.mxcsr_mask);
        run.is_caught = 0;
        run.compat = segments.is_some().into();
        let (mut cs, mut ss) = (run.host_cs, run.host_ss);
        if let Some(segments) = &segments {
            (cs, ss) = (segments.cs.selector, segments.ss.selector);
            run.selectors = [segments.ds, segments.es, segments.fs, segments.gs].map(|segment| segment.selector);
        }
        let stepping = if setup.step { TF } else { 0 };
        run.iret = Iret {
            rip: start,
            cs: cs.into(),
            rflags: state.rflags & LOADED_FLAGS | IF | 2 | stepping,
            rsp: state.gpr[RSP],
            ss: ss.into(),
        };
        let trapping = run.iret.rflags & TF != 0;
        if setup.mode == Mode::Compat16 && !trapping {
            run.far = Far { offset: start as u32, cs, ss };
            run.iret.rip = run.stub + trampoline::far_entry() as u64;
            (run.iret.cs, run.iret.ss) = (run.host_cs.into(), run.host_ss.into());
        }
        // SAFETY: the context is in its slot, the stub is written, the images hold what FXRSTOR takes (reserved bits of
        // MXCSR cleared) and IRETQ takes (host selectors or those just installed, user flags); the code's promise was
        // made in `new`.
        unsafe { trampoline::enter(context.as_ptr()) };
        // SAFETY: as above; a new reference, because the run wrote behind the compiler's back.
        let run = unsafe { &*context.as_ptr() };
        self.result(run, setup, start, code.len(), state)
    }

    /// Makes all system calls that a run in this mode needs, if they have not been made yet.
    pub(crate) fn prepare(&mut self, mode: Mode) -> io::Result<()> {
        signals::use_stack(self.slot.signal_stack())?;
        if mode != Mode::Long64 && ![Some(mode), Some(Mode::Compat16)].contains(&self.has_ldt) {
            segments::install(&self.slot, mode)?;
            self.has_ldt = Some(mode);
        }
        Ok(())
    }

    /// Brings the code area to hold this code and the way out behind it, and nothing else but INT3.
    fn lay(&mut self, setup: &Setup, code: &[u8]) {
        let offset = setup.offset;
        let laid = Some(Laid { setup: *setup, len: code.len() });
        let area = self.slot.code();
        if self.laid == laid && area[offset..offset + code.len()] == *code {
            return;
        }
        if let Some(old) = self.laid {
            let end = (old.setup.offset + old.len + EXIT_MAX).min(CODE_LEN);
            area[old.setup.offset..end].fill(INT3);
        }
        let fits = offset.checked_add(code.len()).is_some_and(|end| end <= CODE_LEN);
        assert!(fits, "{} bytes at {offset:#x} do not fit into {CODE_LEN:#x}: choose a lower offset", code.len());
        area[offset..offset + code.len()].copy_from_slice(code);
        self.laid = laid;
        if setup.step {
            return;
        }
        let end = offset + code.len();
        let stub = self.slot.address(STUB);
        let (prefix, target, selector) = match setup.mode {
            Mode::Long64 => {
                let next = self.slot.address(CODE + end + 5);
                (&[0xe9][..], (stub as u32).wrapping_sub(next as u32), None)
            }
            Mode::Compat32 => (&[0xea][..], stub as u32, Some(self.host_cs())),
            Mode::Compat16 => (&[0x66, 0xea][..], stub as u32, Some(self.host_cs())),
        };
        let mut exit = prefix.to_vec();
        exit.extend(target.to_le_bytes());
        exit.extend(selector.into_iter().flat_map(u16::to_le_bytes));
        // Where the way out does not fit, INT3 or the unmapped page ends the run.
        if let Some(place) = self.slot.code().get_mut(end..end + exit.len()) {
            place.copy_from_slice(&exit);
        }
    }

    fn host_cs(&self) -> u16 {
        // SAFETY: mapped and initialised in `new`, and no reference to it lives.
        unsafe { (*self.slot.context().as_ptr()).host_cs }
    }

    /// Reads the context after a run.
    fn result(&self, run: &Context, setup: &Setup, start: u64, len: usize, before: &State) -> (Ended, State) {
        let mut after = run.state;
        load_fx(&run.fx, &mut after);
        if setup.mode != Mode::Long64 {
            (after.fs_base, after.gs_base) = (before.fs_base, before.gs_base);
        }
        if setup.mode == Mode::Compat16 {
            // The kernel, coming back from an interrupt, leaves anything above ESP, and with TF, SP alone was loaded.
            let kept = if run.iret.rflags & TF != 0 { !0xffff } else { !0xffff_ffff };
            after.gpr[RSP] = before.gpr[RSP] & kept | after.gpr[RSP] & !kept;
        }
        let end = start + len as u64;
        after.rip = end;
        if run.is_caught == 0 {
            return (Ended::Retired, after);
        }
        let caught = &run.caught;
        after.rip = caught.rip;
        after.rflags = caught.rflags;
        let outside = |rip: u64| !(start..end).contains(&rip);
        let linear = caught.rip + if setup.mode == Mode::Compat16 { self.code_address() } else { 0 };
        let ended = match caught.trap {
            1 if setup.step => {
                after.rflags &= !TF;
                Ended::Retired
            }
            3 if outside(caught.rip.wrapping_sub(1)) => {
                after.rip = caught.rip.wrapping_sub(1);
                Ended::Retired
            }
            14 if outside(caught.rip) && caught.cr2 == linear => Ended::Retired,
            signals::SYSTEM_CALL => Ended::SystemCall,
            trap => Ended::Signal {
                trap: trap as u8,
                error: if HAS_ERROR_CODE >> trap & 1 == 1 { caught.error } else { 0 },
                cr2: if trap == 14 { caught.cr2 } else { 0 },
            },
        };
        if setup.step {
            after.rflags &= !TF;
        }
        (ended, after)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        signals::leave_stack(self.slot.signal_stack());
    }
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oracle {{ code: {:#x}, data: {:#x} }}", self.code_address(), self.data_address())
    }
}

const INT3: u8 = 0xcc;
/// The longest way out, behind the code: a far jump with an operand-size prefix.
const EXIT_MAX: usize = 8;
/// The flags that user mode may change, but IF.
const LOADED_FLAGS: u64 = ARITHMETIC | TF | DF | NT | AC | ID;
/// #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP.
const HAS_ERROR_CODE: u64 = 1 << 8 | 0b1_1111 << 10 | 1 << 17 | 1 << 21;

const FX_ST: usize = 32;

fn store_fx(fx: &mut Fx, x87: &X87, mxcsr: u32) {
    let image = &mut fx.0;
    image[0..2].copy_from_slice(&x87.fcw.to_le_bytes());
    image[2..4].copy_from_slice(&x87.fsw.to_le_bytes());
    image[4] = x87.ftw;
    image[6..8].copy_from_slice(&x87.fop.to_le_bytes());
    image[8..16].copy_from_slice(&x87.fip.to_le_bytes());
    image[16..24].copy_from_slice(&x87.fdp.to_le_bytes());
    image[24..28].copy_from_slice(&mxcsr.to_le_bytes());
    for (slot, st) in image[FX_ST..].chunks_exact_mut(16).zip(&x87.st) {
        slot[..10].copy_from_slice(st);
    }
}

fn load_fx(fx: &Fx, state: &mut State) {
    let image = &fx.0;
    let word = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]);
    let long = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().expect("8 bytes"));
    let x87 = &mut state.x87;
    (x87.fcw, x87.fsw, x87.ftw, x87.fop) = (word(0), word(2), image[4], word(6));
    (x87.fip, x87.fdp) = (long(8), long(16));
    state.mxcsr = u32::from_le_bytes(image[24..28].try_into().expect("4 bytes"));
    for (slot, st) in image[FX_ST..].chunks_exact(16).zip(&mut state.x87.st) {
        st.copy_from_slice(&slot[..10]);
    }
}
