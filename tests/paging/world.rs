//! Random page tables, and accesses to them.

use super::memory::{Memory, Walked};
use super::naive::{Answer, Ask, Model, State};
use encore86::paging::{Limits, Paging};
use encore86::{Access, AccessKind, Bus, Cpu, Stop, Vendor};
use encore86_oracle::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Off,
    Bits32,
    Pae,
    Long4,
    Long5,
}

pub const MODES: [Mode; 5] = [Mode::Off, Mode::Bits32, Mode::Pae, Mode::Long4, Mode::Long5];

/// Bits of CR4 that no table is laid out by.
const CR4_RIGHTS: [u32; 4] = [20, 21, 22, 24];

/// Tables in a few pages. Few indices are in use, so that accesses meet entries that are there.
#[derive(Clone, Debug)]
pub struct World {
    pub mode: Mode,
    pub model: Model,
    pub frames: Vec<u64>,
    pub memory: Memory,
    indices: Vec<u64>,
}

impl World {
    pub fn new(random: &mut Random, mode: Mode) -> World {
        let model = Model {
            maxphyaddr: random.pick(&[32, 36, 39, 40, 41, 46, 48, 51, 52]),
            pse36: !random.one_in(4),
            pat: !random.one_in(4),
            gigabyte_pages: !random.one_in(3),
            amd: random.one_in(2),
        };
        let wide = if mode == Mode::Bits32 { 32 } else { model.maxphyaddr };
        let mut frames: Vec<u64> = Vec::new();
        while frames.len() < 6 {
            // The PDPT of PAE paging lies below 4 GiB.
            let bits = if frames.is_empty() { 32 } else { wide };
            let frame = (random.word() >> (64 - bits)) & !0xfff;
            if !frames.contains(&frame) {
                frames.push(frame);
            }
        }
        let last = if mode == Mode::Bits32 { 1024 } else { 512 };
        let mut indices = vec![0, last - 1];
        indices.extend((0..2).map(|_| random.below(last)));
        let mut world = World { mode, model, memory: Memory::new(&frames), frames, indices };
        world.fill(random);
        world
    }

    fn fill(&mut self, random: &mut Random) {
        let pae = self.mode == Mode::Pae;
        for f in usize::from(pae)..self.frames.len() {
            for i in 0..self.indices.len() {
                let at = self.frames[f] + self.indices[i] * u64::from(self.width());
                let entry = self.entry(random);
                self.memory.set(at, entry, self.width());
            }
        }
        if pae {
            for i in 0..4 {
                let high = u64::MAX.checked_shl(self.model.maxphyaddr).unwrap_or(0);
                let good = self.entry(random) & !(0x1e6 | high);
                let bad = self.entry(random);
                let pdpte = if random.one_in(200) { bad } else { good };
                self.memory.set(self.frames[0] + 8 * i, pdpte, 8);
            }
        }
    }

    /// Does `other` hold the same in all entries that are in use?
    pub fn is_in(&self, other: &Memory) -> bool {
        let width = u64::from(self.width());
        let entries = self.frames.iter().flat_map(|frame| self.indices.iter().map(move |i| (frame + i * width) & !7));
        entries.into_iter().all(|at| self.memory.get64(at) == other.get64(at))
    }

    /// Bytes of an entry.
    pub fn width(&self) -> u32 {
        if self.mode == Mode::Bits32 { 4 } else { 8 }
    }

    /// Mostly one that leads somewhere.
    pub fn entry(&self, random: &mut Random) -> u64 {
        let to = usize::from(self.mode == Mode::Pae);
        let (high, large) = (u64::MAX.checked_shl(self.model.maxphyaddr).unwrap_or(0), random.one_in(10));
        let mut entry = random.pick(&self.frames[to..]);
        if random.one_in(8) {
            entry = random.word() & 0x000f_ffff_ffff_f000 & !high;
        }
        if large && !random.one_in(8) {
            entry &= if random.one_in(2) { !0x3fff_ffff } else { !0x3f_ffff };
        }
        let mut set = |bit: u32, chance: u64, of: u64| {
            if random.below(of) < chance {
                entry |= 1 << bit;
            }
        };
        set(0, 31, 32);
        set(1, 7, 8);
        set(2, 7, 8);
        set(5, 1, 2);
        set(6, 1, 2);
        set(7, u64::from(large), 1);
        set(8, 1, 16);
        set(63, 1, 24);
        // Keys, which are reserved bits in PAE paging.
        if matches!(self.mode, Mode::Long4 | Mode::Long5) || random.one_in(60) {
            entry |= random.word() & 0xf << 59;
        }
        if random.one_in(60) {
            entry ^= 1 << random.below(64);
        }
        entry
    }

    /// Another entry for somewhere: address and value.
    pub fn change(&self, random: &mut Random) -> (u64, u64) {
        let first = usize::from(self.mode == Mode::Pae);
        let frame = random.pick(&self.frames[first..]);
        let at = frame + random.pick(&self.indices) * u64::from(self.width());
        (at, self.entry(random))
    }

    /// Registers that walk these tables, from the page that `root` numbers.
    pub fn state(&self, random: &mut Random, root: usize) -> State {
        let long = matches!(self.mode, Mode::Long4 | Mode::Long5);
        let mut cr4 = u64::from(self.mode == Mode::Long5) << 12;
        cr4 |= u64::from(matches!(self.mode, Mode::Pae) || long) << 5;
        for bit in CR4_RIGHTS.into_iter().chain([4, 7]) {
            cr4 |= random.below(2) << bit;
        }
        let paging = u64::from(self.mode != Mode::Off);
        State {
            cr0: paging << 31 | 1 | random.below(2) << 16,
            cr3: self.frames[root] | if self.mode == Mode::Pae { 0 } else { random.word() & 0x18 },
            cr4,
            efer: if long { 0x500 } else { 0 } | u64::from(!random.one_in(4)) << 11,
            pkru: keys(random),
            pkrs: keys(random),
            ac: random.one_in(2),
        }
    }

    /// Changes registers that decide rights and not the tables.
    pub fn change_rights(&self, random: &mut Random, state: &mut State) {
        match random.below(5) {
            0 => state.cr0 ^= 1 << 16,
            1 => state.cr4 ^= 1 << random.pick(&CR4_RIGHTS),
            2 => state.pkru = keys(random),
            3 => state.pkrs = keys(random),
            _ => state.ac ^= true,
        }
    }

    /// A linear address that the tables may have.
    pub fn linear(&self, random: &mut Random) -> u64 {
        let offset = random.below(0xff0);
        let mut at = |shift: u32| random.pick(&self.indices) << shift;
        match self.mode {
            Mode::Off => random.word() & !0xfff | offset,
            Mode::Bits32 => at(22) | at(12) | offset,
            Mode::Pae => (at(21) | at(12)) & 0x3fff_ffff | random.below(4) << 30 | offset,
            Mode::Long4 | Mode::Long5 => {
                let five = self.mode == Mode::Long5;
                let low = at(39) | at(30) | at(21) | at(12) | if five { at(48) } else { 0 } | offset;
                let unused = if five { 7 } else { 16 };
                let linear = ((low << unused) as i64 >> unused) as u64;
                if random.one_in(64) { linear ^ 1 << (12 + random.below(52)) } else { linear }
            }
        }
    }

    /// Every page that [`World::linear`] can come to, but for those that are not canonical.
    pub fn every_page(&self) -> Vec<u64> {
        let (shifts, unused): (&[u32], u32) = match self.mode {
            Mode::Off => return vec![],
            Mode::Bits32 => (&[22, 12], 32),
            Mode::Pae => (&[30, 21, 12], 32),
            Mode::Long4 => (&[39, 30, 21, 12], 16),
            Mode::Long5 => (&[48, 39, 30, 21, 12], 7),
        };
        let mut pages = vec![0];
        for &shift in shifts {
            let top = [0, 1, 2, 3];
            let indices = if (self.mode, shift) == (Mode::Pae, 30) { &top[..] } else { &self.indices };
            pages = pages.iter().flat_map(|page| indices.iter().map(move |index| page | index << shift)).collect();
        }
        let long = unused < 32;
        pages.iter().map(|p| if long { ((p << unused) as i64 >> unused) as u64 } else { p & 0xffff_ffff }).collect()
    }

    pub fn limits(&self) -> Limits {
        Limits {
            maxphyaddr: self.model.maxphyaddr as u8,
            pse36: self.model.pse36,
            pat: self.model.pat,
            gigabyte_pages: self.model.gigabyte_pages,
            vendor: if self.model.amd { Vendor::Amd } else { Vendor::Intel },
        }
    }
}

fn keys(random: &mut Random) -> u32 {
    match random.below(3) {
        0 => 0,
        _ => (random.word() & random.word()) as u32,
    }
}

/// Gives a processor the registers.
pub fn set(cpu: &mut Cpu, state: &State) {
    cpu.update(|s| {
        (s.cr0, s.cr3, s.cr4, s.efer) = (state.cr0, state.cr3, state.cr4, state.efer);
        (s.pkru, s.pkrs) = (state.pkru, state.pkrs);
    });
    cpu.set_rflags(u64::from(state.ac) << 18);
}

/// How an access is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Access,
    Probe,
    HostAddress,
}

/// A random access, as the bus and as the naive walker see it.
pub fn access(random: &mut Random, linear: u64) -> (Call, Access, Ask) {
    let kinds = [AccessKind::Read, AccessKind::ReadForWrite, AccessKind::Write, AccessKind::Rmw, AccessKind::Fetch];
    let mut access = Access::new(random.pick(&kinds), 1 << random.below(4), random.pick(&[0, 0, 1, 3, 3]));
    if access.kind != AccessKind::Fetch {
        access.implicit = random.one_in(8);
        access.shadow_stack = random.one_in(8);
    }
    let call = match random.below(5) {
        0 => Call::Probe,
        1 if access.kind != AccessKind::Fetch => Call::HostAddress,
        _ => Call::Access,
    };
    let ask = Ask {
        linear,
        write: matches!(access.kind, AccessKind::ReadForWrite | AccessKind::Write | AccessKind::Rmw),
        fetch: access.kind == AccessKind::Fetch,
        user: access.cpl == 3 && !access.implicit,
        explicit: !access.implicit,
        shadow_stack: access.shadow_stack,
        mark: call != Call::Probe,
    };
    (call, access, ask)
}

/// Makes an access, and says what became of it.
pub fn ask(paging: &mut Paging<Walked<'_>>, linear: u64, call: Call, access: &Access) -> Result<Answer, String> {
    paging.inner().last = None;
    let mut buf = [0; 8];
    let buf = &mut buf[..access.element.into()];
    let done = match (call, access.kind) {
        (Call::Probe, _) => paging.probe(linear, buf.len(), access),
        (Call::HostAddress, _) => paging.ram(linear, buf.len(), access).map(|_| ()),
        (_, AccessKind::Fetch) => paging.fetch(linear, &mut [0; 15], access).map(|_| ()),
        (_, AccessKind::Read | AccessKind::ReadForWrite) => paging.read(linear, buf, access),
        (_, AccessKind::Write) => paging.write(linear, buf, access),
        (_, AccessKind::Rmw) => paging.rmw(linear, buf, &mut |_, _| {}, access).map(|_| ()),
    };
    match (done, paging.inner().last) {
        (Ok(()), Some(physical)) => Ok(Answer::Physical(physical)),
        (Err(Stop::Fault(event)), None) if event.vector == 14 && event.cr2 == Some(linear) => {
            Ok(Answer::PageFault(event.error_code.ok_or("#PF without an error code")?))
        }
        (Err(Stop::Fault(event)), None) if event.vector == 13 && event.error_code == Some(0) => {
            Ok(Answer::GeneralProtection)
        }
        (done, last) => Err(format!("{done:?}, the bus underneath at {last:x?}")),
    }
}
