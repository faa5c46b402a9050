//! A machine with descriptor tables, stacks and handlers, all in flat RAM without paging.

use encore86::cpu::registers::{cr0, efer, rflags};
use encore86::cpu::segment::{DescriptorTable, Segment, rights};
use encore86::{Access, Bus, Cpu, Engine, Event, Outcome, Platform, Profile, Stop};

pub const CODE: u64 = 0x10000;
pub const GDT: u64 = 0x1000;
pub const IDT: u64 = 0x2000;
pub const TSS: u64 = 0x3000;
pub const LDT: u64 = 0x3800;
/// Stack pointers: of the code that runs, and of the TSS for CPL 0 and for entry 1 of its interrupt stack table.
pub const STACK: u64 = 0x8000;
pub const STACK0: u64 = 0x9000;
pub const IST1: u64 = 0xa000;
/// Where gates lead.
pub const TARGET: u64 = 0x5000;

/// Selectors of the GDT below.
pub mod sel {
    pub const CODE0: u16 = 0x08;
    pub const DATA0: u16 = 0x10;
    pub const CODE3: u16 = 0x1b;
    pub const DATA3: u16 = 0x23;
    pub const CONFORMING: u16 = 0x28;
    pub const ABSENT_CODE: u16 = 0x30;
    pub const READ_ONLY: u16 = 0x38;
    pub const EXECUTE_ONLY: u16 = 0x40;
    pub const ABSENT_DATA: u16 = 0x48;
    pub const CODE64: u16 = 0x50;
    pub const CODE64_3: u16 = 0x5b;
    pub const BOTH_L_AND_D: u16 = 0x60;
    pub const CONFORMING3: u16 = 0x68;
    pub const SMALL_CODE: u16 = 0x70;
    pub const TSS: u16 = 0x80;
    pub const LDT: u16 = 0x90;
    pub const BUSY_TSS: u16 = 0xa0;
    /// Call gates with DPL 3.
    pub const GATE: u16 = 0xb0;
    pub const GATE_DPL0: u16 = 0xc0;
    pub const ABSENT_GATE: u16 = 0xd0;
    pub const GATE_TO_NULL: u16 = 0xe0;
    pub const GATE_TO_DATA: u16 = 0xf0;
    pub const GATE_TO_ABSENT: u16 = 0x100;
    pub const GATE_BEYOND: u16 = 0x110;
    pub const TASK_GATE: u16 = 0x120;
    pub const LOW_STACK: u16 = 0x130;
    pub const NOT_CANONICAL_LDT: u16 = 0x140;
    pub const ABSENT_LDT: u16 = 0x150;
    pub const GATE16: u16 = 0x160;
    pub const END: u16 = 0x170;
}

/// A descriptor of a segment: base, limit in its own units, access rights as in bytes 5 and 6.
fn segment(base: u64, limit: u64, access: u64) -> u64 {
    limit & 0xffff
        | (base & 0xff_ffff) << 16
        | (access & 0xff) << 40
        | (limit >> 16 & 0xf) << 48
        | (access >> 12 & 0xf) << 52
        | (base >> 24 & 0xff) << 56
}

/// A gate: selector, offset (its low half), count of parameters or stack index, access byte.
fn gate(selector: u16, offset: u64, count: u64, access: u64) -> u64 {
    offset & 0xffff | u64::from(selector) << 16 | count << 32 | access << 40 | (offset >> 16 & 0xffff) << 48
}

#[derive(Clone)]
pub struct World {
    pub ram: Vec<u8>,
    pub msr: fn(u32) -> Option<u64>,
}

impl World {
    /// The tables for a 32-bit (`long` false) or a 64-bit kernel.
    pub fn new(long: bool) -> World {
        let mut world = World { ram: vec![0; 0x20000], msr: |_| None };
        let mut put = |selector: u16, value: u64| world.put(GDT + u64::from(selector & !7), value, 8);
        put(sel::CODE0, segment(0, 0xf_ffff, if long { 0xa09b } else { 0xc09b }));
        put(sel::DATA0, segment(0, 0xf_ffff, 0xc093));
        put(sel::CODE3, segment(0, 0xf_ffff, 0xc0fb));
        put(sel::DATA3, segment(0, 0xf_ffff, 0xc0f3));
        put(sel::CONFORMING, segment(0, 0xf_ffff, if long { 0xa09f } else { 0xc09f }));
        put(sel::ABSENT_CODE, segment(0, 0xf_ffff, if long { 0xa01b } else { 0xc01b }));
        put(sel::READ_ONLY, segment(0, 0xf_ffff, 0xc091));
        put(sel::EXECUTE_ONLY, segment(0, 0xf_ffff, 0xc099));
        put(sel::ABSENT_DATA, segment(0, 0xf_ffff, 0xc013));
        put(sel::CODE64, segment(0, 0xf_ffff, 0xa09b));
        put(sel::CODE64_3, segment(0, 0xf_ffff, 0xa0fb));
        put(sel::BOTH_L_AND_D, segment(0, 0xf_ffff, 0xe09b));
        put(sel::CONFORMING3, segment(0, 0xf_ffff, 0xc0ff));
        put(sel::SMALL_CODE, segment(0, 0xfff, 0x409b));
        put(sel::TSS, segment(TSS, 0x67, 0x89));
        put(sel::LDT, segment(LDT, 0x0f, 0x82));
        put(sel::BUSY_TSS, segment(TSS, 0x67, 0x8b));
        put(sel::LOW_STACK, segment(0, 0x0f, 0x4093));
        put(sel::NOT_CANONICAL_LDT, segment(0, 0x0f, 0x82));
        put(sel::ABSENT_LDT, segment(LDT, 0x0f, 0x02));
        let call = 0xec;
        put(sel::GATE, gate(sel::CODE0, TARGET, if long { 0 } else { 2 }, call));
        put(sel::GATE_DPL0, gate(sel::CODE0, TARGET, 0, 0x8c));
        put(sel::ABSENT_GATE, gate(sel::CODE0, TARGET, 0, 0x6c));
        put(sel::GATE_TO_NULL, gate(0, TARGET, 0, call));
        put(sel::GATE_TO_DATA, gate(sel::DATA0, TARGET, 0, call));
        put(sel::GATE_TO_ABSENT, gate(sel::ABSENT_CODE, TARGET, 0, call));
        put(sel::GATE_BEYOND, gate(0x1008, TARGET, 0, call));
        put(sel::TASK_GATE, gate(sel::TSS, 0, 0, 0xe5));
        put(sel::GATE16, gate(sel::CODE0, TARGET, 1, 0xe4));
        if long {
            world.put(GDT + u64::from(sel::NOT_CANONICAL_LDT) + 8, 0x8000, 8);
        }
        // The second entry of the LDT: flat data for CPL 3.
        world.put(LDT + 8, segment(0, 0xf_ffff, 0xc0f3), 8);
        world.put(TSS + 4, STACK0, if long { 8 } else { 4 });
        if long {
            world.put(TSS + 0x24, IST1, 8);
        } else {
            world.put(TSS + 8, u64::from(sel::DATA0), 4);
        }
        // Vectors: 0 #DE, 3 with DPL 3, 6, 13, 14, 32 interrupt gates; 4 a trap gate; 33 on IST 1; 34 absent; 35 to data; 36 to CPL 3's code; 37
        // no gate; 38 a conforming handler; 39 a task gate.
        for vector in [0, 6, 8, 13, 14, 32] {
            world.vector(long, vector, sel::CODE0, 0, 0x8e);
        }
        world.vector(long, 3, sel::CODE0, 0, 0xee);
        world.vector(long, 4, sel::CODE0, 0, 0xef);
        world.vector(long, 33, sel::CODE0, 1, 0xee);
        world.vector(long, 34, sel::CODE0, 0, 0x6e);
        world.vector(long, 35, sel::DATA0, 0, 0xee);
        world.vector(long, 36, if long { sel::CODE64_3 } else { sel::CODE3 }, 0, 0xee);
        world.vector(long, 37, sel::CODE0, 0, 0xec);
        world.vector(long, 38, sel::CONFORMING, 0, 0xee);
        world.vector(long, 39, sel::TSS, 0, 0xe5);
        world
    }

    /// Writes a gate of the IDT.
    pub fn vector(&mut self, long: bool, vector: u64, selector: u16, ist: u64, access: u64) {
        let size = if long { 16 } else { 8 };
        self.put(IDT + vector * size, gate(selector, TARGET, ist, access), 8);
    }

    pub fn put(&mut self, at: u64, value: u64, size: usize) {
        self.ram[at as usize..at as usize + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }

    pub fn get(&self, at: u64, size: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.ram[at as usize..at as usize + size]);
        u64::from_le_bytes(bytes)
    }

    /// `count` entries of `size` bytes from `at` on, the lowest first.
    pub fn entries(&self, at: u64, size: usize, count: u64) -> Vec<u64> {
        (0..count).map(|i| self.get(at + i * size as u64, size)).collect()
    }
}

impl Bus for World {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.read(linear, buf, access).map(|()| buf.len())
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.probe(linear, buf.len(), access)?;
        buf.copy_from_slice(&self.ram[linear as usize..linear as usize + buf.len()]);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.probe(linear, buf.len(), access)?;
        self.ram[linear as usize..linear as usize + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        match linear.checked_add(len as u64) {
            Some(end) if end <= self.ram.len() as u64 => Ok(()),
            _ => {
                let user = if access.implicit || access.cpl < 3 { 0 } else { 4 };
                Err(Event::pf(user, linear, "no memory").into())
            }
        }
    }
}

impl Platform for World {
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        (self.msr)(index).ok_or(Stop::Fault(Event::gp0("no such register")))
    }
}

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Real,
    V86,
    Prot32,
    Compat32,
    Long64,
}

/// A processor at `cpl` in the tables above, SS:rSP at [`STACK`].
pub fn cpu(kind: Kind, cpl: u8) -> Cpu {
    let mut cpu = Cpu::new();
    let flat = |selector: u16, attr: u32| Segment { selector, attr, limit: u32::MAX, base: 0 };
    let dpl = u32::from(cpl) << rights::DPL_SHIFT;
    let long = matches!(kind, Kind::Compat32 | Kind::Long64);
    let width = if kind == Kind::Long64 { 0xa000 } else { 0xc000 };
    let (cs, ss) = match (kind, cpl) {
        (Kind::Long64, 0) => (sel::CODE0, sel::DATA0),
        (Kind::Long64, _) => (sel::CODE64_3, sel::DATA3),
        (_, 0) => (sel::CODE0, sel::DATA0),
        _ => (sel::CODE3, sel::DATA3),
    };
    cpu.update(|s| {
        s.gdtr = DescriptorTable { base: GDT, limit: sel::END - 1 };
        s.idtr = DescriptorTable { base: IDT, limit: if long { 0x27f } else { 0x13f } };
        s.tr = Segment { selector: sel::BUSY_TSS, attr: 0x8b, limit: 0x67, base: TSS };
        s.ldtr = Segment { selector: sel::LDT, attr: 0x82, limit: 0x0f, base: LDT };
        s.efer = if long { efer::LME | efer::LMA | efer::SCE } else { efer::SCE };
        let data = flat(ss, 0xc093 | dpl);
        s.seg = [data, flat(cs, 0x9b | width | dpl), data, data, flat(0, rights::UNUSABLE), flat(0, rights::UNUSABLE)];
        if matches!(kind, Kind::Real | Kind::V86) {
            let attr = if kind == Kind::V86 { 0xf3 } else { 0x93 };
            s.seg = [Segment { selector: 0, attr, limit: 0xffff, base: 0 }; 6];
            s.seg[1].selector = (CODE >> 4) as u16;
            s.seg[1].base = CODE;
        }
        if kind == Kind::Real {
            s.cr0 &= !cr0::PE;
            s.idtr = DescriptorTable { base: 0, limit: 0x3ff };
        }
    });
    cpu.set_rflags(if kind == Kind::V86 { rflags::VM | rflags::IF } else { rflags::IF });
    cpu.gpr[4] = STACK;
    cpu.rip = if matches!(kind, Kind::Real | Kind::V86) { 0 } else { CODE };
    cpu
}

/// Steps `code`; nothing but accessed and busy bits may have changed unless it completes.
pub fn step(cpu: &mut Cpu, world: &mut World, profile: Profile, code: &[u8]) -> Outcome {
    let at = CODE as usize;
    world.ram[at..at + code.len()].copy_from_slice(code);
    Engine::integer_only(profile).step(cpu, world)
}

pub fn deliver(cpu: &mut Cpu, world: &mut World, event: Event) -> Outcome {
    Engine::integer_only(Profile::all()).deliver(cpu, world, event)
}
