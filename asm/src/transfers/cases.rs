//! The cases. Each names what it shows; what comes out of it is for the emulators to say, and for the manual to judge.

mod debug;
mod events;
mod far;
mod shadow;
mod tasks;

use super::world::{CODE, DATA, GDT, PAGES, STACK, sel};
use super::{Case, Kind, Patch};

/// RFLAGS.
const TF: u32 = 1 << 8;
const IF: u32 = 1 << 9;
const IOPL: u32 = 3 << 12;
const NT: u32 = 1 << 14;
const RF: u32 = 1 << 16;
const VM: u32 = 1 << 17;
const AC: u32 = 1 << 18;

/// A case at `cpl` whose code is `code`, with INT 0x41 behind it.
fn case(name: &str, kind: Kind, cpl: u16, code: &[u8]) -> Case {
    let (cs, ss) = match (kind, cpl) {
        (Kind::Real, _) => (0x2600, 0x2000),
        (Kind::Long, 0) => (sel::CODE64, sel::DATA0),
        (Kind::Long, _) => (sel::CODE64_3, sel::DATA3),
        (Kind::Protected, 0) => (sel::CODE0, sel::DATA0),
        (Kind::Protected, 1) => (sel::CODE1 | 1, sel::DATA1 | 1),
        (Kind::Protected, _) => (sel::CODE3, sel::DATA3),
    };
    let real = kind == Kind::Real;
    Case {
        name: name.to_owned(),
        kind,
        code: (cs, if real { 0 } else { CODE.into() }),
        stack: (ss, if real { 0x2800 } else { STACK.into() }),
        flags: 2,
        data: [ss; 4],
        gpr: [0xa0a0, 0xc0c0, 0xd0d0, if real { 0x5000 } else { DATA.into() }],
        cr0: 0,
        cr4: 0,
        debug: [0, 0, 0x400],
        patches: vec![bytes(CODE, &[code, &[0xcd, 0x41]].concat())],
    }
}

/// Protected mode at CPL 0, and at CPL 3.
fn p0(name: &str, code: &[u8]) -> Case {
    case(name, Kind::Protected, 0, code)
}

fn p3(name: &str, code: &[u8]) -> Case {
    case(name, Kind::Protected, 3, code)
}

/// 64-bit mode at CPL 0, and at CPL 3.
fn l0(name: &str, code: &[u8]) -> Case {
    case(name, Kind::Long, 0, code)
}

fn l3(name: &str, code: &[u8]) -> Case {
    case(name, Kind::Long, 3, code)
}

/// Compatibility mode of 32 bits at CPL 0, and at CPL 3.
fn c0(name: &str, code: &[u8]) -> Case {
    Case { code: (sel::CODE0, CODE.into()), ..l0(name, code) }
}

fn c3(name: &str, code: &[u8]) -> Case {
    Case { code: (sel::CODE3, CODE.into()), ..l3(name, code) }
}

fn real(name: &str, code: &[u8]) -> Case {
    case(name, Kind::Real, 0, code)
}

/// Virtual-8086 mode.
fn v86(name: &str, code: &[u8]) -> Case {
    let real = case(name, Kind::Real, 0, code);
    Case { kind: Kind::Protected, flags: VM | 2, ..real }
}

/// `bytes` at a linear address.
fn bytes(at: u32, bytes: &[u8]) -> Patch {
    Patch { at, bytes: bytes.to_vec() }
}

impl Case {
    fn put(mut self, at: u32, value: u64, size: usize) -> Case {
        self.patches.push(super::world::word(at, value, size));
        self
    }

    /// A descriptor in the GDT.
    fn descriptor(self, selector: u16, value: u64) -> Case {
        self.put(GDT + u32::from(selector & !7), value, 8)
    }

    /// Entries on the stack, the lowest first.
    fn stacked(mut self, size: usize, entries: &[u64]) -> Case {
        let all: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()[..size].to_vec()).collect();
        self.patches.push(bytes(STACK, &all));
        self
    }

    fn ax(mut self, value: u16) -> Case {
        self.gpr[0] = value.into();
        self
    }

    fn flags(mut self, bits: u32) -> Case {
        self.flags |= bits;
        self
    }

    fn cr4(mut self, bits: u32) -> Case {
        self.cr4 |= bits;
        self
    }

    fn cr0(mut self, bits: u32) -> Case {
        self.cr0 |= bits;
        self
    }

    /// DR0, DR1 and DR7.
    fn breakpoints(mut self, dr0: u32, dr1: u32, dr7: u32) -> Case {
        self.debug = [dr0, dr1, dr7 | 0x400];
        self
    }

    /// The page of this linear address has these low bits in its entry: 7 is present, writable, the user's.
    fn page(self, at: u32, bits: u32) -> Case {
        let size = if self.kind == Kind::Long { 8 } else { 4 };
        self.put(PAGES + (at >> 12) * size, (at & !0xfff | bits).into(), 4)
    }

    fn on_stack(mut self, selector: u16, pointer: u64) -> Case {
        self.stack = (selector, pointer);
        self
    }

    fn in_code(mut self, selector: u16, pointer: u64) -> Case {
        self.code = (selector, pointer);
        self
    }
}

/// A far pointer behind an opcode: 32-bit offset and selector.
fn far(opcode: u8, offset: u32, selector: u16) -> Vec<u8> {
    [&[opcode][..], &offset.to_le_bytes(), &selector.to_le_bytes()].concat()
}

/// The same of 16 bits.
fn far16(opcode: u8, offset: u16, selector: u16) -> Vec<u8> {
    [&[opcode][..], &offset.to_le_bytes(), &selector.to_le_bytes()].concat()
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut all = vec![
        real("real mode comes to a handler", &[]),
        p0("protected mode at CPL 0 comes to a handler", &[]),
        p3("protected mode at CPL 3 comes to a handler", &[]),
        v86("virtual-8086 mode comes to a handler", &[0xf4]),
        l0("64-bit mode at CPL 0 comes to a handler", &[]),
        l3("64-bit mode at CPL 3 comes to a handler", &[]),
        c0("compatibility mode at CPL 0 comes to a handler", &[]),
        c3("compatibility mode at CPL 3 comes to a handler", &[]),
    ];
    all.extend(far::segments());
    all.extend(far::transfers());
    all.extend(far::returns());
    all.extend(events::interrupts());
    all.extend(events::irets());
    all.extend(events::deliveries());
    all.extend(debug::all());
    all.extend(tasks::all());
    all.extend(shadow::all());
    all
}
