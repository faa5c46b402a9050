//! Finishes the instructions that KVM began and gave up on, feature `kvm`.
//!
//! A monitor that runs its guest with kvm-ioctls has one [`Finisher`] a virtual processor. Where KVM_RUN comes back with
//! KVM_EXIT_INTERNAL_ERROR because the kernel could not emulate the instruction (a vector store to a device, say),
//! [`Finisher::finish`] runs that instruction on the engine and the guest can go on.
//!
//! ```no_run
//! use encore86::adapt::kvm::{Capabilities, End, Finisher};
//! use encore86::{Engine, Profile};
//! use kvm_ioctls::{Kvm, VcpuExit};
//! # use encore86::{Access, Bus, Platform, Stop};
//! # struct Machine;
//! # impl Machine { fn read(&mut self, _: u64, _: &mut [u8]) {} fn write(&mut self, _: u64, _: &[u8]) {} }
//! # impl Platform for Machine {}
//! # impl Bus for Machine {
//! #     fn fetch(&mut self, _: u64, _: &mut [u8; 15], _: &Access) -> Result<usize, Stop> { Ok(15) }
//! #     fn read(&mut self, _: u64, _: &mut [u8], _: &Access) -> Result<(), Stop> { Ok(()) }
//! #     fn write(&mut self, _: u64, _: &[u8], _: &Access) -> Result<(), Stop> { Ok(()) }
//! #     fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> { Ok(()) }
//! # }
//! # let mut machine = Machine; // `Bus` and `Platform`, at linear addresses
//! # let kvm = Kvm::new()?;
//! # let vm = kvm.create_vm()?;
//! # let mut vcpu = vm.create_vcpu(0)?;
//! let cpuid = kvm.get_supported_cpuid(kvm_bindings::KVM_MAX_CPUID_ENTRIES)?;
//! vcpu.set_cpuid2(&cpuid)?;
//! let capabilities = Capabilities::enable(&vm)?;
//! let engine = Engine::new(Profile::from_cpuid2(cpuid.as_slice()))?;
//! let mut finisher = Finisher::new(engine, capabilities)?;
//! finisher.arm(&mut vcpu);
//! loop {
//!     match vcpu.run()? {
//!         VcpuExit::MmioWrite(at, data) => machine.write(at, data),
//!         VcpuExit::MmioRead(at, data) => {
//!             machine.read(at, data);
//!             // The kernel may read more, or give up and have the engine answer from what it has read.
//!             let done = finisher.finish(&mut vcpu, &mut machine)?;
//!             if done.end == End::Exit { /* the next exit is in `kvm_run` already */ }
//!         }
//!         VcpuExit::InternalError => match finisher.finish(&mut vcpu, &mut machine)?.end {
//!             End::Completed(_) | End::Injected(_) => {}
//!             other => panic!("{other:?}"),
//!         },
//!         other => panic!("{other:?}"),
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it costs
//! Registers, segments and events come with the exit where the kernel has KVM_CAP_SYNC_REGS, and go back with the next
//! KVM_RUN: an integer instruction makes no ioctl at all. Vector and x87 state is fetched by KVM_GET_XSAVE only for an
//! instruction that touches it, XCR0 only for one that depends on it, and both go back only if they have changed.
//! [`Finished::ioctls`] counts what was made.

mod events;
mod finish;
mod link;
mod profile;
mod state;

pub use finish::{By, End, Finished, Finisher, Mmio, Refusal, mmio};
pub use state::{
    MSRS, XFD_MSRS, debug_regs, host_layout, load_debug_regs, load_msrs, load_regs, load_sregs, load_xcrs, load_xsave,
    load_xsave2, msrs, regs, store_sregs, store_xcrs, store_xsave, store_xsave2, xfd_msrs,
};

use crate::cpu::xsave::ImageError;
use core::fmt;
use kvm_bindings::{KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_SYNC_REGS, KVM_CAP_XSAVE2};
use kvm_bindings::{KVM_SYNC_X86_VALID_FIELDS, kvm_enable_cap};
use kvm_ioctls::VmFd;

/// What the kernel has of the capabilities that matter here, switched on for one virtual machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// KVM_CAP_EXIT_ON_EMULATION_FAILURE: the monitor is asked at every CPL. Without it, the kernel injects #UD into guests
    /// outside CPL 0, and nobody hears of the instruction.
    pub exit_on_emulation_failure: bool,
    /// KVM_CAP_EXCEPTION_PAYLOAD: CR2 and DR6 go with an exception and change when it is delivered.
    pub exception_payload: bool,
    /// Registers that come with an exit and go with KVM_RUN, bits of KVM_SYNC_X86_*.
    pub sync_regs: u32,
    /// Bytes of `kvm_xsave2`; 0 if there is none.
    pub xsave2: usize,
}

impl Capabilities {
    /// Asks the kernel for what it has, and switches on for the whole of `vm` what has to be: call it before the guest runs.
    ///
    /// # Errors
    /// What KVM_ENABLE_CAP answers.
    pub fn enable(vm: &VmFd) -> Result<Capabilities, Error> {
        let has = |cap: u32| vm.check_extension_raw(cap.into()).max(0) as u32;
        let switch_on = |cap: u32| {
            if has(cap) == 0 {
                return Ok(false);
            }
            let request = kvm_enable_cap { cap, args: [1, 0, 0, 0], ..kvm_enable_cap::default() };
            vm.enable_cap(&request).map(|()| true).map_err(Error::ioctl("KVM_ENABLE_CAP"))
        };
        Ok(Capabilities {
            exit_on_emulation_failure: switch_on(KVM_CAP_EXIT_ON_EMULATION_FAILURE)?,
            exception_payload: switch_on(KVM_CAP_EXCEPTION_PAYLOAD)?,
            sync_regs: has(KVM_CAP_SYNC_REGS) & KVM_SYNC_X86_VALID_FIELDS,
            xsave2: has(KVM_CAP_XSAVE2) as usize,
        })
    }
}

/// Why an instruction could not be brought to an end at all. The virtual processor may have been changed in part only if the
/// ioctl that failed was one that sets something.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An ioctl failed: its name and why.
    Ioctl(&'static str, std::io::Error),
    /// The kernel's image of the extended state is not one.
    Image(ImageError),
}

impl Error {
    fn ioctl(name: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Error {
        move |error| Error::Ioctl(name, std::io::Error::from_raw_os_error(error.errno()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Ioctl(name, error) => write!(f, "{name} failed: {error}"),
            Error::Image(error) => write!(f, "the kernel's extended state can't be read: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Ioctl(_, error) => Some(error),
            Error::Image(error) => Some(error),
        }
    }
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Error {
        Error::Image(error)
    }
}

/// How often each ioctl was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ioctls {
    /// KVM_RUN, to complete an access that the kernel had begun; the guest is not entered.
    pub run: u32,
    /// KVM_GET_REGS.
    pub get_regs: u32,
    /// KVM_SET_REGS.
    pub set_regs: u32,
    /// KVM_GET_SREGS.
    pub get_sregs: u32,
    /// KVM_SET_SREGS.
    pub set_sregs: u32,
    /// KVM_GET_VCPU_EVENTS.
    pub get_events: u32,
    /// KVM_SET_VCPU_EVENTS.
    pub set_events: u32,
    /// KVM_GET_XSAVE or KVM_GET_XSAVE2.
    pub get_xsave: u32,
    /// KVM_SET_XSAVE.
    pub set_xsave: u32,
    /// KVM_GET_XCRS.
    pub get_xcrs: u32,
    /// KVM_SET_XCRS.
    pub set_xcrs: u32,
    /// KVM_GET_DEBUGREGS.
    pub get_debug_regs: u32,
    /// KVM_SET_DEBUGREGS.
    pub set_debug_regs: u32,
    /// KVM_GET_MSRS.
    pub get_msrs: u32,
    /// KVM_SET_MSRS.
    pub set_msrs: u32,
    /// KVM_TRANSLATE.
    pub translate: u32,
}

impl Ioctls {
    /// All of them.
    pub fn total(&self) -> u32 {
        let get = self.get_regs + self.get_sregs + self.get_events + self.get_xsave + self.get_xcrs;
        let set = self.set_regs + self.set_sregs + self.set_events + self.set_xsave + self.set_xcrs;
        let rest = self.get_debug_regs + self.set_debug_regs + self.get_msrs + self.set_msrs;
        get + set + rest + self.run + self.translate
    }
}
