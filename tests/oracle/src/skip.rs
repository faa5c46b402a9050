//! Counting what was *not* tested, so that it cannot pass for tested.

use std::io::Write as _;

/// Collects the groups of cases that a suite had to leave out, and prints them when dropped.
#[derive(Debug)]
pub struct Skips {
    suite: &'static str,
    ran: u64,
    groups: Vec<(String, String, u64)>,
}

impl Skips {
    /// A counter for one suite.
    pub fn new(suite: &'static str) -> Skips {
        Skips { suite, ran: 0, groups: Vec::new() }
    }

    /// Counts cases that did run.
    pub fn ran(&mut self, cases: u64) {
        self.ran += cases;
    }

    /// Counts cases of `group` that did not run because of `reason`. The first one of each pair is printed at once.
    pub fn skip(&mut self, group: &str, reason: &str, cases: u64) {
        if let Some(known) = self.groups.iter_mut().find(|known| known.0 == group && known.1 == reason) {
            known.2 += cases;
            return;
        }
        say(&format!("SKIPPED {}: {group}: {reason}", self.suite));
        self.groups.push((group.into(), reason.into(), cases));
    }

    /// How many cases were left out so far.
    pub fn skipped(&self) -> u64 {
        self.groups.iter().map(|group| group.2).sum()
    }

    /// What is printed at the end: one line a group, then the total.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for (group, reason, cases) in &self.groups {
            out += &format!("SKIPPED {}: {group}: {cases} cases: {reason}\n", self.suite);
        }
        out += &format!("{}: {} cases ran, {} SKIPPED", self.suite, self.ran, self.skipped());
        out
    }
}

impl Drop for Skips {
    fn drop(&mut self) {
        say(&self.summary());
    }
}

/// Prints past the test harness, which swallows what `println!` says in a test that passes.
fn say(text: &str) {
    // A closed stderr is no reason to fail a suite.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_are_counted_by_group_and_reason() {
        let mut skips = Skips::new("suite");
        skips.ran(10);
        skips.skip("evex", "no AVX-512", 3);
        skips.skip("evex", "no AVX-512", 4);
        skips.skip("evex", "no AVX10.2", 1);
        assert_eq!(skips.skipped(), 8);
        let expected = "SKIPPED suite: evex: 7 cases: no AVX-512\nSKIPPED suite: evex: 1 cases: no AVX10.2\nsuite: 10 cases ran, 8 SKIPPED";
        assert_eq!(skips.summary(), expected);
    }
}
