//! A kernel into memory, and the processor at its entry, by Linux's boot protocol (Documentation/arch/x86/boot.rst).

use super::error::LoadError;
use crate::boot::memory::Ram;
use encore86::Cpu;
use encore86::cpu::registers::{cr0, cr4, efer, gpr};
use encore86::cpu::segment::{DescriptorTable, Segment};
use linux_loader::configurator::linux::LinuxBootConfigurator;
use linux_loader::configurator::{BootConfigurator, BootParams};
use linux_loader::loader::bootparam::{XLF_KERNEL_64, boot_e820_entry, boot_params, setup_header};
use linux_loader::loader::bzimage::BzImage;
use linux_loader::loader::{Cmdline, KernelLoader, load_cmdline};
use std::fs::File;
use std::path::Path;
use vm_memory::{Bytes, GuestAddress};

/// Where the things lie that the kernel is handed, all in the first 640 KiB.
mod place {
    pub const GDT: u64 = 0x500;
    pub const ZERO_PAGE: u64 = 0x7000;
    /// One page map, one table of directory pointers, four directories: 4 GiB in pages of 2 MiB.
    pub const PAGE_TABLES: u64 = 0x9000;
    pub const STACK: u64 = 0x1_8000;
    pub const COMMAND_LINE: u64 = 0x2_0000;
    /// The end of the memory below the hole for video and firmware.
    pub const LOW_END: u64 = 0x9_fc00;
    /// The end of that hole.
    pub const HIGH: u64 = 0x10_0000;
}

/// Selectors of the boot protocol, with their descriptors.
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
const GDT: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
const GDT_32: [u64; 4] = [0, 0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// Types of memory.
const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;

/// "Another boot loader, without a number of its own".
const LOADER: u8 = 0xff;

/// What to load.
#[derive(Debug)]
pub struct Linux<'a> {
    /// The bzImage.
    pub kernel: &'a Path,
    /// The initial RAM disk.
    pub initrd: Option<&'a Path>,
    /// The command line.
    pub command_line: &'a str,
}

/// Loads it; the processor as the kernel finds it.
///
/// # Errors
/// For files that can't be read, are no kernel, or don't fit.
pub fn load(linux: &Linux<'_>, ram: &Ram) -> Result<Cpu, LoadError> {
    let memory = ram.guest_memory();
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| LoadError::File(path, error)
    };
    let mut file = File::open(linux.kernel).map_err(unreadable(linux.kernel))?;
    let loaded = BzImage::load(memory, None, &mut file, Some(GuestAddress(place::HIGH)))
        .map_err(|error| LoadError::Kernel(linux.kernel.to_owned(), error.to_string()))?;
    let mut header = loaded.setup_header.unwrap_or_default();
    header.type_of_loader = LOADER;

    let limit = header.cmdline_size as usize;
    let line = Cmdline::try_from(linux.command_line, limit.max(1) + 1)
        .map_err(|error| LoadError::CommandLine(error.to_string()))?;
    load_cmdline(memory, GuestAddress(place::COMMAND_LINE), &line)
        .map_err(|error| LoadError::CommandLine(error.to_string()))?;
    header.cmd_line_ptr = place::COMMAND_LINE as u32;

    if let Some(path) = linux.initrd {
        let bytes = std::fs::read(path).map_err(unreadable(path))?;
        let top = ram.size().min(u64::from(header.initrd_addr_max).saturating_add(1));
        let at = top.saturating_sub(bytes.len() as u64) & !0xfff;
        let kernel_end =
            (loaded.kernel_load.0 + u64::from(header.init_size)).max(header.pref_address + u64::from(header.init_size));
        if at < kernel_end || memory.write_slice(&bytes, GuestAddress(at)).is_err() {
            return Err(LoadError::NoRoom(path.to_owned(), ram.size()));
        }
        (header.ramdisk_image, header.ramdisk_size) = (at as u32, bytes.len() as u32);
    }

    let params = parameters(header, ram.size());
    let params = BootParams::new(&params, GuestAddress(place::ZERO_PAGE));
    let too_small = |_| LoadError::NoRoom(linux.kernel.to_owned(), ram.size());
    LinuxBootConfigurator::write_bootparams(&params, memory).map_err(|error| too_small(error.to_string()))?;

    let long = header.xloadflags & XLF_KERNEL_64 != 0;
    write_tables(ram, long).map_err(|error| too_small(error.to_string()))?;
    Ok(processor(loaded.kernel_load.0, long))
}

fn parameters(header: setup_header, memory: u64) -> boot_params {
    let mut params = boot_params { hdr: header, ..boot_params::default() };
    let map = [
        (0, place::LOW_END, E820_RAM),
        (place::LOW_END, place::HIGH, E820_RESERVED),
        (place::HIGH, memory.max(place::HIGH), E820_RAM),
    ];
    for (entry, (start, end, kind)) in params.e820_table.iter_mut().zip(map) {
        *entry = boot_e820_entry { addr: start, size: end - start, r#type: kind };
    }
    params.e820_entries = map.len() as u8;
    params
}

/// Descriptors, and page tables in which each address is its own.
fn write_tables(ram: &Ram, long: bool) -> Result<(), vm_memory::GuestMemoryError> {
    const PRESENT_WRITABLE: u64 = 3;
    const LARGE: u64 = 0x80;
    let put = |at, value: u64| ram.guest_memory().write_obj(value, GuestAddress(at));
    let table = if long { GDT } else { GDT_32 };
    for (at, descriptor) in (place::GDT..).step_by(8).zip(table) {
        put(at, descriptor)?;
    }
    let pointers = place::PAGE_TABLES + 0x1000;
    put(place::PAGE_TABLES, pointers | PRESENT_WRITABLE)?;
    for gigabyte in 0..4 {
        let directory = pointers + 0x1000 * (gigabyte + 1);
        put(pointers + 8 * gigabyte, directory | PRESENT_WRITABLE)?;
        for entry in 0..512 {
            let page = gigabyte << 30 | entry << 21;
            put(directory + 8 * entry, page | PRESENT_WRITABLE | LARGE)?;
        }
    }
    Ok(())
}

fn processor(kernel: u64, long: bool) -> Cpu {
    /// The 64-bit entry lies this far behind the 32-bit one.
    const LONG_ENTRY: u64 = 0x200;
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        let data = Segment { selector: DATA, attr: 0xc093, limit: u32::MAX, base: 0 };
        s.seg = [data; 6];
        s.seg[1] = Segment { selector: CODE, attr: if long { 0xa09b } else { 0xc09b }, ..data };
        s.gdtr = DescriptorTable { base: place::GDT, limit: 8 * GDT.len() as u16 - 1 };
        s.cr0 = cr0::PE | cr0::ET | if long { cr0::PG } else { 0 };
        s.cr3 = if long { place::PAGE_TABLES } else { 0 };
        s.cr4 = if long { cr4::PAE } else { 0 };
        s.efer = if long { efer::LME | efer::LMA } else { 0 };
        // As after reset: x87 state alone.
        s.xcr0 = 1;
    });
    cpu.gpr[gpr::RSI] = place::ZERO_PAGE;
    cpu.gpr[gpr::RSP] = place::STACK;
    cpu.rip = kernel + if long { LONG_ENTRY } else { 0 };
    cpu
}
