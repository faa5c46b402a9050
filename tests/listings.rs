//! The code of each shape of stub, as text in `tests/stubs`: a change of what is generated shows in review.
//!
//! `ENCORE86_WRITE=1 cargo test --test listings` writes the files anew. iced-x86 disassembles; where the state and the
//! scratch lie is told by name, so that a listing does not change with the layout of `Cpu`.

use encore86::cpu::{Vector, X87, Zmm};
use encore86::isa::row::{Exec, Shape};
use encore86::{Cpu, Insn, Mode, Profile, decode, replay};
use encore86_stubs::Scratch;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, OpKind, Register};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::{Path, PathBuf};

/// File, what it shows, the guest's instruction, and whether the host has AVX-512.
#[rustfmt::skip] // one shape a line
const SHAPES: &[(&str, &str, &[u8], bool)] = &[
    ("load",              "a legacy load",                             &[0x0f, 0x10, 0x0b], true),
    ("store",             "a legacy store",                            &[0x0f, 0x29, 0x0b], true),
    ("load-operate",      "a legacy operation with memory",            &[0x66, 0x0f, 0xfe, 0x0b], true),
    ("vex-load",          "the upper part is cleared",                 &[0xc5, 0xf8, 0x10, 0x0b], true),
    ("vex-load-avx",      "the same without AVX-512",                  &[0xc5, 0xf8, 0x10, 0x0b], false),
    ("vex-operate",       "256 bits: VZEROUPPER at the exit",          &[0xc5, 0xed, 0xfe, 0xcb], true),
    ("vex-operate-avx",   "the same without AVX-512",                  &[0xc5, 0xed, 0xfe, 0xcb], false),
    ("vex-mask-load",     "elements by their signs",                   &[0xc4, 0xe2, 0x6d, 0x2c, 0x0b], true),
    ("evex-load",         "merging",                                   &[0x62, 0xf1, 0x7e, 0x4a, 0x6f, 0x0b], true),
    ("evex-store",        "under an opmask",                           &[0x62, 0xf1, 0x7e, 0x4a, 0x7f, 0x0b], true),
    ("evex-broadcast",    "zeroing, broadcast, MXCSR, upper registers", &[0x62, 0xe1, 0x6c, 0xd1, 0x58, 0x0b], true),
    ("evex-rounding",     "static rounding",                           &[0x62, 0xf1, 0x6c, 0x78, 0x58, 0xcb], true),
    ("evex-compress",     "a compressing store",                       &[0x62, 0xf2, 0x7d, 0x49, 0x8b, 0x13], true),
    ("opmask",            "opmask registers",                          &[0xc4, 0xe1, 0xec, 0x41, 0xcb], true),
    ("opmask-load",       "an opmask from memory",                     &[0xc4, 0xe1, 0xf8, 0x90, 0x0b], true),
    ("opmask-load-avx",   "the same on a host with opmasks of 16 bits", &[0xc5, 0xf8, 0x90, 0x0b], false),
    ("mmx",               "MMX registers: EMMS at the exit",           &[0x0f, 0xfc, 0x0b], true),
    ("mmx-mxcsr",         "MMX registers and MXCSR",                   &[0x0f, 0x2a, 0xca], true),
    ("mxcsr",             "under the guest's MXCSR, with the exit of a fault", &[0x0f, 0x58, 0x0b], true),
    ("flags-out",         "flags",                                     &[0x66, 0x0f, 0x38, 0x17, 0xca], true),
    ("flags-out-mxcsr",   "flags and MXCSR",                           &[0x66, 0x0f, 0x2e, 0x0b], true),
    ("gpr-in",            "a general-purpose register in",             &[0x66, 0x0f, 0x3a, 0x22, 0xcb, 0x01], true),
    ("gpr-out",           "a general-purpose register out",            &[0x0f, 0x50, 0xd9], true),
    ("strings-index",     "lengths in, an index and flags out",        &[0x66, 0x0f, 0x3a, 0x61, 0x0b, 0x0c], true),
    ("strings-mask",      "lengths in, XMM0 and flags out",            &[0x66, 0x0f, 0x3a, 0x60, 0x0b, 0x0c], true),
    ("x87-load",          "a value for the stack",                     &[0xd9, 0x03], true),
    ("x87-store",         "ST(0) to memory",                           &[0xdd, 0x13], true),
    ("x87-store-pop",     "ST(0) to memory, popped by the instruction", &[0xdd, 0x1b], true),
    ("x87-in-place",      "arithmetic of ST(0) with memory",           &[0xdc, 0x03], true),
    ("x87-compare",       "a comparison of ST(0) with memory",         &[0xdc, 0x13], true),
    ("x87-constant",      "a constant",                                &[0xd9, 0xeb], true),
];

/// The parts of `Scratch` that stubs use.
const SCRATCH: [(&str, usize); 9] = [
    ("mxcsr_run", offset_of!(Scratch, mxcsr_run)),
    ("mxcsr_fatal", offset_of!(Scratch, mxcsr_fatal)),
    ("mxcsr_out", offset_of!(Scratch, mxcsr_out)),
    ("mxcsr_host", offset_of!(Scratch, mxcsr_host)),
    ("rflags_in", offset_of!(Scratch, rflags_in)),
    ("fcw", offset_of!(Scratch, fcw)),
    ("fsw", offset_of!(Scratch, fsw)),
    ("fcw_host", offset_of!(Scratch, fcw_host)),
    ("top", offset_of!(Scratch, top)),
];

/// What lies at an offset in `Cpu`.
fn in_cpu(at: usize) -> String {
    const GPRS: [&str; 8] = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
    let element = |start: usize, size: usize, count: usize| {
        at.checked_sub(start).filter(|d| *d < size * count).map(|d| (d / size, d % size))
    };
    let plus = |rest: usize| if rest == 0 { String::new() } else { format!(" + {rest}") };
    let vector = offset_of!(Cpu, vector);
    if let Some((i, rest)) = element(offset_of!(Cpu, gpr), 8, 32) {
        let name = GPRS.get(i).map_or(format!("r{i}"), |name| name.to_string());
        return format!("{name}{}", plus(rest));
    }
    if let Some((i, rest)) = element(vector + offset_of!(Vector, zmm), size_of::<Zmm>(), 32) {
        return format!("zmm{i}{}", plus(rest));
    }
    if let Some((i, rest)) = element(vector + offset_of!(Vector, k), 8, 8) {
        return format!("k{i}{}", plus(rest));
    }
    if let Some((i, rest)) = element(offset_of!(Cpu, x87) + offset_of!(X87, regs), 10, 8) {
        return format!("R{i}{}", plus(rest));
    }
    panic!("a stub touches the state at {at:#x}");
}

fn in_scratch(at: usize) -> String {
    let st = offset_of!(Scratch, st);
    if at >= st {
        return format!("scratch.st{}", (at - st) / 16);
    }
    let part = SCRATCH.iter().rev().find(|(_, start)| *start <= at).expect("a part of the scratch");
    format!("scratch.{}{}", part.0, if at == part.1 { String::new() } else { format!(" + {}", at - part.1) })
}

/// The place of a memory operand by name; `None` for the local operand.
fn place(i: &Instruction) -> Option<String> {
    let at = i.memory_displacement64() as usize;
    match i.memory_base() {
        // By the offset in `scratch.top`.
        Register::RDI if (at, i.memory_index()) == (0, Register::R9) => Some("cpu.st0".into()),
        Register::RDI => Some(format!("cpu.{}", in_cpu(at))),
        Register::R8 | Register::RDX => Some(in_scratch(at)),
        Register::RSI => {
            assert_eq!((at, i.memory_index()), (0, Register::None), "{i}");
            None
        }
        other => panic!("a stub addresses memory by {other:?}: {i}"),
    }
}

fn listing(code: &[u8]) -> String {
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_hex_prefix("0x");
    formatter.options_mut().set_hex_suffix("");
    formatter.options_mut().set_space_after_operand_separator(true);
    let lines: Vec<_> = Decoder::with_ip(64, code, 0, DecoderOptions::NONE).into_iter().collect();
    let target =
        |i: &Instruction| (i.op_count() > 0 && i.op_kind(0) == OpKind::NearBranch64).then(|| i.near_branch64());
    let targets: BTreeSet<u64> = lines.iter().filter_map(target).collect();
    let label = |at: u64| format!("L{}", targets.iter().position(|t| *t == at).expect("a target") + 1);
    let mut out = String::new();
    for i in &lines {
        assert!(!i.is_invalid(), "iced-x86 does not know {:02x?}", &code[i.ip() as usize..]);
        if targets.contains(&i.ip()) {
            writeln!(out, "{}:", label(i.ip())).unwrap();
        }
        let mut text = String::new();
        formatter.format(i, &mut text);
        if let Some(target) = target(i) {
            text = format!("{} {}", text.split(' ').next().unwrap_or_default(), label(target));
        } else if (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory)
            && let Some(place) = place(i)
            && let (Some(from), Some(to)) = (text.find('['), text.find(']'))
        {
            text.replace_range(from + 1..to, &place);
        }
        writeln!(out, "    {text}").unwrap();
    }
    out
}

fn read(bytes: &[u8]) -> Insn {
    decode(bytes, Mode::Long64, &Profile::all()).expect("an instruction")
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stubs")
}

#[test]
fn stubs_are_as_listed() {
    let write = std::env::var_os("ENCORE86_WRITE").is_some();
    let mut stale = Vec::new();
    for &(name, what, bytes, avx512) in SHAPES {
        let insn = read(bytes);
        let code = replay::code(&insn, avx512).expect("a recipe").expect("a stub");
        let should = format!("{insn}: {what}\n\n{}", listing(&code));
        let path = directory().join(format!("{name}.txt"));
        if write {
            std::fs::write(&path, should).expect("the listing can be written");
            continue;
        }
        let is = std::fs::read_to_string(&path).unwrap_or_default();
        if is != should {
            stale.push(format!("{}, which should be:\n{should}", path.display()));
        }
    }
    let hint = "run `ENCORE86_WRITE=1 cargo test --test listings` and look at the difference";
    assert!(stale.is_empty(), "{hint}: {}", stale.join("\n"));
}

#[test]
fn every_listing_is_of_a_shape() {
    let files: BTreeSet<_> =
        std::fs::read_dir(directory()).expect("tests/stubs").map(|f| f.unwrap().file_name()).collect();
    let shapes: BTreeSet<_> = SHAPES.iter().map(|s| format!("{}.txt", s.0).into()).collect();
    assert_eq!(files, shapes);
}

/// Gathers, scatters and byte masks have no stub to list.
#[test]
fn sequences_of_accesses_have_no_stub() {
    // VPGATHERDD, VPSCATTERDD, MASKMOVDQU.
    let all: [&[u8]; 3] = [
        &[0x62, 0xf2, 0x7d, 0x49, 0x90, 0x0c, 0x13],
        &[0x62, 0xf2, 0x7d, 0x49, 0xa0, 0x0c, 0x13],
        &[0x66, 0x0f, 0xf7, 0xca],
    ];
    for bytes in all {
        let insn = read(bytes);
        assert!(matches!(insn.row().exec, Exec::Replay(Shape::Gather | Shape::Scatter | Shape::ByteMask)));
        assert_eq!(replay::code(&insn, true), Ok(None), "{insn}");
    }
}
