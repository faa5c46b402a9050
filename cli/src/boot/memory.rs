//! Guest RAM, and the only `unsafe` of the reference monitor.

use encore86::host::{CodePage, HostRam};
use std::io;
use std::ptr::NonNull;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// RAM from guest-physical 0 on, zero at first; host memory is taken as the guest touches it.
///
/// It is reached by grants alone, so that no Rust reference to it ever exists.
#[derive(Debug)]
pub struct Ram {
    map: GuestMemoryMmap,
    start: NonNull<u8>,
    size: u64,
}

impl Ram {
    /// Maps `size` bytes.
    ///
    /// # Errors
    /// What the host says when it has no such range.
    pub fn new(size: usize) -> io::Result<Ram> {
        let map = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), size)]).map_err(io::Error::other)?;
        let start = map.get_host_address(GuestAddress(0)).ok().and_then(NonNull::new);
        let start = start.ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Ram { map, start, size: size as u64 })
    }

    /// The same for rust-vmm's crates.
    pub fn guest_memory(&self) -> &GuestMemoryMmap {
        &self.map
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives all of it to a virtual machine, at the same guest-physical addresses.
    ///
    /// # Errors
    /// What KVM_SET_USER_MEMORY_REGION answers.
    #[cfg(feature = "kvm")]
    pub fn give_to(&self, vm: &kvm_ioctls::VmFd, slot: u32, at: u64) -> Result<(), kvm_ioctls::Error> {
        let region = kvm_bindings::kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: at,
            memory_size: self.size(),
            userspace_addr: self.start.as_ptr() as u64,
        };
        // SAFETY: the range is this mapping, of which no Rust reference exists, and which the caller keeps for as long as the
        // guest runs; if it went earlier, the guest's accesses would fail.
        unsafe { vm.set_user_memory_region(region) }
    }

    /// The host's view of `len` bytes at `at`; `None` unless all of them are RAM.
    pub fn grant(&mut self, at: u64, len: usize) -> Option<HostRam<'_>> {
        let end = at.checked_add(len as u64)?;
        if end > self.size() {
            return None;
        }
        // SAFETY: `at..at + len` lies inside the mapping, which is readable and writable and lives as long as `self`.
        // The pointer never leaves this file but as a grant, and the grant holds `self` exclusively.
        Some(unsafe { HostRam::new(self.start.add(at as usize), len) })
    }

    /// The page around `at`, for fetches; `None` unless all of it is RAM.
    pub fn code(&self, at: u64) -> Option<CodePage> {
        let page = at & !(CodePage::SIZE as u64 - 1);
        if page.checked_add(CodePage::SIZE as u64)? > self.size {
            return None;
        }
        // SAFETY: the page lies inside the mapping, which stays as it is for as long as the machine that it belongs to; the machine's
        // generation never changes. No Rust reference to it exists.
        Some(unsafe { CodePage::new(self.start.add(page as usize)) })
    }

    /// Copies out; false, and nothing done, unless all of it is RAM.
    pub fn load(&mut self, at: u64, buf: &mut [u8]) -> bool {
        self.grant(at, buf.len()).map(|ram| ram.load(buf)).is_some()
    }

    /// Copies in; false, and nothing done, unless all of it is RAM.
    pub fn store(&mut self, at: u64, data: &[u8]) -> bool {
        self.grant(at, data.len()).map(|ram| ram.store(data)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_the_end_is_granted() {
        let mut ram = Ram::new(0x1000).unwrap();
        assert!(ram.store(0xffe, &[1, 2]));
        assert!(!ram.store(0xfff, &[3, 4]), "one byte inside, one outside");
        let mut got = [0; 2];
        assert!(ram.load(0xffe, &mut got));
        assert_eq!(got, [1, 2], "the refused store left no byte behind");
        assert!(ram.grant(0x1000, 1).is_none());
        assert!(ram.grant(u64::MAX, 2).is_none(), "the sum wraps");
    }
}
