//! The permission matrix: rights of pages and of what leads to them, and the registers that decide, in a guest of our own
//! under Debian's qemu without KVM. Its page faults and the library's are compared. Skipped where qemu is not installed
//! (package `qemu-system-x86`).

use encore86::paging::{Limits, Paging};
use encore86::{Access, AccessKind, Bus, Cpu, Profile, Stop};
use encore86_asm::fault_matrix::{
    APPENDED, Case, IDENTITY_END, LOAD, NO_FAULT, TARGET, USER, USER_CODE, USER_STACK, image,
};
use encore86_asm::legacy_paging;
use encore86_oracle::{Random, Skips};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const QEMU: &str = "qemu-system-x86_64";
/// A guest that has not ended by then has gone astray; it takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(300);

const P: u64 = 1;
const RW: u64 = 2;
const US: u64 = 4;
const PS: u64 = 0x80;
const XD: u64 = 1 << 63;
const KEY: u64 = 1 << 59;

/// The pages of the matrix begin here: slot 2 of the level-3 table.
const MATRIX: u64 = 2 << 30;

/// Tables in the order that they get their pages.
struct Tables(Vec<[u64; 512]>);

impl Tables {
    fn new() -> Tables {
        Tables(vec![[0; 512]])
    }

    /// Another table, and its physical address.
    fn add(&mut self) -> (usize, u64) {
        self.0.push([0; 512]);
        let i = self.0.len() - 1;
        (i, APPENDED + 4096 * i as u64)
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|entry| entry.to_le_bytes()).collect()
    }
}

/// Every combination of the bits.
fn combinations(bits: &[u64]) -> Vec<u64> {
    (0..1usize << bits.len())
        .map(|n| bits.iter().enumerate().filter(|(i, _)| n >> i & 1 != 0).map(|(_, bit)| bit).sum())
        .collect()
}

/// The tables, and the linear address of each page of the matrix.
fn tables() -> (Tables, Vec<u64>) {
    let all = P | RW | US;
    let mut tables = Tables::new();
    let (level3, at) = tables.add();
    tables.0[0][0] = at | all;
    // The guest's own.
    let (low, at) = tables.add();
    tables.0[level3][0] = at | all;
    for i in 0..IDENTITY_END >> 21 {
        tables.0[low][i as usize] = i << 21 | P | RW | PS;
    }
    let (user2, at) = tables.add();
    tables.0[level3][(USER >> 30) as usize] = at | all;
    let (user1, at) = tables.add();
    tables.0[user2][0] = at | all;
    tables.0[user1][0] = USER_CODE | P | US;
    tables.0[user1][1] = USER_STACK | all;
    // The matrix: pages of all rights behind level-2 entries of all rights, and large pages.
    let (matrix, at) = tables.add();
    tables.0[level3][(MATRIX >> 30) as usize] = at | all;
    let mut pages = Vec::new();
    for (i, above) in combinations(&[RW, US, XD]).into_iter().enumerate() {
        let (level1, at) = tables.add();
        tables.0[matrix][i] = at | P | above;
        let leaves = combinations(&[RW, US, XD, KEY]).into_iter().map(|leaf| leaf | P);
        // Not present, and a reserved bit.
        for (j, leaf) in leaves.chain([RW | US, all | 1 << 51]).enumerate() {
            tables.0[level1][j] = TARGET | leaf;
            pages.push(MATRIX | (i as u64) << 21 | (j as u64) << 12);
        }
    }
    for (i, leaf) in combinations(&[RW, US, XD, KEY]).into_iter().enumerate() {
        let i = 256 + i;
        tables.0[matrix][i] = TARGET & !0x1f_ffff | leaf | P | PS;
        pages.push(MATRIX | (i as u64) << 21 | TARGET & 0x1f_ffff);
    }
    (tables, pages)
}

/// For each page and kind of access, some of the combinations of registers.
fn cases(random: &mut Random, pages: &[u64]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &linear in pages {
        for kind in 0..3 {
            for user in [false, true] {
                for _ in 0..48 {
                    let mut bit = |n: u32| (random.below(2) as u32) << n;
                    cases.push(Case {
                        linear,
                        kind,
                        user,
                        cr0: 0x8000_0033 | bit(16),
                        // PAE, SMEP, SMAP, PKE, PKS.
                        cr4: 0x20 | bit(20) | bit(21) | bit(22) | bit(24),
                        efer: 0x500 | bit(11),
                        flags: bit(18),
                        pkru: bit(2) | bit(3),
                        pkrs: bit(2) | bit(3),
                    });
                }
            }
        }
    }
    cases
}

/// The image as memory at its address; zeros elsewhere.
struct Loaded(Vec<u8>);

impl Loaded {
    fn byte(&mut self, at: u64) -> Option<&mut u8> {
        self.0.get_mut(usize::try_from(at.checked_sub(LOAD)?).ok()?)
    }
}

impl Bus for Loaded {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.read(at, buf, access).map(|()| 15)
    }
    fn read(&mut self, at: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        (at..).zip(buf).for_each(|(at, byte)| *byte = self.byte(at).map_or(0, |b| *b));
        Ok(())
    }
    fn write(&mut self, at: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        for (at, value) in (at..).zip(buf) {
            if let Some(byte) = self.byte(at) {
                *byte = *value;
            }
        }
        Ok(())
    }
    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

/// What the library says of a case, as the guest says it.
fn ours(paging: &mut Paging<Loaded>, cpu: &mut Cpu, case: &Case) -> u8 {
    cpu.update(|s| {
        (s.cr0, s.cr3, s.cr4, s.efer) = (case.cr0.into(), APPENDED, case.cr4.into(), case.efer.into());
        (s.pkru, s.pkrs) = (case.pkru, case.pkrs);
    });
    cpu.set_rflags(case.flags.into());
    paging.load(cpu).unwrap();
    paging.flush_context();
    let cpl = if case.user { 3 } else { 0 };
    let done = match case.kind {
        0 => paging.read(case.linear, &mut [0], &Access::read(1, cpl)),
        1 => paging.write(case.linear, &[0xc3], &Access::write(1, cpl)),
        _ => paging.fetch(case.linear, &mut [0; 15], &Access::new(AccessKind::Fetch, 1, cpl)).map(|_| ()),
    };
    match done {
        Ok(()) => NO_FAULT,
        Err(Stop::Fault(event)) if event.vector == 14 && event.cr2 == Some(case.linear) => {
            event.error_code.unwrap() as u8
        }
        Err(other) => panic!("{other:?} for {case:x?}"),
    }
}

/// Runs the image until it has written `end` to the exit device, and gives what it sent to the serial port.
fn run(image: &[u8], end: i32) -> Vec<u8> {
    let dir = std::env::temp_dir().join(format!("encore86-qemu-{end:x}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (kernel, serial) = (dir.join("image"), dir.join("serial"));
    std::fs::write(&kernel, image).unwrap();
    let mut qemu = Command::new(QEMU)
        .args(["-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-serial", &format!("file:{}", serial.display())])
        .arg("-kernel")
        .arg(&kernel)
        .stdin(Stdio::null())
        .spawn()
        .expect("qemu starts");
    let begun = Instant::now();
    let status = loop {
        match qemu.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if begun.elapsed() > PATIENCE => {
                qemu.kill().unwrap();
                qemu.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let said = std::fs::read(&serial).unwrap_or_default();
    std::fs::remove_dir_all(&dir).unwrap();
    // The device makes an odd status of it.
    assert_eq!(status.and_then(|s| s.code()), Some(end << 1 | 1), "the guest went astray after {} answers", said.len());
    said
}

/// The guest that `cli/tests/legacy_paging.rs` boots on the engine expects what another implementation does, too.
#[test]
fn the_guest_with_legacy_paging_passes_in_qemu() {
    if Command::new(QEMU).arg("--version").stdout(Stdio::null()).status().is_err() {
        return Skips::new("legacy paging").skip("the guest", "qemu-system-x86_64 is not installed", 1);
    }
    assert_eq!(run(legacy_paging::image(), 0), legacy_paging::PASSED.as_bytes());
}

#[test]
fn the_permission_matrix_is_that_of_qemu() {
    let mut skips = Skips::new("permission matrix");
    let mut random = Random::from_env("permission matrix", 0x9e3);
    let (tables, pages) = tables();
    let cases = cases(&mut random, &pages);
    if Command::new(QEMU).arg("--version").stdout(Stdio::null()).status().is_err() {
        skips.skip("page faults", "qemu-system-x86_64 is not installed", cases.len() as u64);
        return;
    }
    let image = image(&tables.bytes(), &cases);
    let theirs = run(&image, 0x10);
    assert_eq!(theirs.len(), cases.len());
    // What qemu's `max` has without KVM: 40 bits of physical addresses.
    let limits = Limits { maxphyaddr: 40, ..Limits::new(&Profile::all()) };
    let mut paging = Paging::new(Loaded(image), limits);
    let (mut cpu, mut tally) = (Cpu::new(), BTreeMap::new());
    let (mut wrong, mut lacks_p, mut lacks_key) = (Vec::new(), 0, 0);
    for (case, theirs) in cases.iter().zip(theirs) {
        let ours = ours(&mut paging, &mut cpu, case);
        *tally.entry(ours).or_insert(0) += 1;
        // qemu 7.2 leaves P out where a reserved bit is set, which the manual says implies P; and it does not ask
        // IA32_PKRS when the user accesses a supervisor page, where the manual's PK flag tells of the key whoever accesses.
        let no_p = theirs & 0x89 == 8 && ours == theirs | 1;
        let no_key = case.user && case.cr4 >> 24 & 1 == 1 && theirs & 0xb9 == 1 && ours == theirs | 0x20;
        (lacks_p, lacks_key) = (lacks_p + u32::from(no_p), lacks_key + u32::from(no_key));
        if ours != theirs && !no_p && !no_key {
            wrong.push(format!("{case:x?}: qemu {theirs:#x}, here {ours:#x}"));
        }
    }
    println!("permission matrix: {tally:x?}; qemu lacks P in {lacks_p}, PK of IA32_PKRS in {lacks_key}");
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(tally.len() > 12 && tally[&NO_FAULT] > 1000, "the matrix has little in it: {tally:x?}");
    skips.ran(cases.len() as u64);
}
