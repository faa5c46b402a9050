//! Runs `encore86 boot` for the tests.

#![allow(dead_code)] // each suite uses its own part

use encore86_asm::gallery::{HEIGHT, TILES, WIDTH};
use encore86_asm::picture::expected;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
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

/// The pixels of a PNG file, 0x00RRGGBB.
pub fn pixels(path: &Path) -> Vec<u32> {
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((info.width, info.height), (WIDTH as u32, HEIGHT as u32));
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    let (pixels, rest) = bytes[..info.buffer_size()].as_chunks();
    assert!(rest.is_empty());
    pixels.iter().map(|&[r, g, b]| u32::from_be_bytes([0, r, g, b])).collect()
}

/// What the host's operating system says that its processor has.
pub fn host_flags() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/cpuinfo").expect("Linux has /proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("flags"));
    line.expect("x86 processors list flags").split_whitespace().map(str::to_owned).collect()
}

/// Fails with the tiles that differ from the picture of a guest that finds `features`.
pub fn assert_painted(path: &Path, features: &BTreeSet<String>) {
    let (painted, wanted) = (pixels(path), expected(&|name| features.contains(name)));
    let wrong: Vec<&str> = TILES
        .iter()
        .filter(|tile| {
            let at = tile.rect();
            let row = |y: usize| y * WIDTH + at.x..y * WIDTH + at.x + at.width;
            (at.y..at.y + at.height).any(|y| painted[row(y)] != wanted[row(y)])
        })
        .map(|tile| tile.name)
        .collect();
    assert!(wrong.is_empty(), "tiles that differ: {wrong:?}");
    if let Some(i) = (0..WIDTH * HEIGHT).find(|&i| painted[i] != wanted[i]) {
        panic!("pixel ({}, {}) is {:#08x}, not {:#08x}", i % WIDTH, i / WIDTH, painted[i], wanted[i]);
    }
}
