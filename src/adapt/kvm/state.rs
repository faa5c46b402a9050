//! [`Cpu`] from and to the structures of KVM.
//!
//! `load_…` fills a [`Cpu`], `store_…` a structure of KVM's; what one side does not have stays as it is on the other.

use crate::Cpu;
use crate::cpu::segment::{DescriptorTable, Segment, rights};
use crate::cpu::xsave::{ImageError, Layout};
use kvm_bindings::{
    Xsave, kvm_debugregs, kvm_dtable, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs, kvm_xcrs, kvm_xsave,
};

/// The order of ES, CS, SS, DS, FS, GS.
macro_rules! segments {
    ($s:expr) => {
        [$s.es, $s.cs, $s.ss, $s.ds, $s.fs, $s.gs]
    };
}

/// General-purpose registers, RIP and RFLAGS. R16 to R31 are not in the structure.
pub fn load_regs(cpu: &mut Cpu, r: &kvm_regs) {
    let low = [r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi];
    cpu.gpr[..8].copy_from_slice(&low);
    cpu.gpr[8..16].copy_from_slice(&[r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15]);
    cpu.rip = r.rip;
    if cpu.rflags() != r.rflags {
        cpu.set_rflags(r.rflags);
    }
}

/// As [`load_regs`], the other way.
pub fn regs(cpu: &Cpu) -> kvm_regs {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, ..] = cpu.gpr;
    kvm_regs {
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        rsp,
        rbp,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rip: cpu.rip,
        rflags: cpu.rflags(),
    }
}

/// Segments, descriptor tables, control registers and EFER.
pub fn load_sregs(cpu: &mut Cpu, s: &kvm_sregs) {
    cpu.update(|to| {
        to.seg = segments!(s).map(load_segment);
        to.ldtr = load_segment(s.ldt);
        to.tr = load_segment(s.tr);
        to.gdtr = DescriptorTable { base: s.gdt.base, limit: s.gdt.limit };
        to.idtr = DescriptorTable { base: s.idt.base, limit: s.idt.limit };
        (to.cr0, to.cr2, to.cr3, to.cr4, to.cr8, to.efer) = (s.cr0, s.cr2, s.cr3, s.cr4, s.cr8, s.efer);
    });
}

/// As [`load_sregs`], the other way; the local APIC's base and the pending interrupt stay.
pub fn store_sregs(cpu: &Cpu, s: &mut kvm_sregs) {
    let from = cpu.system();
    [s.es, s.cs, s.ss, s.ds, s.fs, s.gs] = from.seg.map(store_segment);
    s.ldt = store_segment(from.ldtr);
    s.tr = store_segment(from.tr);
    s.gdt = kvm_dtable { base: from.gdtr.base, limit: from.gdtr.limit, padding: [0; 3] };
    s.idt = kvm_dtable { base: from.idtr.base, limit: from.idtr.limit, padding: [0; 3] };
    (s.cr0, s.cr2, s.cr3, s.cr4, s.cr8, s.efer) = (from.cr0, from.cr2, from.cr3, from.cr4, from.cr8, from.efer);
}

fn load_segment(s: kvm_segment) -> Segment {
    let bit = |value: u8, bit: u32| if value != 0 { bit } else { 0 };
    let attr = u32::from(s.type_ & 0xf)
        | bit(s.s, rights::S)
        | u32::from(s.dpl & 3) << rights::DPL_SHIFT
        | bit(s.present, rights::P)
        | bit(s.avl, rights::AVL)
        | bit(s.l, rights::L)
        | bit(s.db, rights::DB)
        | bit(s.g, rights::G)
        | bit(s.unusable, rights::UNUSABLE);
    Segment { selector: s.selector, attr, limit: s.limit, base: s.base }
}

fn store_segment(s: Segment) -> kvm_segment {
    let bit = |bit: u32| u8::from(s.has(bit));
    kvm_segment {
        base: s.base,
        limit: s.limit,
        selector: s.selector,
        type_: (s.attr & 0xf) as u8,
        present: bit(rights::P),
        dpl: s.dpl(),
        db: bit(rights::DB),
        s: bit(rights::S),
        l: bit(rights::L),
        g: bit(rights::G),
        avl: bit(rights::AVL),
        unusable: bit(rights::UNUSABLE),
        padding: 0,
    }
}

/// DR0 to DR3, DR6, DR7.
pub fn load_debug_regs(cpu: &mut Cpu, d: &kvm_debugregs) {
    cpu.update(|to| {
        to.dr[..4].copy_from_slice(&d.db);
        (to.dr[6], to.dr[7]) = (d.dr6, d.dr7);
    });
}

/// As [`load_debug_regs`], the other way.
pub fn debug_regs(cpu: &Cpu) -> kvm_debugregs {
    let [db0, db1, db2, db3, _, _, dr6, dr7] = cpu.system().dr;
    kvm_debugregs { db: [db0, db1, db2, db3], dr6, dr7, ..kvm_debugregs::default() }
}

/// XCR0. Gives false, and changes nothing, if the structure does not hold it.
pub fn load_xcrs(cpu: &mut Cpu, x: &kvm_xcrs) -> bool {
    let held = &x.xcrs[..(x.nr_xcrs as usize).min(x.xcrs.len())];
    let Some(xcr0) = held.iter().find(|entry| entry.xcr == 0) else { return false };
    cpu.update(|to| to.xcr0 = xcr0.value);
    true
}

/// As [`load_xcrs`], the other way; other registers in the structure stay.
pub fn store_xcrs(cpu: &Cpu, x: &mut kvm_xcrs) {
    let count = (x.nr_xcrs as usize).min(x.xcrs.len());
    let value = cpu.system().xcr0;
    let held = x.xcrs[..count].iter().position(|entry| entry.xcr == 0);
    let at = held.unwrap_or(count).min(x.xcrs.len() - 1);
    x.xcrs[at].xcr = 0;
    x.xcrs[at].value = value;
    x.nr_xcrs = count.max(at + 1) as u32;
}

/// IA32_XSS.
const XSS: u32 = 0xda0;
/// IA32_KERNEL_GS_BASE.
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// IA32_FS_BASE and IA32_GS_BASE.
const SEGMENT_BASES: [u32; 2] = [0xc000_0100, 0xc000_0101];
/// IA32_EFER.
const EFER: u32 = 0xc000_0080;

/// Model-specific registers that [`Cpu`] holds: what to ask KVM_GET_MSRS for. EFER and the bases of FS and GS are in
/// `kvm_sregs` too.
pub const MSRS: [u32; 5] = [EFER, SEGMENT_BASES[0], SEGMENT_BASES[1], KERNEL_GS_BASE, XSS];

/// IA32_XFD and IA32_XFD_ERR.
const XFD: u32 = 0x1c4;
const XFD_ERR: u32 = 0x1c5;

/// The same of a guest whose CPUID has XFD: KVM refuses them for others.
pub const XFD_MSRS: [u32; 2] = [XFD, XFD_ERR];

/// The registers of [`XFD_MSRS`], in their order.
pub fn xfd_msrs(cpu: &Cpu) -> [kvm_msr_entry; 2] {
    let s = cpu.system();
    [(XFD, s.xfd), (XFD_ERR, s.xfd_err)].map(|(index, data)| kvm_msr_entry { index, data, ..kvm_msr_entry::default() })
}

/// Takes the registers of [`MSRS`] and [`XFD_MSRS`] from a list; others in it are passed over.
pub fn load_msrs(cpu: &mut Cpu, entries: &[kvm_msr_entry]) {
    cpu.update(|to| {
        for entry in entries {
            match entry.index {
                EFER => to.efer = entry.data,
                index if index == SEGMENT_BASES[0] => to.seg[4].base = entry.data,
                index if index == SEGMENT_BASES[1] => to.seg[5].base = entry.data,
                KERNEL_GS_BASE => to.kernel_gs_base = entry.data,
                XSS => to.xss = entry.data,
                XFD => to.xfd = entry.data,
                XFD_ERR => to.xfd_err = entry.data,
                _ => {}
            }
        }
    });
}

/// The registers of [`MSRS`], in their order.
pub fn msrs(cpu: &Cpu) -> [kvm_msr_entry; 5] {
    let s = cpu.system();
    let values = [s.efer, s.seg[4].base, s.seg[5].base, s.kernel_gs_base, s.xss];
    core::array::from_fn(|i| kvm_msr_entry { index: MSRS[i], data: values[i], ..kvm_msr_entry::default() })
}

/// Where KVM puts the components of its images: where the *host's* CPUID puts them, whatever the guest's says.
///
/// # Errors
/// [`ImageError::Component`] for a host whose CPUID is not an x86 processor's.
pub fn host_layout() -> Result<Layout, ImageError> {
    #[cfg(target_arch = "x86_64")]
    {
        Layout::new(|n| {
            let leaf = core::arch::x86_64::__cpuid_count(0xd, n);
            (leaf.eax, leaf.ebx)
        })
    }
    #[cfg(not(target_arch = "x86_64"))]
    Layout::new(|_| (0, 0))
}

/// Loads `components` from an image of KVM_GET_XSAVE.
///
/// # Errors
/// As [`Layout::load`].
pub fn load_xsave(cpu: &mut Cpu, x: &kvm_xsave, layout: &Layout, components: u64) -> Result<(), ImageError> {
    layout.load(bytes(&x.region), components, cpu)
}

/// Stores `components` into an image, of which the rest stays.
///
/// # Errors
/// As [`Layout::store`].
pub fn store_xsave(cpu: &Cpu, x: &mut kvm_xsave, layout: &Layout, components: u64) -> Result<(), ImageError> {
    layout.store(cpu, components, bytes_mut(&mut x.region))
}

/// Loads `components` from an image of KVM_GET_XSAVE2.
///
/// # Errors
/// As [`Layout::load`].
pub fn load_xsave2(cpu: &mut Cpu, x: &Xsave, layout: &Layout, components: u64) -> Result<(), ImageError> {
    layout.load(&whole(x), components, cpu)
}

/// Stores `components` into an image, of which the rest stays.
///
/// # Errors
/// As [`Layout::store`].
pub fn store_xsave2(cpu: &Cpu, x: &mut Xsave, layout: &Layout, components: u64) -> Result<(), ImageError> {
    let mut image = whole(x);
    layout.store(cpu, components, &mut image)?;
    let (first, rest) = image.split_at(size_of::<[u32; 1024]>());
    bytes_mut(x.as_mut_slice()).copy_from_slice(rest);
    // SAFETY: the length of the flexible array, which the wrapper counts with, is not touched.
    bytes_mut(unsafe { &mut x.as_mut_fam_struct().xsave.region }).copy_from_slice(first);
    Ok(())
}

/// Both parts of the larger structure, one behind the other.
fn whole(x: &Xsave) -> Vec<u8> {
    [bytes(&x.as_fam_struct_ref().xsave.region), bytes(x.as_slice())].concat()
}

fn bytes(words: &[u32]) -> &[u8] {
    // SAFETY: bytes have no alignment and no invalid values, so all of the words are in the middle part.
    unsafe { words.align_to().1 }
}

fn bytes_mut(words: &mut [u32]) -> &mut [u8] {
    // SAFETY: as above, and words have no invalid values either.
    unsafe { words.align_to_mut().1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A structure whose fields all differ, from bytes that count up by an odd step.
    fn segment(seed: u8) -> kvm_segment {
        let bit = |n: u8| seed >> n & 1;
        kvm_segment {
            base: 0x0102_0304_0506_0708 * u64::from(seed),
            limit: 0x0101_0101 * u32::from(seed),
            selector: 0x101 * u16::from(seed),
            type_: seed & 0xf,
            present: bit(1),
            dpl: seed >> 2 & 3,
            db: bit(4),
            s: bit(5),
            l: bit(6),
            g: bit(0),
            avl: bit(3),
            unusable: bit(2),
            padding: 0,
        }
    }

    #[test]
    fn every_register_goes_both_ways() {
        let mut r = kvm_regs { rip: 17, rflags: 0x246, ..kvm_regs::default() };
        let names = [
            &mut r.rax, &mut r.rcx, &mut r.rdx, &mut r.rbx, &mut r.rsp, &mut r.rbp, &mut r.rsi, &mut r.rdi, &mut r.r8,
            &mut r.r9, &mut r.r10, &mut r.r11, &mut r.r12, &mut r.r13, &mut r.r14, &mut r.r15,
        ];
        names.into_iter().enumerate().for_each(|(i, name)| *name = 0x100 + i as u64);
        let mut cpu = Cpu::new();
        load_regs(&mut cpu, &r);
        assert_eq!(
            cpu.gpr[..16],
            core::array::from_fn::<u64, 16, _>(|i| 0x100 + i as u64),
            "in the order of encodings"
        );
        assert_eq!((cpu.rip, cpu.rflags()), (17, 0x246));
        assert_eq!(regs(&cpu), r);

        let mut s =
            kvm_sregs { cr0: 0x8000_0011, cr2: 2, cr3: 3, cr4: 0x20, cr8: 8, efer: 0x500, ..kvm_sregs::default() };
        [s.es, s.cs, s.ss, s.ds, s.fs, s.gs, s.ldt, s.tr] = [3, 0x7a, 0x2d, 0xc5, 0x96, 0x5b, 0xe1, 0x1f].map(segment);
        s.gdt = kvm_dtable { base: 0x1111, limit: 0x22, padding: [0; 3] };
        s.idt = kvm_dtable { base: 0x3333, limit: 0x44, padding: [0; 3] };
        load_sregs(&mut cpu, &s);
        let mut back = kvm_sregs { apic_base: 0xfee0_0900, interrupt_bitmap: [1, 2, 3, 4], ..kvm_sregs::default() };
        store_sregs(&cpu, &mut back);
        assert_eq!((back.apic_base, back.interrupt_bitmap), (0xfee0_0900, [1, 2, 3, 4]), "what Cpu has not stays");
        (back.apic_base, back.interrupt_bitmap) = (0, [0; 4]);
        assert_eq!(back, s);
    }

    #[test]
    fn access_rights_have_the_layout_of_vmx() {
        // A 64-bit code segment of the user's, G, L, present, DPL 3, code, readable, accessed.
        let code = kvm_segment { type_: 11, present: 1, dpl: 3, s: 1, l: 1, g: 1, ..kvm_segment::default() };
        assert_eq!(load_segment(code).attr, 0xa0fb);
        let none = kvm_segment { unusable: 1, ..kvm_segment::default() };
        assert_eq!(load_segment(none).attr, 0x1_0000);
        let stack = kvm_segment { type_: 3, present: 1, s: 1, db: 1, g: 1, avl: 1, ..kvm_segment::default() };
        assert_eq!(load_segment(stack).attr, 0xd093);
    }

    #[test]
    fn the_other_structures_go_both_ways() {
        let mut cpu = Cpu::new();
        let d = kvm_debugregs { db: [1, 2, 3, 4], dr6: 0xffff_0ff1, dr7: 0x403, ..kvm_debugregs::default() };
        load_debug_regs(&mut cpu, &d);
        assert_eq!(debug_regs(&cpu), d);

        let mut x = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
        x.xcrs[0].value = 0xe7;
        assert!(load_xcrs(&mut cpu, &x));
        let mut empty = kvm_xcrs::default();
        assert!(!load_xcrs(&mut Cpu::new(), &empty), "no XCR0 in it");
        store_xcrs(&cpu, &mut empty);
        assert_eq!(empty, x);
        let mut other = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
        (other.xcrs[0].xcr, other.xcrs[0].value) = (1, 5);
        store_xcrs(&cpu, &mut other);
        assert_eq!((other.nr_xcrs, other.xcrs[0].value, other.xcrs[1].value), (2, 5, 0xe7));

        let values = [0xd01, 0x1000, 0x2000, 0x3000, 0x800];
        let list: [kvm_msr_entry; 5] =
            core::array::from_fn(|i| kvm_msr_entry { index: MSRS[i], data: values[i], ..kvm_msr_entry::default() });
        load_msrs(&mut cpu, &list);
        assert_eq!(cpu.system().kernel_gs_base, 0x3000);
        assert_eq!(msrs(&cpu).map(|entry| entry.data), values);
    }
}
