//! What one engine takes: everything that it allocates, and the stubs' memory, which is mapped. Nothing more is allocated by
//! steps.

use encore86::{Access, Bus, Cpu, Engine, Outcome, Platform, Profile, Stop};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what is asked for.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands on to the system's allocator, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        ASKED.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// As `Engine::new` says.
const STUBS: usize = 48 * 1024;

struct Zeros;

impl Bus for Zeros {
    fn fetch(&mut self, _: u64, _: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        Err(Stop::Caller(1))
    }

    fn read(&mut self, _: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        buf.fill(0);
        Ok(())
    }

    fn write(&mut self, _: u64, _: &[u8], _: &Access) -> Result<(), Stop> {
        Ok(())
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

impl Platform for Zeros {}

#[test]
fn an_engine_is_small_and_stays_so() {
    let profile = Profile::host();
    // What is made once a process is no engine's.
    drop(Engine::new(profile.clone()).unwrap());
    let before = HELD.load(Relaxed);
    let mut engine = Engine::new(profile).unwrap();
    let heap = HELD.load(Relaxed) - before;
    let all = heap + size_of::<Engine>() + STUBS;
    println!(
        "an engine takes {heap} bytes of the heap, {} of its own, and {STUBS} for stubs: {all}",
        size_of::<Engine>()
    );
    assert!(all <= 160 * 1024, "{all} bytes");

    let (mut cpu, mut bus) = (Cpu::new(), Zeros);
    let asked = ASKED.load(Relaxed);
    for turn in 0..4096_u32 {
        // Additions of all registers, more than there is room for stubs: vpaddx ymm, ymm, [rbx].
        let (reg, vvvv, opcode) = (turn & 7, turn >> 3 & 15, [0xfc, 0xfd, 0xfe, 0xd4][(turn >> 7 & 3) as usize]);
        let bytes = [0xc5, 0x85 | (15 - vvvv as u8) << 3, opcode, 0x03 | (reg as u8) << 3];
        let outcome = engine.step_bytes(&mut cpu, &mut bus, &bytes);
        assert!(matches!(outcome, Outcome::Completed(_) | Outcome::Unsupported(_)), "{outcome:?}");
    }
    assert_eq!(ASKED.load(Relaxed), asked, "a step allocates nothing");
}
