//! `adapt::vm_memory` over rust-vmm's own memory: placement, dirty pages, locked operations, devices, and a guest with
//! page tables on top.

#![allow(missing_docs)]

use encore86::adapt::vm_memory::{Device, GuestBus, RangeError};
use encore86::cpu::registers::cr0;
use encore86::paging::{Limits, Paging};
use encore86::{Access, AccessKind, Bus, Cpu, Engine, Event, Outcome, Platform, Profile, Stop};
use vm_memory::bitmap::{AtomicBitmap, Bitmap};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MmapRegion};

type Memory = GuestMemoryMmap<AtomicBitmap>;

/// Two regions side by side, and one further up.
fn memory() -> Memory {
    let ranges = [(GuestAddress(0), 0x8000), (GuestAddress(0x8000), 0x4000), (GuestAddress(0x10_0000), 0x2000)];
    Memory::from_ranges(&ranges).unwrap()
}

/// Pages that are dirty, by address.
fn dirty(memory: &Memory) -> Vec<u64> {
    let pages = memory.iter().flat_map(|region| {
        let len = region.len() as usize;
        let bitmap = region.bitmap();
        let pages: Vec<u64> = (0..len).step_by(4096).filter(|&at| bitmap.dirty_at(at)).map(|at| at as u64).collect();
        pages.into_iter().map(move |at| region.start_addr().0 + at)
    });
    pages.collect()
}

fn at(bytes: &[u8], memory: &Memory, at: u64) {
    memory.write_slice(bytes, GuestAddress(at)).unwrap();
    clean(memory);
}

/// What the test itself lays out is not the guest's.
fn clean(memory: &Memory) {
    memory.iter().for_each(|region| MmapRegion::bitmap(region).reset());
}

/// Keeps what is written, says what was asked for, and answers later as often as it is told.
#[derive(Default)]
struct Registers {
    bytes: [u8; 16],
    calls: Vec<(char, u64, usize)>,
    width: Option<u8>,
    later: u32,
}

impl Registers {
    fn called(&mut self, what: char, offset: u64, len: usize) -> Result<(), Stop> {
        if self.later > 0 {
            self.later -= 1;
            return Err(Stop::Retry);
        }
        self.calls.push((what, offset, len));
        Ok(())
    }
}

impl Device for Registers {
    fn read(&mut self, offset: u64, data: &mut [u8], _: &Access) -> Result<(), Stop> {
        self.called('r', offset, data.len())?;
        (offset..).zip(data).for_each(|(at, byte)| *byte = self.bytes[at as usize % 16]);
        Ok(())
    }

    fn write(&mut self, offset: u64, data: &[u8], _: &Access) -> Result<(), Stop> {
        self.called('w', offset, data.len())?;
        (offset..).zip(data).for_each(|(at, byte)| self.bytes[at as usize % 16] = *byte);
        Ok(())
    }

    fn greatest_width(&self) -> u8 {
        self.width.unwrap_or(8)
    }
}

const READ: Access = Access::read(4, 0);
const WRITE: Access = Access::write(4, 0);
const LOCKED: Access = Access { locked: true, ..Access::new(AccessKind::Rmw, 4, 0) };
const DEVICE: u64 = 0xd000_0000;

#[test]
fn ram_is_read_written_and_marked() {
    let memory = memory();
    at(&[1, 2, 3, 4, 5, 6, 7, 8], &memory, 0x1000);
    let mut bus = GuestBus::new(&memory);
    for len in [1, 2, 3, 4, 8] {
        let mut buf = [0; 8];
        bus.read(0x1000, &mut buf[..len], &READ).unwrap();
        assert_eq!(buf[..len], [1, 2, 3, 4, 5, 6, 7, 8][..len]);
    }
    bus.probe(0x1000, 4, &WRITE).unwrap();
    assert!(bus.ram(0x1000, 4, &READ).unwrap().is_some());
    assert!(dirty(&memory).is_empty(), "nothing was written");
    bus.write(0x2002, &[9; 4], &WRITE).unwrap();
    bus.write(0x10_1ffc, &[8; 4], &WRITE).unwrap();
    assert_eq!(dirty(&memory), [0x2000, 0x10_1000]);
    bus.ram(0x3008, 4, &LOCKED).unwrap().unwrap().store(&[7; 4]);
    assert_eq!(dirty(&memory), [0x2000, 0x3000, 0x10_1000], "a grant for writing");
    assert_eq!(memory.read_obj::<u32>(GuestAddress(0x2002)).unwrap(), 0x0909_0909);
    assert_eq!(memory.read_obj::<u32>(GuestAddress(0x3008)).unwrap(), 0x0707_0707);
    assert!(bus.takes_blocks(0x4000, 512, &READ));
}

#[test]
fn what_is_nowhere_reads_all_ones_and_drops_writes() {
    let memory = memory();
    let mut bus = GuestBus::new(&memory);
    for place in [0xc000, 0x0f_fffc, 0x10_2000, DEVICE, 1 << 51, u64::MAX - 3] {
        let mut buf = [0; 4];
        bus.read(place, &mut buf, &READ).unwrap();
        assert_eq!(buf, [0xff; 4], "{place:#x}");
        bus.write(place, &[0; 4], &WRITE).unwrap();
        assert!(bus.ram(place, 4, &LOCKED).unwrap().is_none() && !bus.takes_blocks(place, 4, &READ));
    }
    assert!(dirty(&memory).is_empty());
    let mut rest = Registers::default();
    let mut bus = GuestBus::new(&memory);
    bus.otherwise(&mut rest);
    bus.write(0xc004, &[5; 4], &WRITE).unwrap();
    bus.read(0x8000, &mut [0; 4], &READ).unwrap();
    assert_eq!(rest.calls, [('w', 0xc004, 4)]);
}

#[test]
fn accesses_of_several_places_come_in_pieces_of_one_each() {
    let memory = memory();
    let mut device = Registers::default();
    let mut bus = GuestBus::new(&memory);
    bus.map(0xc002, 6, &mut device).unwrap();
    let mut wanted = |at, len: usize| bus.read(at, &mut vec![0; len], &Access::read(len as u16, 0));
    assert_eq!(wanted(0x7ffc, 8), Err(Stop::TooWide(4)), "two regions of RAM");
    assert_eq!(wanted(0x7fff, 8), Err(Stop::TooWide(1)));
    assert_eq!(wanted(0xbffc, 6), Err(Stop::TooWide(4)), "RAM and nothing");
    assert_eq!(wanted(0xc000, 4), Err(Stop::TooWide(2)), "nothing and a device");
    assert_eq!(wanted(0xc002, 8), Err(Stop::TooWide(2)), "a device and nothing");
    assert_eq!(wanted(0xc002, 16), Err(Stop::TooWide(2)));
    assert_eq!(wanted(0x0f_ffc0, 128), Err(Stop::TooWide(64)), "nothing and RAM");
    assert_eq!(wanted(u64::MAX - 1, 4), Err(Stop::TooWide(2)), "the end of the address space");
    assert_eq!(wanted(0xc002, 2), Ok(()));
    assert_eq!(device.calls, [('r', 0, 2)]);
}

#[test]
fn a_device_hides_ram_and_has_its_greatest_width() {
    let memory = memory();
    let (mut first, mut second) = (Registers { width: Some(2), ..Registers::default() }, Registers::default());
    let mut bus = GuestBus::new(&memory);
    bus.map(0x1000, 16, &mut first).unwrap();
    bus.map(0x1010, 16, &mut second).unwrap();
    assert_eq!(bus.write(0x1004, &[1; 4], &WRITE), Err(Stop::TooWide(2)));
    bus.write(0x1004, &[1; 2], &WRITE).unwrap();
    bus.write(0x101c, &[2; 4], &WRITE).unwrap();
    assert!(bus.ram(0x1004, 4, &LOCKED).unwrap().is_none());
    let fetch = Access::new(AccessKind::Fetch, 1, 0);
    assert_eq!(bus.fetch(0x0ffd, &mut [0; 15], &fetch), Ok(3), "RAM before the device");
    assert_eq!(bus.fetch(0x1000, &mut [0; 15], &fetch), Ok(1), "one byte of it");
    assert_eq!(bus.fetch(0x7ffa, &mut [0; 15], &fetch), Ok(6), "a region's end");
    let mut buf = [0; 15];
    assert_eq!(bus.fetch(DEVICE, &mut buf, &fetch), Ok(15));
    assert_eq!(buf, [0xff; 15]);
    assert_eq!(first.calls, [('w', 4, 2), ('r', 0, 1)]);
    assert_eq!(second.calls, [('w', 12, 4)]);
    assert!(dirty(&memory).is_empty());
}

#[test]
fn a_peek_knows_ram_and_nowhere_and_asks_no_device() {
    let memory = memory();
    at(&[1, 2, 3, 4], &memory, 0x2000);
    let mut device = Registers::default();
    let mut bus = GuestBus::new(&memory);
    bus.map(0x3000, 16, &mut device).unwrap();
    let mut buf = [0; 4];
    assert!(bus.peek(0x2000, &mut buf));
    assert_eq!(buf, [1, 2, 3, 4]);
    assert!(bus.peek(0x9_0000, &mut buf));
    assert_eq!(buf, [0xff; 4], "nowhere");
    assert!(!bus.peek(0x3000, &mut buf) && !bus.peek(0x2ffe, &mut buf));
    assert!(dirty(&memory).is_empty() && device.calls.is_empty());
}

#[test]
fn ranges_of_devices_are_checked() {
    let memory = memory();
    let mut devices: Vec<Registers> = (0..7).map(|_| Registers::default()).collect();
    let [a, b, c, d, e, f, g] = &mut devices[..] else { unreachable!() };
    let mut bus = GuestBus::new(&memory);
    bus.map(0x1000, 0x1000, a).unwrap();
    assert_eq!(bus.map(0x1fff, 1, b), Err(RangeError::Taken { at: 0x1fff, by: 0x1000 }));
    assert_eq!(bus.map(0xfff, 2, c), Err(RangeError::Taken { at: 0xfff, by: 0x1000 }));
    assert_eq!(bus.map(0, u64::MAX, d), Err(RangeError::Taken { at: 0, by: 0x1000 }));
    assert_eq!(bus.map(5, 0, e), Err(RangeError::Empty));
    assert_eq!(bus.map(u64::MAX, 2, f), Err(RangeError::Beyond { at: u64::MAX }));
    bus.map(0, 0x1000, g).unwrap();
    assert_eq!(format!("{bus:?}"), "GuestBus { platform: NoPlatform, devices: [0..=4095, 4096..=8191], .. }");
}

/// Ports that answer.
struct Ports;

impl Platform for Ports {
    fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        buf.fill(port as u8);
        Ok(())
    }
}

#[test]
fn the_platform_is_the_one_given() {
    let memory = memory();
    let mut bus = GuestBus::new(&memory);
    assert!(matches!(bus.port_in(0x80, &mut [0]), Err(Stop::NotProvided(_))));
    let mut bus = bus.with_platform(Ports);
    let mut value = [0];
    bus.port_in(0x42, &mut value).unwrap();
    assert_eq!(value, [0x42]);
}

/// Code at linear 0x40_0000, data behind it, the device at its own address; everything by page tables at 0x1000 on.
fn guest(code: &[u8]) -> (Memory, Cpu) {
    let memory = memory();
    let table = |at: u64, index: u64, entry: u64| memory.write_obj(entry, GuestAddress(at + 8 * index)).unwrap();
    table(0x1000, 0, 0x2007);
    table(0x2000, 0, 0x3007);
    table(0x2000, 3, 0x5007);
    table(0x3000, 2, 0x4007);
    table(0x4000, 0, 0x6007);
    table(0x4000, 1, 0x10_0007);
    table(0x4000, 2, 0x10_1005);
    table(0x5000, 0x80, DEVICE | 0x87);
    at(code, &memory, 0x6000);
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr0 |= cr0::PG | cr0::WP;
        s.cr3 = 0x1000;
    });
    cpu.rip = 0x40_0000;
    cpu.gpr[3] = 0x40_1000;
    (memory, cpu)
}

#[test]
fn a_guest_with_page_tables() {
    // LOCK XADD [RBX], EAX; MOV [RBX + 8], RAX; MOV [RBX + 0x1000], EAX
    let (memory, mut cpu) = guest(&[0xf0, 0x0f, 0xc1, 0x03, 0x48, 0x89, 0x43, 0x08, 0x89, 0x83, 0, 0x10, 0, 0]);
    memory.write_obj(0x1111_1111u32, GuestAddress(0x10_0000)).unwrap();
    clean(&memory);
    let profile = Profile::host();
    let mut paging = Paging::new(GuestBus::new(&memory), Limits::new(&profile));
    let mut engine = Engine::integer_only(profile);
    cpu.gpr[0] = 0x2222_2222;
    let mut step = |cpu: &mut Cpu| {
        paging.load(cpu).unwrap();
        engine.step(cpu, &mut paging)
    };
    assert!(matches!(step(&mut cpu), Outcome::Completed(_)));
    assert_eq!(memory.read_obj::<u32>(GuestAddress(0x10_0000)).unwrap(), 0x3333_3333);
    assert_eq!(cpu.gpr[0], 0x1111_1111);
    assert_eq!(dirty(&memory), [0x1000, 0x2000, 0x3000, 0x4000, 0x10_0000], "A and D bits dirty the tables");
    assert_eq!(memory.read_obj::<u64>(GuestAddress(0x4008)).unwrap(), 0x10_0067);
    assert!(matches!(step(&mut cpu), Outcome::Completed(_)));
    assert_eq!(memory.read_obj::<u64>(GuestAddress(0x10_0008)).unwrap(), 0x1111_1111);
    let fault = step(&mut cpu);
    assert_eq!(fault, Outcome::Exception(Event::pf(3, 0x40_2000, "the page is read-only")));
    assert!(!dirty(&memory).contains(&0x10_1000));
}

#[test]
fn a_device_answers_later_and_sees_each_access_once() {
    // ADD [RBX], RAX, with a device of 4 bytes that has to be asked twice.
    let (memory, mut cpu) = guest(&[0x48, 0x01, 0x03]);
    let mut device = Registers { width: Some(4), later: 1, bytes: [1; 16], ..Registers::default() };
    let mut bus = GuestBus::new(&memory);
    bus.map(DEVICE, 16, &mut device).unwrap();
    let profile = Profile::host();
    let mut paging = Paging::new(bus, Limits::new(&profile));
    let mut engine = Engine::integer_only(profile);
    paging.load(&cpu).unwrap();
    cpu.gpr[0] = 1;
    cpu.gpr[3] = DEVICE + 8;
    assert_eq!(engine.step(&mut cpu, &mut paging), Outcome::Retry);
    assert!(matches!(engine.step(&mut cpu, &mut paging), Outcome::Completed(_)));
    assert_eq!(device.calls, [('r', 8, 4), ('r', 12, 4), ('w', 8, 4), ('w', 12, 4)]);
    assert_eq!(device.bytes[8..], [2, 1, 1, 1, 1, 1, 1, 1]);
}

/// What a torn store would show: half of one value and half of another.
#[test]
fn aligned_accesses_are_whole() {
    let memory = memory();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut bus = GuestBus::new(&memory);
            for i in 0..200_000u64 {
                let value = if i % 2 == 0 { 0 } else { u64::MAX };
                bus.write(0x1000, &value.to_le_bytes(), &Access::write(8, 0)).unwrap();
            }
        });
        let mut bus = GuestBus::new(&memory);
        while !writer.is_finished() {
            let mut buf = [0; 8];
            bus.read(0x1000, &mut buf, &Access::read(8, 0)).unwrap();
            let value = u64::from_le_bytes(buf);
            assert!(value == 0 || value == u64::MAX, "torn: {value:#x}");
        }
    });
}
