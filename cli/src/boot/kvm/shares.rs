//! Who ran what.

use crate::boot::machine::Tally;
use crate::boot::table::Key;
use encore86::Insn;
use encore86::adapt::kvm::By;
use rustc_hash::FxHashMap;
use std::fmt;

/// One line: instructions of one form with one width of memory operand, run by one of the two.
#[derive(Debug, Default)]
struct Line {
    name: String,
    width: u16,
    exits: u64,
    devices: Tally,
}

/// Exits and device accesses by instruction, and by who ran it.
#[derive(Debug, Default)]
pub struct Shares {
    kernel: Side,
    engine: Side,
}

#[derive(Debug, Default)]
struct Side {
    lines: Vec<Line>,
    index: FxHashMap<Option<Key>, usize>,
}

impl Side {
    fn line(&mut self, insn: Option<&Insn>) -> &mut Line {
        let key = insn.map(Key::new);
        let at = *self.index.entry(key).or_insert_with(|| {
            let name = match (&key, insn) {
                (Some(key), Some(insn)) => key.name(insn),
                _ => "(not known)".to_owned(),
            };
            self.lines.push(Line { name, width: key.map_or(0, |key| key.width), ..Line::default() });
            self.lines.len() - 1
        });
        &mut self.lines[at]
    }

    fn exits(&self) -> u64 {
        self.lines.iter().map(|line| line.exits).sum()
    }
}

impl Shares {
    /// Counts `exits` of `insn`, with what reached devices. `None`: the exit does not show which instruction it was.
    pub fn count(&mut self, insn: Option<&Insn>, by: By, exits: u64, devices: Tally) {
        let side = if by == By::Engine { &mut self.engine } else { &mut self.kernel };
        let line = side.line(insn);
        line.exits += exits;
        line.devices.accesses += devices.accesses;
        line.devices.bytes += devices.bytes;
    }

    /// Exits of both.
    pub fn exits(&self) -> u64 {
        self.kernel.exits() + self.engine.exits()
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "By instruction, in the manual's notation: the exits from KVM that it cost, and who then ran it, the"
        )?;
        writeln!(
            f,
            "kernel's emulator or the engine. What reached no device ran on the processor alone and is not listed."
        )?;
        writeln!(f, "\"memory\" is the memory operand's width in bytes.\n")?;
        let all = || [(&self.kernel, "kernel"), (&self.engine, "engine")].into_iter();
        let lines = || all().flat_map(|(side, who)| side.lines.iter().map(move |line| (line, who)));
        let widest = lines().map(|(line, _)| line.name.len()).max().unwrap_or(0).max("instruction".len());
        writeln!(
            f,
            "{:widest$}  {:>6}  {:>6}  {:>9}  {:>15}  {:>12}",
            "instruction", "memory", "run by", "exits", "device accesses", "device bytes"
        )?;
        let mut sorted: Vec<_> = lines().collect();
        sorted.sort_by(|(a, x), (b, y)| {
            b.exits.cmp(&a.exits).then_with(|| a.name.cmp(&b.name)).then(a.width.cmp(&b.width)).then(x.cmp(y))
        });
        for (Line { name, width, exits, devices: Tally { accesses, bytes } }, who) in sorted {
            let width = if *width == 0 { String::new() } else { width.to_string() };
            writeln!(f, "{name:widest$}  {width:>6}  {who:>6}  {exits:>9}  {accesses:>15}  {bytes:>12}")?;
        }
        for (side, who) in all() {
            let sum = |what: fn(&Tally) -> u64| side.lines.iter().map(|line| what(&line.devices)).sum::<u64>();
            let (accesses, bytes) = (sum(|t| t.accesses), sum(|t| t.bytes));
            writeln!(f, "{:widest$}  {:>6}  {who:>6}  {:>9}  {accesses:>15}  {bytes:>12}", "all", "", side.exits())?;
        }
        Ok(())
    }
}
