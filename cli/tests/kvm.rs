//! `boot --cpu kvm`: the same guests, run by the processor through /dev/kvm. Without a usable one, skipped loudly.

mod boot_support;

use boot_support::{Run, assert_painted, boot, file, host_flags, image};
use encore86_asm::legacy_paging;
use encore86_oracle::Skips;
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Runs `boot --cpu kvm` with `args`; `None`, and said so, where there is no KVM to use.
fn kvm(args: &[&str]) -> Option<Run> {
    let run = boot(&[&["--cpu", "kvm"], args].concat());
    let unusable = |line: &&str| line.contains("cannot use /dev/kvm") || line.contains("KVM_CREATE_VM failed");
    if let Some(why) = run.stderr.lines().find(unusable) {
        Skips::new("boot --cpu kvm").skip(&args.join(" "), why, 1);
        return None;
    }
    Some(run)
}

/// Times and accesses in the line of the table for `instruction`, run by `who`.
fn counted(run: &Run, instruction: &str, who: &str) -> Option<[u64; 3]> {
    run.stdout.lines().find_map(|line| {
        let numbers = line.strip_prefix(instruction)?.strip_prefix("  ")?;
        let fields: Vec<&str> = numbers.split_whitespace().collect();
        let at = fields.iter().position(|field| *field == who)?;
        Some([1, 2, 3].map(|i| fields[at + i].parse().unwrap()))
    })
}

#[test]
fn the_gallery_is_the_same_picture() {
    let path = file("gallery-kvm.png");
    let Some(run) = kvm(&["--png", path.to_str().unwrap()]) else { return };
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    assert!(run.stdout.contains("tiles painted, "), "{}", run.stdout);
    assert_painted(&path, &host_flags());
    // The kernel's emulator has MOV since ever; 64-byte and x87 stores it has nowhere.
    let [exits, accesses, bytes] = counted(&run, "mov Ev,Gv", "kernel").expect("stores of doublewords and more");
    assert!(exits > 0 && accesses >= exits && bytes > accesses, "{}", run.stdout);
    for instruction in ["fistp Md", "fxsave Mfx", "maskmovdqu Vdq,Udq"] {
        let [exits, accesses, bytes] = counted(&run, instruction, "engine").unwrap_or_default();
        assert!(exits > 0 && accesses >= exits && bytes >= accesses, "{instruction}: {}", run.stdout);
    }
    for who in ["kernel", "engine"] {
        assert!(counted(&run, "all", who).is_some_and(|[exits, ..]| exits > 0), "{}", run.stdout);
    }
}

#[test]
fn an_image_runs_at_cpl_3_with_page_tables_of_the_monitors() {
    #[rustfmt::skip]
    let hello = image("hello-kvm.bin", &[
        0xba, 0xf8, 0x13, 0x00, 0xd0,   // mov edx, 0xd00013f8
        0xc6, 0x02, b'K',               // mov byte [rdx], 'K'
        0x8c, 0xc8,                     // mov eax, cs
        0x83, 0xe0, 0x03,               // and eax, 3
        0x04, b'0',                     // add al, '0'
        0x88, 0x02,                     // mov [rdx], al
        0xba, 0x00, 0x04, 0x00, 0xd0,   // mov edx, 0xd0000400
        0xd9, 0xe8,                     // fld1
        0xdd, 0x1a,                     // fstp qword [rdx]
        0x8b, 0x42, 0x04,               // mov eax, [rdx + 4]
        0x2d, 0x00, 0x00, 0xf0, 0x3f,   // sub eax, 0x3ff00000
        0xba, 0xf4, 0x20, 0x00, 0xd0,   // mov edx, 0xd00020f4
        0x89, 0x02,                     // mov [rdx], eax
    ]);
    let Some(run) = kvm(&[&hello]) else { return };
    assert_eq!(run.status, Some(0), "{run:#?}");
    assert!(run.stdout.starts_with("K3\n"), "{}", run.stdout);
    assert_eq!(counted(&run, "fstp Mq", "engine"), Some([1, 1, 8]), "{}", run.stdout);
    assert_eq!(counted(&run, "mov Gv,Ev", "kernel"), Some([1, 1, 4]), "{}", run.stdout);
    assert_eq!(counted(&run, "mov Eb,Gb", "kernel"), Some([1, 1, 1]), "{}", run.stdout);
}

#[test]
fn bad_ends_are_said() {
    // fstp qword [0x40000000], where nothing is.
    let stray = image("stray-kvm.bin", &[0xdd, 0x1c, 0x25, 0x00, 0x00, 0x00, 0x40]);
    let Some(run) = kvm(&[&stray]) else { return };
    assert_eq!(run.status, Some(1), "{run:#?}");
    let said = "writes 8 bytes at 0x40000000, which are not all in RAM or in one device, at RIP 0x100000";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let code = image("code-kvm.bin", &[0xb8, 7, 0, 0, 0, 0xba, 0xf4, 0x20, 0, 0xd0, 0x89, 0x02]);
    let Some(run) = kvm(&[&code]) else { return };
    assert_eq!(run.status, Some(1), "{run:#?}");
    let said = "the guest ended with exit code 0x7, at RIP 0x10000a (bytes 89 02: mov dword ptr [rdx], eax)";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let ud2 = image("ud2-kvm.bin", &[0x0f, 0x0b]);
    let Some(run) = kvm(&[&ud2]) else { return };
    assert_eq!(run.status, Some(1), "{run:#?}");
    assert!(run.stderr.contains("the processor shut down after a triple fault"), "{}", run.stderr);
}

#[test]
fn without_a_usable_device_a_sentence_and_a_status() {
    let missing = file("no-kvm");
    let missing = missing.to_str().unwrap();
    for (device, why) in [
        (missing, "No such file or directory (os error 2)"),
        ("/dev/null", "Inappropriate ioctl for device (os error 25)"),
        (env!("CARGO_TARGET_TMPDIR"), "Is a directory (os error 21)"),
    ] {
        let run = boot(&["--cpu", "kvm", "--kvm-device", device]);
        let hint = "--cpu kvm needs a KVM device that this user may open, --cpu engine needs none";
        assert_eq!(run.stderr, format!("encore86 boot: cannot use {device}: {why}; {hint}\n"));
        assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""), "nothing ran");
    }
}

#[test]
fn what_kvm_cannot_do_is_said_first() {
    let real = image("real-kvm.bin", &[0xf4]);
    for (args, why) in [
        (
            &[real.as_str(), "--mode", "real16"][..],
            "--cpu kvm runs 64-bit guests only, at CPL 3; use --cpu engine for other modes",
        ),
        (
            &["--max-steps", "5"],
            "--max-steps needs --cpu engine: what the processor runs by itself under --cpu kvm, nobody sees",
        ),
        (
            &["--trace", "x"],
            "--trace needs --cpu engine: what the processor runs by itself under --cpu kvm, nobody sees",
        ),
    ] {
        let run = boot(&[&["--cpu", "kvm", "--kvm-device", "/dev/null"], args].concat());
        assert_eq!((run.status, run.stderr), (Some(1), format!("encore86 boot: {why}\n")), "{args:?}");
    }
}

/// What the guest `legacy_paging` expects is what the processor does: all of it runs there, at CPL 0.
#[test]
fn the_guest_with_legacy_paging_passes_on_the_processor() {
    let made = Kvm::new().and_then(|kvm| Ok((kvm.create_vm()?, kvm)));
    let (vm, kvm) = match made {
        Ok(made) => made,
        Err(error) => return Skips::new("legacy_paging on KVM").skip("the guest", &error.to_string(), 1),
    };
    const SIZE: usize = 16 << 20;
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), SIZE)]).unwrap();
    memory.write_slice(legacy_paging::image(), GuestAddress(legacy_paging::LOAD)).unwrap();
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: SIZE as u64,
        userspace_addr: memory.get_host_address(GuestAddress(0)).unwrap() as u64,
    };
    // SAFETY: the memory is mapped for as long as the machine runs, and there is no reference to it.
    unsafe { vm.set_user_memory_region(region) }.unwrap();
    let mut vcpu = vm.create_vcpu(0).unwrap();
    vcpu.set_cpuid2(&kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).unwrap()).unwrap();
    let mut sregs = vcpu.get_sregs().unwrap();
    let data = kvm_segment {
        selector: 16,
        limit: u32::MAX,
        type_: 3,
        present: 1,
        s: 1,
        db: 1,
        g: 1,
        ..kvm_segment::default()
    };
    (sregs.ds, sregs.es, sregs.ss, sregs.fs, sregs.gs) = (data, data, data, data, data);
    sregs.cs = kvm_segment { selector: 8, type_: 11, ..data };
    sregs.cr0 |= 1;
    vcpu.set_sregs(&sregs).unwrap();
    let mut regs = vcpu.get_regs().unwrap();
    (regs.rip, regs.rflags) = (legacy_paging::LOAD, 2);
    vcpu.set_regs(&regs).unwrap();
    let mut sent = Vec::new();
    let code = loop {
        match vcpu.run().unwrap() {
            VcpuExit::IoOut(0x3f8, bytes) => sent.extend_from_slice(bytes),
            VcpuExit::IoOut(0xf4, bytes) => break bytes.to_vec(),
            exit => panic!("{exit:?} after {:?}", String::from_utf8_lossy(&sent)),
        }
    };
    assert_eq!((code, String::from_utf8_lossy(&sent)), (vec![0; 4], legacy_paging::PASSED.into()));
}
