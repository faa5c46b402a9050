//! Many steps in one call.

use super::{Engine, noted};
use crate::access::Journal;
use crate::address;
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::Cpu;
use crate::event::{Outcome, Retired, Stop};
use crate::host::CodePage;

/// Instructions between two questions whether an interrupt waits.
const BETWEEN_QUESTIONS: u64 = 32;

/// Where the last instruction begins whose bytes can all be in the page.
const LAST: u64 = CodePage::SIZE as u64 - 16;

/// The page that instructions are read from.
struct Window {
    start: u64,
    /// None where the bus grants none.
    page: Option<CodePage>,
    generation: u64,
}

impl Window {
    /// No page, anywhere: it does not begin at one.
    const NONE: Window = Window { start: u64::MAX / 2, page: None, generation: 0 };

    /// The page at CS:RIP, in 64-bit mode.
    #[inline(never)]
    fn at<V: Vmm>(cpu: &Cpu, vmm: &mut V) -> Window {
        if !cpu.word().flat || !address::canonical(cpu, cpu.rip) {
            return Window::NONE;
        }
        let access = Access::new(AccessKind::Fetch, 1, cpu.cpl());
        // What it cannot be fetched for, the fetch itself says.
        let page = vmm.code(cpu.rip, &access).unwrap_or(None);
        Window { start: cpu.rip & !(CodePage::SIZE as u64 - 1), page, generation: vmm.generation() }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Instructions that were completed; an unfinished repetition is none.
    pub completed: u64,
    /// What the last step ended in.
    pub outcome: Outcome,
}

impl Engine {
    /// Steps until the monitor has something to do: `limit` instructions are done, one ends in anything but plain
    /// completion (HLT, a trap, an interrupt shadow, an unfinished repetition, an exception, a retry, …), or
    /// [`Platform::interrupt_pending`](crate::Platform::interrupt_pending) says so, which is asked every 32 instructions.
    ///
    /// Each instruction is fetched and found again by its bytes, as by [`Engine::step`]: code that changes itself, or that
    /// another processor changes, is seen from the next instruction on.
    ///
    /// ```
    /// use encore86::{Access, Bus, Cpu, Engine, Outcome, Platform, Profile, Retired, Stop};
    ///
    /// /// 64 KiB of RAM, with the code at 0.
    /// struct Ram(Vec<u8>);
    ///
    /// impl Bus for Ram {
    ///     fn fetch(&mut self, at: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
    ///         buf.copy_from_slice(&self.0[at as usize..][..15]);
    ///         Ok(15)
    ///     }
    ///     fn read(&mut self, at: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
    ///         buf.copy_from_slice(&self.0[at as usize..][..buf.len()]);
    ///         Ok(())
    ///     }
    ///     fn write(&mut self, at: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
    ///         self.0[at as usize..][..buf.len()].copy_from_slice(buf);
    ///         Ok(())
    ///     }
    ///     fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
    ///         Ok(())
    ///     }
    /// }
    /// impl Platform for Ram {}
    ///
    /// // add rax, rcx; dec ecx; jnz to the first; hlt
    /// let code = [0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9, 0xf4];
    /// let mut ram = Ram([&code[..], &[0; 0xfff8]].concat());
    /// let (mut engine, mut cpu) = (Engine::integer_only(Profile::all()), Cpu::new());
    /// cpu.gpr[1] = 100;
    /// let run = engine.run(&mut cpu, &mut ram, 1_000_000);
    /// assert!(matches!(run.outcome, Outcome::Completed(Retired { hlt: true, .. })));
    /// assert_eq!((run.completed, cpu.gpr[0]), (301, 5050));
    /// ```
    pub fn run<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, limit: u64) -> Run {
        (self.works.noted, self.works.completed) = (0, 0);
        let run = self.run_on(cpu, vmm, limit);
        self.works.completed = 0;
        run
    }

    #[inline(always)]
    fn run_on<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, limit: u64) -> Run {
        if let Err(stop) = vmm.follow(cpu) {
            return ended(0, refused(stop, cpu));
        }
        let mut window = Window::NONE;
        while self.works.completed < limit {
            let pause = (self.works.completed + BETWEEN_QUESTIONS).min(limit);
            while self.works.completed < pause {
                let outcome = self.step_in(&mut window, cpu, vmm);
                // What a completed instruction leaves to be known is not looked at here: its bytes were just stored one by one, and
                // a load of all of them would wait for the stores to retire.
                if self.works.noted | u8::from(!matches!(outcome, Outcome::Completed(_))) != 0
                    && let Some(run) = self.looks_up(cpu, vmm, outcome)
                {
                    return run;
                }
                if self.works.noted != 0 {
                    // The page may be another one now, or another's.
                    (self.works.noted, window) = (0, Window::NONE);
                }
                self.works.completed += 1;
            }
            if vmm.interrupt_pending() {
                break;
            }
        }
        Run { completed: self.works.completed, outcome: Outcome::Completed(Retired::default()) }
    }

    /// [`Engine::step`], with the instruction read where the bus says that it may be.
    #[inline(always)]
    fn step_in<V: Vmm>(&mut self, window: &mut Window, cpu: &mut Cpu, vmm: &mut V) -> Outcome {
        let at = cpu.rip.wrapping_sub(window.start);
        if at <= LAST
            && let Some(page) = window.page
            && window.generation == vmm.generation()
        {
            // SAFETY: the bus has said by its generation that the page is still what it has granted.
            let words = unsafe { (page.word(at as usize), page.word(at as usize + 8)) };
            if let Some(entry) = self.cache.find(cpu.rip, words, cpu.word().bits) {
                return self.works.line(cpu, vmm, entry);
            }
        } else if at >= CodePage::SIZE as u64 || window.generation != vmm.generation() {
            *window = Window::at(cpu, vmm);
        }
        self.step(cpu, vmm)
    }

    /// A step has ended in more than plain completion: the end of the run, unless it was a system instruction that leaves nothing for
    /// the monitor to do.
    #[inline(never)]
    fn looks_up<V: Vmm>(&mut self, cpu: &mut Cpu, vmm: &mut V, outcome: Outcome) -> Option<Run> {
        let completed = self.works.completed;
        if self.works.noted != noted::SYSTEM || !matches!(outcome, Outcome::Completed(_)) {
            return Some(ended(completed, outcome));
        }
        if let Err(stop) = vmm.follow(cpu) {
            return Some(ended(completed + 1, refused(stop, cpu)));
        }
        vmm.interrupt_pending().then(|| ended(completed, outcome))
    }
}

/// What the bus says of the registers that it is to follow.
#[cold]
fn refused(stop: Stop, cpu: &mut Cpu) -> Outcome {
    super::ended(&mut Journal::new(), stop.into(), cpu, 0)
}

/// Out of line, so that outcomes are copied here alone.
#[cold]
#[inline(never)]
fn ended(completed: u64, outcome: Outcome) -> Run {
    let done = matches!(outcome, Outcome::Completed(retired) if !retired.rep_unfinished);
    Run { completed: completed + u64::from(done), outcome }
}
