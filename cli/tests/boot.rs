//! Guests that run: the built-in one against its computed picture, flat images in each mode.

mod boot_support;

use boot_support::{Run, assert_painted, boot, file, host_flags, image, pixels};
use encore86_asm::gallery::{HEIGHT, TILES, WIDTH};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// The line of the table for `instruction` and a memory operand of `width` bytes: times run, device accesses, bytes.
fn counted(run: &Run, instruction: &str, width: Option<u64>) -> Option<[u64; 3]> {
    run.stdout.lines().find_map(|line| {
        let numbers = line.strip_prefix(instruction)?.strip_prefix("  ")?;
        let mut fields: Vec<&str> = numbers.split_whitespace().collect();
        if let Some(width) = width {
            (fields.remove(0) == width.to_string()).then_some(())?;
        }
        (fields.len() >= 4).then_some(())?;
        Some([0, 1, 2].map(|i| fields[i].parse().unwrap()))
    })
}

/// The totals of the table.
fn totals(run: &Run) -> [u64; 3] {
    counted(run, "all", None).unwrap_or_else(|| panic!("no totals in {run:#?}"))
}

fn trace(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One run of the built-in guest, for the tests that only look.
static GALLERY: LazyLock<Run> = LazyLock::new(|| {
    let path = file("gallery-host.png");
    boot(&["--png", path.to_str().unwrap()])
});

#[test]
fn the_gallery_is_the_computed_picture() {
    let run = &*GALLERY;
    assert_eq!(run.status, Some(0), "{run:#?}");
    assert_eq!(run.stderr, "", "no progress bar where there is no terminal");
    let flags = host_flags();
    assert_painted(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("gallery-host.png"), &flags);

    let mut hatched = 0;
    for tile in &TILES {
        let Some(lacks) = tile.needs.iter().find(|name| !flags.contains(**name)) else { continue };
        println!("NOT PROVEN on this host: tile {} ({}) is hatched, no {lacks}", tile.number, tile.name);
        hatched += 1;
        let why = format!("since the guest's CPUID has no {lacks} (nor has the host");
        let said = run.stdout.lines().any(|line| line.contains(&why) && line.contains(tile.name));
        assert!(said, "why {} is hatched is not in {}", tile.name, run.stdout);
    }
    let painted = TILES.len() - hatched;
    let serial = format!("gallery: {painted} tiles painted, {hatched} hatched\n");
    assert!(run.stdout.starts_with(&serial), "{serial:?} does not begin {}", run.stdout);
    println!("{painted} tiles painted by the engine, {hatched} hatched");
}

#[test]
fn the_table_of_the_gallery_lists_its_instructions() {
    let run = &*GALLERY;
    // What the tiles are made of: 112 rows of 112 pixels, moved in the units that the tile's source says.
    for (instruction, width, least) in [
        ("mov Eb,Gb", Some(1), 112 * 112),
        ("rep movsb", Some(1), 1),
        ("lock cmpxchg16b Mdq", Some(16), 1),
        ("movntdq Mdq,Vdq", Some(16), 112 * 28),
        ("fistp Mw", Some(2), 1),
        ("fxsave Mfx", Some(512), 112),
        ("cpuid", None, 3),
    ] {
        let [times, ..] =
            counted(run, instruction, width).unwrap_or_else(|| panic!("no {instruction} in {}", run.stdout));
        assert!(times >= least, "{instruction} ran {times} times");
    }
    let [_, accesses, bytes] = totals(run);
    assert!(bytes >= (WIDTH * HEIGHT * 4) as u64 && accesses >= bytes / 64, "{accesses} accesses of {bytes} bytes");
}

#[test]
fn a_guest_without_avx_hatches_those_tiles() {
    let path = file("gallery-sse.png");
    let run = boot(&["--png", path.to_str().unwrap(), "--without", "avx,avx2", "--without", "cx16"]);
    assert_eq!(run.status, Some(0), "{run:#?}");
    let mut flags = host_flags();
    let had = flags.clone();
    // Without AVX there are no registers for what builds on it.
    flags.retain(|name| name != "cx16" && !name.starts_with("avx"));
    assert_painted(&path, &flags);
    for (name, tile) in [("avx", "vmovdqu ymm"), ("avx2", "vpgatherdd"), ("cx16", "lock cmpxchg16b")] {
        let why = match had.contains(name) {
            true => format!("CPUID has no {name} (the host has, but the profile leaves it out): "),
            false => format!("CPUID has no {name} (nor has the host"),
        };
        let line = run.stdout.lines().find(|line| line.contains(&why));
        assert!(line.is_some_and(|line| line.contains(tile)), "{why:?} with {tile} is not in {}", run.stdout);
    }
}

#[test]
fn real_mode_speaks_through_the_port_and_halts() {
    #[rustfmt::skip]
    let hello = image("hello16.bin", &[
        0xb0, b'H',             // mov al, 'H'
        0xba, 0xf8, 0x03,       // mov dx, 0x3f8
        0xee,                   // out dx, al
        0xb0, b'i',             // mov al, 'i'
        0xee,                   // out dx, al
        0xf4,                   // hlt
    ]);
    let run = boot(&[&hello, "--load", "0x7c00", "--entry", "0x7c00", "--mode", "real16"]);
    assert_eq!(run.status, Some(0), "{run:#?}");
    assert!(run.stdout.starts_with("Hi\n"), "{}", run.stdout);
    assert!(run.stdout.contains("halted at RIP 0x7c09 (bytes f4: hlt) after 6 instructions"), "{}", run.stdout);
    assert_eq!(totals(&run), [6, 2, 2]);
    assert_eq!(counted(&run, "out dx,al", None), Some([2, 2, 2]), "{}", run.stdout);
}

#[test]
fn real_mode_enters_above_the_first_segment() {
    #[rustfmt::skip]
    let high = image("high16.bin", &[
        0x2e, 0xa0, 0x0a, 0x23, // mov al, cs:[0x230a]
        0xe6, 0xf4,             // out 0xf4, al
        0xf4, 0, 0, 0,          // hlt
        0x00,
    ]);
    let run = boot(&[&high, "--load", "0x12300", "--mode", "real16"]);
    assert_eq!(run.status, Some(0), "{run:#?}");
    assert!(run.stdout.contains("ended with exit code 0 after 2 instructions"), "{}", run.stdout);
}

#[test]
fn protected_mode_speaks_through_the_alias_and_has_a_stack() {
    #[rustfmt::skip]
    let guest = image("hello32.bin", &[
        0x6a, b'3',                                     // push '3'
        0x58,                                           // pop eax
        0xa2, 0xf8, 0x13, 0x00, 0xd0,                   // mov [0xd00013f8], al
        0xc6, 0x05, 0xf8, 0x13, 0x00, 0xd0, b'\n',      // mov byte ptr [0xd00013f8], '\n'
        0x31, 0xc0,                                     // xor eax, eax
        0xa3, 0xf4, 0x20, 0x00, 0xd0,                   // mov [0xd00020f4], eax
    ]);
    let run = boot(&[&guest, "--load", "0x1000", "--memory", "8K", "--mode", "prot32"]);
    assert_eq!(run.status, Some(0), "{run:#?}");
    assert!(run.stdout.starts_with("3\n"), "{}", run.stdout);
    assert!(run.stdout.contains("ended with exit code 0 after 6 instructions"), "{}", run.stdout);
    assert_eq!(totals(&run), [6, 3, 6]);
}

/// 64-bit code with accesses that can be counted: its entry is behind 16 bytes of data.
#[rustfmt::skip]
const ACCESSES: &[u8] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    0xbf, 0xfe, 0x0f, 0x00, 0xe0,                       // mov edi, 0xe0000ffe
    0xbe, 0x00, 0x00, 0x20, 0x00,                       // mov esi, 0x200000
    0x8b, 0x06,                                         // mov eax, [rsi]
    0x89, 0x07,                                         // mov [rdi], eax
    0x81, 0x47, 0x0a, 0x01, 0x01, 0x00, 0x00,           // add dword ptr [rdi+0xa], 0x101
    0xf3, 0x0f, 0x6f, 0x06,                             // movdqu xmm0, [rsi]
    0xf3, 0x0f, 0x7f, 0x47, 0x12,                       // movdqu [rdi+0x12], xmm0
    0xf0, 0x0f, 0xc1, 0x06,                             // lock xadd [rsi], eax
    0xb9, 0x03, 0x00, 0x00, 0x00,                       // mov ecx, 3
    0xf3, 0xa4,                                         // rep movsb
    0x66, 0xba, 0xf8, 0x03,                             // mov dx, 0x3f8
    0xec,                                               // in al, dx
    0xf4,                                               // hlt
];

#[test]
fn every_access_is_traced_and_counted() {
    let guest = image("accesses.bin", ACCESSES);
    let path = file("accesses.jsonl");
    let (load, entry) = ("0x200000", "0x200010");
    let run = boot(&[&guest, "--load", load, "--entry", entry, "--trace", path.to_str().unwrap()]);
    assert_eq!(run.status, Some(0), "{run:#?}");

    let line = |step: u64, rip: &str, text: &str, kind: &str, address: &str, place: &str, hex: &str| {
        json!({
            "step": step, "rip": rip, "text": text, "kind": kind, "address": address, "place": place,
            "len": hex.len() / 2, "hex": hex,
        })
    };
    let rmw = |mut line: Value, old: &str, new: &str, locked: bool| {
        let fields = line.as_object_mut().unwrap();
        fields.remove("hex");
        fields.extend([("old".into(), old.into()), ("new".into(), new.into())]);
        fields.insert("len".into(), json!(old.len() / 2));
        if locked {
            fields.insert("locked".into(), true.into());
        }
        line
    };
    let row = "000102030405060708090a0b0c0d0e0f";
    let store = "movdqu xmmword ptr [rdi+0x12], xmm0";
    let add = line(5, "0x20001e", "add dword ptr [rdi+0xa], 0x101", "rmw", "0xe0001008", "framebuffer", "");
    let xadd = line(8, "0x20002e", "lock xadd dword ptr [rsi], eax", "rmw", "0x200000", "ram", "");
    let wanted = [
        line(3, "0x20001a", "mov eax, dword ptr [rsi]", "read", "0x200000", "ram", "00010203"),
        line(4, "0x20001c", "mov dword ptr [rdi], eax", "write", "0xe0000ffe", "framebuffer", "00010203"),
        rmw(add, "00000000", "01010000", false),
        line(6, "0x200025", "movdqu xmm0, xmmword ptr [rsi]", "read", "0x200000", "ram", row),
        line(7, "0x200029", store, "write", "0xe0001010", "framebuffer", row),
        rmw(xadd, "00010203", "00020406", true),
        line(10, "0x200037", "rep movsb", "read", "0x200000", "ram", "00"),
        line(10, "0x200037", "rep movsb", "write", "0xe0000ffe", "framebuffer", "00"),
        line(10, "0x200037", "rep movsb", "read", "0x200001", "ram", "02"),
        line(10, "0x200037", "rep movsb", "write", "0xe0000fff", "framebuffer", "02"),
        line(10, "0x200037", "rep movsb", "read", "0x200002", "ram", "04"),
        line(10, "0x200037", "rep movsb", "write", "0xe0001000", "framebuffer", "04"),
        line(12, "0x20003d", "in al, dx", "in", "0x3f8", "serial", "00"),
    ];
    let traced = trace(&path);
    for (i, (is, should)) in traced.iter().zip(&wanted).enumerate() {
        assert_eq!(is, should, "access {i}");
    }
    assert_eq!(traced.len(), wanted.len());

    // The store across the page is two accesses to the device, the addition a read and a write.
    assert_eq!(totals(&run), [13, 2 + 2 + 1 + 3 + 1, 4 + 8 + 16 + 3 + 1]);
    assert_eq!(counted(&run, "mov Ev,Gv", Some(4)), Some([1, 2, 4]));
    assert_eq!(counted(&run, "movdqu Wdq,Vdq", Some(16)), Some([1, 1, 16]));
    // A trace takes nothing away: without one, the table is the same but for the times.
    let plain = boot(&[&guest, "--load", load, "--entry", entry]);
    assert_eq!(totals(&plain), totals(&run));
}

#[test]
fn fetches_are_traced_when_asked_for() {
    let guest = image("fetches.bin", &[0x90, 0x48, 0x89, 0xc3, 0xf4]);
    let path = file("fetches.jsonl");
    let run = boot(&[&guest, "--trace", path.to_str().unwrap(), "--trace-fetches"]);
    assert_eq!(run.status, Some(0), "{run:#?}");
    let fetched: Vec<_> = trace(&path)
        .iter()
        .map(|line| ["kind", "address", "place", "text", "hex"].map(|key| line[key].as_str().unwrap().to_owned()))
        .collect();
    let wanted = [
        ["fetch", "0x100000", "ram", "nop", "90"],
        ["fetch", "0x100001", "ram", "mov rbx, rax", "4889c3"],
        ["fetch", "0x100004", "ram", "hlt", "f4"],
    ];
    assert_eq!(fetched, wanted);
}

#[test]
fn registers_keep_what_is_written_and_an_image_may_draw() {
    #[rustfmt::skip]
    let guest = image("draw.bin", &[
        0xbf, 0x00, 0x00, 0x00, 0xd0,                               // mov edi, 0xd0000000
        0x48, 0xb8, 0x33, 0x22, 0x11, 0xff, 0x66, 0x55, 0x44, 0x00, // mov rax, 0x00445566_ff112233
        0x48, 0x89, 0x87, 0xf8, 0x0f, 0x00, 0x00,                   // mov [rdi+0xff8], rax
        0x48, 0x8b, 0x97, 0xf8, 0x0f, 0x00, 0x00,                   // mov rdx, [rdi+0xff8]
        0xbf, 0x00, 0x00, 0x00, 0xe0,                               // mov edi, 0xe0000000
        0x48, 0x89, 0x97, 0xf8, 0x0f, 0x00, 0x00,                   // mov [rdi+0xff8], rdx
        0xf4,                                                       // hlt
    ]);
    let path = file("draw.png");
    let run = boot(&[&guest, "--png", path.to_str().unwrap()]);
    assert_eq!(run.status, Some(0), "{run:#?}");
    let picture = pixels(&path);
    assert_eq!(picture[1022..1025], [0x112233, 0x445566, 0], "the last two pixels of the first row");
    assert_eq!(picture.iter().filter(|&&pixel| pixel != 0).count(), 2);
    let silent = boot(&[&guest]);
    assert!(!silent.stdout.contains("picture"), "{}", silent.stdout);
}
