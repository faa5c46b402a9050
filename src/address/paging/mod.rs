//! From linear to guest-physical addresses: page walks, their faults, and a small TLB.
//!
//! [`Paging`] is a [`Bus`] at linear addresses over one at guest-physical addresses. Adaptors of
//! [`introspect`](crate::introspect) can stand on either side: above it they see linear addresses, below it physical
//! ones and the walks themselves, marked by [`Access::walk`].

mod page;
mod tables;
mod tlb;

pub use page::{Page, error_code};
pub use tlb::Invpcid;

use crate::bus::{Access, Bus, Invalidation, Modify, Platform, forward_platform};
use crate::cpu::registers::{cr0, cr4, efer, rflags};
use crate::cpu::{Cpu, System};
use crate::event::Stop;
use crate::host::{CodePage, HostRam};
use crate::isa::Feature;
use crate::profile::{Profile, Vendor};
use page::Want;
use tables::{Format, Tables, Touch};
use tlb::{Class, SUPERVISOR, SUPERVISOR_AC, Tlb};

const PAGE: usize = 4096;

/// What the processor's model says of its page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bits of a physical address, 32 to 52: bits 7:0 of CPUID.80000008H:EAX.
    pub maxphyaddr: u8,
    /// 4-MiB pages may lie above 4 GiB.
    pub pse36: bool,
    /// The PAT is there; without it its bit of an entry is reserved.
    pub pat: bool,
    /// Pages of 1 GiB.
    pub gigabyte_pages: bool,
    /// AMD reserves the place of G in entries of the upper levels that map no page.
    pub vendor: Vendor,
}

impl Limits {
    /// What a profile promises.
    pub fn new(profile: &Profile) -> Limits {
        Limits {
            maxphyaddr: profile.physical_bits(),
            pse36: profile.has(Feature::Pse36),
            pat: profile.has(Feature::Pat),
            gigabyte_pages: profile.has(Feature::Pdpe1gb),
            vendor: profile.vendor(),
        }
    }

    /// Number of the highest bit of a physical address. A width that no processor has counts as the nearest one.
    fn top(&self) -> u32 {
        u32::from(self.maxphyaddr.clamp(32, 52)) - 1
    }
}

/// The registers that decide translation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Registers {
    cr0: u64,
    cr3: u64,
    cr4: u64,
    efer: u64,
    pkru: u32,
    pkrs: u32,
}

impl Registers {
    #[inline]
    fn of(s: &System) -> Registers {
        Registers { cr0: s.cr0, cr3: s.cr3, cr4: s.cr4, efer: s.efer, pkru: s.pkru, pkrs: s.pkrs }
    }
}

/// Translates linear addresses by the guest's own page tables, which it reads from the bus underneath.
///
/// [`Paging::load`] tells it of the processor's registers before each step. Everything else is as on the processor:
///
/// - An access that the tables do not allow is #PF, with error code and CR2; D and A bits are set by a locked
///   compare-exchange on the host address that the bus grants ([`Bus::ram`]), else by [`Bus::rmw`], else by a read and
///   a write marked `locked`. An access that faults sets none, and [`Bus::probe`] neither.
/// - Translations are kept in a TLB of 256 pages of 4 KiB. It is flushed by [`Paging::load`] as changes of CR0, CR3, CR4
///   and EFER flush the processor's; what other instructions flush has methods of its own. Where the guest has run on
///   another processor meanwhile, call [`Paging::flush`]. A fault is never raised from the TLB alone: the tables are
///   walked again first.
/// - What the bus underneath answers to a page walk ([`Stop::Retry`] and the like) is passed on.
///
/// Without CR0.PG, linear addresses are physical ones.
///
/// ```
/// use encore86::paging::{Limits, Paging};
/// use encore86::{Cpu, Engine, Outcome, Profile, Vmm};
///
/// /// Runs one instruction of a guest whose physical memory is `memory`.
/// fn step(engine: &mut Engine, cpu: &mut Cpu, memory: &mut Paging<impl Vmm>) -> Outcome {
///     match memory.load(cpu) {
///         Ok(()) => engine.step(cpu, memory),
///         Err(stop) => panic!("the PDPTEs cannot be loaded: {stop:?}"),
///     }
/// }
/// # struct Nothing;
/// # impl encore86::Bus for Nothing {
/// #     fn fetch(&mut self, _: u64, b: &mut [u8; 15], _: &encore86::Access) -> Result<usize, encore86::Stop> { b.fill(0x90); Ok(15) }
/// #     fn read(&mut self, _: u64, _: &mut [u8], _: &encore86::Access) -> Result<(), encore86::Stop> { Ok(()) }
/// #     fn write(&mut self, _: u64, _: &[u8], _: &encore86::Access) -> Result<(), encore86::Stop> { Ok(()) }
/// #     fn probe(&mut self, _: u64, _: usize, _: &encore86::Access) -> Result<(), encore86::Stop> { Ok(()) }
/// # }
/// # impl encore86::Platform for Nothing {}
/// # let profile = Profile::host();
/// # let mut memory = Paging::new(Nothing, Limits::new(&profile));
/// # let outcome = step(&mut Engine::integer_only(profile), &mut Cpu::new(), &mut memory);
/// # assert!(matches!(outcome, Outcome::Completed(_)));
/// ```
#[derive(Clone, Debug)]
pub struct Paging<B> {
    inner: B,
    limits: Limits,
    registers: Registers,
    /// RFLAGS.AC.
    ac: bool,
    /// The next CR3 keeps the translations of its PCID.
    keep: bool,
    tables: Tables,
    tlb: Tlb,
}

impl<B> Paging<B> {
    /// Translates for `inner`, which has guest-physical addresses. Paging is off until [`Paging::load`].
    pub fn new(inner: B, limits: Limits) -> Paging<B> {
        let registers = Registers::default();
        let tables = Tables::new(&registers, &limits);
        Paging { inner, limits, registers, ac: false, keep: false, tables, tlb: Tlb::new() }
    }

    /// The bus underneath, at guest-physical addresses.
    pub fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The bus underneath, without the rest.
    pub fn into_inner(self) -> B {
        self.inner
    }

    /// Drops all translations.
    pub fn flush(&mut self) {
        self.tlb.flush();
    }

    /// Drops the translations of the current PCID that are not global, as MOV to CR3 does. For a CR3 that is loaded with
    /// the value it had, which [`Paging::load`] takes for no change.
    pub fn flush_context(&mut self) {
        self.tlb.flush_context(Some(self.tables.pcid));
    }

    /// INVLPG: drops the translations of a linear address in the current PCID, and global ones in all.
    pub fn invlpg(&mut self, linear: u64) {
        self.tlb.drop_address(linear, self.tables.pcid, true);
    }

    /// INVPCID. `pcid` counts for [`Invpcid::Address`] and [`Invpcid::Context`], `linear` for [`Invpcid::Address`]. The
    /// checks of the descriptor, which are #GP(0), are the instruction's.
    pub fn invpcid(&mut self, kind: Invpcid, pcid: u16, linear: u64) {
        match kind {
            Invpcid::Address => self.tlb.drop_address(linear, pcid, false),
            Invpcid::Context => self.tlb.flush_context(Some(pcid)),
            Invpcid::All => self.tlb.flush(),
            Invpcid::AllButGlobal => self.tlb.flush_context(None),
        }
    }

    /// The physical address, if the TLB has the page and it takes the access. `None` too for what leaves its page.
    #[inline(always)]
    fn hit(&self, linear: u64, len: usize, access: &Access) -> Option<u64> {
        if is_within(linear, len) { self.tlb.hit(linear, self.class(access)) } else { None }
    }

    #[inline(always)]
    fn class(&self, access: &Access) -> Class {
        Class::of(access, if self.ac { SUPERVISOR_AC } else { SUPERVISOR })
    }
}

impl<B: Bus> Paging<B> {
    /// Takes CR0, CR3, CR4, EFER, PKRU, IA32_PKRS and RFLAGS.AC from the processor, and flushes what their change
    /// flushes. To be called before each step; costs next to nothing when nothing changed.
    ///
    /// In PAE paging a new CR3 has its four page-directory-pointer-table entries read, as MOV to CR3 does.
    ///
    /// # Errors
    /// #GP(0) when a present PDPTE has a reserved bit set, which MOV to CR3 would have refused; what the bus answers to
    /// their reads. Nothing is changed then.
    #[inline]
    pub fn load(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        let registers = Registers::of(cpu.system());
        if registers != self.registers {
            self.reload(registers, None, self.keep)?;
            self.keep = false;
        }
        self.ac = cpu.rflags() & rflags::AC != 0;
        Ok(())
    }

    /// The same after a MOV to CR3 with bit 63 set: what the TLB has of the new PCID stays. (CR3 itself never has the
    /// bit.)
    ///
    /// # Errors
    /// As for [`Paging::load`].
    pub fn load_keeping(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        self.reload(Registers::of(cpu.system()), None, true)?;
        self.ac = cpu.rflags() & rflags::AC != 0;
        Ok(())
    }

    /// The same with the PDPTE registers given (as by a VMCS or `kvm_sregs2`), so that none are read. They count
    /// in PAE paging only, and until CR3 changes.
    ///
    /// # Errors
    /// #GP(0) as for [`Paging::load`].
    pub fn load_with_pdptes(&mut self, cpu: &Cpu, pdptes: [u64; 4]) -> Result<(), Stop> {
        self.reload(Registers::of(cpu.system()), Some(pdptes), false)?;
        self.ac = cpu.rflags() & rflags::AC != 0;
        Ok(())
    }

    #[cold]
    fn reload(&mut self, now: Registers, pdptes: Option<[u64; 4]>, keep: bool) -> Result<(), Stop> {
        let was = self.registers;
        let mut tables = Tables::new(&now, &self.limits);
        let (cr0, cr4, efer) = (now.cr0 ^ was.cr0, now.cr4 ^ was.cr4, now.efer ^ was.efer);
        let structure = cr0 & cr0::PG
            | cr4 & (cr4::PSE | cr4::PAE | cr4::PGE | cr4::LA57 | cr4::PCIDE | cr4::SMEP)
            | efer & (efer::LMA | efer::NXE);
        if tables.format == Format::Pae {
            // SDM volume 3, "PDPTE Registers".
            let again = cr0 & (cr0::CD | cr0::NW) != 0 || structure & !efer::NXE != 0 || now.cr3 != was.cr3;
            if again || pdptes.is_some() {
                tables.load_pdptes(&mut self.inner, pdptes, &self.limits)?;
            } else {
                tables.keep_pdptes(&self.tables);
            }
        }
        let rights = tables.rights != self.tables.rights;
        self.registers = now;
        self.tables = tables;
        self.tlb.switch(self.tables.pcid);
        if structure != 0 {
            self.tlb.flush();
        } else if !keep && now.cr3 != was.cr3 || pdptes.is_some() {
            self.flush_context();
        }
        if rights {
            self.tlb.forget_rights();
        }
        Ok(())
    }

    /// The page of `linear` as the tables say now, whoever may use it. Changes nothing and asks no TLB.
    ///
    /// # Errors
    /// #PF where no page is present or a reserved bit is set; #GP(0) for an address that is not canonical; what the bus
    /// answers to the walk.
    pub fn look_up(&mut self, linear: u64) -> Result<Page, Stop> {
        self.tables.walk(&mut self.inner, linear, None, Touch::Leave)
    }

    /// The physical address of an access within a page, with A and D bits set.
    #[cold]
    #[inline(never)]
    fn translate(&mut self, linear: u64, access: &Access) -> Result<u64, Stop> {
        let class = self.class(access);
        if let Some(physical) = self.tlb.hit_anew(linear, class, &self.tables) {
            return Ok(physical);
        }
        let want = Want::new(access, self.ac);
        let page = self.tables.walk(&mut self.inner, linear, Some(&want), Touch::Mark)?;
        self.tlb.fill(linear, class, &page, &self.tables);
        Ok(page.physical | linear & (PAGE as u64 - 1))
    }

    /// The same, but nothing is changed.
    fn seek(&mut self, linear: u64, access: &Access) -> Result<u64, Stop> {
        let class = self.class(access);
        if let Some(physical) = self.tlb.hit_anew(linear, class, &self.tables) {
            return Ok(physical);
        }
        let want = Want::new(access, self.ac);
        let page = self.tables.walk(&mut self.inner, linear, Some(&want), Touch::Leave)?;
        Ok(page.physical | linear & (PAGE as u64 - 1))
    }

    /// Of an access that leaves its page, the parts in ascending order: linear address, offset, length.
    fn parts(&self, linear: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> + use<B> {
        let wrap = if self.tables.is_long() { u64::MAX } else { u64::from(u32::MAX) };
        let mut done = 0;
        core::iter::from_fn(move || {
            let at = if done == 0 { linear } else { linear.wrapping_add(done as u64) & wrap };
            let n = (len - done).min(PAGE - at as usize % PAGE);
            let part = (at, done, n);
            done += n;
            (n > 0).then_some(part)
        })
    }

    #[cold]
    #[inline(never)]
    fn read_slowly(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        if is_within(linear, buf.len()) {
            let physical = self.translate(linear, access)?;
            return self.inner.read(physical, buf, access);
        }
        self.probe(linear, buf.len(), access)?;
        for (at, done, n) in self.parts(linear, buf.len()) {
            self.read(at, &mut buf[done..done + n], &part_of(access, done))?;
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn write_slowly(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        if is_within(linear, buf.len()) {
            let physical = self.translate(linear, access)?;
            return self.inner.write(physical, buf, access);
        }
        self.probe(linear, buf.len(), access)?;
        for (at, done, n) in self.parts(linear, buf.len()) {
            self.write(at, &buf[done..done + n], &part_of(access, done))?;
        }
        Ok(())
    }
}

#[inline(always)]
fn is_within(linear: u64, len: usize) -> bool {
    len <= PAGE - linear as usize % PAGE
}

/// The access to bytes further behind.
fn part_of(access: &Access, done: usize) -> Access {
    Access { offset: access.offset.wrapping_add(done as u16), ..*access }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Bus> Bus for Paging<B> {
    /// Not beyond the page.
    #[inline]
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], access: &Access) -> Result<usize, Stop> {
        let physical = match self.hit(linear, 1, access) {
            Some(physical) => physical,
            None => self.translate(linear, access)?,
        };
        let count = self.inner.fetch(physical, buf, access)?;
        Ok(count.min(PAGE - linear as usize % PAGE))
    }

    #[inline]
    fn read(&mut self, linear: u64, buf: &mut [u8], access: &Access) -> Result<(), Stop> {
        match self.hit(linear, buf.len(), access) {
            Some(physical) => self.inner.read(physical, buf, access),
            None => self.read_slowly(linear, buf, access),
        }
    }

    #[inline]
    fn write(&mut self, linear: u64, buf: &[u8], access: &Access) -> Result<(), Stop> {
        match self.hit(linear, buf.len(), access) {
            Some(physical) => self.inner.write(physical, buf, access),
            None => self.write_slowly(linear, buf, access),
        }
    }

    fn probe(&mut self, linear: u64, len: usize, access: &Access) -> Result<(), Stop> {
        for (at, done, n) in self.parts(linear, len) {
            let physical = self.seek(at, access)?;
            self.inner.probe(physical, n, &part_of(access, done))?;
        }
        Ok(())
    }

    fn rmw(&mut self, linear: u64, old: &mut [u8], modify: &mut Modify<'_>, access: &Access) -> Result<bool, Stop> {
        let physical = match self.hit(linear, old.len(), access) {
            Some(physical) => physical,
            None if !is_within(linear, old.len()) => return Ok(false),
            None => self.translate(linear, access)?,
        };
        self.inner.rmw(physical, old, modify, access)
    }

    #[inline]
    fn ram(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        let physical = match self.hit(linear, len, access) {
            Some(physical) => physical,
            None if !is_within(linear, len) => return Ok(None),
            None => self.translate(linear, access)?,
        };
        self.inner.ram(physical, len, access)
    }

    fn ram_across(&mut self, linear: u64, len: usize, access: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        let (mut first, mut end) = (None, 0);
        for (at, done, n) in self.parts(linear, len) {
            let physical = self.translate(at, &part_of(access, done))?;
            if *first.get_or_insert(physical) != physical && end != physical {
                return Ok(None);
            }
            end = physical.wrapping_add(n as u64);
        }
        let Some(physical) = first else { return Ok(None) };
        if is_within(physical, len) {
            return self.inner.ram(physical, len, access);
        }
        self.inner.ram_across(physical, len, access)
    }

    /// As long as the page is mapped so: what changes that calls [`Bus::follow`] first, or drops translations.
    fn code(&mut self, linear: u64, access: &Access) -> Result<Option<CodePage>, Stop> {
        let physical = match self.hit(linear, 1, access) {
            Some(physical) => physical,
            None => self.translate(linear, access)?,
        };
        self.inner.code(physical, access)
    }

    #[inline]
    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    fn follow(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        self.load(cpu)?;
        self.inner.follow(cpu)
    }

    fn enqueue(&mut self, linear: u64, command: &[u8; 64], access: &Access) -> Result<bool, Stop> {
        let physical = self.translate(linear, access)?;
        self.inner.enqueue(physical, command, access)
    }

    /// By the tables as they are, if they lie in memory that can be peeked at, whoever may use the page.
    fn peek(&mut self, linear: u64, buf: &mut [u8]) -> bool {
        self.parts(linear, buf.len()).all(|(at, done, n)| {
            let Ok(page) = self.tables.walk(&mut Quiet(&mut self.inner), at, None, Touch::Leave) else { return false };
            self.inner.peek(page.physical | at & (PAGE as u64 - 1), &mut buf[done..done + n])
        })
    }

    fn takes_blocks(&mut self, linear: u64, len: usize, access: &Access) -> bool {
        is_within(linear, len)
            && self.seek(linear, access).is_ok_and(|physical| self.inner.takes_blocks(physical, len, access))
    }
}

/// A bus that is read by [`Bus::peek`] alone, for a walk that nobody is to notice.
struct Quiet<'a, B>(&'a mut B);

impl<B: Bus> Bus for Quiet<'_, B> {
    fn fetch(&mut self, _: u64, _: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        Err(Stop::NotProvided("fetches from page tables"))
    }

    fn read(&mut self, physical: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        if self.0.peek(physical, buf) { Ok(()) } else { Err(Stop::NotProvided("page tables in a device")) }
    }

    fn write(&mut self, _: u64, _: &[u8], _: &Access) -> Result<(), Stop> {
        Err(Stop::NotProvided("writes to page tables"))
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

/// Linear addresses of [`Platform::cache`] stay linear.
#[deny(clippy::missing_trait_methods)]
impl<B: Bus + Platform> Platform for Paging<B> {
    forward_platform!(
        this => this.inner;
        port_in, port_out, cpuid, read_msr, write_msr, time, random, read_counter, cache, ferr, stop_others, resume_others,
        progress, interrupt_pending, load_state, host_fpu_begin, host_fpu_end,
    );

    /// Takes the registers over, as [`Paging::load`] does, and flushes what MOV to CR3 flushes.
    fn paging(&mut self, next: &System, keeps: bool) -> Result<(), Stop> {
        self.inner.paging(next, keeps)?;
        let registers = Registers::of(next);
        let again = registers.cr3 == self.registers.cr3 && !keeps;
        self.reload(registers, None, keeps)?;
        self.keep = false;
        if again {
            self.flush_context();
        }
        Ok(())
    }

    /// Drops what is kept here. A monitor that keeps no translations of its own need not provide it.
    fn invalidate(&mut self, what: Invalidation) -> Result<(), Stop> {
        match what {
            Invalidation::Page(linear) => self.invlpg(linear),
            Invalidation::Cr3 { keep } => {
                // A value that CR3 never has: whatever is loaded next is a new one.
                self.registers.cr3 = u64::MAX;
                self.keep = keep;
            }
            Invalidation::Pcid { kind, pcid, linear } => self.invpcid(kind, pcid, linear),
        }
        match self.inner.invalidate(what) {
            Err(Stop::NotProvided(_)) => Ok(()),
            answer => answer,
        }
    }
}
