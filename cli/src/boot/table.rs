//! What the guest ran, by instruction.

use super::machine::Tally;
use encore86::Insn;
use encore86::decode::SlotKind;
use encore86::isa::Row;
use encore86::isa::row::attr;
use rustc_hash::FxHashMap;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// One line: instructions of one form with one width of memory operand.
#[derive(Debug, Default)]
struct Line {
    name: String,
    width: u16,
    times: u64,
    devices: Tally,
    total: Duration,
    least: Option<Duration>,
}

/// What makes two instructions the same line. Rows are compared by where they are in the library's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    row: *const Row,
    /// Width of the memory operand in bytes; 0 without one.
    pub width: u16,
    prefix: &'static str,
}

impl Key {
    /// The line that `insn` belongs to.
    pub fn new(insn: &Insn) -> Key {
        let memory = [SlotKind::Memory, SlotKind::Vsib, SlotKind::StringDst, SlotKind::StringSrc];
        let width = insn.slots().iter().find(|s| memory.contains(&s.kind)).map_or(0, |s| s.size);
        Key { row: insn.row(), width, prefix: prefix(insn) }
    }

    /// What the line is called.
    pub fn name(&self, insn: &Insn) -> String {
        format!("{}{}", self.prefix, insn.row().form())
    }
}

/// Counts and times by instruction.
#[derive(Debug)]
pub struct Table {
    lines: Vec<Line>,
    index: FxHashMap<Key, usize>,
    /// What reading the clock adds to each time.
    clock: Duration,
    traced: bool,
}

impl Table {
    /// An empty table; `traced` when a trace is written meanwhile.
    pub fn new(traced: bool) -> Table {
        Table { lines: Vec::new(), index: FxHashMap::default(), clock: clock_cost(), traced }
    }

    /// Counts a step of `insn`. Only the last step of a repeated string instruction is a `whole` one.
    pub fn count(&mut self, insn: &Insn, whole: bool, devices: Tally, time: Duration) {
        let key = Key::new(insn);
        let at = match self.index.get(&key) {
            Some(&at) => at,
            None => {
                self.lines.push(Line { name: key.name(insn), width: key.width, ..Line::default() });
                self.index.insert(key, self.lines.len() - 1);
                self.lines.len() - 1
            }
        };
        let line = &mut self.lines[at];
        let time = time.saturating_sub(self.clock);
        line.times += u64::from(whole);
        line.devices.accesses += devices.accesses;
        line.devices.bytes += devices.bytes;
        line.total += time;
        line.least = Some(line.least.map_or(time, |least| least.min(time)));
    }

    /// Instructions that completed.
    pub fn instructions(&self) -> u64 {
        self.lines.iter().map(|line| line.times).sum()
    }
}

/// The prefix that makes another instruction of the same row. Of repetitions only the text tells.
fn prefix(insn: &Insn) -> &'static str {
    if insn.locked() {
        return "lock ";
    }
    if !insn.row().is(attr::REP) {
        return "";
    }
    let text = insn.to_string();
    ["rep ", "repe ", "repne "].into_iter().find(|prefix| text.starts_with(prefix)).unwrap_or("")
}

/// What two readings of the clock take when nothing is between them: the least mean of several rounds.
fn clock_cost() -> Duration {
    const READINGS: u32 = 2000;
    let round = || (0..READINGS).map(|_| black_box(Instant::now()).elapsed()).sum::<Duration>() / READINGS;
    (0..20).map(|_| round()).min().unwrap_or_default()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table { lines, clock, traced, .. } = self;
        let traced = if *traced { ", recording for the trace" } else { "" };
        let clock = clock.as_nanos();
        writeln!(f, "By instruction, in the manual's notation; \"memory\" is the memory operand's width in bytes.")?;
        writeln!(
            f,
            "Times are of whole steps: fetch, decoding, operation, this monitor's memory and devices{traced}."
        )?;
        writeln!(
            f,
            "Each step is timed by itself, which keeps the host from overlapping it with its neighbours, and less"
        )?;
        writeln!(
            f,
            "the {clock} ns that the clock takes. \"ns each\" is the mean, with whatever else the host did meanwhile;"
        )?;
        writeln!(f, "\"least\" is the fastest step.\n")?;
        let widest = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).max("instruction".len());
        writeln!(
            f,
            "{:widest$}  {:>6}  {:>9}  {:>15}  {:>12}  {:>9}  {:>7}",
            "instruction", "memory", "times", "device accesses", "device bytes", "ns each", "least"
        )?;
        let mut sorted: Vec<&Line> = lines.iter().collect();
        sorted.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.name.cmp(&b.name)).then(a.width.cmp(&b.width)));
        for line in sorted {
            let width = if line.width == 0 { String::new() } else { line.width.to_string() };
            let each = line.total.as_nanos() as f64 / line.times.max(1) as f64;
            let least = line.least.unwrap_or_default().as_nanos();
            writeln!(
                f,
                "{:widest$}  {width:>6}  {:>9}  {:>15}  {:>12}  {each:>9.1}  {least:>7}",
                line.name, line.times, line.devices.accesses, line.devices.bytes
            )?;
        }
        let sum = |what: fn(&Line) -> u64| lines.iter().map(what).sum::<u64>();
        let times = self.instructions();
        let each = lines.iter().map(|line| line.total).sum::<Duration>().as_nanos() as f64 / times.max(1) as f64;
        writeln!(
            f,
            "{:widest$}  {:>6}  {times:>9}  {:>15}  {:>12}  {each:>9.1}",
            "all",
            "",
            sum(|line| line.devices.accesses),
            sum(|line| line.devices.bytes)
        )
    }
}
