//! Files: the program's own numbers for what is open, read-only unless it is told that it may write.

use super::signals::Signals;
use super::{Done, End, Errno, Stop, abi, load, load_u64, store};
use crate::trace::arena::{Arena, PAGE, page};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{self, AtFlags, Mode, OFlags, RawDir, SeekFrom, StatxFlags};
use std::ffi::{CStr, CString};
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Files that may be open at once.
pub const MOST: usize = 1024;
/// The longest path, with its zero.
const PATH: u64 = 4096;
/// The most parts of a readv or writev.
const PARTS: u64 = 1024;

/// What is open.
#[derive(Debug)]
pub struct Files {
    open: Vec<Option<OwnedFd>>,
    program: CString,
    write: bool,
}

/// A path that the program has given.
enum Path {
    Host(CString),
    /// One of its own open files.
    Own(u64),
    Program,
    Maps,
}

impl Files {
    /// The standard streams; `program` is the executable's path.
    ///
    /// # Errors
    /// If a standard stream can't be had.
    pub fn new(program: CString, write: bool) -> io::Result<Files> {
        let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
        let streams = [input.as_fd(), output.as_fd(), error.as_fd()];
        let open = streams.into_iter().map(|fd| fd.try_clone_to_owned().map(Some)).collect::<io::Result<_>>()?;
        Ok(Files { open, program, write })
    }

    fn get(&self, number: u64) -> Result<BorrowedFd<'_>, Errno> {
        let fd = usize::try_from(number as u32).ok().and_then(|number| self.open.get(number)?.as_ref());
        fd.map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// A directory that a path may begin at.
    fn directory_of(&self, number: u64) -> Result<BorrowedFd<'_>, Errno> {
        if number as i32 == libc::AT_FDCWD { Ok(fs::CWD) } else { self.get(number) }
    }

    /// Puts a file at the lowest free number from `least` on.
    fn put(&mut self, fd: OwnedFd, least: u64) -> Done {
        let least = usize::try_from(least).ok().filter(|&least| least < MOST).ok_or(Errno::INVAL)?;
        let number = (least..MOST).find(|&n| self.open.get(n).is_none_or(Option::is_none)).ok_or(Errno::MFILE)?;
        if number >= self.open.len() {
            self.open.resize_with(number + 1, || None);
        }
        self.open[number] = Some(fd);
        Ok(number as u64)
    }

    /// Succeeds if the file is open.
    pub fn known(&self, number: u64) -> Done {
        self.get(number)?;
        Ok(0)
    }

    /// close.
    pub fn close(&mut self, number: u64) -> Done {
        self.get(number)?;
        self.open[number as u32 as usize] = None;
        Ok(0)
    }

    /// read.
    pub fn read(&self, arena: &mut Arena, number: u64, at: u64, len: u64) -> Done {
        let fd = self.get(number)?;
        Ok(rustix::io::read(fd, arena.writable(at, len).ok_or(Errno::FAULT)?)? as u64)
    }

    /// pread64.
    pub fn pread(&self, arena: &mut Arena, number: u64, at: u64, len: u64, offset: u64) -> Done {
        let fd = self.get(number)?;
        Ok(rustix::io::pread(fd, arena.writable(at, len).ok_or(Errno::FAULT)?, offset)? as u64)
    }

    /// write.
    pub fn write(&self, arena: &Arena, signals: &Signals, number: u64, at: u64, len: u64) -> Done {
        let fd = self.get(number)?;
        let bytes = arena.readable(at, len).ok_or(Errno::FAULT)?;
        written(rustix::io::write(fd, bytes), signals)
    }

    /// readv, as one read after the other.
    pub fn readv(&self, arena: &mut Arena, number: u64, at: u64, count: u64) -> Done {
        let mut all = 0;
        for (at, len) in parts(arena, at, count)? {
            let got = match self.read(arena, number, at, len) {
                Err(_) if all != 0 => break,
                other => other?,
            };
            all += got;
            if got < len {
                break;
            }
        }
        Ok(all)
    }

    /// writev.
    pub fn writev(&self, arena: &Arena, signals: &Signals, number: u64, at: u64, count: u64) -> Done {
        let fd = self.get(number)?;
        let slices: Vec<IoSlice<'_>> = parts(arena, at, count)?
            .into_iter()
            .map(|(at, len)| arena.readable(at, len).map(IoSlice::new).ok_or(Errno::FAULT))
            .collect::<Result<_, _>>()?;
        written(rustix::io::writev(fd, &slices), signals)
    }

    /// lseek.
    pub fn seek(&self, number: u64, offset: u64, whence: u64) -> Done {
        let fd = self.get(number)?;
        let to = match whence as i32 {
            libc::SEEK_SET if offset as i64 >= 0 => SeekFrom::Start(offset),
            libc::SEEK_CUR => SeekFrom::Current(offset as i64),
            libc::SEEK_END => SeekFrom::End(offset as i64),
            _ => return Err(Errno::INVAL.into()),
        };
        Ok(fs::seek(fd, to)?)
    }

    /// ftruncate.
    pub fn truncate(&self, number: u64, len: u64) -> Done {
        fs::ftruncate(self.get(number)?, len)?;
        Ok(0)
    }

    /// dup and F_DUPFD.
    pub fn duplicate(&mut self, number: u64, least: u64) -> Done {
        let fd = rustix::io::fcntl_dupfd_cloexec(self.get(number)?, 0)?;
        self.put(fd, least)
    }

    /// dup2 and dup3.
    pub fn duplicate_to(&mut self, number: u64, to: u64) -> Done {
        self.get(number)?;
        if to >= MOST as u64 {
            return Err(Errno::BADF.into());
        }
        if number != to {
            let fd = rustix::io::fcntl_dupfd_cloexec(self.get(number)?, 0)?;
            if let Some(place) = self.open.get_mut(to as usize) {
                *place = None;
            }
            self.put(fd, to)?;
        }
        Ok(to)
    }

    /// fcntl.
    pub fn control(&mut self, number: u64, command: u64, argument: u64) -> Done {
        let fd = self.get(number)?;
        match command as i32 {
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => self.duplicate(number, argument),
            libc::F_GETFD | libc::F_SETFD | libc::F_SETFL => Ok(0),
            libc::F_GETFL => Ok(fs::fcntl_getfl(fd)?.bits().into()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    /// ioctl: nothing is a terminal.
    pub fn device_control(&self, number: u64) -> Done {
        self.get(number)?;
        Err(Errno::NOTTY.into())
    }

    /// pipe and pipe2.
    pub fn pipe(&mut self, arena: &mut Arena, at: u64) -> Done {
        let (from, to) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let from = self.put(from, 0)?;
        let to = self.put(to, 0)?;
        store(arena, at, &(from | to << 32).to_le_bytes())
    }

    /// poll.
    pub fn poll(&self, arena: &mut Arena, at: u64, count: u64, timeout: u64) -> Done {
        const SIZE: u64 = 8;
        if count > MOST as u64 {
            return Err(Errno::INVAL.into());
        }
        let asked: Vec<[u8; SIZE as usize]> =
            (0..count).map(|i| load(arena, at.wrapping_add(i * SIZE))).collect::<Result<_, _>>()?;
        let mut answers = vec![0u16; asked.len()];
        let mut known = Vec::new();
        for (i, &[a, b, c, d, e, f, ..]) in asked.iter().enumerate() {
            let number = i32::from_le_bytes([a, b, c, d]);
            match self.get(number as u64) {
                _ if number < 0 => {}
                Ok(fd) => {
                    let events = PollFlags::from_bits_retain(u16::from_le_bytes([e, f]));
                    known.push((i, PollFd::from_borrowed_fd(fd, events)));
                }
                Err(_) => answers[i] = PollFlags::NVAL.bits(),
            }
        }
        let (places, mut fds): (Vec<usize>, Vec<PollFd<'_>>) = known.into_iter().unzip();
        // A file that is not open is an answer at once.
        let milliseconds = if answers.iter().any(|&answer| answer != 0) { 0 } else { timeout as i32 };
        let wait = rustix::event::Timespec {
            tv_sec: (milliseconds / 1000).into(),
            tv_nsec: (milliseconds % 1000 * 1_000_000).into(),
        };
        rustix::event::poll(&mut fds, (milliseconds >= 0).then_some(&wait))?;
        for (place, fd) in places.into_iter().zip(fds) {
            answers[place] = fd.revents().bits();
        }
        for (i, answer) in answers.iter().enumerate() {
            store(arena, at.wrapping_add(i as u64 * SIZE + 6), &answer.to_le_bytes())?;
        }
        Ok(answers.iter().filter(|&&answer| answer != 0).count() as u64)
    }

    /// open and openat.
    pub fn open(&mut self, arena: &Arena, directory: u64, path: u64, flags: u64, mode: u64) -> Done {
        let wanted = OFlags::from_bits_retain(flags as u32);
        let fd = match self.path(arena, path)? {
            Path::Own(number) => return self.duplicate(number, 0),
            Path::Maps => maps(arena)?,
            Path::Program => fs::open(&self.program, wanted | OFlags::CLOEXEC, Mode::empty())?,
            Path::Host(path) => {
                let changes = OFlags::WRONLY | OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
                let temporary = wanted.contains(OFlags::TMPFILE);
                if !self.write && (wanted.intersects(changes) || temporary) && path.as_c_str() != c"/dev/null" {
                    return Err(Errno::ROFS.into());
                }
                let directory = self.directory_of(directory)?;
                let mode = Mode::from_bits_retain(mode as u32 & 0o7777);
                let fd = fs::openat(directory, &path, wanted | OFlags::CLOEXEC, mode)?;
                foreign(&fd)?;
                fd
            }
        };
        self.put(fd, 0)
    }

    /// The bytes of a file for a mapping of it at `at`.
    pub fn fill(&self, arena: &mut Arena, at: u64, len: u64, number: u64, offset: u64) -> Result<(), Stop> {
        if !offset.is_multiple_of(PAGE) {
            return Err(Errno::INVAL.into());
        }
        let fd = self.get(number)?;
        let mut rest = arena.writable(at, len).ok_or(Errno::FAULT)?;
        let mut offset = offset;
        while !rest.is_empty() {
            let got = rustix::io::pread(fd, &mut *rest, offset)?;
            if got == 0 {
                break;
            }
            offset += got as u64;
            rest = &mut rest[got..];
        }
        Ok(())
    }

    /// stat, lstat, fstat, newfstatat.
    pub fn stat(&self, arena: &mut Arena, directory: u64, path: Option<u64>, at: u64, flags: u64) -> Done {
        let flags = AtFlags::from_bits_retain(flags as u32);
        let stat = match path {
            Some(path) if !self.is_empty(arena, path, flags)? => match self.path(arena, path)? {
                Path::Own(number) => fs::fstat(self.get(number)?)?,
                Path::Maps => fs::fstat(maps(arena)?)?,
                Path::Program => fs::stat(&self.program)?,
                Path::Host(path) => fs::statat(self.directory_of(directory)?, &path, flags)?,
            },
            _ if directory as i32 == libc::AT_FDCWD => fs::stat(c".")?,
            _ => fs::fstat(self.get(directory)?)?,
        };
        store(arena, at, &abi::stat(&stat))
    }

    /// statx.
    pub fn statx(&self, arena: &mut Arena, directory: u64, path: u64, flags: u64, mask: u64, at: u64) -> Done {
        let flags = AtFlags::from_bits_retain(flags as u32);
        let mask = StatxFlags::from_bits_retain(mask as u32);
        let of = |fd: BorrowedFd<'_>| fs::statx(fd, c"", AtFlags::EMPTY_PATH, mask);
        let statx = if self.is_empty(arena, path, flags)? {
            if directory as i32 == libc::AT_FDCWD {
                fs::statx(fs::CWD, c".", flags, mask)
            } else {
                of(self.get(directory)?)
            }
        } else {
            match self.path(arena, path)? {
                Path::Own(number) => of(self.get(number)?),
                Path::Maps => of(maps(arena)?.as_fd()),
                Path::Program => fs::statx(fs::CWD, &self.program, flags, mask),
                Path::Host(path) => fs::statx(self.directory_of(directory)?, &path, flags, mask),
            }
        }?;
        store(arena, at, &abi::statx(&statx))
    }

    /// Does AT_EMPTY_PATH name the file by its number?
    fn is_empty(&self, arena: &Arena, path: u64, flags: AtFlags) -> Result<bool, Errno> {
        Ok(flags.contains(AtFlags::EMPTY_PATH) && (path == 0 || load::<1>(arena, path)? == [0]))
    }

    /// access, faccessat.
    pub fn access(&self, arena: &Arena, directory: u64, path: u64, mode: u64) -> Done {
        let mode = fs::Access::from_bits(mode as u32).ok_or(Errno::INVAL)?;
        match self.path(arena, path)? {
            Path::Own(number) => return self.known(number),
            Path::Maps => {}
            Path::Program => fs::access(&self.program, mode)?,
            Path::Host(_) if !self.write && mode.contains(fs::Access::WRITE_OK) => return Err(Errno::ROFS.into()),
            Path::Host(path) => fs::accessat(self.directory_of(directory)?, &path, mode, AtFlags::empty())?,
        }
        Ok(0)
    }

    /// readlink, readlinkat.
    pub fn read_link(&self, arena: &mut Arena, directory: u64, path: u64, at: u64, len: u64) -> Done {
        let target = match self.path(arena, path)? {
            Path::Program => self.program.clone(),
            Path::Own(_) | Path::Maps => return Err(Errno::INVAL.into()),
            Path::Host(path) => fs::readlinkat(self.directory_of(directory)?, &path, Vec::new())?,
        };
        let target = target.to_bytes();
        let len = target.len().min(usize::try_from(len as i32).map_err(|_| Errno::INVAL)?);
        store(arena, at, &target[..len])?;
        Ok(len as u64)
    }

    /// getdents64.
    pub fn entries(&self, arena: &mut Arena, number: u64, at: u64, len: u64) -> Done {
        /// Bytes before the name.
        const HEAD: usize = 19;
        let fd = self.get(number)?;
        let room = arena.writable(at, len).ok_or(Errno::FAULT)?;
        // The host's entries have the same layout, so that those that fit in as many bytes of ours fit in the program's.
        let mut buffer = vec![MaybeUninit::uninit(); room.len().min(1 << 16)];
        let mut entries = RawDir::new(fd, &mut buffer);
        let mut used = 0;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes_with_nul();
            let size = (HEAD + name.len()).next_multiple_of(8);
            let Some(place) = room.get_mut(used..used + size) else { return Err(Errno::INVAL.into()) };
            place.fill(0);
            place[..8].copy_from_slice(&entry.ino().to_le_bytes());
            place[8..16].copy_from_slice(&entry.next_entry_cookie().to_le_bytes());
            place[16..18].copy_from_slice(&(size as u16).to_le_bytes());
            place[18] = (entry.file_type().as_raw_mode() >> 12) as u8;
            place[HEAD..HEAD + name.len()].copy_from_slice(name);
            used += size;
            if entries.is_buffer_empty() {
                break;
            }
        }
        Ok(used as u64)
    }

    /// getcwd.
    pub fn directory(&self, arena: &mut Arena, at: u64, len: u64) -> Done {
        let path = rustix::process::getcwd(Vec::new())?;
        let path = path.as_bytes_with_nul();
        if (path.len() as u64) > len {
            return Err(Errno::RANGE.into());
        }
        store(arena, at, path)?;
        Ok(path.len() as u64)
    }

    /// A path, with what is this process's own in it replaced by what is the program's.
    fn path(&self, arena: &Arena, at: u64) -> Result<Path, Errno> {
        let path = text(arena, at)?;
        let bytes = path.to_bytes();
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let own = match bytes {
            b"/dev/stdin" => Some(0),
            b"/dev/stdout" => Some(1),
            b"/dev/stderr" => Some(2),
            _ => bytes.strip_prefix(b"/dev/fd/").and_then(number),
        };
        if let Some(own) = own {
            return Ok(Path::Own(own));
        }
        let me = rustix::process::getpid().as_raw_nonzero().to_string();
        let Some(rest) = bytes.strip_prefix(b"/proc/") else { return Ok(Path::Host(path)) };
        let mine = [&b"self/"[..], b"thread-self/", &[me.as_bytes(), b"/"].concat()];
        let Some(rest) = mine.iter().find_map(|prefix| rest.strip_prefix(*prefix)) else {
            return Ok(Path::Host(path));
        };
        match rest {
            b"exe" => Ok(Path::Program),
            b"maps" => Ok(Path::Maps),
            _ => rest.strip_prefix(b"fd/").and_then(number).map(Path::Own).ok_or(Errno::ACCESS),
        }
    }
}

/// Refuses what `/proc` says of this process, by whatever path it was found.
fn foreign(fd: &OwnedFd) -> Result<(), Errno> {
    const PROC: i64 = 0x9fa0;
    if fs::fstatfs(fd)?.f_type != PROC {
        return Ok(());
    }
    use std::os::fd::AsRawFd;
    let path = fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    let mine = format!("/proc/{}", rustix::process::getpid().as_raw_nonzero());
    let rest = path.to_bytes().strip_prefix(mine.as_bytes());
    if rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/') { Err(Errno::ACCESS) } else { Ok(()) }
}

/// `/proc/self/maps` as the program should see it.
fn maps(arena: &Arena) -> Result<OwnedFd, Errno> {
    let mut text = String::new();
    let pages = arena.pages();
    let mut start = 0;
    while start < pages.len() {
        let state = pages[start];
        let end = pages[start..].iter().position(|&page| page != state).map_or(pages.len(), |n| start + n);
        if state & page::MAPPED != 0 {
            let bit = |bit, letter| if state & bit != 0 { letter } else { '-' };
            let name = if end == pages.len() { "[stack]" } else { "" };
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:08x}-{:08x} {}{}{}p 00000000 00:00 0 {name}",
                start as u64 * PAGE,
                end as u64 * PAGE,
                bit(page::READ, 'r'),
                bit(page::WRITE, 'w'),
                bit(page::EXECUTE, 'x')
            );
        }
        start = end;
    }
    let file = fs::memfd_create(c"maps", fs::MemfdFlags::CLOEXEC)?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&file, rest)?..];
    }
    fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

/// What a write gives; one to a pipe that nobody reads can end the program.
fn written(result: Result<usize, Errno>, signals: &Signals) -> Done {
    match result {
        Err(Errno::PIPE) if signals.is_default(libc::SIGPIPE) => Err(End::Signal(libc::SIGPIPE as u8).into()),
        other => Ok(other? as u64),
    }
}

/// A text that ends in a zero.
fn text(arena: &Arena, at: u64) -> Result<CString, Errno> {
    let room = PAGE - at % PAGE;
    let first = arena.readable(at, room).ok_or(Errno::FAULT)?;
    if let Ok(text) = CStr::from_bytes_until_nul(first) {
        return Ok(text.into());
    }
    let whole = arena.readable(at, PATH).ok_or(Errno::FAULT)?;
    CStr::from_bytes_until_nul(whole).map(CString::from).map_err(|_| Errno::NAMETOOLONG)
}

/// The parts of a readv or writev.
fn parts(arena: &Arena, at: u64, count: u64) -> Result<Vec<(u64, u64)>, Errno> {
    if count > PARTS {
        return Err(Errno::INVAL);
    }
    let part = |i: u64| {
        let at = at.checked_add(i * 16).ok_or(Errno::FAULT)?;
        Ok((load_u64(arena, at)?, load_u64(arena, at.wrapping_add(8))?))
    };
    (0..count).map(part).collect()
}
