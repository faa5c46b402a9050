//! Decode alone, on real code: the text of this very executable, beside two other decoders.
//!
//! Each decoder gets the same list of places and, at each of them, raw bytes of unknown extent, as a monitor does at an
//! exit: nothing is carried from one instruction to the next but a value to write into.

use criterion::{Criterion, Throughput};
use encore86::{Mode, Profile, Vendor};
use iced_x86::{Decoder as Iced, DecoderOptions, Instruction};
use object::{Object, ObjectSection};
use std::error::Error;
use std::fmt::Write;
use std::hint::black_box;
use yaxpeax_arch::{Decoder, LengthedInstruction, U8Reader};
use yaxpeax_x86::long_mode as yaxpeax;

/// The longest instruction.
const LIMIT: usize = 15;
/// So many instructions are timed at most; all are looked at.
const MOST: usize = 200_000;

/// The code section of this executable and its address.
fn text() -> Result<(Vec<u8>, u64), Box<dyn Error>> {
    let file = std::fs::read(std::env::current_exe()?)?;
    let elf = object::File::parse(&*file)?;
    let section = elf.section_by_name(".text").ok_or("the executable has no .text")?;
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

/// Where the first [`MOST`] instructions start that all three decoders know. iced-x86 says where one ends and the next begins; what the
/// others make of each place is counted, and told.
fn sites(text: &[u8], address: u64, profile: &Profile, iced_options: u32) -> Vec<u32> {
    let (mut known, mut all, mut supported, mut wrong, mut strange) = (Vec::new(), 0, 0, 0, 0);
    let mut iced = Iced::with_ip(64, text, address, iced_options);
    let mut insn = Instruction::default();
    while iced.can_decode() {
        let at = iced.position() as u32;
        iced.decode_out(&mut insn);
        if insn.is_invalid() {
            println!("decode: the list ends at {:#x}, no instruction: {}", insn.ip(), hex(window(text, at)));
            break;
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
    println!("decode: {supported} of {all} instructions supported, {wrong} of a wrong length");
    known.truncate(MOST);
    println!("decode: the first {} timed, without {strange} that yaxpeax-x86 sees otherwise", known.len());
    known
}

pub fn decode(c: &mut Criterion) {
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
