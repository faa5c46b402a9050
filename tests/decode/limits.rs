//! `limits.txt`: bytes, mode, and what they decode to.

use encore86::{DecodeError, Mode, Profile, decode};

const TABLE: &str = include_str!("limits.txt");

fn mode(name: &str) -> Mode {
    match name {
        "64" => Mode::Long64,
        "32" => Mode::Prot32,
        "16" => Mode::Prot16,
        "real" => Mode::Real16,
        "v86" => Mode::V86,
        other => panic!("no such mode: {other}"),
    }
}

/// The features of AVX-512 processors before APX and AVX10: reserved bits are reserved.
fn profile() -> Profile {
    use encore86::isa::Feature::*;
    Profile::all().without(Apx).without(Avx10).without(Xop)
}

#[test]
fn table() {
    let profile = profile();
    let mut wrong = Vec::new();
    let mut lines = 0;
    for (number, line) in TABLE.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
        let [name, bytes, expected] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("line {}: three columns are needed", number + 1);
        };
        let (own, next) = bytes.split_once('/').unwrap_or((bytes, ""));
        let hex = |s: &str| s.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect::<Vec<u8>>();
        let (own, next) = (hex(own), hex(next));
        let all: Vec<u8> = own.iter().chain(&next).copied().collect();
        let got = match decode(&all, mode(name), &profile) {
            Ok(insn) if insn.length() == own.len() => insn.to_string(),
            Ok(insn) => format!("{insn}, {} bytes long", insn.length()),
            Err(DecodeError::Truncated) => "truncated".into(),
            Err(DecodeError::TooLong) => "too long".into(),
            Err(DecodeError::Invalid(_)) => "invalid".into(),
        };
        lines += 1;
        if got != expected {
            wrong.push(format!("line {}: {line}\n    decodes to: {got}", number + 1));
        }
    }
    assert!(lines > 200, "{lines} lines were read");
    assert!(wrong.is_empty(), "{} of {lines} lines:\n{}", wrong.len(), wrong.join("\n"));
}

/// Of each encoding space: every byte too few, as many prefixes as there is room for, and one more.
#[test]
fn every_space_ends_where_it_should() {
    let profile = Profile::all().with_vendor(encore86::Vendor::Amd);
    let mut lines = 0;
    for (number, line) in include_str!("spaces.txt").lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let [name, prefix, bytes, text] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("line {}: four columns are needed", number + 1);
        };
        let hex = |text: &str| u8::from_str_radix(text, 16).unwrap();
        let (mode, prefix) = (mode(name), hex(prefix));
        let bytes: Vec<u8> = bytes.split_whitespace().map(hex).collect();
        let of_length = |length: usize| [vec![prefix; length - bytes.len()], bytes.clone()].concat();
        let at = |what: &str| format!("line {}: {line}: {what}", number + 1);
        for length in bytes.len()..=15 {
            let all = of_length(length);
            let insn = decode(&all, mode, &profile).unwrap_or_else(|error| panic!("{}", at(&error.to_string())));
            assert_eq!(insn.length(), length, "{}", at("length"));
            if length == bytes.len() {
                assert_eq!(insn.to_string(), text, "{}", at("text"));
            }
            for cut in 0..length {
                let less = decode(&all[..cut], mode, &profile);
                assert_eq!(less.err(), Some(DecodeError::Truncated), "{}", at(&format!("{cut} of {length} bytes")));
            }
        }
        for given in 15..=17 {
            let more = decode(&of_length(16.max(bytes.len() + 1))[..given.min(16)], mode, &profile);
            assert_eq!(more.err(), Some(DecodeError::TooLong), "{}", at("one prefix more"));
        }
        lines += 1;
    }
    assert!(lines > 40, "{lines} lines were read");
}

/// Branch targets wrap at the operand size, not at 64 bits.
#[test]
fn branch_targets_wrap() {
    for (mode, bytes, rip, target) in [
        (Mode::Real16, &[0xeb, 0x10][..], 0xfff0, 0x0002),
        (Mode::Real16, &[0xe9, 0x00, 0x80], 0x0000, 0x8003),
        (Mode::Real16, &[0xeb, 0x80], 0x0010, 0xff92),
        (Mode::Prot32, &[0xeb, 0x80], 0x0010, 0xffff_ff92),
        (Mode::Prot32, &[0x66, 0xeb, 0x80], 0x0010, 0xff93),
        (Mode::Prot32, &[0xe9, 0, 0, 0, 0x80], 0x8000_0000, 0x0000_0005),
        (Mode::Prot16, &[0x66, 0xe9, 0, 0, 1, 0], 0xff00, 0x1_ff06),
        (Mode::Long64, &[0xe9, 0, 0, 0, 0x80], 0x1000, 0xffff_ffff_8000_1005),
        (Mode::Long64, &[0xeb, 0xfe], 0x1000, 0x1000),
        (Mode::Long64, &[0x0f, 0x84, 0xfa, 0xff, 0xff, 0xff], 0x1000, 0x1000),
    ] {
        let insn = decode(bytes, mode, &profile()).unwrap();
        assert_eq!(insn.branch_target(rip), target, "{bytes:x?} in {mode:?} at {rip:#x}");
    }
}

/// 66 before a near branch in 64-bit mode: Intel ignores it, AMD makes the target 16 bits wide.
#[test]
fn vendors_differ_on_66_before_branches() {
    use encore86::Vendor::{Amd, Intel};
    let bytes = [0x66, 0xe9, 0x10, 0x00, 0x00, 0x00];
    let intel = decode(&bytes, Mode::Long64, &profile().with_vendor(Intel)).unwrap();
    assert_eq!((intel.length(), intel.branch_target(0x1_0000)), (6, 0x1_0016));
    let amd = decode(&bytes, Mode::Long64, &profile().with_vendor(Amd)).unwrap();
    assert_eq!((amd.length(), amd.branch_target(0x1_0000)), (4, 0x0014));
}

/// What the profile lacks is #UD, never unknown and never decoded.
#[test]
fn features_that_the_profile_lacks() {
    use encore86::isa::Feature::*;
    for (bytes, without) in [
        (&[0xc5, 0xfd, 0xfe, 0xc1][..], Avx2),
        (&[0xc5, 0xfd, 0xfe, 0xc1], Avx),
        (&[0x62, 0xf1, 0x75, 0x48, 0xfe, 0xc2], Avx512f),
        (&[0x62, 0xf1, 0x75, 0x28, 0xfe, 0xc2], Avx512vl),
        (&[0x62, 0xf1, 0x75, 0x48, 0xfc, 0xc2], Avx512bw),
        (&[0x62, 0xf2, 0x7d, 0x48, 0x63, 0xc2], Avx512vbmi2),
        (&[0x66, 0x0f, 0x38, 0x00, 0xc1], Ssse3),
        (&[0x66, 0x0f, 0x38, 0x40, 0xc1], Sse41),
        (&[0x66, 0x0f, 0x38, 0x37, 0xc1], Sse42),
        (&[0x66, 0x0f, 0x38, 0xdc, 0xc1], Aes),
        (&[0xf3, 0x0f, 0xb8, 0xc1], Popcnt),
        (&[0x48, 0x0f, 0xc7, 0x0b], Cx16),
        (&[0x0f, 0x38, 0xf0, 0x03], Movbe),
        (&[0x0f, 0x44, 0xc1], Cmov),
        (&[0xdb, 0x0b], Sse3),
        (&[0xd9, 0x03], Fpu),
        (&[0x9f], LahfLm),
        (&[0x0f, 0xae, 0x03], Fxsr),
    ] {
        assert!(decode(bytes, Mode::Long64, &profile()).is_ok(), "{bytes:x?}");
        let lacking = decode(bytes, Mode::Long64, &profile().without(without));
        assert!(matches!(lacking, Err(DecodeError::Invalid(_))), "{bytes:x?} without {without:?}: {lacking:?}");
    }
    // LZCNT and TZCNT become BSR and BSF.
    for (bytes, without, text) in
        [([0xf3, 0x0f, 0xbd, 0xc1], Lzcnt, "bsr eax, ecx"), ([0xf3, 0x0f, 0xbc, 0xc1], Bmi1, "bsf eax, ecx")]
    {
        assert_eq!(decode(&bytes, Mode::Long64, &profile().without(without)).unwrap().to_string(), text);
    }
}

/// What APX makes of bits that are reserved without it, and of D5, which is AAD then.
#[test]
fn apx_uses_reserved_bits() {
    let cases: [(&[u8], &str); 4] = [
        (&[0x62, 0xf9, 0x75, 0x48, 0xfe, 0x02], "vpaddd zmm0, zmm1, zmmword ptr [r18]"),
        (&[0x62, 0xf1, 0x71, 0x48, 0xfe, 0x04, 0x12], "vpaddd zmm0, zmm1, zmmword ptr [rdx+r18]"),
        (&[0xd5, 0x10, 0x89, 0xc8], "mov r16d, ecx"),
        (&[0xd5, 0x80, 0xaf, 0xc1], "imul eax, ecx"),
    ];
    for (bytes, text) in cases {
        assert!(matches!(decode(bytes, Mode::Long64, &profile()), Err(DecodeError::Invalid(_))), "{bytes:x?}");
        assert_eq!(decode(bytes, Mode::Long64, &Profile::all()).unwrap().to_string(), text);
    }
    assert_eq!(decode(&[0xd5, 0x10], Mode::Prot32, &Profile::all()).unwrap().to_string(), "aad 0x10");
    // EVEX.U extends an index register; where there is none it must be set.
    let bytes = [0x62, 0xf1, 0x71, 0x48, 0xfe, 0xc2];
    assert!(matches!(decode(&bytes, Mode::Long64, &Profile::all()), Err(DecodeError::Invalid(_))));
}
