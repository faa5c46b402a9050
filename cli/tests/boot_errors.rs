//! Boots that end badly: each in a sentence that says what and where, and a status other than 0.

mod boot_support;

use boot_support::{boot, file, image};

/// Fails unless the boot ends with `status` and exactly this sentence.
fn assert_ends(args: &[&str], status: i32, sentence: &str) {
    let run = boot(args);
    assert_eq!(run.status, Some(status), "{run:#?}");
    assert_eq!(run.stderr, format!("encore86 boot: {sentence}\n"), "{args:?}");
}

/// Fails unless the command line is refused with these words.
fn assert_refused(args: &[&str], words: &[&str]) {
    let run = boot(args);
    assert_eq!(run.status, Some(2), "{run:#?}");
    for word in words {
        assert!(run.stderr.contains(word), "{word:?} is not in {}", run.stderr);
    }
    assert_eq!(run.stdout, "", "nothing ran");
}

/// Fails unless 64-bit code at 0x100000 ends with exactly this sentence.
fn assert_code_ends(name: &str, code: &[u8], sentence: &str) {
    assert_ends(&[&image(name, code)], 1, sentence);
}

#[test]
fn a_missing_file() {
    let path = file("not-there.bin");
    let path = path.to_str().unwrap();
    assert_ends(&[path], 1, &format!("cannot read the image {path}: No such file or directory (os error 2)"));
}

#[test]
fn a_folder_or_an_empty_file_for_an_image() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    assert_ends(&[folder], 1, &format!("cannot read the image {folder}: Is a directory (os error 21)"));
    let empty = image("empty.bin", &[]);
    assert_ends(&[&empty], 1, &format!("the image {empty} is empty"));
}

#[test]
fn an_image_that_does_not_fit() {
    let guest = image("fit.bin", &[0x90; 0x1001]);
    let sentence = |load: &str| {
        format!(
            "the image {guest} does not fit: loaded at {load}, it runs past the end of RAM at 0x100000; \
             change --load or --memory"
        )
    };
    assert_ends(&[&guest, "--memory", "1M", "--load", "0xff000"], 1, &sentence("0xff000"));
    assert_ends(&[&guest, "--memory", "1M", "--load", "0x100000"], 1, &sentence("0x100000"));
    let last = "0xffffffffffffffff";
    assert_ends(&[&guest, "--memory", "1M", "--load", last], 1, &sentence(last));
    // A file without end is not read to its end.
    let endless = boot(&["/dev/zero", "--memory", "1M", "--load", "0x1000"]);
    assert!(endless.stderr.contains("the image /dev/zero does not fit"), "{endless:#?}");
}

#[test]
fn an_entry_outside_the_image() {
    let guest = image("entry.bin", &[0xf4; 16]);
    let sentence = |entry: &str| {
        format!("the entry {entry} lies outside the image, which is loaded from 0x8000 to 0x800f; change --entry")
    };
    for entry in ["0x7fff", "0x8010", "0xffffffffffffffff"] {
        assert_ends(&[&guest, "--load", "0x8000", "--entry", entry], 1, &sentence(entry));
    }
    assert_eq!(boot(&[&guest, "--load", "0x8000", "--entry", "0x800f"]).status, Some(0), "the last byte is inside");
    assert_ends(
        &[&guest, "--load", "0x100000", "--mode", "real16"],
        1,
        "the entry 0x100000 is beyond the first MiB, where real mode can start",
    );
}

#[test]
fn numbers_and_names_that_are_none() {
    let guest = image("numbers.bin", &[0xf4]);
    assert_refused(
        &[&guest, "--load", "7c00h"],
        &["invalid value '7c00h' for '--load <ADDR>'", "hexadecimal one with 0x"],
    );
    assert_refused(&[&guest, "--entry", "0x10000000000000000"], &["--entry <ADDR>", "too large"]);
    assert_refused(&[&guest, "--memory", "12Q"], &["invalid value '12Q' for '--memory <SIZE>'"]);
    assert_refused(&[&guest, "--mode", "real32"], &["invalid value 'real32' for '--mode <MODE>'", "prot32"]);
    assert_refused(&["--without", "mmx2"], &["no such feature"]);
    assert_refused(&["--profile", "8086"], &["--profile <PROFILE>", "8086"]);
    assert_refused(&["--load", "0x1000"], &["required", "IMAGE"]);
}

#[test]
fn memory_of_an_impossible_size() {
    let sentence =
        |size: &str| format!("{size} bytes of RAM can't be had: --memory takes a multiple of 4K up to 3328M");
    assert_ends(&["--memory", "0"], 1, &sentence("0x0"));
    assert_ends(&["--memory", "4097"], 1, &sentence("0x1001"));
    assert_ends(&["--memory", "4G"], 1, &sentence("0x100000000"));
    assert_ends(
        &["--memory", "1M"],
        1,
        "the guest gallery needs 3M of RAM, more than the 0x100000 bytes that --memory gives it",
    );
}

#[test]
fn files_that_cannot_be_written() {
    let guest = image("output.bin", &[0xf4]);
    let folder = env!("CARGO_TARGET_TMPDIR");
    let sentence = format!("cannot write {folder}: Is a directory (os error 21)");
    assert_ends(&[&guest, "--trace", folder], 1, &sentence);
    assert_ends(&[&guest, "--png", folder], 1, &sentence);
    assert_ends(
        &[&guest, "--trace", "/dev/full", "--trace-fetches"],
        1,
        "cannot write /dev/full: No space left on device (os error 28)",
    );
}

#[test]
fn exceptions() {
    let no_handler = "the guest has loaded no interrupt table, so the boot ends";
    for (name, code, event, place) in [
        ("ud2.bin", &[0x90, 0x0f, 0x0b][..], "#UD: ", "RIP 0x100001 (bytes 0f 0b: ud2)"),
        ("div0.bin", &[0x31, 0xc9, 0xf7, 0xf1], "#DE: ", "RIP 0x100002 (bytes f7 f1: div ecx)"),
        (
            "canonical.bin",
            &[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8a, 0x00],
            "#GP(0x0): ",
            "RIP 0x10000a (bytes 8a 00: mov al, byte ptr [rax])",
        ),
        ("int3.bin", &[0xcc], "#BP: ", "RIP 0x100000 (bytes cc: int3)"),
        ("int.bin", &[0xcd, 0x80], "INT 0x80: ", "RIP 0x100000 (bytes cd 80: int 0x80)"),
    ] {
        let run = boot(&[&image(name, code)]);
        assert_eq!(run.status, Some(1), "{run:#?}");
        let begin = format!("encore86 boot: the guest ran into {event}");
        let end = format!(", at {place}; {no_handler}\n");
        assert!(run.stderr.starts_with(&begin), "{name}: {begin:?} does not begin {:?}", run.stderr);
        assert!(run.stderr.ends_with(&end), "{name}: {end:?} does not end {:?}", run.stderr);
        assert!(run.stdout.contains("was ended after "), "what ran is still told: {}", run.stdout);
    }
}

#[test]
fn bytes_that_are_no_instruction_are_shown() {
    // 06 is PUSH ES, which 64-bit mode does not have.
    let run = boot(&[&image("bad64.bin", &[0x06, 0xaa])]);
    assert_eq!(run.status, Some(1), "{run:#?}");
    let place = "at RIP 0x100000 (bytes 06 aa 00 00 00 00 00 00 00 00 00 00 00 00 00: no known instruction)";
    assert!(run.stderr.contains(place), "{}", run.stderr);
}

#[test]
fn an_instruction_that_the_engine_cannot_run() {
    // RDMSR of a register that this monitor does not have.
    let run = boot(&[&image("rdmsr.bin", &[0xb9, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x32])]);
    assert_eq!(run.status, Some(1), "{run:#?}");
    let begin = "encore86 boot: the engine can't run the instruction at RIP 0x100005 (bytes 0f 32";
    assert!(run.stderr.starts_with(begin), "{}", run.stderr);
}

#[test]
fn accesses_to_where_there_is_nothing() {
    assert_code_ends(
        "stray-read.bin",
        &[0xb8, 0x00, 0x00, 0x00, 0x01, 0x8b, 0x00], // mov eax, 0x1000000; mov eax, [rax]
        "the guest reads 4 bytes at 0x1000000, which are not all in RAM or in one device, \
         at RIP 0x100005 (bytes 8b 00: mov eax, dword ptr [rax])",
    );
    // One byte in RAM and one behind it: an access to a page that is there and one to a page that is not.
    assert_code_ends(
        "stray-end.bin",
        &[0xb8, 0xff, 0xff, 0xff, 0x00, 0x66, 0x89, 0x00], // mov eax, 0xffffff; mov [rax], ax
        "the guest writes 1 byte at 0x1000000, where there is neither RAM nor a device, \
         at RIP 0x100005 (bytes 66 89 00: mov word ptr [rax], ax)",
    );
    // The last byte of the exit register and the one behind it.
    assert_code_ends(
        "stray-device.bin",
        &[0xb8, 0xf7, 0x20, 0x00, 0xd0, 0x66, 0x89, 0x00], // mov eax, 0xd00020f7; mov [rax], ax
        "the guest writes 2 bytes at 0xd00020f7, which are not all in RAM or in one device, \
         at RIP 0x100005 (bytes 66 89 00: mov word ptr [rax], ax)",
    );
    assert_code_ends(
        "stray-port.bin",
        &[0xe4, 0x60], // in al, 0x60
        "the guest reads 1 byte at port 0x60, where there is no device, at RIP 0x100000 (bytes e4 60: in al, 0x60)",
    );
    assert_code_ends(
        "stray-jump.bin",
        &[0xb8, 0x00, 0x00, 0x00, 0xe0, 0xff, 0xe0], // mov eax, 0xe0000000; jmp rax
        "the guest fetches an instruction at 0xe0000000, where there is no RAM, \
         at RIP 0xe0000000 (no bytes there)",
    );
}

#[test]
fn an_instruction_cut_off_by_the_end_of_ram() {
    let guest = image("cut.bin", &[0x48, 0xb8, 0x01]);
    assert_ends(
        &[&guest, "--memory", "8K", "--load", "0x1ffd"],
        1,
        "the guest fetches an instruction at 0x2000, where there is no RAM, \
         at RIP 0x1ffd (bytes 48 b8 01: no known instruction)",
    );
}

#[test]
fn an_exit_code() {
    assert_code_ends(
        "exit.bin",
        &[0xb8, 0x07, 0x01, 0x00, 0x00, 0xe7, 0xf4], // mov eax, 0x107; out 0xf4, eax
        "the guest ended with exit code 0x107, at RIP 0x100005 (bytes e7 f4: out 0xf4, eax)",
    );
}

#[test]
fn a_guest_that_never_ends() {
    let spin = image("spin.bin", &[0xeb, 0xfe]);
    let run = boot(&[&spin, "--max-steps", "1000"]);
    assert_eq!(run.status, Some(1), "{run:#?}");
    let begin = "encore86 boot: the guest has not ended after 1000 instructions, all that --max-steps allows; \
                 next is RIP 0x100000 (bytes eb fe: jmp";
    assert!(run.stderr.starts_with(begin), "{}", run.stderr);
    assert!(run.stdout.contains("was ended after 1000 instructions"), "{}", run.stdout);
    let none = boot(&[&spin, "--max-steps", "0"]);
    assert!(none.stdout.contains("was ended after 0 instructions"), "{none:#?}");

    let sleeps = [0xfb, 0xf4]; // sti; hlt
    assert_code_ends(
        "sleep.bin",
        &sleeps,
        "the guest waits for an interrupt, and nothing in this machine raises one: HLT with interrupts on, \
         at RIP 0x100001 (bytes f4: hlt)",
    );
}

#[test]
fn a_segment_is_named_where_there_is_one() {
    let guest = image("ud16.bin", &[0x0f, 0x0b]);
    let run = boot(&[&guest, "--mode", "real16", "--load", "0x23450"]);
    assert!(run.stderr.contains("at RIP 0x3450 in CS at 0x20000 (bytes 0f 0b: ud2)"), "{run:#?}");
}

#[test]
fn a_feature_that_only_the_profile_has() {
    let features = std::fs::read_to_string("/proc/cpuinfo").expect("Linux has /proc/cpuinfo");
    let code = [0x62, 0xf1, 0xfe, 0x48, 0x6f, 0xc1]; // vmovdqu64 zmm0, zmm1
    let run = boot(&[&image("zmm.bin", &code), "--profile", "all", "--max-steps", "1"]);
    assert_eq!(run.status, Some(1), "{run:#?}");
    if features.contains("avx512f") {
        println!("NOT PROVEN on this host: it has AVX-512, and what it lacks is no feature of this test");
        return;
    }
    assert_eq!(
        run.stderr,
        "encore86 boot: the engine can't run the instruction at RIP 0x100000 \
         (bytes 62 f1 fe 48 6f c1: vmovdqu64 zmm0, zmm1): the host lacks avx512f\n"
    );
}
