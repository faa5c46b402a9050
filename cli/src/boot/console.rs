//! What the user sees while the guest runs: its serial output, and how far it is.

use super::devices::Serial;
use encore86_asm::gallery::TILES;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Write};
use std::time::Duration;

/// Serial output is held back until its line is complete, or this long.
const LINE: usize = 4096;

/// Standard output for the guest's serial port; a progress bar on standard error, if that is a terminal.
pub struct Console {
    bar: ProgressBar,
    tile: u32,
}

impl Console {
    /// A bar over the tiles, or for other guests a spinner with the count of instructions.
    pub fn new(tiles: bool) -> Console {
        let (bar, style) = if tiles {
            (ProgressBar::new(TILES.len() as u64), "{spinner} painting [{bar:48}] {pos}/{len} {msg}")
        } else {
            (ProgressBar::new_spinner(), "{spinner} {elapsed} {msg}")
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Console { bar, tile: 0 }
    }

    /// The guest has begun a tile.
    pub fn tile(&mut self, number: u32) {
        let Some(tile) = TILES.get((number as usize).wrapping_sub(1)) else { return };
        if self.tile != number {
            self.tile = number;
            self.bar.set_position(u64::from(number) - 1);
            self.bar.set_message(tile.name);
        }
    }

    /// The guest has run this many instructions.
    pub fn instructions(&self, count: u64) {
        self.bar.set_message(format!("{count} instructions"));
    }

    /// Shows what the guest has sent, line by line.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn serial(&self, port: &mut Serial) -> io::Result<()> {
        let sent = port.sent();
        if sent.last() == Some(&b'\n') || sent.len() >= LINE { self.flush(port) } else { Ok(()) }
    }

    /// Shows the rest of what the guest has sent, and takes the bar away.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn finish(&self, port: &mut Serial) -> io::Result<()> {
        self.bar.finish_and_clear();
        let unfinished = port.sent().last().is_some_and(|&byte| byte != b'\n');
        self.flush(port)?;
        if unfinished { io::stdout().write_all(b"\n") } else { Ok(()) }
    }

    fn flush(&self, port: &mut Serial) -> io::Result<()> {
        let result = self.bar.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(port.sent())?;
            out.flush()
        });
        port.clear();
        result
    }
}
