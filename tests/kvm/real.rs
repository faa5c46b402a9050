//! x87 environments and states in the formats of real and virtual-8086 mode: a virtual processor in that mode, against the engine.
//!
//! Whether a pending exception ends in #MF or goes out by FERR# no guest of KVM can show: it has no pin for it.

use crate::support::machine;
use encore86::bus::{Access, Bus, Platform};
use encore86::cpu::segment::rights;
use encore86::{Cpu, Engine, Mode, Outcome, Profile, Stop};
use encore86_oracle::{Random, Skips};
use kvm_bindings::{kvm_regs, kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};

const RAM: usize = 1 << 20;
/// Where `machine::cpu` has its segments.
const CODE: u64 = machine::CODE;
const DATA: u64 = machine::DATA;
/// The TSS of virtual-8086 mode, whose bitmap allows all ports.
const TSS: u64 = 0x8000;
/// Offsets in DS: where an image goes to, where one comes from, a number.
const OUT: usize = 0x100;
const IN: usize = 0x400;
const NUMBER: usize = 0x800;
/// `out 0xf4, al`
const END: [u8; 2] = [0xe6, 0xf4];

/// Guest RAM, page-aligned.
struct Ram(*mut u8);

impl Ram {
    fn new() -> Ram {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, which replaces none.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), RAM, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        Ram(at.cast())
    }

    fn load(&self, bytes: &[u8]) {
        assert_eq!(bytes.len(), RAM);
        // SAFETY: as long as the mapping; the virtual processor does not run meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0, RAM) };
    }

    fn save(&self) -> Vec<u8> {
        let mut out = vec![0; RAM];
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(self.0, out.as_mut_ptr(), RAM) };
        out
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; the virtual machine is gone first.
        unsafe { libc::munmap(self.0.cast(), RAM) };
    }
}

/// Fields are dropped in their order: the machine before its memory.
struct Machine {
    vcpu: VcpuFd,
    _vm: VmFd,
    ram: Ram,
}

impl Machine {
    fn new(mode: Mode) -> Result<Machine, String> {
        let text = |error: kvm_ioctls::Error| format!("/dev/kvm: {error}");
        let kvm = Kvm::new().map_err(text)?;
        let vm = kvm.create_vm().map_err(text)?;
        let ram = Ram::new();
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: RAM as u64,
            userspace_addr: ram.0 as u64,
        };
        // SAFETY: the mapping outlives the virtual machine.
        unsafe { vm.set_user_memory_region(region) }.map_err(text)?;
        let vcpu = vm.create_vcpu(0).map_err(text)?;
        let v86 = mode == Mode::V86;
        let mut s = vcpu.get_sregs().map_err(text)?;
        let cpu = machine::cpu(mode);
        let segment = |i: usize| {
            let seg = &cpu.system().seg[i];
            kvm_segment {
                base: seg.base,
                limit: seg.limit,
                selector: seg.selector,
                type_: if seg.has(rights::CODE) { 11 } else { 3 },
                present: 1,
                dpl: if v86 { 3 } else { 0 },
                s: 1,
                ..kvm_segment::default()
            }
        };
        (s.es, s.cs, s.ss, s.ds, s.fs, s.gs) = (segment(0), segment(1), segment(2), segment(3), segment(4), segment(5));
        s.tr = kvm_segment { base: TSS, limit: 0x2fff, selector: 8, type_: 11, present: 1, ..kvm_segment::default() };
        (s.cr0, s.cr4, s.efer) = (0x30 | u64::from(v86), 0, 0);
        vcpu.set_sregs(&s).map_err(text)?;
        let mut machine = Machine { vcpu, _vm: vm, ram };
        // A kernel without the processor's virtualization emulates these modes, and has no x87 there: nothing is learnt from it.
        let mut memory = vec![0; RAM];
        memory[TSS as usize + 0x66] = 0x68;
        memory[CODE as usize + cpu.rip as usize..][..4].copy_from_slice(&[0xd9, 0xe8, END[0], END[1]]);
        machine.run(&cpu, &memory).map_err(|why| format!("/dev/kvm does not run x87 code in this mode: {why}"))?;
        Ok(machine)
    }

    /// Runs until the port is written.
    fn run(&mut self, cpu: &Cpu, memory: &[u8]) -> Result<Vec<u8>, String> {
        self.ram.load(memory);
        let text = |error: kvm_ioctls::Error| format!("/dev/kvm: {error}");
        let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi] = *cpu.gpr.first_chunk().expect("eight of them");
        let (rip, rflags) = (cpu.rip, cpu.rflags());
        let regs = kvm_regs { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, rip, rflags, ..kvm_regs::default() };
        self.vcpu.set_regs(&regs).map_err(text)?;
        match self.vcpu.run().map_err(text)? {
            VcpuExit::IoOut(0xf4, _) => Ok(self.ram.save()),
            exit => Err(format!("an exit that was not expected: {exit:?}")),
        }
    }
}

struct Memory(Vec<u8>);

impl Bus for Memory {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        buf.copy_from_slice(&self.0[linear as usize..][..15]);
        Ok(15)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        buf.copy_from_slice(&self.0[linear as usize..][..buf.len()]);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        self.0[linear as usize..][..buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

impl Platform for Memory {}

/// Instructions one after the other, without those that end the run.
fn sequences() -> Vec<(&'static str, Vec<u8>, usize)> {
    const NUMBERS: [&[u8]; 5] =
        [&[0xdb, 0xe3], &[0xd9, 0xe8], &[0xd9, 0xeb], &[0xde, 0xc1], &[0xd8, 0x06, NUMBER as u8, (NUMBER >> 8) as u8]];
    // fnstenv [bx], fnsave [bx]; fldenv [di], frstor [di].
    let stores: [(&str, [u8; 2]); 2] = [("fnstenv", [0xd9, 0x37]), ("fnsave", [0xdd, 0x37])];
    let loads: [(&str, [u8; 2]); 2] = [("fldenv, fnstenv", [0xd9, 0x25]), ("frstor, fnsave", [0xdd, 0x25])];
    let mut out = Vec::new();
    for wide in [false, true] {
        let prefix: &[u8] = if wide { &[0x66] } else { &[] };
        for (name, store) in stores {
            out.push((name, [&NUMBERS.concat(), prefix, &store].concat(), NUMBERS.len() + 1));
        }
        for load_wide in [false, true] {
            let load_prefix: &[u8] = if load_wide { &[0x66] } else { &[] };
            for ((name, load), (_, store)) in loads.iter().zip(stores) {
                out.push((name, [load_prefix, load, prefix, &store].concat(), 2));
            }
        }
    }
    out
}

#[test]
fn x87_images_of_real_and_virtual_8086_mode() {
    const SUITE: &str = "x87 images of real and virtual-8086 mode";
    const ROUNDS: usize = 100;
    let mut skips = Skips::new(SUITE);
    let mut random = Random::from_env(SUITE, 0x8087);
    for mode in [Mode::Real16, Mode::V86] {
        let mut machine = match Machine::new(mode) {
            Ok(machine) => machine,
            Err(why) => {
                skips.skip(&format!("{mode:?}"), &why, (ROUNDS * sequences().len()) as u64);
                continue;
            }
        };
        let mut engine = Engine::new(Profile::host()).expect("executable memory for stubs");
        let mut cases = 0;
        for (name, code, count) in sequences() {
            for _ in 0..ROUNDS {
                let mut memory = vec![0; RAM];
                let data = &mut memory[DATA as usize..];
                random.fill(&mut data[IN..IN + 108]);
                let number = random.float(8, 23) as u32;
                data[NUMBER..NUMBER + 4].copy_from_slice(&number.to_le_bytes());
                memory[TSS as usize + 0x66] = 0x68;
                let mut cpu = machine::cpu(mode);
                (cpu.gpr[3], cpu.gpr[7]) = (OUT as u64, IN as u64);
                let at = CODE as usize + cpu.rip as usize;
                memory[at..at + code.len()].copy_from_slice(&code);
                memory[at + code.len()..][..2].copy_from_slice(&END);

                let mut ours = Memory(memory.clone());
                for _ in 0..count {
                    let outcome = engine.step(&mut cpu, &mut ours);
                    assert!(matches!(outcome, Outcome::Completed(_)), "{mode:?} {name} {code:02x?}: {outcome:?}");
                }
                // On AMD's processors a switch of the host's processes loses the pointers: of five tries one must be the same.
                let mut difference = None;
                for _ in 0..5 {
                    let mut start = machine::cpu(mode);
                    (start.gpr[3], start.gpr[7]) = (OUT as u64, IN as u64);
                    let theirs = machine.run(&start, &memory).unwrap_or_else(|why| panic!("{mode:?} {name}: {why}"));
                    let image = |memory: &[u8]| memory[DATA as usize + OUT..][..108].to_vec();
                    difference = (theirs != ours.0).then(|| (image(&theirs), image(&ours.0)));
                    if difference.is_none() {
                        break;
                    }
                }
                if let Some((theirs, ours)) = difference {
                    panic!(
                        "{mode:?} {name} {code:02x?}\nprocessor {theirs:02x?}\nengine    {ours:02x?}\nfrom {:02x?}",
                        &memory[DATA as usize + IN..][..108]
                    );
                }
                cases += 1;
            }
        }
        skips.ran(cases);
        println!("{SUITE}: {mode:?}, {cases} cases");
    }
}
