//! Debian's unmodified kernel on the engine alone, if `ENCORE86_LINUX` names what `tests/linux-guest.sh` has fetched.

mod linux_support;

use linux_support::{Console, Packages};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Files, arithmetic, checksums over 10 MiB, pipes, several processes.
const SCRIPT: &str = r#"
mkdir -p /tmp/a/b
echo hello > /tmp/a/b/c
mv /tmp/a/b/c /tmp/a/d
echo files $(cat /tmp/a/d) $(find /tmp/a | sort | tr '\n' ' ')
echo arithmetic $((6*7)) $((1<<40)) $((0x7fffffffffffffff / 7919 % 1000003)) $((-7 / 2)) $((-7 % 3))
yes encore86 | head -c 10485760 > /tmp/f
echo sha256 $(sha256sum < /tmp/f)
echo pipes $(seq 1 20000 | sort -rn | awk '{s+=$1} NR==1{print "top",$1} END{print "sum",s,s%7919}')
i=0
while [ $i -lt 20 ]; do (echo p$i | tr a-z A-Z >> /tmp/p) & i=$((i+1)); done
wait
echo processes $(sort /tmp/p)
rm /tmp/f
"#;

/// The modules' self-tests are over when none is unknown any more.
const TESTS: &str = r#"
LOAD_MODULES
n=0
while grep -q 'selftest *: unknown' /proc/crypto && [ $n -lt 60 ]; do sleep 1; n=$((n+1)); done
grep -q 'selftest *: unknown' /proc/crypto && echo FAILED to end
echo passed $(grep -c 'selftest *: passed' /proc/crypto)
echo drivers $(sed -n 's/^driver *: //p' /proc/crypto | sort -u | tr '\n' ' ')
"#;

/// What the script shows. The sum of 10 MiB of `yes encore86` is GNU sha256sum's.
fn assert_script(console: &Console) {
    console.assert_well();
    console.assert_line("files hello /tmp/a /tmp/a/b /tmp/a/d");
    console.assert_line("arithmetic 42 1099511627776 116640 -3 -1");
    console.assert_line("sha256 aa9b93d528412e2f72dc22cbb47e85242471f40bb6b3f36aab7433cb3e4fe4c6 -");
    console.assert_line("pipes top 20000 sum 200010000 7736");
    console.assert_line("processes P0 P1 P10 P11 P12 P13 P14 P15 P16 P17 P18 P19 P2 P3 P4 P5 P6 P7 P8 P9");
}

/// Is the driver among those whose self-tests have passed?
fn assert_driver(console: &Console, driver: &str) {
    let drivers = console.text.lines().find_map(|line| line.strip_prefix("drivers ")).unwrap_or_default();
    assert!(drivers.split(' ').any(|name| name == driver), "{driver} is not among {drivers}");
}

#[test]
fn a_shell_a_script_and_the_modules_of_the_host_s_features() {
    let Some(packages) = Packages::find() else { return };
    let modules = [
        "aesni-intel",
        "chacha-x86_64",
        "poly1305-x86_64",
        "sha1-ssse3",
        "sha256-ssse3",
        "sha512-ssse3",
        "crc32-pclmul",
        "crc32c-intel",
        "crct10dif-pclmul",
        "ghash-clmulni-intel",
        "camellia-aesni-avx2",
        "serpent-sse2-x86_64",
        "serpent-avx2",
        "twofish-avx-x86_64",
        "xor",
        "raid6_pq",
    ];
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap();
    let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
    // A module whose feature the host lacks says so and is not loaded.
    let loaded: Vec<&str> = if has("avx2") && has("aes") { modules.to_vec() } else { vec!["xor", "raid6_pq"] };
    if loaded.len() < modules.len() {
        println!("SKIPPED: the host lacks AVX2 or AES, so most modules are not loaded");
    }
    let initrd = packages.initrd("host.cpio", &format!("{SCRIPT}{TESTS}"), &loaded);
    let console = packages.boot(&initrd, &["--icount", "16"]);
    assert_script(&console);
    if loaded.len() == modules.len() {
        for driver in
            ["xts-aes-aesni", "sha1-avx2", "sha256-avx2", "sha512-avx2", "xts-serpent-avx2", "ecb-twofish-avx"]
        {
            assert_driver(&console, driver);
        }
        assert_driver(&console, "crc32c-intel");
    }
    assert!(console.text.contains("raid6: using algorithm"), "{}", console.text);
    println!("{}", console.stderr);
}

#[test]
fn a_plain_profile() {
    let Some(packages) = Packages::find() else { return };
    let modules = ["xor", "raid6_pq", "camellia-x86_64", "twofish-x86_64-3way", "serpent-sse2-x86_64"];
    let initrd = packages.initrd("plain.cpio", &format!("{SCRIPT}{TESTS}"), &modules);
    let console = packages.boot(&initrd, &["--icount", "16", "--profile", "x86-64"]);
    assert_script(&console);
    assert!(console.text.contains("raid6: using algorithm sse2"), "{}", console.text);
    assert_driver(&console, "ecb-twofish-3way");
    println!("{}", console.stderr);
}

#[test]
fn a_boot_by_count_repeats_exactly() {
    let Some(packages) = Packages::find() else { return };
    let script = "(sleep 1; echo one) & echo two $(date) $RANDOM; head -c 16 /dev/urandom | od -x; wait\n";
    let initrd = packages.initrd("repeat.cpio", script, &[]);
    // Half of a boot is the kernel's own tests of its cryptography.
    let line = "console=ttyS0 nolapic noapic acpi=off pci=off cryptomgr.notests";
    let args = ["--icount", "16", "--cmdline", line];
    let boot = || packages.boot(&initrd, &args);
    let (first, second) = thread::scope(|scope| {
        let other = scope.spawn(boot);
        (boot(), other.join().unwrap())
    });
    first.assert_well();
    first.assert_line("one");
    assert_eq!(first.text, second.text, "the same console, byte for byte");
    let count = first.number_before(" instructions");
    assert_eq!(count, second.number_before(" instructions"), "the same count");

    // A window of a third boot: each of its instructions, and nothing else.
    let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("window.jsonl");
    let (from, until) = (120_000_000, 120_000_400);
    let mut command = packages.command(&initrd);
    command.args(args).arg("--trace").arg(&trace).arg("--trace-fetches");
    for (option, number) in [("--trace-from", from), ("--trace-until", until), ("--max-steps", until + 100)] {
        command.arg(option).arg(number.to_string());
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "the limit ends it");
    let lines = fs::read_to_string(&trace).unwrap();
    let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap();
    let mut steps: Vec<u64> = lines.lines().map(step).collect();
    steps.dedup();
    assert_eq!(steps, Vec::from_iter(from + 1..=until));
}

/// The master side of a new terminal, and the path of the other.
fn terminal() -> (File, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    (File::from(master), name)
}

#[test]
fn a_prompt_in_time_input_and_ctrl_a_x() {
    let Some(packages) = Packages::find() else { return };
    let initrd = packages.initrd("shell.cpio", "while read line; do eval \"$line\"; done", &[]);
    let (mut master, name) = terminal();
    let slave = File::options().read(true).write(true).open(&name).unwrap();
    let before = tcgetattr(&slave).unwrap();
    assert!(before.local_modes.contains(LocalModes::ECHO));
    let begun = Instant::now();
    let mut child =
        packages.command(&initrd).stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).spawn().unwrap();
    let mut keys = master.try_clone().unwrap();
    let mut shown = String::new();
    let mut until = |words: &str, shown: &mut String| {
        let mut bytes = [0; 4096];
        while !shown.contains(words) {
            let count = master.read(&mut bytes).unwrap();
            shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
            assert!(begun.elapsed() < Duration::from_secs(300), "{words:?} does not come:\n{shown}");
        }
    };
    until("BOOTED", &mut shown);
    println!("the first program runs after {:.1} s", begun.elapsed().as_secs_f64());
    assert!(!tcgetattr(&slave).unwrap().local_modes.contains(LocalModes::ECHO), "the terminal is taken");
    keys.write_all(b"echo typed $((40 + 2))\r").unwrap();
    until("typed 42", &mut shown);
    keys.write_all(b"\x01x").unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "left by Ctrl-A x");
    let after = tcgetattr(&slave).unwrap();
    assert_eq!(after.local_modes, before.local_modes, "the terminal is as it was");
    assert_eq!(after.input_modes, before.input_modes);
    assert_eq!(after.output_modes, before.output_modes);
}
