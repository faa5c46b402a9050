//! Drives the built command: lines in, JSON out.

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `encore86` with `arguments` on `input`; gives each line of output, and the exit status.
pub fn encore86(arguments: &[&str], input: &[u8]) -> (Vec<Value>, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_encore86"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("the command ends");
    // The command may end before it has read everything, and the pipe with it.
    let _ = writer.join().expect("the writer ends");
    let text = String::from_utf8(output.stdout).expect("UTF-8 comes out");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON comes out")).collect();
    (lines, output.status.code().expect("no signal"))
}

/// What in `expected` is not so in `found`: objects by their keys (`null` = absent), everything else as a whole.
pub fn difference(found: &Value, expected: &Value) -> Option<String> {
    let Some(fields) = expected.as_object() else { return Some("expected is no object".to_owned()) };
    let wrong = fields.iter().find(|(name, wanted)| found.get(name).unwrap_or(&Value::Null) != *wanted);
    wrong.map(|(name, wanted)| format!("`{name}` is {}, wanted {wanted}", found.get(name).unwrap_or(&Value::Null)))
}
