//! `encore86 trace`: static programs do the same as by themselves.

mod trace_support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use trace_support::{counted, directory, run, same, traced};

/// A Rust program whose first argument says what it does.
const PROGRAM: &str = r#"
use std::collections::BTreeMap;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments[1].as_str() {
        "words" => {
            let mut counts = BTreeMap::new();
            for line in std::io::stdin().lock().lines() {
                for word in line.unwrap().split_whitespace() {
                    *counts.entry(word.to_owned()).or_insert(0u32) += 1;
                }
            }
            println!("{counts:?} {:?}", &arguments[2..]);
            eprintln!("{} words", counts.len());
            std::process::exit(7);
        }
        "numbers" => {
            let mut sum = 0f64;
            for i in 1..2000 {
                sum += (i as f64).sqrt().sin() / i as f64;
            }
            let big: u128 = (1..=30).product();
            println!("{sum:e} {big} {:?}", "3.25e-7".parse::<f32>());
            println!("{:?}", (1u64..40).map(|n| n.pow(3).rotate_left(n as u32)).collect::<Vec<_>>());
        }
        "memory" => {
            let mut all = Vec::new();
            for size in [10, 5_000, 300_000, 3_000_000] {
                let mut part = vec![1u8; size];
                part.resize(size * 2, 2);
                all.push(part);
            }
            all.remove(1);
            all[1].shrink_to(7);
            let sum: u64 = all.iter().flatten().map(|&b| u64::from(b)).sum();
            println!("{sum}");
        }
        "files" => {
            let mut file = std::fs::File::open(&arguments[2]).unwrap();
            file.seek(SeekFrom::Start(3)).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            let meta = file.metadata().unwrap();
            println!("{text:?} {} {:?}", meta.len(), meta.modified().is_ok());
            println!("{:?}", std::fs::File::open("/no/such").map_err(|e| e.kind()).err());
            let mut names: Vec<_> =
                std::fs::read_dir(&arguments[3]).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            println!("{names:?} {:?}", std::env::current_dir());
        }
        "write" => {
            let done = std::fs::write(&arguments[2], "written");
            println!("{:?}", done.map_err(|e| e.kind()));
        }
        "unwind" => {
            let caught = std::panic::catch_unwind(|| {
                let _kept = String::from("dropped on the way");
                std::panic::resume_unwind(Box::new(3u8));
            });
            println!("{:?}", caught.unwrap_err().downcast_ref::<u8>());
        }
        "time" => {
            let begun = std::time::Instant::now();
            std::thread::sleep(std::time::Duration::from_millis(2));
            println!("{}", begun.elapsed().as_millis() >= 2);
        }
        "null" => {
            std::io::stdout().write_all(b"before").unwrap();
            std::io::stdout().flush().unwrap();
            let at = std::hint::black_box(8usize) as *const u64;
            unsafe { println!("{}", at.read_volatile()) }
        }
        "constant" => {
            let at = std::hint::black_box(PLACE.as_ptr()).cast_mut();
            unsafe { at.write_volatile(1) }
        }
        "divide" => unsafe {
            std::arch::asm!("xor edx, edx", "xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _)
        },
        "undefined" => unsafe { std::arch::asm!("ud2") },
        "breakpoint" => unsafe { std::arch::asm!("int3") },
        "privileged" => unsafe { std::arch::asm!("hlt") },
        "abort" => std::process::abort(),
        "pipe" => {
            let line = [b'x'; 100];
            while std::io::stdout().write_all(&line).is_ok() {}
            eprintln!("nobody reads");
            std::process::exit(5);
        }
        "pointers" => {
            // read, write, clock_gettime, uname, getrandom, getcwd, fstat, mmap over nothing: to where no memory is.
            let bad = [0u64, 8, 1 << 40, 1 << 46, u64::MAX - 7, 0x7fff_ffff_f000];
            for at in bad {
                for (number, a, b, c) in [
                    (0, 0, at, 16), (1, 1, at, 16), (228, 1, at, 0), (63, at, 0, 0), (318, at, 16, 0),
                    (79, at, 100, 0), (5, 1, at, 0), (1, 1, PLACE.as_ptr() as u64, u64::MAX), (20, 1, at, 2),
                    (11, at & !0xfff, u64::MAX, 0), (2, at, 0, 0), (13, 2, at, 0),
                ] {
                    let result: i64;
                    unsafe {
                        std::arch::asm!("syscall", inlateout("rax") number as i64 => result, in("rdi") a, in("rsi") b,
                            in("rdx") c, in("r10") 8, out("rcx") _, out("r11") _);
                    }
                    println!("{number} {at:x}: {result}");
                }
            }
        }
        other => panic!("no {other}"),
    }
}

static PLACE: [u8; 64] = [7; 64];
"#;

/// The program, compiled to be static: at a fixed address, or anywhere.
fn programs() -> Option<&'static [PathBuf; 2]> {
    static BUILT: OnceLock<Option<[PathBuf; 2]>> = OnceLock::new();
    let build = || {
        let directory = directory("trace");
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compile = |name: &str, text: &str, model: &str| {
            let (source, path) = (directory.join(format!("{name}.rs")), directory.join(format!("{name}-{model}")));
            fs::write(&source, text).unwrap();
            let model = format!("relocation-model={model}");
            let mut command = Command::new(&compiler);
            command.args(["--edition=2024", "-O", "-C", "target-feature=+crt-static", "-C", &model, "-o"]);
            let compiled = run(command.arg(&path).arg(&source), b"");
            if compiled.status == 0 { Ok(path) } else { Err(compiled.errors) }
        };
        if let Err(why) = compile("nothing", "fn main() {}", "static") {
            println!("SKIPPED: rustc builds no static programs here: {why}");
            return None;
        }
        Some(["static", "pie"].map(|model| compile("program", PROGRAM, model).unwrap_or_else(|why| panic!("{why}"))))
    };
    BUILT.get_or_init(build).as_ref()
}

#[test]
fn rust_programs_do_the_same() {
    let Some(programs) = programs() else { return };
    let directory = directory("trace/files");
    let file = directory.join("some");
    fs::write(&file, "some text").unwrap();
    let (file, directory) = (file.to_str().unwrap(), directory.to_str().unwrap());
    for program in programs {
        let (words, summary) = same(program, &[], &["words", "a b", "--c", ""], b"some words and some more\nwords\n");
        assert_eq!(words.status, 7);
        assert!(
            words.output.starts_with(b"{\"and\": 1, \"more\": 1, \"some\": 2, \"words\": 2} [\"a b\", \"--c\", \"\"]")
        );
        assert!(summary.contains("ended with exit status 7"), "{summary}");
        assert!(counted(&summary, "instructions") > 10_000 && counted(&summary, "system calls") > 10, "{summary}");
        assert!(counted(&summary, "reads") > 1_000 && counted(&summary, "writes") > 1_000, "{summary}");
        same(program, &[], &["numbers"], b"");
        same(program, &[], &["memory"], b"");
        same(program, &[], &["files", file, directory], b"");
        same(program, &[], &["unwind"], b"");
        same(program, &[], &["time"], b"");
    }
}

#[test]
fn a_program_on_a_device_of_any_width_does_the_same() {
    let Some([program, _]) = programs() else { return };
    for width in ["1", "4", "8", "64"] {
        same(program, &["--device", width], &["words"], b"some words\n");
    }
    let (_, ram) = same(program, &[], &["numbers"], b"");
    let (_, device) = same(program, &["--device", "8"], &["numbers"], b"");
    assert_eq!(counted(&ram, "instructions") / 1000, counted(&device, "instructions") / 1000);
}

#[test]
fn programs_see_the_processor_of_the_profile() {
    let Some([program, _]) = programs() else { return };
    for profile in ["nehalem", "haswell", "piledriver", "zen3", "host"] {
        let options = ["--profile", profile, "--without", "avx512f,avx512vl,avx512bw"];
        let (run, summary) = traced(program, &options, &["words"], b"some words\n");
        assert_eq!(run.status, 7, "{profile}: {}\n{summary}", run.errors);
    }
}

#[test]
fn exceptions_and_signals_end_a_program_as_a_shell_sees_it() {
    let Some(programs) = programs() else { return };
    let ends = [
        ("null", 139, "#PF(0x4) at 0x8: nothing is mapped there"),
        ("constant", 139, "#PF(0x7)"),
        ("divide", 136, "#DE"),
        ("undefined", 132, "#UD"),
        ("breakpoint", 133, "#BP"),
        ("privileged", 139, "#GP(0x0)"),
        ("abort", 134, ""),
    ];
    for program in programs {
        for (what, status, said) in ends {
            let alone = run(Command::new(program).arg(what), b"");
            let (traced, summary) = traced(program, &[], &[what], b"");
            assert_eq!((alone.status, traced.status), (status, status), "{what}: {} {summary}", traced.errors);
            assert_eq!(alone.output, traced.output, "{what}");
            assert!(traced.errors.contains(said), "{what}: {}", traced.errors);
            assert!(summary.contains(&format!("was ended by signal {}", status - 128)), "{summary}");
        }
    }
}

#[test]
fn no_pointer_leaves_the_arena() {
    let Some([program, _]) = programs() else { return };
    // Nothing reads the input: where it would go is no memory.
    same(program, &[], &["pointers"], b"unread");
}

#[test]
fn files_are_written_only_if_allowed() {
    let Some([program, _]) = programs() else { return };
    let file = directory("trace").join("written");
    let _ = fs::remove_file(&file);
    let path = file.to_str().unwrap();
    let (refused, _) = traced(program, &[], &["write", path], b"");
    assert_eq!(refused.output, b"Err(ReadOnlyFilesystem)\n");
    assert!(!file.exists());
    let (done, _) = traced(program, &["--write"], &["write", path], b"");
    assert_eq!(done.output, b"Ok(())\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "written");
}

#[test]
fn every_access_is_in_the_file() {
    let Some([program, _]) = programs() else { return };
    let file = directory("trace").join("accesses.jsonl");
    let (_, summary) = same(program, &["--accesses", file.to_str().unwrap()], &["words"], b"some words\n");
    let text = fs::read_to_string(&file).unwrap();
    let (mut reads, mut writes) = (0, 0);
    for line in text.lines() {
        let access: Value = serde_json::from_str(line).unwrap();
        let kind = access["kind"].as_str().unwrap();
        reads += u64::from(matches!(kind, "read" | "rmw"));
        writes += u64::from(matches!(kind, "write" | "rmw"));
    }
    let counts = (counted(&summary, "reads"), counted(&summary, "writes"));
    // What crosses a page comes to the bus in two pieces, and is one line all the same.
    assert_eq!((reads, writes), counts, "{summary}");
    assert!(reads > 1_000 && writes > 1_000);
}

#[test]
fn what_is_no_static_program_is_refused() {
    let source = directory("trace").join("text");
    fs::write(&source, "#!/bin/sh\n").unwrap();
    let check = |program: &Path, options: &[&str], said: &str| {
        let (run, _) = traced(program, options, &[], b"");
        assert_eq!(run.status, 125, "{}", run.errors);
        assert!(run.errors.contains(said), "{}", run.errors);
    };
    check(&source, &[], "is no 64-bit ELF file");
    check(Path::new("/no/such"), &[], "cannot read the program /no/such");
    check(Path::new(env!("CARGO_BIN_EXE_encore86")), &[], "is linked dynamically");
    let Some([program, _]) = programs() else { return };
    check(program, &["--max-steps", "1000"], "has not ended after 1000 steps");
    check(program, &["--memory", "1M"], "--memory takes");
}

#[test]
fn damaged_executables_end_in_a_sentence_or_a_signal() {
    let Some([program, _]) = programs() else { return };
    let good = fs::read(program).unwrap();
    let damaged = directory("trace").join("damaged");
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut ends = [0; 2];
    for _ in 0..60 {
        let mut bytes = good.clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // The header and the program headers.
            bytes[16 + state as usize % 600] = (state >> 40) as u8;
        }
        fs::write(&damaged, bytes).unwrap();
        let (run, _) = traced(&damaged, &["--max-steps", "100000"], &["numbers"], b"");
        // What the damaged program does by itself is its own affair; the tracer neither panics nor hangs.
        assert!(!run.errors.contains("cli/src") && run.status != 101, "{} {}", run.status, run.errors);
        assert!(run.status != 125 || run.errors.contains("encore86 trace: "), "{}", run.errors);
        ends[usize::from(run.status == 125)] += 1;
    }
    assert!(ends[1] > 10, "{ends:?}");
}

/// What Debian ships as busybox-static.
fn busybox() -> Option<PathBuf> {
    let paths = ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from);
    let found = paths.into_iter().find(|path| {
        fs::read(path).is_ok_and(|bytes| {
            bytes.starts_with(b"\x7fELF") && run(Command::new("ldd").arg(path), b"").errors.contains("not a dynamic")
        })
    });
    if found.is_none() {
        println!("SKIPPED: busybox-static is not installed");
    }
    found
}

#[test]
fn busybox_does_the_same() {
    let Some(busybox) = busybox() else { return };
    let numbers: String = (1..1500).map(|n| format!("{} word{n}\n", n * 7919 % 1501)).collect();
    let applets: &[&[&str]] = &[
        &["sha256sum"],
        &["sha512sum"],
        &["sha1sum"],
        &["md5sum"],
        &["sort", "-n"],
        &["sort", "-r"],
        &["awk", "{s+=$1; n[$2]=$1} END {print s, s/NR, sqrt(s), length(n)}"],
        &["gzip", "-c"],
        &["bzip2", "-c"],
        &["base64"],
        &["wc"],
        &["tr", "a-z", "A-Z"],
        &["tac"],
        &["uniq", "-c"],
        &["rev"],
        &["echo", "one", "two"],
        &["seq", "1", "3", "100"],
        &["dc", "-e", "2 200 ^ 97 % p"],
        &["expr", "6", "*", "7"],
        &["factor", "1234567891"],
        &["printf", "%d %s %f\\n", "3", "a", "2.5"],
        &["date", "-u", "-d", "@86400"],
        &["ls", "-l", "/usr"],
        &["cat", "/etc/passwd", "/no/such"],
        &["false"],
        &["no-such-applet"],
    ];
    for arguments in applets {
        same(&busybox, &[], arguments, numbers.as_bytes());
    }
}

#[test]
fn busybox_packs_what_it_unpacks_on_a_device() {
    let Some(busybox) = busybox() else { return };
    let text = "the same text again and again, ".repeat(200);
    let (packed, _) = same(&busybox, &["--device", "8"], &["gzip", "-c"], text.as_bytes());
    let (unpacked, _) = same(&busybox, &["--device", "2"], &["gunzip", "-c"], &packed.output);
    assert_eq!(unpacked.output, text.as_bytes());
}
