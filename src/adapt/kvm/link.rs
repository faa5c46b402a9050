//! The monitor's bus and platform as the engine sees them while it finishes an instruction: extended state comes from the
//! kernel, and reads that the kernel has made already are answered with what it got.

use super::{Error, Ioctls, load_xcrs, load_xsave, load_xsave2, store_xcrs, store_xsave, store_xsave2};
use crate::bus::{Access, AccessKind, Bus, Modify, Platform, Vmm, forward_bus, forward_platform};
use crate::cpu::xsave::{COMPONENTS, Layout};
use crate::host::HostRam;
use crate::{Cpu, Stop};
use kvm_bindings::{Msrs, Xsave, kvm_msr_entry, kvm_regs, kvm_xsave};
use kvm_ioctls::VcpuFd;

/// Device reads that the kernel makes for one instruction, at most.
const READS: usize = 64;

/// Device reads that the kernel has made for an instruction that it has not ended, in order.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The instruction's RIP, and RCX, which tells the iterations of a repeated one apart.
    of: (u64, u64),
    list: Vec<Read>,
    /// How many of the list have answered the engine.
    used: usize,
}

/// Guest-physical address and bytes of a piece.
#[derive(Clone, Copy, Debug)]
struct Read {
    at: u64,
    bytes: [u8; 8],
    len: usize,
}

impl Reads {
    /// Notes a piece that the kernel was given. False if there are too many.
    pub(super) fn note(&mut self, regs: &kvm_regs, at: u64, data: &[u8]) -> bool {
        self.keep_for(regs);
        if self.list.len() == READS {
            return false;
        }
        let mut bytes = [0; 8];
        let len = data.len().min(8);
        bytes[..len].copy_from_slice(&data[..len]);
        self.list.push(Read { at, bytes, len });
        true
    }

    /// Forgets what belongs to another instruction or iteration.
    pub(super) fn keep_for(&mut self, regs: &kvm_regs) {
        let of = (regs.rip, regs.rcx);
        if self.of != of {
            self.clear();
            self.of = of;
        }
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.used = 0;
    }

    /// How many have answered the engine.
    pub(super) fn used(&self) -> u32 {
        self.used as u32
    }

    fn is_open(&self) -> bool {
        self.used < self.list.len()
    }

    /// Fills as much of `buf` as was read at `at`, and says how much.
    fn answer(&mut self, at: u64, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(read) = self.list.get(self.used)
            && read.at == at + done as u64
            && read.len <= buf.len() - done
        {
            buf[done..done + read.len].copy_from_slice(&read.bytes[..read.len]);
            done += read.len;
            self.used += 1;
        }
        done
    }
}

/// The image that KVM_GET_XSAVE gave, in the structure that it came in.
#[derive(Debug)]
pub(super) enum Image {
    Plain(Box<kvm_xsave>),
    Large(Xsave),
}

/// What belongs to one virtual processor for longer than one instruction.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) layout: Layout,
    /// Bytes that KVM_GET_XSAVE2 gives; 0 if the kernel has none.
    pub(super) xsave2: usize,
    pub(super) reads: Reads,
    pub(super) ioctls: Ioctls,
    /// Why a callback ended the step.
    pub(super) failure: Option<Error>,
    /// The image that the state of this instruction came from.
    image: Option<Image>,
}

/// The code of [`Stop::Caller`] when [`Link::failure`] says why.
const FAILED: u64 = u64::from_le_bytes(*b"kvmioctl");

impl Link {
    pub(super) fn new(layout: Layout, xsave2: usize) -> Link {
        Link { layout, xsave2, reads: Reads::default(), ioctls: Ioctls::default(), failure: None, image: None }
    }

    /// Before each instruction.
    pub(super) fn begin(&mut self) {
        (self.ioctls, self.failure, self.image) = (Ioctls::default(), None, None);
    }

    /// Fetches `components`.
    pub(super) fn get_xsave(&mut self, vcpu: &VcpuFd, cpu: &mut Cpu, components: u64) -> Result<(), Error> {
        self.need_image(vcpu)?;
        match &self.image {
            Some(Image::Plain(image)) => load_xsave(cpu, image, &self.layout, components)?,
            Some(Image::Large(image)) => load_xsave2(cpu, image, &self.layout, components)?,
            None => {}
        }
        Ok(())
    }

    fn need_image(&mut self, vcpu: &VcpuFd) -> Result<(), Error> {
        if self.image.is_none() {
            self.ioctls.get_xsave += 1;
            self.image = Some(self.fetch_image(vcpu)?);
        }
        Ok(())
    }

    fn fetch_image(&self, vcpu: &VcpuFd) -> Result<Image, Error> {
        let plain = size_of::<kvm_xsave>();
        if self.xsave2 <= plain {
            let image = vcpu.get_xsave().map_err(Error::ioctl("KVM_GET_XSAVE"))?;
            return Ok(Image::Plain(Box::new(image)));
        }
        let words = (self.xsave2 - plain).div_ceil(size_of::<u32>());
        let enomem = |_| Error::Ioctl("KVM_GET_XSAVE2", std::io::ErrorKind::OutOfMemory.into());
        let mut image = Xsave::new(words).map_err(enomem)?;
        // SAFETY: the structure has the size that KVM_CHECK_EXTENSION(KVM_CAP_XSAVE2) gave for this virtual machine.
        unsafe { vcpu.get_xsave2(&mut image) }.map_err(Error::ioctl("KVM_GET_XSAVE2"))?;
        Ok(Image::Large(image))
    }

    /// Gives back what the instruction has changed.
    pub(super) fn set_xsave(&mut self, vcpu: &VcpuFd, cpu: &mut Cpu) -> Result<(), Error> {
        let dirty = cpu.dirty & cpu.valid & COMPONENTS;
        if dirty == 0 {
            return Ok(());
        }
        self.need_image(vcpu)?;
        self.ioctls.set_xsave += 1;
        match &mut self.image {
            Some(Image::Plain(image)) => {
                store_xsave(cpu, image, &self.layout, dirty)?;
                // SAFETY: the kernel gave this image for the same virtual processor, so it has the kernel's size.
                unsafe { vcpu.set_xsave(image) }.map_err(Error::ioctl("KVM_SET_XSAVE"))?;
            }
            Some(Image::Large(image)) => {
                store_xsave2(cpu, image, &self.layout, dirty)?;
                // SAFETY: as above.
                unsafe { vcpu.set_xsave2(image) }.map_err(Error::ioctl("KVM_SET_XSAVE"))?;
            }
            None => {}
        }
        cpu.dirty &= !dirty;
        Ok(())
    }

    pub(super) fn get_xcr0(&mut self, vcpu: &VcpuFd, cpu: &mut Cpu) -> Result<(), Error> {
        self.ioctls.get_xcrs += 1;
        let xcrs = vcpu.get_xcrs().map_err(Error::ioctl("KVM_GET_XCRS"))?;
        load_xcrs(cpu, &xcrs);
        Ok(())
    }

    pub(super) fn set_xcr0(&mut self, vcpu: &VcpuFd, cpu: &Cpu) -> Result<(), Error> {
        self.ioctls.get_xcrs += 1;
        let mut xcrs = vcpu.get_xcrs().map_err(Error::ioctl("KVM_GET_XCRS"))?;
        store_xcrs(cpu, &mut xcrs);
        self.ioctls.set_xcrs += 1;
        vcpu.set_xcrs(&xcrs).map_err(Error::ioctl("KVM_SET_XCRS"))
    }
}

/// The monitor with the kernel behind it.
pub(super) struct Linked<'a, V: Vmm> {
    pub(super) vmm: &'a mut V,
    pub(super) vcpu: &'a VcpuFd,
    pub(super) link: &'a mut Link,
}

impl<V: Vmm> Linked<'_, V> {
    fn fail<T>(&mut self, error: Error) -> Result<T, Stop> {
        self.link.failure = Some(error);
        Err(Stop::Caller(FAILED))
    }

    /// The guest-physical address, if the guest's page tables have one.
    fn translate(&mut self, linear: u64) -> Result<Option<u64>, Stop> {
        self.link.ioctls.translate += 1;
        match self.vcpu.translate_gva(linear) {
            Ok(found) => Ok((found.valid != 0).then_some(found.physical_address)),
            Err(error) => self.fail(Error::ioctl("KVM_TRANSLATE")(error)),
        }
    }

    fn msr(&mut self, index: u32) -> Result<u64, Stop> {
        let mut list = match Msrs::from_entries(&[kvm_msr_entry { index, ..kvm_msr_entry::default() }]) {
            Ok(list) => list,
            Err(_) => return Err(Stop::NotProvided("model-specific registers")),
        };
        self.link.ioctls.get_msrs += 1;
        match self.vcpu.get_msrs(&mut list) {
            Ok(1) => Ok(list.as_slice()[0].data),
            // A register that the kernel does not have is one that the guest has not.
            Ok(_) => Err(crate::Event::gp0("no such model-specific register").into()),
            Err(error) => self.fail(Error::ioctl("KVM_GET_MSRS")(error)),
        }
    }
}

/// IA32_TIME_STAMP_COUNTER.
const TSC: u32 = 0x10;

#[deny(clippy::missing_trait_methods)]
impl<V: Vmm> Bus for Linked<'_, V> {
    forward_bus!(this => this.vmm; fetch, write, probe, code, generation, follow, enqueue, peek);

    #[inline]
    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        if !self.link.reads.is_open() {
            return self.vmm.read(linear, buf, access);
        }
        let Some(at) = self.translate(linear)? else { return self.vmm.read(linear, buf, access) };
        let done = self.link.reads.answer(at, buf);
        if done == buf.len() {
            return Ok(());
        }
        let rest = Access { offset: access.offset + done as u16, ..*access };
        self.vmm.read(linear + done as u64, &mut buf[done..], &rest)
    }

    /// What the kernel has read already is no part of one atomic operation any more.
    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        if self.link.reads.is_open() {
            return Ok(false);
        }
        self.vmm.rmw(linear, old, modify, access)
    }

    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if self.link.reads.is_open() && access.kind != AccessKind::Fetch {
            return Ok(None);
        }
        self.vmm.ram(linear, len, access)
    }

    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        if self.link.reads.is_open() {
            return Ok(None);
        }
        self.vmm.ram_across(linear, len, access)
    }

    fn takes_blocks(&mut self, linear: u64, len: usize, access: &Access) -> bool {
        !self.link.reads.is_open() && self.vmm.takes_blocks(linear, len, access)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<V: Vmm> Platform for Linked<'_, V> {
    forward_platform!(
        this => this.vmm;
        port_in, port_out, cpuid, random, read_counter, invalidate, paging, cache, ferr, stop_others, resume_others,
        progress, interrupt_pending, host_fpu_begin, host_fpu_end,
    );

    fn load_state(&mut self, cpu: &mut Cpu, components: u64) -> Result<(), Stop> {
        match self.link.get_xsave(self.vcpu, cpu, components) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(error),
        }
    }

    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        match self.vmm.read_msr(index) {
            Err(Stop::NotProvided(_)) => self.msr(index),
            answer => answer,
        }
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        match self.vmm.write_msr(index, value) {
            Err(Stop::NotProvided(what)) => {
                let entry = kvm_msr_entry { index, data: value, ..kvm_msr_entry::default() };
                let Ok(list) = Msrs::from_entries(&[entry]) else { return Err(Stop::NotProvided(what)) };
                self.link.ioctls.set_msrs += 1;
                match self.vcpu.set_msrs(&list) {
                    Ok(1) => Ok(()),
                    Ok(_) => Err(crate::Event::gp0("the model-specific register does not take that value").into()),
                    Err(error) => self.fail(Error::ioctl("KVM_SET_MSRS")(error)),
                }
            }
            answer => answer,
        }
    }

    fn time(&mut self) -> Result<u64, Stop> {
        match self.vmm.time() {
            Err(Stop::NotProvided(_)) => self.msr(TSC),
            answer => answer,
        }
    }
}
