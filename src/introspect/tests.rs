use super::{Clock, Discard, Forbids, Overlay, Protect, Record, Recorded, What};
use crate::bus::{Access, AccessKind, Bus, CacheOp, Invalidation, Modify, Platform, Vmm};
use crate::event::{Event, Outcome, Retired, Stop};
use crate::host::{CodePage, HostRam};
use crate::paging::{Limits, Paging};
use crate::profile::{CpuidResult, Profile};
use crate::{Cpu, EventKind};
use core::ptr::NonNull;

/// A page of RAM at 0x1000 that writes down every call; addresses from 0x1800 on may not be written.
struct Mock {
    ram: Vec<u8>,
    calls: Vec<&'static str>,
    kinds: Vec<AccessKind>,
    answer: Result<(), Stop>,
}

impl Mock {
    fn new() -> Mock {
        let ram = (0..4096u32).map(|i| i as u8).collect();
        Mock { ram, calls: Vec::new(), kinds: Vec::new(), answer: Ok(()) }
    }

    fn called(&mut self, name: &'static str, access: &Access) {
        self.calls.push(name);
        self.kinds.push(access.kind);
    }

    fn check(&self, linear: u64, access: &Access) -> Result<(), Stop> {
        if access.writes() && linear >= 0x1800 {
            return Err(Event::pf(3, linear, "read-only").into());
        }
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
impl Bus for Mock {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        self.called("fetch", access);
        let at = linear as usize - 0x1000;
        buf.copy_from_slice(&self.ram[at..at + 15]);
        Ok(15)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        self.called("read", access);
        self.answer?;
        self.check(linear, access)?;
        let at = linear as usize - 0x1000;
        buf.copy_from_slice(&self.ram[at..at + buf.len()]);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        self.called("write", access);
        self.answer?;
        self.check(linear, access)?;
        let at = linear as usize - 0x1000;
        self.ram[at..at + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, linear: u64, _len: usize, access: &Access) -> Result<(), Stop> {
        self.called("probe", access);
        self.check(linear, access)
    }

    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        self.called("rmw", access);
        let at = linear as usize - 0x1000;
        let cell = &mut self.ram[at..at + old.len()];
        old.copy_from_slice(cell);
        modify(old, cell);
        Ok(true)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.called("ram", access);
        let at = linear as usize - 0x1000;
        let place = NonNull::new(self.ram[at..at + len].as_mut_ptr()).unwrap();
        // SAFETY: the range lies in `ram`, which stays borrowed for as long as the grant lives.
        Ok(Some(unsafe { HostRam::new(place, len) }))
    }

    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.called("ram_across", access);
        self.calls.pop();
        self.ram(linear, len, access)
    }

    fn code(&mut self, _linear: u64, access: &Access) -> Result<Option<CodePage>, Stop> {
        self.called("code", access);
        Ok(None)
    }

    fn generation(&self) -> u64 {
        5
    }

    fn follow(&mut self, _cpu: &Cpu) -> Result<(), Stop> {
        self.calls.push("follow");
        Ok(())
    }

    fn enqueue(&mut self, _linear: u64, _command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        self.called("enqueue", access);
        Ok(true)
    }

    fn peek(&mut self, linear: u64, buf: &mut [u8]) -> bool {
        self.calls.push("peek");
        let at = linear as usize - 0x1000;
        buf.copy_from_slice(&self.ram[at..at + buf.len()]);
        true
    }

    fn takes_blocks(&mut self, _linear: u64, _len: usize, access: &Access) -> bool {
        self.called("takes_blocks", access);
        true
    }
}

#[deny(clippy::missing_trait_methods)]
impl Platform for Mock {
    fn read_counter(&mut self, _index: u32) -> Result<u64, Stop> {
        self.calls.push("read_counter");
        Ok(81)
    }

    fn invalidate(&mut self, _what: Invalidation) -> Result<(), Stop> {
        self.calls.push("invalidate");
        Ok(())
    }

    fn paging(&mut self, _next: &crate::cpu::System, _keeps: bool) -> Result<(), Stop> {
        self.calls.push("paging");
        Ok(())
    }

    fn stop_others(&mut self) -> Result<(), Stop> {
        self.calls.push("stop_others");
        Ok(())
    }

    fn resume_others(&mut self) {
        self.calls.push("resume_others");
    }

    fn port_in(&mut self, _port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        self.calls.push("port_in");
        buf.fill(0x55);
        Ok(())
    }

    fn port_out(&mut self, _port: u16, _data: &[u8]) -> Result<(), Stop> {
        self.calls.push("port_out");
        Ok(())
    }

    fn cpuid(&mut self, _leaf: u32, _subleaf: u32, _answer: CpuidResult) -> Result<CpuidResult, Stop> {
        self.calls.push("cpuid");
        Ok(CpuidResult { eax: 77, ..CpuidResult::default() })
    }

    fn read_msr(&mut self, _index: u32) -> Result<u64, Stop> {
        self.calls.push("read_msr");
        Ok(78)
    }

    fn write_msr(&mut self, _index: u32, _value: u64) -> Result<(), Stop> {
        self.calls.push("write_msr");
        Ok(())
    }

    fn time(&mut self) -> Result<u64, Stop> {
        self.calls.push("time");
        Ok(79)
    }

    fn random(&mut self) -> Result<Option<u64>, Stop> {
        self.calls.push("random");
        Ok(Some(80))
    }

    fn cache(&mut self, _op: CacheOp, _linear: u64) -> Result<(), Stop> {
        self.calls.push("cache");
        Ok(())
    }

    fn ferr(&mut self) -> Result<(), Stop> {
        self.calls.push("ferr");
        Ok(())
    }

    fn progress(&mut self, _completed: u64) {
        self.calls.push("progress");
    }

    fn interrupt_pending(&mut self) -> bool {
        self.calls.push("interrupt_pending");
        true
    }

    fn load_state(&mut self, _cpu: &mut Cpu, _components: u64) -> Result<(), Stop> {
        self.calls.push("load_state");
        Ok(())
    }

    fn host_fpu_begin(&mut self) {
        self.calls.push("host_fpu_begin");
    }

    fn host_fpu_end(&mut self) {
        self.calls.push("host_fpu_end");
    }
}

const READ: Access = Access::read(4, 3);
const WRITE: Access = Access::write(4, 3);
const READ_FOR_WRITE: Access = Access::new(AccessKind::ReadForWrite, 4, 3);
const LOCKED: Access = Access { locked: true, ..Access::new(AccessKind::Rmw, 4, 0) };

fn piece(access: Access, element: u16, offset: u16) -> Access {
    Access { element, offset, ..access }
}

fn done() -> Outcome {
    Outcome::Completed(Retired::default())
}

/// Calls each method of both traits once and checks what comes back.
fn call_everything(vmm: &mut impl Vmm) {
    let access = Access { implicit: true, ..READ };
    assert_eq!(vmm.fetch(0x1000, &mut [0; 15], &Access::new(AccessKind::Fetch, 1, 0)), Ok(15));
    let mut buf = [0; 4];
    assert_eq!(vmm.read(0x1004, &mut buf, &access), Ok(()));
    assert_eq!(buf, [4, 5, 6, 7]);
    assert_eq!(vmm.write(0x1004, &[9; 4], &Access { implicit: true, ..WRITE }), Ok(()));
    assert_eq!(vmm.probe(0x1900, 4, &WRITE), Err(Event::pf(3, 0x1900, "read-only").into()));
    let rmw = Access { implicit: true, ..LOCKED };
    assert_eq!(vmm.rmw(0x1010, &mut buf, &mut |_, new| new.fill(1), &rmw), Ok(true));
    assert!(vmm.ram(0x1010, 4, &rmw).unwrap().is_some());
    assert!(vmm.code(0x1000, &access).unwrap().is_none());
    assert_eq!(vmm.generation(), 5);
    assert_eq!(vmm.follow(&Cpu::new()), Ok(()));
    assert_eq!(vmm.enqueue(0x1040, &[1; 64], &Access { implicit: true, ..WRITE }), Ok(true));
    assert!(vmm.peek(0x1104, &mut buf));
    assert_eq!(buf, [4, 5, 6, 7]);
    let _ = vmm.takes_blocks(0x1000, 64, &access);
    assert_eq!(vmm.port_in(1, &mut buf), Ok(()));
    assert_eq!(buf, [0x55; 4]);
    assert_eq!(vmm.port_out(1, &[1]), Ok(()));
    assert_eq!(vmm.cpuid(0, 0, CpuidResult::default()).unwrap().eax, 77);
    assert_eq!(vmm.read_msr(1), Ok(78));
    assert_eq!(vmm.write_msr(1, 2), Ok(()));
    assert_eq!(vmm.time(), Ok(79));
    assert_eq!(vmm.random(), Ok(Some(80)));
    assert_eq!(vmm.read_counter(1), Ok(81));
    assert_eq!(vmm.invalidate(Invalidation::Page(0x1000)), Ok(()));
    assert_eq!(vmm.paging(Cpu::new().system(), false), Ok(()));
    assert_eq!(vmm.cache(CacheOp::Flush, 0x1000), Ok(()));
    assert_eq!(vmm.ferr(), Ok(()));
    assert_eq!(vmm.stop_others(), Ok(()));
    vmm.resume_others();
    vmm.progress(1);
    assert!(vmm.interrupt_pending());
    assert_eq!(vmm.load_state(&mut Cpu::new(), 1), Ok(()));
    vmm.host_fpu_begin();
    vmm.host_fpu_end();
}

const EVERY_METHOD: [&str; 30] = [
    "fetch",
    "read",
    "write",
    "probe",
    "rmw",
    "ram",
    "code",
    "follow",
    "enqueue",
    "peek",
    "takes_blocks",
    "port_in",
    "port_out",
    "cpuid",
    "read_msr",
    "write_msr",
    "time",
    "random",
    "read_counter",
    "invalidate",
    "paging",
    "cache",
    "ferr",
    "stop_others",
    "resume_others",
    "progress",
    "interrupt_pending",
    "load_state",
    "host_fpu_begin",
    "host_fpu_end",
];

/// Without those that an adaptor answers by itself.
fn all_but(answered: &[&str]) -> Vec<&'static str> {
    EVERY_METHOD.into_iter().filter(|method| !answered.contains(method)).collect()
}

#[test]
fn no_adaptor_loses_a_method() {
    let mut mock = Mock::new();
    call_everything(&mut mock);
    assert_eq!(mock.calls, EVERY_METHOD, "the list of methods itself");

    let mut mock = Mock::new();
    call_everything(&mut (&mut mock as &mut dyn Vmm));
    assert_eq!(mock.calls, EVERY_METHOD, "&mut dyn Vmm");

    let mut discard = Discard::new(Mock::new());
    call_everything(&mut discard);
    assert_eq!(discard.inner().calls, EVERY_METHOD, "Discard");

    let mut overlay = Overlay::new(Mock::new(), vec![(0x1000, vec![0xee; 64])]);
    call_everything(&mut overlay);
    assert_eq!(overlay.inner().calls, all_but(&["code"]), "Overlay");

    let mut protect = Protect::new(Mock::new(), vec![(0x1f00..0x2000, Forbids::ALL)]);
    call_everything(&mut protect);
    assert_eq!(protect.inner().calls, all_but(&["code"]), "Protect");

    let mut paging = Paging::new(Mock::new(), Limits::new(&Profile::all()));
    call_everything(&mut paging);
    assert_eq!(paging.inner().calls, EVERY_METHOD, "Paging");

    let mut record = Record::new(Mock::new());
    call_everything(&mut record);
    assert_eq!(record.inner().calls, all_but(&["takes_blocks", "code"]), "Record");
}

#[test]
fn a_peek_sees_what_a_read_would_and_makes_none() {
    let mut buf = [0; 4];
    let mut overlay = Overlay::new(Mock::new(), vec![(0x1002, vec![0xaa, 0xbb])]);
    assert!(overlay.peek(0x1000, &mut buf));
    assert_eq!(buf, [0, 1, 0xaa, 0xbb]);
    assert!(overlay.peek(0x1002, &mut buf[..2]));
    assert_eq!(buf[..2], [0xaa, 0xbb]);
    assert_eq!(overlay.inner().calls, ["peek"], "what is laid over is not asked for");
    let mut protect = Protect::new(Mock::new(), vec![(0x1000..0x2000, Forbids::ALL)]);
    assert!(protect.peek(0x1000, &mut buf), "a filter sees what the guest must not");
    assert_eq!(protect.take_denied(), None);
}

#[test]
fn protected_ranges_by_what_they_forbid() {
    const IMPLICIT: Access = Access { implicit: true, ..READ };
    const FETCH: Access = Access::new(AccessKind::Fetch, 1, 3);
    let denied = Err(Stop::Caller(Protect::<()>::DENIED));
    let reads = Forbids { reads: true, ..Forbids::default() };
    let mut bus = Protect::new(Mock::new(), vec![(0x1100..0x1200, Forbids::WRITES), (0x1200..0x1300, reads)]);
    let mut buf = [0; 4];
    assert_eq!(bus.write(0x10fd, &buf, &WRITE), denied, "its last byte lies in the range");
    assert_eq!(bus.take_denied().map(|d| (d.at, d.len)), Some((0x10fd, 4)));
    assert_eq!(bus.write(0x10fc, &buf, &WRITE), Ok(()));
    assert_eq!(bus.read(0x1100, &mut buf, &READ), Ok(()));
    assert_eq!(bus.read(0x1100, &mut buf, &READ_FOR_WRITE), denied);
    assert_eq!(bus.probe(0x1100, 4, &WRITE), denied);
    assert_eq!(bus.read(0x1200, &mut buf, &READ), denied);
    assert_eq!(bus.read(0x1200, &mut buf, &READ_FOR_WRITE), denied);
    assert_eq!(bus.write(0x1200, &buf, &WRITE), Ok(()));
    assert_eq!(bus.rmw(0x1200, &mut buf, &mut |_, _| {}, &LOCKED), denied.map(|()| true));
    assert!(bus.ram(0x1200, 4, &LOCKED).is_err() && bus.ram(0x1100, 4, &READ).is_ok());
    assert!(!bus.takes_blocks(0x11f0, 0x20, &READ) && bus.takes_blocks(0x10f0, 0x20, &READ));
    assert_eq!(bus.fetch(0x1200, &mut [0; 15], &FETCH), Ok(15));
    assert_eq!(bus.read(0x1200, &mut buf, &IMPLICIT), Ok(()), "not unless it is told to");
    let mut bus =
        Protect::new(Mock::new(), vec![(0x1200..0x1300, reads), (0x1000..0x1008, Forbids::ALL)]).implicit(true);
    assert_eq!(bus.read(0x1200, &mut buf, &IMPLICIT), denied);
    assert_eq!(bus.fetch(0x1000, &mut [0; 15], &FETCH), denied.map(|()| 0));
}

#[test]
fn discarded_writes_fault_as_they_would_and_change_nothing() {
    let mut bus = Discard::new(Mock::new());
    assert_eq!(bus.write(0x1000, &[9; 4], &WRITE), Ok(()));
    assert_eq!(bus.write(0x1800, &[9; 4], &WRITE), Err(Event::pf(3, 0x1800, "read-only").into()));
    let mut buf = [0; 4];
    assert_eq!(bus.read(0x1000, &mut buf, &READ_FOR_WRITE), Ok(()));
    assert_eq!(buf, [0, 1, 2, 3]);
    assert!(bus.read(0x1800, &mut buf, &READ_FOR_WRITE).is_err(), "the right to write comes before the load");
    assert!(bus.ram(0x1000, 4, &LOCKED).unwrap().is_none());
    assert!(bus.ram(0x1000, 4, &READ).unwrap().is_some());
    let mut called = false;
    assert_eq!(bus.rmw(0x1000, &mut buf, &mut |_, _| called = true, &LOCKED), Ok(false));
    assert!(!called);
    let mock = bus.inner();
    assert_eq!(mock.ram, Mock::new().ram);
    assert!(!mock.calls.contains(&"write"));
    let loads: Vec<_> = mock.calls.iter().zip(&mock.kinds).filter(|(c, _)| **c == "read").map(|(_, k)| *k).collect();
    assert_eq!(loads, [AccessKind::Read], "a load that dirties nothing");
}

#[test]
fn a_range_is_shut_and_the_rest_is_open() {
    let mut bus = Discard::within(Mock::new(), 0x1010..=0x101f);
    for (at, dropped) in [(0x100c, false), (0x100d, true), (0x1010, true), (0x101f, true), (0x1020, false)] {
        bus.inner().calls.clear();
        assert_eq!(bus.write(at, &[9; 4], &WRITE), Ok(()), "{at:#x}");
        assert_eq!(bus.inner().calls, [if dropped { "probe" } else { "write" }], "{at:#x}");
        assert_eq!(bus.ram(at, 4, &LOCKED).unwrap().is_none(), dropped, "{at:#x}");
        bus.inner().kinds.clear();
        assert_eq!(bus.read(at, &mut [0; 4], &READ_FOR_WRITE), Ok(()));
        assert_eq!(bus.inner().kinds.last() == Some(&AccessKind::Read), dropped, "{at:#x}");
    }
}

#[test]
fn overlays_merge_byte_by_byte_and_spare_implicit_accesses() {
    let mut bus = Overlay::new(Mock::new(), vec![(0x1002, vec![0xaa; 4]), (0x1005, vec![0xbb])]);
    let mut buf = [0; 4];
    let mut read = |bus: &mut Overlay<Mock>, at, access: &Access| {
        bus.read(at, &mut buf, access).unwrap();
        buf
    };
    assert_eq!(read(&mut bus, 0x1000, &READ), [0, 1, 0xaa, 0xaa]);
    assert_eq!(read(&mut bus, 0x1005, &READ), [0xbb, 6, 7, 8]);
    assert_eq!(bus.inner().calls, ["read", "read"]);
    assert_eq!(read(&mut bus, 0x1002, &READ), [0xaa, 0xaa, 0xaa, 0xbb]);
    assert_eq!(bus.inner().calls, ["read", "read", "probe"], "memory is not read where nothing of it is seen");
    assert_eq!(read(&mut bus, 0x1002, &Access { implicit: true, ..READ }), [2, 3, 4, 5]);
    assert_eq!(read(&mut bus, 0x1002, &READ_FOR_WRITE), [0xaa, 0xaa, 0xaa, 0xbb]);
    bus.write(0x1002, &[7; 4], &WRITE).unwrap();
    assert_eq!(bus.inner().ram[2..6], [7; 4], "writes go through");
    assert_eq!(read(&mut bus, 0x1002, &READ), [0xaa, 0xaa, 0xaa, 0xbb], "and are not seen");
    assert!(bus.ram(0x1005, 4, &READ).unwrap().is_none());
    assert!(bus.ram(0x1006, 4, &LOCKED).unwrap().is_some());
    assert_eq!(bus.rmw(0x1005, &mut [0; 4], &mut |_, _| {}, &LOCKED), Ok(false));
    let mut code = [0; 15];
    bus.fetch(0x1002, &mut code, &Access::new(AccessKind::Fetch, 1, 0)).unwrap();
    assert_eq!(code[0], 7, "fetches see memory");
}

fn entry(at: u64, what: What) -> Recorded {
    Recorded { at, what, locked: false, implicit: false, walk: false, order: 0 }
}

/// Entries without their order.
fn plain(mut list: Vec<Recorded>) -> Vec<Recorded> {
    list.iter_mut().for_each(|entry| entry.order = 0);
    list
}

#[test]
fn pieces_are_put_together_and_blocks_taken_apart() {
    let mut bus = Record::new(Mock::new());
    bus.read(0x1000, &mut [0; 8], &READ).unwrap();
    bus.read(0x1010, &mut [0; 2], &piece(READ, 5, 0)).unwrap();
    bus.write(0x1020, &[1, 2], &piece(WRITE, 4, 0)).unwrap();
    bus.write(0x1022, &[3], &piece(WRITE, 4, 2)).unwrap();
    bus.write(0x1023, &[4], &piece(WRITE, 4, 3)).unwrap();
    bus.read(0x1012, &mut [0; 3], &piece(READ, 5, 2)).unwrap();
    bus.port_out(0x80, &[1]).unwrap();
    bus.port_in(0x81, &mut [0; 2]).unwrap();
    bus.settle(&done(), None);
    let expected = [
        entry(0x1000, What::Read(vec![0, 1, 2, 3])),
        entry(0x1004, What::Read(vec![4, 5, 6, 7])),
        entry(0x1010, What::Read(vec![0x10, 0x11, 0x12, 0x13, 0x14])),
        entry(0x1020, What::Write(vec![1, 2, 3, 4])),
        entry(0x80, What::Out(vec![1])),
        entry(0x81, What::In(vec![0x55, 0x55])),
    ];
    assert_eq!(plain(bus.take()), expected);
    assert_eq!(plain(bus.take()), []);
}

#[test]
fn a_load_for_writing_and_its_store_are_one_entry() {
    let mut bus = Record::new(Mock::new());
    bus.read(0x1000, &mut [0; 3], &piece(READ_FOR_WRITE, 4, 0)).unwrap();
    bus.read(0x1003, &mut [0; 1], &piece(READ_FOR_WRITE, 4, 3)).unwrap();
    bus.write(0x1000, &[9; 3], &piece(WRITE, 4, 0)).unwrap();
    bus.write(0x1003, &[9; 1], &piece(WRITE, 4, 3)).unwrap();
    bus.settle(&done(), None);
    assert_eq!(plain(bus.take()), [entry(0x1000, What::Rmw { old: vec![0, 1, 2, 3], new: vec![9; 4] })]);

    // The same bytes read and written by two instructions are two accesses.
    bus.read(0x1000, &mut [0; 4], &READ).unwrap();
    bus.settle(&done(), None);
    bus.write(0x1000, &[8; 4], &WRITE).unwrap();
    bus.settle(&done(), None);
    assert_eq!(plain(bus.take()), [entry(0x1000, What::Read(vec![9; 4])), entry(0x1000, What::Write(vec![8; 4]))]);
}

#[test]
fn locked_operations_show_old_and_new() {
    let locked = |old: [u8; 4], new: [u8; 4]| Recorded {
        at: 0x1004,
        what: What::Rmw { old: old.to_vec(), new: new.to_vec() },
        locked: true,
        implicit: false,
        walk: false,
        order: 0,
    };
    let mut bus = Record::new(Mock::new());
    bus.ram(0x1004, 4, &LOCKED).unwrap().unwrap().store(&[9; 4]);
    bus.settle(&done(), None);
    assert_eq!(plain(bus.take()), [locked([4, 5, 6, 7], [9; 4])]);

    bus.rmw(0x1004, &mut [0; 4], &mut |_, new| new.fill(7), &LOCKED).unwrap();
    bus.settle(&done(), None);
    assert_eq!(plain(bus.take()), [locked([9; 4], [7; 4])]);

    // A grant that is not used, then the way by read and write.
    assert!(bus.ram(0x1004, 4, &LOCKED).unwrap().is_some());
    bus.read(0x1004, &mut [0; 4], &Access { locked: true, ..READ_FOR_WRITE }).unwrap();
    bus.write(0x1004, &[6; 4], &Access { locked: true, ..WRITE }).unwrap();
    bus.settle(&done(), None);
    assert_eq!(plain(bus.take()), [locked([7; 4], [6; 4])]);

    // A grant that a fault made void.
    assert!(bus.ram(0x1004, 4, &LOCKED).unwrap().is_some());
    bus.settle(&Outcome::Exception(Event::gp0("")), None);
    assert_eq!(plain(bus.take()), []);

    assert!(bus.ram(0x1004, 4, &READ).unwrap().is_none(), "what is read by host address would not be seen");
}

#[test]
fn accesses_answered_later_are_listed_once() {
    let mut bus = Record::new(Mock::new()).fetches(true);
    let fetch = Access::new(AccessKind::Fetch, 1, 0);
    bus.fetch(0x1100, &mut [0; 15], &fetch).unwrap();
    bus.read(0x1000, &mut [0; 2], &piece(READ, 4, 0)).unwrap();
    bus.inner().answer = Err(Stop::Retry);
    assert_eq!(bus.read(0x1002, &mut [0; 2], &piece(READ, 4, 2)), Err(Stop::Retry));
    bus.settle(&Outcome::Retry, Some(2));
    bus.inner().answer = Ok(());
    bus.fetch(0x1100, &mut [0; 15], &fetch).unwrap();
    assert!(bus.fetched().is_empty());
    bus.read(0x1002, &mut [0; 2], &piece(READ, 4, 2)).unwrap();
    bus.settle(&done(), Some(2));
    let expected = [entry(0x1100, What::Fetch(vec![0, 1])), entry(0x1000, What::Read(vec![0, 1, 2, 3]))];
    assert_eq!(plain(bus.take()), expected);
}

#[test]
fn fetches_come_in_pieces_and_are_cut_to_the_instruction() {
    let mut bus = Record::new(Mock::new()).fetches(true);
    let fetch = Access::new(AccessKind::Fetch, 1, 0);
    bus.fetch(0x1100, &mut [0; 15], &fetch).unwrap();
    bus.fetch(0x110f, &mut [0; 15], &fetch).unwrap();
    assert_eq!(bus.fetched().len(), 30);
    let unfinished = Retired { rep_unfinished: true, ..Retired::default() };
    bus.settle(&Outcome::Completed(unfinished), Some(3));
    bus.fetch(0x1100, &mut [0; 15], &fetch).unwrap();
    bus.settle(&done(), Some(3));
    assert_eq!(plain(bus.take()), [entry(0x1100, What::Fetch(vec![0, 1, 2]))], "a repetition fetches once");
    bus.fetch(0x1100, &mut [0; 15], &fetch).unwrap();
    bus.settle(&Outcome::Exception(Event::pf(0, 0x110f, "")), Some(0));
    assert_eq!(plain(bus.take()), [], "the fetch has faulted");
    let mut bus = Record::new(Mock::new());
    bus.fetch(0x1100, &mut [0; 15], &fetch).unwrap();
    assert_eq!(plain(bus.take()), [], "not asked for");
}

#[test]
fn faults_leave_only_what_was_complete() {
    let mut bus = Record::new(Mock::new());
    bus.read(0x1000, &mut [0; 4], &READ).unwrap();
    bus.read(0x1010, &mut [0; 2], &piece(READ, 4, 0)).unwrap();
    bus.read(0x1020, &mut [0; 4], &READ_FOR_WRITE).unwrap();
    let fault = Event::pf(2, 0x1800, "");
    bus.settle(&Outcome::Exception(fault), None);
    assert_eq!(plain(bus.take()), [entry(0x1000, What::Read(vec![0, 1, 2, 3]))]);
    bus.write(0x1000, &[1; 4], &WRITE).unwrap();
    bus.settle(&Outcome::Exception(Event { kind: EventKind::Trap, ..fault }), None);
    assert_eq!(plain(bus.take()), [entry(0x1000, What::Write(vec![1; 4]))]);
}

#[test]
fn a_full_list_ends_the_step() {
    let mut bus = Record::new(Mock::new()).limit(2);
    bus.read(0x1000, &mut [0; 4], &READ).unwrap();
    bus.write(0x1000, &[0; 4], &WRITE).unwrap();
    let full = Err(Stop::Caller(Record::<Mock>::FULL));
    assert_eq!(bus.read(0x1000, &mut [0; 4], &READ), full);
    assert_eq!(bus.write(0x1000, &[9; 4], &WRITE), full);
    assert_eq!(bus.port_out(1, &[1]), full);
    assert_eq!(bus.inner().ram[0], 0, "nothing beyond it is done");
}

#[test]
fn adaptors_work_on_top_of_each_other() {
    let mut mock = Mock::new();
    let mut bus = Record::new(Overlay::new(Discard::new(&mut mock), vec![(0x1001, vec![0xaa])]));
    let mut old = [0; 4];
    bus.read(0x1000, &mut old, &READ_FOR_WRITE).unwrap();
    bus.write(0x1000, &[5; 4], &WRITE).unwrap();
    bus.settle(&done(), None);
    assert_eq!(plain(bus.take()), [entry(0x1000, What::Rmw { old: vec![0, 0xaa, 2, 3], new: vec![5; 4] })]);
    assert_eq!(mock.ram, Mock::new().ram);
}

#[test]
fn records_on_both_sides_of_paging_have_one_order() {
    let clock = Clock::default();
    let below = Record::new(Mock::new()).clock(clock.clone());
    let mut above = Record::new(below).clock(clock);
    // A walk marks an entry twice, on host memory, and the access that it serves comes after it.
    let walk = Access { implicit: true, walk: true, ..LOCKED };
    above.inner().read(0x1000, &mut [0; 4], &Access { implicit: true, walk: true, ..READ }).unwrap();
    above.inner().ram(0x1000, 4, &walk).unwrap().unwrap().store(&[8; 4]);
    above.inner().ram(0x1000, 4, &walk).unwrap().unwrap().store(&[9; 4]);
    above.read(0x1004, &mut [0; 4], &READ).unwrap();
    let outcome = Outcome::Exception(Event::pf(0, 0, ""));
    above.settle(&outcome, None);
    above.inner().settle(&outcome, None);
    let list: Vec<_> = above.inner().take();
    let marks = |old: [u8; 4], new: [u8; 4]| What::Rmw { old: old.to_vec(), new: new.to_vec() };
    let what: Vec<_> = list.iter().filter(|e| e.walk).map(|e| (e.order, e.what.clone())).collect();
    assert_eq!(
        what,
        [(0, What::Read(vec![0, 1, 2, 3])), (1, marks([0, 1, 2, 3], [8; 4])), (2, marks([8; 4], [9; 4])),],
        "a fault of the instruction does not undo a walk"
    );
    assert_eq!(list[3].order, 3);
    let above = above.take();
    assert_eq!((above.len(), above[0].order), (1, 4));
}
