//! The guest `legacy_paging`: page tables of two levels and of PAE, by a 32-bit system that takes its own page faults.

mod boot_support;

use boot_support::{boot, image};
use encore86_asm::legacy_paging::{self, PASSED};

#[test]
fn two_levels_and_pae() {
    let guest = image("legacy_paging.bin", legacy_paging::image());
    let run = boot(&[&guest, "--mode", "prot32"]);
    assert_eq!(run.status, Some(0), "{run:#?}");
    assert!(run.stdout.starts_with(PASSED), "{run:#?}");
}

#[test]
fn a_check_that_fails_has_its_number() {
    let guest = image("legacy_paging_without.bin", legacy_paging::image());
    // CR4.PSE is reserved then: #GP.
    let run = boot(&[&guest, "--mode", "prot32", "--without", "pse"]);
    assert!(run.stderr.contains("ended with exit code 0xee"), "{run:#?}");
    // And EFER.NXE, in PAE.
    let run = boot(&[&guest, "--mode", "prot32", "--without", "nx"]);
    assert!(run.stderr.contains("ended with exit code 0x1ee"), "{run:#?}");
    assert!(run.stdout.starts_with("2-level paging\n"), "{run:#?}");
}
