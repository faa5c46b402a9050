//! What EVEX needs of XCR0 and CR4.

#[test]
fn table() {
    crate::table::run(
        "
        64 | 62 f1 75 48 fe c2 | xcr0=7 | #UD
        64 | 62 f1 75 48 fe c2 | xcr0=c7 | #UD | no opmasks
        64 | 62 f1 75 48 fe c2 | -osxsave | #UD
        64 | 62 f1 75 48 fe c2 | +ts | #NM
        v86 | 62 f1 75 48 fe c2 | | #UD
        64 | c5 f8 90 c1 | xcr0=7 | #UD | KMOV is an AVX-512 instruction
        ",
    );
}

/// Valid for the guest, but this host has no AVX-512: never #UD.
#[test]
fn what_the_host_lacks_is_unsupported() {
    use encore86::isa::Feature;
    if encore86::Profile::host().has(Feature::Avx512f) {
        println!("SKIPPED: this host has AVX-512");
        return;
    }
    crate::table::run(
        "
        64 | 62 f1 75 48 fe c2 | | lacks:avx512f
        64 | 62 f1 75 48 fe 03 | absent=21 | lacks:avx512f
        64 | 62 f1 7d c9 6f 03 | | lacks:avx512f
        64 | 62 f2 7d 49 8b 03 | | lacks:avx512f
        64 | c5 f8 90 c1 | | lacks:avx512f
        64 | c5 f8 91 0b | | lacks:avx512f
        ",
    );
}

/// What the guest's profile lacks is #UD, whatever the host has.
#[test]
fn what_the_profile_lacks_is_undefined() {
    use encore86::isa::Feature::{Avx, Avx2, Avx512f, Sse41};
    crate::table::run_with(
        encore86::Profile::all().without(Avx512f),
        "
        64 | 62 f1 75 48 fe c2 | | #UD
        64 | 62 f2 7d 09 90 0c 13 | k1=1 | #UD
        ",
    );
    crate::table::run_with(encore86::Profile::all().without(Avx).without(Avx2), "64 | c5 fd fe c1 | | #UD");
    crate::table::run_with(encore86::Profile::all().without(Sse41), "64 | 66 0f 38 40 c1 | | #UD");
}
