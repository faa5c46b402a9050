//! The traits that a VMM implements.

use crate::cpu::{Cpu, System};
use crate::event::Stop;
use crate::host::{CodePage, HostRam};
use crate::profile::CpuidResult;

/// What an access is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AccessKind {
    /// A load.
    Read,
    /// The load of a read-modify-write: write permission is checked first, a store to the same bytes follows.
    ReadForWrite,
    /// A store.
    Write,
    /// An atomic read-modify-write.
    Rmw,
    /// An instruction fetch.
    Fetch,
}

/// What a page walker and a device are told about an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What it is for.
    pub kind: AccessKind,
    /// Privilege it is checked with: 3 = user.
    pub cpl: u8,
    /// Made by the processor itself (descriptors, TSS, page tables), always as supervisor.
    pub implicit: bool,
    /// To an entry of the page tables, by [`Paging`](crate::paging::Paging): the address is physical.
    pub walk: bool,
    /// A shadow-stack access.
    pub shadow_stack: bool,
    /// Part of a locked operation.
    pub locked: bool,
    /// Width in bytes of one architectural access; a block call covers several of them side by side.
    pub element: u16,
    /// Offset of this call's first byte in the architectural access, when that is taken in pieces (0 for the first).
    pub offset: u16,
}

impl Access {
    /// A plain access of `element` bytes.
    #[inline]
    pub const fn new(kind: AccessKind, element: u16, cpl: u8) -> Access {
        Access { kind, cpl, implicit: false, walk: false, shadow_stack: false, locked: false, element, offset: 0 }
    }

    /// A load of `element` bytes by the guest at privilege `cpl`.
    #[inline]
    pub const fn read(element: u16, cpl: u8) -> Access {
        Access::new(AccessKind::Read, element, cpl)
    }

    /// A store of `element` bytes by the guest at privilege `cpl`.
    #[inline]
    pub const fn write(element: u16, cpl: u8) -> Access {
        Access::new(AccessKind::Write, element, cpl)
    }

    /// Does it need write permission?
    pub const fn writes(&self) -> bool {
        matches!(self.kind, AccessKind::ReadForWrite | AccessKind::Write | AccessKind::Rmw)
    }
}

/// Computes the new value of a read-modify-write from the old one; both are `element` bytes long.
pub type Modify<'a> = dyn FnMut(&[u8], &mut [u8]) + 'a;

/// Memory at *linear* addresses: segmentation is already applied, translation is yours.
///
/// No access but that of [`Bus::ram_across`] crosses a page of 4 KiB: the engine splits those that do, after a [`Bus::probe`] of
/// all pieces.
pub trait Bus {
    /// Copies up to 15 instruction bytes from `linear` on and says how many there are. Fewer than asked for is no
    /// error as long as there is one; the engine asks again behind them if decoding needs more.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop>;

    /// Reads `buf.len()` bytes, at most 64 unless it is a block of elements. All or nothing: on `Err`, `buf` is
    /// unspecified and no device has seen the access.
    ///
    /// # Errors
    /// `Stop::Fault` with the event to inject; `Stop::Retry` when the data comes later; `Stop::TooWide` when the device
    /// wants smaller pieces; `Stop::Caller` to end the step.
    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop>;

    /// Writes `buf.len()` bytes, as [`Bus::read`] reads them.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop>;

    /// Would this access succeed? Changes nothing. Asked before an instruction that writes in several pieces.
    ///
    /// # Errors
    /// The fault that the access would raise, with CR2 the first failing byte.
    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop>;

    /// One atomic read-modify-write of `old.len()` bytes on a device that can be atomic itself: fill `old`, call `modify`,
    /// store what it gives. `Ok(false)` says that the device cannot: the engine then reads and writes, marked `locked`.
    ///
    /// # Errors
    /// As for [`Bus::read`]; all or nothing.
    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        let _ = (linear, old, modify, access);
        Ok(false)
    }

    /// The host's view of the whole range if it is plain RAM, valid until the next call on this bus. A grant for
    /// writing counts as dirtying. Locked operations run on it as real locked instructions.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        let _ = (linear, len, access);
        Ok(None)
    }

    /// The same of a range of up to 16 bytes that goes from one page into the next, where these lie side by side in the host's memory
    /// too and may both be accessed. Asked for under [`SplitLock::Native`](crate::SplitLock::Native) alone, for the one real locked
    /// instruction; `Ok(None)` lets the engine emulate it.
    ///
    /// # Errors
    /// As for [`Bus::read`]; a fault is that of the first byte which has one.
    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        let _ = (linear, len, access);
        Ok(None)
    }

    /// The whole page of 4 KiB around `linear` at its host address, if it is RAM that code may be fetched from without asking again:
    /// until [`Bus::generation`] gives another number, or [`Bus::follow`] is called. [`Engine::run`](crate::Engine::run) then reads
    /// instructions there, each time anew, and calls [`Bus::fetch`] no more.
    ///
    /// # Errors
    /// As for [`Bus::read`]; whatever they are, [`Bus::fetch`] is asked next.
    fn code(&mut self, linear: u64, access: &Access) -> Result<Option<CodePage>, Stop> {
        let _ = (linear, access);
        Ok(None)
    }

    /// Changes when a page that [`Bus::code`] has granted is no longer the guest's code: its RAM goes, another memory takes its place,
    /// it is to be watched. Asked before each instruction that is read there.
    fn generation(&self) -> u64 {
        0
    }

    /// [`Engine::run`](crate::Engine::run) is about to go on with these registers: said when it begins, and behind each instruction
    /// that may change registers which decide translation or whether interrupts come. [`Paging`](crate::paging::Paging) loads them.
    ///
    /// # Errors
    /// As for [`Bus::read`]; they end the run in front of the next instruction.
    fn follow(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        let _ = cpu;
        Ok(())
    }

    /// An enqueue store (ENQCMD, ENQCMDS) of 64 bytes, aligned, to a device's work queue; says whether the device has taken the
    /// command. Memory that is no work queue takes none.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn enqueue(&mut self, linear: u64, command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        let _ = (linear, command, access);
        Err(Stop::NotProvided("enqueue stores"))
    }

    /// What a read of these bytes would find, without reading: no device sees it, nothing is marked accessed, no permission is
    /// checked. `false` where that is not known. Asked on behalf of an [`introspect::Filter`](crate::introspect::Filter), never for
    /// the guest. By default it knows what [`Bus::ram`] grants for reading; where that has effects of its own, such as accessed
    /// bits that a page walk sets, write it.
    fn peek(&mut self, linear: u64, buf: &mut [u8]) -> bool {
        match self.ram(linear, buf.len(), &Access::read(buf.len() as u16, 0)) {
            Ok(Some(ram)) if ram.len() == buf.len() => {
                ram.load(buf);
                true
            }
            _ => false,
        }
    }

    /// Does the range take blocks of several elements in one [`Bus::read`] or [`Bus::write`]? RAM does; a device whose
    /// registers want each access for itself does not.
    fn takes_blocks(&mut self, linear: u64, len: usize, access: &Access) -> bool {
        let _ = (linear, len, access);
        false
    }
}

/// What a cache or TLB instruction asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheOp {
    /// A prefetch hint.
    Prefetch,
    /// CLFLUSH, CLFLUSHOPT, CLWB.
    Flush,
    /// INVD: all caches, without writing back. The address is 0.
    Invalidate,
    /// WBINVD. The address is 0.
    WriteBackAndInvalidate,
    /// WBNOINVD. The address is 0.
    WriteBack,
}

/// What INVPCID invalidates (SDM volume 2, its types 0 to 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invpcid {
    /// One linear address of one PCID, but not in global pages.
    Address,
    /// One PCID, but not its global pages.
    Context,
    /// Everything.
    All,
    /// Everything but global pages.
    AllButGlobal,
}

/// Which translations an instruction drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// INVLPG: those of a linear address in the current PCID, and global ones.
    Page(u64),
    /// MOV to CR3, whether its value is a new one or not: those of the new PCID that are not global. Said before CR3 is loaded, and
    /// even to a monitor that does not provide it.
    Cr3 {
        /// Bit 63 of the value: they stay.
        keep: bool,
    },
    /// INVPCID, whose descriptor has been checked.
    Pcid {
        /// Its type.
        kind: Invpcid,
        /// Its PCID.
        pcid: u16,
        /// Its linear address.
        linear: u64,
    },
}

/// The processor around the core: ports, model-specific registers, time. Each method's default says "not provided",
/// which ends the step in [`Outcome::Unsupported`](crate::Outcome::Unsupported).
pub trait Platform {
    /// Reads `buf.len()` (1, 2 or 4) bytes from an I/O port.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), Stop> {
        let _ = (port, buf);
        Err(Stop::NotProvided("port input"))
    }

    /// Writes 1, 2 or 4 bytes to an I/O port.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), Stop> {
        let _ = (port, data);
        Err(Stop::NotProvided("port output"))
    }

    /// CPUID: `answer` is what the profile says; the VMM may change it.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn cpuid(&mut self, leaf: u32, subleaf: u32, answer: CpuidResult) -> Result<CpuidResult, Stop> {
        let _ = (leaf, subleaf);
        Ok(answer)
    }

    /// Reads a model-specific register that is not kept in [`Cpu`].
    ///
    /// # Errors
    /// As for [`Bus::read`]; `Event::gp0` for a register that does not exist.
    fn read_msr(&mut self, index: u32) -> Result<u64, Stop> {
        let _ = index;
        Err(Stop::NotProvided("model-specific registers"))
    }

    /// Writes a model-specific register that is not kept in [`Cpu`].
    ///
    /// # Errors
    /// As for [`Platform::read_msr`].
    fn write_msr(&mut self, index: u32, value: u64) -> Result<(), Stop> {
        let _ = (index, value);
        Err(Stop::NotProvided("model-specific registers"))
    }

    /// The time-stamp counter.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn time(&mut self) -> Result<u64, Stop> {
        Err(Stop::NotProvided("the time-stamp counter"))
    }

    /// 64 random bits for RDRAND and RDSEED; `None` when there are none now.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn random(&mut self) -> Result<Option<u64>, Stop> {
        Err(Stop::NotProvided("random numbers"))
    }

    /// A performance-monitoring counter (RDPMC).
    ///
    /// # Errors
    /// As for [`Bus::read`]; `Event::gp0` for a counter that does not exist.
    fn read_counter(&mut self, index: u32) -> Result<u64, Stop> {
        let _ = index;
        Err(Stop::NotProvided("performance-monitoring counters"))
    }

    /// INVLPG, INVPCID and MOV to CR3. [`Paging`](crate::paging::Paging) drops its own translations and hands on.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn invalidate(&mut self, what: Invalidation) -> Result<(), Stop> {
        let _ = what;
        Err(Stop::NotProvided("TLB invalidation"))
    }

    /// CR0, CR3, CR4 or EFER are about to become those of `next`, and what follows of the instruction is translated by them.
    /// [`Paging`](crate::paging::Paging) takes them over; `keeps` says that MOV to CR3 has bit 63 set, and flushes nothing.
    ///
    /// # Errors
    /// As for [`Bus::read`]; #GP(0) for page-directory-pointer-table entries with reserved bits set.
    fn paging(&mut self, next: &System, keeps: bool) -> Result<(), Stop> {
        let _ = (next, keeps);
        Ok(())
    }

    /// A cache operation or prefetch at a linear address; nothing by default, but that operations on all caches are not
    /// provided.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn cache(&mut self, op: CacheOp, linear: u64) -> Result<(), Stop> {
        let _ = linear;
        match op {
            CacheOp::Prefetch | CacheOp::Flush => Ok(()),
            CacheOp::Invalidate | CacheOp::WriteBackAndInvalidate | CacheOp::WriteBack => {
                Err(Stop::NotProvided("operations on all caches"))
            }
        }
    }

    /// An unmasked x87 exception is pending, and CR0.NE is clear: the processor raises FERR#, which a PC makes interrupt 13 of.
    /// `Ok` says that IGNNE# is asserted, and the instruction is run in spite of the exception. A platform that wants the
    /// interrupt handled first raises it and stops: [`Stop::Caller`].
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn ferr(&mut self) -> Result<(), Stop> {
        Err(Stop::NotProvided("FERR#"))
    }

    /// Stops the other virtual processors, until [`Platform::resume_others`]: none of them runs natively or in an engine when
    /// this returns. Asked around a locked operation across a cache line, under
    /// [`SplitLock::Exclusive`](crate::SplitLock::Exclusive).
    ///
    /// # Errors
    /// As for [`Bus::read`]; nothing is stopped then.
    fn stop_others(&mut self) -> Result<(), Stop> {
        Err(Stop::NotProvided("stopping the other virtual processors"))
    }

    /// Lets them go on. Called after each [`Platform::stop_others`] that has succeeded, however the operation ended.
    fn resume_others(&mut self) {}

    /// [`Engine::run`](crate::Engine::run) has completed this many instructions, and the next is one that may ask the platform for
    /// something: so that a clock can go by the count.
    fn progress(&mut self, completed: u64) {
        let _ = completed;
    }

    /// Does an interrupt wait? Asked between the repetitions of a string instruction and, by [`Engine::run`](crate::Engine::run),
    /// every 32 instructions and behind each one that may have raised one or let it in.
    fn interrupt_pending(&mut self) -> bool {
        false
    }

    /// Fills the state `components` (bits as in XCR0) of `cpu`, which were not in `cpu.valid`.
    ///
    /// # Errors
    /// As for [`Bus::read`].
    fn load_state(&mut self, cpu: &mut Cpu, components: u64) -> Result<(), Stop> {
        let _ = (cpu, components);
        Err(Stop::NotProvided("lazily loaded state"))
    }

    /// Called before each stub, which uses host vector or x87 registers, for callers such as kernels that must save theirs.
    /// No other callback comes before [`Platform::host_fpu_end`].
    fn host_fpu_begin(&mut self) {}

    /// Called after each stub.
    fn host_fpu_end(&mut self) {}
}

/// Everything that the engine asks of a VMM.
pub trait Vmm: Bus + Platform {}
impl<T: Bus + Platform + ?Sized> Vmm for T {}

/// Writes the methods of [`Bus`] that only hand on: `forward_bus!(this => this.inner; fetch, probe)`.
///
/// An adaptor lists what it forwards and writes the rest itself; clippy's `missing_trait_methods` on its `impl` turns
/// a method that it has forgotten, and that would silently take the trait's default, into an error.
macro_rules! forward_bus {
    ($this:ident => $inner:expr; all) => {
        $crate::bus::forward_bus!(
            $this => $inner;
            fetch, read, write, probe, rmw, ram, ram_across, code, generation, follow, enqueue, peek, takes_blocks,
        );
    };
    ($this:ident => $inner:expr; $($method:ident),+ $(,)?) => {
        $( $crate::bus::forward_bus!(@$method $this => $inner); )+
    };
    (@fetch $this:ident => $inner:expr) => {
        #[inline]
        fn fetch(
            &mut self,
            linear: u64,
            buf: &mut [u8; 15],
            access: &$crate::bus::Access,
        ) -> Result<usize, $crate::Stop> {
            let $this = self;
            $inner.fetch(linear, buf, access)
        }
    };
    (@read $this:ident => $inner:expr) => {
        #[inline]
        fn read(&mut self, linear: u64, buf: &mut [u8], access: &$crate::bus::Access) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.read(linear, buf, access)
        }
    };
    (@write $this:ident => $inner:expr) => {
        #[inline]
        fn write(&mut self, linear: u64, buf: &[u8], access: &$crate::bus::Access) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.write(linear, buf, access)
        }
    };
    (@probe $this:ident => $inner:expr) => {
        #[inline]
        fn probe(&mut self, linear: u64, len: usize, access: &$crate::bus::Access) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.probe(linear, len, access)
        }
    };
    (@rmw $this:ident => $inner:expr) => {
        #[inline]
        fn rmw(
            &mut self,
            linear: u64,
            old: &mut [u8],
            modify: &mut $crate::bus::Modify<'_>,
            access: &$crate::bus::Access,
        ) -> Result<bool, $crate::Stop> {
            let $this = self;
            $inner.rmw(linear, old, modify, access)
        }
    };
    (@ram $this:ident => $inner:expr) => {
        #[inline]
        fn ram(
            &mut self,
            linear: u64,
            len: usize,
            access: &$crate::bus::Access,
        ) -> Result<Option<$crate::host::HostRam<'_>>, $crate::Stop> {
            let $this = self;
            $inner.ram(linear, len, access)
        }
    };
    (@ram_across $this:ident => $inner:expr) => {
        #[inline]
        fn ram_across(
            &mut self,
            linear: u64,
            len: usize,
            access: &$crate::bus::Access,
        ) -> Result<Option<$crate::host::HostRam<'_>>, $crate::Stop> {
            let $this = self;
            $inner.ram_across(linear, len, access)
        }
    };
    (@code $this:ident => $inner:expr) => {
        #[inline]
        fn code(
            &mut self,
            linear: u64,
            access: &$crate::bus::Access,
        ) -> Result<Option<$crate::host::CodePage>, $crate::Stop> {
            let $this = self;
            $inner.code(linear, access)
        }
    };
    (@generation $this:ident => $inner:expr) => {
        #[inline]
        fn generation(&self) -> u64 {
            let $this = self;
            $inner.generation()
        }
    };
    (@follow $this:ident => $inner:expr) => {
        #[inline]
        fn follow(&mut self, cpu: &$crate::Cpu) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.follow(cpu)
        }
    };
    (@enqueue $this:ident => $inner:expr) => {
        #[inline]
        fn enqueue(
            &mut self,
            linear: u64,
            command: &[u8; 64],
            access: &$crate::bus::Access,
        ) -> Result<bool, $crate::Stop> {
            let $this = self;
            $inner.enqueue(linear, command, access)
        }
    };
    (@peek $this:ident => $inner:expr) => {
        #[inline]
        fn peek(&mut self, linear: u64, buf: &mut [u8]) -> bool {
            let $this = self;
            $inner.peek(linear, buf)
        }
    };
    (@takes_blocks $this:ident => $inner:expr) => {
        #[inline]
        fn takes_blocks(&mut self, linear: u64, len: usize, access: &$crate::bus::Access) -> bool {
            let $this = self;
            $inner.takes_blocks(linear, len, access)
        }
    };
}

/// Writes the methods of [`Platform`] that only hand on, as `forward_bus!` does for [`Bus`].
macro_rules! forward_platform {
    ($this:ident => $inner:expr; all) => {
        $crate::bus::forward_platform!(
            $this => $inner;
            port_in, port_out, cpuid, read_msr, write_msr, time, random, read_counter, invalidate, paging, cache, ferr,
            stop_others, resume_others, progress, interrupt_pending, load_state,
            host_fpu_begin, host_fpu_end,
        );
    };
    ($this:ident => $inner:expr; $($method:ident),+ $(,)?) => {
        $( $crate::bus::forward_platform!(@$method $this => $inner); )+
    };
    (@port_in $this:ident => $inner:expr) => {
        #[inline]
        fn port_in(&mut self, port: u16, buf: &mut [u8]) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.port_in(port, buf)
        }
    };
    (@port_out $this:ident => $inner:expr) => {
        #[inline]
        fn port_out(&mut self, port: u16, data: &[u8]) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.port_out(port, data)
        }
    };
    (@cpuid $this:ident => $inner:expr) => {
        #[inline]
        fn cpuid(
            &mut self,
            leaf: u32,
            subleaf: u32,
            answer: $crate::profile::CpuidResult,
        ) -> Result<$crate::profile::CpuidResult, $crate::Stop> {
            let $this = self;
            $inner.cpuid(leaf, subleaf, answer)
        }
    };
    (@read_msr $this:ident => $inner:expr) => {
        #[inline]
        fn read_msr(&mut self, index: u32) -> Result<u64, $crate::Stop> {
            let $this = self;
            $inner.read_msr(index)
        }
    };
    (@write_msr $this:ident => $inner:expr) => {
        #[inline]
        fn write_msr(&mut self, index: u32, value: u64) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.write_msr(index, value)
        }
    };
    (@time $this:ident => $inner:expr) => {
        #[inline]
        fn time(&mut self) -> Result<u64, $crate::Stop> {
            let $this = self;
            $inner.time()
        }
    };
    (@random $this:ident => $inner:expr) => {
        #[inline]
        fn random(&mut self) -> Result<Option<u64>, $crate::Stop> {
            let $this = self;
            $inner.random()
        }
    };
    (@read_counter $this:ident => $inner:expr) => {
        #[inline]
        fn read_counter(&mut self, index: u32) -> Result<u64, $crate::Stop> {
            let $this = self;
            $inner.read_counter(index)
        }
    };
    (@invalidate $this:ident => $inner:expr) => {
        #[inline]
        fn invalidate(&mut self, what: $crate::bus::Invalidation) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.invalidate(what)
        }
    };
    (@paging $this:ident => $inner:expr) => {
        #[inline]
        fn paging(&mut self, next: &$crate::cpu::System, keeps: bool) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.paging(next, keeps)
        }
    };
    (@cache $this:ident => $inner:expr) => {
        #[inline]
        fn cache(&mut self, op: $crate::bus::CacheOp, linear: u64) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.cache(op, linear)
        }
    };
    (@ferr $this:ident => $inner:expr) => {
        #[inline]
        fn ferr(&mut self) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.ferr()
        }
    };
    (@stop_others $this:ident => $inner:expr) => {
        #[inline]
        fn stop_others(&mut self) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.stop_others()
        }
    };
    (@resume_others $this:ident => $inner:expr) => {
        #[inline]
        fn resume_others(&mut self) {
            let $this = self;
            $inner.resume_others()
        }
    };
    (@progress $this:ident => $inner:expr) => {
        #[inline]
        fn progress(&mut self, completed: u64) {
            let $this = self;
            $inner.progress(completed)
        }
    };
    (@interrupt_pending $this:ident => $inner:expr) => {
        #[inline]
        fn interrupt_pending(&mut self) -> bool {
            let $this = self;
            $inner.interrupt_pending()
        }
    };
    (@load_state $this:ident => $inner:expr) => {
        #[inline]
        fn load_state(&mut self, cpu: &mut $crate::Cpu, components: u64) -> Result<(), $crate::Stop> {
            let $this = self;
            $inner.load_state(cpu, components)
        }
    };
    (@host_fpu_begin $this:ident => $inner:expr) => {
        #[inline]
        fn host_fpu_begin(&mut self) {
            let $this = self;
            $inner.host_fpu_begin()
        }
    };
    (@host_fpu_end $this:ident => $inner:expr) => {
        #[inline]
        fn host_fpu_end(&mut self) {
            let $this = self;
            $inner.host_fpu_end()
        }
    };
}
pub(crate) use {forward_bus, forward_platform};

#[deny(clippy::missing_trait_methods)]
impl<T: Bus + ?Sized> Bus for &mut T {
    forward_bus!(this => (**this); all);
}

#[deny(clippy::missing_trait_methods)]
impl<T: Platform + ?Sized> Platform for &mut T {
    forward_platform!(this => (**this); all);
}
