//! Newer VEX families: what the guest's profile has and the host lacks is `Unsupported`, never #UD.

use encore86::Profile;
use encore86::isa::Feature::{self, AvxIfma, AvxNeConvert, AvxVnni, AvxVnniInt8, AvxVnniInt16, Sha512, Sm3, Sm4};
use encore86_oracle::Skips;

const CASES: [(Feature, &str); 8] = [
    (AvxVnni, "64 | c4 e2 59 50 cb | | lacks:avx_vnni"),
    (AvxIfma, "64 | c4 e2 d9 b4 cb | | lacks:avx_ifma"),
    (AvxNeConvert, "64 | c4 e2 7a 72 cb | | lacks:avx_ne_convert"),
    (AvxVnniInt8, "64 | c4 e2 5b 50 cb | | lacks:avx_vnni_int8"),
    (AvxVnniInt16, "64 | c4 e2 5a d2 cb | | lacks:avx_vnni_int16"),
    (Sha512, "64 | c4 e2 5f cb cb | | lacks:sha512"),
    (Sm3, "64 | c4 e2 58 da cb | | lacks:sm3"),
    (Sm4, "64 | c4 e2 5a da cb | | lacks:sm4"),
];

#[test]
fn what_the_host_lacks_is_unsupported() {
    let mut skips = Skips::new("instructions");
    for (feature, case) in CASES {
        if Profile::host().has(feature) {
            skips.skip(feature.name(), "the host has it", 1);
        } else {
            crate::table::run(case);
            skips.ran(1);
        }
    }
}

#[test]
fn what_the_profile_lacks_is_undefined() {
    for (feature, case) in CASES {
        let (before, _) = case.rsplit_once('|').unwrap();
        crate::table::run_with(Profile::all().without(feature), &format!("{before}| #UD"));
    }
}
