//! The core needs neither `std` nor an allocator, and no host architecture but where it says so.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds `tests/no_std` by itself, so that nobody else's features reach the library, linked without an allocator, and runs it.
fn build_and_run(name: &str, flags: &str) {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--offline", "--quiet", "--manifest-path"])
        .arg(root().join("tests/no_std/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .expect("cargo");
    assert!(status.success(), "it does not build: {status}");
    let status = Command::new(target.join("release/encore86-no-std")).status().expect("the program");
    assert_eq!(status.code(), Some(0), "main.rs says what the numbers mean");
}

#[test]
fn a_program_without_std_steps_an_engine() {
    build_and_run("no_std", "");
}

/// The same with what other processors than x86-64 get in `src/host`, in which there is no assembly.
#[test]
fn and_without_anything_of_the_architecture() {
    build_and_run("portable", "--cfg encore86_portable -D warnings");
}

/// Places that may ask for the host's architecture.
const ARCHITECTURE: &[(&str, &str)] = &[
    ("src/host/", "the host's memory, with portable twins beside what it has of its own"),
    ("src/profile/host.rs", "CPUID: elsewhere there is none, and the profile is the caller's"),
    ("src/adapt/kvm/", "KVM runs guests of the host's architecture alone"),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn the_architecture_is_asked_for_in_few_places() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 100, "{} files", files.len());
    let (mut wrong, mut seen) = (Vec::new(), vec![0; ARCHITECTURE.len()]);
    for path in files {
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a source");
        let asks =
            |line: &&str| ["target_arch", "core::arch", "std::arch", "asm!"].iter().any(|word| line.contains(word));
        let Some(line) = text.lines().find(asks) else { continue };
        match ARCHITECTURE.iter().position(|(place, _)| name.starts_with(place)) {
            Some(i) => seen[i] += 1,
            None => wrong.push(format!("{name}: {}", line.trim())),
        }
    }
    assert!(wrong.is_empty(), "outside src/host: {wrong:#?}");
    assert!(seen.iter().all(|&count| count > 0), "a place of the list has no need to be there: {seen:?}");
}
