//! Decode alone, on real code, beside two other decoders: the text of rustc's own driver library, a program of 100 MB, or of
//! this executable where there is none.
//!
//! Each decoder gets the same list of places and, at each of them, raw bytes of unknown extent, as a monitor does at an
//! exit: nothing is carried from one instruction to the next but a value to write into.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use encore86::{Mode, Profile, Vendor};
use iced_x86::{Decoder as Iced, DecoderOptions, Instruction};
use object::{Object, ObjectSection};
use std::error::Error;
use std::fmt::Write;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use yaxpeax_arch::{Decoder, LengthedInstruction, U8Reader};
use yaxpeax_x86::long_mode as yaxpeax;

/// The longest instruction.
const LIMIT: usize = 15;
/// So many instructions are timed at most.
const MOST: usize = 400_000;
/// They are taken in runs of so many bytes, evenly spread over the text.
const RUN: usize = 16 << 10;

/// rustc's driver library, which holds the compiler.
fn driver() -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?.stdout;
    let lib = PathBuf::from(String::from_utf8(sysroot).ok()?.trim()).join("lib");
    let name = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).unwrap_or("").to_string();
    let entries = std::fs::read_dir(lib).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| name(path).starts_with("librustc_driver"))
}

/// A code section and its address.
fn text() -> Result<(Vec<u8>, u64), Box<dyn Error>> {
    let path = match driver() {
        Some(path) => path,
        None => std::env::current_exe()?,
    };
    println!("decode: the text of {}", path.display());
    let file = std::fs::read(path)?;
    let elf = object::File::parse(&*file)?;
    let section = elf.section_by_name(".text").ok_or("the program has no .text")?;
    Ok((section.data()?.to_vec(), section.address()))
}

/// The bytes at `at` on, as many as an instruction may have.
#[inline]
fn window(text: &[u8], at: u32) -> &[u8] {
    let rest = &text[at as usize..];
    rest.first_chunk::<LIMIT>().map_or(rest, |window| window)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where instructions start that all three decoders know. iced-x86 says where one ends and the next begins; what the others make
/// of each place is counted, and told.
fn sites(text: &[u8], address: u64, profile: &Profile, iced_options: u32) -> Vec<u32> {
    let (mut known, mut all, mut supported, mut wrong, mut strange) = (Vec::new(), 0, 0, 0, 0);
    let mut insn = Instruction::default();
    // Four bytes an instruction, roughly.
    let runs = (MOST * 4).div_ceil(RUN).max(1);
    let apart = (text.len() / runs).max(RUN);
    for start in (0..text.len()).step_by(apart) {
        let end = text.len().min(start + RUN);
        let mut iced = Iced::with_ip(64, &text[..end], address, iced_options);
        if iced.set_position(start).is_err() {
            break;
        }
        iced.set_ip(address + start as u64);
        while iced.can_decode() {
            let at = iced.position() as u32;
            iced.decode_out(&mut insn);
            if insn.is_invalid() {
                // A run may begin within an instruction, and end so.
                continue;
            }
            all += 1;
            let bytes = window(text, at);
            let Ok(ours) = encore86::decode(bytes, Mode::Long64, profile) else { continue };
            if ours.length() != insn.len() {
                wrong += 1;
                let (ours, theirs) = (ours.length(), insn.len());
                println!("decode: WRONG LENGTH of {}: {ours}, by iced-x86 {theirs} ({:?})", hex(bytes), insn.code());
                continue;
            }
            supported += 1;
            let theirs = yaxpeax::InstDecoder::default().decode_slice(bytes);
            if theirs.is_ok_and(|theirs| theirs.len().to_const() == insn.len() as u64) {
                known.push(at);
            } else {
                strange += 1;
            }
        }
    }
    known.truncate(MOST);
    println!("decode: {supported} of {all} instructions decode, {wrong} of a wrong length");
    println!("decode: {} timed, without {strange} that yaxpeax-x86 sees otherwise", known.len());
    known
}

fn decode(c: &mut Criterion) {
    let (text, address) = match text() {
        Ok(text) => text,
        Err(why) => return println!("SKIPPED decode: {why}"),
    };
    let profile = Profile::host();
    let iced_options = if profile.vendor() == Vendor::Amd { DecoderOptions::AMD } else { DecoderOptions::NONE };
    let sites = sites(&text, address, &profile, iced_options);

    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(sites.len() as u64));
    group.bench_function("encore86", |b| {
        let mut insn = encore86::Insn::default();
        b.iter(|| {
            let mut sum = 0;
            for &at in &sites {
                let window = black_box(window(&text, at));
                if encore86::decode_into(window, Mode::Long64, &profile, &mut insn).is_ok() {
                    sum += black_box(&insn).length();
                }
            }
            black_box(sum)
        });
    });
    group.bench_function("iced-x86", |b| {
        let mut insn = Instruction::default();
        b.iter(|| {
            let mut sum = 0;
            for &at in &sites {
                let ip = address + u64::from(at);
                Iced::with_ip(64, black_box(window(&text, at)), ip, iced_options).decode_out(&mut insn);
                sum += black_box(&insn).len();
            }
            black_box(sum)
        });
    });
    group.bench_function("yaxpeax-x86", |b| {
        let decoder = yaxpeax::InstDecoder::default();
        let mut insn = yaxpeax::Instruction::default();
        b.iter(|| {
            let mut sum = 0;
            for &at in &sites {
                let mut reader = U8Reader::new(black_box(window(&text, at)));
                if decoder.decode_into(&mut insn, &mut reader).is_ok() {
                    sum += black_box(&insn).len().to_const();
                }
            }
            black_box(sum)
        });
    });
    group.finish();
}

criterion_group! {
    name = decoders;
    config = Criterion::default();
    targets = decode
}
criterion_main!(decoders);
