//! An executable, and the memory and registers that it begins with, as Linux gives them to it.

use super::arena::{Arena, PAGE, page};
use super::error::Error;
use encore86::isa::Feature;
use encore86::{Cpu, Profile};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Bytes of the stack.
pub const STACK: u64 = 8 << 20;
/// Where an executable goes that can go anywhere.
const BASE: u64 = 0x1000_0000;

/// A program, loaded.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// The first instruction.
    pub entry: u64,
    /// The end of the image: where its heap begins.
    pub end: u64,
    /// The program headers in memory, and how many there are.
    headers: (u64, u64),
}

type Header = elf::FileHeader64<object::Endianness>;

/// Maps an executable's segments.
///
/// # Errors
/// If it is no static executable for x86-64, or does not fit.
pub fn load(file: &[u8], arena: &mut Arena) -> Result<Image, Error> {
    let not = |why: &str| Error::Image(why.into());
    let header = Header::parse(file).map_err(|_| not("is no 64-bit ELF file"))?;
    let endian = header.endian().map_err(|_| not("has no known byte order"))?;
    if header.e_machine(endian) != elf::EM_X86_64 {
        return Err(not("is for another processor than x86-64"));
    }
    let base = match header.e_type(endian) {
        elf::ET_EXEC => 0,
        elf::ET_DYN => BASE,
        _ => return Err(not("is no executable")),
    };
    let segments = header.program_headers(endian, file).map_err(|_| not("has damaged program headers"))?;
    if segments.iter().any(|s| s.p_type(endian) == elf::PT_INTERP) {
        return Err(not("is linked dynamically; only static executables are traced"));
    }
    let fits = || not("does not fit in the memory; give it more with --memory");
    let mut image = Image { entry: base.wrapping_add(header.e_entry(endian)), end: 0, headers: (0, 0) };
    for segment in segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD) {
        let at = base.checked_add(segment.p_vaddr(endian)).ok_or_else(fits)?;
        let size = segment.p_memsz(endian);
        let end = at.checked_add(size).ok_or_else(fits)?;
        let start = at & !(PAGE - 1);
        let pages = arena.range(start, end - start).ok_or_else(fits)?;
        // Segments may share a page; the later one says what it permits.
        let fresh = pages.start.max((image.end / PAGE) as usize).min(pages.end);
        arena.map(fresh..pages.end, 0);
        let bytes = segment.data(endian, file).map_err(|()| not("is shorter than its program headers say"))?;
        if bytes.len() as u64 > size {
            return Err(not("has a segment that is longer in the file than in memory"));
        }
        arena.raw(at, bytes.len() as u64).ok_or_else(fits)?.copy_from_slice(bytes);
        let flags = segment.p_flags(endian);
        let permits = [(elf::PF_R, page::READ), (elf::PF_W, page::WRITE), (elf::PF_X, page::EXECUTE)];
        let permits = permits.iter().filter(|(flag, _)| flags.contains(*flag)).fold(0, |all, (_, bit)| all | bit);
        arena.protect(pages.clone(), permits);
        image.end = image.end.max(pages.end as u64 * PAGE);
        let offset = segment.p_offset(endian);
        let table = header.e_phoff(endian);
        if (offset..offset.saturating_add(bytes.len() as u64)).contains(&table) {
            image.headers = (at.wrapping_add(table - offset), segments.len() as u64);
        }
    }
    if image.end == 0 {
        return Err(not("has nothing to load"));
    }
    Ok(image)
}

/// What a program is told.
#[derive(Debug)]
pub struct Told<'a> {
    /// Its name and arguments.
    pub arguments: &'a [OsString],
    /// Its environment.
    pub environment: &'a [(OsString, OsString)],
}

/// Writes the stack that a program begins with, at the end of the arena, and gives the stack pointer.
///
/// # Errors
/// If arguments and environment take more than a quarter of it, as for Linux.
pub fn stack(arena: &mut Arena, image: &Image, told: &Told<'_>, profile: &Profile) -> Result<u64, Error> {
    let fits = || Error::Image("does not fit in the memory; give it more with --memory".into());
    let end = arena.size();
    let pages = end.checked_sub(STACK).filter(|&start| start >= image.end).ok_or_else(fits)?;
    let pages = arena.range(pages, STACK).ok_or_else(fits)?;
    arena.map(pages, page::READ | page::WRITE);
    let mut stack = Stack { arena, at: end };

    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::Host("random numbers", error.into()))?;
    let name = told.arguments.first().map(|name| name.as_bytes()).unwrap_or_default();
    let name = stack.text(&[name])?;
    let platform = stack.text(&[b"x86_64"])?;
    let random = stack.push(&random)?;
    let environment: Vec<u64> = told
        .environment
        .iter()
        .map(|(name, value)| stack.text(&[name.as_bytes(), b"=", value.as_bytes()]))
        .collect::<Result<_, _>>()?;
    let arguments: Vec<u64> =
        told.arguments.iter().map(|argument| stack.text(&[argument.as_bytes()])).collect::<Result<_, _>>()?;

    let system = Cpu::new();
    let promised = profile.cpuid(1, 0, system.system()).edx;
    let fsgsbase = if profile.has(Feature::Fsgsbase) { 2 } else { 0 };
    let auxiliary = [
        (libc::AT_PHDR, image.headers.0),
        (libc::AT_PHENT, size_of::<elf::ProgramHeader64<object::Endianness>>() as u64),
        (libc::AT_PHNUM, image.headers.1),
        (libc::AT_PAGESZ, PAGE),
        (libc::AT_BASE, 0),
        (libc::AT_FLAGS, 0),
        (libc::AT_ENTRY, image.entry),
        (libc::AT_UID, rustix::process::getuid().as_raw().into()),
        (libc::AT_EUID, rustix::process::geteuid().as_raw().into()),
        (libc::AT_GID, rustix::process::getgid().as_raw().into()),
        (libc::AT_EGID, rustix::process::getegid().as_raw().into()),
        (libc::AT_SECURE, 0),
        (libc::AT_CLKTCK, 100),
        (libc::AT_HWCAP, promised.into()),
        (libc::AT_HWCAP2, fsgsbase),
        (libc::AT_PLATFORM, platform),
        (libc::AT_RANDOM, random),
        (libc::AT_EXECFN, name),
        (libc::AT_NULL, 0),
    ];
    let mut words = vec![arguments.len() as u64];
    words.extend(arguments);
    words.push(0);
    words.extend(environment);
    words.push(0);
    words.extend(auxiliary.iter().flat_map(|&(kind, value)| [kind, value]));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    // The stack pointer is a multiple of 16 at the first instruction.
    stack.at = (stack.at & !15) - (bytes.len() as u64 % 16);
    stack.push(&bytes)
}

/// A stack that grows down.
struct Stack<'a> {
    arena: &'a mut Arena,
    at: u64,
}

impl Stack<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<u64, Error> {
        let least = self.arena.size() - STACK / 4;
        let at = self.at.checked_sub(bytes.len() as u64).filter(|&at| at >= least).ok_or(Error::Arguments)?;
        self.arena.raw(at, bytes.len() as u64).ok_or(Error::Arguments)?.copy_from_slice(bytes);
        self.at = at;
        Ok(at)
    }

    /// A text, with a zero behind it.
    fn text(&mut self, parts: &[&[u8]]) -> Result<u64, Error> {
        self.push(&[&parts.concat()[..], &[0]].concat())
    }
}
