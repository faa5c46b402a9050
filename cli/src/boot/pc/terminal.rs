//! The user's terminal: input without echo or line editing, given back as it was on every exit.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::io::{self, Stdin, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ctrl-A: the next key is for the monitor.
const ESCAPE: u8 = 0x01;
const SIGNALS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Standard input and output.
pub struct Terminal {
    input: Stdin,
    /// The terminal's settings before ours, if there is one.
    before: Option<Termios>,
    open: bool,
    escaped: bool,
    /// The signal that came, or 0.
    signal: Arc<AtomicUsize>,
}

/// What the user has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing but what was typed.
    Nothing,
    /// Ctrl-A x.
    Leave,
    /// A signal ends us.
    Signal(i32),
}

impl Terminal {
    /// Takes the terminal, if standard input is one.
    ///
    /// # Errors
    /// If signals cannot be caught, or the terminal does not take its settings.
    pub fn new() -> io::Result<Terminal> {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in SIGNALS {
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
        }
        let input = io::stdin();
        let before = if isatty(&input) { Some(tcgetattr(&input)?) } else { None };
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(&input, OptionalActions::Flush, &raw)?;
        }
        Ok(Terminal { input, before, open: true, escaped: false, signal })
    }

    /// Waits for input for up to `nanoseconds`, or for ever; says whether there is any reason to go on. A signal ends the wait.
    pub fn wait(&self, nanoseconds: Option<u64>) {
        let timeout = nanoseconds
            .map(|ns| Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 });
        let mut input = [PollFd::new(&self.input, PollFlags::IN)];
        let watched = if self.open { &mut input[..] } else { &mut [] };
        // A wait that is cut short is made again by the guest's next HLT.
        let _ = poll(watched, timeout.as_ref());
    }

    /// Can there still be input?
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Takes what was typed, up to `room` bytes of it, into `bytes`.
    pub fn read(&mut self, room: usize, bytes: &mut Vec<u8>) -> Said {
        match self.signal.load(Ordering::Relaxed) {
            0 => {}
            number => return Said::Signal(number as i32),
        }
        if !self.open || room == 0 {
            return Said::Nothing;
        }
        let mut ready = [PollFd::new(&self.input, PollFlags::IN)];
        if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(1) {
            return Said::Nothing;
        }
        let mut typed = [0; 64];
        let room = room.min(typed.len());
        let count = match rustix::io::read(&self.input, &mut typed[..room]) {
            Ok(count) if count > 0 => count,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Said::Nothing,
            _ => {
                self.open = false;
                return Said::Nothing;
            }
        };
        for &byte in &typed[..count] {
            match (self.before.is_some(), std::mem::take(&mut self.escaped), byte) {
                (true, false, ESCAPE) => self.escaped = true,
                (true, true, b'x' | b'X') => return Said::Leave,
                // Ctrl-A twice is one for the guest; any other key takes it back.
                _ => bytes.push(byte),
            }
        }
        Said::Nothing
    }

    /// Shows what the guest has sent.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn show(&self, sent: &mut Vec<u8>) -> io::Result<()> {
        if sent.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(sent)?;
        sent.clear();
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nobody is left to be told.
            let _ = tcsetattr(&self.input, OptionalActions::Flush, before);
        }
    }
}
