//! AMD's processors ignore the fourth bit of an opmask register's number in VEX prefixes, Intel's raise #UD; the opmask
//! register that an EVEX form writes has none for either.

use encore86::{DecodeError, Mode, Profile, Vendor, decode};

#[test]
fn the_fourth_bit_is_the_vendor_s() {
    // kandw k1, k2, k3 with VEX.vvvv[3], then with VEX.R, clear (they are stored inverted).
    for bytes in [[0xc5, 0xac, 0x41, 0xcb], [0xc5, 0x6c, 0x41, 0xcb]] {
        let amd = decode(&bytes, Mode::Long64, &Profile::all().with_vendor(Vendor::Amd)).expect("kandw");
        assert_eq!(amd.to_string(), "kandw k1, k2, k3");
        let intel = decode(&bytes, Mode::Long64, &Profile::all());
        assert!(matches!(intel, Err(DecodeError::Invalid(_))), "{intel:?}");
    }
    // vpcmpeqd k1, xmm2, xmm3 with EVEX.R clear
    for vendor in [Vendor::Amd, Vendor::Intel] {
        let bytes = [0x62, 0x71, 0x6d, 0x08, 0x76, 0xcb];
        let outcome = decode(&bytes, Mode::Long64, &Profile::all().with_vendor(vendor));
        assert!(matches!(outcome, Err(DecodeError::Invalid(_))), "{outcome:?}");
    }
}
