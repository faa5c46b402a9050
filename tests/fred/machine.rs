//! A machine whose only hardware is RAM and the registers of FRED.

#[path = "../support/msrs.rs"]
mod msrs;

use encore86::cpu::Mode;
use encore86::cpu::registers::{cr4, rflags};
use encore86::cpu::segment::{DescriptorTable, Seg, Segment, rights};
use encore86::{Access, Bus, Cpu, Engine, Event, Outcome, Profile, Retired, Stop};
use std::collections::BTreeMap;

pub const CODE: u64 = 0x1_0000;
pub const GDT: u64 = 0x1000;
pub const STACK: u64 = 0x8000;
/// Stacks of the four levels.
pub const LEVELS: [u64; 4] = [0x9000, 0xa000, 0xb000, 0xc000];
/// The page of the entry points, and that of ring 0.
pub const ENTRY3: u64 = 0x5000;
pub const ENTRY0: u64 = 0x5100;

pub const RSP0: u32 = 0x1cc;
pub const STKLVLS: u32 = 0x1d0;
pub const CONFIG: u32 = 0x1d4;
pub const STAR: u32 = 0xc000_0081;

/// Segments that IA32_STAR names: ring 0, and in ring 3 code of 32 bits, data, code of 64 bits.
pub const CS0: u64 = 0x08;
pub const SS0: u64 = 0x10;
pub const CS3_32: u64 = 0x23;
pub const SS3: u64 = 0x2b;
pub const CS3: u64 = 0x33;
/// Others, which the GDT has.
pub const OTHER_CS3: u16 = 0x43;
pub const OTHER_SS3: u16 = 0x4b;
pub const OTHER_CS3_32: u16 = 0x53;
pub const ABSENT_CS3: u16 = 0x5b;
pub const BOTH_L_AND_D: u16 = 0x63;
pub const OTHER_CS0: u16 = 0x68;
pub const CONFORMING_CS0: u16 = 0x70;
pub const READ_ONLY3: u16 = 0x7b;
pub const ABSENT_SS3: u16 = 0x83;
pub const GATE: u16 = 0x88;
pub const CS0_32: u16 = 0x98;
pub const SAME_GATE: u16 = 0xa0;
pub const END: u16 = 0xb0;

pub const GP: (u8, Option<u32>) = (13, Some(0));
pub const UD: (u8, Option<u32>) = (6, None);

/// Bits of the frame's SS: types of events, and 64-bit mode.
pub const LONG: u64 = 1 << 57;
pub const NESTED: u64 = 1 << 58;
pub const INTERRUPT: u64 = 0;
pub const NMI: u64 = 2 << 48;
pub const EXCEPTION: u64 = 3 << 48;
pub const SOFTWARE_INTERRUPT: u64 = 4 << 48;
pub const PRIVILEGED_SOFTWARE: u64 = 5 << 48;
pub const SOFTWARE_EXCEPTION: u64 = 6 << 48;
pub const OTHER: u64 = 7 << 48;
pub const STI_BIT: u64 = 1 << 16;
pub const SOFTWARE_BIT: u64 = 1 << 17;
pub const NMI_BIT: u64 = 1 << 18;

pub const fn vector(n: u64) -> u64 {
    n << 32
}

pub const fn length(n: u64) -> u64 {
    n << 60
}

pub struct Machine {
    pub ram: Vec<u8>,
    pub msrs: BTreeMap<u32, u64>,
    /// Reads of it, or writes, answer "later".
    pub later: Option<u32>,
    pub later_on_write: bool,
}

impl Machine {
    pub fn new() -> Machine {
        let mut machine = Machine { ram: vec![0; 0x2_0000], msrs: BTreeMap::new(), later: None, later_on_write: false };
        let flat = |access: u64| 0xffff | (access & 0xff) << 40 | 0xf << 48 | (access >> 12 & 0xf) << 52;
        let segments = [
            (OTHER_CS3, 0xa0fa),
            (OTHER_SS3, 0xc0f2),
            (OTHER_CS3_32, 0xc0fa),
            (ABSENT_CS3, 0xa07a),
            (BOTH_L_AND_D, 0xe0fa),
            (OTHER_CS0, 0xa09a),
            (CONFORMING_CS0, 0xa09e),
            (READ_ONLY3, 0xc0f0),
            (ABSENT_SS3, 0xc072),
            (CS0_32, 0xc09a),
            (CS0 as u16, 0xa09a),
            (SS0 as u16, 0xc092),
        ];
        for (selector, access) in segments {
            machine.put(GDT + u64::from(selector & !7), flat(access));
        }
        for (gate, target) in [(GATE, OTHER_CS0), (SAME_GATE, CONFORMING_CS0)] {
            machine.put(GDT + u64::from(gate), 0x6000 | u64::from(target) << 16 | 0xec << 40);
        }
        let registers = [
            (CONFIG, ENTRY3),
            (STKLVLS, 0),
            // Bits 1:0 of ring 0's selector are not used.
            (STAR, 0x0020_000b_0000_0000),
            // IA32_U_CET and IA32_S_CET enable nothing.
            (0x6a0, 0),
            (0x6a2, 0),
        ];
        machine.msrs.extend(registers);
        machine.msrs.extend((RSP0..).zip(LEVELS));
        machine
    }

    pub fn put(&mut self, at: u64, value: u64) {
        self.ram[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    }

    pub fn get(&self, at: u64) -> u64 {
        u64::from_le_bytes(*self.ram[at as usize..].first_chunk().unwrap())
    }

    /// Error code, RIP, CS, RFLAGS, RSP, SS, event data, and what is reserved.
    pub fn frame(&self, at: u64) -> [u64; 8] {
        std::array::from_fn(|i| self.get(at + 8 * i as u64))
    }

    /// A frame for ERETS or ERETU at [`STACK`], whose first entry counts for nothing.
    pub fn returning(&mut self, [rip, cs, flags, rsp, ss]: [u64; 5]) {
        for (i, value) in [0xdead, rip, cs, flags, rsp, ss].into_iter().enumerate() {
            self.put(STACK + 8 * i as u64, value);
        }
    }
}

impl Bus for Machine {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.read(at, buf, access).map(|()| 15)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.probe(at, buf.len(), access)?;
        buf.copy_from_slice(&self.ram[at as usize..at as usize + buf.len()]);
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.probe(at, buf.len(), access)?;
        self.ram[at as usize..at as usize + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, at: u64, len: usize, access: &Access) -> Result<(), Stop> {
        match at.checked_add(len as u64) {
            Some(end) if end <= self.ram.len() as u64 => Ok(()),
            _ => {
                let user = if access.implicit || access.cpl < 3 { 0 } else { 4 };
                Err(Event::pf(user, at, "no memory").into())
            }
        }
    }
}

msrs::platform_of_msrs!(Machine);

/// A processor under FRED in ring 0 or 3, RSP at [`STACK`], in the segments of IA32_STAR.
pub fn cpu(cpl: u8) -> Cpu {
    let mut cpu = Cpu::new();
    let dpl = u32::from(cpl) << rights::DPL_SHIFT;
    let (cs, ss) = if cpl == 0 { (CS0, SS0) } else { (CS3, SS3) };
    cpu.update(|s| {
        s.cr4 |= cr4::FRED;
        s.gdtr = DescriptorTable { base: GDT, limit: END - 1 };
        s.seg[Seg::Cs as usize] = Segment { selector: cs as u16, attr: 0xa09b | dpl, limit: u32::MAX, base: 0 };
        s.seg[Seg::Ss as usize] = Segment { selector: ss as u16, attr: 0xc093 | dpl, limit: u32::MAX, base: 0 };
        s.seg[Seg::Gs as usize].base = 0x1111;
        s.kernel_gs_base = 0x2222;
    });
    cpu.set_rflags(rflags::IF);
    (cpu.rip, cpu.gpr[4]) = (CODE, STACK);
    cpu
}

/// Ring 3 in compatibility mode.
pub fn compatibility() -> Cpu {
    let mut cpu = cpu(3);
    cpu.update(|s| s.seg[Seg::Cs as usize].attr = 0xc0fb);
    cpu.update(|s| s.seg[Seg::Cs as usize].selector = CS3_32 as u16);
    assert_eq!(cpu.mode(), Mode::Compat32);
    cpu
}

pub fn step(cpu: &mut Cpu, machine: &mut Machine, code: &[u8]) -> Outcome {
    step_as(cpu, machine, Profile::all(), code)
}

pub fn step_as(cpu: &mut Cpu, machine: &mut Machine, profile: Profile, code: &[u8]) -> Outcome {
    let at = cpu.rip as usize;
    machine.ram[at..at + code.len()].copy_from_slice(code);
    Engine::integer_only(profile).step(cpu, machine)
}

pub fn deliver(cpu: &mut Cpu, machine: &mut Machine, event: Event) -> Outcome {
    Engine::integer_only(Profile::all()).deliver(cpu, machine, event)
}

pub fn done(outcome: Outcome) -> Retired {
    let Outcome::Completed(retired) = outcome else { panic!("{outcome:?}") };
    retired
}

pub fn fault(outcome: Outcome) -> (u8, Option<u32>) {
    let Outcome::Exception(event) = outcome else { panic!("{outcome:?}") };
    (event.vector, event.error_code)
}

/// What a step reports is delivered, as a monitor does; gives the handler's frame.
pub fn instruction(cpu: &mut Cpu, machine: &mut Machine, code: &[u8]) -> [u64; 8] {
    match step(cpu, machine, code) {
        Outcome::Exception(event) => done(deliver(cpu, machine, event)),
        outcome => done(outcome),
    };
    machine.frame(cpu.gpr[4])
}

pub const SYSCALL: &[u8] = &[0x0f, 0x05];
pub const SYSENTER: &[u8] = &[0x0f, 0x34];
pub const ERETU: &[u8] = &[0xf3, 0x0f, 0x01, 0xca];
pub const ERETS: &[u8] = &[0xf2, 0x0f, 0x01, 0xca];
pub const SWAPGS: &[u8] = &[0x0f, 0x01, 0xf8];
pub const SYSRET: &[u8] = &[0x48, 0x0f, 0x07];
pub const SYSEXIT: &[u8] = &[0x0f, 0x35];

/// The fault, and nothing changed.
pub fn refused(cpu: &mut Cpu, machine: &mut Machine, code: &[u8], with: (u8, Option<u32>), why: &str) {
    let before = cpu.clone();
    assert_eq!(fault(step(cpu, machine, code)), with, "{why}");
    // CR2 is the fault's own.
    cpu.update(|s| s.cr2 = before.system().cr2);
    let same = (cpu.gpr, cpu.rip, cpu.rflags(), cpu.blocking())
        == (before.gpr, before.rip, before.rflags(), before.blocking());
    assert!(same && cpu.system() == before.system(), "{why}");
}
