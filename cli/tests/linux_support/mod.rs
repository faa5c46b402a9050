//! Debian's kernel with an initial RAM disk of our own: busybox, modules, a script.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What `tests/linux-guest.sh` has fetched.
pub struct Packages {
    kernel: PathBuf,
    busybox: PathBuf,
    modules: PathBuf,
}

impl Packages {
    /// By `ENCORE86_LINUX`; says so and gives none without it.
    pub fn find() -> Option<Packages> {
        let Some(folder) = env::var_os("ENCORE86_LINUX") else {
            println!(
                "SKIPPED: ENCORE86_LINUX names no folder of tests/linux-guest.sh with Debian's kernel and busybox"
            );
            return None;
        };
        let folder = PathBuf::from(folder);
        let file = |name: &str| {
            let path = folder.join(name);
            assert!(path.exists(), "ENCORE86_LINUX: {} is not there; run tests/linux-guest.sh", path.display());
            path
        };
        Some(Packages { kernel: file("vmlinuz"), busybox: file("busybox"), modules: file("modules") })
    }

    /// An initial RAM disk whose first program is `script`, under busybox; with `modules` and what they need, in the order in which
    /// they can be loaded, as /modules/*.ko.
    pub fn initrd(&self, name: &str, script: &str, modules: &[&str]) -> PathBuf {
        let mut archive = Archive::default();
        for folder in ["bin", "dev", "proc", "sys", "tmp", "modules"] {
            archive.entry(folder, 0o040_755, &[], (0, 0));
        }
        archive.entry("dev/console", 0o020_600, &[], (5, 1));
        archive.entry("bin/busybox", 0o100_755, &fs::read(&self.busybox).unwrap(), (0, 0));
        let mut load = String::new();
        for module in self.in_order(modules) {
            let bytes = fs::read(self.module(&module)).unwrap();
            archive.entry(&format!("modules/{module}.ko"), 0o100_644, &bytes, (0, 0));
            load += &format!("insmod /modules/{module}.ko || echo FAILED {module}\n");
        }
        let init = format!("{HEAD}{}\npoweroff -f\n", script.replace("LOAD_MODULES\n", &load));
        archive.entry("init", 0o100_755, init.as_bytes(), (0, 0));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, archive.finish()).unwrap();
        path
    }

    fn module(&self, name: &str) -> PathBuf {
        self.modules.join(format!("{name}.ko"))
    }

    /// The modules behind those that they depend on, by what stands in them.
    fn in_order(&self, wanted: &[&str]) -> Vec<String> {
        fn visit(packages: &Packages, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
            if !seen.insert(name.to_owned()) {
                return;
            }
            let bytes = fs::read(packages.module(name)).unwrap_or_else(|error| panic!("{name}.ko: {error}"));
            let key = b"\0depends=";
            let at = bytes.windows(key.len()).position(|window| window == key);
            let text = at.map_or(&[][..], |at| &bytes[at + key.len()..]);
            let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
            for needed in String::from_utf8_lossy(text).split(',').filter(|name| !name.is_empty()) {
                let file =
                    [needed.to_owned(), needed.replace('_', "-")].into_iter().find(|n| packages.module(n).exists());
                visit(packages, &file.unwrap_or_else(|| panic!("{name} needs {needed}")), seen, order);
            }
            order.push(name.to_owned());
        }
        let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
        for name in wanted {
            visit(self, name, &mut seen, &mut order);
        }
        order
    }

    /// The command that boots with this RAM disk.
    pub fn command(&self, initrd: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_encore86"));
        command.arg("boot").arg("--kernel").arg(&self.kernel).arg("--initrd").arg(initrd);
        command.current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
        command
    }

    /// Boots with these arguments.
    pub fn boot(&self, initrd: &Path, args: &[&str]) -> Console {
        let output = self.command(initrd).args(args).output().unwrap();
        Console::new(output)
    }
}

/// What every script begins with.
const HEAD: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo BOOTED
";

/// What a boot has shown.
#[derive(Debug)]
pub struct Console {
    pub status: Option<i32>,
    pub text: String,
    pub stderr: String,
}

impl Console {
    fn new(output: Output) -> Console {
        Console {
            status: output.status.code(),
            text: String::from_utf8_lossy(&output.stdout).replace('\r', ""),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails unless the guest has switched itself off and nothing went wrong in it.
    pub fn assert_well(&self) {
        assert_eq!(self.status, Some(0), "{}\n{}", self.text, self.stderr);
        for bad in
            ["FAILED", "Oops", "BUG:", "Call Trace", "panic", "test failed", "self-test failed", "segfault", "trap "]
        {
            assert!(!self.text.contains(bad), "{bad:?} is on the console:\n{}", self.text);
        }
        assert!(self.text.contains("reboot: System halted"), "{}", self.text);
    }

    /// Fails unless this line was shown.
    pub fn assert_line(&self, line: &str) {
        assert!(self.text.lines().any(|shown| shown == line), "{line:?} is not on the console:\n{}", self.text);
    }

    /// The number in front of these words in what the monitor said at the end.
    pub fn number_before(&self, words: &str) -> u64 {
        let at = self.stderr.find(words).unwrap_or_else(|| panic!("no {words:?} in {}", self.stderr));
        let digits = self.stderr[..at].trim_end().rsplit(char::is_whitespace).next().unwrap();
        digits.parse().unwrap()
    }
}

/// An archive as the kernel takes it: cpio's "new" format.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, data: &[u8], (major, minor): (u32, u32)) {
        self.count += 1;
        let fields = [self.count, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, major, minor, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(data);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[], (0, 0));
        self.bytes
    }
}
