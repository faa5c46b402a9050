//! The shell examples of `README.md` print what it says they print.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `echo TEXT | encore86 ARGUMENTS` without a shell.
fn run(line: &str) -> String {
    let (echo, arguments) = line.split_once(" | encore86 ").expect("an example pipes a line into encore86");
    let text = echo.strip_prefix("$ echo ").expect("an example begins with echo").trim_matches('\'');
    let mut child = Command::new(env!("CARGO_BIN_EXE_encore86"))
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut input = child.stdin.take().expect("a pipe");
    writeln!(input, "{text}").expect("the command reads");
    drop(input);
    let output = child.wait_with_output().expect("the command ends");
    assert!(output.status.success(), "{line}: {}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_examples_print_what_they_say() {
    let readme = include_str!("../../README.md");
    let examples: Vec<_> = readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2, "the examples of exec and decode");
    for example in examples {
        let (line, expected) = example.split_once('\n').expect("a command and what it prints");
        assert_eq!(run(line), expected, "{line}");
    }
}
