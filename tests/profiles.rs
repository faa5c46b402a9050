//! Named processors against what the vendors' documents and the processors' own CPUID say, worked out by hand.

use encore86::cpu::System;
use encore86::isa::Feature;
use encore86::{Cpu, CpuidResult, DecodeError, Mode, Profile, Signature, Vendor, decode};

/// A name, its vendor, EAX of leaf 1, XCR0 and the size of the XSAVE area for it, and features that it has and has not.
struct Known {
    name: &'static str,
    vendor: Vendor,
    signature: u32,
    xcr0: u64,
    area: u32,
    has: &'static str,
    lacks: &'static str,
}

const KNOWN: [Known; 8] = [
    Known {
        name: "nehalem",
        vendor: Vendor::Intel,
        signature: 0x0001_06a5,
        // No XSAVE.
        xcr0: 3,
        area: 576,
        has: "sse4_1 sse4_2 popcnt cx16 lahf_lm rdtscp",
        lacks: "aes pclmulqdq avx xsave pdpe1gb abm movbe sse4a x2apic",
    },
    Known {
        name: "haswell",
        vendor: Vendor::Intel,
        signature: 0x0003_06f2,
        xcr0: 7,
        area: 832,
        has: "avx avx2 bmi1 bmi2 fma f16c movbe abm rdrand fsgsbase invpcid xsaveopt aes",
        lacks: "avx512f adx rdseed smap 3dnowprefetch xsavec sha_ni rtm hle sse4a xop fma4 tbm",
    },
    Known {
        name: "skylake-server",
        vendor: Vendor::Intel,
        signature: 0x0005_0654,
        xcr0: 0x2e7,
        area: 2696,
        has: "avx512f avx512dq avx512cd avx512bw avx512vl clwb pku xsavec xsaves adx 3dnowprefetch",
        lacks: "avx512_vnni avx512ifma avx512vbmi sha_ni umip gfni mpx rtm amx_tile avx512er avx512_4fmaps",
    },
    Known {
        name: "sapphirerapids",
        vendor: Vendor::Intel,
        signature: 0x0008_06f8,
        xcr0: 0x6_02e7,
        area: 11008,
        has: "amx_tile amx_int8 amx_bf16 avx512_fp16 avx512_bf16 avx_vnni la57 waitpkg serialize enqcmd uintr movdir64b",
        lacks: "amx_fp16 avx512_vp2intersect apx_f avx10 keylocker cmpccxadd sha512 prefetchi tsxldtrk",
    },
    Known {
        name: "diamondrapids",
        vendor: Vendor::Intel,
        signature: 0x0040_0f10,
        xcr0: 0xe_02e7,
        area: 11008,
        has: "apx_f avx10 amx_fp8 amx_avx512 amx_fp16 movrs sha512 avx512f cmpccxadd user_msr fred",
        lacks: "xop 3dnow avx512er keylocker mpx",
    },
    Known {
        name: "piledriver",
        vendor: Vendor::Amd,
        signature: 0x0060_0f20,
        xcr0: 7,
        area: 832,
        has: "xop fma4 tbm fma f16c bmi1 avx sse4a misalignsse abm mmxext cr8_legacy",
        lacks: "avx2 bmi2 movbe rdrand fsgsbase lwp xsaveopt 3dnow avx512f smep x2apic",
    },
    Known {
        name: "zen3",
        vendor: Vendor::Amd,
        signature: 0x00a0_0f11,
        // AMD leaves no room for what is not there: protection keys follow AVX.
        xcr0: 0x207,
        area: 840,
        has: "avx2 vaes vpclmulqdq sha_ni clzero rdpru pku shstk invlpgb sse4a fsrm erms",
        lacks: "xop fma4 tbm avx512f gfni la57 ibt",
    },
    Known {
        name: "zen4",
        vendor: Vendor::Amd,
        signature: 0x00a1_0f11,
        xcr0: 0x2e7,
        area: 2440,
        has: "avx512f avx512_bf16 avx512_vnni avx512vbmi avx512_vbmi2 avx512_bitalg gfni la57 clzero sse4a",
        lacks: "avx512_fp16 avx512_vp2intersect avx_vnni amx_tile xop fma4 waitpkg movdiri",
    },
];

fn profile(name: &str) -> Profile {
    Profile::named(name).unwrap_or_else(|| panic!("{name} is a name"))
}

/// The registers of a guest that has switched on all of XCR0.
fn guest(xcr0: u64) -> System {
    let mut cpu = Cpu::new();
    cpu.update(|s| s.xcr0 = xcr0);
    cpu.system().clone()
}

#[test]
fn each_is_what_its_vendor_says() {
    assert_eq!(Profile::names().collect::<Vec<_>>(), KNOWN.map(|known| known.name));
    for known in KNOWN {
        let p = profile(known.name);
        let system = guest(known.xcr0);
        assert_eq!(p.vendor(), known.vendor, "{}", known.name);
        assert_eq!(p.signature(), Signature(known.signature), "{}", known.name);
        assert_eq!(p.cpuid(1, 0, &system).eax, known.signature, "{}", known.name);
        assert_eq!(p.xcr0(), known.xcr0, "{}", known.name);
        for name in known.has.split(' ') {
            let feature = Feature::from_name(name).unwrap_or_else(|| panic!("{name} is a feature"));
            assert!(p.has(feature), "{} has {name}", known.name);
        }
        for name in known.lacks.split(' ') {
            let feature = Feature::from_name(name).unwrap_or_else(|| panic!("{name} is a feature"));
            assert!(!p.has(feature), "{} lacks {name}", known.name);
        }
        let name: Vec<u8> = {
            let leaf = p.cpuid(0, 0, &system);
            [leaf.ebx, leaf.edx, leaf.ecx].iter().flat_map(|r| r.to_le_bytes()).collect()
        };
        let vendor = if known.vendor == Vendor::Amd { "AuthenticAMD" } else { "GenuineIntel" };
        assert_eq!(name, vendor.as_bytes());
    }
    assert!(Profile::named("z80").is_none() && Profile::named("").is_none() && Profile::named("Zen4").is_none());
}

#[test]
fn feature_leaves_say_what_the_profile_has() {
    for known in KNOWN {
        let (p, system) = (profile(known.name), guest(known.xcr0));
        let basic = p.cpuid(0, 0, &system).eax;
        let extended = p.cpuid(0x8000_0000, 0, &system).eax;
        for &feature in Feature::ALL {
            let at = feature.cpuid().expect("all have a bit");
            let within = at.leaf <= basic || (0x8000_0000..=extended).contains(&at.leaf);
            assert!(within || !p.has(feature), "{}: {} is beyond the highest leaf", known.name, feature.name());
            if at.leaf == 7 && p.has(feature) {
                assert!(at.subleaf <= p.cpuid(7, 0, &system).eax, "{}: {}", known.name, feature.name());
            }
        }
        // The same from its leaves.
        let leaves = (0..=basic).chain(0x8000_0000..=extended);
        let list = leaves.flat_map(|leaf| (0..3).map(move |sub| (leaf, sub)));
        let again = Profile::from_cpuid(list.map(|(leaf, sub)| (leaf, sub, p.cpuid(leaf, sub, &system))));
        assert_eq!(again.features(), p.features(), "{}", known.name);
        assert_eq!((again.vendor(), again.signature()), (p.vendor(), p.signature()));
    }
}

#[test]
fn the_xsave_area_is_laid_out_as_the_vendor_does() {
    for known in KNOWN {
        let p = profile(known.name);
        let leaf = p.cpuid(0xd, 0, &guest(known.xcr0));
        if p.has(Feature::Xsave) {
            let expected = (known.xcr0 as u32, known.area, known.area, 0);
            assert_eq!((leaf.eax, leaf.ebx, leaf.ecx, leaf.edx), expected, "{}", known.name);
        }
        // With x87, SSE and AVX alone.
        if p.xcr0() & 4 != 0 {
            assert_eq!(p.cpuid(0xd, 0, &guest(7)).ebx, 832, "{}", known.name);
        }
        let mut end = [576; 63];
        for component in (2..63).filter(|c| known.xcr0 >> c & 1 != 0) {
            let area = p.xsave_area(component).expect("an area");
            let leaf = p.cpuid(0xd, component, &guest(known.xcr0));
            assert_eq!((leaf.eax, leaf.ebx), (area.size, area.offset));
            // None overlaps another.
            for other in (2..component).filter(|c| known.xcr0 >> c & 1 != 0) {
                let o = p.xsave_area(other).expect("an area");
                assert!(o.offset + o.size <= area.offset || area.offset + area.size <= o.offset, "{other} {component}");
            }
            end[component as usize] = area.offset + area.size;
        }
        assert_eq!(end.iter().max(), Some(&known.area), "{}", known.name);
    }
    // Sapphire Rapids, as it answers itself: tiles begin at 2816, aligned to 64 bytes when compacted.
    let p = profile("sapphirerapids");
    let leaf = p.cpuid(0xd, 18, &guest(p.xcr0()));
    assert_eq!((leaf.eax, leaf.ebx, leaf.ecx & 2), (8192, 2816, 2));
    // AVX, opmasks, upper halves, registers 16 to 31, keys; then the tiles at the next multiple of 64.
    let compacted = (576 + 256 + 64 + 512 + 1024 + 8u32).next_multiple_of(64) + 64 + 8192;
    assert_eq!(p.cpuid(0xd, 1, &guest(p.xcr0())).ebx, compacted);
}

#[test]
fn names_caches_and_addresses() {
    let text = |p: &Profile| -> String {
        let leaves = (2..5).map(|n| p.cpuid(0x8000_0000 + n, 0, &guest(3)));
        let bytes: Vec<u8> = leaves.flat_map(|r| [r.eax, r.ebx, r.ecx, r.edx]).flat_map(u32::to_le_bytes).collect();
        String::from_utf8(bytes).expect("ASCII").trim_end_matches('\0').to_owned()
    };
    assert_eq!(text(&profile("piledriver")), "AMD Opteron(tm) Processor 6376");
    assert_eq!(text(&profile("zen4")), "AMD EPYC 9654 96-Core Processor");
    assert_eq!(text(&profile("skylake-server")), "Intel(R) Xeon(R) Platinum 8180 CPU @ 2.50GHz");
    let leaf = |name: &str, leaf, subleaf| profile(name).cpuid(leaf, subleaf, &guest(3));
    // Linear and physical address widths.
    assert_eq!(leaf("haswell", 0x8000_0008, 0).eax, 0x302e);
    assert_eq!(leaf("zen4", 0x8000_0008, 0).eax & 0xffff, 0x3934);
    // The first-level data cache: 32 KiB, 8 ways of 64 sets of 64 bytes; Zen 4's second level: 1 MiB, 8 ways of 2048 sets.
    let cache = |eax, ebx, ecx| CpuidResult { eax, ebx, ecx, edx: 0 };
    assert_eq!(leaf("haswell", 4, 0), cache(0x121, 0x01c0_003f, 63));
    assert_eq!(leaf("zen4", 0x8000_001d, 2), cache(0x143, 0x01c0_003f, 2047));
    assert_eq!(leaf("zen4", 4, 0), CpuidResult::default(), "Intel's leaf");
    assert_eq!(leaf("zen3", 0x8000_0006, 0).ecx, 0x0200_6140, "512 KiB, 8 ways");
    // One tile palette: eight tiles of 1024 bytes, 64 bytes a row, 16 rows.
    let tiles = leaf("sapphirerapids", 0x1d, 1);
    assert_eq!((tiles.eax, tiles.ebx, tiles.ecx), (8192 | 1024 << 16, 64 | 8 << 16, 16));
    assert_eq!(leaf("diamondrapids", 0x24, 0).ebx & 0xff, 2, "AVX10.2");
    // Beyond the highest leaf Intel gives the highest basic one, AMD zeros.
    assert_eq!(leaf("nehalem", 0xd, 0), leaf("nehalem", 0xb, 0));
    assert_eq!(leaf("piledriver", 0x19, 0), CpuidResult::default());
}

/// What an instruction is, or why it is none.
fn text(bytes: &[u8], name: &str) -> Result<String, DecodeError> {
    let mut padded = bytes.to_vec();
    padded.resize(15, 0x90);
    decode(&padded, Mode::Long64, &profile(name)).map(|insn| insn.to_string())
}

#[test]
fn instructions_follow_the_profile() {
    let intel = ["nehalem", "haswell", "skylake-server", "sapphirerapids", "diamondrapids"];
    // vmovdqu64 xmm1, [rbx]
    let move64 = [0x62, 0xf1, 0xfe, 0x08, 0x6f, 0x0b];
    for name in Profile::names() {
        let has = ["skylake-server", "sapphirerapids", "diamondrapids", "zen4"].contains(&name);
        match text(&move64, name) {
            Ok(text) => assert!(has && text == "vmovdqu64 xmm1, xmmword ptr [rbx]", "{name}: {text}"),
            Err(why) => assert!(!has && matches!(why, DecodeError::Invalid(_)), "{name}: {why:?}"),
        }
    }
    // vprotb xmm0, xmm3, [rax], imm8 of XOP: for all others POP with ModRM.reg other than 0.
    let rotate = [0x8f, 0xe8, 0x78, 0xc0, 0xc3, 3];
    for name in Profile::names().filter(|name| *name != "piledriver") {
        assert!(matches!(text(&rotate, name), Err(DecodeError::Invalid(_))), "{name}: {:?}", text(&rotate, name));
    }
    assert!(!matches!(text(&rotate, "piledriver"), Err(DecodeError::Invalid(_))));
    for name in Profile::names() {
        assert_eq!(text(&[0x8f, 0xc0], name).expect("POP"), "pop rax");
    }
    // F3 0F BD is LZCNT where there is one, else BSR.
    assert_eq!(text(&[0xf3, 0x0f, 0xbd, 0xc1], "haswell").expect("LZCNT"), "lzcnt eax, ecx");
    assert!(text(&[0xf3, 0x0f, 0xbd, 0xc1], "nehalem").expect("BSR").ends_with("bsr eax, ecx"));
    // 66 on a near call counts on AMD's processors alone: 2 bytes of displacement in place of 4.
    let call = [0x66, 0xe8, 1, 0, 0, 0];
    for name in Profile::names() {
        let length = decode(&[&call[..], &[0x90; 9]].concat(), Mode::Long64, &profile(name)).expect("CALL").length();
        assert_eq!(length, if intel.contains(&name) { 6 } else { 4 }, "{name}");
    }
}
