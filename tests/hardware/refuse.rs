//! Changes to an encoding that make it invalid, too long or incomplete.

use crate::encode::Encoding;
use encore86::isa::row::{Space, attr};
use encore86_oracle::{CODE_LEN, Mode, Setup};

/// Changed bytes, where they lie, and how many of them can be fetched.
pub fn variants(encoding: &Encoding) -> Vec<(Setup, Vec<u8>, usize)> {
    let bytes = &encoding.bytes;
    let plain = Setup { mode: encoding.mode, step: encoding.row.is(attr::BRANCH), ..Setup::default() };
    let mut out = Vec::new();
    let mut add = |bytes: Vec<u8>| out.push((plain, bytes, 16));
    // LOCK where nothing can be locked.
    if !encoding.lock {
        add([&[0xf0], bytes.as_slice()].concat());
    }
    if encoding.row.space != Space::Legacy {
        for prefix in [0x66, 0xf2, 0xf3] {
            add([&[prefix], bytes.as_slice()].concat());
        }
        if encoding.mode == Mode::Long64 {
            add([&[0x48], bytes.as_slice()].concat());
        }
        let at = bytes.iter().position(|b| matches!(b, 0x62 | 0xc4 | 0xc5 | 0x8f)).expect("the prefix of its space");
        // Which bits of which byte behind the prefix: vvvv, vector length, W and what is reserved; then the opcode maps.
        let (bits, maps): (&[(usize, u8)], &[u8]) = match (bytes[at], encoding.mode) {
            // The topmost bit of vvvv outside 64-bit mode would make it LDS, LES or BOUND, or is ignored.
            (0xc5, Mode::Long64) => (&[(1, 0x08), (1, 0x40), (1, 0x04)], &[]),
            (0xc5, _) => (&[(1, 0x08), (1, 0x04)], &[]),
            (0x62, _) => {
                const BITS: &[(usize, u8)] = &[
                    (1, 0x08),
                    (2, 0x04),
                    (2, 0x08),
                    (2, 0x40),
                    (2, 0x80),
                    (3, 0x07),
                    (3, 0x08),
                    (3, 0x10),
                    (3, 0x20),
                    (3, 0x40),
                    (3, 0x80),
                ];
                (BITS, &[0, 4, 7])
            }
            (_, Mode::Long64) => (&[(2, 0x08), (2, 0x40), (2, 0x04), (2, 0x80)], &[0, 8, 0x1f]),
            _ => (&[(2, 0x08), (2, 0x04), (2, 0x80)], &[0, 8, 0x1f]),
        };
        // The registers' extensions: opmask registers have none.
        let extensions: &[(usize, u8)] = match (encoding.mode, bytes[at]) {
            (Mode::Long64, 0x62) => &[(1, 0x80), (1, 0x10)],
            (Mode::Long64, _) => &[(1, 0x80)],
            _ => &[],
        };
        for &(byte, bits) in bits.iter().chain(extensions) {
            let mut changed = bytes.clone();
            changed[at + byte] ^= bits;
            add(changed);
        }
        let map_bits = if bytes[at] == 0x62 { 0x07 } else { 0x1f };
        for map in maps {
            let mut changed = bytes.clone();
            changed[at + 1] = changed[at + 1] & !map_bits | map;
            add(changed);
        }
    }
    // Sixteen bytes, by a segment override that changes nothing.
    let mut long = vec![0x3e; 16 - bytes.len()];
    long.extend(bytes);
    add(long);
    // Cut off by an unmapped page.
    for len in 1..bytes.len() {
        let setup = Setup { offset: CODE_LEN - len, ..plain };
        out.push((setup, bytes[..len].to_vec(), len));
    }
    out
}
