//! A bus at guest-physical addresses over any [`GuestMemory`] of the crate `vm-memory`, with a table of devices.
//!
//! RAM is reached through the memory's own slices, so that writes are marked in its bitmap, and by copies that tear no
//! aligned access of 2, 4 or 8 bytes. Locked operations run on the host address of a region that has one. Under
//! [`Paging`](crate::paging::Paging) it serves a guest with page tables:
//!
//! ```
//! use encore86::adapt::vm_memory::{Device, GuestBus};
//! use encore86::paging::{Limits, Paging};
//! use encore86::{Access, Cpu, Engine, Outcome, Profile, Stop};
//! use vm_memory::bitmap::AtomicBitmap;
//! use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
//!
//! /// Four bytes that remember.
//! struct Register([u8; 4]);
//!
//! impl Device for Register {
//!     fn read(&mut self, offset: u64, data: &mut [u8], _: &Access) -> Result<(), Stop> {
//!         data.copy_from_slice(&self.0[offset as usize..][..data.len()]);
//!         Ok(())
//!     }
//!     fn write(&mut self, offset: u64, data: &[u8], _: &Access) -> Result<(), Stop> {
//!         self.0[offset as usize..][..data.len()].copy_from_slice(data);
//!         Ok(())
//!     }
//!     fn greatest_width(&self) -> u8 {
//!         4
//!     }
//! }
//!
//! let memory = GuestMemoryMmap::<AtomicBitmap>::from_ranges(&[(GuestAddress(0), 0x10000)])?;
//! memory.write_slice(&[0x89, 0x03], GuestAddress(0x1000))?; // mov [rbx], eax
//! let mut register = Register([0; 4]);
//! let mut bus = GuestBus::new(&memory);
//! bus.map(0xd000_0000, 4, &mut register)?;
//!
//! let profile = Profile::host();
//! let mut paging = Paging::new(bus, Limits::new(&profile));
//! let mut engine = Engine::new(profile)?;
//! let mut cpu = Cpu::new(); // without paging yet: CR0.PG is clear
//! cpu.rip = 0x1000;
//! cpu.gpr[0] = 0x1122_3344;
//! cpu.gpr[3] = 0xd000_0000;
//! paging.load(&cpu).expect("there is nothing to load");
//! assert!(matches!(engine.step(&mut cpu, &mut paging), Outcome::Completed(_)));
//! assert_eq!(register.0, [0x44, 0x33, 0x22, 0x11]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::bus::{Access, AccessKind, Bus, Modify, Platform, forward_platform};
use crate::cpu::Cpu;
use crate::event::Stop;
use crate::host::{CodePage, HostRam};
use ::vm_memory::bitmap::{BS, Bitmap, BitmapSlice};
use ::vm_memory::{GuestAddress, GuestMemory, GuestMemoryBackend, Permissions, VolatileSlice};
use core::fmt;
use core::ptr::NonNull;

/// What answers at a range of guest-physical addresses instead of RAM.
pub trait Device {
    /// Fills `data` with the bytes from `offset` on; they lie within the range that it is mapped at, and are not more than
    /// [`Device::greatest_width`].
    ///
    /// # Errors
    /// As for [`Bus::read`]: [`Stop::Retry`] when the answer comes later, and nothing has been done.
    fn read(&mut self, offset: u64, data: &mut [u8], access: &Access) -> Result<(), Stop>;

    /// Takes the bytes from `offset` on.
    ///
    /// # Errors
    /// As for [`Device::read`].
    fn write(&mut self, offset: u64, data: &[u8], access: &Access) -> Result<(), Stop>;

    /// The widest access that it takes, in bytes: a power of two. Wider ones come in pieces of it, ascending.
    fn greatest_width(&self) -> u8 {
        8
    }
}

/// A device cannot be mapped where it was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RangeError {
    /// The range has no bytes.
    Empty,
    /// The range runs past the end of the address space.
    Beyond {
        /// Its first address.
        at: u64,
    },
    /// Another device is there.
    Taken {
        /// Its first address.
        at: u64,
        /// The first address of the other one.
        by: u64,
    },
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RangeError::Empty => f.write_str("a device with no bytes can't be mapped; give its length"),
            RangeError::Beyond { at } => {
                write!(f, "the device at {at:#x} runs past the end of the address space; make its range shorter")
            }
            RangeError::Taken { at, by } => {
                write!(f, "the range of the device at {at:#x} meets that of the device at {by:#x}; move one of them")
            }
        }
    }
}

impl core::error::Error for RangeError {}

/// The platform of a [`GuestBus`] that was given none: nothing is provided.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPlatform;

impl Platform for NoPlatform {}

struct Mapped<'a> {
    first: u64,
    last: u64,
    device: &'a mut dyn Device,
}

/// RAM and devices at guest-physical addresses.
///
/// A device hides the RAM at its addresses. Where there is neither, reads give all ones and writes are dropped, unless
/// [`GuestBus::otherwise`] names a device for it. No access faults.
pub struct GuestBus<'a, M: ?Sized, P = NoPlatform> {
    memory: &'a M,
    platform: P,
    /// By address, none overlapping.
    devices: Vec<Mapped<'a>>,
    otherwise: Option<&'a mut dyn Device>,
}

impl<M: ?Sized, P: fmt::Debug> fmt::Debug for GuestBus<'_, M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: Vec<_> = self.devices.iter().map(|d| d.first..=d.last).collect();
        f.debug_struct("GuestBus").field("platform", &self.platform).field("devices", &ranges).finish_non_exhaustive()
    }
}

impl<'a, M: GuestMemory + ?Sized> GuestBus<'a, M> {
    /// RAM alone, with no platform.
    pub fn new(memory: &'a M) -> GuestBus<'a, M> {
        GuestBus { memory, platform: NoPlatform, devices: Vec::new(), otherwise: None }
    }
}

impl<'a, M: GuestMemory + ?Sized, P> GuestBus<'a, M, P> {
    /// The same with a platform: ports, model-specific registers, time.
    pub fn with_platform<Q: Platform>(self, platform: Q) -> GuestBus<'a, M, Q> {
        let GuestBus { memory, devices, otherwise, .. } = self;
        GuestBus { memory, platform, devices, otherwise }
    }

    /// The platform.
    pub fn platform(&mut self) -> &mut P {
        &mut self.platform
    }

    /// Maps a device at `at`, `len` bytes long.
    ///
    /// # Errors
    /// [`RangeError`]; nothing is mapped then.
    pub fn map(&mut self, at: u64, len: u64, device: &'a mut dyn Device) -> Result<(), RangeError> {
        let more = len.checked_sub(1).ok_or(RangeError::Empty)?;
        let last = at.checked_add(more).ok_or(RangeError::Beyond { at })?;
        let place = self.devices.partition_point(|d| d.last < at);
        if let Some(other) = self.devices.get(place).filter(|d| d.first <= last) {
            return Err(RangeError::Taken { at, by: other.first });
        }
        self.devices.insert(place, Mapped { first: at, last, device });
        Ok(())
    }

    /// Names the device that answers where there is neither RAM nor another device. Its offsets are the addresses.
    pub fn otherwise(&mut self, device: &'a mut dyn Device) {
        self.otherwise = Some(device);
    }

    /// What all of `len` bytes from `at` on are.
    ///
    /// # Errors
    /// Where they are several things, or more than a device takes at once: how many to begin with.
    fn place(&mut self, at: u64, len: usize, access: &Access) -> Result<Place<'_, 'a, M>, usize> {
        let until = |next: u64| usize::try_from(next - at).map_or(len, |n| n.min(len));
        let i = self.devices.partition_point(|d| d.last < at);
        let (first, room) = match self.devices.get(i) {
            Some(d) if d.first <= at => (Some(d.first), until(d.last).saturating_add(1).min(len)),
            Some(d) => (None, until(d.first)),
            None => (None, until(u64::MAX).saturating_add(1).min(len)),
        };
        if room < len {
            return Err(room);
        }
        if let (Some(first), Some(mapped)) = (first, self.devices.get_mut(i)) {
            return Place::device(mapped.device, at - first, len);
        }
        let permissions = match access.kind {
            AccessKind::Read | AccessKind::Fetch => Permissions::Read,
            AccessKind::Write => Permissions::Write,
            AccessKind::ReadForWrite | AccessKind::Rmw => Permissions::ReadWrite,
        };
        let memory = self.memory;
        let slice = |at, len| {
            let mut slices = memory.get_slices(GuestAddress(at), len, permissions).ok()?;
            slices.next()?.ok().filter(|slice| !slice.is_empty())
        };
        match slice(at, len) {
            Some(slice) if slice.len() == len => return Ok(Place::Ram(slice)),
            Some(slice) => return Err(slice.len()),
            None => {}
        }
        // RAM may begin further on; an access is short, and this is rare.
        if let Some(n) = (1..len).find(|&n| slice(at + n as u64, 1).is_some()) {
            return Err(n);
        }
        match &mut self.otherwise {
            Some(device) => Place::device(*device, at, len),
            None => Ok(Place::Nothing),
        }
    }
}

enum Place<'b, 'a, M: GuestMemory + ?Sized> {
    Ram(VolatileSlice<'a, BS<'a, M::Bitmap>>),
    Device(&'b mut (dyn Device + 'a), u64),
    Nothing,
}

impl<'b, 'a, M: GuestMemory + ?Sized> Place<'b, 'a, M> {
    fn device(device: &'b mut (dyn Device + 'a), offset: u64, len: usize) -> Result<Self, usize> {
        let width = usize::from(device.greatest_width()).max(1);
        if len > width { Err(width) } else { Ok(Place::Device(device, offset)) }
    }
}

/// An access of several places comes again in pieces that are of one each: the engine keeps them in its journal, so that
/// a device that answers later costs no other a second access.
fn too_wide(first: usize) -> Stop {
    Stop::TooWide(1 << first.trailing_zeros().min(6))
}

/// Calls `copy` with the host's view of a slice.
fn copy<B: BitmapSlice>(slice: &VolatileSlice<'_, B>, copy: impl FnOnce(HostRam<'_>)) {
    let guard = slice.ptr_guard_mut();
    if let Some(ptr) = NonNull::new(guard.as_ptr()) {
        // SAFETY: `guard` keeps the slice's `len` bytes mapped until after the call. That guest memory is reached by
        // volatile and atomic operations alone is the contract of `vm-memory` too.
        copy(unsafe { HostRam::new(ptr, slice.len()) });
    }
}

#[deny(clippy::missing_trait_methods)]
impl<M: GuestMemory + ?Sized, P> Bus for GuestBus<'_, M, P> {
    /// As far as RAM goes; a device is asked for one byte, so that it sees no fetch of bytes that nobody needs.
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        let mut len = buf.len();
        loop {
            match self.place(at, len, access) {
                Ok(Place::Ram(slice)) => copy(&slice, |ram| ram.load(&mut buf[..len])),
                Ok(Place::Device(device, offset)) => {
                    len = 1;
                    device.read(offset, &mut buf[..1], access)?;
                }
                Ok(Place::Nothing) => buf[..len].fill(0xff),
                Err(first) => {
                    len = first;
                    continue;
                }
            }
            return Ok(len);
        }
    }

    fn read(&mut self, at: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        match self.place(at, buf.len(), access).map_err(too_wide)? {
            Place::Ram(slice) => copy(&slice, |ram| ram.load(buf)),
            Place::Device(device, offset) => device.read(offset, buf, access)?,
            Place::Nothing => buf.fill(0xff),
        }
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        match self.place(at, buf.len(), access).map_err(too_wide)? {
            Place::Ram(slice) => {
                copy(&slice, |ram| ram.store(buf));
                slice.bitmap().mark_dirty(0, buf.len());
            }
            Place::Device(device, offset) => device.write(offset, buf, access)?,
            Place::Nothing => {}
        }
        Ok(())
    }

    /// Nothing faults at physical addresses.
    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }

    fn rmw(&mut self, _: u64, _: &mut [u8], _: &mut Modify<'_>, _: &Access) -> Result<bool, Stop> {
        Ok(false)
    }

    /// RAM takes no command, and neither does a device of this interface.
    fn enqueue(&mut self, at: u64, command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        self.probe(at, command.len(), access)?;
        Ok(false)
    }

    fn ram(&mut self, at: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        let Ok(Place::Ram(slice)) = self.place(at, len, access) else { return Ok(None) };
        // Only memory that is mapped for as long as it lives says its host address, and says the same one.
        let physical = self.memory.physical_memory();
        let address = physical.and_then(|memory| memory.get_host_address(GuestAddress(at)).ok());
        let here = slice.ptr_guard_mut().as_ptr();
        let Some(ptr) = NonNull::new(here).filter(|_| address == Some(here)) else { return Ok(None) };
        if access.writes() {
            slice.bitmap().mark_dirty(0, len);
        }
        // SAFETY: the slice has `len` bytes at `ptr`, which the region keeps mapped while `self.memory` is borrowed; the
        // rest is as in `copy`.
        Ok(Some(unsafe { HostRam::new(ptr, len) }))
    }

    /// Pages of one region lie side by side.
    fn ram_across(&mut self, at: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        self.ram(at, len, access)
    }

    /// Nothing is known of devices.
    fn peek(&mut self, at: u64, buf: &mut [u8]) -> bool {
        match self.place(at, buf.len(), &Access::read(buf.len() as u16, 0)) {
            Ok(Place::Ram(slice)) => copy(&slice, |ram| ram.load(buf)),
            Ok(Place::Nothing) => buf.fill(0xff),
            Ok(Place::Device(..)) | Err(_) => return false,
        }
        true
    }

    /// None: nothing says when the memory's regions change.
    fn code(&mut self, _at: u64, _access: &Access) -> Result<Option<CodePage>, Stop> {
        Ok(None)
    }

    fn generation(&self) -> u64 {
        0
    }

    fn follow(&mut self, _cpu: &Cpu) -> Result<(), Stop> {
        Ok(())
    }

    fn takes_blocks(&mut self, at: u64, len: usize, access: &Access) -> bool {
        matches!(self.place(at, len, access), Ok(Place::Ram(_)))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<M: GuestMemory + ?Sized, P: Platform> Platform for GuestBus<'_, M, P> {
    forward_platform!(this => this.platform; all);
}
