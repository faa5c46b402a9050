//! A virtual machine on /dev/kvm for tests and benches: one virtual processor at CPL 3 in 64-bit mode, RAM, and a device
//! window that can be RAM as well.
//!
//! | linear | guest-physical | what |
//! |---|---|---|
//! | 0 | 0 | 4 MiB of RAM: tables, code, stacks |
//! | `DATA`, 16 KiB | `DEVICE` or RAM | operands; which of the two, CR3 says |
//! | `PORT` | `PORT_PHYSICAL` | the guest's last words: the end of a run, or an exception's vector |

use encore86::adapt::kvm::{self, Capabilities};
use encore86::cpu::registers::{component, gpr};
use encore86::cpu::xsave::{COMPONENTS, Layout};
use encore86::{Access, Bus, Cpu, Event, Platform, Stop};
use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, kvm_regs, kvm_segment, kvm_sregs, kvm_userspace_memory_region, kvm_vcpu_events,
    kvm_xcrs,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use std::ptr::NonNull;

/// Linear address of the operands.
pub const DATA: u64 = 0x4000_0000;
/// Bytes there.
pub const DATA_LEN: usize = 0x4000;
/// Guest-physical address of the device.
pub const DEVICE: u64 = 0x7000_0000;
/// Linear address of the port in memory. A byte there ends a run, a doubleword 8 bytes behind is an exception's vector.
pub const PORT: u64 = 0x4010_0000;
/// Where the port is in guest-physical memory.
pub const PORT_PHYSICAL: u64 = 0x7001_0000;
/// Where the operands lie when they are RAM.
pub const DATA_RAM: u64 = 0x20_0000;
/// The instructions under test.
pub const CODE: u64 = 0x10_0000;
/// RSP at the start of a run.
pub const STACK: u64 = 0x4_0000;
/// Bytes of RAM.
pub const RAM: usize = 4 << 20;

const KERNEL_STACK: u64 = 0x2_0000;
const IDT: u64 = 0xa000;
const GDT: u64 = 0xb000;
const TSS: u64 = 0xb800;
const HANDLERS: u64 = 0xc000;
/// Level 4 tables: with the operands in RAM, and on the device.
const TABLES: [u64; 2] = [0x1000, 0x6000];

/// `mov byte [PORT], 1`, which ends a run and changes no register.
pub const END: [u8; 8] = [0xc6, 0x04, 0x25, 0x00, 0x00, 0x10, 0x40, 0x01];

/// Guest RAM.
#[derive(Debug)]
pub struct Ram(NonNull<u8>);

// SAFETY: the mapping belongs to the value and is touched by volatile accesses only.
unsafe impl Send for Ram {}

impl Ram {
    fn new() -> Ram {
        let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, which replaces none.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), RAM, read_write, private, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED, "the host has {RAM:#x} bytes");
        Ram(NonNull::new(at.cast()).expect("a mapping is not at 0"))
    }

    pub fn read(&self, at: u64, buf: &mut [u8]) {
        assert!(at as usize + buf.len() <= RAM, "{at:#x} is in RAM");
        for (i, byte) in buf.iter_mut().enumerate() {
            // SAFETY: inside the mapping, as was just checked.
            *byte = unsafe { self.0.as_ptr().add(at as usize + i).read_volatile() };
        }
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        assert!(at as usize + bytes.len() <= RAM, "{at:#x} is in RAM");
        for (i, &byte) in bytes.iter().enumerate() {
            // SAFETY: as above.
            unsafe { self.0.as_ptr().add(at as usize + i).write_volatile(byte) };
        }
    }

    /// The host address of the page at `at`, to change what the guest may do there.
    pub fn page(&self, at: u64) -> *mut u8 {
        assert!((at as usize) < RAM && at.is_multiple_of(4096), "{at:#x} is a page of RAM");
        self.0.as_ptr().wrapping_add(at as usize)
    }

    fn word(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; nobody has a pointer into it any more but a virtual machine, which faults then.
        unsafe { libc::munmap(self.0.as_ptr().cast(), RAM) };
    }
}

/// The monitor's side: RAM and the device, at linear addresses.
#[derive(Debug)]
pub struct Board {
    pub ram: Ram,
    pub device: Vec<u8>,
    /// Is `DATA` the device?
    pub on_device: bool,
    /// What reached the device: (offset, length, write?).
    pub log: Vec<(u64, usize, bool)>,
    /// What the bus answers next, the last one first, before it does anything.
    pub answers: Vec<Option<Stop>>,
}

impl Board {
    fn spoilt(&mut self) -> Result<(), Stop> {
        match self.answers.pop().flatten() {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    fn data(&self, linear: u64, len: usize) -> Option<usize> {
        let at = linear.checked_sub(DATA)? as usize;
        (at + len <= DATA_LEN).then_some(at)
    }

    fn ram_at(&self, linear: u64, len: usize) -> Result<u64, Stop> {
        match self.data(linear, len) {
            Some(at) => Ok(DATA_RAM + at as u64),
            None if linear < RAM as u64 && linear as usize + len <= RAM => Ok(linear),
            None => Err(Event::pf(4, linear, "nothing is mapped there").into()),
        }
    }

    /// A read of the device by the kernel or by the engine.
    pub fn device_read(&mut self, at: usize, buf: &mut [u8]) {
        self.log.push((at as u64, buf.len(), false));
        buf.copy_from_slice(&self.device[at..at + buf.len()]);
    }

    pub fn device_write(&mut self, at: usize, bytes: &[u8]) {
        self.log.push((at as u64, bytes.len(), true));
        self.device[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl Bus for Board {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        let at = self.ram_at(linear, 15)?;
        self.ram.read(at, buf);
        Ok(15)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        self.spoilt()?;
        match self.data(linear, buf.len()) {
            Some(at) if self.on_device => self.device_read(at, buf),
            _ => self.ram.read(self.ram_at(linear, buf.len())?, buf),
        }
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.spoilt()?;
        match self.data(linear, buf.len()) {
            Some(at) if self.on_device => self.device_write(at, buf),
            _ => match self.ram_at(linear, buf.len()) {
                Ok(at) => self.ram.write(at, buf),
                Err(_) => {
                    let code = 2 | u32::from(access.cpl == 3) << 2;
                    return Err(Event::pf(code, linear, "nothing is mapped there").into());
                }
            },
        }
        Ok(())
    }

    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        if self.data(linear, len).is_some() || self.ram_at(linear, len).is_ok() {
            return Ok(());
        }
        let code = u32::from(access.writes()) << 1 | u32::from(access.cpl == 3) << 2;
        Err(Event::pf(code, linear, "nothing is mapped there").into())
    }
}

impl Platform for Board {}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The instruction retired and `END` behind it too.
    Retired,
    /// The handler was reached.
    Exception { vector: u8, error: Option<u64>, cr2: Option<u64> },
}

/// An exit that the guest's own words do not explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    Ended(Ended),
    /// KVM_RUN wants something; the exit stands in `kvm_run`.
    Exit(String),
}

/// The virtual machine.
pub struct Machine {
    pub vm: VmFd,
    pub vcpu: VcpuFd,
    pub cpuid: CpuId,
    pub board: Board,
    pub capabilities: Capabilities,
    pub layout: Layout,
    sregs: kvm_sregs,
}

impl Machine {
    /// A machine; `Err` says why there is none. `enable` switches on what [`Capabilities::enable`] does.
    pub fn new(enable: bool) -> Result<Machine, String> {
        let why = |what: &'static str| move |error: kvm_ioctls::Error| format!("{what}: {error}");
        let kvm = Kvm::new().map_err(why("/dev/kvm"))?;
        let vm = kvm.create_vm().map_err(why("KVM_CREATE_VM"))?;
        let capabilities = match enable {
            true => Capabilities::enable(&vm).map_err(|error| error.to_string())?,
            false => Capabilities::default(),
        };
        let ram = Ram::new();
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: RAM as u64,
            userspace_addr: ram.0.as_ptr() as u64,
        };
        // SAFETY: the range is mapped for as long as the board lives, which the machine drops with the virtual machine.
        unsafe { vm.set_user_memory_region(region) }.map_err(why("KVM_SET_USER_MEMORY_REGION"))?;
        tables(&ram);
        let vcpu = vm.create_vcpu(0).map_err(why("KVM_CREATE_VCPU"))?;
        let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(why("KVM_GET_SUPPORTED_CPUID"))?;
        vcpu.set_cpuid2(&cpuid).map_err(why("KVM_SET_CPUID2"))?;
        let sregs = sregs(vcpu.get_sregs().map_err(why("KVM_GET_SREGS"))?);
        vcpu.set_sregs(&sregs).map_err(why("KVM_SET_SREGS"))?;
        let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
        xcrs.xcrs[0].value = xcr0();
        vcpu.set_xcrs(&xcrs).map_err(why("KVM_SET_XCRS"))?;
        let board = Board { ram, device: vec![0; DATA_LEN], on_device: true, log: Vec::new(), answers: Vec::new() };
        let layout = kvm::host_layout().map_err(|error| error.to_string())?;
        Ok(Machine { vm, vcpu, cpuid, board, capabilities, layout, sregs })
    }

    /// Lays `code` out with `END` behind it, and has RIP and `cpu`'s other registers in the virtual processor. Operands are
    /// on the device or in RAM.
    pub fn prepare(&mut self, code: &[u8], cpu: &Cpu, on_device: bool) {
        self.board.ram.write(CODE, code);
        self.board.ram.write(CODE + code.len() as u64, &END);
        self.board.on_device = on_device;
        self.board.log.clear();
        // What was finished and never went on is forgotten.
        self.vcpu.get_kvm_run().kvm_dirty_regs = 0;
        let regs = kvm_regs { rip: CODE, ..kvm::regs(cpu) };
        self.vcpu.set_regs(&regs).expect("KVM_SET_REGS");
        self.sregs.cr3 = TABLES[usize::from(on_device)];
        self.sregs.cr2 = 0;
        self.vcpu.set_sregs(&self.sregs).expect("KVM_SET_SREGS");
        self.vcpu.set_vcpu_events(&kvm_vcpu_events::default()).expect("KVM_SET_VCPU_EVENTS");
        let mut image = self.vcpu.get_xsave().expect("KVM_GET_XSAVE");
        let components = xcr0() & COMPONENTS & !component::PKRU;
        kvm::store_xsave(cpu, &mut image, &self.layout, components).expect("an image of the kernel's");
        // SAFETY: the kernel gave this image for the same virtual processor.
        unsafe { self.vcpu.set_xsave(&image) }.expect("KVM_SET_XSAVE");
    }

    /// Runs until the guest says how it ended, answering device accesses by the kernel; or up to another exit.
    /// `answered` hears of each read that was answered, before the guest goes on, and says whether it may.
    pub fn run(&mut self, mut answered: impl FnMut(&mut VcpuFd, &mut Board) -> bool) -> Out {
        for _ in 0..2000 {
            let board = &mut self.board;
            let inside = |at: u64, len: usize| {
                let offset = at.wrapping_sub(DEVICE) as usize;
                (offset < DATA_LEN && offset + len <= DATA_LEN).then_some(offset)
            };
            match self.vcpu.run() {
                Ok(VcpuExit::MmioWrite(PORT_PHYSICAL, [_])) => return Out::Ended(Ended::Retired),
                Ok(VcpuExit::MmioWrite(at, &[vector, ..])) if at == PORT_PHYSICAL + 8 => {
                    return Out::Ended(self.exception(vector));
                }
                Ok(VcpuExit::MmioWrite(at, data)) => match inside(at, data.len()) {
                    Some(offset) => board.device_write(offset, data),
                    None => return Out::Exit(format!("a write of {} bytes at {at:#x}", data.len())),
                },
                Ok(VcpuExit::MmioRead(at, data)) => {
                    match inside(at, data.len()) {
                        Some(offset) => board.device_read(offset, data),
                        None => return Out::Exit(format!("a read of {} bytes at {at:#x}", data.len())),
                    }
                    if !answered(&mut self.vcpu, board) {
                        return Out::Exit("a read that was begun".to_owned());
                    }
                }
                Ok(other) => return Out::Exit(format!("{other:?}")),
                Err(error) => return Out::Exit(format!("KVM_RUN: {error}")),
            }
        }
        Out::Exit("more exits than any instruction needs".to_owned())
    }

    /// What the handler's stack says.
    fn exception(&self, vector: u8) -> Ended {
        let rsp = self.vcpu.get_regs().expect("KVM_GET_REGS").rsp;
        let error = matches!(vector, 8 | 10..=14 | 17 | 21).then(|| self.board.ram.word(rsp));
        let cr2 = (vector == 14).then(|| self.vcpu.get_sregs().expect("KVM_GET_SREGS").cr2);
        Ended::Exception { vector, error, cr2 }
    }

    /// The state after a run; after an exception that of the interrupted program.
    pub fn state(&self, ended: Ended) -> Cpu {
        let mut cpu = Cpu::new();
        let mut regs = self.vcpu.get_regs().expect("KVM_GET_REGS");
        match ended {
            Ended::Retired => regs.rip -= END.len() as u64,
            Ended::Exception { error, .. } => {
                let frame = regs.rsp + if error.is_some() { 8 } else { 0 };
                let word = |i: u64| self.board.ram.word(frame + 8 * i);
                (regs.rip, regs.rflags, regs.rsp) = (word(0), word(2), word(3));
            }
        }
        kvm::load_regs(&mut cpu, &regs);
        let image = self.vcpu.get_xsave().expect("KVM_GET_XSAVE");
        kvm::load_xsave(&mut cpu, &image, &self.layout, COMPONENTS & !component::PKRU)
            .expect("an image of the kernel's");
        cpu
    }

    /// The operands' bytes, wherever they are.
    pub fn data(&self) -> Vec<u8> {
        if self.board.on_device {
            return self.board.device.clone();
        }
        let mut bytes = vec![0; DATA_LEN];
        self.board.ram.read(DATA_RAM, &mut bytes);
        bytes
    }

    /// Fills the operands' bytes.
    pub fn set_data(&mut self, bytes: &[u8], on_device: bool) {
        if on_device { self.board.device.copy_from_slice(bytes) } else { self.board.ram.write(DATA_RAM, bytes) }
    }
}

/// Answers the device read that stands in `kvm_run`.
pub fn answer(vcpu: &mut VcpuFd, board: &mut Board) {
    let access = kvm::mmio(vcpu).expect("an MMIO exit");
    assert!(!access.write, "a read stands there");
    board.device_read((access.at - DEVICE) as usize, access.data);
}

/// Makes the device access that stands in `kvm_run`.
pub fn answer_any(vcpu: &mut VcpuFd, board: &mut Board) {
    let access = kvm::mmio(vcpu).expect("an MMIO exit");
    let at = (access.at - DEVICE) as usize;
    if access.write { board.device_write(at, access.data) } else { board.device_read(at, access.data) }
}

/// A processor whose registers suit the machine: RBX, RSI and RDI into the operands, RSP to the stack.
pub fn registers() -> Cpu {
    let mut cpu = Cpu::new();
    cpu.gpr[gpr::RBX] = DATA + 0x100;
    cpu.gpr[gpr::RSI] = DATA + 0x800;
    cpu.gpr[gpr::RDI] = DATA + 0x400;
    cpu.gpr[gpr::RSP] = STACK;
    cpu
}

/// What the host enables and the library holds.
pub fn xcr0() -> u64 {
    let host = encore86::Profile::host().xcr0();
    host & (COMPONENTS & !component::PKRU)
}

fn tables(ram: &Ram) {
    let put = |at: u64, words: &[u64]| {
        words.iter().enumerate().for_each(|(i, w)| ram.write(at + 8 * i as u64, &w.to_le_bytes()))
    };
    const POINTER: u64 = 7;
    for (i, &root) in TABLES.iter().enumerate() {
        let [level3, level2, level1] = [1, 2, 3].map(|n| root + n * 0x1000);
        put(root, &[level3 | POINTER]);
        put(level3, &[0x5000 | POINTER, level2 | POINTER]);
        put(level2, &[level1 | POINTER]);
        let data = [DATA_RAM, DEVICE][i];
        for page in 0..DATA_LEN as u64 / 0x1000 {
            put(level1 + 8 * page, &[(data + page * 0x1000) | POINTER]);
        }
        put(level1 + 8 * 0x100, &[PORT_PHYSICAL | POINTER]);
    }
    // Large pages.
    put(0x5000, &[0x87, 0x20_0087]);
    put(GDT, &[0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff]);
    put(TSS, &[0; 13]);
    ram.write(TSS + 4, &KERNEL_STACK.to_le_bytes());
    for vector in 0..32u64 {
        let handler = HANDLERS + 16 * vector;
        put(IDT + 16 * vector, &[handler & 0xffff | 8 << 16 | 0x8e << 40, 0]);
        // mov dword [PORT + 8], vector; hlt
        ram.write(handler, &[0xc7, 0x04, 0x25, 0x08, 0x00, 0x10, 0x40, vector as u8, 0, 0, 0, 0xf4]);
    }
}

fn sregs(mut s: kvm_sregs) -> kvm_sregs {
    let user = |selector, type_, l| kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        dpl: 3,
        db: 1 - l,
        s: 1,
        l,
        g: 1,
        ..kvm_segment::default()
    };
    s.cs = user(0x23, 11, 1);
    let data = user(0x1b, 3, 0);
    (s.ds, s.es, s.fs, s.gs, s.ss) = (data, data, data, data, data);
    s.tr = kvm_segment { base: TSS, limit: 0x67, selector: 0x28, type_: 11, present: 1, ..kvm_segment::default() };
    (s.gdt.base, s.gdt.limit, s.idt.base, s.idt.limit) = (GDT, 0x27, IDT, 0x1ff);
    // PE, MP, ET, NE, WP, PG; PAE, OSFXSR, OSXMMEXCPT, OSXSAVE; SCE, LME, LMA, NXE.
    (s.cr0, s.cr4, s.efer, s.cr3) = (0x8001_0033, 0x4_0620, 0xd01, TABLES[1]);
    s
}
