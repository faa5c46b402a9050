//! The guest `gallery` run by the host processor itself, in a child process whose memory lies where the guest expects
//! it, against the picture that `encore86_asm::picture` computes.
//!
//! With `GALLERY_PNG_DIR` set, both pictures, and the one with every tile painted, are written there.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::{mem, ptr, slice};

use encore86_asm::gallery::{self, HEIGHT, TILES, WIDTH};
use encore86_asm::picture::expected;

const PAGE: usize = 0x1000;

/// Maps `size` bytes at `address`, shared with the children to be.
fn map(address: u64, size: usize, protection: i32) -> *mut u8 {
    let at = ptr::without_provenance_mut::<c_void>(address as usize);
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a new mapping, which replaces none.
    let got = unsafe { libc::mmap(at, size, protection, flags, -1, 0) };
    assert_eq!(
        got,
        at,
        "cannot map {size:#x} bytes at {address:#x}: {}; is the test built position-independent?",
        std::io::Error::last_os_error()
    );
    got.cast()
}

/// The faults of the child. At the exit register it is the end of the guest, with the code in EAX.
extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo and ucontext to an SA_SIGINFO handler.
    let (address, registers) = unsafe {
        let context = &*context.cast::<libc::ucontext_t>();
        ((*info).si_addr() as u64, &context.uc_mcontext.gregs)
    };
    if signal == libc::SIGSEGV && address == gallery::EXIT {
        let code = registers[libc::REG_RAX as usize] as i32;
        // SAFETY: ends the process without running anything.
        unsafe { libc::_exit(code) };
    }
    // The rest goes through the registers of the guest, since a handler may not print.
    let report = [signal as u64, registers[libc::REG_RIP as usize] as u64, address];
    for (i, word) in report.into_iter().enumerate() {
        let at = ptr::without_provenance_mut::<u64>(gallery::REGISTERS as usize + 0x80 + 8 * i);
        // SAFETY: inside the mapped page of registers, aligned, used by nobody else now.
        unsafe { at.write_volatile(word) };
    }
    // SAFETY: as above.
    unsafe { libc::_exit(FAULTED) };
}

const FAULTED: i32 = 99;

/// Runs the guest in this process, which ends with it.
fn enter() -> ! {
    let mut stack = vec![0u8; 1 << 17];
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    // SAFETY: zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the stack lives as long as the process, which never leaves this function; the handler has the
    // signature of an SA_SIGINFO handler; the guest's code is at ENTRY, and needs nothing that is Rust's.
    unsafe {
        libc::sigaltstack(&stack, ptr::null_mut());
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE] {
            libc::sigaction(signal, &action, ptr::null_mut());
        }
        libc::alarm(120);
        std::arch::asm!("jmp {}", in(reg) gallery::ENTRY, options(noreturn));
    }
}

fn register(address: u64) -> u64 {
    let at = ptr::without_provenance::<u64>(address as usize);
    // SAFETY: only asked for aligned registers of the mapped page, after the child has ended.
    unsafe { at.read_volatile() }
}

fn write_png(directory: &Path, name: &str, picture: &[u32]) {
    let file = File::create(directory.join(name)).expect("the directory exists");
    let mut encoder = png::Encoder::new(BufWriter::new(file), WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    let bytes: Vec<u8> = picture
        .iter()
        .flat_map(|pixel| {
            let [b, g, r, _] = pixel.to_le_bytes();
            [r, g, b]
        })
        .collect();
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&bytes))
        .expect("the picture has the size that was announced");
}

#[test]
fn the_host_processor_paints_the_computed_picture() {
    let rw = libc::PROT_READ | libc::PROT_WRITE;
    let ram_used = (gallery::RAM_USED_END - gallery::LOAD) as usize;
    let ram = map(gallery::LOAD, ram_used, rw | libc::PROT_EXEC);
    let size = gallery::FRAMEBUFFER_SIZE as usize;
    let framebuffer = map(gallery::FRAMEBUFFER, size, rw);
    map(gallery::FRAMEBUFFER + gallery::FRAMEBUFFER_SIZE, PAGE, libc::PROT_NONE);
    map(gallery::REGISTERS, PAGE, rw);
    map(gallery::SERIAL & !0xfff, PAGE, rw);
    map(gallery::EXIT & !0xfff, PAGE, libc::PROT_NONE);
    let image = gallery::image();
    // SAFETY: the image ends below STACK_TOP, inside the new mapping.
    unsafe { ptr::copy_nonoverlapping(image.as_ptr(), ram, image.len()) };

    // SAFETY: the child calls only what may be called after a fork from a process with several threads: it allocates
    // one buffer, sets handlers and leaves for the guest.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        enter();
    }
    let mut status = 0;
    // SAFETY: waits for the child of this function.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);

    let tile = register(gallery::TILE) as u32 as usize;
    let name = tile.checked_sub(1).map_or("none", |i| TILES[i].name);
    let code = libc::WEXITSTATUS(status);
    assert!(libc::WIFEXITED(status), "status {status:#x} in tile {tile}, {name}");
    if code == FAULTED {
        let [signal, rip, address] = [0, 8, 16].map(|i| register(gallery::REGISTERS + 0x80 + i));
        panic!("signal {signal} at RIP {rip:#x} for address {address:#x} in tile {tile}, {name}");
    }

    // SAFETY: the child has ended, so nobody writes the mapping, which stays; u32 has no invalid values.
    let painted = unsafe { slice::from_raw_parts(framebuffer.cast::<u32>(), WIDTH * HEIGHT) };
    let flags = host_flags();
    let wanted = expected(&|name| flags.contains(name));
    if let Some(directory) = std::env::var_os("GALLERY_PNG_DIR") {
        let directory = Path::new(&directory);
        write_png(directory, "native.png", painted);
        write_png(directory, "expected.png", &wanted);
        write_png(directory, "all.png", &expected(&|_| true));
    }
    assert_eq!(code, 0, "the guest found tile {tile}, {name}, wrong");

    let mut hatched = 0;
    let mut wrong = Vec::new();
    for tile in &TILES {
        if let Some(lacks) = tile.needs.iter().find(|name| !flags.contains(**name)) {
            println!("NOT PROVEN on this host: tile {} ({}) is hatched, no {lacks}", tile.number, tile.name);
            hatched += 1;
        }
        let at = tile.rect();
        let differing = (at.y..at.y + at.height)
            .flat_map(|y| (at.x..at.x + at.width).map(move |x| y * WIDTH + x))
            .filter(|&i| painted[i] != wanted[i])
            .count();
        if differing != 0 {
            wrong.push(format!("{} ({differing} pixels)", tile.name));
        }
    }
    let elsewhere = (0..WIDTH * HEIGHT).find(|&i| painted[i] != wanted[i]);
    println!("{} tiles painted by the host, {hatched} hatched", TILES.len() - hatched);
    assert!(wrong.is_empty(), "tiles that differ: {wrong:?}");
    if let Some(i) = elsewhere {
        let [is, should] = [painted[i], wanted[i]];
        panic!("pixel ({}, {}) is {is:#08x}, not {should:#08x}", i % WIDTH, i / WIDTH);
    }
}

fn host_flags() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/cpuinfo").expect("Linux has /proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("flags"));
    let flags = line.expect("x86 processors list flags").split_whitespace();
    flags.map(str::to_owned).collect()
}
