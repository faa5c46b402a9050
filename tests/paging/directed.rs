//! What the TLB keeps and what drops it, when A and D are set, and what a walk passes on: one by one.

use super::memory::{Memory, Walked, Ways};
use encore86::paging::{Invpcid, Limits, Paging, error_code};
use encore86::{Access, AccessKind, Bus, Cpu, Profile, Stop, Vendor};
use std::cell::Cell;

const PML4: u64 = 0x1000;
const PDPT: u64 = 0x2000;
const PD: u64 = 0x3000;
const PT: u64 = 0x4000;
/// A second address space.
const OTHER: u64 = 0x5000;
/// Two linear addresses, whose PTEs are neighbours, and where they lead at first.
const PAGE: u64 = 0x0040_0000;
const NEXT: u64 = 0x0040_1000;
const FRAME: u64 = 0x8_0000;
/// A 2-MiB page.
const LARGE: u64 = 0x0060_0000;

const P: u64 = 1;
const RW: u64 = 2;
const US: u64 = 4;
const A: u64 = 0x20;
const D: u64 = 0x40;
const PS: u64 = 0x80;
const G: u64 = 0x100;

const READ: Access = Access::read(4, 0);
const WRITE: Access = Access::write(4, 0);

fn tables() -> Memory {
    let memory = Memory::new(&[PML4, PDPT, PD, PT, OTHER]);
    memory.set(PML4, PDPT | P | RW | US, 8);
    memory.set(OTHER, PDPT | P | RW | US, 8);
    memory.set(PDPT, PD | P | RW | US, 8);
    memory.set(PD + 2 * 8, PT | P | RW | US, 8);
    memory.set(PD + 3 * 8, 0x0080_0000 | P | RW | US | PS, 8);
    memory.set(PT, FRAME | P | RW | US, 8);
    memory.set(PT + 8, (FRAME + 0x1000) | P | RW | US, 8);
    memory
}

fn cpu(cr4: u64) -> Cpu {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr0 |= 1 << 31 | 1 << 16;
        s.cr3 = PML4;
        s.cr4 |= cr4;
    });
    cpu
}

const PGE: u64 = 1 << 7;
const PCIDE: u64 = 1 << 17;

fn limits() -> Limits {
    Limits { maxphyaddr: 40, pse36: true, pat: true, gigabyte_pages: true, vendor: Vendor::Intel }
}

fn loaded<'a>(memory: &'a Memory, cpu: &Cpu) -> Paging<Walked<'a>> {
    let mut paging = Paging::new(Walked::new(memory, Ways::HostAddress), limits());
    paging.load(cpu).unwrap();
    paging
}

/// Where an access goes, or the error code of its fault.
fn go(paging: &mut Paging<Walked<'_>>, linear: u64, access: &Access) -> Result<u64, u32> {
    let done = match access.kind {
        AccessKind::Write => paging.write(linear, &[0; 4], access),
        _ => paging.read(linear, &mut [0; 4], access),
    };
    match done {
        Ok(()) => Ok(paging.inner().last.take().unwrap()),
        Err(Stop::Fault(event)) => {
            assert_eq!((event.vector, event.cr2), (14, Some(linear)));
            Err(event.error_code.unwrap())
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// How many entries an access reads.
fn walks(paging: &mut Paging<Walked<'_>>, linear: u64, access: &Access) -> u32 {
    let before = paging.inner().reads;
    go(paging, linear, access).unwrap();
    paging.inner().reads - before
}

#[test]
fn a_translation_stays_until_invlpg() {
    let memory = tables();
    let mut paging = loaded(&memory, &cpu(0));
    assert_eq!(walks(&mut paging, PAGE, &READ), 4);
    assert_eq!(walks(&mut paging, PAGE + 0xffc, &READ), 0, "the same page");
    assert_eq!(walks(&mut paging, NEXT, &READ), 4);
    memory.set(PT, 0x9_0000 | P | RW | US, 8);
    assert_eq!(go(&mut paging, PAGE + 8, &READ), Ok(FRAME + 8), "stale, as the manual allows");
    assert_eq!(memory.get64(PT) & A, 0, "a hit sets nothing");
    paging.invlpg(NEXT);
    assert_eq!(go(&mut paging, PAGE, &READ), Ok(FRAME), "that was another page");
    paging.invlpg(PAGE + 0x123);
    assert_eq!(go(&mut paging, PAGE, &READ), Ok(0x9_0000));
    assert_eq!(memory.get64(PT), 0x9_0000 | P | RW | US | A);
    memory.set(PT, 0, 8);
    paging.flush();
    assert_eq!(go(&mut paging, PAGE, &READ), Err(0));
}

#[test]
fn invlpg_drops_all_of_a_large_page() {
    let memory = tables();
    let mut paging = loaded(&memory, &cpu(0));
    for offset in [0, 0x1000, 0x5_5000, 0x1f_f000] {
        assert_eq!(go(&mut paging, LARGE + offset, &READ), Ok(0x0080_0000 + offset));
    }
    let elsewhere = PAGE + 0x2000;
    memory.set(PT + 16, FRAME | P | RW | US, 8);
    go(&mut paging, elsewhere, &READ).unwrap();
    memory.set(PD + 3 * 8, 0x00a0_0000 | P | RW | US | PS, 8);
    assert_eq!(go(&mut paging, LARGE + 0x5_5000, &READ), Ok(0x0085_5000));
    paging.invlpg(LARGE + 0x1000);
    for offset in [0, 0x1000, 0x5_5000, 0x1f_f000] {
        assert_eq!(go(&mut paging, LARGE + offset, &READ), Ok(0x00a0_0000 + offset));
    }
    assert_eq!(walks(&mut paging, elsewhere, &READ), 0, "another page stays");
}

#[test]
fn a_new_cr3_keeps_global_pages_only() {
    let memory = tables();
    memory.set(PT + 8, (FRAME + 0x1000) | P | RW | US | G, 8);
    let mut processor = cpu(PGE);
    let mut paging = loaded(&memory, &processor);
    go(&mut paging, PAGE, &READ).unwrap();
    go(&mut paging, NEXT, &READ).unwrap();
    processor.update(|s| s.cr3 = OTHER);
    paging.load(&processor).unwrap();
    assert_eq!(walks(&mut paging, NEXT, &READ), 0, "global");
    assert_eq!(walks(&mut paging, PAGE, &READ), 4, "not global");
    // The same value again is no change for `load`.
    paging.load(&processor).unwrap();
    assert_eq!(walks(&mut paging, PAGE, &READ), 0);
    paging.flush_context();
    assert_eq!((walks(&mut paging, PAGE, &READ), walks(&mut paging, NEXT, &READ)), (4, 0));
    paging.invlpg(NEXT);
    assert_eq!(walks(&mut paging, NEXT, &READ), 4, "INVLPG drops global pages");
    processor.update(|s| s.cr4 &= !PGE);
    paging.load(&processor).unwrap();
    assert_eq!(walks(&mut paging, NEXT, &READ), 4, "a change of CR4.PGE drops everything");
    processor.update(|s| s.cr3 = PML4);
    paging.load(&processor).unwrap();
    assert_eq!(walks(&mut paging, NEXT, &READ), 4, "no page is global without CR4.PGE");
}

#[test]
fn pcids_keep_their_own() {
    let memory = tables();
    memory.set(PT + 8, (FRAME + 0x1000) | P | RW | US | G, 8);
    memory.set(PT + 16, (FRAME + 0x2000) | P | RW | US, 8);
    let mut processor = cpu(PGE | PCIDE);
    processor.update(|s| s.cr3 = PML4 | 1);
    let mut paging = loaded(&memory, &processor);
    // MOV to CR3 with bit 63 set.
    let mut switch = |paging: &mut Paging<_>, cr3| {
        processor.update(|s| s.cr3 = cr3);
        paging.load_keeping(&processor).unwrap();
    };
    let (mine, global, others) = (PAGE, NEXT, PAGE + 0x2000);
    go(&mut paging, mine, &READ).unwrap();
    go(&mut paging, global, &READ).unwrap();
    switch(&mut paging, OTHER | 2);
    assert_eq!(walks(&mut paging, global, &READ), 0, "global pages are shared");
    assert_eq!(walks(&mut paging, others, &READ), 4);
    // The same linear page has one slot for all PCIDs; another one is not disturbed.
    switch(&mut paging, PML4 | 1);
    assert_eq!((walks(&mut paging, mine, &READ), walks(&mut paging, global, &READ)), (0, 0), "kept");
    paging.invlpg(others);
    switch(&mut paging, OTHER | 2);
    assert_eq!(walks(&mut paging, others, &READ), 0, "INVLPG under PCID 1");
    assert_eq!(walks(&mut paging, mine, &READ), 4, "PCID 1's translation is not PCID 2's");
    go(&mut paging, others, &READ).unwrap();

    let drops = |paging: &mut Paging<Walked<'_>>, kind, pcid, linear| {
        go(paging, others, &READ).unwrap();
        go(paging, global, &READ).unwrap();
        paging.invpcid(kind, pcid, linear);
        (walks(paging, others, &READ) > 0, walks(paging, global, &READ) > 0)
    };
    assert_eq!(drops(&mut paging, Invpcid::Address, 1, others), (false, false), "another PCID");
    assert_eq!(drops(&mut paging, Invpcid::Address, 2, mine), (false, false), "another page");
    assert_eq!(drops(&mut paging, Invpcid::Address, 2, others), (true, false));
    assert_eq!(drops(&mut paging, Invpcid::Address, 2, global), (false, false), "not in global pages");
    assert_eq!(drops(&mut paging, Invpcid::Context, 1, 0), (false, false));
    assert_eq!(drops(&mut paging, Invpcid::Context, 2, 0), (true, false));
    assert_eq!(drops(&mut paging, Invpcid::AllButGlobal, 9, 0), (true, false));
    assert_eq!(drops(&mut paging, Invpcid::All, 9, 0), (true, true));

    // MOV to CR3 with bit 63 clear.
    switch(&mut paging, PML4 | 1);
    processor.update(|s| s.cr3 = OTHER | 2);
    paging.load(&processor).unwrap();
    assert_eq!((walks(&mut paging, others, &READ), walks(&mut paging, global, &READ)), (4, 0));
}

#[test]
fn a_right_that_is_new_is_seen_and_a_fault_is_never_stale() {
    let memory = tables();
    memory.set(PT, FRAME | P | US, 8);
    let mut paging = loaded(&memory, &cpu(0));
    go(&mut paging, PAGE, &READ).unwrap();
    assert_eq!(go(&mut paging, PAGE, &WRITE), Err(error_code::P | error_code::WR));
    memory.set(PT, FRAME | P | RW | US, 8);
    assert_eq!(go(&mut paging, PAGE, &WRITE), Ok(FRAME), "no INVLPG is needed where rights grow");
    assert_eq!(memory.get64(PT), FRAME | P | RW | US | A | D);
}

#[test]
fn registers_that_decide_rights_count_at_once() {
    let memory = tables();
    memory.set(PT, FRAME | P | US | A | 3 << 59, 8);
    let mut processor = cpu(1 << 22);
    let mut paging = loaded(&memory, &processor);
    assert_eq!(go(&mut paging, PAGE, &WRITE), Err(3));
    let mut now = |paging: &mut Paging<Walked<'_>>, change: &dyn Fn(&mut Cpu), access: &Access| {
        change(&mut processor);
        paging.load(&processor).unwrap();
        let reads = paging.inner().reads;
        (go(paging, PAGE, access), paging.inner().reads - reads)
    };
    let user = Access::read(4, 3);
    assert_eq!(now(&mut paging, &|c| c.update(|s| s.cr0 &= !(1 << 16)), &WRITE), (Ok(FRAME), 4), "CR0.WP");
    assert_eq!(now(&mut paging, &|c| c.update(|s| s.cr0 |= 1 << 16), &WRITE), (Err(3), 4));
    assert_eq!(now(&mut paging, &|_| {}, &user), (Ok(FRAME), 0));
    assert_eq!(now(&mut paging, &|c| c.update(|s| s.pkru = 1 << 6), &user), (Err(0x25), 4), "PKRU");
    assert_eq!(now(&mut paging, &|c| c.update(|s| s.pkru = 2 << 6), &user), (Ok(FRAME), 0), "without a walk");
    assert_eq!(now(&mut paging, &|c| c.update(|s| s.cr4 |= 1 << 21), &READ), (Err(1), 4), "CR4.SMAP");
    assert_eq!(now(&mut paging, &|c| c.set_rflags(1 << 18), &READ), (Ok(FRAME), 0), "RFLAGS.AC");
    let implicit = Access { implicit: true, ..READ };
    assert_eq!(now(&mut paging, &|_| {}, &implicit), (Err(1), 4), "AC does not count for implicit accesses");
}

#[test]
fn the_first_write_sets_d_and_reads_do_not() {
    for ways in [Ways::HostAddress, Ways::Rmw, Ways::Plain] {
        let memory = tables();
        let mut paging = loaded(&memory, &cpu(0));
        paging.inner().ways = ways;
        go(&mut paging, PAGE, &READ).unwrap();
        assert_eq!([PML4, PDPT, PD + 16, PT].map(|at| memory.get64(at) & (A | D)), [A; 4], "{ways:?}");
        go(&mut paging, PAGE, &WRITE).unwrap();
        assert_eq!([PML4, PDPT, PD + 16, PT].map(|at| memory.get64(at) & (A | D)), [A, A, A, A | D], "{ways:?}");
        assert_eq!(walks(&mut paging, PAGE, &WRITE), 0);
        let modify = Access::new(AccessKind::ReadForWrite, 4, 0);
        go(&mut paging, NEXT, &modify).unwrap();
        assert_eq!(memory.get64(PT + 8) & (A | D), A | D, "the load of a read-modify-write");
    }
}

#[test]
fn a_probe_changes_nothing_and_gives_the_fault() {
    let memory = tables();
    memory.set(PT + 8, FRAME | P | RW, 8);
    let before = memory.clone();
    let mut paging = loaded(&memory, &cpu(0));
    paging.probe(PAGE, 4, &WRITE).unwrap();
    let user = Access::write(16, 3);
    let Err(Stop::Fault(event)) = paging.probe(PAGE + 0xff8, 16, &user) else { panic!("the second page refuses") };
    assert_eq!((event.error_code, event.cr2), (Some(7), Some(NEXT)), "CR2 is the first failing byte");
    assert_eq!(memory, before);
    assert_eq!(walks(&mut paging, PAGE, &WRITE), 4, "and the TLB has nothing of it");
    assert!(!paging.takes_blocks(PAGE, 64, &WRITE), "as the bus underneath says");
}

#[test]
fn an_access_that_faults_sets_nothing() {
    let memory = tables();
    memory.set(PT, FRAME | P, 8);
    memory.set(PT + 8, FRAME, 8);
    let before = memory.clone();
    let mut paging = loaded(&memory, &cpu(0));
    assert_eq!(go(&mut paging, PAGE, &WRITE), Err(3));
    assert_eq!(go(&mut paging, PAGE, &Access::read(4, 3)), Err(5));
    assert_eq!(go(&mut paging, NEXT, &READ), Err(0));
    assert_eq!(memory, before);
}

#[test]
fn a_call_that_leaves_its_page_is_split() {
    let memory = tables();
    let mut paging = loaded(&memory, &cpu(0));
    let mut buf = [0; 0x1800];
    paging.read(PAGE + 0x400, &mut buf, &READ).unwrap();
    assert_eq!(paging.inner().last.take(), Some(FRAME + 0x1000));
    paging.write(PAGE + 0xffe, &[0; 4], &WRITE).unwrap();
    assert_eq!(paging.inner().last.take(), Some(FRAME + 0x1000));
    let atomic = Access::new(AccessKind::Rmw, 4, 0);
    assert_eq!(paging.rmw(PAGE + 0xffe, &mut [0; 4], &mut |_, _| {}, &atomic), Ok(false));
    assert!(paging.ram(PAGE + 0xffe, 4, &atomic).unwrap().is_none());
    assert!(paging.ram(PAGE, usize::MAX, &atomic).unwrap().is_none());
    let fetch = Access::new(AccessKind::Fetch, 1, 0);
    assert_eq!(paging.fetch(PAGE + 0xff8, &mut [0; 15], &fetch), Ok(8), "a fetch ends with its page");
    assert_eq!(paging.fetch(PAGE, &mut [0; 15], &fetch), Ok(15));
    // A second page that refuses: nothing of the first is touched.
    memory.set(PT + 8, 0, 8);
    paging.flush();
    paging.inner().last = None;
    assert!(matches!(paging.write(PAGE + 0xffe, &[0; 4], &WRITE), Err(Stop::Fault(e)) if e.cr2 == Some(NEXT)));
}

#[test]
fn what_the_bus_answers_to_a_walk_is_passed_on() {
    for stop in [Stop::Retry, Stop::Caller(7), Stop::NotProvided("tables")] {
        // Four reads and four exchanges.
        for n in 0..8 {
            let memory = tables();
            let mut paging = loaded(&memory, &cpu(0));
            paging.inner().stop = Some((n, stop));
            assert_eq!(paging.write(PAGE, &[0; 4], &WRITE), Err(stop), "access {n} of the walk");
            assert_eq!(paging.inner().last, None);
            assert_eq!(go(&mut paging, PAGE, &WRITE), Ok(FRAME), "the next one succeeds");
            assert_eq!(memory.get64(PT) & (A | D), A | D);
        }
    }
}

#[test]
fn a_walk_begins_anew_when_an_entry_changes_under_it() {
    let memory = tables();
    let races = Cell::new(3);
    let mut paging = loaded(&memory, &cpu(0));
    paging.inner().ways = Ways::Rmw;
    paging.inner().race = Some(&races);
    assert_eq!(go(&mut paging, PAGE, &WRITE), Ok(FRAME));
    assert_eq!((races.get(), memory.get64(PML4) & A), (0, A));
    assert_eq!(memory.get64(PML4) & 1 << 9, 1 << 9, "what the other one wrote three times is there");
    races.set(u32::MAX);
    assert_eq!(paging.read(NEXT, &mut [0; 4], &READ), Err(Stop::Retry), "no walk goes on for ever");
}

#[test]
fn two_processors_lose_no_bit_of_an_entry() {
    let frames: Vec<u64> = [PML4, PDPT, PD, PT].into();
    let memory = Memory::new(&frames);
    for (at, to) in [(PML4, PDPT), (PDPT, PD), (PD, PT)] {
        memory.set(at, to | P | RW | US, 8);
    }
    for round in 0..20 {
        for i in 0..512 {
            memory.set(PT + 8 * i, (FRAME + (i << 12)) | P | RW, 8);
        }
        std::thread::scope(|scope| {
            for write in [true, false] {
                let memory = &memory;
                scope.spawn(move || {
                    let mut paging = loaded(memory, &cpu(0));
                    for i in 0..512 {
                        go(&mut paging, i << 12, if write { &WRITE } else { &READ }).unwrap();
                    }
                });
            }
            for i in 0..512 {
                memory.or(PT + 8 * i, 1 << 10);
            }
        });
        for i in 0..512 {
            let expected = (FRAME + (i << 12)) | P | RW | A | D | 1 << 10;
            assert_eq!(memory.get64(PT + 8 * i), expected, "entry {i} in round {round}");
        }
    }
}

#[test]
fn pdptes_are_registers() {
    const FIRST: u64 = 0x1020; // 32-byte aligned is enough
    let memory = Memory::new(&[0x1000, 0x2000, 0x3000]);
    memory.set(FIRST, 0x2000 | P, 8);
    memory.set(0x2000, FRAME << 4 & !0x1f_ffff | P | RW | PS, 8);
    let mut processor = cpu(0);
    processor.update(|s| {
        s.efer = 0;
        s.cr3 = FIRST;
    });
    let mut paging = loaded(&memory, &processor);
    assert_eq!(paging.inner().reads, 4);
    memory.set(FIRST, 0, 8);
    assert_eq!(go(&mut paging, 0x1234, &READ), Ok(0x80_1234), "the register still has it");
    paging.flush();
    processor.update(|s| s.pkru = 1);
    paging.load(&processor).unwrap();
    assert_eq!(go(&mut paging, 0x1234, &READ), Ok(0x80_1234), "a change that reads no PDPTE");
    processor.update(|s| s.cr3 = FIRST | 0x18);
    let wrong = paging.load(&processor);
    assert!(wrong.is_ok(), "bits 4:3 are PWT and PCD: {wrong:?}");

    memory.set(FIRST, 0x2000 | P | RW, 8);
    processor.update(|s| s.cr3 = FIRST);
    let Err(Stop::Fault(event)) = paging.load(&processor) else { panic!("bit 1 of a PDPTE is reserved") };
    assert_eq!((event.vector, event.error_code), (13, Some(0)));
    memory.set(FIRST, 0x2000 | RW, 8);
    paging.load(&processor).unwrap();
    assert_eq!(go(&mut paging, 0x1234, &READ), Err(0), "not present, so bit 1 does not count");
    paging.load_with_pdptes(&processor, [0x2000 | P, 0, 0, 0]).unwrap();
    assert_eq!(go(&mut paging, 0x1234, &READ), Ok(0x80_1234), "given, so not read");
    assert_eq!(go(&mut paging, 0x4000_1234, &READ), Err(0));
    // A retry of the reads changes nothing.
    processor.update(|s| s.cr3 = 0x3000);
    paging.inner().stop = Some((2, Stop::Retry));
    assert_eq!(paging.load(&processor), Err(Stop::Retry));
    assert_eq!(go(&mut paging, 0x1234, &READ), Ok(0x80_1234));
    paging.load(&processor).unwrap();
    assert_eq!(go(&mut paging, 0x1234, &READ), Err(0));
}

#[test]
fn a_look_up_tells_of_the_page() {
    let memory = tables();
    memory.set(PT, FRAME | P | RW | G | 5 << 59, 8);
    let before = memory.clone();
    let mut paging = loaded(&memory, &cpu(PGE));
    let page = paging.look_up(PAGE + 0x123).unwrap();
    assert_eq!((page.physical, page.shift, page.key), (FRAME, 12, 5));
    assert!(page.writable && page.executable && page.global);
    assert!(!page.user && !page.accessed && !page.dirty && !page.shadow_stack);
    let page = paging.look_up(LARGE + 0x5_5123).unwrap();
    assert_eq!((page.physical, page.shift, page.user), (0x0085_5000, 21, true));
    assert!(matches!(paging.look_up(0x1000), Err(Stop::Fault(e)) if e.error_code == Some(0) && e.cr2 == Some(0x1000)));
    assert_eq!(memory, before);
}

#[test]
fn addresses_that_are_not_canonical_are_general_protection() {
    let memory = tables();
    let mut paging = loaded(&memory, &cpu(0));
    for linear in [1 << 47, !0 << 48, 1 << 63, 0x7fff_ffff_ffff_ffff] {
        let stop = paging.read(linear, &mut [0], &READ);
        assert!(matches!(stop, Err(Stop::Fault(e)) if e.vector == 13), "{linear:#x}: {stop:?}");
    }
    assert_eq!(go(&mut paging, 0xffff_8000_0000_0000, &READ), Err(0));
}

#[test]
fn limits_come_from_the_profile() {
    let limits = Limits::new(&Profile::all());
    assert_eq!(limits.maxphyaddr, 52);
    assert!(limits.pse36 && limits.pat && limits.gigabyte_pages);
    let host = Limits::new(&Profile::host());
    assert!((36..=52).contains(&host.maxphyaddr), "{host:?}");
}

#[test]
fn each_register_flushes_what_it_flushes() {
    let memory = tables();
    memory.set(PT, FRAME | P | RW | US | G | A | D, 8);
    /// A change of registers, and whether it drops even global pages.
    type Change = (&'static str, fn(&mut encore86::cpu::System), bool);
    let changes: &[Change] = &[
        ("CR4.PSE", |s| s.cr4 ^= 1 << 4, true),
        ("CR4.PCIDE", |s| s.cr4 ^= PCIDE, true),
        ("CR4.SMEP", |s| s.cr4 ^= 1 << 20, true),
        ("EFER.NXE", |s| s.efer ^= 1 << 11, true),
        ("CR0.WP", |s| s.cr0 ^= 1 << 16, false),
        ("CR0.TS", |s| s.cr0 ^= 1 << 3, false),
        ("CR4.PKE", |s| s.cr4 ^= 1 << 22, false),
        ("CR4.OSXSAVE", |s| s.cr4 ^= 1 << 18, false),
        ("PKRU", |s| s.pkru ^= 4, false),
        ("CR3", |s| s.cr3 = OTHER, false),
    ];
    for (what, change, flushes) in changes {
        let mut processor = cpu(PGE);
        let mut paging = loaded(&memory, &processor);
        go(&mut paging, PAGE, &READ).unwrap();
        processor.update(change);
        paging.load(&processor).unwrap();
        assert_eq!(walks(&mut paging, PAGE, &READ) > 0, *flushes, "{what}");
    }
}

/// A locked operand across a page is RAM at one place only if the pages are neighbours in physical memory too.
#[test]
fn ram_across_pages_is_that_of_neighbours() {
    const LOCKED: Access = Access { locked: true, ..Access::new(AccessKind::Rmw, 8, 0) };
    let (memory, cpu) = (tables(), cpu(0));
    let mut paging = loaded(&memory, &cpu);
    assert!(paging.ram_across(NEXT - 4, 8, &LOCKED).unwrap().is_none());
    assert_eq!(paging.inner().last.take(), Some(FRAME + 0xffc), "the bus underneath is asked for both at once");
    for entry in [PT, PT + 8] {
        assert_eq!(memory.get64(entry) & (A | D), A | D);
    }
    // Elsewhere, and before the first one.
    for frame in [FRAME + 0x3000, FRAME - 0x1000, FRAME] {
        memory.set(PT + 8, frame | P | RW | US, 8);
        let mut paging = loaded(&memory, &cpu);
        assert!(paging.ram_across(NEXT - 4, 8, &LOCKED).unwrap().is_none());
        assert_eq!(paging.inner().last.take(), None, "{frame:#x}");
    }
    // What faults is the second page.
    memory.set(PT + 8, (FRAME + 0x1000) | P | US, 8);
    let mut paging = loaded(&memory, &cpu);
    match paging.ram_across(NEXT - 4, 8, &LOCKED) {
        Err(Stop::Fault(event)) => assert_eq!((event.cr2, event.error_code), (Some(NEXT), Some(3))),
        other => panic!("{other:?}"),
    }
}
