//! Whole-system emulators of other people's, if they are installed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A guest that has not ended by then has gone astray; it takes seconds.
const PATIENCE: Duration = Duration::from_secs(12);

/// Runs the firmware in qemu, without KVM; gives the log, or `None` where qemu is not installed.
pub fn qemu(image: &[u8]) -> Option<Vec<String>> {
    const QEMU: &str = "qemu-system-x86_64";
    Command::new(QEMU).arg("--version").stdout(Stdio::null()).status().ok()?;
    within("qemu", image, |dir| {
        let log = format!("file,id=log,path={}", dir.join("log").display());
        let mut qemu = Command::new(QEMU);
        qemu.args(["-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot"])
            .args(["-chardev", &log, "-device", "isa-debugcon,iobase=0xe9,chardev=log"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
            .arg("-bios")
            .arg(dir.join("image"));
        qemu
    })
}

/// The same in bochs.
pub fn bochs(image: &[u8]) -> Option<Vec<String>> {
    const BOCHS: &str = "bochs";
    Command::new(BOCHS).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    within("bochs", image, |dir| {
        let settings = format!(
            "display_library: rfb, options=\"timeout=0\"\nmegs: 32\nromimage: file={}\nport_e9_hack: enabled=1\n\
             cpu: model=tigerlake, count=1, ips=50000000, reset_on_triple_fault=0\nlog: {}\nsound: waveoutdrv=dummy\n\
             panic: action=fatal\nerror: action=ignore\ninfo: action=ignore\ndebug: action=ignore\n",
            dir.join("image").display(),
            dir.join("messages").display(),
        );
        let file = dir.join("settings");
        std::fs::write(&file, settings).unwrap();
        let mut bochs = Command::new(BOCHS);
        // Debian's has a debugger, which waits for commands.
        let commands = dir.join("commands");
        std::fs::write(&commands, "c\nq\n").unwrap();
        bochs.args(["-q", "-f"]).arg(file).arg("-rc").arg(commands).stderr(Stdio::null());
        bochs.stdout(std::fs::File::create(dir.join("log")).unwrap());
        bochs
    })
}

/// Runs the emulator that `command` makes in a directory of its own, and gives what is in the file `log` there: from the first line
/// of the guest's to the last one.
fn within(name: &str, image: &[u8], command: impl FnOnce(&Path) -> Command) -> Option<Vec<String>> {
    let dir = std::env::temp_dir().join(format!("encore86-transfers-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("image"), image).unwrap();
    let mut child = command(&dir).stdin(Stdio::null()).spawn().unwrap_or_else(|e| panic!("{name}: {e}"));
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = String::from_utf8_lossy(&std::fs::read(dir.join("log")).unwrap()).into_owned();
    let lines: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("000 ")).collect();
    let log: Vec<&str> = lines.iter().copied().take_while(|line| is_case(line)).collect();
    std::fs::remove_dir_all(&dir).unwrap();
    Some(log.iter().map(|&line| line.to_owned()).collect())
}

/// Is it a line of the guest's? An emulator that ends by itself can say something too.
fn is_case(line: &str) -> bool {
    line.get(..4).is_some_and(|number| number.ends_with(' ') && number[..3].bytes().all(|b| b.is_ascii_hexdigit()))
}
