//! Runs a program by itself and under `encore86 trace`, and compares.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// What a run left.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// As a shell has it: 128 and the number of the signal for a program that one ended.
    pub status: i32,
    pub output: Vec<u8>,
    pub errors: String,
}

/// A directory for what `name` builds and writes.
pub fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn status(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("it ended")
}

/// Runs a command on `input`.
pub fn run(command: &mut Command, input: &[u8]) -> Run {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("it ends");
    // It may end before it has read everything, and the pipe with it.
    let _ = writer.join().expect("the writer ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { status: status(output.status), output: output.stdout, errors }
}

/// Runs a program under the tracer, with what it says of itself in a file; gives that too.
pub fn traced(program: &Path, options: &[&str], arguments: &[&str], input: &[u8]) -> (Run, String) {
    let name = format!("{}-{:?}", std::process::id(), std::thread::current().id());
    let summary = directory("trace").join(format!("summary-{name}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_encore86"));
    command.arg("trace").arg("--summary").arg(&summary).args(options).arg(program).args(arguments);
    let run = run(&mut command, input);
    let text = fs::read_to_string(&summary).unwrap_or_default();
    let _ = fs::remove_file(summary);
    (run, text)
}

/// The same output, errors and exit status as run by itself? Gives what the tracer counted.
pub fn same(program: &Path, options: &[&str], arguments: &[&str], input: &[u8]) -> (Run, String) {
    let alone = run(Command::new(program).args(arguments), input);
    let (traced, summary) = traced(program, options, arguments, input);
    let show = |run: &Run| {
        let output = String::from_utf8_lossy(&run.output[..run.output.len().min(600)]).into_owned();
        format!("status {}\n{output}\n{}", run.status, run.errors)
    };
    assert!(
        traced == alone,
        "{} {arguments:?} {options:?}\n--- by itself: {}\n--- traced: {}\n{summary}",
        program.display(),
        show(&alone),
        show(&traced)
    );
    (traced, summary)
}

/// A count in the summary.
pub fn counted(summary: &str, what: &str) -> u64 {
    let line = summary.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("no {what}: {summary}"))
}
