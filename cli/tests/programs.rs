//! Compiled code of well-kept crates (`tests/programs`), for three levels of vectors, runs wholly inside the engine on the
//! memory of a device, and gives what it gives by itself.

mod trace_support;

use std::path::PathBuf;
use std::process::Command;
use trace_support::{counted, directory, run, same};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const WORK: [&str; 8] = ["sha", "aes-gcm", "utf8", "json", "fft", "matrix", "image", "x87"];

/// The program, compiled for `features`.
fn build(name: &str, features: &str) -> PathBuf {
    let target = directory("programs").join(name);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--offline", "--release", "--package", "encore86-programs", "--target", TARGET]);
    cargo.arg("--target-dir").arg(&target).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    cargo.env("RUSTFLAGS", format!("-C target-feature=+crt-static,{features}"));
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    let built = run(&mut cargo, b"");
    assert_eq!(built.status, 0, "cargo: {}", built.errors);
    target.join(TARGET).join("release/encore86-programs")
}

/// Every piece of work, natively and traced.
fn check(name: &str, features: &str) {
    let program = build(name, features);
    for (i, work) in WORK.into_iter().enumerate() {
        // Devices of several widths: the widest instructions come whole to one, in pieces to the next.
        let options = ["--device", ["64", "8", "16"][i % 3]];
        let (run, summary) = same(&program, &options, &[work], b"");
        assert_eq!(run.status, 0, "{work}: {}", run.errors);
        assert!(run.output.len() > 60 && counted(&summary, "instructions") > 100_000, "{work}: {summary}");
        println!("{name} {work}: {}", summary.lines().nth(1).unwrap_or_default());
    }
}

#[test]
fn sse42() {
    check("sse4.2", "+sse4.2,+popcnt");
}

#[test]
fn avx2() {
    if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
        println!("SKIPPED: this processor has no AVX2 or no FMA");
        return;
    }
    check("avx2", "+avx2,+fma,+bmi1,+bmi2,+popcnt");
}

#[test]
fn avx512() {
    let has = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    if !has {
        println!("SKIPPED: this processor has no AVX-512");
        return;
    }
    check("avx512", "+avx2,+fma,+bmi1,+bmi2,+popcnt,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl");
}
