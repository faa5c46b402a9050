//! Signals are recorded; one that ends the program ends it. No handler runs.

use super::{Done, End, Errno, abi, load, store};
use crate::trace::arena::Arena;

/// Highest number of a signal.
const MOST: u64 = 64;
const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;

/// What the program has asked for.
#[derive(Debug)]
pub struct Signals {
    /// `struct sigaction` as the kernel has it, by number less 1.
    actions: [[u8; 32]; MOST as usize],
    blocked: u64,
    /// `stack_t`.
    stack: [u8; 24],
}

impl Default for Signals {
    fn default() -> Signals {
        let mut stack = [0; 24];
        stack[8] = libc::SS_DISABLE as u8;
        Signals { actions: [[0; 32]; MOST as usize], blocked: 0, stack }
    }
}

impl Signals {
    /// rt_sigaction.
    pub fn action(&mut self, arena: &mut Arena, signal: u64, new: u64, old: u64, set: u64) -> Done {
        let fixed = [libc::SIGKILL as u64, libc::SIGSTOP as u64].contains(&signal);
        if set != 8 || !(1..=MOST).contains(&signal) || fixed && new != 0 {
            return Err(Errno::INVAL.into());
        }
        let action = &mut self.actions[signal as usize - 1];
        let was = *action;
        if new != 0 {
            *action = load(arena, new)?;
        }
        if old == 0 { Ok(0) } else { store(arena, old, &was) }
    }

    /// rt_sigprocmask.
    pub fn mask(&mut self, arena: &mut Arena, how: u64, new: u64, old: u64, set: u64) -> Done {
        if set != 8 {
            return Err(Errno::INVAL.into());
        }
        let was = self.blocked;
        if new != 0 {
            let bits = u64::from_le_bytes(load(arena, new)?);
            self.blocked = match how as i32 {
                libc::SIG_BLOCK => was | bits,
                libc::SIG_UNBLOCK => was & !bits,
                libc::SIG_SETMASK => bits,
                _ => return Err(Errno::INVAL.into()),
            };
        }
        if old == 0 { Ok(0) } else { store(arena, old, &abi::words([was])) }
    }

    /// sigaltstack.
    pub fn stack(&mut self, arena: &mut Arena, new: u64, old: u64) -> Done {
        let was = self.stack;
        if new != 0 {
            self.stack = load(arena, new)?;
        }
        if old == 0 { Ok(0) } else { store(arena, old, &was) }
    }

    /// A signal that the program sends to itself.
    pub fn send(&self, signal: u64) -> Done {
        const HARMLESS: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
        match signal {
            0 => return Ok(0),
            1..=MOST => {}
            _ => return Err(Errno::INVAL.into()),
        }
        let blocked = self.blocked >> (signal - 1) & 1 != 0;
        match self.handler(signal) {
            IGNORE => Ok(0),
            _ if blocked || HARMLESS.contains(&(signal as i32)) => Ok(0),
            _ => Err(End::Signal(signal as u8).into()),
        }
    }

    /// Does the program leave this signal to end it?
    pub fn is_default(&self, signal: i32) -> bool {
        self.handler(signal as u64) == DEFAULT
    }

    fn handler(&self, signal: u64) -> u64 {
        let action = &self.actions[signal as usize - 1];
        action.first_chunk().map_or(DEFAULT, |&handler| u64::from_le_bytes(handler))
    }
}
