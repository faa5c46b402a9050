//! Runs `encore86 boot` for the tests.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// How a run ended, and what it said.
#[derive(Debug)]
pub struct Run {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `encore86 boot` with `args`.
pub fn boot(args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_encore86"))
        .arg("boot")
        .args(args)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the binary is built for the test");
    Run {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Where a file of this test may be; there is none yet.
pub fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

/// A flat image with these bytes. Names are shared by all tests that use this folder.
pub fn image(name: &str, bytes: &[u8]) -> String {
    let path = file(name);
    fs::write(&path, bytes).expect("the folder for tests can be written");
    path.to_str().expect("the folder's name is text").to_owned()
}
