//! AMD's processors ignore EVEX.z on what cannot be masked, if it writes a register, and EVEX.V' outside 64-bit mode.

use encore86::{DecodeError, Mode, Profile, Vendor, decode};

fn text(bytes: &[u8], mode: Mode, vendor: Vendor) -> Option<String> {
    match decode(bytes, mode, &Profile::all().with_vendor(vendor)) {
        Ok(insn) => Some(insn.to_string()),
        Err(DecodeError::Invalid(_)) => None,
        Err(other) => panic!("{bytes:02x?}: {other:?}"),
    }
}

#[test]
fn zeroing_without_an_opmask() {
    // Each with EVEX.z: vmovd xmm1, [rbx]; vmovd [rbx], xmm1; vaddps xmm1, xmm2, xmm3, which can be masked.
    let cases: [(&[u8], Option<&str>); 3] = [
        (&[0x62, 0xf1, 0x7d, 0x88, 0x6e, 0x0b], Some("vmovd xmm1, dword ptr [rbx]")),
        (&[0x62, 0xf1, 0x7d, 0x88, 0x7e, 0x0b], None),
        (&[0x62, 0xf1, 0x6c, 0x88, 0x58, 0xcb], None),
    ];
    for (bytes, amd) in cases {
        assert_eq!(text(bytes, Mode::Long64, Vendor::Amd).as_deref(), amd);
        assert_eq!(text(bytes, Mode::Long64, Vendor::Intel), None);
    }
}

#[test]
fn a_fifth_bit_outside_64_bit_mode() {
    // vpaddd xmm1, xmm2, xmm3 with EVEX.V' clear
    let bytes = [0x62, 0xf1, 0x6d, 0x00, 0xfe, 0xcb];
    assert_eq!(text(&bytes, Mode::Compat32, Vendor::Amd).as_deref(), Some("vpaddd xmm1, xmm2, xmm3"));
    assert_eq!(text(&bytes, Mode::Compat32, Vendor::Intel), None);
    assert_eq!(text(&bytes, Mode::Long64, Vendor::Intel).as_deref(), Some("vpaddd xmm1, xmm18, xmm3"));
}
