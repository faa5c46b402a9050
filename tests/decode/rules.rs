//! `disagreements.txt`: where another decoder and ours differ, who is right, and why.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const FILE: &str = include_str!("disagreements.txt");

/// One line of the file: which decoder, what differs, for which forms, and how (both with `*` for any text).
struct Rule {
    line: usize,
    oracle: &'static str,
    kind: &'static str,
    form: &'static str,
    what: &'static str,
    used: AtomicUsize,
}

/// All of them.
pub struct Rules(Vec<Rule>);

/// Does `text` match a pattern in which `*` stands for any text and `?` for any character?
fn matches(pattern: &str, text: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = characters.as_str();
            text.char_indices().map(|(i, _)| i).chain([text.len()]).any(|i| matches(rest, &text[i..]))
        }
        Some(c) => text.strip_prefix(|t| c == '?' || t == c).is_some_and(|text| matches(characters.as_str(), text)),
    }
}

impl Rules {
    pub fn load() -> Rules {
        let lines = FILE.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
        let rules = lines.map(|(i, text)| {
            let [oracle, kind, form, what, reason] = text.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
                panic!("disagreements.txt, line {}: five columns are needed", i + 1);
            };
            assert!(!reason.is_empty(), "disagreements.txt, line {}: no reason", i + 1);
            Rule { line: i + 1, oracle, kind, form, what, used: AtomicUsize::new(0) }
        });
        Rules(rules.collect())
    }

    /// Is the difference listed?
    pub fn excuse(&self, oracle: &str, kind: &str, form: &str, what: &str) -> bool {
        let rule = self
            .0
            .iter()
            .find(|r| r.oracle == oracle && r.kind == kind && matches(r.form, form) && matches(r.what, what));
        rule.inspect(|r| _ = r.used.fetch_add(1, Ordering::Relaxed)).is_some()
    }

    /// The lines that excused nothing, of decoders that were asked.
    pub fn unused(&self, asked: &[&str]) -> Vec<usize> {
        let idle = self.0.iter().filter(|r| asked.contains(&r.oracle) && r.used.load(Ordering::Relaxed) == 0);
        idle.map(|r| r.line).collect()
    }
}

/// A difference without what varies between encodings, so that one fault is one line.
fn outline(kind: &str, what: &str) -> String {
    let mut words = what.to_string();
    if kind == "text"
        && let Some((ours, theirs)) = what.split_once(" against ")
    {
        // Addresses that are the same count for nothing.
        let memory = |text: &str| text.split_once('[').and_then(|(_, m)| m.split_once(']')).map(|m| m.0.to_string());
        let same = memory(ours).filter(|m| memory(theirs).as_ref() == Some(m)).unwrap_or("]".into());
        let (ours, theirs) = (ours.replace(&same, ""), theirs.replace(&same, ""));
        let (a, b) = (ours.split(' ').collect::<Vec<_>>(), theirs.split(' ').collect::<Vec<_>>());
        let at = (0..a.len().max(b.len())).find(|&i| a.get(i) != b.get(i)).unwrap_or(0);
        let word = |list: &[&str]| list.get(at).map_or("nothing".to_string(), |w| w.to_string());
        words = format!("{} against {}", word(&a), word(&b));
    }
    const REGISTERS: [&str; 16] =
        ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"];
    for name in REGISTERS.iter().rev() {
        words = words.replace(name, "r");
    }
    words.replace(|c: char| c.is_ascii_digit(), "")
}

/// A difference: its kind, and how.
pub type Difference = (&'static str, String);

/// What was compared, and what is not listed.
#[derive(Default)]
pub struct Findings {
    /// Encodings compared, by decoder.
    pub compared: BTreeMap<&'static str, usize>,
    /// Differences that are listed.
    pub listed: usize,
    /// One entry a kind of difference: how often, and an example.
    wrong: BTreeMap<String, (usize, String)>,
}

impl Findings {
    /// Takes the differences that a decoder has about one encoding; are all of them listed?
    pub fn take(
        &mut self,
        rules: &Rules,
        oracle: &'static str,
        form: &str,
        differences: Vec<Difference>,
        example: impl Fn() -> String,
    ) -> bool {
        let mut agreed = true;
        for (kind, what) in differences {
            if rules.excuse(oracle, kind, form, &what) {
                self.listed += 1;
                continue;
            }
            agreed = false;
            let plain = outline(kind, &what);
            let entry = self.wrong.entry(format!("{oracle} | {kind} | {form} | {plain}"));
            entry.or_insert_with(|| (0, format!("{what}: {}", example()))).0 += 1;
        }
        agreed
    }

    pub fn count(&mut self, oracle: &'static str) {
        *self.compared.entry(oracle).or_default() += 1;
    }

    pub fn merge(&mut self, other: Findings) {
        for (oracle, n) in other.compared {
            *self.compared.entry(oracle).or_default() += n;
        }
        self.listed += other.listed;
        for (what, (n, example)) in other.wrong {
            self.wrong.entry(what).or_insert((0, example)).0 += n;
        }
    }

    /// Fails with the first of the differences.
    pub fn report(&self) -> Result<(), String> {
        println!("{:?} encodings compared, {} listed disagreements", self.compared, self.listed);
        if let Ok(path) = std::env::var("ENCORE86_DISAGREEMENTS") {
            let all: Vec<_> = self.wrong.iter().map(|(k, (n, e))| format!("{n}\t{k}\t{e}\n")).collect();
            std::fs::write(path, all.concat()).map_err(|e| e.to_string())?;
        }
        if self.wrong.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = self.wrong.iter().take(60).map(|(k, (n, e))| format!("{n} times {k}\n    {e}")).collect();
        Err(format!("{} differ:\n{}", self.wrong.len(), list.join("\n")))
    }
}
