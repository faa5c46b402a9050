//! Bytes that mean nothing.

use super::support::fuzz::{Random, decode_does_not_panic};

#[test]
fn random_bytes() {
    let mut random = Random(0xdec0de);
    let mut data = [0; 17];
    for _ in 0..if cfg!(debug_assertions) { 100_000 } else { 1_000_000 } {
        random.fill(&mut data);
        decode_does_not_panic(&data);
    }
}

/// Every prefix byte and every opcode of every map, with every ModRM.
#[test]
fn every_opcode() {
    for first in [0, 6, 0x86] {
        for prefix in [&[][..], &[0x66], &[0xf3], &[0xf2], &[0xf0], &[0x48]] {
            for escape in [&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]] {
                for opcode in 0..=255 {
                    for modrm in (0..=255).step_by(7) {
                        let mut data = vec![first];
                        data.extend(prefix);
                        data.extend(escape);
                        data.extend([opcode, modrm, 0x25, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
                        decode_does_not_panic(&data);
                    }
                }
            }
        }
    }
}
